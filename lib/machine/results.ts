/**
 * What a handler of a machine returns: one result, with all that is to happen besides. A class, so that nothing else
 * passes for one by accident; what stands in the options is looked at where the result is carried out.
 */

/**
 * How a timeout is set: its time in ms, or that with a payload for its handler. 0 comes ahead of the mailbox, without a
 * timer. `'infinity'` and `'cancel'` end the one that runs; `update` changes the payload of the one that runs, and comes
 * at once when none does. Setting one that runs replaces it.
 */
export type TimeoutSetting =
  | number
  | 'infinity'
  | 'cancel'
  | { readonly ms: number | 'infinity'; readonly payload?: unknown }
  | { readonly update: unknown }

/** An event that a machine gives itself; see `internal`. */
export interface InternalEvent<Tag, Payload> {
  readonly type: 'internal'
  readonly tag: Tag
  readonly payload: Payload
}

/** Carried out in the order in which they are written. */
export interface ResultOptions<Data, Reply, Next, Timers extends string> {
  /** Takes the place of the data. Changing the data in place needs no mention. */
  readonly data?: Data
  /** In a call: its reply, `undefined` if left out; `ctx.later<R>()` when it comes later, through `ctx.from`. */
  readonly reply?: Reply
  /** `next_event`: one or more events from `internal`, handled before anything that waits. */
  readonly next?: Next | readonly Next[] | undefined
  /** Handle this event once more, after the next change of state. */
  readonly postpone?: boolean | undefined
  /** `state_timeout`: one; a change of state cancels it. */
  readonly stateTimeout?: TimeoutSetting | undefined
  /** `timeout`: one; any event cancels it. */
  readonly eventTimeout?: TimeoutSetting | undefined
  /** `{timeout, Name}`: one per name; cancelled by nothing but `'cancel'` and `'infinity'`. */
  readonly timeouts?: { readonly [T in Timers]: TimeoutSetting } | undefined
}

export type StopOptions<Data, Reply> = Pick<ResultOptions<Data, Reply, never, never>, 'data' | 'reply'>

export type ResultKind = 'go' | 'stay' | 'repeat' | 'postpone' | 'stop'

/** What `go`, `stay`, `repeat`, `postpone` and `stop` return, with what they say in types. */
export interface Result<To, Data, Reply, Next, Timers> {
  /** Never read at run time. */
  readonly '~result'?: { to: To; data: Data; reply: Reply; next: Next; timers: Timers }
  readonly kind: ResultKind
}

type AnyInternal = InternalEvent<string, unknown>
type Options = ResultOptions<unknown, unknown, unknown, string>

/** A result as the runtime reads it. */
export class Outcome implements Result<never, never, never, never, never> {
  readonly kind: ResultKind
  /** Of `go`: the state. Of `stop`: the reason. */
  readonly value: unknown
  readonly options: Options | undefined

  constructor(kind: ResultKind, value: unknown, options: Options | undefined) {
    this.kind = kind
    this.value = value
    this.options = options
  }
}

/**
 * `next_state`: on to `state`. If that is another one, the state timeout is cancelled, `enter` runs, and what was
 * postponed comes again. If it is the same one, this is `stay`.
 */
export const go = <
  const To extends string,
  Data = never,
  Reply = void,
  Next extends AnyInternal = never,
  Timers extends string = never,
>(
  state: To,
  options?: ResultOptions<Data, Reply, Next, Timers>,
): Result<To, NoInfer<Data>, Reply, NoInfer<Next>, NoInfer<Timers>> => new Outcome('go', state, options)

/** `keep_state`: no change. What was postponed keeps waiting, timers go on. */
export const stay = <
  Data = never,
  Reply = void,
  Next extends AnyInternal = never,
  Timers extends string = never,
>(
  options?: ResultOptions<Data, Reply, Next, Timers>,
): Result<never, NoInfer<Data>, Reply, NoInfer<Next>, NoInfer<Timers>> =>
  new Outcome('stay', undefined, options)

/** `repeat_state`: as `stay`, but `enter` runs again. */
export const repeat = <
  Data = never,
  Reply = void,
  Next extends AnyInternal = never,
  Timers extends string = never,
>(
  options?: ResultOptions<Data, Reply, Next, Timers>,
): Result<never, NoInfer<Data>, Reply, NoInfer<Next>, NoInfer<Timers>> =>
  new Outcome('repeat', undefined, options)

/**
 * `keep_state_and_data` with `postpone`: not in this state; the event comes again after the next change of state, ahead
 * of newer ones. It is itself a handler: `calls: { pay: postpone }`.
 */
export const postpone = (): Result<never, never, never, never, never> =>
  new Outcome('postpone', undefined, undefined)

/** `stop`, and with `reply` `stop_and_reply`: `terminate` runs, then the machine exits with `reason`, by default `'normal'`. */
export const stop = <Data = never, Reply = never>(
  reason: unknown = 'normal',
  options?: StopOptions<Data, Reply>,
): Result<never, NoInfer<Data>, Reply, never, never> => new Outcome('stop', reason, options)

/** An event for `next`, handled by `internal` of the state that the machine is in by then. */
export const internal = <const Tag extends string, Payload = undefined>(
  tag: Tag,
  payload?: Payload,
): InternalEvent<Tag, Payload> => ({ type: 'internal', tag, payload: payload as Payload })
