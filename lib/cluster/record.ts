/**
 * What a cluster-wide name's slot entry carries besides its owner: which definition it runs, and, for a process that
 * is to be restarted wherever it is lost, everything needed to make it again. Plain data that crosses nodes.
 */
import type { RestartIntensity } from '../actor/api.js'
import { isNodeId } from '../base/ids.js'
import type { Placement } from './placement.js'

export interface NameRecord {
  /** The definition's name; undefined for a process that was registered by hand or runs a function. */
  readonly definition: string | undefined
  readonly revival: Revival | undefined
}

export interface Revival {
  readonly restart: 'permanent' | 'transient'
  readonly placement: Placement
  readonly intensity: RestartIntensity
  /** The arguments of `init`, encoded. */
  readonly args: Buffer
}

export const RESTART_INTENSITY: RestartIntensity = Object.freeze({ restarts: 3, withinMs: 5_000 })

/** As it stands in an entry, which outlives its node only if it has one. Short keys: every node holds every record. */
export function writeRecord(record: NameRecord): unknown {
  const { definition, revival } = record
  if (revival === undefined) return undefined
  const { restart, placement, intensity, args } = revival
  return {
    d: definition,
    r: restart,
    p: writePlacement(placement),
    n: intensity.restarts,
    w: intensity.withinMs,
    a: args,
  }
}

/** Reads what a member wrote. What does not fit is no record: the name holds, and nothing is restarted from it. */
export function readRecord(value: unknown): NameRecord {
  if (typeof value !== 'object' || value === null) return { definition: undefined, revival: undefined }
  const { d, r, p, n, w, a } = value as Record<string, unknown>
  const definition = typeof d === 'string' ? d : undefined
  const placement = readPlacement(p)
  const fits =
    definition !== undefined &&
    (r === 'permanent' || r === 'transient') &&
    placement !== undefined &&
    Number.isSafeInteger(n) &&
    typeof w === 'number' &&
    w > 0 &&
    Buffer.isBuffer(a)
  if (!fits) return { definition, revival: undefined }
  return {
    definition,
    revival: { restart: r, placement, intensity: { restarts: n as number, withinMs: w }, args: a },
  }
}

export function writePlacement(placement: Placement): string {
  switch (placement.kind) {
    case 'node':
      return `node:${placement.node}`
    case 'tag':
      return `tag:${placement.tag}`
    default:
      return placement.kind
  }
}

export function readPlacement(text: unknown): Placement | undefined {
  if (text === 'local' || text === 'ring') return { kind: text }
  if (typeof text !== 'string') return undefined
  if (text.startsWith('tag:')) return { kind: 'tag', tag: text.slice(4) }
  const node = text.startsWith('node:') ? text.slice(5) : undefined
  return isNodeId(node) ? { kind: 'node', node } : undefined
}
