/**
 * This node as the home of owners: what they hold, and what they ask for.
 *
 *   ask -> [waits for start] -> to the registrar -> granted | taken | stale | noproc
 *            ^                      |
 *            +---- retry, jitter ---+ another registrar, a new session: the same request again (they are idempotent)
 *   deadline -> unavailable, and what was accepted meanwhile is released
 *
 * An accept is worth nothing by itself: when a higher term seals the slot, what was only accepted is forgotten, a late
 * grant of the earlier registrar is not believed, and the request goes to the new one. Only what others were already
 * told to yield to (`confirmed`) is defended from the accept on.
 */
import type { Alarm } from './alarms.js'
import { type Entry, type Owner, ownerOf, type Since, sameLife } from './slot-data.js'
import type { AskKind, Holds, Told } from './slot-messages.js'
import type { Answer, Core, Slot } from './slot-state.js'
import { isUp, type Peer } from './view.js'

export interface Caller {
  readonly id: number
  readonly kind: AskKind
  readonly key: string
  readonly serial: number | undefined
  readonly value: unknown
  readonly label?: string | undefined
  readonly since: Since | undefined
  readonly deadline: number
  /** Where the request is now. */
  target: Peer | undefined
  /** What a registrar had accepted here for this request. */
  entry: Entry | undefined
  attempts: number
  retry: Alarm | undefined
  expiry: Alarm | undefined
}

export interface NewAsk {
  readonly kind: AskKind
  readonly key: string
  readonly serial: number | undefined
  readonly value: unknown
  readonly label?: string | undefined
  readonly since: Since | undefined
  readonly timeoutMs: number
}

export class Callers {
  readonly #core: Core
  readonly #release: (key: string, serial: number | undefined, keep: boolean) => void
  readonly #asks = new Map<number, Caller>()
  readonly #byKey = new Map<string, Caller[]>()
  readonly #mine = new Map<string, Entry>()
  #lastId = 0

  /** `release` tells everybody that an owner here gave a key up. */
  constructor(core: Core, release: (key: string, serial: number | undefined, keep: boolean) => void) {
    this.#core = core
    this.#release = release
  }

  get waiting(): number {
    return this.#asks.size
  }

  get held(): number {
    return this.#mine.size
  }

  /** What is held here, the entries that waiting callers defend included. Sorted by key. */
  holdings(keys?: (key: string) => boolean): Entry[] {
    const out: Entry[] = []
    for (const [key, entry] of this.#mine) {
      if ((keys === undefined || keys(key)) && !this.#replacing(entry)) out.push(entry)
    }
    for (const caller of this.#asks.values()) {
      if (caller.entry !== undefined && (keys === undefined || keys(caller.key))) out.push(caller.entry)
    }
    return out.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
  }

  asking(): { key: string; serial: number | undefined }[] {
    return [...this.#asks.values()].map(({ key, serial }) => ({ key, serial }))
  }

  /** What this home says of an owner: it holds the key, or asks for it; it ended and its record stays; or nothing. */
  state(key: string, serial: number | undefined): Holds {
    if (this.holds(key, serial)) return 'yes'
    return this.#mine.has(key) && this.#mine.get(key)!.serial === undefined ? 'kept' : 'no'
  }

  /** Does an owner here with that serial hold the key, or ask for it? */
  holds(key: string, serial: number | undefined): boolean {
    if (this.#mine.has(key) && this.#mine.get(key)!.serial === serial) return true
    return this.#callersOf(key).some(caller => caller.serial === serial && caller.kind !== 'drop')
  }

  mine(key: string): Entry | undefined {
    return this.#mine.get(key)
  }

  /** The keys that an owner here holds or asks for. */
  keysOf(serial: number): string[] {
    const keys = new Set<string>()
    for (const entry of this.#mine.values()) if (entry.serial === serial) keys.add(entry.key)
    for (const caller of this.#asks.values()) if (caller.serial === serial) keys.add(caller.key)
    return [...keys].sort()
  }

  /** A registrar accepted `entry`, whose home is here. */
  accepted(entry: Entry): void {
    const held = this.#mine.get(entry.key)
    if (held?.serial === entry.serial) this.#mine.set(entry.key, entry)
    for (const caller of this.#callersOf(entry.key)) {
      if (caller.serial === entry.serial && caller.kind !== 'drop') caller.entry = entry
    }
  }

  ask(ask: NewAsk): number {
    const id = ++this.#lastId
    const core = this.#core
    const caller: Caller = {
      ...ask,
      id,
      deadline: core.now + ask.timeoutMs,
      target: undefined,
      entry: undefined,
      attempts: 0,
      retry: undefined,
      expiry: undefined,
    }
    if (this.#asks.size >= core.limits.asksMax || this.#mine.size >= core.limits.holdingsMax) {
      core.counters.overflow++
      core.effects.answer(id, refusal('unavailable'))
      return id
    }
    if (core.started && !core.quorum.quorate) {
      core.effects.answer(id, refusal('no-quorum'))
      return id
    }
    const held = this.#mine.get(ask.key)
    const rivals = this.#callersOf(ask.key)
    const rivalled = rivals.some(caller => caller.kind === 'replace' || caller.entry !== undefined)
    // Of two owners on one node that want a key nobody else could tell which is meant.
    if (ask.kind === 'replace' && (rivalled || held?.serial !== undefined)) {
      core.effects.answer(id, refusal('taken', held && ownerOf(held)))
      return id
    }
    this.#add(caller)
    caller.expiry = core.alarms.set(caller.deadline, () => this.#giveUp(caller, 'unavailable'))
    this.#route(caller)
    return id
  }

  told(from: Peer, message: Told): void {
    const caller = this.#asks.get(message.id)
    if (caller === undefined) return
    switch (message.what) {
      case 'granted':
        if (caller.target === from) this.#granted(caller)
        return
      case 'retry':
        if (caller.target === from) this.#again(caller)
        return
      default:
        this.#refused(caller, message.what, message.owner)
        return
    }
  }

  /** Told by a registrar that somebody else has the key. */
  lose(key: string, serial: number | undefined, winner: Owner | undefined, ends: boolean): void {
    const { effects, counters } = this.#core
    for (const caller of [...this.#callersOf(key)]) {
      if (caller.serial !== serial || caller.entry === undefined) continue
      this.#finish(caller, refusal('taken', winner))
    }
    const held = this.#mine.get(key)
    if (held !== undefined && held.serial === serial) {
      this.#mine.delete(key)
      counters.lost++
      effects.lost(held, winner, ends)
    }
    this.#release(key, serial, false)
  }

  /** An owner here gave the key up or died; the entry stays for a replacement with `keep`. */
  drop(key: string, serial: number | undefined, keep: boolean): void {
    for (const caller of [...this.#callersOf(key)]) {
      if (caller.serial === serial && caller.kind !== 'drop') this.#withdraw(caller, refusal('noproc'), keep)
    }
    const held = this.#mine.get(key)
    if (held === undefined || held.serial !== serial) return
    const kept = keep && held.value !== undefined
    if (kept) this.#mine.set(key, { ...held, serial: undefined })
    else this.#mine.delete(key)
    this.#release(key, serial, kept)
  }

  /** A higher term: what an earlier one had accepted here, and not granted, is void. */
  unaccept(slot: Slot): void {
    for (const caller of this.#asks.values()) {
      if (caller.entry === undefined || caller.entry.confirmed !== undefined) continue
      if (this.#core.slotOf(caller.key) === slot) caller.entry = undefined
    }
  }

  /** The registrar of the slot, or who it might be, changed. */
  reroute(slot?: Slot): void {
    for (const caller of [...this.#asks.values()]) {
      if (slot !== undefined && this.#core.slotOf(caller.key) !== slot) continue
      if (caller.retry === undefined && this.target(this.#core.slotOf(caller.key)) !== caller.target)
        this.#route(caller)
    }
  }

  /** A new session with `peer`: everything that waits there goes there again. */
  resend(peer: Peer): void {
    for (const caller of this.#asks.values()) {
      if (caller.target === peer && caller.retry === undefined) this.#send(caller, peer)
    }
  }

  target(slot: Slot): Peer | undefined {
    const { view, ring } = this.#core
    const promised = slot.promised === undefined ? undefined : view.of(slot.promised)
    if (promised !== undefined && isUp(promised)) return promised
    const preferred = ring[slot.index]
    return preferred === undefined ? undefined : view.upOf(preferred as Peer['node'])
  }

  #granted(caller: Caller): void {
    const held = this.#mine.get(caller.key)
    if (caller.kind === 'drop') {
      this.#finish(caller, { ok: true, entry: undefined })
      return
    }
    const entry = caller.entry ?? (held?.serial === caller.serial ? held : undefined)
    // Nothing was accepted here under this request: hold nothing that no table knows.
    if (entry === undefined) {
      this.#again(caller)
      return
    }
    this.#hold(caller, entry)
  }

  #hold(caller: Caller, entry: Entry): void {
    const held = this.#mine.get(entry.key)
    this.#mine.set(entry.key, entry)
    if (held !== undefined && held.serial !== undefined && held.serial !== entry.serial) {
      this.#core.effects.lost(held, ownerOf(entry), this.#core.resolver === 'oldest')
    }
    this.#core.counters.granted++
    this.#finish(caller, { ok: true, entry })
  }

  #refused(
    caller: Caller,
    why: 'taken' | 'stale' | 'noproc' | 'unavailable',
    owner: Owner | undefined,
  ): void {
    this.#core.counters.refused++
    if (caller.kind === 'replace' && owner !== undefined) this.#yieldRecord(caller.key, owner)
    this.#withdraw(caller, refusal(why, owner), false)
  }

  /** Somebody elsewhere has the key by now: a record without an owner is not worth a contest. */
  #yieldRecord(key: string, owner: Owner): void {
    const { view, effects, counters } = this.#core
    const record = this.#mine.get(key)
    if (record === undefined || record.serial !== undefined || sameLife(owner, view.me)) return
    this.#mine.delete(key)
    counters.lost++
    effects.lost(record, owner, false)
  }

  /** Ends all that wait. */
  refuseAll(why: 'no-quorum'): void {
    for (const caller of [...this.#asks.values()]) this.#giveUp(caller, why)
  }

  #giveUp(caller: Caller, why: 'unavailable' | 'no-quorum'): void {
    // Others were told to yield to this owner: it is too late to say that nothing was changed.
    if (caller.entry?.confirmed !== undefined) {
      this.#hold(caller, caller.entry)
      return
    }
    this.#withdraw(caller, refusal(why), false)
  }

  /** Ends the request and takes back what a registrar may have entered for it. */
  #withdraw(caller: Caller, answer: Answer, keep: boolean): void {
    const entry = caller.entry
    this.#finish(caller, answer)
    if (entry === undefined || this.holds(entry.key, entry.serial)) return
    const record = this.#mine.get(entry.key)
    // A restart in place that did not come about leaves the record as it was: here, without an owner.
    const kept = entry.value !== undefined && (keep || (record !== undefined && record.serial === undefined))
    if (kept) this.#mine.set(entry.key, { ...entry, serial: undefined })
    this.#release(entry.key, entry.serial, kept)
  }

  #route(caller: Caller): void {
    caller.retry?.stop()
    caller.retry = undefined
    caller.target = undefined
    if (!this.#core.started) return
    const target = this.target(this.#core.slotOf(caller.key))
    if (target === undefined) {
      this.#again(caller)
      return
    }
    caller.target = target
    this.#send(caller, target)
  }

  #send(caller: Caller, target: Peer): void {
    const { id, kind, key, serial, value, label, since, deadline } = caller
    const ttlMs = Math.max(0, Math.ceil(deadline - this.#core.now))
    this.#core.post(target, { type: 'ask', id, kind, key, serial, value, label, since, ttlMs })
  }

  #again(caller: Caller): void {
    const { times, random, now, alarms } = this.#core
    caller.target = undefined
    caller.retry?.stop()
    const wait = Math.min(times.retryMaxMs, times.retryMs * 2 ** caller.attempts)
    caller.attempts = Math.min(caller.attempts + 1, 16)
    caller.retry = alarms.set(now + wait * (0.5 + random()), () => this.#route(caller))
  }

  /** A restart in place: the caller's entry stands for the record that it replaces. */
  #replacing(entry: Entry): boolean {
    return this.#callersOf(entry.key).some(
      caller => caller.entry !== undefined && (caller.kind === 'replace' || caller.serial === entry.serial),
    )
  }

  #callersOf(key: string): readonly Caller[] {
    return this.#byKey.get(key) ?? []
  }

  #add(caller: Caller): void {
    this.#asks.set(caller.id, caller)
    const list = this.#byKey.get(caller.key)
    if (list === undefined) this.#byKey.set(caller.key, [caller])
    else list.push(caller)
  }

  #finish(caller: Caller, answer: Answer): void {
    caller.retry?.stop()
    caller.expiry?.stop()
    this.#asks.delete(caller.id)
    const rest = this.#callersOf(caller.key).filter(other => other !== caller)
    if (rest.length === 0) this.#byKey.delete(caller.key)
    else this.#byKey.set(caller.key, rest)
    this.#core.effects.answer(caller.id, answer)
  }
}

export const refusal = (
  why: 'taken' | 'stale' | 'noproc' | 'unavailable' | 'no-quorum',
  owner?: Owner | undefined,
): Answer => ({ ok: false, why, owner })
