/**
 * The door of `remote/`: signals between processes of different nodes. See README.md for laws and drawings.
 *
 * Two ways in. As `Remote`, from the process core: a signal is written to the peer that has the session with that very
 * life of the node; without one it is answered from `Loop.soon`, in the order of the asking. As `MeshListener`: frames
 * go to `incoming.ts`; the end of a session is told here, once for each link, monitor, call and spawn.
 */
import { show, TroupeError } from '../base/errors.js'
import type { IdSpace } from '../base/id-space.js'
import { type NodeId, Pid, type Ref } from '../base/ids.js'
import type { DownReason } from '../base/member.js'
import type { ExitReason } from '../base/reasons.js'
import type { Clock, Loop } from '../base/runtime.js'
import { type MeshListener, type OutFrame, outFrame, type Session } from '../mesh/mesh.js'
import type { NameOnNode, Request, Sent } from '../process/mail.js'
import type { Local, Remote } from '../process/remote.js'
import type { Codec } from '../wire/codec.js'
import { FrameType } from '../wire/frame.js'
import { Asks, type RemoteSpawnOptions } from './asks.js'
import { Hosts, type Spawner } from './hosts.js'
import { type DeadLetter, Incoming } from './incoming.js'
import { after, BODY, checkSize, malformed, pairOf, textBytes, writeText, writeU48 } from './layout.js'
import { Peer, type RemoteLimits, Shared } from './peer.js'
import type { ProcedureHost } from './procedures.js'

export type { RemoteSpawnOptions } from './asks.js'
export type { Spawner, SpawnOrder } from './hosts.js'
export type { ProcedureHost } from './procedures.js'

export interface RemoteOptions {
  readonly runtime: { readonly clock: Clock; readonly loop: Loop }
  readonly ids: IdSpace
  readonly codec: Codec
  readonly limits: RemoteLimits
  readonly local: Local
  readonly spawner: Spawner
  /** Runs what others may call here. Default: nothing may be called. */
  readonly procedures?: ProcedureHost | undefined
  /** Told of each message that reached nobody; `message` may be `Encoded`. */
  readonly deadLetter?: DeadLetter | undefined
}

export interface Remoting extends Remote, MeshListener {
  sessionUp(session: Session): void
  sessionDown(session: Session, reason: DownReason): void
  frame(session: Session, type: number, flags: number, buffer: Buffer, start: number, end: number): void
  /**
   * Starts a process of `definition` on `node`. Rejects with `ERR_NOCONNECTION`, `ERR_TIMEOUT`, `ERR_UNKNOWN_ACTOR`,
   * `ERR_START`, `ERR_BUSY`, and whatever the host's `Spawner` rejects with; then no such process lives on.
   */
  spawn(
    parent: Pid,
    node: NodeId,
    definition: string,
    args: unknown,
    options?: RemoteSpawnOptions,
  ): Promise<Pid>
  /**
   * Sends the call of a procedure: its name is the request's tag, its input the payload. Settles `request` in every case,
   * as `request` does. What it returns ends the procedure there, if it still runs.
   */
  callProcedure(node: NodeId, request: Request): () => void
  castProcedure(from: Pid, node: NodeId, name: string, input: unknown): Sent
  /**
   * One message to processes of other nodes, encoded once and sent once to each node, in the sender's stream. Says what
   * became of how many. Throws `ERR_PAYLOAD`, `ERR_TOO_LARGE`; then nobody was sent anything.
   */
  sendToMany(from: Pid, to: readonly Pid[], message: unknown): readonly SentToSome[]
  /** Counters and gauges by name, without the `remote.` prefix. */
  stats(): Readonly<Record<string, number>>
}

export interface SentToSome {
  readonly how: Sent
  readonly count: number
}

export const createRemote = (options: RemoteOptions): Remoting => new Sessions(options)

/** Type 38, an acknowledgement of UNLINK, is not in use. */
const TYPES: readonly number[] = [32, 33, 34, 35, 36, 37, 39, 40, 41, 42, 43, 44, 45, 46, 47, 56, 57, 58]

/** Receivers in one frame. */
const MANY_MAX = 1_024

/** Lives of one node that are remembered. What is said of older ones is `noconnection`, which is true as well. */
const LIVES_MAX = 8

class Sessions implements Remoting {
  readonly types = TYPES
  readonly #shared: Shared
  readonly #loop: Loop
  readonly #peers = new Map<NodeId | string, Peer>()
  /** Lives of other nodes that had a session here, the latest last. */
  readonly #met = new Map<NodeId, readonly number[]>()
  readonly #hosts: Hosts
  readonly #asks: Asks
  readonly #incoming: Incoming
  readonly #deadLetter: DeadLetter
  /** What will be answered from `soon`. */
  #answers: (() => void)[] = []

  constructor(options: RemoteOptions) {
    this.#shared = new Shared(options)
    this.#loop = options.runtime.loop
    this.#hosts = new Hosts(options.spawner, options.runtime.clock)
    this.#asks = new Asks(options.runtime.clock)
    this.#deadLetter = options.deadLetter ?? (() => {})
    this.#incoming = new Incoming(
      this.#shared,
      this.#hosts,
      this.#asks,
      options.procedures ?? NO_PROCEDURES,
      this.#deadLetter,
    )
  }

  send(from: Pid, to: Pid | NameOnNode, message: unknown): Sent {
    const peer = this.#peer(to)
    if (peer === undefined) return this.#lost(to, message)
    if (!(to instanceof Pid))
      return this.#refusable(peer, this.#named(peer, FrameType.message, from, to, 0, message))
    const pair = pairOf(from.serial)
    const frame = this.#shared.packer.pack(peer.session, FrameType.message, pair, true, after(0, 1), message)
    writeU48(frame.head, to.serial, BODY)
    return this.#refusable(peer, frame)
  }

  sendToMany(from: Pid, to: readonly Pid[], message: unknown): readonly SentToSome[] {
    const payload = this.#shared.packer.packOnce(message)
    const byPeer = new Map<Peer, Pid[]>()
    const unreachable: Pid[] = []
    for (const pid of to) {
      const peer = this.#peer(pid)
      const same = peer === undefined ? unreachable : byPeer.get(peer)
      if (same !== undefined) same.push(pid)
      else if (peer !== undefined) byPeer.set(peer, [pid])
    }
    for (const { session } of byPeer.keys()) checkSize(session, after(2, MANY_MAX) + payload.bytes.length)
    const sent: SentToSome[] = unreachable.map(pid => ({ how: this.#lost(pid, message), count: 1 }))
    for (const [peer, pids] of byPeer) {
      for (let at = 0; at < pids.length; at += MANY_MAX) {
        const some = pids.slice(at, at + MANY_MAX)
        sent.push({ how: this.#sendSome(peer, pairOf(from.serial), some, payload), count: some.length })
      }
    }
    return sent
  }

  cast(from: Pid, to: Pid | NameOnNode, tag: string, payload: unknown): Sent {
    const peer = this.#peer(to)
    if (peer === undefined) return this.#lost(to, payload)
    const bytes = textBytes('tag', tag)
    if (!(to instanceof Pid)) {
      const frame = this.#named(peer, FrameType.cast, from, to, bytes, payload)
      writeText(frame.head, tag, bytes, nameEnd(to))
      return this.#refusable(peer, frame)
    }
    const frame = this.#shared.packer.pack(
      peer.session,
      FrameType.cast,
      pairOf(from.serial),
      true,
      after(bytes, 1),
      payload,
    )
    writeText(frame.head, tag, bytes, writeU48(frame.head, to.serial, BODY))
    return this.#refusable(peer, frame)
  }

  request(to: Pid | NameOnNode, request: Request): void {
    const peer = this.#peer(to)
    if (peer === undefined) this.#failSoon(request, to, this.#absence(to))
    else this.#ask(peer, to, request, id => this.#requestFrame(peer, to, request, id))
  }

  callProcedure(node: NodeId, request: Request): () => void {
    const { tag, caller, payload } = request
    const to = { name: tag, node }
    const peer = this.#peer(to)
    if (peer === undefined) this.#failSoon(request, to, 'noconnection')
    else this.#ask(peer, to, request, id => this.#procedureFrame(peer, caller, id, tag, payload))
    const { ticket } = request
    return () => {
      if (peer?.up === true && ticket !== 0)
        peer.signalNumbers(FrameType.procedureAbort, caller.serial, caller.serial, ticket)
    }
  }

  castProcedure(from: Pid, node: NodeId, name: string, input: unknown): Sent {
    const peer = this.#peer({ name, node })
    if (peer === undefined) return this.#lost({ name, node }, input)
    return this.#refusable(peer, this.#procedureFrame(peer, from, 0, name, input))
  }

  /** Sends a request and notes it, unless there is no room for it. */
  #ask(peer: Peer, to: Pid | NameOnNode, request: Request, frameOf: (id: number) => OutFrame): void {
    const { counts, limits } = this.#shared
    if (counts.pending >= limits.pendingCallsMax) {
      this.#failSoon(request, to, 'pending')
      return
    }
    const id = this.#shared.newId()
    if (peer.session.send(frameOf(id)) === 'full') {
      counts.refused += 1
      this.#failSoon(request, to, 'queue')
      return
    }
    request.ticket = id
    peer.pending.add(id, request)
    counts.pending += 1
    counts.requestsOut += 1
  }

  abandon(request: Request): void {
    if (request.ticket === 0) return
    for (const peer of this.#peers.values()) {
      if (peer.pending.get(request.ticket) === request) {
        peer.takePending(request.ticket)
        return
      }
    }
  }

  link(local: Pid, pid: Pid): void {
    const peer = this.#peer(pid)
    if (peer === undefined) {
      const reason = this.#absence(pid)
      this.#soon(() => {
        // a session may have come, and the link have been undone and made anew over it
        if (this.#peer(pid)?.links.get(local, pid) === undefined)
          this.#shared.local.linkExit(pid, local.serial, reason)
      })
      return
    }
    const id = this.#shared.newId()
    peer.links.sent(local, pid, id)
    peer.signalNumbers(FrameType.link, local.serial, local.serial, pid.serial, id)
  }

  unlink(local: Pid, pid: Pid): void {
    const peer = this.#peer(pid)
    const link = peer?.links.take(local, pid)
    if (peer === undefined || link === undefined) return
    peer.signalNumbers(FrameType.unlink, local.serial, local.serial, pid.serial, link.sent, link.received)
  }

  exit(local: Pid, pid: Pid, reason: ExitReason): void {
    this.#peer(pid)?.signalReason(FrameType.exit, local.serial, [local.serial, pid.serial], reason)
  }

  linkBroken(local: Pid, pid: Pid, reason: ExitReason): void {
    const peer = this.#peer(pid)
    const link = peer?.links.take(local, pid)
    if (peer === undefined || link === undefined || this.#hosts.holdsExit(peer, link, reason)) return
    peer.exitLink(link, local.serial, pid.serial, reason)
  }

  monitor(watcher: Pid, ref: Ref, watched: Pid | NameOnNode): void {
    const peer = this.#peer(watched)
    if (peer === undefined) {
      const reason = this.#absence(watched)
      const pid = watched instanceof Pid ? watched : undefined
      this.#soon(() => this.#shared.local.down(watcher.serial, ref, pid, reason))
      return
    }
    if (watched instanceof Pid) {
      peer.signalNumbers(FrameType.monitor, watcher.serial, watcher.serial, watched.serial, ref.counter)
    } else {
      const frame = namedFrame(FrameType.monitor, watcher, watched, after(0, 2))
      writeU48(frame.head, ref.counter, writeU48(frame.head, watcher.serial, nameEnd(watched)))
      peer.signal(frame)
    }
    peer.watches.set(ref.counter, { watcher, ref, watched })
  }

  demonitor(watcher: Pid, ref: Ref, watched: Pid | NameOnNode): void {
    const peer = this.#peer(watched)
    if (peer?.watches.delete(ref.counter)) {
      peer.signalNumbers(FrameType.demonitor, watcher.serial, ref.counter)
    }
  }

  down(watched: Pid, watcher: Pid, ref: Ref, reason: ExitReason): void {
    const peer = this.#peer(watcher)
    if (!peer?.watched.delete(ref.counter)) return
    if (this.#hosts.holdsDown(peer, watched, ref, reason)) return
    peer.down(ref.counter, watched.serial, reason)
  }

  async spawn(
    parent: Pid,
    node: NodeId,
    definition: string,
    args: unknown,
    options: RemoteSpawnOptions = {},
  ) {
    const peer = this.#peers.get(node)
    if (peer !== undefined) return this.#asks.spawn(peer, parent, definition, args, options)
    throw new TroupeError('ERR_NOCONNECTION', `spawn ${definition}: no session with ${node}`, {
      node,
      definition,
    })
  }

  sessionUp(session: Session): void {
    if (session.role !== 'member') return
    this.#peers.set(session.peer, new Peer(session, this.#shared))
    this.#meet(session)
  }

  frame(session: Session, type: number, flags: number, buffer: Buffer, start: number, end: number): void {
    const peer = this.#peers.get(session.peer)
    if (peer?.session !== session) throw malformed() // a client, which owns no processes
    this.#incoming.frame(peer, type, flags, buffer, start, end)
  }

  /** The peer is forgotten first: what dies of these signals finds no session to tell. */
  sessionDown(session: Session, reason: DownReason): void {
    const peer = this.#peers.get(session.peer)
    if (peer?.session !== session) return
    this.#peers.delete(session.peer)
    peer.up = false
    const { local } = this.#shared
    // After a goodbye nobody lives there any more, and why is known.
    const gone = reason === 'left' ? 'shutdown' : 'noconnection'
    for (const link of peer.links.sorted()) local.linkExit(link.peer, link.local.serial, gone)
    for (const { watcher, ref, watched } of byCounter(peer.watches)) {
      local.down(watcher.serial, ref, watched instanceof Pid ? watched : undefined, gone)
    }
    for (const { watcher, ref } of byCounter(peer.watched)) local.demonitorFrom(watcher, ref)
    for (const id of peer.pending.ids()) {
      const request = peer.takePending(id)
      request?.fail(lostError(session.peer, request.tag, reason))
    }
    this.#asks.sessionDown(peer)
    this.#hosts.sessionDown(peer)
  }

  stats(): Readonly<Record<string, number>> {
    let links = 0
    let monitors = 0
    for (const peer of this.#peers.values()) {
      links += peer.links.size
      monitors += peer.watches.size + peer.watched.size
    }
    const gauges = {
      links,
      monitors,
      peers: this.#peers.size,
      spawning: this.#asks.size,
      hosting: this.#hosts.size,
    }
    return { ...this.#shared.counts, ...gauges }
  }

  /** The session with that life of the node. */
  #peer(to: Pid | NameOnNode): Peer | undefined {
    const peer = this.#peers.get(to.node)
    return to instanceof Pid && to.creation !== peer?.session.creation ? undefined : peer
  }

  /**
   * What is known of somebody without a session. A life that had one, before the life that has it now, is over. Of one
   * that never had it nothing is known: it may be the next one, which somebody else met before us.
   */
  #absence(to: Pid | NameOnNode): 'noproc' | 'noconnection' {
    if (!this.#peers.has(to.node) || !(to instanceof Pid)) return 'noconnection'
    return this.#met.get(to.node)?.includes(to.creation) === true ? 'noproc' : 'noconnection'
  }

  #meet({ peer, creation }: Session): void {
    const met = (this.#met.get(peer) ?? []).filter(life => life !== creation)
    this.#met.delete(peer)
    this.#met.set(peer, [...met, creation].slice(-LIVES_MAX))
    for (const oldest of this.#met.keys()) {
      if (this.#met.size <= this.#shared.limits.membersMax) break
      this.#met.delete(oldest)
    }
  }

  #lost(to: Pid | NameOnNode, message: unknown): Sent {
    this.#shared.counts.deadLetters += 1
    this.#deadLetter(to, message, this.#absence(to))
    return 'ok'
  }

  #refusable(peer: Peer, frame: OutFrame): Sent {
    const sent = peer.session.send(frame)
    if (sent === 'full') this.#shared.counts.refused += 1
    else this.#shared.counts.messagesOut += 1
    return sent
  }

  #sendSome(
    peer: Peer,
    pair: number,
    to: readonly Pid[],
    payload: { readonly flags: number; readonly bytes: Buffer },
  ): Sent {
    const head = Buffer.allocUnsafe(after(BODY + 2, to.length))
    let at = head.writeUInt16LE(to.length, BODY)
    for (const pid of to) at = writeU48(head, pid.serial, at)
    const sent = peer.session.send(outFrame(FrameType.toMany, payload.flags, pair, head, payload.bytes, true))
    if (sent === 'full') this.#shared.counts.refused += to.length
    else this.#shared.counts.messagesOut += to.length
    return sent
  }

  #requestFrame(peer: Peer, to: Pid | NameOnNode, request: Request, id: number): OutFrame {
    const { tag, payload, caller } = request
    const bytes = textBytes('tag', tag)
    if (!(to instanceof Pid)) {
      const frame = this.#named(peer, FrameType.request, caller, to, after(bytes, 2), payload)
      const at = writeU48(frame.head, id, writeU48(frame.head, caller.serial, nameEnd(to)))
      writeText(frame.head, tag, bytes, at)
      return frame
    }
    const frame = this.#shared.packer.pack(
      peer.session,
      FrameType.request,
      pairOf(caller.serial),
      true,
      after(bytes, 3),
      payload,
    )
    let at = writeU48(frame.head, caller.serial, BODY)
    at = writeU48(frame.head, to.serial, at)
    writeText(frame.head, tag, bytes, writeU48(frame.head, id, at))
    return frame
  }

  #procedureFrame(peer: Peer, caller: Pid, id: number, name: string, input: unknown): OutFrame {
    const bytes = textBytes('procedure', name)
    const { packer } = this.#shared
    const frame = packer.pack(
      peer.session,
      FrameType.procedure,
      pairOf(caller.serial),
      true,
      after(bytes, 2),
      input,
    )
    writeText(frame.head, name, bytes, writeU48(frame.head, id, writeU48(frame.head, caller.serial, BODY)))
    return frame
  }

  /** A frame to a name, with `prefix` bytes between name and payload. */
  #named(peer: Peer, kind: FrameType, from: Pid, to: NameOnNode, prefix: number, payload: unknown): OutFrame {
    const bytes = textBytes('name', to.name)
    const frame = peer.shared.packer.pack(
      peer.session,
      FrameType.named,
      pairOf(from.serial),
      true,
      1 + bytes + prefix,
      payload,
    )
    frame.head[BODY] = kind
    writeText(frame.head, to.name, bytes, BODY + 1)
    return frame
  }

  #failSoon(request: Request, to: Pid | NameOnNode, why: keyof typeof REFUSALS): void {
    const [code, text] = REFUSALS[why]
    const target = to instanceof Pid ? { pid: to, node: to.node } : { name: to.name, node: to.node }
    const error = new TroupeError(code, `call ${request.tag} on ${to.node}: ${text}`, {
      ...target,
      tag: request.tag,
    })
    this.#soon(() => request.fail(error))
  }

  #soon(answer: () => void): void {
    if (this.#answers.push(answer) > 1) return
    this.#loop.soon(() => {
      const answers = this.#answers
      this.#answers = []
      for (const run of answers) run()
    })
  }
}

/** Of a node that lists none. */
const NO_PROCEDURES: ProcedureHost = {
  run: (name, _input, ask) => {
    ask?.(0).fail(new TroupeError('ERR_UNKNOWN_ACTOR', `no procedure ${show(name)}: this node lists none`))
    return undefined
  },
  abort: () => {},
}

const REFUSALS = {
  noproc: ['ERR_NOPROC', 'that life of the node is over'],
  noconnection: ['ERR_NOCONNECTION', 'no session with it'],
  pending: ['ERR_BUSY', 'too many calls wait for replies'],
  queue: ['ERR_BUSY', 'its send queue is full'],
} as const

const lostError = (node: NodeId, tag: string, reason: DownReason): TroupeError =>
  new TroupeError(
    'ERR_NOCONNECTION',
    `call ${tag}: the session with ${node} went down (${reason}) before the reply`,
    {
      node,
      tag,
      reason,
      outcome: 'unknown',
    },
  )

/** Where the name of a frame to a name ends. */
const nameEnd = (to: NameOnNode): number => BODY + 1 + textBytes('name', to.name)

function namedFrame(kind: FrameType, from: Pid, to: NameOnNode, prefix: number): OutFrame {
  const bytes = textBytes('name', to.name)
  const head = Buffer.allocUnsafe(BODY + 1 + bytes + prefix)
  head[BODY] = kind
  writeText(head, to.name, bytes, BODY + 1)
  return outFrame(FrameType.named, 0, pairOf(from.serial), head, undefined, false)
}

const byCounter = <T>(entries: ReadonlyMap<number, T>): T[] =>
  [...entries].sort(([a], [b]) => a - b).map(([, entry]) => entry)
