/**
 * The door of the mesh: who is there, and a session with each of them. It moves opaque bytes by channel and announces
 * up and down; it has never heard of a process.
 */
import type { NodeId } from '../base/ids.js'
import type { DownReason, Member, MembersView } from '../base/member.js'
import type { Address } from '../base/runtime.js'

export type Role = 'member' | 'client'

/**
 * One connection with one life of one peer. Links, monitors, calls, sequence numbers and credit belong to it. After
 * `sessionDown` nothing of it is delivered and `send` does nothing.
 */
export interface Session {
  readonly peer: NodeId
  readonly creation: number
  /** Grows with every session between the two lives. */
  readonly epoch: number
  readonly role: Role
  readonly open: boolean
  /** The largest body that the other side takes, and this one sends. */
  readonly messageBytesMax: number
  /**
   * Queues one frame on a process pair's stream: frames of one `pair` arrive in order, large bodies in fragments that
   * let other pairs pass. Everything sent in one turn leaves in one write. `'full'` (only with `refusable`): nothing
   * was queued.
   */
  send(frame: OutFrame): 'ok' | 'busy' | 'full'
  /** Queues one frame on the slot lane: in order, outside credit, ahead of every pair. At most 64 KiB. */
  sendSlot(type: number, body: Buffer): void
  /**
   * Calls back once when the queue is below `busy` (at once when it is), or when the session is gone. Returns how to
   * wait no more.
   */
  onDrained(fn: () => void): () => void
}

export interface OutFrame {
  /** A channel: a number of `FrameType` from 32. */
  readonly type: number
  /** `Flag.raw` or 0. */
  readonly flags: number
  /** Names the ordered stream: equal for all frames of one ordered pair of processes. Unsigned 32 bits. */
  readonly pair: number
  /** The frame's bytes, with `HEADER_BYTES` free bytes in front, which the session fills in. Ownership passes. */
  readonly head: Buffer
  /** How much of `head` is the frame's. */
  readonly headBytes: number
  /** True: `head`, and a `tail` of at most `COPY_BYTES_MAX`, are lent for the length of the call, and copied if kept. */
  readonly lent: boolean
  /** More body, sent behind `head`. Unless it is lent, ownership passes. */
  readonly tail: Buffer | undefined
  /** True for messages, which may be refused with `'full'`; false for signals and replies, which may not. */
  readonly refusable: boolean
}

/** A frame whose buffers pass to the session. */
export const outFrame = (
  type: number,
  flags: number,
  pair: number,
  head: Buffer,
  tail: Buffer | undefined,
  refusable: boolean,
): OutFrame => ({ type, flags, pair, head, headBytes: head.length, lent: false, tail, refusable })

/** A `tail` of more bytes than this is never copied on its way out, and hence never lent. */
export const COPY_BYTES_MAX = 16 * 1_024

/** The frame as one that may be kept. */
export const kept = (frame: OutFrame): OutFrame =>
  frame.lent
    ? { ...frame, head: copyOf(frame.head, frame.headBytes), tail: keptTail(frame.tail), lent: false }
    : frame

const keptTail = (tail: Buffer | undefined): Buffer | undefined =>
  tail === undefined || tail.length > COPY_BYTES_MAX ? tail : copyOf(tail, tail.length)

function copyOf(bytes: Buffer, length: number): Buffer {
  const copy = Buffer.allocUnsafe(length)
  bytes.copy(copy, 0, 0, length)
  return copy
}

/**
 * Who stands on the mesh. Calls come in the order of the list given to `createMesh`, never synchronously from a method
 * of `Mesh` or `Session`. For one session: `sessionUp`, then its frames, then `sessionDown`.
 */
export interface MeshListener {
  sessionUp?(session: Session): void
  sessionDown?(session: Session, reason: DownReason): void
  /** Types that this listener takes. Two listeners may not name the same type. */
  readonly types?: readonly number[]
  /**
   * A whole body (reassembled). The bytes from `start` to `end` of `buffer` may be kept; a small body that is kept for
   * long should be copied, because it pins its chunk. Throwing `TroupeError` `ERR_FRAME` closes the session.
   */
  frame?(session: Session, type: number, flags: number, buffer: Buffer, start: number, end: number): void
  memberUp?(member: Member): void
  memberSuspect?(member: Member, reason: DownReason): void
  /** A suspect was heard again. */
  memberAlive?(member: Member): void
  /** Of a member that was up (or suspect): `left` for a goodbye. */
  memberDown?(member: Member, reason: DownReason): void
  memberUpdated?(member: Member): void
}

/** What a node says of itself, besides who and where it is. */
export interface Described {
  readonly tags?: readonly string[] | undefined
  /** At most 512 bytes as JSON. */
  readonly meta?: Readonly<Record<string, string>> | undefined
}

export interface Mesh {
  readonly self: NodeId
  readonly creation: number
  readonly address: Address | undefined
  /** Listens, dials the seeds, and resolves when joined, or alone. Rejects when it cannot listen or was refused. */
  start(): Promise<void>
  members(): MembersView
  /** The open session with that node, if any. */
  session(node: NodeId): Session | undefined
  /** Open sessions with members, sorted by peer. */
  sessions(): readonly Session[]
  /**
   * Calls back once: true when a session with that member, or with whoever answers there, is open, and was announced;
   * false when one dial failed, or nobody is known by that name. Returns what withdraws the question.
   */
  connect(to: NodeId | Address, done: (connected: boolean) => void): () => void
  /** Ends the session with that member, which is dialled anew. False: there is none. */
  disconnect(node: NodeId): boolean
  /** Tells every member that this node will go: that they give it nothing new. Its goodbye is `stop`. */
  leave(): void
  /** Changes this node's record, here at once, and everywhere as the news spreads. Throws `RangeError`. */
  update(changed: Described): void
  /** Says goodbye, waits at most `timeoutMs` until it is written, closes everything. */
  stop(options: { readonly timeoutMs: number }): Promise<void>
  /** Counters and gauges by name, without the `mesh.` prefix. */
  stats(): Readonly<Record<string, number>>
}
