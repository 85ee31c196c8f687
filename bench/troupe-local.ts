/**
 * The same work as `bound-local.ts` on troupe, written as its users write it: actors, pids, refs, names. Answers are
 * checked: a fast wrong one is no result.
 *
 *   node --expose-gc troupe-local.js WORKLOAD      prints {"rate": messages, calls or spawns per second, …}
 */
import { type ActorRef, createNode, defineActor, type Node, type Pid } from '../lib/index.js'
import {
  CALLS,
  type Deferred,
  defer,
  heapBytes,
  loopTurn,
  ratePerSecond,
  runWorkload,
  type Speed,
  timed,
  type Workloads,
} from './support.js'

interface Numbered {
  readonly v: number
}

const openNode = (): Promise<Node> => createNode({ name: 'bench', logger: false })

interface Tally {
  left: number
  sum: number
  done: Deferred<number>
}

const tally = (left: number): Tally => ({ left, sum: 0, done: defer() })

/** Adds up what it is told and says the sum when all has come. */
const adder = defineActor('adder', {
  init: (shared: Tally) => ({ shared }),
  info({ shared }, signal) {
    if (signal.type !== 'message') return
    shared.sum += (signal.message as Numbered).v
    if (--shared.left === 0) shared.done.resolve(shared.sum)
  },
})

interface Ball {
  readonly from: Pid
  readonly n: number
}

const pinger = defineActor('pinger', {
  init: (shared: Tally) => ({ shared }),
  info({ shared }, signal, ctx) {
    if (signal.type !== 'message') return
    const { from, n } = signal.message as Ball
    if (--shared.left < 0) shared.done.resolve(n)
    else ctx.send(from, { from: ctx.self, n: n + 1 })
  },
})

const ponger = defineActor('ponger', {
  init: () => ({}),
  info(_state, signal, ctx) {
    if (signal.type !== 'message') return
    const { from, n } = signal.message as Ball
    ctx.send(from, { from: ctx.self, n })
  },
})

const server = defineActor('server', {
  init: () => ({}),
  calls: { next: (_state, v: number) => v + 1 },
})

const idle = defineActor('idle', { init: () => ({}) })

interface Pass {
  readonly shared: Tally
  readonly next: Pid | undefined
}

const passer = defineActor('passer', {
  init: ({ shared, next }: Pass) => ({ shared, next }),
  info(state, signal, ctx) {
    if (signal.type !== 'message') return
    const { message } = signal
    if (state.next === undefined) state.next = (message as { readonly first: Pid }).first
    else if (--state.shared.left <= 0) state.shared.done.resolve((message as { readonly tok: number }).tok)
    else ctx.send(state.next, message)
  },
})

const forwarder = defineActor('forwarder', {
  init: (to: Pid) => ({ to }),
  info(state, signal, ctx) {
    if (signal.type === 'message') ctx.send(state.to, { v: (signal.message as Numbered).v })
  },
})

const sumTo = (count: number): number => (count * (count - 1)) / 2

const workloads: Workloads = {
  async 'send-chunk'() {
    const node = await openNode()
    return timed(1_000_000, async count => {
      const shared = tally(count)
      const ref = await node.spawn(adder, shared)
      for (let i = 0; i < count; ) {
        for (let j = 0; j < 1_000 && i < count; j++, i++) ref.send({ v: i })
        await loopTurn()
      }
      return (await shared.done.promise) === sumTo(count)
    })
  },

  async 'send-burst'() {
    const node = await openNode()
    return timed(1_000_000, async count => {
      const shared = tally(count)
      const ref = await node.spawn(adder, shared)
      for (let i = 0; i < count; i++) ref.send({ v: i })
      return (await shared.done.promise) === sumTo(count)
    })
  },

  async pingpong() {
    const node = await openNode()
    return timed(500_000, async count => {
      const shared = tally(count)
      const a = await node.spawn(pinger, shared)
      const b = await node.spawn(ponger)
      a.send({ from: b.pid, n: 0 })
      return (await shared.done.promise) === count
    })
  },

  'call-c1': () => calls(1),
  'call-c64': () => calls(64),

  async spawn() {
    const node = await openNode()
    const count = 200_000
    const before = heapBytes()
    const pids: Pid[] = new Array(count)
    const begin = performance.now()
    for (let i = 0; i < count; ) {
      const batch: Promise<ActorRef<typeof idle>>[] = []
      for (let j = 0; j < 1_000; j++) batch.push(node.spawn(idle))
      for (const ref of await Promise.all(batch)) pids[i++] = ref.pid
    }
    const rate = ratePerSecond(count, begin)
    const bytes = (heapBytes() - before) / count
    if (new Set(pids).size !== count) throw new Error('a wrong answer is no result')
    return { rate, bytes }
  },

  'ring-1000': () => ring(1_000),
  'ring-100000': () => ring(100_000),

  async 'fan-1000'() {
    const node = await openNode()
    const width = 1_000
    const fan = async (rounds: number): Promise<boolean> => {
      const shared = tally(width)
      const collector = await node.spawn(adder, shared)
      const workers = await Promise.all(
        Array.from({ length: width }, () => node.spawn(forwarder, collector.pid)),
      )
      for (let round = 0; round < rounds; round++) {
        for (const worker of workers) worker.send({ v: round })
        await shared.done.promise
        shared.left = width
        shared.done = defer()
      }
      return shared.sum === width * sumTo(rounds)
    }
    const { rate, cpuRate } = await timed(300, fan, { warmUp: 50 })
    return { rate: rate * width * 2, cpuRate: cpuRate * width * 2 }
  },

  async 'name-send'() {
    const node = await openNode()
    const names = Array.from({ length: 1_000 }, (_, i) => `proc:${i}`)
    const shared = tally(0)
    for (const name of names) await node.spawn(adder, shared, { name, scope: 'node' })
    return timed(1_000_000, async count => {
      shared.left = count
      shared.sum = 0
      shared.done = defer()
      for (let i = 0; i < count; i++) node.send(names[i % names.length] as string, { v: i })
      return (await shared.done.promise) === sumTo(count)
    })
  },
}

async function calls(concurrency: number): Promise<Speed> {
  const ref = await (await openNode()).spawn(server)
  return timed(
    300_000,
    async count => {
      let left = count
      let sum = 0
      const worker = async (): Promise<void> => {
        while (left-- > 0) {
          const answer = await ref.call('next', left)
          sum += answer
        }
      }
      await Promise.all(Array.from({ length: concurrency }, worker))
      return sum === (count * (count + 1)) / 2
    },
    CALLS,
  )
}

/** One message goes round through `size` actors, which are made first: `hopRate` is the rate without that. */
async function ring(size: number): Promise<Speed & { readonly hopRate: number }> {
  const node = await openNode()
  let hopRate = 0
  const round = async (hops: number): Promise<boolean> => {
    const shared = tally(hops)
    const last = await node.spawn(passer, { shared, next: undefined })
    let first = last
    for (let i = 1; i < size; i++) first = await node.spawn(passer, { shared, next: first.pid })
    last.send({ first: first.pid })
    await loopTurn()
    const begin = performance.now()
    first.send({ tok: 1 })
    const right = (await shared.done.promise) === 1
    hopRate = ratePerSecond(hops, begin)
    return right
  }
  return { ...(await timed(1_000_000, round, { warmUps: 1 })), hopRate }
}

await runWorkload(workloads)
