/**
 * What the supervisors of OTP and Elixir promise: static, dynamic and partitioned ones, one subtest per rule, through
 * the public API alone.
 */
import t, { type Test } from 'tap'
import {
  type ChildOptions,
  child,
  defineActor,
  type InitContext,
  type PartitionSupervisorSpec,
  type Pid,
  type SupervisorRef,
  type SupervisorSpec,
  startDynamicSupervisor,
  startPartitionSupervisor,
  startSupervisor,
  supervisor,
} from '../lib/index.js'
import { turns } from './support/actor-world.js'
import { bareNode } from './support/bare-node.js'
import { puppet, reasonOf, refusal, watch } from './support/puppet.js'

// --- sup ------------------------------------------------------------------------------------------------------------

t.test(
  'sup-001: children start in order and, when the parent shuts down, stop in reverse, each with shutdown',
  async t => {
    const { node, log, worker } = await world(t)
    const parent = puppet(node)
    const tree = await parent.ask(self =>
      startSupervisor(self, { children: [worker('a'), worker('b'), worker('c')] }),
    )
    t.strictSame(log.splice(0), ['start a', 'start b', 'start c'])
    await reasonOf(node, tree.pid, () => parent.tell(self => self.exit('shutdown')))
    t.strictSame(log, ['stop c shutdown', 'stop b shutdown', 'stop a shutdown'])
  },
)

t.test(
  'sup-002: one_for_one: only the child that crashed restarts, and the list keeps its order',
  async t => {
    const { after, log } = await family(t, { strategy: 'one_for_one' })
    t.strictSame(await after('b'), { same: ['a', 'c'], order: ['c', 'b', 'a'] })
    t.strictSame(log, ['start b'])
  },
)

t.test('sup-003: one_for_all: the others stop in reverse, then all start in order', async t => {
  const { after, log } = await family(t, { strategy: 'one_for_all' })
  t.strictSame(await after('b'), { same: [], order: ['c', 'b', 'a'] })
  t.strictSame(log, ['stop c shutdown', 'stop a shutdown', 'start a', 'start b', 'start c'])
})

t.test(
  'sup-004: rest_for_one: those after it stop, then it and those start; the one before is untouched',
  async t => {
    const { after, log } = await family(t, { strategy: 'rest_for_one' })
    t.strictSame(await after('b'), { same: ['a'], order: ['c', 'b', 'a'] })
    t.strictSame(log, ['stop c shutdown', 'start b', 'start c'])
  },
)

t.test('sup-005: a permanent child that exits normally is restarted', async t => {
  const { tree, node } = await single(t, { restart: 'permanent' })
  const before = await pidOf(tree, 'a')
  await node.whereis('a', workers)?.stop('normal')
  t.not(await pidOf(tree, 'a'), before)
})

t.test(
  'sup-006: a transient child that exits with normal, shutdown or { shutdown: x } is not restarted, and its spec stays',
  async t => {
    for (const reason of ['normal', 'shutdown', { shutdown: 'x' }]) {
      const { tree, node } = await single(t, { restart: 'transient' })
      await node.whereis('a', workers)?.stop(reason)
      t.strictSame(await tree.whichChildren(), [
        { id: 'a', pid: undefined, type: 'worker', definition: 'worker' },
      ])
    }
  },
)

t.test('sup-007: a transient child that is killed is restarted', async t => {
  const { tree, node } = await single(t, { restart: 'transient' })
  const before = await pidOf(tree, 'a')
  node.exit(before, 'kill')
  const after = await pidOf(tree, 'a')
  t.not(after, before)
  t.ok(node.isAlive(after))
})

t.test('sup-008: a temporary child that crashes is not restarted, and its spec is removed', async t => {
  const { tree, node } = await single(t, { restart: 'temporary' })
  node.exit(await pidOf(tree, 'a'), 'kill')
  t.strictSame(await tree.whichChildren(), [])
})

t.test(
  'sup-009: with intensity 0 the first crash stops the others in reverse, and the supervisor exits with shutdown',
  async t => {
    const { tree, node, log } = await family(t, { intensity: { restarts: 0, withinMs: 5_000 } })
    const b = await pidOf(tree, 'b')
    t.equal(await reasonOf(node, tree.pid, () => node.exit(b, 'kill')), 'shutdown')
    t.strictSame(log, ['stop c shutdown', 'stop a shutdown'])
  },
)

t.test(
  'sup-010: with intensity 1 in 5 s the second of two crashes in a second ends the supervisor',
  async t => {
    const { tree, node, clock } = await single(t, {}, { intensity: { restarts: 1, withinMs: 5_000 } })
    node.exit(await pidOf(tree, 'a'), 'kill')
    const second = await pidOf(tree, 'a')
    clock.advance(1_000)
    t.equal(await reasonOf(node, tree.pid, () => node.exit(second, 'kill')), 'shutdown')
  },
)

t.test('sup-011: with intensity 1 in 1 s two crashes that are 2 s apart are both borne', async t => {
  const { tree, node, clock } = await single(t, {}, { intensity: { restarts: 1, withinMs: 1_000 } })
  const first = await pidOf(tree, 'a')
  node.exit(first, 'kill')
  const second = await pidOf(tree, 'a')
  clock.advance(2_000)
  node.exit(second, 'kill')
  const third = await pidOf(tree, 'a')
  t.equal(new Set([first, second, third]).size, 3)
  t.ok(node.isAlive(third))
})

t.test(
  'sup-012: with intensity 3 a restart that keeps failing is given up after the allowed attempts',
  async t => {
    const { node, log, worker } = await world(t)
    const spec = worker('a')
    const tree = await startSupervisor(node, {
      children: [spec],
      intensity: { restarts: 3, withinMs: 5_000 },
    })
    const pid = await pidOf(tree, 'a')
    log.length = 0
    ;(spec.args as Behaviour).init = 'fail'
    t.equal(await reasonOf(node, tree.pid, () => node.exit(pid, 'kill')), 'shutdown')
    t.strictSame(log, ['try a', 'try a', 'try a'])
  },
)

t.test(
  'sup-013: when the second of three does not start, the first is stopped, and the error names id and reason',
  async t => {
    const { node, log, worker } = await world(t)
    const children = [worker('a'), worker('b', { init: 'fail' }), worker('c')]
    const { code, detail } = await refusal(startSupervisor(node, { children }))
    t.equal(code, 'ERR_START')
    t.strictSame(detail['reason'], { shutdown: { failedToStartChild: 'b', reason: { nocatch: 'no' } } })
    t.strictSame(log, ['start a', 'try b', 'stop a shutdown'])
  },
)

t.test('sup-014: a permanent child whose start ignores keeps its spec and has no pid', async t => {
  const { tree } = await single(t, { init: 'ignore', restart: 'permanent' })
  t.strictSame(await tree.whichChildren(), [
    { id: 'a', pid: undefined, type: 'worker', definition: 'worker' },
  ])
})

t.test('sup-015: a temporary child whose start ignores is not kept', async t => {
  const { tree } = await single(t, { init: 'ignore', restart: 'temporary' })
  t.strictSame(await tree.whichChildren(), [])
})

t.test('sup-016: two specs with one id are refused', async t => {
  const { node, worker } = await world(t)
  await t.rejects(startSupervisor(node, { children: [worker('a'), worker('a')] }), {
    name: 'TypeError',
    message: 'supervisor: children[1]: expected an id of its own, got "a" again',
  })
})

t.test('sup-017: a start under the id of a child that runs gives already_started and its pid', async t => {
  const { tree, worker } = await single(t)
  const { code, detail } = await refusal(tree.startChild(worker('a')))
  t.strictSame(
    [code, detail],
    ['ERR_ALREADY_STARTED', { id: 'a', why: 'already_started', pid: await pidOf(tree, 'a') }],
  )
})

t.test('sup-018: a start under the id of a child that was terminated gives already_present', async t => {
  const { tree, worker } = await single(t)
  await tree.terminateChild('a')
  const { code, detail } = await refusal(tree.startChild(worker('a')))
  t.strictSame([code, detail], ['ERR_ALREADY_STARTED', { id: 'a', why: 'already_present' }])
})

t.test('sup-019: deleting or restarting a child that runs gives running', async t => {
  const { tree } = await single(t)
  t.strictSame(await tree.deleteChild('a'), { ok: false, why: 'running' })
  t.strictSame(await tree.restartChild('a'), { ok: false, why: 'running' })
})

t.test(
  'sup-020: a child that was terminated restarts with a new pid; terminated and deleted it is unknown',
  async t => {
    const { tree, node } = await single(t)
    const before = await pidOf(tree, 'a')
    t.strictSame(await tree.terminateChild('a'), { ok: true })
    const restarted = await tree.restartChild('a')
    const after = await pidOf(tree, 'a')
    t.strictSame(restarted, { ok: true, pid: after })
    t.not(after, before)
    t.ok(node.isAlive(after))
    t.strictSame(await tree.terminateChild('a'), { ok: true })
    t.strictSame(await tree.deleteChild('a'), { ok: true })
    t.strictSame(await tree.deleteChild('a'), { ok: false, why: 'not_found' })
  },
)

t.test('sup-021: terminate, restart and delete of an unknown id give not_found each', async t => {
  const { tree } = await single(t)
  for (const answer of [tree.terminateChild('x'), tree.restartChild('x'), tree.deleteChild('x')])
    t.strictSame(await answer, { ok: false, why: 'not_found' })
})

t.test('sup-022: the spec of a temporary child is gone when it has been terminated', async t => {
  const { tree } = await single(t, { restart: 'temporary' })
  t.strictSame(await tree.terminateChild('a'), { ok: true })
  t.strictSame(await tree.whichChildren(), [])
})

t.test(
  'sup-023: a child with 50 ms that ignores shutdown is killed after 50 ms, and ok is returned',
  async t => {
    const { tree, node, clock } = await single(t, { deaf: true, shutdownMs: 50 })
    const { down } = await watch(node, await pidOf(tree, 'a'))
    let reason: unknown
    void down.then(signal => {
      reason = signal.reason
    })
    const terminated = tree.terminateChild('a')
    await turns()
    clock.advance(49)
    await turns()
    t.equal(reason, undefined, 'not before')
    clock.advance(1)
    t.strictSame(await terminated, { ok: true })
    t.equal((await down).reason, 'killed')
  },
)

t.test('sup-024: a child with brutal_kill is killed at once', async t => {
  const { tree, node, log } = await single(t, { shutdownMs: 'brutal_kill' })
  const pid = await pidOf(tree, 'a')
  t.equal(await reasonOf(node, pid, () => tree.terminateChild('a')), 'killed')
  t.strictSame(log, [], 'and was not asked')
})

t.test('sup-025: an exit signal shutdown from a process that is not its parent is ignored', async t => {
  const { node, log, worker } = await world(t)
  const [parent, stranger] = [puppet(node), puppet(node)]
  const children = ['a', 'b', 'c'].map(id => worker(id))
  for (const tree of [
    await startSupervisor(node, { children }),
    await parent.ask(self => startSupervisor(self, { children })),
  ]) {
    const before = await tree.whichChildren()
    log.length = 0
    await stranger.ask(self => self.exit(tree.pid, 'shutdown'))
    t.strictSame(await tree.whichChildren(), before, 'the same children')
    t.strictSame(await tree.countChildren(), { specs: 3, active: 3, supervisors: 0, workers: 3 })
    t.strictSame(log, [], 'none was stopped')
  }
})

t.test(
  "sup-026: its parent's exit, whatever the reason, stops the children and is the supervisor's reason",
  async t => {
    for (const reason of ['normal', 'shutdown', 'boom']) {
      const { node, log, worker } = await world(t)
      const parent = puppet(node)
      const tree = await parent.ask(self => startSupervisor(self, { children: [worker('a'), worker('b')] }))
      log.length = 0
      const given = await reasonOf(node, tree.pid, () => parent.tell(self => self.exit(reason)))
      t.equal(given, reason)
      t.strictSame(log, ['stop b shutdown', 'stop a shutdown'])
    }
  },
)

t.test(
  'sup-027: a permanent inner supervisor that gives up with shutdown is restarted by the outer one',
  async t => {
    const { node, worker } = await world(t)
    const inner = supervisor({
      intensity: { restarts: 0, withinMs: 5_000 },
      children: [worker('a', { name: 'a', scope: 'node' })],
    })
    const outer = await startSupervisor(node, { children: [child(inner, { id: 'inner' })] })
    const before = await pidOf(outer, 'inner')
    const first = node.whereis('a')?.pid as Pid
    t.equal(await reasonOf(node, before, () => node.exit(first, 'kill')), 'shutdown')
    t.not(await pidOf(outer, 'inner'), before)
    const second = node.whereis('a')?.pid as Pid
    t.not(second, first)
    t.ok(node.isAlive(second))
  },
)

t.test('sup-028: of three children with one terminated, specs and workers are 3 and active 2', async t => {
  const { tree } = await family(t)
  await tree.terminateChild('b')
  t.strictSame(await tree.countChildren(), { specs: 3, active: 2, supervisors: 0, workers: 3 })
})

t.test(
  'sup-029: any_significant: the normal exit of a significant transient child ends everything',
  async t => {
    const { node, log, worker } = await world(t)
    const tree = await startSupervisor(node, {
      autoShutdown: 'any_significant',
      children: [worker('a'), worker('s', SIGNIFICANT), worker('c')],
    })
    log.length = 0
    t.equal(await reasonOf(node, tree.pid, () => node.whereis('s', workers)?.stop('normal')), 'shutdown')
    t.strictSame(log, ['stop s normal', 'stop c shutdown', 'stop a shutdown'])
  },
)

t.test('sup-030: any_significant: a significant transient child that crashes is restarted', async t => {
  const { node, worker } = await world(t)
  const tree = await startSupervisor(node, {
    autoShutdown: 'any_significant',
    children: [worker('s', SIGNIFICANT)],
  })
  const before = await pidOf(tree, 's')
  node.exit(before, 'kill')
  t.not(await pidOf(tree, 's'), before)
})

t.test('sup-031: all_significant: nothing after the first has ended, shutdown after the last', async t => {
  const { node, log, worker } = await world(t)
  const tree = await startSupervisor(node, {
    autoShutdown: 'all_significant',
    children: [
      worker('a'),
      worker('s1', { ...SIGNIFICANT, name: 's1' }),
      worker('s2', { ...SIGNIFICANT, name: 's2' }),
    ],
  })
  await node.whereis('s1', workers)?.stop('normal')
  t.strictSame(await tree.countChildren(), { specs: 3, active: 2, supervisors: 0, workers: 3 })
  log.length = 0
  t.equal(await reasonOf(node, tree.pid, () => node.whereis('s2', workers)?.stop('normal')), 'shutdown')
  t.strictSame(log, ['stop s2 normal', 'stop a shutdown'])
})

t.test(
  'sup-032: a significant child that is permanent, or under auto_shutdown never, is refused',
  async t => {
    const { node, worker } = await world(t)
    await t.rejects(
      startSupervisor(node, {
        autoShutdown: 'any_significant',
        children: [worker('s', { significant: true, restart: 'permanent' })],
      }),
      {
        name: 'TypeError',
        message:
          /children\[0\]\.significant: expected restart 'transient' or 'temporary' with it, got "permanent"$/,
      },
    )
    for (const autoShutdown of ['never', undefined] as const) {
      await t.rejects(startSupervisor(node, { autoShutdown, children: [worker('s', SIGNIFICANT)] }), {
        name: 'TypeError',
        message:
          /children\[0\]\.significant: expected a supervisor with autoShutdown 'any_significant' or .*, got "never"$/,
      })
    }
  },
)

t.test('sup-033: a spec with a bad field is refused at startChild, and the field is named', async t => {
  const { tree, worker } = await single(t)
  const good = worker('x')
  const bad: [field: string, value: unknown][] = [
    ['restart', 'always'],
    ['shutdownMs', -1],
    ['def', () => ({})],
    ['id', ''],
    ['timeoutMs', 'soon'],
    ['significant', 'yes'],
    ['type', 'worker'],
  ]
  for (const [field, value] of bad) {
    const spec = { ...good, [field]: value } as typeof good
    await t.rejects(tree.startChild(spec), { message: new RegExp(`startChild: spec.*${field}`) }, field)
  }
  t.strictSame(await tree.countChildren(), { specs: 1, active: 1, supervisors: 0, workers: 1 })
})

t.test(
  'sup-034: by default a child killed 4 times quickly restarts three times, then comes shutdown',
  async t => {
    const { tree, node } = await single(t)
    const seen = new Set([await pidOf(tree, 'a')])
    for (let i = 0; i < 3; i++) {
      node.exit(await pidOf(tree, 'a'), 'kill')
      seen.add(await pidOf(tree, 'a'))
    }
    t.equal(seen.size, 4, 'three restarts')
    const last = await pidOf(tree, 'a')
    t.equal(await reasonOf(node, tree.pid, () => node.exit(last, 'kill')), 'shutdown')
  },
)

// --- dsup -----------------------------------------------------------------------------------------------------------

t.test(
  'dsup-001: with maxChildren 1 and one running, a further start is refused with max_children',
  async t => {
    const { node } = await world(t)
    const rooms = await startDynamicSupervisor(node, { maxChildren: 1 })
    await rooms.startChild(child(plain))
    const { code, detail } = await refusal(rooms.startChild(child(plain)))
    t.strictSame([code, detail], ['ERR_BUSY', { limit: 'maxChildren', why: 'max_children' }])
    t.strictSame(await rooms.countChildren(), { specs: 1, active: 1, supervisors: 0, workers: 1 })
  },
)

t.test('dsup-002: the same spec started twice makes two children', async t => {
  const { node } = await world(t)
  const rooms = await startDynamicSupervisor(node)
  const spec = child(plain)
  const [a, b] = [await rooms.startChild(spec), await rooms.startChild(spec)]
  t.not(a.pid, b.pid)
  t.strictSame(await rooms.whichChildren(), [
    { id: undefined, pid: b.pid, type: 'worker', definition: 'plain' },
    { id: undefined, pid: a.pid, type: 'worker', definition: 'plain' },
  ])
})

t.test(
  "dsup-003: a start that ignores gives 'ignore', one that fails its reason; nothing is kept",
  async t => {
    const { node, worker } = await world(t)
    const rooms = await startDynamicSupervisor(node)
    for (const [init, reason] of [
      ['ignore', 'ignore'],
      ['fail', { nocatch: 'no' }],
    ] as const) {
      const { code, detail } = await refusal(rooms.startChild(worker('a', { init })))
      t.strictSame([code, detail['reason']], ['ERR_START', reason], init)
      t.strictSame(await rooms.countChildren(), { specs: 0, active: 0, supervisors: 0, workers: 0 }, init)
    }
  },
)

t.test('dsup-004: terminating a pid is ok once, then not_found', async t => {
  const { node } = await world(t)
  const rooms = await startDynamicSupervisor(node)
  const { pid } = await rooms.startChild(child(plain))
  t.strictSame(await rooms.terminateChild(pid), { ok: true })
  t.equal(node.isAlive(pid), false, 'it is gone by then')
  t.strictSame(await rooms.terminateChild(pid), { ok: false, why: 'not_found' })
})

t.test('dsup-005: three children that take 80 ms each to stop take 80 ms together', async t => {
  const { node, clock, log } = await world(t)
  const rooms = await startDynamicSupervisor(node)
  const sleeper = defineActor('sleeper', {
    init: (id: string, ctx: InitContext) => {
      ctx.trapExit(true)
      return { id }
    },
    terminate: async ({ id }, reason) => {
      log.push(`${id} ${reason}`)
      await new Promise<void>(resolve => clock.after(80, resolve))
    },
  })
  for (const id of ['a', 'b', 'c']) await rooms.startChild(child(sleeper, { args: id }))
  let stopped = false
  const stop = rooms.stop().then(() => {
    stopped = true
  })
  await turns()
  t.strictSame(log, ['c shutdown', 'b shutdown', 'a shutdown'], 'all have been asked')
  clock.advance(79)
  await turns()
  t.equal(stopped, false, 'not before')
  clock.advance(1)
  await stop
})

t.test('dsup-006: a child that crashes is restarted with the arguments of its start', async t => {
  const { node } = await world(t)
  const rooms = await startDynamicSupervisor(node)
  const seen: string[] = []
  const keeper = defineActor('keeper', {
    init: (key: string) => {
      seen.push(key)
      return { key }
    },
    calls: { key: state => state.key },
    casts: {
      crash: () => {
        throw new Error('boom')
      },
    },
  })
  const spec = child(keeper, { args: 'k1', name: 'keeper', scope: 'node' })
  const ref = await rooms.startChild(spec)
  await reasonOf(node, ref.pid, () => ref.cast('crash'))
  const list = await rooms.whichChildren()
  const again = node.whereis('keeper', keeper)
  t.strictSame(
    list,
    [{ id: undefined, pid: again?.pid, type: 'worker', definition: 'keeper' }],
    'the one child',
  )
  t.not(again?.pid, ref.pid, 'a new process')
  t.equal(await again?.call('key'), 'k1', 'which runs on what the first was started with')
  t.strictSame(seen, ['k1', 'k1'], 'once each')
})

// --- psup -----------------------------------------------------------------------------------------------------------

t.test('psup-001: of 3 partitions keys 0 and 3 have one child, 1 and 4 another', async t => {
  const { node } = await world(t)
  const parts = await startPartitionSupervisor(node, { name: 'parts', partitions: 3, child: child(plain) })
  const pids = [0, 3, 1, 4].map(key => parts.for(key).pid)
  t.equal(pids[0], pids[1])
  t.equal(pids[2], pids[3])
  t.not(pids[0], pids[2])
})

t.test('psup-002: of 2 partitions the killed one is replaced under its key, the other untouched', async t => {
  const { node } = await world(t)
  const counting = defineActor('counting', {
    init: (start: number) => ({ n: start }),
    calls: { next: state => state.n++ },
  })
  const parts = await startPartitionSupervisor(node, {
    name: 'parts',
    partitions: 2,
    child: partition => child(counting, { args: partition * 100 }),
  })
  const before = [0, 1].map(key => parts.for(key).pid)
  await parts.for(0).call('next')
  await parts.for(1).call('next')
  node.exit(parts.for(1).pid, 'kill')
  t.strictSame(
    (await parts.whichChildren()).map(({ id, pid }) => [id, pid === before[id]]),
    [
      [1, false],
      [0, true],
    ],
  )
  t.equal(await parts.for(1).call('next'), 100, 'it has begun anew')
  t.equal(await parts.for(0).call('next'), 1, 'and this has not')
})

t.test('psup-003: a start without a name is an argument error', async t => {
  const { node } = await world(t)
  const nameless = { child: child(plain) } as unknown as PartitionSupervisorSpec
  await t.rejects(startPartitionSupervisor(node, nameless), {
    name: 'TypeError',
    message: /^partitionSupervisor: name: expected a name of 1 to 255 bytes .*, got undefined$/,
  })
})

// The world.

interface Behaviour {
  readonly id: string
  readonly log: string[]
  init?: 'fail' | 'ignore' | undefined
  /** Does not hear of a shutdown. */
  readonly deaf?: boolean | undefined
}

const SIGNIFICANT = { significant: true, restart: 'transient', name: 's', scope: 'node' } as const

const plain = defineActor('plain', { init: () => ({}) })

const workers = defineActor('worker', {
  init: (args: Behaviour, ctx: InitContext) => {
    ctx.trapExit(true)
    if (args.init !== undefined) args.log.push(`try ${args.id}`)
    if (args.init === 'fail') throw 'no'
    if (args.init === 'ignore') return ctx.ignore()
    args.log.push(`start ${args.id}`)
    return args
  },
  terminate: (args, reason) => {
    if (args.deaf === true) return new Promise(() => {})
    args.log.push(`stop ${args.id} ${reason}`)
    return undefined
  },
})

async function world(t: Test) {
  const log: string[] = []
  const worker = (id: string, { init, deaf, ...options }: ChildOptions & Partial<Behaviour> = {}) =>
    child(workers, { id, ...options, args: { id, log, init, deaf } })
  return { ...(await bareNode(t)), log, worker }
}

/** Children a, b, c, and who is still the same when one of them has been killed. */
async function family(t: Test, spec: Omit<SupervisorSpec, 'children'> = {}) {
  const made = await world(t)
  const tree = await startSupervisor(made.node, {
    ...spec,
    children: ['a', 'b', 'c'].map(id => made.worker(id)),
  })
  made.log.length = 0
  const after = async (id: string) => {
    const before = await tree.whichChildren()
    made.node.exit(await pidOf(tree, id), 'kill')
    const now = await tree.whichChildren()
    const same = now.filter(info => before.some(({ pid }) => pid === info.pid)).map(info => info.id)
    return { same: same.reverse(), order: now.map(info => info.id) }
  }
  return { ...made, tree, after }
}

/** One child, a, which also has that name. */
async function single(
  t: Test,
  options: ChildOptions & Partial<Behaviour> = {},
  spec: Omit<SupervisorSpec, 'children'> = {},
) {
  const made = await world(t)
  const children = [made.worker('a', { name: 'a', scope: 'node', ...options })]
  const tree = await startSupervisor(made.node, { ...spec, children })
  made.log.length = 0
  return { ...made, tree }
}

async function pidOf(tree: SupervisorRef, id: string): Promise<Pid> {
  const info = (await tree.whichChildren()).find(one => one.id === id)
  if (typeof info?.pid !== 'object') throw new Error(`${id} does not run: ${String(info?.pid)}`)
  return info.pid
}
