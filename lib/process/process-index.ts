/**
 * Live processes by serial: an array in which each serial has one slot, and a `Map` for the few whose slot a younger
 * process has taken. Serials count up and are never reused, so their low bits spread the living evenly.
 *
 *   slot = serial & mask ── it? ── else the map        as many slots as processes, or up to eight times as many
 *
 * A message finds its process by one read of an array, where a `Map` would hash and chase a chain; and a start is spared
 * the growth of a `Map`, which took a tenth of it.
 */
import type { Pid } from '../base/ids.js'
import type { Process } from './process.js'

const SLOTS_MIN = 64

export class ProcessIndex {
  #slots: (Process | undefined)[] = new Array(SLOTS_MIN).fill(undefined)
  #mask = SLOTS_MIN - 1
  #inSlots = 0
  readonly #others = new Map<number, Process>()

  get size(): number {
    return this.#inSlots + this.#others.size
  }

  /** Its serial must not be in here. */
  add(process: Process): void {
    if (this.size > this.#mask) this.#resize((this.#mask + 1) * 2)
    this.#put(process)
  }

  get(serial: number): Process | undefined {
    const process = this.#slots[serial & this.#mask]
    if (process !== undefined && process.pid.serial === serial) return process
    return this.#others.size === 0 ? undefined : this.#others.get(serial)
  }

  /** The process of this very pid object, if it stands where it belongs: the quick look that succeeds nearly always. */
  glance(pid: Pid): Process | undefined {
    const process = this.#slots[pid.serial & this.#mask]
    return process !== undefined && process.pid === pid ? process : undefined
  }

  remove(serial: number): void {
    const slot = serial & this.#mask
    if (this.#slots[slot]?.pid.serial === serial) {
      this.#slots[slot] = undefined
      this.#inSlots -= 1
    } else if (!this.#others.delete(serial)) return
    const slots = this.#mask + 1
    if (slots > SLOTS_MIN && this.size < slots / 8) this.#resize(slots / 2)
  }

  /** In the order in which they were made. */
  all(): Process[] {
    const all = [...this.#others.values()]
    for (const process of this.#slots) if (process !== undefined) all.push(process)
    return all.sort((a, b) => a.pid.serial - b.pid.serial)
  }

  #put(process: Process): void {
    const slot = process.pid.serial & this.#mask
    const there = this.#slots[slot]
    if (there === undefined) this.#inSlots += 1
    const isYounger = there === undefined || there.pid.serial < process.pid.serial
    const other = isYounger ? there : process
    if (isYounger) this.#slots[slot] = process
    if (other !== undefined) this.#others.set(other.pid.serial, other)
  }

  #resize(slots: number): void {
    const old = this.#slots
    const others = [...this.#others.values()]
    this.#slots = new Array(slots).fill(undefined)
    this.#mask = slots - 1
    this.#inSlots = 0
    this.#others.clear()
    for (const process of old) if (process !== undefined) this.#put(process)
    for (const process of others) this.#put(process)
  }
}
