/**
 * Monitors and aliases. A monitor is one-sided and fires once; an alias is a ref that is also an address, alone or
 * tied to a monitor. Both end with their owner.
 */
import { TroupeError } from '../base/errors.js'
import type { IdSpace } from '../base/id-space.js'
import { type Pid, type Ref, sameRef } from '../base/ids.js'
import type { ExitReason } from '../base/reasons.js'
import { DownSignal, type NameOnNode } from './mail.js'
import { type AliasMode, type Monitor, Process } from './process.js'
import type { Remote } from './remote.js'

interface Alias {
  readonly owner: Process
  readonly mode: AliasMode | 'reply'
}

/** What monitors need of the table. */
export interface MonitorEdge {
  readonly ids: IdSpace
  readonly perProcessMax: number
  remote(): Remote
  /** A signal into the mailbox, outside of its limits. */
  tell(process: Process, signal: DownSignal): void
}

export interface MonitorRequest {
  readonly owner: Process
  /** A process of this node, who it is on another, or undefined for nobody. */
  readonly watched: Process | Pid | NameOnNode | undefined
  /** What the down signal of nobody names. */
  readonly deadPid: Pid | undefined
  readonly target: NameOnNode | undefined
  readonly tag: unknown
  readonly alias: AliasMode | undefined
}

export class Monitors {
  readonly #edge: MonitorEdge
  readonly #aliases = new Map<number, Alias>()
  /** Monitors that processes of other nodes have of ours, by their ref. */
  readonly #foreign = new Map<string, Monitor>()

  constructor(edge: MonitorEdge) {
    this.#edge = edge
  }

  get aliases(): number {
    return this.#aliases.size
  }

  /** Notes the monitor; whoever is already gone is told at once, as a signal. */
  add(request: MonitorRequest): Ref {
    const { owner, watched } = request
    const ref = this.#edge.ids.newRef()
    const ties = owner.tied()
    if (ties.monitors === undefined) ties.monitors = new Map()
    refuseAbove(ties.monitors.size, this.#edge.perProcessMax, owner, 'monitors')
    const { target, tag, alias } = request
    const monitor: Monitor = { ref, watcher: owner, watched, target, tag, alias }
    if (alias !== undefined) this.#addAlias(ref, { owner, mode: alias })
    if (watched === owner) return ref // watching oneself never fires: there is nobody left to be told
    ties.monitors.set(ref.counter, monitor)
    if (watched === undefined) this.#fire(monitor, request.deadPid, 'noproc')
    else if (watched instanceof Process) watch(watched, monitor)
    else this.#edge.remote().monitor(owner.pid, ref, watched)
    return ref
  }

  /** Notes a monitor of a process of another node that watches already: it was made together with that process. */
  adopt(owner: Process, ref: Ref, watched: Pid): void {
    const ties = owner.tied()
    if (ties.monitors === undefined) ties.monitors = new Map()
    const monitor: Monitor = {
      ref,
      watcher: owner,
      watched,
      target: undefined,
      tag: undefined,
      alias: undefined,
    }
    ties.monitors.set(ref.counter, monitor)
  }

  /** True when it removed a live monitor. */
  remove(owner: Process, ref: Ref): boolean {
    const known = this.#edge.ids.isOwn(ref) ? owner.ties?.monitors?.get(ref.counter) : undefined
    if (known === undefined) return false
    this.#forget(owner, known)
    if (known.alias === 'demonitor' || known.alias === 'reply_demonitor') this.#dropAlias(ref.counter)
    this.#unwatch(owner, known)
    return true
  }

  /** The watched process of another node is down. */
  down(owner: Process, ref: Ref, watched: Pid | undefined, reason: ExitReason): void {
    const known = owner.ties?.monitors?.get(ref.counter)
    if (known !== undefined && sameRef(known.ref, ref)) this.#fire(known, watched, reason)
  }

  addForeign(watcher: Pid, ref: Ref, watched: Process): void {
    const key = ref.toString()
    if (this.#foreign.has(key)) return
    const monitor: Monitor = { ref, watcher, watched, target: undefined, tag: undefined, alias: undefined }
    this.#foreign.set(key, monitor)
    watch(watched, monitor)
  }

  removeForeign(ref: Ref): void {
    const known = this.#foreign.get(ref.toString())
    if (known === undefined) return
    this.#foreign.delete(ref.toString())
    if (known.watched instanceof Process) known.watched.ties?.watchers?.delete(known)
  }

  /** A process failed to start: who asked for it learns that from the failure, not from a down. */
  dropWatchersFrom(watched: Process, parent: Pid | undefined): void {
    for (const monitor of watched.ties?.watchers ?? []) {
      const watcher = monitor.watcher
      if (watcher instanceof Process) {
        if (watcher.pid === parent) this.remove(watcher, monitor.ref)
      } else if (watcher === parent) {
        this.removeForeign(monitor.ref)
      }
    }
  }

  /** The process is dead: its watchers are told, in the order in which they came. */
  tellWatchersOf(dead: Process, reason: ExitReason): void {
    const watchers = dead.ties?.watchers
    if (watchers === undefined) return
    for (const monitor of watchers) {
      if (monitor.watcher instanceof Process) {
        this.#fire(monitor, dead.pid, reason)
      } else {
        this.#foreign.delete(monitor.ref.toString())
        this.#edge.remote().down(dead.pid, monitor.watcher, monitor.ref, reason)
      }
    }
    watchers.clear()
  }

  /** The process is dead: what it watched is watched no more, and nothing sent to its aliases arrives. */
  dropAllOf(dead: Process): void {
    for (const monitor of dead.ties?.monitors?.values() ?? []) this.#unwatch(dead, monitor)
    for (const counter of dead.ties?.aliases ?? []) this.#aliases.delete(counter)
  }

  /** A further address of `owner`. */
  alias(owner: Process, mode: 'explicit_unalias' | 'reply'): Ref {
    const ref = this.#edge.ids.newRef()
    this.#addAlias(ref, { owner, mode })
    return ref
  }

  unalias(owner: Process, ref: Ref): boolean {
    if (!this.#edge.ids.isOwn(ref) || this.#aliases.get(ref.counter)?.owner !== owner) return false
    this.#dropAlias(ref.counter)
    return true
  }

  /** Who is behind an alias, for one message: single-use ones end here. */
  aliased(ref: Ref): Process | undefined {
    if (!this.#edge.ids.isOwn(ref)) return undefined
    const alias = this.#aliases.get(ref.counter)
    if (alias === undefined) return undefined
    if (alias.mode === 'reply') this.#dropAlias(ref.counter)
    if (alias.mode === 'reply_demonitor' && !this.remove(alias.owner, ref)) this.#dropAlias(ref.counter)
    return alias.owner
  }

  #fire(monitor: Monitor, pid: Pid | undefined, reason: ExitReason): void {
    const owner = monitor.watcher as Process
    this.#forget(owner, monitor)
    if (monitor.alias === 'demonitor' || monitor.alias === 'reply_demonitor')
      this.#dropAlias(monitor.ref.counter)
    this.#edge.tell(owner, new DownSignal(monitor.ref, pid, reason, monitor.target, monitor.tag))
  }

  #forget(owner: Process, monitor: Monitor): void {
    owner.ties?.monitors?.delete(monitor.ref.counter)
  }

  #unwatch(owner: Process, monitor: Monitor): void {
    const { watched } = monitor
    if (watched instanceof Process) watched.ties?.watchers?.delete(monitor)
    else if (watched !== undefined) this.#edge.remote().demonitor(owner.pid, monitor.ref, watched)
  }

  #addAlias(ref: Ref, alias: Alias): void {
    const ties = alias.owner.tied()
    if (ties.aliases === undefined) ties.aliases = new Set()
    refuseAbove(ties.aliases.size, this.#edge.perProcessMax, alias.owner, 'aliases')
    ties.aliases.add(ref.counter)
    this.#aliases.set(ref.counter, alias)
  }

  #dropAlias(counter: number): void {
    this.#aliases.get(counter)?.owner.ties?.aliases?.delete(counter)
    this.#aliases.delete(counter)
  }
}

function watch(watched: Process, monitor: Monitor): void {
  const ties = watched.tied()
  if (ties.watchers === undefined) ties.watchers = new Set()
  ties.watchers.add(monitor)
}

/** `perProcessMax` of one kind of thing. */
export function refuseAbove(held: number, max: number, process: Process, what: string): void {
  if (held >= max) throw new RangeError(`${process.pid} holds ${held} ${what}, as many as it may`)
}

export const deadError = (pid: Pid): TroupeError =>
  new TroupeError('ERR_DEAD', `${pid} is dead; what it does now has no effect`, { pid })
