/**
 * What the runtime asks processes for, as requests that lie in their mailboxes like all others. Their tags begin with
 * `$`, which no tag of a user does, so they come from other nodes by the same way.
 */
import { show, TroupeError } from '../base/errors.js'
import type { Pid } from '../base/ids.js'
import { Request } from '../process/mail.js'
import type { Debugged } from '../process/process.js'
import { STOP } from './refs.js'
import { isThenable } from './replies.js'

export const STATE = '$state'
export const REPLACE = '$replace'
export const SUSPEND = '$suspend'
export const RESUME = '$resume'

/** True for requests that the process itself, not its user's code, answers. */
export const isSystemTag = (tag: string): boolean => tag.charCodeAt(0) === 36

/** A request of a debugger, which is no message: it neither ends a `ctx.timeout` nor is it traced. */
export const isInquiry = (mail: unknown): mail is Request =>
  mail instanceof Request && isSystemTag(mail.tag) && mail.tag !== STOP

type Settle = (value: unknown) => void

/**
 * A question of this node to one of its own processes: what it says and hears is not copied, because functions cross
 * no codec, and the state itself is what is asked for.
 */
export class Inquiry extends Request {
  readonly promise: Promise<unknown>
  readonly #done: () => void
  #settle: { readonly resolve: Settle; readonly reject: Settle } | undefined

  /** `done` runs when it is settled, however. */
  constructor(tag: string, payload: unknown, caller: Pid, done: () => void) {
    super(tag, payload, caller)
    this.#done = done
    this.promise = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
    })
  }

  get settled(): boolean {
    return this.#settle === undefined
  }

  reply(value: unknown): void {
    this.#take()?.resolve(value)
  }

  fail(error: unknown): void {
    this.#take()?.reject(error)
  }

  #take(): { readonly resolve: Settle; readonly reject: Settle } | undefined {
    const settle = this.#settle
    this.#settle = undefined
    if (settle !== undefined) this.#done()
    return settle
  }
}

/** A process, as far as system requests are concerned. */
interface Asked {
  debugged(): Debugged
  /** Undefined: it has no state. `shown` is what `inspect` makes of it. */
  readonly stateful: { readonly process: { state: unknown }; shown(): unknown } | undefined
  unknown(): TroupeError
}

/** Answers a system request other than `STOP`. Never throws, and never harms the process. */
export function answer(request: Request, payload: unknown, asked: Asked): void {
  if (request.settled) return
  const { stateful } = asked
  try {
    if (request.tag === SUSPEND || request.tag === RESUME) {
      asked.debugged().suspended = request.tag === SUSPEND
      request.reply(undefined)
    } else if (stateful !== undefined && request.tag === STATE) {
      request.reply(
        request instanceof Inquiry && payload === 'raw' ? stateful.process.state : stateful.shown(),
      )
    } else if (stateful !== undefined && request.tag === REPLACE) {
      stateful.process.state = replaced(stateful.process.state, payload)
      request.reply(undefined)
    } else request.fail(asked.unknown())
  } catch (error) {
    // Of a local caller it was the function that threw; to another node only our own errors go.
    request.fail(error as TroupeError)
  }
}

function replaced(state: unknown, change: unknown): unknown {
  const given: unknown = typeof change === 'function' ? change(state) : change
  const next = given === undefined ? state : given
  if (typeof next === 'object' && next !== null && !isThenable(next)) {
    // A supervisor or a machine cannot go on with anything but its own kind.
    if (Object.getPrototypeOf(next) === Object.getPrototypeOf(state)) return next
    throw new TroupeError(
      'ERR_PAYLOAD',
      `replaceState: expected ${show(state)}, as the state is, got ${show(next)}`,
    )
  }
  throw new TroupeError(
    'ERR_PAYLOAD',
    `replaceState: expected an object, got ${isThenable(next) ? 'a promise' : show(next)}`,
  )
}
