/**
 * What discovery lists, and which of it is worth a dial. Pure.
 *
 *   listed ──► wanted ──dial──► reached P ── session with that life of P ──► left alone
 *                ▲                             └── no such session ─────────► wanted again, at the next list
 *                └───────────────────────── itself ─────────────────────────► left alone, as long as it is listed
 *
 * Names in DNS list this node, too, and every member: without a memory of who answered where, each list would dial all
 * of them again. It holds no more than what is listed.
 */
import type { NodeId } from '../base/ids.js'
import type { Address } from '../base/runtime.js'
import { seedKey } from './joining.js'

interface Life {
  readonly peer: NodeId
  readonly creation: number
}

export interface Surroundings {
  readonly self: Life
  /** Published by this node, or by a member with which there is a session. */
  readonly isMembers: (address: Address) => boolean
  readonly hasSession: (life: Life) => boolean
}

export class Found {
  readonly #around: Surroundings
  readonly #reached = new Map<string, Life>()
  #listed = new Map<string, Address>()

  constructor(around: Surroundings) {
    this.#around = around
  }

  get size(): number {
    return this.#listed.size
  }

  /** From now on this is what is listed, bounded by whoever lists. */
  list(addresses: readonly Address[]): void {
    this.#listed = new Map(addresses.map(address => [seedKey(address), address]))
    for (const key of this.#reached.keys()) if (!this.#listed.has(key)) this.#reached.delete(key)
  }

  has(key: string): boolean {
    return this.#listed.has(key)
  }

  /** That node answered there. */
  reached(key: string, life: Life): void {
    if (this.#listed.has(key)) this.#reached.set(key, life)
  }

  /** True when a dial there would tell something new. */
  isWorthADial(key: string): boolean {
    const address = this.#listed.get(key)
    if (address === undefined || this.#around.isMembers(address)) return false
    const life = this.#reached.get(key)
    if (life === undefined) return true
    const { peer, creation } = this.#around.self
    return !(life.peer === peer && life.creation === creation) && !this.#around.hasSession(life)
  }

  /** What to dial, by key. */
  wanted(): readonly (readonly [key: string, address: Address])[] {
    return [...this.#listed].filter(([key]) => this.isWorthADial(key))
  }
}
