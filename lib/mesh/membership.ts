/**
 * The records of all members that this node knows, and its view. Pure.
 *
 *   introduced ──handshake──► alive ◄──► suspect ──► down ──handshake──► alive
 *                               │           └────────────┐
 *                               └─► leaving ─ goodbye ─► left ──handshake──► alive
 *
 * Only a node itself says what it is, with a handshake of its own: what others say of it introduces it, at most. An
 * introduced node is dialled; it is no member, counts nowhere and is shown nowhere until it has proved the secret.
 * Members that are gone stay known for a day, as long as there is room: they are dialled, and told to newcomers.
 */
import { compareIds, type NodeId } from '../base/ids.js'
import type { DownReason, Member, MembersView } from '../base/member.js'

export type Change =
  | { readonly tag: 'up' | 'alive' | 'updated'; readonly member: Member }
  | { readonly tag: 'suspect' | 'down'; readonly member: Member; readonly reason: DownReason }

const GONE_MS = 86_400_000

export const isUp = (
  member: Member | undefined,
): member is Member & { readonly state: 'alive' | 'suspect' | 'leaving' } =>
  member?.state === 'alive' || member?.state === 'suspect' || member?.state === 'leaving'

/** Everything that a user can see of a record, besides its state. */
const shown = ({ address, version, tags, meta, host, voter }: Member): string =>
  JSON.stringify([address.host, address.port, version, tags, Object.entries(meta), host, voter])

export class Membership {
  #self: Member
  readonly #max: number
  readonly #members = new Map<NodeId, Member>()
  /** Who has said that it will go, and still is there. */
  readonly #leaving = new Set<NodeId>()
  /** Since when they are gone, the longest first. */
  readonly #gone = new Map<NodeId, number>()
  #up = 1
  #version = 1
  #view: MembersView | undefined

  constructor(self: Member, membersMax: number) {
    this.#self = self
    this.#max = membersMax
  }

  get self(): Member {
    return this.#self
  }

  /** How many are up, this node included. */
  get up(): number {
    return this.#up
  }

  get view(): MembersView {
    this.#view ??= Object.freeze({
      version: this.#version,
      members: Object.freeze(
        [this.#self, ...[...this.#members.values()].filter(isUp)].sort((a, b) => compareIds(a.name, b.name)),
      ),
    })
    return this.#view
  }

  get(name: NodeId): Member | undefined {
    return this.#members.get(name)
  }

  /** True when one more may come up. */
  admits(name: NodeId): boolean {
    return isUp(this.#members.get(name)) || this.#up < this.#max
  }

  /** All that is known, this node and those that are gone included. */
  all(): readonly Member[] {
    return [this.#self, ...this.#members.values()].sort((a, b) => compareIds(a.name, b.name))
  }

  /** True when `record`, told by another node, is of somebody that should be dialled: who left does not come back so. */
  introduces(record: Member): boolean {
    const known = this.#members.get(record.name)
    if (record.name === this.#self.name || record.address.port === 0 || record.state === 'left') return false
    return known === undefined || (!isUp(known) && known.creation !== record.creation)
  }

  /** This node's own record, by itself. */
  own(record: Member): readonly Change[] {
    const before = this.#self
    this.#self = record
    this.#changed()
    const same = shown(before) === shown(record) && before.state === record.state
    return same ? [] : [{ tag: 'updated', member: record }]
  }

  isLeaving(name: NodeId): boolean {
    return this.#leaving.has(name)
  }

  /** It said so. Whatever ends it from here on, it has left. */
  leaving(name: NodeId): readonly Change[] {
    const known = this.#members.get(name)
    if (!isUp(known) || this.#leaving.has(name)) return []
    this.#leaving.add(name)
    return known.state === 'alive' ? [{ tag: 'updated', member: this.#put(known, 'leaving') }] : []
  }

  /** A handshake with the node itself. */
  handshaken(record: Member): readonly Change[] {
    const known = this.#members.get(record.name)
    if (isUp(known) && known.creation === record.creation) return this.learnt(record)
    const changes: Change[] = []
    if (isUp(known)) {
      this.#up -= 1
      const left = this.#leaving.delete(record.name)
      const member = this.#put(known, left ? 'left' : 'down')
      changes.push({ tag: 'down', member, reason: left ? 'left' : 'replaced' })
    }
    this.#makeRoom()
    this.#up += 1
    changes.push({ tag: 'up', member: this.#put(record, 'alive') })
    return changes
  }

  /** A later record of the same life. */
  learnt(record: Member): readonly Change[] {
    const known = this.#members.get(record.name)
    if (!isUp(known) || known.creation !== record.creation || record.incarnation <= known.incarnation)
      return []
    const member = this.#put(record, known.state)
    return shown(known) === shown(record) ? [] : [{ tag: 'updated', member }]
  }

  suspect(name: NodeId, reason: DownReason): readonly Change[] {
    const known = this.#members.get(name)
    if (known?.state !== 'alive' && known?.state !== 'leaving') return []
    return [{ tag: 'suspect', member: this.#put(known, 'suspect'), reason }]
  }

  alive(name: NodeId): readonly Change[] {
    const known = this.#members.get(name)
    if (known?.state !== 'suspect') return []
    return [{ tag: 'alive', member: this.#put(known, this.#leaving.has(name) ? 'leaving' : 'alive') }]
  }

  down(name: NodeId, reason: DownReason, nowMs: number): readonly Change[] {
    const known = this.#members.get(name)
    if (!isUp(known)) return []
    const member = this.#put(known, reason === 'left' ? 'left' : 'down')
    this.#up -= 1
    this.#leaving.delete(name)
    this.#gone.set(name, nowMs)
    return [{ tag: 'down', member, reason }]
  }

  /** Forgets who has been gone for a day. */
  expire(nowMs: number): void {
    for (const [name, sinceMs] of this.#gone) {
      if (nowMs - sinceMs < GONE_MS) return
      this.#forget(name)
    }
  }

  #put(record: Member, state: Member['state']): Member {
    const member =
      record.state === state && Object.isFrozen(record) ? record : Object.freeze({ ...record, state })
    this.#members.set(record.name, member)
    this.#gone.delete(record.name)
    this.#changed()
    return member
  }

  #changed(): void {
    this.#version += 1
    this.#view = undefined
  }

  #makeRoom(): void {
    const [oldest] = this.#gone.keys()
    if (this.#members.size >= 2 * this.#max && oldest !== undefined) this.#forget(oldest)
  }

  #forget(name: NodeId): void {
    this.#gone.delete(name)
    this.#members.delete(name)
  }
}
