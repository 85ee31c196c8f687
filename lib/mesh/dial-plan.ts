/**
 * Whom to dial, and when. Pure. One entry, and at most one dial under way, per peer.
 *
 *   gone member   0.1 s, doubling to 2 s; after ten minutes to 10 s; for a day
 *   introduced    0.1 s, doubling to 30 s; forgotten after ten minutes
 *   seed          0.1 s, doubling to 30 s; for ever
 *   asked         once
 *   found         0.1 s, doubling to 30 s; for as long as discovery lists it
 *
 * Delays are jittered. The first dial of an entry goes out at once, all further ones, and all of what was found, share
 * ten a second, so that invented members cannot turn this node against others.
 */
import { compareIds, type NodeId } from '../base/ids.js'
import type { Address } from '../base/runtime.js'

const FIRST_MS = 100
const GONE_MS_MAX = 2_000
const GONE_LONG_MS_MAX = 10_000
const STRANGER_MS_MAX = 30_000
const TEN_MINUTES_MS = 600_000
const DAY_MS = 86_400_000
const DIALS_PER_S = 10

const LASTS_MS = {
  gone: DAY_MS,
  introduced: TEN_MINUTES_MS,
  seed: Infinity,
  found: Infinity,
  asked: 0,
} as const

export interface Target {
  readonly key: string
  readonly kind: 'seed' | 'found' | 'introduced' | 'gone' | 'asked'
  /** Undefined for a seed, and for what was found: the challenge will say. */
  readonly name: NodeId | undefined
  readonly address: Address
}

interface Entry extends Target {
  readonly sinceMs: number
  attempts: number
  dueMs: number
  busy: boolean
}

export class DialPlan {
  readonly #max: number
  readonly #entries = new Map<string, Entry>()
  #tokens = DIALS_PER_S
  #tokensMs = 0

  /** `max`: so many introductions, further ones are not taken; and twice as many members gone, the latest. */
  constructor(max: number) {
    this.#max = max
  }

  get size(): number {
    return this.#entries.size
  }

  /** False: there is no room. An entry of the same key is replaced, unless it is being dialled. */
  want(target: Target, nowMs: number): boolean {
    const known = this.#entries.get(target.key)
    if (known?.busy) return true
    if (known === undefined && !this.#roomFor(target.kind)) return false
    this.#entries.set(target.key, { ...target, sinceMs: nowMs, attempts: 0, dueMs: nowMs, busy: false })
    return true
  }

  #roomFor(kind: Target['kind']): boolean {
    if (kind === 'seed' || kind === 'found') return true // bounded by who writes and lists them
    const others = [...this.#entries.values()].filter(entry => entry.kind === kind)
    if (kind === 'introduced') return others.length < this.#max
    if (others.length >= 2 * this.#max) this.#entries.delete(others[0]!.key)
    return true
  }

  /** As `want`, but an entry that is there stays what it is, and is due. */
  now(target: Target, nowMs: number): void {
    const known = this.#entries.get(target.key)
    if (known === undefined) this.want(target, nowMs)
    else if (!known.busy) known.dueMs = nowMs
  }

  has(key: string): boolean {
    return this.#entries.has(key)
  }

  forget(key: string): void {
    this.#entries.delete(key)
  }

  /** That node was reached, wherever it was expected. */
  forgetNode(name: NodeId): void {
    for (const [key, entry] of this.#entries) if (entry.name === name) this.#entries.delete(key)
  }

  /** Where an entry of that key leads. */
  address(key: string): Address | undefined {
    return this.#entries.get(key)?.address
  }

  /** The keys of that kind. */
  keysOf(kind: Target['kind']): readonly string[] {
    return [...this.#entries.values()].filter(entry => entry.kind === kind).map(entry => entry.key)
  }

  /** Those to dial now; each is under way until `failed` or `forget`. */
  take(nowMs: number): readonly Target[] {
    this.#tokens = Math.min(DIALS_PER_S, this.#tokens + ((nowMs - this.#tokensMs) * DIALS_PER_S) / 1_000)
    this.#tokensMs = nowMs
    const taken: Target[] = []
    for (const entry of this.#waiting()) {
      if (entry.dueMs > nowMs) continue
      const paced = entry.attempts > 0 || entry.kind === 'found'
      if (paced && this.#tokens < 1) continue
      if (paced) this.#tokens -= 1
      entry.busy = true
      taken.push(entry)
    }
    return taken
  }

  /** `chance` in [0, 1) spreads the next dial. */
  failed(key: string, nowMs: number, chance: number): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    const ageMs = nowMs - entry.sinceMs
    if (ageMs >= LASTS_MS[entry.kind]) {
      this.#entries.delete(key)
      return
    }
    const goneMs = ageMs < TEN_MINUTES_MS ? GONE_MS_MAX : GONE_LONG_MS_MAX
    const mostMs = entry.kind === 'gone' ? goneMs : STRANGER_MS_MAX
    const delayMs = Math.min(mostMs, FIRST_MS * 2 ** Math.min(entry.attempts, 16))
    entry.attempts += 1
    entry.busy = false
    entry.dueMs = nowMs + delayMs * (0.5 + chance / 2)
  }

  /** When to look again. */
  nextMs(nowMs: number): number | undefined {
    let nextMs: number | undefined
    for (const entry of this.#waiting()) nextMs = Math.min(nextMs ?? entry.dueMs, entry.dueMs)
    return nextMs === undefined ? undefined : Math.max(nextMs, nowMs + 1_000 / DIALS_PER_S)
  }

  /** Who has waited longest comes first, so that nobody is passed over when there are more than may be dialled. */
  #waiting(): Entry[] {
    return [...this.#entries.values()]
      .filter(e => !e.busy)
      .sort((a, b) => a.dueMs - b.dueMs || compareIds(a.key, b.key))
  }
}
