/** Runs the modules it is given, one after the other, and writes a line of JSON for each: what it printed and left. */

import { writeSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import type { Ran } from './snippets.js'

const streams = [process.stdout, process.stderr] as const
let output = ''
for (const stream of streams) {
  stream.write = (chunk: string | Uint8Array) => {
    output += chunk
    return true
  }
}

/** Handles that keep a process alive. */
const alive = (): string[] =>
  process.getActiveResourcesInfo().filter(name => !/Pipe|TTY|Immediate/.test(name))

for (const path of process.argv.slice(2)) {
  output = ''
  const before = alive()
  let error: string | undefined
  await import(pathToFileURL(path).href).catch(thrown => {
    error = String(thrown?.stack ?? thrown)
  })
  await setImmediate() // what was closed is gone after a turn
  const left = alive()
  for (const name of before) left.splice(left.indexOf(name), left.includes(name) ? 1 : 0)
  writeSync(1, `${JSON.stringify({ output, error, left } satisfies Ran)}\n`)
}
process.exit() // whatever was left behind has been told
