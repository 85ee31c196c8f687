/** A definition as the runtime reads it: checked, every handler in one form and under one key. */
import { show } from '../base/errors.js'
import { type Check, checkOptions, expect, isFunction, isObject } from '../base/options.js'
import type { ExitReason } from '../base/reasons.js'
import { go } from './results.js'

export type Run = (data: unknown, payload: unknown, ctx: unknown) => unknown

/** What is done with one event in one state. */
export interface Route {
  readonly run: Run
  /** The only states that it may go to; undefined: any. */
  readonly to: readonly string[] | undefined
}

export interface StatePlan {
  /** By key: `'call open'`, `'cast push'`, `'internal ring'`, `'timeout retry'`, `'info'`, `'stateTimeout'`, `'eventTimeout'`. */
  readonly routes: ReadonlyMap<string, Route>
  readonly enter: Run | undefined
}

export interface Plan {
  readonly name: string
  readonly init: (args: unknown, ctx: unknown) => unknown
  readonly initial: Route
  readonly states: ReadonlyMap<string, StatePlan>
  readonly any: StatePlan
  readonly terminate: ((data: unknown, reason: ExitReason, state: string) => unknown) | undefined
  readonly inspect: ((data: unknown) => unknown) | undefined
}

/** The tables of a state, and how their keys begin. */
const TABLES = { calls: 'call', casts: 'cast', internal: 'internal', timeouts: 'timeout' } as const
const SINGLES = ['info', 'stateTimeout', 'eventTimeout'] as const

const fine: Check = () => undefined
const SPEC = {
  init: isFunction,
  initial: fine,
  states: isObject,
  any: isObject,
  terminate: isFunction,
  inspect: isFunction,
}
const STATE = {
  enter: isFunction,
  calls: isObject,
  casts: isObject,
  internal: isObject,
  timeouts: isObject,
  info: fine,
  stateTimeout: fine,
  eventTimeout: fine,
}

/** Throws `TypeError` for what is no definition, naming the place. */
export function planOf(name: string, spec: unknown): Plan {
  const where = `defineMachine(${show(name)})`
  expect(`${where}: spec`, spec, isObject)
  checkOptions(where, spec, SPEC)
  const { init, initial, states, any, terminate, inspect } = spec as Record<string, unknown>
  expect(`${where}: init`, init, isFunction)
  expect(`${where}: states`, states, isObject)
  const names = Object.keys(states as object)
  if (names.length === 0) throw new TypeError(`${where}: states: expected one or more, got none`)
  const reader = new Reader(names)
  return {
    name,
    init: init as Plan['init'],
    initial: reader.route(`${where}: initial`, initial),
    states: new Map(
      Object.entries(states as object).map(([state, of]) => [
        state,
        reader.state(`${where}: states.${state}`, of),
      ]),
    ),
    any: reader.state(`${where}: any`, any ?? {}),
    terminate: terminate as Plan['terminate'],
    inspect: inspect as Plan['inspect'],
  }
}

class Reader {
  readonly #names: readonly string[]

  constructor(names: readonly string[]) {
    this.#names = names
  }

  state(where: string, spec: unknown): StatePlan {
    expect(where, spec, isObject)
    checkOptions(where, spec, STATE)
    const given = spec as Readonly<Record<string, unknown>>
    const routes = new Map<string, Route>()
    for (const [table, kind] of Object.entries(TABLES)) {
      for (const [tag, entry] of Object.entries(given[table] ?? {})) {
        routes.set(`${kind} ${tag}`, this.route(`${where}.${table}.${tag}`, entry))
      }
    }
    for (const single of SINGLES) {
      if (given[single] !== undefined) routes.set(single, this.route(`${where}.${single}`, given[single]))
    }
    return { routes, enter: given['enter'] as Run | undefined }
  }

  route(where: string, entry: unknown): Route {
    if (typeof entry === 'function') return { run: entry as Run, to: undefined }
    if (typeof entry === 'string') {
      this.#expectState(where, entry)
      return { run: () => go(entry), to: [entry] }
    }
    if (isObject(entry) !== undefined) {
      throw new TypeError(`${where}: expected ${this.#states}, a function or { to, do }, got ${show(entry)}`)
    }
    checkOptions(where, entry, { to: fine, do: isFunction })
    const { to, do: run } = entry as { to: unknown; do: unknown }
    expect(`${where}.do`, run, isFunction)
    const targets = Array.isArray(to) ? to : [to]
    for (const target of targets) this.#expectState(`${where}.to`, target)
    return { run: run as Run, to: targets }
  }

  get #states(): string {
    return `a state (${this.#names.map(show).join(', ')})`
  }

  #expectState(where: string, state: unknown): void {
    if (!this.#names.includes(state as string)) {
      throw new TypeError(`${where}: expected ${this.#states}, got ${show(state)}`)
    }
  }
}

/** What is done with the event in that state, if anything. */
export const routeOf = (plan: Plan, state: string, key: string): Route | undefined =>
  plan.states.get(state)?.routes.get(key) ?? plan.any.routes.get(key)

export const enterOf = (plan: Plan, state: string): Run | undefined =>
  plan.states.get(state)?.enter ?? plan.any.enter

/** The tags that some state has a handler for, in the order of the definition. */
export function tagsOf(plan: Plan, kind: (typeof TABLES)[keyof typeof TABLES]): readonly string[] {
  const tags = new Set<string>()
  for (const { routes } of [...plan.states.values(), plan.any]) {
    for (const key of routes.keys()) if (key.startsWith(`${kind} `)) tags.add(key.slice(kind.length + 1))
  }
  return [...tags]
}
