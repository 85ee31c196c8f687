/** What a supervisor is told of one child: plain data, checked when it is written. */
import { isNameOrVia } from '../actor/actors.js'
import type { RestartIntensity, ViaName } from '../actor/api.js'
import type { AnyActor, ArgsOf } from '../actor/define.js'
import { isActor } from '../actor/define.js'
import { show } from '../base/errors.js'
import { WAIT_MS_MAX } from '../base/limits.js'
import {
  anything,
  type Check,
  checkOptions,
  expect,
  isBoolean,
  isInteger,
  isMs,
  isObject,
  isString,
  oneOf,
} from '../base/options.js'
import { type ExitReason, isCleanExit, isShutdown } from '../base/reasons.js'

/** When a child is started again: always; unless it ended cleanly; never (then its spec goes with it). */
export type Restart = 'permanent' | 'transient' | 'temporary'

/** How long a child may take to stop before it is killed. */
export type ShutdownMs = number | 'infinity' | 'brutal_kill'

export interface ChildOptions {
  /** Unique among the children of one supervisor. Default: the name of the definition. */
  readonly id?: string | undefined
  /** Default `'permanent'`. */
  readonly restart?: Restart | undefined
  /** Default 5 000, and `'infinity'` for a supervisor. */
  readonly shutdownMs?: ShutdownMs | undefined
  /** How long a start may take. Default 5 000, and no limit for a supervisor, whose children have theirs. */
  readonly timeoutMs?: number | undefined
  /** Registers the process at every start, cluster-wide unless `scope` is `'node'` or it is a `via`. */
  readonly name?: string | ViaName | undefined
  readonly scope?: 'cluster' | 'node' | undefined
  /**
   * Whether its end may end the supervisor, by `autoShutdown`: a clean end for a transient child, any for a temporary
   * one. A permanent child cannot be significant. Default false.
   */
  readonly significant?: boolean | undefined
  /**
   * Restarts of this child that are borne, counted beside those that the supervisor counts for all: whichever runs
   * out first, the supervisor gives up. Not in OTP. Default: only the supervisor counts.
   */
  readonly intensity?: RestartIntensity | undefined
}

/**
 * A child as data. `Extra` are the arguments that its supervisor puts in front, see `DynamicSupervisorSpec`.
 */
export interface ChildSpec<D = AnyActor, Extra extends readonly unknown[] = readonly []> {
  /** Never read at run time: keeps specs apart whose supervisors add other arguments. */
  readonly '~extra'?: () => Extra
  readonly def: D
  /** Was held against `def` when the spec was written. */
  readonly args?: OwnArgs<D, Extra> | undefined
  readonly id: string
  readonly restart: Restart
  readonly shutdownMs: ShutdownMs
  readonly timeoutMs: number | undefined
  readonly name: string | ViaName | undefined
  readonly scope: 'cluster' | 'node' | undefined
  readonly significant: boolean
  readonly intensity: RestartIntensity | undefined
}

/** What is left to give when `Extra` stands in front. */
type OwnArgs<D, Extra extends readonly unknown[]> = Extra extends readonly []
  ? ArgsOf<D>
  : ArgsOf<D> extends readonly [...Extra, ...infer Own]
    ? Own
    : never
type ChildRest<Args> = unknown extends Args
  ? [options?: ChildOptions & { readonly args?: undefined }]
  : undefined extends Args
    ? [options?: ChildOptions & { readonly args?: Args }]
    : [options: ChildOptions & { readonly args: Args }]

const SHUTDOWN_MS_DEFAULT = 5_000

const isId: Check = value =>
  value !== '' && isString(value) === undefined ? undefined : 'a string, not empty'
export const isShutdownMs: Check = value =>
  value === 'infinity' || value === 'brutal_kill' || isMs()(value) === undefined
    ? undefined
    : `milliseconds from 0 to ${WAIT_MS_MAX}, 'infinity' or 'brutal_kill'`
const INTENSITY_CHECKS = { restarts: isInteger(0, 2 ** 31), withinMs: isMs(1) }
const isDef: Check = value => (isActor(value) ? undefined : 'what defineActor returned')

const CHILD_CHECKS = {
  args: anything,
  id: isId,
  restart: oneOf('permanent', 'transient', 'temporary'),
  shutdownMs: isShutdownMs,
  timeoutMs: isMs(),
  name: isNameOrVia,
  scope: oneOf('cluster', 'node'),
  significant: isBoolean,
  intensity: isObject,
}

/**
 * The spec of a child that runs `def`. Every start, the first and those after a crash, is given the same `args`.
 * Throws `TypeError` or `RangeError` for options that are unknown or wrong.
 */
export function child<D extends AnyActor, Extra extends readonly unknown[] = readonly []>(
  def: D,
  ...rest: ChildRest<OwnArgs<D, Extra>>
): ChildSpec<D, Extra> {
  const [options] = rest as [(ChildOptions & { readonly args?: OwnArgs<D, Extra> })?]
  expect('child: def', def, isDef)
  checkOptions('child', options, CHILD_CHECKS)
  checkIntensity('child: intensity', options?.intensity)
  const runsSupervisor = isSupervisor(def)
  return Object.freeze({
    def,
    args: options?.args,
    id: options?.id ?? def.name,
    restart: options?.restart ?? 'permanent',
    shutdownMs: options?.shutdownMs ?? (runsSupervisor ? 'infinity' : SHUTDOWN_MS_DEFAULT),
    timeoutMs: options?.timeoutMs ?? (runsSupervisor ? WAIT_MS_MAX : undefined),
    name: options?.name,
    scope: options?.scope,
    significant: options?.significant ?? false,
    intensity: options?.intensity,
  })
}

/** Throws unless `children` are specs with different ids, for a supervisor with that `autoShutdown`. */
export function checkChildren(where: string, children: readonly unknown[], autoShutdown: string): void {
  const ids = new Set<string>()
  for (const [i, given] of children.entries()) {
    const at = `${where}[${i}]`
    checkChild(at, given, autoShutdown)
    const { id } = given as ChildSpec
    if (ids.has(id)) throw new TypeError(`${at}: expected an id of its own, got ${show(id)} again`)
    ids.add(id)
  }
}

export function checkChild(at: string, given: unknown, autoShutdown: string): void {
  expect(at, given, isObject)
  const { def, ...options } = given as ChildSpec
  expect(`${at}.def`, def, isDef)
  checkOptions(at, options, CHILD_CHECKS)
  for (const key of ['id', 'restart', 'shutdownMs', 'significant'] as const)
    expect(`${at}.${key}`, options[key], CHILD_CHECKS[key])
  checkIntensity(`${at}.intensity`, options.intensity)
  if (!options.significant) return
  if (options.restart === 'permanent')
    throw new TypeError(
      `${at}.significant: expected restart 'transient' or 'temporary' with it, got "permanent"`,
    )
  if (autoShutdown === 'never')
    throw new TypeError(
      `${at}.significant: expected a supervisor with autoShutdown 'any_significant' or 'all_significant', got "never"`,
    )
}

export function checkIntensity(where: string, intensity: unknown): void {
  if (intensity === undefined) return
  checkOptions(where, intensity, INTENSITY_CHECKS)
  for (const key of ['restarts', 'withinMs'] as const)
    expect(`${where}.${key}`, (intensity as RestartIntensity)[key], INTENSITY_CHECKS[key])
}

/** Stands on the definitions that `supervisor` makes. */
export const kSupervisor = Symbol.for('troupe.supervisor')

export const isSupervisor = (def: AnyActor): boolean => kSupervisor in def

/** Whether a child that ended with `reason` is to be started again, as far as its intensity allows. */
export function isRestarted(restart: Restart, reason: ExitReason): boolean {
  if (restart === 'temporary' || lostItsName(reason)) return false
  return restart === 'permanent' || !isCleanExit(reason)
}

/** The name has a winner on the other side of a healed partition: starting again would only lose once more. */
const lostItsName = (reason: ExitReason): boolean =>
  isShutdown(reason) &&
  typeof reason === 'object' &&
  isObject(reason.shutdown) === undefined &&
  Object.hasOwn(reason.shutdown as object, 'nameConflict')
