/** Random supervision trees as data, and the definitions that run them. */
import { type AnyActor, defineActor } from '../../lib/actor/define.js'
import type { ExitReason } from '../../lib/base/reasons.js'
import { defineMachine } from '../../lib/machine/machine.js'
import { stay, stop } from '../../lib/machine/results.js'
import type { SimRandom } from '../../lib/sim/sim-random.js'
import type { ApplicationSpec } from '../../lib/supervisor/application.js'
import { type ChildSpec, child, type Restart, type ShutdownMs } from '../../lib/supervisor/child-spec.js'
import { dynamicSupervisor } from '../../lib/supervisor/dynamic-supervisor.js'
import { partitionSupervisor } from '../../lib/supervisor/partition-supervisor.js'
import type { AutoShutdown, Strategy } from '../../lib/supervisor/restart-plan.js'
import { supervisor } from '../../lib/supervisor/supervisor.js'

export type Kind = 'member' | 'machine' | Strategy | 'dynamic' | 'partition'

export interface Intensity {
  readonly restarts: number
  readonly withinMs: number
}

/** One place in a tree. Whoever runs there, one life after the other, is known by its path. */
export interface Plan {
  readonly path: string
  readonly id: string
  /** Among its siblings, by age. */
  readonly place: number
  readonly kind: Kind
  readonly parent: Plan | undefined
  readonly children: Plan[]
  readonly restart: Restart
  readonly shutdownMs: ShutdownMs
  readonly significant: boolean
  readonly own: Intensity | undefined
  readonly name: string | undefined
  readonly scope: 'cluster' | 'node' | undefined
  // Of a supervisor.
  readonly intensity: Intensity
  readonly backoff: { readonly minMs: number; readonly maxMs: number } | undefined
  readonly autoShutdown: AutoShutdown
  /** Its children are parts of an application, which it is itself. */
  readonly application: boolean
  // Of a leaf.
  readonly traps: boolean
  readonly initMs: number
  /** How long its init may take: it may take longer. */
  readonly startMs: number | undefined
  readonly terminateMs: number
  /** How often its init fails, or has nothing to start. */
  readonly failing: number
  readonly ignoring: number
}

const STRATEGIES: readonly Strategy[] = ['one_for_one', 'one_for_all', 'rest_for_one']
const CHILDREN_MAX = 4
const DEPTH_MAX = 3

export const isLeaf = ({ kind }: Plan): boolean => kind === 'member' || kind === 'machine'
export const isStatic = ({ kind }: Plan): boolean => (STRATEGIES as readonly string[]).includes(kind)
/** Where the end of one child ends others. */
export const isGroup = ({ kind }: Plan): boolean => kind === 'one_for_all' || kind === 'rest_for_one'

/** A tree below `parent`, or a leaf; at the root always a tree. */
export function growPlan(random: SimRandom, parent: Plan | undefined, id: string): Plan {
  const depth = parent === undefined ? 0 : parent.path.split('/').length
  const leaf = depth > 0 && (depth >= DEPTH_MAX || parent?.kind === 'partition' || random.chance(0.65))
  return planAt(random, parent, id, leaf ? leafKind(random) : treeKind(random, depth))
}

/** A leaf, wherever it stands. */
export const growLeaf = (random: SimRandom, parent: Plan, id: string): Plan =>
  planAt(random, parent, id, leafKind(random))

const leafKind = (random: SimRandom): Kind => (random.chance(0.3) ? 'machine' : 'member')
const treeKind = (random: SimRandom, depth: number): Kind =>
  random.chance(depth === 0 ? 0.8 : 0.6) ? pick(random, STRATEGIES) : pick(random, ['dynamic', 'partition'])

function planAt(
  random: SimRandom,
  parent: Plan | undefined,
  id: string,
  kind: Kind,
  fixed: Partial<Plan> = {},
): Plan {
  const path = parent === undefined ? id : `${parent.path}/${id}`
  const place = parent?.children.length ?? 0
  const leaf = kind === 'member' || kind === 'machine'
  const restarts: readonly Restart[] =
    parent?.kind === 'partition'
      ? ['permanent', 'transient']
      : ['permanent', 'permanent', 'transient', 'temporary']
  const restart = pick(random, restarts)
  const mayEnd = parent !== undefined && parent.autoShutdown !== 'never' && restart !== 'permanent'
  const named = parent?.kind !== 'partition' && random.chance(0.4)
  const slow = leaf && random.chance(0.15)
  const plan: Plan = {
    path,
    id,
    place,
    kind,
    parent,
    children: [],
    restart,
    shutdownMs: leaf ? pick(random, [5_000, 1_000, 1_000, 50, 'brutal_kill']) : 'infinity',
    significant: mayEnd && random.chance(0.4),
    own: random.chance(0.2) ? intensity(random) : undefined,
    // Now and then two want the same.
    name: named ? (random.chance(0.05) ? 'shared' : path) : undefined,
    scope: named && random.chance(0.6) ? 'node' : undefined,
    intensity: intensity(random),
    backoff: random.chance(0.25) ? { minMs: random.below(100), maxMs: 100 + random.below(400) } : undefined,
    autoShutdown:
      STRATEGIES.includes(kind as Strategy) && random.chance(0.25)
        ? pick(random, ['any_significant', 'all_significant'])
        : 'never',
    application: false,
    traps: random.chance(0.75),
    initMs: slow && random.chance(0.5) ? random.below(200) : 0,
    startMs: slow && random.chance(0.5) ? 50 : undefined,
    terminateMs: slow ? pick(random, [random.below(300), 1_500]) : 0,
    failing: leaf && random.chance(0.15) ? 0.4 : 0,
    ignoring: leaf && random.chance(0.05) ? 0.3 : 0,
    ...fixed,
  }
  if (!leaf && kind !== 'dynamic' && !plan.application) {
    const size = kind === 'partition' ? 1 + random.below(3) : 1 + random.below(CHILDREN_MAX)
    for (let i = 0; i < size; i++) plan.children.push(growPlan(random, plan, `${i}`))
  }
  return plan
}

/** An application, and its parts: what it does not leave to its user is as it says itself. */
export function growApplication(random: SimRandom, id: string): Plan {
  const fixed = { name: undefined, autoShutdown: 'never', backoff: undefined, application: true } as const
  const plan = planAt(random, undefined, id, 'rest_for_one', fixed)
  const size = 1 + random.below(CHILDREN_MAX)
  for (let i = 0; i < size; i++)
    plan.children.push(planAt(random, plan, `${i}`, pick(random, STRATEGIES), PART))
  return plan
}

const PART = { restart: 'permanent', significant: false, own: undefined, name: undefined } as const

export function applicationSpecOf(plan: Plan, watch: Watch): ApplicationSpec {
  const parts = plan.children.map(({ id, place, kind, intensity, backoff, autoShutdown, children }) => {
    const specs = children.map(below => specOf(below, watch))
    const after = place % 2 === 0 ? [] : [`${place - 1}`]
    return [id, { strategy: kind as Strategy, intensity, backoff, autoShutdown, children: specs, after }]
  })
  return { intensity: plan.intensity, parts: Object.fromEntries(parts) }
}

const intensity = (random: SimRandom): Intensity => ({
  restarts: random.below(6),
  withinMs: pick(random, [500, 2_000, 5_000]),
})

export const pick = <T>(random: SimRandom, from: readonly T[]): T => from[random.below(from.length)] as T

interface Leave {
  readonly reason: ExitReason
}

const crash = (): never => {
  throw new Error('boom')
}

export const member = defineActor('member', {
  init: () => ({}),
  casts: {
    boom: () => crash(),
    leave: (_state, { reason }: Leave, ctx) => ctx.stop(reason),
  },
  info: () => {},
  terminate: () => {},
})

const machine = defineMachine('machine', {
  init: () => ({}),
  initial: 'on',
  states: { on: { casts: { boom: () => crash() } } },
  any: { casts: { leave: (_data, { reason }: Leave) => stop(reason) }, info: () => stay() },
  terminate: () => {},
})

/** What runs at a place; `watch` is put around every definition. */
export type Watch = (plan: Plan, def: AnyActor) => AnyActor

export function defOf(plan: Plan, watch: Watch): AnyActor {
  const { kind, intensity, backoff, autoShutdown, path, children } = plan
  const specs = (): ChildSpec[] => children.map(below => specOf(below, watch))
  switch (kind) {
    case 'member':
      return watch(plan, member)
    case 'machine':
      return watch(plan, machine)
    case 'dynamic':
      return watch(plan, dynamicSupervisor({ intensity, backoff }))
    case 'partition': {
      const partitions = specs()
      const at = (i: number): ChildSpec => ({ ...(partitions[i] as ChildSpec), name: undefined })
      const spec = { name: path, partitions: partitions.length, child: at, intensity, backoff }
      return watch(plan, partitionSupervisor(spec) as AnyActor)
    }
    default:
      return watch(plan, supervisor({ strategy: kind, intensity, backoff, autoShutdown, children: specs() }))
  }
}

export function specOf(plan: Plan, watch: Watch): ChildSpec {
  const { id, restart, shutdownMs, startMs, significant, own, name, scope } = plan
  return child<AnyActor>(defOf(plan, watch), {
    id,
    restart,
    shutdownMs,
    significant,
    intensity: own,
    name,
    scope,
    timeoutMs: startMs,
  })
}

/** Under what a process is known, if anything: partitions have names of their own. */
export function nameOf(plan: Plan): string | undefined {
  if (plan.kind === 'partition' && plan.name === undefined) return plan.path
  return plan.parent?.kind === 'partition' ? plan.path : plan.name
}
