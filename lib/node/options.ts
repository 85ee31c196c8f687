import { isAbsolute } from 'node:path'
import type { NodeDescription } from '../actor/api.js'
import type { AnyActor } from '../actor/define.js'
import { type AnyProcedure, isProcedure } from '../actor/procedure.js'
import { formatAddress, isLoopback, parseAddress } from '../base/address.js'
import { checkDiscovery, type Discovery, type DiscoverySource } from '../base/discovery.js'
import { show } from '../base/errors.js'
import { type NodeId, parseNodeId } from '../base/ids.js'
import { LIMITS, type Limits, PROCEDURES_LISTED_MAX } from '../base/limits.js'
import type { Logger } from '../base/log.js'
import {
  anything,
  arrayOf,
  type Check,
  checkOptions,
  expect,
  isBoolean,
  isInteger,
  isMs,
  isObject,
  isString,
  oneOf,
} from '../base/options.js'
import type { Address, Runtime } from '../base/runtime.js'
import type { PartitionPolicy } from '../coord/quorum.js'

export interface NodeOptions {
  /**
   * The node's id: 1 to 64 of `a-z 0-9 _ . -`, unique in the cluster. Default: the host name and six random characters.
   */
  readonly name?: string | undefined
  /** Nodes of other clusters are refused. Default `'troupe'`. */
  readonly cluster?: string | undefined
  /**
   * `host:port` to listen on; port 0 takes a free one. Default: none, or `127.0.0.1:0` when there are seeds. Off
   * loopback it must be accompanied by `insecure: true`, because the mesh is not encrypted yet.
   */
  readonly listen?: string | undefined
  /** Addresses of some members. One that answers is enough. */
  readonly seeds?: readonly string[] | undefined
  /**
   * Where to look for members, again and again: names in DNS, a file, a function. What is found is dialled as seeds are,
   * and whoever was found later is joined then. Unlike a seed, which a person wrote down for this cluster, a found
   * address that refuses this node does not fail the start: it is told, and tried again.
   */
  readonly discovery?: Discovery | readonly Discovery[] | undefined
  /**
   * `host:port` that other nodes dial, where it is not the one of `listen`: behind a port mapping, or when it listens on
   * every address (`0.0.0.0`).
   */
  readonly advertise?: string | undefined
  /** Shared by all nodes, at least 32 bytes. With several the first is offered and all are accepted: for rotation. */
  readonly secret?: string | readonly string[] | undefined
  /** Allows to listen off loopback, in plain text. Default false. */
  readonly insecure?: boolean | undefined
  /** What other nodes, and the command line, may spawn here. */
  readonly actors?: readonly AnyActor[] | undefined
  /** What other nodes may call here: see `node.rpc`. */
  readonly procedures?: readonly AnyProcedure[] | undefined
  /** Seen by every member, who can place processes by them. `node.update` changes them. */
  readonly tags?: readonly string[] | undefined
  /** At most 512 bytes as JSON, seen by every member. `node.update` changes it. */
  readonly meta?: Readonly<Record<string, string>> | undefined
  /**
   * How fast a member is missed: `'lan'` (default) is for one data centre, suspects 2 to 3 s after the last sign of life
   * and gives up 4 to 6 s after it; `'local'`, for one machine or rack, takes 1 s and 2.5 s, and errs where loops or
   * links stall for so long. Both grow with the logarithm of more than ten members. Nodes may differ.
   */
  readonly profile?: 'local' | 'lan' | undefined
  readonly limits?: Partial<Limits> | undefined
  /** What a full mailbox does. `'fail'` (default): calls reject, messages are refused; or drop the newest, or the oldest. */
  readonly mailboxPolicy?: 'fail' | 'drop-new' | 'drop-old' | undefined
  /** Where log lines go. Default: warnings and errors to standard error. `false`: nowhere. */
  readonly logger?: Logger | false | undefined
  /** Who keeps a name that two sides of a healed partition hold. Default `'oldest'`. */
  readonly resolver?: 'oldest' | 'notify' | 'none' | undefined
  /**
   * What a side of a partition does that has too few members, the same on every node: others are refused in the
   * handshake. Votes are counted: one for each operating-system process with a member that is alive, not suspect.
   *
   * - `'diverge'` (default): every side goes on. Two may hold one name, until the partition heals: see `resolver`.
   * - `{ policy: 'static-quorum', size: 5 }`: a side needs more than half of `size` votes, 3 of 5. As long as no more than
   *   `size` exist at a time, at most one side decides about names and places processes. Declare the size of the whole
   *   cluster, and make it odd: the half of an even one is no majority, on either side.
   * - `'majority'`: a side needs more than half of the largest membership that its node has ever seen, kept in
   *   `dataFolder`. A heuristic: nodes that have seen different clusters count differently, and one that is scaled down
   *   below half of what it was stops until the file is removed.
   *
   * A side without quorum is told by the event `partitioned`, before anything follows. It then refuses `register` and
   * `terminate`, and spawns with a cluster-wide name or with `on`, with `ERR_NO_QUORUM`: nothing was changed, try again.
   * It takes no slots and revives no processes. Local processes, messages to those in reach, and local reads of names
   * go on; what is held on the other side is not found. All comes back by itself, with the event `quorate`.
   *
   * ```ts
   * const node = await createNode({ partitionPolicy: { policy: 'static-quorum', size: 3 } })
   * node.on('partitioned', ({ counted, needed }) => console.warn(`${counted} of ${needed} votes`))
   * await node.stop()
   * ```
   */
  readonly partitionPolicy?: PartitionPolicy | undefined
  /** A folder of this node alone, as an absolute path, made when it is not there. Needed by `'majority'`. Default none. */
  readonly dataFolder?: string | undefined
  /** Sends local mail through the codec, so that what cannot cross nodes fails in tests. Default false. */
  readonly serializeLocal?: boolean | undefined
  /** Deep-freezes local payloads. Default false. */
  readonly freezeLocal?: boolean | undefined
  /** Attributes floating promise rejections to their process and crashes it. Costs speed. Default false. */
  readonly attribute?: boolean | undefined
  /**
   * A handler that holds the event loop for so many ms is told of, by `process:overrun` and a log line. 0 or false:
   * nobody is timed. Default 100: a tenth of what other nodes take for silence worth a question.
   */
  readonly watchdogMs?: number | false | undefined
  /** The edge to the world. Default: Node.js. Tests give a simulated one. */
  readonly runtime?: Runtime | undefined
}

export interface CheckedOptions {
  readonly name: NodeId
  readonly cluster: string
  readonly listen: Address | undefined
  readonly seeds: readonly Address[]
  readonly discovery: readonly DiscoverySource[]
  readonly advertise: Address | undefined
  readonly secrets: readonly string[]
  readonly actors: ReadonlyMap<string, AnyActor>
  readonly procedures: ReadonlyMap<string, AnyProcedure>
  readonly tags: readonly string[]
  readonly meta: Readonly<Record<string, string>>
  readonly profile: 'local' | 'lan'
  readonly limits: Limits
  readonly mailboxPolicy: 'fail' | 'drop-new' | 'drop-old'
  readonly resolver: 'oldest' | 'notify' | 'none'
  readonly partitionPolicy: PartitionPolicy
  readonly dataFolder: string | undefined
  readonly serializeLocal: boolean
  readonly freezeLocal: boolean
  readonly attribute: boolean
  /** `Infinity`: off. */
  readonly watchdogMs: number
}

const WATCHDOG_MS = 100

const SECRET_BYTES_MIN = 32
const META_BYTES_MAX = 512
const TAGS_MAX = 64
const LABEL = /^[A-Za-z0-9][A-Za-z0-9_.:/-]{0,63}$/

/** A tag, or a cluster's name. */
export const isLabel: Check = value =>
  typeof value === 'string' && LABEL.test(value)
    ? undefined
    : "1 to 64 of letters, digits, '_', '.', ':', '/', '-', beginning with a letter or digit"

const isDefinition: Check = value =>
  typeof value === 'object' &&
  value !== null &&
  typeof (value as AnyActor).name === 'string' &&
  'spec' in value
    ? undefined
    : 'what defineActor returned'

const isSecret: Check = value =>
  typeof value === 'string' && Buffer.byteLength(value) >= SECRET_BYTES_MIN
    ? undefined
    : `a string of at least ${SECRET_BYTES_MIN} bytes`

const isLogger: Check = value =>
  value === false ||
  (typeof value === 'object' &&
    value !== null &&
    ['debug', 'info', 'warn', 'error'].every(
      level => typeof (value as Record<string, unknown>)[level] === 'function',
    ))
    ? undefined
    : 'false or an object with the functions debug, info, warn, error'

const CHECKS: Readonly<Record<string, Check>> = {
  name: isString,
  cluster: isLabel,
  listen: isString,
  seeds: arrayOf(isString),
  discovery: anything, // see checkDiscovery
  advertise: isString,
  // A secret is never shown, not even a wrong one: see secretsOf.
  secret: () => undefined,
  insecure: isBoolean,
  actors: arrayOf(isDefinition),
  procedures: arrayOf(value => (isProcedure(value) ? undefined : 'what defineProcedure returned')),
  tags: arrayOf(isLabel),
  meta: isObject,
  profile: oneOf('local', 'lan'),
  limits: isObject,
  mailboxPolicy: oneOf('fail', 'drop-new', 'drop-old'),
  logger: isLogger,
  resolver: oneOf('oldest', 'notify', 'none'),
  partitionPolicy: value =>
    value === 'diverge' || value === 'majority' || isObject(value) === undefined
      ? undefined
      : "'diverge', 'majority' or { policy: 'static-quorum', size }",
  dataFolder: value => (typeof value === 'string' && isAbsolute(value) ? undefined : 'an absolute path'),
  serializeLocal: isBoolean,
  freezeLocal: isBoolean,
  attribute: isBoolean,
  watchdogMs: value => (value === false ? undefined : isMs()(value) && `${isMs()(value)}, or false`),
  runtime: isObject,
}

const LIMIT_CHECKS: Readonly<Record<string, Check>> = {
  ...Object.fromEntries(Object.keys(LIMITS).map(name => [name, isInteger(1, 2 ** 40)])),
  messageBytesMax: isInteger(1_024, 2 ** 30),
  creditBytes: isInteger(1_024, 2 ** 40),
  // A frame must hold a fragment and its header, and a length fits 32 bits.
  frameBytesMax: isInteger(8_192, 2 ** 24),
  fragmentBytes: isInteger(1_024, 2 ** 24),
  depthMax: isInteger(1, 512),
}

/** Checks everything that can be checked without doing anything. Throws `TypeError` or `RangeError`. */
export function checkNodeOptions(given: NodeOptions, runtime: Runtime): CheckedOptions {
  checkOptions('createNode', given, CHECKS)
  const limits = limitsOf(given.limits)
  const seeds = (given.seeds ?? []).map((seed, i) => parseAddress(`createNode: seeds[${i}]`, seed, 1))
  const discovery = checkDiscovery('createNode: discovery', given.discovery)
  return {
    name: given.name === undefined ? defaultName(runtime) : parseNodeId(given.name),
    cluster: given.cluster ?? 'troupe',
    listen: listenOf(given, seeds.length + discovery.length > 0),
    seeds,
    discovery,
    advertise: advertiseOf(given.advertise),
    secrets: secretsOf(given.secret),
    actors: byName('actors', 'what is spawned', given.actors ?? []),
    procedures: byName('procedures', 'what is called', listed(given.procedures ?? [])),
    tags: tagsOf('createNode', given.tags ?? []),
    meta: metaOf('createNode', given.meta ?? {}),
    profile: given.profile ?? 'lan',
    limits,
    mailboxPolicy: given.mailboxPolicy ?? 'fail',
    resolver: given.resolver ?? 'oldest',
    partitionPolicy: policyOf(given, limits),
    dataFolder: given.dataFolder,
    serializeLocal: given.serializeLocal ?? false,
    freezeLocal: given.freezeLocal ?? false,
    attribute: given.attribute ?? false,
    watchdogMs: (given.watchdogMs ?? WATCHDOG_MS) || Number.POSITIVE_INFINITY,
  }
}

function limitsOf(given: Partial<Limits> | undefined): Limits {
  checkOptions('createNode: limits', given, LIMIT_CHECKS)
  const set = Object.entries(given ?? {}).filter(([, value]) => value !== undefined)
  const limits: Limits = { ...LIMITS, ...Object.fromEntries(set) }
  if (limits.fragmentBytes + 1_024 > limits.frameBytesMax) {
    throw new RangeError(
      `createNode: limits: fragmentBytes (${limits.fragmentBytes}) must be at least 1024 below frameBytesMax (${limits.frameBytesMax}), or no fragment fits a frame`,
    )
  }
  // They follow the size of a message unless they were set themselves: no message is too large for its way.
  const { messageBytesMax } = limits
  return {
    ...limits,
    bulkBytesMax: given?.bulkBytesMax ?? 2 * messageBytesMax,
    mailboxBytesMax: given?.mailboxBytesMax ?? Math.max(limits.mailboxBytesMax, 2 * messageBytesMax),
  }
}

/** Every address of a machine, and hence none that others could dial. */
const isWildcard = ({ host }: Address): boolean => host === '0.0.0.0' || /^[0:]*:[0:]*$/.test(host)
function policyOf(given: NodeOptions, limits: Limits): PartitionPolicy {
  const { partitionPolicy = 'diverge', dataFolder } = given
  const where = 'createNode: partitionPolicy'
  if (partitionPolicy === 'majority' && dataFolder === undefined) {
    throw new TypeError(
      `${where}: 'majority' remembers the largest membership across restarts: expected a dataFolder to keep it in, got none`,
    )
  }
  if (typeof partitionPolicy === 'string') return partitionPolicy
  checkOptions(where, partitionPolicy, { policy: anything, size: anything })
  const { policy, size } = partitionPolicy
  expect(`${where}: policy`, policy, oneOf('static-quorum'))
  expect(`${where}: size`, size, isInteger(1, limits.membersMax))
  return { policy, size }
}

function advertiseOf(text: string | undefined): Address | undefined {
  if (text === undefined) return undefined
  const address = parseAddress('createNode: advertise', text, 1)
  if (!isWildcard(address)) return address
  throw new TypeError(
    `createNode: advertise: expected an address that other nodes can dial, got ${formatAddress(address)}`,
  )
}

function listenOf(given: NodeOptions, joins: boolean): Address | undefined {
  const text = given.listen ?? (joins ? '127.0.0.1:0' : undefined)
  if (text === undefined) return undefined
  const address = parseAddress('createNode: listen', text, 0)
  if (!isLoopback(address.host) && given.insecure !== true) {
    throw new TypeError(
      `createNode: listen: ${formatAddress(address)} is not a loopback address, and the mesh is not encrypted: anyone on the way could read and change what nodes say. Listen on 127.0.0.1, or accept that with insecure: true`,
    )
  }
  if (isWildcard(address) && given.advertise === undefined) {
    throw new TypeError(
      `createNode: listen: ${formatAddress(address)} is every address of this machine, and none that other nodes could dial: say where they reach it with advertise`,
    )
  }
  return address
}

function secretsOf(given: NodeOptions['secret']): readonly string[] {
  if (given === undefined) return []
  const secrets: readonly unknown[] = Array.isArray(given) ? given : [given]
  if (secrets.length === 0 || secrets.length > 4) {
    throw new TypeError(`createNode: secret: expected a string or 1 to 4 of them, got ${secrets.length}`)
  }
  for (const secret of secrets) {
    if (isSecret(secret) !== undefined) {
      const came = typeof secret === 'string' ? `${Buffer.byteLength(secret)} bytes` : `a ${typeof secret}`
      throw new TypeError(
        `createNode: secret: expected a string of at least ${SECRET_BYTES_MIN} bytes, got ${came}`,
      )
    }
  }
  return secrets as readonly string[]
}

function byName<T extends { readonly name: string }>(
  option: string,
  decides: string,
  given: readonly T[],
): ReadonlyMap<string, T> {
  const named = new Map<string, T>()
  for (const def of given) {
    const known = named.get(def.name)
    if (known !== undefined && known !== def) {
      throw new TypeError(
        `createNode: ${option}: two definitions are named ${show(def.name)}; a name decides ${decides}`,
      )
    }
    named.set(def.name, def)
  }
  return named
}

function listed(procedures: readonly AnyProcedure[]): readonly AnyProcedure[] {
  if (procedures.length <= PROCEDURES_LISTED_MAX) return procedures
  throw new RangeError(
    `createNode: procedures: expected at most ${PROCEDURES_LISTED_MAX}, got ${procedures.length}`,
  )
}

/** What `update` is given: throws as `createNode` does. */
export function checkDescription(given: NodeDescription): NodeDescription {
  checkOptions('update', given, { tags: arrayOf(isLabel), meta: isObject })
  return {
    ...(given.tags === undefined ? {} : { tags: tagsOf('update', given.tags) }),
    ...(given.meta === undefined ? {} : { meta: metaOf('update', given.meta) }),
  }
}

function tagsOf(where: string, tags: readonly string[]): readonly string[] {
  if (tags.length > TAGS_MAX)
    throw new RangeError(`${where}: tags: expected at most ${TAGS_MAX}, got ${tags.length}`)
  return [...new Set(tags)].sort()
}

function metaOf(where: string, meta: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  for (const [key, value] of Object.entries(meta)) {
    expect(`${where}: meta: ${show(key)}`, value, isString)
  }
  const bytes = Buffer.byteLength(JSON.stringify(meta))
  if (bytes > META_BYTES_MAX) {
    throw new RangeError(`${where}: meta: expected at most ${META_BYTES_MAX} bytes as JSON, got ${bytes}`)
  }
  return { ...meta }
}

const LETTERS = 'abcdefghijklmnopqrstuvwxyz0123456789'

/** Host name and six random characters: unique without being told, and readable. */
function defaultName(runtime: Runtime): NodeId {
  const host = runtime.host.hostname
    .toLowerCase()
    .replace(/[^a-z0-9_.-]/g, '-')
    .replace(/^[^a-z0-9]+/, '')
  const bytes = runtime.random.fork('name').bytes(6)
  const suffix = Array.from(bytes, byte => LETTERS[byte % LETTERS.length]).join('')
  return parseNodeId(`${host.slice(0, 57) || 'node'}-${suffix}`)
}
