/**
 * Cluster-wide names: the slot protocol's table, read as names of processes, and the `Holder` that tells the protocol
 * who lives here.
 *
 * Every node holds the whole table and reads it locally. A name is *held* (a pid), *between holders* (its process
 * crashed, or its node is gone, and it is being made again) or free. Whoever resolves a name between holders may wait.
 */
import { show, TroupeError } from '../base/errors.js'
import type { IdSpace } from '../base/id-space.js'
import type { Pid } from '../base/ids.js'
import type { Clock } from '../base/runtime.js'
import type { Entry, Owner, Since } from '../coord/slot-data.js'
import type { Answer } from '../coord/slot-state.js'
import type { Slots } from '../coord/slots.js'
import { type NameRecord, writeRecord } from './record.js'

export interface NameWait {
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
}

type Waiter = () => void

export class Names {
  readonly #slots: Slots
  readonly #ids: IdSpace
  readonly #clock: Clock
  readonly #waiters = new Map<string, Set<Waiter>>()

  constructor(options: { readonly slots: Slots; readonly ids: IdSpace; readonly clock: Clock }) {
    this.#slots = options.slots
    this.#ids = options.ids
    this.#clock = options.clock
  }

  /** The holder as this node knows it; `'pending'` between holders. */
  resolve(name: string): Pid | 'pending' | undefined {
    const entry = this.#slots.entry(name)
    if (entry === undefined) return undefined
    return this.pidOf(entry) ?? 'pending'
  }

  /** The name of the holder's definition. */
  definition(name: string): string | undefined {
    return this.#slots.entry(name)?.label
  }

  /** Undefined for an entry whose process is gone, or whose node is. */
  pidOf(entry: Entry): Pid | undefined {
    if (entry.serial === undefined || this.#slots.isOrphan(entry)) return undefined
    return this.#ids.pid(entry.home.node, entry.home.creation, entry.serial)
  }

  ownerPid(owner: Owner): Pid {
    return this.#ids.pid(owner.node, owner.creation, owner.serial)
  }

  /** Registers a local process. Rejects with `ERR_ALREADY_STARTED`, `ERR_NOPROC`, `ERR_UNAVAILABLE`. */
  async register(name: string, pid: Pid, record: NameRecord, wait: NameWait): Promise<void> {
    const answer = await this.#slots.ask({
      kind: 'register',
      key: name,
      serial: pid.serial,
      value: writeRecord(record),
      label: record.definition,
      since: undefined,
      timeoutMs: wait.timeoutMs,
    })
    this.#demand(answer, name, pid)
  }

  /** Puts a local process in the place of the holder that `since` names. Rejects like `register`. */
  async replace(name: string, pid: Pid, record: NameRecord, since: Since, wait: NameWait): Promise<void> {
    const answer = await this.#slots.ask({
      kind: 'replace',
      key: name,
      serial: pid.serial,
      value: writeRecord(record),
      label: record.definition,
      since,
      timeoutMs: wait.timeoutMs,
    })
    this.#demand(answer, name, pid)
  }

  /** Frees a name, whoever holds it. False when nobody did. */
  async drop(name: string, wait: NameWait): Promise<boolean> {
    const before = this.#slots.entry(name)
    if (before === undefined) return false
    const answer = await this.#slots.ask({
      kind: 'drop',
      key: name,
      serial: undefined,
      value: undefined,
      since: before.since,
      timeoutMs: wait.timeoutMs,
    })
    if (answer.ok) return true
    if (answer.why === 'unavailable') throw unavailable(name)
    if (answer.why === 'no-quorum') throw noQuorum(name)
    return false
  }

  /** Calls back at the next change of `name`, once; the returned function gives up. */
  onChange(name: string, fn: Waiter): () => void {
    const waiters = this.#waiters.get(name) ?? new Set()
    this.#waiters.set(name, waiters.add(fn))
    return () => {
      waiters.delete(fn)
      if (waiters.size === 0 && this.#waiters.get(name) === waiters) this.#waiters.delete(name)
    }
  }

  /** Resolves to a holder once there is one, to undefined when the name is free or `wait` is over. */
  async settled(name: string, wait: NameWait): Promise<Pid | 'pending' | undefined> {
    const deadline = this.#clock.now() + wait.timeoutMs
    for (;;) {
      const now = this.resolve(name)
      const leftMs = deadline - this.#clock.now()
      if (now !== 'pending' || leftMs <= 0 || wait.signal?.aborted === true) return now
      await this.#change(name, leftMs, wait.signal)
    }
  }

  get waiting(): number {
    return this.#waiters.size
  }

  /** The slots' table changed. */
  changed(name: string): void {
    const waiters = this.#waiters.get(name)
    if (waiters === undefined) return
    this.#waiters.delete(name)
    for (const wake of waiters) wake()
  }

  #change(name: string, ms: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise(resolve => {
      const done = (): void => {
        stop()
        timer.clear()
        signal?.removeEventListener('abort', done)
        resolve()
      }
      const stop = this.onChange(name, done)
      const timer = this.#clock.after(ms, done)
      signal?.addEventListener('abort', done)
    })
  }

  #demand(answer: Answer, name: string, pid: Pid): void {
    if (answer.ok) return
    switch (answer.why) {
      case 'taken':
      case 'stale': {
        const holder = answer.owner === undefined ? undefined : this.ownerPid(answer.owner)
        throw new TroupeError(
          'ERR_ALREADY_STARTED',
          holder === undefined
            ? `the name ${show(name)} is between two holders`
            : `the name ${show(name)} is held by ${holder}`,
          { name, pid: holder },
        )
      }
      case 'noproc':
        throw new TroupeError('ERR_NOPROC', `${pid} ended before it got the name ${show(name)}`, {
          name,
          pid,
        })
      case 'unavailable':
        throw unavailable(name)
      case 'no-quorum':
        throw noQuorum(name)
      default:
        answer.why satisfies never
    }
  }
}

const noQuorum = (name: string): TroupeError =>
  new TroupeError(
    'ERR_NO_QUORUM',
    `this side of a partition lost its quorum before the name ${show(name)} was decided; nothing was changed`,
    { name },
  )

const unavailable = (name: string): TroupeError =>
  new TroupeError('ERR_UNAVAILABLE', `nobody could decide about the name ${show(name)} in time; try again`, {
    name,
  })
