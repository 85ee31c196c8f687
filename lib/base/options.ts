/**
 * Checks options objects at the call: unknown keys, wrong types and values out of range are refused by name, with
 * what was expected and what came.
 */
import { show } from './errors.js'
import { TIMEOUT_MS, WAIT_MS_MAX } from './limits.js'

/** Returns nothing when the value is good, else what was expected, to stand after "expected". */
export type Check = (value: unknown) => string | undefined

const check =
  (expected: string, holds: (value: unknown) => boolean): Check =>
  value =>
    holds(value) ? undefined : expected

export const isString: Check = check('a string', v => typeof v === 'string')
export const isBoolean: Check = check('true or false', v => typeof v === 'boolean')
export const isFunction: Check = check('a function', v => typeof v === 'function')
export const isObject: Check = check(
  'an object',
  v => typeof v === 'object' && v !== null && !Array.isArray(v),
)
export const isSignal: Check = check('an AbortSignal', v => v instanceof AbortSignal)
export const anything: Check = () => undefined

export const oneOf = (...values: readonly unknown[]): Check =>
  check(values.map(v => (typeof v === 'string' ? `'${v}'` : String(v))).join(', '), v => values.includes(v))

export const isInteger = (min: number, max: number): Check =>
  check(
    `a whole number from ${min} to ${max}`,
    v => Number.isInteger(v) && (v as number) >= min && (v as number) <= max,
  )

/** Milliseconds: finite and from `min` (default 0). */
export const isMs = (min = 0): Check =>
  check(
    `milliseconds from ${min} to ${WAIT_MS_MAX}`,
    v => typeof v === 'number' && v >= min && v <= WAIT_MS_MAX, // NaN fails both
  )

export const arrayOf =
  (item: Check): Check =>
  value => {
    if (!Array.isArray(value)) return 'an array'
    for (const [i, v] of value.entries()) {
      const expected = item(v)
      if (expected !== undefined) return `an array whose every item is ${expected} (item ${i} is ${show(v)})`
    }
    return undefined
  }

/** True when it is a numeric value that merely lies outside its range: then `RangeError` fits better than `TypeError`. */
const isRangeMistake = (value: unknown, expected: string): boolean =>
  typeof value === 'number' && /^(a whole number|milliseconds|a number)/.test(expected)

/** Throws unless `value` is good. `where` reads as in `call: timeoutMs`. */
export function expect(where: string, value: unknown, good: Check): void {
  const expected = good(value)
  if (expected === undefined) return
  const message = `${where}: expected ${expected}, got ${show(value)}`
  throw isRangeMistake(value, expected) ? new RangeError(message) : new TypeError(message)
}

/**
 * Throws unless `given` is an object whose keys are all in `checks` and whose values, where not undefined, are good.
 * `where` names the function: `createNode`.
 */
export function checkOptions(where: string, given: unknown, checks: Readonly<Record<string, Check>>): void {
  if (given === undefined) return
  expect(`${where}: options`, given, isObject)
  for (const [key, value] of Object.entries(given as object)) {
    const good = Object.hasOwn(checks, key) ? checks[key] : undefined
    if (good === undefined) {
      throw new TypeError(
        `${where}: unknown option ${JSON.stringify(key)}; expected one of ${Object.keys(checks).join(', ')}`,
      )
    }
    if (value !== undefined) expect(`${where}: ${key}`, value, good)
  }
}

/** Options of everything that waits. */
export interface WaitOptions {
  /** How long to wait, in ms. Default 5 000. */
  readonly timeoutMs?: number | undefined
  /** Stops the waiting (never the work at the other side) when it aborts. */
  readonly signal?: AbortSignal | undefined
}

export const WAIT_CHECKS: Readonly<Record<string, Check>> = { timeoutMs: isMs(), signal: isSignal }

export const timeoutOf = (options: WaitOptions | undefined): number => options?.timeoutMs ?? TIMEOUT_MS
