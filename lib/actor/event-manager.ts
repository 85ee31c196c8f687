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

import type { ErrorCode } from '../base/errors.js'
import { show, TroupeError } from '../base/errors.js'
import { Pid, type Ref, sameRef } from '../base/ids.js'
import { type Check, checkOptions, expect, isString, WAIT_CHECKS, type WaitOptions } from '../base/options.js'
import { type ExitReason, thrownReason } from '../base/reasons.js'
import type { Sent } from '../process/mail.js'
import type { Process } from '../process/process.js'
import type { Actors } from './actors.js'
import type { ActorRef, Context, From, InitContext, Signal, Speaker } from './api.js'
import { type ActorDef, defineActor, type Payload, type Reply } from './define.js'
import {
  type AnyEvent,
  type AnyHandlerSpec,
  type Callback,
  type DefinedHandler,
  type HandlerArgs,
  type HandlerCallIn,
  type HandlerCallOut,
  type HandlerContext,
  type HandlerEnd,
  type HandlerExit,
  type HandlerOf,
  isHandler,
} from './event-handler.js'
import { Handover } from './handover.js'
import { isRef } from './refs.js'
import { isThenable } from './replies.js'
import { ProcessSpeaker } from './speaker.js'

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

export interface HandlerInfo {
  readonly id: string
  readonly definition: string
  readonly owner: Pid | undefined
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

/** What the manager's own process replies: a refusal must not be its crash. */
type Outcome =
  | { readonly ok: true; readonly value: unknown }
  | {
      readonly ok: false
      readonly code: ErrorCode
      readonly message: string
      readonly detail: Readonly<Record<string, unknown>>
    }
type Eventual<T> = T | Promise<T>

interface Asked extends AnyEvent {
  readonly id: string
}

interface Placing {
  readonly args: unknown
  readonly id: string
  readonly owner: Pid | undefined
  /** Whom it takes over from. */
  readonly after: string | undefined
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

const done = (value: unknown): Outcome => ({ ok: true, value })
const refusal = (code: ErrorCode, message: string, detail: Readonly<Record<string, unknown>>): Outcome => ({
  ok: false,
  code,
  message,
  detail,
})

class Installed implements HandlerContext {
  readonly id: string
  readonly def: DefinedHandler
  readonly process: Speaker
  readonly state: unknown
  readonly owner: Pid | undefined
  readonly monitor: Ref | undefined
  removing = false

  constructor(process: Speaker, def: DefinedHandler, { id, owner }: Placing, state: unknown) {
    this.id = id
    this.def = def
    this.process = process
    this.state = state
    this.owner = owner
    this.monitor = owner === undefined ? undefined : process.monitor(owner)
  }

  get spec(): AnyHandlerSpec {
    return this.def.spec
  }

  remove(): void {
    this.removing = true
  }
}

class Manager {
  readonly #ctx: ProcessSpeaker<Process>
  readonly #actors: Actors
  readonly #process: Process
  #handlers = new Map<string, Installed>()

  constructor(ctx: InitContext) {
    if (!(ctx instanceof ProcessSpeaker)) throw new TypeError('expected to be started by a node')
    ctx.trapExit(true)
    this.#ctx = ctx
    this.#actors = ctx.alive()
    const { table } = this.#actors
    this.#process = table.find(ctx.self) as Process
    table.entrust(this.#process, { lost: () => this.#count('handlers', -this.#handlers.size) })
  }

  list(): readonly HandlerInfo[] {
    return this.#all().map(({ id, def, owner }) => ({ id, definition: def.name, owner }))
  }

  inspect(): unknown {
    return this.#all().map(({ id, spec, state }) => ({ id, state: spec.inspect?.(state) ?? state }))
  }

  // Events.

  tell(event: AnyEvent): Eventual<void> {
    return this.#each(({ events, other }) => {
      const own = events !== undefined && Object.hasOwn(events, event.tag) ? events[event.tag] : undefined
      if (own !== undefined) return (state, ctx) => own(state, event.payload, ctx)
      return other && ((state, ctx) => other(state, event, ctx))
    })
  }

  inform(signal: Signal, ctx: Context): Eventual<void> {
    // Of a parent's exit no handler is told. For a manager without one, and above all, there is the node.
    if (signal.type === 'exit' && signal.pid === ctx.node.self) return ctx.stop(signal.reason)
    const { ref, reason } = signal.type === 'down' ? signal : { ref: undefined, reason: undefined }
    const owned = this.#all().find(
      ({ monitor }) => ref !== undefined && monitor !== undefined && sameRef(monitor, ref),
    )
    if (owned !== undefined) return ignoring(this.#end(owned, { type: 'owner', reason }))
    return this.#each(({ info }) => info && ((state, own) => info(state, signal, own)))
  }

  /** All at once, in order; those that return promises are waited for together. */
  #each(
    callbackOf: (spec: AnyHandlerSpec) => ((state: unknown, ctx: HandlerContext) => unknown) | undefined,
  ): Eventual<void> {
    const waits: Promise<unknown>[] = []
    for (const one of this.#all()) {
      const callback = callbackOf(one.spec)
      if (callback === undefined) continue
      const went = (value: unknown): Eventual<Outcome> =>
        value === undefined ? this.#went(one, value) : this.#failed(one, { bad_return_value: value })
      const wait = this.#attempt(
        () => callback(one.state, one),
        went,
        reason => this.#failed(one, reason),
      )
      if (isThenable(wait)) waits.push(wait as Promise<unknown>)
    }
    return waits.length === 0 ? undefined : ignoring(Promise.all(waits))
  }

  /** Replies by hand: what came of a handler may be a value that cannot cross, and is not to end the manager. */
  answer(from: From, outcome: Eventual<Outcome>): Eventual<Outcome> {
    return then(outcome, known => {
      try {
        from.reply(known)
      } catch (error) {
        from.reply(
          known.ok
            ? refusal('ERR_PAYLOAD', `what terminate returned may not cross: ${show(error)}`, {})
            : { ...known, detail: { ...known.detail, reason: show(known.detail['reason']) } },
        )
      }
      return known
    })
  }

  ask({ id, tag, payload }: Asked, from: From): Eventual<Outcome> {
    const one = this.#handlers.get(id)
    if (one === undefined) return this.#unknown(id)
    const { calls = {} } = one.spec
    const callback: Callback | undefined = Object.hasOwn(calls, tag) ? calls[tag] : undefined
    if (callback === undefined) {
      const known = Object.keys(calls)
      const has = known.map(name => show(name)).join(', ') || 'none'
      const message = `the handler ${show(id)} of ${this.#ctx.self} has no call ${show(tag)}; it has ${has}`
      return refusal('ERR_UNKNOWN_TAG', message, { handler: id, tag, known })
    }
    return this.#attempt(
      () => callback(one.state, payload, one),
      value => this.#replied(one, value, from),
      reason => this.#failed(one, reason),
    )
  }

  #replied(one: Installed, value: unknown, from: From): Eventual<Outcome> {
    if (!one.removing) {
      try {
        from.reply(done(value))
      } catch (error) {
        return this.#failed(one, { bad_return_value: show(value), why: show(error) })
      }
    }
    return this.#went(one, value)
  }

  #went(one: Installed, value: unknown): Eventual<Outcome> {
    return one.removing ? then(this.#end(one, { type: 'remove' }), () => done(value)) : done(value)
  }

  #failed(one: Installed, reason: ExitReason): Eventual<Outcome> {
    this.#count('handlersFailed', 1)
    this.#report(one, 'raised', reason)
    const message = `the handler ${show(one.id)} of ${this.#ctx.self} ended before it replied`
    const ended = refusal('ERR_EXIT', message, { handler: one.id, pid: this.#ctx.self, reason })
    return then(this.#end(one, { type: 'error', reason }), () => ended)
  }

  // Coming and going.

  place(def: DefinedHandler, placing: Placing): Eventual<Outcome> {
    const { id, after } = placing
    const before = after === undefined ? undefined : this.#handlers.get(after)
    if (this.#handlers.has(id) && before?.id !== id) {
      const message = `${this.#ctx.self} has a handler ${show(id)} already`
      return refusal('ERR_ALREADY_STARTED', message, { handler: id, pid: this.#ctx.self })
    }
    const max = this.#actors.table.limits.eventHandlersMax
    if (before === undefined && this.#handlers.size >= max) {
      this.#count('handlersRefused', 1)
      const message = `${this.#ctx.self} has ${max} handlers, as many as it may`
      return refusal('ERR_BUSY', message, { limit: 'eventHandlersMax' })
    }
    if (before === undefined) return this.#start(def, placing, undefined, [...this.#handlers.keys(), id])
    const places = [...this.#handlers.keys()].map(known => (known === after ? id : known))
    return then(this.#end(before, { type: 'swap', by: id }), previous =>
      this.#start(def, placing, previous, places),
    )
  }

  /** `places` are all ids, in the order in which they will be called. */
  #start(
    def: DefinedHandler,
    placing: Placing,
    previous: unknown,
    places: readonly string[],
  ): Eventual<Outcome> {
    const failed = (reason: ExitReason): Outcome =>
      refusal('ERR_START', `the handler ${show(placing.id)} did not start: ${show(reason)}`, {
        handler: placing.id,
        reason,
      })
    const started = (state: unknown): Outcome => {
      if (typeof state !== 'object' || state === null) return failed({ bad_return_value: state })
      const one = new Installed(this.#ctx, def, placing, state)
      const all = new Map(this.#handlers).set(one.id, one)
      this.#handlers = new Map(places.map(id => [id, all.get(id) as Installed]))
      this.#count('handlers', 1)
      return done(undefined)
    }
    return this.#attempt(() => def.spec.init(placing.args, previous), started, failed)
  }

  remove(id: string): Eventual<Outcome> {
    const one = this.#handlers.get(id)
    return one === undefined ? this.#unknown(id) : then(this.#end(one, { type: 'remove' }), done)
  }

  async stop(reason: ExitReason): Promise<void> {
    for (const one of this.#all()) await this.#end(one, { type: 'stop', reason })
  }

  /** What `terminate` returned; undefined when it raised, which is reported. */
  #end(one: Installed, end: HandlerEnd): Eventual<unknown> {
    this.#handlers.delete(one.id)
    this.#count('handlers', -1)
    const told = (value: unknown): unknown => {
      this.#tellOwner(one, end)
      return value
    }
    return this.#attempt(
      () => one.spec.terminate?.(one.state, end),
      told,
      reason => {
        this.#report(one, 'raised in terminate', reason)
        return told(undefined)
      },
    )
  }

  #tellOwner({ id, owner, monitor }: Installed, end: HandlerEnd): void {
    if (owner === undefined || monitor === undefined || end.type === 'owner') return
    this.#ctx.demonitor(monitor, { flush: true })
    const exit: HandlerExit = { type: 'handler_exit', manager: this.#ctx.self, handler: id, end }
    try {
      this.#ctx.send(owner, exit)
    } catch {
      // A reason that cannot cross: the owner learns what it was like.
      const told = 'reason' in end ? { ...end, reason: show(end.reason) } : end
      this.#ctx.send(owner, { ...exit, end: told })
    }
  }

  /** Runs a callback, sync or not, as code of the manager's process. Of a dead one nothing more is heard. */
  #attempt<T>(
    callback: () => unknown,
    next: (value: unknown) => Eventual<T>,
    fail: (reason: ExitReason) => Eventual<T>,
  ): Eventual<T> {
    let result: unknown
    try {
      result = this.#actors.table.scheduler.as(this.#process, callback)
    } catch (error) {
      return fail(thrownReason(error))
    }
    if (!isThenable(result)) return next(result)
    const go =
      (how: (value: unknown) => Eventual<T>) =>
      (value: unknown): Eventual<T> => {
        this.#ctx.alive()
        return how(value)
      }
    return Promise.resolve(result).then(
      go(next),
      go(error => fail(thrownReason(error))),
    )
  }

  #all(): readonly Installed[] {
    return [...this.#handlers.values()]
  }

  #unknown(id: string): Outcome {
    const message = `${this.#ctx.self} has no handler ${show(id)}`
    return refusal('ERR_NOPROC', message, { handler: id, pid: this.#ctx.self })
  }

  #report(one: Installed, what: string, cause: ExitReason): void {
    this.#ctx.report(new Error(`the handler ${show(one.id)} of ${this.#ctx.self} ${what}`, { cause }))
  }

  #count(what: string, by: number): void {
    this.#actors.count(`events.${what}`, by)
  }
}

const then = <A, B>(value: Eventual<A>, next: (value: A) => Eventual<B>): Eventual<B> =>
  isThenable(value) ? (value as Promise<A>).then(next) : next(value as A)

const ignoring = (value: Eventual<unknown>): Eventual<void> => then(value, () => undefined)
