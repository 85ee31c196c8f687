import type { NodeId } from './ids.js'
import type { Address } from './runtime.js'

/** What this node believes of one member of the cluster. Plain data. */
export interface Member {
  /** The node's id and name. */
  readonly name: NodeId
  /** Where it listens, as it says itself. */
  readonly address: Address
  /** Which life of the node this is. */
  readonly creation: number
  /** Raised by its owner alone, to refute or to change its record. */
  readonly incarnation: number
  readonly state: MemberState
  /** The wire version it speaks. */
  readonly version: number
  /** Sorted, without duplicates. */
  readonly tags: readonly string[]
  /** At most 512 bytes encoded. */
  readonly meta: Readonly<Record<string, string>>
  /** Names the operating-system process it lives in; nodes of one host share one vote. */
  readonly host: string
  readonly voter: boolean
}

/** `'leaving'`: it has said that it will go, and takes nothing new. `'down'` and `'left'` are in no view. */
export type MemberState = 'alive' | 'suspect' | 'down' | 'left' | 'leaving'

/** A snapshot. `version` grows strictly with every change that this node saw; it means nothing on another node. */
export interface MembersView {
  readonly version: number
  /** Alive, suspect and leaving members, this node included, sorted by name. */
  readonly members: readonly Member[]
}

/** How many votes this side of the cluster has, and needs. Plain data. */
export interface Quorum {
  /** This side may decide: there are enough, and, when they came back, nothing has changed for a second. */
  readonly quorate: boolean
  /** One for each operating-system process with a member that has proved the secret to this node and is not suspect. */
  readonly counted: number
  /** 0 where the partition policy is `'diverge'`. */
  readonly needed: number
}

/** Why a session or a member went, or a suspicion began. The list only grows. */
export type DownReason =
  /** The peer said goodbye. */
  | 'left'
  /** The connection closed and nobody listens at the address that the peer published. */
  | 'refused'
  /** The connection closed without a goodbye. */
  | 'connection_closed'
  /** Nothing was received for too long. */
  | 'timeout'
  /** A newer life of the same node took its place. */
  | 'replaced'
  /** The peer read too slowly for too long. */
  | 'overloaded'
  /** The peer sent bytes that are not our protocol. */
  | 'protocol'
  /** We ended it ourselves. */
  | 'disconnect'
  /** Another member could not reach it, nor could those that it asked. */
  | 'accused'
