import { spawn } from 'node:child_process'

/**
 * Runs a command whose standard output is TAP and shows it while it comes. Resolves to the whole text and to the exit
 * status: 124 when it was ended after `timeoutMs`, 137 when a signal ended it.
 */
export function runTap(command, args, { timeoutMs, env = process.env } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['inherit', 'pipe', 'inherit'], env })
    const chunks = []
    let late = false
    const timer =
      timeoutMs &&
      setTimeout(() => {
        late = true
        child.kill('SIGKILL')
      }, timeoutMs)
    child.stdout.on('data', chunk => {
      chunks.push(chunk)
      process.stdout.write(chunk)
    })
    child.once('error', reject)
    child.once('close', code => {
      clearTimeout(timer)
      resolve({ text: Buffer.concat(chunks).toString(), status: late ? 124 : (code ?? 137) })
    })
  })
}
