/**
 * What Erlang/OTP promises about exits, links, monitors, aliases, names, sends, receives and timers, one subtest per
 * rule, through the public API alone. Where one event loop cannot do the same, the title says what stands instead.
 */
import t from 'tap'
import { defineActor } from '../lib/index.js'
import type { DownSignal } from '../lib/process/mail.js'
import { bareNode } from './support/bare-node.js'
import { corpse, linkedPuppet, plain, puppet, reasonOf, refusal, tell, watch } from './support/puppet.js'

/** A trapping or not trapping A, linked to B. */
async function linkedPair(test: Parameters<typeof bareNode>[0], trapExit: boolean) {
  const { node, clock } = await bareNode(test)
  const a = puppet(node, { trapExit })
  const b = puppet(node)
  await a.ask(self => self.link(b.pid))
  return { node, clock, a, b }
}

// --- exit -----------------------------------------------------------------------------------------------------------

t.test('exit-001: a trapping process is told of the normal end of a linked one, and lives on', async t => {
  const { node, a, b } = await linkedPair(t, true)
  b.end()
  t.strictSame(plain(await a.next()), { exit: b.pid, reason: 'normal' }, 'told')
  t.strictSame(await a.mail(), [], 'once')
  t.ok(node.isAlive(a.pid), 'alive')
})

t.test('exit-002: a process that does not trap is unaffected by the normal end of a linked one', async t => {
  const { node, a, b } = await linkedPair(t, false)
  t.equal(await reasonOf(node, b.pid, b.end), 'normal', 'B ended normally')
  t.strictSame(await a.mail(), [], 'A hears nothing')
  t.ok(node.isAlive(a.pid), 'A lives')
})

t.test('exit-003: a process that does not trap dies with the shutdown of a linked one', async t => {
  const { node, a, b } = await linkedPair(t, false)
  t.equal(await reasonOf(node, a.pid, () => b.tell(self => self.exit('shutdown'))), 'shutdown')
})

t.test('exit-004: a trapping process is told { shutdown: x } as it is', async t => {
  const { a, b } = await linkedPair(t, true)
  b.tell(self => self.exit({ shutdown: 'x' }))
  t.strictSame(plain(await a.next()), { exit: b.pid, reason: { shutdown: 'x' } })
})

t.test('exit-005: a raised error is the reason itself, stack and all, for whoever is linked', async t => {
  const { node, a, b } = await linkedPair(t, false)
  const oops = new Error('oops')
  const [down, ofB] = [await watch(node, a.pid), await watch(node, b.pid)]
  b.tell(() => {
    throw oops
  })
  t.equal((await ofB.down).reason, oops, 'B ended with the error')
  t.equal((await down.down).reason, oops, 'A ended with the same')
  t.match(((await down.down).reason as Error).stack, /oops/, 'with its stack')
})

t.test('exit-006: an uncaught throw of another value is wrapped as nocatch', async t => {
  const { a, b } = await linkedPair(t, true)
  b.tell(() => {
    throw 'ball'
  })
  t.strictSame(plain(await a.next()), { exit: b.pid, reason: { nocatch: 'ball' } })
})

t.test('exit-007: the signal kill ends a trapping process, and watchers see killed', async t => {
  const { node } = await bareNode(t)
  const [a, b] = [puppet(node), puppet(node, { trapExit: true })]
  t.equal(await reasonOf(node, b.pid, () => a.ask(self => self.exit(b.pid, 'kill'))), 'killed')
  t.notOk(node.isAlive(b.pid), 'B is dead')
})

t.test('exit-008: whoever is linked to a process that a third one killed is told killed', async t => {
  const { node, a, b } = await linkedPair(t, true)
  await puppet(node).ask(self => self.exit(b.pid, 'kill'))
  t.strictSame(plain(await a.next()), { exit: b.pid, reason: 'killed' })
})

t.test(
  'exit-009: a process that ends itself with the reason kill can be trapped: the reason is kill',
  async t => {
    const { node, a, b } = await linkedPair(t, true)
    b.tell(self => self.exit('kill'))
    t.strictSame(plain(await a.next()), { exit: b.pid, reason: 'kill' }, 'told')
    t.ok(node.isAlive(a.pid), 'alive')
  },
)

t.test(
  'exit-010: a process that does not trap dies with kill, not killed, when a linked one ended itself so',
  async t => {
    const { node, a, b } = await linkedPair(t, false)
    t.equal(await reasonOf(node, a.pid, () => b.tell(self => self.exit('kill'))), 'kill')
  },
)

t.test('exit-011: the signal normal does nothing to a process that does not trap', async t => {
  const { node } = await bareNode(t)
  const [a, b] = [puppet(node), puppet(node)]
  await a.ask(self => self.exit(b.pid, 'normal'))
  t.ok(node.isAlive(b.pid), 'alive')
  t.strictSame(await b.mail(), [], 'no message')
})

t.test('exit-012: the signal normal reaches a trapping process as a message from its sender', async t => {
  const { node } = await bareNode(t)
  const [a, b] = [puppet(node), puppet(node, { trapExit: true })]
  await a.ask(self => self.exit(b.pid, 'normal'))
  t.strictSame((await b.mail()).map(plain), [{ exit: a.pid, reason: 'normal' }])
})

t.test('exit-013: any other signal ends a process that does not trap, with its reason', async t => {
  const { node } = await bareNode(t)
  const [a, b] = [puppet(node), puppet(node)]
  t.equal(await reasonOf(node, b.pid, () => a.ask(self => self.exit(b.pid, 'boom'))), 'boom')
})

t.test(
  'exit-014: the signal normal that a process sends to itself ends it, when it does not trap',
  async t => {
    const { node } = await bareNode(t)
    const a = puppet(node)
    const { down } = await watch(node, a.pid)
    const wasAlive = await new Promise(resolve =>
      a.tell(self => {
        self.exit(self.self, 'normal')
        resolve(node.isAlive(a.pid))
      }),
    )
    t.equal(wasAlive, false, 'at once')
    t.equal((await down).reason, 'normal', 'with normal')
  },
)

t.test('exit-015: a trapping process that signals itself goes on and later finds the message', async t => {
  const { node } = await bareNode(t)
  const a = puppet(node, { trapExit: true })
  t.ok(
    await a.ask(self => {
      self.exit(self.self, 'boom')
      return node.isAlive(a.pid)
    }),
    'goes on',
  )
  t.strictSame((await a.mail()).map(plain), [{ exit: a.pid, reason: 'boom' }], 'told by itself')
})

t.test('exit-016: the signal killed is nothing special and can be trapped', async t => {
  const { node } = await bareNode(t)
  const [a, b] = [puppet(node), puppet(node, { trapExit: true })]
  await a.ask(self => self.exit(b.pid, 'killed'))
  t.strictSame((await b.mail()).map(plain), [{ exit: a.pid, reason: 'killed' }], 'told')
  t.ok(node.isAlive(b.pid), 'alive')
})

t.test(
  'exit-017: a signal to a process that is no more does nothing and is no error (returns nothing, for true)',
  async t => {
    const { node } = await bareNode(t)
    const dead = await corpse(node)
    const a = puppet(node)
    t.equal(await a.ask(self => self.exit(dead, 'boom')), undefined, 'from a process')
    t.equal(node.exit(dead, 'boom'), undefined, 'from outside')
    t.strictSame(await a.mail(), [], 'nothing comes back')
    t.ok(node.isAlive(a.pid), 'the sender lives')
  },
)

t.test('exit-018: a reason runs along a chain of links', async t => {
  const { node } = await bareNode(t)
  const [a, b, c] = [puppet(node), puppet(node), puppet(node)]
  await b.ask(self => self.link(a.pid))
  await c.ask(self => self.link(b.pid))
  const [ofA, ofB] = [await watch(node, a.pid), await watch(node, b.pid)]
  c.tell(self => self.exit('boom'))
  t.strictSame([(await ofA.down).reason, (await ofB.down).reason], ['boom', 'boom'])
})

t.test('exit-019: a trapping process stops the chain', async t => {
  const { node } = await bareNode(t)
  const [a, b, c] = [puppet(node), puppet(node, { trapExit: true }), puppet(node)]
  await b.ask(self => self.link(a.pid))
  await c.ask(self => self.link(b.pid))
  c.tell(self => self.exit('boom'))
  t.strictSame(plain(await b.next()), { exit: c.pid, reason: 'boom' }, 'one message')
  t.strictSame(await b.mail(), [], 'and no more')
  t.strictSame([node.isAlive(a.pid), node.isAlive(b.pid)], [true, true], 'both live')
})

t.test('exit-020: whoever kills a process and asks at once is told that it is not alive', async t => {
  const { node } = await bareNode(t)
  const [a, b] = [puppet(node), puppet(node)]
  const alive = await a.ask(self => {
    const before = node.isAlive(b.pid)
    self.exit(b.pid, 'kill')
    return [before, node.isAlive(b.pid)]
  })
  t.strictSame(alive, [true, false])
})

t.test('exit-021: trapExit returns what it was before', async t => {
  const { node } = await bareNode(t)
  const were = await puppet(node).ask(self => [
    self.trapExit(true),
    self.trapExit(true),
    self.trapExit(false),
  ])
  t.strictSame(were, [false, true, true])
})

t.test('exit-022: an exit message that is in the mailbox survives turning the flag off', async t => {
  const { node, a, b } = await linkedPair(t, true)
  await reasonOf(node, b.pid, b.end)
  t.equal(await a.ask(self => self.trapExit(false)), true, 'off')
  t.strictSame((await a.mail()).map(plain), [{ exit: b.pid, reason: 'normal' }], 'still there')
})

// --- link -----------------------------------------------------------------------------------------------------------

t.test('link-001: a trapping process that links to a dead one is told noproc', async t => {
  const { node } = await bareNode(t)
  const dead = await corpse(node)
  const a = puppet(node, { trapExit: true })
  await a.ask(self => self.link(dead))
  t.strictSame(plain(await a.next()), { exit: dead, reason: 'noproc' })
})

t.test(
  'link-002: a process that does not trap gets an error to catch when it links to a dead one',
  async t => {
    const { node } = await bareNode(t)
    const dead = await corpse(node)
    const a = puppet(node)
    t.equal((await refusal(a.ask(self => self.link(dead)))).code, 'ERR_NOPROC', 'thrown')
    t.ok(node.isAlive(a.pid), 'it lives')
    t.strictSame(await a.mail(), [], 'and hears no more of it')
  },
)

t.test('link-003: a link to itself does nothing', async t => {
  const { node } = await bareNode(t)
  const a = puppet(node, { trapExit: true })
  await a.ask(self => self.link(a.pid))
  t.strictSame(await a.mail(), [], 'no message')
  t.equal(node.processes().find(p => p.pid === a.pid)?.links, 0, 'no link')
  t.equal(await reasonOf(node, a.pid, a.end), 'normal', 'and it ends as it would')
})

t.test('link-004: two links of one pair are one, so one unlink ends it', async t => {
  const { node, a, b } = await linkedPair(t, false)
  await a.ask(self => self.link(b.pid))
  await a.ask(self => self.unlink(b.pid))
  t.equal(await reasonOf(node, b.pid, () => b.tell(self => self.exit('boom'))), 'boom', 'B is gone')
  t.ok(node.isAlive(a.pid), 'A is unaffected')
})

t.test('link-005: after unlink a trapping process hears nothing of the other', async t => {
  const { node, a, b } = await linkedPair(t, true)
  await a.ask(self => self.unlink(b.pid))
  await reasonOf(node, b.pid, () => b.tell(self => self.exit('boom')))
  t.strictSame(await a.mail(), [])
})

t.test('link-006: unlink leaves an exit message that is in the mailbox already', async t => {
  const { node, a, b } = await linkedPair(t, true)
  await reasonOf(node, b.pid, () => b.tell(self => self.exit('boom')))
  await a.ask(self => self.unlink(b.pid))
  t.strictSame((await a.mail()).map(plain), [{ exit: b.pid, reason: 'boom' }])
})

t.test('link-007: unlink of a process that was never linked succeeds and does nothing', async t => {
  const { node } = await bareNode(t)
  const [a, b] = [puppet(node), puppet(node)]
  const dead = await corpse(node)
  await a.ask(self => {
    self.unlink(b.pid)
    self.unlink(dead)
  })
  t.strictSame([node.isAlive(a.pid), node.isAlive(b.pid)], [true, true], 'both live')
  t.strictSame([await a.mail(), await b.mail()], [[], []], 'neither hears anything')
})

t.test('link-008: a linked child that fails at once is always noticed', async t => {
  const { node } = await bareNode(t)
  const a = puppet(node, { trapExit: true })
  const failure = new Error('at once')
  const children = await a.ask(self =>
    Array.from({ length: 100 }, () =>
      self.run(
        () => {
          throw failure
        },
        { link: true },
      ),
    ),
  )
  const told: unknown[] = []
  for (const _ of children) told.push(plain(await a.next()))
  t.strictSame(
    told,
    children.map(pid => ({ exit: pid, reason: failure })),
    'each of 100, in order',
  )
})

t.test('link-009: a child lives on when the linked parent that started it ends normally', async t => {
  const { node } = await bareNode(t)
  const a = puppet(node)
  const child = await a.ask(self => linkedPuppet(self))
  t.equal(await reasonOf(node, a.pid, a.end), 'normal', 'the parent ended')
  t.ok(node.isAlive(child), 'the child lives')
  t.equal(
    await reasonOf(node, child, () => tell(node, child, self => self.exit('later'))),
    'later',
    'and works',
  )
})

// --- monitor --------------------------------------------------------------------------------------------------------

t.test('monitor-001: a monitor of a dead process gives one down, with noproc', async t => {
  const { node } = await bareNode(t)
  const dead = await corpse(node)
  const a = puppet(node)
  const ref = await a.ask(self => self.monitor(dead))
  t.strictSame(
    plain(await a.next()),
    { down: ref, pid: dead, reason: 'noproc', target: undefined, tag: undefined },
    'told',
  )
  t.strictSame(await a.mail(), [], 'once')
})

t.test('monitor-002: two monitors give two downs, each with its own ref', async t => {
  const { node } = await bareNode(t)
  const [a, b] = [puppet(node), puppet(node)]
  const refs = await a.ask(self => [self.monitor(b.pid), self.monitor(b.pid)])
  await reasonOf(node, b.pid, () => b.tell(self => self.exit('boom')))
  const downs = (await a.mail()) as DownSignal[]
  t.strictSame(
    downs.map(({ reason, pid }) => ({ reason, pid })),
    [
      { reason: 'boom', pid: b.pid },
      { reason: 'boom', pid: b.pid },
    ],
    'two',
  )
  t.strictSame(downs.map(down => String(down.ref)).sort(), refs.map(String).sort(), 'the two refs')
  t.not(String(refs[0]), String(refs[1]), 'which differ')
})

t.test('monitor-003: a normal end gives a down with normal', async t => {
  const { node } = await bareNode(t)
  const [a, b] = [puppet(node), puppet(node)]
  const ref = await a.ask(self => self.monitor(b.pid))
  b.end()
  t.strictSame(plain(await a.next()), {
    down: ref,
    pid: b.pid,
    reason: 'normal',
    target: undefined,
    tag: undefined,
  })
})

t.test('monitor-004: the death of the watcher does nothing to the watched', async t => {
  const { node } = await bareNode(t)
  const [a, b] = [puppet(node), puppet(node, { trapExit: true })]
  await a.ask(self => self.monitor(b.pid))
  node.exit(a.pid, 'kill')
  t.ok(node.isAlive(b.pid), 'alive')
  t.strictSame(await b.mail(), [], 'and told nothing')
})

t.test('monitor-005: the down of a monitor by name says the name and the node', async t => {
  const { node } = await bareNode(t)
  const [a, b] = [puppet(node), puppet(node)]
  await node.register('n', b.pid, { scope: 'node' })
  const ref = await a.ask(self => self.monitor('n'))
  b.tell(self => self.exit('boom'))
  const target = { name: 'n', node: node.name }
  t.strictSame(plain(await a.next()), { down: ref, pid: b.pid, reason: 'boom', target, tag: undefined })
})

t.test(
  'monitor-006: a monitor of a name that nobody has gives noproc with the name and the node',
  async t => {
    const { node } = await bareNode(t)
    const a = puppet(node)
    const ref = await a.ask(self => self.monitor('n'))
    const target = { name: 'n', node: node.name }
    t.strictSame(plain(await a.next()), {
      down: ref,
      pid: undefined,
      reason: 'noproc',
      target,
      tag: undefined,
    })
  },
)

t.test('monitor-007: demonitor leaves a down that is in the mailbox already', async t => {
  const { node } = await bareNode(t)
  const [a, b] = [puppet(node), puppet(node)]
  const ref = await a.ask(self => self.monitor(b.pid))
  await reasonOf(node, b.pid, b.end)
  await a.ask(self => self.demonitor(ref))
  t.strictSame((await a.mail()).map(plain), [
    { down: ref, pid: b.pid, reason: 'normal', target: undefined, tag: undefined },
  ])
})

t.test('monitor-008: demonitor with flush takes it out', async t => {
  const { node } = await bareNode(t)
  const [a, b] = [puppet(node), puppet(node)]
  const ref = await a.ask(self => self.monitor(b.pid))
  await reasonOf(node, b.pid, b.end)
  await a.ask(self => self.demonitor(ref, { flush: true }))
  t.strictSame(await a.mail(), [])
})

t.test('monitor-009: demonitor says whether it removed a live monitor', async t => {
  const { node } = await bareNode(t)
  const [a, b] = [puppet(node), puppet(node)]
  const ref = await a.ask(self => self.monitor(b.pid))
  t.strictSame(await a.ask(self => [self.demonitor(ref), self.demonitor(ref)]), [true, false])
})

t.test('monitor-010: what a process sent before it died arrives before its down', async t => {
  const { node } = await bareNode(t)
  const [a, b] = [puppet(node), puppet(node)]
  const ref = await a.ask(self => self.monitor(b.pid))
  b.tell(self => {
    for (const n of [1, 2, 3]) self.send(a.pid, n)
    self.exit('done')
  })
  const seen = [await a.next(), await a.next(), await a.next(), plain(await a.next())]
  t.strictSame(seen, [1, 2, 3, { down: ref, pid: b.pid, reason: 'done', target: undefined, tag: undefined }])
})

t.test('monitor-011: who is told of a death finds the name free and the process dead', async t => {
  const { node } = await bareNode(t)
  const [a, b] = [puppet(node), puppet(node)]
  await node.register('n', b.pid, { scope: 'node' })
  t.equal(node.whereis('n')?.pid, b.pid, 'held before')
  await a.ask(self => self.monitor(b.pid))
  const seen = a.ask(async self => {
    await self.receive(m => (m as DownSignal).type === 'down')
    return [node.whereis('n'), node.isAlive(b.pid)]
  })
  b.tell(self => self.exit('boom'))
  t.strictSame(await seen, [undefined, false])
})

t.test('monitor-012: a process that is spawned with a monitor and exits at once is never lost', async t => {
  const { node } = await bareNode(t)
  const quick = defineActor('quick', {
    init: (_: void, ctx) => {
      ctx.continue(null)
      return {}
    },
    continue: (_s, _v, ctx) => ctx.stop('quick'),
  })
  const a = puppet(node)
  const refs = await a.ask(async self => {
    const spawned = []
    for (let i = 0; i < 100; i++) spawned.push(await self.spawn(quick, undefined, { monitor: true }))
    return spawned
  })
  const told: unknown[] = []
  for (const _ of refs) told.push(plain(await a.next()))
  t.strictSame(
    told,
    refs.map(({ monitor, pid }) => ({
      down: monitor,
      pid,
      reason: 'quick',
      target: undefined,
      tag: undefined,
    })),
    'each of 100, once',
  )
  t.strictSame(await a.mail(), [], 'and nothing else')
})

t.test('monitor-013: the down carries the tag that the monitor was given', async t => {
  const { node } = await bareNode(t)
  const [a, b] = [puppet(node), puppet(node)]
  const tag = { job: 7 }
  const ref = await a.ask(self => self.monitor(b.pid, { tag }))
  b.end()
  t.strictSame(plain(await a.next()), { down: ref, pid: b.pid, reason: 'normal', target: undefined, tag })
})

// --- alias ----------------------------------------------------------------------------------------------------------

t.test('alias-001: what is sent to an alias arrives until the alias is removed', async t => {
  const { node } = await bareNode(t)
  const [a, b] = [puppet(node), puppet(node)]
  const alias = await a.ask(self => self.alias())
  await b.ask(self => self.send(alias, 'first'))
  t.equal(await a.ask(self => self.unalias(alias)), true, 'removed')
  await b.ask(self => self.send(alias, 'second'))
  t.strictSame(await a.mail(), ['first'])
})

t.test('alias-002: a reply alias takes one message', async t => {
  const { node } = await bareNode(t)
  const [a, b] = [puppet(node), puppet(node)]
  const alias = await a.ask(self => self.alias({ reply: true }))
  await b.ask(self => {
    self.send(alias, 'first')
    self.send(alias, 'second')
  })
  t.strictSame(await a.mail(), ['first'])
})

t.test('alias-003: the first reply ends an alias of reply_demonitor, and its monitor', async t => {
  const { node } = await bareNode(t)
  const [a, b] = [puppet(node), puppet(node)]
  const ref = await a.ask(self => self.monitor(b.pid, { alias: 'reply_demonitor' }))
  await b.ask(self => {
    self.send(ref, 'r1')
    self.send(ref, 'r2')
  })
  t.equal(await reasonOf(node, b.pid, b.end), 'normal', 'B is gone')
  t.strictSame(await a.mail(), ['r1'], 'no second reply, no down')
})

// --- send and receive -----------------------------------------------------------------------------------------------

t.test('send-001: a send to the pid of a dead process is no error', async t => {
  const { node } = await bareNode(t)
  const dead = await corpse(node)
  t.equal(await puppet(node).ask(self => self.send(dead, 'x')), 'ok', 'from a process')
  t.equal(node.send(dead, 'x'), 'ok', 'from outside')
})

t.test('send-002: a send to a local name that nobody has is an error to the sender', async t => {
  const { node } = await bareNode(t)
  t.equal((await refusal(puppet(node).ask(self => self.send('n', 'x')))).code, 'ERR_NAME', 'from a process')
  t.throws(() => node.send('n', 'x'), { code: 'ERR_NAME' }, 'from outside')
})

t.test('send-003: a send to a name on a node, free there, is dropped without an error', async t => {
  const { node } = await bareNode(t)
  t.equal(await puppet(node).ask(self => self.send({ name: 'n', node: node.name }, 'x')), 'ok')
})

t.test('send-004: each sender is heard in its own order, whatever comes between', async t => {
  const { node } = await bareNode(t)
  const [a, b, c] = [puppet(node), puppet(node), puppet(node)]
  const fifty = (letter: string) => Array.from({ length: 50 }, (_, i) => `${letter}${i}`)
  await Promise.all(
    [
      { from: a, letter: 'm' },
      { from: c, letter: 'n' },
    ].map(({ from, letter }) =>
      from.ask(async self => {
        for (const message of fifty(letter)) {
          self.send(b.pid, message)
          await null
        }
      }),
    ),
  )
  const seen = (await b.mail()) as string[]
  t.equal(seen.length, 100, 'all')
  for (const letter of ['m', 'n'])
    t.strictSame(
      seen.filter(m => m.startsWith(letter)),
      fifty(letter),
      `${letter} in order`,
    )
})

t.test('receive-001: a selective receive leaves the others in their order', async t => {
  const { node } = await bareNode(t)
  const a = puppet(node)
  for (const message of ['a', 'b', 'c', 'd']) node.send(a.pid, message)
  const first = await a.ask(self => self.receive(m => m === 'c'))
  t.strictSame([first, await a.next(), await a.next(), await a.next()], ['c', 'a', 'b', 'd'])
})

t.test('receive-002: a receive with a timeout of 0 takes a message that is there', async t => {
  const { node } = await bareNode(t)
  const a = puppet(node)
  node.send(a.pid, 'm')
  t.equal(await a.ask(self => self.receive(m => m === 'm', { timeoutMs: 0 })), 'm', 'taken')
  t.equal(
    (await refusal(a.ask(self => self.receive(m => m === 'm', { timeoutMs: 0 })))).code,
    'ERR_TIMEOUT',
    'then none',
  )
})

// --- name -----------------------------------------------------------------------------------------------------------

t.test('name-001: a name that is held cannot be taken by another process', async t => {
  const { node } = await bareNode(t)
  const [a, b] = [puppet(node), puppet(node)]
  await node.register('n', a.pid, { scope: 'node' })
  const { code, detail } = await refusal((async () => node.register('n', b.pid, { scope: 'node' }))())
  t.strictSame([code, detail['pid']], ['ERR_ALREADY_STARTED', a.pid], 'refused, with the holder')
  t.equal(node.whereis('n')?.pid, a.pid, 'still held')
})

t.test('name-002: the name of a killed process is free before watchers are told', async t => {
  const { node } = await bareNode(t)
  const [a, b] = [puppet(node), puppet(node)]
  await node.register('n', a.pid, { scope: 'node' })
  await b.ask(self => self.monitor(a.pid))
  const seen = b.ask(async self => {
    await self.receive(m => (m as DownSignal).type === 'down')
    return node.whereis('n')
  })
  node.exit(a.pid, 'kill')
  t.equal(node.whereis('n'), undefined, 'free as soon as the kill returns')
  t.equal(await seen, undefined, 'free for who is told')
  await node.register('n', b.pid, { scope: 'node' })
  t.equal(node.whereis('n')?.pid, b.pid, 'and can be taken')
})

t.test('name-003: a dead process cannot be given a name', async t => {
  const { node } = await bareNode(t)
  const dead = await corpse(node)
  for (const scope of ['node', 'cluster'] as const) {
    const { code, detail } = await refusal((async () => node.register('n', dead, { scope }))())
    t.strictSame([code, detail['pid']], ['ERR_NOPROC', dead], `refused, scope ${scope}`)
    t.equal(node.whereis('n'), undefined, 'free')
    t.strictSame(node.names(), [], 'nothing is kept of it')
  }
})

t.test('name-004: unregister of a free name says false and harms nobody', async t => {
  const { node } = await bareNode(t)
  const a = puppet(node)
  await node.register('m', a.pid, { scope: 'node' })
  t.equal(await node.unregister('n', { scope: 'node' }), false, 'false')
  t.strictSame([node.isAlive(a.pid), node.whereis('m')?.pid], [true, a.pid], 'others keep theirs')
  t.equal(await node.unregister('m', { scope: 'node' }), true, 'true for a name that is held')
  t.strictSame([node.isAlive(a.pid), node.whereis('m')], [true, undefined], 'and its holder lives on')
})

// --- timer ----------------------------------------------------------------------------------------------------------

t.test('timer-001: a cancelled timer says how much was left, then false', async t => {
  const { node, clock } = await bareNode(t)
  const a = puppet(node)
  const ref = await a.ask(self => self.sendAfter(1_000, a.pid, 'x'))
  clock.advance(400)
  t.strictSame(
    await a.ask(self => [self.readTimer(ref), self.cancelTimer(ref), self.cancelTimer(ref)]),
    [600, 600, false],
    'left',
  )
  clock.advance(1_000)
  t.strictSame(await a.mail(), [], 'nothing comes')
})

t.test('timer-002: to cancel a timer that fired says false, and its message stays', async t => {
  const { node, clock } = await bareNode(t)
  const a = puppet(node)
  const ref = await a.ask(self => self.sendAfter(10, a.pid, 'x'))
  clock.advance(10)
  t.equal(await a.ask(self => self.cancelTimer(ref)), false, 'false')
  t.strictSame(await a.mail(), ['x'], 'delivered')
})

t.test('timer-003: timers deliver in the order of their deadlines', async t => {
  const { node, clock } = await bareNode(t)
  const a = puppet(node)
  await a.ask(self => {
    for (const ms of [30, 10, 20]) self.sendAfter(ms, a.pid, ms)
  })
  clock.advance(30)
  t.strictSame(await a.mail(), [10, 20, 30])
})

t.test('timer-004: timers with one deadline deliver in the order they were made', async t => {
  const { node, clock } = await bareNode(t)
  const a = puppet(node)
  await a.ask(self => {
    for (const n of [1, 2, 3]) self.sendAfter(20, a.pid, n)
  })
  clock.advance(5)
  await a.ask(self => {
    for (const n of [4, 5]) self.sendAfter(15, a.pid, n)
  })
  clock.advance(15)
  t.strictSame(await a.mail(), [1, 2, 3, 4, 5])
})

t.test('timer-005: a timer goes when the process it is meant for dies', async t => {
  const { node, clock } = await bareNode(t)
  const [a, b] = [puppet(node), puppet(node)]
  const ref = await a.ask(self => self.sendAfter(10, b.pid, 'x'))
  t.equal(await a.ask(self => self.readTimer(ref)), 10, 'set')
  await reasonOf(node, b.pid, b.end)
  t.equal(await a.ask(self => self.readTimer(ref)), false, 'gone')
  const letters: unknown[] = []
  node.on('dead-letter', letter => letters.push(letter))
  clock.advance(10)
  await a.mail()
  t.strictSame(letters, [], 'nothing is sent')
})

t.test('timer-006: a timer to a name reaches who holds it when it fires', async t => {
  const { node, clock } = await bareNode(t)
  const [a, b] = [puppet(node), puppet(node)]
  await a.ask(self => self.sendAfter(10, 'n', 'x'))
  clock.advance(9)
  await node.register('n', b.pid, { scope: 'node' })
  clock.advance(1)
  t.equal(await b.next(), 'x')
})

t.test('timer-007: a timer fires for another process though its maker died', async t => {
  const { node, clock } = await bareNode(t)
  const [a, b] = [puppet(node), puppet(node)]
  await a.ask(self => self.sendAfter(10, b.pid, 'x'))
  await reasonOf(node, a.pid, a.end)
  clock.advance(10)
  t.equal(await b.next(), 'x')
})

t.test('timer-008: startTimer delivers the ref that it returned, and the message', async t => {
  const { node, clock } = await bareNode(t)
  const a = puppet(node)
  const ref = await a.ask(self => self.startTimer(10, a.pid, 'm'))
  clock.advance(10)
  t.strictSame((await a.mail()).map(plain), [{ timer: ref, message: 'm' }])
})

t.test('timer-009: a negative delay is a mistake of the caller', async t => {
  const { node } = await bareNode(t)
  const a = puppet(node)
  for (const make of ['sendAfter', 'startTimer', 'sendEvery'] as const) {
    await t.rejects(
      a.ask(self => self[make](-1, a.pid, 'x')),
      { name: 'RangeError', message: /expected .*, got -1/ },
      make,
    )
  }
  t.strictSame(await a.mail(), [], 'nothing comes')
})

t.test('timer-010: an interval stops when the process it is meant for dies', async t => {
  const { node, clock } = await bareNode(t)
  const [a, b] = [puppet(node), puppet(node)]
  const timers = () => node.stats().counters['process.timers']
  const before = timers()
  const ref = await a.ask(self => self.sendEvery(10, b.pid, 'tick'))
  clock.advance(9)
  t.strictSame(await b.mail(), [], 'first after one period')
  clock.advance(21)
  t.strictSame(await b.mail(), ['tick', 'tick', 'tick'], 'then every period')
  await reasonOf(node, b.pid, b.end)
  t.equal(await a.ask(self => self.readTimer(ref)), false, 'stopped')
  t.equal(timers(), before, 'and not kept running')
  const letters: unknown[] = []
  node.on('dead-letter', letter => letters.push(letter))
  clock.advance(100)
  await a.mail()
  t.strictSame(letters, [], 'nothing is sent any more')
})
