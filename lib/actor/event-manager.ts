/**
 * Event managers, OTP's `gen_event`: one process, any number of handlers, each with a state of its own.
 *
 *   notify ────▶ mailbox ──▶ event ──▶ handler a   runs
 *   syncNotify ─▶                  ├─▶ handler b   raises ──▶ terminate ──▶ reported, owner told, gone
 *                                  └─▶ handler c   runs all the same
 *
 * Laws:
 *  - Handlers are called in the order in which they were added; a successor by `swap` has the place of the one before.
 *  - Each handles one thing at a time. Those that return promises run side by side, and the next event waits for all.
 *  - What one raises, or returns and may not, is its own end and nobody else's. The manager never ends by it.
 *  - A handler is gone before its owner is told, and before whoever removed it is answered.
 *
 * What it does not do: keep events for handlers that come later, retry, or restart a handler: that is its owner's task.
 */
import { TroupeError } from '../base/errors.js'
import { Pid } from '../base/ids.js'
import { type Check, checkOptions, expect, isString, WAIT_CHECKS, type WaitOptions } from '../base/options.js'
import type { ExitReason } from '../base/reasons.js'
import type { Sent } from '../process/mail.js'
import type { ActorRef } from './api.js'
import { type ActorDef, defineActor, type Payload, type Reply } from './define.js'
import {
  type AnyEvent,
  type DefinedHandler,
  type HandlerArgs,
  type HandlerCallIn,
  type HandlerCallOut,
  type HandlerOf,
  isHandler,
} from './event-handler.js'
import { type Asked, type HandlerInfo, Manager, type Outcome, type Placing } from './handler-table.js'
import { Handover } from './handover.js'
import { isRef } from './refs.js'

/** The definition of an event manager. */
export interface EventsDef<Events> extends ActorDef<string, undefined, {}, {}, {}> {
  /** Never read at run time: carries the types of the events. */
  readonly '~events'?: (events: Events) => Events
}

export interface HandlerOptions extends WaitOptions {
  /** Unique among the handlers of one manager. Default: the name of the definition. */
  readonly id?: string | undefined
  /**
   * Supervises the handler: when this process dies the handler is removed, and when the handler ends otherwise this
   * process is sent a `HandlerExit`.
   */
  readonly owner?: Pid | undefined
}

type HandlerRest<H> =
  unknown extends HandlerArgs<H>
    ? [args?: undefined, options?: HandlerOptions]
    : undefined extends HandlerArgs<H>
      ? [args?: HandlerArgs<H>, options?: HandlerOptions]
      : [args: HandlerArgs<H>, options?: HandlerOptions]

/**
 * What an event manager can be asked; it speaks for whom the ref speaks that it was made from. All that waits rejects
 * with what `ActorRef.call` does. A callback that does not settle delays everything behind it.
 */
export interface EventManager<Events> {
  readonly pid: Pid
  /** Tells all handlers, without waiting. At most once, in order with everything this caller says. */
  notify<Tag extends keyof Events & string>(tag: Tag, ...payload: Payload<Events[Tag]>): Sent
  /** Resolves when all handlers are done with the event, however it came out. */
  syncNotify<Tag extends keyof Events & string>(
    tag: Tag,
    ...rest: [...Payload<Events[Tag]>, options?: WaitOptions]
  ): Promise<void>
  /**
   * On the manager's own node. Rejects with `ERR_ALREADY_STARTED` for an id that is taken, `ERR_START` when `init`
   * raised (`detail.reason`), `ERR_BUSY` at `limits.eventHandlersMax`, `ERR_PAYLOAD` from another node.
   */
  add<H extends HandlerOf<Events>>(handler: H, ...rest: HandlerRest<H>): Promise<void>
  /** Resolves with what `terminate` returned. Rejects with `ERR_NOPROC` when there is no such handler. */
  remove(id: string, options?: WaitOptions): Promise<unknown>
  /**
   * Ends the handler `id` and lets another take its place, whose `init` is given what `terminate` returned: undefined
   * when there was none, which is no failure. Rejects as `add` does; when `init` raised the first is gone all the same.
   */
  swap<H extends HandlerOf<Events>>(id: string, handler: H, ...rest: HandlerRest<H>): Promise<void>
  /**
   * Asks one handler, by its definition and, if it has another, its id. Rejects with `ERR_NOPROC`, `ERR_UNKNOWN_TAG`,
   * and `ERR_EXIT` when it raised.
   */
  call<H extends HandlerOf<Events>, Tag extends keyof HandlerCallIn<H> & keyof HandlerCallOut<H> & string>(
    handler: H,
    tag: Tag,
    ...rest: [...Payload<HandlerCallIn<H>[Tag]>, options?: WaitOptions & { readonly id?: string | undefined }]
  ): Promise<Reply<HandlerCallOut<H>[Tag]>>
  /** In the order in which they are called. */
  handlers(options?: WaitOptions): Promise<readonly HandlerInfo[]>
  /** As `ActorRef.stop`: each handler's `terminate` runs. */
  stop(reason?: ExitReason, options?: WaitOptions): Promise<void>
}

type AddHandler = Handover<DefinedHandler>

const isId: Check = value => (typeof value === 'string' && value !== '' ? undefined : 'a string, not empty')
const isPid: Check = value => (value instanceof Pid ? undefined : 'a pid')
const isHandlerDef: Check = value => (isHandler(value) ? undefined : 'what defineEventHandler returned')
const HANDLER_CHECKS = { ...WAIT_CHECKS, id: isId, owner: isPid }
const CALL_CHECKS = { ...WAIT_CHECKS, id: isId }

/**
 * Defines an event manager: an actor, to be started by `spawn` or as a `child`. `Events` are its events, as payloads by
 * tag; `void` for none. `eventManager` gives its ref the methods to use it by.
 *
 * ```ts
 * const shop = defineEvents<{ sold: { sku: string; count: number }; closed: void }>('shop')
 * const audit = defineEventHandler('audit', {
 *   init: (start: number) => ({ total: start }),
 *   events: { sold: (state, sale: { count: number }) => { state.total += sale.count } },
 *   calls: { total: state => state.total },
 * })
 * const node = await createNode()
 * const events = eventManager(await node.spawn(shop))
 * await events.add(audit, 0)
 * events.notify('sold', { sku: 'tea', count: 2 })
 * await events.call(audit, 'total')
 * ```
 */
export function defineEvents<Events>(name: string): EventsDef<Events> {
  return managerNamed(name) as unknown as EventsDef<Events>
}

type ManagerDef = ReturnType<typeof managerNamed>

const managerNamed = (name: string) =>
  defineActor(name, {
    init: (_: undefined, ctx) => new Manager(ctx),
    calls: {
      place: (manager, add: AddHandler, { from }) =>
        manager.answer(from, manager.place(add.code, add.data as Placing)),
      remove: (manager, id: string, { from }) => manager.answer(from, manager.remove(id)),
      ask: (manager, asked: Asked, { from }) => manager.answer(from, manager.ask(asked, from)),
      sync: (manager, event: AnyEvent) => manager.tell(event),
      handlers: manager => manager.list(),
    },
    casts: { notify: (manager, event: AnyEvent) => manager.tell(event) },
    info: (manager, signal, ctx) => manager.inform(signal, ctx),
    terminate: (manager, reason) => manager.stop(reason),
    inspect: manager => manager.inspect(),
  })

/** The methods of an event manager, for a ref to it: from `spawn`, `whereis`, `named`, of a node or a process. */
export function eventManager<Events>(ref: ActorRef<EventsDef<Events>>): EventManager<Events> {
  expect('eventManager: ref', ref, value => (isRef(value) ? undefined : 'a ref'))
  const manager = ref as unknown as ActorRef<ManagerDef>
  const place = async (what: string, after: string | undefined, handler: unknown, rest: unknown[]) => {
    const [args, options] = rest as [unknown?, HandlerOptions?]
    expect(`${what}: handler`, handler, isHandlerDef)
    checkOptions(what, options, HANDLER_CHECKS)
    const { id, owner, ...wait } = options ?? {}
    const code = handler as DefinedHandler
    const placing: Placing = { args, id: id ?? code.name, owner, after }
    replyOf(await manager.call('place', new Handover(code, placing), wait))
  }
  return {
    get pid() {
      return ref.pid
    },
    notify: (tag, ...[payload]: readonly unknown[]) => manager.cast('notify', { tag, payload }),
    syncNotify: (tag, ...rest: readonly unknown[]) => {
      const [payload, options] = rest as [unknown, WaitOptions?]
      return manager.call('sync', { tag, payload }, options)
    },
    add: (handler, ...rest) => place('add', undefined, handler, rest),
    swap: async (id, handler, ...rest) => {
      expect('swap: id', id, isString)
      await place('swap', id, handler, rest)
    },
    remove: async (id, options) => {
      expect('remove: id', id, isString)
      return replyOf(await manager.call('remove', id, options))
    },
    call: async (handler, tag, ...rest: readonly unknown[]) => {
      const [payload, options] = rest as [unknown, (WaitOptions & { readonly id?: string })?]
      expect('call: handler', handler, isHandlerDef)
      checkOptions('call', options, CALL_CHECKS)
      const { id, ...wait } = options ?? {}
      return replyOf(await manager.call('ask', { id: id ?? handler.name, tag, payload }, wait)) as never
    },
    handlers: options => manager.call('handlers', undefined, options),
    stop: (reason, options) => manager.stop(reason, options),
  }
}

function replyOf(outcome: Outcome): unknown {
  if (outcome.ok) return outcome.value
  const { reason } = outcome.detail
  throw new TroupeError(
    outcome.code,
    outcome.message,
    outcome.detail,
    reason instanceof Error ? reason : undefined,
  )
}
