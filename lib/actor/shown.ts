/** Mail, states and crashes in the form in which people are shown them. */
import { show } from '../base/errors.js'
import type { ExitReason } from '../base/reasons.js'
import {
  Cast,
  DownSignal,
  Encoded,
  ExitSignal,
  GroupSignal,
  Mail,
  NodeDownSignal,
  NodeUpSignal,
  Request,
  TimerSignal,
} from '../process/mail.js'
import type { Process } from '../process/process.js'
import { BEGINNING } from '../process/scheduler.js'
import { ActorProcess, TimeoutMail } from './actor-process.js'
import type { CrashReport, Overrun } from './api.js'
import type { MailShown } from './debug.js'
import { FunctionProcess } from './function-process.js'
import { isSignal } from './signals.js'

export function mailShown(mail: unknown): MailShown {
  const shown = { tag: undefined, from: undefined, payload: undefined }
  if (mail instanceof Request)
    return { type: 'call', tag: mail.tag, from: mail.caller, payload: opened(mail.payload) }
  if (mail instanceof Cast) return { ...shown, type: 'cast', tag: mail.tag, payload: opened(mail.payload) }
  if (mail instanceof ExitSignal) return { ...shown, type: 'exit', from: mail.pid, payload: mail.reason }
  if (mail instanceof DownSignal) return { ...shown, type: 'down', from: mail.pid, payload: mail.reason }
  if (mail instanceof GroupSignal) return { ...shown, type: 'group', payload: mail.pids }
  if (mail instanceof TimerSignal) return { ...shown, type: 'timer', payload: mail.message }
  if (mail instanceof TimeoutMail) return { ...shown, type: 'timeout' }
  if (mail instanceof NodeUpSignal) return { ...shown, type: 'nodeup', payload: mail.node }
  if (mail instanceof NodeDownSignal)
    return { ...shown, type: 'nodedown', payload: `${mail.node}: ${mail.reason}` }
  if (!isEvent(mail)) return { ...shown, type: 'message', payload: opened(mail) }
  const [word = ''] = mail.key.split(' ')
  const type = word === 'call' || word === 'cast' ? word : /timeout$/i.test(word) ? 'timeout' : 'message'
  return { ...shown, type, tag: mail.tag, payload: mail.payload }
}

interface MachineEvent {
  /** `cast push`, `stateTimeout`, `internal retry`. */
  readonly key: string
  readonly tag: string | undefined
  readonly payload: unknown
}

/** What a state machine has in hand is one of its events, which may have been postponed, or come from itself. */
const isEvent = (mail: unknown): mail is MachineEvent =>
  typeof mail === 'object' &&
  mail !== null &&
  ['key', 'tag', 'payload', 'request'].every(key => key in mail) &&
  typeof (mail as MachineEvent).key === 'string'

/** What came from another node is decoded once more: this is rare, and what was said is half of what is to be known. */
function opened(message: unknown): unknown {
  if (!(message instanceof Encoded)) return message
  try {
    return message.open()
  } catch (error) {
    return `could not be decoded: ${show(error)}`
  }
}

/** What a piece of mail keeps in memory for the sake of its sender. */
export function contentOf(mail: unknown): unknown {
  if (mail instanceof Encoded) return undefined // counted as bytes
  if (!(mail instanceof Mail)) return mail
  return (mail instanceof Cast || mail instanceof Request) && mail.payload instanceof Encoded
    ? undefined
    : mailShown(mail).payload
}

/** What its process runs: an actor's definition, or a procedure. Undefined for any other process function. */
export const definitionOf = (process: Process): string | undefined =>
  process instanceof ActorProcess
    ? process.kind.def.name
    : process instanceof FunctionProcess
      ? process.definition
      : undefined

/** `mail` is what it was handling, or `BEGINNING`. */
export function overrunOf(process: Process, mail: unknown, ms: number): Overrun {
  const isActor = process instanceof ActorProcess
  const definition = definitionOf(process)
  const { type, tag } = mail === BEGINNING ? { type: 'init' as const, tag: undefined } : mailShown(mail)
  return {
    pid: process.pid,
    name: process.ties?.called()[0],
    definition,
    // A process function chooses its mail, and what it had chosen is not known.
    type: isActor ? type : undefined,
    tag: isActor ? tag : undefined,
    ms,
  }
}

export function reportOf(process: Process, reason: ExitReason): CrashReport {
  const base = { pid: process.pid, name: process.ties?.called()[0], reason }
  const mail =
    process instanceof ActorProcess
      ? process.mail
      : process instanceof FunctionProcess
        ? process.last
        : undefined
  const { type, tag, payload } = mailShown(mail)
  const lastMessage = isSignal(mail) ? mail : payload
  const said = { ...base, tag, lastMessage: mail instanceof TimeoutMail ? { type } : lastMessage }
  if (!(process instanceof ActorProcess))
    return { ...said, definition: definitionOf(process), state: undefined }
  // Before `init` is over, what stands in its place are the arguments: no state, and nothing that `inspect` knows.
  const state = process.starter === undefined ? process.kind.shown(process.state) : undefined
  return { ...said, definition: process.kind.def.name, state }
}
