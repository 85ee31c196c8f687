/**
 * The door of this room: `defineRegistry` and `via`. A definition is a value that any number of nodes may run, so it
 * holds one table per node, and each of its methods is told where, by a node or by a process of it.
 */
import type { Actors } from '../actor/actors.js'
import type { InitContext, Node, Speaker, Via, ViaName } from '../actor/api.js'
import { type ActorDef, defineActor } from '../actor/define.js'
import { ProcessSpeaker } from '../actor/speaker.js'
import { Address } from '../actor/via.js'
import { show, TroupeError } from '../base/errors.js'
import { Pid } from '../base/ids.js'
import { REGISTRY_LISTENERS_MAX } from '../base/limits.js'
import {
  arrayOf,
  type Check,
  checkOptions,
  expect,
  isFunction,
  isObject,
  isString,
  oneOf,
} from '../base/options.js'
import type { ExitReason } from '../base/reasons.js'
import { checkName } from '../process/local-names.js'
import type { Process } from '../process/process.js'
import { Entries, type Kind } from './entries.js'
import { canonical } from './key.js'

export interface RegistryOptions {
  /** `'unique'`: at most one entry per key. `'duplicate'`: any number, also of one process. */
  readonly keys: 'unique' | 'duplicate'
  /**
   * Names of this node (at most 16). The processes that have them are sent a `RegistryNotice` of each registration and
   * its end, ahead of any exit or down of that owner. Default none.
   */
  readonly listeners?: readonly string[] | undefined
}

/** One entry: who registered, and with which value. */
export interface Held<V> {
  readonly pid: Pid
  readonly value: V
}

/** An expected refusal is a value: the key is held, maybe by the very process that asks. */
export type Registered =
  | { readonly ok: true }
  | { readonly ok: false; readonly why: 'already_registered'; readonly pid: Pid }

/** What a listener is sent, as a plain message. */
export type RegistryNotice<K = unknown, V = unknown> =
  | {
      readonly type: 'register'
      readonly registry: string
      readonly key: K
      readonly pid: Pid
      readonly value: V
    }
  | {
      readonly type: 'unregister'
      readonly registry: string
      readonly key: K
      readonly pid: Pid
      /** Why its owner died. Absent when it unregistered by itself. */
      readonly reason?: ExitReason
    }

/**
 * A registry: an actor definition, to be started by `spawn` or as a `child` before its users, and the methods to use
 * it. Each takes first *where*: the context of a process for what is done in its name, that or a node for reads.
 *
 * Reads are local and synchronous, in order of registration; no process that has died is ever in them. Keys are equal
 * when they are alike: plain data by what it holds, 1 and 1.0 are one; a function, an instance of a class, a cycle is a
 * `TypeError`, and more than 4,096 characters, written out, a `RangeError`. Where the registry does not run everything
 * throws `ERR_NOPROC`.
 *
 * A crash of a registry ends no owner: when it is started again, the entries of those that live are there. A clean end
 * drops them all.
 */
export interface Registry<K, V, Meta extends object = Record<string, unknown>>
  extends ActorDef<string, undefined, {}, {}, {}> {
  /** Throws `ERR_BUSY` at `limits.registryEntriesMax`, `RangeError` at `limits.perProcessMax` of that process. */
  register(owner: Speaker, key: K, ...value: undefined extends V ? [value?: V] : [value: V]): Registered
  /** Ends the owner's entries of that key. Those of others stay. */
  unregister(owner: Speaker, key: K): void
  /** As `unregister`, of those that fit. */
  unregisterMatch(owner: Speaker, key: K, fits: (value: V) => boolean): void
  /**
   * Of the owner's entry, where keys are unique (else a `TypeError`): what it is now and was before. Undefined when the
   * owner has none of that key.
   */
  updateValue(
    owner: Speaker,
    key: K,
    update: (value: V) => V,
  ): { readonly value: V; readonly old: V } | undefined
  lookup(where: Node | Speaker, key: K): readonly Held<V>[]
  /** The keys of one process, one for each of its entries. */
  keys(where: Node | Speaker, pid: Pid): readonly K[]
  /** What one process registered under a key. */
  values(where: Node | Speaker, key: K, pid: Pid): readonly V[]
  /** All entries. */
  count(where: Node | Speaker): number
  match(where: Node | Speaker, key: K, fits: (value: V, pid: Pid) => boolean): readonly Held<V>[]
  countMatch(where: Node | Speaker, key: K, fits: (value: V, pid: Pid) => boolean): number
  /** Of all entries, what `pick` makes of them; undefined leaves one out. Takes as long as there are entries. */
  select<R>(
    where: Node | Speaker,
    pick: (entry: { readonly key: K } & Held<V>) => R | undefined,
  ): readonly R[]
  /**
   * Calls `fn`, here and now, with all entries of the key, unless there are none. Returns what it returned; what it
   * throws is thrown.
   */
  dispatch<R>(where: Node | Speaker, key: K, fn: (entries: readonly Held<V>[]) => R): R | undefined
  /** Undefined when there is none. */
  meta<Name extends keyof Meta & string>(where: Node | Speaker, name: Name): Meta[Name] | undefined
  /** Metadata belongs to the registry, and stays when its process crashes. Counts against `registryEntriesMax`. */
  putMeta<Name extends keyof Meta & string>(where: Node | Speaker, name: Name, value: Meta[Name]): void
  deleteMeta(where: Node | Speaker, name: keyof Meta & string): void
}

/**
 * Defines a registry: processes of one node by keys of any shape.
 *
 * ```ts
 * const rooms = defineRegistry<string, { topic: string }>('rooms', { keys: 'unique' })
 * const node = await createNode()
 * await node.spawn(rooms)
 * node.run(async self => {
 *   rooms.register(self, 'lobby', { topic: 'tea' })
 *   rooms.lookup(self, 'lobby') // [{ pid, value: { topic: 'tea' } }]
 *   await self.receive()
 * })
 * ```
 *
 * Throws `TypeError` for a name that no actor may have, and for wrong options. A start where it runs already fails with
 * `ERR_START`, reason `ERR_ALREADY_STARTED`.
 */
export function defineRegistry<K, V = undefined, Meta extends object = Record<string, unknown>>(
  name: string,
  options: RegistryOptions,
): Registry<K, V, Meta> {
  const where = `defineRegistry(${show(name)})`
  expect(`${where}: options`, options, given => (given === undefined ? 'an object' : undefined))
  checkOptions(where, options, { keys: oneOf('unique', 'duplicate'), listeners: arrayOf(isString) })
  if (options.keys === undefined)
    throw new TypeError(`${where}: keys: expected 'unique', 'duplicate', got undefined`)
  const listeners = [...new Set(options.listeners)]
  for (const listener of listeners) checkName(`${where}: listeners`, listener)
  if (listeners.length > REGISTRY_LISTENERS_MAX) {
    throw new RangeError(
      `${where}: listeners: expected at most ${REGISTRY_LISTENERS_MAX}, got ${listeners.length}`,
    )
  }
  return new RegistryDef<K, V, Meta>({ name, unique: options.keys === 'unique', listeners })
}

/**
 * The holder of a key in a registry with unique keys, as an address of this node: to send to, monitor, and give to
 * `whereis` and `named`. With a value (where the registry's may not be undefined) it is also a name to start a process
 * under, which is registered before `init` runs and gone before anybody is told of its end. A taken one is
 * `ERR_ALREADY_STARTED` with the pid, sending to nobody throws `ERR_NAME`, calling nobody rejects with `ERR_NOPROC`.
 *
 * ```ts
 * const rooms = defineRegistry<string, { topic: string }>('rooms', { keys: 'unique' })
 * const room = defineActor('room', { init: () => ({}), calls: { say: (_state, text: string) => text.length } })
 * const node = await createNode()
 * await node.spawn(rooms)
 * await node.spawn(room, undefined, { name: via(rooms, 'lobby', { topic: 'tea' }) })
 * await node.named(via(rooms, 'lobby'), room).call('say', 'hello')
 * ```
 */
export function via<K, V, M extends object>(
  registry: Registry<K, V, M>,
  key: K,
  ...value: undefined extends V ? [value?: V] : [value: V]
): ViaName
export function via<K, V, M extends object>(registry: Registry<K, V, M>, key: K): Via
export function via(registry: unknown, key: unknown, value?: unknown): ViaName {
  expect('via: registry', registry, given =>
    given instanceof RegistryDef && given.kind.unique
      ? undefined
      : 'what defineRegistry returned, with unique keys',
  )
  return new RegistryAddress(registry as RegistryDef<unknown, unknown, object>, key, value)
}

const isPid: Check = value => (value instanceof Pid ? undefined : 'a pid')

class RegistryDef<K, V, Meta extends object> implements Registry<K, V, Meta> {
  declare readonly name: string
  readonly kind: Kind
  readonly #running = new WeakMap<Node, Entries<K, V>>()

  constructor(kind: Kind) {
    this.kind = kind
    const init = (_: undefined, ctx: InitContext): Entries<K, V> => this.#open(ctx)
    const inspect = ({ size, meta }: Entries<K, V>) => ({ entries: size, meta: meta.size })
    Object.assign(this, defineActor(kind.name, { init, inspect }))
    Object.freeze(this)
  }

  #open(ctx: InitContext): Entries<K, V> {
    const actors = actorsOf('init', ctx)
    const { node } = actors
    const entries =
      this.#running.get(node) ?? new Entries(actors, this.kind, () => this.#running.delete(node))
    entries.open(actors.table.find(ctx.self) as Process)
    this.#running.set(node, entries)
    return entries
  }

  register(owner: Speaker, key: K, ...[value]: [value?: V]): Registered {
    const { entries, process } = this.#owner('register', owner)
    const holder = entries.add(this.#id('register', key), key, process, value as V)
    return holder === undefined ? { ok: true } : { ok: false, why: 'already_registered', pid: holder.pid }
  }

  unregister(owner: Speaker, key: K): void {
    this.#remove('unregister', owner, key, () => true)
  }

  unregisterMatch(owner: Speaker, key: K, fits: (value: V) => boolean): void {
    expect(this.#at('unregisterMatch', 'fits'), fits, isFunction)
    this.#remove('unregisterMatch', owner, key, fits)
  }

  #remove(what: string, owner: Speaker, key: K, fits: (value: V) => boolean): void {
    const { entries, process } = this.#owner(what, owner)
    const gone = entries.ownedUnder(process, this.#id(what, key)).filter(entry => fits(entry.value))
    for (const entry of gone) entries.remove(entry)
  }

  updateValue(owner: Speaker, key: K, update: (value: V) => V) {
    expect(this.#at('updateValue', 'update'), update, isFunction)
    if (!this.kind.unique)
      throw new TypeError(`${this.#at('updateValue', 'registry')}: expected one with unique keys`)
    const { entries, process } = this.#owner('updateValue', owner)
    const [entry] = entries.ownedUnder(process, this.#id('updateValue', key))
    if (entry === undefined) return undefined
    const old = entry.value
    entry.value = update(old)
    return { value: entry.value, old }
  }

  lookup(where: Node | Speaker, key: K): readonly Held<V>[] {
    return this.#of('lookup', where, key)
  }

  keys(where: Node | Speaker, pid: Pid): readonly K[] {
    const { entries, process } = this.#ownerOf('keys', where, pid)
    return entries.ownedBy(process).map(entry => entry.key)
  }

  values(where: Node | Speaker, key: K, pid: Pid): readonly V[] {
    const { entries, process } = this.#ownerOf('values', where, pid)
    return entries.ownedUnder(process, this.#id('values', key)).map(entry => entry.value)
  }

  count(where: Node | Speaker): number {
    return this.#entries(where).size
  }

  match(where: Node | Speaker, key: K, fits: (value: V, pid: Pid) => boolean): readonly Held<V>[] {
    expect(this.#at('match', 'fits'), fits, isFunction)
    return this.#of('match', where, key).filter(({ value, pid }) => fits(value, pid))
  }

  countMatch(where: Node | Speaker, key: K, fits: (value: V, pid: Pid) => boolean): number {
    return this.match(where, key, fits).length
  }

  select<R>(
    where: Node | Speaker,
    pick: (entry: { readonly key: K } & Held<V>) => R | undefined,
  ): readonly R[] {
    expect(this.#at('select', 'pick'), pick, isFunction)
    const all = this.#entries(where).all()
    return all.map(({ key, pid, value }) => pick({ key, pid, value })).filter(picked => picked !== undefined)
  }

  dispatch<R>(where: Node | Speaker, key: K, fn: (entries: readonly Held<V>[]) => R): R | undefined {
    expect(this.#at('dispatch', 'fn'), fn, isFunction)
    const held = this.#of('dispatch', where, key)
    return held.length === 0 ? undefined : fn(held)
  }

  meta<Name extends keyof Meta & string>(where: Node | Speaker, name: Name): Meta[Name] | undefined {
    return this.#entries(where).meta.get(name) as Meta[Name] | undefined
  }

  putMeta<Name extends keyof Meta & string>(where: Node | Speaker, name: Name, value: Meta[Name]): void {
    checkName(this.#at('putMeta', 'name'), name)
    const entries = this.#entries(where)
    if (!entries.meta.has(name)) entries.checkRoom()
    entries.meta.set(name, value)
  }

  deleteMeta(where: Node | Speaker, name: keyof Meta & string): void {
    this.#entries(where).meta.delete(name)
  }

  /** For addresses: undefined where it does not run. */
  on(actors: Actors): Entries<K, V> | undefined {
    const entries = this.#running.get(actors.node)
    return entries?.process === undefined ? undefined : entries
  }

  notRunning(node: Node): TroupeError {
    const { name } = this.kind
    return new TroupeError('ERR_NOPROC', `the registry ${show(name)} does not run on the node ${node.name}`, {
      registry: name,
      node: node.name,
    })
  }

  #entries(where: Node | Speaker): Entries<K, V> {
    expect(`${this.kind.name}: where`, where, isObject)
    const node = 'node' in where ? where.node : where
    const entries = this.#running.get(node)
    if (entries?.process === undefined) throw this.notRunning(node)
    return entries
  }

  #owner(what: string, owner: Speaker): { readonly entries: Entries<K, V>; readonly process: Process } {
    const { table } = actorsOf(this.#at(what, 'owner'), owner)
    return { entries: this.#entries(owner), process: table.find(owner.self) as Process }
  }

  #ownerOf(what: string, where: Node | Speaker, pid: Pid) {
    expect(this.#at(what, 'pid'), pid, isPid)
    const entries = this.#entries(where)
    return { entries, process: entries.actors.table.find(pid) }
  }

  #of(what: string, where: Node | Speaker, key: K): readonly Held<V>[] {
    const id = this.#id(what, key)
    return this.#entries(where)
      .of(id)
      .map(({ pid, value }) => ({ pid, value }))
  }

  #id(what: string, key: K): unknown {
    return canonical(this.#at(what, 'key'), key)
  }

  #at(what: string, parameter: string): string {
    return `${this.kind.name}.${what}: ${parameter}`
  }
}

/** Throws `ERR_DEAD` when the process is. */
function actorsOf(where: string, owner: unknown): Actors {
  if (!(owner instanceof ProcessSpeaker))
    throw new TypeError(`${where}: expected the context of a process, got ${show(owner)}`)
  return owner.alive()
}

class RegistryAddress<K, V> extends Address {
  readonly #registry: RegistryDef<K, V, object>
  readonly #key: K
  readonly #id: unknown
  readonly #value: V

  constructor(registry: RegistryDef<K, V, object>, key: K, value: V) {
    super()
    this.#registry = registry
    this.#key = key
    this.#id = canonical('via: key', key)
    this.#value = value
  }

  get via(): string {
    return `${this.#registry.kind.name}[${show(this.#key)}]`
  }

  holder(actors: Actors): Process | undefined {
    return this.#registry.on(actors)?.first(this.#id)?.owner
  }

  claim(actors: Actors, process: Process): void {
    const entries = this.#registry.on(actors)
    if (entries === undefined) throw this.#registry.notRunning(actors.node)
    const holder = entries.add(this.#id, this.#key, process, this.#value, this.via)
    if (holder === undefined) return
    throw new TroupeError('ERR_ALREADY_STARTED', `${this.via} is held by ${holder.pid}`, {
      name: this.via,
      pid: holder.pid,
    })
  }
}
