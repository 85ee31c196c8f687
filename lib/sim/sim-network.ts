/**
 * The network between simulated nodes, and what can go wrong with it. A link is one direction between two nodes; its
 * delays and faults are drawn from a stream of its own. Addresses are plain (host, port) pairs: any node may listen on
 * any host, the pair is taken once, and `0.0.0.0` or `::` means the node's own name.
 *
 *   cut, cutOneWay   packets vanish: dials go unanswered, bytes wait and are sent again, nothing is told to anybody
 *   heal             …and arrive, at the next try of their sender
 *   reset            both ends of every connection between two nodes are told ECONNRESET
 *   hang             every connection between two nodes falls silent for good, as behind a gateway that forgot it; new ones work
 *
 * What happens to a node (pause, kill, crash) is in `Simulation`; this file only says what its peers see of it.
 */
import type { Address, DialResult, Listener, Resolver, Stream, Transport } from '../base/runtime.js'
import type { SimNode } from './sim-node.js'
import type { SimRandom } from './sim-random.js'
import { connect, type Path, type SimStream } from './sim-stream.js'
import { toGrid, type World } from './world.js'

/** How a link behaves. */
export interface LinkOptions {
  /** Each segment takes from `delayMsMin` (default 0.5) to `delayMsMax` (default 2). */
  readonly delayMsMin?: number
  readonly delayMsMax?: number
  /** Default 100,000: some 100 MB/s. */
  readonly bytesPerMs?: number
  /** What may be sent and not yet read. Default 64 KiB. */
  readonly windowBytes?: number
  /** Chance per segment that its connection is reset. Default 0. */
  readonly resetRate?: number
  /** Chance per segment that it takes `spikeMs` (default 500) longer. Default 0. */
  readonly spikeRate?: number
  readonly spikeMs?: number
  /** How long the receiving process takes to read one piece. Default 0. */
  readonly readMs?: number
}

const LINK: Required<LinkOptions> = {
  delayMsMin: 0.5,
  delayMsMax: 2,
  bytesPerMs: 100_000,
  windowBytes: 64 * 1_024,
  resetRate: 0,
  spikeRate: 0,
  spikeMs: 500,
  readMs: 0,
}

/** Linux sends a SYN again after 1, 3, 7, … s. */
const SYN_RETRY_MS = 1_000
const SYN_RETRY_MS_MAX = 8_000
const EPHEMERAL_PORT = 49_152
/** A dial that was made slow: some miss their deadline. */
const DIAL_SLOW_MS = 2_000

/** One direction between two nodes. */
class SimLink {
  readonly random: SimRandom
  options: Required<LinkOptions>
  cut = false

  constructor(random: SimRandom, options: Required<LinkOptions>) {
    this.random = random
    this.options = options
  }

  delayMs(): number {
    const { delayMsMin, delayMsMax, spikeRate, spikeMs } = this.options
    const spike = this.random.chance(spikeRate) ? spikeMs : 0
    return toGrid(delayMsMin + this.random.float() * (delayMsMax - delayMsMin)) + spike
  }
}

interface Taken {
  readonly node: SimNode
  readonly address: Address
  readonly accept: (stream: Stream) => void
}

const isIp = (host: string): boolean => /^[\d.]+$|:/.test(host)

const keyOf = (address: Address): string => `${address.host} ${address.port}`

const errno = (code: string, what: string): Error => Object.assign(new Error(`${code}: ${what}`), { code })

function answerOf<T>(question: string, answer: readonly T[] | string): readonly T[] {
  if (typeof answer === 'string') throw errno(answer, question)
  if (answer.length === 0) throw errno('ENOTFOUND', question)
  return answer
}

export class SimNetwork {
  readonly #world: World
  readonly #options: Required<LinkOptions>
  readonly #random: SimRandom
  readonly #machines = new Map<string, SimNode>()
  readonly #links = new Map<string, SimLink>()
  readonly #listeners = new Map<string, Taken>()
  /** Who listened there last: a machine keeps its address when its process dies. */
  readonly #homes = new Map<string, string>()
  readonly #names = new Map<string, readonly string[] | string>()
  readonly #services = new Map<string, readonly Address[] | string>()
  readonly #connections = new Set<readonly [SimStream, SimStream]>()
  #nextPort = EPHEMERAL_PORT
  #nextConnection = 0
  #overrunBytesMax = 0

  /** @internal A simulation makes its own. */
  constructor(world: World, options: LinkOptions = {}) {
    this.#world = world
    this.#options = { ...LINK, ...options }
    this.#random = world.random.fork('network')
  }

  /** Connections of which at least one end is open. */
  get connections(): number {
    this.#forgetClosed()
    return this.#connections.size
  }

  /** The most that any stream was given, in bytes, after it had said stop and before it said go on: see `Stream.write`. */
  get overrunBytesMax(): number {
    for (const ends of this.#connections) this.#measureOverrun(ends)
    return this.#overrunBytesMax
  }

  /** Cuts both directions between `a` and `b`. */
  cut(a: string, b: string): void {
    this.cutOneWay(a, b)
    this.cutOneWay(b, a)
  }

  /** What `from` sends no longer reaches `to`. */
  cutOneWay(from: string, to: string): void {
    this.#world.record('', 'cut', `${from}>${to}`)
    this.#link(from, to).cut = true
  }

  /** Mends what `cutOneWay` cut. */
  healOneWay(from: string, to: string): void {
    this.#world.record('', 'heal', `${from}>${to}`)
    this.#link(from, to).cut = false
    for (const ends of this.#connections) for (const end of ends) end.healed()
  }

  /** Cuts every link between nodes of different groups. */
  partition(...groups: readonly (readonly string[])[]): void {
    groups.forEach((group, i) => {
      for (const other of groups.slice(i + 1)) for (const a of group) for (const b of other) this.cut(a, b)
    })
  }

  /** Mends both directions between `a` and `b`, or every link. What was on its way arrives at its sender's next try. */
  heal(a?: string, b?: string): void {
    this.#world.record('', 'heal', a === undefined ? '' : `${a}=${b}`)
    for (const [key, link] of this.#links) {
      if (a === undefined || key === `${a}>${b}` || key === `${b}>${a}`) link.cut = false
    }
    for (const ends of this.#connections) for (const end of ends) end.healed()
  }

  /** Changes how `from` reaches `to`, from the next segment on. */
  link(from: string, to: string, options: LinkOptions): void {
    const link = this.#link(from, to)
    link.options = { ...link.options, ...options }
  }

  /** Both ends of every connection between `a` and `b` are told `ECONNRESET`. */
  reset(a: string, b: string): void {
    this.#world.record('', 'reset', `${a}=${b}`)
    for (const [near, far] of this.#connections) {
      const names = [near.node.name, far.node.name]
      if (names.includes(a) && names.includes(b)) near.resetBoth()
    }
    this.#forgetClosed()
  }

  /** The connections between `a` and `b` fall silent and tell nobody. */
  hang(a: string, b: string): void {
    this.#world.record('', 'hang', `${a}=${b}`)
    for (const ends of this.#connections) {
      const names = ends.map(end => end.node.name)
      if (names.includes(a) && names.includes(b)) for (const end of ends) end.hang()
    }
  }

  /**
   * What looking `host` up gives from now on: addresses, or the code that it fails with (`'ESERVFAIL'`). IP literals and
   * node names resolve to themselves.
   */
  resolve(host: string, addresses: readonly string[] | string): void {
    this.#names.set(host, addresses)
  }

  /** The SRV records that `name` has from now on, or the code that asking for them fails with. */
  resolveServices(name: string, services: readonly Address[] | string): void {
    this.#services.set(name, services)
  }

  readonly resolver: Resolver = {
    lookup: async host => {
      const itself = isIp(host) || this.#machines.has(host) ? [host] : 'ENOTFOUND'
      return answerOf(`lookup ${host}`, this.#names.get(host) ?? itself)
    },
    services: async name => answerOf(`services ${name}`, this.#services.get(name) ?? 'ENOTFOUND'),
  }

  /** A node starts its life: from now on it is what its machine answers with. */
  boot(node: SimNode): void {
    this.#machines.set(node.name, node)
  }

  /** A node ended: its listeners are gone, its connections end as its kernel ends them, or not at all. */
  ended(node: SimNode, how: 'killed' | 'crashed'): void {
    for (const [key, taken] of this.#listeners) if (taken.node === node) this.#listeners.delete(key)
    for (const ends of this.#connections) for (const end of ends) if (end.node === node) end.vanish(how)
    this.#forgetClosed()
  }

  transportOf(node: SimNode): Transport {
    return {
      listen: async (address, accept) => this.#listen(node, address, accept),
      dial: (address, options, done) => this.#dial(node, address, options.timeoutMs, done),
    }
  }

  #link(from: string, to: string): SimLink {
    const key = `${from}>${to}`
    const known = this.#links.get(key)
    if (known !== undefined) return known
    const made = new SimLink(this.#random.fork(key), this.#options)
    this.#links.set(key, made)
    return made
  }

  #lost(from: string, to: string): boolean {
    return this.#link(from, to).cut || this.#machines.get(to)?.machineUp === false
  }

  #path(from: string, to: string): Path {
    const link = this.#link(from, to)
    return {
      random: link.random,
      get bytesPerMs() {
        return link.options.bytesPerMs
      },
      get windowBytes() {
        return link.options.windowBytes
      },
      get resetRate() {
        return link.options.resetRate
      },
      get readMs() {
        return link.options.readMs
      },
      delayMs: () => link.delayMs(),
      lost: () => this.#lost(from, to),
      answerLost: () => this.#lost(to, from),
    }
  }

  #listen(node: SimNode, asked: Address, accept: (stream: Stream) => void): Listener {
    const host = asked.host === '0.0.0.0' || asked.host === '::' ? node.name : asked.host
    const address = { host, port: asked.port === 0 ? this.#nextPort++ : asked.port }
    const key = keyOf(address)
    if (this.#listeners.has(key)) throw errno('EADDRINUSE', `listen ${key}`)
    const taken = { node, address, accept }
    this.#listeners.set(key, taken)
    this.#homes.set(key, node.name)
    const close = async (): Promise<void> => {
      if (this.#listeners.get(key) === taken) this.#listeners.delete(key)
    }
    return { address: { host: asked.host, port: address.port }, close }
  }

  #dial(node: SimNode, address: Address, timeoutMs: number, done: (result: DialResult) => void): () => void {
    let settled = false
    const finish = (result: DialResult): void => {
      if (settled) return
      settled = true
      deadline.clear()
      node.deliver('dialled', `${keyOf(address)} ${result.ok ? 'ok' : result.code}`, () => done(result))
    }
    const deadline = node.runtime.clock.after(timeoutMs, () => finish({ ok: false, code: 'ETIMEDOUT' }))
    const target = this.#homes.get(keyOf(address)) ?? address.host
    const attempt = (tries: number): void => {
      if (settled || !node.alive) return
      const again = (): void => {
        const waitMs = Math.min(SYN_RETRY_MS_MAX, SYN_RETRY_MS * 2 ** tries)
        this.#world.at(this.#world.nowMs + waitMs, () => attempt(tries + 1))
      }
      this.#roundTrip(node.name, target, again, () => {
        if (settled || !node.alive) return
        const taken = this.#listeners.get(keyOf(address))
        if (taken === undefined) finish({ ok: false, code: 'ECONNREFUSED' })
        else finish({ ok: true, stream: this.#connect(node, taken) })
      })
    }
    if (this.#world.buggify(node.name, 'dial-slow')) {
      const slowMs = toGrid(this.#random.float() * DIAL_SLOW_MS)
      this.#world.at(this.#world.nowMs + slowMs, () => attempt(0))
    } else attempt(0)
    return () => finish({ ok: false, code: 'ECANCELED' })
  }

  /** One packet there and one back; `lost` when either vanished. */
  #roundTrip(from: string, to: string, lost: () => void, back: () => void): void {
    this.#world.at(this.#world.nowMs + this.#link(from, to).delayMs(), () => {
      if (this.#lost(from, to)) return lost()
      this.#world.at(this.#world.nowMs + this.#link(to, from).delayMs(), () => {
        if (this.#lost(to, from)) lost()
        else back()
      })
    })
  }

  #connect(node: SimNode, taken: Taken): SimStream {
    const id = `c${this.#nextConnection++}`
    const from = node.name
    const to = taken.node.name
    const ends = connect(
      this.#world,
      id,
      { node, address: { host: from, port: this.#nextPort++ } },
      { node: taken.node, address: taken.address },
      { there: this.#path(from, to), back: this.#path(to, from) },
    )
    this.#forgetClosed()
    this.#connections.add(ends)
    taken.node.deliver('accept', `${id} ${from}`, () => {
      // Closed while it waited in the backlog: the kernel resets it.
      if (this.#listeners.get(keyOf(taken.address)) === taken) taken.accept(ends[1])
      else ends[1].resetBoth()
    })
    return ends[0]
  }

  #forgetClosed(): void {
    for (const ends of this.#connections) {
      if (ends[0].state !== 'closed' || ends[1].state !== 'closed') continue
      this.#measureOverrun(ends)
      this.#connections.delete(ends)
    }
  }

  #measureOverrun(ends: readonly SimStream[]): void {
    for (const end of ends) this.#overrunBytesMax = Math.max(this.#overrunBytesMax, end.overrunBytes)
  }
}
