import type { CrashReport, Overrun } from '../actor/api.js'
import { show } from '../base/errors.js'
import type { Pid, Ref } from '../base/ids.js'
import { type Logger, RateLimiter, SILENT } from '../base/log.js'
import type { Clock, Host } from '../base/runtime.js'
import type { NameOnNode } from '../process/mail.js'

const EVERY_MS = 1_000
const STACK_LINES = 12
const TEXT_MAX = 2_000
/** How far back the causes of an error are told. */
const CAUSES_MAX = 3

/** Warnings and errors to standard error, every line with its origin; what a node does when it was given no logger. */
export function standardLogger(host: Host, node: string): Logger {
  const line =
    (level: string) =>
    (message: string): void => {
      for (const part of message.split('\n')) host.warn(`troupe ${node} ${level}: ${part}`)
    }
  return { ...SILENT, warn: line('warn'), error: line('error') }
}

/**
 * A logger of the user's is called where failures are settled, and where its own would end the node: one that throws
 * costs nothing but its line, which goes to standard error then.
 */
export function guarded(logger: Logger, fallback: Logger): Logger {
  const line =
    (level: keyof Logger) =>
    (...said: Parameters<Logger['warn']>): void => {
      try {
        logger[level](...said)
      } catch (error) {
        fallback.error(`${said[0]}\nthe logger failed over this line: ${show(error)}`)
      }
    }
  return { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') }
}

/**
 * Makes failures seen: crash reports, dead letters and crowded mailboxes as log lines, at most one a second for each
 * cause (a definition that crashes, a recipient that is gone), with the number of those held back.
 */
export class Reports {
  readonly #log: Logger
  readonly #limiter: RateLimiter

  constructor(log: Logger, clock: Clock) {
    this.#log = log
    this.#limiter = new RateLimiter(clock, EVERY_MS)
  }

  crash(report: CrashReport): void {
    const held = this.#limiter.admit(`crash ${report.definition ?? ''} ${report.name ?? ''}`)
    if (held === undefined) return
    this.#log.error(`${crashText(report)}${suffix(held)}`, report)
  }

  overrun(overrun: Overrun): void {
    const { definition, name, type, tag, ms } = overrun
    const held = this.#limiter.admit(`overrun ${definition ?? ''} ${tag ?? type ?? ''}`)
    if (held === undefined) return
    const what = [type, tag === undefined ? undefined : show(tag)]
      .filter(part => part !== undefined)
      .join(' ')
    const doing = what === '' ? '' : ` handling ${what}`
    this.#log.warn(
      `${whoText(overrun.pid, name, definition)} held the event loop for ${Math.round(ms)} ms${doing}${suffix(held)}`,
      overrun,
    )
  }

  deadLetter(to: Pid | Ref | string | NameOnNode, message: unknown, why: string): void {
    const target = typeof to === 'object' && 'name' in to ? `${to.name} on ${to.node}` : String(to)
    const held = this.#limiter.admit(`dead-letter ${target}`)
    if (held === undefined) return
    this.#log.warn(`dead letter to ${target.slice(0, 300)} (${why}): ${show(message)}${suffix(held)}`, {
      to,
      why,
    })
  }

  fault(pid: Pid | undefined, error: unknown): void {
    const held = this.#limiter.admit('fault')
    if (held === undefined) return
    const where = pid === undefined ? 'its scheduler' : `process ${pid}`
    this.#log.error(`a fault of troupe itself, at ${where}: ${reasonText(error)}${suffix(held)}`, {
      pid,
      error,
    })
  }

  /** A mailbox that has doubled again, or that is full. */
  crowded(pid: Pid, messages: number): void {
    const held = this.#limiter.admit(`crowded ${pid}`)
    if (held === undefined) return
    this.#log.warn(`the mailbox of ${pid} holds ${messages} messages${suffix(held)}`, { pid, messages })
  }
}

const suffix = (held: number): string => (held > 0 ? ` (and ${held} more like it since the last line)` : '')

/** Who, in what, why, with what in hand. Several lines: this is the one thing read at three in the morning. */
export function crashText(report: CrashReport): string {
  const { pid, name, definition } = report
  const lines = [`${whoText(pid, name, definition)} crashed: ${reasonText(report.reason)}`]
  if (report.tag !== undefined) lines.push(`  handling: ${report.tag}`)
  if (report.lastMessage !== undefined) lines.push(`  message: ${plainText(report.lastMessage)}`)
  if (report.state !== undefined) lines.push(`  state: ${plainText(report.state)}`)
  return lines.join('\n')
}

function whoText(pid: Pid, name: string | undefined, definition: string | undefined): string {
  const called = name === undefined ? '' : ` "${name}"`
  return `process ${pid}${called}${definition === undefined ? '' : ` of ${definition}`}`
}

function reasonText(reason: unknown, depth = 0): string {
  if (!(reason instanceof Error)) return plainText(reason)
  try {
    const stack = String(reason.stack ?? `${reason.name}: ${reason.message}`)
    const text = stack.split('\n').slice(0, STACK_LINES).join('\n').slice(0, TEXT_MAX)
    if (reason.cause === undefined || depth === CAUSES_MAX) return text
    return `${text}\n  caused by: ${reasonText(reason.cause, depth + 1)}`
  } catch {
    return show(reason) // an error whose own parts throw
  }
}

/** A value on one line, bounded; whatever it is, this does not throw and runs none of its code beyond `toJSON`. */
function plainText(value: unknown): string {
  let left = 200
  const seen = new Set<unknown>()
  const replace = (_key: string, part: unknown): unknown => {
    left -= 1
    if (left < 0) return '…'
    if (typeof part === 'bigint') return `${part}n`
    if (typeof part === 'function' || typeof part === 'symbol') return show(part)
    if (part instanceof Map || part instanceof Set) return show(part)
    if (typeof part === 'object' && part !== null) {
      if (seen.has(part)) return '…'
      seen.add(part)
    }
    return typeof part === 'string' && part.length > 200 ? `${part.slice(0, 200)}…` : part
  }
  try {
    const text = JSON.stringify(value, replace) ?? String(value)
    return text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)}…` : text
  } catch {
    return show(value) // a toJSON or getter of the user's threw; a report must not fail over what it reports
  }
}
