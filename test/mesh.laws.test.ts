/** The mesh's pure parts: exhausted where their space is small, sampled where it is not. */
import fc from 'fast-check'
import t from 'tap'
import { TroupeError } from '../lib/base/errors.js'
import { compareIds, type NodeId } from '../lib/base/ids.js'
import type { Member } from '../lib/base/member.js'
import type { Loop, Stream } from '../lib/base/runtime.js'
import { admit } from '../lib/mesh/admission.js'
import { DialPlan } from '../lib/mesh/dial-plan.js'
import { FieldReader, FieldWriter, readMember, writeMember } from '../lib/mesh/fields.js'
import { clusterOf } from '../lib/mesh/full-mesh.js'
import { Acceptor, type Claim, Dialler, keysOf, type Step } from '../lib/mesh/handshake.js'
import { Lanes, type Out, Window } from '../lib/mesh/lanes.js'
import { Membership } from '../lib/mesh/membership.js'
import { outFrame } from '../lib/mesh/mesh.js'
import { SlabWriter } from '../lib/mesh/slab-writer.js'
import { Flag, HEADER_BYTES } from '../lib/wire/frame.js'
import { FrameReader } from '../lib/wire/frame-reader.js'
import { Reassembly } from '../lib/wire/reassembly.js'

const A = 'a' as NodeId
const B = 'b' as NodeId
const KEYS = keysOf('k'.repeat(32))
const CLUSTER = clusterOf('demo', { slots: 4_096 })

const member = (name: NodeId, creation: number, extra: Partial<Member> = {}): Member => ({
  name,
  address: { host: '127.0.0.1', port: 7_001 },
  creation,
  incarnation: 1,
  state: 'alive',
  version: 1,
  tags: ['gpu'],
  meta: { zone: 'x', __proto__x: 'y' },
  host: 'h',
  voter: true,
  ...extra,
})

const claim = (name: NodeId, creation: number, epoch = 0): Claim => ({
  cluster: CLUSTER,
  epoch,
  record: member(name, creation),
})
const greeting = (id: NodeId, creation: number, seed: number) =>
  ({ role: 'member', id, creation, nonce: Buffer.alloc(32, seed) }) as const

const bodyOf = (step: Step): Buffer => {
  if (step.tag !== 'send') throw new Error(`expected a body, got ${JSON.stringify(step)}`)
  return step.body
}

/** Runs one handshake; `edit` may change each body on its way. */
function shake(edit: (which: string, body: Buffer) => Buffer, keys = { a: KEYS, b: KEYS }): string {
  const dialler = new Dialler(greeting(A, 1, 1), keys.a)
  const acceptor = new Acceptor(greeting(B, 2, 2), keys.b)
  try {
    const challenge = acceptor.onHello(edit('hello', dialler.hello))
    if (challenge.tag !== 'send') return 'refused'
    const challenged = dialler.onChallenge(edit('challenge', challenge.body))
    if (challenged.tag !== 'challenged') return 'refused'
    const proved = acceptor.onProof(edit('proof', bodyOf(dialler.prove(claim(A, 1)))), CLUSTER)
    if (proved.tag !== 'proved') return 'refused'
    const { body } = acceptor.welcome(claim(B, 2, 1))
    return dialler.onWelcome(edit('welcome', body)).tag === 'open' ? 'open' : 'refused'
  } catch (error) {
    if (TroupeError.is(error, 'ERR_FRAME')) return 'refused'
    throw error
  }
}

t.test('an untouched handshake opens', async t => {
  t.equal(
    shake((_, body) => body),
    'open',
  )
})

t.test('each byte of each handshake frame, changed, cut or doubled, is refused', async t => {
  let cases = 0
  for (const which of ['hello', 'challenge', 'proof', 'welcome']) {
    let length = 0
    shake((name, body) => {
      if (name === which) length = body.length
      return body
    })
    for (let i = 0; i < length; i++) {
      for (const change of [1, 128, 'cut'] as const) {
        const result = shake((name, body) => {
          if (name !== which) return body
          if (change === 'cut') return body.subarray(0, i)
          const copy = Buffer.from(body)
          copy[i] = copy[i]! ^ change
          return copy
        })
        cases += 1
        if (result !== 'refused') t.fail(`${which} byte ${i}, ${change}: ${result}`)
      }
    }
    const longer = shake((name, body) => (name === which ? Buffer.concat([body, Buffer.alloc(1)]) : body))
    if (longer !== 'refused') t.fail(`${which} with one more byte: ${longer}`)
  }
  t.ok(cases > 1_000, `${cases} cases`)
})

t.test('a replayed proof and a reflected one are refused', async t => {
  let recorded: Buffer = Buffer.alloc(0)
  shake((which, body) => {
    if (which === 'proof') recorded = body
    return body
  })
  const acceptor = new Acceptor(greeting(B, 2, 9), KEYS)
  acceptor.onHello(new Dialler(greeting(A, 1, 1), KEYS).hello)
  t.equal(acceptor.onProof(recorded, CLUSTER).tag, 'refuse', 'another nonce')
  const dialler = new Dialler(greeting(A, 1, 1), KEYS)
  dialler.onChallenge(bodyOf(new Acceptor(greeting(B, 2, 2), KEYS).onHello(dialler.hello)))
  t.equal(dialler.onWelcome(bodyOf(dialler.prove(claim(A, 1)))).tag, 'refuse', 'our own proof')
})

t.test(
  'pairs of secrets: open exactly when the first of the dialler is among those of the acceptor',
  async t => {
    const sets = [keysOf(undefined), ['x'], ['y'], ['x', 'y'], ['y', 'x']]
    for (const a of sets) {
      for (const b of sets) {
        const expected = b.includes(a[0]!) ? 'open' : 'refused'
        if (shake((_, body) => body, { a, b }) !== expected) t.fail(`${a} to ${b}: expected ${expected}`)
      }
    }
  },
)

t.test('a record speaks for the node that sends it, and for nobody else', async t => {
  const dialler = new Dialler(greeting(A, 1, 1), KEYS)
  const acceptor = new Acceptor(greeting(B, 2, 2), KEYS)
  dialler.onChallenge(bodyOf(acceptor.onHello(dialler.hello)))
  t.equal(acceptor.onProof(bodyOf(dialler.prove(claim(B, 2))), CLUSTER).tag, 'refuse')
})

// Simultaneous dials. Each side: nothing, greeted (hello out), proved (proof out). Messages of the two connections
// arrive in any order; connections are reliable here.

interface Side {
  readonly id: NodeId
  dial: 'none' | 'greeted' | 'proved' | 'dropped' | 'refused' | 'open'
  session: 'none' | 'own' | 'theirs'
}

interface State {
  readonly sides: readonly [Side, Side]
  /** In flight, per connection, oldest first: what is on the way to whom. */
  readonly wires: readonly [string[], string[]]
}

const clone = (s: State): State => ({
  sides: [{ ...s.sides[0] }, { ...s.sides[1] }],
  wires: [[...s.wires[0]], [...s.wires[1]]],
})

/** Delivers the next message of connection `c`, which side `c` dialled. */
function deliver(state: State, c: 0 | 1): void {
  const mine = state.sides[c]
  const other = state.sides[c === 0 ? 1 : 0]
  const message = state.wires[c].shift()
  const alive = mine.dial === 'greeted' || mine.dial === 'proved'
  if (message === 'hello') state.wires[c].push('challenge')
  else if (message === 'challenge' && alive) {
    if (mine.session !== 'none') mine.dial = 'dropped'
    else {
      mine.dial = 'proved'
      state.wires[c].push('proof')
    }
  } else if (message === 'proof') {
    const admission = admit({
      self: other.id,
      selfCreation: 1,
      peer: mine.id,
      peerCreation: 1,
      peerEpoch: 0,
      session: other.session === 'none' ? undefined : { creation: 1, epoch: 1 },
      dialCommitted: other.dial === 'proved',
    })
    if (admission.tag === 'accept') {
      other.session = 'theirs'
      if (other.dial !== 'none') other.dial = 'dropped'
      state.wires[c].push('welcome')
    } else state.wires[c].push('refuse')
  } else if (message === 'welcome' && alive) {
    mine.dial = 'open'
    mine.session = 'own'
  } else if (message === 'refuse' && alive) mine.dial = 'refused'
}

t.test(
  'every interleaving of two simultaneous dials ends with exactly one session, the same on both sides',
  async t => {
    let ends = 0
    const start = (): Side[] => [A, B].map(id => ({ id, dial: 'none', session: 'none' }))
    const walk = (state: State): void => {
      let moved = false
      for (const c of [0, 1] as const) {
        const next = clone(state)
        if (next.sides[c].dial === 'none' && next.sides[c].session === 'none') {
          next.sides[c].dial = 'greeted'
          next.wires[c].push('hello')
        } else if (next.wires[c].length > 0) deliver(next, c)
        else continue
        moved = true
        walk(next)
      }
      if (moved) return
      ends += 1
      const both = state.sides
        .map(side => side.session)
        .sort()
        .join(' ')
      if (both !== 'own theirs') t.fail(`ended with ${JSON.stringify(state.sides)}`)
    }
    const [a, b] = start()
    walk({ sides: [a!, b!], wires: [[], []] })
    t.ok(ends > 10, `${ends} endings`)
  },
)

t.test(
  'admission against an open session: other life pings, lost epoch replaces, newer session refuses',
  async t => {
    const base = { self: A, selfCreation: 1, peer: B, peerCreation: 2, dialCommitted: false }
    const with_ = (creation: number, epoch: number, peerEpoch: number) =>
      admit({ ...base, peerEpoch, session: { creation, epoch } }).tag
    t.strictSame(
      [with_(3, 1, 0), with_(2, 4, 4), with_(2, 4, 5), with_(2, 4, 3)],
      ['ping', 'replace', 'replace', 'refuse'],
    )
    const self = (peerCreation: number) =>
      admit({ ...base, peer: A, peerCreation, peerEpoch: 0, session: undefined })
    t.match(
      [self(1), self(2)],
      [{ refused: { code: 3 } }, { refused: { code: 2 } }],
      'itself, and its double',
    )
  },
)

// Lanes.

class Pipe implements Out {
  blocked = false
  scheduled = false
  readonly chunks: Buffer[] = []
  put(bytes: Buffer): void {
    this.chunks.push(Buffer.from(bytes))
  }
  copy(bytes: Buffer, length: number): void {
    this.chunks.push(Buffer.from(bytes.subarray(0, length)))
  }
  schedule(): void {
    this.scheduled = true
  }
}

const LIMIT = {
  fragmentBytes: 100,
  messageBytesMax: 1_000,
  creditBytes: 300,
  queueBytesBusy: 1_000,
  queueBytesMax: 4_000,
  bulkBytesMax: 4_000,
  signalBytesMax: 1_000,
}

type Action =
  | { readonly pair: number; readonly bytes: number }
  | 'urgent'
  | 'slot'
  | 'block'
  | 'drain'
  | 'grant'
  | 'turn'
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ pair: fc.integer({ min: 1, max: 4 }), bytes: fc.integer({ min: 2, max: 500 }) }),
  },
  fc.constantFrom<Action>('urgent', 'slot', 'block', 'drain', 'grant', 'turn'),
)

t.test(
  'lanes: order per pair, never beyond credit, urgent never waits for credit, all of it arrives',
  async t => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 120 }), actions => {
        const pipe = new Pipe()
        const lanes = new Lanes(pipe, LIMIT)
        const window = new Window(LIMIT.creditBytes, 1_200)
        const got = new Map<number, number[]>()
        const sent = new Map<number, number[]>()
        const reassembly = new Reassembly(LIMIT.messageBytesMax)
        let sequence = 0
        let urgent = 0
        const body = (pair: number, body: Buffer): void => {
          got.set(pair, [...(got.get(pair) ?? []), body.readUInt16LE(0)])
        }
        const reader = new FrameReader(10_000, frame => {
          if (frame.further) {
            const whole = reassembly.add(frame)
            if (whole !== undefined) body(frame.pair, whole)
            return
          }
          if (frame.sequence !== sequence++) throw new Error('sequence')
          if (frame.type === 8) urgent -= 1
          if (frame.type < 32) return
          if (!window.take(frame.bodyBytes + HEADER_BYTES)) throw new Error('beyond credit')
          if ((frame.flags & (Flag.more | Flag.continued)) === 0) {
            if (reassembly.has(frame.pair)) throw new Error('overtaken')
            body(frame.pair, frame.buffer.subarray(frame.start, frame.end))
            return
          }
          const whole = reassembly.add(frame)
          if (whole !== undefined) body(frame.pair, whole)
        })
        const receive = (): void => {
          for (const chunk of pipe.chunks.splice(0)) reader.push(chunk)
        }
        const grant = (): void => {
          const bytes = window.grant(LIMIT.fragmentBytes, 0)
          if (bytes !== undefined) lanes.permit(bytes, 1e9)
        }
        let n = 0
        for (const step of actions) {
          if (step === 'urgent') {
            urgent += 1
            lanes.urgent(8, Buffer.alloc(HEADER_BYTES))
          } else if (step === 'slot') lanes.slot(16, Buffer.alloc(HEADER_BYTES + 10))
          else if (step === 'block') pipe.blocked = true
          else if (step === 'drain') {
            pipe.blocked = false
            lanes.pump()
            receive()
            if (urgent !== 0) throw new Error('urgent waits')
          } else if (step === 'grant') {
            receive()
            grant()
          } else if (step === 'turn') lanes.pump()
          else {
            const head = Buffer.alloc(HEADER_BYTES + 2)
            head.writeUInt16LE(n, HEADER_BYTES)
            const tail = Buffer.alloc(step.bytes - 2)
            const lent = Buffer.concat([head, Buffer.alloc(20, 0xff)])
            const owned = outFrame(32, 0, step.pair, head, tail, true)
            const answer = lanes.send(n % 2 === 0 ? owned : { ...owned, head: lent, lent: true }, () => 0)
            // What was lent is written to again as soon as the call is over.
            lent.fill(0xff)
            if (n % 2 === 1) tail.fill(0xff)
            if (answer !== 'full') sent.set(step.pair, [...(sent.get(step.pair) ?? []), n])
            n += 1
          }
        }
        pipe.blocked = false
        for (let i = 0; i < 1_000 && !lanes.idle; i++) {
          lanes.pump()
          receive()
          grant()
        }
        receive()
        if (!lanes.idle || lanes.queuedBytes !== 0) throw new Error(`stuck with ${lanes.queuedBytes} bytes`)
        return [1, 2, 3, 4].every(pair => `${got.get(pair)}` === `${sent.get(pair)}`)
      }),
      { numRuns: 2_000, seed: 7 },
    )
    t.pass('2,000 runs')
  },
)

t.test(
  'lanes: a pair that waits for credit is overtaken by urgent and slot, and a small pair passes a large one',
  async t => {
    const pipe = new Pipe()
    const lanes = new Lanes(pipe, LIMIT)
    const types: number[] = []
    const reader = new FrameReader(10_000, frame => {
      if (!frame.further) types.push(frame.type * 100 + frame.pair)
    })
    const head = (bytes: number): Buffer => Buffer.alloc(HEADER_BYTES + bytes)
    lanes.send(outFrame(32, 0, 1, head(900), undefined, true), () => 0)
    lanes.send(outFrame(32, 0, 2, head(10), undefined, true), () => 0)
    lanes.slot(16, head(5))
    lanes.urgent(8, head(0))
    lanes.pump()
    for (const chunk of pipe.chunks.splice(0)) reader.push(chunk)
    t.strictSame(types, [800, 1_600, 3_201, 3_202, 3_201])
  },
)

t.test(
  'lanes: who takes all that stood at the limit is kept, who takes less in five seconds is not',
  async t => {
    for (const [taken, overloaded] of [
      [4_000, false],
      [3_000, true],
    ] as const) {
      const lanes = new Lanes(new Pipe(), LIMIT)
      // Of a size that does not fill the queue to the last byte.
      const frame = outFrame(32, 0, 1, Buffer.alloc(HEADER_BYTES + 90), undefined, true)
      while (lanes.send(frame, () => 0) !== 'full') {}
      lanes.permit(LIMIT.creditBytes + taken, 0)
      lanes.pump()
      t.equal(lanes.idle, !overloaded)
      t.strictSame([lanes.overloaded(4_999), lanes.overloaded(5_000)], [false, overloaded], `${taken} taken`)
    }
  },
)

t.test(
  'a window that is taken within 4 ms and two round trips doubles to its limit, one that lasts 8 times as long halves',
  async t => {
    const window = new Window(1_000, 4_000)
    let takenBytes = 0
    /** Takes the whole window `ms` later; how much further the other side may go then. */
    let nowMs = 0
    const taken = (ms: number, roundTripMs: number): number => {
      const bytes = window.permittedBytes - takenBytes
      if (!window.take(bytes)) throw new Error('permitted and then not')
      takenBytes += bytes
      nowMs += ms
      return window.grant(nowMs, roundTripMs)! - takenBytes
    }
    t.equal(window.grant(0, 0), undefined, 'nothing was taken: nothing is announced')
    t.equal(taken(10_000, 0), 1_000, 'the first has no beginning to be measured from')
    t.equal(taken(3.9, 0), 2_000, 'taken too fast')
    t.equal(taken(4, 0), 2_000, 'as it should be')
    t.equal(taken(23.9, 10), 4_000, 'too fast for the way there and back')
    t.equal(taken(1, 10), 4_000, 'and no further')
    t.equal(taken(192, 10), 4_000, 'slow, and not too slow')
    t.equal(taken(192.1, 10), 2_000, 'more than is needed')
    t.equal(taken(33, 0), 1_000)
    t.equal(taken(1e6, 0), 1_000, 'never below what it began with')
    t.equal(window.take(1_001), false, 'more than was permitted')
  },
)

t.test('a window goes below what it began with while answers are late, and holds a frame still', async t => {
  const window = new Window(1_000, 4_000, 300)
  let takenBytes = 0
  const taken = (answerMs: number): number => {
    const bytes = window.permittedBytes - takenBytes
    if (!window.take(bytes)) throw new Error('permitted and then not')
    takenBytes += bytes
    return window.grant(0, 0, answerMs)! - takenBytes
  }
  t.strictSame([1_000, 1_001, 1_001, 1_001].map(taken), [1_000, 500, 300, 300])
  t.equal(taken(1_000), 1_000, 'in time again: as it began')
  t.equal(new Window(1_000, 1_000, 5_000).permittedBytes, 1_000, 'a frame may be larger than all of it')
})

t.test(
  'what a writer handed over stays as it was until the system has it, then its place is used again',
  async t => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            { weight: 5, arbitrary: fc.integer({ min: 1, max: 20_000 }) },
            fc.constantFrom('turn', 'take'),
          ),
          {
            maxLength: 150,
          },
        ),
        steps => {
          const [taken, expected]: [Buffer[], Buffer[]] = [[], []]
          let pending: Buffer[] = []
          let refused = false
          const turns: (() => void)[] = []
          const stream = {
            get pendingBytes() {
              return pending.reduce((sum, bytes) => sum + bytes.length, 0)
            },
            writeAll: (chunks: readonly Buffer[]) => {
              pending.push(...chunks)
              refused = stream.pendingBytes > 20_000
              return !refused
            },
          } as Partial<Stream> as Stream
          const take = (): void => {
            for (const bytes of pending) taken.push(Buffer.from(bytes))
            pending = []
            if (!refused) return
            refused = false
            writer.drained()
          }
          const turn = (): void => {
            for (const end of turns.splice(0)) end()
            // What was put before the stream said stop, or in the turn in which it did, is not ours to lose any more.
            if (!writer.empty) throw new Error('something stayed behind at the end of a turn')
          }
          const loop = { turnEnd: (fn: () => void) => void turns.push(fn) } as Partial<Loop> as Loop
          const writer = new SlabWriter(stream, loop, () => {})
          let n = 0
          for (const step of steps) {
            if (step === 'turn') turn()
            else if (step === 'take') take()
            else if (!writer.blocked) {
              const bytes = Buffer.alloc(step, ++n)
              expected.push(Buffer.from(bytes))
              writer.put(bytes)
            }
          }
          turn()
          take()
          return Buffer.concat(taken).equals(Buffer.concat(expected))
        },
      ),
      { numRuns: 300 },
    )
    const memories = new Set<ArrayBufferLike>()
    const ends: (() => void)[] = []
    const stream = {
      pendingBytes: 0,
      writeAll: (chunks: readonly Buffer[]) => {
        for (const { buffer } of chunks) memories.add(buffer)
        return true
      },
    } as unknown as Stream
    const loop = { turnEnd: (fn: () => void) => void ends.push(fn) } as Partial<Loop> as Loop
    const writer = new SlabWriter(stream, loop, () => {})
    for (let i = 0; i < 100; i++) {
      writer.put(Buffer.alloc(10_000))
      ends.pop()!()
    }
    t.equal(memories.size, 1, 'a megabyte left from one slab')
  },
)

// Membership, records, plan.

t.test('what others say introduces, at most: no phantom is a member, no living one is harmed', async t => {
  const membership = new Membership(member(A, 1), 256)
  t.equal(membership.introduces(member(B, 2)), true)
  t.strictSame(
    membership.view.members.map(m => m.name),
    ['a'],
  )
  t.equal(membership.handshaken(member(B, 2)).length, 1)
  t.equal(membership.introduces(member(B, 2, { state: 'down', incarnation: 2 ** 48 - 1 })), false)
  t.equal(membership.introduces(member(B, 3)), false, 'not even of another life, while this one is up')
  t.equal(membership.introduces(member(A, 9)), false)
})

t.test('events are idempotent, and each change makes the view newer', async t => {
  const membership = new Membership(member(A, 1), 256)
  const tags = (changes: readonly { tag: string }[]): string => changes.map(c => c.tag).join(' ')
  const versions = [membership.view.version]
  const seen = [
    membership.handshaken(member(B, 2)),
    membership.handshaken(member(B, 2)),
    membership.suspect(B, 'timeout'),
    membership.suspect(B, 'timeout'),
    membership.handshaken(member(B, 2, { incarnation: 2, tags: [] })),
    membership.alive(B),
    membership.handshaken(member(B, 3)),
    membership.down(B, 'left', 0),
    membership.down(B, 'timeout', 0),
    membership.handshaken(member(B, 4)),
  ].map(changes => {
    versions.push(membership.view.version)
    return tags(changes)
  })
  t.strictSame(seen, ['up', '', 'suspect', '', 'updated', 'alive', 'down up', 'down', '', 'up'])
  t.strictSame(
    versions,
    [...versions].sort((a, b) => a - b),
  )
})

t.test(
  'records cross as they are, and any cut or foreign byte is refused or read as a record, never worse',
  async t => {
    const record = member(B, 2 ** 48 - 1, {
      incarnation: 2 ** 48 - 1,
      meta: JSON.parse('{"__proto__":"x","toString":"y"}'),
    })
    const to = new FieldWriter()
    writeMember(to, record)
    const bytes = to.done()
    t.strictSame(readMember(new FieldReader(bytes)), record)
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, byte) => {
        const copy = Buffer.from(bytes)
        copy[at] = byte
        try {
          readMember(new FieldReader(copy))
        } catch (error) {
          return TroupeError.is(error, 'ERR_FRAME')
        }
        return true
      }),
    )
    t.equal(({} as Record<string, unknown>)['x'], undefined)
  },
)

t.test(
  'dials: the first at once, then backed off to 2 s for ten minutes, to 10 s later, one at a time',
  async t => {
    const plan = new DialPlan(256)
    plan.want({ key: 'b', kind: 'gone', name: B, address: { host: 'b', port: 1 } }, 0)
    const gaps: number[] = []
    let lastMs = 0
    for (let nowMs = 0; nowMs < 1_200_000; nowMs += 50) {
      const taken = plan.take(nowMs)
      if (taken.length === 0) continue
      t.equal(plan.take(nowMs).length, 0, 'none while one is under way')
      gaps.push(nowMs - lastMs)
      lastMs = nowMs
      plan.failed('b', nowMs, 0.999)
    }
    t.strictSame(gaps.slice(0, 7), [0, 100, 200, 400, 800, 1_600, 2_000])
    t.equal(gaps.at(-1), 10_000)
  },
)

t.test('dials: members gone are bounded, the latest stay, and they take no room from newcomers', async t => {
  const plan = new DialPlan(100)
  const want = (name: string, kind: 'gone' | 'introduced'): boolean =>
    plan.want({ key: name, kind, name: name as NodeId, address: { host: 'x', port: 1 } }, 0)
  for (let i = 0; i < 1_000; i++) want(`g${i}`, 'gone')
  t.strictSame([plan.size, plan.has('g799'), plan.has('g800'), plan.has('g999')], [200, false, true, true])
  for (let i = 0; i < 150; i++) t.equal(want(`i${i}`, 'introduced'), i < 100)
  t.equal(plan.size, 300)
})

t.test('dials: however many are due, each has its turn', async t => {
  const plan = new DialPlan(100)
  const dials = new Map<string, number>()
  for (let i = 10; i < 60; i++) {
    const name = `g${i}` as NodeId
    plan.want({ key: name, kind: 'gone', name, address: { host: 'x', port: 1 } }, 0)
  }
  for (let nowMs = 0; nowMs <= 60_000; nowMs += 100) {
    for (const { key } of plan.take(nowMs)) {
      dials.set(key, (dials.get(key) ?? 0) + 1)
      plan.failed(key, nowMs, 0.5)
    }
  }
  const counts = [...dials.values()]
  t.equal(counts.length, 50)
  t.ok(Math.max(...counts) - Math.min(...counts) <= 1, `${Math.min(...counts)} to ${Math.max(...counts)}`)
})

t.test('dials: a flood of introduced phantoms is bounded, and re-dials are ten a second', async t => {
  const plan = new DialPlan(100)
  for (let i = 0; i < 10_000; i++) {
    const name = `p${i}` as NodeId
    plan.want({ key: name, kind: 'introduced', name, address: { host: 'x', port: 1 } }, 0)
  }
  t.equal(plan.size, 100)
  let dials = 0
  for (let nowMs = 0; nowMs <= 60_000; nowMs += 50) {
    for (const target of [...plan.take(nowMs)].sort((a, b) => compareIds(a.key, b.key))) {
      dials += 1
      plan.failed(target.key, nowMs, 0.5)
    }
  }
  t.ok(dials <= 100 + 610, `${dials} dials in a minute`)
})
