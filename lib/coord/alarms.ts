/** One thing to do later; `stop` is idempotent. */
export interface Alarm {
  stop(): void
}

interface Item extends Alarm {
  readonly at: number
  readonly order: number
  live: boolean
  readonly run: () => void
}

/**
 * The deadlines of a state machine that is told the time. A heap, so that thousands of requests cost one timer of the
 * shell. Stopped alarms are taken out when they reach the top, or together when they are the most.
 */
export class Alarms {
  #heap: Item[] = []
  #stopped = 0
  #order = 0

  set(at: number, run: () => void): Alarm {
    const item: Item = {
      at,
      order: this.#order++,
      live: true,
      run,
      stop: () => {
        if (!item.live) return
        item.live = false
        this.#stopped++
      },
    }
    this.#heap.push(item)
    this.#up(this.#heap.length - 1)
    if (this.#stopped > 64 && this.#stopped * 2 > this.#heap.length) this.#sweep()
    return item
  }

  get size(): number {
    return this.#heap.length - this.#stopped
  }

  /** When `run` has something to do. */
  next(): number | undefined {
    for (;;) {
      const top = this.#heap[0]
      if (top === undefined || top.live) return top?.at
      this.#stopped--
      this.#pop()
    }
  }

  /** Runs what is due, in order of time; also what that sets for now. */
  run(now: number): void {
    for (;;) {
      const at = this.next()
      if (at === undefined || at > now) return
      const item = this.#pop()
      item.live = false
      item.run()
    }
  }

  #sweep(): void {
    const live = this.#heap.filter(item => item.live)
    this.#heap = live.sort(compare)
    this.#stopped = 0
  }

  #pop(): Item {
    const heap = this.#heap
    const top = heap[0]!
    const last = heap.pop()!
    if (heap.length > 0) {
      heap[0] = last
      this.#down(0)
    }
    return top
  }

  #up(start: number): void {
    const heap = this.#heap
    const item = heap[start]!
    let i = start
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (compare(heap[parent]!, item) <= 0) break
      heap[i] = heap[parent]!
      i = parent
    }
    heap[i] = item
  }

  #down(start: number): void {
    const heap = this.#heap
    const item = heap[start]!
    let i = start
    for (;;) {
      let child = 2 * i + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && compare(heap[child + 1]!, heap[child]!) < 0) child++
      if (compare(item, heap[child]!) <= 0) break
      heap[i] = heap[child]!
      i = child
    }
    heap[i] = item
  }
}

const compare = (a: Item, b: Item): number => a.at - b.at || a.order - b.order
