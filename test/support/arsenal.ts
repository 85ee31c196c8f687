/**
 * Malformed frames, deterministic by seed: some mutated from valid frames of every type, the rest made wrong with a
 * purpose, each of those with what must become of it.
 */

import { IdSpace } from '../../lib/base/id-space.js'
import type { NodeId } from '../../lib/base/ids.js'
import { LIMITS } from '../../lib/base/limits.js'
import type { SlotMessage } from '../../lib/coord/slot-messages.js'
import { encodeBatch } from '../../lib/coord/slot-wire.js'
import { FieldWriter } from '../../lib/mesh/fields.js'
import type { Role } from '../../lib/mesh/mesh.js'
import type { SimRandom } from '../../lib/sim/sim-random.js'
import { createCodec } from '../../lib/wire/create-codec.js'
import { FrameType, HEADER_BYTES, writeHeader, writeTotal, writeU32 } from '../../lib/wire/frame.js'

/** The connection ends, or a counter of `stats()` grows by one. */
export type Expectation = { readonly closes: true } | { readonly counts: string } | undefined

export interface Shot {
  readonly kind: string
  readonly bytes: Buffer
  readonly expect: Expectation
}

const SPAWNED = 'remote.spawnsIn'
const LOST = 'remote.deadLetters'
const closes = { closes: true } as const
const counts = (counter: string): Expectation => ({ counts: counter })

const codec = createCodec({ limits: LIMITS, ids: new IdSpace('evil' as NodeId, 7, 100) })
const packed = (value: unknown): Buffer => codec.encode(value, 0, 'value')

/** Bytes that an unwary decoder pays dearly for, or is broken by. */
export const BOMBS: readonly Buffer[] = [
  ...[0xdd, 0xdf, 0xdb, 0xc6, 0xc9].map(token => Buffer.from([token, 0xff, 0xff, 0xff, 0xff, 0])),
  Buffer.alloc(0),
  Buffer.from([0xc1]),
  Buffer.from([0x92, 1]), // truncated
  Buffer.from([1, 2]), // two values
  Buffer.alloc(8_000, 0x91), // nested
  Buffer.alloc(60_000, 0x91),
  Buffer.concat([Buffer.from([0xdd, 0, 0, 0xea, 0x60]), Buffer.alloc(60_000, 0x80)]), // 60,000 empty maps
  Buffer.concat([Buffer.from([0xc9, 0, 0, 0xea, 0x60, 0x42]), Buffer.alloc(60_000, 0xff)]), // a bigint of 480,000 bits
  Buffer.from([0xc7, 3, 0x65, 0x93, 0xc0, 0xc0]), // Error
  Buffer.from([0xc7, 5, 0x78, 0x92, 0xa1, 0x61, 0xa0]), // RegExp
  Buffer.from([0xc7, 1, 0x73, 0x90]), // Set
  Buffer.from([0xc7, 5, 0x74, 6, 1, 2, 3, 4]), // typed array
  Buffer.from([0xd6, 0x69, 0, 0, 0, 1, 0x91, 0xd6, 0x70, 0, 0, 0, 1]), // cycle
  Buffer.from([0xd4, 0x72, 0x40, 0x91, 0xa1, 0x61, 1]), // record definition
  Buffer.from([0x40]), // record without a definition
  Buffer.concat([
    Buffer.from([0x81, 0xa9]),
    Buffer.from('__proto__'),
    Buffer.from([0x81, 0xa8]),
    Buffer.from('polluted'),
    Buffer.from([1]),
  ]),
  Buffer.concat([Buffer.from([0x81, 0xd9, 9]), Buffer.from('__proto__'), Buffer.from([0xc3])]),
  Buffer.from([0xc7, 12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), // timestamp
  Buffer.from([0xd4, 0x54, 0, 0x93, 5, 0xa3, 0x2e, 0x2e, 0x2f]), // a pid that is none
  Buffer.from([0xd4, 0x54, 0, 0x92, 3, 9]), // typed array of an unknown kind
  Buffer.from([0xd4, 0x54, 0, 0x91, 0x7f]), // unknown kind
  Buffer.from([0xd4, 0x54, 0, 0x80]), // a tag without its array
  Buffer.from([0xd4, 0x54, 1, 0x90]),
]

/** Names that would be code, paths or prototypes in the wrong hands. */
export const NAMES = [
  ...['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'then', 'toJSON', 'valueOf'],
  ...['../../x', '/etc/passwd', 'node:child_process', 'file:///etc/passwd', 'https://evil.example/x.js'],
  ...['data:text/javascript,1', 'fs', './x.js', '\u0000', '\n\u001b[31m', '\ud800', '', 'x'.repeat(255)],
]

const WEIRD = [0, 1, 2, 255, 65_535, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 47, 2 ** 48 - 1]
/** Numbers that are no count, term or serial of ours. */
const NO_NUMBERS: readonly unknown[] = [
  ...[Number.NaN, Infinity, -Infinity, -1, -0, 0.5, 1e308, 2 ** 53, 2 ** 64, 10n, -1n, 2n ** 63n],
  ...['1', true, null, undefined, [], {}, [1], new Map(), new Date(0)],
]

const u48 = (...numbers: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(6 * numbers.length)
  for (const [i, n] of numbers.entries()) bytes.writeUIntLE(n, 6 * i, 6)
  return bytes
}
const text = (value: string): Buffer => {
  const bytes = Buffer.from(value).subarray(0, 255)
  return Buffer.concat([Buffer.of(bytes.length), bytes])
}
const join = (...parts: readonly Buffer[]): Buffer => Buffer.concat(parts)
const u32 = (n: number): Buffer => {
  const bytes = Buffer.alloc(4)
  writeU32(bytes, 0, n)
  return bytes
}

interface Header {
  readonly flags?: number
  readonly pair?: number
  /** Bytes between header and body. */
  readonly tlvs?: Buffer
}

function frame(type: number, sequence: number, body: Buffer, header: Header = {}): Buffer {
  const { flags = 0, pair = type >= 32 ? 9 : 0, tlvs = Buffer.alloc(0) } = header
  const bytes = Buffer.alloc(HEADER_BYTES)
  writeHeader(bytes, 0, type, flags, pair, sequence, body.length, tlvs.length)
  return join(bytes, tlvs, body)
}

/** Asks for a process of that name. */
export function spawnFrame(name: string, sequence: number): Buffer {
  const options = packed(undefined)
  const body = join(u48(1, sequence + 1, 0, 0), text(name), u32(options.length), options, packed(1))
  return frame(FrameType.spawn, sequence, body)
}

function total(bytes: number): Buffer {
  const tlv = Buffer.alloc(6)
  writeTotal(tlv, 0, bytes)
  return tlv
}

const home = { node: 'evil-0' as NodeId, creation: 7 }
const since = { n: 1, node: 'evil-0' as NodeId, seq: 1 }
const entry = { key: 'stolen', home, serial: 3, since, confirmed: undefined, value: undefined }
const SLOT_MESSAGES: readonly SlotMessage[] = [
  { type: 'seal', slot: 5, n: 3 },
  { type: 'sealed', slot: 5, n: 3, entries: [entry], last: true },
  { type: 'nack', slot: 5, n: 3, promised: { ...home, n: 4 } },
  { type: 'accept', slot: 5, n: 3, no: 1, key: 'stolen', entry },
  { type: 'ack', slot: 5, n: 3, no: 1, key: 'stolen', holds: 'yes' },
  { type: 'confirm', slot: 5, n: 3, key: 'stolen', serial: 3 },
  { type: 'held', slot: 5, n: 3, key: 'stolen', serial: 3, holds: 'no' },
  { type: 'lose', slot: 5, n: 3, key: 'stolen', serial: 3, winner: undefined, ends: true },
  { type: 'lost', slot: 5, n: 3, key: 'stolen', serial: 3 },
  {
    type: 'ask',
    id: 1,
    kind: 'register',
    key: 'stolen',
    serial: 3,
    value: undefined,
    since: undefined,
    ttlMs: 50,
  },
  { type: 'told', id: 1, what: 'granted', owner: { ...home, serial: 3 } },
  { type: 'release', key: 'stolen', serial: 3, keep: false },
  { type: 'digest', entries: [entry], asking: [], last: true },
]
const slotBody = (batch: Buffer): Buffer => join(Buffer.of(1), batch)

export class Arsenal {
  readonly #random: SimRandom
  /** Serials worth aiming at: one that lives, and those of the node's own inside. */
  #prey = 1
  #fresh = 2 ** 40

  constructor(random: SimRandom) {
    this.#random = random
  }

  aim(prey: number): void {
    this.#prey = prey
  }

  /** A frame for a session of that role. */
  next(role: Role, sequence: number): Shot {
    return this.#random.chance(0.33) ? this.#mutated(role, sequence) : this.#wrong(role, sequence)
  }

  /** A frame for a connection that has proved nothing; `valid` are frames that would be right there. */
  early(valid: readonly Buffer[]): Shot {
    const r = this.#random
    if (r.chance(0.5))
      return { kind: 'early mutated', bytes: this.#mutate(this.#pick(valid)), expect: undefined }
    const body = Buffer.from(r.bytes(r.below(200)))
    const wrong: (() => Buffer)[] = [
      () => frame(this.#pick([0, 6, 7, 8, 9, 10, 11, 12, 16, 32, 34, 44, 64, 255]), 0, body),
      () => frame(1 + r.below(5), 0, body),
      () => frame(1 + r.below(5), 0, this.#pick(BOMBS).subarray(0, 4_000)),
      () => frame(1 + r.below(5), 0, body, { flags: 1 + r.below(7), tlvs: total(2 ** 31) }),
      () => this.#header(frame(1, 0, body), this.#pick([4_077, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1])),
      () => Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n'),
      () => Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, ...r.bytes(60)]),
      () => Buffer.from(r.bytes(20 + r.below(400))),
    ]
    return { kind: 'early wrong', bytes: this.#pick(wrong)(), expect: undefined }
  }

  // Mutated from valid ones.

  #mutated(role: Role, sequence: number): Shot {
    const r = this.#random
    const [type, body, header] = this.#valid(role)
    if (r.chance(0.3)) {
      // Spliced: the front of one body, the rest of another.
      const [, other] = this.#valid(role)
      const cut = r.below(body.length + 1)
      const spliced = join(body.subarray(0, cut), other.subarray(r.below(other.length + 1)))
      return { kind: `mutated ${type}`, bytes: frame(type, sequence, spliced, header), expect: undefined }
    }
    if (r.chance(0.4)) {
      // The header stays right, so that the damage reaches the room that reads the body.
      const bytes = frame(type, sequence, this.#damage(body), header)
      return { kind: `mutated ${type}`, bytes, expect: undefined }
    }
    return {
      kind: `mutated ${type}`,
      bytes: this.#mutate(frame(type, sequence, body, header)),
      expect: undefined,
    }
  }

  #valid(role: Role): readonly [number, Buffer, Header?] {
    const r = this.#random
    const own = 1 + r.below(100)
    const to = r.chance(0.5) ? this.#prey : r.below(64)
    const id = (this.#fresh += 1)
    const payload = packed(
      this.#pick([1, 'text', { a: [1, 2, { b: null }] }, new Map([[1, 2]]), 2n ** 70n, new Error('x')]),
    )
    const request = { id: r.below(1_000), timeoutMs: 50 }
    const client: readonly unknown[] = [
      ...[{ op: 'nodes' }, { op: 'ps' }, { op: 'names' }, { op: 'terminate', to: 'nobody' }],
      ...[
        { op: 'spawn', definition: 'unknown', args: 1 },
        { op: 'call', to: 'nobody', tag: 'x', payload: 1 },
      ],
      { op: 'cast', to: 'nobody', tag: 'x' },
    ]
    if (role === 'client' && r.chance(0.7)) {
      return [FrameType.clientRequest, packed({ ...(this.#pick(client) as object), ...request }), { pair: 1 }]
    }
    const member = new FieldWriter()
      .text('ghost')
      .text('')
      .number(0, 2)
      .number(7, 6)
      .number(1, 6)
      .number(1, 1)
    member.text('h').number(1, 1).number(0, 1).number(1, 1).text('tag').number(1, 2).text('k').text('v')
    const members = new FieldWriter().number(1, 1).number(1, 2).done()
    const all: readonly (readonly [number, Buffer, Header?])[] = [
      [FrameType.heartbeat, Buffer.alloc(0)],
      [FrameType.heartbeatAck, Buffer.alloc(0)],
      [FrameType.credit, u48(2 ** 47, 2 ** 47)],
      [FrameType.members, join(members, member.done())],
      [FrameType.slot, slotBody(encodeBatch([this.#pick(SLOT_MESSAGES), this.#pick(SLOT_MESSAGES)], 0))],
      [FrameType.message, join(u48(to), payload)],
      [FrameType.cast, join(u48(to), text('bump'), payload)],
      [FrameType.request, join(u48(own, to, id), text('look'), payload)],
      [FrameType.reply, join(u48(own), Buffer.of(0), payload)],
      [FrameType.link, u48(own, to, id)],
      [FrameType.unlink, u48(own, to, id, 0)],
      [FrameType.exit, join(u48(own, this.#prey), packed('why'))],
      [FrameType.exitLink, join(u48(own, to, id, 0), packed('why'))],
      [FrameType.monitor, u48(own, to, id)],
      [FrameType.demonitor, u48(own)],
      [FrameType.down, join(u48(own, to), packed('why'))],
      [
        FrameType.spawn,
        join(u48(own, id, 0, 0), text('prey'), u32(1), packed(undefined).subarray(0, 1), payload),
      ],
      [FrameType.procedure, join(u48(own, r.chance(0.5) ? id : 0), text(this.#pick(NAMES)), payload)],
      [FrameType.procedureAbort, u48(own, id)],
      [FrameType.spawned, join(u48(own), Buffer.of(0), u48(5))],
      [FrameType.spawnKeep, join(u48(own), Buffer.of(1))],
      [FrameType.named, join(Buffer.of(FrameType.cast), text('prey'), text('bump'), payload)],
      [FrameType.named, join(Buffer.of(FrameType.monitor), text('prey'), u48(own, id))],
      [FrameType.toMany, join(Buffer.of(2, 0), u48(to, own), payload)],
      [FrameType.groups, packed([1, 'default', own, id, true])],
      [FrameType.groups, packed([4, 'default', own, 1, [[1, 'tea', [own, id], null]]])],
      [FrameType.clientRequest, packed({ op: 'nodes', ...request })],
      [FrameType.clientReply, packed({ id: 1, ok: true, value: 1 })],
      [FrameType.message, join(u48(to), payload), { flags: 1, pair: 77, tlvs: total(100_000) }],
    ]
    return this.#pick(all)
  }

  #mutate(bytes: Buffer): Buffer {
    const r = this.#random
    const damaged = Buffer.from(bytes)
    switch (r.below(5)) {
      case 0:
        return this.#damage(damaged)
      case 1: // in the header
        damaged[r.below(Math.min(HEADER_BYTES, damaged.length))]! ^= 1 << r.below(8)
        return damaged
      case 2:
        return this.#header(damaged, r.chance(0.5) ? r.below(2 * bytes.length) : this.#pick(WEIRD))
      case 3: // another type, which is not goodbye: that one is obeyed, and rings are computed
        damaged[1] = this.#pick([0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 16, 32 + r.below(40), r.below(256)])
        if (damaged[1] === FrameType.goodbye) damaged[1] = 13
        return damaged
      default:
        return damaged.subarray(0, r.below(damaged.length + 1))
    }
  }

  /** Bit flips, a cut, bytes in the midst, or a bomb somewhere. */
  #damage(bytes: Buffer): Buffer {
    const r = this.#random
    const damaged = Buffer.from(bytes)
    const at = r.below(bytes.length + 1)
    switch (r.below(4)) {
      case 0:
        for (let i = 1 + r.below(8); i > 0 && damaged.length > 0; i--)
          damaged[r.below(damaged.length)]! ^= 1 << r.below(8)
        return damaged
      case 1:
        return damaged.subarray(0, at)
      case 2:
        return join(damaged.subarray(0, at), Buffer.from(r.bytes(1 + r.below(16))), damaged.subarray(at))
      default:
        return join(damaged.subarray(0, at), this.#pick(BOMBS))
    }
  }

  #header(bytes: Buffer, bodyBytes: number): Buffer {
    if (bytes.length >= 8) writeU32(bytes, 4, bodyBytes)
    return bytes
  }

  // Wrong with a purpose.

  #wrong(role: Role, n: number): Shot {
    const list = role === 'client' ? [this.#wrongOfClients, this.#wrongFrames] : this.#wrongLists
    return this.#pick(list).call(this, n)
  }

  /**
   * Mostly what a session survives, so that many frames of one are read: a member that comes back costs its victim a
   * look at every slot, a client does not, and headers are judged alike for both.
   */
  readonly #wrongLists = [
    ...Array.from({ length: 10 }, () => this.#strays),
    ...Array.from({ length: 6 }, () => this.#bombs),
    ...[this.#wrongFrames, this.#wrongBodies, this.#wrongControl],
  ]

  #shot(kind: string, bytes: Buffer, expect: Expectation): Shot {
    return { kind, bytes, expect }
  }

  /** Headers, sequence, parts: refused by the session, whoever speaks. */
  #wrongFrames(n: number): Shot {
    const r = this.#random
    const body = Buffer.from(r.bytes(r.below(64)))
    const good = frame(FrameType.message, n, join(u48(1), packed(1)))
    const set = (at: number, value: number): Buffer => {
      good[at] = value
      return good
    }
    const first = { flags: 1, pair: 5, tlvs: total(1_000) }
    const all: (() => [string, Buffer])[] = [
      () => ['version', set(0, this.#pick([0, 2, 255]))],
      () => ['header length', set(3, r.below(20))],
      () => [
        'length',
        this.#header(good, this.#pick([131_053, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 21, 2 ** 32 - 1])),
      ],
      () => ['flags', set(2, 8 << r.below(5))],
      () => [
        'sequence',
        frame(FrameType.heartbeat, (n + this.#pick([1, -1, 2 ** 31, 7])) >>> 0, Buffer.alloc(0)),
      ],
      () => ['source', set(16, 1 + r.below(255))],
      () => ['destination', set(18, 1 + r.below(255))],
      () => ['control type', frame(this.#pick([0, 1, 2, 3, 4, 5, 6, 7, 13, 14, 15, 17, 31]), n, body)],
      () => ['control flags', frame(FrameType.heartbeat, n, Buffer.alloc(0), { flags: 1 + r.below(7) })],
      () => ['TLV', frame(FrameType.message, n, body, { tlvs: Buffer.from([2, 200, 1]) })],
      () => ['total', frame(FrameType.message, n, body, { ...first, tlvs: total(0) })],
      () => ['totals', frame(FrameType.message, n, body, { ...first, tlvs: join(total(9), total(9)) })],
      () => [
        'huge total',
        frame(FrameType.message, n, join(body, u48(1)), { ...first, tlvs: total(2 ** 32 - 1) }),
      ],
      () => [
        'part of no body',
        frame(FrameType.message, n, join(body, u48(1)), { flags: 2 + r.below(2), pair: 5 }),
      ],
      () => ['part without total', frame(FrameType.message, n, join(body, u48(1)), { flags: 1, pair: 5 })],
      () => ['part of no pair', frame(FrameType.message, n, join(body, u48(1)), { ...first, pair: 0 })],
      () => ['empty part', frame(FrameType.message, n, Buffer.alloc(0), first)],
      () => ['long part', frame(FrameType.message, n, Buffer.alloc(1_000 + r.below(9)), first)],
      () => ['credit', frame(FrameType.credit, n, Buffer.from(r.bytes(this.#pick([0, 1, 11, 13, 30]))))],
    ]
    const [kind, bytes] = this.#pick(all)()
    return this.#shot(kind, bytes, closes)
  }

  /** Bodies between processes that are none. */
  #wrongBodies(n: number): Shot {
    const r = this.#random
    const { message, cast, request, reply, link, unlink, exit, exitLink, monitor, demonitor } = FrameType
    const { down, spawn, spawned, spawnKeep, named, clientRequest } = FrameType
    const short = (type: number, least: number) => (): [string, Buffer] => {
      return [`short ${type}`, frame(type, n, Buffer.alloc(r.below(least)))]
    }
    const all: (() => [string, Buffer])[] = [
      ...[short(message, 6), short(cast, 7), short(request, 19), short(reply, 7), short(exit, 12)],
      ...[short(exitLink, 24), short(down, 12), short(spawn, 29), short(spawned, 7), short(named, 2)],
      ...[link, unlink, monitor, demonitor, spawnKeep].map(type => (): [string, Buffer] => {
        return [`long ${type}`, frame(type, n, Buffer.alloc(25 + r.below(40), 1))]
      }),
      () => ['tag beyond the end', frame(cast, n, join(u48(1), Buffer.of(200, 0x61)))],
      () => ['reply flag', frame(reply, n, join(u48(1), Buffer.of(2 + r.below(254)), packed(1)))],
      () => ['spawned flag', frame(spawned, n, join(u48(1), Buffer.of(2 + r.below(254)), u48(1)))],
      () => ['keep flag', frame(spawnKeep, n, join(u48(1), Buffer.of(2 + r.below(254))))],
      () => ['link id', frame(link, n, u48(1, 1, 0))],
      () => [
        'options beyond the end',
        frame(spawn, n, join(u48(1, 2, 0, 0), text('x'), u32(this.#pick(WEIRD.slice(3, 8))))),
      ],
      () => [
        'kind of a name',
        frame(named, n, join(Buffer.of(this.#pick([0, 31, 35, 36, 255])), text('x'), u48(1, 1))),
      ],
      () => ["a client's request", frame(clientRequest, n, packed({ id: 1, timeoutMs: 1, op: 'nodes' }))],
    ]
    const [kind, bytes] = this.#pick(all)()
    return this.#shot(kind, bytes, closes)
  }

  /** Well-formed and about things that are not there, or not the speaker's. */
  #strays(n: number): Shot {
    const r = this.#random
    const nobody = (this.#fresh += 1)
    const name = this.#pick(NAMES)
    const value = packed(this.#pick(NO_NUMBERS))
    const options = packed(this.#pick([...NO_NUMBERS, { name: '__proto__', on: '../..' }]))
    const signals = 'remote.signalsIn'
    const { message, cast, request, reply, link, monitor, exit, exitLink, demonitor, down } = FrameType
    const { spawn, spawned, spawnKeep, named, unlink } = FrameType
    const all: (() => [string, Buffer, Expectation])[] = [
      () => [
        'unknown type',
        frame(this.#pick([38, 48, 63, 66, 200, 255]), n, Buffer.from(r.bytes(9))),
        counts('mesh.unknownType'),
      ],
      () => ['message to nobody', frame(message, n, join(u48(nobody), value)), counts(LOST)],
      () => ['cast to nobody', frame(cast, n, join(u48(nobody), text(name), value)), counts(LOST)],
      () => [
        'call of nobody',
        frame(request, n, join(u48(1, nobody, nobody), text(name), value)),
        counts('remote.requestsIn'),
      ],
      () => [
        'guessed pid',
        frame(request, n, join(u48(1, r.below(64), nobody), text(name), value)),
        counts('remote.requestsIn'),
      ],
      () => ['named nobody', frame(named, n, join(Buffer.of(message), text(name), value)), counts(LOST)],
      () => [
        'cast to a name',
        frame(named, n, join(Buffer.of(cast), text(name), text(name), value)),
        counts(LOST),
      ],
      () => [
        "another's reply",
        frame(reply, n, join(u48(r.below(2_000)), Buffer.of(r.below(2)), value)),
        counts('remote.repliesLate'),
      ],
      () => [
        "another's down",
        frame(down, n, join(u48(r.below(2_000), r.below(99)), value)),
        counts(signals),
      ],
      () => ["another's demonitor", frame(demonitor, n, u48(r.below(2_000))), counts(signals)],
      () => [
        "another's link",
        frame(exitLink, n, join(u48(r.below(99), r.below(99), 1, 2), value)),
        counts(signals),
      ],
      () => ["another's unlink", frame(unlink, n, u48(r.below(99), r.below(99), 1, 2)), counts(signals)],
      () => [
        "another's child",
        frame(spawned, n, join(u48(r.below(2_000)), Buffer.of(0), u48(1))),
        counts(signals),
      ],
      () => [
        "another's keep",
        frame(spawnKeep, n, join(u48(2 ** 33 + r.below(9)), Buffer.of(r.below(2)))),
        counts(signals),
      ],
      () => ['link with nobody', frame(link, n, u48(1, nobody, nobody)), counts(signals)],
      () => ['monitor of nobody', frame(monitor, n, u48(1, nobody, nobody)), counts(signals)],
      () => [
        'monitor of a name',
        frame(named, n, join(Buffer.of(monitor), text(name), u48(1, nobody))),
        undefined,
      ],
      () => ['exit of nobody', frame(exit, n, join(u48(1, nobody), value)), counts(signals)],
      () => [
        'spawn of a name',
        frame(
          spawn,
          n,
          join(u48(1, nobody, nobody, nobody), text(name), u32(options.length), options, value),
        ),
        counts(SPAWNED),
      ],
      () => [
        'spawn with options',
        frame(spawn, n, join(u48(1, nobody, 0, 0), text('prey'), u32(options.length), options, value)),
        counts(SPAWNED),
      ],
    ]
    const [kind, bytes, expect] = this.#pick(all)()
    return this.#shot(kind, bytes, expect)
  }

  /** Hostile MessagePack wherever a value may stand. */
  #bombs(n: number): Shot {
    const r = this.#random
    const bomb = this.#pick(BOMBS)
    const id = (this.#fresh += 1)
    const { message, cast, request, reply, exit, exitLink, down, spawn, spawned, slot, named } = FrameType
    const to = this.#prey
    const all: (() => [string, Buffer, Expectation])[] = [
      () => ['bomb message', frame(message, n, join(u48(to), bomb)), counts('remote.messagesIn')],
      () => ['bomb cast', frame(cast, n, join(u48(to), text('bump'), bomb)), counts('remote.messagesIn')],
      () => [
        'bomb call',
        frame(request, n, join(u48(1, to, id), text('look'), bomb)),
        counts('remote.requestsIn'),
      ],
      () => [
        'bomb reply',
        frame(reply, n, join(u48(r.below(99)), Buffer.of(r.below(2)), bomb)),
        counts('remote.repliesLate'),
      ],
      () => ['bomb exit', frame(exit, n, join(u48(1, this.#fresh), bomb)), counts('remote.signalsIn')],
      () => ['bomb exitLink', frame(exitLink, n, join(u48(1, to, 1, 1), bomb)), counts('remote.signalsIn')],
      () => ['bomb down', frame(down, n, join(u48(1, to), bomb)), counts('remote.signalsIn')],
      () => [
        'bomb args',
        frame(spawn, n, join(u48(1, id, 0, 0), text('prey'), u32(1), Buffer.of(0xc0), bomb)),
        counts(SPAWNED),
      ],
      () => [
        'bomb options',
        frame(spawn, n, join(u48(1, id, 0, 0), text('prey'), u32(bomb.length), bomb, packed(1))),
        counts(SPAWNED),
      ],
      () => ['bomb spawned', frame(spawned, n, join(u48(1), Buffer.of(1), bomb)), counts('remote.signalsIn')],
      () => ['bomb to a name', frame(named, n, join(Buffer.of(message), text('nobody'), bomb)), counts(LOST)],
      () => ['bomb slot', frame(slot, n, slotBody(bomb)), closes],
    ]
    const [kind, bytes, expect] = this.#pick(all)()
    return this.#shot(kind, bytes, expect)
  }

  /** Members and slots. */
  #wrongControl(n: number): Shot {
    const r = this.#random
    const bad = this.#pick(NO_NUMBERS)
    const holed = (message: readonly unknown[]): unknown[] => {
      const copy = [...message]
      copy[1 + r.below(3)] = bad
      return copy
    }
    const number = this.#pick([0, 15, 255, -1, 1.5, '1', '__proto__', 'constructor', null])
    const all: (() => [string, Buffer])[] = [
      () => [
        'members beyond the end',
        frame(FrameType.members, n, new FieldWriter().number(1, 1).number(65_535, 2).done()),
      ],
      () => [
        'member name',
        frame(
          FrameType.members,
          n,
          join(new FieldWriter().number(1, 1).number(1, 2).text(this.#pick(NAMES)).done(), Buffer.alloc(60)),
        ),
      ],
      () => [
        'slot mark',
        frame(FrameType.slot, n, Buffer.from(r.bytes(1 + r.below(30)).map((b, i) => (i === 0 ? b | 2 : b)))),
      ],
      () => ['slot type', frame(FrameType.slot, n, slotBody(packed([[number, 1, 1]])))],
      () => [
        'slot batch',
        frame(FrameType.slot, n, slotBody(packed(this.#pick([1, {}, 'x', null, [[]], [1], { length: 1 }])))),
      ],
      () => [
        'slot index',
        frame(
          FrameType.slot,
          n,
          slotBody(packed([[3, this.#pick([65_536, -1, 0.5, Number.NaN]), 1, [], true]])),
        ),
      ],
      () => ['slot fields', frame(FrameType.slot, n, slotBody(packed([holed([5, 1, 1, 1, 'k', [bad, 1]])])))],
    ]
    const [kind, bytes] = this.#pick(all)()
    return this.#shot(kind, bytes, closes)
  }

  #wrongOfClients(n: number): Shot {
    const bad = this.#pick(NO_NUMBERS)
    const good = { id: 1, timeoutMs: 10, op: 'call', to: 'x', tag: 'x' }
    const request = (value: unknown): Buffer => frame(FrameType.clientRequest, n, packed(value), { pair: 1 })
    const all: (() => [string, Buffer, Expectation])[] = [
      () => ['operation', request({ ...good, op: this.#pick(NAMES) }), closes],
      () => ['no operation', request({ ...good, op: this.#pick([1, null, [], {}]) }), closes],
      () => [
        'request id',
        request({ ...good, id: this.#pick([Number.NaN, -1, 0.5, 2 ** 32, 1n, '1', null, []]) }),
        closes,
      ],
      () => [
        'request time',
        request({ ...good, timeoutMs: this.#pick([Number.NaN, -1, '1', null, 1n, []]) }),
        closes,
      ],
      () => ['request to', request({ ...good, to: this.#pick([1, null, {}, []]) }), closes],
      () => ['extra field', request({ ...good, constructor: 1 }), closes],
      () => ['no request', request(bad), closes],
      () => ['bomb request', frame(FrameType.clientRequest, n, this.#pick(BOMBS), { pair: 1 }), closes],
      () => [
        'members of a client',
        frame(FrameType.members, n, new FieldWriter().number(1, 1).number(0, 2).done()),
        closes,
      ],
      () => [
        'slots of a client',
        frame(FrameType.slot, n, slotBody(encodeBatch([SLOT_MESSAGES[0]!], 0))),
        closes,
      ],
      () => ['process of a client', frame(FrameType.message, n, join(u48(1), packed(1))), closes],
      () => [
        'spawn by a client',
        frame(FrameType.spawn, n, join(u48(1, 1, 0, 0), text('prey'), u32(1), Buffer.of(0xc0), packed(1))),
        closes,
      ],
      () => ['call by name', request({ ...good, to: this.#pick(NAMES), tag: this.#pick(NAMES) }), undefined],
      () => [
        'spawn by name',
        request({ ...{ id: 1, timeoutMs: 10, op: 'spawn' }, definition: this.#pick(NAMES) }),
        undefined,
      ],
      () => [
        'unknown type',
        frame(this.#pick([38, 48, 66, 255]), n, Buffer.alloc(3)),
        counts('mesh.unknownType'),
      ],
    ]
    const [kind, bytes, expect] = this.#pick(all)()
    return this.#shot(kind, bytes, expect)
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#random.below(list.length)] as T
  }
}
