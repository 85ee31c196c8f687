import t from 'tap'
import { TroupeError } from '../lib/base/errors.js'
import { IdSpace } from '../lib/base/id-space.js'
import { type NodeId, Pid, type Ref } from '../lib/base/ids.js'
import { LIMITS } from '../lib/base/limits.js'
import { kept, type OutFrame, type Session } from '../lib/mesh/mesh.js'
import { Cast, Encoded, type NameOnNode, Request } from '../lib/process/mail.js'
import type { Local } from '../lib/process/remote.js'
import { createRemote, type Spawner } from '../lib/remote/remote.js'
import type { Codec } from '../lib/wire/codec.js'
import { FrameType, HEADER_BYTES } from '../lib/wire/frame.js'

const codec: Codec = {
  encode(value, reserve, where) {
    if (typeof value === 'function') throw new TroupeError('ERR_PAYLOAD', `${where}: a function`)
    return Buffer.concat([Buffer.alloc(reserve), Buffer.from(JSON.stringify({ value }))])
  },
  decode(buffer, start, end) {
    try {
      return JSON.parse(buffer.toString('utf8', start, end)).value
    } catch {
      throw new TroupeError('ERR_PAYLOAD', 'bad bytes')
    }
  },
}

class Asked extends Request {
  settled = false
  readonly outcome: unknown[] = []
  reply(value: unknown): void {
    this.settled = true
    this.outcome.push(value instanceof Encoded ? value.open() : value)
  }
  fail(error: TroupeError): void {
    this.settled = true
    this.outcome.push(error.code)
  }
}

/** A node: remote/ on a process core that only takes notes. Work of the loop waits in `soon`. */
function makeNode(name: string, creation: number, spawner?: Spawner) {
  const ids = new IdSpace(name as NodeId, creation, 1_000)
  const live = new Map<number, Pid>()
  const names = new Map<string, Pid>()
  const log: unknown[] = []
  const requests: Request[] = []
  const soon: (() => void)[] = []
  const find = (to: number | string) => (typeof to === 'number' ? live.get(to) : names.get(to))
  const local: Local = {
    find,
    deliver(to, mail) {
      if (find(to) === undefined) return 'noproc'
      if (mail instanceof Request) requests.push(mail)
      if (mail instanceof Encoded) log.push(['message', mail.open()])
      else log.push([mail instanceof Cast ? 'cast' : 'request', mail.tag, (mail.payload as Encoded).open()])
      return 'ok'
    },
    linkFrom: (_peer, serial) => live.has(serial),
    unlinkFrom: (peer, serial) => log.push(['unlink', peer.serial, serial]),
    linkExit: (peer, serial, reason) => log.push(['exit', peer.serial, serial, reason]),
    exitFrom: (peer, serial, reason) => log.push(['signal', peer.serial, serial, reason]),
    monitorFrom: (_watcher, _ref, to) => find(to) !== undefined,
    demonitorFrom: (_watcher, ref) => log.push(['demonitor', ref.counter]),
    down: (serial, ref, pid, reason) => log.push(['down', serial, ref.counter, pid?.serial, reason]),
  }
  const remote = createRemote({
    runtime: {
      clock: { now: () => 0, wallNow: () => 0, after: () => ({ clear() {} }) },
      loop: { soon: fn => soon.push(fn), later() {}, turnEnd() {}, lag: () => 0, hold: () => () => {} },
    },
    ids,
    codec,
    limits: LIMITS,
    local,
    spawner: spawner ?? {
      spawn: () => Promise.reject(new TroupeError('ERR_UNKNOWN_ACTOR', 'no', { known: [] })),
    },
    deadLetter: (to, _message, why) =>
      log.push(['dead letter', String((to as Pid & NameOnNode).name ?? to), why]),
  })
  const born = () => {
    const pid = ids.newPid()
    live.set(pid.serial, pid)
    return pid
  }
  const turn = () => {
    for (const fn of soon.splice(0)) fn()
  }
  return { ids, live, names, log, requests, remote, born, turn }
}
type TestNode = ReturnType<typeof makeNode>

/** Two nodes and a session; frames travel one by one when told. After the cut nothing of it is delivered. */
function join(a: TestNode, b: TestNode) {
  const queue: { to: TestNode; frame: OutFrame }[] = []
  let open = true
  const end = (peer: TestNode, to: TestNode): Session => ({
    ...{ peer: peer.ids.node, creation: peer.ids.creation, epoch: 1, role: 'member' as const },
    messageBytesMax: LIMITS.messageBytesMax,
    get open() {
      return open
    },
    send(frame) {
      if (open) queue.push({ to, frame: kept(frame) })
      return 'ok'
    },
    sendSlot() {},
    onDrained: () => () => {},
  })
  const [atA, atB] = [end(b, b), end(a, a)]
  a.remote.sessionUp(atA)
  b.remote.sessionUp(atB)
  const step = () => {
    const next = queue.shift()
    if (next === undefined) return false
    const { head, tail, type, flags } = next.frame
    const bytes = tail === undefined ? head : Buffer.concat([head, tail])
    next.to.remote.frame(next.to === a ? atA : atB, type, flags, bytes, HEADER_BYTES, bytes.length)
    return true
  }
  const run = () => {
    while (step());
  }
  const cut = () => {
    open = false
    queue.length = 0
    a.remote.sessionDown(atA, 'connection_closed')
    b.remote.sessionDown(atB, 'connection_closed')
  }
  return { step, run, cut, queue, atA, atB }
}

function pair() {
  const [a, b] = [makeNode('a', 1), makeNode('b', 2)]
  return { a, b, ...join(a, b), p: a.born(), q: b.born() }
}

t.test('messages, casts, calls and signals of one sender arrive in order, by pid and by name', async t => {
  const { a, b, p, q, run } = pair()
  b.names.set('q', q)
  const to: NameOnNode = { name: 'q', node: 'b' }
  a.remote.send(p, q, 1)
  a.remote.send(p, to, Buffer.from('raw'))
  a.remote.cast(p, q, 'c', 2)
  a.remote.cast(p, to, 'c', 3)
  const asked = new Asked('add', 4, p)
  const named = new Asked('add', 5, p)
  a.remote.request(q, asked)
  a.remote.request(to, named)
  a.remote.exit(p, q, 'bye')
  run()
  t.strictSame(b.log, [
    ['message', 1],
    ['message', Buffer.from('raw')],
    ['cast', 'c', 2],
    ['cast', 'c', 3],
    ['request', 'add', 4],
    ['request', 'add', 5],
    ['signal', p.serial, q.serial, 'bye'],
  ])
  t.throws(() => b.requests[0]?.reply(() => {}), { code: 'ERR_PAYLOAD' }, 'what cannot cross throws')
  b.requests[0]?.reply('sum')
  b.requests[1]?.fail(new TroupeError('ERR_EXIT', 'gone', { reason: 'x' }))
  run()
  t.strictSame([asked.outcome, named.outcome], [['sum'], ['ERR_EXIT']])
})

t.test('a death tells link and monitor once, behind the messages; the forgotten are not told', async t => {
  const { a, b, p, q, run } = pair()
  const [ref, spent] = [a.ids.newRef(), a.ids.newRef()]
  a.remote.link(p, q)
  a.remote.monitor(p, ref, q)
  a.remote.monitor(p, spent, q)
  run()
  a.remote.demonitor(p, spent, q)
  b.remote.send(q, p, 'last words')
  b.remote.linkBroken(q, p, 'boom')
  b.remote.down(q, p, ref, 'boom')
  b.remote.down(q, p, spent, 'boom')
  run()
  t.strictSame(a.log, [
    ['message', 'last words'],
    ['exit', q.serial, p.serial, 'boom'],
    ['down', p.serial, ref.counter, q.serial, 'boom'],
  ])
})

t.test('nobody, an earlier life and no session are answered later, in order', async t => {
  const [a, b] = [makeNode('a', 1), makeNode('b', 2)]
  join(a, makeNode('b', 7)).cut()
  const { run } = join(a, b)
  const p = a.born()
  const [ghost, old, far] = [
    new Pid('b' as NodeId, 2, 99),
    new Pid('b' as NodeId, 7, 1),
    new Pid('z' as NodeId, 3, 1),
  ]
  const asked = [ghost, old, far].map(to => {
    const request = new Asked('get', 0, p)
    a.remote.request(to, request)
    a.remote.link(p, to)
    a.remote.monitor(p, a.ids.newRef(), to)
    return request
  })
  t.strictSame([a.log, asked.map(r => r.outcome)], [[], [[], [], []]], 'nothing inside the calls')
  a.turn()
  run()
  t.strictSame(
    asked.map(r => r.outcome),
    [['ERR_NOPROC'], ['ERR_NOPROC'], ['ERR_NOCONNECTION']],
  )
  t.strictSame(
    a.log.map(entry => (entry as unknown[]).at(-1)),
    ['noproc', 'noproc', 'noconnection', 'noconnection', 'noproc', 'noproc'],
  )
})

t.test('of a life that was never met nothing is known, not even that it is over', async t => {
  const { a, p, run } = pair()
  const next = new Pid('b' as NodeId, 7, 1)
  const request = new Asked('get', 0, p)
  a.remote.request(next, request)
  a.remote.link(p, next)
  a.remote.monitor(p, a.ids.newRef(), next)
  a.turn()
  run()
  t.strictSame(request.outcome, ['ERR_NOCONNECTION'])
  t.strictSame(
    a.log.map(entry => (entry as unknown[]).at(-1)),
    ['noconnection', 'noconnection'],
  )
})

t.test('a cut after any number of frames gives one exit, one down and one answer', async t => {
  for (let k = 0; k < 12; k++) {
    const { a, b, p, q, step, cut } = pair()
    const ref: Ref = a.ids.newRef()
    const asked = new Asked('get', 0, p)
    a.remote.link(p, q)
    a.remote.monitor(p, ref, q)
    a.remote.request(q, asked)
    for (let i = 0; i < k; i++) {
      if (i === 4) {
        b.requests[0]?.reply(1)
        b.remote.linkBroken(q, p, 'boom')
        b.remote.down(q, p, ref, 'boom')
      }
      step()
    }
    cut()
    const kinds = a.log.map(entry => (entry as unknown[])[0])
    if (`${kinds}` !== 'exit,down' || asked.outcome.length !== 1) t.fail(`cut after ${k}`, { log: a.log })
    const { links, monitors, pending } = a.remote.stats()
    if (links !== 0 || monitors !== 0 || pending !== 0) t.fail(`left over after ${k}`)
  }
  t.pass('twelve cuts')
})

t.test('a body cut at any length is ERR_FRAME or a delivery, never another error', async t => {
  const types = Object.values(FrameType).filter(type => type >= 32 && type < 64)
  for (const type of types) {
    for (let length = 0; length < 40; length++) {
      for (const fill of [0, 1, 32, 34, 41, 255]) {
        const { a, atA } = pair()
        try {
          a.remote.frame(atA, type, 4, Buffer.alloc(length, fill), 0, length)
        } catch (error) {
          if (!TroupeError.is(error, 'ERR_FRAME')) t.fail(`type ${type}, length ${length}`, { error })
        }
      }
    }
  }
  t.pass('every type and length')
})

t.test('a child is told of with its early death behind, and killed when the caller is gone', async t => {
  const host = makeNode('b', 2, {
    async spawn(order) {
      const child = host.born()
      order.born(child)
      host.remote.linkBroken(child, order.parent, 'early')
      return child
    },
  })
  const a = makeNode('a', 1)
  const { run, cut } = join(a, host)
  const p = a.born()
  const spawned = a.remote.spawn(p, 'b' as NodeId, 'counter', 0, { link: true })
  await Promise.resolve()
  run()
  await new Promise<void>(resolve => queueMicrotask(() => queueMicrotask(() => queueMicrotask(resolve))))
  run()
  const child = await spawned
  t.strictSame(a.log, [['exit', child.serial, p.serial, 'early']])
  t.equal(host.remote.stats()['hosting'], 0, 'kept')
  a.remote.spawn(p, 'b' as NodeId, 'counter', 0).catch(() => {})
  run()
  cut()
  await Promise.resolve()
  t.match(host.log.at(-1), ['signal', p.serial, Number, 'kill'], 'not kept: the session went first')
})
