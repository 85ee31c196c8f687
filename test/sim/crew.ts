/**
 * Runs seeds in processes of their own, as many at once as there are cores to spare. A seed that hangs is a finding like
 * any other: its process is ended, and another takes its place.
 *
 * Nothing outlives the run: a worker ends when its parent is gone, and is killed when it is not needed.
 */
import { type ChildProcess, fork } from 'node:child_process'

/** What is wanted of one seed. */
export interface Task {
  readonly seed: number
  readonly trees: boolean
  readonly mode?: 'safety' | 'liveness' | undefined
  /** Of the seed's faults, those that are to happen, by number. */
  readonly faults?: readonly number[] | undefined
  readonly buggify: boolean
  readonly shrink: boolean
}

export interface Finding {
  readonly seed: number
  readonly violations: readonly string[]
  /** The faults that are left when none can be left out, as lines; and how to run them alone. */
  readonly schedule: readonly string[]
  readonly replay: string
  /** Where the whole log of that run is. */
  readonly log?: string | undefined
  readonly tail: readonly string[]
}

/** Of real time. A seed takes a second or two; a machine may be slow, and a shrinking takes sixty runs. */
const SEED_MS_MAX = 300_000

/** Gives the findings as they come. `true` from `take` ends it. */
export async function runAll(
  tasks: Iterable<Task>,
  workers: number,
  worker: string,
  take: (finding: Finding) => boolean,
): Promise<void> {
  const next = tasks[Symbol.iterator]()
  let over = false
  const crew = new Set<ChildProcess>()
  const killAll = (): void => {
    for (const child of crew) child.kill('SIGKILL')
  }
  process.once('exit', killAll)
  const one = async (): Promise<void> => {
    let child: ChildProcess | undefined
    for (let task = next.next(); !over && !task.done; task = next.next()) {
      if (child === undefined || !child.connected || child.exitCode !== null) {
        child = fork(worker, ['--worker'])
        crew.add(child)
      }
      const finding = await ask(child, task.value)
      if (finding.tail.length === 0) child = dropped(crew, child)
      if (take(finding)) over = true
    }
  }
  await Promise.all(Array.from({ length: workers }, one))
  killAll()
  process.off('exit', killAll)
}

function dropped(crew: Set<ChildProcess>, child: ChildProcess): undefined {
  child.kill('SIGKILL')
  crew.delete(child)
}

function ask(child: ChildProcess, task: Task): Promise<Finding> {
  return new Promise(resolve => {
    const lost = (why: string): void =>
      done({ seed: task.seed, violations: [why], schedule: [], replay: '', tail: [] })
    const timer = setTimeout(
      () => lost(`I17: no end within ${SEED_MS_MAX / 1_000} s of real time`),
      SEED_MS_MAX,
    )
    const onExit = (code: number | null): void => lost(`I17: its process ended with ${code}`)
    const done = (finding: Finding): void => {
      clearTimeout(timer)
      child.off('message', done)
      child.off('exit', onExit)
      resolve(finding)
    }
    child.once('message', done)
    child.once('exit', onExit)
    child.send(task)
  })
}

/** The other end: answers tasks until the parent is gone. */
export function serve(answer: (task: Task) => Promise<Finding>): void {
  process.on('disconnect', () => process.exit())
  process.on('message', task => {
    void answer(task as Task).then(finding => process.send?.(finding))
  })
}
