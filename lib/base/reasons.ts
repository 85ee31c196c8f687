/**
 * Exit reasons. A reason is any value; some have a meaning of their own:
 *
 *   'normal', 'shutdown', { shutdown: x }   clean: nothing is reported, a transient child is not restarted
 *   'kill'                                  as a signal from outside it cannot be trapped, and becomes 'killed'
 *   'noproc', 'noconnection'                given to links and monitors of nobody, and of nodes out of reach
 */
export type ExitReason = unknown

export const isShutdown = (reason: ExitReason): reason is 'shutdown' | { readonly shutdown: unknown } =>
  reason === 'shutdown' ||
  (typeof reason === 'object' && reason !== null && Object.hasOwn(reason, 'shutdown'))

/** Clean exits: `'normal'`, `'shutdown'`, `{ shutdown: x }`. */
export const isCleanExit = (reason: ExitReason): boolean => reason === 'normal' || isShutdown(reason)

/** What an uncaught throw becomes: an `Error` is itself the reason, anything else is wrapped. */
export const thrownReason = (thrown: unknown): ExitReason =>
  thrown instanceof Error ? thrown : { nocatch: thrown }
