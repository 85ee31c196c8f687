/**
 * Bodies of the frames between processes: a fixed little-endian prefix, texts (length u8, UTF-8), then the payload,
 * which is MessagePack, or raw bytes under `Flag.raw`. Numbers are u48 where not said otherwise.
 *
 *   message    to │ payload                          monitor    watcher, watched, counter
 *   cast       to, tag │ payload                     demonitor  counter
 *   request    caller, to, id, tag │ payload         down       counter, watched or 0 │ reason
 *   reply      id, failed u8 │ value or error        spawn      parent, id, link or 0, counter or 0, definition,
 *   link       from, to, id                                     options length u32, options │ args
 *   unlink     from, to, sent, received              spawned    id, failed u8 │ serial, or error
 *   exit       from, to │ reason                     spawnKeep  id, keep u8
 *   exitLink   from, to, sent, received │ reason     named      kind u8, name, then
 *                                                               message: payload; cast: tag, payload;
 *   toMany     count u16, to… │ payload
 *   errors are [code, message, detail]                          request: caller, id, tag, payload; monitor: watcher, counter
 *   procedure  caller, id or 0 for a cast, name │ input
 *   procedureAbort  caller, id
 *
 * One buffer per frame: the codec leaves room for header and prefix. Of raw bytes only header and prefix are built, in one
 * buffer for all, which is lent to the session: payload and prefix are copied once, to where they leave from.
 */
import { TroupeError } from '../base/errors.js'
import { NAME_BYTES_MAX } from '../base/limits.js'
import { type OutFrame, outFrame, type Session } from '../mesh/mesh.js'
import type { Codec } from '../wire/codec.js'
import { Flag, type FrameType, HEADER_BYTES } from '../wire/frame.js'

/** Where a body begins in the buffer of a frame that goes out. */
export const BODY = HEADER_BYTES
const U48 = 6
/** Of a prefix: a name and a tag with their lengths, a kind, four numbers. */
const PREFIX_BYTES_MAX = 2 * (1 + NAME_BYTES_MAX) + 1 + 4 * U48
const HIGH = 2 ** 32

/** Where `count` u48 numbers end. */
export const after = (at: number, count: number): number => at + count * U48

/** Byte by byte: several times as fast as the checked methods of `Buffer`, which matters once per message. */
export function writeU48(buffer: Buffer, value: number, at: number): number {
  const high = (value / HIGH) >>> 0
  buffer[at] = value
  buffer[at + 1] = value >>> 8
  buffer[at + 2] = value >>> 16
  buffer[at + 3] = value >>> 24
  buffer[at + 4] = high
  buffer[at + 5] = high >>> 8
  return at + U48
}

/** The caller has checked that the bytes are there. */
export function readU48(buffer: Buffer, at: number): number {
  const low = (buffer[at]! | (buffer[at + 1]! << 8) | (buffer[at + 2]! << 16) | (buffer[at + 3]! << 24)) >>> 0
  return low + (buffer[at + 4]! | (buffer[at + 5]! << 8)) * HIGH
}

/** Names the stream of one sender: well mixed, unsigned 32 bits, never 0, which is no stream. */
export function pairOf(serial: number): number {
  let hash = Math.imul(serial | 0, 0x9e3779b1) ^ Math.imul(serial / HIGH, 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 16), 0x7feb352d)
  hash = Math.imul(hash ^ (hash >>> 15), 0x846ca68b)
  return (hash ^ (hash >>> 16)) >>> 0 || 1
}

/** Texts up to this length that are ASCII, as tags are, are handled without a call into the runtime. */
const SHORT = 24

/** Bytes that a text takes. Texts are tags and names: longer ones are a mistake of the caller. */
export function textBytes(what: string, text: string): number {
  const { length } = text
  if (length <= SHORT && isAscii(text)) return 1 + length
  const bytes = Buffer.byteLength(text)
  if (bytes > NAME_BYTES_MAX) {
    throw new RangeError(`${what}: expected at most ${NAME_BYTES_MAX} bytes, got ${bytes}`)
  }
  return 1 + bytes
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return false
  return true
}

/** `bytes` is what `textBytes` said. */
export function writeText(buffer: Buffer, text: string, bytes: number, at: number): number {
  buffer[at] = bytes - 1
  if (bytes - 1 === text.length && bytes <= SHORT) {
    for (let i = 0; i < text.length; i++) buffer[at + 1 + i] = text.charCodeAt(i)
  } else {
    buffer.write(text, at + 1)
  }
  return at + bytes
}

/** Where the text that begins at `at` ends. */
export function textEnd(buffer: Buffer, at: number, end: number): number {
  need(at + 1, end)
  const next = at + 1 + (buffer[at] as number)
  need(next, end)
  return next
}

export const readText = (buffer: Buffer, at: number, next: number): string =>
  buffer.toString('utf8', at + 1, next)

/** Slots of a `TagReader`: a power of two. Two tags that meet in one take turns, and are merely read more slowly. */
const TAGS = 256

/**
 * Reads tags, of which there are few, without making a new string each time: the same bytes give the same string, whose
 * hash is known already where it is looked up.
 */
export class TagReader {
  readonly #known: ({ readonly bytes: Buffer; readonly text: string } | undefined)[] = new Array(TAGS)

  read(buffer: Buffer, at: number, next: number): string {
    const from = at + 1
    const length = next - from
    if (length === 0 || length > SHORT) return readText(buffer, at, next)
    const place = (buffer[from]! * 31 + buffer[next - 1]! * 7 + length) & (TAGS - 1)
    const known = this.#known[place]
    if (known !== undefined && known.bytes.length === length) {
      let i = 0
      while (i < length && known.bytes[i] === buffer[from + i]) i++
      if (i === length) return known.text
    }
    const text = readText(buffer, at, next)
    this.#known[place] = { bytes: Buffer.from(buffer.subarray(from, next)), text }
    return text
  }
}

/** The body goes on at least to `at`. */
export function need(at: number, end: number): void {
  if (at > end) throw malformed()
}

/** The body ends at `at`. */
export function exactly(at: number, end: number): void {
  if (at !== end) throw malformed()
}

export const malformed = (): TroupeError => new TroupeError('ERR_FRAME', 'a malformed body between processes')

/** A frame whose body is a prefix of `bytes` and nothing else. */
export function bare(type: FrameType, pair: number, bytes: number): OutFrame {
  return outFrame(type, 0, pair, Buffer.allocUnsafe(BODY + bytes), undefined, false)
}

/** A frame around an encoded value that has room for header and prefix. */
export const around = (type: FrameType, pair: number, head: Buffer): OutFrame =>
  outFrame(type, 0, pair, head, undefined, false)

export class Packer {
  readonly #codec: Codec
  readonly #head = Buffer.allocUnsafeSlow(BODY + PREFIX_BYTES_MAX)

  constructor(codec: Codec) {
    this.#codec = codec
  }

  /**
   * A frame for `session`, with `prefix` bytes for the caller to fill in from `BODY` on. Throws `ERR_PAYLOAD`, and
   * `ERR_TOO_LARGE` for what this node may not send or that one does not take.
   */
  pack(
    session: Session,
    type: FrameType,
    pair: number,
    refusable: boolean,
    prefix: number,
    payload: unknown,
  ): OutFrame {
    if (Buffer.isBuffer(payload)) return this.#packRaw(session, type, pair, refusable, prefix, payload)
    const head = this.#codec.encode(payload, BODY + prefix, 'payload')
    checkSize(session, head.length - BODY)
    return outFrame(type, 0, pair, head, undefined, refusable)
  }

  /** The payload alone, to be sent behind several prefixes. Its size is for `checkSize` to look at. */
  packOnce(payload: unknown): { readonly flags: number; readonly bytes: Buffer } {
    const raw = Buffer.isBuffer(payload)
    // The caller may change its buffer as soon as it was told that it is sent.
    const bytes = raw ? Buffer.from(payload) : this.#codec.encode(payload, 0, 'payload')
    return { flags: raw ? Flag.raw : 0, bytes }
  }

  /** As `pack`, with `between` behind the prefix. */
  packBehind(
    session: Session,
    type: FrameType,
    pair: number,
    prefix: number,
    between: Buffer,
    payload: unknown,
  ): OutFrame {
    const raw = Buffer.isBuffer(payload)
    const tail = raw ? payload : this.#codec.encode(payload, 0, 'payload')
    checkSize(session, prefix + between.length + tail.length)
    const head = Buffer.allocUnsafe(BODY + prefix + between.length)
    between.copy(head, BODY + prefix)
    return outFrame(type, raw ? Flag.raw : 0, pair, head, tail, true)
  }

  #packRaw(
    session: Session,
    type: FrameType,
    pair: number,
    refusable: boolean,
    prefix: number,
    bytes: Buffer,
  ): OutFrame {
    checkSize(session, prefix + bytes.length)
    const headBytes = BODY + prefix
    return { type, flags: Flag.raw, pair, head: this.#head, headBytes, lent: true, tail: bytes, refusable }
  }
}

/** The whole body counts: it is what the other end reassembles. Throws `ERR_TOO_LARGE`. */
export function checkSize({ peer, messageBytesMax: max }: Session, bytes: number): void {
  if (bytes <= max) return
  throw new TroupeError('ERR_TOO_LARGE', `payload: ${bytes} bytes, at most ${max} to ${peer}`, {
    bytes,
    max,
    node: peer,
  })
}
