/** I6: at rest all nodes say the same of every name, its holder lives, and nobody lives under a name that is not his. */
import type { Checked } from './world.js'

/** How long after the last trouble two nodes may still disagree. */
const RESOLVED_MS = 20_000

export function checkNames({ mesh, history, lost }: Checked): string[] {
  const tables = mesh.nodes.map(node => [node.name, tableOf(node)] as const)
  const wrong: string[] = []
  const [first] = tables
  for (const [name, table] of tables) {
    if (table !== first?.[1]) wrong.push(`I6: ${name} says ${table}; ${first?.[0]} says ${first?.[1]}`)
  }
  const alive = new Set(mesh.nodes.flatMap(node => node.processes().map(({ pid }) => `${pid}`)))
  const holders = new Map<string, string>()
  for (const { name, pid, state } of mesh.nodes[0]?.names() ?? []) {
    // A name that is bound to a node waits for it.
    if (state === 'waiting' && lost.size > 0) continue
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

/** At any moment: no two nodes that nothing has come between for long both have a holder of one name. */
export function checkHolders({ mesh, history }: Checked): string[] {
  const { nowMs } = mesh.simulation
  const holders = new Map<string, string[]>()
  const wrong: string[] = []
  const calm = (a: string, b: string): boolean =>
    !history.troubled(nowMs - RESOLVED_MS, nowMs, a, b) && !history.besides(nowMs - RESOLVED_MS, nowMs, a, b)
  for (const node of mesh.nodes) {
    for (const { name, pid } of node.names()) {
      if (pid === undefined || pid.node !== node.name || !node.isAlive(pid)) continue
      const others = holders.get(name) ?? []
      const rival = others.find(other => calm(other, node.name))
      if (rival !== undefined)
        wrong.push(`I6: ${name} is held on ${rival} and on ${node.name} at ${nowMs} ms`)
      holders.set(name, [...others, node.name])
    }
  }
  return wrong
}

const tableOf = (node: { names(): readonly { name: string; pid: unknown; state: string }[] }): string =>
  node
    .names()
    .map(({ name, pid, state }) => `${name}=${pid ?? state}`)
    .sort()
    .join(' ')
