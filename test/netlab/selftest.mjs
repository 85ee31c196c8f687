import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { countCalls, Disk, runKilledAt } from './disk.mjs'
import { check, enterWorld, Lab } from './lab.mjs'
import { nemesis, play } from './nemesis.mjs'
import { here } from './world.mjs'

const skip = enterWorld({ timeoutMs: 170_000 })
const shaping = skip ?? (check().shape ? false : check().shapeProblem)

async function probes(t, nodes, options) {
  const lab = await Lab.create({ nodes, ...options })
  t.after(() => lab.destroy())
  const probe = {}
  await Promise.all(
    lab.nodes.map(async name => {
      probe[name] = await start(lab, name)
    }),
  )
  return { lab, ...probe }
}

async function start(lab, name) {
  const child = lab.fork(name, here('probe.mjs'), [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  await once(child, 'message')
  let last = 0
  const ask = (op, args = {}) =>
    new Promise((resolve, reject) => {
      const id = ++last
      const onMessage = m => {
        if (m.id !== id) return
        child.off('message', onMessage)
        m.error ? reject(new Error(m.error)) : resolve(m)
      }
      child.on('message', onMessage)
      child.send({ id, op, ...args })
    })
  return {
    child,
    connect: (to, ms) => ask('connect', { to: lab.address(to), ms }),
    ping: (to, ms) => ask('ping', { to: lab.address(to), ms }),
    wait: (to, ms) => ask('wait', { to: lab.address(to), ms }),
    bulk: (to, bytes) => ask('bulk', { to: lab.address(to), bytes }),
    datagrams: (to, count) => ask('datagrams', { to: lab.address(to), count }),
    received: () => ask('received', { clear: true }),
    clock: () => ask('clock'),
  }
}

test('a cut pair falls silent while the others go on, and heals', { skip }, async t => {
  const { lab, a, b } = await probes(t, ['a', 'b', 'c'])
  for (const [from, to] of [
    [a, 'b'],
    [a, 'c'],
    [b, 'c'],
  ])
    assert.equal((await from.connect(to)).result, 'connected')
  lab.cut('a', 'b')
  assert.equal((await a.ping('b', 500)).result, 'silence')
  assert.equal((await a.ping('c', 500)).result, 'data')
  assert.equal((await b.ping('c', 500)).result, 'data')
  assert.equal((await b.connect('a', 500)).result, 'silence')
  const arrives = a.wait('b', 5000)
  await lab.heal()
  assert.equal((await arrives).result, 'data', 'TCP sends again what was lost')
})

test('a one-way cut drops one direction only', { skip }, async t => {
  const { lab, a, b } = await probes(t, ['a', 'b'])
  lab.cut('a', 'b', { oneWay: true })
  await Promise.all([a.datagrams('b', 100), b.datagrams('a', 100)])
  await sleep(100)
  assert.equal((await b.received()).got.length, 0)
  assert.equal((await a.received()).got.length, 100)
})

test('a rejecting cut tells the sender at once', { skip }, async t => {
  const { lab, a } = await probes(t, ['a', 'b'])
  lab.cut('a', 'b', { reject: true })
  const { result, ms } = await a.connect('b', 2000)
  assert.match(result, /EHOSTUNREACH|ENETUNREACH|EACCES/)
  assert.ok(ms < 500)
})

test('a partition separates groups and nothing else', { skip }, async t => {
  const { lab, ...p } = await probes(t, 5)
  lab.partition([['n1', 'n2']])
  const up = []
  for (const from of lab.nodes)
    for (const to of lab.nodes)
      if (from < to && (await p[from].connect(to, 250)).result === 'connected') up.push(`${from}-${to}`)
  assert.deepEqual(up, ['n1-n2', 'n3-n4', 'n3-n5', 'n4-n5'])
})

test('200 ms each way makes a round trip of 400 ms', { skip: shaping }, async t => {
  const { lab, a } = await probes(t, ['a', 'b'])
  await a.connect('b')
  await lab.shape('a', 'b', { delay: 200 })
  const { result, ms } = await a.ping('b', 2000)
  assert.equal(result, 'data')
  assert.ok(ms >= 400 && ms < 500, `${ms} ms`)
  await lab.heal()
  assert.ok((await a.ping('b')).ms < 100)
})

test('20% loss loses 20%, the same packets for the same seed, and TCP gets through', {
  skip: shaping,
}, async t => {
  const runs = []
  for (let i = 0; i < 2; i++) {
    const { lab, a, b } = await probes(t, ['a', 'b'], { seed: 7 })
    await lab.shape('a', 'b', { loss: 0.2 }, { oneWay: true })
    await a.datagrams('b', 1000)
    await sleep(200)
    runs.push((await b.received()).got)
    const stats = (await lab.stats())['a>b']
    assert.equal(stats.seen - stats.lost, runs[i].length)
    if (i === 0) {
      await a.connect('b', 10_000)
      assert.equal((await a.bulk('b', 100_000)).back, 100_000)
    }
    await lab.destroy()
  }
  assert.ok(runs[0].length > 750 && runs[0].length < 850, `${runs[0].length} of 1000`)
  // lab indexes are reused, so addresses, and with them the streams, are the same
  assert.deepEqual(runs[0], runs[1])
})

test('duplicates, reorders and keeps order otherwise', { skip: shaping }, async t => {
  const { lab, a, b } = await probes(t, ['a', 'b'])
  const inOrder = got => got.every((n, i) => i === 0 || got[i - 1] <= n)
  await lab.shape('a', 'b', { delay: 5, jitter: 5, duplicate: 0.3 })
  await a.datagrams('b', 500)
  await sleep(200)
  let { got } = await b.received()
  assert.ok(got.length > 580 && got.length < 720, `${got.length}`)
  assert.ok(inOrder(got), 'jitter alone does not reorder')
  await lab.shape('a', 'b', { delay: 5, reorder: 0.2 })
  await a.datagrams('b', 500)
  await sleep(200)
  got = (await b.received()).got
  assert.equal(got.length, 500)
  assert.ok(!inOrder(got))
})

test('a rate holds a transfer back', { skip: shaping }, async t => {
  const { lab, a } = await probes(t, ['a', 'b'])
  await a.connect('b')
  await lab.shape('a', 'b', { rate: 8_000_000 }, { oneWay: true })
  const { ms } = await a.bulk('b', 1_000_000)
  assert.ok(ms > 900 && ms < 2500, `${ms} ms for 1 MB at 8 Mbit/s`)
})

test('a paused node is silent and then goes on', { skip }, async t => {
  const { lab, a } = await probes(t, ['a', 'b'])
  await a.connect('b')
  lab.pause('b')
  assert.equal((await a.ping('b', 400)).result, 'silence')
  assert.equal((await a.connect('b', 400)).result, 'connected', 'the kernel still accepts for it')
  lab.resume('b')
  assert.equal((await a.ping('b')).result, 'data')
  const end = lab.throttle('b', 0.2)
  let slowest = 0
  for (let i = 0; i < 20; i++) slowest = Math.max(slowest, (await a.ping('b')).ms)
  await end()
  assert.ok(slowest > 15, `${slowest} ms`)
})

test('killed: peers see the end; crashed: nothing, and RST once it is back', { skip }, async t => {
  const { lab, a, b } = await probes(t, ['a', 'b', 'c'])
  await a.connect('b')
  await a.connect('c')
  const end = a.wait('b', 2000)
  await lab.kill('b')
  assert.match((await end).result, /end|ECONNRESET/)
  await lab.crash('c')
  assert.equal((await a.wait('c', 700)).result, 'silence')
  assert.throws(() => lab.spawn('c', 'true'), /crashed/)
  assert.equal((await a.ping('c', 300)).result, 'silence')
  lab.restore('c')
  assert.equal((await a.wait('c', 5000)).result, 'ECONNRESET')
  assert.equal((await a.connect('c')).result, 'ECONNREFUSED')
  const c = await start(lab, 'c')
  assert.equal((await c.connect('a')).result, 'connected')
  assert.equal(b.child.signalCode, 'SIGKILL')
})

test('reset breaks established connections with RST', {
  skip: skip ?? (check().reset ? false : 'no ss'),
}, async t => {
  const { lab, a } = await probes(t, ['a', 'b', 'c'])
  await a.connect('b')
  await a.connect('c')
  const told = a.wait('b', 2000)
  assert.equal(lab.reset('a', 'b'), 1, 'one connection stood')
  assert.match((await told).result, /ECONNRESET|ECONNABORTED|ETIMEDOUT|end/)
  assert.equal((await a.ping('c')).result, 'data')
  assert.equal((await a.connect('b')).result, 'connected')
})

test('a skewed clock moves Date and nothing else', { skip }, async t => {
  const { lab, a, b } = await probes(t, ['a', 'b'])
  const before = await a.clock()
  lab.skew('a', -3_600_000)
  await sleep(100)
  const [x, y] = await Promise.all([a.clock(), b.clock()])
  assert.ok(Math.abs(y.wall - x.wall - 3_600_000) < 200, `${y.wall - x.wall}`)
  assert.ok(x.monotonic > before.monotonic && x.instance)
})

test('two labs stand in one world, and nothing is left of either', { skip }, async () => {
  const devices = () => JSON.parse(execFileSync('ip', ['-j', 'link'])).map(l => l.ifname)
  const rules = () => execFileSync('ip', ['rule'], { encoding: 'utf8' })
  const before = [devices(), rules()]
  const one = await Lab.create({ nodes: 2 })
  const two = await Lab.create({ nodes: 2 })
  assert.notEqual(one.address('n1'), two.address('n1'))
  one.partition([['n1'], ['n2']])
  if (!shaping) await two.shapeAll({ delay: 1 })
  await one.destroy()
  await two.destroy()
  await two.destroy()
  assert.deepEqual([devices(), rules()], before)
})

test('what a program writes never stops it, and its end can be read', { skip }, async t => {
  const lab = await Lab.create({ nodes: 1 })
  t.after(() => lab.destroy())
  const child = lab.spawn('n1', process.execPath, [
    '-e',
    "for (let i = 0; i < 20000; i++) console.log('line ' + i)",
  ])
  const [code] = await once(child, 'close')
  assert.equal(code, 0)
  assert.match(lab.output('n1'), /line 19999\n$/)
  assert.ok(lab.output('n1').length <= 64 * 1024)
})

test('mistakes are told plainly', { skip }, async t => {
  const lab = await Lab.create({ nodes: 2 })
  t.after(() => lab.destroy())
  assert.throws(() => lab.cut('n1', 'n9'), /no node "n9"; there are n1, n2/)
  assert.throws(() => lab.cut('n1', 'n1'), /to itself/)
  await assert.rejects(lab.shape('n1', 'n2', { latency: 3 }), /no shape "latency"/)
  await assert.rejects(lab.shape('n1', 'n2', { loss: 20 }), /probability/)
  await assert.rejects(Lab.create({ nodes: ['x', 'x'] }), /must differ/)
  await assert.rejects(Lab.create({ nodes: 0 }), /1 to 200/)
})

test('a world killed from outside takes everything with it', { skip }, async () => {
  // a world inside this world, so that what it might leave would be seen here
  const script = `import { Lab } from ${JSON.stringify(here('lab.mjs'))}
    const lab = await Lab.create({ nodes: 2 }); lab.spawn('n1', 'sleep', ['31.4159'])
    console.log('up'); setInterval(() => {}, 1000)`
  const runner = spawn(
    process.execPath,
    [here('netlab.mjs'), 'enter', '--', process.execPath, '--input-type=module', '-e', script],
    { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, NETLAB_WORLD: '' } },
  )
  await once(runner.stdout, 'data')
  const sleepers = () =>
    spawnSync('sh', ['-c', 'grep -la "31[.]4159" /proc/[0-9]*/cmdline | xargs -r -n1 dirname'], {
      encoding: 'utf8',
    }).stdout
  const alive = () => sleepers().split('\n').filter(Boolean).length
  assert.ok(alive() >= 1)
  runner.kill('SIGKILL')
  for (let i = 0; i < 50 && alive(); i++) await sleep(50)
  assert.equal(alive(), 0)
})

test('a nemesis repeats itself for the same seed and ends healed', { skip: shaping }, async t => {
  const plan = seed => nemesis({ seed, nodes: ['n1', 'n2', 'n3'], durationMs: 1500, meanGapMs: 150 })
  assert.deepEqual(plan(42), plan(42))
  assert.notDeepEqual(plan(42), plan(43))
  const { lab, ...p } = await probes(t, 3)
  const log = await play(lab, plan(42), {
    restart: async name => {
      p[name] = await start(lab, name)
    },
  })
  assert.ok(log.length >= 3)
  for (const from of lab.nodes)
    for (const to of lab.nodes)
      if (from !== to) assert.equal((await p[from].connect(to, 3000)).result, 'connected')
})

const strace = spawnSync('strace', ['-V']).error ? 'no strace' : false

test('a program can be killed at each of its file operations', { skip: skip ?? strace }, async t => {
  const dir = mkdtempSync(join(tmpdir(), 'netlab-'))
  t.after(() => rmSync(dir, { recursive: true }))
  const program = join(dir, 'writer.mjs')
  writeFileSync(
    program,
    `import fs from 'node:fs/promises'
    for (let i = 0; i < 5; i++) {
      const h = await fs.open('${dir}/next', 'w')
      await h.write('v' + i); await h.sync(); await h.close()
      await fs.rename('${dir}/next', '${dir}/kept' + i)
      console.log('kept', i)
    }`,
  )
  const command = [process.execPath, program]
  const { counts } = await countCalls(command)
  assert.equal(counts.rename, 5)
  assert.equal(counts.fsync, 5)
  for (let i = 0; i < 5; i++) rmSync(join(dir, `kept${i}`))
  const third = await runKilledAt(command, { call: 'rename', n: 3 })
  assert.ok(third.killed)
  assert.equal(third.stdout, 'kept 0\nkept 1\n')
  assert.deepEqual(readdirSync(dir).sort(), ['kept0', 'kept1', 'next', 'writer.mjs'])
  assert.equal((await runKilledAt(command, { call: 'rename', n: 9 })).killed, false)
  assert.match((await runKilledAt(command, { call: 'fsync', n: 1, error: 'EIO' })).stderr, /EIO/)
})

test('a disk without power keeps what was synced and nothing else', {
  skip:
    skip ??
    (process.getuid() === 0 && check().root && !spawnSync('mkfs.ext4', ['-V']).error
      ? false
      : 'needs root and mkfs.ext4'),
}, async t => {
  let disk
  try {
    disk = Disk.create()
  } catch (e) {
    return t.skip(e.message)
  }
  t.after(() => disk.destroy())
  execFileSync(process.execPath, [
    '-e',
    `const fs = require('fs'), d = ${JSON.stringify(disk.dir)}
    fs.mkdirSync(d + '/s')
    const put = (name, sync) => { const h = fs.openSync(d + '/s/' + name, 'w'); fs.writeSync(h, 'x'.repeat(9000)); if (sync) fs.fsyncSync(h); fs.closeSync(h) }
    put('early', false); put('synced', true); put('late', false)
    fs.renameSync(d + '/s/late', d + '/s/renamed')`,
  ])
  const after = disk.snapshot()
  assert.deepEqual(readdirSync(join(disk.dir, 's')).sort(), ['early', 'renamed', 'synced'])
  assert.equal(
    execFileSync('stat', ['-c', '%s', join(after, 's/synced')], { encoding: 'utf8' }).trim(),
    '9000',
  )
  assert.equal(existsSync(join(after, 's/renamed')), false)
  disk.drop(after)
})
