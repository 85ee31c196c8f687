/**
 * Groups of processes across the mesh: the cases of Erlang's pg come first, then the laws of the table and of the
 * overlay against naive ones, clusters with faults, limits, and bad bytes.
 */
import t from 'tap'
import { defineActor, type GroupSignal, type Node, type Pid, type Self } from '../lib/index.js'
import { createTestMesh, type TestMesh } from '../lib/testing.js'
import { bareNode } from './support/bare-node.js'
import { puppet } from './support/puppet.js'

t.setTimeout(120_000)

/** A member of any cluster: it does what it is told, and keeps what it is told by groups. */
type Command =
  | { do: 'join'; group: string; times?: number; meta?: Record<string, string> }
  | { do: 'leave'; group: string }
  | { do: 'monitor'; group: string }
  | { do: 'publish'; topic: string; message: unknown }
  | { do: 'end' }

const member = defineActor('member', {
  init: () => ({ got: [] as unknown[] }),
  calls: {
    do: (_, command: Command, ctx) => {
      const groups = ctx.groups()
      switch (command.do) {
        case 'join':
          for (let i = 0; i < (command.times ?? 1); i++) groups.join(command.group, { meta: command.meta })
          return undefined
        case 'leave':
          return groups.leave(command.group)
        case 'monitor':
          return [...groups.monitor(command.group).members]
        case 'publish':
          return groups.publish(command.topic, command.message)
        default:
          return ctx.stop('normal')
      }
    },
    got: state => state.got,
  },
  info: (state, signal) => {
    if (signal.type === 'message') state.got.push(signal.message)
    if (signal.type === 'group') state.got.push([signal.event, signal.group, signal.pids])
  },
})

const told = ({ event, group, pids }: GroupSignal) => [event, group, pids]

// ---- the cases of pg ----

t.test('pg-001: a process that joins a group twice is listed twice, and after one leave once', async t => {
  const { node } = await bareNode(t)
  const ada = puppet(node)
  const rooms = node.groups()
  rooms.join('tea', ada.pid)
  rooms.join('tea', ada.pid)
  t.strictSame(rooms.members('tea'), [ada.pid, ada.pid])
  t.strictSame(rooms.leave('tea', ada.pid), { ok: true })
  t.strictSame(rooms.members('tea'), [ada.pid])
})

t.test('pg-002: leaving a group that one never joined is not_joined', async t => {
  const { node } = await bareNode(t)
  const ada = puppet(node)
  node.groups().join('tea', ada.pid)
  t.strictSame(node.groups().leave('coffee', ada.pid), { ok: false, why: 'not_joined' })
  t.strictSame(await ada.ask(self => self.groups().leave('coffee')), { ok: false, why: 'not_joined' })
})

t.test(
  'pg-003: a member that joined twice dies: no occurrence is left, the empty group is not listed',
  async t => {
    const { node } = await bareNode(t)
    const ada = puppet(node)
    node.groups().join('tea', [ada.pid, ada.pid])
    t.strictSame(node.groups().groups(), ['tea'])
    node.exit(ada.pid, 'kill')
    t.strictSame(node.groups().members('tea'), [])
    t.strictSame(node.groups().groups(), [])
  },
)

t.test('pg-004: a process of another node is refused: not a local process', async t => {
  const mesh = await createTestMesh({ nodes: 2, seed: 4 })
  const there = mesh.node('b').run(async self => void (await self.receive()))
  const here = mesh.node('a').run(async self => void (await self.receive()))
  t.throws(() => mesh.node('a').groups().join('tea', there), {
    name: 'TypeError',
    message: /expected processes of a, got <b\./,
  })
  t.throws(() => mesh.node('a').groups().join('tea', [here, there]), { name: 'TypeError' })
  t.strictSame(mesh.node('a').groups().members('tea'), [], 'and nobody joined')
  t.throws(() => mesh.node('a').groups().leave('tea', there), { name: 'TypeError' })
  await mesh.stop()
})

t.test(
  'pg-005: who joins on one of two connected nodes is seen on the other, and is none of its local members',
  async t => {
    const { mesh, a, b, pids } = await two(t, 5)
    a.groups().join('tea', pids.a)
    await mesh.runUntil(() => b.groups().members('tea').length === 1, { limitMs: 1_000 })
    t.strictSame(b.groups().members('tea'), [pids.a])
    t.strictSame(b.groups().localMembers('tea'), [])
    t.strictSame(a.groups().localMembers('tea'), [pids.a])
  },
)

t.test('pg-006: a monitor of a group is told join, join, leave, leave, with the pids', async t => {
  const { node } = await bareNode(t)
  const [ada, bob] = [puppet(node), puppet(node)]
  const watch = await ada.ask(self => self.groups().monitor('tea'))
  t.strictSame([watch.members, watch.present], [[], []])
  node.groups().join('tea', bob.pid)
  node.groups().join('tea', bob.pid)
  node.groups().leave('tea', bob.pid)
  node.exit(bob.pid, 'kill')
  const mail = (await ada.mail()) as GroupSignal[]
  t.strictSame(mail.map(told), [
    ['join', 'tea', [bob.pid]],
    ['join', 'tea', [bob.pid]],
    ['leave', 'tea', [bob.pid]],
    ['leave', 'tea', [bob.pid]],
  ])
  t.ok(mail.every(({ ref, type, scope }) => ref === watch.ref && type === 'group' && scope === 'default'))
})

t.test(
  'pg-007: two nodes split, both change groups, and reconnect: both see the union of the living',
  async t => {
    const { mesh, a, b, pids } = await two(t, 7)
    const [old, dead] = [idle(a), idle(b)]
    a.groups().join('tea', old)
    b.groups().join('tea', dead)
    await mesh.runUntil(() => same(mesh, 'tea', [old, dead]), { limitMs: 1_000 })
    mesh.network.cut('a', 'b')
    const alone = () =>
      a.groups().members('tea').join() === `${old}` && b.groups().members('tea').join() === `${dead}`
    await mesh.runUntil(alone, { limitMs: 20_000 })
    a.groups().join('tea', pids.a)
    b.groups().join('tea', pids.b)
    b.exit(dead, 'kill')
    mesh.network.heal()
    await mesh.runUntil(() => same(mesh, 'tea', [old, pids.a, pids.b]), { limitMs: 20_000 })
  },
)

t.test(
  'pg-008: a scope restarted on one node has lost its local members and relearns the remote ones',
  async t => {
    const { mesh, a, b, pids } = await two(t, 8)
    for (const node of [a, b]) node.groups('chat').join('tea', pids[node.name as 'a' | 'b'])
    const chat = a.groups('chat')
    await mesh.runUntil(
      () => chat.members('tea').length === 2 && b.groups('chat').members('tea').length === 2,
      { limitMs: 1_000 },
    )
    chat.close()
    t.strictSame([chat.members('tea'), chat.groups()], [[], []])
    t.throws(() => chat.join('tea', pids.a), { code: 'ERR_NOPROC' })
    await mesh.runUntil(() => b.groups('chat').members('tea').length === 1, { limitMs: 1_000 })
    t.strictSame(b.groups('chat').members('tea'), [pids.b], 'its members left for the others, too')
    t.ok(a.isAlive(pids.a), 'they live on')
    a.groups('chat')
    await mesh.runUntil(() => chat.members('tea').length === 1, { limitMs: 1_000 })
    t.strictSame([chat.members('tea'), b.groups('chat').members('tea')], [[pids.b], [pids.b]])
  },
)

// ---- worlds ----

const idle = (node: Node): Pid => node.run(async (self: Self) => void (await self.receive()))

async function two(t: { teardown(fn: () => Promise<void>): unknown }, seed: number) {
  const mesh = await createTestMesh({ nodes: 2, seed, actors: [member] })
  t.teardown(() => mesh.stop())
  const [a, b] = [mesh.node('a'), mesh.node('b')]
  await mesh.runUntil(() => a.nodes().length + b.nodes().length === 2, { limitMs: 5_000 })
  return { mesh, a, b, pids: { a: idle(a), b: idle(b) } }
}

/** All nodes list these, in that order. */
const same = (mesh: TestMesh, group: string, pids: readonly Pid[]): boolean =>
  mesh.nodes.every(node => node.groups().members(group).join() === pids.join())
