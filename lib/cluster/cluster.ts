/**
 * The door of `cluster/`: spawning anywhere under names that are known everywhere.
 *
 * It stands between four rooms and is given to each as the interface that it declared: `Spawner` and `NameResolver` to
 * actors, `Spawner` to remote, `Holder` to coord. What a user calls goes down through `spawn`; what happens to
 * processes comes up through `died`, before anybody is told of the death.
 *
 *   spawn ── here? ──▶ actors.start, claim: register ──▶ granted ──▶ init
 *         └─ there ──▶ remote.spawn ──▶ (the same, on that node)
 *   died ── no record, or a clean end ──▶ released        ── to be restarted ──▶ vacated ──▶ revival
 *
 * Events go out in a later turn: no listener runs on the stack of a death.
 */

import type { Actors, NamedSpawn, NameResolver, Spawner } from '../actor/actors.js'
import type { NameInfo, NodeEvents } from '../actor/api.js'
import { type AnyActor, isActor } from '../actor/define.js'
import type { PinnedRef } from '../actor/refs.js'
import { show, TroupeError } from '../base/errors.js'
import type { IdSpace } from '../base/id-space.js'
import { compareIds, type NodeId, type Pid } from '../base/ids.js'
import type { Limits } from '../base/limits.js'
import type { Logger } from '../base/log.js'
import type { Member } from '../base/member.js'
import { checkOptions, isInteger, isMs, timeoutOf } from '../base/options.js'
import type { ExitReason } from '../base/reasons.js'
import type { Clock, Random } from '../base/runtime.js'
import type { Partition } from '../coord/partition.js'
import { type Entry, type Owner, ownerOf } from '../coord/slot-data.js'
import { slotOf } from '../coord/slot-hash.js'
import type { Holder, Slots } from '../coord/slots.js'
import type { Process } from '../process/process.js'
import type { Remoting, SpawnOrder } from '../remote/remote.js'
import type { Codec } from '../wire/codec.js'
import { Names, type NameWait } from './names.js'
import { choose, nowhere, type Placement, parsePlacement } from './placement.js'
import { type NameRecord, RESTART_INTENSITY, type Revival, readRecord } from './record.js'
import { Revivals } from './revival.js'
import { readStartOptions, type StartOptions, writeStartOptions } from './start-options.js'

export interface ClusterOptions {
  readonly self: NodeId
  readonly clock: Clock
  readonly random: Random
  readonly ids: IdSpace
  readonly limits: Pick<Limits, 'reviveArgsBytesMax'>
  readonly slots: number
  readonly log: Logger
  /** What this node hosts for others. */
  readonly hosted: ReadonlyMap<string, AnyActor>
  readonly emit: <E extends keyof NodeEvents>(event: E, ...args: NodeEvents[E]) => void
  readonly quorum: Pick<Partition, 'quorate' | 'demand' | 'refusal'>
}

/** The rooms that it stands between; they need it, too, so they come after it. */
export interface ClusterRooms {
  readonly actors: Actors
  readonly remote: Remoting
  readonly coord: Slots
  readonly codec: Codec
  /** Alive and suspect members, sorted. */
  readonly members: () => readonly Member[]
}

/** A process here with cluster-wide names. */
interface Named {
  readonly pid: Pid
  readonly records: Map<string, NameRecord>
  /** Its `init` is over: from here on an end is a crash and not a failed start. */
  started: boolean
  /** The order of another node that it was made for, until that is settled. */
  order: SpawnOrder | undefined
}

/** A part of the time for a start is left for `init`, so that an undecided name is told as what it is. */
const CLAIM_SHARE = 0.9
const TERMINATE = 'terminated'
const INTENSITY = { restarts: isInteger(0, 2 ** 31), withinMs: isMs(1) }

export class Cluster implements Spawner, NameResolver, Holder {
  readonly #options: ClusterOptions
  readonly #named = new Map<number, Named>()
  readonly #revivals: Revivals
  #rooms: ClusterRooms | undefined
  #nameTable: Names | undefined
  #owners: readonly NodeId[] = []
  #phase: 'staying' | 'leaving' | 'stopping' = 'staying'

  constructor(options: ClusterOptions) {
    this.#options = options
    this.#revivals = new Revivals({
      self: options.self,
      clock: options.clock,
      effects: {
        mayAct: () => options.quorum.quorate,
        entry: name => this.#coord.entry(name),
        holding: name => this.#coord.holding(name),
        isOrphan: entry => this.#isOrphan(entry),
        place: (name, revival, attempt) => this.#placeAgain(name, revival, attempt),
        startHere: (entry, record, revival) => this.#reviveHere(entry, record, revival),
        startThere: (node, entry, record, revival) => this.#reviveThere(node, entry, record, revival),
        forget: name => this.#forget(name),
        failed: (name, tries, error) => {
          // Some attempts fail while members change; one that goes on failing is said more and more seldom.
          const level = tries > 2 && Number.isInteger(Math.log2(tries)) ? 'warn' : 'debug'
          const text = `the process named ${show(name)} is not back after ${tries} attempts: ${show(error)}`
          options.log[level](text, { name, tries, error })
        },
        gaveUp: (name, reason) => {
          options.log.error(
            `the process named ${show(name)} was restarted too often and is given up: ${show(reason)}`,
          )
          options.emit('name:gave-up', { name, reason })
        },
      },
    })
  }

  attach(rooms: ClusterRooms): void {
    this.#rooms = rooms
    const { ids, clock } = this.#options
    this.#nameTable = new Names({ slots: rooms.coord, ids, clock })
  }

  /** The preferred owner of each slot changed: what `on: 'ring'` means from now on. */
  ringChanged(owners: readonly NodeId[]): void {
    this.#owners = owners
    this.#revivals.membersChanged()
  }

  /** This side has lost its quorum, or has it again. */
  quorumChanged(): void {
    this.#revivals.quorumChanged()
  }

  /**
   * This node will go. It takes no process of others and no further name, and makes nothing again: what crashes, or is
   * told to shut down, is made again elsewhere, if it has a record.
   */
  leaving(): void {
    this.#phase = 'leaving'
    this.#revivals.stop()
  }

  /** From here on every end of a process is a departure. */
  stopping(): void {
    this.leaving()
    this.#phase = 'stopping'
  }

  /** The processes here that are made again elsewhere when they leave, the oldest first. */
  revivable(): readonly Pid[] {
    const named = [...this.#named.values()].filter(({ started, records }) => {
      return started && [...records.values()].some(({ revival }) => revival !== undefined)
    })
    return named.map(({ pid }) => pid).sort((a, b) => a.serial - b.serial)
  }

  // ---- spawning, for this node ----

  async spawn(
    speaker: Process | undefined,
    def: AnyActor,
    args: unknown,
    options: NamedSpawn,
  ): Promise<PinnedRef> {
    const { actors, members } = this.#needed
    const placement = parsePlacement(options.on, members(), options.name)
    const start = startOptions(options, placement)
    const named = start.name !== undefined && start.scope === 'cluster'
    if (named || placement.kind !== 'local') this.#options.quorum.demand('spawn')
    const node = choose(placement, options.name, this.#view())
    if (node === undefined) throw nowhere(placement, members())
    if (node === this.#options.self && this.#refuses(start)) throw this.#isLeaving('spawn')
    if (node !== this.#options.self) return this.#spawnThere(node, speaker, def, args, options, start)
    // What is not hosted could not be made again, not even here.
    if (start.restart !== 'temporary') this.#hosted(def.name)
    const record = this.#record(def.name, args, start)
    const { name } = def
    return actors.spawnHere(speaker, isActor(def) ? def : this.#hosted(name), args, {
      ...options,
      name: start.scope === 'node' ? start.name : undefined,
      claim: this.#claim(start, record, options.signal),
      started: pid => this.#started(pid),
    })
  }

  async #spawnThere(
    node: NodeId,
    speaker: Process | undefined,
    def: AnyActor,
    args: unknown,
    options: NamedSpawn,
    start: StartOptions,
  ): Promise<PinnedRef> {
    const { actors, remote } = this.#needed
    const monitor = options.monitor === true ? this.#options.ids.newRef() : undefined
    const parent = speaker?.pid ?? actors.outside
    const pid = await remote.spawn(parent, node, def.name, args, {
      timeoutMs: start.timeoutMs,
      signal: options.signal,
      link: options.link,
      monitor,
      start: writeStartOptions(start),
      accept: child => {
        if (speaker?.dead === true) return false
        if (speaker !== undefined && monitor !== undefined)
          actors.table.monitors.adopt(speaker, monitor, child)
        return true
      },
    })
    return actors.ref(pid, { defName: def.name, speaker, monitor })
  }

  // ---- spawning, for other nodes ----

  /** As `remote/`'s `Spawner`. Rejects with `ERR_UNKNOWN_ACTOR` for what this node does not host. */
  async host(order: SpawnOrder): Promise<Pid> {
    if (this.#phase !== 'staying') throw this.#isLeaving('spawn')
    this.#options.quorum.demand('spawn')
    const def = this.#hosted(order.definition)
    const start = readStartOptions(order.options)
    const { actors, codec } = this.#needed
    // A record needs the arguments as bytes; everything else leaves them closed until the child's own turn.
    const args = start.restart === 'temporary' ? order.args : order.args.open()
    const record = this.#recordOf(def.name, start, () => codec.encode(args, 0, 'args'))
    const started = actors.start(def, args, {
      parent: order.parent,
      link: start.link,
      name: start.scope === 'node' ? start.name : undefined,
      timeoutMs: start.timeoutMs,
      claim: this.#claim(start, record, undefined, order),
      started: pid => this.#started(pid),
    })
    order.born(started.pid)
    await started.done
    return started.pid
  }

  /** While it drains, its processes may still need helpers; names are for those who stay. */
  #refuses({ name, scope }: StartOptions): boolean {
    return this.#phase === 'stopping' || (this.#phase === 'leaving' && name !== undefined && scope !== 'node')
  }

  #isLeaving(what: string): TroupeError {
    const { self } = this.#options
    return new TroupeError('ERR_STOPPED', `${what}: the node ${self} is leaving; another one may take it`, {
      node: self,
    })
  }

  #hosted(definition: string): AnyActor {
    const def = this.#options.hosted.get(definition)
    if (def !== undefined) return def
    const known = [...this.#options.hosted.keys()].sort(compareIds)
    throw new TroupeError(
      'ERR_UNKNOWN_ACTOR',
      `${this.#options.self} hosts no actor ${show(definition)}; it hosts ${known.map(name => show(name)).join(', ') || 'none'}`,
      { node: this.#options.self, definition, known },
    )
  }

  // ---- names ----

  resolve(name: string): Pid | 'pending' | undefined {
    return this.#names.resolve(name)
  }

  async wait(name: string, timeoutMs: number): Promise<Pid | undefined> {
    const holder = await this.#names.settled(name, { timeoutMs })
    return holder === 'pending' ? undefined : holder
  }

  /** On a side without quorum a name that is not found may be held on the other. */
  absent(name: string): TroupeError | undefined {
    return this.#options.quorum.refusal(`the name ${show(name)} is not held on this side`)
  }

  definition(name: string): string | undefined {
    return this.#names.definition(name)
  }

  /** Gives a process of this node a further name. */
  async register(name: string, pid: Pid, wait: NameWait): Promise<void> {
    const { actors } = this.#needed
    const process = actors.table.find(pid)
    if (process === undefined) {
      throw new TroupeError('ERR_NOPROC', `register: there is no process ${pid} on this node`, { name, pid })
    }
    wait.signal?.throwIfAborted()
    this.#options.quorum.demand('register')
    const known = this.#named.get(pid.serial)?.records.get(name)
    const record = known ?? { definition: actors.info(process).definition, revival: undefined }
    if (known === undefined) this.#note(pid, name, record).started = true
    const withdraw = (): void => {
      if (this.#coord.holding(name)?.serial !== pid.serial) this.#coord.release(name, pid.serial)
    }
    wait.signal?.addEventListener('abort', withdraw)
    try {
      await this.#names.register(name, pid, record, wait)
    } catch (error) {
      if (known === undefined) this.#unnote(pid, name)
      wait.signal?.throwIfAborted()
      throw error
    } finally {
      wait.signal?.removeEventListener('abort', withdraw)
    }
  }

  /** False when nobody has it. A name of another node's process is `ERR_NAME`: only its node can free it. */
  unregister(name: string): boolean {
    const entry = this.#coord.entry(name)
    if (entry?.serial === undefined) return false
    const pid = this.#names.pidOf(entry)
    if (pid === undefined) return false
    if (!this.#options.ids.isOwn(pid)) {
      throw new TroupeError('ERR_NAME', `unregister: ${show(name)} is held by ${pid}, on another node`, {
        name,
        pid,
      })
    }
    this.#unnote(pid, name)
    this.#coord.release(name, pid.serial)
    return true
  }

  /** Ends the holder of a name, with `{ shutdown: { terminated: name } }`, and deletes its record. */
  async terminate(name: string, wait: NameWait): Promise<void> {
    this.#options.quorum.demand('terminate')
    const deadline = this.#options.clock.now() + wait.timeoutMs
    let last: Pid | undefined
    for (;;) {
      const left = { ...wait, timeoutMs: Math.max(0, deadline - this.#options.clock.now()) }
      const holder = await this.#holderOrOrphan(name, left)
      if (holder === 'orphan') {
        await this.#names.drop(name, left)
        return this.#revivals.released(name)
      }
      if (holder === undefined && last === undefined)
        throw new TroupeError('ERR_NOPROC', `terminate: nobody is named ${show(name)}`, { name })
      if (holder === undefined || holder === last) return
      if (await this.#ends(holder, name, left)) return
      last = holder
    }
  }

  /**
   * False: it ended, but for another reason, and may be made again. The exit ends whoever does not trap exits, now;
   * the stop behind it ends those who do, after their mail, and tells how it came out.
   */
  async #ends(holder: Pid, name: string, wait: NameWait): Promise<boolean> {
    const { actors } = this.#needed
    const reason = { shutdown: { [TERMINATE]: name } }
    actors.table.exit(actors.outside, holder, reason)
    try {
      await actors.ref(holder, {}).stop(reason, wait)
      return true
    } catch (error) {
      if (TroupeError.is(error, 'ERR_NOPROC')) return false
      if (!TroupeError.is(error, 'ERR_EXIT')) throw error
      return isTermination(error.detail['reason'], name)
    }
  }

  async #holderOrOrphan(name: string, wait: NameWait): Promise<Pid | 'orphan' | undefined> {
    const entry = this.#coord.entry(name)
    if (entry !== undefined && this.#isOrphan(entry)) return 'orphan'
    const holder = await this.#names.settled(name, wait)
    if (holder !== 'pending') return holder
    const still = this.#coord.entry(name)
    if (still !== undefined && this.#isOrphan(still)) return 'orphan'
    throw new TroupeError(
      'ERR_TIMEOUT',
      `terminate: ${show(name)} stayed between two holders for ${wait.timeoutMs} ms`,
      {
        name,
        timeoutMs: wait.timeoutMs,
      },
    )
  }

  list(): readonly NameInfo[] {
    // Without those of nodes that are gone, which only the registrar can remove: nobody finds them.
    const found = this.#coord.entries().filter(entry => this.#coord.entry(entry.key) === entry)
    return found.map(entry => {
      const pid = this.#names.pidOf(entry)
      const { revival } = readRecord(entry.value)
      const waits =
        pid === undefined && revival !== undefined && this.#placeAgain(entry.key, revival, 0) === undefined
      return {
        name: entry.key,
        pid,
        state: pid !== undefined ? 'held' : waits ? 'waiting' : 'reviving',
        definition: entry.label,
      }
    })
  }

  /** The cluster-wide names of a process of this node. */
  namesOf(pid: Pid): readonly string[] {
    return [...(this.#named.get(pid.serial)?.records.keys() ?? [])]
  }

  /** A process of this node is dead and nobody was told yet: its names are freed, or kept for a restart. */
  died(pid: Pid, reason: ExitReason): void {
    const named = this.#named.get(pid.serial)
    if (named === undefined) return
    this.#named.delete(pid.serial)
    const departs = this.#phase === 'stopping' || (this.#phase === 'leaving' && reason === 'shutdown')
    const restarted = (name: string): boolean => {
      const revival = named.records.get(name)?.revival
      return (
        named.started &&
        // Nobody took it over: who asked for it was told that there is none.
        named.order?.unwanted !== true &&
        !isTermination(reason, name) &&
        (departs ? revival !== undefined : Revivals.restarts(revival, reason))
      )
    }
    const kept = [...named.records.keys()].filter(restarted)
    this.#coord.ended(pid.serial, name => kept.includes(name))
    for (const name of named.records.keys()) {
      const entry = this.#coord.entry(name)
      // A process that merely asked for the name, and was refused, ends no revival of it.
      if (entry === undefined) this.#revivals.released(name)
      else if (kept.includes(name) && entry.serial === undefined) this.#revivals.restartHere(entry, reason)
    }
  }

  // ---- what coord tells its holder ----

  changed(name: string, entry: Entry | undefined): void {
    this.#names.changed(name)
    const { emit } = this.#options
    if (entry === undefined) return emit('name:released', { name })
    const pid = this.#names.pidOf(entry)
    if (pid !== undefined) emit('name:registered', { name, pid })
  }

  lost(entry: Entry, winner: Owner | undefined, ends: boolean): void {
    const owner = ownerOf(entry)
    // It was lost while its process was being made again: nobody is to be made any more.
    if (owner === undefined) return this.#revivals.released(entry.key)
    const loser = this.#names.ownerPid(owner)
    const winning = winner === undefined ? undefined : this.#names.ownerPid(winner)
    this.#unnote(loser, entry.key)
    this.#options.emit('name:conflict', { name: entry.key, winner: winning, loser })
    if (!ends) return
    const { table, outside } = this.#needed.actors
    table.exit(outside, loser, { shutdown: { nameConflict: entry.key, winner: winning } })
  }

  revive(entry: Entry): void {
    if (readRecord(entry.value).revival === undefined) this.#forget(entry.key)
    else this.#revivals.revive(entry)
  }

  stats(): Readonly<Record<string, number>> {
    return { held: this.#named.size, reviving: this.#revivals.size, waiting: this.#nameTable?.waiting ?? 0 }
  }

  // ---- inside ----

  get #needed(): ClusterRooms {
    if (this.#rooms === undefined) throw new TypeError('the cluster was used before it was attached')
    return this.#rooms
  }

  get #coord(): Slots {
    return this.#needed.coord
  }

  get #names(): Names {
    if (this.#nameTable === undefined) throw new TypeError('the cluster was used before it was attached')
    return this.#nameTable
  }

  #view() {
    const { self, random, slots } = this.#options
    return {
      self,
      members: this.#needed.members(),
      ownerOf: (name: string): NodeId => this.#owners[slotOf(name, slots)] ?? self,
      float: () => random.float(),
    }
  }

  /** Where a lost process goes. The home of one that was merely local is gone: the ring decides. */
  #placeAgain(name: string, revival: Revival, attempt: number): NodeId | undefined {
    const view = this.#view()
    if (revival.placement.kind === 'node' || revival.placement.kind === 'tag') {
      return choose(revival.placement, name, view)
    }
    const first = view.ownerOf(name)
    const alive = view.members.filter(member => member.state === 'alive').map(member => member.name)
    const at = alive.indexOf(first)
    // The owner may not host the definition, or be out of our reach: later attempts go round.
    return alive.length === 0 ? undefined : alive[(Math.max(0, at) + attempt) % alive.length]
  }

  /** Its process is gone, and its node with it, or about to follow. */
  #isOrphan(entry: Entry): boolean {
    return this.#coord.isOrphan(entry) || this.#coord.isLeftBehind(entry) || this.#vacatedByTheGone(entry)
  }

  /** A process that crashed just before its node did: its entry has no owner, and nobody at home to make one. */
  #vacatedByTheGone(entry: Entry): boolean {
    if (entry.serial !== undefined) return false
    const { home } = entry
    return !this.#needed
      .members()
      .some(member => member.name === home.node && member.creation === home.creation)
  }

  #record(definition: string, args: unknown, start: StartOptions): NameRecord {
    return this.#recordOf(definition, start, () => this.#needed.codec.encode(args, 0, 'args'))
  }

  #recordOf(definition: string, start: StartOptions, encode: () => Buffer): NameRecord {
    if (start.restart === 'temporary') return { definition, revival: undefined }
    const args = encode()
    const max = this.#options.limits.reviveArgsBytesMax
    if (args.length > max) {
      throw new TroupeError(
        'ERR_TOO_LARGE',
        `spawn: args: ${args.length} bytes, of at most ${max} for a process that is revived`,
        {
          bytes: args.length,
          max,
        },
      )
    }
    const { restart, placement, intensity } = start
    return { definition, revival: { restart, placement, intensity, args } }
  }

  /** Takes the name before `init` runs: fresh, or from the entry that is to be replaced. */
  #claim(
    start: StartOptions,
    record: NameRecord,
    signal: AbortSignal | undefined,
    order?: SpawnOrder,
  ): ((pid: Pid) => Promise<void>) | undefined {
    const { name, scope, replaces, timeoutMs } = start
    if (name === undefined || scope === 'node') return undefined
    const wait = { timeoutMs: timeoutMs * CLAIM_SHARE, signal }
    return async pid => {
      const named = this.#note(pid, name, record)
      named.order = order
      if (replaces === undefined) return this.#names.register(name, pid, record, wait)
      await this.#names.replace(name, pid, record, replaces, wait)
      // Whoever was made again and fails in `init` has crashed once more: its record stays, and it counts.
      named.started = true
    }
  }

  #note(pid: Pid, name: string, record: NameRecord): Named {
    const named = this.#named.get(pid.serial) ?? { pid, records: new Map(), started: false, order: undefined }
    named.records.set(name, record)
    this.#named.set(pid.serial, named)
    return named
  }

  #unnote(pid: Pid, name: string): void {
    const named = this.#named.get(pid.serial)
    named?.records.delete(name)
    if (named?.records.size === 0) this.#named.delete(pid.serial)
  }

  #started(pid: Pid): void {
    const named = this.#named.get(pid.serial)
    if (named !== undefined) named.started = true
  }

  async #reviveHere(entry: Entry, record: NameRecord, revival: Revival): Promise<Pid> {
    const { actors, codec } = this.#needed
    const def = this.#hosted(record.definition ?? '')
    const start = revivalStart(entry, revival)
    const started = actors.start(def, codec.decode(revival.args, 0, revival.args.length), {
      timeoutMs: start.timeoutMs,
      claim: this.#claim(start, record, undefined),
    })
    await started.done
    return started.pid
  }

  #reviveThere(node: NodeId, entry: Entry, record: NameRecord, revival: Revival): Promise<Pid> {
    const { actors, remote, codec } = this.#needed
    const args = codec.decode(revival.args, 0, revival.args.length)
    const start = revivalStart(entry, revival)
    return remote.spawn(actors.outside, node, record.definition ?? '', args, {
      timeoutMs: start.timeoutMs,
      start: writeStartOptions(start),
      accept: () => true,
    })
  }

  /** An entry here is released by its home; one whose home is gone is dropped by the registrar. */
  #forget(name: string): void {
    const entry = this.#coord.entry(name)
    if (entry === undefined) return
    if (this.#options.ids.isOwn(entry.home)) {
      this.#coord.release(name, entry.serial)
      return
    }
    this.#names.drop(name, { timeoutMs: timeoutOf(undefined) }).catch(error => {
      this.#options.log.warn(`the name ${show(name)} could not be freed: ${show(error)}`, { name, error })
    })
  }
}

const isTermination = (reason: ExitReason, name: string): boolean => {
  const shutdown =
    typeof reason === 'object' && reason !== null && 'shutdown' in reason ? reason.shutdown : undefined
  return (
    typeof shutdown === 'object' && shutdown !== null && TERMINATE in shutdown && shutdown[TERMINATE] === name
  )
}

/** Checks what `restart` needs. Throws `TypeError`. */
function startOptions(options: NamedSpawn, placement: Placement): StartOptions {
  const { name, scope = 'cluster', restart = 'temporary', intensity } = options
  if (restart !== 'temporary' && (name === undefined || scope === 'node')) {
    throw new TypeError(
      `spawn: restart: '${restart}' needs a cluster-wide name, under which the process is made again`,
    )
  }
  checkOptions('spawn: intensity', intensity, INTENSITY)
  return {
    name,
    scope,
    link: options.link === true,
    timeoutMs: timeoutOf(options),
    restart,
    // A function cannot cross nodes: where it would send a revived process, the ring decides.
    placement: typeof options.on === 'function' ? { kind: 'ring' } : placement,
    intensity: { ...RESTART_INTENSITY, ...intensity },
    replaces: undefined,
  }
}

const revivalStart = (entry: Entry, revival: Revival): StartOptions => ({
  name: entry.key,
  scope: 'cluster',
  link: false,
  timeoutMs: timeoutOf(undefined),
  restart: revival.restart,
  placement: revival.placement,
  intensity: revival.intensity,
  replaces: entry.since,
})
