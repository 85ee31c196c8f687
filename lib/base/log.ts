import type { Clock } from './runtime.js'

/** Where a node's log lines go. pino, console and OpenTelemetry loggers fit. */
export interface Logger {
  debug(message: string, fields?: object): void
  info(message: string, fields?: object): void
  warn(message: string, fields?: object): void
  error(message: string, fields?: object): void
}

const nothing = (): void => {}
export const SILENT: Logger = Object.freeze({ debug: nothing, info: nothing, warn: nothing, error: nothing })

/** Causes remembered by one limiter; beyond it the oldest is forgotten and may log once more. */
const CAUSES_MAX = 256

/**
 * Lets one line per cause and interval through, and says with the next one how many were held back. A flood of one
 * cause never hides another.
 */
export class RateLimiter {
  readonly #clock: Clock
  readonly #everyMs: number
  readonly #causes = new Map<string, { atMs: number; held: number }>()

  constructor(clock: Clock, everyMs: number) {
    this.#clock = clock
    this.#everyMs = everyMs
  }

  /** Undefined: keep silent. Otherwise how many of this cause were held back since the last line. */
  admit(cause: string): number | undefined {
    const nowMs = this.#clock.now()
    const known = this.#causes.get(cause)
    if (known !== undefined && nowMs - known.atMs < this.#everyMs) {
      known.held += 1
      return undefined
    }
    this.#causes.delete(cause)
    if (this.#causes.size >= CAUSES_MAX) this.#causes.delete(this.#causes.keys().next().value as string)
    this.#causes.set(cause, { atMs: nowMs, held: 0 })
    return known?.held ?? 0
  }
}
