/**
 * Tasks: one function in a process of its own, whose result its owner waits for. The door of this room.
 *
 *   open ──▶ taken     a task gives its result once: to the await, yield, shutdown or ignore that comes first
 *
 * Laws: the task is linked to its owner before it runs; its result is there when its process is dead, and not before;
 * waiting longer, or no longer, does nothing to the task.
 */
import type { Node, Speaker } from '../actor/api.js'
import { Handover } from '../actor/handover.js'
import { type Inside, insideOf } from '../actor/inside.js'
import { show } from '../base/errors.js'
import type { Pid } from '../base/ids.js'
import { TIMEOUT_MS, WAIT_MS_MAX } from '../base/limits.js'
import {
  arrayOf,
  checkOptions,
  expect,
  isFunction,
  isInteger,
  oneOf,
  timeoutOf,
  WAIT_CHECKS,
  type WaitOptions,
} from '../base/options.js'
import { timeoutError } from '../process/pending-calls.js'
import { exitError } from '../process/process-table.js'
import { isShutdownMs, type ShutdownMs } from '../supervisor/child-spec.js'
import { type Job, type TaskFunction, task as taskDef } from './job.js'
import { Outcome, type TaskResult } from './outcome.js'
import { type StreamOptions, streamOf, type ZippedResult } from './stream.js'
import { ownedBy, wait } from './waiting.js'

/**
 * A function that runs in a process of its own. The handle speaks for its owner, the process that started it; only
 * that may wait for it, and gets the result once. It does not cross nodes.
 */
export interface Task<T> {
  readonly pid: Pid
  /** The process it was started by; the node's own pid for code outside of processes. */
  readonly owner: Pid
  /**
   * What the function returned. Rejects with `ERR_EXIT` when the task ended otherwise (its reason in `detail.reason`)
   * and with `ERR_TIMEOUT` after `timeoutMs` (default 5 000): the task then runs on, and its late result is dropped.
   * A second await, and an await of a task whose result was taken, rejects with a `TypeError`.
   */
  await(options?: WaitOptions): Promise<T>
  /** `{ ok }` or `{ exit }`; undefined after `timeoutMs` (default 5 000): ask again. Also once the result was taken. */
  yield(options?: WaitOptions): Promise<TaskResult<T> | undefined>
  /**
   * Ends the task with `'shutdown'`, and kills it after `shutdownMs` (default 5 000); `'brutal_kill'` does not ask.
   * Its owner is unlinked first, and is told by the result alone. Undefined when it was stopped; `{ ok }` when it had
   * finished, or did while it was asked; `{ exit }` when it ended otherwise: `'killed'` when it would not stop,
   * `'noproc'` when its result had been taken. A handler that holds the event loop is not interrupted, by anything.
   */
  shutdown(shutdownMs?: ShutdownMs): Promise<TaskResult<T> | undefined>
  /** Waits for it no more, and lets it run on, unlinked. What it has ended with by now, if it has. */
  ignore(): TaskResult<T> | undefined
}

export interface YieldManyOptions extends WaitOptions {
  /** Ends the waiting when so many have ended; what else has is kept for the next time. Default: all. */
  readonly limit?: number | undefined
  /** What is done to tasks that did not end in time. Default `'nothing'`: they can be yielded again. */
  readonly onTimeout?: 'nothing' | 'ignore' | 'kill_task' | undefined
}

type Values<Tasks> = { -readonly [I in keyof Tasks]: Tasks[I] extends Task<infer T> ? T : never }
type Results<Tasks> = {
  -readonly [I in keyof Tasks]: Tasks[I] extends Task<infer T> ? TaskResult<T> | undefined : never
}

const YIELD_MANY = {
  ...WAIT_CHECKS,
  limit: isInteger(1, Number.MAX_SAFE_INTEGER),
  onTimeout: oneOf('nothing', 'ignore', 'kill_task'),
}

/**
 * Runs functions in processes of their own. The first argument says whose task it is: a context, a process function's
 * `self`, or a node for code outside of processes.
 *
 * A function that computes without awaiting holds the event loop, as all code does, and cannot be killed meanwhile: cut
 * long work by awaits, or let the task `runInWorker`.
 *
 * ```ts
 * const node = await createNode()
 * const page = Task.async(node, self => fetch('https://example.org', { signal: self.signal }))
 * console.log((await page.await({ timeoutMs: 2_000 })).status)
 * for await (const result of Task.asyncStream(node, ['a', 'b'], async name => name.length)) console.log(result)
 * ```
 */
export const Task = Object.freeze({
  /**
   * Starts `fn` in a process linked to its owner: a crash of either ends the other, unless that traps exits. Throws
   * `ERR_BUSY` when the node has no room for a process.
   */
  async<R>(host: Node | Speaker, fn: (self: Speaker) => R): Task<Awaited<R>> {
    expect('Task.async: fn', fn, isFunction)
    return start(insideOf('Task.async', host), fn)
  },

  /**
   * What all of them returned, in the order given. Rejects as `await` does, at the first failure or when all have not
   * ended after `timeoutMs` (default 5 000); the others run on.
   */
  awaitMany<const Tasks extends readonly Task<unknown>[]>(
    tasks: Tasks,
    options?: WaitOptions,
  ): Promise<Values<Tasks>> {
    const handles = handlesOf('Task.awaitMany', tasks)
    checkOptions('Task.awaitMany', options, WAIT_CHECKS)
    const all = async (): Promise<unknown> => {
      for (const handle of handles) handle.expectOpen('awaitMany')
      return Promise.all(handles.map(handle => handle.result(options)))
    }
    return ownedBy(handles[0]?.inside.process, all() as Promise<Values<Tasks>>)
  },

  /**
   * How each of them ended, in the order given; undefined for those that did not within `timeoutMs` (default 5 000, for
   * all together), and for those whose result was taken before.
   */
  yieldMany<const Tasks extends readonly Task<unknown>[]>(
    tasks: Tasks,
    options: YieldManyOptions = {},
  ): Promise<Results<Tasks>> {
    const handles = handlesOf('Task.yieldMany', tasks)
    checkOptions('Task.yieldMany', options, YIELD_MANY)
    return ownedBy(handles[0]?.inside.process, yieldMany(handles, options) as Promise<Results<Tasks>>)
  },

  /**
   * `fn` over `items`, each in a task of its own, at most `maxConcurrency` at once. Nothing starts before the first
   * result is asked for, and no further item while nobody asks. A crash of an item ends its owner, unless that traps
   * exits; then it is one of the results. Leaving the loop kills what runs and leaves no message.
   *
   * The iteration rejects with `ERR_TIMEOUT` when an item takes longer than `timeoutMs` (unless `onTimeout` is
   * `'kill_task'`), with what `items` throws, and with `ERR_DEAD` when the owner dies.
   */
  asyncStream: asyncStream as AsyncStream,
})

/** With `zipInputOnExit`, what an item ended with stands beside the item. */
export interface AsyncStream {
  <Item, R>(
    host: Node | Speaker,
    items: Iterable<Item> | AsyncIterable<Item>,
    fn: (item: Item, self: Speaker) => R,
    options: StreamOptions & { readonly zipInputOnExit: true },
  ): AsyncIterable<ZippedResult<Item, Awaited<R>>>
  <Item, R>(
    host: Node | Speaker,
    items: Iterable<Item> | AsyncIterable<Item>,
    fn: (item: Item, self: Speaker) => R,
    options?: StreamOptions,
  ): AsyncIterable<TaskResult<Awaited<R>>>
}

function asyncStream<Item>(
  host: Node | Speaker,
  items: Iterable<Item> | AsyncIterable<Item>,
  fn: (item: Item, self: Speaker) => unknown,
  options?: StreamOptions,
): AsyncIterable<TaskResult<unknown>> {
  const inside = insideOf('Task.asyncStream', host)
  return streamOf('Task.asyncStream', { inside, items, fn, launch: job => start(inside, job), options })
}

/** A task of its owner alone. */
function start<T>(inside: Inside, fn: TaskFunction): TaskHandle<T> {
  const { actors, process: owner } = inside
  const outcome = newOutcome(inside)
  const job = new Handover<Job>({ fn, outcome }, undefined)
  const options = { parent: owner?.pid, link: owner !== undefined, timeoutMs: WAIT_MS_MAX }
  const { pid, done } = actors.start(taskDef, job, options)
  done.catch(error => outcome.fail(error)) // ended before it began
  return new TaskHandle(inside, pid, outcome)
}

export const newOutcome = ({ actors, process }: Inside): Outcome =>
  new Outcome(process?.pid ?? actors.outside, actors.table.copyLocal)

export class TaskHandle<T> implements Task<T> {
  readonly pid: Pid
  readonly owner: Pid
  readonly #inside: Inside
  readonly #outcome: Outcome
  #taken = false
  #waited = false

  constructor(inside: Inside, pid: Pid, outcome: Outcome) {
    this.pid = pid
    this.owner = outcome.caller
    this.#inside = inside
    this.#outcome = outcome
  }

  get inside(): Inside {
    return this.#inside
  }

  /** Whether it can still be asked for its result. */
  get open(): boolean {
    return !this.#taken
  }

  await(options?: WaitOptions): Promise<T> {
    checkOptions('task.await', options, WAIT_CHECKS)
    const value = async (): Promise<T> => {
      this.expectOpen('await')
      return this.result(options)
    }
    return ownedBy(this.#inside.process, value())
  }

  yield(options?: WaitOptions): Promise<TaskResult<T> | undefined> {
    checkOptions('task.yield', options, WAIT_CHECKS)
    const result = async (): Promise<TaskResult<T> | undefined> => {
      this.expectOwner('yield')
      if (!this.#taken) await this.#ended('yield', options)
      return this.take()
    }
    return ownedBy(this.#inside.process, result())
  }

  shutdown(shutdownMs: ShutdownMs = TIMEOUT_MS): Promise<TaskResult<T> | undefined> {
    expect('task.shutdown: shutdownMs', shutdownMs, isShutdownMs)
    return ownedBy(this.#inside.process, this.#shutdown(shutdownMs))
  }

  ignore(): TaskResult<T> | undefined {
    this.expectOwner('ignore')
    const result = this.take()
    this.#taken = true
    this.unlink()
    return result
  }

  /** Takes the result, once it is there. */
  async result(options: WaitOptions | undefined): Promise<T> {
    this.#taken = true
    if (!(await this.#ended('await', options))) {
      throw timeoutError({ to: this.pid, tag: 'await', timeoutMs: timeoutOf(options) })
    }
    const result = this.#outcome.result as TaskResult<T>
    if ('ok' in result) return result.ok
    throw exitError(this.pid, 'await', result.exit)
  }

  /** What it ended with, for the first who asks. */
  take(): TaskResult<T> | undefined {
    if (this.#taken) return undefined
    const result = this.#outcome.result as TaskResult<T> | undefined
    this.#taken = result !== undefined
    return result
  }

  /** Its end is told to its owner no more; `flush`: nor is one that waits in the mailbox. */
  unlink({ flush }: { readonly flush: boolean } = { flush: false }): void {
    const { actors, process } = this.#inside
    if (process?.dead === false) actors.unlink(process, this.pid, flush)
  }

  exit(reason: 'shutdown' | 'kill'): void {
    this.#inside.actors.table.exit(this.owner, this.pid, reason)
  }

  /** Throws unless its owner asks, as far as that is known, and has not been given the result. */
  expectOpen(what: string): void {
    this.expectOwner(what)
    if (this.#taken)
      throw new TypeError(`${what}: expected a task with its result, got ${this.pid}: already awaited`)
  }

  expectOwner(what: string): void {
    const { actors, process } = this.#inside
    const caller = actors.speakerOf(undefined)
    if (caller === undefined || caller === process) return
    throw new TypeError(
      `${what}: expected to be used by ${this.owner}, which owns the task, got ${caller.pid}`,
    )
  }

  async #shutdown(how: ShutdownMs): Promise<TaskResult<T> | undefined> {
    this.expectOwner('shutdown')
    const taken = this.#taken
    this.#taken = true
    const runs = this.#outcome.result === undefined
    if (runs) await this.#end(how)
    const result = this.#outcome.result as TaskResult<T>
    if (taken && !runs) return { exit: 'noproc' }
    if ('ok' in result) return taken ? { exit: 'normal' } : result
    return result.exit === (how === 'brutal_kill' ? 'killed' : 'shutdown') ? undefined : result
  }

  async #end(how: ShutdownMs): Promise<void> {
    this.unlink()
    if (how !== 'brutal_kill') {
      this.exit('shutdown')
      if (await this.#over(how === 'infinity' ? WAIT_MS_MAX : how)) return
    }
    this.exit('kill')
    await this.#over(WAIT_MS_MAX) // of one that had not begun its starter is told first
  }

  #over(timeoutMs: number): Promise<boolean> {
    return wait(this.#inside, {
      to: this.pid,
      tag: 'shutdown',
      options: { timeoutMs },
      begin: wake => this.whenEnded(wake),
    })
  }

  async #ended(tag: string, options: WaitOptions | undefined): Promise<boolean> {
    if (this.#waited) throw new TypeError(`${tag}: expected a task that nobody waits for, got ${this.pid}`)
    this.#waited = true
    try {
      return await wait(this.#inside, { to: this.pid, tag, options, begin: wake => this.whenEnded(wake) })
    } finally {
      this.#waited = false
    }
  }

  /** `fn` is called at once for a task that has ended. Returns its undoing. */
  whenEnded(fn: () => void): () => void {
    if (this.#outcome.result === undefined) return this.#outcome.onEnd(fn)
    fn()
    return () => {}
  }
}

function handlesOf(where: string, tasks: readonly unknown[]): readonly TaskHandle<unknown>[] {
  expect(
    `${where}: tasks`,
    tasks,
    arrayOf(task => (task instanceof TaskHandle ? undefined : 'what Task.async returned')),
  )
  const handles = tasks as readonly TaskHandle<unknown>[]
  const stranger = handles.find(handle => handle.owner !== handles[0]?.owner)
  if (stranger === undefined) return handles
  throw new TypeError(
    `${where}: tasks: expected tasks of one owner, got ${show(stranger.pid.toString())} of another`,
  )
}

async function yieldMany(
  handles: readonly TaskHandle<unknown>[],
  options: YieldManyOptions,
): Promise<(TaskResult<unknown> | undefined)[]> {
  const ended = new Set<TaskHandle<unknown>>()
  const inTime = await whenSome(
    handles.filter(handle => handle.open),
    ended,
    options,
  )
  const { onTimeout } = options
  const late = (handle: TaskHandle<unknown>) => {
    if (inTime || !handle.open || onTimeout === undefined || onTimeout === 'nothing') return undefined
    return onTimeout === 'ignore' ? handle.ignore() : handle.shutdown('brutal_kill')
  }
  return Promise.all(handles.map(handle => (ended.has(handle) ? handle.take() : late(handle))))
}

/** Adds those that end, up to the limit. False when the time was over first. */
async function whenSome(
  handles: readonly TaskHandle<unknown>[],
  ended: Set<TaskHandle<unknown>>,
  { limit, timeoutMs, signal }: YieldManyOptions,
): Promise<boolean> {
  const first = handles[0]
  if (first === undefined) return true
  first.expectOwner('yieldMany')
  const enough = Math.min(limit ?? handles.length, new Set(handles).size)
  const begin = (wake: () => void): (() => void) => {
    const undo = handles.map(handle =>
      handle.whenEnded(() => {
        if (ended.size < enough) ended.add(handle)
        if (ended.size === enough) wake()
      }),
    )
    return () => {
      for (const fn of undo) fn()
    }
  }
  return wait(first.inside, { to: first.pid, tag: 'yieldMany', options: { timeoutMs, signal }, begin })
}
