/**
 * One random world: nodes, a workload, faults drawn from the seed, and the history that the checkers read.
 *
 *   boot ── workload and faults for `FAULTS_MS` ── heal, restart, resume ── quiet for `QUIET_MS` ── check
 */
import { type ActorRef, defineActor, type Node, type Pid, TroupeError } from '../../lib/index.js'
import { createTestMesh, type SimRandom, type TestMesh } from '../../lib/testing.js'

const FAULTS_MS = 20_000
/** A down after silence takes 5 s, a re-dial at most 2 s, a slot moves after 1 s of stillness. */
const QUIET_MS = 30_000
const NAMES = ['red', 'green', 'blue', 'black', 'white']

/** What a recorder heard from one sender: numbers in the order in which they came. */
export interface Heard {
  readonly from: string
  readonly numbers: readonly number[]
}

const recorder = defineActor('recorder', {
  init: (_args, ctx) => {
    ctx.trapExit(true) // it is linked by processes of nodes that go
    return { heard: new Map<string, number[]>() }
  },
  calls: {
    heard: state => [...state.heard].map(([from, numbers]): Heard => ({ from, numbers })),
  },
  casts: {
    note(state, { from, n }: { from: string; n: number }) {
      const numbers = state.heard.get(from) ?? []
      numbers.push(n)
      state.heard.set(from, numbers)
    },
  },
})

const named = defineActor('named', {
  init: (start: number) => ({ value: start }),
  calls: { add: (state, by: number) => (state.value += by) },
})

/** A monitor or a link across nodes, and how often its end was told. */
export interface Watch {
  readonly kind: 'monitor' | 'link'
  readonly watcher: Pid
  readonly watched: Pid
  readonly told: unknown[]
}

export interface World {
  readonly seed: number
  readonly mesh: TestMesh
  readonly names: readonly string[]
  readonly watches: Watch[]
  /** `observer node`, for every session that an observer saw end. */
  readonly lost: Set<string>
  /** What recorders heard, per recorder, at the end of the run. */
  readonly heard: Map<string, readonly Heard[]>
  /** How many numbers each sender sent to each recorder and was not refused. */
  readonly sent: Map<string, number>
  /** What was asked of a node and has not ended yet, in either way. */
  readonly waiting: Map<symbol, { readonly node: Node; readonly what: string }>
  /** Rejections with an error that is none of ours. */
  readonly strange: unknown[]
}

export async function play(seed: number): Promise<World> {
  const count = seed % 4 === 0 ? 5 : 3
  const mesh = await createTestMesh({ nodes: count, seed, actors: [recorder, named] })
  // Who starts at the same moment may resolve before the last pair has met.
  await mesh.runUntil(() => mesh.nodes.every(node => node.nodes().length === count - 1), { limitMs: 30_000 })
  const names = mesh.nodes.map(node => node.name as string)
  const world: World = {
    seed,
    mesh,
    names,
    watches: [],
    lost: new Set(),
    heard: new Map(),
    sent: new Map(),
    waiting: new Map(),
    strange: [],
  }
  const random = mesh.simulation.random('world')
  for (const node of mesh.nodes) watchSessions(world, node)
  const recorders = await mesh.run(Promise.all(mesh.nodes.map(node => node.spawn(recorder))))
  for (const node of mesh.nodes) startSenders(world, node, recorders, random.fork(`sender ${node.name}`))
  scheduleWork(world, random.fork('work'), recorders)
  scheduleFaults(world, random.fork('faults'))
  await mesh.advance(FAULTS_MS)
  await calm(world)
  await mesh.advance(QUIET_MS)
  for (const ref of recorders) {
    const home = mesh.nodes.find(node => node.name === ref.pid.node)
    if (home === undefined || home.self.creation !== ref.pid.creation) continue
    world.heard.set(ref.pid.toString(), await mesh.run(ref.call('heard')))
  }
  return world
}

function watchSessions(world: World, node: Node): void {
  node.on('nodedown', ({ node: other, creation }) => world.lost.add(`${node.self} ${other} ${creation}`))
}

/** One process per node that casts numbers to every recorder of other nodes, and monitors and links some. */
function startSenders(
  world: World,
  node: Node,
  recorders: readonly ActorRef<typeof recorder>[],
  random: SimRandom,
): void {
  const others = recorders.filter(ref => ref.pid.node !== node.name)
  node.run(
    async self => {
      const numbers = new Map(others.map(ref => [ref, 0]))
      for (const ref of others) watch(world, self.self, ref.pid, node)
      for (;;) {
        for (const ref of others) {
          const n = (numbers.get(ref) ?? 0) + 1
          if (self.cast(ref, 'note', { from: self.self.toString(), n }) === 'full') continue
          numbers.set(ref, n)
          world.sent.set(`${self.self} ${ref.pid}`, n)
        }
        await self.receive(() => false, { timeoutMs: 20 + random.below(200) }).catch(expectTimeout)
      }
    },
    { trapExit: true },
  )
}

const expectTimeout = (error: unknown): void => {
  if (!TroupeError.is(error, 'ERR_TIMEOUT')) throw error
}

/** A process of its own for each watch, so that what it is told is told by this watch alone. */
function watch(world: World, _of: Pid, watched: Pid, node: Node): void {
  for (const kind of ['monitor', 'link'] as const) {
    node.run(
      async self => {
        const entry: Watch = { kind, watcher: self.self, watched, told: [] }
        world.watches.push(entry)
        if (kind === 'monitor') self.monitor(watched)
        else self.link(watched)
        for (;;) {
          const signal = (await self.receive()) as { reason: unknown }
          entry.told.push(signal.reason)
        }
      },
      { trapExit: true },
    )
  }
}

/** Names are taken, called, terminated; some restart wherever they are lost. */
function scheduleWork(
  world: World,
  random: SimRandom,
  recorders: readonly ActorRef<typeof recorder>[],
): void {
  const { mesh } = world
  for (let at = 200; at < FAULTS_MS; at += 100 + random.below(400)) {
    mesh.simulation.after(at, () => {
      const nodes = mesh.nodes
      const node = nodes[random.below(nodes.length)]
      const name = NAMES[random.below(NAMES.length)] as string
      const what = random.below(10)
      if (node === undefined) return
      if (what < 4) {
        const on = random.chance(0.5) ? 'ring' : undefined
        const restart = random.chance(0.5) ? 'permanent' : 'temporary'
        follow(world, node, `spawn ${name}`, node.spawn(named, 0, { name, on, restart, timeoutMs: 5_000 }))
      } else if (what < 8) {
        follow(world, node, `call ${name}`, node.named(name, named).call('add', 1, { timeoutMs: 3_000 }))
      } else if (what === 8) {
        follow(world, node, `terminate ${name}`, node.terminate(name, { timeoutMs: 3_000 }))
      } else {
        const ref = recorders[random.below(recorders.length)] as ActorRef<typeof recorder>
        follow(
          world,
          node,
          `call ${name}`,
          node.whereis(name, named)?.call('add', 1) ?? node.send(ref.pid, 'plain'),
        )
      }
    })
  }
}

function follow(world: World, node: Node, what: string, outcome: unknown): void {
  const id = Symbol(what)
  world.waiting.set(id, { node, what })
  Promise.resolve(outcome).then(
    () => void world.waiting.delete(id),
    error => {
      world.waiting.delete(id)
      if (!TroupeError.is(error)) world.strange.push(error)
    },
  )
}

function scheduleFaults(world: World, random: SimRandom): void {
  const { mesh, names } = world
  const { network } = mesh
  const pick = (): string => names[random.below(names.length)] as string
  for (let at = 1_000; at < FAULTS_MS - 1_000; at += 500 + random.below(4_000)) {
    const lastMs = 200 + random.below(9_000)
    const kind = random.below(6)
    const [a, b] = [pick(), pick()]
    mesh.simulation.after(at, () => {
      if (kind === 0 && a !== b) network.cut(a, b)
      else if (kind === 1 && a !== b) network.cutOneWay(a, b)
      else if (kind === 2 && a !== b) network.reset(a, b)
      else if (kind === 3) network.partition([a])
      else if (kind === 4 && isUp(world, a) && mesh.nodes.length > 1) mesh.kill(a)
      else if (kind === 5 && isUp(world, a)) mesh.pause(a)
    })
    mesh.simulation.after(Math.min(at + lastMs, FAULTS_MS), () => {
      if (kind === 4) restart(world, a)
      else if (kind === 5 && isUp(world, a)) mesh.resume(a)
      else network.heal()
    })
  }
}

const isUp = ({ mesh }: World, name: string): boolean => mesh.nodes.some(node => node.name === name)

function restart(world: World, name: string): void {
  if (isUp(world, name) || world.mesh.simulation.node(name).alive) return
  world.mesh.boot(name).then(
    node => watchSessions(world, node),
    error => world.strange.push(error),
  )
}

/** No more faults: everything heals, everybody is up. */
async function calm(world: World): Promise<void> {
  world.mesh.network.heal()
  for (const name of world.names) {
    if (isUp(world, name)) world.mesh.resume(name)
    else restart(world, name)
  }
  await world.mesh.runUntil(() => world.mesh.nodes.length === world.names.length, { limitMs: 60_000 })
}
