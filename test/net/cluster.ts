/**
 * The nodes of one lab as one thing: it starts and ends them, keeps their histories, waits for what they see, and says
 * in the end whether the laws held. A case of `cases.ts` is given one, and tells it what it expects of its own fault.
 *
 *   Cluster.start ──► all see all ──► base ──► the fault ──► whole() ──► settled(): laws, views, resources
 *
 * Only what is a requirement in ms is decided by time, and with a margin: `MARGIN_MS`, and `LATE_FACTOR` times as long as
 * the loop of the test itself was late, which nobody stops and which has nothing to do: so late is a machine that does
 * other things as well. All else waits for the event, with a deadline that is there to end a hopeless run.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { eventsOf, firstFired, firstSeen, type Life, laws } from './history.js'
import { eventually, type Lab, netlab, now, pause, type Step, startWorker, type Worker } from './lab.js'
import type { Facts, Load } from './worker.js'

const PORT = 7_400
export const SETTLE_MS = 60_000
const MARGIN_MS = 1_500
const LATE_FACTOR = 3
const HEAP_GROWTH_MIB_MAX = 24
/** Gauges that must be what they were once the cluster is whole again. */
const GAUGES = [
  'process.alive',
  'process.aliases',
  'mesh.sessions',
  'mesh.clients',
  'remote.links',
  'remote.peers',
]
/** Gauges that must be zero then. */
const EMPTY = ['mesh.unauthenticated', 'mesh.dialling', 'remote.spawning', 'remote.hosting']

const LOAD: Load = { streamEveryMs: 20, callEveryMs: 100 }

export interface Finding {
  readonly what: string
  readonly ok: boolean
  /** What was seen instead, for the reader of a failure. */
  readonly saw?: unknown
}

export type Figures = Record<string, number | string>

interface View {
  readonly nodes: readonly string[]
  readonly members: readonly string[]
  readonly names: readonly string[]
}

export class Cluster {
  readonly lab: Lab
  readonly findings: Finding[] = []
  readonly figures: Figures = {}
  readonly lives: Life[] = []
  /** The longest that a node was stopped, for calls that waited meanwhile. */
  pausedMs = 0
  readonly #load: Load
  readonly #workers = new Map<string, Worker>()
  readonly #pids = new Map<string, string>()
  readonly #base = new Map<string, Facts>()
  readonly #delay = monitorEventLoopDelay({ resolution: 10 })
  readonly #joining: Promise<unknown>[] = []
  readonly #begun = now()

  private constructor(lab: Lab, load: Load) {
    this.lab = lab
    this.#load = load
    this.#delay.enable()
  }

  /** The programs run, and no node has been started in them. */
  static async forked(nodes: number, load: Partial<Load> = {}): Promise<Cluster> {
    const names = Array.from({ length: nodes }, (_, i) => String.fromCharCode(97 + i))
    const lab = await (await netlab()).Lab.create({ nodes: names })
    const cluster = new Cluster(lab, { ...LOAD, ...load })
    try {
      await Promise.all(names.map(name => cluster.#fork(name)))
    } catch (error) {
      await lab.destroy()
      throw error
    }
    return cluster
  }

  /** All nodes see all, every stream flows, and the resources of this moment are those to come back to. */
  static async whole(nodes: number, load: Partial<Load> = {}): Promise<Cluster> {
    const cluster = await Cluster.forked(nodes, load)
    try {
      await Promise.all(cluster.names.map(name => cluster.join(name)))
      await cluster.whole('at the start')
      await cluster.flowing()
      await cluster.remember()
      cluster.#delay.reset()
      return cluster
    } catch (error) {
      await cluster.end()
      throw error
    }
  }

  get names(): readonly string[] {
    return this.lab.nodes
  }

  /** Those whose program runs. */
  get living(): readonly string[] {
    return this.names.filter(name => this.life(name).ended === undefined)
  }

  others(...but: readonly string[]): readonly string[] {
    return this.names.filter(name => !but.includes(name))
  }

  // ---- starting and ending ----

  async #fork(name: string): Promise<void> {
    const life: Life = { node: name, entries: [] }
    this.lives.push(life)
    this.#workers.set(name, await startWorker(this.lab, name, entry => life.entries.push(entry)))
  }

  /** The node in the program; it knows all others as seeds. */
  async join(name: string, withinMs = 2 * SETTLE_MS): Promise<void> {
    const addressOf = (node: string): string => `${this.lab.address(node)}:${PORT}`
    const peers = this.others(name)
    const args = { name, listen: addressOf(name), seeds: peers.map(addressOf), peers, load: this.#load }
    this.#pids.set(name, await this.ask(name, 'start', args, withinMs))
  }

  async kill(name: string): Promise<void> {
    this.life(name).ended = 'killed'
    await this.lab.kill(name)
  }

  async crash(name: string): Promise<void> {
    this.life(name).ended = 'killed'
    await this.lab.crash(name)
  }

  /** Takes its leave, as on SIGTERM; resolves to the ms it took. */
  async stop(name: string, drainMs: number): Promise<number> {
    const { child } = this.#workers.get(name)!
    const took = await this.ask<number>(name, 'stop', { drainMs })
    this.life(name).ended = 'stopped'
    const gone = new Promise(resolve => child.once('exit', resolve))
    child.disconnect()
    await gone
    return took
  }

  /** Its next life. */
  async restart(name: string): Promise<void> {
    await this.#fork(name)
    await this.join(name)
  }

  /** Marks what a step of random faults is about to do. */
  before({ op, node }: Step): void {
    if ((op === 'kill' || op === 'crash') && node !== undefined) this.life(node).ended = 'killed'
  }

  /** Its next life, which joins when it can: nobody waits for that before `joined`. */
  async comeBack(name: string): Promise<void> {
    await this.#fork(name)
    const life = this.life(name)
    const joined = this.join(name)
      .then(() => this.ask(name, 'claim', { on: true }))
      .catch(error => {
        if (life.ended === undefined) this.expect(`${name} comes back`, false, String(error))
      })
    this.#joining.push(joined)
  }

  /** All who came back have joined; the names that all wanted are wanted no more, and nobody holds them. */
  async unclaimed(): Promise<void> {
    await Promise.all(this.#joining.splice(0))
    await this.each('claim', { on: false })
    const held = async (): Promise<string[]> =>
      (await this.each<View>('view')).flatMap(({ names }) =>
        names.filter(line => line.startsWith('contested-')),
      )
    const left = await eventually('names are given back', SETTLE_MS, held, lines => lines.length === 0).catch(
      held,
    )
    this.same('no name is left to somebody who has gone', left, [])
  }

  async end(): Promise<void> {
    this.#delay.disable()
    await this.lab.destroy()
  }

  // ---- asking ----

  ask<R>(name: string, op: string, args: object = {}, timeoutMs?: number): Promise<R> {
    return this.#workers.get(name)!.ask<R>(op, args, timeoutMs)
  }

  async each<R>(op: string, args: object = {}): Promise<R[]> {
    return Promise.all(this.living.map(name => this.ask<R>(name, op, args)))
  }

  life(name: string): Life {
    return this.lives.findLast(life => life.node === name)!
  }

  /** All events of one kind since then, as `observer: peer (why)`. */
  seen(event: string, since = this.#begun, peer?: string): string[] {
    return this.lives.flatMap(life =>
      eventsOf(life, event, peer)
        .filter(entry => entry.at >= since)
        .map(entry => `${life.node}: ${entry.peer} (${entry.why})`),
    )
  }

  /** The calls that failed since then. */
  unanswered(since: number): string[] {
    return this.lives.flatMap(({ node, entries }) =>
      entries.flatMap(entry =>
        entry.type === 'unanswered' && entry.at >= since ? [`${node}: ${entry.to} ${entry.code}`] : [],
      ),
    )
  }

  /** Between two nodes, since then, how many sessions were lost as seen from both sides: `a>b` for a's side. */
  sessionsLost(since = this.#begun): Record<string, number> {
    const lost: Record<string, number> = {}
    for (const life of this.lives) {
      for (const { at, peer } of eventsOf(life, 'nodedown')) {
        if (at >= since) lost[`${life.node}>${peer}`] = (lost[`${life.node}>${peer}`] ?? 0) + 1
      }
    }
    return lost
  }

  /** When each of them first saw that; waits until all did, or for `withinMs`. In ms from `since`. */
  async heard(
    observers: readonly string[],
    event: string,
    peer: string,
    since: number,
    withinMs = SETTLE_MS,
  ): Promise<number[]> {
    const look = () => firstSeen(this.lives, observers, since, event, peer)
    const all = await eventually(
      `${observers} see ${event} of ${peer}`,
      withinMs,
      look,
      times => !times.includes(undefined),
    )
    return all as number[]
  }

  // ---- expecting ----

  expect(what: string, ok: boolean, saw?: unknown): void {
    this.findings.push(ok || saw === undefined ? { what, ok } : { what, ok, saw })
  }

  same(what: string, seen: unknown, wanted: unknown): void {
    this.expect(what, JSON.stringify(seen) === JSON.stringify(wanted), seen)
  }

  /** A requirement in ms, and the figure that stands in the table. */
  within(what: string, ms: readonly number[] | number, limitMs: number, leastMs = 0): void {
    const all = typeof ms === 'number' ? [ms] : ms
    const [least, most] = [Math.min(...all), Math.max(...all)].map(Math.round) as [number, number]
    this.figures[what] = all.length === 1 || least === most ? `${most} ms` : `${least} to ${most} ms`
    const wanted = leastMs > 0 ? `${leastMs} to ${limitMs}` : `at most ${limitMs}`
    const margin = Math.round(MARGIN_MS + (LATE_FACTOR * this.#delay.max) / 1e6)
    this.expect(
      `${what}: ${this.figures[what]}, wanted ${wanted} ms (margin ${margin})`,
      most <= limitMs + margin && least >= leastMs - margin,
    )
  }

  /** Nobody was taken for down, since then. */
  nobodyDown(since = this.#begun, but: readonly string[] = []): void {
    const downs = [...this.seen('member:down', since), ...this.seen('member:left', since)].filter(
      line => !but.some(name => line.includes(`: ${name} `)),
    )
    this.same('nobody else was taken for down', downs, [])
  }

  // ---- waiting ----

  /** Each has a session with each, by their own word: looked at while they may be asked nothing else. */
  async meshed(since: number): Promise<number> {
    const open = (name: string): number =>
      this.others(name).filter(peer => {
        const life = this.life(name)
        return eventsOf(life, 'nodeup', peer).length > eventsOf(life, 'nodedown', peer).length
      }).length
    const all = this.names.length - 1
    await eventually(
      'each has a session with each',
      3 * SETTLE_MS,
      () => this.names.map(open),
      counts => counts.every(count => count === all),
    )
    return now() - since
  }

  /** Everyone has a session with everyone, and all list the same names, each sink with its process. The ms it took. */
  async whole(when: string, since = now(), withinMs = SETTLE_MS): Promise<number> {
    const names = this.living
    const sinks = names.map(name => `sink-${name} ${this.#pids.get(name)} held`)
    await eventually(
      `all nodes see each other and the same names ${when}`,
      withinMs,
      () => this.each<View>('view'),
      views =>
        views.every(
          view =>
            view.nodes.length === names.length - 1 &&
            view.members.length === names.length &&
            view.members.every(member => member.endsWith(' alive')) &&
            view.names.join() === views[0]!.names.join() &&
            view.names.every(line => line.endsWith(' held')) &&
            sinks.every(line => view.names.includes(line)),
        ),
    )
    return now() - since
  }

  /** When each of them first had a watch of that peer's sink fire. In ms from `since`. */
  async fired(observers: readonly string[], peer: string, since: number): Promise<number[]> {
    const look = () => observers.map(name => firstFired(this.life(name), peer, since))
    const all = await eventually(
      `${observers} have their watches of ${peer} fire`,
      SETTLE_MS,
      look,
      times => !times.includes(undefined),
    )
    return all as number[]
  }

  /** Those who are listed as holding a name, by each living node. */
  async holders(name: string): Promise<string[]> {
    const views = await this.each<View>('view')
    return views.map(view => view.names.find(line => line.startsWith(`${name} `)) ?? '')
  }

  /** Every stream between living nodes brings something new; or those between the given groups only. */
  async flowing(groups: readonly (readonly string[])[] = [this.living]): Promise<void> {
    const received = async () => {
      const all = await this.each<[string, { received: number }][]>('streams')
      return new Map(
        all.flatMap((streams, i) =>
          streams.map(([from, { received }]): [string, number] => [`${from}>${this.living[i]}`, received]),
        ),
      )
    }
    const keys: string[] = groups.flatMap(group =>
      group.flatMap(a => group.filter(b => b !== a).map(b => `${a}>${b}`)),
    )
    const before = await received()
    await eventually(
      'the streams flow',
      SETTLE_MS,
      async () => {
        const after = await received()
        return keys.filter(key => (after.get(key) ?? 0) <= (before.get(key) ?? 0))
      },
      still => still.length === 0,
    )
  }

  // ---- the end of a case ----

  async remember(): Promise<void> {
    for (const [i, facts] of (await this.each<Facts>('facts')).entries())
      this.#base.set(this.living[i]!, facts)
  }

  /** What each holds now, and its calls since the last time. */
  async facts(): Promise<Facts[]> {
    return this.each<Facts>('facts')
  }

  /** The fault is over: all is whole again, the laws held, and what was taken was given back. */
  async settled(): Promise<void> {
    await this.whole('in the end')
    await this.flowing()
    const peers = this.living
    const silent = await Promise.all(
      peers.map(name => this.ask<string[]>(name, 'probe', { peers: peers.filter(peer => peer !== name) })),
    )
    this.same('every node answers every other', silent.flat(), [])
    this.figures['machine late'] = `${Math.round(this.#delay.max / 1e6)} ms`
    await eventually(
      'resources are back',
      SETTLE_MS / 4,
      () => this.#kept(),
      kept => kept.length === 0,
    ).catch(() => undefined)
    this.same('processes, sessions, sockets and memory are what they were', await this.#kept(), [])
    await this.each('history') // whatever was told before this answer has arrived
    for (const [law, broken] of Object.entries(laws(this.lives, this.pausedMs))) {
      this.same(law, broken.slice(0, 10), [])
    }
    const ended = this.living.filter(name => {
      const { child } = this.#workers.get(name)!
      return child.exitCode !== null || child.signalCode !== null
    })
    this.same('no node died', ended, [])
  }

  /** What a node holds now that it did not hold before the fault. */
  async #kept(): Promise<string[]> {
    const all = await this.facts()
    return this.living.flatMap((name, i) => {
      const before = this.#base.get(name)
      const after = all[i]!
      if (before === undefined) return []
      const gauges = GAUGES.filter(key => after.counters[key] !== before.counters[key]).map(
        key => `${name}: ${key} was ${before.counters[key]}, is ${after.counters[key]}`,
      )
      const full = EMPTY.filter(key => after.counters[key] !== 0).map(
        key => `${name}: ${key} is ${after.counters[key]}`,
      )
      const sockets =
        after.sockets === before.sockets ? [] : [`${name}: ${before.sockets} sockets, now ${after.sockets}`]
      const grown = after.heapMiB - before.heapMiB
      const heap = grown > HEAP_GROWTH_MIB_MAX ? [`${name}: the heap grew by ${Math.round(grown)} MiB`] : []
      return [...gauges, ...full, ...sockets, ...heap]
    })
  }
}

export { now, pause }
