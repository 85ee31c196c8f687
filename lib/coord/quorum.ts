/**
 * May this side of a partition decide? Pure: the votes that are here, and a policy, give the answer.
 *
 *   policy                     a side needs
 *   diverge                    nothing: each decides for itself, and a heal settles it
 *   static-quorum, of size n   more than half of n, which every node declares alike
 *   majority                   more than half of the largest membership that this node has ever seen
 *
 * **Law**: of two sides without a common vote at most one has more than half of what both count from. Both count from
 * the same with `static-quorum`, as long as no more than `size` votes exist at a time; where more are seen at once, more
 * than half of those are needed. With `majority` each node counts from what it has seen: a heuristic.
 */
import type { Quorum } from '../base/member.js'

/** What a side of a partition does that has too few members. See `NodeOptions.partitionPolicy`. */
export type PartitionPolicy =
  | 'diverge'
  | 'majority'
  | {
      readonly policy: 'static-quorum'
      /** Votes in the whole cluster, the same on every node. */
      readonly size: number
    }

/** The part of a member's record that counts here. */
export interface Voter {
  /** Names its operating-system process. */
  readonly host: string
  readonly voter: boolean
}

/** One for each operating-system process that has a member which may vote. */
export function votesOf(members: Iterable<Voter>): number {
  const hosts = new Set<string>()
  for (const { host, voter } of members) if (voter) hosts.add(host)
  return hosts.size
}

/** More than half of `size`. */
const majorityOf = (size: number): number => Math.floor(size / 2) + 1

/** `largest`: the most votes that were ever here at once. */
export function neededVotes(policy: PartitionPolicy, largest: number): number {
  if (policy === 'diverge') return 0
  return majorityOf(policy === 'majority' ? largest : Math.max(policy.size, largest))
}

export function quorumOf(policy: PartitionPolicy, counted: number, largest: number): Quorum {
  const needed = neededVotes(policy, Math.max(largest, counted))
  return { quorate: counted >= needed, counted, needed }
}

/**
 * The largest membership, after a member has gone. Who said goodbye is on no other side: more votes than were declared,
 * as a replacement in good order makes them, are forgotten with it. Who merely went may be there, and `majority`, which
 * is all memory, must not forget what it needs when everybody stops.
 */
export function largestAfter(
  policy: PartitionPolicy,
  votes: { readonly largest: number; readonly before: number; readonly after: number },
  goodbye: boolean,
): number {
  const { largest, before, after } = votes
  return typeof policy === 'object' && goodbye ? Math.max(after, largest - (before - after)) : largest
}

/** As all nodes of a cluster must have it. */
export const describePolicy = (policy: PartitionPolicy): string =>
  typeof policy === 'string' ? policy : `${policy.policy}(${policy.size})`
