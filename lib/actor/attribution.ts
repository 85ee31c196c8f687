/**
 * Who was running when a promise was made: kept by `AsyncLocalStorage` through every await. With it a rejection that
 * nobody handled crashes the process whose handler made it, and refs captured from outside speak for their process
 * after awaits too. It makes messages some three times as dear, so it is an option.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { thrownReason } from '../base/reasons.js'
import type { Host } from '../base/runtime.js'
import type { Process } from '../process/process.js'
import type { Actors } from './actors.js'

export interface Attribution {
  readonly within: (process: Process, fn: () => void) => void
  current(): Process | undefined
  close(): void
}

export function createAttribution(host: Host, actors: Actors): Attribution {
  const storage = new AsyncLocalStorage<Process>()
  const remove = host.onUnhandledRejection(reason => {
    const process = storage.getStore()
    if (process === undefined || actors.table.get(process.pid.serial) !== process) return false
    const exit = thrownReason(reason)
    actors.crashed(process, exit)
    actors.table.die(process, exit)
    return true
  })
  return {
    within: (process, fn) => storage.run(process, fn),
    current: () => storage.getStore(),
    close: remove,
  }
}
