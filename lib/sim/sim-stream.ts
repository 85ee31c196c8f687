/**
 * A simulated TCP connection: two ends, and a pipe in each direction. Nothing is lost or reordered inside a living
 * connection; what a cut swallows is sent again, at growing intervals, until it gets through or the sender gives up.
 *
 *   write ─► unsent ─(window, bandwidth, cut anywhere)─► in flight ─(delay, cut: retry)─► received ─► data
 *            pendingBytes                                windowBytes, freed when `data` was called
 *
 * `fin` and `rst` travel behind the bytes. Bytes that reach a process which is gone, on a machine that is up, are
 * answered with a reset; on a machine that is down, with nothing.
 */
import { RingQueue } from '../base/ring-queue.js'
import type { Address, Stream, StreamHandlers } from '../base/runtime.js'
import type { SimNode } from './sim-node.js'
import type { SimRandom } from './sim-random.js'
import { toGrid, type World } from './world.js'

/** As the real stream: unsent bytes above which `write` says stop, and the wait for a peer that does not end. */
const WINDOW_BYTES = 64 * 1_024
const LINGER_MS = 2_000
const LEAVE_MS = 10_000
/** The first and the longest interval between two tries, and the age at which Linux gives up by default. */
const RETRY_MS_MIN = 200
const RETRY_MS_MAX = 3_000
const RETRY_GIVE_UP_MS = 924_600
/** Small pieces, one in two, so that every parser sees frames cut anywhere. */
const PIECE_BYTES_MAX = 64 * 1_024
const SMALL_PIECE_BYTES_MAX = 1_460
/** How soon a stream that was made to say stop, with nothing to send, says go on. */
const STOP_MS = 2

/** What one direction between two nodes does to bytes. */
export interface Path {
  readonly random: SimRandom
  readonly bytesPerMs: number
  readonly windowBytes: number
  /** Chance that a segment kills its connection. */
  readonly resetRate: number
  /** How long the process at its end takes to read one piece. */
  readonly readMs: number
  delayMs(): number
  /** True when packets on the path vanish now. */
  lost(): boolean
  /** True when answers to them vanish now. */
  answerLost(): boolean
}

type Segment = Buffer | 'fin' | 'rst'

/** One direction of a connection. */
export class SimPipe {
  readonly #world: World
  readonly #path: Path
  readonly #unsent = new RingQueue<Segment>()
  readonly #flight = new RingQueue<{ readonly segment: Segment; readonly arriveMs: number }>()
  #from!: SimStream
  #to!: SimStream
  pendingBytes = 0
  #flightBytes = 0
  #unackedBytes = 0
  #lineFreeMs = 0
  #tries = 0
  #reset = false
  #hung = false
  #lostSinceMs = 0
  #cancel: () => void = () => {}

  constructor(world: World, path: Path) {
    this.#world = world
    this.#path = path
  }

  /** Called by `connect`: the ends need the pipe first. */
  join(from: SimStream, to: SimStream): void {
    this.#from = from
    this.#to = to
  }

  get to(): SimStream {
    return this.#to
  }

  get readMs(): number {
    return this.#path.readMs
  }

  /** Nothing of this connection arrives any more. */
  hang(): void {
    this.#hung = true
  }

  send(segment: Segment): void {
    if (typeof segment !== 'string') {
      if (segment.length === 0) return
      this.pendingBytes += segment.length
    }
    if (segment === 'rst') this.#reset = true
    this.#unsent.push(segment)
    this.pump()
  }

  /** Forgets what has not left the process. */
  dropUnsent(): void {
    this.#unsent.clear()
    this.pendingBytes = 0
  }

  /** Forgets everything, also what is on the wire. */
  cut(): void {
    this.dropUnsent()
    this.#flight.clear()
    this.#cancel()
  }

  /** Of this direction's bytes: the receiver took them, and says so if its packets get through. */
  acknowledge(bytes: number): void {
    this.#unackedBytes += bytes
    if (this.#hung || this.#path.answerLost()) return
    this.#flightBytes -= this.#unackedBytes
    this.#unackedBytes = 0
    this.pump()
  }

  pump(): void {
    const hadPending = this.pendingBytes > 0
    for (let head = this.#unsent.peek(); head !== undefined; head = this.#unsent.peek()) {
      if (typeof head === 'string') {
        this.#unsent.shift()
        this.#launch(head, 0)
        if (head === 'fin') this.#from.finLeft()
        continue
      }
      const room = this.#path.windowBytes - this.#flightBytes
      if (room <= 0) break
      const size = Math.min(head.length, room, this.#pieceBytes())
      this.#unsent.shift()
      if (size < head.length) this.#unsent.unshift(head.subarray(size))
      this.pendingBytes -= size
      this.#flightBytes += size
      // A copy, as the wire makes one: whoever writes to his buffer afterwards changes nothing here.
      this.#launch(Buffer.from(head.subarray(0, size)), size)
    }
    if (hadPending && this.pendingBytes === 0) this.#from.flushed()
  }

  #pieceBytes(): number {
    const { random } = this.#path
    return random.chance(0.5) ? PIECE_BYTES_MAX : 1 + random.below(SMALL_PIECE_BYTES_MAX)
  }

  #launch(segment: Segment, bytes: number): void {
    this.#lineFreeMs = Math.max(this.#world.nowMs, this.#lineFreeMs) + bytes / this.#path.bytesPerMs
    // One that overtakes waits: only the head of the flight ever lands.
    const arriveMs = toGrid(this.#lineFreeMs + this.#path.delayMs())
    this.#flight.push({ segment, arriveMs })
    if (this.#flight.length === 1) this.#cancel = this.#world.at(arriveMs, () => this.#arrive())
  }

  #arrive(): void {
    const head = this.#flight.peek()
    if (head === undefined) return
    const unheard = this.#to.state === 'closed' && this.#path.answerLost()
    if (this.#hung || this.#path.lost() || unheard) {
      // After a reset nobody sends anything again. Who missed it gets another for the next bytes it sends.
      if (this.#reset) this.cut()
      else this.#retry()
      return
    }
    this.#tries = 0
    this.#flight.shift()
    const next = this.#flight.peek()
    if (next !== undefined) {
      this.#cancel = this.#world.at(Math.max(this.#world.nowMs, next.arriveMs), () => this.#arrive())
    }
    if (this.#path.random.chance(this.#path.resetRate)) this.#from.resetBoth()
    else this.#land(head.segment)
  }

  #land(segment: Segment): void {
    if (this.#to.state !== 'closed') this.#to.receive(segment)
    else if (typeof segment !== 'string') {
      this.#world.at(this.#world.nowMs + this.#path.delayMs(), () => this.#from.fail('ECONNRESET'))
    }
  }

  #retry(): void {
    if (this.#tries === 0) this.#lostSinceMs = this.#world.nowMs
    if (this.#world.nowMs - this.#lostSinceMs > RETRY_GIVE_UP_MS) {
      this.cut()
      this.#from.fail('ETIMEDOUT')
      return
    }
    const waitMs = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** this.#tries)
    this.#tries += 1
    this.#cancel = this.#world.at(this.#world.nowMs + waitMs, () => this.#arrive())
  }
}

export class SimStream implements Stream {
  readonly local: Address
  readonly remote: Address
  readonly node: SimNode
  readonly id: string
  readonly #world: World
  readonly #in: SimPipe
  readonly #out: SimPipe
  readonly #received = new RingQueue<Buffer | 'fin'>()
  state: 'open' | 'ending' | 'closed' = 'open'
  #handlers: StreamHandlers | undefined
  #paused = false
  #refused = false
  #finLeft = false
  #refusedTurn = 0
  #reads = 0
  #readFreeMs = 0
  /** Bytes written after `write` had said stop, in later turns. */
  overrunBytes = 0
  #code: string | undefined
  #cancelLinger: () => void = () => {}

  constructor(
    world: World,
    end: { node: SimNode; id: string; local: Address; remote: Address; in: SimPipe; out: SimPipe },
  ) {
    this.#world = world
    this.node = end.node
    this.id = end.id
    this.local = end.local
    this.remote = end.remote
    this.#in = end.in
    this.#out = end.out
  }

  get pendingBytes(): number {
    return this.#out.pendingBytes
  }

  open(handlers: StreamHandlers): void {
    if (this.#handlers !== undefined) throw new TypeError('open: expected a stream that is not open yet')
    this.#handlers = handlers
    if (this.state === 'closed') this.#tellClose()
    else this.#flow()
  }

  write(chunk: Buffer): boolean {
    if (this.state !== 'open' || !this.node.alive) return true
    if (this.#refused && this.#out.pendingBytes > WINDOW_BYTES && this.node.turns !== this.#refusedTurn)
      this.overrunBytes += chunk.length
    this.#out.send(chunk)
    const full = this.#out.pendingBytes > WINDOW_BYTES
    if (!full && !this.#world.buggify(this.node.name, 'write-stops')) return true
    if (!this.#refused) this.#refusedTurn = this.node.turns
    this.#refused = true
    if (this.#out.pendingBytes === 0) this.#world.at(this.#world.nowMs + STOP_MS, () => this.flushed())
    return false
  }

  writeAll(chunks: readonly Buffer[]): boolean {
    let accepts = true
    for (const chunk of chunks) accepts = this.write(chunk) && accepts
    return accepts
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.#flow()
  }

  end(): void {
    if (this.state !== 'open' || !this.node.alive) return
    this.state = 'ending'
    this.#cancelLinger = this.#world.at(this.#world.nowMs + LEAVE_MS, () => this.destroy())
    this.#out.send('fin')
    this.#flow()
  }

  destroy(): void {
    if (this.state === 'closed' || !this.node.alive) return
    this.#leave(this.#out.pendingBytes > 0 || this.#received.length > 0 ? 'rst' : 'fin')
    this.#close(undefined)
  }

  /** The process behind this end is gone: its kernel says goodbye, or nothing does. */
  vanish(how: 'killed' | 'crashed'): void {
    if (this.state === 'closed') return
    if (how === 'crashed') this.#out.cut()
    else this.#leave(this.#received.length > 0 ? 'rst' : 'fin')
    this.state = 'closed'
    this.#received.clear()
    this.#cancelLinger()
  }

  fail(code: string): void {
    if (this.state === 'closed') return
    this.#out.cut()
    this.#close(code)
  }

  resetBoth(): void {
    const peer = this.#out.to
    this.fail('ECONNRESET')
    peer.fail('ECONNRESET')
  }

  receive(segment: Segment): void {
    if (segment === 'rst') {
      this.fail('ECONNRESET')
      return
    }
    this.#received.push(segment)
    this.#flow()
  }

  /** Everything written has left the process. */
  flushed(): void {
    if (!this.#refused || this.state !== 'open') return
    this.node.deliver('drain', this.id, () => {
      if (!this.#refused || this.state !== 'open' || this.#out.pendingBytes > 0) return
      this.#refused = false
      this.#handlers?.drain()
    })
  }

  /** Our end is on its way: the peer may take a while to end, but not for ever. */
  finLeft(): void {
    this.#finLeft = true
    if (this.state !== 'ending') return
    this.#cancelLinger()
    this.#cancelLinger = this.#world.at(this.#world.nowMs + LINGER_MS, () => this.destroy())
  }

  /** Silent from now on, in both directions. */
  hang(): void {
    this.#out.hang()
    this.#in.hang()
  }

  /** A cut healed: acknowledgements that were lost are sent again. */
  healed(): void {
    this.#in.acknowledge(0)
  }

  #leave(how: 'fin' | 'rst'): void {
    this.#out.dropUnsent()
    if (!this.#finLeft || how === 'rst') this.#out.send(how)
  }

  get #flowing(): boolean {
    return this.state === 'ending' || (this.state === 'open' && this.#handlers !== undefined && !this.#paused)
  }

  /** One event of the node per piece, so that other events may come between. */
  #flow(): void {
    while (this.#flowing && this.#reads < this.#received.length) {
      this.#reads += 1
      const next = this.#received.at(this.#reads - 1)
      const size = typeof next === 'string' ? next : String(next?.length)
      this.#soon(() => this.node.deliver('read', `${this.id}:${size}`, () => this.#read()))
    }
  }

  /** At once, or when a process that reads slowly comes to it. */
  #soon(fn: () => void): void {
    const { readMs } = this.#in
    const { nowMs } = this.#world
    if (readMs === 0 && this.#readFreeMs <= nowMs) return fn()
    this.#readFreeMs = toGrid(Math.max(nowMs, this.#readFreeMs) + readMs)
    this.#world.at(this.#readFreeMs, fn)
  }

  #read(): void {
    this.#reads -= 1
    if (!this.#flowing) return
    const next = this.#received.shift()
    if (next === undefined) return
    if (next === 'fin') this.#peerEnded()
    else {
      if (this.state === 'open') this.#handlers?.data(next)
      this.#in.acknowledge(next.length)
    }
  }

  /** Nobody half-closes here: what we had written still leaves, then we are closed too. */
  #peerEnded(): void {
    if (this.state === 'open') this.#out.send('fin')
    this.#close(undefined)
  }

  #close(code: string | undefined): void {
    this.state = 'closed'
    this.#code = code
    this.#received.clear()
    this.#cancelLinger()
    if (this.#handlers !== undefined) this.#tellClose()
  }

  #tellClose(): void {
    this.node.deliver('close', `${this.id} ${this.#code ?? 'orderly'}`, () =>
      this.#handlers?.close(this.#code),
    )
  }
}

/** Two ends, connected. `there` is the path from a to b. */
export function connect(
  world: World,
  id: string,
  a: { node: SimNode; address: Address },
  b: { node: SimNode; address: Address },
  paths: { there: Path; back: Path },
): readonly [SimStream, SimStream] {
  const there = new SimPipe(world, paths.there)
  const back = new SimPipe(world, paths.back)
  const near = { node: a.node, id: `${id}>`, local: a.address, remote: b.address, in: back, out: there }
  const far = { node: b.node, id: `${id}<`, local: b.address, remote: a.address, in: there, out: back }
  const ends = [new SimStream(world, near), new SimStream(world, far)] as const
  there.join(ends[0], ends[1])
  back.join(ends[1], ends[0])
  return ends
}
