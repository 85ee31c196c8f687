/**
 * `node.debug`: see `debug.ts` for what it promises.
 *
 *   getState, replaceState,     Inquiry ──▶ mailbox, past its limits ──▶ answered by the process, in its turn
 *   suspend, resume             of another node: a request like any call
 *
 *   suspended, traced           `Probing` hangs on the process and is asked before it takes mail; without it there is
 *                               one glance at a field per message
 *
 * A suspended process is idle, whatever its mailbox holds. New mail wakes it all the same, so that what it heeds even
 * then (these requests, `ref.stop`, its parent's exit) is brought to the front and taken.
 */
import { show, TroupeError } from '../base/errors.js'
import { Pid } from '../base/ids.js'
import { TRACE_EVENTS, TRACE_EVENTS_MAX, TRACES_MAX } from '../base/limits.js'
import {
  checkOptions,
  isBoolean,
  isInteger,
  isSignal,
  timeoutOf,
  WAIT_CHECKS,
  type WaitOptions,
} from '../base/options.js'
import type { ExitReason } from '../base/reasons.js'
import { RingQueue } from '../base/ring-queue.js'
import { type Debugged, Phase, type Process } from '../process/process.js'
import { noprocError } from '../process/process-table.js'
import { ActorProcess } from './actor-process.js'
import type { Actors } from './actors.js'
import type {
  Debug,
  Inspected,
  ProcessDetails,
  ProcessStatus,
  StateOptions,
  Trace,
  TraceEvent,
  TraceOptions,
} from './debug.js'
import { COUNTED_MAX, estimateBytes } from './estimate.js'
import { FunctionProcess } from './function-process.js'
import { contentOf, mailShown } from './shown.js'
import { isAnyRef } from './speaker.js'
import { Inquiry, isInquiry, REPLACE, RESUME, STATE, SUSPEND } from './system-requests.js'

const STATE_CHECKS = { ...WAIT_CHECKS, raw: isBoolean }
const TRACE_CHECKS = { bufferMax: isInteger(1, TRACE_EVENTS_MAX), signal: isSignal }

export class Debugging implements Debug {
  readonly #actors: Actors
  /** Beyond those that the process knows itself. */
  readonly #namesOf: (pid: Pid) => readonly string[]

  constructor(actors: Actors, namesOf: (pid: Pid) => readonly string[]) {
    this.#actors = actors
    this.#namesOf = namesOf
  }

  async getState(target: Inspected, options?: StateOptions): Promise<unknown> {
    checkOptions('getState', options, STATE_CHECKS)
    const { raw, ...wait } = options ?? {}
    if (raw === true) this.#here('getState: raw', target)
    return this.#ask('getState', target, STATE, raw === true ? 'raw' : undefined, wait)
  }

  async replaceState(target: Inspected, change: unknown, options?: WaitOptions): Promise<void> {
    checkOptions('replaceState', options, WAIT_CHECKS)
    if (typeof change === 'function') this.#here('replaceState: a function', target)
    else if (typeof change !== 'object' || change === null)
      throw new TypeError(`replaceState: expected an object or a function, got ${show(change)}`)
    await this.#ask('replaceState', target, REPLACE, change, options)
  }

  async suspend(target: Inspected, options?: WaitOptions): Promise<void> {
    checkOptions('suspend', options, WAIT_CHECKS)
    await this.#ask('suspend', target, SUSPEND, undefined, options)
  }

  async resume(target: Inspected, options?: WaitOptions): Promise<void> {
    checkOptions('resume', options, WAIT_CHECKS)
    await this.#ask('resume', target, RESUME, undefined, options)
  }

  trace(target: Inspected, options?: TraceOptions): Trace {
    checkOptions('trace', options, TRACE_CHECKS)
    const process = this.#process('trace', target)
    return probingOf(process, this.#actors).trace(options?.bufferMax ?? TRACE_EVENTS, options?.signal)
  }

  info(target: Inspected): ProcessDetails | undefined {
    const pid = this.#pid('info', target)
    if (pid === undefined) return undefined
    this.#here('info', pid)
    const process = this.#actors.table.find(pid)
    return process === undefined ? undefined : this.#details(process)
  }

  crash(target: Inspected, reason: ExitReason): void {
    const process = this.#process('crash', target)
    this.#actors.crashed(process, reason)
    this.#actors.table.die(process, reason)
  }

  #details(process: Process): ProcessDetails {
    const { ties } = process
    const { pid, definition, names, mailbox } = this.#actors.info(process)
    const mail = process instanceof ActorProcess ? process.mail : undefined
    return {
      pid,
      definition,
      names: [...names, ...this.#namesOf(pid)],
      status: statusOf(process),
      parent: parentOf(process),
      mailbox,
      current: mail === undefined ? undefined : mailShown(mail),
      reductions: process.handled,
      trapsExits: process.trapping,
      links: [...(ties?.links?.values() ?? [])],
      monitors: [...(ties?.monitors?.values() ?? [])].map(({ watched, target }) =>
        watched === undefined ? target : 'pid' in watched ? watched.pid : watched,
      ),
      monitoredBy: [...(ties?.watchers ?? [])].map(({ watcher }) =>
        'pid' in watcher ? watcher.pid : watcher,
      ),
      timers: ties?.timers?.size ?? 0,
      memoryBytes:
        estimateBytes([
          process instanceof ActorProcess ? process.state : undefined,
          ...[...(process.mailbox ?? [])].slice(0, COUNTED_MAX).map(contentOf),
        ]) + process.mailBytes,
    }
  }

  #pid(where: string, target: Inspected): Pid | undefined {
    if (target instanceof Pid) return target
    if (typeof target === 'string') {
      const holder = this.#actors.resolve(target)
      return holder === 'pending' ? undefined : holder
    }
    if (isAnyRef(target) || (typeof target === 'object' && target !== null && 'pid' in target))
      return target.pid
    throw new TypeError(`${where}: expected a pid, a ref or a name, got ${show(target)}`)
  }

  /** Throws for a process of another node. */
  #here(where: string, target: Inspected): void {
    const pid = this.#pid(where, target)
    if (pid === undefined || this.#actors.table.isHere(pid)) return
    throw new TypeError(
      `${where}: expected a process of ${this.#actors.table.ids.node}, got ${pid}; ask for it on that node`,
    )
  }

  /** Throws also when there is none. */
  #process(where: string, target: Inspected): Process {
    const pid = this.#pid(where, target)
    this.#here(where, target)
    const process = pid === undefined ? undefined : this.#actors.table.find(pid)
    if (process !== undefined) return process
    throw new TroupeError('ERR_NOPROC', `${where}: there is no process ${pid ?? show(target)}`, { pid })
  }

  async #ask(
    what: string,
    target: Inspected,
    tag: string,
    payload: unknown,
    options: WaitOptions | undefined,
  ): Promise<unknown> {
    const pid = this.#pid(what, target)
    if (pid === undefined) throw noprocError(String(target), what)
    const { table } = this.#actors
    if (!table.isHere(pid)) return this.#actors.ask(undefined, pid, undefined, tag, payload, options)
    const process = table.find(pid)
    if (process === undefined) throw noprocError(pid, what)
    const speaker = this.#actors.speakerOf(undefined)
    if (speaker === process)
      throw new TroupeError('ERR_CALLING_SELF', `${what}: ${pid} would wait for itself`, { pid, tag: what })
    options?.signal?.throwIfAborted()
    const caller = speaker?.pid ?? this.#actors.outside
    return this.#inquire(what, process, done => new Inquiry(tag, payload, caller, done), options)
  }

  #inquire(
    what: string,
    process: Process,
    made: (done: () => void) => Inquiry,
    options: WaitOptions | undefined,
  ): Promise<unknown> {
    const { timers } = this.#actors.table
    const timeoutMs = timeoutOf(options)
    const signal = options?.signal
    const inquiry = made(() => {
      timers.cancel(timing)
      signal?.removeEventListener('abort', aborted)
    })
    const timing = timers.after(timeoutMs, () => inquiry.fail(lateError(what, process, timeoutMs)))
    const aborted = (): void => inquiry.fail(signal?.reason)
    signal?.addEventListener('abort', aborted)
    this.#actors.table.tell(process, inquiry)
    return inquiry.promise
  }
}

function lateError(what: string, process: Process, timeoutMs: number): TroupeError {
  const mail = process instanceof ActorProcess ? process.mail : undefined
  const { type, tag } = mailShown(mail)
  const doing = mail === undefined ? '' : ` with ${type}${tag === undefined ? '' : ` ${show(tag)}`} in hand`
  return new TroupeError(
    'ERR_TIMEOUT',
    `${what}: ${process.pid} did not come to it within ${timeoutMs} ms: it is ${statusOf(process)}${doing}`,
    { pid: process.pid, tag: what, timeoutMs, outcome: 'unknown' },
  )
}

/** Who spawned it with a link. */
export const parentOf = (process: Process): Pid | undefined =>
  process instanceof ActorProcess || process instanceof FunctionProcess ? process.parent : undefined

export function statusOf(process: Process): ProcessStatus {
  if (process.suspended) return 'suspended'
  switch (process.phase) {
    case Phase.held:
      return 'starting'
    case Phase.running:
      return 'running'
    case Phase.ready:
      return process.started ? 'runnable' : 'starting'
    case Phase.parked:
      return process instanceof ActorProcess && process.starter !== undefined ? 'starting' : 'waiting'
    default:
      return process instanceof FunctionProcess && !process.receiving ? 'waiting' : 'idle'
  }
}

/** What hangs on a process while it is suspended or traced. */
class Probing implements Debugged {
  readonly #process: Process
  readonly #actors: Actors
  readonly #traces = new Set<LiveTrace>()
  #suspended = false
  /** Mail before this index is not heeded by a suspended process. */
  #scanned = 0

  constructor(process: Process, actors: Actors) {
    this.#process = process
    this.#actors = actors
  }

  get suspended(): boolean {
    return this.#suspended
  }

  set suspended(on: boolean) {
    if (on === this.#suspended) return
    this.#suspended = on
    this.#scanned = 0
    this.#clean()
  }

  wants(box: RingQueue<unknown>): boolean {
    if (!this.#suspended) return true
    // A mailbox that drops its oldest moves under the index.
    let index = this.#actors.table.policy === 'drop-old' ? 0 : this.#scanned
    while (index < box.length && !this.#process.heeds(box.at(index))) index += 1
    this.#scanned = index
    return index < box.length
  }

  ready(box: RingQueue<unknown>): boolean {
    if (!this.wants(box)) return false
    if (this.#suspended) box.unshift(box.takeAt(this.#scanned))
    this.taken(box.peek(), box.length - 1)
    return true
  }

  taken(mail: unknown, waiting: number): void {
    if (this.#traces.size === 0 || isInquiry(mail)) return
    const event = { ...mailShown(mail), atMs: this.#actors.table.timers.now(), mailbox: waiting }
    for (const trace of this.#traces) trace.push(event)
  }

  ended(reason: ExitReason): void {
    const atMs = this.#actors.table.timers.now()
    const event = {
      type: 'ended',
      tag: undefined,
      from: undefined,
      payload: reason,
      atMs,
      mailbox: 0,
    } as const
    for (const trace of this.#traces) {
      trace.push(event)
      trace.stop()
    }
  }

  trace(bufferMax: number, signal: AbortSignal | undefined): Trace {
    if (this.#traces.size >= TRACES_MAX)
      throw new RangeError(`trace: ${this.#process.pid} has ${TRACES_MAX} traces, as many as it may`)
    const { traced } = this.#actors
    const trace = new LiveTrace(bufferMax, traced, () => {
      if (this.#traces.delete(trace)) traced.open -= 1
      signal?.removeEventListener('abort', trace.stop)
      this.#clean()
    })
    this.#traces.add(trace)
    traced.open += 1
    if (signal?.aborted === true) trace.stop()
    else signal?.addEventListener('abort', trace.stop)
    return trace
  }

  /** Takes itself off when there is nothing more to do. */
  #clean(): void {
    const { ties } = this.#process
    if (!this.#suspended && this.#traces.size === 0 && ties?.debugged === this) ties.debugged = undefined
  }
}

/** What hangs on the process, made when first needed. */
export function probingOf(process: Process, actors: Actors): Probing {
  const ties = process.tied()
  if (!(ties.debugged instanceof Probing)) ties.debugged = new Probing(process, actors)
  return ties.debugged as Probing
}

class LiveTrace implements Trace {
  readonly #bufferMax: number
  readonly #counters: { dropped: number }
  readonly #left: () => void
  readonly #events = new RingQueue<TraceEvent>()
  readonly #waiting: (() => void)[] = []
  #stopped = false
  dropped = 0

  constructor(bufferMax: number, counters: { dropped: number }, left: () => void) {
    this.#bufferMax = bufferMax
    this.#counters = counters
    this.#left = left
  }

  push(event: TraceEvent): void {
    if (this.#events.length >= this.#bufferMax) {
      this.#events.shift()
      this.dropped += 1
      this.#counters.dropped += 1
    }
    this.#events.push(event)
    this.#wake()
  }

  readonly stop = (): void => {
    if (this.#stopped) return
    this.#stopped = true
    this.#left()
    this.#wake()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TraceEvent, void, void> {
    try {
      for (;;) {
        while (this.#events.length > 0) yield this.#events.shift() as TraceEvent
        if (this.#stopped) return
        await new Promise<void>(resolve => this.#waiting.push(resolve))
      }
    } finally {
      this.stop()
    }
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}
