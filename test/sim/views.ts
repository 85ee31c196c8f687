/** I15: at rest every node sees the same members, those that are there, in the lives that they live. */
import type { Checked } from './world.js'

export function checkViews({ mesh }: Checked): string[] {
  const real = mesh.nodes.map(node => `${node.name} ${node.self.creation} alive`)
  return mesh.nodes.flatMap(node => {
    const seen = node.members().members.map(m => `${m.name} ${m.creation} ${m.state}`)
    const wrong = []
    if (seen.join(', ') !== real.join(', '))
      wrong.push(`I15: ${node.name} sees [${seen.join(', ')}], there are [${real.join(', ')}]`)
    if (node.nodes().length !== mesh.nodes.length - 1)
      wrong.push(`I15: ${node.name} has sessions with [${node.nodes().join(', ')}] alone`)
    return wrong
  })
}
