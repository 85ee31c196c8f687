/**
 * Carries out what clients ask for. Every connection gets a stand-in process at its first request; it does what a
 * client, who owns no pids, cannot: it calls, spawns and keeps what it spawned.
 *
 *   session ── request ──▶ pending table (bounded) ──▶ stand-in ──▶ node, calls, spawns
 *           ◀── reply ────────────────────────────────────┘
 *
 * When the connection goes the stand-in is ended: calls it waits for are given up, a spawn that has not finished is
 * undone, and what it had spawned stays. Only sessions of role `client` may ask; who they are comes from the session.
 *
 * It does not queue: a client with too many open requests is answered `ERR_BUSY`.
 */
import type { ActorRef, CallOptions, Node, ProcessBranch, Self, SpawnOptions } from '../actor/api.js'
import { type AnyActor, definitionNamed } from '../actor/define.js'
import { formatAddress } from '../base/address.js'
import { TroupeError } from '../base/errors.js'
import type { IdSpace } from '../base/id-space.js'
import { type Pid, parsePid } from '../base/ids.js'
import type { Limits } from '../base/limits.js'
import type { WaitOptions } from '../base/options.js'
import type { ExitReason } from '../base/reasons.js'
import { type MeshListener, outFrame, type Session } from '../mesh/mesh.js'
import type { Sent } from '../process/mail.js'
import type { Codec } from '../wire/codec.js'
import { FrameType, HEADER_BYTES } from '../wire/frame.js'
import {
  CLIENT_PAIR,
  type ClientBranch,
  type ClientError,
  type ClientReply,
  type ClientRequest,
  checkClientRequest,
  toClientError,
} from './client-protocol.js'

export interface ClientRequestsOptions {
  readonly node: Node
  readonly codec: Codec
  readonly ids: IdSpace
  readonly limits: Pick<Limits, 'clientRequestsMax'>
  /** What this node hosts. */
  readonly hosted: ReadonlyMap<string, AnyActor>
  /** A ref to that process, whatever its definition. */
  readonly refTo: (pid: Pid) => ActorRef<AnyActor>
}

/** A ref and a speaker without types: tags and payloads come from people. */
interface UntypedRef {
  readonly pid: Pid
  call(tag: string, payload: unknown, options: CallOptions): Promise<unknown>
  cast(tag: string, payload: unknown): Sent
  stop(reason: ExitReason, options: WaitOptions): Promise<void>
}
interface UntypedSpeaker {
  spawn(def: AnyActor, args: unknown, options: SpawnOptions): Promise<UntypedRef>
}

type Request<Op extends ClientRequest['op']> = Extract<ClientRequest, { op: Op }>

interface Client {
  readonly standIn: Pid
  open: number
}

export class ClientRequests implements MeshListener {
  readonly types: readonly number[] = [FrameType.clientRequest]
  readonly #options: ClientRequestsOptions
  readonly #clients = new Map<Session, Client>()
  #handled = 0
  #refused = 0

  constructor(options: ClientRequestsOptions) {
    this.#options = options
  }

  frame(session: Session, _type: number, _flags: number, buffer: Buffer, start: number, end: number): void {
    if (session.role !== 'client')
      throw new TroupeError('ERR_FRAME', `${session.peer} is a member and sent a client's request`)
    const request = checkClientRequest(this.#decode(buffer, start, end))
    const health = this.#options.node.health()
    if (request.op === 'health') {
      this.#handled += 1
      const value = { node: this.#options.node.name, ...health }
      return this.#answer(session, { id: request.id, ok: true, value })
    }
    const { state } = health
    if (state !== 'running') {
      this.#refused += 1
      const { code, message } = new TroupeError(
        'ERR_STOPPED',
        `${request.op}: the node ${this.#options.node.name} is ${state}`,
      )
      this.#answer(session, { id: request.id, ok: false, error: { code, message, detail: {} } })
      return
    }
    const client = this.#clientOf(session)
    if (client.open >= this.#options.limits.clientRequestsMax) {
      this.#refused += 1
      this.#answer(session, refusal(request))
      return
    }
    client.open += 1
    this.#options.node.send(client.standIn, request)
  }

  sessionDown(session: Session): void {
    const client = this.#clients.get(session)
    this.#clients.delete(session)
    if (client !== undefined) this.#options.node.exit(client.standIn, 'kill')
  }

  stats(): Readonly<Record<string, number>> {
    let open = 0
    for (const client of this.#clients.values()) open += client.open
    return { connected: this.#clients.size, open, handled: this.#handled, refused: this.#refused }
  }

  #decode(buffer: Buffer, start: number, end: number): unknown {
    try {
      return this.#options.codec.decode(buffer, start, end)
    } catch (error) {
      throw new TroupeError('ERR_FRAME', 'a client sent a request that cannot be decoded', {}, error)
    }
  }

  #clientOf(session: Session): Client {
    const known = this.#clients.get(session)
    if (known !== undefined && this.#options.node.isAlive(known.standIn)) return known
    const standIn = this.#options.node.run(self => this.#standIn(session, self))
    const client: Client = { standIn, open: 0 }
    this.#clients.set(session, client)
    return client
  }

  /** Lives as long as the connection. Requests run side by side; each is answered when it is done. */
  async #standIn(session: Session, self: Self): Promise<void> {
    for (;;) {
      const request = await self.receive(isRequest)
      void this.#carryOut(session, self, request)
    }
  }

  async #carryOut(session: Session, self: Self, request: ClientRequest): Promise<void> {
    const { id } = request
    let reply: ClientReply
    try {
      reply = { id, ok: true, value: await this.#perform(self, request) }
    } catch (error) {
      reply = { id, ok: false, error: toClientError(error) }
    }
    this.#handled += 1
    const client = this.#clients.get(session)
    if (client === undefined) return
    client.open -= 1
    this.#answer(session, reply)
    if (request.op === 'stop' && reply.ok) void this.#options.node.stop(drainOf(request.drainMs))
  }

  #perform(self: Self, request: ClientRequest): unknown {
    switch (request.op) {
      case 'nodes':
        return this.#nodes()
      case 'ps':
        return this.#processes()
      case 'names':
        return this.#options.node.names()
      case 'tree':
        return this.#tree()
      case 'spawn':
        return this.#spawn(self, request)
      case 'call':
        return this.#target(self, request.to).call(request.tag, request.payload, {
          timeoutMs: request.timeoutMs,
        })
      case 'cast':
        return this.#cast(self, request)
      case 'health': // answered before, without a stand-in: also by a node that takes no processes
      case 'stop':
        return { node: this.#options.node.name }
      case 'terminate':
        return this.#terminate(self, request)
      default:
        return request satisfies never
    }
  }

  #nodes(): unknown {
    const { node } = this.#options
    const members = node.members().members.map(({ creation, address, ...member }) => ({
      ...member,
      address: formatAddress(address),
      creation: creation.toString(16).padStart(12, '0'),
      contacted: member.name === node.name,
    }))
    return members
  }

  /** Without the stand-ins, which are there for the question only. */
  #processes(): unknown {
    const standIns = this.#standIns()
    return this.#options.node.processes().filter(({ pid }) => !standIns.has(pid))
  }

  #standIns(): ReadonlySet<Pid> {
    return new Set([...this.#clients.values()].map(client => client.standIn))
  }

  /** Branch by branch, from the top: a nested answer would be as deep as the tree, and values that cross are not. */
  #tree(): readonly ClientBranch[] {
    const standIns = this.#standIns()
    const rows: ClientBranch[] = []
    const left: {
      readonly branch: ProcessBranch
      readonly depth: number
      readonly parent: Pid | undefined
    }[] = []
    const roots = this.#options.node.tree().filter(({ pid }) => !standIns.has(pid))
    for (const branch of roots.toReversed()) left.push({ branch, depth: 0, parent: undefined })
    for (let next = left.pop(); next !== undefined; next = left.pop()) {
      const { depth, parent } = next
      const { children, ...branch } = next.branch
      rows.push({ depth, parent, ...branch })
      for (const child of children.toReversed())
        left.push({ branch: child, depth: depth + 1, parent: branch.pid })
    }
    return rows
  }

  async #spawn(self: Self, request: Request<'spawn'>): Promise<unknown> {
    const { definition, args, name, on, scope, restart, timeoutMs } = request
    // Hosted elsewhere, a definition is known here by its name alone, which is all that a remote spawn sends.
    const def = this.#options.hosted.get(definition) ?? definitionNamed(definition)
    const options: SpawnOptions = { name, on, scope, restart, timeoutMs }
    const speaker: UntypedSpeaker = self
    const { pid } = await speaker.spawn(def, args, options)
    return { pid, node: pid.node, name: name ?? null }
  }

  #cast(self: Self, { to, tag, payload }: Request<'cast'>): unknown {
    if (parsePid(to) === undefined && !this.#isName(to)) {
      throw new TroupeError('ERR_NOPROC', `cast ${to} ${tag}: nobody has that name`, { name: to })
    }
    const sent = this.#target(self, to).cast(tag, payload)
    if (sent === 'full')
      throw new TroupeError('ERR_BUSY', `cast ${to} ${tag}: refused, the way there is full`, { to })
    return sent
  }

  async #terminate(self: Self, { to, timeoutMs }: Request<'terminate'>): Promise<unknown> {
    const { node } = this.#options
    if (node.names().some(known => known.name === to)) await node.terminate(to, { timeoutMs })
    else {
      const target = parsePid(to) === undefined ? self.whereis(to) : this.#target(self, to)
      if (target === undefined)
        throw new TroupeError('ERR_NOPROC', `stop ${to}: nobody has that name`, { name: to })
      await target.stop('shutdown', { timeoutMs })
    }
    return { stopped: to }
  }

  #isName(name: string): boolean {
    const { node } = this.#options
    return node.whereis(name) !== undefined || node.names().some(known => known.name === name)
  }

  /** The ref of a pid or name as it was typed, speaking for the stand-in. */
  #target(self: Self, to: string): UntypedRef {
    const pid = parsePid(to)
    if (pid === undefined) return self.named(to)
    return self.ref(this.#options.refTo(this.#options.ids.pid(pid.node, pid.creation, pid.serial)))
  }

  #answer(session: Session, reply: ClientReply): void {
    session.send(outFrame(FrameType.clientReply, 0, CLIENT_PAIR, this.#encode(reply), undefined, false))
  }

  /** A local callee's reply may hold what cannot cross: then that is the answer. */
  #encode(reply: ClientReply): Buffer {
    try {
      return this.#options.codec.encode(reply, HEADER_BYTES, 'reply')
    } catch (error) {
      const { code, message } = reply.ok ? toClientError(error) : reply.error
      const plain: ClientReply = { id: reply.id, ok: false, error: { code, message, detail: {} } }
      return this.#options.codec.encode(plain, HEADER_BYTES, 'reply')
    }
  }
}

/** Nothing but requests is ever sent to a stand-in's pid by us; whatever else arrives stays unread. */
const isRequest = (message: unknown): message is ClientRequest =>
  typeof message === 'object' && message !== null && 'op' in message && 'timeoutMs' in message

const drainOf = (drainMs: number | undefined): { drainMs?: number } =>
  drainMs === undefined ? {} : { drainMs }

function refusal(request: ClientRequest): ClientReply {
  const error: ClientError = {
    code: 'ERR_BUSY',
    message: `${request.op}: too many requests of this client at once`,
    detail: {},
  }
  return { id: request.id, ok: false, error }
}
