/**
 * What message passing inside one process can cost at the least: an actor is a function with a ring for a mailbox,
 * made with its first message; one run queue; one drain. No pids, checks, limits, links, timeouts or isolation. The
 * number that `local-*` is compared with, run in the same minute on the same machine.
 *
 *   send(actor, message) ─▶ mailbox ─▶ run queue ─▶ drain: 256 messages per actor and round, until all are idle
 *
 *   node --expose-gc bound-local.js WORKLOAD      prints {"rate": messages, calls or spawns per second, …}
 */
import {
  CALLS,
  defer,
  heapBytes,
  loopTurn,
  ratePerSecond,
  runWorkload,
  type Speed,
  timed,
  type Workloads,
} from './support.js'

const SLICE = 256

interface Queue {
  readonly length: number
  push(item: unknown): void
  shift(): unknown
}

/** A power-of-two ring that doubles when full and never shrinks. */
class Ring implements Queue {
  buffer: unknown[] = new Array(16)
  mask = 15
  head = 0
  tail = 0

  get length(): number {
    return (this.tail - this.head) & this.mask
  }

  push(item: unknown): void {
    this.buffer[this.tail] = item
    this.tail = (this.tail + 1) & this.mask
    if (this.tail === this.head) this.grow()
  }

  shift(): unknown {
    const item = this.buffer[this.head]
    this.buffer[this.head] = undefined
    this.head = (this.head + 1) & this.mask
    return item
  }

  grow(): void {
    const size = this.mask + 1
    const next: unknown[] = new Array(size * 2)
    for (let i = 0; i < size; i++) next[i] = this.buffer[(this.head + i) & this.mask]
    this.buffer = next
    this.mask = size * 2 - 1
    this.head = 0
    this.tail = size
  }
}

const CHUNK = 512

class Chunk {
  items: unknown[] = new Array(CHUNK)
  head = 0
  tail = 0
  next: Chunk | undefined = undefined
}

/** A linked list of fixed arrays: nothing is copied when a long queue grows. */
class Chunks implements Queue {
  first: Chunk | undefined = undefined
  last: Chunk | undefined = undefined
  length = 0

  push(item: unknown): void {
    let last = this.last
    if (last === undefined) {
      last = this.first = this.last = new Chunk()
    } else if (last.tail === CHUNK) {
      last = this.last = last.next = new Chunk()
    }
    last.items[last.tail++] = item
    this.length += 1
  }

  shift(): unknown {
    const first = this.first as Chunk
    const item = first.items[first.head]
    first.items[first.head++] = undefined
    this.length -= 1
    if (first.head === first.tail) this.leave(first)
    return item
  }

  leave(first: Chunk): void {
    if (first.next !== undefined) this.first = first.next
    else if (first.tail === CHUNK) this.first = this.last = undefined
    else first.head = first.tail = 0
  }
}

type Handler<M> = (message: M, self: Actor<M>) => void

class Actor<M> {
  readonly id: number
  handler: Handler<M>
  next: Actor<M> | undefined = undefined
  mailbox: Queue | undefined = undefined
  ready = false

  constructor(id: number, handler: Handler<M>) {
    this.id = id
    this.handler = handler
  }
}

class Bound {
  readonly #Box: new () => Queue
  readonly #kick: (drain: () => void) => void
  readonly #queue = new Ring()
  #scheduled = false
  #spawned = 0

  constructor(Box: new () => Queue, kick: (drain: () => void) => void) {
    this.#Box = Box
    this.#kick = kick
  }

  spawn<M>(handler: Handler<M>): Actor<M> {
    return new Actor(this.#spawned++, handler)
  }

  send<M>(actor: Actor<M>, message: M): void {
    if (actor.mailbox === undefined) actor.mailbox = new this.#Box()
    actor.mailbox.push(message)
    if (actor.ready) return
    actor.ready = true
    this.#queue.push(actor)
    if (this.#scheduled) return
    this.#scheduled = true
    this.#kick(this.#drain)
  }

  readonly #drain = (): void => {
    while (this.#queue.length > 0) {
      const actor = this.#queue.shift() as Actor<unknown>
      const mailbox = actor.mailbox as Queue
      for (let left = SLICE; mailbox.length > 0 && left > 0; left--) actor.handler(mailbox.shift(), actor)
      if (mailbox.length > 0) this.#queue.push(actor)
      else actor.ready = false
    }
    this.#scheduled = false
  }
}

const onImmediate = (Box: new () => Queue): Bound => new Bound(Box, drain => void setImmediate(drain))
const onMicrotask = (Box: new () => Queue): Bound => new Bound(Box, drain => queueMicrotask(drain))

interface Numbered {
  readonly v: number
}

/** An actor that adds up `count` messages and then says the sum. */
function adder(
  bound: Bound,
  count: number,
): { readonly actor: Actor<Numbered>; readonly sum: Promise<number> } {
  const done = defer<number>()
  let got = 0
  let sum = 0
  const actor = bound.spawn<Numbered>(message => {
    sum += message.v
    if (++got === count) done.resolve(sum)
  })
  return { actor, sum: done.promise }
}

const workloads: Workloads = {
  'send-chunk'() {
    const bound = onImmediate(Ring)
    return timed(1_000_000, async count => {
      const { actor, sum } = adder(bound, count)
      for (let i = 0; i < count; ) {
        for (let j = 0; j < 1_000 && i < count; j++, i++) bound.send(actor, { v: i })
        await loopTurn()
      }
      return (await sum) === (count * (count - 1)) / 2
    })
  },

  'send-burst'() {
    const bound = onImmediate(Chunks)
    return timed(1_000_000, async count => {
      const { actor, sum } = adder(bound, count)
      for (let i = 0; i < count; i++) bound.send(actor, { v: i })
      return (await sum) === (count * (count - 1)) / 2
    })
  },

  pingpong() {
    interface Ball {
      readonly from: Actor<Ball>
      readonly n: number
    }
    const bound = onMicrotask(Ring)
    return timed(500_000, async count => {
      const done = defer<number>()
      let got = 0
      const pinger = bound.spawn<Ball>((ball, self) => {
        if (++got > count) done.resolve(ball.n)
        else bound.send(ball.from, { from: self, n: ball.n + 1 })
      })
      const ponger = bound.spawn<Ball>((ball, self) => bound.send(ball.from, { from: self, n: ball.n }))
      bound.send(pinger, { from: ponger, n: 0 })
      return (await done.promise) === count
    })
  },

  'call-c1': () => calls(1),
  'call-c64': () => calls(64),

  async spawn() {
    const bound = onImmediate(Ring)
    const count = 1_000_000
    const before = heapBytes()
    const actors: Actor<number>[] = new Array(count)
    const table = new Map<number, Actor<number>>()
    let told = 0
    const handler = (message: number): void => {
      told += message
    }
    const begin = performance.now()
    for (let i = 0; i < count; i++) {
      const actor = bound.spawn(handler)
      actors[i] = actor
      table.set(actor.id, actor)
    }
    const rate = ratePerSecond(count, begin)
    const bytes = (heapBytes() - before) / count
    for (const actor of actors) bound.send(actor, 1)
    await loopTurn()
    if (told !== count || table.size !== count) throw new Error(`${told} of ${count} were there`)
    return { rate, bytes }
  },

  'ring-1000': () => ring(1_000),
  'ring-100000': () => ring(100_000),

  async 'fan-1000'() {
    const bound = onImmediate(Ring)
    const width = 1_000
    const fan = async (rounds: number): Promise<boolean> => {
      let got = 0
      let sum = 0
      let round = defer<void>()
      const collector = bound.spawn<Numbered>(message => {
        sum += message.v
        if (++got < width) return
        got = 0
        round.resolve()
      })
      const workers = Array.from({ length: width }, () =>
        bound.spawn<Numbered>(message => bound.send(collector, { v: message.v })),
      )
      for (let r = 0; r < rounds; r++) {
        for (const worker of workers) bound.send(worker, { v: r })
        await round.promise
        round = defer()
      }
      return sum === (width * rounds * (rounds - 1)) / 2
    }
    const { rate, cpuRate } = await timed(300, fan, { warmUp: 50 })
    return { rate: rate * width * 2, cpuRate: cpuRate * width * 2 }
  },

  'name-send'() {
    const bound = onImmediate(Ring)
    const names = Array.from({ length: 1_000 }, (_, i) => `proc:${i}`)
    const actors = new Map<string, Actor<Numbered>>()
    let got = 0
    let sum = 0
    let wanted = 0
    let done = defer<void>()
    for (const name of names) {
      const actor = bound.spawn<Numbered>(message => {
        sum += message.v
        if (++got === wanted) done.resolve()
      })
      actors.set(name, actor)
    }
    return timed(1_000_000, async count => {
      wanted = count
      got = sum = 0
      done = defer()
      for (let i = 0; i < count; i++) {
        bound.send(actors.get(names[i % names.length] as string) as Actor<Numbered>, { v: i })
      }
      await done.promise
      return sum === (count * (count - 1)) / 2
    })
  },
}

/** Calls with a table of who waits: the reply is a message to the caller's own mailbox, which settles a promise. */
function calls(concurrency: number): Promise<Speed> {
  interface Asked {
    readonly from: Actor<Answer>
    readonly ref: number
    readonly v: number
  }
  interface Answer {
    readonly ref: number
    readonly v: number
  }
  const bound = onMicrotask(Ring)
  const waiting = new Map<number, (v: number) => void>()
  let refs = 0
  const client = bound.spawn<Answer>(answer => {
    const settle = waiting.get(answer.ref) as (v: number) => void
    waiting.delete(answer.ref)
    settle(answer.v)
  })
  const server = bound.spawn<Asked>(asked => bound.send(asked.from, { ref: asked.ref, v: asked.v + 1 }))
  const call = (v: number): Promise<number> =>
    new Promise(resolve => {
      const ref = refs++
      waiting.set(ref, resolve)
      bound.send(server, { from: client, ref, v })
    })
  return timed(
    300_000,
    async count => {
      let left = count
      let sum = 0
      const worker = async (): Promise<void> => {
        while (left-- > 0) {
          const answer = await call(left)
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
  interface Token {
    readonly tok: number
  }
  const bound = onImmediate(Ring)
  let hopRate = 0
  const round = async (hops: number): Promise<boolean> => {
    const done = defer<number>()
    let left = hops
    const pass = (token: Token, self: Actor<Token>): void => {
      if (--left <= 0) done.resolve(token.tok)
      else bound.send(self.next as Actor<Token>, token)
    }
    const actors = Array.from({ length: size }, () => bound.spawn(pass))
    for (let i = 0; i < size; i++) (actors[i] as Actor<Token>).next = actors[(i + 1) % size]
    const begin = performance.now()
    bound.send(actors[0] as Actor<Token>, { tok: 1 })
    const right = (await done.promise) === 1
    hopRate = ratePerSecond(hops, begin)
    return right
  }
  return { ...(await timed(1_000_000, round, { warmUps: 1 })), hopRate }
}

await runWorkload(workloads)
