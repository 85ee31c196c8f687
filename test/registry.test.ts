/**
 * Registries: processes of one node by keys of any shape. The cases of Elixir's Registry come first; then what ours
 * adds, and what a registry is when it crashes, fills up or is used wrongly.
 */
import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { Ref } from '../lib/base/ids.js'
import {
  type ActorRef,
  child,
  createNode,
  defineActor,
  defineRegistry,
  type Pid,
  type Registry,
  type RegistryNotice,
  type Self,
  startSupervisor,
  type TroupeError,
  via,
} from '../lib/index.js'
import { SimRandom } from '../lib/sim/sim-random.js'
import { createTestMesh } from '../lib/testing.js'
import { bareNode } from './support/bare-node.js'
import { plain, puppet, reasonOf, refusal } from './support/puppet.js'

type World = Parameters<typeof bareNode>[0]

const room = defineActor('room', {
  init: (name: string) => ({ name }),
  calls: { name: state => state.name },
})

/** A node that runs the registry, and two processes to use it. */
async function opening<K, V, M extends object>(t: World, registry: Registry<K, V, M>, options = {}) {
  const { node, clock } = await bareNode(t, options)
  const running = await node.spawn(registry)
  return { node, clock, running, ada: puppet(node), bob: puppet(node) }
}

const unique = <V = number>() => defineRegistry<unknown, V>('things', { keys: 'unique' })
const duplicate = <V = number>() => defineRegistry<unknown, V>('things', { keys: 'duplicate' })

// ---- the cases of Elixir ----

t.test(
  'registry-001: a process registers a key twice: ok, then already_registered with its own pid',
  async t => {
    const things = unique()
    const { ada } = await opening(t, things)
    t.strictSame(await ada.ask(self => things.register(self, 'k', 1)), { ok: true })
    t.strictSame(await ada.ask(self => things.register(self, 'k', 2)), {
      ok: false,
      why: 'already_registered',
      pid: ada.pid,
    })
  },
)

t.test('registry-002: the holder of a key dies: another registers it right after the down, ok', async t => {
  const things = unique()
  const { node, ada, bob } = await opening(t, things)
  await ada.ask(self => things.register(self, 'k', 1))
  t.strictSame(await bob.ask(self => things.register(self, 'k', 2)), {
    ok: false,
    why: 'already_registered',
    pid: ada.pid,
  })
  await bob.ask(async self => {
    self.monitor(ada.pid)
    node.exit(ada.pid, 'kill')
    await self.receive()
    t.strictSame(things.register(self, 'k', 2), { ok: true })
  })
})

t.test(
  'registry-003: three entries of two processes under one key: lookup gives 3; unregister by one leaves only the other ones',
  async t => {
    const things = duplicate()
    const { node, ada, bob } = await opening(t, things)
    await ada.ask(self => things.register(self, 't', 1))
    await bob.ask(self => things.register(self, 't', 2))
    await ada.ask(self => things.register(self, 't', 3))
    t.strictSame(things.lookup(node, 't'), [
      { pid: ada.pid, value: 1 },
      { pid: bob.pid, value: 2 },
      { pid: ada.pid, value: 3 },
    ])
    await ada.ask(self => things.unregister(self, 't'))
    t.strictSame(things.lookup(node, 't'), [{ pid: bob.pid, value: 2 }])
  },
)

t.test(
  'registry-004: dispatch to a key with entries calls once with all of them; without, not at all',
  async t => {
    const things = duplicate()
    const { node, ada, bob } = await opening(t, things)
    await ada.ask(self => things.register(self, 't', 1))
    await bob.ask(self => things.register(self, 't', 2))
    const calls: unknown[] = []
    things.dispatch(node, 't', entries => calls.push(entries))
    things.dispatch(node, 'nothing', entries => calls.push(entries))
    t.strictSame(calls, [
      [
        { pid: ada.pid, value: 1 },
        { pid: bob.pid, value: 2 },
      ],
    ])
  },
)

t.test('registry-005: a server started under a via name that is taken: already_started', async t => {
  const rooms = defineRegistry<string>('rooms', { keys: 'unique' })
  const { node, ada } = await opening(t, rooms)
  const first = await node.spawn(room, 'lobby', { name: via(rooms, 'lobby') })
  const { code, detail } = await refusal(node.spawn(room, 'again', { name: via(rooms, 'lobby') }))
  t.strictSame(
    [code, detail],
    ['ERR_ALREADY_STARTED', { name: 'rooms["lobby"]', pid: first.pid }],
    'an actor',
  )
  await ada.ask(self => {
    t.throws(() => self.run(() => {}, { name: via(rooms, 'lobby') }), {
      code: 'ERR_ALREADY_STARTED',
      detail: { pid: first.pid },
    })
  })
  t.equal(await first.call('name'), 'lobby', 'the holder does not notice')
  t.strictSame(
    node.processes().map(info => info.definition),
    ['rooms', undefined, undefined, 'room'],
    'and nothing else was left',
  )
})

t.test('registry-006: a call to a via name that has no entry: noproc', async t => {
  const rooms = defineRegistry<string>('rooms', { keys: 'unique' })
  const { node, ada } = await opening(t, rooms)
  const lobby = node.named(via(rooms, 'lobby'), room)
  t.match(await refusal(lobby.call('name')), {
    code: 'ERR_NOPROC',
    message: 'nobody is named rooms["lobby"] to call "name" on',
  })
  t.match(await refusal(ada.ask(self => self.call(lobby, 'name'))), { code: 'ERR_NOPROC' }, 'of a process')
})

t.test(
  'registry-007: update_value of an own key with value 1 gives new 2 and old 1; of an unknown key (our error:) undefined',
  async t => {
    const things = unique()
    const { node, ada, bob } = await opening(t, things)
    await ada.ask(self => things.register(self, 'k', 1))
    t.strictSame(await ada.ask(self => things.updateValue(self, 'k', n => n + 1)), { value: 2, old: 1 })
    t.equal(await ada.ask(self => things.updateValue(self, 'unknown', n => n + 1)), undefined)
    t.strictSame(things.lookup(node, 'unknown'), [], 'which stays unknown')
    t.equal(await bob.ask(self => things.updateValue(self, 'k', n => n + 1)), undefined, 'not by another')
    t.strictSame(things.lookup(node, 'k'), [{ pid: ada.pid, value: 2 }])
  },
)

t.test('registry-008: a listener gets two notices, of register and unregister, in that order', async t => {
  const heard = defineRegistry<string, number>('things', { keys: 'unique', listeners: ['ear'] })
  const { node, ada } = await opening(t, heard)
  const ear = puppet(node, { name: 'ear' })
  await ada.ask(self => heard.register(self, 'k', 7))
  await ada.ask(self => heard.unregister(self, 'k'))
  t.strictSame(await ear.mail(), [
    { type: 'register', registry: 'things', key: 'k', pid: ada.pid, value: 7 },
    { type: 'unregister', registry: 'things', key: 'k', pid: ada.pid },
  ])
})

t.test(
  'registry-009: put_meta, meta, delete_meta, meta: ok, the value, ok, (our error:) undefined',
  async t => {
    const things = defineRegistry<string, number, { limit: number }>('things', { keys: 'unique' })
    const { node, ada } = await opening(t, things)
    t.equal(things.putMeta(node, 'limit', 10), undefined)
    t.equal(things.meta(node, 'limit'), 10)
    t.equal(await ada.ask(self => things.meta(self, 'limit')), 10, 'from a process')
    t.equal(things.deleteMeta(node, 'limit'), undefined)
    t.equal(things.meta(node, 'limit'), undefined)
  },
)

// ---- owners ----

t.test('an entry is gone before anybody is told of its owner’s death', async t => {
  const things = unique()
  const { node, ada, bob } = await opening(t, things)
  await ada.ask(self => things.register(self, 'k', 1))
  const seen = await bob.ask(async self => {
    self.trapExit(true)
    self.link(ada.pid)
    node.exit(ada.pid, 'boom')
    return [things.lookup(self, 'k'), things.count(self), plain(await self.receive())]
  })
  t.strictSame(seen, [[], 0, { exit: ada.pid, reason: 'boom' }])
})

t.test('only its owner can unregister an entry, and whoever does not own one has done nothing', async t => {
  const things = unique()
  const { node, ada, bob } = await opening(t, things)
  await ada.ask(self => things.register(self, 'k', 1))
  await bob.ask(self => things.unregister(self, 'k'))
  await bob.ask(self => things.unregisterMatch(self, 'k', () => true))
  t.strictSame(things.lookup(node, 'k'), [{ pid: ada.pid, value: 1 }])
  await ada.ask(self => things.unregister(self, 'nothing'))
  await ada.ask(self => things.unregister(self, 'k'))
  t.strictSame(things.lookup(node, 'k'), [])
})

t.test('keys and values are those of one process, in the order of registration', async t => {
  const things = duplicate()
  const { node, ada, bob } = await opening(t, things)
  await ada.ask(self => {
    things.register(self, 'a', 1)
    things.register(self, 'b', 2)
    things.register(self, 'a', 3)
  })
  await bob.ask(self => things.register(self, 'a', 4))
  t.strictSame(things.keys(node, ada.pid), ['a', 'b', 'a'])
  t.strictSame(things.values(node, 'a', ada.pid), [1, 3])
  t.strictSame(things.values(node, 'c', ada.pid), [])
  t.strictSame([things.keys(node, node.self), things.count(node)], [[], 4], 'one that is no process')
  node.exit(ada.pid, 'kill')
  t.strictSame([things.keys(node, ada.pid), things.count(node)], [[], 1], 'nor is a dead one')
})

t.test('of one process each registry knows its own entries, as long as they are registered', async t => {
  const things = duplicate()
  const others = defineRegistry<string, number>('others', { keys: 'unique' })
  const { node, ada } = await opening(t, things, { limits: { perProcessMax: 2 } })
  await node.spawn(others)
  await ada.ask(self => {
    things.register(self, 'a', 1)
    others.register(self, 'b', 2)
  })
  t.strictSame([things.keys(node, ada.pid), others.keys(node, ada.pid)], [['a'], ['b']])
  await ada.ask(self => {
    things.unregister(self, 'a')
    things.register(self, 'c', 3)
  })
  t.strictSame([things.keys(node, ada.pid), others.keys(node, ada.pid)], [['c'], ['b']], 'and makes room')
})

t.test('unregister finds the owner’s entries whether it owns more than the key has, or fewer', async t => {
  const things = duplicate()
  const { node, ada, bob } = await opening(t, things)
  await ada.ask(self => {
    for (const key of ['a', 'b', 'c']) things.register(self, key, 1)
    things.register(self, 'b', 2)
  })
  await bob.ask(self => things.register(self, 'b', 3))
  await bob.ask(self => things.unregister(self, 'b'))
  t.strictSame([things.values(node, 'b', ada.pid), things.values(node, 'b', bob.pid)], [[1, 2], []])
  await ada.ask(self => things.unregister(self, 'b'))
  t.strictSame(things.keys(node, ada.pid), ['a', 'c'])
})

t.test('match, countMatch and select look at values; unregisterMatch at the caller’s own', async t => {
  const things = duplicate()
  const { node, ada, bob } = await opening(t, things)
  for (const n of [1, 2, 3]) await ada.ask(self => things.register(self, 'n', n))
  await bob.ask(self => things.register(self, 'n', 4))
  const big = (n: number) => n > 2
  t.strictSame(things.match(node, 'n', big), [
    { pid: ada.pid, value: 3 },
    { pid: bob.pid, value: 4 },
  ])
  t.equal(
    things.countMatch(node, 'n', (n, pid) => big(n) && pid === bob.pid),
    1,
  )
  t.equal(things.countMatch(node, 'm', big), 0)
  await ada.ask(self => things.unregisterMatch(self, 'n', big))
  await ada.ask(self => things.register(self, 'm', 5))
  t.strictSame(
    things.select(node, ({ key, pid, value }) => (pid === ada.pid ? [key, value] : undefined)),
    [
      ['n', 1],
      ['n', 2],
      ['m', 5],
    ],
    'what pick returns, arrays and all',
  )
})

t.test('dispatch runs here and now, on what was there, and its exception is the caller’s', async t => {
  const things = duplicate<string>()
  const { node, ada } = await opening(t, things)
  await ada.ask(self => {
    things.register(self, 't', 'x')
    const length = things.dispatch(self, 't', entries => {
      things.register(self, 't', 'y')
      things.unregister(self, 't')
      return entries.length
    })
    t.equal(length, 1, 'and what it returned is returned')
  })
  await ada.ask(self => things.register(self, 't', 'z'))
  t.throws(
    () =>
      things.dispatch(node, 't', () => {
        throw new Error('mine')
      }),
    { message: 'mine' },
  )
})

t.test('a predicate that unregisters what it is asked about does so once', async t => {
  const heard = defineRegistry<string, number>('things', { keys: 'duplicate', listeners: ['ear'] })
  const { node, ada } = await opening(t, heard)
  const ear = puppet(node, { name: 'ear' })
  await ada.ask(self => {
    heard.register(self, 'k', 1)
    heard.unregisterMatch(self, 'k', () => heard.unregister(self, 'k') === undefined)
  })
  t.equal(heard.count(node), 0)
  t.equal((await ear.mail()).length, 2)
})

// ---- keys ----

t.test('keys are equal when they are alike', async t => {
  const things = unique<undefined>()
  const { node, ada } = await opening(t, things)
  const ref = await ada.ask(self => self.alias())
  const shared = { x: 1 }
  const alike: readonly (readonly [unknown, unknown])[] = [
    [
      { a: 1, b: [2, { c: undefined }] },
      { b: [2, { c: undefined }], a: 1 },
    ],
    [
      ['x', null, true, 5n],
      ['x', null, true, 5n],
    ],
    [Number.NaN, Number.NaN],
    [0, -0],
    [[0], [-0]],
    [{ at: ada.pid }, { at: ada.pid }],
    [ref, new Ref(ref.node, ref.creation, ref.counter)],
    [undefined, undefined],
    [
      [shared, shared],
      [{ x: 1 }, { x: 1 }],
    ],
    [Object.assign(Object.create(null), { z: 1 }), { z: 1 }],
  ]
  for (const [i, [one, other]] of alike.entries()) {
    t.strictSame(await ada.ask(self => things.register(self, one)), { ok: true }, `pair ${i}`)
    t.equal(things.lookup(node, other).length, 1, 'is found by its like')
    await ada.ask(self => things.unregister(self, other))
  }
  t.equal(things.count(node), 0)
})

t.test('keys that differ in anything are different', async t => {
  const things = unique<undefined>()
  const { node, ada } = await opening(t, things)
  const different = [
    1,
    '1',
    1n,
    [1],
    ['1'],
    [1n],
    [[1]],
    true,
    'true',
    null,
    'null',
    undefined,
    'undefined',
    '',
    [],
    {},
    [null],
    [undefined],
    ['null'],
    { a: undefined },
    { a: null },
    { a: 1 },
    { b: 1 },
    { a: 1, b: 1 },
    [{ a: 1 }],
    ['a', 1],
    '\0',
    '\0s\0',
    '\0[1]',
    '["a",1]',
    'a',
    ['a'],
    ['a', 'b'],
    ['a,b'],
    ['a","b'],
    ada.pid,
    String(ada.pid),
    [ada.pid],
    [String(ada.pid)],
    Number.NaN,
    'NaN',
    [Number.NaN],
    ['NaN'],
    { 'a:1,"b"': 1 },
  ]
  await ada.ask(self => {
    for (const key of different) {
      if (!things.register(self, key).ok) t.fail('taken for another', { key })
    }
  })
  t.strictSame(things.keys(node, ada.pid), different, 'all there, as they were given')
})

t.test('a key that its owner changes afterwards is what it was', async t => {
  const things = unique<undefined>()
  const { node, ada } = await opening(t, things)
  const key = { list: [1] }
  await ada.ask(self => things.register(self, key))
  key.list.push(2)
  t.strictSame(things.keys(node, ada.pid), [{ list: [1] }])
  t.equal(things.lookup(node, { list: [1] }).length, 1)
})

t.test('what is no key is refused, with what it is and where', async t => {
  const things = unique<undefined>()
  const { node } = await opening(t, things)
  const round: unknown[] = []
  round.push({ back: round })
  let deep: unknown = 1
  for (let i = 0; i < 70; i++) deep = [deep]
  const plainData = /^things.lookup: key: expected plain data/
  const bad: readonly (readonly [unknown, RegExp])[] = [
    [() => 1, /got a function$/],
    [Symbol('s'), /got a symbol "s"$/],
    [new Map(), /got a Map$/],
    [new Date(5), /got a Date$/],
    [{ a: [1, new Error('x')] }, /got "Error: x" at \.a\[1\]$/],
    [[() => 1], /got a function at \[0\]$/],
    [round, /got a cycle at \[0\]\.back$/],
    [{ [Symbol('hidden')]: 1 }, /got an object/],
  ]
  for (const [key, got] of bad) {
    t.throws(() => things.lookup(node, key), { name: 'TypeError', message: plainData })
    t.throws(() => things.lookup(node, key), { message: got })
  }
  const long = { name: 'RangeError', message: /expected at most 4096 characters/ }
  t.throws(() => things.lookup(node, 'x'.repeat(4_097)), long)
  t.throws(() => things.lookup(node, ['x'.repeat(4_000), 'y'.repeat(200)]), long)
  t.throws(() => things.lookup(node, new Array(1_000_000).fill(1)), long)
  t.throws(() => things.lookup(node, deep), { name: 'RangeError', message: /at most 64 levels/ })
  t.strictSame(things.lookup(node, 'x'.repeat(4_096)), [], 'the longest')
})

// ---- via ----

t.test('a via name stands wherever a name does: send, whereis, named, monitor, timers', async t => {
  const rooms = defineRegistry<string, number>('rooms', { keys: 'unique' })
  const { node, clock, ada } = await opening(t, rooms)
  const letters: unknown[] = []
  const name = via(rooms, 'lobby', 3)
  const address = via(rooms, 'lobby')
  const owner = node.run(
    async self => {
      for (;;) letters.push(await self.receive())
    },
    { name },
  )
  t.strictSame(rooms.lookup(node, 'lobby'), [{ pid: owner, value: 3 }], 'with its value, before it begins')
  t.equal(node.whereis(address)?.pid, owner)
  t.equal(node.named(address).pid, owner)
  t.equal(node.send(address, 'hello'), 'ok')
  await ada.ask(self => {
    self.send(address, 'from ada')
    self.sendAfter(10, address, 'later')
    t.equal(self.whereis(address)?.pid, owner)
  })
  clock.advance(10)
  await ada.ask(self => self.monitor(address))
  node.exit(owner, 'gone')
  t.strictSame(letters, ['hello', 'from ada', 'later'])
  const down = plain(await ada.next()) as Record<string, unknown>
  t.match(down, { pid: owner, reason: 'gone', target: { name: 'rooms["lobby"]', node: 'a' } })
  t.equal(node.whereis(address), undefined)
  t.strictSame(`${node.named(address, room)} ${name}`, 'room rooms["lobby"] rooms["lobby"]')
  await ada.ask(self => self.monitor(address))
  t.match(plain(await ada.next()), { pid: undefined, reason: 'noproc', target: { name: 'rooms["lobby"]' } })
})

t.test('lists and crash reports call a process by the via name it was started under', async t => {
  const rooms = defineRegistry<string>('rooms', { keys: 'duplicate' })
  const halls = defineRegistry<string>('halls', { keys: 'unique' })
  const { node, ada } = await opening(t, rooms)
  await node.spawn(halls)
  const crash = new Promise(resolve => node.on('crash', resolve))
  const named = node.run(
    async self => {
      rooms.register(self, 'not a name')
      await self.receive()
      throw new Error('boom')
    },
    { name: via(halls, 'big') },
  )
  await ada.ask(self => self.monitor(named))
  t.strictSame(node.processes().at(-1)?.names, ['halls["big"]'])
  node.send(named, 'go')
  t.match(await crash, { pid: named, name: 'halls["big"]' })
})

t.test('sending to a via name that nobody has throws, as to an unknown name', async t => {
  const rooms = defineRegistry<string>('rooms', { keys: 'unique' })
  const { node, ada } = await opening(t, rooms)
  const wanted = { code: 'ERR_NAME', message: 'send: nobody is named rooms["lobby"]' }
  t.throws(() => node.send(via(rooms, 'lobby'), 1), wanted)
  await ada.ask(self => void t.throws(() => self.send(via(rooms, 'lobby'), 1), wanted))
  t.equal(node.named(via(rooms, 'lobby')).send(1), 'ok', 'a ref loses it, as a ref to a name does')
  t.equal(node.stats().counters['process.deadLetters'], 1, 'and that is counted')
})

t.test('a start that fails leaves the via name free, and says so before its starter is told', async t => {
  const rooms = defineRegistry<string>('rooms', { keys: 'unique', listeners: ['ear'] })
  const { node } = await opening(t, rooms)
  const ear = puppet(node, { name: 'ear' })
  const failing = defineActor('failing', { init: (_: void, ctx) => ctx.stop('no') })
  const { code, detail } = await refusal(node.spawn(failing, undefined, { name: via(rooms, 'x') }))
  t.strictSame([code, detail['reason']], ['ERR_START', 'no'])
  t.equal(rooms.count(node), 0)
  t.strictSame(
    (await ear.mail()).map(notice => (notice as RegistryNotice).type),
    ['register', 'unregister'],
  )
})

t.test('a node that is full of processes starts none under a via name either', async t => {
  const rooms = defineRegistry<string>('rooms', { keys: 'unique' })
  const { node } = await bareNode(t, { limits: { processesMax: 1 } })
  await node.spawn(rooms)
  await t.rejects(node.spawn(room, 'x', { name: via(rooms, 'x') }), { code: 'ERR_BUSY' })
  t.equal(rooms.count(node), 0, 'and the name is free')
})

t.test('a supervised child has its via name again after each of 30 kills', async t => {
  const rooms = defineRegistry<string, number>('rooms', { keys: 'unique' })
  const { node } = await bareNode(t)
  const name = via(rooms, 'lobby', 1)
  const tree = await startSupervisor(node, {
    intensity: { restarts: 30, withinMs: 1_000 },
    children: [child(rooms), child(room, { args: 'lobby', name })],
  })
  const seen = new Set<Pid>()
  for (let i = 0; i < 30; i++) {
    const { pid } = node.whereis(name, room) as ActorRef<typeof room>
    seen.add(pid)
    node.exit(pid, 'kill')
    await tree.countChildren()
    t.equal(await node.named(name, room).call('name'), 'lobby')
  }
  t.strictSame([seen.size, rooms.count(node)], [30, 1])
})

t.test(
  'a via name is of its own node: what places a process elsewhere, or names it there, is refused',
  async t => {
    const rooms = defineRegistry<string>('rooms', { keys: 'unique' })
    const { node } = await opening(t, rooms)
    const name = via(rooms, 'x')
    const refused = (option: string, got: string) => ({
      name: 'TypeError',
      message: `spawn: ${option}: expected none with rooms["x"], a name of this node, got ${got}`,
    })
    await t.rejects(node.spawn(room, 'x', { name, on: 'ring' }), refused('on', '"ring"'))
    await t.rejects(node.spawn(room, 'x', { name, scope: 'cluster' }), refused('scope', '"cluster"'))
    await t.rejects(node.spawn(room, 'x', { name, restart: 'permanent' }), refused('restart', '"permanent"'))
    await t.rejects(
      node.spawn(room, 'x', { name: 5 as never }),
      /name: expected a string or what via returned/,
    )
    await node.spawn(room, 'x', { name, on: 'local', scope: 'node', restart: 'temporary' })
    t.equal(rooms.count(node), 1, 'what says nothing else is fine')
  },
)

t.test('a ref by via name may not be sent to another node', async t => {
  const rooms = defineRegistry<string>('rooms', { keys: 'unique' })
  const { node, ada } = await opening(t, rooms, { serializeLocal: true })
  t.throws(() => node.send(ada.pid, { to: node.named(via(rooms, 'x'), room) }), { code: 'ERR_PAYLOAD' })
})

// ---- listeners ----

t.test(
  'a listener hears of a death, with its reason, ahead of the down; each listener hears all',
  async t => {
    const heard = defineRegistry<string, number>('things', {
      keys: 'duplicate',
      listeners: ['ear', 'eye', 'ear'],
    })
    const { node, ada } = await opening(t, heard)
    const ear = puppet(node, { name: 'ear' })
    const eye = puppet(node, { name: 'eye' })
    const ref = await ear.ask(self => self.monitor(ada.pid))
    await ada.ask(self => {
      heard.register(self, 'k', 1)
      heard.register(self, 'l', 2)
    })
    node.exit(ada.pid, { burnt: 'toast' })
    const of = (key: string) => ({ registry: 'things', key, pid: ada.pid })
    const notices = [
      { type: 'register', ...of('k'), value: 1 },
      { type: 'register', ...of('l'), value: 2 },
      { type: 'unregister', ...of('k'), reason: { burnt: 'toast' } },
      { type: 'unregister', ...of('l'), reason: { burnt: 'toast' } },
    ]
    t.strictSame((await ear.mail()).map(plain), [
      ...notices,
      { down: ref, pid: ada.pid, reason: { burnt: 'toast' }, target: undefined, tag: undefined },
    ])
    t.strictSame(await eye.mail(), notices)
  },
)

t.test('a listener that is not there, or cannot be told, costs nobody a registration', async t => {
  const heard = defineRegistry<string, () => void>('things', { keys: 'unique', listeners: ['ear'] })
  const { node } = await opening(t, heard, { serializeLocal: true })
  const registered = () =>
    new Promise(resolve => {
      node.run(self => {
        const result = heard.register(self, 'k', () => {})
        heard.unregister(self, 'k')
        resolve(result)
      })
    })
  const lost = () => node.stats().counters['process.deadLetters']
  t.strictSame([await registered(), lost()], [{ ok: true }, 2], 'not there: both its notices are counted')
  const told = new Promise(resolve => {
    node.run(async self => resolve(await self.receive()), { name: 'ear' })
  })
  t.strictSame(
    [await registered(), lost()],
    [{ ok: true }, 3],
    'a function may not cross, and mail is forced to',
  )
  t.match(await told, { type: 'unregister', key: 'k' }, 'what can be told is')
})

// ---- the registry itself ----

t.test(
  'a crash of the registry ends no owner, and its restart finds the entries of those that live',
  async t => {
    const things = defineRegistry<string, number>('things', { keys: 'unique' })
    const { node, ada, bob } = await opening(t, things)
    await ada.ask(self => things.register(self, 'a', 1))
    await bob.ask(self => things.register(self, 'b', 2))
    things.putMeta(node, 'limit', 5)
    const first = node.processes().find(info => info.definition === 'things')?.pid as Pid
    await reasonOf(node, first, () => node.exit(first, 'kill'))

    const down = {
      code: 'ERR_NOPROC',
      message: 'the registry "things" does not run on the node a',
      detail: { registry: 'things', node: 'a' },
    }
    t.ok(node.isAlive(ada.pid) && node.isAlive(bob.pid), 'nobody else died')
    t.throws(() => things.lookup(node, 'a'), down, 'it does not answer')
    t.throws(() => things.meta(node, 'limit'), down)
    await ada.ask(self => void t.throws(() => things.register(self, 'c', 3), down))
    t.equal(node.whereis(via(things, 'a')), undefined, 'and nobody is found by it')
    await t.rejects(node.spawn(room, 'x', { name: via(things, 'x', 1) }), down)

    node.exit(bob.pid, 'kill')
    await node.spawn(things)
    t.strictSame(
      things.select(node, entry => entry),
      [{ key: 'a', pid: ada.pid, value: 1 }],
      'the living',
    )
    t.equal(things.meta(node, 'limit'), 5)
    t.strictSame(await ada.ask(self => things.register(self, 'b', 4)), { ok: true })
  },
)

t.test('a supervisor restarts a registry, and its owners go on', async t => {
  const things = defineRegistry<string, number>('things', { keys: 'unique' })
  const { node } = await bareNode(t)
  const tree = await startSupervisor(node, { children: [child(things)] })
  const ada = puppet(node)
  await ada.ask(self => things.register(self, 'a', 1))
  const [info] = await tree.whichChildren()
  node.exit(info?.pid as Pid, 'kill')
  await tree.countChildren()
  t.strictSame(things.lookup(node, 'a'), [{ pid: ada.pid, value: 1 }])
})

t.test('a clean end of the registry drops what it held', async t => {
  const things = unique()
  const { node, running, ada } = await opening(t, things)
  await ada.ask(self => things.register(self, 'a', 1))
  things.putMeta(node, 'limit', 5)
  await running.stop('shutdown')
  t.throws(() => things.count(node), { code: 'ERR_NOPROC' })
  t.equal(node.stats().counters['registry.entries'], 0)
  await node.spawn(things)
  t.strictSame([things.count(node), things.meta(node, 'limit')], [0, undefined])
  t.strictSame(await ada.ask(self => things.register(self, 'a', 1)), { ok: true })
})

t.test('a registry runs once on a node, and each node has its own', async t => {
  const things = unique()
  const { node, running, ada } = await opening(t, things)
  const { code, detail } = await refusal(node.spawn(things))
  t.strictSame(
    [code, (detail['reason'] as TroupeError).code, (detail['reason'] as TroupeError).detail],
    ['ERR_START', 'ERR_ALREADY_STARTED', { pid: running.pid }],
  )
  await ada.ask(self => things.register(self, 'k', 1))
  t.equal(things.count(node), 1, 'the one that runs is unharmed')

  const other = await createNode({ name: 'b', logger: false })
  t.teardown(() => other.stop({ drainMs: 0 }))
  t.throws(() => things.count(other), { code: 'ERR_NOPROC' })
  await other.spawn(things)
  t.equal(things.count(other), 0)
})

t.test('a registry that is full refuses and counts it; what leaves makes room', async t => {
  const things = duplicate()
  const { node, ada, bob } = await opening(t, things, { limits: { registryEntriesMax: 2 } })
  await ada.ask(self => things.register(self, 'k', 1))
  things.putMeta(node, 'm', 1)
  things.putMeta(node, 'm', 2)
  const full = { code: 'ERR_BUSY', detail: { limit: 'registryEntriesMax' } }
  await bob.ask(self => void t.throws(() => things.register(self, 'k', 2), full))
  t.throws(() => things.putMeta(node, 'n', 1), full)
  t.match(node.stats().counters, { 'registry.entries': 1, 'registry.refused': 2 })
  node.exit(ada.pid, 'kill')
  t.strictSame(await bob.ask(self => things.register(self, 'k', 2)), { ok: true })
})

t.test('one process may own as many entries as it may hold names', async t => {
  const things = duplicate()
  const { ada } = await opening(t, things, { limits: { perProcessMax: 2 } })
  await ada.ask(self => {
    things.register(self, 'k', 1)
    things.register(self, 'k', 2)
    t.throws(() => things.register(self, 'k', 3), { name: 'RangeError', message: /holds 2 belongings/ })
    t.equal(things.count(self), 2)
  })
})

t.test('a zombie registers nothing', async t => {
  const things = unique()
  const { node } = await opening(t, things)
  const late = await new Promise(resolve => {
    node.run(self => {
      node.exit(self.self, 'kill')
      try {
        resolve(things.register(self, 'k', 1))
      } catch (error) {
        resolve(error)
      }
    })
  })
  t.match(late, { code: 'ERR_DEAD' })
  t.equal(things.count(node), 0)
})

t.test('what is used wrongly is refused by name', async t => {
  const things = duplicate()
  const { node, ada } = await opening(t, things)
  const define = defineRegistry as (name: unknown, options?: unknown) => unknown
  t.throws(() => define('x'), /defineRegistry\("x"\): options: expected an object, got undefined/)
  t.throws(() => define('x', {}), /keys: expected 'unique', 'duplicate', got undefined/)
  t.throws(() => define('x', { keys: 'some' }), /keys: expected 'unique', 'duplicate', got "some"/)
  t.throws(() => define('x', { keys: 'unique', listner: [] }), /unknown option "listner"/)
  t.throws(() => define('x', { keys: 'unique', listeners: [1] }), /whose every item is a string/)
  t.throws(() => define('x', { keys: 'unique', listeners: [''] }), /listeners: expected a name/)
  const many = Array.from({ length: 17 }, (_, i) => `l${i}`)
  t.throws(() => define('x', { keys: 'unique', listeners: many }), RangeError)
  t.throws(() => define('no name', { keys: 'unique' }), /defineActor: name/)
  t.throws(() => things.register(node as never, 'k', 1), {
    name: 'TypeError',
    message: /^things.register: owner: expected the context of a process, got/,
  })
  t.throws(() => things.lookup(5 as never, 'k'), /things: where: expected an object, got 5/)
  t.throws(() => things.keys(node, 'pid' as never), /things.keys: pid: expected a pid, got "pid"/)
  t.throws(() => things.match(node, 'k', 5 as never), /things.match: fits: expected a function, got 5/)
  t.throws(() => things.putMeta(node, '', 1), /things.putMeta: name: expected a name/)
  t.throws(
    () => via(things, 'k', 1),
    /via: registry: expected what defineRegistry returned, with unique keys/,
  )
  t.throws(() => via(room as never, 'k'), /via: registry/)
  await ada.ask(self => {
    t.throws(
      () => things.updateValue(self, 'k', n => n),
      /updateValue: registry: expected one with unique keys/,
    )
  })
})

t.test('what is thrown by an update changes nothing', async t => {
  const things = unique()
  const { ada } = await opening(t, things)
  await ada.ask(self => {
    things.register(self, 'k', 1)
    t.throws(
      () =>
        things.updateValue(self, 'k', () => {
          throw new Error('mine')
        }),
      { message: 'mine' },
    )
    t.strictSame(things.lookup(self, 'k'), [{ pid: self.self, value: 1 }])
  })
})

// ---- histories ----

/** What a registry is, in as few words as possible. */
class Model {
  list: { key: string; pid: Pid; value: number }[] = []
  notices: unknown[] = []
  open = true
  readonly #unique: boolean

  constructor(unique: boolean) {
    this.#unique = unique
  }

  register(pid: Pid, key: string, value: number): unknown {
    const held = this.#unique ? this.list.find(entry => entry.key === key) : undefined
    if (held !== undefined) return { ok: false, why: 'already_registered', pid: held.pid }
    this.list.push({ key, pid, value })
    this.notices.push({ type: 'register', registry: 'things', key, pid, value })
    return { ok: true }
  }

  remove(fits: (entry: { key: string; pid: Pid }) => boolean, death?: { reason: unknown }): void {
    for (const { key, pid } of this.list.filter(fits)) {
      this.notices.push({ type: 'unregister', registry: 'things', key, pid, ...death })
    }
    this.list = this.list.filter(entry => !fits(entry))
  }
}

function codeOf(fn: () => unknown): unknown {
  try {
    return fn()
  } catch (error) {
    return (error as TroupeError).code
  }
}

t.test('whatever happens in 300 histories, a registry is the list of what the living registered', async t => {
  const { node } = await bareNode(t)
  const ear = puppet(node, { name: 'ear' })
  const live = async (): Promise<Self> =>
    new Promise(resolve => {
      node.run(async self => {
        resolve(self)
        await self.receive(() => false)
      })
    })
  for (let seed = 1; seed <= 300; seed++) {
    const random = new SimRandom(seed)
    const keys = random.chance(0.5) ? 'unique' : 'duplicate'
    const things = defineRegistry<string, number>('things', { keys, listeners: ['ear'] })
    const model = new Model(keys === 'unique')
    let { pid: registry } = await node.spawn(things)
    const owners = [await live(), await live(), await live()]
    const history: string[] = []
    for (let step = 0; step < 40; step++) {
      const at = random.below(owners.length)
      const self = owners[at] as Self
      const key = `k${random.below(3)}`
      const act = random.below(20)
      history.push(`${act} ${at} ${key}`)
      if (act === 0) {
        if (model.open) node.exit(registry, 'kill')
        else registry = (await node.spawn(things)).pid
        model.open = !model.open
      } else if (act <= 2) {
        node.exit(self.self, 'kill')
        model.remove(({ pid }) => pid === self.self, { reason: 'killed' })
        owners[at] = await live()
      } else if (!model.open) {
        if (codeOf(() => things.register(self, key, step)) !== 'ERR_NOPROC')
          t.fail('not refused', { seed, history })
      } else if (act <= 13) {
        const got = things.register(self, key, step)
        const wanted = model.register(self.self, key, step)
        if (!isDeepStrictEqual(got, wanted)) t.fail('another answer', { seed, history, got, wanted })
      } else {
        things.unregister(self, key)
        model.remove(entry => entry.pid === self.self && entry.key === key)
      }
    }
    if (!model.open) registry = (await node.spawn(things)).pid
    for (const key of ['k0', 'k1', 'k2']) {
      const of = (pid?: Pid) =>
        model.list.filter(entry => entry.key === key && (pid === undefined || entry.pid === pid))
      const wanted = of().map(({ pid, value }) => ({ pid, value }))
      const got = things.lookup(node, key)
      if (!isDeepStrictEqual(got, wanted)) t.fail('another list', { seed, history, got, wanted })
      for (const { self } of owners) {
        const values = of(self).map(({ value }) => value)
        if (!isDeepStrictEqual(things.values(node, key, self), values))
          t.fail('other values', { seed, history })
      }
    }
    const heard = await ear.mail()
    if (!isDeepStrictEqual(heard, model.notices)) t.fail('other notices', { seed, history })
    node.exit(registry, 'shutdown')
    if (node.stats().counters['registry.entries'] !== 0) return t.fail('something is left', { seed, history })
    for (const { self } of owners) node.exit(self, 'kill')
  }
  t.pass('300 histories of 40 steps')
})

t.test('a registry runs where it is spawned; its addresses mean nothing elsewhere', async t => {
  const rooms = defineRegistry<string>('rooms', { keys: 'unique' })
  const mesh = await createTestMesh({ nodes: 2, seed: 7, actors: [rooms] })
  t.teardown(() => mesh.stop())
  const [a, b] = [mesh.node('a'), mesh.node('b')]
  await mesh.run(a.spawn(rooms, undefined, { on: 'b' }))
  t.throws(() => rooms.count(a), { code: 'ERR_NOPROC', detail: { node: 'a' } })
  const holder = b.run(self => self.receive(), { name: via(rooms, 'lobby') })
  t.strictSame(rooms.lookup(b, 'lobby'), [{ pid: holder, value: undefined }])
  t.equal(b.whereis(via(rooms, 'lobby'))?.pid, holder)
  t.throws(() => a.send(via(rooms, 'lobby'), 1), { code: 'ERR_NAME' })
  t.throws(() => b.send(a.self, b.named(via(rooms, 'lobby'))), {
    code: 'ERR_PAYLOAD',
    message: /a NamedRef may not cross/,
  })
})
