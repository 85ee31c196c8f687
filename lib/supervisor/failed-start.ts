/** What a tree that did not start says: which child it was, and why, however deep it stands. */
import { show, TroupeError } from '../base/errors.js'
import { isObject } from '../base/options.js'
import type { ExitReason } from '../base/reasons.js'
import type { ChildId } from './tree.js'

interface FailedChild {
  readonly failedToStartChild: ChildId
  readonly reason: ExitReason
}

/** The reason of a supervisor that could not start a child. */
export const failedStart = (id: ChildId, reason: ExitReason): ExitReason => ({
  shutdown: { failedToStartChild: id, reason } satisfies FailedChild,
})

/** The child that a reason speaks of, and its own reason; undefined for any other reason. */
export function failedChild(reason: ExitReason): FailedChild | undefined {
  if (isObject(reason) !== undefined) return undefined
  const { shutdown } = reason as { readonly shutdown?: unknown }
  const names = isObject(shutdown) === undefined && Object.hasOwn(shutdown as object, 'failedToStartChild')
  return names ? (shutdown as FailedChild) : undefined
}

/** Throws what a start rejected with, as an error that says in its message which child it was. */
export function throwFailedStart(what: string, error: unknown, detail?: object): never {
  if (!TroupeError.is(error, 'ERR_START') || failedChild(error.detail['reason']) === undefined) throw error
  const ids: string[] = []
  let root = error.detail['reason']
  for (let child = failedChild(root); child !== undefined; child = failedChild(root)) {
    ids.push(show(child.failedToStartChild))
    root = child.reason
  }
  throw new TroupeError(
    'ERR_START',
    `${what} did not start: ${ids.join(' / ')}: ${show(root)}`,
    { ...error.detail, ...detail },
    root instanceof Error ? root : error,
  )
}
