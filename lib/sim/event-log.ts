import { createHash } from 'node:crypto'
import { RingQueue } from '../base/ring-queue.js'

/** Lines kept for people; the hash covers all. */
const LINES_MAX = 10_000
/** Lines hashed at a time: one call into OpenSSL per line would cost more than the event. */
const BATCH = 64

/** What happened, in order: sequence, virtual time, node, kind, ids. No stacks, no durations, nothing real. */
export class EventLog {
  readonly #hash = createHash('sha256')
  readonly #lines = new RingQueue<string>()
  #batch: string[] = []
  #count = 0
  /** Is told of every line as it is written: for checkers that keep a history of their own. */
  listener: ((atMs: number, node: string, kind: string, ids: string) => void) | undefined

  get count(): number {
    return this.#count
  }

  record(atMs: number, node: string, kind: string, ids: string): void {
    const line = `${this.#count++} ${atMs} ${node} ${kind} ${ids}`
    this.#lines.push(line)
    if (this.#lines.length > LINES_MAX) this.#lines.shift()
    this.listener?.(atMs, node, kind, ids)
    this.#batch.push(line)
    if (this.#batch.length === BATCH) this.#flush()
  }

  /** Of every line so far. Equal seeds give equal hashes. */
  hash(): string {
    this.#flush()
    return this.#hash.copy().digest('hex')
  }

  /** The last lines, oldest first. */
  tail(lines: number = LINES_MAX): readonly string[] {
    return lines <= 0 ? [] : [...this.#lines].slice(-lines)
  }

  #flush(): void {
    if (this.#batch.length > 0) this.#hash.update(`${this.#batch.join('\n')}\n`)
    this.#batch = []
  }
}
