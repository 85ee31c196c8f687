/**
 * Which sessions between a client and its member went silent: there membership does not watch. Pure. A side that slept
 * itself does not hold it against the other.
 */
import type { NodeId } from '../base/ids.js'
import { Wakefulness } from './wakefulness.js'

export const CLIENT_TICK_MS = 250
export const CLIENT_HEARTBEAT_MS = 500
const SILENCE_MS_MAX = 5_000

export class Silence {
  readonly #wakefulness: Wakefulness
  readonly #heardMs = new Map<NodeId, number>()

  constructor(tickMs: number = CLIENT_TICK_MS) {
    this.#wakefulness = new Wakefulness(tickMs, CLIENT_HEARTBEAT_MS)
  }

  heard(peer: NodeId, nowMs: number): void {
    this.#heardMs.set(peer, this.#wakefulness.at(nowMs))
  }

  forget(peer: NodeId): void {
    this.#heardMs.delete(peer)
  }

  /** Those that were not heard for too long, once each. */
  tick(nowMs: number): readonly NodeId[] {
    this.#wakefulness.tick(nowMs)
    const awakeMs = this.#wakefulness.at(nowMs)
    if (this.#wakefulness.patient(awakeMs)) return []
    const silent = [...this.#heardMs].filter(([, heardMs]) => awakeMs - heardMs >= SILENCE_MS_MAX)
    for (const [peer] of silent) this.#heardMs.delete(peer)
    return silent.map(([peer]) => peer)
  }
}
