/** Partition policies: who may decide, who is told and when, what is refused, and what is remembered. */

import fc from 'fast-check'
import t from 'tap'
import type { NodeId } from '../lib/base/ids.js'
import type { Member, Quorum } from '../lib/base/member.js'
import type { Timer } from '../lib/base/runtime.js'
import { LargestSeen } from '../lib/coord/largest-seen.js'
import { Partition } from '../lib/coord/partition.js'
import { largestAfter, type PartitionPolicy, quorumOf, votesOf } from '../lib/coord/quorum.js'
import { SlotMachine } from '../lib/coord/slot-machine.js'
import type { SlotMessage } from '../lib/coord/slot-messages.js'
import { createNode, defineActor, type Logger, type Node, type NodeOptions } from '../lib/index.js'
import { Simulation } from '../lib/sim/simulation.js'
import { createTestMesh, type TestMesh } from '../lib/testing.js'

t.setTimeout(120_000)

const counter = defineActor('counter', {
  init: (start: number) => ({ value: start }),
  calls: { get: state => state.value },
  casts: {
    crash: () => {
      throw new Error('crashed')
    },
  },
})

const sized = (size: number): PartitionPolicy => ({ policy: 'static-quorum', size })

// ---- the decision ----

t.test('a side needs more than half of what it counts from', t => {
  const cases: [PartitionPolicy, number, number, Quorum][] = [
    ['diverge', 1, 9, { quorate: true, counted: 1, needed: 0 }],
    [sized(1), 1, 1, { quorate: true, counted: 1, needed: 1 }],
    [sized(3), 1, 1, { quorate: false, counted: 1, needed: 2 }],
    [sized(3), 2, 3, { quorate: true, counted: 2, needed: 2 }],
    [sized(4), 2, 4, { quorate: false, counted: 2, needed: 3 }],
    [sized(5), 2, 5, { quorate: false, counted: 2, needed: 3 }],
    [sized(5), 3, 5, { quorate: true, counted: 3, needed: 3 }],
    // More than declared: half of those that were seen is not enough.
    [sized(3), 2, 5, { quorate: false, counted: 2, needed: 3 }],
    [sized(3), 5, 0, { quorate: true, counted: 5, needed: 3 }],
    ['majority', 1, 1, { quorate: true, counted: 1, needed: 1 }],
    ['majority', 2, 4, { quorate: false, counted: 2, needed: 3 }],
    ['majority', 3, 4, { quorate: true, counted: 3, needed: 3 }],
    ['majority', 0, 0, { quorate: false, counted: 0, needed: 1 }],
  ]
  for (const [policy, counted, largest, expected] of cases) {
    t.strictSame(quorumOf(policy, counted, largest), expected, JSON.stringify([policy, counted, largest]))
  }
  t.end()
})

t.test('members of one operating-system process have one vote, and some have none', t => {
  const votes = votesOf([
    { host: 'x', voter: true },
    { host: 'x', voter: true },
    { host: 'y', voter: false },
    { host: 'z', voter: true },
  ])
  t.equal(votes, 2)
  t.end()
})

t.test(
  'a goodbye lowers what was seen above the declared size, and nothing lowers what majority has seen',
  t => {
    const votes = { largest: 6, before: 6, after: 5 }
    t.equal(largestAfter(sized(5), votes, true), 5)
    t.equal(largestAfter(sized(5), votes, false), 6)
    t.equal(largestAfter('majority', votes, true), 6)
    t.equal(largestAfter(sized(5), { largest: 6, before: 2, after: 2 }, true), 6, 'who left had no vote here')
    t.end()
  },
)

/** Which side each vote is on. */
const split = fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 20 })

const quorateSides = (sides: readonly number[], policy: PartitionPolicy, largest: number): number =>
  [0, 1, 2, 3].filter(side => {
    const counted = sides.filter(of => of === side).length
    return counted > 0 && quorumOf(policy, counted, largest).quorate
  }).length

t.test('of the sides of any partition at most one is quorate', t => {
  fc.assert(
    fc.property(split, fc.nat({ max: 20 }), (sides, spare) => {
      // What each side has seen matters only above the declared size: here nobody has seen anything.
      return quorateSides(sides, sized(sides.length + spare), 0) <= 1
    }),
    { numRuns: 500 },
  )
  fc.assert(
    fc.property(split, fc.integer({ min: 1, max: 20 }), (sides, size) => {
      const seen = Math.max(sides.length, size)
      return quorateSides(sides, sized(size), seen) <= 1 && quorateSides(sides, 'majority', sides.length) <= 1
    }),
    { numRuns: 500 },
  )
  t.end()
})

t.test('a vote more never costs the quorum, and the whole cluster always has it', t => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), fc.nat({ max: 40 }), (size, counted) => {
      for (const policy of [sized(size), 'majority'] as const) {
        const now = quorumOf(policy, counted, size)
        const more = quorumOf(policy, counted + 1, size)
        if (counted + 1 <= size && now.quorate && !more.quorate) return false
        if (!quorumOf(policy, size, size).quorate) return false
      }
      return true
    }),
  )
  t.end()
})

// ---- told, settled, noticed again ----

/** A partition policy with members of the test's making, on a clock that the test moves. */
function partition(policy: PartitionPolicy, settings: { readonly start?: boolean } = {}) {
  let nowMs = 0
  let timers: { atMs: number; fn: () => void }[] = []
  const said: string[] = []
  const after = (ms: number, fn: () => void): Timer => {
    const timer = { atMs: nowMs + ms, fn }
    timers.push(timer)
    return { clear: () => void (timers = timers.filter(other => other !== timer)) }
  }
  const log = { warn: (message: string) => said.push(`warn: ${message}`) } as unknown as Logger
  const partition: Partition = new Partition({
    policy,
    self: 'a' as NodeId,
    members: () => [member('a')],
    membersMax: 256,
    clock: { now: () => nowMs, wallNow: () => 0, after },
    log,
    tell: (event, quorum) => said.push(`${event} ${quorum.counted} ${partition.quorate}`),
    changed: () => said.push('acted'),
  })
  if (settings.start !== false) partition.start()
  const advance = (ms: number): void => {
    nowMs += ms
    const due = timers.filter(({ atMs }) => atMs <= nowMs)
    timers = timers.filter(({ atMs }) => atMs > nowMs)
    for (const { fn } of due) fn()
  }
  const take = (): string[] => said.splice(0).filter(line => !line.startsWith('warn: '))
  return { partition, advance, take, said, timers: () => timers.length }
}

const member = (name: string, more: Partial<Member> = {}): Member => ({
  name: name as NodeId,
  address: { host: name, port: 1 },
  creation: 1,
  incarnation: 1,
  state: 'alive',
  version: 1,
  tags: [],
  meta: {},
  host: name,
  voter: true,
  ...more,
})

t.test('a side is told before anything acts, and told again when the same partition comes again', t => {
  const { partition: p, advance, take } = partition(sized(3), { start: false })
  p.memberUp(member('b'))
  p.memberUp(member('c'))
  p.start()
  t.strictSame(take(), [], 'a start with a quorum is no event')
  for (let time = 1; time <= 3; time++) {
    p.memberDown(member('b'), 'timeout')
    t.strictSame(take(), [], 'two of three are enough')
    p.memberDown(member('c'), 'timeout')
    t.strictSame(take(), ['partitioned 1 false', 'acted'], `time ${time}`)
    p.memberUp(member('b'))
    p.memberUp(member('c'))
    advance(1_000)
    t.strictSame(take(), ['quorate 3 true', 'acted'], `time ${time}`)
  }
  t.match(p.stats(), { won: 4, lost: 3, quorate: 1, counted: 3, needed: 2, largest: 3 })
  t.end()
})

t.test('a cluster that is smaller than its quorum has lost nothing: it says so once, and waits', t => {
  const { partition: p, advance, take, said } = partition(sized(5))
  t.strictSame(said.splice(0), [
    'warn: partitionPolicy: static-quorum(5): this side has 1 vote and needs 3, more than this node has ever seen: cluster-wide names and placed spawns are refused with ERR_NO_QUORUM until more join',
  ])
  p.memberUp(member('b'))
  p.memberDown(member('b'), 'left')
  p.memberUp(member('b'))
  advance(60_000)
  t.strictSame(said, [])
  t.strictSame(p.quorum, { quorate: false, counted: 2, needed: 3 })
  p.memberUp(member('c'))
  t.strictSame(take(), ['quorate 3 true', 'acted'], 'at once: who never decided takes nobody for gone')
  t.end()
})

t.test('what is asked of a node that joins waits, and is not refused', t => {
  const { partition: p } = partition(sized(3), { start: false })
  p.demand('spawn')
  p.start()
  t.throws(() => p.demand('spawn'), {
    code: 'ERR_NO_QUORUM',
    message: 'spawn: this side of the cluster has 1 vote and needs 2; nothing was changed, try again',
    detail: { counted: 1, needed: 2 },
  })
  t.equal(p.stats()['refused'], 1)
  t.end()
})

t.test('a suspect has no vote, what is unknown has none, and one process has one', t => {
  const { partition: p, advance, take } = partition(sized(3))
  p.memberUpdated(member('phantom'))
  t.equal(p.quorum.counted, 1, 'only who came up by a handshake counts')
  p.memberUp(member('b', { host: 'a' }))
  p.memberUp(member('c', { voter: false }))
  t.equal(p.quorum.counted, 1)
  p.memberUp(member('d'))
  t.strictSame(take(), ['quorate 2 true', 'acted'])
  p.memberSuspect(member('d', { state: 'suspect' }))
  t.strictSame(take(), ['partitioned 1 false', 'acted'])
  p.memberAlive(member('d'))
  advance(1_000)
  t.strictSame(take(), ['quorate 2 true', 'acted'])
  t.end()
})

t.test('a quorum is back when members are still for a second, or after ten in any case', t => {
  const { partition: p, advance, take, timers } = partition(sized(3))
  const flap = (): void => {
    p.memberUp(member('c'))
    p.memberDown(member('c'), 'timeout')
  }
  p.memberUp(member('b'))
  p.memberDown(member('b'), 'timeout')
  t.strictSame(take(), ['quorate 2 true', 'acted', 'partitioned 1 false', 'acted'])
  p.memberUp(member('b'))
  for (let i = 0; i < 10; i++) {
    advance(900)
    flap()
  }
  t.strictSame(take(), [])
  advance(900)
  flap()
  advance(100)
  t.strictSame(take(), ['quorate 2 true', 'acted'])
  p.memberDown(member('b'), 'timeout')
  p.memberUp(member('b'))
  p.memberDown(member('b'), 'timeout')
  advance(5_000)
  t.strictSame(
    take(),
    ['partitioned 1 false', 'acted'],
    'votes that go again while it settles are not believed',
  )
  p.memberUp(member('b'))
  t.equal(timers(), 1)
  p.stop()
  t.equal(timers(), 0)
  t.end()
})

t.test('more votes than were declared are said once, and more of them are needed until they leave', t => {
  const { partition: p, said } = partition(sized(3))
  for (const name of ['b', 'c', 'd', 'e']) p.memberUp(member(name))
  t.strictSame(
    said.filter(line => line.includes('expected')),
    [
      'warn: partitionPolicy: size: expected at most 3 votes in the cluster, as declared, got 4: from here on more than half of those are needed',
    ],
  )
  p.memberDown(member('e'), 'timeout')
  t.equal(p.quorum.needed, 3, 'e may be on another side')
  p.memberUp(member('e'))
  p.memberDown(member('e'), 'left')
  p.memberDown(member('d'), 'left')
  t.equal(p.quorum.needed, 2)
  t.end()
})

t.test('under diverge nothing is ever lost, and nobody told', t => {
  const { partition: p, said } = partition('diverge')
  p.memberUp(member('b'))
  p.memberDown(member('b'), 'timeout')
  t.strictSame([said, p.quorum], [[], { quorate: true, counted: 1, needed: 0 }])
  t.ok(p.reached([], new Set()))
  t.end()
})

// ---- slots ----

t.test('a registrar grants when a quorum has answered, and stops when there is none', t => {
  const sent: [string, SlotMessage][] = []
  const answers: string[] = []
  const life = (node: string) => ({ node: node as NodeId, creation: 1 })
  const m = new SlotMachine({
    self: life('a'),
    slots: 1,
    resolver: 'oldest',
    times: { stableMs: 1_000, learnMs: 8_000, retryMs: 25, retryMaxMs: 400 },
    limits: { asksMax: 9, waitingMax: 9, holdingsMax: 10, goneMax: 10 },
    quorum: { quorate: true, reached: (lives, missing) => lives.filter(l => !missing.has(l)).length >= 3 },
    random: () => 0.5,
    effects: {
      send: (to, message) => sent.push([to.node, message]),
      answer: (_id, answer) => answers.push(answer.ok ? 'granted' : answer.why),
      lost: () => undefined,
      changed: () => undefined,
      revive: () => undefined,
    },
  })
  for (const b of ['b', 'c']) m.sessionUp(0, life(b))
  m.ring(0, ['a' as NodeId])
  m.start(0)
  const seals = sent.filter(([, { type }]) => type === 'seal').map(([to]) => to)
  t.strictSame(seals, ['b', 'c'])
  const sealed: SlotMessage = { type: 'sealed', slot: 0, n: 1, entries: [], last: true }
  m.receive(1, life('b'), sealed)
  m.memberSuspect(2, life('c'))
  t.equal(m.term(0)?.open, false, 'two of three are more than half, and no quorum')
  m.receive(3, life('c'), sealed)
  t.equal(m.term(0)?.open, true)
  m.ask(4, { kind: 'register', key: 'x', serial: 7, value: undefined, since: undefined, timeoutMs: 5_000 })
  m.receive(5, life('b'), { type: 'ack', slot: 0, n: 1, no: 1, key: 'x', holds: 'yes' })
  t.strictSame(answers, [], 'accepted by two, of whom three are needed')
  m.receive(6, life('c'), { type: 'ack', slot: 0, n: 1, no: 1, key: 'x', holds: 'yes' })
  t.strictSame(answers, ['granted'])
  t.end()
})

t.test('without a quorum a node seals nothing, ends what waits, and seals anew with it', t => {
  const quorum = { quorate: false, reached: () => true }
  const answers: string[] = []
  const m = new SlotMachine({
    self: { node: 'a' as NodeId, creation: 1 },
    slots: 1,
    resolver: 'oldest',
    times: { stableMs: 1_000, learnMs: 8_000, retryMs: 25, retryMaxMs: 400 },
    limits: { asksMax: 9, waitingMax: 9, holdingsMax: 10, goneMax: 10 },
    quorum,
    random: () => 0.5,
    effects: {
      send: () => undefined,
      answer: (_id, answer) => answers.push(answer.ok ? 'granted' : answer.why),
      lost: () => undefined,
      changed: () => undefined,
      revive: () => undefined,
    },
  })
  const register = (now: number, serial: number): number =>
    m.ask(now, {
      kind: 'register',
      key: `x${serial}`,
      serial,
      value: undefined,
      since: undefined,
      timeoutMs: 9_000,
    })
  m.ring(0, ['a' as NodeId])
  register(0, 1)
  t.strictSame(answers, [], 'it waits for the start')
  m.start(1)
  register(2, 2)
  m.memberUp(3, { node: 'b' as NodeId, creation: 1 })
  m.memberDown(4, { node: 'b' as NodeId, creation: 1 })
  m.tick(5_000)
  t.strictSame([answers.splice(0), m.term(0)], [['no-quorum', 'no-quorum'], undefined])
  quorum.quorate = true
  m.quorumChanged(6_000)
  register(6_001, 3)
  t.strictSame([answers.splice(0), m.term(0)], [['granted'], { n: 1, node: 'a', open: true }])
  quorum.quorate = false
  m.quorumChanged(7_000)
  register(7_001, 4)
  t.strictSame([answers.splice(0), m.term(0)], [['no-quorum'], { n: 1, node: 'a', open: false }])
  t.strictSame(m.owner('x3'), { node: 'a', creation: 1, serial: 3 }, 'reads go on')
  quorum.quorate = true
  m.quorumChanged(8_000)
  t.strictSame(m.term(0), { n: 2, node: 'a', open: true }, 'a new term')
  t.end()
})

// ---- what majority remembers ----

function memoryWorld(seed: number) {
  const sim = new Simulation({ seed })
  const said: string[] = []
  const log = {
    debug: () => undefined,
    warn: (message: string) => said.push(`warn: ${message}`),
    error: (message: string) => said.push(`error: ${message}`),
  } as unknown as Logger
  const boot = (): LargestSeen => {
    const { disk, clock } = sim.runtime('a')
    return new LargestSeen({ disk, clock, log, folder: '/data' })
  }
  const run = async <T>(promise: Promise<T>): Promise<T> => {
    let settled = false
    void promise.then(() => {
      settled = true
    })
    await sim.runUntil(() => settled, { limitMs: 60_000 })
    return promise
  }
  return { sim, said, boot, run }
}

t.test('the largest membership survives a crash at any moment, as it was or as it is', async t => {
  for (let seed = 1; seed <= 60; seed++) {
    const { sim, said, boot, run } = memoryWorld(seed)
    const first = boot()
    t.equal(await run(first.load()), undefined)
    first.grown(3)
    await sim.advance(100)
    first.grown(4)
    first.grown(5)
    await sim.advance(seed / 6)
    sim.crash('a')
    const found = await run(boot().load())
    t.ok([3, 4, 5].includes(found as number), `seed ${seed}: ${found}`)
    t.strictSame(said, [])
  }
})

for (const operation of ['makeFolder', 'write', 'sync', 'rename', 'syncFolder'] as const) {
  t.test(`a ${operation} that fails is said once, counted, and tried again`, async t => {
    const { sim, said, boot, run } = memoryWorld(1)
    const memory = boot()
    sim.disk('a').failNext(operation, 'ENOSPC')
    sim.disk('a').failNext(operation, 'ENOSPC')
    memory.grown(3)
    await sim.advance(20_000)
    t.match(said, [
      /^warn: the largest membership could not be stored in \/data\/largest-membership: .*ENOSPC/,
    ])
    t.strictSame(memory.stats(), { unreadable: 0, writesFailed: 2 })
    sim.crash('a')
    t.equal(await run(boot().load()), 3)
  })
}

t.test('a file that is not ours is said, counted and left as it is', async t => {
  const foreign = ['', '5', 'largest membership 5 0123456789abcdef\n', 'largest membership 0 x\n']
  for (const text of foreign) {
    const { sim, said, boot, run } = memoryWorld(1)
    const memory = boot()
    const { disk } = sim.node('a').runtime
    await run(disk.makeFolder('/data'))
    await run(disk.write('/data/largest-membership', Buffer.from(text)))
    t.equal(await run(memory.load()), 'unknown')
    t.match(said, [
      /^error: dataFolder: \/data\/largest-membership cannot be read, and the cluster is taken to be as large as it may be, until that file is removed: /,
    ])
    memory.grown(7)
    await sim.advance(100)
    t.strictSame(memory.stats(), { unreadable: 1, writesFailed: 0 })
    t.equal((await run(disk.read('/data/largest-membership'))).toString(), text)
  }
})

// ---- whole clusters ----

type Told = readonly [at: string, event: string, about: string]

/** Everything that the nodes tell, in order. */
function listen(mesh: TestMesh): Told[] {
  const told: Told[] = []
  for (const node of mesh.nodes) listenTo(node, told)
  return told
}

function listenTo(node: Node, told: Told[]): void {
  for (const event of ['partitioned', 'quorate'] as const) {
    node.on(event, ({ quorate, counted, needed }) =>
      told.push([node.name, event, `${quorate} ${counted} ${needed}`]),
    )
  }
  for (const event of ['name:registered', 'name:released'] as const) {
    node.on(event, ({ name }) => told.push([node.name, event, name]))
  }
}

const of = (told: readonly Told[], ...nodes: string[]): Told[] => told.filter(([at]) => nodes.includes(at))
const quorums = (mesh: TestMesh): string =>
  mesh.nodes.map(node => `${node.name}${node.health().quorum.quorate ? '+' : '-'}`).join(' ')

async function refusals(mesh: TestMesh, node: Node, other: string): Promise<unknown[]> {
  const pid = node.run(async self => void (await self.receive(() => true)))
  const tries = [
    node.spawn(counter, 0, { name: 'fresh' }),
    node.spawn(counter, 0, { on: other }),
    node.spawn(counter, 0, { on: node.name }),
    node.spawn(counter, 0, { on: { tag: 'none' } }),
    node.register('fresh', pid),
    node.terminate('theirs'),
    node.named('theirs', counter).call('get'),
  ]
  return mesh.run(
    Promise.all(
      tries.map(tried =>
        tried.then(
          () => 'done',
          (error: { code: string }) => error.code,
        ),
      ),
    ),
  )
}

t.test(
  'a partition of 3 and 2: the smaller side stops and is told, the larger goes on, and both meet again',
  async t => {
    for (const seed of [1, 2, 3]) {
      const mesh = await createTestMesh({
        nodes: 5,
        seed,
        actors: [counter],
        options: { partitionPolicy: sized(5) },
      })
      await mesh.runUntil(() => quorums(mesh) === 'a+ b+ c+ d+ e+', { limitMs: 100 })
      const [a, d, e] = [mesh.node('a'), mesh.node('d'), mesh.node('e')]
      await mesh.run(e.spawn(counter, 1, { name: 'theirs', restart: 'permanent' }))
      await mesh.run(a.spawn(counter, 2, { name: 'ours', restart: 'permanent' }))
      await mesh.run(a.spawn(counter, 3, { name: 'brief' }))
      t.strictSame(a.health().quorum, { quorate: true, counted: 5, needed: 3 })
      for (let time = 1; time <= 2; time++) {
        const told = listen(mesh)
        const seenWhenTold: unknown[] = []
        d.once('partitioned', () => {
          // Nothing has followed yet: all names are still there.
          seenWhenTold.push(
            d
              .names()
              .map(({ name, state }) => `${name} ${state}`)
              .join(', '),
          )
        })
        mesh.network.partition(['a', 'b', 'c'], ['d', 'e'])
        await mesh.runUntil(() => quorums(mesh) === 'a+ b+ c+ d- e-', { limitMs: 10_000 })
        await mesh.advance(10_000)
        for (const side of ['d', 'e']) {
          t.match(
            of(told, side)[0],
            [side, 'partitioned', /^false [12] 3$/],
            `${side} heard of nothing before`,
          )
          t.strictSame(
            of(told, side).filter(([, event]) => event === 'name:registered'),
            [],
            `nobody on ${side}'s side took a name`,
          )
        }
        const before = time === 1 ? [] : ['again-1 held', 'fresh-1 held']
        t.strictSame(
          seenWhenTold,
          [[...before, 'brief held', 'ours held', 'theirs held'].sort().join(', ')],
          `seed ${seed}, time ${time}`,
        )
        t.strictSame(
          told.filter(([at, event]) => event === 'partitioned' && !'de'.includes(at)),
          [],
        )
        t.strictSame(await refusals(mesh, d, 'e'), [
          ...new Array(6).fill('ERR_NO_QUORUM'),
          time === 1 ? 'done' : 'ERR_NO_QUORUM',
        ])
        t.equal(
          await mesh.run((await mesh.run(d.spawn(counter, 9))).call('get')),
          9,
          'what is merely local goes on',
        )
        t.ok('abc'.includes(a.whereis('theirs', counter)!.pid.node), 'revived by the larger side')
        await mesh.run(a.spawn(counter, 5, { name: `fresh-${time}` }))

        mesh.network.heal()
        await mesh.runUntil(() => quorums(mesh) === 'a+ b+ c+ d+ e+', { limitMs: 8_000 })
        await mesh.advance(5_000)
        for (const side of ['d', 'e']) {
          t.strictSame(
            of(told, side)
              .filter(([, event]) => event === 'quorate')
              .map(([, , about]) => about),
            ['true 5 3'],
          )
        }
        const holders = (name: string): string[] =>
          mesh.nodes.map(node => String(node.whereis(name, counter)?.pid))
        for (const name of ['theirs', 'ours', 'brief', `fresh-${time}`]) {
          t.strictSame(new Set(holders(name)).size, 1, `${name} is one for all`)
          t.not(holders(name)[0], 'undefined', name)
        }
        await mesh.run(d.spawn(counter, 6, { name: `again-${time}`, on: 'e' }))
        t.match(d.stats().counters, { 'quorum.lost': time, 'quorum.won': time + 1, 'quorum.quorate': 1 })
      }
      await mesh.stop()
    }
  },
)

t.test('also where members end at once, the loss is told before their names are free', async t => {
  const mesh = await createTestMesh({
    nodes: 3,
    seed: 10,
    actors: [counter],
    options: { partitionPolicy: sized(3) },
  })
  const a = mesh.node('a')
  for (const other of ['b', 'c']) await mesh.run(mesh.node(other).spawn(counter, 0, { name: `of ${other}` }))
  await mesh.runUntil(() => a.names().length === 2, { limitMs: 1_000 })
  const told: Told[] = []
  listenTo(a, told)
  let held: unknown
  a.once('partitioned', () => {
    held = a.names().filter(({ state }) => state === 'held').length
  })
  for (const other of ['b', 'c']) mesh.kill(other)
  await mesh.runUntil(() => told.length === 3, { limitMs: 10_000 })
  t.strictSame(
    told.map(([, event]) => event),
    ['name:released', 'partitioned', 'name:released'],
  )
  t.equal(held, 1)
  await mesh.stop()
})

t.test('a node without a quorum hosts nothing for one that believes to have it', async t => {
  const mesh = await createTestMesh({
    nodes: 3,
    seed: 11,
    actors: [counter],
    options: { partitionPolicy: sized(3) },
  })
  const [a, b] = [mesh.node('a'), mesh.node('b')]
  // b is alone, while a and c go on; when a is back b waits a second before it believes in its votes.
  mesh.network.cut('b', 'c')
  mesh.network.cut('a', 'b')
  await mesh.advance(10_000)
  mesh.network.heal('a', 'b')
  const up: string[] = []
  for (const node of [a, b]) node.on('nodeup', () => up.push(node.name))
  await mesh.runUntil(() => up.length === 2, { limitMs: 5_000 })
  t.strictSame([a.health().quorum.quorate, b.health().quorum.quorate], [true, false])
  await t.rejects(mesh.run(a.spawn(counter, 0, { on: 'b' })), { code: 'ERR_NO_QUORUM' })
  await mesh.runUntil(() => b.health().quorum.quorate, { limitMs: 5_000 })
  await mesh.run(a.spawn(counter, 0, { on: 'b' }))
  await mesh.stop()
})

t.test('a process that crashes without a quorum is not made again before it is back', async t => {
  const failed: string[] = []
  const note = (message: string): void => void (message.includes('is not back') && failed.push(message))
  const mesh = await createTestMesh({
    nodes: 3,
    seed: 4,
    actors: [counter],
    options: { partitionPolicy: sized(3), logger: { debug: note, info: note, warn: note, error: () => {} } },
  })
  const a = mesh.node('a')
  const ref = await mesh.run(a.spawn(counter, 1, { name: 'kept', restart: 'permanent', on: 'a' }))
  for (const other of ['b', 'c']) mesh.crash(other)
  await mesh.runUntil(() => !a.health().quorum.quorate, { limitMs: 10_000 })
  t.equal(await mesh.run(ref.call('get')), 1, 'it runs on')
  ref.cast('crash')
  await mesh.advance(10_000)
  t.match(a.names(), [{ name: 'kept', pid: undefined, state: 'reviving' }])
  t.strictSame([a.stats().counters['process.alive'], failed], [0, []], 'nobody even tried')
  await mesh.run(mesh.boot('b'))
  // A new node hears of c as a registrar, and gives it the time that lives get which only a message names.
  await mesh.runUntil(() => a.whereis('kept') !== undefined, { limitMs: 15_000 })
  t.equal(await mesh.run(a.named('kept', counter).call('get')), 1)
  await mesh.stop()
})

t.test('what waits for a name when the quorum is lost is refused at once', async t => {
  const mesh = await createTestMesh({
    nodes: 3,
    seed: 5,
    actors: [counter],
    options: { partitionPolicy: sized(3) },
  })
  const a = mesh.node('a')
  mesh.network.partition(['a'], ['b', 'c'])
  let asked = 0
  const late = a.spawn(counter, 1, { name: 'late', timeoutMs: 60_000 }).then(
    () => 'done',
    (error: { code: string }) => {
      asked = mesh.simulation.nowMs
      return error.code
    },
  )
  let told = 0
  a.once('partitioned', () => {
    told = mesh.simulation.nowMs
  })
  t.equal(await mesh.run(late), 'ERR_NO_QUORUM')
  t.ok(asked - told < 10, `${asked - told} ms after it was told`)
  t.equal(a.stats().counters['process.alive'], 0)
  await mesh.stop()
})

t.test('a cluster grows to its quorum: first refused, then told, and then it acts', async t => {
  const warnings: string[] = []
  const log = (level: string) => (message: string) => level === 'warn' && warnings.push(message)
  const logger = { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') } as Logger
  const mesh = await createTestMesh({
    nodes: ['a'],
    seed: 6,
    actors: [counter],
    options: { partitionPolicy: sized(3), logger },
  })
  const a = mesh.node('a')
  const told: Told[] = []
  listenTo(a, told)
  await mesh.advance(60_000)
  t.match(a.health(), {
    ready: false,
    reasons: [{ why: 'quorum', counted: 1, needed: 2 }],
    quorum: { quorate: false },
  })
  t.strictSame([told, warnings.filter(line => line.includes('partitionPolicy')).length], [[], 1])
  await t.rejects(mesh.run(a.spawn(counter, 0, { name: 'x' })), { code: 'ERR_NO_QUORUM' })
  await mesh.run(mesh.boot('b'))
  await mesh.runUntil(() => told.length > 0, { limitMs: 5_000 })
  t.strictSame(told, [['a', 'quorate', 'true 2 2']])
  await mesh.run(a.spawn(counter, 0, { name: 'x' }))
  await mesh.stop()
})

t.test('majority remembers across restarts how large the cluster was', async t => {
  const options = { partitionPolicy: 'majority', dataFolder: '/data' } as const
  const mesh = await createTestMesh({ nodes: 3, seed: 7, actors: [counter], options })
  t.strictSame(quorums(mesh), 'a+ b+ c+')
  await mesh.advance(1_000)
  await mesh.stop()
  for (const name of ['a', 'b', 'c']) mesh.crash(name)
  const a = await mesh.run(mesh.boot('a'))
  t.strictSame(a.health().quorum, { quorate: false, counted: 1, needed: 2 })
  await t.rejects(mesh.run(a.spawn(counter, 0, { name: 'x' })), { code: 'ERR_NO_QUORUM' })
  await mesh.run(mesh.boot('b'))
  await mesh.runUntil(() => quorums(mesh) === 'a+ b+', { limitMs: 5_000 })
  await mesh.run(a.spawn(counter, 0, { name: 'x' }))
  t.equal(a.stats().counters['quorum.largest'], 3)
  mesh.kill('b')
  await mesh.runUntil(() => quorums(mesh) === 'a-', { limitMs: 10_000 })
  await mesh.stop()
})

t.test(
  'majority that cannot read what it remembers counts from the largest cluster there can be',
  async t => {
    const options = { partitionPolicy: 'majority', dataFolder: '/data', limits: { membersMax: 6 } } as const
    const mesh = await createTestMesh({ nodes: ['a'], seed: 8, actors: [counter], options })
    await mesh.advance(1_000)
    await mesh.stop()
    const { disk } = mesh.simulation.node('a').runtime
    await mesh.run(disk.write('/data/largest-membership', Buffer.from('largest membership 2')))
    await mesh.run(disk.sync('/data/largest-membership'))
    mesh.kill('a')
    const a = await mesh.run(mesh.boot('a'))
    t.strictSame(a.health().quorum, { quorate: false, counted: 1, needed: 4 })
    t.match(a.stats().counters, { 'quorum.unreadable': 1, 'quorum.writesFailed': 0 })
    await mesh.stop()
  },
)

t.test('nodes that declare another size, or policy, refuse each other, and both say why', async t => {
  const sim = new Simulation({ seed: 9 })
  const run = async <T>(promise: Promise<T>): Promise<T> => {
    let settled = false
    promise.then(
      () => (settled = true),
      () => (settled = true),
    )
    await sim.runUntil(() => settled, { limitMs: 60_000 })
    return promise
  }
  const warnings: string[] = []
  const note = (message: string): void => void warnings.push(message)
  const start = (name: string, seeds: readonly string[], partitionPolicy: PartitionPolicy) =>
    createNode({
      name,
      listen: `${name}:7000`,
      seeds,
      insecure: true,
      partitionPolicy,
      logger: { debug: () => undefined, info: () => undefined, warn: note, error: note },
      runtime: sim.runtime(name),
    })
  const a = await run(start('a', [], sized(3)))
  await t.rejects(run(start('b', ['a:7000'], sized(5))), {
    code: 'ERR_HANDSHAKE',
    message: /partitionPolicy=static-quorum\(5\) .*" here, .*partitionPolicy=static-quorum\(3\) .*" there/,
  })
  t.ok(
    warnings.some(line => /static-quorum\(5\) .*" there, .*static-quorum\(3\) .*" here/.test(line)),
    'the other side, too',
  )
  await t.rejects(run(start('c', ['a:7000'], 'diverge')), {
    code: 'ERR_HANDSHAKE',
    message: /partitionPolicy=diverge/,
  })
  t.equal(a.health().members, 1)
  await run(a.stop())
})

// ---- bad options ----

t.test('a wrong policy is refused at the call: the option, what was expected, what came', async t => {
  const cases: [unknown, string][] = [
    [
      { partitionPolicy: 'keep-oldest' },
      `createNode: partitionPolicy: expected 'diverge', 'majority' or { policy: 'static-quorum', size }, got "keep-oldest"`,
    ],
    [
      { partitionPolicy: 'static-quorum' },
      `createNode: partitionPolicy: expected 'diverge', 'majority' or { policy: 'static-quorum', size }, got "static-quorum"`,
    ],
    [
      { partitionPolicy: null },
      `createNode: partitionPolicy: expected 'diverge', 'majority' or { policy: 'static-quorum', size }, got null`,
    ],
    [
      { partitionPolicy: { policy: 'majority', size: 3 } },
      `createNode: partitionPolicy: policy: expected 'static-quorum', got "majority"`,
    ],
    [
      { partitionPolicy: { policy: 'static-quorum' } },
      'createNode: partitionPolicy: size: expected a whole number from 1 to 256, got undefined',
    ],
    [
      { partitionPolicy: { policy: 'static-quorum', size: 0 } },
      'createNode: partitionPolicy: size: expected a whole number from 1 to 256, got 0',
    ],
    [
      { partitionPolicy: { policy: 'static-quorum', size: 8 }, limits: { membersMax: 7 } },
      'createNode: partitionPolicy: size: expected a whole number from 1 to 7, got 8',
    ],
    [
      { partitionPolicy: { policy: 'static-quorum', size: '3' } },
      'createNode: partitionPolicy: size: expected a whole number from 1 to 256, got "3"',
    ],
    [
      { partitionPolicy: { policy: 'static-quorum', size: 3, quorum: 2 } },
      'createNode: partitionPolicy: unknown option "quorum"; expected one of policy, size',
    ],
    [
      { partitionPolicy: 'majority' },
      `createNode: partitionPolicy: 'majority' remembers the largest membership across restarts: expected a dataFolder to keep it in, got none`,
    ],
    [{ dataFolder: 'data' }, 'createNode: dataFolder: expected an absolute path, got "data"'],
    [{ dataFolder: 5 }, 'createNode: dataFolder: expected an absolute path, got 5'],
  ]
  for (const [options, message] of cases) {
    const isRange = /got (0|8)$/.test(message)
    const error = await createNode(options as NodeOptions).catch((error: unknown) => error)
    t.ok(error instanceof (isRange ? RangeError : TypeError), message)
    t.equal((error as Error).message, message)
  }
  // @ts-expect-error the size is part of the policy
  t.ok((): NodeOptions => ({ partitionPolicy: { policy: 'static-quorum' } }))
  // @ts-expect-error there is no such policy yet
  t.ok((): NodeOptions => ({ partitionPolicy: 'keep-oldest' }))
})
