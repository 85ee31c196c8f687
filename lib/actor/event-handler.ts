/** The typed encoding of event handlers: one object, as for actors, from which every type is inferred. */
import { show } from '../base/errors.js'
import type { Pid } from '../base/ids.js'
import { expect, isFunction, isObject } from '../base/options.js'
import type { ExitReason } from '../base/reasons.js'
import type { Signal, Speaker } from './api.js'
import type { Replies } from './define.js'

/** Why a handler ends: what `terminate` is given, and its owner is told. */
export type HandlerEnd =
  /** By `remove` of the manager, or its own. */
  | { readonly type: 'remove' }
  /** `by` is the id of its successor. */
  | { readonly type: 'swap'; readonly by: string }
  /** It raised, or returned what it may not. */
  | { readonly type: 'error'; readonly reason: ExitReason }
  /** Its owner died. */
  | { readonly type: 'owner'; readonly reason: ExitReason }
  /** The manager stops. */
  | { readonly type: 'stop'; readonly reason: ExitReason }

/** What the owner of a handler is sent when that has ended, unless by its own death. */
export interface HandlerExit {
  readonly type: 'handler_exit'
  readonly manager: Pid
  readonly handler: string
  readonly end: HandlerEnd
}

/** What every callback of a handler is given. */
export interface HandlerContext {
  readonly id: string
  /** The manager, in whose process and name all its handlers act. */
  readonly process: Speaker
  /** Removes this handler after this callback. */
  remove(): void
}

type Handlers<State, Payloads> = {
  [Tag in keyof Payloads]: (state: State, payload: Payloads[Tag], ctx: HandlerContext) => unknown
}

export interface HandlerSpec<Args, State, Events, CallIn, CallOut> {
  /** Its result, an object, is the state. `previous` is what `terminate` of the handler it takes over from returned. */
  init: (args: Args, previous: unknown) => State | Promise<State>
  /** Return nothing. Events without a handler here go to `other`. */
  events?: Handlers<NoInfer<State>, Events>
  other?: (state: NoInfer<State>, event: AnyEvent, ctx: HandlerContext) => void | Promise<void>
  /** Return the reply, or a promise of it. */
  calls?: Handlers<NoInfer<State>, CallIn> & Replies<CallOut>
  /** Mail of the manager's process that is no event. */
  info?: (state: NoInfer<State>, signal: Signal, ctx: HandlerContext) => void | Promise<void>
  /** Its result goes to whoever removed the handler, or to its successor. */
  terminate?: (state: NoInfer<State>, end: HandlerEnd) => unknown
  /** What crash reports and inspection show of the state. Default: the state. */
  inspect?: (state: NoInfer<State>) => unknown
}

export interface AnyEvent {
  readonly tag: string
  readonly payload: unknown
}

export interface HandlerDef<Name extends string, Args, Events, CallIn, CallOut> {
  readonly name: Name
  /** Never read at run time: carry the inferred types. Whoever emits more events than these can have the handler. */
  readonly '~args'?: (args: Args) => void
  readonly '~events'?: (events: Events) => void
  readonly '~calls'?: () => [CallIn, CallOut]
}

/** Any handler that a manager of `Events` can have. */
export type HandlerOf<Events> = HandlerDef<string, never, Events, unknown, unknown>
export type HandlerArgs<H> = H extends { readonly '~args'?: (args: infer A) => void } ? A : never
export type HandlerCallIn<H> = H extends { readonly '~calls'?: () => [infer P, unknown] } ? P : never
export type HandlerCallOut<H> = H extends { readonly '~calls'?: () => [unknown, infer R] } ? R : never

export type Callback = (state: unknown, payload: unknown, ctx: HandlerContext) => unknown
export interface AnyHandlerSpec {
  readonly init: (args: unknown, previous: unknown) => unknown
  readonly events?: Readonly<Record<string, Callback>>
  readonly other?: Callback
  readonly calls?: Readonly<Record<string, Callback>>
  readonly info?: Callback
  readonly terminate?: (state: unknown, end: HandlerEnd) => unknown
  readonly inspect?: (state: unknown) => unknown
}

/** The same object with its spec in sight, for those who run it. */
export interface DefinedHandler {
  readonly name: string
  readonly spec: AnyHandlerSpec
}

const FUNCTIONS = ['init', 'other', 'info', 'terminate', 'inspect']
const TABLES = ['events', 'calls']

/**
 * Defines an event handler: a state and callbacks, which run in the process of an event manager beside its other
 * handlers. What it raises ends it, and nobody else.
 *
 * ```ts
 * const audit = defineEventHandler('audit', {
 *   init: (start: number) => ({ total: start }),
 *   events: { sold: (state, sale: { count: number }) => { state.total += sale.count } },
 *   calls: { total: state => state.total },
 * })
 * ```
 *
 * Throws `TypeError` for what is no callback.
 */
export function defineEventHandler<
  const Name extends string,
  Args,
  State extends object,
  Events = {},
  CallIn = {},
  CallOut = {},
>(
  name: Name,
  spec: HandlerSpec<Args, State, Events, CallIn, CallOut>,
): HandlerDef<Name, Args, Events, CallIn, CallOut> {
  expect('defineEventHandler: name', name, value =>
    typeof value === 'string' && value !== '' ? undefined : 'a string, not empty',
  )
  const where = `defineEventHandler(${show(name)})`
  expect(`${where}: spec`, spec, isObject)
  checkCallbacks(where, spec)
  return Object.freeze({ name, spec })
}

function checkCallbacks(where: string, spec: object): void {
  if (!Object.hasOwn(spec, 'init')) throw new TypeError(`${where}: init: expected a function, got undefined`)
  for (const [key, value] of Object.entries(spec)) {
    if (![...FUNCTIONS, ...TABLES].includes(key)) {
      const known = [...FUNCTIONS, ...TABLES].join(', ')
      throw new TypeError(`${where}: unknown key ${show(key)}; expected one of ${known}`)
    }
    if (value === undefined && key !== 'init') continue
    expect(`${where}: ${key}`, value, TABLES.includes(key) ? isObject : isFunction)
    if (!TABLES.includes(key)) continue
    for (const [tag, callback] of Object.entries(value))
      expect(`${where}: ${key}.${tag}`, callback, isFunction)
  }
}

/** True for what `defineEventHandler` returned. */
export const isHandler = (value: unknown): value is DefinedHandler =>
  isObject(value) === undefined &&
  typeof (value as Partial<DefinedHandler>).name === 'string' &&
  typeof (value as Partial<DefinedHandler>).spec?.init === 'function'
