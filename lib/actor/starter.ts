import { show, TroupeError } from '../base/errors.js'
import type { Pid } from '../base/ids.js'
import type { ExitReason } from '../base/reasons.js'
import type { Process } from '../process/process.js'
import type { ProcessTable } from '../process/process-table.js'
import type { Timing } from '../process/timer-heap.js'

export interface Starting<T> {
  readonly parent: Pid | undefined
  readonly defName: string
  /** What the promise resolves with. */
  readonly result: T
  /** `init` is over, and nothing ran since. */
  readonly started: ((pid: Pid) => void) | undefined
  readonly timeoutMs: number
}

/** A starter as its process knows it. */
export type Awaiting = Pick<Starter, 'parent' | 'started' | 'because' | 'failed' | 'waits'>

/**
 * Who waits for an actor's `init`: settles once, by the start or by the death that came before it. There may be a million
 * starts, so there is a timer only for those that wait for something: a promise of `init`, or a name before it.
 */
export class Starter<T = unknown> {
  readonly promise: Promise<T>
  readonly #starting: Starting<T>
  readonly #table: ProcessTable
  readonly #process: Process
  #resolve!: (result: T) => void
  #reject!: (error: unknown) => void
  #why: { readonly error: unknown } | undefined = undefined
  #timing: Timing | undefined = undefined
  #signal: AbortSignal | undefined = undefined
  #aborted: (() => void) | undefined = undefined

  constructor(table: ProcessTable, process: Process, starting: Starting<T>) {
    this.#table = table
    this.#process = process
    this.#starting = starting
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  get parent(): Pid | undefined {
    return this.#starting.parent
  }

  /** The start takes longer than a turn: from now on no longer than `timeoutMs`. */
  waits(): void {
    this.#timing ??= this.#table.timers.after(this.#starting.timeoutMs, () => {
      this.because('timeout')
      this.#table.die(this.#process, 'killed')
    })
  }

  /** Nor does it go on when `signal` aborts. */
  until(signal: AbortSignal): void {
    this.#signal = signal
    this.#aborted = () => this.abandon(signal.reason, 'killed')
    signal.addEventListener('abort', this.#aborted)
  }

  started(): void {
    this.#settle(undefined)
  }

  /** The death that follows is one of a start that failed for this reason. */
  because(reason: ExitReason): void {
    if (this.#why === undefined) this.#why = { error: startError(this.#starting.defName, reason) }
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
    if (error !== undefined) return this.#reject(error)
    this.#starting.started?.(this.#process.pid)
    this.#resolve(this.#starting.result)
  }
}

export const startError = (defName: string, reason: ExitReason): TroupeError =>
  new TroupeError(
    'ERR_START',
    `${show(defName)} did not start: ${show(reason)}`,
    { actor: defName, reason },
    reason instanceof Error ? reason : undefined,
  )
