/**
 * The frame header. Every frame between two nodes has it, in the handshake too:
 *
 *    0        1       2       3          4              8        12          16        18          20
 *   | version | type  | flags | headerLen | bodyLen u32 | pair u32 | seq u32 | src u16 | dest u16 | TLVs … | body
 *
 * Little-endian. `headerLen` counts all bytes before the body, 20 and the TLVs (id u8, length u8, bytes), which a
 * reader skips when it does not know them. `src` and `dest` name a node within the process at either end: 0 until
 * nodes live in worker threads. `seq` counts the frames of one direction of one session and wraps. `pair` names the
 * ordered stream; 0 is no stream.
 */
export const WIRE_VERSION = 1
export const HEADER_BYTES = 20

/** Part of the protocol: append, never renumber. From 32 on: channels, whose bodies the mesh does not look into. */
export const FrameType = {
  /** Handshake, in this order; binary bodies, never MessagePack. */
  hello: 1,
  challenge: 2,
  proof: 3,
  welcome: 4,
  refuse: 5,
  /** Urgent lane. */
  heartbeat: 8,
  heartbeatAck: 9,
  credit: 10,
  members: 11,
  goodbye: 12,
  ping: 13,
  ack: 14,
  pingRequest: 15,
  /** Slot lane: the slot protocol. */
  slot: 16,
  /** Urgent lane again. */
  nack: 17,
  gossip: 18,
  leaving: 19,
  /** Pair streams: signals and messages between processes. */
  message: 32,
  cast: 33,
  request: 34,
  reply: 35,
  link: 36,
  unlink: 37,
  unlinkAck: 38,
  exit: 39,
  exitLink: 40,
  monitor: 41,
  demonitor: 42,
  down: 43,
  spawn: 44,
  spawned: 45,
  spawnKeep: 46,
  /** A message to a registered name of the receiving node. */
  named: 47,
  /** A procedure of the receiving node is to run; and one that was called is to end, since its caller wants it no more. */
  procedure: 56,
  procedureAbort: 57,
  /** One message to several processes of the receiving node. */
  toMany: 58,
  /** Who is in which group. */
  groups: 59,
  /** Requests of clients and their answers. */
  clientRequest: 64,
  clientReply: 65,
} as const
export type FrameType = (typeof FrameType)[keyof typeof FrameType]

export const Flag = {
  /** Not the last part of its body; the parts of one body follow one another within their pair. */
  more: 1,
  /** Not the first part of its body. */
  continued: 2,
  /** The payload is one run of raw bytes, not MessagePack. */
  raw: 4,
} as const

/** TLVs that this version knows; a reader skips the others. Part of the protocol: append, never renumber. */
export const Tlv = {
  /** u32: bytes of the whole body, in its first part. */
  total: 1,
  trace: 2,
  deadline: 3,
} as const

/** Bytes that `writeTotal` adds to a header. */
export const TOTAL_BYTES = 6

/**
 * Writes a header over `HEADER_BYTES` bytes. Positional, because this runs once per message and then allocates nothing
 * wherever it is called from. `tlvBytes` are those that the caller writes behind it.
 */
export function writeHeader(
  buffer: Uint8Array,
  at: number,
  type: number,
  flags: number,
  pair: number,
  sequence: number,
  bodyBytes: number,
  tlvBytes = 0,
): void {
  buffer[at] = WIRE_VERSION
  buffer[at + 1] = type
  buffer[at + 2] = flags
  buffer[at + 3] = HEADER_BYTES + tlvBytes
  writeU32(buffer, at + 4, bodyBytes)
  writeU32(buffer, at + 8, pair)
  writeU32(buffer, at + 12, sequence)
  writeU32(buffer, at + 16, 0) // source and destination
}

/** Writes the TLV that says how long the whole body of a first part is, right behind its header. */
export function writeTotal(buffer: Uint8Array, at: number, totalBytes: number): void {
  buffer[at] = Tlv.total
  buffer[at + 1] = 4
  writeU32(buffer, at + 2, totalBytes)
}

/** A whole small frame, for the handshake and the urgent lane. */
export function encodeFrame(type: number, sequence: number, body: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(HEADER_BYTES + body.length)
  writeHeader(frame, 0, type, 0, 0, sequence, body.length)
  frame.set(body, HEADER_BYTES)
  return frame
}

export function writeU32(buffer: Uint8Array, at: number, n: number): void {
  buffer[at] = n
  buffer[at + 1] = n >>> 8
  buffer[at + 2] = n >>> 16
  buffer[at + 3] = n >>> 24
}

/** Four index reads take half the time of `readUInt32LE`, which checks its argument first (7 against 14 ns). */
export const readU32 = (b: Uint8Array, at: number): number =>
  (b[at]! | (b[at + 1]! << 8) | (b[at + 2]! << 16) | (b[at + 3]! << 24)) >>> 0

export const readU16 = (b: Uint8Array, at: number): number => b[at]! | (b[at + 1]! << 8)
