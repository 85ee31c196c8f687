/**
 * The sessions of one node: at most one with each member, and those of clients. Opening and losing one is announced
 * here; what it means for the member is told to the owner.
 */
import { compareIds, type NodeId } from '../base/ids.js'
import type { DownReason } from '../base/member.js'
import type { Announcer } from './announcer.js'
import type { Connection } from './connection.js'
import type { Ground } from './ground.js'
import type { Opened } from './handshake.js'
import type { Link, LinkEdge } from './link.js'
import type { Session } from './mesh.js'
import { Silence } from './silence.js'

/** Why a session ended that nothing was wrong with. */
export const ASKED = 'it was asked for'

export interface SessionsOwner {
  /** Any bytes of a member came. */
  heard(link: Link): void
  /** That member will go. */
  leaving(link: Link): void
  /** A member speaks of who is there. */
  packet(link: Link, type: number, body: Buffer): void
  /** A session with a member is lost; it was announced. */
  lost(link: Link, reason: DownReason): void
}

export class Sessions {
  readonly #ground: Ground
  readonly #announcer: Announcer
  readonly #owner: SessionsOwner
  readonly #edge: LinkEdge
  readonly #links = new Map<NodeId, Link>()
  readonly #clients = new Map<NodeId, Link>()
  readonly #silence: Silence
  /** By peer and life: the last epoch, the latest last. Bounded: of peers without a session the oldest is forgotten. */
  readonly #epochs = new Map<NodeId, { readonly creation: number; readonly epoch: number }>()
  #sorted: readonly Link[] | undefined
  #clientCount = 0
  #stopped = false

  constructor(ground: Ground, announcer: Announcer, tickMs: number, owner: SessionsOwner) {
    this.#ground = ground
    this.#announcer = announcer
    this.#owner = owner
    this.#silence = new Silence(tickMs)
    const { clock, loop, buggify } = ground.runtime
    this.#edge = {
      clock,
      loop,
      buggify,
      limits: ground.limits,
      owner: {
        heard: link => this.#heard(link),
        frame: (link, type, flags, buffer, start, end) =>
          announcer.frame(link, type, flags, buffer, start, end),
        packet: (link, type, body) => owner.packet(link, type, body),
        leaving: link => owner.leaving(link),
        ended: (link, reason, why) => this.#ended(link, reason, why),
      },
    }
  }

  get size(): number {
    return this.#links.size
  }

  get clients(): number {
    return this.#clients.size
  }

  get(peer: NodeId): Link | undefined {
    return this.#links.get(peer)
  }

  /** With members, sorted by peer. */
  get sorted(): readonly Link[] {
    this.#sorted ??= [...this.#links.values()].sort((a, b) => compareIds(a.peer, b.peer))
    return this.#sorted
  }

  /** Epoch of the last session with that life. */
  epochWith(peer: NodeId, creation: number): number {
    const known = this.#epochs.get(peer)
    return known?.creation === creation ? known.epoch : 0
  }

  openClient(connection: Connection, opened: Opened): void {
    this.#clientCount += 1
    const name = `client-${this.#clientCount}.${opened.creation.toString(16)}` as NodeId
    const link = connection.become({ ...opened, peer: name }, this.#edge)
    this.#clients.set(name, link)
    this.#silence.heard(name, link.heardMs)
    this.#announce(link)
  }

  open(connection: Connection, opened: Opened): Link {
    const link = connection.become(opened, this.#edge)
    this.#links.set(link.peer, link)
    this.#sorted = undefined
    this.#noteEpoch(link)
    this.#announce(link)
    return link
  }

  #noteEpoch({ peer, creation, epoch }: Link): void {
    this.#epochs.delete(peer)
    this.#epochs.set(peer, { creation, epoch })
    if (this.#epochs.size <= 2 * this.#ground.limits.membersMax) return
    const oldest = [...this.#epochs.keys()].find(known => !this.#links.has(known))
    if (oldest !== undefined) this.#epochs.delete(oldest)
  }

  tick(nowMs: number, heartbeat: boolean): void {
    for (const link of this.#all()) {
      if (heartbeat) link.heartbeat()
      link.check(nowMs)
    }
    for (const name of this.#silence.tick(nowMs))
      this.#clients.get(name)?.fail('timeout', 'nothing was heard')
  }

  /** Says goodbye on all sessions, once what waits on them is written, or `timeoutMs` later. */
  async leave(timeoutMs: number): Promise<void> {
    this.#stopped = true
    const links = this.#all()
    if (links.length === 0) return
    await new Promise<void>(resolve => {
      let left = links.length
      const timer = this.#ground.runtime.clock.after(timeoutMs, resolve)
      for (const link of links) {
        link.leave(() => {
          link.goodbye()
          left -= 1
          if (left > 0) return
          timer.clear()
          resolve()
        })
      }
    })
    for (const link of links) link.goodbye()
  }

  stats(): { readonly queuedBytes: number; readonly refused: number; readonly sentBytes: number } {
    const stats = { queuedBytes: 0, refused: 0, sentBytes: 0 }
    for (const link of this.#all()) {
      stats.queuedBytes += link.queuedBytes
      stats.refused += link.refused
      stats.sentBytes += link.sentBytes
    }
    return stats
  }

  #all(): readonly Link[] {
    return [...this.sorted, ...this.#clients.values()]
  }

  #heard(link: Link): void {
    if (link.role === 'client') this.#silence.heard(link.peer, link.heardMs)
    else this.#owner.heard(link)
  }

  #announce(link: Session): void {
    const { notes, self } = this.#ground
    notes.count('sessionsOpened')
    notes.log.debug(`${self}: session ${link.epoch} with ${link.peer}`)
    this.#announcer.tell(listener => listener.sessionUp?.(link))
  }

  #ended(link: Link, reason: DownReason, why: string): void {
    const { notes } = this.#ground
    notes.count(`sessionsClosed.${reason}`)
    notes.count('refusedFull', link.refused)
    notes.count('sentBytes', link.sentBytes)
    const failed = reason === 'protocol' || reason === 'overloaded'
    if (failed || (reason === 'disconnect' && why !== ASKED && !this.#stopped))
      notes.warn(`session with ${link.peer} ended: ${why}`)
    this.#announcer.tell(listener => listener.sessionDown?.(link, reason))
    if (this.#clients.delete(link.peer)) {
      this.#silence.forget(link.peer)
      return
    }
    this.#links.delete(link.peer)
    this.#sorted = undefined
    if (!this.#stopped) this.#owner.lost(link, reason)
  }
}
