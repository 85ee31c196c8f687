/**
 * TCP on node:net. Listeners, dials with a deadline, and nothing about what the bytes mean. Names are resolved by Node
 * and their addresses tried in turn; IPv6 hosts are written without brackets; an IPv4 peer of an IPv6 listener shows
 * as IPv4.
 */
import { connect, createServer, type Server } from 'node:net'
import { RateLimiter } from '../base/log.js'
import type { Address, Clock, DialResult, Listener, Stream, Transport } from '../base/runtime.js'
import { SocketStream } from './socket-stream.js'

const ACCEPT_WARN_EVERY_MS = 10_000

export class TcpTransport implements Transport {
  readonly #clock: Clock
  readonly #warn: (line: string) => void
  readonly #warnings: RateLimiter

  constructor(clock: Clock, warn: (line: string) => void) {
    this.#clock = clock
    this.#warn = warn
    this.#warnings = new RateLimiter(clock, ACCEPT_WARN_EVERY_MS)
  }

  listen(address: Address, accept: (stream: Stream) => void): Promise<Listener> {
    return new Promise((resolve, reject) => {
      const server = createServer({ noDelay: true, pauseOnConnect: true })
      server.on('connection', socket => {
        // A peer that is already gone leaves a socket without addresses, and nothing to talk to.
        if (socket.remoteAddress === undefined) socket.destroy()
        else accept(new SocketStream(socket, this.#clock))
      })
      server.once('error', reject)
      server.listen({ host: address.host, port: address.port }, () => {
        server.off('error', reject)
        server.on('error', error => this.#acceptFailed(address, error))
        resolve(listenerOf(server))
      })
    })
  }

  /** Giving up calls back too, with `ECANCELED`: whoever dials always hears exactly once. */
  dial(
    address: Address,
    options: { readonly timeoutMs: number },
    done: (result: DialResult) => void,
  ): () => void {
    const socket = connect({ host: address.host, port: address.port, noDelay: true })
    let failure: string | undefined
    const fail = (code: string): void => {
      failure ??= code
      socket.destroy()
    }
    const deadline = this.#clock.after(options.timeoutMs, () => fail('ETIMEDOUT'))
    const onError = (error: NodeJS.ErrnoException): void => fail(error.code ?? 'ECONNABORTED')
    const onClose = (): void => finish({ ok: false, code: failure ?? 'ECONNABORTED' })
    const onConnect = (): void => finish({ ok: true, stream: new SocketStream(socket, this.#clock) })
    const finish = (result: DialResult): void => {
      deadline.clear()
      socket.off('error', onError).off('close', onClose).off('connect', onConnect)
      done(result)
    }
    socket.on('error', onError).on('close', onClose).on('connect', onConnect)
    return () => {
      if (socket.connecting) fail('ECANCELED')
    }
  }

  /** For example `EMFILE`: the connection is lost and the peer will dial again, but somebody should know. */
  #acceptFailed(address: Address, error: NodeJS.ErrnoException): void {
    const held = this.#warnings.admit(String(error.code))
    if (held === undefined) return
    this.#warn(
      `troupe: ${address.host}:${address.port} could not accept a connection: ${error.message} (${held} more)`,
    )
  }
}

function listenerOf(server: Server): Listener {
  const bound = server.address()
  if (bound === null || typeof bound === 'string') throw new TypeError('expected a TCP server')
  return {
    address: { host: bound.address, port: bound.port },
    // The callback of server.close waits for the accepted connections, which live on; the port is free before.
    close: () =>
      new Promise(resolve => {
        server.close()
        setImmediate(resolve)
      }),
  }
}
