/**
 * What supervision can cost at the least: an actor is an object with a handler and a lazily made list of mail; a
 * supervisor is an actor that is told of the death of its children and makes a new one in the same place. No pids,
 * links, monitors, intensities, deadlines or reports. The number that `supervision-*` is compared with.
 *
 *   child throws ─▶ drain catches ─▶ mail to the supervisor ─▶ a new child in its place
 *
 *   node --expose-gc bound-supervision.js WORKLOAD      prints {"rate": starts or restarts per second, …}
 */
import { type Figures, heapBytes, ratePerSecond, runWorkload, sortedAt, type Workloads } from './support.js'

type Handler = (message: Mail) => void

interface Mail {
  /** Resolved with the answer; without it the message is a crash. */
  readonly ask?: ((answer: number) => void) | undefined
  /** For a supervisor: whose place is empty, or undefined for a further child. */
  readonly dead?: Actor | undefined
}

class Actor {
  readonly handler: Handler
  readonly parent: Actor | undefined
  mailbox: Mail[] | undefined = undefined
  ready = false

  constructor(handler: Handler, parent: Actor | undefined) {
    this.handler = handler
    this.parent = parent
  }
}

class Bound {
  #queue: Actor[] = []
  #scheduled = false

  send(to: Actor, message: Mail): void {
    if (to.mailbox === undefined) to.mailbox = []
    to.mailbox.push(message)
    if (to.ready) return
    to.ready = true
    this.#queue.push(to)
    if (this.#scheduled) return
    this.#scheduled = true
    queueMicrotask(this.#drain)
  }

  readonly #drain = (): void => {
    for (let queue = this.#queue; queue.length > 0; queue = this.#queue) {
      this.#queue = []
      for (const actor of queue) this.#run(actor)
    }
    this.#scheduled = false
  }

  #run(actor: Actor): void {
    const mail = actor.mailbox ?? []
    actor.mailbox = undefined
    actor.ready = false
    for (const message of mail) {
      try {
        actor.handler(message)
      } catch {
        if (actor.parent !== undefined) this.send(actor.parent, { dead: actor })
        return
      }
    }
  }
}

/** A supervisor of children that answer what they are asked, and crash otherwise. */
class Family {
  readonly bound = new Bound()
  readonly children = new Map<Actor, number>()
  readonly places: Actor[] = []
  /** Told of each restart. */
  restarted: (place: number) => void = () => {}
  readonly supervisor = new Actor(({ dead, ask }) => {
    const place = dead === undefined ? this.places.length : (this.children.get(dead) as number)
    if (dead !== undefined) this.children.delete(dead)
    const child = new Actor(this.#child, this.supervisor)
    this.children.set(child, place)
    this.places[place] = child
    if (ask === undefined) this.restarted(place)
    else ask(place)
  }, undefined)

  readonly #child = ({ ask }: Mail): void => {
    if (ask === undefined) throw new Error('boom')
    ask(1)
  }

  start(): Promise<number> {
    return new Promise(ask => this.bound.send(this.supervisor, { ask }))
  }

  call(place: number): Promise<number> {
    return new Promise(ask => this.bound.send(this.places[place] as Actor, { ask }))
  }

  crash(place: number): void {
    this.bound.send(this.places[place] as Actor, {})
  }
}

const workloads: Workloads = {
  async start() {
    const family = new Family()
    const count = 100_000
    const before = heapBytes()
    const begin = performance.now()
    for (let i = 0; i < count; i += 1_000)
      await Promise.all(Array.from({ length: 1_000 }, () => family.start()))
    const rate = ratePerSecond(count, begin)
    const bytes = (heapBytes() - before) / count
    if ((await family.call(count - 1)) !== 1 || family.children.size !== count) throw new Error('not all run')
    return { rate, bytes }
  },

  async restart(): Promise<Figures> {
    const family = new Family()
    await family.start()
    const count = 20_000
    const lasted: number[] = []
    let answers = 0
    const begin = performance.now()
    for (let i = 0; i < count; i++) {
      const from = performance.now()
      const restarted = new Promise<number>(resolve => {
        family.restarted = resolve
      })
      family.crash(0)
      answers += await family.call(await restarted)
      lasted.push((performance.now() - from) * 1_000)
    }
    const rate = ratePerSecond(count, begin)
    if (answers !== count) throw new Error('a wrong answer is no result')
    return { rate, p50: sortedAt(lasted, 0.5), p99: sortedAt(lasted, 0.99) }
  },

  async storm() {
    const family = new Family()
    const count = 10_000
    for (let i = 0; i < count; i++) await family.start()
    const storm = async (): Promise<number> => {
      let left = count
      const restarted = new Promise<void>(resolve => {
        family.restarted = () => {
          if (--left === 0) resolve()
        }
      })
      const begin = performance.now()
      for (let i = 0; i < count; i++) family.crash(i)
      await restarted
      const answers = await Promise.all(Array.from({ length: count }, (_, i) => family.call(i)))
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
