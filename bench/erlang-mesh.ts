/**
 * Runs `erlang-mesh.erl` on the Erlang of this machine: compiled into a folder of its own, with a port mapper on loopback.
 *
 *   node erlang-mesh.js WORKLOAD SIZE      prints what the Erlang program prints
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

let root = dirname(fileURLToPath(import.meta.url))
while (!existsSync(join(root, 'package.json'))) root = dirname(root)
const folder = mkdtempSync(join(tmpdir(), 'troupe-erlang-'))
try {
  execFileSync('erlc', ['-o', folder, join(root, 'bench', 'erlang-mesh.erl')], { stdio: 'inherit' })
  const args = ['-noshell', '-pa', folder, '-run', 'erlang-mesh', 'main', ...process.argv.slice(2)]
  const env = { ...process.env, ERL_EPMD_ADDRESS: '127.0.0.1' }
  const printed = execFileSync('erl', args, { cwd: folder, env, encoding: 'utf8', timeout: 120_000 })
  console.log(printed.trim().split('\n').at(-1))
} finally {
  rmSync(folder, { recursive: true, force: true })
}
