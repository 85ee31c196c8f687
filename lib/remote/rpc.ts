/**
 * The caller's half of a procedure call. It waits as every call does, with the same deadlines, limits and end of the
 * caller, and here its failures are put into words; a call of this node itself takes the same way without the wire.
 *
 * Abort: the listener here is younger than that of the waiting, so the caller is told why it aborted, and not how its
 * procedure ended for that. A caller that dies abandons its call; only a signal that its death aborts, its own, is then
 * still heeded.
 */
import type { Actors } from '../actor/actors.js'
import { checkDefinitionName } from '../actor/define.js'
import type { AnyProcedure, RemoteError, Rpc, RpcMany, RpcResult } from '../actor/procedure.js'
import { isProcedure } from '../actor/procedure.js'
import { show, TroupeError } from '../base/errors.js'
import { type NodeId, parseNodeId } from '../base/ids.js'
import { checkOptions, timeoutOf, WAIT_CHECKS, type WaitOptions } from '../base/options.js'
import type { Sent } from '../process/mail.js'
import { deadError } from '../process/monitors.js'
import type { Process } from '../process/process.js'
import { PING, type ProcedureHost } from './procedures.js'
import type { Remoting } from './remote.js'

/** What callers need of the node. */
export interface RpcEdge {
  readonly actors: Actors
  readonly host: ProcedureHost
  readonly remote: Pick<Remoting, 'callProcedure' | 'castProcedure'>
}

/** The procedures of the nodes `on`, called in the name of `bound`. Throws `TypeError`. */
export function rpcOn(
  edge: RpcEdge,
  bound: Process | undefined,
  on: string | readonly string[],
): Rpc & RpcMany {
  const nodes = (Array.isArray(on) ? on : [on]).map(parseNodeId)
  return new Calls(edge, bound, nodes) as object as Rpc & RpcMany
}

/** `'lost'`: the session ended before the answer. */
export type Pinged = 'pong' | 'pang' | 'lost'

/** Whether that node answers in time. */
export async function ping(edge: RpcEdge, node: NodeId, options: WaitOptions | undefined): Promise<Pinged> {
  try {
    await ask(edge, undefined, node, PING, undefined, options)
    return 'pong'
  } catch (error) {
    options?.signal?.throwIfAborted()
    if (TroupeError.is(error, 'ERR_NOCONNECTION')) return 'lost'
    if (TroupeError.is(error, 'ERR_TIMEOUT')) return 'pang'
    throw error
  }
}

/** True for what a call rejects with when the procedure itself failed: `error.detail.kind` says how. */
export const isRemoteError = (error: unknown): error is RemoteError =>
  TroupeError.is(error) && typeof error.detail['kind'] === 'string' && 'procedure' in error.detail

/** Both doors, untyped: the interfaces say who may call what. */
class Calls {
  readonly #edge: RpcEdge
  readonly #bound: Process | undefined
  readonly #nodes: readonly NodeId[]

  constructor(edge: RpcEdge, bound: Process | undefined, nodes: readonly NodeId[]) {
    this.#edge = edge
    this.#bound = bound
    this.#nodes = nodes
  }

  call(procedure: AnyProcedure | string, input?: unknown, options?: WaitOptions): Promise<unknown> {
    const name = nameOf('call', procedure)
    checkOptions('call', options, WAIT_CHECKS)
    return this.#ask(this.#nodes[0] as NodeId, name, input, options)
  }

  cast(procedure: AnyProcedure | string, input?: unknown): Sent {
    return this.#cast(this.#nodes[0] as NodeId, nameOf('cast', procedure), input)
  }

  multicall(
    procedure: AnyProcedure | string,
    input?: unknown,
    options?: WaitOptions,
  ): Promise<readonly RpcResult<unknown>[]> {
    const name = nameOf('multicall', procedure)
    checkOptions('multicall', options, WAIT_CHECKS)
    return Promise.all(
      this.#nodes.map(node =>
        this.#ask(node, name, input, options).then(
          value => ({ node, ok: true, value }) as const,
          error => ({ node, ok: false, error }) as const,
        ),
      ),
    )
  }

  multicast(procedure: AnyProcedure | string, input?: unknown): void {
    const name = nameOf('multicast', procedure)
    for (const node of this.#nodes) this.#cast(node, name, input)
  }

  #ask(node: NodeId, name: string, input: unknown, options: WaitOptions | undefined): Promise<unknown> {
    return ask(this.#edge, this.#bound, node, name, input, options).catch(error => {
      throw inWords(error, name, node, options)
    })
  }

  #cast(node: NodeId, name: string, input: unknown): Sent {
    const { actors, host, remote } = this.#edge
    const { table } = actors
    const speaker = actors.speakerOf(this.#bound)
    if (speaker?.dead === true) throw deadError(speaker.pid)
    if (!table.isHere({ node }))
      return remote.castProcedure(speaker?.pid ?? actors.outside, node, name, input)
    host.run(name, copied(actors, input), undefined, undefined)
    return 'ok'
  }
}

async function ask(
  { actors, host, remote }: RpcEdge,
  bound: Process | undefined,
  node: NodeId,
  name: string,
  input: unknown,
  options: WaitOptions | undefined,
): Promise<unknown> {
  const { table } = actors
  const asker = actors.speakerOf(bound)
  const signal = options?.signal
  if (asker?.dead === true) throw deadError(asker.pid)
  signal?.throwIfAborted()
  if (table.calls.full) {
    const text = `${table.calls.size} calls of this node wait for replies already`
    throw new TroupeError('ERR_BUSY', text, { limit: 'pendingCallsMax' })
  }
  const here = table.isHere({ node })
  const payload = here ? copied(actors, input) : input
  const caller = asker?.pid ?? actors.outside
  const timeoutMs = timeoutOf(options)
  let abort = (): void => {}
  const to = { name, node }
  const request = table.calls.open({ asker, caller, to, tag: name, payload, timeoutMs, signal })
  try {
    if (here) {
      const pid = host.run(name, payload, () => request, undefined)
      if (pid !== undefined) abort = () => host.abort(caller, pid)
    } else {
      request.remote = table.remote
      abort = remote.callProcedure(node, request)
    }
  } catch (error) {
    request.fail(error)
  }
  signal?.addEventListener('abort', abort)
  try {
    return await request.promise
  } catch (error) {
    // Its own signal aborts in a later turn than the one in which it died: by then that turn has been queued.
    if (signal !== undefined && TroupeError.is(error, 'ERR_DEAD'))
      actors.loop.soon(() => (signal.aborted ? abort() : undefined))
    throw error
  } finally {
    signal?.removeEventListener('abort', abort)
  }
}

const copied = ({ table }: Actors, input: unknown): unknown =>
  table.copyLocal === undefined ? input : table.copyLocal(input, 'input')

function nameOf(where: string, procedure: AnyProcedure | string): string {
  if (isProcedure(procedure)) return procedure.name
  if (typeof procedure !== 'string') {
    throw new TypeError(
      `${where}: procedure: expected what defineProcedure returned, or its name, got ${show(procedure)}`,
    )
  }
  checkDefinitionName(`${where}: procedure`, procedure)
  return procedure
}

/** What the caller is told: which procedure of which node, and the remote error as the cause. */
function inWords(error: unknown, procedure: string, node: NodeId, options: WaitOptions | undefined): unknown {
  if (TroupeError.is(error, 'ERR_TIMEOUT')) {
    const timeoutMs = timeoutOf(options)
    const text = `rpc ${procedure} on ${node}: no result within ${timeoutMs} ms; it may still run`
    return new TroupeError('ERR_TIMEOUT', text, { procedure, node, timeoutMs, outcome: 'unknown' })
  }
  if (!isRemoteError(error)) return error
  const { code, message, detail } = error
  const told: Readonly<Record<string, unknown>> = { ...detail }
  return new TroupeError(code, message, told, detail.reason instanceof Error ? detail.reason : undefined)
}
