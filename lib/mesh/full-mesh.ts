/**
 * The shell of the mesh: sockets and timers in, the pure parts asked, listeners told.
 *
 *   dial ─┐                    ┌─ admission ─┐
 *         ├─► connection ──────┤             ├──► link (session) ──► listeners
 *   accept┘    handshake       └─ refused    ┘       │  ▲
 *         ▲                                          ▼  │
 *     dial plan ◄──── membership ◄──────────────── detector ◄── tick, every 250 ms
 *
 * Every node holds one session with every other. It learns of others from the lists that members send when a session
 * opens, and dials each at once. Listeners are told through one queue that is worked off from the loop, or right before
 * a frame is handed over: so a session is announced before its first frame, and nothing of it comes after its end.
 *
 * It is one thing of some length because dialling, admission and loss act on the same three tables (links, dials,
 * greeters); every rule that could stand apart does.
 */
import { createHash } from 'node:crypto'
import { show, TroupeError } from '../base/errors.js'
import { compareIds, type NodeId } from '../base/ids.js'
import { LIMITS, type Limits } from '../base/limits.js'
import { type Logger, RateLimiter, SILENT } from '../base/log.js'
import type { DownReason, Member, MembersView } from '../base/member.js'
import type { Address, DialResult, Listener, Runtime, Stream, Timer } from '../base/runtime.js'
import { FrameType, WIRE_VERSION } from '../wire/frame.js'
import { admit } from './admission.js'
import { Connection, type ConnectionOwner } from './connection.js'
import { Detector, DOWN_MS, HEARTBEAT_MS, TICK_MS, type Verdict } from './detector.js'
import { DialPlan, type Target } from './dial-plan.js'
import { FieldReader, FieldWriter, META_BYTES_MAX, readMember, writeMember } from './fields.js'
import {
  Acceptor,
  type Claim,
  type Cluster,
  Dialler,
  type Greeting,
  keysOf,
  NONCE_BYTES,
  type Opened,
  Refusal,
  type Refused,
  type Step,
} from './handshake.js'
import type { Link, LinkOwner } from './link.js'
import { type Change, Membership } from './membership.js'
import type { Mesh, MeshListener, Session } from './mesh.js'

const DIAL_MS = 1_500
/** How long an open-looking session has to show that it lives, when another life of its node knocks. */
const PING_MS = 1_000
/** Every so often one member is sent the whole list, in turn: repair for what was missed. */
const REPAIR_TICKS = 40
/** Joining ends after this even when a seed neither answers nor fails. */
const JOIN_MS = 10_000
/** Member records per frame: each is below 2 KiB in practice, and a frame holds 128. */
const RECORDS_PER_FRAME = 32
const NOWHERE: Address = Object.freeze({ host: '', port: 0 })

export interface MeshOptions {
  readonly runtime: Runtime
  readonly self: NodeId
  readonly creation: number
  /** Without it nobody can connect to this node. */
  readonly listen?: Address | undefined
  /** What others are told to dial; default where it listens. */
  readonly advertise?: Address | undefined
  readonly seeds?: readonly Address[] | undefined
  readonly cluster: {
    readonly name: string
    /** What all nodes must agree on: slot count, hash and ring version, quorum size. */
    readonly parameters: Readonly<Record<string, string | number>>
  }
  /** The first is offered, all are accepted. None: a fixed key that proves nothing. */
  readonly secret?: string | readonly string[] | undefined
  readonly limits?: Limits | undefined
  readonly logger?: Logger | undefined
  readonly tags?: readonly string[] | undefined
  readonly meta?: Readonly<Record<string, string>> | undefined
  /** Names the operating-system process. Default: the node's own name and life. */
  readonly host?: string | undefined
  readonly voter?: boolean | undefined
}

export const createMesh = (options: MeshOptions, listeners: readonly MeshListener[]): Mesh =>
  new FullMesh(options, listeners)

/** What both sides compare, and what a client is told. */
export function clusterOf(name: string, given: Readonly<Record<string, string | number>>): Cluster {
  const parameters = Object.keys(given)
    .sort(compareIds)
    .map(key => `${key}=${given[key]}`)
    .join(' ')
  return { name, parameters, digest: createHash('sha256').update(`${name}\n${parameters}`).digest() }
}

interface Greeter {
  readonly connection: Connection
  readonly acceptor: Acceptor
  /** Waits until an older life of the same node has or has not shown a sign of life. */
  pinging: Timer | undefined
}

interface Dial {
  readonly target: Target
  readonly dialler: Dialler
  connection: Connection | undefined
  cancel: () => void
  peer: NodeId | undefined
  over: boolean
}

interface Seed {
  state: 'pending' | 'answered' | 'failed'
  peer: NodeId | undefined
}

const seedKey = (address: Address): string => `seed ${address.host}:${address.port}`

class FullMesh implements Mesh {
  readonly self: NodeId
  readonly creation: number
  readonly #options: MeshOptions
  readonly #runtime: Runtime
  readonly #limits: Limits
  readonly #log: Logger
  readonly #limiter: RateLimiter
  readonly #cluster: Cluster
  readonly #keys: readonly string[]
  readonly #listeners: readonly MeshListener[]
  readonly #byType: (MeshListener | undefined)[] = new Array(256)
  readonly #links = new Map<NodeId, Link>()
  readonly #clients = new Map<NodeId, Link>()
  readonly #greeters = new Map<Connection, Greeter>()
  readonly #dials = new Map<string, Dial>()
  readonly #dialOf = new Map<Connection, Dial>()
  /** By peer and life: the last epoch. Forgotten with the record of the peer's life. */
  readonly #epochs = new Map<NodeId, { readonly creation: number; readonly epoch: number }>()
  readonly #detector = new Detector()
  readonly #plan: DialPlan
  readonly #seeds = new Map<string, Seed>()
  readonly #awaited = new Set<NodeId>()
  readonly #listed = new Set<NodeId>()
  readonly #counters = new Map<string, number>()
  readonly #owner: ConnectionOwner
  readonly #edge: ConstructorParameters<typeof Link>[3]
  #membership: Membership
  #record: Member
  #listener: Listener | undefined
  #events: (() => void)[] = []
  #telling = false
  #sessions: readonly Session[] | undefined
  #tick: Timer | undefined
  #ticks = 0
  #dialTimer: Timer | undefined
  #clientCount = 0
  #phase: 'new' | 'joining' | 'joined' | 'stopped' = 'new'
  #joined: { resolve: () => void; reject: (error: Error) => void } | undefined

  constructor(options: MeshOptions, listeners: readonly MeshListener[]) {
    this.#options = options
    this.#runtime = options.runtime
    this.self = options.self
    this.creation = options.creation
    this.#limits = options.limits ?? LIMITS
    this.#log = options.logger ?? SILENT
    this.#limiter = new RateLimiter(options.runtime.clock, 1_000)
    this.#cluster = clusterOf(options.cluster.name, options.cluster.parameters)
    this.#keys = keysOf(options.secret)
    this.#listeners = listeners
    this.#plan = new DialPlan(this.#limits.membersMax)
    for (const listener of listeners) this.#register(listener)
    this.#record = this.#selfRecord(NOWHERE)
    this.#membership = new Membership(this.#record, this.#limits.membersMax)
    this.#owner = {
      handshake: (connection, type, body) => this.#handshake(connection, type, body),
      refused: (connection, refused) => this.#onRefused(connection, refused),
      failed: (connection, why, ours) => this.#onFailed(connection, why, ours),
    }
    const owner: LinkOwner = {
      heard: link => this.#act(this.#detector.heard(link.peer, link.heardMs)),
      frame: (link, type, flags, buffer, start, end) => this.#frame(link, type, flags, buffer, start, end),
      members: (link, body) => this.#learn(link, body),
      ended: (link, reason, why) => this.#ended(link, reason, why),
    }
    this.#edge = { clock: this.#runtime.clock, loop: this.#runtime.loop, limits: this.#limits, owner }
  }

  get address(): Address | undefined {
    return this.#listener === undefined ? undefined : this.#record.address
  }

  members(): MembersView {
    return this.#membership.view
  }

  session(node: NodeId): Session | undefined {
    return this.#links.get(node)
  }

  sessions(): readonly Session[] {
    this.#sessions ??= [...this.#links.values()].sort((a, b) => compareIds(a.peer, b.peer))
    return this.#sessions
  }

  async start(): Promise<void> {
    if (this.#phase !== 'new') throw new TroupeError('ERR_STOPPED', 'start: this mesh was started before')
    this.#phase = 'joining'
    const { listen, seeds = [] } = this.#options
    if (listen !== undefined) await this.#listen(listen)
    if (listen === undefined && seeds.length === 0) {
      this.#phase = 'joined'
      return
    }
    this.#tick = this.#runtime.clock.after(TICK_MS, () => this.#onTick())
    if (seeds.length === 0) {
      this.#phase = 'joined'
      return
    }
    await this.#join(seeds)
  }

  async stop({ timeoutMs }: { readonly timeoutMs: number }): Promise<void> {
    if (this.#phase === 'stopped') return
    this.#phase = 'stopped'
    this.#joined?.reject(new TroupeError('ERR_STOPPED', 'start: the mesh was stopped'))
    this.#joined = undefined
    this.#tick?.clear()
    this.#dialTimer?.clear()
    for (const dial of [...this.#dials.values()]) this.#drop(dial)
    for (const { connection, pinging } of [...this.#greeters.values()]) {
      pinging?.clear()
      connection.refuse({ code: Refusal.unavailable, why: 'this node is stopping' })
    }
    this.#greeters.clear()
    await this.#leave(timeoutMs)
    await this.#listener?.close()
    this.#listener = undefined
    await new Promise<void>(resolve => this.#say(resolve))
  }

  stats(): Readonly<Record<string, number>> {
    let queuedBytes = 0
    let refused = this.#counters.get('refusedFull') ?? 0
    for (const link of [...this.#links.values(), ...this.#clients.values()]) {
      queuedBytes += link.queuedBytes
      refused += link.refused
    }
    return {
      ...Object.fromEntries([...this.#counters].sort((a, b) => compareIds(a[0], b[0]))),
      sessions: this.#links.size,
      clients: this.#clients.size,
      unauthenticated: this.#greeters.size,
      dialling: this.#dials.size,
      dialTargets: this.#plan.size,
      queuedBytes,
      refusedFull: refused,
    }
  }

  #register(listener: MeshListener): void {
    for (const type of listener.types ?? []) {
      if (this.#byType[type] !== undefined) {
        throw new TypeError(`createMesh: expected one listener per type, got two for ${type}`)
      }
      this.#byType[type] = listener
    }
  }

  #selfRecord(address: Address): Member {
    const {
      self: name,
      creation,
      tags = [],
      meta = {},
      host = `${name}.${creation}`,
      voter = true,
    } = this.#options
    const sorted = [...new Set(tags)].sort(compareIds)
    const bytes = Buffer.byteLength(JSON.stringify(meta))
    if (bytes > META_BYTES_MAX) {
      throw new RangeError(`createMesh: meta: expected at most ${META_BYTES_MAX} bytes encoded, got ${bytes}`)
    }
    const state = 'alive'
    const version = WIRE_VERSION
    return Object.freeze({
      name,
      address,
      creation,
      incarnation: 1,
      state,
      version,
      tags: sorted,
      meta,
      host,
      voter,
    })
  }

  async #listen(address: Address): Promise<void> {
    this.#listener = await this.#runtime.transport.listen(address, stream => this.#accept(stream))
    this.#record = this.#selfRecord(this.#options.advertise ?? this.#listener.address)
    this.#membership = new Membership(this.#record, this.#limits.membersMax)
  }

  // Joining.

  #join(seeds: readonly Address[]): Promise<void> {
    const nowMs = this.#runtime.clock.now()
    for (const address of seeds) {
      const key = seedKey(address)
      this.#seeds.set(key, { state: 'pending', peer: undefined })
      this.#plan.want({ key, kind: 'seed', name: undefined, address }, nowMs)
    }
    const joined = new Promise<void>((resolve, reject) => {
      this.#joined = { resolve, reject }
    })
    const deadline = this.#runtime.clock.after(JOIN_MS, () => this.#finishJoin())
    this.#dialDue()
    return joined.finally(() => deadline.clear())
  }

  /** Ends the joining when there is nothing left to wait for. */
  #settleJoin(): void {
    if (this.#joined === undefined) return
    const seeds = [...this.#seeds.values()]
    for (const seed of seeds) {
      if (seed.peer !== undefined && this.#listed.has(seed.peer)) seed.state = 'answered'
    }
    const answered = seeds.some(seed => seed.state === 'answered')
    if (answered ? this.#awaited.size === 0 : seeds.every(seed => seed.state === 'failed')) this.#finishJoin()
  }

  #finishJoin(): void {
    const joined = this.#joined
    if (joined === undefined) return
    this.#joined = undefined
    this.#phase = 'joined'
    this.#awaited.clear()
    if (this.#links.size === 0) this.#log.info(`${this.self}: no seed answered; alone for now`)
    this.#say(() => joined.resolve())
  }

  #refuseJoin(refused: Refused): void {
    const joined = this.#joined
    if (joined === undefined) return
    this.#joined = undefined
    const code = refused.code === Refusal.duplicate ? 'ERR_DUPLICATE_NODE' : 'ERR_HANDSHAKE'
    joined.reject(new TroupeError(code, `start: a seed refused us: ${refused.why}`, { why: refused.why }))
  }

  // Dialling.

  #want(target: Target): void {
    if (this.#phase === 'stopped') return
    this.#plan.want(target, this.#runtime.clock.now())
    this.#runtime.loop.soon(() => this.#dialDue())
  }

  #dialDue(): void {
    if (this.#phase === 'stopped') return
    const nowMs = this.#runtime.clock.now()
    for (const target of this.#plan.take(nowMs)) this.#dial(target)
    this.#dialTimer?.clear()
    const nextMs = this.#plan.nextMs(nowMs)
    if (nextMs === undefined) return
    this.#dialTimer = this.#runtime.clock.after(nextMs - nowMs, () => this.#dialDue())
  }

  #dial(target: Target): void {
    const dialler = new Dialler(this.#greeting(), this.#keys)
    const dial: Dial = {
      target,
      dialler,
      connection: undefined,
      cancel: () => {},
      peer: target.name,
      over: false,
    }
    this.#dials.set(target.key, dial)
    this.#count('dials')
    const { transport } = this.#runtime
    dial.cancel = transport.dial(target.address, { timeoutMs: DIAL_MS }, result =>
      this.#dialled(dial, result),
    )
  }

  #dialled(dial: Dial, result: DialResult): void {
    if (dial.over) {
      if (result.ok) result.stream.destroy()
      return
    }
    if (!result.ok) {
      const refused = result.code === 'ECONNREFUSED'
      this.#dialFailed(dial, refused)
      return
    }
    const connection = new Connection(result.stream, this.#runtime.clock, this.#limits, this.#owner)
    dial.connection = connection
    this.#dialOf.set(connection, dial)
    connection.say(FrameType.hello, dial.dialler.hello)
  }

  /** It failed by itself: the next one is planned, and whoever waited for this one is told. */
  #dialFailed(dial: Dial, refused: boolean): void {
    const { target } = dial
    this.#drop(dial)
    this.#plan.failed(target.key, this.#runtime.clock.now(), this.#runtime.random.float())
    this.#tried(dial, true)
    if (target.name !== undefined) {
      this.#act(refused ? this.#detector.refused(target.name) : this.#detector.unanswered(target.name))
    }
    this.#runtime.loop.soon(() => this.#dialDue())
  }

  #tried(dial: Dial, failed: boolean): void {
    const seed = this.#seeds.get(dial.target.key)
    if (seed !== undefined) {
      seed.peer = dial.peer
      if (failed) seed.state = 'failed'
    }
    if (dial.peer !== undefined) this.#awaited.delete(dial.peer)
    this.#settleJoin()
  }

  #drop(dial: Dial): void {
    if (dial.over) return
    dial.over = true
    dial.cancel()
    this.#dials.delete(dial.target.key)
    if (dial.connection === undefined) return
    this.#dialOf.delete(dial.connection)
    dial.connection.abandon()
  }

  /** We need it no more: there is a session, or a better dial. */
  #dropDone(dial: Dial): void {
    this.#drop(dial)
    this.#plan.forget(dial.target.key)
    this.#tried(dial, false)
  }

  #greeting(): Greeting {
    const { self: id, creation } = this
    return { role: 'member', id, creation, nonce: this.#runtime.random.bytes(NONCE_BYTES) }
  }

  #claim(epoch: number): Claim {
    return { cluster: this.#cluster, epoch, record: this.#record }
  }

  #epochWith(peer: NodeId, creation: number): number {
    const known = this.#epochs.get(peer)
    return known?.creation === creation ? known.epoch : 0
  }

  #onChallenge(dial: Dial, connection: Connection, step: Step): void {
    if (step.tag !== 'challenged') return this.#stepFailed(dial, connection, step)
    const { peer, creation } = step
    if (peer === this.self && creation === this.creation) {
      dial.peer = undefined
      this.#drop(dial)
      this.#plan.forget(dial.target.key)
      this.#tried(dial, true)
      return
    }
    if (dial.target.name !== undefined && dial.target.name !== peer) {
      this.#dialFailed(dial, false) // somebody else lives at that address now
      return
    }
    dial.peer = peer
    const seed = this.#seeds.get(dial.target.key)
    if (seed !== undefined) seed.peer = peer
    if (this.#links.get(peer)?.creation === creation) return this.#dropDone(dial)
    const other = this.#dialTo(peer, dial)
    if (other?.dialler.committed) return this.#dropDone(dial)
    if (other !== undefined) this.#dropDone(other)
    const proof = dial.dialler.prove(this.#claim(this.#epochWith(peer, creation)))
    if (proof.tag === 'send') connection.say(FrameType.proof, proof.body)
  }

  #dialTo(peer: NodeId, except: Dial | undefined): Dial | undefined {
    for (const dial of this.#dials.values()) if (dial.peer === peer && dial !== except) return dial
    return undefined
  }

  #stepFailed(dial: Dial, connection: Connection, step: Step): void {
    if (step.tag !== 'refuse') return
    this.#configuration(dial, step.refused, connection)
    connection.refuse(step.refused)
    this.#dialFailed(dial, false)
  }

  /** A refusal by ourselves or by the peer, of a connection that we dialled. */
  #onRefused(connection: Connection, refused: Refused): void {
    const dial = this.#dialOf.get(connection)
    if (dial === undefined) {
      this.#forgetGreeter(connection)
      this.#warn(refused.why, connection.stream.remote)
      return
    }
    if (refused.code === Refusal.superseded && dial.target.kind === 'seed') {
      this.#drop(dial) // its own dial is on the way to us; should it fail, this one is due again
      this.#plan.failed(dial.target.key, this.#runtime.clock.now(), this.#runtime.random.float())
      this.#runtime.loop.soon(() => this.#dialDue())
      return
    }
    this.#configuration(dial, refused, connection)
    this.#dialFailed(dial, false)
  }

  #configuration(dial: Dial, refused: Refused, connection: Connection): void {
    if (refused.code !== Refusal.handshake && refused.code !== Refusal.duplicate) return
    this.#warn(refused.why, connection.stream.remote)
    if (dial.target.kind === 'seed') this.#refuseJoin(refused)
  }

  // Connections, before they are sessions.

  #accept(stream: Stream): void {
    if (this.#phase === 'stopped') {
      stream.destroy()
      return
    }
    const sameHost = [...this.#greeters.keys()].filter(c => c.stream.remote.host === stream.remote.host)
    if (sameHost.length >= this.#limits.unauthenticatedPerAddressMax) this.#evict(sameHost[0]!)
    else if (this.#greeters.size >= this.#limits.unauthenticatedMax)
      this.#evict(this.#greeters.keys().next().value!)
    const connection = new Connection(stream, this.#runtime.clock, this.#limits, this.#owner)
    const acceptor = new Acceptor(this.#greeting(), this.#keys)
    this.#greeters.set(connection, { connection, acceptor, pinging: undefined })
    this.#count('accepted')
  }

  #evict(connection: Connection): void {
    this.#count('evicted')
    this.#forgetGreeter(connection)
    connection.abandon()
  }

  #forgetGreeter(connection: Connection): void {
    this.#greeters.get(connection)?.pinging?.clear()
    this.#greeters.delete(connection)
  }

  #onFailed(connection: Connection, why: string, ours: boolean): void {
    this.#count(ours ? 'handshakesFailed' : 'notOurs')
    const dial = this.#dialOf.get(connection)
    if (dial !== undefined) this.#dialFailed(dial, false)
    this.#forgetGreeter(connection)
    if (!ours) this.#warn(why, connection.stream.remote)
  }

  #handshake(connection: Connection, type: number, body: Buffer): void {
    const dial = this.#dialOf.get(connection)
    if (dial !== undefined) {
      if (type === FrameType.challenge) this.#onChallenge(dial, connection, dial.dialler.onChallenge(body))
      else if (type === FrameType.welcome) this.#onWelcome(dial, connection, dial.dialler.onWelcome(body))
      else connection.fail('a frame of the other side', false)
      return
    }
    const greeter = this.#greeters.get(connection)
    if (greeter === undefined) return
    if (type === FrameType.hello) this.#answer(greeter, greeter.acceptor.onHello(body))
    else if (type === FrameType.proof) this.#answer(greeter, greeter.acceptor.onProof(body, this.#cluster))
    else connection.fail('a frame of the other side', false)
  }

  #answer(greeter: Greeter, step: Step): void {
    if (step.tag === 'send') greeter.connection.say(FrameType.challenge, step.body)
    else if (step.tag === 'refuse') this.#refuse(greeter, step.refused)
    else if (step.tag === 'proved' && step.role === 'client') this.#welcome(greeter, 1)
    else if (step.tag === 'proved') this.#admit(greeter, step)
  }

  #refuse(greeter: Greeter, refused: Refused): void {
    this.#count('refused')
    if (refused.code === Refusal.handshake || refused.code === Refusal.duplicate) {
      this.#warn(refused.why, greeter.connection.stream.remote)
    }
    this.#forgetGreeter(greeter.connection)
    greeter.connection.refuse(refused)
  }

  #admit(greeter: Greeter, proved: Step & { readonly tag: 'proved' }): void {
    const { peer, creation: peerCreation, claim } = proved
    const session = this.#links.get(peer)
    const own = this.#dialTo(peer, undefined)
    const admission = admit({
      self: this.self,
      selfCreation: this.creation,
      peer,
      peerCreation,
      peerEpoch: claim.epoch,
      session,
      dialCommitted: own?.dialler.committed ?? false,
    })
    if (admission.tag === 'refuse') return this.#refuse(greeter, admission.refused)
    if (admission.tag === 'ping') return this.#ping(greeter, proved, session!)
    if (!this.#membership.admits(peer)) {
      return this.#refuse(greeter, { code: Refusal.unavailable, why: 'this cluster is full' })
    }
    if (admission.tag === 'replace') session!.fail('connection_closed', 'its peer has lost it')
    if (own !== undefined) this.#dropDone(own)
    this.#welcome(greeter, Math.max(claim.epoch, this.#epochWith(peer, peerCreation)) + 1)
  }

  #ping(greeter: Greeter, proved: Step & { readonly tag: 'proved' }, session: Link): void {
    const askedMs = this.#runtime.clock.now()
    session.heartbeat()
    greeter.pinging = this.#runtime.clock.after(PING_MS, () => {
      greeter.pinging = undefined
      if (session.open && session.heardMs > askedMs) {
        const why = `another node named ${proved.peer} is alive`
        this.#refuse(greeter, { code: Refusal.duplicate, why })
        return
      }
      session.fail('replaced', 'a newer life of that node came')
      this.#admit(greeter, proved)
    })
  }

  #welcome(greeter: Greeter, epoch: number): void {
    const { connection, acceptor } = greeter
    const { body, opened } = acceptor.welcome(this.#claim(epoch))
    this.#forgetGreeter(connection)
    connection.say(FrameType.welcome, body)
    this.#open(connection, opened)
  }

  #onWelcome(dial: Dial, connection: Connection, step: Step): void {
    if (step.tag !== 'open') return this.#stepFailed(dial, connection, step)
    this.#links.get(step.opened.peer)?.fail('replaced', 'a newer life of that node answered')
    dial.over = true
    this.#dials.delete(dial.target.key)
    this.#dialOf.delete(connection)
    this.#plan.forget(dial.target.key)
    this.#open(connection, step.opened)
    this.#tried(dial, false)
  }

  // Sessions.

  #open(connection: Connection, opened: Opened): void {
    if (opened.role === 'client') {
      this.#clientCount += 1
      const name = `client-${this.#clientCount}.${opened.creation.toString(16)}` as NodeId
      const link = connection.become({ ...opened, peer: name }, this.#edge)
      this.#clients.set(name, link)
      this.#detector.opened(name, link.heardMs)
      this.#announce(link)
      return
    }
    const link = connection.become(opened, this.#edge)
    const record = opened.record!
    const firstHand =
      this.#membership.get(record.name)?.creation !== record.creation && !this.#plan.has(record.name)
    this.#links.set(link.peer, link)
    this.#sessions = undefined
    this.#epochs.set(link.peer, { creation: link.creation, epoch: link.epoch })
    this.#plan.forget(link.peer)
    this.#announce(link)
    const changes = this.#membership.handshaken(record)
    this.#apply(changes)
    this.#act(this.#detector.opened(link.peer, link.heardMs))
    this.#tellMembers(link, this.#membership.known(link.peer))
    if (firstHand) for (const other of this.#others(link)) this.#tellMembers(other, [record])
  }

  #announce(link: Link): void {
    this.#count('sessionsOpened')
    this.#log.debug(`${this.self}: session ${link.epoch} with ${link.peer}`)
    this.#tell(listener => listener.sessionUp?.(link))
  }

  *#others(except: Link): Generator<Link, void, void> {
    for (const session of this.sessions()) if (session !== except) yield session as Link
  }

  #tellMembers(link: Link, records: readonly Member[]): void {
    for (let i = 0; i === 0 || i < records.length; i += RECORDS_PER_FRAME) {
      const part = records.slice(i, i + RECORDS_PER_FRAME)
      const last = i + RECORDS_PER_FRAME >= records.length
      const to = new FieldWriter().number(last ? 1 : 0, 1).number(part.length, 2)
      for (const record of part) writeMember(to, record)
      link.tell(FrameType.members, to.done())
    }
  }

  #learn(link: Link, body: Buffer): void {
    if (link.role === 'client') throw new TroupeError('ERR_FRAME', 'a client does not speak of members')
    const from = new FieldReader(body)
    const last = from.number(1) === 1
    const count = from.number(2)
    const records: Member[] = []
    for (let i = 0; i < count; i++) records.push(readMember(from))
    from.end()
    for (const record of records) this.#introduced(link, record)
    if (!last) return
    this.#listed.add(link.peer)
    this.#settleJoin()
  }

  #introduced(link: Link, record: Member): void {
    if (record.name === link.peer) {
      if (record.creation === link.creation) this.#apply(this.#membership.handshaken(record))
      return
    }
    const { name, address } = record
    if (!this.#membership.introduces(record) || this.#links.has(name) || this.#plan.has(name)) return
    if (this.#joined !== undefined && record.state !== 'down') this.#awaited.add(name)
    this.#want({ key: name, kind: 'introduced', name, address })
    if (!this.#plan.has(name)) this.#awaited.delete(name)
  }

  #frame(link: Link, type: number, flags: number, buffer: Buffer, start: number, end: number): void {
    if (this.#events.length > 0) this.#work()
    const listener = this.#byType[type]
    if (listener === undefined) this.#count('unknownType')
    else listener.frame?.(link, type, flags, buffer, start, end)
  }

  #ended(link: Link, reason: DownReason, why: string): void {
    this.#count(`sessionsClosed.${reason}`)
    this.#counters.set('refusedFull', (this.#counters.get('refusedFull') ?? 0) + link.refused)
    if (
      reason === 'protocol' ||
      reason === 'overloaded' ||
      (reason === 'disconnect' && this.#phase !== 'stopped')
    ) {
      this.#warn(`session with ${link.peer} ended: ${why}`)
    }
    this.#tell(listener => listener.sessionDown?.(link, reason))
    if (this.#clients.delete(link.peer)) {
      this.#detector.forget(link.peer)
      return
    }
    this.#links.delete(link.peer)
    this.#sessions = undefined
    this.#listed.delete(link.peer)
    if (this.#phase !== 'stopped') this.#lost(link, reason)
  }

  /** What the end of a session means for the member. */
  #lost(link: Link, reason: DownReason): void {
    const { peer } = link
    if (reason === 'left') {
      this.#detector.forget(peer)
      this.#apply(this.#membership.down(peer, 'left'))
      return
    }
    if (reason === 'replaced') {
      this.#detector.forget(peer)
      this.#apply(this.#membership.down(peer, 'replaced'))
      return
    }
    if (reason !== 'timeout') this.#detector.closed(peer, link.heardMs)
    const { address } = link.record!
    if (address.port === 0) this.#act(this.#detector.unanswered(peer))
    else this.#want({ key: peer, kind: 'gone', name: peer, address })
  }

  #act(verdicts: readonly Verdict[]): void {
    for (const verdict of verdicts) {
      if (verdict.tag === 'suspect') this.#apply(this.#membership.suspect(verdict.peer, verdict.reason))
      else if (verdict.tag === 'alive') this.#apply(this.#membership.alive(verdict.peer))
      else {
        const link = this.#links.get(verdict.peer) ?? this.#clients.get(verdict.peer)
        link?.fail(verdict.reason, `nothing heard for ${DOWN_MS} ms`)
        this.#apply(this.#membership.down(verdict.peer, verdict.reason))
      }
    }
  }

  #apply(changes: readonly Change[]): void {
    for (const change of changes) {
      const { member } = change
      if (change.tag === 'up') this.#tell(listener => listener.memberUp?.(member))
      else if (change.tag === 'alive') this.#tell(listener => listener.memberAlive?.(member))
      else if (change.tag === 'updated') this.#tell(listener => listener.memberUpdated?.(member))
      else if (change.tag === 'suspect')
        this.#tell(listener => listener.memberSuspect?.(member, change.reason))
      else if (change.tag === 'down') this.#tell(listener => listener.memberDown?.(member, change.reason))
    }
  }

  #onTick(): void {
    const { clock, loop } = this.#runtime
    this.#tick = clock.after(TICK_MS, () => this.#onTick())
    this.#ticks += 1
    const nowMs = clock.now()
    const links = [...(this.sessions() as readonly Link[]), ...this.#clients.values()]
    for (const link of links) {
      if (this.#ticks % (HEARTBEAT_MS / TICK_MS) === 0) link.heartbeat()
      link.check(nowMs)
    }
    this.#act(this.#detector.tick(nowMs, loop.lag()))
    if (this.#ticks % REPAIR_TICKS === 0) this.#repair()
  }

  #repair(): void {
    const sessions = this.sessions()
    if (sessions.length === 0) return
    const link = sessions[(this.#ticks / REPAIR_TICKS) % sessions.length] as Link
    this.#tellMembers(link, this.#membership.known(link.peer))
  }

  // Leaving.

  async #leave(timeoutMs: number): Promise<void> {
    const links = [...(this.sessions() as readonly Link[]), ...this.#clients.values()]
    if (links.length === 0) return
    await new Promise<void>(resolve => {
      let left = links.length
      const timer = this.#runtime.clock.after(timeoutMs, resolve)
      for (const link of links) {
        link.leave(() => {
          link.goodbye()
          left -= 1
          if (left > 0) return
          timer.clear()
          resolve()
        })
      }
    })
    for (const link of links) link.goodbye()
  }

  // Telling.

  #tell(fn: (listener: MeshListener) => void): void {
    this.#say(() => {
      for (const listener of this.#listeners) {
        try {
          fn(listener)
        } catch (error) {
          this.#count('listenerErrors')
          this.#log.error(`${this.self}: a listener of the mesh failed: ${show(error)}`, { error })
        }
      }
    })
  }

  #say(event: () => void): void {
    this.#events.push(event)
    if (this.#events.length === 1 && !this.#telling) this.#runtime.loop.soon(() => this.#work())
  }

  #work(): void {
    if (this.#telling) return
    this.#telling = true
    for (let i = 0; i < this.#events.length; i++) this.#events[i]!()
    this.#events = []
    this.#telling = false
  }

  #count(name: string): void {
    this.#counters.set(name, (this.#counters.get(name) ?? 0) + 1)
  }

  #warn(why: string, from?: Address): void {
    const held = this.#limiter.admit(why.slice(0, 40))
    if (held === undefined) return
    const where = from === undefined ? '' : ` (${from.host}:${from.port})`
    this.#log.warn(`${this.self}: ${why}${where}${held > 0 ? `; ${held} more like it` : ''}`)
  }
}
