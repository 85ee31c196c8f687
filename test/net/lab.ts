/** Real programs, each in a network namespace of its own: the labs of `test/netlab` as this folder uses them. */
import type { ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Entry } from './history.js'

/** As far as it is used here; `test/netlab/README.md` tells the rest. */
interface Netlab {
  enterWorld(options: { timeoutMs: number }): string | undefined
  check(): { readonly reset: boolean; readonly shape: boolean; readonly shapeProblem: string | null }
  readonly Lab: { create(options: { nodes: readonly string[]; seed?: number }): Promise<Lab> }
}

export interface Shape {
  readonly delay?: number
  readonly jitter?: number
  readonly loss?: number
  readonly rate?: number
}

export interface Lab {
  readonly nodes: readonly string[]
  address(name: string): string
  fork(name: string, script: string, args?: readonly string[], options?: object): ChildProcess
  cut(a: string, b: string, options?: { oneWay?: boolean }): void
  uncut(a: string, b: string): void
  isolate(name: string): void
  partition(groups: readonly (readonly string[])[]): void
  shape(a: string, b: string, shape: Shape): Promise<void>
  shapeAll(shape: Shape): Promise<void>
  heal(): Promise<void>
  pause(name: string): void
  resume(name: string): void
  throttle(name: string, share: number): () => Promise<void>
  kill(name: string): Promise<void>
  crash(name: string): Promise<void>
  restore(name: string): void
  skew(name: string, ms: number): void
  reset(a: string, b: string): number
  output(name: string): string
  destroy(): Promise<void>
}

export interface Step {
  readonly at: number
  readonly op: string
  readonly node?: string
}
interface Nemesis {
  nemesis(options: { seed: number; nodes: readonly string[]; durationMs: number }): Step[]
  play(
    lab: Lab,
    plan: Step[],
    options: { restart: (name: string) => Promise<void>; before: (step: Step) => void },
  ): Promise<Step[]>
}

function root(from = import.meta.dirname): string {
  return existsSync(join(from, 'package.json')) ? from : root(dirname(from))
}

const load = (file: string): Promise<unknown> => import(pathToFileURL(join(root(), 'test/netlab', file)).href)
export const netlab = (): Promise<Netlab> => load('lab.mjs') as Promise<Netlab>
export const randomFaults = (): Promise<Nemesis> => load('nemesis.mjs') as Promise<Nemesis>

const ASK_TIMEOUT_MS = 120_000

/** A program on a node of the lab, which answers questions and tells its history. */
export interface Worker {
  readonly child: ChildProcess
  ask<R>(op: string, args?: object, timeoutMs?: number): Promise<R>
}

/** Starts the worker program on a node of the lab; resolves when it can be asked. */
export async function startWorker(lab: Lab, name: string, told: (entry: Entry) => void): Promise<Worker> {
  const child = lab.fork(name, join(import.meta.dirname, 'worker.js'), [], {
    env: { NODE_OPTIONS: '' },
    execArgv: ['--expose-gc', '--enable-source-maps'],
  })
  const waiting = new Map<number, (answer: { value?: unknown; error?: string }) => void>()
  let last = 0
  const answered = (id: number, what: string, timeoutMs: number) =>
    new Promise<unknown>((resolve, reject) => {
      const timer = setTimeout(() => {
        waiting.delete(id)
        reject(new Error(`${name} did not answer: ${what}\n${lab.output(name)}`))
      }, timeoutMs)
      waiting.set(id, ({ value, error }) => {
        clearTimeout(timer)
        if (error === undefined) resolve(value)
        else reject(new Error(`${name}: ${what}: ${error}`))
      })
    })
  child.on('message', (said: { id: number; value?: unknown; error?: string } | { entry: Entry }) => {
    if ('entry' in said) return told(said.entry)
    waiting.get(said.id)?.(said)
    waiting.delete(said.id)
  })
  child.once('exit', (code, signal) => {
    const error = `ended (${signal ?? code}): ${lab.output(name)}`
    for (const tell of waiting.values()) tell({ error })
    waiting.clear()
  })
  await answered(0, 'its start', ASK_TIMEOUT_MS)
  return {
    child,
    ask<R>(op: string, args: object = {}, timeoutMs = ASK_TIMEOUT_MS): Promise<R> {
      const id = ++last
      const answer = answered(id, op, timeoutMs)
      child.send({ id, op, ...args }, error => error && waiting.get(id)?.({ error: String(error) }))
      return answer as Promise<R>
    },
  }
}

/** Of the clock that the workers stamp their entries with. */
export const now = (): number => Number(process.hrtime.bigint() / 1_000n) / 1_000

/** Asks again and again until the answer satisfies; fails with the last answer after `withinMs`. */
export async function eventually<R>(
  what: string,
  withinMs: number,
  ask: () => Promise<R> | R,
  good: (answer: R) => boolean,
): Promise<R> {
  const untilMs = now() + withinMs
  for (;;) {
    const answer = await ask()
    if (good(answer)) return answer
    if (now() > untilMs)
      throw new Error(`not within ${withinMs} ms: ${what}; last seen: ${JSON.stringify(answer)}`)
    await pause(50)
  }
}

export const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))
