/**
 * One node of a lab, driven over IPC: `{ id, op, … }` in, `{ id, value }` or `{ id, error }` out, and between them
 * `{ entry }` for every line of its history. It holds a named sink; for each other sink it streams numbered messages
 * to it, watches it and calls it, and takes all that up again when the other comes back.
 */
import {
  type ActorRef,
  createNode,
  defineActor,
  isSignal,
  type Node,
  type Self,
  TroupeError,
} from '../../lib/index.js'
import type { Entry } from './history.js'

/** One number of a stream. `life` names the sending process: each counts from 1. */
interface Numbered {
  readonly from: string
  readonly life: string
  readonly seq: number
}

interface Stream {
  life: string
  last: number
  at: number
  received: number
  /** Numbers that were missing. */
  missed: number
}

export interface Load {
  /** Between two messages to one peer, and between two calls of it. */
  readonly streamEveryMs: number
  readonly callEveryMs: number
}

export interface Facts {
  readonly rssMiB: number
  readonly heapMiB: number
  readonly sockets: number
  readonly calls: number
  readonly callP50Ms: number
  readonly callP99Ms: number
  readonly counters: Readonly<Record<string, number>>
}

/** Of one monotonic clock for all processes of the machine. */
const now = (): number => Number(process.hrtime.bigint() / 1_000n) / 1_000

function tell(entry: Entry): void {
  process.send?.({ entry })
}

const broken = (text: string): void => tell({ type: 'broken', at: now(), text })

/** Takes numbers, and says where they do not follow one another. */
const sink = defineActor('sink', {
  init: () => ({ streams: new Map<string, Stream>(), earlier: new Set<string>() }),
  calls: {
    echo: (_state, value: number) => value,
    streams: state => [...state.streams.entries()],
    take: (_state, bytes: Uint8Array) => bytes.length,
  },
  casts: {
    flood: (_state, _bytes: Uint8Array) => undefined,
    block: (_state, ms: number) => {
      for (const until = now() + ms; now() < until; );
    },
    number: (state, { from, life, seq }: Numbered) => {
      const at = now()
      const stream = state.streams.get(from)
      if (stream === undefined || stream.life !== life) {
        if (state.earlier.has(life)) broken(`a message of an earlier life of ${from}: ${life}, ${seq}`)
        if (stream !== undefined) state.earlier.add(stream.life)
        const missed = stream?.missed ?? 0
        state.streams.set(from, { life, last: seq, at, received: (stream?.received ?? 0) + 1, missed })
        return
      }
      if (seq <= stream.last) broken(`${seq} of ${from} came after ${stream.last}`)
      else if (seq !== stream.last + 1) {
        tell({ type: 'gap', at, since: stream.at, from, last: stream.last, next: seq })
        stream.missed += seq - stream.last - 1
      }
      stream.last = seq
      stream.at = at
      stream.received += 1
    },
  },
})

/** Holds a name, and nothing else. */
const holder = defineActor('holder', { init: () => ({}) })

const CALL_TIMEOUT_MS = 5_000
const LOOK_AGAIN_MS = 100
const CLAIMED = ['contested-1', 'contested-2', 'contested-3']
/** Why a name cannot be had now, and perhaps later. */
const AGAIN = ['ERR_UNAVAILABLE', 'ERR_ALREADY_STARTED', 'ERR_TIMEOUT', 'ERR_START']
const LATENCIES_MAX = 100_000

let node: Node | undefined
let quiet = false
let claiming = false
let watches = 0
let latencies: number[] = []

const running = (): Node => {
  if (node === undefined) throw new Error('not started')
  return node
}

const sinkOf = (peer: string): ActorRef<typeof sink> => {
  const ref = running().whereis(`sink-${peer}`, sink)
  if (ref === undefined) throw new Error(`no sink-${peer} here`)
  return ref
}

/** The sink of a peer with which there is a session now. */
const reachable = (peer: string): ActorRef<typeof sink> | undefined =>
  running()
    .nodes()
    .includes(peer as never)
    ? running().whereis(`sink-${peer}`, sink)
    : undefined

/** Lets `ms` pass in a process that gets no other mail. */
async function rest(self: Self, ms: number): Promise<void> {
  self.sendAfter(ms, self.self, 'rested')
  await self.receive(message => message === 'rested')
}

/** Numbers go out only when they are accepted: a full queue makes the stream slower, not thinner. */
async function stream(self: Self, peer: string, everyMs: number): Promise<void> {
  self.sendEvery(everyMs, self.self, 'tick')
  for (let seq = 1; !quiet; ) {
    await self.receive(message => message === 'tick')
    const ref = running().whereis(`sink-${peer}`, sink)
    const number = { from: running().name, life: String(self.self), seq }
    if (ref !== undefined && self.cast(ref, 'number', number) !== 'full') seq += 1
  }
}

async function watch(self: Self, peer: string): Promise<void> {
  while (!quiet) {
    const ref = reachable(peer)
    if (ref !== undefined) {
      const id = ++watches
      tell({ type: 'watch', at: now(), id, peer, pid: String(ref.pid) })
      const monitor = self.monitor(ref.pid)
      for (let fired = false; !fired; ) {
        const message = await self.receive()
        if (!isSignal(message) || message.type !== 'down') continue
        fired = message.ref === monitor
        if (fired) tell({ type: 'down', at: now(), id, reason: reasonOf(message.reason) })
        else broken(`a down signal of a monitor that fired before: ${String(message.ref)}`)
      }
    }
    await rest(self, LOOK_AGAIN_MS)
  }
}

const reasonOf = (reason: unknown): string => (typeof reason === 'string' ? reason : JSON.stringify(reason))

async function call(self: Self, peer: string, everyMs: number): Promise<void> {
  for (let value = 1; !quiet; value++) {
    await rest(self, everyMs)
    const ref = reachable(peer)
    if (ref === undefined) continue
    const begun = now()
    try {
      const echoed = await self.call(ref, 'echo', value, { timeoutMs: CALL_TIMEOUT_MS })
      if (echoed !== value) broken(`${peer} answered ${echoed} to ${value}`)
      if (latencies.length < LATENCIES_MAX) latencies.push(now() - begun)
    } catch (error) {
      const code = error instanceof TroupeError ? error.code : String(error)
      tell({ type: 'unanswered', at: now(), to: peer, code, ms: now() - begun })
    }
  }
}

/** Takes the names that all want, one after the other, keeps each for a while and ends. */
async function claim(self: Self): Promise<void> {
  for (let round = 0; claiming; round++) {
    const name = CLAIMED[round % CLAIMED.length]!
    try {
      const ref = await running().spawn(holder, undefined, { name, timeoutMs: 2_000 })
      await rest(self, 400)
      await ref.stop().catch(() => undefined) // a conflict may have ended it meanwhile
    } catch (error) {
      if (!(error instanceof TroupeError)) throw error
    }
    await rest(self, 150)
  }
}

const EVENTS = ['member:up', 'member:suspect', 'member:down', 'member:left', 'member:updated'] as const

function record(of: Node): void {
  const event = (name: string, peer: string, why = ''): void =>
    tell({ type: 'event', at: now(), event: name, peer, why })
  of.on('nodeup', ({ node: peer }) => event('nodeup', peer))
  of.on('nodedown', ({ node: peer, reason }) => event('nodedown', peer, reason))
  for (const name of EVENTS) {
    of.on(name, (told: { member: { name: string; incarnation: number }; reason?: string }) =>
      event(name, told.member.name, told.reason ?? `incarnation ${told.member.incarnation}`),
    )
  }
  of.on(
    'name:registered',
    ({ name, pid }) => name.startsWith('sink-') && event('name:registered', name, String(pid)),
  )
  of.on('name:released', ({ name }) => name.startsWith('sink-') && event('name:released', name))
  of.on('name:conflict', ({ name, winner }) => event('name:conflict', name, String(winner)))
  of.on('crash', report => event('crash', String(report.pid), reasonOf(report.reason)))
  of.on('process:overrun', ({ name, ms }) => event('process:overrun', name ?? '', `${ms}`))
}

/** Again and again: its last life may still hold the name, or a cut keep it from those who would grant it. */
async function spawnSink(of: Node): Promise<ActorRef<typeof sink>> {
  for (;;) {
    try {
      return await of.spawn(sink, undefined, { name: `sink-${of.name}` })
    } catch (error) {
      if (!(error instanceof TroupeError) || !AGAIN.includes(error.code)) throw error
      await new Promise(resolve => setTimeout(resolve, LOOK_AGAIN_MS))
    }
  }
}

const ops = {
  async start({
    name,
    listen,
    seeds,
    peers,
    load,
  }: {
    name: string
    listen: string
    seeds: string[]
    peers: string[]
    load: Load
  }): Promise<string> {
    node = await createNode({
      name,
      listen,
      seeds,
      secret: 'a secret of the lab, long enough',
      insecure: true,
      actors: [sink, holder],
      logger: false,
    })
    record(node)
    tell({ type: 'event', at: now(), event: 'created', peer: name, why: '' })
    // sessions that were there before anybody could listen
    for (const peer of node.nodes())
      tell({ type: 'event', at: now(), event: 'nodeup', peer, why: 'at the start' })
    for (const { name: peer } of node.members().members) {
      if (peer !== name) tell({ type: 'event', at: now(), event: 'member:up', peer, why: 'at the start' })
    }
    const ref = await spawnSink(node)
    tell({ type: 'event', at: now(), event: 'started', peer: name, why: String(ref.pid) })
    for (const peer of peers) {
      node.run(self => stream(self, peer, load.streamEveryMs))
      node.run(self => watch(self, peer))
      node.run(self => call(self, peer, load.callEveryMs))
    }
    return String(ref.pid)
  },
  /** Takes a name here; says which process has it. */
  async take({ name }: { name: string }): Promise<string> {
    return String((await running().spawn(holder, undefined, { name })).pid)
  },
  /** Ends who holds a name, if that is a process of this node. */
  async give({ name }: { name: string }): Promise<void> {
    const ref = running().whereis(name, holder)
    if (ref?.pid.node === running().name) await ref.stop()
  },
  async view(): Promise<{ nodes: readonly string[]; members: string[]; names: string[] }> {
    const names = running().names()
    return {
      nodes: running().nodes(),
      members: running()
        .members()
        .members.map(member => `${member.name} ${member.state}`),
      names: names
        .filter(({ name }) => !CLAIMED.includes(name) || !claiming)
        .map(({ name, pid, state }) => `${name} ${pid} ${state}`)
        .sort(),
    }
  },
  async streams(): Promise<[string, Stream][]> {
    return sinkOf(running().name).call('streams', undefined, { timeoutMs: 20_000 })
  },
  /** Of this node and nobody else, at this moment. */
  async facts(): Promise<Facts> {
    globalThis.gc?.()
    const sorted = latencies.sort((a, b) => a - b)
    const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? 0
    const { rss, heapUsed } = process.memoryUsage()
    const facts = {
      rssMiB: rss / 1_048_576,
      heapMiB: heapUsed / 1_048_576,
      sockets: process.getActiveResourcesInfo().filter(kind => kind.startsWith('TCP')).length,
      calls: sorted.length,
      callP50Ms: at(0.5),
      callP99Ms: at(0.99),
      counters: running().stats().counters,
    }
    latencies = []
    return facts
  },
  async history(): Promise<void> {},
  /** The sink here lets nothing else run for so long. */
  async block({ ms }: { ms: number }): Promise<void> {
    sinkOf(running().name).cast('block', ms)
  },
  /** Keeps this share of a core busy until it is told 0. */
  async burn({ share }: { share: number }): Promise<void> {
    burning = share
    if (share > 0) burn()
  },
  /** Sends so many bytes in one message, and waits until the peer has them. */
  async transfer({
    to,
    bytes,
    timeoutMs,
  }: {
    to: string
    bytes: number
    timeoutMs: number
  }): Promise<number> {
    const begun = now()
    await sinkOf(to).call('take', new Uint8Array(bytes), { timeoutMs })
    return now() - begun
  },
  /** Sends 1 KiB again and again, as fast as the queue takes it, whatever it says; tells what it said. */
  async flood({
    to,
    ms,
  }: {
    to: string
    ms: number
  }): Promise<{ sent: number; busyMs: number; fullMs: number; rssMiB: number }> {
    const ref = sinkOf(to)
    const bytes = new Uint8Array(1_024)
    const begun = now()
    const seen = { sent: 0, busyMs: -1, fullMs: -1, rssMiB: 0 }
    while (
      now() < begun + ms &&
      running()
        .nodes()
        .includes(to as never)
    ) {
      for (let i = 0; i < 200; i++) {
        const said = ref.cast('flood', bytes)
        seen.sent += 1
        if (said === 'busy' && seen.busyMs < 0) seen.busyMs = now() - begun
        if (said === 'full' && seen.fullMs < 0) seen.fullMs = now() - begun
      }
      seen.rssMiB = Math.max(seen.rssMiB, process.memoryUsage.rss() / 1_048_576)
      await new Promise(resolve => setTimeout(resolve, 2))
    }
    return seen
  },
  /** Goes on taking names that others want, too, until it is told to end. */
  async claim({ on }: { on: boolean }): Promise<void> {
    if (on && !claiming) running().run(claim)
    claiming = on
  },
  /** One call of each peer; those that did not answer. */
  async probe({ peers }: { peers: string[] }): Promise<string[]> {
    const calls = peers.map(async peer => {
      try {
        await sinkOf(peer).call('echo', 0)
        return []
      } catch (error) {
        return [`${peer}: ${String(error)}`]
      }
    })
    return (await Promise.all(calls)).flat()
  },
  async stop({ drainMs }: { drainMs: number }): Promise<number> {
    const begun = now()
    quiet = true
    await running().stop({ drainMs })
    return now() - begun
  },
}

let burning = 0
function burn(): void {
  const periodMs = 100
  for (const until = now() + periodMs * burning; now() < until; );
  if (burning > 0) setTimeout(burn, periodMs * (1 - burning))
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

process.on('uncaughtException', error => broken(`uncaught: ${error.stack}`))
process.on('unhandledRejection', error =>
  broken(`unhandled: ${error instanceof Error ? error.stack : String(error)}`),
)
process.on('message', question => void answer(question as Question))
process.on('disconnect', () => process.exit())
process.send?.({ id: 0 })
