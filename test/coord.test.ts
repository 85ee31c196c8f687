/** The slot protocol: random interleavings of the real machine, what the naive protocol gets wrong, and single rules. */

import t from 'tap'
import type { NodeId } from '../lib/base/ids.js'
import { hashKey } from '../lib/base/key-hash.js'
import { Alarms } from '../lib/coord/alarms.js'
import { compareClaims, type Entry } from '../lib/coord/slot-data.js'
import { HASH_VERSION, SLOTS, slotOf } from '../lib/coord/slot-hash.js'
import { SlotMachine } from '../lib/coord/slot-machine.js'
import type { SlotMessage } from '../lib/coord/slot-messages.js'
import { runNaive } from './model/naive-registrar.js'
import { type Case, runCase, tally } from './model/slot-checker.js'

const CLEAN: Case[] = [
  'join',
  'crash',
  'restart',
  'death-during-grant',
  'lost-session',
  'suspects',
  'partition',
  'revive',
]

for (const name of CLEAN) {
  t.test(`5,000 interleavings of ${name} end with one holder and equal tables`, t => {
    const { bad, first } = tally(5_000, seed => runCase(name, seed))
    t.strictSame({ bad, first }, { bad: 0, first: undefined })
    t.end()
  })
}

t.test('interleavings that once failed stay right', t => {
  const seeds: [Case, number, string][] = [
    ['join', 620, 'a digest older than the entry that it does not list'],
    ['partition', 234, 'a member that answers while a winner is being installed'],
    ['partition', 637, 'an answer overtaken by an accept'],
    ['partition', 1515, 'a member that had not seen the holder come back'],
    ['partition', 12001, 'an answer overtaken by an accept that was acked before it was looked at'],
    ['suspects', 52097, 'an entry that was accepted and never granted, older than the holder'],
    ['restart', 5066, 'a home whose own table had what it did not list'],
    ['all', 1757, 'a registrar whose members were sealed by one who died'],
    ['all', 2619, 'a contest that ended because a claimant died'],
    ['all', 4486, 'a release during a seal, lost on its way to one who had listed the entry'],
    ['all', 38441, 'a contest that an answer ended'],
    ['all', 33887, 'a record without an owner against an owner'],
    ['revive', 2564, 'two replacements of one record'],
  ]
  for (const [name, seed, why] of seeds) t.strictSame(runCase(name, seed), [], `${name} ${seed}: ${why}`)
  t.end()
})

t.test('the same checker finds two holders in the naive protocol', t => {
  const { bad, kinds } = tally(5_000, runNaive)
  t.ok(bad > 50, `${bad} of 5,000`)
  t.strictSame(Object.keys(kinds), ['two holders'])
  t.end()
})

t.test('the hash is fixed and spreads names over the slots', t => {
  t.equal(HASH_VERSION, 1)
  t.strictSame(['', 'a', 'visits', 'größe'].map(hashKey), [2872998923, 2448022055, 2338194837, 419985943])
  const counts = new Array<number>(64).fill(0)
  for (let i = 0; i < 64_000; i++) counts[slotOf(`counter-${i}`, SLOTS) % 64]!++
  t.ok(
    Math.max(...counts) < 1_150 && Math.min(...counts) > 850,
    `${Math.min(...counts)} to ${Math.max(...counts)}`,
  )
  t.end()
})

t.test('alarms ring in order of time, and not when stopped', t => {
  const alarms = new Alarms()
  const rung: number[] = []
  const set = [5, 3, 9, 1, 7].map(at => alarms.set(at, () => rung.push(at)))
  set[1]!.stop()
  set[1]!.stop()
  t.equal(alarms.size, 4)
  t.equal(alarms.next(), 1)
  alarms.run(7)
  t.strictSame(rung, [1, 5, 7])
  t.equal(alarms.next(), 9)
  t.end()
})

t.test('a confirmed claim wins over an older one, a later confirmation over an earlier', t => {
  const home = { node: 'a' as NodeId, creation: 1 }
  const claim = (seq: number, confirmed?: number): Entry => ({
    key: 'x',
    home,
    serial: seq,
    since: { n: 1, node: home.node, seq },
    confirmed: confirmed === undefined ? undefined : { n: confirmed, node: home.node },
    value: undefined,
  })
  const order = [claim(1), claim(4, 2), claim(2), claim(3, 5)].sort(compareClaims)
  t.strictSame(
    order.map(({ serial }) => serial),
    [3, 4, 1, 2],
  )
  t.end()
})

/** One node, alone or with silent peers, and all that it says. */
function machine() {
  const sent: [string, SlotMessage][] = []
  const answers: unknown[] = []
  const self = { node: 'a' as NodeId, creation: 1 }
  const m = new SlotMachine({
    self,
    slots: 1,
    resolver: 'oldest',
    times: { stableMs: 1_000, learnMs: 8_000, retryMs: 25, retryMaxMs: 400 },
    limits: { asksMax: 2, waitingMax: 2, holdingsMax: 10, goneMax: 10 },
    random: () => 0.5,
    effects: {
      send: (to, message) => sent.push([to.node, message]),
      answer: (_id, answer) => answers.push(answer.ok ? 'granted' : answer.why),
      lost: () => undefined,
      changed: () => undefined,
      revive: () => undefined,
    },
  })
  const register = (now: number, serial: number, key = 'x', timeoutMs = 5_000): number =>
    m.ask(now, { kind: 'register', key, serial, value: undefined, since: undefined, timeoutMs })
  return { m, sent, answers, register }
}

t.test(
  'a node alone opens its slots at once and grants; a second owner is refused, the same one is not',
  t => {
    const { m, answers, register } = machine()
    m.ring(0, ['a' as NodeId])
    m.start(0)
    register(1, 7)
    register(2, 8)
    register(3, 7)
    t.strictSame(answers, ['granted', 'taken', 'granted'])
    t.strictSame(m.owner('x'), { node: 'a', creation: 1, serial: 7 })
    m.ended(4, 7, () => false)
    t.equal(m.owner('x'), undefined)
    register(5, 8)
    t.strictSame(answers, ['granted', 'taken', 'granted', 'granted'])
    t.end()
  },
)

t.test('before it has joined a node seals nothing, and its requests wait, at most to their deadline', t => {
  const { m, answers, register } = machine()
  m.ring(0, ['a' as NodeId])
  register(0, 7, 'x', 100)
  register(0, 8, 'y')
  t.strictSame([m.term(0), answers], [undefined, []])
  m.tick(100)
  t.strictSame(answers, ['unavailable'])
  m.start(200)
  t.strictSame(answers, ['unavailable', 'granted'])
  t.end()
})

t.test('beyond its limit of requests a node answers unavailable at once, and counts it', t => {
  const { m, answers, register } = machine()
  for (const serial of [1, 2, 3]) register(0, serial, `k${serial}`)
  t.strictSame([answers, m.stats()['overflow'], m.stats()['asking']], [['unavailable'], 1, 2])
  t.end()
})

t.test('nothing is granted before every member has accepted; a suspect alone does not hold up three', t => {
  const { m, sent, answers, register } = machine()
  const b = { node: 'b' as NodeId, creation: 2 }
  const c = { node: 'c' as NodeId, creation: 3 }
  for (const peer of [b, c]) m.sessionUp(0, peer)
  m.ring(0, ['a' as NodeId])
  m.start(0)
  register(1, 7)
  m.receive(2, b, { type: 'sealed', slot: 0, n: 1, entries: [], last: true })
  m.receive(2, c, { type: 'sealed', slot: 0, n: 1, entries: [], last: true })
  const accepts = sent.filter(([, { type }]) => type === 'accept')
  t.strictSame(
    accepts.map(([to]) => to),
    ['b', 'c'],
  )
  m.receive(3, b, { type: 'ack', slot: 0, n: 1, no: 1, key: 'x', holds: 'yes' })
  t.strictSame(answers, [])
  m.memberSuspect(4, c)
  t.strictSame(answers, ['granted'])
  t.end()
})

t.test('a seal below the promise, or of another life with the same number, is refused', t => {
  const { m, sent } = machine()
  const b = { node: 'b' as NodeId, creation: 2 }
  const again = { node: 'b' as NodeId, creation: 9 }
  m.sessionUp(0, b)
  m.receive(1, b, { type: 'seal', slot: 0, n: 5 })
  m.receive(2, b, { type: 'seal', slot: 0, n: 4 })
  m.sessionUp(3, again)
  m.receive(4, again, { type: 'seal', slot: 0, n: 5 })
  const said = sent.map(([, message]) => message.type).filter(type => type !== 'digest')
  t.strictSame(said, ['sealed', 'nack', 'nack'])
  t.end()
})

t.test(
  'a life that only a message named counts as there, until it has stayed unexplained for too long',
  t => {
    const { m } = machine()
    const b = { node: 'b' as NodeId, creation: 2 }
    const ghost = { node: 'g' as NodeId, creation: 5 }
    m.sessionUp(0, b)
    const since = { n: 1, node: b.node, seq: 1 }
    const entry = { key: 'x', home: ghost, serial: 1, since, confirmed: undefined, value: undefined }
    m.receive(1, b, { type: 'seal', slot: 0, n: 1 })
    m.receive(2, b, { type: 'accept', slot: 0, n: 1, no: 1, key: 'x', entry })
    t.strictSame(m.owner('x'), { ...ghost, serial: 1 })
    m.tick(8_002)
    t.equal(m.owner('x'), undefined)
    t.end()
  },
)
