/** Members drawn by chance: the same from the same seed, because they are drawn from a sorted list. */
import { compareIds, type NodeId } from '../base/ids.js'
import type { Random } from '../base/runtime.js'

export class Draw {
  readonly #random: Random
  #round: NodeId[] = []

  constructor(random: Random) {
    this.#random = random
  }

  /** Up to `count` different ones. */
  some(from: readonly NodeId[], count: number): NodeId[] {
    return this.#shuffled(from).slice(0, count)
  }

  /** The next in turn: each of those who are there once in a round, in another order each round. */
  next(there: readonly NodeId[], fits: (name: NodeId) => boolean): NodeId | undefined {
    for (let tries = 0; tries <= there.length; tries++) {
      if (this.#round.length === 0) this.#round = this.#shuffled(there)
      const name = this.#round.pop()
      if (name !== undefined && fits(name)) return name
    }
    return undefined
  }

  /** A newcomer has its turn in the round that is under way. */
  join(name: NodeId): void {
    this.#round.splice(this.#below(this.#round.length + 1), 0, name)
  }

  #shuffled(from: readonly NodeId[]): NodeId[] {
    const names = [...from].sort(compareIds)
    for (let i = names.length - 1; i > 0; i--) {
      const j = this.#below(i + 1)
      ;[names[i], names[j]] = [names[j]!, names[i]!]
    }
    return names
  }

  #below(end: number): number {
    return Math.floor(this.#random.float() * end)
  }
}
