/**
 * Restart intensity: more than `restarts` restarts in any `withinMs` (both ends belong to it, as in OTP) mean that the
 * fault will not go away by starting again, and whoever restarts should give up. A history longer than `restarts`
 * is never kept, so it needs no limit of its own.
 */
import type { RestartIntensity } from '../actor/api.js'

/** As in Elixir: three restarts in five seconds are borne, the fourth is one too many. */
export const INTENSITY_DEFAULT: RestartIntensity = { restarts: 3, withinMs: 5_000 }

export type Verdict =
  | { readonly verdict: 'restart'; readonly history: readonly number[] }
  | { readonly verdict: 'give-up' }

/** Given when earlier restarts were, oldest first, and that one more is due now: whether it may be. */
export function onCrash(history: readonly number[], nowMs: number, intensity: RestartIntensity): Verdict {
  const oldest = history.findIndex(atMs => nowMs - atMs <= intensity.withinMs)
  const recent = oldest === 0 ? history : oldest === -1 ? [] : history.slice(oldest)
  if (recent.length >= intensity.restarts) return { verdict: 'give-up' }
  return { verdict: 'restart', history: [...recent, nowMs] }
}

/** Whose restarts are counted, against what. */
export interface Counted {
  readonly intensity: RestartIntensity | undefined
  readonly restarts: readonly number[]
}

export type JointVerdict =
  | { readonly verdict: 'restart'; readonly histories: readonly (readonly number[])[] }
  | { readonly verdict: 'give-up'; readonly intensity: RestartIntensity }

/** One restart that counts in several places: it may be where all of them bear it. */
export function onCrashOf(counted: readonly Counted[], nowMs: number): JointVerdict {
  const histories: (readonly number[])[] = []
  for (const { intensity, restarts } of counted) {
    const verdict = intensity === undefined ? undefined : onCrash(restarts, nowMs, intensity)
    if (intensity !== undefined && verdict?.verdict === 'give-up') return { verdict: 'give-up', intensity }
    histories.push(verdict?.verdict === 'restart' ? verdict.history : restarts)
  }
  return { verdict: 'restart', histories }
}
