/** The mesh by its rules, in simulated worlds: who joins, who is refused, who is up, what arrives and in which order. */
import t from 'tap'
import { defineActor } from '../lib/actor/define.js'
import { TroupeError } from '../lib/base/errors.js'
import type { NodeId } from '../lib/base/ids.js'
import { LIMITS, type Limits } from '../lib/base/limits.js'
import type { Address, DialResult, Runtime, Stream, Transport } from '../lib/base/runtime.js'
import { type ClientSession, dialClient } from '../lib/mesh/client.js'
import { createMesh, type MeshOptions } from '../lib/mesh/full-mesh.js'
import { type Mesh, type OutFrame, outFrame, type Session } from '../lib/mesh/mesh.js'
import { Simulation } from '../lib/sim/simulation.js'
import { createTestMesh } from '../lib/sim/test-mesh.js'
import { FrameType, HEADER_BYTES } from '../lib/wire/frame.js'
import { FrameReader } from '../lib/wire/frame-reader.js'

const SECRET = 'a secret of at least thirty-two bytes'

interface Peer {
  readonly mesh: Mesh
  /** What its listener heard, in order. */
  readonly heard: string[]
  readonly frames: string[]
}

class World {
  readonly sim: Simulation
  readonly peers = new Map<string, Peer>()
  #creations = 0

  constructor(seed = 1) {
    this.sim = new Simulation({ seed })
  }

  /** A node on a machine of the same name, on port 7001. */
  peer(name: string, seeds: readonly string[] = [], extra: Partial<MeshOptions> = {}, machine = name): Peer {
    const heard: string[] = []
    const frames: string[] = []
    this.#creations += 1
    const mesh = createMesh(
      {
        runtime: extra.runtime ?? this.sim.runtime(machine),
        self: name as NodeId,
        creation: this.#creations,
        listen: at(machine),
        seeds: seeds.map(at),
        cluster: { name: 'demo', parameters: { slots: 4096 } },
        secret: SECRET,
        ...extra,
      },
      [
        {
          types: [16, 32],
          sessionUp: s => void heard.push(`session ${s.peer} ${s.role === 'client' ? 'client' : s.epoch}`),
          sessionDown: (s, reason) => void heard.push(`session ${s.peer} down ${reason}`),
          memberUp: m => void heard.push(`${m.name} up`),
          memberSuspect: (m, reason) => void heard.push(`${m.name} suspect ${reason}`),
          memberAlive: m => void heard.push(`${m.name} alive`),
          memberDown: (m, reason) => void heard.push(`${m.name} down ${reason}`),
          memberUpdated: m => void heard.push(`${m.name} updated`),
          frame: (s, type, _flags, buffer, start, end) => {
            if (type === 32 && buffer.toString('utf8', start, start + 4) === 'bad!') {
              throw new TroupeError('ERR_FRAME', 'this listener does not know that')
            }
            const text = end - start > 40 ? `${end - start} bytes` : buffer.toString('utf8', start, end)
            frames.push(`${s.peer} ${type} ${text}`)
          },
        },
      ],
    )
    const peer = { mesh, heard, frames }
    this.peers.set(name, peer)
    return peer
  }

  /** Starts it and waits until that is done; returns what it failed with. */
  async start(peer: Peer): Promise<TroupeError | undefined> {
    let done = false
    let failed: TroupeError | undefined
    peer.mesh.start().then(
      () => void (done = true),
      (error: TroupeError) => {
        failed = error
        done = true
      },
    )
    await this.sim.runUntil(() => done, { limitMs: 60_000 })
    return failed
  }

  async cluster(...names: readonly string[]): Promise<readonly Peer[]> {
    const peers: Peer[] = []
    for (const name of names) {
      const peer = this.peer(name, names.length === 0 ? [] : names.slice(0, 1).filter(n => n !== name))
      await this.start(peer)
      peers.push(peer)
    }
    await this.sim.advance(100)
    for (const peer of peers) peer.heard.length = 0
    return peers
  }
}

const at = (host: string): Address => ({ host, port: 7_001 })
const names = (mesh: Mesh): readonly string[] => mesh.members().members.map(m => m.name)
const to = (peer: Peer, name: string): Session => peer.mesh.session(name as NodeId)!

const frame = (text: string | Buffer, pair = 1, refusable = true): OutFrame =>
  outFrame(32, 0, pair, Buffer.concat([Buffer.alloc(HEADER_BYTES), Buffer.from(text)]), undefined, refusable)

t.test('everybody learns everybody from one seed', async t => {
  const world = new World()
  const peers: Peer[] = [world.peer('a')]
  for (const name of ['b', 'c', 'd', 'e']) peers.push(world.peer(name, ['a']))
  for (const peer of peers) t.equal(await world.start(peer), undefined, 'it starts')
  await world.sim.advance(100)
  for (const { mesh } of peers) {
    t.strictSame(names(mesh), ['a', 'b', 'c', 'd', 'e'], `${mesh.self} sees all`)
    t.equal(mesh.sessions().length, 4, `${mesh.self} has a session with each`)
  }
  t.strictSame(peers[4]!.heard.slice(0, 2), ['session a 1', 'a up'], 'the session is told before the member')
})

t.test('a start resolves only when every learnt member is connected', async t => {
  const world = new World()
  await world.cluster('a', 'b', 'c')
  const late = world.peer('d', ['a'])
  await world.start(late)
  t.strictSame(names(late.mesh), ['a', 'b', 'c', 'd'])
})

t.test('a node whose seeds all fail is alone, and joins when one comes', async t => {
  const world = new World()
  const b = world.peer('b', ['a', 'z'])
  t.equal(await world.start(b), undefined)
  t.strictSame(names(b.mesh), ['b'])
  const a = world.peer('a')
  await world.start(a)
  await world.sim.advance(31_000)
  t.strictSame(
    [names(a.mesh), names(b.mesh)],
    [
      ['a', 'b'],
      ['a', 'b'],
    ],
  )
})

t.test('a node without an address and without seeds opens no socket and has no timer', async t => {
  const world = new World()
  const a = world.peer('a', [], { listen: undefined })
  await world.start(a)
  t.strictSame([a.mesh.address, names(a.mesh)], [undefined, ['a']])
  const events = world.sim.log.count
  await world.sim.advance(60_000)
  t.equal(world.sim.log.count, events, 'nothing happens in it')
})

t.test('a mesh that is stopped while it begins to listen listens no more', async t => {
  const world = new World()
  const runtime = world.sim.runtime('a')
  const { mesh } = world.peer('a', [], { runtime })
  const refused = t.rejects(mesh.start(), { code: 'ERR_STOPPED' })
  let stopped = false
  void mesh.stop({ timeoutMs: 0 }).then(() => void (stopped = true))
  await world.sim.runUntil(() => stopped, { limitMs: 1_000 })
  await world.sim.advance(100)
  await refused
  t.equal(await world.start(world.peer('b', [], { runtime }, 'a')), undefined, 'the address is free')
})

t.test('the epochs of lives that are gone are kept for a while, and not for ever', async t => {
  const world = new World()
  const a = world.peer('a', [], { limits: { ...LIMITS, membersMax: 2 } })
  await world.start(a)
  const machine = world.sim.runtime('m')
  const visit = async (name: string): Promise<void> => {
    const { mesh } = world.peer(name, ['a'], { creation: 77, runtime: machine }, 'm')
    await world.start({ mesh, heard: [], frames: [] })
    await world.sim.advance(100)
    let gone = false
    void mesh.stop({ timeoutMs: 100 }).then(() => void (gone = true))
    await world.sim.runUntil(() => gone, { limitMs: 5_000 })
    await world.sim.advance(3_000)
  }
  for (const name of ['b', 'b', 'c', 'd', 'e', 'f', 'b']) await visit(name)
  t.strictSame(
    a.heard.filter(line => line.startsWith('session b') && !line.includes('down')),
    ['session b 1', 'session b 2', 'session b 1'],
  )
})

t.test('its own address among the seeds does no harm', async t => {
  const world = new World()
  const a = world.peer('a', ['a'])
  t.equal(await world.start(a), undefined)
  t.strictSame([names(a.mesh), a.heard], [['a'], []])
})

t.test('a seed that left, or died, is dialled until it is back, under whatever name', async t => {
  for (const [how, next] of [
    ['stop', 'a'],
    ['stop', 'z'],
    ['kill', 'z'],
  ] as const) {
    const world = new World()
    const [a, b] = await world.cluster('a', 'b')
    if (how === 'stop') void a!.mesh.stop({ timeoutMs: 1_000 })
    await world.sim.advance(how === 'stop' ? 1_500 : 0)
    world.sim.kill('a')
    await world.sim.advance(3_600_000)
    t.strictSame(names(b!.mesh), ['b'])
    const { dials = 0 } = b!.mesh.stats()
    t.ok(dials < (how === 'stop' ? 200 : 1_200), `${dials} dials in an hour`)
    const again = world.peer(next, [], {}, 'a')
    await world.start(again)
    await world.sim.advance(31_000)
    const both = ['b', next].sort()
    t.strictSame([names(again.mesh), names(b!.mesh)], [both, both], `${how}, and back as ${next}`)
    t.equal(b!.mesh.sessions().length, 1)
  }
})

t.test('whoever is found where a member was is taken in, and the member is still looked for', async t => {
  const world = new World()
  const [, b] = await world.cluster('a', 'b', 'c')
  world.sim.kill('a')
  world.sim.kill('c')
  await world.sim.advance(60_000)
  const d = world.peer('d', ['a'], {}, 'c')
  await world.start(d)
  await world.sim.advance(5_000)
  t.strictSame([names(b!.mesh), names(d.mesh)].join(' '), 'b,d b,d')
  void d.mesh.stop({ timeoutMs: 0 })
  await world.sim.advance(1_000)
  world.sim.kill('c')
  await world.start(world.peer('c', [], {}, 'c'))
  await world.sim.advance(5_000)
  t.strictSame(names(b!.mesh), ['b', 'c'])
})

t.test('its own address is dialled once, whatever comes and goes', async t => {
  const world = new World()
  const a = world.peer('a', ['a', 'b'])
  await world.start(a)
  for (let life = 0; life < 3; life++) {
    const b = world.peer('b')
    await world.start(b)
    await world.sim.advance(31_000)
    t.strictSame(names(a.mesh), ['a', 'b'])
    void b.mesh.stop({ timeoutMs: 0 })
    await world.sim.advance(1_000)
    world.sim.kill('b')
  }
  await world.sim.advance(600_000)
  t.equal(a.mesh.stats()['dialTargets'], 1, 'only the other seed')
  t.ok(a.mesh.stats()['dials']! < 80, `${a.mesh.stats()['dials']} dials`)
})

const refusals: readonly [string, Partial<MeshOptions>, RegExp][] = [
  ['another secret', { secret: 'another secret of enough, enough bytes' }, /the secrets differ/],
  ['no secret where there is one', { secret: undefined }, /one node has a secret and the other has none/],
  [
    'another cluster name',
    { cluster: { name: 'other', parameters: { slots: 4096 } } },
    /cluster "other" here, "demo" there/,
  ],
  [
    'another slot count',
    { cluster: { name: 'demo', parameters: { slots: 64 } } },
    /"slots=64" here, "slots=4096" there/,
  ],
]
for (const [what, extra, why] of refusals) {
  t.test(`${what}: start rejects with ERR_HANDSHAKE and says why`, async t => {
    const world = new World()
    const [a] = await world.cluster('a')
    const b = world.peer('b', ['a'], extra)
    const failed = await world.start(b)
    t.match(failed, { code: 'ERR_HANDSHAKE', message: why })
    t.strictSame([names(a!.mesh), a!.heard, a!.mesh.stats()['refused']], [['a'], [], 1], 'nothing else moved')
  })
}

t.test('a secret that is being replaced is accepted next to the new one', async t => {
  const world = new World()
  await world.start(world.peer('a', [], { secret: ['the new secret, thirty-two bytes long', SECRET] }))
  const b = world.peer('b', ['a'])
  t.equal(await world.start(b), undefined)
  t.strictSame(names(b.mesh), ['a', 'b'])
})

t.test('a second node of a live name is refused, and the first one lives on', async t => {
  const world = new World()
  const [a, b] = await world.cluster('a', 'b')
  const other = world.peer('b', ['a'], {}, 'elsewhere')
  t.match(await world.start(other), { code: 'ERR_DUPLICATE_NODE' })
  t.strictSame([a!.heard, b!.heard], [[], []])
})

t.test('a newer life of a silent node takes its place: down before up', async t => {
  const world = new World()
  const [a] = await world.cluster('a', 'b')
  world.sim.pause('b')
  const again = world.peer('b', ['a'], {}, 'elsewhere')
  t.equal(await world.start(again), undefined)
  t.strictSame(a!.heard, ['session b down replaced', 'b down replaced', 'session b 1', 'b up'])
})

t.test('who has proved the secret, and waits, is not displaced by others who have not', async t => {
  const world = new World()
  const [a] = await world.cluster('a', 'b')
  world.sim.pause('b')
  const runtime = world.sim.runtime('elsewhere')
  const again = world.peer('b', ['a'], { runtime }, 'elsewhere')
  void again.mesh.start()
  await world.sim.advance(500)
  t.equal(a!.mesh.stats()['unauthenticated'], 1)
  for (let i = 0; i < 12; i++) {
    runtime.transport.dial(at('a'), { timeoutMs: 1_000 }, (result: DialResult) => {
      if (result.ok) result.stream.open({ data: () => {}, drain: () => {}, close: () => {} })
    })
  }
  await world.sim.advance(200)
  t.equal(a!.mesh.stats()['evicted'], 5)
  t.equal(again.mesh.sessions().length, 0)
  await world.sim.advance(500)
  t.strictSame(a!.heard, ['session b down replaced', 'b down replaced', 'session b 1', 'b up'])
})

t.test('a goodbye is a departure, and who left is not dialled', async t => {
  const world = new World()
  const [a, b] = await world.cluster('a', 'b')
  void b!.mesh.stop({ timeoutMs: 1_000 })
  await world.sim.advance(2_000)
  t.strictSame(a!.heard, ['session b down left', 'b down left'])
  t.equal(a!.mesh.stats()['dialTargets'], 0)
})

t.test('what was sent before a stop arrives before the goodbye', async t => {
  const world = new World()
  const [a, b] = await world.cluster('a', 'b')
  to(b!, 'a').send(frame('x'.repeat(1_000_000)))
  to(b!, 'a').send(frame('last'))
  void b!.mesh.stop({ timeoutMs: 5_000 })
  await world.sim.advance(5_000)
  t.strictSame(a!.frames, ['b 32 1000000 bytes', 'b 32 last'])
})

t.test('a killed process is down at once, because its address refuses', async t => {
  const world = new World()
  const [a] = await world.cluster('a', 'b', 'c')
  world.sim.kill('b')
  await world.sim.advance(200)
  t.strictSame(a!.heard, ['session b down connection_closed', 'b down refused'])
  t.strictSame(names(a!.mesh), ['a', 'c'])
})

t.test('silence is a suspicion after 2.5 s, and down 4 to 6 s after the last byte', async t => {
  const world = new World()
  const [a] = await world.cluster('a', 'b')
  world.sim.crash('b')
  await world.sim.advance(1_900)
  t.strictSame(a!.heard, [])
  await world.sim.advance(900)
  t.strictSame(a!.heard, ['b suspect timeout'])
  await world.sim.advance(1_200)
  t.strictSame(a!.heard.length, 1)
  await world.sim.advance(2_000)
  t.strictSame(a!.heard, ['b suspect timeout', 'session b down timeout', 'b down timeout'])
})

t.test(
  'one of five that stands still is suspected in 2 to 3 s and down in 6 s, everywhere, once; and comes back',
  async t => {
    for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
      const world = new World(seed)
      const peers = await world.cluster('a', 'b', 'c', 'd', 'e')
      await world.sim.advance(3_000 + 100 * seed)
      const others = peers.slice(0, 4)
      const when = (words: RegExp): number[] => {
        for (const peer of others) {
          for (const line of peer.heard)
            if (!seen.has(peer) && words.test(line)) seen.set(peer, world.sim.nowMs)
        }
        return [...seen.values()]
      }
      const seen = new Map<Peer, number>()
      const until = async (words: RegExp): Promise<readonly number[]> => {
        seen.clear()
        await world.sim.runUntil(() => when(words).length === others.length, { limitMs: 20_000 })
        return [...seen.values()].map(ms => ms - stoppedMs)
      }
      const stoppedMs = world.sim.nowMs
      world.sim.pause('e')
      const suspected = await until(/^e suspect/)
      t.ok(
        suspected.every(ms => ms >= 2_000 && ms <= 3_000),
        `suspected after ${suspected}`,
      )
      const down = await until(/^e down timeout/)
      t.ok(
        down.every(ms => ms >= 3_500 && ms <= 6_000),
        `down after ${down}`,
      )
      world.sim.resume('e')
      await world.sim.advance(3_000)
      for (const peer of others) {
        const members = peer.heard.filter(line => !line.startsWith('session'))
        const why = members[0]?.split(' ')[2]
        t.strictSame(members, [`e suspect ${why}`, 'e down timeout', 'e up'])
        t.equal(names(peer.mesh).length, 5)
      }
      t.notOk(
        peers[4]!.heard.some(line => /suspect|^\S+ down/.test(line)),
        'who slept accuses nobody',
      )
    }
  },
)

t.test('a stall of 3 s is a suspicion at most: nobody goes down, and who stalled accuses nobody', async t => {
  for (const seed of [1, 2, 3]) {
    const world = new World(seed)
    const peers = await world.cluster('a', 'b', 'c', 'd', 'e')
    for (let i = 0; i < 5; i++) {
      world.sim.pause('a')
      await world.sim.advance(3_000)
      world.sim.resume('a')
      await world.sim.advance(4_000)
    }
    t.strictSame(peers[0]!.heard, [], 'it saw nothing amiss')
    for (const peer of peers.slice(1)) {
      t.ok(
        peer.heard.every(line => /^a (suspect|alive)/.test(line)),
        `${peer.heard}`,
      )
    }
  }
})

t.test('no false down in ten minutes of 100 ± 50 ms and connections that break', async t => {
  const world = new World(3)
  const all = ['a', 'b', 'c', 'd', 'e']
  const peers = await world.cluster(...all)
  const link = { delayMsMin: 50, delayMsMax: 150, resetRate: 0.01 }
  for (const from of all) for (const to of all) if (from !== to) world.sim.network.link(from, to, link)
  await world.sim.advance(600_000)
  for (const { heard, mesh } of peers) {
    t.notOk(
      heard.some(line => /^\S+ down/.test(line)),
      `${mesh.self}: none down`,
    )
    t.ok(heard.filter(line => line.startsWith('session')).length > 20, 'though sessions came and went')
  }
})

for (const how of ['cut', 'cutOneWay'] as const) {
  t.test(
    `${how} between two that a third one reaches: all stay members, and the session comes back`,
    async t => {
      const world = new World()
      const peers = await world.cluster('a', 'b', 'c')
      world.sim.network[how]('a', 'b')
      await world.sim.advance(40_000)
      const ofMembers = peers.flatMap(({ heard }) => heard.filter(line => !line.startsWith('session')))
      t.strictSame(ofMembers, [], 'nobody is suspected')
      t.match(peers[0]!.heard, [/^session b down (timeout|connection_closed)$/], 'once')
      t.strictSame([peers[2]!.heard, to(peers[0]!, 'b')], [[], undefined])
      t.strictSame(names(peers[0]!.mesh), ['a', 'b', 'c'])
      world.sim.network.heal()
      await world.sim.advance(5_000)
      t.strictSame([to(peers[0]!, 'b').open, to(peers[1]!, 'a').open], [true, true])
    },
  )
}

t.test('a cut that leaves two alone: both take the other for down, whichever way it goes', async t => {
  for (const how of ['cut', 'cutOneWay'] as const) {
    const world = new World()
    const [a, b] = await world.cluster('a', 'b')
    world.sim.network[how]('a', 'b')
    await world.sim.advance(15_000)
    t.strictSame([names(a!.mesh), names(b!.mesh)], [['a'], ['b']], how)
    world.sim.network.heal()
    await world.sim.advance(5_000)
    t.equal(names(a!.mesh).length + names(b!.mesh).length, 4)
  }
})

t.test(
  'who leaves while it is cut off from one member has left for that one, too, and is not dialled',
  async t => {
    const world = new World()
    const [a, , c] = await world.cluster('a', 'b', 'c', 'd')
    world.sim.network.cut('a', 'c')
    await world.sim.advance(10_000)
    void c!.mesh.stop({ timeoutMs: 1_000 })
    await world.sim.advance(8_000)
    t.match(a!.heard.slice(1), [/^c suspect/, 'c down left'])
    t.equal(a!.mesh.stats()['dialTargets'], 0)
  },
)

t.test('an address that does not answer is no address that refuses: suspicion first', async t => {
  const world = new World()
  const [a] = await world.cluster('a', 'b')
  world.sim.network.reset('a', 'b')
  world.sim.network.cut('a', 'b')
  await world.sim.advance(2_400)
  t.strictSame(a!.heard, ['session b down connection_closed'])
  await world.sim.advance(3_000)
  t.strictSame(a!.heard.slice(1), ['b suspect connection_closed', 'b down timeout'])
})

t.test('one of ten that is killed is down everywhere at once', async t => {
  const world = new World()
  const peers = await world.cluster(...'abcdefghij')
  world.sim.kill('j')
  await world.sim.advance(50)
  for (const peer of peers.slice(0, 9)) t.strictSame(peer.heard.at(-1), 'j down refused')
})

t.test('a killed node whose next life comes at once is replaced, once, everywhere', async t => {
  const world = new World()
  const peers = await world.cluster('a', 'b', 'c', 'd')
  world.sim.kill('d')
  const again = world.peer('d', ['a'])
  t.equal(await world.start(again), undefined)
  await world.sim.advance(3_000)
  for (const { heard, mesh } of peers.slice(0, 3)) {
    t.match(
      heard.filter(line => !line.startsWith('session')),
      [/^d down (replaced|refused)$/, 'd up'],
    )
    t.match(mesh.members().members[3], { creation: again.mesh.creation, incarnation: 2 })
  }
})

t.test('a node tells new tags and metadata to all, each of whom hears of it once', async t => {
  const world = new World()
  const peers = await world.cluster('a', 'b', 'c', 'd', 'e')
  const updated: string[] = []
  const watcher = world.peer('w', ['a'])
  t.equal(await world.start(watcher), undefined)
  await world.sim.advance(2_000)
  peers[1]!.mesh.update({ tags: ['gpu', 'big', 'gpu'], meta: { zone: 'x' } })
  t.match(peers[1]!.mesh.members().members[1], { tags: ['big', 'gpu'], meta: { zone: 'x' }, incarnation: 2 })
  peers[1]!.mesh.update({ meta: {} })
  await world.sim.advance(2_000)
  for (const { mesh } of [...peers, watcher]) {
    t.match(mesh.members().members[1], { name: 'b', tags: ['big', 'gpu'], meta: {}, incarnation: 3 })
  }
  for (const { heard } of peers) updated.push(...heard.filter(line => line === 'b updated'))
  t.ok(updated.length >= 5 && updated.length <= 10, 'two updates, of which others may see the last alone')
  t.throws(() => peers[0]!.mesh.update({ meta: { x: 'y'.repeat(600) } }), RangeError)
})

t.test('node.update is seen by members and events everywhere, and processes are placed by it', async t => {
  const counter = defineActor('counter', {
    init: () => ({}),
    calls: { where: (_s, _: undefined, ctx) => ctx.node.name },
  })
  const mesh = await createTestMesh({ nodes: 3, seed: 1, actors: [counter] })
  const told: string[] = []
  for (const node of mesh.nodes)
    node.on('member:updated', ({ member }) => void told.push(`${node.name}: ${member.name} ${member.tags}`))
  const before = mesh.node('a').members()
  mesh.node('c').update({ tags: ['gpu'] })
  t.strictSame(mesh.node('c').members().members[2]?.tags, ['gpu'], 'here at once')
  await mesh.advance(1_000)
  t.strictSame(told.sort(), ['a: c gpu', 'b: c gpu', 'c: c gpu'], 'each is told once')
  t.ok(mesh.node('a').members().version > before.version)
  t.strictSame(before.members[2]?.tags, [], 'a view stays as it was')
  const ref = await mesh.run(mesh.node('a').spawn(counter, undefined, { name: 'x', on: { tag: 'gpu' } }))
  t.equal(ref.pid.node, 'c')
  const c = mesh.node('c')
  t.throws(() => c.update({ meta: { x: 'y'.repeat(600) } }), RangeError)
  await mesh.stop()
  t.throws(() => c.update({}), { code: 'ERR_STOPPED' })
})

t.test('the profile local misses a member within 2.5 s', async t => {
  const world = new World()
  const peers: Peer[] = []
  for (const name of ['a', 'b', 'c']) {
    const peer = world.peer(name, name === 'a' ? [] : ['a'], { profile: 'local' })
    await world.start(peer)
    peers.push(peer)
  }
  await world.sim.advance(500)
  world.sim.crash('c')
  await world.sim.advance(2_500)
  t.strictSame(
    peers.slice(0, 2).map(({ mesh }) => names(mesh)),
    [
      ['a', 'b'],
      ['a', 'b'],
    ],
  )
})

t.test('a suspect that is heard again is alive, in the same session', async t => {
  const world = new World()
  const [a] = await world.cluster('a', 'b')
  world.sim.pause('b')
  await world.sim.advance(3_000)
  world.sim.resume('b')
  await world.sim.advance(1_000)
  t.strictSame(a!.heard, ['b suspect timeout', 'b alive'])
})

t.test('a node that stood still accuses nobody of it', async t => {
  const world = new World()
  const [a, b] = await world.cluster('a', 'b')
  world.sim.pause('a')
  await world.sim.advance(4_000)
  world.sim.resume('a')
  await world.sim.advance(2_000)
  t.strictSame([a!.heard, b!.heard], [[], ['a suspect timeout', 'a alive']])
})

t.test('a reset connection comes back with the next epoch, and no member was down', async t => {
  const world = new World()
  const [a, b] = await world.cluster('a', 'b')
  world.sim.network.reset('a', 'b')
  await world.sim.advance(3_000)
  const told = (name: string): string[] => [`session ${name} down connection_closed`, `session ${name} 2`]
  t.strictSame([a!.heard, b!.heard], [told('b'), told('a')])
  t.equal(to(a!, 'b').epoch, to(b!, 'a').epoch)
})

t.test('both sides of a cut find each other when it heals', async t => {
  const world = new World()
  const peers = await world.cluster('a', 'b', 'c')
  world.sim.network.partition(['a'], ['b', 'c'])
  await world.sim.advance(20_000)
  t.strictSame(
    peers.map(p => names(p.mesh)),
    [['a'], ['b', 'c'], ['b', 'c']],
  )
  world.sim.network.heal()
  await world.sim.advance(5_000)
  t.strictSame(
    peers.map(p => names(p.mesh)),
    [
      ['a', 'b', 'c'],
      ['a', 'b', 'c'],
      ['a', 'b', 'c'],
    ],
  )
})

t.test('a cut of nine minutes heals within 5 s, one of half an hour within 15 s, by itself', async t => {
  for (const [cutMs, healMs] of [
    [540_000, 5_000],
    [1_800_000, 15_000],
  ] as const) {
    const world = new World()
    const peers = await world.cluster('a', 'b', 'c', 'd', 'e')
    world.sim.network.partition(['a', 'b'], ['c', 'd', 'e'])
    await world.sim.advance(cutMs)
    t.strictSame(
      peers.map(p => names(p.mesh).join('')),
      ['ab', 'ab', 'cde', 'cde', 'cde'],
    )
    world.sim.network.heal()
    await world.sim.advance(healMs)
    t.strictSame(
      peers.map(p => names(p.mesh).join('')),
      ['abcde', 'abcde', 'abcde', 'abcde', 'abcde'],
    )
  }
})

/** The runtime, and what is written through it. */
function counting(runtime: Runtime, count: (chunk: Buffer, stream: Stream) => void): Runtime {
  const counted = (stream: Stream): Stream => {
    const { write } = stream // which `writeAll` goes through
    return Object.assign(stream, {
      write: (chunk: Buffer) => {
        count(chunk, stream)
        return write.call(stream, chunk)
      },
    })
  }
  const { listen, dial } = runtime.transport
  const transport: Transport = {
    listen: (address, accept) => listen(address, stream => accept(counted(stream))),
    dial: (address, options, done) =>
      dial(address, options, result =>
        done(result.ok ? { ...result, stream: counted(result.stream) } : result),
      ),
  }
  return { ...runtime, transport }
}

t.test('of twenty members that do nothing each says less than 10 KB a second', async t => {
  const world = new World()
  let bytes = 0
  for (let i = 0; i < 20; i++) {
    const runtime = counting(world.sim.runtime(`n${i}`), chunk => {
      bytes += chunk.length
    })
    t.equal(await world.start(world.peer(`n${i}`, i === 0 ? [] : ['n0'], { runtime }, `n${i}`)), undefined)
  }
  await world.sim.advance(5_000)
  bytes = 0
  await world.sim.advance(32_000) // each list is exchanged once
  const perSecond = Math.round(bytes / 20 / 32)
  t.ok(perSecond > 1_000 && perSecond < 10_000, `${perSecond} bytes`)
})

const parts = (frames: readonly { pair: number }[]): number => frames.filter(({ pair }) => pair === 1).length

/** The frames that leave, in their order. */
function written(runtime: Runtime, frames: { type: number; pair: number }[]): Runtime {
  const readers = new Map<Stream, FrameReader>()
  return counting(runtime, (chunk, stream) => {
    let reader = readers.get(stream)
    if (reader === undefined) {
      reader = new FrameReader(LIMITS.frameBytesMax, ({ type, pair, further }) => {
        if (!further) frames.push({ type, pair })
      })
      readers.set(stream, reader)
    }
    reader.push(Buffer.from(chunk))
  })
}

t.test('16 MiB that take six seconds hold up no heartbeat, and no other pair beyond a part', async t => {
  const world = new World()
  const bytes = LIMITS.messageBytesMax - 1_000
  const out: { type: number; pair: number }[] = []
  const a = world.peer('a', [], { runtime: written(world.sim.runtime('a'), out) })
  const b = world.peer('b', ['a'])
  await world.start(a)
  await world.start(b)
  await world.sim.advance(100)
  a.heard.length = 0
  b.heard.length = 0
  world.sim.network.link('a', 'b', { bytesPerMs: 2_700 })
  const session = to(a, 'b')
  t.equal(session.send(frame(Buffer.alloc(bytes, 'x'))), 'busy')
  const large = `a 32 ${bytes} bytes`
  let [small, most] = [0, 0]
  while (!b.frames.includes(large)) {
    const from = out.length
    session.send(frame(`${small}`, 2))
    small += 1
    await world.sim.advance(50)
    let leaves = -1
    while ((leaves = out.slice(from).findIndex(({ pair }) => pair === 2)) === -1) await world.sim.advance(10)
    most = Math.max(most, parts(out.slice(from, from + leaves)))
  }
  t.ok(small > 120, `it took ${small * 50} ms, more than any silence is borne`)
  t.ok(most <= 2, `${most} parts of it left between the sending and the leaving of a small one, at most`)
  const heartbeats = out.filter(({ type }) => type === FrameType.heartbeat).length
  t.ok(heartbeats >= Math.floor(small / 10) - 1, `${heartbeats} heartbeats`)
  const before = b.frames.indexOf(large)
  t.ok(before >= small - 4, `${before} of ${small} small ones came before it`)
  const all = Array.from({ length: before }, (_, i) => `a 32 ${i}`)
  t.strictSame(b.frames.slice(0, before), all, 'in order')
  t.strictSame([a.heard, b.heard], [[], []], 'nobody was suspect')
})

t.test('frames of one pair keep their order around a large body, and others pass it', async t => {
  const world = new World()
  const [a, b] = await world.cluster('a', 'b')
  const session = to(a!, 'b')
  session.send(frame('first'))
  session.send(frame('x'.repeat(3_000_000)))
  session.send(frame('third'))
  session.send(frame('other', 2))
  session.sendSlot(16, Buffer.from('slot'))
  await world.sim.advance(3_000)
  t.strictSame(
    b!.frames.filter(f => !/other|slot/.test(f)),
    ['a 32 first', 'a 32 3000000 bytes', 'a 32 third'],
  )
  t.ok(b!.frames.indexOf('a 32 other') < b!.frames.indexOf('a 32 3000000 bytes'), 'another pair passes')
  t.ok(b!.frames.indexOf('a 16 slot') < b!.frames.indexOf('a 32 other'), 'the slot lane goes first')
})

t.test('a frame that its listener refuses ends that session as protocol, and a new one comes', async t => {
  const world = new World()
  const [a, b] = await world.cluster('a', 'b')
  const old = to(a!, 'b')
  old.send(frame('bad!'))
  old.send(frame('after'))
  await world.sim.advance(1_000)
  t.strictSame(b!.heard, ['session a down protocol', 'session a 2'])
  t.strictSame([b!.frames, old.open, old.send(frame('more'))], [[], false, 'ok'])
})

t.test('towards a peer that does not read: busy, full, then dropped as overloaded', async t => {
  const world = new World()
  const limits: Limits = { ...LIMITS, queueBytesBusy: 10_000, queueBytesMax: 50_000, signalBytesMax: 20_000 }
  const a = world.peer('a', [], { limits })
  await world.start(a)
  await world.start(world.peer('b', ['a']))
  await world.sim.advance(100)
  a.heard.length = 0
  world.sim.pause('b')
  const session = to(a, 'b')
  const answers: string[] = []
  for (let i = 0; i < 1_000; i++) {
    const answer = session.send(frame('x'.repeat(1_000)))
    if (answers.at(-1) !== answer) answers.push(answer)
  }
  t.strictSame(answers, ['ok', 'busy', 'full'])
  t.ok(a.mesh.stats()['queuedBytes']! <= 50_000 + 1_020)
  for (let i = 0; i < 1_000; i++) session.send(frame('x'.repeat(1_000), 1, false))
  for (let i = 0; i < 1_000; i++) session.sendSlot(16, Buffer.alloc(60_000))
  t.ok(
    a.mesh.stats()['queuedBytes']! <= 50_000 + 20_000 + 2 * 1_020,
    'no more is kept for a peer that is dropped',
  )
  t.strictSame(a.heard, [], 'no listener is called from inside send')
  await world.sim.advance(300)
  t.strictSame(a.heard[0], 'session b down overloaded')
})

t.test(
  'onDrained calls back at once when nothing waits, later when the queue fell, and when the session is gone',
  async t => {
    const world = new World()
    const [a] = await world.cluster('a', 'b')
    const session = to(a!, 'b')
    const told: string[] = []
    session.onDrained(() => void told.push('idle'))
    t.strictSame(told, [], 'not from inside')
    t.equal(session.send(frame('x'.repeat(4_000_000))), 'busy')
    session.onDrained(() => void told.push('drained'))
    await world.sim.advance(5_000)
    world.sim.crash('b')
    session.send(frame('x'.repeat(8_000_000)))
    session.onDrained(() => void told.push('gone'))
    session.onDrained(() => void told.push('given up'))()
    await world.sim.advance(6_000)
    t.strictSame(told, ['idle', 'drained', 'gone'])
  },
)

t.test('bytes that are not ours close that connection, and nothing else moves', async t => {
  const world = new World()
  const [a, b] = await world.cluster('a', 'b')
  const closed: string[] = []
  const junk = [
    'GET / HTTP/1.1\r\n\r\n'.repeat(3),
    '\u0001\u0001\u0000\u0014\u00ff\u00ff\u00ff\u007f'.padEnd(20, '\u0000'),
    '\u0000'.repeat(64),
  ]
  const { transport } = world.sim.runtime('stranger')
  for (const bytes of junk) {
    transport.dial(at('a'), { timeoutMs: 1_000 }, (result: DialResult) => {
      if (!result.ok) return
      result.stream.open({ data: () => {}, drain: () => {}, close: () => void closed.push('closed') })
      result.stream.write(Buffer.from(bytes, 'latin1'))
    })
    await world.sim.advance(100)
  }
  t.equal(closed.length, 3)
  t.strictSame([a!.mesh.stats()['notOurs'], a!.heard, b!.heard], [3, [], []])
})

t.test(
  'who connects and says nothing is dropped after five seconds, and only eight per address may',
  async t => {
    const world = new World()
    const [a] = await world.cluster('a')
    let closed = 0
    const { transport } = world.sim.runtime('stranger')
    for (let i = 0; i < 12; i++) {
      transport.dial(at('a'), { timeoutMs: 1_000 }, (result: DialResult) => {
        if (result.ok)
          result.stream.open({ data: () => {}, drain: () => {}, close: () => void (closed += 1) })
      })
    }
    await world.sim.advance(1_000)
    t.strictSame([a!.mesh.stats()['unauthenticated'], closed], [8, 4])
    await world.sim.advance(5_000)
    t.strictSame([a!.mesh.stats()['unauthenticated'], closed], [0, 12])
  },
)

t.test('a client is told the cluster, exchanges frames, and is no member', async t => {
  const world = new World()
  const [a] = await world.cluster('a')
  const told: string[] = []
  let client: ClientSession | undefined
  void dialClient(world.sim.runtime('tool'), at('a'), {
    secret: SECRET,
    frame: (_s, _type, _flags, buffer, start, end) => void told.push(buffer.toString('utf8', start, end)),
    ended: reason => void told.push(`ended ${reason}`),
  }).then(session => void (client = session))
  await world.sim.runUntil(() => client !== undefined, { limitMs: 5_000 })
  t.strictSame(client!.cluster, { name: 'demo', parameters: 'slots=4096' })
  client!.session.send(frame('question'))
  await world.sim.advance(10_000)
  t.match(a!.frames[0], /^client-1\S* 32 question$/)
  t.strictSame([names(a!.mesh), a!.mesh.sessions()], [['a'], []])
  void a!.mesh.stop({ timeoutMs: 100 })
  await world.sim.advance(1_000)
  t.strictSame(told, ['ended left'])
})

t.test('clients are bounded: one too many is told so, and takes the place of one that went', async t => {
  const world = new World()
  const a = world.peer('a', [], { limits: { ...LIMITS, clientsMax: 2 } })
  await world.start(a)
  const tool = world.sim.runtime('tool')
  const clients: ClientSession[] = []
  const failures: unknown[] = []
  const dial = async (): Promise<void> => {
    void dialClient(tool, at('a'), { secret: SECRET, frame: () => {} }).then(
      client => void clients.push(client),
      error => void failures.push(error),
    )
    await world.sim.advance(1_000)
  }
  for (let i = 0; i < 3; i++) await dial()
  t.match(failures, [
    { code: 'ERR_UNAVAILABLE', detail: { why: 'this node has 2 clients, as many as it may' } },
  ])
  t.match(a.mesh.stats(), { clients: 2, clientsRefused: 1 })
  clients[0]!.close()
  await world.sim.advance(100)
  await dial()
  t.strictSame([clients.length, failures.length, a.mesh.stats()['clients']], [3, 1, 2])
})

t.test('a client with a wrong secret is told so', async t => {
  const world = new World()
  await world.cluster('a')
  let failed: unknown
  dialClient(world.sim.runtime('tool'), at('a'), { secret: 'x'.repeat(32), frame: () => {} }).catch(error => {
    failed = error
  })
  await world.sim.runUntil(() => failed !== undefined, { limitMs: 5_000 })
  t.match(failed, { code: 'ERR_HANDSHAKE', detail: { why: 'the secrets differ' } })
})

t.test('two listeners of one type are a mistake', async t => {
  const world = new World()
  const options = {
    runtime: world.sim.runtime('a'),
    self: 'a' as NodeId,
    creation: 1,
    cluster: { name: 'x', parameters: {} },
  }
  t.throws(() => createMesh(options, [{ types: [32] }, { types: [32] }]), TypeError)
})

t.test(
  'a reader that stops: busy, full, ERR_BUSY, bounded memory, all of it counted; drained when it reads again',
  async t => {
    const sink = defineActor('sink', {
      init: () => ({ got: 0 }),
      calls: { got: state => state.got },
      casts: { take: state => void (state.got += 1) },
      info: state => void (state.got += 1),
    })
    const mesh = await createTestMesh({ nodes: 2, seed: 31, actors: [sink] })
    t.teardown(() => mesh.stop())
    const a = mesh.node('a')
    const there = await mesh.run(a.spawn(sink, undefined, { on: 'b' }))
    const counters = () => a.stats().counters
    const kib = Buffer.alloc(1_024)
    mesh.pause('b')
    const answers: string[] = []
    const counts = { ok: 0, busy: 0, full: 0 }
    for (let i = 0; i < 10_000; i++) {
      const answer = there.send(kib)
      counts[answer] += 1
      if (answers.at(-1) !== answer) answers.push(answer)
    }
    t.strictSame(answers, ['ok', 'busy', 'full'])
    for (let answer = there.cast('take'); answer !== 'full'; answer = there.cast('take')) counts[answer] += 1
    counts.full += 1
    const queued = counters()['mesh.queuedBytes']!
    t.ok(
      queued > LIMITS.queueBytesMax - 2_048 && queued <= LIMITS.queueBytesMax + 1_100,
      `${queued} bytes wait`,
    )
    t.strictSame([counters()['mesh.refusedFull'], counters()['remote.refused']], [counts.full, counts.full])
    const failure = there.call('got').catch(error => error.code)
    let drained = false
    const waiting = a.drained(there.pid).then(() => void (drained = true))
    const impatient = a.drained(there.pid, { timeoutMs: 500 }).catch(error => error.code)
    await mesh.advance(600)
    t.strictSame([await failure, await impatient, drained], ['ERR_BUSY', 'ERR_TIMEOUT', false])
    mesh.resume('b')
    await mesh.run(waiting)
    t.ok(counters()['mesh.queuedBytes']! <= LIMITS.queueBytesBusy)
    await mesh.runUntil(() => counters()['mesh.queuedBytes'] === 0, { limitMs: 5_000 })
    t.equal(
      await mesh.run(there.call('got')),
      counts.ok + counts.busy,
      'what was accepted came, what was not did not',
    )
    t.equal(there.send(kib), 'ok')
  },
)

t.test(
  'who takes less than a queue in five seconds at the limit is dropped as overloaded, and dialled again',
  async t => {
    const sink = defineActor('sink', { init: () => ({}), info: () => {} })
    const mesh = await createTestMesh({ nodes: 3, seed: 32, actors: [sink] })
    t.teardown(() => mesh.stop())
    const a = mesh.node('a')
    const there = await mesh.run(a.spawn(sink, undefined, { on: 'b' }))
    mesh.network.link('a', 'b', { bytesPerMs: 500 })
    const told: string[] = []
    a.on('nodedown', ({ node, reason }) => void told.push(`${node} ${reason}`))
    a.on('member:down', ({ member, reason }) => void told.push(`${member.name} down ${reason}`))
    const kib = Buffer.alloc(1_024)
    let mostBytes = 0
    let fullMs = 0
    for (let ms = 0; told.length === 0 && ms < 20_000; ms += 50) {
      for (let i = 0; i < 20_000 && there.send(kib) !== 'full'; i++);
      mostBytes = Math.max(mostBytes, a.stats().counters['mesh.queuedBytes']!)
      await mesh.advance(50)
      fullMs += 50
    }
    t.strictSame(told, ['b overloaded'])
    t.ok(fullMs >= 5_000 && fullMs <= 6_000, `after ${fullMs} ms`)
    t.ok(mostBytes <= LIMITS.queueBytesMax + 1_100, `${mostBytes} bytes waited at most`)
    t.equal(a.stats().counters['mesh.sessionsClosed.overloaded'], 1)
    await mesh.runUntil(() => a.nodes().includes('b' as NodeId), { limitMs: 5_000 })
    t.strictSame(told, ['b overloaded'], 'it stays a member')
  },
)
