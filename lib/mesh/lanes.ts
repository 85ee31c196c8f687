/**
 * What leaves next on one session, and what has to wait. Pure: bytes go to an `Out`, time comes as an argument.
 *
 *   urgent  ──────────────────────────────► always first, outside credit
 *   slot    ──────────── window ──────────► in order, before every pair
 *   pair 7  ■■■■■■■■■■ (a body in parts) ─┐
 *   pair 9  ■ ■ ■                        ─┼─ credit ─► round robin, at most `fragmentBytes` of one pair per round
 *   pair 12 ■                            ─┘
 *
 * Laws: frames of one pair keep their order, also behind unfinished parts. Never more bytes than the receiver has
 * permitted. Whatever waits is bounded: messages are refused at the limit, signals and replies wait beyond it under a
 * limit of their own, and a peer that takes less than one full queue in five seconds at the limit is too slow to keep.
 *
 * The usual case, credit left and nothing waiting, goes straight out and allocates nothing.
 */
import type { Limits } from '../base/limits.js'
import { RingQueue } from '../base/ring-queue.js'
import { Flag, HEADER_BYTES, TOTAL_BYTES, writeHeader, writeTotal } from '../wire/frame.js'
import { kept, type OutFrame } from './mesh.js'

/** Where frames leave: a `SlabWriter`. */
export interface Out {
  readonly blocked: boolean
  /** Takes the bytes, whose owner this becomes. */
  put(bytes: Buffer): void
  /** Takes a copy of the first `length` bytes, which are few. */
  copy(bytes: Buffer, length: number): void
  /** Has `Lanes.pump` called when the turn ends. */
  schedule(): void
}

export type LaneLimits = Pick<
  Limits,
  | 'fragmentBytes'
  | 'messageBytesMax'
  | 'creditBytes'
  | 'queueBytesBusy'
  | 'queueBytesMax'
  | 'bulkBytesMax'
  | 'signalBytesMax'
>

/** The slot lane's own window, and what may wait for it. */
export const SLOT_WINDOW_BYTES = 256 * 1_024
export const SLOT_QUEUE_BYTES_MAX = 64 * 1_048_576
export const SLOT_FRAME_BYTES_MAX = 64 * 1_024
const URGENT_QUEUE_BYTES_MAX = 1_048_576
const OVERLOAD_MS = 5_000

interface PairQueue {
  readonly pair: number
  readonly frames: RingQueue<OutFrame>
  /** Bytes of the first frame's body that have left, while it leaves in parts. */
  sentBytes: number
}

interface ControlFrame {
  readonly type: number
  /** With room for the header. */
  readonly bytes: Buffer
}

const bodyOf = (frame: OutFrame): number =>
  frame.headBytes - HEADER_BYTES + (frame.tail === undefined ? 0 : frame.tail.length)

export class Lanes {
  readonly #out: Out
  readonly #limits: LaneLimits
  readonly #urgent = new RingQueue<ControlFrame>()
  readonly #slot = new RingQueue<ControlFrame>()
  readonly #pairs = new Map<number, PairQueue>()
  readonly #round = new RingQueue<PairQueue>()
  #waiting = 0
  #urgentBytes = 0
  #slotBytes = 0
  #smallBytes = 0
  #bulkBytes = 0
  #sequence = 0
  /** Totals since the session began, and up to where the receiver lets them grow. */
  #sentBytes = 0
  #permittedBytes: number
  #slotSentBytes = 0
  #slotPermittedBytes = SLOT_WINDOW_BYTES
  /** Totals of bodies of which a part has left: the receiver reassembles no more than one message's worth. */
  #begunBytes = 0
  #limitSinceMs: number | undefined
  /** How much has to be sent for what filled the queue to have left. */
  #relievedAtBytes = 0
  #refused = 0
  #overflow = false

  constructor(out: Out, limits: LaneLimits) {
    this.#out = out
    this.#limits = limits
    this.#permittedBytes = limits.creditBytes
  }

  get queuedBytes(): number {
    return this.#smallBytes + this.#bulkBytes
  }

  get busy(): boolean {
    return this.#smallBytes + this.#bulkBytes > this.#limits.queueBytesBusy
  }

  get idle(): boolean {
    return this.#waiting === 0
  }

  /** Messages refused with `'full'`. */
  get refused(): number {
    return this.#refused
  }

  urgent(type: number, bytes: Buffer): void {
    if (this.#urgent.isEmpty && !this.#out.blocked) {
      this.#control(type, bytes)
      return
    }
    if (this.#overflow) return
    this.#urgent.push({ type, bytes })
    this.#waiting += 1
    this.#urgentBytes += bytes.length
    if (this.#urgentBytes > URGENT_QUEUE_BYTES_MAX) this.#overflow = true
  }

  /** The last word of the session, behind what has left already, whatever still waits. */
  last(type: number, bytes: Buffer): void {
    this.#control(type, bytes)
  }

  slot(type: number, bytes: Buffer): void {
    if (this.#overflow) return
    if (bytes.length - HEADER_BYTES > SLOT_FRAME_BYTES_MAX) {
      throw new RangeError(
        `sendSlot: expected at most ${SLOT_FRAME_BYTES_MAX} bytes, got ${bytes.length - HEADER_BYTES}`,
      )
    }
    if (
      this.#waiting === 0 &&
      !this.#out.blocked &&
      this.#slotSentBytes + bytes.length <= this.#slotPermittedBytes
    ) {
      this.#slotSentBytes += bytes.length
      this.#control(type, bytes)
      return
    }
    this.#slot.push({ type, bytes })
    this.#waiting += 1
    this.#slotBytes += bytes.length
    if (this.#slotBytes > SLOT_QUEUE_BYTES_MAX) this.#overflow = true
    this.#out.schedule()
  }

  send(frame: OutFrame, nowMs: () => number): 'ok' | 'busy' | 'full' {
    const bytes = bodyOf(frame)
    if (this.#waiting === 0 && bytes <= this.#limits.fragmentBytes && !this.#out.blocked && !this.#overflow) {
      const sent = this.#sentBytes + bytes + HEADER_BYTES
      if (sent <= this.#permittedBytes) {
        this.#whole(frame, bytes)
        return 'ok'
      }
    }
    return this.#enqueue(frame, bytes, nowMs)
  }

  /** The receiver's word, as totals since the session began; late and repeated ones change nothing. */
  permit(bytes: number, slotBytes: number): void {
    this.#permittedBytes = Math.max(this.#permittedBytes, bytes)
    this.#slotPermittedBytes = Math.max(this.#slotPermittedBytes, slotBytes)
    if (this.#waiting > 0) this.#out.schedule()
  }

  /** Lets out what may leave. */
  pump(): void {
    if (this.#waiting === 0) return
    while (!this.#out.blocked && !this.#urgent.isEmpty) this.#pumpUrgent()
    while (!this.#out.blocked && !this.#slot.isEmpty) if (!this.#pumpSlot()) return
    let idle = 0
    while (!this.#out.blocked && idle < this.#round.length) {
      const queue = this.#round.shift()!
      idle = this.#pumpPair(queue) ? 0 : idle + 1
      if (!queue.frames.isEmpty) this.#round.push(queue)
      else this.#pairs.delete(queue.pair)
    }
  }

  /** True when the peer is to be dropped. */
  overloaded(nowMs: number): boolean {
    if (this.#overflow) return true
    if (this.#limitSinceMs === undefined || nowMs - this.#limitSinceMs < OVERLOAD_MS) return false
    if (this.#sentBytes < this.#relievedAtBytes) return true
    this.#limitSinceMs = undefined
    return false
  }

  /** From the overflow on nothing is taken: the peer is dropped at the next look, and no frame passes one that is lost. */
  #enqueue(frame: OutFrame, bytes: number, nowMs: () => number): 'ok' | 'busy' | 'full' {
    if (this.#overflow) {
      this.#refused += 1
      return frame.refusable ? 'full' : 'busy'
    }
    const bulk = bytes > this.#limits.fragmentBytes
    const queued = bulk ? this.#bulkBytes : this.#smallBytes
    const max = bulk ? this.#limits.bulkBytesMax : this.#limits.queueBytesMax
    if (queued + bytes > max) {
      this.#atLimit(nowMs)
      if (frame.refusable) {
        this.#refused += 1
        return 'full'
      }
      if (queued + bytes > max + this.#limits.signalBytesMax) this.#overflow = true
    }
    if (bulk) this.#bulkBytes += bytes
    else this.#smallBytes += bytes + HEADER_BYTES
    this.#push(frame)
    this.#out.schedule()
    return this.busy ? 'busy' : 'ok'
  }

  #push(frame: OutFrame): void {
    let queue = this.#pairs.get(frame.pair)
    if (queue === undefined) {
      queue = { pair: frame.pair, frames: new RingQueue(), sentBytes: 0 }
      this.#pairs.set(frame.pair, queue)
      this.#round.push(queue)
    }
    queue.frames.push(kept(frame))
    this.#waiting += 1
  }

  #atLimit(nowMs: () => number): void {
    if (this.#limitSinceMs !== undefined) return
    this.#limitSinceMs = nowMs()
    this.#relievedAtBytes = this.#sentBytes + Math.min(this.queuedBytes, this.#limits.queueBytesMax)
  }

  #pumpUrgent(): void {
    const { type, bytes } = this.#urgent.shift()!
    this.#waiting -= 1
    this.#urgentBytes -= bytes.length
    this.#control(type, bytes)
  }

  /** False: its window is used up. Pairs wait too, since a RELEASE may not be overtaken by an EXIT. */
  #pumpSlot(): boolean {
    const { type, bytes } = this.#slot.peek()!
    if (this.#slotSentBytes + bytes.length > this.#slotPermittedBytes) return false
    this.#slot.shift()
    this.#waiting -= 1
    this.#slotBytes -= bytes.length
    this.#slotSentBytes += bytes.length
    this.#control(type, bytes)
    return true
  }

  /** Sends about `fragmentBytes` of one pair. False: nothing of it could leave. */
  #pumpPair(queue: PairQueue): boolean {
    let left = this.#limits.fragmentBytes
    let any = false
    while (left > 0 && !this.#out.blocked && !queue.frames.isEmpty) {
      const frame = queue.frames.peek()!
      const bytes = bodyOf(frame)
      const part = bytes > this.#limits.fragmentBytes
      const sent = part ? this.#part(queue, frame, bytes) : this.#small(queue, frame, bytes)
      if (sent === 0) return any
      any = true
      left -= sent
    }
    return any
  }

  #small(queue: PairQueue, frame: OutFrame, bytes: number): number {
    if (this.#sentBytes + bytes + HEADER_BYTES > this.#permittedBytes) return 0
    queue.frames.shift()
    this.#waiting -= 1
    this.#smallBytes -= bytes + HEADER_BYTES
    this.#whole(frame, bytes)
    return bytes + HEADER_BYTES
  }

  #part(queue: PairQueue, frame: OutFrame, totalBytes: number): number {
    const from = queue.sentBytes
    const bytes = Math.min(this.#limits.fragmentBytes, totalBytes - from)
    if (this.#sentBytes + bytes + HEADER_BYTES > this.#permittedBytes) return 0
    if (from === 0) {
      if (this.#begunBytes > 0 && this.#begunBytes + totalBytes > this.#limits.messageBytesMax) return 0
      this.#begunBytes += totalBytes
    }
    const last = from + bytes === totalBytes
    this.#partHeader(frame, from, bytes, totalBytes)
    this.#slice(frame, from, from + bytes)
    this.#sentBytes += bytes + HEADER_BYTES
    this.#bulkBytes -= bytes
    queue.sentBytes = last ? 0 : from + bytes
    if (last) {
      queue.frames.shift()
      this.#waiting -= 1
      this.#begunBytes -= totalBytes
    }
    return bytes
  }

  #partHeader(frame: OutFrame, from: number, bytes: number, totalBytes: number): void {
    const tlvBytes = from === 0 ? TOTAL_BYTES : 0
    const header = Buffer.allocUnsafe(HEADER_BYTES + tlvBytes)
    const flags = frame.flags | (from > 0 ? Flag.continued : 0) | (from + bytes < totalBytes ? Flag.more : 0)
    writeHeader(header, 0, frame.type, flags, frame.pair, this.#next(), bytes, tlvBytes)
    if (from === 0) writeTotal(header, HEADER_BYTES, totalBytes)
    this.#out.put(header)
  }

  /** The body's bytes from `from` to `to`, which may lie in both buffers. */
  #slice(frame: OutFrame, from: number, to: number): void {
    const headBytes = frame.headBytes - HEADER_BYTES
    if (from < headBytes) {
      this.#out.put(frame.head.subarray(HEADER_BYTES + from, HEADER_BYTES + Math.min(to, headBytes)))
    }
    if (frame.tail !== undefined && to > headBytes) {
      this.#out.put(frame.tail.subarray(Math.max(0, from - headBytes), to - headBytes))
    }
  }

  #whole(frame: OutFrame, bytes: number): void {
    writeHeader(frame.head, 0, frame.type, frame.flags, frame.pair, this.#next(), bytes)
    this.#sentBytes += bytes + HEADER_BYTES
    if (frame.headBytes === frame.head.length) this.#out.put(frame.head)
    else this.#out.copy(frame.head, frame.headBytes)
    if (frame.tail !== undefined) this.#out.put(frame.tail)
  }

  #control(type: number, bytes: Buffer): void {
    writeHeader(bytes, 0, type, 0, 0, this.#next(), bytes.length - HEADER_BYTES)
    this.#out.put(bytes)
  }

  #next(): number {
    const sequence = this.#sequence
    this.#sequence = (sequence + 1) >>> 0
    return sequence
  }
}

/** A window should last this long, and as long as two round trips: until its credit is with the sender again. */
const WINDOW_MS = 4
/** One that lasts this many times as long is larger than it need be. */
const TOO_LONG = 8
/** An answer that takes so long waits behind bytes of this window: silence ends a session after a few times as much. */
const LATE_MS = 1_000

/**
 * The receiving half: how far the other side may go. The window doubles while it is taken too fast and halves when it
 * is not needed, so that a bulk transfer gets megabytes, and a stream of small messages, which cost far more a byte,
 * never more than a few milliseconds of work. Measured: windows of 4 MiB for messages of 64 bytes let 40,000 of them
 * gather in front of the mailboxes, whose survival of the garbage collector cost a third of the rate.
 *
 * What was permitted may lie in the queue of a slow link, ahead of heartbeats and of the acknowledgements that the other
 * direction waits for. So while answers are late the window goes below what it began with, to where it just holds a
 * frame. Measured: at 256 kbit/s 256 KiB are 8 s of queue, and a session lost while 10 MB were under way.
 */
export class Window {
  readonly #least: number
  readonly #min: number
  readonly #max: number
  #windowBytes: number
  #takenBytes = 0
  #permittedBytes: number
  /** When the present window began to be taken, and how much had been taken by then. */
  #sinceMs = Number.NEGATIVE_INFINITY
  #sinceBytes = 0

  constructor(windowBytes: number, windowBytesMax: number, frameBytesMax = windowBytes) {
    this.#least = Math.min(windowBytes, frameBytesMax)
    this.#min = windowBytes
    this.#max = windowBytesMax
    this.#windowBytes = windowBytes
    this.#permittedBytes = windowBytes
  }

  /** False: the sender went beyond what it was permitted. */
  take(bytes: number): boolean {
    this.#takenBytes += bytes
    return this.#takenBytes <= this.#permittedBytes
  }

  /** Enough has been taken to be worth a frame. */
  get due(): boolean {
    return this.#permittedBytes - this.#takenBytes <= 0.75 * this.#windowBytes
  }

  /** The new total to announce, when that is due. `roundTripMs` is the shortest seen, `answerMs` what one takes now. */
  grant(nowMs: number, roundTripMs: number, answerMs = 0): number | undefined {
    if (!this.due) return undefined
    if (this.#takenBytes - this.#sinceBytes >= this.#windowBytes) {
      if (answerMs > LATE_MS) this.#windowBytes = Math.max(Math.ceil(this.#windowBytes / 2), this.#least)
      else this.#fit(nowMs - this.#sinceMs, WINDOW_MS + 2 * roundTripMs)
      this.#sinceMs = nowMs
      this.#sinceBytes = this.#takenBytes
    }
    this.#permittedBytes = Math.max(this.#permittedBytes, this.#takenBytes + this.#windowBytes)
    return this.#permittedBytes
  }

  #fit(tookMs: number, wantedMs: number): void {
    if (tookMs < wantedMs) this.#windowBytes = Math.min(2 * this.#windowBytes, this.#max)
    else if (tookMs > TOO_LONG * wantedMs) this.#windowBytes /= 2
    this.#windowBytes = Math.max(this.#windowBytes, this.#min)
  }

  get permittedBytes(): number {
    return this.#permittedBytes
  }
}
