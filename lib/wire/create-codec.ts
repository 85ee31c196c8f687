/**
 * The codec of one node: survey or conversion, msgpackr, scan, and the building of what is ours.
 *
 * Strings with lone surrogates and -0 arrive as they were. Uint8Array arrives as Uint8Array and Buffer as Buffer.
 * Errors arrive as `Error` with their own name; a `TroupeError` as one.
 */
import { type ErrorCode, TroupeError } from '../base/errors.js'
import type { IdSpace } from '../base/id-space.js'
import { isNodeId, isU48 } from '../base/ids.js'
import type { Codec, CodecOptions, Extension } from './codec.js'
import { checkReserve, createPackr, pack, registerTag } from './packr.js'
import { scan } from './scan.js'
import { ELEMENTS, EXTENSION_MAX, EXTENSION_MIN, Kind, partsOf } from './tagged.js'
import { Conversion, Survey } from './walk.js'

export function createCodec(options: CodecOptions): Codec {
  const { limits, ids } = options
  const { messageBytesMax, depthMax, valuesMax } = limits
  const extensions = options.extensions ?? []
  const builder = new Builder(ids, extensions)
  // One level more for leaves that are an array on the wire: pids, refs, typed arrays.
  const scanLimits = { depthMax: depthMax + 1, valuesMax }
  const packr = createPackr()
  registerTag(packr)

  function encode(value: unknown, reserve: number, where: string): Buffer {
    checkReserve(reserve)
    let counts: Survey | Conversion = new Survey(valuesMax)
    let wire = value
    if (!surveyed(counts, value, depthMax)) {
      counts = new Conversion(limits, extensions, where)
      wire = counts.run(value)
    }
    const bytesMin = counts.values + counts.chars + counts.bytes
    if (bytesMin > messageBytesMax) throw tooLarge(where, bytesMin, messageBytesMax)
    const packed = packOrRefuse(wire, reserve, 9 * counts.values + 3 * counts.chars + counts.bytes, where)
    if (packed.length - reserve > messageBytesMax)
      throw tooLarge(where, packed.length - reserve, messageBytesMax)
    return packed
  }

  function packOrRefuse(wire: unknown, reserve: number, bytesMax: number, where: string): Buffer {
    try {
      return pack(packr, wire, reserve, bytesMax)
    } catch (error) {
      // A getter that answered once and then not again.
      throw new TroupeError(
        'ERR_PAYLOAD',
        `${where}: reading it threw`,
        { path: where, why: 'reading it threw' },
        error,
      )
    }
  }

  function decode(buffer: Buffer, start: number, end: number): unknown {
    const verdict = scan(buffer, start, end, scanLimits)
    if (typeof verdict === 'object') throw malformed(verdict.why, { at: verdict.at - start })
    const value = unpack(buffer, start, end)
    return verdict === 'tagged' ? builder.build(value) : value
  }

  function unpack(buffer: Buffer, start: number, end: number): unknown {
    try {
      return packr.unpack(buffer, { start, end })
    } catch (error) {
      throw malformed('not decodable', {}, error)
    }
  }

  return { encode, decode }
}

/** A throw is the user's (a getter, a proxy): the conversion meets it again and says where. */
function surveyed(survey: Survey, value: unknown, depthMax: number): boolean {
  try {
    return survey.plain(value, depthMax)
  } catch {
    return false
  }
}

const tooLarge = (where: string, bytes: number, max: number): TroupeError =>
  new TroupeError('ERR_TOO_LARGE', `${where}: ${bytes} bytes or more, above the limit of ${max}`, {
    path: where,
    bytes,
    max,
  })

const malformed = (
  why: string,
  detail: Readonly<Record<string, unknown>> = {},
  cause?: unknown,
): TroupeError =>
  new TroupeError('ERR_PAYLOAD', `a malformed payload came in: ${why}`, { why, ...detail }, cause)

/** Builds our values out of `Tagged`, inside out and in place. The scan has bounded the depth. */
class Builder {
  readonly #ids: IdSpace
  readonly #extensions = new Map<unknown, Extension<never>>()

  constructor(ids: IdSpace, extensions: readonly Extension<never>[]) {
    this.#ids = ids
    for (const extension of extensions) {
      const { type } = extension
      if (
        !(Number.isInteger(type) && type >= EXTENSION_MIN && type <= EXTENSION_MAX) ||
        this.#extensions.has(type)
      ) {
        throw new RangeError(
          `createCodec: extension type: expected an unused number from ${EXTENSION_MIN} to ${EXTENSION_MAX}, got ${type}`,
        )
      }
      this.#extensions.set(type, extension)
    }
  }

  build(value: unknown): unknown {
    if (typeof value !== 'object' || value === null) return value
    if (Array.isArray(value)) {
      for (let i = 0; i < value.length; i++) value[i] = this.build(value[i])
      return value
    }
    if (Object.getPrototypeOf(value) === Object.prototype) {
      const fields = value as Record<string, unknown>
      for (const key of Object.keys(fields)) fields[key] = this.build(fields[key])
      return value
    }
    const parts = partsOf(value)
    return parts === undefined
      ? value
      : this.#made(
          parts[0],
          parts.slice(1).map(part => this.build(part)),
        )
  }

  #made(kind: unknown, parts: readonly unknown[]): unknown {
    switch (kind) {
      case Kind.map:
        return mapOf(parts)
      case Kind.set:
        return new Set(parts)
      case Kind.typedArray:
        return typedArrayOf(parts)
      case Kind.error:
        return errorOf(parts)
      case Kind.troupeError:
        return troupeErrorOf(parts)
      case Kind.pid: {
        const [node, creation, serial] = parts
        if (parts.length !== 3 || !isNodeId(node) || !isU48(creation) || !isU48(serial))
          throw malformed('a bad pid')
        return this.#ids.pid(node, creation, serial)
      }
      case Kind.ref: {
        const [node, creation, counter] = parts
        if (parts.length !== 3 || !isNodeId(node) || !isU48(creation) || !isU48(counter))
          throw malformed('a bad ref')
        return this.#ids.ref(node, creation, counter)
      }
      case Kind.negativeZero:
        if (parts.length !== 0) throw malformed('a bad -0')
        return -0
      case Kind.text: {
        const [units] = parts
        if (parts.length !== 1 || !Buffer.isBuffer(units) || units.length % 2 !== 0)
          throw malformed('a bad text')
        return units.toString('utf16le')
      }
      default: {
        const extension = this.#extensions.get(kind)
        if (extension === undefined || parts.length !== 1) throw malformed('an unknown kind', { kind })
        return extension.read(parts[0])
      }
    }
  }
}

function mapOf(parts: readonly unknown[]): Map<unknown, unknown> {
  if (parts.length % 2 !== 0) throw malformed('a key without a value')
  const map = new Map<unknown, unknown>()
  for (let i = 0; i < parts.length; i += 2) map.set(parts[i], parts[i + 1])
  return map
}

function typedArrayOf(parts: readonly unknown[]): unknown {
  const [element, bytes] = parts
  const Type = typeof element === 'number' ? ELEMENTS[element] : undefined
  if (
    parts.length !== 2 ||
    Type === undefined ||
    !Buffer.isBuffer(bytes) ||
    bytes.length % Type.BYTES_PER_ELEMENT !== 0
  ) {
    throw malformed('a bad typed array')
  }
  // A copy of its own already (`copyBuffers`), unless it came from the pool, where alignment is anybody's guess.
  const own = bytes.byteOffset === 0 ? bytes : new Uint8Array(bytes)
  return new Type(own.buffer as ArrayBuffer, 0, bytes.length / Type.BYTES_PER_ELEMENT)
}

const isText = (value: unknown): value is string => typeof value === 'string'

function errorOf(parts: readonly unknown[]): Error {
  const [name, message, stack, code] = parts
  const codeFits = code === undefined || typeof code === 'string' || typeof code === 'number'
  if (parts.length < 4 || parts.length > 5 || !isText(name) || !isText(message) || !codeFits)
    throw malformed('a bad error')
  const error = new Error(message, parts.length === 5 ? { cause: parts[4] } : undefined)
  if (name !== 'Error') hidden(error, 'name', name)
  if (code !== undefined) Object.assign(error, { code })
  return withStack(error, stack)
}

function troupeErrorOf(parts: readonly unknown[]): Error {
  const [code, message, stack, detail, cause] = parts
  const codeFits = isText(code) && /^ERR_[A-Z_]{1,60}$/.test(code)
  const detailFits =
    typeof detail === 'object' && detail !== null && Object.getPrototypeOf(detail) === Object.prototype
  if (parts.length < 4 || parts.length > 5 || !codeFits || !isText(message) || !detailFits)
    throw malformed('a bad error')
  // A code that is not ours yet is one of a later version: the list only grows.
  return withStack(
    new TroupeError(code as ErrorCode, message, detail as Record<string, unknown>, cause),
    stack,
  )
}

/** The stack of where it was thrown, not of where it was decoded. */
function withStack(error: Error, stack: unknown): Error {
  if (stack !== undefined && !isText(stack)) throw malformed('a bad error')
  hidden(error, 'stack', stack)
  return error
}

const hidden = (error: Error, key: string, value: unknown): void => {
  Object.defineProperty(error, key, { value, writable: true, configurable: true, enumerable: false })
}
