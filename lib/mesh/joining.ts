/**
 * When a start is over. Pure.
 *
 *   seeds   pending ──► answered   when its member list is learnt      answered, and nobody awaited: joined
 *                   └─► failed     when its dial failed once           all failed, and all sources heard: joined, alone
 *
 * What discovery finds in time is a seed like others. A source was heard when it answered or failed once.
 * Awaited are the members that a seed named as there, until each is connected or failed one dial.
 */
import type { NodeId } from '../base/ids.js'
import type { Address } from '../base/runtime.js'

interface Seed {
  state: 'pending' | 'answered' | 'failed'
  peer: NodeId | undefined
}

export const seedKey = (address: Address): string => `seed ${address.host}:${address.port}`

export class Joining {
  readonly #done: () => void
  readonly #seeds = new Map<string, Seed>()
  readonly #awaited = new Set<NodeId>()
  readonly #listed = new Set<NodeId>()
  /** Sources that were not heard yet. */
  #sources: number
  #over = false

  constructor(seeds: readonly Address[], sources: number, done: () => void) {
    this.#done = done
    this.#sources = sources
    for (const address of seeds) this.#seeds.set(seedKey(address), { state: 'pending', peer: undefined })
  }

  /** These are dialled, too. */
  found(keys: readonly string[]): void {
    if (this.#over) return
    for (const key of keys)
      if (!this.#seeds.has(key)) this.#seeds.set(key, { state: 'pending', peer: undefined })
  }

  /** One more source answered, or failed, for the first time. After `found`. */
  heard(): void {
    this.#sources -= 1
    this.#settle()
  }

  /** The dial of a seed knows now whom it reached. */
  reached(key: string, peer: NodeId): void {
    const seed = this.#seeds.get(key)
    if (seed !== undefined) seed.peer = peer
  }

  /** A dial came to its end, well or not. */
  tried(key: string, peer: NodeId | undefined, failed: boolean): void {
    const seed = this.#seeds.get(key)
    if (seed !== undefined) {
      seed.peer = peer
      if (failed) seed.state = 'failed'
    }
    if (peer !== undefined) this.#awaited.delete(peer)
    this.#settle()
  }

  await(peer: NodeId): void {
    if (!this.#over) this.#awaited.add(peer)
  }

  /** That member has told all that it knows. */
  listed(peer: NodeId): void {
    this.#listed.add(peer)
    this.#settle()
  }

  lost(peer: NodeId): void {
    this.#listed.delete(peer)
  }

  /** There is nothing more to wait for, whatever is still open. */
  finish(): void {
    if (this.#over) return
    this.#over = true
    this.#done()
  }

  /** The start failed: there is nothing to finish. */
  abandon(): void {
    this.#over = true
  }

  #settle(): void {
    if (this.#over) return
    const seeds = [...this.#seeds.values()]
    for (const seed of seeds) {
      if (seed.peer !== undefined && this.#listed.has(seed.peer)) seed.state = 'answered'
    }
    const answered = seeds.some(seed => seed.state === 'answered')
    const failed = this.#sources <= 0 && seeds.every(seed => seed.state === 'failed')
    if (answered ? this.#awaited.size === 0 : failed) this.finish()
  }
}
