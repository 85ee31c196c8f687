/**
 * The processes of one node and every signal between them: the door of this room.
 *
 * Laws:
 *  - Signals and messages act at once; user code runs later, in a drain.
 *  - A death is settled in one go and in this order, so that whoever is told of it finds it settled:
 *      dead → names free, belongings lost → timers gone → exits to links → downs to watchers → unanswered requests fail
 *  - `'kill'` is special only as a signal from outside; along a link it is a reason like any other.
 *  - Limits of a mailbox hold for messages. Signals (exit, down) always arrive.
 *  - What throws where nothing may costs its own process at most: the next deaths and the next mail have their turn.
 *
 * What it does not do: log, restart, know what a process is for.
 */
import { TroupeError } from '../base/errors.js'
import type { IdSpace } from '../base/id-space.js'
import type { Pid, Ref } from '../base/ids.js'
import type { Limits } from '../base/limits.js'
import type { ExitReason } from '../base/reasons.js'
import { RingQueue } from '../base/ring-queue.js'
import type { Runtime } from '../base/runtime.js'
import { IncomingSignals } from './incoming.js'
import { LocalNames } from './local-names.js'
import {
  DownSignal,
  ExitSignal,
  GroupSignal,
  type Mail,
  type NameOnNode,
  Request,
  type Sent,
} from './mail.js'
import { Monitors, refuseAbove } from './monitors.js'
import { type CopyLocal, nameOf, PendingCalls } from './pending-calls.js'
import { type Belonging, bytesOf, Phase, type Process } from './process.js'
import { ProcessIndex } from './process-index.js'
import { ProcessTimers } from './process-timers.js'
import type { Local, Remote } from './remote.js'
import { Scheduler } from './scheduler.js'
import { TimerHeap } from './timer-heap.js'
import { Unreachable } from './unreachable.js'

export type MailboxPolicy = 'fail' | 'drop-new' | 'drop-old'
export type Recipient = Pid | NameOnNode | string | Ref

/**
 * What the core tells its owner. Hooks are called on the stack of whoever caused the event: they must not throw, and
 * must not run user code before a later turn.
 */
export interface ProcessHooks {
  /** Dead, local names free, nobody told yet: where cluster-wide names are given up. */
  died(pid: Pid, reason: ExitReason): void
  /** A message that reaches nobody. */
  deadLetter(to: Recipient, message: unknown, why: string): void
  /** A mailbox holds this many messages: told at each power of two from 16,384, and of each message that did not fit. */
  crowded(pid: Pid, messages: number): void
  /** A signal (exit, down, timer) was put into the mailbox of `pid`. Asked for by simulated runs. */
  told?: ((pid: Pid, signal: Mail) => void) | undefined
  /** `process` held the event loop for `ms`, with this mail in hand, or `BEGINNING`. */
  slow(process: Process, mail: unknown, ms: number): void
  /** A bug of this runtime: what ran for `pid` threw where nothing may, and everybody else goes on. */
  fault(pid: Pid | undefined, error: unknown): void
}

export interface ProcessOptions {
  readonly runtime: Pick<Runtime, 'clock' | 'loop'>
  readonly ids: IdSpace
  readonly limits: Limits
  readonly hooks: ProcessHooks
  /** Default `'fail'`. */
  readonly mailboxPolicy?: MailboxPolicy | undefined
  readonly copyLocal?: CopyLocal | undefined
  /** Turns end by count alone, never by the clock: for simulated runs. */
  readonly countOnly?: boolean | undefined
  /** A handler that holds the loop for longer is told of. Default: none is. */
  readonly overrunMs?: number | undefined
  /** Wraps what runs a process's code; see `attribution`. */
  readonly within?: ((process: Process, fn: () => void) => void) | undefined
}

type DeathStep = (table: ProcessTable, process: Process, reason: ExitReason) => void

/** From here on a mailbox is watched. */
const CROWDED = 10_000

export class ProcessTable {
  readonly ids: IdSpace
  readonly limits: Limits
  readonly scheduler: Scheduler
  readonly timers: TimerHeap
  readonly sendTimers: ProcessTimers
  readonly calls: PendingCalls
  readonly names: LocalNames
  readonly monitors: Monitors
  /** For what comes in from other nodes. */
  readonly local: Local
  /** For what goes out. */
  remote: Remote
  /** Stands for code outside of processes: no process, but alive as long as the node, for those who monitor it. */
  outside: Pid | undefined = undefined
  readonly copyLocal: CopyLocal | undefined
  readonly counters = { spawned: 0, deadLetters: 0, refused: 0, dropped: 0, faults: 0 }
  readonly #hooks: ProcessHooks
  readonly #processes = new ProcessIndex()
  readonly policy: MailboxPolicy
  /** The least number of messages at which a mailbox needs a second look. */
  readonly #watchFrom: number
  readonly #deaths = new RingQueue<{ readonly process: Process; readonly reason: ExitReason }>()
  #settling = false
  static readonly #RELEASING: readonly DeathStep[] = [
    (table, process, reason) => table.free(process, reason),
    (table, process, reason) => table.#hooks.died(process.pid, reason),
  ]
  static readonly #SETTLING: readonly DeathStep[] = [(_table, process) => process.leaving()]
  static readonly #UNTYING: readonly DeathStep[] = [
    (table, process) => table.sendTimers.cancelAllAt(process),
    (table, process) => table.monitors.dropAllOf(process),
    (table, process, reason) => table.#breakLinks(process, reason),
    (table, process, reason) => table.monitors.tellWatchersOf(process, reason),
    (table, process) => table.calls.abandonAllOf(process),
    (_table, process, reason) => process.ties?.debugged?.ended(reason),
  ]
  static readonly #ENDING: readonly DeathStep[] = [
    (table, process, reason) => table.#emptyMailbox(process, reason),
    (_table, process, reason) => process.ended(reason),
  ]

  constructor(options: ProcessOptions) {
    const { runtime, ids, limits, hooks, copyLocal } = options
    this.ids = ids
    this.limits = limits
    this.#hooks = hooks
    this.copyLocal = copyLocal
    this.policy = options.mailboxPolicy ?? 'fail'
    this.#watchFrom = Math.min(CROWDED, limits.mailboxMax)
    const { clock, loop } = runtime
    this.scheduler = new Scheduler({
      clock,
      loop,
      countOnly: options.countOnly ?? false,
      overrunMs: options.overrunMs ?? Number.POSITIVE_INFINITY,
      slow: (process, mail, ms) => hooks.slow(process, mail, ms),
      broke: (process, error) => {
        this.#fault(process?.pid, error)
        if (process !== undefined) this.die(process, error)
      },
      within: options.within,
    })
    this.timers = new TimerHeap(clock)
    this.sendTimers = new ProcessTimers(ids, this.timers, limits.perProcessMax)
    this.calls = new PendingCalls(this.timers, limits.pendingCallsMax, copyLocal)
    this.names = new LocalNames(limits.perProcessMax)
    this.monitors = new Monitors({
      ids,
      perProcessMax: limits.perProcessMax,
      remote: () => this.remote,
      tell: (process, signal) => this.tell(process, signal),
    })
    this.local = new IncomingSignals(this)
    this.remote = new Unreachable(this.local, (to, message, why) => this.deadLetter(to, message, why))
    ids.own = serial => this.#processes.get(serial)?.pid
  }

  get size(): number {
    return this.#processes.size
  }

  /** In the order in which they were made. */
  all(): Process[] {
    return this.#processes.all()
  }

  /** Takes in a new process, still held. Throws `ERR_BUSY` at `processesMax`. */
  add(process: Process): void {
    if (this.#processes.size >= this.limits.processesMax) {
      throw new TroupeError(
        'ERR_BUSY',
        `this node has ${this.#processes.size} processes, as many as it may`,
        {
          limit: 'processesMax',
        },
      )
    }
    this.counters.spawned += 1
    this.#processes.add(process)
  }

  /** Lets a held process begin. */
  start(process: Process): void {
    if (process.phase === Phase.held) this.scheduler.wake(process)
  }

  get(serial: number): Process | undefined {
    return this.#processes.get(serial)
  }

  /** The live process of this node behind a pid. */
  find(pid: Pid): Process | undefined {
    return this.#processes.glance(pid) ?? (this.ids.isOwn(pid) ? this.#processes.get(pid.serial) : undefined)
  }

  /** Of this node's name, in this life or an earlier one: never a matter for `Remote`. */
  isHere(pid: { readonly node: string }): boolean {
    return pid.node === this.ids.node
  }

  // Mail.

  /** A message into the mailbox, within its limits. `mail` is counted or refused by the node's policy. */
  push(process: Process, mail: unknown): Sent {
    const box = process.mailbox ?? process.box()
    if (box.length >= this.#watchFrom && !this.#admit(process, box, 0)) return 'full'
    box.push(mail)
    if (process.phase === Phase.idle) this.scheduler.wake(process)
    return 'ok'
  }

  /** As `push`, for mail that may hold undecoded bytes. */
  pushFromAfar(process: Process, mail: Mail): Sent {
    const bytes = bytesOf(mail)
    const box = process.box()
    if (bytes > 0 || box.length >= this.#watchFrom) {
      if (!this.#admit(process, box, bytes)) return 'full'
      process.mailBytes += bytes
    }
    box.push(mail)
    if (process.phase === Phase.idle) this.scheduler.wake(process)
    return 'ok'
  }

  /** A signal into the mailbox, which no limit stops. */
  tell(process: Process, signal: Mail): void {
    if (process.phase === Phase.dead) return
    this.#hooks.told?.(process.pid, signal)
    process.box().push(signal)
    if (process.phase === Phase.idle) this.scheduler.wake(process)
  }

  deadLetter(to: Recipient, message: unknown, why: string): void {
    this.counters.deadLetters += 1
    this.#hooks.deadLetter(to, message, why)
  }

  /** A request to a process of this node; settles it when it cannot be delivered. */
  pushRequest(process: Process | undefined, to: Pid | NameOnNode, request: Request): void {
    if (process === undefined || process.phase === Phase.dead) request.fail(noprocError(to, request.tag))
    else if (this.push(process, request) === 'full') request.fail(fullError(process.pid, request.tag))
  }

  // Names, and what else is kept for a process.

  /** Throws `RangeError` at `perProcessMax`. Whoever keeps it takes it out of `ties.belongings` again. */
  entrust(process: Process, belonging: Belonging): void {
    const ties = process.tied()
    if (ties.belongings === undefined) ties.belongings = new Set()
    refuseAbove(ties.belongings.size, this.limits.perProcessMax, process, 'belongings')
    ties.belongings.add(belonging)
  }

  /** Whatever others find the process by is free again. */
  free(process: Process, reason: ExitReason): void {
    this.names.freeAllOf(process)
    for (const belonging of process.ties?.belongings ?? []) belonging.lost(reason)
  }

  // Exits and links.

  /** Erlang's `exit/2`. */
  exit(from: Pid, to: Pid, reason: ExitReason): void {
    if (!this.isHere(to)) {
      this.remote.exit(from, to, reason)
      return
    }
    const target = this.find(to)
    if (target !== undefined) this.exitSignal(target, from, reason)
  }

  /** An exit signal aimed at `target` by `from`, linked or not. */
  exitSignal(target: Process, from: Pid, reason: ExitReason): void {
    if (target.phase === Phase.dead) return
    if (reason === 'kill') this.die(target, 'killed')
    else if (target.trapping) this.#trap(target, from, reason)
    else if (reason !== 'normal' || target.pid === from) this.die(target, reason)
  }

  /** A link of `target` broke because `from` ended. */
  linkSignal(target: Process, from: Pid, reason: ExitReason): void {
    if (target.phase === Phase.dead) return
    if (target.trapping) this.#trap(target, from, reason)
    else if (reason !== 'normal') this.die(target, reason)
  }

  #trap(target: Process, from: Pid, reason: ExitReason): void {
    this.tell(target, new ExitSignal(from, reason))
    target.exitComing(from)
  }

  link(process: Process, to: Pid): void {
    if (process.pid === to) return
    if (!this.isHere(to)) {
      if (!noteLink(process, to.toString(), to, this.limits.perProcessMax)) return
      this.remote.link(process.pid, to)
      return
    }
    const peer = this.find(to)
    if (peer !== undefined) {
      if (noteLink(process, peer, to, this.limits.perProcessMax)) {
        noteLink(peer, process, process.pid, Number.POSITIVE_INFINITY)
      }
      return
    }
    if (!process.trapping) throw new TroupeError('ERR_NOPROC', `link: there is no process ${to}`, { pid: to })
    this.tell(process, new ExitSignal(to, 'noproc'))
  }

  unlink(process: Process, to: Pid): void {
    const peer = this.isHere(to) ? this.find(to) : undefined
    const links = process.ties?.links
    if (links?.delete(peer ?? to.toString()) !== true) return
    if (peer !== undefined) peer.ties?.links?.delete(process)
    else this.remote.unlink(process.pid, to)
  }

  /**
   * Ends the process, at once and whatever it is doing. What follows from a death may be further deaths: they are
   * settled one after the other, not one inside the other, so that a chain of links may be as long as it likes.
   */
  die(process: Process, reason: ExitReason): void {
    if (process.phase === Phase.dead) return
    process.phase = Phase.dead
    this.#processes.remove(process.pid.serial)
    this.#each(ProcessTable.#RELEASING, process, reason)
    this.#deaths.push({ process, reason })
    if (this.#settling) return
    this.#settling = true
    for (let next = this.#deaths.shift(); next !== undefined; next = this.#deaths.shift()) {
      this.#settle(next.process, next.reason)
    }
    this.#settling = false
  }

  #settle(process: Process, reason: ExitReason): void {
    this.#each(ProcessTable.#SETTLING, process, reason)
    if (process.ties !== undefined) this.#each(ProcessTable.#UNTYING, process, reason)
    this.#each(ProcessTable.#ENDING, process, reason)
    process.ties = undefined
  }

  /** Each step, whatever becomes of the one before. */
  #each(steps: readonly DeathStep[], process: Process, reason: ExitReason): void {
    for (const step of steps) {
      try {
        step(this, process, reason)
      } catch (error) {
        this.#fault(process.pid, error)
      }
    }
  }

  #fault(pid: Pid | undefined, error: unknown): void {
    this.counters.faults += 1
    try {
      this.#hooks.fault(pid, error)
    } catch {
      // Nobody is left to tell; it is counted.
    }
  }

  #breakLinks(process: Process, reason: ExitReason): void {
    const links = process.ties?.links
    if (links === undefined) return
    for (const [peer, pid] of links) {
      if (typeof peer === 'string') {
        this.remote.linkBroken(process.pid, pid, reason)
      } else {
        peer.ties?.links?.delete(process)
        this.linkSignal(peer, process.pid, reason)
      }
    }
    links.clear()
  }

  #emptyMailbox(process: Process, reason: ExitReason): void {
    const box = process.mailbox
    process.mailbox = undefined
    process.mailBytes = 0
    if (box === undefined || box.isEmpty) return
    for (const mail of box) {
      if (mail instanceof Request) mail.fail(exitError(process.pid, mail.tag, reason))
    }
  }

  /** Whether a message may enter a mailbox that is long, or that holds bytes. */
  #admit(process: Process, box: RingQueue<unknown>, bytes: number): boolean {
    const { mailboxMax, mailboxBytesMax } = this.limits
    const { length } = box
    const fits = (): boolean =>
      box.length < mailboxMax && (bytes === 0 || process.mailBytes + bytes <= mailboxBytesMax)
    const fit = fits()
    if (!fit || (length >= CROWDED && (length & (length - 1)) === 0)) this.#hooks.crowded(process.pid, length)
    if (fit) return true
    if (this.policy === 'drop-old' && bytes <= mailboxBytesMax) {
      while (!fits() && this.#dropOldest(process, box)) {}
      if (fits()) return true
    }
    if (this.policy === 'fail') this.counters.refused += 1
    else this.counters.dropped += 1
    return false
  }

  /** Makes room by the oldest message that is no signal. False when there is none. */
  #dropOldest(process: Process, box: RingQueue<unknown>): boolean {
    for (let i = 0; i < box.length; i++) {
      const mail = box.at(i)
      if (mail instanceof ExitSignal || mail instanceof DownSignal || mail instanceof GroupSignal) continue
      box.takeAt(i)
      process.mailBytes -= bytesOf(mail)
      this.counters.dropped += 1
      if (mail instanceof Request) mail.fail(fullError(process.pid, mail.tag))
      return true
    }
    return false
  }
}

function noteLink(process: Process, key: Process | string, pid: Pid, max: number): boolean {
  const ties = process.tied()
  if (ties.links === undefined) ties.links = new Map()
  if (ties.links.has(key)) return false
  if (ties.links.size >= max)
    throw new RangeError(`${process.pid} has ${ties.links.size} links, as many as it may`)
  ties.links.set(key, pid)
  return true
}

/** For links that come in from another node. */
export const noteRemoteLink = (process: Process, peer: Pid): boolean =>
  noteLink(process, peer.toString(), peer, Number.POSITIVE_INFINITY)

export const noprocError = (to: Pid | NameOnNode | string, tag: string): TroupeError =>
  new TroupeError('ERR_NOPROC', `no process ${nameOf(to)} to call ${JSON.stringify(tag)} on`, { to, tag })

export const fullError = (pid: Pid, tag: string): TroupeError =>
  new TroupeError(
    'ERR_MAILBOX_FULL',
    `the mailbox of ${pid} is full: ${JSON.stringify(tag)} was not enqueued`,
    {
      pid,
      tag,
    },
  )

export const exitError = (pid: Pid, tag: string, reason: ExitReason): TroupeError =>
  new TroupeError(
    'ERR_EXIT',
    `${pid} ended before it replied to ${JSON.stringify(tag)}`,
    { pid, tag, reason },
    reason instanceof Error ? reason : undefined,
  )
