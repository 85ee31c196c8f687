/**
 * Who is silent. Pure: times in, verdicts out; one verdict per event.
 *
 *   open ── 2 s silent ──► open, suspected ── 5 s silent ──► lost (timeout)
 *     │ closed                     │ a byte: alive
 *     ▼
 *   closed: dialling ── refused ──► lost (refused)   ── a session ──► open (alive, if it was suspected)
 *     │ no answer
 *     ▼
 *   closed, suspected ── 5 s after the last byte ──► lost (timeout)
 *
 * A node that was late itself accuses nobody of it: after a stall everybody gets the time that we lost, and one
 * heartbeat more, in which what waited in the sockets is read.
 */
import { compareIds, type NodeId } from '../base/ids.js'
import type { DownReason } from '../base/member.js'

export const HEARTBEAT_MS = 500
export const SUSPECT_MS = 2_000
export const DOWN_MS = 5_000
export const TICK_MS = 250

export type Verdict =
  | { readonly tag: 'suspect'; readonly peer: NodeId; readonly reason: DownReason }
  | { readonly tag: 'alive'; readonly peer: NodeId }
  | { readonly tag: 'lost'; readonly peer: NodeId; readonly reason: DownReason }

interface Watched {
  heardMs: number
  open: boolean
  suspected: boolean
}

export class Detector {
  readonly #peers = new Map<NodeId, Watched>()
  #tickMs: number | undefined
  #patientUntilMs = Number.NEGATIVE_INFINITY

  get size(): number {
    return this.#peers.size
  }

  /** A session with that peer opened. */
  opened(peer: NodeId, nowMs: number): readonly Verdict[] {
    const suspected = this.#peers.get(peer)?.suspected ?? false
    this.#peers.set(peer, { heardMs: nowMs, open: true, suspected: false })
    return suspected ? [{ tag: 'alive', peer }] : []
  }

  heard(peer: NodeId, nowMs: number): readonly Verdict[] {
    const watched = this.#peers.get(peer)
    if (watched === undefined || !watched.open) return []
    watched.heardMs = Math.max(watched.heardMs, nowMs)
    if (!watched.suspected) return []
    watched.suspected = false
    return [{ tag: 'alive', peer }]
  }

  /** The session closed without a goodbye: somebody dials, and tells how that went. */
  closed(peer: NodeId, heardMs: number): void {
    const watched = this.#peers.get(peer)
    if (watched === undefined) return
    watched.open = false
    watched.heardMs = Math.max(watched.heardMs, heardMs)
  }

  /** Nobody listens at the address that the peer published. */
  refused(peer: NodeId): readonly Verdict[] {
    const watched = this.#peers.get(peer)
    if (watched === undefined || watched.open) return []
    this.#peers.delete(peer)
    return [{ tag: 'lost', peer, reason: 'refused' }]
  }

  unanswered(peer: NodeId): readonly Verdict[] {
    const watched = this.#peers.get(peer)
    if (watched === undefined || watched.open || watched.suspected) return []
    watched.suspected = true
    return [{ tag: 'suspect', peer, reason: 'connection_closed' }]
  }

  /** Left, replaced, or no longer of interest. */
  forget(peer: NodeId): void {
    this.#peers.delete(peer)
  }

  tick(nowMs: number, lagMs: number): readonly Verdict[] {
    const late = Math.max(nowMs - (this.#tickMs ?? nowMs) - TICK_MS, lagMs)
    this.#tickMs = nowMs
    if (late > TICK_MS) this.#forgive(late, nowMs)
    if (nowMs < this.#patientUntilMs) return []
    const verdicts: Verdict[] = []
    for (const peer of [...this.#peers.keys()].sort(compareIds)) {
      const verdict = this.#judge(peer, this.#peers.get(peer)!, nowMs)
      if (verdict !== undefined) verdicts.push(verdict)
    }
    return verdicts
  }

  #forgive(lateMs: number, nowMs: number): void {
    this.#patientUntilMs = nowMs + HEARTBEAT_MS
    for (const watched of this.#peers.values()) watched.heardMs = Math.min(nowMs, watched.heardMs + lateMs)
  }

  #judge(peer: NodeId, watched: Watched, nowMs: number): Verdict | undefined {
    const silentMs = nowMs - watched.heardMs
    if (silentMs >= DOWN_MS) {
      this.#peers.delete(peer)
      return { tag: 'lost', peer, reason: 'timeout' }
    }
    if (silentMs < SUSPECT_MS || watched.suspected) return undefined
    watched.suspected = true
    return { tag: 'suspect', peer, reason: watched.open ? 'timeout' : 'connection_closed' }
  }
}
