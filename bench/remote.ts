/**
 * Question: what do sessions, credit, routing, checks and a codec that survives hostile bytes cost between nodes?
 * Method: `troupe-remote` against `bound-remote`, the same messages in frames and nothing else, in pairs. Both are
 * two processes and loopback.
 * Sketch: the codec is three quarters of the bound's time one-way; alone, a call is two wake-ups and four system calls.
 */
import type { Bench } from './support.js'

const bench = (name: string, workload: string, bytes: number, concurrency: number): Bench => {
  const args = [workload, String(bytes), String(concurrency)]
  return {
    name: `remote-${name}`,
    unit: 'op/s',
    shown: ['p50', 'p99'],
    params: { bytes, concurrency },
    ours: { system: 'troupe', program: 'troupe-remote', args },
    theirs: { system: 'bound:header', program: 'bound-remote', args },
  }
}

export const remoteBenches: readonly Bench[] = [
  bench('send-64', 'send-object', 64, 1),
  bench('send-1m', 'send-bytes', 1_048_576, 1),
  bench('send-bytes-64', 'send-bytes', 64, 1),
  bench('call-c1', 'call-object', 64, 1),
  bench('call-c64', 'call-object', 64, 64),
  bench('call-c1024', 'call-object', 64, 1_024),
  bench('call-16k-c64', 'call-bytes', 16_384, 64),
]
