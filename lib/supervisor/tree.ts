/**
 * What every supervisor holds: its children, and the thin shell that starts, watches, stops and starts them again as
 * the rules in `restart-plan.ts`, `restart-intensity.ts` and `restart-back-off.ts` decide.
 *
 *              ┌────────── start ──────────┐
 *              ▼                           │
 *   stopped ──▶ running ──down──▶ restarting: waits (back-off, or behind the mail after a failed attempt)
 *      ▲           │                       │
 *      └───────────┴──── terminated, not restarted, ignored ; a temporary child is forgotten
 *
 * Laws:
 *  - A child is noticed by a monitor, which it cannot remove; the link is there to take it along.
 *  - A restart is counted once, when it is decided. No failed restart is repeated at once: what is in the mailbox goes
 *    first, so calls are answered in between.
 *  - A child that is stopped on purpose is no longer watched, so its end has no consequences.
 *
 * A failed start is its starter's affair, so nobody reports it, nor a kill: the tree itself reports each restart that
 * failed, a child that did not shut down in time, and giving up.
 */
import type { RestartIntensity, Speaker } from '../actor/api.js'
import type { AnyActor, ArgsOf } from '../actor/define.js'
import { processSpeaker } from '../actor/speaker.js'
import { show, TroupeError } from '../base/errors.js'
import { type Pid, type Ref, samePid } from '../base/ids.js'
import type { ExitReason } from '../base/reasons.js'
import type { DownSignal } from '../process/mail.js'
import { type ChildSpec, isSupervisor } from './child-spec.js'
import { end, pause } from './endings.js'
import { type BackOff, onBackOff } from './restart-back-off.js'
import { onCrashOf } from './restart-intensity.js'
import { type AutoShutdown, type ChildStatus, onEnded, planRestart, type Strategy } from './restart-plan.js'

export interface ChildInfo<Id = string> {
  readonly id: Id
  /** Undefined when it ended and is not to run, was terminated, or had nothing to start. */
  readonly pid: Pid | 'restarting' | undefined
  readonly type: 'worker' | 'supervisor'
  readonly definition: string
}

export interface ChildCounts {
  readonly specs: number
  /** Children that run. */
  readonly active: number
  /** Specs, whether they run or not. */
  readonly supervisors: number
  readonly workers: number
}

export interface TreeOptions {
  readonly strategy: Strategy
  readonly autoShutdown: AutoShutdown
  readonly intensity: RestartIntensity
  readonly backoff: BackOff | undefined
  /** Children are forgotten when they come to rest, and are stopped side by side. */
  readonly dynamic: boolean
  /** Put in front of the arguments of every child. */
  readonly extraArguments: readonly unknown[]
}

/** Of partitions: their numbers. Children of a dynamic supervisor have none. */
export type ChildId = string | number | undefined

export interface Child<Id = ChildId> {
  readonly id: Id
  readonly spec: ChildSpec
  status: ChildStatus
  /** While it does not run: the process that was, if any. */
  pid: Pid | undefined
  /** Ends after the wait, while it is restarting. */
  pause: Pid | undefined
  /** Of the child, or of its wait. */
  monitor: Ref | undefined
  startedMs: number
  /** For its own intensity. */
  restarts: readonly number[]
  /** Restarts in a row, for the back-off. */
  streak: number
}

/** Why a child did not start. */
export interface Failure {
  /** What the start gave as its reason; else the error that kept it from being tried. */
  readonly reason: ExitReason
  readonly tried: boolean
}

export class Tree<Id extends ChildId> {
  readonly #ctx: ReturnType<typeof processSpeaker>
  readonly #options: TreeOptions
  /** Oldest first. A restart keeps a child's place. */
  readonly #children = new Set<Child<Id>>()
  readonly #ids = new Map<Id, Child<Id>>()
  /** By the monitors of children and of waits. What is not here has no consequences. */
  readonly #watched = new Map<Ref, Child<Id>>()
  /** By the serials of the processes that they are, or were. */
  readonly #pids = new Map<number, Child<Id>>()
  #restarts: readonly number[] = []

  constructor(ctx: Speaker, options: TreeOptions) {
    this.#ctx = processSpeaker(ctx)
    this.#options = options
  }

  get size(): number {
    return this.#children.size
  }

  list(): readonly ChildInfo<Id>[] {
    return [...this.#children].map(child => this.#infoOf(child)).reverse()
  }

  count(): ChildCounts {
    let active = 0
    let supervisors = 0
    for (const { spec, status } of this.#children) {
      if (status === 'running') active += 1
      if (isSupervisor(spec.def)) supervisors += 1
    }
    const specs = this.#children.size
    return { specs, active, supervisors, workers: specs - supervisors }
  }

  byId(id: Id): Child<Id> | undefined {
    return this.#ids.get(id)
  }

  byPid(pid: Pid): Child<Id> | undefined {
    const child = this.#pids.get(pid.serial)
    return child?.pid !== undefined && samePid(child.pid, pid) ? child : undefined
  }

  /** A further child, the youngest. One that fails to start is forgotten again. */
  async add(id: Id, spec: ChildSpec): Promise<Child<Id> | Failure> {
    const child: Child<Id> = {
      id,
      spec,
      status: 'stopped',
      pid: undefined,
      pause: undefined,
      monitor: undefined,
      startedMs: 0,
      restarts: [],
      streak: 0,
    }
    this.#children.add(child)
    if (id !== undefined) this.#ids.set(id, child)
    const failure = await this.start(child)
    if (failure === undefined) return child
    this.forget(child)
    return failure
  }

  /** Undefined when it runs, or has nothing to start. */
  async start(child: Child<Id>): Promise<Failure | undefined> {
    const { def, name, scope, timeoutMs } = child.spec
    try {
      const options = { link: true, monitor: true, name, scope, timeoutMs }
      const { pid, monitor } = await this.#ctx.spawn(def, this.#argsOf(child.spec), options)
      this.#forgetPid(child)
      this.#pids.set(pid.serial, child)
      this.#watch(child, monitor as Ref)
      child.status = 'running'
      child.pid = pid
      child.startedMs = this.#ctx.nowMs
      return undefined
    } catch (error) {
      if (!TroupeError.is(error, 'ERR_START')) return { reason: error, tried: false }
      const reason = error.detail['reason']
      if (reason !== 'ignore') return { reason, tried: true }
      this.#rests(child)
      return undefined
    }
  }

  /** Ends children that run, or wait to; in the order given, or side by side. Their specs stay, unless temporary. */
  async stop(children: Iterable<Child<Id>>): Promise<void> {
    const endings = [...children].flatMap(child => {
      const { pid, spec, status } = child
      this.#rests(child)
      return status === 'running' && pid !== undefined ? [{ child, pid, shutdownMs: spec.shutdownMs }] : []
    })
    const batches = this.#options.dynamic ? [endings] : endings.map(ending => [ending])
    for (const batch of batches) {
      for (const { child, shutdownMs } of await end(this.#ctx, batch))
        this.#report(`${nameOf(child)} did not shut down within ${shutdownMs} ms`, 'killed')
    }
  }

  stopAll(): Promise<void> {
    return this.stop([...this.#children].reverse())
  }

  forget(child: Child<Id>): void {
    this.#unwatch(child)
    this.#forgetPid(child)
    this.#children.delete(child)
    this.#ids.delete(child.id)
  }

  /** A child is down, or its wait is over. False: the supervisor is to end. */
  async ended(down: DownSignal): Promise<boolean> {
    const child = this.#watched.get(down.ref)
    if (child === undefined) return true
    this.#unwatch(child)
    if (child.status === 'restarting') return this.#restart(child)
    const { autoShutdown } = this.#options
    const fate = onEnded(child, down.reason, { autoShutdown, children: this.#children })
    if (fate === 'is restarted') return this.#crashed(child, down.reason)
    this.#rests(child)
    return fate === 'stays down'
  }

  /** One more restart is due, if it can be borne. */
  async #crashed(child: Child<Id>, reason: ExitReason): Promise<boolean> {
    const now = this.#ctx.nowMs
    const { intensity, backoff, strategy } = this.#options
    const own = { intensity: child.spec.intensity, restarts: child.restarts }
    const verdict = onCrashOf([{ intensity, restarts: this.#restarts }, own], now)
    const failed = child.status !== 'running'
    if (verdict.verdict === 'give-up') {
      this.#rests(child)
      this.#gaveUp(child, verdict.intensity, reason)
      return false
    }
    const [restarts = [], ownRestarts = []] = verdict.histories
    this.#restarts = restarts
    child.restarts = ownRestarts
    child.status = 'restarting'
    // At once: the others must not go on for the time of a wait without the one that they stand with.
    await this.stop(planRestart(strategy, this.#children, child).stop)
    if (backoff !== undefined) {
      const { waitMs, streak } = onBackOff(backoff, child.streak, failed ? 0 : now - child.startedMs)
      child.streak = streak
      this.#wait(child, waitMs)
    } else if (failed) this.#wait(child, 0)
    else return this.#restart(child)
    return true
  }

  async #restart(child: Child<Id>): Promise<boolean> {
    const plan = planRestart(this.#options.strategy, this.#children, child)
    await this.stop(plan.stop)
    for (const next of plan.start) {
      const failure = await this.start(next)
      if (failure === undefined) continue
      this.#report(`${nameOf(next)} did not start again`, failure.reason)
      return this.#crashed(next, failure.reason)
    }
    return true
  }

  #wait(child: Child<Id>, ms: number): void {
    child.pause = pause(this.#ctx, ms)
    this.#watch(child, this.#ctx.monitor(child.pause))
  }

  /** It does not run, and nothing is done about it. */
  #rests(child: Child<Id>): void {
    child.status = 'stopped'
    if (this.#options.dynamic || child.spec.restart === 'temporary') this.forget(child)
    else this.#unwatch(child)
  }

  #watch(child: Child<Id>, monitor: Ref): void {
    child.monitor = monitor
    this.#watched.set(monitor, child)
  }

  /** Whatever comes of the process, or the wait, is of no concern any more. */
  #unwatch(child: Child<Id>): void {
    if (child.monitor !== undefined) this.#watched.delete(child.monitor)
    child.monitor = undefined
    if (child.pause !== undefined) this.#ctx.exit(child.pause, 'kill')
    child.pause = undefined
  }

  #forgetPid({ pid }: Child<Id>): void {
    if (pid !== undefined) this.#pids.delete(pid.serial)
  }

  #argsOf({ args }: ChildSpec): ArgsOf<AnyActor> {
    const { extraArguments } = this.#options
    return extraArguments.length === 0 ? args : [...extraArguments, ...(args ?? [])]
  }

  #infoOf({ id, spec, status, pid }: Child<Id>): ChildInfo<Id> {
    return {
      id,
      pid: status === 'running' ? pid : status === 'restarting' ? status : undefined,
      type: isSupervisor(spec.def) ? 'supervisor' : 'worker',
      definition: spec.def.name,
    }
  }

  #gaveUp(child: Child<Id>, { restarts, withinMs }: RestartIntensity, reason: ExitReason): void {
    const limit = `more than ${restarts} restarts in ${withinMs} ms`
    this.#report(`gave up on ${nameOf(child)}: ${limit}`, reason)
  }

  #report(message: string, cause: ExitReason): void {
    this.#ctx.report(new Error(`${this.#ctx.self} ${message}`, { cause }))
  }
}

const nameOf = ({ id, spec, pid }: Child): string =>
  `child ${id === undefined ? `${spec.def.name} ${pid}` : show(id)}`

/** What a supervisor keeps, newest first, from the state of its process; undefined for the state of anything else. */
export const childrenOf = (state: unknown): readonly ChildInfo<ChildId>[] | undefined =>
  state instanceof Tree ? state.list() : undefined
