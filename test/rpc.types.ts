/**
 * The exact-type tests of procedures: compiled, never run. `exactly` fails to compile unless both types are the same; a
 * line under `@ts-expect-error` must be refused.
 */
import type { Node, Self, Speaker } from '../lib/actor/api.js'
import {
  defineProcedure,
  type InputOf,
  type OutputOf,
  type Procedure,
  type RpcFailure,
  type RpcResult,
} from '../lib/actor/procedure.js'
import type { NodeOptions } from '../lib/node/options.js'
import { isRemoteError } from '../lib/remote/rpc.js'

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
declare function exactly<A, B>(same: Same<A, B>): void
declare const node: Node
declare const self: Speaker

export const resize = defineProcedure('resize', async (input: { width: number }, self) => {
  exactly<typeof self, Self>(true)
  return { bytes: input.width * 3 }
})
exactly<typeof resize, Procedure<'resize', { width: number }, Promise<{ bytes: number }>>>(true)
exactly<InputOf<typeof resize>, { width: number }>(true)
exactly<OutputOf<typeof resize>, { bytes: number }>(true)

export const now = defineProcedure('now', () => 7)
exactly<InputOf<typeof now>, void>(true)
exactly<OutputOf<typeof now>, number>(true)
export const spoken = defineProcedure('spoken', (_: void, self) => self.self)
export const limited = defineProcedure('limited', (limit?: number) => limit ?? 10)

// One node.
exactly<ReturnType<typeof call>, Promise<{ bytes: number }>>(true)
export const call = () => node.rpc('b').call(resize, { width: 3 })
export const inTime = () => node.rpc('b').call(resize, { width: 3 }, { timeoutMs: 10 })
export const asProcess = () => self.rpc('b').call(resize, { width: 3 }, { signal: self.signal })
export const byName = () => node.rpc('b').call<typeof resize>('resize', { width: 3 })
exactly<ReturnType<typeof byName>, Promise<{ bytes: number }>>(true)
export const plain: () => Promise<number> = () => node.rpc('b').call(now)
export const patient = () => node.rpc('b').call(now, undefined, { timeoutMs: 10 })
export const few = () => [node.rpc('b').call(limited), node.rpc('b').call(limited, 3)]
// @ts-expect-error: the input is missing
export const missing = () => node.rpc('b').call(resize)
// @ts-expect-error: the input is of another type
export const wrong = () => node.rpc('b').call(resize, { width: 'wide' })
// @ts-expect-error: it takes none
export const none = () => node.rpc('b').call(now, 3)
// @ts-expect-error: another name than that of the procedure
export const other = () => node.rpc('b').call<typeof resize>('resise', { width: 3 })
// @ts-expect-error: one node gives one result
export const many = () => node.rpc('b').multicall(now)
export const told = () => node.rpc('b').cast(resize, { width: 3 })
// @ts-expect-error: the input is of another type
export const mistold = () => node.rpc('b').cast(resize, 3)

// Several.
export const all = () => node.rpc(['a', 'b']).multicall(resize, { width: 3 })
exactly<ReturnType<typeof all>, Promise<readonly RpcResult<{ bytes: number }>[]>>(true)
// @ts-expect-error: several nodes give several results
export const one = () => node.rpc(['a', 'b']).call(now)
export async function sum(): Promise<number> {
  let total = 0
  for (const result of await all()) {
    if (result.ok) total += result.value.bytes
    else exactly<typeof result.error, unknown>(true)
  }
  return total
}

export function failure(error: unknown): RpcFailure | undefined {
  return isRemoteError(error) ? error.detail.kind : undefined
}

export const options: NodeOptions = { procedures: [resize, now, spoken, limited] }
// @ts-expect-error: a bare function has no name that could cross
export const bare: NodeOptions = { procedures: [() => 3] }
