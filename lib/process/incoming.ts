/** What signals from other nodes may do here. The caller has checked that they were meant for this life of the node. */
import type { Pid, Ref } from '../base/ids.js'
import type { ExitReason } from '../base/reasons.js'
import type { Cast, Encoded, Request } from './mail.js'
import type { Process } from './process.js'
import { noteRemoteLink, type ProcessTable } from './process-table.js'
import type { Delivered, Local, LocalTarget } from './remote.js'

export class IncomingSignals implements Local {
  readonly #table: ProcessTable

  constructor(table: ProcessTable) {
    this.#table = table
  }

  find(target: LocalTarget): Pid | undefined {
    return this.#process(target)?.pid
  }

  deliver(to: LocalTarget, mail: Encoded | Cast | Request): Delivered {
    const process = this.#process(to)
    return process === undefined ? 'noproc' : this.#table.pushFromAfar(process, mail)
  }

  linkFrom(peer: Pid, serial: number): boolean {
    const process = this.#table.get(serial)
    if (process === undefined) return false
    noteRemoteLink(process, peer)
    return true
  }

  unlinkFrom(peer: Pid, serial: number): void {
    this.#table.get(serial)?.ties?.links?.delete(peer.toString())
  }

  linkExit(peer: Pid, serial: number, reason: ExitReason): void {
    const process = this.#table.get(serial)
    if (process?.ties?.links?.delete(peer.toString()) === true) this.#table.linkSignal(process, peer, reason)
  }

  exitFrom(peer: Pid, serial: number, reason: ExitReason): void {
    const process = this.#table.get(serial)
    if (process !== undefined) this.#table.exitSignal(process, peer, reason)
  }

  monitorFrom(watcher: Pid, ref: Ref, watched: LocalTarget): boolean {
    if (watched === this.#table.outside?.serial) return true // told by the loss of the session, and by nothing else
    const process = this.#process(watched)
    if (process === undefined) return false
    this.#table.monitors.addForeign(watcher, ref, process)
    return true
  }

  demonitorFrom(_watcher: Pid, ref: Ref): void {
    this.#table.monitors.removeForeign(ref)
  }

  down(watcherSerial: number, ref: Ref, watched: Pid | undefined, reason: ExitReason): void {
    const watcher = this.#table.get(watcherSerial)
    if (watcher !== undefined) this.#table.monitors.down(watcher, ref, watched, reason)
  }

  #process(target: LocalTarget): Process | undefined {
    return typeof target === 'number' ? this.#table.get(target) : this.#table.names.holder(target)
  }
}
