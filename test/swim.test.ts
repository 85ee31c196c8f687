/** Who is there, by the pure core of membership: each rule by a table, and laws over random claims, orders and losses. */
import fc from 'fast-check'
import t from 'tap'
import { TroupeError } from '../lib/base/errors.js'
import { type NodeId, U48_MAX } from '../lib/base/ids.js'
import type { DownReason, Member } from '../lib/base/member.js'
import { Draw } from '../lib/mesh/draw.js'
import { GossipQueue, tellings } from '../lib/mesh/gossip-queue.js'
import { type Claim, decodePacket, encodePacket, type Packet } from '../lib/mesh/packets.js'
import { PROFILES } from '../lib/mesh/profile.js'
import { Suspicion } from '../lib/mesh/suspicion.js'
import { type Effect, Swim } from '../lib/mesh/swim.js'
import { Wakefulness } from '../lib/mesh/wakefulness.js'
import { SimRandom } from '../lib/sim/sim-random.js'

const LAN = PROFILES.lan
const A = 'a' as NodeId
const B = 'b' as NodeId
const C = 'c' as NodeId
const D = 'd' as NodeId
const E = 'e' as NodeId
const ids = (names: string): NodeId[] => names.split(' ').filter(Boolean) as NodeId[]

const record = (name: NodeId, extra: Partial<Member> = {}): Member => ({
  name,
  address: { host: name, port: 7_001 },
  creation: 1,
  incarnation: 1,
  state: 'alive',
  version: 1,
  tags: [],
  meta: {},
  host: name,
  voter: true,
  ...extra,
})

const accusation = (
  tag: 'suspect' | 'dead' | 'left',
  name: NodeId,
  incarnation: number,
  from: NodeId,
): Claim => ({
  tag,
  name,
  creation: 1,
  incarnation,
  from,
})
const alive = (name: NodeId, incarnation: number, extra: Partial<Member> = {}): Claim => ({
  tag: 'alive',
  record: record(name, { incarnation, ...extra }),
})

/** Node `a`, with a session to each of `others`, whom `live` still says something at every heartbeat. */
class Scene {
  readonly swim: Swim
  nowMs = 0
  live: NodeId[]
  /** Helpers answer what they are asked: with this. */
  answer: 'ack' | 'nack' | 'none' | 'silence' = 'nack'
  readonly told: string[] = []
  readonly sent: { readonly to: NodeId; readonly packet: Packet }[] = []
  readonly ended: string[] = []
  readonly introduced: string[] = []

  constructor(others: string, seed = 1, profile = LAN) {
    this.swim = new Swim({ self: record(A), membersMax: 256, profile, random: new SimRandom(seed) })
    this.live = ids(others)
    this.do(this.swim.tick(0, 0))
    for (const name of this.live) this.open(record(name))
    this.clear()
  }

  open(member: Member, introduced = true): void {
    this.do(this.swim.opened(member, introduced, this.nowMs))
  }

  close(name: NodeId, reason: DownReason = 'connection_closed'): void {
    this.live = this.live.filter(other => other !== name)
    this.do(this.swim.closed(name, reason, this.nowMs))
  }

  receive(from: NodeId, packet: Packet): void {
    this.do(this.swim.receive(from, packet, this.nowMs))
  }

  hear(from: NodeId, ...claims: readonly Claim[]): void {
    this.receive(from, { tag: 'gossip', claims })
  }

  advance(ms: number): void {
    const untilMs = this.nowMs + ms
    while (this.nowMs < untilMs) {
      this.nowMs += LAN.tickMs
      for (const name of this.live) this.do(this.swim.heard(name, this.nowMs))
      this.do(this.swim.tick(this.nowMs, 0))
    }
  }

  /** Whoever is dead says nothing any more. */
  silence(...names: NodeId[]): void {
    this.live = this.live.filter(name => !names.includes(name))
  }

  stateOf(name: NodeId): string {
    const member = this.swim.get(name)
    return member === undefined ? 'unknown' : `${member.state} ${member.incarnation}`
  }

  claimsTo(to: NodeId): readonly Claim[] {
    return this.sent.flatMap(({ to: name, packet }) =>
      name === to && 'claims' in packet ? packet.claims : [],
    )
  }

  clear(): void {
    for (const list of [this.told, this.sent, this.ended, this.introduced]) list.length = 0
  }

  do(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.tag === 'change') {
        const { change } = effect
        this.told.push(`${change.member.name} ${change.tag}${'reason' in change ? ` ${change.reason}` : ''}`)
      } else if (effect.tag === 'end') {
        this.ended.push(`${effect.peer} ${effect.reason}`)
        this.do(this.swim.closed(effect.peer, effect.reason, this.nowMs))
      } else if (effect.tag === 'introduce') this.introduced.push(effect.record.name)
      else {
        const { to } = effect
        const packet = effect.tag === 'list' ? this.swim.list(effect.pull) : effect.packet
        this.sent.push({ to, packet })
        if (packet.tag !== 'request' || !this.live.includes(to) || this.answer === 'silence') continue
        const { seq } = packet
        if (this.answer === 'ack') this.receive(to, { tag: 'ack', seq, claims: [] })
        else this.receive(to, { tag: 'nack', seq, session: this.answer === 'nack' })
      }
    }
  }
}

/** When each of `scene.told` first contained the words, in ms since now. */
function until(scene: Scene, words: string, limitMs = 20_000): number {
  const startMs = scene.nowMs
  while (!scene.told.includes(words)) {
    if (scene.nowMs - startMs > limitMs) return Number.POSITIVE_INFINITY
    scene.advance(LAN.tickMs)
  }
  return scene.nowMs - startMs
}

t.test('member-001: a suspect is alive again by a higher incarnation, not by the same', async t => {
  const scene = new Scene('b c d')
  scene.silence(B)
  scene.advance(1_500)
  scene.hear(C, accusation('suspect', B, 1, C))
  t.equal(scene.stateOf(B), 'suspect 1')
  scene.hear(C, alive(B, 1))
  t.equal(scene.stateOf(B), 'suspect 1', 'still suspect')
  scene.hear(C, alive(B, 2))
  t.equal(scene.stateOf(B), 'alive 2')
  t.strictSame(scene.told, ['b suspect accused', 'b alive'])
})

t.test(
  'member-002: who hears itself suspected or dead raises its incarnation, tells, and trusts itself less',
  async t => {
    for (const tag of ['suspect', 'dead', 'left'] as const) {
      const scene = new Scene('b c')
      scene.hear(B, accusation(tag, A, 1, C))
      t.strictSame([scene.swim.self.incarnation, scene.swim.health], [2, 1], tag)
      scene.advance(LAN.tickMs)
      t.match(scene.claimsTo(B), [{ tag: 'alive', record: { name: 'a', incarnation: 2 } }])
      t.match(scene.claimsTo(C), [{ tag: 'alive', record: { name: 'a', incarnation: 2 } }])
      scene.hear(B, accusation(tag, A, 1, C))
      t.equal(scene.swim.self.incarnation, 2, 'what it has outgrown is nothing')
    }
  },
)

t.test(
  'member-003: who is dead is not brought back by a replay, nor by anything but a handshake',
  async t => {
    const scene = new Scene('b c d')
    scene.hear(C, alive(B, 10))
    scene.silence(B)
    until(scene, 'b down timeout')
    scene.clear()
    scene.hear(C, alive(B, 10))
    t.equal(scene.stateOf(B), 'down 10')
    scene.hear(C, alive(B, 11))
    scene.receive(C, { tag: 'state', records: [record(B, { incarnation: 12 })], pull: false, last: true })
    t.strictSame([scene.stateOf(B), scene.told], ['down 10', []], 'a later word of others is none of its own')
    scene.open(record(B, { incarnation: 10 }))
    t.strictSame([scene.stateOf(B), scene.told], ['alive 10', ['b up']])
    t.match(
      scene.claimsTo(B),
      [{ tag: 'dead', name: 'b', incarnation: 10 }],
      'it is told, to outgrow it elsewhere',
    )
  },
)

t.test(
  'member-004: a living name at another address is a conflict: the first stays, and nobody is told',
  async t => {
    const scene = new Scene('b c d')
    const address = { host: 'elsewhere', port: 7_001 }
    scene.hear(C, alive(B, 1, { address }), alive(B, 2, { address }), alive(B, 9, { address, creation: 2 }))
    t.strictSame([scene.swim.get(B)?.address.host, scene.stateOf(B), scene.told], ['b', 'alive 1', []])
    t.equal(scene.swim.stats()['clashes'], 3)
    scene.advance(1_000)
    t.strictSame(scene.claimsTo(D), [])
    scene.hear(B, alive(B, 2, { address }))
    t.strictSame(
      [scene.swim.get(B)?.address.host, scene.told],
      ['elsewhere', ['b updated']],
      'its own word counts',
    )
  },
)

t.test(
  'member-005: who announces its departure has left, is not dead, and may return at once elsewhere',
  async t => {
    const scene = new Scene('b c d')
    scene.close(B, 'left')
    t.strictSame([scene.stateOf(B), scene.told], ['left 1', ['b down left']])
    scene.advance(LAN.tickMs)
    t.match(scene.claimsTo(C), [{ tag: 'left', name: 'b', from: 'b' }])
    scene.receive(C, { tag: 'state', records: [record(B)], pull: false, last: true })
    scene.receive(C, { tag: 'state', records: [record(E, { state: 'left' })], pull: false, last: true })
    t.strictSame(scene.introduced, [], 'nobody dials it, nor a stranger that left')
    scene.open(record(B, { creation: 2, address: { host: 'elsewhere', port: 1 } }))
    t.equal(scene.stateOf(B), 'alive 1')
  },
)

t.test('member-006: a suspicion or a death of somebody unknown is nothing', async t => {
  const scene = new Scene('b c')
  scene.hear(B, accusation('suspect', E, 1, C), accusation('dead', E, 1, C), accusation('left', E, 1, E))
  t.strictSame([scene.stateOf(E), scene.told, scene.introduced], ['unknown', [], []])
})

t.test(
  'silence: suspect after 2.5 s, down 4 to 6 s after the last byte, by the size of the cluster',
  async t => {
    for (const [others, fromMs, toMs] of [
      ['b', 4_500, 4_750],
      ['b c', 5_500, 6_000],
      ['b c d e', 5_500, 6_000],
      ['b c d e f g h i j', 5_500, 6_000],
    ] as const) {
      for (const seed of [1, 2, 3, 4, 5]) {
        const scene = new Scene(others, seed)
        scene.advance(5_000)
        scene.silence(B)
        const suspectMs = until(scene, 'b suspect timeout')
        t.ok(suspectMs >= 2_500 && suspectMs <= 2_750, `${others}: suspect after ${suspectMs} ms`)
        const downMs = suspectMs + until(scene, 'b down timeout')
        t.ok(downMs >= fromMs && downMs <= toMs, `${others}: down after ${downMs} ms`)
        t.strictSame(scene.told, ['b suspect timeout', 'b down timeout'], 'each once')
        t.strictSame(scene.ended, ['b timeout'], 'its session ends with it')
      }
    }
  },
)

t.test('each accuser shortens a suspicion, and one who repeats himself does not', async t => {
  const lasts = (members: number, accusers: string): number => {
    const [first, ...more] = ids(accusers)
    const suspicion = new Suspicion(first, 1, members, LAN, 0)
    for (const name of more) suspicion.confirm(name)
    return Math.round(suspicion.lastsMs)
  }
  const rows: readonly [number, string, number][] = [
    [2, 'a', 2_000],
    [3, 'a', 3_000],
    [3, 'a c', 2_000],
    [5, 'a', 3_000],
    [5, 'a a a', 3_000],
    [5, 'a c', 2_500],
    [5, 'a c c d', 2_208],
    [5, 'a c d e', 2_000],
    [5, 'a c d e f g', 2_000],
    [100, 'a', 6_000],
    [100, 'a c d e', 4_000],
  ]
  for (const [members, accusers, ms] of rows) t.equal(lasts(members, accusers), ms, `${members}: ${accusers}`)
  const suspicion = new Suspicion(A, 1, 5, LAN, 0)
  const news = [A, B, B, C, D, E].map(name => suspicion.confirm(name))
  t.strictSame(news, [false, true, false, true, true, false], 'only what matters is passed on')
})

t.test('accusers bring an end sooner: four that agree at 4.5 s, and never before 4 s', async t => {
  const scene = new Scene('b c d e f')
  scene.silence(B)
  until(scene, 'b suspect timeout')
  scene.hear(
    C,
    accusation('suspect', B, 1, C),
    accusation('suspect', B, 1, D),
    accusation('suspect', B, 1, E),
  )
  until(scene, 'b down timeout')
  t.equal(scene.nowMs, 4_500)
  const early = new Scene('b c d e f')
  early.silence(B)
  early.advance(1_250)
  early.hear(
    C,
    accusation('suspect', B, 1, C),
    accusation('suspect', B, 1, D),
    accusation('suspect', B, 1, E),
  )
  t.strictSame(early.told, ['b suspect accused'])
  until(early, 'b down timeout')
  t.equal(early.nowMs, 4_000)
})

t.test('who has just heard a member does not believe its accusers, and lets it know', async t => {
  const scene = new Scene('b c d')
  scene.hear(C, accusation('suspect', B, 1, C), accusation('dead', B, 1, C))
  t.strictSame([scene.stateOf(B), scene.told], ['alive 1', []])
  t.match(scene.claimsTo(B), [
    { tag: 'suspect', from: 'c' },
    { tag: 'dead', from: 'c' },
  ])
})

t.test('a death that others tell of is a suspicion first, and so is one in a list', async t => {
  const lists: readonly ((scene: Scene) => void)[] = [
    scene => scene.hear(C, accusation('dead', B, 1, C)),
    scene =>
      scene.receive(C, { tag: 'state', records: [record(B, { state: 'down' })], pull: false, last: true }),
    scene =>
      scene.receive(C, { tag: 'state', records: [record(B, { state: 'suspect' })], pull: false, last: true }),
  ]
  for (const say of lists) {
    const scene = new Scene('b c d')
    scene.silence(B)
    scene.advance(1_250)
    say(scene)
    t.strictSame(scene.told, ['b suspect accused'])
    scene.hear(D, alive(B, 2))
    t.strictSame(scene.told, ['b suspect accused', 'b alive'])
  }
})

t.test('claims that are stale, ahead of all reason, of another life, or by nobody are nothing', async t => {
  const scene = new Scene('b c d')
  scene.hear(B, alive(B, 5))
  scene.silence(B)
  scene.advance(1_250)
  scene.clear()
  scene.hear(C, accusation('suspect', B, 4, C))
  scene.hear(C, accusation('suspect', B, 1_006, C))
  scene.hear(C, accusation('suspect', B, U48_MAX, C))
  scene.hear(C, { tag: 'suspect', name: B, creation: 2, incarnation: 5, from: C })
  scene.hear(C, accusation('suspect', B, 5, E))
  scene.hear(C, accusation('suspect', B, 5, A))
  scene.hear(C, alive(B, 1_006), alive(B, U48_MAX))
  t.strictSame([scene.stateOf(B), scene.told, scene.swim.stats()['jumps']], ['alive 5', [], 4])
  scene.hear(C, accusation('suspect', B, 1_005, C))
  t.strictSame(
    [scene.stateOf(B), scene.told],
    ['suspect 5', ['b suspect accused']],
    'nobody else advances it',
  )
  scene.hear(C, alive(B, 6))
  t.equal(scene.stateOf(B), 'suspect 6', 'a refutation of less than it is accused of')
  scene.hear(C, alive(B, 1_006))
  t.equal(scene.stateOf(B), 'alive 1006')
  scene.hear(B, accusation('dead', A, U48_MAX, C))
  t.equal(scene.swim.self.incarnation, 1, 'nor can others push us to the end of our numbers')
})

t.test('a member whose session is gone stays, while helpers reach it; the useless session ends', async t => {
  const scene = new Scene('b c d e')
  scene.answer = 'ack'
  scene.silence(B)
  scene.advance(60_000)
  t.strictSame([scene.stateOf(B), scene.told, scene.ended], ['alive 1', [], ['b timeout']])
  scene.answer = 'nack'
  t.ok(until(scene, 'b suspect connection_closed') <= 3_000)
  t.ok(until(scene, 'b down timeout') <= 3_250)
})

t.test(
  'three others are asked, never the accused nor a suspect; what they answer tells of our own health',
  async t => {
    for (const answer of ['nack', 'silence'] as const) {
      const scene = new Scene('b c d e f')
      scene.silence(B)
      scene.answer = answer
      until(scene, 'b suspect timeout')
      const asked = scene.sent.filter(({ packet }) => packet.tag === 'request').map(({ to }) => to)
      t.strictSame([asked.length, new Set(asked).size, asked.includes(B)], [3, 3, false])
      t.equal(scene.swim.health > 0, answer === 'silence', answer)
    }
  },
)

t.test(
  'health is between 0 and 7, worse by silence and by lag, better by answers, and stretches the wait',
  async t => {
    const scene = new Scene('b c d e f')
    for (let i = 0; i < 20; i++) {
      scene.nowMs += LAN.tickMs
      for (const name of scene.live) scene.do(scene.swim.heard(name, scene.nowMs))
      scene.do(scene.swim.tick(scene.nowMs, 400))
    }
    t.equal(scene.swim.health, 7)
    scene.silence(B)
    const suspectMs = until(scene, 'b suspect timeout')
    t.ok(suspectMs > 6_000, `suspects after ${suspectMs} ms`)
    scene.advance(15_000)
    t.equal(scene.swim.health, 0)
  },
)

t.test('one member a second is probed, each once in a round, in an order of chance', async t => {
  const orders = [1, 2, 3].map(seed => {
    const scene = new Scene('b c d e', seed)
    scene.advance(8_000)
    return scene.sent.flatMap(({ to, packet }) => (packet.tag === 'ping' ? [to] : []))
  })
  for (const order of orders) {
    t.equal(order.length, 8)
    t.strictSame([order.slice(0, 4).sort(), order.slice(4).sort()], [ids('b c d e'), ids('b c d e')])
  }
  t.ok(new Set(orders.map(String)).size > 1)
})

t.test('a helper pings for another, and answers with what came: ack, nack, or no session', async t => {
  const scene = new Scene('b c')
  const ask = (target: NodeId, creation = 1): void => {
    scene.clear()
    scene.receive(C, { tag: 'request', seq: 77, target, creation })
  }
  const answers = (): unknown[] =>
    scene.sent.flatMap(({ to, packet }) =>
      to === C && (packet.tag === 'ack' || packet.tag === 'nack') ? [packet] : [],
    )
  const pinged = (): number => {
    const ping = scene.sent.find(({ to, packet }) => to === B && packet.tag === 'ping')?.packet
    return ping?.tag === 'ping' ? ping.seq : -1
  }
  ask(B)
  t.strictSame(answers(), [], 'nothing yet')
  scene.receive(C, { tag: 'ack', seq: pinged(), claims: [] })
  t.strictSame(answers(), [], 'another one does not answer for it')
  scene.receive(B, { tag: 'ack', seq: pinged(), claims: [] })
  t.strictSame(answers(), [{ tag: 'ack', seq: 77, claims: [] }])
  ask(B)
  scene.advance(250)
  t.match(answers(), [{ tag: 'nack', seq: 77, session: true }], 'late')
  ask(B, 2)
  t.strictSame(answers(), [{ tag: 'nack', seq: 77, session: false }], 'another life')
  ask(B)
  scene.close(B)
  t.strictSame(answers(), [{ tag: 'nack', seq: 77, session: false }], 'its session ends meanwhile')
  ask(E)
  t.strictSame(answers(), [{ tag: 'nack', seq: 77, session: false }], 'unknown')
})

t.test('fast down: closed without goodbye, its address refuses, and no helper has a session', async t => {
  const rows: readonly [string, DownReason, 'refused' | 'unanswered', Scene['answer'], boolean][] = [
    ['b c d e', 'connection_closed', 'refused', 'none', true],
    ['b', 'connection_closed', 'refused', 'none', true],
    ['b c d e', 'connection_closed', 'refused', 'nack', false],
    ['b c d e', 'connection_closed', 'refused', 'ack', false],
    ['b c d e', 'connection_closed', 'refused', 'silence', false],
    ['b c d e', 'connection_closed', 'unanswered', 'none', false],
    ['b c d e', 'protocol', 'refused', 'none', false],
    ['b c d e', 'overloaded', 'refused', 'none', false],
    ['b c d e', 'timeout', 'refused', 'none', false],
    ['b c d e', 'disconnect', 'refused', 'none', false],
  ]
  for (const [others, closed, dialled, answer, fast] of rows) {
    const scene = new Scene(others)
    scene.answer = answer
    scene.close(B, closed)
    if (dialled === 'refused') scene.do(scene.swim.refused(B, scene.nowMs))
    const row = `${others}: ${closed}, ${dialled}, helpers ${answer}`
    t.strictSame(scene.told, fast ? ['b down refused'] : [], row)
    if (fast || answer === 'ack') continue
    const downMs = until(scene, 'b down timeout')
    t.ok(downMs >= LAN.downMinMs && downMs <= 6_000, `${row}: otherwise a suspicion, ${downMs} ms`)
  }
  const open = new Scene('b c')
  open.do(open.swim.refused(B, 0))
  t.strictSame(open.told, [], 'a session is open')
})

t.test('fast down goes on when a helper is lost, or finds its own session closed', async t => {
  const scene = new Scene('b c d')
  scene.answer = 'silence'
  scene.close(B)
  scene.do(scene.swim.refused(B, 0))
  const request = scene.sent.find(({ packet }) => packet.tag === 'request')?.packet
  const seq = request?.tag === 'request' ? request.seq : -1
  scene.receive(C, { tag: 'nack', seq, session: false })
  scene.close(D)
  t.strictSame(scene.told, [], 'its word is missing')
  scene.answer = 'none'
  scene.do(scene.swim.refused(B, 100))
  t.strictSame(scene.told, ['b down refused'], 'the next refusal asks again')
})

t.test('a departure that only others saw ends as left, after the time of a suspicion', async t => {
  const scene = new Scene('b c d e')
  scene.answer = 'ack'
  scene.close(B)
  scene.advance(3_000)
  scene.answer = 'none'
  scene.hear(C, accusation('left', B, 1, B))
  t.strictSame(scene.told, ['b suspect accused'])
  until(scene, 'b down left')
  t.equal(scene.stateOf(B), 'left 1')
})

t.test('a departure in a list is one, too', async t => {
  const scene = new Scene('b c d e')
  scene.close(B)
  scene.advance(1_250)
  scene.receive(C, { tag: 'state', records: [record(B, { state: 'left' })], pull: false, last: true })
  until(scene, 'b down left')
  t.strictSame(scene.told, ['b suspect accused', 'b down left'])
})

t.test('an answer counts from those who were asked, and from nobody else', async t => {
  const scene = new Scene('b c d e f g')
  scene.answer = 'silence'
  scene.close(B)
  const asked = scene.sent.filter(({ packet }) => packet.tag === 'request')
  const [first] = asked
  const seq = first?.packet.tag === 'request' ? first.packet.seq : -1
  const others = ids('c d e f g').filter(other => asked.every(({ to }) => to !== other))
  t.strictSame([asked.length, others.length], [3, 2])
  scene.do(scene.swim.refused(B, 0))
  for (const other of others) scene.receive(other, { tag: 'nack', seq, session: false })
  for (const { to } of asked.slice(1)) scene.receive(to, { tag: 'nack', seq, session: false })
  for (const other of others) scene.receive(other, { tag: 'nack', seq, session: true })
  t.strictSame(scene.told, [], 'one word is missing')
  for (const { to } of asked.slice(0, 1)) scene.receive(to, { tag: 'nack', seq, session: false })
  t.strictSame(scene.told, ['b down refused'])
  const other = new Scene('b c d e f g')
  other.answer = 'silence'
  other.silence(B)
  other.advance(2_000)
  const request = other.sent.findLast(({ packet }) => packet.tag === 'request')?.packet
  const forged = request?.tag === 'request' ? request.seq : -1
  const names = new Set(other.sent.flatMap(({ to, packet }) => (packet.tag === 'request' ? [to] : [])))
  for (const name of ids('c d e f g'))
    if (!names.has(name)) other.receive(name, { tag: 'ack', seq: forged, claims: [] })
  t.ok(until(other, 'b suspect timeout') <= 1_000, 'a sign of life that nobody was asked for is none')
})

t.test('own changes raise the incarnation, are seen here at once, and are told', async t => {
  const scene = new Scene('b')
  const { version } = scene.swim.view
  scene.do(scene.swim.update({ tags: ['gpu'] }))
  t.match(scene.swim.view.members[0], { name: 'a', tags: ['gpu'], incarnation: 2 })
  t.ok(scene.swim.view.version > version)
  t.strictSame(scene.told, ['a updated'])
  scene.advance(LAN.tickMs)
  t.match(scene.claimsTo(B), [{ tag: 'alive', record: { name: 'a', tags: ['gpu'], incarnation: 2 } }])
  scene.clear()
  scene.hear(B, alive(B, 2, { meta: { zone: 'x' } }), alive(B, 3, { meta: { zone: 'x' } }))
  t.strictSame([scene.stateOf(B), scene.told], ['alive 3', ['b updated']], 'a mere refutation is no news')
})

t.test(
  'a booting node takes one above what is remembered of an earlier life, and all know it then',
  async t => {
    const scene = new Scene('b c')
    scene.hear(B, alive(B, 40))
    scene.close(B, 'left')
    scene.clear()
    scene.open(record(B, { creation: 2 }), false)
    t.match(scene.claimsTo(B), [{ tag: 'dead', creation: 1, incarnation: 40 }])
    t.match(
      scene.claimsTo(C),
      [{ tag: 'alive', record: { name: 'b', creation: 2 } }],
      'a newcomer is announced',
    )
    const young = new Scene('b')
    young.hear(B, { tag: 'dead', name: A, creation: 9, incarnation: 40, from: B })
    t.strictSame([young.swim.self.incarnation, young.swim.health], [41, 0], 'which is no reproach')
  },
)

t.test('who is gone is told to newcomers and remembered for a day, awake time', async t => {
  const scene = new Scene('b c')
  scene.silence(B)
  until(scene, 'b down timeout')
  scene.clear()
  scene.open(record(D), false)
  const state = scene.sent.find(({ to }) => to === D)?.packet
  t.match(state, { tag: 'state', last: true, records: [{ name: 'a' }, { name: 'b', state: 'down' }, {}, {}] })
  const patient = new Swim({ self: record(A), membersMax: 256, profile: LAN, random: new SimRandom(1) })
  patient.opened(record(B), true, 0)
  patient.closed(B, 'left', 0)
  let nowMs = 0
  const wait = (hours: number): void => {
    // Steps of a tick would be a third of a million: two ticks at once are the longest that is no sleep.
    for (const endMs = nowMs + hours * 3_600_000; nowMs < endMs; ) patient.tick((nowMs += 2 * LAN.tickMs), 0)
  }
  wait(23.9)
  t.equal(patient.get(B)?.state, 'left')
  wait(0.2)
  t.equal(patient.get(B), undefined)
})

t.test('the whole list is exchanged every 30 s with one member, who answers with its own', async t => {
  const scene = new Scene('b c d')
  scene.advance(29_750)
  t.notOk(scene.sent.some(({ packet }) => packet.tag === 'state'))
  scene.advance(500)
  t.strictSame(
    scene.sent.flatMap(({ packet }) => (packet.tag === 'state' ? [packet.pull, packet.records.length] : [])),
    [true, 4],
  )
  scene.clear()
  scene.receive(B, { tag: 'state', records: [record(E)], pull: true, last: true })
  t.match(scene.sent, [{ to: 'b', packet: { tag: 'state', pull: false } }])
  t.strictSame(
    [scene.introduced, scene.stateOf(E)],
    [['e'], 'unknown'],
    'a stranger is dialled, and no member',
  )
})

t.test('a claim is told λ·log₁₀(n + 1) times, and a newer one takes its place', async t => {
  t.strictSame([1, 2, 9, 10, 99, 100, 1_000].map(tellings), [4, 4, 4, 8, 8, 12, 16])
  const queue = new GossipQueue()
  queue.push(accusation('suspect', B, 1, A))
  queue.push(accusation('suspect', B, 1, C))
  t.equal(queue.size, 2, 'accusers stand side by side')
  queue.push(alive(B, 2))
  t.equal(queue.size, 1)
  let told = 0
  while (queue.take(5).length > 0) told += 1
  t.strictSame([told, queue.size], [4, 0])
  for (let i = 0; i < 20; i++) queue.push(alive(`n${i}` as NodeId, 1))
  const seen = [queue.take(5), queue.take(5), queue.take(5)].map(claims => claims.length)
  t.strictSame(seen, [8, 8, 8], 'so many in a packet, the least told first')
})

t.test('time asleep is no time: after a stall nobody is accused, and a heartbeat more is waited', async t => {
  const wakefulness = new Wakefulness(250, 500)
  const ticks = [0, 250, 700, 10_700, 10_950].map(nowMs => [wakefulness.tick(nowMs), wakefulness.at(nowMs)])
  t.strictSame(ticks, [
    [0, 0],
    [0, 250],
    [0, 700],
    [9_750, 950],
    [0, 1_200],
  ])
  t.strictSame(
    [1_449, 1_450].map(ms => wakefulness.patient(ms)),
    [true, false],
  )
  t.equal(wakefulness.at(60_000), 1_700, 'and before the tick that tells of it, it stands still')
  const close = new Scene('b c d')
  close.silence(B)
  close.advance(2_250)
  close.nowMs += 3_000
  close.do(close.swim.tick(close.nowMs, 0))
  close.do(close.swim.heard(B, close.nowMs + 1))
  close.live = [B, C, D]
  close.advance(5_000)
  t.strictSame(close.told, [], 'what waited in the socket is read before anybody is judged')
  for (const stallMs of [1_000, 3_000, 60_000]) {
    const scene = new Scene('b c d')
    scene.advance(5_000)
    scene.nowMs += stallMs
    scene.do(scene.swim.tick(scene.nowMs, stallMs))
    scene.advance(10_000)
    t.strictSame([scene.told, scene.stateOf(B)], [[], 'alive 1'], `${stallMs} ms`)
    scene.silence(B)
    scene.swim.heard(C, scene.nowMs + stallMs)
    scene.nowMs += stallMs
    scene.do(scene.swim.tick(scene.nowMs, 0))
    t.ok(until(scene, 'b down timeout') <= 15_000, 'and whoever is dead is still found')
  }
})

// Packets.

const claimOf: fc.Arbitrary<Claim> = fc.oneof(
  fc
    .record({
      name: fc.constantFrom(B, C, D),
      incarnation: fc.nat(9),
      tags: fc.array(fc.string(), { maxLength: 3 }),
    })
    .map(({ name, incarnation, tags }) => alive(name, incarnation, { tags })),
  fc
    .record({
      tag: fc.constantFrom('suspect', 'dead', 'left'),
      name: fc.constantFrom(A, B, C, D),
      incarnation: fc.nat(9),
      from: fc.constantFrom(B, C, D, E),
    })
    .map(({ tag, name, incarnation, from }) => accusation(tag, name, incarnation, from)),
)

const packetOf: fc.Arbitrary<Packet> = fc.oneof(
  fc.record({
    tag: fc.constantFrom('ping', 'ack'),
    seq: fc.nat(2 ** 32 - 1),
    claims: fc.array(claimOf, { maxLength: 8 }),
  }),
  fc.record({
    tag: fc.constant('request'),
    seq: fc.nat(2 ** 32 - 1),
    target: fc.constantFrom(B, C),
    creation: fc.maxSafeNat().map(n => n % U48_MAX),
  }),
  fc.record({ tag: fc.constant('nack'), seq: fc.nat(), session: fc.boolean() }),
  fc.record({ tag: fc.constant('gossip'), claims: fc.array(claimOf, { minLength: 1, maxLength: 8 }) }),
  fc.record({
    tag: fc.constant('state'),
    records: fc.array(
      fc.constantFrom('alive', 'suspect', 'down', 'left').map(state => record(B, { state })),
      { maxLength: 5 },
    ),
    pull: fc.boolean(),
    last: fc.constant(true),
  }),
)

t.test('packets cross as they are, cut into frames that fit, and anything else is refused', async t => {
  fc.assert(
    fc.property(packetOf, fc.nat(), fc.nat(255), (packet, at, byte) => {
      const [frame, ...rest] = encodePacket(packet)
      if (frame === undefined || rest.length > 0) return false
      t.strictSame(decodePacket(frame.type, frame.body), { ...packet })
      const spoilt = Buffer.from(frame.body)
      spoilt[at % spoilt.length] = byte
      for (const body of [spoilt, frame.body.subarray(0, at % frame.body.length)]) {
        try {
          decodePacket(frame.type, body)
        } catch (error) {
          if (!TroupeError.is(error, 'ERR_FRAME')) return false
        }
      }
      return true
    }),
    { numRuns: 300 },
  )
  const fat = (i: number): Member =>
    record(`n${i}` as NodeId, { tags: Array.from({ length: 64 }, (_, k) => `${k}`.padEnd(64, 'x')) })
  const records = Array.from({ length: 10 }, (_, i) => fat(i))
  const state = encodePacket({ tag: 'state', records, pull: true, last: true })
  const parts = state.map(({ type, body }) => decodePacket(type, body))
  t.strictSame(
    parts.flatMap(part => (part.tag === 'state' ? part.records : [])),
    records,
  )
  const [last, ...before] = parts.map(part => part.tag === 'state' && [part.last, part.pull]).reverse()
  t.strictSame(
    [last, ...new Set(before.map(String))],
    [[true, true], 'false,false'],
    'the last part alone says so',
  )
  const [flood] = encodePacket({ tag: 'gossip', claims: Array(65).fill(accusation('dead', B, 1, C)) })
  t.throws(
    () => decodePacket(flood!.type, flood!.body),
    { code: 'ERR_FRAME' },
    'more than one frame may hold',
  )
  const claims = records.slice(0, 8).map(member => ({ tag: 'alive', record: member }) as const)
  const ping = encodePacket({ tag: 'ping', seq: 1, claims })
  for (const { body } of [...state, ...ping]) t.ok(body.length < 8_000)
  t.strictSame(
    ping.flatMap(({ type, body }) => {
      const packet = decodePacket(type, body)
      return 'claims' in packet ? packet.claims : []
    }),
    claims,
  )
})

// Laws.

type Step =
  | { readonly do: 'hear'; readonly from: NodeId; readonly claim: Claim }
  | { readonly do: 'wait'; readonly ms: number; readonly live: readonly NodeId[] }
  | { readonly do: 'close' | 'refuse' | 'open'; readonly name: NodeId }

const name = fc.constantFrom(B, C, D)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('hear'),
      from: name,
      // What an owner says is told by its incarnation: see `tags` below.
      claim: claimOf.map(claim =>
        claim.tag === 'alive'
          ? alive(claim.record.name, claim.record.incarnation, { tags: [`${claim.record.incarnation}`] })
          : claim,
      ),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('wait'),
      ms: fc.integer({ min: 250, max: 3_000 }),
      live: fc.subarray([B, C, D]),
    }),
  },
  fc.record({ do: fc.constantFrom('close', 'refuse', 'open'), name }),
)

t.test('a draw: who comes back more often than it has its turn stands in the round once', async t => {
  const draw = new Draw(new SimRandom(1))
  const there = new Map([A, B].map(name => [name, undefined]))
  for (let i = 0; i < 1_000; i++) draw.join(B)
  const drawn = Array.from({ length: 5 }, () => draw.next(there, () => true))
  t.strictSame([...drawn.slice(1, 3)].sort(), [A, B], 'after its one turn, all have theirs')
  t.strictSame([...drawn.slice(3, 5)].sort(), [A, B])
})

t.test(
  'over random claims, closings and silences: owners advance records, events alternate, nobody goes down early or returns by hearsay',
  async t => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), steps => {
        const scene = new Scene('')
        scene.answer = 'none'
        const state = new Map<string, string>()
        const lifeMs = new Map<string, number>()
        let seen = 0
        let lastVersion = 0
        const check = (opened: NodeId | undefined): void => {
          for (const words of scene.told.slice(seen)) {
            const [who, what, why] = words.split(' ') as [NodeId, string, string?]
            const was = state.get(who) ?? 'gone'
            if (what === 'up' && (was !== 'gone' || who !== opened)) throw new Error(`${words}: ${was}`)
            if (what === 'suspect' && was !== 'up') throw new Error(`${words}: ${was}`)
            if (what === 'alive' && was !== 'suspect') throw new Error(`${words}: ${was}`)
            if (what === 'down' && was === 'gone') throw new Error(`${words}: ${was}`)
            const quietMs = scene.nowMs - (lifeMs.get(who) ?? 0)
            if (what === 'down' && (why === 'timeout' || why === 'left') && quietMs < LAN.downMinMs)
              throw new Error(`${words} after ${quietMs} ms`)
            state.set(
              who,
              what === 'up' || what === 'alive'
                ? 'up'
                : what === 'down'
                  ? 'gone'
                  : what === 'suspect'
                    ? 'suspect'
                    : was,
            )
          }
          seen = scene.told.length
          if (scene.swim.view.version < lastVersion) throw new Error('an older view')
          lastVersion = scene.swim.view.version
          for (const who of [B, C, D]) {
            const member = scene.swim.get(who)
            if (
              member !== undefined &&
              member.incarnation > 1 &&
              `${member.tags}` !== `${member.incarnation}`
            )
              throw new Error(`${who} is at ${member.incarnation} and never said so`)
          }
        }
        for (const s of steps) {
          if ('claim' in s) scene.hear(s.from, s.claim)
          else if (s.do === 'close') scene.close(s.name)
          else if (s.do === 'refuse') scene.do(scene.swim.refused(s.name, scene.nowMs))
          else if (s.do === 'open') {
            lifeMs.set(s.name, scene.nowMs)
            const known = scene.swim.get(s.name)
            scene.open(
              record(s.name, known === undefined ? {} : { incarnation: known.incarnation, tags: known.tags }),
            )
          } else if ('live' in s) {
            scene.live = s.live.filter(who => scene.swim.get(who) !== undefined)
            for (const who of scene.live) lifeMs.set(who, scene.nowMs)
            const untilMs = scene.nowMs + s.ms
            while (scene.nowMs < untilMs) {
              scene.advance(LAN.tickMs)
              for (const who of scene.live) lifeMs.set(who, scene.nowMs)
              check(undefined)
            }
            scene.live = []
          }
          check(s.do === 'open' ? s.name : undefined)
        }
        return true
      }),
      { numRuns: 1_000 },
    )
    t.pass('1,000 histories')
  },
)

/** Several cores and what is on its way between them: delivered in any order, lost, or held back. */
class Cluster {
  readonly cores = new Map<NodeId, Swim>()
  readonly told = new Map<NodeId, string[]>()
  readonly #random: SimRandom
  readonly #sent: { from: NodeId; to: NodeId; packet: Packet }[] = []
  readonly #frozen = new Set<NodeId>()
  nowMs = 0

  constructor(names: readonly NodeId[], seed: number) {
    this.#random = new SimRandom(seed)
    for (const self of names) {
      const random = this.#random.fork(self)
      this.cores.set(self, new Swim({ self: record(self), membersMax: 256, profile: LAN, random }))
      this.told.set(self, [])
    }
    for (const self of names) for (const other of names) if (self !== other) this.open(self, other)
  }

  core(self: NodeId): Swim {
    return this.cores.get(self)!
  }

  open(self: NodeId, other: NodeId): void {
    this.do(self, this.core(self).opened(this.core(other).self, true, this.nowMs))
  }

  do(self: NodeId, effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.tag === 'send') this.#sent.push({ from: self, to: effect.to, packet: effect.packet })
      else if (effect.tag === 'list')
        this.#sent.push({ from: self, to: effect.to, packet: this.core(self).list(effect.pull) })
      else if (effect.tag === 'change')
        this.told.get(self)!.push(`${effect.change.member.name} ${effect.change.tag}`)
    }
  }

  freeze(self: NodeId): void {
    this.#frozen.add(self)
  }

  thaw(): void {
    this.#frozen.clear()
  }

  /** A tick of all; then `share` of what is under way arrives, in an order of chance, and `loss` of it never. */
  turn(share: number, loss: number): void {
    this.nowMs += LAN.tickMs
    for (const [self, swim] of this.cores) {
      if (this.#frozen.has(self)) continue
      for (const other of this.cores.keys())
        if (other !== self && !this.#frozen.has(other)) this.do(self, swim.heard(other, this.nowMs))
      this.do(self, swim.tick(this.nowMs, 0))
    }
    for (let left = Math.ceil(this.#sent.length * share); left > 0 && this.#sent.length > 0; left--) {
      const [mail] = this.#sent.splice(this.#random.below(this.#sent.length), 1)
      if (mail === undefined || this.#random.chance(loss)) continue
      if (this.#frozen.has(mail.to)) this.#sent.push(mail)
      else this.do(mail.to, this.core(mail.to).receive(mail.from, mail.packet, this.nowMs))
    }
  }

  views(): string[] {
    return [...this.cores.values()].map(swim =>
      swim.view.members.map(m => `${m.name}:${m.incarnation}:${m.state}:${m.tags}`).join(' '),
    )
  }
}

t.test(
  'whatever is said, in whatever order it arrives, all views agree in the end, on what each says of itself',
  async t => {
    const names = [A, B, C, D, E]
    const act = fc.oneof(
      fc.record({ do: fc.constant('update'), who: fc.constantFrom(...names), n: fc.nat(9) }),
      fc.record({
        do: fc.constant('accuse'),
        who: fc.constantFrom(...names),
        of: fc.constantFrom(...names),
        tag: fc.constantFrom('suspect', 'dead', 'left'),
      }),
      fc.record({ do: fc.constant('freeze'), who: fc.constantFrom(...names) }),
      fc.record({ do: fc.constant('turn'), count: fc.integer({ min: 1, max: 6 }) }),
    )
    fc.assert(
      fc.property(
        fc.array(act, { maxLength: 30 }),
        fc.nat(1_000),
        fc.constantFrom(0, 0.2),
        (acts, seed, loss) => {
          const cluster = new Cluster(names, seed)
          for (const a of acts) {
            if (a.do === 'update') cluster.do(a.who, cluster.core(a.who).update({ tags: [`${a.n}`] }))
            else if (a.do === 'accuse') {
              const { creation, incarnation } = cluster.core(a.of).self
              const claim = { tag: a.tag, name: a.of, creation, incarnation, from: a.who }
              for (const other of names) {
                if (other === a.who) continue
                const effects = cluster
                  .core(other)
                  .receive(a.who, { tag: 'gossip', claims: [claim] }, cluster.nowMs)
                cluster.do(other, effects)
              }
            } else if (a.do === 'freeze') {
              cluster.freeze(a.who)
              for (let i = 0; i < 11; i++) cluster.turn(0.5, loss) // 2.75 s: suspected, perhaps, and never down
              cluster.thaw()
              cluster.turn(1, 0)
            } else for (let i = 0; i < a.count; i++) cluster.turn(0.5, loss)
          }
          for (let i = 0; i < 4 * 200; i++) cluster.turn(1, 0)
          const truth = names
            .map(self => cluster.core(self).self)
            .map(m => `${m.name}:${m.incarnation}:alive:${m.tags}`)
            .join(' ')
          const views = cluster.views()
          if (views.some(view => view !== truth)) throw new Error(`${truth}\n${views.join('\n')}`)
          for (const [self, told] of cluster.told)
            for (const other of names) {
              const states = told.filter(words => words.startsWith(`${other} `) && !words.endsWith('updated'))
              const doubled = states.some((words, i) => words === states[i - 1])
              if (doubled || states.includes(`${other} down`)) throw new Error(`${self} was told ${states}`)
            }
        },
      ),
      { numRuns: 60 },
    )
    t.pass('60 histories of five')
  },
)

t.test('news reaches everybody in a few rounds, and then costs nothing', async t => {
  for (const n of [3, 10, 40]) {
    const names = Array.from({ length: n }, (_, i) => `n${i}` as NodeId)
    const cluster = new Cluster(names, n)
    for (let i = 0; i < 8; i++) cluster.turn(1, 0)
    cluster.do(names[0]!, cluster.core(names[0]!).update({ tags: ['new'] }))
    let rounds = 0
    while (cluster.views().some(view => !view.includes(':new'))) {
      cluster.turn(1, 0)
      rounds += 1
      if (rounds > 40) break
    }
    t.ok(rounds <= 4 + 2 * Math.log2(n), `${n} members: ${rounds} rounds`)
    for (let i = 0; i < 40; i++) cluster.turn(1, 0)
    t.equal(cluster.core(names[0]!).stats()['claims'], 0)
  }
})
