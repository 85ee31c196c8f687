/**
 * The same work as `bound-supervision.ts` on troupe, written as its users write it: supervisors, child specs, names,
 * calls. Answers are checked: a fast wrong one is no result.
 *
 *   node --expose-gc troupe-supervision.js WORKLOAD      prints {"rate": starts or restarts per second, …}
 */
import {
  type ActorRef,
  child,
  createNode,
  defineActor,
  type Node,
  startDynamicSupervisor,
  startSupervisor,
} from '../lib/index.js'
import { heapBytes, ratePerSecond, runWorkload, sortedAt, type Workloads } from './support.js'

const openNode = (): Promise<Node> => createNode({ name: 'bench', logger: false })

/** Nobody gives up. */
const intensity = { restarts: 2 ** 31, withinMs: 1 }

/** Answers what it is asked, and crashes when it is told to; `started` hears of each of its lives. */
const worker = defineActor('worker', {
  init: ({ place, started }: { readonly place: number; readonly started: (place: number) => void }) => {
    started(place)
    return {}
  },
  calls: { one: () => 1 },
  casts: {
    boom: () => {
      throw new Error('boom')
    },
  },
})

const idle = defineActor('idle', { init: () => ({}), calls: { one: () => 1 } })

const workloads: Workloads = {
  async start() {
    const supervisor = await startDynamicSupervisor(await openNode())
    const count = 100_000
    const refs: ActorRef<typeof idle>[] = new Array(count)
    const before = heapBytes()
    const begin = performance.now()
    for (let i = 0; i < count; i += 1_000) {
      const batch = Array.from({ length: 1_000 }, () => supervisor.startChild(child(idle)))
      for (const [j, ref] of (await Promise.all(batch)).entries()) refs[i + j] = ref
    }
    const rate = ratePerSecond(count, begin)
    const bytes = (heapBytes() - before) / count
    const { active } = await supervisor.countChildren()
    const answer = await (refs[count - 1] as ActorRef<typeof idle>).call('one')
    if (answer !== 1 || active !== count) throw new Error(`${active} of ${count} run`)
    return { rate, bytes }
  },

  async restart() {
    const node = await openNode()
    let restarted: () => void = () => {}
    const args = { place: 0, started: () => restarted() }
    const named = { name: 'worker', scope: 'node' } as const
    await startSupervisor(node, { intensity, children: [child(worker, { args, ...named })] })
    const count = 20_000
    const lasted: number[] = []
    let answers = 0
    const begin = performance.now()
    for (let i = 0; i < count; i++) {
      const from = performance.now()
      const started = new Promise<void>(resolve => {
        restarted = resolve
      })
      node.whereis('worker', worker)?.cast('boom')
      await started
      answers += (await node.whereis('worker', worker)?.call('one')) ?? 0
      lasted.push((performance.now() - from) * 1_000)
    }
    const rate = ratePerSecond(count, begin)
    if (answers !== count) throw new Error(`${answers} of ${count} answered`)
    return { rate, p50: sortedAt(lasted, 0.5), p99: sortedAt(lasted, 0.99) }
  },

  async storm() {
    const node = await openNode()
    const count = 10_000
    let left = 0
    let over: () => void = () => {}
    const started = (): void => {
      if (--left === 0) over()
    }
    const children = Array.from({ length: count }, (_, place) =>
      child(worker, { id: `${place}`, name: `worker-${place}`, scope: 'node', args: { place, started } }),
    )
    await startSupervisor(node, { intensity, children })
    const workers = (): (ActorRef<typeof worker> | undefined)[] =>
      children.map(({ name }) => node.whereis(name as string, worker))
    const storm = async (): Promise<number> => {
      left = count
      const restarted = new Promise<void>(resolve => {
        over = resolve
      })
      const before = workers()
      const begin = performance.now()
      for (const ref of before) ref?.cast('boom')
      await restarted
      const answers = await Promise.all(workers().map(ref => ref?.call('one')))
      const rate = ratePerSecond(count, begin)
      if (answers.some(answer => answer !== 1)) throw new Error('a wrong answer is no result')
      return rate
    }
    await storm()
    const rate = await storm()
    return { rate, stormMs: (count / rate) * 1_000 }
  },
}

await runWorkload(workloads)
