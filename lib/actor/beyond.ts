/** What processes ask of other nodes as nodes. `remote/` implements it; a part that stands alone has none. */
import type { NodeId, Ref } from '../base/ids.js'
import type { Process } from '../process/process.js'
import type { Rpc, RpcMany } from './procedure.js'

export interface Beyond {
  /** Undefined: code outside of processes, or whoever's handler runs. Throws `TypeError`. */
  rpc(speaker: Process | undefined, on: string | readonly string[]): Rpc & RpcMany
  /** One `nodedown`, when the session is lost; at once when there is none. */
  monitorNode(owner: Process, node: NodeId): Ref
  /** Every `nodeup` and `nodedown` from now on. */
  monitorNodes(owner: Process): Ref
  /** Ends either. False when it is no more. */
  demonitorNode(owner: Process, ref: Ref): boolean
}
