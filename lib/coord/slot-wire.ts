/**
 * Slot messages as bytes: arrays that begin with a number for their type. One batch carries all that one turn has for
 * one peer, in order; neighbouring seals, and neighbouring empty answers to them, share one array, because a node that
 * takes over hundreds of slots says the same of each.
 *
 * The numbers are part of the protocol: append, never renumber.
 */
import { TroupeError } from '../base/errors.js'
import { isNodeId, type NodeId } from '../base/ids.js'
import { NAME_BYTES_MAX } from '../base/limits.js'
import {
  array,
  boolean,
  decodeControl,
  encodeControl,
  finite,
  guard,
  integer,
  nullable,
  oneOf,
  type Schema,
  string,
  tuple,
  u48,
} from '../wire/control.js'
import type { Confirmed, Entry, Owner, Since, Term } from './slot-data.js'
import type { Holds, SlotMessage } from './slot-messages.js'

const Id = {
  seal: 1,
  sealedEmpty: 2,
  sealed: 3,
  nack: 4,
  accept: 5,
  ack: 6,
  confirm: 7,
  held: 8,
  lose: 9,
  lost: 10,
  ask: 11,
  told: 12,
  release: 13,
  digest: 14,
} as const

/** Messages in one batch: with some twenty values each they stay far below what a control message may hold. */
export const BATCH_MAX = 512
const SLOTS_MAX = 65_536
const ENTRIES_MAX = 4_096

type Wire = readonly unknown[]

const slot = integer(0, SLOTS_MAX - 1)
const holding: Schema<Holds> = oneOf('yes', 'no', 'kept')
const number = integer(0, Number.MAX_SAFE_INTEGER)
const key = string(NAME_BYTES_MAX)
const label = nullable(string(NAME_BYTES_MAX))
const serial = nullable(u48)
const node: Schema<NodeId> = guard('a node name', isNodeId)
/** What `cluster/` put there, and checks when it reads it. */
const value: Schema<unknown> = { expected: 'a value', read: given => given }

const since = tuple<[number, NodeId, number]>(number, node, number)
const confirmed = tuple<[number, NodeId]>(number, node)
const owner = tuple<[NodeId, number, number]>(node, u48, u48)
const term = tuple<[number, NodeId, number]>(number, node, u48)
const entry = tuple<
  [
    string,
    NodeId,
    number,
    number | null,
    readonly [number, NodeId, number],
    readonly [number, NodeId] | null,
    unknown,
    string | null,
  ]
>(key, node, u48, serial, since, nullable(confirmed), value, label)
type WireEntry = typeof entry extends Schema<infer T> ? T : never

/** How each type reads what follows its number. */
const BODIES = {
  [Id.seal]: body(tuple<[number, readonly number[]]>(number, array(slot, SLOTS_MAX)), ([n, slots]) =>
    slots.map(index => ({ type: 'seal', slot: index, n })),
  ),
  [Id.sealedEmpty]: body(tuple<[number, readonly number[]]>(number, array(slot, SLOTS_MAX)), ([n, slots]) =>
    slots.map(index => ({ type: 'sealed', slot: index, n, entries: [], last: true })),
  ),
  [Id.sealed]: body(
    tuple<[number, number, readonly WireEntry[], boolean]>(slot, number, array(entry, ENTRIES_MAX), boolean),
    ([at, n, entries, last]) => [{ type: 'sealed', slot: at, n, entries: entries.map(readEntry), last }],
  ),
  [Id.nack]: body(
    tuple<[number, number, readonly [number, NodeId, number] | null]>(slot, number, nullable(term)),
    ([at, n, promised]) => [
      { type: 'nack', slot: at, n, promised: promised === null ? undefined : readTerm(promised) },
    ],
  ),
  [Id.accept]: body(
    tuple<[number, number, number, string, WireEntry | null]>(slot, number, number, key, nullable(entry)),
    ([at, n, no, name, given]) => [
      { type: 'accept', slot: at, n, no, key: name, entry: given === null ? undefined : readEntry(given) },
    ],
  ),
  [Id.ack]: body(
    tuple<[number, number, number, string, Holds]>(slot, number, number, key, holding),
    ([at, n, no, name, holds]) => [{ type: 'ack', slot: at, n, no, key: name, holds }],
  ),
  [Id.confirm]: body(
    tuple<[number, number, string, number | null]>(slot, number, key, serial),
    ([at, n, name, of]) => [{ type: 'confirm', slot: at, n, key: name, serial: of ?? undefined }],
  ),
  [Id.held]: body(
    tuple<[number, number, string, number | null, Holds]>(slot, number, key, serial, holding),
    ([at, n, name, of, holds]) => [{ type: 'held', slot: at, n, key: name, serial: of ?? undefined, holds }],
  ),
  [Id.lose]: body(
    tuple<[number, number, string, number | null, readonly [NodeId, number, number] | null, boolean]>(
      slot,
      number,
      key,
      serial,
      nullable(owner),
      boolean,
    ),
    ([at, n, name, of, winner, ends]) => [
      { type: 'lose', slot: at, n, key: name, serial: of ?? undefined, winner: readOwner(winner), ends },
    ],
  ),
  [Id.lost]: body(
    tuple<[number, number, string, number | null]>(slot, number, key, serial),
    ([at, n, name, of]) => [{ type: 'lost', slot: at, n, key: name, serial: of ?? undefined }],
  ),
  [Id.ask]: body(
    tuple<
      [
        number,
        'register' | 'replace' | 'drop',
        string,
        number | null,
        unknown,
        readonly [number, NodeId, number] | null,
        number,
        string | null,
      ]
    >(number, oneOf('register', 'replace', 'drop'), key, serial, value, nullable(since), finite, label),
    ([id, kind, name, of, given, replaced, ttlMs, kindOf]) => [
      {
        type: 'ask',
        id,
        kind,
        key: name,
        serial: of ?? undefined,
        value: given ?? undefined,
        label: kindOf ?? undefined,
        since: replaced === null ? undefined : readSince(replaced),
        ttlMs,
      },
    ],
  ),
  [Id.told]: body(
    tuple<
      [
        number,
        'granted' | 'taken' | 'stale' | 'noproc' | 'unavailable' | 'retry',
        readonly [NodeId, number, number] | null,
      ]
    >(number, oneOf('granted', 'taken', 'stale', 'noproc', 'unavailable', 'retry'), nullable(owner)),
    ([id, what, by]) => [{ type: 'told', id, what, owner: readOwner(by) }],
  ),
  [Id.release]: body(tuple<[string, number | null, boolean]>(key, serial, boolean), ([name, of, keep]) => [
    { type: 'release', key: name, serial: of ?? undefined, keep },
  ]),
  [Id.digest]: body(
    tuple<[readonly WireEntry[], readonly (readonly [string, number | null])[], boolean]>(
      array(entry, ENTRIES_MAX),
      array(tuple<[string, number | null]>(key, serial), ENTRIES_MAX),
      boolean,
    ),
    ([entries, asking, last]) => [
      {
        type: 'digest',
        entries: entries.map(readEntry),
        asking: asking.map(([name, of]) => ({ key: name, serial: of ?? undefined })),
        last,
      },
    ],
  ),
} as const

type Body = (wire: unknown) => readonly SlotMessage[]

function body<T>(schema: Schema<T>, make: (fields: T) => readonly SlotMessage[]): Body {
  return wire => {
    const fields = schema.read(wire)
    // Schemas answer with what did not fit as an object of their own; a tuple that fits is an array.
    if (!Array.isArray(fields)) throw malformed(schema.expected)
    return make(fields as T)
  }
}

const malformed = (expected: string): TroupeError =>
  new TroupeError('ERR_FRAME', `not a slot message of ours: expected ${expected}`, { expected })

const message: Schema<Wire> = guard(
  'a slot message',
  (given): given is Wire =>
    Array.isArray(given) && typeof given[0] === 'number' && Object.hasOwn(BODIES, given[0]),
)
const batch = array(message, BATCH_MAX)

/** Throws `ERR_FRAME`. */
export function decodeBatch(buffer: Buffer, start: number, end: number): SlotMessage[] {
  const messages: SlotMessage[] = []
  for (const [id, ...fields] of decodeControl(batch, buffer, start, end)) {
    const read: Body = BODIES[id as keyof typeof BODIES]
    messages.push(...read(fields))
  }
  return messages
}

/** At most `BATCH_MAX` messages, behind `reserve` free bytes. */
export function encodeBatch(messages: readonly SlotMessage[], reserve: number): Buffer {
  const wires: unknown[][] = []
  let run: { readonly id: number; readonly n: number; readonly slots: number[] } | undefined
  for (const each of messages) {
    const id = runOf(each)
    if (id !== undefined && 'slot' in each) {
      if (run?.id === id && run.n === each.n) {
        run.slots.push(each.slot)
      } else {
        run = { id, n: each.n, slots: [each.slot] }
        wires.push([id, run.n, run.slots])
      }
    } else {
      run = undefined
      wires.push(writeMessage(each))
    }
  }
  return encodeControl(wires, reserve)
}

/** The type under which neighbours are put together. */
function runOf(each: SlotMessage): number | undefined {
  if (each.type === 'seal') return Id.seal
  return each.type === 'sealed' && each.last && each.entries.length === 0 ? Id.sealedEmpty : undefined
}

function writeMessage(m: SlotMessage): unknown[] {
  switch (m.type) {
    case 'seal':
      return [Id.seal, m.n, [m.slot]]
    case 'sealed':
      return [Id.sealed, m.slot, m.n, m.entries.map(writeEntry), m.last]
    case 'nack':
      return [Id.nack, m.slot, m.n, m.promised === undefined ? null : writeTerm(m.promised)]
    case 'accept':
      return [Id.accept, m.slot, m.n, m.no, m.key, m.entry === undefined ? null : writeEntry(m.entry)]
    case 'ack':
      return [Id.ack, m.slot, m.n, m.no, m.key, m.holds]
    case 'confirm':
      return [Id.confirm, m.slot, m.n, m.key, m.serial ?? null]
    case 'held':
      return [Id.held, m.slot, m.n, m.key, m.serial ?? null, m.holds]
    case 'lose':
      return [Id.lose, m.slot, m.n, m.key, m.serial ?? null, writeOwner(m.winner), m.ends]
    case 'lost':
      return [Id.lost, m.slot, m.n, m.key, m.serial ?? null]
    case 'ask': {
      const replaced = m.since === undefined ? null : writeSince(m.since)
      return [
        Id.ask,
        m.id,
        m.kind,
        m.key,
        m.serial ?? null,
        m.value ?? null,
        replaced,
        m.ttlMs,
        m.label ?? null,
      ]
    }
    case 'told':
      return [Id.told, m.id, m.what, writeOwner(m.owner)]
    case 'release':
      return [Id.release, m.key, m.serial ?? null, m.keep]
    case 'digest':
      return [
        Id.digest,
        m.entries.map(writeEntry),
        m.asking.map(({ key: name, serial: of }) => [name, of ?? null]),
        m.last,
      ]
    default:
      return m satisfies never
  }
}

const writeSince = (s: Since): unknown[] => [s.n, s.node, s.seq]
const readSince = ([n, at, seq]: readonly [number, NodeId, number]): Since => ({ n, node: at, seq })
const writeTerm = (t: Term): unknown[] => [t.n, t.node, t.creation]
const readTerm = ([n, at, creation]: readonly [number, NodeId, number]): Term => ({ n, node: at, creation })
const readConfirmed = ([n, at]: readonly [number, NodeId]): Confirmed => ({ n, node: at })
const writeOwner = (o: Owner | undefined): unknown[] | null =>
  o === undefined ? null : [o.node, o.creation, o.serial]
const readOwner = (o: readonly [NodeId, number, number] | null): Owner | undefined =>
  o === null ? undefined : { node: o[0], creation: o[1], serial: o[2] }

const writeEntry = (e: Entry): unknown[] => [
  e.key,
  e.home.node,
  e.home.creation,
  e.serial ?? null,
  writeSince(e.since),
  e.confirmed === undefined ? null : [e.confirmed.n, e.confirmed.node],
  e.value ?? null,
  e.label ?? null,
]

function readEntry([name, at, creation, of, from, by, given, kindOf]: WireEntry): Entry {
  return {
    key: name,
    home: { node: at, creation },
    serial: of ?? undefined,
    since: readSince(from),
    confirmed: by === null ? undefined : readConfirmed(by),
    value: given ?? undefined,
    label: kindOf ?? undefined,
  }
}
