/**
 * Hostile bytes against live nodes. The victim and a healthy peer run in processes of their own; the attacker is this
 * one, and speaks raw TCP.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { IdSpace } from '../lib/base/id-space.js'
import type { NodeId } from '../lib/base/ids.js'
import { LIMITS } from '../lib/base/limits.js'
import { encodeBatch } from '../lib/coord/slot-wire.js'
import { createNode, defineActor, type Node } from '../lib/index.js'
import { readRefusal, writeGreeting } from '../lib/mesh/handshake.js'
import type { Role } from '../lib/mesh/mesh.js'
import type { NodeOptions } from '../lib/node/options.js'
import { SimRandom } from '../lib/sim/sim-random.js'
import { Simulation } from '../lib/sim/simulation.js'
import { createCodec } from '../lib/wire/create-codec.js'
import { encodeFrame, FrameType } from '../lib/wire/frame.js'
import { Arsenal, type Shot, spawnFrame } from './support/arsenal.js'
import { approach, type Disguise, Foe, greetingOf, Stranger, whole } from './support/foe.js'

// Longer than tap's own half minute for a file.
t.setTimeout(300_000)

const SECRET = 'a secret that the attacker got hold of'
const MIB = 1_048_576
const SEED = Number(process.env['TROUPE_SEED'] ?? 1)
const FRAMES = Number(process.env['TROUPE_FRAMES'] ?? 100_000)

interface Report {
  readonly counters: Readonly<Record<string, number>>
  readonly downs: readonly string[]
  readonly problems: readonly string[]
  readonly members: readonly string[]
  readonly polluted: boolean
}

class Program {
  readonly child: ChildProcess
  readonly #waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>()
  /** Settles when the process ends, whyever. */
  readonly exited: Promise<string>
  #output = ''
  #last = 0

  private constructor(child: ChildProcess) {
    this.child = child
    child.stderr?.on('data', chunk => {
      this.#output = (this.#output + chunk).slice(-4_000)
    })
    child.on('message', ({ id, value, error }: { id: number; value?: unknown; error?: string }) => {
      const waiting = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (error === undefined) waiting?.resolve(value as never)
      else waiting?.reject(new Error(error))
    })
    this.exited = new Promise(resolve => {
      child.on('exit', (code, signal) => {
        const how = `it exited with ${signal ?? code}: ${this.#output}`
        resolve(how)
        for (const { reject } of this.#waiting.values()) reject(new Error(how))
      })
    })
  }

  static async start(name: string, seeds: readonly string[], secret = SECRET) {
    const child = fork(join(import.meta.dirname, 'support/hostile-node.js'), [], {
      execArgv: ['--expose-gc'],
      env: { ...process.env, NODE_OPTIONS: '' },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    const program = new Program(child)
    await program.#answer(0)
    const { port } = await program.ask<{ port: number }>('start', { name, seeds, secret })
    return { program, port, address: `127.0.0.1:${port}` }
  }

  ask<R>(op: string, args: object = {}): Promise<R> {
    const id = ++this.#last
    const answer = this.#answer<R>(id)
    this.child.send({ id, op, ...args })
    return answer
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null) return
    await this.ask('stop')
    this.child.disconnect()
    await this.exited
  }

  #answer<R>(id: number): Promise<R> {
    return new Promise<R>((resolve, reject) => this.#waiting.set(id, { resolve, reject }))
  }
}

const percentile = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN

/** What became of the shots. */
class Tally {
  readonly fates = new Map<string, { kept: number; closed: number }>()
  readonly owed = new Map<string, number>()
  readonly unpunished: string[] = []
  mutated = 0
  fired = 0

  add(shot: Shot, fate: 'kept' | 'closed'): void {
    this.fired += 1
    if (shot.kind.includes('mutated')) this.mutated += 1
    const fates = this.fates.get(shot.kind) ?? { kept: 0, closed: 0 }
    fates[fate] += 1
    this.fates.set(shot.kind, fates)
    const { expect } = shot
    if (expect === undefined) return
    if ('closes' in expect) {
      if (fate === 'kept' && this.unpunished.length < 20)
        this.unpunished.push(`${shot.kind} was kept: ${shot.bytes.toString('hex', 0, 80)}`)
    } else if (fate === 'closed') {
      if (this.unpunished.length < 20)
        this.unpunished.push(`${shot.kind} closed: ${shot.bytes.toString('hex', 0, 80)}`)
    } else this.owed.set(expect.counts, (this.owed.get(expect.counts) ?? 0) + 1)
  }
}

t.test('100,000 malformed frames neither end, slow nor swell a node', async t => {
  const victim = await Program.start('victim', [])
  const peer = await Program.start('peer', [victim.address])
  t.teardown(() => Promise.all([victim.program.stop(), peer.program.stop()]))
  let died: string | undefined
  void victim.program.exited.then(how => {
    died = how
  })

  await peer.program.ask('work', { on: 'victim' })
  await peer.program.ask('ping', { on: 'victim' })
  const before = await victim.program.ask<Report>('report')
  const tally = new Tally()
  const random = new SimRandom(SEED)
  let left = FRAMES
  const next = (): boolean => died === undefined && left-- > 0

  /** A quarter of them: as many as there are lanes for it among all. */
  let early = FRAMES / 4
  const stranger = async (lane: number): Promise<void> => {
    const arsenal = new Arsenal(random.fork(`early ${lane}`))
    const nonces = random.fork(`nonces ${lane}`)
    const from = `127.0.1.${lane + 1}`
    while (early-- > 0 && next()) {
      const disguise: Disguise = {
        port: victim.port,
        from,
        secret: SECRET,
        id: `early-${lane}`,
        nonce: nonces.bytes(32),
      }
      const guest = new Stranger(victim.port, from)
      const hello = encodeFrame(FrameType.hello, 0, writeGreeting(greetingOf(disguise)))
      const challenged = nonces.chance(0.3)
      const proof = challenged ? await approach(guest, disguise) : undefined
      const valid = typeof proof === 'object' ? encodeFrame(FrameType.proof, 0, proof) : hello
      const shot = arsenal.early([valid])
      const heard = guest.hear(() => true)
      guest.say(whole(shot.bytes, 4_096).bytes)
      if (shot.bytes.length === 0) guest.leave()
      tally.add(shot, (await heard) === undefined ? 'closed' : 'kept')
      guest.leave()
      await guest.closed
    }
  }

  let prey = 1
  const member = async (lane: number, role: Role): Promise<void> => {
    const arsenal = new Arsenal(random.fork(`${role} ${lane}`))
    const nonces = random.fork(`nonces ${role} ${lane}`)
    let epoch = 0
    let foe: Foe | undefined
    let refusals = 0
    while (next()) {
      while (foe === undefined || foe.stranger.over) {
        const disguise = {
          port: victim.port,
          from: `127.0.2.${lane + 1}`,
          secret: SECRET,
          role,
          id: `evil-${lane}`,
        }
        const met = await Foe.infiltrate({ ...disguise, epoch, nonce: nonces.bytes(32) })
        if (typeof met === 'string') {
          refusals += 1
          if (died !== undefined) return
          if (refusals > 200) throw new Error(`${role} ${lane} was refused again and again: ${met}`)
          continue
        }
        foe = met
        epoch = Math.max(epoch, met.epoch)
      }
      arsenal.aim(prey)
      const shot = arsenal.next(role, foe.sequence)
      const { bytes, frames } = whole(shot.bytes, 131_072)
      tally.add(shot, await foe.shoot(bytes, frames))
    }
    foe?.stranger.leave()
  }

  let hunting = true
  const hunt = async (): Promise<void> => {
    while (hunting && died === undefined) prey = await victim.program.ask<number>('prey')
  }
  prey = await victim.program.ask<number>('prey')
  const base = await victim.program.ask<NodeJS.MemoryUsage>('rss')
  await peer.program.ask('pinged')
  await peer.program.ask('ping', { on: 'victim' })
  const startMs = performance.now()
  const hunted = hunt()
  await Promise.all([
    ...[0, 1, 2, 3].map(stranger),
    ...[0, 1, 2, 3].map(lane => member(lane, 'member')),
    ...[4, 5].map(lane => member(lane, 'client')),
  ])
  const tookMs = performance.now() - startMs
  hunting = false
  await hunted
  t.equal(died, undefined, 'the victim lives')

  const { latencies, failures } = await peer.program.ask<{ latencies: number[]; failures: string[] }>(
    'pinged',
  )
  const sorted = latencies.sort((a, b) => a - b)
  const [p50, p99, worst] = [percentile(sorted, 0.5), percentile(sorted, 0.99), sorted.at(-1)]
  const after = await victim.program.ask<Report>('report')
  const spent = await victim.program.ask<NodeJS.MemoryUsage>('rss')
  t.comment(`${tally.fired} frames, ${tally.mutated} mutated, in ${Math.round(tookMs)} ms`)
  t.comment(
    `pings ${sorted.length}: p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, worst ${worst?.toFixed(1)} ms`,
  )
  const mib = (bytes: number): string => `${(bytes / MIB).toFixed(1)} MiB`
  t.comment(
    `RSS ${mib(base.rss)} before, ${mib(spent.rss)} after; heap ${mib(base.heapUsed)}, ${mib(spent.heapUsed)}`,
  )
  t.comment(`external ${mib(base.external)}, ${mib(spent.external)}`)
  if (process.env['TROUPE_VERBOSE'] !== undefined) {
    for (const [kind, fates] of [...tally.fates].sort()) t.comment(`${kind}: ${JSON.stringify(fates)}`)
    t.comment(JSON.stringify(after.counters))
  }

  t.equal(tally.fired, FRAMES)
  t.ok(tally.mutated >= FRAMES / 3, `${tally.mutated} mutated`)
  t.strictSame(tally.unpunished, [], 'what must close closes, what may stay stays')
  const grown = [...tally.owed].filter(([counter, owed]) => {
    return (after.counters[counter] ?? 0) - (before.counters[counter] ?? 0) < owed
  })
  t.strictSame(grown, [], 'what may stay is counted')
  t.strictSame(after.problems, [], 'nothing was thrown that nobody caught, and no listener failed')
  t.equal(after.polluted, false)
  t.strictSame(failures, [], 'every ping came back')
  t.strictSame(
    after.downs.filter(line => line.endsWith(' peer')),
    [],
    'the healthy peer was never doubted',
  )
  t.ok(spent.rss <= base.rss + 64 * MIB, `RSS ${mib(spent.rss)} after ${mib(base.rss)}`)
  t.ok(p99 < 50, `p99 ${p99} ms`)

  const late = await Program.start('late', [victim.address])
  t.teardown(() => late.program.stop())
  const { members } = await late.program.ask<Report>('report')
  t.ok(members.includes('victim alive') && members.includes('peer alive'), `a new node joins: ${members}`)
  const [onPeer, onLate] = await Promise.all([
    peer.program.ask<Report>('report'),
    victim.program.ask<Report>('report'),
  ])
  t.ok(onLate.members.includes('late alive'))
  t.strictSame(onPeer.problems, [])
  t.strictSame(
    onPeer.downs.filter(line => line.endsWith(' victim')),
    [],
  )
})

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

async function open(
  t: { teardown(fn: () => Promise<void>): unknown },
  options: NodeOptions,
): Promise<{ node: Node; port: number; warned: string[] }> {
  const warned: string[] = []
  const logger = { ...silent, warn: (line: string) => void warned.push(line) }
  const node = await createNode({ listen: '127.0.0.1:0', secret: SECRET, logger, ...options })
  t.teardown(() => node.stop({ drainMs: 0 }))
  return { node, port: node.address!.port, warned }
}
const countersOf = (node: Node): Readonly<Record<string, number>> => node.stats().counters
const namesOf = (node: Node): string[] => node.members().members.map(({ name, state }) => `${name} ${state}`)

/** A header that promises more, or less, than there can be. */
function header(headerBytes: number, bodyBytes: number, type: number = FrameType.hello): Buffer {
  const bytes = encodeFrame(type, 0, Buffer.alloc(0))
  bytes[3] = headerBytes
  bytes.writeUInt32LE(bodyBytes, 4)
  return bytes
}
const headers = (limit: number, type?: number): Buffer[] => [
  ...[0, 1, 19].map(length => header(length, 10, type)),
  ...[limit + 1 - 20, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1].map(length => header(20, length, type)),
]

t.test('a length that cannot be ends its connection at the header, and costs no memory', async t => {
  const { node, port } = await open(t, { name: 'a' })
  const before = process.memoryUsage().arrayBuffers
  let sent = 0
  for (let round = 0; round < 20; round++) {
    for (const bytes of headers(4_096)) {
      const stranger = new Stranger(port, undefined)
      stranger.say(bytes)
      await stranger.closed
      sent += 1
    }
  }
  const counters = countersOf(node)
  t.equal(counters['mesh.notOurs'], sent, 'by what it said')
  t.equal(counters['mesh.handshakesFailed'] ?? 0, 0, 'and not by a deadline')
  const grown = process.memoryUsage().arrayBuffers - before
  t.ok(grown < 4 * MIB, `${grown} bytes`)

  let closed = 0
  for (const bytes of headers(128 * 1_024, FrameType.message)) {
    const foe = await Foe.infiltrate({
      port,
      secret: SECRET,
      id: 'foe',
      epoch: closed,
      nonce: Buffer.alloc(32, closed),
    })
    if (typeof foe === 'string') throw new Error(foe)
    foe.stranger.say(bytes)
    await foe.stranger.closed
    closed += 1
  }
  t.equal(countersOf(node)['mesh.sessionsClosed.protocol'], closed)
})

t.test('a hundred thousand empty headers in one write are refused at the first', async t => {
  const { node, port } = await open(t, { name: 'a' })
  const stranger = new Stranger(port, undefined)
  stranger.say(Buffer.alloc(20 * 100_000))
  await stranger.closed
  t.equal(countersOf(node)['mesh.notOurs'], 1, 'the first ends it')
})

t.test('a handshake that drips is over after five seconds', async t => {
  const simulation = new Simulation({ seed: 1 })
  const starting = createNode({
    ...{ name: 'a', listen: 'a:7001', insecure: true, secret: SECRET, logger: false as const },
    runtime: simulation.runtime('a'),
  })
  await simulation.advance(100)
  const node = await starting
  const foe = simulation.runtime('b')
  const hello = encodeFrame(
    FrameType.hello,
    0,
    writeGreeting(greetingOf({ port: 0, nonce: Buffer.alloc(32) })),
  )
  let closedMs: number | undefined
  let begunMs = 0
  let said = 0
  foe.transport.dial({ host: 'a', port: 7_001 }, { timeoutMs: 1_000 }, result => {
    if (!result.ok) throw new Error(result.code)
    const { stream } = result
    begunMs = simulation.nowMs
    stream.open({
      data: () => {},
      drain: () => {},
      close: () => {
        closedMs = simulation.nowMs
      },
    })
    const drip = (): void => {
      if (closedMs !== undefined || said === hello.length) return
      stream.write(hello.subarray(said, said + 1))
      said += 1
      foe.clock.after(100, drip)
    }
    drip()
  })
  await simulation.advance(4_000)
  t.equal(closedMs, undefined)
  await simulation.advance(2_000)
  t.ok(closedMs !== undefined && closedMs - begunMs < 5_500, `after ${closedMs} - ${begunMs}`)
  t.ok(said < hello.length, 'it never came to the end of its hello')
  t.match(countersOf(node), { 'mesh.handshakesFailed': 1, 'mesh.unauthenticated': 0 })
  const stopped = node.stop({ drainMs: 0 })
  await simulation.advance(5_000)
  await stopped
})

t.test('of too many silent connections the oldest are dropped, and a member still joins', async t => {
  const { node, port } = await open(t, { name: 'a' })
  const strangers = Array.from({ length: 80 }, () => undefined as Stranger | undefined)
  for (const i of strangers.keys()) {
    const stranger = new Stranger(port, `127.0.3.${1 + (i % 10)}`)
    strangers[i] = stranger
    await new Promise(resolve => stranger.socket.once('connect', resolve))
  }
  t.teardown(async () => {
    for (const stranger of strangers) stranger?.leave()
  })
  await Promise.all(strangers.slice(0, 16).map(stranger => stranger?.closed))
  const { node: late } = await open(t, { name: 'b', seeds: [`127.0.0.1:${port}`] })
  t.strictSame(namesOf(late), ['a alive', 'b alive'])
  t.strictSame(
    strangers.map(stranger => stranger?.over),
    strangers.map((_, i) => i < 17),
    'one more made room for the member',
  )
  t.equal(countersOf(node)['mesh.unauthenticated'], 63)
})

t.test('of one address at most eight connections wait', async t => {
  const { node, port } = await open(t, { name: 'a' })
  const strangers: Stranger[] = []
  for (let i = 0; i < 12; i++) {
    const stranger = new Stranger(port, '127.0.3.1')
    strangers.push(stranger)
    await new Promise(resolve => stranger.socket.once('connect', resolve))
  }
  await Promise.all(strangers.slice(0, 4).map(stranger => stranger.closed))
  t.match(countersOf(node), { 'mesh.unauthenticated': 8, 'mesh.evicted': 4 })
  for (const stranger of strangers) stranger.leave()
})

t.test('who speaks HTTP is hung up on, and the members do not notice', async t => {
  const { node, port } = await open(t, { name: 'a' })
  const { node: other } = await open(t, { name: 'b', seeds: [`127.0.0.1:${port}`] })
  const events: string[] = []
  for (const event of ['nodedown', 'member:down', 'member:suspect'] as const) {
    node.on(event, () => void events.push(event))
    other.on(event, () => void events.push(event))
  }
  const browser = new Stranger(port, undefined)
  browser.say(Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'))
  t.equal(await browser.hear(() => true), undefined, 'without an answer')
  await browser.closed
  t.strictSame(events, [])
  t.strictSame(namesOf(node), ['a alive', 'b alive'])
  t.match(countersOf(node), { 'mesh.notOurs': 1, 'mesh.sessionsOpened': 1, 'mesh.sessions': 1 })
})

t.test('who does not belong is refused at both ends and told why', async t => {
  const { node, port, warned } = await open(t, { name: 'a' })
  const { node: other } = await open(t, { name: 'b', seeds: [`127.0.0.1:${port}`] })
  const seeds = [`127.0.0.1:${port}`]
  const strangers: [NodeOptions, string, RegExp, RegExp][] = [
    [
      { secret: 'another secret of thirty-two bytes' },
      'ERR_HANDSHAKE',
      /the secrets differ/,
      /the secrets differ/,
    ],
    [
      { secret: undefined },
      'ERR_HANDSHAKE',
      /one node has a secret and the other has none/,
      /one node has a secret and the other has none/,
    ],
    [
      { cluster: 'other' },
      'ERR_HANDSHAKE',
      /cluster "other" here, "troupe" there/,
      /cluster "other" there, "troupe" here/,
    ],
    [{ name: 'b' }, 'ERR_DUPLICATE_NODE', /another node named b is alive/, /another node named b is alive/],
    [{ name: 'a' }, 'ERR_DUPLICATE_NODE', /this node is a too/, /this node is a too/],
  ]
  for (const [options, code, here, there] of strangers) {
    warned.length = 0
    const refused = createNode({ name: 'c', secret: SECRET, seeds, logger: false, ...options })
    await t.rejects(refused, { code, message: here }, `${JSON.stringify(options)} is told`)
    t.match(warned.join(' '), there, 'and so is whoever reads the log of the other')
    t.strictSame(
      [namesOf(node), namesOf(other)],
      [
        ['a alive', 'b alive'],
        ['a alive', 'b alive'],
      ],
    )
  }
  t.match(countersOf(node), { 'mesh.sessionsOpened': 1, 'mesh.sessions': 1 })
})

t.test('a replayed or reflected proof proves nothing', async t => {
  const { node, port } = await open(t, { name: 'a' })
  const disguise = { port, secret: SECRET, id: 'foe', nonce: Buffer.alloc(32, 1) }
  const first = new Stranger(port, undefined)
  const proof = await approach(first, disguise)
  if (typeof proof === 'string') throw new Error(proof)
  const again = new Stranger(port, undefined)
  await approach(again, disguise) // the same hello, another challenge
  again.say(encodeFrame(FrameType.proof, 0, proof))
  const refused = await again.hear(() => true)
  t.equal(refused?.type, FrameType.refuse)
  t.equal(readRefusal(refused!.body).why, 'the secrets differ')
  const mirror = new Stranger(port, undefined)
  await approach(mirror, disguise)
  mirror.say(encodeFrame(FrameType.welcome, 0, proof))
  t.equal(await mirror.hear(() => true), undefined)
  for (const stranger of [first, again, mirror]) stranger.leave()
  t.equal(countersOf(node)['mesh.sessions'], 0)
})

const NAMED = ['constructor', 'toString', 'then', 'toJSON', 'hasOwnProperty', 'valueOf']
type Data = Readonly<Record<string, unknown>>
const mirrors = NAMED.map(name =>
  defineActor(name, {
    init: () => ({}),
    calls: { same: (_, payload: Data) => payload, toString: () => 'a call' },
  }),
)

t.test('names and keys that every object has are like any others, and `__proto__` is no key', async t => {
  const meta = Object.fromEntries(NAMED.map(name => [name, 'x']))
  const { port } = await open(t, { name: 'a', actors: mirrors, meta })
  const { node } = await open(t, { name: 'b', seeds: [`127.0.0.1:${port}`] })
  t.equal(JSON.stringify(node.members().members[0]?.meta), JSON.stringify(meta))
  const payload = Object.fromEntries(NAMED.map(name => [name, { polluted: name }]))
  for (const mirror of mirrors) {
    const ref = await node.spawn(mirror, undefined, { on: 'a', name: mirror.name })
    t.equal(ref.pid.node, 'a')
    // as text: a comparison that looks at `constructor` is misled by these
    t.equal(JSON.stringify(await ref.call('same', payload)), JSON.stringify(payload))
    t.equal(await ref.call('toString'), 'a call')
    t.strictSame(await node.named(mirror.name, mirror).call('same', { n: 7 }), { n: 7 })
    await t.rejects(ref.call('valueOf' as never), { code: 'ERR_UNKNOWN_TAG' })
  }
  t.strictSame(
    node
      .names()
      .map(({ name }) => name)
      .sort(),
    [...NAMED].sort(),
  )
  const ref = node.named('then', mirrors[2]!)
  const poison = JSON.parse('{"deep": {"__proto__": {"polluted": true}}}')
  await t.rejects(async () => ref.call('same', poison), {
    code: 'ERR_PAYLOAD',
    message: /payload\.deep\.__proto__/,
  })
  t.equal(({} as { polluted?: unknown }).polluted, undefined)
})

t.test('only what a node hosts is spawned there, whatever the name would mean elsewhere', async t => {
  const { node, port } = await open(t, { name: 'a', actors: mirrors })
  const foe = await Foe.infiltrate({ port, secret: SECRET, nonce: Buffer.alloc(32, 1) })
  if (typeof foe === 'string') throw new Error(foe)
  const codec = createCodec({ limits: LIMITS, ids: new IdSpace('foe' as NodeId, 7, 100) })
  const before = countersOf(node)['process.spawned']
  for (const name of ['../../x', 'node:child_process', '__proto__', 'prototype', 'file:///etc/passwd', '']) {
    const answer = foe.stranger.hear(frame => frame.type === FrameType.spawned)
    foe.stranger.say(spawnFrame(name, foe.sequence++))
    const { body } = (await answer)!
    t.equal(body[6], 1, 'it failed')
    const [code, message, detail] = codec.decode(body, 7, body.length) as [
      string,
      string,
      { known: string[] },
    ]
    t.equal(code, 'ERR_UNKNOWN_ACTOR', name)
    t.ok(message.includes(name), message)
    t.strictSame([...detail.known].sort(), [...NAMED].sort())
  }
  t.equal(countersOf(node)['process.spawned'], before, 'nothing ran')
  foe.stranger.leave()
})

t.test('a member that claims the last of all terms cannot set the others against each other', async t => {
  const { node, port } = await open(t, { name: 'a' })
  const { node: other } = await open(t, { name: 'b', seeds: [`127.0.0.1:${port}`] })
  const seals = [{ type: 'seal', slot: 0, n: Number.MAX_SAFE_INTEGER }] as const
  const nacks = [
    { type: 'nack', slot: 0, n: 0, promised: { n: 2 ** 52, node: 'foe' as NodeId, creation: 7 } },
  ] as const
  for (const [epoch, messages] of [seals, nacks].entries()) {
    const foe = await Foe.infiltrate({ port, secret: SECRET, epoch, nonce: Buffer.alloc(32, epoch) })
    if (typeof foe === 'string') throw new Error(foe)
    const batch = Buffer.concat([Buffer.of(1), encodeBatch(messages, 0)])
    t.equal(await foe.shoot(encodeFrame(FrameType.slot, foe.sequence, batch), 1), 'closed')
  }
  t.equal(countersOf(node)['mesh.sessionsClosed.protocol'], 2)
  t.strictSame([node.nodes(), other.nodes()], [['b'], ['a']])
})
