/**
 * What a client (the command line, a tool) and the node it is connected to say to each other. Both are one value in
 * the node's codec, so payloads and replies may be whatever may cross nodes.
 *
 *     client                                   node
 *       │ clientRequest { id, timeoutMs, op … } │
 *       │──────────────────────────────────────▶│  carried out by a stand-in process of this connection
 *       │ clientReply { id, ok, value | error } │
 *       │◀──────────────────────────────────────│  in any order, once per request
 *
 * `timeoutMs` counts from the receipt: clocks are not shared. Operations and fields are only ever added.
 */
import type { ProcessBranch } from '../actor/api.js'
import { TroupeError } from '../base/errors.js'
import type { Pid } from '../base/ids.js'
import {
  anything,
  type Check,
  checkOptions,
  isInteger,
  isMs,
  isObject,
  isString,
  oneOf,
} from '../base/options.js'

/** The ordered stream that requests and replies travel in. */
export const CLIENT_PAIR = 1

export type ClientOperation =
  | { readonly op: 'nodes' }
  | { readonly op: 'ps' }
  | { readonly op: 'names' }
  | { readonly op: 'tree' }
  /** Answered in every state of the node. */
  | { readonly op: 'health' }
  | {
      readonly op: 'spawn'
      readonly definition: string
      readonly args?: unknown
      readonly name?: string | undefined
      readonly on?: string | { readonly tag: string } | undefined
      readonly scope?: 'cluster' | 'node' | undefined
      readonly restart?: 'permanent' | 'transient' | 'temporary' | undefined
    }
  | { readonly op: 'call'; readonly to: string; readonly tag: string; readonly payload?: unknown }
  | { readonly op: 'cast'; readonly to: string; readonly tag: string; readonly payload?: unknown }
  /** Ends the node. */
  | { readonly op: 'stop'; readonly drainMs?: number | undefined }
  /** Ends one process. */
  | { readonly op: 'terminate'; readonly to: string }

export type ClientRequest = ClientOperation & { readonly id: number; readonly timeoutMs: number }

export type ClientReply =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | { readonly id: number; readonly ok: false; readonly error: ClientError }

/** What `tree` is answered with: a line for each process, those below it right behind it. */
export type ClientBranch = Omit<ProcessBranch, 'children'> & {
  readonly depth: number
  readonly parent: Pid | undefined
}

export interface ClientError {
  /** Of a `TroupeError`, else the error's name: `TypeError` and `RangeError` for misuse. */
  readonly code: string
  readonly message: string
  readonly detail: Readonly<Record<string, unknown>>
}

const isTag: Check = value =>
  typeof value === 'object' && value !== null ? isString((value as { tag?: unknown }).tag) : isString(value)

const FIELDS: Readonly<Record<ClientOperation['op'], Readonly<Record<string, Check>>>> = {
  nodes: {},
  ps: {},
  names: {},
  tree: {},
  health: {},
  spawn: {
    definition: isString,
    args: anything,
    name: isString,
    on: isTag,
    scope: oneOf('cluster', 'node'),
    restart: oneOf('permanent', 'transient', 'temporary'),
  },
  call: { to: isString, tag: isString, payload: anything },
  cast: { to: isString, tag: isString, payload: anything },
  stop: { drainMs: isMs() },
  terminate: { to: isString },
}
const REQUIRED: readonly string[] = ['definition', 'to', 'tag']
const ENVELOPE: Readonly<Record<string, Check>> = {
  id: isInteger(0, 2 ** 32 - 1),
  timeoutMs: isMs(),
  op: isString,
}

/** Reads a request. Throws `ERR_FRAME` for what no client of ours sends. */
export function checkClientRequest(value: unknown): ClientRequest {
  try {
    if (isObject(value) !== undefined) throw new TypeError('request: expected an object')
    const { op } = value as { op?: unknown }
    if (typeof op !== 'string' || !Object.hasOwn(FIELDS, op))
      throw new TypeError(`request: unknown operation ${String(op)}`)
    const fields = FIELDS[op as ClientOperation['op']]
    checkOptions('request', value, { ...ENVELOPE, ...fields })
    for (const key of ['id', 'timeoutMs', ...REQUIRED.filter(key => Object.hasOwn(fields, key))]) {
      if ((value as Record<string, unknown>)[key] === undefined)
        throw new TypeError(`request: ${key} is missing`)
    }
    return value as ClientRequest
  } catch (error) {
    throw new TroupeError(
      'ERR_FRAME',
      `a client sent a malformed request: ${(error as Error).message}`,
      {},
      error,
    )
  }
}

/** Reads a reply. Throws `ERR_FRAME`. */
export function checkClientReply(value: unknown): ClientReply {
  const reply = value as {
    id?: unknown
    ok?: unknown
    error?: { code?: unknown; message?: unknown; detail?: unknown }
  }
  if (isObject(value) === undefined && isInteger(0, 2 ** 32 - 1)(reply.id) === undefined) {
    if (reply.ok === true) return value as ClientReply
    const { error } = reply
    const isError = isObject(error) === undefined && isString(error?.code) === undefined
    if (
      reply.ok === false &&
      isError &&
      isString(error?.message) === undefined &&
      isObject(error?.detail) === undefined
    ) {
      return value as ClientReply
    }
  }
  throw new TroupeError('ERR_FRAME', 'the node sent a malformed reply')
}

/** How an error travels to a client. */
export function toClientError(error: unknown): ClientError {
  if (TroupeError.is(error)) return { code: error.code, message: error.message, detail: error.detail }
  if (error instanceof Error) return { code: error.name, message: error.message, detail: {} }
  return { code: 'Error', message: String(error), detail: {} }
}
