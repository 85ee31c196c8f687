/**
 * Dials under way, from the plan to the session: the side that connects.
 *
 *   plan ─► transport ─► hello ─► challenge ─► proof ─► welcome ─► session
 *     ▲                    └──────── any failure ────────┘
 *     └── backed off ◄───────────────┘
 *
 * A target is done with when whom it stands for has a session, and not before. A seed stands for whoever answered there
 * last: when that session ends, for whatever reason, the seed is dialled again, as it may be the only way back. Its own
 * address is dialled once. Whoever proves the secret where a member used to be is taken in, and the member is looked for
 * as before.
 */
import { TroupeError } from '../base/errors.js'
import type { NodeId } from '../base/ids.js'
import type { Address, DialResult, Timer } from '../base/runtime.js'
import { FrameType } from '../wire/frame.js'
import type { Connecting } from './connecting.js'
import { Connection, type ConnectionOwner } from './connection.js'
import { DialPlan, type Target } from './dial-plan.js'
import { Found } from './found.js'
import type { Ground } from './ground.js'
import {
  type Claim,
  Dialler,
  type Greeting,
  type Opened,
  Refusal,
  type Refused,
  type Step,
} from './handshake.js'
import { type Joining, seedKey } from './joining.js'
import type { Sessions } from './sessions.js'

const DIAL_MS = 1_500
/** Failures that are told of by name. */
const FAILURES_TOLD = 3

export interface DialsOwner {
  readonly connections: ConnectionOwner
  readonly greeting: () => Greeting
  readonly claim: (epoch: number) => Claim
  /** `introduced`: others know it already. */
  readonly opened: (connection: Connection, opened: Opened, introduced: boolean) => void
  readonly connecting: Connecting
  /** Nobody listens where that member said it would. */
  readonly refused: (name: NodeId) => void
  /** A seed refuses this node, and trying again will not help. */
  readonly misfit: (error: TroupeError) => void
  /** Published by this node, or by a member with which there is a session. */
  readonly isMembers: (address: Address) => boolean
}

interface Dial {
  readonly target: Target
  readonly dialler: Dialler
  connection: Connection | undefined
  cancel: () => void
  peer: NodeId | undefined
  over: boolean
}

export class Dials {
  readonly #ground: Ground
  readonly #sessions: Sessions
  readonly #owner: DialsOwner
  readonly #plan: DialPlan
  readonly #found: Found
  readonly #dials = new Map<string, Dial>()
  /** What became of the last dial of each target, until one succeeds. */
  readonly #failures = new Map<string, string>()
  readonly #dialOf = new Map<Connection, Dial>()
  /** Each seed, by its key, and who answered there last. */
  readonly #seeds = new Map<string, { readonly target: Target; peer: NodeId | undefined }>()
  #joining: Joining | undefined
  #timer: Timer | undefined
  #stopped = false

  constructor(ground: Ground, sessions: Sessions, owner: DialsOwner) {
    this.#ground = ground
    this.#sessions = sessions
    this.#owner = owner
    this.#plan = new DialPlan(ground.limits.membersMax)
    this.#found = new Found({
      self: { peer: ground.self, creation: ground.creation },
      isMembers: owner.isMembers,
      hasSession: ({ peer, creation }) => sessions.get(peer)?.creation === creation,
    })
  }

  get size(): number {
    return this.#dials.size
  }

  get targets(): number {
    return this.#plan.size
  }

  /** Addresses that discovery lists now. */
  get listed(): number {
    return this.#found.size
  }

  /** Where that node is dialled, now or later. */
  addressOf(name: NodeId): Address | undefined {
    return this.#plan.address(name)
  }

  /** Why nobody was reached, for people. */
  whyNot(): string {
    const failures = [...this.#failures]
    if (failures.length === 0) return 'no other node was found'
    const told = failures.slice(0, FAILURES_TOLD).map(([key, why]) => `${key}: ${why}`)
    const more = failures.length - told.length
    return `nobody could be reached (${told.join('; ')}${more > 0 ? `; and ${more} more` : ''})`
  }

  /** True when that node is dialled, now or later. */
  wants(name: string): boolean {
    return this.#plan.has(name)
  }

  want(target: Target): void {
    if (this.#stopped) return
    this.#plan.want(target, this.#ground.runtime.clock.now())
    this.#soon()
  }

  /** Dials that target now: as the entry that it has already, else once. */
  now(target: Target): void {
    if (this.#stopped) return
    this.#plan.now(target, this.#ground.runtime.clock.now())
    this.#soon()
  }

  /** Dials the seeds at once, and for ever. */
  join(joining: Joining, seeds: readonly Address[]): void {
    this.#joining = joining
    const nowMs = this.#ground.runtime.clock.now()
    for (const address of seeds) {
      const target: Target = { key: seedKey(address), kind: 'seed', name: undefined, address }
      this.#seeds.set(target.key, { target, peer: undefined })
      this.#plan.want(target, nowMs)
    }
    this.#due()
  }

  /** What discovery lists now, as a whole: what is new is dialled, what has gone is not. Gives the keys of the former. */
  found(addresses: readonly Address[]): readonly string[] {
    if (this.#stopped) return []
    this.#found.list(addresses)
    for (const key of this.#plan.keysOf('found')) if (!this.#found.has(key)) this.#forgetTarget(key)
    const wanted = this.#found.wanted().filter(([key]) => !this.#plan.has(key))
    const nowMs = this.#ground.runtime.clock.now()
    for (const [key, address] of wanted)
      this.#plan.want({ key, kind: 'found', name: undefined, address }, nowMs)
    if (wanted.length > 0) this.#soon()
    return wanted.map(([key]) => key)
  }

  /** It is a member with a session, or it left. */
  forget(name: NodeId): void {
    this.#plan.forgetNode(name)
  }

  /** There is a session with that peer, whoever dialled: nothing that stands for it is to be dialled. */
  opened(peer: NodeId): void {
    this.forget(peer)
    for (const { target, peer: last } of this.#seeds.values())
      if (last === peer) this.#forgetTarget(target.key)
  }

  /** The session with that peer ended. Counts as a failed dial, so that one which never lasts is not dialled without end. */
  lost(peer: NodeId): void {
    if (this.#stopped) return
    for (const { target, peer: last } of this.#seeds.values()) {
      if (last !== peer || this.#plan.has(target.key)) continue
      this.#plan.want(target, this.#ground.runtime.clock.now())
      this.#backOff(target)
    }
    this.#soon()
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.clear()
    for (const dial of [...this.#dials.values()]) this.#drop(dial)
  }

  /** True when our dial to that peer has its proof out. */
  committedTo(peer: NodeId): boolean {
    return this.#to(peer, undefined)?.dialler.committed ?? false
  }

  /** That peer's own dial becomes the session. */
  yieldTo(peer: NodeId): void {
    const own = this.#to(peer, undefined)
    if (own !== undefined) this.#dropDone(own)
  }

  // What a connection tells. False: it is not one of ours.

  handshake(connection: Connection, type: number, body: Buffer): boolean {
    const dial = this.#dialOf.get(connection)
    if (dial === undefined) return false
    if (type === FrameType.challenge) this.#onChallenge(dial, connection, dial.dialler.onChallenge(body))
    else if (type === FrameType.welcome) this.#onWelcome(dial, connection, dial.dialler.onWelcome(body))
    else connection.fail('a frame of the other side', false)
    return true
  }

  refused(connection: Connection, refused: Refused): boolean {
    const dial = this.#dialOf.get(connection)
    if (dial === undefined) return false
    if (refused.code === Refusal.superseded && dial.target.name === undefined) {
      this.#drop(dial) // its own dial is on the way to us; should it fail, this one is due again
      this.#backOff(dial.target)
      this.#soon()
      return true
    }
    this.#complain(dial, refused, connection)
    this.#failed(dial, refused.why, refused.code === Refusal.superseded)
    return true
  }

  failed(connection: Connection, why: string): void {
    const dial = this.#dialOf.get(connection)
    if (dial !== undefined) this.#failed(dial, why)
  }

  // Inside.

  #soon(): void {
    this.#ground.runtime.loop.soon(() => this.#due())
  }

  #due(): void {
    if (this.#stopped) return
    const { clock } = this.#ground.runtime
    const nowMs = clock.now()
    for (const target of this.#plan.take(nowMs)) {
      if (target.kind !== 'found' || this.#found.isWorthADial(target.key)) this.#dial(target)
      else this.#needless(target)
    }
    this.#timer?.clear()
    const nextMs = this.#plan.nextMs(nowMs)
    if (nextMs !== undefined) this.#timer = clock.after(nextMs - nowMs, () => this.#due())
  }

  /** Since it was found, it was reached in another way. */
  #needless({ key }: Target): void {
    this.#forgetTarget(key)
    this.#joining?.tried(key, undefined, true)
  }

  #forgetTarget(key: string): void {
    this.#plan.forget(key)
    this.#failures.delete(key)
  }

  #dial(target: Target): void {
    const { runtime, keys, notes } = this.#ground
    const dialler = new Dialler(this.#owner.greeting(), keys)
    const dial: Dial = {
      target,
      dialler,
      connection: undefined,
      cancel: () => {},
      peer: target.name,
      over: false,
    }
    this.#dials.set(target.key, dial)
    notes.count('dials')
    dial.cancel = runtime.transport.dial(target.address, { timeoutMs: DIAL_MS }, result =>
      this.#dialled(dial, result),
    )
  }

  #dialled(dial: Dial, result: DialResult): void {
    if (dial.over) {
      if (result.ok) result.stream.destroy()
      return
    }
    if (!result.ok) {
      this.#failed(dial, result.code)
      return
    }
    const { runtime, limits } = this.#ground
    const connection = new Connection(result.stream, runtime.clock, limits, this.#owner.connections)
    dial.connection = connection
    this.#dialOf.set(connection, dial)
    connection.say(FrameType.hello, dial.dialler.hello)
  }

  /** It failed by itself: the next one is planned, and whoever waited for this one is told. */
  #failed(dial: Dial, why: string, superseded = false): void {
    const { target } = dial
    this.#drop(dial)
    this.#backOff(target)
    if (target.name === undefined && this.#plan.has(target.key)) this.#failures.set(target.key, why)
    this.#tried(target.key, target.name ?? dial.peer, !superseded)
    if (why === 'ECONNREFUSED' && target.name !== undefined) this.#owner.refused(target.name)
    this.#soon()
  }

  #backOff(target: Target): void {
    const { clock, random } = this.#ground.runtime
    this.#plan.failed(target.key, clock.now(), random.float())
  }

  #drop(dial: Dial): void {
    if (dial.over) return
    dial.over = true
    dial.cancel()
    this.#dials.delete(dial.target.key)
    if (dial.connection === undefined) return
    this.#dialOf.delete(dial.connection)
    dial.connection.abandon()
  }

  /** We need it no more: there is a session, or a better dial. */
  #dropDone(dial: Dial): void {
    this.#drop(dial)
    this.#settle(dial)
  }

  /** It did not fail; but a better dial still may, and it may have reached somebody else. */
  #settle({ target, peer }: Dial): void {
    const whom = target.name ?? peer
    if (whom !== undefined && this.#sessions.get(whom) !== undefined) this.#forgetTarget(target.key)
    else this.#backOff(target)
    this.#tried(target.key, whom, false)
    this.#soon()
  }

  #onChallenge(dial: Dial, connection: Connection, step: Step): void {
    if (step.tag !== 'challenged') return this.#stepFailed(dial, connection, step)
    const { peer, creation } = step
    const { self, creation: own } = this.#ground
    const { key } = dial.target
    this.#found.reached(key, { peer, creation })
    if (peer === self && creation === own) {
      this.#drop(dial)
      this.#forgetTarget(key)
      this.#tried(key, undefined, true)
      return
    }
    dial.peer = peer
    const seed = this.#seeds.get(key)
    if (seed !== undefined) seed.peer = peer
    this.#reached(key, peer)
    if (this.#sessions.get(peer)?.creation === creation) return this.#dropDone(dial)
    const other = this.#to(peer, dial)
    if (other?.dialler.committed) return this.#dropDone(dial)
    if (other !== undefined) this.#dropDone(other)
    const proof = dial.dialler.prove(this.#owner.claim(this.#sessions.epochWith(peer, creation)))
    if (proof.tag === 'send') connection.say(FrameType.proof, proof.body)
  }

  #onWelcome(dial: Dial, connection: Connection, step: Step): void {
    if (step.tag !== 'open') return this.#stepFailed(dial, connection, step)
    this.#sessions.get(step.opened.peer)?.fail('replaced', 'a newer life of that node answered')
    dial.over = true
    this.#dials.delete(dial.target.key)
    this.#dialOf.delete(connection)
    const { kind, name } = dial.target
    this.#owner.opened(connection, step.opened, kind === 'introduced' && name === step.opened.peer)
    this.#settle(dial)
  }

  #to(peer: NodeId, except: Dial | undefined): Dial | undefined {
    for (const dial of this.#dials.values()) if (dial.peer === peer && dial !== except) return dial
    return undefined
  }

  #stepFailed(dial: Dial, connection: Connection, step: Step): void {
    if (step.tag !== 'refuse') return
    this.#complain(dial, step.refused, connection)
    connection.refuse(step.refused)
    this.#failed(dial, step.refused.why)
  }

  #reached(key: string, peer: NodeId): void {
    this.#joining?.reached(key, peer)
    this.#owner.connecting.reached(key, peer)
  }

  #tried(key: string, peer: NodeId | undefined, failed: boolean): void {
    this.#joining?.tried(key, peer, failed)
    this.#owner.connecting.tried(key, failed)
  }

  /**
   * A refusal that is a matter of configuration is said once, and of a seed it ends the joining: somebody wrote that
   * address down for this cluster. What was found may as well be a stranger's.
   */
  #complain({ target }: Dial, { code, why }: Refused, connection: Connection): void {
    if (code !== Refusal.handshake && code !== Refusal.duplicate) return
    if (target.name !== undefined || this.#failures.get(target.key) !== why) {
      this.#ground.notes.warn(why, connection.stream.remote)
    }
    if (target.kind !== 'seed') return
    const name = code === Refusal.duplicate ? 'ERR_DUPLICATE_NODE' : 'ERR_HANDSHAKE'
    this.#owner.misfit(new TroupeError(name, `start: a seed refused us: ${why}`, { why }))
  }
}
