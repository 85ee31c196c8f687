/**
 * The exact-type tests of `defineMachine`: compiled, never run. `exactly` fails to compile unless both types are the
 * same, which `any` is not to anything; a line under `@ts-expect-error` must be refused.
 */
import type { InitContext } from '../lib/actor/api.js'
import type { CallIn, CallOut, CastIn } from '../lib/actor/define.js'
import {
  type ActorRef,
  type ArgsOf,
  defineMachine,
  go,
  internal,
  type MachineContext,
  type Node,
  postpone,
  repeat,
  type Signal,
  stay,
  stop,
} from '../lib/index.js'

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
declare function exactly<A, B>(same: Same<A, B>): void

interface Data {
  readonly code: string
  tries: number
}
type State = 'locked' | 'open' | 'broken'

export const door = defineMachine('door', {
  init: async (args: { code: string }, ctx): Promise<Data> => {
    exactly<typeof ctx, InitContext>(true)
    return { code: args.code, tries: 0 }
  },
  initial: 'locked',
  states: {
    locked: {
      enter: (data, from, ctx) => {
        exactly<typeof data, Data>(true)
        exactly<typeof from, State>(true)
        exactly<typeof ctx, MachineContext<State>>(true)
      },
      calls: {
        enter: (data, code: string) => {
          exactly<typeof data, Data>(true)
          return code === data.code
            ? go('open', { reply: true, stateTimeout: 5_000 })
            : stay({ reply: false })
        },
        tries: data => stay({ reply: data.tries }),
        repair: postpone,
        unlock: 'open',
        smash: {
          to: ['broken', 'open'],
          do: (data, force: number) => go(force > data.tries ? 'broken' : 'open'),
        },
      },
      casts: {
        kick: (data, _, ctx) => {
          exactly<typeof data, Data>(true)
          exactly<typeof ctx, MachineContext<State>>(true)
          return stay({ next: internal('count', 1), timeouts: { calm: 100 } })
        },
        lock: () => stay(),
      },
      internal: {
        count: (data, by: number) => stay({ data: { ...data, tries: data.tries + by } }),
      },
      timeouts: {
        calm: (data, payload) => {
          exactly<typeof data, Data>(true)
          exactly<typeof payload, unknown>(true)
          return repeat()
        },
      },
    },
    open: {
      calls: {
        enter: async (_data, _code: string) => stay({ reply: 'open' as const }),
        tries: () => stop('normal', { reply: undefined }),
      },
      casts: { lock: 'locked', push: (_, how: 'hard' | 'soft') => (how === 'hard' ? go('broken') : stay()) },
      stateTimeout: 'locked',
      eventTimeout: () => stay({ timeouts: { calm: 'cancel' } }),
    },
    broken: {
      calls: { repair: (_data, _, ctx) => stay({ reply: ctx.later<{ cost: bigint }>() }) },
    },
  },
  any: {
    calls: {
      state: (data, _, ctx) => {
        exactly<typeof data, Data>(true)
        return stay({ reply: ctx.state })
      },
    },
    info: (data, signal, ctx) => {
      exactly<typeof data, Data>(true)
      exactly<typeof signal, Signal>(true)
      exactly<typeof ctx, MachineContext<State>>(true)
      return signal.type === 'exit' ? stop(signal.reason) : stay()
    },
  },
  terminate: (data, _reason, state) => {
    exactly<typeof data, Data>(true)
    exactly<typeof state, State>(true)
  },
  inspect: data => ({ tries: data.tries }),
})

/** All handlers take what they are given from the definition alone: nothing here is annotated. */
export const toggle = defineMachine('toggle', {
  init: () => ({ flips: 0 }),
  initial: (data, ctx) => {
    exactly<typeof data, { flips: number }>(true)
    exactly<typeof ctx, InitContext>(true)
    return go('on', { next: internal('ready'), stateTimeout: 1 })
  },
  states: {
    on: {
      casts: { flip: data => go(data.flips > 5 ? 'off' : 'on', { next: [internal('ready')] }) },
      internal: { ready: _ => stay() },
    },
    off: { casts: { flip: { to: 'on', do: data => go('on', { data: { flips: data.flips + 1 } }) } } },
  },
})

declare const node: Node

export async function inferred(): Promise<void> {
  exactly<ArgsOf<typeof door>, { code: string }>(true)
  exactly<typeof door.name, 'door'>(true)
  exactly<typeof door.states, readonly State[]>(true)
  exactly<
    CallIn<typeof door>,
    { enter: string; tries: unknown; repair: unknown; unlock: unknown; smash: number; state: unknown }
  >(true)
  exactly<CastIn<typeof door>, { kick: unknown; lock: unknown; push: 'hard' | 'soft' }>(true)
  exactly<keyof CallOut<typeof door>, keyof CallIn<typeof door>>(true)
  exactly<CastIn<typeof toggle>, { flip: unknown }>(true)
  exactly<CallIn<typeof toggle>, {}>(true)

  const ref = await node.spawn(door, { code: '1234' }, { name: 'front', on: 'ring' })
  exactly<typeof ref, ActorRef<typeof door>>(true)
  const entered = await ref.call('enter', '1234')
  exactly<typeof entered, boolean | 'open'>(true)
  const tries = await ref.call('tries', undefined, { timeoutMs: 5 })
  exactly<typeof tries, number | undefined>(true)
  const repaired = await ref.call('repair')
  exactly<typeof repaired, { cost: bigint }>(true)
  const unlocked = await ref.call('unlock')
  exactly<typeof unlocked, void>(true)
  const state = await node.named('front', door).call('state')
  exactly<typeof state, State>(true)
  ref.cast('push', 'hard')
  ref.cast('kick')
}

export async function refused(): Promise<void> {
  const ref = await node.spawn(door, { code: 'x' })
  // @ts-expect-error an event that no state has
  await ref.call('close')
  // @ts-expect-error a payload of another type
  await ref.call('enter', 5)
  // @ts-expect-error a payload left out
  ref.cast('push')
  // @ts-expect-error a call is no cast
  ref.cast('enter', 'x')
  // @ts-expect-error arguments of another type
  await node.spawn(door, 5)
  // @ts-expect-error a ref to one machine is none to another
  const other: ActorRef<typeof toggle> = ref

  const init = () => ({ n: 0 })
  const def = defineMachine
  // @ts-expect-error an initial state that is none
  def('m', { init, initial: 'z', states: { a: {} } })
  // @ts-expect-error data that is no object
  def('m', { init: () => 5, initial: 'a', states: { a: {} } })
  // @ts-expect-error a target that is no state
  def('m', { init, initial: 'a', states: { a: { casts: { e: 'z' } } } })
  // @ts-expect-error a declared target that is no state
  def('m', { init, initial: 'a', states: { a: { casts: { e: { to: ['z'], do: () => stay() } } } } })
  // @ts-expect-error a result that goes to no state
  def('m', { init, initial: 'a', states: { a: { casts: { e: () => go('z') } } } })
  // @ts-expect-error one of two ways goes to no state
  def('m', { init, initial: 'a', states: { a: { casts: { e: d => (d.n > 1 ? go('z') : stay()) } } } })
  // @ts-expect-error the same in an async handler
  def('m', { init, initial: 'a', states: { a: { calls: { e: async () => go('z') } } } })
  // @ts-expect-error no result
  def('m', { init, initial: 'a', states: { a: { casts: { e: d => void d.n++ } } } })
  // @ts-expect-error data that are no data
  def('m', { init, initial: 'a', states: { a: { casts: { e: () => stay({ data: { m: 1 } }) } } } })
  // @ts-expect-error a field of the data that does not exist
  def('m', { init, initial: 'a', states: { a: { casts: { e: d => stay({ data: d.m }) } } } })
  // @ts-expect-error a reply to a cast
  def('m', { init, initial: 'a', states: { a: { casts: { e: () => stay({ reply: 1 }) } } } })
  // @ts-expect-error a timeout that no state handles
  def('m', { init, initial: 'a', states: { a: { casts: { e: () => stay({ timeouts: { t: 1 } }) } } } })
  // @ts-expect-error an internal event that no state handles
  def('m', { init, initial: 'a', states: { a: { casts: { e: () => stay({ next: internal('i') }) } } } })
  // @ts-expect-error an unknown option of a result
  def('m', { init, initial: 'a', states: { a: { casts: { e: () => stay({ stateTimeot: 1 }) } } } })
  // @ts-expect-error an unknown key of a state
  def('m', { init, initial: 'a', states: { a: { on: {} } } })
  // @ts-expect-error an unknown key of a definition
  def('m', { init, initial: 'a', states: { a: {} }, context: {} })
  // @ts-expect-error enter may not go
  def('m', { init, initial: 'a', states: { a: { enter: () => go('b') }, b: {} } })
  // @ts-expect-error an event with no payload that suits all states cannot be sent
  ;(await node.spawn(torn)).cast('e', 1)
  // @ts-expect-error a payload of `next` that internal does not take: no definition
  await node.spawn(mismatched)
  return void other
}

const torn = defineMachine('torn', {
  init: () => ({}),
  initial: 'a',
  states: {
    a: { casts: { e: (_, n: number) => stay({ data: { n } }) } },
    b: { casts: { e: (_, s: string) => stay({ data: { s } }) } },
  },
})
const mismatched = defineMachine('mismatched', {
  init: () => ({}),
  initial: 'a',
  states: {
    a: {
      casts: { e: () => stay({ next: internal('i', 'text') }) },
      internal: { i: (_, _n: number) => stay() },
    },
  },
})
