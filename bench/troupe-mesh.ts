/**
 * A cluster of real processes on loopback, each with one node, told what to do by this one over its pipe. Moments are
 * readings of the one monotonic clock of the machine.
 *
 *   driver ──go──► all but the first ──► createNode({ seeds: [first] }) ──► each says when it knows all
 *
 *   node troupe-mesh.js WORKLOAD SIZE      prints {"ms": …} or {"us": …}
 */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { createNode, defineActor, type Node, type NodeOptions } from '../lib/index.js'
import { sortedAt } from './support.js'

const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6
const self = fileURLToPath(import.meta.url)
const JOINS = 200
/** How long a cluster at rest is watched. */
const IDLE_MS = 20_000
const NAMES = 200

interface Order {
  readonly do: 'start' | 'join' | 'register' | 'count'
  readonly options?: NodeOptions | undefined
  readonly size?: number | undefined
}

interface Said {
  readonly what: string
  readonly atMs: number
  readonly text?: string | undefined
  readonly us?: number | undefined
  readonly bytes?: number | undefined
}

// In each process of the cluster.

/** Tells `to` of each join that it hears of. */
const watcher = defineActor('watcher', {
  init: (_: undefined, ctx) => {
    ctx.groups().monitor('team')
    ctx.groups().join('watchers')
    return {}
  },
  info(_state, signal, ctx) {
    if (signal.type === 'group' && signal.event === 'join')
      for (const pid of signal.pids) ctx.send(pid, 'seen')
  },
})

async function serve(): Promise<void> {
  let node: Node | undefined
  const say = (what: string, more: Partial<Said> = {}): void => {
    process.send?.({ what, atMs: nowMs(), ...more })
  }
  const start = async ({ options, size = 0 }: Order): Promise<void> => {
    node = await createNode({ ...options, actors: [watcher], logger: false })
    const { address } = node
    say('listening', { text: `${address?.host}:${address?.port}` })
    const look = (): void => {
      if (node?.members().members.length === size) say('complete')
    }
    node.on('member:up', look)
    node.on('nodedown', () => say('nodedown'))
    node.on('member:down', () => say('down'))
    look()
    await node.spawn(watcher, undefined)
    say('ready')
  }
  process.on('message', (order: Order) => {
    if (order.do === 'start') void start(order)
    else if (node === undefined) throw new Error('expected to be started first')
    else if (order.do === 'join') joins(node, order.size ?? 0, us => say('joined', { us }))
    else if (order.do === 'count') say('counted', { bytes: node.stats().counters['mesh.sentBytes'] ?? 0 })
    else if (order.do === 'register') void registers(node).then(us => say('registered', { us }))
  })
  process.on('disconnect', () => process.exit(0))
  say('up')
}

/** How long until the watchers of all other nodes have answered a join, the median in µs. */
function joins(node: Node, size: number, done: (us: number) => void): void {
  node.run(async self => {
    const took: number[] = []
    self.groups().monitor('watchers')
    while (self.groups().members('watchers').length < size) await self.receive()
    for (let i = 0; i < JOINS; i++) {
      const begin = performance.now()
      self.groups().join('team')
      for (let seen = 0; seen < size; seen++) await self.receive(message => message === 'seen')
      took.push((performance.now() - begin) * 1_000)
      self.groups().leave('team')
    }
    done(sortedAt(took, 0.5))
  })
}

async function registers(node: Node): Promise<number> {
  const took: number[] = []
  for (let i = 0; i < NAMES; i++) {
    const pid = node.run(self => self.receive())
    const begin = performance.now()
    await node.register(`name-${i}`, pid)
    took.push((performance.now() - begin) * 1_000)
  }
  return sortedAt(took, 0.5)
}

// In the driver.

class Cluster {
  readonly children: ChildProcess[]
  readonly said: (Said & { readonly by: number })[] = []
  #changed: () => void = () => {}

  constructor(size: number) {
    this.children = Array.from({ length: size }, () => fork(self, ['serve']))
    for (const [by, child] of this.children.entries()) {
      child.on('message', (said: Said) => {
        this.said.push({ ...said, by })
        this.#changed()
      })
    }
  }

  get size(): number {
    return this.children.length
  }

  tell(to: number, order: Order): void {
    this.children[to]?.send(order)
  }

  /** Until so many have said it; the moment of the last. */
  async all(what: string, count = this.size): Promise<number> {
    for (;;) {
      const those = this.said.filter(said => said.what === what)
      if (those.length >= count) return Math.max(...those.map(({ atMs }) => atMs))
      await new Promise<void>(resolve => {
        this.#changed = resolve
      })
    }
  }

  /** All are up and know nobody but the first. Returns when they were told. */
  async form(): Promise<number> {
    await this.all('up')
    const size = this.size
    this.tell(0, { do: 'start', size, options: { name: 'n0', listen: '127.0.0.1:0' } })
    await this.all('ready', 1)
    const seeds = this.said.flatMap(({ text }) => (text === undefined ? [] : [text]))
    const goMs = nowMs()
    for (let i = 1; i < size; i++) this.tell(i, { do: 'start', size, options: { name: `n${i}`, seeds } })
    return goMs
  }

  async formed(): Promise<number> {
    const goMs = await this.form()
    const ms = (await this.all('complete')) - goMs
    await this.all('ready')
    return ms
  }
}

const workloads: Readonly<Record<string, (cluster: Cluster) => Promise<object>>> = {
  form: async cluster => ({ ms: await cluster.formed() }),

  async kill(cluster) {
    await cluster.formed()
    const beginMs = nowMs()
    cluster.children.at(-1)?.kill('SIGKILL')
    const ms = (await cluster.all('nodedown', cluster.size - 1)) - beginMs
    return { ms, downMs: (await cluster.all('down', cluster.size - 1)) - beginMs }
  },

  async stop(cluster) {
    await cluster.formed()
    const beginMs = nowMs()
    cluster.children.at(-1)?.kill('SIGSTOP')
    const ms = (await cluster.all('down', cluster.size - 1)) - beginMs
    cluster.children.at(-1)?.kill('SIGKILL')
    return { ms }
  },

  /** Of all nodes, between two counts. */
  async gossip(cluster) {
    await cluster.formed()
    const count = async (times: number): Promise<number> => {
      for (let i = 0; i < cluster.size; i++) cluster.tell(i, { do: 'count' })
      await cluster.all('counted', times * cluster.size)
      const counted = cluster.said.filter(({ what }) => what === 'counted').slice(-cluster.size)
      return counted.reduce((sum, { bytes }) => sum + (bytes ?? 0), 0)
    }
    await new Promise(resolve => setTimeout(resolve, IDLE_MS / 4))
    const before = await count(1)
    await new Promise(resolve => setTimeout(resolve, IDLE_MS))
    return { B: ((await count(2)) - before) / cluster.size / (IDLE_MS / 1_000) }
  },

  async join(cluster) {
    await cluster.formed()
    cluster.tell(0, { do: 'join', size: cluster.size })
    await cluster.all('joined', 1)
    return { us: cluster.said.at(-1)?.us }
  },

  async register(cluster) {
    await cluster.formed()
    cluster.tell(0, { do: 'register' })
    await cluster.all('registered', 1)
    return { us: cluster.said.at(-1)?.us }
  },
}

const [workload = '', size = '3'] = process.argv.slice(2)
if (workload === 'serve') await serve()
else {
  const run = Object.hasOwn(workloads, workload) ? workloads[workload] : undefined
  if (run === undefined)
    throw new TypeError(`expected one of ${Object.keys(workloads).join(', ')}, got ${workload}`)
  const cluster = new Cluster(Number(size))
  console.log(JSON.stringify(await run(cluster)))
  for (const child of cluster.children) child.kill('SIGKILL')
  process.exit(0)
}
