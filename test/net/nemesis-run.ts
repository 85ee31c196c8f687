/** One run of random faults on five nodes, which a seed repeats as far as the machine allows. */
import { Cluster, type Finding } from './cluster.js'
import { randomFaults } from './lab.js'
import { keepHistory } from './run-case.js'

export interface NemesisOutcome {
  readonly findings: readonly Finding[]
  readonly steps: number
  readonly kinds: Readonly<Record<string, number>>
  /** Of sessions and members, as all nodes together saw it. */
  readonly sessionsLost: number
  readonly downs: number
  readonly conflicts: number
}

const NODES = 5
/** A pause of the plan lasts as long as chance wants; calls wait with it. */
const LONGEST_PAUSE_MS = 60_000

export async function runNemesis(seed: number, durationMs: number): Promise<NemesisOutcome> {
  const { nemesis, play } = await randomFaults()
  const cluster = await Cluster.whole(NODES)
  const kinds: Record<string, number> = {}
  const plan = nemesis({ seed, nodes: cluster.names, durationMs })
  for (const { op } of plan) kinds[op] = (kinds[op] ?? 0) + 1
  try {
    cluster.pausedMs = LONGEST_PAUSE_MS
    await cluster.each('claim', { on: true })
    const restart = (name: string) => cluster.comeBack(name)
    await play(cluster.lab, plan, { restart, before: step => cluster.before(step) })
    await cluster.unclaimed()
    await cluster.settled()
  } catch (error) {
    cluster.expect(error instanceof Error ? error.message : String(error), false)
  }
  if (cluster.findings.some(({ ok }) => !ok)) keepHistory(`nemesis-${seed}`, cluster)
  await cluster.end()
  return {
    findings: cluster.findings,
    steps: plan.length,
    kinds,
    sessionsLost: cluster.seen('nodedown').length,
    downs: cluster.seen('member:down').length,
    conflicts: cluster.seen('name:conflict').length,
  }
}
