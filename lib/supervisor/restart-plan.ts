/**
 * What follows from the end of a child, and who is stopped and started with it: pure rules over plain data.
 *
 *   one_for_one    a  b✗ c   →           start b
 *   one_for_all    a  b✗ c   →  stop c a, start a b c
 *   rest_for_one   a  b✗ c   →  stop c,   start b c
 */
import { type ExitReason, isCleanExit } from '../base/reasons.js'
import { isRestarted, type Restart } from './child-spec.js'

/** Who else is started again when one child crashes: nobody; all; those that were started after it. */
export type Strategy = 'one_for_one' | 'one_for_all' | 'rest_for_one'

/** When the end of significant children ends the supervisor: never; with the first; with the last. */
export type AutoShutdown = 'never' | 'any_significant' | 'all_significant'

/** `'stopped'`: it ended and is not to run, was terminated, or had nothing to start. */
export type ChildStatus = 'running' | 'restarting' | 'stopped'

/** What the rules look at. */
export interface Supervised {
  readonly spec: { readonly restart: Restart; readonly significant: boolean }
  readonly status: ChildStatus
}

export type Fate = 'stays down' | 'is restarted' | 'ends the supervisor'

/** A child that ran has ended by itself. `children`: all of them, it included. */
export function onEnded<C extends Supervised>(
  child: C,
  reason: ExitReason,
  { autoShutdown, children }: { readonly autoShutdown: AutoShutdown; readonly children: Iterable<C> },
): Fate {
  const { restart, significant } = child.spec
  if (isRestarted(restart, reason)) return 'is restarted'
  if (!significant || (restart !== 'temporary' && !isCleanExit(reason))) return 'stays down'
  if (autoShutdown === 'any_significant') return 'ends the supervisor'
  if (autoShutdown === 'never') return 'stays down'
  for (const other of children) {
    if (other !== child && other.spec.significant && other.status !== 'stopped') return 'stays down'
  }
  return 'ends the supervisor'
}

export interface Plan<C> {
  /** In the order in which they are stopped: the youngest first. */
  readonly stop: readonly C[]
  /** In the order in which they are started. Temporary ones are not: they are gone for good. */
  readonly start: readonly C[]
}

/** How `child` is started again. `children`: all of them, in the order in which they are started. */
export function planRestart<C extends Supervised>(
  strategy: Strategy,
  children: Iterable<C>,
  child: C,
): Plan<C> {
  if (strategy === 'one_for_one') return { stop: [], start: [child] }
  const all = [...children]
  const group = strategy === 'one_for_all' ? all : all.slice(all.indexOf(child))
  return {
    stop: group.filter(other => other !== child && other.status !== 'stopped').reverse(),
    start: group.filter(({ spec }) => spec.restart !== 'temporary'),
  }
}
