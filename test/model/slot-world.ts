/**
 * A few nodes running the real slot machine, their links and their mishaps, in an order drawn from a seed.
 *
 * Each direction of each pair is one FIFO that carries what the mesh tells the receiver about the sender: session up,
 * messages, session down, member gone. FIFOs interleave at random. A lost session loses a random end of each
 * direction; the next one opens after both ends have seen the loss. Timers fire at random moments (each node has its
 * own clock), those of minutes only when nothing else is left to happen.
 *
 * Checked at every grant. **At most one live holder**, and with `split` runs (partitions, false deaths) exactly this:
 * of two live holders, A with the lower `since`, B was entered wrongly if some member m had taken in A (acked it, or
 * listed it) before it answered the seal of B's term, and neither m in between nor B's registrar since then had been
 * told that A's node is gone. That is "two registrations both succeed only if no member answered both registrars, or
 * across a false death": a member that answered both carried A to B's registrar, and a registrar that knows of A and
 * believes A's node there has to ask it before it grants. Where no such member exists nobody could have known.
 *
 * Checked at quiescence, when all links are whole again: tables equal; a granted live holder is in all tables, and the
 * table's owner is a granted live holder; all requests answered; a loser was told only after its winner's node had
 * confirmed; somebody holds if somebody asked and nobody died or gave up.
 */
import type { NodeId } from '../../lib/base/ids.js'
import type { Entry, Life, Owner } from '../../lib/coord/slot-data.js'
import { compareSince } from '../../lib/coord/slot-data.js'
import { SlotMachine } from '../../lib/coord/slot-machine.js'
import type { SlotMessage } from '../../lib/coord/slot-messages.js'
import type { Answer, Resolver } from '../../lib/coord/slot-state.js'

export type Random = () => number

/** mulberry32. */
export function seeded(seed: number): Random {
  let s = seed | 0
  return () => {
    s = (s + 0x6d2b79f5) | 0
    let t = Math.imul(s ^ (s >>> 15), 1 | s)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

export interface Process {
  readonly at: WorldNode
  readonly key: string
  readonly serial: number
  state: 'asking' | 'granted' | 'refused' | 'unavailable' | 'lost' | 'ended'
  entry: Entry | undefined
  readonly value: unknown
}

export interface WorldNode extends Life {
  readonly index: number
  readonly machine: SlotMachine
  up: boolean
  now: number
  ringDirty: boolean
  /** Lives that this node believes to be up. */
  readonly sees: Map<NodeId, Life>
  readonly processes: Process[]
  readonly asks: Map<number, (answer: Answer) => void>
}

type Item =
  | { readonly what: 'up' | 'cut' | 'gone' | 'suspect' | 'alive'; readonly from: WorldNode }
  | { readonly what: 'message'; readonly from: WorldNode; readonly message: SlotMessage }

interface Pair {
  readonly ends: readonly [WorldNode, WorldNode]
  open: boolean
  /** Ends that have not seen the last loss. */
  unseen: number
}

export interface WorldOptions {
  readonly seed: number
  readonly nodes: number
  readonly slots?: number
  readonly resolver?: Resolver
  /** False deaths may happen: judge two holders by who could have known. */
  readonly split: boolean
  readonly log?: (line: string) => void
}

const STEPS_MAX = 20_000
const FAR_MS = 1e5
const NEVER_MS = 1e9

export class World {
  readonly random: Random
  readonly nodes: WorldNode[] = []
  readonly violations: string[] = []
  readonly conflicts: string[] = []
  /** Things that happen at random moments, each once. */
  readonly script: (() => void)[] = []
  /** Things that happen when all else has: heals, so that every run ends whole. */
  readonly finally: (() => void)[] = []
  /** True when somebody who asked may end with nothing through no fault of the protocol. */
  mayBeNobody = false
  revive: ((at: WorldNode, entry: Entry) => void) | undefined
  readonly #options: WorldOptions
  readonly #order: readonly number[]
  readonly #queues = new Map<WorldNode, Map<WorldNode, Item[]>>()
  readonly #pairs: Pair[] = []
  readonly #processes = new Map<string, Process>()
  readonly #confirmed = new Set<string>()
  /** Owner -> member -> step at which the member had taken it in. */
  readonly #knew = new Map<string, Map<WorldNode, number>>()
  /** Term -> member -> step at which it answered the seal. */
  readonly #sealed = new Map<string, Map<WorldNode, number>>()
  readonly #gone: { at: WorldNode; of: WorldNode; step: number }[] = []
  #step = 0
  #creation = 0
  #serial = 0

  constructor(options: WorldOptions) {
    this.#options = options
    this.random = seeded(options.seed)
    this.#order = shuffled(
      [...Array(options.nodes + 2).keys()].map(i => i),
      this.random,
    )
    for (let i = 0; i < options.nodes; i++) this.boot(i)
  }

  // ---- what scripts may do ----

  boot(index: number): WorldNode {
    const node = `n${index}` as NodeId
    const creation = ++this.#creation
    const self: WorldNode = {
      node,
      creation,
      index,
      up: true,
      now: 0,
      ringDirty: true,
      sees: new Map(),
      processes: [],
      asks: new Map(),
      machine: new SlotMachine({
        self: { node, creation },
        slots: this.slots,
        resolver: this.#options.resolver ?? 'oldest',
        times: { stableMs: 1_000, learnMs: 2 * FAR_MS, retryMs: 25, retryMaxMs: 400 },
        limits: { asksMax: 1_000, waitingMax: 1_000, holdingsMax: 1_000, goneMax: 100 },
        random: this.random,
        effects: {
          send: (to, message) => this.#send(self, to, message),
          answer: (id, answer) => this.#answer(self, id, answer),
          lost: (entry, winner) => this.#lost(self, entry, winner),
          changed: () => undefined,
          revive: entry => this.script.push(() => self.up && this.revive?.(self, entry)),
        },
      }),
    }
    self.sees.set(node, self)
    for (const other of this.nodes)
      if (other.up) this.#pairs.push({ ends: [other, self], open: false, unseen: 0 })
    this.nodes.push(self)
    return self
  }

  get slots(): number {
    return this.#options.slots ?? 1
  }

  get split(): boolean {
    return this.#options.split
  }

  live(): WorldNode[] {
    return this.nodes.filter(node => node.up)
  }

  connect(a: WorldNode, b: WorldNode): void {
    const pair = this.#pair(a, b)
    if (pair === undefined || pair.open || !a.up || !b.up) return
    // The loss has to be seen at both ends before the next epoch.
    if (pair.unseen > 0) return void this.script.push(() => this.connect(a, b))
    // So has the end of an earlier life: the mesh says `down` of it before it says `up` of the next.
    const before = (at: WorldNode, of: WorldNode): boolean =>
      this.nodes.some(old => old !== of && old.node === of.node && this.#queue(at, old).length > 0)
    if (before(a, b) || before(b, a)) return void this.script.push(() => this.connect(a, b))
    pair.open = true
    this.#push(a, b, { what: 'up', from: b })
    this.#push(b, a, { what: 'up', from: a })
  }

  /** With `gone`, both ends also declare the other down. */
  cut(a: WorldNode, b: WorldNode, gone: boolean): void {
    const pair = this.#pair(a, b)
    if (pair === undefined) return
    for (const [to, from] of [pair.ends, [pair.ends[1], pair.ends[0]]] as [WorldNode, WorldNode][]) {
      if (pair.open) {
        const queue = this.#queue(to, from)
        const upAt = queue.findLastIndex(item => item.what === 'up')
        const keep = upAt + 1 + Math.floor(this.random() * (queue.length - upAt))
        queue.length = Math.min(queue.length, keep)
        pair.unseen++
        this.#push(to, from, { what: 'cut', from })
      }
      if (gone) this.#push(to, from, { what: 'gone', from })
    }
    pair.open = false
  }

  crash(node: WorldNode): void {
    if (!node.up) return
    this.log(`crash ${node.node}`)
    for (const other of this.live()) if (other !== node) this.cut(node, other, true)
    node.up = false
    for (const process of node.processes) process.state = 'ended'
    this.mayBeNobody = true
  }

  tell(at: WorldNode, about: WorldNode, what: 'suspect' | 'alive'): void {
    if (at.up && about.up) this.#push(at, about, { what, from: about })
  }

  start(node: WorldNode): void {
    if (node.up) node.machine.start(node.now)
  }

  register(
    at: WorldNode,
    key: string,
    options: { value?: unknown; timeoutMs?: number } = {},
  ): Process | undefined {
    if (!at.up) return undefined
    const process = this.#spawn(at, key, options.value)
    this.log(`${at.node}: register ${key} for ${process.serial}`)
    const { serial } = process
    const timeoutMs = options.timeoutMs ?? NEVER_MS
    const id = at.machine.ask(at.now, {
      kind: 'register',
      key,
      serial,
      value: options.value,
      since: undefined,
      timeoutMs,
    })
    this.#expect(at, id, process)
    return process
  }

  replace(at: WorldNode, entry: Entry): Process | undefined {
    if (!at.up) return undefined
    const { key, value, since } = entry
    const process = this.#spawn(at, key, value)
    this.log(`${at.node}: replace ${key} by ${process.serial}`)
    const { serial } = process
    const id = at.machine.ask(at.now, { kind: 'replace', key, serial, value, since, timeoutMs: NEVER_MS })
    this.#expect(at, id, process)
    return process
  }

  /** The process dies; with `keep` its record stays, and is replaced in place sooner or later. */
  end(process: Process, keep: boolean): void {
    const { at, serial, key } = process
    if (!at.up || process.state === 'ended') return
    this.log(`${at.node}: end ${serial}${keep ? ', kept' : ''}`)
    process.state = 'ended'
    this.mayBeNobody = true
    at.machine.ended(at.now, serial, () => keep)
    const record = at.machine.holding(key)
    if (keep && record !== undefined && record.serial === undefined)
      this.script.push(() => this.#restart(at, record))
  }

  #restart(at: WorldNode, record: Entry): void {
    if (!at.up) return
    const now = at.machine.holding(record.key)
    if (now === undefined || now.serial !== undefined) return
    this.replace(at, now)
    // `stale`: the record was entered anew meanwhile; the home has the new one by then.
    this.finally.push(() => this.#restart(at, record))
  }

  log(line: string): void {
    this.#options.log?.(line)
  }

  // ---- running ----

  run(): readonly string[] {
    for (;;) {
      if (this.violations.length > 0) return this.violations
      if (++this.#step > STEPS_MAX) return ['no quiescence']
      if (!this.#oneStep()) break
    }
    this.#checkEnd()
    return this.violations
  }

  #oneStep(): boolean {
    const queues = this.#busyQueues()
    const dirty = this.nodes.filter(node => node.up && node.ringDirty)
    const choices = queues.length + dirty.length + (this.script.length > 0 ? 1 : 0)
    // What cannot be answered before a heal goes on being asked: do not wait for it to stop.
    if (choices === 0 && this.finally.length > 0 && this.random() < 0.2) return this.#whenIdle()
    if (choices === 0 || this.random() < 0.08) {
      if (this.#fireAlarm(FAR_MS)) return true
      if (choices === 0) return this.#whenIdle()
    }
    const pick = Math.floor(this.random() * choices)
    const ringPick = pick - queues.length
    if (pick < queues.length) this.#deliver(queues[pick]![0], queues[pick]![1].shift()!)
    else if (ringPick < dirty.length) this.#ring(dirty[ringPick]!)
    else this.script.splice(Math.floor(this.random() * this.script.length), 1)[0]!()
    return true
  }

  #whenIdle(): boolean {
    const last = this.finally.shift()
    if (last !== undefined) {
      last()
      return true
    }
    return this.#fireAlarm(NEVER_MS / 2)
  }

  #busyQueues(): [WorldNode, Item[]][] {
    const out: [WorldNode, Item[]][] = []
    for (const [to, froms] of this.#queues) {
      if (to.up) for (const queue of froms.values()) if (queue.length > 0) out.push([to, queue])
    }
    return out
  }

  #fireAlarm(withinMs: number): boolean {
    const due = this.live().filter(
      node => (node.machine.wakeAt() ?? Number.POSITIVE_INFINITY) - node.now < withinMs,
    )
    const node = due[Math.floor(this.random() * due.length)]
    if (node === undefined) return false
    node.now = Math.max(node.now, node.machine.wakeAt()!)
    this.log(`${node.node}: tick ${Math.round(node.now)}`)
    node.machine.tick(node.now)
    return true
  }

  #ring(node: WorldNode): void {
    node.ringDirty = false
    const slots = this.slots
    const first = (slot: number): NodeId => {
      for (let i = 0; i < this.#order.length; i++) {
        const id = `n${this.#order[(i + slot) % this.#order.length]}` as NodeId
        if (node.sees.has(id)) return id
      }
      return node.node
    }
    this.log(`${node.node}: ring ${first(0)}`)
    node.machine.ring(
      node.now,
      Array.from({ length: slots }, (_, slot) => first(slot)),
    )
  }

  #deliver(to: WorldNode, item: Item): void {
    const { from } = item
    const { machine, now } = to
    this.log(`${from.node}>${to.node} ${item.what === 'message' ? JSON.stringify(item.message) : item.what}`)
    switch (item.what) {
      case 'up':
        this.#see(to, from)
        machine.sessionUp(now, from)
        return
      case 'cut': {
        const pair = this.#pair(to, from)
        if (pair !== undefined) pair.unseen--
        machine.sessionDown(now, from)
        return
      }
      case 'gone':
        if (to.sees.get(from.node) === from) to.sees.delete(from.node)
        to.ringDirty = true
        this.#gone.push({ at: to, of: from, step: this.#step })
        machine.memberDown(now, from)
        return
      case 'suspect':
        machine.memberSuspect(now, from)
        return
      case 'alive':
        machine.memberAlive(now, from)
        return
      case 'message':
        this.#observe(from, to, item.message)
        machine.receive(now, from, item.message)
        return
    }
  }

  #see(at: WorldNode, of: WorldNode): void {
    at.sees.set(of.node, of)
    at.ringDirty = true
  }

  // ---- what happens ----

  #send(from: WorldNode, to: Life, message: SlotMessage): void {
    const peer = this.nodes.find(node => node.creation === to.creation)
    if (peer === undefined || !peer.up || this.#pair(from, peer)?.open !== true) return
    this.#push(peer, from, { what: 'message', from, message })
    if (message.type === 'accept' && message.entry !== undefined) this.#noteConfirmed(from, message.entry)
    if (message.type === 'held' && message.holds === 'yes')
      this.#confirmed.add(`${from.creation}/${message.serial}`)
  }

  /** A registrar asks itself without a message; a revived owner counts as confirmed from the start. */
  #noteConfirmed(from: WorldNode, { home, serial, since, confirmed }: Entry): void {
    if (confirmed === undefined) return
    const itself = home.creation === from.creation && confirmed.node === from.node
    if (itself || since.n === confirmed.n) this.#confirmed.add(`${home.creation}/${serial}`)
  }

  /** Who has taken in which owner, and who has answered which seal. */
  #observe(from: WorldNode, to: WorldNode, message: SlotMessage): void {
    if (message.type === 'accept' && message.entry?.serial !== undefined) {
      const promised = to.machine.term(message.slot)
      if (promised?.n === message.n && promised.node === from.node) this.#note(message.entry, to)
    } else if (message.type === 'sealed') {
      for (const entry of message.entries) this.#note(entry, from)
      const term = `${message.n}/${to.node}`
      const by = this.#sealed.get(term) ?? new Map<WorldNode, number>()
      this.#sealed.set(term, by)
      if (!by.has(from)) by.set(from, this.#step)
    }
  }

  #note(entry: Entry, by: WorldNode): void {
    const key = ownerKey(entry.home, entry.serial)
    const knew = this.#knew.get(key) ?? new Map<WorldNode, number>()
    this.#knew.set(key, knew)
    if (!knew.has(by)) knew.set(by, this.#step)
  }

  #spawn(at: WorldNode, key: string, value: unknown): Process {
    const process: Process = { at, key, serial: ++this.#serial, state: 'asking', entry: undefined, value }
    at.processes.push(process)
    this.#processes.set(ownerKey(at, process.serial), process)
    return process
  }

  readonly #early = new Map<WorldNode, Map<number, Answer>>()

  /** The machine may answer before `ask` has returned the id. */
  #expect(at: WorldNode, id: number, process: Process): void {
    const settle = (answer: Answer): void => this.#settle(process, answer)
    const early = this.#early.get(at)?.get(id)
    if (early !== undefined) settle(early)
    else at.asks.set(id, settle)
  }

  #answer(at: WorldNode, id: number, answer: Answer): void {
    const ask = at.asks.get(id)
    at.asks.delete(id)
    if (ask !== undefined) {
      ask(answer)
      return
    }
    const early = this.#early.get(at) ?? new Map<number, Answer>()
    this.#early.set(at, early)
    early.set(id, answer)
  }

  #settle(process: Process, answer: Answer): void {
    this.log(`${process.at.node}: ${process.serial} ${JSON.stringify(answer)}`)
    if (process.state !== 'asking') return
    if (!answer.ok) {
      process.state = answer.why === 'unavailable' ? 'unavailable' : 'refused'
      if (answer.why === 'unavailable') this.mayBeNobody = true
      return
    }
    process.state = 'granted'
    process.entry = answer.entry
    for (const other of this.#processes.values()) {
      const rival = other !== process && other.key === process.key && other.at.up && other.state === 'granted'
      if (rival) this.#judge(process, other)
    }
  }

  #judge(one: Process, two: Process): void {
    const swap = compareSince(one.entry!.since, two.entry!.since) > 0
    const [a, b] = swap ? [two, one] : [one, two]
    if (!this.#options.split) {
      this.violations.push(`two holders ${a.at.node}, ${b.at.node}`)
      return
    }
    const { n, node } = b.entry!.since
    const registrar = this.nodes.findLast(other => other.node === node)!
    const answered = new Map(this.#sealed.get(`${n}/${node}`))
    const goneAt = (at: WorldNode, after: number, before: number): boolean =>
      this.#gone.some(g => g.at === at && g.of === a.at && g.step >= after && g.step <= before)
    for (const [member, knewAt] of this.#knew.get(ownerKey(a.at, a.serial)) ?? []) {
      const answeredAt = answered.get(member)
      if (answeredAt === undefined || answeredAt < knewAt || member.creation === registrar.creation) continue
      if (goneAt(member, 0, answeredAt) || goneAt(registrar, 0, this.#step)) continue
      this.violations.push(`two holders ${a.at.node}, ${b.at.node}: ${member.node} answered for both`)
    }
  }

  #lost(at: WorldNode, entry: Entry, winner: Owner | undefined): void {
    const process = this.#processes.get(ownerKey(at, entry.serial))
    this.log(`${at.node}: ${entry.serial} lost to ${winner?.node} ${winner?.serial}`)
    if (!this.#options.split) this.conflicts.push('a conflict without a partition')
    if (process !== undefined && process.state === 'granted') process.state = 'lost'
    if (winner === undefined) {
      this.mayBeNobody = true
      return
    }
    const known = this.#confirmed.has(`${winner.creation}/${winner.serial}`)
    // Of two owners of its own a node needs no confirmation.
    const own = winner.creation === at.creation
    if (!known && !own) this.violations.push('a loser told before the winner confirmed')
  }

  // ---- at the end ----

  #checkEnd(): void {
    const live = this.live()
    const asked = [...this.#processes.values()]
    for (const process of asked) {
      if (process.at.up && process.state === 'asking') this.violations.push(`unanswered ${process.serial}`)
    }
    if (this.conflicts.length > 0) this.violations.push(this.conflicts[0]!)
    const tables = live.map(node => JSON.stringify(node.machine.entries().map(plain)))
    if (new Set(tables).size > 1) this.violations.push(`tables differ: ${tables.join(' ')}`)
    for (const key of new Set(asked.map(process => process.key))) this.#checkKey(key, live, asked)
  }

  #checkKey(key: string, live: WorldNode[], asked: Process[]): void {
    const holders = asked.filter(
      process => process.key === key && process.at.up && process.state === 'granted',
    )
    if (holders.length > 1) this.violations.push(`two holders of ${key} at the end`)
    const owner = live[0]?.machine.owner(key)
    const holder = holders[0]
    if (holder !== undefined && owner === undefined)
      this.violations.push(`the holder of ${key} is in no table`)
    if (owner !== undefined && holder?.serial !== owner.serial)
      this.violations.push(`${key} belongs to nobody's ${owner.serial}`)
    if (holder === undefined && !this.mayBeNobody) this.violations.push(`nobody holds ${key}`)
    const entry = live[0]?.machine.entry(key)
    if (entry !== undefined && owner === undefined && this.revive !== undefined)
      this.violations.push(`${key} was not revived`)
  }

  // ---- links ----

  #pair(a: WorldNode, b: WorldNode): Pair | undefined {
    return this.#pairs.find(
      ({ ends }) => (ends[0] === a && ends[1] === b) || (ends[0] === b && ends[1] === a),
    )
  }

  #queue(to: WorldNode, from: WorldNode): Item[] {
    const queues = this.#queues.get(to) ?? new Map<WorldNode, Item[]>()
    this.#queues.set(to, queues)
    const queue = queues.get(from) ?? []
    queues.set(from, queue)
    return queue
  }

  #push(to: WorldNode, from: WorldNode, item: Item): void {
    if (to.up) this.#queue(to, from).push(item)
  }
}

const ownerKey = (home: Life, serial: number | undefined): string => `${home.creation}/${serial}`

const plain = ({ key, home, serial, since, confirmed }: Entry): unknown => [
  key,
  home.node,
  home.creation,
  serial,
  [since.n, since.node, since.seq],
  confirmed && [confirmed.n, confirmed.node],
]

export function shuffled<T>(items: T[], random: Random): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    ;[items[i], items[j]] = [items[j]!, items[i]!]
  }
  return items
}
