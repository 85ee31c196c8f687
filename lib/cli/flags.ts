/**
 * From the words of a command line to typed values, or to a `UsageError` that names the flag, what was expected and
 * what came. Pure.
 */
import { parseArgs } from 'node:util'
import { parseAddress } from '../base/address.js'
import { show } from '../base/errors.js'
import { type Check, isInteger, oneOf } from '../base/options.js'

/** The command line is wrong: exit status 2. */
export class UsageError extends Error {}

/** One flag. `read` is given every occurrence, none included, and throws `Expected`. */
export interface Flag<T> {
  /** What stands for the value in help: `HOST:PORT`. Absent for a switch. */
  readonly value?: string
  readonly help: string
  readonly many?: boolean
  read(given: readonly string[]): T
}

/** What a value should have been, to stand after "expected". */
class Expected extends Error {}

export const wanted = (expected: string): never => {
  throw new Expected(expected)
}

export const toggle = (help: string): Flag<boolean> => ({ help, read: given => given.length > 0 })

export const single = <T>(value: string, help: string, read: (text: string) => T): Flag<T | undefined> => ({
  value,
  help,
  read: ([text]) => (text === undefined ? undefined : read(text)),
})

export const list = <T>(value: string, help: string, read: (text: string) => T): Flag<readonly T[]> => ({
  value,
  help,
  many: true,
  read: given => given.map(read),
})

export const aText = (text: string): string => (text === '' ? wanted('some text') : text)

export const anAddress =
  (portMin: number) =>
  (text: string): string => {
    try {
      parseAddress('', text, portMin)
      return text
    } catch {
      return wanted(`host:port with a port from ${portMin} to 65535`)
    }
  }

export const checked =
  (good: Check) =>
  (text: string): string => {
    const expected = good(text)
    return expected === undefined ? text : wanted(expected)
  }

const DECIMAL = /^\d+$/

export const aNumber =
  (min: number, max: number, unit: string) =>
  (text: string): number => {
    const n = DECIMAL.test(text) ? Number(text) : Number.NaN
    return isInteger(min, max)(n) === undefined
      ? n
      : wanted(`a whole number of ${unit} from ${min} to ${max}`)
  }

export const aWord =
  <const W extends string>(...words: readonly W[]) =>
  (text: string): W => {
    const expected = oneOf(...words)(text)
    return expected === undefined ? (text as W) : wanted(words.join(' or '))
  }

export type Flags = Readonly<Record<string, Flag<unknown>>>
export type ValuesOf<F extends Flags> = { readonly [K in keyof F]: F[K] extends Flag<infer T> ? T : never }

/** `DEF` must be given, `[ARG]` may be. */
export interface Grammar<F extends Flags> {
  readonly command: string
  readonly words: readonly string[]
  readonly flags: F
}

export interface Parsed<F extends Flags> {
  readonly words: readonly string[]
  readonly values: ValuesOf<F>
}

const NEGATIVE = /^-[\d.]/

/** Throws `UsageError`. Words such as `-5` are words, not flags; after `--` everything is. */
export function parse<F extends Flags>(grammar: Grammar<F>, argv: readonly string[]): Parsed<F> {
  const { words, given } = split(grammar, argv)
  const required = grammar.words.filter(word => !word.startsWith('['))
  if (words.length < required.length) {
    throw new UsageError(`${grammar.command}: ${required[words.length]} is missing`)
  }
  if (words.length > grammar.words.length) {
    const expected = grammar.words.length === 0 ? 'no arguments' : grammar.words.join(' ')
    throw new UsageError(
      `${grammar.command}: expected ${expected}, got also ${show(words[grammar.words.length])}`,
    )
  }
  const values = Object.entries(grammar.flags).map(([name, flag]) => [
    name,
    read(name, flag, given.get(name) ?? []),
  ])
  return { words, values: Object.fromEntries(values) as ValuesOf<F> }
}

function split(
  grammar: Grammar<Flags>,
  argv: readonly string[],
): { words: string[]; given: Map<string, string[]> } {
  const { flags } = grammar
  const { tokens } = parseArgs({
    args: argv.map(word => (NEGATIVE.test(word) ? MASK + word : word)),
    options: Object.fromEntries(
      Object.entries(flags).map(([name, flag]) => [
        name,
        { type: flag.value === undefined ? 'boolean' : 'string' },
      ]),
    ),
    strict: false,
    tokens: true,
  })
  const words: string[] = []
  const given = new Map<string, string[]>()
  for (const token of tokens) {
    if (token.kind === 'positional') words.push(unmask(token.value))
    if (token.kind !== 'option') continue
    const flag = Object.hasOwn(flags, token.name) ? flags[token.name] : undefined
    if (flag === undefined)
      throw new UsageError(`${grammar.command}: unknown flag ${token.rawName}; expected ${known(flags)}`)
    const value = textFor(token.name, flag, token)
    given.set(token.name, [...(given.get(token.name) ?? []), value])
  }
  return { words, given }
}

/** Hides a leading minus from `parseArgs`, which would take `-5` for a flag. No command line can hold it. */
const MASK = '\0'
const unmask = (word: string): string => (word.startsWith(MASK) ? word.slice(MASK.length) : word)

function textFor(
  name: string,
  flag: Flag<unknown>,
  token: { value?: string | undefined; inlineValue?: boolean | undefined },
): string {
  if (flag.value === undefined) {
    if (token.value === undefined) return ''
    throw new UsageError(`--${name}: expected no value, got ${show(token.value)}`)
  }
  if (token.value === undefined) throw new UsageError(`--${name}: expected ${flag.value}, got nothing`)
  if (token.inlineValue !== true && token.value.startsWith('--')) {
    throw new UsageError(`--${name}: expected ${flag.value}, got the flag ${token.value}`)
  }
  return unmask(token.value)
}

function read(name: string, flag: Flag<unknown>, given: readonly string[]): unknown {
  if (given.length > 1 && flag.many !== true) {
    throw new UsageError(`--${name}: expected once, got ${given.map(text => show(text)).join(' and ')}`)
  }
  try {
    return flag.read(given)
  } catch (error) {
    if (error instanceof Expected)
      throw new UsageError(`--${name}: expected ${error.message}, got ${show(given.at(-1))}`)
    throw error
  }
}

const known = (flags: Flags): string => {
  const names = Object.keys(flags).sort()
  return names.map(name => `--${name}`).join(', ')
}
