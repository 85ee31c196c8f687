/** What travels with a remote spawn besides the definition and its arguments: data of another node, checked here. */
import type { RestartIntensity } from '../actor/api.js'
import { TroupeError } from '../base/errors.js'
import { isNodeId } from '../base/ids.js'
import type { Since } from '../coord/slot-data.js'
import { checkName } from '../process/local-names.js'
import type { Placement } from './placement.js'
import { readPlacement, writePlacement } from './record.js'

export interface StartOptions {
  readonly name: string | undefined
  readonly scope: 'cluster' | 'node'
  /** The spawner is linked, and thereby the parent. */
  readonly link: boolean
  readonly timeoutMs: number
  readonly restart: 'permanent' | 'transient' | 'temporary'
  readonly placement: Placement
  readonly intensity: RestartIntensity
  /** The entry that the new process is to replace: this is a revival. */
  readonly replaces: Since | undefined
}

export function writeStartOptions(options: StartOptions): unknown {
  const { name, scope, link, timeoutMs, restart, placement, intensity, replaces } = options
  return [
    name ?? null,
    scope,
    link,
    timeoutMs,
    restart,
    writePlacement(placement),
    [intensity.restarts, intensity.withinMs],
    replaces === undefined ? null : [replaces.n, replaces.node, replaces.seq],
  ]
}

/** Throws `ERR_PAYLOAD` for anything that `writeStartOptions` cannot have written. */
export function readStartOptions(data: unknown): StartOptions {
  if (!Array.isArray(data) || data.length !== 8) throw malformed('an array of 8')
  const [name, scope, link, timeoutMs, restart, place, intensity, replaces] = data as unknown[]
  if (name !== null) checkName('spawn: name', name)
  const placement = readPlacement(place)
  if (scope !== 'cluster' && scope !== 'node') throw malformed('a scope')
  if (typeof link !== 'boolean') throw malformed('a boolean')
  if (typeof timeoutMs !== 'number' || !(timeoutMs >= 0)) throw malformed('a timeout')
  if (restart !== 'permanent' && restart !== 'transient' && restart !== 'temporary')
    throw malformed('a restart type')
  if (placement === undefined) throw malformed('a placement')
  return {
    name: name ?? undefined,
    scope,
    link,
    timeoutMs,
    restart,
    placement,
    intensity: readIntensity(intensity),
    replaces: replaces === null ? undefined : readSince(replaces),
  }
}

function readIntensity(data: unknown): RestartIntensity {
  const [restarts, withinMs] = Array.isArray(data) ? (data as unknown[]) : []
  if (!Number.isSafeInteger(restarts) || (restarts as number) < 0) throw malformed('a number of restarts')
  if (typeof withinMs !== 'number' || !(withinMs > 0)) throw malformed('a window in ms')
  return { restarts: restarts as number, withinMs }
}

function readSince(data: unknown): Since {
  const [n, node, seq] = Array.isArray(data) ? (data as unknown[]) : []
  if (!Number.isSafeInteger(n) || !Number.isSafeInteger(seq) || !isNodeId(node)) throw malformed('a since')
  return { n: n as number, node, seq: seq as number }
}

const malformed = (expected: string): TroupeError =>
  new TroupeError('ERR_PAYLOAD', `spawn: options from another node: expected ${expected}`, { expected })
