/** Looking into running processes, naming those that hold the loop, and the workbench for users' tests. */
import t, { type Test } from 'tap'
import type { From } from '../lib/actor/api.js'
import type { TraceEvent } from '../lib/actor/debug.js'
import { defineActor } from '../lib/actor/define.js'
import { estimateBytes } from '../lib/actor/estimate.js'
import type { Logger } from '../lib/base/log.js'
import { crashText } from '../lib/node/reports.js'
import { fits } from '../lib/sim/pattern.js'
import { child } from '../lib/supervisor/child-spec.js'
import { startSupervisor, supervisor } from '../lib/supervisor/supervisor.js'
import { createProbe, createTestMesh, createTestNode, type TestNodeOptions } from '../lib/testing.js'

async function testNode(t: Test, options: TestNodeOptions = {}) {
  const world = await createTestNode(options)
  t.teardown(() => world.stop())
  return world
}

const counter = defineActor('counter', {
  init: (start: number) => ({ value: start, secret: 'hunter2' }),
  calls: {
    add: (state, by: number) => (state.value += by),
    get: state => state.value,
    never: (_state, _: void, ctx) => ctx.later<number>(),
    wait: (state, until: Promise<unknown>) => until.then(by => (state.value += Number(by))),
    fail: (_state, reason: Error) => {
      throw reason
    },
  },
  casts: {
    set(state, value: number) {
      state.value = value
    },
  },
  info() {},
  inspect: ({ value }) => ({ value }),
})

t.test('getState', async t => {
  const { node, settle } = await open(t)

  t.test('comes in its turn, so it sees the effect of what was sent before', async t => {
    const ref = await node.spawn(counter, 1)
    ref.cast('set', 7)
    t.strictSame(await node.debug.getState(ref), { value: 7 })
    ref.cast('set', 8)
    t.strictSame(await node.debug.getState(ref.pid), { value: 8 })
    t.equal(node.stats().counters['process.timers'], 0, 'no timer stays behind')
  })

  t.test('goes through `inspect`, unless it is asked for raw', async t => {
    const ref = await node.spawn(counter, 1, { name: 'visits' })
    t.strictSame(await node.debug.getState('visits'), { value: 1 })
    const raw = await node.debug.getState('visits', { raw: true })
    t.strictSame(raw, { value: 1, secret: 'hunter2' })
    t.equal(await node.debug.getState(ref, { raw: true }), raw, 'the state itself, no copy')
  })

  t.test('of a supervisor shows its children, and names a failing `inspect`', async t => {
    const tree = await startSupervisor(node, { children: [child(counter, { args: 1 })] })
    t.match(await node.debug.getState(tree), [{ id: 'counter', definition: 'counter' }])
    await tree.stop()
    const broken = defineActor('broken', {
      init: () => ({}),
      inspect: () => {
        throw new Error('no')
      },
    })
    t.match(await node.debug.getState(await node.spawn(broken)), /^inspect failed: .*no/)
  })

  t.test('rejects for the dead, the busy, oneself and those without a state', async t => {
    const ref = await node.spawn(counter, 1)
    await t.rejects(node.debug.getState('nobody'), { code: 'ERR_NOPROC' })
    const busy = ref.call('wait', new Promise(() => {})).catch(() => {})
    const late = node.debug.getState(ref, { timeoutMs: 50 })
    await t.rejects(Promise.all([late, settle(50)]), {
      code: 'ERR_TIMEOUT',
      message: /did not come to it within 50 ms: it is waiting with call "wait" in hand/,
    })
    const aborted = new AbortController()
    const left = node.debug.getState(ref, { signal: aborted.signal })
    aborted.abort(new Error('enough'))
    await t.rejects(left, { message: 'enough' })
    await t.rejects(
      node.debug.getState(ref, { signal: aborted.signal }),
      { message: 'enough' },
      'before it begins',
    )
    const ended = node.debug.getState(ref)
    node.exit(ref.pid, 'kill')
    await t.rejects(ended, { code: 'ERR_EXIT', detail: { reason: 'killed' } })
    await busy
    await t.rejects(node.debug.getState(ref), { code: 'ERR_NOPROC' })
    const fn = node.run(self => self.receive())
    await t.rejects(node.debug.getState(fn), { code: 'ERR_UNKNOWN_TAG', message: /process function/ })
    const selfish = defineActor('selfish', {
      init: () => ({}),
      calls: { look: (_state, _: void, ctx) => ctx.node.debug.getState(ctx.self) },
    })
    const own = await node.spawn(selfish)
    await t.rejects(own.call('look'), { code: 'ERR_EXIT', detail: { reason: { code: 'ERR_CALLING_SELF' } } })
  })

  t.test('refuses what is no process, and unknown options', async t => {
    await t.rejects(node.debug.getState(7 as never), {
      name: 'TypeError',
      message: /a pid, a ref or a name, got 7/,
    })
    await t.rejects(node.debug.getState('x', { row: true } as never), { message: /unknown option "row"/ })
  })
})

t.test('replaceState puts an object in place, and harms nobody when it cannot', async t => {
  const { node, settle } = await open(t)
  const ref = await node.spawn(counter, 1)
  await node.debug.replaceState(ref, { value: 5, secret: '' })
  t.equal(await ref.call('get'), 5)
  await node.debug.replaceState(ref, (state: { value: number }) => ({ ...state, value: state.value + 1 }))
  t.equal(await ref.call('get'), 6)
  await node.debug.replaceState(ref, (state: { value: number }) => {
    state.value = 7
  })
  t.equal(await ref.call('get'), 7, 'undefined keeps the object')
  const failing = (): never => {
    throw new RangeError('no')
  }
  await t.rejects(node.debug.replaceState(ref, failing), { name: 'RangeError', message: 'no' })
  await t.rejects(node.debug.replaceState(ref, 5 as never), {
    name: 'TypeError',
    message: /an object or a function, got 5/,
  })
  for (const wrong of [5, null, Promise.resolve({})])
    await t.rejects(node.debug.replaceState(ref, (() => wrong) as never), {
      code: 'ERR_PAYLOAD',
      message: /expected an object, got (5|null|a promise)$/,
    })
  t.equal(await ref.call('get'), 7, 'unharmed')
  const tree = await startSupervisor(node, { children: [] })
  await t.rejects(node.debug.replaceState(tree, { value: 1 }), {
    code: 'ERR_PAYLOAD',
    message: /expected a \w+, as the state is, got an object with key "value"/,
  })
  await tree.stop()
  let go = (_by: number): void => {}
  const busy = ref.call('wait', new Promise<number>(resolve => (go = resolve)))
  const late = node.debug.replaceState(ref, { value: 0 }, { timeoutMs: 10 })
  await t.rejects(Promise.all([late, settle(10)]), { code: 'ERR_TIMEOUT' })
  go(0)
  await busy
  t.equal(await ref.call('get'), 7, 'who gave up changes nothing any more')
})

t.test('suspend', async t => {
  const { node, world, settle } = await open(t)

  t.test('mail queues and calls time out, until resume lets it go on in order', async t => {
    const ref = await node.spawn(counter, 0)
    node.debug.trace(ref)
    ref.cast('set', 1)
    await node.debug.suspend(ref)
    t.strictSame(await node.debug.getState(ref), { value: 1 }, 'what was sent before has been handled')
    const late = ref.call('add', 1, { timeoutMs: 10 })
    const kept = [ref.call('add', 10), ref.call('add', 100)]
    await t.rejects(Promise.all([late, settle(10)]), { code: 'ERR_TIMEOUT' })
    t.match(node.debug.info(ref), { status: 'suspended', mailbox: 3 })
    t.strictSame(await node.debug.getState(ref), { value: 1 }, 'debugging goes past what waits')
    await node.debug.replaceState(ref, { value: 5, secret: '' })
    await node.debug.suspend(ref)
    await node.debug.resume(ref)
    t.strictSame(await Promise.all(kept), [16, 116], 'the call that timed out has run')
    t.equal(node.debug.info(ref)?.status, 'idle')
    await node.debug.resume(ref)
    await node.debug.suspend(ref)
    t.strictSame(await node.debug.getState(ref), { value: 116 }, 'as often as one likes')
  })

  t.test('an exit, a stop and a parent end it all the same', async t => {
    const log: unknown[] = []
    const stubborn = defineActor('stubborn', {
      init: (_: void, ctx) => {
        ctx.trapExit(true)
        return {}
      },
      info: (_state, signal) => void log.push(signal.type),
      terminate: (_state, reason) => log.push(reason),
    })
    const plain = await node.spawn(counter, 0)
    await node.debug.suspend(plain)
    node.exit(plain.pid, 'boom')
    t.equal(node.isAlive(plain.pid), false, 'an exit signal')

    const stopped = await node.spawn(stubborn)
    await node.debug.suspend(stopped)
    stopped.send('before')
    await stopped.stop('enough')
    t.strictSame(log.splice(0), ['enough'], 'a stop goes past the mail')

    let orphan: typeof stopped | undefined
    const parent = node.run(async self => {
      orphan = await self.spawn(stubborn, undefined, { link: true })
      await self.receive()
    })
    await world.settle()
    await node.debug.suspend(orphan!)
    orphan!.send('before')
    node.exit(orphan!.pid, 'from a stranger')
    await world.settle()
    t.strictSame(log, [], 'an exit signal that is trapped is mail')
    node.exit(parent, 'shutdown')
    await world.settle()
    t.strictSame(log, ['shutdown'], 'the exit of its parent, which is no mail')
    t.equal(node.isAlive(orphan!.pid), false)
  })

  t.test('holds a process function from the next message on', async t => {
    const heard: unknown[] = []
    const pid = node.run(async self => {
      for (;;) heard.push(await self.receive(message => message !== 'skip'))
    })
    node.send(pid, 'one')
    node.send(pid, 'skip')
    await node.debug.suspend(pid)
    node.send(pid, 'two')
    await world.settle()
    t.strictSame(heard, ['one'])
    t.match(node.debug.info(pid), { status: 'suspended', mailbox: 2 })
    await node.debug.resume(pid)
    await world.settle()
    t.strictSame(heard, ['one', 'two'])
    t.match(node.debug.info(pid), { status: 'idle', mailbox: 1, reductions: 3 })
  })

  t.test('leaves a handler that waits alone, and takes its turn behind it', async t => {
    const ref = await node.spawn(counter, 0)
    let go = (_by: number): void => {}
    const waiting = ref.call('wait', new Promise<number>(resolve => (go = resolve)))
    const suspended = node.debug.suspend(ref)
    await world.settle()
    t.equal(node.debug.info(ref)?.status, 'waiting')
    go(3)
    t.equal(await waiting, 3)
    await suspended
    t.equal(node.debug.info(ref)?.status, 'suspended')
  })

  t.test('a stopping node does not wait for it', async t => {
    const { node, world } = await open(t)
    const ref = await node.spawn(counter, 0)
    await node.debug.suspend(ref)
    ref.cast('set', 1)
    await world.run(node.stop({ drainMs: 60_000 }), { limitMs: 100 })
    t.pass('it has stopped')
  })
})

t.test('debugging goes past the limits of a mailbox, and touches no timeout of the actor', async t => {
  const { node, world } = await open(t, { limits: { mailboxMax: 2 } })
  const told: string[] = []
  const patient = defineActor('patient', {
    init: () => ({}),
    casts: { arm: (_state, ms: number, ctx) => ctx.timeout(ms) },
    info: (_state, signal) => void told.push(signal.type),
  })
  const ref = await node.spawn(patient)
  ref.cast('arm', 100)
  const first = node.debug.getState(ref)
  await first
  await world.advance(99)
  await node.debug.getState(ref)
  t.strictSame(told, [])
  await world.advance(1)
  t.strictSame(told, ['timeout'])
  await node.debug.suspend(ref)
  t.strictSame(
    ['a', 'b', 'c'].map(text => ref.send(text)),
    ['ok', 'ok', 'full'],
  )
  t.strictSame(await node.debug.getState(ref), {})
})

t.test('trace', async t => {
  const { node, world } = await open(t)
  const collect = async (events: AsyncIterable<TraceEvent>): Promise<unknown[]> => {
    const seen: unknown[] = []
    for await (const { type, tag, payload, mailbox } of events) seen.push([type, tag, payload, mailbox])
    return seen
  }

  t.test('shows messages as they are handled, and ends with the process', async t => {
    const ref = await node.spawn(counter, 0)
    ref.cast('set', 1)
    await world.settle()
    const trace = node.debug.trace(ref)
    const seen = collect(trace)
    ref.cast('set', 2)
    ref.send('hello')
    t.equal(await ref.call('add', 3), 5)
    await node.debug.getState(ref)
    await ref.stop('shutdown')
    t.strictSame(await seen, [
      ['cast', 'set', 2, 2],
      ['message', undefined, 'hello', 1],
      ['call', 'add', 3, 0],
      ['call', '$stop', 'shutdown', 0],
      ['ended', undefined, 'shutdown', 0],
    ])
    t.equal(trace.dropped, 0)
  })

  t.test('keeps the newest for a slow reader, and counts what it dropped', async t => {
    const ref = await node.spawn(counter, 0)
    const trace = node.debug.trace(ref, { bufferMax: 2 })
    for (const value of [1, 2, 3, 4]) ref.cast('set', value)
    await world.settle()
    trace.stop()
    ref.cast('set', 5)
    t.strictSame(await collect(trace), [
      ['cast', 'set', 3, 1],
      ['cast', 'set', 4, 0],
    ])
    t.equal(trace.dropped, 2)
  })

  t.test('ends when its reader leaves, or its signal aborts; nothing stays behind', async t => {
    const ref = await node.spawn(counter, 0)
    const trace = node.debug.trace(ref)
    ref.cast('set', 1)
    for await (const { tag } of trace) {
      t.equal(tag, 'set')
      break
    }
    ref.cast('set', 2)
    await world.settle()
    t.strictSame(await collect(trace), [])
    const gone = new AbortController()
    const seen = collect(node.debug.trace(ref, { signal: gone.signal }))
    gone.abort()
    t.strictSame(await seen, [])
    t.strictSame(await collect(node.debug.trace(ref, { signal: AbortSignal.abort() })), [])
    for (let i = 0; i < 16; i++) node.debug.trace(ref)
    t.throws(() => node.debug.trace(ref), { name: 'RangeError', message: /16 traces/ })
    t.match(node.stats().counters, { 'process.traces': 16, 'process.traces.dropped': 2 })
    node.exit(ref.pid, 'kill')
    t.equal(node.stats().counters['process.traces'], 0)
    t.throws(() => node.debug.trace('nobody'), { code: 'ERR_NOPROC' })
    t.throws(() => node.debug.trace(ref, { bufferMax: 0 }), { name: 'RangeError', message: /bufferMax/ })
  })

  t.test('of a process function shows what it takes', async t => {
    const pid = node.run(async self => {
      const first = await self.receive(message => message === 'second')
      await self.receive(message => message === 'end')
      return first
    })
    await world.settle()
    const seen = collect(node.debug.trace(pid))
    node.send(pid, 'first')
    node.send(pid, 'second')
    await world.settle()
    node.send(pid, 'end')
    t.strictSame(await seen, [
      ['message', undefined, 'second', 1],
      ['message', undefined, 'end', 1],
      ['ended', undefined, 'normal', 0],
    ])
  })
})

t.test('info tells of one process what there is to know', async t => {
  const { node, world } = await open(t)
  const probe = await world.probe()
  const ref = await probe.self.spawn(counter, 0, { name: 'visits', link: true })
  await node.register('here', ref.pid, { scope: 'node' })
  probe.self.monitor(ref.pid)
  t.strictSame(node.debug.info('visits'), {
    pid: ref.pid,
    definition: 'counter',
    names: ['here', 'visits'],
    status: 'idle',
    parent: probe.pid,
    mailbox: 0,
    current: undefined,
    reductions: 1,
    trapsExits: false,
    links: [probe.pid],
    monitors: [],
    monitoredBy: [probe.pid],
    timers: 0,
    memoryBytes: 24 + 16 + 16 + 7,
  })
  const busy = ref.call('wait', new Promise(() => {})).catch(() => {})
  ref.send('x'.repeat(1_000))
  probe.self.sendAfter(1_000, ref.pid, 'later')
  await world.settle()
  t.match(node.debug.info(ref), {
    status: 'waiting',
    mailbox: 1,
    reductions: 2,
    current: { type: 'call', tag: 'wait', from: probe.pid, payload: Promise },
    timers: 1,
    memoryBytes: 24 + 16 + 16 + 7 + 16 + 1_000,
  })
  t.match(node.debug.info(probe.pid), {
    definition: undefined,
    status: 'waiting',
    trapsExits: true,
    links: [ref.pid],
    monitors: [ref.pid],
    parent: undefined,
  })
  node.exit(ref.pid, 'kill')
  await busy
  t.equal(node.debug.info(ref), undefined)
  t.equal(node.debug.info('visits'), undefined)
  const held = defineActor('held', { init: () => new Promise<object>(() => {}) })
  void node.spawn(held, undefined, { name: 'held', scope: 'node' }).catch(() => {})
  t.equal(node.debug.info('held')?.status, 'starting')
  await world.settle()
  t.equal(node.debug.info('held')?.status, 'starting')
})

t.test('memory is estimated without running the code of what is measured', async t => {
  const touched: string[] = []
  const shared = { text: 'x'.repeat(100) }
  const awkward = {
    get bad() {
      touched.push('getter')
      return 1
    },
  }
  const wall = new Proxy(
    {},
    {
      ownKeys: () => {
        throw new Error('no')
      },
    },
  )
  t.equal(estimateBytes([shared, shared]), 24 + 8 + 116, 'once')
  t.equal(estimateBytes([Buffer.alloc(1_000)]), 1_100)
  t.equal(estimateBytes([new Map([['a', 1n]])]), 24 + 40 + 17 + 24)
  t.equal(estimateBytes([awkward, wall]), 24 + 8 + 24)
  t.strictSame(touched, [])
  const long: { next?: object } = {}
  for (let i = 0, last = long; i < 20_000; i++) last = last.next = {}
  t.equal(estimateBytes([long]), 10_000 * 32, 'at most 10,000 values')
})

t.test('crash ends any process as a fault of its own', async t => {
  const { node, world } = await open(t)
  const probe = await world.probe()
  const ref = await node.spawn(counter, 1)
  probe.self.monitor(ref.pid)
  const error = new Error('drill')
  world.crash(ref, error)
  await probe.expect({ type: 'down', pid: ref.pid, reason: error })
  t.match(world.crashes, [{ pid: ref.pid, definition: 'counter', reason: error, state: { value: 1 } }])
  const trapping = await world.probe()
  probe.self.link(trapping.pid)
  world.crash(trapping.pid, 'boom')
  await probe.expect({ type: 'exit', pid: trapping.pid, reason: 'boom' })
  t.throws(() => world.crash(ref, 'again'), { code: 'ERR_NOPROC' })
})

t.test('a logger that throws costs its line, and nothing else', async t => {
  const broken = (): never => {
    throw new Error('the disk is full')
  }
  const { node } = await open(t, { logger: { debug: broken, info: broken, warn: broken, error: broken } })
  const [ref, other] = [await node.spawn(counter, 1), await node.spawn(counter, 2)]
  await t.rejects(ref.call('fail', new Error('boom')), { code: 'ERR_EXIT' })
  t.match(await node.debug.getState(other), { value: 2 })
})

t.test('crash reports', async t => {
  const lines: string[] = []
  const line = (text: string): void => void lines.push(text)
  const logger: Logger = { debug() {}, info() {}, warn: line, error: line }
  const { node, world } = await open(t, { logger })

  t.test('show state past inspect, last message, stack and what caused it', async t => {
    const ref = await node.spawn(counter, 1, { name: 'visits' })
    const reason = new Error('outer', { cause: new TypeError('inner') })
    await t.rejects(ref.call('fail', reason), { code: 'ERR_EXIT' })
    await world.settle()
    const report = world.crashes[0]
    t.match(report, { name: 'visits', definition: 'counter', tag: 'fail', reason, lastMessage: reason })
    t.strictSame(report?.state, { value: 1 })
    const [text] = lines.splice(0)
    t.match(text, /^process <a\.[0-9a-f]{12}\.\d+> "visits" of counter crashed: Error: outer\n {4}at /)
    t.match(text, /\n {2}caused by: TypeError: inner\n {4}at /)
    t.match(text, /\n {2}handling: fail\n {2}message: .*\n {2}state: \{"value":1\}$/)
    t.notMatch(text, /hunter2/)
  })

  t.test('of a handler that returned its state by mistake do not show it past inspect', async t => {
    const careless = defineActor('careless', {
      init: () => ({ secret: 'hunter2' }),
      casts: { touch: (state => state) as (state: { secret: string }) => void },
      inspect: () => 'nothing to see',
    })
    ;(await node.spawn(careless)).cast('touch')
    await world.settle()
    t.strictSame(world.crashes.at(-1)?.reason, { bad_return_value: 'nothing to see' })
    t.notMatch(lines.splice(0).join(), /hunter2/)
  })

  t.test('survive an inspect and an error that throw', async t => {
    const broken = defineActor('broken', {
      init: () => ({}),
      calls: {
        fail: () => {
          throw Object.defineProperty(new Error('odd'), 'stack', {
            get: () => {
              throw new Error('no stack')
            },
          })
        },
      },
      inspect: () => {
        throw new Error('no state')
      },
    })
    await t.rejects((await node.spawn(broken)).call('fail'), { code: 'ERR_EXIT' })
    t.match(lines.splice(0), [
      /of broken crashed: "Error: odd"\n {2}handling: fail\n {2}state: "inspect failed: .*no state/,
    ])
    const report = {
      pid: node.self,
      name: undefined,
      definition: 'x',
      tag: undefined,
      lastMessage: undefined,
    }
    const endless = new Error('a')
    endless.cause = endless
    const text = crashText({ ...report, reason: endless, state: undefined })
    t.equal(text.match(/caused by: Error: a/g)?.length, 3)
  })

  t.test('of a process function show what it took last', async t => {
    const pid = node.run(async self => {
      await self.receive()
      throw new Error('spilt')
    })
    node.send(pid, { cup: 1 })
    await world.settle()
    t.match(world.crashes.at(-1), { pid, definition: undefined, lastMessage: { cup: 1 }, state: undefined })
    t.match(lines.splice(0), [/crashed: Error: spilt[\s\S]*message: \{"cup":1\}$/])
  })

  t.test('show no arguments of an init that is not over as a state', async t => {
    const starting = defineActor('starting', {
      init: async (_password: string, ctx) => {
        ctx.node.debug.crash(ctx.self, 'drill')
        await new Promise(() => {})
        return {}
      },
      inspect: state => state,
    })
    await t.rejects(node.spawn(starting, 'hunter2'), { code: 'ERR_START' })
    t.match(world.crashes.at(-1), { definition: 'starting', reason: 'drill', state: undefined })
    t.notMatch(lines.splice(0).join(), /hunter2/)
  })
})

t.test('the tree of processes: by parent, in the order of their age, supervisors in theirs', async t => {
  const { node, world } = await open(t)
  const outline = (): unknown[] => {
    const lines: unknown[] = []
    const walk = (branches: ReturnType<typeof node.tree>, depth: number): void => {
      for (const { children, id, type, definition, names, status, mailbox } of branches) {
        lines.push([depth, id, type, definition, names.join(), status, mailbox])
        walk(children, depth + 1)
      }
    }
    walk(node.tree(), 0)
    return lines
  }
  const alone = await node.spawn(counter, 0, { name: 'alone' })
  const top = await startSupervisor(node, {
    children: [
      child(supervisor({ children: [child(counter, { id: 'deep', args: 0 })] }), { id: 'inner' }),
      child(counter, { id: 'first', args: 0, name: 'first', scope: 'node' }),
      child(counter, { id: 'second', args: 0 }),
    ],
  })
  const parent = node.run(async self => {
    self.run(inner => inner.receive(), { link: true })
    self.run(inner => inner.receive())
    await self.spawn(counter, 0, { link: true })
    await self.receive()
  })
  await world.settle()
  await node.debug.suspend(alone)
  alone.cast('set', 1)
  const expected = [
    [0, undefined, 'worker', 'counter', 'alone', 'suspended', 1],
    [0, undefined, 'supervisor', 'supervisor', '', 'idle', 0],
    [1, 'inner', 'supervisor', 'supervisor', '', 'idle', 0],
    [2, 'deep', 'worker', 'counter', '', 'idle', 0],
    [1, 'first', 'worker', 'counter', 'first', 'idle', 0],
    [1, 'second', 'worker', 'counter', '', 'idle', 0],
    [0, undefined, 'worker', undefined, '', 'idle', 0],
    [1, undefined, 'worker', undefined, '', 'idle', 0],
    [1, undefined, 'worker', 'counter', '', 'idle', 0],
    [0, undefined, 'worker', undefined, '', 'idle', 0],
  ]
  t.strictSame(outline(), expected)
  node.exit(node.whereis('first')!.pid, 'boom')
  await world.settle()
  t.strictSame(outline(), expected, 'a child that was started again keeps its place')
  node.exit(parent, 'boom')
  await top.stop()
  t.strictSame(
    node.tree().map(({ pid, children }) => [pid, children.length]),
    [
      [alone.pid, 0],
      [node.tree()[1]?.pid, 0],
    ],
    'those that were linked are gone',
  )
})

t.test('the watchdog', async t => {
  const busy = defineActor('busy', {
    init: (spend: (ms: number) => void, ctx) => {
      if (ctx.node.name === 'slow-start') spend(200)
      return { spend }
    },
    calls: {
      work: ({ spend }, ms: number) => spend(ms),
    },
    casts: { work: ({ spend }, ms: number) => spend(ms) },
    info: ({ spend }, signal) => {
      if (signal.type === 'message') spend(Number(signal.message))
    },
  })
  const set = async (t: Test, options: TestNodeOptions = {}) => {
    const lines: string[] = []
    const line = (text: string): void => void lines.push(text)
    const world = await testNode(t, {
      logger: { debug() {}, info() {}, warn: line, error: line },
      ...options,
    })
    const overruns: object[] = []
    world.node.on('process:overrun', event => overruns.push(event))
    const ref = await world.node.spawn(busy, ms => world.clock.advance(ms), { name: 'mill' })
    return { ...world, node: world.node, world, lines, overruns, ref }
  }

  t.test('names the process, its definition, the message and the time', async t => {
    const { world, lines, overruns, ref } = await set(t)
    await ref.call('work', 99)
    t.strictSame(overruns, [])
    await ref.call('work', 100)
    ref.cast('work', 250)
    ref.send(1_000)
    ref.cast('work', 300)
    await world.settle()
    const who = { pid: ref.pid, name: 'mill', definition: 'busy' }
    t.strictSame(overruns, [
      { ...who, type: 'call', tag: 'work', ms: 100 },
      { ...who, type: 'cast', tag: 'work', ms: 250 },
      { ...who, type: 'message', tag: undefined, ms: 1_000 },
      { ...who, type: 'cast', tag: 'work', ms: 300 },
    ])
    t.strictSame(
      lines.map(text => text.replace(/<[^>]+>/, 'PID')),
      [
        'process PID "mill" of busy held the event loop for 100 ms handling call "work"',
        'process PID "mill" of busy held the event loop for 1000 ms handling message',
        'process PID "mill" of busy held the event loop for 300 ms handling cast "work" (and 1 more like it since the last line)',
      ],
      'one line a second for each cause',
    )
  })

  t.test('blames nobody for what runs between handlers', async t => {
    const { overruns, ref, world } = await set(t)
    await ref.call('work', 0)
    world.clock.advance(500)
    await ref.call('work', 0)
    await world.settle()
    t.strictSame(overruns, [])
  })

  t.test('names a slow init', async t => {
    const { overruns } = await set(t, { name: 'slow-start' })
    t.match(overruns, [{ definition: 'busy', type: 'init', tag: undefined, ms: 200 }])
  })

  t.test('has its limit from watchdogMs, and is off with 0 or false', async t => {
    for (const [watchdogMs, told] of [
      [10, 1],
      [0, 0],
      [false, 0],
    ] as const) {
      const { overruns, ref, world } = await set(t, { watchdogMs })
      await ref.call('work', 10)
      await world.settle()
      t.equal(overruns.length, told, `${watchdogMs}`)
    }
    await t.rejects(createTestNode({ watchdogMs: -1 }), { name: 'RangeError', message: /watchdogMs/ })
    await t.rejects(createTestNode({ watchdogMs: 'no' as never }), {
      name: 'TypeError',
      message: /watchdogMs.*or false/,
    })
  })

  t.test('in a long turn nobody is named, but who does it next', async t => {
    const { overruns, ref, world, node } = await set(t)
    const unnamed = (): number => node.stats().counters['process.overruns.unnamed'] as number
    for (let i = 0; i < 500; i++) ref.cast('work', i === 200 || i === 450 ? 150 : 0)
    await world.settle()
    t.equal(unnamed(), 1)
    t.match(overruns, [{ pid: ref.pid, tag: 'work', ms: 150 }])
    t.equal(overruns.length, 1)
  })
})

t.test('processes of other nodes', async t => {
  const mesh = await createTestMesh({ nodes: 2, seed: 3, actors: [counter] })
  t.teardown(() => mesh.stop())
  const { debug } = mesh.node('a')
  const ref = await mesh.run(mesh.node('a').spawn(counter, 1, { on: 'b', name: 'visits' }))

  t.test('show their state, are given another, are suspended and resumed', async t => {
    t.strictSame(await mesh.run(debug.getState('visits')), { value: 1 }, 'past inspect, always')
    await mesh.run(debug.replaceState(ref, { value: 5 }))
    t.equal(await mesh.run(ref.call('get')), 5)
    await mesh.run(debug.suspend(ref))
    await t.rejects(mesh.run(ref.call('get')), { code: 'ERR_TIMEOUT' })
    await mesh.run(debug.resume(ref))
    t.equal(await mesh.run(ref.call('get')), 5)
  })

  t.test('a state that cannot cross is refused, and its process lives', async t => {
    const odd = mesh.node('b').run(async self => {
      await self.receive()
    })
    await t.rejects(mesh.run(debug.getState(odd)), { code: 'ERR_UNKNOWN_TAG' })
    await mesh.run(mesh.node('b').debug.replaceState(ref, { value: () => 1 }))
    await t.rejects(mesh.run(debug.getState(ref)), { code: 'ERR_PAYLOAD' })
    await mesh.run(mesh.node('b').debug.replaceState(ref, { value: 2 }))
    t.strictSame(await mesh.run(debug.getState(ref)), { value: 2 })
  })

  t.test('the rest is for their own node', async t => {
    const wrong = { name: 'TypeError', message: /expected a process of a, got <b\..*ask for it on that node/ }
    t.throws(() => debug.info(ref), wrong)
    t.throws(() => debug.trace(ref), wrong)
    t.throws(() => debug.crash(ref, 'boom'), wrong)
    await t.rejects(debug.getState(ref, { raw: true }), wrong)
    await t.rejects(
      debug.replaceState(ref, () => ({})),
      wrong,
    )
  })

  t.test('a probe of a mesh moves the time of all', async t => {
    const probe = await mesh.probe('a')
    probe.self.monitor(ref.pid)
    mesh.crash('b')
    const down = await probe.expect({ type: 'down', reason: 'noconnection' }, { timeoutMs: 30_000 })
    t.match(down, { pid: ref.pid })
  })
})

t.test('probes', async t => {
  const { node, world } = await open(t)

  t.test('give the first message that fits, and leave the others', async t => {
    const probe = await world.probe({ name: 'till' })
    node.send('till', { type: 'paid', amount: 5 })
    node.send(probe.pid, 'noise')
    node.send('till', { type: 'paid', amount: 50, by: 'card' })
    const paid = await probe.expect<{ by: string }>({ type: 'paid', amount: (n: number) => n > 9 })
    t.equal(paid.by, 'card')
    await probe.expect(/^noi/)
    await probe.expect({ amount: 5 })
    await probe.expectNone()
  })

  t.test('answer calls, hear casts, and are told of exits and downs', async t => {
    const probe = await world.probe()
    const asker = node.run(async self => {
      self.link(probe.pid)
      const address = node.whereis('probed')!
      address.cast('note' as never, 1 as never)
      self.exit((await address.call('price' as never, 'tea' as never)) as unknown)
    })
    await node.register('probed', probe.pid, { scope: 'node' })
    await probe.expect({ type: 'cast', tag: 'note', payload: 1 })
    const { from } = await probe.expect<{ from: From }>({ type: 'call', tag: 'price', payload: 'tea' })
    from.reply('shutdown')
    t.match(await probe.expect({ type: 'exit' }), { pid: asker, reason: 'shutdown' })
  })

  t.test('wait on the clock of their world, and say what came instead', async t => {
    const probe = await world.probe({ timeoutMs: 60_000 })
    const { clock } = world
    const startMs = clock.now()
    probe.self.sendAfter(59_000, probe.pid, 'late')
    await probe.expect('late')
    t.equal(clock.now() - startMs, 59_000)
    await t.rejects(probe.expect('never', { timeoutMs: 10 }), {
      message: "expected 'never' within 10 ms, got nothing",
    })
    node.send(probe.pid, { type: 'paid', amount: 5 })
    node.send(probe.pid, 'noise')
    await t.rejects(probe.expect({ type: 'paid', amount: 6 }, { timeoutMs: 10 }), {
      name: 'ProbeError',
      message: `expected { type: 'paid', amount: 6 } within 10 ms, got:\n  { type: 'paid', amount: 5 }\n  'noise'`,
    })
    await t.rejects(probe.expectNone(), {
      message: `expected nothing within 100 ms, got { type: 'paid', amount: 5 }`,
    })
    await probe.expectNone({ type: 'paid' }, { withinMs: 5 })
    await t.rejects(probe.expectNone('noise'), {
      message: "expected nothing like 'noise' within 100 ms, got 'noise'",
    })
    for (let i = 0; i < 25; i++) node.send(probe.pid, i)
    await t.rejects(probe.expect('x', { timeoutMs: 1 }), { message: /got 5 older messages and:\n {2}5\n/ })
  })

  t.test('end when they are told, and stand on any node', async t => {
    const probe = await createProbe(node)
    node.send(probe.pid, 1)
    await probe.expect(1)
    probe.stop()
    await world.settle()
    t.equal(node.isAlive(probe.pid), false)
    t.strictSame(world.crashes, [])
    await t.rejects(createProbe(node, { nmae: 'x' } as never), { message: /probe: unknown option "nmae"/ })
  })

  t.test('patterns', async t => {
    const fitting: [unknown, unknown][] = [
      [{ a: { b: 1 } }, { a: { b: 1, c: 2 }, d: 3 }],
      [
        [1, { a: 1 }],
        [1, { a: 1, b: 2 }],
      ],
      [/^x/, 'xy'],
      [(n: number) => n > 1, 2],
      [node.self, node.self],
      [new Map([['a', 1]]), new Map([['a', 1]])],
      [new Error('x'), new Error('x')],
      [Number.NaN, Number.NaN],
      [undefined, undefined],
      [{ a: undefined }, { a: undefined }],
    ]
    const unfitting: [unknown, unknown][] = [
      [{ a: 1 }, { a: 2 }],
      [{ a: undefined }, {}],
      [{ a: 1 }, null],
      [[1], [1, 2]],
      [[1], { 0: 1, length: 1 }],
      [/^x/, 7],
      [() => 'yes', 1],
      [node.self, { ...node.self }],
      [new Map([['a', 1]]), new Map([['a', 2]])],
      [new Error('x'), new Error('y')],
      [0, -0],
    ]
    t.strictSame(
      fitting.filter(([pattern, value]) => !fits(pattern, value)),
      [],
    )
    t.strictSame(
      unfitting.filter(([pattern, value]) => fits(pattern, value)),
      [],
    )
  })
})

t.test('a test node', async t => {
  t.test('has time that moves when told, timer by timer', async t => {
    const { node, world } = await open(t)
    const beats: number[] = []
    node.run(async self => {
      self.sendEvery(1_000, self.self, 'beat')
      for (;;) {
        await self.receive()
        beats.push(world.clock.now())
      }
    })
    await world.advance(3_500)
    t.strictSame(beats, [1_000, 2_000, 3_000])
    const ref = await node.spawn(counter, 0)
    await t.rejects(world.run(ref.call('never', undefined, { timeoutMs: 7_000 })), { code: 'ERR_TIMEOUT' })
    t.ok(world.clock.now() >= 10_500)
  })

  t.test('says when a promise does not come', async t => {
    const { node, world } = await open(t)
    await t.rejects(world.run(new Promise(() => {})), { message: /no timer is left/ })
    node.run(self => {
      self.sendEvery(1_000, self.self, 'beat')
      return new Promise(() => {})
    })
    await t.rejects(world.run(new Promise(() => {}), { limitMs: 5_000 }), { message: /within 5000 ms/ })
  })

  t.test('copies or freezes local mail where that is asked for', async t => {
    const keeper = defineActor('keeper', {
      init: () => ({ kept: undefined as unknown }),
      calls: {
        keep: (state, value: object) => {
          state.kept = value
          return value
        },
      },
    })
    const value = { list: [1] }
    for (const [options, same, frozen] of [
      [{}, true, false],
      [{ serializeLocal: true }, false, false],
      [{ freezeLocal: true }, true, true],
    ] as const) {
      const { node } = await open(t, options)
      const ref = await node.spawn(keeper)
      const given = structuredClone(value)
      await ref.call('keep', given)
      const { kept } = (await node.debug.getState(ref)) as { kept: typeof value }
      t.strictSame([kept === given, Object.isFrozen(kept.list)], [same, frozen], JSON.stringify(options))
    }
    const { node } = await open(t, { serializeLocal: true })
    const ref = await node.spawn(keeper)
    await t.rejects(
      ref.call('keep', () => 1),
      { code: 'ERR_PAYLOAD' },
    )
    await node.debug.replaceState(ref, () => ({ kept: () => 1 }))
    t.match(await node.debug.getState(ref), { kept: Function }, 'debugging itself copies nothing')
  })

  t.test(
    'keeps crashes and dead letters, floating rejections among them; pids are the same in every run',
    async t => {
      const { node, world } = await open(t)
      const pid = node.run(async self => {
        void Promise.reject(new Error('floating'))
        await self.receive()
      })
      await world.settle()
      node.send(pid, 'hello')
      await world.settle()
      t.match(world.crashes, [{ pid, reason: { message: 'floating' } }])
      t.match(world.deadLetters, [{ to: pid, message: 'hello', why: 'noproc' }])
      const other = await open(t)
      t.equal(String(other.node.self), String(node.self))
      t.not(String((await open(t, { seed: 2 })).node.self), String(node.self))
      await t.rejects(createTestNode({ seed: -1 }), { message: /seed/ })
    },
  )
})

async function open(t: Test, options: TestNodeOptions = {}) {
  const world = await testNode(t, options)
  return { world, node: world.node, settle: (ms: number) => world.advance(ms) }
}
