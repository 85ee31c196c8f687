/**
 * The exact-type tests of `defineActor`: compiled, never run. `exactly` fails to compile unless both types are the
 * same, which `any` is not to anything; a line under `@ts-expect-error` must be refused. They guard the one file of the
 * library that says `any`.
 */
import type { ActorRef, Context, InitContext, Node, Self, Signal } from '../lib/actor/api.js'
import type {
  ActorDef,
  ActorSpec,
  ArgsOf,
  CallIn,
  CallOut,
  CastIn,
  Later,
  Payload,
  Reply,
  SpawnRest,
} from '../lib/actor/define.js'
import type { Pid, Ref } from '../lib/base/ids.js'
import type { DownReason } from '../lib/base/member.js'
import type { ExitReason } from '../lib/base/reasons.js'
import type { Sent } from '../lib/process/mail.js'

declare function defineActor<
  const Name extends string,
  Args,
  State extends object,
  CallIn = {},
  CallOut = {},
  CastIn = {},
>(
  name: Name,
  spec: ActorSpec<Args, State, CallIn, CallOut, CastIn>,
): ActorDef<Name, Args, CallIn, CallOut, CastIn>

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
declare function exactly<A, B>(same: Same<A, B>): void

interface Item {
  readonly sku: string
  readonly count: number
}
interface CartState {
  owner: string
  items: Map<string, Item>
}

export const cart = defineActor('cart', {
  init: async (args: { owner: string }, ctx): Promise<CartState> => {
    exactly<typeof ctx, InitContext>(true)
    return { owner: args.owner, items: new Map() }
  },
  calls: {
    put: (state, item: Item) => {
      exactly<typeof state, CartState>(true)
      state.items.set(item.sku, item)
      return state.items.size
    },
    owner: state => state.owner,
    list: async state => [...state.items.values()],
    find: (state, sku: string) => state.items.get(sku),
    pay: (_state, amount: bigint, ctx) => {
      exactly<typeof ctx, Context>(true)
      exactly<typeof amount, bigint>(true)
      return ctx.later<{ receipt: string }>()
    },
    payOrOwe: (state, _none: void, ctx) => (state.items.size > 0 ? 'owed' : ctx.later<'paid'>()),
    slowPay: async (_state, _none: void, ctx) => ctx.later<number>(),
    nothing: () => {},
    either: (_state, which: 'a' | 'b') => (which === 'a' ? { a: 1 } : null),
    optional: (_state, limit?: number) => limit,
    whatever: (_state, value: { [key: string]: unknown }) => value['k'],
  },
  casts: {
    clear: state => {
      exactly<typeof state, CartState>(true)
      state.items.clear()
    },
    drop: (state, sku: string) => void state.items.delete(sku),
    rename: async (state, to: { owner: string }) => {
      state.owner = to.owner
    },
  },
  info: (state, signal, ctx) => {
    exactly<typeof state, CartState>(true)
    exactly<typeof signal, Signal>(true)
    exactly<typeof ctx, Context>(true)
    switch (signal.type) {
      case 'down':
        exactly<typeof signal.ref, Ref>(true)
        exactly<typeof signal.pid, Pid | undefined>(true)
        break
      case 'exit':
        exactly<typeof signal.pid, Pid>(true)
        exactly<typeof signal.reason, ExitReason>(true)
        break
      case 'timer':
        exactly<typeof signal.ref, Ref>(true)
        exactly<typeof signal.message, unknown>(true)
        break
      case 'nodeup':
        exactly<typeof signal.creation, number>(true)
        break
      case 'nodedown':
        exactly<typeof signal.reason, DownReason | 'noconnection'>(true)
        break
      case 'message':
        exactly<typeof signal.message, unknown>(true)
        break
      case 'group':
        exactly<typeof signal.event, 'join' | 'leave' | 'lost'>(true)
        exactly<typeof signal.pids, readonly Pid[]>(true)
        break
      case 'timeout':
        break
      default:
        signal satisfies never
    }
  },
  continue: (state, value) => {
    exactly<typeof state, CartState>(true)
    exactly<typeof value, unknown>(true)
  },
  terminate: (state, reason) => {
    exactly<typeof state, CartState>(true)
    exactly<typeof reason, ExitReason>(true)
  },
  inspect: state => ({ owner: state.owner }),
})

export const bare = defineActor('bare', { init: () => ({}) })
export const refusing = defineActor('refusing', {
  init: (n: number, ctx) => (n < 0 ? ctx.stop('negative') : n === 0 ? ctx.ignore() : { n }),
  calls: {
    n: state => {
      exactly<typeof state, { n: number }>(true) // neither stop nor ignore leaves a trace in the state
      return state.n
    },
  },
})
export const lenient = defineActor('lenient', {
  init: (start?: number) => ({ at: start ?? 0 }),
  calls: { at: s => s.at },
})
export const onlyCasts = defineActor('only-casts', {
  init: (_: [string, number]) => ({ n: 0 }),
  casts: { hit: s => void s.n++ },
})

declare const node: Node
declare const ctx: Context
declare const self: Self

export async function inferred(): Promise<void> {
  exactly<typeof cart.name, 'cart'>(true)
  exactly<ArgsOf<typeof cart>, { owner: string }>(true)
  exactly<keyof CallIn<typeof cart>, keyof CallOut<typeof cart>>(true)
  exactly<keyof CastIn<typeof cart>, 'clear' | 'drop' | 'rename'>(true)
  exactly<CallIn<typeof bare>, {}>(true)

  const ref = await node.spawn(cart, { owner: 'ann' }, { name: 'cart-1', on: 'ring', restart: 'permanent' })
  exactly<typeof ref, ActorRef<typeof cart>>(true)
  exactly<typeof ref.pid, Pid>(true)

  const put = await ref.call('put', { sku: 'x', count: 1 })
  exactly<typeof put, number>(true)
  const owner = await ref.call('owner')
  exactly<typeof owner, string>(true)
  const again = await ref.call('owner', undefined, { timeoutMs: 10, signal: new AbortController().signal })
  exactly<typeof again, string>(true)
  const list = await ref.call('list')
  exactly<typeof list, Item[]>(true)
  const found = await ref.call('find', 'x', { timeoutMs: 1 })
  exactly<typeof found, Item | undefined>(true)
  const receipt = await ref.call('pay', 5n)
  exactly<typeof receipt, { receipt: string }>(true)
  const mixed = await ref.call('payOrOwe')
  exactly<typeof mixed, 'owed' | 'paid'>(true)
  const slow = await ref.call('slowPay')
  exactly<typeof slow, number>(true)
  const none = await ref.call('nothing')
  exactly<typeof none, void>(true)
  const either = await ref.call('either', 'a')
  exactly<typeof either, { a: number } | null>(true)
  const any = await ref.call('whatever', { any: 'thing' })
  exactly<typeof any, unknown>(true)
  exactly<ReturnType<typeof ref.cast<'clear'>>, Sent>(true)
  ref.cast('clear')
  ref.cast('drop', 'x')
  ref.cast('rename', { owner: 'bo' })
}

export async function everyWayToARef(): Promise<void> {
  const seen = node.whereis('cart-1', cart)
  exactly<typeof seen, ActorRef<typeof cart> | undefined>(true)
  const byType = node.whereis<typeof cart>('cart-1')
  exactly<typeof byType, ActorRef<typeof cart> | undefined>(true)
  const named = node.named('cart-1', cart)
  exactly<typeof named, ActorRef<typeof cart>>(true)
  const spoken = ctx.ref(named)
  exactly<typeof spoken, ActorRef<typeof cart>>(true)
  const child = await self.spawn(refusing, 1, { link: true, monitor: true })
  exactly<typeof child, ActorRef<typeof refusing>>(true)
  const n = await ctx.call(child, 'n')
  exactly<typeof n, number>(true)
  const items = await self.call(named, 'list', undefined, { timeoutMs: 5 })
  exactly<typeof items, Item[]>(true)
  exactly<ReturnType<typeof ctx.cast<typeof cart, 'drop'>>, Sent>(true)
  await node.spawn(bare)
  await node.spawn(bare, undefined, { name: 'bare' })
  await node.spawn(lenient)
  await node.spawn(lenient, 5)
  await node.spawn(lenient, undefined, { scope: 'node', name: 'x' })
  await node.spawn(onlyCasts, ['a', 1])
  await node.spawn(refusing, 1, { on: { tag: 'gpu' } })
  await node.spawn(refusing, 1, {
    on: (members, name) => members.find(m => m.tags.includes(name ?? '')) ?? members[0]!,
  })
}

export async function receivingIsTyped(): Promise<void> {
  const anything = await self.receive()
  exactly<typeof anything, unknown>(true)
  const isNumber = (m: unknown): m is number => typeof m === 'number'
  const n = await self.receive(isNumber)
  exactly<typeof n, number>(true)
  const some = await self.receive(m => m === 1, { timeoutMs: 0 })
  exactly<typeof some, 1>(true) // TypeScript reads the predicate out of the function
  const odd = await self.receive(m => Number(m) % 2 === 1)
  exactly<typeof odd, unknown>(true)
}

export function encoding(): void {
  exactly<Payload<string>, [payload: string]>(true)
  exactly<Payload<void>, [payload?: undefined]>(true)
  exactly<Payload<unknown>, [payload?: undefined]>(true)
  exactly<Reply<Promise<Later<number>>>, number>(true)
  exactly<Reply<Promise<string> | Later<number>>, string | number>(true)
  exactly<SpawnRest<typeof cart>[0], { owner: string }>(true)
}

export async function refused(): Promise<void> {
  const ref = await node.spawn(cart, { owner: 'ann' })
  // @ts-expect-error a payload of another type
  await ref.call('put', 'x')
  // @ts-expect-error a payload with a field missing
  await ref.call('put', { sku: 'x' })
  // @ts-expect-error a payload left out
  await ref.call('put')
  // @ts-expect-error a payload where none is taken
  await ref.call('owner', 1)
  // @ts-expect-error an unknown tag
  await ref.call('steal')
  // @ts-expect-error a cast is not a call
  await ref.call('clear')
  // @ts-expect-error a call is not a cast
  ref.cast('owner')
  // @ts-expect-error a cast with the payload of another
  ref.cast('drop', 7)
  // @ts-expect-error an unknown option of a call
  await ref.call('owner', undefined, { timeout: 5 })
  // @ts-expect-error arguments of another type
  await node.spawn(cart, { owner: 1 })
  // @ts-expect-error arguments left out
  await node.spawn(cart)
  // @ts-expect-error an unknown option of spawn
  await node.spawn(cart, { owner: 'a' }, { nme: 'x' })
  // @ts-expect-error an unknown restart
  await node.spawn(cart, { owner: 'a' }, { restart: 'always' })
  // @ts-expect-error a ref to one definition is none to another
  const other: ActorRef<typeof bare> = ref
  // @ts-expect-error nor the other way round
  const back: ActorRef<typeof cart> = await node.spawn(bare)
  // @ts-expect-error a state that is no object
  defineActor('number', { init: () => 5 })
  // @ts-expect-error an unknown hook
  defineActor('hook', { init: () => ({}), handleCall: () => {} })
  // @ts-expect-error a continue handler that returns a value
  defineActor('wrong', { init: () => ({ n: 1 }), continue: async () => 1 })
  // @ts-expect-error a state field that does not exist
  defineActor('field', { init: () => ({ n: 1 }), calls: { get: state => state.m } })
  // @ts-expect-error a call handler has no caller outside of one
  defineActor('init', { init: (_: void, ctx) => ({ from: ctx.from }) })
  return void [other, back]
}
