/**
 * One run queue and one drain. A drain starts before the event loop goes on (`loop.soon`), because an awaited reply
 * that waits for a whole turn costs five times as much; it is bounded, because what starts there starves sockets and
 * timers. All drains of one turn share one budget: a caller that awaits reply after reply starts a drain per message.
 *
 *   turn:  drain drain drain │ budget spent → loop.later │ next turn: a fresh budget
 *
 * The watchdog: a handler that holds the loop for `overrunMs` is named. A reading of the clock costs a third of a
 * message, so only the first messages of a turn are timed one by one, and of the others 64 together. When those took
 * too long nobody can be named, but the messages that follow are timed one by one, for the next time. What runs after
 * an await of a handler is not seen: nothing tells whose code it is.
 */
import { RingQueue } from '../base/ring-queue.js'
import type { Clock, Loop } from '../base/runtime.js'
import { Phase, type Process } from './process.js'

/** Messages of one process before the next one has its go. Also how often the clock is read. */
const SLICE = 64
/** Messages in one turn. Measured: 100 and 1,000 cost the same. */
const TURN_MESSAGES = 16_384
const TURN_MS = 5
/** Messages of a turn that are timed one by one: all of them, where nodes are not busy. */
const TIMED_FIRST = 8
/** After a stretch that was too long and not timed, so many are: 0.6 ms of clock reads for `overrunMs` or more. */
const TIMED_AFTER = 16_384
/** Stands for the mail of a process that begins. */
export const BEGINNING = Symbol('init')

export interface SchedulerOptions {
  readonly clock: Clock
  readonly loop: Loop
  /** Budgets by count alone, so that a simulated run does not depend on the speed of the machine. */
  readonly countOnly: boolean
  /** A handler is too slow from here. `Infinity`: nobody is timed. */
  readonly overrunMs: number
  /** `process` held the loop for `ms` with `mail`; see `BEGINNING`. */
  readonly slow: (process: Process, mail: unknown, ms: number) => void
  /** What ran for `process` threw, which nothing of ours does. */
  readonly broke: (process: Process | undefined, error: unknown) => void
  /** Wraps every slice; see attribution. */
  readonly within: ((process: Process, fn: () => void) => void) | undefined
}

export class Scheduler {
  /** Whose code is on the stack. */
  running: Process | undefined = undefined
  /** Messages handled so far. */
  handled = 0
  /** Stretches as long as an overrun in which no single handler could be named. */
  unnamed = 0
  readonly #queue = new RingQueue<Process>()
  readonly #clock: Clock
  readonly #loop: Loop
  readonly #countOnly: boolean
  readonly #overrunMs: number
  readonly #slow: SchedulerOptions['slow']
  readonly #broke: SchedulerOptions['broke']
  readonly #within: ((process: Process, fn: () => void) => void) | undefined
  #scheduled = false
  #inTurn = false
  /** The turn is over when `handled` gets there. */
  #turnEndsAt = TURN_MESSAGES
  /** The budget is looked at when `handled` gets there. */
  #checkAt = 0
  #turnMs = 0
  #checkedMs = 0
  /** Messages are timed one by one until `handled` gets there. */
  #timedUntil = 0
  /** Set while slices are timed or wrapped. */
  #special: ((process: Process) => void) | undefined = undefined
  /** When the handler that is timed began. */
  #timedMs = 0

  constructor(options: SchedulerOptions) {
    this.#clock = options.clock
    this.#loop = options.loop
    this.#countOnly = options.countOnly
    this.#overrunMs = options.countOnly ? Number.POSITIVE_INFINITY : options.overrunMs
    this.#slow = options.slow
    this.#broke = options.broke
    this.#within = options.within
    if (options.within !== undefined) this.#special = this.#specialSlice
  }

  get queued(): number {
    return this.#queue.length
  }

  /** Runs `fn` as code of `process`: for what comes after an await. */
  as<T>(process: Process, fn: () => T): T {
    const before = this.running
    this.running = process
    try {
      return fn()
    } finally {
      this.running = before
    }
  }

  /** Puts an idle (or held, or no longer parked) process into the run queue. */
  wake(process: Process): void {
    process.phase = Phase.ready
    this.#queue.push(process)
    if (this.#scheduled) return
    this.#scheduled = true
    if (this.handled < this.#turnEndsAt) this.#loop.soon(this.#drain)
    else this.#loop.later(this.#drainAfresh)
  }

  /** The process waits; nothing of it runs until `until` resolves, which never rejects. */
  readonly park = (process: Process, until: Promise<void>): void => {
    if (process.phase === Phase.dead) return
    process.phase = Phase.parked
    void until.then(() => {
      if (process.phase !== Phase.parked) return
      if (process.hasMail) this.wake(process)
      else process.phase = Phase.idle
    })
  }

  readonly #drain = (): void => {
    if (!this.#inTurn) this.#beginTurn()
    else if (this.handled < this.#timedUntil) this.#timedMs = this.#clock.now()
    const queue = this.#queue
    try {
      while (!queue.isEmpty) {
        if (this.handled >= this.#checkAt && this.#spent()) {
          this.#loop.later(this.#drainAfresh)
          return
        }
        const process = queue.shift() as Process
        if (process.phase !== Phase.ready) continue
        process.phase = Phase.running
        this.running = process
        if (this.#special === undefined) this.#slice(process)
        else this.#special(process)
        this.running = undefined
        if (process.phase === Phase.running) this.#rest(process)
      }
      this.#scheduled = false
    } catch (error) {
      this.#loop.later(this.#drainAfresh) // who else is ready has its turn
      const process = this.running
      this.running = undefined
      this.#broke(process, error)
    }
  }

  readonly #drainAfresh = (): void => {
    this.#endTurn()
    this.#drain()
  }

  /** Its slice is over. */
  #rest(process: Process): void {
    if (process.hasMail) {
      process.phase = Phase.ready
      this.#queue.push(process)
    } else {
      process.phase = Phase.idle
    }
  }

  #slice(process: Process): void {
    this.handled += process.step(SLICE, this.park)
  }

  /** A slice that is timed, or wrapped. Kept apart: next to it a plain slice is a tenth slower. */
  readonly #specialSlice = (process: Process): void => {
    const timed = this.handled < this.#timedUntil
    const slice = (): void => (timed ? this.#timedSlice(process) : this.#slice(process))
    if (this.#within !== undefined) this.#within(process, slice)
    else slice()
    if (!timed && this.#within === undefined) this.#special = undefined
  }

  #timedSlice(process: Process): void {
    const until = Math.min(this.#timedUntil, this.handled + SLICE)
    let mail: unknown
    do {
      mail = process.started ? process.mailbox?.peek() : BEGINNING
      this.handled += process.step(1, this.park)
    } while (this.#time(process, mail) && this.handled < until)
  }

  /** Whether the process has more to do in its slice. */
  #time(process: Process, mail: unknown): boolean {
    const nowMs = this.#clock.now()
    const tookMs = nowMs - this.#timedMs
    this.#timedMs = nowMs
    if (tookMs >= this.#overrunMs) {
      this.#checkedMs = nowMs // told, and not to be counted once more
      this.#slow(process, mail, tookMs)
    }
    return process.phase === Phase.running && process.hasMail
  }

  #beginTurn(): void {
    this.#inTurn = true
    this.#checkNext()
    if (!this.#countOnly) this.#turnMs = this.#checkedMs = this.#timedMs = this.#clock.now()
    if (this.#overrunMs < Number.POSITIVE_INFINITY) this.#timeNext(TIMED_FIRST)
    this.#loop.turnEnd(this.#endTurn)
  }

  readonly #endTurn = (): void => {
    if (!this.#inTurn) return
    if (!this.#countOnly) this.#check()
    this.#inTurn = false
    this.#turnEndsAt = this.handled + TURN_MESSAGES
    this.#checkNext()
  }

  #spent(): boolean {
    if (this.handled >= this.#turnEndsAt) return true
    this.#checkNext()
    if (this.#countOnly || this.#check() - this.#turnMs < TURN_MS) return false
    this.#turnEndsAt = this.handled
    return true
  }

  #checkNext(): void {
    this.#checkAt = Math.min(this.handled + SLICE, this.#turnEndsAt)
  }

  #check(): number {
    const nowMs = this.#clock.now()
    const tookMs = nowMs - this.#checkedMs
    this.#checkedMs = nowMs
    if (tookMs >= this.#overrunMs) {
      this.unnamed += 1
      this.#timeNext(TIMED_AFTER)
      this.#timedMs = nowMs
    }
    return nowMs
  }

  #timeNext(messages: number): void {
    this.#timedUntil = Math.max(this.#timedUntil, this.handled + messages)
    this.#special = this.#specialSlice
  }
}
