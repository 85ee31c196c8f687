import { TroupeError } from '../base/errors.js'
import { type NodeId, parseNodeId } from '../base/ids.js'
import { arrayOf, checkOptions, expect, isString, WAIT_CHECKS, type WaitOptions } from '../base/options.js'
import { checkName } from '../process/local-names.js'
import type { Node, Speaker } from './api.js'
import type { AnyActor, CallIn, CallOut, Payload, Reply } from './define.js'
import { insideOf } from './inside.js'

export interface MultiCallOptions extends WaitOptions {
  /** Whom to ask, each node once for each time that it is named. Default: this node and all that it has a session with. */
  readonly nodes?: readonly string[] | undefined
}

export interface MultiReplies<R> {
  /** In the order in which the nodes were named, as is `bad`. */
  readonly replies: readonly { readonly node: NodeId; readonly reply: R }[]
  /** Those that did not answer, and why: `ERR_NOPROC` where nobody has the name, `ERR_NOCONNECTION`, `ERR_TIMEOUT`, … */
  readonly bad: readonly { readonly node: NodeId; readonly error: unknown }[]
}

/** What is wrong with the question, or with who asks it, and not with one of those who are asked. */
const MISTAKES = ['ERR_PAYLOAD', 'ERR_TOO_LARGE', 'ERR_DEAD', 'ERR_STOPPED'] as const

/**
 * Asks the holders of one name on several nodes at once, as OTP's `gen_server:multi_call`: each node's own holder, so
 * one registered with `scope: 'node'` or cluster-wide there. Resolves when all have answered or failed, at the latest
 * after `timeoutMs`; what comes later is dropped. One that does not answer is in `bad` and hinders nobody.
 *
 * ```ts
 * const stock = defineActor('stock', { init: (count: number) => ({ count }), calls: { count: state => state.count } })
 * const node = await createNode({ actors: [stock] })
 * await node.spawn(stock, 100, { name: 'stock', scope: 'node' }) // as every other node does
 * const { replies, bad } = await multiCall(node, 'stock', stock, 'count')
 * const total = replies.reduce((sum, { reply }) => sum + reply, 0)
 * ```
 *
 * Rejects with `ERR_PAYLOAD` or `ERR_TOO_LARGE` for a question that cannot be asked, with `ERR_DEAD` or `ERR_STOPPED`
 * when the asker is gone, and with the reason of `signal`.
 */
export async function multiCall<D extends AnyActor, Tag extends keyof CallIn<D> & keyof CallOut<D> & string>(
  host: Node | Speaker,
  name: string,
  _def: D,
  tag: Tag,
  ...rest: [...Payload<CallIn<D>[Tag]>, options?: MultiCallOptions]
): Promise<MultiReplies<Reply<CallOut<D>[Tag]>>> {
  const { actors, process } = insideOf('multiCall: host', host)
  checkName('multiCall: name', name)
  expect('multiCall: tag', tag, isString)
  const [payload, { nodes, ...options }] = [rest[0], (rest[1] ?? {}) as MultiCallOptions]
  checkOptions('multiCall', options, WAIT_CHECKS)
  if (nodes !== undefined) expect('multiCall: nodes', nodes, arrayOf(isString))
  const asked = nodes?.map(parseNodeId) ?? [actors.node.name, ...actors.node.nodes()]
  const answers = await Promise.allSettled(
    asked.map(node => actors.ask(process, { name, node }, undefined, tag, payload, options)),
  )
  const replies: { node: NodeId; reply: Reply<CallOut<D>[Tag]> }[] = []
  const bad: { node: NodeId; error: unknown }[] = []
  for (const [i, answer] of answers.entries()) {
    const node = asked[i] as NodeId
    if (answer.status === 'fulfilled') {
      replies.push({ node, reply: answer.value as Reply<CallOut<D>[Tag]> })
    } else if (isMistake(answer.reason, options.signal)) {
      throw answer.reason
    } else {
      bad.push({ node, error: answer.reason })
    }
  }
  return { replies, bad }
}

const isMistake = (error: unknown, signal: AbortSignal | undefined): boolean =>
  !TroupeError.is(error) || signal?.aborted === true || MISTAKES.some(code => code === error.code)
