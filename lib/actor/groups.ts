/**
 * Process groups as users hold them; `groups/` keeps them. Declared here, because handlers are given them.
 */
import type { Pid, Ref } from '../base/ids.js'
import type { GroupMeta, GroupSignal, Present } from '../process/mail.js'
import type { AnyRef } from './api.js'

export type { GroupMeta, Present } from '../process/mail.js'

/** Who joins or leaves. A ref stands for the process behind it now. */
export type Joining = Pid | AnyRef | readonly (Pid | AnyRef)[]

export interface JoinOptions {
  /** What this occurrence says of itself, everywhere: scalars by name, at most `limits.groupMetaBytesMax` as JSON. */
  readonly meta?: GroupMeta | undefined
}

export type Left = { readonly ok: true } | { readonly ok: false; readonly why: 'not_joined' }

/** How many of each `Sent` there were. What went to a node that cannot be reached counts as `ok`, as everywhere. */
export interface Published {
  readonly ok: number
  readonly busy: number
  readonly full: number
}

/** A monitor, and who was there at the moment from which on it tells. */
export interface GroupWatch {
  readonly ref: Ref
  readonly members: readonly Pid[]
  readonly present: readonly Present[]
}

export interface ScopeWatch {
  readonly ref: Ref
  readonly groups: ReadonlyMap<string, readonly Present[]>
}

export type GroupListener = (notice: GroupSignal) => void

/** What can be read of a scope: local reads of what this node knows. The same array until something changes. */
export interface GroupView {
  readonly scope: string
  /** By node, and there in the order in which they joined; a process as often as it joined. Unknown group: none. */
  members(group: string): readonly Pid[]
  /** Those of this node. */
  localMembers(group: string): readonly Pid[]
  /** The members, with what they say of themselves: who is where. */
  present(group: string): readonly Present[]
  /** Those that have members, sorted. */
  groups(): readonly string[]
  /**
   * Sends `message` to each of `members(topic)`: to one that joined twice, twice. It is encoded once, and sent once to each
   * node. At most once, in order with whatever else the sender sends to that process. Throws `ERR_PAYLOAD` or
   * `ERR_TOO_LARGE` before anybody was sent anything.
   */
  publish(topic: string, message: unknown): Published
  /** Ends a monitor: true, and nothing more of it arrives, not even what was told already. False when it had ended. */
  demonitor(ref: Ref): boolean
}

/**
 * Groups of processes, known on every node that has the scope open: `'default'` is open everywhere, any other from its
 * first use on a node until `close`. Scopes of one name find each other.
 *
 * A process joins on its own node, as often as it likes, and is listed as often; it leaves everything when it dies. What
 * other nodes do is seen a moment later, without agreement: two nodes may see different members for a while, and the same
 * ones at rest. A node's members leave when the node is down, not when a connection to it breaks.
 *
 * ```ts
 * const node = await createNode()
 * const rooms = node.groups('rooms')
 * const pid = node.run(async self => {
 *   await self.receive()
 * })
 * rooms.join('lobby', pid, { meta: { user: 'ada' } })
 * rooms.publish('lobby', 'hello')
 * ```
 *
 * Names of groups and scopes are those that processes may have. Wrong ones are a `TypeError`.
 */
export interface Groups extends GroupView {
  /**
   * All of them, or nobody. Throws `TypeError` for a process of another node, `ERR_NOPROC` for one that is dead and
   * where the scope was closed, `ERR_BUSY` at `limits.groupsMax` and `groupMembersMax`, `RangeError` for too much `meta`.
   */
  join(group: string, members: Joining, options?: JoinOptions): void
  /** Takes back one join of each, the latest. `ok` when there was one to take back. */
  leave(group: string, members: Joining): Left
  /** Calls `listener` in later turns, in order. What it throws is logged. Throws `ERR_BUSY` at `limits.groupMonitorsMax`. */
  monitor(group: string, listener: GroupListener): GroupWatch
  /** As `monitor`, of all groups. */
  monitorScope(listener: GroupListener): ScopeWatch
  /**
   * Closes the scope on this node: its processes are in no group of it any more (they live on), monitors are `'lost'`,
   * reads are empty. The next `node.groups(scope)` opens it again and learns the members of other nodes.
   */
  close(): void
}

/**
 * The groups as one process uses them: it joins itself, publishes in its own name, and is told of joins and leaves as
 * signals (`GroupSignal`), in `info` or by `receive`. Its monitors end with it.
 */
export interface OwnGroups extends GroupView {
  /** Throws as `Groups.join` does. */
  join(group: string, options?: JoinOptions): void
  leave(group: string): Left
  monitor(group: string): GroupWatch
  monitorScope(): ScopeWatch
}
