/**
 * One node of a lab, driven over IPC: `{ id, op, … }` in, `{ id, value }` or `{ id, error }` out. It holds a named sink,
 * streams numbered messages to the sinks of others, and watches them.
 */
import { type ActorRef, createNode, defineActor, type Node, type Pid } from '../../lib/index.js'

/** What a sink is sent: `session` counts the sessions that the sender has had with this node. */
export interface Numbered {
  readonly from: string
  /** Each life of a node counts from 1. */
  readonly life: string
  readonly seq: number
  readonly session: number
}

/** What became of one stream. `broken` says each time that order did not hold. */
export interface Stream {
  last: Numbered
  received: number
  readonly broken: string[]
}

export interface Down {
  readonly watched: string
  readonly pid: string
  readonly reason: unknown
}

export const sink = defineActor('sink', {
  init: () => ({ streams: new Map<string, Stream>() }),
  calls: { streams: state => [...state.streams.entries()] },
  casts: {
    number: ({ streams }, message: Numbered) => {
      const stream = streams.get(message.from)
      if (stream === undefined || stream.last.life !== message.life) {
        streams.set(message.from, { last: message, received: 1, broken: [] })
        return
      }
      const { last } = stream
      // a session that ends may lose the end of a stream, never a part of its middle
      if (message.seq <= last.seq || (message.session === last.session && message.seq !== last.seq + 1)) {
        stream.broken.push(
          `${message.seq} (session ${message.session}) after ${last.seq} (session ${last.session})`,
        )
      }
      stream.last = message
      stream.received += 1
    },
  },
})

const STREAM_EVERY_MS = 10

let node: Node | undefined
const sessions = new Map<string, number>()
const downs: Down[] = []
const events: string[] = []

const running = (): Node => {
  if (node === undefined) throw new Error('not started')
  return node
}

const sinkOf = (name: string): ActorRef<typeof sink> => {
  const ref = running().whereis(`sink-${name}`, sink)
  if (ref === undefined) throw new Error(`no sink-${name} here`)
  return ref
}

const ops = {
  async start({ name, listen, seeds }: { name: string; listen: string; seeds: string[] }): Promise<string> {
    node = await createNode({
      name,
      listen,
      seeds,
      secret: 'a secret of the lab, long enough',
      insecure: true,
      actors: [sink],
      logger: false,
    })
    node.on('nodeup', ({ node: peer }) => void sessions.set(peer, (sessions.get(peer) ?? 0) + 1))
    for (const event of [
      'nodeup',
      'nodedown',
      'member:up',
      'member:suspect',
      'member:down',
      'name:conflict',
      'crash',
    ] as const) {
      node.on(event, (told: object) => void events.push(`${event} ${JSON.stringify(told)}`))
    }
    const ref = await node.spawn(sink, undefined, { name: `sink-${name}`, timeoutMs: 15_000 })
    return String(ref.pid)
  },
  /** Streams to the sink of another node, and watches it. */
  async attach({ to }: { to: string }): Promise<string> {
    const ref = sinkOf(to)
    running().run(async self => {
      self.sendEvery(STREAM_EVERY_MS, self.self, 'tick')
      for (let seq = 1; ; seq++) {
        await self.receive(message => message === 'tick')
        self.cast(ref, 'number', {
          from: running().name,
          life: String(self.self),
          seq,
          session: sessions.get(to) ?? 0,
        })
      }
    })
    return watch(to, ref.pid)
  },
  /** Watches the process that the name means now, again. */
  async watch({ to }: { to: string }): Promise<string> {
    return watch(to, sinkOf(to).pid)
  },
  /** Takes a name here; says what came of it. */
  async take({ name }: { name: string }): Promise<string> {
    return String((await running().spawn(sink, undefined, { name })).pid)
  },
  async names(): Promise<string[]> {
    return running()
      .names()
      .map(({ name, pid, state }) => `${name} ${pid} ${state}`)
      .sort()
  },
  async members(): Promise<string[]> {
    return running()
      .members()
      .members.map(member => `${member.name} ${member.state}`)
  },
  async nodes(): Promise<readonly string[]> {
    return running().nodes()
  },
  async streams(): Promise<[string, Stream][]> {
    return sinkOf(running().name).call('streams')
  },
  async downs(): Promise<Down[]> {
    return downs
  },
  async events(): Promise<string[]> {
    return events
  },
}

async function watch(watched: string, pid: Pid): Promise<string> {
  const placed = new Promise<void>(resolve => {
    running().run(async self => {
      self.monitor(pid)
      resolve()
      for (;;) {
        const message = (await self.receive()) as { readonly reason: unknown }
        downs.push({ watched, pid: String(pid), reason: message.reason })
      }
    })
  })
  await placed
  return String(pid)
}

interface Question {
  readonly id: number
  readonly op: keyof typeof ops
}

async function answer({ id, op, ...args }: Question): Promise<void> {
  try {
    const run = ops[op] as (args: object) => Promise<unknown>
    process.send?.({ id, value: await run(args) })
  } catch (error) {
    process.send?.({ id, error: error instanceof Error ? `${error.stack}` : String(error) })
  }
}

process.on('message', question => void answer(question as Question))
process.on('disconnect', () => process.exit())
process.send?.({ id: 0 })
