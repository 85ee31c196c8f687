/** What one node keeps in memory of a slot, and what the halves of the state machine share. */
import type { Alarm, Alarms } from './alarms.js'
import type { Callers } from './callers.js'
import type { Entry, Life, Owner, Term } from './slot-data.js'
import type { Ask, SlotMessage } from './slot-messages.js'
import type { Table } from './table.js'
import type { Peer, View } from './view.js'

export interface Slot {
  readonly index: number
  /** Nothing below this is taken any more. */
  promised: Term | undefined
  /** The highest number heard of. */
  seen: number
  role: Role | undefined
  reseal: Alarm | undefined
}

/** Being the registrar of a slot, from the seal until a higher one. */
export interface Role {
  readonly n: number
  /** Up, and not sealed in this term. */
  readonly need: Set<Peer>
  open: boolean
  /** Whole answers to the seal that `open` has not looked at yet, and beginnings of answers. */
  heard: Map<Peer, Answered>
  readonly parts: Map<Peer, Answered>
  /** Keys with something under way. */
  readonly lines: Map<string, Line>
  readonly losing: Losing[]
  /** The orphans that were put up for revival in this term, by key. */
  readonly revived: Map<string, Entry>
  seq: number
  no: number
}

/** An answer to a seal: as it was said, and without those that ended since it was said. */
export interface Answered {
  readonly said: readonly Entry[]
  readonly valid: readonly Entry[]
  /** Keys with an accept that it got, or will get, after it said this. */
  readonly overtaken: Set<string>
}

export interface Losing {
  readonly peer: Peer
  readonly key: string
  readonly serial: number | undefined
  readonly winner: Entry | undefined
}

/** Everything under way for one key: one thing at a time. */
export interface Line {
  readonly key: string
  /**
   * `idle`: serve the first of `waiting`. `ask`: does the present holder live? `grant`: the accepts of the first of
   * `waiting` are out. `confirm`: does the first of `contest` live? `install`: its accepts are out.
   */
  stage: 'idle' | 'ask' | 'grant' | 'confirm' | 'install'
  readonly waiting: Waiting[]
  /** The last entry sent to all, until all have it. */
  accept: Accepting | undefined
  /** Several hold the key; best first. */
  contest: Entry[]
}

export interface Accepting {
  readonly no: number
  readonly entry: Entry | undefined
  readonly need: Set<Peer>
}

export interface Waiting {
  readonly from: Peer
  readonly ask: Ask
  readonly alarm: Alarm
}

export interface SlotEffects {
  /** To a life with an open session; in order. */
  send(to: Life, message: SlotMessage): void
  /** The end of the request that got `id`. */
  answer(id: number, answer: Answer): void
  /** An owner here lost the key to `winner`, or to nobody. `ends`: it is to end; else it is only told. */
  lost(entry: Entry, winner: Owner | undefined, ends: boolean): void
  /** The table changed: `entry` undefined is gone; `owner` undefined is between owners. */
  changed(key: string, entry: Entry | undefined): void
  /** This node is the registrar of a key whose home is gone: make a new owner somewhere and `replace` by its node. */
  revive(entry: Entry): void
}

export type Answer =
  | { readonly ok: true; readonly entry: Entry | undefined }
  /** `stale`: what was to be replaced is no longer so. `no-quorum`: this side of a partition may not decide. */
  | {
      readonly ok: false
      readonly why: 'taken' | 'stale' | 'noproc' | 'unavailable' | 'no-quorum'
      readonly owner: Owner | undefined
    }

export interface SlotTimes {
  /** How long the view must have been still before a slot moves to its preferred owner. */
  readonly stableMs: number
  /** How long a life that only a message named may stay unexplained. */
  readonly learnMs: number
  /** The first wait before a refused request goes out again; doubles up to `retryMaxMs`, with jitter. */
  readonly retryMs: number
  readonly retryMaxMs: number
}

/** Whether this side of a partition may decide. */
export interface SlotQuorum {
  readonly quorate: boolean
  /** Those of `lives` that are not `missing` are enough to decide by. */
  reached(lives: readonly Life[], missing: ReadonlySet<Life>): boolean
}

export interface SlotLimits {
  readonly asksMax: number
  readonly waitingMax: number
  readonly holdingsMax: number
  readonly goneMax: number
}

/** What the halves of the machine share. */
export interface Core {
  readonly view: View
  readonly table: Table
  readonly alarms: Alarms
  readonly callers: Callers
  readonly effects: SlotEffects
  readonly resolver: Resolver
  readonly times: SlotTimes
  readonly limits: SlotLimits
  readonly quorum: SlotQuorum
  readonly random: () => number
  readonly counters: Counters
  now: number
  started: boolean
  ring: readonly string[]
  slotOf(key: string): Slot
  slotAt(index: number): Slot
  post(to: Peer, message: SlotMessage): void
  /** Counts a life as there that only a message named. */
  learn(life: Life): Peer
}

/** Two holders met: end the younger, tell the younger, or take the key from both. */
export type Resolver = 'oldest' | 'notify' | 'none'

export interface Counters {
  sealed: number
  granted: number
  refused: number
  nacks: number
  conflicts: number
  lost: number
  revived: number
  learnt: number
  overflow: number
}
