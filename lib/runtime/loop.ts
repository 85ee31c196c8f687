import type { Loop } from '../base/runtime.js'

const LAG_EVERY_MS = 100
/** Ticks that nobody asked about before the measurement ends. The next `lag()` starts it again. */
const LAG_TICKS_UNASKED = 50

/**
 * Node's event loop. `later` is a ref'd immediate on purpose: with only unref'd ones libuv blocks in its poll phase,
 * and a drain that handed over would wait for the next packet. `turnEnd` is nextTick, which from inside a drain (a
 * microtask) runs when no microtask is left; called straight from a socket or timer callback it comes before the drains
 * that this callback started. Coalescing (one pending call per purpose) is left to the callers.
 */
export class RealLoop implements Loop {
  readonly #lag = new LagMeter()

  soon(fn: () => void): void {
    queueMicrotask(fn)
  }

  later(fn: () => void): void {
    setImmediate(fn)
  }

  turnEnd(fn: () => void): void {
    process.nextTick(fn)
  }

  lag(): number {
    return this.#lag.read()
  }

  hold(): () => void {
    const handle = setInterval(() => {}, 2 ** 31 - 1)
    return () => clearInterval(handle)
  }
}

/**
 * Measures by the lateness of an unref'd timer. It runs while somebody asks: 5 s after the last question it ends, so
 * a stopped node needs not stop it. A stall is visible before the timer itself had its turn, because a question
 * compares with the time at which the timer should have run.
 */
class LagMeter {
  #timer: NodeJS.Timeout | undefined
  #dueMs = 0
  #lateMs = 0
  #unasked = 0

  read(): number {
    this.#unasked = 0
    if (this.#timer === undefined) this.#arm()
    return Math.max(this.#lateMs, performance.now() - this.#dueMs)
  }

  #arm(): void {
    this.#dueMs = performance.now() + LAG_EVERY_MS
    this.#timer = setTimeout(() => this.#tick(), LAG_EVERY_MS).unref()
  }

  #tick(): void {
    this.#lateMs = Math.max(0, performance.now() - this.#dueMs)
    this.#unasked += 1
    if (this.#unasked <= LAG_TICKS_UNASKED) {
      this.#arm()
      return
    }
    this.#timer = undefined
    this.#lateMs = 0
  }
}
