import fc from 'fast-check'
import t from 'tap'
import { TroupeError } from '../lib/base/errors.js'
import { IdSpace } from '../lib/base/id-space.js'
import { Pid, parseNodeId, Ref, U48_MAX } from '../lib/base/ids.js'
import { LIMITS } from '../lib/base/limits.js'
import { array, decodeControl, encodeControl, object, optional, string, u48 } from '../lib/wire/control.js'
import { createCodec } from '../lib/wire/create-codec.js'
import { HEADER_BYTES, TOTAL_BYTES, writeHeader, writeTotal } from '../lib/wire/frame.js'
import { type Frame, FrameReader } from '../lib/wire/frame-reader.js'
import { Reassembly } from '../lib/wire/reassembly.js'

const a = parseNodeId('a')
const b = parseNodeId('b')
const codec = createCodec({ limits: LIMITS, ids: new IdSpace(b, 7, 1_000) })

const u48s = fc.integer({ min: 0, max: U48_MAX })
const leaf = fc.oneof(
  fc.constantFrom(null, undefined, true, false, -0, 0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY),
  fc.integer(),
  fc.double({ noNaN: true }),
  fc.maxSafeInteger(),
  fc.bigInt({ min: -(2n ** 511n), max: 2n ** 511n - 1n }),
  fc.bigInt({ min: -(2n ** 65n), max: 2n ** 65n }),
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'binary', minLength: 60, maxLength: 300 }),
  fc
    .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 80 })
    .map(units => String.fromCharCode(...units)),
  fc.date({ noInvalidDate: true }),
  fc.uint8Array().map(bytes => Buffer.from(bytes)),
  fc.uint8Array(),
  fc.float64Array({ noNaN: true }),
  fc.bigInt64Array(),
  fc.tuple(u48s, u48s).map(([creation, serial]) => new Pid(a, creation, serial)),
  fc.tuple(u48s, u48s).map(([creation, counter]) => new Ref(a, creation, counter)),
)
const key = fc.string({ unit: 'grapheme', maxLength: 70 }).filter(k => k !== '__proto__')
const { value: values } = fc.letrec(tie => ({
  value: fc.oneof(
    { maxDepth: 5, depthSize: 'small' },
    { weight: 4, arbitrary: leaf },
    fc.array(tie('value'), { maxLength: 20 }),
    fc.dictionary(key, tie('value'), { maxKeys: 20, noNullPrototype: true }),
    fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 6 }).map(entries => new Map(entries)),
    fc.array(tie('value'), { maxLength: 6 }).map(items => new Set(items)),
  ),
}))

/** Strict about -0 and NaN, which `strictSame` is not. */
function equal(x: unknown, y: unknown): boolean {
  if (typeof x !== 'object' || x === null || typeof y !== 'object' || y === null) return Object.is(x, y)
  if (Object.getPrototypeOf(x) !== Object.getPrototypeOf(y)) return false
  if (x instanceof Date) return x.getTime() === (y as Date).getTime()
  if (x instanceof Map || x instanceof Set) return equal([...x], [...(y as Set<unknown>)])
  const keys = Object.keys(x)
  if (keys.length !== Object.keys(y).length) return false
  return keys.every(k => equal((x as Record<string, unknown>)[k], (y as Record<string, unknown>)[k]))
}

/** Runs `fn`; anything but a `TroupeError` of these codes is a failure. Returns true when it did not throw. */
function troupeOnly(fn: () => void, ...codes: readonly string[]): boolean {
  try {
    fn()
    return true
  } catch (error) {
    if (!TroupeError.is(error) || !codes.includes(error.code)) throw error
    return false
  }
}

t.test('every value of the types that may cross arrives as it was, behind any reserve', async t => {
  fc.assert(
    fc.property(values, fc.integer({ min: 0, max: 255 }), (value, reserve) => {
      const packed = codec.encode(value, reserve, 'payload')
      return equal(value, codec.decode(packed, reserve, packed.length))
    }),
    { numRuns: 2_000 },
  )
  t.pass()
})

t.test('encoding what was decoded gives the same bytes', async t => {
  fc.assert(
    fc.property(values, value => {
      const first = codec.encode(value, 0, 'payload')
      const second = codec.encode(codec.decode(first, 0, first.length), 0, 'payload')
      return first.equals(second)
    }),
    { numRuns: 500 },
  )
  t.pass()
})

/** Changes a few bytes, cuts, or doubles a piece: close enough to the real thing to get past the first check. */
function mutant(original: Buffer, random: () => number): Buffer {
  let bytes = Buffer.from(original)
  for (let n = 1 + (random() % 3); n > 0; n--) {
    const at = random() % Math.max(1, bytes.length)
    const kind = random() % 4
    if (kind === 0) bytes = bytes.subarray(0, at)
    else if (kind === 1) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(random() % (at + 1))])
    else if (bytes.length > 0) bytes[at] = kind === 2 ? random() : INTERESTING[random() % INTERESTING.length]!
  }
  return bytes
}
const INTERESTING = [
  0, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xc1, 0xc4, 0xc7, 0xc9, 0xd4, 0x54, 0x42, 0x72, 0xd9, 0xdd, 0xdf,
  0xff,
]

/** A small generator of our own: a hundred thousand mutants are made faster than fast-check could shrink one. */
function randomOf(seed: number): () => number {
  let x = seed
  return () => {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    return x >>> 0
  }
}

t.test('a hundred thousand mutated bodies are decoded or refused, and nothing else', async t => {
  const error = Object.assign(new TypeError('m', { cause: 'c' }), { code: 'E' })
  const troupe = new TroupeError('ERR_BUSY', 'm', { d: 1 })
  const rich = [
    { op: 'echo', id: 7, data: 'x'.repeat(30), pid: new Pid(a, 1, 2) },
    [new Map<unknown, unknown>([[1, { k: 'v' }], ['b', new Set([1n, -0])]]), new Date(1_500), new Date(-1)], // biome-ignore format: one line
    [
      error,
      troupe,
      new Float64Array([1, 2]),
      Buffer.from('bytes'),
      new Ref(a, 3, 4),
      '\ud800',
      2n ** 80n,
      undefined,
    ],
  ]
  const bodies = rich.map(value => codec.encode(value, 0, 'payload'))
  const random = randomOf(2_463_534_242)
  let decoded = 0
  for (let i = 0; i < 100_000; i++) {
    const bytes = mutant(bodies[i % bodies.length]!, random)
    try {
      if (troupeOnly(() => codec.decode(bytes, 0, bytes.length), 'ERR_PAYLOAD')) decoded += 1
    } catch (thrown) {
      t.fail(`${bytes.toString('hex')}: ${thrown}`)
    }
  }
  t.ok(decoded > 5_000 && decoded < 95_000, `${decoded} were decoded: both sides were tried`)
  t.equal(({} as { polluted?: unknown }).polluted, undefined)
})

t.test('random bytes are decoded or refused, and what the scan accepts the decoder takes', async t => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), bytes => {
      try {
        codec.decode(Buffer.from(bytes), 0, bytes.length)
      } catch (error) {
        if (!TroupeError.is(error, 'ERR_PAYLOAD')) throw error
        if (error.detail['why'] === 'not decodable') throw error.cause
      }
    }),
    { numRuns: 20_000 },
  )
  t.pass()
})

t.test('mutated control messages are read or refused', async t => {
  const Message = object({
    node: string(10),
    n: u48,
    tags: array(string(5), 3),
    more: optional(object({ x: u48 })),
  })
  const original = encodeControl({ node: 'a', n: 2 ** 40, tags: ['x', 'y'], more: { x: 1 } }, 0)
  const random = randomOf(88_172_645)
  let read = 0
  for (let i = 0; i < 20_000; i++) {
    const bytes = mutant(original, random)
    if (troupeOnly(() => decodeControl(Message, bytes, 0, bytes.length), 'ERR_FRAME')) read += 1
  }
  t.ok(read > 100 && read < 19_900, `${read} were read`)
})

const frames = fc.array(
  fc.record(
    {
      type: fc.integer({ min: 1, max: 255 }),
      flags: fc.integer({ min: 0, max: 7 }),
      pair: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      sequence: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      total: fc.integer({ min: 0, max: 3 }),
      body: fc.uint8Array({ maxLength: 200 }),
    },
    { noNullPrototype: true },
  ),
  { maxLength: 12 },
)
type Sample = typeof frames extends fc.Arbitrary<(infer F)[]> ? F : never

function bytesOf(f: Sample): Buffer {
  const tlvBytes = f.total === 0 ? 0 : TOTAL_BYTES
  const bytes = Buffer.alloc(HEADER_BYTES + tlvBytes)
  writeHeader(bytes, 0, f.type, f.flags, f.pair, f.sequence, f.body.length, tlvBytes)
  if (tlvBytes > 0) writeTotal(bytes, HEADER_BYTES, f.total)
  return Buffer.concat([bytes, f.body])
}

const sampleOf = (f: Frame): Sample => ({
  type: f.type,
  flags: f.flags,
  pair: f.pair,
  sequence: f.sequence,
  total: f.totalBytes,
  body: new Uint8Array(f.buffer.subarray(f.start, f.end)),
})

t.test('frames are read as they were written, however the stream is cut', async t => {
  fc.assert(
    fc.property(frames, fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1 }), (sent, cuts) => {
      const stream = Buffer.concat(sent.map(bytesOf))
      const got: Sample[] = []
      const reader = new FrameReader(1_000, frame => {
        const sample = sampleOf(frame)
        const before = frame.further ? got.pop()!.body : []
        got.push({ ...sample, body: new Uint8Array([...before, ...sample.body]) })
      })
      for (let at = 0, i = 0; at < stream.length; i++) {
        const cut = cuts[i % cuts.length]!
        reader.push(stream.subarray(at, at + cut))
        at += cut
      }
      return equal(sent, got) && reader.held === 0 && !reader.begun
    }),
    { numRuns: 1_000 },
  )
  t.pass()
})

t.test('mutated streams of frames are read or refused, into the reassembly too', async t => {
  const original = Buffer.concat(
    [
      { type: 32, flags: 1, pair: 1, sequence: 1, total: 6, body: Buffer.from('abc') },
      { type: 33, flags: 0, pair: 2, sequence: 2, total: 0, body: Buffer.from('whole') },
      { type: 32, flags: 2, pair: 1, sequence: 3, total: 0, body: Buffer.from('def') },
    ].map(bytesOf),
  )
  const random = randomOf(123_456_789)
  let whole = 0
  for (let i = 0; i < 30_000; i++) {
    const bytes = mutant(original, random)
    const parts = new Reassembly(64)
    const reader = new FrameReader(200, frame => {
      if ((frame.flags & 3) !== 0) parts.add(frame)
    })
    const cut = random() % (bytes.length + 1)
    const read = troupeOnly(() => {
      reader.push(bytes.subarray(0, cut))
      reader.push(bytes.subarray(cut))
    }, 'ERR_FRAME')
    if (read) whole += 1
    if (parts.bytes > 64 || reader.held > 200) t.fail(`held too much: ${bytes.toString('hex')}`)
  }
  t.ok(whole > 1_000 && whole < 29_000, `${whole} were read`)
})
