import { TroupeError } from '../base/errors.js'
import type { Pid } from '../base/ids.js'
import type { ExitReason } from '../base/reasons.js'
import { Request } from '../process/mail.js'
import type { CopyLocal } from '../process/pending-calls.js'

/** How a task ended: with what its function returned, or for another reason. */
export type TaskResult<T> = { readonly ok: T } | { readonly exit: ExitReason }

/**
 * The end of a task, as a request that the task has promised to answer: a process that dies fails what it still owes,
 * after its links and monitors have been told. So there is no second way in which ends are told.
 *
 *   fn returns v ─▶ reply(v): noted        death ─▶ fail(reason) ─▶ { ok: v }, where one was noted, else { exit: reason }
 */
export class Outcome extends Request {
  result: TaskResult<unknown> | undefined = undefined
  readonly #copyLocal: CopyLocal | undefined
  readonly #ending = new Set<() => void>()
  #noted: { readonly ok: unknown } | undefined = undefined

  constructor(owner: Pid, copyLocal: CopyLocal | undefined) {
    super('result', undefined, owner)
    this.#copyLocal = copyLocal
  }

  get settled(): boolean {
    return this.result !== undefined
  }

  reply(value: unknown): void {
    this.#noted = { ok: this.#copyLocal === undefined ? value : this.#copyLocal(value, 'result') }
  }

  fail(error: unknown): void {
    if (this.result !== undefined) return
    this.result = this.#noted ?? { exit: reasonIn(error) }
    const ending = [...this.#ending]
    this.#ending.clear()
    for (const fn of ending) fn()
  }

  /** `fn` is called when the task ends, on the stack of its death: it must not run user code. Returns its undoing. */
  onEnd(fn: () => void): () => void {
    this.#ending.add(fn)
    return () => void this.#ending.delete(fn)
  }
}

/** Why a process did not answer, or did not even start. */
const reasonIn = (error: unknown): ExitReason =>
  TroupeError.is(error, 'ERR_EXIT') || TroupeError.is(error, 'ERR_START') ? error.detail['reason'] : error
