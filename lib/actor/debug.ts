/** What `node.debug` offers, as interfaces: declared here, below `debugging.ts`, because `Node` names them. */
import type { Pid } from '../base/ids.js'
import type { WaitOptions } from '../base/options.js'
import type { ExitReason } from '../base/reasons.js'
import type { NameOnNode } from '../process/mail.js'
import type { AnyRef } from './api.js'

/** A process to look into: its pid, a ref to it, or its name. */
export type Inspected = Pid | AnyRef | string

/** One piece of mail, for people. Payloads are the values themselves, not copies: to be looked at only. */
export interface MailShown {
  readonly type:
    | 'call'
    | 'cast'
    | 'message'
    | 'exit'
    | 'down'
    | 'group'
    | 'timer'
    | 'timeout'
    | 'nodeup'
    | 'nodedown'
  /** Of calls and casts. */
  readonly tag: string | undefined
  /** The caller; for exits and downs whoever ended. */
  readonly from: Pid | undefined
  /** The payload, message, or reason; the node that came, or went and why. */
  readonly payload: unknown
}

/** `'waiting'`: a handler awaits something, or a process function something other than mail. */
export type ProcessStatus = 'starting' | 'idle' | 'runnable' | 'running' | 'waiting' | 'suspended'

/** What is known of one process of this node at this moment. */
export interface ProcessDetails {
  readonly pid: Pid
  /** Undefined for a process function. */
  readonly definition: string | undefined
  readonly names: readonly string[]
  readonly status: ProcessStatus
  /** Who spawned it with a link. It may have ended since. */
  readonly parent: Pid | undefined
  /** Messages that wait. */
  readonly mailbox: number
  /** What its handler has in hand. */
  readonly current: MailShown | undefined
  /** Messages that it began to handle, requests of debuggers among them; the start counts as one. */
  readonly reductions: number
  readonly trapsExits: boolean
  readonly links: readonly Pid[]
  /** Whom it watches. Undefined stands for nobody, who was watched by name. */
  readonly monitors: readonly (Pid | NameOnNode | undefined)[]
  readonly monitoredBy: readonly Pid[]
  /** Timers whose destination it is. */
  readonly timers: number
  /**
   * An estimate of what its state and mail hold, in bytes: by walking over at most 10,000 values, so that it is too low
   * for larger ones. What several processes share is counted for each.
   */
  readonly memoryBytes: number
}

export interface TraceOptions {
  /** Events kept for a slow reader, 1 to 1,000,000; beyond it the oldest is dropped. Default 1,000. */
  readonly bufferMax?: number | undefined
  /** Ends the trace. */
  readonly signal?: AbortSignal | undefined
}

/** A message that its process began to handle; last, when the process has ended, `'ended'` with the reason as payload. */
export interface TraceEvent extends Omit<MailShown, 'type'> {
  readonly type: MailShown['type'] | 'ended'
  /** On the node's own clock: only differences mean something. */
  readonly atMs: number
  /** Messages that wait behind it. */
  readonly mailbox: number
}

/** Events in order, from the call of `trace` on. Leaving the loop ends the trace. */
export interface Trace extends AsyncIterable<TraceEvent> {
  /** Events that a full buffer has dropped so far. */
  readonly dropped: number
  stop(): void
}

type NotFunction = object & { readonly [Symbol.hasInstance]?: never }
type NotPromise = object & { readonly then?: never }

/** For `getState`. */
export interface StateOptions extends WaitOptions {
  /** The state itself, past the definition's `inspect`. Of this node's processes only. Default false. */
  readonly raw?: boolean | undefined
}

/**
 * Looking into running processes, and reaching into them: `node.debug`. For people, tests and tools; a program that
 * needs it to work is missing a call.
 *
 * `getState`, `replaceState`, `suspend` and `resume` are requests that take their turn in the mailbox, so they see the
 * effect of everything that was sent before, and work for processes of other nodes, too. They reject with `ERR_NOPROC`,
 * `ERR_TIMEOUT` (the process is busy: `info` says with what), `ERR_EXIT`, `ERR_CALLING_SELF`, and of another node as
 * calls do. `info`, `trace` and `crash` act at once, on processes of this node alone: a `TypeError` for others.
 *
 * A process function has no state (`ERR_UNKNOWN_TAG`), and heeds the others while it waits in `receive`.
 *
 * ```ts
 * const node = await createNode()
 * await node.debug.suspend('visits')
 * console.log(node.debug.info('visits')?.mailbox, await node.debug.getState('visits'))
 * await node.debug.resume('visits')
 * ```
 */
export interface Debug {
  /**
   * The state, as the definition's `inspect` shows it (of a supervisor: its children). What comes is the object itself
   * and no copy, unless the process is another node's: then it must be able to cross (`ERR_PAYLOAD`).
   */
  getState(target: Inspected, options?: StateOptions): Promise<unknown>
  /**
   * Puts another state in place: an object of the same class (a supervisor's is its own), or what a function of the state (itself, past `inspect`) returns; if that is
   * undefined the state stays the object it is. What the function throws is the rejection, and changes nothing. For a
   * process of another node only an object. Resolves when it is done.
   */
  replaceState(
    target: Inspected,
    change: (state: never) => NotPromise | undefined | void,
    options?: WaitOptions,
  ): Promise<void>
  replaceState<State extends NotFunction>(
    target: Inspected,
    state: State,
    options?: WaitOptions,
  ): Promise<void>
  /**
   * The process takes no more mail until `resume`: it queues, calls time out, a handler that waits goes on. Exit signals
   * end it as ever, and an actor that traps them ends with its parent. So do `ref.stop` and `node.stop`.
   */
  suspend(target: Inspected, options?: WaitOptions): Promise<void>
  /** Goes on with the mail that has come meanwhile. Nothing happens to a process that was not suspended. */
  resume(target: Inspected, options?: WaitOptions): Promise<void>
  /** The messages of one process, live, as it begins to handle them. Throws `ERR_NOPROC`; `RangeError` for a 17th trace. */
  trace(target: Inspected, options?: TraceOptions): Trace
  /** Undefined when there is no such process (any more). */
  info(target: Inspected): ProcessDetails | undefined
  /**
   * Ends a process at once, whatever it is doing and whether it traps exits or not, as a fault of its own: links and
   * monitors are told `reason`, a crash report is made. `terminate` does not run. For tests and drills.
   */
  crash(target: Inspected, reason: ExitReason): void
}
