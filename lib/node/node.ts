/**
 * A node: every room below, composed. See README.md for the drawing and for the orders that matter. It is one file
 * because it is one list: what each room is given, and which method of `Node` is whose; it decides nothing but the order
 * of start and stop.
 *
 *   starting ──▶ running ──▶ stopping ──▶ stopped        a start that fails goes to stopped and rejects
 */

import { ActorProcess } from '../actor/actor-process.js'
import { type Actors, createActors } from '../actor/actors.js'
import type {
  ActorRef,
  CrashReport,
  NameInfo,
  Node,
  NodeDescription,
  NodeEvents,
  NodeHealth,
  NodeStats,
  Overrun,
  ProcessBranch,
  ProcessInfo,
  RunOptions,
  Self,
  To,
  Via,
} from '../actor/api.js'
import type { Debug } from '../actor/debug.js'
import { Debugging } from '../actor/debugging.js'
import type { AnyActor, SpawnRest } from '../actor/define.js'
import type { Groups } from '../actor/groups.js'
import { type Inside, kInside } from '../actor/inside.js'
import type { Rpc, RpcMany } from '../actor/procedure.js'
import { refExtensions } from '../actor/ref-extensions.js'
import { STOP, typed } from '../actor/refs.js'
import { overrunOf } from '../actor/shown.js'
import { show, TroupeError } from '../base/errors.js'
import { IdSpace } from '../base/id-space.js'
import { type NodeId, type Pid, parseNodeId } from '../base/ids.js'
import { type Logger, SILENT } from '../base/log.js'
import type { DownReason, Member, MembersView } from '../base/member.js'
import { checkOptions, isMs, oneOf, timeoutOf, WAIT_CHECKS, type WaitOptions } from '../base/options.js'
import type { ExitReason } from '../base/reasons.js'
import type { Address, Runtime } from '../base/runtime.js'
import { type Trace, trace } from '../base/trace.js'
import { Cluster } from '../cluster/cluster.js'
import { RING_VERSION, slotRing } from '../cluster/ring.js'
import { LargestSeen } from '../coord/largest-seen.js'
import { Partition } from '../coord/partition.js'
import { describePolicy } from '../coord/quorum.js'
import { HASH_VERSION, SLOTS } from '../coord/slot-hash.js'
import { Slots } from '../coord/slots.js'
import { Scopes } from '../groups/scopes.js'
import { createMesh } from '../mesh/full-mesh.js'
import type { Mesh, MeshListener, Session } from '../mesh/mesh.js'
import { checkName } from '../process/local-names.js'
import { Encoded, type Sent } from '../process/mail.js'
import { Phase, type Process } from '../process/process.js'
import type { Recipient } from '../process/process-table.js'
import { NodeMonitors } from '../remote/node-monitors.js'
import { Procedures } from '../remote/procedures.js'
import { createRemote, type Remoting } from '../remote/remote.js'
import { ping as pingOf, type RpcEdge, rpcOn } from '../remote/rpc.js'
import { createRealRuntime } from '../runtime/real-runtime.js'
import { isSupervisor } from '../supervisor/child-spec.js'
import type { Codec } from '../wire/codec.js'
import { createCodec } from '../wire/create-codec.js'
import { ClientRequests } from './client-requests.js'
import { Events } from './events.js'
import { freeze } from './freeze.js'
import { healthOf } from './health.js'
import { type CheckedOptions, checkDescription, checkNodeOptions, type NodeOptions } from './options.js'
import { connect, ping } from './reach.js'
import { recordDied, recordEvent, recordSignal } from './recording.js'
import { guarded, Reports, standardLogger } from './reports.js'
import { treeOf } from './tree.js'

/** How long a stop lets calls and mail finish. */
const DRAIN_MS = 1_000
/** What processes get at least, of that, to end. */
const END_MS = 1_000
/** How long the goodbye may take to be written. */
const GOODBYE_MS = 1_000
/** How often a stopping node looks whether it is idle. */
const LOOK_MS = 5

const SCOPE = { ...WAIT_CHECKS, scope: oneOf('cluster', 'node') }
const GONE_MAX = 4_096

/**
 * Starts a node. It listens first, then joins through its seeds, and resolves when it has joined: when one seed
 * answered and every member it named was connected or failed one dial; or alone, when there are no seeds or all of
 * them failed once (seeds are dialled for ever after, with back-off).
 *
 * Without `listen` and `seeds` no socket is opened, and everything but other nodes works the same.
 *
 * Throws `TypeError` or `RangeError` for a wrong option, by its name. Rejects with `ERR_HANDSHAKE` when a seed refused
 * this node (secret, cluster name, parameters), `ERR_DUPLICATE_NODE` when its name is taken by a live node, and with
 * the operating system's error when it cannot listen.
 *
 * ```ts
 * const node = await createNode({ name: 'a', listen: '127.0.0.1:7001', actors: [] })
 * await node.stop()
 * ```
 */
export async function createNode(options: NodeOptions = {}): Promise<Node> {
  const runtime = options.runtime ?? createRealRuntime()
  const checked = checkNodeOptions(options, runtime)
  const standard = standardLogger(runtime.host, checked.name)
  const logger = options.logger === false ? SILENT : guarded(options.logger ?? standard, standard)
  const node = new TroupeNode(runtime, checked, logger)
  await node.start()
  return node
}

type State = NodeHealth['state']

class TroupeNode implements Node {
  readonly name: NodeId
  readonly debug: Debug
  readonly #runtime: Runtime
  readonly #log: Logger
  readonly #events: Events
  readonly #traces = { mesh: trace('mesh'), names: trace('names'), process: trace('process') }
  readonly #reports: Reports
  readonly #actors: Actors
  readonly #codec: Codec
  readonly #remote: Remoting
  readonly #procedures: Procedures
  readonly #nodeMonitors: NodeMonitors
  readonly #cluster: Cluster
  readonly #partition: Partition
  readonly #coord: Slots
  readonly #clients: ClientRequests
  readonly #groups: Scopes
  readonly #mesh: Mesh
  readonly #startedMs: number
  /** What listeners have still to be told: never on the stack of its cause. */
  readonly #untold: (() => void)[] = []
  #state: State = 'starting'
  #release: (() => void) | undefined
  #stopped: Promise<void> | undefined

  constructor(runtime: Runtime, options: CheckedOptions, logger: Logger) {
    const { name, limits } = options
    const { record } = runtime
    this.name = name
    this.#runtime = runtime
    this.#log = logger
    this.#events = new Events(logger)
    this.#reports = new Reports(logger, runtime.clock)
    this.#startedMs = runtime.clock.now()
    const creation = Buffer.from(runtime.random.fork('creation').bytes(6)).readUIntLE(0, 6)
    const ids = new IdSpace(name, creation, limits.pidsInternedMax)
    this.#partition = this.#makePartition(options)
    this.#cluster = new Cluster({
      self: name,
      clock: runtime.clock,
      random: runtime.random.fork('cluster'),
      ids,
      limits,
      slots: SLOTS,
      log: logger,
      hosted: options.actors,
      emit: (event, ...args) => this.#tell(event, ...args),
      quorum: this.#partition,
    })
    this.#actors = createActors({
      runtime,
      ids,
      limits,
      node: () => this,
      spawner: this.#cluster,
      names: this.#cluster,
      mailboxPolicy: options.mailboxPolicy,
      copyLocal: this.#copier(options),
      attribute: options.attribute,
      countOnly: runtime.simulated === true,
      overrunMs: options.watchdogMs,
      hooks: {
        died: (pid, reason) => {
          if (record !== undefined) recordDied(record, pid, reason)
          this.#cluster.died(pid, reason)
        },
        told: record === undefined ? undefined : (pid, signal) => recordSignal(record, pid, signal),
        deadLetter: (to, message, why) => this.#deadLetter(to, message, why),
        crowded: (pid, messages) => this.#reports.crowded(pid, messages),
        fault: (pid, error) => {
          this.#reports.fault(pid, error)
          if (runtime.simulated !== true) return
          runtime.loop.later(() => {
            throw error // a simulated run fails by it
          })
        },
        slow: (process, mail, ms) => {
          const overrun = this.#called(overrunOf(process, mail, ms))
          this.#reports.overrun(overrun)
          this.#tell('process:overrun', overrun)
        },
        crash: given => {
          const report = this.#called(given)
          this.#reports.crash(report)
          this.#tell('crash', report)
        },
      },
    })
    this.debug = new Debugging(this.#actors, pid => this.#cluster.namesOf(pid))
    this.#codec = createCodec({ limits, ids, extensions: refExtensions(this.#actors) })
    this.#procedures = new Procedures(this.#actors, options.procedures)
    this.#nodeMonitors = new NodeMonitors(this.#actors.table)
    this.#remote = createRemote({
      runtime,
      ids,
      codec: this.#codec,
      limits,
      local: this.#actors.table.local,
      spawner: { spawn: order => this.#cluster.host(order) },
      procedures: this.#procedures,
      deadLetter: (to, message, why) => this.#actors.table.deadLetter(to, message, why),
    })
    this.#actors.table.remote = this.#remote
    this.#actors.beyond = {
      rpc: (speaker, on) => rpcOn(this.#rpcEdge, speaker, on),
      monitorNode: (owner, node) => this.#nodeMonitors.monitor(owner, node),
      monitorNodes: owner => this.#nodeMonitors.monitorAll(owner),
      demonitorNode: (owner, ref) => this.#nodeMonitors.remove(owner, ref),
    }
    const ownersOf = slotRing(SLOTS)
    this.#coord = new Slots({
      runtime,
      self: { node: name, creation },
      slots: SLOTS,
      resolver: options.resolver,
      limits: {
        asksMax: limits.namesMax,
        waitingMax: limits.namesMax,
        holdingsMax: limits.namesMax,
        goneMax: GONE_MAX,
      },
      quorum: this.#partition,
      holder: this.#cluster,
      members: () => this.#mesh.members().members,
      ownersOf: members => {
        const owners = ownersOf(members)
        this.#cluster.ringChanged(owners)
        return owners
      },
    })
    this.#clients = new ClientRequests({
      node: this,
      codec: this.#codec,
      ids,
      limits,
      hosted: options.actors,
      refTo: pid => typed(this.#actors.ref(pid, {})),
    })
    this.#groups = new Scopes({
      loop: runtime.loop,
      actors: this.#actors,
      remote: this.#remote,
      log: logger,
    })
    this.#mesh = createMesh(
      {
        runtime,
        self: name,
        creation,
        listen: options.listen,
        seeds: options.seeds,
        discovery: options.discovery,
        advertise: options.advertise,
        cluster: {
          name: options.cluster,
          parameters: {
            slots: SLOTS,
            hash: HASH_VERSION,
            ring: RING_VERSION,
            partitionPolicy: describePolicy(options.partitionPolicy),
          },
        },
        secret: options.secrets.length === 0 ? undefined : options.secrets,
        limits,
        logger,
        tags: options.tags,
        meta: options.meta,
        profile: options.profile,
      },
      // In this order: the loss of a quorum, exits and downs, names and groups, then signals and events of nodes.
      [
        this.#partition,
        this.#remote,
        this.#coord,
        this.#groups,
        this.#clients,
        this.#nodeMonitors,
        this.#listener(),
      ],
    )
    this.#cluster.attach({
      actors: this.#actors,
      remote: this.#remote,
      coord: this.#coord,
      codec: this.#codec,
      members: () => this.#mesh.members().members,
    })
  }

  async start(): Promise<void> {
    this.#release = this.#runtime.loop.hold()
    try {
      await this.#partition.load()
      await this.#mesh.start()
    } catch (error) {
      await this.#close()
      throw error
    }
    this.#partition.start()
    this.#coord.start()
    if (this.#state === 'starting') this.#state = 'running'
  }

  // ---- processes ----

  get [kInside](): Inside {
    this.#running('processes')
    return { actors: this.#actors, process: undefined }
  }

  get self(): Pid {
    return this.#actors.outside
  }

  get address(): Address | undefined {
    return this.#mesh.address
  }

  spawn<D extends AnyActor>(def: D, ...rest: SpawnRest<D>): Promise<ActorRef<D>> {
    try {
      this.#running('spawn')
      return this.#actors.spawn(undefined, def, rest[0], rest[1]) as Promise<unknown> as Promise<ActorRef<D>>
    } catch (error) {
      return Promise.reject(error)
    }
  }

  run(fn: (self: Self) => unknown, options?: Omit<RunOptions, 'link'>): Pid {
    this.#running('run')
    return this.#actors.run(undefined, fn, options)
  }

  whereis<D extends AnyActor>(name: string | Via, def?: D): ActorRef<D> | undefined {
    const found = this.#actors.whereis(undefined, name, def)
    return found === undefined ? undefined : typed(found)
  }

  named<D extends AnyActor>(name: string | Via, def?: D): ActorRef<D> {
    return typed(this.#actors.named(undefined, name, def))
  }

  register(
    name: string,
    pid: Pid,
    options?: WaitOptions & { readonly scope?: 'cluster' | 'node' },
  ): Promise<void> {
    this.#running('register')
    checkName('register: name', name)
    checkOptions('register', options, SCOPE)
    if (options?.scope === 'node') {
      this.#actors.registerHere(name, pid)
      return Promise.resolve()
    }
    return this.#cluster.register(name, pid, { timeoutMs: timeoutOf(options), signal: options?.signal })
  }

  unregister(
    name: string,
    options?: WaitOptions & { readonly scope?: 'cluster' | 'node' },
  ): Promise<boolean> {
    checkName('unregister: name', name)
    checkOptions('unregister', options, SCOPE)
    if (options?.scope === 'node') return Promise.resolve(this.#actors.table.names.unregister(name))
    return new Promise(resolve => resolve(this.#cluster.unregister(name)))
  }

  terminate(name: string, options?: WaitOptions): Promise<void> {
    this.#running('terminate')
    checkName('terminate: name', name)
    checkOptions('terminate', options, WAIT_CHECKS)
    return this.#cluster.terminate(name, { timeoutMs: timeoutOf(options), signal: options?.signal })
  }

  names(): readonly NameInfo[] {
    return this.#cluster.list()
  }

  processes(): readonly ProcessInfo[] {
    return [...this.#actors.table.all()].map(process => {
      const info = this.#actors.info(process)
      return { ...info, names: [...info.names, ...this.#cluster.namesOf(process.pid)] }
    })
  }

  tree(): readonly ProcessBranch[] {
    return treeOf(this.#actors.table.all(), this.#actors, pid => this.#cluster.namesOf(pid))
  }

  isAlive(pid: Pid): boolean {
    if (!this.#actors.table.isHere(pid)) {
      throw new TypeError(
        `isAlive: expected a pid of ${this.name}, got ${pid}; processes of other nodes are monitored`,
      )
    }
    return this.#actors.table.find(pid) !== undefined
  }

  send(to: To, message: unknown): Sent {
    return this.#actors.sendFrom(this.#actors.speakerOf(undefined), to, message)
  }

  exit(pid: Pid, reason: ExitReason): void {
    this.#actors.table.exit(this.#actors.outside, pid, reason)
  }

  drained(pid: Pid, options?: WaitOptions): Promise<void> {
    checkOptions('drained', options, WAIT_CHECKS)
    const session = this.#mesh.session(pid.node)
    if (session === undefined || this.#actors.table.isHere(pid)) return Promise.resolve()
    const timeoutMs = timeoutOf(options)
    const signal = options?.signal
    return new Promise((resolve, reject) => {
      const settle = (done: () => void) => (): void => {
        timer.clear()
        signal?.removeEventListener('abort', aborted)
        waitNoMore()
        done()
      }
      let waitNoMore = (): void => {}
      const late = (): void =>
        reject(
          new TroupeError(
            'ERR_TIMEOUT',
            `the queue towards ${pid.node} did not drain within ${timeoutMs} ms`,
            {
              node: pid.node,
              timeoutMs,
            },
          ),
        )
      const timer = this.#runtime.clock.after(timeoutMs, settle(late))
      const aborted = settle(() => reject(signal?.reason))
      signal?.addEventListener('abort', aborted)
      if (signal?.aborted === true) aborted()
      else waitNoMore = session.onDrained(settle(resolve))
    })
  }

  // ---- the cluster ----

  groups(scope?: string): Groups {
    this.#running('groups')
    return this.#groups.node(scope)
  }

  members(): MembersView {
    return this.#mesh.members()
  }

  update(changed: NodeDescription): void {
    this.#running('update')
    this.#mesh.update(checkDescription(changed))
  }

  nodes(): readonly NodeId[] {
    return this.#mesh.sessions().map(session => session.peer)
  }

  connect(to: string, options?: WaitOptions): Promise<boolean> {
    this.#running('connect')
    checkOptions('connect', options, WAIT_CHECKS)
    return connect(this.#mesh, this.#runtime.clock, to, options)
  }

  ping(node: string, options?: WaitOptions): Promise<'pong' | 'pang'> {
    this.#running('ping')
    checkOptions('ping', options, WAIT_CHECKS)
    const name = parseNodeId(node)
    return ping(this.#mesh, this.#runtime.clock, name, options, left => pingOf(this.#rpcEdge, name, left))
  }

  disconnect(node: string): boolean {
    this.#running('disconnect')
    return this.#mesh.disconnect(parseNodeId(node))
  }

  rpc(on: string): Rpc
  rpc(on: readonly string[]): RpcMany
  rpc(on: string | readonly string[]): Rpc & RpcMany {
    this.#running('rpc')
    return rpcOn(this.#rpcEdge, undefined, on)
  }

  get #rpcEdge(): RpcEdge {
    return { actors: this.#actors, host: this.#procedures, remote: this.#remote }
  }

  on<E extends keyof NodeEvents>(event: E, listener: (...args: NodeEvents[E]) => void): this {
    this.#events.on(event, listener)
    return this
  }

  once<E extends keyof NodeEvents>(event: E, listener: (...args: NodeEvents[E]) => void): this {
    this.#events.once(event, listener)
    return this
  }

  off<E extends keyof NodeEvents>(event: E, listener: (...args: NodeEvents[E]) => void): this {
    this.#events.off(event, listener)
    return this
  }

  stats(): NodeStats {
    const counters: Record<string, number> = { ...this.#actors.stats() }
    const rooms = {
      mesh: this.#mesh.stats(),
      remote: this.#remote.stats(),
      rpc: this.#procedures.stats(),
      nodes: { monitors: this.#nodeMonitors.size },
      slots: this.#coord.stats(),
      quorum: this.#partition.stats(),
      cluster: this.#cluster.stats(),
      groups: this.#groups.stats(),
      clients: this.#clients.stats(),
    }
    for (const [room, stats] of Object.entries(rooms)) {
      for (const [key, value] of Object.entries(stats)) counters[`${room}.${key}`] = value
    }
    return { node: this.name, uptimeMs: this.#runtime.clock.now() - this.#startedMs, counters }
  }

  health(): NodeHealth {
    return healthOf({
      state: this.#state,
      members: this.#mesh.members().members.length,
      sessions: this.#mesh.sessions().length,
      loopLagMs: this.#runtime.loop.lag(),
      quorum: this.#partition.quorum,
      closedSlots: this.#coord.closed(),
    })
  }

  // ---- the end ----

  stop(options?: { readonly drainMs?: number }): Promise<void> {
    checkOptions('stop', options, { drainMs: isMs() })
    this.#stopped ??= this.#stop(options?.drainMs ?? DRAIN_MS)
    return this.#stopped
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  /** See README.md for the order. */
  async #stop(drainMs: number): Promise<void> {
    const { clock } = this.#runtime
    const drainedMs = clock.now() + drainMs
    this.#state = 'stopping'
    this.#procedures.stopping()
    this.#cluster.leaving()
    this.#mesh.leave()
    this.#handOver(drainMs)
    await this.#until(() => this.#actors.table.scheduler.queued === 0 && !this.#anyBusy(), drainMs)
    this.#cluster.stopping()
    const endMs = Math.max(drainedMs - clock.now(), Math.min(drainMs, END_MS))
    this.#endAll(endMs)
    await this.#until(() => this.#actors.table.size === 0, endMs)
    for (const process of this.#newestFirst()) this.#actors.table.die(process, 'killed')
    // What the last deaths had to say leaves at the end of this turn, ahead of the goodbye.
    await new Promise<void>(resolve => this.#runtime.loop.later(resolve))
    await this.#close()
  }

  async #close(): Promise<void> {
    await this.#mesh.stop({ timeoutMs: GOODBYE_MS })
    this.#partition.stop()
    this.#coord.stop()
    this.#actors.table.calls.failAll(
      new TroupeError('ERR_STOPPED', `the node ${this.name} has stopped`, { node: this.name }),
    )
    this.#actors.close()
    this.#state = 'stopped'
    await new Promise<void>(resolve => this.#runtime.loop.later(resolve))
    this.#events.clear()
    this.#release?.()
  }

  #newestFirst() {
    return [...this.#actors.table.all()].reverse()
  }

  /** Mail waits, or a handler that others may wait for. */
  #anyBusy(): boolean {
    if (this.#procedures.running > 0) return true
    for (const process of this.#actors.table.all()) {
      if (process.hasMail || (process instanceof ActorProcess && process.phase === Phase.parked)) return true
    }
    return false
  }

  /** Processes with a record go first, behind the mail they have, so that they are back elsewhere while others drain. */
  #handOver(drainMs: number): void {
    const others = this.#mesh.members().members
    if (!others.some(({ name, state }) => name !== this.name && state === 'alive')) return
    const { table } = this.#actors
    for (const pid of this.#cluster.revivable()) {
      const process = table.find(pid)
      if (process instanceof ActorProcess && !this.#isKept(process)) this.#askToStop(process, drainMs)
    }
  }

  /** Children of a supervisor end with it, and in its order: ended by others, they would only be started again. */
  #isKept(process: Process): boolean {
    const parent = process instanceof ActorProcess ? process.parent : undefined
    const keeper = parent === undefined ? undefined : this.#actors.table.find(parent)
    return keeper instanceof ActorProcess && isSupervisor(keeper.kind.def)
  }

  #askToStop(process: Process, timeoutMs: number): void {
    const ended = this.#actors.ask(undefined, process.pid, process, STOP, 'shutdown', { timeoutMs })
    // Whoever does not end in time is killed at last; that is the answer to this call, too.
    ended.catch(error => this.#log.debug(`${process.pid} did not stop by itself: ${show(error)}`))
  }

  /**
   * Every process is asked by its parent, or else by the node, to shut down, the newest first. An actor that traps
   * exits and has no parent to obey is asked to stop, so that its `terminate` runs.
   */
  #endAll(endMs: number): void {
    const { table, outside } = this.#actors
    for (const process of this.#newestFirst()) {
      if (this.#isKept(process)) continue
      const parent = process instanceof ActorProcess ? process.parent : undefined
      if (process instanceof ActorProcess && process.trapping && parent === undefined) {
        this.#askToStop(process, endMs)
      } else {
        table.exitSignal(process, parent ?? outside, 'shutdown')
      }
    }
  }

  /** Waits for at most `ms`. */
  #until(holds: () => boolean, ms: number): Promise<void> {
    const { clock } = this.#runtime
    const deadline = clock.now() + ms
    return new Promise(resolve => {
      const look = (): void => {
        if (holds() || clock.now() >= deadline) resolve()
        else clock.after(LOOK_MS, look)
      }
      look()
    })
  }

  // ---- inside ----

  #running(what: string): void {
    if (this.#state === 'running') return
    throw new TroupeError('ERR_STOPPED', `${what}: the node ${this.name} is ${this.#state}`, {
      node: this.name,
    })
  }

  #tell<E extends keyof NodeEvents>(event: E, ...args: NodeEvents[E]): void {
    this.#traceOf(event)('%s %s %o', this.name, event, args[0])
    const { record } = this.#runtime
    if (record !== undefined) recordEvent(record, event, args[0])
    if (!this.#events.has(event)) return
    this.#untold.push(() => this.#events.emit(event, ...args))
    if (this.#untold.length > 1) return
    this.#runtime.loop.soon(() => this.#emit())
  }

  #emit(): void {
    for (const emit of this.#untold.splice(0)) emit()
  }

  #makePartition({ partitionPolicy: policy, dataFolder: folder, limits }: CheckedOptions): Partition {
    const { disk, clock } = this.#runtime
    const log = this.#log
    return new Partition({
      policy,
      self: this.name,
      members: () => this.#mesh.members().members,
      membersMax: limits.membersMax,
      memory:
        policy === 'majority' && folder !== undefined
          ? new LargestSeen({ disk, clock, log, folder })
          : undefined,
      clock,
      log,
      // The one event that is emitted where it is told: nothing may follow from it before users have heard.
      tell: (event, quorum) => {
        this.#tell(event, quorum)
        this.#emit()
      },
      changed: () => {
        this.#coord.quorumChanged()
        this.#cluster.quorumChanged()
      },
    })
  }

  #traceOf(event: keyof NodeEvents): Trace {
    if (event.startsWith('name:')) return this.#traces.names
    return event === 'crash' || event === 'dead-letter' || event === 'process:overrun'
      ? this.#traces.process
      : this.#traces.mesh
  }

  /** With its name, also where that is known to the cluster and not to the process. */
  #called<T extends CrashReport | Overrun>(report: T): T {
    return report.name === undefined ? { ...report, name: this.#cluster.namesOf(report.pid)[0] } : report
  }

  #deadLetter(to: Recipient, message: unknown, why: string): void {
    const shown = message instanceof Encoded ? undefined : message
    this.#reports.deadLetter(to, shown, why)
    this.#tell('dead-letter', { to, message: shown, why })
  }

  #copier(options: CheckedOptions): ((value: unknown, where: string) => unknown) | undefined {
    if (options.serializeLocal) {
      return (value, where) => {
        const bytes = this.#codec.encode(value, 0, where)
        return this.#codec.decode(bytes, 0, bytes.length)
      }
    }
    return options.freezeLocal ? freeze : undefined
  }

  #listener(): MeshListener {
    const ofMember = (session: Session): boolean => session.role === 'member'
    const life = ({ peer, creation }: Session) => ({ node: peer, creation })
    return {
      sessionUp: session => {
        if (ofMember(session)) this.#tell('nodeup', life(session))
      },
      sessionDown: (session: Session, reason: DownReason) => {
        if (ofMember(session)) this.#tell('nodedown', { ...life(session), reason })
      },
      memberUp: (member: Member) => this.#tell('member:up', { member }),
      memberSuspect: (member, reason) => this.#tell('member:suspect', { member, reason }),
      memberAlive: member => this.#tell('member:updated', { member }),
      memberUpdated: member => this.#tell('member:updated', { member }),
      memberDown: (member, reason) =>
        reason === 'left'
          ? this.#tell('member:left', { member })
          : this.#tell('member:down', { member, reason }),
    }
  }
}
