/**
 * One machine, running as an actor: the shell around `step.ts`. A piece of mail is one turn of the actor, in which the
 * machine also handles all that it has given itself; only then is the next piece taken.
 *
 *   call, cast, info ─▶ take ─▶ run ─▶ conclude ─▶ enter? ─▶ drive: own events until there are none ─▶ mailbox
 *
 * The actor's state is `{ state, data }`, which is what crash reports and inspection show, and what may be replaced from
 * outside between two events. All else stands beside it: a call that is postponed or promised is known to the actor as a
 * promise, so its caller is told when the machine ends; a timer ends with the process.
 */

import type { ActorProcess } from '../actor/actor-process.js'
import { ActorContext } from '../actor/context.js'
import type { ActorSpec } from '../actor/define.js'
import { isThenable, LATER } from '../actor/replies.js'
import { show } from '../base/errors.js'
import { isObject } from '../base/options.js'
import type { ExitReason } from '../base/reasons.js'
import { type Request, TimerSignal } from '../process/mail.js'
import type { Timing } from '../process/timer-heap.js'
import { enterOf, type Plan, type Route, routeOf, tagsOf } from './plan.js'
import * as step from './step.js'
import type { Rules } from './verdict.js'

/** Own events in a row before other processes have a turn. */
const BATCH = 1_024

type Wait = Promise<void> | undefined
type Tagged = Readonly<Record<string, unknown>>

interface Situation {
  readonly state: string
  readonly data: unknown
}

/** What the machine's own timers send. */
class Expiry {
  readonly key: string
  readonly serial: number

  constructor(key: string, serial: number) {
    this.key = key
    this.serial = serial
  }
}

/** What handlers are given. */
class RunningContext extends ActorContext {
  get state(): string | undefined {
    const running = this.process.effects?.behaviour
    return running instanceof Running ? running.state : undefined
  }

  override continue(): never {
    throw new TypeError('ctx.continue: expected none in a machine, which has `next` in its results')
  }

  override timeout(): never {
    throw new TypeError('ctx.timeout: expected none in a machine, which has `eventTimeout` in its results')
  }
}

/** The callbacks of the actor that a machine is. */
export function actorSpecOf(plan: Plan): ActorSpec<unknown, object, Tagged, Tagged, Tagged> {
  const { terminate, inspect } = plan
  const rules = {
    states: [...plan.states.keys()],
    internal: tagsOf(plan, 'internal'),
    timeouts: tagsOf(plan, 'timeout'),
  }
  const table = (kind: 'call' | 'cast') =>
    Object.fromEntries(
      tagsOf(plan, kind).map(tag => {
        const key = `${kind} ${tag}`
        return [tag, (_: unknown, payload: unknown, ctx: unknown) => runningOf(ctx)[kind](key, tag, payload)]
      }),
    )
  return {
    init: (args, ctx) => {
      const process = ActorContext.processOf(ctx)
      process.context = new RunningContext(process)
      return new Running(plan, rules, process).init(args) as object // the actor refuses anything else
    },
    calls: table('call'),
    casts: table('cast'),
    info: (_, signal, ctx) => runningOf(ctx).info(signal),
    continue: (_, __, ctx) => runningOf(ctx).begin(),
    ...(terminate && {
      terminate: (situation, reason) => {
        const { state, data } = situation as Situation
        return terminate(data, reason, state)
      },
    }),
    inspect: situation => {
      const { state, data } = situation as Situation
      return { state, data: inspect === undefined ? data : inspect(data) }
    },
  }
}

function runningOf(ctx: unknown): Running {
  return ActorContext.processOf(ctx).effectsNow().behaviour as Running
}

class Running {
  readonly #plan: Plan
  readonly #rules: Rules
  readonly #process: ActorProcess
  readonly #timings = new Map<string, Timing>()
  #core = step.START
  #data: unknown
  /** As it was last shown to the actor; another one there means that it was replaced. */
  #situation: Situation | undefined

  constructor(plan: Plan, rules: Omit<Rules, 'eventsMax'>, process: ActorProcess) {
    this.#plan = plan
    this.#process = process
    this.#rules = { ...rules, eventsMax: process.kind.actors.table.limits.machineEventsMax }
  }

  get state(): string {
    return this.#core.state
  }

  // Starting: `init` and `initial` are the actor's init; `enter` and what was inserted come in its `continue`.

  init(args: unknown): unknown {
    const data = this.#plan.init(args, this.#process.context)
    return isThenable(data) ? this.#later(data, value => this.#initial(value)) : this.#initial(data)
  }

  #initial(data: unknown): unknown {
    if (this.#refuses || isObject(data) !== undefined) return data
    this.#data = data
    const result = this.#plan.initial.run(data, this.#process.context, undefined)
    return isThenable(result) ? this.#later(result, value => this.#began(value)) : this.#began(result)
  }

  #began(result: unknown): unknown {
    if (this.#refuses) return undefined
    const effects = this.#process.effectsNow()
    effects.behaviour = this
    effects.next = { value: undefined }
    this.#carryOut(step.conclude(this.#core, undefined, result, this.#rules, this.#plan.initial.to))
    return this.#situation
  }

  get #refuses(): boolean {
    const { effects } = this.#process
    return effects?.ignore === true || effects?.stop !== undefined
  }

  begin(): Wait {
    return this.#then(this.#enter(this.#core.state), () => this.#drive())
  }

  // Mail.

  call(key: string, tag: string, payload: unknown): unknown {
    const request = this.#process.mail as Request
    this.#process.effectsNow().promises.add(request)
    const wait = this.#take({ key, tag, payload, request })
    return wait === undefined ? LATER : wait.then(() => LATER)
  }

  cast(key: string, tag: string, payload: unknown): Wait {
    return this.#take({ key, tag, payload, request: undefined })
  }

  info(signal: unknown): Wait {
    if (!(signal instanceof TimerSignal) || !(signal.message instanceof Expiry)) {
      return this.#take({ key: 'info', tag: undefined, payload: signal, request: undefined })
    }
    this.#adopt()
    const taken = step.expire(this.#core, signal.message.key, signal.message.serial)
    return taken === undefined ? undefined : this.#handle(taken)
  }

  #take(event: step.MachineEvent): Wait {
    this.#adopt()
    const { core, effects } = step.arrive(this.#core)
    return this.#handle({ core, effects, event })
  }

  #handle(taken: step.Taken): Wait {
    return this.#then(this.#run(taken), () => this.#drive())
  }

  // Events, one at a time.

  #drive(): Wait {
    for (let n = 0; !this.#over; n++) {
      if (n === BATCH) return this.#then(this.#turn(), () => this.#drive())
      const taken = step.next(this.#core)
      if (taken === undefined) return undefined
      const wait = this.#run(taken)
      if (wait !== undefined) return this.#then(wait, () => this.#drive())
    }
    return undefined
  }

  #run(taken: step.Taken): Wait {
    const { event } = taken
    this.#carryOut(taken)
    this.#process.mail = event.request ?? event
    const route = routeOf(this.#plan, this.#core.state, event.key)
    if (route === undefined) return this.#unhandled(event)
    const result = route.run(this.#data, event.payload, this.#process.context)
    return isThenable(result)
      ? this.#later(result, value => this.#conclude(event, route, value))
      : this.#conclude(event, route, result)
  }

  #conclude(event: step.MachineEvent, route: Route, result: unknown): Wait {
    if (this.#over) return undefined
    const done = step.conclude(this.#core, event, result, this.#rules, route.to)
    this.#carryOut(done)
    return done.from === undefined || this.#over ? undefined : this.#enter(done.from)
  }

  #enter(from: string): Wait {
    const result = enterOf(this.#plan, this.#core.state)?.(this.#data, from, this.#process.context)
    return isThenable(result) ? this.#later(result, value => this.#entered(value)) : this.#entered(result)
  }

  #entered(result: unknown): undefined {
    if (!this.#over) this.#carryOut(step.entered(this.#core, result, this.#rules))
  }

  /** Mail that nobody asked for may come at any time; an event that comes at a wrong one is a mistake. */
  #unhandled({ key, payload }: step.MachineEvent): undefined {
    const { state } = this.#core
    if (key !== 'info') {
      const handled = [
        ...(this.#plan.states.get(state)?.routes.keys() ?? []),
        ...this.#plan.any.routes.keys(),
      ]
      this.#stop({ function_clause: { state, event: key, handled } })
    } else if ((payload as { type?: unknown }).type === 'message') {
      const { message } = payload as { readonly message: unknown }
      this.#table.deadLetter(this.#process.pid, message, `the machine has no info in state ${show(state)}`)
    }
  }

  /** Dead, or about to end. */
  get #over(): boolean {
    return this.#process.dead || this.#process.effects?.stop !== undefined
  }

  // Effects.

  #carryOut({ core, effects }: step.Step): void {
    this.#core = core
    for (const effect of effects) this.#perform(effect)
    const shown = this.#situation
    if (shown?.state === core.state && shown.data === this.#data) return
    this.#situation = { state: core.state, data: this.#data }
    if (this.#process.starter === undefined) this.#process.state = this.#situation
  }

  #perform(effect: step.Effect): void {
    switch (effect.type) {
      case 'data':
        this.#data = effect.data
        return
      case 'reply':
        this.#reply(effect.request, effect.value)
        return
      case 'arm':
        this.#arm(effect.key, effect.ms, effect.serial)
        return
      case 'disarm':
        this.#disarm(effect.key)
        return
      case 'stop':
        this.#stop(effect.reason)
        return
      default:
        effect satisfies never
    }
  }

  #stop(reason: ExitReason): void {
    this.#process.effectsNow().stop ??= { reason, mail: this.#process.mail }
  }

  #reply(request: Request, value: unknown): void {
    try {
      request.reply(value)
      this.#process.effects?.promises.forget(request)
    } catch (error) {
      const why = error instanceof Error ? error.message : show(error)
      this.#stop({ bad_action_from_state_function: { reply: show(value) }, state: this.#core.state, why })
    }
  }

  /** A timer tells: no limit of the mailbox refuses it. It ends with the process. */
  #arm(key: string, ms: number, serial: number): void {
    this.#disarm(key)
    const table = this.#table
    const ties = this.#process.tied()
    const timing = table.timers.after(ms, () => {
      this.#forget(key, timing)
      table.tell(this.#process, new TimerSignal(table.ids.newRef(), new Expiry(key, serial)))
    })
    if (ties.timers === undefined) ties.timers = new Set()
    ties.timers.add(timing)
    this.#timings.set(key, timing)
  }

  #disarm(key: string): void {
    const timing = this.#timings.get(key)
    if (timing === undefined) return
    this.#table.timers.cancel(timing)
    this.#forget(key, timing)
  }

  #forget(key: string, timing: Timing): void {
    this.#timings.delete(key)
    this.#process.ties?.timers?.delete(timing)
  }

  /** Takes over a state or data that were put in the place of ours. */
  #adopt(): void {
    const now = this.#process.state as Situation
    if (now === this.#situation) return
    this.#core = { ...this.#core, state: now.state }
    this.#data = now.data
    this.#situation = now
  }

  // Waiting.

  #then(wait: Wait, then: () => Wait): Wait {
    return wait === undefined ? then() : this.#later(wait, then)
  }

  /** Goes on as code of this process, unless it has died meanwhile. */
  #later<V, R>(wait: PromiseLike<V>, then: (value: V) => R | Promise<R>): Promise<R> {
    const go = (value: V): R | Promise<R> | undefined =>
      this.#process.dead ? undefined : this.#table.scheduler.as(this.#process, () => then(value))
    return Promise.resolve(wait).then(go) as Promise<R>
  }

  #turn(): Promise<void> {
    return new Promise(resolve => this.#process.kind.actors.loop.later(resolve))
  }

  get #table(): ActorProcess['kind']['actors']['table'] {
    return this.#process.kind.actors.table
  }
}
