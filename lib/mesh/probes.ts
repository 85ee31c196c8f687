/**
 * Whom this node asks for a sign of life, and what it asks for others. Pure: times in, calls to `ProbeOwner` out.
 *
 *   begin ── ping ──► ack: answered
 *              │ late
 *              ▼
 *            request ×3 ──► ack: proved       each of the three pings the target and answers for it: with its ack,
 *              │                              or with a nack, which says at least that the helper is there
 *              │ late
 *              ▼
 *            failed, with the helpers that did not even say nack: those tell of our own health
 *
 * Bytes of the target that came meanwhile answer as well. A target without a session, whose address refuses, is
 * deserted as soon as all helpers have said that they have no session with it either.
 */
import type { NodeId } from '../base/ids.js'
import type { Packet } from './packets.js'
import type { Profile } from './profile.js'

export const HELPERS = 3
/** Probes that this node carries out for others at once; further ones are answered at once, with a nack. */
const RELAYS_MAX = 1_024
const SEQ_END = 2 ** 32

export interface ProbeOwner {
  readonly isOpen: (name: NodeId) => boolean
  /** Some others that are up and can be asked about `target`, at random, with the life of it that is meant. */
  readonly helpers: (target: NodeId) => { readonly names: readonly NodeId[]; readonly creation: number }
  readonly send: (to: NodeId, packet: Packet) => void
  readonly ping: (to: NodeId, seq: number) => void
  /** When that member last gave a sign of life. */
  readonly provedMs: (name: NodeId) => number
  /** It answered in time. */
  readonly answered: (name: NodeId) => void
  /** A helper has its answer. */
  readonly proved: (name: NodeId) => void
  readonly failed: (name: NodeId, unheard: number) => void
  readonly deserted: (name: NodeId) => void
}

interface Probe {
  readonly target: NodeId
  readonly seq: number
  readonly sinceMs: number
  dueMs: number
  indirect: boolean
  /** Its session is gone, and so far no helper has said that it has one. */
  deserted: boolean
  /** Its address refuses: then that is enough. */
  refused: boolean
  /** Helpers that have not answered. */
  readonly waiting: Set<NodeId>
  alone: boolean
}

interface Relay {
  readonly target: NodeId
  readonly origin: NodeId
  readonly seq: number
  readonly dueMs: number
}

export class Probes {
  readonly #owner: ProbeOwner
  readonly #timeoutMs: number
  readonly #byTarget = new Map<NodeId, Probe>()
  readonly #bySeq = new Map<number, Probe>()
  readonly #relays = new Map<number, Relay>()
  #seq = 0

  constructor(profile: Profile, owner: ProbeOwner) {
    this.#timeoutMs = profile.probeTimeoutMs
    this.#owner = owner
  }

  has(target: NodeId): boolean {
    return this.#byTarget.has(target)
  }

  /** `patience` stretches how long an answer may take. */
  begin(target: NodeId, nowMs: number, patience: number): void {
    if (this.#byTarget.has(target)) return
    const probe = this.#add(target, nowMs)
    if (!this.#owner.isOpen(target)) {
      probe.deserted = true
      this.#ask(probe, nowMs, patience)
      return
    }
    probe.dueMs = nowMs + this.#timeoutMs * patience
    this.#owner.ping(target, probe.seq)
  }

  /** Nobody listens where the target said it would: what the helpers said since its session closed counts. */
  refused(target: NodeId, nowMs: number, patience: number): void {
    const pending = this.#byTarget.get(target)
    if (pending?.refused) return
    if (pending !== undefined && !pending.deserted) this.#remove(pending)
    this.begin(target, nowMs, patience)
    const probe = this.#byTarget.get(target)
    if (probe === undefined) return
    probe.refused = true
    this.#desert(probe)
  }

  ack(from: NodeId, seq: number): void {
    const probe = this.#bySeq.get(seq)
    if (probe?.target === from) {
      this.#remove(probe)
      this.#owner.answered(from)
    } else if (probe?.waiting.has(from)) {
      this.#remove(probe)
      this.#owner.proved(probe.target)
    }
    const relay = this.#relays.get(seq)
    if (relay?.target !== from) return
    this.#relays.delete(seq)
    this.#owner.send(relay.origin, { tag: 'ack', seq: relay.seq, claims: [] })
  }

  nack(from: NodeId, seq: number, session: boolean): void {
    const probe = this.#bySeq.get(seq)
    if (!probe?.waiting.delete(from)) return
    if (session) this.#inhabit(probe)
    this.#desert(probe)
  }

  /** Another node asks us to probe for it. */
  request(origin: NodeId, seq: number, target: NodeId, nowMs: number): void {
    if (!this.#owner.isOpen(target) || this.#relays.size >= RELAYS_MAX) {
      this.#owner.send(origin, { tag: 'nack', seq, session: this.#owner.isOpen(target) })
      return
    }
    const own = this.#nextSeq()
    this.#relays.set(own, { target, origin, seq, dueMs: nowMs + this.#timeoutMs / 2 })
    this.#owner.ping(target, own)
  }

  /** A session ended: what was asked through it has no answer. */
  closed(peer: NodeId): void {
    this.forget(peer)
    // Without that helper's word nobody knows whether it has a session; the next refused dial asks again.
    for (const probe of this.#byTarget.values()) if (probe.waiting.delete(peer)) this.#inhabit(probe)
    for (const [seq, relay] of this.#relays) {
      if (relay.target !== peer && relay.origin !== peer) continue
      this.#relays.delete(seq)
      if (relay.target === peer)
        this.#owner.send(relay.origin, { tag: 'nack', seq: relay.seq, session: false })
    }
  }

  forget(target: NodeId): void {
    const probe = this.#byTarget.get(target)
    if (probe !== undefined) this.#remove(probe)
  }

  tick(nowMs: number, patience: number): void {
    for (const [seq, relay] of this.#relays) {
      if (nowMs < relay.dueMs) continue
      this.#relays.delete(seq)
      this.#owner.send(relay.origin, { tag: 'nack', seq: relay.seq, session: true })
    }
    for (const probe of this.#byTarget.values()) {
      if (nowMs < probe.dueMs) continue
      if (this.#owner.provedMs(probe.target) > probe.sinceMs) {
        this.#remove(probe)
        this.#owner.answered(probe.target)
      } else if (!probe.indirect) this.#ask(probe, nowMs, patience)
      else {
        this.#remove(probe)
        this.#owner.failed(probe.target, probe.alone ? 1 : probe.waiting.size)
      }
    }
  }

  #add(target: NodeId, nowMs: number): Probe {
    const seq = this.#nextSeq()
    const waiting = new Set<NodeId>()
    const probe = {
      target,
      seq,
      sinceMs: nowMs,
      dueMs: nowMs,
      indirect: false,
      deserted: false,
      refused: false,
      waiting,
      alone: false,
    }
    this.#byTarget.set(target, probe)
    this.#bySeq.set(seq, probe)
    return probe
  }

  /** Half as long again as a direct probe, so that a helper's nack can still come. */
  #ask(probe: Probe, nowMs: number, patience: number): void {
    const { names, creation } = this.#owner.helpers(probe.target)
    probe.indirect = true
    probe.dueMs = nowMs + this.#timeoutMs * 1.5 * patience
    probe.alone = names.length === 0
    for (const name of names) {
      probe.waiting.add(name)
      this.#owner.send(name, { tag: 'request', seq: probe.seq, target: probe.target, creation })
    }
  }

  #inhabit(probe: Probe): void {
    probe.deserted = false
    probe.refused = false
  }

  #desert(probe: Probe): void {
    if (!probe.refused || probe.waiting.size > 0) return
    this.#remove(probe)
    this.#owner.deserted(probe.target)
  }

  #remove(probe: Probe): void {
    this.#byTarget.delete(probe.target)
    this.#bySeq.delete(probe.seq)
  }

  #nextSeq(): number {
    this.#seq = (this.#seq + 1) % SEQ_END
    return this.#seq
  }
}
