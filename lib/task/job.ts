/** What a task's process is: an actor that runs one function and ends. */
import { ActorProcess } from '../actor/actor-process.js'
import type { Speaker } from '../actor/api.js'
import { defineActor } from '../actor/define.js'
import type { Handover } from '../actor/handover.js'
import { type Inside, insideOf } from '../actor/inside.js'
import { isThenable } from '../actor/replies.js'
import type { Process } from '../process/process.js'
import type { Outcome } from './outcome.js'

/** What a task runs. It may use `self` for as long as it runs; `self.signal` aborts when it is killed. */
export type TaskFunction = (self: Speaker) => unknown

/** The orders of one task, on its owner's node. */
export interface Job {
  readonly fn: TaskFunction
  /** Who is told of the end; undefined: nobody. */
  readonly outcome?: Outcome | undefined
  /** Whom a supervised task is linked to, besides its supervisor, before `fn` runs. */
  readonly linkTo?: Process | undefined
}

interface State {
  readonly job: Job
}

export const task = defineActor('task', {
  init: ({ code: job }: Handover<Job>, ctx): State => {
    if (job.linkTo?.dead === true) return ctx.ignore()
    begin(job, insideOf('task', ctx))
    ctx.continue(undefined)
    return { job }
  },
  continue: ({ job }, _, ctx) => {
    const end = (value: unknown): void => {
      job.outcome?.reply(value)
      ctx.stop('normal')
    }
    const value = job.fn(ctx)
    return isThenable(value) ? Promise.resolve(value).then(end) : end(value)
  },
  inspect: ({ job }) => ({ fn: job.fn.name }),
})

function begin({ outcome, linkTo }: Job, { actors, process }: Inside): void {
  if (!(process instanceof ActorProcess)) return
  if (outcome !== undefined) process.effectsNow().promises.add(outcome)
  if (linkTo !== undefined) actors.table.link(linkTo, process.pid)
}
