/**
 * The shell of membership: feeds `swim.ts` with what sessions, dials and the clock tell, and does what it answers.
 */
import { TroupeError } from '../base/errors.js'
import type { NodeId } from '../base/ids.js'
import type { DownReason, Member } from '../base/member.js'
import type { Timer } from '../base/runtime.js'
import type { Announcer } from './announcer.js'
import type { Ground } from './ground.js'
import type { Link } from './link.js'
import type { Change } from './membership.js'
import { decodePacket, encodePacket, type Packet } from './packets.js'
import type { Profile } from './profile.js'
import type { Sessions } from './sessions.js'
import type { Effect, Swim } from './swim.js'

export interface GossipOwner {
  readonly introduced: (record: Member) => void
  /** That member has told all that it knows. */
  readonly listed: (peer: NodeId) => void
  /** It said goodbye: nobody need dial it. */
  readonly left: (name: NodeId) => void
}

export class Gossip {
  readonly #ground: Ground
  readonly #swim: Swim
  readonly #profile: Profile
  readonly #sessions: Sessions
  readonly #announcer: Announcer
  readonly #owner: GossipOwner
  #timer: Timer | undefined
  #ticks = 0

  constructor(
    ground: Ground,
    swim: Swim,
    profile: Profile,
    sessions: Sessions,
    announcer: Announcer,
    owner: GossipOwner,
  ) {
    this.#ground = ground
    this.#swim = swim
    this.#profile = profile
    this.#sessions = sessions
    this.#announcer = announcer
    this.#owner = owner
  }

  start(): void {
    this.#timer = this.#ground.runtime.clock.after(this.#profile.tickMs, () => this.#tick())
  }

  stop(): void {
    this.#timer?.clear()
  }

  opened(link: Link, record: Member, introduced: boolean): void {
    this.#do(this.#swim.opened(record, introduced, link.heardMs))
  }

  heard(link: Link): void {
    this.#do(this.#swim.heard(link.peer, link.heardMs))
  }

  packet(link: Link, type: number, body: Buffer): void {
    if (link.role === 'client') throw new TroupeError('ERR_FRAME', 'a client does not speak of members')
    const packet = decodePacket(type, body)
    this.#do(this.#swim.receive(link.peer, packet, link.heardMs))
    if (packet.tag === 'state' && packet.last) this.#owner.listed(link.peer)
  }

  lost(link: Link, reason: DownReason): void {
    this.#do(this.#swim.closed(link.peer, reason, this.#ground.runtime.clock.now()))
  }

  refused(name: NodeId): void {
    this.#do(this.#swim.refused(name, this.#ground.runtime.clock.now()))
  }

  /** That member says that it will go. */
  leaving(link: Link): void {
    this.#do(this.#swim.leaving(link.peer, link.heardMs))
  }

  /** This node will go. */
  leave(): void {
    this.#do(this.#swim.leave())
  }

  update(changed: Partial<Pick<Member, 'tags' | 'meta'>>): void {
    this.#do(this.#swim.update(changed))
  }

  #tick(): void {
    this.start()
    const { clock, loop } = this.#ground.runtime
    const nowMs = clock.now()
    const { heartbeatMs, tickMs } = this.#profile
    this.#ticks += 1
    this.#sessions.tick(nowMs, this.#ticks % Math.round(heartbeatMs / tickMs) === 0)
    this.#do(this.#swim.tick(nowMs, loop.lag()))
  }

  #do(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.tag === 'send') this.#send(effect.to, effect.packet)
      else if (effect.tag === 'list') this.#send(effect.to, this.#swim.list(effect.pull))
      else if (effect.tag === 'change') this.#changed(effect.change)
      else if (effect.tag === 'introduce') this.#owner.introduced(effect.record)
      else this.#sessions.get(effect.peer)?.fail(effect.reason, 'nothing was heard')
    }
  }

  #send(to: NodeId, packet: Packet): void {
    const link = this.#sessions.get(to)
    if (link === undefined || this.#loses(packet)) return
    for (const { type, body } of encodePacket(packet)) link.tell(type, body)
  }

  /** In simulations. What a session begins with is kept: a newcomer would wait for the next exchange. */
  #loses(packet: Packet): boolean {
    const { buggify } = this.#ground.runtime
    if (buggify === undefined) return false
    return packet.tag === 'state' ? packet.pull && buggify('push-pull-skipped') : buggify('packet-lost')
  }

  #changed(change: Change): void {
    const { member } = change
    switch (change.tag) {
      case 'up':
        return this.#announcer.tell(listener => listener.memberUp?.(member))
      case 'alive':
        return this.#announcer.tell(listener => listener.memberAlive?.(member))
      case 'updated':
        return this.#announcer.tell(listener => listener.memberUpdated?.(member))
      case 'suspect':
        return this.#announcer.tell(listener => listener.memberSuspect?.(member, change.reason))
      case 'down':
        if (change.reason === 'left') this.#owner.left(member.name)
        return this.#announcer.tell(listener => listener.memberDown?.(member, change.reason))
    }
  }
}
