/**
 * A crowd: the membership core of each of thousands of nodes (`Swim`, as it runs), in one process on virtual time. What
 * lies around it is modelled: a session between each two that are up, heartbeats on all of them, packets that take a
 * while and arrive in order, an address that refuses or does not answer.
 *
 *   tick of a node, every tickMs ──► its heartbeats, to all ──► packets, each after its delay ──► effects ──► packets
 *
 * Bytes are those of frames, header included, as the packets encode; TCP and IP come on top. Heartbeats arrive at once,
 * unless the network is rough: then some come late. What it does not do: handshakes, and how a cluster comes together.
 */
import type { NodeId } from '../../lib/base/ids.js'
import type { DownReason, Member } from '../../lib/base/member.js'
import { encodePacket, type Packet } from '../../lib/mesh/packets.js'
import { PROFILES } from '../../lib/mesh/profile.js'
import { type Effect, Swim } from '../../lib/mesh/swim.js'
import { EventHeap } from '../../lib/sim/event-heap.js'
import { SimRandom } from '../../lib/sim/sim-random.js'
import { HEADER_BYTES } from '../../lib/wire/frame.js'

const PROFILE = PROFILES.lan
/** Between two pauses of one node. */
const AWAKE_MS = 2_000

export interface Rough {
  /** Of packets and heartbeats: they come later by up to `lateMs`. */
  readonly late: number
  readonly lateMs: number
}

export const CALM: Rough = { late: 0, lateMs: 0 }

interface Node {
  readonly name: NodeId
  readonly swim: Swim
  up: boolean
  /** Its loop stands still until then. */
  pausedUntilMs: number
  heartbeats: number
}

/** What a node was told, as far as it is counted. */
export interface Told {
  readonly atMs: number
  readonly by: NodeId
  readonly tag: 'up' | 'alive' | 'updated' | 'suspect' | 'down'
  readonly about: NodeId
  readonly reason: DownReason | undefined
}

export class Crowd {
  readonly nodes: readonly Node[]
  readonly told: Told[] = []
  rough: Rough = CALM
  nowMs = 0
  /** Since the last `count`. */
  #bytes = { membership: 0, heartbeats: 0, lists: 0 }
  readonly #byName = new Map<NodeId, Node>()
  readonly #heap = new EventHeap<() => void>()
  readonly #random: SimRandom
  /** When the last packet from one to another arrives, while it is under way. */
  readonly #lastMs = new Map<string, number>()
  readonly #listBytes = new Map<number, number>()
  #listening = false

  constructor(size: number, seed: number) {
    this.#random = new SimRandom(seed)
    const digits = String(size).length
    const records = Array.from({ length: size }, (_, i) => recordOf(i, digits))
    this.nodes = records.map(self => {
      const random = this.#random.fork(self.name)
      const swim = new Swim({ self, membersMax: size, profile: PROFILE, random })
      return { name: self.name, swim, up: true, pausedUntilMs: -AWAKE_MS, heartbeats: 0 }
    })
    for (const node of this.nodes) this.#byName.set(node.name, node)
    for (const { name, swim } of this.nodes) {
      for (const record of records) if (record.name !== name) swim.opened(record, true, 0)
    }
    for (const node of this.nodes) this.#at(this.#random.float() * PROFILE.tickMs, () => this.#tick(node))
    this.#listening = true
  }

  advance(ms: number): void {
    const untilMs = this.nowMs + ms
    while (this.#heap.nextMs <= untilMs) {
      this.nowMs = this.#heap.nextMs
      this.#heap.pop()?.()
    }
    this.nowMs = untilMs
  }

  /** Advances until `done`, looked at ten times a second. Returns how long it took; at most `maxMs`. */
  until(done: () => boolean, maxMs: number): number {
    const beginMs = this.nowMs
    while (!done() && this.nowMs - beginMs < maxMs) this.advance(100)
    return this.nowMs - beginMs
  }

  /** Gone without a word, with its machine: no address answers. */
  lose(node: Node): void {
    node.up = false
  }

  /** Its process is gone and its machine is not: sessions close, its address refuses. */
  kill(node: Node): void {
    node.up = false
    for (const other of this.nodes) {
      if (!other.up) continue
      this.#at(this.nowMs + this.#delayMs(), () => {
        this.#do(other, other.swim.closed(node.name, 'connection_closed', this.nowMs))
        this.#at(this.nowMs + this.#delayMs(), () =>
          this.#do(other, other.swim.refused(node.name, this.nowMs)),
        )
      })
    }
  }

  /** The loop of one that was awake for a while stands still. */
  pauseSome(ms: number): void {
    const awake = this.nodes.filter(({ up, pausedUntilMs }) => up && this.nowMs - pausedUntilMs >= AWAKE_MS)
    const node = awake[this.#random.below(awake.length)]
    if (node !== undefined) node.pausedUntilMs = this.nowMs + ms
  }

  update(node: Node): void {
    this.#do(node, node.swim.update({ meta: { at: String(this.nowMs) } }))
  }

  /** Bytes that all nodes sent since the last call. */
  count(): { readonly membership: number; readonly heartbeats: number; readonly lists: number } {
    const bytes = this.#bytes
    this.#bytes = { membership: 0, heartbeats: 0, lists: 0 }
    return bytes
  }

  draw(): Node {
    const up = this.nodes.filter(node => node.up)
    return up[this.#random.below(up.length)] as Node
  }

  #tick(node: Node): void {
    if (!node.up) return
    if (node.pausedUntilMs > this.nowMs) {
      this.#at(node.pausedUntilMs, () => this.#resume(node))
      return
    }
    this.#at(this.nowMs + PROFILE.tickMs, () => this.#tick(node))
    node.heartbeats += 1
    if (node.heartbeats % (PROFILE.heartbeatMs / PROFILE.tickMs) === 0) this.#beat(node)
    this.#do(node, node.swim.tick(this.nowMs, 0))
  }

  /** Timers come first; then it reads what waited in its sockets. */
  #resume(node: Node): void {
    this.#tick(node)
    for (const other of this.nodes) if (other !== node && other.up) this.#hear(node, other.name)
  }

  /** A heartbeat to each that it has a session with, and what answers it. */
  #beat(node: Node): void {
    const { rough } = this
    for (const other of this.nodes) {
      if (other === node || !other.up) continue
      this.#bytes.heartbeats += 2 * HEADER_BYTES
      if (this.#random.chance(rough.late)) {
        this.#at(this.nowMs + this.#random.float() * rough.lateMs, () => this.#hear(other, node.name))
      } else this.#hear(other, node.name)
    }
  }

  #hear(node: Node, from: NodeId): void {
    if (node.up && node.pausedUntilMs <= this.nowMs) this.#do(node, node.swim.heard(from, this.nowMs))
  }

  #do(node: Node, effects: readonly Effect[]): void {
    for (const effect of effects) {
      switch (effect.tag) {
        case 'send':
          this.#send(node, effect.to, effect.packet, 'membership')
          break
        case 'list':
          this.#send(node, effect.to, node.swim.list(effect.pull), 'lists')
          break
        case 'change':
          if (this.#listening) this.#tell(node, effect.change)
          break
        case 'end': {
          const { peer, reason } = effect
          this.#do(node, node.swim.closed(peer, reason, this.nowMs))
          const other = this.#byName.get(peer)
          if (!other?.up) break
          this.#do(other, other.swim.closed(node.name, reason, this.nowMs))
          this.#at(this.nowMs + 100 + this.#random.float() * 1_900, () => this.#reopen(node, other))
          break
        }
        case 'introduce':
          break
      }
    }
  }

  #reopen(one: Node, other: Node): void {
    if (!one.up || !other.up) return
    this.#do(one, one.swim.opened(other.swim.self, true, this.nowMs))
    this.#do(other, other.swim.opened(one.swim.self, true, this.nowMs))
  }

  #tell({ name: by }: Node, change: Extract<Effect, { readonly tag: 'change' }>['change']): void {
    const reason = 'reason' in change ? change.reason : undefined
    this.told.push({ atMs: this.nowMs, by, tag: change.tag, about: change.member.name, reason })
  }

  #send(from: Node, to: NodeId, packet: Packet, kind: 'membership' | 'lists'): void {
    this.#bytes[kind] += this.#bytesOf(packet)
    const target = this.#byName.get(to)
    if (target === undefined || !target.up) return
    const pair = `${from.name} ${to}`
    const atMs = Math.max(this.nowMs + this.#delayMs(), this.#lastMs.get(pair) ?? 0)
    this.#lastMs.set(pair, atMs)
    const arrive = (): void => {
      if (!target.up) return
      if (target.pausedUntilMs > this.nowMs) {
        this.#at(target.pausedUntilMs, arrive)
        return
      }
      if (this.#lastMs.get(pair) === this.nowMs) this.#lastMs.delete(pair)
      this.#hear(target, from.name)
      this.#do(target, target.swim.receive(from.name, packet, this.nowMs))
    }
    this.#at(atMs, arrive)
  }

  /** Lists of as many records are as long as each other. */
  #bytesOf(packet: Packet): number {
    const known = packet.tag === 'state' ? this.#listBytes.get(packet.records.length) : undefined
    if (known !== undefined) return known
    const bytes = encodePacket(packet).reduce((sum, { body }) => sum + HEADER_BYTES + body.length, 0)
    if (packet.tag === 'state') this.#listBytes.set(packet.records.length, bytes)
    return bytes
  }

  /** 0.5 to 2 ms, as in one data centre; more where it is rough. */
  #delayMs(): number {
    const { late, lateMs } = this.rough
    return 0.5 + 1.5 * this.#random.float() + (this.#random.chance(late) ? this.#random.float() * lateMs : 0)
  }

  #at(atMs: number, run: () => void): void {
    this.#heap.push(atMs, 0, run)
  }
}

function recordOf(i: number, digits: number): Member {
  const name = `n${String(i).padStart(digits, '0')}` as NodeId
  return Object.freeze({
    name,
    address: { host: `10.0.${i >> 8}.${i & 255}`, port: 7_001 },
    creation: i + 1,
    incarnation: 1,
    state: 'alive',
    version: 1,
    tags: [],
    meta: {},
    host: name,
    voter: true,
  })
}
