/**
 * One suspicion of one life of one member, from its first accuser to its end. Pure.
 *
 *   lasts   max ─┐                       with k accusers expected besides the first, and c come:
 *                 ╲___                   max - (max - min) · log(c + 1) / log(k + 1)
 *           min ──────╲──────►  c
 *
 * One accuser may sit behind a bad link; several that agree, each by probes of their own, seldom err together. So the
 * time shrinks with independent accusers, fast at first, and one who repeats himself adds nothing.
 */
import type { NodeId } from '../base/ids.js'
import type { Profile } from './profile.js'

/** More confirmations than these shorten nothing. */
const CONFIRMATIONS_MAX = 3

export class Suspicion {
  readonly startMs: number
  /** A refutation must be above this. */
  incarnation: number
  /** Somebody says that it said goodbye. */
  left = false
  readonly #accusers: Set<NodeId>
  readonly #minMs: number
  readonly #maxMs: number
  readonly #expected: number

  /** `members`: how many are up, the suspect and this node included. Without `first` nobody's own probe failed yet. */
  constructor(
    first: NodeId | undefined,
    incarnation: number,
    members: number,
    profile: Profile,
    nowMs: number,
  ) {
    const scale = Math.max(1, Math.log10(members))
    this.startMs = nowMs
    this.incarnation = incarnation
    this.#accusers = new Set(first === undefined ? [] : [first])
    this.#minMs = profile.suspicionMinMs * scale
    this.#maxMs = profile.suspicionMaxMs * scale
    this.#expected = Math.max(0, Math.min(CONFIRMATIONS_MAX, members - 2))
  }

  /** True when that accuser is new and still matters: then others should hear of him. */
  confirm(accuser: NodeId): boolean {
    if (this.#accusers.has(accuser) || this.#accusers.size > this.#expected) return false
    this.#accusers.add(accuser)
    return true
  }

  get lastsMs(): number {
    if (this.#expected === 0) return this.#minMs // nobody could confirm it
    const confirmed = Math.log(Math.max(1, this.#accusers.size)) / Math.log(this.#expected + 1)
    return this.#maxMs - (this.#maxMs - this.#minMs) * confirmed
  }
}
