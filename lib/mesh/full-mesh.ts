/**
 * The mesh, put together: every node holds one session with every other.
 *
 *   dials ────┐                  ┌─ admission ─┐
 *             ├─► connection ────┤             ├──► sessions ──► announcer ──► listeners
 *   greeters ─┘    handshake     └─ refused    ┘     │    ▲          ▲
 *      ▲                                  packets,   ▼    │ packets  │ changes
 *      └──── introduced, gone ◄───────── bytes     gossip ───────────┘   (the shell of `swim.ts`)
 *
 * It learns of others from the lists that members send when a session opens, and dials each at once.
 */
import { createHash } from 'node:crypto'
import type { DiscoverySource } from '../base/discovery.js'
import { TroupeError } from '../base/errors.js'
import { compareIds, type NodeId } from '../base/ids.js'
import { LIMITS, type Limits } from '../base/limits.js'
import { type Logger, SILENT } from '../base/log.js'
import type { DownReason, Member, MembersView } from '../base/member.js'
import type { Address, Listener, Runtime, Stream } from '../base/runtime.js'
import { WIRE_VERSION } from '../wire/frame.js'
import { Announcer } from './announcer.js'
import { Connecting } from './connecting.js'
import type { Connection, ConnectionOwner } from './connection.js'
import { Dials } from './dials.js'
import { Discovery } from './discovery.js'
import { META_BYTES_MAX } from './fields.js'
import { Gossip } from './gossip.js'
import { Greeters } from './greeters.js'
import { type Ground, Notes } from './ground.js'
import { type Claim, type Cluster, type Greeting, keysOf, NONCE_BYTES, type Opened } from './handshake.js'
import { Joining, seedKey } from './joining.js'
import type { Link } from './link.js'
import type { Described, Mesh, MeshListener, Session } from './mesh.js'
import { PROFILES, type ProfileName } from './profile.js'
import { ASKED, Sessions } from './sessions.js'
import { Swim } from './swim.js'

/** Joining ends after this even when a seed neither answers nor fails. */
const JOIN_MS = 10_000
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
  readonly discovery?: readonly DiscoverySource[] | undefined
  readonly cluster: {
    readonly name: string
    /** What all nodes must agree on: slot count, hash and ring version, quorum size. */
    readonly parameters: Readonly<Record<string, string | number>>
  }
  /** The first is offered, all are accepted. None: a fixed key that proves nothing. */
  readonly secret?: string | readonly string[] | undefined
  /** How fast a member is missed. Default `'lan'`. */
  readonly profile?: ProfileName | undefined
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

function firstRecord(options: MeshOptions): Member {
  const { self: name, creation, host = `${name}.${creation}`, voter = true } = options
  return Object.freeze({
    name,
    address: NOWHERE,
    creation,
    incarnation: 1,
    state: 'alive',
    version: WIRE_VERSION,
    tags: [],
    meta: {},
    ...described('createMesh', { tags: options.tags ?? [], meta: options.meta ?? {} }),
    host,
    voter,
  })
}

/** As every member will see it. Throws `RangeError`. */
function described(where: string, { tags, meta }: Described): Partial<Pick<Member, 'tags' | 'meta'>> {
  const bytes = Buffer.byteLength(JSON.stringify(meta ?? {}))
  if (bytes > META_BYTES_MAX) {
    throw new RangeError(`${where}: meta: expected at most ${META_BYTES_MAX} bytes encoded, got ${bytes}`)
  }
  return {
    ...(tags === undefined ? {} : { tags: Object.freeze([...new Set(tags)].sort(compareIds)) }),
    ...(meta === undefined ? {} : { meta: Object.freeze({ ...meta }) }),
  }
}

class FullMesh implements Mesh {
  readonly self: NodeId
  readonly creation: number
  readonly #options: MeshOptions
  readonly #ground: Ground
  readonly #announcer: Announcer
  readonly #swim: Swim
  readonly #sessions: Sessions
  readonly #gossip: Gossip
  readonly #dials: Dials
  readonly #greeters: Greeters
  readonly #connecting = new Connecting(peer => this.#sessions.get(peer) !== undefined)
  #gossiping = false
  readonly #discovery: Discovery
  #joining: Joining | undefined
  #listener: Listener | undefined
  #phase: 'new' | 'started' | 'stopped' = 'new'
  #leaving = false
  /** Fails the start that is under way. */
  #refuse: ((error: TroupeError) => void) | undefined

  constructor(options: MeshOptions, listeners: readonly MeshListener[]) {
    const { runtime, self, creation, limits = LIMITS } = options
    const profile = PROFILES[options.profile ?? 'lan']
    this.self = self
    this.creation = creation
    this.#options = options
    this.#ground = {
      runtime,
      limits,
      self,
      creation,
      cluster: clusterOf(options.cluster.name, options.cluster.parameters),
      keys: keysOf(options.secret),
      notes: new Notes(self, options.logger ?? SILENT, runtime.clock),
    }
    this.#announcer = new Announcer(this.#ground, listeners)
    this.#swim = new Swim({
      self: firstRecord(options),
      membersMax: limits.membersMax,
      profile,
      random: runtime.random.fork('swim'),
    })
    this.#sessions = new Sessions(this.#ground, this.#announcer, profile.tickMs, {
      heard: link => this.#gossip.heard(link),
      packet: (link, type, body) => this.#gossip.packet(link, type, body),
      leaving: link => this.#gossip.leaving(link),
      lost: (link, reason) => this.#lost(link, reason),
    })
    this.#gossip = new Gossip(this.#ground, this.#swim, profile, this.#sessions, this.#announcer, {
      introduced: record => this.#introduced(record),
      listed: peer => this.#joining?.listed(peer),
      left: name => this.#dials.forget(name),
    })
    const shared = {
      connections: this.#connectionOwner(),
      greeting: () => this.#greeting(),
      claim: (epoch: number): Claim => ({
        cluster: this.#ground.cluster,
        epoch,
        record: this.#swim.self,
        limits,
      }),
    }
    this.#dials = new Dials(this.#ground, this.#sessions, {
      ...shared,
      opened: (connection, opened, introduced) => this.#opened(connection, opened, introduced),
      connecting: this.#connecting,
      refused: name => this.#gossip.refused(name),
      misfit: error => this.#fail(error),
      isMembers: address => this.#isMembers(address),
    })
    this.#discovery = new Discovery(this.#ground, options.discovery ?? [], {
      found: (listed, first) => this.#found(listed, first),
    })
    this.#greeters = new Greeters(this.#ground, this.#sessions, this.#dials, {
      ...shared,
      admits: peer => this.#swim.admits(peer),
      opened: (connection, opened, introduced) => {
        if (opened.role === 'client') this.#sessions.openClient(connection, opened)
        else this.#opened(connection, opened, introduced)
      },
    })
  }

  get address(): Address | undefined {
    return this.#listener === undefined ? undefined : this.#swim.self.address
  }

  members(): MembersView {
    return this.#swim.view
  }

  session(node: NodeId): Session | undefined {
    return this.#sessions.get(node)
  }

  sessions(): readonly Session[] {
    return this.#sessions.sorted
  }

  leave(): void {
    if (this.#phase !== 'started' || this.#leaving) return
    this.#leaving = true
    this.#gossip.leave()
    for (const link of this.#sessions.sorted) link.announceLeaving()
  }

  update(changed: Described): void {
    this.#gossip.update(described('update', changed))
  }

  async start(): Promise<void> {
    if (this.#phase !== 'new') throw new TroupeError('ERR_STOPPED', 'start: this mesh was started before')
    this.#phase = 'started'
    const { listen, seeds = [], discovery = [] } = this.#options
    const joins = seeds.length + discovery.length > 0
    if (listen !== undefined) await this.#listen(listen)
    if (listen === undefined && !joins) return
    this.#startGossip()
    if (joins) await this.#join(seeds, discovery.length)
  }

  connect(to: NodeId | Address, done: (connected: boolean) => void): () => void {
    const later = (connected: boolean): void => this.#announcer.say(() => done(connected))
    const name = typeof to === 'string' ? to : undefined
    const known = name === undefined || name === this.self ? undefined : this.#swim.get(name)?.address
    const address = typeof to === 'string' ? known : to
    const connected = name === this.self || (name !== undefined && this.#sessions.get(name) !== undefined)
    if (connected || address === undefined || address.port === 0 || this.#phase !== 'started') {
      later(connected)
      return () => {}
    }
    this.#startGossip()
    const seed = seedKey(address)
    const key = name ?? (this.#dials.wants(seed) ? seed : `asked ${address.host}:${address.port}`)
    const withdraw = this.#connecting.ask(key, name, later)
    this.#dials.now({ key, kind: 'asked', name, address })
    return withdraw
  }

  disconnect(node: NodeId): boolean {
    const link = this.#sessions.get(node)
    link?.fail('disconnect', ASKED)
    return link !== undefined
  }

  async stop({ timeoutMs }: { readonly timeoutMs: number }): Promise<void> {
    if (this.#phase === 'stopped') return
    this.#phase = 'stopped'
    this.#fail(new TroupeError('ERR_STOPPED', 'start: the mesh was stopped'))
    this.#gossip.stop()
    this.#connecting.stop()
    this.#discovery.stop()
    this.#dials.stop()
    this.#greeters.stop()
    await this.#sessions.leave(timeoutMs)
    await this.#listener?.close()
    this.#listener = undefined
    await new Promise<void>(resolve => this.#announcer.say(resolve))
  }

  stats(): Readonly<Record<string, number>> {
    const { queuedBytes, refused, sentBytes } = this.#sessions.stats()
    const counters = this.#ground.notes.stats()
    const swim = Object.entries(this.#swim.stats()).map(([key, value]) => [`swim.${key}`, value])
    return {
      ...counters,
      ...Object.fromEntries(swim),
      sessions: this.#sessions.size,
      clients: this.#sessions.clients,
      unauthenticated: this.#greeters.size,
      dialling: this.#dials.size,
      dialTargets: this.#dials.targets,
      discovered: this.#dials.listed,
      queuedBytes,
      refusedFull: refused + (counters['refusedFull'] ?? 0),
      sentBytes: sentBytes + (counters['sentBytes'] ?? 0),
    }
  }

  /** A node that stands alone has nobody to speak to, until it is asked to connect. */
  #startGossip(): void {
    if (!this.#gossiping) this.#gossip.start()
    this.#gossiping = true
  }

  async #listen(address: Address): Promise<void> {
    const listener = await this.#ground.runtime.transport.listen(address, stream => this.#accept(stream))
    if (this.#phase === 'stopped') {
      await listener.close()
      throw new TroupeError('ERR_STOPPED', 'start: the mesh was stopped')
    }
    this.#listener = listener
    this.#swim.listens(this.#options.advertise ?? listener.address)
  }

  #accept(stream: Stream): void {
    if (this.#phase === 'stopped') stream.destroy()
    else this.#greeters.accept(stream)
  }

  #join(seeds: readonly Address[], sources: number): Promise<void> {
    const { clock } = this.#ground.runtime
    const { log } = this.#ground.notes
    const joined = new Promise<void>((resolve, reject) => {
      this.#joining = new Joining(seeds, sources, () => {
        if (this.#sessions.size === 0)
          log.warn(`${this.self}: ${this.#dials.whyNot()}; alone for now, and goes on trying`)
        this.#announcer.say(resolve)
      })
      this.#refuse = reject
    })
    const deadline = clock.after(JOIN_MS, () => this.#joining?.finish())
    this.#dials.join(this.#joining!, seeds)
    this.#discovery.start()
    return joined.finally(() => deadline.clear())
  }

  #found(listed: readonly Address[], first: boolean): void {
    this.#joining?.found(this.#dials.found(listed))
    if (first) this.#joining?.heard()
  }

  #isMembers({ host, port }: Address): boolean {
    const records = [this.#swim.self, ...this.#sessions.sorted.map(({ peer }) => this.#swim.get(peer))]
    return records.some(record => record?.address.host === host && record.address.port === port)
  }

  #fail(error: TroupeError): void {
    this.#joining?.abandon()
    this.#refuse?.(error)
  }

  #greeting(): Greeting {
    const { self: id, creation } = this
    const { random, speech } = this.#ground.runtime
    return { role: 'member', id, creation, nonce: random.bytes(NONCE_BYTES), speech }
  }

  #connectionOwner(): ConnectionOwner {
    const { notes } = this.#ground
    return {
      handshake: (connection, type, body) => {
        if (!this.#dials.handshake(connection, type, body)) this.#greeters.handshake(connection, type, body)
      },
      refused: (connection, refused) => {
        if (this.#dials.refused(connection, refused)) return
        this.#greeters.forget(connection)
        notes.warn(refused.why, connection.stream.remote)
      },
      failed: (connection, why, ours) => {
        notes.count(ours ? 'handshakesFailed' : 'notOurs')
        this.#dials.failed(connection, why)
        this.#greeters.forget(connection)
        if (!ours) notes.warn(why, connection.stream.remote)
      },
    }
  }

  #opened(connection: Connection, opened: Opened, introduced: boolean): void {
    const link = this.#sessions.open(connection, opened)
    this.#dials.opened(link.peer)
    this.#gossip.opened(link, opened.record!, introduced)
    this.#connecting.opened(link.peer)
    if (this.#leaving) link.announceLeaving()
    const { loop, buggify } = this.#ground.runtime
    if (buggify?.('session-cut')) loop.soon(() => link.fail('disconnect', 'cut short'))
  }

  /** Where others saw another life of a node that is gone it is dialled, too, besides where it was. */
  #introduced(record: Member): void {
    const { name, address } = record
    if (this.#sessions.get(name) !== undefined) return
    const known = this.#dials.addressOf(name)
    const moved = known !== undefined && (known.host !== address.host || known.port !== address.port)
    const key = moved ? `${name} moved` : name
    if (this.#dials.wants(key)) return
    this.#dials.want({ key, kind: 'introduced', name, address })
    if (record.state !== 'down' && this.#dials.wants(key)) this.#joining?.await(name)
  }

  /** Who went without a goodbye is dialled, at once and for long; a seed that it was, in any case. */
  #lost(link: Link, reason: DownReason): void {
    const { peer } = link
    this.#dials.lost(peer)
    this.#joining?.lost(peer)
    this.#gossip.lost(link, reason)
    const address = this.#swim.get(peer)?.address ?? link.record!.address
    if (reason === 'left' || reason === 'replaced' || address.port === 0) return
    this.#dials.want({ key: peer, kind: 'gone', name: peer, address })
  }
}
