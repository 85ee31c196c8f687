/**
 * The table of faults in its full form, in which soaks last as long as the requirement says:
 *
 *   npm run net:full                            all that has no line yet
 *   npm run net:full -- --only hour,cpu-80      these, again if need be
 *   npm run net:full -- --short                 with the durations of `npm run test:net`
 *   npm run net:full -- --table                 the Markdown table of what has been run
 *
 * Each case leaves a line in `.scratch/net-full.jsonl` (`--file`), so a run goes on where the last one ended. `--note`
 * says under what conditions it ran. Several may run at a time; each has a world of its own.
 */
import { execFileSync } from 'node:child_process'
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { parseArgs } from 'node:util'
import { CASES, type Case } from './cases.js'
import type { Figures, Finding } from './cluster.js'
import { netlab } from './lab.js'

interface Line {
  readonly name: string
  readonly date: string
  readonly commit: string
  readonly note: string
  readonly durationMs: number
  readonly ok: boolean
  readonly seconds: number
  readonly figures: Figures
  readonly failures: readonly Finding[]
  readonly checks: number
}

const MINUTE = 60_000
const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    short: { type: 'boolean', default: false },
    table: { type: 'boolean', default: false },
    file: { type: 'string', default: '.scratch/net-full.jsonl' },
    note: { type: 'string', default: '' },
  },
})

/** The last line of each case. */
function linesOf(file: string): Map<string, Line> {
  const text = existsSync(file) ? readFileSync(file, 'utf8') : ''
  const lines = text
    .split('\n')
    .filter(Boolean)
    .map(line => JSON.parse(line) as Line)
  return new Map(lines.map(line => [line.name, line]))
}

function chosen(): readonly Case[] {
  const names = values.only?.split(',')
  for (const name of names ?? []) {
    if (!CASES.some(one => one.name === name)) {
      throw new RangeError(`--only: expected some of ${CASES.map(one => one.name).join(', ')}, got ${name}`)
    }
  }
  const done = linesOf(values.file)
  return CASES.filter(one => (names === undefined ? !done.has(one.name) : names.includes(one.name)))
}

const lasts = (ms: number): string =>
  ms === 0 ? '' : ms >= 2 * MINUTE ? `${ms / MINUTE} min` : `${ms / 1_000} s`

function table(): string {
  const done = linesOf(values.file)
  const rows = CASES.flatMap(one => {
    const line = done.get(one.name)
    if (line === undefined) return []
    const figures = Object.entries(line.figures).map(([what, figure]) => `${what}: ${figure}`)
    const result = line.ok
      ? `holds (${line.checks} checks)`
      : `**fails**: ${line.failures.map(({ what }) => what).join('; ')}`
    const made = [line.date.slice(0, 16).replace('T', ' '), line.commit, line.note].filter(Boolean).join(', ')
    const what = [one.fault, lasts(line.durationMs)].filter(Boolean).join(', ')
    return [`| \`${one.name}\` | ${what} | ${one.expected} | ${figures.join('; ')} | ${result} | ${made} |`]
  })
  return [
    '| case | fault | expected | measured | result | run |',
    '| --- | --- | --- | --- | --- | --- |',
    ...rows,
  ].join('\n')
}

const commit = (): string => {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
  } catch {
    return process.env['COMMIT'] ?? 'no repository'
  }
}

async function runAll(cases: readonly Case[]): Promise<boolean> {
  const { runCase } = await import('./run-case.js')
  let whole = true
  for (const one of cases) {
    const durationMs = values.short ? (one.short ?? one.full) : one.full
    console.log(`${one.name}: ${one.fault} ${lasts(durationMs)}`)
    const outcome = await runCase(one, durationMs)
    for (const { what, ok, saw } of outcome.findings) {
      console.log(`  ${ok ? 'ok' : 'NOT OK'} ${what}${saw === undefined ? '' : `: ${JSON.stringify(saw)}`}`)
    }
    for (const [what, figure] of Object.entries(outcome.figures)) console.log(`  ${what}: ${figure}`)
    whole &&= outcome.ok
    const line: Line = {
      name: one.name,
      date: new Date().toISOString(),
      commit: commit(),
      note: values.note,
      durationMs,
      ok: outcome.ok,
      seconds: outcome.seconds,
      figures: outcome.figures,
      failures: outcome.findings.filter(({ ok }) => !ok),
      checks: outcome.findings.length,
    }
    mkdirSync(dirname(values.file), { recursive: true })
    appendFileSync(values.file, `${JSON.stringify(line)}\n`)
  }
  return whole
}

if (values.table) {
  console.log(table())
} else {
  const cases = chosen()
  const timeoutMs = cases.reduce((sum, one) => sum + one.full + 10 * MINUTE, 0)
  const skip = (await netlab()).enterWorld({ timeoutMs })
  if (skip !== undefined) throw new Error(skip)
  process.exitCode = (await runAll(cases)) ? 0 : 1
}
