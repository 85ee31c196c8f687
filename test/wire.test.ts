import t from 'tap'
import { TroupeError } from '../lib/base/errors.js'
import { LIMITS } from '../lib/base/limits.js'
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

/** What a frame says, as one line: `type/flags/pair/sequence:body`. */
const line = (f: Frame): string =>
  `${f.type}/${f.flags}/${f.pair}/${f.sequence}:${f.buffer.toString('latin1', f.start, f.end)}`

const readerOf = (max = LIMITS.frameBytesMax) => {
  const lines: string[] = []
  const reader = new FrameReader(max, frame => lines.push(line(frame)))
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
      t.equal(reader.held, 0)
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
