/**
 * All timers of a node: one binary heap ordered by (deadline, order of creation) over one timer of the clock. So equal
 * deadlines fire in the order in which they were set, and a million timers cost the event loop one.
 *
 * The clock's timer is set for the earliest deadline. Cancelling leaves it: it fires, finds nothing due and is set
 * again, which is cheaper than moving it with every timer that comes and goes.
 */
import type { Clock, Timer } from '../base/runtime.js'

export class Timing {
  deadlineMs: number
  seq: number
  /** Where it stands in the heap; -1 when it does not. */
  index = -1
  readonly fire: (timing: Timing) => void

  constructor(deadlineMs: number, seq: number, fire: (timing: Timing) => void) {
    this.deadlineMs = deadlineMs
    this.seq = seq
    this.fire = fire
  }

  get pending(): boolean {
    return this.index >= 0
  }
}

export class TimerHeap {
  readonly #clock: Clock
  readonly #heap: Timing[] = []
  #seq = 0
  #armed: Timer | undefined = undefined
  #armedForMs = Number.POSITIVE_INFINITY

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#heap.length
  }

  now(): number {
    return this.#clock.now()
  }

  /** `fire` runs once, `ms` from now, never synchronously. It must not run user code. */
  after(ms: number, fire: (timing: Timing) => void): Timing {
    return this.at(this.#clock.now() + ms, fire)
  }

  at(deadlineMs: number, fire: (timing: Timing) => void): Timing {
    const timing = new Timing(deadlineMs, 0, fire)
    this.again(timing, deadlineMs)
    return timing
  }

  /** Sets a timer that has fired or been cancelled once more. */
  again(timing: Timing, deadlineMs: number): void {
    this.#seq += 1
    timing.deadlineMs = deadlineMs
    timing.seq = this.#seq
    this.#heap.push(timing)
    this.#up(this.#heap.length - 1, timing)
    if (this.#heap[0] === timing) this.#arm()
  }

  /** Ms that were left; undefined when it is not pending. */
  cancel(timing: Timing): number | undefined {
    if (timing.index < 0) return undefined
    this.#takeOut(timing.index)
    if (this.#heap.length === 0) this.#disarm()
    return this.left(timing)
  }

  /** Ms until the deadline, from 0. */
  left(timing: Timing): number {
    return Math.max(0, timing.deadlineMs - this.#clock.now())
  }

  #arm(): void {
    const first = this.#heap[0]
    if (first === undefined || first.deadlineMs >= this.#armedForMs) return
    this.#disarm()
    this.#armedForMs = first.deadlineMs
    this.#armed = this.#clock.after(Math.max(0, first.deadlineMs - this.#clock.now()), this.#expire)
  }

  #disarm(): void {
    this.#armed?.clear()
    this.#armed = undefined
    this.#armedForMs = Number.POSITIVE_INFINITY
  }

  readonly #expire = (): void => {
    this.#disarm()
    const nowMs = this.#clock.now()
    for (let first = this.#heap[0]; first !== undefined && first.deadlineMs <= nowMs; first = this.#heap[0]) {
      this.#takeOut(0)
      first.fire(first)
    }
    this.#arm()
  }

  #takeOut(index: number): void {
    const timing = this.#heap[index] as Timing
    const last = this.#heap.pop() as Timing
    timing.index = -1
    if (last === timing) return
    this.#down(index, last)
    if (last.index === index) this.#up(index, last)
  }

  #up(start: number, timing: Timing): void {
    let index = start
    while (index > 0) {
      const above = (index - 1) >> 1
      const parent = this.#heap[above] as Timing
      if (!before(timing, parent)) break
      this.#put(index, parent)
      index = above
    }
    this.#put(index, timing)
  }

  #down(start: number, timing: Timing): void {
    let index = start
    for (;;) {
      const left = index * 2 + 1
      if (left >= this.#heap.length) break
      const right = left + 1
      const smaller =
        right < this.#heap.length && before(this.#heap[right] as Timing, this.#heap[left] as Timing)
          ? right
          : left
      const child = this.#heap[smaller] as Timing
      if (!before(child, timing)) break
      this.#put(index, child)
      index = smaller
    }
    this.#put(index, timing)
  }

  #put(index: number, timing: Timing): void {
    this.#heap[index] = timing
    timing.index = index
  }
}

const before = (a: Timing, b: Timing): boolean =>
  a.deadlineMs < b.deadlineMs || (a.deadlineMs === b.deadlineMs && a.seq < b.seq)
