/**
 * What is still to be passed on, and how often. Pure. Every claim is told λ·log₁₀(n + 1) times, the least told first;
 * a newer one about the same member takes the place of the older.
 */
import type { NodeId } from '../base/ids.js'
import type { Claim } from './packets.js'

const TELLINGS = 4
/** Claims in one packet. */
export const CLAIMS_MAX = 8

interface Entry {
  readonly claim: Claim
  told: number
}

export const tellings = (members: number): number => TELLINGS * Math.ceil(Math.log10(members + 1))

const subject = (claim: Claim): NodeId => (claim.tag === 'alive' ? claim.record.name : claim.name)

export class GossipQueue {
  readonly #entries = new Map<string, Entry>()

  get size(): number {
    return this.#entries.size
  }

  /** Accusations stand side by side, one per accuser; anything else settles what was said of that member before. */
  push(claim: Claim): void {
    const name = subject(claim)
    if (claim.tag !== 'suspect') this.forget(name)
    const key = claim.tag === 'suspect' ? `${name} ${claim.from}` : name
    this.#entries.delete(key)
    this.#entries.set(key, { claim, told: 0 })
  }

  forget(name: NodeId): void {
    for (const [key, { claim }] of this.#entries) if (subject(claim) === name) this.#entries.delete(key)
  }

  /** The claims for one packet, in a cluster of so many. */
  take(members: number): readonly Claim[] {
    if (this.#entries.size === 0) return []
    const due = [...this.#entries].sort((a, b) => a[1].told - b[1].told).slice(0, CLAIMS_MAX)
    for (const [key, entry] of due) {
      entry.told += 1
      if (entry.told >= tellings(members)) this.#entries.delete(key)
    }
    return due.map(([, { claim }]) => claim)
  }
}
