/**
 * What lies in a mailbox besides plain messages. A plain message is queued as it is, with no wrapper; everything
 * that is not a plain message is an instance of `Mail`, a class that users cannot construct, so no message that is
 * sent can pass for a call, an exit or a down.
 */

import type { TroupeError } from '../base/errors.js'
import type { NodeId, Pid, Ref } from '../base/ids.js'
import type { DownReason } from '../base/member.js'
import type { ExitReason } from '../base/reasons.js'

/** `'busy'`: accepted, but the way there is filling up. `'full'`: refused and counted. */
export type Sent = 'ok' | 'busy' | 'full'

export abstract class Mail {}

/**
 * A value from another node, still encoded. It is opened in the receiving process's turn, so that bad bytes harm one
 * delivery and nothing else. Stands for a plain message in a mailbox, or for the payload of a `Cast` or `Request`.
 */
export abstract class Encoded extends Mail {
  /** Counted against `mailboxBytesMax` while it waits. */
  abstract readonly byteLength: number
  /** Decodes. Throws `TroupeError` (`ERR_PAYLOAD`) on bytes that do not pass. */
  abstract open(): unknown
}

/** A cast: a tag and a payload, no answer. */
export class Cast extends Mail {
  readonly tag: string
  /** May be `Encoded`. */
  readonly payload: unknown

  constructor(tag: string, payload: unknown) {
    super()
    this.tag = tag
    this.payload = payload
  }
}

/**
 * A call that waits for its answer: the first of `reply` and `fail` settles it, everything later is dropped. A
 * process that dies fails the requests in its mailbox, the one it was handling and those it promised to answer later.
 */
export abstract class Request extends Mail {
  readonly tag: string
  /** May be `Encoded`. */
  readonly payload: unknown
  /** The caller, which may be on another node. */
  readonly caller: Pid

  constructor(tag: string, payload: unknown, caller: Pid) {
    super()
    this.tag = tag
    this.payload = payload
    this.caller = caller
  }

  /** Where `remote/` keeps this request while it waits for a reply from another node. 0: nowhere. */
  ticket = 0

  /** No answer is awaited (any more): replied, failed, timed out, aborted, or its caller is gone. */
  abstract readonly settled: boolean
  /**
   * Answers. A value that cannot cross to a remote caller throws here (`ERR_PAYLOAD`, `ERR_TOO_LARGE`) and leaves the
   * request unsettled. `value` may be `Encoded` when it comes from another node.
   */
  abstract reply(value: unknown): void
  /** The caller's promise rejects with `error`; `ERR_EXIT` carries the callee's reason in `detail.reason`. */
  abstract fail(error: TroupeError): void
}

/** Told to a process that traps exits; others die instead. */
export class ExitSignal extends Mail {
  readonly type = 'exit'
  readonly pid: Pid
  readonly reason: ExitReason

  constructor(pid: Pid, reason: ExitReason) {
    super()
    this.pid = pid
    this.reason = reason
  }
}

/** Where a monitor by name pointed when it was made. */
export interface NameOnNode {
  readonly name: string
  readonly node: string
}

/** Told once to the owner of a monitor. */
export class DownSignal extends Mail {
  readonly type = 'down'
  readonly ref: Ref
  /** Undefined only for a monitor by name of nobody. */
  readonly pid: Pid | undefined
  readonly reason: ExitReason
  /** For a monitor by name: the name as it was given. */
  readonly target: NameOnNode | undefined
  /** The `tag` option of `monitor`, else undefined. */
  readonly tag: unknown

  constructor(
    ref: Ref,
    pid: Pid | undefined,
    reason: ExitReason,
    target: NameOnNode | undefined,
    tag: unknown,
  ) {
    super()
    this.ref = ref
    this.pid = pid
    this.reason = reason
    this.target = target
    this.tag = tag
  }
}

/** Told to those who monitor nodes: a session with `node` is open. Ahead of everything that comes over it. */
export class NodeUpSignal extends Mail {
  readonly type = 'nodeup'
  /** What `monitorNodes` returned. */
  readonly ref: Ref
  readonly node: NodeId
  readonly creation: number

  constructor(ref: Ref, node: NodeId, creation: number) {
    super()
    this.ref = ref
    this.node = node
    this.creation = creation
  }
}

/** Told to those who monitor a node, or all: behind the exits and downs of everybody there. */
export class NodeDownSignal extends Mail {
  readonly type = 'nodedown'
  /** What `monitorNode` or `monitorNodes` returned. */
  readonly ref: Ref
  readonly node: NodeId
  /** Undefined when there was no session. */
  readonly creation: number | undefined
  /** `'disconnect'` when this node ended it, `'noconnection'` when there was no session. */
  readonly reason: DownReason | 'noconnection'

  constructor(ref: Ref, node: NodeId, creation: number | undefined, reason: DownReason | 'noconnection') {
    super()
    this.ref = ref
    this.node = node
    this.creation = creation
    this.reason = reason
  }
}

/** What a member of a group says of itself: scalars by name. */
export type GroupMeta = Readonly<Record<string, string | number | boolean | null>>

/** One occurrence of a process in a group. */
export interface Present {
  readonly pid: Pid
  readonly meta: GroupMeta | undefined
}

/** Told to whoever monitors a group, or a scope, in the order in which this node learnt of it. */
export class GroupSignal extends Mail {
  readonly type = 'group'
  /** Of the monitor. */
  readonly ref: Ref
  /** `'lost'`: the monitor is over, because the mailbox was full or the scope was closed. Nothing follows. */
  readonly event: 'join' | 'leave' | 'lost'
  readonly scope: string
  /** Undefined only when a monitor of the whole scope is `'lost'`. */
  readonly group: string | undefined
  /** One for each occurrence. */
  readonly pids: readonly Pid[]
  /** The same, with what they say of themselves. */
  readonly present: readonly Present[]

  constructor(
    ref: Ref,
    event: 'join' | 'leave' | 'lost',
    scope: string,
    group: string | undefined,
    present: readonly Present[],
  ) {
    super()
    this.ref = ref
    this.event = event
    this.scope = scope
    this.group = group
    this.pids = present.map(({ pid }) => pid)
    this.present = present
  }
}

/** The expiry of a `startTimer`. */
export class TimerSignal extends Mail {
  readonly type = 'timer'
  readonly ref: Ref
  readonly message: unknown

  constructor(ref: Ref, message: unknown) {
    super()
    this.ref = ref
    this.message = message
  }
}
