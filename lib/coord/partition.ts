/**
 * The partition policy of a node, between the mesh and all that decides: it counts the votes of this side, tells when
 * the quorum is lost and when it is back, and refuses what needs one.
 *
 *  start, with too few ──▶ not yet
 *                              │ votes enough: told, then everything begins
 *                              ▼           too few: told, then everything stops
 *       start, with enough ▶ quorate ─────────────────────▶ lost ◀──┐
 *                              ▲                             │      │ too few again
 *                              │ told, then all goes on      ▼      │
 *                              └───────────────────────── settling ─┘
 *                       no member came or went for `SETTLE_MS`
 *
 * Laws
 *  - It hears of members before the slots do: nobody loses a name, and no slot is taken, before users were told.
 *  - A vote is a member that proved the secret to this node and is not suspect. What is only hearsay is no member at all.
 *    Suspects come back, or are down seconds later: on the other side, too, where only then processes are made again. So
 *    this side has stopped before that one acts.
 *  - Every judgement is made from the votes there are now: the same partition a second time is noticed a second time.
 *  - A node that has not had its quorum yet has not lost it: it refuses, says so once, and waits.
 *  - A heal comes link by link. Whoever acted on the first that bring the votes would take for gone who is about to be
 *    back, and make his processes again.
 *
 * What it does not do: end processes that run on a side without quorum. Whether they may go on is theirs to decide.
 */
import { TroupeError } from '../base/errors.js'
import type { NodeId } from '../base/ids.js'
import type { Logger } from '../base/log.js'
import type { DownReason, Member, Quorum } from '../base/member.js'
import type { Clock, Timer } from '../base/runtime.js'
import type { MeshListener } from '../mesh/mesh.js'
import type { LargestSeen } from './largest-seen.js'
import {
  describePolicy,
  largestAfter,
  type PartitionPolicy,
  quorumOf,
  type Voter,
  votesOf,
} from './quorum.js'
import type { Life } from './slot-data.js'
import type { SlotQuorum } from './slot-state.js'

/** As long as a view must be still before a slot moves. */
const SETTLE_MS = 1_000
/** Members that never cease to come and go hold nobody up for longer. */
const SETTLE_MS_MAX = 10_000

export interface PartitionOptions {
  readonly policy: PartitionPolicy
  readonly self: NodeId
  /** This node included. */
  readonly members: () => readonly Member[]
  /** No cluster is larger: what is assumed where the largest membership is not known any more. */
  readonly membersMax: number
  /** With `majority`. */
  readonly memory?: LargestSeen | undefined
  readonly clock: Clock
  readonly log: Logger
  /** Told before anything follows from it. */
  readonly tell: (event: 'partitioned' | 'quorate', quorum: Quorum) => void
  /** Users have been told: from here on everything acts, or stops. */
  readonly changed: () => void
}

interface Settling {
  readonly sinceMs: number
  readonly timer: Timer
}

export class Partition implements MeshListener, SlotQuorum {
  readonly #options: PartitionOptions
  /** Alive and suspect. */
  readonly #members = new Map<NodeId, Member>()
  readonly #counters = { won: 0, lost: 0, refused: 0 }
  #largest = 0
  #quorum: Quorum = { quorate: false, counted: 0, needed: 0 }
  #settling: Settling | undefined
  #started = false
  #warned = false

  constructor(options: PartitionOptions) {
    this.#options = options
  }

  /** Before the mesh starts: what earlier lives of this node have seen. */
  async load(): Promise<void> {
    const { memory, membersMax } = this.#options
    const largest = await memory?.load()
    this.#largest = Math.max(this.#largest, largest === 'unknown' ? membersMax : (largest ?? 0))
  }

  /** The mesh has joined, or is alone. */
  start(): void {
    const { self, members } = this.#options
    for (const member of members()) if (member.name === self) this.#members.set(self, member)
    this.#quorum = this.#count()
    this.#started = true
    this.#warnOfMore()
    if (this.#quorum.quorate) this.#counters.won += 1
    else this.#warnOfNone()
  }

  stop(): void {
    this.#started = false
    this.#settled()
    this.#options.memory?.stop()
  }

  get quorum(): Quorum {
    return this.#quorum
  }

  /** While a node joins, what is asked of it waits; it is not refused for votes that are still to come. */
  get quorate(): boolean {
    return this.#quorum.quorate || !this.#started
  }

  /** Throws `ERR_NO_QUORUM`. `what` is what was asked for. */
  demand(what: string): void {
    const refusal = this.refusal(what)
    if (refusal !== undefined) throw refusal
  }

  refusal(what: string): TroupeError | undefined {
    if (this.quorate) return undefined
    this.#counters.refused += 1
    const { counted, needed } = this.#quorum
    const soon = this.#settling === undefined ? '' : ', and is about to be whole again'
    return new TroupeError(
      'ERR_NO_QUORUM',
      `${what}: this side of the cluster has ${votes(this.#quorum)}${soon}; nothing was changed, try again`,
      { counted, needed },
    )
  }

  /** Who answered has a vote, also as a suspect. */
  reached(lives: readonly Life[], missing: ReadonlySet<Life>): boolean {
    if (this.#options.policy === 'diverge') return true
    const voters: Voter[] = []
    for (const life of lives) {
      const member = missing.has(life) ? undefined : this.#members.get(life.node)
      if (member?.creation === life.creation) voters.push(member)
    }
    return votesOf(voters) >= this.#quorum.needed
  }

  stats(): Readonly<Record<string, number>> {
    const { quorate, counted, needed } = this.#quorum
    return {
      ...this.#counters,
      ...this.#options.memory?.stats(),
      quorate: quorate ? 1 : 0,
      counted,
      needed,
      largest: this.#largest,
    }
  }

  // ---- the mesh ----

  memberUp(member: Member): void {
    this.#members.set(member.name, member)
    this.#judge()
  }

  memberSuspect(member: Member): void {
    this.memberUp(member)
  }

  memberAlive(member: Member): void {
    this.memberUp(member)
  }

  memberUpdated(member: Member): void {
    if (this.#members.has(member.name)) this.memberUp(member)
  }

  memberDown(member: Member, reason: DownReason): void {
    const before = votesOf(this.#members.values())
    this.#members.delete(member.name)
    const after = votesOf(this.#members.values())
    const { policy } = this.#options
    this.#largest = largestAfter(policy, { largest: this.#largest, before, after }, reason === 'left')
    this.#judge()
  }

  // ---- inside ----

  #count(): Quorum {
    const { policy, memory } = this.#options
    const counted = votesOf(this.#alive())
    this.#largest = Math.max(this.#largest, counted)
    memory?.grown(this.#largest)
    return quorumOf(policy, counted, this.#largest)
  }

  *#alive(): Iterable<Member> {
    for (const member of this.#members.values()) if (member.state === 'alive') yield member
  }

  #judge(): void {
    const now = this.#count()
    const { quorate } = this.#quorum
    this.#quorum = { ...now, quorate: quorate && now.quorate }
    if (!this.#started) return
    this.#warnOfMore()
    if (quorate && !now.quorate) this.#lost()
    else if (!quorate && now.quorate) this.#settle()
    else if (!now.quorate) this.#settled()
  }

  #settle(): void {
    // Who never decided anything takes nobody for gone.
    if (this.#counters.won === 0) return this.#won()
    const { clock } = this.#options
    const nowMs = clock.now()
    const sinceMs = this.#settling?.sinceMs ?? nowMs
    this.#settling?.timer.clear()
    const waitMs = Math.max(0, Math.min(SETTLE_MS, sinceMs + SETTLE_MS_MAX - nowMs))
    this.#settling = { sinceMs, timer: clock.after(waitMs, () => this.#won()) }
  }

  #settled(): void {
    this.#settling?.timer.clear()
    this.#settling = undefined
  }

  #won(): void {
    this.#settled()
    const { log, tell, changed } = this.#options
    this.#quorum = { ...this.#quorum, quorate: true }
    this.#counters.won += 1
    // A warning, too: whoever reads that the quorum was lost must be able to read that it is back.
    log.warn(`quorate: this side has ${votes(this.#quorum)}`, this.#quorum)
    tell('quorate', this.#quorum)
    changed()
  }

  #lost(): void {
    const { log, tell, changed } = this.#options
    this.#counters.lost += 1
    log.warn(
      `partitioned: this side has ${votes(this.#quorum)}: it takes no names, places no processes and revives none`,
      this.#quorum,
    )
    tell('partitioned', this.#quorum)
    changed()
  }

  #warnOfNone(): void {
    const { policy, log } = this.#options
    const never = this.#largest < this.#quorum.needed ? ', more than this node has ever seen' : ''
    log.warn(
      `partitionPolicy: ${describePolicy(policy)}: this side has ${votes(this.#quorum)}${never}: cluster-wide names and placed spawns are refused with ERR_NO_QUORUM until more join`,
      this.#quorum,
    )
  }

  #warnOfMore(): void {
    const { policy, log } = this.#options
    if (this.#warned || typeof policy === 'string' || this.#largest <= policy.size) return
    this.#warned = true
    log.warn(
      `partitionPolicy: size: expected at most ${policy.size} votes in the cluster, as declared, got ${this.#largest}: from here on more than half of those are needed`,
      { size: policy.size, seen: this.#largest },
    )
  }
}

const votes = ({ counted, needed }: Quorum): string =>
  `${counted} ${counted === 1 ? 'vote' : 'votes'} and needs ${needed}`
