/**
 * What a node can speak, said in its first word, and what two nodes agree on: the highest wire version that both have,
 * and the features that both have. A feature is something that a node of the previous minor version does not know; a
 * bit of a newer one that is not known here means nothing. Pure.
 *
 *   wire version    the bytes of frames and messages: another one is another major, and is refused with its reason
 *   features        one bit each, appended, never renumbered: what has none is spoken by everybody
 *
 * The header of handshake frames is the same in all wire versions, so that two of them can refuse each other in words.
 */
import { LIMITS, type Limits } from '../base/limits.js'
import type { Speech } from '../base/runtime.js'
import { WIRE_VERSION } from '../wire/frame.js'
import type { FieldReader, FieldWriter } from './fields.js'

/** Part of the protocol: append, never renumber. */
export const Feature = {
  /** Limits of the sender stand behind its claim. */
  limits: 1,
  /** It understands `FrameType.leaving`. */
  leaving: 2,
} as const

export const SPEECH: Speech = Object.freeze({
  versions: Object.freeze([WIRE_VERSION, WIRE_VERSION] as const),
  features: Feature.limits | Feature.leaving,
})

/** Why the two cannot speak with each other, if they cannot. */
export function unspeakable(there: Speech, here: Speech): string | undefined {
  const [min, max] = there.versions
  const [least, most] = here.versions
  if (min <= most && max >= least) return undefined
  return `wire version ${range(min, max)} there, ${range(least, most)} here`
}

const range = (min: number, max: number): string => (min === max ? `${min}` : `${min} to ${max}`)

export const agreed = (there: Speech, here: Speech): number => (there.features & here.features) >>> 0

/** What the other side has to keep to, or its frames would end the session. */
export type PeerLimits = Pick<Limits, 'messageBytesMax' | 'frameBytesMax' | 'creditBytes'>

/** Where each stands, and the least that still works. Part of the protocol: append, never renumber. */
const FIELDS = [
  ['messageBytesMax', 1, 1_024],
  ['frameBytesMax', 2, 8_192],
  ['creditBytes', 3, 1_024],
] as const
const ENTRIES_MAX = 32
const ENTRY_BYTES_MAX = 64
const NUMBER_BYTES = 6

/** Entries of an id and bytes, of which a reader skips those it does not know. */
export function writeLimits(to: FieldWriter, limits: PeerLimits): void {
  to.number(FIELDS.length, 1)
  for (const [name, id] of FIELDS) to.number(id, 1).number(NUMBER_BYTES, 2).number(limits[name], NUMBER_BYTES)
}

/** A string says why they will not do. Of a limit that is not named, ours is as good as any. */
export function readLimits(from: FieldReader): PeerLimits | string {
  const limits: { -readonly [K in keyof PeerLimits]: number } = { ...LIMITS }
  const count = from.number(1)
  if (count > ENTRIES_MAX) return 'too many limits'
  for (let i = 0; i < count; i++) {
    const id = from.number(1)
    const bytes = from.bytes(ENTRY_BYTES_MAX)
    const field = FIELDS.find(([, known]) => known === id)
    if (field === undefined) continue
    const [name, , least] = field
    if (bytes.length !== NUMBER_BYTES) return `a malformed limit ${name}`
    limits[name] = bytes.readUIntLE(0, NUMBER_BYTES)
    if (limits[name] < least) return `${name} ${limits[name]} there, at least ${least} here`
  }
  return limits
}
