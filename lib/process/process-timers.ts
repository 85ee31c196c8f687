/**
 * Timers that send. One aimed at a process of this node goes when that process dies; one aimed at a name, an alias or
 * another node resolves it when it fires. The creator's death changes nothing.
 */
import type { IdSpace } from '../base/id-space.js'
import type { Ref } from '../base/ids.js'
import { refuseAbove } from './monitors.js'
import { type Process, Ties } from './process.js'
import { type TimerHeap, Timing } from './timer-heap.js'

export interface TimerRequest {
  readonly ms: number
  /** The destination, when that is a live process of this node. */
  readonly process: Process | undefined
  /** Repeats every `ms`. */
  readonly every: boolean
  readonly fire: (ref: Ref) => void
}

class SendTiming extends Timing {
  readonly ref: Ref
  readonly held: Set<Timing>

  constructor(ref: Ref, held: Set<Timing>, fire: () => void) {
    super(0, 0, fire)
    this.ref = ref
    this.held = held
  }
}

export class ProcessTimers {
  readonly #ids: IdSpace
  readonly #heap: TimerHeap
  readonly #perProcessMax: number
  readonly #byCounter = new Map<number, SendTiming>()
  /** Stands for all destinations that are no process of this node. */
  readonly #elsewhere = new Ties()

  constructor(ids: IdSpace, heap: TimerHeap, perProcessMax: number) {
    this.#ids = ids
    this.#heap = heap
    this.#perProcessMax = perProcessMax
  }

  get size(): number {
    return this.#byCounter.size
  }

  set(owner: Process, request: TimerRequest): Ref {
    const ties = request.process === undefined ? this.#elsewhere : request.process.tied()
    if (ties.timers === undefined) ties.timers = new Set()
    refuseAbove(ties.timers.size, this.#perProcessMax, request.process ?? owner, 'timers')
    const ref = this.#ids.newRef()
    const timing: SendTiming = new SendTiming(ref, ties.timers, () => this.#fire(timing, request))
    ties.timers.add(timing)
    this.#byCounter.set(ref.counter, timing)
    this.#heap.again(timing, this.#heap.now() + request.ms)
    return ref
  }

  cancel(ref: Ref): number | false {
    const timing = this.#find(ref)
    if (timing === undefined) return false
    this.#forget(timing)
    return this.#heap.cancel(timing) ?? false
  }

  read(ref: Ref): number | false {
    const timing = this.#find(ref)
    return timing === undefined ? false : this.#heap.left(timing)
  }

  cancelAllAt(process: Process): void {
    for (const timing of process.ties?.timers ?? []) {
      this.#heap.cancel(timing)
      if (timing instanceof SendTiming) this.#forget(timing)
    }
  }

  #fire(timing: SendTiming, request: TimerRequest): void {
    // From the start time, not from when it fired; ticks that were missed altogether are left out.
    if (request.every) this.#heap.again(timing, Math.max(timing.deadlineMs + request.ms, this.#heap.now()))
    else this.#forget(timing)
    request.fire(timing.ref)
  }

  #find(ref: Ref): SendTiming | undefined {
    return this.#ids.isOwn(ref) ? this.#byCounter.get(ref.counter) : undefined
  }

  #forget(timing: SendTiming): void {
    this.#byCounter.delete(timing.ref.counter)
    timing.held.delete(timing)
  }
}
