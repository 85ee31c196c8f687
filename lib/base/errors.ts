/**
 * Every failure that a caller can act on. Match on `code`; messages are prose and may change. Programmer mistakes
 * are plain `TypeError` and `RangeError`; a bug inside a process is a crash of that process. The list only grows.
 */
export type ErrorCode =
  /** No answer in time. `detail.outcome` is `'unknown'` where the other side may still act on the request. */
  | 'ERR_TIMEOUT'
  /** Nobody has that pid or name (any more), as far as this node knows. */
  | 'ERR_NOPROC'
  /** The session with that node is, or went, down: the process may live on. */
  | 'ERR_NOCONNECTION'
  /** The callee ended, or refused, before it replied; `detail.reason` is its exit reason. */
  | 'ERR_EXIT'
  /** A process called itself, which could never be answered. */
  | 'ERR_CALLING_SELF'
  /** A process did not start; `detail.reason` is why. */
  | 'ERR_START'
  /** The name is taken; `detail.pid` is the holder, absent while the name is between holders. */
  | 'ERR_ALREADY_STARTED'
  /** A name that cannot be registered or that nobody has registered. */
  | 'ERR_NAME'
  /** The callee's mailbox is at its limit; the request was not enqueued. */
  | 'ERR_MAILBOX_FULL'
  /** The send queue towards that node is at its limit; the request was not sent. */
  | 'ERR_BUSY'
  /** The encoded value is above `messageBytesMax`. */
  | 'ERR_TOO_LARGE'
  /** A value that may not cross nodes; `detail.path` says where in the payload it stands. */
  | 'ERR_PAYLOAD'
  /** The host does not list that definition; `detail.known` are those it does. */
  | 'ERR_UNKNOWN_ACTOR'
  /** The callee's definition has no such call; `detail.known` are those it has. */
  | 'ERR_UNKNOWN_TAG'
  /** The question cannot be answered now; nothing was changed. Try again. */
  | 'ERR_UNAVAILABLE'
  /** This side of a partition has no quorum; nothing was changed. */
  | 'ERR_NO_QUORUM'
  /** A claim or command carries a term or token that has been superseded. */
  | 'ERR_STALE_TERM'
  /** Another live node has this name. */
  | 'ERR_DUPLICATE_NODE'
  /** The process that spoke is dead; what it said was dropped. */
  | 'ERR_DEAD'
  /** The node is stopping or has stopped. */
  | 'ERR_STOPPED'
  /** The peer could not be authenticated or belongs to another cluster; `detail.why` says which. */
  | 'ERR_HANDSHAKE'
  /** The peer sent bytes that are not our protocol. */
  | 'ERR_FRAME'

const kCode = Symbol.for('troupe.error.code')

export class TroupeError extends Error {
  readonly code: ErrorCode
  /** Facts for logs and tests: pids, tags, sizes, elapsed ms. Plain data that can cross nodes. */
  readonly detail: Readonly<Record<string, unknown>>

  constructor(
    code: ErrorCode,
    message: string,
    detail: Readonly<Record<string, unknown>> = {},
    cause?: unknown,
  ) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'TroupeError'
    this.code = code
    this.detail = detail
    Object.defineProperty(this, kCode, { value: code })
  }

  /** True for errors of every copy of troupe in the process, where `instanceof` knows only its own. */
  static is<C extends ErrorCode>(error: unknown, code?: C): error is TroupeError & { code: C } {
    if (typeof error !== 'object' || error === null || !(kCode in error)) return false
    return code === undefined || error[kCode] === code
  }
}

/**
 * How a value is shown in an error or a log line: quoted, on one line, at most 80 characters. Never throws, whatever
 * the value's own getters and traps do.
 */
export function show(value: unknown): string {
  const text = safely(() => describe(value)) ?? `a strange ${typeof value}`
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}

function safely(fn: () => string): string | undefined {
  try {
    return fn()
  } catch {
    return undefined
  }
}

function describe(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value.slice(0, 80))
    case 'bigint':
      return `${value}n`
    case 'symbol':
      return `a symbol ${JSON.stringify(value.description?.slice(0, 60) ?? '')}`
    case 'function':
      return isWord(value.name) ? `function ${JSON.stringify(value.name)}` : 'a function'
    case 'object': {
      if (value === null) return 'null'
      if (Array.isArray(value)) return `an array of ${value.length}`
      if (value instanceof Error) return JSON.stringify(`${value.name}: ${value.message}`.slice(0, 80))
      const name: unknown = Object.getPrototypeOf(value)?.constructor?.name
      return isWord(name) && name !== 'Object' ? `a ${name}` : `an object with ${keysOf(value)}`
    }
    default:
      return String(value)
  }
}

/** Names come from users: only what can stand in a log line as it is. */
const isWord = (name: unknown): name is string => typeof name === 'string' && /^[\w$]{1,60}$/.test(name)

function keysOf(value: object): string {
  const keys = Object.keys(value)
  if (keys.length === 0) return 'no keys'
  const first = keys.slice(0, 5).map(key => JSON.stringify(key.slice(0, 30)))
  return `${keys.length === 1 ? 'key' : 'keys'} ${first.join(', ')}${keys.length > 5 ? ', …' : ''}`
}
