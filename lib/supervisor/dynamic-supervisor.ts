/**
 * Supervisors of children that come and go, many and alike: no ids, no order. A child is known by its pid; one that
 * came to rest, whatever its restart, is forgotten; all are stopped side by side, so that the slowest decides how long
 * it takes.
 */
import type { ActorRef, InitContext, Node, RestartIntensity, Speaker } from '../actor/api.js'
import { type ActorDef, type AnyActor, defineActor } from '../actor/define.js'
import { Handover } from '../actor/handover.js'
import { show } from '../base/errors.js'
import { Pid } from '../base/ids.js'
import {
  anything,
  arrayOf,
  type Check,
  checkOptions,
  expect,
  isInteger,
  isObject,
  type WaitOptions,
} from '../base/options.js'
import type { ExitReason } from '../base/reasons.js'
import {
  answer,
  type ChildOutcome,
  type NotStarted,
  refFrom,
  refusalOf,
  type Started,
  specIn,
  startedBy,
} from './answers.js'
import { type ChildSpec, checkChild, kSupervisor } from './child-spec.js'
import type { BackOff } from './restart-back-off.js'
import { keeping, type NameOptions, patiently, restartOptions, treeOptions } from './supervisor.js'
import { type ChildCounts, type ChildInfo, Tree, type TreeOptions } from './tree.js'

export interface DynamicSupervisorSpec<Extra extends readonly unknown[] = readonly []> {
  /** Default 3 restarts in 5 000 ms, over all children. */
  readonly intensity?: RestartIntensity | undefined
  /** As `SupervisorSpec.backoff`. Default: no wait. */
  readonly backoff?: BackOff | undefined
  /** Children that it may have, those that wait for a restart included. Default: as many as the node may have. */
  readonly maxChildren?: number | undefined
  /**
   * Put in front of the arguments of every child, at every start; then arguments are lists, and a spec holds the rest:
   * `child<typeof worker, [Pool]>(worker, { args: [1] })` for an `init` of `[Pool, number]`.
   */
  readonly extraArguments?: Extra | undefined
}

/**
 * A running dynamic supervisor. It does one thing at a time: all of this waits while a child starts or stops. What
 * starts and stops children waits as long as they may take, unless told otherwise.
 */
export interface DynamicSupervisorRef<Extra extends readonly unknown[] = readonly []> {
  readonly pid: Pid
  /** Newest first. */
  whichChildren(options?: WaitOptions): Promise<readonly ChildInfo<undefined>[]>
  countChildren(options?: WaitOptions): Promise<ChildCounts>
  /**
   * Starts a child; the id of its spec means nothing here, and the same spec may be started any number of times.
   * Rejects with `ERR_START` when it does not start (reason `'ignore'`: it had nothing to), and keeps nothing then;
   * with `ERR_BUSY` (`detail.limit` is `'maxChildren'`) when it has as many as it may; with a `TypeError` for a spec
   * that is wrong. Specs are code: only a caller on the supervisor's own node can start a child.
   */
  startChild<D extends AnyActor>(spec: ChildSpec<D, Extra>, options?: WaitOptions): Promise<ActorRef<D>>
  /** Stops a child, or the wait for its restart, and forgets it. */
  terminateChild(pid: Pid, options?: WaitOptions): Promise<ChildOutcome<'not_found'>>
  /** Stops the children side by side, then the supervisor, with `reason` (default `'normal'`). */
  stop(reason?: ExitReason, options?: WaitOptions): Promise<void>
}

export type DynamicSupervisorDef<Extra extends readonly unknown[] = readonly []> = ActorDef<
  'dynamic-supervisor',
  undefined,
  {
    whichChildren: unknown
    countChildren: unknown
    startChild: Handover<ChildSpec<AnyActor, Extra>>
    terminateChild: Pid
  },
  {
    whichChildren: readonly ChildInfo<undefined>[]
    countChildren: ChildCounts
    startChild: Promise<Started | NotStarted>
    terminateChild: Promise<ChildOutcome<'not_found'>>
  },
  {}
>

const isPid: Check = value => (value instanceof Pid ? undefined : 'a pid')
const SPEC_CHECKS = {
  intensity: isObject,
  backoff: isObject,
  maxChildren: isInteger(0, 2 ** 31),
  extraArguments: arrayOf(anything),
}

/**
 * Starts a dynamic supervisor: from a node it stands alone, from a context or a process function it is linked to that
 * process, its parent. Rejects with `ERR_ALREADY_STARTED` when the name is taken.
 *
 * ```ts
 * const room = defineActor('room', { init: (title: string) => ({ title }) })
 * const node = await createNode()
 * const rooms = await startDynamicSupervisor(node, { maxChildren: 1_000 }, { name: 'rooms', scope: 'node' })
 * const hall = await rooms.startChild(child(room, { args: 'hall', restart: 'transient' }))
 * ```
 */
export async function startDynamicSupervisor<Extra extends readonly unknown[] | [] = readonly []>(
  host: Node | Speaker,
  spec: DynamicSupervisorSpec<Extra> = {},
  options?: NameOptions,
): Promise<DynamicSupervisorRef<Extra>> {
  const spawnOptions = treeOptions(host, 'startDynamicSupervisor', options)
  return dynamicSupervisorOf(await host.spawn(dynamicSupervisor(spec), undefined, spawnOptions))
}

/** A dynamic supervisor as a definition, to be the child of another: `child(dynamicSupervisor(), { id })`. */
export function dynamicSupervisor<Extra extends readonly unknown[] | [] = readonly []>(
  spec: DynamicSupervisorSpec<Extra> = {},
): DynamicSupervisorDef<Extra> {
  checkOptions('dynamicSupervisor', spec, SPEC_CHECKS)
  const options: TreeOptions = {
    strategy: 'one_for_one',
    autoShutdown: 'never',
    ...restartOptions('dynamicSupervisor', spec),
    dynamic: true,
    extraArguments: [...(spec.extraArguments ?? [])],
  }
  const max = spec.maxChildren ?? Number.POSITIVE_INFINITY
  return Object.freeze({ ...define<Extra>(options, max), [kSupervisor]: true })
}

const define = <Extra extends readonly unknown[]>(
  options: TreeOptions,
  max: number,
): DynamicSupervisorDef<Extra> =>
  defineActor('dynamic-supervisor', {
    init: (_: undefined, ctx: InitContext) => {
      ctx.trapExit(true)
      return new Tree<undefined>(ctx, options)
    },
    calls: {
      whichChildren: tree => tree.list(),
      countChildren: tree => tree.count(),
      startChild: async (tree, payload: Handover<ChildSpec<AnyActor, Extra>>, ctx) => {
        const wrong = refusalOf(() => check(specIn(payload), options))
        if (wrong !== undefined) return wrong
        if (tree.size >= max) return { ok: false, why: 'max_children', max } as const
        return answer(ctx, startedBy(await tree.add(undefined, specIn(payload))))
      },
      terminateChild: async (tree, pid: Pid) => {
        const known = pid instanceof Pid ? tree.byPid(pid) : undefined
        if (known === undefined) return { ok: false, why: 'not_found' } as const
        await tree.stop([known])
        return { ok: true } as const
      },
    },
    ...keeping,
  })

function check(spec: ChildSpec, { extraArguments, autoShutdown }: TreeOptions): void {
  checkChild('startChild: spec', spec, autoShutdown)
  if (extraArguments.length === 0 || spec.args === undefined || Array.isArray(spec.args)) return
  throw new TypeError(
    `startChild: spec.args: expected a list, to stand behind the extra arguments, got ${show(spec.args)}`,
  )
}

/**
 * The dynamic supervisor behind a ref, which may come from `whereis` or `named`: so one that is a child of another is
 * reached.
 */
export const dynamicSupervisorOf = <Extra extends readonly unknown[]>(
  ref: ActorRef<DynamicSupervisorDef<Extra>>,
): DynamicSupervisorRef<Extra> => ({
  get pid() {
    return ref.pid
  },
  whichChildren: options => ref.call('whichChildren', undefined, options),
  countChildren: options => ref.call('countChildren', undefined, options),
  startChild: async (spec, options) => {
    expect('startChild: spec', spec, isObject)
    return refFrom(ref, spec, await ref.call('startChild', new Handover(spec, undefined), patiently(options)))
  },
  terminateChild: async (pid, options) => {
    expect('terminateChild: pid', pid, isPid)
    return ref.call('terminateChild', pid, patiently(options))
  },
  stop: (reason, options) => ref.stop(reason, patiently(options)),
})
