/**
 * A connection to one node, as a client: proves the secret, sends requests, matches the answers by id. It owns no
 * pids and is no member. Answers that come after the deadline are dropped.
 */

import { formatAddress } from '../base/address.js'
import { TroupeError } from '../base/errors.js'
import { IdSpace } from '../base/id-space.js'
import { parseNodeId } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'
import type { DownReason } from '../base/member.js'
import type { Address, Runtime, Timer } from '../base/runtime.js'
import { type ClientSession, dialClient } from '../mesh/client.js'
import { outFrame } from '../mesh/mesh.js'
import {
  CLIENT_PAIR,
  type ClientError,
  type ClientOperation,
  checkClientReply,
} from '../node/client-protocol.js'
import type { Codec } from '../wire/codec.js'
import { createCodec } from '../wire/create-codec.js'
import { FrameType, HEADER_BYTES } from '../wire/frame.js'
import { shownRefs } from './shown-refs.js'

/** The node answers a request that it gave up on itself; this much later we no longer wait for that answer. */
const GRACE_MS = 500
const RETRY_MS = 100

export interface ClientOptions {
  readonly address: Address
  readonly secret: string | undefined
  readonly timeoutMs: number
}

interface Waiting {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
  readonly timer: Timer
}

/** No node was reached, or it went before it answered: exit status 3. */
export class ConnectionError extends Error {
  readonly code: string

  constructor(code: string, message: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
  }
}

/** What the node answered: exit status 1, or 2 for misuse, or 4 for a timeout. */
export class RemoteError extends Error {
  readonly code: string
  readonly detail: Readonly<Record<string, unknown>>

  constructor({ code, message, detail }: ClientError) {
    super(message)
    this.code = code
    this.detail = detail
  }
}

export class Client {
  readonly #runtime: Runtime
  readonly #codec: Codec
  readonly #where: string
  readonly #waiting = new Map<number, Waiting>()
  #dialled: ClientSession | undefined
  #lastId = 0
  #closed: (() => void)[] = []

  private constructor(runtime: Runtime, address: Address) {
    this.#runtime = runtime
    this.#where = formatAddress(address)
    const ids = new IdSpace(parseNodeId('client'), 0, LIMITS.pidsInternedMax)
    this.#codec = createCodec({ limits: LIMITS, ids, extensions: shownRefs() })
  }

  /** Rejects with `ConnectionError`. */
  static async connect(runtime: Runtime, options: ClientOptions): Promise<Client> {
    const client = new Client(runtime, options.address)
    try {
      client.#dialled = await dialClient(runtime, options.address, {
        secret: options.secret,
        timeoutMs: options.timeoutMs,
        frame: (_session, _type, _flags, buffer, start, end) => client.#answer(buffer, start, end),
        ended: reason => client.#ended(reason),
      })
    } catch (error) {
      throw toConnectionError(client.#where, error)
    }
    return client
  }

  /** As `connect`, again and again until it succeeds or the time is over: for a node that is just being started. */
  static async connectWhenUp(runtime: Runtime, options: ClientOptions): Promise<Client> {
    const deadlineMs = runtime.clock.now() + options.timeoutMs
    for (;;) {
      try {
        return await Client.connect(runtime, options)
      } catch (error) {
        const absent = error instanceof ConnectionError && error.code === 'ERR_NOCONNECTION'
        if (!absent || runtime.clock.now() + RETRY_MS >= deadlineMs) throw error
        await pause(runtime, RETRY_MS)
      }
    }
  }

  /** Rejects with the node's own error, `ERR_TIMEOUT`, or `ConnectionError`. */
  request(operation: ClientOperation, timeoutMs: number): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const session = this.#dialled?.session
      if (session === undefined || !session.open) {
        reject(new ConnectionError('ERR_NOCONNECTION', `the connection to ${this.#where} is closed`))
        return
      }
      this.#lastId += 1
      const id = this.#lastId
      const head = this.#codec.encode({ ...operation, id, timeoutMs }, HEADER_BYTES, 'request')
      const timer = this.#runtime.clock.after(timeoutMs + GRACE_MS, () =>
        this.#late(id, operation.op, timeoutMs),
      )
      this.#waiting.set(id, { resolve, reject, timer })
      session.send(outFrame(FrameType.clientRequest, 0, CLIENT_PAIR, head, undefined, false))
    })
  }

  /** Between two questions of the same kind. */
  pause(): Promise<void> {
    return pause(this.#runtime, RETRY_MS)
  }

  close(): void {
    this.#dialled?.close()
  }

  /** Resolves when the connection is gone. */
  closed(): Promise<void> {
    return new Promise(resolve => {
      if (this.#dialled?.session.open === true) this.#closed.push(resolve)
      else resolve()
    })
  }

  #answer(buffer: Buffer, start: number, end: number): void {
    const reply = checkClientReply(this.#decode(buffer, start, end))
    const waiting = this.#take(reply.id)
    if (waiting === undefined) return
    if (reply.ok) waiting.resolve(reply.value)
    else waiting.reject(new RemoteError(reply.error))
  }

  #decode(buffer: Buffer, start: number, end: number): unknown {
    try {
      return this.#codec.decode(buffer, start, end)
    } catch (error) {
      throw new TroupeError('ERR_FRAME', `${this.#where} sent a reply that cannot be decoded`, {}, error)
    }
  }

  #ended(reason: DownReason): void {
    for (const id of [...this.#waiting.keys()]) {
      const lost = `the connection to ${this.#where} was lost (${reason}) before the answer came`
      this.#take(id)?.reject(new ConnectionError('ERR_NOCONNECTION', lost))
    }
    for (const resolve of this.#closed.splice(0)) resolve()
  }

  #late(id: number, op: string, timeoutMs: number): void {
    const message = `${op}: no answer from ${this.#where} within ${timeoutMs} ms`
    this.#take(id)?.reject(new TroupeError('ERR_TIMEOUT', message, { outcome: 'unknown' }))
  }

  #take(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    waiting?.timer.clear()
    return waiting
  }
}

function pause(runtime: Runtime, ms: number): Promise<void> {
  const release = runtime.loop.hold()
  return new Promise(resolve =>
    runtime.clock.after(ms, () => {
      release()
      resolve()
    }),
  )
}

function toConnectionError(where: string, error: unknown): Error {
  if (!TroupeError.is(error)) return error instanceof Error ? error : new Error(String(error))
  const { why } = error.detail
  const what = error.code === 'ERR_HANDSHAKE' ? `the node at ${where} refused` : `no node at ${where}`
  return new ConnectionError(error.code, `${what}: ${String(why ?? error.message)}`, error)
}
