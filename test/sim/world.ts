/**
 * One random world: a cluster, people who use it, and everything that can happen to it, all drawn from one seed.
 *
 *   safety     start ── users and faults, to the end ─────────────────────────────▶ checked, stopped amid the faults
 *   liveness   start ── users and faults ──▶ no more of either, a majority is up ── REST_MS ──▶ checked ── all end ──▶
 *              checked, stopped
 *
 * What must hold at every moment is looked at twice a second, in both.
 */
import type { ActorRef, Node } from '../../lib/actor/api.js'
import type { Pid } from '../../lib/base/ids.js'
import type { NodeOptions } from '../../lib/node/options.js'
import { SimRandom } from '../../lib/sim/sim-random.js'
import { TestMesh } from '../../lib/sim/test-mesh.js'
import { checkBounds, checkEmpty, checkLimits, checkStopped } from './bounds.js'
import { type Fault, planFaults } from './faults.js'
import { History } from './history.js'
import { checkLiveness } from './liveness.js'
import { checkMessages } from './messages.js'
import { checkHolders, checkNames } from './names.js'
import { Quorums } from './quorums.js'
import { checkSignals } from './signals.js'
import { type Command, talkerOf } from './talker.js'
import { Beliefs, checkViews } from './views.js'
import { Weather } from './weather.js'

/** How long the cluster has to come to rest. */
const REST_MS = 30_000
const LOOK_MS = 500
/** Long enough for gauges to fall once the last process has ended. */
const END_MS = 8_000
/** What was said last is still on its way, and a connection that nobody answers lingers. */
const LAST_WORDS_MS = 1_000
const LINGER_MS = 11_000
const TAIL_LINES = 200
const NAMES = ['n0', 'n1', 'n2', 'n3', 'n4', 'n5']
const TALKERS_MAX = 24
const WRONG_MAX = 100

type Talker = ActorRef<ReturnType<typeof talkerOf>>

export type Mode = 'safety' | 'liveness'

export interface Outcome {
  readonly seed: number
  readonly hash: string
  readonly events: number
  readonly violations: readonly string[]
  readonly tail: readonly string[]
}

export interface RunOptions {
  readonly mode?: Mode | undefined
  /** Instead of those that the seed says. */
  readonly faults?: readonly Fault[] | undefined
  readonly buggify?: boolean | undefined
  /** Is given every line of the log. */
  readonly onLine?: ((line: string) => void) | undefined
}

/** Everything a checker is given. */
export interface Checked {
  readonly mesh: TestMesh
  readonly history: History
  /** Nodes that are not started again. */
  readonly lost: ReadonlySet<string>
}

/** What a seed says of its world, before anything happens in it. */
export interface Scheme {
  readonly mode: Mode
  readonly names: readonly string[]
  readonly policy: NonNullable<NodeOptions['partitionPolicy']>
  readonly busyMs: number
  /** The last few start after the others. */
  readonly late: boolean
  readonly useMs: number
  readonly faults: readonly Fault[]
}

export function schemeOf(seed: number): Scheme {
  const random = new SimRandom(`scheme ${seed}`)
  const size = pick(random, [3, 3, 3, 3, 4, 4, 5, 5, 6, 7, 9])
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'].slice(0, size)
  // Long ones have room for pauses of a minute; in sparse ones one can see what a single fault must not do.
  const kind = pick(random, [
    'long',
    'sparse',
    'sparse',
    'sparse',
    ...Array<'dense'>(10).fill('dense'),
  ] as const)
  const busyMs = kind === 'long' ? 75_000 : kind === 'sparse' ? 34_000 : 12_000 + random.below(18_000)
  const plan = {
    names,
    fromMs: kind === 'sparse' ? 13_000 : 3_000,
    untilMs: busyMs,
    everyMs: kind === 'long' ? 4_000 : kind === 'sparse' ? 8_000 : pick(random, [800, 1_500, 1_500, 3_000]),
  }
  return {
    mode: seed % 4 === 3 ? 'safety' : 'liveness',
    names,
    policy: pick(random, ['diverge', 'diverge', 'majority', { policy: 'static-quorum', size }] as const),
    busyMs,
    late: kind !== 'sparse',
    useMs: kind === 'long' ? 150 : 45,
    faults: planFaults(random.fork('faults'), plan),
  }
}

class World implements Checked {
  readonly history = new History()
  readonly mesh: TestMesh
  readonly scheme: Scheme
  readonly lost = new Set<string>()
  readonly def: ReturnType<typeof talkerOf>
  readonly #weather: Weather
  readonly #beliefs = new Beliefs()
  readonly #quorums: Quorums
  readonly #talkers: Talker[] = []
  /** Of the user whose turn it is: so that what one does shifts no draw of another. */
  #random: SimRandom
  #resting = false

  constructor(seed: number, { mode, faults, buggify = true }: RunOptions) {
    this.def = talkerOf(this.history, () => this.mesh.simulation.nowMs)
    const scheme = schemeOf(seed)
    const { names, policy: partitionPolicy } = scheme
    this.scheme = { ...scheme, mode: mode ?? scheme.mode, faults: faults ?? scheme.faults }
    const options = { partitionPolicy, dataFolder: '/data' }
    this.mesh = new TestMesh({ nodes: names, seed, actors: [this.def], buggify, options }, names)
    this.#random = this.mesh.simulation.random('world')
    this.#quorums = new Quorums(partitionPolicy)
    this.#weather = new Weather(this.mesh, this.history, names)
  }

  async run(): Promise<void> {
    const { names, busyMs, faults, late: some } = this.scheme
    const { simulation } = this.mesh
    const late = some ? names.slice(-1 - this.#random.below(Math.ceil(names.length / 3))) : []
    for (const name of names) {
      const afterMs = late.includes(name) ? 1_000 + this.#random.below(5_000) : 0
      simulation.after(afterMs, () => this.#weather.boot(name))
    }
    this.#planUse()
    this.#weather.plan(faults)
    this.#look()
    await this.mesh.advance(busyMs)
  }

  /** No more users and faults; of the nodes that are down a minority may stay so. */
  async rest(): Promise<void> {
    this.#resting = true
    const { names } = this.scheme
    const down = names.filter(name => !this.mesh.nodes.some(node => node.name === name))
    const most = Math.floor((names.length - 1) / 2)
    for (const name of down.slice(0, most)) if (this.#weather.isDown(name)) this.lost.add(name)
    if (this.#random.chance(0.5)) this.lost.clear()
    this.#weather.clear(this.lost)
    await this.mesh.advance(REST_MS)
  }

  /** All processes end, records of names first. */
  async end(): Promise<void> {
    const first = this.mesh.nodes[0]
    for (const { name } of first?.names() ?? [])
      await this.mesh
        .run((first as Node).terminate(name))
        .catch(error => this.history.wrong.push(`I6: ${error}`))
    for (const node of this.mesh.nodes) for (const { pid } of node.processes()) node.exit(pid, 'kill')
    await this.mesh.advance(END_MS)
  }

  /** Every node stops, whatever is wrong around it; but nobody can who is paused, or on its way up or down. */
  async stopAmid(): Promise<void> {
    this.#resting = true
    this.#weather.freeze()
    const up: readonly string[] = this.mesh.nodes.map(({ name }) => name)
    for (const name of this.scheme.names)
      if (!up.includes(name) || !this.#weather.isWell(name)) this.#weather.kill(name)
    await this.mesh.stop()
    await this.mesh.advance(LINGER_MS)
  }

  #planUse(): void {
    const { simulation } = this.mesh
    const { busyMs, useMs } = this.scheme
    const random = simulation.random('plan')
    for (let ms = 500; ms < busyMs; ms += 1 + random.below(2 * useMs)) {
      const own = simulation.random(`use ${ms}`)
      simulation.after(ms, () => {
        this.#random = own
        this.#use()
      })
    }
  }

  #look(): void {
    const found = [
      checkHolders(this),
      checkLimits(this),
      this.#beliefs.check(this),
      this.#quorums.check(this),
    ].flat()
    if (this.history.wrong.length < WRONG_MAX) this.history.wrong.push(...found)
    this.mesh.simulation.after(LOOK_MS, () => this.#look())
  }

  // ---- users ----

  #use(): void {
    if (this.#resting) return
    const node = this.#pick(this.mesh.nodes.filter(({ name }) => this.#weather.isWell(name)))
    if (node === undefined) return
    const mine = this.#talkers.filter(({ pid }) => pid.node === node.name && this.#lives(node, pid))
    if (mine.length < 3) return this.#spawn(node, undefined)
    const from = this.#pick(mine) as Talker
    const to = this.#pick(this.#talkers) as Talker
    const say = (command: Command): void => void node.send(from.pid, command)
    const dice = this.#random.below(100)
    if (dice < 49) say({ do: 'say', to: to.pid, count: 1 + this.#random.below(12), bytes: this.#bytes() })
    else if (dice < 61) say({ do: 'watch', to: to.pid })
    else if (dice < 65) say({ do: 'unwatch', to: to.pid })
    else if (dice < 71) say({ do: 'tie', to: to.pid })
    else if (dice < 74) say({ do: 'untie', to: to.pid })
    else if (dice < 83) say({ do: 'ask', to, timeoutMs: 500 + this.#random.below(4_500) })
    else if (dice < 87) say({ do: 'leave' })
    else if (dice < 89) node.exit(from.pid, 'kill')
    else if (dice < 91) node.update({ meta: { load: `${this.#random.below(100)}` } })
    else this.#spawn(node, this.#pick(NAMES))
  }

  /** Most are small; some leave in parts, and some fill what waits for credit. */
  #bytes(): number {
    const dice = this.#random.below(100)
    return dice < 85 ? 0 : dice < 97 ? this.#random.below(8_000) : this.#random.below(200_000)
  }

  #lives(node: Node, pid: Pid): boolean {
    return node.self.creation === pid.creation && node.isAlive(pid)
  }

  #spawn(node: Node, name: string | undefined): void {
    if (this.#talkers.length > TALKERS_MAX) this.#talkers.shift()
    const on = this.#pick([undefined, 'ring', ...this.scheme.names])
    const restart = this.#pick(['permanent', 'temporary'] as const)
    const options = name === undefined ? {} : { name, on, restart }
    const spawned = node.spawn(this.def, name ?? null, options)
    // Refusals are answers; what they leave behind is checked at the end.
    spawned.then(
      ref => this.#spawned(ref),
      () => {},
    )
  }

  #spawned(ref: Talker): void {
    if (this.mesh.nodes.some(node => node.name === ref.pid.node && this.#lives(node, ref.pid)))
      this.#talkers.push(ref)
  }

  #pick<T>(from: readonly T[]): T | undefined {
    return pick(this.#random, from)
  }

  /** What the nodes themselves took down, from their first moment on. */
  note(atMs: number, node: string, kind: string, ids: string): void {
    if (kind === 'nodeup' || kind === 'nodedown') {
      const [peer, creation] = ids.split(' ') as [string, string]
      this.history
        .sessionsOf(node, peer)
        .push({ kind: kind === 'nodeup' ? 'up' : 'down', atMs, creation: Number(creation) })
    } else if (kind === 'member:down' || kind === 'member:suspect') {
      const [about, , , reason] = ids.split(' ') as [string, string, string, string]
      this.history.verdicts.push({
        kind: kind === 'member:down' ? 'gave up' : 'suspected',
        node,
        about,
        atMs,
        reason,
      })
    } else if (kind === 'partitioned' || kind === 'quorate') {
      this.history.wrong.push(...this.#quorums.told(this.history, node, kind, atMs))
    } else if (kind === 'buggify' && ids === 'packet-lost') {
      this.history.lossy = true
    } else if (kind === 'buggify' && ids === 'session-cut') {
      this.history.faults.push({ kind: ids, fromMs: atMs, toMs: atMs, ways: [], nodes: [node] })
    }
  }
}

function pick<T>(random: SimRandom, from: readonly T[]): T {
  return from[random.below(from.length)] as T
}

/** Runs the world of one seed and checks it. Never rejects. */
export async function runSeed(seed: number, options: RunOptions = {}): Promise<Outcome> {
  const world = new World(seed, options)
  const { history, mesh } = world
  const { onLine } = options
  mesh.log.listener = (atMs, node, kind, ids) => {
    world.note(atMs, node, kind, ids)
    onLine?.(`${atMs} ${node} ${kind} ${ids}`)
  }
  const violations: string[] = []
  const unhandled = (error: unknown): void => void violations.push(`I17: an unhandled rejection: ${error}`)
  process.on('unhandledRejection', unhandled)
  try {
    await world.run()
    violations.push(
      ...(world.scheme.mode === 'safety' ? await checkedAmid(world) : await checkedAtRest(world)),
    )
  } catch (error) {
    const { message, cause, stack } = error as Error
    violations.push(
      `I17: ${message}${cause === undefined ? '' : `\n  cause: ${(cause as Error).stack}`}\n${stack}`,
    )
  } finally {
    process.off('unhandledRejection', unhandled)
  }
  return {
    seed,
    hash: mesh.log.hash(),
    violations: [...history.wrong, ...violations],
    events: mesh.log.count,
    tail: mesh.log.tail(TAIL_LINES),
  }
}

async function checkedAmid(world: World): Promise<string[]> {
  const wrong = [...checkMessages(world, false), ...checkSignals(world, false)]
  await world.stopAmid()
  return [...wrong, ...checkStopped(world, world.scheme.names)]
}

async function checkedAtRest(world: World): Promise<string[]> {
  const { mesh } = world
  const wrong: string[] = []
  await world.rest()
  for (const check of [checkViews, checkMessages, checkSignals, checkNames, checkBounds])
    wrong.push(...check(world))
  wrong.push(...(await checkLiveness(world, world.def)))
  await world.end()
  wrong.push(...checkEmpty(world))
  await mesh.stop()
  await mesh.advance(LAST_WORDS_MS)
  return [...wrong, ...checkStopped(world, world.scheme.names)]
}
