/**
 * Processes that are told when nodes come and go: as signals, behind the exits and downs of a lost session (this stands
 * behind `remote.ts` among the listeners of the mesh), and ahead of everything that comes over a new one.
 *
 *   monitorNode(b) ── session? ── no ──▶ nodedown 'noconnection', at once          one call, one nodedown, one entry
 *                        └─ yes ─▶ entry ── the session is lost ──▶ nodedown, and the entry is gone
 *   monitorNodes() ──▶ entry ── any session ──▶ nodeup, nodedown, …   until demonitorNode, or the death of its owner
 */
import type { NodeId, Ref } from '../base/ids.js'
import type { DownReason } from '../base/member.js'
import type { MeshListener, Session } from '../mesh/mesh.js'
import { type Mail, NodeDownSignal, NodeUpSignal } from '../process/mail.js'
import type { Belonging, Process } from '../process/process.js'
import type { ProcessTable } from '../process/process-table.js'

interface Entry {
  readonly owner: Process
  readonly ref: Ref
  /** Undefined: all of them. */
  readonly node: NodeId | undefined
  /** So that it ends with its owner. */
  readonly belonging: Belonging
}

export class NodeMonitors implements MeshListener {
  readonly #table: ProcessTable
  /** By the counter of their refs: in the order in which they were made. */
  readonly #entries = new Map<number, Entry>()
  /** Who is up, as far as it was announced. */
  readonly #up = new Set<NodeId>()

  constructor(table: ProcessTable) {
    this.#table = table
  }

  get size(): number {
    return this.#entries.size
  }

  /** Throws `RangeError` at `perProcessMax`. */
  monitor(owner: Process, node: NodeId): Ref {
    if (this.#up.has(node) || this.#table.isHere({ node })) return this.#add(owner, node)
    const ref = this.#table.ids.newRef()
    this.#table.tell(owner, new NodeDownSignal(ref, node, undefined, 'noconnection'))
    return ref
  }

  monitorAll(owner: Process): Ref {
    return this.#add(owner, undefined)
  }

  remove(owner: Process, ref: Ref): boolean {
    const entry = this.#table.ids.isOwn(ref) ? this.#entries.get(ref.counter) : undefined
    if (entry?.owner !== owner) return false
    this.#drop(entry)
    return true
  }

  sessionUp({ role, peer, creation }: Session): void {
    if (role !== 'member') return
    this.#up.add(peer)
    this.#tell(undefined, ref => new NodeUpSignal(ref, peer, creation))
  }

  sessionDown({ role, peer, creation }: Session, reason: DownReason): void {
    if (role !== 'member') return
    this.#up.delete(peer)
    this.#tell(peer, ref => new NodeDownSignal(ref, peer, creation, reason))
  }

  #add(owner: Process, node: NodeId | undefined): Ref {
    const ref = this.#table.ids.newRef()
    const belonging = { lost: (): void => void this.#entries.delete(ref.counter) }
    this.#table.entrust(owner, belonging)
    this.#entries.set(ref.counter, { owner, ref, node, belonging })
    return ref
  }

  #drop({ owner, ref, belonging }: Entry): void {
    this.#entries.delete(ref.counter)
    owner.ties?.belongings?.delete(belonging)
  }

  /** Everybody who watches all nodes, and those who watch `node`: these once. */
  #tell(node: NodeId | undefined, signal: (ref: Ref) => Mail): void {
    for (const entry of [...this.#entries.values()]) {
      if (entry.node !== undefined && entry.node !== node) continue
      if (entry.node !== undefined) this.#drop(entry)
      this.#table.tell(entry.owner, signal(entry.ref))
    }
  }
}
