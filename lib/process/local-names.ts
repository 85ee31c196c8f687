/** Names of processes on this node. One process may have several; a name has one holder. */
import { show, TroupeError } from '../base/errors.js'
import { NAME_BYTES_MAX } from '../base/limits.js'
import type { Process } from './process.js'

/** Throws `TypeError` for what can be nobody's name, here or in a cluster. */
export function checkName(where: string, name: unknown): asserts name is string {
  const fits =
    // Control characters would break every log line that shows the name.
    typeof name === 'string' &&
    name !== '' &&
    Buffer.byteLength(name) <= NAME_BYTES_MAX &&
    !/\p{Cc}/u.test(name)
  if (fits) return
  throw new TypeError(
    `${where}: expected a name of 1 to ${NAME_BYTES_MAX} bytes without control characters, got ${show(name)}`,
  )
}

export class LocalNames {
  readonly #holders = new Map<string, Process>()
  readonly #perProcessMax: number

  constructor(perProcessMax: number) {
    this.#perProcessMax = perProcessMax
  }

  get size(): number {
    return this.#holders.size
  }

  holder(name: string): Process | undefined {
    return this.#holders.get(name)
  }

  /** Throws `ERR_ALREADY_STARTED` also when the same process has it. */
  register(name: string, process: Process): void {
    const holder = this.#holders.get(name)
    if (holder !== undefined) {
      throw new TroupeError('ERR_ALREADY_STARTED', `the name ${show(name)} is held by ${holder.pid}`, {
        name,
        pid: holder.pid,
      })
    }
    const ties = process.tied()
    if (ties.names === undefined) ties.names = new Set()
    if (ties.names.size >= this.#perProcessMax) {
      throw new RangeError(`register: ${process.pid} has ${ties.names.size} names, as many as it may`)
    }
    ties.names.add(name)
    this.#holders.set(name, process)
  }

  unregister(name: string): boolean {
    const holder = this.#holders.get(name)
    if (holder === undefined) return false
    this.#holders.delete(name)
    holder.ties?.names?.delete(name)
    return true
  }

  freeAllOf(process: Process): void {
    for (const name of process.ties?.names ?? []) this.#holders.delete(name)
  }
}
