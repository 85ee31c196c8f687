import { compareIds } from '../base/ids.js'
import { type Entry, sameEntry } from './slot-data.js'
import { slotOf } from './slot-hash.js'

/** What this node believes of all keys: by key, so that a look-up is local, and by slot, for those that seal one. */
export class Table {
  readonly #slots: number
  readonly #changed: (key: string) => void
  readonly #entries = new Map<string, Entry>()
  readonly #bySlot = new Map<number, Set<string>>()

  /** `changed` is called for every entry that came, went or is not the same as before. */
  constructor(slots: number, changed: (key: string) => void) {
    this.#slots = slots
    this.#changed = changed
  }

  get size(): number {
    return this.#entries.size
  }

  get(key: string): Entry | undefined {
    return this.#entries.get(key)
  }

  /** A copy, in the order of the keys, so that the table may change while it is walked. */
  all(): Entry[] {
    return [...this.#entries.values()].sort(byKey)
  }

  inSlot(slot: number): Entry[] {
    const keys = this.#bySlot.get(slot)
    if (keys === undefined) return []
    return [...keys].sort(compareIds).map(key => this.#entries.get(key)!)
  }

  /** Undefined removes. */
  put(key: string, entry: Entry | undefined): void {
    if (sameEntry(this.#entries.get(key), entry)) return
    const slot = slotOf(key, this.#slots)
    const keys = this.#bySlot.get(slot)
    if (entry === undefined) {
      this.#entries.delete(key)
      keys?.delete(key)
      if (keys?.size === 0) this.#bySlot.delete(slot)
    } else {
      this.#entries.set(key, entry)
      if (keys === undefined) this.#bySlot.set(slot, new Set([key]))
      else keys.add(key)
    }
    this.#changed(key)
  }
}

const byKey = (a: Entry, b: Entry): number => compareIds(a.key, b.key)
