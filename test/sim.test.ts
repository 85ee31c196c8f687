/** The simulated world: its own laws, before anybody trusts a run of it. */
import fc from 'fast-check'
import t from 'tap'
import type { DialResult, Runtime, Stream } from '../lib/base/runtime.js'
import { EventHeap } from '../lib/sim/event-heap.js'
import { SimClock } from '../lib/sim/sim-clock.js'
import type { LinkOptions } from '../lib/sim/sim-network.js'
import { SimRandom } from '../lib/sim/sim-random.js'
import { Simulation } from '../lib/sim/simulation.js'

const AT = { host: 'b', port: 7001 }

/** What a stream told: chunks joined, other events as they came. */
class Ear {
  readonly stream: Stream
  readonly told: string[] = []
  chunks: Buffer[] = []

  constructor(stream: Stream) {
    this.stream = stream
    stream.open({
      data: chunk => void this.chunks.push(chunk),
      drain: () => void this.told.push('drain'),
      close: code => void this.told.push(`close ${code}`),
    })
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString('latin1')
  }

  get bytes(): number {
    return this.chunks.reduce((sum, chunk) => sum + chunk.length, 0)
  }
}

interface Pair {
  sim: Simulation
  a: Runtime
  b: Runtime
  near: Ear
  far: Ear
}

const dialFrom = (from: Runtime, timeoutMs = 5_000, to = AT): DialResult[] => {
  const results: DialResult[] = []
  from.transport.dial(to, { timeoutMs }, result => void results.push(result))
  return results
}

/** Nodes a and b, connected. */
async function pair(seed: number, link: LinkOptions = {}): Promise<Pair> {
  const sim = new Simulation({ seed, link })
  const a = sim.runtime('a')
  const b = sim.runtime('b')
  const accepted: Ear[] = []
  await b.transport.listen(AT, stream => void accepted.push(new Ear(stream)))
  const results = dialFrom(a, 60_000)
  await sim.runUntil(() => results.length > 0 && accepted.length > 0, { limitMs: 60_000 })
  const result = results[0]
  const far = accepted[0]
  if (result?.ok !== true || far === undefined) throw new Error('not connected')
  return { sim, a, b, near: new Ear(result.stream), far }
}

t.test(
  'SimClock fires in due order, ties in the order they were set, what is set on the way included',
  async t => {
    const clock = new SimClock()
    const fired: string[] = []
    const at = (ms: number, name: string): { clear(): void } =>
      clock.after(ms, () => void fired.push(`${name} ${clock.now()}`))
    at(20, 'b')
    at(10, 'a')
    at(20, 'c')
    at(15, 'never').clear()
    clock.after(10, () => void at(5, 'nested'))
    clock.advance(9)
    t.strictSame(fired, [], 'nothing early')
    clock.advance(11)
    t.strictSame(fired, ['a 10', 'nested 15', 'b 20', 'c 20'])
    const wallMs = clock.wallNow()
    clock.jumpWall(-3_600_000)
    t.strictSame(
      [clock.wallNow() - wallMs, clock.now(), clock.nextMs],
      [-3_600_000, 20, Number.POSITIVE_INFINITY],
    )
    t.throws(() => clock.after(Number.NaN, () => {}), RangeError)
  },
)

t.test('SimRandom: a fork depends on seed, path and count alone, not on what else was drawn', async t => {
  const draw = (r: SimRandom): number[] => [r.float(), r.float(), r.below(1_000)]
  const busy = new SimRandom(7)
  busy.float()
  busy.fork('other')
  t.strictSame(draw(busy.fork('x')), draw(new SimRandom(7).fork('x')))
  t.notSame(
    draw(busy.fork('x')),
    draw(new SimRandom(7).fork('x')),
    'the second fork for one use is another stream',
  )
  t.notSame(draw(new SimRandom(7)), draw(new SimRandom(8)))
  const many = Array.from({ length: 10_000 }, () => busy.float())
  const mean = many.reduce((sum, x) => sum + x, 0) / many.length
  t.ok(many.every(x => x >= 0 && x < 1) && Math.abs(mean - 0.5) < 0.02, `uniform: mean ${mean}`)
  t.equal(busy.chance(0), false)
})

t.test('the heap gives items by time, then tie, then insertion', async t => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(5), fc.nat(2))), given => {
      const heap = new EventHeap<readonly [number, number, number]>()
      const items = given.map(([at, tie], i) => [at, tie, i] as const)
      for (const item of items) heap.push(item[0], item[1], item)
      const popped = items.map(() => heap.pop())
      const sorted = [...items].sort((x, y) => x[0] - y[0] || x[1] - y[1] || x[2] - y[2])
      return (
        JSON.stringify(popped) === JSON.stringify(sorted) && heap.pop() === undefined && heap.length === 0
      )
    }),
  )
  t.pass('for every order of insertion')
})

/** Three nodes that talk, wait, write and get hurt; returns the hash of everything that happened. */
async function busyWorld(seed: number): Promise<{ hash: string; events: number }> {
  const sim = new Simulation({ seed, link: { resetRate: 0.01, spikeRate: 0.05 } })
  const names = ['a', 'b', 'c']
  const chat = async (name: string): Promise<void> => {
    const { transport, clock, disk, random } = sim.runtime(name)
    await transport.listen({ host: name, port: 1 }, stream =>
      stream.open({ data: chunk => void stream.write(chunk.subarray(1)), drain() {}, close() {} }),
    )
    const again = (): void => {
      const host = names[Math.floor(random.float() * 3)] ?? 'a'
      transport.dial({ host, port: 1 }, { timeoutMs: 500 }, result => {
        if (!result.ok) return
        result.stream.open({
          data: chunk => void result.stream.write(chunk.subarray(1)),
          drain() {},
          close() {},
        })
        result.stream.write(Buffer.from(random.bytes(200)))
        clock.after(900, () => result.stream.end())
      })
      disk.append('/log', random.bytes(100)).catch(() => {})
      clock.after(100 * random.float(), again)
    }
    again()
  }
  for (const name of names) await chat(name)
  const chance = sim.random('faults')
  for (let i = 0; i < 10; i++) {
    await sim.advance(200)
    sim.network.heal()
    const [x = 'a', y = 'b'] = [names[chance.below(3)], names[chance.below(3)]]
    if (x === y) {
      sim.crash(x)
      await chat(x)
    } else sim.network.cutOneWay(x, y)
  }
  return { hash: sim.log.hash(), events: sim.log.count }
}

t.test('the same seed gives the same log, another seed another', async t => {
  const hashes = new Set<string>()
  for (let seed = 0; seed < 10; seed++) {
    const once = await busyWorld(seed)
    if (once.events < 300) t.fail(`seed ${seed}: only ${once.events} events`)
    t.strictSame(await busyWorld(seed), once, `seed ${seed}, ${once.events} events`)
    hashes.add(once.hash)
  }
  t.equal(hashes.size, 10)
})

t.test('nodes interleave in every order, one node keeps its own', async t => {
  const orders = new Set<string>()
  for (let seed = 0; seed < 200; seed++) {
    const sim = new Simulation({ seed })
    const order: string[] = []
    for (const name of ['a', 'b']) {
      const { loop } = sim.runtime(name)
      loop.soon(() => void order.push(`${name}1`))
      loop.soon(() => void order.push(`${name}2`))
    }
    await sim.settle()
    orders.add(order.join(' '))
  }
  t.strictSame(
    [...orders].sort(),
    ['a1 a2 b1 b2', 'a1 b1 a2 b2', 'a1 b1 b2 a2', 'b1 a1 a2 b2', 'b1 a1 b2 a2', 'b1 b2 a1 a2'],
    'all six interleavings and no other',
  )
})

t.test('a turn goes soon, turnEnd, events, later, and awaits run on before the next event', async t => {
  for (let seed = 0; seed < 20; seed++) {
    const sim = new Simulation({ seed, clockSkewMax: 0 })
    const { loop, clock } = sim.runtime('a')
    const order: string[] = []
    const say = (what: string) => (): void => void order.push(what)
    clock.after(1, () => {
      loop.later(say('later'))
      loop.turnEnd(say('turnEnd'))
      loop.soon(() => {
        order.push('soon')
        loop.soon(say('soon again'))
        void Promise.resolve()
          .then(() => Promise.resolve())
          .then(say('awaited'))
      })
    })
    clock.after(1, say('event')).clear()
    await sim.advance(1)
    t.strictSame(order, ['soon', 'awaited', 'soon again', 'turnEnd', 'later'], `seed ${seed}`)
  }
  const turn = 'event soon end '
  for (let seed = 0; seed < 20; seed++) {
    const sim = new Simulation({ seed, clockSkewMax: 0 })
    const { loop, clock } = sim.runtime('a')
    let order = ''
    for (let i = 0; i < 3; i++) {
      clock.after(1, () => {
        order += 'event '
        loop.later(() => (order += 'later '))
        loop.turnEnd(() => (order += 'end '))
        loop.soon(() => (order += 'soon '))
      })
    }
    await sim.advance(1)
    t.equal(
      order,
      `${turn.repeat(3)}later later later `,
      `no event comes into a turn, nor later before one: ${seed}`,
    )
  }
})

t.test('a loop that never rests takes time, and one that goes in circles at one moment is found', async t => {
  const sim = new Simulation({ seed: 1 })
  const { loop, clock } = sim.runtime('a')
  let turns = 0
  const busy = (): void => {
    turns += 1
    loop.later(busy)
  }
  busy()
  let fired = false
  clock.after(5, () => (fired = true))
  await sim.advance(6)
  t.ok(fired && turns > 1_000, `time passes beside ${turns} turns`)
  const stuck = new Simulation({ seed: 1 })
  const { soon } = stuck.runtime('a').loop
  const circle = (): void => soon(circle)
  circle()
  await t.rejects(stuck.advance(1), /go in circles/)
})

t.test('clocks: skewed by at most 1 %, never early by their own reading, never comparable', async t => {
  for (let seed = 0; seed < 20; seed++) {
    const sim = new Simulation({ seed })
    const { clock } = sim.runtime('a')
    const startMs = clock.now()
    let firedMs = 0
    const dueMs = clock.now() + 1_000.3
    clock.after(1_000.3, () => (firedMs = clock.now()))
    const cleared = clock.after(1_000, () => t.fail('cleared'))
    cleared.clear()
    await sim.advance(1_020)
    if (firedMs < dueMs || firedMs > dueMs + 1) t.fail(`seed ${seed}: due ${dueMs}, fired ${firedMs}`)
    const elapsedMs = clock.now() - startMs
    if (Math.abs(elapsedMs / 1_020 - 1) > 0.0101) t.fail(`seed ${seed}: ${elapsedMs} ms of 1,020`)
  }
  const early: string[] = []
  for (let seed = 0; seed < 20; seed++) {
    const exact = new Simulation({ seed })
    const { clock } = exact.runtime('a')
    const originMs = clock.now()
    await exact.advance(1_024)
    const rate = (clock.now() - originMs) / 1_024
    for (let k = 1; k < 200; k++) {
      const ms = (rate * k) / 64
      const dueMs = clock.now() + ms
      clock.after(ms, () => {
        if (clock.now() < dueMs) early.push(`seed ${seed}, ${ms} ms`)
      })
    }
    await exact.advance(10)
  }
  t.strictSame(early, [], 'not even by a rounding error')
  const sim = new Simulation({ seed: 3 })
  const a = sim.runtime('a')
  const wallMs = a.clock.wallNow()
  sim.node('a').jumpWall(3_600_000)
  t.equal(a.clock.wallNow() - wallMs, 3_600_000)
  t.throws(() => sim.runtime('a'), TypeError, 'one life at a time')
  t.throws(() => a.clock.after(Number.POSITIVE_INFINITY, () => {}), RangeError)
})

t.test(
  'bytes: whatever is written arrives, once and in order, through cuts, spikes and slow links',
  async t => {
    const world = fc.record({
      seed: fc.nat(),
      sizes: fc.array(fc.integer({ min: 0, max: 40_000 }), { minLength: 1, maxLength: 12 }),
      bytesPerMs: fc.constantFrom(50, 1_000, 100_000),
      windowBytes: fc.constantFrom(1_000, 4_096, 65_536),
      spikeRate: fc.constantFrom(0, 0.2),
      spikeMs: fc.constant(40),
      cuts: fc.array(fc.tuple(fc.nat(300), fc.constantFrom('a>b', 'b>a', 'both', 'heal')), { maxLength: 6 }),
    })
    await fc.assert(
      fc.asyncProperty(world, async given => {
        const { sim, near, far } = await pair(given.seed, given)
        for (const [ms, what] of given.cuts) {
          sim.after(ms, () => {
            if (what === 'heal') sim.network.heal()
            else if (what === 'both') sim.network.cut('a', 'b')
            else sim.network.cutOneWay(what[0] ?? '', what[2] ?? '')
          })
        }
        const sent = given.sizes.map((size, i) => Buffer.alloc(size, 97 + i))
        for (const chunk of sent) near.stream.write(Buffer.from(chunk))
        await sim.advance(400)
        sim.network.heal()
        await sim.advance(30_000)
        const all = Buffer.concat(sent).toString('latin1')
        return far.text === all && near.stream.pendingBytes === 0 && near.told.every(line => line === 'drain')
      }),
      { numRuns: 60 },
    )
    t.pass('every time')
  },
)

t.test('a slow reader: write says stop, the window fills, drain comes after it reads again', async t => {
  const { sim, near, far } = await pair(5)
  far.stream.pause()
  let written = 0
  do written += 50_000
  while (near.stream.write(Buffer.alloc(50_000)))
  await sim.advance(60_000)
  t.strictSame([near.told, far.bytes], [[], 0], 'a paused reader gets nothing, for however long')
  t.equal(near.stream.pendingBytes, written - 65_536, 'one window is on its way')
  far.stream.resume()
  await sim.advance(1_000)
  t.strictSame([near.told, far.bytes, near.stream.pendingBytes], [['drain'], written, 0])
})

t.test(
  'a one-way cut: bytes arrive, their acknowledgements do not, and the window stays shut until the heal',
  async t => {
    const { sim, near, far } = await pair(5, { windowBytes: 10_000 })
    sim.network.cutOneWay('b', 'a')
    near.stream.write(Buffer.alloc(25_000))
    far.stream.write(Buffer.from('lost for now'))
    await sim.advance(1_000)
    t.strictSame([far.bytes, near.stream.pendingBytes, near.text], [10_000, 15_000, ''])
    sim.network.heal('a', 'b')
    await sim.advance(3_100)
    t.strictSame([far.bytes, near.stream.pendingBytes, near.text], [25_000, 0, 'lost for now'])
  },
)

t.test(
  'dial: refused by a machine without that listener, unanswered when cut or crashed, given up',
  async t => {
    const sim = new Simulation({ seed: 2 })
    const a = sim.runtime('a')
    const b = sim.runtime('b')
    const ask = async (): Promise<string> => {
      const results = dialFrom(a, 2_000)
      t.equal(results.length, 0, 'never synchronously')
      await sim.advance(2_100)
      t.equal(results.length, 1, 'exactly once')
      const [result] = results
      return result === undefined ? 'nothing' : result.ok ? 'ok' : result.code
    }
    t.equal(await ask(), 'ECONNREFUSED', 'nobody ever listened')
    const listener = await b.transport.listen(AT, () => {})
    t.strictSame(listener.address, AT)
    await t.rejects(
      a.transport.listen(AT, () => {}),
      { code: 'EADDRINUSE' },
    )
    t.equal(await ask(), 'ok')
    sim.network.cutOneWay('b', 'a')
    t.equal(await ask(), 'ETIMEDOUT', 'the answer is lost')
    sim.network.heal()
    await listener.close()
    t.equal(await ask(), 'ECONNREFUSED', 'closed')
    sim.kill('b')
    t.equal(await ask(), 'ECONNREFUSED', 'the process is dead, its machine answers')
    sim.runtime('b')
    sim.crash('b')
    t.equal(await ask(), 'ETIMEDOUT', 'the machine is dead')
    const results: DialResult[] = []
    a.transport.dial(AT, { timeoutMs: 2_000 }, result => void results.push(result))()
    await sim.advance(3_000)
    t.strictSame(results, [{ ok: false, code: 'ECANCELED' }])
  },
)

t.test('dial: a SYN that was lost is sent again and gets through after the heal', async t => {
  const sim = new Simulation({ seed: 4 })
  const a = sim.runtime('a')
  await sim.runtime('b').transport.listen({ host: '0.0.0.0', port: 7001 }, () => {})
  sim.network.cut('a', 'b')
  const results = dialFrom(a, 5_000)
  await sim.advance(900)
  sim.network.heal('a', 'b')
  await sim.advance(200)
  t.equal(results[0]?.ok, true, 'and 0.0.0.0 is reached by the node name')
})

t.test('listeners: port 0 finds a port, a closed one resets who waited in its backlog', async t => {
  const sim = new Simulation({ seed: 4 })
  const a = sim.runtime('a')
  const accepted: Stream[] = []
  const b = sim.runtime('b')
  const listener = await b.transport.listen({ host: 'b', port: 0 }, stream => void accepted.push(stream))
  const results = dialFrom(a, 5_000, listener.address)
  sim.pause('b')
  await sim.runUntil(() => results.length > 0, { limitMs: 100 })
  const [result] = results
  if (result?.ok !== true) return t.fail('the kernel accepts for a paused process')
  const near = new Ear(result.stream)
  await listener.close()
  sim.resume('b')
  await sim.advance(10)
  t.strictSame([accepted.length, near.told], [0, ['close ECONNRESET']])
})

t.test(
  'end: what was written arrives, then both sides close once; nothing is delivered to the ender',
  async t => {
    const { sim, near, far } = await pair(6)
    near.stream.write(Buffer.alloc(300_000, 'x'))
    near.stream.end()
    near.stream.write(Buffer.from('too late'))
    far.stream.write(Buffer.from('unasked'))
    await sim.advance(2_500)
    t.strictSame(
      [near.told, near.bytes, far.told, far.bytes],
      [['close undefined'], 0, ['close undefined'], 300_000],
    )
    t.equal(sim.network.connections, 0)
  },
)

t.test('end: a peer that does not answer is left after the linger', async t => {
  const { sim, near, far } = await pair(6)
  sim.network.cut('a', 'b')
  near.stream.end()
  await sim.advance(2_100)
  t.strictSame([near.told, far.told], [['close undefined'], []])
  sim.network.heal()
  await sim.advance(4_000)
  t.strictSame(far.told, ['close undefined'], 'the end is sent again until it is heard')
})

t.test('destroy: orderly when all was sent, a reset when not', async t => {
  const one = await pair(7)
  one.near.stream.destroy()
  one.near.stream.destroy()
  t.strictSame(one.near.told, [], 'not synchronously')
  await one.sim.advance(10)
  t.strictSame([one.near.told, one.far.told], [['close undefined'], ['close undefined']])
  const two = await pair(7)
  two.near.stream.write(Buffer.alloc(200_000))
  two.near.stream.destroy()
  await two.sim.advance(10)
  t.strictSame([two.near.told, two.far.told], [['close undefined'], ['close ECONNRESET']])
})

t.test('a reset that a cut swallowed is not repeated: the peer learns when it writes', async t => {
  const { sim, near, far } = await pair(7)
  sim.network.cut('a', 'b')
  near.stream.write(Buffer.alloc(200_000))
  near.stream.destroy()
  await sim.advance(1_000)
  sim.network.heal()
  await sim.advance(10_000)
  t.strictSame([near.told, far.told], [['close undefined'], []])
  far.stream.write(Buffer.from('x'))
  await sim.advance(100)
  t.strictSame(far.told, ['close ECONNRESET'])
})

t.test('reset: both ends are told; resetRate does it by chance', async t => {
  const { sim, near, far } = await pair(8)
  sim.network.reset('b', 'a')
  await sim.advance(0)
  t.strictSame([near.told, far.told], [['close ECONNRESET'], ['close ECONNRESET']])
  const frail = await pair(8, { resetRate: 0.05 })
  for (let i = 0; i < 200; i++) {
    frail.near.stream.write(Buffer.from('x'))
    await frail.sim.advance(5)
  }
  t.strictSame([frail.near.told, frail.far.told], [['close ECONNRESET'], ['close ECONNRESET']])
})

t.test('kill: peers see the end at once, and what the dead had handed over still arrives', async t => {
  const { sim, near, far } = await pair(9)
  far.stream.write(Buffer.from('last words'))
  sim.kill('b')
  await sim.advance(10)
  t.strictSame([near.text, near.told, far.told], ['last words', ['close undefined'], []])
})

t.test('crash: silence; the peer learns when it writes and the machine is back', async t => {
  const { sim, near, far } = await pair(10)
  sim.crash('b')
  await sim.advance(10_000)
  t.strictSame(near.told, [], 'half-open')
  near.stream.write(Buffer.from('anybody?'))
  await sim.advance(10_000)
  t.strictSame(near.told, [], 'sent again and again')
  sim.runtime('b')
  await sim.advance(4_000)
  t.strictSame([near.told, far.told], [['close ECONNRESET'], []])
})

t.test('end: what does not leave is given up', async t => {
  const { sim, near } = await pair(6)
  sim.network.cut('a', 'b')
  near.stream.write(Buffer.alloc(300_000))
  near.stream.end()
  await sim.advance(9_900)
  t.strictSame(near.told, [])
  await sim.advance(200)
  t.strictSame([near.told, near.stream.pendingBytes], [['close undefined'], 0])
})

t.test('hang: a connection falls silent for good and tells nobody, and new ones work', async t => {
  const { sim, a, near, far } = await pair(7)
  sim.network.hang('a', 'b')
  near.stream.write(Buffer.from('x'))
  far.stream.write(Buffer.from('y'))
  const results = dialFrom(a)
  await sim.advance(60_000)
  t.strictSame([near.told, near.text, far.told, far.text], [[], '', [], ''])
  t.equal(results[0]?.ok, true)
})

t.test('a slow reader takes one piece at a time, in order, and shuts the window of its peer', async t => {
  const { sim, near, far } = await pair(7)
  sim.network.link('a', 'b', { readMs: 100 })
  near.stream.write(Buffer.alloc(200_000, 'x'))
  near.stream.write(Buffer.from('end'))
  await sim.advance(150)
  t.ok(far.bytes > 0 && far.bytes <= 65_536, `one piece: ${far.bytes}`)
  await sim.advance(120_000)
  t.strictSame([far.bytes, far.text.endsWith('xend')], [200_003, true])
})

t.test(
  'what is given to a stream that has said stop is counted, but for what the same turn still had',
  async t => {
    const { sim, a, near } = await pair(8)
    sim.network.cut('a', 'b')
    const write = (bytes: number): void => void near.stream.write(Buffer.alloc(bytes))
    a.clock.after(1, () => {
      write(200_000)
      write(1_000)
      a.loop.turnEnd(() => write(1_000))
    })
    await sim.advance(10)
    t.equal(sim.network.overrunBytesMax, 0)
    a.clock.after(1, () => write(500))
    await sim.advance(10)
    t.equal(sim.network.overrunBytesMax, 500)
  },
)

t.test('healOneWay mends one direction', async t => {
  const { sim, near, far } = await pair(9)
  sim.network.cut('a', 'b')
  sim.network.healOneWay('a', 'b')
  near.stream.write(Buffer.from('there'))
  far.stream.write(Buffer.from('back'))
  await sim.advance(5_000)
  t.strictSame([far.text, near.text], ['there', ''])
})

t.test(
  'buggify: a place is on for a run or off for it, fires now and then, and not once all is calm',
  async t => {
    const fired = (seed: number, buggify = true): number[] => {
      const sim = new Simulation({ seed, buggify })
      const { buggify: ask } = sim.runtime('a')
      const counts = ['x', 'y'].map(
        site => Array.from({ length: 400 }, () => ask?.(site)).filter(Boolean).length,
      )
      sim.calm()
      return [...counts, Array.from({ length: 50 }, () => ask?.('x')).filter(Boolean).length]
    }
    const all = Array.from({ length: 60 }, (_, seed) => fired(seed))
    const on = all.map(([x = 0]) => x).filter(count => count > 0)
    t.ok(on.length >= 6 && on.length <= 25, `on in a quarter of the runs: ${on.length} of 60`)
    t.ok(
      on.every(count => count > 60 && count < 140),
      `fires one time in four: ${on.join()}`,
    )
    t.ok(
      all.some(([x = 0, y = 0]) => x > 0 !== y > 0),
      'places are drawn one by one',
    )
    t.ok(all.every(([, , calm]) => calm === 0))
    t.strictSame(fired(1), fired(1), 'by seed')
    t.equal(new Simulation({ seed: 1 }).runtime('a').buggify, undefined, 'elsewhere nothing is asked')
  },
)

t.test('a cut that never heals ends the connection after a quarter of an hour of tries', async t => {
  const { sim, near } = await pair(11)
  sim.network.partition(['a'], ['b', 'c'])
  near.stream.write(Buffer.from('x'))
  await sim.advance(900_000)
  t.strictSame(near.told, [])
  await sim.advance(60_000)
  t.strictSame(near.told, ['close ETIMEDOUT'])
})

t.test('pause: events wait, the clock does not, lag tells; a dead life runs nothing more', async t => {
  const { sim, b, near, far } = await pair(12)
  const fired: string[] = []
  b.clock.after(100, () => void fired.push(`timer ${b.loop.lag() >= 2_800}`))
  sim.pause('b')
  near.stream.write(Buffer.from('x'))
  await sim.advance(3_000)
  t.strictSame([fired, far.text], [[], ''])
  sim.resume('b')
  await sim.settle()
  t.strictSame([fired, far.text], [['timer true'], 'x'])
  await sim.advance(200)
  t.equal(b.loop.lag(), 0, 'forgotten')
  b.clock.after(10, () => void fired.push('after death'))
  const release = b.loop.hold()
  t.equal(sim.node('b').holds, 1)
  release()
  release()
  t.equal(sim.node('b').holds, 0)
  sim.kill('b')
  b.loop.soon(() => void fired.push('after death'))
  b.clock.after(10, () => void fired.push('after death'))
  await sim.advance(100)
  t.equal(fired.length, 1)
})

t.test('resolver: literals and nodes are themselves, names as told, others nobody knows', async t => {
  const sim = new Simulation({ seed: 1 })
  const { resolver, host } = sim.runtime('a')
  sim.network.resolve('seeds.local', ['10.0.0.1', '10.0.0.2'])
  t.strictSame(await resolver.lookup('seeds.local'), ['10.0.0.1', '10.0.0.2'])
  t.strictSame([await resolver.lookup('a'), await resolver.lookup('::1')], [['a'], ['::1']])
  await t.rejects(resolver.lookup('nobody'), { code: 'ENOTFOUND' })
  host.warn('careful')
  t.match(sim.log.tail(1)[0], /a warn careful$/)
  t.equal(host.hostname, 'a')
})

/** Runs file operations to their end. */
async function on<T>(sim: Simulation, work: Promise<T>): Promise<T> {
  let settled = false
  const mark = (): void => {
    settled = true
  }
  work.then(mark, mark)
  await sim.runUntil(() => settled, { limitMs: 1_000 })
  return work
}

t.test('disk: a crash leaves what was synced and a prefix of the rest, torn at a sector at most', async t => {
  const write = fc.record({
    append: fc.boolean(),
    size: fc.integer({ min: 0, max: 2_000 }),
    sync: fc.boolean(),
  })
  const seen = { whole: 0, less: 0, torn: 0 }
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.array(write, { maxLength: 6 }), async (seed, writes) => {
      const sim = new Simulation({ seed })
      const { disk } = sim.runtime('a')
      await on(sim, disk.write('/f', Buffer.from('base')))
      await on(sim, disk.sync('/f'))
      let content = 'base'
      let allowed = new Set([content])
      for (const [i, { append, size, sync }] of writes.entries()) {
        const bytes = String.fromCharCode(97 + i).repeat(size)
        const before = append ? content : ''
        await on(sim, append ? disk.append('/f', Buffer.from(bytes)) : disk.write('/f', Buffer.from(bytes)))
        content = before + bytes
        for (let cut = 0; cut <= content.length; cut += 512)
          if (cut >= before.length) allowed.add(content.slice(0, cut))
        allowed.add(content)
        if ((await on(sim, disk.read('/f'))).toString() !== content) return false
        if (sync) {
          await on(sim, disk.sync('/f'))
          allowed = new Set([content])
        }
      }
      sim.crash('a')
      const left = (await on(sim, sim.runtime('a').disk.read('/f'))).toString()
      if (left === content) seen.whole += 1
      else seen.less += 1
      if (left.length > 0 && left.length % 512 === 0) seen.torn += 1
      return allowed.has(left)
    }),
    { numRuns: 150 },
  )
  t.ok(seen.whole > 0 && seen.less > 0 && seen.torn > 0, `all of it happens: ${JSON.stringify(seen)}`)
})

t.test('disk: a rename may be lost until its folder is synced, and is whole or absent', async t => {
  const seen = new Set<string>()
  for (let seed = 0; seed < 60; seed++) {
    const sim = new Simulation({ seed })
    const { disk } = sim.runtime('a')
    await on(sim, disk.makeFolder('/d/e'))
    for (const [name, text] of [
      ['old', 'one'],
      ['new', 'two'],
    ] as const) {
      await on(sim, disk.write(`/d/e/${name}`, Buffer.from(text)))
      await on(sim, disk.sync(`/d/e/${name}`))
    }
    await on(sim, disk.rename('/d/e/new', '/d/e/old'))
    const synced = seed % 2 === 0
    if (synced) await on(sim, disk.syncFolder('/d/e'))
    sim.crash('a')
    const after = sim.runtime('a').disk
    const files = (await on(sim, after.list('/d/e'))).join()
    seen.add(`${synced ? 'synced' : 'unsynced'} ${files} ${await on(sim, after.read('/d/e/old'))}`)
  }
  t.strictSame([...seen].sort(), ['synced old two', 'unsynced new,old one', 'unsynced old two'])
})

t.test(
  'disk: kill keeps everything, a full disk and a failed sync say so and are as bad as real ones',
  async t => {
    const sim = new Simulation({ seed: 1 })
    const { disk } = sim.runtime('a')
    await on(sim, disk.write('/f', Buffer.from('unsynced')))
    sim.kill('a')
    const next = sim.runtime('a').disk
    t.equal((await on(sim, next.read('/f'))).toString(), 'unsynced', 'the page cache outlives the process')
    sim.disk('a').capacityBytes = 10
    await t.rejects(on(sim, next.append('/f', Buffer.from('12345'))), { code: 'ENOSPC' })
    t.equal((await on(sim, next.read('/f'))).toString(), 'unsynced12', 'what fitted is there')
    sim.disk('a').capacityBytes = Number.POSITIVE_INFINITY
    await on(sim, next.sync('/f'))
    await on(sim, next.append('/f', Buffer.from('x')))
    sim.disk('a').failNext('sync')
    await t.rejects(on(sim, next.sync('/f')), { code: 'EIO' })
    await on(sim, next.append('/f', Buffer.from('y')))
    await on(sim, next.sync('/f'))
    t.equal((await on(sim, next.read('/f'))).toString(), 'unsynced12xy', 'still readable')
    sim.crash('a')
    const last = sim.runtime('a').disk
    const left = (await on(sim, last.read('/f'))).toString()
    t.ok(['unsynced12', 'unsynced12x'].includes(left), `a sync after a failed one promises nothing: ${left}`)
    await on(sim, last.remove('/f'))
    await t.rejects(on(sim, last.read('/f')), { code: 'ENOENT' })
    await t.rejects(on(sim, last.write('/none/f', Buffer.from(''))), { code: 'ENOENT' })
  },
)

t.test('a handler that waits for something real is found and named', async t => {
  const sim = new Simulation({ seed: 1 })
  const { clock } = sim.runtime('a')
  const never = new Promise<void>(() => {})
  clock.after(60_000, () => {})
  sim.track(never, 'idle', () => true)
  await sim.advance(10)
  clock.after(1, () => sim.track(new Promise<void>(() => {}), 'counter.get of <a.1>', () => false))
  await t.rejects(sim.advance(10), /seed 1.*counter\.get of <a\.1> escaped/s)
  const idle = new Simulation({ seed: 2 })
  idle.track(new Promise<void>(() => {}), 'the only one')
  await t.rejects(idle.settle(), /the only one escaped/)
  const fine = new Simulation({ seed: 3 })
  const node = fine.runtime('a')
  fine.track(new Promise<void>(resolve => void node.clock.after(5, resolve)), 'a sleeper')
  await fine.advance(10)
  t.pass('one that a simulated effect settles is no escape')
})

t.test('runs fail with seed, time and the last events', async t => {
  const sim = new Simulation({ seed: 42 })
  const { clock } = sim.runtime('a')
  clock.after(1, () => {
    throw new RangeError('broken')
  })
  const error = await sim.advance(5).then(
    () => undefined,
    (e: unknown) => e,
  )
  t.match(error, { message: /seed 42.*an event threw.*a timer t0/s, cause: { message: 'broken' } })
  await t.rejects(
    sim.runUntil(() => false, { limitMs: 10 }),
    /did not hold within 10 ms/,
  )
  const both = Promise.all([sim.advance(1), sim.advance(1)])
  await t.rejects(both, /one run of the simulation at a time/)
})

t.test('disk: a machine dies right before its nth operation; another disk is an empty one', async t => {
  const sim = new Simulation({ seed: 3 })
  const { disk } = sim.runtime('a')
  await on(sim, disk.write('/f', Buffer.from('one')))
  await on(sim, disk.sync('/f'))
  sim.disk('a').beforeOperation(2, () => sim.crash('a'))
  const told: string[] = []
  void disk.append('/f', Buffer.from('two')).then(() => told.push('appended'))
  await sim.advance(10)
  void disk.sync('/f').then(() => told.push('synced'))
  await sim.advance(10)
  t.strictSame([told, sim.node('a').alive], [['appended'], false])
  t.match((await on(sim, sim.runtime('a').disk.read('/f'))).toString(), /^one(two)?$/)
  sim.kill('a')
  sim.wipe('a')
  await t.rejects(on(sim, sim.runtime('a').disk.read('/f')), { code: 'ENOENT' })
})
