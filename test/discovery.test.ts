/**
 * How nodes find each other: what is listed and how often it is asked for, by table; whole clusters on virtual time;
 * and the real edge, with a DNS server on loopback and a watched file.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { checkDiscovery } from '../lib/base/discovery.js'
import type { Logger } from '../lib/base/log.js'
import { parse } from '../lib/cli/flags.js'
import { start as startCommand, startOptions } from '../lib/cli/start.js'
import { createNode, type Discovery, type Node, type NodeEvents, type NodeOptions } from '../lib/index.js'
import { parseAddresses, parseAddressFile, sortedAddresses } from '../lib/mesh/address-list.js'
import { DialPlan } from '../lib/mesh/dial-plan.js'
import { Found } from '../lib/mesh/found.js'
import { Joining } from '../lib/mesh/joining.js'
import { LookPlan } from '../lib/mesh/look-plan.js'
import { createRealRuntime } from '../lib/runtime/real-runtime.js'
import { createTestMesh, type TestMesh } from '../lib/testing.js'
import {
  composeProblems,
  imageProblems,
  kubernetesProblems,
  unitProblems,
  variablesOf,
} from './support/deploy-check.js'
import { DnsServer } from './support/dns-server.js'

t.setTimeout(240_000)

interface Test {
  teardown(fn: () => Promise<void> | void): unknown
}

function root(from = import.meta.dirname): string {
  return existsSync(join(from, 'package.json')) ? from : root(dirname(from))
}

// ---- what is said ----

t.test(
  'a file holds one address per line, with comments, or a JSON array; one bad line refuses it',
  async t => {
    const good: readonly (readonly [string, readonly string[]])[] = [
      ['', []],
      ['\n  \n# nobody yet\n', []],
      ['10.0.0.1:7001\n', ['10.0.0.1:7001']],
      ['a:1\r\n  b.example:2  # the second\n[::1]:3', ['a:1', 'b.example:2', '::1:3']],
      ['[]', []],
      [' [\n "a:1", "[::1]:2" ]\n', ['a:1', '::1:2']],
    ]
    for (const [text, addresses] of good)
      t.strictSame(
        parseAddressFile(text).map(a => `${a.host}:${a.port}`),
        addresses,
        JSON.stringify(text),
      )
    const bad: readonly (readonly [string, RegExp])[] = [
      ['a:1\nb\n', /^line 2: expected host:port with a port from 1 to 65535, got "b"$/],
      ['a:0', /^line 1: expected host:port/],
      ['a:1 b:2', /^line 1: .*got "a:1 b:2"/],
      ['["a:1", ', /^expected a JSON array of host:port, got what is no JSON: /],
      ['["a:1", 7]', /^item 1: expected host:port.*got 7/],
      ['{"a": 1}', /^line 1: expected host:port/],
    ]
    for (const [text, message] of bad)
      t.throws(() => parseAddressFile(text), { message }, JSON.stringify(text))
    t.throws(() => parseAddresses('a:1'), { message: /^expected an array of host:port, got "a:1"$/ })
    t.throws(() => parseAddresses(undefined), { message: /got undefined/ })
    const list = parseAddresses(['b:1', 'a:2', 'b:1', 'a:1'])
    t.strictSame(
      sortedAddresses(list).map(a => `${a.host}:${a.port}`),
      ['a:1', 'a:2', 'b:1'],
      'each once',
    )
  },
)

t.test(
  'a source is asked at its time, jittered; a failing one less and less; only changes are told',
  async t => {
    const plan = new LookPlan(10_000)
    t.strictSame(plan.found(undefined, 0), { afterMs: 7_500, news: undefined })
    t.strictSame(plan.found(undefined, 1), { afterMs: 12_500, news: undefined })
    const failures = Array.from({ length: 10 }, () => plan.failed('ENOTFOUND', 1))
    t.strictSame(
      failures.map(({ afterMs }) => afterMs),
      [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000],
    )
    t.strictSame(
      failures.flatMap(({ news }) => news ?? []),
      [{ level: 'warn', text: 'ENOTFOUND' }],
      'once',
    )
    t.equal(plan.failed('ENOTFOUND', 0).afterMs, 30_000, 'half of it is jitter')
    t.strictSame(plan.failed('ESERVFAIL', 1).news, { level: 'warn', text: 'ESERVFAIL' }, 'another reason')
    t.strictSame(plan.found(undefined, 0).news, { level: 'info', text: 'answers again' })
    t.strictSame(plan.found('lists too many', 0).news, { level: 'warn', text: 'lists too many' })
    t.equal(plan.found('lists too many', 0).news, undefined)
    t.equal(plan.failed('ENOTFOUND', 1).afterMs, 500, 'from the beginning')
  },
)

const at = (text: string) => parseAddressFile(text)

t.test('what is listed is worth a dial unless it is this node, or a member with a session', async t => {
  const sessions = new Map<string, number>()
  const found = new Found({
    self: { peer: 'me' as never, creation: 1 },
    isMembers: ({ host }) => host === 'published',
    hasSession: ({ peer, creation }) => sessions.get(peer) === creation,
  })
  const wanted = () => found.wanted().map(([key]) => key)
  found.list(at('published:1\nself:1\nb:1'))
  t.strictSame(wanted(), ['seed self:1', 'seed b:1'])
  found.reached('seed self:1', { peer: 'me' as never, creation: 1 })
  found.reached('seed b:1', { peer: 'b' as never, creation: 7 })
  found.reached('seed other:1', { peer: 'c' as never, creation: 7 })
  sessions.set('b', 7)
  t.strictSame(wanted(), [])
  sessions.set('b', 8)
  t.strictSame(wanted(), ['seed b:1'], 'another life of it has the session: who is there?')
  found.list(at('b:1'))
  found.list(at('b:1\nself:1'))
  t.strictSame(wanted(), ['seed b:1', 'seed self:1'], 'what was not listed for a while may be somebody else')
  t.equal(found.size, 2)
})

t.test('found addresses share ten dials a second, and crowd out nobody who is introduced', async t => {
  const plan = new DialPlan(20)
  for (let i = 0; i < 100; i++)
    plan.want({ key: `f${i}`, kind: 'found', name: undefined, address: { host: `f${i}`, port: 1 } }, 0)
  t.equal(plan.take(0).length, 10)
  t.equal(plan.take(100).length, 1)
  t.equal(plan.take(1_100).length, 10)
  t.ok(plan.want({ key: 'b', kind: 'introduced', name: 'b' as never, address: { host: 'b', port: 1 } }, 0))
  t.equal(plan.keysOf('found').length, 100)
  plan.want({ key: 'b moved', kind: 'introduced', name: 'b' as never, address: { host: 'b2', port: 1 } }, 0)
  plan.forgetNode('b' as never)
  t.notOk(plan.has('b') || plan.has('b moved'), 'reached at one place, it is expected at no other')
})

t.test('a start is over when every source was heard and every address failed, or one answered', async t => {
  const script = (sources: number, ...steps: ((joining: Joining) => void)[]): readonly boolean[] => {
    let over = false
    const joining = new Joining(at('s:1'), sources, () => {
      over = true
    })
    return steps.map(step => {
      step(joining)
      return over
    })
  }
  const b = 'b' as never
  const found = (joining: Joining): void => {
    joining.found(['seed f:1'])
    joining.heard()
  }
  t.strictSame(
    script(
      2,
      j => j.tried('seed s:1', undefined, true),
      j => j.heard(),
      found,
      j => j.tried('seed f:1', undefined, true),
    ),
    [false, false, false, true],
    'alone',
  )
  t.strictSame(
    script(
      2,
      found,
      j => j.tried('seed f:1', b, false),
      j => j.listed(b),
    ),
    [false, false, true],
    'a seed and a source that hang delay nobody',
  )
})

t.test('bad discovery is refused at the call, by the name of the option', async t => {
  const wrong: readonly (readonly [unknown, RegExp])[] = [
    [7, /^createNode: discovery: expected a function, or an object with one of dns, srv, file, find, got 7$/],
    [{}, /discovery: expected a function, or an object/],
    [{ consul: 'x' }, /discovery: expected a function, or an object with one of dns, srv, file, find/],
    [{ dns: 'a', file: '/b' }, /discovery: expected .*, got dns and file/],
    [[{ srv: 'x' }, 'dns:a:1'], /discovery\[1\]: expected a function.*got "dns:a:1"/],
    [{ dns: '', port: 1 }, /discovery: dns: expected a DNS name of 1 to 254 characters, got ""/],
    [{ dns: 'a b', port: 1 }, /discovery: dns: expected a DNS name/],
    [{ dns: 'a' }, /discovery: port: expected a whole number from 1 to 65535, got undefined/],
    [{ dns: 'a', port: 0 }, /discovery: port: expected a whole number from 1 to 65535, got 0/],
    [{ dns: 'a', port: 65_536 }, /discovery: port: expected a whole number/],
    [{ dns: 'a', port: 1, everyMs: 99 }, /discovery: everyMs: expected milliseconds from 100/],
    [
      { dns: 'a', port: 1, every: 1_000 },
      /discovery: unknown option "every"; expected one of dns, port, everyMs/,
    ],
    [{ dns: 'a', port: 1, servers: [] }, /discovery: servers: expected at least one server/],
    [
      { srv: '_t._tcp.x', servers: ['ns.example'] },
      /servers: expected an array whose every item is ip or ip:port/,
    ],
    [{ srv: '_t._tcp.x', servers: '1.1.1.1' }, /servers: expected an array/],
    [{ srv: undefined }, /discovery: srv: expected a DNS name/],
    [{ srv: 'x', port: 1 }, /unknown option "port"/],
    [{ file: 'peers' }, /discovery: file: expected an absolute path, got "peers"/],
    [{ find: '10.0.0.1:1' }, /discovery: find: expected a function/],
    [Array(17).fill({ srv: 'x' }), /discovery: expected at most 16 sources, got 17/],
  ]
  for (const [discovery, message] of wrong)
    await t.rejects(createNode({ discovery: discovery as Discovery }), { message }, JSON.stringify(discovery))
  await t.rejects(createNode({ advertise: 'x' }), { message: /advertise: expected host:port/ })
  await t.rejects(createNode({ advertise: '[::]:7001' }), {
    message: /advertise: expected an address that other/,
  })
  await t.rejects(createNode({ listen: '0.0.0.0:0', insecure: true }), {
    message: /listen: 0\.0\.0\.0:0 is every address of this machine.*advertise/,
  })
  const find = () => []
  t.strictSame(
    checkDiscovery('x', [find, { dns: 'a', port: 1, servers: ['::1', '[::1]:53', '1.2.3.4:53'] }]),
    [
      { kind: 'find', label: 'find', everyMs: 10_000, find },
      {
        kind: 'dns',
        label: 'dns a:1',
        everyMs: 10_000,
        name: 'a',
        port: 1,
        servers: ['::1', '[::1]:53', '1.2.3.4:53'],
      },
    ],
  )
  t.strictSame(checkDiscovery('x', undefined), [])
})

// ---- clusters on virtual time ----

class Lines implements Logger {
  readonly said: string[] = []
  debug(): void {}
  info(line: string): void {
    this.said.push(`info ${line}`)
  }
  warn(line: string): void {
    this.said.push(`warn ${line}`)
  }
  error(line: string): void {
    this.said.push(`error ${line}`)
  }
}

const count = (node: Node, name: string): number => node.stats().counters[name] ?? 0
const peers = (mesh: TestMesh): string => mesh.nodes.map(node => node.nodes().join(' ')).join()

async function world(
  nodes: readonly string[],
  discovery: Discovery | readonly Discovery[],
  options: Partial<NodeOptions> = {},
) {
  const logger = new Lines()
  const mesh = await createTestMesh({ nodes, seed: 7, options: { discovery, logger, ...options } })
  const warnings = () => logger.said.filter(line => line.includes('discovery:'))
  return { mesh, logger, warnings }
}

t.test(
  'nodes that started alone join as soon as a name resolves, and dial no more than they must',
  async t => {
    const { mesh, logger } = await world(['a', 'b', 'c'], { dns: 'all.sim', port: 7_000 })
    t.equal(peers(mesh), ',,', 'alone')
    t.strictSame(logger.said.filter(line => line.startsWith('warn a:')).slice(0, 2), [
      'warn a: discovery: dns all.sim:7000: ENOTFOUND: lookup all.sim',
      'warn a: no other node was found; alone for now, and goes on trying',
    ])
    mesh.network.resolve('all.sim', ['a', 'b', 'c', 'nobody'])
    await mesh.runUntil(() => peers(mesh) === 'b c,a c,a b', { limitMs: 15_000 })
    await mesh.advance(120_000)
    const before = mesh.nodes.map(node => count(node, 'mesh.dials'))
    await mesh.advance(240_000)
    const dials = mesh.nodes.map((node, i) => count(node, 'mesh.dials') - before[i]!)
    t.ok(
      dials.every(n => n >= 7 && n <= 18),
      `only nobody is dialled, every half a minute at most: ${dials} in four minutes`,
    )
    mesh.network.resolve('all.sim', ['a', 'b', 'c'])
    await mesh.advance(15_000)
    t.strictSame(
      mesh.nodes.map(node => count(node, 'mesh.dialTargets')),
      [0, 0, 0],
      'and not when it is listed no more',
    )
    t.strictSame(
      mesh.nodes.map(node => count(node, 'mesh.discovered')),
      [3, 3, 3],
    )
    await mesh.stop()
  },
)

t.test('a node that comes back at another address is followed, and the old one is forgotten', async t => {
  const discovery = { dns: 'all.sim', port: 7_000 }
  const { mesh } = await world(['a', 'b', 'c'], discovery)
  mesh.network.resolve('all.sim', ['a', 'b', 'c'])
  await mesh.runUntil(() => peers(mesh) === 'b c,a c,a b', { limitMs: 15_000 })
  mesh.crash('b')
  mesh.network.resolve('all.sim', ['a', 'b2', 'c'])
  const runtime = mesh.simulation.runtime('b')
  const options = { logger: false as const, insecure: true, discovery, runtime }
  const b = await mesh.run(createNode({ ...options, name: 'b', listen: 'b2:7000' }))
  await mesh.runUntil(() => b.nodes().join() === 'a,c' && peers(mesh) === 'b c,a b', { limitMs: 15_000 })
  const addressIn = (node: Node) => node.members().members.find(({ name }) => name === 'b')?.address
  t.strictSame(mesh.nodes.map(addressIn), [
    { host: 'b2', port: 7_000 },
    { host: 'b2', port: 7_000 },
  ])
  await mesh.advance(30_000)
  t.strictSame(
    mesh.nodes.map(node => count(node, 'mesh.dialTargets')),
    [0, 0],
    'nobody dials the old one',
  )
  await mesh.run(b.stop({ drainMs: 0 }))
  await mesh.stop()
})

t.test(
  'a node that cannot dial us from its new address is dialled there, when others tell of it',
  async t => {
    const mesh = await createTestMesh({ nodes: [], seed: 3 })
    const boot = (name: string, listen: string, options: NodeOptions = {}) =>
      mesh.run(
        createNode({
          name,
          listen,
          logger: false,
          insecure: true,
          runtime: mesh.simulation.runtime(name),
          ...options,
        }),
      )
    const seeds = ['c:7000']
    const c = await boot('c', 'c:7000')
    const a = await boot('a', 'a:7000', { advertise: 'nowhere:7000', seeds })
    await boot('b', 'b:7000', { seeds })
    await mesh.runUntil(() => a.nodes().join() === 'b,c', { limitMs: 5_000 })
    mesh.crash('b')
    await mesh.runUntil(() => a.nodes().join() === 'c', { limitMs: 10_000 })
    const b = await boot('b', 'b2:7000', { seeds })
    await mesh.runUntil(() => a.nodes().join() === 'b,c', { limitMs: 90_000 })
    t.strictSame(a.members().members[1]?.address, { host: 'b2', port: 7_000 })
    await mesh.advance(30_000)
    t.strictSame(
      [a, c].map(node => count(node, 'mesh.dialTargets')),
      [0, 0],
      'and nowhere else',
    )
    for (const node of [a, b, c]) await mesh.run(node.stop({ drainMs: 0 }))
  },
)

t.test('SRV records give hosts with ports; a target that does not resolve hides no other', async t => {
  const { mesh, warnings } = await world(['a', 'b'], { srv: '_troupe._tcp.sim' })
  mesh.network.resolveServices('_troupe._tcp.sim', [
    { host: 'a', port: 7_000 },
    { host: 'gone', port: 7_000 },
    { host: 'b', port: 7_000 },
  ])
  await mesh.runUntil(() => peers(mesh) === 'b,a', { limitMs: 15_000 })
  mesh.network.resolveServices('_troupe._tcp.sim', [{ host: 'gone', port: 7_000 }])
  await mesh.advance(30_000)
  t.equal(
    warnings().at(-1)?.slice(8),
    'discovery: srv _troupe._tcp.sim: ENOTFOUND: lookup gone; going on with the 2 that it listed before',
  )
  t.equal(peers(mesh), 'b,a')
  await mesh.stop()
})

t.test(
  'a name that fails is asked less and less, told of once, and holds what it listed for ten minutes',
  async t => {
    const { mesh, warnings, logger } = await world(['a'], { dns: 'all.sim', port: 7_000 })
    mesh.network.resolve('all.sim', ['a', 'away'])
    await mesh.advance(15_000)
    logger.said.length = 0
    mesh.network.resolve('all.sim', 'ESERVFAIL')
    const asked = count(mesh.node('a'), 'mesh.discovery.asked')
    await mesh.advance(500_000)
    t.strictSame(warnings(), [
      'warn a: discovery: dns all.sim:7000: ESERVFAIL: lookup all.sim; going on with the 2 that it listed before',
    ])
    t.ok(count(mesh.node('a'), 'mesh.discovery.asked') - asked < 20, 'backed off')
    t.equal(count(mesh.node('a'), 'mesh.discovered'), 2)
    await mesh.advance(300_000)
    t.equal(count(mesh.node('a'), 'mesh.discovered'), 0)
    t.equal(count(mesh.node('a'), 'mesh.dialTargets'), 0, 'old addresses are not dialled for ever')
    mesh.network.resolve('all.sim', ['a'])
    await mesh.advance(65_000)
    t.strictSame(warnings().slice(1), [
      'warn a: discovery: dns all.sim:7000: ESERVFAIL: lookup all.sim',
      'info a: discovery: dns all.sim:7000: answers again',
    ])
    await mesh.stop()
  },
)

t.test('a file is read again when it changes; a bad one is told of, and the last good one holds', async t => {
  const { mesh, warnings } = await world(['a', 'b'], { file: '/etc/troupe/peers', everyMs: 3_600_000 })
  const disk = mesh.simulation.disk('a')
  t.match(warnings()[0], /discovery: file \/etc\/troupe\/peers: ENOENT/)
  await mesh.advance(150_000) // by now it is asked for twice a minute at most
  disk.put('/etc/troupe/peers', '# the other one\nb:7000\n')
  await mesh.runUntil(() => peers(mesh) === 'b,a', { limitMs: 2_000 })
  disk.put('/etc/troupe/peers', '["b:7000", "c:70')
  await mesh.runUntil(() => warnings().some(line => line.includes('no JSON')), { limitMs: 1_000 })
  t.match(
    warnings().at(-1),
    /a JSON array of host:port, got what is no JSON: .*; going on with the 1 that it listed before$/,
  )
  t.equal(count(mesh.node('a'), 'mesh.discovered'), 1)
  await mesh.advance(620_000)
  t.equal(count(mesh.node('a'), 'mesh.discovered'), 1, 'for as long as it takes')
  disk.put('/etc/troupe/peers', '["b:7000", "c:7000"]')
  await mesh.runUntil(() => count(mesh.node('a'), 'mesh.discovered') === 2, { limitMs: 1_000 })
  disk.put('/etc/troupe/peers', 'x'.repeat(1_048_577))
  await mesh.runUntil(
    () => warnings().some(line => /expected at most 1048576 bytes, got 1048577/.test(line)),
    {
      limitMs: 1_000,
    },
  )
  await mesh.stop()
})

t.test('a function is asked at its time; whatever it does is told of, and asked again', async t => {
  let act: (signal: AbortSignal) => unknown = () => []
  const find = (signal: AbortSignal) => act(signal) as readonly string[]
  const { mesh, warnings } = await world(['a', 'b'], [{ find, everyMs: 1_000 }])
  const told = async (message: RegExp): Promise<void> => {
    await mesh.runUntil(() => warnings().some(line => message.test(line)), { limitMs: 70_000 })
  }
  act = () => {
    throw new Error('no permission')
  }
  await told(/discovery: find: no permission/)
  act = () => Promise.reject('told so')
  await told(/discovery: find: "told so"/)
  act = () => 'b:7000'
  await told(/discovery: find: expected an array of host:port, got "b:7000"/)
  act = () => ['b:7000', 'b']
  await told(/discovery: find: item 1: expected host:port/)
  const signals: AbortSignal[] = []
  act = signal => {
    signals.push(signal)
    return new Promise(() => {})
  }
  await told(/discovery: find: no answer within 5000 ms/)
  t.ok(signals.length > 0 && signals[0]!.aborted)
  await told(/discovery: find: 4 earlier questions still hang/)
  await mesh.advance(200_000)
  t.equal(signals.length, 8, 'four by each node, and no more')
  await mesh.stop()
})

t.test('a function that answers is followed, and its signal aborts when the node stops', async t => {
  const signals: AbortSignal[] = []
  let hangs = false
  const find = async (signal: AbortSignal) => {
    signals.push(signal)
    if (hangs) await new Promise(() => {})
    return ['a:7000', 'b:7000']
  }
  const { mesh } = await world(['a', 'b'], { find, everyMs: 1_000 })
  await mesh.runUntil(() => peers(mesh) === 'b,a', { limitMs: 5_000 })
  hangs = true
  const before = signals.length
  await mesh.runUntil(() => signals.length === before + 2, { limitMs: 5_000 })
  await mesh.stop()
  t.ok(signals.at(-1)!.aborted && signals.at(-2)!.aborted)
})

t.test('too long a list is cut, the same on every node, and told of once', async t => {
  const hosts = Array.from({ length: 40 }, (_, i) => `host-${String(i).padStart(2, '0')}`).reverse()
  const { mesh, warnings } = await world(
    ['a'],
    { find: () => hosts.map(h => `${h}:7000`), everyMs: 1_000 },
    {
      limits: { discoveredMax: 12 },
    },
  )
  await mesh.advance(60_000)
  t.strictSame(warnings(), ['warn a: discovery: find: lists 40 addresses; the first 12 are taken'])
  t.equal(count(mesh.node('a'), 'mesh.discovered'), 12)
  t.equal(count(mesh.node('a'), 'mesh.dialTargets'), 12)
  await mesh.stop()
})

t.test('a found node that refuses this one fails no start, is told of once, and is tried again', async t => {
  const { mesh } = await world(['a'], () => [])
  const logger = new Lines()
  const runtime = mesh.simulation.runtime('b')
  const strange = { name: 'b', cluster: 'other', listen: 'b:7000', insecure: true, logger, runtime }
  const b = await mesh.run(createNode({ ...strange, discovery: () => ['a:7000', 'b:7000'] }))
  await mesh.advance(300_000)
  t.equal(logger.said.length, 2, 'told of once')
  t.match(logger.said[0], /^warn b: .*cluster.*\(a:7000\)$/)
  t.match(
    logger.said[1],
    /^warn b: nobody could be reached \(seed a:7000: .*cluster.*\); alone for now, and goes on trying$/,
  )
  const before = count(b, 'mesh.dials')
  await mesh.advance(300_000)
  t.ok(count(b, 'mesh.dials') - before >= 9, 'still tried')
  await mesh.run(b.stop({ drainMs: 0 }))
  const again = mesh.simulation
  again.kill('b')
  const seeded = createNode({ ...strange, seeds: ['a:7000'], runtime: again.runtime('b') })
  await t.rejects(mesh.run(seeded), { code: 'ERR_HANDSHAKE' }, 'a seed was written down for this cluster')
  await mesh.stop()
})

// ---- the real edge ----

async function dnsServer(t: Test): Promise<DnsServer> {
  const server = await DnsServer.start()
  t.teardown(() => server.stop())
  return server
}

function event<E extends keyof NodeEvents>(node: Node, name: E): Promise<NodeEvents[E]> {
  return new Promise(resolve => node.once(name, (...args) => resolve(args)))
}

async function start(t: Test, options: NodeOptions): Promise<Node> {
  const node = await createNode({ logger: false, listen: '127.0.0.1:0', ...options })
  t.teardown(() => node.stop({ drainMs: 0 }))
  return node
}

async function connected(nodes: readonly Node[]): Promise<void> {
  for (const node of nodes) while (node.nodes().length < nodes.length - 1) await event(node, 'nodeup')
}

/** Resolves with the line that fits, whenever it is logged. */
function listening(): { readonly logger: Logger; line(fits: RegExp): Promise<string> } {
  const lines: string[] = []
  const waiting = new Set<() => void>()
  const log = (line: string): void => {
    lines.push(line)
    for (const look of [...waiting]) look()
  }
  const line = (fits: RegExp): Promise<string> =>
    new Promise(resolve => {
      const look = (): void => {
        const found = lines.find(said => fits.test(said))
        if (found === undefined) return
        waiting.delete(look)
        resolve(found)
      }
      waiting.add(look)
      look()
    })
  return { logger: { debug: () => {}, info: log, warn: log, error: log }, line }
}

t.test('the real resolver asks the servers that it is given for A, AAAA and SRV', async t => {
  const dns = await dnsServer(t)
  const { resolver } = createRealRuntime()
  const options = { servers: [dns.address] }
  dns.zones.set('all.test', { addresses: ['10.0.0.1', 'fe80::1:2', '10.0.0.2'] })
  dns.zones.set('v6.test', { addresses: ['::1'] })
  dns.zones.set('_troupe._tcp.test', { services: [{ host: 'v6.test', port: 7_001 }] })
  dns.zones.set('ill.test', 'SERVFAIL')
  t.strictSame([...(await resolver.lookup('all.test', options))].sort(), [
    '10.0.0.1',
    '10.0.0.2',
    'fe80::1:2',
  ])
  t.strictSame(await resolver.lookup('v6.test', options), ['::1'], 'one family alone')
  t.strictSame(await resolver.services('_troupe._tcp.test', options), [{ host: 'v6.test', port: 7_001 }])
  await t.rejects(resolver.lookup('none.test', options), { code: 'ENOTFOUND' })
  await t.rejects(resolver.services('all.test', options), { code: 'ENODATA' })
  await t.rejects(resolver.lookup('ill.test', options), { code: 'ESERVFAIL' })
  t.strictSame(dns.questions.slice(0, 2).sort(), ['all.test A', 'all.test AAAA'])
  dns.zones.set('deaf.test', 'silence')
  const giveUp = new AbortController()
  const asked = resolver.services('deaf.test', { ...options, signal: giveUp.signal })
  giveUp.abort()
  await t.rejects(asked, { code: 'ECANCELLED' }, 'a question can be given up')
})

t.test(
  'real nodes meet by SRV records of a DNS server, join later ones, and leave themselves alone',
  async t => {
    const dns = await dnsServer(t)
    const name = '_troupe._tcp.test'
    dns.zones.set('here.test', { addresses: ['127.0.0.1'] })
    const { logger, line } = listening()
    const discovery = { srv: name, servers: [dns.address], everyMs: 100 }
    const a = await start(t, { name: 'a', discovery, logger })
    await line(/^a: discovery: srv _troupe\._tcp\.test: .*ENOTFOUND/)
    await line(/^a: no other node was found; alone for now/)
    const b = await start(t, { name: 'b', discovery })
    const services = () => [a, b].map(node => ({ host: 'here.test', port: node.address!.port }))
    dns.zones.set(name, { services: services() })
    await connected([a, b])
    await line(/^a: discovery: srv _troupe\._tcp\.test: answers again/)
    const c = await start(t, { name: 'c', discovery })
    t.strictSame(c.nodes(), ['a', 'b'], 'it resolved when it had joined')
    const dials = count(c, 'mesh.dials')
    await dns.further(40) // each list takes three questions, of each node
    t.equal(count(c, 'mesh.dials'), dials, 'nobody is dialled again')
  },
)

t.test('a name that leads to the node itself is found out once, by the handshake', async t => {
  const dns = await dnsServer(t)
  dns.zones.set('me.test', { addresses: ['127.0.0.1'] })
  const before = await createNode({ name: 'before', listen: '127.0.0.1:0', logger: false })
  const { port } = before.address!
  await before.stop({ drainMs: 0 })
  const { logger, line } = listening()
  const me = await start(t, {
    name: 'me',
    listen: `127.0.0.1:${port}`,
    advertise: `127.0.0.9:${port}`, // so that it is the handshake that tells
    logger,
    discovery: { dns: 'me.test', port, servers: [dns.address], everyMs: 100 },
  })
  await line(/^me: no other node was found; alone for now/)
  await dns.further(20)
  t.equal(count(me, 'mesh.dials'), 1)
})

t.test('real nodes follow a watched file: replaced, half-written, mended', async t => {
  const folder = t.testdir()
  const file = join(folder, 'later', 'peers')
  const { logger, line } = listening()
  const a = await start(t, { name: 'a', logger, discovery: { file, everyMs: 100 } })
  await line(/^a: discovery: file .*peers: ENOENT/)
  mkdirSync(join(folder, 'later'))
  const b = await start(t, { name: 'b' })
  const write = (text: string): void => {
    writeFileSync(`${file}.new`, text)
    renameSync(`${file}.new`, file)
  }
  write(`127.0.0.1:${b.address!.port} # b\n`)
  await connected([a, b])
  const c = await start(t, { name: 'c', logger, discovery: { file, everyMs: 3_600_000 } })
  t.strictSame(c.nodes(), ['a', 'b'])
  writeFileSync(file, '127.0.0.1:70010\n')
  await line(
    /^c: discovery: file .*peers: line 1: expected host:port .*got "127\.0\.0\.1:70010"; going on with the 1/,
  )
  write('["127.0.0.1:')
  await line(/^c: discovery: file .*no JSON/)
  write(JSON.stringify([`127.0.0.1:${b.address!.port}`]))
  await line(/^c: discovery: file .*: answers again/)
})

t.test('the real watch looks by itself where the folder cannot be watched', async t => {
  const folder = t.testdir()
  const file = join(folder, 'none', 'peers')
  const { watch, loop } = createRealRuntime()
  const release = loop.hold() // a watch keeps nobody alive
  let told = (): void => {}
  const next = () =>
    new Promise<void>(resolve => {
      told = resolve
    })
  const looked = next()
  const end = watch(file, () => told())
  await looked
  const seen = next()
  mkdirSync(join(folder, 'none'))
  writeFileSync(file, 'a:1')
  await seen
  end()
  release()
  t.pass('it was seen')
})

// ---- the command ----

t.test('--discover says in words what the option says in objects', async t => {
  const { flags } = startCommand
  const options = (...argv: string[]) => {
    const { values } = parse({ command: 'start', words: [], flags }, argv)
    return startOptions(values as Parameters<typeof startOptions>[0], path => `/at/${path}`)
  }
  t.strictSame(
    options('--discover', 'dns:troupe.prod:7001', '--discover=srv:_troupe._tcp.x', '--discover', 'file:peers')
      .discovery,
    [{ dns: 'troupe.prod', port: 7_001 }, { srv: '_troupe._tcp.x' }, { file: '/at/peers' }],
  )
  t.notOk('discovery' in options(), 'none is none')
  t.equal(options('--advertise', 'a:7001').advertise, 'a:7001')
  for (const wrong of ['dns:a', 'dns::1', 'dns:a:b', 'srv:', 'file:', 'x:1', '10.0.0.1:7001', '']) {
    t.throws(() => options('--discover', wrong), {
      message: `--discover: expected dns:NAME:PORT, srv:NAME or file:PATH, got ${JSON.stringify(wrong)}`,
    })
  }
})

// ---- deployment ----

const ROOT = root()
const DEPLOY = join(ROOT, 'examples', 'deploy')
const deployed = (name: string): string => readFileSync(join(DEPLOY, name), 'utf8')
const cliSources = readdirSync(join(ROOT, 'lib', 'cli')).filter(name => name.endsWith('.ts'))
const variables = variablesOf(cliSources.map(name => readFileSync(join(ROOT, 'lib', 'cli', name), 'utf8')))

/** The text with every flag, key, number and variable misspelt, one at a time. */
function* misspelt(text: string, words: RegExp): Generator<readonly [string, string]> {
  for (const { 0: word, index } of text.matchAll(words)) {
    const line = text.lastIndexOf('\n', index) + 1
    if (/[#]/.test(text.slice(line, index))) continue // in a comment
    const end = index + word.length
    const whole = text.slice(line, text.indexOf('\n', end)).trim()
    yield [`${whole} (${word})`, `${text.slice(0, end)}9${text.slice(end)}`]
  }
}

t.test('what the deployment examples say is understood, and every misspelling is found', async t => {
  t.strictSame([...variables].sort(), ['TROUPE_CONNECT', 'TROUPE_SECRET'])
  const kubernetes = (text: string) => kubernetesProblems(text, variables)
  const compose = (text: string) => composeProblems(text, variables)
  t.strictSame(kubernetes(deployed('kubernetes.yaml')), [], 'kubernetes.yaml')
  t.strictSame(compose(deployed('compose.yaml')), [], 'compose.yaml')
  t.strictSame(unitProblems(deployed('troupe.service')), [], 'troupe.service')
  t.strictSame(imageProblems(deployed('Dockerfile'), '/app/actors'), [], 'Dockerfile')
  t.equal(parseAddressFile(deployed('peers')).length, 3, 'peers')

  const undetected = (check: (text: string) => readonly string[], text: string, words: RegExp) =>
    [...misspelt(text, words)].filter(([, wrong]) => check(wrong).length === 0).map(([where]) => where)
  // Keys, flags, commands, ports, variables and names that something else refers to.
  const yaml =
    /(?<=^ *(?:- )?|\{ |, )[\w.-]+(?=:(?: |$))|--[\w-]+|\b7001\b|\b(?:POD|TROUPE)_\w+|\btroupe\b|\bmesh\b/gm
  const harmless = /^(x-node: |build: |image: |- name: troupe \()/ // what only people read
  const slips = undetected(kubernetes, deployed('kubernetes.yaml'), yaml)
  t.strictSame(
    slips.filter(slip => !harmless.test(slip)),
    [],
    'kubernetes.yaml',
  )
  const others = undetected(compose, deployed('compose.yaml'), yaml)
  t.strictSame(
    others.filter(slip => !harmless.test(slip)),
    [],
    'compose.yaml',
  )
  const unit = undetected(
    unitProblems,
    deployed('troupe.service'),
    /--[\w-]+|\b7001\b|%d|\/(?:usr|etc\/troupe\/peers)\S*/g,
  )
  t.strictSame(unit, [], 'troupe.service')
})

t.test(
  'systemd finds no fault with the unit',
  { skip: spawnSync('systemd-analyze').error !== undefined },
  async t => {
    const folder = t.testdir()
    const verify = (text: string) => {
      const file = join(folder, 'troupe.service')
      writeFileSync(file, text.replace('/usr/local/bin/troupe', process.execPath))
      const { status, stderr } = spawnSync('systemd-analyze', ['verify', file], { encoding: 'utf8' })
      return { status, about: stderr.split('\n').filter(line => line.includes('troupe.service')) }
    }
    t.strictSame(verify(deployed('troupe.service')), { status: 0, about: [] })
    t.match(verify(deployed('troupe.service').replace('RestartSec', 'RestartSecs')).about[0], /Unknown key/)
  },
)

t.test('the README of the examples names every file, and makes the secret that they ask for', async t => {
  const readme = deployed('README.md')
  const files = readdirSync(DEPLOY).filter(name => name !== 'README.md')
  t.strictSame(
    files.filter(name => !readme.includes(`(${name})`)),
    [],
  )
  t.match(readme, /kubectl create secret generic troupe --from-literal=secret=/)
  t.match(readme, /kubectl exec troupe-0 -- troupe nodes\n/)
})
