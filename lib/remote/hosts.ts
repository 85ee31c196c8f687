/**
 * Processes that peers asked for here: the host's half of a remote spawn.
 *
 *            SPAWN            born              SPAWNED          SPAWN_KEEP 1
 *   (nothing) ──▶ starting ────────▶ starting ─────────▶ started ────────────▶ (nothing: it is on its own)
 *                    │ SPAWN_KEEP 0, session down            │ SPAWN_KEEP 0, session down, SPAWN_KEEP_MS
 *                    ▼                                       ▼
 *                 unwanted: killed as soon as it is born   killed
 *
 * Between birth and SPAWNED the exit and the downs that the caller would be told are held: after SPAWNED they follow
 * it, and if the start fails they are dropped, because then the error of the spawn is all that the caller is told.
 */
import { TroupeError } from '../base/errors.js'
import type { Pid, Ref } from '../base/ids.js'
import type { ExitReason } from '../base/reasons.js'
import type { Clock, Timer } from '../base/runtime.js'
import type { Encoded } from '../process/mail.js'
import { FrameType } from '../wire/frame.js'
import { after, BODY, bare, pairOf, writeU48 } from './layout.js'
import type { Link } from './links.js'
import type { Peer } from './peer.js'

/** How long a started child waits to be taken over. The answer is one round trip away, so this is generous. */
export const SPAWN_KEEP_MS = 10_000

/** What a node lets others start. Implemented above: it knows the definitions. */
export interface Spawner {
  /**
   * Starts a process and resolves when its `init` is done. Rejects with `ERR_UNKNOWN_ACTOR` (`detail.known`),
   * `ERR_START`, `ERR_ALREADY_STARTED`, …; then no process of this order lives.
   */
  spawn(order: SpawnOrder): Promise<Pid>
}

export interface SpawnOrder {
  /** A name to be looked up in the list of definitions, and nothing else. */
  readonly definition: string
  /** To be opened in the child's own turn. */
  readonly args: Encoded
  /** As the caller's `start`, from another node: to be checked. */
  readonly options: unknown
  readonly parent: Pid
  /** True when nobody wants the child any more. */
  readonly unwanted: boolean
  /** To be called when the process exists, before anything of it runs: installs link and monitor. */
  born(child: Pid): void
}

export interface SpawnWish {
  readonly id: number
  readonly parent: Pid
  /** 0: no link. */
  readonly link: number
  readonly monitor: Ref | undefined
  readonly definition: string
  readonly options: unknown
  readonly args: Encoded
}

export class Hosts {
  readonly #spawner: Spawner
  readonly #clock: Clock
  readonly #hosted = new Map<Peer, Map<number, Hosted>>()
  /** Born and not yet told of, by serial. */
  readonly #byChild = new Map<number, Hosted>()
  /** Started and not taken over, the oldest first. */
  readonly #unkept = new Set<Hosted>()
  #timer: Timer | undefined

  constructor(spawner: Spawner, clock: Clock) {
    this.#spawner = spawner
    this.#clock = clock
  }

  get size(): number {
    let size = 0
    for (const hosted of this.#hosted.values()) size += hosted.size
    return size
  }

  spawn(peer: Peer, wish: SpawnWish): void {
    const mine = this.#hosted.get(peer) ?? new Map<number, Hosted>()
    this.#hosted.set(peer, mine)
    if (mine.size >= peer.shared.limits.peerSpawnsMax) {
      const error = new TroupeError(
        'ERR_BUSY',
        `spawn ${wish.definition}: too many spawns of this node wait there`,
      )
      peer.sendError(FrameType.spawned, 0, wish.id, error)
      return
    }
    const hosted = new Hosted(peer, wish)
    mine.set(wish.id, hosted)
    void this.#start(hosted)
  }

  /** Ids are never used twice in a session. */
  has(peer: Peer, id: number): boolean {
    return this.#hosted.get(peer)?.has(id) === true
  }

  /** SPAWN_KEEP came. */
  settle(peer: Peer, id: number, keep: boolean): void {
    const hosted = this.#hosted.get(peer)?.get(id)
    if (hosted === undefined) return
    if (!keep) {
      this.#kill(hosted)
      return
    }
    if (hosted.started) this.#forget(hosted)
  }

  /** True when the exit of that link is held until SPAWNED is sent. */
  holdsExit(peer: Peer, link: Link, reason: ExitReason): boolean {
    const hosted = this.#starting(peer, link.local)
    if (hosted?.wish.parent.serial !== link.peer.serial || hosted.wish.link === 0) return false
    hosted.exit = { link, reason }
    return true
  }

  /** True when the down of that monitor is held until SPAWNED is sent. */
  holdsDown(peer: Peer, child: Pid, ref: Ref, reason: ExitReason): boolean {
    const hosted = this.#starting(peer, child)
    if (hosted?.wish.monitor?.counter !== ref.counter) return false
    hosted.down = { reason }
    return true
  }

  sessionDown(peer: Peer): void {
    for (const hosted of [...(this.#hosted.get(peer)?.values() ?? [])]) this.#kill(hosted)
    this.#hosted.delete(peer)
  }

  #starting(peer: Peer, child: Pid): Hosted | undefined {
    const hosted = this.#byChild.get(child.serial)
    return hosted?.peer === peer ? hosted : undefined
  }

  async #start(hosted: Hosted): Promise<void> {
    const { definition, args, options, parent } = hosted.wish
    const order: SpawnOrder = {
      definition,
      args,
      options,
      parent,
      get unwanted() {
        return hosted.unwanted
      },
      born: child => this.#born(hosted, child),
    }
    try {
      const child = await this.#spawner.spawn(order)
      if (hosted.child === undefined) this.#born(hosted, child)
      this.#byChild.delete(child.serial)
      this.#started(hosted, child)
    } catch (error) {
      if (hosted.child !== undefined) this.#byChild.delete(hosted.child.serial)
      this.#failed(hosted, error)
    }
  }

  #born(hosted: Hosted, child: Pid): void {
    const { peer, wish } = hosted
    hosted.child = child
    this.#byChild.set(child.serial, hosted)
    if (hosted.unwanted) {
      peer.shared.local.exitFrom(wish.parent, child.serial, 'kill')
      return
    }
    if (wish.link !== 0 && peer.shared.local.linkFrom(wish.parent, child.serial)) {
      peer.links.received(child, wish.parent, wish.link)
    }
    if (wish.monitor === undefined) return
    if (peer.shared.local.monitorFrom(wish.parent, wish.monitor, child.serial)) {
      peer.watched.set(wish.monitor.counter, {
        watcher: wish.parent,
        ref: wish.monitor,
        serial: child.serial,
      })
    }
  }

  #started(hosted: Hosted, child: Pid): void {
    if (hosted.unwanted) return
    const { peer, wish } = hosted
    hosted.started = true
    const frame = bare(FrameType.spawned, pairOf(child.serial), after(1, 2))
    const at = writeU48(frame.head, wish.id, BODY)
    frame.head[at] = 0
    writeU48(frame.head, child.serial, at + 1)
    peer.signal(frame)
    this.#tellLink(hosted, child)
    if (hosted.down !== undefined && wish.monitor !== undefined) {
      peer.down(wish.monitor.counter, child.serial, hosted.down.reason)
    }
    hosted.dueMs = this.#clock.now() + SPAWN_KEEP_MS
    this.#unkept.add(hosted)
    this.#timer ??= this.#clock.after(SPAWN_KEEP_MS, () => this.#expire())
  }

  /** What became of the link during the start, when the parent did not have it yet. */
  #tellLink({ peer, wish, exit }: Hosted, child: Pid): void {
    if (wish.link === 0) return
    const parent = wish.parent.serial
    if (exit !== undefined) {
      peer.exitLink(exit.link, child.serial, parent, exit.reason)
    } else if (peer.links.get(child, wish.parent)?.received !== wish.link) {
      peer.signalNumbers(FrameType.unlink, child.serial, child.serial, parent, 0, wish.link)
    }
  }

  #failed(hosted: Hosted, error: unknown): void {
    const { peer, wish, child } = hosted
    this.#forget(hosted)
    if (!peer.up || hosted.unwanted) return
    if (child !== undefined && peer.links.take(child, wish.parent) !== undefined) {
      peer.shared.local.unlinkFrom(wish.parent, child.serial)
    }
    if (wish.monitor !== undefined && peer.watched.delete(wish.monitor.counter)) {
      peer.shared.local.demonitorFrom(wish.parent, wish.monitor)
    }
    const known = TroupeError.is(error)
      ? error
      : new TroupeError('ERR_START', `spawn ${wish.definition}: it did not start`, { reason: error })
    peer.sendError(FrameType.spawned, child?.serial ?? 0, wish.id, known)
  }

  /** Nobody will take it over. Dies now, or as soon as it is born. */
  #kill(hosted: Hosted): void {
    hosted.unwanted = true
    hosted.peer.shared.counts.spawnsKilled += 1
    this.#forget(hosted)
    if (hosted.child !== undefined) {
      hosted.peer.shared.local.exitFrom(hosted.wish.parent, hosted.child.serial, 'kill')
    }
  }

  #forget(hosted: Hosted): void {
    this.#hosted.get(hosted.peer)?.delete(hosted.wish.id)
    this.#unkept.delete(hosted)
    if (this.#unkept.size > 0) return
    this.#timer?.clear()
    this.#timer = undefined
  }

  #expire(): void {
    this.#timer = undefined
    for (const hosted of [...this.#unkept]) {
      const leftMs = hosted.dueMs - this.#clock.now()
      if (leftMs > 0) {
        this.#timer = this.#clock.after(leftMs, () => this.#expire())
        return
      }
      this.#kill(hosted)
    }
  }
}

class Hosted {
  readonly peer: Peer
  readonly wish: SpawnWish
  child: Pid | undefined
  started = false
  unwanted = false
  dueMs = 0
  exit: { readonly link: Link; readonly reason: ExitReason } | undefined
  down: { readonly reason: ExitReason } | undefined

  constructor(peer: Peer, wish: SpawnWish) {
    this.peer = peer
    this.wish = wish
  }
}
