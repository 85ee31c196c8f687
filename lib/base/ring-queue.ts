/**
 * A first-in first-out queue in one power-of-two array that doubles when full. No wrapper per item, no shifting.
 * A queue that grew past `KEEP` gives the storage back when it becomes empty, so a burst is not paid for ever.
 *
 *   buffer:  . . c d e f . .        head → c, tail → the free place after f; head === tail means empty
 */
const START = 4
const KEEP = 1_024

export class RingQueue<T> {
  #buffer: (T | undefined)[] = new Array(START)
  #mask = START - 1
  #head = 0
  #tail = 0

  get length(): number {
    return (this.#tail - this.#head) & this.#mask
  }

  push(item: T): void {
    this.#buffer[this.#tail] = item
    this.#tail = (this.#tail + 1) & this.#mask
    if (this.#tail === this.#head) this.#grow()
  }

  /** Undefined when empty. */
  shift(): T | undefined {
    if (this.#head === this.#tail) return undefined
    const item = this.#buffer[this.#head]
    this.#buffer[this.#head] = undefined
    this.#head = (this.#head + 1) & this.#mask
    if (this.#head === this.#tail && this.#mask >= KEEP) this.clear()
    return item
  }

  peek(): T | undefined {
    return this.#buffer[this.#head]
  }

  /** The item at `index`, 0 being the next to leave. */
  at(index: number): T | undefined {
    return index < 0 || index >= this.length ? undefined : this.#buffer[(this.#head + index) & this.#mask]
  }

  /** Takes out the item at `index`, keeping the order of the rest. O(index). */
  takeAt(index: number): T | undefined {
    if (index < 0 || index >= this.length) return undefined
    const item = this.at(index)
    for (let i = index; i > 0; i--) {
      this.#buffer[(this.#head + i) & this.#mask] = this.#buffer[(this.#head + i - 1) & this.#mask]
    }
    this.#buffer[this.#head] = undefined
    this.#head = (this.#head + 1) & this.#mask
    return item
  }

  unshift(item: T): void {
    this.#head = (this.#head - 1) & this.#mask
    this.#buffer[this.#head] = item
    if (this.#tail === this.#head) this.#grow()
  }

  clear(): void {
    this.#buffer = new Array(START)
    this.#mask = START - 1
    this.#head = 0
    this.#tail = 0
  }

  *[Symbol.iterator](): Generator<T, void, void> {
    for (let i = 0; i < this.length; i++) yield this.at(i) as T
  }

  /** Called with head === tail on a full buffer. */
  #grow(): void {
    const size = this.#mask + 1
    const next: (T | undefined)[] = new Array(size * 2)
    for (let i = 0; i < size; i++) next[i] = this.#buffer[(this.#head + i) & this.#mask]
    this.#buffer = next
    this.#mask = size * 2 - 1
    this.#head = 0
    this.#tail = size
  }
}
