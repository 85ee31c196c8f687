import type { Clock, Timer } from '../base/runtime.js'
import { EventHeap } from './event-heap.js'

/** Midnight of 2024-01-01, UTC: any fixed day will do. */
export const WALL_START_MS = 1_704_067_200_000

/**
 * A clock that moves only when told to, for unit tests of anything that takes a `Clock`. Timers fire inside `advance`,
 * in due order, ties in the order they were set. Whole clusters are for `Simulation`, which explores other orders.
 *
 * ```ts
 * const clock = new SimClock()
 * clock.after(1_000, () => console.log('a second'))
 * clock.advance(1_000)
 * ```
 */
export class SimClock implements Clock {
  readonly #timers = new EventHeap<SimTimer>()
  #nowMs = 0
  #set = 0
  #wallOffsetMs = WALL_START_MS

  now(): number {
    return this.#nowMs
  }

  wallNow(): number {
    return this.#wallOffsetMs + this.#nowMs
  }

  after(ms: number, fn: () => void): Timer {
    if (!(ms >= 0 && ms < Infinity)) throw new RangeError(`after: expected finite ms from 0, got ${ms}`)
    const timer = new SimTimer(fn)
    this.#timers.push(this.#nowMs + ms, this.#set++, timer)
    return timer
  }

  /** Moves on by `ms`, firing what falls due, also what was set on the way. */
  advance(ms: number): void {
    const untilMs = this.#nowMs + ms
    while (this.#timers.nextMs <= untilMs) {
      this.#nowMs = this.#timers.nextMs
      this.#timers.pop()?.fire()
    }
    this.#nowMs = untilMs
  }

  /** Sets the wall clock without touching the monotonic one, as an operator or NTP may. */
  jumpWall(ms: number): void {
    this.#wallOffsetMs += ms
  }

  /** When the next timer is due (also one that was cleared), `Infinity` when none is set. */
  get nextMs(): number {
    return this.#timers.nextMs
  }
}

class SimTimer implements Timer {
  #fn: (() => void) | undefined

  constructor(fn: () => void) {
    this.#fn = fn
  }

  clear(): void {
    this.#fn = undefined
  }

  fire(): void {
    const fn = this.#fn
    this.#fn = undefined
    fn?.()
  }
}
