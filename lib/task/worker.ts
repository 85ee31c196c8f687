import type { Speaker } from '../actor/api.js'
import { insideOf } from '../actor/inside.js'
import { TroupeError } from '../base/errors.js'
import { type Check, checkOptions, expect, isString } from '../base/options.js'
import { ownedBy } from './waiting.js'

export interface WorkerOptions {
  /** The function: a named export of the module. */
  readonly name: string
  /** Cloned, as `structuredClone` does. Default: none. */
  readonly args?: readonly unknown[] | undefined
}

const THREADS = 'task.threads'
const isUrl: Check = value => (value instanceof URL ? undefined : 'a URL')
const isArray: Check = value => (Array.isArray(value) ? undefined : 'an array')

/**
 * Runs an exported function in a thread of its own, for work that computes: the event loop goes on meanwhile, and the
 * thread is ended when the process does, by `shutdown` or a kill, whatever it computes. Resolves with what the
 * function returned, cloned. Rejects with what it threw, with `ERR_BUSY` at `limits.threadsMax`, and with
 * `ERR_UNAVAILABLE` on a simulated node.
 *
 * ```ts
 * const node = await createNode()
 * const primes = new URL('./primes.js', import.meta.url)
 * const task = Task.async(node, self => runInWorker<number>(self, primes, { name: 'count', args: [1_000_000] }))
 * console.log(await task.yield({ timeoutMs: 1_000 }) ?? await task.shutdown('brutal_kill'))
 * ```
 */
export function runInWorker<R = unknown>(self: Speaker, module: URL, options: WorkerOptions): Promise<R> {
  expect('runInWorker: module', module, isUrl)
  checkOptions('runInWorker', options, { name: isString, args: isArray })
  expect('runInWorker: name', options?.name, isString)
  const { actors, process } = insideOf('runInWorker', self)
  if (process === undefined) throw new TypeError('runInWorker: self: expected a process, got a node')
  const result = async (): Promise<unknown> => {
    const { threadsMax } = actors.table.limits
    if (actors.count(THREADS, 0) >= threadsMax) {
      throw new TroupeError('ERR_BUSY', `${threadsMax} threads run already`, { limit: 'threadsMax' })
    }
    const { name, args = [] } = options
    const thread = actors.host.startThread({ module: module.href, name, args })
    actors.count(THREADS, 1)
    const end = (): void => thread.end()
    self.signal.addEventListener('abort', end)
    try {
      return await thread.result
    } finally {
      actors.count(THREADS, -1)
      thread.end() // whatever it has left behind
      self.signal.removeEventListener('abort', end)
    }
  }
  return ownedBy(process, result()) as Promise<R>
}
