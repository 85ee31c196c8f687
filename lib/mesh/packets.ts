/**
 * What nodes say to one another about who is there: as data, and as the bytes of frames on the urgent lane.
 *
 *   ping      seq                 ─►     ack   seq           both carry claims along
 *   request   seq, name, life     ─►     ack   seq   or   nack   seq, whether the helper has a session with it
 *   gossip    claims                     state   records, in as many frames as they need
 *
 * Reading is strict: what does not fit exactly is `ERR_FRAME` and ends that connection. Claims that do not fit the
 * frame of their packet follow it in frames of gossip.
 */
import { TroupeError } from '../base/errors.js'
import type { NodeId } from '../base/ids.js'
import type { Member } from '../base/member.js'
import { FrameType } from '../wire/frame.js'
import { FieldReader, FieldWriter, readMember, writeMember } from './fields.js'

/** The owner alone advances a record; others pass it on. The accuser is named, since accusations travel. */
export type Claim =
  | { readonly tag: 'alive'; readonly record: Member }
  | {
      readonly tag: 'suspect' | 'dead' | 'left'
      readonly name: NodeId
      readonly creation: number
      readonly incarnation: number
      readonly from: NodeId
    }

export type Packet =
  | { readonly tag: 'ping' | 'ack'; readonly seq: number; readonly claims: readonly Claim[] }
  | { readonly tag: 'request'; readonly seq: number; readonly target: NodeId; readonly creation: number }
  | { readonly tag: 'nack'; readonly seq: number; readonly session: boolean }
  | { readonly tag: 'gossip'; readonly claims: readonly Claim[] }
  /** Everything that the sender believes. `pull`: it wants the same in return. `last`: no further part comes. */
  | {
      readonly tag: 'state'
      readonly records: readonly Member[]
      readonly pull: boolean
      readonly last: boolean
    }

export interface Encoded {
  readonly type: number
  readonly body: Buffer
}

/** The least limit of a frame is 8 KiB, and no record is above 6. */
const BODY_BYTES_MAX = 7 * 1_024
/** What one frame may hold, well above what we put into one. */
const CLAIMS_READ_MAX = 64
const RECORDS_READ_MAX = 1_024
const TAGS = ['alive', 'suspect', 'dead', 'left'] as const

/** Types of frames that `decodePacket` reads. */
export const PACKET_TYPES: ReadonlySet<number> = new Set([
  FrameType.members,
  FrameType.ping,
  FrameType.ack,
  FrameType.pingRequest,
  FrameType.nack,
  FrameType.gossip,
])

export function encodePacket(packet: Packet): readonly Encoded[] {
  switch (packet.tag) {
    case 'ping':
    case 'ack': {
      const type = packet.tag === 'ping' ? FrameType.ping : FrameType.ack
      const [first = [], ...rest] = parts(packet.claims.map(claimBytes))
      const head = new FieldWriter().number(packet.seq, 4).done()
      return [{ type, body: counted(head, first) }, ...rest.map(gossip)]
    }
    case 'request': {
      const to = new FieldWriter().number(packet.seq, 4).text(packet.target).number(packet.creation, 6)
      return [{ type: FrameType.pingRequest, body: to.done() }]
    }
    case 'nack': {
      const to = new FieldWriter().number(packet.seq, 4).number(packet.session ? 1 : 0, 1)
      return [{ type: FrameType.nack, body: to.done() }]
    }
    case 'gossip':
      return parts(packet.claims.map(claimBytes)).map(gossip)
    case 'state': {
      const all = parts(packet.records.map(recordBytes))
      return (all.length === 0 ? [[]] : all).map((part, i) => {
        const last = packet.last && i >= all.length - 1
        const head = new FieldWriter().number((last ? 1 : 0) | (packet.pull && last ? 2 : 0), 1).done()
        return { type: FrameType.members, body: counted(head, part) }
      })
    }
  }
}

export function decodePacket(type: number, body: Buffer): Packet {
  const from = new FieldReader(body)
  const packet = readPacket(type, from)
  from.end()
  return packet
}

function readPacket(type: number, from: FieldReader): Packet {
  switch (type) {
    case FrameType.ping:
    case FrameType.ack: {
      const seq = from.number(4)
      return {
        tag: type === FrameType.ping ? 'ping' : 'ack',
        seq,
        claims: readAll(from, CLAIMS_READ_MAX, readClaim),
      }
    }
    case FrameType.pingRequest:
      return { tag: 'request', seq: from.number(4), target: from.nodeId(), creation: from.number(6) }
    case FrameType.nack:
      return { tag: 'nack', seq: from.number(4), session: from.number(1) === 1 }
    case FrameType.gossip:
      return { tag: 'gossip', claims: readAll(from, CLAIMS_READ_MAX, readClaim) }
    case FrameType.members: {
      const flags = from.number(1)
      const records = readAll(from, RECORDS_READ_MAX, readMember)
      return { tag: 'state', records, last: (flags & 1) === 1, pull: (flags & 2) === 2 }
    }
    default:
      throw new TroupeError('ERR_FRAME', `not our protocol: type ${type} says nothing of members`)
  }
}

const gossip = (part: readonly Buffer[]): Encoded => ({
  type: FrameType.gossip,
  body: counted(Buffer.alloc(0), part),
})

const counted = (head: Buffer, part: readonly Buffer[]): Buffer =>
  Buffer.concat([head, new FieldWriter().number(part.length, 2).done(), ...part])

/** As many in one frame as fit. */
function parts(items: readonly Buffer[]): Buffer[][] {
  const all: Buffer[][] = []
  let roomBytes = 0
  for (const item of items) {
    if (item.length > roomBytes) {
      all.push([])
      roomBytes = BODY_BYTES_MAX
    }
    all.at(-1)?.push(item)
    roomBytes -= item.length
  }
  return all
}

function recordBytes(record: Member): Buffer {
  const to = new FieldWriter()
  writeMember(to, record)
  return to.done()
}

function claimBytes(claim: Claim): Buffer {
  const to = new FieldWriter().number(TAGS.indexOf(claim.tag), 1)
  if (claim.tag === 'alive') writeMember(to, claim.record)
  else to.text(claim.name).number(claim.creation, 6).number(claim.incarnation, 6).text(claim.from)
  return to.done()
}

function readClaim(from: FieldReader): Claim {
  const tag = TAGS[from.number(1)]
  if (tag === undefined) throw new TroupeError('ERR_FRAME', 'not our protocol: an unknown claim')
  if (tag === 'alive') return { tag, record: readMember(from) }
  return {
    tag,
    name: from.nodeId(),
    creation: from.number(6),
    incarnation: from.number(6),
    from: from.nodeId(),
  }
}

function readAll<T>(from: FieldReader, max: number, read: (from: FieldReader) => T): readonly T[] {
  const count = from.number(2)
  if (count > max) throw new TroupeError('ERR_FRAME', `not our protocol: ${count} where ${max} may be`)
  const all: T[] = []
  for (let i = 0; i < count; i++) all.push(read(from))
  return all
}
