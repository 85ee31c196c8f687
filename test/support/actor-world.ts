/** The world of tests of one node's processes: real microtasks, a clock that only moves by hand. */
import type { Test } from 'tap'
import { type Actors, type ActorsOptions, createActors } from '../../lib/actor/actors.js'
import type { ActorRef, CrashReport, Node, Self, SpawnOptions } from '../../lib/actor/api.js'
import type { AnyActor, SpawnRest } from '../../lib/actor/define.js'
import { typed } from '../../lib/actor/refs.js'
import { IdSpace } from '../../lib/base/id-space.js'
import { parseNodeId } from '../../lib/base/ids.js'
import { LIMITS, type Limits } from '../../lib/base/limits.js'
import type { Runtime } from '../../lib/base/runtime.js'

interface Alarm {
  readonly atMs: number
  readonly fn: () => void
}

export function handClock() {
  let nowMs = 1_000
  const alarms = new Set<Alarm>()
  return {
    clock: {
      now: () => nowMs,
      wallNow: () => 0,
      after: (ms: number, fn: () => void) => {
        const alarm = { atMs: nowMs + ms, fn }
        alarms.add(alarm)
        return { clear: () => void alarms.delete(alarm) }
      },
    },
    alarms,
    /** Moves the clock without the loop having a turn. */
    jump(ms: number) {
      nowMs += ms
      for (const alarm of [...alarms].sort((a, b) => a.atMs - b.atMs)) {
        if (alarm.atMs <= nowMs && alarms.delete(alarm)) alarm.fn()
      }
    },
  }
}

export function world(t: Test, options: Partial<ActorsOptions> & { limits?: Limits } = {}) {
  const crashes: CrashReport[] = []
  const deadLetters: { to: unknown; message: unknown; why: string }[] = []
  const crowded: number[] = []
  const { clock, jump } = handClock()
  const rejected = new Set<Parameters<Runtime['host']['onUnhandledRejection']>[0]>()
  const runtime = {
    clock,
    loop: {
      soon: (fn: () => void) => queueMicrotask(fn),
      later: (fn: () => void) => void setImmediate(fn),
      turnEnd: (fn: () => void) => process.nextTick(fn),
      lag: () => 0,
      hold: () => () => {},
    },
    host: {
      hostname: 'test',
      cores: 4,
      startThread: () => {
        throw new Error('no threads here')
      },
      warn: () => {},
      onUnhandledRejection: (fn: Parameters<Runtime['host']['onUnhandledRejection']>[0]) => {
        rejected.add(fn)
        return () => void rejected.delete(fn)
      },
    },
  } satisfies Pick<Runtime, 'clock' | 'loop' | 'host'>
  const ids = new IdSpace(parseNodeId('a'), 0xab, 100)
  const actors: Actors = createActors({
    runtime,
    ids,
    limits: LIMITS,
    node: () => node,
    hooks: {
      crash: report => void crashes.push(report),
      deadLetter: (to, message, why) => void deadLetters.push({ to, message, why }),
      died: () => {},
      crowded: (_pid, messages) => void crowded.push(messages),
      slow: () => {},
      fault: (_pid, error) =>
        void setImmediate(() => {
          throw error
        }),
    },
    ...options,
  })
  const spawn = async <D extends AnyActor>(def: D, ...rest: SpawnRest<D>): Promise<ActorRef<D>> => {
    const [args, given] = rest as [unknown?, SpawnOptions?]
    return typed<D>(await actors.spawn(undefined, def, args, given))
  }
  const node = {
    self: actors.outside,
    spawn,
    stats: () => ({ uptimeMs: clock.now(), counters: actors.stats() }),
  } as unknown as Node
  t.teardown(() => actors.close())
  return {
    actors,
    node,
    spawn,
    crashes,
    deadLetters,
    crowded,
    ids,
    clock,
    /** As Node.js does for a rejection that nobody handles. */
    reject(reason: unknown): boolean[] {
      const promise = Promise.reject(reason)
      promise.catch(() => {})
      return [...rejected].map(fn => fn(reason, promise))
    },
    listeners: rejected,
    jump,
    async move(ms: number) {
      jump(ms)
      await turns()
    },
    run<T>(fn: (self: Self) => T | Promise<T>): Promise<T> {
      return new Promise((resolve, reject) => {
        actors.run(undefined, async self => {
          try {
            resolve(await fn(self))
          } catch (error) {
            reject(error as Error)
          }
        })
      })
    },
  }
}

export async function turns(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise(resolve => setImmediate(resolve))
}
