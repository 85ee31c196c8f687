/**
 * How a supervisor waits inside a handler. It cannot take mail out of its own mailbox meanwhile; a process of its own
 * can, and what it waits for comes as a down, which no mailbox limit refuses.
 */
import type { Self, Speaker } from '../actor/api.js'
import { processSpeaker } from '../actor/speaker.js'
import { TroupeError } from '../base/errors.js'
import type { Pid, Ref } from '../base/ids.js'
import { DownSignal, ExitSignal } from '../process/mail.js'
import type { ShutdownMs } from './child-spec.js'

/** Gauge of the supervisors that wait for children to stop. */
const STOPPING = 'supervisor.stopping'

export interface Ending {
  readonly pid: Pid
  readonly shutdownMs: ShutdownMs
}

/**
 * Asks all to shut down, side by side, and kills those that take longer than they may. Resolves when all are gone, with
 * those that had to be killed.
 */
export function end<E extends Ending>(ctx: Speaker, endings: readonly E[]): Promise<readonly E[]> {
  const asked = endings.filter(({ shutdownMs }) => shutdownMs !== 'brutal_kill')
  // By the supervisor itself: an exit is a parent's only when it comes from the parent.
  for (const { pid, shutdownMs } of endings) ctx.exit(pid, shutdownMs === 'brutal_kill' ? 'kill' : 'shutdown')
  const late: E[] = []
  if (asked.length === 0) return Promise.resolve(late)
  return new Promise(resolve => {
    const actors = processSpeaker(ctx).alive()
    const done = (): void => {
      actors.count(STOPPING, -1)
      resolve(late)
    }
    // Traps, so that no exit, such as those of a node that stops, cuts the waiting short.
    ctx.run(self => reap(self, asked, late).then(done, done), { trapExit: true })
    actors.count(STOPPING, 1) // it runs later; and not at all where there is no room for it
  })
}

async function reap<E extends Ending>(self: Self, asked: readonly E[], late: E[]): Promise<void> {
  const clock = processSpeaker(self)
  const left = new Map<Ref, E>()
  for (const ending of asked) left.set(self.monitor(ending.pid), ending)
  const startMs = clock.nowMs
  const deadlines = [...new Set(asked.map(({ shutdownMs }) => shutdownMs))]
    .filter(ms => typeof ms === 'number')
    .sort((a, b) => a - b)
  while (left.size > 0) {
    const [deadlineMs] = deadlines
    const timeoutMs = deadlineMs === undefined ? undefined : Math.max(0, startMs + deadlineMs - clock.nowMs)
    const down = await self.receive(isDown, { timeoutMs }).catch(unlessLate)
    if (down !== undefined) {
      left.delete(down.ref)
      continue
    }
    deadlines.shift()
    for (const ending of left.values()) {
      if (ending.shutdownMs !== deadlineMs) continue
      late.push(ending)
      self.exit(ending.pid, 'kill')
    }
  }
}

/** A process that ends after `ms`, and behind what is to run already: its down says that the time is over. */
export function pause(ctx: Speaker, ms: number): Pid {
  const supervisor = ctx.self
  const ended = (mail: unknown): boolean => mail instanceof ExitSignal && mail.pid === supervisor
  const wait = (self: Self): Promise<unknown> => self.receive(ended, { timeoutMs: ms }).catch(unlessLate)
  return ctx.run(wait, { link: true, trapExit: true })
}

const isDown = (mail: unknown): mail is DownSignal => mail instanceof DownSignal

function unlessLate(error: unknown): undefined {
  if (!TroupeError.is(error, 'ERR_TIMEOUT')) throw error
}
