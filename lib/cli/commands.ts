/**
 * The commands, as a table: what each is called, takes, does and prints. Help, parsing and dispatch read it; adding a
 * command is adding an entry.
 */
import type { NodeHealth } from '../actor/api.js'
import { parseAddress } from '../base/address.js'
import { TroupeError } from '../base/errors.js'
import { compareIds } from '../base/ids.js'
import { TIMEOUT_MS } from '../base/limits.js'
import type { Runtime } from '../base/runtime.js'
import type { ClientBranch, ClientOperation } from '../node/client-protocol.js'
import { reasonText } from '../node/health.js'
import type { ModuleLoader } from '../runtime/module-loader.js'
import type { Terminal } from '../runtime/terminal.js'
import { Client, type ClientOptions } from './client.js'
import { drawing } from './drawing.js'
import {
  aNumber,
  anAddress,
  aText,
  aWord,
  type Flags,
  parse,
  single,
  toggle,
  UsageError,
  type ValuesOf,
} from './flags.js'
import { readSecret } from './secret.js'
import { start } from './start.js'
import { fromText, jsonLine, table, toText } from './values.js'

/** What a command works with. */
export interface Desk {
  readonly terminal: Terminal
  readonly runtime: Runtime
  readonly loader: ModuleLoader
}

export interface Command {
  readonly name: string
  readonly words: readonly string[]
  readonly flags: Flags
  readonly summary: string
  /** Further paragraphs of its help. */
  readonly about: string
  readonly examples: readonly string[]
  run(desk: Desk, argv: readonly string[]): Promise<void>
}

export const DEFAULT_ADDRESS = '127.0.0.1:7001'
const WAIT_MAX_MS = 86_400_000

const json = toggle('print JSON')
const reach = {
  connect: single(
    'HOST:PORT',
    `the node to ask (default: TROUPE_CONNECT, else ${DEFAULT_ADDRESS})`,
    anAddress(1),
  ),
  'secret-file': single('FILE', 'the file that holds the shared secret (default: TROUPE_SECRET)', aText),
  timeout: single('MS', `how long to wait (default ${TIMEOUT_MS})`, aNumber(1, WAIT_MAX_MS, 'milliseconds')),
  json,
} satisfies Flags

type Reach = ValuesOf<typeof reach>

const nodes = define({
  name: 'nodes',
  words: [],
  flags: {
    ...reach,
    wait: single('N', 'wait until the node is up and N members are alive', aNumber(1, 256, 'members')),
  },
  summary: 'list the members of the cluster',
  about: 'One line per member, as the contacted node sees them. With --json one object per line.',
  examples: ['troupe nodes', 'troupe nodes --wait 3 --timeout 20000'],
  async run(desk, _words, values) {
    const members = await (values.wait === undefined
      ? ask(desk, values, { op: 'nodes' })
      : untilMembers(desk, values, values.wait))
    print(desk, values, members, ['NAME', 'STATE', 'ADDRESS', 'TAGS'], member => [
      textOf(member['name']),
      textOf(member['state']),
      textOf(member['address']),
      (member['tags'] as readonly string[]).join(','),
    ])
  },
})

const ps = define({
  name: 'ps',
  words: [],
  flags: reach,
  summary: 'list the processes of a node',
  about:
    'One line per process of the contacted node: to see those of another, --connect to it. With --json one object per line.',
  examples: ['troupe ps', 'troupe ps --connect 127.0.0.1:7002 --json'],
  async run(desk, _words, values) {
    const processes = await ask(desk, values, { op: 'ps' })
    print(desk, values, processes, ['PID', 'DEFINITION', 'NAMES', 'MAILBOX', 'LINKS', 'MONITORS'], item => [
      textOf(item['pid']),
      textOf(item['definition']),
      (item['names'] as readonly string[]).join(','),
      textOf(item['mailbox']),
      textOf(item['links']),
      textOf(item['monitors']),
    ])
  },
})

const tree = define({
  name: 'tree',
  words: [],
  flags: reach,
  summary: 'draw the supervision tree of a node',
  about:
    'Every process of the contacted node below the one that spawned it with a link, the children of a supervisor in the order in which they start: id and definition, pid, names; and where there is something to say the status and the messages that wait. With --json one object per line, with `depth` and `parent`, each followed by those below it.',
  examples: ['troupe tree', 'troupe tree --json'],
  async run(desk, _words, values) {
    const rows = (await ask(desk, values, { op: 'tree' })) as readonly ClientBranch[]
    desk.terminal.out(values.json ? rows.map(jsonLine).join('') : drawing(rows))
  },
})

const names = define({
  name: 'names',
  words: [],
  flags: reach,
  summary: 'list the cluster-wide names',
  about:
    'One line per name. State: `held`; `reviving`, its node went down and it is being restarted; `waiting`, for the node it is bound to. The definition is known of names with `--restart`. With --json one object per line.',
  examples: ['troupe names'],
  async run(desk, _words, values) {
    const held = (await ask(desk, values, { op: 'names' })) as readonly Record<string, unknown>[]
    const sorted = [...held].sort((a, b) => compareIds(textOf(a['name']), textOf(b['name'])))
    print(desk, values, sorted, ['NAME', 'STATE', 'PID', 'DEFINITION'], name => [
      textOf(name['name']),
      textOf(name['state']),
      textOf(name['pid']),
      textOf(name['definition']),
    ])
  },
})

const spawn = define({
  name: 'spawn',
  words: ['DEF', '[ARG]'],
  flags: {
    name: single('NAME', 'register the process under this name', aText),
    on: single('WHERE', 'a node, `ring` (by the name), or `tag:TAG` (any node with that tag)', aText),
    scope: single(
      'SCOPE',
      '`cluster` (default): the name is known everywhere; `node`: on its node',
      aWord('cluster', 'node'),
    ),
    restart: single(
      'WHEN',
      '`temporary` (default), `permanent`, or `transient` (after failures only); see above',
      aWord('permanent', 'transient', 'temporary'),
    ),
    ...reach,
  },
  summary: 'start a process',
  about:
    'Starts the actor defined as DEF with ARG, which is JSON if it parses and else a string, and prints the pid. Without --on it runs on the contacted node. It stays when this command has ended. With --restart its name is restarted after a crash, and on another node when its own went down. With --json: { "pid", "node", "name" }.',
  examples: [
    'troupe spawn counter 0 --name visits --on b',
    'troupe spawn counter 0 --name total --on ring --restart permanent',
  ],
  async run(desk, [definition, arg], values) {
    const { name, scope, restart } = values
    const on = values.on?.startsWith('tag:') === true ? { tag: values.on.slice('tag:'.length) } : values.on
    const args = arg === undefined ? undefined : fromText(arg)
    const spawned = await ask(desk, values, {
      op: 'spawn',
      definition: definition!,
      args,
      name,
      on,
      scope,
      restart,
    })
    const { pid } = spawned as { pid: unknown }
    desk.terminal.out(values.json ? jsonLine(spawned) : `${String(pid)}\n`)
  },
})

const call = define({
  name: 'call',
  words: ['NAME|PID', 'TAG', '[PAYLOAD]'],
  flags: reach,
  summary: 'ask a process and print its reply',
  about:
    'PAYLOAD is JSON if it parses, else a string. A reply that is a string is printed as it is, anything else as Node.js shows it; with --json as one line of JSON.',
  examples: [
    'troupe call visits add 5',
    `troupe call visits set '{"value": 7}' --timeout 500`,
    `troupe call '<b.9f3c2b7a01de.4>' get`,
  ],
  async run(desk, [to, tag, payload], values) {
    const reply = await ask(desk, values, { op: 'call', to: to!, tag: tag!, payload: payloadOf(payload) })
    desk.terminal.out(values.json ? jsonLine(reply) : `${toText(reply, desk.terminal.colors)}\n`)
  },
})

const cast = define({
  name: 'cast',
  words: ['NAME|PID', 'TAG', '[PAYLOAD]'],
  flags: reach,
  summary: 'tell a process, without waiting for it',
  about:
    'PAYLOAD is JSON if it parses, else a string. Prints `ok` when the message was accepted, which does not say that it was handled; `busy` when the way there is filling up.',
  examples: ['troupe cast visits reset'],
  async run(desk, [to, tag, payload], values) {
    const sent = await ask(desk, values, { op: 'cast', to: to!, tag: tag!, payload: payloadOf(payload) })
    desk.terminal.out(values.json ? jsonLine(sent) : `${String(sent)}\n`)
  },
})

const stop = define({
  name: 'stop',
  words: ['[NAME|PID]'],
  flags: {
    ...reach,
    drain: single(
      'MS',
      'how long a stopping node lets mailboxes drain',
      aNumber(0, WAIT_MAX_MS, 'milliseconds'),
    ),
  },
  summary: 'stop the contacted node, or one process',
  about:
    'Without an argument the contacted node announces that it leaves, drains and stops; named processes with `restart` continue on other nodes. With NAME or PID that process ends cleanly, and its name is not restarted.',
  examples: ['troupe stop --connect 127.0.0.1:7002', 'troupe stop visits'],
  async run(desk, [to], values) {
    if (to === undefined) return stopNode(desk, values)
    if (values.drain !== undefined) throw new UsageError('stop: --drain is for a node, not for a process')
    const stopped = await ask(desk, values, { op: 'terminate', to })
    desk.terminal.out(values.json ? jsonLine(stopped) : `${to} stopped\n`)
  },
})

const health = define({
  name: 'health',
  words: [],
  flags: {
    ...reach,
    live: toggle('ask whether it is live instead: whether to restart it, not whether to use it'),
  },
  summary: 'ask whether a node is ready, for probes',
  about:
    'Ready: it has joined, does not leave, and cluster-wide names can be registered. Live (--live): its event loop turns. Ends with 0 if it is, with 1 and the reasons if it is not, with 3 when nobody answers at the address, with 4 when the node is stuck. With --json what the node says of itself, on standard output when it is, in the detail of the error when it is not.',
  examples: ['troupe health', 'troupe health --live --timeout 2000'],
  async run(desk, _words, values) {
    const said = (await ask(desk, values, { op: 'health' })) as NodeHealth & { readonly node: string }
    const [fine, what] = values.live ? [said.live, 'live'] : [said.ready, 'ready']
    if (!fine) {
      const why = said.reasons.map(reasonText).join(', ')
      throw new TroupeError('ERR_UNAVAILABLE', `${said.node} is not ${what}: ${why}`, { ...said })
    }
    desk.terminal.out(values.json ? jsonLine(said) : `${said.node} is ${what}\n`)
  },
})

export const COMMANDS: readonly Command[] = [start, nodes, ps, tree, names, health, spawn, call, cast, stop]

interface Definition<F extends Flags> extends Omit<Command, 'run' | 'flags'> {
  readonly flags: F
  run(desk: Desk, words: readonly string[], values: ValuesOf<F>): Promise<void>
}

function define<F extends Flags>(definition: Definition<F>): Command {
  const { name: command, words, flags } = definition
  return {
    ...definition,
    run: (desk, argv) => {
      const parsed = parse({ command, words, flags }, argv)
      return definition.run(desk, parsed.words, parsed.values)
    },
  }
}

async function ask(desk: Desk, values: Reach, operation: ClientOperation): Promise<unknown> {
  const client = await Client.connect(desk.runtime, await reachOf(desk, values))
  try {
    return await client.request(operation, values.timeout ?? TIMEOUT_MS)
  } finally {
    client.close()
  }
}

async function reachOf(desk: Desk, values: Reach): Promise<ClientOptions> {
  const { env } = desk.terminal
  const text = values.connect ?? env['TROUPE_CONNECT'] ?? DEFAULT_ADDRESS
  return {
    address: addressOf(values.connect === undefined ? 'TROUPE_CONNECT' : '--connect', text),
    secret: await readSecret(desk, values['secret-file']),
    timeoutMs: values.timeout ?? TIMEOUT_MS,
  }
}

function addressOf(where: string, text: string): ClientOptions['address'] {
  try {
    return parseAddress(where, text, 1)
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

/** Asks again until enough members are alive; what is there at the end of the time is an error. */
async function untilMembers(desk: Desk, values: Reach, wanted: number): Promise<unknown> {
  const { clock } = desk.runtime
  const options = await reachOf(desk, values)
  const deadlineMs = clock.now() + options.timeoutMs
  const client = await Client.connectWhenUp(desk.runtime, options)
  try {
    for (;;) {
      const leftMs = deadlineMs - clock.now()
      const members = (await client.request({ op: 'nodes' }, Math.max(1, leftMs))) as { state: string }[]
      const alive = members.filter(member => member.state === 'alive').length
      if (alive >= wanted) return members
      if (leftMs <= 0)
        throw new WaitError(`${alive} of ${wanted} members are alive after ${options.timeoutMs} ms`)
      await client.pause()
    }
  } finally {
    client.close()
  }
}

/** What was waited for did not come: exit status 4. */
class WaitError extends Error {
  readonly code = 'ERR_TIMEOUT'
}

/** The answer only says that the node begins to leave; it has left when it closes the connection. */
async function stopNode(desk: Desk, values: Reach & { readonly drain: number | undefined }): Promise<void> {
  const client = await Client.connect(desk.runtime, await reachOf(desk, values))
  try {
    const stopped = await client.request({ op: 'stop', drainMs: values.drain }, values.timeout ?? TIMEOUT_MS)
    await client.closed()
    const { node } = stopped as { node: string }
    desk.terminal.out(values.json ? jsonLine({ stopped: node }) : `${node} stopped\n`)
  } finally {
    client.close()
  }
}

function print(
  desk: Desk,
  values: { readonly json: boolean },
  answer: unknown,
  head: readonly string[],
  row: (item: Readonly<Record<string, unknown>>) => readonly string[],
): void {
  const items = answer as readonly Readonly<Record<string, unknown>>[]
  desk.terminal.out(values.json ? items.map(jsonLine).join('') : table(head, items.map(row)))
}

const textOf = (value: unknown): string => (value === undefined || value === null ? '' : String(value))
const payloadOf = (text: string | undefined): unknown => (text === undefined ? undefined : fromText(text))
