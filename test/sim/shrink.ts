/**
 * Makes a failing schedule short: runs the same world with fewer faults as long as it breaks the same law, by delta
 * debugging (Zeller and Hildebrandt, 2002): halves first, then smaller parts, until no single fault can be left out, or
 * until enough has been tried.
 */

/** Worlds that are run for one schedule. */
export const TRIES_MAX = 60

export async function shrink<T>(
  all: readonly T[],
  fails: (some: readonly T[]) => Promise<boolean>,
  triesMax: number = TRIES_MAX,
): Promise<readonly T[]> {
  let left = all
  let parts = 2
  let tries = 0
  if (all.length > 0 && (await fails([]))) return []
  while (left.length > 1 && tries < triesMax) {
    const size = Math.ceil(left.length / parts)
    let smaller: readonly T[] | undefined
    for (let from = 0; from < left.length && smaller === undefined && tries < triesMax; from += size) {
      const without = [...left.slice(0, from), ...left.slice(from + size)]
      tries += 1
      if (await fails(without)) smaller = without
    }
    if (smaller !== undefined) parts = Math.max(2, parts - 1)
    else if (size === 1) return left
    else parts = Math.min(left.length, 2 * parts)
    left = smaller ?? left
  }
  return left
}

/** By which law it failed: `I6`, …. A schedule that breaks another one is another failure. */
export const lawOf = (violations: readonly string[]): string | undefined =>
  violations[0] === undefined ? undefined : (/^I\d+/.exec(violations[0])?.[0] ?? violations[0])
