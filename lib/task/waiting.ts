/**
 * How an owner waits: as it waits for the reply to a call, with the same deadlines, abort signals, limit and end. What
 * it waits for wakes it; what became of it is then read where it stands.
 */
import type { Inside } from '../actor/inside.js'
import { TroupeError } from '../base/errors.js'
import type { Pid } from '../base/ids.js'
import { timeoutOf, type WaitOptions } from '../base/options.js'
import { deadError } from '../process/monitors.js'
import { timeoutError } from '../process/pending-calls.js'
import type { Process } from '../process/process.js'

export interface Waiting {
  /** For whom, and on what: the words of errors. */
  readonly to: Pid
  readonly tag: string
  readonly options: WaitOptions | undefined
  /** Is given what ends the waiting; may call it at once. Returns its undoing. */
  readonly begin: (wake: () => void) => () => void
}

/**
 * Resolves true when woken and false when the time is over; rejects with `ERR_DEAD` when the owner dies, `ERR_STOPPED`,
 * `ERR_BUSY`, or what the signal aborted with.
 */
export async function wait({ actors, process: owner }: Inside, waiting: Waiting): Promise<boolean> {
  const { to, tag, options, begin } = waiting
  const { calls } = actors.table
  if (owner?.dead === true) throw deadError(owner.pid)
  options?.signal?.throwIfAborted()
  if (calls.full) throw busyError(calls.size)
  const timeoutMs = timeoutOf(options)
  const caller = owner?.pid ?? actors.outside
  const signal = options?.signal
  const request = calls.open({ asker: owner, caller, to, tag, payload: undefined, timeoutMs, signal })
  const undo = begin(() => request.reply(undefined))
  if (timeoutMs === 0) calls.abandon(request, timeoutError(request))
  try {
    await request.promise
    return true
  } catch (error) {
    if (signal?.aborted === true || !TroupeError.is(error, 'ERR_TIMEOUT')) throw error
    return false
  } finally {
    undo()
  }
}

/** What the owner left unawaited when it died must not become an unhandled rejection of the whole program. */
export function ownedBy<R>(owner: Process | undefined, inner: Promise<R>): Promise<R> {
  const outer = new Promise<R>((resolve, reject) => {
    inner.then(resolve, error => {
      if (owner?.dead === true) outer.catch(() => {})
      reject(error)
    })
  })
  return outer
}

const busyError = (waiting: number): TroupeError =>
  new TroupeError('ERR_BUSY', `${waiting} calls of this node wait for replies already`, {
    limit: 'pendingCallsMax',
  })
