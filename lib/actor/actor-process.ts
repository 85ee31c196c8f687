/**
 * The server behaviour: one state, one message at a time, awaits included.
 *
 *   begin: init ──▶ state        ignore, stop, a throw, no object: the start fails and nobody is told but the starter
 *   receive: call, cast, info ──▶ after: stop? → terminate → dead
 *                                        continue? → continue handler → after
 *                                        timeout? → armed
 *
 * A handler that returns no promise costs none. A handler that was waiting when its process died is a zombie: its
 * result, its throws and its replies are ignored.
 */
import { show, TroupeError } from '../base/errors.js'
import { type Pid, samePid } from '../base/ids.js'
import { type ExitReason, isCleanExit, thrownReason } from '../base/reasons.js'
import { Cast, Encoded, ExitSignal, Mail, Request } from '../process/mail.js'
import { Process } from '../process/process.js'
import { exitError } from '../process/process-table.js'
import type { Timing } from '../process/timer-heap.js'
import type { Actors } from './actors.js'
import type { Signal } from './api.js'
import { ActorContext } from './context.js'
import type { AnyActor, AnySpec, Handler } from './define.js'
import { STOP } from './refs.js'
import { isThenable, LATER, Promises } from './replies.js'
import { isSignal } from './signals.js'
import type { Awaiting } from './starter.js'
import { answer, isInquiry, isSystemTag } from './system-requests.js'

/** A definition, as one node runs it. */
export class ActorKind {
  readonly actors: Actors
  readonly def: AnyActor
  readonly spec: AnySpec
  readonly calls: ReadonlyMap<string, Handler>
  readonly casts: ReadonlyMap<string, Handler>

  constructor(actors: Actors, def: AnyActor, spec: AnySpec) {
    this.actors = actors
    this.def = def
    this.spec = spec
    this.calls = new Map(Object.entries(spec.calls ?? {}))
    this.casts = new Map(Object.entries(spec.casts ?? {}))
  }

  /** A state for people to see. A hook of the user that fails hides the state, and nothing else. */
  shown(state: unknown): unknown {
    const { inspect } = this.spec
    if (inspect === undefined) return state
    try {
      return inspect(state)
    } catch (error) {
      return `inspect failed: ${show(error)}`
    }
  }
}

/** What a callback asked for through `ctx`, and what is kept for later: made when first needed. */
class Effects {
  ignore = false
  /** `mail` is what a crash report is to show of it. */
  stop: { readonly reason: ExitReason; readonly mail?: unknown } | undefined = undefined
  next: { readonly value: unknown } | undefined = undefined
  timeoutMs: number | undefined = undefined
  timing: Timing | undefined = undefined
  readonly promises = new Promises()
  /** Calls of `ref.stop`, answered by the death itself. */
  readonly stops: { readonly request: Request; readonly reason: ExitReason }[] = []
  terminating = false
  /** What a behaviour that is built on this one keeps beside the state. */
  behaviour: unknown = undefined
}

export class TimeoutMail extends Mail {
  readonly timing: Timing

  constructor(timing: Timing) {
    super()
    this.timing = timing
  }
}

type Wait = Promise<void> | undefined

export class ActorProcess extends Process {
  readonly kind: ActorKind
  /** The arguments of `init` until it has run. */
  state: unknown
  /** Being handled: what crash reports show, and whom `ctx.from` answers. */
  mail: unknown = undefined
  context: ActorContext | undefined = undefined
  effects: Effects | undefined = undefined
  parent: Pid | undefined = undefined
  starter: Awaiting | undefined = undefined

  constructor(pid: Pid, kind: ActorKind, args: unknown) {
    super(pid)
    this.kind = kind
    this.state = args
  }

  effectsNow(): Effects {
    if (this.effects === undefined) this.effects = new Effects()
    return this.effects
  }

  begin(): Wait {
    let result: unknown
    try {
      const args = this.state instanceof Encoded ? this.state.open() : this.state
      result = this.kind.spec.init(args, this.#ctx())
    } catch (error) {
      return this.#startFailed(thrownReason(error))
    }
    if (!isThenable(result)) return this.#began(result)
    this.starter?.waits()
    return this.#until(
      result,
      state => this.#began(state),
      error => this.#startFailed(thrownReason(error)),
    )
  }

  receive(mail: unknown): Wait {
    if (this.effects?.timing !== undefined) this.#cancelTimeout(this.effects, mail)
    this.mail = mail
    return mail instanceof Mail ? this.#mail(mail) : this.#plain(mail)
  }

  #mail(mail: Mail): Wait {
    if (mail instanceof Request) return this.#call(mail)
    if (mail instanceof Cast) return this.#cast(mail)
    if (mail instanceof Encoded) return this.#encoded(mail)
    if (mail instanceof ExitSignal && this.#isParents(mail)) return this.#terminate(mail.reason)
    if (isSignal(mail)) return this.#info(mail)
    return mail instanceof TimeoutMail ? this.#timedOut(mail) : undefined
  }

  /** A start that failed is the starter's affair alone: it is not told once more by an exit or a down. */
  override leaving(): void {
    const parent = this.starter?.parent
    if (parent === undefined) return
    this.kind.actors.table.unlink(this, parent)
    this.kind.actors.table.monitors.dropWatchersFrom(this, parent)
  }

  override exitComing(from: Pid): void {
    if (this.parent !== undefined && samePid(from, this.parent)) this.context?.shutdownComing()
  }

  override heeds(mail: unknown): boolean {
    return mail instanceof Request
      ? isSystemTag(mail.tag)
      : mail instanceof ExitSignal && this.#isParents(mail)
  }

  #isParents(signal: ExitSignal): boolean {
    return this.parent !== undefined && samePid(signal.pid, this.parent)
  }

  ended(reason: ExitReason): void {
    const { effects, mail, starter, context } = this
    this.state = undefined
    this.mail = undefined
    this.starter = undefined
    starter?.failed(reason)
    if (mail instanceof Request) mail.fail(exitError(this.pid, mail.tag, reason))
    if (effects !== undefined) {
      if (effects.timing !== undefined) this.kind.actors.table.timers.cancel(effects.timing)
      effects.promises.failAll(this.pid, reason)
      for (const stop of effects.stops) {
        if (stop.reason === reason) stop.request.reply(undefined)
        else stop.request.fail(exitError(this.pid, 'stop', reason))
      }
    }
    context?.ended()
  }

  #ctx(): ActorContext {
    if (this.context === undefined) this.context = new ActorContext(this)
    return this.context
  }

  #began(state: unknown): Wait {
    if (this.dead) return undefined
    const effects = this.effects
    if (effects?.ignore === true) return this.#startFailed('ignore')
    if (effects?.stop !== undefined) return this.#startFailed(effects.stop.reason)
    if (typeof state !== 'object' || state === null) return this.#startFailed(badReturn(state))
    this.state = state
    const starter = this.starter
    this.starter = undefined
    if (effects === undefined && this.context?.disposable === true) this.context = undefined
    starter?.started()
    return effects === undefined ? undefined : this.#after()
  }

  #startFailed(reason: ExitReason): undefined {
    if (this.dead) return
    this.starter?.because(reason)
    this.kind.actors.table.die(this, reason === 'ignore' ? 'normal' : reason)
  }

  #plain(message: unknown): Wait {
    if (this.kind.spec.info !== undefined) return this.#info({ type: 'message', message })
    this.kind.actors.table.deadLetter(this.pid, message, 'the actor has no info')
    return this.#silent()
  }

  #encoded(mail: Encoded): Wait {
    let message: unknown
    try {
      message = mail.open()
    } catch {
      this.kind.actors.table.deadLetter(this.pid, undefined, 'bytes that could not be decoded')
      return this.#silent()
    }
    this.mail = message
    return this.#plain(message)
  }

  #info(signal: Signal): Wait {
    const handler = this.kind.spec.info
    if (handler === undefined) return this.#silent()
    let result: unknown
    try {
      result = handler(this.state, signal, this.#ctx())
    } catch (error) {
      return this.#crash(error)
    }
    return result === undefined && this.effects === undefined ? this.#silent() : this.#handled(result)
  }

  #cast(cast: Cast): Wait {
    const handler = this.kind.casts.get(cast.tag)
    let payload = cast.payload
    if (handler === undefined) {
      this.kind.actors.table.deadLetter(
        this.pid,
        payload,
        `the actor has no cast ${JSON.stringify(cast.tag)}`,
      )
      return this.#silent()
    }
    let result: unknown
    try {
      if (payload instanceof Encoded) payload = payload.open()
    } catch {
      this.kind.actors.table.deadLetter(this.pid, undefined, 'bytes that could not be decoded')
      return this.#silent()
    }
    try {
      result = handler(this.state, payload, this.#ctx())
    } catch (error) {
      return this.#crash(error)
    }
    return this.#handled(result)
  }

  #call(request: Request): Wait {
    let payload = request.payload
    if (payload instanceof Encoded) {
      try {
        payload = payload.open()
      } catch (error) {
        request.fail(payloadError(error))
        return this.#silent()
      }
    }
    if (isSystemTag(request.tag)) return this.#system(request, payload)
    const handler = this.kind.calls.get(request.tag)
    if (handler === undefined) {
      request.fail(unknownTag(this.kind, 'call', request.tag))
      return this.#silent()
    }
    let result: unknown
    try {
      result = handler(this.state, payload, this.#ctx())
    } catch (error) {
      return this.#crash(error)
    }
    if (!isThenable(result)) return this.#replied(request, result)
    return this.#until(
      result,
      value => this.#replied(request, value),
      error => this.#crash(error),
    )
  }

  #replied(request: Request, value: unknown): Wait {
    if (this.dead) return undefined
    if (value === LATER) {
      // Stopping as well: there will be no later, and the death is the answer.
      this.effectsNow().promises.add(request)
    } else if (!request.settled) {
      try {
        request.reply(value)
      } catch (error) {
        return this.#terminate(badReturn(this.#unbared(value), error))
      }
    }
    this.mail = undefined
    return this.effects === undefined ? undefined : this.#after()
  }

  #system(request: Request, payload: unknown): Wait {
    if (request.tag === STOP) return this.#stop(request, payload)
    const { kind } = this
    answer(request, payload, {
      debugged: () => kind.actors.debugged(this),
      stateful: { process: this, shown: () => kind.shown(this.state) },
      unknown: () => unknownTag(kind, 'call', request.tag),
    })
    this.#silent()
    return this.suspended ? Promise.resolve() : undefined
  }

  /** A stop whose caller has given up meanwhile is none. */
  #stop(request: Request, reason: unknown): Wait {
    if (request.settled) return this.#silent()
    this.mail = undefined
    this.effectsNow().stops.push({ request, reason })
    return this.#terminate(reason)
  }

  #handled(result: unknown): Wait {
    if (result === undefined) {
      this.mail = undefined
      return this.effects === undefined ? undefined : this.#after()
    }
    if (!isThenable(result)) return this.#terminate(badReturn(this.#unbared(result)))
    return this.#until(
      result,
      value => this.#handled(value),
      error => this.#crash(error),
    )
  }

  /** A handler that returns its state by mistake does not carry it past `inspect` into the reason of its exit. */
  #unbared(value: unknown): unknown {
    return value === this.state ? this.kind.shown(value) : value
  }

  /** The message needed no callback. */
  #silent(): undefined {
    this.mail = undefined
  }

  /** What the callback asked for. */
  #after(): Wait {
    const effects = this.effects as Effects
    for (;;) {
      if (this.dead) return undefined
      if (effects.stop !== undefined) {
        this.mail = effects.stop.mail
        return this.#terminate(effects.stop.reason)
      }
      if (effects.next === undefined) break
      const { value } = effects.next
      effects.next = undefined
      const handler = this.kind.spec.continue as NonNullable<AnySpec['continue']>
      let result: unknown
      try {
        result = handler(this.state, value, this.#ctx())
      } catch (error) {
        return this.#crash(error)
      }
      if (result !== undefined) return this.#handled(result)
    }
    if (effects.timeoutMs !== undefined) this.#armTimeout(effects, effects.timeoutMs)
    return undefined
  }

  #armTimeout(effects: Effects, ms: number): void {
    effects.timeoutMs = undefined
    if (this.#hasMessage()) return // any message cancels it, and one is here
    const { table } = this.kind.actors
    effects.timing = table.timers.after(ms, timing => {
      if (!this.#hasMessage()) table.tell(this, new TimeoutMail(timing))
    })
  }

  #hasMessage(): boolean {
    const { mailbox } = this
    if (mailbox === undefined || mailbox.length === 0) return false
    for (const mail of mailbox) if (!isInquiry(mail)) return true
    return false
  }

  #cancelTimeout(effects: Effects, mail: unknown): void {
    if (effects.timing?.pending === true && !isInquiry(mail)) {
      this.kind.actors.table.timers.cancel(effects.timing)
      effects.timing = undefined
    }
  }

  #timedOut(mail: TimeoutMail): Wait {
    const current = this.effects?.timing === mail.timing
    if (this.effects !== undefined) this.effects.timing = undefined
    return current ? this.#info({ type: 'timeout' }) : this.#silent()
  }

  #crash(thrown: unknown): Wait {
    return this.#terminate(thrownReason(thrown))
  }

  #terminate(reason: ExitReason): Wait {
    const { terminate } = this.kind.spec
    const effects = this.effectsNow()
    if (terminate === undefined || effects.terminating) return this.#finish(reason)
    effects.terminating = true
    let result: unknown
    try {
      result = terminate(this.state, reason)
    } catch (error) {
      return this.#finish(error instanceof Error ? error : reason)
    }
    if (!isThenable(result)) return this.#finish(reason)
    return this.#until(
      result,
      () => this.#finish(reason),
      error => this.#finish(error instanceof Error ? error : reason),
    )
  }

  #finish(reason: ExitReason): undefined {
    if (this.dead) return
    if (!isCleanExit(reason)) this.kind.actors.crashed(this, reason)
    this.kind.actors.table.die(this, reason)
  }

  /** Goes on when `wait` is settled, as code of this process, unless it has died meanwhile. Never rejects. */
  #until(
    wait: PromiseLike<unknown>,
    then: (value: unknown) => Wait,
    fail: (error: unknown) => Wait,
  ): Promise<void> {
    const { scheduler } = this.kind.actors.table
    const go =
      (next: (value: unknown) => Wait) =>
      (value: unknown): Wait =>
        this.dead ? undefined : scheduler.as(this, () => next(value))
    return Promise.resolve(wait).then(go(then), go(fail))
  }
}

/** `why` for a reply that cannot cross to its caller: then the value cannot stand in the reason either. */
const badReturn = (value: unknown, why?: unknown): ExitReason =>
  why === undefined
    ? { bad_return_value: value }
    : { bad_return_value: show(value), why: why instanceof Error ? why.message : show(why) }

export const payloadError = (error: unknown): TroupeError =>
  error instanceof TroupeError
    ? error
    : new TroupeError('ERR_PAYLOAD', `the payload cannot be read: ${show(error)}`)

export function unknownTag(kind: ActorKind, what: 'call' | 'cast', tag: string): TroupeError {
  const known = [...(what === 'call' ? kind.calls : kind.casts).keys()]
  const list = known.length === 0 ? 'none' : known.map(show).join(', ')
  return new TroupeError('ERR_UNKNOWN_TAG', `${kind.def.name} has no ${what} ${show(tag)}; it has ${list}`, {
    actor: kind.def.name,
    tag,
    known,
  })
}
