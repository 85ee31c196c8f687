/**
 * One session with one life of one node: its tables, and the frames that are sent on it. It ends with the session;
 * then `up` is false and everything that still holds it is ignored.
 */
import type { TroupeError } from '../base/errors.js'
import type { IdSpace } from '../base/id-space.js'
import { IdTable } from '../base/id-table.js'
import type { Pid, Ref } from '../base/ids.js'
import type { Limits } from '../base/limits.js'
import type { ExitReason } from '../base/reasons.js'
import type { OutFrame, Session } from '../mesh/mesh.js'
import type { NameOnNode, Request } from '../process/mail.js'
import type { Local } from '../process/remote.js'
import type { Codec } from '../wire/codec.js'
import { FrameType } from '../wire/frame.js'
import type { Answering } from './body.js'
import { after, around, BODY, bare, Packer, pairOf, writeU48 } from './layout.js'
import { type Link, Links } from './links.js'
import { Reasons } from './reasons.js'

export type RemoteLimits = Pick<
  Limits,
  'membersMax' | 'pendingCallsMax' | 'peerEntriesMax' | 'peerSpawnsMax' | 'reasonBytesMax'
>

/** What all peers of one node share. */
export class Shared {
  readonly ids: IdSpace
  readonly codec: Codec
  readonly local: Local
  readonly limits: RemoteLimits
  readonly packer: Packer
  readonly reasons: Reasons
  /** Counters; `pending` is a gauge over all sessions. */
  readonly counts = {
    messagesIn: 0,
    messagesOut: 0,
    requestsIn: 0,
    requestsOut: 0,
    repliesLate: 0,
    signalsIn: 0,
    signalsOut: 0,
    deadLetters: 0,
    refused: 0,
    entriesRefused: 0,
    spawnsIn: 0,
    spawnsOut: 0,
    spawnsKilled: 0,
    pending: 0,
  }
  #id = 0

  constructor(options: { ids: IdSpace; codec: Codec; local: Local; limits: RemoteLimits }) {
    this.ids = options.ids
    this.codec = options.codec
    this.local = options.local
    this.limits = options.limits
    this.packer = new Packer(options.codec)
    this.reasons = new Reasons(options.codec, options.limits.reasonBytesMax)
  }

  /** Ids of requests, links and spawns: never reused. */
  newId(): number {
    this.#id += 1
    return this.#id
  }
}

/** A monitor of a local process on one of the peer. */
export interface Watch {
  readonly watcher: Pid
  readonly ref: Ref
  readonly watched: Pid | NameOnNode
}

/** A monitor of one of the peer's processes on a local one. */
export interface Watched {
  readonly watcher: Pid
  readonly ref: Ref
  readonly serial: number
}

/** A power of two. */
const RECENT = 64

export class Peer implements Answering {
  readonly session: Session
  readonly shared: Shared
  up = true
  /** Requests that wait for a reply, by id. */
  readonly pending = new IdTable<Request>()
  readonly links = new Links()
  /** By the counter of their refs. */
  readonly watches = new Map<number, Watch>()
  readonly watched = new Map<number, Watched>()

  /** Procedures that run here for callers there, by the id of the call. */
  readonly procedures = new Map<number, Pid>()

  /** Who spoke last, so that one who says much is not looked up by a printed key each time. */
  readonly #recent: (Pid | undefined)[] = new Array(RECENT)

  constructor(session: Session, shared: Shared) {
    this.session = session
    this.shared = shared
  }

  /** A process of the peer: the node and life are the connection's. */
  pid(serial: number): Pid {
    const recent = this.#recent[serial & (RECENT - 1)]
    if (recent?.serial === serial) return recent
    const pid = this.shared.ids.pid(this.session.peer, this.session.creation, serial)
    this.#recent[serial & (RECENT - 1)] = pid
    return pid
  }

  ref(counter: number): Ref {
    return this.shared.ids.ref(this.session.peer, this.session.creation, counter)
  }

  /** Links and monitors may not grow without end at the wish of a peer. */
  get crowded(): boolean {
    return this.links.size + this.watched.size >= this.shared.limits.peerEntriesMax
  }

  takePending(id: number): Request | undefined {
    const request = this.pending.take(id)
    if (request === undefined) return undefined
    this.shared.counts.pending -= 1
    request.ticket = 0
    return request
  }

  signal(frame: OutFrame): void {
    this.shared.counts.signalsOut += 1
    this.session.send(frame)
  }

  /** A signal of `numbers`, in the stream of the process `from`. */
  signalNumbers(type: FrameType, from: number, ...numbers: readonly number[]): void {
    const frame = bare(type, pairOf(from), after(0, numbers.length))
    writeAll(frame.head, numbers)
    this.signal(frame)
  }

  /** As `signalNumbers`, with a reason behind. */
  signalReason(type: FrameType, from: number, numbers: readonly number[], reason: ExitReason): void {
    const head = this.shared.reasons.encode(reason, after(BODY, numbers.length))
    writeAll(head, numbers)
    this.signal(around(type, pairOf(from), head))
  }

  exitLink(link: Pick<Link, 'sent' | 'received'>, from: number, to: number, reason: ExitReason): void {
    this.signalReason(FrameType.exitLink, from, [from, to, link.sent, link.received], reason)
  }

  down(counter: number, watched: number, reason: ExitReason): void {
    this.signalReason(FrameType.down, watched, [counter, watched], reason)
  }

  answer(callee: number, id: number, value: unknown): void {
    const frame = this.shared.packer.pack(
      this.session,
      FrameType.reply,
      pairOf(callee),
      false,
      after(1, 1),
      value,
    )
    frame.head[writeU48(frame.head, id, BODY)] = 0
    this.session.send(frame)
  }

  refuse(callee: number, id: number, error: TroupeError): void {
    this.sendError(FrameType.reply, callee, id, error)
  }

  sendError(type: FrameType, from: number, id: number, error: TroupeError): void {
    const head = this.shared.reasons.encodeError(error, after(BODY + 1, 1))
    head[writeU48(head, id, BODY)] = 1
    this.session.send(around(type, pairOf(from), head))
  }
}

function writeAll(head: Buffer, numbers: readonly number[]): void {
  let at = BODY
  for (const number of numbers) at = writeU48(head, number, at)
}
