/**
 * I16: what waits or queues is bounded at every moment and gone at rest. I17: a stopped node holds nothing.
 *
 * Nothing is handed to a stream that has said stop, but the goodbye: bytes that the system would not take are memory that
 * a slow peer costs.
 */
import { LIMITS } from '../../lib/base/limits.js'
import type { Checked } from './world.js'

/** Zero whenever nobody does anything. */
const AT_REST = [
  'process.runnable',
  'process.calls.pending',
  'remote.spawning',
  'remote.hosting',
  'cluster.reviving',
  'cluster.waiting',
  'slots.asking',
  'slots.waiting',
  'mesh.queuedBytes',
  'mesh.unauthenticated',
  'mesh.dialling',
]
/** Zero as well when no process is left. */
const WITHOUT_PROCESSES = [
  ...AT_REST,
  'process.alive',
  'process.names',
  'process.aliases',
  'process.timers',
  'remote.links',
  'remote.monitors',
  'cluster.held',
  'slots.entries',
  'slots.held',
]

/** Above zero as well while members are gone for good: they go on being dialled, and names wait for them. */
const WHILE_LOST = ['mesh.dialling', 'cluster.waiting', 'cluster.reviving']

const above = ({ mesh, lost }: Checked, gauges: readonly string[], when: string): string[] =>
  mesh.nodes.flatMap(node => {
    const { counters } = node.stats()
    return gauges
      .filter(gauge => counters[gauge] !== 0 && (lost.size === 0 || !WHILE_LOST.includes(gauge)))
      .map(gauge => `I16: ${when} ${gauge} of ${node.name} is ${counters[gauge]}`)
  })

/** A goodbye, and a little more. */
const OVERRUN_BYTES_MAX = 1_024
/** What may wait for all peers together, of `peers`. */
const queuedBytesMax = (peers: number): number =>
  peers * (LIMITS.queueBytesMax + LIMITS.bulkBytesMax + LIMITS.signalBytesMax)

/** At every moment. */
export function checkLimits({ mesh }: Checked): string[] {
  const over = mesh.network.overrunBytesMax
  const wrong = over > OVERRUN_BYTES_MAX ? [`I16: a stream that had said stop was given ${over} bytes`] : []
  for (const node of mesh.nodes) {
    const { counters } = node.stats()
    const queued = counters['mesh.queuedBytes'] ?? 0
    if (queued > queuedBytesMax(mesh.nodes.length)) wrong.push(`I16: ${queued} bytes wait on ${node.name}`)
  }
  return wrong
}

export function checkBounds(world: Checked): string[] {
  const mail = world.mesh.nodes.flatMap(node =>
    node.processes().filter(({ mailbox, busy }) => mailbox > 0 || busy),
  )
  return [
    ...above(world, AT_REST, 'at rest'),
    ...mail.map(({ pid, mailbox }) => `I16: at rest ${pid} has ${mailbox} messages`),
  ]
}

export const checkEmpty = (world: Checked): string[] =>
  above(world, WITHOUT_PROCESSES, 'with no process left')

export function checkStopped({ mesh }: Checked, names: readonly string[] = ['a', 'b', 'c']): string[] {
  const wrong: string[] = []
  for (const name of names) {
    const { holds, alive } = mesh.simulation.node(name)
    // Whoever was killed let go of nothing by itself.
    if (alive && holds > 0) wrong.push(`I17: ${name} has stopped and keeps ${holds} holds on its process`)
  }
  if (mesh.network.connections > 0)
    wrong.push(`I16: ${mesh.network.connections} connections outlive all nodes`)
  return wrong
}
