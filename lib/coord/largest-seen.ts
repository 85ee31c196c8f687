/**
 * The largest membership that a node has ever seen, in a file of its data folder.
 *
 *   load ── none ──▶ undefined      grown ──▶ temporary file, fsync, rename, fsync of the folder ── failed ──▶ again, later
 *        ── good ──▶ the number
 *        ── torn, foreign, unreadable ──▶ 'unknown': said, counted, and left as it is for people to look at
 *
 * It only grows, and one write is under way at a time: what grows meanwhile is written behind it.
 */
import { createHash } from 'node:crypto'
import { show } from '../base/errors.js'
import type { Logger } from '../base/log.js'
import type { Clock, Disk, Timer } from '../base/runtime.js'

const FILE = 'largest-membership'
const RETRY_MS = 5_000

export interface LargestSeenOptions {
  readonly disk: Disk
  readonly clock: Clock
  readonly log: Logger
  /** Absolute. */
  readonly folder: string
}

export class LargestSeen {
  readonly #options: LargestSeenOptions
  readonly #path: string
  #wanted = 0
  #stored = 0
  #writing = false
  #stopped = false
  #retry: Timer | undefined
  #unreadable = 0
  #writesFailed = 0

  constructor(options: LargestSeenOptions) {
    this.#options = options
    this.#path = `${options.folder}/${FILE}`
  }

  /** Undefined: nothing was ever stored. */
  async load(): Promise<number | 'unknown' | undefined> {
    const { disk, log } = this.#options
    try {
      this.#stored = parse(await disk.read(this.#path))
      return this.#stored
    } catch (error) {
      if (isMissing(error)) return undefined
      this.#unreadable += 1
      this.#stored = Number.POSITIVE_INFINITY
      log.error(
        `dataFolder: ${this.#path} cannot be read, and the cluster is taken to be as large as it may be, until that file is removed: ${show(error)}`,
        { path: this.#path, error },
      )
      return 'unknown'
    }
  }

  grown(largest: number): void {
    this.#wanted = Math.max(this.#wanted, largest)
    if (!this.#writing) void this.#write()
  }

  stop(): void {
    this.#stopped = true
    this.#retry?.clear()
  }

  stats(): Readonly<Record<string, number>> {
    return { unreadable: this.#unreadable, writesFailed: this.#writesFailed }
  }

  async #write(): Promise<void> {
    this.#writing = true
    this.#retry?.clear()
    try {
      while (this.#wanted > this.#stored && !this.#stopped) {
        const largest = this.#wanted
        await this.#replace(format(largest))
        this.#stored = largest
      }
    } catch (error) {
      this.#failed(error)
    } finally {
      this.#writing = false
    }
  }

  /** A crash at any moment leaves the old file or the new one. */
  async #replace(bytes: Buffer): Promise<void> {
    const { disk, folder } = this.#options
    const temporary = `${this.#path}.new`
    await disk.makeFolder(folder)
    await disk.write(temporary, bytes)
    await disk.sync(temporary)
    await disk.rename(temporary, this.#path)
    await disk.syncFolder(folder)
  }

  #failed(error: unknown): void {
    const { log, clock } = this.#options
    this.#writesFailed += 1
    // Said the first time; it is tried again for as long as it fails, and counted each time.
    const level = this.#writesFailed === 1 ? 'warn' : 'debug'
    log[level](`the largest membership could not be stored in ${this.#path}: ${show(error)}`, { error })
    if (!this.#stopped) this.#retry = clock.after(RETRY_MS, () => void this.#write())
  }
}

const checked = (text: string): string =>
  `${text} ${createHash('sha256').update(text).digest('hex').slice(0, 16)}\n`

const format = (largest: number): Buffer => Buffer.from(checked(`largest membership ${largest}`))

/** Throws for everything that `format` cannot have written. */
function parse(bytes: Buffer): number {
  const text = bytes.toString('utf8')
  const largest = Number(/^largest membership ([1-9]\d{0,8}) /.exec(text)?.[1] ?? 0)
  if (largest > 0 && text === format(largest).toString('utf8')) return largest
  throw new TypeError(`expected "largest membership", a number and its checksum, got ${show(text)}`)
}

const isMissing = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && 'code' in error && error.code === 'ENOENT'
