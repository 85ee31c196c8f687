import { show, TroupeError } from '../base/errors.js'
import type { Pid } from '../base/ids.js'
import type { ExitReason } from '../base/reasons.js'
import type { Process } from '../process/process.js'
import type { ProcessTable } from '../process/process-table.js'
import type { Timing } from '../process/timer-heap.js'

export interface Starting {
  readonly table: ProcessTable
  readonly process: Process
  readonly parent: Pid | undefined
  readonly defName: string
  /** Settles what the starter waits for: undefined when `init` is over and has not failed. */
  readonly settled: (error: unknown) => void
}

/**
 * Who waits for an actor's `init`: settles once, by the start or by the death that came before it. One object and one
 * timer for each start, because there may be a million of them.
 */
export class Starter {
  readonly parent: Pid | undefined
  readonly #table: ProcessTable
  readonly #process: Process
  readonly #defName: string
  readonly #settled: (error: unknown) => void
  #why: { readonly error: unknown } | undefined = undefined
  #timing: Timing | undefined = undefined
  #signal: AbortSignal | undefined = undefined
  #aborted: (() => void) | undefined = undefined

  constructor({ table, process, parent, defName, settled }: Starting) {
    this.parent = parent
    this.#table = table
    this.#process = process
    this.#defName = defName
    this.#settled = settled
  }

  /** From now on it waits no longer than `timeoutMs`, and no longer than `signal` lets it. */
  limit(timeoutMs: number, signal: AbortSignal | undefined): void {
    this.#timing = this.#table.timers.after(timeoutMs, () => {
      this.because('timeout')
      this.#table.die(this.#process, 'killed')
    })
    if (signal === undefined) return
    this.#signal = signal
    this.#aborted = () => this.abandon(signal.reason, 'killed')
    signal.addEventListener('abort', this.#aborted)
  }

  started(): void {
    this.#settle(undefined)
  }

  /** The death that follows is one of a start that failed for this reason. */
  because(reason: ExitReason): void {
    if (this.#why === undefined) this.#why = { error: startError(this.#defName, reason) }
  }

  /** The process dies, and its death is reported as `error`. */
  abandon(error: unknown, reason: ExitReason): void {
    if (this.#why === undefined) this.#why = { error }
    this.#table.die(this.#process, reason)
  }

  failed(reason: ExitReason): void {
    this.because(reason)
    this.#settle(this.#why?.error)
  }

  #settle(error: unknown): void {
    if (this.#timing !== undefined) this.#table.timers.cancel(this.#timing)
    if (this.#aborted !== undefined) this.#signal?.removeEventListener('abort', this.#aborted)
    this.#settled(error)
  }
}

export const startError = (defName: string, reason: ExitReason): TroupeError =>
  new TroupeError(
    'ERR_START',
    `${show(defName)} did not start: ${show(reason)}`,
    { actor: defName, reason },
    reason instanceof Error ? reason : undefined,
  )
