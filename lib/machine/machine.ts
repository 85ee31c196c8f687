/**
 * `defineMachine`: a definition of states becomes a definition of an actor, so that a machine is spawned, supervised,
 * named, called and inspected like any other. The door of this room.
 */
import type { Context, InitContext, Signal } from '../actor/api.js'
import { type ActorDef, defineActor } from '../actor/define.js'
import type { ExitReason } from '../base/reasons.js'
import { type Plan, planOf } from './plan.js'
import type { InternalEvent, Result, ResultKind } from './results.js'
import { actorSpecOf } from './running.js'

/** What handlers of a machine are given: what every actor's are, and the state. */
export interface MachineContext<State> extends Omit<Context, 'continue' | 'timeout' | 'stop'> {
  /** The state that the machine is in. */
  readonly state: State
}

type Maybe<R> = R | Promise<R>
type Returns<Data, States, Inserts, Timers> = Maybe<
  Result<States, Data, void, InternalEvent<Inserts, unknown>, Timers>
>
/** With a reply of any type. It is left out, not `unknown`, which would be inferred for a result without one. */
type Answers<Data, States, Inserts, Timers> = Maybe<{
  readonly kind: ResultKind
  readonly '~result'?: { to: States; data: Data; next: InternalEvent<Inserts, unknown>; timers: Timers }
}>
/** `(data, payload, ctx)`; the payload is typed by the handler's own parameter. */
type Handler<Data, States, Payload, Returned> = (
  data: Data,
  payload: Payload,
  ctx: MachineContext<States>,
) => Returned

/** A state to go to, a handler, or a handler that says where it may go: then it goes nowhere else. */
type Entry<F, States> = States | F | { readonly to: States | readonly States[]; readonly do: F }
type Table<F, States> = { readonly [tag: string]: Entry<F, States> }
type Plain<Data, States, Payload, Inserts, Timers> = Entry<
  Handler<Data, States, Payload, Returns<Data, States, NoInfer<Inserts>, NoInfer<Timers>>>,
  States
>

/**
 * What one state does with each event: a state to go to, a handler `(data, payload, ctx)` that returns `go`, `stay`,
 * `repeat`, `postpone` or `stop` (or a promise: the next event waits for it), or `{ to, do }`, a handler that says where
 * it may go. An event that neither the state nor `any` handles ends the machine with `function_clause`.
 */
export interface StateSpec<Data, States, Inserts extends string, Timers extends string> {
  /**
   * The state enter call: at the start (`from` is the state itself), after each change of state, and for `repeat`; ahead
   * of every event. Returns nothing, `stay` or `stop`, with data and timeouts, but without `next` and `postpone`.
   */
  readonly enter?: (
    data: Data,
    from: States,
    ctx: MachineContext<States>,
  ) => Maybe<Result<never, Data, void, never, NoInfer<Timers>> | void>
  /** Calls, by tag. The result's `reply` is what the caller gets. */
  readonly calls?: Table<
    Handler<Data, States, never, Answers<Data, States, NoInfer<Inserts>, NoInfer<Timers>>>,
    States
  >
  readonly casts?: Table<
    Handler<Data, States, never, Returns<Data, States, NoInfer<Inserts>, NoInfer<Timers>>>,
    States
  >
  /** Events that the machine gives itself, with `next`. */
  readonly internal?: { readonly [I in Inserts]?: Plain<Data, States, never, Inserts, Timers> }
  /** Plain mail, exits, downs and timers, as `info` of an actor. Without it plain mail is a dead letter. */
  readonly info?: Plain<Data, States, Signal, Inserts, Timers>
  readonly stateTimeout?: Plain<Data, States, unknown, Inserts, Timers>
  readonly eventTimeout?: Plain<Data, States, unknown, Inserts, Timers>
  /** Named (generic) timeouts. */
  readonly timeouts?: { readonly [T in Timers]?: Plain<Data, States, unknown, Inserts, Timers> }
}

/** A machine as its author writes it. Only `Args` and `Data` are ever of interest; all is inferred. */
export interface MachineSpec<
  Args,
  Data,
  States extends string,
  Calls,
  Casts,
  Internal,
  AnyCalls,
  AnyCasts,
  AnyInternal,
  Inserts extends string,
  Timers extends string,
> {
  /** Runs in the new process; its result, an object, is the data: changed in place, or replaced by `data` of a result. */
  readonly init: (args: Args, ctx: InitContext) => Maybe<Data>
  /** Where it begins: a state, or a function that returns `go(…)`, which may also set timeouts and `next`. */
  readonly initial:
    | NoInfer<States>
    | ((
        data: NoInfer<Data>,
        ctx: InitContext,
      ) => Returns<NoInfer<Data>, NoInfer<States>, NoInfer<Inserts>, NoInfer<Timers>>)
    | {
        readonly to: NoInfer<States> | readonly NoInfer<States>[]
        readonly do: (
          data: NoInfer<Data>,
          ctx: InitContext,
        ) => Returns<NoInfer<Data>, NoInfer<States>, NoInfer<Inserts>, NoInfer<Timers>>
      }
  /** By name. Names are strings: what else there is to know belongs into the data. */
  readonly states: {
    readonly [S in States]: StateSpec<NoInfer<Data>, NoInfer<States>, Inserts, Timers>
  } & { readonly [S in keyof Calls]: { readonly calls?: Calls[S] } } & {
    readonly [S in keyof Casts]: { readonly casts?: Casts[S] }
  } & { readonly [S in keyof Internal]: { readonly internal?: Internal[S] } }
  /** For events that the state has no handler for: `handle_event`, with `ctx.state`. */
  readonly any?: StateSpec<NoInfer<Data>, NoInfer<States>, Inserts, Timers> & {
    readonly calls?: AnyCalls
    readonly casts?: AnyCasts
    readonly internal?: AnyInternal
  }
  /** Runs when the machine ends by itself, by a crash or by its parent; not when it is killed. */
  readonly terminate?: (data: NoInfer<Data>, reason: ExitReason, state: NoInfer<States>) => unknown
  /** What crash reports and inspection show of the data: a place to leave secrets out. Default: the data. */
  readonly inspect?: (data: NoInfer<Data>) => unknown
}

// From the handlers to what a ref to the machine takes and gives. Tables are `{ state: { tag: entry } }`.

type Values<T> = T[keyof T]
/** Every pair of tag and entry, from all states. */
type Tagged<H> = Values<{ [S in keyof H]: Values<{ [E in keyof H[S] & string]: readonly [E, H[S][E]] }> }>
type Tags<H> = Tagged<H> extends infer T ? (T extends readonly [infer E, unknown] ? E : never) : never
type Of<H, E> = Tagged<H> extends infer T ? (T extends readonly [E, infer F] ? F : never) : never

type Taken<F> = F extends { readonly do: infer G }
  ? Taken<G>
  : F extends (data: never, payload: infer P, ctx: never) => unknown
    ? [P] extends [never]
      ? unknown
      : P
    : unknown
/** What suits every one of the handlers. */
type Suits<F> = (F extends unknown ? (payload: Taken<F>) => void : never) extends (payload: infer P) => void
  ? P
  : never
type ReplyIn<R> = R extends { readonly '~result'?: { reply: infer Reply } } ? Reply : never
type Given<F> = F extends { readonly do: infer G }
  ? Given<G>
  : F extends (...args: never[]) => infer R
    ? ReplyIn<Awaited<R>>
    : void

type Payloads<H> = { [E in Tags<H> & string]: Suits<Of<H, E>> } & {}
type Replies<H> = { [E in Tags<H> & string]: Given<Of<H, E>> } & {}
type NextIn<R> = R extends { readonly '~result'?: { next: infer Next } } ? Next : never
type Inserted<F> = F extends { readonly do: infer G }
  ? Inserted<G>
  : F extends (...args: never[]) => infer R
    ? NextIn<Awaited<R>>
    : never
type AllInserted<Pairs> = Pairs extends readonly [unknown, infer F] ? Inserted<F> : never
/** In place of a definition, when an event of `next` has a payload that its `internal` handlers do not take. */
type Sound<Pairs, Internal, Def> =
  Exclude<AllInserted<Pairs>, Handled<Internal>> extends infer Wrong
    ? [Wrong] extends [never]
      ? Def
      : { readonly 'internal does not take': Wrong }
    : never
type Handled<H> = Values<{ [E in Tags<H> & string]: InternalEvent<E, Suits<Of<H, E>>> }>
/** A machine: an actor definition that `toMermaid` can draw. */
export interface MachineDef<Name extends string, Args, CallIn, CallOut, CastIn, States extends string>
  extends ActorDef<Name, Args, CallIn, CallOut, CastIn> {
  /** In the order in which they were written. */
  readonly states: readonly States[]
}

export const kMachine = Symbol('troupe.machine')

/** The same definition with its plan in sight. */
export interface Machine {
  readonly [kMachine]: Plan
}

/**
 * Defines a state machine, OTP's `gen_statem`, as an actor: `node.spawn(door, args)`, `ref.call('open', payload)`,
 * `ref.cast(…)`, plain mail as `info`; in supervisors, under names and on other nodes as any actor.
 *
 * ```ts
 * const door = defineMachine('door', {
 *   init: (code: string) => ({ code }),
 *   initial: 'locked',
 *   states: {
 *     locked: {
 *       calls: {
 *         enter: (data, code: string) =>
 *           code === data.code ? go('open', { reply: true, stateTimeout: 5_000 }) : stay({ reply: false }),
 *       },
 *     },
 *     open: { calls: { enter: postpone }, casts: { close: 'locked' }, stateTimeout: 'locked' },
 *   },
 * })
 * ```
 *
 * Events are handled one at a time, awaits included, in this order: those of `next`; what was postponed, oldest first,
 * once the state has changed; timeouts of 0 ms; the mailbox. States, tags, payloads, replies and names of timeouts are
 * inferred; a payload of `next` that `internal` does not take makes the result no definition.
 *
 * A machine ends with `{ bad_return_from_state_function }`, `{ bad_action_from_state_function }`,
 * `{ bad_state_enter_return }`, `{ bad_state_enter_action }` or `{ function_clause }` (nobody handles the event), each
 * with what was expected, and with `{ system_limit: 'machineEventsMax' }` when too many events are postponed.
 *
 * Throws `TypeError` for what is no definition, naming the place. Source: gen_statem of Erlang/OTP.
 */
export function defineMachine<
  const Name extends string,
  Args,
  Data extends object,
  States extends string,
  Calls = {},
  Casts = {},
  Internal = {},
  AnyCalls = {},
  AnyCasts = {},
  AnyInternal = {},
  Inserts extends string = never,
  Timers extends string = never,
>(
  name: Name,
  spec: MachineSpec<
    Args,
    Data,
    States,
    Calls,
    Casts,
    Internal,
    AnyCalls,
    AnyCasts,
    AnyInternal,
    Inserts,
    Timers
  >,
): Sound<
  | Tagged<Calls & { '~any': AnyCalls }>
  | Tagged<Casts & { '~any': AnyCasts }>
  | Tagged<Internal & { '~any': AnyInternal }>,
  Internal & { '~any': AnyInternal },
  MachineDef<
    Name,
    Args,
    Payloads<Calls & { '~any': AnyCalls }>,
    Replies<Calls & { '~any': AnyCalls }>,
    Payloads<Casts & { '~any': AnyCasts }>,
    States
  >
> {
  const plan = planOf(name, spec)
  const def = { ...defineActor(name, actorSpecOf(plan)), states: [...plan.states.keys()], [kMachine]: plan }
  return Object.freeze(def) as never
}
