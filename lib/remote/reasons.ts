/**
 * Exit reasons and errors on the wire. They travel in signals, which are never refused, so they must always encode and
 * stay small: what cannot cross, or is too large, becomes a description of itself that keeps its meaning (clean or
 * not, an `Error` or not).
 */
import { type ErrorCode, show, TroupeError } from '../base/errors.js'
import type { ExitReason } from '../base/reasons.js'
import type { Codec } from '../wire/codec.js'

const MESSAGE_CHARS_MAX = 1_024
const STACK_CHARS_MAX = 8_192
const CODE = /^ERR_[A-Z_]{1,60}$/

export class Reasons {
  readonly #codec: Codec
  readonly #bytesMax: number

  constructor(codec: Codec, bytesMax: number) {
    this.#codec = codec
    this.#bytesMax = bytesMax
  }

  /** Never throws. */
  encode(reason: ExitReason, reserve: number): Buffer {
    return this.#try(reason, reserve) ?? this.#codec.encode(describe(reason), reserve, 'reason')
  }

  /** Never throws. The stack stays here, other than that of an `Error` inside `detail`. */
  encodeError(error: TroupeError, reserve: number): Buffer {
    const { code, message, detail } = error
    const short = message.slice(0, MESSAGE_CHARS_MAX)
    return (
      this.#try([code, message, detail], reserve) ??
      this.#try([code, short, describeEach(detail)], reserve) ??
      this.#codec.encode([code, short, {}], reserve, 'error')
    )
  }

  /** Never throws: bytes that do not pass become the error that says so. */
  decode(buffer: Buffer, start: number, end: number): ExitReason {
    try {
      return this.#codec.decode(buffer, start, end)
    } catch (error) {
      return error
    }
  }

  /** Never throws. Unknown codes pass: newer peers may have more of them. */
  decodeError(buffer: Buffer, start: number, end: number): TroupeError {
    const data = this.decode(buffer, start, end)
    if (TroupeError.is(data)) return data
    const [code, message, detail]: unknown[] = Array.isArray(data) ? data : []
    if (typeof code !== 'string' || !CODE.test(code) || typeof message !== 'string' || !isRecord(detail)) {
      return new TroupeError('ERR_PAYLOAD', 'an error that does not read came back')
    }
    return new TroupeError(code as ErrorCode, message, detail)
  }

  #try(value: unknown, reserve: number): Buffer | undefined {
    try {
      const buffer = this.#codec.encode(value, reserve, 'reason')
      return buffer.length - reserve <= this.#bytesMax ? buffer : undefined
    } catch {
      return undefined // a value that cannot cross: its description will
    }
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype

function describeEach(detail: Readonly<Record<string, unknown>>): Record<string, unknown> {
  try {
    return Object.fromEntries(
      Object.entries(detail).map(([key, value]) => [key.slice(0, 64), describe(value)]),
    )
  } catch {
    return {}
  }
}

function describe(reason: unknown): unknown {
  try {
    if (reason instanceof Error) return describeError(reason)
    if (typeof reason === 'string') return reason.slice(0, MESSAGE_CHARS_MAX)
    if (typeof reason === 'number' || typeof reason === 'boolean' || reason === undefined) return reason
    if (isRecord(reason) && Object.hasOwn(reason, 'shutdown')) return { shutdown: inside(reason, 'shutdown') }
    if (isRecord(reason) && Object.hasOwn(reason, 'nocatch')) return { nocatch: inside(reason, 'nocatch') }
    return show(reason)
  } catch {
    return 'a reason that cannot be shown' // a getter or proxy of the user's that throws
  }
}

/** The key alone says whether an exit is clean, so a getter that throws may not cost it. */
function inside(reason: Record<string, unknown>, key: string): unknown {
  try {
    return show(reason[key])
  } catch {
    return 'a value that cannot be shown'
  }
}

function describeError(error: Error): Error {
  const plain = new Error(String(error.message).slice(0, MESSAGE_CHARS_MAX))
  plain.name = String(error.name).slice(0, 64)
  plain.stack = String(error.stack ?? '').slice(0, STACK_CHARS_MAX)
  return plain
}
