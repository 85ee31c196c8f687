/**
 * A binary heap of items by (time, tie, order of insertion). Three flat arrays would save the entry objects; at the
 * 10⁵ events of a run they do not show.
 */
interface Entry<T> {
  readonly atMs: number
  readonly tie: number
  readonly seq: number
  readonly item: T
}

const before = <T>(a: Entry<T>, b: Entry<T>): boolean =>
  a.atMs !== b.atMs ? a.atMs < b.atMs : a.tie !== b.tie ? a.tie < b.tie : a.seq < b.seq

export class EventHeap<T> {
  readonly #entries: Entry<T>[] = []
  #seq = 0

  get length(): number {
    return this.#entries.length
  }

  /** When the first item is due, `Infinity` when there is none. */
  get nextMs(): number {
    return this.#entries[0]?.atMs ?? Infinity
  }

  push(atMs: number, tie: number, item: T): void {
    const entry = { atMs, tie, seq: this.#seq++, item }
    let at = this.#entries.length
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = this.#entries[parent]!
      if (before(above, entry)) break
      this.#entries[at] = above
      at = parent
    }
    this.#entries[at] = entry
  }

  pop(): T | undefined {
    const first = this.#entries[0]
    const last = this.#entries.pop()
    if (first === undefined || last === undefined) return undefined
    if (first !== last) this.#sink(last)
    return first.item
  }

  /** Puts `entry` where the first one was. */
  #sink(entry: Entry<T>): void {
    const entries = this.#entries
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= entries.length) break
      if (child + 1 < entries.length && before(entries[child + 1]!, entries[child]!)) child += 1
      if (before(entry, entries[child]!)) break
      entries[at] = entries[child]!
      at = child
    }
    entries[at] = entry
  }
}
