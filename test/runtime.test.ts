/** The real edge, on loopback and in a folder of its own: what the rooms above rely on. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import type { DialResult, Runtime, Stream } from '../lib/base/runtime.js'
import { rejectionMode } from '../lib/runtime/host.js'
import { createRealRuntime } from '../lib/runtime/real-runtime.js'
import { TcpTransport } from '../lib/runtime/tcp-transport.js'
import { SimClock } from '../lib/sim/sim-clock.js'

const runtime: Runtime = createRealRuntime()
const { clock, loop, random, transport, disk } = runtime

// Timers of ours keep no process alive, and some tests wait for nothing else.
const release = loop.hold()
t.teardown(release)

const dial = (port: number, host = '127.0.0.1', timeoutMs = 5_000): Promise<DialResult> =>
  new Promise(resolve => transport.dial({ host, port }, { timeoutMs }, resolve))

/** Records what a stream tells, and lets a test wait for a line of it. */
class Ear {
  readonly told: string[] = []
  bytes = Buffer.alloc(0)
  #wake: (() => void) | undefined

  constructor(stream: Stream) {
    stream.open({
      data: chunk => {
        this.bytes = Buffer.concat([this.bytes, chunk])
        this.#tell('data')
      },
      drain: () => this.#tell('drain'),
      close: code => this.#tell(`close ${code}`),
    })
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>(resolve => (this.#wake = resolve))
  }

  closed(): Promise<void> {
    return this.until(() => this.told.some(line => line.startsWith('close')))
  }

  #tell(line: string): void {
    if (line !== 'data' || this.told.at(-1) !== 'data') this.told.push(line)
    this.#wake?.()
  }
}

/** Two connected streams: what was dialled and what was accepted. */
async function pair(t: Test, host = '127.0.0.1'): Promise<{ near: Stream; far: Stream }> {
  let accepted: (stream: Stream) => void = () => {}
  const far = new Promise<Stream>(resolve => (accepted = resolve))
  const listener = await transport.listen({ host, port: 0 }, stream => accepted(stream))
  const result = await dial(listener.address.port, host)
  if (!result.ok) throw new Error(`could not dial: ${result.code}`)
  const streams = { near: result.stream, far: await far }
  t.teardown(async () => {
    streams.near.destroy()
    streams.far.destroy()
    await listener.close()
  })
  return streams
}

t.test('clock: a timer never fires synchronously and never early', async t => {
  const waits = [0, 0.3, 1, 1.7, 3, 5.5]
  const early = await Promise.all(
    waits.map(
      ms =>
        new Promise<string | undefined>(resolve => {
          let sync = true
          const dueMs = clock.now() + ms
          clock.after(ms, () => resolve(sync ? 'sync' : clock.now() < dueMs ? `${ms} early` : undefined))
          sync = false
        }),
    ),
  )
  t.strictSame(
    early,
    waits.map(() => undefined),
    'all of them in time',
  )
  // libuv cuts its idea of now down to whole milliseconds: a timer set late in one would come early.
  const shifted: Promise<boolean>[] = []
  for (let i = 0; i < 40; i++) {
    const startMs = clock.now()
    while (clock.now() - startMs < 0.1);
    const dueMs = clock.now() + 5
    shifted.push(new Promise(resolve => clock.after(5, () => resolve(clock.now() >= dueMs))))
  }
  t.equal(
    (await Promise.all(shifted)).every(inTime => inTime),
    true,
    'whatever fraction of a millisecond it is',
  )
})

t.test('clock: a timer above 2^31 ms waits, and a cleared one never fires', async t => {
  const fired: string[] = []
  const long = clock.after(2 ** 40, () => fired.push('long'))
  const cleared = clock.after(0, () => fired.push('cleared'))
  cleared.clear()
  cleared.clear()
  await new Promise<void>(resolve => clock.after(3, resolve))
  t.strictSame(fired, [], 'neither fired')
  long.clear()
  t.throws(() => clock.after(Number.NaN, () => {}), RangeError)
  t.throws(() => clock.after(-1, () => {}), RangeError)
})

t.test('loop: soon comes before turnEnd when asked from a drain, and later comes last', async t => {
  const order: string[] = []
  await new Promise<void>(resolve => {
    loop.soon(() => {
      loop.later(() => {
        order.push('later')
        resolve()
      })
      loop.turnEnd(() => order.push('turnEnd'))
      loop.soon(() => order.push('soon'))
      order.push('now')
    })
  })
  t.strictSame(order, ['now', 'soon', 'turnEnd', 'later'])
})

t.test('loop: lag shows a stall before the timers had their turn', async t => {
  loop.lag()
  const startMs = clock.now()
  while (clock.now() - startMs < 250);
  t.ok(loop.lag() >= 100, 'the stall is seen while it lasts')
})

t.test('random: floats lie in [0, 1) and differ, bytes have the length asked for', async t => {
  const drawn = Array.from({ length: 2_000 }, () => random.float())
  t.equal(
    drawn.every(x => x >= 0 && x < 1),
    true,
    'all in range',
  )
  t.equal(new Set(drawn).size, 2_000, 'no draw repeats across pools')
  t.equal(random.bytes(6).length, 6)
  t.not(
    Buffer.from(random.fork('a').bytes(16)).toString('hex'),
    Buffer.from(random.bytes(16)).toString('hex'),
  )
})

for (const way of ['one by one', 'three at once'] as const)
  t.test(
    `transport: bytes written ${way} arrive whole and in order, and a refused write is followed by drain`,
    async t => {
      const { near, far } = await pair(t)
      const sender = new Ear(near)
      const receiver = new Ear(far)
      far.pause()
      const sent: Buffer[] = []
      while (sent.length < 4_096) {
        const chunk = Buffer.alloc(16 * 1_024, sent.length % 251)
        const chunks = way === 'one by one' ? [chunk] : [chunk, Buffer.from('between'), Buffer.from(chunk)]
        sent.push(...chunks)
        if (!(way === 'one by one' ? near.write(chunk) : near.writeAll(chunks))) break
      }
      t.ok(near.pendingBytes > 64 * 1_024, 'what the peer does not read stays with us, counted')
      t.strictSame(sender.told, [], 'nothing is told from inside write')
      far.resume()
      await sender.until(() => sender.told.includes('drain'))
      t.equal(near.pendingBytes, 0, 'drain means that all was handed over')
      const all = Buffer.concat(sent)
      await receiver.until(() => receiver.bytes.length >= all.length)
      t.ok(receiver.bytes.equals(all), 'same bytes')
    },
  )

t.test('transport: end sends what was written, then both sides close once and in order', async t => {
  const { near, far } = await pair(t)
  const a = new Ear(near)
  const b = new Ear(far)
  near.write(Buffer.alloc(1_000_000, 7))
  near.end()
  near.write(Buffer.from('too late'))
  far.write(Buffer.from('unasked'))
  await Promise.all([a.closed(), b.closed()])
  t.equal(b.bytes.length, 1_000_000, 'every byte written before end arrived')
  t.strictSame(a.told, ['close undefined'], 'after its end nothing is delivered to the ender')
  t.strictSame(b.told, ['data', 'close undefined'])
  t.equal(far.write(Buffer.from('x')), true, 'writing to a closed stream does nothing')
})

t.test('transport: destroy with unsent bytes resets: what stands in the kernels is dropped too', async t => {
  const { near, far } = await pair(t)
  const a = new Ear(near)
  const b = new Ear(far)
  far.pause()
  let written = 64 * 1_024
  while (near.write(Buffer.alloc(64 * 1_024))) written += 64 * 1_024
  near.destroy()
  near.destroy()
  t.strictSame(a.told, [], 'not synchronously')
  await a.closed()
  far.resume()
  await b.closed()
  t.strictSame(a.told, ['close undefined'], 'who destroys hears of an orderly close, once')
  // A reader that was paused sees a reset as ECONNRESET or as an end, depending on the kernel; the bytes tell.
  t.ok(b.bytes.length < written / 2, 'a plain close would have delivered what the kernels held')
})

t.test('transport: a stream that is closed before it is opened tells so after open', async t => {
  const { near, far } = await pair(t)
  const b = new Ear(far)
  near.destroy()
  await b.closed()
  const a = new Ear(near)
  t.strictSame(a.told, [], 'not synchronously')
  await a.closed()
  t.strictSame(a.told, ['close undefined'])
  t.throws(() => near.open({ data() {}, drain() {}, close() {} }), TypeError)
})

t.test('transport: a stream says nothing before open, and nothing is lost', async t => {
  const { near, far } = await pair(t)
  near.open({ data() {}, drain() {}, close() {} })
  near.write(Buffer.from('early'))
  near.end()
  const probe = await pair(t)
  const echo = new Ear(probe.far)
  probe.near.write(Buffer.from('x'))
  await echo.until(() => echo.bytes.length === 1)
  const b = new Ear(far)
  await b.closed()
  t.strictSame([b.bytes.toString(), b.told], ['early', ['data', 'close undefined']])
})

t.test('transport: a half-closed peer is closed from our side too', async t => {
  const sockets: Socket[] = []
  let streams: Stream | undefined
  const listener = await transport.listen({ host: '127.0.0.1', port: 0 }, stream => {
    streams = stream
    stream.open({ data() {}, drain() {}, close() {} })
  })
  const ended = new Promise<void>(resolve => {
    const socket = connect({ host: '127.0.0.1', port: listener.address.port, allowHalfOpen: true })
    sockets.push(socket)
    socket.on('end', resolve).resume()
    socket.end()
  })
  await ended
  t.ok(streams !== undefined, 'it was accepted')
  sockets[0]?.destroy()
  await listener.close()
})

t.test(
  'stream: what was written before the end has ten seconds to leave, whether it is read or not',
  async t => {
    const sockets: Socket[] = []
    const server = createServer(socket => {
      socket.pause()
      socket.on('error', () => {})
      sockets.push(socket)
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const slow = new SimClock()
    const dialled = await new Promise<DialResult>(resolve =>
      new TcpTransport(slow, () => {}).dial({ host: '127.0.0.1', port }, { timeoutMs: 1_000 }, resolve),
    )
    if (!dialled.ok) return t.fail(dialled.code)
    const near = new Ear(dialled.stream)
    dialled.stream.write(Buffer.alloc(32 * 1_048_576))
    dialled.stream.end()
    slow.advance(9_999)
    await new Promise(resolve => setImmediate(resolve))
    t.strictSame(near.told, [])
    slow.advance(1)
    await near.closed()
    t.strictSame(near.told, ['close undefined'])
    for (const socket of sockets) socket.destroy()
    server.close()
  },
)

t.test('transport: nobody listening is told apart from nobody answering and from giving up', async t => {
  const listener = await transport.listen({ host: '127.0.0.1', port: 0 }, () => {})
  const { port } = listener.address
  await listener.close()
  t.strictSame(await dial(port), { ok: false, code: 'ECONNREFUSED' })
  const slow = new SimClock()
  const unanswered = new Promise(resolve =>
    new TcpTransport(slow, () => {}).dial({ host: '127.0.0.1', port }, { timeoutMs: 1_500 }, resolve),
  )
  slow.advance(1_500)
  t.strictSame(await unanswered, { ok: false, code: 'ETIMEDOUT' })
  const results: DialResult[] = []
  await new Promise<void>(resolve => {
    const giveUp = transport.dial({ host: '127.0.0.1', port }, { timeoutMs: 1_000 }, result => {
      results.push(result)
      resolve()
    })
    giveUp()
    giveUp()
    t.strictSame(results, [], 'not synchronously')
  })
  t.strictSame(results, [{ ok: false, code: 'ECANCELED' }])
})

t.test(
  'transport: a port can be taken once, and is free when close resolves, though streams live on',
  async t => {
    const accepted: Stream[] = []
    const first = await transport.listen({ host: '127.0.0.1', port: 0 }, stream => accepted.push(stream))
    await t.rejects(
      transport.listen(first.address, () => {}),
      { code: 'EADDRINUSE' },
    )
    const dialled = await dial(first.address.port)
    if (!dialled.ok) return t.fail(dialled.code)
    const near = new Ear(dialled.stream)
    await first.close()
    const second = await transport.listen(first.address, () => {})
    t.strictSame(second.address, first.address)
    accepted[0]?.write(Buffer.from('still here'))
    await near.until(() => near.bytes.length > 0)
    t.equal(near.bytes.toString(), 'still here')
    dialled.stream.destroy()
    for (const stream of accepted) stream.destroy()
    await second.close()
  },
)

t.test('transport: IPv6 works, and addresses are those of both ends', async t => {
  const hasIpv6 = await new Promise<boolean>(resolve => {
    const server = createServer().once('error', () => resolve(false))
    server.listen(0, '::1', () => server.close(() => resolve(true)))
  })
  const { near, far } = await pair(t, hasIpv6 ? '::1' : '127.0.0.1')
  t.strictSame([near.remote, near.local], [far.local, far.remote])
  t.equal(near.remote.host, hasIpv6 ? '::1' : '127.0.0.1')
})

t.test('resolver: gives addresses, and a name nobody has is an error with a code', async t => {
  t.strictSame(await runtime.resolver.lookup('127.0.0.1'), ['127.0.0.1'])
  await t.rejects(runtime.resolver.lookup('no.such.host.invalid'), { code: /ENOTFOUND|EAI_AGAIN/ })
})

t.test(
  'disk: what was written, appended, renamed and removed is there, with errno codes where it is not',
  async t => {
    const home = mkdtempSync(join(tmpdir(), 'troupe-disk-'))
    t.teardown(() => rmSync(home, { recursive: true }))
    const folder = join(home, 'a', 'b')
    await disk.makeFolder(folder)
    await disk.makeFolder(folder)
    const path = (name: string): string => join(folder, name)
    await disk.write(path('x'), Buffer.from('one'))
    await disk.append(path('x'), Buffer.from(' two'))
    await disk.sync(path('x'))
    await disk.rename(path('x'), path('y'))
    await disk.append(path('new'), Buffer.from('made'))
    await disk.syncFolder(folder)
    t.strictSame(await disk.list(folder), ['new', 'y'])
    t.equal((await disk.read(path('y'))).toString(), 'one two')
    await disk.write(path('y'), Buffer.from('short'))
    t.equal((await disk.read(path('y'))).toString(), 'short', 'write truncates')
    await disk.remove(path('y'))
    await t.rejects(disk.read(path('y')), { code: 'ENOENT' })
    await t.rejects(disk.sync(path('y')), { code: 'ENOENT' })
    await t.rejects(disk.write(join(home, 'none', 'x'), Buffer.from('x')), { code: 'ENOENT' })
  },
)

t.test('host: the flag for unhandled rejections is read as Node reads it', async t => {
  t.strictSame(
    [
      rejectionMode([], undefined),
      rejectionMode(['--unhandled-rejections=warn'], '--unhandled-rejections=none'),
      rejectionMode(['--unhandled-rejections', 'none'], undefined),
      rejectionMode(['--expose-gc'], '--expose-gc --unhandled-rejections=strict'),
    ],
    ['throw', 'warn', 'none', 'strict'],
  )
})

/** Runs a script in a process of its own, with `host` and `other`, the hosts of two nodes. */
function run(script: string, ...flags: string[]): Promise<{ code: number | null; out: string; err: string }> {
  const door = fileURLToPath(new URL('../lib/runtime/real-runtime.js', import.meta.url))
  const prelude = `import { createRealRuntime } from ${JSON.stringify(door)}
    const { host, loop, clock } = createRealRuntime(); const other = createRealRuntime().host;`
  return new Promise(resolve => {
    const child = spawn(process.execPath, [...flags, '--input-type=module', '-e', prelude + script])
    const seen = { out: '', err: '' }
    child.stdout.on('data', chunk => (seen.out += chunk))
    child.stderr.on('data', chunk => (seen.err += chunk))
    child.on('close', code => resolve({ code, ...seen }))
  })
}

t.test(
  'host: a rejection is swallowed when any node takes it, and crashes as Node does when none does',
  async t => {
    const hooks = `host.onUnhandledRejection(() => false)
    other.onUnhandledRejection(reason => { console.log('asked', String(reason)); return reason === 'mine' });`
    const alive = `setTimeout(() => console.log('alive'), 1);`
    const [taken, foreign, listened, removed, quiet] = await Promise.all([
      run(`${hooks} ${alive} Promise.reject('mine')`),
      run(`${hooks} ${alive} Promise.reject(new RangeError('not theirs'))`),
      run(
        `${hooks} ${alive} process.on('unhandledRejection', r => console.log('app', r)); Promise.reject('theirs')`,
      ),
      run(`const off = host.onUnhandledRejection(() => true); off(); off()
         console.log(process.listenerCount('unhandledRejection')); Promise.reject('nobody')`),
      run(`${hooks} ${alive} Promise.reject('x')`, '--unhandled-rejections=none'),
    ])
    t.strictSame(taken, { code: 0, out: 'asked mine\nalive\n', err: '' }, 'taken by the second node')
    t.equal(foreign.code, 1, 'nobody took it: the process dies')
    t.match(foreign.err, /RangeError: not theirs/, 'with the reason')
    t.strictSame(
      [listened.code, listened.out],
      [0, 'asked theirs\napp theirs\nalive\n'],
      'the application took it',
    )
    t.strictSame([removed.code, removed.out], [1, '0\n'], 'a removed hook leaves no listener behind')
    t.strictSame([quiet.code, quiet.out], [0, 'asked x\nalive\n'], 'the flag of the user counts')
  },
)

t.test('host: timers and lag keep no process alive, later runs, hold holds until it is released', async t => {
  const ends = await run(`clock.after(2 ** 40, () => {}); loop.lag(); loop.later(() => console.log('later'))`)
  t.strictSame(ends, { code: 0, out: 'later\n', err: '' })
  const held = await run(`const release = loop.hold()
    clock.after(20, () => { console.log('held'); release(); release() })`)
  t.strictSame(held, { code: 0, out: 'held\n', err: '' })
})

t.test('host: a warning is one line on standard error', async t => {
  t.strictSame(await run(`host.warn('a\\nb')`), { code: 0, out: '', err: 'a\\nb\n' })
})
