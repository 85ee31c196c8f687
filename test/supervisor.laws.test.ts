/** The rules of supervision over all that can happen in small families, and supervisors held against a model. */
import t, { type Test } from 'tap'
import type { InitContext } from '../lib/actor/api.js'
import { defineActor } from '../lib/actor/define.js'
import type { Pid } from '../lib/base/ids.js'
import { SimRandom } from '../lib/sim/sim-random.js'
import { child, type Restart } from '../lib/supervisor/child-spec.js'
import { onBackOff } from '../lib/supervisor/restart-back-off.js'
import { onCrashOf } from '../lib/supervisor/restart-intensity.js'
import {
  type ChildStatus,
  onEnded,
  planRestart,
  type Strategy,
  type Supervised,
} from '../lib/supervisor/restart-plan.js'
import { startOrder } from '../lib/supervisor/start-order.js'
import { startSupervisor } from '../lib/supervisor/supervisor.js'
import { turns, world } from './support/actor-world.js'

const RESTARTS: readonly Restart[] = ['permanent', 'transient', 'temporary']
const STATUSES: readonly ChildStatus[] = ['running', 'restarting', 'stopped']
const STRATEGIES: readonly Strategy[] = ['one_for_one', 'one_for_all', 'rest_for_one']

interface One extends Supervised {
  readonly id: number
}

/** Every family of `size` children. */
function* families(size: number): Generator<One[]> {
  if (size === 0) return yield []
  for (const rest of families(size - 1)) {
    for (const restart of RESTARTS) {
      for (const status of STATUSES)
        yield [...rest, { id: size - 1, spec: { restart, significant: false }, status }]
    }
  }
}

t.test('the plan of a restart: every family of up to four, every child, every strategy', async t => {
  let cases = 0
  for (let size = 1; size <= 4; size++) {
    for (const family of families(size)) {
      for (const child of family) {
        if (child.spec.restart === 'temporary') continue // never restarted
        for (const strategy of STRATEGIES) {
          cases += 1
          const wrong = fault(strategy, family, child)
          if (wrong !== undefined) return t.fail(wrong, { strategy, family, child: child.id })
        }
      }
    }
  }
  return t.equal(cases, 3 * (2 / 3) * (9 + 2 * 81 + 3 * 729 + 4 * 6561))
})

/** What is wrong with the plan, or undefined. */
function fault(strategy: Strategy, family: readonly One[], child: One): string | undefined {
  const { stop, start } = planRestart(strategy, family, child)
  const touched = (other: One): boolean =>
    strategy === 'one_for_all' || other === child || (strategy === 'rest_for_one' && other.id > child.id)
  for (const other of family) {
    const [stops, starts] = [stop.includes(other), start.includes(other)]
    if (!touched(other) && (stops || starts)) return `${other.id} is none of its business`
    if (!touched(other)) continue
    if (starts !== (other.spec.restart !== 'temporary')) return `${other.id}: all but the temporary start`
    if (other !== child && stops !== (other.status !== 'stopped'))
      return `${other.id}: what runs or waits stops`
  }
  if (stop.includes(child)) return 'the dead is stopped once more'
  if (!isRising(start.map(({ id }) => id))) return 'started out of order'
  if (!isRising(stop.map(({ id }) => -id))) return 'stopped out of order'
  return undefined
}

function isRising(ids: readonly number[]): boolean {
  return ids.every((id, i) => i === 0 || id > (ids[i - 1] as number))
}

t.test('what follows from an end: every row of the table', async t => {
  const ended = (restart: Restart, reason: unknown, significant: boolean) => {
    const child: One = { id: 0, spec: { restart, significant }, status: 'running' }
    const peer = (status: ChildStatus, counts: boolean): One => ({
      id: 1,
      spec: { restart: 'transient', significant: counts },
      status,
    })
    const fate = (autoShutdown: 'never' | 'any_significant' | 'all_significant', other: One) =>
      onEnded(child, reason, { autoShutdown, children: [child, other] })
    return [
      fate('never', peer('stopped', true)),
      fate('any_significant', peer('running', true)),
      fate('all_significant', peer('running', true)),
      fate('all_significant', peer('restarting', true)),
      fate('all_significant', peer('stopped', true)),
      fate('all_significant', peer('running', false)),
    ]
  }
  const six = (fate: string): string[] => Array.from({ length: 6 }, () => fate)
  const [down, end] = ['stays down', 'ends the supervisor']
  const significantEnd = [down, end, down, down, end, end]
  for (const reason of ['normal', 'shutdown', { shutdown: 1 }, 'boom', 'killed', new Error('e')]) {
    const clean = reason === 'normal' || reason === 'shutdown' || (reason as { shutdown?: 1 }).shutdown === 1
    const rows: [Restart, boolean, (string | undefined)[]][] = [
      ['permanent', false, six('is restarted')],
      ['transient', false, clean ? six('stays down') : six('is restarted')],
      ['transient', true, clean ? significantEnd : six('is restarted')],
      ['temporary', false, six('stays down')],
      ['temporary', true, significantEnd],
    ]
    for (const [restart, significant, expected] of rows)
      t.strictSame(
        ended(restart, reason, significant),
        expected,
        `${restart} ${String(reason)} ${significant}`,
      )
  }
})

t.test('back-off doubles from its least to its most, and begins anew after a run of maxMs', async t => {
  const waits = (ranMs: readonly number[]): number[] => {
    let streak = 0
    return ranMs.map(ran => {
      const wait = onBackOff({ minMs: 100, maxMs: 1_000 }, streak, ran)
      streak = wait.streak
      return wait.waitMs
    })
  }
  t.strictSame(waits([0, 0, 0, 0, 0, 0]), [100, 200, 400, 800, 1_000, 1_000])
  t.strictSame(waits([0, 0, 999, 1_000, 0]), [100, 200, 400, 100, 200])
  t.strictSame(onBackOff({ minMs: 0, maxMs: 0 }, 5, 0), { waitMs: 0, streak: 1 }, 'no wait is a wait of 0')
  t.equal(onBackOff({ minMs: 1, maxMs: 500 }, 5_000, 0).waitMs, 500, 'nor does the doubling run over')
})

t.test('restarts that count twice are borne where both bear them', async t => {
  const tree = { intensity: { restarts: 2, withinMs: 100 }, restarts: [950, 990] }
  const own = { intensity: { restarts: 3, withinMs: 50 }, restarts: [990] }
  t.strictSame(onCrashOf([tree, own], 1_000), { verdict: 'give-up', intensity: tree.intensity })
  t.strictSame(onCrashOf([own, tree], 1_051), { verdict: 'restart', histories: [[1_051], [990, 1_051]] })
  t.strictSame(
    onCrashOf([tree, { intensity: { restarts: 0, withinMs: 1 }, restarts: [] }], 2_000),
    { verdict: 'give-up', intensity: { restarts: 0, withinMs: 1 } },
    "the child's own",
  )
  t.strictSame(
    onCrashOf([tree, { intensity: undefined, restarts: [] }], 1_060),
    { verdict: 'restart', histories: [[990, 1_060], []] },
    'none of its own',
  )
})

t.test('the order of a start: every way in which four parts can need each other', async t => {
  const names = ['a', 'b', 'c', 'd']
  const pairs = names.flatMap(from => names.map(to => [from, to] as const))
  let refused = 0
  for (let bits = 0; bits < 2 ** pairs.length; bits++) {
    const needs = pairs.filter((_, i) => (bits >> i) & 1)
    const after = Object.fromEntries(
      names.map(name => [name, needs.filter(([from]) => from === name).map(([, to]) => to)]),
    )
    const circular = hasCircle(names, needs)
    try {
      const order = startOrder('parts', after)
      if (circular) return t.fail('a circle was let through', { needs })
      const early = needs.find(([from, to]) => order.indexOf(from) < order.indexOf(to))
      if (early !== undefined || order.length !== 4) return t.fail('out of order', { needs, order })
    } catch (error) {
      refused += 1
      if (!circular) return t.fail('refused for nothing', { needs, error })
    }
  }
  t.equal(refused, 2 ** 16 - 543, 'there are 543 acyclic digraphs of four')
  t.throws(() => startOrder('parts', { a: ['b'], b: ['c'], c: ['b'] }), {
    message: 'parts: expected parts that can start one after the other, got "b" after "c" after "b"',
  })
  t.throws(() => startOrder('parts', { a: ['x'], b: [] }), {
    message: 'parts.a: after: expected one of "a", "b", got "x"',
  })
  t.strictSame(startOrder('parts', { c: [], b: [], a: ['b'] }), ['c', 'b', 'a'], 'else as written')
})

/** By removing what needs nothing until nothing is left, or nothing can be removed. */
function hasCircle(names: readonly string[], needs: readonly (readonly [string, string])[]): boolean {
  let left = [...names]
  for (;;) {
    const free = left.filter(name => !needs.some(([from, to]) => from === name && left.includes(to)))
    if (free.length === 0) return left.length > 0
    left = left.filter(name => !free.includes(name))
  }
}

// A model of a static supervisor, in other words than the code: what is logged, who is there, when it is over.

interface Known {
  readonly id: string
  readonly restart: Restart
  up: boolean
}

class Model {
  readonly log: string[] = []
  children: Known[] = []
  over = false
  #crashes: number[] = []
  readonly #strategy: Strategy
  readonly #limit: { readonly restarts: number; readonly withinMs: number }

  constructor(strategy: Strategy, limit: { readonly restarts: number; readonly withinMs: number }) {
    this.#strategy = strategy
    this.#limit = limit
  }

  find(id: string): Known | undefined {
    return this.children.find(known => known.id === id)
  }

  up(known: Known): void {
    known.up = true
    this.log.push(`start ${known.id}`)
  }

  down(known: Known, reason: string): void {
    if (known.up) this.log.push(`stop ${known.id} ${reason}`)
    this.fell(known)
  }

  fell(known: Known): void {
    known.up = false
    if (known.restart === 'temporary') this.children = this.children.filter(other => other !== known)
  }

  ended(known: Known, clean: boolean, nowMs: number): void {
    if (known.restart === 'temporary' || (known.restart === 'transient' && clean)) return this.fell(known)
    known.up = false
    this.#crashes = [...this.#crashes.filter(at => at >= nowMs - this.#limit.withinMs), nowMs]
    if (this.#crashes.length > this.#limit.restarts) return this.end()
    const place = this.children.indexOf(known)
    const from = { one_for_one: place, one_for_all: 0, rest_for_one: place }[this.#strategy]
    const to = this.#strategy === 'one_for_one' ? place + 1 : this.children.length
    const group = this.children.slice(from, to)
    for (const other of [...group].reverse()) if (other !== known) this.down(other, 'shutdown')
    for (const other of group) if (other.restart !== 'temporary') this.up(other)
  }

  end(): void {
    this.over = true
    for (const known of [...this.children].reverse()) this.down(known, 'shutdown')
  }
}

const noisy = defineActor('noisy', {
  init: (args: { id: string; log: string[] }, ctx: InitContext) => {
    ctx.trapExit(true)
    args.log.push(`start ${args.id}`)
    return args
  },
  terminate: ({ id, log }, reason) => void log.push(`stop ${id} ${String(reason)}`),
})

const OPERATIONS = ['kill', 'kill', 'leave', 'terminate', 'restart', 'delete', 'start', 'wait'] as const

t.test('five hundred supervisors do what the model does, whatever befalls them', async t => {
  const seen = { over: 0, restarts: 0 }
  for (let seed = 1; seed <= 500; seed++) {
    const wrong = await life(t, new SimRandom(seed), seen)
    if (wrong !== undefined) return t.fail(`seed ${seed}: ${wrong}`)
  }
  t.ok(seen.over > 50 && seen.restarts > 2_000, `${seen.over} gave up, ${seen.restarts} starts`)
})

async function life(
  t: Test,
  random: SimRandom,
  seen: { over: number; restarts: number },
): Promise<string | undefined> {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random.float() * from.length)] as T
  const { node, actors, jump, clock } = world(t)
  const log: string[] = []
  const strategy = pick(STRATEGIES)
  const intensity = { restarts: pick([0, 2, 4, 8]), withinMs: 100 }
  const model = new Model(strategy, intensity)
  const spec = (id: string, restart: Restart) => child(noisy, { id, restart, args: { id, log } })
  const add = (id: string): ReturnType<typeof spec> => {
    const known = { id, restart: pick(RESTARTS), up: false }
    model.children.push(known)
    model.up(known)
    return spec(id, known.restart)
  }
  const tree = await startSupervisor(node, { strategy, intensity, children: ['a', 'b', 'c'].map(add) })
  const pidOf = async (id: string) => (await tree.whichChildren()).find(info => info.id === id)?.pid as Pid
  const steps: string[] = []
  for (let step = 0; step < 25 && !model.over; step++) {
    const id = pick(['a', 'b', 'c', 'd', 'e'])
    const operation = pick(OPERATIONS)
    steps.push(`${operation} ${id}`)
    const known = model.find(id)
    if (operation === 'wait') jump(60)
    else if (operation === 'start') {
      if (known === undefined) await tree.startChild(add(id))
      else await tree.startChild(spec(id, 'permanent')).catch(() => {})
    } else if (operation === 'kill' || operation === 'leave') {
      if (known?.up !== true) continue
      const pid = await pidOf(id)
      if (operation === 'kill') actors.table.exit(node.self, pid, 'kill')
      else {
        model.log.push(`stop ${id} normal`)
        await actors.ask(undefined, pid, undefined, '$stop', 'normal', undefined)
      }
      model.ended(known, operation === 'leave', clock.now())
    } else {
      await tree[`${operation}Child`](id)
      if (operation === 'terminate' && known !== undefined) model.down(known, 'shutdown')
      if (operation === 'restart' && known?.up === false) model.up(known)
      if (operation === 'delete' && known?.up === false)
        model.children = model.children.filter(other => other !== known)
    }
    const infos = await tree.whichChildren().catch(() => undefined)
    if (infos === undefined) await turns()
    const now = infos?.map(info => `${info.id} ${typeof info.pid}`).reverse() ?? 'over'
    const expected = model.over
      ? 'over'
      : model.children.map(one => `${one.id} ${one.up ? 'object' : 'undefined'}`)
    if (String(now) !== String(expected)) return `${steps}: expected ${expected}, got ${now}`
    if (String(log) !== String(model.log)) return `${steps}: expected ${model.log}, got ${log}`
  }
  if (model.over) seen.over += 1
  seen.restarts += log.filter(line => line.startsWith('start')).length
  if (!model.over) await tree.stop()
  return actors.table.size === 0 ? undefined : `${steps}: ${actors.table.size} processes are left`
}
