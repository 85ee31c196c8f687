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
  /** Slot lane: the slot protocol. */
  slot: 16,
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
