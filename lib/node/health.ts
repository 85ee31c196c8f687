/** Whether a node is ready and live, and why not. Pure. */
import type { HealthReason, NodeHealth } from '../actor/api.js'

/** A loop that was late by more is stuck, for those who restart what is stuck. */
const STUCK_MS = 5_000

export interface Signs extends Pick<NodeHealth, 'state' | 'members' | 'sessions' | 'loopLagMs' | 'quorum'> {
  readonly closedSlots: number
}

const STATES = { starting: 'starting', running: undefined, stopping: 'leaving', stopped: 'stopped' } as const

export function healthOf({ closedSlots, ...signs }: Signs): NodeHealth {
  const { state, loopLagMs, quorum } = signs
  const unready: HealthReason[] = []
  const why = STATES[state]
  if (why !== undefined) unready.push({ why })
  else if (!quorum.quorate) unready.push({ why: 'quorum', counted: quorum.counted, needed: quorum.needed })
  else if (closedSlots > 0) unready.push({ why: 'names', slots: closedSlots })
  const stuck = loopLagMs > STUCK_MS
  return {
    ready: unready.length === 0 && !stuck,
    live: state !== 'stopped' && !stuck,
    reasons: stuck ? [...unready, { why: 'loop', lagMs: loopLagMs }] : unready,
    ...signs,
  }
}

export const reasonText = (reason: HealthReason): string => {
  switch (reason.why) {
    case 'names':
      return `nobody decides about ${reason.slots} slots of names`
    case 'quorum':
      return `it has ${reason.counted} of the ${reason.needed} votes that its partition policy needs`
    case 'loop':
      return `its event loop ran ${Math.round(reason.lagMs)} ms late`
    default:
      return `it is ${reason.why === 'stopped' ? 'gone' : reason.why}`
  }
}
