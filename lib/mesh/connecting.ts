/**
 * Connections that somebody waits for, from the asking to a session. Pure, but for the answers.
 *
 *   asked ── its dial opened, or found, a session ──▶ true       the peer's own dial goes first: it is waited for
 *         ── its dial failed ──▶ false
 */
import type { NodeId } from '../base/ids.js'

interface Ask {
  readonly key: string
  peer: NodeId | undefined
  readonly done: (connected: boolean) => void
}

export class Connecting {
  readonly #connected: (peer: NodeId) => boolean
  readonly #asks = new Set<Ask>()

  constructor(connected: (peer: NodeId) => boolean) {
    this.#connected = connected
  }

  /** `key` is that of the dial. Returns what withdraws the question. */
  ask(key: string, peer: NodeId | undefined, done: (connected: boolean) => void): () => void {
    const ask: Ask = { key, peer, done }
    this.#asks.add(ask)
    return () => void this.#asks.delete(ask)
  }

  /** The dial knows now whom it reached. */
  reached(key: string, peer: NodeId): void {
    for (const ask of this.#asks) if (ask.key === key) ask.peer = peer
  }

  /** A dial came to its end, well or not. */
  tried(key: string, failed: boolean): void {
    for (const ask of [...this.#asks]) {
      if (ask.key !== key) continue
      const connected = ask.peer !== undefined && this.#connected(ask.peer)
      if (connected || failed) this.#settle(ask, connected)
    }
  }

  opened(peer: NodeId): void {
    for (const ask of [...this.#asks]) if (ask.peer === peer) this.#settle(ask, true)
  }

  stop(): void {
    for (const ask of [...this.#asks]) this.#settle(ask, false)
  }

  #settle(ask: Ask, connected: boolean): void {
    this.#asks.delete(ask)
    ask.done(connected)
  }
}
