/** The exact-type tests of registries and event managers: compiled, never run. See `define.types.ts`. */
import {
  type ActorRef,
  child,
  defineActor,
  defineEventHandler,
  defineEvents,
  defineRegistry,
  type EventManager,
  eventManager,
  type HandlerContext,
  type Held,
  type Node,
  type Pid,
  type Registered,
  type Self,
  type Sent,
  type Via,
  type ViaName,
  via,
} from '../lib/index.js'

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
declare function exactly<A, B>(same: Same<A, B>): void
declare const node: Node
declare const self: Self
declare const pid: Pid

const rooms = defineRegistry<string, { topic: string }, { limit: number }>('rooms', { keys: 'unique' })
const plain = defineRegistry<readonly [string, number]>('plain', { keys: 'duplicate' })
const room = defineActor('room', { init: (name: string) => ({ name }), calls: { name: state => state.name } })

export async function registries(): Promise<void> {
  exactly<ReturnType<typeof rooms.register>, Registered>(true)
  rooms.register(self, 'lobby', { topic: 'tea' })
  plain.register(self, ['a', 1])
  const held = rooms.lookup(node, 'lobby')
  exactly<typeof held, readonly Held<{ topic: string }>[]>(true)
  const keys = plain.keys(self, pid)
  exactly<typeof keys, readonly (readonly [string, number])[]>(true)
  const topics = rooms.select(node, ({ key, value }) => (key === 'x' ? undefined : value.topic))
  exactly<typeof topics, readonly string[]>(true)
  const limit = rooms.meta(node, 'limit')
  exactly<typeof limit, number | undefined>(true)
  const count = rooms.dispatch(node, 'lobby', entries => entries.length)
  exactly<typeof count, number | undefined>(true)

  // @ts-expect-error a key of another type
  rooms.lookup(node, 5)
  // @ts-expect-error a value is missing
  rooms.register(self, 'lobby')
  // @ts-expect-error a node owns nothing
  rooms.register(node, 'lobby', { topic: 'tea' })
  // @ts-expect-error no such metadata
  rooms.meta(node, 'limits')
  // @ts-expect-error metadata of another type
  rooms.putMeta(node, 'limit', '10')
  // @ts-expect-error keys must be said
  defineRegistry('x', {})

  const name = via(rooms, 'lobby', { topic: 'tea' })
  exactly<typeof name, ViaName>(true)
  const address = via(rooms, 'lobby')
  exactly<typeof address, Via>(true)
  const bare = via(defineRegistry<string>('bare', { keys: 'unique' }), 'x')
  exactly<typeof bare, ViaName>(true)
  const ref = await node.spawn(room, 'lobby', { name })
  exactly<typeof ref, ActorRef<typeof room>>(true)
  child(room, { args: 'lobby', name })
  child(rooms)
  node.run(() => {}, { name })
  const lobby: string = await node.named(address, room).call('name')
  node.send(address, lobby)
  // @ts-expect-error an address without the value that the registry wants is no name
  await node.spawn(room, 'lobby', { name: address })
  // @ts-expect-error a value of another type
  via(rooms, 'lobby', 5)
}

interface ShopEvents {
  sold: { sku: string; count: number }
  closed: void
}

const shop = defineEvents<ShopEvents>('shop')
const audit = defineEventHandler('audit', {
  init: async (start: number, previous) => {
    exactly<typeof previous, unknown>(true)
    return { total: start }
  },
  events: {
    sold: (state, sale: { count: number }, ctx) => {
      exactly<typeof state, { total: number }>(true)
      exactly<typeof ctx, HandlerContext>(true)
      state.total += sale.count
    },
    closed: () => {},
  },
  calls: { total: state => state.total, add: async (state, by: number) => (state.total += by) },
})
const lamp = defineEventHandler('lamp', { init: () => ({}) })
const other = defineEventHandler('other', { init: () => ({}), events: { opened: () => {} } })
const wrong = defineEventHandler('wrong', {
  init: () => ({}),
  events: { sold: (_, sale: string) => void sale },
})

export async function managers(): Promise<void> {
  const ref = await node.spawn(shop)
  const events = eventManager(ref)
  exactly<typeof events, EventManager<ShopEvents>>(true)
  const sent = events.notify('sold', { sku: 'tea', count: 1 })
  exactly<typeof sent, Sent>(true)
  events.notify('closed')
  await events.syncNotify('closed', undefined, { timeoutMs: 5 })
  await events.add(audit, 5, { owner: pid })
  await events.add(lamp)
  await events.swap('lamp', audit, 5)
  const total = await events.call(audit, 'total')
  exactly<typeof total, number>(true)
  const sum = await events.call(audit, 'add', 5, { id: 'x' })
  exactly<typeof sum, number>(true)

  // @ts-expect-error no such event
  events.notify('opened')
  // @ts-expect-error a payload is missing
  events.notify('sold')
  // @ts-expect-error no payload is wanted
  events.notify('closed', 5)
  // @ts-expect-error an argument is missing
  await events.add(audit)
  // @ts-expect-error an argument of another type
  await events.add(audit, 'five')
  // @ts-expect-error a handler of events that this manager does not have
  await events.add(other)
  // @ts-expect-error a handler that wants another payload
  await events.add(wrong)
  // @ts-expect-error no such call
  await events.call(audit, 'sum')
  // @ts-expect-error a payload of another type
  await events.call(audit, 'add', '5')
  // @ts-expect-error a ref to another actor
  eventManager(await node.spawn(room, 'x'))
}
