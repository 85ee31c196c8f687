/** How each kind of source is asked for addresses. What it rejects with is for people to read. */
import type { DiscoverySource } from '../base/discovery.js'
import { show } from '../base/errors.js'
import { ADDRESS_FILE_BYTES_MAX } from '../base/limits.js'
import type { Address, ResolveOptions, Runtime } from '../base/runtime.js'
import { parseAddresses, parseAddressFile } from './address-list.js'

type Edge = Pick<Runtime, 'resolver' | 'disk'>

/** `targetsMax`: SRV targets that are looked up. */
export async function ask(
  source: DiscoverySource,
  { resolver, disk }: Edge,
  { signal, targetsMax }: { readonly signal: AbortSignal; readonly targetsMax: number },
): Promise<readonly Address[]> {
  if (source.kind === 'find') return parseAddresses(await source.find(signal))
  if (source.kind === 'file') {
    const bytes = await disk.read(source.path)
    if (bytes.length <= ADDRESS_FILE_BYTES_MAX) return parseAddressFile(bytes.toString('utf8'))
    throw new RangeError(`expected at most ${ADDRESS_FILE_BYTES_MAX} bytes, got ${bytes.length}`)
  }
  const options = { servers: source.servers, signal }
  if (source.kind === 'srv') return servicesOf(source.name, resolver, options, targetsMax)
  const { port } = source
  return (await resolver.lookup(source.name, options)).map(host => ({ host, port }))
}

/** Targets that do not resolve are passed over, as long as one does. */
async function servicesOf(
  name: string,
  resolver: Runtime['resolver'],
  options: ResolveOptions,
  targetsMax: number,
): Promise<readonly Address[]> {
  const services = (await resolver.services(name, options)).slice(0, targetsMax)
  const answers = await Promise.allSettled(
    services.map(async ({ host, port }) =>
      (await resolver.lookup(host, options)).map(address => ({ host: address, port })),
    ),
  )
  const failed = answers.find(answer => answer.status === 'rejected')
  if (failed !== undefined && answers.every(answer => answer.status === 'rejected')) throw failed.reason
  return answers.flatMap(answer => (answer.status === 'fulfilled' ? answer.value : []))
}

/** In one short line: errors of Node's edge say their code and what was asked, and those of people anything. */
export function reasonOf(error: unknown): string {
  const { code, message } =
    error instanceof Error ? (error as NodeJS.ErrnoException) : { code: '', message: '' }
  const text = error instanceof Error ? message : show(error)
  const said = code === undefined || code === '' || text.includes(code) ? text : `${code}: ${text}`
  return said.length > 200 ? `${said.slice(0, 197)}...` : said
}
