/**
 * One life of one simulated node: its `Runtime`, and an event loop with the order of Node's.
 *
 *   event falls due ─► inbox ─┐
 *   soon ─► soons ────────────┤   one turn = one callback, the first of: soons, turnEnds, inbox, laters
 *   turnEnd ─► turnEnds ──────┤   every turn is an event of the world, tied at random with those of other nodes
 *   later ─► laters ──────────┘
 *
 * Laws: callbacks of one queue keep their order; nothing of a node runs between a callback and the soons it asked for
 * but those soons; a paused node runs nothing and loses nothing; a dead one runs nothing ever again. Its clock runs at
 * a rate and from an origin of its own, and never fires early by its own reading.
 */
import { TroupeError } from '../base/errors.js'
import { RingQueue } from '../base/ring-queue.js'
import type { Clock, Disk, Host, Loop, Resolver, Runtime, Timer, Transport, Watch } from '../base/runtime.js'
import { WALL_START_MS } from './sim-clock.js'
import type { SimRandom } from './sim-random.js'
import { toGrid, type World } from './world.js'

/** Laters that one instant gives away for free. A loop that is still busy then takes time, as a real one would. */
const LATERS_FREE = 1_000
const LATER_MS = 1 / 8
/** How late a timer is that was made late. */
const TIMER_LATE_MS = 30
/** How long a stall shows in `lag()`, as long as the real meter shows it. */
const LAG_SHOWN_MS = 100

interface Task {
  readonly kind: string
  readonly ids: string
  readonly dueMs: number
  readonly fn: () => void
}

/** What a node's runtime is made of besides its own loop. */
export interface Surroundings {
  transport(node: SimNode): Transport
  disk(node: SimNode): Disk
  watch(node: SimNode): Watch
  readonly resolver: Resolver
  readonly host: Host
}

export class SimNode {
  readonly name: string
  readonly runtime: Runtime
  readonly random: SimRandom
  readonly #world: World
  readonly #soons = new RingQueue<Task>()
  readonly #turnEnds = new RingQueue<Task>()
  readonly #inbox = new RingQueue<Task>()
  readonly #laters = new RingQueue<Task>()
  readonly #timers = new Set<() => void>()
  readonly #unhooks = new Set<() => void>()
  readonly #rate: number
  readonly #originMs: number
  #floorMs = 0
  #wallOffsetMs = WALL_START_MS
  #state: 'running' | 'paused' | 'killed' | 'crashed' = 'running'
  /** Turns of the loop so far: what `soon` and `turnEnd` add belongs to the turn that asked for it. */
  turns = 0
  #awake = false
  #awakeLastly = false
  #ids = 0
  #latersAtMs = -1
  #latersNow = 0
  #lateMs = 0
  #lateAtMs = 0
  #holds = 0

  constructor(
    world: World,
    name: string,
    options: { random: SimRandom; rate: number; around: Surroundings; buggify: boolean },
  ) {
    this.name = name
    this.random = options.random
    this.#world = world
    this.#rate = options.rate
    // Readings of two nodes, or of two lives, mean nothing to each other; here they do not even look alike.
    this.#originMs = 1_000 * (1 + options.random.fork('origin').below(1_000_000))
    this.runtime = {
      simulated: true,
      record: (kind, ids) => this.#world.record(name, kind, ids),
      ...(options.buggify ? { buggify: (site: string) => this.#world.buggify(name, site) } : {}),
      clock: this.#clock(),
      random: options.random.fork('node'),
      loop: this.#loop(),
      transport: options.around.transport(this),
      resolver: options.around.resolver,
      disk: options.around.disk(this),
      watch: options.around.watch(this),
      host: this.#host(options.around.host),
    }
  }

  get alive(): boolean {
    return this.#state === 'running' || this.#state === 'paused'
  }

  /** The machine answers for a process that was killed, and is silent when it crashed itself. */
  get machineUp(): boolean {
    return this.#state !== 'crashed'
  }

  /** Holds that were taken and not released: a stopped node must have none. */
  get holds(): number {
    return this.#holds
  }

  /** Queues an event of the outside world. */
  deliver(kind: string, ids: string, fn: () => void): void {
    this.#enqueue(this.#inbox, kind, ids, fn)
  }

  pause(): void {
    if (this.#state === 'running') this.#state = 'paused'
  }

  resume(): void {
    if (this.#state !== 'paused') return
    this.#state = 'running'
    this.#wake()
  }

  /** Moves what people read as the time of day. */
  jumpWall(ms: number): void {
    this.#wallOffsetMs += ms
  }

  end(how: 'killed' | 'crashed'): void {
    this.#state = how
    for (const queue of [this.#soons, this.#turnEnds, this.#inbox, this.#laters]) queue.clear()
    for (const cancel of this.#timers) cancel()
    for (const unhook of this.#unhooks) unhook()
    this.#timers.clear()
    this.#unhooks.clear()
  }

  #enqueue(queue: RingQueue<Task>, kind: string, ids: string, fn: () => void): void {
    if (!this.alive) return
    queue.push({ kind, ids, dueMs: this.#world.nowMs, fn })
    this.#wake()
  }

  #wake(): void {
    if (this.#state !== 'running') return
    if (this.#soons.length + this.#turnEnds.length + this.#inbox.length > 0) {
      if (this.#awake) return
      this.#awake = true
      this.#world.at(this.#world.nowMs, () => this.#turn())
    } else if (this.#laters.length > 0 && !this.#awakeLastly) {
      this.#awakeLastly = true
      this.#world.lastly(() => this.#lastTurn())
    }
  }

  /** A later comes when nothing else of this moment is left, as an immediate comes after timers and sockets. */
  #lastTurn(): void {
    this.#awakeLastly = false
    if (this.#awake) return
    this.#turn()
  }

  #turn(): void {
    this.#awake = false
    if (this.#state !== 'running') return
    const within = this.#soons.shift() ?? this.#turnEnds.shift()
    const task = within ?? this.#inbox.shift() ?? this.#laters.shift()
    if (task === undefined) return
    if (within === undefined) this.turns += 1
    this.#measure(task)
    this.#world.record(this.name, task.kind, task.ids)
    this.#world.touched()
    this.#wake()
    task.fn()
  }

  #measure(task: Task): void {
    const lateMs = this.#world.nowMs - task.dueMs
    if (lateMs === 0 && this.#world.nowMs - this.#lateAtMs < LAG_SHOWN_MS) return
    this.#lateMs = lateMs
    this.#lateAtMs = this.#world.nowMs
  }

  #now(): number {
    return Math.max(this.#floorMs, this.#originMs + this.#world.nowMs * this.#rate)
  }

  #clock(): Clock {
    return {
      now: () => this.#now(),
      wallNow: () => this.#wallOffsetMs + this.#world.nowMs,
      after: (ms, fn) => this.#after(ms, fn),
    }
  }

  #after(ms: number, fn: () => void): Timer {
    if (!(ms >= 0 && ms < Infinity)) throw new RangeError(`after: expected finite ms from 0, got ${ms}`)
    if (!this.alive) return { clear: () => {} }
    const dueMs = this.#now() + ms
    const id = `t${this.#ids++}`
    let state: 'set' | 'cleared' = 'set'
    const lateMs = this.#world.buggify(this.name, 'timer-late') ? TIMER_LATE_MS : 0
    const cancel = this.#world.at(this.#world.nowMs + toGrid(ms / this.#rate) + lateMs, () => {
      this.#timers.delete(cancel)
      // A timer can still be cleared while it waits in the inbox.
      this.deliver('timer', id, () => {
        if (state === 'cleared') return
        this.#floorMs = Math.max(this.#floorMs, dueMs)
        fn()
      })
    })
    this.#timers.add(cancel)
    return {
      clear: () => {
        state = 'cleared'
        this.#timers.delete(cancel)
        cancel()
      },
    }
  }

  #loop(): Loop {
    return {
      soon: fn => this.#enqueue(this.#soons, 'soon', '', fn),
      later: fn => this.#later(fn),
      turnEnd: fn => this.#enqueue(this.#turnEnds, 'turnEnd', '', fn),
      lag: () => (this.#world.nowMs - this.#lateAtMs < LAG_SHOWN_MS ? this.#lateMs : 0),
      hold: () => this.#hold(),
    }
  }

  #later(fn: () => void): void {
    const nowMs = this.#world.nowMs
    if (nowMs !== this.#latersAtMs) {
      this.#latersAtMs = nowMs
      this.#latersNow = 0
    }
    this.#latersNow += 1
    if (this.#latersNow <= LATERS_FREE) this.#enqueue(this.#laters, 'later', '', fn)
    else this.#world.at(nowMs + LATER_MS, () => this.#enqueue(this.#laters, 'later', '', fn))
  }

  #hold(): () => void {
    this.#holds += 1
    let held = true
    return () => {
      if (held) this.#holds -= 1
      held = false
    }
  }

  #host(real: Host): Host {
    return {
      hostname: this.name,
      cores: 4,
      startThread: () => {
        throw new TroupeError(
          'ERR_UNAVAILABLE',
          'a simulated node has no threads: they know nothing of its time',
        )
      },
      warn: line => this.#world.record(this.name, 'warn', line),
      // Rejections are the real process's: the hook decides by itself whose they are.
      onUnhandledRejection: take => {
        const unhook = real.onUnhandledRejection(take)
        this.#unhooks.add(unhook)
        return unhook
      },
    }
  }
}
