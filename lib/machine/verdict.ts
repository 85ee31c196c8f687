/**
 * What handlers may return, and what stands in the options of a result. What is wrong becomes the reason with which the
 * machine ends, with the value and what would have been right.
 */
import { show } from '../base/errors.js'
import { anything, type Check, isBoolean, isMs, isObject } from '../base/options.js'
import type { ExitReason } from '../base/reasons.js'
import { Outcome } from './results.js'
import type { MachineEvent } from './step.js'

/** What results are measured by. */
export interface Rules {
  readonly states: readonly string[]
  /** Tags that some state handles. */
  readonly internal: readonly string[]
  readonly timeouts: readonly string[]
  readonly eventsMax: number
}

/** A timeout to be set; without `ms` it is cancelled. */
export interface Setting {
  readonly key: string
  readonly ms: number | undefined
  readonly payload: unknown
  /** Of one that runs, only the payload changes. */
  readonly update: boolean
}

type Options = NonNullable<Outcome['options']>
interface At {
  readonly state: string
}

const NONE: readonly never[] = []
const LEGAL = 'go, stay, repeat, postpone or stop'
const LEGAL_ENTER = 'nothing, stay, stop, or go with the same state'
const ENTER_ACTIONS = ['data', 'stateTimeout', 'eventTimeout', 'timeouts']
const STOP_ACTIONS = ['data', 'reply']
const ACTIONS = [...ENTER_ACTIONS, 'reply', 'next', 'postpone']

/** The reason to end with, if this is no result for that event. `declared`: where the handler says that it goes. */
export function refusal(
  { state }: At,
  event: MachineEvent | undefined,
  result: unknown,
  rules: Rules,
  declared: readonly string[] | undefined,
): ExitReason {
  const expected = expectedResult(state, event, result, rules.states, declared)
  if (expected !== undefined) {
    return { bad_return_from_state_function: plainly(result), ...at(state, event), expected }
  }
  const { kind, options } = result as Outcome
  const wrong = wrongAction(options, event, rules, kind === 'stop' ? STOP_ACTIONS : ACTIONS)
  return (
    wrong && { bad_action_from_state_function: wrong.action, ...at(state, event), expected: wrong.expected }
  )
}

/** The same for the result of `enter`, of which less may be asked. */
export function refusalOfEnter({ state }: At, result: unknown, rules: Rules): ExitReason {
  const isFine =
    result instanceof Outcome &&
    (result.kind === 'stay' || result.kind === 'stop' || (result.kind === 'go' && result.value === state))
  if (!isFine) return { bad_state_enter_return: plainly(result), state, expected: LEGAL_ENTER }
  const wrong = wrongAction(result.options, undefined, rules, ENTER_ACTIONS)
  return wrong && { bad_state_enter_action: wrong.action, state, expected: wrong.expected }
}

/** The timeouts that a result sets, in the order in which they are written. */
export function settingsOf(options: Outcome['options']): readonly Setting[] {
  if (options === undefined) return NONE
  return Object.entries(options).flatMap(([key, value]) => {
    if (value === undefined) return []
    if (key === 'stateTimeout' || key === 'eventTimeout') return [settingOf(key, value)]
    if (key !== 'timeouts') return []
    return Object.entries(value as object).map(([name, one]) => settingOf(`timeout ${name}`, one))
  })
}

function settingOf(key: string, value: unknown): Setting {
  if (isObject(value) !== undefined) return { key, ms: finite(value), payload: undefined, update: false }
  const { ms, payload, update } = value as { ms?: unknown; payload?: unknown; update?: unknown }
  if ('update' in (value as object)) return { key, ms: 0, payload: update, update: true }
  return { key, ms: finite(ms), payload, update: false }
}

const finite = (ms: unknown): number | undefined => (typeof ms === 'number' ? ms : undefined)

export const insertedBy = (options: Outcome['options']): readonly { tag: string; payload: unknown }[] =>
  options?.next === undefined ? NONE : ([options.next].flat() as { tag: string; payload: unknown }[])

function expectedResult(
  state: string,
  event: MachineEvent | undefined,
  result: unknown,
  states: readonly string[],
  to: readonly string[] | undefined,
): string | undefined {
  if (!(result instanceof Outcome)) return event === undefined ? 'go' : LEGAL
  if (result.kind !== 'go') return event === undefined ? 'go' : undefined
  if (!states.includes(result.value as string)) return `one of the states ${list(states)}`
  if (to === undefined || result.value === state || to.includes(result.value as string)) return undefined
  return `one of the states that the handler declares, ${list(to)}`
}

function wrongAction(
  options: unknown,
  event: MachineEvent | undefined,
  rules: Rules,
  legal: readonly string[],
): { action: unknown; expected: string } | undefined {
  if (options === undefined) return undefined
  if (isObject(options) !== undefined) return { action: options, expected: 'an object' }
  const all = checks(event, rules)
  for (const [key, value] of Object.entries(options as Options)) {
    const check = legal.includes(key) ? all[key] : undefined
    const expected =
      check === undefined ? `one of ${legal.join(', ')}` : value === undefined ? undefined : check(value)
    if (expected !== undefined) return { action: { [key]: value }, expected: `${key}: ${expected}` }
  }
  return undefined
}

const checks = (event: MachineEvent | undefined, rules: Rules): Readonly<Record<string, Check>> => ({
  data: isObject,
  reply: event?.request === undefined ? () => 'none, for nobody asked' : anything,
  postpone: event === undefined ? () => 'none' : isBoolean,
  next: value => firstOf([value].flat().map(one => insertable(one, rules.internal))),
  stateTimeout: isSetting,
  eventTimeout: isSetting,
  timeouts: value => isObject(value) ?? firstOf(Object.entries(value as object).map(named(rules.timeouts))),
})

const firstOf = (all: readonly (string | undefined)[]): string | undefined =>
  all.find(one => one !== undefined)

const named =
  (names: readonly string[]) =>
  ([name, value]: [string, unknown]): string | undefined =>
    names.includes(name) ? isSetting(value) : `names that a state handles, ${list(names)}`

const insertable = (event: unknown, tags: readonly string[]): string | undefined =>
  isObject(event) === undefined &&
  (event as { type?: unknown }).type === 'internal' &&
  tags.includes((event as { tag?: unknown }).tag as string)
    ? undefined
    : `events from internal(…) that a state handles, ${list(tags)}`

const SETTING = "ms, 'infinity', 'cancel', { ms, payload? } or { update }, with"
const ms = isMs()

function isSetting(value: unknown): string | undefined {
  if (value === 'infinity' || value === 'cancel') return undefined
  if (isObject(value) !== undefined) return isTime(value)
  const keys = Object.keys(value as object)
  if (keys.length === 1 && keys[0] === 'update') return undefined
  return keys.every(key => key === 'ms' || key === 'payload')
    ? isTime((value as { ms?: unknown }).ms)
    : `${SETTING} ${ms('')}`
}

const isTime = (value: unknown): string | undefined =>
  value === 'infinity' || ms(value) === undefined ? undefined : `${SETTING} ${ms('')}`

const at = (state: string, event: MachineEvent | undefined): { state: string; event: string } | {} =>
  event === undefined ? {} : { state, event: event.key }

const list = (names: readonly string[]): string => (names.length === 0 ? 'none' : names.map(show).join(', '))

/** A result in a reason, as it was written. */
const plainly = (result: unknown): unknown =>
  result instanceof Outcome
    ? { [result.kind]: result.value, ...(result.options && { options: result.options }) }
    : result
