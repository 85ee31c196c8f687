/**
 * What this node believes of whom. Pure.
 *
 *   introduced ──handshake──► alive ◄──► suspect ──► down ──handshake──► alive
 *                               └── goodbye ──► left ──handshake──► alive
 *
 * Only a node itself says what it is, with a handshake of its own: what others say of it introduces it, at most. An
 * introduced node is dialled; it is no member, counts nowhere and is shown nowhere until it has proved the secret.
 */
import { compareIds, type NodeId } from '../base/ids.js'
import type { DownReason, Member, MembersView } from '../base/member.js'

export type Change =
  | { readonly tag: 'up' | 'alive' | 'updated'; readonly member: Member }
  | { readonly tag: 'suspect' | 'down'; readonly member: Member; readonly reason: DownReason }

const isUp = (member: Member): boolean => member.state === 'alive' || member.state === 'suspect'

/** Members that are gone are remembered, and told to newcomers, as long as there is room. */
export class Membership {
  readonly #self: Member
  readonly #max: number
  readonly #members = new Map<NodeId, Member>()
  #version = 1
  #view: MembersView | undefined

  constructor(self: Member, membersMax: number) {
    this.#self = self
    this.#max = membersMax
  }

  get view(): MembersView {
    this.#view ??= Object.freeze({
      version: this.#version,
      members: Object.freeze([this.#self, ...this.#up()].sort((a, b) => compareIds(a.name, b.name))),
    })
    return this.#view
  }

  get(name: NodeId): Member | undefined {
    return this.#members.get(name)
  }

  isUp(name: NodeId): boolean {
    const known = this.#members.get(name)
    return known !== undefined && isUp(known)
  }

  /** True when one more may come up. */
  admits(name: NodeId): boolean {
    return this.isUp(name) || this.#up().length + 1 < this.#max
  }

  /** What a newcomer is told: itself it knows, and who left does not come back by being dialled. */
  known(except: NodeId): readonly Member[] {
    const told = [...this.#members.values()].filter(m => m.name !== except && m.state !== 'left')
    return told.sort((a, b) => compareIds(a.name, b.name))
  }

  /** True when `record`, told by another node, is of somebody that should be dialled. */
  introduces(record: Member): boolean {
    const known = this.#members.get(record.name)
    if (record.name === this.#self.name || record.address.port === 0) return false
    return known === undefined || (!isUp(known) && known.creation !== record.creation)
  }

  /** A handshake with the node itself. */
  handshaken(record: Member): readonly Change[] {
    const known = this.#members.get(record.name)
    const changes: Change[] = []
    const up = known !== undefined && isUp(known)
    if (up && known.creation === record.creation) {
      if (record.incarnation <= known.incarnation) return []
      return [{ tag: 'updated', member: this.#put(record, known.state) }]
    }
    if (up) changes.push({ tag: 'down', member: this.#put(known, 'down'), reason: 'replaced' })
    this.#makeRoom()
    changes.push({ tag: 'up', member: this.#put(record, 'alive') })
    return changes
  }

  suspect(name: NodeId, reason: DownReason): readonly Change[] {
    const known = this.#members.get(name)
    return known?.state === 'alive' ? [{ tag: 'suspect', member: this.#put(known, 'suspect'), reason }] : []
  }

  alive(name: NodeId): readonly Change[] {
    const known = this.#members.get(name)
    return known?.state === 'suspect' ? [{ tag: 'alive', member: this.#put(known, 'alive') }] : []
  }

  down(name: NodeId, reason: DownReason): readonly Change[] {
    const known = this.#members.get(name)
    if (known === undefined || !isUp(known)) return []
    return [{ tag: 'down', member: this.#put(known, reason === 'left' ? 'left' : 'down'), reason }]
  }

  #put(record: Member, state: Member['state']): Member {
    const member = Object.freeze({ ...record, state })
    this.#members.delete(record.name) // to the end: the oldest gone is the first to be forgotten
    this.#members.set(record.name, member)
    this.#version += 1
    this.#view = undefined
    return member
  }

  #up(): Member[] {
    return [...this.#members.values()].filter(isUp)
  }

  #makeRoom(): void {
    if (this.#members.size < 2 * this.#max) return
    for (const [name, member] of this.#members) {
      if (isUp(member)) continue
      this.#members.delete(name)
      return
    }
  }
}
