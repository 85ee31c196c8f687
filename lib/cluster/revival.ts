/**
 * Named processes that are made again: where they were when they crashed, by their placement when their node is gone.
 *
 *             crash, node alive                       node gone
 *   held ───────────────────────▶ vacated    held ──────────────▶ orphan
 *                                    │ here                          │ at the slot's registrar alone
 *           too often ◀── intensity ─┤                               ├─ nobody fits: waiting, asked again when members change
 *               │                    ▼                               ▼
 *            gave up              a new process, held ── replace ──▶ granted: init runs      refused: it never ran
 *
 * A replacement is conditional on the entry it replaces, so two that try at once cannot both win, and one that lost
 * has run nothing. Failed attempts are repeated from a timer, never in a loop, and count as restarts.
 */
import { TroupeError } from '../base/errors.js'
import type { NodeId, Pid } from '../base/ids.js'
import { type ExitReason, isCleanExit } from '../base/reasons.js'
import type { Clock, Timer } from '../base/runtime.js'
import type { Entry } from '../coord/slot-data.js'
import { onCrash } from '../supervisor/restart-intensity.js'
import { type NameRecord, type Revival, readRecord } from './record.js'

/** The first pause after an attempt that failed for want of a node; doubles up to the last. */
const RETRY_MS = 50
const RETRY_MS_MAX = 2_000

export interface RevivalEffects {
  /** This side of a partition has its quorum. */
  mayAct(): boolean
  /** The entry as this node knows it now. */
  entry(name: string): Entry | undefined
  /** The same as its home knows it, which is ahead of the table. */
  holding(name: string): Entry | undefined
  isOrphan(entry: Entry): boolean
  /** Makes the process here and puts it in the entry's place. */
  startHere(entry: Entry, record: NameRecord, revival: Revival): Promise<Pid>
  /** Asks that node to. */
  startThere(node: NodeId, entry: Entry, record: NameRecord, revival: Revival): Promise<Pid>
  /** Where to try the `attempt`-th time; undefined while nobody fits. */
  place(name: string, revival: Revival, attempt: number): NodeId | undefined
  /** Removes the entry for good, sooner or later. */
  forget(name: string): void
  gaveUp(name: string, reason: ExitReason): void
  /** An attempt failed; there will be another. */
  failed(name: string, tries: number, error: unknown): void
}

interface Attempt {
  readonly name: string
  readonly here: boolean
  entry: Entry
  tries: number
  timer: Timer | undefined
  waiting: boolean
  busy: boolean
}

export class Revivals {
  readonly #self: NodeId
  readonly #clock: Clock
  readonly #effects: RevivalEffects
  readonly #attempts = new Map<string, Attempt>()
  /** When each name was restarted, for its intensity; forgotten with the name. */
  readonly #histories = new Map<string, readonly number[]>()
  #stopped = false

  constructor(options: { readonly self: NodeId; readonly clock: Clock; readonly effects: RevivalEffects }) {
    this.#self = options.self
    this.#clock = options.clock
    this.#effects = options.effects
  }

  get size(): number {
    return this.#attempts.size
  }

  isWaiting(name: string): boolean {
    return this.#attempts.get(name)?.waiting === true
  }

  /** Whether an end with `reason` is to be followed by a restart. */
  static restarts(revival: Revival | undefined, reason: ExitReason): boolean {
    if (revival === undefined) return false
    return revival.restart === 'permanent' || !isCleanExit(reason)
  }

  /** The holder, of this node, crashed, and its entry was vacated. */
  restartHere(entry: Entry, reason: ExitReason): void {
    const revival = readRecord(entry.value).revival
    if (revival === undefined || this.#stopped) return
    if (this.#counted(entry.key, revival)) this.#begin(entry, true)
    else this.#giveUp(entry.key, reason)
  }

  /** This node is the registrar of a name whose node is gone. */
  revive(entry: Entry): void {
    if (!this.#stopped) this.#begin(entry, false)
  }

  /** Members changed: those that waited for one look again. */
  membersChanged(): void {
    for (const attempt of [...this.#attempts.values()]) {
      if (!attempt.here && !attempt.busy) this.#soon(attempt, 0)
    }
  }

  /** Without a quorum attempts rest where they are. */
  quorumChanged(): void {
    if (!this.#effects.mayAct()) return
    for (const attempt of [...this.#attempts.values()]) if (!attempt.busy) this.#soon(attempt, 0)
  }

  /** The name is free, or somebody's: nothing is remembered of it. */
  released(name: string): void {
    this.#end(name)
    this.#histories.delete(name)
  }

  stop(): void {
    this.#stopped = true
    for (const name of [...this.#attempts.keys()]) this.#end(name)
  }

  #begin(entry: Entry, here: boolean): void {
    this.#end(entry.key)
    const attempt: Attempt = {
      name: entry.key,
      here,
      entry,
      tries: 0,
      timer: undefined,
      waiting: false,
      busy: false,
    }
    this.#attempts.set(entry.key, attempt)
    this.#soon(attempt, 0)
  }

  #end(name: string): void {
    this.#attempts.get(name)?.timer?.clear()
    this.#attempts.delete(name)
  }

  #soon(attempt: Attempt, ms: number): void {
    attempt.timer?.clear()
    attempt.timer = this.#clock.after(ms, () => {
      attempt.timer = undefined
      void this.#try(attempt)
    })
  }

  async #try(attempt: Attempt): Promise<void> {
    const entry = this.#due(attempt)
    if (entry === undefined) return
    const record = readRecord(entry.value)
    const { revival } = record
    if (revival === undefined) return this.#end(attempt.name)
    if (!this.#effects.mayAct()) return // quorumChanged asks again
    const node = attempt.here ? this.#self : this.#effects.place(attempt.name, revival, attempt.tries)
    attempt.waiting = node === undefined
    if (node === undefined) return // membersChanged asks again
    attempt.tries += 1
    attempt.busy = true
    try {
      if (node === this.#self) await this.#effects.startHere(entry, record, revival)
      else await this.#effects.startThere(node, entry, record, revival)
      if (this.#attempts.get(attempt.name) === attempt) this.#end(attempt.name)
    } catch (error) {
      attempt.busy = false
      this.#failed(attempt, revival, error)
    }
  }

  /** The entry that still has to be revived, by this attempt. */
  #due(attempt: Attempt): Entry | undefined {
    if (this.#stopped || this.#attempts.get(attempt.name) !== attempt || attempt.busy) return undefined
    const { name, here } = attempt
    const entry = (here ? this.#effects.holding(name) : undefined) ?? this.#effects.entry(name)
    const due =
      entry !== undefined && (attempt.here ? entry.serial === undefined : this.#effects.isOrphan(entry))
    if (!due) {
      this.#end(attempt.name)
      return undefined
    }
    attempt.entry = entry
    return entry
  }

  #failed(attempt: Attempt, revival: Revival, error: unknown): void {
    if (this.#stopped || this.#attempts.get(attempt.name) !== attempt) return
    // A process that could not be made is a crash of it. Everything else (no session, no quorum, a definition that is
    // not hosted there) says nothing about the process, and another attempt may find another node.
    if (TroupeError.is(error, 'ERR_START') && !this.#counted(attempt.name, revival)) {
      this.#end(attempt.name)
      return this.#giveUp(attempt.name, error.detail['reason'] ?? error)
    }
    this.#effects.failed(attempt.name, attempt.tries, error)
    this.#soon(attempt, Math.min(RETRY_MS_MAX, RETRY_MS * 2 ** Math.min(attempt.tries - 1, 10)))
  }

  #counted(name: string, revival: Revival): boolean {
    const verdict = onCrash(this.#histories.get(name) ?? [], this.#clock.now(), revival.intensity)
    if (verdict.verdict === 'give-up') return false
    this.#histories.set(name, verdict.history)
    return true
  }

  #giveUp(name: string, reason: ExitReason): void {
    this.#end(name)
    this.#histories.delete(name)
    this.#effects.gaveUp(name, reason)
    this.#effects.forget(name)
  }
}
