/**
 * When a source of addresses is asked again, and what is worth a line. Pure.
 *
 *   found    after `everyMs`, a quarter more or less
 *   failed   after 0.5 s, doubling to a minute, half of it jitter
 *
 * A source that fails keeps failing for the same reason: that is said once, and once more when it is over.
 */
const FAILED_MS = 500
const FAILED_MS_MAX = 60_000

export interface News {
  readonly level: 'info' | 'warn'
  readonly text: string
}

export interface Next {
  /** Ask again after this. */
  readonly afterMs: number
  readonly news: News | undefined
}

export class LookPlan {
  readonly #everyMs: number
  #failures = 0
  #said: string | undefined

  constructor(everyMs: number) {
    this.#everyMs = everyMs
  }

  /** It answered; `wrong` is what is wrong with the answer all the same. `chance` in [0, 1). */
  found(wrong: string | undefined, chance: number): Next {
    const failed = this.#failures > 0
    this.#failures = 0
    const over: News | undefined = failed ? { level: 'info', text: 'answers again' } : undefined
    return { afterMs: this.#everyMs * (0.75 + chance / 2), news: this.#news(wrong) ?? over }
  }

  failed(why: string, chance: number): Next {
    const delayMs = Math.min(FAILED_MS_MAX, FAILED_MS * 2 ** Math.min(this.#failures, 16))
    this.#failures += 1
    return { afterMs: delayMs * (0.5 + chance / 2), news: this.#news(why) }
  }

  #news(text: string | undefined): News | undefined {
    const changed = text !== this.#said
    this.#said = text
    return changed && text !== undefined ? { level: 'warn', text } : undefined
  }
}
