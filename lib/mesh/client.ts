/**
 * The other end of a client's session: connects to one member as role `client`, is told the cluster's name and
 * parameters, and is no part of the cluster.
 */
import { TroupeError } from '../base/errors.js'
import type { NodeId } from '../base/ids.js'
import { LIMITS, type Limits } from '../base/limits.js'
import type { DownReason, Member } from '../base/member.js'
import type { Address, DialResult, Runtime } from '../base/runtime.js'
import { FrameType } from '../wire/frame.js'
import { Connection } from './connection.js'
import { Dialler, keysOf, NONCE_BYTES, Refusal, type Refused, type Step } from './handshake.js'
import type { Link, LinkOwner } from './link.js'
import type { Session } from './mesh.js'
import { CLIENT_HEARTBEAT_MS, CLIENT_TICK_MS, Silence } from './silence.js'

export interface ClientOptions {
  readonly secret?: string | undefined
  /** For dialling and the handshake together. Default 5 000. */
  readonly timeoutMs?: number | undefined
  readonly limits?: Limits | undefined
  frame(session: Session, type: number, flags: number, buffer: Buffer, start: number, end: number): void
  /** Once, last. Never after `close`. */
  ended?(reason: DownReason): void
}

export interface ClientSession {
  readonly session: Session
  /** The member that answered. */
  readonly member: Member
  readonly cluster: { readonly name: string; readonly parameters: string }
  /** Says goodbye and closes. */
  close(): void
}

/** Rejects with `ERR_TIMEOUT`, `ERR_NOCONNECTION`, or `ERR_HANDSHAKE` with `detail.why`. */
export function dialClient(
  runtime: Runtime,
  address: Address,
  options: ClientOptions,
): Promise<ClientSession> {
  return new Promise((resolve, reject) =>
    new ClientDial(runtime, address, options, { resolve, reject }).start(),
  )
}

interface Settle {
  readonly resolve: (session: ClientSession) => void
  readonly reject: (error: TroupeError) => void
}

class ClientDial {
  readonly #runtime: Runtime
  readonly #address: Address
  readonly #options: ClientOptions
  readonly #limits: Limits
  readonly #settle: Settle
  readonly #dialler: Dialler
  readonly #silence = new Silence()
  #connection: Connection | undefined
  #over = false
  #ticks = 0

  constructor(runtime: Runtime, address: Address, options: ClientOptions, settle: Settle) {
    this.#runtime = runtime
    this.#address = address
    this.#options = options
    this.#limits = options.limits ?? LIMITS
    this.#settle = settle
    const creation = Buffer.from(runtime.random.bytes(6)).readUIntLE(0, 6)
    const nonce = runtime.random.bytes(NONCE_BYTES)
    const { speech } = runtime
    const greeting = { role: 'client', id: 'client' as NodeId, creation, nonce, speech } as const
    this.#dialler = new Dialler(greeting, keysOf(options.secret))
  }

  start(): void {
    const timeoutMs = this.#options.timeoutMs ?? 5_000
    const cancel = this.#runtime.transport.dial(this.#address, { timeoutMs }, result => this.#dialled(result))
    const deadline = this.#runtime.clock.after(timeoutMs, () => {
      cancel()
      this.#fail('ERR_TIMEOUT', `no answer within ${timeoutMs} ms`)
    })
    this.#stopWaiting = () => deadline.clear()
  }

  #stopWaiting: () => void = () => {}

  #dialled(result: DialResult): void {
    if (this.#over) {
      if (result.ok) result.stream.destroy()
      return
    }
    if (!result.ok) {
      this.#fail('ERR_NOCONNECTION', result.code === 'ECONNREFUSED' ? 'nobody listens there' : result.code)
      return
    }
    this.#connection = new Connection(result.stream, this.#runtime.clock, this.#limits, {
      handshake: (connection, type, body) => this.#handshake(connection, type, body),
      refused: (_, refused) => this.#refused(refused),
      failed: (_, why) => this.#fail('ERR_NOCONNECTION', why),
    })
    this.#connection.say(FrameType.hello, this.#dialler.hello)
  }

  #handshake(connection: Connection, type: number, body: Buffer): void {
    if (type === FrameType.challenge) this.#onStep(connection, this.#dialler.onChallenge(body))
    else if (type === FrameType.welcome) this.#onStep(connection, this.#dialler.onWelcome(body))
    else connection.fail('a frame of the other side', false)
  }

  #onStep(connection: Connection, step: Step): void {
    if (step.tag === 'challenged') {
      const cluster = { name: '', digest: Buffer.alloc(0), parameters: '' }
      const proof = this.#dialler.prove({ cluster, epoch: 0, record: undefined, limits: this.#limits })
      if (proof.tag === 'send') connection.say(FrameType.proof, proof.body)
    } else if (step.tag === 'refuse') {
      connection.refuse(step.refused)
      this.#refused(step.refused)
    } else if (step.tag === 'open') this.#open(connection, step.opened)
  }

  #open(connection: Connection, opened: Extract<Step, { tag: 'open' }>['opened']): void {
    this.#over = true
    this.#stopWaiting()
    const { clock, loop } = this.#runtime
    const { frame } = this.#options
    let closing = false
    const owner: LinkOwner = {
      heard: link => this.#silence.heard(link.peer, link.heardMs),
      frame: (link, type, flags, buffer, start, end) => frame(link, type, flags, buffer, start, end),
      packet: () => {},
      leaving: () => {},
      ended: (_, reason) => {
        if (!closing) loop.soon(() => this.#options.ended?.(reason))
      },
    }
    const link = connection.become(opened, { clock, loop, limits: this.#limits, owner })
    this.#silence.heard(link.peer, link.heardMs)
    this.#watch(link)
    const close = (): void => {
      closing = true
      link.goodbye()
    }
    const { name, parameters } = opened.cluster
    this.#settle.resolve({ session: link, member: opened.record!, cluster: { name, parameters }, close })
  }

  #watch(link: Link): void {
    this.#runtime.clock.after(CLIENT_TICK_MS, () => {
      if (!link.open) return
      const nowMs = this.#runtime.clock.now()
      this.#ticks += 1
      if (this.#ticks % (CLIENT_HEARTBEAT_MS / CLIENT_TICK_MS) === 0) link.heartbeat()
      link.check(nowMs)
      if (this.#silence.tick(nowMs).length > 0) link.fail('timeout', 'nothing heard')
      this.#watch(link)
    })
  }

  #refused({ code, why }: Refused): void {
    this.#fail(code === Refusal.handshake ? 'ERR_HANDSHAKE' : 'ERR_UNAVAILABLE', why)
  }

  #fail(code: 'ERR_TIMEOUT' | 'ERR_NOCONNECTION' | 'ERR_HANDSHAKE' | 'ERR_UNAVAILABLE', why: string): void {
    if (this.#over) return
    this.#over = true
    this.#stopWaiting()
    this.#connection?.abandon()
    const { host, port } = this.#address
    this.#settle.reject(new TroupeError(code, `dialClient: ${host}:${port}: ${why}`, { host, port, why }))
  }
}
