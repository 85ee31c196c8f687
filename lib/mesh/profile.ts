/**
 * How fast a member is missed. Turn all of it together: what is suspected sooner is suspected wrongly more often.
 *
 *   last byte ── silentMs ──► probed, then through three others ── suspectMs ──► suspect
 *                                            ── suspicionMinMs to MaxMs, never before downMinMs ──► down
 *
 * `lan` suspects 2.5 to 2.75 s after the last sign of life and gives up 4.5 to 6 s after it, up to ten members; the
 * suspicion grows with the logarithm of a larger cluster, because news takes as many rounds longer.
 */
export interface Profile {
  /** How often silence is looked at. */
  readonly tickMs: number
  /** How often something is said on every session. */
  readonly heartbeatMs: number
  /** How often one member is probed in its turn. */
  readonly probeMs: number
  /** How long a probe waits for its answer, times one more than the health score. */
  readonly probeTimeoutMs: number
  /** Silent for so long: probed out of turn. Whoever was heard within it is not suspected by hearsay. */
  readonly silentMs: number
  /** Silent for so long, and probed in vain: suspect. */
  readonly suspectMs: number
  /** How long a suspicion lasts once it is confirmed, and while nobody else shares it. */
  readonly suspicionMinMs: number
  readonly suspicionMaxMs: number
  /** Nobody goes down sooner after a sign of life, whatever others say. */
  readonly downMinMs: number
  /** A session that says nothing for so long ends, though others can still reach its peer. */
  readonly sessionMs: number
  /** How often the whole list is exchanged with one member. */
  readonly pushPullMs: number
}

export const PROFILES = Object.freeze({
  /** One machine, or one rack: down within 2.5 s. */
  local: Object.freeze({
    tickMs: 100,
    heartbeatMs: 200,
    probeMs: 500,
    probeTimeoutMs: 200,
    silentMs: 500,
    suspectMs: 1_000,
    suspicionMinMs: 750,
    suspicionMaxMs: 1_250,
    downMinMs: 1_500,
    sessionMs: 2_500,
    pushPullMs: 30_000,
  }),
  /** One data centre: down within 6 s. */
  lan: Object.freeze({
    tickMs: 250,
    heartbeatMs: 500,
    probeMs: 1_000,
    probeTimeoutMs: 500,
    silentMs: 1_250,
    suspectMs: 2_500,
    suspicionMinMs: 2_000,
    suspicionMaxMs: 3_000,
    downMinMs: 4_000,
    sessionMs: 6_000,
    pushPullMs: 30_000,
  }),
}) satisfies Readonly<Record<string, Profile>>

export type ProfileName = keyof typeof PROFILES
