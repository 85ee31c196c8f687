/**
 * One scope that is open on this node: the overlay, with its processes and its watchers.
 *
 * A process belongs to the scope as one of its belongings, so that its occurrences go when it dies, before anybody is
 * told of the death. A watcher that is a process belongs to it the same way.
 */
import type { Actors } from '../actor/actors.js'
import type { GroupListener, GroupMeta } from '../actor/groups.js'
import { show, TroupeError } from '../base/errors.js'
import type { Pid, Ref } from '../base/ids.js'
import type { Limits } from '../base/limits.js'
import { GroupSignal } from '../process/mail.js'
import type { Belonging, Process } from '../process/process.js'
import type { Overlay } from './overlay.js'
import type { Watcher, Watchers } from './watchers.js'

export class Scope {
  readonly name: string
  readonly overlay: Overlay
  readonly watchers: Watchers
  readonly #actors: Actors
  readonly #limits: Limits
  readonly #belongings = new Map<number, Belonging>()

  constructor(name: string, overlay: Overlay, watchers: Watchers, actors: Actors) {
    this.name = name
    this.overlay = overlay
    this.watchers = watchers
    this.#actors = actors
    this.#limits = actors.table.limits
  }

  /** All, or none of them: throws `ERR_BUSY`, or `RangeError` at `limits.perProcessMax`. */
  join(group: string, processes: readonly Process[], meta: GroupMeta | undefined): void {
    const full = this.overlay.table.full(this.#actors.table.ids.node, group, processes.length)
    if (full !== undefined) {
      this.#actors.count('groups.refused', 1)
      throw new TroupeError(
        'ERR_BUSY',
        `join(${show(group)}): this node has as many in the scope ${show(this.name)} as it may: ${full} is ${this.#limits[full]}`,
        { limit: full, scope: this.name, group },
      )
    }
    try {
      for (const process of processes) this.#take(process)
    } catch (error) {
      for (const { pid } of processes) this.#let(pid)
      throw error
    }
    const present = processes.map(({ pid }) => Object.freeze({ pid, meta }))
    if (present.length > 0) this.overlay.join(group, present)
  }

  leave(group: string, pids: readonly Pid[]): boolean {
    const left = this.overlay.leave(group, pids)
    for (const pid of pids) this.#let(pid)
    return left
  }

  /** Tells `owner`, who is a process, from now on. */
  watch(owner: Process, group: string | undefined): Ref {
    const { table } = this.#actors
    const watcher: Watcher = {
      ref: table.ids.newRef(),
      group,
      owner,
      tell: signal => table.push(owner, signal) !== 'full',
      lost: signal => {
        owner.ties?.belongings?.delete(belonging)
        table.tell(owner, signal)
      },
      silence: () => {
        owner.ties?.belongings?.delete(belonging)
        withdraw(owner, watcher.ref)
      },
    }
    const belonging: Belonging = { lost: () => void this.watchers.remove(watcher.ref, owner) }
    table.entrust(owner, belonging)
    this.watchers.add(watcher)
    return watcher.ref
  }

  /** Tells `listener` in later turns. */
  listen(listener: GroupListener, group: string | undefined, later: (run: () => void) => void): Ref {
    let silent = false
    const call = (signal: GroupSignal): void => later(() => silent || listener(signal))
    const watcher: Watcher = {
      ref: this.#actors.table.ids.newRef(),
      group,
      owner: undefined,
      tell: signal => {
        call(signal)
        return true
      },
      lost: call,
      silence: () => {
        silent = true
      },
    }
    this.watchers.add(watcher)
    return watcher.ref
  }

  demonitor(ref: Ref, owner: Process | undefined): boolean {
    const watcher = this.#actors.table.ids.isOwn(ref) ? this.watchers.remove(ref, owner) : undefined
    watcher?.silence()
    return watcher !== undefined
  }

  close(): void {
    this.overlay.close()
    this.watchers.close()
    for (const serial of [...this.#belongings.keys()]) this.#letGo(serial)
  }

  #take(process: Process): void {
    const { pid } = process
    if (this.#belongings.has(pid.serial)) return
    const belonging: Belonging = {
      lost: () => {
        this.#belongings.delete(pid.serial)
        this.overlay.died(pid)
      },
    }
    this.#actors.table.entrust(process, belonging)
    this.#belongings.set(pid.serial, belonging)
  }

  /** Unless it is still in a group. */
  #let(pid: Pid): void {
    if (!this.overlay.table.holds(pid)) this.#letGo(pid.serial)
  }

  #letGo(serial: number): void {
    const belonging = this.#belongings.get(serial)
    if (belonging === undefined) return
    this.#belongings.delete(serial)
    this.#actors.table.get(serial)?.ties?.belongings?.delete(belonging)
  }
}

/** What that monitor has told and nobody has read yet. */
function withdraw(process: Process, ref: Ref): void {
  const box = process.mailbox
  for (let i = (box?.length ?? 0) - 1; i >= 0; i--) {
    const mail = box?.at(i)
    if (mail instanceof GroupSignal && mail.ref === ref) box?.takeAt(i)
  }
}
