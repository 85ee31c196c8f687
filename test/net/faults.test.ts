/**
 * Three nodes in three network namespaces, and what the network and the machines can do to them. All the while each
 * node streams numbered messages to the others and watches them. Afterwards: order was never broken, each monitor
 * fired exactly once where a session was lost and never elsewhere, all nodes list the same names, and no node died.
 */
import type { Test } from 'tap'
import { eventually, type Lab, netlab, pause, startWorker, type Worker } from './lab.js'
import type { Down, Stream } from './worker.js'

const { enterWorld, Lab: Labs, check } = await netlab()
const skip = enterWorld({ timeoutMs: 600_000 }) ?? false
const { default: t } = await import('tap')
t.setTimeout(600_000)
t.jobs = 3 // labs at a time

const NAMES = ['a', 'b', 'c'] as const
type Name = (typeof NAMES)[number]
const PAIRS: readonly (readonly [Name, Name])[] = NAMES.flatMap(a =>
  NAMES.filter(b => b !== a).map(b => [a, b] as const),
)
const SETTLE_MS = 45_000

interface World {
  readonly lab: Lab
  readonly workers: Record<Name, Worker>
  /** How often the watcher on the first fired for the sink of the second, as `a>b`. */
  fired(): Promise<Record<string, string[]>>
}

async function world(t: Test): Promise<World> {
  const lab = await Labs.create({ nodes: NAMES })
  t.teardown(() => lab.destroy())
  const [a, b, c] = await Promise.all(NAMES.map(name => startWorker(lab, name)))
  const workers: Record<Name, Worker> = { a: a!, b: b!, c: c! }
  await wholeAgain(workers, 'at the start')
  await Promise.all(PAIRS.map(([from, to]) => workers[from].ask('attach', { to })))
  await flowing(workers)
  return {
    lab,
    workers,
    async fired() {
      const all = await Promise.all(NAMES.map(name => workers[name].ask<Down[]>('downs')))
      return Object.fromEntries(
        PAIRS.map(([from, to]) => [
          `${from}>${to}`,
          all[NAMES.indexOf(from)]!.filter(down => down.watched === to).map(down => String(down.reason)),
        ]),
      )
    },
  }
}

/** Everyone has a session with everyone, and all list the same names, among them every sink. */
async function wholeAgain(workers: Record<Name, Worker>, when: string): Promise<readonly string[]> {
  const views = await eventually(
    `all nodes see each other and the same names ${when}`,
    SETTLE_MS,
    () =>
      Promise.all(
        NAMES.map(async name => ({
          nodes: await workers[name].ask<string[]>('nodes'),
          members: await workers[name].ask<string[]>('members'),
          names: await workers[name].ask<string[]>('names'),
        })),
      ),
    views =>
      views.every(
        view =>
          view.nodes.length === 2 &&
          view.members.every(member => member.endsWith(' alive')) &&
          view.members.length === 3,
      ) &&
      views.every(view => view.names.join() === views[0]!.names.join()) &&
      NAMES.every(
        name =>
          views[0]!.names.filter(line => line.startsWith(`sink-${name} `) && line.endsWith(' held'))
            .length === 1,
      ),
  )
  return views[0]!.names
}

/** Every stream to a node that lives, as `from>to`. */
async function streamsOf(workers: Record<Name, Worker>): Promise<Map<string, Stream>> {
  const living = NAMES.filter(name => workers[name].child.connected)
  const all = await Promise.all(living.map(name => workers[name].ask<[string, Stream][]>('streams')))
  return new Map(
    all.flatMap((streams, i) => streams.map(([from, stream]) => [`${from}>${living[i]}`, stream] as const)),
  )
}

/** Each of the streams brings something new. */
async function flowing(workers: Record<Name, Worker>, pairs = PAIRS): Promise<void> {
  const before = await streamsOf(workers)
  await eventually(
    `${pairs.map(pair => pair.join('>'))} flow`,
    SETTLE_MS,
    async () => {
      const now = await streamsOf(workers)
      return pairs
        .map(pair => pair.join('>'))
        .filter(key => (now.get(key)?.received ?? 0) <= (before.get(key)?.received ?? 0))
    },
    still => still.length === 0,
  )
}

async function unharmed(t: Test, { workers }: World): Promise<void> {
  const broken = [...(await streamsOf(workers))].flatMap(([key, stream]) =>
    stream.broken.map(text => `${key}: ${text}`),
  )
  t.strictSame(broken, [], 'order was never broken')
  const crashes = (await Promise.all(NAMES.map(name => workers[name].ask<string[]>('events'))))
    .flat()
    .filter(e => e.startsWith('crash'))
  t.strictSame(crashes, [], 'no process crashed')
  t.strictSame(
    NAMES.map(name => workers[name].child.exitCode ?? workers[name].child.signalCode),
    [null, null, null],
    'no node died',
  )
}

/** The watchers that must have fired: both ways between the given pairs. */
const lost = (...pairs: readonly string[]): Record<string, string[]> =>
  Object.fromEntries(
    PAIRS.map(([from, to]) => [
      `${from}>${to}`,
      pairs.includes(`${from}${to}`) || pairs.includes(`${to}${from}`) ? ['noconnection'] : [],
    ]),
  )

/** Waits until the watchers fired as they must, then looks once more after the streams ran on: once means once. */
async function firedExactly(t: Test, world: World, expected: Record<string, string[]>): Promise<void> {
  const same = (seen: Record<string, string[]>) => JSON.stringify(seen) === JSON.stringify(expected)
  await eventually('the monitors fired', SETTLE_MS, () => world.fired(), same).catch(() => undefined)
  await flowing(world.workers)
  t.strictSame(
    await world.fired(),
    expected,
    'each monitor fired exactly once where a session was lost, and nowhere else',
  )
}

t.test(
  'a short cut loses nothing: no monitor fires and every stream is whole',
  { skip, buffered: true },
  async t => {
    const w = await world(t)
    w.lab.isolate('c')
    await pause(1_000)
    await w.lab.heal()
    await wholeAgain(w.workers, 'after the heal')
    await flowing(w.workers)
    await firedExactly(t, w, lost())
    const counts = [...(await streamsOf(w.workers)).values()].filter(
      stream => stream.last.seq !== stream.received,
    )
    t.strictSame(counts, [], 'every number arrived')
    await unharmed(t, w)
  },
)

t.test(
  'a cut of 12 s, and names taken on both sides: one holder after the heal',
  { skip, buffered: true },
  async t => {
    const w = await world(t)
    w.lab.isolate('c')
    await eventually(
      'a gives up c',
      SETTLE_MS,
      () => w.workers.a.ask<string[]>('nodes'),
      nodes => !nodes.includes('c'),
    )
    await eventually(
      'c is alone',
      SETTLE_MS,
      () => w.workers.c.ask<string[]>('nodes'),
      nodes => nodes.length === 0,
    )
    const takes = await Promise.allSettled([
      w.workers.a.ask('take', { name: 'both' }),
      w.workers.c.ask('take', { name: 'both' }),
    ])
    await pause(6_000)
    await w.lab.heal()
    const names = await wholeAgain(w.workers, 'after the heal')
    t.equal(
      names.filter(line => line.startsWith('both ')).length,
      1,
      `one holder of the name that ${takes.filter(r => r.status === 'fulfilled').length} took`,
    )
    await firedExactly(t, w, lost('ac', 'bc'))
    await unharmed(t, w)
  },
)

t.test(
  'a one-way cut of 12 s ends the session of that pair and no other',
  { skip, buffered: true },
  async t => {
    const w = await world(t)
    w.lab.cut('a', 'b', { oneWay: true })
    await pause(12_000)
    await flowing(w.workers, [
      ['a', 'c'],
      ['c', 'a'],
      ['b', 'c'],
      ['c', 'b'],
    ])
    await w.lab.heal()
    await wholeAgain(w.workers, 'after the heal')
    await firedExactly(t, w, lost('ab'))
    await unharmed(t, w)
  },
)

t.test('a node that is stopped for 10 s is given up and comes back', { skip, buffered: true }, async t => {
  const w = await world(t)
  w.lab.pause('c')
  await pause(10_000)
  t.strictSame(await w.workers.a.ask('nodes'), ['b'], 'given up meanwhile')
  w.lab.resume('c')
  await wholeAgain(w.workers, 'after it went on')
  await firedExactly(t, w, lost('ac', 'bc'))
  await unharmed(t, w)
})

t.test(
  'a node that is killed is noticed at once, and its next life is another',
  { skip, buffered: true },
  async t => {
    const w = await world(t)
    const before = await w.workers.a.ask<string[]>('names')
    const killedMs = performance.now()
    await w.lab.kill('c')
    const names = await eventually(
      'sink-c is free',
      SETTLE_MS,
      () => w.workers.a.ask<string[]>('names'),
      lines => !lines.some(line => line.startsWith('sink-c ')),
    )
    t.ok(
      performance.now() - killedMs < 2_000,
      `names are free after ${Math.round(performance.now() - killedMs)} ms`,
    )
    t.strictSame(
      names,
      before.filter(line => !line.startsWith('sink-c ')),
      'the other names stand',
    )
    await flowing(w.workers, [
      ['a', 'b'],
      ['b', 'a'],
    ])
    w.workers.c = await startWorker(w.lab, 'c')
    const after = await wholeAgain(w.workers, 'after the restart')
    t.not(
      after.find(line => line.startsWith('sink-c ')),
      before.find(line => line.startsWith('sink-c ')),
      'another pid',
    )
    const fired = await w.fired()
    t.strictSame(
      { ac: fired['a>c'], bc: fired['b>c'], ab: fired['a>b'], ba: fired['b>a'] },
      { ac: ['noconnection'], bc: ['noconnection'], ab: [], ba: [] },
      'each monitor of it fired once',
    )
    for (const from of ['a', 'b'] as const) await w.workers[from].ask('attach', { to: 'c' })
    for (const to of ['a', 'b'] as const) await w.workers.c.ask('attach', { to })
    await flowing(w.workers)
    await unharmed(t, w)
  },
)

t.test(
  'a reset of the connection ends the session, and no member goes down',
  { skip: skip || (check().reset ? false : 'no ss'), buffered: true },
  async t => {
    const w = await world(t)
    t.ok(w.lab.reset('a', 'b') >= 1, 'a connection was broken')
    await firedExactly(t, w, lost('ab'))
    await wholeAgain(w.workers, 'after the reset')
    await flowing(w.workers)
    const events = (await Promise.all(NAMES.map(name => w.workers[name].ask<string[]>('events')))).flat()
    t.strictSame(
      events.filter(event => event.startsWith('member:down')),
      [],
      'nobody was declared down',
    )
    await unharmed(t, w)
  },
)
