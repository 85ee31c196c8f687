/** The `troupe` command: its words and flags, its folder of actors, and whole commands against real nodes. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import t, { type Test } from 'tap'
import type { ActorRef } from '../lib/actor/api.js'
import { type AnyActor, defineActor } from '../lib/actor/define.js'
import { TroupeError } from '../lib/base/errors.js'
import { IdSpace } from '../lib/base/id-space.js'
import { Pid, parseNodeId } from '../lib/base/ids.js'
import { LIMITS } from '../lib/base/limits.js'
import { type FolderEdge, loadActors } from '../lib/cli/actor-folder.js'
import { drawing } from '../lib/cli/drawing.js'
import {
  aNumber,
  anAddress,
  aText,
  aWord,
  type Flags,
  list,
  parse,
  single,
  toggle,
} from '../lib/cli/flags.js'
import { run } from '../lib/cli/run.js'
import { fromText, table, toJson, toText } from '../lib/cli/values.js'
import type { Session } from '../lib/mesh/mesh.js'
import { checkClientReply, checkClientRequest } from '../lib/node/client-protocol.js'
import { ClientRequests } from '../lib/node/client-requests.js'
import { createNode } from '../lib/node/node.js'
import { moduleLoader } from '../lib/runtime/module-loader.js'
import { createRealRuntime } from '../lib/runtime/real-runtime.js'
import type { Terminal } from '../lib/runtime/terminal.js'
import { child } from '../lib/supervisor/child-spec.js'
import { startSupervisor, supervisor } from '../lib/supervisor/supervisor.js'
import { createCodec } from '../lib/wire/create-codec.js'
import { FrameType, HEADER_BYTES } from '../lib/wire/frame.js'

function root(from = import.meta.dirname): string {
  return existsSync(join(from, 'package.json')) ? from : root(dirname(from))
}

const ROOT = root()
const SECRET = 'a secret of thirty-two bytes or more'

t.test('flags and words', async t => {
  const flags = {
    name: single('NAME', '', aText),
    at: single('HOST:PORT', '', anAddress(1)),
    many: list('TEXT', '', aText),
    ms: single('MS', '', aNumber(1, 100, 'milliseconds')),
    kind: single('KIND', '', aWord('good', 'bad')),
    json: toggle(''),
  } satisfies Flags
  const grammar = { command: 'try', words: ['A', '[B]'], flags }
  const wrong = (...argv: string[]): string => {
    try {
      parse(grammar, argv)
      return 'no error'
    } catch (error) {
      return (error as Error).message
    }
  }

  t.test('become typed values, in any order', async t => {
    const { words, values } = parse(grammar, [
      'x',
      '--many',
      '1',
      '--json',
      '--ms=7',
      '--many=2',
      '--at',
      'h:1',
      'y',
    ])
    t.strictSame(words, ['x', 'y'])
    t.strictSame(values, { name: undefined, at: 'h:1', many: ['1', '2'], ms: 7, kind: undefined, json: true })
  })

  t.test('a negative number is a word, and after -- everything is', async t => {
    t.strictSame(parse(grammar, ['x', '-5.5']).words, ['x', '-5.5'])
    t.strictSame(parse(grammar, ['x', '--', '--json']).words, ['x', '--json'])
    t.equal(wrong('x', '--ms', '-5'), '--ms: expected a whole number of milliseconds from 1 to 100, got "-5"')
  })

  t.test('an error names the flag, what was expected and what came', async t => {
    t.strictSame(
      [
        wrong('x', '--ms', '0'),
        wrong('x', '--ms', '1e1'),
        wrong('x', '--at', 'h:0'),
        wrong('x', '--kind', 'ugly'),
        wrong('x', '--name', ''),
        wrong('x', '--name'),
        wrong('x', '--name', '--json'),
        wrong('x', '--json=yes'),
        wrong('x', '--name', 'a', '--name', 'b'),
        wrong('x', '--nmae', 'a'),
        wrong('x', '-n'),
        wrong('x', '--toString'),
        wrong(),
        wrong('x', 'y', 'z'),
      ],
      [
        '--ms: expected a whole number of milliseconds from 1 to 100, got "0"',
        '--ms: expected a whole number of milliseconds from 1 to 100, got "1e1"',
        '--at: expected host:port with a port from 1 to 65535, got "h:0"',
        '--kind: expected good or bad, got "ugly"',
        '--name: expected some text, got ""',
        '--name: expected NAME, got nothing',
        '--name: expected NAME, got the flag --json',
        '--json: expected no value, got "yes"',
        '--name: expected once, got "a" and "b"',
        'try: unknown flag --nmae; expected --at, --json, --kind, --many, --ms, --name',
        'try: unknown flag -n; expected --at, --json, --kind, --many, --ms, --name',
        'try: unknown flag --toString; expected --at, --json, --kind, --many, --ms, --name',
        'try: A is missing',
        'try: expected A [B], got also "z"',
      ],
    )
  })
})

t.test('values', async t => {
  t.test('are JSON if they parse, else the text', async t => {
    t.strictSame(['5', '"5"', '{"a":[1]}', 'abc', '', '1,2', 'null'].map(fromText), [
      5,
      '5',
      { a: [1] },
      'abc',
      '',
      '1,2',
      null,
    ])
  })

  t.test('everything that may cross is said in JSON as nearly as it can be', async t => {
    const pid = new Pid(parseNodeId('b'), 0x9f3c, 4)
    t.strictSame(
      toJson({
        big: 12n,
        pid,
        nan: Number.NaN,
        nothing: undefined,
        when: new Date(0),
        bytes: Buffer.from('hi'),
        numbers: new Float32Array([1, 2]),
        set: new Set(['a']),
        map: new Map([['k', pid]]),
        pairs: new Map<unknown, unknown>([[1, 'x']]),
        error: new TroupeError('ERR_BUSY', 'too much', { pid }),
      }),
      {
        big: '12',
        pid: '<b.000000009f3c.4>',
        nan: null,
        nothing: null,
        when: '1970-01-01T00:00:00.000Z',
        bytes: 'aGk=',
        numbers: [1, 2],
        set: ['a'],
        map: { k: '<b.000000009f3c.4>' },
        pairs: [[1, 'x']],
        error: { code: 'ERR_BUSY', message: 'too much', detail: { pid: '<b.000000009f3c.4>' } },
      },
    )
  })

  t.test('people read strings as they are, and columns', async t => {
    t.equal(toText('a\nb', false), 'a\nb')
    t.equal(toText({ a: 1 }, false), '{ a: 1 }')
    t.equal(
      table(
        ['NAME', 'N'],
        [
          ['long one', '1'],
          ['', '22'],
        ],
      ),
      'NAME      N\nlong one  1\n-         22\n',
    )
  })
})

t.test('a folder of actors', async t => {
  const one = defineActor('one', { init: () => ({}) })
  const two = defineActor('two', { init: () => ({}) })
  const edge = (modules: Readonly<Record<string, object | Error>>): FolderEdge => ({
    absolute: path => path,
    disk: { list: async () => Object.keys(modules) },
    loader: {
      load: async path => {
        const module = modules[path.slice('folder/'.length)]
        if (module instanceof Error) throw module
        return module as Record<string, unknown>
      },
    },
  })
  const load = (modules: Readonly<Record<string, object | Error>>) => loadActors(edge(modules), ['folder/'])

  t.test('gives what its modules export, whatever they call it', async t => {
    const modules = {
      'b.mjs': { default: two },
      'a.js': { first: one, helper: () => 1 },
      'a.js.map': {},
      'notes.md': {},
    }
    t.strictSame(await load(modules), { actors: [one, two], warnings: [] })
  })

  t.test('reports a module without a definition, with what it exports', async t => {
    const { warnings } = await load({ 'a.js': { one }, 'b.js': { words: 1, default: () => 1 }, 'c.js': {} })
    t.strictSame(warnings, [
      'folder/b.js exports no actor definition; it exports default, words',
      'folder/c.js exports no actor definition; it exports nothing',
    ])
  })

  t.test('takes a compiled module for its source, and no declarations', async t => {
    const { actors } = await load({ 'a.ts': { two }, 'a.js': { one }, 'a.d.ts': { two }, 'x.mts': { two } })
    t.strictSame(actors, [one, two])
  })

  t.test('says which TypeScript file cannot be run and both remedies', async t => {
    const refusal = Object.assign(new TypeError('Unknown file extension'), {
      code: 'ERR_UNKNOWN_FILE_EXTENSION',
    })
    await t.rejects(load({ 'a.ts': refusal }), {
      message: /folder\/a\.ts is TypeScript.*compile it.*NODE_OPTIONS='--import tsx'/,
    })
  })

  t.test('says what is wrong with a module or a folder', async t => {
    await t.rejects(load({ 'a.js': new SyntaxError('no') }), {
      message: /folder\/a\.js could not be imported: SyntaxError: no/,
    })
    await t.rejects(load({ 'notes.md': {} }), { message: /folder\/ holds no \.js, \.mjs or \.ts module/ })
    const again = defineActor('one', { init: () => ({}) })
    await t.rejects(load({ 'a.js': { one }, 'b.js': { again } }), {
      message: /folder\/a\.js and folder\/b\.js both define .*"one"/,
    })
    const gone = {
      ...edge({}),
      disk: { list: async () => Promise.reject(Object.assign(new Error(), { code: 'ENOENT' })) },
    }
    await t.rejects(loadActors(gone, ['./x']), { message: '--actors: expected a folder, got "./x" (ENOENT)' })
  })

  t.test('hosts a definition once that two modules export', async t => {
    t.strictSame(await load({ 'a.js': { one }, 'index.js': { one } }), { actors: [one], warnings: [] })
  })
})

t.test('the client protocol refuses what no client sends', async t => {
  const good = { id: 1, timeoutMs: 5, op: 'call', to: 'x', tag: 'get', payload: undefined }
  t.equal(checkClientRequest(good), good)
  const bad = [
    undefined,
    [],
    {},
    { ...good, id: -1 },
    { ...good, id: undefined },
    { ...good, timeoutMs: Number.NaN },
    { ...good, op: 'toString' },
    { ...good, to: undefined },
    { ...good, to: 7 },
    { ...good, extra: 1 },
    { id: 1, timeoutMs: 5, op: 'spawn', definition: 'x', restart: 'never' },
    { id: 1, timeoutMs: 5, op: 'spawn', definition: 'x', on: {} },
  ]
  for (const value of bad)
    t.throws(() => checkClientRequest(value), { code: 'ERR_FRAME' }, JSON.stringify(value) ?? 'undefined')
  for (const value of [undefined, {}, { id: 1, ok: 1 }, { id: 1, ok: false, error: { code: 'x' } }]) {
    t.throws(() => checkClientReply(value), { code: 'ERR_FRAME' }, JSON.stringify(value) ?? 'undefined')
  }
})

t.test('a tree is drawn with a line that goes on where there is more below', async t => {
  const rows = [0, 1, 2, 2, 1, 2, 3, 0, 1].map((depth, i) => ({
    depth,
    parent: undefined,
    pid: new Pid(parseNodeId('a'), 1, i),
    id: undefined,
    type: 'worker' as const,
    definition: undefined,
    names: i === 4 ? ['x', 'y'] : [],
    status: i === 5 ? ('waiting' as const) : ('idle' as const),
    mailbox: 0,
  }))
  t.equal(
    drawing(rows).replaceAll('000000000001.', ''),
    [
      'function <a.0>',
      '├─ function <a.1>',
      '│  ├─ function <a.2>',
      '│  └─ function <a.3>',
      '└─ function <a.4> "x" "y"',
      '   └─ function <a.5>, waiting',
      '      └─ function <a.6>',
      'function <a.7>',
      '└─ function <a.8>',
      '',
    ].join('\n'),
  )
  t.equal(drawing([]), 'no processes\n')
})

t.test('help', async t => {
  const { troupe } = desk({})
  t.test('lists every command, and each has its own', async t => {
    const { out } = await troupe('--help')
    let widest = Math.max(...out.split('\n').map(line => line.length))
    const commands = [...out.matchAll(/^ {2}(start|nodes|ps|tree|names|health|spawn|call|cast|stop) /gm)].map(
      ([, name]) => name,
    )
    t.strictSame(commands, [
      'start',
      'nodes',
      'ps',
      'tree',
      'names',
      'health',
      'spawn',
      'call',
      'cast',
      'stop',
    ])
    for (const command of commands) {
      const said = await troupe(command!, '--help')
      t.match(
        said.out,
        new RegExp(`^troupe ${command}: [^]*usage: troupe ${command}[^]*--json[^]*exit status:`),
        command!,
      )
      t.equal(said.status, 0)
      widest = Math.max(widest, ...said.out.split('\n').map(line => line.length))
    }
    t.ok(widest <= 110, `no line is longer than a terminal is wide: ${widest}`)
  })

  t.test('the version is that of the package', async t => {
    t.strictSame(await troupe('--version'), { out: '1.2.3\n', err: '', status: 0 })
  })

  t.test('a wrong word says what to try, with status 2', async t => {
    t.strictSame(await troupe('strat'), {
      out: '',
      err: 'troupe: unknown command "strat"; expected one of start, nodes, ps, tree, names, health, spawn, call, cast, stop\ntry: troupe --help\n',
      status: 2,
    })
    const { err, status } = await troupe('call', 'x')
    t.strictSame([err, status], ['troupe: call: TAG is missing\ntry: troupe call --help\n', 2])
    t.equal((await troupe()).status, 2, 'no command prints help and is misuse')
  })
})

t.test('a command against a node', async t => {
  const { troupe, node, counter } = await cluster(t)
  await troupe('spawn', 'counter', '3', '--name', 'visits', '--restart', 'permanent')

  t.test('spawns, calls and casts', async t => {
    t.strictSame(await troupe('call', 'visits', 'add', '5'), { out: '8\n', err: '', status: 0 })
    t.strictSame(await troupe('call', 'visits', 'add', '-8'), { out: '0\n', err: '', status: 0 })
    t.strictSame(await troupe('cast', 'visits', 'set', '{"to":[1]}'), { out: 'ok\n', err: '', status: 0 })
    t.strictSame(await troupe('call', 'visits', 'get', '--json'), { out: '{"to":[1]}\n', err: '', status: 0 })
    const pid = node.whereis('visits')!.pid.toString()
    t.strictSame(
      await troupe('call', pid, 'get', '--json'),
      { out: '{"to":[1]}\n', err: '', status: 0 },
      'by pid',
    )
    await troupe('cast', 'visits', 'set', 'a word')
    t.strictSame(await troupe('call', 'visits', 'get'), { out: 'a word\n', err: '', status: 0 })
  })

  t.test('lists members, names and processes, as text and as JSON', async t => {
    const port = node.address!.port
    t.equal(
      (await troupe('nodes')).out,
      `NAME  STATE  ADDRESS${' '.repeat(`127.0.0.1:${port}`.length - 7)}  TAGS\na     alive  127.0.0.1:${port}  gpu\n`,
    )
    const pid = node.whereis('visits')!.pid.toString()
    t.strictSame(JSON.parse((await troupe('names', '--json')).out), {
      name: 'visits',
      pid,
      state: 'held',
      definition: 'counter',
    })
    const processes = (await troupe('ps', '--json')).out.trimEnd().split('\n')
    const mine = processes
      .map(line => JSON.parse(line) as { pid: string; definition: string })
      .find(p => p.pid === pid)
    t.match(mine, { pid, definition: 'counter', names: ['visits'], mailbox: 0 })
    t.match((await troupe('ps')).out, new RegExp(`^PID +DEFINITION +NAMES[^]*${pid} +counter +visits +0`))
  })

  t.test('health says whether it is ready, or live, as words, JSON and status', async t => {
    t.strictSame(await troupe('health'), { out: 'a is ready\n', err: '', status: 0 })
    t.strictSame(await troupe('health', '--live'), { out: 'a is live\n', err: '', status: 0 })
    const said = JSON.parse((await troupe('health', '--json')).out) as object
    t.match(said, { node: 'a', ready: true, live: true, reasons: [], state: 'running', members: 1 })
  })

  t.test('draws the tree of processes, and gives it as lines of JSON', async t => {
    const { pid } = node.whereis('visits')!
    const tree = await startSupervisor(node, {
      children: [
        child(supervisor({ children: [child(counter)] }), { id: 'inner' }),
        child(counter, { id: 'last', name: 'last', scope: 'node' }),
      ],
    })
    const last = node.whereis('last')!.pid
    await node.debug.suspend('last')
    node.send('last', 'hello')
    const [inner, deep] = node
      .tree()
      .at(-1)!
      .children.flatMap(branch => [branch, ...branch.children])
    t.strictSame((await troupe('tree')).out.split('\n'), [
      `counter ${pid} "visits"`,
      `supervisor ${tree.pid}`,
      `├─ inner: supervisor ${inner!.pid}`,
      `│  └─ counter ${deep!.pid}`,
      `└─ last: counter ${last} "last", suspended, 1 in the mailbox`,
      '',
    ])
    const rows = (await troupe('tree', '--json')).out
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line) as object)
    t.match(rows[0], {
      depth: 0,
      parent: null,
      pid: `${pid}`,
      definition: 'counter',
      names: ['visits'],
      mailbox: 0,
    })
    t.strictSame(rows.at(-1), {
      depth: 1,
      parent: `${tree.pid}`,
      pid: `${last}`,
      id: 'last',
      type: 'worker',
      definition: 'counter',
      names: ['last'],
      status: 'suspended',
      mailbox: 1,
    })
    await tree.stop()
  })

  t.test('what it spawned stays when the command has ended, and names its errors', async t => {
    const { out } = await troupe('spawn', 'counter', '--json')
    const { pid } = JSON.parse(out) as { pid: string }
    t.match((await troupe('ps', '--json')).out, pid)
    t.match(await troupe('spawn', 'nobody'), { status: 1, err: /ERR_UNKNOWN_ACTOR/ })
    t.match(await troupe('spawn', 'counter', '--name', 'visits'), { status: 1, err: /ERR_ALREADY_STARTED/ })
    t.match(await troupe('spawn', 'counter', '--on', 'nowhere'), { status: 1, err: /nowhere/ })
  })

  t.test('says who is not there, at once', async t => {
    t.match(await troupe('call', 'nobody', 'get'), { status: 1, out: '', err: /nobody.*\(ERR_NOPROC\)/ })
    t.match(await troupe('cast', 'nobody', 'get'), { status: 1, err: /ERR_NOPROC/ })
    t.match(await troupe('stop', 'nobody'), { status: 1, err: /ERR_NOPROC/ })
    t.match(await troupe('call', 'visits', 'fly'), { status: 1, err: /ERR_UNKNOWN_TAG/ })
    const { err } = await troupe('call', 'nobody', 'get', '--json')
    t.match(JSON.parse(err), { error: { code: 'ERR_NOPROC', message: String, detail: Object } })
  })

  t.test('a reply that may not cross is the error, a ref in it is shown', async t => {
    t.match(await troupe('call', 'visits', 'alien'), { status: 1, err: /ERR_PAYLOAD/ })
    t.strictSame(await troupe('call', 'visits', 'friend'), { out: 'ref "visits"\n', err: '', status: 0 })
  })

  t.test('a call that is not answered in time ends with 4', async t => {
    t.match(await troupe('call', 'visits', 'never', '--timeout', '50'), { status: 4, err: /ERR_TIMEOUT/ })
  })

  t.test('stop ends one process', async t => {
    await troupe('spawn', 'counter', '0', '--name', 'brief')
    t.strictSame(await troupe('stop', 'brief'), { out: 'brief stopped\n', err: '', status: 0 })
    t.equal(node.whereis('brief'), undefined)
  })
})

t.test('requests of clients', async t => {
  const { node, requests, open, asked } = await requestsOf(t)
  const never = { timeoutMs: 60_000, op: 'call', to: asked.pid.toString(), tag: 'never' }

  t.test('come from clients only, and well-formed', async t => {
    const member = open('member')
    t.throws(() => member.ask({ id: 1, timeoutMs: 5, op: 'nodes' }), { code: 'ERR_FRAME' })
    t.throws(() => open('client').ask({ id: 1 }), { code: 'ERR_FRAME' })
    t.throws(() => requests.frame(member.session, 64, 0, Buffer.from([0xc1]), 0, 1), { code: 'ERR_FRAME' })
  })

  t.test('are bounded per client, and end with the connection', async t => {
    const before = node.processes().length
    const first = open('client')
    first.ask({ ...never, id: 1 })
    first.ask({ ...never, id: 2 })
    t.match(await first.replied(), { id: 2, ok: false, error: { code: 'ERR_BUSY' } }, 'one is open')
    t.strictSame(requests.stats(), { connected: 1, open: 1, handled: 0, refused: 1 })
    t.equal(node.processes().length, before + 1, 'its stand-in')
    requests.sessionDown(first.session)
    t.strictSame(requests.stats(), { connected: 0, open: 0, handled: 0, refused: 1 })
    t.equal(node.processes().length, before, 'which is gone with the connection')
    const second = open('client')
    second.ask({ id: 2, timeoutMs: 5, op: 'names' })
    t.strictSame(await second.replied(), { id: 2, ok: true, value: [] })
  })
})

t.test('a secret', async t => {
  const { troupe, folder, connect } = await cluster(t)
  t.test('comes from a file or the environment, and a wrong one is refused with 3', async t => {
    writeFileSync(join(folder, 'good'), `${SECRET}\n`)
    writeFileSync(join(folder, 'wrong'), 'x'.repeat(40))
    writeFileSync(join(folder, 'short'), 'short')
    const bare = desk({ TROUPE_CONNECT: connect }, folder).troupe
    t.match(await bare('nodes', '--secret-file', 'good'), { status: 0 })
    t.match(await bare('nodes', '--secret-file', 'wrong'), { status: 3 })
    t.match(await bare('nodes'), { status: 3 }, 'none at all')
    t.match(await bare('nodes', '--secret-file', 'short'), {
      status: 2,
      err: /--secret-file: expected .* 32 bytes, got 5/,
    })
    t.match(await bare('nodes', '--secret-file', 'none'), {
      status: 2,
      err: /--secret-file: .*"none" \(ENOENT\)/,
    })
    t.notMatch((await bare('nodes', '--secret', SECRET)).err, SECRET, 'and is never repeated')
  })

  t.test('nobody there is 3, a wrong TROUPE_CONNECT is 2', async t => {
    t.match(await troupe('nodes', '--connect', '127.0.0.1:1'), { status: 3, err: /127\.0\.0\.1:1/ })
    t.match(await desk({ TROUPE_CONNECT: 'here' }).troupe('nodes'), {
      status: 2,
      err: /TROUPE_CONNECT: expected host:port/,
    })
  })
})

t.test('troupe start', async t => {
  t.test('hosts a folder, says when it is up, and leaves at SIGTERM', async t => {
    const folder = t.testdir()
    mkdirSync(join(folder, 'actors'))
    writeFileSync(join(folder, 'actors', 'plain.mjs'), 'export const value = 1')
    const { troupe, signal, lines } = desk({ TROUPE_SECRET: SECRET }, folder)
    const { err, status, out } = await troupe(
      'start',
      '--name',
      'x',
      '--listen',
      '127.0.0.1:0',
      '--actors',
      'actors',
      '--json',
    )
    t.equal(status, 0)
    t.equal(err, 'troupe: actors/plain.mjs exports no actor definition; it exports value\n')
    const up = JSON.parse(out) as { address: string }
    t.match(up, { event: 'up', node: 'x', address: /^127\.0\.0\.1:\d+$/, actors: [] })
    const ask = desk({ TROUPE_SECRET: SECRET, TROUPE_CONNECT: up.address }).troupe
    t.match(await ask('nodes', '--wait', '1'), { status: 0, out: /x +alive/ })
    t.match(await ask('nodes', '--wait', '2', '--timeout', '300'), { status: 4, err: /1 of 2 members/ })
    signal('SIGTERM')
    t.match(await lines(), /"event":"leaving","node":"x","signal":"SIGTERM"/)
    for (;;) if ((await ask('nodes')).status === 3) break
    t.pass('it left')
  })

  t.test('a second signal ends it at once', async t => {
    const { troupe, signal, exits } = desk({ TROUPE_SECRET: SECRET })
    const { out } = await troupe('start', '--name', 'z', '--listen', '127.0.0.1:0', '--json')
    const { address } = JSON.parse(out) as { address: string }
    signal('SIGINT')
    t.strictSame(exits, [])
    signal('SIGTERM')
    t.strictSame(exits, [143])
    for (;;) if ((await troupe('nodes', '--connect', address)).status === 3) break
  })

  t.test('stop of the node ends it, and says so when it has ended', async t => {
    const { troupe } = desk({ TROUPE_SECRET: SECRET })
    const { out } = await troupe('start', '--name', 'y', '--listen', '127.0.0.1:0', '--json')
    const { address } = JSON.parse(out) as { address: string }
    t.strictSame(await troupe('stop', '--connect', address), { out: 'y stopped\n', err: '', status: 0 })
    t.match(await troupe('nodes', '--connect', address), { status: 3 })
  })

  t.test('wrong flags are misuse, in the words of the command line', async t => {
    const { troupe } = desk({})
    const wrong = async (...argv: string[]) => {
      const { err, status } = await troupe('start', '--listen', '127.0.0.1:0', ...argv)
      return [status, err.split('\n')[0]]
    }
    t.match(await wrong('--name', 'UPPER'), [2, /--name: expected .*; got "UPPER"/])
    t.match(await wrong('--tag', '§'), [2, /--tag: expected 1 to 64 of letters.*, got "§"/])
    t.match(await wrong('--meta', 'x'), [2, /--meta: expected KEY=VALUE, got "x"/])
    t.match(await wrong('--seed', 'x'), [2, /--seed: expected host:port/])
    t.match(await wrong('--actors', './none'), [2, /--actors: expected a folder, got "\.\/none" \(ENOENT\)/])
    t.match(await troupe('start', '--listen', '0.0.0.0:0'), {
      status: 2,
      err: /--listen: .*not a loopback.*--insecure/,
    })
  })
})

t.test('the executable', async t => {
  const folder = t.testdir({
    'typed.ts':
      "import { defineActor } from 'troupe'\nexport const typed = defineActor('typed', { init: (n: number) => ({ n }) })\n",
  })
  const start = ['start', '--name', 'real', '--listen', '127.0.0.1:0', '--actors', folder]

  t.test('knows the version of its package', async t => {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }
    t.strictSame(await execute(t, ['--version']).ended, { out: `${version}\n`, err: '', status: 0 })
  })

  t.test('runs TypeScript under a loader, leaves at a signal, and ends with 0', async t => {
    const { child, ended } = execute(t, start, '--import tsx')
    const [first] = (await once(child.stdout, 'data')) as [Buffer]
    t.match(first.toString(), /^real is up on 127\.0\.0\.1:\d+, hosting typed\n$/)
    child.kill('SIGTERM')
    const { out, status } = await ended
    t.match(out, /real is leaving \(SIGTERM\)\n$/)
    t.equal(status, 0)
  })

  const stripsTypes = 'typescript' in process.features && process.features.typescript !== false
  t.test('says what to do where TypeScript does not run', { skip: stripsTypes }, async t => {
    const { err, status } = await execute(t, start).ended
    t.match(err, /typed\.ts is TypeScript.*compile it.*--import tsx/)
    t.equal(status, 2)
  })
})

/** The command as the shell runs it. */
function execute(t: Test, args: readonly string[], nodeOptions = '') {
  const main = join(ROOT, '.build', 'lib', 'cli', 'main.js')
  const env = { ...process.env, NODE_OPTIONS: nodeOptions, TROUPE_SECRET: SECRET }
  const child = spawn(process.execPath, [main, ...args], {
    cwd: ROOT,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  let out = ''
  let err = ''
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
  const ended = once(child, 'close').then(([status]) => ({ out, err, status: status as number | null }))
  return { child, ended }
}

interface Said {
  readonly out: string
  readonly err: string
  readonly status: number
}

/** A terminal made of strings, and the command run in it. */
function desk(env: Readonly<Record<string, string>>, folder = '.') {
  const signals = new Set<(signal: 'SIGINT' | 'SIGTERM') => void>()
  const exits: number[] = []
  let all = ''
  const troupe = async (...argv: string[]): Promise<Said> => {
    let out = ''
    let err = ''
    const terminal: Terminal = {
      argv,
      env,
      absolute: path => resolve(folder, path),
      colors: false,
      out: text => {
        out += text
        all += text
      },
      err: text => {
        err += text
      },
      setExitCode: () => {},
      exit: code => void exits.push(code),
      onSignal: fn => {
        signals.add(fn)
        return () => signals.delete(fn)
      },
    }
    const status = await run({ terminal, runtime: createRealRuntime(), loader: moduleLoader }, '1.2.3')
    return { out, err, status }
  }
  const signal = (name: 'SIGINT' | 'SIGTERM'): void => {
    for (const fn of [...signals]) fn(name)
  }
  return { troupe, signal, exits, lines: async () => all }
}

const mute = defineActor('mute', {
  init: () => ({}),
  calls: { never: (_state, _: undefined, ctx) => ctx.later<void>() },
})

/** What a node does with clients' frames, without the sockets. */
async function requestsOf(t: Test) {
  const node = await createNode({ name: 'solo', actors: [mute] })
  t.teardown(() => node.stop({ drainMs: 0 }))
  const asked = await node.spawn(mute)
  const ids = new IdSpace(node.name, node.self.creation, 10)
  const codec = createCodec({ limits: LIMITS, ids })
  const requests = new ClientRequests({
    node,
    codec,
    ids,
    limits: { clientRequestsMax: 1 },
    hosted: new Map([['mute', mute]]),
    refTo: () => asked as unknown as ActorRef<AnyActor>,
  })
  const open = (role: 'client' | 'member') => {
    const replies: unknown[] = []
    let heard = (): void => {}
    const session: Session = {
      peer: parseNodeId('peer'),
      creation: 1,
      epoch: 1,
      role,
      open: true,
      messageBytesMax: LIMITS.messageBytesMax,
      send: ({ head }) => {
        replies.push(codec.decode(head, HEADER_BYTES, head.length))
        heard()
        return 'ok'
      },
      sendSlot: () => {},
      onDrained: () => () => {},
    }
    return {
      session,
      ask: (request: object) => {
        const bytes = codec.encode(request, 0, 'request')
        requests.frame(session, FrameType.clientRequest, 0, bytes, 0, bytes.length)
      },
      replied: async () => {
        if (replies.length === 0) await new Promise<void>(resolve => (heard = resolve))
        return replies.shift()
      },
    }
  }
  return { node, requests, open, asked }
}

async function cluster(t: Test) {
  const counter = defineActor('counter', {
    init: (start: unknown) => ({ value: start }),
    calls: {
      add: (state, by: number) => {
        state.value = (state.value as number) + by
        return state.value
      },
      get: state => state.value,
      never: (_state, _: undefined, ctx) => ctx.later<void>(),
      alien: () => () => 'a function may not cross',
      friend: (_state, _: undefined, ctx) => ctx.named('visits'),
    },
    casts: {
      set: (state, value: unknown) => {
        state.value = value
      },
    },
  })
  const node = await createNode({
    name: 'a',
    listen: '127.0.0.1:0',
    secret: SECRET,
    actors: [counter],
    tags: ['gpu'],
  })
  t.teardown(() => node.stop({ drainMs: 0 }))
  const connect = `127.0.0.1:${node.address!.port}`
  const folder = t.testdir()
  return {
    node,
    counter,
    connect,
    folder,
    ...desk({ TROUPE_CONNECT: connect, TROUPE_SECRET: SECRET }, folder),
  }
}
