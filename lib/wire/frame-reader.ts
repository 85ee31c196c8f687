/**
 * Turns the chunks of one connection into frames.
 *
 *   chunk   | …rest of 7 | frame 8 | frame 9 | beginning of 10 … |
 *              joined       parsed in place      held until its rest comes
 *
 * A frame that lies whole within a chunk is parsed where it lies. Of one that does not, what came is held in a buffer
 * that doubles, so that a drip of single bytes costs linear time and memory, and nothing is ever allocated because a
 * length was merely declared. The lengths are judged as soon as the 20 bytes of the header are there.
 *
 * A part of a large body is not held: once its header is there, what there is of it is delivered, in as many pieces as
 * it comes in, because it will be copied to its place anyway, and twice would be once too often.
 *
 * The first violation throws `ERR_FRAME` and ends the reader: what follows it in the stream means nothing.
 */
import { TroupeError } from '../base/errors.js'
import { Flag, HEADER_BYTES, readU16, readU32, Tlv, TOTAL_BYTES, WIRE_VERSION } from './frame.js'

/**
 * The frame being delivered: one object per reader, filled anew for every frame and valid until the sink returns. The
 * body is `buffer` from `start` to `end`; these bytes may be kept, at the price of the chunk that they lie in. Of a part
 * of a large body they are a piece, and `further` says whether it is one behind the first.
 */
export interface Frame {
  readonly type: number
  readonly flags: number
  readonly pair: number
  readonly sequence: number
  readonly source: number
  readonly destination: number
  /** Bytes of the whole body, where this is its first part; else 0. */
  readonly totalBytes: number
  readonly bodyBytes: number
  readonly further: boolean
  readonly buffer: Buffer
  readonly start: number
  readonly end: number
}

const PART = Flag.more | Flag.continued
const FLAGS = PART | Flag.raw
const NOTHING = Buffer.alloc(0)

/** One per connection, for one direction. */
export class FrameReader {
  /** Header and body of one frame. Turned up once the peer is authenticated; holds from the next frame on. */
  frameBytesMax: number
  readonly #sink: (frame: Frame) => void
  readonly #frame: { -readonly [K in keyof Frame]: Frame[K] } = {
    type: 0,
    flags: 0,
    pair: 0,
    sequence: 0,
    source: 0,
    destination: 0,
    totalBytes: 0,
    bodyBytes: 0,
    further: false,
    buffer: NOTHING,
    start: 0,
    end: 0,
  }
  /** The beginning of a frame, in the first `#have` bytes; `#need` bytes allow the next step. */
  #held: Buffer = NOTHING
  #have = 0
  #need = 0
  /** Bytes to come of a part whose beginning was delivered. */
  #rest = 0
  #ended = false

  constructor(frameBytesMax: number, sink: (frame: Frame) => void) {
    this.frameBytesMax = frameBytesMax
    this.#sink = sink
  }

  /** Bytes that are held of a frame that has begun and is not complete. */
  get held(): number {
    return this.#have
  }

  /** A frame has begun and is not complete: its deadline runs. */
  get begun(): boolean {
    return this.#have > 0 || this.#rest > 0
  }

  /** Delivers every frame that `chunk` completes. Once the reader has ended, it ignores what comes. */
  push(chunk: Buffer): void {
    if (this.#ended) return
    let whole = false
    try {
      this.#read(chunk)
      whole = true
    } finally {
      if (!whole) this.end()
    }
  }

  /** Nothing is delivered any more, not even from the chunk that is being read. For a sink that closes. */
  end(): void {
    this.#ended = true
    this.#held = NOTHING
    this.#have = 0
    this.#rest = 0
  }

  #read(chunk: Buffer): void {
    let at = this.#have === 0 ? 0 : this.#complete(chunk)
    let need = HEADER_BYTES
    if (this.#rest > 0) at = this.#piece(chunk, at)
    while (!this.#ended && chunk.length - at >= HEADER_BYTES) {
      need = this.#measure(chunk, at)
      if (chunk.length - at < need) break
      at = this.#deliver(chunk, at, chunk.length)
      need = HEADER_BYTES
    }
    if (at < chunk.length && !this.#ended) this.#hold(chunk, at, need)
  }

  /** Adds to the held frame what it lacks, delivers it if that completes it, and returns where the rest begins. */
  #complete(chunk: Buffer): number {
    let at = 0
    while (this.#have > 0) {
      const until = Math.min(chunk.length, at + this.#need - this.#have)
      this.#append(chunk, at, until)
      at = until
      if (this.#have < this.#need) break
      this.#need = this.#measure(this.#held, 0)
      if (this.#have < this.#need) continue
      const [frame, have] = [this.#held, this.#have]
      this.#have = 0
      this.#held = NOTHING
      this.#deliver(frame, 0, have)
    }
    return at
  }

  #hold(chunk: Buffer, at: number, need: number): void {
    this.#held = chunk.subarray(at)
    this.#have = this.#held.length
    this.#need = need
  }

  #append(chunk: Buffer, start: number, end: number): void {
    const have = this.#have + end - start
    if (have > this.#held.length) {
      const grown = Buffer.allocUnsafe(Math.max(have, Math.min(this.#need, 2 * this.#have)))
      this.#held.copy(grown, 0, 0, this.#have)
      this.#held = grown
    }
    chunk.copy(this.#held, this.#have, start, end)
    this.#have = have
  }

  /** Bytes of the frame whose header stands at `at` that are to be here before it is delivered: at least a header. */
  #measure(b: Buffer, at: number): number {
    const headerBytes = b[at + 3]!
    const flags = b[at + 2]!
    const bytes = headerBytes + readU32(b, at + 4)
    if (b[at] !== WIRE_VERSION) throw refused('another version', { version: b[at], expected: WIRE_VERSION })
    if (headerBytes < HEADER_BYTES) throw refused('a header that is too short', { headerBytes })
    if (bytes > this.frameBytesMax) throw refused('above the limit', { bytes, max: this.frameBytesMax })
    if ((flags & ~FLAGS) !== 0) throw refused('unknown flags', { flags })
    return (flags & PART) === 0 ? bytes : headerBytes
  }

  /** Delivers what there is before `until` of the frame at `at`, and returns where the next one begins. */
  #deliver(b: Buffer, at: number, until: number): number {
    const frame = this.#frame
    frame.type = b[at + 1]!
    frame.flags = b[at + 2]!
    frame.pair = readU32(b, at + 8)
    frame.sequence = readU32(b, at + 12)
    frame.source = readU16(b, at + 16)
    frame.destination = readU16(b, at + 18)
    frame.bodyBytes = readU32(b, at + 4)
    frame.further = false
    frame.buffer = b
    const start = at + b[at + 3]!
    const end = Math.min(until, start + frame.bodyBytes)
    frame.start = start
    frame.end = end
    frame.totalBytes = start === at + HEADER_BYTES ? 0 : readTotal(b, at + HEADER_BYTES, start)
    this.#rest = frame.bodyBytes - (end - start)
    this.#sink(frame)
    frame.buffer = NOTHING // keeps no chunk alive between frames
    return end
  }

  /** More of the part that is under way. */
  #piece(chunk: Buffer, at: number): number {
    const frame = this.#frame
    const end = Math.min(chunk.length, at + this.#rest)
    frame.further = true
    frame.buffer = chunk
    frame.start = at
    frame.end = end
    this.#rest -= end - at
    this.#sink(frame)
    frame.buffer = NOTHING
    return end
  }
}

/** Walks the TLVs, which must fill the header exactly. */
function readTotal(b: Buffer, start: number, end: number): number {
  let total = 0
  let at = start
  while (at < end) {
    const next = at + 2 + (at + 1 < end ? b[at + 1]! : 0)
    if (at + 1 >= end || next > end) throw refused('a TLV beyond its header', { tlv: b[at] })
    if (b[at] === Tlv.total) {
      if (next - at !== TOTAL_BYTES || total !== 0)
        throw refused('a bad total length', { tlvBytes: next - at })
      total = readU32(b, at + 2)
      if (total === 0) throw refused('a bad total length', { total })
    }
    at = next
  }
  return total
}

const refused = (why: string, detail: Readonly<Record<string, unknown>>): TroupeError =>
  new TroupeError('ERR_FRAME', `not a frame of ours: ${why}`, { why, ...detail })
