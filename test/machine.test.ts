/**
 * State machines: the cases of area `fsm`, by their ids; what the semantics say beside them; the pure step under random
 * scripts, against a model that is as plain as the laws read; definitions, typed by `machine.types.ts`; drawings.
 */
import fc from 'fast-check'
import t from 'tap'
import type { ActorProcess } from '../lib/actor/actor-process.js'
import { LIMITS } from '../lib/base/limits.js'
import {
  child,
  createNode,
  defineMachine,
  go,
  internal,
  type Node,
  postpone,
  repeat,
  type Signal,
  startSupervisor,
  stay,
  stop,
  toMermaid,
} from '../lib/index.js'
import * as step from '../lib/machine/step.js'
import type { Rules } from '../lib/machine/verdict.js'
import { world } from './support/actor-world.js'
import { bareNode } from './support/bare-node.js'
import { gate, puppet, reasonOf, refusal, watch } from './support/puppet.js'

type Log = { log: string[] }
const fresh = (): Log => ({ log: [] })
const noted = (data: Log, text: string): void => void data.log.push(text)

// --- postpone -------------------------------------------------------------------------------------------------------

/** In `a`, what begins with p is postponed; everything is taken down with its state. */
const sorter = defineMachine('sorter', {
  init: fresh,
  initial: 'a',
  states: {
    a: {
      casts: {
        do: (data, what: string) => {
          noted(data, `${what}(a)`)
          return what.startsWith('p') ? postpone() : stay()
        },
        go: data => {
          noted(data, 'go(a)')
          return go('b')
        },
        same: data => {
          noted(data, 'same(a)')
          return go('a')
        },
      },
    },
    b: {
      casts: {
        do: (data, what: string) => {
          noted(data, `${what}(b)`)
          return stay()
        },
      },
    },
  },
  any: { calls: { log: data => stay({ reply: data.log }) } },
})

t.test('fsm-001: what a postpones is handled again in b, once go has moved there', async t => {
  const { node } = await bareNode(t)
  const ref = await node.spawn(sorter)
  ref.cast('do', 'px')
  ref.cast('do', 'y')
  ref.cast('go')
  t.strictSame(await ref.call('log'), ['px(a)', 'y(a)', 'go(a)', 'px(b)'])
})

t.test('fsm-002: postponed events come in their order, ahead of newer ones', async t => {
  const { node } = await bareNode(t)
  const ref = await node.spawn(sorter)
  for (const what of ['p1', 'p2']) ref.cast('do', what)
  ref.cast('go')
  ref.cast('do', 'n1')
  const log = await ref.call('log')
  t.strictSame(
    log.filter(entry => entry.endsWith('(b)')),
    ['p1(b)', 'p2(b)', 'n1(b)'],
  )
})

t.test('fsm-003: the same state again replays nothing', async t => {
  const { node } = await bareNode(t)
  const ref = await node.spawn(sorter)
  ref.cast('do', 'px')
  ref.cast('same')
  t.strictSame(await ref.call('log'), ['px(a)', 'same(a)'])
})

t.test('fsm-004: inserted events come first, in the new state, then what was postponed', async t => {
  const { node } = await bareNode(t)
  const machine = defineMachine('inserter', {
    init: fresh,
    initial: 'a',
    states: {
      a: { casts: { x: postpone, go: () => go('b', { next: [internal('i', 1), internal('i', 2)] }) } },
      b: {
        casts: { x: data => stay({ data: { log: [...data.log, 'x(b)'] } }) },
        internal: { i: (data, n: number) => stay({ data: { log: [...data.log, `i${n}(b)`] } }) },
      },
    },
    any: { calls: { log: data => stay({ reply: data.log }) } },
  })
  const ref = await node.spawn(machine)
  ref.cast('x')
  ref.cast('go')
  t.strictSame(await ref.call('log'), ['i1(b)', 'i2(b)', 'x(b)'])
})

t.test('fsm-005: what handling an inserted event inserts comes before the others', async t => {
  const { node } = await bareNode(t)
  const machine = defineMachine('nested', {
    init: fresh,
    initial: 'a',
    states: {
      a: {
        casts: { begin: () => stay({ next: [internal('n', 1), internal('n', 2)] }) },
        internal: {
          n: (data, n: number) => {
            noted(data, String(n))
            return stay(n === 1 ? { next: internal('n', 11) } : {})
          },
        },
        calls: { log: data => stay({ reply: data.log }) },
      },
    },
  })
  const ref = await node.spawn(machine)
  ref.cast('begin')
  t.strictSame(await ref.call('log'), ['1', '11', '2'])
})

// --- enter calls ----------------------------------------------------------------------------------------------------

const entering = defineMachine('entering', {
  init: fresh,
  initial: 'a',
  states: {
    a: {
      enter: (data, from) => noted(data, `enter(a) from ${from}`),
      casts: {
        go: data => {
          noted(data, 'go')
          return go('b')
        },
        same: () => go('a'),
        repeat: () => repeat(),
      },
    },
    b: { enter: (data, from) => noted(data, `enter(b) from ${from}`) },
  },
  any: { calls: { log: data => stay({ reply: data.log }) } },
})

t.test('fsm-006: enter runs at the start and after a change, which it is told the old state of', async t => {
  const { node } = await bareNode(t)
  const ref = await node.spawn(entering)
  ref.cast('go')
  t.strictSame(await ref.call('log'), ['enter(a) from a', 'go', 'enter(b) from a'])
})

t.test('fsm-007: enter does not run for the same state again, and runs for repeat', async t => {
  const { node } = await bareNode(t)
  const ref = await node.spawn(entering)
  ref.cast('same')
  t.strictSame(await ref.call('log'), ['enter(a) from a'])
  ref.cast('repeat')
  t.strictSame(await ref.call('log'), ['enter(a) from a', 'enter(a) from a'])
})

t.test(
  'fsm-008: an enter that postpones or changes the state ends the machine, with that as the reason',
  async t => {
    const { node } = await bareNode(t)
    const expected = 'nothing, stay, stop, or go with the same state'
    const cases: [() => unknown, unknown][] = [
      [postpone, { bad_state_enter_return: { postpone: undefined }, state: 'b', expected }],
      [() => go('a'), { bad_state_enter_return: { go: 'a' }, state: 'b', expected }],
      [() => repeat(), { bad_state_enter_return: { repeat: undefined }, state: 'b', expected }],
      [async () => 'b', { bad_state_enter_return: 'b', state: 'b', expected }],
      [
        () => stay({ postpone: true }),
        {
          bad_state_enter_action: { postpone: true },
          state: 'b',
          expected: 'postpone: one of data, stateTimeout, eventTimeout, timeouts',
        },
      ],
      [
        () => stay({ next: internal('i') }),
        {
          bad_state_enter_action: { next: internal('i') },
          state: 'b',
          expected: 'next: one of data, stateTimeout, eventTimeout, timeouts',
        },
      ],
    ]
    for (const [enter, reason] of cases) {
      const machine = defineMachine('bad-enter', {
        init: fresh,
        initial: 'a',
        states: { a: { casts: { go: 'b' }, internal: { i: 'a' } }, b: { enter: enter as () => void } },
      })
      const ref = await node.spawn(machine)
      t.strictSame(await reasonOf(node, ref.pid, () => ref.cast('go')), reason)
    }
  },
)

// --- timeouts -------------------------------------------------------------------------------------------------------

/** Any timeout, set from outside, in two states that take down what comes. */
const clockwork = defineMachine('clockwork', {
  init: fresh,
  initial: 'a',
  states: { a: {}, b: {} },
  any: {
    casts: {
      set: (data, [to, options]: readonly ['a' | 'b' | undefined, Parameters<typeof stay>[0]]) => {
        noted(data, 'set')
        const given = options as {}
        return to === undefined ? stay(given) : go(to, given)
      },
      other: data => {
        noted(data, 'other')
        return stay()
      },
    },
    calls: { log: data => stay({ reply: data.log.splice(0) }) },
    stateTimeout: (data, payload, ctx) => {
      noted(data, `state ${payload} in ${ctx.state}`)
      return stay()
    },
    eventTimeout: (data, payload, ctx) => {
      noted(data, `event ${payload} in ${ctx.state}`)
      return stay()
    },
    timeouts: {
      t1: (data, payload, ctx) => {
        noted(data, `t1 ${payload} in ${ctx.state}`)
        return stay()
      },
      t2: (data, payload, ctx) => {
        noted(data, `t2 ${payload} in ${ctx.state}`)
        return stay()
      },
    },
  },
})
type Setting = Parameters<typeof stay>[0]

/** A process that was asked behind another has answered when that one has had its turn. */
const bystander = defineMachine('bystander', {
  init: () => ({}),
  initial: 'here',
  states: { here: { calls: { ping: 'here' } } },
})

async function clockworked(t: Parameters<typeof bareNode>[0]) {
  const { node, clock } = await bareNode(t)
  const ref = await node.spawn(clockwork)
  const beside = await node.spawn(bystander)
  return {
    /** Sets, by one cast each, and waits until that is done, without a further event for the machine. */
    async set(...casts: readonly (readonly ['a' | 'b' | undefined, Setting])[]) {
      for (const cast of casts) ref.cast('set', cast)
      await beside.call('ping')
    },
    /** What came within `ms`. */
    async after(ms: number) {
      clock.advance(ms)
      return (await ref.call('log')).filter(entry => entry !== 'set')
    },
    other: () => ref.cast('other'),
  }
}

t.test('fsm-009: a state timeout never comes when the state changes', async t => {
  const machine = await clockworked(t)
  await machine.set([undefined, { stateTimeout: 40 }], ['b', {}])
  t.strictSame(await machine.after(1_000), [])
})

t.test('fsm-010: a state timeout comes when the state is kept, or is the same again', async t => {
  const machine = await clockworked(t)
  await machine.set([undefined, { stateTimeout: { ms: 40, payload: 1 } }], [undefined, {}], ['a', {}])
  t.strictSame(await machine.after(39), [])
  t.strictSame(await machine.after(1), ['state 1 in a'])
})

t.test('fsm-011: an event timeout never comes when any event comes first', async t => {
  const machine = await clockworked(t)
  await machine.set([undefined, { eventTimeout: { ms: 40, payload: 1 } }])
  t.strictSame(await machine.after(40), ['event 1 in a'], 'without one it comes')
  await machine.set([undefined, { eventTimeout: 40 }])
  machine.other()
  t.strictSame(await machine.after(40), ['other'], 'a cast')
  await machine.set([undefined, { eventTimeout: 40, timeouts: { t1: 20 } }])
  t.strictSame([await machine.after(20), await machine.after(1_000)], [['t1 undefined in a'], []], 'a timer')
})

t.test('fsm-012: a named timeout comes with its name in whatever state there is', async t => {
  const machine = await clockworked(t)
  await machine.set([undefined, { timeouts: { t1: { ms: 40, payload: 1 } } }], ['b', {}])
  t.strictSame(await machine.after(40), ['t1 1 in b'])
})

t.test('fsm-013: two named timeouts are two events', async t => {
  const machine = await clockworked(t)
  await machine.set([undefined, { timeouts: { t2: 40, t1: 40 } }])
  t.strictSame(await machine.after(40), ['t2 undefined in a', 't1 undefined in a'])
})

t.test('fsm-014: a running state timeout is replaced, cancelled, or told another payload', async t => {
  const machine = await clockworked(t)
  await machine.set([undefined, { stateTimeout: { ms: 40, payload: 1 } }])
  await machine.set([undefined, { stateTimeout: { ms: 60, payload: 2 } }])
  t.strictSame([await machine.after(40), await machine.after(20)], [[], ['state 2 in a']], 'set again')
  for (const off of ['cancel', 'infinity', { ms: 'infinity' }] as const) {
    await machine.set([undefined, { stateTimeout: 40 }], [undefined, { stateTimeout: off }])
    t.strictSame(await machine.after(1_000), [], JSON.stringify(off))
  }
  await machine.set([undefined, { stateTimeout: { ms: 40, payload: 1 } }])
  await machine.after(30)
  await machine.set([undefined, { stateTimeout: { update: 2 } }])
  t.strictSame(
    [await machine.after(9), await machine.after(1)],
    [[], ['state 2 in a']],
    'updated: the same time',
  )
  await machine.set([undefined, { stateTimeout: { update: 3 } }])
  t.strictSame(await machine.after(0), ['state 3 in a'], 'none runs: an update comes at once')
})

t.test('fsm-015: a timeout of 0 ms is handled ahead of what is in the mailbox', async t => {
  const machine = await clockworked(t)
  const done = machine.set([undefined, { stateTimeout: 0, timeouts: { t1: 0 } }])
  machine.other()
  await done
  t.strictSame(await machine.after(0), ['state undefined in a', 't1 undefined in a', 'other'])
})

t.test(
  'fsm-016: a timer that fires while a slow handler runs is nobody’s after its change of state',
  async t => {
    const { node, clock } = await bareNode(t)
    for (const to of ['b', 'a'] as const) {
      const [begun, may] = [gate(), gate()]
      const machine = defineMachine('slow', {
        init: fresh,
        initial: () => go('a', { stateTimeout: 40 }),
        states: {
          a: {
            casts: {
              slow: async () => {
                begun.open()
                await may.opened
                return go(to)
              },
            },
          },
          b: {},
        },
        any: {
          stateTimeout: (data, _, ctx) => {
            noted(data, `timeout in ${ctx.state}`)
            return stay()
          },
          calls: { log: data => stay({ reply: data.log }) },
        },
      })
      const ref = await node.spawn(machine)
      ref.cast('slow')
      await begun.opened
      clock.advance(40)
      may.open()
      t.strictSame(await ref.call('log'), to === 'a' ? ['timeout in a'] : [], `to ${to}`)
    }
  },
)

// --- calls, results, starts -----------------------------------------------------------------------------------------

const teller = defineMachine('teller', {
  init: () => ({}),
  initial: 'a',
  states: {
    a: {
      calls: {
        where: postpone,
        bye: () => stop('done', { reply: 'bye' }),
        leave: () => stop('gone'),
        wait: (_data, _, ctx) => stay({ reply: ctx.later<string>() }),
      },
      casts: { go: 'b' },
    },
    b: { calls: { where: (_data, _, ctx) => stay({ reply: `answered in ${ctx.state}` }) } },
  },
})

t.test('fsm-017: a call that a postpones is answered by b', async t => {
  const { node } = await bareNode(t)
  const ref = await node.spawn(teller)
  const answer = ref.call('where')
  ref.cast('go')
  t.equal(await answer, 'answered in b')
})

t.test('fsm-018: a stop with a reply gives the caller the reply, then ends with the reason', async t => {
  const { node } = await bareNode(t)
  const ref = await node.spawn(teller)
  const { down } = await watch(node, ref.pid)
  t.equal(await ref.call('bye'), 'bye', 'the reply')
  t.equal((await down).reason, 'done', 'the reason')
})

t.test(
  'fsm-019: garbage from a handler ends the machine with bad_return_from_state_function, after terminate',
  async t => {
    const { node } = await bareNode(t)
    const ended: unknown[] = []
    const bad = (value: unknown) =>
      defineMachine('bad', {
        init: fresh,
        initial: 'a',
        states: { a: { casts: { e: (() => value) as () => ReturnType<typeof postpone> } } },
        terminate: (data, reason, state) => void ended.push([data, reason, state]),
      })
    for (const value of [undefined, null, 5, 'a', { kind: 'go', value: 'a' }, Promise.resolve(7)]) {
      const ref = await node.spawn(bad(value))
      const reason = {
        bad_return_from_state_function: value instanceof Promise ? 7 : value,
        state: 'a',
        event: 'cast e',
        expected: 'go, stay, repeat, postpone or stop',
      }
      t.strictSame(await reasonOf(node, ref.pid, () => ref.cast('e')), reason)
      t.strictSame(ended.splice(0), [[{ log: [] }, reason, 'a']], 'terminate ran')
    }
    const nowhere = await node.spawn(bad(go('z')))
    t.strictSame(
      await reasonOf(node, nowhere.pid, () => nowhere.cast('e')),
      {
        bad_return_from_state_function: { go: 'z' },
        state: 'a',
        event: 'cast e',
        expected: 'one of the states "a"',
      },
      'a state that is none',
    )
  },
)

t.test('fsm-020: an event that the start inserts is handled ahead of what was sent at once', async t => {
  const { node } = await bareNode(t)
  const machine = defineMachine('eager', {
    init: fresh,
    initial: () => go('a', { next: internal('begin') }),
    states: {
      a: {
        enter: data => noted(data, 'enter'),
        internal: {
          begin: data => {
            noted(data, 'begin')
            return stay()
          },
        },
        casts: {
          external: data => {
            noted(data, 'external')
            return stay()
          },
        },
        calls: { log: data => stay({ reply: data.log }) },
      },
    },
  })
  const started = node.spawn(machine, undefined, { name: 'eager', scope: 'node' })
  node.named('eager', machine).cast('external')
  t.strictSame(await (await started).call('log'), ['enter', 'begin', 'external'])
})

// --- beside the cases -----------------------------------------------------------------------------------------------

t.test('repeat replays nothing and keeps the state timeout', async t => {
  const { node, clock } = await bareNode(t)
  const machine = defineMachine('repeating', {
    init: fresh,
    initial: () => go('a', { stateTimeout: 40 }),
    states: {
      a: {
        enter: data => noted(data, 'enter'),
        casts: {
          later: data => {
            noted(data, 'later')
            return postpone()
          },
          again: () => repeat(),
        },
        stateTimeout: data => {
          noted(data, 'timeout')
          return stay()
        },
        calls: { log: data => stay({ reply: data.log }) },
      },
    },
  })
  const ref = await node.spawn(machine)
  ref.cast('later')
  ref.cast('again')
  t.strictSame(await ref.call('log'), ['enter', 'later', 'enter'])
  clock.advance(40)
  t.strictSame(await ref.call('log'), ['enter', 'later', 'enter', 'timeout'])
})

t.test('an event that is postponed while others are inserted comes after those', async t => {
  const { node } = await bareNode(t)
  const machine = defineMachine('both', {
    init: fresh,
    initial: 'a',
    states: {
      a: { casts: { e: () => go('b', { postpone: true, next: internal('i') }) } },
      b: {
        internal: {
          i: data => {
            noted(data, 'i(b)')
            return stay()
          },
        },
        casts: {
          e: data => {
            noted(data, 'e(b)')
            return stay()
          },
        },
        calls: { log: data => stay({ reply: data.log }) },
      },
    },
  })
  const ref = await node.spawn(machine)
  ref.cast('e')
  t.strictSame(await ref.call('log').catch(String), ['i(b)', 'e(b)'])
})

t.test('a timeout that is postponed comes again as the timeout it was', async t => {
  const { node, clock } = await bareNode(t)
  const machine = defineMachine('late', {
    init: fresh,
    initial: () =>
      go('a', { stateTimeout: { ms: 10, payload: 'p' }, timeouts: { t: { ms: 10, payload: 'q' } } }),
    states: {
      a: { stateTimeout: postpone, timeouts: { t: postpone }, casts: { go: 'b' } },
      b: {
        stateTimeout: (data, payload) => {
          noted(data, `state ${payload}`)
          return stay()
        },
        timeouts: {
          t: (data, payload) => {
            noted(data, `t ${payload}`)
            return stay()
          },
        },
        calls: { log: data => stay({ reply: data.log }) },
      },
    },
  })
  const ref = await node.spawn(machine)
  clock.advance(10)
  ref.cast('go')
  t.strictSame(await ref.call('log'), ['state p', 't q'])
})

t.test('an event timeout of 0 ms is cancelled by an inserted event, other zero timeouts are not', async t => {
  const machine = await clockworked(t)
  await machine.set([undefined, { eventTimeout: 0 }])
  t.strictSame(await machine.after(0), ['event undefined in a'], 'nothing else waits')
  await machine.set([undefined, { stateTimeout: 0, eventTimeout: 0 }])
  t.strictSame(await machine.after(0), ['state undefined in a'], 'another timeout is an event')
  await machine.set([undefined, { eventTimeout: 0, stateTimeout: 0 }])
  t.strictSame(await machine.after(0), ['event undefined in a', 'state undefined in a'], 'in their order')
})

t.test('timers that enter sets are set after those of the change, in one go', async t => {
  const { node, clock } = await bareNode(t)
  const may = gate()
  const machine = defineMachine('slow-enter', {
    init: fresh,
    initial: () => go('a', { stateTimeout: 10, timeouts: { t: 30 } }),
    states: {
      a: {
        enter: async () => {
          await may.opened
          return stay({ stateTimeout: 20 })
        },
        stateTimeout: data => {
          noted(data, 'state')
          return stay()
        },
        timeouts: {
          t: data => {
            noted(data, 't')
            return stay()
          },
        },
        calls: { log: data => stay({ reply: data.log }) },
      },
    },
  })
  const ref = await node.spawn(machine)
  clock.advance(100)
  may.open()
  t.strictSame(await ref.call('log'), [], 'while enter runs no time counts')
  clock.advance(20)
  t.strictSame(await ref.call('log'), ['state'])
  clock.advance(10)
  t.strictSame(await ref.call('log'), ['state', 't'])
})

t.test(
  'a call is answered undefined by a result without reply, later by ctx.from, and by the end of the machine',
  async t => {
    const { node } = await bareNode(t)
    const machine = defineMachine('asked', {
      init: () => ({ waiting: [] as { reply(value: unknown): void }[] }),
      initial: 'a',
      states: {
        a: {
          calls: {
            plain: () => stay(),
            target: 'a',
            wait: (data, _, ctx) => {
              data.waiting.push(ctx.from)
              return stay({ reply: ctx.later<string>() })
            },
            held: postpone,
            crash: () => {
              throw new Error('boom')
            },
          },
          casts: {
            answer: data => {
              for (const from of data.waiting.splice(0)) from.reply('at last')
              return stay()
            },
          },
        },
      },
    })
    const ref = await node.spawn(machine)
    t.strictSame([await ref.call('plain'), await ref.call('target')], [undefined, undefined])
    const answer = ref.call('wait')
    ref.cast('answer')
    t.equal(await answer, 'at last')
    const all = [ref.call('wait'), ref.call('held'), ref.call('crash')].map(refusal)
    for (const { code, detail } of await Promise.all(all)) {
      t.strictSame([code, String(detail['reason'])], ['ERR_EXIT', 'Error: boom'], 'told why')
    }
    const other = await node.spawn(teller)
    t.strictSame((await refusal(other.call('leave'))).detail['reason'], 'gone', 'a stop without a reply')
  },
)

t.test('a wrong action ends the machine, with the action and what is legal', async t => {
  const { node } = await bareNode(t)
  const times =
    "ms, 'infinity', 'cancel', { ms, payload? } or { update }, with milliseconds from 0 to 281474976710656"
  const cases: [object, string][] = [
    [{ stateTimeout: -1 }, `stateTimeout: ${times}`],
    [{ eventTimeout: 'never' }, `eventTimeout: ${times}`],
    [{ stateTimeout: { ms: 5, paylod: 1 } }, `stateTimeout: ${times}`],
    [{ timeouts: { t: Number.NaN } }, `timeouts: ${times}`],
    [{ timeouts: { u: 5 } }, 'timeouts: names that a state handles, "t"'],
    [{ next: internal('j') }, 'next: events from internal(…) that a state handles, "i"'],
    [{ next: ['i'] }, 'next: events from internal(…) that a state handles, "i"'],
    [{ postpone: 1 }, 'postpone: true or false'],
    [{ reply: 1 }, 'reply: none, for nobody asked'],
    [{ data: 5 }, 'data: an object'],
    [
      { stateTimeot: 5 },
      'stateTimeot: one of data, stateTimeout, eventTimeout, timeouts, reply, next, postpone',
    ],
  ]
  for (const [action, expected] of cases) {
    const machine = defineMachine('wrong', {
      init: fresh,
      initial: 'a',
      states: { a: { casts: { e: () => stay(action as {}) }, internal: { i: 'a' }, timeouts: { t: 'a' } } },
    })
    const ref = await node.spawn(machine)
    t.strictSame(
      await reasonOf(node, ref.pid, () => ref.cast('e')),
      { bad_action_from_state_function: action, state: 'a', event: 'cast e', expected },
      expected,
    )
  }
  const stopping = defineMachine('stopping', {
    init: fresh,
    initial: 'a',
    states: { a: { casts: { e: () => stop('x', { stateTimeout: 5 } as {}) } } },
  })
  const ref = await node.spawn(stopping)
  t.strictSame(
    await reasonOf(node, ref.pid, () => ref.cast('e')),
    {
      bad_action_from_state_function: { stateTimeout: 5 },
      state: 'a',
      event: 'cast e',
      expected: 'stateTimeout: one of data, reply',
    },
    'what a stop cannot do',
  )
})

t.test('a reply that cannot cross ends the machine with bad_action_from_state_function', async t => {
  const { node } = await bareNode(t, { serializeLocal: true })
  const machine = defineMachine('uncrossable', {
    init: fresh,
    initial: 'a',
    states: { a: { calls: { get: () => stay({ reply: () => {} }), later: postpone } } },
  })
  const ref = await node.spawn(machine)
  const held = refusal(ref.call('later'))
  const { code, detail } = await refusal(ref.call('get'))
  t.equal(code, 'ERR_EXIT')
  t.match(detail['reason'], {
    bad_action_from_state_function: { reply: 'function "reply"' },
    state: 'a',
    why: /reply/,
  })
  t.strictSame((await held).detail['reason'], detail['reason'], 'those that wait are told too')
})

t.test('the any block enters states that have no enter, and a declared start goes where it says', async t => {
  const { node } = await bareNode(t)
  const machine = defineMachine('anywhere', {
    init: fresh,
    initial: { to: ['a', 'b'], do: () => go('b') },
    states: { a: { enter: data => noted(data, 'own') }, b: { casts: { go: 'a' } } },
    any: {
      enter: (data, from, ctx) => noted(data, `any: ${ctx.state} from ${from}`),
      calls: { log: data => stay({ reply: data.log }) },
    },
  })
  const ref = await node.spawn(machine)
  ref.cast('go')
  t.strictSame(await ref.call('log'), ['any: b from b', 'own'])
  t.match(toMermaid(machine), '  [*] --> a\n  [*] --> b\n')
})

t.test('a handler that says where it goes goes nowhere else', async t => {
  const { node } = await bareNode(t)
  const machine = defineMachine('declared', {
    init: fresh,
    initial: 'a',
    states: {
      a: { casts: { e: { to: ['b'], do: (_, to: 'a' | 'b' | 'c') => go(to) } } },
      b: { casts: { e: 'a' } },
      c: {},
    },
    any: { calls: { state: (_data, _, ctx) => stay({ reply: ctx.state }) } },
  })
  const ref = await node.spawn(machine)
  ref.cast('e', 'a')
  t.equal(await ref.call('state'), 'a', 'staying is no going')
  ref.cast('e', 'b')
  t.equal(await ref.call('state'), 'b')
  ref.cast('e', 'a')
  t.strictSame(await reasonOf(node, ref.pid, () => ref.cast('e', 'c')), {
    bad_return_from_state_function: { go: 'c' },
    state: 'a',
    event: 'cast e',
    expected: 'one of the states that the handler declares, "b"',
  })
})

t.test('an event that nobody handles is the end; mail that nobody asked for is a dead letter', async t => {
  const { node } = await bareNode(t)
  const letters: unknown[] = []
  node.on('dead-letter', ({ message, why }) => void letters.push([message, why]))
  const ref = await node.spawn(sorter)
  ref.send('hello')
  ref.cast('go')
  await ref.call('log')
  t.strictSame(letters, [['hello', 'the machine has no info in state "a"']])
  t.strictSame(await reasonOf(node, ref.pid, () => ref.cast('same')), {
    function_clause: { state: 'b', event: 'cast same', handled: ['cast do', 'call log'] },
  })
})

t.test(
  'info is told plain mail, exits and downs; of the any block what the state does not handle',
  async t => {
    const { node } = await bareNode(t)
    const machine = defineMachine('told', {
      init: (_: void, ctx) => {
        ctx.trapExit(true)
        return fresh()
      },
      initial: 'a',
      states: { a: { info: 'b' }, b: {} },
      any: {
        info: (data, signal: Signal, ctx) => {
          noted(data, `${signal.type} in ${ctx.state}`)
          return stay()
        },
        calls: { log: data => stay({ reply: data.log }) },
      },
    })
    const ref = await node.spawn(machine)
    ref.send('first')
    ref.send('second')
    node.exit(ref.pid, 'why')
    t.strictSame(await ref.call('log'), ['message in b', 'exit in b'])
  },
)

t.test('a start fails with what init and initial give that is no start', async t => {
  const { node } = await bareNode(t)
  const start = (init: () => unknown, initial: () => unknown) =>
    node.spawn(
      defineMachine('start', {
        init: init as () => object,
        initial: initial as () => ReturnType<typeof go<'a'>>,
        states: { a: {} },
      }),
    )
  const expected = 'go'
  const cases: [() => unknown, () => unknown, unknown][] = [
    [() => 5, () => go('a'), { bad_return_value: 5 }],
    [fresh, () => undefined, { bad_return_from_state_function: undefined, expected }],
    [fresh, async () => stay(), { bad_return_from_state_function: { stay: undefined }, expected }],
    [
      fresh,
      () => go('a', { postpone: true }),
      { bad_action_from_state_function: { postpone: true }, expected: 'postpone: none' },
    ],
  ]
  for (const [init, initial, reason] of cases) {
    t.strictSame((await refusal(start(init, initial))).detail['reason'], reason)
  }
  const ignoring = defineMachine('ignoring', {
    init: (how: 'ignore' | 'stop', ctx) => (how === 'ignore' ? ctx.ignore() : ctx.stop('no')),
    initial: 'a',
    states: { a: {} },
  })
  t.strictSame((await refusal(node.spawn(ignoring, 'ignore'))).detail['reason'], 'ignore')
  t.strictSame((await refusal(node.spawn(ignoring, 'stop'))).detail['reason'], 'no')
})

t.test('a crash report shows the event, the state and the data without its secrets', async t => {
  const { node } = await bareNode(t)
  const reports: unknown[] = []
  node.on(
    'crash',
    ({ definition, tag, lastMessage, state }) => void reports.push({ definition, tag, lastMessage, state }),
  )
  const machine = defineMachine('secretive', {
    init: (secret: string) => ({ secret, n: 1 }),
    initial: 'a',
    states: {
      a: {
        casts: { later: postpone, throws: () => Promise.reject(new Error('x')), bad: () => 'a' as never },
        calls: { go: 'b' },
      },
      b: { casts: { later: (_, n: number) => stay({ next: internal('inner', n) }) } },
    },
    any: {
      internal: {
        inner: (_, n: number) => {
          throw new Error(String(n))
        },
      },
    },
    inspect: ({ n }) => ({ n }),
  })
  const state = { state: 'a', data: { n: 1 } }
  const first = await node.spawn(machine, 's')
  await reasonOf(node, first.pid, () => first.cast('throws'))
  const second = await node.spawn(machine, 's')
  await reasonOf(node, second.pid, () => second.cast('bad'))
  const third = await node.spawn(machine, 's')
  third.cast('later', 7)
  await refusal(third.call('go')).catch(() => {})
  t.strictSame(reports, [
    { definition: 'secretive', tag: 'throws', lastMessage: undefined, state },
    { definition: 'secretive', tag: 'bad', lastMessage: undefined, state },
    { definition: 'secretive', tag: 'inner', lastMessage: 7, state: { ...state, state: 'b' } },
  ])
})

t.test(
  'too many postponed events are the end, and a machine that feeds itself leaves turns to others',
  async t => {
    const { node } = await bareNode(t, { limits: { machineEventsMax: 3 } })
    const ref = await node.spawn(sorter)
    for (const what of ['p1', 'p2', 'p3']) ref.cast('do', what)
    t.equal((await ref.call('log')).length, 3, 'as many as may be')
    t.strictSame(await reasonOf(node, ref.pid, () => ref.cast('do', 'p4')), {
      system_limit: 'machineEventsMax',
    })

    const busy = defineMachine('busy', {
      init: () => ({ n: 0 }),
      initial: () => go('a', { next: internal('again') }),
      states: {
        a: {
          internal: {
            again: data => {
              data.n += 1
              return data.n === 5_000 ? stay() : stay({ next: internal('again') })
            },
          },
          calls: { n: data => stay({ reply: data.n }) },
        },
      },
    })
    const self = await node.spawn(busy)
    const other = await node.spawn(bystander)
    const order: string[] = []
    await Promise.all([
      self.call('n').then(n => void order.push(`busy ${n}`)),
      other.call('ping').then(() => void order.push('other')),
    ])
    t.strictSame(order, ['other', 'busy 5000'])
  },
)

t.test('a machine is a child of supervisors, is started again, and stops as asked', async t => {
  const { node } = await bareNode(t)
  const ended: unknown[] = []
  const machine = defineMachine('worker', {
    init: fresh,
    initial: 'a',
    states: { a: { casts: { crash: 'b', go: 'c' } }, b: { enter: () => stop('crashed') }, c: {} },
    any: { calls: { state: (_data, _, ctx) => stay({ reply: ctx.state }) } },
    terminate: (_, reason, state) => void ended.push([reason, state]),
  })
  const spec = child(machine, { id: 'w', args: undefined, name: 'w', scope: 'node' })
  const tree = await startSupervisor(node, { children: [spec] })
  const first = node.whereis('w', machine)!
  first.cast('go')
  t.equal(await first.call('state'), 'c')
  const second = await node.spawn(machine)
  second.cast('crash')
  t.equal((await refusal(second.call('state'))).detail['reason'], 'crashed', 'a stop in enter')
  t.strictSame(ended.splice(0), [['crashed', 'b']])
  const down = await watch(node, first.pid)
  node.exit(first.pid, 'kill')
  await down.down
  await tree.countChildren()
  t.equal(await node.whereis('w', machine)!.call('state'), 'a', 'started again, from the beginning')
  await node
    .whereis('w', machine)!
    .stop('shutdown')
    .catch(() => {})
  t.strictSame(ended.splice(0), [['shutdown', 'a']])
  await tree.stop()
})

t.test('timers end with the machine, and one that died while it waited does nothing more', async t => {
  const { node, clock } = await bareNode(t)
  const may = gate()
  const begun = gate()
  const done: string[] = []
  const machine = defineMachine('mortal', {
    init: fresh,
    initial: () => go('a', { stateTimeout: 10, timeouts: { t: 10 } }),
    states: {
      a: {
        casts: {
          slow: async () => {
            begun.open()
            await may.opened
            return go('b', { stateTimeout: 5 })
          },
        },
        stateTimeout: 'b',
        timeouts: { t: 'b' },
      },
      b: { enter: () => void done.push('entered') },
    },
  })
  const ref = await node.spawn(machine)
  ref.cast('slow')
  await begun.opened
  node.exit(ref.pid, 'kill')
  may.open()
  clock.advance(100)
  const after = await node.spawn(bystander)
  await after.call('ping')
  t.strictSame(done, [])
})

t.test(
  'a ref that a machine’s handler uses after an await, or in a replayed event, speaks for the machine',
  async t => {
    const { node } = await bareNode(t)
    const listener = puppet(node)
    const machine = defineMachine('speaker', {
      init: fresh,
      initial: 'a',
      states: {
        a: {
          casts: {
            tell: postpone,
            go: async () => {
              await null
              return go('b')
            },
          },
        },
        b: {
          casts: {
            tell: (_data, _, ctx) => {
              ctx.send(listener.pid, ctx.self)
              return stay()
            },
          },
        },
      },
    })
    const ref = await node.spawn(machine)
    ref.cast('tell')
    ref.cast('go')
    t.equal(await listener.next(), ref.pid)
  },
)

t.test(
  'a caller that was promised a reply is told when an event that was replayed in its turn crashes',
  async t => {
    const { node } = await bareNode(t)
    const machine = defineMachine('promising', {
      init: fresh,
      initial: 'a',
      states: {
        a: {
          casts: { bomb: postpone },
          calls: { go: (_data, _, ctx) => go('b', { reply: ctx.later<void>() }) },
        },
        b: {
          casts: {
            bomb: () => {
              throw new Error('boom')
            },
          },
        },
      },
    })
    const ref = await node.spawn(machine)
    ref.cast('bomb')
    const { code, detail } = await refusal(ref.call('go'))
    t.strictSame([code, String(detail['reason'])], ['ERR_EXIT', 'Error: boom'])
  },
)

t.test(
  'a machine that died in a handler enters nothing, and one that died in init begins nothing',
  async t => {
    const { node, clock } = await bareNode(t)
    const [begun, may] = [gate(), gate()]
    const ran: string[] = []
    const machine = defineMachine('doomed', {
      init: async (wait: boolean) => {
        begun.open()
        if (wait) await may.opened
        return fresh()
      },
      initial: () => {
        ran.push('initial')
        return go('a')
      },
      states: {
        a: {
          casts: {
            die: (_data, _, ctx) => {
              ctx.exit(ctx.self, 'kill')
              return go('b', { stateTimeout: 5 })
            },
          },
        },
        b: { enter: () => void ran.push('enter') },
      },
    })
    const ref = await node.spawn(machine, false)
    t.equal(await reasonOf(node, ref.pid, () => ref.cast('die')), 'killed')
    const late = refusal(node.spawn(machine, true, { timeoutMs: 20 }))
    await begun.opened
    clock.advance(20)
    t.equal((await late).detail['reason'], 'timeout')
    may.open()
    await (await node.spawn(bystander)).call('ping')
    t.strictSame(ran, ['initial'])
  },
)

t.test('a machine keeps no timer that it replaced, and leaves none', async t => {
  const { node } = await bareNode(t, { limits: { perProcessMax: 2 } })
  const beside = await node.spawn(bystander)
  const timers = async () => {
    await beside.call('ping') // its deadline is a timer too, and stays
    return node.stats().counters['process.timers'] ?? 0
  }
  const before = await timers()
  const machine = defineMachine('frugal', {
    init: fresh,
    initial: () => go('a', { stateTimeout: 1_000 }),
    states: {
      a: {
        casts: {
          again: () => stay({ stateTimeout: 1_000 }),
          more: (_data, _, ctx) => {
            ctx.sendAfter(1_000, ctx.self, 'late')
            return stay()
          },
          die: (_data, _, ctx) => {
            ctx.exit(ctx.self, 'kill')
            return stay({ stateTimeout: 1_000 })
          },
        },
        stateTimeout: 'a',
      },
    },
  })
  const ref = await node.spawn(machine)
  for (let i = 0; i < 5; i++) ref.cast('again')
  ref.cast('more')
  t.equal(await timers(), before + 2, 'the last of five, and the one of the limit’s two that is left')
  ref.cast('die')
  t.equal(await timers(), before, 'none, and none that its last handler asked for')
})

t.test('what a machine does after an async handler it does in its own name', async t => {
  const { node } = await bareNode(t)
  const asked: unknown[] = []
  const callee = await node.spawn(
    defineMachine('callee', {
      init: fresh,
      initial: 'a',
      states: {
        a: {
          calls: {
            who: (_data, _, ctx) => {
              asked.push(ctx.from.pid)
              return stay()
            },
          },
        },
      },
    }),
  )
  const machine = defineMachine('caller', {
    init: fresh,
    initial: 'a',
    states: {
      a: {
        calls: {
          go: async () => {
            await null
            return go('b')
          },
        },
      },
      b: { enter: () => callee.call('who'), calls: { behind: 'b' } },
    },
  })
  const ref = await node.spawn(machine)
  await ref.call('go')
  await ref.call('behind')
  t.strictSame(asked, [ref.pid])
})

t.test('a state that is put in the place of a machine’s own is the one it goes on with', async t => {
  const { actors, spawn } = world(t)
  const ref = await spawn(sorter)
  ref.cast('do', 'p1')
  await ref.call('log')
  const process = actors.table.find(ref.pid) as ActorProcess
  t.strictSame(process.state, { state: 'a', data: { log: ['p1(a)'] } }, 'plain data')
  process.state = { state: 'b', data: { log: [] } }
  ref.cast('do', 'p2')
  t.strictSame(await ref.call('log'), ['p2(b)'], 'no enter, no replay')
})

// --- definitions ----------------------------------------------------------------------------------------------------

t.test('a definition that is none is refused where it is written, with what was expected', async t => {
  const define = (spec: object) => () =>
    defineMachine('m', { init: fresh, initial: 'a', states: { a: {} }, ...spec })
  const cases: [() => unknown, string][] = [
    [define({ init: 5 }), 'defineMachine("m"): init: expected a function, got 5'],
    [define({ init: undefined }), 'defineMachine("m"): init: expected a function, got undefined'],
    [define({ states: {} }), 'defineMachine("m"): states: expected one or more, got none'],
    [define({ initial: 'b' }), 'defineMachine("m"): initial: expected a state ("a"), got "b"'],
    [
      define({ initial: undefined }),
      'defineMachine("m"): initial: expected a state ("a"), a function or { to, do }, got undefined',
    ],
    [
      define({ on: {} }),
      'defineMachine("m"): unknown option "on"; expected one of init, initial, states, any, terminate, inspect',
    ],
    [
      define({ states: { a: { on: {} } } }),
      'defineMachine("m"): states.a: unknown option "on"; ' +
        'expected one of enter, calls, casts, internal, timeouts, info, stateTimeout, eventTimeout',
    ],
    [
      define({ states: { a: { casts: { go: 'z' } } } }),
      'defineMachine("m"): states.a.casts.go: expected a state ("a"), got "z"',
    ],
    [
      define({ any: { stateTimeout: { to: ['a', 'z'], do: () => stay() } } }),
      'defineMachine("m"): any.stateTimeout.to: expected a state ("a"), got "z"',
    ],
    [
      define({ any: { info: { to: 'a' } } }),
      'defineMachine("m"): any.info.do: expected a function, got undefined',
    ],
    [
      define({ states: { a: { calls: { $x: 'a' } } } }),
      'defineActor("m"): calls: expected a tag that is not empty and does not begin with \'$\', got "$x"',
    ],
  ]
  for (const [fn, message] of cases) t.throws(fn, new TypeError(message), message)
})

t.test('toMermaid draws what a definition says about its ways, and lists what decides itself', async t => {
  const door = defineMachine('door', {
    init: fresh,
    initial: 'locked',
    states: {
      locked: {
        calls: { enter: { to: ['half open'], do: () => go('half open') } },
        casts: { lock: () => stay() },
      },
      'half open': { casts: { push: 'end', enter: postpone }, stateTimeout: 'locked' },
      end: { timeouts: { 'a "t": 1': 'locked' } },
    },
    any: { casts: { lock: 'locked' } },
  })
  t.equal(
    toMermaid(door),
    `stateDiagram-v2
  state "half open" as s2
  state "end" as s3
  [*] --> locked
  locked --> s2 : enter
  note right of locked : decides itself: lock
  s2 --> s3 : push
  s2 --> locked : stateTimeout
  s2 --> locked : lock
  s3 --> locked : timeout a #34;t#34;#58; 1
  s3 --> locked : lock
`,
  )
  t.strictSame(door.states, ['locked', 'half open', 'end'])
  t.throws(() => toMermaid({ name: 'x' }), {
    message: 'toMermaid: expected what defineMachine returned, got an object with key "name"',
  })
})

t.test('a machine on another node is called, told, watched and found by its name', async t => {
  const runtime = { listen: '127.0.0.1:0', logger: false } as const
  const a = await createNode({ ...runtime, name: 'ma', actors: [teller] })
  const b = await createNode({ ...runtime, name: 'mb', actors: [teller], seeds: [address(a)] })
  t.teardown(async () => {
    await b.stop({ drainMs: 0 })
    await a.stop({ drainMs: 0 })
  })
  const ref = await b.spawn(teller, undefined, { on: 'ma', name: 'teller' })
  const answer = ref.call('where')
  ref.cast('go')
  t.equal(await answer, 'answered in b')
  const { down } = await watch(b, ref.pid)
  await refusal(b.named('teller', teller).call('bye'))
  t.match((await down).reason, { function_clause: { state: 'b', event: 'call bye' } })
})

const address = (node: Node): string => `${node.address?.host}:${node.address?.port}`

// --- the pure step --------------------------------------------------------------------------------------------------

/** What one event's handler answers, in a script. */
interface Answer {
  readonly kind: 'go a' | 'go b' | 'stay' | 'repeat'
  readonly postpone: boolean
  readonly insert: number
  readonly timers: readonly (readonly [Key, number | 'cancel' | 'update'])[]
}
type Key = 'stateTimeout' | 'eventTimeout' | 'timeout t'
type Op = 'mail' | 'handle' | number

const answers = fc.record<Answer>({
  kind: fc.constantFrom('go a', 'go b', 'stay', 'repeat'),
  postpone: fc.boolean(),
  insert: fc.nat(2),
  timers: fc.array(
    fc.tuple(
      fc.constantFrom<Key>('stateTimeout', 'eventTimeout', 'timeout t'),
      fc.constantFrom<number | 'cancel' | 'update'>(0, 1, 2, 'cancel', 'update'),
    ),
    { maxLength: 3 },
  ),
})
const ops = fc.array(fc.constantFrom<Op>('mail', 'handle', 1, 2), { maxLength: 30 })
const STAY: Answer = { kind: 'stay', postpone: false, insert: 0, timers: [] }

/** Mail by number, expiries by their key; what is handled is taken down with its state. */
interface World {
  run(op: Op): void
  readonly log: readonly string[]
}

/** The core in a world of plain lists. */
function real(script: readonly Answer[]): World {
  const rules: Rules = {
    states: ['a', 'b'],
    internal: ['i'],
    timeouts: ['t'],
    eventsMax: LIMITS.machineEventsMax,
  }
  const log: string[] = []
  const mailbox: (step.MachineEvent | { key: string; serial: number })[] = []
  const armed = new Map<string, { at: number; serial: number }>()
  let [at, now, mails, inserted] = [0, 0, 0, 0]
  let core = step.START
  const take = (done: step.Step): void => {
    core = done.core
    for (const effect of done.effects) {
      if (effect.type === 'arm') armed.set(effect.key, { at: now + effect.ms, serial: effect.serial })
      if (effect.type === 'disarm') armed.delete(effect.key)
      if (effect.type === 'stop') throw new Error(JSON.stringify(effect.reason))
    }
    if (done.from === undefined) return
    log.push(`enter ${core.state} from ${done.from}`)
    take(step.entered(core, undefined, rules))
  }
  const handle = (taken: step.Taken): void => {
    take(taken)
    const { key, payload } = taken.event
    log.push(`${key} ${payload} in ${core.state}`)
    const { kind, postpone, insert, timers } = script[at++] ?? STAY
    const next = Array.from({ length: insert }, () => internal('i', ++inserted))
    const options: Record<string, unknown> = { postpone, next }
    for (const [key, what] of timers) {
      const setting =
        what === 'update' ? { update: at } : what === 'cancel' ? what : { ms: what, payload: at }
      delete options[key === 'timeout t' ? 'timeouts' : key] // the last one counts, at its place
      if (key === 'timeout t') options['timeouts'] = { t: setting }
      else options[key] = setting
    }
    const result =
      kind === 'stay'
        ? stay(options)
        : kind === 'repeat'
          ? repeat(options)
          : go(kind === 'go a' ? 'a' : 'b', options)
    take(step.conclude(core, taken.event, result, rules))
  }
  const drive = (): void => {
    for (let own = step.next(core); own !== undefined; own = step.next(core)) handle(own)
  }
  take(step.conclude(core, undefined, go('a'), rules))
  return {
    log,
    run(op) {
      if (op === 'mail') mailbox.push({ key: 'cast e', tag: 'e', payload: ++mails, request: undefined })
      else if (op !== 'handle') {
        now += op
        const due = [...armed]
          .filter(([, timer]) => timer.at <= now)
          .sort((x, y) => x[1].at - y[1].at || x[1].serial - y[1].serial)
        for (const [key, { serial }] of due) {
          armed.delete(key)
          mailbox.push({ key, serial })
        }
      } else {
        const mail = mailbox.shift()
        if (mail === undefined) return
        const taken =
          'serial' in mail ? step.expire(core, mail.key, mail.serial) : { ...step.arrive(core), event: mail }
        if (taken === undefined) return this.run(op) // nobody's: as if it had never come
        handle(taken)
        drive()
      }
    },
  }
}

/** The laws as they read: one list ahead of the mailbox, and a cancelled timeout is looked for and taken out. */
function model(script: readonly Answer[]): World {
  type Item = { key: string; payload: number }
  type Timed = { key: Key; at: number; payload: number; order: number }
  const log: string[] = ['enter a from a']
  const mailbox: (Item | Timed)[] = []
  let [queue, postponed, zeros]: Item[][] = [[], [], []]
  let timers: Timed[] = []
  let state = 'a'
  let [at, now, mails, inserted, order] = [0, 0, 0, 0, 0]
  const find = (key: Key): Item | Timed | undefined =>
    zeros!.find(z => z.key === key) ?? timers.find(x => x.key === key) ?? mailbox.find(m => m.key === key)
  const off = (key: Key): void => {
    zeros = zeros!.filter(z => z.key !== key)
    timers = timers.filter(x => x.key !== key)
    const lies = mailbox.findIndex(m => m.key === key)
    if (lies >= 0) mailbox.splice(lies, 1)
  }
  const handle = (event: Item): void => {
    off('eventTimeout')
    log.push(`${event.key} ${event.payload} in ${state}`)
    const answer = script[at++] ?? STAY
    if (answer.postpone) postponed!.push(event)
    const to = answer.kind === 'go a' ? 'a' : answer.kind === 'go b' ? 'b' : state
    const from = state
    state = to
    if (to !== from) {
      off('stateTimeout')
      queue = [...postponed!, ...queue!]
      postponed = []
    }
    queue = [
      ...Array.from({ length: answer.insert }, () => ({ key: 'internal i', payload: ++inserted })),
      ...queue!,
    ]
    if (to !== from || answer.kind === 'repeat') log.push(`enter ${to} from ${from}`)
    const last = answer.timers.filter(
      ([key], i) => !answer.timers.slice(i + 1).some(([other]) => other === key),
    )
    for (const [key, what] of last) {
      const known = find(key)
      if (what === 'update' && known !== undefined) known.payload = at
      else {
        off(key)
        if (what === 0 || what === 'update') zeros!.push({ key, payload: at })
        else if (what !== 'cancel') timers.push({ key, payload: at, at: now + what, order: ++order })
      }
    }
  }
  return {
    log,
    run(op) {
      if (op === 'mail') mailbox.push({ key: 'cast e', payload: ++mails })
      else if (op !== 'handle') {
        now += op
        const due = timers.filter(x => x.at <= now).sort((x, y) => x.at - y.at || x.order - y.order)
        timers = timers.filter(x => x.at > now)
        mailbox.push(...due)
      } else {
        const mail = mailbox.shift()
        if (mail === undefined) return
        for (
          let event: Item | undefined = mail;
          event !== undefined;
          event = queue!.shift() ?? zeros!.shift()
        )
          handle(event)
      }
    },
  }
}

t.test('the step does what the laws say, in every order of mail, time and results', async t => {
  let handled = 0
  fc.assert(
    fc.property(fc.array(answers, { maxLength: 12 }), ops, (script, list) => {
      const [mine, theirs] = [real(script), model(script)]
      for (const op of [...list, 'handle', 'handle'] as const) {
        mine.run(op)
        theirs.run(op)
      }
      handled += mine.log.length
      if (mine.log.join() !== theirs.log.join()) {
        throw new Error(`the step: ${mine.log.join(', ')}\nthe laws: ${theirs.log.join(', ')}`)
      }
    }),
    { numRuns: 3_000, seed: 8 },
  )
  t.ok(handled > 20_000, `${handled} entries compared`)
})
