/**
 * One process: its mailbox, its phase and what ties it to others, all of it made when first needed, because most
 * processes of a large system are idle.
 *
 *   held ──▶ ready ⇄ running ──▶ idle ──▶ ready …        held: created, waiting for its name
 *                      │  ▲                              parked: a handler returned a promise; mail queues
 *                      ▼  │
 *                     parked          any of them ──▶ dead
 *
 * A subclass is a behaviour. Fields are plain, not `#private`, because the table and the scheduler are written around
 * them and this is the hottest object of the runtime; nothing outside of rooms that know behaviours gets to see it.
 */
import type { Pid, Ref } from '../base/ids.js'
import type { ExitReason } from '../base/reasons.js'
import { RingQueue } from '../base/ring-queue.js'
import { Cast, Encoded, Mail, type NameOnNode, Request } from './mail.js'
import type { LocalRequest } from './pending-calls.js'
import type { Timing } from './timer-heap.js'

export const Phase = { held: 0, idle: 1, ready: 2, running: 3, parked: 4, dead: 5 } as const

/** Something that is kept for a process elsewhere, and ends when its names do: before anybody is told of its death. */
export interface Belonging {
  /** What the process is called by it. */
  readonly name?: string | undefined
  /** The process is dead, or never came to be. Must not throw, nor run user code before a later turn. */
  lost(reason: ExitReason): void
}

export abstract class Process {
  readonly pid: Pid
  phase: number = Phase.held
  started = false
  trapping = false
  mailbox: RingQueue<unknown> | undefined = undefined
  /** Undecoded bytes in the mailbox. */
  mailBytes = 0
  ties: Ties | undefined = undefined
  /** Messages that it began to handle, at the end of the last slice; the start counts as one. */
  handled = 0

  constructor(pid: Pid) {
    this.pid = pid
  }

  /** Runs first, once. A promise parks the process until it resolves; it never rejects. */
  abstract begin(): Promise<void> | undefined
  /** Handles one message; never throws. A promise parks the process until it resolves; it never rejects. */
  abstract receive(mail: unknown): Promise<void> | undefined
  /** The process is dead and everybody knows: settle what it owes. */
  abstract ended(reason: ExitReason): void
  /** The process is dead and nobody has been told yet. */
  leaving(): void {}
  /** An exit signal has been put into the mailbox of this process, which traps exits. */
  exitComing(_from: Pid): void {}
  /** Whether this mail is taken even while the process is suspended. */
  heeds(_mail: unknown): boolean {
    return false
  }

  /** Handles at most `limit` messages. Returns how many. */
  step(limit: number, park: (process: Process, until: Promise<void>) => void): number {
    let handled = 0
    if (!this.started) {
      this.started = true
      handled = 1
      const until = this.begin()
      if (until !== undefined) {
        park(this, until)
        this.handled = handled
        return handled
      }
    }
    // Looked at once: a process that is suspended while it runs waits for a promise, which ends the slice.
    const debugged = this.ties === undefined ? undefined : this.ties.debugged
    while (handled < limit && this.phase === Phase.running) {
      const box = this.mailbox
      if (box === undefined || box.isEmpty) break
      if (debugged !== undefined && !debugged.ready(box)) break
      const mail = box.shift()
      if (this.mailBytes !== 0) this.mailBytes -= bytesOf(mail)
      handled += 1
      const until = this.receive(mail)
      if (until !== undefined) {
        park(this, until)
        break
      }
    }
    this.handled += handled
    return handled
  }

  /** Whether there is something to do for `step`. */
  get hasMail(): boolean {
    const { mailbox, ties } = this
    if (mailbox === undefined || mailbox.isEmpty) return false
    return ties?.debugged === undefined || ties.debugged.wants(mailbox)
  }

  get suspended(): boolean {
    return this.ties?.debugged?.suspended === true
  }

  get dead(): boolean {
    return this.phase === Phase.dead
  }

  tied(): Ties {
    if (this.ties === undefined) this.ties = new Ties()
    return this.ties
  }

  box(): RingQueue<unknown> {
    if (this.mailbox === undefined) this.mailbox = new RingQueue()
    return this.mailbox
  }
}

/** Everything that ends with the process. Sets keep the order of insertion, so fan-outs are deterministic. */
export class Ties {
  /** By process for local peers, by printed pid for others: remote pids may lose their identity. */
  links: Map<Process | string, Pid> | undefined = undefined
  /** Monitors that this process owns, by the counter of their ref. */
  monitors: Map<number, Monitor> | undefined = undefined
  /** Monitors that watch this process. */
  watchers: Set<Monitor> | undefined = undefined
  /** Timers whose destination is this process. */
  timers: Set<Timing> | undefined = undefined
  names: Set<string> | undefined = undefined
  belongings: Set<Belonging> | undefined = undefined
  /** Counters of the refs that are addresses of this process. */
  aliases: Set<number> | undefined = undefined
  /** First of the requests that this process waits for. */
  asked: LocalRequest | undefined = undefined
  /** While the process is suspended or traced. */
  debugged: Debugged | undefined = undefined

  /** All that the process is called on this node, to be shown. */
  called(): readonly string[] {
    const others = [...(this.belongings ?? [])].map(({ name }) => name)
    return [...(this.names ?? []), ...others.filter(name => name !== undefined)]
  }
}

/** What a debugger does to a process. */
export interface Debugged {
  suspended: boolean
  /** Whether mail is to be taken. */
  wants(box: RingQueue<unknown>): boolean
  /** The same, before mail is taken: it is the first of `box` then. */
  ready(box: RingQueue<unknown>): boolean
  /** For processes that choose their mail: this is what they begin to handle, and so many wait. */
  taken(mail: unknown, waiting: number): void
  /** The process is dead. */
  ended(reason: ExitReason): void
}

export type AliasMode = 'demonitor' | 'reply_demonitor' | 'explicit_unalias'

export interface Monitor {
  readonly ref: Ref
  /** A process of this node, or the pid of another. */
  readonly watcher: Process | Pid
  /** A process of this node, or who it is on another; undefined when there was nobody. */
  readonly watched: Process | Pid | NameOnNode | undefined
  readonly target: NameOnNode | undefined
  readonly tag: unknown
  readonly alias: AliasMode | undefined
}

/** What a piece of mail counts against `mailboxBytesMax`. */
export function bytesOf(mail: unknown): number {
  if (!(mail instanceof Mail)) return 0
  if (mail instanceof Encoded) return mail.byteLength
  if (mail instanceof Cast || mail instanceof Request) {
    return mail.payload instanceof Encoded ? mail.payload.byteLength : 0
  }
  return 0
}
