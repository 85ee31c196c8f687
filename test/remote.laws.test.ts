/**
 * Signals between nodes, exhausted: real process tables and the real codec, joined by queues of frames whose order of
 * delivery the test chooses, cut wherever it likes. What a node does beyond that (sockets, actors' code) is not here.
 */
import fc from 'fast-check'
import t from 'tap'
import { createActors } from '../lib/actor/actors.js'
import { TroupeError } from '../lib/base/errors.js'
import { IdSpace } from '../lib/base/id-space.js'
import type { NodeId, Pid, Ref } from '../lib/base/ids.js'
import { LIMITS, type Limits } from '../lib/base/limits.js'
import type { ExitReason } from '../lib/base/reasons.js'
import { kept, type OutFrame, type Session } from '../lib/mesh/mesh.js'
import { Cast, DownSignal, Encoded, ExitSignal, Request } from '../lib/process/mail.js'
import { Process } from '../lib/process/process.js'
import { createRemote, type RemoteSpawnOptions, type SpawnOrder } from '../lib/remote/remote.js'
import { createCodec } from '../lib/wire/create-codec.js'
import { FrameType, HEADER_BYTES } from '../lib/wire/frame.js'
import { handClock } from './support/actor-world.js'

/** What a reader gets; bytes that do not pass are its to bear, and only ever `ERR_PAYLOAD`. */
function open(value: unknown): unknown {
  try {
    return value instanceof Encoded ? value.open() : value
  } catch (error) {
    if (TroupeError.is(error, 'ERR_PAYLOAD')) return error.code
    throw error
  }
}

/** A process that writes down what it is told, and does nothing by itself. */
class Probe extends Process {
  readonly seen: unknown[] = []
  readonly asked: Request[] = []
  begin(): undefined {}
  ended(reason: ExitReason): void {
    for (const request of this.asked) request.fail(new TroupeError('ERR_EXIT', 'it ended', { reason }))
  }
  receive(mail: unknown): undefined {
    if (mail instanceof ExitSignal) this.seen.push(['exit', mail.pid.serial, mail.reason])
    else if (mail instanceof DownSignal) this.seen.push(['down', mail.ref.counter, mail.reason])
    else if (mail instanceof Cast) this.seen.push(['cast', mail.tag, open(mail.payload)])
    else if (mail instanceof Request) {
      this.asked.push(mail)
      this.seen.push(['request', mail.tag, open(mail.payload)])
    } else this.seen.push(['message', open(mail)])
  }
}

/** A request without a clock. */
class Asked extends Request {
  settled = false
  readonly outcome: unknown[] = []
  reply(value: unknown): void {
    this.settled = true
    this.outcome.push(open(value))
  }
  fail(error: TroupeError): void {
    this.settled = true
    this.outcome.push(error.code)
  }
}

/** Time and turns of one world: nothing runs that the test does not let run. */
function makeWorld() {
  const hand = handClock()
  const waiting: (() => void)[] = []
  const defer = (fn: () => void): void => void waiting.push(fn)
  const runtime = {
    clock: hand.clock,
    loop: { soon: defer, later: defer, turnEnd() {}, lag: () => 0, hold: () => () => {} },
    host: {
      hostname: 'test',
      cores: 4,
      startThread: () => ({ result: Promise.resolve(), end() {} }),
      warn() {},
      onUnhandledRejection: () => () => {},
    },
  }
  const turn = (): void => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) next()
  }
  return { runtime, turn, jump: hand.jump, alarms: hand.alarms }
}
type World = ReturnType<typeof makeWorld>

type Start = (order: SpawnOrder) => Promise<Pid>
const refuse: Start = () => Promise.reject(new TroupeError('ERR_UNKNOWN_ACTOR', 'no', { known: [] }))

function makeNode(
  world: World,
  name: string,
  creation: number,
  limits: Partial<Limits> = {},
  start = refuse,
) {
  const all = { ...LIMITS, ...limits }
  const ids = new IdSpace(name as NodeId, creation, 10_000)
  const quiet = { crash() {}, deadLetter() {}, died() {}, crowded() {}, slow() {}, fault() {} }
  const node = (): never => {
    throw new Error('no node around these processes')
  }
  const actors = createActors({ runtime: world.runtime, ids, limits: all, node, hooks: quiet })
  const { table } = actors
  const codec = createCodec({ limits: all, ids })
  const remote = createRemote({
    ...{ runtime: world.runtime, ids, codec, limits: all, local: table.local },
    spawner: { spawn: order => start(order) },
    procedures: {
      run: () => born().pid,
      abort: (from, pid) => table.local.exitFrom(from, pid.serial, 'abort'),
    },
  })
  table.remote = remote
  const born = (trapping = true): Probe => {
    const probe = new Probe(ids.newPid())
    probe.trapping = trapping
    table.add(probe)
    table.start(probe)
    return probe
  }
  const tables = () => {
    const { links, monitors, pending, spawning, hosting } = remote.stats()
    return { links, monitors, pending, spawning, hosting }
  }
  return { ids, actors, table, codec, remote, born, tables }
}
type TestNode = ReturnType<typeof makeNode>

const EMPTY = { links: 0, monitors: 0, pending: 0, spawning: 0, hosting: 0 }

/** A session: a queue of frames in each direction. Within a pair they stay in order; `any` picks among the pairs. */
function join(a: TestNode, b: TestNode) {
  const queues: { ab: OutFrame[]; ba: OutFrame[] } = { ab: [], ba: [] }
  const ends = { open: true, full: false }
  const end = (peer: TestNode, way: 'ab' | 'ba'): Session => ({
    ...{ peer: peer.ids.node, creation: peer.ids.creation, epoch: 1, role: 'member' as const },
    messageBytesMax: LIMITS.messageBytesMax,
    get open() {
      return ends.open
    },
    send(frame) {
      if (!ends.open) return 'ok'
      if (ends.full && frame.refusable) return 'full'
      queues[way].push(kept(frame))
      return 'ok'
    },
    sendSlot() {},
    onDrained: () => () => {},
  })
  const [atA, atB] = [end(b, 'ab'), end(a, 'ba')]
  a.remote.sessionUp(atA)
  b.remote.sessionUp(atB)
  const handle = (way: 'ab' | 'ba', { head, tail, type, flags }: OutFrame): void => {
    const bytes = tail === undefined ? head : Buffer.concat([head, tail])
    const [node, session] = way === 'ab' ? [b, atB] : [a, atA]
    node.remote.frame(session, type, flags, bytes, HEADER_BYTES, bytes.length)
  }
  const deliver = (way: 'ab' | 'ba'): boolean => {
    const frame = queues[way].shift()
    if (frame !== undefined) handle(way, frame)
    return frame !== undefined
  }
  /** The first frame of one of the pairs that have some: which, is the caller's choice. */
  const any = (way: 'ab' | 'ba', choice: number): void => {
    const queue = queues[way]
    const pairs = [...new Set(queue.map(frame => frame.pair))]
    const pair = pairs[choice % pairs.length]
    const [frame] = queue.splice(
      queue.findIndex(each => each.pair === pair),
      1,
    )
    if (frame !== undefined) handle(way, frame)
  }
  const run = (): void => {
    while (deliver('ab') || deliver('ba'));
  }
  const cut = (first: 'a' | 'b'): void => {
    ends.open = false
    queues.ab.length = queues.ba.length = 0
    const down = [() => a.remote.sessionDown(atA, 'connection_closed')]
    down.push(() => b.remote.sessionDown(atB, 'connection_closed'))
    for (const tell of first === 'a' ? down : down.reverse()) tell()
  }
  return { queues, ends, deliver, any, run, cut, atA, atB }
}

function pair(limits: Partial<Limits> = {}, start = refuse) {
  const world = makeWorld()
  const a = makeNode(world, 'a', 1, limits)
  const b = makeNode(world, 'b', 2, limits, start)
  return { ...world, a, b, ...join(a, b) }
}

interface Walk {
  /** What may happen next. */
  moves(): readonly string[]
  make(move: string): void | Promise<void>
  /** Two walks with one key go on alike. */
  key(): string
  /** The key after a move, where it can be told without making it: spares the way to a state that is known. */
  peek?(move: string): string
  /** Throws when a rule is broken. `moves` is empty: everything has settled. */
  check(settled: boolean): void
  /** Looks at what a cut at this point does; the walk ends here. */
  cut(): void | Promise<void>
}

const bytesOf = (queue: readonly OutFrame[]): string[] =>
  queue.map(({ head }) => head.toString('hex', HEADER_BYTES))

/** Every path from the start, each state once. Returns how many there were. */
async function walkAll(begin: () => Walk): Promise<number> {
  const known = new Set<string>()
  const open: string[][] = [[]]
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    const walk = begin()
    try {
      for (const move of path) await walk.make(move)
      const key = walk.key()
      if (known.has(key)) continue
      known.add(key)
      const moves = walk.moves()
      walk.check(moves.length === 0)
      for (const move of moves) {
        const next = walk.peek?.(move)
        if (next === undefined || !known.has(next)) open.push([...path, move])
      }
      await walk.cut()
    } catch (error) {
      throw new Error(`after ${path.join(' ')}: ${(error as Error).message}`)
    }
  }
  return known.size
}

function same(got: unknown, expected: unknown, what: string): void {
  const [g, e] = [JSON.stringify(got), JSON.stringify(expected)]
  if (g !== e) throw new Error(`${what}: expected ${e}, got ${g}`)
}

/**
 * The law of links with sets in the place of two numbers: every LINK is an instance; an end is linked while it knows
 * one; UNLINK and EXIT name all that their sender knows.
 */
class LinkModel {
  readonly known = { a: new Set<string>(), b: new Set<string>() }
  readonly alive = { a: true, b: true }
  readonly exits: { a: unknown[]; b: unknown[] } = { a: [], b: [] }
  readonly queues: { ab: [string, string[], string][]; ba: [string, string[], string][] } = { ab: [], ba: [] }
  readonly left: { a: number; b: number }
  readonly #links = { a: 0, b: 0 }

  constructor(a: number, b: number) {
    this.left = { a, b }
  }

  moves(side: 'a' | 'b'): string[] {
    if (!this.alive[side] || this.left[side] === 0) return []
    return [this.known[side].size === 0 ? `${side}.link` : `${side}.unlink`, `${side}.die`]
  }

  act(side: 'a' | 'b', what: string): void {
    this.left[side] -= 1
    const mine = this.known[side]
    const out = this.queues[side === 'a' ? 'ab' : 'ba']
    if (what === 'die') this.alive[side] = false
    if (what === 'link') {
      this.#links[side] += 1
      mine.add(`${side}${this.#links[side]}`)
      out.push(['link', [...mine], ''])
      return
    }
    if (mine.size > 0) out.push([what === 'die' ? 'exit' : 'unlink', [...mine], `end of ${side}`])
    mine.clear()
  }

  deliver(way: 'ab' | 'ba'): void {
    const [kind, names, reason] = this.queues[way].shift()!
    const [side, back] = way === 'ab' ? (['b', 'ba'] as const) : (['a', 'ab'] as const)
    const mine = this.known[side]
    if (kind === 'link') {
      if (this.alive[side]) mine.add(names[0]!)
      else this.queues[back].push(['exit', names, 'noproc'])
    } else if (kind === 'unlink') {
      for (const name of names) mine.delete(name)
    } else if (names.some(name => mine.has(name))) {
      mine.clear()
      this.exits[side].push(reason)
    }
  }

  cut(): void {
    for (const side of ['a', 'b'] as const) {
      if (this.known[side].size > 0) this.exits[side].push('noconnection')
      this.known[side].clear()
    }
  }

  copy(): LinkModel {
    const copy = new LinkModel(this.left.a, this.left.b)
    for (const side of ['a', 'b'] as const) {
      for (const name of this.known[side]) copy.known[side].add(name)
      copy.exits[side].push(...this.exits[side])
      copy.alive[side] = this.alive[side]
      copy.#links[side] = this.#links[side]
    }
    for (const way of ['ab', 'ba'] as const) copy.queues[way].push(...this.queues[way])
    return copy
  }

  make(move: string): void {
    if (move === 'ab' || move === 'ba') this.deliver(move)
    else this.act(...(move.split('.') as ['a' | 'b', string]))
  }

  /** The ends are alike: a state and its mirror image are one. */
  key(): string {
    const text = (x: 'a' | 'b', y: 'a' | 'b', xy: 'ab' | 'ba', yx: 'ab' | 'ba'): string => {
      const of = (side: 'a' | 'b') => [[...this.known[side]].sort(), this.alive[side], this.exits[side]]
      return JSON.stringify([of(x), of(y), this.queues[xy], this.queues[yx], this.left[x], this.left[y]])
    }
    const swap = (match: string): string => (match.startsWith('a') ? 'b' : 'a') + match.slice(1)
    const mirrored = text('b', 'a', 'ba', 'ab').replace(/[ab](?=\d?")/g, swap)
    const plain = text('a', 'b', 'ab', 'ba')
    return plain < mirrored ? plain : mirrored
  }
}

function linkWalk(a: number, b: number): Walk {
  const at = pair()
  const ends = { a: at.a.born(), b: at.b.born() }
  const model = new LinkModel(a, b)
  let made = 0
  const compare = (): void => {
    at.turn()
    for (const side of ['a', 'b'] as const) {
      const { seen, ties } = ends[side]
      same(
        seen.map(entry => (entry as unknown[])[2]),
        model.exits[side],
        `exits at ${side}`,
      )
      const linked = model.known[side].size > 0 ? 1 : 0
      same([ties?.links?.size ?? 0, at[side].tables().links], [linked, linked], `links at ${side}`)
    }
  }
  return {
    moves() {
      const moves = [...model.moves('a'), ...model.moves('b')]
      return [...moves, ...(['ab', 'ba'] as const).filter(way => at.queues[way].length > 0)]
    },
    make(move) {
      made += 1
      model.make(move)
      if (move === 'ab' || move === 'ba') {
        at.deliver(move)
        at.turn()
        return
      }
      const [side, what] = move.split('.') as ['a' | 'b', string]
      const [me, other] = [ends[side], ends[side === 'a' ? 'b' : 'a'].pid]
      if (what === 'link') at[side].table.link(me, other)
      else if (what === 'unlink') at[side].table.unlink(me, other)
      else at[side].table.die(me, `end of ${side}`)
    },
    key: () => model.key(),
    peek(move) {
      const next = model.copy()
      next.make(move)
      return next.key()
    },
    check(settled) {
      compare()
      same(
        [at.queues.ab.length, at.queues.ba.length],
        [model.queues.ab.length, model.queues.ba.length],
        'queues',
      )
      if (!settled) return
      same(at.a.tables(), at.b.tables(), 'both ends agree')
    },
    cut() {
      at.cut(made % 2 === 0 ? 'a' : 'b')
      model.cut()
      compare()
    },
  }
}

t.test(
  'links: up to four acts of each end, in every order with the deliveries, and cut everywhere',
  async t => {
    const states = await walkAll(() => linkWalk(4, 4))
    t.ok(states > 1_000, `${states} states`)
  },
)

/** Monitors of `a` on one process of `b`, by pid and by name, against every order of deliveries and deaths. */
function monitorWalk(acts: number): Walk {
  const at = pair()
  const [watcher, watched] = [at.a.born(), at.b.born()]
  at.b.table.names.register('watched', watched)
  const refs: { readonly ref: Ref; removed: boolean; lost: boolean }[] = []
  let left = acts
  const path: string[] = []
  const downs = (ref: Ref): unknown[] =>
    watcher.seen
      .filter(entry => (entry as unknown[])[1] === ref.counter)
      .map(entry => (entry as unknown[])[2])
  return {
    moves() {
      const moves: string[] = []
      if (left > 0 && !watcher.dead) {
        moves.push('pid', 'name', 'die')
        for (const [i, { ref, removed }] of refs.entries())
          if (!removed && downs(ref).length === 0) moves.push(`drop ${i}`)
      }
      if (!watched.dead) moves.push('end')
      return [...moves, ...(['ab', 'ba'] as const).filter(way => at.queues[way].length > 0)]
    },
    make(move) {
      path.push(move)
      if (move === 'ab' || move === 'ba') at.deliver(move)
      else if (move === 'end') at.b.table.die(watched, 'done')
      else {
        left -= 1
        if (move === 'die') at.a.table.die(watcher, 'gone')
        else if (move.startsWith('drop')) {
          const entry = refs[Number(move.slice(5))]!
          entry.removed = at.a.actors.demonitor(watcher, entry.ref, true)
          if (!entry.removed) throw new Error('a monitor that has not fired was not there')
        } else {
          const to = move === 'pid' ? watched.pid : { name: 'watched', node: 'b' }
          refs.push({ ref: at.a.actors.monitor(watcher, to, undefined), removed: false, lost: watched.dead })
        }
      }
      at.turn()
    },
    key: () =>
      JSON.stringify([
        ...[refs, left, watcher.dead, watched.dead, watcher.seen, at.a.tables(), at.b.tables()],
        ...[bytesOf(at.queues.ab), bytesOf(at.queues.ba)],
      ]),
    check(settled) {
      for (const { ref, removed } of refs) {
        const got = downs(ref)
        if (got.length > (removed ? 0 : 1)) throw new Error(`${ref}: ${JSON.stringify(got)}, ${removed}`)
        if (settled && !watcher.dead && got.length === 0 && !removed) throw new Error(`${ref} was never told`)
        if (got.length === 1 && got[0] !== 'done' && got[0] !== 'noproc') throw new Error(`told ${got[0]}`)
      }
      if (settled) same([at.a.tables(), at.b.tables()], [EMPTY, EMPTY], 'tables')
    },
    cut() {
      const standing = refs.filter(({ ref, removed }) => !removed && downs(ref).length === 0)
      at.cut(path.length % 2 === 0 ? 'a' : 'b')
      at.turn()
      for (const { ref } of watcher.dead ? [] : standing)
        same(downs(ref), ['noconnection'], `${ref} after the cut`)
      same([at.a.tables(), at.b.tables()], [EMPTY, EMPTY], 'tables after the cut')
      same(watched.ties?.watchers?.size ?? 0, 0, 'watchers after the cut')
    },
  }
}

t.test('monitors: one down each, none once removed, whoever dies or is cut off when', async t => {
  const states = await walkAll(() => monitorWalk(4))
  t.ok(states > 500, `${states} paths`)
})

/** Promises that were settled have been heard of. */
const settle = async (): Promise<void> => {
  for (let i = 0; i < 8; i++) await Promise.resolve()
}

const KEEP_MS = 10_000

interface SpawnCase {
  readonly link: boolean
  readonly monitor: boolean
}

/** One spawn, `a` on `b`: each thing that can happen to it, once, in every order. */
function spawnWalk({ link, monitor }: SpawnCase): Walk {
  let order: SpawnOrder | undefined
  let finish: { resolve(pid: Pid): void; reject(error: unknown): void } | undefined
  let child: Probe | undefined
  const at = pair({}, given => {
    order = given
    return new Promise((resolve, reject) => {
      finish = { resolve, reject }
    })
  })
  const parent = at.a.born()
  const abort = new AbortController()
  const ref = monitor ? at.a.ids.newRef() : undefined
  let result: 'open' | 'child' | 'failed' = 'open'
  const options: RemoteSpawnOptions = {
    ...{ link, monitor: ref, signal: abort.signal, timeoutMs: 5_000 },
    accept(pid) {
      if (parent.dead) return false
      if (ref !== undefined) at.a.table.monitors.adopt(parent, ref, pid)
      return true
    },
  }
  at.a.remote.spawn(parent.pid, 'b' as NodeId, 'child', 0, options).then(
    () => (result = 'child'),
    () => (result = 'failed'),
  )
  const done: string[] = []
  /** Told to keep it, in time: what the host owes from then on. */
  let [kept, startedMs, nowMs] = [false, Number.NaN, 0]
  const told = (kind: string): unknown[] =>
    parent.seen.filter(entry => (entry as unknown[])[0] === kind).map(entry => (entry as unknown[])[2])
  return {
    moves() {
      const moves = (['ab', 'ba'] as const).filter(way => at.queues[way].length > 0) as string[]
      const once = (move: string, may: boolean): void =>
        void (may && !done.includes(move) && moves.push(move))
      once('born', order !== undefined && !done.includes('fail'))
      once('started', child !== undefined && !done.includes('fail'))
      once('fail', order !== undefined && !done.includes('started'))
      once('child dies', child !== undefined && !child.dead)
      once('abort', true)
      once('parent dies', true)
      once('5 s', true)
      once('10 s', done.includes('5 s'))
      return moves
    },
    async make(move) {
      done.push(move)
      if (move === 'ab' || move === 'ba') {
        const keeping = at.queues[move][0]
        at.deliver(move)
        const isKept = keeping?.type === FrameType.spawnKeep && keeping.head[HEADER_BYTES + 6] === 1
        if (isKept && !(nowMs >= startedMs + KEEP_MS)) kept = true
      } else if (move === 'born') {
        child = at.b.born()
        order?.born(child.pid)
      } else if (move === 'started') {
        startedMs = nowMs
        finish?.resolve(child!.pid)
      } else if (move === 'fail') {
        if (child !== undefined) at.b.table.die(child, 'no')
        finish?.reject(new TroupeError('ERR_START', 'no'))
      } else if (move === 'child dies') at.b.table.die(child!, 'done')
      else if (move === 'abort') abort.abort()
      else if (move === 'parent dies') at.a.table.die(parent, 'gone')
      else {
        const ms = move === '5 s' ? 5_000 : KEEP_MS
        nowMs += ms
        at.jump(ms)
      }
      await settle()
      at.turn()
    },
    key: () =>
      JSON.stringify([
        ...[
          [...done].filter(move => move.length > 2).sort(),
          result,
          kept,
          startedMs,
          child?.dead,
          parent.seen,
        ],
        ...[at.queues.ab.map(f => f.head.toString('hex', HEADER_BYTES)), at.a.tables(), at.b.tables()],
        at.queues.ba.map(f => f.head.toString('hex', HEADER_BYTES)),
        [child?.ties?.links?.size, child?.ties?.watchers?.size, order?.unwanted, parent.ties?.links?.size],
      ]),
    check(settled) {
      for (const kind of ['exit', 'down']) {
        const got = told(kind)
        if (got.length > 1 || (got.length === 1 && result !== 'child'))
          throw new Error(`${kind}: ${JSON.stringify(got)} with the spawn ${result}`)
        const wanted = kind === 'exit' ? link : monitor
        const due = wanted && result === 'child' && !parent.dead && child?.dead === true
        if (settled && due && got.length !== 1) throw new Error(`no ${kind} of a child that was accepted`)
      }
      const broken = link && parent.dead
      if (kept && child?.dead === true && !done.includes('child dies') && !broken && result === 'child')
        throw new Error('a child that was accepted and kept is dead')
      if (!settled) return
      if (result === 'open') throw new Error('the spawn was never answered')
      if (result === 'failed' && child?.dead === false) throw new Error('an orphan lives')
      const { links, monitors, ...others } = at.b.tables()
      same(others, { pending: 0, spawning: 0, hosting: 0 }, 'tables of the host')
      const stands = child?.dead === false && !parent.dead && result === 'child'
      same([links, monitors], stands ? [Number(link), Number(monitor)] : [0, 0], 'ties at the host')
      same(at.a.tables(), { ...EMPTY, links, monitors }, 'tables of the caller')
      if (at.alarms.size > 0) throw new Error('a timer is left')
    },
    async cut() {
      const accepted = result === 'child' && !parent.dead
      const before = [told('exit').length, told('down').length]
      const [linked, watching] = [parent.ties?.links?.size ?? 0, parent.ties?.monitors?.size ?? 0]
      at.cut(done.length % 2 === 0 ? 'a' : 'b')
      if (order !== undefined && child === undefined && !done.includes('fail')) {
        child = at.b.born()
        order.born(child.pid)
      }
      if (child !== undefined) finish?.resolve(child.pid)
      await settle()
      at.turn()
      const after = [told('exit').length, told('down').length]
      if (accepted) same(after, [before[0]! + linked, before[1]! + watching], 'told by the cut')
      if ((result as string) === 'open') throw new Error('the cut left the spawn open')
      if (child?.dead === false && !kept) throw new Error('an orphan outlives its session')
      same([at.a.tables(), at.b.tables()], [EMPTY, EMPTY], 'tables after the cut')
    },
  }
}

t.test('spawns: no orphan lives, nobody that was kept dies, link and monitor fire once', async t => {
  for (const link of [false, true]) {
    const states = await walkAll(() => spawnWalk({ link, monitor: true }))
    t.ok(states > 500, `${states} states`)
  }
})

/** One call of `a` on `b`, with everything that can end it. */
function callWalk(): Walk {
  const at = pair()
  const [caller, callee] = [at.a.born(), at.b.born()]
  const abort = new AbortController()
  const outcomes: unknown[] = []
  at.a.actors.ask(caller, callee.pid, undefined, 'add', 1, { timeoutMs: 5_000, signal: abort.signal }).then(
    value => outcomes.push(value),
    error => outcomes.push(TroupeError.is(error) ? error.code : error.name),
  )
  const done: string[] = []
  const pending = (): number[] => [at.a.tables().pending!, at.a.table.calls.size]
  return {
    moves() {
      const moves = (['ab', 'ba'] as const).filter(way => at.queues[way].length > 0) as string[]
      const once = (move: string, may: boolean): void =>
        void (may && !done.includes(move) && moves.push(move))
      once('reply', callee.asked.length > 0)
      for (const move of ['callee dies', 'caller dies', 'abort', '5 s']) once(move, true)
      return moves
    },
    async make(move) {
      done.push(move)
      if (move === 'ab' || move === 'ba') at.deliver(move)
      else if (move === 'reply') callee.asked[0]!.reply(2)
      else if (move === 'callee dies') at.b.table.die(callee, 'done')
      else if (move === 'caller dies') at.a.table.die(caller, 'gone')
      else if (move === 'abort') abort.abort()
      else at.jump(5_000)
      at.turn()
      await settle()
    },
    key: () => done.join(' '),
    check(settled) {
      if (outcomes.length > 1) throw new Error(`${outcomes}`)
      same(pending(), outcomes.length === 1 ? [0, 0] : [1, 1], 'pending')
      const ends = { ERR_TIMEOUT: '5 s', AbortError: 'abort', ERR_DEAD: 'caller dies', 2: 'reply' }
      const cause = { ...ends, ERR_EXIT: 'callee dies', ERR_NOPROC: 'callee dies' }[`${outcomes[0]}`]
      if (outcomes.length === 1 && !done.includes(`${cause}`)) throw new Error(`${outcomes[0]} for no cause`)
      if (settled && outcomes.length !== 1) throw new Error('never answered')
    },
    async cut() {
      const before = outcomes.length
      at.cut(done.length % 2 === 0 ? 'a' : 'b')
      callee.asked[0]?.reply(3)
      at.turn()
      await settle()
      same(outcomes.slice(before), before === 0 ? ['ERR_NOCONNECTION'] : [], 'told by the cut')
      same(pending(), [0, 0], 'pending after the cut')
    },
  }
}

t.test('calls: one outcome each, whatever ends them first, and nothing is left pending', async t => {
  const states = await walkAll(callWalk)
  t.ok(states > 100, `${states} paths`)
})

t.test('limits: each full table answers as documented, and has room again afterwards', async t => {
  const at = pair({ pendingCallsMax: 2, peerEntriesMax: 2, mailboxMax: 1 })
  const [p, q] = [at.a.born(), at.b.born()]
  const ask = () => {
    const asked = new Asked('get', 0, p.pid)
    at.a.remote.request(q.pid, asked)
    return asked
  }
  const asked = [ask(), ask(), ask()]
  at.turn()
  t.strictSame(
    asked.map(r => r.outcome),
    [[], [], ['ERR_BUSY']],
    'pendingCallsMax',
  )
  at.run()
  t.strictSame(asked[1]?.outcome, ['ERR_MAILBOX_FULL'], 'a full mailbox refuses calls')
  at.turn()
  at.ends.full = true
  const queued = ask()
  t.equal(at.a.remote.send(p.pid, q.pid, 1), 'full')
  at.turn()
  t.strictSame(queued.outcome, ['ERR_BUSY'], 'a full queue refuses calls')
  await t.rejects(at.a.remote.spawn(p.pid, 'b' as NodeId, 'child', 0), { code: 'ERR_BUSY' })
  at.ends.full = false
  q.asked[0]?.reply('there')
  at.run()
  t.strictSame(asked[0]?.outcome, ['there'])

  const watchers = [at.a.born(), at.a.born(), at.a.born()]
  at.a.table.link(watchers[0]!, q.pid)
  const ref = at.a.actors.monitor(watchers[1]!, q.pid, undefined)
  at.a.table.link(watchers[2]!, q.pid)
  const late = at.a.actors.monitor(watchers[2]!, { name: 'nobody', node: 'b' }, undefined)
  at.run()
  at.turn()
  t.strictSame(watchers[2]?.seen, [
    ['exit', q.pid.serial, 'system_limit'],
    ['down', late.counter, 'system_limit'],
  ])
  at.a.actors.demonitor(watchers[1]!, ref, true)
  at.a.table.link(watchers[2]!, q.pid)
  at.run()
  t.equal(at.b.tables().links, 2)
  t.equal(at.b.remote.stats()['entriesRefused'], 2)
})

/** What one process does to another; `at` is how its target is named. */
const act = fc.oneof(
  fc.record({
    do: fc.constantFrom('send', 'cast', 'call'),
    byName: fc.boolean(),
    bytes: fc.constantFrom(0, 9, 20_000),
  }),
  fc.record({ do: fc.constantFrom('exit', 'link', 'unlink', 'monitor', 'noise') }),
  fc.record({ do: fc.constantFrom('ab', 'ba'), choice: fc.nat(9) }),
)
type Act = { do: string; byName?: boolean; bytes?: number; choice?: number }

t.test('order: one receiver sees all that one sender does as it was done, and its death last', t => {
  const run = (acts: readonly Act[], choices: readonly number[]): void => {
    const at = pair()
    const [sender, noise, receiver] = [at.a.born(), at.a.born(), at.b.born()]
    at.b.table.names.register('it', receiver)
    const mine = at.b.actors.monitor(receiver, sender.pid, undefined)
    const expected: unknown[] = []
    let linked = false
    for (const [i, each] of acts.entries()) {
      const to = each.byName === true ? { name: 'it', node: 'b' } : receiver.pid
      const body = each.bytes === 20_000 ? Buffer.alloc(20_000, i) : [i, 'x'.repeat(each.bytes ?? 0)]
      if (each.do === 'ab' || each.do === 'ba') {
        if (at.queues[each.do].length > 0) at.any(each.do, each.choice ?? 0)
      } else if (each.do === 'send') {
        at.a.remote.send(sender.pid, to, body)
        expected.push(['message', body])
      } else if (each.do === 'cast') {
        at.a.remote.cast(sender.pid, to, `c${i}`, body)
        expected.push(['cast', `c${i}`, body])
      } else if (each.do === 'call') {
        at.a.remote.request(to, new Asked(`r${i}`, body, sender.pid))
        expected.push(['request', `r${i}`, body])
      } else if (each.do === 'exit') {
        at.a.table.exit(sender.pid, receiver.pid, i)
        expected.push(['exit', sender.pid.serial, i])
      } else if (each.do === 'monitor') at.a.actors.monitor(sender, receiver.pid, undefined)
      else if (each.do === 'noise') at.a.table.link(noise, receiver.pid)
      else {
        at.a.table[each.do as 'link' | 'unlink'](sender, receiver.pid)
        linked = each.do === 'link'
      }
      at.turn()
    }
    at.a.table.die(sender, 'end')
    if (linked) expected.push(['exit', sender.pid.serial, 'end'])
    const rest = [...choices]
    while (at.queues.ab.length + at.queues.ba.length > 0) {
      at.any(at.queues.ab.length > 0 ? 'ab' : 'ba', rest.shift() ?? 0)
      at.turn()
    }
    const last = receiver.seen.at(-1) as unknown[]
    same(last.slice(0, 2), ['down', mine.counter], 'the down comes last')
    same(receiver.seen.slice(0, -1), expected, 'what was seen')
  }
  fc.assert(fc.property(fc.array(act, { maxLength: 30 }), fc.array(fc.nat(9), { maxLength: 40 }), run), {
    numRuns: 500,
  })
  t.pass('as it was done')
  t.end()
})

const IT = { name: 'it', node: 'b' }

/** Two nodes and a third that is tied to `q` too, and must feel nothing. */
function makeScene() {
  const at = pair({}, async order => {
    const child = at.b.born()
    order.born(child.pid)
    return child.pid
  })
  const c = makeNode(at, 'c', 3)
  const [p, q, far] = [at.a.born(), at.b.born(), c.born()]
  const other = join(c, at.b)
  c.table.link(far, q.pid)
  c.actors.monitor(far, q.pid, undefined)
  other.run()
  at.b.table.names.register('it', q)
  const abort = new AbortController()
  return { ...at, p, q, far, abort, withdraw: (): void => {} }
}
type Scene = ReturnType<typeof makeScene>

const linkThem = (s: Scene) => s.a.table.link(s.p, s.q.pid)
const watch = (s: Scene) => void s.a.actors.monitor(s.p, s.q.pid, undefined)
const call = (s: Scene) => s.a.remote.request(s.q.pid, new Asked('get', 0, s.p.pid))
const askProcedure = (s: Scene): void => {
  s.withdraw = s.a.remote.callProcedure('b' as NodeId, new Asked('sum', [1], s.p.pid))
}
const failure = new TroupeError('ERR_EXIT', 'no', { reason: 1 })
const spawnChild = (s: Scene): void => {
  const options = { link: true, monitor: s.a.ids.newRef(), signal: s.abort.signal }
  s.a.remote.spawn(s.p.pid, 'b' as NodeId, 'child', [1], options).catch(() => {})
}
const spawnHalf = (s: Scene): void => {
  spawnChild(s)
  s.deliver('ab')
}

/** By what comes of them: the act that sends a frame, and what went before. */
const SENDS: readonly [
  type: number,
  way: 'ab' | 'ba',
  act: (s: Scene) => void,
  before?: (s: Scene) => void,
][] = [
  [FrameType.message, 'ab', s => void s.a.remote.send(s.p.pid, s.q.pid, { a: 1 })],
  [FrameType.cast, 'ab', s => void s.a.remote.cast(s.p.pid, s.q.pid, 'reset', [1])],
  [FrameType.request, 'ab', call],
  [FrameType.reply, 'ba', s => s.q.asked[0]!.reply([1]), call],
  [FrameType.reply, 'ba', s => s.q.asked[0]!.fail(failure), call],
  [FrameType.link, 'ab', linkThem],
  [FrameType.unlink, 'ab', s => s.a.table.unlink(s.p, s.q.pid), linkThem],
  [FrameType.exit, 'ab', s => s.a.table.exit(s.p.pid, s.q.pid, { shutdown: 1 })],
  [FrameType.exitLink, 'ab', s => s.a.table.die(s.p, new Error('no')), linkThem],
  [FrameType.monitor, 'ab', watch],
  [FrameType.demonitor, 'ab', s => s.a.table.die(s.p, 'x'), watch],
  [FrameType.down, 'ba', s => s.b.table.die(s.q, 'done'), watch],
  [FrameType.spawn, 'ab', spawnChild],
  [FrameType.spawned, 'ba', spawnHalf],
  [FrameType.spawnKeep, 'ab', s => s.abort.abort(), spawnHalf],
  [FrameType.named, 'ab', s => void s.a.remote.send(s.p.pid, IT, 1)],
  [FrameType.named, 'ab', s => void s.a.remote.cast(s.p.pid, IT, 'reset', 1)],
  [FrameType.named, 'ab', s => s.a.remote.request(IT, new Asked('get', 0, s.p.pid))],
  [FrameType.named, 'ab', s => void s.a.actors.monitor(s.p, IT, undefined)],
  [FrameType.procedure, 'ab', askProcedure],
  [FrameType.procedureAbort, 'ab', s => s.withdraw(), askProcedure],
  [FrameType.toMany, 'ab', s => void s.a.remote.sendToMany(s.p.pid, [s.q.pid, s.q.pid], { a: 1 })],
]

/** The scene just before the frame arrives. */
async function sceneOf([type, way, act, before]: (typeof SENDS)[number]) {
  const s = makeScene()
  before?.(s)
  if (type !== FrameType.spawnKeep) s.run()
  s.turn()
  act(s)
  await settle()
  const frame = s.queues[way].shift()!
  if (frame.type !== type) throw new Error(`expected a frame ${type}, got ${frame.type}`)
  const [to, session] = way === 'ab' ? [s.b, s.atB] : [s.a, s.atA]
  return { ...s, frame, to, session }
}

/** The body cut at each length, and with each byte made another. */
function* spoilt(body: Buffer): Generator<Buffer> {
  for (let i = 0; i < body.length; i++) {
    yield body.subarray(0, i)
    for (const value of [0, 255, (body[i] as number) ^ 0x80]) {
      const copy = Buffer.from(body)
      copy[i] = value
      yield copy
    }
  }
}

t.test('hostile bodies: ERR_FRAME and nothing changed, or handled; no other peer feels it', async t => {
  let [refused, cases] = [0, 0]
  const types = Object.values(FrameType).filter(
    type => type >= 32 && type < 64 && type !== FrameType.unlinkAck && type !== FrameType.groups,
  )
  t.strictSame([...new Set(SENDS.map(([type]) => type))], types, 'of every type')
  for (const send of SENDS) {
    const { frame: model } = await sceneOf(send)
    const name = `type ${model.type}`
    const body = Buffer.concat([model.head.subarray(HEADER_BYTES), model.tail ?? Buffer.alloc(0)])
    for (const bad of spoilt(body)) {
      cases += 1
      const at = await sceneOf(send)
      const state = () => JSON.stringify([at.to.tables(), at.p.seen, at.q.seen, at.p.dead, at.q.dead])
      const before = state()
      try {
        at.to.remote.frame(at.session, model.type, model.flags, Buffer.from(bad), 0, bad.length)
      } catch (error) {
        refused += 1
        if (!TroupeError.is(error, 'ERR_FRAME')) t.fail(`${name}: ${bad.toString('hex')}`, { error })
        if (state() !== before) t.fail(`${name}: ${bad.toString('hex')} was refused and changed something`)
      }
      at.turn()
      await settle()
      const ties = [at.far.ties?.links?.size, at.far.ties?.monitors?.size, at.far.seen.length]
      const fine = at.q.dead || `${[ties, at.q.ties?.watchers?.size === 0]}` === `${[1, 1, 0, false]}`
      if (!fine) t.fail(`${name}: ${bad.toString('hex')} was felt by another peer`, { ties })
    }
  }
  t.ok(cases > 1_000 && refused > 300, `${refused} of ${cases} refused`)
})

t.test(
  'reasons that cannot cross, are too large or throw arrive as descriptions that keep their meaning',
  t => {
    const thrower = {
      get shutdown() {
        throw new Error('a getter')
      },
    }
    const proxy = new Proxy(
      {},
      {
        getPrototypeOf: () => {
          throw new Error('a trap')
        },
        ownKeys: () => {
          throw new Error('a trap')
        },
      },
    )
    const large = 'x'.repeat(100_000)
    const named = Object.assign(new Error(large), { name: 'Odd', code: 'E', extra: () => {} })
    const cases: [unknown, (got: unknown) => boolean][] = [
      [() => {}, got => typeof got === 'string'],
      [Symbol('x'), got => typeof got === 'string'],
      [{ shutdown: () => {} }, got => typeof (got as { shutdown: unknown }).shutdown === 'string'],
      [{ shutdown: large }, got => typeof (got as { shutdown: unknown }).shutdown === 'string'],
      [{ nocatch: Symbol('x') }, got => typeof (got as { nocatch: unknown }).nocatch === 'string'],
      [large, got => got === 'x'.repeat(1_024)],
      [named, got => got instanceof Error && got.message === 'x'.repeat(1_024) && got.name === 'Odd'],
      [thrower, got => typeof (got as { shutdown: unknown }).shutdown === 'string'],
      [proxy, got => typeof got === 'string'],
      [[[{ a: () => {} }]], got => typeof got === 'string'],
      [10n ** 2_000n, got => typeof got === 'string'],
    ]
    for (const [reason, fits] of cases) {
      const at = pair()
      const [p, q] = [at.a.born(), at.b.born()]
      at.a.table.link(p, q.pid)
      at.a.actors.monitor(p, q.pid, undefined)
      at.run()
      at.b.table.exit(q.pid, p.pid, reason)
      at.b.table.die(q, reason)
      at.run()
      at.turn()
      const got = p.seen.map(entry => (entry as unknown[])[2])
      t.ok(got.length === 3 && got.every(fits), `${got.map(String).map(text => text.slice(0, 60))}`)
    }
    t.end()
  },
)

/** A host whose children are born at once and started when the test says so. */
function hosting(limits: Partial<Limits> = {}) {
  const children: Probe[] = []
  const starts: (() => void)[] = []
  const at = pair(limits, order => {
    const child = at.b.born()
    order.born(child.pid)
    children.push(child)
    return new Promise(resolve => starts.push(() => resolve(child.pid)))
  })
  const parent = at.a.born()
  const start = async (): Promise<void> => {
    starts.shift()?.()
    await settle()
  }
  const spawn = (options: RemoteSpawnOptions = {}) =>
    at.a.remote.spawn(parent.pid, 'b' as NodeId, 'child', 0, options)
  return { ...at, parent, children, start, spawn }
}

t.test('a spawn whose id is taken is ERR_FRAME: the limit of spawns cannot be walked around', async t => {
  const at = hosting({ peerSpawnsMax: 2 })
  const [first, second, third] = [at.spawn(), at.spawn(), at.spawn()]
  const copy = { ...at.queues.ab[0]!, head: Buffer.from(at.queues.ab[0]!.head) }
  at.run()
  await t.rejects(third, { code: 'ERR_BUSY' }, 'peerSpawnsMax')
  t.throws(() => at.b.remote.frame(at.atB, copy.type, 0, copy.head, HEADER_BYTES, copy.head.length), {
    code: 'ERR_FRAME',
  })
  t.equal(at.children.length, 2, 'nothing more was started')
  await at.start()
  await at.start()
  at.run()
  await Promise.all([first, second])
  at.run()
  t.strictSame(at.b.tables(), EMPTY)
})

t.test('a parent that links its child before the spawn is answered still gets its exit', async t => {
  const at = hosting()
  const spawned = at.spawn({ link: true })
  at.run()
  const child = at.children[0]!
  at.a.table.link(at.parent, at.a.ids.pid('b' as NodeId, 2, child.pid.serial))
  at.run()
  await at.start()
  at.run()
  await spawned
  at.run()
  at.b.table.die(child, 'done')
  at.run()
  at.turn()
  t.strictSame(at.parent.seen, [['exit', child.pid.serial, 'done']])
  t.strictSame([at.a.tables(), at.b.tables()], [EMPTY, EMPTY])
})

t.test('a child that unlinks its parent before it has started is unlinked at both ends', async t => {
  const at = hosting()
  const spawned = at.spawn({ link: true })
  at.run()
  const child = at.children[0]!
  at.b.table.unlink(child, at.b.ids.pid('a' as NodeId, 1, at.parent.pid.serial))
  at.run()
  await at.start()
  at.run()
  await spawned
  at.run()
  t.strictSame([at.a.tables(), at.b.tables()], [EMPTY, EMPTY])
  at.cut('a')
  at.turn()
  t.strictSame(at.parent.seen, [], 'so the end of the session is no exit either')
})

t.test('the answer to a link that had no session does not break the link made since', t => {
  const world = makeWorld()
  const [a, b] = [makeNode(world, 'a', 1), makeNode(world, 'b', 2)]
  const [p, q] = [a.born(), b.born()]
  a.table.link(p, q.pid)
  a.table.unlink(p, q.pid)
  const at = join(a, b)
  a.table.link(p, q.pid)
  world.turn()
  at.run()
  t.strictSame([p.seen, p.ties?.links?.size, a.tables().links], [[], 1, 1])
  b.table.die(q, 'done')
  at.run()
  world.turn()
  t.strictSame(p.seen, [['exit', q.pid.serial, 'done']])
  t.end()
})

t.test('an error whose detail cannot be read is still an answer', async t => {
  const at = pair()
  const [p, q] = [at.a.born(), at.b.born()]
  const asked = new Asked('get', 0, p.pid)
  at.a.remote.request(q.pid, asked)
  at.run()
  at.turn()
  const detail = {
    get reason() {
      throw new Error('a getter')
    },
  }
  q.asked[0]?.fail(new TroupeError('ERR_START', 'no', detail))
  at.run()
  t.strictSame(asked.outcome, ['ERR_START'])
})

t.test('a body of numbers alone that is longer than them is ERR_FRAME', async t => {
  const { link, unlink, monitor, demonitor, spawnKeep } = FrameType
  const fixed: readonly number[] = [link, unlink, monitor, demonitor, spawnKeep]
  for (const send of SENDS.filter(([type]) => fixed.includes(type))) {
    const { to, session, frame } = await sceneOf(send)
    const long = Buffer.concat([frame.head, Buffer.alloc(1)])
    const arrive = () => to.remote.frame(session, frame.type, 0, long, HEADER_BYTES, long.length)
    t.throws(arrive, { code: 'ERR_FRAME' }, `type ${frame.type}`)
  }
})
