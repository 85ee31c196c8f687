/**
 * Control messages: what nodes say to one another, as opposed to what users send. Each has a schema, and is checked at
 * the boundary before anything of it is believed: a message of another shape is `ERR_FRAME` and ends that connection.
 *
 *   const Ping = object({ node: string(64), incarnation: u48, tags: optional(array(string(64), 16)) })
 *   type Ping = Infer<typeof Ping>
 *
 * Fields that a schema does not name are dropped, so that later versions can add some. The decoder builds only what the
 * scan lets pass (plain data, 65,536 values); maps with arbitrary keys are arrays of pairs here.
 */
import { show, TroupeError } from '../base/errors.js'
import { U48_MAX } from '../base/ids.js'
import { checkReserve, createPackr, pack } from './packr.js'
import { scan } from './scan.js'

/** Reads a foreign value: a fresh one of the shape that was checked, or what did not fit. */
export interface Schema<T> {
  readonly expected: string
  readonly read: (value: unknown) => T | Mismatch
}

/** A field that may be absent; undefined counts as absent. */
export interface Optional<T> {
  readonly optional: Schema<T>
}

export type Infer<S> = S extends Schema<infer T> ? T : never

type Fields = Readonly<Record<string, Schema<unknown> | Optional<unknown>>>
type Message<F extends Fields> = {
  readonly [K in keyof F as F[K] extends Schema<unknown> ? K : never]: Infer<F[K]>
} & {
  readonly [K in keyof F as F[K] extends Optional<unknown> ? K : never]?: F[K] extends Optional<infer T>
    ? T
    : never
}

/** What did not fit, and where: `.tags[3]`. */
class Mismatch {
  readonly path: string
  readonly expected: string
  readonly got: unknown
  constructor(path: string, expected: string, got: unknown) {
    this.path = path
    this.expected = expected
    this.got = got
  }
}

const scalar = <T>(expected: string, is: (value: unknown) => value is T): Schema<T> => ({
  expected,
  read: value => (is(value) ? value : new Mismatch('', expected, value)),
})

export const boolean: Schema<boolean> = scalar('a boolean', v => typeof v === 'boolean')

export const integer = (min: number, max: number): Schema<number> =>
  scalar(
    `a whole number from ${min} to ${max}`,
    (v): v is number => typeof v === 'number' && Number.isInteger(v) && v >= min && v <= max,
  )

/** A creation, a serial, a counter, an incarnation. */
export const u48: Schema<number> = integer(0, U48_MAX)

/** Finite: neither NaN nor an infinity. */
export const finite: Schema<number> = scalar(
  'a finite number',
  (v): v is number => typeof v === 'number' && Number.isFinite(v),
)

/** At most `lengthMax` UTF-16 units. */
export const string = (lengthMax: number): Schema<string> =>
  scalar(
    `a string of at most ${lengthMax} characters`,
    (v): v is string => typeof v === 'string' && v.length <= lengthMax,
  )

/** Raw bytes: a payload within a control message, a digest. */
export const bytes = (lengthMax: number): Schema<Buffer> =>
  scalar(`at most ${lengthMax} bytes`, (v): v is Buffer => Buffer.isBuffer(v) && v.length <= lengthMax)

export const oneOf = <const T extends string | number>(...values: readonly T[]): Schema<T> =>
  scalar(values.map(v => JSON.stringify(v)).join(' or '), (v): v is T => values.some(value => value === v))

/** A brand, or a pattern: a scalar that `is` accepts. */
export const guard = scalar

export const nullable = <T>(schema: Schema<T>): Schema<T | null> => ({
  expected: `${schema.expected} or null`,
  read: value => (value === null ? null : schema.read(value)),
})

export function array<T>(item: Schema<T>, lengthMax: number): Schema<readonly T[]> {
  const expected = `an array of at most ${lengthMax}`
  return {
    expected,
    read: value => {
      if (!Array.isArray(value) || value.length > lengthMax) return new Mismatch('', expected, value)
      const items: T[] = []
      for (let i = 0; i < value.length; i++) {
        const got = item.read(value[i])
        if (got instanceof Mismatch) return new Mismatch(`[${i}]${got.path}`, got.expected, got.got)
        items.push(got)
      }
      return items
    },
  }
}

/** A fixed number of items, each with its own schema: `[name, term, holder]`. */
export function tuple<T extends readonly unknown[]>(
  ...items: { readonly [K in keyof T]: Schema<T[K]> }
): Schema<T> {
  const expected = `an array of ${items.length}`
  return {
    expected,
    read: value => {
      if (!Array.isArray(value) || value.length !== items.length) return new Mismatch('', expected, value)
      const read: unknown[] = []
      for (const [i, item] of items.entries()) {
        const got = item.read(value[i])
        if (got instanceof Mismatch) return new Mismatch(`[${i}]${got.path}`, got.expected, got.got)
        read.push(got)
      }
      return read as unknown as T
    },
  }
}

export const optional = <T>(schema: Schema<T>): Optional<T> => ({ optional: schema })

/** Fields by name; what is not named is dropped. */
export function object<const F extends Fields>(fields: F): Schema<Message<F>> {
  const entries = Object.entries(fields)
  return {
    expected: 'an object',
    read: value => {
      if (!isRecord(value)) return new Mismatch('', 'an object', value)
      const message: Record<string, unknown> = {}
      for (const [name, field] of entries) {
        const given = Object.hasOwn(value, name) ? value[name] : undefined
        if ('optional' in field && given === undefined) continue
        const got = ('optional' in field ? field.optional : field).read(given)
        if (got instanceof Mismatch) return new Mismatch(`.${name}${got.path}`, got.expected, got.got)
        message[name] = got
      }
      return message as Message<F>
    },
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype

const CONTROL_LIMITS = { depthMax: 16, valuesMax: 65_536 } as const
const packr = createPackr()

/** Encodes a message of ours behind `reserve` free bytes. It is taken to fit its schema: we made it. */
export function encodeControl(value: unknown, reserve: number): Buffer {
  checkReserve(reserve)
  return pack(packr, value, reserve, 0)
}

/** Scans, decodes, checks. Throws `ERR_FRAME`, whatever is wrong. */
export function decodeControl<T>(schema: Schema<T>, buffer: Buffer, start: number, end: number): T {
  const verdict = scan(buffer, start, end, CONTROL_LIMITS)
  if (verdict !== 'plain') {
    throw refused(
      verdict === 'tagged' ? { why: 'a type that may not cross' } : { ...verdict, at: verdict.at - start },
    )
  }
  const message = schema.read(unpack(buffer, start, end))
  if (!(message instanceof Mismatch)) return message
  const { path, expected, got } = message
  throw refused({ why: `expected ${expected}, got ${show(got)}`, path: `message${path}` })
}

function unpack(buffer: Buffer, start: number, end: number): unknown {
  try {
    return packr.unpack(buffer, { start, end })
  } catch (error) {
    throw refused({ why: 'not decodable' }, error)
  }
}

const refused = (
  detail: { readonly why: string; readonly [fact: string]: unknown },
  cause?: unknown,
): TroupeError => new TroupeError('ERR_FRAME', `not a control message of ours: ${detail.why}`, detail, cause)
