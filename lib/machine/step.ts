/**
 * What a machine does next: pure functions over plain data. The shell feeds them what handlers return and carries out
 * the effects.
 *
 *   next ───▶ own event ─┐                                ┌─▶ effects: data, reply, arm, disarm, stop
 *   arrive ─▶ mail ──────┼─▶ handler's result ─▶ conclude ┤
 *   expire ─▶ timeout ───┘                                └─▶ enter? ─▶ its result ─▶ entered ─▶ effects
 *
 *   ahead of the mailbox:   queue [ inserted │ retried, oldest first │ what it held ]   then   due [ timeouts of 0 ms ]
 *
 * Laws, all of gen_statem:
 *  - Inserted events come next, in their order. A change of state puts what was postponed behind them, oldest first,
 *    ahead of what the queue still held. The same state again is no change.
 *  - A timeout of 0 ms has no timer: it waits behind the queue and ahead of the mailbox, and can be cancelled there.
 *  - A timer that was set again, cancelled, or belongs to a state that was left has another serial or none: its expiry,
 *    though it may lie in the mailbox already, is nobody's.
 *  - Any event cancels the event timeout. A change of state cancels the state timeout. No event cancels a named one.
 *  - What a result sets is set when `enter`, if it runs, is over.
 */
import { LATER } from '../actor/replies.js'
import type { Request } from '../process/mail.js'
import type { Outcome } from './results.js'
import { insertedBy, type Rules, refusal, refusalOfEnter, type Setting, settingsOf } from './verdict.js'

export interface MachineEvent {
  /** As in a plan: `'cast push'`, `'stateTimeout'`. */
  readonly key: string
  readonly tag: string | undefined
  readonly payload: unknown
  /** Of a call. */
  readonly request: Request | undefined
}

/** Grows and shrinks at its head, shares its tail: nothing is copied when an event comes or goes. */
export type List<T> = { readonly head: T; readonly tail: List<T> } | undefined

export interface Core {
  readonly state: string
  readonly queue: List<MachineEvent>
  /** Newest first. */
  readonly postponed: List<MachineEvent>
  /** Events in `queue` and `postponed`. */
  readonly kept: number
  /** Those that run and those that are due, by key. */
  readonly timers: ReadonlyMap<string, Timer>
  /** Keys of the timeouts of 0 ms, oldest first. */
  readonly due: readonly string[]
  /** The last that was given to a timer. */
  readonly serial: number
  /** To be set when `enter` is over. */
  readonly pending: readonly Setting[]
}

export interface Timer {
  readonly serial: number
  readonly payload: unknown
}

export type Effect =
  | { readonly type: 'data'; readonly data: unknown }
  | { readonly type: 'reply'; readonly request: Request; readonly value: unknown }
  /** In place of a timer of that key that may be running. */
  | { readonly type: 'arm'; readonly key: string; readonly ms: number; readonly serial: number }
  | { readonly type: 'disarm'; readonly key: string }
  | { readonly type: 'stop'; readonly reason: unknown }

export interface Step {
  readonly core: Core
  readonly effects: readonly Effect[]
  /** `enter` of the state is to run; this is the state before. */
  readonly from?: string | undefined
}

const NONE: readonly never[] = []

export interface Taken extends Step {
  readonly event: MachineEvent
}

const STATE_TIMEOUT = 'stateTimeout'
const EVENT_TIMEOUT = 'eventTimeout'

/** In no state yet: the result of `initial` is concluded from here. */
export const START: Core = Object.freeze({
  state: '',
  queue: undefined,
  postponed: undefined,
  kept: 0,
  timers: new Map(),
  due: [],
  serial: 0,
  pending: [],
})

/** The next event that the machine has itself; undefined: it is the mailbox's turn. */
export function next(core: Core): Taken | undefined {
  const { queue, due } = core
  if (queue !== undefined) {
    return { ...arrive({ ...core, queue: queue.tail, kept: core.kept - 1 }), event: queue.head }
  }
  const [key] = due
  return key === undefined ? undefined : expired(core, key)
}

/** An event is about to be handled. */
export const arrive = (core: Core): Step =>
  core.timers.size === 0 ? { core, effects: NONE } : cancel(core, EVENT_TIMEOUT)

/** A timer has fired; undefined when it is no longer the one that runs. */
export const expire = (core: Core, key: string, serial: number): Taken | undefined =>
  core.timers.get(key)?.serial === serial ? expired(core, key) : undefined

function expired(core: Core, key: string): Taken {
  const payload = core.timers.get(key)?.payload
  const tag = key.startsWith('timeout ') ? key.slice('timeout '.length) : undefined
  return { ...arrive(cancel(core, key).core), event: { key, tag, payload, request: undefined } }
}

/** What follows from the handler's result; `event` is undefined for the result of `initial`. */
export function conclude(
  core: Core,
  event: MachineEvent | undefined,
  result: unknown,
  rules: Rules,
  declared?: readonly string[],
): Step {
  const wrong = refusal(core, event, result, rules, declared)
  if (wrong !== undefined) return { core, effects: [{ type: 'stop', reason: wrong }] }
  const outcome = result as Outcome
  const effects = spoken(outcome, event)
  if (outcome.kind === 'stop') return { core, effects }
  const to = outcome.kind === 'go' ? (outcome.value as string) : core.state
  const left = to === core.state ? { core, effects: NONE } : cancel(core, STATE_TIMEOUT)
  effects.push(...left.effects)
  const moved = queued(left.core, event, outcome, to)
  if (moved.kept > rules.eventsMax) {
    return { core, effects: [...effects, { type: 'stop', reason: { system_limit: 'machineEventsMax' } }] }
  }
  const settings = settingsOf(outcome.options)
  if (to === core.state && outcome.kind !== 'repeat') return set(moved, settings, effects)
  const pending = settings.length === 0 ? moved : { ...moved, pending: settings }
  return { core: pending, effects, from: event === undefined ? to : core.state }
}

/** What follows from the result of `enter`; undefined where there is none. */
export function entered(core: Core, result: unknown, rules: Rules): Step {
  const wrong = result === undefined ? undefined : refusalOfEnter(core, result, rules)
  if (wrong !== undefined) return { core, effects: [{ type: 'stop', reason: wrong }] }
  const outcome = result as Outcome | undefined
  if (outcome === undefined && core.pending.length === 0) return { core, effects: NONE }
  const effects = outcome === undefined ? NONE : spoken(outcome, undefined)
  return set({ ...core, pending: [] }, [...core.pending, ...settingsOf(outcome?.options)], effects)
}

/** What a result does at once. In a call a result without a reply gives `undefined`, unless it postpones or stops. */
function spoken({ kind, value, options = {} }: Outcome, event: MachineEvent | undefined): Effect[] {
  const effects: Effect[] = []
  const { data, reply, postpone } = options
  if (data !== undefined) effects.push({ type: 'data', data })
  const silent = kind === 'stop' || kind === 'postpone' || postpone === true
  if (event?.request !== undefined && (!silent || 'reply' in options) && reply !== LATER) {
    effects.push({ type: 'reply', request: event.request, value: reply })
  }
  if (kind === 'stop') effects.push({ type: 'stop', reason: value })
  return effects
}

/** In state `to`, with what waits by then. */
function queued(core: Core, event: MachineEvent | undefined, { kind, options }: Outcome, to: string): Core {
  const inserted = insertedBy(options)
  const postpones = event !== undefined && (kind === 'postpone' || options?.postpone === true)
  const isChange = to !== core.state
  if (!isChange && !postpones && inserted.length === 0) return core
  let { queue, postponed } = core
  if (postpones) postponed = { head: event, tail: postponed }
  for (; isChange && postponed !== undefined; postponed = postponed.tail) {
    queue = { head: postponed.head, tail: queue }
  }
  for (const { tag, payload } of inserted.toReversed()) {
    queue = { head: { key: `internal ${tag}`, tag, payload, request: undefined }, tail: queue }
  }
  const kept = core.kept + (postpones ? 1 : 0) + inserted.length
  return { ...core, state: to, queue, postponed, kept }
}

function set(core: Core, settings: readonly Setting[], effects: readonly Effect[]): Step {
  let step: Step = { core, effects }
  for (const setting of settings) {
    const one = setOne(step.core, setting)
    step = { core: one.core, effects: [...step.effects, ...one.effects] }
  }
  return step
}

function setOne(core: Core, { key, ms, payload, update }: Setting): Step {
  const running = core.timers.get(key)
  if (update && running !== undefined)
    return { core: withTimer(core, key, { ...running, payload }), effects: [] }
  const without = cancel(core, key)
  if (ms === undefined) return without
  const serial = core.serial + 1
  const timed = withTimer({ ...without.core, serial }, key, { serial, payload })
  if (ms > 0) return { core: timed, effects: [{ type: 'arm', key, ms, serial }] }
  return { core: { ...timed, due: [...timed.due, key] }, effects: without.effects }
}

const withTimer = (core: Core, key: string, timer: Timer): Core => ({
  ...core,
  timers: new Map(core.timers).set(key, timer),
})

function cancel(core: Core, key: string): Step {
  if (!core.timers.has(key)) return { core, effects: NONE }
  const timers = new Map(core.timers)
  timers.delete(key)
  if (!core.due.includes(key)) return { core: { ...core, timers }, effects: [{ type: 'disarm', key }] }
  return { core: { ...core, timers, due: core.due.filter(other => other !== key) }, effects: [] }
}
