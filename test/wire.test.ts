import t from 'tap'
import { TroupeError } from '../lib/base/errors.js'
import { IdSpace } from '../lib/base/id-space.js'
import { Pid, parseNodeId, Ref } from '../lib/base/ids.js'
import { LIMITS } from '../lib/base/limits.js'
import type { Extension } from '../lib/wire/codec.js'
import {
  array,
  boolean,
  bytes,
  decodeControl,
  encodeControl,
  finite,
  integer,
  nullable,
  object,
  oneOf,
  optional,
  string,
  tuple,
  u48,
} from '../lib/wire/control.js'
import { createCodec } from '../lib/wire/create-codec.js'
import {
  encodeFrame,
  Flag,
  FrameType,
  HEADER_BYTES,
  TOTAL_BYTES,
  writeHeader,
  writeTotal,
  writeU32,
} from '../lib/wire/frame.js'
import { type Frame, FrameReader } from '../lib/wire/frame-reader.js'
import { Reassembly } from '../lib/wire/reassembly.js'
import { scan } from '../lib/wire/scan.js'

/** What a frame says, as one line: `type/flags/pair/sequence:body`. */
const line = (f: Frame): string =>
  `${f.type}/${f.flags}/${f.pair}/${f.sequence}:${f.buffer.toString('latin1', f.start, f.end)}`

const readerOf = (max = LIMITS.frameBytesMax) => {
  const lines: string[] = []
  const reader = new FrameReader(max, frame => {
    // Pieces of one part are one line.
    if (frame.further) lines.push(`${lines.pop()}${frame.buffer.toString('latin1', frame.start, frame.end)}`)
    else lines.push(line(frame))
  })
  return { reader, lines }
}

/** The `TroupeError` that `fn` throws, as code and the named facts of its detail. */
const refusalOf = (fn: () => unknown, ...facts: readonly string[]): unknown => {
  try {
    fn()
  } catch (error) {
    if (!TroupeError.is(error)) throw error
    return [error.code, ...facts.map(fact => error.detail[fact])]
  }
  return 'nothing thrown'
}

const frameOf = (
  type: number,
  flags: number,
  pair: number,
  sequence: number,
  body: string,
  total = 0,
): Buffer => {
  const tlvBytes = total === 0 ? 0 : TOTAL_BYTES
  const frame = Buffer.alloc(HEADER_BYTES + tlvBytes + body.length)
  writeHeader(frame, 0, type, flags, pair, sequence, body.length, tlvBytes)
  if (total !== 0) writeTotal(frame, HEADER_BYTES, total)
  frame.write(body, HEADER_BYTES + tlvBytes, 'latin1')
  return frame
}

t.test('frames', async t => {
  t.test('a header stands on the wire byte for byte as its drawing says', async t => {
    const frame = frameOf(FrameType.message, Flag.raw, 0x01020304, 0xfffefdfc, 'ab')
    t.equal(frame.toString('hex'), `01200414${'02000000'}${'04030201'}${'fcfdfeff'}${'00000000'}6162`)
    t.equal(
      encodeFrame(FrameType.heartbeat, 7, Buffer.from('x')).toString('hex'),
      `01080014010000000000000007000000000000${'00'}78`,
    )
  })

  t.test('frames come out as they went in, wherever the stream is cut', async t => {
    const stream = Buffer.concat([
      frameOf(32, 0, 0xffffffff, 0xffffffff, 'hello'),
      frameOf(8, 0, 0, 2, ''),
      frameOf(33, Flag.more, 5, 3, 'part', 900),
      frameOf(64, Flag.raw, 1, 4, 'x'.repeat(50)),
    ])
    const expected = [
      '32/0/4294967295/4294967295:hello',
      '8/0/0/2:',
      '33/1/5/3:part',
      `64/4/1/4:${'x'.repeat(50)}`,
    ]
    for (let step = 1; step <= stream.length; step++) {
      const { reader, lines } = readerOf()
      for (let at = 0; at < stream.length; at += step) reader.push(stream.subarray(at, at + step))
      t.strictSame(lines, expected, `in chunks of ${step}`)
      t.strictSame([reader.held, reader.begun], [0, false])
    }
  })

  t.test('a frame within one chunk is not copied', async t => {
    const chunk = frameOf(32, 0, 1, 1, 'body')
    const reader = new FrameReader(100, frame => t.equal(frame.buffer, chunk))
    t.plan(1)
    reader.push(chunk)
  })

  t.test('a TLV that nobody knows is skipped, and the total of a first part is read', async t => {
    const totals: number[] = []
    const reader = new FrameReader(1000, frame => {
      totals.push(frame.totalBytes, frame.end - frame.start)
    })
    const body = Buffer.alloc(HEADER_BYTES + 5 + TOTAL_BYTES + 3)
    writeHeader(body, 0, 32, Flag.more, 1, 1, 3, 5 + TOTAL_BYTES)
    body.set([200, 3, 9, 9, 9], HEADER_BYTES)
    writeTotal(body, HEADER_BYTES + 5, 70_000)
    reader.push(body)
    reader.push(frameOf(32, 0, 1, 2, 'abcd'))
    t.strictSame(totals, [70_000, 3, 0, 4])
  })

  t.test('TLVs that do not fill their header exactly are refused', async t => {
    for (const tlvs of [
      [7],
      [7, 1],
      [7, 9, 0],
      [1, 2, 0, 0],
      [1, 4, 0, 0, 0, 0],
      [7, 0, 7],
      [1, 4, 1, 0, 0, 0, 1, 4, 1, 0, 0, 0],
    ]) {
      const frame = Buffer.alloc(HEADER_BYTES + tlvs.length)
      writeHeader(frame, 0, 32, 0, 1, 1, 0, tlvs.length)
      frame.set(tlvs, HEADER_BYTES)
      t.strictSame(
        refusalOf(() => readerOf().reader.push(frame)),
        ['ERR_FRAME'],
        tlvs.join(),
      )
    }
  })

  t.test('a length is judged from the header alone, and nothing is held for it', async t => {
    for (const bytes of [4_097 - HEADER_BYTES, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1]) {
      const header = frameOf(1, 0, 0, 1, '')
      writeU32(header, 4, bytes)
      const { reader, lines } = readerOf(4_096)
      for (const byte of header.subarray(0, 19)) reader.push(Buffer.of(byte))
      t.strictSame(
        refusalOf(() => reader.push(header.subarray(19)), 'max'),
        ['ERR_FRAME', 4_096],
      )
      t.strictSame([lines, reader.held], [[], 0])
    }
    const { reader, lines } = readerOf(4_096)
    reader.push(frameOf(1, 0, 0, 1, 'x'.repeat(4_096 - HEADER_BYTES)))
    t.equal(lines.length, 1, 'the limit itself is allowed')
  })

  t.test('another version, a short header and unknown flags are refused', async t => {
    const broken = (at: number, value: number): Buffer => {
      const frame = frameOf(32, 0, 1, 1, 'abc')
      frame[at] = value
      return frame
    }
    const why = (frame: Buffer): unknown => refusalOf(() => readerOf().reader.push(frame), 'why')
    t.strictSame(why(broken(0, 2)), ['ERR_FRAME', 'another version'])
    t.strictSame(why(broken(3, 19)), ['ERR_FRAME', 'a header that is too short'])
    t.strictSame(why(broken(3, 0)), ['ERR_FRAME', 'a header that is too short'])
    t.strictSame(why(broken(2, 8)), ['ERR_FRAME', 'unknown flags'])
  })

  t.test('nothing behind a violation is parsed, in its chunk or later', async t => {
    const bad = frameOf(32, 0, 1, 2, 'b')
    bad[0] = 9
    const { reader, lines } = readerOf()
    t.throws(() => reader.push(Buffer.concat([frameOf(32, 0, 1, 1, 'a'), bad, frameOf(32, 0, 1, 3, 'c')])))
    reader.push(frameOf(32, 0, 1, 4, 'd'))
    t.strictSame(lines, ['32/0/1/1:a'])
  })

  t.test('a sink that throws or ends the reader gets nothing more', async t => {
    const two = Buffer.concat([frameOf(32, 0, 1, 1, 'a'), frameOf(32, 0, 1, 2, 'b')])
    for (const cut of [0, 5, 21]) {
      let seen = 0
      const ending: FrameReader = new FrameReader(1000, () => {
        seen += 1
        ending.end()
      })
      const throwing = new FrameReader(1000, () => {
        seen += 1
        throw new RangeError('stop')
      })
      ending.push(two.subarray(0, cut))
      ending.push(two.subarray(cut))
      t.throws(() => {
        throwing.push(two.subarray(0, cut))
        throwing.push(two.subarray(cut))
      }, RangeError)
      throwing.push(two)
      t.equal(seen, 2, `cut at ${cut}`)
    }
  })

  t.test('a limit turned up by the sink holds from the next frame on', async t => {
    let frames = 0
    const reader = new FrameReader(100, () => {
      frames += 1
      reader.frameBytesMax = 1_000
    })
    reader.push(Buffer.concat([frameOf(3, 0, 0, 1, 'proof'), frameOf(32, 0, 1, 1, 'x'.repeat(900))]))
    t.equal(frames, 2)
  })

  t.test('a hundred thousand empty frames in one chunk are soon read', async t => {
    let frames = 0
    new FrameReader(100, () => {
      frames += 1
    }).push(Buffer.alloc(100_000 * HEADER_BYTES, encodeFrame(8, 0, Buffer.alloc(0))))
    t.equal(frames, 100_000)
  })

  t.test('a drip of single bytes is held in at most twice what came', async t => {
    const frame = frameOf(32, 0, 1, 1, 'x'.repeat(100_000))
    const { reader, lines } = readerOf()
    for (let at = 0; at < frame.length - 1; at++) reader.push(frame.subarray(at, at + 1))
    t.equal(reader.held, frame.length - 1)
    reader.push(frame.subarray(frame.length - 1))
    t.strictSame([lines.length, lines[0]?.length, reader.held], [1, 100_000 + '32/0/1/1:'.length, 0])
  })
})

t.test('reassembly', async t => {
  const partsOf = (max: number) => {
    const reassembly = new Reassembly(max)
    const bodies: string[] = []
    const reader = new FrameReader(LIMITS.frameBytesMax, frame => {
      const body = reassembly.add(frame)
      if (body !== undefined) bodies.push(body.toString('latin1'))
    })
    const add = (flags: number, pair: number, body: string, total = 0, type = 32): unknown => {
      const frame = frameOf(type, flags, pair, 0, body, total)
      return refusalOf(() => reader.push(frame), 'why')
    }
    return { reassembly, bodies, add }
  }
  const { more, continued, raw } = Flag

  t.test('bodies of several pairs interleave and come out whole', async t => {
    const { reassembly, bodies, add } = partsOf(100)
    add(more, 1, 'abc', 7)
    add(more, 2, 'XY', 3)
    t.strictSame([reassembly.bytes, reassembly.has(1), reassembly.has(3)], [10, true, false])
    add(more | continued, 1, 'def')
    add(continued, 2, 'Z')
    add(continued, 1, 'g')
    t.strictSame([bodies, reassembly.bytes, reassembly.has(1)], [['XYZ', 'abcdefg'], 0, false])
  })

  t.test('bodies under way may together not exceed the limit', async t => {
    const { reassembly, add } = partsOf(10)
    add(more, 1, 'abc', 6)
    t.strictSame(add(more, 2, 'a', 5), ['ERR_FRAME', 'bodies above the limit'])
    t.equal(reassembly.bytes, 6)
  })

  t.test('whatever does not fit is refused', async t => {
    const unfit = (...last: Parameters<ReturnType<typeof partsOf>['add']>): unknown => {
      const { add } = partsOf(100)
      add(more, 1, 'abc', 6)
      return add(...last)
    }
    const misfit = ['ERR_FRAME', 'a part that does not fit its body']
    t.strictSame(unfit(continued, 2, 'x'), ['ERR_FRAME', 'a part of no body'])
    t.strictSame(unfit(more, 1, 'x', 3), ['ERR_FRAME', 'a first part before the end of another body'])
    t.strictSame(unfit(more, 2, 'x'), ['ERR_FRAME', 'a first part without its total'])
    t.strictSame(unfit(0, 2, 'x', 1), ['ERR_FRAME', 'a first part without its total'])
    t.strictSame(unfit(more, 0, 'x', 3), ['ERR_FRAME', 'a part outside of any pair'])
    t.strictSame(unfit(continued, 1, 'xyz', 0, 33), ['ERR_FRAME', 'a part of another kind than its body'])
    t.strictSame(unfit(continued | raw, 1, 'xyz'), ['ERR_FRAME', 'a part of another kind than its body'])
    t.strictSame(unfit(continued, 1, 'xyz', 6), ['ERR_FRAME', 'a part of another kind than its body'])
    t.strictSame(unfit(continued, 1, 'xy'), misfit, 'the last part leaves a gap')
    t.strictSame(unfit(continued, 1, 'wxyz'), misfit, 'more than declared')
    t.strictSame(unfit(more | continued, 1, 'xyz'), misfit, 'complete, but not the last part')
    t.strictSame(unfit(more | continued, 1, ''), misfit, 'an empty part')
  })
})

const a = parseNodeId('a')
const b = parseNodeId('b')

class Money {
  readonly cents: number
  constructor(cents: number) {
    this.cents = cents
  }
}
const money: Extension<Money> = {
  type: 16,
  is: (value): value is Money => value instanceof Money,
  write: value => value.cents,
  read: data => {
    if (typeof data !== 'number') throw new TroupeError('ERR_PAYLOAD', 'money is a number')
    return new Money(data)
  },
}

const codecOf = (limits: Partial<typeof LIMITS> = {}) => {
  const ids = new IdSpace(b, 7, 1_000)
  const codec = createCodec({
    limits: { ...LIMITS, ...limits },
    ids,
    extensions: [money as unknown as Extension<never>],
  })
  const cross = (value: unknown): unknown => {
    const packed = codec.encode(value, 20, 'payload')
    return codec.decode(packed, 20, packed.length)
  }
  const refusal = (value: unknown): unknown =>
    refusalOf(() => codec.encode(value, 0, 'payload'), 'path', 'why')
  const decodeHex = (hex: string): unknown => codec.decode(Buffer.from(hex, 'hex'), 0, hex.length / 2)
  return { ids, codec, cross, refusal, decodeHex }
}

t.test('what may cross', async t => {
  const { cross, ids } = codecOf()

  t.test('plain values arrive as they were', async t => {
    const values: unknown[] = [
      null, undefined, true, false, 0, 1, -1, 127, 128, 2 ** 31, 2 ** 32, 2 ** 53, -(2 ** 31) - 1, 0.1, 1e308,
      Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, '', 'x', 'é', '日本', '😀'.repeat(100), 'y'.repeat(70_000),
      [], [[]], {}, { a: { b: [1, { c: null }] } }, { a: undefined }, [undefined], new Array(70_000).fill(1),
      // biome-ignore lint/suspicious/noThenProperty: the subject
      { constructor: 1, prototype: 2, then: 3, toJSON: 4, hasOwnProperty: 5, toString: 6, valueOf: 7, length: 8, '': 9, 12: 10 },
    ] // biome-ignore format: a list
    for (const value of values) t.strictSame(cross(value), value)
    t.ok(Number.isNaN(cross(Number.NaN)))
    t.ok(Object.is(cross(-0), -0))
    t.ok(Object.is((cross({ deep: [-0] }) as { deep: number[] }).deep[0], -0))
  })

  t.test('an object of more keys than sixteen bits count arrives', async t => {
    const big = Object.fromEntries(Array.from({ length: 66_000 }, (_, i) => [`k${i}`, i]))
    t.strictSame(cross(big), big)
  })

  t.test('bigints of up to 64 bytes arrive, larger ones are refused', async t => {
    const edge = 2n ** 511n
    for (const n of [
      0n,
      5n,
      -5n,
      2n ** 63n - 1n,
      2n ** 63n,
      2n ** 64n,
      -(2n ** 63n),
      -(2n ** 63n) - 1n,
      edge - 1n,
      -edge,
    ]) {
      t.equal(cross(n), n)
    }
    for (const n of [edge, -edge - 1n])
      t.strictSame(codecOf().refusal({ n }), ['ERR_PAYLOAD', 'payload.n', 'a bigint of more than 64 bytes'])
  })

  t.test('Dates arrive, from the first to the last', async t => {
    for (const ms of [
      0,
      1,
      -1,
      1_500,
      -1_500,
      2 ** 32 * 1000 - 1,
      2 ** 32 * 1000,
      8.64e15,
      -8.64e15,
      1_700_000_000_123,
      -62_135_596_800_001,
    ]) {
      t.strictSame((cross(new Date(ms)) as Date).getTime(), ms)
    }
    t.strictSame(codecOf().refusal([new Date(Number.NaN)]), ['ERR_PAYLOAD', 'payload[0]', 'an invalid Date'])
  })

  t.test('Buffers, typed arrays, Maps and Sets keep their kind', async t => {
    const bytes = Buffer.from('bytes')
    t.ok(Buffer.isBuffer(cross(bytes)))
    t.strictSame(cross({ bytes }), { bytes })
    for (const view of [
      new Uint8Array([1, 2]),
      new Int8Array([-1]),
      new Uint8ClampedArray([255]),
      new Int16Array([-300]),
      new Uint16Array([3]),
      new Int32Array([-7e4]),
      new Uint32Array([4e9]),
      new Float32Array([0.5]),
      new Float64Array([0.1, Number.NaN]),
      new BigInt64Array([-1n]),
      new BigUint64Array([2n ** 64n - 1n]),
      new Float64Array(0),
      new Float64Array(3).subarray(1),
    ]) /* biome-ignore format: a list */ {
      const back = cross(view) as object
      t.equal(Object.getPrototypeOf(back), Object.getPrototypeOf(view))
      t.strictSame(back, view)
    }
    const map = new Map<unknown, unknown>([['k', 1], [2, new Set(['x'])], [{ o: 1 }, new Map()]]) // biome-ignore format: a list
    t.strictSame(cross(map), map)
    t.strictSame(cross(new Set([1, 'two', [3]])), new Set([1, 'two', [3]]))
  })

  t.test('strings with lone surrogates arrive unit by unit', async t => {
    for (const text of ['\ud800', 'a\udc00b', '\udc00\ud800'.repeat(50)]) t.equal(cross(text), text)
  })

  t.test('pids are interned by the receiver, refs and extensions arrive', async t => {
    const own = ids.newPid()
    ids.own = serial => (serial === own.serial ? own : undefined)
    t.equal((cross({ own }) as { own: Pid }).own, own)
    const pid = new Pid(a, 5, 9)
    const [first, second] = cross([pid, pid]) as Pid[]
    t.equal(first, second)
    t.strictSame(first, pid)
    t.strictSame(cross(new Ref(a, 5, 3)), new Ref(a, 5, 3))
    const back = cross({ price: new Money(3) }) as { price: Money }
    t.ok(back.price instanceof Money)
    t.equal(back.price.cents, 3)
  })

  t.test('an Error keeps name, message, stack, code and cause', async t => {
    const error = Object.assign(new TypeError('bad', { cause: { why: 'x' } }), { code: 'ENOENT', own: 1 })
    const back = cross(error) as typeof error
    t.ok(back instanceof Error)
    t.strictSame(
      [back.name, back.message, back.stack, back.code, back.cause, Object.keys(back)],
      ['TypeError', 'bad', error.stack, 'ENOENT', { why: 'x' }, ['code']],
    )
    t.notOk(Object.hasOwn(cross(new Error('no cause')) as Error, 'cause'))
    const failure = new TroupeError('ERR_NOPROC', 'nobody', { pid: new Pid(a, 1, 2) }, new Error('inner'))
    const known = cross({ failure }) as { failure: TroupeError }
    t.ok(TroupeError.is(known.failure, 'ERR_NOPROC'))
    t.strictSame(
      [
        known.failure.message,
        known.failure.detail,
        known.failure.stack,
        (known.failure.cause as Error).message,
      ],
      ['nobody', failure.detail, failure.stack, 'inner'],
    )
  })

  t.test('what arrives shares no memory with what came in, nor encodings with one another', async t => {
    const { codec } = codecOf()
    const value = {
      a: Buffer.from('aaaa'),
      b: new Uint16Array([1, 2]),
      s: 'text',
      m: new Map([['k', Buffer.from('k')]]),
    }
    const packed = codec.encode(value, 0, 'payload')
    const back = codec.decode(packed, 0, packed.length)
    packed.fill(0)
    t.strictSame(back, value)
    const many = Array.from({ length: 500 }, (_, i) =>
      codec.encode({ i, pad: 'p'.repeat(i * 20), q: [i] }, 30, 'payload'),
    )
    for (const one of many) one.fill(255, 0, 30)
    for (const [i, one] of many.entries()) {
      t.strictSame(codec.decode(one, 30, one.length), { i, pad: 'p'.repeat(i * 20), q: [i] })
      if (i > 0 && one.buffer.byteLength > 16_384 + 4 * one.length)
        t.fail(`encoding ${i} pins ${one.buffer.byteLength} bytes`)
    }
  })

  t.test('a small encoding after a large one does not pin what the large one needed', async t => {
    const { codec } = codecOf()
    for (const large of ['x'.repeat(1e6), Buffer.alloc(1e6), new Array(1e5).fill(0.5)]) {
      codec.encode(large, 0, 'payload')
      t.equal(codec.encode('small', 0, 'payload').buffer.byteLength, 8_192)
    }
  })

  t.test('an object that is met twice arrives as two', async t => {
    const shared = { x: 1 }
    const [first, second] = cross([shared, shared]) as object[]
    t.strictSame([first, second], [shared, shared])
    t.not(first, second)
  })

  t.test('a null-prototype object and a getter arrive as plain data, holes as undefined', async t => {
    t.strictSame(cross(Object.assign(Object.create(null), { x: 1 })), { x: 1 })
    t.strictSame(cross({ get x() { return 5 } }), { x: 5 }) // biome-ignore format: one line
    const holes = [1, 2, 3]
    delete holes[1]
    t.strictSame(cross(holes), [1, undefined, 3])
  })

  t.test('a getter that changes its answer leaks nothing', async t => {
    for (const second of [new Float64Array(6), new Set([1]), () => 1, /x/]) {
      const { codec } = codecOf()
      let reads = 0
      const value = { get x() { return reads++ === 0 ? 1 : second } } // biome-ignore format: one line
      const packed = codec.encode(value, 0, 'payload')
      const back = refusalOf(() => t.strictSame(codec.decode(packed, 0, packed.length), { x: undefined }))
      t.ok(back === 'nothing thrown' || (Array.isArray(back) && back[0] === 'ERR_PAYLOAD'), String(second))
    }
  })
})

t.test('what may not cross is refused at the send, with its path', async t => {
  const { codec, refusal, cross } = codecOf()
  class Thing {}
  const may = (path: string, what: string): unknown => ['ERR_PAYLOAD', path, `${what} may not cross`]

  t.test('functions, symbols, class instances and exotic objects', async t => {
    t.strictSame(
      refusal({ user: { callback: function f() {} } }),
      may('payload.user.callback', 'function "f"'),
    )
    t.strictSame(refusal({ items: [1, 2, 3, Symbol('s')] }), may('payload.items[3]', 'a symbol "s"'))
    t.strictSame(refusal(new Map([['k', new Thing()]])), may('payload.get("k")', 'a Thing'))
    t.strictSame(refusal(new Map([[new Thing(), 1]])), may('payload.keys()[0]', 'a Thing'))
    t.strictSame(refusal([new Set([1, new Thing()])]), may('payload[0].values()[1]', 'a Thing'))
    t.strictSame(refusal({ 'odd key': /x/ }), may('payload["odd key"]', 'a RegExp'))
    t.strictSame(refusal(new Error('x', { cause: new Thing() })), may('payload.cause', 'a Thing'))
    for (const value of [
      new WeakMap(),
      new WeakSet(),
      Promise.resolve(),
      new ArrayBuffer(1),
      new DataView(new ArrayBuffer(1)),
      new Number(1),
      new Date(Date.UTC(2000, 0)).getTime.bind(1),
      new (class Sub extends Map {})(),
      new (class Sub extends Array {})(),
      new (class Sub extends Uint8Array {})(1),
      new URL('x:y'),
    ]) /* biome-ignore format: a list */ {
      t.strictSame((refusal([value]) as string[]).slice(0, 2), ['ERR_PAYLOAD', 'payload[0]'])
    }
  })

  t.test('symbol keys, __proto__ and keys without UTF-8', async t => {
    t.strictSame(refusal({ x: { [Symbol('k')]: 1 } }), [
      'ERR_PAYLOAD',
      'payload.x',
      'a symbol as a key may not cross',
    ])
    t.strictSame(refusal(JSON.parse('{"__proto__":{"polluted":1}}')), [
      'ERR_PAYLOAD',
      'payload.__proto__',
      'the key __proto__ may not cross',
    ])
    t.match(refusal({ '\ud800': 1 }), ['ERR_PAYLOAD', /payload/, 'a key with lone surrogates may not cross'])
    t.strictSame(cross(['__proto__', new Map([['__proto__', 1]])]), [
      '__proto__',
      new Map([['__proto__', 1]]),
    ])
    t.equal(({} as { polluted?: unknown }).polluted, undefined)
  })

  t.test('cycles are named where they close', async t => {
    const cyclic: Record<string, unknown> = { list: [{}] }
    ;(cyclic['list'] as Record<string, unknown>[])[0]!['back'] = cyclic
    t.strictSame(refusal(cyclic), ['ERR_PAYLOAD', 'payload.list[0].back', 'a cycle may not cross'])
    const map = new Map<string, unknown>()
    map.set('me', map)
    t.strictSame(refusal({ map }), ['ERR_PAYLOAD', 'payload.map.get("me")', 'a cycle may not cross'])
    const error = new Error('x')
    error.cause = error
    t.strictSame(refusal(error), ['ERR_PAYLOAD', 'payload.cause', 'a cycle may not cross'])
  })

  t.test('the deepest and the longest that are sent are also received', async t => {
    const nest = (depth: number, leaf: unknown): unknown =>
      depth === 0 ? leaf : depth % 2 ? [nest(depth - 1, leaf)] : new Map([[1, nest(depth - 1, leaf)]])
    for (const leaf of [
      1,
      -0,
      new Pid(a, 1, 1),
      new Float32Array(2),
      '\ud800',
      new Date(5),
      Buffer.from('x'),
    ]) {
      t.strictSame(cross(nest(64, leaf)), nest(64, leaf))
      t.equal((refusal(nest(65, leaf)) as string[])[2], 'nested deeper than 64')
    }
    const few = codecOf({ valuesMax: 10 })
    const fits = [[1, 2, 3, 4, 5, 6, 7, 8, 9], { a: 1, b: 2, c: [3, 4, 5, 6, 7, 8] }, new Map([[1, 2], [3, 4]]), [new Pid(a, 1, 2), -0, 1, 2], new Set([1, 2, 3, 4, 5, 6, 7, 8])] // biome-ignore format: a list
    for (const value of fits) t.strictSame(few.cross(value), value)
    for (const value of [
      new Array(10).fill(0),
      new Array(4e9),
      new Set([1, 2, 3, 4, 5, 6, 7, 8, 9]),
      { a: [1, 2, 3, 4, 5], b: [1, 2, 3] },
    ]) {
      t.match(few.refusal(value), ['ERR_PAYLOAD', /payload/, 'more than 10 values'])
    }
  })

  t.test('above the limit of a message it is too large, before it is encoded or after', async t => {
    const small = codecOf({ messageBytesMax: 100 })
    t.equal(small.codec.encode('x'.repeat(98), 50, 'payload').length, 150)
    for (const value of [
      'x'.repeat(99),
      'x'.repeat(1e6),
      'é'.repeat(50),
      Buffer.alloc(99),
      new Float64Array(20),
    ]) {
      t.match(
        refusalOf(() => small.codec.encode(value, 50, 'args')),
        ['ERR_TOO_LARGE'],
      )
    }
  })

  t.test('a getter or a proxy that throws is named, and the codec goes on', async t => {
    const boom = { in: { get it(): never { throw new RangeError('boom') } } } // biome-ignore format: one line
    t.strictSame(refusal(boom), ['ERR_PAYLOAD', 'payload.in.it', 'reading it threw'])
    const proxy = new Proxy({}, { ownKeys: () => { throw new Error('trap') } }) // biome-ignore format: one line
    t.strictSame(refusal([proxy]), ['ERR_PAYLOAD', 'payload[0]', 'reading it threw'])
    t.strictSame((refusal(Object.create(Date.prototype)) as string[])[2], 'reading it threw')
    let reads = 0
    const fickle = { get x() { if (reads++ > 0) throw new Error('again'); return 1 } } // biome-ignore format: one line
    t.strictSame(refusal(fickle), ['ERR_PAYLOAD', 'payload', 'reading it threw'])
    t.strictSame(cross({ fine: 1 }), { fine: 1 })
  })

  t.test('misuse is told at the call', async t => {
    t.throws(() => codec.encode(1, 256, 'payload'), RangeError)
    t.throws(() => codec.encode(1, -1, 'payload'), RangeError)
    const two = [money, money] as unknown as Extension<never>[]
    t.throws(() => createCodec({ limits: LIMITS, ids: new IdSpace(a, 1, 1), extensions: two }), RangeError)
  })
})

t.test('foreign bytes', async t => {
  const { decodeHex, codec } = codecOf()
  const limits = { depthMax: 64, valuesMax: 1_048_576 }
  const verdict = (bytes: Buffer): unknown => {
    const got = scan(bytes, 0, bytes.length, limits)
    return typeof got === 'object' ? got.why : got
  }
  const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')

  t.test('the scan names what it refuses', async t => {
    const no = 'a type that may not cross'
    const cases: readonly (readonly [string, string])[] = [
      ['', 'truncated'], ['01 01', 'more than one value'], ['c1', no], ['92 01', 'a count beyond the end'],
      ['dd ffffffff', 'a count beyond the end'], ['df ffffffff', 'a count beyond the end'], ['db ffffffff', 'truncated'],
      ['c6 ffffffff', 'truncated'], ['c9 ffffffff 00', 'truncated'], ['a5 6161', 'truncated'], ['cb 00', 'truncated'], ['d9', 'truncated'],
      ['d4 72 00', no], ['d5 72 0000', no], ['d6 69 00000001', no], ['d6 70 00000001', no], ['d4 65 00 93a0a0c0', no],
      ['d4 78 00 92a0a0', no], ['d4 73 00 90', no], ['c7 02 74 0100', no], ['d6 62 00000000', no], ['d4 01 00', no], ['d4 7f 00', no],
      ['d6 ff 00000000', 'plain'], ['d4 ff ff', no], ['d7 ff ffffffff00000000', no], ['c7 0c ff 00000000 7fffffffffffffff', no],
      ['c7 0c ff ffffffff 0000000000000001', no], ['d4 00 00', 'plain'], ['d5 00 0000', no], ['c7 00 42', no], ['d4 42 05', 'plain'],
      [`c7 40 42 ${'01'.repeat(64)}`, 'plain'], [`c7 41 42 ${'01'.repeat(65)}`, no],
      ['81 01 02', 'a bad key'], ['81 90 02', 'a bad key'], ['81 c0 02', 'a bad key'], ['81 a1 61', 'a bad key'],
      [`81 a9 ${Buffer.from('__proto__').toString('hex')} 01`, 'a bad key'], [`81 d909 ${Buffer.from('__proto__').toString('hex')} 01`, 'a bad key'],
      [`81 a9 ${Buffer.from('__proto_1').toString('hex')} 01`, 'plain'], [`81 da0009 ${Buffer.from('__proto__').toString('hex')} 01`, 'a bad key'],
      ['d4 54 00 91 08', 'tagged'], ['d4 54 01 91 08', 'a bad tag'], ['d4 54 00 08', 'a bad tag'], ['d5 54 00 91', no], ['d4 54 00', 'a bad tag'],
      ['d4 54 00 92 10', 'a count beyond the end'], ['91'.repeat(64).concat('01'), 'plain'], ['91'.repeat(65).concat('01'), 'too deep'],
      ['d4540091'.repeat(65).concat('01'), 'too deep'], ['81a161'.repeat(65).concat('01'), 'too deep'],
    ] // biome-ignore format: a table
    for (const [bytes, expected] of cases) t.equal(verdict(hex(bytes)), expected, bytes.slice(0, 60))
  })

  t.test('the scan never looks beyond its end', async t => {
    const packed = codec.encode({ a: [1, 'two'], b: new Map([[1, 2]]) }, 0, 'payload')
    const padded = Buffer.concat([packed, Buffer.alloc(50, 0x01)])
    for (let end = 0; end < packed.length; end++)
      t.type(scan(padded, 0, end, limits), Object, `cut at ${end}`)
    t.equal(scan(padded, 0, packed.length, limits), 'tagged')
  })

  t.test('hostile bodies are refused in no time', async t => {
    const million = (byte: number): Buffer => {
      const bytes = Buffer.alloc(1_048_576 * 2 + 5, byte)
      bytes[0] = 0xdd
      bytes.writeUInt32BE(bytes.length - 5, 1)
      return bytes
    }
    const bignum = Buffer.alloc(1_000_006, 0x7f)
    bignum.set([0xc9, 0, 0x0f, 0x42, 0x40, 0x42])
    const corpus = {
      maps: million(0x80),
      arrays: million(0x90),
      nils: million(0xc0),
      strings: million(0xa0),
      deep: Buffer.alloc(1e6, 0x91),
      bignum,
    }
    for (const [name, bytes] of Object.entries(corpus)) {
      const before = process.hrtime.bigint()
      t.strictSame(
        refusalOf(() => codec.decode(bytes, 0, bytes.length)),
        ['ERR_PAYLOAD'],
        name,
      )
      const ms = Number(process.hrtime.bigint() - before) / 1e6
      t.ok(ms < 100, `${name} took ${ms} ms`) // some 5 ms; the margin is for a busy machine
    }
  })

  t.test('our own types with another shape are refused', async t => {
    const bodies = [
      'd4540090', 'd454009163', 'd454009205c0', 'd45400940541410101', 'd45400940', 'd454009405a16101cf0000000000000001', 'd454009405a161ff01',
      'd454009405a161cb40500000000000000101', 'd454009201c0', 'd45400920809', 'd4540092030' + '1', 'd4540093030bc400', 'd45400930308c40100',
      'd454009209c40100', 'd454009209a161', 'd454009504a161a161c0c0', 'd454009404a161a161', 'd454009507a161a161d40000c0', 'd454009210a161',
    ] // biome-ignore format: a list
    for (const bytes of bodies.filter(text => text.length % 2 === 0)) {
      t.strictSame(
        refusalOf(() => decodeHex(bytes)),
        ['ERR_PAYLOAD'],
        bytes,
      )
    }
  })
})

t.test('control messages', async t => {
  const Member = object({
    node: string(4),
    incarnation: u48,
    tags: array(string(3), 2),
    load: optional(finite),
    voter: boolean,
    state: oneOf('alive', 'suspect'),
    at: nullable(tuple(integer(0, 9), bytes(2))),
  })
  const good = {
    node: 'a',
    incarnation: 5,
    tags: ['x'],
    load: 0.5,
    voter: true,
    state: 'alive',
    at: [3, Buffer.from('ab')],
  }
  const read = (value: unknown): unknown => {
    const packed = encodeControl(value, 20)
    return decodeControl(Member, packed, 20, packed.length)
  }
  const refusal = (change: Readonly<Record<string, unknown>>): unknown =>
    refusalOf(() => read({ ...good, ...change }), 'path')

  t.test('a message of its schema is read, and fields of later versions are dropped', async t => {
    t.strictSame(read(good), good)
    t.strictSame(read({ ...good, later: { deep: 1 }, load: undefined, at: null }), {
      node: 'a',
      incarnation: 5,
      tags: ['x'],
      voter: true,
      state: 'alive',
      at: null,
    })
  })

  t.test('a field that does not fit is named', async t => {
    for (const bad of [2 ** 53, -1, 0.5, Number.NaN, 1e308, '5', null, undefined, 5n])
      t.strictSame(refusal({ incarnation: bad }), ['ERR_FRAME', 'message.incarnation'])
    for (const bad of ['abcde', 1, {}, Buffer.from('a')])
      t.strictSame(refusal({ node: bad }), ['ERR_FRAME', 'message.node'])
    t.strictSame(refusal({ tags: ['a', 'b', 'c'] }), ['ERR_FRAME', 'message.tags'])
    t.strictSame(refusal({ tags: { 0: 'a' } }), ['ERR_FRAME', 'message.tags'])
    t.strictSame(refusal({ tags: ['a', 1] }), ['ERR_FRAME', 'message.tags[1]'])
    t.strictSame(refusal({ load: Number.NaN }), ['ERR_FRAME', 'message.load'])
    t.strictSame(refusal({ load: null }), ['ERR_FRAME', 'message.load'])
    t.strictSame(refusal({ voter: 1 }), ['ERR_FRAME', 'message.voter'])
    t.strictSame(refusal({ state: 'dead' }), ['ERR_FRAME', 'message.state'])
    t.strictSame(refusal({ at: [1] }), ['ERR_FRAME', 'message.at'])
    t.strictSame(refusal({ at: [1, Buffer.from('abc')] }), ['ERR_FRAME', 'message.at[1]'])
    for (const bad of [[], null, 1, 'x', new Date(0)])
      t.strictSame(
        refusalOf(() => read(bad), 'path'),
        ['ERR_FRAME', 'message'],
      )
  })

  t.test('types of payloads, two values and too many of them are no control message', async t => {
    const many = Buffer.alloc(70_005, 0xc0)
    many.set([0xdd, 0, 1, 0x11, 0x70])
    for (const bytes of [
      Buffer.of(0xd4, 0x54, 0, 0x91, 8),
      Buffer.of(1, 1),
      Buffer.of(),
      Buffer.of(0xc1),
      many,
    ]) {
      t.strictSame(
        refusalOf(() => decodeControl(Member, bytes, 0, bytes.length)),
        ['ERR_FRAME'],
      )
    }
  })
})
