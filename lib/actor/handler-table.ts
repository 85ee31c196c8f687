/**
 * The handlers of one event manager, in its process: who is called, who waits for whom, and what their faults become.
 * `event-manager.ts` says what is promised.
 */
import { type ErrorCode, show } from '../base/errors.js'
import { type Pid, type Ref, sameRef } from '../base/ids.js'
import { type ExitReason, thrownReason } from '../base/reasons.js'
import type { Process } from '../process/process.js'
import type { Actors } from './actors.js'
import type { Context, From, InitContext, Signal, Speaker } from './api.js'
import type {
  AnyEvent,
  AnyHandlerSpec,
  Callback,
  DefinedHandler,
  HandlerContext,
  HandlerEnd,
  HandlerExit,
} from './event-handler.js'
import { isThenable } from './replies.js'
import { ProcessSpeaker } from './speaker.js'

export interface HandlerInfo {
  readonly id: string
  readonly definition: string
  readonly owner: Pid | undefined
}

/** What the manager's own process replies: a refusal must not be its crash. */
export type Outcome =
  | { readonly ok: true; readonly value: unknown }
  | {
      readonly ok: false
      readonly code: ErrorCode
      readonly message: string
      readonly detail: Readonly<Record<string, unknown>>
    }
export type Eventual<T> = T | Promise<T>

export interface Asked extends AnyEvent {
  readonly id: string
}

export interface Placing {
  readonly args: unknown
  readonly id: string
  readonly owner: Pid | undefined
  /** Whom it takes over from. */
  readonly after: string | undefined
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

export class Manager {
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
