/**
 * Procedures of other nodes, monitors of nodes, and single connections: on simulated clusters, whose time moves only
 * when told, and once over real sockets.
 */
import t from 'tap'
import type { Node, Self } from '../lib/actor/api.js'
import {
  createNode,
  defineProcedure,
  isRemoteError,
  type NodeOptions,
  type Pid,
  type RemoteError,
  TroupeError,
} from '../lib/index.js'
import { createTestMesh, Simulation, type TestMesh } from '../lib/testing.js'

t.setTimeout(120_000)

const three = defineProcedure('three', () => 3)
const double = defineProcedure('double', async (n: number) => 2 * n)
const whoAmI = defineProcedure('who-am-i', (_: void, self) => ({ pid: self.self, node: self.node.name }))
const fails = defineProcedure('fails', (what: string) => {
  throw new RangeError(what)
})
const throws = defineProcedure('throws', (what: unknown) => {
  throw what
})
const exits = defineProcedure('exits', (reason: unknown, self) => self.exit(reason))
/** Sends who it is to `to`, waits, and sends how that came out. */
const waits = defineProcedure('waits', async ({ to, ms }: { to: Pid; ms: number }, self) => {
  self.send(to, self.self)
  await self.receive(() => false, { timeoutMs: ms }).catch(() => {})
  self.send(to, 'done')
  return 'late'
})
const code = defineProcedure('code', () => () => 'functions cannot cross')
const echo = defineProcedure('echo', (value: Buffer) => value)
const PROCEDURES = [echo, three, double, whoAmI, fails, throws, exits, waits, code]

interface Subtest {
  teardown(fn: () => Promise<void>): unknown
}

async function cluster(t: Subtest, nodes: number, options: Partial<NodeOptions> = {}): Promise<TestMesh> {
  const mesh = await createTestMesh({ nodes, seed: 7, options: { procedures: PROCEDURES, ...options } })
  t.teardown(() => mesh.stop())
  return mesh
}

/** A process that keeps what it is told. */
function keeper(node: Node, begin: (self: Self) => void = () => {}): { pid: Pid; told: unknown[] } {
  const told: unknown[] = []
  const pid = node.run(async self => {
    begin(self)
    for (;;) told.push(await self.receive())
  })
  return { pid, told }
}

/** What a call rejects with. */
async function failure(promise: Promise<unknown>): Promise<TroupeError> {
  try {
    await promise
  } catch (error) {
    if (TroupeError.is(error)) return error
    throw error
  }
  throw new Error('it did not fail')
}

async function remoteFailure(promise: Promise<unknown>): Promise<RemoteError> {
  const error = await failure(promise)
  if (!isRemoteError(error)) throw error
  return error
}

const lines = (told: readonly unknown[]): string[] =>
  told.map(signal => {
    const { type, node, reason } = signal as { type: string; node?: string; reason?: unknown }
    return [type, node, reason].filter(part => part !== undefined).join(' ')
  })

t.test('rpc-001: a call of a procedure that returns 3 gives 3, here and there', async t => {
  const mesh = await cluster(t, 2)
  const a = mesh.node('a')
  t.equal(await mesh.run(a.rpc('b').call(three)), 3)
  t.equal(await mesh.run(a.rpc('a').call(three)), 3)
  t.equal(await mesh.run(a.rpc('b').call(double, 21)), 42)
  t.equal(await mesh.run(a.rpc('b').call<typeof double>('double', 4)), 8, 'by its name alone')
  const { pid, node } = await mesh.run(a.rpc('b').call(whoAmI))
  t.equal(node, 'b')
  t.equal(pid.node, 'b', 'in a process of its own')
  t.equal(mesh.node('b').isAlive(pid), false, 'which is over with it')
})

t.test('rpc-002: a remote error carries what was raised, and the remote stack', async t => {
  const mesh = await cluster(t, 2)
  const a = mesh.node('a')
  for (const on of ['b', 'a']) {
    const error = await mesh.run(remoteFailure(a.rpc(on).call(fails, 'oops')))
    t.equal(error.code, 'ERR_EXIT')
    t.match(error.message, new RegExp(`rpc fails on ${on} failed: "RangeError: oops"`))
    const { kind, reason, procedure, node, pid } = error.detail
    t.strictSame([kind, procedure, node, pid?.node], ['error', 'fails', on, on])
    t.equal(reason, error.cause)
    t.match(error.cause, { name: 'RangeError', message: 'oops', stack: /rpc\.test\.[jt]s/ })
  }
})

t.test(
  'rpc-003: throw, exit and error can be told apart, and so can a signal and what is not there',
  async t => {
    const crashes: unknown[] = []
    const mesh = await cluster(t, 2)
    const [a, b] = [mesh.node('a'), mesh.node('b')]
    b.on('crash', report => crashes.push(report))
    const kindOf = async (on: string, promise: Promise<unknown>): Promise<unknown[]> => {
      const { detail } = await mesh.run(remoteFailure(promise))
      t.equal(detail.node, on)
      return [detail.kind, detail.reason instanceof Error ? detail.reason.message : detail.reason]
    }
    for (const on of ['b', 'a']) {
      const rpc = a.rpc(on)
      t.strictSame(await kindOf(on, rpc.call(fails, 'oops')), ['error', 'oops'])
      t.strictSame(await kindOf(on, rpc.call(throws, { what: 'oops' })), ['throw', { what: 'oops' }])
      t.strictSame(await kindOf(on, rpc.call(exits, { why: 'done' })), ['exit', { why: 'done' }])
      t.strictSame(await kindOf(on, rpc.call(exits, 'normal')), ['exit', 'normal'])
      t.strictSame(await kindOf(on, rpc.call<typeof three>('four' as 'three')), ['undef', 'undef'])

      const { pid, told } = keeper(a)
      const killed = remoteFailure(rpc.call(waits, { to: pid, ms: 60_000 }))
      await mesh.runUntil(() => told.length === 1, { limitMs: 5_000 })
      mesh.node(on).exit(told[0] as Pid, 'kill')
      t.match((await mesh.run(killed)).detail, { kind: 'signal', reason: 'killed', node: on })
    }
    t.strictSame(crashes, [], 'callers were told, so nobody else is')
  },
)

t.test(
  'rpc-004: a timeout is the end of the waiting: nothing comes late, and the procedure goes on',
  async t => {
    const mesh = await cluster(t, 2)
    const a = mesh.node('a')
    for (const on of ['b', 'a']) {
      const { pid: to, told } = keeper(a)
      const mailbox: unknown[] = []
      let error: unknown
      a.run(async self => {
        error = await failure(self.rpc(on).call(waits, { to, ms: 500 }, { timeoutMs: 30 }))
        for (;;) mailbox.push(await self.receive())
      })
      await mesh.advance(2_000)
      t.match(error, {
        code: 'ERR_TIMEOUT',
        message: `rpc waits on ${on}: no result within 30 ms; it may still run`,
        detail: { procedure: 'waits', node: on, timeoutMs: 30, outcome: 'unknown' },
      })
      t.equal(told[1], 'done', 'it went on to its end')
      t.strictSame(mailbox, [], 'no late message')
    }
    t.equal(a.stats().counters['remote.repliesLate'], 1, 'the late result was dropped, and counted')
  },
)

t.test('rpc-005: a call of an unreachable node is refused with noconnection', async t => {
  const mesh = await cluster(t, 1)
  const error = await mesh.run(failure(mesh.node('a').rpc('nobody').call(three)))
  t.match(error, { code: 'ERR_NOCONNECTION', detail: { node: 'nobody' } })
  t.equal(isRemoteError(error), false)
})

t.test('rpc-006: a node that stops, or dies, under a call is noconnection to its caller', async t => {
  for (const end of ['stop', 'kill', 'disconnect'] as const) {
    const mesh = await cluster(t, 2)
    const a = mesh.node('a')
    const { pid: to, told } = keeper(a)
    const lost = failure(a.rpc('b').call(waits, { to, ms: 60_000 }, { timeoutMs: 30_000 }))
    await mesh.runUntil(() => told.length === 1, { limitMs: 5_000 })
    if (end === 'kill') mesh.kill('b')
    else if (end === 'disconnect') a.disconnect('b')
    else void mesh.node('b').stop({ drainMs: 100 })
    t.match(await mesh.run(lost), { code: 'ERR_NOCONNECTION', detail: { outcome: 'unknown' } }, end)
  }
})

t.test('a node that stops lets its procedures end, and takes no new ones', async t => {
  const mesh = await cluster(t, 2)
  const a = mesh.node('a')
  const { pid: to, told } = keeper(a)
  const result = a.rpc('b').call(waits, { to, ms: 500 })
  await mesh.runUntil(() => told.length === 1, { limitMs: 5_000 })
  const stopped = mesh.node('b').stop({ drainMs: 2_000 })
  const refused = failure(a.rpc('b').call(three))
  t.equal(await mesh.run(result), 'late')
  t.match(await mesh.run(refused), { code: 'ERR_STOPPED', detail: { node: 'b' } })
  await mesh.run(stopped)
})

t.test('rpc-007: a multicall gives one result per node in input order: ok, ok, noconnection', async t => {
  const mesh = await cluster(t, 2)
  const a = mesh.node('a')
  const [first, second, third] = await mesh.run(a.rpc(['a', 'b', 'x']).multicall(double, 3))
  t.strictSame([first, second], [
    { node: 'a', ok: true, value: 6 },
    { node: 'b', ok: true, value: 6 },
  ] as never)
  t.match(third, { node: 'x', ok: false, error: { code: 'ERR_NOCONNECTION' } })
  const again = await mesh.run(a.rpc(['b', 'a', 'b']).multicall(whoAmI))
  t.strictSame(
    again.map(({ node }) => node),
    ['b', 'a', 'b'],
    'duplicates are asked twice',
  )
  t.equal(new Set(again.map(result => result.ok && `${result.value.pid}`)).size, 3)
  const mixed = await mesh.run(a.rpc(['a', 'b']).multicall(throws, 'v'))
  t.match(mixed, [
    { ok: false, error: { detail: { kind: 'throw' } } },
    { ok: false, error: { detail: { node: 'b' } } },
  ])
  t.strictSame(await mesh.run(a.rpc([]).multicall(three)), [])
})

t.test('rpc-008: a cast to an unreachable node succeeds silently', async t => {
  const mesh = await cluster(t, 2)
  const a = mesh.node('a')
  t.equal(a.rpc('nobody').cast(three), 'ok')
  a.rpc(['nobody', 'no-one']).multicast(double, 3)
  await mesh.advance(1_000)
})

t.test('a cast runs there and nobody waits; a failure is reported there, as that of any process', async t => {
  const mesh = await cluster(t, 2)
  const [a, b] = [mesh.node('a'), mesh.node('b')]
  const { pid: to, told } = keeper(a)
  a.rpc(['b', 'a']).multicast(waits, { to, ms: 10 })
  await mesh.runUntil(() => told.length === 4, { limitMs: 5_000 })
  const crashes: unknown[] = []
  const letters: unknown[] = []
  b.on('crash', report => crashes.push(report))
  b.on('dead-letter', letter => letters.push(letter))
  a.rpc('b').cast(fails, 'oops')
  a.rpc('b').cast<typeof three>('four' as 'three')
  await mesh.runUntil(() => crashes.length + letters.length === 2, { limitMs: 5_000 })
  t.match(crashes, [{ definition: 'rpc:fails', reason: { message: 'oops' } }])
  t.match(letters, [
    { to: { name: 'four', node: 'b' }, why: /b has no procedure "four"; it has "code", "double", "echo"/ },
  ])
  t.throws(() => a.rpc('b').cast(throws, () => {}), { code: 'ERR_PAYLOAD' })
})

t.test(
  'only listed procedures run: names of paths, URLs and prototypes are as unknown as any other',
  async t => {
    const mesh = await cluster(t, 2, { procedures: [three] })
    const a = mesh.node('a')
    for (const name of [
      'constructor',
      'hasOwnProperty',
      'toString',
      'node:child_process',
      'a/../../x',
      'fs',
    ]) {
      const error = await mesh.run(remoteFailure(a.rpc('b').call(name)))
      t.equal(error.code, 'ERR_UNKNOWN_ACTOR', name)
      t.strictSame(error.detail.known, ['three'])
    }
    t.equal(mesh.node('b').stats().counters['rpc.refused'], 6)
  },
)

t.test('wrong arguments are refused at the call', async t => {
  const mesh = await cluster(t, 1)
  const a = mesh.node('a')
  const bad = a as unknown as { rpc(on: unknown): { call(...args: unknown[]): unknown; multicall: unknown } }
  t.throws(() => bad.rpc(7), /not a node name: .* got 7/)
  t.throws(() => bad.rpc('B B'), TypeError)
  t.throws(() => bad.rpc(['a', 'ring']), TypeError)
  t.throws(
    () => bad.rpc('a').call(7),
    /call: procedure: expected what defineProcedure returned, or its name, got 7/,
  )
  t.throws(() => bad.rpc('a').call('$ping'), /call: procedure: expected 1 to 255 of letters/)
  t.throws(() => bad.rpc('a').call(three, 1, { timeout: 3 }), /call: unknown option "timeout"/)
  t.throws(() => bad.rpc('a').call(three, 1, { timeoutMs: -1 }), RangeError)
  t.throws(() => defineProcedure('a b', () => 1), /defineProcedure: name: expected 1 to 255/)
  t.throws(() => defineProcedure('ab', 3 as never), /defineProcedure\("ab"\): fn: expected a function, got 3/)
  await t.rejects(createNode({ procedures: [three, defineProcedure('three', () => 4)] }), {
    message: /procedures: two definitions are named "three"; a name decides what is called/,
  })
  await t.rejects(createNode({ procedures: [{}] as never }), /procedures: .* what defineProcedure returned/)
  await t.rejects(
    createNode({ procedures: Array(65_537).fill(three) }),
    /procedures: expected at most 65536, got 65537/,
  )
})

t.test('what cannot cross is refused: an input at the call, a result as the failure that it is', async t => {
  const mesh = await cluster(t, 2)
  const a = mesh.node('a')
  t.match(await mesh.run(failure(a.rpc('b').call(throws, () => {}))), { code: 'ERR_PAYLOAD' })
  const error = await mesh.run(remoteFailure(a.rpc('b').call(code)))
  t.match(error.detail, { kind: 'error', reason: { bad_return_value: /a function|function/, why: /./ } })
})

t.test('an abort ends the waiting with its reason, and the procedure with shutdown', async t => {
  const mesh = await cluster(t, 2)
  const a = mesh.node('a')
  for (const on of ['b', 'a']) {
    const { pid: to, told } = keeper(a)
    const controller = new AbortController()
    const call = a.rpc(on).call(waits, { to, ms: 60_000 }, { signal: controller.signal })
    const aborted = t.rejects(call, /enough/)
    await mesh.runUntil(() => told.length === 1, { limitMs: 5_000 })
    const pid = told[0] as Pid
    t.match(
      mesh
        .node(on)
        .processes()
        .find(process => process.pid === pid || `${process.pid}` === `${pid}`),
      {
        definition: 'rpc:waits',
      },
    )
    controller.abort(new Error('enough'))
    await mesh.run(aborted as Promise<unknown>)
    await mesh.runUntil(() => mesh.node(on).stats().counters['rpc.running'] === 0, { limitMs: 1_000 })
    t.strictSame(told.length, 1, 'it did not go on')
    await t.rejects(
      a.rpc(on).call(three, undefined, { signal: AbortSignal.abort(new Error('before')) }),
      /before/,
    )
  }
  t.equal(mesh.node('b').stats().counters['rpc.aborted'], 1)
})

t.test('a caller that dies ends nothing, unless it gave its own signal', async t => {
  const mesh = await cluster(t, 2)
  const a = mesh.node('a')
  for (const on of ['b', 'a']) {
    for (const bound of [false, true]) {
      const { pid: to, told } = keeper(a)
      const caller = a.run(async self => {
        await self.rpc(on).call(waits, { to, ms: 500 }, bound ? { signal: self.signal } : {})
      })
      await mesh.runUntil(() => told.length === 1, { limitMs: 5_000 })
      a.exit(caller, 'kill')
      await mesh.advance(1_000)
      t.equal(told[1], bound ? undefined : 'done', `on ${on}, ${bound ? 'with' : 'without'} its signal`)
    }
  }
})

t.test('one crash harms no other procedure, and so many run at once as the limit says', async t => {
  const mesh = await cluster(t, 2, { limits: { proceduresMax: 2 } })
  const a = mesh.node('a')
  const { pid: to, told } = keeper(a)
  const both = [1, 2].map(() => a.rpc('b').call(waits, { to, ms: 500 }))
  await mesh.runUntil(() => told.length === 2, { limitMs: 5_000 })
  const error = await mesh.run(failure(a.rpc('b').call(three)))
  t.match(error, { code: 'ERR_BUSY', detail: { limit: 'proceduresMax', node: 'b' } })
  t.match(mesh.node('b').stats().counters, { 'rpc.running': 2, 'rpc.refused': 1, 'rpc.calls': 2 })
  mesh.node('b').exit(told[0] as Pid, 'kill')
  const [first, second] = await mesh.run(Promise.allSettled(both))
  t.strictSame([first?.status, second?.status].sort(), ['fulfilled', 'rejected'])
  t.equal(await mesh.run(a.rpc('b').call(three)), 3, 'there is room again')
})

t.test('a message that a procedure sends is there before its result', async t => {
  const mesh = await cluster(t, 2)
  const a = mesh.node('a')
  const seen: unknown[] = []
  a.run(async self => {
    const result = await self.rpc('b').call(waits, { to: self.self, ms: 0 })
    const pid = (await self.receive(undefined, { timeoutMs: 0 })) as Pid
    seen.push(pid.node, await self.receive(undefined, { timeoutMs: 0 }), result)
  })
  await mesh.runUntil(() => seen.length > 0, { limitMs: 5_000 })
  t.strictSame(seen, ['b', 'done', 'late'])
})

t.test('node-001: a trapping process gets the exit of a remote one whose connection is lost', async t => {
  const mesh = await cluster(t, 2)
  const there = keeper(mesh.node('b')).pid
  const { told } = keeper(mesh.node('a'), self => {
    self.trapExit(true)
    self.link(there)
  })
  await mesh.advance(10)
  mesh.node('a').disconnect('b')
  await mesh.settle()
  t.match(told, [{ type: 'exit', pid: there, reason: 'noconnection' }])
  t.equal(told.length, 1)
})

t.test(
  'node-002: a monitor of a remote process is told noconnection when the connection is lost',
  async t => {
    const mesh = await cluster(t, 2)
    const there = keeper(mesh.node('b')).pid
    const { told } = keeper(mesh.node('a'), self => void self.monitor(there))
    await mesh.advance(10)
    mesh.kill('b')
    await mesh.runUntil(() => told.length > 0, { limitMs: 5_000 })
    t.match(told, [{ type: 'down', pid: there, reason: 'noconnection' }])
    t.equal(told.length, 1)
  },
)

t.test('node-003: after a split and a new connection the old monitor says nothing more', async t => {
  const mesh = await cluster(t, 2)
  const [a, b] = [mesh.node('a'), mesh.node('b')]
  const there = keeper(b).pid
  const { told } = keeper(a, self => void self.monitor(there))
  await mesh.advance(10)
  mesh.network.cut('a', 'b')
  await mesh.runUntil(() => a.nodes().length + b.nodes().length === 0, { limitMs: 30_000 })
  mesh.network.heal()
  await mesh.runUntil(() => a.nodes().length + b.nodes().length === 2, { limitMs: 30_000 })
  t.equal(told.length, 1)
  b.exit(there, 'kill')
  await mesh.advance(1_000)
  t.strictSame(lines(told), ['down noconnection'], 'once, for the split')
})

t.test(
  'node-004: a monitor of a dead remote process is told noproc, a link of a trapping one, too',
  async t => {
    const mesh = await cluster(t, 2)
    const there = keeper(mesh.node('b')).pid
    mesh.node('b').exit(there, 'kill')
    const { told } = keeper(mesh.node('a'), self => {
      self.trapExit(true)
      self.monitor(there)
      self.link(there)
    })
    await mesh.runUntil(() => told.length === 2, { limitMs: 1_000 })
    t.match(told, [
      { type: 'down', pid: there, reason: 'noproc' },
      { type: 'exit', pid: there, reason: 'noproc' },
    ])
  },
)

t.test(
  'node-005: a message to an earlier life of a node is dropped, a monitor of it told noproc',
  async t => {
    const mesh = await cluster(t, 2)
    const a = mesh.node('a')
    const old = keeper(mesh.node('b')).pid
    mesh.kill('b')
    await mesh.runUntil(() => a.nodes().length === 0, { limitMs: 5_000 })
    await mesh.run(mesh.boot('b'))
    await mesh.runUntil(() => a.nodes().length === 1, { limitMs: 5_000 })
    // The same serial, in the new life.
    const fresh = keeper(mesh.node('b'))
    t.equal(fresh.pid.serial, old.serial)
    t.equal(a.send(old, 'hello'), 'ok')
    const { told } = keeper(a, self => void self.monitor(old))
    await mesh.runUntil(() => told.length === 1, { limitMs: 1_000 })
    await mesh.advance(100)
    t.match(told, [{ type: 'down', pid: old, reason: 'noproc' }])
    t.strictSame(fresh.told, [])
  },
)

t.test('node-006: a node monitored twice gives two nodedown', async t => {
  const mesh = await cluster(t, 2)
  const [a, { creation }] = [mesh.node('a'), mesh.node('b').self]
  let refs: unknown[] = []
  const { told } = keeper(a, self => {
    const [first, second, third] = [1, 2, 3].map(() => self.monitorNode('b'))
    t.equal(self.demonitorNode(third!), true, 'a demonitor removes one')
    t.equal(self.demonitorNode(third!), false, 'once')
    self.monitorNode('a') // never goes
    refs = [first, second]
  })
  mesh.kill('b')
  await mesh.runUntil(() => told.length >= 2, { limitMs: 5_000 })
  await mesh.advance(100)
  t.match(
    told,
    refs.map(ref => ({ type: 'nodedown', node: 'b', creation, ref })),
  )
  t.equal(told.length, 2)
  t.equal(a.stats().counters['nodes.monitors'], 1, 'spent ones are gone')
})

t.test('node-007: a monitor of an unreachable node is told nodedown, at once', async t => {
  const mesh = await cluster(t, 1)
  const { told } = keeper(mesh.node('a'), self => void self.monitorNode('nobody'))
  await mesh.settle()
  t.match(told, [{ type: 'nodedown', node: 'nobody', creation: undefined, reason: 'noconnection' }])
})

t.test('node-008: a subscriber gets nodeup, then hello, then nodedown', async t => {
  const mesh = await cluster(t, 2)
  const a = mesh.node('a')
  const { told, pid } = keeper(a, self => void self.monitorNodes())
  mesh.kill('b')
  await mesh.runUntil(() => told.length === 1, { limitMs: 5_000 })
  told.length = 0
  const b = await mesh.run(mesh.boot('b'))
  b.send(pid, { type: 'hello' })
  await mesh.runUntil(() => told.length === 2, { limitMs: 1_000 })
  await mesh.run(b.stop())
  await mesh.runUntil(() => told.length === 3, { limitMs: 5_000 })
  t.strictSame(lines(told), ['nodeup b', 'hello', 'nodedown b left'])
})

const secret = (letter: string): string => letter.repeat(32)

async function real(t: Subtest, options: NodeOptions): Promise<Node> {
  const node = await createNode({ listen: '127.0.0.1:0', logger: false, ...options })
  t.teardown(() => node.stop({ drainMs: 0 }))
  return node
}

const at = (node: Node): string => `127.0.0.1:${node.address?.port}`

t.test('node-009: with different secrets a connection is refused, and both sides keep running', async t => {
  const a = await real(t, { name: 'a', secret: secret('a') })
  const b = await real(t, { name: 'b', secret: secret('b'), procedures: PROCEDURES })
  t.equal(await a.connect(at(b)), false)
  t.equal(await b.connect(at(a)), false)
  t.equal(await a.ping('b'), 'pang')
  t.strictSame([a.nodes(), b.nodes()], [[], []])
  t.strictSame([a.health().state, b.health().state], ['running', 'running'])
  t.equal(await b.rpc('b').call(three), 3)
})

t.test('over real sockets nodes connect, ping, call each other, and are told of each other', async t => {
  const [a, b] = [await real(t, { name: 'a' }), await real(t, { name: 'b', procedures: PROCEDURES })]
  const { told } = keeper(a, self => void self.monitorNodes())
  t.equal(await a.connect(at(b)), true)
  t.equal(await a.ping('b'), 'pong')
  t.strictSame(await Promise.all([a.rpc('b').call(double, 3), a.rpc('b').call(three)]), [6, 3])
  t.match(await remoteFailure(a.rpc('b').call(fails, 'oops')), { cause: { stack: /rpc\.test/ } })
  const large = Buffer.alloc(200_000, 7)
  t.ok(large.equals(await a.rpc('b').call(echo, large)), 'a large body, in fragments, both ways')
  const gone = new Promise(resolve => a.once('nodedown', resolve))
  await b.stop({ drainMs: 0 })
  await gone
  t.equal(await a.ping('b', { timeoutMs: 3_000 }), 'pang')
  t.strictSame(lines(told), ['nodeup b', 'nodedown b left'])
})

t.test(
  'node-010: nodes that connect to each other at the same moment have one connection and one nodeup',
  async t => {
    for (let seed = 1; seed <= 40; seed++) {
      const simulation = new Simulation({ seed })
      const ups: string[] = []
      const start = async (name: string): Promise<Node> => {
        const runtime = simulation.runtime(name)
        const node = await createNode({
          name,
          listen: `${name}:7000`,
          insecure: true,
          logger: false,
          runtime,
        })
        node.on('nodeup', event => ups.push(`${name} ${event.node}`))
        return node
      }
      const run = async <T>(promise: Promise<T>): Promise<T> => {
        let settled = false
        promise.then(
          () => (settled = true),
          () => (settled = true),
        )
        await simulation.runUntil(() => settled, { limitMs: 20_000 })
        return promise
      }
      const [a, b] = await run(Promise.all([start('a'), start('b')]))
      const both = await run(Promise.all([a.connect('b:7000'), b.connect('a:7000')]))
      await simulation.advance(5_000)
      const sessions = [a.health().sessions, b.health().sessions]
      const opened = [a, b].map(node => node.stats().counters['mesh.sessionsOpened'])
      const seen = [both, sessions, opened, [...ups].sort()]
      t.strictSame(
        seen,
        [
          [true, true],
          [1, 1],
          [1, 1],
          ['a b', 'b a'],
        ],
        `seed ${seed}`,
      )
      await run(Promise.all([a.stop({ drainMs: 0 }), b.stop({ drainMs: 0 })]))
    }
  },
)

t.test('node-011: 500 messages to a remote process arrive complete and in order', async t => {
  const mesh = await cluster(t, 2)
  const { pid, told } = keeper(mesh.node('b'))
  for (let i = 0; i < 500; i++) mesh.node('a').send(pid, i)
  await mesh.runUntil(() => told.length === 500, { limitMs: 5_000 })
  t.strictSame(
    told,
    Array.from({ length: 500 }, (_, i) => i),
  )
})

t.test(
  'on the loss of a node come exits, then downs, then nodedown, whatever was asked for first',
  async t => {
    const mesh = await cluster(t, 2)
    const there = keeper(mesh.node('b')).pid
    const { told } = keeper(mesh.node('a'), self => {
      self.trapExit(true)
      self.monitorNodes()
      self.monitorNode('b')
      self.monitor(there)
      self.link(there)
    })
    await mesh.advance(10)
    mesh.node('a').disconnect('b')
    await mesh.runUntil(() => told.length >= 4, { limitMs: 100 })
    const reasons = [
      'exit noconnection',
      'down noconnection',
      'nodedown b disconnect',
      'nodedown b disconnect',
    ]
    t.strictSame(lines(told.slice(0, 4)), reasons)
  },
)

t.test('two subscriptions tell twice, until they end; a flush takes out what is in the mailbox', async t => {
  const mesh = await cluster(t, 2)
  const a = mesh.node('a')
  let go = (): void => {}
  const told: unknown[] = []
  a.run(async self => {
    const [first] = [self.monitorNodes(), self.monitorNodes()]
    await new Promise<void>(resolve => {
      go = resolve
    })
    t.equal(self.demonitorNode(first!, { flush: true }), true)
    for (;;) told.push(await self.receive())
  })
  await mesh.settle()
  a.disconnect('b')
  await mesh.settle()
  go()
  await mesh.runUntil(() => told.length === 2, { limitMs: 5_000 })
  t.strictSame(lines(told), ['nodedown b disconnect', 'nodeup b'])
  t.equal(a.stats().counters['nodes.monitors'], 1)
})

t.test('monitors of nodes end with their process, and are as many as one may hold', async t => {
  const mesh = await cluster(t, 2, { limits: { perProcessMax: 3 } })
  const a = mesh.node('a')
  let refused: unknown
  const { pid } = keeper(a, self => {
    for (let i = 0; i < 3; i++) self.monitorNode('b')
    try {
      self.monitorNodes()
    } catch (error) {
      refused = error
    }
  })
  await mesh.settle()
  t.match(refused, { name: 'RangeError', message: /holds 3 belongings, as many as it may/ })
  t.equal(a.stats().counters['nodes.monitors'], 3)
  a.exit(pid, 'kill')
  t.equal(a.stats().counters['nodes.monitors'], 0)
  let wrong: unknown
  a.run(self => {
    try {
      self.monitorNode('B B')
    } catch (error) {
      wrong = error
    }
  })
  await mesh.settle()
  t.match(wrong, TypeError)
})

t.test('disconnect is told with its reason on both sides, and the mesh heals by itself', async t => {
  const mesh = await cluster(t, 3)
  const [a, b] = [mesh.node('a'), mesh.node('b')]
  const events: string[] = []
  for (const node of [a, b]) {
    node.on('nodedown', event => events.push(`${node.name}: down ${event.node} ${event.reason}`))
    node.on('nodeup', event => events.push(`${node.name}: up ${event.node}`))
    node.on('member:down', event => events.push(`${node.name}: lost ${event.member.name}`))
  }
  t.equal(a.disconnect('b'), true)
  t.equal(a.disconnect('b'), false, 'there is none any more')
  t.equal(a.disconnect('nobody'), false)
  await mesh.runUntil(() => a.nodes().length + b.nodes().length === 4, { limitMs: 1_000 })
  await mesh.advance(10_000)
  t.strictSame(events.sort(), ['a: down b disconnect', 'a: up b', 'b: down a connection_closed', 'b: up a'])
})

t.test('connect and ping say how it came out: by name, by address, in time', async t => {
  const mesh = await cluster(t, 2)
  const [a, b] = [mesh.node('a'), mesh.node('b')]
  t.equal(await mesh.run(a.connect('a')), true, 'itself')
  t.equal(await mesh.run(a.connect('b')), true, 'connected already')
  t.equal(await mesh.run(a.connect('b:7000')), true)
  t.equal(await mesh.run(a.connect('nobody')), false)
  t.equal(await mesh.run(a.connect('b:7999')), false, 'nobody listens there')
  t.equal(await mesh.run(a.ping('a')), 'pong')
  t.equal(await mesh.run(a.ping('b')), 'pong')
  t.equal(await mesh.run(a.ping('nobody')), 'pang')
  a.disconnect('b')
  t.strictSame(
    await mesh.run(Promise.all([a.connect('b'), b.ping('a')])),
    [true, 'pong'],
    'it waits for the session',
  )
  mesh.pause('b')
  t.equal(
    await mesh.run(a.ping('b', { timeoutMs: 500 })),
    'pang',
    'its connection is open, but it does not answer',
  )
  mesh.resume('b')
  mesh.network.cut('a', 'b')
  await mesh.runUntil(() => a.nodes().length === 0, { limitMs: 30_000 })
  t.equal(await mesh.run(a.connect('b', { timeoutMs: 300 })), false)
  const controller = new AbortController()
  const aborted = t.rejects(a.connect('b', { signal: controller.signal }), /enough/)
  controller.abort(new Error('enough'))
  await mesh.run(aborted as Promise<unknown>)
  mesh.network.heal()
  t.throws(() => a.connect(7 as never), /connect: to: expected a node's name or host:port, got 7/)
  t.throws(() => a.connect('a b'), /expected a node's name or host:port, got "a b"/)
  t.throws(() => a.connect('b:0'), /expected host:port with a port from 1/)
  t.throws(() => a.ping('B B'), TypeError)
  t.throws(() => a.connect('b', { timeout: 3 } as never), /unknown option "timeout"/)
})

t.test('a node that stands alone connects when it is asked to, and is a member then', async t => {
  const simulation = new Simulation({ seed: 3 })
  const options = { insecure: true, logger: false } as const
  let done = false
  const play = async (): Promise<unknown> => {
    const a = await createNode({ ...options, name: 'a', runtime: simulation.runtime('a') })
    const b = await createNode({
      ...{
        ...options,
        name: 'b',
        listen: 'b:7000',
        procedures: PROCEDURES,
        runtime: simulation.runtime('b'),
      },
    })
    const connected = await a.connect('b:7000')
    const seen = [connected, await a.rpc('b').call(three), a.members().members.map(({ name }) => name)]
    await Promise.all([a.stop({ drainMs: 0 }), b.stop({ drainMs: 0 })])
    return seen
  }
  const played = play().finally(() => {
    done = true
  })
  await simulation.runUntil(() => done, { limitMs: 20_000 })
  t.strictSame(await played, [true, 3, ['a', 'b']])
})

t.test('equal seeds give equal runs, procedures and monitors of nodes among them', async t => {
  const play = async (): Promise<string> => {
    const mesh = await createTestMesh({ nodes: 3, seed: 11, options: { procedures: PROCEDURES } })
    const a = mesh.node('a')
    keeper(a, self => void self.monitorNodes())
    const { pid: to } = keeper(a)
    const calls = a.rpc(['b', 'c', 'b']).multicall(waits, { to, ms: 5_000 }, { timeoutMs: 2_000 })
    await mesh.advance(50)
    mesh.kill('c')
    await mesh.run(calls)
    await mesh.stop()
    return mesh.log.hash()
  }
  t.equal(await play(), await play())
})
