/** What is asked of a crowd: how long news takes, what rest costs, who is judged wrongly. */
import { Crowd } from './crowd.js'

/** Of packets and heartbeats 1 in 100 come up to 1.5 s late. */
const ROUGH = { late: 0.01, lateMs: 1_500 }
const IDLE_MS = 60_000
const ROUGH_MS = 60_000
const GIVE_UP_MS = 60_000
const LARGE = 1_000

export interface Growth {
  readonly size: number
  readonly seed: number
  /** Bytes a second and node while nothing happens: heartbeats of all sessions, membership beside them, whole lists. */
  readonly heartbeatBytes: number
  readonly membershipBytes: number
  readonly listBytes: number
  readonly cpuMs: number
  /** A machine is lost: when the first node suspects it, when the first and the last knows that it is down. */
  readonly lostSuspectMs: number
  readonly lostFirstMs: number
  readonly lostLastMs: number
  /** A process is killed: when the last node knows. */
  readonly killedLastMs: number
  /** A record is changed: when the last node knows. */
  readonly updatedLastMs: number
  /** In a minute (above 1,000 members ten seconds) of a rough network, where every second a node begins to stand still for 1 or 2 s: wrong judgements of all. */
  readonly wrongSuspicions: number
  readonly wrongDowns: number
}

/** Measures a crowd of that size; the largest for half as long at rest, and a sixth where it is rough. */
export function measure(size: number, seed: number): Growth {
  const idleMs = size > LARGE ? IDLE_MS / 2 : IDLE_MS
  const roughMs = size > LARGE ? ROUGH_MS / 6 : ROUGH_MS
  const crowd = new Crowd(size, seed)
  crowd.advance(5_000)
  crowd.count()
  const begin = process.cpuUsage()
  crowd.advance(idleMs)
  const { user, system } = process.cpuUsage(begin)
  const cpuMs = (user + system) / size / idleMs
  const idle = crowd.count()
  const rate = (bytes: number): number => Math.round(bytes / size / (idleMs / 1_000))

  const updated = crowd.draw()
  crowd.update(updated)
  const updatedLastMs = lastOf(crowd, 'updated', updated.name, size - 1)

  const lost = crowd.draw()
  crowd.lose(lost)
  const lostLastMs = lastOf(crowd, 'down', lost.name, size - 1)
  const lostMs = crowd.told.filter(({ about }) => about === lost.name)
  const end = crowd.nowMs - lostLastMs
  const since = (tag: string): number =>
    Math.round((lostMs.find(told => told.tag === tag)?.atMs ?? Number.NaN) - end)

  const killed = crowd.draw()
  crowd.kill(killed)
  const killedLastMs = lastOf(crowd, 'down', killed.name, size - 2)

  crowd.told.length = 0
  crowd.rough = ROUGH
  for (let ms = 0; ms < roughMs; ms += 1_000) {
    crowd.pauseSome(1_000 + (ms % 2_000))
    crowd.advance(1_000)
  }
  const wrong = (tag: string): number => crowd.told.filter(told => told.tag === tag).length
  return {
    ...{ size, seed, heartbeatBytes: rate(idle.heartbeats), membershipBytes: rate(idle.membership) },
    ...{ listBytes: rate(idle.lists), cpuMs: Math.round(cpuMs * 1_000) / 1_000 },
    ...{
      lostSuspectMs: since('suspect'),
      lostFirstMs: since('down'),
      lostLastMs,
      killedLastMs,
      updatedLastMs,
    },
    ...{ wrongSuspicions: wrong('suspect'), wrongDowns: wrong('down') },
  }
}

/** How long it takes until `all` have been told that of `about`. */
function lastOf(crowd: Crowd, tag: string, about: string, all: number): number {
  crowd.told.length = 0
  const beginMs = crowd.nowMs
  const knowing = (): readonly { readonly atMs: number }[] =>
    crowd.told.filter(told => told.tag === tag && told.about === about)
  crowd.until(() => knowing().length >= all, GIVE_UP_MS)
  if (knowing().length !== all) throw new Error(`${knowing().length} of ${all} were told: ${about} ${tag}`)
  return Math.round((knowing().at(-1)?.atMs ?? beginMs) - beginMs)
}
