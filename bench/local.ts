/**
 * Question: what do pids, checks, limits, isolation and deadlines cost a message, a call, a process?
 * Method: `troupe-local` against `bound-local`, the least that the same work can cost, in pairs.
 * Sketch: the bound is 25 to 125 ns a message, as fast as the machine is; checks and counters add 10 to 50 ns.
 */
import type { Bench, Side } from './support.js'

const bound = (variant: string, workload: string): Side => ({
  system: `bound:${variant}`,
  program: 'bound-local',
  args: [workload],
})

const bench = (
  workload: string,
  unit: string,
  variant: string,
  more: Pick<Bench, 'figure' | 'shown'> & { readonly name?: string } = {},
): Bench => ({
  name: `local-${more.name ?? workload}`,
  unit,
  figure: more.figure,
  shown: ['cpuRate', ...(more.shown ?? [])],
  ours: { system: 'troupe', program: 'troupe-local', args: [workload] },
  theirs: bound(variant, workload),
})

export const localBenches: readonly Bench[] = [
  bench('send-chunk', 'op/s', 'ring-imm'),
  bench('send-burst', 'op/s', 'chunk-imm', { shown: ['peakMb'] }),
  bench('pingpong', 'op/s', 'ring-micro'),
  bench('call-c1', 'op/s', 'ring-micro'),
  bench('call-c64', 'op/s', 'ring-micro'),
  bench('spawn', 'op/s', 'ring-imm'),
  bench('spawn', 'B', 'ring-imm', { name: 'idle-bytes', figure: 'bytes' }),
  bench('ring-1000', 'op/s', 'ring-imm', { shown: ['hopRate'] }),
  bench('ring-100000', 'op/s', 'ring-imm', { shown: ['hopRate'] }),
  bench('fan-1000', 'op/s', 'ring-imm'),
  bench('name-send', 'op/s', 'ring-imm'),
]
