/**
 * What nodes say to each other about slots. Who speaks is known from the session and stands in no message: the term
 * of a `seal`, `accept`, `confirm` or `lose` is (`n`, the sender), the home of a `release`, `register` or `digest`
 * is the sender.
 *
 *   registrar              member                    caller                     registrar
 *      | seal n  ------------> |                        | register, replace, drop --> |
 *      | <--- sealed (parts)   |   nack p: not below p  | <------------------- answer |
 *      | accept n, no, entry > |
 *      | <------------ ack no  |                      owner's node               everybody
 *      | confirm n, serial --> |                        | release ------------------> |
 *      | <--------------- held |                        | digest (on a new session) > |
 *      | lose n, serial -----> |
 *      | <--------------- lost |
 */
import type { Entry, Owner, Since, Term } from './slot-data.js'

export type SlotMessage =
  | Seal
  | Sealed
  | Nack
  | Accept
  | Ack
  | Confirm
  | Held
  | Lose
  | Lost
  | Ask
  | Told
  | Release
  | Digest

export interface Seal {
  readonly type: 'seal'
  readonly slot: number
  readonly n: number
}

/** The sender's table of the slot and its live holdings. Everything said with the same `n` before `last` counts. */
export interface Sealed {
  readonly type: 'sealed'
  readonly slot: number
  readonly n: number
  readonly entries: readonly Entry[]
  readonly last: boolean
}

/** "I promised this." With `n` 0 it answers nothing: "the slot that you should take belongs to one who is gone." */
export interface Nack {
  readonly type: 'nack'
  readonly slot: number
  readonly n: number
  readonly promised: Term | undefined
}

export interface Accept {
  readonly type: 'accept'
  readonly slot: number
  readonly n: number
  readonly no: number
  readonly key: string
  /** Undefined: the key is free. */
  readonly entry: Entry | undefined
}

export interface Ack {
  readonly type: 'ack'
  readonly slot: number
  readonly n: number
  readonly no: number
  readonly key: string
  readonly holds: Holds
}

/** "Does this owner of yours live and hold the key?" */
export interface Confirm {
  readonly type: 'confirm'
  readonly slot: number
  readonly n: number
  readonly key: string
  readonly serial: number | undefined
}

export interface Held {
  readonly type: 'held'
  readonly slot: number
  readonly n: number
  readonly key: string
  readonly serial: number | undefined
  readonly holds: Holds
}

/** What a home says of an owner of its own: `kept` is gone, but its record waits for a replacement there. */
export type Holds = 'yes' | 'no' | 'kept'

export interface Lose {
  readonly type: 'lose'
  readonly slot: number
  readonly n: number
  readonly key: string
  readonly serial: number | undefined
  /** Undefined: nobody won. */
  readonly winner: Owner | undefined
  /** Whether the loser ends, or is only told. */
  readonly ends: boolean
}

export interface Lost {
  readonly type: 'lost'
  readonly slot: number
  readonly n: number
  readonly key: string
  readonly serial: number | undefined
}

/** A request of a node to the registrar of the key's slot. `id` is the caller's; the same one may come again. */
export interface Ask {
  readonly type: 'ask'
  readonly id: number
  readonly kind: AskKind
  readonly key: string
  readonly serial: number | undefined
  readonly value: unknown
  readonly label?: string | undefined
  /** The entry that is to be replaced or dropped; undefined for `register`, and for an unconditional `drop`. */
  readonly since: Since | undefined
  /** How long the caller still waits. */
  readonly ttlMs: number
}

export type AskKind = 'register' | 'replace' | 'drop'

export interface Told {
  readonly type: 'told'
  readonly id: number
  readonly what: 'granted' | 'taken' | 'stale' | 'noproc' | 'unavailable' | 'retry'
  /** With `taken`: by whom, unless the key is between owners. */
  readonly owner: Owner | undefined
}

/** The sender's owner gives the key up. With `keep` the entry stays, without an owner, for the sender to replace. */
export interface Release {
  readonly type: 'release'
  readonly key: string
  readonly serial: number | undefined
  readonly keep: boolean
}

/** What the sender holds in slots that the receiver sealed, and what it asks for and has not been told of. */
export interface Digest {
  readonly type: 'digest'
  readonly entries: readonly Entry[]
  readonly asking: readonly { readonly key: string; readonly serial: number | undefined }[]
  readonly last: boolean
}
