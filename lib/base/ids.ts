/**
 * Who is who: nodes, processes, references.
 *
 * A node's id is its name. A node's `creation` is fixed for one life of that node: 48 random bits drawn at start,
 * compared only for equality, so that nothing addressed to an earlier life reaches a later one. Pids and refs carry
 * it. They are interned per node: on one node two pids of the same process are the same object (`===`), as long as
 * the pid of a *remote* process was not forgotten by the bounded intern table; `samePid` is always right.
 */
declare const brand: unique symbol

/** A node's name, unique in its cluster while the node lives. Ordered by code unit; the lowest is the lowest name. */
export type NodeId = string & { readonly [brand]: 'NodeId' }

const NODE_ID = /^[a-z0-9][a-z0-9_.-]{0,63}$/
/** Words that `on:` gives a meaning of their own. */
const RESERVED = new Set(['ring', 'worker', 'local'])

export const isNodeId = (text: unknown): text is NodeId => typeof text === 'string' && NODE_ID.test(text)

/** The one place where a string becomes a `NodeId`. Throws `TypeError`. */
export function parseNodeId(text: unknown): NodeId {
  if (!isNodeId(text) || RESERVED.has(text)) {
    throw new TypeError(
      `not a node name: expected 1 to 64 of a-z, 0-9, '_', '.', '-', beginning with a letter or digit, other than ${[...RESERVED].join(', ')}; got ${JSON.stringify(text)}`,
    )
  }
  return text
}

/** A creation, a serial or a counter: a whole number of at most 48 bits. */
export const U48_MAX = 2 ** 48 - 1
export const isU48 = (n: unknown): n is number =>
  Number.isInteger(n) && (n as number) >= 0 && (n as number) <= U48_MAX

const kInspect = Symbol.for('nodejs.util.inspect.custom')
const creationText = (creation: number): string => creation.toString(16).padStart(12, '0')

/** The address of a process: immutable, comparable with `===` on one node, never reused. */
export class Pid {
  readonly node: NodeId
  readonly creation: number
  readonly serial: number

  /** Internal: pids come from spawning, names and messages. */
  constructor(node: NodeId, creation: number, serial: number) {
    this.node = node
    this.creation = creation
    this.serial = serial
    Object.freeze(this)
  }

  /** `<a.9f3c2b7a01de.42>`: node, creation in hex, serial. */
  toString(): string {
    return `<${this.node}.${creationText(this.creation)}.${this.serial}>`
  }

  toJSON(): string {
    return this.toString()
  }

  [kInspect](): string {
    return this.toString()
  }
}

/** A reference: one monitor, timer, alias or request. Immutable, unique over all nodes and lives. */
export class Ref {
  readonly node: NodeId
  readonly creation: number
  readonly counter: number

  /** Internal: refs come from `monitor`, timers and aliases. */
  constructor(node: NodeId, creation: number, counter: number) {
    this.node = node
    this.creation = creation
    this.counter = counter
    Object.freeze(this)
  }

  /** `#a.9f3c2b7a01de.7`. */
  toString(): string {
    return `#${this.node}.${creationText(this.creation)}.${this.counter}`
  }

  toJSON(): string {
    return this.toString()
  }

  [kInspect](): string {
    return this.toString()
  }
}

export const samePid = (a: Pid, b: Pid): boolean =>
  a === b || (a.serial === b.serial && a.creation === b.creation && a.node === b.node)

export const sameRef = (a: Ref, b: Ref): boolean =>
  a === b || (a.counter === b.counter && a.creation === b.creation && a.node === b.node)

const PID = /^<([a-z0-9][a-z0-9_.-]{0,63})\.([0-9a-f]{12})\.(\d{1,15})>$/

/** Reads what `Pid.toString` wrote. Undefined for anything else. */
export function parsePid(text: string): Pid | undefined {
  const match = PID.exec(text)
  if (match === null) return undefined
  const serial = Number(match[3])
  return isU48(serial) ? new Pid(match[1] as NodeId, Number.parseInt(match[2]!, 16), serial) : undefined
}

/** Code-unit order, the only order of strings that every node agrees on. */
export const compareIds = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
