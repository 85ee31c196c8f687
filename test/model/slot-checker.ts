/**
 * Random interleavings of the real slot machine, by case.
 *
 *   node .build/test/model/slot-checker.js --runs 100000 [--case join] [--naive]     counts violations
 *   node .build/test/model/slot-checker.js --case join --seed 17 --log                one run, told line by line
 */
import { parseArgs } from 'node:util'
import { slotOf } from '../../lib/coord/slot-hash.js'
import type { Resolver } from '../../lib/coord/slot-state.js'
import { runNaive } from './naive-registrar.js'
import { type Process, World, type WorldNode } from './slot-world.js'

export const CASES = [
  'join',
  'crash',
  'restart',
  'death-during-grant',
  'lost-session',
  'suspects',
  'partition',
  'revive',
  'all',
] as const
export type Case = (typeof CASES)[number]

const NODES = 4

interface Started {
  readonly world: World
  readonly processes: (Process | undefined)[]
}

/** Three nodes that know each other, a fourth that joins, and two or three processes that want one name. */
function begin(
  seed: number,
  split: boolean,
  log?: (line: string) => void,
  more: Partial<Shape> = {},
): Started {
  const world = new World({
    seed,
    nodes: NODES,
    split,
    ...(log && { log }),
    slots: more.slots ?? 1,
    resolver: more.resolver ?? 'oldest',
  })
  const [a, b, c, d] = world.nodes as [WorldNode, WorldNode, WorldNode, WorldNode]
  for (const [x, y] of [
    [a, b],
    [b, c],
    [a, c],
  ] as const)
    world.connect(x, y)
  settleStart(world, [a, b, c])
  for (const x of [a, b, c]) world.script.push(() => world.connect(x, d))
  world.script.push(() => startWhenJoined(world, d))
  const processes: (Process | undefined)[] = []
  for (const at of world.random() < 0.5 ? [a, b, d] : [a, b]) {
    for (const key of more.keys ?? ['x']) {
      const register = (): void => {
        if (world.random() < 0.05) processes.push(world.register(at, key, { ...more.ask, timeoutMs: 300 }))
        else processes.push(world.register(at, key, more.ask))
      }
      world.script.push(register)
    }
  }
  return { world, processes }
}

interface Shape {
  readonly slots: number
  readonly keys: readonly string[]
  readonly ask: { value?: unknown }
  readonly resolver: Resolver
}

/** The first three have found each other before they start. */
function settleStart(world: World, nodes: readonly WorldNode[]): void {
  for (const node of nodes) world.script.push(() => startWhenJoined(world, node, nodes))
}

/** As the mesh does: when each node it has learnt of is connected, or has failed a dial (only a cut makes one fail). */
function startWhenJoined(
  world: World,
  node: WorldNode,
  among: readonly WorldNode[] = world.nodes,
  tries = 0,
): void {
  if (!node.up) return
  const joined = among.every(other => !other.up || node.sees.has(other.node))
  if (joined || (world.split && tries > 20)) world.start(node)
  else world.script.push(() => startWhenJoined(world, node, among, tries + 1))
}

const anyOf = <T>(world: World, items: readonly T[]): T => items[Math.floor(world.random() * items.length)]!

function crashSome(world: World): void {
  world.script.push(() => world.crash(anyOf(world, world.live())))
}

function restartSome(world: World): void {
  world.script.push(() => {
    const victim = anyOf(world, world.live())
    world.crash(victim)
    world.script.push(() => {
      const again = world.boot(victim.index)
      for (const other of world.live())
        if (other !== again) world.script.push(() => world.connect(other, again))
      world.script.push(() => startWhenJoined(world, again))
      if (world.random() < 0.5) world.script.push(() => world.register(again, 'x'))
    })
  })
}

function endSome(world: World, processes: (Process | undefined)[], keep: () => boolean): void {
  for (let i = 0; i < 2; i++) {
    world.script.push(() => {
      const process = anyOf(world, processes)
      if (process !== undefined) world.end(process, keep())
      if (world.random() < 0.5)
        world.script.push(() => processes.push(world.register(anyOf(world, world.live()), 'x')))
    })
  }
}

function loseSessions(world: World): void {
  for (let i = 0; i < 3; i++) {
    world.script.push(() => {
      const [x, y] = [anyOf(world, world.live()), anyOf(world, world.live())]
      if (x === y) return
      world.cut(x, y, false)
      world.script.push(() => world.connect(x, y))
    })
  }
}

function suspectSome(world: World): void {
  for (let i = 0; i < 4; i++) {
    world.script.push(() => {
      const [x, y] = [anyOf(world, world.live()), anyOf(world, world.live())]
      if (x === y) return
      world.tell(x, y, 'suspect')
      const back = (): void => world.tell(x, y, 'alive')
      world.script.push(back)
      world.finally.push(back)
    })
  }
}

function partition(world: World, processes: (Process | undefined)[]): void {
  world.script.push(() => {
    const left = world.live().filter(() => world.random() < 0.5)
    const right = world.live().filter(node => !left.includes(node))
    const pairs = left.flatMap(x => right.map(y => [x, y] as const))
    for (const [x, y] of pairs) world.script.push(() => world.cut(x, y, true))
    for (const at of [anyOf(world, world.live()), anyOf(world, world.live())]) {
      world.script.push(() => processes.push(world.register(at, 'x')))
    }
    const heal = (): void => {
      for (const [x, y] of pairs) world.script.push(() => world.connect(x, y))
    }
    if (world.random() < 0.5) world.script.push(heal)
    world.finally.push(heal)
  })
}

/** Whoever is asked to revive does it somewhere, and tries again when that did not come about. */
function reviving(world: World): void {
  world.revive = (at, entry) => {
    world.replace(anyOf(world, world.live()), entry)
    world.finally.push(() => {
      const term = at.up ? at.machine.term(slotOf(entry.key, world.slots)) : undefined
      const still = term?.open === true && at.machine.entry(entry.key)
      if (still && at.machine.owner(entry.key) === undefined) world.revive?.(at, still)
    })
  }
}

export function runCase(what: Case, seed: number, log?: (line: string) => void): readonly string[] {
  const split = what === 'partition' || what === 'all'
  const kept = what === 'revive' || what === 'all'
  const resolver = what === 'partition' && seed % 8 === 0 ? 'none' : 'oldest'
  const shape: Partial<Shape> = { resolver, ...(kept && { ask: { value: 'record' } }) }
  const many = what === 'all' ? { ...shape, slots: 3, keys: ['x', 'y', 'z'] } : shape
  const { world, processes } = begin(seed, split, log, many)
  const keep = (): boolean => kept && world.random() < 0.5
  if (what === 'crash' || kept) crashSome(world)
  if (what === 'restart') restartSome(world)
  if (what === 'death-during-grant' || kept) endSome(world, processes, keep)
  if (what === 'lost-session' || what === 'all') loseSessions(world)
  if (what === 'lost-session') endSome(world, processes, keep)
  if (what === 'suspects' || what === 'all') suspectSome(world)
  if (split) partition(world, processes)
  if (resolver === 'none') world.mayBeNobody = true
  if (kept) reviving(world)
  return world.run()
}

export interface Tally {
  readonly bad: number
  readonly first: number | undefined
  readonly kinds: Readonly<Record<string, number>>
}

export function tally(runs: number, run: (seed: number) => readonly string[], from = 1): Tally {
  const kinds: Record<string, number> = {}
  let bad = 0
  let first: number | undefined
  for (let seed = from; seed < from + runs; seed++) {
    const found = run(seed)
    if (found.length === 0) continue
    bad++
    first ??= seed
    const kind = found[0]!
      .replace(/[:0-9].*$/, '')
      .replace(/ n$/, '')
      .trim()
    kinds[kind] = (kinds[kind] ?? 0) + 1
  }
  return { bad, first, kinds }
}

function main(): void {
  const { values } = parseArgs({
    options: {
      runs: { type: 'string', default: '10000' },
      case: { type: 'string', multiple: true },
      naive: { type: 'boolean', default: false },
      seed: { type: 'string' },
      log: { type: 'boolean', default: false },
    },
  })
  const chosen = CASES.filter(name => values.case === undefined || values.case.includes(name))
  const log = values.log ? (line: string): void => console.log(line) : undefined
  if (values.seed !== undefined) {
    console.log(chosen.map(name => runCase(name, Number(values.seed), log)))
    return
  }
  const runs = Number(values.runs)
  if (values.naive) {
    console.log(JSON.stringify({ case: 'naive', runs, ...tally(runs, seed => runNaive(seed)) }))
    return
  }
  for (const name of chosen) {
    const from = performance.now()
    const result = tally(runs, seed => runCase(name, seed))
    const seconds = Math.round((performance.now() - from) / 100) / 10
    console.log(JSON.stringify({ case: name, runs, seconds, ...result }))
    if (result.bad > 0) process.exitCode = 1
  }
}

if (process.argv[1]?.endsWith('slot-checker.js')) main()
