/**
 * Which slot a key belongs to. All nodes of a cluster must agree, so the function is part of the cluster's parameters:
 * a change of it is a new `HASH_VERSION`.
 */
import { hashKey } from '../base/key-hash.js'

export const HASH_VERSION = 1
export const SLOTS = 4_096

export const slotOf = (key: string, slots: number): number => hashKey(key) % slots
