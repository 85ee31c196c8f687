/**
 * Agents: a state that others read and change by functions, which run inside of it, one at a time, awaits included.
 * An agent is an actor whose calls are verbs: a closure travels as the payload of `get`, `update`, `getAndUpdate`; a
 * function that the definition lists has a tag of its own, as in `update add`, and so works from any node.
 */
import { show } from '../base/errors.js'
import { checkOptions, expect, isFunction, isObject, type WaitOptions } from '../base/options.js'
import type { ExitReason } from '../base/reasons.js'
import type { Sent } from '../process/mail.js'
import type { ActorRef, CallOptions, Context, InitContext } from './api.js'
import { type ActorDef, defineActor, type Handler, type Payload } from './define.js'
import { Handover } from './handover.js'
import { isRef, type UntypedRef } from './refs.js'
import { isThenable } from './replies.js'

type Functions<State, In> = { [Name in keyof In]: (state: State, arg: In[Name]) => unknown }
type Results<Out> = { [Name in keyof Out]: (...args: never[]) => Out[Name] }

export interface AgentDef<Name extends string, Args, State, In, Out>
  extends ActorDef<Name, Args, {}, {}, {}> {
  /** Never read at run time: carries the inferred types to `Agent`. */
  readonly '~agent'?: (phantom: [State, In, Out]) => [State, In, Out]
}

export interface AgentOptions<State, In, Out> {
  /** Functions that may be called by name, from any node. They take the state and at most one argument. */
  readonly functions?: Functions<NoInfer<State>, In> & Results<Out>
  /** What crash reports and inspection show of the state. Default: the state. */
  readonly inspect?: (state: NoInfer<State>) => unknown
}

/** Names of listed functions whose result, awaited, is a `Result`. */
type Named<Out, Result> = { [Name in keyof Out]: Awaited<Out[Name]> extends Result ? Name : never }[keyof Out]
type Rest<In, Name> = Name extends keyof In ? Payload<In[Name]> : never
type First<Pair> = Pair extends readonly [infer Reply, unknown] ? Reply : never

/**
 * What is done with an agent, by closures on its own node (elsewhere `ERR_PAYLOAD`: a closure may not cross) or by the
 * name of a listed function on any. All of it runs in the agent in the order in which it was asked for, and
 * whoever waits rejects as the calls of an actor do: a function that throws ends the agent and its state, and fails its
 * caller with `ERR_EXIT`; one that times out (`ERR_TIMEOUT`) is applied all the same.
 */
export interface Agent<State, In, Out> {
  readonly ref: ActorRef<unknown>
  /** What the function returns of the state. */
  get<R>(fn: (state: State) => R, options?: CallOptions): Promise<Awaited<R>>
  get<Name extends keyof Out & string>(
    name: Name,
    ...rest: [...Rest<In, Name>, options?: CallOptions]
  ): Promise<Awaited<Out[Name]>>
  /** The function returns the next state. */
  update(fn: (state: State) => State | Promise<State>, options?: CallOptions): Promise<void>
  update<Name extends Named<Out, State> & string>(
    name: Name,
    ...rest: [...Rest<In, Name>, options?: CallOptions]
  ): Promise<void>
  /** The function returns `[reply, next state]`; anything else ends the agent with `{ bad_return_value }`. */
  getAndUpdate<R>(
    fn: (state: State) => readonly [R, State] | Promise<readonly [R, State]>,
    options?: CallOptions,
  ): Promise<R>
  getAndUpdate<Name extends Named<Out, readonly [unknown, State]> & string>(
    name: Name,
    ...rest: [...Rest<In, Name>, options?: CallOptions]
  ): Promise<First<Awaited<Out[Name]>>>
  /** As `update`, without waiting. Never fails for want of an agent. */
  cast(fn: (state: State) => State | Promise<State>): Sent
  cast<Name extends Named<Out, State> & string>(name: Name, ...rest: Rest<In, Name>): Sent
  /** Ends it behind what was asked before; see `ActorRef.stop`. */
  stop(reason?: ExitReason, options?: WaitOptions): Promise<void>
}

/** An agent definition's `Agent`. */
export type AgentOf<D> = D extends {
  readonly '~agent'?: (phantom: [infer State, infer In, infer Out]) => unknown
}
  ? Agent<State, In, Out>
  : never

export const Agent = Object.freeze({
  /** The methods of an agent, by a ref from anywhere; they speak for whom the ref speaks for. */
  of<D>(ref: ActorRef<D>): AgentOf<D> {
    expect('Agent.of: ref', ref, value => (isRef(value) ? undefined : 'a ref to an agent'))
    return new Handle(ref) as unknown as AgentOf<D>
  },
})

const AGENT_CHECKS = { functions: isObject, inspect: isFunction }

/**
 * Defines an agent: its name, how its state begins, and the functions that other nodes may call by name. It is an actor
 * definition, to be spawned, named, supervised and hosted as any other; `Agent.of` gives its refs their methods.
 *
 * ```ts
 * const visits = defineAgent('visits', (start: number) => start, {
 *   functions: { add: (count, by: number) => count + by },
 * })
 * const node = await createNode({ actors: [visits] })
 * const agent = Agent.of(await node.spawn(visits, 0))
 * await agent.update('add', 5)
 * console.log(await agent.get(count => count * 2))
 * ```
 */
export function defineAgent<const Name extends string, Args, State, In = {}, Out = {}>(
  name: Name,
  init: (args: Args, ctx: InitContext) => State | Promise<State>,
  options: AgentOptions<State, In, Out> = {},
): AgentDef<Name, Args, State, In, Out> {
  expect('defineAgent: init', init, isFunction)
  checkOptions('defineAgent', options, AGENT_CHECKS)
  const { functions = {}, inspect } = options
  for (const [key, fn] of Object.entries(functions)) expect(`defineAgent: functions.${key}`, fn, isFunction)
  const named = Object.entries<Run>(functions)
  return defineActor<Name, Args, Held<State>, {}, {}, {}>(name, {
    init: async (args, ctx) => ({ value: await init(args, ctx) }),
    calls: tags(
      { get, update, getAndUpdate },
      named,
      fn => new TypeError(`expected a closure, got ${show(fn)}`),
    ),
    casts: tags({ update }, named, () => undefined),
    inspect: ({ value }) => (inspect === undefined ? value : inspect(value)),
  })
}

interface Held<State = unknown> {
  value: State
}
type Run = (state: unknown, arg: unknown) => unknown
type Verb = (held: Held, run: (state: unknown) => unknown, ctx: Context) => unknown

const get: Verb = (held, run) => run(held.value)

const update: Verb = (held, run) =>
  settled(run(held.value), next => {
    held.value = next
  })

const getAndUpdate: Verb = (held, run, ctx) =>
  settled(run(held.value), pair => {
    if (Array.isArray(pair) && pair.length === 2) {
      held.value = pair[1]
      return pair[0]
    }
    ctx.stop({ bad_return_value: pair })
    return ctx.later()
  })

/** A function that awaits nothing costs no promise. */
const settled = (value: unknown, then: (value: unknown) => unknown): unknown =>
  isThenable(value) ? Promise.resolve(value).then(then) : then(value)

/** For each verb a tag that takes a closure, and one for each function that has a name. */
function tags(
  verbs: Readonly<Record<string, Verb>>,
  named: readonly (readonly [string, Run])[],
  refuse: (noFunction: unknown) => unknown, // what another node forged must not end the agent
): Record<string, Handler> {
  const table: Record<string, Handler> = {}
  for (const [tag, verb] of Object.entries(verbs)) {
    table[tag] = (held, fn, ctx) => (isClosure(fn) ? verb(held as Held, fn.code, ctx) : refuse(fn))
    for (const [name, run] of named) {
      table[`${tag} ${name}`] = (held, arg, ctx) => verb(held as Held, state => run(state, arg), ctx)
    }
  }
  return table
}

/** Its name is what `ERR_PAYLOAD` says may not cross. */
class Closure extends Handover<(state: unknown) => unknown> {}

const isClosure = (value: unknown): value is Closure =>
  value instanceof Handover && typeof value.code === 'function'

type What = string | ((state: unknown) => unknown)

class Handle {
  readonly ref: ActorRef<unknown>
  readonly #ref: UntypedRef

  constructor(ref: ActorRef<unknown>) {
    this.ref = ref
    this.#ref = ref as UntypedRef
  }

  get(what: What, ...rest: unknown[]): Promise<unknown> {
    return this.#call('get', what, rest)
  }

  update(what: What, ...rest: unknown[]): Promise<unknown> {
    return this.#call('update', what, rest)
  }

  getAndUpdate(what: What, ...rest: unknown[]): Promise<unknown> {
    return this.#call('getAndUpdate', what, rest)
  }

  cast(what: What, arg?: unknown): Sent {
    if (typeof what === 'string') return this.#ref.cast(`update ${what}`, arg)
    expect('agent.cast', what, isFunction)
    return this.#ref.cast('update', new Closure(what, undefined))
  }

  stop(reason?: ExitReason, options?: WaitOptions): Promise<void> {
    return this.ref.stop(reason, options)
  }

  #call(verb: string, what: What, rest: readonly unknown[]): Promise<unknown> {
    if (typeof what === 'string') return this.#ref.call(`${verb} ${what}`, ...rest)
    expect(`agent.${verb}`, what, isFunction)
    return this.#ref.call(verb, new Closure(what, undefined), ...rest)
  }
}
