/** Where a node looks for others, as users say it and, checked, as the mesh is told. */
import { isAbsolute } from 'node:path'
import { formatAddress, parseAddress } from './address.js'
import { show } from './errors.js'
import { DISCOVERY_SOURCES_MAX } from './limits.js'
import { arrayOf, type Check, checkOptions, expect, isFunction, isInteger, isMs } from './options.js'

export interface DiscoveryTiming {
  /** How often it is asked again, in ms, jittered by a quarter. Default 10 000, at least 100. */
  readonly everyMs?: number | undefined
}

export interface DnsDiscovery extends DiscoveryTiming {
  /** DNS servers to ask, `ip` or `ip:port`. Default: those of the system, by its own rules. */
  readonly servers?: readonly string[] | undefined
}

/**
 * One way to find other nodes.
 *
 * - `{ dns: 'troupe.prod.svc.cluster.local', port: 7001 }`: every A and AAAA record of a name, each with that port; what
 *   a headless service of Kubernetes or a service of compose answers. Asked as the system does, with its hosts file and
 *   search domains, unless there are `servers`.
 * - `{ srv: '_troupe._tcp.example.org' }`: every SRV record of a name, whose targets are looked up in turn. The name is
 *   taken as it is: search domains do not apply.
 * - `{ file: '/etc/troupe/peers' }`: one `host:port` per line, `#` begins a comment; or a JSON array of strings. Read
 *   again when it changes, and every `everyMs` in case nobody tells.
 * - `{ find: async signal => ['10.0.0.1:7001'] }`, or the function itself: asked every `everyMs`; `signal` aborts after
 *   5 s and when the node stops.
 */
export type Discovery =
  | (DnsDiscovery & { readonly dns: string; readonly port: number })
  | (DnsDiscovery & { readonly srv: string })
  | (DiscoveryTiming & { readonly file: string })
  | (DiscoveryTiming & { readonly find: FindAddresses })
  | FindAddresses

/** Gives `host:port` of nodes, this one among them or not. A throw is logged, and it is asked again later. */
export type FindAddresses = (signal: AbortSignal) => readonly string[] | Promise<readonly string[]>

interface Asked {
  /** For log lines: `dns troupe.prod:7001`. */
  readonly label: string
  readonly everyMs: number
}

interface AskedDns extends Asked {
  readonly name: string
  readonly servers: readonly string[] | undefined
}

/** A checked `Discovery`. */
export type DiscoverySource =
  | (AskedDns & { readonly kind: 'dns'; readonly port: number })
  | (AskedDns & { readonly kind: 'srv' })
  | (Asked & { readonly kind: 'file'; readonly path: string })
  | (Asked & { readonly kind: 'find'; readonly find: FindAddresses })

const EVERY_MS = 10_000
const EVERY_MS_MIN = 100
const HOST_NAME = /^(?=.{1,254}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*\.?$/
const IP = /^(?:\d{1,3}(?:\.\d{1,3}){3}|\[?[0-9a-fA-F]*:[0-9a-fA-F:.]*\]?)$/

const isName: Check = value =>
  typeof value === 'string' && HOST_NAME.test(value) ? undefined : 'a DNS name of 1 to 254 characters'

const isServer: Check = value => {
  if (typeof value !== 'string' || (!IP.test(value) && !isServerWithPort(value))) return 'ip or ip:port'
  return undefined
}

function isServerWithPort(text: string): boolean {
  try {
    return IP.test(parseAddress('', text, 1).host)
  } catch {
    return false
  }
}

const isPath: Check = value =>
  typeof value === 'string' && isAbsolute(value) ? undefined : 'an absolute path'

const TIMED = { everyMs: isMs(EVERY_MS_MIN) }
const DNS = { ...TIMED, servers: serversOf }

function serversOf(value: unknown): string | undefined {
  return Array.isArray(value) && value.length === 0 ? 'at least one server' : arrayOf(isServer)(value)
}

/** By the key that says what kind of source it is: all keys that it may have. */
const KINDS: Readonly<Record<string, Readonly<Record<string, Check>>>> = {
  dns: { dns: isName, port: isInteger(1, 65_535), ...DNS },
  srv: { srv: isName, ...DNS },
  file: { file: isPath, ...TIMED },
  find: { find: isFunction, ...TIMED },
}
const EXPECTED = 'a function, or an object with one of dns, srv, file, find'

/** Throws `TypeError` or `RangeError` that begins with `where`. */
export function checkDiscovery(where: string, given: unknown): readonly DiscoverySource[] {
  if (given === undefined) return []
  const many = Array.isArray(given)
  const all: readonly unknown[] = many ? given : [given]
  if (all.length > DISCOVERY_SOURCES_MAX) {
    throw new RangeError(`${where}: expected at most ${DISCOVERY_SOURCES_MAX} sources, got ${all.length}`)
  }
  return all.map((one, i) => sourceOf(many ? `${where}[${i}]` : where, one))
}

function sourceOf(where: string, given: unknown): DiscoverySource {
  if (typeof given === 'function') return sourceOf(where, { find: given })
  const kinds = typeof given === 'object' && given !== null ? Object.keys(KINDS).filter(k => k in given) : []
  const [kind] = kinds
  if (kind === undefined || kinds.length > 1) {
    throw new TypeError(`${where}: expected ${EXPECTED}, got ${kinds.join(' and ') || show(given)}`)
  }
  const checks = KINDS[kind]!
  checkOptions(where, given, checks)
  const options = given as Readonly<Record<string, unknown>>
  for (const key of kind === 'dns' ? ['dns', 'port'] : [kind])
    expect(`${where}: ${key}`, options[key], checks[key]!)
  return checked(given as Exclude<Discovery, FindAddresses>)
}

function checked(given: Exclude<Discovery, FindAddresses>): DiscoverySource {
  const everyMs = given.everyMs ?? EVERY_MS
  if ('dns' in given) {
    const { dns: name, port, servers } = given
    return { kind: 'dns', label: `dns ${formatAddress({ host: name, port })}`, everyMs, name, port, servers }
  }
  if ('srv' in given)
    return { kind: 'srv', label: `srv ${given.srv}`, everyMs, name: given.srv, servers: given.servers }
  if ('file' in given) return { kind: 'file', label: `file ${given.file}`, everyMs, path: given.file }
  return { kind: 'find', label: 'find', everyMs, find: given.find }
}
