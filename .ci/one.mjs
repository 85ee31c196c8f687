/** `npm run test:one -- FRAGMENT`: runs the one test file whose name holds FRAGMENT, without the runner (half a second). */
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'

const [fragment, ...rest] = process.argv.slice(2)
const files = readdirSync('.build/test', { recursive: true }).filter(file => file.endsWith('.test.js'))
const matching = files.filter(file => file.includes(fragment ?? ''))
const chosen =
  matching.find(file => file === `${fragment}.test.js`) ?? (matching.length === 1 ? matching[0] : undefined)
if (fragment === undefined || chosen === undefined) {
  console.error(
    `usage: npm run test:one -- FRAGMENT, where FRAGMENT fits one of: ${(matching.length > 0 ? matching : files).sort().join(' ')}`,
  )
  process.exit(64)
}
process.exit(
  spawnSync(process.execPath, ['--enable-source-maps', `.build/test/${chosen}`, ...rest], {
    stdio: 'inherit',
  }).status ?? 137,
)
