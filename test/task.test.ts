/**
 * Tasks, streams of tasks, task supervisors and agents, one subtest per rule, through the public API. Where one event
 * loop cannot do the same as OTP, the title says what stands instead.
 */
import t from 'tap'
import type { Node, Speaker } from '../lib/actor/api.js'
import {
  Agent,
  createNode,
  defineActor,
  defineAgent,
  runInWorker,
  startTaskSupervisor,
  Task,
  TroupeError,
  taskSupervisor,
  taskSupervisorOf,
} from '../lib/index.js'
import { child } from '../lib/supervisor/child-spec.js'
import { startSupervisor } from '../lib/supervisor/supervisor.js'
import { StreamPlan } from '../lib/task/stream-plan.js'
import { createTestMesh } from '../lib/testing.js'
import { turns } from './support/actor-world.js'
import { bareNode } from './support/bare-node.js'
import { gate, plain, puppet, reasonOf, refusal, watch } from './support/puppet.js'

/** Tasks that take their time by the test's clock. */
const sleep = async (self: Speaker, ms: number): Promise<void> => {
  const { opened, open } = gate()
  self.run(async sleeper => {
    await sleeper.receive(() => false, { timeoutMs: ms }).catch(() => {})
    open()
  })
  await opened
}
async function after<T>(self: Speaker, ms: number, value: T): Promise<T> {
  await sleep(self, ms)
  return value
}
const forever = (): Promise<never> => new Promise(() => {})
const traps = async (self: Speaker): Promise<never> => {
  self.trapExit(true)
  return forever()
}
const boom = (): never => {
  throw new Error('boom')
}
const isAbout = (error: unknown): unknown => (error as { message?: string }).message

async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const one of stream) all.push(one)
  return all
}

// --- task -----------------------------------------------------------------------------------------------------------

t.test('task-001: async then await gives the value, from a process, a context and plain code', async t => {
  const { node } = await bareNode(t)
  t.equal(await puppet(node).ask(self => Task.async(self, () => 42).await()), 42, 'a process')
  t.equal(await Task.async(node, async () => 43).await(), 43, 'plain code')
  const server = defineActor('server', {
    init: () => ({}),
    calls: { ask: (_s, n: number, ctx) => Task.async(ctx, async () => n * 2).await() },
  })
  t.equal(await (await node.spawn(server)).call('ask', 22), 44, 'an actor')
})

t.test('task-002: await rejects with a timeout, and the task runs on', async t => {
  const { node, clock } = await bareNode(t)
  const owner = puppet(node)
  const { opened, open } = gate()
  const task = await owner.ask(self => ({ it: Task.async(self, () => opened) }))
  const failed = refusal(owner.ask(() => task.it.await({ timeoutMs: 30 })))
  await turns()
  clock.advance(29)
  await turns()
  clock.advance(1)
  const { code, detail } = await failed
  t.strictSame([code, detail['timeoutMs'], detail['to']], ['ERR_TIMEOUT', 30, task.it.pid], 'told')
  t.ok(node.isAlive(task.it.pid), 'the task runs')
  t.strictSame(await owner.mail(), [], 'and nothing is in the mailbox')
  await t.rejects(
    owner.ask(() => task.it.await()),
    /already awaited/,
    'its late result is nobody’s',
  )
  open()
  const late = gate()
  owner.tell(self => {
    Task.async(self, forever).await({ timeoutMs: 30 }).then(late.open, late.open)
    return Task.async(self, forever).await({ timeoutMs: 30 })
  })
  const reason = await reasonOf(node, owner.pid, async () => {
    await turns()
    clock.advance(30)
  })
  t.match(reason, { code: 'ERR_TIMEOUT' }, 'an owner that does not catch it fails')
})

t.test(
  'task-003: the crash of a task ends its owner, which does not trap exits, with the same reason',
  async t => {
    const { node } = await bareNode(t)
    const owner = puppet(node)
    const error = new Error('boom')
    const reason = await reasonOf(node, owner.pid, () =>
      owner.tell(self => {
        const sibling = Task.async(self, forever)
        Task.async(self, () => {
          throw error
        })
        return sibling.await()
      }),
    )
    t.equal(reason, error)
    t.strictSame(node.processes().filter(({ definition }) => definition === 'task').length, 0, 'siblings too')
  },
)

t.test('task-004: with an owner that traps exits await rejects, and one exit message is queued', async t => {
  const { node } = await bareNode(t)
  const owner = puppet(node, { trapExit: true })
  const error = new Error('boom')
  const { pid, refused } = await owner.ask(async self => {
    const task = Task.async(self, () => {
      throw error
    })
    return { pid: task.pid, refused: await refusal(task.await()) }
  })
  t.strictSame([refused.code, refused.detail['reason']], ['ERR_EXIT', error], 'await')
  t.strictSame((await owner.mail()).map(plain), [{ exit: pid, reason: error }], 'mailbox')
})

t.test(
  'task-005: an await by another process than the owner is a TypeError, wherever the asker is known',
  async t => {
    const { node } = await bareNode(t)
    const task = await puppet(node).ask(self => ({ it: Task.async(self, forever) }))
    const refused = await new Promise(resolve => {
      node.run(() => task.it.await().catch(resolve))
    })
    t.type(refused, TypeError)
    t.match(isAbout(refused), /^await: expected to be used by <a\..*>, which owns the task, got <a\..*>$/)
    t.ok(node.isAlive(task.it.pid))
    const attributed = await bareNode(t, { name: 'b', attribute: true })
    const other = await puppet(attributed.node).ask(self => ({ it: Task.async(self, () => 1) }))
    const stranger = puppet(attributed.node)
    await t.rejects(
      stranger.ask(() => other.it.await()),
      TypeError,
      'after awaits too, with attribute',
    )
    await t.rejects(
      stranger.ask(() => other.it.yield()),
      TypeError,
    )
    await t.rejects(
      stranger.ask(() => other.it.shutdown()),
      TypeError,
    )
    await t.rejects(
      stranger.ask(() => other.it.ignore()),
      TypeError,
    )
    await t.rejects(
      stranger.ask(() => Task.awaitMany([other.it])),
      TypeError,
    )
    await t.rejects(
      stranger.ask(() => Task.yieldMany([other.it])),
      TypeError,
    )
  },
)

t.test('task-006: a short yield gives undefined, a longer one the value', async t => {
  const { node, clock } = await bareNode(t)
  const owner = puppet(node)
  const task = await owner.ask(self => ({ it: Task.async(self, me => after(me, 60, 'v')) }))
  const short = owner.ask(() => task.it.yield({ timeoutMs: 10 }))
  await turns()
  clock.advance(10)
  t.equal(await short, undefined)
  const long = owner.ask(() => task.it.yield({ timeoutMs: 100 }))
  await turns()
  clock.advance(50)
  t.strictSame(await long, { ok: 'v' })
  t.equal(await owner.ask(() => task.it.yield()), undefined, 'once it was taken, nothing')
})

t.test(
  'task-007: shutdown of a running task gives undefined; it is dead, and no message is left',
  async t => {
    const { node } = await bareNode(t)
    for (const trapExit of [false, true]) {
      const owner = puppet(node, { trapExit })
      const task = await owner.ask(self => ({ it: Task.async(self, forever) }))
      await turns()
      t.equal(await owner.ask(() => task.it.shutdown()), undefined, 'nil')
      t.notOk(node.isAlive(task.it.pid), 'dead')
      t.strictSame(await owner.mail(), [], 'nothing in the mailbox')
      t.ok(node.isAlive(owner.pid), 'nor was the owner ended by it')
    }
  },
)

t.test('task-008: shutdown of a task that has finished gives its value', async t => {
  const { node } = await bareNode(t)
  const owner = puppet(node)
  const task = await owner.ask(self => ({ it: Task.async(self, () => 'v') }))
  await turns()
  t.notOk(node.isAlive(task.it.pid))
  t.strictSame(await owner.ask(() => task.it.shutdown()), { ok: 'v' })
  t.strictSame(await owner.ask(() => task.it.shutdown()), { exit: 'noproc' }, 'already handled')
})

t.test('task-009: a task that traps exits and does not stop within 30 ms is killed', async t => {
  const { node, clock } = await bareNode(t)
  const owner = puppet(node)
  const task = await owner.ask(self => ({ it: Task.async(self, traps) }))
  await turns()
  const result = owner.ask(() => task.it.shutdown(30))
  await turns()
  clock.advance(29)
  await turns()
  t.ok(node.isAlive(task.it.pid), 'it has its time')
  clock.advance(1)
  t.strictSame(await result, { exit: 'killed' })
  t.notOk(node.isAlive(task.it.pid))
})

t.test('task-010: awaitMany of tasks of 30, 10 and 20 ms gives their results in input order', async t => {
  const { node, clock } = await bareNode(t)
  const all = puppet(node).ask(self =>
    Task.awaitMany([30, 10, 20].map(ms => Task.async(self, me => after(me, ms, ms)))),
  )
  for (let i = 0; i < 3; i++) {
    await turns()
    clock.advance(10)
  }
  t.strictSame(await all, [30, 10, 20])
})

t.test('task-011: an ordered stream gives input order, an unordered one the order of completion', async t => {
  const { node, clock } = await bareNode(t)
  for (const ordered of [true, false]) {
    const results = puppet(node).ask(self =>
      collect(
        Task.asyncStream(self, [30, 10, 20], (ms, me) => after(me, ms, ms), {
          maxConcurrency: 3,
          ordered,
        }),
      ),
    )
    for (let i = 0; i < 3; i++) {
      await turns()
      clock.advance(10)
    }
    const order = ordered ? [30, 10, 20] : [10, 20, 30]
    t.strictSame(
      await results,
      order.map(ok => ({ ok })),
      ordered ? 'ordered' : 'unordered',
    )
  }
})

t.test('task-012: of six items at a concurrency of two never more than two run at once', async t => {
  const { node, clock } = await bareNode(t)
  let running = 0
  const seen: number[] = []
  const results = puppet(node).ask(self =>
    collect(
      Task.asyncStream(
        self,
        [1, 2, 3, 4, 5, 6],
        async (n, me) => {
          seen.push(++running)
          await sleep(me, 10)
          running -= 1
          return n
        },
        { maxConcurrency: 2 },
      ),
    ),
  )
  for (let i = 0; i < 3; i++) {
    await turns()
    clock.advance(10)
  }
  t.strictSame((await results).length, 6)
  t.strictSame([seen.length, Math.max(...seen)], [6, 2])
})

t.test(
  'task-013: with kill_task an item that is too slow gives exit timeout, the others their values',
  async t => {
    const { node, clock } = await bareNode(t)
    const results = puppet(node).ask(self =>
      collect(
        Task.asyncStream(self, [1, 100, 2], (ms, me) => after(me, ms, ms), {
          maxConcurrency: 3,
          timeoutMs: 50,
          onTimeout: 'kill_task',
        }),
      ),
    )
    for (const ms of [2, 48]) {
      await turns()
      clock.advance(ms)
    }
    t.strictSame(await results, [{ ok: 1 }, { exit: 'timeout' }, { ok: 2 }])
    t.equal(node.processes().filter(({ definition }) => definition === 'task').length, 0, 'it was killed')
  },
)

t.test('task-014: a consumer that takes one and stops kills the others and is left no message', async t => {
  const { node } = await bareNode(t)
  for (const trapExit of [false, true]) {
    const owner = puppet(node, { trapExit })
    const killed: number[] = []
    const first = await owner.ask(async self => {
      const stream = Task.asyncStream(
        self,
        [1, 2, 3, 4],
        (n, me) => {
          me.signal.addEventListener('abort', () => killed.push(n))
          return n === 1 ? n : forever()
        },
        { maxConcurrency: 4 },
      )
      for await (const result of stream) return result
      return undefined
    })
    t.strictSame(first, { ok: 1 })
    await turns()
    t.strictSame(killed, [1, 2, 3, 4], 'all have ended')
    t.strictSame(await owner.mail(), [], 'nothing in the mailbox')
    t.ok(node.isAlive(owner.pid))
  }
})

t.test('task-015: a stream with a concurrency of 0 is refused at the call', async t => {
  const { node } = await bareNode(t)
  t.throws(
    () => Task.asyncStream(node, [1], n => n, { maxConcurrency: 0 }),
    new RangeError(
      `Task.asyncStream: maxConcurrency: expected a whole number from 1 to ${Number.MAX_SAFE_INTEGER}, got 0`,
    ),
  )
})

t.test(
  'task-016: the crash of an asyncNolink task is what yield gives; its owner is not touched',
  async t => {
    const { node } = await bareNode(t)
    const tasks = await startTaskSupervisor(node)
    for (const trapExit of [false, true]) {
      const owner = puppet(node, { trapExit })
      const result = await owner.ask(async self => (await tasks.asyncNolink(self, boom)).yield())
      t.match(result, { exit: new Error('boom') })
      t.ok(node.isAlive(owner.pid), 'alive')
      t.strictSame(await owner.mail(), [], 'and told nothing else')
    }
  },
)

t.test('task-017: a task supervisor with maxChildren 1 and one running refuses: max_children', async t => {
  const { node } = await bareNode(t)
  const tasks = await startTaskSupervisor(node, { maxChildren: 1 })
  const pid = await tasks.startChild(forever)
  const { code, detail } = await refusal(tasks.startChild(forever))
  t.strictSame([code, detail['why'], detail['limit']], ['ERR_BUSY', 'max_children', 'maxChildren'])
  t.equal((await refusal(tasks.async(node, forever))).code, 'ERR_BUSY', 'async too')
  await t.rejects(collect(tasks.asyncStream(node, [1], n => n)), { code: 'ERR_BUSY' }, 'and streams')
  t.strictSame(await tasks.children(), [pid])
})

// --- agent ----------------------------------------------------------------------------------------------------------

const number = defineAgent('number', (start: number) => start, {
  functions: {
    add: (n, by: number) => n + by,
    sum: (n, by: number) => n + by,
    take: (n, by: number): [number, number] => [n, n - by],
    text: (n: number) => `n=${n}`,
    wrong: (_n, _none: void) => 'no pair' as unknown as [number, number],
  },
})

t.test('agent-001: get, getAndUpdate, update and cast on a state of 1 end at 23', async t => {
  const { node } = await bareNode(t)
  const agent = Agent.of(await node.spawn(number, 1))
  t.equal(await agent.get(n => n), 1)
  t.equal(await agent.getAndUpdate(n => [n, n + 10]), 1)
  t.equal(await agent.update(n => n * 2), undefined)
  t.equal(
    agent.cast(n => n + 1),
    'ok',
  )
  t.equal(await agent.get(n => n), 23)
})

t.test('agent-002: a get whose function raises fails its caller and ends the agent', async t => {
  const { node } = await bareNode(t)
  const error = new Error('boom')
  const ref = await node.spawn(number, 1)
  const { down } = await watch(node, ref.pid)
  const { code, detail } = await refusal(
    Agent.of(ref).get(() => {
      throw error
    }),
  )
  t.strictSame([code, detail['reason']], ['ERR_EXIT', error])
  t.equal((await down).reason, error)
})

t.test('agent-003: an update that is slower than its timeout is applied all the same', async t => {
  const { node, clock } = await bareNode(t)
  const agent = Agent.of(await node.spawn(number, 1))
  const { opened, open } = gate()
  const updated = refusal(agent.update(n => opened.then(() => n + 1), { timeoutMs: 30 }))
  await turns()
  clock.advance(30)
  t.equal((await updated).code, 'ERR_TIMEOUT')
  const got = agent.get(n => n)
  open()
  t.equal(await got, 2)
})

// --- rules of tasks ---------------------------------------------------------------------------------------------------

const tasksOf = (node: Node): number =>
  node.processes().filter(({ definition }) => definition === 'task').length

t.test(
  'a task is linked to its owner before it runs: an abnormal end takes it along, a normal one does not',
  async t => {
    const { node } = await bareNode(t)
    for (const reason of ['normal', 'shutdown', 'boom'] as const) {
      const owner = puppet(node)
      const task = await owner.ask(self => ({ it: Task.async(self, forever) }))
      await reasonOf(node, owner.pid, () =>
        reason === 'normal' ? owner.end() : node.exit(owner.pid, reason),
      )
      t.equal(node.isAlive(task.it.pid), reason === 'normal', reason)
    }
    let began = false
    puppet(node).tell(self => {
      Task.async(self, () => {
        began = true
      })
      self.exit(self.self, 'boom')
    })
    await turns()
    t.notOk(began, 'nor has one begun whose owner died before that')
  },
)

t.test('a task of a node is linked to nobody, and a crash that nobody awaits is reported', async t => {
  const { node } = await bareNode(t)
  const reports: unknown[] = []
  node.on('crash', report => reports.push(report))
  const task = Task.async(node, function compute() {
    throw new Error('boom')
  })
  await turns()
  t.match(reports, [
    { pid: task.pid, definition: 'task', reason: new Error('boom'), state: { fn: 'compute' } },
  ])
  t.strictSame([task.owner, node.isAlive(task.pid)], [node.self, false])
  t.match(await task.yield(), { exit: new Error('boom') })
})

t.test('a result is there when the process of its task is dead, and not before', async t => {
  const { node } = await bareNode(t)
  const owner = puppet(node)
  const task = await owner.ask(async self => {
    const it = Task.async(self, async () => 1)
    return { it, alive: await it.await().then(() => node.isAlive(it.pid)) }
  })
  t.equal(task.alive, false)
})

t.test('what waits for a task ends with its owner, and no rejection is left unhandled', async t => {
  const { node } = await bareNode(t)
  const owner = puppet(node)
  const left: Promise<unknown>[] = []
  await owner.ask(async self => {
    const stubborn = Task.async(self, traps)
    await turns()
    left.push(stubborn.shutdown())
    left.push(Task.async(self, forever).await(), Task.async(self, forever).yield())
    left.push(Task.awaitMany([Task.async(self, forever)]), Task.yieldMany([Task.async(self, forever)]))
    left.push(Task.asyncStream(self, [1], forever)[Symbol.asyncIterator]().next())
  })
  await turns()
  node.exit(owner.pid, 'kill')
  await turns()
  const codes = (await Promise.allSettled(left)).map(r =>
    r.status === 'rejected' ? r.reason.code : r.status,
  )
  t.strictSame(codes, Array(6).fill('ERR_DEAD'))
})

t.test('a wait ends with its signal, and leaves the task alone', async t => {
  const { node } = await bareNode(t)
  const task = Task.async(node, forever)
  const stop = new AbortController()
  const waits = [
    task.yield({ signal: stop.signal }),
    Task.yieldMany([task], { signal: stop.signal, limit: 1 }),
  ]
  stop.abort('enough')
  t.match(await Promise.allSettled(waits), [{ reason: 'enough' }, { reason: 'enough' }])
  await t.rejects(task.yield({ signal: stop.signal }), 'enough')
  const late = new AbortController()
  const told = task.yield({ signal: late.signal })
  late.abort(new TroupeError('ERR_TIMEOUT', 'of somebody else'))
  await t.rejects(told, { message: 'of somebody else' }, 'whatever its reason')
  t.equal(await task.yield({ timeoutMs: 0 }), undefined, 'it can be asked again')
  t.ok(node.isAlive(task.pid))
})

t.test('one waits for a task at a time', async t => {
  const { node } = await bareNode(t)
  const { opened, open } = gate()
  const task = Task.async(node, () => opened)
  const first = task.yield()
  await t.rejects(
    task.yield(),
    new TypeError(`yield: expected a task that nobody waits for, got ${task.pid}`),
  )
  open()
  t.strictSame(await first, { ok: undefined })
})

t.test('an await with a timeout of 0 gives what is there', async t => {
  const { node } = await bareNode(t)
  const done = Task.async(node, () => 1)
  await turns()
  t.equal(await done.await({ timeoutMs: 0 }), 1)
  await t.rejects(Task.async(node, () => 1).await({ timeoutMs: 0 }), { code: 'ERR_TIMEOUT' })
})

t.test('shutdown: every way in which a task can end', async t => {
  const { node, clock } = await bareNode(t)
  const brutal = Task.async(node, traps)
  await turns()
  t.equal(await brutal.shutdown('brutal_kill'), undefined, 'brutal_kill: undefined')
  t.equal(await Task.async(node, forever).shutdown('brutal_kill'), undefined, 'before it has begun, too')
  const crashed = Task.async(node, boom)
  await turns()
  t.match(await crashed.shutdown(), { exit: new Error('boom') }, 'it had crashed')
  const polite = Task.async(node, async self => {
    self.trapExit(true)
    await new Promise(resolve => self.shutdownSignal.addEventListener('abort', resolve))
    return 'finished'
  })
  await turns()
  const linked = await puppet(node).ask(async self => {
    const task = Task.async(self, async me => {
      me.trapExit(true)
      await new Promise(resolve => me.shutdownSignal.addEventListener('abort', resolve))
      return 'finished'
    })
    await turns()
    return task.shutdown('infinity')
  })
  t.strictSame(linked, { ok: 'finished' }, 'it finishes while it is asked')
  t.equal((await polite.yield({ timeoutMs: 0 })) ?? tasksOf(node), 1)
  t.strictSame(await polite.shutdown(0), { exit: 'killed' }, 'with 0 ms it has no time to')
  const own = Task.async(node, self => self.exit(self.self, 'shutdown'))
  await turns()
  t.strictSame(await own.shutdown('brutal_kill'), { exit: 'shutdown' }, 'it had shut down by itself')
  const late = Task.async(node, forever)
  const timedOut = refusal(late.await({ timeoutMs: 5 }))
  clock.advance(5)
  await timedOut
  t.equal(await late.shutdown(), undefined, 'after an await that timed out it is stopped all the same')
  const { opened, open } = gate()
  const finishes = Task.async(node, async self => {
    self.trapExit(true)
    await opened
  })
  await t.rejects(finishes.await({ timeoutMs: 0 }), { code: 'ERR_TIMEOUT' })
  await turns()
  const asked = finishes.shutdown()
  open()
  t.strictSame(await asked, { exit: 'normal' }, 'and its late result is nobody’s')
  t.equal(tasksOf(node), 0)
})

t.test('ignore: undefined while it runs, which it does on, unlinked; else what it ended with', async t => {
  const { node } = await bareNode(t)
  const owner = puppet(node)
  const { opened, open } = gate()
  const task = await owner.ask(self => ({ it: Task.async(self, () => opened.then(boom)) }))
  t.equal(await owner.ask(() => task.it.ignore()), undefined)
  t.ok(node.isAlive(task.it.pid))
  t.equal(await owner.ask(() => task.it.yield()), undefined)
  t.equal(await owner.ask(() => task.it.ignore()), undefined)
  await reasonOf(node, task.it.pid, open)
  t.ok(node.isAlive(owner.pid), 'its crash is not the owner’s')
  const [done, failed] = [Task.async(node, () => 1), Task.async(node, boom)]
  await turns()
  t.match([done.ignore(), failed.ignore()], [{ ok: 1 }, { exit: new Error('boom') }])
})

t.test('awaitMany: the first failure, the timeout for all, none, and one twice', async t => {
  const { node, clock } = await bareNode(t)
  t.strictSame(await Task.awaitMany([]), [])
  const [slow, bad] = [Task.async(node, forever), Task.async(node, boom)]
  const { code, detail } = await refusal(Task.awaitMany([slow, bad]))
  t.match([code, detail['reason']], ['ERR_EXIT', new Error('boom')])
  const late = refusal(Task.awaitMany([Task.async(node, () => 1), Task.async(node, forever)]))
  await turns()
  clock.advance(4_999)
  await turns()
  clock.advance(1)
  t.strictSame((await late).detail['timeoutMs'], 5_000)
  const one = Task.async(node, () => 1)
  await t.rejects(Task.awaitMany([one, one]), /that nobody waits for|already awaited/)
  const fresh = Task.async(node, () => 1)
  await t.rejects(Task.awaitMany([fresh, slow]), /already awaited/)
  t.equal(await fresh.await(), 1, 'and then nothing was taken')
})

t.test(
  'yieldMany: results in input order, undefined for the unfinished, and what is done about those',
  async t => {
    const { node, clock } = await bareNode(t)
    t.strictSame(await Task.yieldMany([]), [])
    for (const onTimeout of [undefined, 'nothing', 'ignore', 'kill_task'] as const) {
      const tasks = [Task.async(node, forever), Task.async(node, () => 1), Task.async(node, boom)] as const
      const results = Task.yieldMany(tasks, { timeoutMs: 50, onTimeout })
      await turns()
      clock.advance(50)
      t.match(await results, [undefined, { ok: 1 }, { exit: new Error('boom') }], `onTimeout ${onTimeout}`)
      t.equal(node.isAlive(tasks[0].pid), onTimeout !== 'kill_task')
      const again = refusal(tasks[0].await({ timeoutMs: 0 }).catch(error => Promise.reject(asTroupe(error))))
      const open = onTimeout === undefined || onTimeout === 'nothing'
      t.equal((await again).code, open ? 'ERR_TIMEOUT' : 'ERR_STOPPED', 'whether it can be asked again')
    }
  },
)

/** For `refusal`, which wants operating failures: misuse passes for `ERR_STOPPED`. */
const asTroupe = (error: unknown): unknown =>
  error instanceof TypeError ? new TroupeError('ERR_STOPPED', error.message) : error

t.test(
  'yieldMany with a limit ends when so many have ended, and keeps what else has for the next time',
  async t => {
    const { node } = await bareNode(t)
    const tasks = [1, 2, 3].map(n => Task.async(node, () => n))
    await turns()
    t.strictSame(await Task.yieldMany(tasks, { limit: 2, onTimeout: 'kill_task' }), [
      { ok: 1 },
      { ok: 2 },
      undefined,
    ])
    t.strictSame(
      await Task.yieldMany(tasks),
      [undefined, undefined, { ok: 3 }],
      'those taken are not waited for',
    )
    const given = Task.async(node, forever)
    await t.rejects(given.await({ timeoutMs: 0 }), { code: 'ERR_TIMEOUT' })
    t.strictSame(
      await Task.yieldMany([given, Task.async(node, () => 1)], { onTimeout: 'kill_task' }),
      [undefined, { ok: 1 }],
      'nor is one that was given up, though it runs',
    )
    const running = [Task.async(node, forever), Task.async(node, () => 1)]
    t.strictSame(await Task.yieldMany(running, { limit: 1, onTimeout: 'kill_task' }), [undefined, { ok: 1 }])
    t.ok(node.isAlive(running[0]!.pid), 'a limit is no timeout')
  },
)

t.test(
  'a task that holds the event loop cannot be interrupted; killed from within, it is dead at once and what it computes on has no effect (substitute for the kill of a busy process)',
  async t => {
    const { node } = await bareNode(t)
    const seen: unknown[] = []
    const task = Task.async(node, self => {
      self.exit(self.self, 'kill')
      let n = 0
      while (n < 1_000_000) n += 1
      seen.push(node.isAlive(self.self), self.signal.aborted)
      try {
        self.send(self.self, n)
      } catch (error) {
        seen.push((error as TroupeError).code)
      }
      return n
    })
    t.strictSame(await task.yield(), { exit: 'killed' })
    t.strictSame(seen, [false, true, 'ERR_DEAD'])
  },
)

t.test('misuse is refused at the call, with what was expected and what came', async t => {
  const { node } = await bareNode(t)
  const task = Task.async(node, forever)
  const wrong = (value: unknown) => value as never
  const cases: [() => unknown, RegExp][] = [
    [
      () => Task.async(wrong({}), boom),
      /^Task.async: expected a context, a process function's self or a node, got/,
    ],
    [() => Task.async(node, wrong(5)), /^Task.async: fn: expected a function, got 5/],
    [() => task.await(wrong({ timeout: 5 })), /^task.await: unknown option "timeout"/],
    [() => task.yield({ timeoutMs: -1 }), /^task.yield: timeoutMs: expected milliseconds from 0/],
    [
      () => task.shutdown(wrong('kill')),
      /^task.shutdown: shutdownMs: expected milliseconds .*'brutal_kill', got "kill"/,
    ],
    [
      () => Task.awaitMany(wrong([5])),
      /^Task.awaitMany: tasks: expected an array whose every item is what Task.async/,
    ],
    [() => Task.yieldMany([task], { limit: 0 }), /^Task.yieldMany: limit: expected a whole number from 1/],
    [
      () => Task.yieldMany([task], wrong({ onTimeout: 'kill' })),
      /onTimeout: expected 'nothing', 'ignore', 'kill_task'/,
    ],
    [() => Task.asyncStream(node, wrong(5), n => n), /^Task.asyncStream: items: expected an iterable, got 5/],
    [() => Task.asyncStream(node, [], wrong(5)), /^Task.asyncStream: fn: expected a function, got 5/],
    [
      () => Task.asyncStream(node, [], boom, wrong({ onTimeout: 'kill' })),
      /onTimeout: expected 'exit', 'kill_task'/,
    ],
    [() => taskSupervisor(wrong({ max: 5 })), /^taskSupervisor: unknown option "max"/],
    [() => taskSupervisor({ maxChildren: -1 }), /maxChildren: expected a whole number from 0/],
  ]
  for (const [misuse, message] of cases) t.throws(misuse, { message }, String(message))
  const other = await puppet(node).ask(self => ({ it: Task.async(self, forever) }))
  t.throws(() => Task.awaitMany([task, other.it]), /expected tasks of one owner, got "<a/)
  const tasks = await startTaskSupervisor(node)
  await t.rejects(tasks.startChild(wrong(5)), /^startChild: fn: expected a function, got 5/)
  await t.rejects(tasks.startChild(boom, wrong({ restarts: 1 })), /unknown option "restarts"/)
  t.throws(() => tasks.async(node, boom, wrong({ restart: 'permanent' })), /unknown option "restart"/)
})

t.test('a dead process has no more tasks, and a node that has stopped none', async t => {
  const { node } = await bareNode(t)
  const kept: Speaker[] = []
  const pid = node.run(self => void kept.push(self))
  await turns()
  t.notOk(node.isAlive(pid))
  t.throws(() => Task.async(kept[0]!, boom), { code: 'ERR_DEAD' })
  const other = await createNode({ name: 'b', logger: false })
  await other.stop({ drainMs: 0 })
  t.throws(() => Task.async(other, boom), { code: 'ERR_STOPPED' })
})

// --- rules of streams -------------------------------------------------------------------------------------------------

t.test('a stream starts nothing before it is asked, and starts anew for each iteration', async t => {
  const { node } = await bareNode(t)
  let started = 0
  const stream = Task.asyncStream(node, [1, 2], n => {
    started += 1
    return n
  })
  await turns()
  t.equal(started, 0)
  t.strictSame([await collect(stream), await collect(stream)], Array(2).fill([{ ok: 1 }, { ok: 2 }]))
  t.equal(started, 4)
  t.strictSame(await collect(Task.asyncStream(node, [], boom)), [], 'of nothing, nothing')
})

t.test('an item that is too slow ends the iteration, by default, and kills what runs', async t => {
  const { node, clock } = await bareNode(t)
  const owner = puppet(node, { trapExit: true })
  const failed = refusal(owner.ask(self => collect(Task.asyncStream(self, [1, 2], forever))))
  await turns()
  t.equal(tasksOf(node), 2)
  clock.advance(5_000)
  const { code, detail } = await failed
  t.strictSame([code, detail], ['ERR_TIMEOUT', { index: 0, timeoutMs: 5_000 }])
  await turns()
  t.equal(tasksOf(node), 0)
  t.strictSame(await owner.mail(), [])
})

t.test(
  'the crash of an item ends its owner; one that traps exits is given it as a result, and no message',
  async t => {
    const { node } = await bareNode(t)
    const crash = (self: Speaker) =>
      collect(Task.asyncStream(self, [1, 2, 3], n => (n === 2 ? boom() : n), { maxConcurrency: 1 }))
    const victim = puppet(node)
    t.match(await reasonOf(node, victim.pid, () => victim.tell(crash)), new Error('boom'))
    const owner = puppet(node, { trapExit: true })
    t.match(await owner.ask(crash), [{ ok: 1 }, { exit: new Error('boom') }, { ok: 3 }])
    t.strictSame(await owner.mail(), [])
  },
)

t.test('with zipInputOnExit an exit stands beside its item', async t => {
  const { node, clock } = await bareNode(t)
  const results = collect(
    Task.asyncStream(
      node,
      ['crashes', 'hangs', 'works'],
      name => (name === 'hangs' ? forever() : name === 'works' || boom()),
      {
        zipInputOnExit: true,
        onTimeout: 'kill_task',
        maxConcurrency: 3,
      },
    ),
  )
  await turns()
  clock.advance(5_000)
  t.match(await results, [
    { exit: { input: 'crashes', reason: new Error('boom') } },
    { exit: { input: 'hangs', reason: 'timeout' } },
    { ok: true },
  ])
})

t.test('an ordered stream goes on starting items while an early one runs', async t => {
  const { node } = await bareNode(t)
  const { opened, open } = gate()
  const started: number[] = []
  const results = collect(
    Task.asyncStream(
      node,
      [0, 1, 2, 3],
      n => {
        started.push(n)
        return n === 0 ? opened.then(() => n) : n
      },
      { maxConcurrency: 2 },
    ),
  )
  await turns()
  t.strictSame(started, [0, 1, 2, 3])
  open()
  t.strictSame(
    await results,
    [0, 1, 2, 3].map(ok => ({ ok })),
  )
})

t.test('of an ordered stream no more than streamResultsMax results wait for an earlier one', async t => {
  const { node } = await bareNode(t, { limits: { streamResultsMax: 3 } })
  const { opened, open } = gate()
  let started = 0
  const work = (n: number): unknown => {
    started += 1
    return n === 0 ? opened : n
  }
  const results = collect(Task.asyncStream(node, [0, 1, 2, 3, 4, 5, 6, 7], work, { maxConcurrency: 2 }))
  await turns()
  t.equal(started, 4, 'the one that runs and three that wait')
  t.ok(node.stats().counters['task.streamsFull']! > 0, 'counted')
  open()
  t.equal((await results).length, 8)
})

t.test('nothing further is started while the reader is busy', async t => {
  const { node } = await bareNode(t)
  let started = 0
  const stream = Task.asyncStream(node, [0, 1, 2, 3, 4, 5], () => ++started, { maxConcurrency: 2 })
  const reader = stream[Symbol.asyncIterator]()
  await reader.next()
  await turns()
  t.equal(started, 3, 'two at first, one for the one that was read')
  await reader.return?.()
})

t.test('items may come late, from an async iterable, while results are read', async t => {
  const { node } = await bareNode(t)
  const { opened, open } = gate()
  const left: string[] = []
  async function* items() {
    try {
      yield 1
      await opened
      yield 2
      yield 3
    } finally {
      left.push('left')
    }
  }
  const reader = Task.asyncStream(node, items(), n => n, { maxConcurrency: 2 })[Symbol.asyncIterator]()
  t.strictSame(await reader.next(), { value: { ok: 1 }, done: false })
  open()
  t.strictSame(await reader.next(), { value: { ok: 2 }, done: false })
  await reader.return?.()
  t.strictSame(left, ['left'], 'and are told when nobody reads on')
  t.strictSame(await reader.next(), { value: undefined, done: true })
})

t.test('what the items throw is what the iteration rejects with, and what runs is killed', async t => {
  const { node } = await bareNode(t)
  function* sync(): Generator<number> {
    yield 1
    throw new Error('no more')
  }
  async function* late(): AsyncGenerator<number> {
    yield* sync()
  }
  for (const items of [sync(), late()]) {
    await t.rejects(collect(Task.asyncStream(node, items, forever)), new Error('no more'))
    await turns()
    t.equal(tasksOf(node), 0)
  }
})

t.test('a source that failed is not told to return, and one whose items find no room is', async t => {
  const { node } = await bareNode(t, { limits: { processesMax: 1 } })
  let returned = 0
  const source = (next: () => unknown, kind: symbol): never =>
    ({ [kind]: () => ({ next, return: () => ({ value: ++returned, done: true }) }) }) as never
  for (const kind of [Symbol.iterator, Symbol.asyncIterator]) {
    const late = kind === Symbol.asyncIterator
    const fails = source(() => (late ? Promise.reject(new Error('no more')) : boom()), kind)
    await t.rejects(collect(Task.asyncStream(node, fails, forever)), new Error(late ? 'no more' : 'boom'))
    t.equal(returned, 0)
  }
  for (const kind of [Symbol.iterator, Symbol.asyncIterator]) {
    const item = { value: 1, done: false }
    const gives = source(() => (kind === Symbol.iterator ? item : Promise.resolve(item)), kind)
    const read = collect(Task.asyncStream(node, gives, forever, { maxConcurrency: 2 }))
    await t.rejects(read, { code: 'ERR_BUSY', detail: { limit: 'processesMax' } })
    t.equal(returned, 1)
    returned = 0
    await turns()
  }
})

t.test('return ends a wait for the next result, and does not wait for a source that hangs', async t => {
  const { node } = await bareNode(t)
  const reader = Task.asyncStream(node, [1], forever)[Symbol.asyncIterator]()
  const next = reader.next()
  await turns()
  t.equal(tasksOf(node), 1)
  await reader.return?.()
  t.strictSame(await next, { value: undefined, done: true })
  await turns()
  t.equal(tasksOf(node), 0)
  async function* hangs(): AsyncGenerator<number> {
    yield await forever()
  }
  const stuck = Task.asyncStream(node, hangs(), n => n)[Symbol.asyncIterator]()
  const never = stuck.next()
  await turns()
  t.strictSame(await stuck.return?.(), { value: undefined, done: true })
  t.strictSame(await never, { value: undefined, done: true })
})

t.test('a stream ends with its signal, and with its owner', async t => {
  const { node } = await bareNode(t)
  const stop = new AbortController()
  const stopped = collect(Task.asyncStream(node, [1], forever, { signal: stop.signal }))
  await turns()
  stop.abort('enough')
  t.match(await Promise.allSettled([stopped]), [{ reason: 'enough' }])
  await turns()
  t.equal(tasksOf(node), 0)
  const owner = puppet(node)
  owner.tell(self => void collect(Task.asyncStream(self, [1], forever)).catch(() => {}))
  await turns()
  t.equal(tasksOf(node), 1)
  await reasonOf(node, owner.pid, () => owner.end())
  await turns()
  t.equal(tasksOf(node), 0, 'even when that ends normally')
})

t.test('the plan of a stream: every step, and no further item beyond the results that may wait', async t => {
  const plan = new StreamPlan<string>({ max: 2, ordered: true, resultsMax: 2 })
  const steps = (): string[] => {
    const taken: string[] = []
    for (;;) {
      const step = plan.step()
      taken.push(step.do === 'emit' ? `emit ${step.result}` : step.do)
      if (step.do === 'pull') plan.pulled()
      if (step.do === 'wait' || step.do === 'end') return taken
    }
  }
  t.strictSame(steps(), ['pull', 'pull', 'wait'], 'as many as may run')
  plan.ended(1, 'b')
  t.strictSame(steps(), ['pull', 'wait'], 'one waits for the first, one more is started')
  plan.ended(2, 'c')
  t.strictSame(steps(), ['wait'], 'two wait: nothing is started')
  plan.ended(0, 'a')
  t.strictSame(steps(), ['emit a', 'emit b', 'pull', 'pull', 'emit c', 'wait'])
  plan.ended(4, 'e')
  plan.ended(3, 'd')
  t.strictSame(plan.step(), { do: 'pull' })
  plan.dried()
  t.strictSame(steps(), ['emit d', 'emit e', 'end'])
})

// --- rules of task supervisors ----------------------------------------------------------------------------------------

t.test('stopping a task supervisor ends its tasks with shutdown, side by side, and then itself', async t => {
  const { node } = await bareNode(t)
  const tasks = await startTaskSupervisor(node)
  const pids = [await tasks.startChild(forever), (await tasks.asyncNolink(node, forever)).pid]
  t.strictSame(await tasks.children(), [...pids].reverse(), 'newest first')
  const downs = await Promise.all(pids.map(pid => watch(node, pid)))
  await tasks.stop()
  t.strictSame(await Promise.all(downs.map(async ({ down }) => (await down).reason)), [
    'shutdown',
    'shutdown',
  ])
  await t.rejects(tasks.startChild(forever), { code: 'ERR_NOPROC' })
  await t.rejects(tasks.async(node, forever), { code: 'ERR_NOPROC' })
})

t.test('a supervised task that does not stop is killed after its shutdownMs', async t => {
  const { node, clock } = await bareNode(t)
  const tasks = await startTaskSupervisor(node)
  const pid = await tasks.startChild(traps, { shutdownMs: 30 })
  const reason = await reasonOf(node, pid, async () => {
    const stopped = tasks.stop()
    await turns()
    clock.advance(30)
    await stopped
  })
  t.equal(reason, 'killed')
})

t.test('a task supervisor that stands alone may have a name', async t => {
  const { node } = await bareNode(t)
  const name = { name: 'tasks', scope: 'node' } as const
  const tasks = await startTaskSupervisor(node, { maxChildren: 1 }, name)
  t.equal(node.whereis('tasks')?.pid, tasks.pid)
  await t.rejects(startTaskSupervisor(node, undefined, name), { code: 'ERR_ALREADY_STARTED' })
  await t.rejects(
    startTaskSupervisor(node, {}, { nme: 'x' } as never),
    /startTaskSupervisor: unknown option "nme"/,
  )
})

t.test('terminateChild stops one task with shutdown, and knows nobody else', async t => {
  const { node } = await bareNode(t)
  const tasks = await startTaskSupervisor(node)
  const task = await tasks.asyncNolink(node, forever)
  t.strictSame(await tasks.terminateChild(task.pid), { ok: true })
  t.strictSame(await task.yield(), { exit: 'shutdown' })
  t.strictSame(await tasks.terminateChild(task.pid), { ok: false, why: 'not_found' })
  t.strictSame(await tasks.children(), [])
})

t.test('startChild runs a function once; transient ones again after a crash', async t => {
  const { node } = await bareNode(t)
  const tasks = await startTaskSupervisor(node)
  for (const restart of [undefined, 'transient'] as const) {
    let runs = 0
    await tasks.startChild(() => (++runs === 1 ? boom() : runs), { restart })
    await turns()
    t.equal(runs, restart === 'transient' ? 2 : 1, `restart ${restart}`)
  }
  t.strictSame(await tasks.children(), [])
})

t.test('async under a supervisor links to the owner; asyncNolink ties neither to the other', async t => {
  const { node } = await bareNode(t)
  const tasks = await startTaskSupervisor(node)
  t.equal(await puppet(node).ask(async self => (await tasks.async(self, () => 7)).await()), 7)
  const victim = puppet(node)
  const crash = (self: Speaker) => tasks.async(self, boom).then(task => task.await())
  t.match(await reasonOf(node, victim.pid, () => victim.tell(crash)), new Error('boom'))
  const [linked, free] = [puppet(node), puppet(node)]
  const task = await linked.ask(async self => (await tasks.async(self, forever)).pid)
  const loner = await free.ask(async self => (await tasks.asyncNolink(self, forever)).pid)
  node.exit(linked.pid, 'boom')
  node.exit(free.pid, 'boom')
  await turns()
  t.strictSame([node.isAlive(task), node.isAlive(loner)], [false, true])
})

t.test(
  'streams under a supervisor: items are its children, and without links a crash is a result',
  async t => {
    const { node } = await bareNode(t)
    const tasks = await startTaskSupervisor(node, { maxChildren: 2 })
    const owner = puppet(node)
    const options = { maxConcurrency: 2 }
    const results = await owner.ask(self =>
      collect(tasks.asyncStreamNolink(self, [1, 2, 3, 4, 5, 6], n => (n % 2 === 0 ? boom() : n), options)),
    )
    t.match(
      results,
      [1, 2, 3, 4, 5, 6].map(n => (n % 2 === 0 ? { exit: new Error('boom') } : { ok: n })),
    )
    const children: number[] = []
    const stream = tasks.asyncStream(node, [1, 2, 3], async n =>
      children.push((await tasks.children()).length + n * 0),
    )
    await collect(stream)
    t.ok(
      children.every(n => n >= 1 && n <= 2),
      `${children}`,
    )
    const victim = puppet(node)
    const crash = (self: Speaker) => collect(tasks.asyncStream(self, [1], boom))
    t.match(await reasonOf(node, victim.pid, () => victim.tell(crash)), new Error('boom'))
    t.strictSame(await tasks.children(), [])
  },
)

t.test('leaving a supervised stream kills its items, those whose start is under way too', async t => {
  const { node } = await bareNode(t)
  const tasks = await startTaskSupervisor(node)
  const owner = puppet(node, { trapExit: true })
  await owner.ask(async self => {
    const reader = tasks.asyncStream(self, [1, 2], forever)[Symbol.asyncIterator]()
    const next = reader.next()
    await reader.return?.()
    t.strictSame(await next, { value: undefined, done: true })
  })
  await turns()
  t.strictSame(await tasks.children(), [])
  t.strictSame(await owner.mail(), [])
})

t.test(
  'a task supervisor is a child like any other, found by its name, also where mail is copied',
  async t => {
    const { node } = await bareNode(t, { serializeLocal: true })
    await startSupervisor(node, {
      children: [child(taskSupervisor({ maxChildren: 5 }), { id: 'tasks', name: 'tasks', scope: 'node' })],
    })
    const tasks = taskSupervisorOf(node.whereis('tasks', undefined)! as never)
    const held = { n: 1 }
    const task = await tasks.async(node, () => held)
    const result = await task.await()
    t.strictSame([result, result === held], [{ n: 1 }, false], 'a result is copied, as a reply is')
    await t.rejects(Task.async(node, () => boom).await(), {
      code: 'ERR_EXIT',
      cause: { code: 'ERR_PAYLOAD' },
    })
  },
)

t.test('a supervised task whose owner died while it was asked for does not run', async t => {
  const { node } = await bareNode(t)
  const tasks = await startTaskSupervisor(node)
  const owner = puppet(node)
  let began = false
  let asked: Promise<unknown> | undefined
  owner.tell(self => {
    asked = tasks.async(self, () => {
      began = true
    })
    node.exit(self.self, 'kill')
  })
  await turns()
  t.notOk(began)
  t.strictSame(await tasks.children(), [])
  await t.rejects(asked as Promise<unknown>, { code: 'ERR_DEAD' }, 'it was asked for in its owner’s name')
})

// --- work in threads --------------------------------------------------------------------------------------------------

const work = new URL('./support/thread-work.js', import.meta.url)

t.test('runInWorker gives what an exported function returns, and rejects with what it throws', async t => {
  const { node } = await bareNode(t)
  const run = (name: string, ...args: unknown[]) =>
    Task.async(node, self => runInWorker(self, work, { name, args }))
  t.equal(await run('add', 2, 3).await(), 5)
  t.match(await run('fail').yield(), { exit: new RangeError('too far') })
  t.match(await run('constant').yield(), {
    exit: { message: /thread-work.js exports no function constant$/ },
  })
  t.match(await run('uncloneable').yield(), { exit: { message: /cannot be cloned: DataCloneError/ } })
  t.match(
    await run('add', () => {}).yield(),
    { exit: { name: 'DataCloneError' } },
    'arguments are cloned too',
  )
  t.match(await run('crash').yield(), { exit: new RangeError('too far') }, 'what nobody caught there, too')
  t.strictSame(await run('linger').yield(), { ok: undefined }) // its thread would keep this program alive
  t.equal(node.stats().counters['task.threads'], 0)
})

t.test('a thread that computes for ever is ended with its task, by a kill and by a shutdown', async t => {
  const { node } = await bareNode(t, { limits: { threadsMax: 1 } })
  for (const how of ['brutal_kill', 5_000] as const) {
    const flag = new Int32Array(new SharedArrayBuffer(8))
    const spins = (self: Speaker) => runInWorker(self, work, { name: 'spin', args: [flag] })
    const task = Task.async(node, spins)
    while (Atomics.load(flag, 0) === 0) await turns()
    t.strictSame(node.stats().counters['task.threads'], 1)
    t.match(await Task.async(node, spins).yield(), {
      exit: { code: 'ERR_BUSY', detail: { limit: 'threadsMax' } },
    })
    t.equal(await task.shutdown(how), undefined)
    while (node.stats().counters['task.threads'] !== 0) await turns()
    const last = Atomics.load(flag, 1)
    await turns()
    t.equal(Atomics.load(flag, 1), last, 'it computes no more')
  }
})

t.test('misuse of runInWorker is refused at the call, and a simulated node has no threads', async t => {
  const { node } = await bareNode(t)
  const wrong = (value: unknown) => value as never
  await puppet(node).ask(self => {
    t.throws(() => runInWorker(self, wrong('x.js'), { name: 'add' }), /module: expected a URL, got "x.js"/)
    t.throws(() => runInWorker(self, work, wrong({})), /name: expected a string, got undefined/)
    t.throws(() => runInWorker(self, work, wrong({ name: 'add', arg: 1 })), /unknown option "arg"/)
    t.throws(() => runInWorker(self, work, { name: 'add', args: wrong(1) }), /args: expected an array, got 1/)
  })
  t.throws(() => runInWorker(wrong(node), work, { name: 'add' }), /self: expected a process, got a node/)
  const mesh = await createTestMesh({ nodes: 1, seed: 1 })
  const task = Task.async(mesh.node('a'), self => runInWorker(self, work, { name: 'add', args: [1, 2] }))
  t.match(await mesh.run(task.yield()), { exit: { code: 'ERR_UNAVAILABLE' } })
  await mesh.stop()
})

// --- rules of agents --------------------------------------------------------------------------------------------------

t.test(
  'functions that a definition lists are called by name, also from other nodes; closures stay at home',
  async t => {
    const mesh = await createTestMesh({ nodes: 2, seed: 1, actors: [number] })
    const [a, b] = [mesh.node('a'), mesh.node('b')]
    const away = Agent.of(await mesh.run(a.spawn(number, 1, { on: 'b' })))
    await mesh.run(away.update('add', 4))
    t.equal(away.cast('add', 5), 'ok')
    t.equal(await mesh.run(away.get('sum', 100)), 110)
    t.equal(await mesh.run(away.get('text')), 'n=10')
    t.equal(await mesh.run(away.getAndUpdate('take', 3)), 10)
    const { code, detail } = await refusal(mesh.run(away.get(n => n)))
    t.strictSame([code, detail['why']], ['ERR_PAYLOAD', 'a Closure may not cross'])
    t.throws(() => away.cast(n => n), { code: 'ERR_PAYLOAD' })
    const unknown = await refusal(mesh.run(away.get('nothing' as 'text')))
    t.equal(unknown.code, 'ERR_UNKNOWN_TAG')
    const forged = a.whereis('x') ?? away.ref
    const call = (forged as unknown as { call(tag: string, payload: unknown): Promise<unknown> }).call(
      'update',
      5,
    )
    t.match(await mesh.run(call), { message: 'expected a closure, got 5' }, 'what is no closure harms nobody')
    t.equal(await mesh.run(away.get('sum', 0)), 7, 'all in order')
    const home = Agent.of(await mesh.run(b.spawn(number, 1)))
    t.equal(await mesh.run(home.get(n => n + 1)), 2, 'at home closures pass, even where mail is copied')
    t.equal(
      home.cast(n => n + 5),
      'ok',
    )
    t.equal(await mesh.run(home.get(n => n)), 6)
    await mesh.stop()
  },
)

t.test('getAndUpdate of anything but a pair ends the agent with bad_return_value', async t => {
  const { node } = await bareNode(t)
  for (const value of ['x', [1], [1, 2, 3], undefined, { 0: 1, 1: 2, length: 2 }]) {
    const agent = Agent.of(await node.spawn(number, 1))
    const { code, detail } = await refusal(agent.getAndUpdate(() => value as never))
    t.strictSame([code, detail['reason']], ['ERR_EXIT', { bad_return_value: value }], String(value))
    t.notOk(node.isAlive(agent.ref.pid))
  }
  const { detail } = await refusal(Agent.of(await node.spawn(number, 1)).getAndUpdate('wrong'))
  t.strictSame(detail['reason'], { bad_return_value: 'no pair' })
})

t.test('functions of an agent run one at a time, awaits included, and casts keep their place', async t => {
  const { node } = await bareNode(t)
  const agent = Agent.of(await node.spawn(number, 1))
  const { opened, open } = gate()
  const log: unknown[] = []
  const slow = agent.update(async n => {
    await opened
    log.push('slow')
    return n + 1
  })
  agent.cast(n => {
    log.push('cast')
    return n * 10
  })
  const got = agent.get(n => n)
  await turns()
  t.strictSame(log, [])
  open()
  await slow
  t.strictSame([await got, log], [20, ['slow', 'cast']])
  await agent.stop()
  await t.rejects(
    agent.get(n => n),
    { code: 'ERR_NOPROC' },
  )
  t.equal(
    agent.cast(n => n),
    'ok',
    'a cast to nobody is none of its sender’s business',
  )
})

t.test(
  'the methods of an agent speak for whom its ref speaks for, follow a name, and its state is any value',
  async t => {
    const { node } = await bareNode(t)
    const list = defineAgent('list', async (first: string) => [first])
    await node.spawn(list, 'a', { name: 'list', scope: 'node' })
    const caller = puppet(node)
    const got = await caller.ask(self => Agent.of(self.named('list', list)).get(items => items.concat('b')))
    t.strictSame(got, ['a', 'b'])
    const nothing = Agent.of(await node.spawn(defineAgent('nothing', () => undefined)))
    t.equal(await nothing.get(state => state), undefined)
  },
)

t.test('the crash report of an agent shows its state, or what inspect makes of it', async t => {
  const { node } = await bareNode(t)
  const states: unknown[] = []
  node.on('crash', ({ state }) => states.push(state))
  const secret = defineAgent('secret', () => 'password', { inspect: text => text.length })
  await refusal(Agent.of(await node.spawn(number, 1)).get(boom))
  await refusal(Agent.of(await node.spawn(secret)).get(boom))
  await turns()
  t.strictSame(states, [1, 8])
})

t.test('misuse of agents is refused at the call', async t => {
  const wrong = (value: unknown) => value as never
  t.throws(() => defineAgent('x', wrong(5)), /^defineAgent: init: expected a function, got 5/)
  t.throws(() => defineAgent('x', () => 1, wrong({ calls: {} })), /^defineAgent: unknown option "calls"/)
  t.throws(
    () => defineAgent('x', () => 1, { functions: { f: wrong(5) } }),
    /functions.f: expected a function, got 5/,
  )
  t.throws(() => Agent.of(wrong({})), /^Agent.of: ref: expected a ref to an agent, got/)
  const { node } = await bareNode(t)
  const agent = Agent.of(await node.spawn(number, 1))
  t.throws(() => agent.get(wrong(5)), /^agent.get: expected a function, got 5/)
  t.throws(() => agent.cast(wrong(5)), /^agent.cast: expected a function, got 5/)
})
