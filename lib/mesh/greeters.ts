/**
 * Connections that others made, until they are sessions: who proved the secret, and who of them is admitted.
 */
import type { NodeId } from '../base/ids.js'
import type { Stream, Timer } from '../base/runtime.js'
import { FrameType } from '../wire/frame.js'
import { admit } from './admission.js'
import { Connection, type ConnectionOwner } from './connection.js'
import type { Dials } from './dials.js'
import type { Ground } from './ground.js'
import {
  Acceptor,
  type Claim,
  type Greeting,
  type Opened,
  Refusal,
  type Refused,
  type Step,
} from './handshake.js'
import type { Link } from './link.js'
import type { Sessions } from './sessions.js'

/** How long an open-looking session has to show that it lives, when another life of its node knocks. */
const PING_MS = 1_000

export interface GreetersOwner {
  readonly connections: ConnectionOwner
  readonly greeting: () => Greeting
  readonly claim: (epoch: number) => Claim
  /** True when one more member may come up. */
  readonly admits: (peer: NodeId) => boolean
  /** `introduced`: others know it already. */
  readonly opened: (connection: Connection, opened: Opened, introduced: boolean) => void
}

interface Greeter {
  readonly connection: Connection
  readonly acceptor: Acceptor
  /** Waits until an older life of the same node has or has not shown a sign of life. */
  pinging: Timer | undefined
}

type Proved = Step & { readonly tag: 'proved' }

export class Greeters {
  readonly #ground: Ground
  readonly #sessions: Sessions
  readonly #dials: Dials
  readonly #owner: GreetersOwner
  readonly #greeters = new Map<Connection, Greeter>()

  constructor(ground: Ground, sessions: Sessions, dials: Dials, owner: GreetersOwner) {
    this.#ground = ground
    this.#sessions = sessions
    this.#dials = dials
    this.#owner = owner
  }

  get size(): number {
    return this.#greeters.size
  }

  accept(stream: Stream): void {
    const { limits, runtime, keys, notes } = this.#ground
    const all = [...this.#greeters.values()]
    const sameHost = all.filter(({ connection }) => connection.stream.remote.host === stream.remote.host)
    if (sameHost.length >= limits.unauthenticatedPerAddressMax) this.#evict(sameHost)
    else if (all.length >= limits.unauthenticatedMax) this.#evict(all)
    const connection = new Connection(stream, runtime.clock, limits, this.#owner.connections)
    const acceptor = new Acceptor(this.#owner.greeting(), keys)
    this.#greeters.set(connection, { connection, acceptor, pinging: undefined })
    notes.count('accepted')
  }

  handshake(connection: Connection, type: number, body: Buffer): void {
    const greeter = this.#greeters.get(connection)
    if (greeter === undefined) return
    const { acceptor } = greeter
    if (type === FrameType.hello) this.#answer(greeter, acceptor.onHello(body))
    else if (type === FrameType.proof) this.#answer(greeter, acceptor.onProof(body, this.#ground.cluster))
    else connection.fail('a frame of the other side', false)
  }

  forget(connection: Connection): void {
    this.#greeters.get(connection)?.pinging?.clear()
    this.#greeters.delete(connection)
  }

  stop(): void {
    for (const { connection } of [...this.#greeters.values()]) {
      this.forget(connection)
      connection.refuse({ code: Refusal.unavailable, why: 'this node is stopping' })
    }
  }

  /** The oldest; but whoever has proved the secret, and waits for another life of its node, goes last. */
  #evict(greeters: readonly Greeter[]): void {
    const { connection } = greeters.find(({ pinging }) => pinging === undefined) ?? greeters[0]!
    this.#ground.notes.count('evicted')
    this.forget(connection)
    connection.abandon()
  }

  #answer(greeter: Greeter, step: Step): void {
    if (step.tag === 'send') greeter.connection.say(FrameType.challenge, step.body)
    else if (step.tag === 'refuse') this.#refuse(greeter, step.refused)
    else if (step.tag === 'proved' && step.role === 'client') this.#serve(greeter)
    else if (step.tag === 'proved') this.#admit(greeter, step)
  }

  #refuse(greeter: Greeter, refused: Refused): void {
    const { notes } = this.#ground
    notes.count('refused')
    if (refused.code === Refusal.handshake || refused.code === Refusal.duplicate) {
      notes.warn(refused.why, greeter.connection.stream.remote)
    }
    this.forget(greeter.connection)
    greeter.connection.refuse(refused)
  }

  #serve(greeter: Greeter): void {
    const { limits, notes } = this.#ground
    if (this.#sessions.clients < limits.clientsMax) return this.#welcome(greeter, 1, false)
    notes.count('clientsRefused')
    const why = `this node has ${limits.clientsMax} clients, as many as it may`
    this.#refuse(greeter, { code: Refusal.unavailable, why })
  }

  #admit(greeter: Greeter, proved: Proved): void {
    const { peer, creation: peerCreation, claim } = proved
    const { self, creation: selfCreation } = this.#ground
    const session = this.#sessions.get(peer)
    const admission = admit({
      self,
      selfCreation,
      peer,
      peerCreation,
      peerEpoch: claim.epoch,
      session,
      dialCommitted: this.#dials.committedTo(peer),
    })
    if (admission.tag === 'refuse') return this.#refuse(greeter, admission.refused)
    if (admission.tag === 'ping') return this.#ping(greeter, proved, session!)
    if (!this.#owner.admits(peer)) {
      return this.#refuse(greeter, { code: Refusal.unavailable, why: 'this cluster is full' })
    }
    if (admission.tag === 'replace') session!.fail('connection_closed', 'its peer has lost it')
    const introduced = this.#dials.wants(peer)
    this.#dials.yieldTo(peer)
    const epoch = Math.max(claim.epoch, this.#sessions.epochWith(peer, peerCreation)) + 1
    this.#welcome(greeter, epoch, introduced)
  }

  #ping(greeter: Greeter, proved: Proved, session: Link): void {
    const { clock } = this.#ground.runtime
    const askedMs = clock.now()
    session.heartbeat()
    greeter.pinging = clock.after(PING_MS, () => {
      greeter.pinging = undefined
      if (session.open && session.heardMs > askedMs) {
        const why = `another node named ${proved.peer} is alive`
        this.#refuse(greeter, { code: Refusal.duplicate, why })
        return
      }
      session.fail('replaced', 'a newer life of that node came')
      this.#admit(greeter, proved)
    })
  }

  #welcome(greeter: Greeter, epoch: number, introduced: boolean): void {
    const { connection, acceptor } = greeter
    const { body, opened } = acceptor.welcome(this.#owner.claim(epoch))
    this.forget(connection)
    connection.say(FrameType.welcome, body)
    this.#owner.opened(connection, opened, introduced)
  }
}
