/** Which partition a key belongs to. */
import { show } from '../base/errors.js'
import { Pid, Ref } from '../base/ids.js'
import { hashKey } from '../base/key-hash.js'

/** What is divided among partitions: ids, names, processes. */
export type PartitionKey = string | number | bigint | Pid | Ref

/** Whole numbers by the remainder of their absolute value, so that they can be dealt out by hand; all else by a hash. */
export function partitionOf(key: PartitionKey, partitions: number): number {
  if (typeof key === 'bigint') return Number((key < 0n ? -key : key) % BigInt(partitions))
  if (Number.isInteger(key)) return Math.abs(key as number) % partitions
  if (typeof key !== 'string' && typeof key !== 'number' && !(key instanceof Pid) && !(key instanceof Ref))
    throw new TypeError(`partition: expected a string, a number, a bigint, a pid or a ref, got ${show(key)}`)
  return hashKey(String(key)) % partitions
}
