import { TroupeError } from '../base/errors.js'
import type { NodeId, Pid, Ref } from '../base/ids.js'
import type { ExitReason } from '../base/reasons.js'
import type { NameOnNode, Request, Sent } from './mail.js'
import { nameOf } from './pending-calls.js'
import type { Local, Remote } from './remote.js'

/** The `Remote` of a node without a mesh: every other node is out of reach, always. */
export class Unreachable implements Remote {
  readonly #local: Local
  readonly #lost: (to: Pid | NameOnNode, message: unknown, why: string) => void

  constructor(local: Local, lost: (to: Pid | NameOnNode, message: unknown, why: string) => void) {
    this.#local = local
    this.#lost = lost
  }

  send(_from: Pid, to: Pid | NameOnNode, message: unknown): Sent {
    this.#lost(to, message, 'noconnection')
    return 'ok'
  }

  cast(_from: Pid, to: Pid | NameOnNode, _tag: string, payload: unknown): Sent {
    this.#lost(to, payload, 'noconnection')
    return 'ok'
  }

  request(to: Pid | NameOnNode, request: Request): void {
    const node: NodeId | string = to.node
    request.fail(
      new TroupeError('ERR_NOCONNECTION', `no connection to ${node}, where ${nameOf(to)} is`, { node, to }),
    )
  }

  abandon(): void {}

  link(local: Pid, peer: Pid): void {
    this.#local.linkExit(peer, local.serial, 'noconnection')
  }

  unlink(): void {}
  exit(): void {}
  linkBroken(): void {}

  monitor(watcher: Pid, ref: Ref, watched: Pid | NameOnNode): void {
    this.#local.down(watcher.serial, ref, 'name' in watched ? undefined : watched, 'noconnection')
  }

  demonitor(): void {}
  down(_watched: Pid, _watcher: Pid, _ref: Ref, _reason: ExitReason): void {}
}
