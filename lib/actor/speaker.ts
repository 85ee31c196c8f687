/**
 * What every process can do in its own name. A dead process can do nothing: every method throws `ERR_DEAD`, so that a
 * handler that was waiting when its process died has no further effect.
 */

import { Pid, parseNodeId, type Ref } from '../base/ids.js'
import { checkOptions, expect, isBoolean, isMs, isObject, oneOf } from '../base/options.js'
import type { ExitReason } from '../base/reasons.js'
import type { NameOnNode, Sent } from '../process/mail.js'
import { deadError } from '../process/monitors.js'
import type { AliasMode, Process } from '../process/process.js'
import type { Actors } from './actors.js'
import type {
  ActorRef,
  AnyRef,
  MonitorOptions,
  Node,
  RunOptions,
  Self,
  SpawnOptions,
  Speaker,
  To,
  Via,
} from './api.js'
import type { AnyActor, SpawnRest } from './define.js'
import type { OwnGroups } from './groups.js'
import { type Inside, kInside } from './inside.js'
import type { Rpc, RpcMany } from './procedure.js'
import { boundTo, typed, type UntypedRef } from './refs.js'

const FLUSH = { flush: isBoolean }
const ALIAS = { reply: isBoolean }
const MONITOR = {
  tag: () => undefined,
  alias: oneOf('demonitor', 'reply_demonitor', 'explicit_unalias'),
}

export const isPid = (value: unknown): string | undefined => (value instanceof Pid ? undefined : 'a pid')

export abstract class ProcessSpeaker<P extends Process> implements Speaker {
  readonly #process: P
  readonly #actors: Actors
  #dead: AbortController | undefined = undefined
  #shutdown: AbortController | undefined = undefined

  constructor(actors: Actors, process: P) {
    this.#actors = actors
    this.#process = process
  }

  get [kInside](): Inside {
    return { actors: this.#actors, process: this.process }
  }

  /** For the subclass: whose name it speaks in. No field, so that nobody who lists or prints it comes upon it. */
  protected get process(): P {
    return this.#process
  }

  get self(): Pid {
    return this.process.pid
  }

  get node(): Node {
    return this.#actors.node
  }

  get signal(): AbortSignal {
    if (this.#dead === undefined) {
      this.#dead = new AbortController()
      if (this.process.dead) this.#dead.abort(deadError(this.self))
    }
    return this.#dead.signal
  }

  get shutdownSignal(): AbortSignal {
    if (this.#shutdown === undefined) {
      this.#shutdown = new AbortController()
      if (this.process.dead) this.#shutdown.abort(deadError(this.self))
    }
    return this.#shutdown.signal
  }

  send(to: To, message: unknown): Sent {
    return this.alive().sendFrom(this.process, to, message)
  }

  call(ref: UntypedRef, tag: string, ...rest: unknown[]): Promise<never> {
    this.alive()
    return boundTo(this.process, ref, 'call').call(tag, ...rest) as Promise<never>
  }

  cast(ref: UntypedRef, tag: string, ...payload: unknown[]): Sent {
    this.alive()
    return boundTo(this.process, ref, 'cast').cast(tag, ...payload)
  }

  async spawn<D extends AnyActor>(def: D, ...rest: SpawnRest<D>): Promise<ActorRef<D>> {
    const [args, options] = rest as [unknown?, SpawnOptions?]
    return typed(await this.alive().spawn(this.process, def, args, options))
  }

  run(fn: (self: Self) => unknown, options?: RunOptions): Pid {
    return this.alive().run(this.process, fn, options)
  }

  ref<D extends AnyActor>(ref: ActorRef<D>): ActorRef<D> {
    this.alive()
    return typed(boundTo(this.process, ref, 'ref'))
  }

  whereis<D extends AnyActor>(name: string | Via, def?: D): ActorRef<D> | undefined {
    const found = this.alive().whereis(this.process, name, def)
    return found === undefined ? undefined : typed(found)
  }

  named<D extends AnyActor>(name: string | Via, def?: D): ActorRef<D> {
    return typed(this.alive().named(this.process, name, def))
  }

  link(pid: Pid): void {
    expect('link: pid', pid, isPid)
    this.alive().table.link(this.process, pid)
  }

  unlink(pid: Pid, options?: { readonly flush?: boolean }): void {
    expect('unlink: pid', pid, isPid)
    checkOptions('unlink', options, FLUSH)
    this.alive().unlink(this.process, pid, options?.flush === true)
  }

  monitor(to: Pid | string | NameOnNode | Via, options?: MonitorOptions): Ref {
    if (options !== undefined) checkOptions('monitor', options, MONITOR)
    return this.alive().monitor(this.process, to, options)
  }

  demonitor(ref: Ref, options?: { readonly flush?: boolean }): boolean {
    checkOptions('demonitor', options, FLUSH)
    return this.alive().demonitor(this.process, ref, options?.flush === true)
  }

  rpc(on: string): Rpc
  rpc(on: readonly string[]): RpcMany
  rpc(on: string | readonly string[]): Rpc & RpcMany {
    return this.alive().others.rpc(this.process, on)
  }

  monitorNode(node: string): Ref {
    return this.alive().others.monitorNode(this.process, parseNodeId(node))
  }

  monitorNodes(): Ref {
    return this.alive().others.monitorNodes(this.process)
  }

  demonitorNode(ref: Ref, options?: { readonly flush?: boolean }): boolean {
    checkOptions('demonitorNode', options, FLUSH)
    return this.alive().demonitorNode(this.process, ref, options?.flush === true)
  }

  alias(options?: { readonly reply?: boolean }): Ref {
    checkOptions('alias', options, ALIAS)
    const mode = options?.reply === true ? 'reply' : ('explicit_unalias' satisfies AliasMode)
    return this.alive().table.monitors.alias(this.process, mode)
  }

  unalias(ref: Ref): boolean {
    return this.alive().table.monitors.unalias(this.process, ref)
  }

  groups(scope?: string): OwnGroups {
    return this.alive().groups(this.process, scope)
  }

  trapExit(on: boolean): boolean {
    expect('trapExit', on, isBoolean)
    this.alive()
    const before = this.process.trapping
    this.process.trapping = on
    return before
  }

  exit(pid: Pid, reason: ExitReason): void {
    expect('exit: pid', pid, isPid)
    this.alive().table.exit(this.self, pid, reason)
  }

  sendAfter(ms: number, to: To, message: unknown): Ref {
    return this.#timer('sendAfter', ms, to, message)
  }

  startTimer(ms: number, to: To, message: unknown): Ref {
    return this.#timer('startTimer', ms, to, message)
  }

  sendEvery(ms: number, to: To, message: unknown): Ref {
    return this.#timer('sendEvery', ms, to, message)
  }

  cancelTimer(ref: Ref): number | false {
    return this.alive().table.sendTimers.cancel(ref)
  }

  readTimer(ref: Ref): number | false {
    return this.alive().table.sendTimers.read(ref)
  }

  /** Of the clock that this node's timers go by: for what counts within a time. */
  get nowMs(): number {
    return this.alive().table.timers.now()
  }

  /** That this machine gives to the operating-system process. */
  get cores(): number {
    return this.alive().cores
  }

  /** A fault that this process lives with, or ends from cleanly: a crash report is made of it all the same. */
  report(reason: ExitReason): void {
    this.alive().crashed(this.process, reason)
  }

  /** For the process: it has died. Listeners are users' code, so they run in a later turn. */
  ended(): void {
    const reason = deadError(this.self)
    this.#abortLater(this.#dead, reason)
    this.#abortLater(this.#shutdown, reason)
  }

  shutdownComing(): void {
    this.#abortLater(this.#shutdown, 'shutdown')
  }

  /** Nothing of it is in use beyond the callback that is running. */
  get disposable(): boolean {
    return this.#dead === undefined && this.#shutdown === undefined
  }

  /** The actors of its node, for rooms that build on this one. Throws `ERR_DEAD`. */
  alive(): Actors {
    if (this.process.dead) throw deadError(this.self)
    return this.#actors
  }

  #abortLater(controller: AbortController | undefined, reason: unknown): void {
    if (controller !== undefined) this.#actors.loop.soon(() => controller.abort(reason))
  }

  #timer(kind: 'sendAfter' | 'startTimer' | 'sendEvery', ms: number, to: To, message: unknown): Ref {
    expect(`${kind}: ms`, ms, isMs(kind === 'sendEvery' ? 1 : 0))
    return this.alive().timer(kind, this.process, { ms, to, message })
  }
}

/** What stands for a recipient besides a pid, a ref and a name. */
export const isNameOnNode = (value: unknown): value is NameOnNode =>
  isObject(value) === undefined &&
  typeof (value as Partial<NameOnNode>).name === 'string' &&
  typeof (value as Partial<NameOnNode>).node === 'string'

export const isAnyRef = (value: unknown): value is AnyRef =>
  isObject(value) === undefined && (value as Partial<AnyRef>).pid instanceof Pid

/** The same, with what is for the rooms above and not for users. */
export function processSpeaker(speaker: Speaker): ProcessSpeaker<Process> {
  if (speaker instanceof ProcessSpeaker) return speaker
  throw new TypeError('expected a context or self that a process was given')
}
