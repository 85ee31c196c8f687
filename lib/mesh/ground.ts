/** What all parts of one mesh stand on: its edge to the world, who this node is, and where it counts and warns. */
import type { NodeId } from '../base/ids.js'
import { compareIds } from '../base/ids.js'
import type { Limits } from '../base/limits.js'
import { type Logger, RateLimiter } from '../base/log.js'
import type { Address, Clock, Runtime } from '../base/runtime.js'
import type { Cluster } from './handshake.js'

export interface Ground {
  readonly runtime: Runtime
  readonly limits: Limits
  readonly self: NodeId
  readonly creation: number
  readonly cluster: Cluster
  readonly keys: readonly string[]
  readonly notes: Notes
}

export class Notes {
  readonly log: Logger
  readonly #self: NodeId
  readonly #limiter: RateLimiter
  readonly #counters = new Map<string, number>()

  constructor(self: NodeId, log: Logger, clock: Clock) {
    this.log = log
    this.#self = self
    this.#limiter = new RateLimiter(clock, 1_000)
  }

  count(name: string, by = 1): void {
    this.#counters.set(name, (this.#counters.get(name) ?? 0) + by)
  }

  /** At most once a second for each beginning of `why`. */
  warn(why: string, from?: Address): void {
    const held = this.#limiter.admit(why.slice(0, 40))
    if (held === undefined) return
    const where = from === undefined ? '' : ` (${from.host}:${from.port})`
    this.log.warn(`${this.#self}: ${why}${where}${held > 0 ? `; ${held} more like it` : ''}`)
  }

  stats(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#counters].sort((a, b) => compareIds(a[0], b[0])))
  }
}
