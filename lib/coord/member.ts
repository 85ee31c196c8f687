/**
 * One node as a member: it promises, stores what registrars decide, answers for the owners that live here, and
 * believes what other nodes say of their own owners. All of it is idempotent: anything may come twice.
 */
import { claimOf, type Registrar } from './registrar.js'
import { type Entry, type Life, outranks, sameHolding, sameLife, sameTerm, type Term } from './slot-data.js'
import type { Accept, Confirm, Digest, Holds, Lose, Release, Seal } from './slot-messages.js'
import type { Core, Slot } from './slot-state.js'
import type { Peer } from './view.js'

export class Member {
  readonly #core: Core
  readonly #registrar: Registrar
  /** Beginnings of digests. */
  readonly #digests = new Map<Peer, Digest>()

  constructor(core: Core, registrar: Registrar) {
    this.#core = core
    this.#registrar = registrar
  }

  onSeal(from: Peer, { slot: index, n }: Seal): void {
    const slot = this.#core.slotAt(index)
    const term: Term = { n, node: from.node, creation: from.creation }
    if (!outranks(term, slot.promised) && !sameTerm(term, slot.promised)) {
      this.#nack(from, slot, n)
      return
    }
    const higher = !sameTerm(term, slot.promised)
    if (higher) {
      this.#registrar.drop(slot)
      slot.reseal?.stop()
      slot.reseal = undefined
      slot.promised = term
      this.#core.callers.unaccept(slot)
    }
    this.#core.post(from, { type: 'sealed', slot: index, n, entries: this.answer(slot), last: true })
    if (higher) this.#core.callers.reroute(slot)
  }

  /** The table of the slot, and what is held here and not in it: of the owners here only those who live. */
  answer(slot: Slot): Entry[] {
    const { table, callers, view } = this.#core
    const own = callers.holdings(key => this.#core.slotOf(key) === slot)
    for (const { key, home, serial } of table.inSlot(slot.index)) {
      if (sameLife(home, view.me) && !own.some(held => held.key === key && held.serial === serial))
        table.put(key, undefined)
    }
    for (const entry of own) if (table.get(entry.key) === undefined) table.put(entry.key, entry)
    const others = table.inSlot(slot.index).filter(entry => !sameLife(entry.home, view.me))
    return [...others, ...own]
  }

  #nack(to: Peer, slot: Slot, n: number): void {
    this.#core.post(to, { type: 'nack', slot: slot.index, n, promised: slot.promised })
  }

  /** The slot, if its promise is exactly this registrar's; else it is told what was promised. */
  #promised(from: Peer, index: number, n: number): Slot | undefined {
    const slot = this.#core.slotAt(index)
    if (sameTerm({ n, node: from.node, creation: from.creation }, slot.promised)) return slot
    this.#nack(from, slot, n)
    return undefined
  }

  onAccept(from: Peer, message: Accept): void {
    const { slot: index, n, no, key, entry } = message
    if (this.#promised(from, index, n) === undefined) return
    this.#core.post(from, { type: 'ack', slot: index, n, no, key, holds: this.#store(key, entry) })
  }

  #store(key: string, entry: Entry | undefined): Holds {
    const { table, view, callers } = this.#core
    if (entry === undefined) {
      table.put(key, undefined)
      return 'yes'
    }
    if (sameLife(entry.home, view.me)) {
      const holds = callers.state(key, entry.serial)
      if (holds !== 'yes') return holds
      callers.accepted(entry)
    } else {
      this.#core.learn(entry.home)
    }
    table.put(key, entry)
    return 'yes'
  }

  onConfirm(from: Peer, { slot: index, n, key, serial }: Confirm): void {
    if (this.#promised(from, index, n) === undefined) return
    const holds = this.#core.callers.state(key, serial)
    this.#core.post(from, { type: 'held', slot: index, n, key, serial, holds })
  }

  onLose(from: Peer, { slot: index, n, key, serial, winner, ends }: Lose): void {
    if (this.#promised(from, index, n) === undefined) return
    this.#core.callers.lose(key, serial, winner, ends)
    this.#core.post(from, { type: 'lost', slot: index, n, key, serial })
  }

  onRelease(from: Life, { key, serial, keep }: Release): void {
    this.#registrar.gone(this.#core.slotOf(key), claimOf(from, key, serial), keep)
  }

  // ---- a new session: the peer says all that it holds in slots of this registrar ----

  forgetDigest(peer: Peer): void {
    this.#digests.delete(peer)
  }

  onDigest(from: Peer, message: Digest): void {
    const before = this.#digests.get(from)
    const whole: Digest =
      before === undefined
        ? message
        : {
            ...message,
            entries: [...before.entries, ...message.entries],
            asking: [...before.asking, ...message.asking],
          }
    if (!message.last) return void this.#digests.set(from, whole)
    this.#digests.delete(from)
    this.#believe(from, whole)
  }

  /**
   * What it does not list may have been entered since it wrote, by a registrar on another session: so only the
   * registrar of the slot cares, and asks.
   */
  #believe(from: Peer, { entries, asking }: Digest): void {
    const listed = new Map(entries.map(entry => [entry.key, entry]))
    const asked = new Set(asking.map(({ key, serial }) => `${serial} ${key}`))
    for (const entry of this.#core.table.all()) {
      if (!sameLife(entry.home, from) || asked.has(`${entry.serial} ${entry.key}`)) continue
      const said = listed.get(entry.key)
      if (said === undefined || !sameHolding(said, entry))
        this.#registrar.doubt(this.#core.slotOf(entry.key), entry)
    }
  }
}
