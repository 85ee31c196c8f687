/**
 * Many processes of one kind where one would be a bottleneck: a supervisor of numbered partitions, and the way from a
 * key to the partition that it always belongs to.
 *
 *   'caches' ─ supervisor ─┬─ 0  named 'caches/0'         for('user:7') ──hash──▶ 'caches/1'
 *                          ├─ 1  named 'caches/1'
 *                          └─ 2  named 'caches/2'
 *
 * All names are of this node. A partition that crashes is restarted alone; what is sent to it meanwhile finds nobody.
 */
import type { ActorRef, InitContext, Node, RestartIntensity, Speaker } from '../actor/api.js'
import { type ActorDef, type AnyActor, defineActor } from '../actor/define.js'
import { processSpeaker } from '../actor/speaker.js'
import type { Pid } from '../base/ids.js'
import { PARTITIONS_MAX } from '../base/limits.js'
import {
  anything,
  type Check,
  checkOptions,
  expect,
  isInteger,
  isObject,
  type WaitOptions,
} from '../base/options.js'
import type { ExitReason } from '../base/reasons.js'
import { checkName } from '../process/local-names.js'
import { type ChildSpec, checkChild, kSupervisor } from './child-spec.js'
import { throwFailedStart } from './failed-start.js'
import { type PartitionKey, partitionOf } from './partition-key.js'
import type { BackOff } from './restart-back-off.js'
import { grow, keeping, patiently, restartOptions, treeOptions } from './supervisor.js'
import type { ChildCounts, ChildInfo, TreeOptions } from './tree.js'

export interface PartitionSupervisorSpec<D extends AnyActor = AnyActor> {
  /** Of the supervisor, on this node. Partition `i` is registered as `NAME/i`. */
  readonly name: string
  /** Default: the cores that the host gives to the process. At most 65 536. */
  readonly partitions?: number | undefined
  /** What each partition runs; a function is given its number, so that each may have arguments of its own. */
  readonly child: ChildSpec<D> | ((partition: number) => ChildSpec<D>)
  /** Default 3 restarts in 5 000 ms, over all partitions. */
  readonly intensity?: RestartIntensity | undefined
  /** As `SupervisorSpec.backoff`. Default: no wait. */
  readonly backoff?: BackOff | undefined
}

/** The partitions that run under one name, and the supervisor that keeps them. */
export interface PartitionSupervisorRef<D> {
  readonly pid: Pid
  readonly partitions: number
  /**
   * The partition of a key: the same for the same key. Whole numbers by the remainder of their absolute value, all else
   * by a hash. It follows the partition through restarts; calls between two lives of it reject with `ERR_NOPROC`.
   */
  for(key: PartitionKey): ActorRef<D>
  /** Highest number first. */
  whichChildren(options?: WaitOptions): Promise<readonly ChildInfo<number>[]>
  countChildren(options?: WaitOptions): Promise<ChildCounts>
  /** Stops the partitions in reverse order, then the supervisor, with `reason` (default `'normal'`). */
  stop(reason?: ExitReason, options?: WaitOptions): Promise<void>
}

export interface PartitionSupervisorDef<D>
  extends ActorDef<
    'partition-supervisor',
    undefined,
    { whichChildren: unknown; countChildren: unknown },
    { whichChildren: readonly ChildInfo<number>[]; countChildren: ChildCounts },
    {}
  > {
  /** Never read at run time: what the partitions run. */
  readonly '~child'?: () => D
}

const SPEC_CHECKS: Readonly<Record<string, Check>> = {
  name: anything,
  partitions: isInteger(1, PARTITIONS_MAX),
  child: anything,
  intensity: isObject,
  backoff: isObject,
}

/**
 * Starts the partitions, and a supervisor of them: from a node it stands alone, from a context or a process function it
 * is linked to that process, its parent. Rejects with `ERR_ALREADY_STARTED` when the name is taken, with `ERR_START`
 * when a partition does not start.
 *
 * ```ts
 * const cache = defineActor('cache', {
 *   init: () => ({ held: new Map<string, string>() }),
 *   calls: { get: (state, key: string) => state.held.get(key) },
 * })
 * const node = await createNode()
 * const caches = await startPartitionSupervisor(node, { name: 'caches', child: child(cache) })
 * await caches.for('user:7').call('get', 'user:7')
 * ```
 */
export async function startPartitionSupervisor<D extends AnyActor>(
  host: Node | Speaker,
  spec: PartitionSupervisorSpec<D>,
): Promise<PartitionSupervisorRef<D>> {
  const def = partitionSupervisor(spec)
  const options = treeOptions(host, 'partitionSupervisor', { name: spec.name, scope: 'node' })
  await host.spawn(def, undefined, options).catch(error => throwFailedStart('partitionSupervisor', error))
  return partitionsOf(host, spec.name, def)
}

/**
 * The partitions that run under `name` on this node: so those are reached whose supervisor is a child of another.
 * Rejects with `ERR_NOPROC` when nobody has the name.
 */
export async function partitionsOf<D extends AnyActor>(
  host: Node | Speaker,
  name: string,
  def: PartitionSupervisorDef<D>,
  options?: WaitOptions,
): Promise<PartitionSupervisorRef<D>> {
  const ref = host.named<PartitionSupervisorDef<D>>(name, def)
  const { specs: partitions } = await ref.call('countChildren', undefined, options)
  return {
    get pid() {
      return ref.pid
    },
    partitions,
    for: key => host.named<D>(nameOf(name, partitionOf(key, partitions))),
    whichChildren: given => ref.call('whichChildren', undefined, given),
    countChildren: given => ref.call('countChildren', undefined, given),
    stop: (reason, given) => ref.stop(reason, patiently(given)),
  }
}

/** Partitions as a definition, to be the child of a supervisor: `child(partitionSupervisor({ name, child }))`. */
export function partitionSupervisor<D extends AnyActor>(
  spec: PartitionSupervisorSpec<D>,
): PartitionSupervisorDef<D> {
  expect('partitionSupervisor: spec', spec, isObject)
  checkOptions('partitionSupervisor', spec, SPEC_CHECKS)
  checkName('partitionSupervisor: name', spec.name)
  checkName('partitionSupervisor: name', nameOf(spec.name, PARTITIONS_MAX))
  if (typeof spec.child !== 'function') specOf(spec, 0)
  const options: TreeOptions = {
    strategy: 'one_for_one',
    autoShutdown: 'never',
    ...restartOptions('partitionSupervisor', spec),
    dynamic: false,
    extraArguments: [],
  }
  return Object.freeze({ ...define({ ...spec }, options), [kSupervisor]: true })
}

const define = (spec: PartitionSupervisorSpec, options: TreeOptions): PartitionSupervisorDef<never> =>
  defineActor('partition-supervisor', {
    init: async (_: undefined, ctx: InitContext) => {
      if (ctx.whereis(spec.name)?.pid !== ctx.self)
        await ctx.node.register(spec.name, ctx.self, { scope: 'node' })
      const partitions = spec.partitions ?? processSpeaker(ctx).cores
      return grow(
        ctx,
        options,
        Array.from({ length: partitions }, (_, id) => ({ id, spec: specOf(spec, id) })),
      )
    },
    calls: {
      whichChildren: tree => tree.list(),
      countChildren: tree => tree.count(),
    },
    ...keeping,
  })

const nameOf = (name: string, partition: number): string => `${name}/${partition}`

/** The spec of one partition. A temporary one would be forgotten, and keys are divided by the number of specs. */
function specOf({ name, child }: PartitionSupervisorSpec, partition: number): ChildSpec {
  const given = typeof child === 'function' ? child(partition) : child
  const where = 'partitionSupervisor: child'
  checkChild(where, given, 'never')
  expect(`${where}.name`, given.name, value =>
    value === undefined ? undefined : 'none: partitions have their own',
  )
  expect(`${where}.restart`, given.restart, value =>
    value === 'temporary' ? "'permanent' or 'transient'" : undefined,
  )
  return { ...given, name: nameOf(name, partition), scope: 'node' }
}
