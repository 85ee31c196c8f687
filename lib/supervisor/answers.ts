/** What a supervisor answers to those who start and stop children of it, and what its callers make of that. */
import type { ActorRef, Context } from '../actor/api.js'
import type { AnyActor } from '../actor/define.js'
import { Handover } from '../actor/handover.js'
import { besideRef } from '../actor/refs.js'
import { startError } from '../actor/starter.js'
import { show, TroupeError } from '../base/errors.js'
import type { Pid } from '../base/ids.js'
import type { ExitReason } from '../base/reasons.js'
import type { ChildSpec } from './child-spec.js'
import type { Child, Failure } from './tree.js'

/** Whether it was done, or why there was nothing that could be done. */
export type ChildOutcome<Why extends string> =
  | { readonly ok: true }
  | { readonly ok: false; readonly why: Why }

/** A child that was started; without a pid it had nothing to start. */
export type Started = { readonly ok: true; readonly pid: Pid | undefined }
export type NotStarted =
  | { readonly ok: false; readonly why: 'already_started'; readonly pid: Pid | undefined }
  | { readonly ok: false; readonly why: 'already_present' }
  | { readonly ok: false; readonly why: 'max_children'; readonly max: number }
  | { readonly ok: false; readonly why: 'bad_spec'; readonly message: string }
  | { readonly ok: false; readonly why: 'failed'; readonly failure: Failure }

/** The spec in a call to start a child. Throws `TypeError` for what did not come through a supervisor's ref. */
export function specIn(payload: unknown): ChildSpec {
  if (payload instanceof Handover) return payload.code as ChildSpec
  throw new TypeError(`startChild: expected a spec through a supervisor's ref, got ${show(payload)}`)
}

/** What `check` says against a spec, as an answer. */
export function refusalOf(check: () => void): NotStarted | undefined {
  try {
    check()
    return undefined
  } catch (error) {
    return { ok: false, why: 'bad_spec', message: (error as Error).message }
  }
}

export const startedBy = (outcome: Child | Failure): Started | NotStarted =>
  'spec' in outcome
    ? { ok: true, pid: outcome.status === 'running' ? outcome.pid : undefined }
    : { ok: false, why: 'failed', failure: outcome }

/** Replies. What a start failed with may be anything, also what cannot cross to the caller: then it is described. */
export function answer<A>(ctx: Context, given: A | NotStarted): A | NotStarted {
  const { from } = ctx
  try {
    from.reply(given)
  } catch (error) {
    const failure = failureIn(given)
    if (failure === undefined) throw error
    from.reply({ ok: false, why: 'failed', failure: { ...failure, reason: show(failure.reason) } })
  }
  return given
}

const failureIn = (given: unknown): Failure | undefined => (given as { readonly failure?: Failure }).failure

/** A ref to the child that was started, speaking for whom `supervisor` speaks. Throws what kept it from starting. */
export function refFrom<D extends AnyActor>(
  supervisor: ActorRef<unknown>,
  spec: { readonly def: D; readonly id: string },
  answered: Started | NotStarted,
): ActorRef<D> {
  const pid = pidFrom(spec, answered)
  if (pid === undefined) throw startError(spec.def.name, 'ignore')
  return besideRef(supervisor, pid, spec.def)
}

/** Undefined for a child that had nothing to start. */
export function pidFrom(
  { def, id }: { readonly def: { readonly name: string }; readonly id: string },
  answered: Started | NotStarted,
): Pid | undefined {
  if (answered.ok) return answered.pid
  switch (answered.why) {
    case 'already_started':
      throw new TroupeError('ERR_ALREADY_STARTED', `startChild: child ${show(id)} runs already`, {
        id,
        why: answered.why,
        pid: answered.pid,
      })
    case 'already_present':
      throw new TroupeError(
        'ERR_ALREADY_STARTED',
        `startChild: there is a child ${show(id)}, which does not run; restart or delete it`,
        { id, why: answered.why },
      )
    case 'max_children':
      throw new TroupeError('ERR_BUSY', `startChild: there are ${answered.max} children, as many as may be`, {
        limit: 'maxChildren',
        why: answered.why,
      })
    case 'bad_spec':
      throw new TypeError(answered.message)
    case 'failed':
      throw errorOf(def.name, answered.failure)
    default:
      return answered satisfies never
  }
}

const errorOf = (name: string, { reason, tried }: Failure): ExitReason =>
  tried ? startError(name, reason) : reason
