/**
 * Gathers what is written in one turn and hands it to the stream when the turn ends, or when there is much of it: bytes
 * that leave while they are still in the processor's cache cost half of those that do not (measured, at 16 KiB).
 *
 *   slab  | handed out | gathered this turn | free |      large buffers go between, uncopied and in order
 *                      start                at               from the beginning once all that was handed out has left
 *
 * What was put in a turn is handed over by its end, also when the stream says stop on the way: from then on nothing may be
 * put until it drains. So nothing stays behind here, and how much one turn can gather is bounded by credit.
 */
import type { Loop, Stream } from '../base/runtime.js'
import { COPY_BYTES_MAX } from './mesh.js'

const SLAB_BYTES = 64 * 1_024
/** Less room than this at the end of a slab is not worth keeping. */
const ROOM_MIN = 4 * 1_024
/** This much leaves without waiting for the end of the turn. */
const MUCH_BYTES = 256 * 1_024
/** A loop over the bytes costs less than a call into the runtime up to here. */
const LOOP_BYTES_MAX = 64

const NOTHING = Buffer.alloc(0)

export class SlabWriter {
  readonly #stream: Stream
  readonly #loop: Loop
  /** Called before the turn's bytes are handed over, for whoever has more to say by then. */
  readonly #beforeFlush: () => void
  readonly #turnEnd = (): void => this.#onTurnEnd()
  #slab: Buffer = NOTHING
  #start = 0
  #at = 0
  #ready: Buffer[] = []
  #readyBytes = 0
  /** Handed over to the stream. */
  sentBytes = 0
  #scheduled = false
  #accepts = true
  #blocked = false

  constructor(stream: Stream, loop: Loop, beforeFlush: () => void) {
    this.#stream = stream
    this.#loop = loop
    this.#beforeFlush = beforeFlush
  }

  get blocked(): boolean {
    return this.#blocked
  }

  /** Nothing of what was put is still here. */
  get empty(): boolean {
    return this.#at === this.#start && this.#ready.length === 0
  }

  /** Copies the first `length` bytes, at most `COPY_BYTES_MAX`. */
  copy(bytes: Buffer, length: number): void {
    if (this.#at + length > this.#slab.length) this.#makeRoom(length)
    const at = this.#at
    const slab = this.#slab
    if (length <= LOOP_BYTES_MAX) for (let i = 0; i < length; i++) slab[at + i] = bytes[i]!
    else if (length === bytes.length) slab.set(bytes, at)
    else bytes.copy(slab, at, 0, length)
    this.#at = at + length
    if (!this.#scheduled) this.schedule()
  }

  /** Takes ownership. */
  put(bytes: Buffer): void {
    if (bytes.length === 0) return
    if (bytes.length <= COPY_BYTES_MAX) {
      this.copy(bytes, bytes.length)
      return
    }
    this.#cut()
    this.#ready.push(bytes)
    this.#readyBytes += bytes.length
    if (this.#readyBytes >= MUCH_BYTES) this.#hand()
    this.schedule()
  }

  schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#loop.turnEnd(this.#turnEnd)
  }

  drained(): void {
    this.#accepts = true
    this.#blocked = false
    this.#onTurnEnd()
  }

  flush(): void {
    this.#hand()
    this.#blocked = !this.#accepts
  }

  #hand(): void {
    this.#cut()
    const ready = this.#ready
    if (ready.length === 0) return
    this.#ready = []
    this.sentBytes += this.#readyBytes
    this.#readyBytes = 0
    this.#accepts = this.#stream.writeAll(ready)
    // All of it is with the operating system: the slab is free again, from its beginning.
    if (this.#stream.pendingBytes === 0) this.#begin(this.#slab)
    else if (this.#slab.length - this.#at < ROOM_MIN) this.#begin(NOTHING)
  }

  #onTurnEnd(): void {
    this.#scheduled = false
    this.#beforeFlush()
    this.flush()
  }

  /** The slab is full: it leaves, or another takes its place. */
  #makeRoom(length: number): void {
    this.#hand()
    if (this.#at + length <= this.#slab.length) return
    this.#cut()
    this.#begin(Buffer.allocUnsafeSlow(SLAB_BYTES))
  }

  #begin(slab: Buffer): void {
    this.#slab = slab
    this.#start = 0
    this.#at = 0
  }

  #cut(): void {
    if (this.#at === this.#start) return
    this.#ready.push(this.#slab.subarray(this.#start, this.#at))
    this.#readyBytes += this.#at - this.#start
    this.#start = this.#at
  }
}
