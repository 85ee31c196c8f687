/**
 * One registry on one node: a table of what processes own. Everything happens at once, on the caller's stack; that an
 * owner died is heard before anybody else is told of it.
 *
 * Laws:
 *  - An entry stands in the table exactly as long as among the belongings of its owner, who is alive.
 *  - Order is that of registration, everywhere.
 *  - User code runs on snapshots: what it registers or unregisters meanwhile does not change what it is given.
 */
import type { Actors } from '../actor/actors.js'
import { show, TroupeError } from '../base/errors.js'
import type { Pid } from '../base/ids.js'
import { type ExitReason, isCleanExit } from '../base/reasons.js'
import type { Belonging, Process } from '../process/process.js'
import { kept } from './key.js'

/** What a registry is, on every node. */
export interface Kind {
  readonly name: string
  readonly unique: boolean
  readonly listeners: readonly string[]
}

export class Entry<K, V> implements Belonging {
  readonly entries: Entries<K, V>
  readonly id: unknown
  readonly key: K
  readonly owner: Process
  value: V
  /** For one that its owner was started under. */
  readonly name: string | undefined

  constructor(
    entries: Entries<K, V>,
    id: unknown,
    key: K,
    owner: Process,
    value: V,
    name: string | undefined,
  ) {
    this.entries = entries
    this.id = id
    this.key = key
    this.owner = owner
    this.value = value
    this.name = name
  }

  get pid(): Pid {
    return this.owner.pid
  }

  lost(reason: ExitReason): void {
    this.entries.remove(this, { reason })
  }
}

export class Entries<K, V> {
  readonly actors: Actors
  readonly kind: Kind
  readonly meta = new Map<string, unknown>()
  readonly #byId = new Map<unknown, Set<Entry<K, V>>>()
  readonly #ended: () => void
  #size = 0
  /** The process that is this registry; undefined after a crash, until it is started again. */
  #process: Process | undefined

  constructor(actors: Actors, kind: Kind, ended: () => void) {
    this.actors = actors
    this.kind = kind
    this.#ended = ended
  }

  get size(): number {
    return this.#size
  }

  get process(): Process | undefined {
    return this.#process
  }

  /** `process` is the registry from now on, as long as it lives. */
  open(process: Process): void {
    if (this.#process !== undefined) {
      const { pid } = this.#process
      throw new TroupeError(
        'ERR_ALREADY_STARTED',
        `the registry ${show(this.kind.name)} runs on this node as ${pid}`,
        { pid },
      )
    }
    this.actors.table.entrust(process, { lost: reason => this.#closed(reason) })
    this.#process = process
  }

  /** After a crash the entries wait, with their owners, for the next start. */
  #closed(reason: ExitReason): void {
    this.#process = undefined
    if (!isCleanExit(reason)) return
    for (const entry of this.all()) this.#forget(entry)
    this.#ended()
  }

  /** The entry that is in the way, if there is one. Throws `ERR_BUSY` when the registry is full. */
  add(id: unknown, key: K, owner: Process, value: V, name?: string): Entry<K, V> | undefined {
    const holder = this.first(id)
    if (this.kind.unique && holder !== undefined) return holder
    this.checkRoom()
    const entry = new Entry(this, id, kept(key), owner, value, name)
    this.actors.table.entrust(owner, entry)
    const same = this.#byId.get(id)
    if (same === undefined) this.#byId.set(id, new Set([entry]))
    else same.add(entry)
    this.#counted(1)
    this.#tell({ type: 'register', registry: this.kind.name, key: entry.key, pid: owner.pid, value })
    return undefined
  }

  checkRoom(): void {
    const max = this.actors.table.limits.registryEntriesMax
    if (this.#size + this.meta.size < max) return
    this.actors.count('registry.refused', 1)
    throw new TroupeError('ERR_BUSY', `the registry ${show(this.kind.name)} has ${max} entries, its most`, {
      limit: 'registryEntriesMax',
    })
  }

  /** With a `reason`: its owner died of that. */
  remove(entry: Entry<K, V>, death?: { readonly reason: ExitReason }): void {
    if (!this.#forget(entry)) return
    const { key, pid } = entry
    this.#tell({ type: 'unregister', registry: this.kind.name, key, pid, ...death })
  }

  /** False when it had gone before. */
  #forget(entry: Entry<K, V>): boolean {
    const same = this.#byId.get(entry.id)
    if (same?.delete(entry) !== true) return false
    if (same.size === 0) this.#byId.delete(entry.id)
    entry.owner.ties?.belongings?.delete(entry)
    this.#counted(-1)
    return true
  }

  first(id: unknown): Entry<K, V> | undefined {
    return this.#byId.get(id)?.values().next().value
  }

  of(id: unknown): readonly Entry<K, V>[] {
    return [...(this.#byId.get(id) ?? [])]
  }

  ownedBy(owner: Process | undefined): readonly Entry<K, V>[] {
    const all = [...(owner?.ties?.belongings ?? [])]
    return all.filter((one): one is Entry<K, V> => one instanceof Entry && one.entries === this)
  }

  /** By the shorter way: a process may own as many entries as a topic has subscribers. */
  ownedUnder(owner: Process | undefined, id: unknown): readonly Entry<K, V>[] {
    const same = this.#byId.get(id)
    const owned = owner?.ties?.belongings
    if (same === undefined || owned === undefined) return []
    if (same.size > owned.size) return this.ownedBy(owner).filter(entry => entry.id === id)
    return [...same].filter(entry => entry.owner === owner)
  }

  all(): readonly Entry<K, V>[] {
    return [...this.#byId.values()].flatMap(same => [...same])
  }

  #counted(by: 1 | -1): void {
    this.#size += by
    this.actors.count('registry.entries', by)
  }

  /** A listener that is not there, or cannot be told, is nobody's fault who registers: its notice is a dead letter. */
  #tell(notice: unknown): void {
    for (const name of this.kind.listeners) {
      const listener = this.actors.table.names.holder(name)
      try {
        if (listener !== undefined) this.actors.deliver(listener, notice)
        else this.actors.table.deadLetter(name, notice, 'no such listener')
      } catch (error) {
        this.actors.table.deadLetter(name, notice, show(error))
      }
    }
  }
}
