/**
 * One node for unit tests: real promises, a clock that only moves when told, pids that are the same in every run.
 *
 *   await using world = await createTestNode({ actors: [counter] })
 *   const visits = await world.node.spawn(counter, 0)      what needs no time is simply awaited
 *   await world.advance(60_000)                            a minute of timers, in no time
 *   const late = await world.run(visits.call('later'))     time moves on until it has settled
 *
 * It opens no socket. For several nodes, and for faults of the network, see `createTestMesh`.
 */
import type { CrashReport, Node, NodeEvents } from '../actor/api.js'
import type { Inspected } from '../actor/debug.js'
import { checkOptions, isInteger, isMs } from '../base/options.js'
import type { ExitReason } from '../base/reasons.js'
import type { Loop } from '../base/runtime.js'
import { createNode } from '../node/node.js'
import type { NodeOptions } from '../node/options.js'
import { createRealRuntime } from '../runtime/real-runtime.js'
import { createProbe, type Probe, type ProbeOptions } from './probe.js'
import { SimClock } from './sim-clock.js'
import { SimRandom } from './sim-random.js'

export interface TestNodeOptions extends Omit<NodeOptions, 'runtime' | 'listen' | 'seeds'> {
  /** What is left to chance follows from it: pids, above all. Default 1. */
  readonly seed?: number | undefined
}

/** Virtual ms that a promise may take before a run is taken to hang. */
const RUN_MS = 120_000
/** Turns of the event loop without a message, after which the node is taken to be at rest. */
const QUIET_TURNS = 3
const TURNS_MAX = 100_000
/** Crash reports and dead letters that are kept. */
const KEPT_MAX = 1_000

/**
 * Starts a node named `a` unless told otherwise. It writes no log lines, and floating rejections crash their process
 * (`attribute`). `serializeLocal: true` sends local messages through the codec, `freezeLocal: true` freezes them.
 */
export async function createTestNode(options: TestNodeOptions = {}): Promise<TestNode> {
  const { seed, ...given } = options
  checkOptions('createTestNode', { seed }, { seed: isInteger(0, 2 ** 32) })
  const clock = new SimClock()
  const runtime = { ...createRealRuntime(), clock, random: new SimRandom(seed ?? 1) }
  const node = await createNode({ name: 'a', logger: false, attribute: true, ...given, runtime })
  return new TestNode(node, clock, runtime.loop)
}

export class TestNode {
  readonly node: Node
  readonly clock: SimClock
  /** Every crash so far, the oldest first. */
  readonly crashes: CrashReport[] = []
  /** Every message to nobody so far. */
  readonly deadLetters: NodeEvents['dead-letter'][0][] = []
  readonly #loop: Loop

  /** Internal: see `createTestNode`. */
  constructor(node: Node, clock: SimClock, loop: Loop) {
    this.node = node
    this.clock = clock
    this.#loop = loop
    node.on('crash', report => keep(this.crashes, report))
    node.on('dead-letter', letter => keep(this.deadLetters, letter))
  }

  /** A process that asserts on what it is sent. Its waiting moves the clock by itself. */
  probe(options?: ProbeOptions): Promise<Probe> {
    return createProbe(this.node, options, promise => this.run(promise))
  }

  /** Ends a process at once with `reason`, as a fault of its own: see `node.debug.crash`. */
  crash(target: Inspected, reason: ExitReason): void {
    this.node.debug.crash(target, reason)
  }

  /** Lets everything happen that needs no time. Rejects when it goes in circles. */
  async settle(): Promise<void> {
    let handled = -1
    let quiet = 0
    for (let turn = 0; turn < TURNS_MAX && quiet < QUIET_TURNS; turn++) {
      await new Promise<void>(resolve => this.#loop.later(resolve))
      const { counters } = this.node.stats()
      const now = counters['process.handled'] as number
      quiet = now === handled && counters['process.runnable'] === 0 ? quiet + 1 : 0
      handled = now
    }
    if (quiet < QUIET_TURNS) throw new Error(`settle: messages are still handled after ${TURNS_MAX} turns`)
  }

  /** Lets `ms` pass: timers fire in their order, and what they cause happens before the next one. */
  async advance(ms: number): Promise<void> {
    checkOptions('advance', { ms }, { ms: isMs() })
    const untilMs = this.clock.now() + ms
    await this.settle()
    while (this.clock.nextMs <= untilMs) await this.#next()
    this.clock.advance(untilMs - this.clock.now())
    await this.settle()
  }

  /**
   * Lets time pass until `promise` settles, and gives its result. Rejects when it takes longer than `limitMs` (default
   * two minutes), and when no timer is left that it could wait for.
   */
  async run<T>(promise: Promise<T>, options?: { readonly limitMs?: number | undefined }): Promise<T> {
    checkOptions('run', options, { limitMs: isMs() })
    const limitMs = options?.limitMs ?? RUN_MS
    const deadlineMs = this.clock.now() + limitMs
    let settled = false
    const settle = (): void => {
      settled = true
    }
    promise.then(settle, settle)
    for (await this.settle(); !settled; await this.#next()) {
      if (this.clock.nextMs === Number.POSITIVE_INFINITY)
        throw new Error('run: the promise did not settle, and no timer is left that it could wait for')
      if (this.clock.nextMs > deadlineMs)
        throw new Error(`run: the promise did not settle within ${limitMs} ms`)
    }
    return promise
  }

  async stop(): Promise<void> {
    await this.run(this.node.stop({ drainMs: 0 }))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  /** To the next timer, and what follows from it. */
  async #next(): Promise<void> {
    this.clock.advance(this.clock.nextMs - this.clock.now())
    await this.settle()
  }
}

function keep<T>(list: T[], item: T): void {
  if (list.length >= KEPT_MAX) list.shift()
  list.push(item)
}
