/** `troupe start`: a node in the foreground, from a folder of actor modules, until it is told to leave. */

import type { Node } from '../actor/api.js'
import type { AnyActor } from '../actor/define.js'
import { formatAddress } from '../base/address.js'
import type { Discovery, FindAddresses } from '../base/discovery.js'
import { createNode } from '../node/node.js'
import type { NodeOptions } from '../node/options.js'
import { isLabel } from '../node/options.js'
import { ActorFolderError, loadActors } from './actor-folder.js'
import type { Command, Desk } from './commands.js'
import {
  aNumber,
  anAddress,
  aText,
  checked,
  type Flags,
  list,
  parse,
  single,
  toggle,
  UsageError,
  type ValuesOf,
  wanted,
} from './flags.js'
import { readSecret } from './secret.js'
import { jsonLine } from './values.js'

const LISTEN = '127.0.0.1:7001'
/** As shells report a process that a signal ended. */
const EXIT_OF = { SIGINT: 130, SIGTERM: 143 } as const

const flags = {
  name: single(
    'NAME',
    "the node's name, unique in the cluster (default: host name and six random characters)",
    aText,
  ),
  listen: single(
    'HOST:PORT',
    `where other nodes and commands reach it; port 0: any (default ${LISTEN})`,
    anAddress(0),
  ),
  seed: list('HOST:PORT', 'the address of some member; may be given several times', anAddress(1)),
  discover: list(
    'WHERE',
    'looks for members: dns:NAME:PORT, srv:NAME or file:PATH; may be given several times',
    aSource,
  ),
  advertise: single('HOST:PORT', 'where others dial it, if not at --listen', anAddress(1)),
  actors: list(
    'FOLDER',
    'hosts the actors that its .js, .mjs (and, where Node.js can, .ts) modules export',
    aText,
  ),
  tag: list('TAG', 'a tag that `spawn --on tag:TAG` finds; may be given several times', checked(isLabel)),
  meta: list('KEY=VALUE', 'seen by every member; may be given several times', aPair),
  cluster: single('CLUSTER', "the cluster's name; others are refused (default troupe)", checked(isLabel)),
  'secret-file': single('FILE', 'the file that holds the shared secret (default: TROUPE_SECRET)', aText),
  insecure: toggle('allow an address that is not loopback, although the mesh is not encrypted'),
  drain: single(
    'MS',
    'how long mailboxes may drain when it leaves (default 1000)',
    aNumber(0, 86_400_000, 'milliseconds'),
  ),
  json: toggle('print JSON, one object per line and event'),
} satisfies Flags

type Values = ValuesOf<typeof flags>

export const start: Command = {
  name: 'start',
  words: [],
  flags,
  summary: 'start a node, in the foreground',
  about:
    'Prints a line when it is up and for every member that comes and goes. SIGTERM, SIGINT (Ctrl-C) or `troupe stop` make it leave: it drains, says goodbye and ends with 0; a second signal ends it at once. Whoever can connect can run what --actors hosts: on a shared machine give a secret.',
  examples: [
    'troupe start --name a --actors ./actors',
    'troupe start --name b --listen 127.0.0.1:7002 --seed 127.0.0.1:7001 --actors ./actors',
    'troupe start --name c --listen 127.0.0.1:7003 --discover file:peers --actors ./actors',
  ],
  async run(desk, argv) {
    const { values } = parse({ command: 'start', words: [], flags }, argv)
    const secret = await readSecret(desk, values['secret-file'])
    const actors = await actorsOf(desk, values)
    const node = await create(desk, values, secret, actors)
    leaveOnSignal(desk, values, node) // before the line that whoever will signal may be waiting for
    announce(desk, values, node, actors)
  },
}

async function actorsOf({ terminal, runtime, loader }: Desk, values: Values): Promise<readonly AnyActor[]> {
  try {
    const edge = { disk: runtime.disk, loader, absolute: terminal.absolute }
    const { actors, warnings } = await loadActors(edge, values.actors)
    for (const warning of warnings) terminal.err(`troupe: ${warning}\n`)
    return actors
  } catch (error) {
    throw error instanceof ActorFolderError ? new UsageError(error.message) : error
  }
}

async function create(
  desk: Desk,
  values: Values,
  secret: string | undefined,
  actors: readonly AnyActor[],
): Promise<Node> {
  try {
    return await createNode({
      ...startOptions(values, desk.terminal.absolute),
      secret,
      actors,
      runtime: desk.runtime,
    })
  } catch (error) {
    // The flags are the options of `createNode` by other names, and what it finds wrong with them is misuse.
    if (error instanceof TypeError || error instanceof RangeError) throw new UsageError(asFlag(error.message))
    throw error
  }
}

/** The flags, as options of `createNode`. */
export function startOptions(values: Values, absolute: (path: string) => string): NodeOptions {
  const discovery = values.discover.map(source =>
    'file' in source ? { file: absolute(source.file) } : source,
  )
  return {
    name: values.name,
    cluster: values.cluster,
    listen: values.listen ?? LISTEN,
    seeds: values.seed,
    ...(discovery.length === 0 ? {} : { discovery }),
    advertise: values.advertise,
    insecure: values.insecure,
    tags: values.tag,
    meta: Object.fromEntries(values.meta),
  }
}

const asFlag = (message: string): string =>
  message
    .replace(/^createNode: discovery\[\d+\]/, '--discover')
    .replace(/^createNode: (seed|actors|tag|meta|listen|advertise)s?\b/, '--$1')
    .replace('with advertise', 'with --advertise')
    .replace(/^not a node name/, '--name')
    .replace('insecure: true', '--insecure')

function announce(desk: Desk, values: Values, node: Node, actors: readonly AnyActor[]): void {
  const say = sayer(desk, values)
  const address = node.address === undefined ? undefined : formatAddress(node.address)
  const hosted = actors.map(actor => actor.name).sort()
  const hosting = hosted.length === 0 ? 'no actors' : hosted.join(', ')
  say(`${node.name} is up on ${address}, hosting ${hosting}`, {
    event: 'up',
    node: node.name,
    address,
    actors: hosted,
  })
  node.on('member:up', ({ member }) =>
    say(`${member.name} joined`, { event: 'member:up', member: member.name }),
  )
  node.on('member:left', ({ member }) =>
    say(`${member.name} left`, { event: 'member:left', member: member.name }),
  )
  node.on('member:suspect', ({ member, reason }) =>
    say(`${member.name} is suspect (${reason})`, { event: 'member:suspect', member: member.name, reason }),
  )
  node.on('member:down', ({ member, reason }) =>
    say(`${member.name} is down (${reason})`, { event: 'member:down', member: member.name, reason }),
  )
}

type Say = (text: string, event: object) => void

const sayer =
  ({ terminal }: Desk, values: Values): Say =>
  (text, event) =>
    terminal.out(values.json ? jsonLine(event) : `${text}\n`)

function leaveOnSignal(desk: Desk, values: Values, node: Node): void {
  const { terminal } = desk
  let leaving = false
  const restore = terminal.onSignal(signal => {
    if (leaving) terminal.exit(EXIT_OF[signal])
    leaving = true
    sayer(desk, values)(`${node.name} is leaving (${signal})`, { event: 'leaving', node: node.name, signal })
    void node.stop(values.drain === undefined ? {} : { drainMs: values.drain }).then(restore)
  })
}

function aPair(text: string): readonly [string, string] {
  const at = text.indexOf('=')
  return at > 0 ? [text.slice(0, at), text.slice(at + 1)] : wanted('KEY=VALUE')
}

const SOURCE = /^(?:(?<kind>srv|file):(?<rest>.+)|dns:(?<dns>.+):(?<port>\d{1,5}))$/

function aSource(text: string): Exclude<Discovery, FindAddresses> {
  const { kind, rest = '', dns, port } = SOURCE.exec(text)?.groups ?? {}
  if (dns !== undefined) return { dns, port: Number(port) }
  if (kind === undefined) return wanted('dns:NAME:PORT, srv:NAME or file:PATH')
  return kind === 'srv' ? { srv: rest } : { file: rest }
}
