/**
 * One random world of supervision trees on one node or two: trees that grow and shrink, and everything that can end
 * their processes, all drawn from one seed.
 *
 *   plant ── users and faults, BUSY_MS ──▶ calm ── REST_MS ──▶ checked ── trees stop, the rest ends ──▶ checked, stopped
 */
import type { ActorRef, Node } from '../../lib/actor/api.js'
import { defineActor } from '../../lib/actor/define.js'
import { besideRef } from '../../lib/actor/refs.js'
import { TroupeError } from '../../lib/base/errors.js'
import type { Pid } from '../../lib/base/ids.js'
import type { ExitReason } from '../../lib/base/reasons.js'
import type { SimRandom } from '../../lib/sim/sim-random.js'
import { TestMesh } from '../../lib/sim/test-mesh.js'
import { startApplication } from '../../lib/supervisor/application.js'
import { type DynamicSupervisorDef, dynamicSupervisorOf } from '../../lib/supervisor/dynamic-supervisor.js'
import { type SupervisorDef, supervisorOf } from '../../lib/supervisor/supervisor.js'
import { checkBounds, checkEmpty, checkStopped } from './bounds.js'
import { History } from './history.js'
import { checkSignals } from './signals.js'
import { type Command, talkerOf } from './talker.js'
import { isAlive, type Life, TreeBook } from './tree-book.js'
import {
  applicationSpecOf,
  defOf,
  growApplication,
  growLeaf,
  growPlan,
  isLeaf,
  isStatic,
  type member,
  pick,
  specOf,
} from './tree-plan.js'
import type { Checked, Outcome } from './world.js'

/** How long users and faults are at it, and how long the trees then have to come to rest. */
const BUSY_MS = 8_000
const REST_MS = 8_000
/** Asking a supervisor takes as long as its children do; this is longer, and all is over within it at the end. */
const ASK = { timeoutMs: 20_000 }
const END_MS = 21_000
const LAST_WORDS_MS = 1_000
const TAIL_LINES = 200
const ROOTS_MAX = 2
const LIVES_MAX = 80

/** Sends exits in its own name. */
const bully = defineActor('bully', {
  init: () => ({}),
  casts: {
    exit: (_state, { pid, reason }: { pid: Pid; reason: ExitReason }, ctx) => ctx.exit(pid, reason),
  },
})

const CLEAN: readonly ExitReason[] = ['normal', 'shutdown', { shutdown: 'enough' }]
const EXITS: readonly ExitReason[] = ['kill', 'kill', 'boom', 'shutdown', 'normal']
/** What those who ask a supervisor may be told while everything falls around them. */
const REFUSALS = ['ERR_NOPROC', 'ERR_EXIT', 'ERR_START', 'ERR_ALREADY_STARTED', 'ERR_STOPPED', 'ERR_TIMEOUT']

/** Outsiders may live on another node. */
const namesOf = (seed: number): string[] => (seed % 8 === 0 ? ['a', 'b'] : ['a'])

class TreeWorld implements Checked {
  readonly history = new History()
  readonly mesh: TestMesh
  readonly lost: ReadonlySet<string> = new Set()
  readonly book: TreeBook
  readonly #random: SimRandom
  readonly #talker: ReturnType<typeof talkerOf>
  readonly #talkers: ActorRef<ReturnType<typeof talkerOf>>[] = []
  #bully: ActorRef<typeof bully> | undefined
  #planted = 0

  constructor(seed: number) {
    const names = namesOf(seed)
    this.#talker = talkerOf(this.history, () => this.mesh.simulation.nowMs)
    this.mesh = new TestMesh({ nodes: names, seed, actors: [this.#talker, bully] }, names)
    const { simulation } = this.mesh
    // Slow starts and ends wait for the simulation itself, which no node knows of.
    simulation.check = undefined
    this.#random = simulation.random('trees')
    this.book = new TreeBook(simulation.random('lives'), simulation, name =>
      this.mesh.nodes.find(node => node.name === name),
    )
  }

  get #node(): Node {
    return this.mesh.node('a')
  }

  async run(names: readonly string[]): Promise<void> {
    await this.mesh.run(Promise.all(names.map(name => this.mesh.boot(name))))
    this.#node.on('crash', ({ pid, reason }) => this.book.reported(pid, reason))
    this.#bully = await this.mesh.run(this.#node.spawn(bully))
    for (const { name } of this.mesh.nodes) for (let i = 0; i < 3; i++) this.#settle(name)
    for (let ms = 0; ms < BUSY_MS; ms += 10 + this.#random.below(100))
      this.mesh.simulation.after(ms, () => this.#act())
    await this.mesh.advance(BUSY_MS)
    this.book.calm = true
    await this.mesh.advance(REST_MS)
  }

  /** Half of the worlds stop their trees one after the other; the others are ended at once. */
  async end(): Promise<void> {
    if (this.#random.chance(0.5)) {
      for (const root of this.book.alive().filter(({ parent }) => parent === undefined)) {
        root.mayEnd = true
        await this.mesh.run(this.#asking(supervisorOf(this.#ref<SupervisorDef>(root)).stop('shutdown', ASK)))
        for (const life of this.book.alive())
          if (life.plan.path.startsWith(`${root.plan.path}/`))
            this.book.wrong.push(`I5 orphans: ${life.plan.path} lives after its tree was stopped`)
      }
    }
    for (const node of this.mesh.nodes) for (const { pid } of node.processes()) node.exit(pid, 'kill')
    await this.mesh.advance(END_MS)
  }

  /** I16: a supervisor at rest watches the children that run, and nobody else, and waits for no end. */
  checkTies(): string[] {
    const stopping = this.#node.stats().counters['supervisor.stopping']
    if (stopping !== 0) this.book.wrong.push(`I16: at rest ${stopping} supervisors wait for children to stop`)
    const infos = new Map(this.#node.processes().map(info => [`${info.pid}`, info]))
    return this.book.alive().flatMap(({ plan, pid, lives }) => {
      const monitors = infos.get(`${pid}`)?.monitors
      const expected = lives.filter(isAlive).length
      if (isLeaf(plan) || monitors === expected) return []
      return [`I16: at rest ${plan.path} has ${monitors} monitors, and ${expected} children`]
    })
  }

  // ---- what happens ----

  #act(): void {
    const lives = this.book.alive()
    const roots = lives.filter(({ parent }) => parent === undefined)
    const leaf = this.#pick(lives.filter(({ plan, phase }) => isLeaf(plan) && phase === 'up'))
    const supervisor = this.#pick(lives.filter(({ plan, phase }) => !isLeaf(plan) && phase === 'up'))
    const anyone = this.#pick(lives)
    if (roots.length < ROOTS_MAX && this.#random.chance(0.3)) return this.#plant()
    if (anyone === undefined || supervisor === undefined) return
    const dice = this.#random.below(100)
    if (dice < 20) this.#cast(leaf, 'boom')
    else if (dice < 30) this.#cast(leaf, 'leave')
    else if (dice < 38) this.#exit(leaf ?? anyone, pick(this.#random, EXITS))
    else if (dice < 42) this.#bully?.cast('exit', { pid: anyone.pid, reason: pick(this.#random, EXITS) })
    else if (dice < 45) this.#exit(supervisor, 'kill')
    else if (dice < 47) this.#exit(supervisor, pick(this.#random, ['shutdown', 'boom']))
    else if (dice < 55) this.#add(supervisor)
    else if (dice < 69) this.#manage(supervisor)
    else if (dice < 71) this.#stop(supervisor)
    else if (dice < 73) this.#settle(pick(this.#random, this.mesh.nodes).name)
    else if (dice < 90) this.#watch(anyone)
    else this.#burst(leaf)
  }

  #plant(): void {
    const id = `r${this.#planted++}`
    if (this.#random.chance(0.2)) {
      const spec = applicationSpecOf(growApplication(this.#random, id), this.book.watch)
      return void this.#asking(startApplication(this.#node, spec))
    }
    const plan = growPlan(this.#random, undefined, id)
    const options = { name: plan.name, scope: plan.scope, ...ASK }
    void this.#asking(this.#node.spawn(defOf(plan, this.book.watch), undefined, options))
  }

  #cast(life: Life | undefined, what: 'boom' | 'leave'): void {
    if (life === undefined || !isAlive(life)) return
    const ref = this.#ref<typeof member>(life)
    if (what === 'boom') ref.cast('boom')
    else ref.cast('leave', { reason: pick(this.#random, CLEAN) })
  }

  #exit(life: Life, reason: ExitReason): void {
    const { pid } = life
    life.mayEnd = true
    this.mesh.log.record(this.mesh.simulation.nowMs, '', 'exits', `${pid} ${String(reason)}`)
    this.#node.exit(pid, reason)
  }

  /** One place crashes again and again. */
  #burst(life: Life | undefined): void {
    if (life === undefined) return
    const times = 2 + this.#random.below(7)
    for (let i = 0; i < times; i++) {
      this.mesh.simulation.after(i * (20 + this.#random.below(150)), () =>
        this.#cast(
          this.book.alive().find(({ plan, phase }) => plan === life.plan && phase === 'up'),
          'boom',
        ),
      )
    }
  }

  #add(supervisor: Life): void {
    const { plan } = supervisor
    if (plan.kind === 'partition' || this.book.lives.size > 20 * LIVES_MAX) return
    if (this.book.alive().length > LIVES_MAX) return
    const id = `${plan.children.length}`
    const deep = this.#random.chance(0.25) && plan.path.split('/').length < 3
    const below = deep ? growPlan(this.#random, plan, id) : growLeaf(this.#random, plan, id)
    plan.children.push(below)
    const spec = specOf(below, this.book.watch)
    const answered = this.book.asks(supervisor, below.path)
    const started =
      plan.kind === 'dynamic'
        ? dynamicSupervisorOf(this.#ref<DynamicSupervisorDef>(supervisor)).startChild(spec, ASK)
        : supervisorOf(this.#ref<SupervisorDef>(supervisor)).startChild(spec, ASK)
    void this.#asking(started).then(() => answered(false))
  }

  /** Terminates, restarts or deletes one of its children. */
  #manage(supervisor: Life): void {
    const { plan, lives } = supervisor
    const life = this.#pick(lives)
    if (life === undefined || plan.kind === 'partition') return
    const answered = this.book.asks(supervisor, life.plan.path)
    if (!isStatic(plan)) {
      const { terminateChild } = dynamicSupervisorOf(this.#ref<DynamicSupervisorDef>(supervisor))
      void this.#asking(terminateChild(life.pid, ASK)).then(() => answered(false))
      return
    }
    const { id } = life.plan
    const tree = supervisorOf(this.#ref<SupervisorDef>(supervisor))
    const dice = this.#random.below(3)
    if (dice === 0) void this.#asking(tree.terminateChild(id, ASK)).then(() => answered(true))
    else if (dice === 1) void this.#asking(tree.restartChild(id, ASK)).then(() => answered(false))
    else void this.#asking(tree.deleteChild(id, ASK)).then(() => answered(false))
  }

  #stop(supervisor: Life): void {
    supervisor.mayEnd = true
    const reason = pick(this.#random, [...CLEAN, 'boom'])
    void this.#asking(supervisorOf(this.#ref<SupervisorDef>(supervisor)).stop(reason, ASK))
  }

  // ---- outsiders ----

  #settle(name: string): void {
    const spawned = this.mesh.node(name).spawn(this.#talker, null)
    void this.#asking(spawned.then(ref => void this.#talkers.push(ref)))
  }

  #watch({ pid }: Life): void {
    const talker = this.#pick(this.#talkers)
    if (talker === undefined) return
    const home = this.mesh.node(talker.pid.node)
    if (!home.isAlive(talker.pid)) return
    const what = pick(this.#random, [
      'watch',
      'watch',
      'watch',
      'unwatch',
      'tie',
      'tie',
      'tie',
      'untie',
      'leave',
    ])
    const command = what === 'leave' ? { do: what } : { do: what, to: pid }
    home.send(talker.pid, command as Command)
  }

  // ---- inside ----

  #ref<D>({ pid, process }: Life): ActorRef<D> {
    return besideRef<D>(this.#bully, pid, process.kind.def)
  }

  async #asking(asked: Promise<unknown>): Promise<void> {
    try {
      await asked
    } catch (error) {
      if (!REFUSALS.some(code => TroupeError.is(error, code as 'ERR_START')))
        this.history.wrong.push(`I17: ${(error as Error).stack}`)
    }
  }

  #pick<T>(from: readonly T[]): T | undefined {
    return from[this.#random.below(from.length)]
  }
}

/** Runs the trees of one seed and checks them. Never rejects. */
export async function runTrees(seed: number): Promise<Outcome> {
  const world = new TreeWorld(seed)
  const { history, mesh, book } = world
  const violations: string[] = []
  const unhandled = (error: unknown): void => void violations.push(`I17: an unhandled rejection: ${error}`)
  process.on('unhandledRejection', unhandled)
  try {
    await world.run(namesOf(seed))
    book.checkRest()
    violations.push(...checkSignals(world), ...checkBounds(world), ...world.checkTies())
    await world.end()
    violations.push(...checkEmpty(world))
    await mesh.stop()
    await mesh.advance(LAST_WORDS_MS)
    violations.push(...checkStopped(world, namesOf(seed)))
  } catch (error) {
    violations.push(`I17: ${(error as Error).stack}`)
  } finally {
    process.off('unhandledRejection', unhandled)
  }
  return {
    seed,
    hash: mesh.log.hash(),
    violations: [...book.wrong, ...history.wrong, ...violations],
    events: mesh.log.count,
    tail: mesh.log.tail(TAIL_LINES),
  }
}
