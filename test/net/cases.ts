/**
 * The table of faults, one case for each row: what is done to the nodes of a lab, what must come of it, and how long it
 * lasts in the short form (`npm run test:net`) and in the full one (`npm run net:full`). The laws of `history.ts` and the
 * return of all resources are looked at after each, by `Cluster.settled`.
 */
import { availableParallelism, cpus } from 'node:os'
import { type Cluster, now, pause, SETTLE_MS } from './cluster.js'
import { eventsOf } from './history.js'
import type { Load } from './worker.js'

export interface Case {
  readonly name: string
  readonly fault: string
  readonly expected: string
  /** How long the fault lasts, or in how many rounds, in ms. Without `short` it is in the full form only. */
  readonly short?: number
  readonly full: number
  /** Default 5. */
  readonly nodes?: number
  readonly load?: Partial<Load>
  readonly needs?: 'shape' | 'reset'
  /** It takes the whole machine: no other lab beside it. */
  readonly alone?: true
  /** The nodes are not started before the fault. */
  readonly unstarted?: true
  run(cluster: Cluster, ms: number): Promise<void>
}

const SECOND = 1_000
const MINUTE = 60 * SECOND
/** After cuts of ten minutes or less, and after longer ones. */
const HEAL_MS = 5 * SECOND
const LONG_HEAL_MS = 15 * SECOND
/** For what costs little, so that faults are seen and not the load. */
const LIGHT: Load = { streamEveryMs: 500, callEveryMs: 500 }

const pairs = (as: readonly string[], bs: readonly string[]): Record<string, number> =>
  Object.fromEntries(
    [...as.flatMap(a => bs.map(b => `${a}>${b}`)), ...bs.flatMap(b => as.map(a => `${b}>${a}`))].map(key => [
      key,
      1,
    ]),
  )

const sorted = (counts: Record<string, number>): [string, number][] =>
  Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1))

function lostExactly(c: Cluster, since: number, wanted: Record<string, number>): void {
  c.same('sessions were lost there, once, and nowhere else', sorted(c.sessionsLost(since)), sorted(wanted))
}

async function lastsFrom(since: number, ms: number): Promise<void> {
  await pause(Math.max(0, since + ms - now()))
}

async function heals(c: Cluster, cutMs: number): Promise<void> {
  const healed = now()
  await c.lab.heal()
  await c.whole('after the heal', healed)
  c.within('whole after the heal', now() - healed, cutMs > 10 * MINUTE + SECOND ? LONG_HEAL_MS : HEAL_MS)
}

async function killed(c: Cluster): Promise<void> {
  const others = c.others('e')
  const since = now()
  await c.kill('e')
  c.within('monitors fired', await c.fired(others, 'e', since), 1_000)
  c.within('its name was free', await c.heard(others, 'name:released', 'sink-e', since), 2_000)
  await c.flowing()
  await c.restart('e')
  await c.whole('after the restart')
  c.nobodyDown(since, ['e'])
}

async function powerLoss(c: Cluster): Promise<void> {
  const others = c.others('e')
  const since = now()
  await c.crash('e')
  c.within('down', await c.heard(others, 'member:down', 'e', since), 8_000)
  c.within('monitors fired', await c.fired(others, 'e', since), 8_000)
  c.lab.restore('e')
  const restored = now()
  await c.restart('e')
  c.figures['whole after the restart'] = `${Math.round(await c.whole('after the restart', restored))} ms`
  c.nobodyDown(since, ['e'])
}

/** Its next life is there before the others missed the last one. */
async function powerBlink(c: Cluster): Promise<void> {
  const since = now()
  await c.crash('e')
  await pause(SECOND)
  c.lab.restore('e')
  await c.restart('e')
  c.figures['whole after the restart'] = `${Math.round(await c.whole('after the restart', since))} ms`
  c.within('monitors fired', await c.fired(c.others('e'), 'e', since), 8_000)
  c.nobodyDown(since, ['e'])
}

async function shortCut(c: Cluster, ms: number): Promise<void> {
  const since = now()
  c.lab.isolate('e')
  await pause(ms)
  await heals(c, ms)
  await c.flowing()
  lostExactly(c, since, {})
  const streams = await c.each<[string, { missed: number }][]>('streams')
  c.same(
    'every number arrived',
    streams.flat().filter(([, { missed }]) => missed > 0),
    [],
  )
}

async function partition(c: Cluster, ms: number): Promise<void> {
  const [many, few] = [
    ['a', 'b', 'c'],
    ['d', 'e'],
  ] as const
  const since = now()
  c.lab.partition([many, few])
  const downs: number[] = []
  for (const name of few) downs.push(...(await c.heard(many, 'member:down', name, since)))
  for (const name of many) downs.push(...(await c.heard(few, 'member:down', name, since)))
  c.within('down on both sides', downs, 8_000)
  const takes = await Promise.all(['a', 'd'].map(name => c.ask<string>(name, 'take', { name: 'both' })))
  c.expect('each side goes on giving names', new Set(takes).size === 2, takes)
  await c.flowing([many, few])
  await lastsFrom(since, ms)
  c.same('the sides have one holder each', new Set(await c.holders('both')).size, 2)
  await heals(c, ms)
  c.same('one holder of the name that both sides gave', new Set(await c.holders('both')).size, 1)
  c.expect('the other was told', c.seen('name:conflict', since).length > 0)
  for (const name of ['a', 'd']) await c.ask(name, 'give', { name: 'both' })
  lostExactly(c, since, pairs(many, few))
  c.nobodyDown(now()) // and nothing flaps once it is whole
}

/** Two members that others reach: they lose their session and stay members. */
const pairCut =
  (oneWay: boolean) =>
  async (c: Cluster, ms: number): Promise<void> => {
    const since = now()
    c.lab.cut('a', 'b', { oneWay })
    const ends = [
      ...(await c.heard(['a'], 'nodedown', 'b', since)),
      ...(await c.heard(['b'], 'nodedown', 'a', since)),
    ]
    c.within('the session ended on both sides', ends, 8_000)
    await c.flowing([c.others('a'), c.others('b')])
    await lastsFrom(since, ms)
    await heals(c, ms)
    c.nobodyDown(since)
    lostExactly(c, since, pairs(['a'], ['b']))
    const changes = c.names.map(
      name =>
        ['member:suspect', 'member:updated']
          .flatMap(event => c.seen(event, since))
          .filter(line => line.startsWith(`${name}:`)).length,
    )
    c.figures['changes of view, at most'] = Math.max(...changes)
    c.expect('at most 2 changes of view at each node', Math.max(...changes) <= 2, changes)
  }

/** It hears everybody and nobody hears it. */
async function mute(c: Cluster, ms: number): Promise<void> {
  const others = c.others('e')
  const since = now()
  for (const name of others) c.lab.cut('e', name, { oneWay: true })
  c.within('down for the others', await c.heard(others, 'member:down', 'e', since), 8_000)
  const own: number[] = []
  for (const name of others) own.push(...(await c.heard(['e'], 'member:down', name, since)))
  c.within('the others down for it', own, 20_000)
  await c.flowing([others])
  await lastsFrom(since, ms)
  await heals(c, ms)
  lostExactly(c, since, pairs(others, ['e']))
}

async function flapping(c: Cluster, ms: number): Promise<void> {
  const since = now()
  while (now() < since + ms) {
    c.lab.cut('a', 'b')
    await pause(SECOND)
    c.lab.uncut('a', 'b')
    await pause(SECOND)
  }
  await heals(c, ms)
  const reconnects = c.seen('nodeup', since).length / 2
  c.figures['reconnects'] = reconnects
  c.expect('at most one reconnect in 2 s', reconnects <= ms / 2_000 + 1, reconnects)
  c.nobodyDown(since)
}

async function reset(c: Cluster): Promise<void> {
  const since = now()
  c.expect('a connection was broken', c.lab.reset('a', 'b') >= 1)
  const again = [
    ...(await c.heard(['a'], 'nodeup', 'b', since)),
    ...(await c.heard(['b'], 'nodeup', 'a', since)),
  ]
  c.within('a session again', again, 1_000)
  await c.fired(['a'], 'b', since)
  await c.fired(['b'], 'a', since)
  await c.whole('after the reset')
  lostExactly(c, since, pairs(['a'], ['b']))
  c.nobodyDown(since)
}

/** While it lasts nobody is taken for down, and calls are answered: 5 s are not long for what is lost six times. */
const shaped =
  (shape: Parameters<Cluster['lab']['shapeAll']>[0], downsMax = 0) =>
  async (c: Cluster, ms: number): Promise<void> => {
    const since = now()
    await c.lab.shapeAll(shape)
    await pause(ms)
    const facts = await c.facts()
    const calls = facts.reduce((sum, { calls }) => sum + calls, 0)
    c.figures['calls'] = calls
    c.figures['call p50'] = `${Math.round(Math.max(...facts.map(({ callP50Ms }) => callP50Ms)))} ms`
    c.figures['call p99'] = `${Math.round(Math.max(...facts.map(({ callP99Ms }) => callP99Ms)))} ms`
    const downs = new Set(c.seen('member:down', since).map(line => line.split(' ')[1]))
    const lost = Object.values(c.sessionsLost(since)).reduce((sum, n) => sum + n, 0) / 2
    c.figures['suspected'] = c.seen('member:suspect', since).length
    c.figures['taken for down'] = downs.size
    c.figures['sessions lost'] = lost
    c.expect(
      `at most ${downsMax} members taken for down`,
      downs.size <= downsMax,
      c.seen('member:down', since),
    )
    if (downsMax === 0) {
      lostExactly(c, since, {})
      c.same('every call was answered', c.unanswered(since), [])
    }
    await heals(c, ms)
  }

const TRANSFER_BYTES = 10_000_000
async function slowLink(c: Cluster, ms: number): Promise<void> {
  const since = now()
  await c.lab.shape('a', 'b', { rate: 256_000 })
  let done = 0
  const transfer = c.ask<number>(
    'a',
    'transfer',
    { to: 'b', bytes: TRANSFER_BYTES, timeoutMs: 20 * MINUTE },
    21 * MINUTE,
  )
  const waited = transfer.then(took => {
    done = took
  })
  await Promise.race([waited, pause(ms)])
  const facts = await c.facts()
  c.figures['call p99'] = `${Math.round(Math.max(...facts.map(({ callP99Ms }) => callP99Ms)))} ms`
  c.figures['calls that timed out'] = c.unanswered(since).length
  c.nobodyDown(since)
  lostExactly(c, since, {})
  c.figures['10 MB took'] = done > 0 ? `${(done / SECOND).toFixed(0)} s` : `longer than ${ms / SECOND} s`
  await heals(c, ms)
  await waited
  c.expect('the bytes arrived', done > 0)
}

async function pausedBriefly(c: Cluster, ms: number): Promise<void> {
  c.pausedMs = ms
  const since = now()
  c.lab.pause('e')
  await pause(ms)
  c.lab.resume('e')
  await c.flowing()
  c.nobodyDown(since)
  lostExactly(c, since, {})
}

const PAUSE_MS = 10 * SECOND
/** As often as fits: each node in its turn is stopped, missed, and goes on. */
async function paused(c: Cluster, ms: number): Promise<void> {
  c.pausedMs = PAUSE_MS
  const suspected: number[] = []
  const down: number[] = []
  const whole: number[] = []
  for (let round = 0; round * 2 * PAUSE_MS < ms; round++) {
    const victim = c.names.at(-1 - (round % c.names.length))!
    const others = c.others(victim)
    const since = now()
    c.lab.pause(victim)
    suspected.push(...(await c.heard(others, 'member:suspect', victim, since)))
    down.push(...(await c.heard(others, 'member:down', victim, since)))
    await lastsFrom(since, PAUSE_MS)
    const resumed = now()
    c.lab.resume(victim)
    whole.push(await c.whole('after it went on', resumed))
    c.same('down once at each of the others', c.seen('member:down', since, victim).length, others.length)
    c.nobodyDown(since, [
      victim,
      ...c
        .seen('member:down', since)
        .filter(line => line.startsWith(`${victim}:`))
        .map(line => line.split(' ')[1]!),
    ])
    await c.flowing()
  }
  c.within('suspected', suspected, 3_000, 2_000)
  c.within('down', down, 6_000, 4_000)
  c.within('whole after it went on', whole, HEAL_MS)
}

async function throttled(c: Cluster, ms: number): Promise<void> {
  const since = now()
  const end = c.lab.throttle('e', 0.2)
  await pause(ms)
  const accusations = c.seen('member:suspect', since).filter(line => line.startsWith('e:'))
  await end()
  c.same('it accused nobody', accusations, [])
  c.figures['suspected by others'] = c.seen('member:suspect', since, 'e').length
  c.nobodyDown(since)
  lostExactly(c, since, {})
}

async function skewed(c: Cluster, ms: number): Promise<void> {
  const since = now()
  for (const hours of [1, -1, 0]) {
    c.lab.skew('e', hours * 60 * MINUTE)
    c.lab.skew('a', -hours * 60 * MINUTE)
    await pause(ms / 3)
  }
  const told = ['member:suspect', 'member:down', 'member:updated', 'nodedown', 'name:released'].flatMap(
    event => c.seen(event, since),
  )
  c.same('nobody noticed', told, [])
  c.same('every call was answered', c.unanswered(since), [])
}

const BLOCK_MS = 3 * SECOND
async function blocked(c: Cluster, ms: number): Promise<void> {
  const since = now()
  for (let round = 0; round * 3 * BLOCK_MS < ms; round++) {
    const began = now()
    await c.ask('e', 'block', { ms: BLOCK_MS })
    await c.heard(['e'], 'process:overrun', 'sink-e', began)
    await c.flowing()
  }
  const overruns = c
    .seen('process:overrun', since)
    .filter(line => Number(/\((\d+)/.exec(line)?.[1]) >= BLOCK_MS)
  c.expect(
    'the actor that held the loop was named',
    overruns.length > 0 && overruns.every(line => line.startsWith('e: sink-e ')),
    overruns,
  )
  c.figures['suspected by others'] = c.seen('member:suspect', since, 'e').length
  c.same(
    'it accused nobody',
    c.seen('member:suspect', since).filter(line => line.startsWith('e:')),
    [],
  )
  c.nobodyDown(since)
  lostExactly(c, since, {})
}

const FLOOD_MS = 8 * SECOND
const FLOOD_MIB_MAX = 8 + 64
/** A share of a millisecond twice is no delay that anybody could name. */
const P99_MARGIN_MS = 50
async function slowConsumer(c: Cluster, ms: number): Promise<void> {
  c.pausedMs = PAUSE_MS
  const others = c.others('e')
  await c.facts()
  await pause(5 * SECOND)
  const idle = await c.facts()
  for (let round = 0; round * 2 * PAUSE_MS < ms; round++) {
    const since = now()
    c.lab.pause('e')
    const flood = await c.ask<{ sent: number; busyMs: number; fullMs: number; rssMiB: number }>(
      'd',
      'flood',
      { to: 'e', ms: FLOOD_MS },
    )
    const facts = await Promise.all(
      c.others('d', 'e').map(name => c.ask<{ callP99Ms: number }>(name, 'facts')),
    )
    await lastsFrom(since, PAUSE_MS)
    c.lab.resume('e')
    const p99 = (all: readonly { callP99Ms: number }[]): number =>
      Math.max(...all.map(({ callP99Ms }) => callP99Ms))
    c.figures['messages of 1 KiB'] = flood.sent
    c.figures['busy after'] = `${Math.round(flood.busyMs)} ms`
    c.figures['full after'] = `${Math.round(flood.fullMs)} ms`
    c.figures['call p99 of the others'] = `${p99(facts).toFixed(1)} ms, ${p99(idle).toFixed(1)} ms before`
    const grown = flood.rssMiB - idle[c.names.indexOf('d')]!.rssMiB
    c.figures['sender grew'] = `${Math.round(grown)} MiB`
    c.expect('the sender was told busy, then full', flood.busyMs >= 0 && flood.fullMs >= flood.busyMs, flood)
    c.expect(`the sender grew by at most ${FLOOD_MIB_MAX} MiB`, grown <= FLOOD_MIB_MAX, grown)
    c.expect(
      'calls between the others took less than twice as long',
      p99(facts) < 2 * p99(idle) + P99_MARGIN_MS,
      p99(facts),
    )
    await c.whole('after it went on')
    c.nobodyDown(since, ['e', ...others])
    await c.flowing()
  }
}

async function atOnce(c: Cluster): Promise<void> {
  const since = now()
  const joined = Promise.all(c.names.map(name => c.join(name, 3 * SETTLE_MS)))
  const meshedMs = await c.meshed(since)
  await joined
  const last = Math.max(...c.lives.flatMap(life => eventsOf(life, 'created').map(({ at }) => at)))
  c.figures['the last was created after'] = `${Math.round(last - since)} ms`
  c.within('one mesh', meshedMs, 10 * SECOND)
  c.figures['names alike'] = `${Math.round(await c.whole('after the start', since, 3 * SETTLE_MS))} ms`
  c.nobodyDown(since)
}

async function rolling(c: Cluster, ms: number): Promise<void> {
  const took: number[] = []
  const whole: number[] = []
  const begun = now()
  for (let round = 0; round === 0 || now() < begun + ms; round++) {
    for (const name of c.names) {
      const since = now()
      took.push(await c.stop(name, 5_000))
      await c.heard(c.others(name), 'member:left', name, since)
      c.same(`${name} left, and was not down`, c.seen('member:down', since), [])
      const restarted = now()
      await c.restart(name)
      whole.push(await c.whole(`after ${name} came back`, restarted))
    }
  }
  c.within('leaving', took, 5_000)
  c.figures['whole after a restart, at most'] = `${Math.round(Math.max(...whole))} ms`
  c.figures['unanswered calls'] = c.unanswered(begun).length
}

const CPU_SHARE = 0.8
async function busyMachine(c: Cluster, ms: number): Promise<void> {
  const since = now()
  const before = cpuTimes()
  await c.each('burn', { share: (CPU_SHARE * availableParallelism()) / c.names.length })
  await pause(ms)
  await c.each('burn', { share: 0 })
  const after = cpuTimes()
  const busy = 1 - (after.idle - before.idle) / (after.all - before.all)
  c.figures['cpu'] = `${Math.round(busy * 100)} %`
  c.figures['suspected'] = c.seen('member:suspect', since).length
  c.nobodyDown(since)
  lostExactly(c, since, {})
}

function cpuTimes(): { idle: number; all: number } {
  const times = cpus().map(cpu => cpu.times)
  const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)
  return { idle: sum(times.map(({ idle }) => idle)), all: sum(times.flatMap(kinds => Object.values(kinds))) }
}

export const CASES: readonly Case[] = [
  {
    name: 'killed',
    fault: 'process killed',
    expected: 'monitors fire within 1 s, names are free within 2 s; the next life is another',
    short: 0,
    full: 0,
    run: killed,
  },
  {
    name: 'power-loss',
    fault: 'power loss',
    expected: 'down within 8 s; the next life is another',
    short: 0,
    full: 0,
    run: powerLoss,
  },
  {
    name: 'power-blink',
    fault: 'power loss, back after 1 s',
    expected: 'the next life takes the place of the last; monitors of the last one fire once',
    short: 0,
    full: 0,
    run: powerBlink,
  },
  {
    name: 'short-cut',
    fault: 'one node cut off for 1 s',
    expected: 'nothing is lost and nobody notices',
    short: SECOND,
    full: SECOND,
    run: shortCut,
  },
  {
    name: 'partition-3-2',
    fault: 'symmetric partition 3/2',
    expected:
      'each side goes on; noconnection once; whole and one holder of each name within 5 s of the heal',
    short: 12 * SECOND,
    full: MINUTE,
    run: partition,
  },
  {
    name: 'cut-10-min',
    fault: 'symmetric partition 3/2 for 10 minutes',
    expected: 'whole within 5 s of the heal',
    full: 10 * MINUTE,
    run: partition,
  },
  {
    name: 'cut-20-min',
    fault: 'symmetric partition 3/2 for 20 minutes',
    expected: 'whole within 15 s of the heal',
    full: 20 * MINUTE,
    run: partition,
  },
  {
    name: 'one-way',
    fault: 'packets from a to b vanish',
    expected: 'both lose the session, others reach both: nobody is down anywhere; again within 5 s',
    short: 15 * SECOND,
    full: MINUTE,
    run: pairCut(true),
  },
  {
    name: 'mute',
    fault: 'packets from one node to all others vanish',
    expected: 'down for the others, and they for it: no half member',
    short: 20 * SECOND,
    full: MINUTE,
    run: mute,
  },
  {
    name: 'overlap',
    fault: 'a and b cut from each other, all others reach both',
    expected: 'no session between the two, nobody is down anywhere, at most 2 changes of view at each node',
    short: 20 * SECOND,
    full: 2 * MINUTE,
    run: pairCut(false),
  },
  {
    name: 'flapping',
    fault: 'the link of two nodes 1 s off, 1 s on',
    expected: 'at most one reconnect in 2 s, monitors fire once each time, nobody is down',
    short: 30 * SECOND,
    full: 2 * MINUTE,
    run: flapping,
  },
  {
    name: 'reset',
    fault: 'the connection of two nodes is reset',
    expected: 'a session again within 1 s; a gap, and no message twice; nobody is down',
    short: 0,
    full: 0,
    needs: 'reset',
    run: reset,
  },
  {
    name: 'delay-200',
    fault: '200 ms ± 50 each way',
    expected: 'nobody is down, no session is lost, calls are answered',
    short: 30 * SECOND,
    full: 10 * MINUTE,
    needs: 'shape',
    run: shaped({ delay: 200, jitter: 50 }),
  },
  {
    name: 'loss-5',
    fault: '5 % loss',
    expected: 'nobody is down',
    short: 30 * SECOND,
    full: 10 * MINUTE,
    needs: 'shape',
    run: shaped({ loss: 0.05 }),
  },
  {
    name: 'loss-20',
    fault: '20 % loss',
    expected: 'at most one member is taken for down in 10 minutes, and comes back',
    short: 30 * SECOND,
    full: 10 * MINUTE,
    needs: 'shape',
    run: shaped({ loss: 0.2 }, 1),
  },
  {
    name: 'slow-link',
    fault: '256 kbit/s between two nodes, and 10 MB to transfer',
    expected: 'heartbeats go first: nobody is down and no session is lost; the bytes arrive',
    short: 30 * SECOND,
    full: 20 * MINUTE,
    load: LIGHT,
    needs: 'shape',
    run: slowLink,
  },
  {
    name: 'pause-2',
    fault: 'a node stopped (SIGSTOP) for 2 s',
    expected: 'nobody is down, no session is lost',
    short: 2 * SECOND,
    full: 2 * SECOND,
    run: pausedBriefly,
  },
  {
    name: 'pause-10',
    fault: 'a node stopped (SIGSTOP) for 10 s',
    expected:
      'suspected in 2 to 3 s, down in 4 to 6 s, everywhere, once; back in the same life after SIGCONT',
    short: 2 * PAUSE_MS,
    full: 20 * PAUSE_MS,
    run: paused,
  },
  {
    name: 'throttled',
    fault: 'a node gets 20 % of its time',
    expected: 'it accuses nobody, and nobody is down',
    short: 30 * SECOND,
    full: 5 * MINUTE,
    run: throttled,
  },
  {
    name: 'skew',
    fault: 'wall clocks 1 h off, and jumping',
    expected: 'nobody notices',
    short: 6 * SECOND,
    full: MINUTE,
    run: skewed,
  },
  {
    name: 'blocked',
    fault: 'user code holds the event loop for 3 s',
    expected: 'the actor is named; nobody is down, nobody is accused by it, no session is lost',
    short: 3 * BLOCK_MS,
    full: 30 * BLOCK_MS,
    run: blocked,
  },
  {
    name: 'slow-consumer',
    fault: 'a node stopped for 10 s while another floods it',
    expected:
      'the sender is told busy, then full, and stays bounded; calls between others take less than twice as long',
    short: 2 * PAUSE_MS,
    full: 6 * PAUSE_MS,
    alone: true,
    run: slowConsumer,
  },
  {
    name: 'rolling',
    fault: 'rolling restart under load',
    expected: 'each leaves and is never down; every call is answered or fails with a known error',
    short: 0,
    full: 3 * MINUTE,
    run: rolling,
  },
  {
    name: 'at-once-20',
    fault: '20 nodes start at once',
    expected: 'one mesh within 10 s: each has a session with each; names follow',
    short: 0,
    full: 0,
    nodes: 20,
    load: { streamEveryMs: 1_000, callEveryMs: 1_000 },
    alone: true,
    unstarted: true,
    run: atOnce,
  },
  {
    name: 'cpu-80',
    fault: 'the machine at 80 % CPU',
    expected: 'nobody is down, no session is lost',
    short: 30 * SECOND,
    full: 10 * MINUTE,
    alone: true,
    run: busyMachine,
  },
  {
    name: 'hour',
    fault: '1 % loss and 100 ms ± 50 each way',
    expected: 'nobody is down, no session is lost, calls are answered',
    short: 30 * SECOND,
    full: 60 * MINUTE,
    load: LIGHT,
    needs: 'shape',
    run: shaped({ delay: 100, jitter: 50, loss: 0.01 }),
  },
]
