/**
 * Question: what do links, monitors, intensities, names and reports cost when processes start, sit idle and crash?
 * Method: plain spawns and idle bytes as `local` measures them; for supervised ones `troupe-supervision` against
 * `bound-supervision`, the least that the same work can cost. In pairs.
 *   start      100,000 children under one dynamic supervisor, asked for in batches of 1,000; heap bytes of each, idle
 *   restart    one named child: told to crash, until the next one has answered a call; p50 and p99 in µs
 *   storm      10,000 named children of one supervisor told to crash at once, until all have answered; ms in all
 * Sketch: a spawn is an object and an entry in a map, 1 µs; ours adds a start, a promise and a timer: 0.25 of it. A
 * restart is a thrown error (3 to 5 µs of stack), a report, a down, a start: 20 to 40 µs; ten thousand at once, 0.3 s.
 */
import type { Bench, Side } from './support.js'

const side = (system: string, program: string, workload: string): Side => ({
  system,
  program,
  args: [workload],
})

const plain = (name: string, unit: string, figure?: string): Bench => ({
  name: `supervision-${name}`,
  unit,
  figure,
  ours: side('troupe', 'troupe-local', 'spawn'),
  theirs: side('bound:ring-imm', 'bound-local', 'spawn'),
})

const supervised = (
  name: string,
  workload: string,
  more: Pick<Bench, 'figure' | 'shown'> & { readonly unit?: string } = {},
): Bench => ({
  name: `supervision-${name}`,
  unit: 'op/s',
  ...more,
  ours: side('troupe', 'troupe-supervision', workload),
  theirs: side('bound:family', 'bound-supervision', workload),
})

export const supervisionBenches: readonly Bench[] = [
  plain('spawn', 'op/s'),
  plain('idle-bytes', 'B', 'bytes'),
  supervised('start', 'start'),
  supervised('child-bytes', 'start', { unit: 'B', figure: 'bytes' }),
  supervised('restart', 'restart', { shown: ['p50', 'p99'] }),
  supervised('storm', 'storm', { shown: ['stormMs', 'peakMb'] }),
]
