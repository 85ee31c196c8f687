import t from 'tap'
import type { SpawnOptions } from '../lib/actor/api.js'
import { type AnyActor, defineActor } from '../lib/actor/define.js'
import type { Pid } from '../lib/base/ids.js'
import { LIMITS } from '../lib/base/limits.js'
import { turns, world } from './support/actor-world.js'

t.test('a call is answered by what the handler returns, awaited', async t => {
  const { spawn } = world(t)
  const adder = await spawn(
    defineActor('adder', {
      init: (start: number) => ({ value: start }),
      calls: {
        add: (state, by: number) => (state.value += by),
        slow: async (state, by: number) => {
          await null
          return state.value * by
        },
      },
    }),
    40,
  )
  t.equal(await adder.call('add', 2), 42)
  t.equal(await adder.call('slow', 2), 84)
})

t.test('calls, casts and plain messages of one sender are handled in the order sent', async t => {
  const { spawn } = world(t)
  const seen: unknown[] = []
  const ref = await spawn(
    defineActor('log', {
      init: () => ({}),
      calls: { call: (_s, n: number) => void seen.push(['call', n]) },
      casts: {
        cast: (_s, n: number) => {
          seen.push(['cast', n])
        },
      },
      info: (_s, signal) => {
        if (signal.type === 'message') seen.push(['info', signal.message])
      },
    }),
  )
  ref.cast('cast', 1)
  ref.send(2)
  await ref.call('call', 3)
  ref.cast('cast', 4)
  await ref.call('call', 5)
  t.strictSame(seen, [
    ['cast', 1],
    ['info', 2],
    ['call', 3],
    ['cast', 4],
    ['call', 5],
  ])
})

t.test('a throw rejects the caller with the reason, runs terminate and makes one crash report', async t => {
  const { spawn, crashes, actors } = world(t)
  const boom = new Error('boom')
  const ended: unknown[] = []
  const ref = await spawn(
    defineActor('fragile', {
      init: () => ({ secret: 1 }),
      calls: {
        fail: () => {
          throw boom
        },
      },
      terminate: (_s, reason) => ended.push(reason),
      inspect: () => 'hidden',
    }),
  )
  await t.rejects(ref.call('fail'), { code: 'ERR_EXIT', detail: { reason: boom } })
  t.strictSame(ended, [boom])
  t.equal(actors.table.find(ref.pid), undefined)
  t.match(crashes, [{ pid: ref.pid, definition: 'fragile', tag: 'fail', reason: boom, state: 'hidden' }])
  t.equal(crashes.length, 1)
  await t.rejects(ref.call('fail'), { code: 'ERR_NOPROC' })
})

t.test('everything a failed start leaves behind is its rejection', async t => {
  const { actors, spawn, run } = world(t)
  const picky = defineActor('picky', {
    init: (how: string, ctx) => {
      if (how === 'ignore') return ctx.ignore()
      if (how === 'stop') return ctx.stop('because')
      if (how === 'throw') throw 7
      return how as unknown as object
    },
  })
  const reasons: unknown[] = []
  const mail = await run(async self => {
    for (const how of ['ignore', 'stop', 'throw', 'garbage']) {
      await self.spawn(picky, how, { link: true, monitor: true, name: how, scope: 'node' }).catch(error => {
        reasons.push(error.code === 'ERR_START' && error.detail.reason)
      })
      t.equal(self.whereis(how), undefined, 'the name is free')
    }
    return self.receive(undefined, { timeoutMs: 0 }).catch(error => error.code)
  })
  t.strictSame(reasons, ['ignore', 'because', { nocatch: 7 }, { bad_return_value: 'garbage' }])
  t.equal(mail, 'ERR_TIMEOUT', 'no exit and no down is in the mailbox of the starter, which lives')
  await t.rejects(spawn(picky, 'stop'), { code: 'ERR_START', detail: { reason: 'because' } })
  t.equal(actors.table.size, 0)
})

t.test('a start that takes too long is ended, and a name is visible inside init', async t => {
  const { spawn, move, actors } = world(t)
  let visible: unknown
  const slow = defineActor('slow', {
    init: async (_: undefined, ctx) => {
      visible = ctx.whereis('slow')?.pid === ctx.self
      return new Promise<object>(() => {})
    },
  })
  const started = spawn(slow, undefined, { timeoutMs: 20, name: 'slow', scope: 'node' })
  const failed = t.rejects(started, { code: 'ERR_START', detail: { reason: 'timeout' } })
  await turns()
  await move(20)
  await failed
  t.equal(visible, true)
  t.equal(actors.table.size, 0)
  t.equal(actors.table.names.size, 0)
})

t.test('a call times out, aborts or finds nobody, and nothing of it stays', async t => {
  const { spawn, move, actors } = world(t)
  const mute = await spawn(mutes)
  const failures = [
    t.rejects(mute.call('never', undefined, { timeoutMs: 50 }), {
      code: 'ERR_TIMEOUT',
      detail: { outcome: 'unknown' },
    }),
    t.rejects(mute.call('never', undefined, { timeoutMs: 0 }), { code: 'ERR_TIMEOUT' }),
    t.rejects(mute.call('never', undefined, { timeoutMs: 80 }), { code: 'ERR_TIMEOUT' }),
  ]
  const controller = new AbortController()
  failures.push(t.rejects(mute.call('never', undefined, { signal: controller.signal }), /enough/))
  t.equal(actors.table.calls.size, 3)
  controller.abort(new Error('enough'))
  await move(49)
  t.equal(actors.table.calls.size, 2)
  await move(1)
  t.equal(actors.table.calls.size, 1)
  await move(30)
  await Promise.all(failures)
  t.equal(actors.table.calls.size, 0)
  actors.table.exit(actors.outside, mute.pid, 'kill')
  await t.rejects(mute.call('never'), { code: 'ERR_NOPROC' })
})

t.test('a death fails requests queued, current and promised, with its reason', async t => {
  const { spawn, actors } = world(t)
  const mute = await spawn(mutes)
  const promised = t.rejects(mute.call('later'), { code: 'ERR_EXIT', detail: { reason: 'gone' } })
  const current = t.rejects(mute.call('never'), { code: 'ERR_EXIT', detail: { reason: 'gone' } })
  const queued = t.rejects(mute.call('never'), { code: 'ERR_EXIT', detail: { reason: 'gone' } })
  await turns()
  actors.table.exit(actors.outside, mute.pid, 'gone')
  await Promise.all([promised, current, queued])
})

t.test('a handler whose process died while it waited has no further effect', async t => {
  const { spawn, actors } = world(t)
  let go = (): void => {}
  const late: unknown[] = []
  const zombie = await spawn(
    defineActor('zombie', {
      init: () => ({}),
      calls: {
        wait: async (_s, _p: undefined, ctx) => {
          await new Promise<void>(resolve => {
            go = resolve
          })
          for (const act of [() => ctx.send(actors.outside, 1), () => ctx.trapExit(true), () => ctx.self]) {
            try {
              late.push(act())
            } catch (error) {
              late.push((error as { code: string }).code)
            }
          }
          t.equal(ctx.signal.aborted, true)
          throw new Error('unseen')
        },
      },
    }),
  )
  const failed = t.rejects(zombie.call('wait'), { code: 'ERR_EXIT', detail: { reason: 'killed' } })
  await turns()
  actors.table.exit(actors.outside, zombie.pid, 'kill')
  go()
  await failed
  await turns()
  t.strictSame(late, ['ERR_DEAD', 'ERR_DEAD', zombie.pid])
})

t.test('stop: handles earlier mail, runs terminate, and tells when it ended otherwise', async t => {
  const { spawn, move } = world(t)
  const seen: unknown[] = []
  const def = defineActor('stoppable', {
    init: (how: string) => ({ how }),
    casts: {
      note: (_s, n: number) => {
        seen.push(n)
      },
    },
    calls: { wait: () => new Promise<void>(() => {}) },
    terminate: ({ how }, reason) => {
      seen.push(reason)
      if (how === 'fails') throw new Error('in terminate')
    },
  })
  const one = await spawn(def, 'well')
  one.cast('note', 1)
  one.cast('note', 2)
  await one.stop()
  t.strictSame(seen, [1, 2, 'normal'])
  await t.rejects(one.stop(), { code: 'ERR_NOPROC' })
  const two = await spawn(def, 'fails')
  await t.rejects(two.stop('shutdown'), { code: 'ERR_EXIT', detail: { reason: /in terminate/ } })
  const busy = await spawn(def, 'well')
  busy.call('wait').catch(() => {})
  const timedOut = t.rejects(busy.stop('normal', { timeoutMs: 10 }), { code: 'ERR_TIMEOUT' })
  await move(10)
  await timedOut
})

t.test('the parent of a trapping actor ends it through terminate, anybody else is mail', async t => {
  const { run, actors } = world(t)
  const log: unknown[] = []
  const trapping = defineActor('trapping', {
    init: (_: undefined, ctx) => {
      ctx.trapExit(true)
      return {}
    },
    info: (_s, signal) => {
      log.push(signal.type === 'exit' ? ['info', signal.reason] : signal.type)
    },
    terminate: (_s, reason) => log.push(['terminate', reason]),
  })
  let child: Pid | undefined
  await run(async self => {
    const ref = await self.spawn(trapping, undefined, { link: true })
    child = ref.pid
    const other = self.run(() => {}, {})
    self.exit(ref.pid, { shutdown: 'early' })
    await turns()
    t.equal(actors.table.find(other), undefined)
  })
  t.strictSame(log, [['terminate', { shutdown: 'early' }]])
  t.equal(actors.table.find(child as Pid), undefined)
})

t.test('continue runs before any mail, a timeout only when no mail comes', async t => {
  const { spawn, move } = world(t)
  const seen: unknown[] = []
  const def = defineActor('steps', {
    init: (_: undefined, ctx) => {
      ctx.send(ctx.self, 'mail')
      ctx.continue('one')
      return {}
    },
    continue: (_s, value, ctx) => {
      seen.push(value)
      if (value === 'one') ctx.continue('two')
    },
    info: (_s, signal, ctx) => {
      seen.push(signal.type === 'message' ? signal.message : signal.type)
      if (signal.type === 'message') ctx.timeout(20)
    },
  })
  const ref = await spawn(def)
  await turns()
  t.strictSame(seen, ['one', 'two', 'mail'])
  await move(10)
  ref.send('again')
  await turns()
  await move(19)
  t.strictSame(seen.slice(3), ['again'])
  await move(1)
  await move(100)
  t.strictSame(seen.slice(3), ['again', 'timeout'])
})

t.test('unknown tags are refused at the call and name those that exist', async t => {
  const { spawn } = world(t)
  const mute = await spawn(mutes)
  const loose = mute as unknown as { call(tag: unknown): Promise<unknown>; cast(tag: unknown): unknown }
  await t.rejects(loose.call('nope'), { code: 'ERR_UNKNOWN_TAG', detail: { known: ['never', 'later'] } })
  t.throws(() => loose.cast('nope'), { code: 'ERR_UNKNOWN_TAG', detail: { known: [] } })
  t.throws(() => loose.cast(7), TypeError)
})

t.test('a value whose getters throw harms its own call, and no other process', async t => {
  const { spawn } = world(t)
  const strange = (): object => Object.defineProperty({}, 'then', { get: () => never('a getter') })
  const never = (what: string): never => {
    throw new Error(what)
  }
  const def = defineActor('strange', {
    init: () => ({}),
    calls: { get: () => strange(), fine: () => 1 },
    casts: { put: () => strange() as never },
  })
  const [one, two] = [await spawn(def), await spawn(def)]
  await t.rejects(one.call('get'), { message: 'a getter' })
  one.cast('put')
  t.equal(await two.call('fine'), 1)
  await t.rejects(one.call('fine'), { code: 'ERR_NOPROC' }, 'a cast that returns something is a fault')
})

t.test('a function-style process receives selectively and exits by an exception', async t => {
  const { run } = world(t)
  const got = await run(async self => {
    for (const m of ['a', 'b', 'c', 'd']) self.send(self.self, m)
    const c = await self.receive(m => m === 'c', { timeoutMs: 0 })
    return [c, await self.receive(), await self.receive(), await self.receive()]
  })
  t.strictSame(got, ['c', 'a', 'b', 'd'])
  const down = await run(self => {
    self.monitor(self.run(child => child.exit({ shutdown: 'early' })))
    return self.receive()
  })
  t.match(down, { type: 'down', reason: { shutdown: 'early' } })
})

t.test('a signal that is handed on arrives as a message, not as a signal', async t => {
  const { run } = world(t)
  await run(async self => {
    const dead = self.run(() => {})
    self.monitor(dead)
    const down = await self.receive()
    t.match(down, { type: 'down' })
    self.send(self.self, down)
    const again = await self.receive()
    t.notOk(again instanceof (down as object).constructor)
    t.match(again, { type: 'down', reason: 'normal' })
  })
})

t.test(
  'timers fire in the order of their deadlines, go with their destination, and are read and cancelled',
  async t => {
    const { run, move } = world(t)
    const order: unknown[] = []
    const done = run(async self => {
      self.sendAfter(30, self.self, 30)
      self.sendAfter(10, self.self, 10)
      const ref = self.startTimer(20, self.self, 20)
      const gone = self.sendAfter(15, self.self, 15)
      t.equal(self.readTimer(gone), 15)
      t.equal(self.cancelTimer(gone), 15)
      t.equal(self.cancelTimer(gone), false)
      const idle = self.run(() => new Promise(() => {}))
      const toIdle = self.sendEvery(5, idle, 'tick')
      self.exit(idle, 'kill')
      t.equal(self.readTimer(toIdle), false)
      for (let i = 0; i < 3; i++) order.push(await self.receive())
      t.match(order, [10, { type: 'timer', ref, message: 20 }, 30])
      t.throws(() => self.sendAfter(-1, self.self, 0), RangeError)
    })
    await turns()
    for (let i = 0; i < 6; i++) await move(5)
    await done
  },
)

t.test('definitions and options that are wrong are refused with what was expected and what came', async t => {
  const { actors } = world(t)
  const define = defineActor as unknown as (name: unknown, spec: unknown) => unknown
  t.throws(() => define('', {}), /name: expected 1 to 255 of letters/)
  t.throws(() => define('x', { init: 3 }), /init: expected a function, got 3/)
  t.throws(() => define('x', {}), /init: expected a function, got undefined/)
  t.throws(() => define('x', { init() {}, call: {} }), /unknown key "call"; expected one of init, /)
  t.throws(() => define('x', { init() {}, calls: { a: 1 } }), /calls.a: expected a function, got 1/)
  t.throws(() => actors.spawn(undefined, {} as AnyActor, 1), /expected what defineActor returned/)
  t.throws(() => actors.spawn(undefined, mutes, 1, { nme: 'x' } as SpawnOptions), /unknown option "nme"/)
  t.throws(() => actors.spawn(undefined, mutes, 1, { link: true }), /link: expected to be used by a process/)
})

t.test('a full mailbox: policy by policy', async t => {
  for (const [policy, answers, kept] of [
    ['fail', ['ok', 'ok', 'full'], [1, 2]],
    ['drop-new', ['ok', 'ok', 'full'], [1, 2]],
    ['drop-old', ['ok', 'ok', 'ok'], [2, 3]],
  ] as const) {
    const { spawn } = world(t, { limits: { ...LIMITS, mailboxMax: 2 }, mailboxPolicy: policy })
    const seen: unknown[] = []
    const ref = await spawn(
      defineActor('small', {
        init: () => ({}),
        info: (_s, signal) => {
          if (signal.type === 'message') seen.push(signal.message)
        },
      }),
    )
    t.strictSame(
      [1, 2, 3].map(n => ref.send(n)),
      answers,
      policy,
    )
    await turns()
    t.strictSame(seen, kept, policy)
  }
})

t.test('refs print well, equal themselves, and speak for who took them', async t => {
  const { spawn, run } = world(t)
  const mute = await spawn(mutes)
  t.match(String(mute), /^mute <a\.0000000000ab\.\d+>$/)
  t.equal(JSON.stringify({ mute }), `{"mute":"${String(mute)}"}`)
  const who = await spawn(
    defineActor('who', { init: () => ({}), calls: { asks: (_s, _p: undefined, ctx) => ctx.from.pid } }),
  )
  await run(async self => {
    t.equal(await self.ref(who).call('asks'), self.self)
    t.equal(await self.call(who, 'asks'), self.self)
  })
})

t.test('100,000 linked processes die of one exit without a stack', async t => {
  const { actors } = world(t)
  const idle = (): Promise<void> => new Promise(() => {})
  let first: Pid | undefined
  let before: Pid | undefined
  for (let i = 0; i < 100_000; i++) {
    const pid = actors.run(undefined, idle)
    if (before !== undefined) actors.table.link(actors.table.find(before)!, pid)
    first ??= pid
    before = pid
  }
  actors.table.exit(actors.outside, first as Pid, 'boom')
  t.equal(actors.table.size, 0)
})

const mutes = defineActor('mute', {
  init: () => ({}),
  calls: {
    never: () => new Promise<void>(() => {}),
    later: (_s, _p: undefined, ctx) => ctx.later<number>(),
  },
})

t.test('a start whose link or monitor is one too many leaves no process and no name behind', async t => {
  const limits = { ...LIMITS, perProcessMax: 1 }
  const { actors, run } = world(t, { limits })
  const plain = defineActor('plain', { init: () => ({}) })
  await run(async self => {
    const full = { message: `${self.self} has 1 links, as many as it may` }
    await self.spawn(plain, undefined, { link: true })
    self.monitor(self.run(s => s.receive()))
    self.trapExit(true)
    const { size } = actors.table
    const before = actors.stats()
    await t.rejects(self.spawn(plain, undefined, { link: true, name: 'taken', scope: 'node' }), full)
    t.throws(() => self.run(() => {}, { link: true, name: 'taken' }), full)
    await t.rejects(self.spawn(plain, undefined, { monitor: true, name: 'taken', scope: 'node' }), {
      message: `${self.self} holds 1 monitors, as many as it may`,
    })
    t.equal(actors.table.size, size, 'no process')
    t.equal(actors.stats()['process.names'], before['process.names'], 'no name')
    await self.spawn(plain, undefined, { name: 'taken', scope: 'node' })
    await t.rejects(self.receive(undefined, { timeoutMs: 0 }), { code: 'ERR_TIMEOUT' }, 'and nobody is told')
  })
})

t.test('a start whose monitor is one too many takes its link back, and nobody is told', async t => {
  const { actors, run } = world(t, { limits: { ...LIMITS, perProcessMax: 1 } })
  const plain = defineActor('plain', { init: () => ({}) })
  await run(async self => {
    self.trapExit(true)
    self.monitor(self.run(s => s.receive()))
    await t.rejects(self.spawn(plain, undefined, { link: true, monitor: true }), RangeError)
    t.equal(actors.table.find(self.self)?.ties?.links?.size, 0)
    await t.rejects(self.receive(undefined, { timeoutMs: 0 }), { code: 'ERR_TIMEOUT' })
  })
})
