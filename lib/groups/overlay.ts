/**
 * One scope on one node, and what it says to, and believes of, the same scope on others. Pure: events in, effects out.
 *
 *   here                           there
 *    │ head: run 1, version 7, ask   │    with each session, and where the scope is opened
 *    │──────────────────────────────▶│    knows version 7 already: nothing follows
 *    │◀── head: run 4, version 2 ────│    the answer to `ask`
 *    │◀────────── want ──────────────│    knows anything else
 *    │── state: version 8, in parts ▶│    replaces what it knew; what differs are joins and leaves
 *    │── delta: version 9 ──────────▶│    what one turn changed, in order; only to who has the scope open
 *    │── delta: version 11 ─────────▶│    10 is missing: want
 *
 * Laws:
 *  - A node speaks for its own processes and nobody else's, in a sequence of versions. `run` tells one opening of the
 *    scope from the next. A version is applied behind its predecessor or not at all, so views of one version are equal.
 *  - A lost session loses nothing: what is known stays, and is compared with the next one. A member that is down holds
 *    nothing.
 */
import type { NodeId, Pid } from '../base/ids.js'
import type { Present } from '../process/mail.js'
import { type Change, type GroupLimits, GroupTable, type Holdings } from './table.js'

export type GroupMessage =
  | { readonly type: 'head'; readonly run: number; readonly version: number; readonly ask: boolean }
  | { readonly type: 'want'; readonly run: number }
  | {
      readonly type: 'state'
      /** The run of who wanted it: another opening of the scope there may have asked, too. */
      readonly to: number
      readonly run: number
      readonly version: number
      readonly holdings: Holdings
      readonly last: boolean
    }
  | {
      readonly type: 'delta'
      readonly run: number
      readonly version: number
      readonly changes: readonly Change[]
    }
  | { readonly type: 'closed' }

export interface OverlayEffects {
  /** One message, or the parts of a state, in order. */
  send(to: readonly NodeId[], messages: readonly GroupMessage[]): void
  changed(change: Change): void
  /** There is something to `flush` at the end of this turn. */
  dirty(): void
}

export interface OverlayOptions {
  readonly self: NodeId
  /** Another one with each opening of the scope in one life of the node. */
  readonly run: number
  readonly limits: GroupLimits
  readonly effects: OverlayEffects
}

/** The scope on a node that a session is open with. */
interface Peer {
  /** It has the scope open, and gets what changes here. */
  open: boolean
  /** The version of ours that it was last told of. */
  told: number
  /** The parts of its state that have come; undefined when none is awaited. */
  parts: { holdings: (readonly [string, readonly Present[]])[]; size: number } | undefined
}

/** Up to which point somebody's holdings are known. */
interface Known {
  readonly creation: number
  readonly run: number
  readonly version: number
}

/** Bytes, roughly, and occurrences in one message: far below what a control message may hold. */
const PART_BYTES = 32 * 1_024
const PART_MEMBERS = 4_096

export class Overlay {
  readonly table: GroupTable
  readonly #self: NodeId
  readonly #run: number
  readonly #effects: OverlayEffects
  readonly #membersMax: number
  readonly #peers = new Map<NodeId, Peer>()
  readonly #known = new Map<NodeId, Known>()
  #version = 0
  #pending: Change[] = []
  /** States that were asked for because of a gap. */
  resyncs = 0

  constructor(options: OverlayOptions) {
    this.#self = options.self
    this.#run = options.run
    this.#effects = options.effects
    this.#membersMax = options.limits.groupMembersMax
    this.table = new GroupTable(options.self, options.limits)
  }

  // ---- here ----

  join(group: string, present: readonly Present[]): void {
    this.#did(this.table.join(this.#self, group, present))
  }

  /** False: none of them was in it. */
  leave(group: string, pids: readonly Pid[]): boolean {
    const change = this.table.leave(this.#self, group, pids)
    this.#did(change)
    return change !== undefined
  }

  died(pid: Pid): void {
    for (const change of this.table.died(pid)) this.#did(change)
  }

  /** Says what has changed since the last time. */
  flush(): void {
    const pending = this.#pending
    this.#pending = []
    for (const changes of partsOf(pending)) {
      this.#version += 1
      const open = [...this.#peers].filter(([, peer]) => peer.open)
      for (const [, peer] of open) peer.told = this.#version
      const to = open.map(([node]) => node)
      if (to.length > 0) this.#send(to, [{ type: 'delta', run: this.#run, version: this.#version, changes }])
    }
  }

  /** Everybody's holdings leave, without a word to anybody but the peers. */
  close(): void {
    this.#send([...this.#peers.keys()], [{ type: 'closed' }])
    this.#peers.clear()
  }

  // ---- the mesh ----

  /** A session is open with a member that is up. */
  peerUp(node: NodeId, creation: number): void {
    if (this.#known.get(node)?.creation !== creation) this.gone(node)
    this.#peers.set(node, { open: false, told: 0, parts: undefined })
    this.#known.set(node, this.#known.get(node) ?? { creation, run: 0, version: 0 })
    this.#head(node, true)
  }

  peerDown(node: NodeId): void {
    this.#peers.delete(node)
  }

  /** That life of the node is over, as far as the cluster knows. */
  gone(node: NodeId): void {
    this.#peers.delete(node)
    this.#known.delete(node)
    for (const change of this.table.drop(node)) this.#effects.changed(change)
  }

  /** What was meant for that peer may not have reached it: it is told where we are, and asks for what it lacks. */
  remind(node: NodeId): void {
    if (this.#peers.get(node)?.open === true) this.#head(node, false)
  }

  receive(from: NodeId, message: GroupMessage): void {
    const peer = this.#peers.get(from)
    const known = this.#known.get(from)
    if (peer === undefined || known === undefined) return
    switch (message.type) {
      case 'head':
        return this.#onHead(from, peer, known, message)
      case 'want':
        return this.#tellState(from, message.run)
      case 'state':
        return this.#onState(from, peer, known, message)
      case 'delta':
        return this.#onDelta(from, peer, known, message)
      case 'closed':
        peer.open = false
        peer.parts = undefined
        this.#hold(from, { ...known, run: 0, version: 0 }, [])
        return
      default:
        message satisfies never
    }
  }

  #onHead(from: NodeId, peer: Peer, known: Known, head: Extract<GroupMessage, { type: 'head' }>): void {
    const { run, version, ask } = head
    this.flush() // not to one that does not know the version before
    peer.open = true
    // What changed before it was known to be open did not go there.
    if (ask || peer.told !== this.#version) this.#head(from, false)
    if (known.run === run && known.version === version) return
    if (version === 0) this.#hold(from, { ...known, run, version }, [])
    else this.#want(from, peer)
  }

  #onState(from: NodeId, peer: Peer, known: Known, state: Extract<GroupMessage, { type: 'state' }>): void {
    const { parts } = peer
    if (parts === undefined || state.to !== this.#run) return
    for (const [group, present] of state.holdings) {
      parts.size += present.length
      // The table would not keep it either: a peer is not to make us hold it until then.
      if (parts.size > this.#membersMax) this.table.refused += present.length
      else parts.holdings.push([group, present])
    }
    if (!state.last) return
    peer.parts = undefined
    this.#hold(from, { ...known, run: state.run, version: state.version }, parts.holdings)
  }

  #onDelta(from: NodeId, peer: Peer, known: Known, delta: Extract<GroupMessage, { type: 'delta' }>): void {
    if (peer.parts !== undefined) return // in the state that comes
    if (delta.run !== known.run || delta.version !== known.version + 1) {
      this.resyncs += 1
      return this.#want(from, peer)
    }
    this.#known.set(from, { ...known, version: delta.version })
    for (const { event, group, present } of delta.changes) {
      const change =
        event === 'join'
          ? this.table.join(from, group, present)
          : this.table.leave(
              from,
              group,
              present.map(({ pid }) => pid),
            )
      if (change !== undefined) this.#effects.changed(change)
    }
  }

  #hold(node: NodeId, known: Known, holdings: Holdings): void {
    this.#known.set(node, known)
    for (const change of this.table.replace(node, holdings)) this.#effects.changed(change)
  }

  #want(from: NodeId, peer: Peer): void {
    if (peer.parts !== undefined) return
    peer.parts = { holdings: [], size: 0 }
    this.#send([from], [{ type: 'want', run: this.#run }])
  }

  #tellState(node: NodeId, to: number): void {
    this.flush()
    const joins = this.table
      .holdings(this.#self)
      .map(([group, present]): Change => ({ event: 'join', group, present }))
    const parts = partsOf(joins)
    if (parts.length === 0) parts.push([])
    const messages = parts.map(
      (part, i): GroupMessage => ({
        type: 'state',
        to,
        run: this.#run,
        version: this.#version,
        holdings: part.map(({ group, present }) => [group, present] as const),
        last: i === parts.length - 1,
      }),
    )
    this.#send([node], messages)
  }

  #head(to: NodeId, ask: boolean): void {
    this.flush()
    const peer = this.#peers.get(to)
    if (peer !== undefined) peer.told = this.#version
    this.#send([to], [{ type: 'head', run: this.#run, version: this.#version, ask }])
  }

  #did(change: Change | undefined): void {
    if (change === undefined) return
    if (this.#pending.push(change) === 1) this.#effects.dirty()
    this.#effects.changed(change)
  }

  #send(to: readonly NodeId[], messages: readonly GroupMessage[]): void {
    if (to.length > 0) this.#effects.send(to, messages)
  }
}

/** Changes in messages of bearable size; one that is larger is cut. */
function partsOf(changes: readonly Change[]): Change[][] {
  const parts: Change[][] = []
  let part: Change[] = []
  let bytes = 0
  let members = 0
  const close = (): void => {
    if (part.length > 0) parts.push(part)
    part = []
    bytes = 0
    members = 0
  }
  for (const { event, group, present } of changes) {
    let from = 0
    bytes += 16 + 2 * group.length
    for (let i = 0; i < present.length; i++) {
      bytes += bytesOf(present[i] as Present)
      members += 1
      if (bytes < PART_BYTES && members < PART_MEMBERS) continue
      part.push({ event, group, present: present.slice(from, i + 1) })
      from = i + 1
      close()
    }
    if (from < present.length) part.push({ event, group, present: present.slice(from) })
  }
  close()
  return parts
}

const bytesOf = ({ meta }: Present): number => 8 + (meta === undefined ? 0 : 2 * JSON.stringify(meta).length)
