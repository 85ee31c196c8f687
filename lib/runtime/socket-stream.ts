/**
 * One connection as a `Stream`.
 *
 *   silent ──open──► open ──end──► ending ──the peer's end, LINGER_MS after the last byte left, LEAVE_MS──► closed
 *     any state ──destroy, error──► closed           `close(code)` is told once, after `open`, and nothing after it
 *
 * A peer that ends makes us end too: what we had written still leaves, then both sides are closed. After our own `end`
 * nothing more is delivered: it is read and dropped, because the peer's end stands behind it, and because closing with
 * unread bytes would make the kernel send a reset that can overtake what the peer has not read yet.
 */
import type { Socket } from 'node:net'
import type { Address, Clock, Stream, StreamHandlers, Timer } from '../base/runtime.js'

/** Queued bytes above which `write` says stop. Not less than Node's own mark, or its drain would not come. */
const WINDOW_BYTES = 64 * 1_024
/** How long what was written before the end may take to leave: a peer that does not read must not hold us for ever. */
const LEAVE_MS = 10_000
/** How long a peer that has been sent everything may take to end its side. */
const LINGER_MS = 2_000

export class SocketStream implements Stream {
  readonly local: Address
  readonly remote: Address
  readonly #socket: Socket
  readonly #clock: Clock
  #handlers: StreamHandlers | undefined
  #state: 'silent' | 'open' | 'ending' | 'closing' | 'closed' = 'silent'
  #refused = false
  #paused = false
  #code: string | undefined
  #linger: Timer | undefined

  /** Of a connected socket. Only its errors are listened to until `open`. */
  constructor(socket: Socket, clock: Clock) {
    this.local = { host: plain(socket.localAddress), port: socket.localPort ?? 0 }
    this.remote = { host: plain(socket.remoteAddress), port: socket.remotePort ?? 0 }
    this.#socket = socket
    this.#clock = clock
    socket.pause()
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#code ??= error.code ?? 'ECONNABORTED'
    })
    socket.on('close', () => this.#closed())
  }

  get pendingBytes(): number {
    return this.#socket.writableLength
  }

  open(handlers: StreamHandlers): void {
    if (this.#handlers !== undefined) throw new TypeError('open: expected a stream that is not open yet')
    this.#handlers = handlers
    if (this.#state === 'closed') {
      const code = this.#code
      queueMicrotask(() => handlers.close(code))
      return
    }
    if (this.#state === 'silent') this.#state = 'open'
    this.#socket.on('data', chunk => {
      if (this.#state === 'open') handlers.data(chunk)
    })
    this.#socket.on('drain', () => this.#drained())
    // Attaching `data` does not start a socket that was paused by hand.
    if (!this.#paused || this.#state !== 'open') this.#socket.resume()
  }

  write(chunk: Buffer): boolean {
    if (this.#state === 'ending' || this.#state === 'closing' || this.#state === 'closed') return true
    this.#socket.write(chunk)
    return this.#accepts()
  }

  writeAll(chunks: readonly Buffer[]): boolean {
    if (chunks.length === 1) return this.write(chunks[0] as Buffer)
    if (this.#state === 'ending' || this.#state === 'closing' || this.#state === 'closed') return true
    this.#socket.cork()
    for (const chunk of chunks) this.#socket.write(chunk)
    this.#socket.uncork()
    return this.#accepts()
  }

  #accepts(): boolean {
    if (this.#socket.writableLength <= WINDOW_BYTES) return true
    this.#refused = true
    return false
  }

  pause(): void {
    this.#paused = true
    if (this.#state === 'open') this.#socket.pause()
  }

  resume(): void {
    this.#paused = false
    if (this.#state === 'open') this.#socket.resume()
  }

  end(): void {
    if (this.#state !== 'open' && this.#state !== 'silent') return
    this.#state = 'ending'
    this.#socket.resume()
    this.#endWithin(LEAVE_MS)
    this.#socket.end(() => {
      if (this.#state === 'ending') this.#endWithin(LINGER_MS)
    })
  }

  #endWithin(ms: number): void {
    this.#linger?.clear()
    this.#linger = this.#clock.after(ms, () => this.destroy())
  }

  destroy(): void {
    if (this.#state === 'closing' || this.#state === 'closed') return
    this.#state = 'closing'
    this.#linger?.clear()
    if (this.#socket.writableLength > 0) this.#socket.resetAndDestroy()
    else this.#socket.destroy()
  }

  #drained(): void {
    if (!this.#refused || this.#state !== 'open') return
    this.#refused = false
    this.#handlers?.drain()
  }

  #closed(): void {
    // What goes wrong after we gave up on the connection is no news about it.
    if (this.#state === 'closing') this.#code = undefined
    this.#state = 'closed'
    this.#linger?.clear()
    this.#handlers?.close(this.#code)
  }
}

/** `::ffff:10.0.0.1` is how an IPv6 listener sees an IPv4 peer. */
function plain(host: string | undefined): string {
  if (host === undefined) return ''
  return host.startsWith('::ffff:') && host.includes('.') ? host.slice('::ffff:'.length) : host
}
