/**
 * Which keys are the same. A primitive stands for itself in a `Map`, which tells `1` from `'1'`; `NaN`, plain data,
 * pids and refs are written out in one canonical form, behind a mark that no primitive key can begin with.
 */
import { show } from '../base/errors.js'
import { compareIds, Pid, Ref } from '../base/ids.js'
import { LIMITS, REGISTRY_KEY_CHARS_MAX } from '../base/limits.js'

const MARK = '\0'

/** What a `Map` finds the key by, and `===` compares. Throws `TypeError` for what is no plain data, `RangeError` for what is too long. */
export function canonical(where: string, key: unknown): unknown {
  if (typeof key === 'string') {
    checkLength(where, key.length)
    return key.startsWith(MARK) ? `${MARK}s${key}` : key
  }
  if (typeof key !== 'object' || key === null) {
    if (typeof key === 'function' || typeof key === 'symbol') throw refused(where, '', show(key))
    return Number.isNaN(key) ? `${MARK}NaN` : key
  }
  return MARK + new Writer(where).run(key)
}

/** The key as it is kept: whoever changes an object that it gave changes no key. */
export function kept<K>(key: K): K {
  return copy(key) as K
}

function copy(key: unknown): unknown {
  if (typeof key !== 'object' || key === null || key instanceof Pid || key instanceof Ref) return key
  const parts = Array.isArray(key)
    ? Array.from(key, copy)
    : Object.fromEntries(Object.entries(key).map(([name, part]) => [name, copy(part)]))
  return Object.freeze(parts)
}

class Writer {
  readonly #where: string
  readonly #within: object[] = []
  #length = 0

  constructor(where: string) {
    this.#where = where
  }

  run(key: object): string {
    const text = this.#object(key, '')
    checkLength(this.#where, text.length)
    return text
  }

  #part(value: unknown, path: string): string {
    // Long keys stop here, and not when all of them has been written.
    checkLength(this.#where, ++this.#length)
    switch (typeof value) {
      case 'string':
        checkLength(this.#where, (this.#length += value.length))
        return JSON.stringify(value)
      case 'number':
        return String(value) // 0 and -0 are one
      case 'bigint':
        return `${value}n`
      case 'boolean':
      case 'undefined':
        return String(value)
      case 'object':
        return value === null ? 'null' : this.#object(value, path)
      default:
        throw refused(this.#where, path, show(value))
    }
  }

  #object(value: object, path: string): string {
    if (value instanceof Pid || value instanceof Ref) return String(value)
    if (this.#within.includes(value)) throw refused(this.#where, path, 'a cycle')
    if (this.#within.length >= LIMITS.depthMax) {
      throw new RangeError(`${this.#where}: expected at most ${LIMITS.depthMax} levels, got more at ${path}`)
    }
    this.#within.push(value)
    const text = Array.isArray(value) ? this.#items(value, path) : this.#fields(value, path)
    this.#within.pop()
    return text
  }

  #items(items: readonly unknown[], path: string): string {
    return `[${Array.from(items, (item, i) => this.#part(item, `${path}[${i}]`)).join(',')}]`
  }

  #fields(value: object, path: string): string {
    const proto: unknown = Object.getPrototypeOf(value)
    const isPlain = proto === Object.prototype || proto === null
    if (!isPlain || Object.getOwnPropertySymbols(value).length > 0)
      throw refused(this.#where, path, show(value))
    const fields = Object.entries(value).sort(([a], [b]) => compareIds(a, b))
    const texts = fields.map(([name, part]) => {
      checkLength(this.#where, (this.#length += name.length))
      return `${JSON.stringify(name)}:${this.#part(part, `${path}.${name}`)}`
    })
    return `{${texts.join(',')}}`
  }
}

function checkLength(where: string, chars: number): void {
  if (chars <= REGISTRY_KEY_CHARS_MAX) return
  throw new RangeError(
    `${where}: expected at most ${REGISTRY_KEY_CHARS_MAX} characters, written out, got more`,
  )
}

const refused = (where: string, path: string, got: string): TypeError =>
  new TypeError(
    `${where}: expected plain data (no functions, symbols, instances of classes or cycles), got ${got}${path === '' ? '' : ` at ${path}`}`,
  )
