/**
 * What comes in for processes: payloads still encoded, and requests that answer over the session they came by.
 */
import type { TroupeError } from '../base/errors.js'
import type { Pid } from '../base/ids.js'
import { Encoded, Request } from '../process/mail.js'
import type { Codec } from '../wire/codec.js'

/** A slice that is a smaller part of its chunk than this is copied where it stays: it would pin the rest. */
const SHARE = 4
/** A loop over the bytes costs less than a call into the runtime up to here. */
const LOOP_BYTES_MAX = 64

export class Body extends Encoded {
  readonly byteLength: number
  readonly #codec: Codec
  readonly #raw: boolean
  #buffer: Buffer
  #start: number
  #opened = false

  constructor(codec: Codec, raw: boolean, buffer: Buffer, start: number, end: number) {
    super()
    this.byteLength = end - start
    this.#codec = codec
    this.#raw = raw
    this.#buffer = buffer
    this.#start = start
  }

  /** Small in the chunk that it came in, which it keeps in memory while it waits. */
  get pins(): boolean {
    return this.byteLength * SHARE < this.#buffer.length
  }

  get chunk(): Buffer {
    return this.#buffer
  }

  get waitingBytes(): number {
    return this.#opened ? 0 : this.byteLength
  }

  open(): unknown {
    this.#opened = true
    const end = this.#start + this.byteLength
    if (!this.#raw) return this.#codec.decode(this.#buffer, this.#start, end)
    this.#copyOut()
    const whole = this.#start === 0 && this.byteLength === this.#buffer.length
    return whole ? this.#buffer : this.#buffer.subarray(this.#start, end)
  }

  /** For a body that has to wait: copies it out of the chunk that it came in, if it is small in it. */
  unpin(): void {
    if (!this.#opened) this.#copyOut()
  }

  #copyOut(): void {
    if (!this.pins) return
    const { byteLength } = this
    const from = this.#buffer
    const start = this.#start
    const copy = Buffer.allocUnsafe(byteLength)
    if (byteLength > LOOP_BYTES_MAX) from.copy(copy, 0, start, start + byteLength)
    else for (let i = 0; i < byteLength; i++) copy[i] = from[start + i]!
    this.#buffer = copy
    this.#start = 0
  }
}

/** Sends the answer of one request. */
export interface Answering {
  readonly up: boolean
  /** Throws what does not encode. */
  answer(callee: number, id: number, value: unknown): void
  refuse(callee: number, id: number, error: TroupeError): void
}

export class RemoteRequest extends Request {
  readonly #way: Answering
  readonly #callee: number
  readonly #id: number
  #done = false

  /** `callee` is a serial: the answer travels in that process's stream. */
  constructor(way: Answering, id: number, caller: Pid, callee: number, tag: string, payload: unknown) {
    super(tag, payload, caller)
    this.#way = way
    this.#callee = callee
    this.#id = id
  }

  /** A caller that timed out is not known here; its session's end is. */
  get settled(): boolean {
    return this.#done || !this.#way.up
  }

  reply(value: unknown): void {
    if (this.settled) return
    this.#way.answer(this.#callee, this.#id, value)
    this.#done = true
  }

  fail(error: TroupeError): void {
    if (this.settled) return
    this.#done = true
    this.#way.refuse(this.#callee, this.#id, error)
  }
}
