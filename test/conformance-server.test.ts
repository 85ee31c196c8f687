/**
 * What a gen_server promises about starting, calls, casts, continue, timeouts, terminate and stop, one subtest per rule,
 * through the public API alone. Where one event loop or one language cannot do the same, the title says what stands
 * instead.
 */
import t from 'tap'
import type { Signal } from '../lib/actor/api.js'
import type { Pid } from '../lib/base/ids.js'
import {
  type ActorRef,
  createNode,
  defineActor,
  type MultiCallOptions,
  multiCall,
  type TroupeError,
} from '../lib/index.js'
import { createTestMesh } from '../lib/testing.js'
import { bareNode } from './support/bare-node.js'
import { gate, plain, puppet, reasonOf, refusal, tell, watch } from './support/puppet.js'

// --- gs-start -------------------------------------------------------------------------------------------------------

t.test('gs-start-001: a start whose init returns a state gives the process', async t => {
  const { node } = await bareNode(t)
  const server = defineActor('server', { init: (n: number) => ({ n }), calls: { get: state => state.n } })
  const ref = await node.spawn(server, 7)
  t.ok(node.isAlive(ref.pid), 'alive')
  t.equal(await ref.call('get'), 7, 'with the state that init gave')
})

t.test(
  "gs-start-002: a start whose init ignores fails with the reason 'ignore', and no name or message is left",
  async t => {
    const { node } = await bareNode(t)
    const server = defineActor('server', { init: (_: void, ctx) => ctx.ignore() })
    const caller = puppet(node, { trapExit: true })
    const { code, detail } = await refusal(
      caller.ask(self => self.spawn(server, undefined, { name: 'n', scope: 'node', link: true })),
    )
    t.strictSame([code, detail['reason']], ['ERR_START', 'ignore'], 'told')
    t.equal(node.whereis('n'), undefined, 'the name is free')
    t.strictSame(await caller.mail(), [], 'no exit message')
  },
)

t.test(
  'gs-start-003: a start whose init stops fails with its reason, and the name is free by then',
  async t => {
    const { node } = await bareNode(t)
    const server = defineActor('server', { init: (_: void, ctx) => ctx.stop({ r: 1 }) })
    const { code, detail } = await refusal(node.spawn(server, undefined, { name: 'n', scope: 'node' }))
    t.strictSame([code, detail['reason']], ['ERR_START', { r: 1 }], 'told')
    t.equal(node.whereis('n'), undefined, 'the name is free')
  },
)

t.test('gs-start-004: a start whose init raises fails with that error, stack and all', async t => {
  const { node } = await bareNode(t)
  const oops = new Error('oops')
  const server = defineActor('server', {
    init: (): { n: number } => {
      throw oops
    },
  })
  const { code, detail } = await refusal(node.spawn(server))
  t.strictSame([code, detail['reason']], ['ERR_START', oops], 'told')
  t.match((detail['reason'] as Error).stack, /oops/, 'with its stack')
})

t.test('gs-start-005: a start whose init returns no object fails with bad_return_value', async t => {
  const { node } = await bareNode(t)
  for (const value of [undefined, null, 5, 'state']) {
    const server = defineActor('server', { init: () => value as unknown as object })
    const { code, detail } = await refusal(node.spawn(server))
    t.strictSame([code, detail['reason']], ['ERR_START', { bad_return_value: value }], String(value))
  }
})

t.test(
  'gs-start-006: an init that takes longer than the timeout is killed, and leaves the caller no message',
  async t => {
    const { node, clock } = await bareNode(t)
    for (const trapExit of [true, false]) {
      const begun = gate()
      let pid: Pid | undefined
      const server = defineActor('server', {
        init: async (_: void, ctx) => {
          pid = ctx.self
          begun.open()
          await new Promise(() => {})
          return {}
        },
      })
      const options = { link: true, name: 'n', scope: 'node', timeoutMs: 20 } as const
      const caller = puppet(node, { trapExit })
      const refused = refusal(caller.ask(self => self.spawn(server, undefined, options)))
      await begun.opened
      clock.advance(20)
      const { code, detail } = await refused
      t.strictSame([code, detail['reason']], ['ERR_START', 'timeout'], `told${trapExit ? ', trapping' : ''}`)
      t.equal(node.isAlive(pid!), false, 'the process is gone')
      t.equal(node.whereis('n'), undefined, 'the name is free')
      t.strictSame(await caller.mail(), [], 'no exit message, and the caller lives')
    }
  },
)

t.test(
  'gs-start-007: a start under a name that is taken fails with its holder, and init never runs',
  async t => {
    for (const scope of ['node', 'cluster'] as const) {
      const { node } = await bareNode(t)
      let inits = 0
      const server = defineActor('server', { init: () => ({ n: ++inits }) })
      const holder = await node.spawn(server, undefined, { name: 'n', scope })
      const caller = puppet(node, { trapExit: true })
      const { code, detail } = await refusal(
        caller.ask(self => self.spawn(server, undefined, { name: 'n', scope, link: true })),
      )
      t.strictSame([code, detail['pid']], ['ERR_ALREADY_STARTED', holder.pid], `told who, scope ${scope}`)
      t.strictSame(
        node.processes().map(({ pid, definition, names, links }) => ({ pid, definition, names, links })),
        [
          { pid: holder.pid, definition: 'server', names: ['n'], links: 0 },
          { pid: caller.pid, definition: undefined, names: [], links: 0 },
        ],
        'the holder keeps the name, nobody is linked and nothing is left of the start',
      )
      node.exit(holder.pid, 'kill')
      t.strictSame(await caller.mail(), [], 'no exit message, then or when the holder dies')
      t.equal(inits, 1, 'init ran once in all, and not later either')
    }
  },
)

t.test('gs-start-008: init finds its own name registered', async t => {
  const { node } = await bareNode(t)
  const server = defineActor('server', {
    init: (_: void, ctx) => ({ isMe: ctx.whereis('n')?.pid === ctx.self }),
    calls: { isMe: state => state.isMe },
  })
  t.equal(await (await node.spawn(server, undefined, { name: 'n', scope: 'node' })).call('isMe'), true)
})

// --- gs-call --------------------------------------------------------------------------------------------------------

t.test(
  'gs-call-001: a call that waits too long fails, its server lives on, and the late reply never shows',
  async t => {
    const { node, clock } = await bareNode(t)
    const [begun, go] = [gate(), gate()]
    const server = defineActor('server', {
      init: () => ({ done: 0 }),
      calls: {
        slow: async state => {
          begun.open()
          await go.opened
          state.done += 1
          return 'late'
        },
        done: state => state.done,
      },
    })
    const ref = await node.spawn(server)
    const caller = puppet(node)
    const refused = refusal(caller.ask(self => self.call(ref, 'slow', undefined, { timeoutMs: 50 })))
    await begun.opened
    clock.advance(50)
    t.equal((await refused).code, 'ERR_TIMEOUT', 'fails')
    t.ok(node.isAlive(ref.pid), 'the server lives')
    go.open()
    t.equal(await ref.call('done'), 1, 'and has done the work')
    t.strictSame(await caller.mail(), [], 'no late reply')
  },
)

t.test('gs-call-002: a call to a dead server fails with noproc', async t => {
  const { node } = await bareNode(t)
  const server = defineActor('server', { init: () => ({}), calls: { ping: () => 'pong' } })
  const ref = await node.spawn(server)
  t.equal(await ref.call('ping'), 'pong', 'alive')
  node.exit(ref.pid, 'kill')
  t.equal((await refusal(ref.call('ping'))).code, 'ERR_NOPROC', 'from outside')
  t.equal(
    (await refusal(puppet(node).ask(self => self.call(ref, 'ping')))).code,
    'ERR_NOPROC',
    'from a process',
  )
})

t.test('gs-call-003: a server that calls itself is told so', async t => {
  const { node } = await bareNode(t)
  const inner = defineActor('server', { init: () => ({}), calls: { ping: () => 'pong' } })
  const server = defineActor('server', {
    init: () => ({}),
    calls: {
      ping: () => 'pong',
      callMyself: async (_state, me: ActorRef<typeof inner>, ctx) =>
        (await refusal(ctx.call(me, 'ping'))).code,
    },
  })
  const ref = await node.spawn(server)
  t.equal(await ref.call('callMyself', ref as unknown as ActorRef<typeof inner>), 'ERR_CALLING_SELF')
  t.equal(await ref.call('ping'), 'pong', 'and goes on')
})

t.test('gs-call-004: a call in progress fails with killed when its server is killed', async t => {
  const { node } = await bareNode(t)
  const begun = gate()
  const server = defineActor('server', {
    init: () => ({}),
    calls: {
      hang: () => {
        begun.open()
        return new Promise<void>(() => {})
      },
    },
  })
  const ref = await node.spawn(server)
  const refused = refusal(ref.call('hang'))
  await begun.opened
  node.exit(ref.pid, 'kill')
  const { code, detail } = await refused
  t.strictSame([code, detail['reason']], ['ERR_EXIT', 'killed'])
})

/** An actor that notes what its terminate is told. */
const noting = () => {
  const terminated: unknown[] = []
  const oops = new Error('oops')
  const server = defineActor('noting', {
    init: (trapExit: boolean, ctx) => {
      ctx.trapExit(trapExit)
      return { seen: [] as unknown[] }
    },
    calls: {
      stopAndReply: (_state, reason: unknown, ctx) => {
        ctx.stop(reason)
        return 'bye'
      },
      stopSilently: (_state, reason: unknown, ctx) => {
        ctx.stop(reason)
        return ctx.later<never>()
      },
      raise: () => {
        throw oops
      },
      raiseLater: async () => {
        await null
        throw oops
      },
      seen: state => state.seen,
    },
    casts: {
      note: (state, what: string) => void state.seen.push(what),
      stop: (_state, reason: { reason: unknown }, ctx) => ctx.stop(reason.reason),
    },
    info: (state, signal: Signal) => void state.seen.push(plain(signal)),
    terminate: (state, reason) => void terminated.push({ reason, seen: [...state.seen] }),
  })
  return { server, terminated, oops }
}

t.test(
  'gs-call-005: a handler that stops and returns a value replies; terminate runs; the down has the reason',
  async t => {
    const { node } = await bareNode(t)
    const { server, terminated } = noting()
    const ref = await node.spawn(server, false)
    const { down } = await watch(node, ref.pid)
    t.equal(await ref.call('stopAndReply', 'shutdown' as never), 'bye', 'the reply')
    t.equal((await down).reason, 'shutdown', 'the down')
    t.strictSame(terminated, [{ reason: 'shutdown', seen: [] }], 'terminate')
  },
)

t.test('gs-call-006: a handler that stops without a reply fails its caller with the reason', async t => {
  const { node } = await bareNode(t)
  const { server, terminated } = noting()
  const { code, detail } = await refusal(
    (await node.spawn(server, false)).call('stopSilently', 'boom' as never),
  )
  t.strictSame([code, detail['reason']], ['ERR_EXIT', 'boom'], 'the caller')
  t.strictSame(terminated, [{ reason: 'boom', seen: [] }], 'terminate')
})

t.test(
  'gs-call-007: a handler that raises fails its caller with the error, terminates with it and ends with it',
  async t => {
    const { node } = await bareNode(t)
    for (const tag of ['raise', 'raiseLater'] as const) {
      const { server, terminated, oops } = noting()
      const ref = await node.spawn(server, false)
      const { down } = await watch(node, ref.pid)
      const { code, detail } = await refusal(ref.call(tag))
      t.strictSame([code, detail], ['ERR_EXIT', { pid: ref.pid, tag, reason: oops }], `the caller, ${tag}`)
      t.equal(detail['reason'], oops, 'with the very error')
      t.equal((await down).reason, oops, 'the end')
      t.strictSame(terminated, [{ reason: oops, seen: [] }], 'terminate')
    }
  },
)

t.test(
  'gs-call-008: a reply that cannot cross nodes (for a garbage return) is bad_return_value to caller and server',
  async t => {
    const { node } = await bareNode(t, { serializeLocal: true })
    const server = defineActor('server', {
      init: () => ({}),
      calls: { garbage: () => () => 'a function cannot cross' },
    })
    const ref = await node.spawn(server)
    // Orders to a puppet are closures, which this node does not let pass.
    const placed = gate()
    const down = new Promise<unknown>(told => {
      node.run(async self => {
        self.monitor(ref.pid)
        placed.open()
        told(await self.receive())
      })
    })
    await placed.opened
    const { code, detail } = await refusal(ref.call('garbage'))
    t.equal(code, 'ERR_EXIT', 'the caller')
    t.match(detail['reason'], { bad_return_value: 'a function' }, 'with the reason')
    t.match(await down, { reason: detail['reason'] }, 'the server ends with it')
  },
)

t.test('gs-call-009: a call whose handler replies later may be answered by another process', async t => {
  const { node } = await bareNode(t)
  const [clerk, caller] = [puppet(node), puppet(node)]
  const [begun, go] = [gate(), gate()]
  const server = defineActor('server', {
    init: () => ({}),
    calls: {
      pass: (_state, what: string, ctx) => {
        const { from } = ctx
        tell(node, clerk.pid, async () => {
          begun.open()
          await go.opened
          from.reply(`${what}, by the clerk`)
        })
        return ctx.later<string>()
      },
      ping: () => 'pong',
    },
  })
  const ref = await node.spawn(server)
  let answered = false
  const answer = caller
    .ask(self => self.call(ref, 'pass', 'done'))
    .finally(() => {
      answered = true
    })
  await begun.opened
  t.equal(await ref.call('ping'), 'pong', 'the server goes on meanwhile')
  t.equal(answered, false, 'no answer yet')
  go.open()
  t.equal(await answer, 'done, by the clerk')
  t.strictSame(await caller.mail(), [], 'and nothing besides')
})

t.test(
  'gs-call-010: of an explicit reply and a returned one the caller gets the first, and the second is dropped',
  async t => {
    const { node } = await bareNode(t)
    const server = defineActor('server', {
      init: () => ({}),
      calls: {
        twice: (_state, _: void, ctx): string => {
          ctx.from.reply('first')
          return 'second'
        },
        ping: () => 'pong',
      },
    })
    const ref = await node.spawn(server)
    const caller = puppet(node)
    t.equal(await caller.ask(self => self.call(ref, 'twice')), 'first', 'the first')
    t.equal(await caller.ask(self => self.call(ref, 'ping')), 'pong', 'the server goes on')
    t.strictSame(await caller.mail(), [], 'the second is nowhere')
  },
)

t.test('gs-call-011: a handler that replies and then raises has replied', async t => {
  const { node } = await bareNode(t)
  const oops = new Error('oops')
  const server = defineActor('server', {
    init: () => ({}),
    calls: {
      replyAndRaise: (_state, _: void, ctx): string => {
        ctx.from.reply('answer')
        throw oops
      },
    },
  })
  const ref = await node.spawn(server)
  const { down } = await watch(node, ref.pid)
  t.equal(await ref.call('replyAndRaise'), 'answer', 'the reply')
  t.equal((await down).reason, oops, 'the crash')
})

t.test(
  'gs-call-012: casts, plain messages and calls of one sender are handled in the order they were sent',
  async t => {
    const { node } = await bareNode(t)
    const server = defineActor('server', {
      init: () => ({ seen: [] as unknown[] }),
      calls: {
        three: state => void state.seen.push(3),
        seen: state => state.seen,
      },
      casts: { note: (state, n: number) => void state.seen.push(n) },
      info: (state, signal) => void state.seen.push(signal.type === 'message' ? signal.message : signal),
    })
    const ref = await node.spawn(server)
    const seen = await puppet(node).ask(async self => {
      self.cast(ref, 'note', 1)
      self.send(ref.pid, 2)
      const third = self.call(ref, 'three')
      self.cast(ref, 'note', 4)
      await third
      return self.call(ref, 'seen')
    })
    t.strictSame(seen, [1, 2, 3, 4])
  },
)

t.test('gs-call-013: a call to an unreachable node fails with noconnection, and says which node', async t => {
  const server = defineActor('server', {
    init: () => ({}),
    calls: { ping: () => 'pong' },
    casts: { hit: () => {} },
  })
  const secret = 'conformance'.repeat(4)
  const b = await createNode({ name: 'b', listen: '127.0.0.1:0', secret, logger: false, actors: [server] })
  t.teardown(() => b.stop({ drainMs: 0 }))
  const seeds = [`127.0.0.1:${b.address?.port}`]
  const a = await createNode({ name: 'a', listen: '127.0.0.1:0', secret, logger: false, seeds })
  t.teardown(() => a.stop({ drainMs: 0 }))
  const ref = await a.spawn(server, undefined, { name: 'far', on: 'b' })
  t.equal(await ref.call('ping'), 'pong', 'reachable')
  const down = new Promise<void>(resolve => void a.once('nodedown', () => resolve()))
  await b.stop({ drainMs: 0 })
  await down
  t.equal(ref.pid.node, 'b', 'the node that is gone')
  const caller = puppet(a)
  for (const call of [() => ref.call('ping'), () => caller.ask(self => self.call(ref, 'ping'))]) {
    const error = await refusal(call())
    t.strictSame(
      [error.code, error.detail],
      ['ERR_NOCONNECTION', { pid: ref.pid, node: 'b', tag: 'ping' }],
      'the code, and who could not be reached',
    )
    t.match(String(error), /\bon b\b/, 'the node in words')
  }
  t.doesNotThrow(() => ref.cast('hit'), 'a cast there is no error')
  t.equal(a.send({ name: 'far', node: 'b' }, 'x'), 'ok', 'nor is a message to a name there')
})

// --- gs-cast --------------------------------------------------------------------------------------------------------

t.test('gs-cast-001: a cast to a dead server, an unknown name or an unknown node never fails', async t => {
  const { node } = await bareNode(t)
  const server = defineActor('server', { init: () => ({}), casts: { hit: () => {} } })
  const ref = await node.spawn(server)
  node.exit(ref.pid, 'kill')
  t.equal(ref.cast('hit'), 'ok', 'dead, from outside')
  t.equal(node.named('nobody', server).cast('hit'), 'ok', 'unknown name')
  const caller = puppet(node)
  t.equal(await caller.ask(self => self.cast(ref, 'hit')), 'ok', 'dead, from a process')
  t.equal(
    await caller.ask(self => self.named('nobody', server).cast('hit')),
    'ok',
    'unknown name, from a process',
  )
  t.equal(node.send({ name: 'n', node: 'nowhere' }, 'hit'), 'ok', 'unknown node')
  t.ok(node.isAlive(caller.pid), 'the caller lives')
})

t.test('gs-cast-002: a cast handler that returns a value ends its server with bad_return_value', async t => {
  const { node } = await bareNode(t)
  const server = defineActor('server', {
    init: () => ({}),
    casts: { wrong: () => 'a reply' as unknown as undefined },
  })
  const ref = await node.spawn(server)
  t.strictSame(await reasonOf(node, ref.pid, () => ref.cast('wrong')), { bad_return_value: 'a reply' })
})

// --- gs-continue ----------------------------------------------------------------------------------------------------

t.test(
  'gs-continue-001: what init continues with runs before a message that init sent to itself',
  async t => {
    const { node } = await bareNode(t)
    const server = defineActor('server', {
      init: (_: void, ctx) => {
        ctx.send(ctx.self, 'm')
        ctx.continue('c1')
        return { seen: [] as unknown[] }
      },
      calls: { seen: state => state.seen },
      info: (state, signal) => void state.seen.push(signal.type === 'message' ? signal.message : signal),
      continue: (state, value) => void state.seen.push(value),
    })
    t.strictSame(await (await node.spawn(server)).call('seen'), ['c1', 'm'])
  },
)

t.test('gs-continue-002: a continue handler may continue, all before the mailbox', async t => {
  const { node } = await bareNode(t)
  const server = defineActor('server', {
    init: (_: void, ctx) => {
      ctx.send(ctx.self, 'm')
      ctx.continue('c1')
      return { seen: [] as unknown[] }
    },
    calls: { seen: state => state.seen },
    info: (state, signal) => void state.seen.push(signal.type === 'message' ? signal.message : signal),
    continue: (state, value, ctx) => {
      state.seen.push(value)
      if (value === 'c1') ctx.continue('c2')
    },
  })
  t.strictSame(await (await node.spawn(server)).call('seen'), ['c1', 'c2', 'm'])
})

t.test('gs-continue-003: the caller has its reply before the continue is over', async t => {
  const { node } = await bareNode(t)
  const go = gate()
  const server = defineActor('server', {
    init: () => ({ seen: [] as unknown[] }),
    calls: {
      replyAndGoOn: (_state, _: void, ctx): string => {
        ctx.continue('more')
        return 'reply'
      },
      seen: state => state.seen,
    },
    continue: async (state, value) => {
      state.seen.push('begun')
      await go.opened
      state.seen.push(value)
    },
  })
  const ref = await node.spawn(server)
  t.equal(await ref.call('replyAndGoOn'), 'reply', 'the reply, while the continue waits')
  go.open()
  t.strictSame(await ref.call('seen'), ['begun', 'more'], 'which then ends, before the next call')
})

t.test('gs-continue-004: a start is over before what init continues with is', async t => {
  const { node } = await bareNode(t)
  const go = gate()
  let over = false
  const server = defineActor('server', {
    init: (_: void, ctx) => {
      ctx.continue(null)
      return {}
    },
    calls: { over: () => over },
    continue: async () => {
      await go.opened
      over = true
    },
  })
  const ref = await node.spawn(server)
  t.equal(over, false, 'started, not yet continued')
  go.open()
  t.equal(await ref.call('over'), true, 'continued before the first call')
})

// --- gs-timeout -----------------------------------------------------------------------------------------------------

const timing = () =>
  defineActor('timing', {
    init: (options: { ms: number; sendFirst?: boolean }, ctx) => {
      if (options.sendFirst) ctx.send(ctx.self, 'queued')
      ctx.timeout(options.ms)
      return { seen: [] as unknown[] }
    },
    calls: { seen: state => state.seen },
    info: (state, signal) => void state.seen.push(signal.type === 'message' ? signal.message : signal.type),
  })

t.test('gs-timeout-001: when nothing arrives in time info is told of the timeout, once', async t => {
  const { node, clock } = await bareNode(t)
  const early = await node.spawn(timing(), { ms: 20 })
  clock.advance(19)
  t.strictSame(await early.call('seen'), [], 'not before its time')
  const ref = await node.spawn(timing(), { ms: 20 })
  clock.advance(20)
  clock.advance(20)
  t.strictSame(await ref.call('seen'), ['timeout'], 'then once')
})

t.test('gs-timeout-002: any message cancels the timeout, until it is asked for again', async t => {
  const { node, clock } = await bareNode(t)
  const ref = await node.spawn(timing(), { ms: 50 })
  node.send(ref.pid, 'at once')
  t.strictSame(await ref.call('seen'), ['at once'], 'the message')
  clock.advance(1_000)
  t.strictSame(await ref.call('seen'), ['at once'], 'and no timeout')
})

t.test('gs-timeout-003: with a timeout of 0 a message that is queued wins', async t => {
  const { node, clock } = await bareNode(t)
  const ref = await node.spawn(timing(), { ms: 0, sendFirst: true })
  clock.advance(1)
  t.strictSame(await ref.call('seen'), ['queued'], 'no timeout')
  const alone = await node.spawn(timing(), { ms: 0 })
  clock.advance(0)
  t.strictSame(await alone.call('seen'), ['timeout'], 'with nothing queued it comes')
})

// --- gs-term --------------------------------------------------------------------------------------------------------

t.test('gs-term-001: a handler that stops with normal terminates with normal and ends with it', async t => {
  const { node } = await bareNode(t)
  const { server, terminated } = noting()
  const ref = await node.spawn(server, false)
  t.equal(await reasonOf(node, ref.pid, () => ref.cast('stop', { reason: 'normal' })), 'normal', 'the down')
  t.strictSame(terminated, [{ reason: 'normal', seen: [] }], 'terminate')
})

t.test('gs-term-002: a server that does not trap dies with its parent, without terminate', async t => {
  const { node } = await bareNode(t)
  const { server, terminated } = noting()
  const parent = puppet(node)
  const ref = await parent.ask(self => self.spawn(server, false, { link: true }))
  t.equal(
    await reasonOf(node, ref.pid, () => parent.tell(self => self.exit('shutdown'))),
    'shutdown',
    'the down',
  )
  t.strictSame(terminated, [], 'no terminate')
})

t.test(
  'gs-term-003: a server that traps terminates with the reason of its parent and ends with it',
  async t => {
    const { node } = await bareNode(t)
    const { server, terminated } = noting()
    const parent = puppet(node)
    const ref = await parent.ask(self => self.spawn(server, true, { link: true }))
    t.equal(
      await reasonOf(node, ref.pid, () => parent.tell(self => self.exit('shutdown'))),
      'shutdown',
      'the down',
    )
    t.strictSame(terminated, [{ reason: 'shutdown', seen: [] }], 'terminate, and nothing for info')
  },
)

t.test('gs-term-004: to a server that traps the exit of any other linked process is a message', async t => {
  const { node } = await bareNode(t)
  const { server, terminated } = noting()
  const parent = puppet(node)
  const other = puppet(node)
  const ref = await parent.ask(self => self.spawn(server, true, { link: true }))
  await other.ask(self => self.link(ref.pid))
  t.equal(
    await reasonOf(node, other.pid, () => other.tell(self => self.exit('boom'))),
    'boom',
    'the other is gone',
  )
  t.strictSame(await ref.call('seen'), [{ exit: other.pid, reason: 'boom' }], 'info is told')
  t.strictSame(terminated, [], 'and the server lives')
})

t.test(
  'gs-term-005: a server that is killed ends with killed, without terminate, though it traps',
  async t => {
    const { node } = await bareNode(t)
    const { server, terminated } = noting()
    const ref = await node.spawn(server, true)
    t.equal(await reasonOf(node, ref.pid, () => node.exit(ref.pid, 'kill')), 'killed', 'the down')
    t.strictSame(terminated, [], 'no terminate')
  },
)

t.test('gs-term-006: an error in terminate is the reason that the server ends with', async t => {
  const { node } = await bareNode(t)
  const worse = new Error('worse')
  const server = defineActor('server', {
    init: () => ({}),
    casts: { stop: (_state, _: void, ctx) => ctx.stop('orig') },
    terminate: () => {
      throw worse
    },
  })
  const ref = await node.spawn(server)
  t.equal(await reasonOf(node, ref.pid, () => ref.cast('stop')), worse)
})

// --- gs-stop --------------------------------------------------------------------------------------------------------

t.test('gs-stop-001: stop ends a server with normal, after its terminate', async t => {
  const { node } = await bareNode(t)
  const { server, terminated } = noting()
  const ref = await node.spawn(server, false)
  const { down } = await watch(node, ref.pid)
  t.equal(await ref.stop(), undefined, 'resolves')
  t.strictSame(terminated, [{ reason: 'normal', seen: [] }], 'terminate has run')
  t.equal(node.isAlive(ref.pid), false, 'it is gone')
  t.equal((await down).reason, 'normal', 'with normal')
})

t.test('gs-stop-002: casts that were queued before a stop are handled first', async t => {
  const { node } = await bareNode(t)
  const { server, terminated } = noting()
  const ref = await node.spawn(server, false)
  ref.cast('note', 'one')
  ref.cast('note', 'two')
  await ref.stop()
  t.strictSame(terminated, [{ reason: 'normal', seen: ['one', 'two'] }])
})

t.test('gs-stop-003: to stop a name that nobody has fails with noproc', async t => {
  const { node } = await bareNode(t)
  const { server } = noting()
  t.equal((await refusal(node.named('n', server).stop())).code, 'ERR_NOPROC', 'through a named ref')
  t.equal((await refusal(node.terminate('n'))).code, 'ERR_NOPROC', 'through the node')
  const gone = await node.spawn(server, false)
  node.exit(gone.pid, 'kill')
  t.equal((await refusal(gone.stop())).code, 'ERR_NOPROC', 'and so does a ref to a dead process')
})

t.test('gs-stop-004: a stop that waits too long fails, and the server lives', async t => {
  const { node, clock } = await bareNode(t)
  const [begun, go] = [gate(), gate()]
  const server = defineActor('server', {
    init: () => ({}),
    casts: {
      work: async () => {
        begun.open()
        await go.opened
      },
    },
  })
  const ref = await node.spawn(server)
  ref.cast('work')
  await begun.opened
  const refused = refusal(ref.stop('normal', { timeoutMs: 50 }))
  clock.advance(50)
  t.equal((await refused).code, 'ERR_TIMEOUT', 'fails')
  t.ok(node.isAlive(ref.pid), 'alive')
  go.open()
})

// --- gs-multi -------------------------------------------------------------------------------------------------------

const stock = defineActor('stock', {
  init: (count: number) => ({ count }),
  calls: {
    count: state => state.count,
    never: (_state, _: undefined, ctx) => ctx.later<number>(),
    fails: () => {
      throw new Error('sold out')
    },
  },
})

t.test('gs-multi-001: a multi-call gives one reply, and the unreachable node among the bad', async t => {
  const { node } = await bareNode(t)
  await node.spawn(stock, 7, { name: 'stock', scope: 'node' })
  const { replies, bad } = await multiCall(node, 'stock', stock, 'count', undefined, {
    nodes: [node.name, 'x'],
  })
  t.strictSame(
    [replies, bad.map(({ node, error }) => [node, (error as TroupeError).code])],
    [[{ node: node.name, reply: 7 }], [['x', 'ERR_NOCONNECTION']]],
  )
})

t.test('a multi-call asks every node at once, in the order named, and who fails hinders nobody', async t => {
  const mesh = await createTestMesh({ nodes: 3, seed: 5, actors: [stock] })
  t.teardown(() => mesh.stop())
  const [a, b, c] = [mesh.node('a'), mesh.node('b'), mesh.node('c')]
  await mesh.run(a.spawn(stock, 1, { name: 'stock', scope: 'node' }))
  await mesh.run(b.spawn(stock, 2, { name: 'stock', scope: 'node' }))
  const ask = async (tag: 'count' | 'never' | 'fails', options?: MultiCallOptions): Promise<unknown> => {
    const { replies, bad } = await mesh.run(multiCall(a, 'stock', stock, tag, undefined, options))
    return [
      replies.map(({ node, reply }) => [node, reply]),
      bad.map(({ node, error }) => [node, (error as TroupeError).code]),
    ]
  }
  const nobody = ['c', 'ERR_NOPROC']
  t.strictSame(
    await ask('count'),
    [
      [
        ['a', 1],
        ['b', 2],
      ],
      [nobody],
    ],
    'all that it knows, by default',
  )
  const twice = { nodes: ['b', 'c', 'a', 'b'] }
  t.strictSame(
    await ask('count', twice),
    [
      [
        ['b', 2],
        ['a', 1],
        ['b', 2],
      ],
      [nobody],
    ],
    'as named',
  )
  t.strictSame(
    await ask('never', { timeoutMs: 100 }),
    [[], [['a', 'ERR_TIMEOUT'], ['b', 'ERR_TIMEOUT'], nobody]],
    'one deadline for all',
  )
  t.strictSame(await ask('fails'), [[], [['a', 'ERR_EXIT'], ['b', 'ERR_EXIT'], nobody]])
  await mesh.run(c.spawn(stock, 3, { name: 'stock', scope: 'node' }))
  const own = new Promise<unknown>(resolve => {
    a.run(async self =>
      resolve((await multiCall(self, 'stock', stock, 'count', undefined, { nodes: ['c'] })).replies),
    )
  })
  t.strictSame(await mesh.run(own), [{ node: 'c', reply: 3 }], 'by a process')
})

t.test('a multi-call that is a mistake of the asker rejects as a whole', async t => {
  const { node } = await bareNode(t)
  const took = defineActor('took', { init: () => ({}), calls: { take: (_state, what: unknown) => what } })
  await node.spawn(took, undefined, { name: 'took', scope: 'node' })
  const ask = (nodes: readonly string[], options: object): Promise<unknown> =>
    multiCall(node, 'took', took, 'take', undefined, { nodes, ...options })
  await t.rejects(ask(['a', 'local'], {}), { name: 'TypeError', message: /not a node name/ })
  await t.rejects(ask(['a'], { timeout: 1 }), { name: 'TypeError', message: /unknown option "timeout"/ })
  await t.rejects(ask([node.name], { signal: AbortSignal.abort(new Error('over')) }), { message: 'over' })
})
