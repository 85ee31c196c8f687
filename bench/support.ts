/**
 * The whole harness. A workload runs in a process of its own and prints one JSON object; a bench runs two systems in
 * turn, A B A B …, so that whatever else the machine does meets both, and compares within each pair.
 *
 *   bench ─▶ pair 1: child A, child B ─▶ pair 2: child A, child B ─▶ … ─▶ a line per system, a line of the ratios
 *
 * It sets no thresholds: absolute figures mean little on a shared machine, and of ratios only medians of pairs do.
 */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

// In the child: one workload.

export type Figures = Readonly<Record<string, number | undefined>>
/** `rate` is what is compared; whatever else it returns becomes a parameter. */
export type Workloads = Readonly<Record<string, () => Promise<Figures>>>

/** Runs the workload that the command line names and prints its figures, with the peak of memory in MB. */
export async function runWorkload(workloads: Workloads): Promise<void> {
  const name = process.argv[2] ?? ''
  const workload = Object.hasOwn(workloads, name) ? workloads[name] : undefined
  if (workload === undefined) {
    throw new TypeError(`expected one of ${Object.keys(workloads).join(', ')}, got ${name}`)
  }
  const figures = await workload()
  const peakMb = process.resourceUsage().maxRSS / 1_024
  console.log(JSON.stringify({ ...figures, peakMb }))
  process.exit(0)
}

export type Speed = {
  readonly rate: number
  /** Operations per second of processor time, collector and compiler included: steadier where others compute too. */
  readonly cpuRate: number
}

/** Operations per second of `body`, which says whether its answer was right, after smaller runs to warm up. */
export async function timed(
  count: number,
  body: (count: number) => Promise<boolean>,
  { warmUp = Math.min(count, 100_000), warmUps = 2 } = {},
): Promise<Speed> {
  let right = true
  for (let i = 0; i < warmUps; i++) right = (await body(warmUp)) && right
  const beginCpu = process.cpuUsage()
  const begin = performance.now()
  right = (await body(count)) && right
  const rate = ratePerSecond(count, begin)
  const { user, system } = process.cpuUsage(beginCpu)
  if (!right) throw new Error('a wrong answer is no result')
  return { rate, cpuRate: (count / (user + system)) * 1_000_000 }
}

/** Calls take longer than sends until they run as fast as they can: a promise and two processes each. */
export const CALLS = { warmUps: 8 }

export const ratePerSecond = (count: number, beginMs: number): number =>
  (count / (performance.now() - beginMs)) * 1_000

/** The value below which that share of all lies. */
export const sortedAt = (values: readonly number[], share: number): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length * share)] ?? Number.NaN

export const loopTurn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

/** What lives on the heap, garbage collected as far as it goes. */
export function heapBytes(): number {
  if (globalThis.gc === undefined) throw new Error('expected to be run with --expose-gc')
  for (let i = 0; i < 4; i++) globalThis.gc()
  return process.memoryUsage().heapUsed
}

export interface Deferred<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
}

export function defer<T>(): Deferred<T> {
  let resolve: (value: T) => void = () => {}
  const promise = new Promise<T>(settle => {
    resolve = settle
  })
  return { promise, resolve }
}

// In the driver: many children.

/** A program of this folder and its arguments, as one of the two sides of a bench. */
export interface Side {
  /** `troupe`, a peer's name, or `bound:<variant>`. */
  readonly system: string
  readonly program: string
  readonly args: readonly string[]
}

export interface Bench {
  readonly name: string
  readonly unit: string
  /** The figure that is compared. Default `rate`. */
  readonly figure?: string | undefined
  /** Other figures that stand in `params`, as medians. */
  readonly shown?: readonly string[] | undefined
  readonly params?: Readonly<Record<string, string | number>> | undefined
  readonly ours: Side
  /** A name: that system is not on this machine. Undefined: there is nothing to compare with. */
  readonly theirs: Side | string | undefined
}

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** One line of the table at the end. */
export interface Result {
  readonly name: string
  readonly unit: string
  readonly ours: Spread
  /** With whom it was compared, or would have been. */
  readonly against: string
  readonly theirs: Spread | undefined
  readonly ratio: Spread | undefined
  /** Median of the pairs, where the benches of a room measure it. */
  readonly cpuRatio: number | undefined
}

/** Runs the pairs of one bench and prints its JSON lines. */
export async function compare(bench: Bench, runs: number, commit: string): Promise<Result> {
  const ours: Figures[] = []
  const theirs: Figures[] = []
  const other = typeof bench.theirs === 'object' ? bench.theirs : undefined
  for (let i = 0; i < runs; i++) {
    ours.push(await runSide(bench.ours))
    if (other !== undefined) theirs.push(await runSide(other))
  }
  const figure = bench.figure ?? 'rate'
  const own = spread(ours.map(run => of(run, figure)))
  const line = (system: string, unit: string, measured: object, params: object): void =>
    console.log(
      JSON.stringify({
        bench: bench.name,
        system,
        unit,
        ...measured,
        runs,
        params,
        node: process.version,
        commit,
      }),
    )
  line(bench.ours.system, bench.unit, own, { ...bench.params, ...medians(bench, ours) })
  const alone = { name: bench.name, unit: bench.unit, ours: own, theirs: undefined, ratio: undefined }
  if (other === undefined) {
    const missing = bench.theirs as string | undefined
    if (missing !== undefined) line(missing, bench.unit, { missing: true }, bench.params ?? {})
    return { ...alone, against: missing === undefined ? '' : `${missing} is missing`, cpuRatio: undefined }
  }
  const result = {
    ...alone,
    against: other.system,
    theirs: spread(theirs.map(run => of(run, figure))),
    ratio: spread(ours.map((run, i) => of(run, figure) / of(theirs[i] as Figures, figure))),
    cpuRatio: ratios(bench, ours, theirs)['cpuRate'],
  }
  line(other.system, bench.unit, result.theirs, { ...bench.params, ...medians(bench, theirs) })
  line(`${bench.ours.system}/${other.system}`, 'ratio', result.ratio, {
    ...bench.params,
    ...ratios(bench, ours, theirs),
  })
  return result
}

function medians(bench: Bench, runs: readonly Figures[]): Record<string, number> {
  const known = (bench.shown ?? []).filter(name => runs[0]?.[name] !== undefined)
  return Object.fromEntries(known.map(name => [name, spread(runs.map(run => of(run, name))).median]))
}

function ratios(bench: Bench, ours: readonly Figures[], theirs: readonly Figures[]): Record<string, number> {
  const known = (bench.shown ?? []).filter(
    name => ours[0]?.[name] !== undefined && theirs[0]?.[name] !== undefined,
  )
  const ratio = (name: string): number =>
    spread(ours.map((run, i) => of(run, name) / of(theirs[i] as Figures, name))).median
  return Object.fromEntries(known.map(name => [name, ratio(name)]))
}

function of(figures: Figures, name: string): number {
  const value = figures[name]
  if (value === undefined) throw new Error(`expected a figure ${name}, got ${JSON.stringify(figures)}`)
  return value
}

export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b)
  const half = sorted.length / 2
  const at = (index: number): number => round(sorted[index] ?? Number.NaN)
  const median = Number.isInteger(half) ? (at(half - 1) + at(half)) / 2 : at(Math.floor(half))
  return { median: round(median), min: at(0), max: at(sorted.length - 1) }
}

/** Four digits: the machine gives no more. */
const round = (value: number): number => Number(value.toPrecision(4))

/** Runs a program in a process of its own and takes its figures from the last line it prints. */
function runSide(side: Side): Promise<Figures> {
  const program = fileURLToPath(new URL(`./${side.program}.js`, import.meta.url))
  const child = spawn(process.execPath, ['--expose-gc', program, ...side.args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let printed = ''
  child.stdout.setEncoding('utf8').on('data', text => {
    printed += text
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', code => {
      const last = printed.trim().split('\n').at(-1)
      if (code === 0 && last !== undefined && last !== '') resolve(JSON.parse(last))
      else reject(new Error(`${side.program} ${side.args.join(' ')} ended with ${code}`))
    })
  })
}
