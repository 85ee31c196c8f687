/**
 * A function over many items, each in a task of its own: the shell around `StreamPlan`. It is driven by whoever reads,
 * step by step, and waits as its owner when there is nothing to do.
 *
 * Laws: an item's deadline runs from its start, read or not; the end of an item is told by its result alone, never by a
 * message; leaving the stream, by `break`, a throw or an end of its own, kills what runs.
 */
import type { Speaker } from '../actor/api.js'
import type { Inside } from '../actor/inside.js'
import { isThenable } from '../actor/replies.js'
import { TroupeError } from '../base/errors.js'
import { TIMEOUT_MS, WAIT_MS_MAX } from '../base/limits.js'
import {
  checkOptions,
  expect,
  isBoolean,
  isFunction,
  isInteger,
  isMs,
  isSignal,
  oneOf,
} from '../base/options.js'
import type { ExitReason } from '../base/reasons.js'
import type { TaskFunction } from './job.js'
import type { TaskResult } from './outcome.js'
import { StreamPlan } from './stream-plan.js'
import { ownedBy, wait } from './waiting.js'

export interface StreamOptions {
  /** Items that run at once, from 1. Default: the cores that this OS process may use. */
  readonly maxConcurrency?: number | undefined
  /** Results in the order of their items (default), or as they come. */
  readonly ordered?: boolean | undefined
  /** How long one item may take. Default 5 000. */
  readonly timeoutMs?: number | undefined
  /** `'exit'` (default): the iteration rejects; `'kill_task'`: that item gives `{ exit: 'timeout' }`. */
  readonly onTimeout?: 'exit' | 'kill_task' | undefined
  /** Whether `exit` is `{ input, reason }`, with the item. Default false. */
  readonly zipInputOnExit?: boolean | undefined
  /** Ends the iteration, which rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined
}

export type ZippedResult<Item, T> =
  | { readonly ok: T }
  | { readonly exit: { readonly input: Item; readonly reason: ExitReason } }

/** What a stream needs of the task of one item. */
export interface StreamTask {
  whenEnded(fn: () => void): () => void
  take(): TaskResult<unknown> | undefined
  /** No exit of it reaches its owner, not even one that waits in the mailbox. */
  unlink(options: { readonly flush: boolean }): void
  exit(reason: 'kill'): void
}

export interface StreamRequest<Item> {
  readonly inside: Inside
  readonly items: Iterable<Item> | AsyncIterable<Item>
  readonly fn: (item: Item, self: Speaker) => unknown
  /** Starts the task of one item, at once or when there is a place for it. */
  readonly launch: (fn: TaskFunction) => StreamTask | Promise<StreamTask>
  readonly options: StreamOptions | undefined
}

type Source<Item> = Iterator<Item> | AsyncIterator<Item>

const STREAM_CHECKS = {
  maxConcurrency: isInteger(1, Number.MAX_SAFE_INTEGER),
  ordered: isBoolean,
  timeoutMs: isMs(),
  onTimeout: oneOf('exit', 'kill_task'),
  zipInputOnExit: isBoolean,
  signal: isSignal,
}

/** Checks what it is given at once; each iteration starts anew. */
export function streamOf<Item>(
  where: string,
  request: StreamRequest<Item>,
): AsyncIterable<TaskResult<unknown>> {
  const { items, fn, options } = request
  expect(`${where}: items`, items, value =>
    Symbol.iterator in Object(value) || Symbol.asyncIterator in Object(value) ? undefined : 'an iterable',
  )
  expect(`${where}: fn`, fn, isFunction)
  checkOptions(where, options, STREAM_CHECKS)
  return { [Symbol.asyncIterator]: () => new Stream(request).iterator() }
}

class Stream<Item> {
  readonly #request: StreamRequest<Item>
  readonly #options: StreamOptions
  readonly #source: Source<Item>
  readonly #plan: StreamPlan<TaskResult<unknown>>
  /** What ends the task of each item that runs. */
  readonly #running = new Map<number, () => void>()
  #failure: { readonly error: unknown } | undefined = undefined
  #halted = false
  /** The source has nothing more to give, or has failed. */
  #dry = false
  /** The source owes an item. */
  #asked = false
  #wake = (): void => {}

  constructor(request: StreamRequest<Item>) {
    const { items, inside, options = {} } = request
    this.#request = request
    this.#options = options
    this.#source = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]()
    this.#plan = new StreamPlan({
      max: options.maxConcurrency ?? inside.actors.cores,
      ordered: options.ordered ?? true,
      resultsMax: inside.actors.table.limits.streamResultsMax,
    })
  }

  iterator(): AsyncIterator<TaskResult<unknown>> {
    const results = this.#results()
    const { process } = this.#request.inside
    return {
      next: () => ownedBy(process, results.next()),
      // A generator would finish the step that it waits in first.
      return: () => {
        this.#halt()
        return ownedBy(process, results.return(undefined))
      },
    }
  }

  async *#results(): AsyncGenerator<TaskResult<unknown>, undefined, undefined> {
    try {
      while (!this.#halted) {
        if (this.#failure !== undefined) throw this.#failure.error
        const step = this.#plan.step()
        if (step.do === 'emit') yield step.result
        else if (step.do === 'pull') this.#pull()
        else if (step.do === 'wait') await this.#change()
        else return
      }
    } finally {
      this.#halt()
      await this.#leaveSource()
    }
  }

  #pull(): void {
    this.#asked = true
    const pulled = this.#next()
    if (!isThenable(pulled)) this.#given(pulled)
    else
      pulled.then(
        next => this.#given(next),
        error => this.#broken(error),
      )
  }

  #next(): IteratorResult<Item> | Promise<IteratorResult<Item>> {
    try {
      return this.#source.next()
    } catch (error) {
      this.#dry = true
      throw error
    }
  }

  #broken(error: unknown): void {
    this.#dry = true
    this.#fail(error)
  }

  /** A source that still owes an item is told, and not waited for: it may owe it for ever. */
  async #leaveSource(): Promise<void> {
    if (this.#dry) return
    const left = this.#source.return?.()
    if (this.#asked) Promise.resolve(left).catch(() => {})
    else await left
  }

  #given(next: IteratorResult<Item>): void {
    this.#asked = false
    if (next.done === true) {
      this.#dry = true
      this.#plan.dried()
    } else if (!this.#halted) {
      this.#start(next.value)
    }
    this.#wake()
  }

  #start(item: Item): void {
    const index = this.#plan.pulled()
    const launched = this.#launch(item)
    if (launched === undefined) return
    if (launched instanceof Promise) {
      launched.then(
        task => this.#follow(index, item, task),
        error => this.#fail(error),
      )
    } else {
      this.#follow(index, item, launched)
    }
  }

  /** Undefined when the node has no room for a process. */
  #launch(item: Item): StreamTask | Promise<StreamTask> | undefined {
    try {
      return this.#request.launch(self => this.#request.fn(item, self))
    } catch (error) {
      this.#fail(error)
      return undefined
    }
  }

  #follow(index: number, item: Item, task: StreamTask): void {
    if (this.#halted) {
      kill(task)
      return
    }
    const { timers } = this.#request.inside.actors.table
    const { timeoutMs = TIMEOUT_MS } = this.#options
    const end = (result: TaskResult<unknown>): void => {
      forget()
      timers.cancel(timing)
      this.#running.delete(index)
      this.#plan.ended(index, this.#shown(item, result))
      this.#wake()
    }
    const timing = timers.after(timeoutMs, () => {
      forget()
      kill(task)
      if (this.#options.onTimeout !== 'kill_task') this.#fail(lateError(index, timeoutMs))
      end({ exit: 'timeout' })
    })
    let forget = (): void => {}
    this.#running.set(index, () => {
      forget()
      timers.cancel(timing)
      kill(task)
    })
    forget = task.whenEnded(() => {
      task.unlink({ flush: true })
      end(task.take() as TaskResult<unknown>)
    })
  }

  #shown(input: Item, result: TaskResult<unknown>): TaskResult<unknown> {
    if ('ok' in result || this.#options.zipInputOnExit !== true) return result
    return { exit: { input, reason: result.exit } }
  }

  #fail(error: unknown): void {
    this.#failure ??= { error }
    this.#wake()
  }

  #change(): Promise<boolean> {
    const { inside } = this.#request
    if (this.#plan.full) inside.actors.count('task.streamsFull', 1)
    const begin = (wake: () => void) => {
      this.#wake = wake
      return () => {
        this.#wake = () => {}
      }
    }
    const options = { timeoutMs: WAIT_MS_MAX, signal: this.#options.signal }
    const to = inside.process?.pid ?? inside.actors.outside
    return wait(inside, { to, tag: 'asyncStream', options, begin })
  }

  #halt(): void {
    this.#halted = true
    const running = [...this.#running.values()]
    this.#running.clear()
    for (const end of running) end()
    this.#wake()
  }
}

function kill(task: StreamTask): void {
  task.unlink({ flush: true })
  task.exit('kill')
}

const lateError = (index: number, timeoutMs: number): TroupeError =>
  new TroupeError('ERR_TIMEOUT', `asyncStream: item ${index} took longer than ${timeoutMs} ms`, {
    index,
    timeoutMs,
  })
