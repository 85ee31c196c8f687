/**
 * A node of the attack test in a process of its own, driven over IPC: `{ id, op, … }` in, `{ id, value }` or
 * `{ id, error }` out. Whatever would have ended the process, or went wrong without being anybody's, is a problem.
 */
import { type ActorRef, createNode, defineActor, type Node, TroupeError } from '../../lib/index.js'

/** What the healthy peer calls. */
const echo = defineActor('echo', { init: () => ({}), calls: { echo: (_, payload: number) => payload } })

/** What the attacker may aim at. */
const prey = defineActor('prey', { init: () => ({}), calls: { look: () => 1 }, casts: { bump: () => {} } })

const PING_EVERY_MS = 4

let node: Node | undefined
let latencies: number[] = []
let failures: string[] = []
let hunted: ActorRef<typeof prey> | undefined
let pinging = false
const problems: string[] = []
const downs: string[] = []

const problem = (what: string) => (error: unknown) => {
  problems.push(`${what}: ${error instanceof Error ? error.stack : String(error)}`)
}
process.on('uncaughtException', problem('uncaught'))
process.on('unhandledRejection', problem('unhandled rejection'))

/** Warnings are how an attack is expected to show; a listener that failed is a bug of ours. */
const note = (line: string): void => {
  if (line.includes('listener') && problems.length < 20) problems.push(line)
}
const logger = { debug: () => {}, info: () => {}, warn: note, error: note }

const running = (): Node => {
  if (node === undefined) throw new Error('not started')
  return node
}
const settle = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))

async function ping(on: string): Promise<void> {
  let ref = await running().spawn(echo, undefined, { on })
  for (let i = 0; pinging; i++) {
    const sent = performance.now()
    try {
      if ((await ref.call('echo', i, { timeoutMs: 2_000 })) !== i) failures.push('another echo came back')
      latencies.push(performance.now() - sent)
    } catch (error) {
      // Members may end processes; whoever ends this one with a guessed pid has done what a member may.
      if (!TroupeError.is(error, 'ERR_NOPROC') && !TroupeError.is(error, 'ERR_DEAD'))
        failures.push(String(error))
      ref = await running().spawn(echo, undefined, { on })
    }
    await settle(PING_EVERY_MS)
  }
}

const ops = {
  async start({ name, seeds, secret }: { name: string; seeds: string[]; secret: string }): Promise<object> {
    node = await createNode({
      ...{ name, seeds, secret, logger },
      listen: '127.0.0.1:0',
      actors: [echo, prey],
    })
    for (const event of ['member:down', 'member:left', 'member:suspect'] as const) {
      node.on(event, ({ member }) => void downs.push(`${event} ${member.name}`))
    }
    return { port: node.address?.port }
  },
  /** The serial of a live prey. */
  async prey(): Promise<number> {
    if (hunted === undefined || !running().isAlive(hunted.pid)) hunted = await running().spawn(prey)
    return hunted.pid.serial
  },
  /** Honest work, so that what is compared is a node in use. */
  async work({ on }: { on: string }): Promise<void> {
    const ref = await running().spawn(echo, undefined, { on })
    for (let i = 0; i < 300; i++) {
      await Promise.all(Array.from({ length: 100 }, (_, j) => ref.call('echo', j)))
    }
  },
  async ping({ on }: { on: string }): Promise<void> {
    pinging = true
    void ping(on).catch(problem('pinging'))
  },
  async pinged(): Promise<object> {
    pinging = false
    const taken = { latencies, failures }
    latencies = []
    failures = []
    return taken
  },
  async rss(): Promise<NodeJS.MemoryUsage> {
    for (let i = 0; i < 4; i++) {
      globalThis.gc?.()
      await settle(20)
    }
    return process.memoryUsage()
  },
  async report(): Promise<object> {
    const members = running()
      .members()
      .members.map(({ name, state }) => `${name} ${state}`)
    return { counters: running().stats().counters, downs, problems, members, polluted: 'polluted' in {} }
  },
  async stop(): Promise<void> {
    await node?.stop({ drainMs: 0 })
  },
}

process.on('message', async ({ id, op, ...args }: { id: number; op: keyof typeof ops }) => {
  try {
    const run = ops[op] as (args: object) => Promise<unknown>
    process.send?.({ id, value: await run(args) })
  } catch (error) {
    process.send?.({ id, error: String(error) })
  }
})
process.on('disconnect', () => process.exit(0))
process.send?.({ id: 0 })
