/** Connecting, pinging and leaving single nodes: what is asked of the mesh by name or address, with a deadline. */

import { parseAddress } from '../base/address.js'
import { show } from '../base/errors.js'
import { isNodeId, type NodeId } from '../base/ids.js'
import { timeoutOf, type WaitOptions } from '../base/options.js'
import type { Address, Clock } from '../base/runtime.js'
import type { Mesh } from '../mesh/mesh.js'
import type { Pinged } from '../remote/rpc.js'

/** Throws `TypeError`. */
function targetOf(to: unknown): NodeId | Address {
  if (isNodeId(to)) return to
  if (typeof to === 'string' && to.includes(':')) return parseAddress('connect: to', to, 1)
  throw new TypeError(`connect: to: expected a node's name or host:port, got ${show(to)}`)
}

/** Whether a session with that node is open, now or within the time. */
export function connect(
  mesh: Mesh,
  clock: Clock,
  to: string,
  options: WaitOptions | undefined,
): Promise<boolean> {
  const target = targetOf(to)
  const signal = options?.signal
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const settle = (): void => {
      withdraw()
      timer.clear()
      signal?.removeEventListener('abort', aborted)
    }
    const done = (connected: boolean): void => {
      settle()
      resolve(connected)
    }
    const aborted = (): void => {
      settle()
      reject(signal?.reason)
    }
    const timer = clock.after(timeoutOf(options), () => done(false))
    signal?.addEventListener('abort', aborted)
    const withdraw = mesh.connect(target, done)
  })
}

/** Whether that node can be connected and answers, all within the time; a session lost meanwhile is tried anew. */
export async function ping(
  mesh: Mesh,
  clock: Clock,
  node: NodeId,
  options: WaitOptions | undefined,
  asked: (options: WaitOptions) => Promise<Pinged>,
): Promise<'pong' | 'pang'> {
  const dueMs = clock.now() + timeoutOf(options)
  const left = (): WaitOptions => ({
    timeoutMs: Math.max(0, dueMs - clock.now()),
    signal: options?.signal,
  })
  while (await connect(mesh, clock, node, left())) {
    const pinged = await asked(left())
    if (pinged !== 'lost') return pinged
  }
  return 'pang'
}
