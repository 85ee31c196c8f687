/**
 * Runs the benches of the named rooms, all by default: JSON lines on standard output, a table at the end on standard
 * error. `--quick` is one pair of each: whether they work, not how fast.
 *
 *   npm run bench -- [local] [remote] [supervision] [mesh] [name …] [--runs N] [--quick]
 */
import { execFileSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import { localBenches } from './local.js'
import { meshBenches } from './mesh.js'
import { remoteBenches } from './remote.js'
import { supervisionBenches } from './supervision.js'
import { type Bench, compare, type Result, type Spread } from './support.js'

const RUNS = 5
const rooms: Readonly<Record<string, readonly Bench[]>> = {
  local: localBenches,
  remote: remoteBenches,
  supervision: supervisionBenches,
  mesh: meshBenches,
}

const { values, positionals } = parseArgs({
  options: { runs: { type: 'string' }, quick: { type: 'boolean', default: false } },
  allowPositionals: true,
})
const runs = values.quick ? 1 : Number(values.runs ?? RUNS)
if (!Number.isInteger(runs) || runs < 1) throw new RangeError(`--runs: expected a number, got ${values.runs}`)

const all = Object.values(rooms).flat()
const named = (name: string): readonly Bench[] => {
  const found = rooms[name] ?? all.filter(bench => bench.name === name)
  if (found.length > 0) return found
  const known = [...Object.keys(rooms), ...all.map(bench => bench.name)]
  throw new TypeError(`expected one of ${known.join(', ')}; got ${name}`)
}

function commitOf(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
  } catch {
    return 'unknown'
  }
}

function table(results: readonly Result[]): string {
  const rows = results.map(({ name, unit, ours, against, theirs, ratio, cpuRatio }) => [
    name,
    `${short(ours.median)} ${unit}`,
    against,
    theirs === undefined ? '' : `${short(theirs.median)} ${unit}`,
    ratio === undefined ? '' : span(ratio),
    cpuRatio?.toFixed(2) ?? '',
  ])
  const all = [['bench', 'troupe', 'against', '', 'ratio (least to most)', 'of processor time'], ...rows]
  const widths = [0, 1, 2, 3, 4].map(column => Math.max(...all.map(row => (row[column] as string).length)))
  return all.map(row => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')).join('\n')
}

const span = ({ median, min, max }: Spread): string =>
  `${median.toFixed(2)} (${min.toFixed(2)} to ${max.toFixed(2)})`

const short = (n: number): string =>
  n >= 1e6 ? `${(n / 1e6).toFixed(2)}M` : n >= 1e4 ? `${(n / 1e3).toFixed(1)}k` : n.toFixed(0)

const commit = commitOf()
const results: Result[] = []
for (const bench of positionals.length === 0 ? all : positionals.flatMap(named)) {
  results.push(await compare(bench, runs, commit))
}
console.error(`\n${table(results)}`)
