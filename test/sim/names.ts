/** I6: at rest all nodes say the same of every name, its holder lives, and nobody lives under a name that is not his. */
import type { Checked } from './world.js'

export function checkNames({ mesh, history }: Checked): string[] {
  const tables = mesh.nodes.map(node => [node.name, tableOf(node)] as const)
  const wrong: string[] = []
  const [first] = tables
  for (const [name, table] of tables) {
    if (table !== first?.[1]) wrong.push(`I6: ${name} says ${table}; ${first?.[0]} says ${first?.[1]}`)
  }
  const alive = new Set(mesh.nodes.flatMap(node => node.processes().map(({ pid }) => `${pid}`)))
  const holders = new Map<string, string>()
  for (const { name, pid, state } of mesh.nodes[0]?.names() ?? []) {
    if (state !== 'held') wrong.push(`I6: ${name} is still ${state}`)
    else if (!alive.has(`${pid}`)) wrong.push(`I6: ${name} is held by ${pid}, which is dead`)
    holders.set(name, `${pid}`)
  }
  for (const [pid, name] of history.named) {
    if (alive.has(pid) && holders.get(name) !== pid)
      wrong.push(`I6: ${pid} lives as ${name}, which is held by ${holders.get(name)}`)
  }
  return wrong
}

const tableOf = (node: { names(): readonly { name: string; pid: unknown; state: string }[] }): string =>
  node
    .names()
    .map(({ name, pid, state }) => `${name}=${pid ?? state}`)
    .sort()
    .join(' ')
