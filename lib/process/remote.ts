/**
 * The two halves of the door between processes and other nodes. `Remote` is what the process core asks of whoever
 * reaches other nodes (`remote/` implements it; a node without a mesh answers everything with `noconnection`).
 * `Local` is what the core offers to signals that come in. Neither knows bytes.
 *
 * Every function is synchronous, and for one pair of processes the order of calls is the order of effects at the
 * other end. None of them runs user code.
 */
import type { Pid, Ref } from '../base/ids.js'
import type { ExitReason } from '../base/reasons.js'
import type { Cast, Encoded, NameOnNode, Request, Sent } from './mail.js'

/** All pids named `peer`, `to` or `watched` belong to other nodes; stale creations are `Remote`'s to notice. */
export interface Remote {
  /** A plain message. No session: dropped, as a dead letter. Throws `ERR_PAYLOAD`, `ERR_TOO_LARGE`. */
  send(from: Pid, to: Pid | NameOnNode, message: unknown): Sent
  cast(from: Pid, to: Pid | NameOnNode, tag: string, payload: unknown): Sent
  /** Settles `request` in every case: reply, `ERR_NOCONNECTION`, `ERR_NOPROC`, `ERR_BUSY`. Throws as `send`. */
  request(to: Pid | NameOnNode, request: Request): void
  /** The caller no longer waits: a late reply is to be dropped. */
  abandon(request: Request): void

  /** `local` has noted the link. Answered, when it fails, by `Local.linkExit` (`noproc`, `noconnection`). */
  link(local: Pid, peer: Pid): void
  /** `local` has forgotten the link. A late exit of it must not come through. */
  unlink(local: Pid, peer: Pid): void
  /** An exit signal aimed at `peer`, linked or not. */
  exit(local: Pid, peer: Pid, reason: ExitReason): void
  /** `local` has died and was linked to `peer`. */
  linkBroken(local: Pid, peer: Pid, reason: ExitReason): void

  /** `watcher` has noted the monitor. Answered exactly once by `Local.down`, unless `demonitor` comes first. */
  monitor(watcher: Pid, ref: Ref, watched: Pid | NameOnNode): void
  demonitor(watcher: Pid, ref: Ref, watched: Pid | NameOnNode): void
  /** The local process `watched` has died, and `watcher` of another node had monitored it under `ref`. */
  down(watched: Pid, watcher: Pid, ref: Ref, reason: ExitReason): void
}

/** What became of something delivered: `'noproc'` when nobody has that serial or name. */
export type Delivered = Sent | 'noproc'

/** A local process as the other end of a signal: its serial, or a name registered on this node. */
export type LocalTarget = number | string

/** Implemented by the process core. Whoever calls has checked that the signal was meant for this life of the node. */
export interface Local {
  /** The pid behind a serial or a local name; undefined when dead or unknown. */
  find(target: LocalTarget): Pid | undefined
  deliver(to: LocalTarget, mail: Encoded | Cast | Request): Delivered

  /** A peer links to `serial`. False: no such process (the caller answers with an exit `noproc`). */
  linkFrom(peer: Pid, serial: number): boolean
  unlinkFrom(peer: Pid, serial: number): void
  /** A link that `serial` has with `peer` is broken: the exit signal passes, and the link is gone. No link: nothing. */
  linkExit(peer: Pid, serial: number, reason: ExitReason): void
  /** An exit signal aimed at `serial`, with the rules of `exit(pid, reason)`. */
  exitFrom(peer: Pid, serial: number, reason: ExitReason): void

  /** A peer monitors a local process. False: no such process (the caller answers with a down `noproc`). */
  monitorFrom(watcher: Pid, ref: Ref, watched: LocalTarget): boolean
  demonitorFrom(watcher: Pid, ref: Ref): void
  /** The watched process of another node is down. Unknown or spent `ref`: nothing. */
  down(watcherSerial: number, ref: Ref, watched: Pid | undefined, reason: ExitReason): void
}
