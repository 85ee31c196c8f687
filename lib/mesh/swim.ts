/**
 * Who is there, by SWIM with Lifeguard over the sessions. Pure: events in, effects out; the shell is `gossip.ts`.
 *
 *   bytes, acks ──► proof of life ──────────────► alive ◄── refutation: a higher incarnation, by its owner
 *   silence ──► probe ──► three helpers ──► accusation ──► suspect ── time, less with each accuser ──► down
 *   closed without goodbye, address refuses, no helper has a session ──────────────────────────────────► down
 *   goodbye, or any of these once it said that it is leaving ──────────────────────────────────────────► left
 *
 * Laws. A record is advanced by its owner alone: first hand over its session, or by hearsay with a higher incarnation,
 * which jumps by no more than `JUMP_MAX`. Hearsay never does more than suspect; whoever has just heard the accused
 * does not even do that, and lets it know, so that it refutes. Hearsay never brings anybody up: that takes a handshake,
 * so no replay does. Nobody goes down sooner than `downMinMs` after a sign of life, but for the fast way. Only time
 * that this node was awake for counts.
 *
 * Two members whose link is cut stay members of each other while others reach both: a suspicion needs indirect probes
 * that fail, too. They have no session, and nothing is relayed; they are dialled until they have one.
 */
import { compareIds, type NodeId, U48_MAX } from '../base/ids.js'
import type { DownReason, Member, MembersView } from '../base/member.js'
import type { Address, Random } from '../base/runtime.js'
import { Draw } from './draw.js'
import { GossipQueue } from './gossip-queue.js'
import { type Change, isUp, Membership } from './membership.js'
import type { Claim, Packet } from './packets.js'
import { HELPERS, Probes } from './probes.js'
import type { Profile } from './profile.js'
import { Suspicion } from './suspicion.js'
import { Wakefulness } from './wakefulness.js'

export type Effect =
  | { readonly tag: 'send'; readonly to: NodeId; readonly packet: Packet }
  /** All that is known is told to that member, as a packet of `list`. */
  | { readonly tag: 'list'; readonly to: NodeId; readonly pull: boolean }
  | { readonly tag: 'change'; readonly change: Change }
  /** Another member told of somebody that is not one: to be dialled. */
  | { readonly tag: 'introduce'; readonly record: Member }
  /** The session with that member is of no use any more. */
  | { readonly tag: 'end'; readonly peer: NodeId; readonly reason: DownReason }

export interface SwimOptions {
  /** Its own record, as it is announced first. */
  readonly self: Member
  readonly membersMax: number
  readonly profile: Profile
  readonly random: Random
}

/** Nobody refutes so often between two contacts: a claim that is further ahead is made up. */
const JUMP_MAX = 1_000
const HEALTH_MAX = 7
/** Members that hear of a claim at each tick. */
const FANOUT = 3
const NONE: readonly Effect[] = []

/** What is known of a member that is up, beyond its record. */
interface Watched {
  open: boolean
  /** Its session closed, not by us and without a goodbye: an address that refuses may mean that it is gone. */
  hint: boolean
  /** The last byte of its session, and the last sign of life from anywhere. */
  heardMs: number
  provedMs: number
  /** The last probe failed, and there was no sign of life since. */
  missed: boolean
  suspicion: Suspicion | undefined
}

/** By nobody, when a list only says what its sender believes. */
type Accusation = Omit<Exclude<Claim, { readonly tag: 'alive' }>, 'from'> & {
  readonly from: NodeId | undefined
}

export class Swim {
  readonly #profile: Profile
  readonly #draw: Draw
  readonly #membership: Membership
  readonly #wakefulness: Wakefulness
  readonly #probes: Probes
  readonly #queue = new GossipQueue()
  readonly #watched = new Map<NodeId, Watched>()
  readonly #counters = { probes: 0, probesFailed: 0, suspicions: 0, refutations: 0, clashes: 0, jumps: 0 }
  #out: Effect[] = []
  #nowMs = 0
  #health = 0
  #probeMs = 0
  #exchangeMs: number | undefined
  /** Kept while no session opens or closes. */
  #sessions: readonly NodeId[] | undefined

  constructor({ self, membersMax, profile, random }: SwimOptions) {
    this.#profile = profile
    this.#draw = new Draw(random)
    this.#membership = new Membership(self, membersMax)
    this.#wakefulness = new Wakefulness(profile.tickMs, profile.heartbeatMs)
    this.#probes = new Probes(profile, {
      isOpen: name => this.#watched.get(name)?.open === true,
      helpers: target => this.#helpers(target),
      send: (to, packet) => this.#send(to, packet),
      ping: (to, seq) => this.#send(to, { tag: 'ping', seq, claims: this.#claims() }),
      provedMs: name => this.#watched.get(name)?.provedMs ?? 0,
      answered: name => this.#answered(name),
      proved: name => this.#proved(name),
      failed: (name, unheard) => this.#failed(name, unheard),
      deserted: name => this.#down(name, 'refused'),
    })
  }

  get self(): Member {
    return this.#membership.self
  }

  get view(): MembersView {
    return this.#membership.view
  }

  /** 0: this node trusts itself. Each point makes it wait as long again for answers, up to 8 times. */
  get health(): number {
    return this.#health
  }

  get(name: NodeId): Member | undefined {
    return this.#membership.get(name)
  }

  admits(name: NodeId): boolean {
    return this.#membership.admits(name)
  }

  /** All that is known, those that are gone included. */
  list(pull: boolean): Packet {
    return { tag: 'state', records: this.#membership.all(), pull, last: true }
  }

  stats(): Readonly<Record<string, number>> {
    return { ...this.#counters, health: this.#health, claims: this.#queue.size }
  }

  // What this node does itself.

  /** Where it listens. Before the first session. */
  listens(address: Address): void {
    this.#membership.own(Object.freeze({ ...this.self, address }))
  }

  /** A new record of its own: everybody hears of it. */
  update(changed: Partial<Pick<Member, 'tags' | 'meta'>>): readonly Effect[] {
    return this.#event(undefined, () => this.#advance(this.self.incarnation, changed))
  }

  /** It will go. Not gossiped: each session is told, see `FrameType.leaving`. */
  leave(): readonly Effect[] {
    return this.#event(undefined, () =>
      this.#tell(this.#membership.own(Object.freeze({ ...this.self, state: 'leaving' }))),
    )
  }

  // What the sessions tell.

  /** A handshake with that node. `introduced`: others told of it before, and hence know it. */
  opened(record: Member, introduced: boolean, nowMs: number): readonly Effect[] {
    return this.#event(nowMs, () => {
      const { name, creation } = record
      const before = this.#membership.get(name)
      const known = isUp(before) && before.creation === creation ? this.#watched.get(name) : undefined
      this.#tell(this.#membership.handshaken(record))
      const watched = known ?? this.#watch(name)
      watched.open = true
      this.#sessions = undefined
      watched.hint = false
      watched.heardMs = this.#nowMs
      this.#proved(name)
      this.#list(name, false)
      this.#overtake(before, record)
      if (before?.creation !== creation && !introduced) this.#announce(record)
    })
  }

  /** Bytes came: by far the most frequent of all events, and nearly always of no consequence. */
  heard(name: NodeId, nowMs: number): readonly Effect[] {
    const watched = this.#watched.get(name)
    if (watched === undefined) return NONE
    this.#nowMs = this.#wakefulness.at(nowMs)
    watched.heardMs = this.#nowMs
    watched.provedMs = this.#nowMs
    watched.missed = false
    return watched.suspicion === undefined ? NONE : this.#event(nowMs, () => this.#proved(name))
  }

  closed(name: NodeId, reason: DownReason, nowMs: number): readonly Effect[] {
    return this.#event(nowMs, () => {
      const watched = this.#watched.get(name)
      if (watched === undefined || !watched.open) return
      watched.open = false
      this.#sessions = undefined
      watched.hint = reason === 'connection_closed'
      this.#probes.closed(name)
      if (reason === 'left' || reason === 'replaced') this.#down(name, reason)
      else this.#probe(name) // while it is dialled, others are asked
    })
  }

  /** That member says that it will go. */
  leaving(name: NodeId, nowMs: number): readonly Effect[] {
    return this.#event(nowMs, () => this.#tell(this.#membership.leaving(name)))
  }

  /** Somebody answered at the address of that member that nobody is there. */
  refused(name: NodeId, nowMs: number): readonly Effect[] {
    return this.#event(nowMs, () => {
      const watched = this.#watched.get(name)
      if (watched !== undefined && !watched.open && watched.hint) {
        this.#probes.refused(name, this.#nowMs, this.#health + 1)
      }
    })
  }

  receive(from: NodeId, packet: Packet, nowMs: number): readonly Effect[] {
    return this.#event(nowMs, () => {
      if (this.#watched.get(from)?.open !== true) return
      if (packet.tag === 'state') this.#merge(from, packet.records, packet.pull)
      else if (packet.tag === 'request')
        this.#probes.request(from, packet.seq, this.#sameLife(packet.target, packet.creation), this.#nowMs)
      else if (packet.tag === 'nack') this.#probes.nack(from, packet.seq, packet.session)
      else {
        for (const claim of packet.claims) this.#hear(from, claim)
        if (packet.tag === 'ping') this.#send(from, { tag: 'ack', seq: packet.seq, claims: this.#claims() })
        if (packet.tag === 'ack') this.#probes.ack(from, packet.seq)
      }
    })
  }

  /** Every `tickMs`. `lagMs`: how late this node's loop last ran. */
  tick(nowMs: number, lagMs: number): readonly Effect[] {
    const sleptMs = this.#wakefulness.tick(nowMs)
    return this.#event(nowMs, () => {
      if (sleptMs > 0 || lagMs > this.#profile.tickMs) this.#worsen(1)
      if (!this.#wakefulness.patient(this.#nowMs)) {
        this.#probes.tick(this.#nowMs, this.#health + 1)
        for (const [name, watched] of this.#watched) this.#judge(name, watched) // which may delete that one
        this.#probeNext()
      }
      this.#spread()
      this.#exchange()
      this.#membership.expire(this.#nowMs)
    })
  }

  // Judging.

  #judge(name: NodeId, watched: Watched): void {
    const { silentMs, suspectMs, downMinMs, sessionMs } = this.#profile
    const now = this.#nowMs
    const unprovedMs = now - watched.provedMs
    if (unprovedMs >= silentMs && !watched.missed) this.#probe(name)
    if (watched.missed && unprovedMs >= suspectMs) this.#accuseMyself(name, watched)
    const { suspicion } = watched
    if (suspicion !== undefined && now - suspicion.startMs >= suspicion.lastsMs && unprovedMs >= downMinMs) {
      this.#down(name, suspicion.left ? 'left' : 'timeout')
    } else if (watched.open && suspicion === undefined && now - watched.heardMs >= sessionMs) {
      this.#out.push({ tag: 'end', peer: name, reason: 'timeout' })
    }
  }

  #probe(name: NodeId): void {
    if (this.#probes.has(name)) return
    this.#counters.probes += 1
    this.#probes.begin(name, this.#nowMs, this.#health + 1)
  }

  #probeNext(): void {
    if (this.#nowMs - this.#probeMs < this.#profile.probeMs) return
    this.#probeMs = this.#nowMs
    const next = this.#draw.next(this.#watched, name => !this.#probes.has(name))
    if (next !== undefined) this.#probe(next)
  }

  #answered(name: NodeId): void {
    this.#health = Math.max(0, this.#health - 1)
    this.#proved(name)
  }

  #proved(name: NodeId): void {
    const watched = this.#watched.get(name)
    if (watched === undefined) return
    watched.provedMs = this.#nowMs
    watched.missed = false
    watched.suspicion = undefined
    this.#tell(this.#membership.alive(name))
  }

  /** Helpers that said nothing at all tell of this node rather than of the target. */
  #failed(name: NodeId, unheard: number): void {
    this.#counters.probesFailed += 1
    this.#worsen(unheard)
    const watched = this.#watched.get(name)
    if (watched !== undefined) watched.missed = true
  }

  #worsen(points: number): void {
    this.#health = Math.min(HEALTH_MAX, this.#health + points)
  }

  #accuseMyself(name: NodeId, watched: Watched): void {
    const member = this.#membership.get(name)
    if (member === undefined) return
    const claim = { ...accusation('suspect', member), from: this.self.name }
    if (!this.#suspect(claim, watched, watched.open ? 'timeout' : 'connection_closed')) return
    if (watched.open) this.#send(name, { tag: 'gossip', claims: [claim] }) // it may yet refute
  }

  /** True when it is a new accusation, or a new accuser. */
  #suspect(claim: Accusation, watched: Watched, reason: DownReason): boolean {
    const { suspicion } = watched
    if (suspicion !== undefined) {
      suspicion.incarnation = Math.max(suspicion.incarnation, claim.incarnation)
      suspicion.left ||= claim.tag === 'left'
      if (claim.from === undefined || !suspicion.confirm(claim.from)) return false
    } else {
      const { up } = this.#membership
      const fresh = new Suspicion(claim.from, claim.incarnation, up, this.#profile, this.#nowMs)
      fresh.left = claim.tag === 'left'
      watched.suspicion = fresh
      this.#counters.suspicions += 1
      this.#tell(this.#membership.suspect(claim.name, reason))
    }
    if (claim.from === undefined) return true
    this.#queue.push({ ...claim, from: claim.from, tag: claim.tag === 'left' ? 'left' : 'suspect' })
    return true
  }

  #down(name: NodeId, cause: DownReason): void {
    const reason = this.#membership.isLeaving(name) ? 'left' : cause
    const watched = this.#watched.get(name)
    const member = this.#membership.get(name)
    if (watched === undefined || member === undefined) return
    this.#watched.delete(name)
    this.#sessions = undefined
    this.#probes.forget(name)
    if (watched.open) this.#out.push({ tag: 'end', peer: name, reason })
    this.#tell(this.#membership.down(name, reason, this.#nowMs))
    const from = reason === 'left' ? name : this.self.name
    this.#queue.push({ ...accusation(reason === 'left' ? 'left' : 'dead', member), from })
  }

  // Hearing.

  #merge(from: NodeId, records: readonly Member[], pull: boolean): void {
    for (const record of records) {
      this.#hear(from, { tag: 'alive', record })
      if (record.state === 'alive' || record.name === from) continue
      // Who is said to be dead gets time to refute; and the sender passes on a belief, which is nobody's probe.
      const tag = record.state === 'left' ? 'left' : 'suspect'
      this.#hear(from, { ...accusation(tag, record), from: undefined })
    }
    if (pull) this.#list(from, false)
  }

  #hear(from: NodeId, claim: Claim | Accusation): void {
    const { name, creation, incarnation } = claim.tag === 'alive' ? claim.record : claim
    if (name === this.self.name) this.#hearOfMyself(creation, incarnation, claim.tag !== 'alive')
    else if (claim.tag === 'alive') this.#learn(claim.record, from === name)
    else this.#hearAccusation(claim)
  }

  /** Whatever is said of us that we did not say is overtaken. */
  #hearOfMyself(creation: number, incarnation: number, accused: boolean): void {
    const mine = creation === this.self.creation
    if (incarnation < this.self.incarnation) return
    if (!accused && (!mine || incarnation === this.self.incarnation)) return
    if (this.#jumps(incarnation, this.self.incarnation)) return
    if (accused && mine) {
      this.#counters.refutations += 1
      this.#worsen(1)
    }
    this.#advance(incarnation, {})
  }

  #advance(above: number, changed: Partial<Member>): void {
    const incarnation = Math.min(U48_MAX, above + 1)
    const record = Object.freeze({ ...this.self, ...changed, incarnation })
    this.#tell(this.#membership.own(record))
    this.#queue.push({ tag: 'alive', record })
  }

  #learn(record: Member, firstHand: boolean): void {
    const known = this.#membership.get(record.name)
    if (!isUp(known)) {
      if (this.#membership.introduces(record)) this.#out.push({ tag: 'introduce', record })
      return
    }
    const moved = record.address.host !== known.address.host || record.address.port !== known.address.port
    if (known.creation !== record.creation || (moved && !firstHand)) {
      // Somebody else of that name, or a made-up address: the first stays, and nobody is told.
      this.#counters.clashes += 1
      return
    }
    if (record.incarnation <= known.incarnation) return
    if (!firstHand && this.#jumps(record.incarnation, known.incarnation)) return
    this.#tell(this.#membership.learnt(record))
    this.#queue.push({ tag: 'alive', record })
    const suspicion = this.#watched.get(record.name)?.suspicion
    if (suspicion !== undefined && record.incarnation > suspicion.incarnation) this.#proved(record.name)
  }

  #hearAccusation(claim: Accusation): void {
    const { name, creation, incarnation, from } = claim
    const known = this.#membership.get(name)
    const watched = this.#watched.get(name)
    if (!isUp(known) || watched === undefined || known.creation !== creation) return
    if (incarnation < known.incarnation || this.#jumps(incarnation, known.incarnation)) return
    // Accusers are members, and others: an echo of our own accusation confirms nothing.
    if (from !== undefined && !isUp(this.#membership.get(from))) return
    // A departure follows a sign of life, and there is no session that could tell of it.
    const departed = claim.tag === 'left' && !watched.open
    if (departed || this.#nowMs - watched.provedMs >= this.#profile.silentMs) {
      this.#suspect(claim, watched, 'accused')
    } else if (watched.open) {
      // We know better, and it can prove it to the others.
      this.#send(name, { tag: 'gossip', claims: [{ ...claim, from: from ?? this.self.name }] })
    }
  }

  #jumps(incarnation: number, known: number): boolean {
    if (incarnation - known <= JUMP_MAX) return false
    this.#counters.jumps += 1
    return true
  }

  // Telling.

  /** What was said of an earlier life, or of this one when it was down, outweighs its record elsewhere until it is above. */
  #overtake(before: Member | undefined, record: Member): void {
    if (before === undefined || before.incarnation < record.incarnation) return
    if (before.creation === record.creation && isUp(before)) return
    const claim = { ...accusation('dead', before), from: this.self.name }
    this.#send(record.name, { tag: 'gossip', claims: [claim] })
  }

  #announce(record: Member): void {
    const claims: readonly Claim[] = [{ tag: 'alive', record }]
    for (const name of this.#open()) if (name !== record.name) this.#send(name, { tag: 'gossip', claims })
  }

  #spread(): void {
    if (this.#queue.size === 0) return
    for (const name of this.#draw.some(this.#open(), FANOUT)) {
      const claims = this.#claims()
      if (claims.length > 0) this.#send(name, { tag: 'gossip', claims })
    }
  }

  #exchange(): void {
    this.#exchangeMs ??= this.#nowMs
    if (this.#nowMs - this.#exchangeMs < this.#profile.pushPullMs) return
    this.#exchangeMs = this.#nowMs
    for (const name of this.#draw.some(this.#open(), 1)) this.#list(name, true)
  }

  /** Those with a session, sorted. */
  #open(): readonly NodeId[] {
    if (this.#sessions === undefined) {
      const open = [...this.#watched].flatMap(([name, watched]) => (watched.open ? [name] : []))
      this.#sessions = open.sort(compareIds)
    }
    return this.#sessions
  }

  #claims(): readonly Claim[] {
    return this.#queue.take(this.#membership.up)
  }

  #helpers(target: NodeId): { readonly names: readonly NodeId[]; readonly creation: number } {
    const names = this.#draw.some(this.#open(), HELPERS, name => {
      return name !== target && this.#watched.get(name)?.suspicion === undefined
    })
    return { names, creation: this.#membership.get(target)?.creation ?? 0 }
  }

  /** The target, or nobody where another life of it is meant. */
  #sameLife(target: NodeId, creation: number): NodeId {
    return this.#membership.get(target)?.creation === creation ? target : this.self.name
  }

  #watch(name: NodeId): Watched {
    this.#draw.join(name)
    const watched = {
      open: true,
      hint: false,
      heardMs: this.#nowMs,
      provedMs: this.#nowMs,
      missed: false,
      suspicion: undefined,
    }
    this.#probes.forget(name)
    this.#watched.delete(name)
    this.#watched.set(name, watched)
    return watched
  }

  #list(to: NodeId, pull: boolean): void {
    this.#out.push({ tag: 'list', to, pull })
  }

  #send(to: NodeId, packet: Packet): void {
    this.#out.push({ tag: 'send', to, packet })
  }

  #tell(changes: readonly Change[]): void {
    for (const change of changes) this.#out.push({ tag: 'change', change })
  }

  #event(nowMs: number | undefined, fn: () => void): readonly Effect[] {
    if (nowMs !== undefined) this.#nowMs = this.#wakefulness.at(nowMs)
    fn()
    if (this.#out.length === 0) return NONE
    const out = this.#out
    this.#out = []
    return out
  }
}

const accusation = (
  tag: Accusation['tag'],
  { name, creation, incarnation }: Member,
): Omit<Accusation, 'from'> => ({ tag, name, creation, incarnation })
