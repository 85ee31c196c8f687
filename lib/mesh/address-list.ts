/** What a file of addresses, or a function that finds them, says. Pure. */
import { formatAddress, parseAddress } from '../base/address.js'
import { show } from '../base/errors.js'
import { compareIds } from '../base/ids.js'
import type { Address } from '../base/runtime.js'

/**
 * One `host:port` per line, `#` begins a comment; or, where the first sign is `[` and no IPv6 address follows, a JSON
 * array of strings. One bad line refuses the whole: half of a file is no answer. Throws `TypeError` that names the line.
 */
export function parseAddressFile(text: string): readonly Address[] {
  if (/^\s*\[\s*(?:["\]]|$)/.test(text)) return parseAddresses(parseJson(text))
  return text.split('\n').flatMap((line, i) => {
    const said = line.replace(/#.*/, '').trim()
    return said === '' ? [] : [parseAddress(`line ${i + 1}`, said, 1)]
  })
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new TypeError(
      `expected a JSON array of host:port, got what is no JSON: ${(error as Error).message}`,
    )
  }
}

/** Throws `TypeError` that names the item. */
export function parseAddresses(given: unknown): readonly Address[] {
  if (!Array.isArray(given)) throw new TypeError(`expected an array of host:port, got ${show(given)}`)
  return given.map((text, i) => parseAddress(`item ${i}`, text, 1))
}

/** Each once, in order: the same list on every node that was told the same. */
export function sortedAddresses(addresses: readonly Address[]): readonly Address[] {
  const byText = new Map(addresses.map(address => [formatAddress(address), address]))
  return [...byText.keys()].sort(compareIds).map(text => byText.get(text)!)
}
