/**
 * One random world: a cluster, people who use it, and everything that can happen to it, all drawn from one seed.
 *
 *   start ── workload and faults, BUSY_MS ──▶ heal all, start all ── REST_MS ──▶ checked ── all end ──▶ checked, stopped
 */
import type { ActorRef, Node } from '../../lib/actor/api.js'
import type { Pid } from '../../lib/base/ids.js'
import type { SimRandom } from '../../lib/sim/sim-random.js'
import { TestMesh } from '../../lib/sim/test-mesh.js'
import { checkBounds, checkEmpty, checkStopped } from './bounds.js'
import { History } from './history.js'
import { checkMessages } from './messages.js'
import { checkNames } from './names.js'
import { checkSignals } from './signals.js'
import { type Command, talkerOf } from './talker.js'
import { checkViews } from './views.js'

/** How long users and faults are at it, and how long the cluster then has to come to rest. */
const BUSY_MS = 20_000
const REST_MS = 30_000
/** Long enough for gauges to fall once the last process has ended. */
const END_MS = 8_000
/** What was said last is still on its way. */
const LAST_WORDS_MS = 1_000
const TAIL_LINES = 200
const NAMES = ['n0', 'n1', 'n2', 'n3', 'n4', 'n5']
const TALKERS_MAX = 24

type Talker = ActorRef<ReturnType<typeof talkerOf>>

export interface Outcome {
  readonly seed: number
  readonly hash: string
  readonly events: number
  readonly violations: readonly string[]
  readonly tail: readonly string[]
}

/** Everything a checker is given. */
export interface Checked {
  readonly mesh: TestMesh
  readonly history: History
}

class World implements Checked {
  readonly history = new History()
  readonly mesh: TestMesh
  readonly #names: readonly string[]
  readonly #random: SimRandom
  readonly #def: ReturnType<typeof talkerOf>
  readonly #talkers: Talker[] = []
  readonly #down = new Set<string>()
  readonly #paused = new Set<string>()
  #resting = false

  constructor(seed: number) {
    const size = seed % 4 === 0 ? 5 : 3
    this.#names = ['a', 'b', 'c', 'd', 'e'].slice(0, size)
    this.#def = talkerOf(this.history, () => this.mesh.simulation.nowMs)
    this.mesh = new TestMesh({ nodes: this.#names, seed, actors: [this.#def] }, this.#names)
    this.mesh.log.listener = (...line) => this.#note(...line)
    this.#random = this.mesh.simulation.random('world')
  }

  async run(): Promise<void> {
    const late = this.#names.at(-1) as string
    this.#down.add(late)
    for (const name of this.#names) if (name !== late) this.#boot(name)
    this.#plan()
    this.mesh.simulation.after(1_000 + this.#random.below(5_000), () => this.#boot(late))
    await this.mesh.advance(BUSY_MS)
    this.#rest()
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

  #plan(): void {
    const random = this.mesh.simulation.random('plan')
    for (let ms = 500; ms < BUSY_MS; ms += 10 + random.below(60)) {
      this.mesh.simulation.after(ms, () => this.#use())
    }
    for (let ms = 3_000; ms < BUSY_MS; ms += 300 + random.below(3_000)) {
      this.mesh.simulation.after(ms, () => this.#hurt())
    }
  }

  // ---- users ----

  #use(): void {
    const node = this.#pick(this.mesh.nodes.filter(({ name }) => !this.#paused.has(name)))
    if (node === undefined) return
    const mine = this.#talkers.filter(({ pid }) => pid.node === node.name && this.#lives(node, pid))
    if (mine.length < 3) return this.#spawn(node, undefined)
    const from = this.#pick(mine) as Talker
    const to = this.#pick(this.#talkers) as Talker
    const say = (command: Command): void => void node.send(from.pid, command)
    const dice = this.#random.below(100)
    if (dice < 50) say({ do: 'say', to: to.pid, count: 1 + this.#random.below(12) })
    else if (dice < 62) say({ do: 'watch', to: to.pid })
    else if (dice < 66) say({ do: 'unwatch', to: to.pid })
    else if (dice < 72) say({ do: 'tie', to: to.pid })
    else if (dice < 75) say({ do: 'untie', to: to.pid })
    else if (dice < 84) say({ do: 'ask', to, timeoutMs: 500 + this.#random.below(4_500) })
    else if (dice < 88) say({ do: 'leave' })
    else if (dice < 90) node.exit(from.pid, 'kill')
    else this.#spawn(node, this.#pick(NAMES))
  }

  #lives(node: Node, pid: Pid): boolean {
    return node.self.creation === pid.creation && node.isAlive(pid)
  }

  #spawn(node: Node, name: string | undefined): void {
    if (this.#talkers.length > TALKERS_MAX) this.#talkers.shift()
    const on = this.#pick([undefined, 'ring', ...this.#names])
    const restart = this.#pick(['permanent', 'temporary'] as const)
    const options = name === undefined ? {} : { name, on, restart }
    const spawned = node.spawn(this.#def, name ?? null, options)
    // Refusals are answers; what they leave behind is checked at the end.
    spawned.then(
      ref => this.#spawned(ref),
      () => {},
    )
  }

  #spawned(ref: Talker): void {
    const home = this.#homeOf(ref.pid)
    if (home !== undefined) this.#talkers.push(ref)
  }

  #homeOf(pid: Pid): Node | undefined {
    return this.mesh.nodes.find(node => node.name === pid.node && this.#lives(node, pid))
  }

  // ---- faults ----

  #hurt(): void {
    const [a, b] = this.#two()
    const dice = this.#random.below(8)
    if (dice === 0) this.#cut(a, b, 'cut')
    else if (dice === 1) this.#cut(a, b, 'cutOneWay')
    else if (dice === 2) this.#reset(a, b)
    else if (dice === 3) this.#pause(a)
    else if (dice === 4) this.#isolate(a)
    else if (dice === 5) this.#fell(a, 'crash')
    else this.#fell(a, 'kill')
  }

  #cut(a: string, b: string, how: 'cut' | 'cutOneWay'): void {
    this.#fault(how, a, b)
    this.mesh.network[how](a, b)
    this.#after(200 + this.#random.below(9_000), () => {
      this.#fault('heal', a, b)
      this.mesh.network.heal(a, b)
    })
  }

  #isolate(a: string): void {
    const others = this.#names.filter(name => name !== a)
    this.#fault('isolate', ...this.#names)
    this.mesh.network.partition([a], others)
    this.#after(200 + this.#random.below(12_000), () => {
      this.#fault('heal', ...this.#names)
      for (const other of others) this.mesh.network.heal(a, other)
    })
  }

  #reset(a: string, b: string): void {
    this.#fault('reset', a, b)
    this.mesh.network.reset(a, b)
  }

  #pause(name: string): void {
    if (this.#down.has(name) || this.#paused.has(name)) return
    this.#fault('pause', name)
    this.#paused.add(name)
    this.mesh.pause(name)
    this.#after(100 + this.#random.below(8_000), () => this.#resume(name))
  }

  #resume(name: string): void {
    if (!this.#paused.delete(name)) return
    this.#fault('resume', name)
    this.mesh.resume(name)
  }

  #fell(name: string, how: 'kill' | 'crash'): void {
    if (this.#down.size > 0 || this.#paused.has(name)) return
    this.#fault(how, name)
    this.#down.add(name)
    this.mesh[how](name)
    this.#after(50 + this.#random.below(6_000), () => this.#boot(name))
  }

  #boot(name: string): void {
    if (this.mesh.nodes.some(node => node.name === name)) return
    this.#down.delete(name)
    this.#fault('boot', name)
    for (const peer of this.#names) this.history.sessions.delete(`${name} ${peer}`)
    // Refused while the cluster still takes its last life for alive: then it tries again, as a service manager would.
    this.mesh.boot(name).then(
      () => {},
      error => this.#again(name, error),
    )
  }

  #again(name: string, error: unknown): void {
    this.mesh.log.record(
      this.mesh.simulation.nowMs,
      name,
      'refused',
      (error as { code?: string }).code ?? `${error}`,
    )
    this.mesh.kill(name)
    this.mesh.simulation.after(1_000, () => this.#boot(name))
  }

  /** Sessions as the nodes themselves took them down, from their first moment on. */
  #note(atMs: number, node: string, kind: string, ids: string): void {
    if (kind !== 'nodeup' && kind !== 'nodedown') return
    const [peer, creation] = ids.split(' ') as [string, string]
    this.history
      .sessionsOf(node, peer)
      .push({ kind: kind === 'nodeup' ? 'up' : 'down', atMs, creation: Number(creation) })
  }

  #after(ms: number, fn: () => void): void {
    this.mesh.simulation.after(ms, () => {
      if (!this.#resting) fn()
    })
  }

  #rest(): void {
    this.#resting = true
    this.mesh.network.heal()
    for (const name of [...this.#paused].sort()) this.#resume(name)
    for (const name of [...this.#down].sort()) this.#boot(name)
    this.#fault('rest', ...this.#names)
  }

  #fault(kind: string, ...nodes: string[]): void {
    this.history.faults.push({ kind, atMs: this.mesh.simulation.nowMs, nodes })
    this.mesh.log.record(this.mesh.simulation.nowMs, '', `fault ${kind}`, nodes.join(' '))
  }

  #two(): [string, string] {
    const first = this.#random.below(this.#names.length)
    const second = (first + 1 + this.#random.below(this.#names.length - 1)) % this.#names.length
    return [this.#names[first] as string, this.#names[second] as string]
  }

  #pick<T>(from: readonly T[]): T | undefined {
    return from[this.#random.below(from.length)]
  }
}

/** Runs the world of one seed and checks it. Never rejects. */
export async function runSeed(seed: number): Promise<Outcome> {
  const world = new World(seed)
  const { history, mesh } = world
  const violations: string[] = []
  const unhandled = (error: unknown): void => void violations.push(`I17: an unhandled rejection: ${error}`)
  process.on('unhandledRejection', unhandled)
  try {
    await world.run()
    violations.push(
      ...[checkViews, checkMessages, checkSignals, checkNames, checkBounds].flatMap(check => check(world)),
    )
    await world.end()
    violations.push(...checkEmpty(world))
    await mesh.stop()
    await mesh.advance(LAST_WORDS_MS)
    violations.push(...checkStopped(world))
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
