/**
 * Which slot a key belongs to. All nodes of a cluster must agree, so the function is part of the cluster's parameters:
 * a change of it is a new `HASH_VERSION`.
 */
export const HASH_VERSION = 1
export const SLOTS = 4_096

/** FNV-1a over the code units, then the finalizer of MurmurHash3, which FNV needs: its low bits mix badly. */
export function hashKey(key: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < key.length; i++) {
    const unit = key.charCodeAt(i)
    hash = Math.imul(hash ^ (unit & 0xff), 0x01000193)
    hash = Math.imul(hash ^ (unit >>> 8), 0x01000193)
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

export const slotOf = (key: string, slots: number): number => hashKey(key) % slots
