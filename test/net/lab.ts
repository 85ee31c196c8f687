/** Labs of three nodes for the tests of this folder: real programs, each in a network namespace of its own. */
import type { ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'

/** As far as it is used here; `test/netlab/README.md` tells the rest. */
interface Netlab {
  enterWorld(options: { timeoutMs: number }): string | undefined
  check(): { readonly reset: boolean }
  readonly Lab: { create(options: { nodes: readonly string[] }): Promise<Lab> }
}
export interface Lab {
  readonly nodes: readonly string[]
  address(name: string): string
  fork(name: string, script: string, args?: readonly string[], options?: object): ChildProcess
  cut(a: string, b: string, options?: { oneWay?: boolean }): void
  isolate(name: string): void
  heal(): Promise<void>
  pause(name: string): void
  resume(name: string): void
  kill(name: string): Promise<void>
  reset(a: string, b: string): number
  output(name: string): string
  destroy(): Promise<void>
}

function root(from = import.meta.dirname): string {
  return existsSync(join(from, 'package.json')) ? from : root(dirname(from))
}

export const netlab = (): Promise<Netlab> =>
  import(pathToFileURL(join(root(), 'test/netlab/lab.mjs')).href) as Promise<Netlab>

const PORT = 7_400
const ASK_TIMEOUT_MS = 20_000

export interface Worker {
  readonly child: ChildProcess
  ask<R>(op: string, args?: object): Promise<R>
}

/** Starts the worker program on a node of the lab, and in it a node of the cluster that knows the first one. */
export async function startWorker(lab: Lab, name: string): Promise<Worker> {
  const child = lab.fork(name, join(import.meta.dirname, 'worker.js'), [], { env: { NODE_OPTIONS: '' } })
  const waiting = new Map<number, (answer: { value?: unknown; error?: string }) => void>()
  let last = 0
  const answered = (id: number, what: string) =>
    new Promise<unknown>((resolve, reject) => {
      const timer = setTimeout(() => {
        waiting.delete(id)
        reject(new Error(`${name} did not answer: ${what}\n${lab.output(name)}`))
      }, ASK_TIMEOUT_MS)
      waiting.set(id, ({ value, error }) => {
        clearTimeout(timer)
        if (error === undefined) resolve(value)
        else reject(new Error(`${name}: ${what}: ${error}`))
      })
    })
  child.on('message', (answer: { id: number; value?: unknown; error?: string }) => {
    waiting.get(answer.id)?.(answer)
    waiting.delete(answer.id)
  })
  child.once('exit', (code, signal) => {
    const error = `ended (${signal ?? code}): ${lab.output(name)}`
    for (const tell of waiting.values()) tell({ error })
    waiting.clear()
  })
  const ready = answered(0, 'its start')
  const ask = <R>(op: string, args: object = {}): Promise<R> => {
    const id = ++last
    const answer = answered(id, op)
    child.send({ id, op, ...args })
    return answer as Promise<R>
  }
  await ready
  const seeds = lab.nodes.filter(other => other !== name).map(other => `${lab.address(other)}:${PORT}`)
  await ask('start', { name, listen: `${lab.address(name)}:${PORT}`, seeds })
  return { child, ask }
}

/** Asks again and again until the answer satisfies; fails with the last answer after `withinMs`. */
export async function eventually<R>(
  what: string,
  withinMs: number,
  ask: () => Promise<R>,
  good: (answer: R) => boolean,
): Promise<R> {
  const untilMs = performance.now() + withinMs
  for (;;) {
    const answer = await ask()
    if (good(answer)) return answer
    if (performance.now() > untilMs)
      throw new Error(`not within ${withinMs} ms: ${what}; last seen: ${JSON.stringify(answer)}`)
    await pause(100)
  }
}

export const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))
