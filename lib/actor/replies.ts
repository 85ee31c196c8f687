/** Answers by hand: what `ctx.from` is, and the requests that a process has promised to answer later. */
import type { Pid } from '../base/ids.js'
import type { ExitReason } from '../base/reasons.js'
import type { Request } from '../process/mail.js'
import { exitError } from '../process/process-table.js'
import type { From } from './api.js'
import type { Later } from './define.js'

/** What `ctx.later()` returns: one value, known by its identity. */
export const LATER: Later<never> = Object.freeze({ '~later': undefined as never })

/** The way back to a caller. It may be kept, and sent to other processes of this node. */
export class ReplyTo implements From {
  readonly #request: Request
  readonly #promises: Promises | undefined

  constructor(request: Request, promises: Promises | undefined) {
    this.#request = request
    this.#promises = promises
  }

  get pid(): Pid {
    return this.#request.caller
  }

  reply(value: unknown): void {
    this.#request.reply(value)
    this.#promises?.forget(this.#request)
  }
}

/** Kept small by forgetting settled ones whenever the set has doubled: a caller that gave up tells nobody here. */
const SWEEP_FROM = 64

/** Requests that a process has taken and not answered. When it dies they fail. */
export class Promises {
  readonly #requests = new Set<Request>()
  #sweepAt = SWEEP_FROM

  get size(): number {
    return this.#requests.size
  }

  add(request: Request): void {
    if (request.settled) return
    this.#requests.add(request)
    if (this.#requests.size < this.#sweepAt) return
    for (const known of this.#requests) if (known.settled) this.#requests.delete(known)
    this.#sweepAt = Math.max(SWEEP_FROM, this.#requests.size * 2)
  }

  forget(request: Request): void {
    this.#requests.delete(request)
  }

  failAll(pid: Pid, reason: ExitReason): void {
    for (const request of this.#requests) request.fail(exitError(pid, request.tag, reason))
    this.#requests.clear()
  }
}

/** Never throws: handlers return whatever they like, and this is asked where nobody would catch it. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  if (typeof value !== 'object' || value === null) return false
  try {
    return typeof (value as { then?: unknown }).then === 'function'
  } catch {
    return false // a getter of the user's
  }
}
