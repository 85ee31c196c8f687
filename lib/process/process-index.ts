/**
 * Live processes by serial: a `Map` that holds them all, and in front of it an array in which nearly every look-up
 * ends. Serials count up and are never reused, so their low bits spread live processes evenly over the array.
 *
 *   slot = serial & mask ── it? ── else the map        as many slots as processes, or up to eight times as many
 *
 * A message finds its process by one read of an array, where a `Map` would hash and chase a chain.
 */
import type { Pid } from '../base/ids.js'
import type { Process } from './process.js'

const SLOTS_MIN = 64

export class ProcessIndex {
  readonly #bySerial = new Map<number, Process>()
  #slots: (Process | undefined)[] = new Array(SLOTS_MIN).fill(undefined)
  #mask = SLOTS_MIN - 1

  get size(): number {
    return this.#bySerial.size
  }

  /** Its serial must not be in here. */
  add(process: Process): void {
    this.#bySerial.set(process.pid.serial, process)
    if (this.#bySerial.size > this.#mask + 1) this.#resize((this.#mask + 1) * 2)
    else this.#slots[process.pid.serial & this.#mask] = process
  }

  get(serial: number): Process | undefined {
    const process = this.#slots[serial & this.#mask]
    return process !== undefined && process.pid.serial === serial ? process : this.#bySerial.get(serial)
  }

  /** The process of this very pid object, if it stands where it belongs: the quick look that succeeds nearly always. */
  glance(pid: Pid): Process | undefined {
    const process = this.#slots[pid.serial & this.#mask]
    return process !== undefined && process.pid === pid ? process : undefined
  }

  remove(serial: number): void {
    if (!this.#bySerial.delete(serial)) return
    const slot = serial & this.#mask
    if (this.#slots[slot]?.pid.serial === serial) this.#slots[slot] = undefined
    const slots = this.#mask + 1
    if (slots > SLOTS_MIN && this.#bySerial.size < slots / 8) this.#resize(slots / 2)
  }

  /** In the order in which they were made. */
  all(): Process[] {
    return [...this.#bySerial.values()]
  }

  /** Where two meet, the younger stands in the array. */
  #resize(slots: number): void {
    this.#slots = new Array(slots).fill(undefined)
    this.#mask = slots - 1
    for (const [serial, process] of this.#bySerial) this.#slots[serial & this.#mask] = process
  }
}
