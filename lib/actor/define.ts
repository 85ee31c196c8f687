/**
 * The typed encoding of actors: one object from which arguments, state, payloads and replies are inferred. This is
 * the one file that may say `any`, in generic constraints. If `never[]` in `Replies` became `any[]`, state and replies
 * would silently decay to `any`; `test/define.types.ts` guards it with exact-type tests.
 */
import type { ExitReason } from '../base/reasons.js'
import type { Context, InitContext, Signal, SpawnOptions } from './api.js'

/** A reply that comes later, through `ctx.from.reply`. */
export interface Later<R> {
  readonly '~later': R
}

type Handlers<State, Payloads> = {
  [Tag in keyof Payloads]: (state: State, payload: Payloads[Tag], ctx: Context) => unknown
}
type Replies<Results> = { [Tag in keyof Results]: (...args: never[]) => Results[Tag] }

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
