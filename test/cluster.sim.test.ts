import t from 'tap'
import { defineActor } from '../lib/index.js'
import { createTestMesh } from '../lib/testing.js'
import { keptSeeds } from './sim/run.js'
import { runSeed } from './sim/world.js'

t.setTimeout(300_000)

t.test('seeds that once broke a law keep it', async t => {
  for (const seed of keptSeeds()) {
    const { violations } = await runSeed(seed)
    t.strictSame(violations, [], `seed ${seed}`)
  }
})

t.test('twenty worlds of faults break no law, and each run twice is the same run', async t => {
  for (let seed = 1_001; seed <= 1_020; seed++) {
    const first = await runSeed(seed)
    const again = await runSeed(seed)
    t.strictSame(first.violations, [], `seed ${seed}`)
    t.strictSame([again.hash, again.events], [first.hash, first.events], `seed ${seed}, twice`)
  }
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
