/** Addresses as people write them. */
import { show } from './errors.js'
import type { Address } from './runtime.js'

const ADDRESS = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]]+)):(\d{1,5})$/

/** `host:port`, `[v6]:port`. Throws `TypeError` that begins with `where`. */
export function parseAddress(where: string, text: unknown, portMin: number): Address {
  const match = typeof text === 'string' ? ADDRESS.exec(text) : null
  const port = Number(match?.[3])
  if (match === null || port > 65_535 || port < portMin) {
    throw new TypeError(
      `${where}: expected host:port with a port from ${portMin} to 65535, got ${show(text)}`,
    )
  }
  return { host: (match[1] ?? match[2]) as string, port }
}

export const formatAddress = (address: Address): string =>
  address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`

export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
