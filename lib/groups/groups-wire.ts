/**
 * What scopes say to each other, as bytes: one array each, which begins with a number for its type and the scope's name.
 * Processes are serials: their node and its life are those of the session. The numbers are part of the protocol: append,
 * never renumber.
 */
import { TroupeError } from '../base/errors.js'
import type { Pid } from '../base/ids.js'
import { NAME_BYTES_MAX } from '../base/limits.js'
import type { GroupMeta, Present } from '../process/mail.js'
import {
  array,
  boolean,
  decodeControl,
  encodeControl,
  integer,
  nullable,
  oneOf,
  type Schema,
  string,
  tuple,
  u48,
} from '../wire/control.js'
import type { GroupMessage } from './overlay.js'
import type { Change, Holdings } from './table.js'

const Id = { head: 1, want: 2, state: 3, delta: 4, closed: 5 } as const

type Metas = readonly (string | null)[] | null
type WireMembers = readonly [serials: readonly number[], metas: Metas]

/** For one session: how its serials are pids, and how much they may say of themselves. */
export interface Reading {
  readonly pid: (serial: number) => Pid
  readonly metaBytesMax: number
}

const ITEMS_MAX = 65_536
const JOIN = 1
const LEAVE = 0

const name = string(NAME_BYTES_MAX)
const version = integer(0, Number.MAX_SAFE_INTEGER)
const serials = array(u48, ITEMS_MAX)
/** Their length in bytes is checked when they are read. */
const metas = nullable(array(nullable(string(ITEMS_MAX)), ITEMS_MAX))

type Holding = readonly [group: string, serials: readonly number[], metas: Metas]
type Changed = readonly [event: number, group: string, serials: readonly number[], metas: Metas]
type Head = readonly [typeof Id.head, string, number, number, boolean]
type Want = readonly [typeof Id.want, string, number]
type State = readonly [typeof Id.state, string, number, number, number, readonly Holding[], boolean]
type Delta = readonly [typeof Id.delta, string, number, number, readonly Changed[]]
type Closed = readonly [typeof Id.closed, string]
type Wire = Head | Want | State | Delta | Closed

const holding = tuple<Holding>(name, serials, metas)
const changed = tuple<Changed>(oneOf<number>(JOIN, LEAVE), name, serials, metas)
const KINDS = new Map<unknown, Schema<Wire>>([
  [Id.head, tuple<Head>(oneOf(Id.head), name, version, version, boolean)],
  [Id.want, tuple<Want>(oneOf(Id.want), name, version)],
  [
    Id.state,
    tuple<State>(oneOf(Id.state), name, version, version, version, array(holding, ITEMS_MAX), boolean),
  ],
  [Id.delta, tuple<Delta>(oneOf(Id.delta), name, version, version, array(changed, ITEMS_MAX))],
  [Id.closed, tuple<Closed>(oneOf(Id.closed), name)],
])
const unknownKind = tuple<Want>(oneOf(Id.want), name, version)
const wire: Schema<Wire> = {
  expected: 'a message of groups',
  read: value => (KINDS.get(Array.isArray(value) ? value[0] : undefined) ?? unknownKind).read(value),
}

export function encodeGroups(scope: string, message: GroupMessage): Buffer {
  return encodeControl(written(scope, message), 0)
}

function written(scope: string, message: GroupMessage): Wire {
  switch (message.type) {
    case 'head':
      return [Id.head, scope, message.run, message.version, message.ask]
    case 'want':
      return [Id.want, scope, message.run]
    case 'state': {
      const holdings = message.holdings.map(([group, present]): Holding => [group, ...writeMembers(present)])
      return [Id.state, scope, message.to, message.run, message.version, holdings, message.last]
    }
    case 'delta': {
      const changes = message.changes.map(
        ({ event, group, present }): Changed =>
          event === 'join'
            ? [JOIN, group, ...writeMembers(present)]
            : [LEAVE, group, serialsOf(present), null],
      )
      return [Id.delta, scope, message.run, message.version, changes]
    }
    case 'closed':
      return [Id.closed, scope]
  }
}

const serialsOf = (present: readonly Present[]): readonly number[] => present.map(({ pid }) => pid.serial)

function writeMembers(present: readonly Present[]): WireMembers {
  const silent = present.every(({ meta }) => meta === undefined)
  const texts = silent ? null : present.map(({ meta }) => (meta === undefined ? null : JSON.stringify(meta)))
  return [serialsOf(present), texts]
}

/** Throws `ERR_FRAME`. */
export function decodeGroups(
  buffer: Buffer,
  start: number,
  end: number,
  reading: Reading,
): { readonly scope: string; readonly message: GroupMessage } {
  const given = decodeControl(wire, buffer, start, end)
  const [, scope] = given
  switch (given[0]) {
    case Id.head: {
      const [, , run, at, ask] = given
      return { scope, message: { type: 'head', run, version: at, ask } }
    }
    case Id.want:
      return { scope, message: { type: 'want', run: given[2] } }
    case Id.state: {
      const [, , to, run, at, groups, last] = given
      const holdings: Holdings = groups.map(([group, ...members]) => [group, readMembers(members, reading)])
      return { scope, message: { type: 'state', to, run, version: at, holdings, last } }
    }
    case Id.delta: {
      const [, , run, at, all] = given
      const changes = all.map(
        ([event, group, ...members]): Change => ({
          event: event === JOIN ? 'join' : 'leave',
          group,
          present: readMembers(members, reading),
        }),
      )
      return { scope, message: { type: 'delta', run, version: at, changes } }
    }
    case Id.closed:
      return { scope, message: { type: 'closed' } }
  }
}

function readMembers([serials, metas]: WireMembers, { pid, metaBytesMax }: Reading): readonly Present[] {
  if (metas !== null && metas.length !== serials.length)
    throw malformed('metadata of others than the members')
  return serials.map((serial, i) => {
    const text = metas?.[i] ?? undefined
    return { pid: pid(serial), meta: text === undefined ? undefined : readMeta(text, metaBytesMax) }
  })
}

function readMeta(text: string, bytesMax: number): GroupMeta {
  const meta = Buffer.byteLength(text) > bytesMax ? undefined : parsed(text)
  if (
    typeof meta !== 'object' ||
    meta === null ||
    Array.isArray(meta) ||
    !Object.values(meta).every(isScalar)
  )
    throw malformed('metadata of a member')
  return Object.freeze(meta as Record<string, string | number | boolean | null>)
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** What metadata may say. */
export const isScalar = (value: unknown): value is string | number | boolean | null =>
  value === null ||
  typeof value === 'string' ||
  typeof value === 'boolean' ||
  (typeof value === 'number' && Number.isFinite(value))

const malformed = (what: string): TroupeError => new TroupeError('ERR_FRAME', `groups: malformed ${what}`)
