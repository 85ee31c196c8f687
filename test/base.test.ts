import { inspect } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { show, TroupeError } from '../lib/base/errors.js'
import { IdSpace } from '../lib/base/id-space.js'
import { IdTable } from '../lib/base/id-table.js'
import {
  compareIds,
  isNodeId,
  isU48,
  type NodeId,
  Pid,
  parseNodeId,
  parsePid,
  Ref,
  samePid,
  sameRef,
  U48_MAX,
} from '../lib/base/ids.js'
import { LIMITS, TIMEOUT_MS, WAIT_MS_MAX } from '../lib/base/limits.js'
import { RateLimiter, SILENT } from '../lib/base/log.js'
import {
  anything,
  arrayOf,
  type Check,
  checkOptions,
  expect,
  isBoolean,
  isFunction,
  isInteger,
  isMs,
  isObject,
  isSignal,
  isString,
  oneOf,
  timeoutOf,
  WAIT_CHECKS,
} from '../lib/base/options.js'
import { isCleanExit, isShutdown, thrownReason } from '../lib/base/reasons.js'
import { RingQueue } from '../lib/base/ring-queue.js'
import type { Clock } from '../lib/base/runtime.js'

const a = parseNodeId('a')
const b = parseNodeId('b')

// --- ring queue -----------------------------------------------------------------------------------------------------

interface Model {
  items: number[]
}
type Real = RingQueue<number>

/** One operation on both, whose results must be equal; afterwards everything that can be seen of both is compared. */
class Step implements fc.Command<Model, Real> {
  readonly #name: string
  readonly #model: (items: number[]) => unknown
  readonly #real: (queue: Real) => unknown

  constructor(name: string, model: (items: number[]) => unknown, real: (queue: Real) => unknown) {
    this.#name = name
    this.#model = model
    this.#real = real
  }

  check(): boolean {
    return true
  }

  run(model: Model, real: Real): void {
    const want = this.#model(model.items)
    const got = this.#real(real)
    if (want !== got) throw new Error(`${this.#name} gave ${got}, an array ${want}`)
    const seen = [...real]
    const { length } = model.items
    if (real.length !== length || real.isEmpty !== (length === 0) || seen.join() !== model.items.join()) {
      throw new Error(`after ${this.#name}: ${seen} (length ${real.length}), an array ${model.items}`)
    }
    if (real.peek() !== model.items[0]) throw new Error(`after ${this.#name}: peek is ${real.peek()}`)
    if (real.at(model.items.length) !== undefined || real.at(-1) !== undefined)
      throw new Error('at() beyond the ends')
  }

  toString(): string {
    return this.#name
  }
}

const push = (n: number) =>
  new Step(
    `push ${n}`,
    items => void items.push(n),
    queue => queue.push(n),
  )
const unshift = (n: number) =>
  new Step(
    `unshift ${n}`,
    items => void items.unshift(n),
    queue => queue.unshift(n),
  )
const shift = () =>
  new Step(
    'shift',
    items => items.shift(),
    queue => queue.shift(),
  )
const takeAt = (i: number) =>
  new Step(
    `takeAt ${i}`,
    items => (i < items.length ? items.splice(i, 1)[0] : undefined),
    queue => queue.takeAt(i),
  )
const at = (i: number) =>
  new Step(
    `at ${i}`,
    items => items[i],
    queue => queue.at(i),
  )
const clear = () =>
  new Step(
    'clear',
    items => {
      items.length = 0
    },
    queue => queue.clear(),
  )

t.test('a ring queue does what an array does, in every order of operations', async t => {
  const commands = fc.commands(
    [
      fc.nat(99).map(push),
      fc.nat(99).map(push),
      fc.nat(99).map(unshift),
      fc.constant(null).map(shift),
      fc.nat(20).map(takeAt),
      fc.nat(20).map(at),
      fc.constant(null).map(clear),
    ],
    { maxCommands: 200 },
  )
  fc.assert(
    fc.property(commands, steps =>
      fc.modelRun(() => ({ model: { items: [] }, real: new RingQueue<number>() }), steps),
    ),
    { numRuns: 500 },
  )
  t.pass('500 runs of up to 200 operations')
})

t.test('a ring queue keeps its order past many doublings and gives the storage of a burst back', async t => {
  const queue = new RingQueue<number>()
  for (let i = 0; i < 5_000; i++) queue.push(i)
  const out: (number | undefined)[] = []
  for (let i = 0; i < 5_000; i++) out.push(queue.shift())
  t.strictSame(
    out,
    Array.from({ length: 5_000 }, (_, i) => i),
    'in order',
  )
  t.equal(queue.shift(), undefined, 'empty after the burst')
  queue.push(7)
  t.strictSame([...queue], [7], 'usable after the burst')
  t.equal(queue.slots, 0, 'and small')
  for (let i = 0; i < 5_000; i++) queue.push(i)
  while (queue.takeAt(queue.length - 1) !== undefined) {}
  t.equal(queue.slots, 0, 'also when each was taken out from the far end')
})

// --- ids ------------------------------------------------------------------------------------------------------------

t.test('a table of ids holds what a Map would, whatever is taken and however long it stays', async t => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom('add', 'take', 'ask'), fc.nat(40), fc.nat(300)), { maxLength: 400 }),
      steps => {
        const table = new IdTable<{ readonly id: number }>()
        const model = new Map<number, { readonly id: number }>()
        let last = 2 ** 31 - 64 // across the border of what bit operations know
        for (const [step, gap, back] of steps) {
          const id = last - back
          if (step === 'add') {
            last += 1 + gap
            const value = { id: last }
            table.add(last, value)
            model.set(last, value)
          } else if (table.get(id) !== model.get(id)) return false
          else if (step === 'take') {
            if (table.take(id) !== model.get(id)) return false
            model.delete(id)
          }
        }
        return table.size === model.size && `${table.ids()}` === `${[...model.keys()]}`
      },
    ),
    { numRuns: 500 },
  )
  const table = new IdTable<object>()
  const kept = {}
  for (let id = 1; id <= 100_000; id++) {
    table.add(id, kept)
    if (id % 1_000 !== 0) table.take(id)
  }
  const every = Array.from({ length: 100 }, (_, i) => (i + 1) * 1_000)
  t.strictSame(table.ids(), every)
})

t.test('a table of ids gives the storage of a burst back, and not at the first quiet moment', async t => {
  const table = new IdTable<object>()
  const value = {}
  for (let id = 1; id <= 5_000; id++) table.add(id, value)
  t.equal(table.slots, 16_384)
  for (let id = 1; id <= 4_999; id++) table.take(id)
  t.equal(table.slots, 16_384, 'one drain of a burst moves nothing')
  for (let id = 5_001; id <= 60_000; id++) {
    table.add(id, value)
    if (table.take(id) !== value) t.fail(`${id} is lost`)
  }
  t.strictSame([table.slots, table.ids()], [64, [5_000]])
})

t.test('a node name is 1 to 64 of a-z, 0-9, _ . - and no reserved word', async t => {
  for (const good of ['a', '0', 'a1', 'node-1.rack_2', 'x'.repeat(64)]) t.equal(parseNodeId(good), good, good)
  for (const bad of [
    '',
    'A',
    '-a',
    '.a',
    '_a',
    'ä',
    'a b',
    'a\n',
    'x'.repeat(65),
    7,
    null,
    undefined,
    {},
    ['a'],
  ]) {
    t.throws(
      () => parseNodeId(bad),
      { name: 'TypeError', message: /^not a node name: expected .*; got / },
      show(bad),
    )
    t.equal(isNodeId(bad), false, `isNodeId ${show(bad)}`)
  }
  for (const word of ['ring', 'worker', 'local'])
    t.throws(() => parseNodeId(word), TypeError, `${word} has a meaning of its own`)
})

t.test('a pid prints as <node.creation.serial> and is read back equal', async t => {
  const pid = new Pid(a, 0x9f3c2b7a01de, 42)
  t.equal(String(pid), '<a.9f3c2b7a01de.42>', 'toString')
  t.equal(JSON.stringify({ pid }), '{"pid":"<a.9f3c2b7a01de.42>"}', 'toJSON')
  t.equal(inspect([pid]), '[ <a.9f3c2b7a01de.42> ]', 'inspect')
  t.ok(Object.isFrozen(pid), 'frozen')
  fc.assert(
    fc.property(
      fc.stringMatching(/^[a-z0-9][a-z0-9_.-]{0,63}$/),
      fc.nat(),
      fc.maxSafeNat(),
      (node, creation, serial) => {
        if (!isNodeId(node)) return
        const one = new Pid(node, creation, serial % (U48_MAX + 1))
        const back = parsePid(one.toString())
        if (back === undefined || !samePid(back, one)) throw new Error(`${one} came back as ${back}`)
      },
    ),
  )
  for (const text of [
    '',
    '<a.1.1>',
    '<a.9f3c2b7a01de.>',
    'a.9f3c2b7a01de.1',
    '<a.9f3c2b7a01de.-1>',
    `<a.9f3c2b7a01de.${2 ** 48}>`,
  ]) {
    t.equal(parsePid(text), undefined, `not a pid: ${text}`)
  }
})

t.test('pids and refs are equal when node, creation and number are, and never otherwise', async t => {
  const bits: readonly (readonly [NodeId, number, number])[] = [
    [a, 1, 1],
    [b, 1, 1],
    [a, 2, 1],
    [a, 1, 2],
  ]
  for (const [i, x] of bits.entries()) {
    for (const [j, y] of bits.entries()) {
      t.equal(samePid(new Pid(...x), new Pid(...y)), i === j, `pids ${i} and ${j}`)
      t.equal(sameRef(new Ref(...x), new Ref(...y)), i === j, `refs ${i} and ${j}`)
    }
  }
  t.equal(String(new Ref(a, 1, 7)), '#a.000000000001.7', 'a ref prints with a hash')
})

t.test('a number of the wire is whole, from 0 to 2^48 - 1', async t => {
  for (const good of [0, 1, U48_MAX]) t.equal(isU48(good), true, String(good))
  for (const bad of [-1, 0.5, U48_MAX + 1, Number.NaN, Number.POSITIVE_INFINITY, '1', 1n, null])
    t.equal(isU48(bad), false, String(bad))
})

t.test('strings are ordered by code unit, the same on every machine', async t => {
  t.strictSame(['b', 'a', 'B', 'ä', '10', '9', ''].sort(compareIds), ['', '10', '9', 'B', 'a', 'b', 'ä'])
  t.equal(compareIds('a', 'a'), 0, 'equal')
})

t.test('an id space numbers its own pids and refs from 1 and never again', async t => {
  const ids = new IdSpace(a, 5, 10)
  t.strictSame([ids.newPid().serial, ids.newPid().serial, ids.newPid().serial], [1, 2, 3], 'pids')
  t.strictSame([ids.newRef().counter, ids.newRef().counter], [1, 2], 'refs')
  t.ok(ids.isOwn(ids.newPid()), 'own')
  t.notOk(ids.isOwn(new Pid(a, 6, 1)), 'another life of the same name is foreign')
  t.notOk(ids.isOwn(new Pid(b, 5, 1)), 'another node is foreign')
})

t.test(
  'an id space gives one object per foreign process, and remembers a bounded number of them',
  async t => {
    const ids = new IdSpace(a, 5, 3)
    const first = ids.pid(b, 1, 1)
    t.equal(ids.pid(b, 1, 1), first, 'the same object')
    t.not(ids.pid(b, 2, 1), first, 'another life is another process')
    ids.pid(b, 1, 2)
    ids.pid(b, 1, 3)
    t.equal(ids.interned, 3, 'at most its maximum')
    t.ok(samePid(ids.pid(b, 1, 1), first), 'a forgotten one comes back equal')
    t.not(ids.pid(b, 1, 1), first, 'though as another object')
  },
)

t.test('an id space answers with the live object of an own process', async t => {
  const ids = new IdSpace(a, 5, 3)
  const own = ids.newPid()
  ids.own = serial => (serial === own.serial ? own : undefined)
  t.equal(ids.pid(a, 5, own.serial), own)
})

// --- errors ---------------------------------------------------------------------------------------------------------

t.test('an error carries code, detail and cause, and is known across copies of the package', async t => {
  const cause = new Error('why')
  const error = new TroupeError('ERR_TIMEOUT', 'call add: no answer', { elapsedMs: 5 }, cause)
  t.strictSame(
    { name: error.name, code: error.code, detail: error.detail, cause: error.cause, message: error.message },
    {
      name: 'TroupeError',
      code: 'ERR_TIMEOUT',
      detail: { elapsedMs: 5 },
      cause,
      message: 'call add: no answer',
    },
  )
  t.notOk(Object.hasOwn(new TroupeError('ERR_DEAD', 'x'), 'cause'), 'no cause where none was given')
  t.ok(TroupeError.is(error), 'ours')
  t.ok(TroupeError.is(error, 'ERR_TIMEOUT'), 'by code')
  t.notOk(TroupeError.is(error, 'ERR_NOPROC'), 'another code')
  const twin = Object.assign(new Error('other copy'), { [Symbol.for('troupe.error.code')]: 'ERR_DEAD' })
  t.ok(TroupeError.is(twin, 'ERR_DEAD'), 'of another copy')
  for (const other of [undefined, null, 'ERR_DEAD', { code: 'ERR_DEAD' }, new Error('ERR_DEAD')])
    t.notOk(TroupeError.is(other), show(other))
})

t.test('a value in a message is quoted, on one line, and at most 80 characters', async t => {
  const shown: [unknown, string][] = [
    ['a', '"a"'],
    ['line\nbreak\u001b[31m', '"line\\nbreak\\u001b[31m"'],
    [7, '7'],
    [-0, '0'],
    [Number.NaN, 'NaN'],
    [10n, '10n'],
    [true, 'true'],
    [undefined, 'undefined'],
    [null, 'null'],
    [[1, 2], 'an array of 2'],
    [{}, 'an object with no keys'],
    [{ a: 1 }, 'an object with key "a"'],
    [{ a: 1, b: 2 }, 'an object with keys "a", "b"'],
    [Object.create(null), 'an object with no keys'],
    [new Map(), 'a Map'],
    [new RangeError('far'), '"RangeError: far"'],
    [() => {}, 'a function'],
    [function named() {}, 'function "named"'],
    [Symbol('s'), 'a symbol "s"'],
  ]
  for (const [value, text] of shown) t.equal(show(value), text, text)
  const hostile: unknown[] = [
    'x'.repeat(10_000),
    '\n'.repeat(1_000),
    { ['k'.repeat(1_000)]: 1 },
    new Error('e'.repeat(1_000)),
    Symbol('s\n'.repeat(1_000)),
    10n ** 1_000n,
    Object.defineProperty(() => {}, 'name', { value: '\n'.repeat(100) }),
    Object.assign(Object.create({ constructor: { name: `Evil\n${'x'.repeat(100)}` } }), {}),
  ]
  for (const value of hostile) {
    const text = show(value)
    t.ok(text.length <= 80 && !text.includes('\n'), `${text.length} characters on one line`)
  }
})

t.test('showing a value never runs into an error of the value', async t => {
  const hostile: unknown[] = [
    Object.defineProperty(new Error('x'), 'message', { value: 7 }),
    Object.defineProperty(() => {}, 'name', { value: 7 }),
    Object.create({ constructor: null }),
    Object.create({ constructor: { name: 7 } }),
    new Proxy(
      {},
      {
        getPrototypeOf: () => {
          throw new Error('trap')
        },
      },
    ),
    Proxy.revocable([], {}).proxy,
  ]
  for (const [i, value] of hostile.entries()) t.type(show(value), 'string', `case ${i}`)
})

// --- options --------------------------------------------------------------------------------------------------------

const said = (fn: () => void): string => {
  try {
    fn()
  } catch (error) {
    return `${(error as Error).name}: ${(error as Error).message}`
  }
  return 'accepted'
}

t.test('a wrong option is refused by its name, with what was expected and what came', async t => {
  const checks: Record<string, Check> = {
    name: isString,
    timeoutMs: isMs(),
    retries: isInteger(0, 5),
    on: oneOf('a', 3),
    tags: arrayOf(isString),
  }
  const cases: [unknown, string][] = [
    [undefined, 'accepted'],
    [{}, 'accepted'],
    [{ name: undefined }, 'accepted'],
    [{ name: 'x', timeoutMs: 0.5, retries: 5, on: 3, tags: [] }, 'accepted'],
    [{ nme: 'x' }, 'TypeError: f: unknown option "nme"; expected one of name, timeoutMs, retries, on, tags'],
    [
      { toString: 1 },
      'TypeError: f: unknown option "toString"; expected one of name, timeoutMs, retries, on, tags',
    ],
    [
      JSON.parse('{"__proto__": 1}'),
      'TypeError: f: unknown option "__proto__"; expected one of name, timeoutMs, retries, on, tags',
    ],
    [{ name: 7 }, 'TypeError: f: name: expected a string, got 7'],
    [{ name: null }, 'TypeError: f: name: expected a string, got null'],
    [{ timeoutMs: '5' }, `TypeError: f: timeoutMs: expected milliseconds from 0 to ${WAIT_MS_MAX}, got "5"`],
    [{ timeoutMs: -1 }, `RangeError: f: timeoutMs: expected milliseconds from 0 to ${WAIT_MS_MAX}, got -1`],
    [
      { timeoutMs: Number.NaN },
      `RangeError: f: timeoutMs: expected milliseconds from 0 to ${WAIT_MS_MAX}, got NaN`,
    ],
    [
      { timeoutMs: Number.POSITIVE_INFINITY },
      `RangeError: f: timeoutMs: expected milliseconds from 0 to ${WAIT_MS_MAX}, got Infinity`,
    ],
    [{ retries: 6 }, 'RangeError: f: retries: expected a whole number from 0 to 5, got 6'],
    [{ retries: 1.5 }, 'RangeError: f: retries: expected a whole number from 0 to 5, got 1.5'],
    [{ on: 'b' }, `TypeError: f: on: expected 'a', 3, got "b"`],
    [{ tags: 'a' }, 'TypeError: f: tags: expected an array, got "a"'],
    [
      { tags: ['a', 7] },
      'TypeError: f: tags: expected an array whose every item is a string (item 1 is 7), got an array of 2',
    ],
    [7, 'TypeError: f: options: expected an object, got 7'],
    [null, 'TypeError: f: options: expected an object, got null'],
    [[], 'TypeError: f: options: expected an object, got an array of 0'],
  ]
  for (const [given, text] of cases)
    t.equal(
      said(() => checkOptions('f', given, checks)),
      text,
      text,
    )
})

t.test('each check says yes to its kind and no to the others', async t => {
  const values = {
    string: 's',
    true: true,
    function: () => {},
    object: {},
    array: [],
    signal: new AbortController().signal,
    null: null,
    number: 1,
  }
  const yes = (check: Check) =>
    Object.entries(values).flatMap(([name, value]) => (check(value) === undefined ? [name] : []))
  t.strictSame(
    {
      isString: yes(isString),
      isBoolean: yes(isBoolean),
      isFunction: yes(isFunction),
      isObject: yes(isObject),
      isSignal: yes(isSignal),
      anything: yes(anything),
      isInteger: yes(isInteger(1, 1)),
      isMs: yes(isMs(1)),
    },
    {
      isString: ['string'],
      isBoolean: ['true'],
      isFunction: ['function'],
      isObject: ['object', 'signal'],
      isSignal: ['signal'],
      anything: Object.keys(values),
      isInteger: ['number'],
      isMs: ['number'],
    },
  )
  t.throws(
    () => expect('spawn: name', 7, isString),
    { name: 'TypeError', message: 'spawn: name: expected a string, got 7' },
    'one value',
  )
})

t.test('what waits has a timeout of 5 s unless told, and takes a signal', async t => {
  t.equal(TIMEOUT_MS, 5_000, 'the default')
  t.equal(timeoutOf(undefined), 5_000, 'no options')
  t.equal(timeoutOf({}), 5_000, 'no timeout')
  t.equal(timeoutOf({ timeoutMs: 0 }), 0, 'none at all')
  t.equal(
    said(() => checkOptions('call', { signal: {} }, WAIT_CHECKS)),
    'TypeError: call: signal: expected an AbortSignal, got an object with no keys',
  )
})

// --- reasons, limits, log -------------------------------------------------------------------------------------------

t.test("normal, 'shutdown' and { shutdown } are clean, and nothing else is", async t => {
  const shutdowns = ['shutdown', { shutdown: undefined }, { shutdown: 'x', more: 1 }]
  for (const reason of shutdowns)
    t.strictSame([isShutdown(reason), isCleanExit(reason)], [true, true], show(reason))
  t.strictSame([isShutdown('normal'), isCleanExit('normal')], [false, true], 'normal')
  const others = [
    'kill',
    'killed',
    'noproc',
    '',
    undefined,
    null,
    0,
    new Error('shutdown'),
    {},
    Object.create({ shutdown: 1 }),
    ['shutdown'],
  ]
  for (const reason of others)
    t.strictSame([isShutdown(reason), isCleanExit(reason)], [false, false], show(reason))
})

t.test('a thrown Error is itself the reason; anything else thrown is wrapped', async t => {
  const error = new Error('oops')
  t.equal(thrownReason(error), error, 'an Error')
  t.strictSame(thrownReason('ball'), { nocatch: 'ball' }, 'a string')
  t.strictSame(thrownReason(undefined), { nocatch: undefined }, 'nothing')
})

t.test('limits cannot be changed behind the back of a running node', async t => {
  t.ok(Object.isFrozen(LIMITS), 'frozen')
  for (const [name, value] of Object.entries(LIMITS))
    t.ok(Number.isSafeInteger(value) && value > 0, `${name} is ${value}`)
})

const clockAt = (time: { ms: number }): Clock => ({
  now: () => time.ms,
  wallNow: () => time.ms,
  after: () => {
    throw new Error('no timers here')
  },
})

t.test(
  'a rate limiter lets one line per cause and interval through and counts what it held back',
  async t => {
    const time = { ms: 0 }
    const limiter = new RateLimiter(clockAt(time), 1_000)
    t.equal(limiter.admit('x'), 0, 'the first')
    t.equal(limiter.admit('x'), undefined, 'the second, at once')
    t.equal(limiter.admit('y'), 0, 'another cause is not held back by it')
    time.ms = 999
    t.equal(limiter.admit('x'), undefined, 'just before the interval is over')
    time.ms = 1_000
    t.equal(limiter.admit('x'), 2, 'after it, with the number held back')
    time.ms = 5_000
    t.equal(limiter.admit('x'), 0, 'counting begins anew')
  },
)

t.test('a rate limiter forgets causes rather than growing', async t => {
  const limiter = new RateLimiter(clockAt({ ms: 0 }), 1_000)
  limiter.admit('first')
  for (let i = 0; i < 10_000; i++) limiter.admit(`cause ${i}`)
  t.equal(limiter.admit('first'), 0, 'forgotten, so it may speak again')
})

t.test('the silent logger takes everything and says nothing', async t => {
  for (const level of ['debug', 'info', 'warn', 'error'] as const)
    t.equal(SILENT[level]('x', {}), undefined, level)
})
