/**
 * Task supervisors: dynamic supervisors whose children are tasks. A supervised task has a parent besides its owner, so
 * its end can be kept from the owner (`asyncNolink`), and all of them end when the supervisor is stopped.
 */
import type { ActorRef, Node, Speaker } from '../actor/api.js'
import { Handover } from '../actor/handover.js'
import { insideOf } from '../actor/inside.js'
import type { Pid } from '../base/ids.js'
import { checkOptions, expect, isFunction, oneOf, WAIT_CHECKS, type WaitOptions } from '../base/options.js'
import type { ExitReason } from '../base/reasons.js'
import type { ChildOutcome } from '../supervisor/answers.js'
import { child, isShutdownMs, type Restart, type ShutdownMs } from '../supervisor/child-spec.js'
import {
  type DynamicSupervisorDef,
  type DynamicSupervisorSpec,
  dynamicSupervisor,
  dynamicSupervisorOf,
} from '../supervisor/dynamic-supervisor.js'
import { type NameOptions, treeOptions } from '../supervisor/supervisor.js'
import { type Job, type TaskFunction, task as taskDef } from './job.js'
import { type StreamOptions, streamOf } from './stream.js'
import { type AsyncStream, newOutcome, type Task, TaskHandle } from './task.js'
import { ownedBy } from './waiting.js'

/** `maxChildren` bounds the tasks; `intensity` counts for those that are restarted. */
export type TaskSupervisorSpec = Omit<DynamicSupervisorSpec, 'extraArguments'>
export type TaskSupervisorDef = DynamicSupervisorDef

/** How one supervised task is kept; waits as long as the supervisor takes, unless told otherwise. */
export interface SupervisedOptions extends WaitOptions {
  /** How long it may take to stop with its supervisor before it is killed. Default 5 000. */
  readonly shutdownMs?: ShutdownMs | undefined
}

export interface StartTaskOptions extends SupervisedOptions {
  /** Default `'temporary'`. Others run the function again: it should bear that. */
  readonly restart?: Restart | undefined
}

/**
 * A running task supervisor. Whatever starts a task rejects with `ERR_BUSY` (`detail.limit` is `'maxChildren'`) when
 * there are as many as may be, and with `ERR_NOPROC` when the supervisor has ended. Functions do not cross nodes: it
 * serves callers of its own node.
 */
export interface TaskSupervisorRef {
  readonly pid: Pid
  /** Runs `fn`, for whose result nobody waits. */
  startChild(fn: (self: Speaker) => unknown, options?: StartTaskOptions): Promise<Pid>
  /** As `Task.async`, under the supervisor: linked to both. */
  async<R>(
    host: Node | Speaker,
    fn: (self: Speaker) => R,
    options?: SupervisedOptions,
  ): Promise<Task<Awaited<R>>>
  /** Not linked to its owner: neither's crash reaches the other, and `yield` tells of it. */
  asyncNolink<R>(
    host: Node | Speaker,
    fn: (self: Speaker) => R,
    options?: SupervisedOptions,
  ): Promise<Task<Awaited<R>>>
  /** As `Task.asyncStream`, under the supervisor. */
  readonly asyncStream: AsyncStream
  /** A crash of an item is one of the results, whether its owner traps exits or not. */
  readonly asyncStreamNolink: AsyncStream
  /** Stops a task, with `'shutdown'`, and forgets it. */
  terminateChild(pid: Pid, options?: WaitOptions): Promise<ChildOutcome<'not_found'>>
  /** The tasks that run, newest first. */
  children(options?: WaitOptions): Promise<readonly Pid[]>
  /** Ends all tasks with `'shutdown'`, side by side, then the supervisor, with `reason` (default `'normal'`). */
  stop(reason?: ExitReason, options?: WaitOptions): Promise<void>
}

const SUPERVISED = { ...WAIT_CHECKS, shutdownMs: isShutdownMs }
const START = { ...SUPERVISED, restart: oneOf('permanent', 'transient', 'temporary') }
const SPEC = { intensity: () => undefined, backoff: () => undefined, maxChildren: () => undefined }

/**
 * Starts a task supervisor: from a node it stands alone, from a context or a process function it is linked to that
 * process, its parent. Rejects with `ERR_ALREADY_STARTED` when the name is taken.
 *
 * ```ts
 * const node = await createNode()
 * const tasks = await startTaskSupervisor(node, { maxChildren: 100 })
 * const task = await tasks.asyncNolink(node, async () => 6 * 7)
 * console.log(await task.yield())
 * ```
 */
export async function startTaskSupervisor(
  host: Node | Speaker,
  spec?: TaskSupervisorSpec,
  options?: NameOptions,
): Promise<TaskSupervisorRef> {
  const spawnOptions = treeOptions(host, 'startTaskSupervisor', options)
  return taskSupervisorOf(await host.spawn(taskSupervisor(spec), undefined, spawnOptions))
}

/** A task supervisor as a definition, to be the child of another: `child(taskSupervisor(), { id: 'tasks' })`. */
export function taskSupervisor(spec?: TaskSupervisorSpec): TaskSupervisorDef {
  checkOptions('taskSupervisor', spec, SPEC)
  return dynamicSupervisor(spec)
}

/** The task supervisor behind a ref, which may come from `whereis` or `named`. */
export function taskSupervisorOf(ref: ActorRef<TaskSupervisorDef>): TaskSupervisorRef {
  const supervisor = dynamicSupervisorOf(ref)
  const stream =
    (where: string, linked: boolean) =>
    <Item>(
      host: Node | Speaker,
      items: Iterable<Item> | AsyncIterable<Item>,
      fn: (item: Item, self: Speaker) => unknown,
      options?: StreamOptions,
    ) => {
      const launch = (run: TaskFunction) => start(ref, { where, host, fn: run, linked, options: undefined })
      return streamOf(where, { inside: insideOf(where, host), items, fn, launch, options })
    }
  return {
    get pid() {
      return ref.pid
    },
    async startChild(fn, options) {
      expect('startChild: fn', fn, isFunction)
      checkOptions('startChild', options, START)
      const { restart = 'temporary', shutdownMs, ...waiting } = options ?? {}
      const args = new Handover<Job>({ fn }, undefined)
      return (await supervisor.startChild(child(taskDef, { args, restart, shutdownMs }), waiting)).pid
    },
    async: (host, fn, options) => start(ref, { where: 'async', host, fn, linked: true, options }),
    asyncNolink: (host, fn, options) =>
      start(ref, { where: 'asyncNolink', host, fn, linked: false, options }),
    asyncStream: stream('asyncStream', true) as AsyncStream,
    asyncStreamNolink: stream('asyncStreamNolink', false) as AsyncStream,
    terminateChild: (pid, options) => supervisor.terminateChild(pid, options),
    async children(options) {
      const infos = await supervisor.whichChildren(options)
      return infos.flatMap(({ pid }) => (typeof pid === 'object' ? [pid] : []))
    },
    stop: (reason, options) => supervisor.stop(reason, options),
  }
}

interface Order {
  readonly where: string
  readonly host: Node | Speaker
  readonly fn: TaskFunction
  readonly linked: boolean
  readonly options: SupervisedOptions | undefined
}

/** A task with an owner, who asks for it in its own name. */
function start<T>(ref: ActorRef<TaskSupervisorDef>, order: Order): Promise<TaskHandle<T>> {
  const { where, host, fn, linked, options } = order
  expect(`${where}: fn`, fn, isFunction)
  checkOptions(where, options, SUPERVISED)
  const inside = insideOf(where, host)
  const outcome = newOutcome(inside)
  const { shutdownMs, ...waiting } = options ?? {}
  const args = new Handover<Job>({ fn, outcome, linkTo: linked ? inside.process : undefined }, undefined)
  const spec = child(taskDef, { args, restart: 'temporary', shutdownMs })
  const supervisor = dynamicSupervisorOf('ref' in host ? host.ref(ref) : ref)
  const started = supervisor.startChild(spec, waiting)
  return ownedBy(
    inside.process,
    started.then(({ pid }) => new TaskHandle<T>(inside, pid, outcome)),
  )
}
