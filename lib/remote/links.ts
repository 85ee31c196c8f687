/**
 * The links of one session, seen from one end.
 *
 * Every LINK is an instance with an id of its own, never reused in the session. For a pair of processes an end knows
 * the last instance it `sent` and the last it `received`; the two are linked while either stands. UNLINK and EXIT_LINK
 * name the instances they are about, as their sender knows them; here `sent` and `received` are mirrored.
 *
 *   link      sent := id                            LINK id               received := id
 *   unlink    forget both, tell both ids            UNLINK s, r           received = s → 0, sent = r → 0; none left → gone
 *   death     forget both, tell both ids            EXIT_LINK s, r        received = s or sent = r → broken and gone
 *
 * What is not named is not touched: so an exit that was under way when this end unlinked, or unlinked and linked anew,
 * does nothing, however late it comes.
 */
import type { Pid } from '../base/ids.js'

export interface Link {
  readonly local: Pid
  readonly peer: Pid
  sent: number
  received: number
}

export class Links {
  readonly #links = new Map<string, Link>()

  get size(): number {
    return this.#links.size
  }

  /** The link of a spawn is older than one that was made since, whose LINK the other end has read. */
  sent(local: Pid, peer: Pid, id: number): void {
    const link = this.#at(local, peer)
    link.sent = Math.max(link.sent, id)
  }

  received(local: Pid, peer: Pid, id: number): void {
    this.#at(local, peer).received = id
  }

  get(local: Pid, peer: Pid): Readonly<Link> | undefined {
    return this.#links.get(keyOf(local.serial, peer.serial))
  }

  /** This end unlinks or dies: the link, now forgotten, with the ids to tell. */
  take(local: Pid, peer: Pid): Link | undefined {
    const key = keyOf(local.serial, peer.serial)
    const link = this.#links.get(key)
    this.#links.delete(key)
    return link
  }

  /** UNLINK came. The link when nothing of it is left. */
  unlinked(local: number, peer: number, sent: number, received: number): Link | undefined {
    const key = keyOf(local, peer)
    const link = this.#links.get(key)
    if (link === undefined) return undefined
    if (link.received === sent) link.received = 0
    if (link.sent === received) link.sent = 0
    if (link.sent !== 0 || link.received !== 0) return undefined
    this.#links.delete(key)
    return link
  }

  /** EXIT_LINK came. The link when it broke one that stands. */
  broken(local: number, peer: number, sent: number, received: number): Link | undefined {
    const key = keyOf(local, peer)
    const link = this.#links.get(key)
    if (link === undefined || !(names(sent, link.received) || names(received, link.sent))) return undefined
    this.#links.delete(key)
    return link
  }

  /** All of them, by local and then by peer serial. */
  sorted(): Link[] {
    return [...this.#links.values()].sort(
      (a, b) => a.local.serial - b.local.serial || a.peer.serial - b.peer.serial,
    )
  }

  #at(local: Pid, peer: Pid): Link {
    const key = keyOf(local.serial, peer.serial)
    const known = this.#links.get(key)
    if (known !== undefined) return known
    const link: Link = { local, peer, sent: 0, received: 0 }
    this.#links.set(key, link)
    return link
  }
}

const keyOf = (local: number, peer: number): string => `${local} ${peer}`
const names = (id: number, mine: number): boolean => id !== 0 && id === mine
