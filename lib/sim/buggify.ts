/**
 * What a protocol allows and hardly ever meets, made frequent: FoundationDB's *buggify*. Code that runs in nodes names a
 * place where it may do the unusual, `runtime.buggify?.('heartbeat-skipped')`, and the world says when. Each place is on
 * for a whole run or off for it, so that runs differ in kind; where it is on, it fires now and then.
 *
 * Places in this room need no production code: a slow dial, a timer that is late, a stream that says stop early.
 */
import type { SimRandom } from './sim-random.js'

const ON_RATE = 0.25
const FIRES_RATE = 0.25

export class Buggify {
  readonly #random: SimRandom
  /** By place; undefined where it is off. */
  readonly #sites = new Map<string, SimRandom | undefined>()
  enabled: boolean

  constructor(random: SimRandom, enabled: boolean) {
    this.#random = random
    this.enabled = enabled
  }

  /** True when the unusual is to happen at `site` now. */
  fires(site: string): boolean {
    if (!this.enabled) return false
    if (!this.#sites.has(site)) {
      const random = this.#random.fork(site)
      this.#sites.set(site, random.chance(ON_RATE) ? random : undefined)
    }
    return this.#sites.get(site)?.chance(FIRES_RATE) ?? false
  }
}
