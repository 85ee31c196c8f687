/**
 * `npm test`: runs every compiled test file. Raw TAP unless a person watches; `--tap FILE` also writes it to FILE.
 * Every other argument goes to tap.
 */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { runTap } from './run-tap.mjs'

const { values, tokens } = parseArgs({ options: { tap: { type: 'string' } }, strict: false, tokens: true })
const args = tokens
  .filter(token => token.kind !== 'option' || token.name !== 'tap')
  .map(token =>
    token.kind === 'positional'
      ? token.value
      : (token.rawName ?? '--') + (token.value ? `=${token.value}` : ''),
  )

if (values.tap === true) {
  console.error('usage: npm test -- [--tap FILE] [arguments of tap]')
  process.exit(64)
}
if (values.tap === undefined && process.stdout.isTTY) {
  process.exit(spawnSync('tap', args, { stdio: 'inherit' }).status ?? 137)
}
const { text, status } = await runTap('tap', ['-R', 'tap', ...args])
if (values.tap !== undefined) writeFileSync(values.tap, text)
process.exit(status)
