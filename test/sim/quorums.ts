/**
 * I8, as far as a partition policy goes: a side acts as long as it has its votes, and no longer, and what it is told of it
 * goes to and fro. The checker counts for itself: alive members of the view, one vote each.
 */
import type { NodeOptions } from '../../lib/node/options.js'
import type { History } from './history.js'
import type { Checked } from './world.js'

/** A side that has its votes again waits until its members are still, which takes ten seconds at the most. */
const SETTLED_MS = 12_000

type Policy = NonNullable<NodeOptions['partitionPolicy']>

export class Quorums {
  readonly #policy: Policy
  /** Since when each life has had enough votes without acting. */
  readonly #enoughSinceMs = new Map<string, number>()
  /** What each life was told last. */
  readonly #told = new Map<string, string>()

  constructor(policy: Policy) {
    this.#policy = policy
  }

  check({ mesh }: Checked): string[] {
    if (this.#policy === 'diverge') return []
    const { nowMs } = mesh.simulation
    return mesh.nodes.flatMap(node => {
      const { quorate, needed } = node.health().quorum
      const votes = node.members().members.filter(({ state }) => state === 'alive').length
      const least = typeof this.#policy === 'object' ? Math.floor(this.#policy.size / 2) + 1 : needed
      if (quorate && votes < least)
        return [`I8: ${node.name} acts at ${nowMs} ms with ${votes} votes of ${least}`]
      const life = `${node.self}`
      if (quorate || votes < least) {
        this.#enoughSinceMs.delete(life)
        return []
      }
      const sinceMs = this.#enoughSinceMs.get(life) ?? nowMs
      this.#enoughSinceMs.set(life, sinceMs)
      if (nowMs - sinceMs < SETTLED_MS) return []
      return [`I8: ${node.name} does not act at ${nowMs} ms, with ${votes} votes of ${least}`]
    })
  }

  told({ lives }: History, node: string, kind: string, atMs: number): string[] {
    const life = `${node} ${lives.get(node)}`
    const before = this.#told.get(life)
    this.#told.set(life, kind)
    return before === kind ? [`I8: ${node} is told twice that it is ${kind}, at ${atMs} ms`] : []
  }
}
