/**
 * I15. At rest every node sees the same members, those that are there, in the lives that they live. At every moment a
 * record says no more than its owner has said, and never less than before.
 */
import type { Node } from '../../lib/actor/api.js'
import { incarnationOf } from './history.js'
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

/** What nodes believe of each other, from one look to the next. */
export class Beliefs {
  readonly #seen = new Map<string, number>()

  check({ mesh, history }: Checked): string[] {
    const own = new Map(history.lastIncarnations)
    for (const node of mesh.nodes) own.set(`${node.name} ${node.self.creation}`, incarnationOf(node))
    return mesh.nodes.flatMap(node => this.#checkNode(node, own))
  }

  #checkNode(node: Node, own: ReadonlyMap<string, number>): string[] {
    const wrong: string[] = []
    const { version, members } = node.members()
    const never = (what: string, value: number): void => {
      const key = `${node.self} ${what}`
      const before = this.#seen.get(key) ?? 0
      if (value < before) wrong.push(`I15: ${node.name} has ${what} at ${value}, after ${before}`)
      this.#seen.set(key, value)
    }
    never('its version', version)
    for (const { name, creation, incarnation } of members) {
      const said = own.get(`${name} ${creation}`)
      if (said !== undefined && incarnation > said)
        wrong.push(`I15: ${node.name} has ${name} at ${incarnation}, which itself is at ${said}`)
      never(`${name} ${creation}`, incarnation)
    }
    return wrong
  }
}
