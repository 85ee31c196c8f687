/** I16: what waits or queues is gone at rest. I17: a stopped node holds nothing. */
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

const above = ({ mesh }: Checked, gauges: readonly string[], when: string): string[] =>
  mesh.nodes.flatMap(node => {
    const { counters } = node.stats()
    return gauges
      .filter(gauge => counters[gauge] !== 0)
      .map(gauge => `I16: ${when} ${gauge} of ${node.name} is ${counters[gauge]}`)
  })

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
    const { holds } = mesh.simulation.node(name)
    if (holds > 0) wrong.push(`I17: ${name} has stopped and keeps ${holds} holds on its process`)
  }
  if (mesh.network.connections > 0)
    wrong.push(`I16: ${mesh.network.connections} connections outlive all nodes`)
  return wrong
}
