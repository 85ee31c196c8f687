/** The first module of a thread: it runs one exported function and answers once. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import type { ThreadJob } from '../base/runtime.js'
import type { ThreadAnswer } from './thread.js'

async function run({ module, name, args }: ThreadJob): Promise<unknown> {
  const found: unknown = ((await import(module)) as Record<string, unknown>)[name]
  if (typeof found !== 'function') throw new TypeError(`runInWorker: ${module} exports no function ${name}`)
  return found(...args)
}

function answer(port: MessagePort, given: ThreadAnswer): void {
  try {
    port.postMessage(given)
  } catch (error) {
    // Its own class cannot be cloned either.
    port.postMessage({ error: new TypeError(`runInWorker: what came of it cannot be cloned: ${error}`) })
  }
}

if (parentPort !== null) {
  const port = parentPort
  run(workerData as ThreadJob).then(
    ok => answer(port, { ok }),
    error => answer(port, { error }),
  )
}
