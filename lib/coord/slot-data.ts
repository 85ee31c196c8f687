/**
 * The plain data of the slot protocol: lives, terms, entries. Everything here crosses nodes and is never changed in
 * place. A node means one *life* of it everywhere: a restarted node is another node.
 */
import { compareIds, type NodeId } from '../base/ids.js'

/** One life of one node. A `Pid` is one, too. */
export interface Life {
  readonly node: NodeId
  readonly creation: number
}

/** Who holds a key: something with a number of its own on one life of one node. Opaque here; `Pid` fits. */
export interface Owner extends Life {
  readonly serial: number
}

/** The right to decide about a slot: ordered by `n`, then by node. */
export interface Term extends Life {
  readonly n: number
}

/** When an entry was made, in the order of terms and then of grants. The age of a name, without any clock. */
export interface Since {
  readonly n: number
  readonly node: NodeId
  readonly seq: number
}

/**
 * What the slot's table says of one key. `serial` is absent while the key is kept without an owner: its process
 * crashed and `home` is about to replace it (`vacated`). An entry with a `value` outlives its home: when `home` is
 * gone the key stays taken, and the registrar of the slot asks for a new owner (`orphan`).
 */
export interface Entry {
  readonly key: string
  readonly home: Life
  readonly serial: number | undefined
  readonly since: Since
  /** The term in which the home confirmed, before others were told to yield, that this owner lives. */
  readonly confirmed: Confirmed | undefined
  /** Opaque, plain data; undefined for a key that ends with its owner. */
  readonly value: unknown
  /** What kind of thing holds the key, for readers; it decides nothing. */
  readonly label?: string | undefined
}

export interface Confirmed {
  readonly n: number
  readonly node: NodeId
}

export const sameLife = (a: Life, b: Life): boolean => a.creation === b.creation && a.node === b.node

/** Negative when `a` is the lower term. Lives are not ordered: see `outranks`. */
export const compareTerms = (a: Confirmed, b: Confirmed): number => a.n - b.n || compareIds(a.node, b.node)

/** True when `a` is above `b`. Two lives of one node may draw the same number; then neither outranks the other. */
export const outranks = (a: Confirmed, b: Confirmed | undefined): boolean =>
  b === undefined || compareTerms(a, b) > 0

export const sameTerm = (a: Term, b: Term | undefined): boolean =>
  b !== undefined && a.n === b.n && sameLife(a, b)

export const compareSince = (a: Since, b: Since): number => compareTerms(a, b) || a.seq - b.seq

export const sameSince = (a: Since, b: Since): boolean => a.seq === b.seq && a.n === b.n && a.node === b.node

/** The same owner of the same key, whatever else is known about it. */
export const sameHolding = (a: Entry, b: Entry): boolean => a.serial === b.serial && sameLife(a.home, b.home)

export function sameEntry(a: Entry | undefined, b: Entry | undefined): boolean {
  if (a === b) return true
  if (a === undefined || b === undefined || !sameHolding(a, b) || !sameSince(a.since, b.since)) return false
  if (a.confirmed === undefined || b.confirmed === undefined) return a.confirmed === b.confirmed
  return compareTerms(a.confirmed, b.confirmed) === 0
}

/** Who wins where several hold one key: an owner over a record without one, the latest confirmed, then the oldest. */
export function compareClaims(a: Entry, b: Entry): number {
  if ((a.serial === undefined) !== (b.serial === undefined)) return a.serial === undefined ? 1 : -1
  if (a.confirmed !== undefined && b.confirmed !== undefined) {
    return compareTerms(b.confirmed, a.confirmed) || compareSince(a.since, b.since)
  }
  if (a.confirmed !== undefined) return -1
  if (b.confirmed !== undefined) return 1
  return compareSince(a.since, b.since)
}

export const ownerOf = (entry: Entry): Owner | undefined =>
  entry.serial === undefined
    ? undefined
    : { node: entry.home.node, creation: entry.home.creation, serial: entry.serial }
