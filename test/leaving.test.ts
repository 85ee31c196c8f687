/**
 * Leaving, and living with other versions: what members, callers, links and names see of a node that goes on purpose,
 * of a whole cluster restarted node by node under load, and of nodes that speak less, more, or something else.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'

import t, { type Test } from 'tap'
import type { ActorRef, From, Node, NodeEvents, Self } from '../lib/actor/api.js'
import type { Logger } from '../lib/base/log.js'
import type { Speech } from '../lib/base/runtime.js'
import { createNode, defineActor, TroupeError } from '../lib/index.js'
import { Feature, SPEECH } from '../lib/mesh/speech.js'
import type { NodeOptions } from '../lib/node/options.js'
import { createTestMesh, type TestMesh } from '../lib/sim/test-mesh.js'

/** Answers after so many ms, of its node's clock. */
const sleeper = defineActor('sleeper', {
  init: () => ({ asleep: [] as From[] }),
  calls: {
    sleep: (state, ms: number, ctx) => {
      state.asleep.push(ctx.from)
      ctx.sendAfter(ms, ctx.self, 'wake')
      return ctx.later<string>()
    },
  },
  info: state => state.asleep.shift()?.reply('woken'),
})

/** Takes its time for each call, and nothing else meanwhile: what `at` another node keeps it, no shutdown hastens. */
const worker = defineActor('worker', {
  init: (at: string, ctx) => {
    ctx.trapExit(at !== 'local')
    return { at, done: 0 }
  },
  calls: {
    work: async (state, ms: number, ctx) => {
      const beside = await ctx.spawn(sleeper, undefined, { on: state.at })
      await ctx.call(beside, 'sleep', ms, { timeoutMs: 60_000 })
      return (state.done += 1)
    },
  },
})

const counter = defineActor('counter', {
  init: (start: number) => ({ value: start }),
  calls: { add: (state, by: number) => (state.value += by), echo: (_state, bytes: Buffer) => bytes.length },
  casts: { note: () => {} },
})

const ACTORS = [sleeper, worker, counter]

const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    value => value,
    error => (TroupeError.is(error) ? error.code : error),
  )

type Membership = 'member:up' | 'member:suspect' | 'member:down' | 'member:left' | 'member:updated'

/** What a node tells of its members, as words. */
function log(node: Node, to: string[] = []): string[] {
  for (const event of ['member:up', 'member:suspect', 'member:down', 'member:left'] as const)
    node.on(event as Membership, ({ member }) => void to.push(`${member.name} ${event.slice(7)}`))
  node.on('member:updated', ({ member }) => void to.push(`${member.name} ${member.state}`))
  return to
}

const stateOf = (node: Node, name: string): string | undefined =>
  node.members().members.find(member => member.name === name)?.state

/** Runs `fn` as a process of `node`; what it returns. */
const within = <R>(node: Node, fn: (self: Self) => Promise<R>): Promise<R> =>
  new Promise((resolve, reject) => void node.run(self => fn(self).then(resolve, reject)))

const reasonOf = (mail: unknown): unknown => (mail as { reason?: unknown }).reason

async function three(t: Test, seed: number, options: NodeOptions = {}) {
  const mesh = await createTestMesh({ nodes: 3, seed, actors: ACTORS, options })
  t.teardown(() => mesh.stop())
  return { mesh, a: mesh.node('a'), b: mesh.node('b'), c: mesh.node('c') }
}

t.test(
  'a node that leaves says so, hands over at once, finishes what is under way, and has left',
  async t => {
    const { mesh, a, b, c } = await three(t, 1)
    await mesh.run(b.spawn(counter, 7, { name: 'kept', restart: 'permanent' }))
    await mesh.run(b.spawn(counter, 7, { name: 'passing' }))
    const busy = await mesh.run(a.spawn(worker, 'local', { on: 'b' }))
    const [heardA, heardC] = [log(a), log(c)]
    const answer = busy.call('work', 3_000)
    await mesh.advance(100)
    const stopped = b.stop({ drainMs: 10_000 })
    await mesh.advance(500)

    t.strictSame([stateOf(a, 'b'), stateOf(c, 'b'), stateOf(b, 'b')], ['leaving', 'leaving', 'leaving'])
    t.match(b.health(), { ready: false, live: true, reasons: [{ why: 'leaving' }], state: 'stopping' })
    const holder = a.whereis('kept')?.pid.node
    t.ok(holder === 'a' || holder === 'c', `the name is back while its last node still drains: on ${holder}`)
    t.equal(await mesh.run(c.named('kept', counter).call('add', 0)), 7)
    t.strictSame(
      [
        await mesh.run(codeOf(a.spawn(counter, 0, { on: 'b' }))),
        await mesh.run(codeOf(b.spawn(counter, 0, { name: 'late' }))),
        await mesh.run(codeOf(Promise.resolve().then(() => b.register('late', busy.pid)))),
      ],
      ['ERR_STOPPED', 'ERR_STOPPED', 'ERR_STOPPED'],
      'nothing new is taken',
    )
    const before = a.stats().counters['slots.sealed']! + c.stats().counters['slots.sealed']!
    for (const name of ['x', 'y', 'z'])
      t.not((await mesh.run(a.spawn(counter, 0, { name, on: 'ring' }))).pid.node, 'b', 'nor placed there')
    t.equal(a.whereis('passing')?.pid.node, 'b', 'what drains is still itself')

    t.equal(await mesh.run(answer), 1, 'the call under way is answered')
    await mesh.run(stopped)
    await mesh.advance(1_000)
    t.strictSame([heardA, heardC], Array(2).fill(['b leaving', 'b left']))
    t.equal(a.whereis('passing'), undefined)
    t.equal(
      a.stats().counters['slots.sealed']! + c.stats().counters['slots.sealed']! >= before,
      true,
      'its slots were others’ before it went',
    )
    t.match(b.health(), { ready: false, live: false, reasons: [{ why: 'stopped' }], state: 'stopped' })
    t.match(a.health(), { ready: true, live: true, reasons: [], members: 2 })
  },
)

t.test('links and monitors of a node that leaves see its reason, its own pid included', async t => {
  const { mesh, a, b } = await three(t, 2)
  const told = within(a, async self => {
    self.trapExit(true)
    const linked = await self.spawn(counter, 0, { on: 'b', link: true })
    self.monitor(linked.pid)
    self.monitor(b.self)
    const mail = [await self.receive(), await self.receive(), await self.receive()]
    return mail.map(reasonOf)
  })
  await mesh.advance(200)
  const started = mesh.simulation.nowMs
  await mesh.run(b.stop())
  t.strictSame(await mesh.run(told), ['shutdown', 'shutdown', 'shutdown'])
  t.ok(mesh.simulation.nowMs - started < 2_000, 'within two seconds')
})

t.test('what is not finished in time is cancelled, and its callers are told why', async t => {
  const { mesh, a, b } = await three(t, 3)
  const [mild, stubborn] = await mesh.run(
    Promise.all([a.spawn(worker, 'local', { on: 'b' }), a.spawn(worker, 'a', { on: 'b' })]),
  )
  const failure = (ref: ActorRef<typeof worker>) =>
    ref.call('work', 60_000, { timeoutMs: 70_000 }).then(
      () => 'answered',
      (error: TroupeError) => [error.code, error.detail['reason']],
    )
  const answers = Promise.all([failure(mild), failure(mild), failure(stubborn)])
  await mesh.advance(100)
  const startedMs = mesh.simulation.nowMs
  await mesh.run(b.stop({ drainMs: 500 }))
  t.ok(mesh.simulation.nowMs - startedMs < 2_000, 'neither keeps the node')
  t.strictSame(await mesh.run(answers), [
    ['ERR_EXIT', 'shutdown'],
    ['ERR_EXIT', 'shutdown'],
    ['ERR_EXIT', 'killed'],
  ])
})

t.test('whoever said that it leaves has left, whatever ends it', async t => {
  for (const [seed, end] of [
    [4, (mesh: TestMesh) => mesh.kill('b')],
    [5, (mesh: TestMesh) => mesh.crash('b')],
  ] as const) {
    const { mesh, a, b, c } = await three(t, seed)
    const busy = await mesh.run(a.spawn(worker, 'local', { on: 'b' }))
    const answer = codeOf(busy.call('work', 30_000, { timeoutMs: 60_000 }))
    await mesh.run(b.spawn(counter, 1, { name: 'kept', restart: 'permanent' }))
    const [heardA, heardC] = [log(a), log(c)]
    void b.stop({ drainMs: 60_000 })
    await mesh.advance(500)
    end(mesh)
    await mesh.advance(15_000)
    t.equal(await mesh.run(answer), 'ERR_NOCONNECTION')
    const suspicions = (heard: readonly string[]) => heard.filter(line => line !== 'b suspect')
    t.strictSame([suspicions(heardA), suspicions(heardC)], Array(2).fill(['b leaving', 'b left']))
    t.equal(await mesh.run(a.named('kept', counter).call('add', 1)), 2)
  }
})

t.test('a whole cluster may leave at once', async t => {
  const { mesh, a, b, c } = await three(t, 6)
  await mesh.run(a.spawn(counter, 1, { name: 'kept', restart: 'permanent' }))
  const heard = [a, b, c].flatMap(node => log(node))
  const startedMs = mesh.simulation.nowMs
  await mesh.run(Promise.all([a, b, c].map(node => node.stop())))
  t.ok(mesh.simulation.nowMs - startedMs < 2_000)
  t.notOk(heard.some(line => line.endsWith('down')))
  for (const name of ['a', 'b', 'c']) t.equal(mesh.simulation.node(name).holds, 0, 'nothing is held')
})

t.test('five nodes restarted one by one under load: each call is settled, names are always back', async t => {
  const names = ['a', 'b', 'c', 'd', 'e']
  const kept = ['one', 'two', 'three', 'four']
  const mesh = await createTestMesh({ nodes: names, seed: 7, actors: ACTORS })
  t.teardown(() => mesh.stop())
  const heard: string[] = []
  const crashes: unknown[] = []
  const listen = (node: Node): void => {
    log(node, heard)
    node.on('crash', (report: NodeEvents['crash'][0]) => void crashes.push(report))
  }
  for (const node of mesh.nodes) listen(node)
  for (const [i, name] of kept.entries())
    await mesh.run(mesh.node(names[i]!).spawn(counter, 0, { name, restart: 'permanent' }))

  let [asked, answered, loading] = [0, 0, true]
  const codes = new Map<string, number>()
  const lastHeldMs = new Map(kept.map(name => [name, mesh.simulation.nowMs]))
  let worstMs = 0
  const ask = (node: Node, name: string): void => {
    asked += 1
    const ref = node.named(name, counter)
    ref.call('add', 1, { timeoutMs: 2_000 }).then(
      () => {
        answered += 1
        const { nowMs } = mesh.simulation
        worstMs = Math.max(worstMs, nowMs - lastHeldMs.get(name)!)
        lastHeldMs.set(name, nowMs)
      },
      error => {
        const code = TroupeError.is(error) ? error.code : String(error)
        codes.set(code, (codes.get(code) ?? 0) + 1)
      },
    )
    ref.cast('note')
  }
  const load = (): void => {
    if (!loading) return
    for (const node of mesh.nodes)
      if (node.health().state === 'running') for (const name of kept) ask(node, name)
    mesh.simulation.after(25, load)
  }
  load()
  for (const name of names) {
    await mesh.advance(500)
    await mesh.run(mesh.node(name).stop({ drainMs: 1_000 }))
    mesh.kill(name)
    listen(await mesh.run(mesh.boot(name)))
    await mesh.runUntil(() => mesh.nodes.every(node => node.health().ready), { limitMs: 5_000 })
  }
  loading = false
  await mesh.advance(3_000)
  const failed = [...codes.values()].reduce((sum, count) => sum + count, 0)
  t.equal(answered + failed, asked, 'none is silent')
  t.ok(answered > 0.95 * asked, `${answered} of ${asked} answered, else ${JSON.stringify([...codes])}`)
  const typed = ['ERR_EXIT', 'ERR_NOPROC', 'ERR_NOCONNECTION', 'ERR_STOPPED', 'ERR_TIMEOUT']
  t.strictSame(
    [...codes.keys()].filter(code => !typed.includes(code)),
    [],
  )
  t.ok(worstMs < 1_500, `a name was away for ${worstMs} ms at most`)
  t.strictSame(
    heard.filter(line => /down|suspect/.test(line)),
    [],
    'nobody was down, nor suspect',
  )
  t.equal(heard.filter(line => line.endsWith('left')).length, 20)
  t.strictSame(crashes, [])
})

// ---- versions ----

/** A further node of that mesh, which speaks what it is told to. */
async function speaking(t: Test, mesh: TestMesh, name: string, speech: Speech, options: NodeOptions = {}) {
  const starting = createNode({
    name,
    listen: `${name}:7000`,
    seeds: ['a:7000'],
    insecure: true,
    logger: false,
    actors: ACTORS,
    ...options,
    runtime: { ...mesh.simulation.runtime(name), speech },
  })
  const node = await mesh.run(starting)
  t.teardown(() => mesh.run(node.stop({ drainMs: 0 })))
  return node
}

t.test(
  'a node of the previous minor version joins, works, and is told nothing that it does not know',
  async t => {
    const mesh = await createTestMesh({ nodes: 2, seed: 8, actors: ACTORS })
    t.teardown(() => mesh.stop())
    const [a, b] = [mesh.node('a'), mesh.node('b')]
    const old = await speaking(t, mesh, 'old', { ...SPEECH, features: 0 })
    t.equal(await mesh.run(a.spawn(counter, 1, { name: 'n', on: 'old' }).then(ref => ref.call('add', 1))), 2)
    t.equal(await mesh.run(old.named('n', counter).call('add', 1)), 3)
    await mesh.run(b.spawn(counter, 5, { name: 'kept', restart: 'permanent' }))
    const busy = await mesh.run(a.spawn(worker, 'local', { on: 'b' }))
    const answer = busy.call('work', 1_000)
    await mesh.advance(100)
    const [heardA, heardOld] = [log(a), log(old)]
    const stopped = b.stop({ drainMs: 5_000 })
    await mesh.advance(300)
    t.strictSame([stateOf(a, 'b'), stateOf(old, 'b')], ['leaving', 'alive'], 'who understands it is told')
    t.equal(await mesh.run(answer), 1)
    await mesh.run(stopped)
    await mesh.advance(2_000)
    t.strictSame([heardA, heardOld], [['b leaving', 'b left'], ['b left']])
    t.equal(await mesh.run(old.named('kept', counter).call('add', 0)), 5, 'and its names are back for both')
    t.equal(await mesh.run(a.named('kept', counter).call('add', 0)), 5)
    await mesh.run(old.stop())
    await mesh.advance(500)
    t.strictSame(heardA.slice(2), ['old left'], 'one that cannot announce it says goodbye')
  },
)

t.test(
  'features that only a newer node has are ignored; another wire version is refused at both ends',
  async t => {
    const warnings: string[] = []
    const ignore = (): void => {}
    const logger: Logger = {
      debug: ignore,
      info: ignore,
      warn: text => void warnings.push(text),
      error: ignore,
    }
    const mesh = await createTestMesh({ nodes: 1, seed: 9, actors: ACTORS, options: { logger } })
    t.teardown(() => mesh.stop())
    const newer = await speaking(t, mesh, 'newer', { versions: [1, 2], features: 0xffff_ffff })
    t.equal(await mesh.run(newer.spawn(counter, 1, { on: 'a' }).then(ref => ref.call('add', 1))), 2)
    const refused = speaking(t, mesh, 'other', { versions: [2, 3], features: SPEECH.features })
    await t.rejects(refused, { code: 'ERR_HANDSHAKE', detail: { why: 'wire version 2 to 3 here, 1 there' } })
    t.match(warnings, [/^a: wire version 2 to 3 there, 1 here/])
    t.equal(Feature.limits | Feature.leaving, SPEECH.features)
  },
)

t.test('limits of a peer hold at the send: ERR_TOO_LARGE there, and its session stays', async t => {
  const mesh = await createTestMesh({ nodes: 1, seed: 10, actors: ACTORS })
  t.teardown(() => mesh.stop())
  const a = mesh.node('a')
  const limits = {
    messageBytesMax: 300_000,
    frameBytesMax: 16_384,
    fragmentBytes: 8_192,
    creditBytes: 16_384,
  }
  const small = await speaking(t, mesh, 'small', SPEECH, { limits })
  const before = await speaking(t, mesh, 'before', { ...SPEECH, features: 0 })
  const downs: unknown[] = []
  a.on('nodedown', event => void downs.push(event))
  const there = await mesh.run(a.spawn(counter, 0, { on: 'small' }))
  t.equal(await mesh.run(there.call('echo', Buffer.alloc(290_000))), 290_000, 'in frames that it takes')
  const failure = await mesh.run(there.call('echo', Buffer.alloc(300_001)).catch(error => error))
  t.match(failure, { code: 'ERR_TOO_LARGE', detail: { max: 300_000, node: 'small' } })
  t.equal(await mesh.run(there.call('add', 1)), 1)
  const elsewhere = await mesh.run(a.spawn(counter, 0, { on: 'before' }))
  t.equal(
    await mesh.run(elsewhere.call('echo', Buffer.alloc(1_000_000))),
    1_000_000,
    'others are as they were',
  )
  t.equal(await mesh.run(small.spawn(counter, 0, { on: 'a' }).then(ref => ref.call('add', 1))), 1)
  t.strictSame([downs, before.nodes()], [[], ['a', 'small']])
})

// ---- real processes ----

function root(from = import.meta.dirname): string {
  return existsSync(join(from, 'package.json')) ? from : root(dirname(from))
}

const ACTOR = `
import { defineActor } from ${JSON.stringify(join(import.meta.dirname, '..', 'lib', 'index.js'))}
export const counter = defineActor('counter', {
  init: start => ({ value: start }),
  calls: { add: (state, by) => (state.value += by) },
  casts: { note: () => {} },
})
`

/** `troupe start` as the shell runs it. */
function troupe(t: Test, name: string, seed: string, folder: string) {
  const main = join(root(), '.build', 'lib', 'cli', 'main.js')
  const args = ['start', '--name', name, '--listen', '127.0.0.1:0', '--seed', seed, '--actors', folder]
  const child = spawn(process.execPath, [main, ...args, '--drain', '2000'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  const ended = new Promise<number | null>(resolve => child.once('exit', code => resolve(code)))
  return { child, ended }
}

t.test(
  'SIGTERM under load, one process after the other: calls are settled, names come back, exit 0',
  async t => {
    const folder = t.testdir({ 'counter.mjs': ACTOR })
    const node = await createNode({ name: 'a', listen: '127.0.0.1:0', logger: false, actors: [counter] })
    t.teardown(() => node.stop({ drainMs: 0 }))
    const heard = log(node)
    const up = (name: string) =>
      new Promise<void>(resolve => {
        const listener = ({ member }: NodeEvents['member:up'][0]): void => {
          if (member.name !== name) return
          node.off('member:up', listener)
          resolve()
        }
        node.on('member:up', listener)
      })
    const seed = `127.0.0.1:${node.address?.port}`
    const boot = async (name: string) => {
      const joined = up(name)
      const started = troupe(t, name, seed, folder)
      await joined
      return started
    }
    const running = new Map([
      ['b', await boot('b')],
      ['c', await boot('c')],
    ])
    const names = ['one', 'two']
    for (const name of names) await node.spawn(counter, 0, { name, on: 'ring', restart: 'permanent' })
    let loading = true
    const outcomes: string[] = []
    const client = async (name: string): Promise<void> => {
      while (loading) {
        outcomes.push(
          await node
            .named(name, counter)
            .call('add', 1)
            .then(
              () => 'answered',
              error => (TroupeError.is(error) ? error.code : String(error)),
            ),
        )
      }
    }
    const clients = names.map(client)
    for (const name of ['b', 'c']) {
      const { child, ended } = running.get(name)!
      child.kill('SIGTERM')
      t.equal(await ended, 0, `${name} ended with 0`)
      await boot(name)
    }
    loading = false
    await Promise.all(clients)
    const codes = [...new Set(outcomes)].sort()
    const typed = ['answered', 'ERR_EXIT', 'ERR_NOPROC', 'ERR_NOCONNECTION', 'ERR_TIMEOUT']
    t.strictSame(
      codes.filter(code => !typed.includes(code)),
      [],
      codes.join(' '),
    )
    t.strictSame(
      heard.filter(line => /down|suspect/.test(line)),
      [],
    )
    t.strictSame(
      heard.filter(line => /left/.test(line)),
      ['b left', 'c left'],
    )
    t.ok(outcomes.filter(outcome => outcome === 'answered').length > 100)
    for (const name of names) t.type(await node.named(name, counter).call('add', 0), 'number')
  },
)
