/**
 * `npm run test:net [-- FRAGMENT]`: runs the tests that need network namespaces, one file after the other, and prints
 * a TAP total over all of them. Where no namespace can be made they skip; with NETLAB_REQUIRED=1 they fail instead.
 */
import { readdirSync } from 'node:fs'
import { runTap } from './run-tap.mjs'
import { tapTotal } from './tap-total.mjs'

const FILE_TIMEOUT_MS = 11 * 60_000

const fragment = process.argv[2] ?? ''
const files = readdirSync('.build/test/net')
  .filter(file => file.endsWith('.test.js') && file.includes(fragment))
  .sort()
let passed = 0
let failed = 0
for (const file of files) {
  console.log(`# ${file}`)
  const { text, status } = await runTap(
    process.execPath,
    ['--enable-source-maps', `.build/test/net/${file}`],
    {
      timeoutMs: FILE_TIMEOUT_MS,
    },
  )
  const total = tapTotal(text)
  passed += total?.passed ?? 0
  failed += total?.failed ?? 0
  if (status !== 0 && !total?.failed) failed += 1 // ended early, or never began
}
console.log(`# { total: ${passed + failed}, pass: ${passed}, fail: ${failed} }`)
process.exit(failed === 0 && files.length > 0 ? 0 : 1)
