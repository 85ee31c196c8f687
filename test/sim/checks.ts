/**
 * What must hold after a world has come to rest, whatever happened before. Each check gives the violations it found, as
 * sentences.
 */
import type { Node } from '../../lib/index.js'
import type { World } from './world.js'

export function violations(world: World): string[] {
  return [
    ...order(world),
    ...signals(world),
    ...names(world),
    ...views(world),
    ...rest(world),
    ...world.strange.map(error => `a failure that is none of ours: ${String(error)}`),
  ]
}

/** Numbers of one sender arrive in order, once, and without a hole unless a session between the two was lost. */
function order(world: World): string[] {
  const found: string[] = []
  for (const [recorder, heard] of world.heard) {
    for (const { from, numbers } of heard) {
      const lost = [...world.lost].some(line => touches(line, from, recorder))
      for (const [i, n] of numbers.entries()) {
        const before = i === 0 ? 0 : (numbers[i - 1] as number)
        if (n <= before) found.push(`order: ${recorder} heard ${n} after ${before} from ${from}`)
        else if (n > before + 1 && !lost) found.push(`order: ${recorder} missed ${before + 1} from ${from}`)
      }
      const sent = world.sent.get(`${from} ${recorder}`) ?? 0
      const last = numbers.at(-1) ?? 0
      if (last > sent) found.push(`order: ${recorder} heard ${last} from ${from}, who sent ${sent}`)
    }
  }
  return found
}

const nodeOf = (pid: string): string => pid.slice(1, pid.indexOf('.'))

/** Whether a lost session, written as `observer's pid, node, creation`, was one between the nodes of two pids. */
function touches(line: string, a: string, b: string): boolean {
  const [observer = '', other = ''] = line.split(' ')
  const pair = [nodeOf(observer), other]
  return pair.includes(nodeOf(a)) && pair.includes(nodeOf(b))
}

/** One down per monitor and one exit per link, when its process is gone or was out of reach; none otherwise. */
function signals(world: World): string[] {
  const found: string[] = []
  const nodes = new Map(world.mesh.nodes.map(node => [node.name as string, node]))
  for (const { kind, watcher, watched, told } of world.watches) {
    const home = nodes.get(watcher.node)
    if (home === undefined || home.self.creation !== watcher.creation) continue
    const what = `${kind} of ${watched} by ${watcher}`
    if (told.length > 1) found.push(`signals: ${what} was told ${told.length} times: ${told.join(', ')}`)
    const other = nodes.get(watched.node)
    const gone = other === undefined || other.self.creation !== watched.creation
    const lost = [...world.lost].some(line => touches(line, watcher.toString(), watched.toString()))
    if (told.length === 0 && gone)
      found.push(`signals: ${what} was told nothing, and its node's life is over`)
    if (told[0] === 'noconnection' && !lost)
      found.push(`signals: ${what} was told noconnection without a loss`)
  }
  return found
}

const table = (node: Node): string =>
  node
    .names()
    .map(({ name, pid, state }) => `${name}=${pid ?? state}`)
    .sort()
    .join(' ')

/** All nodes agree about every name, and every holder lives. */
function names(world: World): string[] {
  const { nodes } = world.mesh
  const tables = new Map(nodes.map(node => [node.name as string, table(node)]))
  const found: string[] = []
  if (new Set(tables.values()).size > 1) {
    found.push(`names: tables differ: ${[...tables].map(([node, text]) => `${node}: ${text}`).join(' | ')}`)
  }
  for (const { name, pid, state } of nodes[0]?.names() ?? []) {
    if (pid === undefined) {
      found.push(`names: ${name} is ${state} long after the last fault`)
      continue
    }
    const home = nodes.find(node => node.name === pid.node)
    if (home === undefined || home.self.creation !== pid.creation || !home.isAlive(pid)) {
      found.push(`names: ${name} is held by ${pid}, who does not live`)
    }
  }
  return found
}

/** Everybody sees everybody, in the life that they are in. */
function views(world: World): string[] {
  const real = world.mesh.nodes.map(node => `${node.name} ${node.self.creation} alive`).join(', ')
  return world.mesh.nodes.flatMap(node => {
    const seen = node
      .members()
      .members.map(({ name, creation, state }) => `${name} ${creation} ${state}`)
      .join(', ')
    const sessions = node.nodes().length
    return [
      ...(seen === real ? [] : [`views: ${node.name} sees ${seen}; there are ${real}`]),
      ...(sessions === world.names.length - 1 ? [] : [`views: ${node.name} has ${sessions} sessions`]),
    ]
  })
}

const EMPTY = [
  'process.calls.pending',
  'mesh.queuedBytes',
  'mesh.unauthenticated',
  'remote.pending',
  'slots.asking',
  'slots.waiting',
  'cluster.reviving',
]

/** Every call of a node that lives has ended, and whatever waits has emptied. */
function rest(world: World): string[] {
  const found: string[] = []
  for (const { node, what } of world.waiting.values()) {
    if (world.mesh.nodes.includes(node)) found.push(`rest: ${what} on ${node.name} never ended`)
  }
  for (const node of world.mesh.nodes) {
    const { counters } = node.stats()
    for (const name of EMPTY) {
      if (counters[name] === undefined) found.push(`rest: there is no counter ${name}`)
      else if (counters[name] !== 0) found.push(`rest: ${name} of ${node.name} is ${counters[name]}`)
    }
  }
  return found
}
