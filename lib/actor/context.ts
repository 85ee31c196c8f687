import { expect, isMs } from '../base/options.js'
import type { ExitReason } from '../base/reasons.js'
import { Request } from '../process/mail.js'
import type { ActorProcess } from './actor-process.js'
import type { Context, From } from './api.js'
import type { Later } from './define.js'
import { LATER, ReplyTo } from './replies.js'
import { ProcessSpeaker } from './speaker.js'

/**
 * What callbacks of an actor are given. What they ask for (`stop`, `continue`, `timeout`) is noted on the process and
 * carried out when the callback is over. `init` is given the same object; only the types differ.
 */
export class ActorContext extends ProcessSpeaker<ActorProcess> implements Omit<Context, 'stop'> {
  constructor(process: ActorProcess) {
    super(process.kind.actors, process)
  }

  /** For behaviours that are built on this one: the process behind what a callback was given. */
  static processOf(ctx: unknown): ActorProcess {
    return (ctx as ActorContext).process
  }

  get from(): From {
    const { mail, effects } = this.process
    if (!(mail instanceof Request))
      throw new TypeError('ctx.from: expected to be used in a call, which has a caller')
    return new ReplyTo(mail, effects?.promises)
  }

  later<R>(): Later<R> {
    if (!(this.process.mail instanceof Request)) {
      throw new TypeError('ctx.later: expected to be used in a call, which has a caller')
    }
    this.process.effectsNow()
    return LATER
  }

  continue(value: unknown): void {
    this.alive()
    if (this.process.kind.spec.continue === undefined) {
      throw new TypeError(`ctx.continue: ${this.process.kind.def.name} has no continue to run`)
    }
    this.process.effectsNow().next = { value }
  }

  timeout(ms: number): void {
    expect('ctx.timeout: ms', ms, isMs())
    this.alive()
    this.process.effectsNow().timeoutMs = ms
  }

  stop(reason: ExitReason): never {
    this.alive()
    this.process.effectsNow().stop = { reason }
    return undefined as never
  }

  ignore(): never {
    this.alive()
    if (this.process.starter === undefined) throw new TypeError('ctx.ignore: expected to be used in init')
    this.process.effectsNow().ignore = true
    return undefined as never
  }
}
