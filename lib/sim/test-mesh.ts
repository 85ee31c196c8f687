/**
 * A whole cluster in one process, on virtual time: real nodes on a simulated world.
 *
 *   const mesh = await createTestMesh({ nodes: ['a', 'b', 'c'], seed: 1, actors: [counter] })
 *   const visits = await mesh.run(mesh.node('a').spawn(counter, 0, { name: 'visits' }))
 *   mesh.kill('a')
 *   await mesh.runUntil(() => mesh.node('b').whereis('visits') === undefined, { limitMs: 10_000 })
 *   await mesh.stop()
 *
 * Time stands still unless `run`, `advance`, `runUntil` or `settle` moves it, so a promise of a node is awaited through
 * `run`. The same seed and the same calls give the same log, which holds all that happens inside the nodes, too.
 *
 * A handler that waits for something of the real world (a file, a socket, a timer of the platform) would make runs
 * depend on the machine. It is found by being busy for a second of virtual time on a node that itself waits for nothing,
 * and the run fails by the name of its process. Promises that one actor gives another directly are taken for that, too.
 */
import type { Node } from '../actor/api.js'
import type { AnyActor } from '../actor/define.js'
import { compareIds } from '../base/ids.js'
import { checkOptions, isBoolean, isInteger, isObject } from '../base/options.js'
import { createNode } from '../node/node.js'
import type { NodeOptions } from '../node/options.js'
import type { EventLog } from './event-log.js'
import { createProbe, type Probe, type ProbeOptions } from './probe.js'
import type { LinkOptions, SimNetwork } from './sim-network.js'
import { Simulation } from './simulation.js'

export interface TestMeshOptions {
  /** How many (named `a`, `b`, …), or their names. */
  readonly nodes: number | readonly string[]
  /** Everything that is left to chance follows from it. */
  readonly seed: number
  readonly actors?: readonly AnyActor[] | undefined
  /**
   * For every node. Default: silent, and local mail goes through the codec. With `discovery` they are given no seeds: what
   * names resolve to is `network.resolve`, what files hold `simulation.disk(node).put`.
   */
  readonly options?: Omit<NodeOptions, 'name' | 'listen' | 'seeds' | 'actors' | 'runtime'> | undefined
  /** How links behave where `network.link` says nothing else. */
  readonly link?: LinkOptions | undefined
  /** Makes what protocols allow and hardly ever meet happen often. Default false. */
  readonly buggify?: boolean | undefined
}

/** Virtual ms that a promise may take before a run is taken to hang. */
const RUN_MS = 120_000
const PORT = 7_000
const NODES_MAX = 256

/** How long a handler may be busy on a node that waits for nothing. */
const BUSY_MS = 1_000
/** Gauges of what a node waits for: while one is above zero its handlers may wait for that. */
const WAITS = [
  'process.calls.pending',
  'remote.spawning',
  'remote.hosting',
  'cluster.waiting',
  'cluster.reviving',
  'supervisor.stopping',
]

/** Starts all nodes at once and resolves when each has joined. */
export async function createTestMesh(options: TestMeshOptions): Promise<TestMesh> {
  checkOptions('createTestMesh', options, {
    nodes: value =>
      Array.isArray(value)
        ? undefined
        : isInteger(1, NODES_MAX)(value) && `${isInteger(1, NODES_MAX)(value)}, or names`,
    seed: isInteger(0, 2 ** 32),
    actors: () => undefined,
    options: isObject,
    link: isObject,
    buggify: isBoolean,
  })
  const { nodes } = options
  const names = typeof nodes === 'number' ? Array.from({ length: nodes }, (_, i) => nameOf(i)) : [...nodes]
  const mesh = new TestMesh(options, names)
  await mesh.run(Promise.all(names.map(name => mesh.boot(name))))
  return mesh
}

/** `a` to `z`, then `a1`, `b1`, … */
const nameOf = (i: number): string =>
  `${String.fromCharCode(97 + (i % 26))}${i < 26 ? '' : Math.floor(i / 26)}`

export class TestMesh {
  readonly simulation: Simulation
  readonly #options: TestMeshOptions
  readonly #names: string[]
  readonly #nodes = new Map<string, Node>()
  /** Since when each handler has been seen to wait for nothing, by printed pid. */
  readonly #busy = new Map<string, number>()

  /** Internal: see `createTestMesh`. */
  constructor(options: TestMeshOptions, names: readonly string[]) {
    this.#options = options
    this.#names = [...names]
    this.simulation = new Simulation({
      seed: options.seed,
      ...(options.link === undefined ? {} : { link: options.link }),
      ...(options.buggify === undefined ? {} : { buggify: options.buggify }),
    })
    this.simulation.check = () => this.#escaped()
  }

  /** A process on that node which asserts on what it is sent. Its waiting moves the time by itself. */
  probe(node: string, options?: ProbeOptions): Promise<Probe> {
    return createProbe(this.node(node), options, promise => this.run(promise))
  }

  /** Faults: `cut`, `cutOneWay`, `partition`, `heal`, `reset`, `link`. */
  get network(): SimNetwork {
    return this.simulation.network
  }

  /** Everything that happened; `hash()` is equal for equal runs. */
  get log(): EventLog {
    return this.simulation.log
  }

  /** The nodes that run, sorted by name. */
  get nodes(): readonly Node[] {
    return [...this.#nodes.keys()].sort(compareIds).map(name => this.#nodes.get(name)!)
  }

  node(name: string): Node {
    const node = this.#nodes.get(name)
    if (node === undefined)
      throw new TypeError(`node: expected one of ${[...this.#nodes.keys()].join(', ')}, got ${name}`)
    return node
  }

  /**
   * Starts a node, the first time or after `kill`, `crash` or its stop: another life under the same name and address.
   * Resolves when it has joined; to be awaited through `run`.
   */
  async boot(name: string): Promise<Node> {
    if (!this.#names.includes(name)) this.#names.push(name)
    const runtime = this.simulation.runtime(name)
    const node = await createNode({
      logger: false,
      serializeLocal: true,
      // Names are the addresses of this world, and nobody else is in it.
      insecure: true,
      ...this.#options.options,
      name,
      listen: `${name}:${PORT}`,
      seeds: this.#options.options?.discovery === undefined ? this.#seedsOf(name) : [],
      actors: this.#options.actors ?? [],
      runtime,
    })
    this.#nodes.set(name, node)
    return node
  }

  #seedsOf(name: string): readonly string[] {
    return this.#names.filter(other => other !== name).map(other => `${other}:${PORT}`)
  }

  /** The process dies, its machine lives: peers see their connections end. */
  kill(name: string): void {
    this.#nodes.delete(name)
    this.simulation.kill(name)
  }

  /** The machine dies: peers hear nothing more. */
  crash(name: string): void {
    this.#nodes.delete(name)
    this.simulation.crash(name)
  }

  /** Its events wait until `resume`; its clock does not. */
  pause(name: string): void {
    this.simulation.pause(name)
  }

  resume(name: string): void {
    this.simulation.resume(name)
  }

  /** Lets `ms` of virtual time pass, with everything that happens in it. */
  advance(ms: number): Promise<void> {
    return this.simulation.advance(ms)
  }

  /** Lets time pass until `predicate` holds; rejects when it does not within `limitMs`. */
  runUntil(predicate: () => boolean, options: { readonly limitMs: number }): Promise<void> {
    return this.simulation.runUntil(predicate, options)
  }

  /** Runs what is due now, and what follows from it at once. */
  settle(): Promise<void> {
    return this.simulation.settle()
  }

  /** Lets time pass until `promise` settles, and gives its result. Rejects when it takes longer than `limitMs`. */
  async run<T>(promise: Promise<T>, options: { readonly limitMs: number } = { limitMs: RUN_MS }): Promise<T> {
    let settled = false
    const settle = (): void => {
      settled = true
    }
    promise.then(settle, settle)
    await this.simulation.runUntil(() => settled, options)
    return promise
  }

  /** Stops every node that runs, in order of their names. */
  async stop(): Promise<void> {
    for (const node of this.nodes) {
      await this.run(node.stop({ drainMs: 0 }))
      this.#nodes.delete(node.name)
    }
  }

  /** What escaped the simulation, if anything did. */
  #escaped(): string | undefined {
    const busy = this.nodes.filter(waitsForNothing).flatMap(node => node.processes().filter(p => p.busy))
    const { nowMs } = this.simulation
    const pids = new Set(busy.map(({ pid }) => `${pid}`))
    for (const pid of this.#busy.keys()) if (!pids.has(pid)) this.#busy.delete(pid)
    for (const pid of pids) if (!this.#busy.has(pid)) this.#busy.set(pid, nowMs)
    const escaped = busy.find(({ pid }) => nowMs - (this.#busy.get(`${pid}`) ?? nowMs) >= BUSY_MS)
    if (escaped === undefined) return undefined
    return `a handler of ${escaped.pid} (${escaped.definition}) escaped the simulation: it waits for something real`
  }
}

const waitsForNothing = (node: Node): boolean => {
  const { counters } = node.stats()
  return WAITS.every(gauge => (counters[gauge] ?? 0) === 0)
}
