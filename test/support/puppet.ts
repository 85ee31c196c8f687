/**
 * A process on strings: it does what a test tells it, in its own name, and leaves all other mail in its mailbox to be
 * looked at. A puppet is told by functions, so it lives on the test's own node.
 */
import type { Node, Self } from '../../lib/actor/api.js'
import { TroupeError } from '../../lib/base/errors.js'
import type { Pid } from '../../lib/base/ids.js'
import type { DownSignal, ExitSignal, TimerSignal } from '../../lib/process/mail.js'

class Order {
  readonly run: (self: Self) => unknown
  constructor(run: (self: Self) => unknown) {
    this.run = run
  }
}
class End {}

const isOrder = (message: unknown): message is Order | End =>
  message instanceof Order || message instanceof End
const isOther = (message: unknown): boolean => !isOrder(message)

export interface Puppet {
  readonly pid: Pid
  /** Does it in the process; what it throws comes back here and harms nobody. */
  ask<R>(fn: (self: Self) => R | Promise<R>): Promise<Awaited<R>>
  /** Does it in the process; what it throws is the process's own failure. */
  tell(fn: (self: Self) => unknown): void
  /** Returns from the process's function. */
  end(): void
  /** The next mail that is no order. */
  next(): Promise<unknown>
  /** All mail that is there by now, taken out. */
  mail(): Promise<unknown[]>
}

export function puppet(node: Node, options: { trapExit?: boolean; name?: string } = {}): Puppet {
  const pid = node.run(live, options)
  const tell = (fn: (self: Self) => unknown) => void node.send(pid, new Order(fn))
  const ask = <R>(fn: (self: Self) => R | Promise<R>) =>
    new Promise<Awaited<R>>((resolve, reject) => {
      tell(async self => {
        try {
          resolve(await fn(self))
        } catch (error) {
          reject(error)
        }
      })
    })
  return {
    pid,
    ask,
    tell,
    end: () => void node.send(pid, new End()),
    next: () => ask(self => self.receive(isOther)),
    mail: () => ask(mail),
  }
}

/** A puppet that a process starts itself, linked to it. */
export function linkedPuppet(parent: Self, options: { trapExit?: boolean } = {}): Pid {
  return parent.run(live, { ...options, link: true })
}

async function live(self: Self): Promise<void> {
  for (;;) {
    const order = await self.receive(isOrder)
    if (order instanceof End) return
    await order.run(self)
  }
}

/** Tells a puppet that is known by its pid only. */
export const tell = (node: Node, pid: Pid, fn: (self: Self) => unknown): void =>
  void node.send(pid, new Order(fn))

async function mail(self: Self): Promise<unknown[]> {
  const found: unknown[] = []
  for (;;) {
    try {
      found.push(await self.receive(isOther, { timeoutMs: 0 }))
    } catch (error) {
      if (TroupeError.is(error, 'ERR_TIMEOUT')) return found
      throw error
    }
  }
}

/** The down of a process that is alive now. */
export async function watch(node: Node, pid: Pid): Promise<{ readonly down: Promise<DownSignal> }> {
  const watcher = puppet(node)
  await watcher.ask(self => self.monitor(pid))
  return { down: watcher.next() as Promise<DownSignal> }
}

/** The reason that a process ends with, once `kill` has been done. */
export async function reasonOf(node: Node, pid: Pid, kill: () => unknown): Promise<unknown> {
  const { down } = await watch(node, pid)
  await kill()
  return (await down).reason
}

/** A process that has ended, and whose end has been settled. */
export async function corpse(node: Node): Promise<Pid> {
  const one = puppet(node)
  await reasonOf(node, one.pid, one.end)
  return one.pid
}

/** Mail as plain data, to be compared whole. */
export function plain(message: unknown): unknown {
  if (typeof message !== 'object' || message === null || !('type' in message)) return message
  switch (message.type) {
    case 'exit': {
      const { pid, reason } = message as ExitSignal
      return { exit: pid, reason }
    }
    case 'down': {
      const { ref, pid, reason, target, tag } = message as DownSignal
      return { down: ref, pid, reason, target, tag }
    }
    case 'timer': {
      const { ref, message: inside } = message as TimerSignal
      return { timer: ref, message: inside }
    }
    default:
      return message
  }
}

export interface Gate {
  readonly opened: Promise<void>
  open(): void
}

/** For a handler that is to wait until the test says so. */
export function gate(): Gate {
  let open = (): void => {}
  const opened = new Promise<void>(resolve => {
    open = resolve
  })
  return { opened, open }
}

/** What a promise rejects with; a promise that resolves is a failure. */
export async function refusal(
  promise: Promise<unknown>,
): Promise<{ code: unknown; detail: Readonly<Record<string, unknown>> }> {
  try {
    const value = await promise
    throw new Error(`expected a rejection, got ${String(value)}`)
  } catch (error) {
    if (!TroupeError.is(error)) throw error
    return error
  }
}
