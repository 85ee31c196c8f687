/**
 * How membership grows with the number of members: crowds of several sizes, one line of JSON each.
 *
 *   npm run scale -- [--sizes 10,32,100,316,1000] [--seed 1] [--out FILE]
 *
 * Times are virtual; `cpuMs` is what this machine took, for one node and one second of its life.
 */
import { appendFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { measure } from './growth.js'

const { values } = parseArgs({
  options: {
    sizes: { type: 'string', default: '10,32,100,316,1000' },
    seed: { type: 'string', default: '1' },
    out: { type: 'string' },
  },
})
const sizes = values.sizes.split(',').map(Number)
const seed = Number(values.seed)
if (!sizes.every(size => Number.isInteger(size) && size > 1) || !Number.isInteger(seed)) {
  throw new RangeError(
    `expected whole numbers above 1 for --sizes and one for --seed, got ${values.sizes}, ${values.seed}`,
  )
}
for (const size of sizes) {
  const line = JSON.stringify(measure(size, seed))
  console.log(line)
  if (values.out !== undefined) appendFileSync(values.out, `${line}\n`)
}
