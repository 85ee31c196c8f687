/** I1 and I2: what was sent from one process to another arrives in order, once, and without holes in a session. */
import type { History, ReceivedMessage, SentMessage } from './history.js'
import { homeOf, nodeOf } from './homes.js'
import type { Checked } from './world.js'

/** `resting`: what was sent last has arrived by now. */
export function checkMessages({ mesh, history }: Checked, resting = true): string[] {
  const wrong: string[] = []
  for (const [pair, received] of history.received) {
    const sent = history.sent.get(pair) ?? []
    for (const [i, message] of received.entries()) {
      const before = received[i - 1]
      const problem = before === undefined ? undefined : step(before, message, sent)
      if (problem !== undefined) wrong.push(`${problem} (${pair})`)
    }
  }
  for (const [pair, sent] of resting ? history.sent : []) {
    const [from, to] = pair.split('→') as [string, string]
    const missing = lastMissing(sent, history.received.get(pair) ?? [])
    if (missing === undefined || !homeOf(mesh, to)?.alive || homeOf(mesh, from) === undefined) continue
    if (missing.atMs > lastChange(history, from, to))
      wrong.push(`I1: number ${missing.seq}, sent at ${missing.atMs} ms, never arrived (${pair})`)
  }
  return wrong
}

/** From one received message to the next. */
function step(
  before: ReceivedMessage,
  next: ReceivedMessage,
  sent: readonly SentMessage[],
): string | undefined {
  if (next.seq === before.seq) return `I2: number ${next.seq} arrived twice`
  if (next.seq < before.seq) return `I1: number ${next.seq} arrived after ${before.seq}`
  const lost = sent.filter(({ seq, refused }) => seq > before.seq && seq < next.seq && !refused)
  if (lost.length === 0 || before.epoch !== next.epoch) return undefined
  return `I1: ${lost.length} numbers from ${lost[0]?.seq} are missing before ${next.seq}, at ${next.atMs} ms, within one session`
}

const lastMissing = (sent: readonly SentMessage[], received: readonly ReceivedMessage[]) => {
  const last = sent.at(-1)
  return last === undefined || last.refused || received.at(-1)?.seq === last.seq ? undefined : last
}

/** When the session between two nodes last came or went, as either of them saw it. */
function lastChange(history: History, from: string, to: string): number {
  const [a, b] = [nodeOf(from), nodeOf(to)]
  const at = (x: string, y: string) => history.sessionsOf(x, y).at(-1)?.atMs ?? 0
  return a === b ? -1 : Math.max(at(a, b), at(b, a))
}
