/**
 * What users hold in their hands, as interfaces: `Node`, `ActorRef`, `Context`, `Self`. They are declared here, below
 * everything that implements them, because handlers are given them. `node/` implements `Node`.
 */
import type { NodeId, Pid, Ref } from '../base/ids.js'
import type { DownReason, Member, MembersView, Quorum } from '../base/member.js'
import type { WaitOptions } from '../base/options.js'
import type { ExitReason } from '../base/reasons.js'
import type {
  DownSignal,
  ExitSignal,
  GroupSignal,
  NameOnNode,
  NodeDownSignal,
  NodeUpSignal,
  Sent,
  TimerSignal,
} from '../process/mail.js'
import type { Debug, MailShown, ProcessStatus } from './debug.js'
import type { AnyActor, CallIn, CallOut, CastIn, Later, Payload, Reply, SpawnRest } from './define.js'
import type { Groups, OwnGroups } from './groups.js'
import type { RpcOn } from './procedure.js'

/** A place to send to. A string is a registered name: of this node first, then cluster-wide. A `Ref` is an alias. */
export type To = Pid | AnyRef | Ref | string | NameOnNode | Via
export type AnyRef = { readonly pid: Pid | undefined }

/** An address that is looked up elsewhere than in the table of names, on its own node only: `via` makes them. */
export interface Via {
  /** As it is shown: `rooms["lobby"]`. */
  readonly via: string
}

/** One that a process can be started under. */
export interface ViaName extends Via {
  /** Never read at run time: tells names from mere addresses. */
  readonly '~name': true
}

/** What a process can be told that nobody addressed to it by tag. */
export type Signal =
  | DownSignal
  | ExitSignal
  | GroupSignal
  | TimerSignal
  | NodeUpSignal
  | NodeDownSignal
  | { readonly type: 'timeout' }
  | { readonly type: 'message'; readonly message: unknown }

export interface CallOptions extends WaitOptions {}

/**
 * The typed address of an actor. From `spawn` and `whereis` it is pinned to one process and fails with `ERR_NOPROC`
 * when that is dead; from `named` it follows the name. Crosses nodes inside messages and keeps its type.
 */
export interface ActorRef<D> {
  /** Never read at run time: keeps refs to different definitions apart. */
  readonly '~actor'?: () => D
  /** The process behind it; for a named ref the holder at this moment, undefined between holders. */
  readonly pid: Pid
  /** For a ref from `named`. */
  readonly name?: string | undefined
  /** For a ref from `spawn(…, { monitor: true })`. */
  readonly monitor?: Ref | undefined
  /**
   * Asks and waits for the handler's reply. At most once, in order with everything this caller sends to that process.
   * Rejects with `ERR_TIMEOUT` (the handler may still run), `ERR_NOPROC`, `ERR_NOCONNECTION`, `ERR_EXIT` (the callee
   * ended; its reason in `detail.reason`), `ERR_CALLING_SELF`, `ERR_MAILBOX_FULL`, `ERR_BUSY`, `ERR_PAYLOAD`,
   * `ERR_TOO_LARGE`, `ERR_UNKNOWN_TAG`.
   */
  call<Tag extends keyof CallIn<D> & keyof CallOut<D> & string>(
    tag: Tag,
    ...rest: [...Payload<CallIn<D>[Tag]>, options?: CallOptions]
  ): Promise<Reply<CallOut<D>[Tag]>>
  /** Tells, without waiting. Never fails for want of a receiver. */
  cast<Tag extends keyof CastIn<D> & string>(tag: Tag, ...payload: Payload<CastIn<D>[Tag]>): Sent
  /** Plain mail: reaches the actor's `info` as `{ type: 'message', message }`. */
  send(message: unknown): Sent
  /**
   * Ends the actor after the mail it already has: `terminate` runs, then it exits with `reason` (default `'normal'`).
   * Rejects with `ERR_NOPROC`, `ERR_TIMEOUT` (it lives on), or `ERR_EXIT` when it ended with another reason.
   */
  stop(reason?: ExitReason, options?: WaitOptions): Promise<void>
}

/** The supervised restart of a name, wherever it lives. */
export interface RestartIntensity {
  readonly restarts: number
  readonly withinMs: number
}

export interface SpawnOptions extends WaitOptions {
  /** Registers the process, before `init` runs. Cluster-wide unless `scope` is `'node'` or it is a `via`. */
  readonly name?: string | ViaName | undefined
  readonly scope?: 'cluster' | 'node' | undefined
  /** A node's name, `'ring'`, `'local'`, `{ tag }` or a function of the members. Default: this node. */
  readonly on?:
    | string
    | { readonly tag: string }
    | ((members: readonly Member[], name: string | undefined) => Member)
    | undefined
  /** Default `'temporary'`. The others need a cluster-wide `name`. */
  readonly restart?: 'permanent' | 'transient' | 'temporary' | undefined
  /** Default 3 restarts in 5 000 ms. */
  readonly intensity?: RestartIntensity | undefined
  /** Links the new process to the spawning one, before `init` runs. */
  readonly link?: boolean | undefined
  /** Monitors the new process, before `init` runs; the ref is the result's `monitor`. */
  readonly monitor?: boolean | undefined
}

export interface MonitorOptions {
  /** Stands in the `tag` of the down signal. */
  readonly tag?: unknown
  /**
   * The monitor's ref is also an address to send to. `'demonitor'`: until demonitor or down; `'reply_demonitor'`: the
   * first message ends alias and monitor; `'explicit_unalias'`: until `unalias`.
   */
  readonly alias?: 'demonitor' | 'reply_demonitor' | 'explicit_unalias' | undefined
}

/** What every kind of process can do in its own name. All of it throws `ERR_DEAD` once the process is dead. */
export interface Speaker {
  readonly self: Pid
  readonly node: Node
  /** Aborts when the process is dead, and not before. */
  readonly signal: AbortSignal
  /** Aborts when the parent or a supervisor asked this process to stop: for handlers that can finish early. */
  readonly shutdownSignal: AbortSignal
  /** Throws `ERR_NAME` for a name that nobody has, `ERR_PAYLOAD` for what may not cross. Never for a dead receiver. */
  send(to: To, message: unknown): Sent
  call<D extends AnyActor, Tag extends keyof CallIn<D> & keyof CallOut<D> & string>(
    ref: ActorRef<D>,
    tag: Tag,
    ...rest: [...Payload<CallIn<D>[Tag]>, options?: CallOptions]
  ): Promise<Reply<CallOut<D>[Tag]>>
  cast<D extends AnyActor, Tag extends keyof CastIn<D> & string>(
    ref: ActorRef<D>,
    tag: Tag,
    ...payload: Payload<CastIn<D>[Tag]>
  ): Sent
  spawn<D extends AnyActor>(def: D, ...rest: SpawnRest<D>): Promise<ActorRef<D>>
  /** Starts a function-style process; see `Node.run`. */
  run(fn: (self: Self) => unknown, options?: RunOptions): Pid
  /** The same address, speaking for this process. */
  ref<D extends AnyActor>(ref: ActorRef<D>): ActorRef<D>
  whereis<D extends AnyActor>(name: string | Via, def?: D): ActorRef<D> | undefined
  named<D extends AnyActor>(name: string | Via, def?: D): ActorRef<D>
  /** Throws `ERR_NOPROC` for a dead local process, unless this one traps exits: then an exit signal tells. */
  link(pid: Pid): void
  /** After it returns no exit signal of that link is delivered; `flush` also removes one that is in the mailbox. */
  unlink(pid: Pid, options?: { readonly flush?: boolean }): void
  /** One down signal, always: at once for the dead (`noproc`) and the unreachable (`noconnection`). */
  monitor(to: Pid | string | NameOnNode | Via, options?: MonitorOptions): Ref
  /** True when it removed a live monitor. `flush` also removes its down signal from the mailbox. */
  demonitor(ref: Ref, options?: { readonly flush?: boolean }): boolean
  /** Calls procedures of other nodes in this process's name: what its death abandons runs on. See `Node.rpc`. */
  readonly rpc: RpcOn
  /**
   * One `nodedown`, when this node's session with that one is lost, behind the exits and downs of its processes; at
   * once, with reason `'noconnection'`, when there is no session. Each call tells once. This node itself never goes.
   */
  monitorNode(node: string): Ref
  /** A `nodeup` and a `nodedown` for every session from now on. Two subscriptions tell twice. */
  monitorNodes(): Ref
  /** Ends what `monitorNode` or `monitorNodes` began. `flush` also removes what it put into the mailbox. */
  demonitorNode(ref: Ref, options?: { readonly flush?: boolean }): boolean
  /** A further address of this process. With `reply`, for one message only. */
  alias(options?: { readonly reply?: boolean }): Ref
  unalias(ref: Ref): boolean
  /** Groups of processes across the cluster, for this process: see `OwnGroups`. Default scope: `'default'`. */
  groups(scope?: string): OwnGroups
  /** Sets whether exit signals arrive as mail; returns what it was. */
  trapExit(on: boolean): boolean
  /** Sends an exit signal, as Erlang's `exit/2`. */
  exit(pid: Pid, reason: ExitReason): void
  /** `message` arrives after `ms`. The timer goes when the destination (a pid) dies. */
  sendAfter(ms: number, to: To, message: unknown): Ref
  /** `{ type: 'timer', ref, message }` arrives after `ms`. */
  startTimer(ms: number, to: To, message: unknown): Ref
  /** `message` arrives every `ms`, first after one period, until the destination dies or the timer is cancelled. */
  sendEvery(ms: number, to: To, message: unknown): Ref
  /** The ms that were left; false when fired, cancelled or unknown. What was delivered stays. */
  cancelTimer(ref: Ref): number | false
  readTimer(ref: Ref): number | false
}

/** How a call is answered by hand, now or later, here or elsewhere (it may be sent in local messages). */
export interface From {
  readonly pid: Pid
  /** The first reply counts, everything later is dropped. Throws `ERR_PAYLOAD` for what may not cross. */
  reply(value: unknown): void
}

/** What every callback of an actor is given. It always speaks for its own process, before and after awaits. */
export interface Context extends Speaker {
  /** In a call: its caller. Elsewhere a `TypeError`. */
  readonly from: From
  /** In a call, `return ctx.later<R>()`: the reply comes through `ctx.from`, kept beforehand. */
  later<R>(): Later<R>
  /** `continue` runs with `value` after this callback, before any mail. */
  continue(value: unknown): void
  /** Unless a message comes within `ms` of this callback's end, `info` is told `{ type: 'timeout' }`. */
  timeout(ms: number): void
  /** Ends the actor after this callback: `terminate` runs with `reason`. */
  stop(reason: ExitReason): void
}

export interface InitContext extends Omit<Context, 'stop' | 'from' | 'later'> {
  /** `return ctx.ignore()`: there is nothing to start. The spawn rejects with `ERR_START`, reason `'ignore'`. */
  ignore(): never
  /** `return ctx.stop(reason)`: the spawn rejects with `ERR_START` and that reason. */
  stop(reason: ExitReason): never
}

export interface RunOptions {
  readonly name?: string | ViaName | undefined
  readonly link?: boolean | undefined
  readonly trapExit?: boolean | undefined
}

export interface ReceiveOptions {
  /** Default: for ever. 0 looks at the mailbox and no further. */
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** A call or cast that reached a function-style process. */
export type Asked =
  | { readonly type: 'call'; readonly tag: string; readonly payload: unknown; readonly from: From }
  | { readonly type: 'cast'; readonly tag: string; readonly payload: unknown }

/** What a process function is given. */
export interface Self extends Speaker {
  /**
   * The first message, oldest first, that fits; the others stay, in order. Plain messages come as they were sent;
   * exits, downs and timers as `Signal` (see `isSignal`), calls and casts as `Asked`. Rejects with `ERR_TIMEOUT`.
   */
  receive<T = unknown>(match?: (message: unknown) => message is T, options?: ReceiveOptions): Promise<T>
  receive(match: (message: unknown) => boolean, options?: ReceiveOptions): Promise<unknown>
  /** Ends this process with `reason`, by an exception that unwinds the function. */
  exit(reason: ExitReason): never
  exit(pid: Pid, reason: ExitReason): void
}

/** Typed events of `node.on`. A listener that throws is logged and harms nobody else. */
export interface NodeEvents {
  /** A session with that node is open; before any message from it. */
  nodeup: [event: { readonly node: NodeId; readonly creation: number }]
  /** My session with that node is gone; after the exits and downs it caused. */
  nodedown: [event: { readonly node: NodeId; readonly creation: number; readonly reason: DownReason }]
  /** It has proved that it belongs here: for the first time, in a next life, or again after it was down. */
  'member:up': [event: { readonly member: Member }]
  /**
   * Silent here (`'timeout'`), gone from its session and not back (`'connection_closed'`), or so for another member
   * (`'accused'`). It is still a member: `'member:updated'` follows when it shows a sign of life, else `'member:down'`.
   */
  'member:suspect': [event: { readonly member: Member; readonly reason: DownReason }]
  /** No sign of life (`'timeout'`), its process is gone (`'refused'`), or its next life came (`'replaced'`). */
  'member:down': [event: { readonly member: Member; readonly reason: DownReason }]
  /** It said goodbye. */
  'member:left': [event: { readonly member: Member }]
  /** Its tags, metadata or address are new, also this node's own; or it is no longer suspect. */
  'member:updated': [event: { readonly member: Member }]
  /**
   * This side has fewer votes than `partitionPolicy` needs: members are down, or out of reach. Told before anything
   * follows from it. Processes that run here go on, and those that must be alone in the cluster should stop now: on the
   * other side they may be made again. Names, placed spawns and restarts are refused with `ERR_NO_QUORUM` from here on.
   */
  partitioned: [event: Quorum]
  /** Enough votes, for the first time since the start, or again: what waited goes on by itself. */
  quorate: [event: Quorum]
  /** A message that reached nobody. */
  'dead-letter': [
    event: { readonly to: Pid | Ref | string | NameOnNode; readonly message: unknown; readonly why: string },
  ]
  /** A process ended abnormally and nobody was linked or handled it. */
  crash: [event: CrashReport]
  /** A handler held the event loop for longer than `watchdogMs`. */
  'process:overrun': [event: Overrun]
  'name:registered': [event: { readonly name: string; readonly pid: Pid }]
  'name:released': [event: { readonly name: string }]
  /** This process lost its name in a conflict, after a partition healed. */
  'name:conflict': [event: { readonly name: string; readonly winner: Pid | undefined; readonly loser: Pid }]
  /** A named process with `restart` ran out of its intensity; the name is free. */
  'name:gave-up': [event: { readonly name: string; readonly reason: ExitReason }]
}

/** A handler that let nothing else run for `watchdogMs` or longer, before its first await. */
export interface Overrun {
  readonly pid: Pid
  readonly name: string | undefined
  readonly definition: string | undefined
  /** What it was handling. Undefined for a process function. */
  readonly type: MailShown['type'] | 'init' | undefined
  /** Of a call or cast. */
  readonly tag: string | undefined
  readonly ms: number
}

export interface CrashReport {
  readonly pid: Pid
  readonly name: string | undefined
  readonly definition: string | undefined
  readonly tag: string | undefined
  readonly reason: ExitReason
  readonly lastMessage: unknown
  readonly state: unknown
}

/** One process in `node.processes()`. */
export interface ProcessInfo {
  readonly pid: Pid
  readonly definition: string | undefined
  readonly names: readonly string[]
  readonly mailbox: number
  /** An actor whose handler returned a promise that has not settled: its mail waits. */
  readonly busy: boolean
  readonly links: number
  readonly monitors: number
}

/** One process in `node.tree()`, with those that it spawned with a link. */
export interface ProcessBranch {
  readonly pid: Pid
  /** Among the children of its supervisor. */
  readonly id: string | undefined
  readonly type: 'worker' | 'supervisor'
  /** Undefined for a process function. */
  readonly definition: string | undefined
  readonly names: readonly string[]
  readonly status: ProcessStatus
  readonly mailbox: number
  /** Of a supervisor in the order in which they start; otherwise the oldest first. */
  readonly children: readonly ProcessBranch[]
}

/** One cluster-wide name. `state` is `'held'`, `'reviving'` or `'waiting'` (for the node that `on` names). */
export interface NameInfo {
  readonly name: string
  readonly pid: Pid | undefined
  readonly state: 'held' | 'reviving' | 'waiting'
  readonly definition: string | undefined
}

export interface NodeStats {
  readonly node: NodeId
  readonly uptimeMs: number
  /** Every counter and gauge by name, `area.what`: `process.alive`, `mesh.frames.in`, … */
  readonly counters: Readonly<Record<string, number>>
}

/** Why a node is not ready, or not live. The list only grows. */
export type HealthReason =
  /** It has not joined yet, is on its way out, or is gone. */
  | { readonly why: 'starting' | 'leaving' | 'stopped' }
  /** Its side of a partition has fewer votes than its `partitionPolicy` needs. */
  | { readonly why: 'quorum'; readonly counted: number; readonly needed: number }
  /** Of so many slots of the cluster-wide names nobody is known to decide: names in them cannot be registered. */
  | { readonly why: 'names'; readonly slots: number }
  /** The event loop ran so late. */
  | { readonly why: 'loop'; readonly lagMs: number }

export interface NodeHealth {
  /** To be sent work: joined, not leaving, names can be registered. For a while after others came or went it may be false. */
  readonly ready: boolean
  /**
   * Not stopped, and the event loop turned in the last 5 s. False is a reason to restart it. A loop that is stuck
   * cannot answer at all: whoever asks from outside needs a timeout.
   */
  readonly live: boolean
  /** Empty when it is ready and live. */
  readonly reasons: readonly HealthReason[]
  readonly state: 'starting' | 'running' | 'stopping' | 'stopped'
  readonly members: number
  readonly sessions: number
  readonly loopLagMs: number
  /** The votes of this side of the cluster, and whether they are enough for `partitionPolicy`. */
  readonly quorum: Quorum
}

/** What a node says of itself, besides its name and address. */
export interface NodeDescription {
  readonly tags?: readonly string[] | undefined
  /** At most 512 bytes as JSON. */
  readonly meta?: Readonly<Record<string, string>> | undefined
}

/** A running node. Made by `createNode`. */
export interface Node {
  readonly name: NodeId
  /**
   * The pid that stands for code outside of processes; what it sends comes from here. It has no mailbox, cannot be linked
   * to, and lives as long as the node: a monitor of it tells, on other nodes, that the session with this one is gone.
   */
  readonly self: Pid
  /** Where it listens, as bound; undefined for a node without sockets. */
  readonly address: { readonly host: string; readonly port: number } | undefined

  spawn<D extends AnyActor>(def: D, ...rest: SpawnRest<D>): Promise<ActorRef<D>>
  /** Starts a function-style process. It ends with `'normal'` when the function returns, crashes when it throws. */
  run(fn: (self: Self) => unknown, options?: Omit<RunOptions, 'link'>): Pid
  /** A local read: the holder as this node knows it. With `def`, a holder of another definition is a `TypeError`. */
  whereis<D extends AnyActor>(name: string | Via, def?: D): ActorRef<D> | undefined
  /**
   * A ref that resolves the name at every use, and never resends what was delivered. While a name with a `restart` of its
   * own is between holders it waits, up to `timeoutMs`. Any other name, be it a `via` or that of a supervisor's child, has
   * nobody between two lives, and calls reject with `ERR_NOPROC`.
   */
  named<D extends AnyActor>(name: string | Via, def?: D): ActorRef<D>
  /**
   * Gives a local process a further name. Rejects with `ERR_ALREADY_STARTED`, `ERR_NOPROC`, `ERR_UNAVAILABLE`,
   * `ERR_NO_QUORUM`.
   * With `scope: 'node'` it is done when the call returns, and throws instead of rejecting later.
   */
  register(
    name: string,
    pid: Pid,
    options?: WaitOptions & { readonly scope?: 'cluster' | 'node' },
  ): Promise<void>
  /** False when nobody had it. The process lives on. */
  unregister(name: string, options?: WaitOptions & { readonly scope?: 'cluster' | 'node' }): Promise<boolean>
  /**
   * Ends the holder of a cluster-wide name, with `{ shutdown: { terminated: name } }`, and deletes its restart record.
   * Rejects with `ERR_NOPROC`, `ERR_TIMEOUT` (it goes on), `ERR_UNAVAILABLE`, `ERR_NO_QUORUM`.
   */
  terminate(name: string, options?: WaitOptions): Promise<void>
  names(): readonly NameInfo[]
  processes(): readonly ProcessInfo[]
  /**
   * The processes of this node as the tree in which they end together: each below whoever spawned it with a link, those
   * without a parent (that lives, here) at the top, the oldest first.
   */
  tree(): readonly ProcessBranch[]
  /** Looking into running processes. */
  readonly debug: Debug
  /** Of a process of this node. Throws `TypeError` for one of another, which can only be monitored. */
  isAlive(pid: Pid): boolean

  send(to: To, message: unknown): Sent
  exit(pid: Pid, reason: ExitReason): void
  /** Resolves when the send queue towards that process's node is below `busy`. */
  drained(pid: Pid, options?: WaitOptions): Promise<void>

  /** Groups of processes across the cluster: see `Groups`. Default scope: `'default'`. */
  groups(scope?: string): Groups

  members(): MembersView
  /**
   * Replaces this node's tags or metadata; what is left out stays. `members()` shows it here at once, and on other nodes
   * within a second or so; each tells `'member:updated'` once. Of several updates in a row others may see the last one
   * only. A node that cannot be reached learns of it when it is. Throws `TypeError` or `RangeError` as `createNode` does.
   */
  update(changed: NodeDescription): void
  /** The other nodes with an open session, sorted. */
  nodes(): readonly NodeId[]
  /**
   * Dials a node by its address, `host:port`, or a member by its name. True when a session with it is open; false when it
   * cannot be reached, refuses this node (the log says why) or takes longer than `timeoutMs`. A node that was reached is
   * a member like any other. Rejects with the reason of `signal`, and then dials no more.
   */
  connect(to: string, options?: WaitOptions): Promise<boolean>
  /** `'pong'` when that node is, or can be, connected, and answers within `timeoutMs`. */
  ping(node: string, options?: WaitOptions): Promise<'pong' | 'pang'>
  /**
   * Ends the session with that node, at once: links, monitors and calls get `noconnection`, here and there. False when
   * there was none. It is still a member, and like any that was lost it is dialled anew: `nodeup` follows.
   */
  disconnect(node: string): boolean
  /**
   * The procedures of a node, or of several. A handler that is running speaks for its process, other code for the node.
   *
   * ```ts
   * const resize = defineProcedure('resize', async (input: { width: number }) => ({ bytes: input.width * 3 }))
   * const node = await createNode({ name: 'a', procedures: [resize] })
   * const { bytes } = await node.rpc('a').call(resize, { width: 640 }, { timeoutMs: 1_000 })
   * const results = await node.rpc(['a', 'b']).multicall(resize, { width: 640 })
   * ```
   */
  readonly rpc: RpcOn

  on<E extends keyof NodeEvents>(event: E, listener: (...args: NodeEvents[E]) => void): this
  once<E extends keyof NodeEvents>(event: E, listener: (...args: NodeEvents[E]) => void): this
  off<E extends keyof NodeEvents>(event: E, listener: (...args: NodeEvents[E]) => void): this

  stats(): NodeStats
  /** What probes ask: whether to send it work, whether to restart it, and why. */
  health(): NodeHealth
  /**
   * Leaves. At once it tells all members (who see it `'leaving'`, and give it nothing new), refuses processes of others
   * and further names with `ERR_STOPPED`, and lets its named processes with a `restart` finish their mail and end: each is
   * made again on another node as soon as it has ended. Calls and mail under way get up to `drainMs` (default 1 000) to
   * finish; then every process is ended with `shutdown`, which links, monitors and callers see (`ERR_EXIT`), and after the
   * rest of that time, at least 1 000 ms or `drainMs`, whichever is less, killed. It says goodbye and closes. Others see
   * `'member:left'`, never `'member:down'`.
   *
   * Idempotent; every call resolves when the node has stopped, and holds nothing that keeps the process alive.
   */
  stop(options?: { readonly drainMs?: number }): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}
