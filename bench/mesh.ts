/**
 * Question: how long until a cluster is whole, a death is seen, a name or a group is known everywhere?
 * Method: `troupe-mesh` beside Erlang/OTP doing the same work (`erlang-mesh.erl`) in pairs; both in as many OS processes
 * as there are nodes, on loopback, steered from outside of the cluster. Milliseconds or microseconds: less is better.
 *   form       all nodes but the first are told of the first at once, until each knows all. Erlang's listen by then; ours
 *              are processes that have loaded the library, and begin to listen when they are told
 *   kill       SIGKILL of one, until every other has its `nodedown`; `downMs`: its `member:down`
 *   stop       SIGSTOP of one, until it is down everywhere. Erlang waits for its net tick, a minute: not measured
 *   join       a process joins a group, until it has an answer from a watcher on each node; the median of 200
 *   register   a cluster-wide name for a process, until it is granted; the median of 200
 *   gossip     bytes a second that each of 20 nodes sends over its sessions while nothing happens
 * Sketch: ten nodes are 45 handshakes of three round trips and two HMACs each; two cores start ten loops in 0.2 s.
 */
import { spawnSync } from 'node:child_process'
import type { Bench, Side } from './support.js'

const hasErlang = spawnSync('erl', ['-version'], { stdio: 'ignore' }).status === 0

const bench = (
  name: string,
  workload: string,
  size: number,
  more: { readonly unit?: string; readonly shown?: readonly string[]; readonly alone?: true } = {},
): Bench => {
  const { unit = 'ms' } = more
  const side = (system: string, program: string): Side => ({
    system,
    program,
    args: [workload, String(size)],
  })
  return {
    name,
    unit,
    figure: unit,
    shown: more.shown,
    params: { nodes: size },
    ours: side('troupe', 'troupe-mesh'),
    theirs: more.alone === true ? undefined : hasErlang ? side('erlang', 'erlang-mesh') : 'erlang',
  }
}

export const meshBenches: readonly Bench[] = [
  ...[3, 5, 10].map(size => bench(`mesh-form-${size}`, 'form', size)),
  ...[5, 10].map(size => bench(`mesh-kill-detect-${size}`, 'kill', size, { shown: ['downMs'] })),
  bench('mesh-stop-detect-5', 'stop', 5, { alone: true }),
  bench('mesh-gossip-bytes-20', 'gossip', 20, { unit: 'B', alone: true }),
  bench('group-join-seen-5', 'join', 5, { unit: 'us' }),
  ...[3, 5, 10].map(size => bench(`name-register-${size}`, 'register', size, { unit: 'us' })),
]
