/**
 * What is to go wrong in a random world, as data: a list drawn from the seed before anything happens. So a run can be
 * repeated with fewer of them, until only those are left that break a law: see `shrink.ts`.
 *
 * Every kind is on for a whole world or off for it: worlds that know two kinds meet combinations that worlds of all kinds
 * never reach.
 */
import type { LinkOptions } from '../../lib/sim/sim-network.js'
import type { SimRandom } from '../../lib/sim/sim-random.js'

/** From, to: one direction. */
export type Way = readonly [string, string]

export type Effect =
  /** `flapMs`: cut and whole in turns. */
  | { readonly do: 'cut'; readonly ways: readonly Way[]; readonly flapMs: number | undefined }
  | { readonly do: 'link'; readonly ways: readonly Way[]; readonly options: LinkOptions }
  | { readonly do: 'reset' | 'hang'; readonly ways: readonly Way[] }
  /** `everyMs`: stopped for nine tenths of each. */
  | { readonly do: 'pause'; readonly node: string; readonly everyMs: number | undefined }
  | {
      readonly do: 'fell'
      readonly node: string
      readonly how: 'kill' | 'crash' | 'leave'
      readonly disk: 'kept' | 'lost'
    }
  | { readonly do: 'jump'; readonly node: string; readonly ms: number }
  | {
      readonly do: 'disk'
      readonly node: string
      readonly how: 'full' | 'sync fails' | 'crash at write'
      readonly nth: number
    }

export interface Fault {
  readonly kind: string
  readonly atMs: number
  readonly lastsMs: number
  readonly effect: Effect
}

export interface PlanOptions {
  readonly names: readonly string[]
  readonly fromMs: number
  readonly untilMs: number
  /** The mean time between two. */
  readonly everyMs: number
}

const KIND_ON_RATE = 0.5
const HOUR_MS = 3_600_000
const LONG_RATE = 0.1
/** How often something goes wrong that went wrong before, in the same way. */
const AGAIN_RATE = 0.15
const SHORT_MS_MAX = 9_000
const LONG_MS_MAX = 60_000

const both = (a: string, b: string): Way[] => [
  [a, b],
  [b, a],
]
const across = (left: readonly string[], right: readonly string[]): Way[] =>
  left.flatMap(a => right.flatMap(b => both(a, b)))

type Kind = (draw: Drawer) => Effect

/** Chance, in the words of faults. */
class Drawer {
  readonly random: SimRandom
  readonly names: readonly string[]

  constructor(random: SimRandom, names: readonly string[]) {
    this.random = random
    this.names = names
  }

  pick<T>(from: readonly T[]): T {
    return from[this.random.below(from.length)] as T
  }

  node(): string {
    return this.pick(this.names)
  }

  others(name: string): string[] {
    return this.names.filter(other => other !== name)
  }

  /** In an order by chance. */
  shuffled(): string[] {
    const names = [...this.names]
    for (let i = names.length - 1; i > 0; i--) {
      const j = this.random.below(i + 1)
      ;[names[i], names[j]] = [names[j] as string, names[i] as string]
    }
    return names
  }

  pair(): Way {
    const [a, b] = this.shuffled() as [string, string]
    return [a, b]
  }

  /** All of them in two halves, neither of them empty. */
  halves(): [string[], string[]] {
    const names = this.shuffled()
    const first = 1 + this.random.below(names.length - 1)
    return [names.slice(0, first).sort(), names.slice(first).sort()]
  }

  between(least: number, most: number): number {
    return least + this.random.below(most - least + 1)
  }
}

const cut = (ways: readonly Way[], flapMs?: number): Effect => ({ do: 'cut', ways, flapMs })

const link =
  (options: (draw: Drawer) => LinkOptions): Kind =>
  draw => {
    const ways = draw.random.chance(0.5) ? both(...draw.pair()) : aroundOf(draw, draw.node())
    return { do: 'link', ways, options: options(draw) }
  }

const aroundOf = (draw: Drawer, node: string): Way[] => across([node], draw.others(node))

const felled =
  (how: 'kill' | 'crash' | 'leave'): Kind =>
  draw => ({ do: 'fell', node: draw.node(), how, disk: draw.pick(['kept', 'kept', 'lost']) })

const disk =
  (how: 'full' | 'sync fails' | 'crash at write'): Kind =>
  draw => ({ do: 'disk', node: draw.node(), how, nth: draw.between(1, 12) })

const KINDS: Readonly<Record<string, Kind>> = {
  cut: draw => cut(both(...draw.pair())),
  'one-way cut': draw => cut([draw.pair()]),
  'one-way isolation': draw => {
    const node = draw.node()
    const deaf = draw.random.chance(0.5)
    return cut(draw.others(node).map(other => (deaf ? [other, node] : [node, other])))
  },
  isolation: draw => cut(aroundOf(draw, draw.node())),
  partition: draw => cut(across(...draw.halves())),
  // One of them reaches both sides, which do not reach each other.
  overlap: draw => {
    const [left, right] = draw.halves()
    const bridge = draw.node()
    return cut(across(left, right).filter(([a, b]) => a !== bridge && b !== bridge))
  },
  flapping: draw => cut(both(...draw.pair()), draw.between(200, 3_000)),
  'flapping node': draw => cut(aroundOf(draw, draw.node()), draw.between(200, 3_000)),
  reset: draw => ({ do: 'reset', ways: [draw.pair()] }),
  'half-open': draw => ({ do: 'hang', ways: [draw.pair()] }),
  delay: link(draw => ({ delayMsMin: 20, delayMsMax: draw.pick([100, 500, 5_000]) })),
  spikes: link(draw => ({ spikeRate: 0.05, spikeMs: draw.between(200, 5_000) })),
  'lossy link': link(() => ({ resetRate: 0.01 })),
  'slow link': link(draw => ({ bytesPerMs: draw.pick([4, 32, 256]), windowBytes: 16 * 1_024 })),
  'slow reader': link(draw => ({ readMs: draw.between(5, 40) })),
  pause: draw => ({ do: 'pause', node: draw.node(), everyMs: undefined }),
  throttle: draw => ({ do: 'pause', node: draw.node(), everyMs: draw.pick([100, 400, 1_000]) }),
  kill: felled('kill'),
  crash: felled('crash'),
  leave: felled('leave'),
  'clock jump': draw => ({
    do: 'jump',
    node: draw.node(),
    ms: (draw.random.chance(0.5) ? 1 : -1) * draw.random.below(HOUR_MS),
  }),
  'disk full': disk('full'),
  'sync fails': disk('sync fails'),
  'crash at write': disk('crash at write'),
}

export function planFaults(random: SimRandom, options: PlanOptions): Fault[] {
  const draw = new Drawer(random.fork('draw'), options.names)
  const on = Object.keys(KINDS).filter(() => random.chance(KIND_ON_RATE))
  if (on.length === 0) on.push('kill', 'partition')
  const faults: Fault[] = []
  const { fromMs, untilMs, everyMs } = options
  for (let atMs = fromMs; atMs < untilMs; atMs += 1 + random.below(2 * everyMs)) {
    const before = random.chance(AGAIN_RATE) ? faults.at(-1) : undefined
    const kind = before?.kind ?? draw.pick(on)
    const mostMs = random.chance(LONG_RATE) ? LONG_MS_MAX : SHORT_MS_MAX
    const effect = before?.effect ?? (KINDS[kind] as Kind)(draw)
    faults.push({ kind, atMs, lastsMs: 50 + random.below(mostMs), effect })
  }
  return faults
}

/** One line for people. */
export function faultText({ kind, atMs, lastsMs, effect }: Fault): string {
  const head = `at ${atMs} ms, for ${lastsMs} ms: ${kind}`
  switch (effect.do) {
    case 'cut':
      return `${head} ${waysText(effect.ways)}${effect.flapMs === undefined ? '' : ` every ${effect.flapMs} ms`}`
    case 'link':
      return `${head} ${waysText(effect.ways)} ${JSON.stringify(effect.options)}`
    case 'reset':
    case 'hang':
      return `${head} ${waysText(effect.ways)}`
    case 'pause':
      return `${head} ${effect.node}${effect.everyMs === undefined ? '' : `, nine tenths of every ${effect.everyMs} ms`}`
    case 'fell':
      return `${head} ${effect.node}, disk ${effect.disk}`
    case 'jump':
      return `${head} ${effect.node} by ${effect.ms} ms`
    case 'disk':
      return `${head} ${effect.node}, operation ${effect.nth}`
  }
}

/** `a=b` for both directions, `a>b` for one. */
function waysText(ways: readonly Way[]): string {
  const all = new Set(ways.map(([a, b]) => `${a}>${b}`))
  return ways
    .filter(([a, b]) => a < b || !all.has(`${b}>${a}`))
    .map(([a, b]) => `${a}${all.has(`${b}>${a}`) ? '=' : '>'}${b}`)
    .join(' ')
}
