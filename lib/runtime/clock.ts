import type { Clock, Timer } from '../base/runtime.js'

/** setTimeout takes a signed 32-bit delay and turns anything longer into 1 ms. */
const CHUNK_MS = 2 ** 31 - 1

/**
 * Node's clock. libuv counts whole milliseconds and cuts the rest off, so its timers come up to one early; such a one is
 * armed again for the rest, and so is one that is longer than a chunk.
 */
export class RealClock implements Clock {
  now(): number {
    return performance.now()
  }

  wallNow(): number {
    return Date.now()
  }

  after(ms: number, fn: () => void): Timer {
    if (!(ms >= 0 && ms < Infinity)) throw new RangeError(`after: expected finite ms from 0, got ${ms}`)
    return new RealTimer(performance.now() + ms, fn)
  }
}

class RealTimer implements Timer {
  readonly #dueMs: number
  readonly #fn: () => void
  #timeout: NodeJS.Timeout

  constructor(dueMs: number, fn: () => void) {
    this.#dueMs = dueMs
    this.#fn = fn
    this.#timeout = this.#arm()
  }

  clear(): void {
    clearTimeout(this.#timeout)
  }

  #arm(): NodeJS.Timeout {
    const delayMs = Math.min(CHUNK_MS, Math.ceil(this.#dueMs - performance.now()))
    return setTimeout(() => this.#elapsed(), delayMs).unref()
  }

  #elapsed(): void {
    if (performance.now() < this.#dueMs) this.#timeout = this.#arm()
    else this.#fn()
  }
}
