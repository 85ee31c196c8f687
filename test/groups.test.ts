/**
 * Groups of processes across the mesh: the cases of Erlang's pg come first, then the laws of the table and of the
 * overlay against naive ones, clusters with faults, limits, and bad bytes.
 */
import fc from 'fast-check'
import t from 'tap'
import { TroupeError } from '../lib/base/errors.js'
import { Pid as PidClass, parseNodeId } from '../lib/base/ids.js'
import { decodeGroups, encodeGroups } from '../lib/groups/groups-wire.js'
import { Line } from '../lib/groups/line.js'
import { type GroupMessage, Overlay } from '../lib/groups/overlay.js'
import { type Change, GroupTable } from '../lib/groups/table.js'
import {
  type ActorRef,
  createNode,
  defineActor,
  type GroupMeta,
  type GroupSignal,
  isSignal,
  type Node,
  type OwnGroups,
  type Pid,
  type Present,
  type Self,
} from '../lib/index.js'
import { createTestMesh, type TestMesh } from '../lib/testing.js'
import { encodeControl } from '../lib/wire/control.js'
import { checkGroups } from './sim/groups.js'
import { bareNode } from './support/bare-node.js'
import { puppet } from './support/puppet.js'

t.setTimeout(120_000)

/** A member of any cluster: it does what it is told, and keeps what it is told by groups. */
type Command =
  | { do: 'join'; group: string; times?: number; meta?: Record<string, string> }
  | { do: 'leave'; group: string }
  | { do: 'publish'; topic: string; message: unknown }

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
        case 'publish':
          return groups.publish(command.topic, command.message)
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
    const union = [old, pids.a, pids.b]
    await mesh.runUntil(() => same(mesh, 'tea', union), { limitMs: 20_000 })
    const seen = [a, b].map(node => node.groups().members('tea').map(String).sort())
    t.strictSame(seen, [union.map(String).sort(), union.map(String).sort()])
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

// ---- the table and the overlay, against naive ones ----

const pidOf = (node: string, serial: number): Pid => new PidClass(parseNodeId(node), 1, serial)
const NODES = ['a', 'b', 'c']
const GROUPS = ['tea', 'jam', '__proto__']
const idOf = (node: string) => parseNodeId(node)

/** One line for each occurrence, in any order. */
const lines = (group: string, present: readonly Present[]): string[] =>
  present.map(({ pid, meta }) => `${group} ${pid} ${JSON.stringify(meta)}`)
const contents = (table: GroupTable): string[] =>
  table.groups().flatMap(group => lines(group, table.present(group)))

/** Applies what the table says has changed to a bag of lines; false for a leave of what is not there. */
function apply(bag: string[], { event, group, present }: Change): boolean {
  for (const line of lines(group, present)) {
    if (event === 'join') bag.push(line)
    else if (!bag.includes(line)) return false
    else bag.splice(bag.indexOf(line), 1)
  }
  return present.length > 0
}

const someone = {
  node: fc.constantFrom(...NODES),
  group: fc.constantFrom(...GROUPS),
  serial: fc.integer({ min: 1, max: 3 }),
}
const metas = fc.constantFrom(undefined, { at: 'home' }, { at: 'work' })
const tableEvent = fc.oneof(
  fc.record({ do: fc.constant('join' as const), ...someone, meta: metas }),
  fc.record({ do: fc.constant('leave' as const), ...someone }),
  fc.record({ do: fc.constant('died' as const), serial: someone.serial }),
  fc.record({ do: fc.constant('drop' as const), node: someone.node }),
  fc.record({ do: fc.constant('copy' as const), node: someone.node }),
)

t.test('the table holds what a list would, and says every change of it and nothing else', async t => {
  const limits = { groupsMax: 100, groupMembersMax: 100 }
  const property = fc.property(fc.array(tableEvent, { maxLength: 60 }), events => {
    const table = new GroupTable(idOf('a'), limits)
    let naive: { node: string; group: string; pid: Pid; meta: GroupMeta | undefined }[] = []
    const bag: string[] = []
    for (const event of events) {
      let changes: readonly (Change | undefined)[] = []
      if (event.do === 'join') {
        const present = { pid: pidOf(event.node, event.serial), meta: event.meta }
        naive.push({ node: event.node, group: event.group, ...present })
        changes = [table.join(idOf(event.node), event.group, [present])]
      } else if (event.do === 'leave') {
        const pid = pidOf(event.node, event.serial)
        const at = naive.findLastIndex(one => one.group === event.group && `${one.pid}` === `${pid}`)
        if (at >= 0) naive.splice(at, 1)
        changes = [table.leave(idOf(event.node), event.group, [pid])]
      } else if (event.do === 'died') {
        const pid = pidOf('a', event.serial)
        naive = naive.filter(one => `${one.pid}` !== `${pid}`)
        changes = table.died(pid)
      } else if (event.do === 'drop') {
        naive = naive.filter(one => one.node !== event.node)
        changes = table.drop(idOf(event.node))
      } else {
        // What node `c` holds is replaced by what another holds.
        const from = naive
          .filter(one => one.node === event.node)
          .map(one => ({ ...one, node: 'c', pid: pidOf('c', one.pid.serial) }))
        const holdings = table
          .holdings(idOf(event.node))
          .map(
            ([group, present]) =>
              [group, present.map(({ pid, meta }) => ({ pid: pidOf('c', pid.serial), meta }))] as const,
          )
        naive = [...naive.filter(one => one.node !== 'c'), ...from]
        changes = table.replace(idOf('c'), holdings)
      }
      for (const change of changes) if (change !== undefined && !apply(bag, change)) return false
      const expected = naive.flatMap(({ group, pid, meta }) => lines(group, [{ pid, meta }])).sort()
      const lists = GROUPS.every(
        group =>
          table.members(group).join() ===
          table
            .present(group)
            .map(({ pid }) => pid)
            .join(),
      )
      if (`${contents(table).sort()}` !== `${expected}` || `${bag.sort()}` !== `${expected}` || !lists)
        return false
      if (table.size !== naive.length) return false
    }
    return true
  })
  t.doesNotThrow(() => fc.assert(property, { numRuns: 2_000, seed: 1 }))
})

/** Overlays on three nodes, joined by queues that the test delivers, cuts and robs. */
class Web {
  readonly nodes = new Map<string, Overlay>()
  readonly queues = new Map<string, GroupMessage[]>()
  readonly bags = new Map<string, string[]>()
  /** Parts of states that were delivered: which were the last ones. */
  readonly states: string[] = []
  wrong = false
  #run = 0

  constructor() {
    for (const node of NODES) this.open(node)
    for (const [a, b] of this.pairs()) this.connect(a, b)
  }

  pairs(): [string, string][] {
    return NODES.flatMap((a, i) => NODES.slice(i + 1).map((b): [string, string] => [a, b]))
  }

  open(node: string): void {
    this.#run += 1
    this.bags.set(node, [])
    const send = (to: readonly string[], messages: readonly GroupMessage[]): void => {
      for (const peer of to) this.queues.get(`${node} ${peer}`)?.push(...messages.map(written(node)))
    }
    const changed = (change: Change): void => {
      if (!apply(this.bags.get(node) as string[], change)) this.wrong = true
    }
    const limits = { groupsMax: 1_000, groupMembersMax: 1_000 }
    this.nodes.set(
      node,
      new Overlay({ self: idOf(node), run: this.#run, limits, effects: { send, changed, dirty: () => {} } }),
    )
    for (const peer of NODES)
      if (this.queues.has(`${node} ${peer}`)) this.nodes.get(node)?.peerUp(idOf(peer), 1)
  }

  close(node: string): void {
    this.nodes.get(node)?.close()
    this.nodes.delete(node)
  }

  connected(a: string, b: string): boolean {
    return this.queues.has(`${a} ${b}`)
  }

  connect(a: string, b: string): void {
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as const)
      this.queues.set(`${one} ${other}`, [])
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as const)
      this.nodes.get(one)?.peerUp(idOf(other), 1)
  }

  cut(a: string, b: string, down: boolean): void {
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as const) {
      this.queues.delete(`${one} ${other}`)
      this.nodes.get(one)?.peerDown(idOf(other))
      if (down) this.nodes.get(one)?.gone(idOf(other))
    }
  }

  /** The next message of `a` to `b`, or that message and those behind it. */
  deliver(a: string, b: string, count = 1): void {
    const queue = this.queues.get(`${a} ${b}`)
    for (const message of queue?.splice(0, count) ?? []) {
      if (message.type === 'state') this.states.push(`${a} ${message.last}`)
      this.nodes.get(b)?.receive(idOf(a), message)
    }
  }

  /** One increment that is under way to `b` is lost. */
  rob(a: string, b: string): void {
    const queue = this.queues.get(`${a} ${b}`)
    const at = queue?.findIndex(({ type }) => type === 'delta') ?? -1
    if (at >= 0) queue?.splice(at, 1)
  }

  rest(): void {
    for (const node of NODES) if (!this.nodes.has(node)) this.open(node)
    for (const [a, b] of this.pairs()) if (!this.connected(a, b)) this.connect(a, b)
    // The next increment shows that one is missing.
    for (const node of NODES) this.nodes.get(node)?.join('last', [{ pid: pidOf(node, 9), meta: undefined }])
    this.settle()
  }

  settle(): void {
    for (let busy = true; busy; ) {
      for (const overlay of this.nodes.values()) overlay.flush()
      busy = false
      for (const [a, b] of this.pairs()) {
        this.deliver(a, b, 100)
        this.deliver(b, a, 100)
      }
      for (const queue of this.queues.values()) busy ||= queue.length > 0
    }
  }
}

/** As bytes and back, with the pids of who sent it. */
const written =
  (node: string) =>
  (message: GroupMessage): GroupMessage => {
    const bytes = encodeGroups('default', message)
    return decodeGroups(bytes, 0, bytes.length, { pid: serial => pidOf(node, serial), metaBytesMax: 100 })
      .message
  }

const pair = fc.constantFrom<[string, string]>(
  ['a', 'b'],
  ['a', 'c'],
  ['b', 'c'],
  ['b', 'a'],
  ['c', 'a'],
  ['c', 'b'],
)
const webEvent = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('join' as const), ...someone, meta: metas }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('leave' as const), ...someone }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('died' as const), node: someone.node, serial: someone.serial }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('flush' as const), node: someone.node }) },
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant('deliver' as const),
      pair,
      count: fc.integer({ min: 1, max: 4 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('cut' as const), pair, down: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('connect' as const), pair }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('rob' as const), pair }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('close' as const), node: someone.node }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('open' as const), node: someone.node }) },
)

t.test(
  'whatever is cut, lost, closed and opened, at rest every node lists the same, as its notices told',
  async t => {
    const property = fc.property(fc.array(webEvent, { maxLength: 80 }), events => {
      const web = new Web()
      const own = new Map<string, string[]>(NODES.map(node => [node, []]))
      for (const event of events) {
        if (event.do === 'deliver') web.deliver(...event.pair, event.count)
        else if (event.do === 'rob') web.rob(...event.pair)
        else if (event.do === 'cut') web.cut(...event.pair, event.down)
        else if (event.do === 'connect') web.connected(...event.pair) || web.connect(...event.pair)
        else if (event.do === 'close') web.close(event.node)
        else if (event.do === 'open') web.nodes.has(event.node) || web.open(event.node)
        else {
          const overlay = web.nodes.get(event.node)
          if (event.do === 'flush') overlay?.flush()
          else if (event.do === 'died') overlay?.died(pidOf(event.node, event.serial))
          else if (event.do === 'leave') overlay?.leave(event.group, [pidOf(event.node, event.serial)])
          else overlay?.join(event.group, [{ pid: pidOf(event.node, event.serial), meta: event.meta }])
        }
      }
      web.rest()
      for (const [node, overlay] of web.nodes)
        own.set(
          node,
          overlay.table.holdings(idOf(node)).flatMap(([group, present]) => lines(group, present)),
        )
      const real = NODES.flatMap(node => own.get(node) ?? [])
        .sort()
        .join()
      const views = [...web.nodes.values()].map(overlay => contents(overlay.table).join())
      const told = [...web.bags.values()].every(bag => bag.sort().join() === real)
      return (
        !web.wrong &&
        told &&
        views.every(view => view === views[0]) &&
        contents((web.nodes.get('a') as Overlay).table)
          .sort()
          .join() === real
      )
    })
    t.doesNotThrow(() => fc.assert(property, { numRuns: 3_000, seed: 2 }))
  },
)

t.test('an increment that is lost makes the next one ask for the state', async t => {
  const web = new Web()
  web.rest()
  const [a, b] = [web.nodes.get('a') as Overlay, web.nodes.get('b') as Overlay]
  a.join('tea', [{ pid: pidOf('a', 1), meta: undefined }])
  a.flush()
  web.rob('a', 'b')
  t.strictSame([b.table.members('tea'), b.resyncs], [[], 0])
  a.join('tea', [{ pid: pidOf('a', 2), meta: undefined }])
  a.flush()
  web.deliver('a', 'b')
  t.strictSame([b.table.members('tea'), b.resyncs], [[], 1])
  web.deliver('b', 'a')
  web.deliver('a', 'b')
  t.strictSame(`${b.table.members('tea')}`, `${[pidOf('a', 1), pidOf('a', 2)]}`)
})

t.test('a state too large for one message comes in parts, and is taken over when it is whole', async t => {
  const web = new Web()
  web.rest()
  web.cut('a', 'b', true)
  const [a, b] = [web.nodes.get('a') as Overlay, web.nodes.get('b') as Overlay]
  for (let i = 1; i <= 90; i++) {
    a.join('tea', [{ pid: pidOf('a', i), meta: { text: 'x'.repeat(80) } }])
    a.join(`${'y'.repeat(200)} ${i}`, [{ pid: pidOf('a', i), meta: undefined }])
  }
  web.connect('a', 'b')
  web.states.length = 0
  web.settle()
  const parts = web.states.filter(part => part.startsWith('a'))
  t.strictSame(parts, ['a false', 'a true'], 'two parts, the last one marked')
  t.strictSame(contents(b.table).sort(), contents(a.table).sort())
})

// ---- clusters ----

t.test(
  'four clusters in which nodes join, die, part and return: at rest all list the same, and only the living',
  async t => {
    for (let seed = 71; seed <= 74; seed++) {
      const names = ['a', 'b', 'c', 'd']
      const mesh = await createTestMesh({ nodes: names, seed, actors: [member] })
      const random = mesh.simulation.random('groups')
      const pick = <T>(from: readonly T[]): T => from[random.below(from.length)] as T
      const use = (): void => {
        const node = pick(mesh.nodes)
        const mine = node.processes().map(({ pid }) => pid)
        const dice = random.below(10)
        if (dice < 3 || mine.length === 0) idle(node)
        else if (dice < 7) node.groups().join(pick(GROUPS), pick(mine), { meta: { at: pick(names) } })
        else if (dice < 9) node.groups().leave(pick(GROUPS), pick(mine))
        else node.exit(pick(mine), 'kill')
      }
      for (let i = 0; i < 14; i++) {
        for (let j = 0; j < 8; j++) {
          use()
          await mesh.advance(random.below(40))
        }
        const dice = random.below(5)
        const [one, other] = [pick(names), pick(names)]
        if (dice === 0 && one !== other) mesh.network.cut(one, other)
        else if (dice === 1 && one !== other) mesh.network.reset(one, other)
        else if (dice === 2)
          mesh.network.partition(
            [one],
            names.filter(name => name !== one),
          )
        else if (dice === 3) mesh.network.heal()
        else if (mesh.nodes.length === names.length) {
          mesh.kill(one)
          await mesh.advance(random.below(8_000))
        } else {
          for (const name of names)
            if (!mesh.nodes.some(node => node.name === name))
              await mesh.run(mesh.boot(name)).catch(() => mesh.kill(name))
        }
        await mesh.advance(random.below(6_000))
      }
      mesh.network.heal()
      await mesh.advance(20_000)
      for (const name of names)
        if (!mesh.nodes.some(node => node.name === name)) await mesh.run(mesh.boot(name))
      await mesh.advance(20_000)
      t.strictSame(checkGroups({ mesh }), [], `seed ${seed}`)
      t.ok(
        mesh.nodes.every(node => node.nodes().length === 3),
        `seed ${seed}: all are there`,
      )
      const sizes = mesh.nodes.map(node => node.stats().counters['groups.members'])
      t.ok((sizes[0] as number) > 0, `seed ${seed}: ${sizes} occurrences`)
      for (const node of mesh.nodes) for (const { pid } of node.processes()) node.exit(pid, 'kill')
      await mesh.advance(2_000)
      for (const { stats } of mesh.nodes.map(node => ({ stats: node.stats().counters })))
        t.strictSame([stats['groups.members'], stats['groups.groups'], stats['groups.monitors']], [0, 0, 0])
      await mesh.stop()
    }
  },
)

// ---- topics and presence ----

t.test(
  'publish sends to every occurrence, here and elsewhere, in the name and order of its sender, encoded once',
  async t => {
    const { mesh, a, b, refs } = await talkers(t, 21)
    for (const ref of refs)
      await mesh.run(ref.call('do', { do: 'join', group: 'tea', times: ref === refs[3] ? 2 : 1 }))
    await mesh.runUntil(() => a.groups().members('tea').length === 5, { limitMs: 1_000 })
    const framesOut = () => a.stats().counters['remote.messagesOut'] as number
    const before = framesOut()
    t.strictSame(await mesh.run(refs[0]!.call('do', { do: 'publish', topic: 'tea', message: 'hello' })), {
      ok: 5,
      busy: 0,
      full: 0,
    })
    t.equal(framesOut() - before, 3, 'counted by receiver')
    t.strictSame(a.groups().publish('nobody', 'hello'), { ok: 0, busy: 0, full: 0 })
    a.groups().publish('tea', Buffer.from('raw'))
    await mesh.advance(100)
    for (const [i, ref] of refs.entries()) {
      const got = await mesh.run(ref.call('got'))
      const times = i === 3 ? 2 : 1
      t.strictSame(
        got,
        [...Array(times).fill('hello'), ...Array(times).fill(Buffer.from('raw'))],
        `${ref.pid}`,
      )
    }
    t.throws(() => a.groups().publish('tea', () => {}), { code: 'ERR_PAYLOAD' })
    t.throws(() => a.groups().publish('tea', Buffer.alloc(17 * 1_048_576)), { code: 'ERR_TOO_LARGE' })
    t.strictSame((await mesh.run(refs[0]!.call('got'))).length, 2, 'and nobody was sent anything')
    mesh.network.cut('a', 'b')
    t.ok(b.groups().members('tea').length === 5)
    await mesh.advance(500)
    t.strictSame(a.groups().publish('tea', 'late'), { ok: 5, busy: 0, full: 0 }, 'as any send')
  },
)

t.test('presence: who is where, with metadata, on every node, until they leave or die', async t => {
  const { mesh, a, b, refs } = await talkers(t, 22)
  const [ada, , bob] = refs as [Talker, Talker, Talker]
  const seen: unknown[] = []
  const start = b.groups().monitor('lobby', notice => seen.push([notice.event, notice.present]))
  t.strictSame([start.members, start.present], [[], []])
  await mesh.run(ada.call('do', { do: 'join', group: 'lobby', meta: { user: 'ada', __proto__x: 'x' } }))
  await mesh.run(bob.call('do', { do: 'join', group: 'lobby', meta: { user: 'bob' } }))
  const adas = { pid: ada.pid, meta: { user: 'ada', __proto__x: 'x' } }
  const bobs = { pid: bob.pid, meta: { user: 'bob' } }
  await mesh.runUntil(() => seen.length === 2, { limitMs: 1_000 })
  for (const node of [a, b]) t.strictSame(node.groups().present('lobby'), [adas, bobs])
  const away = { pid: ada.pid, meta: { user: 'ada', status: 'away' } }
  a.groups().leave('lobby', ada.pid)
  a.groups().join('lobby', ada.pid, { meta: away.meta })
  a.exit(ada.pid, 'kill')
  await mesh.runUntil(() => seen.length === 5, { limitMs: 1_000 })
  t.strictSame(
    new Set(seen.slice(0, 2).map(one => JSON.stringify(one))),
    new Set(
      [
        ['join', [adas]],
        ['join', [bobs]],
      ].map(one => JSON.stringify(one)),
    ),
  )
  t.strictSame(
    seen.slice(2),
    [
      ['leave', [adas]],
      ['join', [away]],
      ['leave', [away]],
    ],
    'in order',
  )
  for (const node of [a, b]) t.strictSame(node.groups().present('lobby'), [bobs])
})

t.test('metadata is plain own data, whatever its keys are called', async t => {
  const { node } = await bareNode(t)
  const ada = puppet(node)
  const meta = JSON.parse('{"__proto__":"x","constructor":1}')
  node.groups().join('__proto__', ada.pid, { meta })
  const [present] = node.groups().present('__proto__')
  t.strictSame(Object.entries(present?.meta ?? {}), [
    ['__proto__', 'x'],
    ['constructor', 1],
  ])
  t.ok(Object.isFrozen(present?.meta))
  t.strictSame(node.groups().groups(), ['__proto__'])
  t.equal(({} as { polluted?: unknown }).polluted, undefined)
})

t.test('over TCP: members are seen, and a publish reaches them in order', async t => {
  const actors = [member]
  const a = await createNode({ name: 'a', listen: '127.0.0.1:0', actors, logger: false })
  t.teardown(() => a.stop())
  const b = await createNode({ name: 'b', seeds: [`127.0.0.1:${a.address?.port}`], actors, logger: false })
  t.teardown(() => b.stop())
  const all = new Promise<void>(resolve => {
    b.groups().monitor(
      'tea',
      ({ pids }) => pids.length > 0 && b.groups().members('tea').length === 2 && resolve(),
    )
  })
  const names = ['one', 'other']
  const refs = await Promise.all(names.map(name => a.spawn(member, undefined, { name })))
  for (const ref of refs) await ref.call('do', { do: 'join', group: 'tea' })
  await all
  const here = puppet(b)
  const got = await here.ask(self => {
    for (let i = 0; i < 3; i++) t.strictSame(self.groups().publish('tea', i), { ok: 2, busy: 0, full: 0 })
    // Behind the messages, because it is the same sender's.
    return Promise.all(names.map(name => self.named(name, member).call('got')))
  })
  t.strictSame(got, [
    [0, 1, 2],
    [0, 1, 2],
  ])
})

// ---- monitors ----

t.test('a monitor of a scope tells of all groups from the moment of its snapshot on, in order', async t => {
  const { node } = await bareNode(t)
  const [ada, bob] = [puppet(node), puppet(node)]
  node.groups().join('tea', bob.pid)
  const { ref, groups } = await ada.ask(self => self.groups().monitorScope())
  t.strictSame([...groups], [['tea', [{ pid: bob.pid, meta: undefined }]]])
  await bob.ask(self => self.groups().join('jam'))
  bob.end()
  const mail = (await ada.mail()) as GroupSignal[]
  t.strictSame(mail.map(told), [
    ['join', 'jam', [bob.pid]],
    ['leave', 'tea', [bob.pid]],
    ['leave', 'jam', [bob.pid]],
  ])
  t.ok(mail.every(signal => signal.ref === ref && isSignal(signal)))
})

t.test(
  'demonitor is true once, then false, and nothing arrives after it, not even what was told already',
  async t => {
    const { node } = await bareNode(t)
    const [ada, bob] = [puppet(node), puppet(node)]
    const seen: unknown[] = []
    const { ref } = node.groups().monitor('tea', notice => seen.push(notice.event))
    const result = await ada.ask(self => {
      const groups = self.groups()
      const mine = groups.monitor('tea')
      node.groups().join('tea', bob.pid)
      return [groups.demonitor(ref), groups.demonitor(mine.ref), groups.demonitor(mine.ref)]
    })
    t.strictSame(result, [false, true, false], "and nobody ends another's")
    t.strictSame(await ada.mail(), [])
    t.strictSame(seen, ['join'])
    node.groups().leave('tea', bob.pid)
    t.strictSame([node.groups().demonitor(ref), node.groups().demonitor(ref)], [true, false])
    await ada.mail()
    t.strictSame(seen, ['join'], 'the leave was on its way')
  },
)

t.test('a monitor ends with its process, and a listener that throws harms nobody', async t => {
  const lines: string[] = []
  const note = (line: string) => void lines.push(line)
  const { node } = await bareNode(t, { logger: { debug() {}, info() {}, warn() {}, error: note } })
  const [ada, bob] = [puppet(node), puppet(node)]
  await ada.ask(self => [self.groups().monitor('tea'), self.groups().monitorScope()])
  t.equal(node.stats().counters['groups.monitors'], 2)
  node.exit(ada.pid, 'kill')
  t.equal(node.stats().counters['groups.monitors'], 0)
  const seen: unknown[] = []
  node.groups().monitor('tea', () => {
    throw new Error('ouch')
  })
  node.groups().monitor('tea', async () => {
    throw new Error('later')
  })
  node.groups().monitor('tea', notice => seen.push(notice.event))
  node.groups().join('tea', bob.pid)
  await bob.mail()
  t.strictSame([seen, lines.length], [['join'], 2])
})

t.test(
  'a watcher whose mailbox is full is told that its monitor is lost, and so is one of a closed scope',
  async t => {
    const { node } = await bareNode(t, { limits: { mailboxMax: 3 } })
    const bob = puppet(node)
    const signals: string[] = []
    const ada = await node.spawn(
      defineActor('ada', {
        init: (_: undefined, ctx) => {
          ctx.groups('chat').monitor('tea')
          return {}
        },
        info: (_, signal) => {
          if (signal.type === 'group') signals.push(signal.event)
        },
      }),
    )
    for (let i = 0; i < 5; i++) node.groups('chat').join('tea', bob.pid)
    t.equal(node.stats().counters['groups.monitorsLost'], 1)
    await bob.mail()
    t.strictSame(signals, ['join', 'join', 'join', 'lost'])
    t.ok(node.isAlive(ada.pid))
    const seen: unknown[] = []
    node.groups('chat').monitorScope(notice => seen.push([notice.event, notice.group]))
    node.groups('chat').close()
    node.groups('chat').close()
    await bob.mail()
    t.strictSame(seen, [['lost', undefined]], 'its members left without a further notice')
    t.equal(node.stats().counters['groups.monitors'], 0)
  },
)

// ---- limits, misuse, bad bytes ----

t.test('every bound holds: scopes, groups, occurrences, metadata, monitors', async t => {
  const { node } = await bareNode(t, {
    limits: {
      groupScopesMax: 2,
      groupsMax: 2,
      groupMembersMax: 3,
      groupMetaBytesMax: 20,
      groupMonitorsMax: 1,
    },
  })
  const ada = puppet(node)
  const rooms = node.groups()
  rooms.join('a', ada.pid)
  rooms.join('b', ada.pid)
  t.throws(() => rooms.join('c', ada.pid), { code: 'ERR_BUSY', detail: { limit: 'groupsMax' } })
  t.throws(() => rooms.join('a', [ada.pid, ada.pid]), {
    code: 'ERR_BUSY',
    detail: { limit: 'groupMembersMax' },
  })
  t.strictSame(rooms.members('a'), [ada.pid], 'all or nobody')
  t.equal(node.stats().counters['groups.refused'], 2)
  rooms.join('a', ada.pid, { meta: { k: 'x'.repeat(12) } })
  t.throws(() => rooms.join('a', ada.pid, { meta: { k: 'x'.repeat(13) } }), {
    name: 'RangeError',
    message: 'join: meta: expected at most 20 bytes as JSON, got 21',
  })
  node.groups('second')
  t.throws(() => node.groups('third'), { code: 'ERR_BUSY', detail: { limit: 'groupScopesMax' } })
  rooms.monitor('a', () => {})
  t.throws(() => rooms.monitor('a', () => {}), { code: 'ERR_BUSY', detail: { limit: 'groupMonitorsMax' } })
  node.groups('second').close()
  t.strictSame(node.groups('third').groups(), [])
})

t.test('of a peer above the limits here only what fits is kept, and the rest is counted', async t => {
  const table = new GroupTable(idOf('a'), { groupsMax: 1, groupMembersMax: 2 })
  const present = [1, 2, 3].map(serial => ({ pid: pidOf('b', serial), meta: undefined }))
  t.strictSame(table.join(idOf('b'), 'tea', present)?.present.length, 2)
  t.strictSame([table.join(idOf('b'), 'jam', present), table.refused], [undefined, 4])
  t.strictSame(table.leave(idOf('b'), 'tea', [pidOf('b', 3)]), undefined, 'who was not kept does not leave')
  t.strictSame(table.replace(idOf('b'), [['tea', present]]), [])
  t.equal(table.refused, 5)
})

t.test('misuse is refused at the call, by name', async t => {
  const { node } = await bareNode(t)
  const ada = puppet(node)
  const rooms = node.groups()
  t.throws(() => node.groups(''), /groups: scope: expected a name of 1 to 255 bytes/)
  t.throws(() => rooms.join('', ada.pid), /join: group: expected a name/)
  t.throws(
    () => rooms.join('tea', 'ada' as never),
    /join: members: expected pids or refs of processes, got "ada"/,
  )
  t.throws(() => rooms.join('tea', ada.pid, { mata: {} } as never), /join: unknown option "mata"/)
  t.throws(
    () => rooms.join('tea', ada.pid, { meta: { at: {} } } as never),
    /meta: "at": expected a string, a finite number/,
  )
  t.throws(() => rooms.monitor('tea', 'x' as never), /monitor: listener: expected a function/)
  t.throws(() => rooms.demonitor('x' as never), /demonitor: ref: expected the ref of a monitor/)
  t.throws(() => rooms.join('tea', node.self), { code: 'ERR_NOPROC' })
  const ref = await node.spawn(member)
  rooms.join('tea', [ref, ada.pid])
  t.strictSame(rooms.members('tea'), [ref.pid, ada.pid])
  let kept: OwnGroups | undefined
  await ada.ask(self => {
    kept = self.groups()
  })
  node.exit(ada.pid, 'kill')
  t.throws(() => rooms.join('tea', ada.pid), { code: 'ERR_NOPROC' })
  t.strictSame(rooms.leave('tea', ada.pid), { ok: false, why: 'not_joined' })
  for (const use of [() => kept?.join('tea'), () => kept?.publish('tea', 1), () => kept?.monitor('tea')])
    t.throws(use, { code: 'ERR_DEAD' })
})

t.test('bytes that are not ours are ERR_FRAME, and nothing else', async t => {
  const reading = { pid: (serial: number) => pidOf('b', serial), metaBytesMax: 20 }
  const read = (value: unknown): unknown => {
    const bytes = encodeControl(value, 0)
    return decodeGroups(bytes, 0, bytes.length, reading)
  }
  const good = [4, 'default', 1, 2, [[1, 'tea', [7], ['{"at":"home"}']]]]
  t.match(read(good), {
    message: { type: 'delta', changes: [{ group: 'tea', present: [{ meta: { at: 'home' } }] }] },
  })
  const bad: unknown[] = [
    1,
    [],
    [9, 'default'],
    [1, 'default', -1, 0, true],
    [1, 'x'.repeat(256), 1, 0, true],
    [2, 'default'],
    [4, 'default', 1, 2, [[2, 'tea', [7], null]]],
    [4, 'default', 1, 2, [[1, 'tea', ['7'], null]]],
    [4, 'default', 1, 2, [[1, 'tea', [7], []]]],
    [4, 'default', 1, 2, [[1, 'tea', [7], ['{']]]],
    [4, 'default', 1, 2, [[1, 'tea', [7], ['[1]']]]],
    [4, 'default', 1, 2, [[1, 'tea', [7], ['{"at":{}}']]]],
    [4, 'default', 1, 2, [[1, 'tea', [7], ['{"at":"homehomehomehome"}']]]],
  ]
  for (const value of bad)
    t.throws(() => read(value), { code: 'ERR_FRAME' }, JSON.stringify(value).slice(0, 60))
  const bytes = encodeControl(good, 0)
  const property = fc.property(
    fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
    edits => {
      const mad = Buffer.from(bytes)
      for (const [at, byte] of edits) mad[at] = byte
      try {
        decodeGroups(mad, 0, mad.length, reading)
        return true
      } catch (error) {
        return TroupeError.is(error, 'ERR_FRAME')
      }
    },
  )
  t.doesNotThrow(() => fc.assert(property, { numRuns: 3_000, seed: 3 }))
})

t.test(
  'what waits for a slow peer is bounded: increments go, of the rest the latest stays, and then it is reminded',
  async t => {
    const sent: string[] = []
    let answer: 'ok' | 'busy' = 'busy'
    let drained = (): void => {}
    const session = {
      open: true,
      send: ({ tail }: { tail: Buffer }) => {
        sent.push(tail.toString())
        return answer
      },
      onDrained: (fn: () => void) => {
        drained = fn
      },
    }
    let reminded = 0
    const line = new Line(session as never, 3, () => {
      reminded += 1
    })
    const say = (text: string, topic?: string) => line.send([Buffer.from(text)], topic)
    say('first')
    for (const text of ['d1', 'd2', 'd3']) say(text)
    say('head 1', 'head')
    say('head 2', 'head')
    line.send([Buffer.from('state 1'), Buffer.from('state 2')], 'state')
    say('d4')
    t.strictSame([sent, line.dropped], [['first'], 4])
    say('d5')
    drained()
    t.strictSame([sent, reminded], [['first', 'head 2'], 0], 'busy again')
    answer = 'ok'
    drained()
    t.strictSame([sent.slice(2), reminded], [['state 1', 'state 2', 'd5'], 1])
    say('d6')
    t.equal(sent.at(-1), 'd6')
    t.equal(reminded, 1)
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

type Talker = ActorRef<typeof member>

/** Two members on each of two nodes. */
async function talkers(t: { teardown(fn: () => Promise<void>): unknown }, seed: number) {
  const world = await two(t, seed)
  const refs: Talker[] = []
  for (const node of [world.a, world.a, world.b, world.b]) refs.push(await world.mesh.run(node.spawn(member)))
  return { ...world, refs }
}
