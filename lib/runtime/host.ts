/**
 * The operating-system process, shared by all nodes in it. A listener for `unhandledRejection` switches Node's default
 * (crash) off for everybody, so ours is one per process however many nodes, or copies of this package, there are; it
 * asks each hook, and does for what nobody took what Node would have done without it. Its hooks live on the listener
 * itself, in the process's own list: this module keeps no state.
 *
 *   rejection ─► dispatcher ─► hook of node a ─► hook of node b ─► nobody took it
 *                                                                   ├ listeners of others exist: theirs
 *                                                                   └ none: as --unhandled-rejections says
 *
 * One difference remains: a crash that we reproduce reaches `uncaughtException` with that as its origin.
 */
import { availableParallelism, hostname } from 'node:os'
import { show } from '../base/errors.js'
import type { Host, ThreadJob, ThreadRun } from '../base/runtime.js'
import { startThread } from './thread.js'

type Take = (reason: unknown, promise: Promise<unknown>) => boolean

const kHooks = Symbol.for('troupe.host.rejection-hooks')

interface Dispatcher {
  (reason: unknown, promise: Promise<unknown>): void
  [kHooks]: Set<{ readonly take: Take }>
}

const isDispatcher = (listener: object): listener is Dispatcher => kHooks in listener

export class RealHost implements Host {
  readonly hostname: string = hostname()
  readonly cores: number = availableParallelism()

  startThread(job: ThreadJob): ThreadRun {
    return startThread(job)
  }

  warn(line: string): void {
    process.stderr.write(`${line.replaceAll('\n', '\\n')}\n`)
  }

  onUnhandledRejection(take: Take): () => void {
    const dispatcher = process.listeners('unhandledRejection').find(isDispatcher) ?? installDispatcher()
    const hook = { take }
    dispatcher[kHooks].add(hook)
    return () => {
      dispatcher[kHooks].delete(hook)
      if (dispatcher[kHooks].size === 0) process.off('unhandledRejection', dispatcher)
    }
  }
}

function installDispatcher(): Dispatcher {
  const hooks = new Set<{ readonly take: Take }>()
  const dispatch = (reason: unknown, promise: Promise<unknown>): void => {
    for (const hook of hooks) if (hook.take(reason, promise)) return
    if (process.listenerCount('unhandledRejection') === 1) followDefault(reason)
  }
  const dispatcher = Object.assign(dispatch, { [kHooks]: hooks })
  process.on('unhandledRejection', dispatcher)
  return dispatcher
}

/** What Node does with a rejection that has no listener, by its flag. `strict` threw before it asked us. */
function followDefault(reason: unknown): void {
  const mode = rejectionMode(process.execArgv, process.env['NODE_OPTIONS'])
  if (mode === 'throw') throw asError(reason)
  if (mode === 'warn-with-error-codes') {
    process.emitWarning(asError(reason))
    process.exitCode = 1
  }
}

/** The last flag wins, and the command line wins over the environment. */
export function rejectionMode(execArgv: readonly string[], nodeOptions: string | undefined): string {
  const flags = [...(nodeOptions ?? '').split(/\s+/), ...execArgv]
  const at = flags.findLastIndex(flag => /^--unhandled[-_]rejections(=|$)/.test(flag))
  return at === -1 ? 'throw' : (flags[at]?.split('=')[1] ?? flags[at + 1] ?? 'throw')
}

function asError(reason: unknown): Error {
  if (reason instanceof Error) return reason
  const error = new Error(`a promise was rejected and nobody handled it; the reason is ${show(reason)}`, {
    cause: reason,
  })
  return Object.assign(error, { code: 'ERR_UNHANDLED_REJECTION' })
}
