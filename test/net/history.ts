/**
 * What the nodes of a lab saw, and the laws that it must obey whatever was done to them. Plain data and pure functions:
 * a worker writes entries while it works, the test reads them together. All times are ms of one monotonic clock, which
 * the processes of a machine share; no fault of the lab moves it.
 *
 *   worker ──entry──► life of that node ─┐
 *   worker ──entry──► life of that node ─┴► laws() ──► the laws, each with whatever broke it
 */

/** One line of what a node saw. */
export type Entry =
  /** An event of the node: `peer` is the node or name it speaks of. */
  | {
      readonly type: 'event'
      readonly at: number
      readonly event: string
      readonly peer: string
      readonly why: string
    }
  /** It began to watch a process of a peer. */
  | {
      readonly type: 'watch'
      readonly at: number
      readonly id: number
      readonly peer: string
      readonly pid: string
    }
  /** That watch fired. */
  | { readonly type: 'down'; readonly at: number; readonly id: number; readonly reason: string }
  /** A stream went on at `next` after `last`, which had come at `since`. */
  | {
      readonly type: 'gap'
      readonly at: number
      readonly since: number
      readonly from: string
      readonly last: number
      readonly next: number
    }
  /** A call that was not answered, and how long its caller waited. */
  | {
      readonly type: 'unanswered'
      readonly at: number
      readonly to: string
      readonly code: string
      readonly ms: number
    }
  /** What must never be seen. */
  | { readonly type: 'broken'; readonly at: number; readonly text: string }

/** One process of a node from its start to its end. */
export interface Life {
  readonly node: string
  readonly entries: Entry[]
  /** `killed`: what it did not say any more is unknown. `stopped`: it took its leave. Undefined: it lives. */
  ended?: 'killed' | 'stopped'
}

/** An event is told a turn after it happened, later on a busy machine. */
const TOLD_MS = 1_500
const CALL_TIMEOUT_MS = 5_000
/** Beyond its timeout, for a loop that was late; a node that was paused is later still. */
const CALL_LATE_MS = 3_000
/** Ends that a call may have when its callee, the way to it, or, in a node that stops, its caller went. */
const FAILURES = ['ERR_TIMEOUT', 'ERR_NOCONNECTION', 'ERR_NOPROC', 'ERR_EXIT', 'ERR_BUSY', 'ERR_DEAD']

export type Event = Extract<Entry, { type: 'event' }>

export const eventsOf = (life: Life, event: string, peer?: string): Event[] =>
  life.entries.filter(
    (entry): entry is Event =>
      entry.type === 'event' && entry.event === event && (peer === undefined || entry.peer === peer),
  )

/** Each law by its sentence, with what broke it. `pausedMs` is the longest that a node was stopped. */
export function laws(lives: readonly Life[], pausedMs = 0): Record<string, string[]> {
  const each = (law: (life: Life) => string[]): string[] =>
    lives.flatMap(life => law(life).map(text => `${life.node}: ${text}`))
  return {
    'messages came in order, once, and from no earlier life; none was lost but with a session': each(ordered),
    'each monitor fired once, and none without a lost session or a dead process': each(life =>
      watched(life, lives),
    ),
    'sessions and members went down once each time they were up': each(alternating),
    'every call ended in time, by an answer or a known error': each(life => called(life, pausedMs)),
    'nothing crashed and nothing escaped': each(life =>
      life.entries
        .filter(entry => entry.type === 'event' && entry.event === 'crash')
        .map(entry => JSON.stringify(entry)),
    ),
  }
}

function ordered(life: Life): string[] {
  return life.entries.flatMap(entry => {
    if (entry.type === 'broken') return [entry.text]
    if (entry.type !== 'gap' || sessionChanged(life, entry.from, entry.since, entry.at)) return []
    return [`${entry.from} went from ${entry.last} to ${entry.next} within one session`]
  })
}

const sessionChanged = (life: Life, peer: string, from: number, to: number): boolean =>
  life.entries.some(
    entry =>
      entry.type === 'event' &&
      (entry.event === 'nodeup' || entry.event === 'nodedown') &&
      entry.peer === peer &&
      entry.at >= from - TOLD_MS &&
      entry.at <= to + TOLD_MS,
  )

function watched(life: Life, lives: readonly Life[]): string[] {
  const fired = new Map<number, string[]>()
  for (const entry of life.entries) {
    if (entry.type === 'down') fired.set(entry.id, [...(fired.get(entry.id) ?? []), entry.reason])
  }
  const end = life.entries.at(-1)?.at ?? 0
  return life.entries.flatMap(entry => {
    if (entry.type !== 'watch') return []
    const what = `its watch ${entry.id} of ${entry.peer}`
    const reasons = fired.get(entry.id) ?? []
    if (reasons.length > 1) return [`${what} fired ${reasons.length} times: ${reasons.join(', ')}`]
    if (reasons.length === 0) {
      const lost = eventsOf(life, 'nodedown', entry.peer).find(
        down => down.at > entry.at + TOLD_MS && down.at < end - TOLD_MS,
      )
      return lost === undefined || life.ended !== undefined
        ? []
        : [`${what} did not fire when its session was lost`]
    }
    return groundless(life, lives, entry, reasons[0]!).map(text => `${what} ${text}`)
  })
}

function groundless(
  life: Life,
  lives: readonly Life[],
  watch: Extract<Entry, { type: 'watch' }>,
  reason: string,
): string[] {
  const downAt = life.entries.find(entry => entry.type === 'down' && entry.id === watch.id)?.at ?? 0
  const alive = lives.some(
    other =>
      other.ended === undefined &&
      eventsOf(other, 'started', watch.peer).some(({ why }) => why === watch.pid),
  )
  if (reason === 'noconnection') {
    return sessionChanged(life, watch.peer, watch.at, downAt)
      ? []
      : ['fired with noconnection within a session']
  }
  return alive ? [`fired with ${reason} though the process lives`] : []
}

/** `nodedown` only after `nodeup`, `member:down` or `member:left` only after `member:up`, and so on, for each peer. */
function alternating(life: Life): string[] {
  const broken: string[] = []
  for (const [up, downs] of [
    ['nodeup', ['nodedown']],
    ['member:up', ['member:down', 'member:left']],
  ] as const) {
    const there = new Map<string, boolean>()
    for (const entry of life.entries) {
      if (entry.type !== 'event' || (entry.event !== up && !downs.includes(entry.event as never))) continue
      // A next life may come up before the last one is told of as down.
      if (entry.event !== up && there.get(entry.peer) !== true) {
        broken.push(`${entry.event} of ${entry.peer} (${entry.why}) though it was not up`)
      }
      there.set(entry.peer, entry.event === up)
    }
  }
  return broken
}

function called(life: Life, pausedMs: number): string[] {
  return life.entries.flatMap(entry => {
    if (entry.type !== 'unanswered') return []
    if (!FAILURES.includes(entry.code)) return [`a call to ${entry.to} failed with ${entry.code}`]
    const late = entry.ms - CALL_TIMEOUT_MS - CALL_LATE_MS - pausedMs
    return late > 0 ? [`a call to ${entry.to} waited ${Math.round(entry.ms)} ms for ${entry.code}`] : []
  })
}

/** When each of the nodes first saw such an event after `since`, in ms from then; `undefined` for those that did not. */
export function firstSeen(
  lives: readonly Life[],
  nodes: readonly string[],
  since: number,
  event: string,
  peer: string,
): (number | undefined)[] {
  return nodes.map(node => {
    const seen = lives
      .filter(life => life.node === node)
      .flatMap(life => eventsOf(life, event, peer))
      .find(entry => entry.at >= since)
    return seen === undefined ? undefined : seen.at - since
  })
}

/** When a watch of that peer's process first fired after `since`, in ms from then. */
export function firstFired(life: Life, peer: string, since: number): number | undefined {
  const watches = new Set(
    life.entries
      .filter(entry => entry.type === 'watch' && entry.peer === peer)
      .map(entry => ('id' in entry ? entry.id : 0)),
  )
  const down = life.entries.find(entry => entry.type === 'down' && entry.at >= since && watches.has(entry.id))
  return down === undefined ? undefined : down.at - since
}
