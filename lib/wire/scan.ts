/**
 * Judges foreign bytes before they are decoded: one linear pass, no recursion, nothing built.
 *
 * Accepts exactly one value of what our encoder writes: nil, booleans, numbers, strings, binary, arrays, maps with string
 * keys, undefined (extension 0), timestamps of valid Dates, big integers of at most 64 bytes, and our own tag, which must
 * be followed by an array. Lengths lie within the body; a declared count never exceeds the bytes that are left for it.
 *
 * Refuses everything else that the decoder would take: record definitions (they compile code), references and cycles,
 * RegExp, Error, Set and typed arrays of msgpackr's own, bundled strings, 0xc1; and the key `__proto__`, which the decoder
 * would rename without a word.
 */
import { TAG } from './tagged.js'

/** What a scan found: nothing to build afterwards, values of ours to build, or the reason of a refusal and its place. */
export type Verdict = 'plain' | 'tagged' | { readonly why: string; readonly at: number }

export interface ScanLimits {
  /** Arrays and maps within one another. */
  readonly depthMax: number
  /** Values, containers included, keys not. */
  readonly valuesMax: number
}

const BIGINT = 0x42
const TIMESTAMP = 0xff
const BIGINT_BYTES_MAX = 64
/** The largest Date, in seconds. */
const SECONDS_MAX = 8.64e12
const PROTO = Buffer.from('__proto__')
/** Extra bytes that hold the length of bin, ext and str of 8, 16 and 32 bits, by first byte. */
const lengthBytes = (token: number): number =>
  token === 0xc4 || token === 0xc7 || token === 0xd9
    ? 1
    : token === 0xc5 || token === 0xc8 || token === 0xda
      ? 2
      : 4

export function scan(b: Uint8Array, start: number, end: number, limits: ScanLimits): Verdict {
  const { depthMax, valuesMax } = limits
  // What is left of the open container: positive for an array's items, negative for a map's pairs.
  let left = 1
  const outer: number[] = []
  let depth = 0
  let values = 0
  let tagged = false
  let at = start
  for (;;) {
    while (left === 0) {
      if (depth === 0) return at === end ? (tagged ? 'tagged' : 'plain') : { why: 'more than one value', at }
      depth -= 1
      left = outer[depth]!
    }
    if (left < 0) {
      left += 1
      const next = keyEnd(b, at, end)
      if (next < 0) return { why: 'a bad key', at }
      at = next
    } else left -= 1
    if (at >= end) return { why: 'truncated', at }
    values += 1
    if (values > valuesMax) return { why: 'too many values', at }

    let token = b[at]!
    if (token === 0xd4 && b[at + 1] === TAG) {
      if (b[at + 2] !== 0 || !isArray(b[at + 3]!)) return { why: 'a bad tag', at }
      tagged = true
      at += 3
      token = b[at]!
    }
    if (token < 0x80 || token >= 0xe0) at += 1
    else if (token >= 0xa0 && token < 0xc0) at += token - 0x9f
    else if (token < 0xa0 || token >= 0xdc) {
      const map = token < 0x90 || token >= 0xde
      const count = token < 0xa0 ? token & 0x0f : token & 1 ? u32(b, at + 1) : u16(b, at + 1)
      at += token < 0xa0 ? 1 : token & 1 ? 5 : 3
      if ((map ? 2 * count : count) > end - at) return { why: 'a count beyond the end', at }
      if (depth >= depthMax) return { why: 'too deep', at }
      outer[depth] = left
      depth += 1
      left = map ? -count : count
    } else {
      const next = scalarEnd(b, at, token, end)
      if (next < 0) return { why: 'a type that may not cross', at }
      at = next
    }
    if (at > end) return { why: 'truncated', at: end }
  }
}

const isArray = (token: number): boolean =>
  (token >= 0x90 && token < 0xa0) || token === 0xdc || token === 0xdd

/** Where the value that follows a key begins; negative for what is no key. */
function keyEnd(b: Uint8Array, at: number, end: number): number {
  if (at >= end) return -1
  const token = b[at]!
  let body = at + 1
  let bytes = token - 0xa0
  if (token < 0xa0 || token >= 0xc0) {
    if (token < 0xd9 || token > 0xdb) return -1
    body += lengthBytes(token)
    bytes = lengthAt(b, at + 1, body)
  }
  // `>=`: a value must follow.
  if (body + bytes >= end) return -1
  return bytes === 9 && b[body] === 0x5f && isProto(b, body) ? -1 : body + bytes
}

function isProto(b: Uint8Array, at: number): boolean {
  for (let i = 0; i < PROTO.length; i++) if (b[at + i] !== PROTO[i]) return false
  return true
}

/** Where a scalar of first byte 0xc0 to 0xdb ends, possibly beyond the body; negative for what may not cross. */
function scalarEnd(b: Uint8Array, at: number, token: number, end: number): number {
  switch (token) {
    case 0xc0:
    case 0xc2:
    case 0xc3:
      return at + 1
    case 0xcc:
    case 0xd0:
      return at + 2
    case 0xcd:
    case 0xd1:
      return at + 3
    case 0xca:
    case 0xce:
    case 0xd2:
      return at + 5
    case 0xcb:
    case 0xcf:
    case 0xd3:
      return at + 9
    case 0xc4:
    case 0xc5:
    case 0xc6:
    case 0xd9:
    case 0xda:
    case 0xdb: {
      const body = at + 1 + lengthBytes(token)
      return body + lengthAt(b, at + 1, body)
    }
    case 0xc7:
    case 0xc8:
    case 0xc9: {
      const type = at + 1 + lengthBytes(token)
      return extensionEnd(b, type, lengthAt(b, at + 1, type), end)
    }
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8:
      return extensionEnd(b, at + 1, 1 << (token - 0xd4), end)
    default:
      return -1
  }
}

function extensionEnd(b: Uint8Array, at: number, bytes: number, end: number): number {
  const body = at + 1
  if (body + bytes > end) return end + 1
  const type = b[at]!
  const good =
    (type === 0 && bytes === 1) ||
    (type === BIGINT && bytes > 0 && bytes <= BIGINT_BYTES_MAX) ||
    (type === TIMESTAMP && isTimestamp(b, body, bytes))
  return good ? body + bytes : -1
}

/** 4 bytes: seconds. 8: 30 bits of nanoseconds, 34 of seconds. 12: nanoseconds, 64 bits of signed seconds. */
function isTimestamp(b: Uint8Array, at: number, bytes: number): boolean {
  if (bytes === 4) return true
  if (bytes === 8) return u32(b, at) >>> 2 < 1e9
  const nanos = u32(b, at)
  if (bytes !== 12 || nanos >= 1e9) return false
  const seconds = (u32(b, at + 4) | 0) * 2 ** 32 + u32(b, at + 8)
  return seconds >= -SECONDS_MAX && (seconds < SECONDS_MAX || (seconds === SECONDS_MAX && nanos === 0))
}

/** MessagePack is big-endian. */
const u16 = (b: Uint8Array, at: number): number => (b[at]! << 8) | b[at + 1]!
const u32 = (b: Uint8Array, at: number): number =>
  ((b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!) >>> 0

/** `| 0`, here and above: beyond the buffer there is 0, never a NaN that would slip through every comparison. */
function lengthAt(b: Uint8Array, at: number, end: number): number {
  return end - at === 1 ? b[at]! | 0 : end - at === 2 ? u16(b, at) : u32(b, at)
}
