import { EventEmitter } from 'eventemitter3'
import type { NodeEvents } from '../actor/api.js'
import { show } from '../base/errors.js'
import type { Logger } from '../base/log.js'
import { expect, isFunction, oneOf } from '../base/options.js'

const NAMES: Readonly<Record<keyof NodeEvents, true>> = {
  nodeup: true,
  nodedown: true,
  'member:up': true,
  'member:suspect': true,
  'member:down': true,
  'member:left': true,
  'member:updated': true,
  partitioned: true,
  quorate: true,
  'dead-letter': true,
  crash: true,
  'process:overrun': true,
  'name:registered': true,
  'name:released': true,
  'name:conflict': true,
  'name:gave-up': true,
}

type Listener<E extends keyof NodeEvents> = (...args: NodeEvents[E]) => void

/**
 * The events of one node. A listener runs on the runtime's own stack, so what it throws is logged and stops nobody:
 * neither the other listeners nor the event's cause.
 */
export class Events {
  readonly #emitter = new EventEmitter()
  readonly #log: Logger
  /** What was put around a listener, so that `off` finds it again. */
  readonly #wrapped = new Map<unknown, Map<string, (...args: unknown[]) => void>>()

  constructor(log: Logger) {
    this.#log = log
  }

  on<E extends keyof NodeEvents>(event: E, listener: Listener<E>): void {
    this.#add('on', event, listener, listener)
  }

  once<E extends keyof NodeEvents>(event: E, listener: Listener<E>): void {
    this.#add('once', event, listener, (...args) => {
      this.off(event, listener)
      return listener(...args)
    })
  }

  off<E extends keyof NodeEvents>(event: E, listener: Listener<E>): void {
    check('off', event, listener)
    const known = this.#wrapped.get(listener)
    const guarded = known?.get(event)
    if (known === undefined || guarded === undefined) return
    known.delete(event)
    if (known.size === 0) this.#wrapped.delete(listener)
    this.#emitter.off(event, guarded)
  }

  emit<E extends keyof NodeEvents>(event: E, ...args: NodeEvents[E]): void {
    this.#emitter.emit(event, ...args)
  }

  /** Whether anybody listens: events that are costly to describe are not described for nobody. */
  has(event: keyof NodeEvents): boolean {
    return this.#emitter.listenerCount(event) > 0
  }

  clear(): void {
    this.#emitter.removeAllListeners()
    this.#wrapped.clear()
  }

  #add<E extends keyof NodeEvents>(where: string, event: E, listener: Listener<E>, body: Listener<E>): void {
    check(where, event, listener)
    const known = this.#wrapped.get(listener) ?? new Map()
    if (known.has(event)) return
    const guarded = (...args: unknown[]): void =>
      this.#run(event, body as (...args: unknown[]) => unknown, args)
    this.#wrapped.set(listener, known.set(event, guarded))
    this.#emitter.on(event, guarded)
  }

  #run(event: string, listener: (...args: unknown[]) => unknown, args: unknown[]): void {
    const failed = (error: unknown): void =>
      this.#log.error(`a listener of '${event}' failed: ${show(error)}`, { event, error })
    try {
      const result = listener(...args)
      if (result instanceof Promise) result.catch(failed) // an async listener fails later, and is no other listener's fault either
    } catch (error) {
      failed(error)
    }
  }
}

function check(where: string, event: unknown, listener: unknown): void {
  expect(`node.${where}: event`, event, oneOf(...Object.keys(NAMES)))
  expect(`node.${where}: listener`, listener, isFunction)
}
