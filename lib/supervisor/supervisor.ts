/**
 * Supervisors of children that are known by their ids: one_for_one, one_for_all, rest_for_one.
 *
 * Laws:
 *  - Children start in order, each when the one before it has; they stop in reverse. A child that does not start stops
 *    those before it, and the start fails with `{ shutdown: { failedToStartChild: id, reason } }`.
 *  - Restarts of all children, failed ones too, count against one intensity, a restart of many as one. One too many,
 *    and the supervisor stops its children and exits with `'shutdown'`: a parent starts it again only if it is permanent.
 *  - A child is gone before the next one is stopped, and all are gone before the supervisor is.
 *  - It does one thing at a time: while a child starts or stops, its callers wait.
 */
import { isNameOrVia } from '../actor/actors.js'
import type {
  ActorRef,
  Context,
  InitContext,
  Node,
  RestartIntensity,
  Signal,
  SpawnOptions,
  Speaker,
} from '../actor/api.js'
import { type ActorDef, type AnyActor, defineActor } from '../actor/define.js'
import { Handover } from '../actor/handover.js'
import type { Pid } from '../base/ids.js'
import { WAIT_MS_MAX } from '../base/limits.js'
import {
  arrayOf,
  checkOptions,
  expect,
  isMs,
  isObject,
  isString,
  oneOf,
  type WaitOptions,
} from '../base/options.js'
import type { ExitReason } from '../base/reasons.js'
import {
  answer,
  type ChildOutcome,
  type NotStarted,
  pidFrom,
  refFrom,
  refusalOf,
  type Started,
  specIn,
  startedBy,
} from './answers.js'
import { type ChildSpec, checkChild, checkChildren, checkIntensity, kSupervisor } from './child-spec.js'
import { failedStart, throwFailedStart } from './failed-start.js'
import type { BackOff } from './restart-back-off.js'
import { INTENSITY_DEFAULT } from './restart-intensity.js'
import type { AutoShutdown, Strategy } from './restart-plan.js'
import { type ChildCounts, type ChildId, type ChildInfo, Tree, type TreeOptions } from './tree.js'

export interface SupervisorSpec {
  /**
   * What a restart of one child means for the others. `'one_for_one'` (default): nothing. `'one_for_all'`: all are
   * stopped, in reverse, and started, in order. `'rest_for_one'`: those after it are. Temporary ones are only stopped.
   */
  readonly strategy?: Strategy | undefined
  /** Default 3 restarts in 5 000 ms; 0 restarts means that the first crash ends the supervisor. */
  readonly intensity?: RestartIntensity | undefined
  /**
   * Whether the end of significant children ends the supervisor, with `'shutdown'`: `'never'` (default), with the
   * first of them, or with the last. Children that were stopped with others, or through the ref, do not count.
   */
  readonly autoShutdown?: AutoShutdown | undefined
  /**
   * Makes every restart wait: `minMs` at first, doubling up to `maxMs` with each further restart of the same child,
   * until it has run for `maxMs`. The supervisor answers meanwhile, and shows the child as `'restarting'`. Not in OTP.
   * Default: no wait.
   */
  readonly backoff?: BackOff | undefined
  /** From `child`, in the order in which they start. */
  readonly children: readonly ChildSpec[]
}

/**
 * A running supervisor. It does one thing at a time: all of this waits while a child starts or stops. What starts and
 * stops children waits as long as they may take, unless told otherwise; what is no longer waited for goes on.
 */
export interface SupervisorRef {
  readonly pid: Pid
  /** Newest first; a restart keeps a child's place. */
  whichChildren(options?: WaitOptions): Promise<readonly ChildInfo[]>
  countChildren(options?: WaitOptions): Promise<ChildCounts>
  /**
   * Adds a child, the youngest, and starts it. Rejects with `ERR_START` when it does not start: then it is not kept,
   * unless its reason is `'ignore'`; with `ERR_ALREADY_STARTED` when there is a child with its id: `detail.pid` is its
   * pid, and absent when it does not run (`detail.why` is `'already_present'`); with a `TypeError` for a spec that is
   * wrong, or wrong here. Specs are code: only a caller on the supervisor's own node can start a child.
   */
  startChild<D extends AnyActor>(spec: ChildSpec<D>, options?: WaitOptions): Promise<ActorRef<D>>
  /** Stops a child and keeps its spec, unless it is temporary. Also `ok` when it does not run. */
  terminateChild(id: string, options?: WaitOptions): Promise<ChildOutcome<'not_found'>>
  /**
   * Starts a child that does not run; no pid: it had nothing to start. Rejects with `ERR_START` when it does not
   * start; its spec is kept.
   */
  restartChild(
    id: string,
    options?: WaitOptions,
  ): Promise<
    { readonly ok: true; readonly pid: Pid | undefined } | Refused<'running' | 'restarting' | 'not_found'>
  >
  /** Forgets a child that does not run. */
  deleteChild(
    id: string,
    options?: WaitOptions,
  ): Promise<ChildOutcome<'running' | 'restarting' | 'not_found'>>
  /**
   * Stops the children in reverse order, then the supervisor, with `reason` (default `'normal'`). Rejects with
   * `ERR_NOPROC` when it has ended before.
   */
  stop(reason?: ExitReason, options?: WaitOptions): Promise<void>
}

type Refused<Why extends string> = Exclude<ChildOutcome<Why>, { ok: true }>

export type SupervisorDef = ActorDef<
  'supervisor',
  undefined,
  {
    whichChildren: unknown
    countChildren: unknown
    startChild: Handover<ChildSpec>
    terminateChild: string
    restartChild: string
    deleteChild: string
  },
  {
    whichChildren: readonly ChildInfo[]
    countChildren: ChildCounts
    startChild: Promise<Started | NotStarted>
    terminateChild: Promise<ChildOutcome<'not_found'>>
    restartChild: Promise<Started | NotStarted | Refused<'running' | 'restarting' | 'not_found'>>
    deleteChild: ChildOutcome<'running' | 'restarting' | 'not_found'>
  },
  {}
>

/** The name of a supervisor, by which `supervisorOf` and its like find it. */
export type NameOptions = Pick<SpawnOptions, 'name' | 'scope'>

const NAME_CHECKS = { name: isNameOrVia, scope: oneOf('cluster', 'node') }
const SPEC_CHECKS = {
  strategy: oneOf('one_for_one', 'one_for_all', 'rest_for_one'),
  autoShutdown: oneOf('never', 'any_significant', 'all_significant'),
  intensity: isObject,
  backoff: isObject,
  children: arrayOf(isObject),
}

/**
 * Starts a supervisor: from a node it stands alone, from a context or a process function it is linked to that process,
 * its parent. Resolves when all its children have started; rejects with `ERR_START` when one has not, with
 * `ERR_ALREADY_STARTED` when the name is taken.
 */
export async function startSupervisor(
  host: Node | Speaker,
  spec: SupervisorSpec,
  options?: NameOptions,
): Promise<SupervisorRef> {
  const def = supervisor(spec)
  const started = host.spawn(def, undefined, treeOptions(host, 'startSupervisor', options))
  return supervisorOf(await started.catch(error => throwFailedStart('supervisor', error)))
}

/** How a supervisor is spawned. Each child has its own deadline, so the tree has none. */
export function treeOptions(host: Node | Speaker, where: string, options?: NameOptions): SpawnOptions {
  checkOptions(where, options, NAME_CHECKS)
  return { ...options, link: 'link' in host, timeoutMs: WAIT_MS_MAX }
}

/** A supervisor as a definition, to be the child of another: `child(supervisor(spec), { id })`. */
export const supervisor = (spec: SupervisorSpec): SupervisorDef => supervisorAt('supervisor', spec)

/** As `supervisor`, for a spec that stands elsewhere. */
export function supervisorAt(where: string, spec: SupervisorSpec): SupervisorDef {
  expect(`${where}: spec`, spec, isObject)
  checkOptions(where, spec, SPEC_CHECKS)
  expect(`${where}: children`, spec.children, SPEC_CHECKS.children)
  const autoShutdown = spec.autoShutdown ?? 'never'
  checkChildren(`${where}: children`, spec.children, autoShutdown)
  const options: TreeOptions = {
    strategy: spec.strategy ?? 'one_for_one',
    autoShutdown,
    ...restartOptions(where, spec),
    dynamic: false,
    extraArguments: [],
  }
  return Object.freeze({ ...define([...spec.children], options), [kSupervisor]: true })
}

/** How often and how soon children are started again, checked. */
export function restartOptions(
  where: string,
  { intensity, backoff }: Pick<SupervisorSpec, 'intensity' | 'backoff'>,
): Pick<TreeOptions, 'intensity' | 'backoff'> {
  checkIntensity(`${where}: intensity`, intensity)
  if (backoff !== undefined) {
    checkOptions(`${where}: backoff`, backoff, { minMs: isMs(), maxMs: isMs() })
    expect(`${where}: backoff.minMs`, backoff.minMs, isMs())
    expect(`${where}: backoff.maxMs`, backoff.maxMs, isMs(backoff.minMs))
  }
  return { intensity: { ...(intensity ?? INTENSITY_DEFAULT) }, backoff: backoff && { ...backoff } }
}

const endUnless = (goesOn: boolean, ctx: Context): void => {
  if (!goesOn) ctx.stop('shutdown')
}

/** What every supervisor does with what nobody asked it by name. */
export const keeping = {
  info: (tree: Tree<ChildId>, signal: Signal, ctx: Context): void | Promise<void> => {
    if (signal.type === 'down') return tree.ended(signal).then(goesOn => endUnless(goesOn, ctx))
    // Of a parent's exit no handler is told. For one without a parent, and above all, there is the node.
    if (signal.type === 'exit' && signal.pid === ctx.node.self) ctx.stop(signal.reason)
  },
  terminate: (tree: Tree<ChildId>): Promise<void> => tree.stopAll(),
  inspect: (tree: Tree<ChildId>): unknown => tree.list(),
}

/** Starts the children in order; one that does not start stops those before it, and the start. */
export async function grow<Id extends ChildId>(
  ctx: InitContext,
  options: TreeOptions,
  children: Iterable<{ readonly id: Id; readonly spec: ChildSpec }>,
): Promise<Tree<Id>> {
  ctx.trapExit(true)
  const tree = new Tree<Id>(ctx, options)
  for (const { id, spec } of children) {
    const outcome = await tree.add(id, spec)
    if ('spec' in outcome) continue
    await tree.stopAll()
    return ctx.stop(failedStart(id, outcome.reason))
  }
  return tree
}

const define = (specs: readonly ChildSpec[], options: TreeOptions): SupervisorDef =>
  defineActor('supervisor', {
    init: (_: undefined, ctx: InitContext) =>
      grow(
        ctx,
        options,
        specs.map(spec => ({ id: spec.id, spec })),
      ),
    calls: {
      whichChildren: tree => tree.list(),
      countChildren: tree => tree.count(),
      startChild: async (tree, payload: Handover<ChildSpec>, ctx) =>
        answer(ctx, await startChild(tree, payload, options)),
      terminateChild: async (tree, id: string) => {
        const known = tree.byId(id)
        if (known === undefined) return refused('not_found')
        await tree.stop([known])
        return { ok: true } as const
      },
      restartChild: async (tree, id: string, ctx) => {
        const known = tree.byId(id)
        if (known === undefined) return refused('not_found')
        if (known.status !== 'stopped') return refused(known.status)
        return answer(ctx, startedBy((await tree.start(known)) ?? known))
      },
      deleteChild: (tree, id: string) => {
        const known = tree.byId(id)
        if (known === undefined) return refused('not_found')
        if (known.status !== 'stopped') return refused(known.status)
        tree.forget(known)
        return { ok: true } as const
      },
    },
    ...keeping,
  })

async function startChild(
  tree: Tree<string>,
  payload: unknown,
  options: TreeOptions,
): Promise<Started | NotStarted> {
  const wrong = refusalOf(() => checkChild('startChild: spec', specIn(payload), options.autoShutdown))
  if (wrong !== undefined) return wrong
  const spec = specIn(payload)
  const known = tree.byId(spec.id)
  if (known === undefined) return startedBy(await tree.add(spec.id, spec))
  return known.status === 'running'
    ? { ok: false, why: 'already_started', pid: known.pid }
    : { ok: false, why: 'already_present' }
}

const refused = <Why extends string>(why: Why): { readonly ok: false; readonly why: Why } => ({
  ok: false,
  why,
})

/** As long as the children may take. */
export const patiently = (options: WaitOptions | undefined): WaitOptions => ({
  timeoutMs: WAIT_MS_MAX,
  ...options,
})

/**
 * The supervisor behind a ref, which may come from `whereis` or `named`: so one that is a child of another is reached.
 *
 * ```ts
 * const tools = supervisor({ children: [] })
 * const node = await createNode()
 * await startSupervisor(node, { children: [child(tools, { name: 'tools', scope: 'node' })] })
 * const { specs } = await supervisorOf(node.named('tools', tools)).countChildren()
 * ```
 */
export const supervisorOf = (ref: ActorRef<SupervisorDef>): SupervisorRef => ({
  get pid() {
    return ref.pid
  },
  whichChildren: options => ref.call('whichChildren', undefined, options),
  countChildren: options => ref.call('countChildren', undefined, options),
  startChild: async (spec, options) => {
    expect('startChild: spec', spec, isObject)
    return refFrom(ref, spec, await ref.call('startChild', new Handover(spec, undefined), patiently(options)))
  },
  terminateChild: async (id, options) => {
    expect('terminateChild: id', id, isString)
    return ref.call('terminateChild', id, patiently(options))
  },
  restartChild: async (id, options) => {
    expect('restartChild: id', id, isString)
    const answered = await ref.call('restartChild', id, patiently(options))
    if (answered.ok) return answered
    switch (answered.why) {
      case 'running':
      case 'restarting':
      case 'not_found':
        return answered
      default:
        return { ok: true, pid: pidFrom({ def: { name: id }, id }, answered) }
    }
  },
  deleteChild: async (id, options) => {
    expect('deleteChild: id', id, isString)
    return ref.call('deleteChild', id, patiently(options))
  },
  stop: (reason, options) => ref.stop(reason, patiently(options)),
})
