/** What the parts of a simulated world know of it: its time, its events, its chance. */
import type { SimRandom } from './sim-random.js'

/** A moment of virtual time is a multiple of this, so that sums are exact and events do tie. */
export const GRID_MS = 1 / 64

export const toGrid = (ms: number): number => Math.ceil(ms / GRID_MS) * GRID_MS

export interface World {
  readonly nowMs: number
  readonly random: SimRandom
  /** Runs `fn` at that moment, as an event; the returned function takes it back. */
  at(atMs: number, fn: () => void): () => void
  /** The same, behind everything that is due at this moment. */
  lastly(fn: () => void): () => void
  /** Marks that the current event ran a node's code, which may have resolved promises. */
  touched(): void
  record(node: string, kind: string, ids: string): void
  /** True when the unusual is to happen at that place: see `buggify.ts`. */
  buggify(node: string, site: string): boolean
}
