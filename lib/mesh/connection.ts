/**
 * One stream from its first byte: handshake frames until a session takes it over. Everything that goes wrong before
 * that is told once, through `failed`, and moves nothing else.
 */
import { TroupeError } from '../base/errors.js'
import type { Limits } from '../base/limits.js'
import type { Clock, Stream, Timer } from '../base/runtime.js'
import { encodeFrame, FrameType } from '../wire/frame.js'
import { type Frame, FrameReader } from '../wire/frame-reader.js'
import { type Opened, Refusal, type Refused, readRefusal, writeRefusal } from './handshake.js'
import { Link, type LinkEdge } from './link.js'

/** From the first byte to the session. */
export const HANDSHAKE_MS = 5_000

export interface ConnectionOwner {
  handshake(connection: Connection, type: number, body: Buffer): void
  refused(connection: Connection, refused: Refused): void
  /** Before a session took over; last. `ours` is false for bytes that are not our protocol. */
  failed(connection: Connection, why: string, ours: boolean): void
}

export class Connection {
  readonly stream: Stream
  readonly #owner: ConnectionOwner
  readonly #reader: FrameReader
  readonly #deadline: Timer
  #link: Link | undefined
  #over = false

  constructor(stream: Stream, clock: Clock, limits: Limits, owner: ConnectionOwner) {
    this.stream = stream
    this.#owner = owner
    this.#reader = new FrameReader(limits.frameBytesMaxUnauthenticated, frame => this.#take(frame))
    this.#deadline = clock.after(HANDSHAKE_MS, () => this.fail('the handshake took too long'))
    stream.open({
      data: chunk => this.#data(chunk),
      drain: () => this.#link?.drain(),
      close: code => this.#closed(code),
    })
  }

  get over(): boolean {
    return this.#over
  }

  say(type: number, body: Buffer): void {
    if (!this.#over) this.stream.write(encodeFrame(type, 0, body))
  }

  /** Tells the other side why, and closes. */
  refuse(refused: Refused): void {
    if (this.#over) return
    this.say(FrameType.refuse, writeRefusal(refused))
    this.#finish()
    this.stream.end()
  }

  /** Closes without a word to anybody. */
  abandon(): void {
    if (this.#over) return
    this.#finish()
    this.stream.destroy()
  }

  fail(why: string, ours = true): void {
    if (this.#over) return
    this.abandon()
    this.#owner.failed(this, why, ours)
  }

  /** From here on the stream belongs to the session. */
  become(opened: Opened, edge: LinkEdge): Link {
    this.#finish()
    this.#link = new Link(opened, this.stream, this.#reader, edge)
    return this.#link
  }

  /** The session, which may have come to be within a chunk. */
  #session(): Link | undefined {
    return this.#link
  }

  #finish(): void {
    this.#over = true
    this.#deadline.clear()
  }

  #data(chunk: Buffer): void {
    if (this.#link !== undefined) {
      this.#link.data(chunk)
      return
    }
    if (this.#over) return
    try {
      this.#reader.push(chunk)
      this.#session()?.settle()
    } catch (error) {
      const link = this.#session()
      if (link !== undefined) link.broken(error)
      else if (TroupeError.is(error, 'ERR_FRAME')) this.fail(error.message, false)
      else throw error
    }
  }

  #take(frame: Frame): void {
    if (this.#link !== undefined) {
      this.#link.take(frame)
      return
    }
    if (this.#over) return
    const body = frame.buffer.subarray(frame.start, frame.end)
    const { type } = frame
    if (type < FrameType.hello || type > FrameType.refuse || frame.flags !== 0) {
      throw new TroupeError('ERR_FRAME', 'not our handshake', { type })
    }
    if (type === FrameType.refuse) this.#refused(readRefusal(body))
    else this.#owner.handshake(this, type, body)
  }

  #refused(refused: Refused): void {
    const known = Object.values<number>(Refusal).includes(refused.code)
    this.abandon()
    this.#owner.refused(this, known ? refused : { ...refused, code: Refusal.unavailable })
  }

  #closed(code: string | undefined): void {
    if (this.#link !== undefined) this.#link.closed()
    else this.fail(`the connection closed${code === undefined ? '' : ` (${code})`}`)
  }
}
