/** A scope in the hands of its users: everything is checked here, and looked up by name at each use. */
import type {
  GroupListener,
  GroupMeta,
  Groups,
  GroupView,
  GroupWatch,
  Joining,
  JoinOptions,
  Left,
  OwnGroups,
  Published,
  ScopeWatch,
} from '../actor/groups.js'
import { isAnyRef } from '../actor/speaker.js'
import { show, TroupeError } from '../base/errors.js'
import { Pid, Ref } from '../base/ids.js'
import { type Check, checkOptions, expect, isFunction, isObject } from '../base/options.js'
import { checkName } from '../process/local-names.js'
import type { Present } from '../process/mail.js'
import { deadError } from '../process/monitors.js'
import type { Process } from '../process/process.js'
import { isScalar } from './groups-wire.js'
import type { Scope } from './scope.js'
import type { Scopes } from './scopes.js'

const isRef: Check = value => (value instanceof Ref ? undefined : 'the ref of a monitor')
const LEFT: Left = Object.freeze({ ok: true })
const NOT_JOINED: Left = Object.freeze({ ok: false, why: 'not_joined' })

abstract class Handle implements GroupView {
  readonly scope: string
  protected readonly scopes: Scopes

  constructor(scopes: Scopes, scope: string) {
    this.scope = scope
    this.scopes = scopes
  }

  members(group: string): readonly Pid[] {
    checkName('members: group', group)
    return this.found?.overlay.table.members(group) ?? []
  }

  localMembers(group: string): readonly Pid[] {
    checkName('localMembers: group', group)
    return this.found?.overlay.table.membersOn(this.scopes.self, group) ?? []
  }

  present(group: string): readonly Present[] {
    checkName('present: group', group)
    return this.found?.overlay.table.present(group) ?? []
  }

  groups(): readonly string[] {
    return this.found?.overlay.table.groups() ?? []
  }

  publish(topic: string, message: unknown): Published {
    checkName('publish: topic', topic)
    return this.scopes.publish(this.speaker(), this.members(topic), message)
  }

  demonitor(ref: Ref): boolean {
    expect('demonitor: ref', ref, isRef)
    return this.found?.demonitor(ref, this.speaker()) ?? false
  }

  /** Whose name it speaks in, if a process's: throws `ERR_DEAD`. */
  protected abstract speaker(): Process | undefined

  /** Undefined where it was closed. */
  protected get found(): Scope | undefined {
    return this.scopes.get(this.scope)
  }

  protected open(where: string): Scope {
    const scope = this.found
    if (scope !== undefined) return scope
    throw new TroupeError('ERR_NOPROC', `${where}: the scope ${show(this.scope)} is closed on this node`, {
      scope: this.scope,
    })
  }

  protected joined(group: string, processes: readonly Process[], options: JoinOptions | undefined): void {
    checkName('join: group', group)
    checkOptions('join', options, { meta: isObject })
    const meta = options?.meta === undefined ? undefined : this.#meta(options.meta)
    this.open('join').join(group, processes, meta)
  }

  protected left(group: string, pids: readonly Pid[]): Left {
    checkName('leave: group', group)
    return this.open('leave').leave(group, pids) ? LEFT : NOT_JOINED
  }

  protected watch(group: string, add: (scope: Scope) => Ref): GroupWatch {
    checkName('monitor: group', group)
    const scope = this.open('monitor')
    this.scopes.checkMonitors()
    const { table } = scope.overlay
    return { ref: add(scope), members: table.members(group), present: table.present(group) }
  }

  protected watchAll(add: (scope: Scope) => Ref): ScopeWatch {
    const scope = this.open('monitorScope')
    this.scopes.checkMonitors()
    const { table } = scope.overlay
    return { ref: add(scope), groups: new Map(table.groups().map(group => [group, table.present(group)])) }
  }

  #meta(meta: GroupMeta): GroupMeta {
    for (const [key, value] of Object.entries(meta)) {
      if (!isScalar(value))
        throw new TypeError(
          `join: meta: ${show(key)}: expected a string, a finite number, a boolean or null, got ${show(value)}`,
        )
    }
    const text = JSON.stringify(meta)
    const bytes = Buffer.byteLength(text)
    if (bytes > this.scopes.metaBytesMax)
      throw new RangeError(
        `join: meta: expected at most ${this.scopes.metaBytesMax} bytes as JSON, got ${bytes}`,
      )
    return Object.freeze(JSON.parse(text))
  }
}

export class NodeHandle extends Handle implements Groups {
  join(group: string, members: Joining, options?: JoinOptions): void {
    this.joined(group, this.#processes('join', members), options)
  }

  leave(group: string, members: Joining): Left {
    return this.left(group, this.#pids('leave', members))
  }

  monitor(group: string, listener: GroupListener): GroupWatch {
    expect('monitor: listener', listener, isFunction)
    return this.watch(group, scope => scope.listen(listener, group, this.scopes.later))
  }

  monitorScope(listener: GroupListener): ScopeWatch {
    expect('monitorScope: listener', listener, isFunction)
    return this.watchAll(scope => scope.listen(listener, undefined, this.scopes.later))
  }

  close(): void {
    this.scopes.close(this.scope)
  }

  protected speaker(): undefined {
    return undefined
  }

  #processes(where: string, members: Joining): readonly Process[] {
    return this.#pids(where, members).map(pid => {
      const process = this.scopes.actors.table.find(pid)
      if (process !== undefined) return process
      throw new TroupeError('ERR_NOPROC', `${where}: there is no process ${pid} on this node`, { pid })
    })
  }

  /** Of this node, all of them. */
  #pids(where: string, members: Joining): readonly Pid[] {
    const all: readonly unknown[] = Array.isArray(members) ? members : [members]
    return all.map(one => {
      const pid = one instanceof Pid ? one : isAnyRef(one) ? one.pid : undefined
      if (pid === undefined)
        throw new TypeError(`${where}: members: expected pids or refs of processes, got ${show(one)}`)
      if (this.scopes.actors.table.isHere(pid)) return pid
      throw new TypeError(
        `${where}: members: expected processes of ${this.scopes.self}, got ${pid}: a process is in groups by its own node alone`,
      )
    })
  }
}

export class OwnHandle extends Handle implements OwnGroups {
  readonly #process: Process

  constructor(scopes: Scopes, scope: string, process: Process) {
    super(scopes, scope)
    this.#process = process
  }

  join(group: string, options?: JoinOptions): void {
    this.joined(group, [this.speaker()], options)
  }

  leave(group: string): Left {
    return this.left(group, [this.speaker().pid])
  }

  monitor(group: string): GroupWatch {
    const process = this.speaker()
    return this.watch(group, scope => scope.watch(process, group))
  }

  monitorScope(): ScopeWatch {
    const process = this.speaker()
    return this.watchAll(scope => scope.watch(process, undefined))
  }

  protected speaker(): Process {
    if (this.#process.dead) throw deadError(this.#process.pid)
    return this.#process
  }
}
