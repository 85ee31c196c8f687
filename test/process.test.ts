import fc from 'fast-check'
import t from 'tap'
import type { NameResolver } from '../lib/actor/actors.js'
import type { From, Self } from '../lib/actor/api.js'
import { defineActor } from '../lib/actor/define.js'
import { refExtensions } from '../lib/actor/ref-extensions.js'
import { isRef, type NamedRef, type PinnedRef } from '../lib/actor/refs.js'
import { isSignal } from '../lib/actor/signals.js'
import { TroupeError } from '../lib/base/errors.js'
import { IdSpace } from '../lib/base/id-space.js'
import { Pid, parseNodeId, Ref } from '../lib/base/ids.js'
import { LIMITS } from '../lib/base/limits.js'
import { Cast, DownSignal, Encoded, ExitSignal, Request } from '../lib/process/mail.js'
import { PendingCalls } from '../lib/process/pending-calls.js'
import { Process } from '../lib/process/process.js'
import { ProcessIndex } from '../lib/process/process-index.js'
import type { Remote } from '../lib/process/remote.js'
import { TimerHeap, type Timing } from '../lib/process/timer-heap.js'
import { createCodec } from '../lib/wire/create-codec.js'
import { handClock, turns, world } from './support/actor-world.js'

const OTHER = parseNodeId('b')
const foreign = (serial: number): Pid => new Pid(OTHER, 0xcd, serial)
const foreignRef = (counter: number): Ref => new Ref(OTHER, 0xcd, counter)
const forever = (): Promise<never> => new Promise(() => {})

type Value = object | string | number

const echo = defineActor('echo', {
  init: () => ({ seen: [] as unknown[] }),
  calls: {
    echo: (_s, value: Value) => value,
    seen: state => state.seen,
    never: () => forever(),
    later: (_s, _p: undefined, ctx) => ctx.later<number>(),
  },
  casts: { note: (state, value: Value) => void state.seen.push(['cast', value]) },
  info: (state, signal) => void state.seen.push(signal.type === 'message' ? signal.message : signal),
})

t.test('exit signals: every row of the table', async t => {
  // reason → what an aimed signal and a broken link do to: a process that does not trap, one that does, the sender.
  const rows = [
    ['normal', 'lives', 'told normal', 'dies normal'],
    ['shutdown', 'dies shutdown', 'told shutdown', 'dies shutdown'],
    ['boom', 'dies boom', 'told boom', 'dies boom'],
    ['kill', 'dies killed', 'dies killed', 'dies killed'],
    ['killed', 'dies killed', 'told killed', 'dies killed'],
    ['noproc', 'dies noproc', 'told noproc', 'dies noproc'],
    ['noconnection', 'dies noconnection', 'told noconnection', 'dies noconnection'],
  ] as const
  for (const [reason, plain, trapping, itself] of rows) {
    const { run, actors } = world(t)
    const fate = (
      self: Self,
      trap: boolean,
      act: (pid: Pid) => void,
      quick?: (me: Self) => void,
    ): Promise<string> => {
      let told: string | undefined
      const pid = self.run(
        async me => {
          quick?.(me)
          const mail = await me.receive()
          told = isSignal(mail) && mail.type === 'exit' ? `told ${mail.reason}` : `odd ${String(mail)}`
          await forever()
        },
        { trapExit: trap },
      )
      const ref = self.monitor(pid)
      act(pid)
      return turns().then(async () => {
        if (told !== undefined) return told
        if (actors.table.find(pid) !== undefined) return 'lives'
        const down = await self.receive(mail => mail instanceof DownSignal && mail.ref === ref, {
          timeoutMs: 0,
        })
        return `dies ${(down as DownSignal).reason}`
      })
    }
    const seen = await run(async self => [
      await fate(self, false, pid => self.exit(pid, reason)),
      await fate(self, true, pid => self.exit(pid, reason)),
      await fate(
        self,
        false,
        () => {},
        me => me.exit(me.self, reason),
      ),
    ])
    t.strictSame(seen, [plain, trapping, itself], `exit(pid, ${reason})`)
    // Along a link kill is a reason like any other.
    const partner = (self: Self) => (pid: Pid) =>
      self.run(me => {
        me.link(pid)
        me.exit(reason)
      })
    const linked = await run(async self => [
      await fate(self, false, partner(self)),
      await fate(self, true, partner(self)),
    ])
    const asIs = reason === 'kill' ? 'kill' : reason
    t.strictSame(
      linked,
      [reason === 'normal' ? 'lives' : `dies ${asIs}`, `told ${asIs}`],
      `a link broken by ${reason}`,
    )
  }
})

t.test('isSignal knows signals from messages that look like one', async t => {
  const { run } = world(t)
  await run(async self => {
    self.trapExit(true)
    self.send(self.self, { type: 'exit', pid: self.self, reason: 'forged' })
    self.send(self.self, new ExitSignal(self.self, 'handed on'))
    self.exit(self.self, 'real')
    self.monitor(foreign(1))
    self.startTimer(0, self.self, 'now')
    const kinds: unknown[] = []
    for (let i = 0; i < 4; i++) kinds.push(isSignal(await self.receive()))
    t.strictSame(kinds, [false, false, true, true])
  })
})

t.test(
  'timers of the heap fire once, in the order of deadline and then of creation, and cancelled ones never',
  async t => {
    const command = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({ do: fc.constant('set' as const), ms: fc.integer({ min: 0, max: 60 }) }),
      },
      { weight: 3, arbitrary: fc.record({ do: fc.constant('cancel' as const), which: fc.nat(60) }) },
      {
        weight: 1,
        arbitrary: fc.record({ do: fc.constant('move' as const), ms: fc.integer({ min: 0, max: 20 }) }),
      },
    )
    fc.assert(
      fc.property(fc.array(command, { minLength: 40, maxLength: 150 }), commands => {
        const { clock, jump, alarms } = handClock()
        const heap = new TimerHeap(clock)
        const fired: number[] = []
        const expected: number[] = []
        let model: { id: number; atMs: number }[] = []
        const timings: Timing[] = []
        const move = (ms: number): void => {
          const untilMs = clock.now() + ms
          const due = model
            .filter(timer => timer.atMs <= untilMs)
            .sort((a, b) => a.atMs - b.atMs || a.id - b.id)
          expected.push(...due.map(timer => timer.id))
          model = model.filter(timer => timer.atMs > untilMs)
          jump(ms)
        }
        for (const step of commands) {
          if (step.do === 'set') {
            const id = timings.length
            model.push({ id, atMs: clock.now() + step.ms })
            timings.push(heap.after(step.ms, () => void fired.push(id)))
          } else if (step.do === 'cancel') {
            const timing = timings[step.which]
            const known = model.find(timer => timer.id === step.which)
            const left = timing === undefined ? undefined : heap.cancel(timing)
            if (left !== (known === undefined ? undefined : known.atMs - clock.now())) return false
            model = model.filter(timer => timer !== known)
          } else move(step.ms)
          if (heap.size !== model.length || alarms.size > 1) return false
        }
        move(100)
        return fired.join() === expected.join() && heap.size === 0 && alarms.size === 0
      }),
      { numRuns: 500, seed: 7 },
    )
    t.pass('500 runs against a sorted list')
  },
)

t.test(
  'calls expire in the order in which they were made, whatever their timeouts, and leave nothing',
  async t => {
    const { clock, jump } = handClock()
    const calls = new PendingCalls(new TimerHeap(clock), 1_000, undefined)
    const over: string[] = []
    const open = (tag: string, timeoutMs: number): Request => {
      const request = calls.open({
        asker: undefined,
        caller: foreign(1),
        to: foreign(2),
        tag,
        payload: undefined,
        timeoutMs,
        signal: undefined,
      })
      request.promise.then(
        value => over.push(`${tag} ${value}`),
        error => over.push(`${tag} ${error.code}`),
      )
      return request
    }
    for (const tag of ['a', 'b', 'c', 'd']) open(tag, 50)
    const answered = open('e', 50)
    jump(20)
    open('f', 50)
    answered.reply('yes')
    answered.reply('again')
    answered.fail(new TroupeError('ERR_EXIT', 'late'))
    jump(30)
    await turns()
    t.strictSame(over, ['e yes', ...['a', 'b', 'c', 'd'].map(tag => `${tag} ERR_TIMEOUT`)])
    t.equal(calls.timedOut, 4)
    jump(20)
    await turns()
    t.equal(over.at(-1), 'f ERR_TIMEOUT')
    t.equal(calls.size, 0)
  },
)

t.test('at the end of a node every call that waits fails, those with a timer of their own too', async t => {
  const { spawn, actors } = world(t)
  const ref = await spawn(echo)
  const fates: unknown[] = []
  for (let i = 0; i < 70; i++) {
    actors
      .ask(undefined, ref.pid, undefined, 'never', undefined, { timeoutMs: 1_000 + i })
      .catch(error => fates.push(error.code))
  }
  t.equal(actors.stats()['process.calls.unlisted'], 70 - 64, '64 timeouts have lists')
  actors.table.calls.failAll(new TroupeError('ERR_STOPPED', 'over'))
  await turns()
  t.strictSame(new Set(fates), new Set(['ERR_STOPPED']))
  t.equal(fates.length, 70)
  t.equal(actors.table.calls.size, 0)
  t.equal(actors.stats()['process.calls.unlisted'], 0)
})

t.test(
  'a use of a named ref waits while the name is between holders, in order, and never for more than its time',
  async t => {
    const waits: { timeoutMs: number; then: (pid: Pid | undefined) => void }[] = []
    let holder: Pid | 'pending' | undefined = 'pending'
    const names: NameResolver = {
      resolve: () => holder,
      wait: (_name, timeoutMs) => new Promise(then => waits.push({ timeoutMs, then })),
    }
    const { spawn, actors, deadLetters, clock, jump, move } = world(t, {
      names,
      limits: { ...LIMITS, nameWaitersMax: 4 },
    })
    const ref = await spawn(echo)
    const named = actors.named(undefined, 'n', echo)
    t.equal(named.pid, undefined)
    t.equal(named.send(1), 'ok')
    t.equal(named.cast('note', 2), 'ok')
    const asked = named.call('echo', 3, { timeoutMs: 100 })
    t.equal(named.send(4), 'ok')
    t.equal(named.send('refused'), 'full')
    await t.rejects(named.call('echo', 'refused'), { code: 'ERR_BUSY' })
    t.equal(actors.stats()['process.names.waitersRefused'], 2)
    t.equal(waits.length, 1, 'one question for all')
    jump(60)
    holder = ref.pid
    waits[0]?.then(ref.pid)
    t.equal(await asked, 3)
    t.strictSame(await ref.call('seen'), [1, ['cast', 2], 4])
    t.equal(named.send(5), 'ok')
    t.strictSame(await ref.call('seen'), [1, ['cast', 2], 4, 5], 'with a holder nothing waits')

    holder = 'pending'
    named.send('lost')
    const late = t.rejects(named.call('echo', 1, { timeoutMs: 100 }), {
      code: 'ERR_TIMEOUT',
      detail: { name: 'n', timeoutMs: 100 },
    })
    waits[1]?.then(undefined)
    await turns()
    t.equal(waits.length, 3, 'who still waits looks out again')
    await move(100)
    await late
    t.strictSame(deadLetters, [], 'a message waits longer than the call')
    await move(4_900)
    t.match(deadLetters, [{ to: 'n', message: 'lost' }])
    holder = undefined
    waits[2]?.then(undefined)
    await turns()
    await t.rejects(named.call('echo', 1), { code: 'ERR_NOPROC' })
    t.equal(named.send('lost too'), 'ok')
    t.equal(deadLetters.length, 2)
    t.ok(clock.now() > 0)
  },
)

t.test('what is left of the time of a call is what its waiting for a holder left', async t => {
  let then: (pid: Pid | undefined) => void = () => {}
  const names: NameResolver = {
    resolve: () => 'pending',
    wait: () => new Promise(resolve => (then = resolve)),
  }
  const { spawn, actors, jump, move } = world(t, { names })
  const ref = await spawn(echo)
  let fate: unknown
  actors
    .named(undefined, 'n')
    .call('never', undefined, { timeoutMs: 100 })
    .catch(error => (fate = error.code))
  jump(60)
  then(ref.pid)
  await turns()
  await move(39)
  t.equal(fate, undefined)
  await move(1)
  t.equal(fate, 'ERR_TIMEOUT')
})

t.test(
  'what waited for a holder and cannot be sent to it is a dead letter, and the others are sent',
  async t => {
    let then: (pid: Pid | undefined) => void = () => {}
    const names: NameResolver = {
      resolve: () => 'pending',
      wait: () => new Promise(resolve => (then = resolve)),
    }
    const copyLocal = (value: unknown): unknown => {
      if (value === 'bad') throw new TroupeError('ERR_PAYLOAD', 'bad may not cross')
      return value
    }
    const { spawn, actors, deadLetters } = world(t, { names, copyLocal })
    const ref = await spawn(echo)
    const named = actors.named(undefined, 'n')
    named.send('bad')
    named.cast('nonsense')
    named.send('good')
    then(ref.pid)
    await turns()
    t.strictSame(await ref.call('seen'), ['good'])
    t.strictSame(
      deadLetters.map(({ to, message }) => [to, message]),
      [
        ['n', 'bad'],
        ['n', undefined],
      ],
    )
  },
)

t.test('refs cross nodes as they are, unbound, and what is no ref is refused', async t => {
  const { actors, ids, spawn } = world(t)
  const extensions = refExtensions(actors)
  const codec = createCodec({ limits: LIMITS, ids, extensions })
  const through = <T>(value: T): T => {
    const bytes = codec.encode(value, 0, 'payload')
    return codec.decode(bytes, 0, bytes.length) as T
  }
  const ref = await spawn(echo)
  const named = actors.named(undefined, 'n', echo)
  const far = actors.ref(ids.pid(OTHER, 0xcd, 9), { defName: 'echo' })
  const back = through({ list: [ref, named, far] as unknown[] }).list as [PinnedRef, NamedRef, PinnedRef]
  t.ok(back.every(isRef))
  t.strictSame(back.map(String), [ref, named, far].map(String))
  t.equal(back[0].pid, ref.pid, 'an own pid is the same object again')
  t.equal(await back[0].call('echo', 7), 7)
  t.strictSame(
    back.map(one => one.definition),
    ['echo', 'echo', 'echo'],
  )
  for (const { read } of extensions as unknown as { read(data: unknown): unknown }[]) {
    for (const bad of [
      7,
      [],
      [1, null],
      ['', null],
      [ref.pid, 3],
      ['n', {}],
      [ref.pid, 'echo', 1],
      [null, null],
    ]) {
      if (Array.isArray(bad) && bad.length === 2 && bad[1] === null && bad[0] instanceof Pid) continue
      t.throws(() => read(bad), { code: 'ERR_PAYLOAD' }, JSON.stringify(bad))
    }
  }
})

t.test(
  'copyLocal sees everything that passes between processes, once, with the name of what it is',
  async t => {
    const seen: [string, unknown][] = []
    const copyLocal = (value: unknown, where: string): unknown => {
      seen.push([where, value])
      if (value === 'bad') throw new TroupeError('ERR_PAYLOAD', `${where}: no`)
      return typeof value === 'object' && value !== null && !(value instanceof Pid)
        ? structuredClone(value)
        : value
    }
    const { spawn } = world(t, { copyLocal })
    const box = { n: 1 }
    const ref = await spawn(echo)
    ref.send(box)
    ref.cast('note', box)
    t.strictSame(await ref.call('echo', box), box)
    t.not(await ref.call('echo', box), box)
    t.strictSame(
      seen.map(([where]) => where),
      ['args', 'message', 'payload', 'payload', 'reply', 'payload', 'reply'],
    )
    t.throws(() => ref.send('bad'), { code: 'ERR_PAYLOAD' })
    t.throws(() => ref.cast('note', 'bad'), { code: 'ERR_PAYLOAD' })
    await t.rejects(ref.call('echo', 'bad'), { code: 'ERR_PAYLOAD' })
    t.strictSame(await ref.call('echo', 1), 1, 'the callee lives')
  },
)

t.test('a reply that cannot be copied ends the callee with bad_return_value', async t => {
  const copyLocal = (value: unknown, where: string): unknown => {
    if (where === 'reply') throw new TroupeError('ERR_PAYLOAD', 'no way')
    return value
  }
  const { spawn, actors } = world(t, { copyLocal })
  const ref = await spawn(echo)
  await t.rejects(ref.call('echo', 1), {
    code: 'ERR_EXIT',
    detail: { reason: { bad_return_value: '1', why: 'no way' } },
  })
  t.equal(actors.table.size, 0)
})

t.test(
  'with attribute a rejection that nobody handled crashes the process that made it, and no other',
  async t => {
    const { spawn, reject, crashes, actors, listeners } = world(t, { attribute: true })
    const stray = new Error('stray')
    let taken: boolean[] = []
    const careless = defineActor('careless', {
      init: () => ({}),
      calls: {
        float: async () => {
          await null
          setImmediate(() => (taken = reject(stray)))
        },
      },
    })
    const [first, second] = [await spawn(careless), await spawn(careless)]
    await first.call('float')
    await turns()
    t.strictSame(taken, [true])
    t.equal(actors.table.find(first.pid), undefined)
    t.ok(actors.table.find(second.pid))
    t.match(crashes, [{ pid: first.pid, reason: stray }])
    t.strictSame(reject(stray), [false], 'what was made outside follows the default')
    actors.close()
    t.equal(listeners.size, 0)
  },
)

t.test(
  'with attribute a ref from outside speaks for its user after awaits, without it only before',
  async t => {
    const who = defineActor('who', {
      init: () => ({}),
      calls: { asks: (_s, _p: undefined, ctx) => ctx.from.pid },
    })
    for (const attribute of [true, false]) {
      const { spawn, run, actors } = world(t, { attribute })
      const ref = await spawn(who)
      await run(async self => {
        t.equal(await ref.call('asks'), attribute ? self.self : self.self)
        await turns()
        t.equal(await ref.call('asks'), attribute ? self.self : actors.outside)
      })
    }
  },
)

t.test('a zombie can do nothing: its sends, calls and refs throw, and its end changes nothing', async t => {
  const { spawn, actors, crashes, node } = world(t)
  const target = await spawn(echo)
  const tried: unknown[] = []
  let woken: () => void = () => {}
  const zombie = await spawn(
    defineActor('zombie', {
      init: () => ({}),
      calls: {
        rise: async (_s, _p: undefined, ctx) => {
          const ref = ctx.ref(target)
          const from: From = ctx.from
          await new Promise<void>(resolve => (woken = resolve))
          const attempts = [
            () => ctx.send(target, 'x'),
            () => ref.send('x'),
            () => ref.cast('note', 'x'),
            () => ctx.link(target.pid),
            () => ctx.monitor(target.pid),
            () => ctx.exit(target.pid, 'kill'),
            () => ctx.sendAfter(0, target.pid, 'x'),
            () => ctx.run(() => {}),
          ]
          for (const attempt of attempts) {
            try {
              tried.push(attempt())
            } catch (error) {
              tried.push((error as TroupeError).code)
            }
          }
          tried.push(await ref.call('echo', 1).catch(error => error.code))
          from.reply('from the grave')
          throw new Error('unheard')
        },
      },
    }),
  )
  const asked = t.rejects(zombie.call('rise'), { code: 'ERR_EXIT', detail: { reason: 'killed' } })
  await turns()
  actors.table.exit(node.self, zombie.pid, 'kill')
  await asked
  woken()
  await turns()
  t.strictSame(tried, new Array(9).fill('ERR_DEAD'))
  t.strictSame(await target.call('seen'), [])
  t.strictSame(crashes, [])
})

t.test('aliases: what ends each kind', async t => {
  const { run, actors } = world(t)
  await run(async self => {
    const idle = (): Pid => self.run(() => forever())
    const arrives = (ref: Ref): boolean => {
      const before = actors.table.counters.deadLetters
      self.send(ref, 'x')
      return actors.table.counters.deadLetters === before
    }
    const kinds = ['demonitor', 'reply_demonitor', 'explicit_unalias'] as const
    const rows = kinds.map(alias => {
      const made = (): Ref => self.monitor(idle(), { alias })
      const twice = made()
      const demonitored = made()
      self.demonitor(demonitored)
      const watched = idle()
      const down = self.monitor(watched, { alias })
      self.exit(watched, 'kill')
      const unaliased = made()
      self.unalias(unaliased)
      const first = arrives(twice)
      return [
        alias,
        first,
        arrives(twice),
        arrives(demonitored),
        arrives(down),
        arrives(unaliased),
        self.demonitor(twice),
      ]
    })
    t.strictSame(rows, [
      // kind, first, second, after demonitor, after down, after unalias, the monitor lives
      ['demonitor', true, true, false, false, false, true],
      ['reply_demonitor', true, false, false, false, false, false],
      ['explicit_unalias', true, true, true, true, false, true],
    ])
    const plain = self.alias()
    const single = self.alias({ reply: true })
    t.strictSame(
      [arrives(plain), arrives(plain), arrives(single), arrives(single)],
      [true, true, true, false],
    )
    t.equal(self.unalias(plain), true)
    t.equal(self.unalias(plain), false)
    t.equal(self.unalias(foreignRef(1)), false)
  })
  await turns()
  t.equal(actors.stats()['process.aliases'], 0, 'the rest went with their owner')
})

// Processes of other nodes.

class Bytes extends Encoded {
  readonly byteLength: number
  readonly value: unknown

  constructor(byteLength: number, value: unknown) {
    super()
    this.byteLength = byteLength
    this.value = value
  }

  open(): unknown {
    if (this.value === 'rotten') throw new TroupeError('ERR_PAYLOAD', 'rotten')
    return this.value
  }
}

class Asking extends Request {
  settled = false
  answer: unknown

  reply(value: unknown): void {
    this.settled = true
    this.answer = value
  }

  fail(error: TroupeError): void {
    this.settled = true
    this.answer = error.code
  }
}

function fakeRemote() {
  const log: unknown[][] = []
  const note =
    (what: string) =>
    (...args: unknown[]): void =>
      void log.push([what, ...args])
  const sent =
    (what: string) =>
    (...args: unknown[]) => {
      log.push([what, ...args])
      return 'busy' as const
    }
  const remote: Remote = {
    send: sent('send'),
    cast: sent('cast'),
    request: note('request'),
    abandon: note('abandon'),
    link: note('link'),
    unlink: note('unlink'),
    exit: note('exit'),
    linkBroken: note('linkBroken'),
    monitor: note('monitor'),
    demonitor: note('demonitor'),
    down: note('down'),
  }
  return { remote, log }
}

t.test('signals to other nodes go to Remote, once each, and what comes back is believed once', async t => {
  const { remote, log } = fakeRemote()
  const { run, actors } = world(t, { remote })
  const peer = foreign(1)
  const { local } = actors.table
  await run(async self => {
    const me = self.self
    const take = (): unknown[][] => log.splice(0)
    t.equal(self.send(peer, 'hello'), 'busy')
    t.equal(self.send({ name: 'x', node: OTHER }, 'hello'), 'busy')
    t.strictSame(
      take().map(([what]) => what),
      ['send', 'send'],
    )
    self.link(peer)
    self.link(peer)
    t.strictSame(take(), [['link', me, peer]], 'at most one link of a pair')
    self.trapExit(true)
    local.linkExit(peer, me.serial, 'gone')
    local.linkExit(peer, me.serial, 'gone twice')
    t.match(await self.receive(), { type: 'exit', pid: peer, reason: 'gone' })
    self.link(peer)
    self.unlink(peer)
    self.unlink(peer)
    local.linkExit(peer, me.serial, 'late')
    t.strictSame(take(), [
      ['link', me, peer],
      ['unlink', me, peer],
    ])
    const ref = self.monitor(peer, { tag: 'T' })
    t.strictSame(take(), [['monitor', me, ref, peer]])
    local.down(me.serial, ref, peer, 'noconnection')
    local.down(me.serial, ref, peer, 'again')
    t.match(await self.receive(), { type: 'down', ref, pid: peer, reason: 'noconnection', tag: 'T' })
    const other = self.monitor({ name: 'x', node: OTHER })
    t.equal(self.demonitor(other), true)
    local.down(me.serial, other, peer, 'late')
    t.strictSame(
      take().map(([what]) => what),
      ['monitor', 'demonitor'],
    )
    self.exit(peer, 'boom')
    t.strictSame(take(), [['exit', me, peer, 'boom']])
    t.equal(await self.receive(undefined, { timeoutMs: 0 }).catch(error => error.code), 'ERR_TIMEOUT')
    self.link(peer)
    self.monitor(peer)
    take()
  })
  await turns()
  t.strictSame(
    log.map(([what]) => what),
    ['demonitor', 'linkBroken'],
    'the death of the watcher takes its monitor back and breaks its link',
  )
})

t.test('foreign links and monitors: told of the death in order, names free before, gone after', async t => {
  const { remote, log } = fakeRemote()
  const { actors, spawn } = world(t, { remote })
  const { local } = actors.table
  const ref = await spawn(echo, undefined, { name: 'n', scope: 'node' })
  const { serial } = ref.pid
  t.equal(local.find(serial), ref.pid)
  t.equal(local.find('n'), ref.pid)
  t.strictSame(
    [local.linkFrom(foreign(1), 999), local.monitorFrom(foreign(1), foreignRef(9), 'nobody')],
    [false, false],
  )
  for (const n of [1, 2]) t.equal(local.linkFrom(foreign(n), serial), true)
  for (const n of [1, 2, 3])
    t.equal(local.monitorFrom(foreign(n), foreignRef(n), n === 2 ? 'n' : serial), true)
  t.equal(local.monitorFrom(foreign(1), foreignRef(1), serial), true, 'the same one once more')
  local.unlinkFrom(foreign(2), serial)
  local.demonitorFrom(foreign(3), foreignRef(3))
  local.exitFrom(foreign(7), serial, 'normal')
  t.ok(actors.table.find(ref.pid))
  local.exitFrom(foreign(7), serial, 'boom')
  t.strictSame(log, [
    ['linkBroken', ref.pid, foreign(1), 'boom'],
    ['down', ref.pid, foreign(1), foreignRef(1), 'boom'],
    ['down', ref.pid, foreign(2), foreignRef(2), 'boom'],
  ])
  t.equal(local.find(serial), undefined)
  t.equal(local.find('n'), undefined)
  t.equal(local.deliver(serial, new Cast('note', 1)), 'noproc')
})

t.test('mail from other nodes is opened in its turn, and bad bytes harm one delivery', async t => {
  const { actors, spawn, deadLetters } = world(t)
  const { local } = actors.table
  const ref = await spawn(echo)
  const to = ref.pid.serial
  const asks = ['fine', 'rotten'].map(value => new Asking('echo', new Bytes(4, value), foreign(1)))
  const unknown = new Asking('nothing', new Bytes(1, 1), foreign(1))
  for (const mail of [new Bytes(4, 'm'), new Bytes(4, 'rotten'), new Cast('note', new Bytes(4, 'c'))])
    local.deliver(to, mail)
  for (const mail of [new Cast('note', new Bytes(4, 'rotten')), ...asks, unknown]) local.deliver(to, mail)
  t.strictSame(await ref.call('seen'), ['m', ['cast', 'c']])
  t.strictSame(
    asks.map(ask => ask.answer),
    ['fine', 'ERR_PAYLOAD'],
  )
  t.equal(unknown.answer, 'ERR_UNKNOWN_TAG')
  t.equal(deadLetters.length, 2)
  t.equal(actors.table.find(ref.pid)?.mailBytes, 0)
  const kept = new Asking('later', undefined, foreign(1))
  local.deliver(to, kept)
  await ref.stop('enough')
  t.equal(kept.answer, 'ERR_EXIT', 'what it promised to answer fails with it')
})

t.test('undecoded bytes count against the mailbox until they are taken out, policy by policy', async t => {
  for (const [policy, answers, seen, counters] of [
    ['fail', ['ok', 'ok', 'full', 'ok'], [1, 2, 'small'], { refused: 2, dropped: 0 }],
    ['drop-new', ['ok', 'ok', 'full', 'ok'], [1, 2, 'small'], { refused: 0, dropped: 2 }],
    ['drop-old', ['ok', 'ok', 'ok', 'ok'], [3, 'small'], { refused: 0, dropped: 3 }],
  ] as const) {
    const limits = { ...LIMITS, mailboxBytesMax: 100 }
    const { actors, spawn } = world(t, { limits, mailboxPolicy: policy })
    const ref = await spawn(echo)
    const { serial } = ref.pid
    const { local } = actors.table
    const got = [40, 40, 80].map((bytes, i) => local.deliver(serial, new Bytes(bytes, i + 1)))
    t.strictSame([...got, ref.send('small')], answers, `${policy}: a message without bytes is not in the way`)
    t.equal(local.deliver(serial, new Bytes(101, 'never fits')), 'full')
    t.strictSame(await ref.call('seen'), seen, `${policy}: what can never fit takes nothing else with it`)
    t.equal(actors.table.find(ref.pid)?.mailBytes, 0)
    t.match(actors.table.counters, counters)
  }
})

t.test('unlink and demonitor flush what a ref or pid names, whichever object it is', async t => {
  const { actors, run } = world(t)
  const gone = foreign(7)
  const waiting = await run(async self => {
    self.trapExit(true)
    const ref = self.monitor(self.run(() => {}))
    await turns()
    actors.table.local.exitFrom(gone, self.self.serial, 'gone')
    self.demonitor(new Ref(ref.node, ref.creation, ref.counter), { flush: true })
    self.unlink(foreign(7), { flush: true })
    return self.receive(() => true, { timeoutMs: 0 }).catch((error: TroupeError) => error.code)
  })
  t.equal(waiting, 'ERR_TIMEOUT')
})

t.test('what throws where nothing may is told, and costs nobody else their death or their turn', async t => {
  const faults: unknown[] = []
  const throwing = (what: string) => (pid: Pid) => {
    if (pid.serial === ill.serial) throw new Error(what)
  }
  const { actors, run } = world(t, {
    hooks: {
      crash: () => {},
      deadLetter: () => {},
      died: throwing('died'),
      crowded: throwing('crowded'),
      slow: () => {},
      fault: (pid, error) => {
        faults.push([pid?.serial, (error as Error).message])
        throw error
      },
    },
  })
  const { table } = actors
  let ill = foreign(0)
  const downs = await run(async self => {
    ill = self.run(me => me.receive())
    const [next, last] = [self.run(() => forever()), self.run(me => me.receive())]
    const refs = [ill, next, last].map(pid => self.monitor(pid))
    await turns()
    const process = table.find(ill)!
    process.leaving = () => {
      throw new Error('leaving')
    }
    process.step = () => {
      throw new Error('receive')
    }
    self.send(ill, 'x')
    self.send(last, 'x')
    await turns()
    self.exit(next, 'next')
    await turns()
    const got: unknown[] = []
    for (const ref of refs) {
      const down = await self
        .receive(mail => mail instanceof DownSignal && mail.ref === ref, { timeoutMs: 0 })
        .catch(() => undefined)
      got.push((down as DownSignal | undefined)?.reason)
    }
    return got
  })
  t.strictSame(downs, [new Error('receive'), 'next', 'normal'])
  t.strictSame(faults, [
    [ill.serial, 'receive'],
    [ill.serial, 'died'],
    [ill.serial, 'leaving'],
  ])
  t.equal(actors.stats()['process.faults'], 3)
  t.equal(table.find(ill), undefined)
})

t.test('a process function gives back the bytes of all that it takes', async t => {
  const { actors } = world(t, { limits: { ...LIMITS, mailboxBytesMax: 100 } })
  const taken: unknown[] = []
  const pid = actors.run(undefined, async self => {
    for (;;) taken.push(await self.receive())
  })
  await turns()
  for (let i = 0; i < 3; i++) {
    const mail = [
      new Bytes(20, 'm'),
      new Cast('note', new Bytes(20, 'c')),
      new Cast('note', new Bytes(20, 'rotten')),
      new Asking('ask', new Bytes(20, 'r'), foreign(1)),
    ]
    t.strictSame(
      mail.map(one => actors.table.local.deliver(pid.serial, one)),
      ['ok', 'ok', 'ok', 'ok'],
    )
    await turns()
    t.equal(actors.table.find(pid)?.mailBytes, 0)
  }
  t.equal(taken.length, 9)
})

t.test('the stop of a process function is answered when it is dead', async t => {
  const { actors } = world(t)
  const waiting = actors.run(undefined, async self => void (await self.receive(() => false)))
  await turns()
  const other = actors.ask(undefined, waiting, undefined, 'never', undefined, undefined)
  const refused = t.rejects(other, { code: 'ERR_EXIT', detail: { reason: 'shutdown' } })
  t.equal(await actors.ref(waiting, {}).stop('shutdown'), undefined)
  t.equal(actors.table.find(waiting), undefined)
  await refused
})

// Fairness.

t.test('a process has a slice, then the others have their go', async t => {
  const { spawn } = world(t)
  const order: string[] = []
  const def = defineActor('noisy', {
    init: (name: string) => ({ name }),
    info: state => void order.push(state.name),
  })
  const [a, b] = [await spawn(def, 'a'), await spawn(def, 'b')]
  for (let i = 0; i < 150; i++) a.send(i)
  for (let i = 0; i < 3; i++) b.send(i)
  await turns()
  const first = order.indexOf('b')
  t.equal(first, 64)
  t.equal(order.join(''), `${'a'.repeat(64)}bbb${'a'.repeat(86)}`)
})

t.test('processes that wake each other for ever leave the loop its turns', async t => {
  const { run, actors } = world(t)
  let rounds = 0
  const partner = (): Pid =>
    actors.run(undefined, async self => {
      for (;;) {
        const to = await self.receive()
        rounds += 1
        self.send(to as Pid, self.self)
      }
    })
  await run(self => {
    self.send(partner(), partner())
  })
  let loops = 0
  for (; loops < 3; loops++) await new Promise(resolve => setImmediate(resolve))
  t.equal(loops, 3)
  t.ok(rounds > 20, `${rounds} messages meanwhile`)
  for (const process of [...actors.table.all()]) actors.table.die(process, 'killed')
})

t.test('a mailbox that grows is told of at each power of two, from 16,384', async t => {
  const { actors, crowded } = world(t)
  const pid = actors.run(undefined, () => forever())
  for (let i = 0; i < 70_000; i++) actors.sendTo(undefined, pid, i)
  t.strictSame(crowded, [16_384, 32_768, 65_536])
})

t.test('a mailbox that is full is told of with each message that does not fit', async t => {
  const { actors, crowded } = world(t, { limits: { ...LIMITS, mailboxMax: 3 } })
  const pid = actors.run(undefined, () => forever())
  for (let i = 0; i < 5; i++) actors.sendTo(undefined, pid, i)
  t.strictSame(crowded, [3, 3])
})

// The index.

class Mute extends Process {
  begin(): undefined {}
  receive(): undefined {}
  ended(): void {}
}

t.test('the index finds every live process and nobody else, whatever came and went', async t => {
  const ids = new IdSpace(parseNodeId('a'), 1, 10)
  const index = new ProcessIndex()
  const alive = new Map<number, Process>()
  const dead: Process[] = []
  const wrong: string[] = []
  for (let i = 0; i < 3_000; i++) {
    const process = new Mute(ids.newPid())
    index.add(process)
    alive.set(process.pid.serial, process)
    // Grows to 1,000, shrinks to some 100 survivors that are far apart, and grows again around them.
    if (i % 1_000 !== 999) continue
    for (const [serial, known] of alive) {
      if (serial % 10 === 0) continue
      alive.delete(serial)
      dead.push(known)
      index.remove(serial)
    }
    for (const [serial, known] of alive) {
      if (index.get(serial) !== known) wrong.push(`lost ${serial}`)
      const seen = index.glance(known.pid)
      if (seen !== undefined && seen !== known) wrong.push(`taken for another: ${serial}`)
    }
    for (const { pid } of dead) {
      if (index.get(pid.serial) !== undefined || index.glance(pid) !== undefined) wrong.push(`kept ${pid}`)
    }
  }
  t.strictSame(wrong, [])
  t.equal(index.size, 300)
  t.strictSame(
    [...index.all()].map(process => process.pid.serial),
    [...alive.keys()],
    'in the order in which they were made',
  )
  const stranger = new IdSpace(parseNodeId('b'), 1, 10).pid(parseNodeId('b'), 1, 10)
  t.equal(index.glance(stranger), undefined, 'the pid of another node with the serial of a live process')
})
