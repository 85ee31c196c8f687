/**
 * The two walks before a value is encoded.
 *
 * `Survey` is for the usual message, of strings, numbers, plain objects, arrays and Buffers: it only looks, counts, and
 * says whether msgpackr may have the value as it stands. `Conversion` is for all others: it copies, turning what
 * MessagePack has no type for into `Tagged`, and refuses what may not cross, with its path. So a getter on the way runs
 * twice at most, and what it answered the second time is never more than a valid value or a refusal at the receiver.
 *
 * What crosses of an object are its own enumerable string keys, of an array its items (a hole becomes undefined), of a
 * Date its time, of an Error name, message, stack, code and cause. An object met twice arrives as two.
 */
import { show, TroupeError } from '../base/errors.js'
import { Pid, Ref } from '../base/ids.js'
import type { CodecOptions, Extension } from './codec.js'
import { ELEMENTS, Kind, Tagged } from './tagged.js'

type Limits = CodecOptions['limits']

/** Node 20 has it; the types come with a later `lib`. */
const isWellFormed = (text: string): boolean => (text as string & { isWellFormed(): boolean }).isWellFormed()

const isPlainProto = (proto: unknown): boolean => proto === Object.prototype || proto === null

export class Survey {
  values = 0
  chars = 0
  bytes = 0
  readonly valuesMax: number

  constructor(valuesMax: number) {
    this.valuesMax = valuesMax
  }

  /** True when the value may go to msgpackr as it is. False says only: look again, with `Conversion`. */
  plain(value: unknown, depthLeft: number): boolean {
    this.values += 1
    switch (typeof value) {
      case 'string':
        this.chars += value.length
        return isWellFormed(value)
      case 'number':
        return value !== 0 || 1 / value > 0
      case 'boolean':
      case 'undefined':
        return true
      case 'bigint':
        return BigInt.asIntN(64, value) === value
      case 'object':
        return value === null || this.#object(value, depthLeft)
      default:
        return false
    }
  }

  #object(value: object, depthLeft: number): boolean {
    const proto: unknown = Object.getPrototypeOf(value)
    if (isPlainProto(proto))
      return depthLeft > 0 && this.#fields(value as Record<string, unknown>, depthLeft - 1)
    if (proto === Array.prototype && Array.isArray(value))
      return depthLeft > 0 && this.#items(value, depthLeft - 1)
    if (proto === Buffer.prototype) {
      this.bytes += (value as Buffer).length
      return true
    }
    return proto === Date.prototype && !Number.isNaN((value as Date).getTime())
  }

  #fields(value: Record<string, unknown>, depthLeft: number): boolean {
    if (Object.getOwnPropertySymbols(value).length > 0) return false
    for (const key in value) {
      this.chars += key.length
      if (key === '__proto__' || !isWellFormed(key) || !this.plain(value[key], depthLeft)) return false
    }
    return this.values <= this.valuesMax
  }

  #items(items: readonly unknown[], depthLeft: number): boolean {
    if (this.values + items.length > this.valuesMax) return false
    for (let i = 0; i < items.length; i++) if (!this.plain(items[i], depthLeft)) return false
    return true
  }
}

/** One step of a path: a key, an index, or a step spelt out. */
type Step = string | number | { readonly text: string }

/** One use per value. */
export class Conversion {
  values = 0
  chars = 0
  bytes = 0
  readonly #limits: Limits
  readonly #extensions: readonly Extension<never>[]
  readonly #where: string
  readonly #path: Step[] = []
  readonly #within: object[] = []
  #refusal: TroupeError | undefined

  constructor(limits: Limits, extensions: readonly Extension<never>[], where: string) {
    this.#limits = limits
    this.#extensions = extensions
    this.#where = where
  }

  /** What msgpackr is given instead of `value`. Throws `ERR_PAYLOAD`. */
  run(value: unknown): unknown {
    try {
      return this.#convert(value)
    } catch (error) {
      if (error === this.#refusal) throw error
      throw this.#refuse('reading it threw', error) // a getter, a proxy, an object that only looks like a Date
    }
  }

  #convert(value: unknown): unknown {
    this.#count(1)
    switch (typeof value) {
      case 'string':
        this.chars += value.length
        return isWellFormed(value) ? value : this.#leaf(Kind.text, Buffer.from(value, 'utf16le'))
      case 'number':
        return Object.is(value, -0) ? this.#leaf(Kind.negativeZero) : value
      case 'bigint':
        if (BigInt.asIntN(512, value) !== value) throw this.#refuse('a bigint of more than 64 bytes')
        return value
      case 'object':
        return value === null ? null : this.#object(value)
      case 'function':
      case 'symbol':
        throw this.#refuse(`${show(value)} may not cross`)
      default:
        return value
    }
  }

  #object(value: object): unknown {
    const proto: unknown = Object.getPrototypeOf(value)
    if (proto === Buffer.prototype) {
      this.bytes += (value as Buffer).length
      return value
    }
    if (value instanceof Pid) return this.#leaf(Kind.pid, value.node, value.creation, value.serial)
    if (value instanceof Ref) return this.#leaf(Kind.ref, value.node, value.creation, value.counter)
    if (proto === Date.prototype) {
      if (Number.isNaN((value as Date).getTime())) throw this.#refuse('an invalid Date')
      return value
    }
    if (ArrayBuffer.isView(value)) return this.#typedArray(value, proto)
    if (this.#within.length >= this.#limits.depthMax) throw this.#tooDeep(value)
    this.#within.push(value)
    const container = this.#container(value, proto)
    this.#within.pop()
    return container
  }

  #container(value: object, proto: unknown): unknown {
    if (isPlainProto(proto)) return this.#fields(value as Record<string, unknown>)
    if (Array.isArray(value)) return this.#items(value)
    if (proto === Map.prototype) return this.#map(value as Map<unknown, unknown>)
    if (proto === Set.prototype) return this.#set(value as Set<unknown>)
    if (value instanceof Error) return this.#error(value)
    for (const extension of this.#extensions) {
      if (extension.is(value)) {
        this.#count(1)
        return new Tagged([extension.type, this.#convert(extension.write(value))])
      }
    }
    throw this.#refuse(`${show(value)} may not cross`)
  }

  #fields(value: Record<string, unknown>): unknown {
    if (Object.getOwnPropertySymbols(value).length > 0) throw this.#refuse('a symbol as a key may not cross')
    const copy: Record<string, unknown> = {}
    for (const key of Object.keys(value)) {
      this.#path.push(key)
      if (key === '__proto__') throw this.#refuse('the key __proto__ may not cross')
      if (!isWellFormed(key)) throw this.#refuse('a key with lone surrogates may not cross')
      this.chars += key.length
      copy[key] = this.#convert(value[key])
      this.#path.pop()
    }
    return copy
  }

  #items(items: readonly unknown[]): unknown {
    if (Object.getPrototypeOf(items) !== Array.prototype)
      throw this.#refuse(`${show(items)} of a class of its own may not cross`)
    this.#room(items.length)
    const copy: unknown[] = []
    for (let i = 0; i < items.length; i++) copy.push(this.#step(i, items[i]))
    return copy
  }

  #map(map: Map<unknown, unknown>): unknown {
    this.#count(1)
    this.#room(2 * map.size)
    const parts: unknown[] = [Kind.map]
    let i = 0
    for (const [key, value] of map) {
      parts.push(
        this.#step({ text: `.keys()[${i}]` }, key),
        this.#step({ text: `.get(${show(key)})` }, value),
      )
      i += 1
    }
    return new Tagged(parts)
  }

  #set(set: Set<unknown>): unknown {
    this.#count(1)
    this.#room(set.size)
    const parts: unknown[] = [Kind.set]
    for (const item of set) parts.push(this.#step({ text: `.values()[${parts.length - 1}]` }, item))
    return new Tagged(parts)
  }

  #error(error: Error & { readonly code?: unknown }): unknown {
    this.#count(1)
    const stack = typeof error.stack === 'string' ? error.stack : undefined
    const parts = TroupeError.is(error)
      ? [
          Kind.troupeError,
          ...this.#steps({ code: error.code, message: error.message, stack, detail: error.detail }),
        ]
      : [
          Kind.error,
          ...this.#steps({
            name: String(error.name),
            message: String(error.message),
            stack,
            code: codeOf(error),
          }),
        ]
    if (Object.hasOwn(error, 'cause')) parts.push(this.#step('cause', error.cause))
    return new Tagged(parts)
  }

  #typedArray(view: ArrayBufferView, proto: unknown): unknown {
    const element = ELEMENTS.findIndex(type => type.prototype === proto)
    if (element < 0) throw this.#refuse(`${show(view)} may not cross`)
    return this.#leaf(Kind.typedArray, element, Buffer.from(view.buffer, view.byteOffset, view.byteLength))
  }

  /** Parts that are known to be strings, numbers or bytes. */
  #leaf(kind: number, ...parts: readonly (string | number | Buffer)[]): Tagged {
    this.#count(1 + parts.length)
    for (const part of parts) if (typeof part !== 'number') this.bytes += part.length
    return new Tagged([kind, ...parts])
  }

  #steps(fields: Readonly<Record<string, unknown>>): unknown[] {
    return Object.entries(fields).map(([key, value]) => this.#step(key, value))
  }

  #step(step: Step, value: unknown): unknown {
    this.#path.push(step)
    const converted = this.#convert(value)
    this.#path.pop()
    return converted
  }

  #count(values: number): void {
    this.values += values
    if (this.values > this.#limits.valuesMax) throw this.#refuse(`more than ${this.#limits.valuesMax} values`)
  }

  /** Before a loop over a length: a sparse array may claim four billion items. */
  #room(items: number): void {
    if (this.values + items > this.#limits.valuesMax)
      throw this.#refuse(`more than ${this.#limits.valuesMax} values`)
  }

  #tooDeep(value: object): TroupeError {
    const within = [...this.#within, value]
    const again = within.findIndex((object, i) => within.indexOf(object) < i)
    if (again < 0) return this.#refuse(`nested deeper than ${this.#limits.depthMax}`)
    this.#path.length = again // every container but the root has exactly one step
    return this.#refuse('a cycle may not cross')
  }

  #refuse(why: string, cause?: unknown): TroupeError {
    const path = this.#where + this.#path.map(textOf).join('')
    this.#refusal = new TroupeError('ERR_PAYLOAD', `${path}: ${why}`, { path, why }, cause)
    return this.#refusal
  }
}

/** Errors of Node have strings, a few libraries numbers. */
const codeOf = (error: { readonly code?: unknown }): string | number | undefined =>
  typeof error.code === 'string' || typeof error.code === 'number' ? error.code : undefined

function textOf(step: Step): string {
  if (typeof step === 'number') return `[${step}]`
  if (typeof step === 'object') return step.text
  return /^[A-Za-z_$][\w$]{0,60}$/.test(step) ? `.${step}` : `[${show(step)}]`
}
