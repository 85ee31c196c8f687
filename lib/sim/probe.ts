/**
 * A process for tests that keeps what it is sent until the test asks for it. It is a process function: to others a pid
 * like any other, to the test a mailbox that can be asserted on.
 */
import { inspect } from 'node:util'
import type { Node, Self } from '../actor/api.js'
import { TroupeError } from '../base/errors.js'
import type { Pid } from '../base/ids.js'
import { checkOptions, isMs, isString } from '../base/options.js'
import { fits } from './pattern.js'

export interface ProbeOptions {
  /** A name of its node. */
  readonly name?: string | undefined
  /** How long `expect` waits where it is told nothing else. Default 1 000, of the node's time. */
  readonly timeoutMs?: number | undefined
}

/** Lets the time of the test's world pass until a promise settles. */
export type Drive = <T>(promise: Promise<T>) => Promise<T>

const TIMEOUT_MS = 1_000
const NONE_MS = 100
/** Messages that are shown when none of them fits. */
const SHOWN_MAX = 20

/** What `expect` and `expectNone` reject with. */
class ProbeError extends Error {
  override readonly name = 'ProbeError'
}

/**
 * Starts a probe on any node, which on a real one waits in real time: `world.probe()` and `mesh.probe('a')` give one that
 * moves the clock itself.
 */
export async function createProbe(node: Node, options?: ProbeOptions, drive?: Drive): Promise<Probe> {
  checkOptions('probe', options, { name: isString, timeoutMs: isMs() })
  const moved: Drive = drive ?? (promise => promise)
  let started = (_self: Self): void => {}
  const self = new Promise<Self>(resolve => {
    started = resolve
  })
  let stop = (): void => {}
  const stopped = new Promise<void>(resolve => {
    stop = resolve
  })
  const live = (self: Self): Promise<void> => {
    started(self)
    return stopped
  }
  node.run(live, { trapExit: true, name: options?.name })
  return new Probe(await moved(self), options?.timeoutMs ?? TIMEOUT_MS, moved, stop)
}

/**
 * ```ts
 * const world = await createTestNode()
 * const probe = await world.probe()
 * world.node.send(probe.pid, { type: 'paid', amount: 5 })
 * await probe.expect({ type: 'paid', amount: (amount: number) => amount > 0 })
 * await probe.expectNone()
 * ```
 */
export class Probe {
  /** What a process can do, in the probe's name: `monitor`, `link`, `call`, `spawn`. It traps exits. */
  readonly self: Self
  /** Ends it, with `'normal'`. */
  readonly stop: () => void
  readonly #timeoutMs: number
  readonly #drive: Drive

  /** Internal: see `createProbe`. */
  constructor(self: Self, timeoutMs: number, drive: Drive, stop: () => void) {
    this.self = self
    this.stop = stop
    this.#timeoutMs = timeoutMs
    this.#drive = drive
  }

  get pid(): Pid {
    return this.self.self
  }

  /**
   * Takes the first message that fits the pattern, waiting for it if need be, and gives it; others stay. Plain messages
   * are held against it as they were sent, calls and casts as `{ type: 'call' | 'cast', tag, payload }` (a call is
   * answered by its `from.reply`), exits, downs and timers as signals. Rejects, with what has come instead, when none
   * fits within `timeoutMs`.
   *
   * A function in a pattern is asked, a regular expression is for strings, of an object only the keys that the pattern
   * has are looked at, everything else has to be equal.
   */
  async expect<T = unknown>(
    pattern: unknown,
    options?: { readonly timeoutMs?: number | undefined },
  ): Promise<T> {
    checkOptions('probe.expect', options, { timeoutMs: isMs() })
    const timeoutMs = options?.timeoutMs ?? this.#timeoutMs
    const others: unknown[] = []
    const message = await this.#receive(pattern, timeoutMs, others)
    if (message === undefined)
      throw new ProbeError(`expected ${text(pattern)} within ${timeoutMs} ms, ${came(others)}`)
    return message.taken as T
  }

  /**
   * Nothing that fits (default: nothing at all) is there or comes within `withinMs` (default 100). Rejects with what
   * came, and takes it.
   */
  async expectNone(pattern?: unknown, options?: { readonly withinMs?: number | undefined }): Promise<void> {
    checkOptions('probe.expectNone', options, { withinMs: isMs() })
    const withinMs = options?.withinMs ?? NONE_MS
    const given = pattern === undefined ? (): boolean => true : pattern
    const message = await this.#receive(given, withinMs, [])
    if (message === undefined) return
    const what = pattern === undefined ? 'nothing' : `nothing like ${text(pattern)}`
    throw new ProbeError(`expected ${what} within ${withinMs} ms, got ${text(message.taken)}`)
  }

  /** Undefined when nothing fits in time. */
  async #receive(
    pattern: unknown,
    timeoutMs: number,
    others: unknown[],
  ): Promise<{ readonly taken: unknown } | undefined> {
    const match = (message: unknown): boolean => {
      if (fits(pattern, message)) return true
      others.push(message)
      return false
    }
    try {
      return { taken: await this.#drive(this.self.receive(match, { timeoutMs })) }
    } catch (error) {
      if (TroupeError.is(error, 'ERR_TIMEOUT')) return undefined
      throw error
    }
  }
}

const text = (value: unknown): string => inspect(value, { depth: 6, breakLength: 100, maxArrayLength: 50 })

function came(others: readonly unknown[]): string {
  if (others.length === 0) return 'got nothing'
  const shown = others.slice(-SHOWN_MAX).map(other => `\n  ${text(other).replaceAll('\n', '\n  ')}`)
  const older = others.length - shown.length
  return `got${older > 0 ? ` ${older} older messages and` : ''}:${shown.join('')}`
}
