import { Resolver as DnsResolver, lookup } from 'node:dns/promises'
import type { Address, ResolveOptions, Resolver } from '../base/runtime.js'

/** One question to one server; there are two tries. */
const TRY_MS = 2_000

/**
 * Hosts are looked up as every program of the system does it, hosts file and search domains included, unless servers are
 * named; SRV records only DNS itself knows. What the system looks up cannot be given up, and holds a thread of Node's
 * pool until its own deadline.
 */
export class RealResolver implements Resolver {
  async lookup(host: string, options: ResolveOptions = {}): Promise<readonly string[]> {
    if (options.servers === undefined) {
      return (await lookup(host, { all: true })).map(found => found.address)
    }
    return asking(options, async resolver => {
      const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)])
      const found = answers.flatMap(answer => (answer.status === 'fulfilled' ? answer.value : []))
      if (found.length === 0) throw worst(answers)
      return found
    })
  }

  services(name: string, options: ResolveOptions = {}): Promise<readonly Address[]> {
    return asking(options, async resolver => {
      const records = await resolver.resolveSrv(name)
      return records.map(record => ({ host: record.name, port: record.port }))
    })
  }
}

async function asking<T>(options: ResolveOptions, ask: (resolver: DnsResolver) => Promise<T>): Promise<T> {
  const { servers, signal } = options
  const resolver = new DnsResolver({ timeout: TRY_MS, tries: 2 })
  if (servers !== undefined) resolver.setServers(servers)
  const cancel = (): void => resolver.cancel()
  signal?.addEventListener('abort', cancel)
  try {
    return await ask(resolver)
  } finally {
    signal?.removeEventListener('abort', cancel)
  }
}

/** "There is no AAAA" says less than whatever became of the question for A. */
function worst(answers: readonly PromiseSettledResult<readonly string[]>[]): unknown {
  const errors: unknown[] = answers.flatMap(answer => (answer.status === 'rejected' ? [answer.reason] : []))
  return errors.find(error => (error as { code?: string }).code !== 'ENODATA') ?? errors[0]
}
