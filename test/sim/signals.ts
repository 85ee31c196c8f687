/**
 * I3: a monitor tells of its end exactly once, a link to each side exactly once, and neither after it was taken back.
 * I4: nobody hears of a lost connection that was not lost; no connection is lost, and no member suspected or given up,
 * without a cause.
 */
import type { History, LinkRecord, WatchRecord } from './history.js'
import { creationOf, isAlive, nodeOf } from './homes.js'
import type { Checked } from './world.js'

/** How far back the end of a cause may lie: a suspicion and its slow relatives. */
const CAUSE_MS = 20_000
/** The same, of a suspicion alone. */
const SUSPICION_MS = 10_000

/** `resting`: what happened late has been told by now. */
export function checkSignals(world: Checked, resting = true): string[] {
  const { mesh, history } = world
  const wrong: string[] = []
  for (const [ref, watch] of history.watches) {
    const problem = isAlive(mesh, watch.watcher) ? wrongWatch(world, watch, resting) : undefined
    if (problem !== undefined)
      wrong.push(`${problem} (${ref}: ${watch.watcher} of ${watch.watched}, ${watch.atMs} ms)`)
  }
  for (const link of history.links) {
    const problem = wrongLink(world, link, resting)
    if (problem !== undefined) wrong.push(`${problem} (link ${link.sides.join(' and ')}, ${link.atMs} ms)`)
  }
  return [...wrong, ...lostWithoutCause(history), ...givenUpWithoutCause(history)]
}

function wrongWatch({ mesh, history }: Checked, watch: WatchRecord, resting: boolean): string | undefined {
  if (watch.downsAfterEnd > 0) return 'I3: a down after demonitor'
  if (watch.downs.length > 1) return `I3: ${watch.downs.length} downs of one monitor`
  if (watch.endedMs !== undefined) return undefined
  const down = watch.downs[0]
  if (down === undefined)
    return !resting || isAlive(mesh, watch.watched) ? undefined : 'I3: no down, and its process is gone'
  if (
    down.reason === 'noconnection' &&
    !wasLost(history, watch.watcher, watch.watched, watch.atMs, down.atMs)
  )
    return 'I4: a down with noconnection, and the session was there'
  if (down.reason !== 'noconnection' && isAlive(mesh, watch.watched))
    return `I3: a down with ${String(down.reason)} of a process that lives`
  return undefined
}

function wrongLink({ mesh }: Checked, link: LinkRecord, resting: boolean): string | undefined {
  const alive = link.sides.map(pid => isAlive(mesh, pid)) as [boolean, boolean]
  if (link.exitsAfterUnlink > 0) return 'I3: an exit after unlink'
  for (const side of [0, 1] as const) {
    const { length } = link.exits[side]
    const other = side === 0 ? 1 : 0
    if (length > 1) return `I3: ${length} exits to ${link.sides[side]}`
    if (!resting || link.unlinkedBy !== undefined || !alive[side] || length === 1) continue
    // The second side may never have heard of the link.
    if (!alive[other] && side === 0) return `I3: no exit to ${link.sides[side]}, and the other side is gone`
    if (alive[other] && link.exits[other].length === 1 && side === 0)
      return `I3: the link is broken for ${link.sides[other]} alone`
  }
  return undefined
}

/** Whether the watcher's node had no session with that life of the other at some moment of the monitor's life. */
function wasLost(history: History, watcher: string, watched: string, fromMs: number, toMs: number): boolean {
  const events = history.sessionsOf(nodeOf(watcher), nodeOf(watched))
  const before = events.filter(({ atMs }) => atMs <= fromMs).at(-1)
  if (before?.kind !== 'up' || before.creation !== creationOf(watched)) return true
  return events.some(({ kind, atMs }) => kind === 'down' && atMs >= fromMs && atMs <= toMs + 1)
}

function lostWithoutCause(history: History): string[] {
  const wrong: string[] = []
  for (const [key, events] of history.sessions) {
    const names = key.split(' ')
    for (const { kind, atMs } of events) {
      if (kind === 'down' && !history.troubled(atMs - CAUSE_MS, atMs, ...names))
        wrong.push(`I4: the session ${key} went down at ${atMs} ms without a cause`)
    }
  }
  return wrong
}

/** Two that cannot reach each other stay members while all others reach both: a cut between them is no cause. */
function givenUpWithoutCause(history: History): string[] {
  return history.verdicts.flatMap(({ kind, node, about, atMs, reason }) => {
    const fromMs = atMs - (kind === 'suspected' ? SUSPICION_MS : CAUSE_MS)
    const all = new Set(history.faults.flatMap(({ nodes, ways }) => [...nodes, ...ways.flat()]))
    const helpers = [...all].filter(name => name !== node && name !== about)
    const troubled = (...names: string[]): boolean => history.troubled(fromMs, atMs, ...names)
    const alone =
      history.lossy ||
      helpers.length === 0 ||
      helpers.some(name => troubled(name, node) || troubled(name, about))
    const caused = troubled(node) || troubled(about) || (alone && troubled(node, about))
    return caused ? [] : [`I4: ${node} ${kind} ${about}, for ${reason}, without a cause, at ${atMs} ms`]
  })
}
