/**
 * Random worlds by seed, as a command and for the tests.
 *
 *   npm run sim -- --seeds 1000 [--from 1]      each seed a world; exit status 1 if a law was broken
 *   npm run sim -- --minutes 10 [--from 1]      as many as there is time for
 *   npm run sim -- --seed 17 --log              one world; its whole log goes to a file
 *   npm run sim -- --seed 17 --faults 3,8       one world, with only those of its faults
 *   npm run sim -- --trees --seeds 1000         supervision trees instead of clusters
 *
 * Seeds that once failed, kept in test/seeds, run first. A seed that fails is run again with fewer faults, until none of
 * them can be left out. `--keep` adds it to test/seeds. `--until-found` ends at the first, and does not shrink it.
 */
import { createWriteStream, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Finding, runAll, serve, type Task } from './crew.js'
import { faultText } from './faults.js'
import { lawOf, shrink } from './shrink.js'
import { runTrees } from './tree-world.js'
import { type Mode, type Outcome, type RunOptions, runSeed, schemeOf } from './world.js'

const SHOWN_MAX = 10
const WORKERS_MAX = 2

const HELP = `usage: npm run sim -- [--seeds N | --seed N | --minutes M] [--from N] [--mode safety|liveness] [--faults N,N…]
  [--no-buggify] [--no-shrink] [--trees] [--log] [--keep] [--until-found] [--workers N]`

function seedFolder(...below: readonly 'trees'[]): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder)
  return join(folder, 'test', 'seeds', ...below)
}

/** Seeds that once failed: files named by their number, in `test/seeds`, those of trees in `test/seeds/trees`. */
export function keptSeeds(...below: readonly 'trees'[]): number[] {
  const folder = seedFolder(...below)
  return (existsSync(folder) ? readdirSync(folder) : [])
    .map(file => Number.parseInt(file, 10))
    .filter(Number.isInteger)
    .sort((a, b) => a - b)
}

interface Flags {
  readonly seed: number | undefined
  readonly seeds: number
  readonly from: number
  readonly minutes: number | undefined
  readonly mode: Mode | undefined
  readonly faults: readonly number[] | undefined
  readonly buggify: boolean
  readonly shrink: boolean
  readonly trees: boolean
  readonly log: boolean
  readonly keep: boolean
  readonly untilFound: boolean
  readonly workers: number
}

/** What the command line says. Throws, for people to read, when it says nothing that makes sense. */
export function flagsOf(args: readonly string[]): Flags {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seeds: { type: 'string' },
      seed: { type: 'string' },
      from: { type: 'string' },
      minutes: { type: 'string' },
      mode: { type: 'string' },
      faults: { type: 'string' },
      workers: { type: 'string' },
      'no-buggify': { type: 'boolean', default: false },
      'no-shrink': { type: 'boolean', default: false },
      trees: { type: 'boolean', default: false },
      log: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
      'until-found': { type: 'boolean', default: false },
    },
  })
  const number = (
    flag: 'seeds' | 'seed' | 'from' | 'minutes' | 'workers',
    least: number,
  ): number | undefined => {
    const given = values[flag]
    if (given === undefined) return undefined
    if (/^\d+$/.test(given) && Number(given) >= least && Number(given) < 2 ** 32) return Number(given)
    throw new RangeError(`--${flag}: expected a whole number from ${least}, got ${JSON.stringify(given)}`)
  }
  const asked = (['seeds', 'seed', 'minutes'] as const).filter(flag => values[flag] !== undefined)
  if (asked.length > 1) throw new TypeError(`expected one of --${asked.join(' and --')}`)
  const { mode, faults } = values
  if (mode !== undefined && mode !== 'safety' && mode !== 'liveness')
    throw new TypeError(`--mode: expected safety or liveness, got ${JSON.stringify(mode)}`)
  if (faults !== undefined && !/^(\d+(,\d+)*)?$/.test(faults))
    throw new TypeError(`--faults: expected numbers, as in 3,8, got ${JSON.stringify(faults)}`)
  for (const flag of ['log', 'faults'] as const) {
    if (values[flag] && values.seed === undefined) throw new TypeError(`--${flag}: expected with --seed`)
  }
  for (const flag of ['mode', 'faults', 'no-buggify'] as const) {
    if (values[flag] && values.trees) throw new TypeError(`--${flag}: expected without --trees`)
  }
  return {
    seed: number('seed', 0),
    seeds: number('seeds', 1) ?? 20,
    from: number('from', 0) ?? 1,
    minutes: number('minutes', 1),
    mode,
    faults: faults === undefined ? undefined : faults.split(',').filter(Boolean).map(Number),
    buggify: !values['no-buggify'],
    shrink: !values['no-shrink'] && !values['until-found'],
    trees: values.trees,
    log: values.log,
    keep: values.keep,
    untilFound: values['until-found'],
    workers: number('workers', 1) ?? Math.min(WORKERS_MAX, availableParallelism()),
  }
}

function* tasksOf(flags: Flags): Generator<Task> {
  const { seed, seeds, from, minutes, mode, faults, buggify, trees } = flags
  const task = (seed: number): Task => ({ seed, trees, mode, faults, buggify, shrink: flags.shrink })
  if (seed !== undefined) return yield task(seed)
  const kept = trees ? keptSeeds('trees') : keptSeeds()
  for (const old of kept) yield task(old)
  const endMs = performance.now() + (minutes ?? 0) * 60_000
  for (let next = from; minutes === undefined ? next < from + seeds : performance.now() < endMs; next++)
    if (!kept.includes(next)) yield task(next)
}

/** Runs one seed, and again with fewer faults when it fails. */
async function found(task: Task, onLine?: (line: string) => void): Promise<Finding> {
  if (task.trees)
    return { ...(await runTrees(task.seed)), schedule: [], replay: `--trees --seed ${task.seed}` }
  const { seed, mode } = task
  const planned = schemeOf(seed).faults
  const all = task.faults ?? planned.map((_, i) => i)
  const run = (numbers: readonly number[], options: RunOptions = {}): Promise<Outcome> =>
    runSeed(seed, {
      mode,
      buggify: task.buggify,
      faults: planned.filter((_, i) => numbers.includes(i)),
      ...options,
    })
  const first = await run(all, { onLine })
  const law = lawOf(first.violations)
  const fails = async (some: readonly number[]): Promise<boolean> =>
    lawOf((await run(some)).violations) === law
  const left = law !== undefined && task.shrink ? await shrink(all, fails) : all
  const log =
    law !== undefined && task.shrink ? (await logged(seed, onLine => run(left, { onLine }))).log : undefined
  return {
    seed,
    violations: first.violations,
    schedule: planned.flatMap((fault, i) => (left.includes(i) ? [`${i}: ${faultText(fault)}`] : [])),
    replay: `--seed ${seed}${left.length === planned.length ? '' : ` --faults ${left.join()}`}${
      mode === undefined ? '' : ` --mode ${mode}`
    }${task.buggify ? '' : ' --no-buggify'}`,
    log,
    tail: first.tail,
  }
}

function show({ seed, violations, schedule, replay, log }: Finding): void {
  console.log(`seed ${seed}: ${violations.length} violations; replay with npm run sim -- ${replay} --log`)
  for (const line of violations.slice(0, SHOWN_MAX)) console.log(`  ${line}`)
  if (schedule.length > 0) console.log(`  with ${schedule.length} faults:`)
  for (const line of schedule) console.log(`    ${line}`)
  if (log !== undefined) console.log(`  the whole log: ${log}`)
}

/** What a run comes to, and the file that holds all lines of its log. */
async function logged<T>(
  seed: number,
  run: (onLine: (line: string) => void) => Promise<T>,
): Promise<{ readonly result: T; readonly log: string }> {
  const log = join(tmpdir(), `troupe-sim-${seed}.log`)
  const file = createWriteStream(log)
  const result = await run(line => file.write(`${line}\n`))
  await new Promise<void>(resolve => void file.end(resolve))
  return { result, log }
}

/** One seed, here, with its whole log. */
async function replayed(flags: Flags): Promise<Finding> {
  const [task] = tasksOf(flags) as unknown as [Task]
  if (!flags.log) return found(task)
  const { result, log } = await logged(task.seed, onLine => found({ ...task, shrink: false }, onLine))
  console.log(result.tail.join('\n'))
  // Of trees there is the end alone.
  return { ...result, log: task.trees ? undefined : log }
}

function keep({ seed, violations }: Finding, trees: boolean): void {
  const folder = trees ? seedFolder('trees') : seedFolder()
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, `${seed}.md`), `${violations[0]}\n`)
}

async function main(flags: Flags): Promise<void> {
  let total = 0
  let failed = 0
  const begin = performance.now()
  const seconds = (): string => ((performance.now() - begin) / 1_000).toFixed(0)
  const take = (finding: Finding): boolean => {
    total += 1
    if (finding.violations.length === 0 && finding.log !== undefined)
      console.log(`the whole log: ${finding.log}`)
    if (finding.violations.length > 0) {
      failed += 1
      show(finding)
      if (flags.keep) keep(finding, flags.trees)
    }
    if (total % (flags.trees ? 100 : 20) === 0) console.log(`${total} seeds, ${seconds()} s`)
    return flags.untilFound && failed > 0
  }
  if (flags.seed !== undefined) take(await replayed(flags))
  else await runAll(tasksOf(flags), flags.workers, fileURLToPath(import.meta.url), take)
  console.log(`${total} seeds, ${failed} with violations, ${seconds()} s`)
  console.log(`# { total: ${total}, pass: ${total - failed}${failed > 0 ? `, fail: ${failed}` : ''} }`)
  process.exitCode = failed > 0 ? 1 : 0
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv[2] === '--worker') serve(found)
  else {
    try {
      await main(flagsOf(process.argv.slice(2)))
    } catch (error) {
      console.error(`${(error as Error).message}\n${HELP}`)
      process.exitCode = 64
    }
  }
}
