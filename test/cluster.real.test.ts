/**
 * What a cluster of real nodes keeps, over real sockets: names, placement, remote starts, restarts and revival, links
 * and monitors across nodes, leaving. Two or three nodes in this process; everything waited for is an event or a reply.
 */
import t from 'tap'
import type { Node, NodeEvents, Self } from '../lib/actor/api.js'
import type { Pid } from '../lib/base/ids.js'
import type { ExitReason } from '../lib/base/reasons.js'
import { createNode, defineActor, type NodeOptions, TroupeError } from '../lib/index.js'

interface Test {
  teardown(fn: () => Promise<void>): unknown
}

const counter = defineActor('counter', {
  init: (start: number) => ({ value: start }),
  calls: {
    add: (state, by: number) => (state.value += by),
    where: (_state, _: undefined, ctx) => ctx.node.name,
    bytes: (_state, bytes: Buffer) => bytes.length,
  },
  casts: {
    crash: () => {
      throw new Error('crash')
    },
  },
})

const other = defineActor('other', { init: () => ({}) })

/** Traps exits: a shutdown alone does not end it. */
const stubborn = defineActor('stubborn', {
  init: (_: null, ctx) => {
    ctx.trapExit(true)
    return {}
  },
})

/** What tests want to happen in the `init` of an actor, by its argument. */
const onInit = new Map<string, () => unknown>()
const scripted = defineActor('scripted', {
  init: async (script: string) => {
    await onInit.get(script)?.()
    return { script }
  },
  calls: { ping: () => 'pong' },
  casts: {
    crash: () => {
      throw new Error('crash')
    },
  },
})

const brittle = defineActor('brittle', {
  init: (_: null, ctx) => {
    ctx.continue('on')
    return {}
  },
  continue: () => {
    throw new Error('broken from the start')
  },
})

const ALL = [counter, other, stubborn, scripted, brittle]

function event<E extends keyof NodeEvents>(
  node: Node,
  name: E,
  fits: (...args: NodeEvents[E]) => boolean = () => true,
): Promise<NodeEvents[E]> {
  return new Promise(resolve => {
    const listener = (...args: NodeEvents[E]): void => {
      if (!fits(...args)) return
      node.off(name, listener)
      resolve(args)
    }
    node.on(name, listener)
  })
}

async function start(t: Test, options: NodeOptions): Promise<Node> {
  const node = await createNode({ listen: '127.0.0.1:0', actors: ALL, logger: false, ...options })
  t.teardown(() => node.stop({ drainMs: 0 }))
  return node
}

const at = (node: Node): string => `127.0.0.1:${node.address?.port}`

/** Nodes a, b, … that all know each other. */
async function cluster<const N extends readonly string[]>(
  t: Test,
  names: N,
  options: NodeOptions = {},
): Promise<{ [K in keyof N]: Node }> {
  const nodes: Node[] = []
  for (const name of names) {
    const [seed] = nodes
    const seeds = seed === undefined ? [] : [at(seed)]
    nodes.push(await start(t, { name, seeds, ...options }))
  }
  for (const node of nodes) {
    while (node.nodes().length < names.length - 1) await event(node, 'nodeup')
  }
  return nodes as { [K in keyof N]: Node }
}

/** Resolves once `node` sees `name` at a process for which `fits` holds. */
async function seen(node: Node, name: string, fits: (pid: Pid) => boolean = () => true): Promise<Pid> {
  const change = event(node, 'name:registered', e => e.name === name && fits(e.pid))
  const pid = node.whereis(name)?.pid
  return pid !== undefined && fits(pid) ? pid : (await change)[0].pid
}

async function free(node: Node, name: string): Promise<void> {
  const change = event(node, 'name:released', e => e.name === name)
  if (node.names().some(known => known.name === name)) await change
}

const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'resolved',
    error => (TroupeError.is(error) ? error.code : error),
  )

/** Runs `fn` as a process of `node`; what it returns. */
function within<R>(node: Node, fn: (self: Self) => Promise<R>): Promise<R> {
  return new Promise((resolve, reject) => {
    node.run(self => fn(self).then(resolve, reject))
  })
}

interface Told {
  readonly reason: ExitReason
}
const isDown = (mail: unknown): mail is Told => (mail as { type?: unknown }).type === 'down'
const isExit = (mail: unknown): mail is Told => (mail as { type?: unknown }).type === 'exit'

t.test('names', async t => {
  t.test('a name is known on every node, by its definition, and is called from anywhere', async t => {
    const [a, b, c] = await cluster(t, ['a', 'b', 'c'])
    const spawned = await a.spawn(counter, 1, { name: 'visits', on: 'b' })
    t.equal(spawned.pid.node, 'b')
    for (const node of [a, b, c]) {
      t.equal(await node.named('visits', counter).call('where'), 'b')
      t.equal(node.whereis('visits', counter)?.pid.node, 'b')
    }
    t.equal(await c.named('visits', counter).call('add', 2), 3)
  })

  t.test(
    'of two nodes that spawn one name at once one succeeds, and both then know the same holder',
    async t => {
      const [a, b] = await cluster(t, ['a', 'b'])
      for (const name of ['one', 'two', 'three', 'four']) {
        const tries = [a.spawn(counter, 0, { name }), b.spawn(counter, 0, { name })]
        const codes = await Promise.all(tries.map(codeOf))
        t.strictSame(codes.sort(), ['ERR_ALREADY_STARTED', 'resolved'], name)
        const pid = await seen(a, name)
        t.equal(await seen(b, name), b.whereis(name)?.pid)
        t.equal(String(b.whereis(name)?.pid), String(pid))
      }
      t.equal(a.processes().length + b.processes().length, 4, 'who lost runs nowhere')
    },
  )

  t.test('a name registered while a node joins is one name for all three', async t => {
    const [a] = await cluster(t, ['a'])
    const joining = start(t, { name: 'b', seeds: [at(a)] })
    const early = await a.spawn(counter, 0, { name: 'early' })
    const b = await joining
    t.equal(await codeOf(b.spawn(counter, 0, { name: 'early' })), 'ERR_ALREADY_STARTED')
    t.equal(String(await seen(b, 'early')), String(early.pid))
  })

  t.test('the death of a holder frees its name everywhere', async t => {
    const [a, b] = await cluster(t, ['a', 'b'])
    const ref = await a.spawn(counter, 0, { name: 'brief', on: 'b' })
    await ref.stop()
    t.equal(a.whereis('brief'), undefined, 'the release came ahead of the reply')
    t.equal(b.whereis('brief'), undefined)
    t.equal((await b.spawn(counter, 0, { name: 'brief' })).pid.node, 'b')
  })

  t.test('register and unregister speak for processes of their own node alone', async t => {
    const [a, b] = await cluster(t, ['a', 'b'])
    const { pid } = await a.spawn(counter, 0)
    t.equal(await codeOf(b.register('x', pid)), 'ERR_NOPROC')
    await a.register('x', pid)
    t.equal(String(await seen(b, 'x')), String(pid))
    t.equal(await codeOf(b.unregister('x')), 'ERR_NAME')
    t.equal(await a.unregister('x'), true)
    await free(b, 'x')
    t.ok(a.isAlive(pid))
  })

  t.test('register heeds its signal', async t => {
    const [a] = await cluster(t, ['a'])
    const { pid } = await a.spawn(counter, 0)
    const reason = new Error('enough')
    t.equal(await codeOf(a.register('x', pid, { signal: AbortSignal.abort(reason) })), reason)
    const late = new AbortController()
    const asked = codeOf(a.register('x', pid, { signal: late.signal }))
    late.abort(reason)
    t.ok([reason, 'resolved'].includes((await asked) as never), 'one or the other')
    t.equal(a.whereis('x') !== undefined, (await asked) === 'resolved', 'and the table agrees')
  })

  t.test('to register a name again for the same process changes nothing, not even its restarts', async t => {
    const [a] = await cluster(t, ['a'])
    const ref = await a.spawn(counter, 0, { name: 'kept', restart: 'permanent' })
    await a.register('kept', ref.pid)
    ref.cast('crash')
    t.not(await seen(a, 'kept', pid => pid !== ref.pid), ref.pid)
  })
})

t.test('placement', async t => {
  t.test('on says where: a node, a tag, the ring, a function', async t => {
    const a = await start(t, { name: 'a' })
    const b = await start(t, { name: 'b', seeds: [at(a)], tags: ['gpu'] })
    t.equal((await a.spawn(counter, 0, { on: 'b' })).pid.node, 'b')
    t.equal((await a.spawn(counter, 0, { on: { tag: 'gpu' } })).pid.node, 'b')
    t.equal((await b.spawn(counter, 0, { on: 'local' })).pid.node, 'b')
    const chosen = await b.spawn(counter, 0, { on: members => members.find(m => m.name === 'a')! })
    t.equal(chosen.pid.node, 'a')
    const ringA = await a.spawn(counter, 0, { name: 'r', on: 'ring' })
    await b.terminate('r')
    t.equal((await b.spawn(counter, 0, { name: 'r', on: 'ring' })).pid.node, ringA.pid.node)
  })

  t.test('a place that nobody fills is refused by what is there', async t => {
    const [a] = await cluster(t, ['a', 'b'])
    t.equal(await codeOf(a.spawn(counter, 0, { on: 'z' })), 'ERR_NOCONNECTION')
    t.equal(await codeOf(a.spawn(counter, 0, { on: { tag: 'none' } })), 'ERR_UNAVAILABLE')
    await t.rejects(a.spawn(counter, 0, { on: 'ring' }), TypeError)
    await t.rejects(a.spawn(counter, 0, { restart: 'permanent' }), /needs a cluster-wide name/)
  })

  t.test('what the host does not know is refused with the list of what it hosts', async t => {
    const a = await start(t, { name: 'a' })
    const b = await start(t, { name: 'b', seeds: [at(a)], actors: [other] })
    await t.rejects(a.spawn(counter, 0, { on: 'b' }), {
      code: 'ERR_UNKNOWN_ACTOR',
      detail: { known: ['other'] },
    })
    await t.rejects(
      b.spawn(counter, 0, { name: 'n', restart: 'permanent' }),
      { code: 'ERR_UNKNOWN_ACTOR' },
      'nor is a restart promised of what could not be made again',
    )
    t.equal((await b.spawn(counter, 0, { name: 'n' })).pid.node, 'b', 'a temporary one needs no host')
  })

  t.test('an init that fails far away is told as it failed, and leaves neither process nor name', async t => {
    const [a, b] = await cluster(t, ['a', 'b'])
    onInit.set('no', () => Promise.reject(new Error('no')))
    t.equal(await codeOf(a.spawn(scripted, 'no', { name: 'n', on: 'b' })), 'ERR_START')
    t.equal(a.whereis('n'), undefined)
    t.equal(b.processes().length, 0)
  })

  t.test('a spawn that was given up leaves nothing, whatever its restart', async t => {
    const [a, b] = await cluster(t, ['a', 'b'])
    const given = new AbortController()
    onInit.set('given up', () => given.abort(new Error('given up')))
    const died = event(b, 'name:released', e => e.name === 'n')
    const asked = a.spawn(scripted, 'given up', {
      name: 'n',
      on: 'b',
      restart: 'permanent',
      signal: given.signal,
    })
    await t.rejects(asked, /given up/)
    await died
    t.strictSame(b.names(), [])
    t.equal(b.processes().length, 0)
  })
})

t.test('restarts', async t => {
  t.test(
    'a permanent process is made again where it was, under its name, with its first arguments',
    async t => {
      const [a, b] = await cluster(t, ['a', 'b'])
      const ref = await a.spawn(counter, 5, { name: 'n', on: 'b', restart: 'permanent' })
      t.equal(await ref.call('add', 1), 6)
      ref.cast('crash')
      const again = await seen(a, 'n', pid => pid !== ref.pid)
      t.equal(again.node, 'b')
      t.equal(await b.named('n', counter).call('add', 0), 5)
      await b.named('n').stop()
      t.not(
        (await seen(a, 'n', pid => pid !== again && pid !== ref.pid)).serial,
        again.serial,
        'clean or not',
      )
    },
  )

  t.test('a transient process is made again after a crash, and free after a clean end', async t => {
    const [a] = await cluster(t, ['a'])
    const ref = await a.spawn(counter, 0, { name: 'n', restart: 'transient' })
    ref.cast('crash')
    await seen(a, 'n', pid => pid !== ref.pid)
    await a.named('n').stop()
    t.equal(a.whereis('n'), undefined)
    t.strictSame(a.names(), [])
  })

  t.test('a restart whose init fails counts, and is tried again', async t => {
    const [a] = await cluster(t, ['a'])
    let inits = 0
    onInit.set('second', () => {
      if (++inits === 2) throw new Error('not now')
    })
    let names = 0
    const third = event(a, 'name:registered', () => ++names === 3)
    const ref = await a.spawn(scripted, 'second', { name: 'n', restart: 'permanent' })
    ref.cast('crash')
    await third
    t.equal(await a.named('n', scripted).call('ping'), 'pong')
    t.equal(inits, 3)
  })

  t.test('who crashes right behind its init is restarted, and given up when it is too often', async t => {
    const [a, b] = await cluster(t, ['a', 'b'])
    const gaveUp = event(b, 'name:gave-up')
    await codeOf(a.spawn(brittle, null, { name: 'n', on: 'b', restart: 'permanent' }))
    const [{ name, reason }] = await gaveUp
    t.match({ name, reason }, { name: 'n', reason: { message: 'broken from the start' } })
    await free(a, 'n')
    t.equal((await a.spawn(counter, 0, { name: 'n' })).pid.node, 'a', 'the name is free')
  })

  t.test('while it is made again its name is taken, and calls by name wait', async t => {
    const [a, b] = await cluster(t, ['a', 'b'])
    let inits = 0
    let go = (): void => {}
    const gate = new Promise<void>(resolve => {
      go = resolve
    })
    onInit.set('gate', () => (++inits > 1 ? gate : undefined))
    const ref = await a.spawn(scripted, 'gate', { name: 'n', on: 'b', restart: 'permanent' })
    const gone = event(a, 'name:released')
    const waiting = new Promise<void>(resolve => a.on('name:registered', () => resolve()))
    ref.cast('crash')
    await Promise.race([gone, waiting])
    t.equal(await codeOf(a.spawn(counter, 0, { name: 'n' })), 'ERR_ALREADY_STARTED')
    const named = a.named('n', scripted)
    const patient = named.call('ping')
    t.equal(await codeOf(named.call('ping', undefined, { timeoutMs: 20 })), 'ERR_TIMEOUT')
    go()
    t.equal(await patient, 'pong')
    t.equal(b.processes().length, 1)
  })
})

t.test('revival', async t => {
  t.test(
    'what a node that leaves held is revived by its placement elsewhere; the others are free',
    async t => {
      const [a, b, c] = await cluster(t, ['a', 'b', 'c'])
      await a.spawn(counter, 3, { name: 'kept', on: 'b', restart: 'permanent' })
      await b.spawn(counter, 3, { name: 'local', restart: 'transient' })
      await a.spawn(counter, 3, { name: 'brief', on: 'b' })
      const freed = free(a, 'brief')
      const local = seen(c, 'local', pid => pid.node !== 'b')
      const left = event(a, 'member:left')
      await Promise.all([b.stop(), b.stop()])
      t.equal((await left)[0].member.name, 'b')
      await freed
      t.not((await local).node, 'b')
      t.equal(await a.named('local', counter).call('add', 0), 3)
      t.strictSame(
        a
          .names()
          .filter(({ name }) => name === 'kept')
          .map(({ state, pid }) => ({ state, pid })),
        [{ state: 'waiting', pid: undefined }],
        'on: b waits for b',
      )
      t.equal(await codeOf(c.spawn(counter, 0, { name: 'kept' })), 'ERR_ALREADY_STARTED')
      const back = seen(a, 'kept')
      await start(t, { name: 'b', seeds: [at(a)] })
      t.equal((await back).node, 'b')
    },
  )

  t.test('calls by name wait for the next holder, each as long as it said', async t => {
    const [a, b] = await cluster(t, ['a', 'b'])
    await a.spawn(counter, 0, { name: 'kept', on: 'b', restart: 'permanent' })
    const left = event(a, 'member:left')
    await b.stop()
    await left
    const named = a.named('kept', counter)
    const hasty = codeOf(named.call('add', 1, { timeoutMs: 10 }))
    const patient = codeOf(named.call('add', 1))
    const given = new AbortController()
    const reason = new Error('enough')
    const asked = codeOf(named.call('add', 1, { signal: given.signal }))
    given.abort(reason)
    t.equal(await asked, reason)
    t.equal(await hasty, 'ERR_TIMEOUT')
    const doomed = codeOf(a.named('kept', counter).call('add', 1))
    await start(t, { name: 'b', seeds: [at(a)] })
    t.equal(await patient, 'resolved')
    t.equal(await doomed, 'resolved')
  })

  t.test('calls to a name that is given up while they wait are told at once', async t => {
    const [a, b] = await cluster(t, ['a', 'b'])
    await a.spawn(counter, 0, { name: 'kept', on: 'b', restart: 'permanent' })
    const left = event(a, 'member:left')
    await b.stop()
    await left
    const asked = codeOf(a.named('kept', counter).call('add', 1))
    await a.terminate('kept')
    t.equal(await asked, 'ERR_NOPROC')
  })

  t.test('terminate ends a name that waits for its node', async t => {
    const [a, b] = await cluster(t, ['a', 'b'])
    await a.spawn(counter, 0, { name: 'kept', on: 'b', restart: 'permanent' })
    const left = event(a, 'member:left')
    await b.stop()
    await left
    await a.terminate('kept')
    t.strictSame(a.names(), [])
  })
})

t.test('terminate', async t => {
  t.test('ends a permanent process of any node for good, from any node', async t => {
    const [a, b, c] = await cluster(t, ['a', 'b', 'c'])
    const ref = await a.spawn(counter, 0, { name: 'n', on: 'b', restart: 'permanent' })
    await seen(c, 'n')
    await c.terminate('n')
    t.equal(b.isAlive(ref.pid), false)
    await free(a, 'n')
    t.equal(await codeOf(a.terminate('n')), 'ERR_NOPROC')
  })

  t.test('ends a process that traps exits, too', async t => {
    const [a, b] = await cluster(t, ['a', 'b'])
    const ref = await a.spawn(stubborn, null, { name: 'n', on: 'b', restart: 'permanent' })
    await a.terminate('n')
    t.equal(b.isAlive(ref.pid), false)
    await free(b, 'n')
  })
})

t.test('signals', async t => {
  t.test('a monitor across nodes fires once, with the reason', async t => {
    const [a] = await cluster(t, ['a', 'b'])
    const ref = await a.spawn(counter, 0, { on: 'b' })
    const reasons = await within(a, async self => {
      self.monitor(ref.pid)
      ref.cast('crash')
      const first = await self.receive(isDown)
      self.monitor(ref.pid)
      return [first.reason, (await self.receive(isDown)).reason]
    })
    t.match(reasons, [{ message: 'crash' }, 'noproc'])
  })

  t.test('a link across nodes ends the other side, or tells it when it traps exits', async t => {
    const [a, b] = await cluster(t, ['a', 'b'])
    const reason = await within(a, async self => {
      self.trapExit(true)
      const ref = await self.spawn(counter, 0, { on: 'b', link: true })
      ref.cast('crash')
      return (await self.receive(isExit)).reason
    })
    t.match(reason, { message: 'crash' })
    const child = await within(a, async self => (await self.spawn(counter, 0, { on: 'b', link: true })).pid)
    await within(b, async self => {
      self.monitor(child)
      self.exit(child, 'shutdown')
      await self.receive(isDown)
    })
    t.equal(b.isAlive(child), false)
  })

  t.test('links, monitors and calls of a node that leaves end, each once', async t => {
    const [a, b] = await cluster(t, ['a', 'b'])
    onInit.set('x', () => undefined)
    const told = within(a, async self => {
      self.trapExit(true)
      const ref = await self.spawn(counter, 0, { on: 'b', link: true, monitor: true })
      void b.stop()
      const mail = [await self.receive(isExit), await self.receive(isDown)]
      return { reasons: mail.map(({ reason }) => reason), pid: ref.pid }
    })
    const { reasons, pid } = await told
    t.strictSame(reasons, ['shutdown', 'shutdown'], 'the last words came ahead of the goodbye')
    await b.stop()
    t.equal(await codeOf(within(a, self => self.ref(a.named('nobody')).call('x' as never))), 'ERR_NOPROC')
    const down = await within(a, self => {
      self.monitor(pid)
      return self.receive(isDown)
    })
    t.equal(down.reason, 'noconnection')
  })

  t.test('a pid of an earlier life is nobody to its node’s next life', async t => {
    const [a, b] = await cluster(t, ['a', 'b'])
    const stale = await a.spawn(counter, 0, { on: 'b' })
    const left = event(a, 'member:left')
    await b.stop()
    await left
    const next = await start(t, { name: 'b', seeds: [at(a)] })
    const fresh = await a.spawn(counter, 7, { on: 'b' })
    t.equal(await codeOf(stale.call('add', 1)), 'ERR_NOPROC')
    t.equal(await fresh.call('add', 0), 7)
    t.equal(next.isAlive(fresh.pid), true)
  })
})

t.test('stop', async t => {
  t.test('a stopping node takes no further processes, and a stopped one says so', async t => {
    const [a, b] = await cluster(t, ['a', 'b'])
    const stopped = b.stop()
    t.equal(b.health().state, 'stopping')
    t.equal(await codeOf(b.spawn(counter, 0).catch(error => Promise.reject(error))), 'ERR_STOPPED')
    const asked = await codeOf(a.spawn(counter, 0, { on: 'b' }))
    t.ok(['ERR_STOPPED', 'ERR_NOCONNECTION'].includes(asked as string), String(asked))
    await stopped
    t.equal(b.health().state, 'stopped')
    await b.stop()
  })

  t.test('a spawn under way when its node stops is settled', async t => {
    const [a, b] = await cluster(t, ['a', 'b'])
    let began = (): void => {}
    const begun = new Promise<void>(resolve => {
      began = resolve
    })
    onInit.set('never', () => {
      began()
      return new Promise(() => {})
    })
    const here = codeOf(b.spawn(scripted, 'never', { name: 'n' }))
    await begun
    const there = codeOf(a.spawn(scripted, 'never', { name: 'm', on: 'b' }))
    await b.stop({ drainMs: 100 })
    t.equal(await here, 'ERR_START')
    t.ok(
      ['ERR_START', 'ERR_NOCONNECTION', 'ERR_STOPPED'].includes((await there) as string),
      String(await there),
    )
    t.strictSame(a.names(), [])
  })
})

t.test('a hundred megabytes on their way hold up no small call of another process', async t => {
  const limits = { messageBytesMax: 128 * 1_048_576 }
  const [a, b] = await cluster(t, ['a', 'b'], { limits })
  const lost: unknown[] = []
  for (const node of [a, b])
    for (const name of ['nodedown', 'member:suspect'] as const)
      node.on(name, (event: unknown) => lost.push(event))
  const [heavy, light] = await Promise.all([
    a.spawn(counter, 0, { on: 'b' }),
    a.spawn(counter, 0, { on: 'b' }),
  ])
  let arrived = false
  const size = within(a, self =>
    self.ref(heavy).call('bytes', Buffer.alloc(100_000_000), { timeoutMs: 60_000 }),
  ).finally(() => (arrived = true))
  let answered = 0
  while (!arrived) answered = await light.call('add', 1)
  t.equal(await size, 100_000_000)
  t.ok(answered > 20, `${answered} small calls were answered meanwhile`)
  t.strictSame(lost, [])
})
