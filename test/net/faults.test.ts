/**
 * The table of faults in its short form: each row of `cases.ts` on real processes, several labs at a time, and then two
 * short runs of random faults. The full form is `npm run net:full`.
 */
import type { Test } from 'tap'
import { CASES, type Case } from './cases.js'
import type { Finding } from './cluster.js'
import { netlab } from './lab.js'

const { enterWorld, check } = await netlab()
const skip = enterWorld({ timeoutMs: 600_000 }) ?? false
const { default: t } = await import('tap')
const { runCase } = await import('./run-case.js')
const { runNemesis } = await import('./nemesis-run.js')
t.setTimeout(600_000)

const LABS_AT_A_TIME = 3
const SEEDS = [1, 2]
const NEMESIS_MS = 12_000
const can = skip ? undefined : check()

/** Why it cannot run here; where it must, that is a failure. */
function missing(needs: Case['needs']): string | false {
  const why = needs !== undefined && can?.[needs] === false ? `this machine cannot ${needs}` : false
  if (why !== false && process.env['NETLAB_REQUIRED'] === '1') throw new Error(why)
  return skip || why
}

function say(t: Test, findings: readonly Finding[]): void {
  for (const { what, ok, saw } of findings)
    t.ok(ok, what, saw === undefined ? {} : { saw: JSON.stringify(saw) })
}

const rows = (alone: boolean) =>
  CASES.filter(one => one.short !== undefined && (one.alone === true) === alone)

function table(t: Test, cases: readonly Case[]): void {
  for (const one of cases) {
    const title = `${one.name}: ${one.fault}: ${one.expected}`
    void t.test(title, { skip: missing(one.needs), buffered: true }, async t => {
      const { findings, figures } = await runCase(one, one.short!)
      for (const [what, figure] of Object.entries(figures)) t.comment(`${what}: ${figure}`)
      say(t, findings)
    })
  }
}

t.test('several labs at a time', { jobs: LABS_AT_A_TIME }, async t => {
  table(t, rows(false))
  for (const seed of SEEDS) {
    const title = `random faults by seed ${seed} break no law`
    void t.test(title, { skip: missing('shape'), buffered: true }, async t => {
      const { findings, steps } = await runNemesis(seed, NEMESIS_MS)
      t.comment(`${steps} steps`)
      say(t, findings)
    })
  }
})

t.test('one lab after the other, because each takes the whole machine', async t => table(t, rows(true)))
