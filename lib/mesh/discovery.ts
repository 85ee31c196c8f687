/**
 * The shell of discovery: asks each source at its time, and tells the mesh what all of them list.
 *
 *   clock, watch ──► ask(source) ──► the source's last good list ─┐
 *                        │ failed: backed off, said once          ├─► found(all), each once, in order, bounded
 *   clock, watch ──► ask(source) ──► the source's last good list ─┘
 *
 * Laws: one question to a source at a time; one that takes 5 s is given up, its signal aborts, and the next may come
 * while it still hangs, for at most four of them. Nothing that a source does throws. What a source listed last holds
 * while it fails, for ten minutes. Which of the addresses are worth a dial is the business of `found.ts`.
 */
import type { DiscoverySource } from '../base/discovery.js'
import type { Address, Timer } from '../base/runtime.js'
import { sortedAddresses } from './address-list.js'
import type { Ground } from './ground.js'
import { LookPlan, type Next } from './look-plan.js'
import { ask, reasonOf } from './sources.js'

const ASK_MS = 5_000
const HANGING_MAX = 4
/** What a source listed is forgotten when it has failed for so long. Not what a file did: nobody else has moved it. */
const STALE_MS = 600_000
/** A file is read this long after it changed: writers change it more than once. */
const SETTLE_MS = 50

export interface DiscoveryOwner {
  /** All that the sources list now. `first`: the first answer, or failure, of one of them. */
  readonly found: (listed: readonly Address[], first: boolean) => void
}

interface Asked {
  readonly source: DiscoverySource
  readonly plan: LookPlan
  listed: readonly Address[]
  listedMs: number
  first: boolean
  /** It changed while it was being read. */
  changed: boolean
  timer: Timer | undefined
  /** The question that is out. */
  question: AbortController | undefined
  hanging: number
  unwatch: () => void
}

export class Discovery {
  readonly #ground: Ground
  readonly #owner: DiscoveryOwner
  readonly #asked: readonly Asked[]
  #stopped = false

  constructor(ground: Ground, sources: readonly DiscoverySource[], owner: DiscoveryOwner) {
    this.#ground = ground
    this.#owner = owner
    this.#asked = sources.map(source => ({
      source,
      plan: new LookPlan(source.everyMs),
      listed: [],
      listedMs: 0,
      first: true,
      changed: false,
      timer: undefined,
      question: undefined,
      hanging: 0,
      unwatch: () => {},
    }))
  }

  start(): void {
    for (const asked of this.#asked) {
      const { source } = asked
      if (source.kind === 'file') {
        asked.unwatch = this.#ground.runtime.watch(source.path, () => this.#changed(asked))
      }
      this.#ask(asked)
    }
  }

  stop(): void {
    this.#stopped = true
    for (const { timer, question, unwatch } of this.#asked) {
      timer?.clear()
      unwatch()
      question?.abort()
    }
  }

  #changed(asked: Asked): void {
    if (this.#stopped) return
    if (asked.question === undefined) this.#later(asked, SETTLE_MS)
    else asked.changed = true
  }

  #later(asked: Asked, ms: number): void {
    asked.timer?.clear()
    asked.timer = this.#ground.runtime.clock.after(ms, () => this.#ask(asked))
  }

  #ask(asked: Asked): void {
    const { runtime, limits, notes } = this.#ground
    notes.count('discovery.asked')
    if (asked.hanging >= HANGING_MAX)
      return this.#failed(asked, `${HANGING_MAX} earlier questions still hang`)
    const question = new AbortController()
    asked.question = question
    asked.hanging += 1
    const deadline = runtime.clock.after(ASK_MS, () => {
      if (asked.question !== question) return
      this.#failed(asked, `no answer within ${ASK_MS} ms`)
      question.abort()
    })
    const settle = (then: () => void): void => {
      asked.hanging -= 1
      deadline.clear()
      if (asked.question === question && !this.#stopped) then()
    }
    const options = { signal: question.signal, targetsMax: limits.discoveredMax }
    ask(asked.source, runtime, options).then(
      addresses => settle(() => this.#answered(asked, addresses)),
      error => settle(() => this.#failed(asked, reasonOf(error))),
    )
  }

  #answered(asked: Asked, addresses: readonly Address[]): void {
    const { discoveredMax } = this.#ground.limits
    const all = sortedAddresses(addresses)
    asked.listed = all.slice(0, discoveredMax)
    asked.listedMs = this.#ground.runtime.clock.now()
    const wrong =
      all.length > discoveredMax
        ? `lists ${all.length} addresses; the first ${discoveredMax} are taken`
        : undefined
    this.#tell(asked, chance => asked.plan.found(wrong, chance))
  }

  #failed(asked: Asked, why: string): void {
    const { notes, runtime } = this.#ground
    notes.count('discovery.failed')
    if (asked.source.kind !== 'file' && runtime.clock.now() - asked.listedMs > STALE_MS) asked.listed = []
    const kept =
      asked.listed.length === 0 ? '' : `; going on with the ${asked.listed.length} that it listed before`
    this.#tell(asked, chance => asked.plan.failed(`${why}${kept}`, chance))
  }

  #tell(asked: Asked, plan: (chance: number) => Next): void {
    const { runtime, notes, self } = this.#ground
    asked.question = undefined
    const { afterMs, news } = plan(runtime.random.float())
    this.#later(asked, asked.changed ? SETTLE_MS : afterMs)
    asked.changed = false
    if (news !== undefined) notes.log[news.level](`${self}: discovery: ${asked.source.label}: ${news.text}`)
    const { first } = asked
    asked.first = false
    this.#owner.found(this.#all(), first)
  }

  #all(): readonly Address[] {
    return sortedAddresses(this.#asked.flatMap(({ listed }) => listed)).slice(
      0,
      this.#ground.limits.discoveredMax,
    )
  }
}
