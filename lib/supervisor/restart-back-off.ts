/**
 * How long a restart waits: `minMs` at first, twice as long with each further restart of the same child, never longer
 * than `maxMs`. A child that has run for `maxMs` has recovered, and begins anew. OTP knows no such wait.
 */
export interface BackOff {
  readonly minMs: number
  readonly maxMs: number
}

export interface Wait {
  readonly waitMs: number
  /** Restarts in a row, this one included. */
  readonly streak: number
}

/** `streak`: restarts in a row before this one. `ranMs`: how long the child ran since; 0 when it did not start. */
export function onBackOff(backOff: BackOff, streak: number, ranMs: number): Wait {
  const before = ranMs >= backOff.maxMs ? 0 : streak
  return { waitMs: Math.min(backOff.maxMs, backOff.minMs * 2 ** before), streak: before + 1 }
}
