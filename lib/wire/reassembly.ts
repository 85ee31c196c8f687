/**
 * Puts the parts of large bodies together again, for one peer.
 *
 *   first     more                 TLV total = 150,000     64 KiB of the body
 *   further   more, continued                              64 KiB
 *   last      continued                                    the rest, exactly
 *
 * Parts of one body follow one another within their pair, and pairs interleave. The first part's total is taken at its
 * word, because the totals of all bodies under way may together not exceed `messageBytesMax`: a sender begins a body
 * only when there is room for it. So each part is copied once, to its place, and pins no chunk.
 */
import { TroupeError } from '../base/errors.js'
import { Flag } from './frame.js'
import type { Frame } from './frame-reader.js'

interface Body {
  readonly type: number
  readonly raw: number
  readonly bytes: Buffer
  have: number
}

export class Reassembly {
  readonly #bodies = new Map<number, Body>()
  readonly #bytesMax: number
  #bytes = 0

  constructor(messageBytesMax: number) {
    this.#bytesMax = messageBytesMax
  }

  /** The totals of all bodies under way. */
  get bytes(): number {
    return this.#bytes
  }

  /** True when a body of that pair is under way: nothing else of that pair may come before its end. */
  has(pair: number): boolean {
    return this.#bodies.has(pair)
  }

  /** Takes a part, or a piece of one; returns the body that it completes. Throws `ERR_FRAME` on a part that does not fit. */
  add(frame: Frame): Buffer | undefined {
    const body = frame.further ? this.#bodies.get(frame.pair)! : this.#part(frame)
    frame.buffer.copy(body.bytes, body.have, frame.start, frame.end)
    body.have += frame.end - frame.start
    if (body.have < body.bytes.length) return undefined
    this.#bodies.delete(frame.pair)
    this.#bytes -= body.bytes.length
    return body.bytes
  }

  /** The body that a new part belongs to. The whole part is judged before its first byte is taken. */
  #part(frame: Frame): Body {
    const body = frame.flags & Flag.continued ? this.#further(frame) : this.#first(frame)
    const have = body.have + frame.bodyBytes
    const last = (frame.flags & Flag.more) === 0
    if (frame.bodyBytes === 0 || have > body.bytes.length || last !== (have === body.bytes.length)) {
      throw refused('a part that does not fit its body', frame, { have, total: body.bytes.length, last })
    }
    return body
  }

  #first(frame: Frame): Body {
    const total = frame.totalBytes
    if ((frame.flags & Flag.more) === 0 || total === 0) throw refused('a first part without its total', frame)
    if (frame.pair === 0) throw refused('a part outside of any pair', frame)
    if (this.#bodies.has(frame.pair)) throw refused('a first part before the end of another body', frame)
    if (this.#bytes + total > this.#bytesMax) {
      throw refused('bodies above the limit', frame, { bytes: this.#bytes + total, max: this.#bytesMax })
    }
    // Not from the pool: the body belongs to whoever gets it.
    const body = {
      type: frame.type,
      raw: frame.flags & Flag.raw,
      bytes: Buffer.allocUnsafeSlow(total),
      have: 0,
    }
    this.#bodies.set(frame.pair, body)
    this.#bytes += total
    return body
  }

  #further(frame: Frame): Body {
    const body = this.#bodies.get(frame.pair)
    if (body === undefined) throw refused('a part of no body', frame)
    if (body.type !== frame.type || body.raw !== (frame.flags & Flag.raw) || frame.totalBytes !== 0) {
      throw refused('a part of another kind than its body', frame)
    }
    return body
  }
}

const refused = (why: string, frame: Frame, detail: Readonly<Record<string, unknown>> = {}): TroupeError =>
  new TroupeError('ERR_FRAME', `not our fragments: ${why}`, {
    why,
    pair: frame.pair,
    type: frame.type,
    ...detail,
  })
