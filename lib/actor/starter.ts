import { show, TroupeError } from '../base/errors.js'
import type { Pid } from '../base/ids.js'
import type { ExitReason } from '../base/reasons.js'

/** Who waits for an actor's `init`: settles once, by the start or by the death that came before it. */
export class Starter {
  readonly parent: Pid | undefined
  readonly #defName: string
  readonly #settled: (error: unknown) => void
  #why: { readonly error: unknown } | undefined = undefined

  /** `settled` is given undefined when it started. */
  constructor(parent: Pid | undefined, defName: string, settled: (error: unknown) => void) {
    this.parent = parent
    this.#defName = defName
    this.#settled = settled
  }

  started(): void {
    this.#settled(undefined)
  }

  /** The death that follows is one of a start that failed for this reason. */
  because(reason: ExitReason): void {
    this.rejectWith(startError(this.#defName, reason))
  }

  /** The death that follows is reported as this error. */
  rejectWith(error: unknown): void {
    if (this.#why === undefined) this.#why = { error }
  }

  failed(reason: ExitReason): void {
    this.because(reason)
    this.#settled(this.#why?.error)
  }
}

export const startError = (defName: string, reason: ExitReason): TroupeError =>
  new TroupeError(
    'ERR_START',
    `${show(defName)} did not start: ${show(reason)}`,
    { actor: defName, reason },
    reason instanceof Error ? reason : undefined,
  )
