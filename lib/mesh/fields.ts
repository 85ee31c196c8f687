/**
 * The bytes of everything that is said before a peer is believed, and of member records: fixed numbers and
 * length-prefixed bytes, nothing that could nest. Reading is strict; what does not fit exactly is `ERR_FRAME`.
 */
import { TroupeError } from '../base/errors.js'
import { isNodeId, type NodeId } from '../base/ids.js'
import type { Member, MemberState } from '../base/member.js'
import type { Address } from '../base/runtime.js'

export const META_BYTES_MAX = 512
const TAGS_MAX = 64
const TEXT_BYTES_MAX = 255

export class FieldWriter {
  readonly #parts: Buffer[] = []

  number(value: number, bytes: 1 | 2 | 4 | 6): this {
    const part = Buffer.allocUnsafe(bytes)
    part.writeUIntLE(value, 0, bytes)
    this.#parts.push(part)
    return this
  }

  bytes(value: Uint8Array): this {
    this.number(value.length, 2)
    this.#parts.push(Buffer.from(value))
    return this
  }

  text(value: string): this {
    return this.bytes(Buffer.from(value, 'utf8'))
  }

  address(value: Address): this {
    return this.text(value.host).number(value.port, 2)
  }

  done(): Buffer {
    return Buffer.concat(this.#parts)
  }
}

const unfit = (why: string): TroupeError => new TroupeError('ERR_FRAME', `not our fields: ${why}`, { why })

export class FieldReader {
  readonly #buffer: Buffer
  #at = 0

  constructor(buffer: Buffer) {
    this.#buffer = buffer
  }

  /** Where the next field begins. */
  get at(): number {
    return this.#at
  }

  number(bytes: 1 | 2 | 4 | 6): number {
    return this.#take(bytes).readUIntLE(0, bytes)
  }

  bytes(bytesMax: number): Buffer {
    const length = this.number(2)
    if (length > bytesMax) throw unfit('a field above its limit')
    return this.#take(length)
  }

  text(bytesMax = TEXT_BYTES_MAX): string {
    const bytes = this.bytes(bytesMax)
    const text = bytes.toString('utf8')
    if (Buffer.byteLength(text) !== bytes.length) throw unfit('text that is not UTF-8')
    return text
  }

  nodeId(): NodeId {
    const id = this.text(64)
    if (!isNodeId(id)) throw unfit('a bad node name')
    return id
  }

  address(): Address {
    const host = this.text()
    const port = this.number(2)
    if (!isHost(host)) throw unfit('a bad address')
    return { host, port }
  }

  end(): void {
    if (this.#at !== this.#buffer.length) throw unfit('bytes behind the last field')
  }

  #take(bytes: number): Buffer {
    const end = this.#at + bytes
    if (end > this.#buffer.length) throw unfit('a field beyond the end')
    const part = this.#buffer.subarray(this.#at, end)
    this.#at = end
    return part
  }
}

/** An IP address or a host name; empty, with port 0, for a node that does not listen. */
const isHost = (host: string): boolean => /^[A-Za-z0-9._:%-]*$/.test(host)

/**
 * Part of the protocol: append, never renumber. Who is leaving says so itself, to each that understands it: in a list
 * it is alive, as it is for those of an earlier version.
 */
const STATES: readonly MemberState[] = ['alive', 'down', 'suspect', 'left']

export function writeMember(to: FieldWriter, member: Member): void {
  to.text(member.name).address(member.address).number(member.creation, 6).number(member.incarnation, 6)
  to.number(member.version, 1)
    .text(member.host)
    .number(member.voter ? 1 : 0, 1)
  to.number(Math.max(0, STATES.indexOf(member.state)), 1).number(member.tags.length, 1)
  for (const tag of member.tags) to.text(tag)
  const meta = Object.entries(member.meta)
  to.number(meta.length, 2)
  for (const [key, value] of meta) to.text(key).text(value)
}

/** State is what the sender believes: of others, hearsay. */
export function readMember(from: FieldReader): Member {
  const name = from.nodeId()
  const address = from.address()
  const creation = from.number(6)
  const incarnation = from.number(6)
  const version = from.number(1)
  const host = from.text()
  const voter = from.number(1) === 1
  const state = STATES[from.number(1)]
  if (state === undefined) throw unfit('an unknown state')
  const tags = readTags(from)
  const meta = readMeta(from)
  return Object.freeze({ name, address, creation, incarnation, state, version, tags, meta, host, voter })
}

function readTags(from: FieldReader): readonly string[] {
  const count = from.number(1)
  if (count > TAGS_MAX) throw unfit('too many tags')
  const tags: string[] = []
  for (let i = 0; i < count; i++) tags.push(from.text())
  return tags
}

function readMeta(from: FieldReader): Readonly<Record<string, string>> {
  const start = from.at
  const count = from.number(2)
  const meta: [string, string][] = []
  for (let i = 0; i < count; i++) {
    meta.push([from.text(META_BYTES_MAX), from.text(META_BYTES_MAX)])
    if (from.at - start > 2 * META_BYTES_MAX) throw unfit('too much metadata')
  }
  return Object.fromEntries(meta) // defines own keys only, `__proto__` too
}
