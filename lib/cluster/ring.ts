import HashRing from 'hashring'
import { compareIds, type NodeId } from '../base/ids.js'

/** Part of the cluster parameters that the handshake compares: nodes with other rings would disagree about owners. */
export const RING_VERSION = 1

/** What `get` does in two steps; the published types leave it out. */
interface Ring {
  readonly ring: readonly { readonly server: string }[]
  hashValue(key: string): number
  /** Where on the ring the next point is. */
  find(hash: number): number
}

/**
 * The preferred owner of every slot, by consistent hashing with 160 points a node: when one of n nodes comes or goes,
 * about 1/n of the slots move. Computed once per membership view, read as an array. The result depends on the set of
 * names alone, so nodes with the same view agree.
 *
 * The points of the slots are hashed once: hashing them for every view was most of what forming a cluster cost.
 */
export function slotRing(slots: number): (members: Iterable<NodeId>) => readonly NodeId[] {
  let points: Uint32Array | undefined
  return members => {
    const names = [...new Set(members)].sort(compareIds)
    const only = names[0]
    if (only === undefined) return []
    if (names.length === 1) return new Array<NodeId>(slots).fill(only)
    // md5 spreads well and is what hashring does by default; nothing here is a secret.
    const ring: Ring = new HashRing(names, 'md5', { 'max cache size': 1 }) as never
    points ??= Uint32Array.from({ length: slots }, (_, slot) => ring.hashValue(`k:${slot}`))
    return Array.from(points, point => (ring.ring[ring.find(point)] as { readonly server: NodeId }).server)
  }
}
