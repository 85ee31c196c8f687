import t from 'tap'
import { defineActor } from '../lib/index.js'
import { createTestMesh } from '../lib/testing.js'
import { faultText } from './sim/faults.js'
import { flagsOf, keptSeeds } from './sim/run.js'
import { lawOf, shrink } from './sim/shrink.js'
import { runSeed, schemeOf } from './sim/world.js'

t.setTimeout(300_000)

t.test('seeds that once broke a law keep it', async t => {
  for (const seed of keptSeeds()) {
    const { violations } = await runSeed(seed)
    t.strictSame(violations, [], `seed ${seed}`)
  }
})

/** Places where a node, or its world, may do the unusual: every one of them is reached. */
const SITES = [
  'credit-late',
  'dial-slow',
  'heartbeat-skipped',
  'packet-lost',
  'session-cut',
  'timer-late',
  'write-stops',
]

t.test('twenty worlds of faults break no law, and each run twice is the same run', async t => {
  const fired = new Set<string>()
  const onLine = (line: string): void => {
    const site = / buggify (\S+)$/.exec(line)?.[1]
    if (site !== undefined) fired.add(site)
  }
  for (let seed = 1_001; seed <= 1_020; seed++) {
    const first = await runSeed(seed, { onLine })
    const again = await runSeed(seed)
    t.strictSame(first.violations, [], `seed ${seed}`)
    t.strictSame([again.hash, again.events], [first.hash, first.events], `seed ${seed}, twice`)
  }
  for (const site of SITES) t.ok(fired.has(site), `${site} happened`)
})

t.test(
  'what a seed plans is data: sizes from 3 to 9, both modes, every kind of fault, one line each',
  async t => {
    const schemes = Array.from({ length: 400 }, (_, seed) => schemeOf(seed))
    const sizes = new Set(schemes.map(({ names }) => names.length))
    t.strictSame([Math.min(...sizes), Math.max(...sizes)], [3, 9])
    t.strictSame([...new Set(schemes.map(({ mode }) => mode))].sort(), ['liveness', 'safety'])
    const kinds = new Set(schemes.flatMap(({ faults }) => faults.map(({ kind }) => kind)))
    t.equal(kinds.size, 24, [...kinds].join())
    t.ok(
      schemes.every(({ faults }) =>
        faults.every(fault => /^at \d+ ms, for \d+ ms: \w/.test(faultText(fault))),
      ),
    )
    t.strictSame(schemeOf(7), schemeOf(7))
  },
)

t.test('a failing schedule is made short: only what it takes is left', async t => {
  const all = Array.from({ length: 40 }, (_, i) => i)
  let runs = 0
  const needs = (...wanted: number[]) => {
    runs = 0
    return async (some: readonly number[]): Promise<boolean> => {
      runs += 1
      return wanted.every(one => some.includes(one))
    }
  }
  t.strictSame(await shrink(all, needs(3, 17, 31), 500), [3, 17, 31])
  t.strictSame(await shrink(all, needs(5)), [5])
  t.strictSame(await shrink(all, needs()), [], 'no fault is needed')
  t.equal(runs, 1)
  const left = await shrink(all, needs(...all.filter(i => i % 2 === 0)), 10)
  t.ok(left.length >= 20 && runs <= 11, 'it gives up after so many tries, with what it has')
  t.strictSame([lawOf([]), lawOf(['I6: x is held']), lawOf(['odd'])], [undefined, 'I6', 'odd'])
})

t.test('the command line of the worlds refuses what makes no sense, by flag', async t => {
  const flags = (...args: string[]) => flagsOf(args)
  t.match(flags('--seed', '5', '--faults', '3,8', '--log'), { seed: 5, faults: [3, 8], log: true })
  t.match(flags('--minutes', '3', '--mode', 'safety'), { minutes: 3, mode: 'safety', shrink: true })
  t.match(flags('--until-found', '--no-buggify'), {
    seeds: 20,
    from: 1,
    untilFound: true,
    shrink: false,
    buggify: false,
  })
  t.strictSame(flags('--seed', '5', '--faults', '').faults, [], 'none at all')
  for (const [args, message] of [
    ['--seeds ten', /--seeds: expected a whole number from 1, got "ten"/],
    ['--seeds 0', /--seeds: expected a whole number from 1, got "0"/],
    ['--seed 1.5', /--seed: expected a whole number from 0, got "1.5"/],
    ['--minutes -1', /--minutes/],
    ['--seed 1 --seeds 2', /expected one of --seeds and --seed/],
    ['--mode brave', /--mode: expected safety or liveness, got "brave"/],
    ['--seed 1 --faults a', /--faults: expected numbers, as in 3,8, got "a"/],
    ['--log', /--log: expected with --seed/],
    ['--trees --mode safety', /--mode: expected without --trees/],
    ['--sede 1', /Unknown option '--sede'/],
    ['17', /Unexpected argument '17'/],
  ] as const)
    t.throws(() => flags(...args.split(' ')), message, args)
})

t.test('a test mesh is a whole cluster: it joins, loses nodes, gets them back, and stops', async t => {
  const mesh = await createTestMesh({ nodes: 3, seed: 1 })
  const others = (): string[] => mesh.nodes.map(node => node.nodes().join(' '))
  await mesh.runUntil(() => others().join() === 'b c,a c,a b', { limitMs: 5_000 })
  const first = mesh.node('b').self.creation
  mesh.kill('b')
  t.throws(() => mesh.node('b'), /expected one of a, c, got b/)
  await mesh.runUntil(() => others().join() === 'c,a', { limitMs: 5_000 })
  const back = await mesh.run(mesh.boot('b'))
  t.not(back.self.creation, first, 'another life')
  await mesh.runUntil(() => others().join() === 'b c,a c,a b', { limitMs: 5_000 })
  await mesh.stop()
  t.strictSame(mesh.nodes, [])
})

const stuck = defineActor('stuck', { init: () => ({}), calls: { never: () => new Promise<void>(() => {}) } })

t.test('a handler that waits for something real fails the run, by the name of its process', async t => {
  const mesh = await createTestMesh({ nodes: 1, seed: 2, actors: [stuck] })
  const ref = await mesh.run(mesh.node('a').spawn(stuck))
  await t.rejects(mesh.run(ref.call('never', undefined, { timeoutMs: 100 })), { code: 'ERR_TIMEOUT' })
  await t.rejects(mesh.advance(5_000), { message: /a handler of <a\..*> \(stuck\) escaped the simulation/ })
})

const left = defineActor('left', { init: () => ({}), calls: { side: () => 'left' } })
const right = defineActor('right', { init: () => ({}), calls: { side: () => 'right' } })

t.test('a name is known everywhere with its definition, and refused to who expects another', async t => {
  const mesh = await createTestMesh({ nodes: 2, seed: 1, actors: [left, right] })
  await mesh.run(mesh.node('a').spawn(left, undefined, { name: 'door' }))
  const b = mesh.node('b')
  t.equal(await mesh.run(b.whereis('door', left)!.call('side')), 'left')
  t.throws(() => b.whereis('door', right), /whereis\("door"\): expected the actor "right", got "left"/)
  t.match(b.names(), [{ name: 'door', state: 'held', definition: 'left' }])
  await mesh.stop()
})

const cloakroom = defineActor('cloakroom', {
  init: () => ({ downs: [] as unknown[] }),
  calls: {
    hang: (_, _coat: void, ctx) => void ctx.monitor(ctx.from.pid),
    downs: state => state.downs,
  },
  info: (state, signal) => {
    if (signal.type === 'down') state.downs.push([signal.pid, signal.reason])
  },
})

t.test('code outside of processes lives as long as its node, for those who monitor it', async t => {
  const mesh = await createTestMesh({ nodes: 2, seed: 3, actors: [cloakroom] })
  const [a, b] = [mesh.node('a'), mesh.node('b')]
  const ref = await mesh.run(a.spawn(cloakroom))
  await mesh.run(ref.call('hang'))
  await mesh.run(b.spawn(cloakroom, undefined, { on: 'a', name: 'there' }))
  const there = b.named('there', cloakroom)
  await mesh.run(there.call('hang'))
  t.strictSame([await mesh.run(ref.call('downs')), await mesh.run(there.call('downs'))], [[], []])
  const gone = b.self
  let lost = false
  a.once('nodedown', () => {
    lost = true
  })
  mesh.kill('b')
  await mesh.runUntil(() => lost, { limitMs: 5_000 })
  t.strictSame(await mesh.run(a.named('there', cloakroom).call('downs')), [[gone, 'noconnection']])
  t.strictSame(await mesh.run(ref.call('downs')), [])
  await mesh.stop()
})

t.test('createTestMesh refuses bad options by name', async t => {
  await t.rejects(
    createTestMesh({ nodes: 0, seed: 1 }),
    /nodes: expected a whole number from 1 to 256, or names, got 0/,
  )
  await t.rejects(createTestMesh({ nodes: 1, seed: -1 }), /seed: expected a whole number/)
  await t.rejects(createTestMesh({ nodes: 1, seed: 1, nods: 3 } as never), /unknown option "nods"/)
})
