#!/usr/bin/env node
import { check, here, runInWorld } from './world.mjs'

const USAGE = `netlab check                            say what this machine can do
netlab enter [--timeout SECONDS] -- CMD  run a command inside a world of its own
netlab selftest                         prove every fault works here
`

const [verb, ...rest] = process.argv.slice(2)

function requireWorld() {
  const c = check()
  if (c.ok) return
  process.stderr.write(c.problems.map(p => `netlab: ${p}\n`).join(''))
  process.exit(69)
}

switch (verb) {
  case 'check': {
    const c = check()
    process.stdout.write(
      [
        `worlds (cut, pause, kill, crash, skew): ${c.ok ? 'yes' : `no: ${c.problems.join('; ')}`}`,
        `shaping (delay, loss, reorder, rate): ${c.ok && c.shape ? 'yes' : `no${c.shapeProblem ? `: ${c.shapeProblem}` : ''}`}`,
        `reset connections: ${c.ok && c.reset ? 'yes' : `no${c.reset ? '' : ': `ss` not found'}`}`,
        '',
      ].join('\n'),
    )
    process.exit(c.ok ? 0 : 69)
    break
  }
  case 'enter': {
    let timeoutMs = 600_000
    if (rest[0] === '--timeout') {
      timeoutMs = Number(rest[1]) * 1000
      rest.splice(0, 2)
    }
    if (rest[0] === '--') rest.shift()
    if (!rest.length || !(timeoutMs > 0)) {
      process.stderr.write(USAGE)
      process.exit(64)
    }
    requireWorld()
    process.exit(await runInWorld(rest, { timeoutMs }))
    break
  }
  case 'selftest':
    requireWorld()
    process.exit(
      await runInWorld([process.execPath, '--test', '--test-concurrency=1', here('selftest.mjs')], {
        timeoutMs: 180_000,
      }),
    )
    break
  default:
    process.stderr.write(USAGE)
    process.exit(verb === undefined || verb === 'help' || verb === '--help' ? 0 : 64)
}
