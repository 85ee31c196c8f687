/**
 * The typed encoding of actors: one object from which arguments, state, payloads and replies are inferred. This is
 * the one file that may say `any`, in generic constraints. If `never[]` in `Replies` became `any[]`, state and replies
 * would silently decay to `any`; `test/define.types.ts` guards it with exact-type tests.
 */
import { show } from '../base/errors.js'
import { expect, isFunction, isObject } from '../base/options.js'
import type { ExitReason } from '../base/reasons.js'
import type { Context, InitContext, Signal, SpawnOptions } from './api.js'

/** A reply that comes later, through `ctx.from.reply`. */
export interface Later<R> {
  readonly '~later': R
}

type Handlers<State, Payloads> = {
  [Tag in keyof Payloads]: (state: State, payload: Payloads[Tag], ctx: Context) => unknown
}
export type Replies<Results> = { [Tag in keyof Results]: (...args: never[]) => Results[Tag] }

export interface ActorSpec<Args, State, CallIn, CallOut, CastIn> {
  /** Runs in the new process; its result, an object, is the state. */
  init: (args: Args, ctx: InitContext) => State | Promise<State>
  /** Return the reply, or a promise of it. One message at a time, awaits included. A throw is a crash. */
  calls?: Handlers<NoInfer<State>, CallIn> & Replies<CallOut>
  /** Return nothing. */
  casts?: Handlers<NoInfer<State>, CastIn>
  info?: (state: NoInfer<State>, signal: Signal, ctx: Context) => void | Promise<void>
  continue?: (state: NoInfer<State>, value: unknown, ctx: Context) => void | Promise<void>
  terminate?: (state: NoInfer<State>, reason: ExitReason) => unknown
  /** What crash reports and inspection show of the state: a place to leave secrets out. Default: the state. */
  inspect?: (state: NoInfer<State>) => unknown
}

export interface ActorDef<Name extends string, Args, CallIn, CallOut, CastIn> {
  readonly name: Name
  /** Never read at run time: carries the inferred types, invariantly, to `ActorRef`. */
  readonly '~types'?: (phantom: [Args, CallIn, CallOut, CastIn]) => [Args, CallIn, CallOut, CastIn]
}

export type AnyActor = ActorDef<string, any, any, any, any>
export type ArgsOf<D> = D extends ActorDef<string, infer A, any, any, any> ? A : never
export type CallIn<D> = D extends ActorDef<string, any, infer P, any, any> ? P : never
export type CallOut<D> = D extends ActorDef<string, any, any, infer R, any> ? R : never
export type CastIn<D> = D extends ActorDef<string, any, any, any, infer P> ? P : never
/** No parameter in the handler, no argument at the call. */
export type Payload<P> = unknown extends P
  ? [payload?: undefined]
  : [P] extends [void]
    ? [payload?: undefined]
    : [payload: P]
type Settled<V> = V extends Later<infer L> ? L : V
export type Reply<R> = Settled<Awaited<R>>
export type SpawnRest<D> =
  unknown extends ArgsOf<D>
    ? [args?: undefined, options?: SpawnOptions]
    : undefined extends ArgsOf<D>
      ? [args?: ArgsOf<D>, options?: SpawnOptions]
      : [args: ArgsOf<D>, options?: SpawnOptions]

/** The same object with its spec in sight, for those who run it. */
interface Defined {
  readonly name: string
  readonly spec: AnySpec
}

/** A handler as the runtime calls it. */
export type Handler = (state: unknown, payload: unknown, ctx: Context) => unknown
export interface AnySpec {
  readonly init: (args: unknown, ctx: InitContext) => unknown
  readonly calls?: Readonly<Record<string, Handler>>
  readonly casts?: Readonly<Record<string, Handler>>
  readonly info?: (state: unknown, signal: Signal, ctx: Context) => unknown
  readonly continue?: (state: unknown, value: unknown, ctx: Context) => unknown
  readonly terminate?: (state: unknown, reason: ExitReason) => unknown
  readonly inspect?: (state: unknown) => unknown
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.:/-]{0,254}$/
const FUNCTIONS = ['init', 'info', 'continue', 'terminate', 'inspect']
const TABLES = ['calls', 'casts']

/**
 * Defines an actor: its name, which is what crosses nodes, and its callbacks, from which every type is inferred.
 *
 * ```ts
 * const counter = defineActor('counter', {
 *   init: (start: number) => ({ value: start }),
 *   calls: { add: (state, by: number) => (state.value += by) },
 * })
 * ```
 *
 * Throws `TypeError` for a name of other than letters, digits and `_.:/-`, and for what is no callback.
 */
export function defineActor<
  const Name extends string,
  Args,
  State extends object,
  CallIn = {},
  CallOut = {},
  CastIn = {},
>(
  name: Name,
  spec: ActorSpec<Args, State, CallIn, CallOut, CastIn>,
): ActorDef<Name, Args, CallIn, CallOut, CastIn> {
  checkSpec(name, spec)
  return Object.freeze({ name, spec })
}

/** A name by which other nodes ask for code of this one. */
export function checkDefinitionName(where: string, name: unknown): void {
  expect(where, name, value =>
    typeof value === 'string' && NAME.test(value)
      ? undefined
      : "1 to 255 of letters, digits, '_', '.', ':', '/', '-', beginning with a letter or digit",
  )
}

function checkSpec(name: unknown, spec: unknown): void {
  checkDefinitionName('defineActor: name', name)
  expect(`defineActor(${show(name)}): spec`, spec, isObject)
  const where = `defineActor(${show(name)})`
  for (const [key, value] of Object.entries(spec as object)) {
    if (value === undefined && key !== 'init') continue
    if (FUNCTIONS.includes(key)) expect(`${where}: ${key}`, value, isFunction)
    else if (TABLES.includes(key)) checkTable(`${where}: ${key}`, value)
    else
      throw new TypeError(
        `${where}: unknown key ${show(key)}; expected one of ${[...FUNCTIONS, ...TABLES].join(', ')}`,
      )
  }
  if (!Object.hasOwn(spec as object, 'init'))
    throw new TypeError(`${where}: init: expected a function, got undefined`)
}

function checkTable(where: string, table: unknown): void {
  expect(where, table, isObject)
  for (const [tag, handler] of Object.entries(table as object)) {
    if (tag === '' || tag.startsWith('$')) {
      throw new TypeError(
        `${where}: expected a tag that is not empty and does not begin with '$', got ${show(tag)}`,
      )
    }
    expect(`${where}.${tag}`, handler, isFunction)
  }
}

/** True for what `defineActor` returned. */
export const isActor = (value: unknown): value is AnyActor =>
  typeof value === 'object' &&
  value !== null &&
  typeof (value as Partial<Defined>).name === 'string' &&
  typeof (value as Partial<Defined>).spec?.init === 'function'

/** A definition that other nodes host, known here by its name alone: it can be spawned there, and not here. */
export const definitionNamed = (name: string): AnyActor => Object.freeze({ name, spec: undefined })

export const isDefinitionName = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  'spec' in value &&
  value.spec === undefined &&
  !isActor(value)

/** The callbacks behind a definition. Throws `TypeError` for anything else. */
export function specOf(where: string, def: AnyActor): AnySpec {
  if (!isActor(def)) throw new TypeError(`${where}: expected what defineActor returned, got ${show(def)}`)
  return (def as unknown as Defined).spec
}
