import { availableParallelism } from 'node:os'
import t, { type Test } from 'tap'
import type { ActorProcess } from '../lib/actor/actor-process.js'
import type { InitContext, Node } from '../lib/actor/api.js'
import { defineActor } from '../lib/actor/define.js'
import { FunctionProcess } from '../lib/actor/function-process.js'
import { type Pid, parsePid } from '../lib/base/ids.js'
import { defineMachine, go, stay } from '../lib/index.js'
import { createRealRuntime } from '../lib/runtime/real-runtime.js'
import { startApplication } from '../lib/supervisor/application.js'
import { type ChildOptions, child, isRestarted, isSupervisor } from '../lib/supervisor/child-spec.js'
import {
  type DynamicSupervisorDef,
  dynamicSupervisor,
  dynamicSupervisorOf,
  startDynamicSupervisor,
} from '../lib/supervisor/dynamic-supervisor.js'
import { type PartitionKey, partitionOf } from '../lib/supervisor/partition-key.js'
import {
  partitionSupervisor,
  partitionsOf,
  startPartitionSupervisor,
} from '../lib/supervisor/partition-supervisor.js'
import { INTENSITY_DEFAULT, onCrash } from '../lib/supervisor/restart-intensity.js'
import {
  type SupervisorRef,
  type SupervisorSpec,
  startSupervisor,
  supervisor,
  supervisorOf,
} from '../lib/supervisor/supervisor.js'
import { type ChildInfo, childrenOf } from '../lib/supervisor/tree.js'
import { createTestMesh } from '../lib/testing.js'
import { turns, world } from './support/actor-world.js'
import { bareNode } from './support/bare-node.js'
import { refusal } from './support/puppet.js'

t.test('restart intensity: a window that slides, both of whose ends belong to it', async t => {
  const intensity = { restarts: 2, withinMs: 100 }
  const restarts = (...atMs: number[]): string[] => {
    let history: readonly number[] = []
    return atMs.map(nowMs => {
      const verdict = onCrash(history, nowMs, intensity)
      if (verdict.verdict === 'restart') history = verdict.history
      return verdict.verdict
    })
  }
  t.strictSame(restarts(0, 50, 100), ['restart', 'restart', 'give-up'])
  t.strictSame(restarts(0, 50, 101), ['restart', 'restart', 'restart'])
  t.strictSame(restarts(0, 50, 101, 150), ['restart', 'restart', 'restart', 'give-up'])
  t.strictSame(
    onCrash([1, 2, 90], 110, intensity),
    { verdict: 'restart', history: [90, 110] },
    'the old is forgotten',
  )
  t.strictSame(
    onCrash([], 0, { restarts: 0, withinMs: 100 }),
    { verdict: 'give-up' },
    '0 bears no crash at all',
  )
  t.strictSame(INTENSITY_DEFAULT, { restarts: 3, withinMs: 5_000 })
})

t.test('who is started again: every row of the table', async t => {
  const conflict = { shutdown: { nameConflict: 'n', winner: undefined } }
  const reasons = ['normal', 'shutdown', { shutdown: 'x' }, 'boom', 'killed', new Error('e'), conflict]
  const row = (restart: 'permanent' | 'transient' | 'temporary'): boolean[] =>
    reasons.map(reason => isRestarted(restart, reason))
  t.strictSame(row('permanent'), [true, true, true, true, true, true, false])
  t.strictSame(row('transient'), [false, false, false, true, true, true, false])
  t.strictSame(row('temporary'), [false, false, false, false, false, false, false])
})

t.test('children start in order, each when the one before it has, and stop in reverse', async t => {
  const { family, log } = setUp(t)
  const tree = await family({
    children: [
      worker('a', log, {}, { init: 'slow' }),
      worker('b', log),
      worker('c', log, {}, { init: 'slow' }),
    ],
  })
  t.strictSame(log, ['init a', 'ready a', 'init b', 'ready b', 'init c', 'ready c'])
  log.length = 0
  await tree.stop()
  t.strictSame(log, ['terminate c shutdown', 'terminate b shutdown', 'terminate a shutdown'])
  await t.rejects(tree.whichChildren(), { code: 'ERR_NOPROC' })
})

t.test('each stop waits for the one before it', async t => {
  const { family, log, move, actors, node } = setUp(t)
  const slow = (id: string) => child(workers, { id, args: { id, log, terminate: 'slow' } })
  const tree = await family({ children: [slow('a'), slow('b')] })
  log.length = 0
  const stopped = tree.stop('shutdown')
  await turns()
  for (const { pid } of actors.table.all()) {
    if (actors.table.find(pid) instanceof FunctionProcess) actors.table.exit(node.self, pid, 'shutdown')
  }
  await turns()
  t.strictSame(log, ['terminate b shutdown'], 'nor does the end of everybody cut the waiting short')
  t.equal(actors.table.size, 4)
  release('b')
  await turns()
  t.strictSame(log, ['terminate b shutdown', 'terminate a shutdown'])
  release('a')
  await stopped
  await move(0)
  t.equal(actors.table.size, 0)
})

t.test('a child that does not start stops those before it, in reverse, and the start fails', async t => {
  const { node, log, actors, run, crashes } = setUp(t)
  const spec = (): SupervisorSpec => ({
    children: [
      child(workers, { id: 'a', args: { id: 'a', log } }),
      child(workers, { id: 'b', args: { id: 'b', log } }),
      child(workers, { id: 'c', args: { id: 'c', log, init: 'fail' } }),
      child(workers, { id: 'd', args: { id: 'd', log } }),
    ],
  })
  const failure = {
    code: 'ERR_START',
    detail: { reason: { shutdown: { failedToStartChild: 'c', reason: { nocatch: 'no' } } } },
  }
  await t.rejects(startSupervisor(node, spec()), failure)
  t.strictSame(log, [
    'init a',
    'ready a',
    'init b',
    'ready b',
    'init c',
    'terminate b shutdown',
    'terminate a shutdown',
  ])
  await run(async self => {
    await t.rejects(startSupervisor(self, spec()), failure)
    const mail = await self.receive(undefined, { timeoutMs: 0 }).catch(error => error.code)
    t.equal(mail, 'ERR_TIMEOUT', 'a parent lives, and is told by the rejection alone')
  })
  await turns()
  t.equal(actors.table.size, 0)
  t.strictSame(crashes, [])
})

t.test('a permanent child is started again after any end, a transient one only after a crash', async t => {
  const { family, node, actors } = setUp(t)
  const options = { restart: 'transient' } as const
  const tree = await family({
    intensity: { restarts: 100, withinMs: 5_000 },
    children: [
      child(plain, { id: 'permanent' }),
      child(plain, { id: 'transient', ...options }),
      child(plain, { id: 'temporary', restart: 'temporary' }),
    ],
  })
  const restarted: unknown[] = []
  for (const id of ['permanent', 'transient', 'temporary']) {
    for (const reason of ['boom', 'shutdown']) {
      const before = (await tree.whichChildren()).find(info => info.id === id)
      if (typeof before?.pid !== 'object') continue
      actors.table.exit(node.self, before.pid, reason)
      const after = (await tree.whichChildren()).find(info => info.id === id)
      restarted.push([id, reason, after === undefined ? 'no spec' : typeof after.pid])
    }
  }
  t.strictSame(restarted, [
    ['permanent', 'boom', 'object'],
    ['permanent', 'shutdown', 'object'],
    ['transient', 'boom', 'object'],
    ['transient', 'shutdown', 'undefined'],
    ['temporary', 'boom', 'no spec'],
  ])
  t.strictSame(await tree.countChildren(), { specs: 2, active: 1, supervisors: 0, workers: 2 })
})

t.test('the others do not notice a restart, and the child keeps its place and its arguments', async t => {
  const { family, log, node, actors } = setUp(t)
  const tree = await family({
    children: ['a', 'b', 'c'].map(id => child(workers, { id, args: { id, log } })),
  })
  const before = await tree.whichChildren()
  t.strictSame(
    before.map(({ id, type, definition }) => [id, type, definition]),
    [
      ['c', 'worker', 'worker'],
      ['b', 'worker', 'worker'],
      ['a', 'worker', 'worker'],
    ],
  )
  log.length = 0
  actors.table.exit(node.self, pidOf(before, 'b'), 'kill')
  const after = await tree.whichChildren()
  t.strictSame(log, ['init b', 'ready b'])
  t.strictSame(
    after.map(info => info.id),
    ['c', 'b', 'a'],
  )
  t.equal(pidOf(after, 'a'), pidOf(before, 'a'))
  t.not(pidOf(after, 'b'), pidOf(before, 'b'))
})

t.test(
  'one restart too many stops the others in reverse, and the supervisor exits with shutdown',
  async t => {
    const { node, log, actors, crashes, run, jump } = setUp(t)
    await run(async self => {
      self.trapExit(true)
      const tree = await startSupervisor(self, {
        intensity: { restarts: 2, withinMs: 100 },
        children: ['a', 'b', 'c'].map(id => child(workers, { id, args: { id, log } })),
      })
      for (let i = 0; i < 4; i++) {
        const pid = pidOf(await tree.whichChildren(), 'b')
        if (i === 2) jump(101)
        actors.table.exit(node.self, pid, 'kill')
      }
      const last = pidOf(await tree.whichChildren(), 'b')
      log.length = 0
      actors.table.exit(node.self, last, 'kill')
      t.match(await self.receive(), { type: 'exit', pid: tree.pid, reason: 'shutdown' })
      t.strictSame(log, ['terminate c shutdown', 'terminate a shutdown'])
      t.equal(actors.table.size, 1)
      const reason = crashes[0]?.reason as Error
      t.equal(crashes.length, 1, 'the exit is clean, so the supervisor itself has to tell')
      t.match(crashes[0], { pid: tree.pid, definition: 'supervisor' })
      t.match(reason.message, /gave up on child "b": more than 2 restarts in 100 ms$/)
      t.equal(reason.cause, 'killed')
    })
  },
)

t.test(
  'a restart that fails is tried again behind the mail that waits, and every attempt counts',
  async t => {
    const { family, log, node, actors, crashes } = setUp(t)
    const args: Behaviour = { id: 'a', log }
    const tree = await family({ children: [child(workers, { id: 'a', args })] })
    const before = pidOf(await tree.whichChildren(), 'a')
    log.length = 0
    args.init = 'fail'
    actors.table.exit(node.self, before, 'kill')
    const shown = [tree.whichChildren(), tree.whichChildren()]
    t.strictSame(
      (await Promise.all(shown)).map(([info]) => info?.pid),
      ['restarting', 'restarting'],
      'calls are answered between two attempts',
    )
    await turns()
    t.strictSame(log, ['init a', 'init a', 'init a'])
    t.equal(actors.table.size, 0)
    t.match(
      crashes.map(report => [(report.reason as Error).message, (report.reason as Error).cause]),
      [
        [/child "a" did not start again/, { nocatch: 'no' }],
        [/child "a" did not start again/, { nocatch: 'no' }],
        [/child "a" did not start again/, { nocatch: 'no' }],
        [/gave up on child "a"/, { nocatch: 'no' }],
      ],
    )
  },
)

t.test('a restart that failed and then succeeds is over', async t => {
  const { family, log, node, actors } = setUp(t)
  const args: Behaviour = { id: 'a', log }
  const tree = await family({ children: [child(workers, { id: 'a', args })] })
  args.init = 'fail'
  actors.table.exit(node.self, pidOf(await tree.whichChildren(), 'a'), 'kill')
  t.equal((await tree.whichChildren())[0]?.pid, 'restarting')
  args.init = undefined
  await turns()
  t.equal(typeof (await tree.whichChildren())[0]?.pid, 'object')
  await tree.stop()
})

t.test('a child that takes too long to stop is killed; brutal_kill does not ask; infinity waits', async t => {
  const { family, log, move, actors } = setUp(t)
  const stubborn = (id: string, shutdownMs?: ChildOptions['shutdownMs']) =>
    child(workers, { id, shutdownMs, args: { id, log, terminate: 'slow' } })
  const tree = await family({
    children: [
      stubborn('infinity', 'infinity'),
      stubborn('default'),
      stubborn('100', 100),
      stubborn('brutal', 'brutal_kill'),
    ],
  })
  log.length = 0
  const stopped = tree.stop()
  await turns()
  t.strictSame(log, ['terminate 100 shutdown'])
  await move(99)
  t.equal(actors.table.size, 5, 'supervisor, three children and the one that waits')
  await move(1)
  t.strictSame(log, ['terminate 100 shutdown', 'terminate default shutdown'])
  await move(4_999)
  t.equal(log.length, 2)
  await move(1)
  t.strictSame(log.slice(2), ['terminate infinity shutdown'])
  await move(10_000_000)
  t.equal(actors.table.size, 3)
  release('infinity')
  await stopped
  t.equal(actors.table.size, 0)
})

t.test('the exit of the parent, whatever its reason, ends the tree; that of others does nothing', async t => {
  for (const reason of ['normal', 'shutdown', 'boom']) {
    const { log, actors, run } = setUp(t)
    let down: unknown
    await run(async self => {
      const watcher = self
      let tree: Pid | undefined
      const parent = self.run(async parent => {
        parent.trapExit(true)
        const started = await startSupervisor(parent, {
          children: [child(workers, { id: 'a', args: { id: 'a', log } })],
        })
        tree = started.pid
        watcher.send(watcher.self, 'started')
        await parent.receive(mail => mail === 'end')
        parent.exit(reason)
      })
      await self.receive()
      log.length = 0
      self.exit(tree as Pid, 'shutdown')
      self.exit(tree as Pid, 'boom')
      const ref = self.monitor(tree as Pid)
      await turns()
      t.ok(actors.table.find(tree as Pid), 'exits of others are ignored')
      self.send(parent, 'end')
      down = await self.receive(mail => (mail as { ref?: unknown }).ref === ref)
    })
    await turns()
    t.match(down, { reason })
    t.strictSame(log, ['terminate a shutdown'])
    t.equal(actors.table.size, 0)
  }
})

t.test('an exit that is sent from outside of processes ends a tree in order', async t => {
  const { family, log, node, actors } = setUp(t)
  const tree = await family({ children: ['a', 'b'].map(id => child(workers, { id, args: { id, log } })) })
  log.length = 0
  actors.table.exit(node.self, tree.pid, 'shutdown')
  await turns()
  t.strictSame(log, ['terminate b shutdown', 'terminate a shutdown'])
  t.equal(actors.table.size, 0)
})

t.test(
  'a node that stops leaves the order of the end to its supervisors, and nothing is started again',
  async t => {
    const { node, clock } = await bareNode(t)
    const log: string[] = []
    await startSupervisor(node, {
      children: [
        child(workers, { id: 'a', args: { id: 'a', log } }),
        child(supervisor({ children: [child(workers, { args: { id: 'b', log } })] }), { id: 'inner' }),
        child(workers, { id: 'c', args: { id: 'c', log } }),
        child(plain, { args: () => log.push('started plain') }),
      ],
    })
    log.length = 0
    const stopped = node.stop()
    for (let i = 0; i < 40; i++) {
      clock.advance(100)
      await turns()
    }
    await stopped
    t.strictSame(log, ['terminate c shutdown', 'terminate b shutdown', 'terminate a shutdown'])
  },
)

t.test('a node that stops ends the wait for a restart without the restart', async t => {
  const { node, clock } = await bareNode(t)
  const log: string[] = []
  const tree = await startSupervisor(node, {
    backoff: { minMs: 600_000, maxMs: 600_000 },
    children: [worker('a', log)],
  })
  node.exit(pidOf(await tree.whichChildren(), 'a'), 'kill')
  await tree.countChildren()
  log.length = 0
  const stopped = node.stop()
  for (let i = 0; i < 40; i++) {
    clock.advance(100)
    await turns()
  }
  await stopped
  t.strictSame(log, [])
})

t.test('children of a supervisor that is killed are killed with it; those that trap terminate', async t => {
  const { family, log, node, actors } = setUp(t)
  const tree = await family({
    children: [child(plain, { id: 'plain' }), child(workers, { id: 'a', args: { id: 'a', log } })],
  })
  log.length = 0
  actors.table.exit(node.self, tree.pid, 'kill')
  await turns()
  t.strictSame(log, ['terminate a killed'])
  t.equal(actors.table.size, 0)
})

t.test('a child that removed its link is noticed when it dies, and stopped with the others', async t => {
  const { family, node, actors } = setUp(t)
  const loner = defineActor('loner', {
    init: () => ({}),
    casts: { leave: (_s, parent: Pid, ctx) => ctx.unlink(parent) },
  })
  const tree = await family({ children: [child(loner)] })
  const leave = async (): Promise<Pid> => {
    const pid = pidOf(await tree.whichChildren(), 'loner')
    actors.castTo(undefined, pid, undefined, 'leave', tree.pid)
    await turns()
    return pid
  }
  const first = await leave()
  actors.table.exit(node.self, first, 'boom')
  t.not(pidOf(await tree.whichChildren(), 'loner'), first)
  await leave()
  await tree.stop()
  t.equal(actors.table.size, 0)
})

t.test(
  'a child that ignores its start keeps its spec and has no pid, and is forgotten when temporary',
  async t => {
    const { family, log } = setUp(t)
    const ignoring = (id: string, restart: ChildOptions['restart']) =>
      child(workers, { id, restart, args: { id, log, init: 'ignore' } })
    const tree = await family({
      children: [ignoring('kept', 'permanent'), ignoring('gone', 'temporary'), child(plain)],
    })
    const infos = await tree.whichChildren()
    t.strictSame(
      infos.map(info => [info.id, typeof info.pid]),
      [
        ['plain', 'object'],
        ['kept', 'undefined'],
      ],
    )
    t.strictSame(await tree.countChildren(), { specs: 2, active: 1, supervisors: 0, workers: 2 })
  },
)

t.test('a child that lost its name to a conflict is neither restarted nor counted', async t => {
  const { family, node, actors, crashes } = setUp(t)
  const tree = await family({ intensity: { restarts: 0, withinMs: 1 }, children: [child(plain)] })
  actors.table.exit(node.self, pidOf(await tree.whichChildren(), 'plain'), {
    shutdown: { nameConflict: 'x', winner: null },
  })
  t.strictSame(await tree.countChildren(), { specs: 1, active: 0, supervisors: 0, workers: 1 })
  t.strictSame(crashes, [])
})

t.test('a child has its name again after a restart', async t => {
  const { family, node, actors } = setUp(t)
  const tree = await family({ children: [child(plain, { name: 'visits', scope: 'node' })] })
  const first = pidOf(await tree.whichChildren(), 'plain')
  t.equal(actors.resolve('visits'), first)
  actors.table.exit(node.self, first, 'boom')
  const second = pidOf(await tree.whichChildren(), 'plain')
  t.equal(actors.resolve('visits'), second)
})

t.test('a supervisor is a child like any other: it is restarted whole, and gives up to its own', async t => {
  const { family, log, node, actors } = setUp(t)
  const inner = supervisor({
    intensity: { restarts: 0, withinMs: 1_000 },
    children: ['x', 'y'].map(id => child(workers, { id, args: { id, log } })),
  })
  const tree = await family({
    intensity: { restarts: 1, withinMs: 1_000 },
    children: [child(inner, { id: 'inner' }), child(plain)],
  })
  t.strictSame(await tree.countChildren(), { specs: 2, active: 2, supervisors: 1, workers: 1 })
  const y = (): Pid => {
    const all = [...actors.table.all()].map(process => actors.info(process))
    return all.filter(info => info.definition === 'worker').at(-1)?.pid as Pid
  }
  log.length = 0
  actors.table.exit(node.self, y(), 'kill')
  await turns()
  t.strictSame(log, ['terminate x shutdown', 'init x', 'ready x', 'init y', 'ready y'])
  actors.table.exit(node.self, y(), 'kill')
  await turns()
  t.equal(actors.table.size, 0, 'the outer one has given up too')
})

t.test('a supervisor is given all the time that its children have, to start and to stop', async t => {
  const { family, log, move, actors } = setUp(t)
  const slow = worker(
    'x',
    log,
    { timeoutMs: 20_000, shutdownMs: 20_000 },
    { init: 'held', terminate: 'slow' },
  )
  const started = family({ children: [child(supervisor({ children: [slow] }))] })
  await turns()
  await move(19_999)
  release('x')
  const tree = await started
  const stopped = tree.stop()
  await turns()
  await move(19_999)
  t.equal(actors.table.size, 5, 'two supervisors, the child and two that wait')
  release('x')
  await stopped
  t.equal(log.at(-1), 'terminate x shutdown')
})

t.test('a start that takes too long fails like any other', async t => {
  const { node, log, move, actors } = setUp(t)
  const failed = t.rejects(
    startSupervisor(node, {
      children: [child(workers, { id: 'a', timeoutMs: 50, args: { id: 'a', log, init: 'never' } })],
    }),
    { code: 'ERR_START', detail: { reason: { shutdown: { failedToStartChild: 'a', reason: 'timeout' } } } },
  )
  await turns()
  await move(50)
  await failed
  t.equal(actors.table.size, 0)
})

// Groups.

t.test(
  'a temporary sibling is stopped by a group restart and gone; one that rested starts again',
  async t => {
    const { family, log, kill } = setUp(t)
    const tree = await family({
      strategy: 'one_for_all',
      children: [
        worker('a', log),
        worker('b', log, { restart: 'temporary' }),
        worker('c', log),
        worker('d', log, {}, { init: 'ignore' }),
      ],
    })
    await tree.terminateChild('c')
    log.length = 0
    await kill(tree, 'a')
    t.strictSame(idsOf(await tree.whichChildren()), ['a', 'c'])
    t.strictSame(log, ['terminate b shutdown', 'init a', 'ready a', 'init c', 'ready c', 'init d'])
  },
)

t.test(
  'a group restart that fails half way is tried again from there, and each attempt counts once',
  async t => {
    for (const [strategy, meanwhile, again] of [
      [
        'one_for_all',
        undefined, // they do not run without the whole
        ['terminate b shutdown', 'terminate a shutdown', 'init a', 'ready a', 'init b', 'ready b'],
      ],
      ['rest_for_one', 'runs', []],
    ] as const) {
      const { family, log, kill, crashes } = setUp(t)
      const c = behaviour('c', log)
      const tree = await family({
        strategy,
        intensity: { restarts: 3, withinMs: 5_000 },
        children: [
          worker('a', log),
          worker('b', log),
          child(workers, { id: 'c', args: c }),
          worker('d', log),
        ],
      })
      log.length = 0
      c.init = 'fail'
      await kill(tree, 'a', async () => {
        t.strictSame(
          (await tree.whichChildren()).map(({ id, pid }) => [id, typeof pid === 'object' ? 'runs' : pid]),
          [
            ['d', undefined],
            ['c', 'restarting'],
            ['b', meanwhile],
            ['a', meanwhile],
          ],
        )
        c.init = undefined
      })
      await turns()
      t.strictSame(
        log,
        [
          ...['terminate d shutdown', 'terminate c shutdown', 'terminate b shutdown'],
          ...['init a', 'ready a', 'init b', 'ready b', 'init c'],
          ...again,
          ...['init c', 'ready c', 'init d', 'ready d'],
        ],
        strategy,
      )
      t.strictSame(idsOf(await tree.whichChildren()), ['a', 'b', 'c', 'd'])
      t.equal(crashes.length, 1, 'the failed attempt is reported')
      await kill(tree, 'a')
      t.equal((await tree.countChildren()).active, 4, 'the third is borne')
      await kill(tree, 'a', () => turns())
      await t.rejects(tree.countChildren(), { code: 'ERR_NOPROC' }, 'the fourth is not')
    }
  },
)

t.test('while one is tried again, the child that brought all down merely rests', async t => {
  const { family, log, kill, move } = setUp(t)
  const a = behaviour('a', log)
  const tree = await family({
    strategy: 'one_for_all',
    backoff: { minMs: 100, maxMs: 100 },
    children: [child(workers, { id: 'a', args: a }), worker('b', log)],
  })
  a.init = 'fail'
  await kill(tree, 'b')
  await move(100)
  t.strictSame(
    (await tree.whichChildren()).map(({ pid }) => pid),
    [undefined, 'restarting'],
  )
  t.match(await tree.restartChild('b'), { ok: true }, 'and may be started by hand')
  a.init = undefined
  log.length = 0
  await move(100)
  t.strictSame(log, ['terminate b shutdown', 'init a', 'ready a', 'init b', 'ready b'])
})

t.test('nor is it shown as restarting in the moment before the next attempt', async t => {
  const { family, log, kill } = setUp(t)
  const a = behaviour('a', log)
  const tree = await family({
    strategy: 'one_for_all',
    children: [child(workers, { id: 'a', args: a }), worker('b', log)],
  })
  a.init = 'fail'
  await kill(tree, 'b', async () => {
    const shown = (await tree.whichChildren()).map(({ pid }) => pid)
    t.strictSame(shown, [undefined, 'restarting'])
    a.init = undefined
  })
  await turns()
  t.strictSame(idsOf(await tree.whichChildren()), ['a', 'b'])
})

t.test('the clean end of a transient child leaves its siblings alone, whatever the strategy', async t => {
  for (const strategy of ['one_for_all', 'rest_for_one'] as const) {
    const { family, log, actors } = setUp(t)
    const tree = await family({
      strategy,
      children: [worker('a', log, { restart: 'transient' }), worker('b', log)],
    })
    log.length = 0
    await actors.ask(
      undefined,
      pidOf(await tree.whichChildren(), 'a'),
      undefined,
      '$stop',
      'normal',
      undefined,
    )
    t.strictSame(idsOf(await tree.whichChildren()), ['b'])
    t.strictSame(log, ['terminate a normal'])
  }
})

// Significant children.

t.test('no auto shutdown: a significant child that is terminated, or stopped with others', async t => {
  const { family, log, kill } = setUp(t)
  const significant = { restart: 'transient', significant: true } as const
  const tree = await family({
    strategy: 'one_for_all',
    autoShutdown: 'any_significant',
    children: [worker('s', log, significant), worker('a', log)],
  })
  await tree.terminateChild('s')
  t.strictSame(await tree.countChildren(), { specs: 2, active: 1, supervisors: 0, workers: 2 })
  await kill(tree, 'a')
  t.strictSame(idsOf(await tree.whichChildren()), ['s', 'a'], 'the group restart started it again')
  await kill(tree, 'a')
  t.strictSame(idsOf(await tree.whichChildren()), ['s', 'a'], 'and stopped it, without more')
})

t.test(
  'any end of a significant temporary child ends the supervisor; of all, those that were terminated do not count',
  async t => {
    const { family, log, node, actors } = setUp(t)
    const significant = { restart: 'temporary', significant: true } as const
    const tree = await family({
      autoShutdown: 'all_significant',
      children: ['s1', 's2', 's3'].map(id => worker(id, log, significant)),
    })
    const before = await tree.whichChildren()
    await tree.terminateChild('s1')
    actors.table.exit(node.self, pidOf(before, 's2'), 'kill')
    t.strictSame(idsOf(await tree.whichChildren()), ['s3'])
    actors.table.exit(node.self, pidOf(before, 's3'), 'kill')
    await turns()
    t.equal(actors.table.size, 0)
  },
)

// Back-off, and an intensity of a child's own.

t.test('with a back-off restarts wait longer and longer, and the supervisor answers meanwhile', async t => {
  const { family, log, node, actors, move } = setUp(t)
  const args = behaviour('a', log)
  const tree = await family({
    intensity: { restarts: 10, withinMs: 60_000 },
    backoff: { minMs: 100, maxMs: 300 },
    children: [child(workers, { id: 'a', args })],
  })
  const state = async () => (await tree.whichChildren())[0]?.pid
  args.init = 'fail'
  log.length = 0
  actors.table.exit(node.self, (await state()) as Pid, 'kill')
  for (const waitMs of [100, 200, 300, 300]) {
    t.equal(await state(), 'restarting')
    await move(waitMs - 1)
    t.strictSame(log.splice(0), [], `not before ${waitMs} ms`)
    await move(1)
    t.strictSame(log.splice(0), ['init a'])
  }
  args.init = undefined
  await move(300)
  const healthy = await state()
  t.type(healthy, 'object', 'it runs')
  await move(299)
  actors.table.exit(node.self, healthy as Pid, 'kill')
  await turns()
  await move(299)
  t.equal(await state(), 'restarting', 'it had not recovered')
  await move(1)
  await move(300)
  actors.table.exit(node.self, (await state()) as Pid, 'kill')
  await turns()
  await move(100)
  t.type(await state(), 'object', 'after 300 ms it has, and waits the least again')
})

t.test(
  'a wait counts as one attempt, stops with its child or its supervisor, and leaves nothing behind',
  async t => {
    const { family, log, actors, kill, move } = setUp(t)
    const tree = await family({
      intensity: { restarts: 2, withinMs: 60_000 },
      backoff: { minMs: 100, maxMs: 100 },
      children: [worker('a', log), worker('b', log)],
    })
    await kill(tree, 'a')
    t.equal(actors.table.size, 3, 'supervisor, child and wait')
    t.strictSame(await tree.restartChild('a'), { ok: false, why: 'restarting' })
    t.strictSame(await tree.deleteChild('a'), { ok: false, why: 'restarting' })
    t.match((await refusal(tree.startChild(worker('a', log)))).detail, { why: 'already_present' })
    t.strictSame(await tree.terminateChild('a'), { ok: true })
    t.equal(actors.table.size, 2, 'the wait is over')
    await move(100)
    t.strictSame(idsOf(await tree.whichChildren()), ['b'], 'and is not resumed')
    await tree.restartChild('a')
    await kill(tree, 'a')
    await move(100)
    t.strictSame(idsOf(await tree.whichChildren()), ['a', 'b'], 'the second is borne')
    await kill(tree, 'b', () => turns())
    t.equal(actors.table.size, 0, 'the third is not')
    const other = await family({ backoff: { minMs: 100, maxMs: 100 }, children: [worker('a', log)] })
    await kill(other, 'a')
    await other.stop()
    t.equal(actors.table.size, 0)
  },
)

t.test('siblings that go down with a child do so at once, not when its wait is over', async t => {
  const { family, log, kill, move } = setUp(t)
  const tree = await family({
    strategy: 'one_for_all',
    backoff: { minMs: 100, maxMs: 100 },
    children: [worker('a', log), worker('b', log), worker('c', log)],
  })
  log.length = 0
  await kill(tree, 'b')
  t.strictSame(log.splice(0), ['terminate c shutdown', 'terminate a shutdown'])
  await move(100)
  t.strictSame(log, ['init a', 'ready a', 'init b', 'ready b', 'init c', 'ready c'])
  t.strictSame(idsOf(await tree.whichChildren()), ['a', 'b', 'c'])
})

t.test('a supervisor that is killed takes a wait along', async t => {
  const { family, log, node, actors, kill } = setUp(t)
  const tree = await family({ backoff: { minMs: 100, maxMs: 100 }, children: [worker('a', log)] })
  await kill(tree, 'a')
  actors.table.exit(node.self, tree.pid, 'kill')
  await turns()
  t.equal(actors.table.size, 0)
})

t.test(
  "a child's own intensity ends the supervisor that would still bear it, and the other way round",
  async t => {
    for (const [own, tree] of [
      [1, 10],
      [10, 1],
    ] as const) {
      const { family, log, kill, crashes, actors } = setUp(t)
      const sup = await family({
        intensity: { restarts: tree, withinMs: 1_000 },
        children: [worker('a', log, { intensity: { restarts: own, withinMs: 1_000 } }), worker('b', log)],
      })
      await kill(sup, 'a')
      t.equal((await sup.countChildren()).active, 2)
      await kill(sup, 'a', () => turns())
      t.equal(actors.table.size, 0)
      t.match((crashes[0]!.reason as Error).message, /gave up on child "a": more than 1 restarts in 1000 ms$/)
    }
  },
)

// Starting and stopping children of one that runs.

t.test(
  'a child that is started later is the youngest, is kept, and gives a typed ref that speaks for its asker',
  async t => {
    const { family, log, kill, run } = setUp(t)
    const echo = defineActor('echo', {
      init: () => ({}),
      calls: { who: (_s, _p: void, ctx) => ctx.from.pid },
    })
    const tree = await family({ children: [worker('a', log)] })
    const ref = await tree.startChild(child(echo))
    t.strictSame(idsOf(await tree.whichChildren()), ['a', 'echo'])
    t.not(await ref.call('who'), tree.pid)
    await kill(tree, 'echo')
    t.strictSame(idsOf(await tree.whichChildren()), ['a', 'echo'])
    await run(async self => {
      const own = await startSupervisor(self, { children: [] })
      const mine = await own.startChild(child(echo))
      t.equal(await self.call(mine, 'who'), self.self)
    })
  },
)

t.test(
  'a start that fails later keeps nothing and gives its reason; one that ignores keeps its spec',
  async t => {
    const { family, log } = setUp(t)
    const tree = await family({ children: [] })
    const failed = { code: 'ERR_START', message: /^"worker" did not start: an object with key "nocatch"$/ }
    await t.rejects(tree.startChild(worker('x', log, {}, { init: 'fail' })), failed)
    t.strictSame(await tree.whichChildren(), [])
    await t.rejects(tree.startChild(worker('x', log, {}, { init: 'ignore' })), {
      code: 'ERR_START',
      detail: { reason: 'ignore' },
    })
    t.strictSame(await tree.countChildren(), { specs: 1, active: 0, supervisors: 0, workers: 1 })
    const args = behaviour('y', log)
    await tree.startChild(child(workers, { id: 'y', args }))
    await tree.terminateChild('y')
    args.init = 'ignore'
    for (const id of ['x', 'y'])
      t.strictSame(await tree.restartChild(id), { ok: true, pid: undefined }, `${id} has nothing to start`)
    await t.rejects(
      tree.restartChild('x').then(() => tree.startChild(plain as never)),
      {
        message: 'startChild: spec.def: expected what defineActor returned, got undefined',
      },
    )
  },
)

t.test('a restart by hand that fails gives its reason and keeps the spec', async t => {
  const { family, log } = setUp(t)
  const args = behaviour('a', log)
  const tree = await family({ children: [child(workers, { id: 'a', args })] })
  await tree.terminateChild('a')
  args.init = 'fail'
  await t.rejects(tree.restartChild('a'), { code: 'ERR_START', detail: { reason: { nocatch: 'no' } } })
  args.init = undefined
  t.match(await tree.restartChild('a'), { ok: true })
  t.strictSame(idsOf(await tree.whichChildren()), ['a'])
})

t.test('a name that is taken is what a later start is refused with', async t => {
  const { node } = await bareNode(t)
  const tree = await startSupervisor(node, { children: [child(plain, { name: 'taken', scope: 'node' })] })
  const spec = child(plain, { id: 'other', name: 'taken', scope: 'node' })
  const pid = node.whereis('taken')?.pid
  await t.rejects(tree.startChild(spec), { code: 'ERR_ALREADY_STARTED', detail: { name: 'taken', pid } })
  t.equal((await tree.countChildren()).specs, 1)
})

t.test('a child that does not shut down in time is reported when it is killed', async t => {
  const { family, log, crashes, move } = setUp(t)
  const tree = await family({ children: [worker('a', log, { shutdownMs: 70 }, { terminate: 'slow' })] })
  const terminated = tree.terminateChild('a')
  await turns()
  await move(70)
  t.strictSame(await terminated, { ok: true })
  t.match(crashes, [{ reason: { message: /child "a" did not shut down within 70 ms$/, cause: 'killed' } }])
})

t.test(
  'specs and answers pass where everything else is copied, and bad mail harms no supervisor',
  async t => {
    const { node } = await bareNode(t, { serializeLocal: true })
    const fussy = defineActor('fussy', {
      init: (fails: boolean) => {
        if (fails) throw { because: () => 'a function cannot cross' }
        return {}
      },
    })
    const tree = await startSupervisor(node, { children: [] })
    const pool = await startDynamicSupervisor(node, {}, { name: 'pool', scope: 'node' })
    for (const one of [tree, pool] as const) {
      const ref = await one.startChild(child(fussy, { args: false }))
      t.ok(node.isAlive(ref.pid))
      await t.rejects(one.startChild(child(fussy, { id: 'x', args: true })), {
        code: 'ERR_START',
        detail: { reason: 'an object with key "nocatch"' },
      })
      t.equal((await one.countChildren()).active, 1)
    }
    await tree.terminateChild('fussy')
    t.match(await tree.restartChild('fussy'), { ok: true })
    const raw = node.whereis('pool') as NonNullable<ReturnType<Node['whereis']>>
    const tell = (tag: string, payload: unknown): Promise<unknown> =>
      (raw.call as (tag: string, payload: unknown) => Promise<unknown>).call(raw, tag, payload)
    t.strictSame(await tell('startChild', { value: 1 }), {
      ok: false,
      why: 'bad_spec',
      message: `startChild: expected a spec through a supervisor's ref, got an object with key "value"`,
    })
    const [own] = await pool.whichChildren()
    const elsewhere = parsePid(String(own?.pid).replace(/^<\w+\./, '<b.'))
    t.type(elsewhere, 'object', 'another node may have the same serial')
    for (const junk of [undefined, 'nobody', elsewhere])
      t.strictSame(await tell('terminateChild', junk), { ok: false, why: 'not_found' })
    t.equal((await pool.countChildren()).active, 1, 'it lives')
  },
)

t.test('a supervisor inside a tree is reached through its name', async t => {
  const { node } = await bareNode(t)
  const tools = supervisor({ children: [child(plain)] })
  const rooms = dynamicSupervisor({ maxChildren: 1 })
  const named = (name: string) => ({ id: name, name, scope: 'node' }) as const
  await startSupervisor(node, { children: [child(tools, named('tools')), child(rooms, named('rooms'))] })
  const inner = supervisorOf(node.named('tools', tools))
  t.strictSame(await inner.countChildren(), { specs: 1, active: 1, supervisors: 0, workers: 1 })
  const ref = await inner.startChild(child(plain, { id: 'later' }))
  t.ok(node.isAlive(ref.pid))
  const room = await dynamicSupervisorOf(node.named('rooms', rooms)).startChild(child(plain))
  t.ok(node.isAlive(room.pid))
})

t.test('a supervisor may have a name, by which others find it', async t => {
  const { node } = await bareNode(t)
  const tree = await startSupervisor(node, { children: [] }, { name: 'tree', scope: 'node' })
  const pool = await startDynamicSupervisor(node, {}, { name: 'pool', scope: 'node' })
  t.equal(supervisorOf(node.named('tree')).pid, tree.pid)
  t.equal(dynamicSupervisorOf(node.named<DynamicSupervisorDef>('pool')).pid, pool.pid)
  await t.rejects(startSupervisor(node, { children: [] }, { name: 'pool', scope: 'node' }), {
    code: 'ERR_ALREADY_STARTED',
  })
  const start = startSupervisor as (of: Node, spec: SupervisorSpec, options: object) => Promise<unknown>
  await t.rejects(start(node, { children: [] }, { nme: 'x' }), {
    message: 'startSupervisor: unknown option "nme"; expected one of name, scope',
  })
})

t.test('from another node a supervisor can be asked and told, but not given code', async t => {
  const mesh = await createTestMesh({ nodes: 2, seed: 1 })
  const [a, b] = [mesh.node('a'), mesh.node('b')]
  const tools = supervisor({ children: [child(plain)], backoff: { minMs: 100, maxMs: 100 } })
  await mesh.run(startSupervisor(a, { children: [child(tools, { name: 'tools' })] }))
  const afar = supervisorOf(b.named('tools', tools))
  const [info] = await mesh.run(afar.whichChildren())
  t.match(info, { id: 'plain', type: 'worker', definition: 'plain' })
  await t.rejects(mesh.run(afar.startChild(child(plain, { id: 'more' }))), { code: 'ERR_PAYLOAD' })
  a.exit(info?.pid as Pid, 'kill')
  t.equal((await mesh.run(afar.whichChildren()))[0]?.pid, 'restarting')
  await mesh.advance(100)
  t.strictSame(await mesh.run(afar.terminateChild('plain')), { ok: true })
  t.match(await mesh.run(afar.restartChild('plain')), { ok: true, pid: { node: 'a' } })
  t.strictSame(await mesh.run(afar.countChildren()), { specs: 1, active: 1, supervisors: 0, workers: 1 })
  await mesh.stop()
})

t.test('a state machine is a child like any other', async t => {
  const { family, actors, node } = setUp(t)
  const lamp = defineMachine('lamp', {
    init: (watts: number) => ({ watts }),
    initial: 'off',
    states: { off: { casts: { press: () => go('on') } }, on: {} },
    any: { calls: { watts: data => stay({ reply: data.watts }) } },
  })
  const tree = await family({ children: [] })
  const ref = await tree.startChild(child(lamp, { args: 40 }))
  const watts: number = await ref.call('watts')
  t.equal(watts, 40)
  actors.table.exit(node.self, ref.pid, 'kill')
  const [info] = await tree.whichChildren()
  t.match(info, { id: 'lamp', type: 'worker', definition: 'lamp' })
  t.not(info?.pid, ref.pid)
})

t.test('what a supervisor keeps can be read from outside, without asking it', async t => {
  const { family, log, actors } = setUp(t)
  const tree = await family({ children: [worker('a', log)] })
  const process = actors.table.find(tree.pid) as ActorProcess
  t.ok(isSupervisor(process.kind.def))
  t.strictSame(childrenOf(process.state), await tree.whichChildren())
  const [info] = await tree.whichChildren()
  t.equal(childrenOf((actors.table.find(info?.pid as Pid) as ActorProcess).state), undefined)
})

// Dynamic supervisors.

t.test(
  'a dynamic child that came to rest frees its place; one that waits for a restart keeps it',
  async t => {
    const { node, log, actors, move } = setUp(t)
    const pool = await startDynamicSupervisor(node, { maxChildren: 1, backoff: { minMs: 100, maxMs: 100 } })
    const start = (restart: ChildOptions['restart'], args = behaviour('a', log)) =>
      pool.startChild(child(workers, { restart, args }))
    const done = await start('transient')
    await done.stop()
    t.strictSame(await pool.whichChildren(), [])
    const crashing = await start('permanent')
    actors.table.exit(node.self, crashing.pid, 'kill')
    t.strictSame(await pool.whichChildren(), [
      { id: undefined, pid: 'restarting', type: 'worker', definition: 'worker' },
    ])
    await t.rejects(start('permanent'), { code: 'ERR_BUSY' })
    t.strictSame(await pool.terminateChild(crashing.pid), { ok: true }, 'by the pid that it had')
    t.equal(actors.table.size, 1)
    const args = behaviour('b', log)
    const ignoring = await start('permanent', args)
    args.init = 'ignore'
    actors.table.exit(node.self, ignoring.pid, 'kill')
    await turns()
    await move(100)
    t.strictSame(await pool.whichChildren(), [], 'a restart that ignores ends it')
  },
)

t.test('dynamic children stop side by side, each within its own time, and the late are killed', async t => {
  const { node, log, crashes, actors, move } = setUp(t)
  const pool = await startDynamicSupervisor(node)
  for (const [id, shutdownMs] of [
    ['a', 100],
    ['b', 300],
    ['c', 'brutal_kill'],
    ['d', 'infinity'],
    ['e', 100],
  ] as const) {
    await pool.startChild(worker(id, log, { shutdownMs }, { terminate: 'slow' }))
  }
  log.length = 0
  const stopped = pool.stop()
  await turns()
  t.strictSame(
    log.sort(),
    ['a', 'b', 'd', 'e'].map(id => `terminate ${id} shutdown`),
  )
  const alive = () => actors.table.size - 2
  t.equal(alive(), 4, 'besides the supervisor and the one that waits')
  await move(100)
  t.equal(alive(), 2)
  await move(200)
  t.equal(alive(), 1)
  release('d')
  await stopped
  t.equal(actors.table.size, 0)
  t.strictSame(
    crashes.map(({ reason }) => (reason as Error).message.replace(/.* did/, 'did')),
    ['did not shut down within 100 ms', 'did not shut down within 100 ms', 'did not shut down within 300 ms'],
  )
})

t.test('extra arguments stand in front at every start, and then arguments are lists', async t => {
  const { node, actors } = setUp(t)
  const seen: unknown[] = []
  const job = defineActor('job', {
    init: (args: [pool: string, n: number]) => {
      seen.push(args)
      return {}
    },
  })
  const pool = await startDynamicSupervisor(node, { extraArguments: ['pool'] })
  const ref = await pool.startChild(child<typeof job, [string]>(job, { args: [1] }))
  actors.table.exit(node.self, ref.pid, 'kill')
  await pool.whichChildren()
  t.strictSame(seen, [
    ['pool', 1],
    ['pool', 1],
  ])
  const wrong = { ...child<typeof job, [string]>(job, { args: [1] }), args: 1 as unknown as [number] }
  await t.rejects(pool.startChild(wrong), {
    name: 'TypeError',
    message: 'startChild: spec.args: expected a list, to stand behind the extra arguments, got 1',
  })
})

t.test(
  'too many restarts of dynamic children end their supervisor, and the report names the child',
  async t => {
    const { node, log, actors, crashes } = setUp(t)
    const pool = await startDynamicSupervisor(node, { intensity: { restarts: 0, withinMs: 1 } })
    await pool.startChild(worker('a', log))
    const { pid } = await pool.startChild(worker('b', log))
    actors.table.exit(node.self, pid, 'kill')
    await turns()
    t.equal(actors.table.size, 0)
    t.match((crashes[0]!.reason as Error).message, new RegExp(`gave up on child worker ${pid}: `))
  },
)

t.test('options of dynamic supervisors that are wrong are refused by name', async t => {
  const define = dynamicSupervisor as unknown as (spec: unknown) => unknown
  t.throws(
    () => define({ maxChildren: -1 }),
    /^dynamicSupervisor: maxChildren: expected a whole number from 0/,
  )
  t.throws(() => define({ children: [] }), /unknown option "children"; expected one of intensity, /)
  t.throws(() => define({ extraArguments: 1 }), /extraArguments: expected an array, got 1/)
  t.throws(() => define({ backoff: { minMs: 5, maxMs: 4 } }), /backoff.maxMs: expected milliseconds from 5/)
  t.throws(() => define({ backoff: { minMs: 5 } }), /backoff.maxMs: expected .* got undefined/)
  t.throws(() => define({ intensity: { restarts: 1 } }), /intensity.withinMs: expected/)
})

// Partitions.

t.test('a key has one partition, by its remainder or by a hash that does not change', async t => {
  const of = (partitions: number, ...keys: PartitionKey[]) => keys.map(key => partitionOf(key, partitions))
  t.strictSame(of(3, 0, 1, 2, 3, -1, -4, 2n ** 70n, -5n), [0, 1, 2, 0, 1, 1, 1, 2])
  t.strictSame(of(8, 'a', 'b', 'user:7', 1.5, parsePid('<a.0000000000ab.7>') as Pid), [7, 1, 5, 2, 1])
  const counts = Array.from({ length: 8 }, () => 0)
  for (let i = 0; i < 8_000; i++) counts[partitionOf(`user:${i}`, 8)]! += 1
  t.ok(
    counts.every(count => count > 850 && count < 1_150),
    `evenly: ${counts}`,
  )
  t.throws(() => partitionOf({} as string, 3), {
    name: 'TypeError',
    message: 'partition: expected a string, a number, a bigint, a pid or a ref, got an object with no keys',
  })
})

t.test(
  'there are as many partitions as cores, under names of this node, and any part of it finds them',
  async t => {
    const { node } = await bareNode(t, {
      runtime: { ...createRealRuntime(), host: { ...silentHost, cores: 3 } },
    })
    const numbered = defineActor('numbered', { init: (n: number) => ({ n }), calls: { get: ({ n }) => n } })
    const spec = { name: 'parts', child: (n: number) => child(numbered, { args: n }) }
    const parts = await startPartitionSupervisor(node, spec)
    t.equal(parts.partitions, 3)
    t.equal(createRealRuntime().host.cores, availableParallelism())
    t.strictSame(
      (await parts.whichChildren()).map(({ id, definition }) => [id, definition]),
      [2, 1, 0].map(id => [id, 'numbered']),
    )
    t.strictSame(await Promise.all([0, 1, 2, 3].map(key => parts.for(key).call('get'))), [0, 1, 2, 0])
    const found = await partitionsOf(node, 'parts', partitionSupervisor(spec))
    t.equal(found.for('x').pid, parts.for('x').pid)
    t.equal(node.whereis('parts/2')?.pid, parts.for(2).pid)
    await t.rejects(startPartitionSupervisor(node, spec), {
      code: 'ERR_ALREADY_STARTED',
      detail: { pid: parts.pid },
    })
    await found.stop()
    t.equal(node.whereis('parts/2'), undefined)
    await t.rejects(partitionsOf(node, 'parts', partitionSupervisor(spec)), { code: 'ERR_NOPROC' })
  },
)

t.test('partitions inside a tree register themselves, and come back with their supervisor', async t => {
  const { node } = await bareNode(t)
  const parts = partitionSupervisor({ name: 'parts', partitions: 2, child: child(plain) })
  const tree = await startSupervisor(node, { children: [child(parts)] })
  const first = await partitionsOf(node, 'parts', parts)
  const before = first.pid
  node.exit(before, 'kill')
  t.equal((await tree.countChildren()).active, 1)
  t.not(first.pid, before)
  t.ok(node.isAlive(first.for(1).pid), 'what was found before finds the new ones')
})

t.test('a partition that does not start is named by its number', async t => {
  const { node } = await bareNode(t)
  const log: string[] = []
  const spec = {
    name: 'parts',
    partitions: 3,
    child: (n: number) =>
      child(workers, { args: { id: String(n), log, init: n === 1 ? 'fail' : undefined } }),
  } as const
  await t.rejects(startPartitionSupervisor(node, spec), {
    code: 'ERR_START',
    message: 'partitionSupervisor did not start: 1: an object with key "nocatch"',
    detail: { reason: { shutdown: { failedToStartChild: 1, reason: { nocatch: 'no' } } } },
  })
  t.strictSame(log, ['init 0', 'ready 0', 'init 1', 'terminate 0 shutdown'])
})

t.test('partitions that are specified wrong are refused by name', async t => {
  const define = partitionSupervisor as unknown as (spec: unknown) => unknown
  const ok = { name: 'x', child: child(plain) }
  t.throws(() => define({ ...ok, partitions: 0 }), { message: /partitions: expected a whole number from 1/ })
  t.throws(() => define({ ...ok, name: 'x'.repeat(252) }), /name: expected a name of 1 to 255 bytes/)
  t.throws(() => define({ ...ok, children: [] }), /unknown option "children"/)
  t.throws(() => define({ name: 'x' }), /child: expected an object, got undefined/)
  t.throws(() => define({ ...ok, child: child(plain, { name: 'own' }) }), {
    message: 'partitionSupervisor: child.name: expected none: partitions have their own, got "own"',
  })
  t.throws(() => define({ ...ok, child: child(plain, { restart: 'temporary' }) }), {
    message: `partitionSupervisor: child.restart: expected 'permanent' or 'transient', got "temporary"`,
  })
})

// Applications.

t.test('parts start in the order of what they need and stop in reverse', async t => {
  const { node, log, actors } = setUp(t)
  const part = (id: string, ...after: ('web' | 'cache' | 'db')[]) => ({ after, children: [worker(id, log)] })
  const shop = await startApplication(node, {
    parts: { web: part('web', 'cache', 'db'), cache: part('cache', 'db'), db: part('db') },
  })
  t.strictSame(shop.parts, ['db', 'cache', 'web'])
  t.strictSame(
    log.filter(line => line.startsWith('ready')),
    ['ready db', 'ready cache', 'ready web'],
  )
  t.strictSame(idsOf(await shop.whichParts()), ['db', 'cache', 'web'])
  log.length = 0
  await shop.stop()
  t.strictSame(log, ['terminate web shutdown', 'terminate cache shutdown', 'terminate db shutdown'])
  t.equal(actors.table.size, 0)
})

t.test('a part that does not start stops the others in reverse, and the error names it and why', async t => {
  const { node, log, actors } = setUp(t)
  const failing = [worker('pool', log), worker('http', log, {}, { init: 'fail' })]
  await t.rejects(
    startApplication(node, {
      parts: {
        db: { children: [worker('db', log)] },
        web: { after: ['db'], children: failing },
        late: { after: ['web'], children: [worker('late', log)] },
      },
    }),
    {
      code: 'ERR_START',
      message: 'application did not start: "web" / "http": an object with key "nocatch"',
      detail: {
        part: 'web',
        reason: { shutdown: { failedToStartChild: 'http', reason: { nocatch: 'no' } } },
      },
    },
  )
  t.strictSame(
    log.filter(line => line.startsWith('term')),
    ['terminate pool shutdown', 'terminate db shutdown'],
  )
  t.equal(actors.table.size, 0)
})

t.test('a part that gave up is started again with those after it; too often, and it is the end', async t => {
  const { node, log, actors } = setUp(t)
  const part = (id: string) => ({ intensity: { restarts: 0, withinMs: 1_000 }, children: [worker(id, log)] })
  await startApplication(node, {
    intensity: { restarts: 1, withinMs: 1_000 },
    parts: { a: part('a'), b: part('b'), c: part('c') },
  })
  const crash = async (nth: number) => {
    const all = [...actors.table.all()].map(process => actors.info(process))
    const pid = all.filter(({ definition }) => definition === 'worker')[nth]?.pid
    actors.table.exit(node.self, pid as Pid, 'kill')
    await turns()
  }
  log.length = 0
  await crash(1)
  t.strictSame(log, ['terminate c shutdown', 'init b', 'ready b', 'init c', 'ready c'])
  await crash(2)
  t.equal(actors.table.size, 0)
})

t.test('parts that cannot be are refused at the call', async t => {
  const { node } = setUp(t)
  const start = startApplication as unknown as (host: Node, spec: unknown) => Promise<unknown>
  const part = (...after: string[]) => ({ after, children: [] })
  const refused = (spec: unknown, message: string | RegExp) =>
    t.rejects(start(node, spec), { name: 'TypeError', message })
  await refused({ parts: { a: part('b'), b: part('a') } }, /got "a" after "b" after "a"$/)
  await refused({ parts: { a: part('a') } }, /got "a" after "a"$/)
  await refused({ parts: { a: part('x') } }, 'application: parts.a: after: expected one of "a", got "x"')
  await refused({ parts: { a: { after: 'b', children: [] } } }, /parts.a: after: expected an array, got "b"/)
  await refused({ parts: { a: { children: [], strtegy: 1 } } }, /parts.a: unknown option "strtegy"/)
  await refused({ parts: { a: {} } }, /application: parts.a: children: expected an array, got undefined/)
  await refused({ parts: { a: 1 } }, /application: parts.a: expected an object, got 1/)
  await refused({}, /application: parts: expected an object, got undefined/)
  await refused(
    { parts: {}, part: 1 },
    /application: unknown option "part"; expected one of parts, intensity/,
  )
})

t.test('specs that are wrong are refused by name', async t => {
  const { node } = setUp(t)
  const define = supervisor as (spec: unknown) => unknown
  const make = child as unknown as (def: unknown, options?: unknown) => unknown
  const ok = child(plain)
  t.throws(() => define(undefined), { message: 'supervisor: spec: expected an object, got undefined' })
  t.throws(() => define({ children: [], strategy: 'one' }), {
    name: 'TypeError',
    message: `supervisor: strategy: expected 'one_for_one', 'one_for_all', 'rest_for_one', got "one"`,
  })
  t.throws(
    () => define({ children: [ok], intensty: 1 }),
    /unknown option "intensty"; expected one of strategy, /,
  )
  t.throws(() => define({}), /children: expected an array, got undefined/)
  t.throws(() => define({ children: [ok, child(plain)] }), {
    name: 'TypeError',
    message: 'supervisor: children[1]: expected an id of its own, got "plain" again',
  })
  t.throws(
    () => define({ children: [plain] }),
    /children\[0\].def: expected what defineActor returned, got undefined/,
  )
  t.throws(() => define({ children: [{ ...ok, restrt: 1 }] }), /children\[0\]: unknown option "restrt"/)
  t.throws(
    () => define({ children: [{ def: plain }] }),
    /children\[0\].id: expected a string, not empty, got undefined/,
  )
  t.throws(() => define({ children: [ok], intensity: { restarts: -1, withinMs: 5 } }), RangeError)
  t.throws(
    () => define({ children: [ok], intensity: { restarts: 1 } }),
    /intensity.withinMs: expected milliseconds/,
  )
  t.throws(() => define({ children: [ok], intensity: { restarts: 1, within: 1 } }), /unknown option "within"/)
  t.throws(() => make({}), /child: def: expected what defineActor returned/)
  t.throws(
    () => make(plain, { restart: 'always' }),
    /child: restart: expected 'permanent', 'transient', 'temporary'/,
  )
  t.throws(
    () => make(plain, { shutdownMs: -1 }),
    /child: shutdownMs: expected milliseconds from 0 to .*'brutal_kill'/,
  )
  t.throws(() => make(plain, { id: '' }), /child: id: expected a string, not empty/)
  await t.rejects(startSupervisor(node, { children: [ok, ok] }), TypeError)
})

// The family.

const silentHost = {
  hostname: 'test',
  warn: () => {},
  startThread: () => ({ result: Promise.resolve(), end: () => {} }),
  onUnhandledRejection: () => () => {},
}

const behaviour = (id: string, log: string[]): Behaviour => ({ id, log })

const worker = (
  id: string,
  log: string[],
  options: Omit<ChildOptions, 'id'> = {},
  rest: Partial<Behaviour> = {},
) => child(workers, { id, ...options, args: { id, log, ...rest } })

/** Of those that run, oldest first. */
const idsOf = (infos: readonly ChildInfo[]): string[] =>
  infos
    .filter(({ pid }) => typeof pid === 'object')
    .map(({ id }) => id)
    .reverse()

interface Behaviour {
  readonly id: string
  readonly log: string[]
  init?: 'slow' | 'held' | 'fail' | 'never' | 'ignore' | undefined
  readonly terminate?: 'slow'
}

const releases = new Map<string, () => void>()
const release = (id: string): void => releases.get(id)?.()

const plain = defineActor('plain', {
  init: (started?: () => unknown) => {
    started?.()
    return {}
  },
})

const workers = defineActor('worker', {
  init: async (args: Behaviour, ctx: InitContext) => {
    ctx.trapExit(true)
    args.log.push(`init ${args.id}`)
    if (args.init === 'never') await new Promise(() => {})
    if (args.init === 'slow') await turns()
    if (args.init === 'held') await new Promise<void>(resolve => releases.set(args.id, resolve))
    if (args.init === 'fail') throw 'no'
    if (args.init === 'ignore') return ctx.ignore()
    args.log.push(`ready ${args.id}`)
    return args
  },
  terminate: async (args, reason) => {
    args.log.push(`terminate ${args.id} ${reason}`)
    if (args.terminate === 'slow') await new Promise<void>(resolve => releases.set(args.id, resolve))
  },
})

const pidOf = (infos: readonly { id: string; pid: unknown }[], id: string): Pid =>
  infos.find(info => info.id === id)?.pid as Pid

function setUp(t: Test) {
  const log: string[] = []
  const made = world(t)
  return {
    ...made,
    log,
    family: (spec: SupervisorSpec) => startSupervisor(made.node, spec),
    /** Ends a child, and returns when its supervisor has taken note, or when `then` is done. */
    async kill(tree: SupervisorRef, id: string, then: () => unknown = () => tree.countChildren()) {
      made.actors.table.exit(made.node.self, pidOf(await tree.whichChildren(), id), 'kill')
      await then()
    },
  }
}
