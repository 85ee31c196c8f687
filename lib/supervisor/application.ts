/**
 * A whole program as one tree: parts, each a supervisor, that start in the order of what they need and stop in reverse.
 *
 *   parts: { web: after db, cache   cache: after db   db }      start db, cache, web;  stop web, cache, db
 *
 * The application is itself a supervisor of the parts, by rest_for_one: a part that gave up is started again with all
 * that started after it, since they may stand on it. OTP leaves such an end to the user; here the intensity says how
 * often it is borne, and 0 makes it the end of the application at once.
 */
import type { Node, RestartIntensity, Speaker } from '../actor/api.js'
import { TroupeError } from '../base/errors.js'
import type { Pid } from '../base/ids.js'
import { arrayOf, checkOptions, expect, isObject, isString, type WaitOptions } from '../base/options.js'
import type { ExitReason } from '../base/reasons.js'
import { child } from './child-spec.js'
import { failedChild, throwFailedStart } from './failed-start.js'
import { startOrder } from './start-order.js'
import {
  type SupervisorDef,
  type SupervisorSpec,
  supervisorAt,
  supervisorOf,
  treeOptions,
} from './supervisor.js'
import type { ChildInfo } from './tree.js'

/** A part is a supervisor, and may name the parts that have to run before it. */
export interface ApplicationPart extends SupervisorSpec {
  readonly after?: readonly string[] | undefined
}

export interface ApplicationSpec<Name extends string = string> {
  /** By name. Those that need nothing of each other start in the order in which they are written. */
  readonly parts: Readonly<
    Record<Name, ApplicationPart & { readonly after?: readonly NoInfer<Name>[] | undefined }>
  >
  /** How often parts that gave up are started again. Default 3 restarts in 5 000 ms. */
  readonly intensity?: RestartIntensity | undefined
}

/** A running application. */
export interface ApplicationRef {
  readonly pid: Pid
  /** In the order in which they started. */
  readonly parts: readonly string[]
  /** The parts as children, the last one to start first. */
  whichParts(options?: WaitOptions): Promise<readonly ChildInfo[]>
  /**
   * Stops the parts in reverse order, each child within its own time; `reason` is `'normal'` unless given. Rejects with
   * `ERR_NOPROC` when it has ended before.
   */
  stop(reason?: ExitReason, options?: WaitOptions): Promise<void>
}

const SPEC_CHECKS = { parts: isObject, intensity: isObject }
const isNames = arrayOf(isString)

/**
 * Starts the parts, each when those before it have started: from a node the application stands alone, from a context or
 * a process function it is linked to that process. A part that does not start stops those that have, in reverse, and
 * the start rejects with `ERR_START`: `detail.part` is its name, `detail.reason` why. Parts that wait for each other, or
 * for one that there is not, are a `TypeError`.
 *
 * ```ts
 * const pool = defineActor('pool', { init: () => ({ free: 10 }) })
 * const server = defineActor('server', { init: () => ({ port: 8080 }) })
 * const node = await createNode()
 * const shop = await startApplication(node, {
 *   parts: {
 *     web: { after: ['db'], children: [child(server)] },
 *     db: { children: [child(pool)] },
 *   },
 * })
 * await shop.stop()
 * ```
 */
export async function startApplication<const Name extends string>(
  host: Node | Speaker,
  spec: ApplicationSpec<Name>,
): Promise<ApplicationRef> {
  const { order, def } = application(spec)
  const root = supervisorOf(
    await host.spawn(def, undefined, treeOptions(host, 'application')).catch(error => throwFailedPart(error)),
  )
  return {
    pid: root.pid,
    parts: order,
    whichParts: options => root.whichChildren(options),
    stop: (reason, options) => root.stop(reason, options),
  }
}

function application(spec: ApplicationSpec): {
  readonly order: readonly string[]
  readonly def: SupervisorDef
} {
  expect('application: spec', spec, isObject)
  checkOptions('application', spec, SPEC_CHECKS)
  expect('application: parts', spec.parts, isObject)
  const order = startOrder('application: parts', needsOf(spec.parts))
  const children = order.map(id => {
    const { after: _, ...part } = spec.parts[id] as ApplicationPart
    return child(supervisorAt(`application: parts.${id}`, part), { id })
  })
  const def = supervisorAt('application', { strategy: 'rest_for_one', intensity: spec.intensity, children })
  return { order, def }
}

function needsOf(parts: ApplicationSpec['parts']): Readonly<Record<string, readonly string[]>> {
  return Object.fromEntries(
    Object.entries(parts).map(([name, part]) => {
      expect(`application: parts.${name}`, part, isObject)
      const { after = [] } = part
      expect(`application: parts.${name}: after`, after, isNames)
      return [name, after]
    }),
  )
}

function throwFailedPart(error: unknown): never {
  const failed = TroupeError.is(error, 'ERR_START') ? failedChild(error.detail['reason']) : undefined
  if (failed === undefined) throw error
  const { failedToStartChild: part, reason } = failed
  throwFailedStart('application', error, { part, reason })
}
