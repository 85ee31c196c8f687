/**
 * The only file that touches msgpackr: one factory for all encoders, so that no option is forgotten anywhere.
 *
 *   useRecords: false       plain maps: bodies are self-contained, and decoding compiles no code
 *   variableMapSize: true   objects of more than 65,535 keys, and own keys only
 *   moreTypes: true         a value that gets past the walk (a getter that changes its answer) becomes an extension
 *                           that every scan refuses; without this, typed arrays write stale memory of the encoder.
 *                           Also allows bigints beyond 64 bits
 *   useToJSON: false        `toJSON` is data like any other key
 *   copyBuffers: true       decoded buffers are no views of the input
 *   structuredClone: false  no references, hence no cycles
 *
 * msgpackr keeps one slab for all encoders and hands out slices of it; when a value does not fit it quadruples the slab,
 * and keeps that size. So large values get a slab of their own, and the shared one stays small: what is kept pins 8 KiB.
 */
import { addExtension, Packr, RESERVE_START_SPACE } from 'msgpackr'
import { partsOf, TAG, Tagged } from './tagged.js'

const SLAB_BYTES = 8_192
/** From here on a value gets a slab of its own. */
const LARGE_BYTES = 4_096
/** msgpackr starts no value with less than 2 KiB left. */
const SLAB_MARGIN_BYTES = 2_560
/** The option's number has eight bits for the bytes in front. */
const RESERVE_MAX = 255

export function checkReserve(reserve: number): void {
  if (!(Number.isInteger(reserve) && reserve >= 0 && reserve <= RESERVE_MAX)) {
    throw new RangeError(`reserve: expected a whole number from 0 to ${RESERVE_MAX}, got ${reserve}`)
  }
}

/** Registers the tag with the copy of msgpackr that we run on, if it is not there yet. */
export function registerTag(packr: Packr): void {
  if (knowsTag(packr)) return
  addExtension({
    Class: Tagged,
    type: TAG,
    write: (tagged: Tagged) => partsOf(tagged),
    read: (parts: unknown) => new Tagged(Array.isArray(parts) ? parts : []),
  })
}

/** Asks msgpackr itself, whose table is global: a flag of ours would be a second truth. */
function knowsTag(packr: Packr): boolean {
  try {
    return packr.unpack(Buffer.of(0xd4, TAG, 0, 0x90)) instanceof Tagged
  } catch {
    return false
  }
}

export const createPackr = (): Packr =>
  new Packr({
    useRecords: false,
    variableMapSize: true,
    mapsAsObjects: true,
    moreTypes: true,
    useToJSON: false,
    copyBuffers: true,
    structuredClone: false,
  })

/** Encodes behind `reserve` free bytes. `bytesMax` is an upper estimate of the encoding, if there is one. */
export function pack(packr: Packr, value: unknown, reserve: number, bytesMax: number): Buffer {
  if (bytesMax > LARGE_BYTES) packr.useBuffer(Buffer.allocUnsafeSlow(bytesMax + SLAB_MARGIN_BYTES))
  const packed = packr.pack(value, RESERVE_START_SPACE | reserve)
  if (packed.buffer.byteLength !== SLAB_BYTES) packr.useBuffer(Buffer.allocUnsafeSlow(SLAB_BYTES))
  return packed
}
