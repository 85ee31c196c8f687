/**
 * The way of higher rooms from what users hold (a node, a context, a process function's `self`) to the actors behind it.
 * A symbol that is not exported to users, and a getter, so that nobody who lists or prints such an object comes upon it.
 */
import { show } from '../base/errors.js'
import { deadError } from '../process/monitors.js'
import type { Process } from '../process/process.js'
import type { Actors } from './actors.js'
import type { Node, Speaker } from './api.js'

export const kInside = Symbol('troupe.inside')

export interface Inside {
  readonly actors: Actors
  /** Undefined for code outside of processes. */
  readonly process: Process | undefined
}

/** Throws `ERR_DEAD` for a process that is dead, `ERR_STOPPED` for a node that does not run. */
export function insideOf(where: string, host: Node | Speaker): Inside {
  if (typeof host !== 'object' || host === null || !(kInside in host)) {
    throw new TypeError(
      `${where}: expected a context, a process function's self or a node, got ${show(host)}`,
    )
  }
  const inside = host[kInside] as Inside
  if (inside.process?.dead === true) throw deadError(inside.process.pid)
  return inside
}
