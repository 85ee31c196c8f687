/**
 * Who is told of what changes in one scope: processes, by signals within the limits of their mailboxes, and listeners
 * outside of processes. One that cannot be told everything is told nothing more: its monitor is `'lost'`.
 */
import type { Ref } from '../base/ids.js'
import { GroupSignal } from '../process/mail.js'
import type { Process } from '../process/process.js'
import type { Change } from './table.js'

export interface Watcher {
  readonly ref: Ref
  /** Undefined: all groups. */
  readonly group: string | undefined
  /** Undefined for a listener. */
  readonly owner: Process | undefined
  /** False when it did not fit. */
  tell(signal: GroupSignal): boolean
  /** The last word, which always fits. */
  lost(signal: GroupSignal): void
  /** Nothing of what was told is to arrive any more. */
  silence(): void
}

export class Watchers {
  readonly #scope: string
  readonly #byGroup = new Map<string | undefined, Set<Watcher>>()
  /** By the counter of its ref: they are all of this node. */
  readonly #byRef = new Map<number, Watcher>()
  lost = 0

  constructor(scope: string) {
    this.#scope = scope
  }

  get size(): number {
    return this.#byRef.size
  }

  add(watcher: Watcher): void {
    this.#byRef.set(watcher.ref.counter, watcher)
    const same = this.#byGroup.get(watcher.group)
    if (same === undefined) this.#byGroup.set(watcher.group, new Set([watcher]))
    else same.add(watcher)
  }

  /** That owner's monitor, which has ended now. */
  remove(ref: Ref, owner: Process | undefined): Watcher | undefined {
    const watcher = this.#byRef.get(ref.counter)
    if (watcher === undefined || watcher.owner !== owner) return undefined
    this.#byRef.delete(ref.counter)
    const same = this.#byGroup.get(watcher.group)
    same?.delete(watcher)
    if (same?.size === 0) this.#byGroup.delete(watcher.group)
    return watcher
  }

  changed({ event, group, present }: Change): void {
    for (const of of [group, undefined]) {
      for (const watcher of [...(this.#byGroup.get(of) ?? [])]) {
        if (!watcher.tell(new GroupSignal(watcher.ref, event, this.#scope, group, present)))
          this.#lose(watcher)
      }
    }
  }

  /** The scope is closed. */
  close(): void {
    for (const watcher of [...this.#byRef.values()]) this.#lose(watcher)
  }

  #lose(watcher: Watcher): void {
    this.lost += 1
    this.remove(watcher.ref, watcher.owner)
    watcher.lost(new GroupSignal(watcher.ref, 'lost', this.#scope, watcher.group, []))
  }
}
