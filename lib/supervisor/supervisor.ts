/**
 * One-for-one supervisors: each child is started again alone.
 *
 * Laws:
 *  - Children start in order, each when the one before it has; they stop in reverse. A child that does not start stops
 *    those before it, and the start fails with `{ shutdown: { failedToStartChild: id, reason } }`.
 *  - Restarts of all children, failed ones too, count against one intensity. One too many, and the supervisor stops
 *    its children and exits with `'shutdown'`: a parent starts it again only if it is permanent.
 *  - No restart that failed is repeated at once: what is in the mailbox goes first, so calls are answered in between.
 *  - A child is gone before the next one is stopped, and all are gone before the supervisor is.
 *
 * An exit with `'shutdown'` is clean, and a failed start is its starter's affair, so neither makes a crash report: the
 * supervisor makes one itself for each restart that failed and for giving up.
 */
import type { ActorRef, Node, RestartIntensity, Self, Speaker } from '../actor/api.js'
import { type ActorDef, defineActor } from '../actor/define.js'
import { ProcessSpeaker } from '../actor/speaker.js'
import { show, TroupeError } from '../base/errors.js'
import { type Pid, type Ref, sameRef } from '../base/ids.js'
import { WAIT_MS_MAX } from '../base/limits.js'
import {
  arrayOf,
  checkOptions,
  expect,
  isInteger,
  isMs,
  isObject,
  oneOf,
  type WaitOptions,
} from '../base/options.js'
import type { ExitReason } from '../base/reasons.js'
import { DownSignal } from '../process/mail.js'
import { type ChildSpec, checkChildren, isRestarted, isSupervisor, kSupervisor } from './child-spec.js'
import { INTENSITY_DEFAULT, onCrash } from './restart-intensity.js'

export interface SupervisorSpec {
  /** What happens to the others when one child crashes: nothing. */
  readonly strategy?: 'one_for_one' | undefined
  /** Default 3 restarts in 5 000 ms; 0 restarts means that the first crash ends the supervisor. */
  readonly intensity?: RestartIntensity | undefined
  /** From `child`, in the order in which they start. */
  readonly children: readonly ChildSpec[]
}

export interface ChildInfo {
  readonly id: string
  /** Undefined when it ended and is not to run, or had nothing to start. */
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

/** A running supervisor. Its answers wait while a child starts or stops. */
export interface SupervisorRef {
  readonly pid: Pid
  /** Newest first; a restart keeps a child's place. */
  whichChildren(options?: WaitOptions): Promise<readonly ChildInfo[]>
  countChildren(options?: WaitOptions): Promise<ChildCounts>
  /**
   * Stops the children in reverse order, then the supervisor, with `reason` (default `'normal'`). Waits as long as the
   * children may take, unless told otherwise; a stop that is no longer waited for goes on. Rejects with `ERR_NOPROC`
   * when it has ended before.
   */
  stop(reason?: ExitReason, options?: WaitOptions): Promise<void>
}

type SupervisorDef = ActorDef<
  'supervisor',
  undefined,
  { whichChildren: unknown; countChildren: unknown },
  { whichChildren: readonly ChildInfo[]; countChildren: ChildCounts },
  {}
>

const SPEC_CHECKS = { strategy: oneOf('one_for_one'), intensity: isObject, children: arrayOf(isObject) }
const INTENSITY_CHECKS = { restarts: isInteger(0, 2 ** 31), withinMs: isMs(1) }

/**
 * Starts a supervisor: from a node it stands alone, from a context or a process function it is linked to that process,
 * its parent. Resolves when all its children have started; rejects with `ERR_START` when one has not.
 */
export async function startSupervisor(host: Node | Speaker, spec: SupervisorSpec): Promise<SupervisorRef> {
  const def = supervisor(spec)
  // Each child has its own deadline.
  const ref = await host.spawn(def, undefined, { link: 'link' in host, timeoutMs: WAIT_MS_MAX })
  return refTo(ref)
}

/** A supervisor as a definition, to be the child of another: `child(supervisor(spec), { id })`. */
export function supervisor(spec: SupervisorSpec): SupervisorDef {
  expect('supervisor: spec', spec, isObject)
  checkOptions('supervisor', spec, SPEC_CHECKS)
  expect('supervisor: children', spec.children, SPEC_CHECKS.children)
  checkChildren('supervisor: children', spec.children)
  const intensity = spec.intensity ?? INTENSITY_DEFAULT
  checkOptions('supervisor: intensity', intensity, INTENSITY_CHECKS)
  for (const key of ['restarts', 'withinMs'] as const) {
    expect(`supervisor: intensity.${key}`, intensity[key], INTENSITY_CHECKS[key])
  }
  return Object.freeze({ ...define([...spec.children], { ...intensity }), [kSupervisor]: true })
}

const define = (specs: readonly ChildSpec[], intensity: RestartIntensity): SupervisorDef =>
  defineActor('supervisor', {
    init: async (_: undefined, ctx) => {
      ctx.trapExit(true)
      const tree = new Tree(ctx, specs, intensity)
      const failure = await tree.startAll()
      return failure === undefined ? tree : ctx.stop(failure.reason)
    },
    calls: {
      whichChildren: tree => tree.list(),
      countChildren: tree => tree.count(),
    },
    info: async (tree, signal, ctx) => {
      if (signal.type === 'down' && !(await tree.ended(signal))) ctx.stop('shutdown')
      // Of a parent's exit no handler is told. For one without a parent, and above all, there is the node.
      if (signal.type === 'exit' && signal.pid === ctx.node.self) ctx.stop(signal.reason)
    },
    terminate: tree => tree.stopAll(),
    inspect: tree => tree.list(),
  })

const refTo = (ref: ActorRef<SupervisorDef>): SupervisorRef => ({
  pid: ref.pid,
  whichChildren: options => ref.call('whichChildren', undefined, options),
  countChildren: options => ref.call('countChildren', undefined, options),
  stop: (reason, options) => ref.stop(reason, { timeoutMs: WAIT_MS_MAX, ...options }),
})

interface Child {
  readonly spec: ChildSpec
  /** While it is restarting: the process that was. */
  pid: Pid | undefined
  monitor: Ref | undefined
  restarting: boolean
}

interface Failure {
  readonly reason: ExitReason
}

class Tree {
  readonly #ctx: Speaker
  readonly #intensity: RestartIntensity
  /** Oldest first. */
  #children: readonly Child[]
  #restarts: readonly number[] = []

  constructor(ctx: Speaker, specs: readonly ChildSpec[], intensity: RestartIntensity) {
    this.#ctx = ctx
    this.#intensity = intensity
    this.#children = specs.map(spec => ({ spec, pid: undefined, monitor: undefined, restarting: false }))
  }

  list(): readonly ChildInfo[] {
    return this.#children.map(infoOf).reverse()
  }

  count(): ChildCounts {
    const infos = this.list()
    const supervisors = infos.filter(info => info.type === 'supervisor').length
    return {
      specs: infos.length,
      active: infos.filter(info => typeof info.pid === 'object').length,
      supervisors,
      workers: infos.length - supervisors,
    }
  }

  /** Undefined when all have started; else those that had are stopped again. */
  async startAll(): Promise<Failure | undefined> {
    for (const child of this.#children) {
      const failure = await this.#start(child)
      if (failure === undefined) continue
      await this.stopAll()
      return { reason: { shutdown: { failedToStartChild: child.spec.id, reason: failure.reason } } }
    }
    return undefined
  }

  async stopAll(): Promise<void> {
    for (const child of [...this.#children].reverse()) {
      if (child.pid !== undefined) await stop(this.#ctx, child.pid, child.spec.shutdownMs)
    }
  }

  /** A child is down, or the next attempt at its restart is due. False: there have been too many. */
  async ended(down: DownSignal): Promise<boolean> {
    const child = this.#children.find(({ monitor }) => monitor !== undefined && sameRef(monitor, down.ref))
    if (child === undefined) return true
    child.monitor = undefined
    if (!child.restarting && !isRestarted(child.spec.restart, down.reason)) {
      this.#rests(child)
      return true
    }
    const nowMs = this.#ctx.node.stats().uptimeMs // the one clock that a process can read
    const verdict = onCrash(this.#restarts, nowMs, this.#intensity)
    if (verdict.verdict === 'give-up') {
      this.#rests(child)
      this.#gaveUp(child, down.reason)
      return false
    }
    this.#restarts = verdict.history
    await this.#restart(child)
    return true
  }

  async #restart(child: Child): Promise<void> {
    const failure = await this.#start(child)
    if (failure === undefined) return
    child.restarting = true
    report(this.#ctx, `child ${show(child.spec.id)} did not start again`, failure.reason)
    // A monitor of the dead fires at once, into the mailbox, behind all that waits there, and no limit refuses it.
    child.monitor = this.#ctx.monitor(child.pid as Pid)
  }

  async #start(child: Child): Promise<Failure | undefined> {
    const { def, args, name, scope, timeoutMs } = child.spec
    try {
      const options = { link: true, monitor: true, name, scope, timeoutMs }
      const { pid, monitor } = await this.#ctx.spawn(def, args, options)
      child.pid = pid
      child.monitor = monitor
      child.restarting = false
    } catch (error) {
      const reason = TroupeError.is(error, 'ERR_START') ? error.detail['reason'] : error
      if (reason !== 'ignore') return { reason }
      this.#rests(child)
    }
    return undefined
  }

  /** It does not run, and nothing is done about it. */
  #rests(child: Child): void {
    child.pid = undefined
    child.restarting = false
    if (child.spec.restart === 'temporary') this.#children = this.#children.filter(other => other !== child)
  }

  #gaveUp(child: Child, reason: ExitReason): void {
    const { restarts, withinMs } = this.#intensity
    const limit = `more than ${restarts} restarts in ${withinMs} ms`
    report(this.#ctx, `gave up on child ${show(child.spec.id)}: ${limit}`, reason)
  }
}

const infoOf = ({ spec, pid, restarting }: Child): ChildInfo => ({
  id: spec.id,
  pid: restarting ? 'restarting' : pid,
  type: isSupervisor(spec.def) ? 'supervisor' : 'worker',
  definition: spec.def.name,
})

async function stop(ctx: Speaker, pid: Pid, shutdownMs: ChildSpec['shutdownMs']): Promise<void> {
  if (shutdownMs !== 'brutal_kill') {
    ctx.exit(pid, 'shutdown')
    if (await hasEnded(ctx, pid, shutdownMs === 'infinity' ? undefined : shutdownMs)) return
  }
  ctx.exit(pid, 'kill')
}

/** A handler cannot take mail out of the mailbox while it runs; a process of its own can. No exit ends that early. */
const hasEnded = (ctx: Speaker, pid: Pid, timeoutMs: number | undefined): Promise<boolean> =>
  new Promise(resolve => {
    const wait = async (self: Self): Promise<void> => {
      const ref = self.monitor(pid)
      const isDown = (mail: unknown): boolean => mail instanceof DownSignal && mail.ref === ref
      await self.receive(isDown, { timeoutMs })
    }
    const watch = (self: Self): Promise<void> =>
      wait(self).then(
        () => resolve(true),
        () => resolve(false),
      )
    ctx.run(watch, { trapExit: true })
  })

function report(ctx: Speaker, message: string, cause: ExitReason): void {
  if (ctx instanceof ProcessSpeaker) ctx.report(new Error(`${ctx.self} ${message}`, { cause }))
}
