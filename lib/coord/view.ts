/**
 * Who is there, as one node sees it. Each life of each node is one `Peer` object, so peers are compared with `===`.
 *
 *             up          alive <--> suspect        "up" are both
 *   unknown ------> alive ----------------+
 *      |    learnt    ^    down           v
 *      +------------> +-------------->  gone       (up again: a partition healed, the same life)
 *
 * Unknown is not gone: a life that only a message named is *learnt*, counted as alive, and waits for the mesh to say
 * more. If the mesh says nothing for `learnMs` it counts as gone.
 */
import { compareIds, type NodeId } from '../base/ids.js'
import type { Life } from './slot-data.js'

export interface Peer extends Life {
  state: 'unknown' | 'alive' | 'suspect' | 'gone'
  /** A session is open: what is sent now arrives, or the session ends. */
  session: boolean
  /** Named by a message, not yet by the mesh. */
  learnt: boolean
  /** Up, and about to go: whatever is its to decide, or to make again, is others' already. */
  leaving: boolean
}

export class View {
  readonly me: Peer
  readonly #goneMax: number
  readonly #lives = new Map<NodeId, Peer[]>()
  #gone: Peer[] = []
  #up: readonly Peer[] = []

  constructor(self: Life, goneMax: number) {
    this.#goneMax = goneMax
    this.me = this.of(self)
    this.me.state = 'alive'
    this.#refresh()
  }

  /** Alive and suspect, this node included, sorted by node. */
  get up(): readonly Peer[] {
    return this.#up
  }

  of(life: Life): Peer {
    const lives = this.#lives.get(life.node) ?? []
    if (lives.length === 0) this.#lives.set(life.node, lives)
    for (const peer of lives) if (peer.creation === life.creation) return peer
    const peer: Peer = {
      node: life.node,
      creation: life.creation,
      state: 'unknown',
      session: false,
      learnt: false,
      leaving: false,
    }
    lives.push(peer)
    return peer
  }

  /** The life of that node that is up, the one with a session first. */
  upOf(node: NodeId): Peer | undefined {
    const lives = this.#lives.get(node)?.filter(isUp)
    return lives?.find(peer => peer.session) ?? lives?.[0]
  }

  /** Other lives of that node that are still up: they have to go before this one comes. */
  earlier(life: Life): readonly Peer[] {
    return (this.#lives.get(life.node) ?? []).filter(peer => peer.creation !== life.creation && isUp(peer))
  }

  set(peer: Peer, state: 'alive' | 'suspect' | 'gone'): void {
    peer.state = state
    if (state === 'gone') this.#remember(peer)
    this.#refresh()
  }

  #refresh(): void {
    const up: Peer[] = []
    for (const lives of this.#lives.values()) for (const peer of lives) if (isUp(peer)) up.push(peer)
    this.#up = up.sort((a, b) => compareIds(a.node, b.node) || a.creation - b.creation)
  }

  /** Keeps the last `goneMax` of the gone; an older one, named again, is unknown again. */
  #remember(peer: Peer): void {
    this.#gone = this.#gone.filter(other => other !== peer && other.state === 'gone')
    this.#gone.push(peer)
    if (this.#gone.length > this.#goneMax) this.#forget(this.#gone.shift()!)
  }

  #forget(peer: Peer): void {
    const rest = (this.#lives.get(peer.node) ?? []).filter(other => other !== peer)
    if (rest.length === 0) this.#lives.delete(peer.node)
    else this.#lives.set(peer.node, rest)
  }
}

/** What it has left without an owner, it will not make again. */
export const returns = (peer: Peer): boolean => isUp(peer) && !peer.leaving

export const isUp = (peer: Peer): boolean => peer.state === 'alive' || peer.state === 'suspect'
