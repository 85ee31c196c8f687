/** Runs one case of the table from its start to what is left of it, and keeps the histories of a run that failed. */
import { mkdirSync, writeFileSync } from 'node:fs'
import type { Case } from './cases.js'
import { Cluster, type Figures, type Finding, now } from './cluster.js'

export interface Outcome {
  readonly ok: boolean
  readonly seconds: number
  readonly figures: Figures
  readonly findings: readonly Finding[]
}

const KEPT = '.scratch/net'

export async function runCase(one: Case, ms: number): Promise<Outcome> {
  const begun = now()
  const nodes = one.nodes ?? 5
  const cluster = await (one.unstarted ? Cluster.forked(nodes, one.load) : Cluster.whole(nodes, one.load))
  try {
    await one.run(cluster, ms)
    await cluster.settled()
  } catch (error) {
    cluster.expect(error instanceof Error ? error.message : String(error), false)
  }
  const ok = cluster.findings.every(finding => finding.ok)
  if (!ok) keepHistory(one.name, cluster)
  await cluster.end()
  return {
    ok,
    seconds: Math.round((now() - begun) / 1_000),
    figures: cluster.figures,
    findings: cluster.findings,
  }
}

/** What every node saw, in order of time, one line each: for whoever asks why. */
export function keepHistory(name: string, cluster: Cluster): void {
  const file = `${KEPT}/${name}.jsonl`
  const lines = cluster.lives
    .flatMap(({ node, entries }) => entries.map(entry => ({ node, ...entry })))
    .sort((a, b) => a.at - b.at)
    .map(entry => `${JSON.stringify(entry)}\n`)
  mkdirSync(KEPT, { recursive: true })
  writeFileSync(file, lines.join(''))
  cluster.expect(`the history of each node is in ${file}`, false)
}
