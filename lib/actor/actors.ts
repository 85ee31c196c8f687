/**
 * The actors of one node: spawning, calling, sending, finding, for processes and for code outside of them. The door of
 * this room; `node/` composes it with a mesh, cluster-wide names and placement. It is one file because all of it asks one
 * question: is that process, name or alias here, and if not, whose is it?
 */
import { show, TroupeError } from '../base/errors.js'
import { Pid, Ref, samePid, sameRef } from '../base/ids.js'
import type { Check, WaitOptions } from '../base/options.js'
import {
  checkOptions,
  expect,
  isBoolean,
  isFunction,
  oneOf,
  timeoutOf,
  WAIT_CHECKS,
} from '../base/options.js'
import type { ExitReason } from '../base/reasons.js'
import type { Host, Loop, Runtime } from '../base/runtime.js'
import { checkName } from '../process/local-names.js'
import {
  Cast,
  DownSignal,
  ExitSignal,
  Mail,
  type NameOnNode,
  NodeDownSignal,
  NodeUpSignal,
  type Sent,
  TimerSignal,
} from '../process/mail.js'
import { deadError } from '../process/monitors.js'
import { timeoutError } from '../process/pending-calls.js'
import { type Debugged, Phase, type Process } from '../process/process.js'
import {
  noprocError,
  type ProcessHooks,
  type ProcessOptions,
  ProcessTable,
} from '../process/process-table.js'
import type { Remote } from '../process/remote.js'
import { ActorKind, ActorProcess, unknownTag } from './actor-process.js'
import type {
  CrashReport,
  MonitorOptions,
  Node,
  ProcessInfo,
  RunOptions,
  Self,
  SpawnOptions,
  To,
  Via,
} from './api.js'
import { type Attribution, createAttribution } from './attribution.js'
import type { Beyond } from './beyond.js'
import { probingOf } from './debugging.js'
import { type AnyActor, isDefinitionName, specOf } from './define.js'
import { FunctionProcess } from './function-process.js'
import type { OwnGroups } from './groups.js'
import { Handover } from './handover.js'
import { NamedRef, PinnedRef, type RefOptions, STOP } from './refs.js'
import { definitionOf, reportOf } from './shown.js'
import { isAnyRef, isNameOnNode } from './speaker.js'
import { Starter } from './starter.js'
import { Address, shownName } from './via.js'

/** Who holds a name beyond this node. */
export interface NameResolver {
  /** `'pending'`: between holders, or this node does not know yet. */
  resolve(name: string): Pid | 'pending' | undefined
  /** The holder as soon as there is one; undefined when `timeoutMs` is over or the name is given up. */
  wait(name: string, timeoutMs: number): Promise<Pid | undefined>
  /** What keeps this node from saying that nobody has that name, if anything does. */
  absent?(name: string): TroupeError | undefined
  /** The name of the holder's definition, where that is known. */
  definition?(name: string): string | undefined
}

/** Keeps the groups of all processes, here and elsewhere. */
export interface GroupKeeper {
  own(process: Process, scope: string | undefined): OwnGroups
}

/** Takes the spawns that are not merely local: `on`, cluster-wide names, restarts. */
export interface Spawner {
  spawn(speaker: Process | undefined, def: AnyActor, args: unknown, options: NamedSpawn): Promise<PinnedRef>
}

/** The options of a spawn that is not under a `via`. */
export interface NamedSpawn extends SpawnOptions {
  readonly name?: string | undefined
}

export interface ActorHooks extends ProcessHooks {
  /** A process ended by a fault of its own. Same rules as for the other hooks. */
  crash(report: CrashReport): void
}

export interface ActorsOptions extends Omit<ProcessOptions, 'within' | 'hooks' | 'runtime'> {
  readonly runtime: Pick<Runtime, 'clock' | 'loop' | 'host'>
  readonly hooks: ActorHooks
  /** What `ctx.node` is; asked when first needed. */
  readonly node: () => Node
  readonly remote?: Remote | undefined
  readonly spawner?: Spawner | undefined
  readonly names?: NameResolver | undefined
  /** Attributes what happens after awaits to its process, at a price. Default false. */
  readonly attribute?: boolean | undefined
}

/** A start on this node, whoever asked for it. */
export interface StartOptions {
  /** Who asked: its exit signals are a parent's, if it is linked. Links of other nodes are made by `Local`. */
  readonly parent?: Pid | undefined
  readonly link?: boolean | undefined
  readonly monitor?: boolean | undefined
  /** A name of this node. Throws `ERR_ALREADY_STARTED`. */
  readonly name?: string | Address | undefined
  /** Runs before `init`; a rejection is the failure of the start. */
  readonly claim?: ((pid: Pid) => Promise<unknown>) | undefined
  /** `init` is over, and nothing ran since. */
  readonly started?: ((pid: Pid) => void) | undefined
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

export interface Started {
  readonly pid: Pid
  readonly monitor: Ref | undefined
  /** Resolves when `init` is over; rejects with `ERR_START`, or with what `claim` or `signal` gave. */
  readonly done: Promise<void>
}

/** What a process can be started under. */
export const isNameOrVia: Check = value =>
  typeof value === 'string' || value instanceof Address ? undefined : 'a string or what via returned'

const SPAWN_CHECKS = {
  ...WAIT_CHECKS,
  name: isNameOrVia,
  scope: oneOf('cluster', 'node'),
  on: () => undefined,
  restart: oneOf('permanent', 'transient', 'temporary'),
  intensity: () => undefined,
  link: isBoolean,
  monitor: isBoolean,
}
const RUN_CHECKS = { name: SPAWN_CHECKS.name, link: isBoolean, trapExit: isBoolean }

export class Actors {
  readonly table: ProcessTable
  readonly loop: Loop
  readonly cores: number
  readonly host: Host
  /** Stands for code outside of processes. */
  readonly outside: Pid
  readonly #hooks: ActorHooks
  readonly #node: () => Node
  readonly #spawner: Spawner | undefined
  readonly #names: NameResolver | undefined
  readonly #kinds = new WeakMap<AnyActor, ActorKind>()
  readonly #attribution: Attribution | undefined
  readonly #counts = new Map<string, number>()
  /** Set by whoever reaches other nodes. */
  beyond: Beyond | undefined
  /** Set by whoever keeps them. */
  keeper: GroupKeeper | undefined
  crashes = 0
  /** Uses of named refs that found `nameWaitersMax` others waiting. */
  waitersRefused = 0
  /** Traces that are open, and events that full ones have dropped. */
  readonly traced = { open: 0, dropped: 0 }

  constructor(options: ActorsOptions) {
    this.#attribution = options.attribute === true ? createAttribution(options.runtime.host, this) : undefined
    this.table = new ProcessTable({ ...options, within: this.#attribution?.within })
    if (options.remote !== undefined) this.table.remote = options.remote
    this.loop = options.runtime.loop
    this.cores = options.runtime.host.cores
    this.host = options.runtime.host
    this.outside = options.ids.newPid()
    this.table.outside = this.outside
    this.#hooks = options.hooks
    this.#node = options.node
    this.#spawner = options.spawner
    this.#names = options.names
  }

  get node(): Node {
    return this.#node()
  }

  /** Whose name a ref speaks in that is bound to `bound`. */
  speakerOf(bound: Process | undefined): Process | undefined {
    return bound ?? this.#attribution?.current() ?? this.table.scheduler.running
  }

  /** Between processes of one node nothing is copied, unless a test asks for it; code never is. */
  #copied(value: unknown, where: string): unknown {
    const { copyLocal } = this.table
    if (copyLocal === undefined) return value
    return value instanceof Handover ? value.copied(copyLocal) : copyLocal(value, where)
  }

  #pidOf(speaker: Process | undefined): Pid {
    return speaker === undefined ? this.outside : speaker.pid
  }

  // Sending.

  /** A message to a process of this node. */
  deliver(process: Process, message: unknown): Sent {
    const { copyLocal } = this.table
    if (message instanceof Mail) message = { ...message } // handed on it is a message, no signal
    return this.table.push(process, copyLocal === undefined ? message : copyLocal(message, 'message'))
  }

  /** To a pid, by whoever speaks. */
  sendTo(bound: Process | undefined, to: Pid, message: unknown): Sent {
    const speaker = this.speakerOf(bound)
    if (speaker?.dead === true) throw deadError(speaker.pid)
    return this.#sendPid(this.#pidOf(speaker), to, message)
  }

  sendFrom(bound: Process | undefined, to: To, message: unknown): Sent {
    if (to instanceof Pid) {
      const process = this.table.find(to)
      return process !== undefined
        ? this.deliver(process, message)
        : this.#sendAway(this.#pidOf(bound), to, message)
    }
    return this.#sendElse(bound, to, message)
  }

  #sendElse(bound: Process | undefined, to: Exclude<To, Pid>, message: unknown): Sent {
    if (to instanceof PinnedRef) {
      const process = to.process
      if (process !== undefined && process.phase !== Phase.dead) return this.deliver(process, message)
      return this.#sendPid(this.#pidOf(bound), to.pid, message)
    }
    if (to instanceof NamedRef) return to.speakingFor(bound).send(message)
    if (typeof to === 'string' || to instanceof Address) return this.#sendName(bound, to, message)
    if (to instanceof Ref) return this.#sendAlias(to, message)
    if (isNameOnNode(to)) return this.#sendNameOnNode(this.#pidOf(bound), to, message)
    if (isAnyRef(to)) return this.#sendPid(this.#pidOf(bound), to.pid as Pid, message)
    throw new TypeError(`send: to: expected a pid, a ref, a name, a via or { name, node }, got ${show(to)}`)
  }

  #sendPid(from: Pid, to: Pid, message: unknown): Sent {
    const process = this.table.find(to)
    return process !== undefined ? this.deliver(process, message) : this.#sendAway(from, to, message)
  }

  /** To a process of another node, or to nobody. */
  #sendAway(from: Pid, to: Pid, message: unknown): Sent {
    if (!this.table.isHere(to)) return this.table.remote.send(from, to, message)
    this.table.deadLetter(to, message, 'noproc')
    return 'ok'
  }

  #sendName(bound: Process | undefined, name: string | Address, message: unknown): Sent {
    const process = this.#holderHere(name)
    if (process !== undefined) return this.deliver(process, message)
    const holder = this.resolve(name)
    if (holder === undefined)
      throw (
        this.absent(name) ??
        new TroupeError('ERR_NAME', `send: nobody is named ${shownName(name)}`, { name: String(name) })
      )
    if (holder === 'pending') return this.named(bound, name).send(message)
    return this.#sendPid(this.#pidOf(bound), holder, message)
  }

  #sendAlias(alias: Ref, message: unknown): Sent {
    const process = this.table.monitors.aliased(alias)
    if (process !== undefined) return this.deliver(process, message)
    this.table.deadLetter(alias, message, 'no such alias')
    return 'ok'
  }

  #sendNameOnNode(from: Pid, to: NameOnNode, message: unknown): Sent {
    if (!this.table.isHere(to)) return this.table.remote.send(from, to, message)
    const process = this.table.names.holder(to.name)
    if (process !== undefined) return this.deliver(process, message)
    this.table.deadLetter(to, message, 'noproc')
    return 'ok'
  }

  castTo(
    bound: Process | undefined,
    to: Pid,
    known: Process | undefined,
    tag: string,
    payload: unknown,
  ): Sent {
    if (bound?.dead === true) throw deadError(bound.pid)
    const process = known?.dead === false ? known : this.table.find(to)
    if (process !== undefined) {
      if (process instanceof ActorProcess && !process.kind.casts.has(tag)) {
        expectTag('cast', tag)
        throw unknownTag(process.kind, 'cast', tag)
      }
      return this.table.push(process, new Cast(tag, this.#copied(payload, 'payload')))
    }
    expectTag('cast', tag)
    if (!this.table.isHere(to))
      return this.table.remote.cast(this.#pidOf(this.speakerOf(bound)), to, tag, payload)
    this.table.deadLetter(to, payload, 'noproc')
    return 'ok'
  }

  // Calling.

  ask(
    bound: Process | undefined,
    to: Pid | NameOnNode,
    known: Process | undefined,
    tag: string,
    payload: unknown,
    options: WaitOptions | undefined,
  ): Promise<unknown> {
    if (options !== undefined) checkOptions('call', options, WAIT_CHECKS)
    const asker = this.speakerOf(bound)
    const process = known ?? this.#target(to)
    const refused = this.#refuse(asker, to, process, tag, options)
    if (refused !== undefined) return Promise.reject(refused)
    const { copyLocal, calls } = this.table
    if (process !== undefined && copyLocal !== undefined) {
      try {
        payload = this.#copied(payload, 'payload')
      } catch (error) {
        return Promise.reject(error)
      }
    }
    const timeoutMs = timeoutOf(options)
    const caller = this.#pidOf(asker)
    const request = calls.open({ asker, caller, to, tag, payload, timeoutMs, signal: options?.signal })
    if (process !== undefined) {
      this.table.pushRequest(process, to, request)
    } else {
      request.remote = this.table.remote
      try {
        this.table.remote.request(to, request)
      } catch (error) {
        request.fail(error)
      }
    }
    if (timeoutMs === 0) calls.abandon(request, timeoutError(request))
    return request.promise
  }

  /** Who is called, if it is somebody here. */
  #target(to: Pid | NameOnNode): Process | undefined {
    if (to instanceof Pid) return this.table.find(to)
    return this.table.isHere(to) ? this.table.names.holder(to.name) : undefined
  }

  /** Why a call is not even tried. */
  #refuse(
    asker: Process | undefined,
    to: Pid | NameOnNode,
    process: Process | undefined,
    tag: string,
    options: WaitOptions | undefined,
  ): unknown {
    if (asker !== undefined) {
      if (asker.phase === Phase.dead) return deadError(asker.pid)
      if (asker === process || asker.pid === to) {
        return new TroupeError(
          'ERR_CALLING_SELF',
          `${asker.pid} calls ${show(tag)} on itself, which nobody could answer`,
          {
            pid: asker.pid,
            tag,
          },
        )
      }
    }
    if (options?.signal?.aborted === true) return options.signal.reason
    if (process === undefined) {
      expectTag('call', tag)
      if (this.table.isHere(to)) return noprocError(to, tag)
    } else {
      if (process.phase === Phase.dead) return noprocError(to, tag)
      if (process instanceof ActorProcess && !process.kind.calls.has(tag) && tag !== STOP) {
        expectTag('call', tag)
        return unknownTag(process.kind, 'call', tag)
      }
    }
    if (!this.table.calls.full) return undefined
    return new TroupeError(
      'ERR_BUSY',
      `${this.table.calls.size} calls of this node wait for replies already`,
      {
        limit: 'pendingCallsMax',
      },
    )
  }

  // Spawning.

  /** As `node.spawn` and `ctx.spawn`: where and under which name is decided by the options. */
  spawn(
    speaker: Process | undefined,
    def: AnyActor,
    args: unknown,
    options: SpawnOptions = {},
  ): Promise<PinnedRef> {
    if (!isDefinitionName(def)) specOf('spawn: def', def)
    checkOptions('spawn', options, SPAWN_CHECKS)
    if (typeof options.name === 'string') checkName('spawn: name', options.name)
    if (speaker === undefined && (options.link === true || options.monitor === true)) {
      throw new TypeError(
        `spawn: ${options.link === true ? 'link' : 'monitor'}: expected to be used by a process`,
      )
    }
    if (!isNamed(options)) return this.spawnHere(speaker, def, args, underVia(options))
    const { name, on, scope, restart } = options
    const isLocal =
      !isDefinitionName(def) &&
      (on === undefined || on === 'local') &&
      (name === undefined || scope === 'node')
    if (this.#spawner !== undefined && (!isLocal || (restart ?? 'temporary') !== 'temporary')) {
      return this.#spawner.spawn(speaker, def, args, options)
    }
    if (!isLocal && on !== undefined && on !== 'local') {
      throw new TypeError(`spawn: on: expected none on a node without others, got ${show(on)}`)
    }
    return this.spawnHere(speaker, def, args, options)
  }

  /** On this node. A `name` is one of this node; cluster-wide names come as `claim`. Whatever fails is a rejection. */
  spawnHere(
    speaker: Process | undefined,
    def: AnyActor,
    args: unknown,
    options: Omit<StartOptions, 'parent'>,
  ): Promise<PinnedRef> {
    try {
      const copied = this.#copied(args, 'args')
      const { process, monitor } = this.#launch(def, copied, speaker?.pid, options)
      const ref = new PinnedRef(this, process.pid, { defName: def.name, speaker, monitor })
      return this.#await(process, speaker?.pid, options, ref)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** Makes the process, linked, monitored and named, and lets `init` run in a later turn. */
  start(def: AnyActor, args: unknown, options: StartOptions): Started {
    const { process, monitor } = this.#launch(def, args, options.parent, options)
    return { pid: process.pid, monitor, done: this.#await(process, options.parent, options, undefined) }
  }

  #launch(
    def: AnyActor,
    args: unknown,
    parentPid: Pid | undefined,
    options: StartOptions,
  ): { readonly process: ActorProcess; readonly monitor: Ref | undefined } {
    options.signal?.throwIfAborted()
    const process = new ActorProcess(this.table.ids.newPid(), this.#kindOf(def), args)
    this.#admit(process, options.name)
    if (options.link === true) process.parent = parentPid
    const parent = parentPid === undefined ? undefined : this.table.find(parentPid)
    const monitor = parent === undefined ? undefined : this.#tie(process, parent, options)
    return { process, monitor }
  }

  /** What `parent` asked for before the process runs. When it may hold no more of it, there is no process. */
  #tie(
    process: Process,
    parent: Process,
    { link, monitor }: { readonly link?: boolean | undefined; readonly monitor?: boolean | undefined },
  ): Ref | undefined {
    try {
      if (link === true) this.table.link(parent, process.pid)
      return monitor === true ? this.monitor(parent, process.pid, undefined) : undefined
    } catch (error) {
      this.table.unlink(parent, process.pid)
      this.table.die(process, 'normal')
      throw error
    }
  }

  /** Resolves with `result` when `init` is over. */
  #await<T>(process: ActorProcess, parent: Pid | undefined, options: StartOptions, result: T): Promise<T> {
    const { claim, signal, started } = options
    const defName = process.kind.def.name
    const timeoutMs = timeoutOf(options)
    const starter = new Starter(this.table, process, { parent, defName, result, started, timeoutMs })
    process.starter = starter
    if (signal !== undefined) starter.until(signal)
    if (claim === undefined) this.table.start(process)
    else {
      starter.waits()
      claim(process.pid).then(
        () => this.table.start(process),
        error => starter.abandon(error, 'normal'),
      )
    }
    return starter.promise
  }

  #admit(process: Process, name: string | Address | undefined): void {
    if (typeof name === 'string') this.table.names.register(name, process)
    else if (name !== undefined) name.claim(this, process)
    try {
      this.table.add(process)
    } catch (error) {
      this.table.free(process, error)
      throw error
    }
  }

  #kindOf(def: AnyActor): ActorKind {
    let kind = this.#kinds.get(def)
    if (kind === undefined) {
      kind = new ActorKind(this, def, specOf('spawn: def', def))
      this.#kinds.set(def, kind)
    }
    return kind
  }

  /** A function-style process. Its name, if any, is one of this node. */
  run(speaker: Process | undefined, fn: (self: Self) => unknown, options: RunOptions = {}): Pid {
    expect('run: fn', fn, isFunction)
    checkOptions('run', options, RUN_CHECKS)
    if (typeof options.name === 'string') checkName('run: name', options.name)
    if (options.link === true && speaker === undefined) {
      throw new TypeError('run: link: expected to be used by a process')
    }
    const process = new FunctionProcess(this.table.ids.newPid(), this, fn)
    this.#admit(process, options.name as string | Address | undefined)
    if (options.trapExit === true) process.trapping = true
    if (speaker !== undefined && options.link === true) process.parent = speaker.pid
    if (speaker !== undefined) this.#tie(process, speaker, { link: options.link })
    this.table.start(process)
    return process.pid
  }

  // Finding.

  ref(pid: Pid, options: RefOptions): PinnedRef {
    return new PinnedRef(this, pid, options)
  }

  /** The holder of a name: on this node first, then beyond. */
  resolve(name: string | Address): Pid | 'pending' | undefined {
    const here = this.#holderHere(name)?.pid
    return here ?? (typeof name === 'string' ? this.#names?.resolve(name) : undefined)
  }

  #holderHere(name: string | Address): Process | undefined {
    return typeof name === 'string' ? this.table.names.holder(name) : name.holder(this)
  }

  /** Only names beyond this node are ever between holders. */
  waitFor(name: string | Address, timeoutMs: number): Promise<Pid | undefined> {
    const names = typeof name === 'string' ? this.#names : undefined
    return names === undefined ? Promise.resolve(undefined) : names.wait(name as string, timeoutMs)
  }

  /** Nobody was found: what is to be said instead of that, if this node cannot know. */
  absent(name: string | Address): TroupeError | undefined {
    return typeof name === 'string' ? this.#names?.absent?.(name) : undefined
  }

  whereis(speaker: Process | undefined, name: string | Via, def?: AnyActor): PinnedRef | undefined {
    checkNameOrVia('whereis: name', name)
    const pid = this.resolve(name)
    if (pid === undefined || pid === 'pending') return undefined
    if (def !== undefined) specOf('whereis: def', def)
    const process = this.table.find(pid)
    const told = typeof name === 'string' ? this.#names?.definition?.(name) : undefined
    const defName = process instanceof ActorProcess ? process.kind.def.name : told
    if (def !== undefined && defName !== undefined && defName !== def.name) {
      throw new TypeError(
        `whereis(${shownName(name)}): expected the actor ${show(def.name)}, got ${show(defName)}`,
      )
    }
    return new PinnedRef(this, pid, { defName: defName ?? def?.name, speaker })
  }

  named(speaker: Process | undefined, name: string | Via, def?: AnyActor): NamedRef {
    checkNameOrVia('named: name', name)
    if (def !== undefined) specOf('named: def', def)
    return new NamedRef(this, name, { defName: def?.name, speaker })
  }

  /** A further name of this node for a process of this node. */
  registerHere(name: string, pid: Pid): void {
    checkName('register: name', name)
    const process = this.table.find(pid)
    if (process === undefined)
      throw new TroupeError('ERR_NOPROC', `register: there is no process ${pid} here`, { pid })
    this.table.names.register(name, process)
  }

  // Watching.

  monitor(owner: Process, to: Pid | string | NameOnNode | Via, options: MonitorOptions | undefined): Ref {
    const { monitors } = this.table
    const asked = { owner, tag: options?.tag, alias: options?.alias }
    if (to instanceof Pid) {
      // The node's own pid ends with the node. As for one that watches itself, nobody is left to be told then.
      const here = samePid(to, this.outside) ? owner : this.table.find(to)
      const watched = this.table.isHere(to) ? here : to
      return monitors.add({ ...asked, watched, deadPid: to, target: undefined })
    }
    if (typeof to === 'string' || to instanceof Address) return this.#monitorName(asked, to)
    if (!isNameOnNode(to))
      throw new TypeError(`monitor: expected a pid, a name, a via or { name, node }, got ${show(to)}`)
    const watched = this.table.isHere(to) ? this.table.names.holder(to.name) : to
    return monitors.add({ ...asked, watched, deadPid: undefined, target: { name: to.name, node: to.node } })
  }

  #monitorName(
    asked: { owner: Process; tag: unknown; alias: MonitorOptions['alias'] },
    name: string | Address,
  ): Ref {
    checkNameOrVia('monitor: name', name)
    const holder = this.resolve(name)
    const pid = holder === 'pending' ? undefined : holder
    const watched = pid === undefined ? undefined : this.table.isHere(pid) ? this.table.find(pid) : pid
    const target = { name: String(name), node: pid?.node ?? this.table.ids.node }
    return this.table.monitors.add({ ...asked, watched, deadPid: pid, target })
  }

  demonitor(owner: Process, ref: Ref, flush: boolean): boolean {
    const removed = this.table.monitors.remove(owner, ref)
    if (flush && !removed) takeOut(owner, mail => mail instanceof DownSignal && sameRef(mail.ref, ref))
    return removed
  }

  /** For what concerns other nodes. */
  get others(): Beyond {
    if (this.beyond === undefined) throw new TypeError('expected a node that can have others')
    return this.beyond
  }

  demonitorNode(owner: Process, ref: Ref, flush: boolean): boolean {
    const removed = this.others.demonitorNode(owner, ref)
    const isIts = (mail: unknown): boolean =>
      (mail instanceof NodeUpSignal || mail instanceof NodeDownSignal) && mail.ref === ref
    if (flush) while (takeOut(owner, isIts)) {}
    return removed
  }

  unlink(process: Process, pid: Pid, flush: boolean): void {
    this.table.unlink(process, pid)
    if (flush) takeOut(process, mail => mail instanceof ExitSignal && samePid(mail.pid, pid))
  }

  timer(
    kind: 'sendAfter' | 'startTimer' | 'sendEvery',
    owner: Process,
    request: { readonly ms: number; readonly to: To; readonly message: unknown },
  ): Ref {
    const { ms, to, message } = request
    const pid = to instanceof Pid ? to : to instanceof PinnedRef ? to.pid : undefined
    const process = pid === undefined ? undefined : this.table.find(pid)
    if (pid !== undefined && process === undefined && this.table.isHere(pid)) return this.table.ids.newRef() // for the dead
    const fire = (ref: Ref): void => {
      if (kind === 'startTimer' && process !== undefined)
        this.table.push(process, new TimerSignal(ref, message))
      else this.#sendLate(to, kind === 'startTimer' ? { type: 'timer', ref, message } : message)
    }
    return this.table.sendTimers.set(owner, { ms, process, every: kind === 'sendEvery', fire })
  }

  /** What a timer sends has no sender left to be told of a mistake. */
  #sendLate(to: To, message: unknown): void {
    try {
      this.sendFrom(undefined, to, message)
    } catch (error) {
      this.table.deadLetter(to as Pid, message, show(error))
    }
  }

  groups(process: Process, scope: string | undefined): OwnGroups {
    if (this.keeper !== undefined) return this.keeper.own(process, scope)
    throw new TroupeError('ERR_UNAVAILABLE', 'groups: this node keeps none')
  }

  // Telling.

  /** Adds to a gauge or counter that `stats` shows from then on: for what is built on this room. Returns what it is. */
  count(name: string, by: number): number {
    const total = (this.#counts.get(name) ?? 0) + by
    this.#counts.set(name, total)
    return total
  }

  /** `process` is about to end by a fault of its own. */
  crashed(process: Process, reason: ExitReason): void {
    this.crashes += 1
    this.#hooks.crash(reportOf(process, reason))
  }

  /** What hangs on a process while it is suspended or traced, made when first needed. */
  debugged(process: Process): Debugged {
    return probingOf(process, this)
  }

  info(process: Process): ProcessInfo {
    const { ties } = process
    return {
      pid: process.pid,
      definition: definitionOf(process),
      names: ties?.called() ?? [],
      mailbox: process.mailbox?.length ?? 0,
      busy: process instanceof ActorProcess && process.phase === Phase.parked,
      links: ties?.links?.size ?? 0,
      monitors: ties?.monitors?.size ?? 0,
    }
  }

  /** Counters and gauges by name, `process.` in front. */
  stats(): Readonly<Record<string, number>> {
    const { table } = this
    return {
      'process.alive': table.size,
      'process.spawned': table.counters.spawned,
      'process.crashed': this.crashes,
      'process.runnable': table.scheduler.queued,
      'process.handled': table.scheduler.handled,
      'process.deadLetters': table.counters.deadLetters,
      'process.mailRefused': table.counters.refused,
      'process.mailDropped': table.counters.dropped,
      'process.faults': table.counters.faults,
      'process.names': table.names.size,
      'process.aliases': table.monitors.aliases,
      'process.timers': table.timers.size,
      'process.calls.pending': table.calls.size,
      'process.calls.unlisted': table.calls.unlisted,
      'process.names.waitersRefused': this.waitersRefused,
      'process.calls.timedOut': table.calls.timedOut,
      'process.traces': this.traced.open,
      'process.traces.dropped': this.traced.dropped,
      'process.overruns.unnamed': table.scheduler.unnamed,
      'process.pidsInterned': table.ids.interned,
      ...Object.fromEntries(this.#counts),
    }
  }

  /** Stops listening to the operating-system process. */
  close(): void {
    this.#attribution?.close()
  }
}

export const createActors = (options: ActorsOptions): Actors => new Actors(options)

const isNamed = (options: SpawnOptions): options is NamedSpawn => !(options.name instanceof Address)

/** A `via` is of this node, so what would place the process elsewhere, or name it there, is refused. */
function underVia(options: SpawnOptions): SpawnOptions & { readonly name: Address } {
  const name = options.name as Address
  const { on, scope, restart } = options
  const given = { on: on === 'local' ? undefined : on, scope: scope === 'node' ? undefined : scope, restart }
  for (const [option, got] of Object.entries(given)) {
    if (got === undefined || got === 'temporary') continue
    throw new TypeError(`spawn: ${option}: expected none with ${name}, a name of this node, got ${show(got)}`)
  }
  return { ...options, name }
}

function checkNameOrVia(where: string, name: unknown): asserts name is string | Address {
  if (!(name instanceof Address)) checkName(where, name)
}

function expectTag(where: string, tag: unknown): void {
  if (typeof tag !== 'string') throw new TypeError(`${where}: tag: expected a string, got ${show(tag)}`)
}

/** Removes the first piece of mail that fits. False: there is none. */
function takeOut(process: Process, fits: (mail: unknown) => boolean): boolean {
  const box = process.mailbox
  if (box === undefined) return false
  for (let i = 0; i < box.length; i++) {
    if (!fits(box.at(i))) continue
    box.takeAt(i)
    return true
  }
  return false
}
