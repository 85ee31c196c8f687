/**
 * The door of `groups/`: the scopes of one node on its mesh. See README.md for the design and its promises.
 *
 *   Mesh ──▶ sessions, members, frames ──▶ Overlay of each scope ──▶ changes ──▶ watchers
 *                                             │
 *                                             └──▶ messages, encoded once ──▶ a Line for each session
 *
 * A peer takes part while a session with it is open and it is a member; whichever comes first, the overlays are told when
 * both hold.
 */
import type { Actors, GroupKeeper } from '../actor/actors.js'
import type { Groups, OwnGroups, Published } from '../actor/groups.js'
import { show, TroupeError } from '../base/errors.js'
import type { NodeId, Pid } from '../base/ids.js'
import type { Logger } from '../base/log.js'
import type { Member } from '../base/member.js'
import type { Loop } from '../base/runtime.js'
import type { MeshListener, Session } from '../mesh/mesh.js'
import { checkName } from '../process/local-names.js'
import type { Process } from '../process/process.js'
import type { Remoting } from '../remote/remote.js'
import { FrameType } from '../wire/frame.js'
import { decodeGroups, encodeGroups } from './groups-wire.js'
import { NodeHandle, OwnHandle } from './handles.js'
import { Line } from './line.js'
import { type GroupMessage, Overlay } from './overlay.js'
import { Scope } from './scope.js'
import { Watchers } from './watchers.js'

export interface ScopesOptions {
  readonly loop: Loop
  readonly actors: Actors
  readonly remote: Remoting
  readonly log: Logger
}

/** Open on every node from its start: who asks for nothing else finds everybody. */
const DEFAULT = 'default'

export class Scopes implements MeshListener, GroupKeeper {
  readonly types: readonly number[] = [FrameType.groups]
  readonly actors: Actors
  readonly self: NodeId
  readonly metaBytesMax: number
  readonly #options: ScopesOptions
  readonly #scopes = new Map<string, Scope>()
  readonly #lines = new Map<NodeId, Line>()
  /** Members that are up, in this life. */
  readonly #up = new Map<NodeId, number>()
  readonly #counts = { resyncs: 0, kept: 0, lost: 0, dropped: 0, published: 0 }
  /** What listeners have still to be told. */
  readonly #untold: (() => void)[] = []
  #runs = 0
  #flushing = false

  constructor(options: ScopesOptions) {
    const { actors } = options
    this.#options = options
    this.actors = actors
    this.self = actors.table.ids.node
    this.metaBytesMax = actors.table.limits.groupMetaBytesMax
    actors.keeper = this
    this.#open(DEFAULT)
  }

  node(scope: string = DEFAULT): Groups {
    this.#opened(scope)
    return new NodeHandle(this, scope)
  }

  own(process: Process, scope: string = DEFAULT): OwnGroups {
    this.#opened(scope)
    return new OwnHandle(this, scope, process)
  }

  get(scope: string): Scope | undefined {
    return this.#scopes.get(scope)
  }

  close(name: string): void {
    const scope = this.#scopes.get(name)
    if (scope === undefined) return
    scope.close()
    this.#scopes.delete(name)
    this.#counts.lost += scope.watchers.lost
    this.#counts.resyncs += scope.overlay.resyncs
    this.#counts.kept += scope.overlay.table.refused
  }

  /** Members of other nodes first: what does not encode is refused before anybody was sent anything. */
  publish(process: Process | undefined, members: readonly Pid[], message: unknown): Published {
    const { actors } = this
    const speaker = actors.speakerOf(process)
    const here = members.filter(pid => actors.table.isHere(pid))
    const counts = { ok: 0, busy: 0, full: 0 }
    if (here.length < members.length) {
      const away = members.filter(pid => !actors.table.isHere(pid))
      const sent = this.#options.remote.sendToMany(speaker?.pid ?? actors.outside, away, message)
      for (const { how, count } of sent) counts[how] += count
    }
    for (const pid of here) counts[actors.sendFrom(speaker, pid, message)] += 1
    this.#counts.published += 1
    return counts
  }

  /** Throws `ERR_BUSY` when there are as many as there may be. */
  checkMonitors(): void {
    const { groupMonitorsMax } = this.actors.table.limits
    if (this.#sum(({ watchers }) => watchers.size) < groupMonitorsMax) return
    throw new TroupeError('ERR_BUSY', `this node has ${groupMonitorsMax} monitors of groups, its most`, {
      limit: 'groupMonitorsMax',
    })
  }

  /** Runs users' code on a stack of its own. */
  readonly later = (run: () => unknown): void => {
    if (this.#untold.push(() => this.#guarded(run)) > 1) return
    this.#options.loop.soon(() => {
      for (const tell of this.#untold.splice(0)) tell()
    })
  }

  stats(): Readonly<Record<string, number>> {
    return {
      scopes: this.#scopes.size,
      groups: this.#sum(({ overlay }) => overlay.table.groups().length),
      members: this.#sum(({ overlay }) => overlay.table.size),
      monitors: this.#sum(({ watchers }) => watchers.size),
      monitorsLost: this.#counts.lost + this.#sum(({ watchers }) => watchers.lost),
      resyncs: this.#counts.resyncs + this.#sum(({ overlay }) => overlay.resyncs),
      notKept: this.#counts.kept + this.#sum(({ overlay }) => overlay.table.refused),
      incrementsDropped: [...this.#lines.values()].reduce(
        (sum, line) => sum + line.dropped,
        this.#counts.dropped,
      ),
      published: this.#counts.published,
    }
  }

  // ---- the mesh ----

  sessionUp(session: Session): void {
    if (session.role !== 'member') return
    const { groupIncrementsMax } = this.actors.table.limits
    const caughtUp = (): void => this.#each(({ overlay }) => overlay.remind(session.peer))
    this.#lines.set(session.peer, new Line(session, groupIncrementsMax, caughtUp))
    this.#peerUp(session.peer)
  }

  sessionDown(session: Session): void {
    const line = this.#lines.get(session.peer)
    if (line?.session !== session) return
    this.#counts.dropped += line.dropped
    this.#lines.delete(session.peer)
    this.#each(({ overlay }) => overlay.peerDown(session.peer))
  }

  memberUp(member: Member): void {
    this.#up.set(member.name, member.creation)
    this.#peerUp(member.name)
  }

  memberDown(member: Member): void {
    if (this.#up.get(member.name) !== member.creation) return
    this.#up.delete(member.name)
    this.#each(({ overlay }) => overlay.gone(member.name))
  }

  frame(session: Session, _type: number, _flags: number, buffer: Buffer, start: number, end: number): void {
    if (this.#lines.get(session.peer)?.session !== session)
      throw new TroupeError('ERR_FRAME', `${session.peer} is no member and speaks of groups`)
    const { ids } = this.actors.table
    const { scope, message } = decodeGroups(buffer, start, end, {
      pid: serial => ids.pid(session.peer, session.creation, serial),
      metaBytesMax: this.metaBytesMax,
    })
    this.#scopes.get(scope)?.overlay.receive(session.peer, message)
  }

  // ---- inside ----

  #opened(name: string): void {
    checkName('groups: scope', name)
    if (this.#scopes.has(name)) return
    const { groupScopesMax } = this.actors.table.limits
    if (this.#scopes.size >= groupScopesMax)
      throw new TroupeError('ERR_BUSY', `groups: this node has ${groupScopesMax} scopes open, its most`, {
        limit: 'groupScopesMax',
      })
    this.#open(name)
  }

  #open(name: string): void {
    const { limits } = this.actors.table
    const watchers = new Watchers(name)
    this.#runs += 1
    const overlay = new Overlay({
      self: this.self,
      run: this.#runs,
      limits,
      effects: {
        send: (to, messages) => this.#send(name, to, messages),
        changed: change => watchers.changed(change),
        dirty: () => this.#flushLater(),
      },
    })
    this.#scopes.set(name, new Scope(name, overlay, watchers, this.actors))
    for (const [node, creation] of this.#peers()) overlay.peerUp(node, creation)
  }

  #peerUp(node: NodeId): void {
    const creation = this.#up.get(node)
    if (creation === undefined || this.#lines.get(node)?.session.creation !== creation) return
    this.#each(({ overlay }) => overlay.peerUp(node, creation))
  }

  *#peers(): Generator<readonly [NodeId, number]> {
    for (const [node, { session }] of this.#lines)
      if (this.#up.get(node) === session.creation) yield [node, session.creation]
  }

  #each(tell: (scope: Scope) => void): void {
    for (const scope of this.#scopes.values()) tell(scope)
  }

  #flushLater(): void {
    if (this.#flushing) return
    this.#flushing = true
    this.#options.loop.turnEnd(() => {
      this.#flushing = false
      this.#each(({ overlay }) => overlay.flush())
    })
  }

  #send(scope: string, to: readonly NodeId[], messages: readonly GroupMessage[]): void {
    const type = messages[0]?.type
    const bodies = messages.map(message => encodeGroups(scope, message))
    for (const node of to)
      this.#lines.get(node)?.send(bodies, type === 'delta' ? undefined : `${type} ${scope}`)
  }

  #guarded(run: () => unknown): void {
    const failed = (error: unknown): void =>
      this.#options.log.error(`a listener of groups failed: ${show(error)}`, { error })
    try {
      const result = run()
      if (result instanceof Promise) result.catch(failed)
    } catch (error) {
      failed(error)
    }
  }

  #sum(of: (scope: Scope) => number): number {
    let sum = 0
    for (const scope of this.#scopes.values()) sum += of(scope)
    return sum
  }
}
