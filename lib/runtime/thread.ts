import { Worker } from 'node:worker_threads'
import type { ThreadJob, ThreadRun } from '../base/runtime.js'

/** What `thread-entry.ts` answers with, once. */
export type ThreadAnswer = { readonly ok: unknown } | { readonly error: unknown }

/** Starts a thread for one function. It keeps the operating-system process alive until it ends. */
export function startThread(job: ThreadJob): ThreadRun {
  const worker = new Worker(new URL('./thread-entry.js', import.meta.url), { workerData: job })
  const result = new Promise((resolve, reject) => {
    worker.once('message', (answer: ThreadAnswer) => {
      if ('ok' in answer) resolve(answer.ok)
      else reject(answer.error)
    })
    worker.once('error', reject)
    worker.once('exit', code => reject(new Error(`the thread of ${job.name} ended with ${code}`)))
  })
  return { result, end: () => void worker.terminate() }
}
