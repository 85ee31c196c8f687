/**
 * Spawns that processes of this node asked of others: the caller's half. Every spawn is settled once, by SPAWNED, its
 * timeout, its signal or the end of the session. Only an accepted SPAWNED is answered with SPAWN_KEEP 1; one that was
 * given up is told so at once, with SPAWN_KEEP 0, and its late SPAWNED is ignored.
 */
import { TroupeError } from '../base/errors.js'
import type { NodeId, Pid, Ref } from '../base/ids.js'
import { TIMEOUT_MS } from '../base/limits.js'
import type { WaitOptions } from '../base/options.js'
import type { Clock, Timer } from '../base/runtime.js'
import { FrameType } from '../wire/frame.js'
import { after, BODY, bare, pairOf, textBytes, writeText, writeU48 } from './layout.js'
import type { Peer } from './peer.js'

export interface RemoteSpawnOptions extends WaitOptions {
  /** Links child and parent before the child runs. */
  readonly link?: boolean | undefined
  /** A fresh ref of this node: `parent` monitors the child under it from before the child runs. */
  readonly monitor?: Ref | undefined
  /** For the host's `Spawner`: plain data, such as name and scope. */
  readonly start?: unknown
  /**
   * Called when the child is known and before any signal of it: the place to note the monitor. False: the parent is
   * dead, and the child is to end. Default: whether `parent` is a live process.
   */
  readonly accept?: ((child: Pid) => boolean) | undefined
}

interface Ask {
  readonly id: number
  readonly parent: Pid
  readonly node: NodeId
  readonly definition: string
  readonly link: number
  readonly options: RemoteSpawnOptions
  readonly resolve: (child: Pid) => void
  readonly reject: (error: unknown) => void
  timer: Timer | undefined
  readonly aborted: () => void
}

export class Asks {
  readonly #clock: Clock
  readonly #asks = new Map<Peer, Map<number, Ask>>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    let size = 0
    for (const asks of this.#asks.values()) size += asks.size
    return size
  }

  spawn(
    peer: Peer,
    parent: Pid,
    definition: string,
    args: unknown,
    options: RemoteSpawnOptions,
  ): Promise<Pid> {
    return new Promise((resolve, reject) => {
      options.signal?.throwIfAborted()
      const { shared, session } = peer
      const [id, link] = [shared.newId(), options.link === true ? shared.newId() : 0]
      const frame = spawnFrame(peer, parent, id, link, definition, args, options)
      if (session.send(frame) === 'full') {
        throw new TroupeError('ERR_BUSY', `spawn ${definition} on ${session.peer}: its send queue is full`)
      }
      shared.counts.spawnsOut += 1
      const aborted = (): void => this.#giveUp(peer, ask, options.signal?.reason)
      const ask: Ask = {
        ...{ id, parent, node: session.peer, definition, link, options, resolve, reject, aborted },
        timer: this.#clock.after(options.timeoutMs ?? TIMEOUT_MS, () =>
          this.#giveUp(peer, ask, lateError(ask)),
        ),
      }
      options.signal?.addEventListener('abort', aborted, { once: true })
      const asks = this.#asks.get(peer) ?? new Map<number, Ask>()
      this.#asks.set(peer, asks.set(id, ask))
    })
  }

  /** SPAWNED came with a child. */
  spawned(peer: Peer, id: number, serial: number): void {
    const ask = this.#take(peer, id)
    if (ask === undefined) return
    const child = peer.pid(serial)
    if (!this.#accept(peer, ask, child)) {
      sendKeep(peer, ask, false)
      ask.reject(
        new TroupeError('ERR_DEAD', `spawn ${ask.definition}: its parent is dead`, { pid: ask.parent }),
      )
      return
    }
    sendKeep(peer, ask, true)
    ask.resolve(child)
  }

  failed(peer: Peer, id: number, error: TroupeError): void {
    this.#take(peer, id)?.reject(error)
  }

  sessionDown(peer: Peer): void {
    for (const id of [...(this.#asks.get(peer)?.keys() ?? [])]) {
      const ask = this.#take(peer, id)
      const text = `spawn ${ask?.definition}: the session with ${ask?.node} went down`
      ask?.reject(new TroupeError('ERR_NOCONNECTION', text, { node: ask.node }))
    }
    this.#asks.delete(peer)
  }

  /** Link and monitor stand on this side before any later frame of the child is read. */
  #accept(peer: Peer, ask: Ask, child: Pid): boolean {
    const { local } = peer.shared
    const { accept, monitor } = ask.options
    const alive = accept === undefined ? local.find(ask.parent.serial) !== undefined : accept(child)
    if (!alive) return false
    if (ask.link !== 0) {
      if (!local.linkFrom(child, ask.parent.serial)) return false
      peer.links.sent(ask.parent, child, ask.link)
    }
    if (monitor !== undefined)
      peer.watches.set(monitor.counter, { watcher: ask.parent, ref: monitor, watched: child })
    return true
  }

  #giveUp(peer: Peer, ask: Ask, error: unknown): void {
    if (this.#take(peer, ask.id) === undefined) return
    sendKeep(peer, ask, false)
    ask.reject(error)
  }

  #take(peer: Peer, id: number): Ask | undefined {
    const ask = this.#asks.get(peer)?.get(id)
    if (ask === undefined) return undefined
    this.#asks.get(peer)?.delete(id)
    ask.timer?.clear()
    ask.options.signal?.removeEventListener('abort', ask.aborted)
    return ask
  }
}

const lateError = (ask: Ask): TroupeError =>
  new TroupeError('ERR_TIMEOUT', `spawn ${ask.definition} on ${ask.node}: no answer in time`, {
    node: ask.node,
    definition: ask.definition,
    timeoutMs: ask.options.timeoutMs ?? TIMEOUT_MS,
  })

function sendKeep(peer: Peer, ask: Ask, keep: boolean): void {
  const frame = bare(FrameType.spawnKeep, pairOf(ask.parent.serial), after(1, 1))
  frame.head[writeU48(frame.head, ask.id, BODY)] = keep ? 1 : 0
  peer.signal(frame)
}

function spawnFrame(
  peer: Peer,
  parent: Pid,
  id: number,
  link: number,
  definition: string,
  args: unknown,
  options: RemoteSpawnOptions,
) {
  const { packer, codec } = peer.shared
  const name = textBytes('definition', definition)
  const start = codec.encode(options.start, 0, 'options')
  const frame = packer.packBehind(
    peer.session,
    FrameType.spawn,
    pairOf(parent.serial),
    after(name + 4, 4),
    start,
    args,
  )
  let at = BODY
  for (const number of [parent.serial, id, link, options.monitor?.counter ?? 0]) {
    at = writeU48(frame.head, number, at)
  }
  frame.head.writeUInt32LE(start.length, writeText(frame.head, definition, name, at))
  return frame
}
