/**
 * One run queue and one drain. A drain starts before the event loop goes on (`loop.soon`), because an awaited reply
 * that waits for a whole turn costs five times as much; it is bounded, because what starts there starves sockets and
 * timers. All drains of one turn share one budget: a caller that awaits reply after reply starts a drain per message.
 *
 *   turn:  drain drain drain │ budget spent → loop.later │ next turn: a fresh budget
 */
import type { Pid } from '../base/ids.js'
import { RingQueue } from '../base/ring-queue.js'
import type { Clock, Loop } from '../base/runtime.js'
import { Phase, type Process } from './process.js'

/** Messages of one process before the next one has its go. Also how often the clock is read. */
const SLICE = 64
/** Messages in one turn. Measured: 100 and 1,000 cost the same. */
const TURN_MESSAGES = 16_384
const TURN_MS = 5
/** A slice that takes longer than this is reported. */
const SLOW_MS = 250

export interface SchedulerOptions {
  readonly clock: Clock
  readonly loop: Loop
  /** Budgets by count alone, so that a simulated run does not depend on the speed of the machine. */
  readonly countOnly: boolean
  /** `pid` was the last to run in `ms` during which nothing else could. */
  readonly slow: (pid: Pid, ms: number) => void
  /** Wraps every slice; see attribution. */
  readonly within: ((process: Process, fn: () => void) => void) | undefined
}

export class Scheduler {
  /** Whose code is on the stack. */
  running: Process | undefined = undefined
  /** Messages handled so far. */
  handled = 0
  readonly #queue = new RingQueue<Process>()
  readonly #clock: Clock
  readonly #loop: Loop
  readonly #countOnly: boolean
  readonly #slow: (pid: Pid, ms: number) => void
  readonly #within: ((process: Process, fn: () => void) => void) | undefined
  #scheduled = false
  #inTurn = false
  /** The turn is over when `handled` gets there. */
  #turnEndsAt = TURN_MESSAGES
  /** The budget is looked at when `handled` gets there. */
  #checkAt = 0
  #turnMs = 0
  #checkedMs = 0
  #last: Process | undefined = undefined

  constructor(options: SchedulerOptions) {
    this.#clock = options.clock
    this.#loop = options.loop
    this.#countOnly = options.countOnly
    this.#slow = options.slow
    this.#within = options.within
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
    const queue = this.#queue
    while (queue.length > 0) {
      if (this.handled >= this.#checkAt && this.#spent()) {
        this.#loop.later(this.#drainAfresh)
        return
      }
      const process = queue.shift() as Process
      if (process.phase !== Phase.ready) continue
      process.phase = Phase.running
      this.running = process
      if (this.#within === undefined) this.#slice(process)
      else this.#within(process, () => this.#slice(process))
      this.running = undefined
      if (process.phase === Phase.running) this.#rest(process)
    }
    this.#scheduled = false
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
    this.#last = process
  }

  #beginTurn(): void {
    this.#inTurn = true
    this.#checkNext()
    if (!this.#countOnly) this.#turnMs = this.#checkedMs = this.#clock.now()
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
    if (tookMs >= SLOW_MS && this.#last !== undefined) this.#slow(this.#last.pid, tookMs)
    this.#last = undefined
    return nowMs
  }
}
