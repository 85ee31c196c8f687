/**
 * Live processes by serial. Serials count up and are never reused, so their low bits place a million processes with
 * hardly a collision: a message finds its process by one read of an array, where a `Map` would hash and chase a chain.
 *
 *   slot = serial & mask, else the next free one       at most three quarters full; removal closes the gap it leaves
 */
import type { Pid } from '../base/ids.js'
import type { Process } from './process.js'

const SLOTS_MIN = 64

export class ProcessIndex {
  #slots: (Process | undefined)[] = new Array(SLOTS_MIN).fill(undefined)
  #mask = SLOTS_MIN - 1
  #size = 0

  get size(): number {
    return this.#size
  }

  /** Its serial must not be in here. */
  add(process: Process): void {
    if (this.#size >= (this.#mask + 1) * 0.75) this.#resize((this.#mask + 1) * 2)
    this.#size += 1
    this.#place(process)
  }

  get(serial: number): Process | undefined {
    return this.#slots[this.#slotOf(serial)]
  }

  /** The process of this very pid object, if it stands where it belongs: the quick look that succeeds nearly always. */
  glance(pid: Pid): Process | undefined {
    const process = this.#slots[pid.serial & this.#mask]
    return process !== undefined && process.pid === pid ? process : undefined
  }

  remove(serial: number): void {
    let free = this.#slotOf(serial)
    if (this.#slots[free] === undefined) return
    this.#slots[free] = undefined
    this.#size -= 1
    // Whoever stands behind the gap because its own slot was taken moves up, else a search would end at the gap.
    for (let i = (free + 1) & this.#mask; ; i = (i + 1) & this.#mask) {
      const process = this.#slots[i]
      if (process === undefined) break
      const displaced = (i - process.pid.serial) & this.#mask
      if (displaced < ((i - free) & this.#mask)) continue
      this.#slots[free] = process
      this.#slots[i] = undefined
      free = i
    }
    const slots = this.#mask + 1
    if (slots > SLOTS_MIN && this.#size < slots / 8) this.#resize(slots / 2)
  }

  /** In the order in which they were made. */
  all(): Process[] {
    const all = this.#slots.filter(process => process !== undefined)
    return all.sort((a, b) => a.pid.serial - b.pid.serial)
  }

  /** Where `serial` stands, or would. */
  #slotOf(serial: number): number {
    let i = serial & this.#mask
    for (;;) {
      const process = this.#slots[i]
      if (process === undefined || process.pid.serial === serial) return i
      i = (i + 1) & this.#mask
    }
  }

  #place(process: Process): void {
    this.#slots[this.#slotOf(process.pid.serial)] = process
  }

  #resize(slots: number): void {
    const before = this.#slots
    this.#slots = new Array(slots).fill(undefined)
    this.#mask = slots - 1
    for (const process of before) if (process !== undefined) this.#place(process)
  }
}
