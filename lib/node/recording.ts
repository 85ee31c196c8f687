/**
 * What a simulated run takes down of a node's life: kinds and ids, so that equal seeds give equal logs. No stacks, no
 * durations, no messages of errors; a reason that is no word is told by its kind.
 */
import type { ExitReason } from '../base/reasons.js'
import { DownSignal, ExitSignal, type Mail, NodeDownSignal, NodeUpSignal } from '../process/mail.js'

export type Recording = (kind: string, ids: string) => void

export function recordDied(record: Recording, pid: unknown, reason: ExitReason): void {
  record('died', `${pid} ${word(reason)}`)
}

export function recordSignal(record: Recording, pid: unknown, signal: Mail): void {
  if (signal instanceof ExitSignal) record('exit', `${pid} of ${signal.pid} ${word(signal.reason)}`)
  else if (signal instanceof DownSignal)
    record('down', `${pid} of ${signal.pid} ${signal.ref} ${word(signal.reason)}`)
  else if (signal instanceof NodeUpSignal) record('told up', `${pid} of ${signal.node} ${signal.creation}`)
  else if (signal instanceof NodeDownSignal)
    record('told down', `${pid} of ${signal.node} ${signal.creation} ${signal.reason}`)
}

/** One event of `node.on`: whom it is about. */
export function recordEvent(record: Recording, event: string, about: object): void {
  record(event, Object.entries(about).map(shown).filter(Boolean).join(' '))
}

const IDS = new Set(['node', 'creation', 'name', 'pid', 'winner', 'loser', 'to'])

function shown([key, value]: [string, unknown]): string {
  if (key === 'member') return shownMember(value as { name: string; creation: number; incarnation: number })
  if (key === 'reason') return word(value)
  return IDS.has(key) ? `${value}` : ''
}

const shownMember = ({
  name,
  creation,
  incarnation,
}: {
  name: string
  creation: number
  incarnation: number
}) => `${name} ${creation} ${incarnation}`

function word(reason: ExitReason): string {
  if (typeof reason === 'string') return reason
  if (reason instanceof Error) return 'error'
  if (typeof reason !== 'object' || reason === null) return typeof reason
  return `{ ${Object.keys(reason).join(' ')} }`
}
