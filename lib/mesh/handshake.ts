/**
 * The handshake of one connection, either side, as a pure state machine: bodies in, steps out.
 *
 *     dialler                                             acceptor
 *        │ hello      versions, role, id, creation, nonce ──►│
 *        │◄── challenge            id, creation, nonce       │   says nothing more before the dialler has proved
 *        │ proof      MAC, cluster, digest, epochs, record ─►│   judged by `admission.ts`, may take a second
 *        │◄── welcome              MAC, cluster, digest, epoch, record
 *        │◄── refuse at any step   code, why                 │
 *
 * Each MAC is HMAC-SHA-256, under the shared secret, of a direction tag, the whole hello and challenge (so both
 * nonces, ids, creations, roles, versions and features), and the claim that it stands in front of. A replayed or
 * reflected proof fails because both nonces are in it and the tags differ. A node without a secret proves with a key
 * that everybody knows: it proves nothing, but a pair of which only one has a secret is told so.
 *
 * The epochs stand in the proof and not in the hello: whoever dials a seed learns from the challenge whom it dialled.
 *
 * Hello and challenge are strict and for ever as they are. What later versions have to say besides stands behind the
 * claim, which both sides write and read by what they agreed on, see `speech.ts`, and which the MAC covers.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { NodeId } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'
import type { Member } from '../base/member.js'
import type { Speech } from '../base/runtime.js'
import { FieldReader, FieldWriter, readMember, writeMember } from './fields.js'
import type { Role } from './mesh.js'
import { agreed, Feature, type PeerLimits, readLimits, SPEECH, unspeakable, writeLimits } from './speech.js'

export const NONCE_BYTES = 32
const MAC_BYTES = 32
const PUBLIC_KEY = 'troupe: this node has no secret'

/** What both sides of a cluster must agree on. */
export interface Cluster {
  readonly name: string
  /** SHA-256 over slot count, hash and ring version, quorum size. */
  readonly digest: Buffer
  /** The same for people and clients to read. */
  readonly parameters: string
}

/** Part of the protocol: append, never renumber. */
export const Refusal = {
  /** Configuration: nobody need try again. */
  handshake: 1,
  duplicate: 2,
  /** Another connection between the two is, or is about to be, the session. */
  superseded: 3,
  /** Full or stopping. */
  unavailable: 4,
} as const

export interface Refused {
  readonly code: number
  readonly why: string
}

/** First words of either side. */
export interface Greeting {
  readonly role: Role
  readonly id: NodeId
  readonly creation: number
  readonly nonce: Uint8Array
  /** Default: all that this version can. */
  readonly speech?: Speech | undefined
}

/** What is said with the proof. Clients have no record. */
export interface Claim {
  readonly cluster: Cluster
  /** Epoch of the last session between these two lives that the sender knows; as dialler it has ended them all. */
  readonly epoch: number
  readonly record: Member | undefined
  /** Said to those who understand it. Default: the defaults. */
  readonly limits?: PeerLimits | undefined
}

export function writeGreeting(greeting: Greeting): Buffer {
  const { versions, features } = greeting.speech ?? SPEECH
  const to = new FieldWriter().number(versions[0], 1).number(versions[1], 1).number(features, 4)
  to.number(greeting.role === 'client' ? 1 : 0, 1)
    .text(greeting.id)
    .number(greeting.creation, 6)
  return to.bytes(greeting.nonce).done()
}

/** Throws `ERR_FRAME`; a string says why a well-formed greeting cannot be answered. */
export function readGreeting(body: Buffer, here: Speech = SPEECH): Greeting | string {
  const from = new FieldReader(body)
  const versions = [from.number(1), from.number(1)] as const
  const speech: Speech = { versions, features: from.number(4) }
  const why = unspeakable(speech, here)
  if (why !== undefined) return why // what follows may be written otherwise
  const role = from.number(1) === 1 ? 'client' : 'member'
  const greeting = {
    role,
    id: from.nodeId(),
    creation: from.number(6),
    nonce: from.bytes(NONCE_BYTES),
    speech,
  } as const
  from.end()
  return greeting.nonce.length === NONCE_BYTES ? greeting : 'a nonce that is too short'
}

export function writeRefusal({ code, why }: Refused): Buffer {
  return new FieldWriter().number(code, 1).text(why.slice(0, 200)).done()
}

/** A refusal is read at the other end, where "here" and "there" are the other way round. */
const swapped = (why: string): string =>
  why.replace(/\b(here|there)\b/g, word => (word === 'here' ? 'there' : 'here'))

export function readRefusal(body: Buffer): Refused {
  const from = new FieldReader(body)
  const code = from.number(1)
  const why = from.text(800)
  return { code, why: swapped(why.replace(/[^\x20-\x7e]/g, '?')) }
}

function writeClaim(claim: Claim, features: number): Buffer {
  const to = new FieldWriter()
    .text(claim.cluster.name)
    .bytes(claim.cluster.digest)
    .text(claim.cluster.parameters)
  to.number(claim.epoch, 6).number(claim.record === undefined ? 0 : 1, 1)
  if (claim.record !== undefined) writeMember(to, claim.record)
  if ((features & Feature.limits) !== 0) writeLimits(to, claim.limits ?? LIMITS)
  return to.done()
}

function readClaim(body: Buffer, features: number): Claim | string {
  const from = new FieldReader(body)
  const cluster = { name: from.text(), digest: from.bytes(MAC_BYTES), parameters: from.text() }
  const epoch = from.number(6)
  const record = from.number(1) === 1 ? readMember(from) : undefined
  const limits = (features & Feature.limits) === 0 ? undefined : readLimits(from)
  if (typeof limits === 'string') return limits
  from.end()
  return { cluster, epoch, record, limits }
}

/** What a session is opened with. */
export interface Opened {
  readonly peer: NodeId
  readonly creation: number
  readonly role: Role
  readonly epoch: number
  readonly cluster: Cluster
  readonly record: Member | undefined
  /** What both sides can, by bits of `Feature`. */
  readonly features: number
  /** What that peer will not take beyond; undefined for one that does not say. */
  readonly limits: PeerLimits | undefined
}

export type Step =
  | { readonly tag: 'send'; readonly body: Buffer }
  | { readonly tag: 'refuse'; readonly refused: Refused }
  /** The dialler now knows whom it reached, and is asked for its claim. */
  | { readonly tag: 'challenged'; readonly peer: NodeId; readonly creation: number }
  /** The acceptor knows that the dialler has the secret; whether there is room for a session is another's decision. */
  | {
      readonly tag: 'proved'
      readonly peer: NodeId
      readonly creation: number
      readonly role: Role
      readonly claim: Claim
    }
  | { readonly tag: 'open'; readonly opened: Opened }

type Direction = 'dialler' | 'acceptor'

/** Keys of a node: the first is offered, all are accepted. */
export const keysOf = (secret: string | readonly string[] | undefined): readonly string[] =>
  secret === undefined ? [PUBLIC_KEY] : typeof secret === 'string' ? [secret] : secret

class Transcript {
  readonly hello: Buffer
  readonly challenge: Buffer
  constructor(hello: Buffer, challenge: Buffer) {
    this.hello = hello
    this.challenge = challenge
  }

  seal(key: string, direction: Direction, claim: Buffer): Buffer {
    return Buffer.concat([this.#mac(key, direction, claim), claim])
  }

  /** The key under which `sealed` was sealed. */
  unseal(keys: readonly string[], direction: Direction, sealed: Buffer): string | undefined {
    if (sealed.length < MAC_BYTES) return undefined
    const claim = sealed.subarray(MAC_BYTES)
    const mac = sealed.subarray(0, MAC_BYTES)
    return keys.find(key => timingSafeEqual(mac, this.#mac(key, direction, claim)))
  }

  #mac(key: string, direction: Direction, claim: Buffer): Buffer {
    const covered = new FieldWriter()
      .text(`troupe handshake ${direction}`)
      .bytes(this.hello)
      .bytes(this.challenge)
    return createHmac('sha256', key).update(covered.bytes(claim).done()).digest()
  }
}

const refuse = (why: string, code: number = Refusal.handshake): Step => ({
  tag: 'refuse',
  refused: { code, why },
})
const differs = (what: string, there: string, here: string): string =>
  `${what} ${JSON.stringify(there)} there, ${JSON.stringify(here)} here`

/** Why two nodes are not of one cluster. */
function mismatch(theirs: Cluster, ours: Cluster): string | undefined {
  if (theirs.name !== ours.name) return differs('cluster', theirs.name, ours.name)
  if (theirs.digest.equals(ours.digest)) return undefined
  return differs('cluster parameters', theirs.parameters, ours.parameters)
}

/** The side that connected. */
export class Dialler {
  readonly #self: Greeting
  readonly #keys: readonly string[]
  #state: 'greeting' | 'challenged' | 'proved' | 'over' = 'greeting'
  #peer: Greeting | undefined
  #transcript: Transcript | undefined
  #cluster: Cluster | undefined
  #epoch = 0
  #features = 0
  readonly hello: Buffer

  constructor(self: Greeting, keys: readonly string[]) {
    this.#self = self
    this.#keys = keys
    this.hello = writeGreeting(self)
  }

  /** True once the proof is out: the other side may hold this connection for the session. */
  get committed(): boolean {
    return this.#state === 'proved'
  }

  onChallenge(body: Buffer): Step {
    if (this.#state !== 'greeting') return this.#fail('a challenge out of turn')
    const here = this.#self.speech ?? SPEECH
    const peer = readGreeting(body, here)
    if (typeof peer === 'string') return this.#fail(peer)
    if (peer.role !== 'member') return this.#fail('a challenge of a client')
    this.#peer = peer
    this.#features = agreed(peer.speech ?? SPEECH, here)
    this.#transcript = new Transcript(this.hello, body)
    this.#state = 'challenged'
    return { tag: 'challenged', peer: peer.id, creation: peer.creation }
  }

  prove(claim: Claim): Step {
    this.#state = 'proved'
    this.#cluster = claim.cluster
    this.#epoch = claim.epoch
    return {
      tag: 'send',
      body: this.#transcript!.seal(this.#keys[0]!, 'dialler', writeClaim(claim, this.#features)),
    }
  }

  onWelcome(body: Buffer): Step {
    if (this.#state !== 'proved') return this.#fail('a welcome out of turn')
    this.#state = 'over'
    if (this.#transcript!.unseal([this.#keys[0]!], 'acceptor', body) === undefined) {
      return this.#fail('the welcome does not prove our secret')
    }
    const claim = readClaim(body.subarray(MAC_BYTES), this.#features)
    if (typeof claim === 'string') return this.#fail(claim)
    const { id, creation } = this.#peer!
    if (claim.record === undefined || claim.record.name !== id || claim.record.creation !== creation) {
      return this.#fail('a record of somebody else')
    }
    const why = this.#self.role === 'client' ? undefined : mismatch(claim.cluster, this.#cluster!)
    if (why !== undefined) return this.#fail(why)
    if (claim.epoch <= this.#epoch) return this.#fail('an epoch that is over')
    const { epoch, cluster, record, limits } = claim
    const features = this.#features
    return {
      tag: 'open',
      opened: { peer: id, creation, role: 'member', epoch, cluster, record, features, limits },
    }
  }

  #fail(why: string): Step {
    this.#state = 'over'
    return refuse(why)
  }
}

/** The side that was connected to. */
export class Acceptor {
  readonly #self: Greeting
  readonly #keys: readonly string[]
  #state: 'waiting' | 'challenging' | 'proved' | 'over' = 'waiting'
  #peer: Greeting | undefined
  #claim: Claim | undefined
  #transcript: Transcript | undefined
  #features = 0
  #key = ''

  constructor(self: Greeting, keys: readonly string[]) {
    this.#self = self
    this.#keys = keys
  }

  onHello(body: Buffer): Step {
    if (this.#state !== 'waiting') return this.#fail('a hello out of turn')
    const here = this.#self.speech ?? SPEECH
    const peer = readGreeting(body, here)
    if (typeof peer === 'string') return this.#fail(peer)
    this.#peer = peer
    this.#features = agreed(peer.speech ?? SPEECH, here)
    this.#state = 'challenging'
    const challenge = writeGreeting(this.#self)
    this.#transcript = new Transcript(Buffer.from(body), challenge)
    return { tag: 'send', body: challenge }
  }

  onProof(body: Buffer, cluster: Cluster): Step {
    if (this.#state !== 'challenging') return this.#fail('a proof out of turn')
    const key = this.#transcript!.unseal(this.#keys, 'dialler', body)
    if (key === undefined) return this.#fail(this.#stranger(body))
    const claim = readClaim(body.subarray(MAC_BYTES), this.#features)
    if (typeof claim === 'string') return this.#fail(claim)
    const { id, creation, role } = this.#peer!
    const why = role === 'client' ? undefined : mismatch(claim.cluster, cluster)
    if (why !== undefined) return this.#fail(why)
    const named = claim.record?.name === id && claim.record.creation === creation
    if (role === 'client' ? claim.record !== undefined : !named)
      return this.#fail('a record of somebody else')
    this.#key = key
    this.#claim = claim
    this.#state = 'proved'
    return { tag: 'proved', peer: id, creation, role, claim }
  }

  /** `claim.epoch` is the one that both agree on from here. */
  welcome(claim: Claim): { readonly body: Buffer; readonly opened: Opened } {
    this.#state = 'over'
    const { id: peer, creation, role } = this.#peer!
    const { cluster, record, limits } = this.#claim!
    const features = this.#features
    const body = this.#transcript!.seal(this.#key, 'acceptor', writeClaim(claim, features))
    return { body, opened: { peer, creation, role, epoch: claim.epoch, cluster, record, features, limits } }
  }

  #stranger(body: Buffer): string {
    if (this.#keys[0] === PUBLIC_KEY) return 'one node has a secret and the other has none'
    const none = this.#transcript!.unseal([PUBLIC_KEY], 'dialler', body) !== undefined
    return none ? 'one node has a secret and the other has none' : 'the secrets differ'
  }

  #fail(why: string): Step {
    this.#state = 'over'
    return refuse(why)
  }
}
