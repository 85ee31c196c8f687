/**
 * Which connection becomes the session, when the peer has proved who it is. Pure.
 *
 * At most one session per pair of lives. Of two dials that cross before any session, the lower id's survives; but only
 * a dial whose proof is out can claim that, since an earlier one may yet fail while the other would have stood:
 *
 *   a < b.  a accepts b's dial only while its own is not committed, and drops its own with that. So b never sees a
 *   proof of a dial that a gave up, and where a refuses, its own proof is on the way to b, who accepts it.
 */
import type { NodeId } from '../base/ids.js'
import { Refusal, type Refused } from './handshake.js'

export interface Scene {
  readonly self: NodeId
  readonly selfCreation: number
  readonly peer: NodeId
  readonly peerCreation: number
  /** The last epoch between these two lives that the dialler knows and has ended. */
  readonly peerEpoch: number
  readonly session: { readonly creation: number; readonly epoch: number } | undefined
  /** Our own dial to that peer has its proof out. */
  readonly dialCommitted: boolean
}

export type Admission =
  | { readonly tag: 'accept' }
  /** The dialler has lost the session that we still hold: it ends first. */
  | { readonly tag: 'replace' }
  /** Another life of that node: the open-looking session gets one second to show that it lives. */
  | { readonly tag: 'ping' }
  | { readonly tag: 'refuse'; readonly refused: Refused }

const refuse = (code: number, why: string): Admission => ({ tag: 'refuse', refused: { code, why } })

export function admit(scene: Scene): Admission {
  const { self, peer, session } = scene
  if (peer === self) {
    return scene.peerCreation === scene.selfCreation
      ? refuse(Refusal.superseded, 'a node does not connect to itself')
      : refuse(Refusal.duplicate, `this node is ${self} too`)
  }
  if (session !== undefined) {
    if (session.creation !== scene.peerCreation) return { tag: 'ping' }
    if (session.epoch <= scene.peerEpoch) return { tag: 'replace' }
    return refuse(Refusal.superseded, 'a newer session is open')
  }
  if (scene.dialCommitted && self < peer) return refuse(Refusal.superseded, 'our own dial goes first')
  return { tag: 'accept' }
}
