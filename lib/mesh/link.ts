/**
 * A session over one connection: what comes in is checked, counted and handed on; what goes out passes the lanes.
 * Losing it is told once, later, through the owner's `ended`.
 */
import { TroupeError } from '../base/errors.js'
import type { NodeId } from '../base/ids.js'
import type { Limits } from '../base/limits.js'
import type { DownReason, Member } from '../base/member.js'
import type { Clock, Loop, Runtime, Stream } from '../base/runtime.js'
import { Flag, FrameType, HEADER_BYTES, TOTAL_BYTES } from '../wire/frame.js'
import type { Frame, FrameReader } from '../wire/frame-reader.js'
import { Reassembly } from '../wire/reassembly.js'
import { FieldReader, FieldWriter } from './fields.js'
import type { Opened } from './handshake.js'
import { type LaneLimits, Lanes, SLOT_WINDOW_BYTES, Window } from './lanes.js'
import type { OutFrame, Role, Session } from './mesh.js'
import { PACKET_TYPES } from './packets.js'
import { SlabWriter } from './slab-writer.js'
import { Feature, type PeerLimits } from './speech.js'

/** From here on, types are channels of the rooms above. */
const CHANNELS = 32
const WINDOW_BYTES_MAX = 4 * 1_048_576
/** Heartbeats that are timed: silence ends a session before there are more, unless its peer answers none on purpose. */
const UNANSWERED_MAX = 64
/** When a simulation wants it to be late. */
const CREDIT_LATE_MS = 100
/** One frame may take this long to come in; a drip is no peer. */
const FRAME_MS_MAX = 30_000

/** Whom a session reports to. */
export interface LinkOwner {
  /** Any bytes came. */
  heard(link: Link): void
  frame(link: Link, type: number, flags: number, buffer: Buffer, start: number, end: number): void
  /** The peer speaks of who is there: see `packets.ts`. */
  packet(link: Link, type: number, body: Buffer): void
  /** The peer says that it will go; its goodbye comes when it does. */
  leaving(link: Link): void
  ended(link: Link, reason: DownReason, why: string): void
}

export interface LinkEdge {
  readonly clock: Clock
  readonly loop: Loop
  readonly limits: Limits
  readonly owner: LinkOwner
  readonly buggify?: Runtime['buggify']
}

export class Link implements Session {
  readonly peer: NodeId
  readonly creation: number
  readonly epoch: number
  readonly role: Role
  readonly record: Member | undefined
  readonly messageBytesMax: number
  heardMs: number
  readonly #features: number
  readonly #owner: LinkOwner
  readonly #stream: Stream
  readonly #clock: Clock
  readonly #loop: Loop
  readonly #limits: Limits
  readonly #buggify: Runtime['buggify']
  readonly #writer: SlabWriter
  readonly #lanes: Lanes
  readonly #reader: FrameReader
  readonly #reassembly: Reassembly
  readonly #window: Window
  readonly #slotWindow = new Window(SLOT_WINDOW_BYTES, SLOT_WINDOW_BYTES)
  readonly #nowMs = (): number => this.#clock.now()
  #sequence = 0
  #open = true
  #leaving = false
  #heartbeatsWaiting = 0
  #frameSinceMs: number | undefined
  #crediting = false
  /** The shortest seen, of a heartbeat and its answer. */
  #roundTripMs = 0
  /** The last one. */
  #answerMs = 0
  /** When the heartbeats were sent that are not answered yet, the oldest first. */
  readonly #heartbeats: number[] = []
  #drained = new Set<() => void>()
  #idle: (() => void) | undefined

  constructor(opened: Opened, stream: Stream, reader: FrameReader, edge: LinkEdge) {
    this.peer = opened.peer
    this.creation = opened.creation
    this.epoch = opened.epoch
    this.role = opened.role
    this.record = opened.record
    this.#features = opened.features
    this.#stream = stream
    this.#clock = edge.clock
    this.#loop = edge.loop
    this.#limits = edge.limits
    this.#buggify = edge.buggify
    this.#owner = edge.owner
    this.heardMs = edge.clock.now()
    this.#writer = new SlabWriter(stream, edge.loop, () => this.#pump())
    const limits = limitsTowards(opened.limits, edge.limits)
    this.messageBytesMax = limits.messageBytesMax
    this.#lanes = new Lanes(this.#writer, limits)
    this.#reader = reader
    reader.frameBytesMax = edge.limits.frameBytesMax
    this.#reassembly = new Reassembly(edge.limits.messageBytesMax)
    const { creditBytes, frameBytesMax } = edge.limits
    this.#window = new Window(creditBytes, Math.max(WINDOW_BYTES_MAX, creditBytes), frameBytesMax)
  }

  get open(): boolean {
    return this.#open
  }

  get queuedBytes(): number {
    return this.#lanes.queuedBytes
  }

  get sentBytes(): number {
    return this.#writer.sentBytes
  }

  get refused(): number {
    return this.#lanes.refused
  }

  send(frame: OutFrame): 'ok' | 'busy' | 'full' {
    return this.#open ? this.#lanes.send(frame, this.#nowMs) : 'ok'
  }

  sendSlot(type: number, body: Buffer): void {
    if (this.#open) this.#lanes.slot(type, framed(body))
  }

  onDrained(fn: () => void): () => void {
    if (this.#open && this.#lanes.busy) this.#drained.add(fn)
    else this.#loop.soon(fn)
    return () => void this.#drained.delete(fn)
  }

  /** Sends on the urgent lane. */
  tell(type: number, body: Buffer): void {
    if (this.#open) this.#lanes.urgent(type, framed(body))
  }

  /** Tells the peer that this node will go, if it understands that. */
  announceLeaving(): void {
    if ((this.#features & Feature.leaving) !== 0) this.tell(FrameType.leaving, Buffer.alloc(0))
  }

  /** Twice a second. A heartbeat that the stream would not take is not sent again behind itself. */
  heartbeat(): void {
    if (this.#writer.blocked && this.#heartbeatsWaiting > 0) return
    if (this.#buggify?.('heartbeat-skipped')) return
    this.#heartbeatsWaiting = this.#writer.blocked ? 1 : 0
    if (this.#heartbeats.length < UNANSWERED_MAX) this.#heartbeats.push(this.#clock.now())
    this.tell(FrameType.heartbeat, Buffer.alloc(0))
  }

  /** Looks at what no event tells of. */
  check(nowMs: number): void {
    if (!this.#open) return
    if (this.#lanes.overloaded(nowMs)) this.fail('overloaded', 'it reads too slowly')
    else if (this.#frameSinceMs !== undefined && nowMs - this.#frameSinceMs > FRAME_MS_MAX) {
      this.fail('protocol', 'a frame that never ends')
    }
  }

  /** Lets out what waits, says goodbye, closes; `done` once nothing waits any more. */
  leave(done: () => void): void {
    this.#idle = done
    if (!this.#open || this.#lanes.idle) this.#idled()
  }

  /** Goodbye now, whatever still waits. */
  goodbye(): void {
    if (!this.#open) return
    this.#lanes.last(FrameType.goodbye, framed(Buffer.alloc(0)))
    this.#writer.flush()
    this.#end('disconnect', 'we stop')
    this.#stream.end()
  }

  /** Ends the session and the connection at once. */
  fail(reason: DownReason, why: string): void {
    if (!this.#open) return
    this.#end(reason, why)
    this.#stream.destroy()
  }

  // What the connection tells.

  data(chunk: Buffer): void {
    if (!this.#open) return
    this.heardMs = this.#clock.now()
    this.#owner.heard(this)
    try {
      this.#reader.push(chunk)
    } catch (error) {
      this.broken(error)
      return
    }
    this.settle()
  }

  /** One frame was read, or a piece of a part. */
  take(frame: Frame): void {
    if (!this.#open) return
    if (frame.further) {
      this.#takePart(frame)
      return
    }
    if (frame.sequence !== this.#sequence)
      throw broken(`frame ${frame.sequence} where ${this.#sequence} was due`)
    // Nodes within a process are not told apart yet: what is meant for one of them is not meant for us.
    if (frame.source !== 0 || frame.destination !== 0)
      throw broken('a source or destination that is not here')
    this.#sequence = (this.#sequence + 1) >>> 0
    this.#frameSinceMs = undefined
    if (frame.type >= CHANNELS) this.#takePair(frame)
    else this.#takeControl(frame)
  }

  /** A chunk was read, and everything in it handed to its listener. */
  settle(): void {
    if (!this.#open) return
    this.#frameSinceMs = this.#reader.begun ? (this.#frameSinceMs ?? this.#clock.now()) : undefined
    if (this.#crediting || !(this.#window.due || this.#slotWindow.due)) return
    this.#crediting = true
    if (this.#buggify?.('credit-late')) this.#clock.after(CREDIT_LATE_MS, this.#credit)
    else this.#loop.later(this.#credit)
  }

  /** What reading a chunk threw. A bug of a listener ends the session too: going on would leave a hole in its order. */
  broken(error: unknown): void {
    if (TroupeError.is(error, 'ERR_FRAME')) this.fail('protocol', error.message)
    else this.fail('disconnect', `a listener failed: ${error instanceof Error ? error.stack : String(error)}`)
  }

  drain(): void {
    if (this.#open) this.#writer.drained()
  }

  closed(): void {
    if (this.#open) this.#end(this.#leaving ? 'left' : 'connection_closed', 'its connection closed')
  }

  #end(reason: DownReason, why: string): void {
    this.#open = false
    this.#reader.end()
    this.#owner.ended(this, reason, why)
    this.#tellDrained()
    this.#idled()
  }

  #takePair(frame: Frame): void {
    if (!this.#window.take(frame.bodyBytes + HEADER_BYTES)) throw broken('more bytes than permitted')
    const { type, flags } = frame
    if ((flags & (Flag.more | Flag.continued)) === 0) {
      if (this.#reassembly.has(frame.pair)) throw broken('a frame before the end of a body')
      this.#owner.frame(this, type, flags, frame.buffer, frame.start, frame.end)
      return
    }
    this.#takePart(frame)
  }

  #takePart(frame: Frame): void {
    const body = this.#reassembly.add(frame)
    if (body !== undefined) this.#owner.frame(this, frame.type, frame.flags & Flag.raw, body, 0, body.length)
  }

  #takeControl(frame: Frame): void {
    if (frame.flags !== 0) throw broken('flags on a control frame')
    switch (frame.type) {
      case FrameType.heartbeat:
        return this.tell(FrameType.heartbeatAck, Buffer.alloc(0))
      case FrameType.heartbeatAck:
        return this.#measured(this.#heartbeats.shift())
      case FrameType.credit:
        return this.#permitted(frame.buffer.subarray(frame.start, frame.end))
      case FrameType.goodbye:
        this.#leaving = true
        return this.fail('left', 'it said goodbye')
      case FrameType.leaving:
        if ((this.#features & Feature.leaving) === 0 || this.role === 'client') break
        return this.#owner.leaving(this)
      case FrameType.slot:
        if (!this.#slotWindow.take(frame.end - frame.start + HEADER_BYTES))
          throw broken('more bytes than permitted')
        return this.#owner.frame(this, frame.type, 0, frame.buffer, frame.start, frame.end)
      default:
        if (PACKET_TYPES.has(frame.type)) {
          return this.#owner.packet(this, frame.type, frame.buffer.subarray(frame.start, frame.end))
        }
    }
    throw broken(`type ${frame.type} is not for a session`)
  }

  /** An answer that is late says more of the other side's load than of the way: the shortest counts. */
  #measured(sentMs: number | undefined): void {
    if (sentMs === undefined) return // of a heartbeat that was never sent
    const ms = this.heardMs - sentMs
    this.#answerMs = ms
    if (this.#roundTripMs === 0 || ms < this.#roundTripMs) this.#roundTripMs = ms
  }

  #permitted(body: Buffer): void {
    const from = new FieldReader(body)
    const bytes = from.number(6)
    const slotBytes = from.number(6)
    from.end()
    this.#lanes.permit(bytes, slotBytes)
  }

  readonly #credit = (): void => {
    this.#crediting = false
    if (!this.#open) return
    const waitedMs = this.heardMs - (this.#heartbeats[0] ?? this.heardMs)
    const bytes = this.#window.grant(this.heardMs, this.#roundTripMs, Math.max(this.#answerMs, waitedMs))
    const slotBytes = this.#slotWindow.grant(this.heardMs, 0)
    if (bytes === undefined && slotBytes === undefined) return
    const body = new FieldWriter()
      .number(this.#window.permittedBytes, 6)
      .number(this.#slotWindow.permittedBytes, 6)
    this.tell(FrameType.credit, body.done())
  }

  #pump(): void {
    if (!this.#open) return
    this.#lanes.pump()
    if (!this.#writer.blocked) this.#heartbeatsWaiting = 0
    if (this.#drained.size > 0 && !this.#lanes.busy) this.#tellDrained()
    if (this.#idle !== undefined && this.#lanes.idle) this.#idled()
  }

  #tellDrained(): void {
    const waiting = this.#drained
    this.#drained = new Set()
    for (const fn of waiting) this.#loop.soon(fn)
  }

  #idled(): void {
    const done = this.#idle
    this.#idle = undefined
    if (done !== undefined) this.#loop.soon(done)
  }
}

/** What may be sent, where the other side takes less than this one would. */
function limitsTowards(peer: PeerLimits | undefined, own: Limits): LaneLimits {
  if (peer === undefined) return own
  const { frameBytesMax, creditBytes } = peer
  // Credit comes when a quarter of the window is taken: what is left of it then must hold any frame.
  const frame = Math.min(frameBytesMax, Math.floor(0.75 * creditBytes)) - HEADER_BYTES - TOTAL_BYTES
  return {
    ...own,
    creditBytes,
    fragmentBytes: Math.min(own.fragmentBytes, frame),
    messageBytesMax: Math.min(own.messageBytesMax, peer.messageBytesMax),
  }
}

const broken = (why: string): TroupeError => new TroupeError('ERR_FRAME', `not our protocol: ${why}`, { why })

/** With free bytes for the header in front. */
function framed(body: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + body.length)
  bytes.set(body, HEADER_BYTES)
  return bytes
}
