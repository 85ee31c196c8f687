/** Members drawn by chance: the same from the same seed, because they are drawn from a sorted list. */
import { compareIds, type NodeId } from '../base/ids.js'
import type { Random } from '../base/runtime.js'

export class Draw {
  readonly #random: Random
  #round: NodeId[] = []

  constructor(random: Random) {
    this.#random = random
  }

  /** Up to `count` different ones out of a sorted list, looking at no more of it than it takes. */
  some(sorted: readonly NodeId[], count: number, fits: (name: NodeId) => boolean = () => true): NodeId[] {
    const drawn: NodeId[] = []
    const moved = new Map<number, number>() // a shuffle from the end, of which only what has moved is noted
    for (let end = sorted.length; end > 0 && drawn.length < count; end--) {
      const at = this.#below(end)
      const name = sorted[moved.get(at) ?? at]!
      moved.set(at, moved.get(end - 1) ?? end - 1)
      if (fits(name)) drawn.push(name)
    }
    return drawn
  }

  /** The next in turn: each of those who are there once in a round, in another order each round. */
  next(there: ReadonlyMap<NodeId, unknown>, fits: (name: NodeId) => boolean): NodeId | undefined {
    for (let tries = 0; tries <= there.size; tries++) {
      if (this.#round.length === 0) this.#round = this.#shuffled([...there.keys()])
      const name = this.#round.pop()
      if (name !== undefined && there.has(name) && fits(name)) return name
    }
    return undefined
  }

  /** A newcomer has its turn in the round that is under way. */
  join(name: NodeId): void {
    if (this.#round.includes(name)) return // it comes back more often than it has its turn
    this.#round.splice(this.#below(this.#round.length + 1), 0, name)
  }

  #shuffled(names: NodeId[]): NodeId[] {
    names.sort(compareIds)
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
