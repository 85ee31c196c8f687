/** What a supervisor is told of one child: plain data, checked when it is written. */
import { isNameOrVia } from '../actor/actors.js'
import type { ViaName } from '../actor/api.js'
import type { AnyActor, ArgsOf } from '../actor/define.js'
import { isActor } from '../actor/define.js'
import { show } from '../base/errors.js'
import { WAIT_MS_MAX } from '../base/limits.js'
import {
  anything,
  type Check,
  checkOptions,
  expect,
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
}

export interface ChildSpec {
  readonly def: AnyActor
  /** Was held against `def` when the spec was written. */
  readonly args?: ArgsOf<AnyActor>
  readonly id: string
  readonly restart: Restart
  readonly shutdownMs: ShutdownMs
  readonly timeoutMs: number | undefined
  readonly name: string | ViaName | undefined
  readonly scope: 'cluster' | 'node' | undefined
}

type ChildRest<D> =
  unknown extends ArgsOf<D>
    ? [options?: ChildOptions & { readonly args?: undefined }]
    : undefined extends ArgsOf<D>
      ? [options?: ChildOptions & { readonly args?: ArgsOf<D> }]
      : [options: ChildOptions & { readonly args: ArgsOf<D> }]

const SHUTDOWN_MS_DEFAULT = 5_000

const isId: Check = value =>
  value !== '' && isString(value) === undefined ? undefined : 'a string, not empty'
const isShutdownMs: Check = value =>
  value === 'infinity' || value === 'brutal_kill' || isMs()(value) === undefined
    ? undefined
    : `milliseconds from 0 to ${WAIT_MS_MAX}, 'infinity' or 'brutal_kill'`
const isDef: Check = value => (isActor(value) ? undefined : 'what defineActor returned')

const CHILD_CHECKS = {
  args: anything,
  id: isId,
  restart: oneOf('permanent', 'transient', 'temporary'),
  shutdownMs: isShutdownMs,
  timeoutMs: isMs(),
  name: isNameOrVia,
  scope: oneOf('cluster', 'node'),
}

/**
 * The spec of a child that runs `def`. Every start, the first and those after a crash, is given the same `args`.
 * Throws `TypeError` or `RangeError` for options that are unknown or wrong.
 */
export function child<D extends AnyActor>(def: D, ...rest: ChildRest<D>): ChildSpec {
  const [options] = rest as [(ChildOptions & { readonly args?: unknown })?]
  expect('child: def', def, isDef)
  checkOptions('child', options, CHILD_CHECKS)
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
  })
}

/** Throws unless `children` are specs with different ids. */
export function checkChildren(where: string, children: unknown): void {
  const ids = new Set<string>()
  for (const [i, given] of (children as readonly unknown[]).entries()) {
    const at = `${where}[${i}]`
    expect(at, given, isObject)
    const { def, ...options } = given as ChildSpec
    expect(`${at}.def`, def, isDef)
    checkOptions(at, options, CHILD_CHECKS)
    for (const key of ['id', 'restart', 'shutdownMs'] as const)
      expect(`${at}.${key}`, options[key], CHILD_CHECKS[key])
    if (ids.has(options.id))
      throw new TypeError(`${at}: expected an id of its own, got ${show(options.id)} again`)
    ids.add(options.id)
  }
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
