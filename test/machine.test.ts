/**
 * State machines: the cases of area `fsm`, by their ids; what the semantics say beside them; the pure step under random
 * scripts, against a model that is as plain as the laws read; definitions, typed by `machine.types.ts`; drawings.
 */
import fc from 'fast-check'
import t from 'tap'
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
