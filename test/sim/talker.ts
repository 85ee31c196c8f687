/** The processes of a random world: they talk, watch, link and call, and write down what they saw. */
import type { ActorRef, Context } from '../../lib/actor/api.js'
import { type ActorDef, defineActor } from '../../lib/actor/define.js'
import type { Pid, Ref } from '../../lib/base/ids.js'
import { isShutdown } from '../../lib/base/reasons.js'
import type { DownSignal, ExitSignal } from '../../lib/process/mail.js'
import { type History, pairOf } from './history.js'

/** The part of a talker that others call. */
type Echo = ActorDef<'talker', string | null, { echo: number }, { echo: number }, object>

/** What its own node tells a talker to do. */
export type Command =
  | { readonly do: 'say'; readonly to: Pid; readonly count: number; readonly bytes: number }
  | { readonly do: 'watch' | 'unwatch' | 'tie' | 'untie'; readonly to: Pid }
  | { readonly do: 'ask'; readonly to: ActorRef<Echo>; readonly timeoutMs: number }
  | { readonly do: 'leave' }

interface Numbered {
  readonly from: Pid
  readonly to: Pid
  readonly seq: number
  /** So that messages are of every size. */
  readonly ballast?: Buffer
}

/** What a talker keeps: the next number to each, and its monitors by whom they watch. */
interface Talk {
  readonly next: Map<string, number>
  readonly watching: Map<string, Ref>
}

export function talkerOf(history: History, nowMs: () => number) {
  const notes = new Notes(history, nowMs)
  return defineActor('talker', {
    init: (name: string | null, ctx): Talk => {
      ctx.trapExit(true)
      if (name !== null) history.named.set(`${ctx.self}`, name)
      return { next: new Map(), watching: new Map() }
    },
    calls: { echo: (_state, value: number) => value },
    info: (state, signal, ctx) => {
      if (signal.type === 'down') notes.down(state, `${ctx.self}`, signal)
      else if (signal.type === 'exit') notes.exit(ctx, signal)
      else if (signal.type === 'message') {
        const message = signal.message as Command | Numbered
        if ('do' in message) obey(message, state, ctx, notes)
        else notes.received(`${ctx.self}`, ctx.self, message)
      }
    },
  })
}

function obey(command: Command, state: Talk, ctx: Context, notes: Notes): void {
  switch (command.do) {
    case 'say':
      for (let i = 0; i < command.count; i++) {
        const seq = state.next.get(`${command.to}`) ?? 1
        state.next.set(`${command.to}`, seq + 1)
        // A large one with small ones behind it, which must not overtake it.
        const ballast = command.bytes === 0 || i % 3 !== 0 ? {} : { ballast: Buffer.alloc(command.bytes) }
        const message: Numbered = { from: ctx.self, to: command.to, seq, ...ballast }
        const result = ctx.send(command.to, message)
        notes.sent(ctx.self, command.to, seq, result === 'full')
      }
      return
    case 'watch':
      if (state.watching.has(`${command.to}`)) return
      state.watching.set(`${command.to}`, notes.watched(ctx.self, command.to, ctx.monitor(command.to)))
      return
    case 'unwatch': {
      const ref = state.watching.get(`${command.to}`)
      if (ref === undefined) return
      state.watching.delete(`${command.to}`)
      ctx.demonitor(ref, { flush: true })
      notes.unwatched(ref)
      return
    }
    case 'tie':
      if (notes.tied(ctx.self, command.to)) ctx.link(command.to)
      return
    case 'untie':
      if (notes.untied(ctx.self, command.to)) ctx.unlink(command.to, { flush: true })
      return
    case 'ask': {
      const ended = notes.asked(ctx.self)
      ctx.call<Echo, 'echo'>(command.to, 'echo', 1, { timeoutMs: command.timeoutMs }).then(ended, ended)
      return
    }
    case 'leave':
      ctx.stop('left')
  }
}

/** Writes the history, as talkers tell it. */
class Notes {
  readonly #history: History
  readonly #nowMs: () => number

  constructor(history: History, nowMs: () => number) {
    this.#history = history
    this.#nowMs = nowMs
  }

  sent(from: Pid, to: Pid, seq: number, refused: boolean): void {
    const key = pairOf(`${from}`, `${to}`)
    const sent = this.#history.sent.get(key) ?? []
    this.#history.sent.set(key, sent)
    sent.push({ seq, atMs: this.#nowMs(), refused })
  }

  received(self: string, me: Pid, { from, to, seq }: Numbered): void {
    if (`${to}` !== self) this.#history.wrong.push(`I2: ${self} was given a message for ${to}`)
    const key = pairOf(`${from}`, self)
    const received = this.#history.received.get(key) ?? []
    this.#history.received.set(key, received)
    received.push({ seq, atMs: this.#nowMs(), epoch: this.#history.epochOf(me.node, from.node) })
    const session = this.#history.sessionsOf(me.node, from.node).at(-1)
    // It may still lie in the mailbox when its session ends, but not when a further life has one.
    if (from.node !== me.node && session?.creation !== from.creation)
      this.#history.wrong.push(`I2: ${self} was given a message of ${from}, an earlier life`)
  }

  watched(watcher: Pid, watched: Pid, ref: Ref): Ref {
    this.#history.watches.set(`${ref}`, {
      watcher: `${watcher}`,
      watched: `${watched}`,
      atMs: this.#nowMs(),
      downs: [],
      endedMs: undefined,
      downsAfterEnd: 0,
    })
    return ref
  }

  unwatched(ref: Ref): void {
    const watch = this.#history.watches.get(`${ref}`)
    if (watch !== undefined) watch.endedMs = this.#nowMs()
  }

  down(state: Talk, self: string, { ref, reason }: DownSignal): void {
    const watch = this.#history.watches.get(`${ref}`)
    if (watch === undefined) {
      this.#history.wrong.push(`I3: ${self} got a down for an unknown ${ref}`)
      return
    }
    if (watch.endedMs === undefined) watch.downs.push({ atMs: this.#nowMs(), reason })
    else watch.downsAfterEnd += 1
    state.watching.delete(watch.watched)
  }

  /** True for the first link of the two. */
  tied(self: Pid, other: Pid): boolean {
    const sides = [`${self}`, `${other}`] as const
    if (sides[0] === sides[1] || this.#link(...sides) !== undefined) return false
    this.#history.links.push({
      sides,
      atMs: this.#nowMs(),
      exits: [[], []],
      unlinkedBy: undefined,
      exitsAfterUnlink: 0,
    })
    return true
  }

  untied(self: Pid, other: Pid): boolean {
    const link = this.#link(`${self}`, `${other}`)
    if (link === undefined || link.unlinkedBy !== undefined) return false
    link.unlinkedBy = link.sides[0] === `${self}` ? 0 : 1
    return true
  }

  exit(ctx: Context, { pid, reason }: ExitSignal): void {
    const link = this.#link(`${ctx.self}`, `${pid}`)
    const side = link?.sides[0] === `${ctx.self}` ? 0 : 1
    if (link === undefined) this.#toldToEnd(ctx, pid, reason)
    else if (link.unlinkedBy === side) link.exitsAfterUnlink += 1
    else link.exits[side].push({ atMs: this.#nowMs(), reason })
  }

  asked(self: Pid): () => void {
    const call = { caller: `${self}`, atMs: this.#nowMs(), ended: false }
    this.#history.calls.push(call)
    return () => {
      call.ended = true
    }
  }

  /** `terminate` and `stop` ask politely; nobody else sends exits here. */
  #toldToEnd(ctx: Context, pid: Pid, reason: unknown): void {
    if (isShutdown(reason)) ctx.stop(reason)
    else this.#history.wrong.push(`I3: ${ctx.self} got an exit of ${pid} without a link`)
  }

  #link(self: string, other: string) {
    if (self === other) return undefined
    return this.#history.links.find(link => link.sides.includes(self) && link.sides.includes(other))
  }
}
