/**
 * Event managers: what OTP's gen_event promises of handlers that come, go, take each other's places and fail, each
 * alone.
 */
import t from 'tap'
import {
  type CrashReport,
  child,
  defineActor,
  defineEventHandler,
  defineEvents,
  eventManager,
  type HandlerEnd,
  type HandlerExit,
  isSignal,
  type NodeOptions,
  type Signal,
  startSupervisor,
} from '../lib/index.js'
import { createTestMesh } from '../lib/testing.js'
import { bareNode } from './support/bare-node.js'
import { gate, plain, puppet, reasonOf, refusal } from './support/puppet.js'

interface Sale {
  readonly sku: string
  readonly count: number
}

interface ShopEvents {
  sold: Sale
  closed: void
  broken: string
}

const shop = defineEvents<ShopEvents>('shop')

/** Counts what is sold, and says how it ends. */
const audit = defineEventHandler('audit', {
  init: (log: unknown[], previous) => {
    if (previous !== undefined) log.push(['took over', previous])
    return { total: 0, log }
  },
  events: {
    sold: (state, sale: { count: number }) => {
      state.total += sale.count
    },
    broken: (_, why: string) => {
      throw new Error(why)
    },
  },
  calls: {
    total: state => state.total,
    add: async (state, by: number) => (state.total += by),
    fail: (_, why: string): number => {
      throw new Error(why)
    },
    leave: (state, _: void, ctx) => {
      ctx.remove()
      return state.total
    },
  },
  terminate: (state, end) => {
    state.log.push(end)
    return state.total
  },
})

/** Notes every event it hears, with a word of its own. */
const echo = defineEventHandler('echo', {
  init: (args: { word: string; log: string[] }) => args,
  events: { closed: state => void state.log.push(`${state.word}: closed`) },
  other: (state, { tag, payload }) => void state.log.push(`${state.word}: ${tag} ${JSON.stringify(payload)}`),
})

async function opening(t: Parameters<typeof bareNode>[0], options: NodeOptions = {}) {
  const { node, clock } = await bareNode(t, options)
  const crashes: CrashReport[] = []
  node.on('crash', report => crashes.push(report))
  const ref = await node.spawn(shop)
  const log: unknown[] = []
  return { node, clock, crashes, ref, events: eventManager(ref), log, owner: puppet(node) }
}

const tea = { sku: 'tea', count: 2 }

// ---- events ----

t.test('all handlers hear an event, in the order in which they were added', async t => {
  const { events } = await opening(t)
  const log: string[] = []
  await events.add(echo, { word: 'b', log }, { id: 'b' })
  await events.add(echo, { word: 'a', log }, { id: 'a' })
  t.equal(events.notify('sold', tea), 'ok')
  await events.syncNotify('closed')
  const sold = 'sold {"sku":"tea","count":2}'
  t.strictSame(log, [`b: ${sold}`, `a: ${sold}`, 'b: closed', 'a: closed'])
})

t.test('a handler hears only what it has a callback for', async t => {
  const { events, log } = await opening(t)
  await events.add(audit, log)
  await events.syncNotify('closed')
  await events.syncNotify('toString' as 'closed')
  await events.syncNotify('sold', tea)
  t.equal(await events.call(audit, 'total'), 2)
  t.strictSame(log, [])
})

t.test(
  'a notification waits for nobody; a synchronous one for all handlers, which run side by side',
  async t => {
    const { events } = await opening(t)
    const log: string[] = []
    const gates = { a: gate(), b: gate() }
    const slow = defineEventHandler('slow', {
      init: (name: 'a' | 'b') => ({ name }),
      other: async ({ name }) => {
        log.push(`${name} begins`)
        await gates[name].opened
        log.push(`${name} ends`)
      },
    })
    await events.add(slow, 'a', { id: 'a' })
    await events.add(slow, 'b', { id: 'b' })
    t.equal(events.notify('closed'), 'ok')
    const synced = events.syncNotify('closed').then(() => log.push('synced'))
    gates.b.open()
    gates.a.open()
    await synced
    t.strictSame(log.slice(0, 2), ['a begins', 'b begins'], 'the second did not wait for the first to end')
    t.strictSame([...log.slice(2, 4)].sort(), ['a ends', 'b ends'], 'the next event waited for both')
    t.strictSame([log.length, log.at(-1)], [9, 'synced'])
  },
)

t.test('mail that is no event reaches info; a parent’s exit does not', async t => {
  const { node, ref, events } = await opening(t)
  const heard: unknown[] = []
  const ear = defineEventHandler('ear', {
    init: () => ({}),
    info: (_, signal: Signal) => void heard.push(isSignal(signal) ? plain(signal) : signal),
  })
  await events.add(ear)
  const stranger = puppet(node)
  await stranger.ask(self => {
    self.send(ref, 'hello')
    self.exit(ref.pid, 'boo')
  })
  await events.syncNotify('closed')
  t.strictSame(heard, [
    { type: 'message', message: 'hello' },
    { exit: stranger.pid, reason: 'boo' },
  ])
})

// ---- calls ----

t.test('a call asks one handler, and its reply is what that returned, or resolved to', async t => {
  const { events, log } = await opening(t)
  await events.add(audit, log)
  await events.add(audit, log, { id: 'second' })
  t.equal(await events.call(audit, 'add', 5, { id: 'second' }), 5)
  t.strictSame(
    [await events.call(audit, 'total'), await events.call(audit, 'total', undefined, { id: 'second' })],
    [0, 5],
  )
})

t.test('a call to nobody, or of a tag that is none, is refused and harms nobody', async t => {
  const { events, ref, log } = await opening(t)
  t.match(await refusal(events.call(audit, 'total')), {
    code: 'ERR_NOPROC',
    message: `${ref.pid} has no handler "audit"`,
    detail: { handler: 'audit', pid: ref.pid },
  })
  await events.add(audit, log)
  t.match(await refusal(events.call(audit, 'toString' as never)), {
    code: 'ERR_UNKNOWN_TAG',
    message: /has no call "toString"; it has "total", "add", "fail", "leave"$/,
  })
  t.equal(await events.call(audit, 'total'), 0)
})

// ---- failures ----

t.test('a handler that raises is ended and reported; the others and the manager go on', async t => {
  const { events, ref, log, crashes, node } = await opening(t)
  const echoed: string[] = []
  await events.add(echo, { word: 'first', log: echoed }, { id: 'first' })
  await events.add(audit, log)
  await events.add(echo, { word: 'last', log: echoed }, { id: 'last' })
  await events.syncNotify('broken', 'a plate')
  t.strictSame(echoed, ['first: broken "a plate"', 'last: broken "a plate"'])
  t.match(log, [{ type: 'error', reason: { message: 'a plate' } }], 'its terminate was told')
  t.strictSame(
    (await events.handlers()).map(info => info.id),
    ['first', 'last'],
  )
  t.match(crashes, [
    {
      pid: ref.pid,
      definition: 'shop',
      tag: 'sync',
      reason: { message: `the handler "audit" of ${ref.pid} raised`, cause: { message: 'a plate' } },
    },
  ])
  t.match(node.stats().counters, { 'events.handlers': 2, 'events.handlersFailed': 1 })
})

t.test('whatever a callback gets wrong is an error of its handler alone', async t => {
  const { events, crashes } = await opening(t)
  const ends: unknown[] = []
  const wrong = defineEventHandler('wrong', {
    init: () => ({}),
    events: { sold: () => 5, closed: async () => Promise.reject(new Error('late')) },
    other: () => {
      throw 'a value'
    },
    terminate: (_, end) => void ends.push(end),
  })
  for (const tag of ['sold', 'closed', 'broken'] as const) {
    await events.add(wrong)
    await events.syncNotify(tag, undefined as never)
  }
  t.match(ends, [
    { type: 'error', reason: { bad_return_value: 5 } },
    { type: 'error', reason: { message: 'late' } },
    { type: 'error', reason: { nocatch: 'a value' } },
  ])
  t.strictSame([(await events.handlers()).length, crashes.length], [0, 3])
})

t.test('a call that raises tells its caller why, and ends the handler', async t => {
  const { events, log } = await opening(t)
  await events.add(audit, log)
  const { code, detail } = await refusal(events.call(audit, 'fail', 'no'))
  t.match([code, detail], ['ERR_EXIT', { handler: 'audit', reason: { message: 'no' } }])
  t.strictSame(await events.handlers(), [])
})

t.test('what terminate raises is reported, and changes nothing', async t => {
  const { events, crashes } = await opening(t)
  const grim = defineEventHandler('grim', {
    init: () => ({}),
    terminate: () => {
      throw new Error('never')
    },
  })
  await events.add(grim)
  t.equal(await events.remove('grim'), undefined)
  t.match(crashes, [
    { reason: { message: /"grim" of .* raised in terminate$/, cause: { message: 'never' } } },
  ])
  t.strictSame(await events.handlers(), [])
})

t.test('a handler that does not start is none, and its id is free', async t => {
  const { events, crashes } = await opening(t)
  const bad = defineEventHandler('bad', {
    init: (how: 'raise' | 'reject' | 'number'): object => {
      if (how === 'raise') throw new Error('no')
      return how === 'number' ? (5 as never) : (Promise.reject(new Error('no')) as never)
    },
  })
  for (const how of ['raise', 'reject'] as const) {
    t.match(await refusal(events.add(bad, how)), { code: 'ERR_START', detail: { reason: { message: 'no' } } })
  }
  t.match(await refusal(events.add(bad, 'number')), {
    code: 'ERR_START',
    detail: { handler: 'bad', reason: { bad_return_value: 5 } },
  })
  t.strictSame([await events.handlers(), crashes], [[], []], 'and that is its adder’s affair alone')
})

// ---- coming and going ----

t.test('an id is taken once; removing gives what terminate returned, and refuses the unknown', async t => {
  const { events, ref, log } = await opening(t)
  await events.add(audit, log)
  const { code, detail } = await refusal(events.add(audit, log))
  t.strictSame([code, detail], ['ERR_ALREADY_STARTED', { handler: 'audit', pid: ref.pid }])
  await events.syncNotify('sold', tea)
  t.equal(await events.remove('audit'), 2)
  t.strictSame(log, [{ type: 'remove' }])
  t.match(await refusal(events.remove('audit')), { code: 'ERR_NOPROC' })
})

t.test('a handler may remove itself, and its reply arrives', async t => {
  const { events, log } = await opening(t)
  await events.add(audit, log)
  await events.syncNotify('sold', tea)
  t.equal(await events.call(audit, 'leave'), 2)
  t.strictSame([await events.handlers(), log], [[], [{ type: 'remove' }]])
})

t.test('a swap hands over what terminate returned, and the place in the order', async t => {
  const { events, log } = await opening(t)
  const echoed: string[] = []
  await events.add(audit, log, { id: 'old' })
  await events.add(echo, { word: 'x', log: echoed })
  await events.syncNotify('sold', tea)
  await events.swap('old', audit, log, { id: 'new' })
  t.strictSame(log, [{ type: 'swap', by: 'new' }, ['took over', 2]])
  t.strictSame(
    (await events.handlers()).map(info => info.id),
    ['new', 'echo'],
  )
  await events.swap('new', audit, log, { id: 'new' })
  t.strictSame(
    log.slice(2),
    [{ type: 'swap', by: 'new' }, ['took over', 0]],
    'by its own kind, under its own id',
  )
})

t.test(
  'a swap for nobody adds; for an id that is taken it ends nobody; one that does not start leaves none',
  async t => {
    const { events, log } = await opening(t)
    await events.swap('nobody', audit, log)
    t.strictSame(log, [], 'nothing was taken over')
    const echoed = { word: 'x', log: [] }
    await events.add(echo, echoed)
    t.match(await refusal(events.swap('echo', audit, log)), { code: 'ERR_ALREADY_STARTED' })
    t.strictSame(
      (await events.handlers()).map(info => info.id),
      ['audit', 'echo'],
    )
    const bad = defineEventHandler('bad', { init: (): object => Promise.reject('no') as never })
    t.match(await refusal(events.swap('audit', bad)), { code: 'ERR_START' })
    t.strictSame(
      [(await events.handlers()).map(info => info.id), log],
      [['echo'], [{ type: 'swap', by: 'bad' }]],
    )
  },
)

t.test('a manager has so many handlers and no more', async t => {
  const { events, log, node } = await opening(t, { limits: { eventHandlersMax: 1 } })
  await events.add(audit, log)
  t.match(await refusal(events.add(audit, log, { id: 'two' })), {
    code: 'ERR_BUSY',
    detail: { limit: 'eventHandlersMax' },
  })
  t.equal(node.stats().counters['events.handlersRefused'], 1)
  await events.swap('audit', audit, log, { id: 'two' })
  t.strictSame((await events.handlers()).length, 1, 'one for one is no more')
})

// ---- owners ----

t.test('a handler goes with its owner, and terminate is told why', async t => {
  const { node, events, log, owner } = await opening(t)
  await events.add(audit, log, { owner: owner.pid })
  t.strictSame(await events.handlers(), [{ id: 'audit', definition: 'audit', owner: owner.pid }])
  node.exit(owner.pid, 'boom')
  await events.syncNotify('closed')
  t.strictSame([await events.handlers(), log], [[], [{ type: 'owner', reason: 'boom' }]])
  t.equal(node.stats().counters['process.deadLetters'], 0, 'and nobody writes to the dead')
  await events.add(audit, log, { owner: owner.pid })
  await events.syncNotify('closed')
  t.strictSame(
    log.slice(1),
    [{ type: 'owner', reason: 'noproc' }],
    'at once, where the owner is dead already',
  )
})

t.test('an owner is told of every other end of its handler', async t => {
  const { events, ref, log, owner } = await opening(t)
  const options = { owner: owner.pid }
  const exit = (end: HandlerEnd) => ({ type: 'handler_exit', manager: ref.pid, handler: 'audit', end })
  await events.add(audit, log, options)
  await events.remove('audit')
  await events.add(audit, log, options)
  await events.swap('audit', audit, log, options)
  await events.syncNotify('broken', 'plate')
  await events.add(audit, log, options)
  await events.stop('shutdown')
  t.match(await owner.mail(), [
    exit({ type: 'remove' }),
    exit({ type: 'swap', by: 'audit' }),
    { type: 'handler_exit', handler: 'audit', end: { type: 'error', reason: { message: 'plate' } } },
    exit({ type: 'stop', reason: 'shutdown' }),
  ])
})

t.test('a handler that is gone is watched no more', async t => {
  const { node, events, ref, log, owner } = await opening(t)
  await events.add(audit, log, { owner: owner.pid })
  await events.remove('audit')
  t.equal(node.processes().find(info => info.pid === ref.pid)?.monitors, 0)
})

// ---- the manager ----

t.test('a manager that stops ends its handlers, each with terminate, one after the other', async t => {
  const { events, log, node } = await opening(t)
  const slow = defineEventHandler('slow', {
    init: () => ({}),
    terminate: async () => {
      await null
      log.push('slow')
    },
  })
  await events.add(slow)
  await events.add(audit, log)
  await events.stop()
  t.strictSame(log, ['slow', { type: 'stop', reason: 'normal' }])
  t.equal(node.stats().counters['events.handlers'], 0)
})

t.test('an exit by code outside of processes stops it, a kill ends it without a word', async t => {
  const { node, ref, events, log } = await opening(t)
  await events.add(audit, log)
  t.equal(await reasonOf(node, ref.pid, () => node.exit(ref.pid, 'away')), 'away')
  t.strictSame(log, [{ type: 'stop', reason: 'away' }])
  const other = eventManager(await node.spawn(shop))
  await other.add(audit, log)
  t.equal(await reasonOf(node, other.pid, () => node.exit(other.pid, 'kill')), 'killed')
  t.strictSame([log.length, node.stats().counters['events.handlers']], [1, 0])
  t.match(await refusal(other.handlers()), { code: 'ERR_NOPROC' })
})

t.test('a handler that was waiting when the manager was killed has no further effect', async t => {
  const { node, ref, events, log, crashes } = await opening(t)
  const { opened, open } = gate()
  const late = defineEventHandler('late', {
    init: () => ({}),
    other: async () => {
      await opened
      throw new Error('too late')
    },
    terminate: () => void log.push('terminated'),
  })
  await events.add(late)
  events.notify('closed')
  await reasonOf(node, ref.pid, () => node.exit(ref.pid, 'kill'))
  open()
  await new Promise(resolve => setImmediate(resolve))
  t.strictSame([log, crashes], [[], []])
  t.equal(node.stats().counters['events.handlers'], 0)
})

t.test('a handler that was starting when the manager was killed is none', async t => {
  const { node, ref, events } = await opening(t)
  const begun = gate()
  const { opened, open } = gate()
  const slow = defineEventHandler('slow', {
    init: async () => {
      begun.open()
      await opened
      return {}
    },
  })
  const added = refusal(events.add(slow))
  await begun.opened
  node.exit(ref.pid, 'kill')
  t.match(await added, { code: 'ERR_EXIT', detail: { reason: 'killed' } })
  open()
  await new Promise(resolve => setImmediate(resolve))
  t.equal(node.stats().counters['events.handlers'] ?? 0, 0)
})

t.test('a supervised manager comes back under its name, without the handlers of its last life', async t => {
  const { node } = await bareNode(t)
  const tree = await startSupervisor(node, { children: [child(shop, { name: 'shop', scope: 'node' })] })
  const events = eventManager(node.named('shop', shop))
  await events.add(audit, [])
  const before = events.pid
  node.exit(before, 'kill')
  await tree.countChildren()
  t.strictSame([await events.handlers(), events.pid === before], [[], false])
})

t.test(
  'a handler speaks as the manager, before and after awaits, and callbacks of others do not change that',
  async t => {
    const { node, events, owner, ref } = await opening(t)
    const speaker = defineEventHandler('speaker', {
      init: () => ({}),
      events: {
        closed: async (_, __: void, ctx) => {
          await null
          ctx.process.link(owner.pid)
        },
      },
    })
    await events.add(speaker)
    await events.syncNotify('closed')
    t.equal(node.processes().find(info => info.pid === ref.pid)?.links, 1)
  },
)

t.test(
  'handlers are values of their node: forced mail copies their arguments and not their code',
  async t => {
    const { events } = await opening(t, { serializeLocal: true })
    const keeper = defineEventHandler('keeper', {
      init: (args: { list: number[] }) => args,
      calls: { list: state => state.list },
    })
    const args = { list: [1] }
    await events.add(keeper, args)
    args.list.push(2)
    t.strictSame(await events.call(keeper, 'list'), [1])
  },
)

t.test('what is used wrongly is refused by name', async t => {
  const { events, log } = await opening(t)
  const define = defineEventHandler as (name: unknown, spec?: unknown) => unknown
  t.throws(() => define(''), /defineEventHandler: name: expected a string, not empty, got ""/)
  t.throws(() => define('x'), /defineEventHandler\("x"\): spec: expected an object, got undefined/)
  t.throws(() => define('x', {}), /init: expected a function, got undefined/)
  t.throws(() => define('x', { init: 5 }), /init: expected a function, got 5/)
  t.throws(() => define('x', { init: () => {}, evnts: {} }), /unknown key "evnts"; expected one of init, /)
  t.throws(
    () => define('x', { init: () => {}, events: { sold: 5 } }),
    /events.sold: expected a function, got 5/,
  )
  t.throws(() => eventManager({} as never), /eventManager: ref: expected a ref, got an object/)
  await t.rejects(
    (events.add as (handler: unknown) => Promise<void>)({}),
    /add: handler: expected what defineEventHandler returned/,
  )
  await t.rejects(events.add(audit, log, { id: '' }), /add: id: expected a string, not empty, got ""/)
  await t.rejects(events.add(audit, log, { owner: 'me' as never }), /add: owner: expected a pid, got "me"/)
  await t.rejects(events.add(audit, log, { ownr: 1 } as never), /add: unknown option "ownr"/)
  await t.rejects(events.swap(5 as never, audit, log), /swap: id: expected a string, got 5/)
  await t.rejects(events.remove(5 as never), /remove: id: expected a string, got 5/)
  await t.rejects(events.call(5 as never, 'total' as never), /call: handler: expected what/)
})

t.test('a ref from outside speaks for the manager, also where another’s await came before', async t => {
  const { node, events, ref } = await opening(t)
  const door = defineActor('door', {
    init: () => ({}),
    calls: { who: (_, __: void, ctx) => ctx.from.pid },
  })
  const asked: Promise<unknown>[] = []
  const outside = await node.spawn(door)
  const leaver = defineEventHandler('leaver', {
    init: () => ({}),
    events: { closed: async () => Promise.reject(new Error('late')) },
    terminate: () => void asked.push(outside.call('who')),
  })
  await events.add(leaver)
  await events.syncNotify('closed')
  t.strictSame(await Promise.all(asked), [ref.pid])
})

t.test('nothing that comes out of a handler and cannot cross ends the manager', async t => {
  const { node } = await bareNode(t, { serializeLocal: true })
  const events = eventManager(await node.spawn(shop))
  const odd = defineEventHandler('odd', {
    init: (how?: 'raise') => {
      if (how === 'raise') throw { fn: () => 1 }
      return {}
    },
    events: {
      closed: () => {
        throw { fn: () => 2 }
      },
    },
    calls: {
      reply: () => () => 3,
      raise: () => {
        throw { fn: () => 4 }
      },
      leave: (_, __: void, ctx) => {
        ctx.remove()
        return () => 5
      },
    },
    terminate: () => () => 6,
  })
  const ends: unknown[] = []
  const owner = node.run(async self => {
    for (;;) ends.push((await self.receive<HandlerExit>()).end)
  })
  const options = { owner }
  const reason = 'an object with key "nocatch"'
  t.match(await refusal(events.add(odd, 'raise', options)), { code: 'ERR_START', detail: { reason } })
  await events.add(odd, undefined, options)
  t.match(await refusal(events.call(odd, 'reply')), {
    code: 'ERR_EXIT',
    detail: { reason: { bad_return_value: /^(a )?function/, why: /may not cross/ } },
  })
  await events.add(odd, undefined, options)
  t.match(await refusal(events.call(odd, 'raise')), { code: 'ERR_EXIT', detail: { reason } })
  await events.add(odd, undefined, options)
  t.match(await refusal(events.call(odd, 'leave')), { code: 'ERR_PAYLOAD' })
  await events.add(odd, undefined, options)
  t.match(await refusal(events.remove('odd')), { code: 'ERR_PAYLOAD' })
  await events.add(odd, undefined, options)
  await events.syncNotify('closed')
  t.strictSame(await events.handlers(), [])
  t.match(ends, [
    { type: 'error', reason: { bad_return_value: /function/ } },
    { type: 'error', reason },
    { type: 'remove' },
    { type: 'remove' },
    { type: 'error', reason },
  ])
})

t.test(
  'from another node a manager is notified and asked like here; what has code in it stays at home',
  async t => {
    const mesh = await createTestMesh({ nodes: 2, seed: 7, actors: [shop] })
    t.teardown(() => mesh.stop())
    const [a, b] = [mesh.node('a'), mesh.node('b')]
    const home = eventManager(await mesh.run(a.spawn(shop, undefined, { name: 'shop' })))
    const log: unknown[] = []
    await mesh.run(home.add(audit, log))
    const away = eventManager(b.named('shop', shop))
    away.notify('sold', tea)
    await mesh.run(away.syncNotify('sold', tea))
    t.equal(await mesh.run(away.call(audit, 'total')), 4)
    t.match(await mesh.run(refusal(away.add(audit, log))), { code: 'ERR_PAYLOAD' })
    const { code, detail } = await mesh.run(refusal(away.call(audit, 'fail', 'no')))
    t.match([code, detail], ['ERR_EXIT', { handler: 'audit', reason: { message: 'no' } }])
    t.match(await mesh.run(refusal(away.remove('audit'))), { code: 'ERR_NOPROC' })
  },
)
