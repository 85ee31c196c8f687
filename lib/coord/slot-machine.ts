/**
 * The slot protocol of one node, as one synchronous state machine: events in (with the time), effects out.
 *
 *   mesh      started  memberUp memberSuspect memberAlive memberDown  sessionUp sessionDown  receive   ring
 *                                        |
 *                            +-----------------------+
 *   owners -- ask, release ->|  callers   member     |-- answer, lost, revive -> owners
 *   clock  -- tick --------->|     registrar         |-- changed -------------> readers of the table
 *                            +-----------------------+-- send ----------------> mesh
 *
 * Laws
 *  - Nothing is granted before the holder's node and every member that is up accepted it in the registrar's term.
 *  - What a node says of its own owners is true; what others say of them counts only while it cannot be asked.
 *  - A session that opens proves that its peer is there; `member:down` of a peer comes after the end of its session.
 *  - Everything outstanding towards a peer goes out again on its next session. Everything may come twice.
 *
 * Effects are called in the midst of an event and must not call back into the machine; `slots.ts` queues them.
 */
import { TroupeError } from '../base/errors.js'
import type { NodeId } from '../base/ids.js'
import { Alarms } from './alarms.js'
import { Callers, type NewAsk } from './callers.js'
import { Member } from './member.js'
import { Registrar } from './registrar.js'
import { type Entry, type Life, type Owner, ownerOf, sameLife } from './slot-data.js'
import { slotOf } from './slot-hash.js'
import type { SlotMessage } from './slot-messages.js'
import type {
  Core,
  Counters,
  Resolver,
  Slot,
  SlotEffects,
  SlotLimits,
  SlotQuorum,
  SlotTimes,
} from './slot-state.js'
import { Table } from './table.js'
import { isUp, type Peer, View } from './view.js'

/** By how much a term may outrun what is known here; they grow by one. */
const LEAP_MAX = 2 ** 32

const ALWAYS: SlotQuorum = { quorate: true, reached: () => true }

export interface SlotMachineOptions {
  readonly self: Life
  readonly slots: number
  readonly resolver: Resolver
  readonly times: SlotTimes
  readonly limits: SlotLimits
  /** Default: every side may decide. */
  readonly quorum?: SlotQuorum | undefined
  readonly effects: SlotEffects
  /** Uniform in [0, 1). */
  readonly random: () => number
}

export class SlotMachine {
  readonly #core: Core
  readonly #table: Table
  readonly #view: View
  readonly #callers: Callers
  readonly #registrar: Registrar
  readonly #member: Member
  readonly #alarms = new Alarms()
  readonly #slots: readonly Slot[]
  /** What this node says to itself, after what it is doing now. */
  readonly #inbox: SlotMessage[] = []
  #stable: { stop(): void } | undefined

  constructor(options: SlotMachineOptions) {
    const { effects, slots } = options
    this.#slots = Array.from({ length: slots }, (_, index) => newSlot(index))
    this.#view = new View(options.self, options.limits.goneMax)
    this.#table = new Table(slots, key => effects.changed(key, this.entry(key)))
    const counters = newCounters()
    const core: Omit<Core, 'callers'> = {
      ...options,
      quorum: options.quorum ?? ALWAYS,
      view: this.#view,
      table: this.#table,
      alarms: this.#alarms,
      counters,
      now: 0,
      started: false,
      ring: [],
      slotOf: key => this.#slot(slotOf(key, slots)),
      slotAt: index => this.#slot(index),
      post: (to, message) => this.#post(to, message),
      learn: life => this.#learn(life),
    }
    // The halves know each other through the core, which is whole before the first event.
    this.#core = core as Core
    this.#callers = new Callers(this.#core, (key, serial, keep) => this.#broadcastRelease(key, serial, keep))
    Object.assign(core, { callers: this.#callers })
    this.#registrar = new Registrar(this.#core, slot => this.#member.answer(slot))
    this.#member = new Member(this.#core, this.#registrar)
  }

  // ---- the mesh ----

  /** The mesh has joined, or is alone. Before that nothing is sealed and requests wait. */
  start(now: number): void {
    this.#event(now, () => {
      this.#core.started = true
      this.#quorumChanged()
    })
  }

  /** This side has lost its quorum, or has it again: `quorum` says which. */
  quorumChanged(now: number): void {
    this.#event(now, () => {
      if (this.#core.started) this.#quorumChanged()
    })
  }

  memberUp(now: number, life: Life): void {
    this.#event(now, () => this.#up(this.#view.of(life)))
  }

  memberSuspect(now: number, life: Life): void {
    this.#event(now, () => {
      const peer = this.#view.of(life)
      if (isUp(peer)) this.#rejudge(peer, 'suspect')
    })
  }

  memberAlive(now: number, life: Life): void {
    this.#event(now, () => {
      const peer = this.#view.of(life)
      if (isUp(peer)) this.#rejudge(peer, 'alive')
    })
  }

  /** It will go: `ring` follows, without it. */
  memberLeaving(now: number, life: Life): void {
    this.#event(now, () => {
      this.#view.of(life).leaving = true
      for (const slot of this.#inOrder()) this.#registrar.settle(slot)
    })
  }

  memberDown(now: number, life: Life): void {
    this.#event(now, () => this.#down(this.#view.of(life)))
  }

  sessionUp(now: number, life: Life): void {
    this.#event(now, () => {
      const peer = this.#view.of(life)
      peer.session = false
      if (!isUp(peer)) this.#up(peer)
      peer.session = true
      for (const slot of this.#inOrder()) this.#registrar.resend(slot, peer)
      this.#hint(peer)
      this.#callers.resend(peer)
      this.#member.forgetDigest(peer)
      const entries = this.#callers.holdings(key => this.#isRegistrar(peer, key))
      this.#post(peer, { type: 'digest', entries, asking: this.#callers.asking(), last: true })
    })
  }

  sessionDown(now: number, life: Life): void {
    this.#event(now, () => {
      const peer = this.#view.of(life)
      peer.session = false
      this.#member.forgetDigest(peer)
    })
  }

  /** In the order of the session, and only while it is open. */
  receive(now: number, life: Life, message: SlotMessage): void {
    this.#checkTerm(message)
    this.#event(now, () => this.#handle(this.#learn(life), message))
  }

  /** The preferred owner of each slot, computed from the members that are up. */
  ring(now: number, preferred: readonly NodeId[]): void {
    this.#event(now, () => {
      this.#core.ring = preferred
      this.#viewChanged()
    })
  }

  tick(now: number): void {
    this.#event(now, () => this.#alarms.run(now))
  }

  /** When `tick` has something to do. */
  wakeAt(): number | undefined {
    return this.#alarms.next()
  }

  // ---- owners ----

  /** Asks the registrar of the key's slot; `effects.answer` ends it, not before this returned. */
  ask(now: number, ask: NewAsk): number {
    let id = 0
    this.#event(now, () => {
      id = this.#callers.ask(ask)
    })
    return id
  }

  /** An owner here gives one key up. With `keep` a record with a value stays, for `replace` by this node. */
  release(now: number, key: string, serial: number | undefined, keep: boolean): void {
    this.#event(now, () => this.#callers.drop(key, serial, keep))
  }

  /** An owner here ended: `keep` says of which keys the record stays. */
  ended(now: number, serial: number, keep: (key: string) => boolean): void {
    this.#event(now, () => {
      for (const key of this.#callers.keysOf(serial)) this.#callers.drop(key, serial, keep(key))
    })
  }

  // ---- reading ----

  /** Undefined is free, as far as this node knows. */
  entry(key: string): Entry | undefined {
    const entry = this.#table.get(key)
    return entry === undefined || (entry.value === undefined && this.#homeless(entry)) ? undefined : entry
  }

  /** The owner, unless the key is free or between owners. */
  owner(key: string): Owner | undefined {
    const entry = this.#table.get(key)
    return entry === undefined || this.#homeless(entry) ? undefined : ownerOf(entry)
  }

  isLeaving(life: Life): boolean {
    return this.#view.of(life).leaving
  }

  #homeless(entry: Entry): boolean {
    return this.#view.of(entry.home).state === 'gone'
  }

  /** What this node holds: its own copy of the entry, with `since`. */
  holding(key: string): Entry | undefined {
    return this.#callers.mine(key)
  }

  /** All of them, those hidden included. */
  entries(): Entry[] {
    return this.#table.all()
  }

  /** The registrar that this node knows of. */
  term(slot: number): { readonly n: number; readonly node: NodeId; readonly open: boolean } | undefined {
    const { promised, role } = this.#slot(slot)
    return promised && { n: promised.n, node: promised.node, open: role?.open === true }
  }

  /** Slots of which nobody who is there is known to decide. */
  closed(): number {
    let closed = 0
    for (const { promised, role } of this.#inOrder()) {
      const peer = promised === undefined ? undefined : this.#view.of(promised)
      if (peer === undefined || !isUp(peer) || (peer === this.#view.me && role?.open !== true)) closed += 1
    }
    return closed
  }

  stats(): Readonly<Record<string, number>> {
    return {
      ...this.#core.counters,
      entries: this.#table.size,
      held: this.#callers.held,
      asking: this.#callers.waiting,
      waiting: this.#registrar.waiting,
      alarms: this.#alarms.size,
    }
  }

  // ---- inside ----

  /** One more than the highest term must always be sayable: a leap towards the end of all numbers is no term. */
  #checkTerm(message: SlotMessage): void {
    const term = message.type === 'seal' ? message : message.type === 'nack' ? message.promised : undefined
    if (term === undefined || !('slot' in message)) return
    const { promised, seen } = this.#slot(message.slot)
    if (term.n <= Math.max(promised?.n ?? 0, seen) + LEAP_MAX) return
    throw new TroupeError('ERR_FRAME', `the term ${term.n} of slot ${message.slot} cannot be true`, {
      slot: message.slot,
      n: term.n,
    })
  }

  #event(now: number, run: () => void): void {
    this.#core.now = now
    run()
    for (let message = this.#inbox.shift(); message !== undefined; message = this.#inbox.shift()) {
      this.#handle(this.#view.me, message)
    }
  }

  #handle(from: Peer, message: SlotMessage): void {
    switch (message.type) {
      case 'seal':
        this.#member.onSeal(from, message)
        return
      case 'sealed':
        this.#registrar.onSealed(from, message)
        return
      case 'nack':
        this.#registrar.onNack(from, message)
        return
      case 'accept':
        this.#member.onAccept(from, message)
        return
      case 'ack':
        this.#registrar.onAck(from, message)
        return
      case 'confirm':
        this.#member.onConfirm(from, message)
        return
      case 'held':
        this.#registrar.onHeld(from, message)
        return
      case 'lose':
        this.#member.onLose(from, message)
        return
      case 'lost':
        this.#registrar.onLost(from, message)
        return
      case 'ask':
        this.#registrar.onAsk(from, message)
        return
      case 'told':
        this.#callers.told(from, message)
        return
      case 'release':
        this.#member.onRelease(from, message)
        return
      case 'digest':
        this.#member.onDigest(from, message)
        return
      default:
        message satisfies never
    }
  }

  #post(to: Peer, message: SlotMessage): void {
    if (to === this.#view.me) this.#inbox.push(message)
    else if (to.session) this.#core.effects.send(to, message)
  }

  #slot(index: number): Slot {
    const slot = this.#slots[index]
    if (slot === undefined) throw new TroupeError('ERR_FRAME', `there is no slot ${index}`)
    return slot
  }

  /** All slots, in order: none before there is a ring. */
  #inOrder(): readonly Slot[] {
    return this.#core.ring.length === 0 ? NO_SLOTS : this.#slots
  }

  #up(peer: Peer): void {
    if (peer === this.#view.me) return
    for (const earlier of this.#view.earlier(peer)) if (!earlier.learnt || !peer.learnt) this.#down(earlier)
    const known = isUp(peer)
    peer.learnt = false
    if (known) return
    this.#come(peer)
  }

  #come(peer: Peer): void {
    peer.leaving = false
    this.#view.set(peer, 'alive')
    for (const slot of this.#inOrder()) this.#registrar.joined(slot, peer)
    this.#showAgain(peer)
    this.#viewChanged()
  }

  #rejudge(peer: Peer, state: 'alive' | 'suspect'): void {
    this.#view.set(peer, state)
    for (const slot of this.#inOrder()) this.#registrar.settle(slot)
  }

  #down(peer: Peer): void {
    if (peer === this.#view.me || peer.state === 'gone') return
    this.#view.set(peer, 'gone')
    this.#showAgain(peer)
    for (const slot of this.#inOrder()) this.#registrar.left(slot, peer)
    this.#viewChanged()
  }

  /** What `peer` holds is hidden while it is gone, and in sight again when it is back. */
  #showAgain(peer: Peer): void {
    for (const entry of this.#table.all()) {
      if (sameLife(entry.home, peer)) this.#core.effects.changed(entry.key, this.entry(entry.key))
    }
  }

  /** Named by a message and unknown: counted as there, so that nothing is decided without it. */
  #learn(life: Life): Peer {
    const peer = this.#view.of(life)
    if (peer.state !== 'unknown') return peer
    const { times, now, counters } = this.#core
    counters.learnt++
    peer.learnt = true
    this.#come(peer)
    this.#alarms.set(now + times.learnMs, () => {
      if (peer.learnt && !peer.session) this.#down(peer)
    })
    return peer
  }

  #isRegistrar(peer: Peer, key: string): boolean {
    const { promised } = this.#core.slotOf(key)
    return promised !== undefined && sameLife(promised, peer)
  }

  /** Without a quorum this node is no registrar, and asks nobody. With it, it seals what is its own in a new term. */
  #quorumChanged(): void {
    if (this.#core.quorum.quorate) return this.#viewChanged()
    this.#callers.refuseAll('no-quorum')
    for (const slot of this.#inOrder()) this.#registrar.drop(slot)
  }

  /** Slots of nobody are taken at once; those that should move, move when the view has been still for a while. */
  #viewChanged(): void {
    this.#callers.reroute()
    if (!this.#core.started) return
    for (const slot of this.#inOrder()) if (this.#registrar.mayTake(slot, false)) this.#registrar.seal(slot)
    this.#stable?.stop()
    const { now, times } = this.#core
    this.#stable = this.#alarms.set(now + times.stableMs, () => this.#onStable())
  }

  #onStable(): void {
    for (const slot of this.#inOrder()) if (this.#registrar.mayTake(slot, true)) this.#registrar.seal(slot)
    this.#hint(undefined)
  }

  /**
   * A slot can end in the hands of one who died before it sealed the preferred owner, who then waits for an earlier
   * registrar that has stepped down. Whoever knows tells.
   */
  #hint(only: Peer | undefined): void {
    if (only === this.#view.me) return
    for (const { index, promised } of this.#inOrder()) {
      if (promised === undefined || this.#view.of(promised).state !== 'gone') continue
      const preferred = this.#core.ring[index]
      for (const peer of only === undefined ? this.#view.up : [only]) {
        if (peer === this.#view.me || peer.node !== preferred) continue
        this.#post(peer, { type: 'nack', slot: index, n: 0, promised })
      }
    }
  }

  #broadcastRelease(key: string, serial: number | undefined, keep: boolean): void {
    const { me, up } = this.#view
    for (const peer of up) if (peer !== me) this.#post(peer, { type: 'release', key, serial, keep })
    this.#member.onRelease(me, { type: 'release', key, serial, keep })
  }
}

const NO_SLOTS: readonly Slot[] = []

const newSlot = (index: number): Slot => ({
  index,
  promised: undefined,
  seen: 0,
  role: undefined,
  reseal: undefined,
})

const newCounters = (): Counters => ({
  sealed: 0,
  granted: 0,
  refused: 0,
  nacks: 0,
  conflicts: 0,
  lost: 0,
  revived: 0,
  learnt: 0,
  overflow: 0,
})
