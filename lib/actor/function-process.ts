/**
 * A process that is one async function with selective receive. Mail stays in the mailbox until a `receive` takes it;
 * predicates run in this process's own turn, never in the sender's. It ends with `'normal'` when the function returns.
 */
import { TroupeError } from '../base/errors.js'
import type { Pid } from '../base/ids.js'
import { checkOptions, expect, isSignal as isAbortSignal, isFunction, isMs } from '../base/options.js'
import { type ExitReason, isCleanExit, thrownReason } from '../base/reasons.js'
import { Cast, Encoded, Request } from '../process/mail.js'
import { deadError } from '../process/monitors.js'
import { bytesOf, Process } from '../process/process.js'
import type { Timing } from '../process/timer-heap.js'
import type { Actors } from './actors.js'
import type { ReceiveOptions, Self } from './api.js'
import { STOP } from './refs.js'
import { Promises, ReplyTo } from './replies.js'
import { isPid, ProcessSpeaker } from './speaker.js'
import { answer, isSystemTag } from './system-requests.js'

/** Unwinds the function of a process that exits by `self.exit(reason)`. */
export class Unwind {
  readonly reason: ExitReason

  constructor(reason: ExitReason) {
    this.reason = reason
  }
}

type Match = (message: unknown) => boolean

interface Waiter {
  readonly match: Match | undefined
  readonly resolve: (message: unknown) => void
  readonly reject: (error: unknown) => void
  /** Mail before this index has been looked at. */
  scanned: number
  timing: Timing | undefined
  undo: (() => void) | undefined
}

/** What a piece of mail looks like to the function; undefined: it could not be read. */
interface Opened {
  readonly message: unknown
}

export class FunctionProcess extends Process {
  readonly actors: Actors
  readonly #fn: (self: Self) => unknown
  #self: FunctionSelf | undefined = undefined
  #waiter: Waiter | undefined = undefined
  readonly #promises = new Promises()
  /** Who spawned it with a link. */
  parent: Pid | undefined = undefined
  /** What it is called among definitions, where it runs more than a function of the moment. */
  readonly definition: string | undefined
  /** The message that it took last. */
  last: unknown = undefined

  constructor(pid: Pid, actors: Actors, fn: (self: Self) => unknown, definition?: string) {
    super(pid)
    this.actors = actors
    this.#fn = fn
    this.definition = definition
  }

  override get hasMail(): boolean {
    return false // what no `receive` waits for stays in the mailbox; new mail wakes
  }

  /** Whether it waits for mail. */
  get receiving(): boolean {
    return this.#waiter !== undefined
  }

  override heeds(mail: unknown): boolean {
    return mail instanceof Request && isSystemTag(mail.tag)
  }

  begin(): undefined {
    this.#self = new FunctionSelf(this)
    void this.#runOn(this.#self)
  }

  receive(): undefined {}

  /** Looks for what the function waits for. */
  override step(): number {
    if (!this.started) {
      this.started = true
      this.handled = 1
      this.begin()
      return 1
    }
    const waiter = this.#waiter
    if (waiter !== undefined) this.#look(waiter)
    return 1
  }

  ended(reason: ExitReason): void {
    this.#promises.failAll(this.pid, reason)
    this.#settle(waiter => waiter.reject(deadError(this.pid)))
    this.#self?.ended()
  }

  wait(match: Match | undefined, options: ReceiveOptions | undefined): Promise<unknown> {
    if (this.dead) return Promise.reject(deadError(this.pid))
    if (this.#waiter !== undefined) {
      return Promise.reject(new TypeError('receive: expected to be awaited before it is called again'))
    }
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { match, resolve, reject, scanned: 0, timing: undefined, undo: undefined }
      this.#waiter = waiter
      this.#look(waiter)
      if (this.#waiter === waiter) this.#limit(waiter, options)
    })
  }

  #limit(waiter: Waiter, options: ReceiveOptions | undefined): void {
    const { timeoutMs, signal } = options ?? {}
    if (timeoutMs === 0) this.#timeOut(0)
    else if (timeoutMs !== undefined) {
      waiter.timing = this.actors.table.timers.after(timeoutMs, () => this.#timeOut(timeoutMs))
    }
    if (signal === undefined || this.#waiter !== waiter) return
    const aborted = (): void => this.#settle(w => w.reject(signal.reason))
    if (signal.aborted) {
      aborted()
      return
    }
    signal.addEventListener('abort', aborted)
    waiter.undo = () => signal.removeEventListener('abort', aborted)
  }

  #timeOut(timeoutMs: number): void {
    const error = new TroupeError('ERR_TIMEOUT', `receive: no message that fits within ${timeoutMs} ms`, {
      timeoutMs,
    })
    this.#settle(waiter => waiter.reject(error))
  }

  #look(waiter: Waiter): void {
    const box = this.mailbox
    if (box === undefined) return
    // A mailbox that drops its oldest moves under the index, and is looked through from its start.
    let index = this.actors.table.policy === 'drop-old' ? 0 : waiter.scanned
    while (index < box.length && !this.dead) {
      const { suspended } = this
      const mail = box.at(index)
      if (this.heeds(mail)) {
        // Before it is answered: whoever dies of it fails what its mailbox holds.
        this.#take(index)
        this.#system(mail as Request)
        if (suspended && !this.suspended) index = 0
        continue
      }
      if (suspended) {
        index += 1
        continue
      }
      const opened = this.#open(mail)
      if (opened === undefined) {
        this.#take(index)
        continue
      }
      if (this.#fits(waiter, opened.message)) {
        this.#take(index)
        this.last = mail
        this.handled += 1
        this.ties?.debugged?.taken(mail, box.length)
        if (mail instanceof Request) this.#promises.add(mail)
        this.#settle(w => w.resolve(opened.message))
        return
      }
      if (this.#waiter !== waiter) return
      index += 1
    }
    waiter.scanned = index
  }

  #fits(waiter: Waiter, message: unknown): boolean {
    try {
      return waiter.match === undefined || waiter.match(message) === true
    } catch (error) {
      this.#settle(w => w.reject(error))
      return false
    }
  }

  #take(index: number): void {
    const mail = this.mailbox?.takeAt(index)
    if (this.mailBytes !== 0) this.mailBytes -= bytesOf(mail)
  }

  /** Undefined: it could not be read, and is to be taken out. */
  #open(mail: unknown): Opened | undefined {
    try {
      if (mail instanceof Encoded) return { message: mail.open() }
      if (mail instanceof Cast) {
        return { message: { type: 'cast', tag: mail.tag, payload: opened(mail.payload) } }
      }
      if (mail instanceof Request) return this.#openRequest(mail)
    } catch (error) {
      if (mail instanceof Request) mail.fail(error as TroupeError)
      else this.actors.table.deadLetter(this.pid, undefined, 'bytes that could not be decoded')
      return undefined
    }
    return { message: mail }
  }

  #openRequest(request: Request): Opened {
    const payload = opened(request.payload)
    const from = new ReplyTo(request, this.#promises)
    return { message: { type: 'call', tag: request.tag, payload, from } }
  }

  #system(request: Request): void {
    let payload: unknown
    try {
      payload = opened(request.payload)
    } catch (error) {
      request.fail(error as TroupeError)
      return
    }
    if (request.tag === STOP) {
      if (!request.settled) this.#stop(request, payload)
      return
    }
    const unknown = (): TroupeError =>
      new TroupeError('ERR_UNKNOWN_TAG', `${this.pid} is a process function, which has no state`, {
        pid: this.pid,
        tag: request.tag,
      })
    answer(request, payload, { debugged: () => this.actors.debugged(this), stateful: undefined, unknown })
  }

  #stop(request: Request, reason: ExitReason): void {
    this.actors.table.die(this, reason)
    request.reply(undefined)
  }

  #settle(how: (waiter: Waiter) => void): void {
    const waiter = this.#waiter
    if (waiter === undefined) return
    this.#waiter = undefined
    if (waiter.timing !== undefined) this.actors.table.timers.cancel(waiter.timing)
    waiter.undo?.()
    how(waiter)
  }

  async #runOn(self: FunctionSelf): Promise<void> {
    let reason: ExitReason = 'normal'
    try {
      await this.#fn(self)
    } catch (error) {
      reason = error instanceof Unwind ? error.reason : thrownReason(error)
    }
    if (this.dead) return
    if (!isCleanExit(reason) && !this.told(reason)) this.actors.crashed(this, reason)
    this.actors.table.die(this, reason)
  }

  /** Whether somebody knows already that it ends like this, so that nobody needs to be told by a report. */
  protected told(_reason: ExitReason): boolean {
    return false
  }
}

const opened = (payload: unknown): unknown => (payload instanceof Encoded ? payload.open() : payload)

const RECEIVE = { timeoutMs: isMs(), signal: isAbortSignal }

class FunctionSelf extends ProcessSpeaker<FunctionProcess> implements Self {
  constructor(process: FunctionProcess) {
    super(process.actors, process)
  }

  receive(match?: Match, options?: ReceiveOptions): Promise<never> {
    if (match !== undefined) expect('receive: match', match, isFunction)
    checkOptions('receive', options, RECEIVE)
    return this.process.wait(match, options) as Promise<never>
  }

  override exit(reason: ExitReason): never
  override exit(pid: Pid, reason: ExitReason): void
  override exit(...given: [reason: ExitReason] | [pid: Pid, reason: ExitReason]): void {
    if (given.length < 2) throw new Unwind(given[0])
    expect('exit: pid', given[0], isPid)
    super.exit(given[0] as Pid, given[1])
  }
}
