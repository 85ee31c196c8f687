/**
 * The requests that processes of this node wait for. The reply settles the caller's promise directly; there is no
 * reply message and no second mailbox.
 *
 * No timer per request: requests with the same timeout stand in one list, oldest first, which is the order in which
 * they expire. One timer watches the head of each list. It is not moved when requests come and go; when it fires it
 * expires what is due and is set for the new head.
 *
 *   5,000 ms:  [head] a ⇄ b ⇄ c ⇄ d [tail]        one timer, at a's deadline or earlier
 *
 * A settled request leaves its list at once, so that short calls die young in the garbage collector.
 */
import { show, TroupeError } from '../base/errors.js'
import type { Pid } from '../base/ids.js'
import { TIMEOUT_LISTS_MAX } from '../base/limits.js'
import { Encoded, type NameOnNode, Request } from './mail.js'
import type { Process } from './process.js'
import type { Remote } from './remote.js'
import type { TimerHeap, Timing } from './timer-heap.js'

type Resolve = (value: unknown) => void
type Reject = (error: unknown) => void
/** Applied to what passes between processes of this node: the codec or a deep freeze, for tests. */
export type CopyLocal = (value: unknown, where: string) => unknown

class DeadlineList {
  readonly timeoutMs: number
  head: LocalRequest | undefined = undefined
  tail: LocalRequest | undefined = undefined
  timing: Timing | undefined = undefined

  constructor(timeoutMs: number) {
    this.timeoutMs = timeoutMs
  }
}

export interface AskOptions {
  /** Who asks; undefined for code outside of processes. */
  readonly asker: Process | undefined
  readonly caller: Pid
  readonly to: Pid | NameOnNode
  readonly tag: string
  readonly payload: unknown
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
}

export class LocalRequest extends Request {
  readonly promise: Promise<unknown>
  /** Undefined once settled. */
  owner: PendingCalls | undefined
  readonly asker: Process | undefined
  readonly to: Pid | NameOnNode
  readonly timeoutMs: number
  deadlineMs = 0
  list: DeadlineList | undefined = undefined
  older: LocalRequest | undefined = undefined
  newer: LocalRequest | undefined = undefined
  /** Neighbours in the list of all that `asker` waits for. */
  askedBefore: LocalRequest | undefined = undefined
  askedAfter: LocalRequest | undefined = undefined
  /** Set when the request went to another node. */
  remote: Remote | undefined = undefined
  /** Undoes what only few requests have: an abort listener, a timer of its own. */
  undo: (() => void) | undefined = undefined
  readonly resolve: Resolve
  readonly reject: Reject

  constructor(
    owner: PendingCalls,
    ask: AskOptions,
    promise: Promise<unknown>,
    resolve: Resolve,
    reject: Reject,
  ) {
    super(ask.tag, ask.payload, ask.caller)
    this.owner = owner
    this.asker = ask.asker
    this.to = ask.to
    this.timeoutMs = ask.timeoutMs
    this.promise = promise
    this.resolve = resolve
    this.reject = reject
  }

  get settled(): boolean {
    return this.owner === undefined
  }

  reply(value: unknown): void {
    const owner = this.owner
    if (owner === undefined) return
    if (value instanceof Encoded) {
      this.#replyEncoded(owner, value)
      return
    }
    const copied = owner.copyLocal === undefined ? value : owner.copyLocal(value, 'reply')
    owner.forget(this)
    this.resolve(copied)
  }

  fail(error: unknown): void {
    const owner = this.owner
    if (owner === undefined) return
    owner.forget(this)
    this.reject(error)
  }

  #replyEncoded(owner: PendingCalls, value: Encoded): void {
    owner.forget(this)
    try {
      this.resolve(value.open())
    } catch (error) {
      this.reject(error)
    }
  }
}

export class PendingCalls {
  readonly copyLocal: CopyLocal | undefined
  readonly #timers: TimerHeap
  readonly #max: number
  readonly #lists = new Map<number, DeadlineList>()
  /** Those with a timer of their own. */
  readonly #unlisted = new Set<LocalRequest>()
  #lastList: DeadlineList | undefined = undefined
  #count = 0
  #resolve: Resolve | undefined = undefined
  #reject: Reject | undefined = undefined
  timedOut = 0

  constructor(timers: TimerHeap, max: number, copyLocal: CopyLocal | undefined) {
    this.#timers = timers
    this.#max = max
    this.copyLocal = copyLocal
  }

  get size(): number {
    return this.#count
  }

  /** Waiting requests that have a timer of their own. */
  get unlisted(): number {
    return this.#unlisted.size
  }

  get full(): boolean {
    return this.#count >= this.#max
  }

  /** A request that waits; the caller delivers it. `timeoutMs` of 0 never comes here. */
  open(ask: AskOptions): LocalRequest {
    const promise = new Promise(this.#capture)
    const request = new LocalRequest(this, ask, promise, this.#resolve as Resolve, this.#reject as Reject)
    this.#count += 1
    this.#expireLater(request)
    if (ask.asker !== undefined) noteAsked(ask.asker, request)
    if (ask.signal !== undefined) this.#listen(request, ask.signal)
    return request
  }

  /** Takes a request out of all lists: nobody waits for it any more. */
  forget(request: LocalRequest): void {
    request.owner = undefined
    this.#count -= 1
    if (request.list !== undefined) unlist(request.list, request)
    if (request.asker !== undefined) forgetAsked(request.asker, request)
    if (request.undo !== undefined) request.undo()
  }

  /** The node is at its end: whoever still waits is told so, oldest first within each timeout. */
  failAll(error: unknown): void {
    for (const list of this.#lists.values()) while (list.head !== undefined) list.head.fail(error)
    for (const request of this.#unlisted) request.fail(error)
  }

  /** The caller waits no longer; a late reply is dropped. */
  abandon(request: LocalRequest, error: unknown): void {
    if (request.settled) return
    request.remote?.abandon(request)
    request.fail(error)
  }

  /** `asker` is dead. What it left unawaited must not become an unhandled rejection of the whole program. */
  abandonAllOf(asker: Process): void {
    for (let request = asker.ties?.asked; request !== undefined; request = asker.ties?.asked) {
      request.promise.catch(ignore)
      const why = `${asker.pid} is dead and waits no longer for ${show(request.tag)} from ${nameOf(request.to)}`
      this.abandon(request, new TroupeError('ERR_DEAD', why, { pid: asker.pid, tag: request.tag }))
    }
  }

  readonly #capture = (resolve: Resolve, reject: Reject): void => {
    this.#resolve = resolve
    this.#reject = reject
  }

  #expireLater(request: LocalRequest): void {
    request.deadlineMs = this.#timers.now() + request.timeoutMs
    const list =
      this.#lastList?.timeoutMs === request.timeoutMs ? this.#lastList : this.#listOf(request.timeoutMs)
    if (list === undefined) {
      const timing = this.#timers.at(request.deadlineMs, () => this.#timeOut(request))
      this.#unlisted.add(request)
      request.undo = () => {
        this.#timers.cancel(timing)
        this.#unlisted.delete(request)
      }
      return
    }
    request.list = list
    request.older = list.tail
    if (list.tail === undefined) list.head = request
    else list.tail.newer = request
    list.tail = request
    if (list.timing === undefined) {
      list.timing = this.#timers.at(request.deadlineMs, timing => this.#expire(list, timing))
    }
  }

  #listOf(timeoutMs: number): DeadlineList | undefined {
    const known = this.#lists.get(timeoutMs)
    if (known !== undefined) {
      this.#lastList = known
      return known
    }
    if (this.#lists.size >= TIMEOUT_LISTS_MAX) return undefined
    const list = new DeadlineList(timeoutMs)
    this.#lists.set(timeoutMs, list)
    return list
  }

  #expire(list: DeadlineList, timing: Timing): void {
    const nowMs = this.#timers.now()
    for (let head = list.head; head !== undefined && head.deadlineMs <= nowMs; head = list.head)
      this.#timeOut(head)
    if (list.head !== undefined) {
      this.#timers.again(timing, list.head.deadlineMs)
      return
    }
    list.timing = undefined
    this.#lists.delete(list.timeoutMs)
    if (this.#lastList === list) this.#lastList = undefined
  }

  #timeOut(request: LocalRequest): void {
    this.timedOut += 1
    this.abandon(request, timeoutError(request))
  }

  #listen(request: LocalRequest, signal: AbortSignal): void {
    const aborted = (): void => this.abandon(request, signal.reason)
    signal.addEventListener('abort', aborted)
    const undo = request.undo
    request.undo = () => {
      undo?.()
      signal.removeEventListener('abort', aborted)
    }
  }
}

const ignore = (): void => {}

export const nameOf = (to: Pid | NameOnNode | string): string =>
  typeof to === 'string' ? show(to) : 'name' in to ? `${show(to.name)} on ${to.node}` : to.toString()

export const timeoutError = (request: {
  to: Pid | NameOnNode
  tag: string
  timeoutMs: number
}): TroupeError =>
  new TroupeError(
    'ERR_TIMEOUT',
    `no reply to ${show(request.tag)} from ${nameOf(request.to)} within ${request.timeoutMs} ms`,
    { to: request.to, tag: request.tag, timeoutMs: request.timeoutMs, outcome: 'unknown' },
  )

function unlist(list: DeadlineList, request: LocalRequest): void {
  if (request.older === undefined) list.head = request.newer
  else request.older.newer = request.newer
  if (request.newer === undefined) list.tail = request.older
  else request.newer.older = request.older
  request.older = undefined
  request.newer = undefined
  request.list = undefined
}

function noteAsked(asker: Process, request: LocalRequest): void {
  const ties = asker.tied()
  request.askedAfter = ties.asked
  if (ties.asked !== undefined) ties.asked.askedBefore = request
  ties.asked = request
}

function forgetAsked(asker: Process, request: LocalRequest): void {
  const ties = asker.tied()
  if (request.askedBefore === undefined) ties.asked = request.askedAfter
  else request.askedBefore.askedAfter = request.askedAfter
  if (request.askedAfter !== undefined) request.askedAfter.askedBefore = request.askedBefore
  request.askedBefore = undefined
  request.askedAfter = undefined
}
