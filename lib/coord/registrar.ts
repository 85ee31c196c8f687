/**
 * One node as the registrar of slots: seals them, collects what the members know, decides, and has every decision
 * accepted before anybody is told.
 *
 *   seal ---> need: everybody up ---- all answered, or more than half and the rest suspect ----> open
 *    ^                                                                                            |
 *    |  somebody came (back): need += it, no grant until it answered, its answer is evaluated <---+
 *    +-- a higher term was promised by somebody: the role is dropped, callers ask again
 *
 * Evaluating answers, per key: what a home says of itself counts; what others say of a home counts only while that
 * home could not answer; what was decided in this term stays unless its home, answering later, does not list it.
 *
 *   no claim -> free     one -> stays     several -> contest: confirm(best) -> install(best) -> lose(rest)
 *   only of homes that are gone, with a value -> orphan: stays without an owner, put up for revival
 *
 * What it does not do: time out a contest. A holder that cannot be asked keeps the key unavailable, and nobody is hurt.
 */
import { compareIds } from '../base/ids.js'
import {
  compareClaims,
  type Entry,
  type Life,
  outranks,
  ownerOf,
  sameEntry,
  sameHolding,
  sameLife,
  sameSince,
  type Term,
} from './slot-data.js'
import type { Ack, Ask, Held, Lost, Nack, Sealed, Told } from './slot-messages.js'
import type { Answered, Core, Line, Role, Slot, Waiting } from './slot-state.js'
import { isUp, type Peer, returns } from './view.js'

/** What the members said of one key. */
interface Said {
  /** By the home itself. */
  readonly firm: Entry[]
  /** By others. */
  readonly soft: Entry[]
}

export class Registrar {
  readonly #core: Core
  /** The answer of this node to a seal. */
  readonly #answer: (slot: Slot) => Entry[]
  #waiting = 0

  constructor(core: Core, answer: (slot: Slot) => Entry[]) {
    this.#core = core
    this.#answer = answer
  }

  get waiting(): number {
    return this.#waiting
  }

  // ---- taking a slot ----

  preferred(slot: Slot): boolean {
    return this.#core.ring[slot.index] === this.#core.view.me.node
  }

  /** At once, when nobody has it; `stable`: also when a change of the view made this node the preferred owner. */
  mayTake(slot: Slot, stable: boolean): boolean {
    const { view, started } = this.#core
    if (!started || slot.role !== undefined) return false
    const promised = slot.promised
    if (promised === undefined) return this.preferred(slot)
    if (sameLife(promised, view.me)) return slot.reseal === undefined
    // Of one that leaves at once: it is to have nothing left when it goes.
    return this.preferred(slot) && (stable || !returns(view.of(promised)))
  }

  /** Not without a quorum: the slot stays whose it is. */
  seal(slot: Slot): void {
    const { view, counters, quorum } = this.#core
    if (!quorum.quorate) return
    this.drop(slot)
    slot.reseal?.stop()
    slot.reseal = undefined
    const n = Math.max(slot.promised?.n ?? 0, slot.seen) + 1
    const need = new Set(view.up.filter(peer => peer !== view.me))
    slot.promised = { n, node: view.me.node, creation: view.me.creation }
    this.#core.callers.unaccept(slot)
    slot.role = {
      n,
      need,
      open: false,
      heard: new Map(),
      parts: new Map(),
      lines: new Map(),
      losing: [],
      revived: new Map(),
      seq: 0,
      no: 0,
    }
    counters.sealed++
    for (const peer of need) this.#core.post(peer, { type: 'seal', slot: slot.index, n })
    this.#core.callers.reroute(slot)
    this.settle(slot)
  }

  /** A higher term was promised, or is about to be. */
  drop(slot: Slot): void {
    const role = slot.role
    if (role === undefined) return
    slot.role = undefined
    for (const line of role.lines.values())
      for (const request of [...line.waiting]) this.#tell(line, request, 'retry')
  }

  onNack(peer: Peer, message: Nack): void {
    const { counters } = this.#core
    const slot = this.#core.slotAt(message.slot)
    const { promised } = message
    counters.nacks++
    if (promised !== undefined) {
      this.#core.learn(promised)
      slot.seen = Math.max(slot.seen, promised.n)
    }
    const role = slot.role
    if (message.n === 0) {
      if (promised !== undefined) this.#vacant(slot, promised)
      return
    }
    if (role === undefined || role.n !== message.n) return
    if (promised === undefined || outranks(slot.promised!, promised)) {
      this.#sealPeer(slot, role, peer)
      return
    }
    this.drop(slot)
    this.#resealLater(slot)
  }

  /**
   * A member found this slot in the hands of one who is gone, and this node is to take it; or has taken it already, in
   * a lower term that the member has left without a word.
   */
  #vacant(slot: Slot, promised: Term): void {
    const { started, view } = this.#core
    if (!started || view.of(promised).state !== 'gone' || !this.preferred(slot)) return
    if (slot.role === undefined || outranks(promised, slot.promised)) this.seal(slot)
  }

  /** Whoever holds the higher term seals us within a round trip, unless it died: then the slot is ours again. */
  #resealLater(slot: Slot): void {
    const { alarms, now, times, random, view } = this.#core
    slot.reseal?.stop()
    slot.reseal = alarms.set(now + times.retryMs * (2 + 4 * random()), () => {
      slot.reseal = undefined
      if (slot.role === undefined && slot.promised !== undefined && sameLife(slot.promised, view.me))
        this.seal(slot)
    })
  }

  // ---- members come, answer and go ----

  joined(slot: Slot, peer: Peer): void {
    if (slot.role !== undefined) this.#sealPeer(slot, slot.role, peer)
  }

  #sealPeer(slot: Slot, role: Role, peer: Peer): void {
    role.need.add(peer)
    role.heard.delete(peer)
    role.parts.delete(peer)
    this.#core.post(peer, { type: 'seal', slot: slot.index, n: role.n })
  }

  onSealed(peer: Peer, message: Sealed): void {
    const slot = this.#core.slotAt(message.slot)
    const role = slot.role
    if (role === undefined || role.n !== message.n || !role.need.has(peer)) return
    const before = role.parts.get(peer)
    const said = [...(before?.said ?? []), ...message.entries]
    const valid = [...(before?.valid ?? []), ...message.entries]
    const answer: Answered = { said, valid, overtaken: this.#outstanding(role, peer) }
    if (!message.last) {
      role.parts.set(peer, answer)
      return
    }
    for (const entry of said) this.#core.learn(entry.home)
    role.parts.delete(peer)
    role.heard.set(peer, answer)
    role.need.delete(peer)
    this.settle(slot)
  }

  #outstanding(role: Role, peer: Peer): Set<string> {
    const keys = new Set<string>()
    for (const line of role.lines.values()) if (line.accept?.need.has(peer)) keys.add(line.key)
    return keys
  }

  left(slot: Slot, peer: Peer): void {
    const role = slot.role
    if (role === undefined) return
    role.need.delete(peer)
    role.heard.delete(peer)
    role.parts.delete(peer)
    for (const losing of [...role.losing]) if (losing.peer === peer) remove(role.losing, losing)
    for (const line of role.lines.values()) this.#leftLine(slot, role, line, peer)
    this.#free(slot, role, peer)
    this.settle(slot)
  }

  /**
   * What `peer` held is free, unless it has a value. Everybody hides it who knows that `peer` is gone; that it is no
   * more is the registrar's to say, as everything is, or tables would depend on who saw whom when.
   */
  #free(slot: Slot, role: Role, peer: Peer): void {
    if (!role.open) return
    for (const entry of this.#core.table.inSlot(slot.index)) {
      if (entry.value !== undefined || !sameLife(entry.home, peer)) continue
      const line = this.#line(role, entry.key)
      if (line.contest.length === 0) this.#acceptAll(slot, role, line, undefined)
    }
  }

  #leftLine(slot: Slot, role: Role, line: Line, peer: Peer): void {
    const { table, view } = this.#core
    line.accept?.need.delete(peer)
    const serving = line.stage === 'grant' || line.stage === 'ask'
    if (serving && line.waiting[0]!.from === peer) line.stage = 'idle'
    for (const request of [...line.waiting]) if (request.from === peer) this.#tell(line, request, 'retry')
    const entry = table.get(line.key)
    if (line.stage === 'ask' && (entry === undefined || view.of(entry.home) === peer)) line.stage = 'idle'
    if (line.contest.some(claim => view.of(claim.home) === peer)) {
      this.#contest(
        slot,
        role,
        line,
        line.contest.filter(claim => view.of(claim.home) !== peer),
      )
    }
  }

  /** A new session with `peer`: what it may not have got goes out again. */
  resend(slot: Slot, peer: Peer): void {
    const role = slot.role
    if (role === undefined) return
    const { index } = slot
    const { n } = role
    if (role.need.has(peer)) {
      role.parts.delete(peer)
      this.#core.post(peer, { type: 'seal', slot: index, n })
    }
    for (const line of role.lines.values()) this.#resendLine(slot, role, line, peer)
    for (const losing of role.losing) if (losing.peer === peer) this.#sendLose(slot, role, losing)
  }

  #resendLine(slot: Slot, role: Role, line: Line, peer: Peer): void {
    const { accept, key } = line
    if (accept?.need.has(peer)) {
      const { no, entry } = accept
      this.#core.post(peer, { type: 'accept', slot: slot.index, n: role.n, no, key, entry })
    }
    const asked = this.#asked(line)
    if (asked !== undefined && this.#core.view.of(asked.home) === peer) this.#confirm(slot, role, asked)
  }

  /** The entry whose home is being asked. */
  #asked(line: Line): Entry | undefined {
    if (line.stage === 'ask') return this.#core.table.get(line.key)
    return line.stage === 'confirm' ? line.contest[0] : undefined
  }

  // ---- deciding ----

  /** Everybody answered; or the rest is suspect, and more than half of all answered. A quorum did, in any case. */
  #ready(role: Role): boolean {
    for (const peer of role.need) if (peer.state === 'alive') return false
    return this.#suffices(role.need)
  }

  #suffices(missing: ReadonlySet<Peer>): boolean {
    const { up } = this.#core.view
    if (missing.size > 0 && (up.length - missing.size) * 2 <= up.length) return false
    return this.#core.quorum.reached(up, missing)
  }

  /** After anything that may let the role go on. */
  settle(slot: Slot): void {
    const role = slot.role
    if (role === undefined || !this.#ready(role)) return
    if (!role.open || role.heard.size > 0) this.#evaluate(slot, role)
    this.#reviveOrphans(slot, role)
    for (const line of [...role.lines.values()]) this.#advance(slot, role, line)
  }

  #evaluate(slot: Slot, role: Role): void {
    const { view, table } = this.#core
    const first = !role.open
    const heard = role.heard
    role.open = true
    role.heard = new Map()
    const own = first ? this.#answer(slot) : []
    if (first) heard.set(view.me, { said: own, valid: own, overtaken: new Set() })
    const said = this.#collate(heard)
    const keys = new Set(table.inSlot(slot.index).map(entry => entry.key))
    for (const answer of heard.values()) for (const { key } of answer.said) keys.add(key)
    for (const [key, line] of role.lines) if (line.contest.length > 0) keys.add(key)
    for (const key of [...keys].sort(compareIds)) {
      const claims = this.#claims(role, key, said.get(key), heard, first)
      this.#decide(slot, role, { key, claims, heard, first })
    }
  }

  #collate(heard: ReadonlyMap<Peer, Answered>): Map<string, Said> {
    const said = new Map<string, Said>()
    for (const [peer, { valid }] of heard) {
      for (const entry of valid) {
        const of = said.get(entry.key) ?? { firm: [], soft: [] }
        said.set(entry.key, of)
        if (this.#core.view.of(entry.home) === peer) of.firm.push(entry)
        else of.soft.push(entry)
      }
    }
    return said
  }

  /** All who may hold the key, best first; orphans only when there is nobody else. */
  #claims(
    role: Role,
    key: string,
    said: Said | undefined,
    heard: ReadonlyMap<Peer, unknown>,
    first: boolean,
  ): Entry[] {
    const { view, table } = this.#core
    const live: Entry[] = []
    const orphans: Entry[] = []
    const consider = (entry: Entry): void => {
      if (isUp(view.of(entry.home))) add(live, entry)
      else if (entry.value !== undefined) add(orphans, entry)
    }
    for (const entry of said?.firm ?? []) consider(entry)
    const known = first ? [] : [...(role.lines.get(key)?.contest ?? [])]
    const current = first ? undefined : table.get(key)
    if (current !== undefined) known.push(current)
    for (const entry of known) if (!heard.has(view.of(entry.home))) consider(entry)
    for (const entry of said?.soft ?? []) {
      const home = view.of(entry.home)
      if (!isUp(home) || role.need.has(home)) consider(entry)
    }
    return (live.length > 0 ? live : orphans.sort(compareClaims).slice(0, 1)).sort(compareClaims)
  }

  #decide(
    slot: Slot,
    role: Role,
    on: { key: string; claims: Entry[]; heard: ReadonlyMap<Peer, Answered>; first: boolean },
  ): void {
    const { view, table } = this.#core
    const { key, claims, heard, first } = on
    if (claims.length > 1) {
      const line = this.#line(role, key)
      const same =
        line.contest.length === claims.length && claims.every((c, i) => sameEntry(c, line.contest[i]))
      if (!same) {
        this.#contest(slot, role, line, claims)
        return
      }
      // The winner is being installed: who has answered only now was not among those it was sent to.
      const late = [...heard.keys()].filter(peer => peer !== view.me)
      if (line.stage === 'install') this.#accept(slot, role, line, line.accept?.entry, late)
      return
    }
    const entry = claims[0]
    const old = role.lines.get(key)
    // A contest that ends here: those who answered before it began have not been told how.
    const contested = old !== undefined && old.contest.length > 0
    const changed = !first && (contested || !sameEntry(table.get(key), entry))
    const granting = old?.stage === 'grant' && !changed
    if (old !== undefined && !granting) this.#calm(old)
    table.put(key, entry)
    const targets = view.up.filter(peer => {
      if (peer === view.me) return false
      const said = heard.get(peer)
      if (said === undefined) return changed
      return said.overtaken.has(key) || !saysExactly(said.said, key, entry)
    })
    if (targets.length > 0) this.#accept(slot, role, this.#line(role, key), entry, targets)
    else if (entry !== undefined && sameLife(entry.home, view.me)) this.#core.callers.accepted(entry)
  }

  /** Gives up what was under way; the request being served is served again. */
  #calm(line: Line): void {
    line.stage = 'idle'
    line.contest = []
  }

  #line(role: Role, key: string): Line {
    let line = role.lines.get(key)
    if (line === undefined) {
      line = { key, stage: 'idle', waiting: [], accept: undefined, contest: [] }
      role.lines.set(key, line)
    }
    return line
  }

  /** Sends `entry` to `targets`; with the number of the last accept when that was the same. */
  #accept(slot: Slot, role: Role, line: Line, entry: Entry | undefined, targets: readonly Peer[]): void {
    const { view, table, callers } = this.#core
    table.put(line.key, entry)
    if (entry !== undefined && sameLife(entry.home, view.me)) callers.accepted(entry)
    const last = line.accept
    if (last === undefined || !sameEntry(last.entry, entry)) {
      line.accept = { no: ++role.no, entry, need: new Set() }
    }
    const { no, need } = line.accept!
    for (const peer of targets) {
      need.add(peer)
      role.heard.get(peer)?.overtaken.add(line.key)
      this.#core.post(peer, { type: 'accept', slot: slot.index, n: role.n, no, key: line.key, entry })
    }
  }

  #acceptAll(slot: Slot, role: Role, line: Line, entry: Entry | undefined): void {
    const { view, table } = this.#core
    // Not before the role is open: until then the table is evidence.
    if (!role.open) {
      table.put(line.key, entry)
      return
    }
    this.#accept(
      slot,
      role,
      line,
      entry,
      view.up.filter(peer => peer !== view.me),
    )
  }

  /** The home has accepted, and all others; of the suspect fewer than half may lag. */
  #accepted(line: Line): boolean {
    const { accept } = line
    if (accept === undefined) return true
    for (const peer of accept.need) {
      if (peer.state === 'alive' || (accept.entry !== undefined && sameLife(accept.entry.home, peer)))
        return false
    }
    return this.#suffices(accept.need)
  }

  onAck(peer: Peer, message: Ack): void {
    const slot = this.#core.slotAt(message.slot)
    const line = slot.role?.lines.get(message.key)
    const role = slot.role
    if (role === undefined || role.n !== message.n || line?.accept?.no !== message.no) return
    line.accept.need.delete(peer)
    const { entry } = line.accept
    if (message.holds !== 'yes' && entry !== undefined) this.gone(slot, entry, message.holds === 'kept')
    if (this.#ready(role)) this.#advance(slot, role, line)
  }

  #advance(slot: Slot, role: Role, line: Line): void {
    if (slot.role !== role || !role.open) return
    if (line.stage === 'grant') this.#tryGrant(line)
    if (line.stage === 'install' && this.#accepted(line)) this.#installed(slot, role, line)
    while (line.stage === 'idle' && line.waiting.length > 0 && slot.role === role)
      this.#serve(slot, role, line)
    if (line.stage === 'idle' && (line.accept === undefined || line.accept.need.size === 0))
      role.lines.delete(line.key)
  }

  // ---- requests ----

  onAsk(from: Peer, ask: Ask): void {
    const { limits, alarms, now, counters } = this.#core
    const slot = this.#core.slotOf(ask.key)
    if (slot.role === undefined && this.mayTake(slot, false)) this.seal(slot)
    const role = slot.role
    if (role === undefined || !isUp(from)) {
      this.#reply(from, ask.id, 'retry')
      return
    }
    const line = this.#line(role, ask.key)
    if (line.waiting.some(request => request.from === from && request.ask.id === ask.id)) return
    if (this.#waiting >= limits.waitingMax) {
      counters.overflow++
      this.#reply(from, ask.id, 'unavailable')
      return
    }
    const alarm = alarms.set(now + ask.ttlMs, () => this.#expired(slot, line, request))
    const request: Waiting = { from, ask, alarm }
    this.#waiting++
    line.waiting.push(request)
    if (this.#ready(role)) this.#advance(slot, role, line)
  }

  /** The caller has given up by now. What is out stays out: the caller releases what it does not want. */
  #expired(slot: Slot, line: Line, request: Waiting): void {
    const serving = line.stage === 'grant' || line.stage === 'ask'
    if (serving && line.waiting[0] === request) line.stage = 'idle'
    this.#tell(line, request, 'unavailable')
    const role = slot.role
    if (role !== undefined && this.#ready(role)) this.#advance(slot, role, line)
  }

  #tell(line: Line, request: Waiting, what: Told['what'], owner?: Entry): void {
    request.alarm.stop()
    remove(line.waiting, request)
    this.#waiting--
    this.#reply(request.from, request.ask.id, what, owner)
  }

  #reply(to: Peer, id: number, what: Told['what'], by?: Entry): void {
    this.#core.post(to, { type: 'told', id, what, owner: by === undefined ? undefined : ownerOf(by) })
  }

  /** One step for the first request of an idle line; takes it off, or leaves the stage that waits for an answer. */
  #serve(slot: Slot, role: Role, line: Line): void {
    const request = line.waiting[0]!
    const { from, ask } = request
    const entry = this.#core.table.get(line.key)
    const its = entry !== undefined && sameLife(entry.home, from) && entry.serial === ask.serial
    if (ask.kind === 'drop') {
      this.#serveDrop(slot, role, line, request, entry)
      return
    }
    if (its) {
      // The same owner again: whatever is still out for it has to come back, nothing new.
      line.stage = 'grant'
      this.#tryGrant(line)
      return
    }
    if (ask.kind === 'replace') {
      this.#serveReplace(slot, role, line, request, entry)
      return
    }
    if (entry === undefined) {
      this.#grant(slot, role, line, this.#fresh(role, request))
      return
    }
    this.#refuseOrAsk(slot, role, line, request, entry)
  }

  /** Its home is there, and either has an owner for it or is about to make one. */
  #isKept(entry: Entry): boolean {
    const home = this.#core.view.of(entry.home)
    return entry.serial === undefined ? returns(home) : isUp(home)
  }

  #tryGrant(line: Line): void {
    if (!this.#accepted(line)) return
    line.stage = 'idle'
    this.#tell(line, line.waiting[0]!, 'granted')
  }

  #grant(slot: Slot, role: Role, line: Line, entry: Entry): void {
    const { from, ask } = line.waiting[0]!
    const { view, callers } = this.#core
    if (from === view.me && !callers.holds(line.key, ask.serial)) {
      this.#tell(line, line.waiting[0]!, 'noproc')
      return
    }
    line.stage = 'grant'
    this.#acceptAll(slot, role, line, entry)
    this.#tryGrant(line)
  }

  #fresh(role: Role, { from, ask }: Waiting): Entry {
    const { view } = this.#core
    return {
      key: ask.key,
      home: { node: from.node, creation: from.creation },
      serial: ask.serial,
      since: { n: role.n, node: view.me.node, seq: ++role.seq },
      confirmed: undefined,
      value: ask.value,
      label: ask.label,
    }
  }

  /** In place, by the home, or for an orphan, by any node; only of the very entry that the caller meant. */
  #serveReplace(slot: Slot, role: Role, line: Line, request: Waiting, entry: Entry | undefined): void {
    const { from, ask } = request
    const { view } = this.#core
    const meant = entry !== undefined && ask.since !== undefined && sameSince(entry.since, ask.since)
    if (!meant) {
      this.#tell(line, request, 'stale', entry)
      return
    }
    if (sameLife(entry.home, from)) {
      this.#grant(slot, role, line, { ...entry, serial: ask.serial })
      return
    }
    if (this.#isKept(entry)) {
      this.#tell(line, request, 'taken', entry)
      return
    }
    // Revived: it wins over an original that comes back.
    const revived = {
      ...this.#fresh(role, request),
      value: ask.value ?? entry.value,
      label: ask.label ?? entry.label,
    }
    this.#grant(slot, role, line, { ...revived, confirmed: { n: role.n, node: view.me.node } })
  }

  #serveDrop(slot: Slot, role: Role, line: Line, request: Waiting, entry: Entry | undefined): void {
    const { ask } = request
    if (entry !== undefined && this.#isKept(entry)) {
      this.#tell(line, request, 'taken', entry)
      return
    }
    if (entry !== undefined && ask.since !== undefined && !sameSince(entry.since, ask.since)) {
      this.#tell(line, request, 'stale')
      return
    }
    line.stage = 'grant'
    if (entry !== undefined) this.#acceptAll(slot, role, line, undefined)
    this.#tryGrant(line)
  }

  #refuseOrAsk(slot: Slot, role: Role, line: Line, request: Waiting, entry: Entry): void {
    if (!this.#isKept(entry)) {
      this.#tell(line, request, 'taken')
      return
    }
    line.stage = 'ask'
    this.#confirm(slot, role, entry)
  }

  #confirm(slot: Slot, role: Role, entry: Entry): void {
    const { key, serial } = entry
    const home = this.#core.view.of(entry.home)
    this.#core.post(home, { type: 'confirm', slot: slot.index, n: role.n, key, serial })
  }

  onHeld(peer: Peer, message: Held): void {
    const slot = this.#core.slotAt(message.slot)
    const role = slot.role
    const line = role?.lines.get(message.key)
    if (role === undefined || role.n !== message.n) return
    if (message.holds !== 'yes') {
      this.gone(slot, claimOf(peer, message.key, message.serial), message.holds === 'kept')
      return
    }
    const asked = line && this.#asked(line)
    if (line === undefined || asked === undefined || asked.serial !== message.serial) return
    if (this.#core.view.of(asked.home) !== peer) return
    if (line.stage === 'confirm') this.#install(slot, role, line)
    else {
      line.stage = 'idle'
      this.#tell(line, line.waiting[0]!, 'taken', asked)
    }
    if (this.#ready(role)) this.#advance(slot, role, line)
  }

  // ---- several hold one key ----

  #contest(slot: Slot, role: Role, line: Line, claims: readonly Entry[]): void {
    line.contest = [...claims]
    if (claims.length > 1) {
      this.#core.counters.conflicts++
      if (this.#core.resolver === 'none') {
        line.stage = 'install'
        this.#acceptAll(slot, role, line, undefined)
        return
      }
      line.stage = 'confirm'
      this.#confirm(slot, role, claims[0]!)
      return
    }
    this.#calm(line)
    // To all, also when it is what this table says: others may have listed one of those that fell away.
    this.#acceptAll(slot, role, line, claims[0])
  }

  /** The best of them lives: now everybody is to have it, before anybody is told to yield. */
  #install(slot: Slot, role: Role, line: Line): void {
    const winner = { ...line.contest[0]!, confirmed: { n: role.n, node: this.#core.view.me.node } }
    line.contest[0] = winner
    line.stage = 'install'
    this.#acceptAll(slot, role, line, winner)
  }

  #installed(slot: Slot, role: Role, line: Line): void {
    const winner = this.#core.resolver === 'none' ? undefined : line.contest[0]
    const losers = winner === undefined ? line.contest : line.contest.slice(1)
    this.#calm(line)
    for (const loser of losers) this.#lose(slot, role, loser, winner)
  }

  #lose(slot: Slot, role: Role, loser: Entry, winner: Entry | undefined): void {
    const { key, serial } = loser
    const losing = { peer: this.#core.view.of(loser.home), key, serial, winner }
    role.losing.push(losing)
    this.#sendLose(slot, role, losing)
  }

  #sendLose(slot: Slot, role: Role, { peer, key, serial, winner }: Role['losing'][number]): void {
    const ends = this.#core.resolver === 'oldest'
    const owner = winner === undefined ? undefined : ownerOf(winner)
    this.#core.post(peer, { type: 'lose', slot: slot.index, n: role.n, key, serial, winner: owner, ends })
  }

  onLost(peer: Peer, message: Lost): void {
    const role = this.#core.slotAt(message.slot).role
    if (role === undefined || role.n !== message.n) return
    for (const losing of [...role.losing]) {
      const told = losing.peer === peer && losing.key === message.key && losing.serial === message.serial
      if (told) remove(role.losing, losing)
    }
  }

  // ---- owners end ----

  /** The home did not list this owner when it came back. */
  doubt(slot: Slot, entry: Entry): void {
    const role = slot.role
    if (role !== undefined && !role.need.has(this.#core.view.of(entry.home))) this.#confirm(slot, role, entry)
  }

  /** An owner gave the key up, or its home does not know it. With `keep` its record stays, for the home to replace. */
  gone(slot: Slot, entry: Entry, keep: boolean): void {
    const { table } = this.#core
    const role = slot.role
    const { key } = entry
    const kept = keep && entry.value !== undefined ? { ...entry, serial: undefined } : undefined
    const current = table.get(key)
    const held = current !== undefined && sameHolding(current, entry)
    const rest = kept === undefined || current === undefined ? kept : { ...current, serial: undefined }
    if (role === undefined) {
      held ? table.put(key, rest) : undefined
      return
    }
    for (const answers of [role.heard, role.parts]) {
      for (const [peer, answer] of answers) {
        answers.set(peer, { ...answer, valid: without(answer.valid, entry, kept) })
      }
    }
    const line = held || role.lines.has(key) ? this.#line(role, key) : undefined
    if (line === undefined) return
    this.#withdrawn(line, entry)
    if (held) this.#acceptAll(slot, role, line, rest)
    if (line.contest.some(claim => sameHolding(claim, entry))) {
      this.#contest(slot, role, line, without(line.contest, entry, kept).sort(compareClaims))
    }
    if (!this.#ready(role)) return
    if (role.open && kept !== undefined && !this.#isKept(kept)) this.#reviveOrphans(slot, role)
    this.#advance(slot, role, line)
  }

  /** The request that was being served for that owner ends with it. */
  #withdrawn(line: Line, entry: Entry): void {
    const first = line.waiting[0]
    if (line.stage === 'ask') line.stage = 'idle'
    if (line.stage !== 'grant' || first === undefined) return
    if (!sameLife(first.from, entry.home) || first.ask.serial !== entry.serial) return
    line.stage = 'idle'
    this.#tell(line, first, 'noproc')
  }

  // ---- orphans ----

  #reviveOrphans(slot: Slot, role: Role): void {
    const { table, effects, counters } = this.#core
    for (const entry of table.inSlot(slot.index)) {
      if (entry.value === undefined) continue
      if (this.#isKept(entry)) {
        // Back in the same term: whoever was to revive it has stopped, and must be asked anew when it goes again.
        role.revived.delete(entry.key)
        continue
      }
      const line = role.lines.get(entry.key)
      if (line !== undefined && line.contest.length > 0) continue
      if (sameEntry(role.revived.get(entry.key), entry)) continue
      role.revived.set(entry.key, entry)
      counters.revived++
      effects.revive(entry)
    }
  }
}

/** An owner by name only: for comparing. Its value, which no message about an end carries, is taken as present. */
export const claimOf = (home: Life, key: string, serial: number | undefined): Entry => ({
  key,
  home: { node: home.node, creation: home.creation },
  serial,
  since: { n: 0, node: home.node, seq: 0 },
  confirmed: undefined,
  value: true,
})

const add = (list: Entry[], entry: Entry): void => {
  const i = list.findIndex(other => sameHolding(other, entry))
  if (i < 0) list.push(entry)
  // The same owner, known to one side as confirmed and to the other not yet.
  else if (compareClaims(entry, list[i]!) < 0) list[i] = entry
}

const saysExactly = (said: readonly Entry[], key: string, entry: Entry | undefined): boolean => {
  const of = said.filter(other => other.key === key)
  return entry === undefined ? of.length === 0 : of.length === 1 && sameEntry(of[0], entry)
}

function without(entries: readonly Entry[], entry: Entry, kept: Entry | undefined): Entry[] {
  const out: Entry[] = []
  for (const other of entries) {
    if (other.key !== entry.key || !sameHolding(other, entry)) out.push(other)
    else if (kept !== undefined) out.push({ ...other, serial: undefined })
  }
  return out
}

function remove<T>(list: T[], item: T): void {
  const i = list.indexOf(item)
  if (i >= 0) list.splice(i, 1)
}
