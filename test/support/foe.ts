/**
 * An attacker on raw TCP. It opens a connection as a stranger, or proves the secret first, and then says whatever it
 * is given, in lockstep: every shot is followed by a heartbeat, so that the answer, or the end of the connection, tells
 * what became of that very frame.
 */
import { connect, type Socket } from 'node:net'
import type { NodeId } from '../../lib/base/ids.js'
import type { Member } from '../../lib/base/member.js'
import { RING_VERSION } from '../../lib/cluster/ring.js'
import { HASH_VERSION, SLOTS } from '../../lib/coord/slot-hash.js'
import { FieldWriter } from '../../lib/mesh/fields.js'
import { clusterOf } from '../../lib/mesh/full-mesh.js'
import { Dialler, type Greeting, keysOf, readRefusal } from '../../lib/mesh/handshake.js'
import type { Role } from '../../lib/mesh/mesh.js'
import { encodeFrame, FrameType, HEADER_BYTES, readU32, WIRE_VERSION } from '../../lib/wire/frame.js'
import { type Frame, FrameReader } from '../../lib/wire/frame-reader.js'

export const CLUSTER = clusterOf('troupe', {
  slots: SLOTS,
  hash: HASH_VERSION,
  ring: RING_VERSION,
  partitionPolicy: 'diverge',
})
const FRAME_BYTES_MAX = 128 * 1_024
const NO_ADDRESS = { host: '', port: 0 }

export type Fate = 'kept' | 'closed'

export interface Disguise {
  readonly port: number
  /** The address that it comes from. */
  readonly from?: string | undefined
  readonly secret?: string | undefined
  readonly role?: Role | undefined
  readonly id?: string | undefined
  readonly creation?: number | undefined
  readonly cluster?: typeof CLUSTER | undefined
  /** The last epoch that this life had. */
  readonly epoch?: number | undefined
  readonly nonce: Uint8Array
}

export const greetingOf = (disguise: Disguise): Greeting => ({
  role: disguise.role ?? 'member',
  id: (disguise.id ?? 'foe') as NodeId,
  creation: disguise.creation ?? 7,
  nonce: disguise.nonce,
})

/** Bytes on a connection, and nothing said that was not asked for. */
export class Stranger {
  readonly socket: Socket
  /** The connection ended, by whomever. */
  readonly closed: Promise<void>
  readonly #reader: FrameReader
  #over = false
  #take: (frame: Frame) => void = () => {}
  #ended: () => void = () => {}

  constructor(port: number, from: string | undefined) {
    this.socket = connect({
      host: '127.0.0.1',
      port,
      noDelay: true,
      ...(from === undefined ? {} : { localAddress: from }),
    })
    this.#reader = new FrameReader(FRAME_BYTES_MAX, frame => this.#take(frame))
    this.socket.on('data', chunk => this.#reader.push(chunk))
    this.socket.on('error', () => {}) // a reset is one way to be closed
    this.closed = new Promise(resolve => {
      this.socket.on('close', () => {
        this.#over = true
        this.#ended()
        resolve()
      })
    })
  }

  get over(): boolean {
    return this.#over
  }

  say(bytes: Buffer): void {
    if (!this.#over) this.socket.write(bytes)
  }

  /** The next frame that `wanted` picks, copied; undefined when the connection ends first. */
  hear(
    wanted: (frame: Frame) => boolean,
  ): Promise<{ readonly type: number; readonly body: Buffer } | undefined> {
    if (this.#over) return Promise.resolve(undefined)
    return new Promise(resolve => {
      const done = (heard: { readonly type: number; readonly body: Buffer } | undefined): void => {
        this.#take = () => {}
        this.#ended = () => {}
        resolve(heard)
      }
      this.#ended = () => done(undefined)
      this.#take = frame => {
        if (!wanted(frame)) return
        done({ type: frame.type, body: Buffer.from(frame.buffer.subarray(frame.start, frame.end)) })
      }
    })
  }

  leave(): void {
    this.socket.destroy()
  }
}

/** Says hello and returns the proof that would follow, or why there is none. */
export async function approach(stranger: Stranger, disguise: Disguise): Promise<Buffer | string> {
  const dialler = new Dialler(greetingOf(disguise), keysOf(disguise.secret))
  stranger.say(encodeFrame(FrameType.hello, 0, dialler.hello))
  const heard = await stranger.hear(() => true)
  if (heard === undefined) return 'closed'
  if (heard.type === FrameType.refuse) return readRefusal(heard.body).why
  const step = dialler.onChallenge(heard.body)
  if (step.tag !== 'challenged') return 'not challenged'
  const { id, creation, role } = greetingOf(disguise)
  const record: Member | undefined =
    role === 'client'
      ? undefined
      : {
          name: id,
          address: NO_ADDRESS,
          creation,
          incarnation: 1,
          state: 'alive',
          version: WIRE_VERSION,
          tags: [],
          meta: {},
          host: 'foe',
          voter: true,
        }
  const proof = dialler.prove({ cluster: disguise.cluster ?? CLUSTER, epoch: disguise.epoch ?? 0, record })
  return proof.tag === 'send' ? proof.body : 'no proof'
}

/** The attacker with the secret. */
export class Foe {
  readonly stranger: Stranger
  readonly epoch: number
  sequence = 0

  private constructor(stranger: Stranger, epoch: number) {
    this.stranger = stranger
    this.epoch = epoch
  }

  /** A session, or why it was refused. */
  static async infiltrate(disguise: Disguise): Promise<Foe | string> {
    const stranger = new Stranger(disguise.port, disguise.from)
    const proof = await approach(stranger, disguise)
    if (typeof proof === 'string') {
      stranger.leave()
      return proof
    }
    stranger.say(encodeFrame(FrameType.proof, 0, proof))
    const heard = await stranger.hear(() => true)
    if (heard?.type === FrameType.welcome) {
      const foe = new Foe(stranger, epochIn(heard.body))
      // It takes whatever comes: a reader that reads is not what is looked at here.
      const all = new FieldWriter()
        .number(2 ** 47, 6)
        .number(2 ** 47, 6)
        .done()
      foe.#say(FrameType.credit, all)
      return foe
    }
    stranger.leave()
    return heard?.type === FrameType.refuse ? readRefusal(heard.body).why : 'closed'
  }

  /** Says `bytes`, which must hold frames up to their last byte (see `whole`). */
  async shoot(bytes: Buffer, frames: number): Promise<Fate> {
    this.sequence = (this.sequence + frames) >>> 0
    const beat = encodeFrame(FrameType.heartbeat, this.sequence, Buffer.alloc(0))
    this.sequence = (this.sequence + 1) >>> 0
    const heard = this.stranger.hear(frame => frame.type === FrameType.heartbeatAck)
    this.stranger.say(Buffer.concat([bytes, beat]))
    return (await heard) === undefined ? 'closed' : 'kept'
  }

  #say(type: number, body: Buffer): void {
    this.stranger.say(encodeFrame(type, this.sequence, body))
    this.sequence += 1
  }
}

/** The epoch stands behind the MAC, the cluster's name, its digest and its parameters. */
function epochIn(welcome: Buffer): number {
  let at = 32
  for (let field = 0; field < 3; field++) at += 2 + welcome.readUInt16LE(at)
  return welcome.readUIntLE(at, 6)
}

/** `bytes` with zeros behind, so that no frame in it is left open, and how many frames a reader would find. */
export function whole(
  bytes: Buffer,
  frameBytesMax: number,
): { readonly bytes: Buffer; readonly frames: number } {
  let at = 0
  let frames = 0
  let all = bytes
  const upTo = (end: number): void => {
    if (end > all.length) all = Buffer.concat([all, Buffer.alloc(end - all.length)])
  }
  while (at < all.length) {
    upTo(at + HEADER_BYTES)
    const size = all[at + 3]! + readU32(all, at + 4)
    if (all[at] !== WIRE_VERSION || all[at + 3]! < HEADER_BYTES || size > frameBytesMax || all[at + 2]! > 7)
      break
    upTo(at + size)
    at += size
    frames += 1
  }
  return { bytes: all, frames }
}
