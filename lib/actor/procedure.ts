/**
 * Functions that other nodes may call by name, and how they are called. A node runs those that are in its list, and
 * nothing else; what crosses is the name and the input, never code. `remote/` implements the calls.
 */

import type { TroupeError } from '../base/errors.js'
import { show } from '../base/errors.js'
import type { NodeId, Pid } from '../base/ids.js'
import { expect, isFunction } from '../base/options.js'
import type { ExitReason } from '../base/reasons.js'
import type { Sent } from '../process/mail.js'
import type { CallOptions, Self } from './api.js'
import { checkDefinitionName } from './define.js'

/** What `defineProcedure` returned. Its function is there to be tested; calling it runs it here, in no process. */
export interface Procedure<Name extends string, Input, Output> {
  readonly name: Name
  readonly fn: (input: Input, self: Self) => Output
}

export type AnyProcedure = Procedure<string, never, unknown>
export type InputOf<P> = P extends Procedure<string, infer Input, unknown> ? Input : never
export type OutputOf<P> = P extends Procedure<string, never, infer Output> ? Awaited<Output> : never

/** How a procedure failed: by an `Error`, another thrown value, its own exit, an exit signal; or it is not in the list. */
export type RpcFailure = 'error' | 'throw' | 'exit' | 'signal' | 'undef'

/** What a call rejects with when the procedure itself failed; see `isRemoteError`. */
export interface RemoteError extends TroupeError {
  /** `ERR_UNKNOWN_ACTOR` for kind `'undef'`. */
  readonly code: 'ERR_EXIT' | 'ERR_UNKNOWN_ACTOR'
  readonly detail: {
    readonly kind: RpcFailure
    /** What was thrown, or the exit reason. An `Error` has the remote stack, and is the `cause`, too. */
    readonly reason: ExitReason
    readonly procedure: string
    readonly node: NodeId
    /** The process that ran it. Undefined for `'undef'`. */
    readonly pid?: Pid
    /** For `'undef'`: what the node lists. */
    readonly known?: readonly string[]
  }
}

/** One node's part of a `multicall`. */
export type RpcResult<T> =
  | { readonly node: NodeId; readonly ok: true; readonly value: T }
  | { readonly node: NodeId; readonly ok: false; readonly error: unknown }

/** No parameter in the function, no argument at the call; one that may be undefined may be left out. */
export type Given<Input> = [Input] extends [void]
  ? [input?: undefined]
  : undefined extends Input
    ? [input?: Input]
    : [input: Input]
type Named<P extends AnyProcedure> = P | P['name']

/** The procedures of one node. */
export interface Rpc {
  /**
   * Runs the procedure there, in a process of its own, and gives what it returned. At most once, in order with what the
   * caller sends to that node. With `import type` a name is enough: `call<typeof resize>('resize', input)`.
   *
   * Rejects when it failed (`isRemoteError` tells how); with `ERR_TIMEOUT` (it goes on, and what it returns is dropped);
   * with `ERR_NOCONNECTION` when there is no session, or it was lost midway, or that node stopped; with `ERR_BUSY`,
   * `ERR_STOPPED` (nothing ran); with `ERR_PAYLOAD`, `ERR_TOO_LARGE`. When `signal` aborts it rejects with its reason,
   * and the procedure's process is sent the exit signal `'shutdown'`. A caller that dies ends nothing, unless its own
   * `signal` was given. Throws `TypeError` for what is no procedure, and for wrong options.
   */
  call<P extends AnyProcedure>(
    procedure: Named<P>,
    ...rest: [...Given<InputOf<P>>, options?: CallOptions]
  ): Promise<OutputOf<P>>
  /**
   * Runs it there without waiting. Never fails for want of a node or of a procedure; a failure is reported on that node,
   * as that of any process. Throws `ERR_PAYLOAD`, `ERR_TOO_LARGE`.
   */
  cast<P extends AnyProcedure>(procedure: Named<P>, ...input: Given<InputOf<P>>): Sent
}

/** The procedures of several nodes. */
export interface RpcMany {
  /** As `call` on each node at once. One result each, in the order in which the nodes were named; it never rejects. */
  multicall<P extends AnyProcedure>(
    procedure: Named<P>,
    ...rest: [...Given<InputOf<P>>, options?: CallOptions]
  ): Promise<readonly RpcResult<OutputOf<P>>[]>
  /** As `cast` on each of them. */
  multicast<P extends AnyProcedure>(procedure: Named<P>, ...input: Given<InputOf<P>>): void
}

/** Where the procedures run: a node's name, or several. One that is named twice is asked twice. */
export interface RpcOn {
  (on: string): Rpc
  (on: readonly string[]): RpcMany
}

/**
 * Defines a function that other nodes may call: its name, which is what crosses, and the function, from which all types
 * are inferred. It runs as a process function does (see `Node.run`), with `self` as its second argument.
 *
 * ```ts
 * const resize = defineProcedure('resize', async (input: { width: number }) => ({ bytes: input.width * 3 }))
 * const node = await createNode({ name: 'a', procedures: [resize] })
 * const { bytes } = await node.rpc('a').call(resize, { width: 640 })
 * ```
 *
 * Throws `TypeError` for a name of other than letters, digits and `_.:/-`, and for what is no function.
 */
export function defineProcedure<const Name extends string, Input = void, Output = unknown>(
  name: Name,
  fn: (input: Input, self: Self) => Output,
): Procedure<Name, Input, Output> {
  checkDefinitionName('defineProcedure: name', name)
  expect(`defineProcedure(${show(name)}): fn`, fn, isFunction)
  return Object.freeze({ name, fn })
}

/** True for what `defineProcedure` returned. */
export const isProcedure = (value: unknown): value is AnyProcedure =>
  typeof value === 'object' &&
  value !== null &&
  typeof (value as Partial<AnyProcedure>).name === 'string' &&
  typeof (value as Partial<AnyProcedure>).fn === 'function'
