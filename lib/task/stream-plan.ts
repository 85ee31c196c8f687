/**
 * What a stream does next, as a decision over plain data: it knows how many items run and which results are here, and
 * nothing of tasks, time or promises.
 *
 *   items ─ pull ─▶ running ─ ended ─▶ ended ─ looked at, one by one ─▶ (ordered: results, until it is their turn) ─▶ emit
 *                   at most max, with those that ended and were not looked at
 *
 * Steps are asked for only while somebody waits for a result. So a slow reader holds `max` results at most; and an item
 * that keeps an ordered stream waiting does not keep later items from being started, up to `resultsMax`.
 */
export type StreamStep<R> =
  | { readonly do: 'emit'; readonly result: R }
  /** Ask for the next item, then `pulled` or `dried`. */
  | { readonly do: 'pull' }
  /** Nothing, until one of these has been told. */
  | { readonly do: 'wait' }
  | { readonly do: 'end' }

export interface StreamRules {
  readonly max: number
  readonly ordered: boolean
  readonly resultsMax: number
}

export class StreamPlan<R> {
  readonly #rules: StreamRules
  readonly #ended: { readonly index: number; readonly result: R }[] = []
  /** Looked at, and of an ordered stream. */
  readonly #results = new Map<number, R>()
  #source: 'ready' | 'asked' | 'dry' = 'ready'
  #pulled = 0
  #emitted = 0
  #running = 0

  constructor(rules: StreamRules) {
    this.#rules = rules
  }

  /** So many results wait for an earlier one that nothing further is started. */
  get full(): boolean {
    return this.#results.size >= this.#rules.resultsMax
  }

  step(): StreamStep<R> {
    for (;;) {
      const { max, ordered } = this.#rules
      if (this.#source === 'ready' && this.#running < max && !this.full) {
        this.#source = 'asked'
        return { do: 'pull' }
      }
      if (this.#results.has(this.#emitted)) return this.#emit(this.#emitted)
      const next = this.#ended.shift()
      if (next === undefined) break
      this.#running -= 1
      this.#results.set(next.index, next.result)
      if (!ordered) return this.#emit(next.index)
    }
    return { do: this.#source === 'dry' && this.#running === 0 ? 'end' : 'wait' }
  }

  /** The index of the item that came. */
  pulled(): number {
    this.#source = 'ready'
    this.#running += 1
    this.#pulled += 1
    return this.#pulled - 1
  }

  dried(): void {
    this.#source = 'dry'
  }

  ended(index: number, result: R): void {
    this.#ended.push({ index, result })
  }

  #emit(index: number): StreamStep<R> {
    const result = this.#results.get(index) as R
    this.#results.delete(index)
    this.#emitted += 1
    return { do: 'emit', result }
  }
}
