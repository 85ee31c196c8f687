/**
 * A whole simulated world: one heap of events over virtual time, any number of nodes on it, and what can happen to
 * them. The same seed gives the same event log, bit for bit.
 *
 * Laws: events run in order of time; events of one moment in an order drawn by the seed, never by insertion; events of
 * one stream, or of one queue of one node's loop, keep theirs. After every event that ran a node's code the real event
 * loop turns once, so that every await it resolved has run on before the next event: 1.5 µs, which is less than it
 * would cost to know that no promise was touched.
 *
 * What it does not do: speed up or slow down computing, which takes no time here; replay code that awaits real I/O
 * (see `track`).
 */
import type { Runtime } from '../base/runtime.js'
import { createRealRuntime } from '../runtime/real-runtime.js'
import { Buggify } from './buggify.js'
import { EventHeap } from './event-heap.js'
import { EventLog } from './event-log.js'
import { SimDisk } from './sim-disk.js'
import { type LinkOptions, SimNetwork } from './sim-network.js'
import { SimNode } from './sim-node.js'
import { SimRandom } from './sim-random.js'
import { toGrid, type World } from './world.js'

/** Events at one moment of virtual time, after which a run is taken to go round in circles. */
const EVENTS_PER_MOMENT_MAX = 100_000
/** How much time passes between two looks at `check`. */
const CHECK_MS = 1_000
/** Lines of the log in an error. */
const TAIL_LINES = 20

export interface SimulationOptions {
  /** Everything follows from it. */
  readonly seed: number
  /** How links behave where `network.link` says nothing else. */
  readonly link?: LinkOptions
  /** Clocks run faster or slower by up to this share. Default 0.01. */
  readonly clockSkewMax?: number
  /** Makes what protocols allow and hardly ever meet happen often: late timers, skipped heartbeats. Default false. */
  readonly buggify?: boolean
}

interface Scheduled {
  fn: (() => void) | undefined
}

interface Tracked {
  readonly what: string
  readonly waits: (() => boolean) | undefined
}

export class Simulation {
  readonly seed: number
  readonly log = new EventLog()
  readonly network: SimNetwork
  /** Asked now and then while time passes: what is wrong, if anything. Then the run fails with it. */
  check: (() => string | undefined) | undefined
  readonly #random: SimRandom
  readonly #ties: SimRandom
  readonly #buggify: Buggify
  readonly #skewMax: number
  readonly #heap = new EventHeap<Scheduled>()
  readonly #nodes = new Map<string, SimNode>()
  readonly #disks = new Map<string, SimDisk>()
  readonly #tracked = new Map<Promise<unknown>, Tracked>()
  readonly #fresh: Promise<unknown>[] = []
  readonly #real = createRealRuntime()
  readonly #world: World
  #nowMs = 0
  #outstanding = 0
  #touched = false
  #running = false
  #checkMs = 0
  #momentMs = -1
  #momentEvents = 0

  constructor(options: SimulationOptions) {
    this.seed = options.seed
    this.#skewMax = options.clockSkewMax ?? 0.01
    this.#random = new SimRandom(options.seed)
    this.#ties = this.#random.fork('ties')
    this.#buggify = new Buggify(this.#random.fork('buggify'), options.buggify ?? false)
    this.#world = this.#makeWorld()
    this.network = new SimNetwork(this.#world, options.link)
  }

  get nowMs(): number {
    return this.#nowMs
  }

  /** A stream of chance for the test itself: which node to kill, and when. */
  random(use: string): SimRandom {
    return this.#random.fork(`test ${use}`)
  }

  /** A new life of the node `name`: the first, or one after `kill` or `crash`. Its machine keeps its disk. */
  runtime(name: string): Runtime {
    if (this.#nodes.get(name)?.alive) throw new TypeError(`runtime: ${name} is alive; kill or crash it first`)
    const random = this.#random.fork(`node ${name}`)
    const disk = this.disk(name)
    const node = new SimNode(this.#world, name, {
      random,
      rate: 1 + (2 * random.fork('rate').float() - 1) * this.#skewMax,
      around: {
        transport: life => this.network.transportOf(life),
        disk: life => disk.of(life, (delayMs, fn) => this.#world.at(this.#nowMs + delayMs, fn)),
        watch: life => (path, changed) => disk.watch(life, path, changed),
        resolver: this.network.resolver,
        host: this.#real.host,
      },
      buggify: this.#buggify.enabled,
    })
    this.#nodes.set(name, node)
    this.network.boot(node)
    return node.runtime
  }

  /** The current life of a node. */
  node(name: string): SimNode {
    const node = this.#nodes.get(name)
    if (node === undefined)
      throw new TypeError(`expected the name of a simulated node, got ${JSON.stringify(name)}`)
    return node
  }

  disk(name: string): SimDisk {
    const disk = this.#disks.get(name) ?? new SimDisk(this.#random.fork(`disk ${name}`))
    this.#disks.set(name, disk)
    return disk
  }

  /** Stops a node's loop, as SIGSTOP or a long collection does: its events wait, its clock does not. */
  pause(name: string): void {
    this.#fault('pause', name).pause()
  }

  resume(name: string): void {
    this.#fault('resume', name).resume()
  }

  /** The process dies, its machine lives: peers see their connections end, dials are refused, the disk keeps all. */
  kill(name: string): void {
    this.#end(name, 'killed')
  }

  /** The machine dies: silence, and the disk keeps what was synced and some of the rest. */
  crash(name: string): void {
    this.#end(name, 'crashed')
    this.disk(name).crash()
  }

  /** From now on nothing unusual happens that no fault of this class causes: see `buggify`. */
  calm(): void {
    this.#buggify.enabled = false
  }

  /** The machine's disk is another one, and empty. */
  wipe(name: string): void {
    this.#fault('wipe', name)
    this.disk(name).wipe()
  }

  /** Runs `fn`, which belongs to no node, `ms` from now: for schedules of faults. */
  after(ms: number, fn: () => void): void {
    this.#world.at(this.#nowMs + toGrid(ms), () => {
      this.#touched = true
      fn()
    })
  }

  /** Lets `ms` of virtual time pass, with everything that happens in it. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + toGrid(ms)
    await this.#run(untilMs, () => false)
    this.#nowMs = untilMs
  }

  /** Runs until `predicate` holds; rejects when it does not within `limitMs`. Asked after every event that ran code. */
  async runUntil(predicate: () => boolean, options: { readonly limitMs: number }): Promise<void> {
    const startMs = this.#nowMs
    const untilMs = startMs + toGrid(options.limitMs)
    if (await this.#run(untilMs, predicate)) return
    this.#nowMs = untilMs
    throw this.#failure(`the condition did not hold within ${options.limitMs} ms`)
  }

  /** Runs everything that is due now, and what follows from it at once. No time passes. */
  async settle(): Promise<void> {
    await this.#run(this.#nowMs, () => false)
  }

  /**
   * Tells of a promise that node code waits for. When it is still pending after the event in which it was tracked, or
   * when a run ends, and `waits` says that no simulated effect will settle it, it waits for something real: it escaped,
   * the run fails and names `what`. Without `waits` only a world in which no event is left counts as proof.
   */
  track(promise: Promise<unknown>, what: string, waits?: () => boolean): void {
    this.#tracked.set(promise, { what, waits })
    this.#fresh.push(promise)
    const settled = (): void => void this.#tracked.delete(promise)
    promise.then(settled, settled)
  }

  #makeWorld(): World {
    const nowMs = (): number => this.#nowMs
    return {
      get nowMs() {
        return nowMs()
      },
      random: this.#random,
      at: (atMs, fn) => this.#at(atMs, this.#ties.uint32(), fn),
      lastly: fn => this.#at(this.#nowMs, 2 ** 32 + this.#ties.uint32(), fn),
      touched: () => {
        this.#touched = true
      },
      record: (node, kind, ids) => this.log.record(this.#nowMs, node, kind, ids),
      buggify: (node, site) => {
        const fires = this.#buggify.fires(site)
        if (fires) this.log.record(this.#nowMs, node, 'buggify', site)
        return fires
      },
    }
  }

  #at(atMs: number, tie: number, fn: () => void): () => void {
    const event: Scheduled = { fn }
    this.#outstanding += 1
    this.#heap.push(atMs, tie, event)
    return () => {
      if (event.fn !== undefined) this.#outstanding -= 1
      event.fn = undefined
    }
  }

  #fault(kind: string, name: string): SimNode {
    const node = this.node(name)
    this.log.record(this.#nowMs, '', kind, name)
    return node
  }

  #end(name: string, how: 'killed' | 'crashed'): void {
    const node = this.#fault(how, name)
    if (!node.alive) return
    node.end(how)
    this.network.ended(node, how)
  }

  async #run(untilMs: number, done: () => boolean): Promise<boolean> {
    if (this.#running) throw new TypeError('expected one run of the simulation at a time')
    this.#running = true
    try {
      await this.#drain()
      if (done()) return true
      while (this.#heap.nextMs <= untilMs) {
        this.#step()
        if (!this.#touched) continue
        this.#touched = false
        await this.#drain()
        if (done()) return true
        if (this.#nowMs >= this.#checkMs) this.#look()
      }
      this.#checkEscapes([...this.#tracked.keys()])
      return false
    } finally {
      this.#running = false
    }
  }

  #look(): void {
    this.#checkMs = this.#nowMs + CHECK_MS
    const wrong = this.check?.()
    if (wrong !== undefined) throw this.#failure(wrong)
  }

  #step(): void {
    this.#nowMs = this.#heap.nextMs
    const event = this.#heap.pop()
    const fn = event?.fn
    if (event === undefined || fn === undefined) return
    event.fn = undefined
    this.#outstanding -= 1
    this.#countMoment()
    try {
      fn()
    } catch (error) {
      throw this.#failure('an event threw', error)
    }
  }

  #countMoment(): void {
    if (this.#momentMs !== this.#nowMs) {
      this.#momentMs = this.#nowMs
      this.#momentEvents = 0
    }
    this.#momentEvents += 1
    if (this.#momentEvents > EVENTS_PER_MOMENT_MAX)
      throw this.#failure('time stands still: the events go in circles')
  }

  async #drain(): Promise<void> {
    await new Promise<void>(resolve => this.#real.loop.later(resolve))
    if (this.#fresh.length > 0) this.#checkEscapes(this.#fresh.splice(0))
  }

  #checkEscapes(promises: readonly Promise<unknown>[]): void {
    for (const promise of promises) {
      const tracked = this.#tracked.get(promise)
      if (tracked === undefined) continue
      const waits = tracked.waits === undefined ? this.#outstanding > 0 : tracked.waits()
      if (!waits) throw this.#failure(`${tracked.what} escaped the simulation: it waits for something real`)
    }
  }

  #failure(what: string, cause?: unknown): Error {
    const tail = this.log.tail(TAIL_LINES).join('\n  ')
    const message = `simulation (seed ${this.seed}, ${this.#nowMs} ms, event ${this.log.count}): ${what}\n  ${tail}`
    return new Error(message, cause === undefined ? undefined : { cause })
  }
}
