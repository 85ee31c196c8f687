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
  startDynamicSupervisor,
} from '../lib/index.js'
import { turns } from './support/actor-world.js'
import { bareNode } from './support/bare-node.js'
import { refusal } from './support/puppet.js'

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
  })
  const { pid } = await rooms.startChild(child(keeper, { args: 'k1' }))
  node.exit(pid, 'boom')
  const [after] = await rooms.whichChildren()
  t.strictSame(seen, ['k1', 'k1'])
  t.not(after?.pid, pid)
})

// The world.

interface Behaviour {
  readonly id: string
  readonly log: string[]
  init?: 'fail' | 'ignore' | undefined
}

const plain = defineActor('plain', { init: () => ({}) })

const workers = defineActor('worker', {
  init: (args: Behaviour, ctx: InitContext) => {
    ctx.trapExit(true)
    if (args.init === 'fail') throw 'no'
    if (args.init === 'ignore') return ctx.ignore()
    args.log.push(`start ${args.id}`)
    return args
  },
  terminate: (args, reason) => void args.log.push(`stop ${args.id} ${reason}`),
})

async function world(t: Test) {
  const log: string[] = []
  const worker = (id: string, { init, ...options }: ChildOptions & { init?: Behaviour['init'] } = {}) =>
    child(workers, { id, ...options, args: { id, log, init } })
  return { ...(await bareNode(t)), log, worker }
}
