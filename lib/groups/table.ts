/**
 * Who is in which group of one scope, as one node knows it. Pure: what happened goes in, what changed comes out.
 *
 *   node ──▶ group ──▶ process ──▶ its occurrences, the latest last
 *
 * Laws:
 *  - What a node holds changes only by what that node says; nodes are sorted and what one holds is in its own order, so
 *    equal knowledge reads equal on every node.
 *  - A group exists as long as somebody is in it.
 *  - A change names processes as often as they came or went, and says nothing when nobody did.
 */
import { compareIds, type NodeId, type Pid } from '../base/ids.js'
import type { Limits } from '../base/limits.js'
import type { GroupMeta, Present } from '../process/mail.js'

export interface Change {
  readonly event: 'join' | 'leave'
  readonly group: string
  readonly present: readonly Present[]
}

/** All that one node holds. */
export type Holdings = readonly (readonly [group: string, present: readonly Present[]])[]

export type GroupLimits = Pick<Limits, 'groupsMax' | 'groupMembersMax'>

interface Held {
  readonly pid: Pid
  readonly metas: (GroupMeta | undefined)[]
}

type Group = Map<number, Held>

class Home {
  readonly groups = new Map<string, Group>()
  /** Occurrences, in all groups. */
  size = 0
}

const NOBODY: readonly Pid[] = Object.freeze([])

export class GroupTable {
  readonly #self: NodeId
  readonly #limits: GroupLimits
  readonly #homes = new Map<NodeId, Home>()
  #order: readonly NodeId[] = []
  /** In how many nodes' holdings a group is. */
  readonly #known = new Map<string, number>()
  /** Of this node's processes: where they are, so that a death need not look everywhere. */
  readonly #whereabouts = new Map<number, Set<string>>()
  readonly #lists = new Map<string, readonly Pid[]>()
  #names: readonly string[] | undefined
  /** Occurrences of other nodes that were above a limit here, and are not kept. */
  refused = 0

  constructor(self: NodeId, limits: GroupLimits) {
    this.#self = self
    this.#limits = limits
  }

  /** The limit that `count` more occurrences of that node would break. */
  full(node: NodeId, group: string, count: number): keyof GroupLimits | undefined {
    const home = this.#homes.get(node)
    if ((home?.size ?? 0) + count > this.#limits.groupMembersMax) return 'groupMembersMax'
    const more = home?.groups.has(group) === true ? 0 : 1
    return (home?.groups.size ?? 0) + more > this.#limits.groupsMax ? 'groupsMax' : undefined
  }

  /** What does not fit is counted and left out. */
  join(node: NodeId, group: string, present: readonly Present[]): Change | undefined {
    const home = this.#home(node)
    const fit = present.filter(one => {
      if (this.full(node, group, 1) === undefined) return this.#add(node, home, group, one)
      this.refused += 1
      return false
    })
    return this.#changed('join', group, fit)
  }

  /** One occurrence of each, the latest. */
  leave(node: NodeId, group: string, pids: readonly Pid[]): Change | undefined {
    const home = this.#homes.get(node)
    const gone = pids.flatMap(pid => {
      const held = home?.groups.get(group)?.get(pid.serial)
      return home === undefined || held === undefined ? [] : [this.#remove(node, home, group, held)]
    })
    return this.#changed('leave', group, gone)
  }

  /** A process of this node ended: each group loses all its occurrences at once. */
  died(pid: Pid): readonly Change[] {
    return [...(this.#whereabouts.get(pid.serial) ?? [])].flatMap(group => {
      const times = this.#homes.get(this.#self)?.groups.get(group)?.get(pid.serial)?.metas.length ?? 0
      return this.leave(this.#self, group, new Array<Pid>(times).fill(pid)) ?? []
    })
  }

  /** That node holds this and nothing else. Leaves come before joins. */
  replace(node: NodeId, holdings: Holdings): readonly Change[] {
    const before = new Map(this.holdings(node))
    this.#forget(node)
    const home = this.#home(node)
    for (const [group, present] of holdings) {
      for (const one of present) {
        if (this.full(node, group, 1) === undefined) this.#add(node, home, group, one)
        else this.refused += 1
      }
    }
    const after = new Map(this.holdings(node))
    const groups = [...new Set([...before.keys(), ...after.keys()])]
    const moved = (event: Change['event'], from: Map<string, readonly Present[]>, to: typeof from) =>
      groups.flatMap(group => this.#changed(event, group, without(from.get(group), to.get(group))) ?? [])
    return [...moved('leave', before, after), ...moved('join', after, before)]
  }

  /** That node holds nothing any more. */
  drop(node: NodeId): readonly Change[] {
    const before = this.holdings(node)
    this.#forget(node)
    return before.flatMap(([group, present]) => this.#changed('leave', group, present) ?? [])
  }

  members(group: string): readonly Pid[] {
    const known = this.#lists.get(group)
    if (known !== undefined) return known
    if (!this.#known.has(group)) return NOBODY
    const list = Object.freeze(this.present(group).map(({ pid }) => pid))
    this.#lists.set(group, list)
    return list
  }

  membersOn(node: NodeId, group: string): readonly Pid[] {
    return presentIn(this.#homes.get(node)?.groups.get(group)).map(({ pid }) => pid)
  }

  present(group: string): readonly Present[] {
    return this.#order.flatMap(node => presentIn(this.#homes.get(node)?.groups.get(group)))
  }

  groups(): readonly string[] {
    this.#names ??= Object.freeze([...this.#known.keys()].sort(compareIds))
    return this.#names
  }

  holdings(node: NodeId): Holdings {
    const groups = this.#homes.get(node)?.groups ?? new Map<string, Group>()
    return [...groups].map(([name, group]) => [name, presentIn(group)] as const)
  }

  /** Whether a process of this node is in any group. */
  holds(pid: Pid): boolean {
    return this.#whereabouts.has(pid.serial)
  }

  /** Occurrences, of all nodes. */
  get size(): number {
    let size = 0
    for (const home of this.#homes.values()) size += home.size
    return size
  }

  #home(node: NodeId): Home {
    let home = this.#homes.get(node)
    if (home === undefined) {
      home = new Home()
      this.#homes.set(node, home)
      this.#order = [...this.#homes.keys()].sort(compareIds)
    }
    return home
  }

  #add(node: NodeId, home: Home, name: string, { pid, meta }: Present): true {
    let group = home.groups.get(name)
    if (group === undefined) {
      group = new Map()
      home.groups.set(name, group)
      this.#count(name, 1)
    }
    const held = group.get(pid.serial)
    if (held === undefined) group.set(pid.serial, { pid, metas: [meta] })
    else held.metas.push(meta)
    home.size += 1
    if (node === this.#self) this.#note(pid, name)
    return true
  }

  #remove(node: NodeId, home: Home, name: string, { pid, metas }: Held): Present {
    const meta = metas.pop()
    home.size -= 1
    if (metas.length > 0) return { pid, meta }
    const group = home.groups.get(name)
    group?.delete(pid.serial)
    if (group?.size === 0) {
      home.groups.delete(name)
      this.#count(name, -1)
    }
    if (node === this.#self) this.#unnote(pid, name)
    return { pid, meta }
  }

  #note({ serial }: Pid, group: string): void {
    const groups = this.#whereabouts.get(serial)
    if (groups === undefined) this.#whereabouts.set(serial, new Set([group]))
    else groups.add(group)
  }

  #unnote({ serial }: Pid, group: string): void {
    const groups = this.#whereabouts.get(serial)
    groups?.delete(group)
    if (groups?.size === 0) this.#whereabouts.delete(serial)
  }

  #forget(node: NodeId): void {
    for (const group of this.#homes.get(node)?.groups.keys() ?? []) {
      this.#count(group, -1)
      this.#lists.delete(group)
    }
    if (this.#homes.delete(node)) this.#order = this.#order.filter(one => one !== node)
    if (node === this.#self) this.#whereabouts.clear()
  }

  #count(group: string, by: 1 | -1): void {
    const count = (this.#known.get(group) ?? 0) + by
    if (count === 0) this.#known.delete(group)
    else this.#known.set(group, count)
    this.#names = undefined
  }

  #changed(event: Change['event'], group: string, present: readonly Present[]): Change | undefined {
    if (present.length === 0) return undefined
    this.#lists.delete(group)
    return { event, group, present }
  }
}

const presentIn = (group: Group | undefined): readonly Present[] =>
  group === undefined
    ? []
    : [...group.values()].flatMap(({ pid, metas }) => metas.map(meta => ({ pid, meta })))

/** What of `all` is not in `others`. Of one process the first occurrences are the same ones, as long as they say the same. */
function without(all: readonly Present[] = [], others: readonly Present[] = []): readonly Present[] {
  const there = new Map<number, (GroupMeta | undefined)[]>()
  for (const { pid, meta } of others) there.set(pid.serial, [...(there.get(pid.serial) ?? []), meta])
  const seen = new Map<number, number>()
  return all.filter(({ pid, meta }) => {
    const same = there.get(pid.serial)
    const at = seen.get(pid.serial) ?? 0
    if (same === undefined || at >= same.length || !sameMeta(same[at], meta)) return true
    seen.set(pid.serial, at + 1)
    return false
  })
}

const sameMeta = (a: GroupMeta | undefined, b: GroupMeta | undefined): boolean =>
  a === b || (a !== undefined && b !== undefined && JSON.stringify(a) === JSON.stringify(b))
