/**
 * Random faults on five real nodes, by seed:
 *
 *   npm run nemesis -- --runs 20 --seconds 30 [--from 1] [--labs 2]
 *   npm run nemesis -- --seed 7 --seconds 30              one run; its history stays in `.scratch/net`
 *
 * Prints a Markdown row for each run, what broke which law below it, and a TAP total. Exit status 1 if a law was broken.
 */
import { parseArgs } from 'node:util'
import { netlab } from './lab.js'
import { runNemesis } from './nemesis-run.js'

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '20' },
    seconds: { type: 'string', default: '30' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    labs: { type: 'string', default: '2' },
  },
})

const wholes = (option: string, text: string): number => {
  const number = Number(text)
  if (Number.isInteger(number) && number > 0) return number
  throw new RangeError(`--${option}: expected a whole number above 0, got ${text}`)
}

const seconds = wholes('seconds', values.seconds)
const runs = values.seed === undefined ? wholes('runs', values.runs) : 1
const from = wholes('seed', values.seed ?? values.from)
const labs = wholes('labs', values.labs)
const SETTLING_MS = 180_000

const skip = (await netlab()).enterWorld({ timeoutMs: runs * (seconds * 1_000 + SETTLING_MS) })
if (skip !== undefined) throw new Error(skip)

const seeds = Array.from({ length: runs }, (_, i) => from + i)
let failed = 0

async function work(): Promise<void> {
  for (let seed = seeds.shift(); seed !== undefined; seed = seeds.shift()) {
    const { findings, steps, kinds, sessionsLost, downs, conflicts } = await runNemesis(seed, seconds * 1_000)
    const broken = findings.filter(({ ok }) => !ok)
    if (broken.length > 0) failed += 1
    const faults = Object.entries(kinds)
      .filter(([op]) => !['uncut', 'unpartition', 'resume', 'restart'].includes(op))
      .map(([op, count]) => `${count} ${op}`)
      .sort()
    const result = broken.length === 0 ? `none in ${findings.length} checks` : `**${broken.length}**`
    console.log(
      `| ${seed} | ${steps} | ${faults.join(', ')} | ${sessionsLost} | ${downs} | ${conflicts} | ${result} |`,
    )
    for (const { what, saw } of broken) console.error(`  seed ${seed}: ${what}: ${JSON.stringify(saw)}`)
  }
}

console.log('| seed | steps | faults | sessions lost | members down | name conflicts | violations |')
console.log('| --- | --- | --- | --- | --- | --- | --- |')
await Promise.all(Array.from({ length: Math.min(labs, runs) }, work))
console.log(`\n${runs} runs of ${seconds} s, ${failed} with violations`)
console.log(`# { total: ${runs}, pass: ${runs - failed}${failed > 0 ? `, fail: ${failed}` : ''} }`)
process.exitCode = failed > 0 ? 1 : 0
