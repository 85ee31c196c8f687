import HashRing from 'hashring'
import { compareIds, type NodeId } from '../base/ids.js'

/** Part of the cluster parameters that the handshake compares: nodes with other rings would disagree about owners. */
export const RING_VERSION = 1

/**
 * The preferred owner of every slot, by consistent hashing with 160 points a node: when one of n nodes comes or goes,
 * about 1/n of the slots move. Computed once per membership view (4,096 look-ups: some 20 ms at 10 nodes), read as an
 * array. The result depends on the set of names alone, so nodes with the same view agree.
 */
export function slotOwners(members: Iterable<NodeId>, slots: number): readonly NodeId[] {
  const names = [...new Set(members)].sort(compareIds)
  const only = names[0]
  if (only === undefined) return []
  if (names.length === 1) return new Array<NodeId>(slots).fill(only)
  // md5 spreads well and is what hashring does by default; nothing here is a secret. Its cache is of no use to us and
  // must be at least 1. The prefix keeps keys such as `constructor` out of that cache, which is a bare object.
  const ring = new HashRing(names, 'md5', { 'max cache size': 1 })
  return Array.from({ length: slots }, (_, slot) => ring.get(`k:${slot}`) as NodeId)
}
