/**
 * What MessagePack has no type for travels as one extension type of ours:
 *
 *   0xd4 0x54 0x00   array [kind, …parts]
 *
 * a tag (fixext 1 with an empty byte) on an ordinary array that follows it. So the scan needs no second grammar, and
 * msgpackr's table of extensions, which every user of that module shares, has one entry of ours instead of a dozen.
 * Kinds are part of the protocol: append, never renumber. From `EXTENSION_MIN` on: the extensions of other rooms.
 */
/** The extension type. */
export const TAG = 0x54

export const Kind = {
  /** Keys and values in turn. */
  map: 1,
  set: 2,
  /** Index into `ELEMENTS`, bytes as they stand in memory: little-endian. */
  typedArray: 3,
  /** Name, message, stack, code, and the cause where there is one. */
  error: 4,
  /** Node, creation, serial. */
  pid: 5,
  /** Node, creation, counter. */
  ref: 6,
  /** Code, message, stack, detail, and the cause where there is one. */
  troupeError: 7,
  negativeZero: 8,
  /** UTF-16 of a string that has no UTF-8 because of lone surrogates. */
  text: 9,
} as const

export const EXTENSION_MIN = 16
/** The last number that MessagePack writes in one byte. */
export const EXTENSION_MAX = 127

/** Element types by number: append, never renumber. */
export const ELEMENTS = [
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
] as const

const kParts = Symbol.for('troupe.wire.parts')

/** Stands for a value of ours while msgpackr handles it: on its way out, and from decoding until it is built. */
export class Tagged {
  readonly [kParts]: readonly unknown[]

  constructor(parts: readonly unknown[]) {
    this[kParts] = parts
  }
}

/** By symbol: where two copies of troupe share one msgpackr, either may have made the object. */
export const partsOf = (value: object): readonly unknown[] | undefined =>
  kParts in value ? (value as Tagged)[kParts] : undefined
