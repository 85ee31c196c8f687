/**
 * Addresses of actors. A pinned ref stands for one process; a named ref finds the holder at every use. Both may be
 * bound to a process that they speak for; unbound ones speak for whose code is on the stack, else for the node.
 */
import { show, TroupeError } from '../base/errors.js'
import type { Pid, Ref } from '../base/ids.js'
import { TIMEOUT_MS } from '../base/limits.js'
import type { WaitOptions } from '../base/options.js'
import { checkOptions, timeoutOf, WAIT_CHECKS } from '../base/options.js'
import type { ExitReason } from '../base/reasons.js'
import type { Sent } from '../process/mail.js'
import { Phase, type Process } from '../process/process.js'
import type { Actors } from './actors.js'
import type { ActorRef } from './api.js'
import { type Address, shownName } from './via.js'

/** The tag of `ref.stop`: a request like any other, taken in its turn. */
export const STOP = '$stop'

const kInspect = Symbol.for('nodejs.util.inspect.custom')

/** A ref as the runtime sees it, where the types of its actor mean nothing. */
export interface UntypedRef {
  readonly pid: Pid | undefined
  call(tag: string, ...rest: unknown[]): Promise<unknown>
  cast(tag: string, ...payload: unknown[]): Sent
  send(message: unknown): Sent
}

export class PinnedRef implements UntypedRef {
  readonly pid: Pid
  readonly monitor: Ref | undefined
  readonly #actors: Actors
  readonly #defName: string | undefined
  readonly #speaker: Process | undefined
  /** The process itself, when it lives here: no lookup per message. */
  readonly #process: Process | undefined

  constructor(actors: Actors, pid: Pid, options: RefOptions = {}) {
    this.pid = pid
    this.monitor = options.monitor
    this.#actors = actors
    this.#defName = options.defName
    this.#speaker = options.speaker
    this.#process = actors.table.find(pid)
  }

  get name(): undefined {
    return undefined
  }

  get definition(): string | undefined {
    return this.#defName
  }

  call(tag: string, payload?: unknown, options?: WaitOptions): Promise<unknown> {
    return this.#actors.ask(this.#speaker, this.pid, this.#process, tag, payload, options)
  }

  cast(tag: string, payload?: unknown): Sent {
    return this.#actors.castTo(this.#speaker, this.pid, this.#process, tag, payload)
  }

  send(message: unknown): Sent {
    const process = this.#process
    if (process === undefined || process.phase === Phase.dead || this.#speaker?.phase === Phase.dead) {
      return this.#actors.sendTo(this.#speaker, this.pid, message)
    }
    return this.#actors.deliver(process, message)
  }

  stop(reason: ExitReason = 'normal', options?: WaitOptions): Promise<void> {
    return this.#actors.ask(this.#speaker, this.pid, this.#process, STOP, reason, options) as Promise<void>
  }

  speakingFor(speaker: Process | undefined): PinnedRef {
    if (speaker === this.#speaker) return this
    return new PinnedRef(this.#actors, this.pid, { defName: this.#defName, speaker, monitor: this.monitor })
  }

  /** Another process, spoken to by the same speaker. */
  beside(pid: Pid, defName: string): PinnedRef {
    return new PinnedRef(this.#actors, pid, { defName, speaker: this.#speaker })
  }

  /** Where messages through `ctx.send` go without a detour. */
  get process(): Process | undefined {
    return this.#process
  }

  toString(): string {
    return this.#defName === undefined ? `ref ${this.pid}` : `${this.#defName} ${this.pid}`
  }

  toJSON(): string {
    return this.toString()
  }

  [kInspect](): string {
    return this.toString()
  }
}

export interface RefOptions {
  readonly defName?: string | undefined
  readonly speaker?: Process | undefined
  readonly monitor?: Ref | undefined
}

type Waiter = (holder: Pid | undefined) => void

/**
 * Resolves at every use. While the name is between holders, what is said waits, in order, until there is one or
 * `timeoutMs` is over; then calls reject with `ERR_TIMEOUT` and messages are dead letters. What was delivered once is
 * never sent again.
 */
export class NamedRef implements UntypedRef {
  readonly #address: string | Address
  readonly #actors: Actors
  readonly #defName: string | undefined
  readonly #speaker: Process | undefined
  #waiting: Set<Waiter> | undefined = undefined

  constructor(actors: Actors, address: string | Address, options: RefOptions = {}) {
    this.#address = address
    this.#actors = actors
    this.#defName = options.defName
    this.#speaker = options.speaker
  }

  get name(): string {
    return String(this.#address)
  }

  /** False for a `via`, which means nothing on another node. */
  get crosses(): boolean {
    return typeof this.#address === 'string'
  }

  get pid(): Pid | undefined {
    const holder = this.#actors.resolve(this.#address)
    return holder === 'pending' ? undefined : holder
  }

  get definition(): string | undefined {
    return this.#defName
  }

  call(tag: string, payload?: unknown, options?: WaitOptions): Promise<unknown> {
    return this.#ask(tag, payload, options)
  }

  cast(tag: string, payload?: unknown): Sent {
    return this.#tell(payload, pid => this.#actors.castTo(this.#speaker, pid, this.#find(pid), tag, payload))
  }

  send(message: unknown): Sent {
    return this.#tell(message, pid => this.#actors.sendTo(this.#speaker, pid, message))
  }

  stop(reason: ExitReason = 'normal', options?: WaitOptions): Promise<void> {
    return this.#ask(STOP, reason, options) as Promise<void>
  }

  speakingFor(speaker: Process | undefined): NamedRef {
    if (speaker === this.#speaker) return this
    return new NamedRef(this.#actors, this.#address, { defName: this.#defName, speaker })
  }

  /** A process, spoken to by the same speaker. */
  beside(pid: Pid, defName: string): PinnedRef {
    return new PinnedRef(this.#actors, pid, { defName, speaker: this.#speaker })
  }

  toString(): string {
    return `${this.#defName ?? 'ref'} ${shownName(this.#address)}`
  }

  toJSON(): string {
    return this.toString()
  }

  [kInspect](): string {
    return this.toString()
  }

  #find(pid: Pid): Process | undefined {
    return this.#actors.table.find(pid)
  }

  async #ask(tag: string, payload: unknown, options: WaitOptions | undefined): Promise<unknown> {
    checkOptions('call', options, WAIT_CHECKS)
    const speaker = this.#actors.speakerOf(this.#speaker)
    const timeoutMs = timeoutOf(options)
    const startMs = this.#actors.table.timers.now()
    let holder = this.#waiting === undefined ? this.#actors.resolve(this.#address) : 'pending'
    if (holder === 'pending') {
      const absent = this.#actors.absent(this.#address)
      if (absent !== undefined) throw absent
      holder = await this.#holder(tag, timeoutMs, options?.signal)
      const between = holder === undefined && this.#actors.resolve(this.#address) === 'pending'
      if (between) throw this.#actors.absent(this.#address) ?? this.#nobody(tag, timeoutMs)
    }
    if (holder === undefined) {
      throw (
        this.#actors.absent(this.#address) ??
        new TroupeError('ERR_NOPROC', `nobody is named ${shownName(this.#address)} to call ${show(tag)} on`, {
          name: this.name,
          tag,
        })
      )
    }
    const leftMs = Math.max(0, timeoutMs - (this.#actors.table.timers.now() - startMs))
    return this.#actors.ask(speaker, holder, this.#find(holder), tag, payload, {
      ...options,
      timeoutMs: leftMs,
    })
  }

  #tell(message: unknown, tell: (pid: Pid) => Sent): Sent {
    const holder = this.#waiting === undefined ? this.#actors.resolve(this.#address) : 'pending'
    if (holder === undefined) {
      this.#actors.table.deadLetter(this.name, message, 'nobody has the name')
      return 'ok'
    }
    if (holder !== 'pending') return tell(holder)
    const waits = this.#wait(TIMEOUT_MS, pid => {
      if (pid === undefined) this.#actors.table.deadLetter(this.name, message, 'nobody took the name in time')
      else this.#tellLate(message, pid, tell)
    })
    return waits === undefined ? 'full' : 'ok'
  }

  /** Whoever spoke has gone on meanwhile, and is not there to be told of a mistake. */
  #tellLate(message: unknown, holder: Pid, tell: (pid: Pid) => Sent): void {
    try {
      tell(holder)
    } catch (error) {
      this.#actors.table.deadLetter(this.name, message, show(error))
    }
  }

  /** The next holder; undefined when there is none in time. */
  #holder(tag: string, timeoutMs: number, signal: AbortSignal | undefined): Promise<Pid | undefined> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted()
      const aborted = (): void => {
        leave?.()
        reject(signal?.reason)
      }
      const leave = this.#wait(timeoutMs, holder => {
        signal?.removeEventListener('abort', aborted)
        resolve(holder)
      })
      if (leave === undefined) reject(this.#busy(tag))
      else signal?.addEventListener('abort', aborted, { once: true })
    })
  }

  /** Each waits as long as it said itself. What is returned gives up; undefined: too many wait already. */
  #wait(timeoutMs: number, then: Waiter): (() => void) | undefined {
    const { timers } = this.#actors.table
    const known = this.#waiting
    if (known !== undefined && known.size >= this.#actors.table.limits.nameWaitersMax) {
      this.#actors.waitersRefused += 1
      return undefined
    }
    const waiting = known ?? new Set<Waiter>()
    this.#waiting = waiting
    const leave = (): void => {
      timers.cancel(timing)
      waiting.delete(waiter)
    }
    const waiter = (holder: Pid | undefined): void => {
      leave()
      then(holder)
    }
    const timing = timers.after(timeoutMs, () => waiter(undefined))
    waiting.add(waiter)
    if (known === undefined) void this.#watch(waiting, timeoutMs)
    return leave
  }

  /** One look-out for all; it goes on while anybody waits. */
  async #watch(waiting: Set<Waiter>, timeoutMs: number): Promise<void> {
    let holder = await this.#actors.waitFor(this.#address, timeoutMs).catch(() => undefined)
    while (holder === undefined && waiting.size > 0 && this.#actors.resolve(this.#address) === 'pending') {
      holder = await this.#actors.waitFor(this.#address, TIMEOUT_MS).catch(() => undefined)
    }
    this.#waiting = undefined
    for (const waiter of [...waiting]) waiter(holder)
  }

  #busy(tag: string): TroupeError {
    return new TroupeError(
      'ERR_BUSY',
      `${this.#waiting?.size} uses of ${shownName(this.#address)} wait for its next holder already`,
      {
        name: this.name,
        tag,
      },
    )
  }

  #nobody(tag: string, timeoutMs: number): TroupeError {
    return new TroupeError(
      'ERR_TIMEOUT',
      `nobody took the name ${shownName(this.#address)} within ${timeoutMs} ms`,
      {
        name: this.name,
        tag,
        timeoutMs,
      },
    )
  }
}

export const isRef = (value: unknown): value is PinnedRef | NamedRef =>
  value instanceof PinnedRef || value instanceof NamedRef

/** Gives a ref the types of its actor: the one place where they are believed. */
export const typed = <D>(ref: PinnedRef | NamedRef): ActorRef<D> => ref as unknown as ActorRef<D>

/** The same address, speaking for `speaker`. */
export function boundTo(speaker: Process, ref: unknown, where: string): PinnedRef | NamedRef {
  if (!isRef(ref)) throw new TypeError(`${where}: expected a ref, got ${show(ref)}`)
  return ref.speakingFor(speaker)
}

/** A ref to `pid` that speaks for whom `ref` speaks. Throws `TypeError` for what is no ref of this package. */
export function besideRef<D>(ref: unknown, pid: Pid, def: { readonly name: string }): ActorRef<D> {
  if (!isRef(ref)) throw new TypeError(`expected a ref, got ${show(ref)}`)
  return typed(ref.beside(pid, def.name))
}
