/** Messages held against patterns, for probes: what has to be there is written down, the rest may be anything. */
import { isDeepStrictEqual } from 'node:util'
import { Pid, Ref, samePid, sameRef } from '../base/ids.js'

/**
 * A pattern is: a function, which is asked (true: it fits); a regular expression, for strings; a plain object, each of
 * whose keys fits (the message may have more, and may be of any class); an array, each of whose items fits, and as many;
 * anything else, which has to be deeply equal.
 */
export function fits(pattern: unknown, value: unknown): boolean {
  if (typeof pattern === 'function') return pattern(value) === true
  if (pattern instanceof RegExp && typeof value === 'string') return value.search(pattern) >= 0
  if (pattern instanceof Pid) return value instanceof Pid && samePid(pattern, value)
  if (pattern instanceof Ref) return value instanceof Ref && sameRef(pattern, value)
  if (Array.isArray(pattern)) {
    if (!Array.isArray(value) || value.length !== pattern.length) return false
    return pattern.every((part, i) => fits(part, value[i]))
  }
  if (!isPlain(pattern)) return isDeepStrictEqual(pattern, value)
  if (typeof value !== 'object' || value === null) return false
  return Object.entries(pattern).every(
    ([key, part]) => key in value && fits(part, (value as Readonly<Record<string, unknown>>)[key]),
  )
}

function isPlain(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}
