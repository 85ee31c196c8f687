/**
 * Random worlds by seed, as a command and for the tests.
 *
 *   npm run sim -- --seeds 200 [--from 1]       each seed a world; exit status 1 if a law was broken
 *   npm run sim -- --seed 17 --log              one world, with the end of its log
 *   npm run sim -- --trees --seeds 1000         supervision trees instead of clusters
 *
 * With `--until-found` the first broken law ends it.
 */
import { existsSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { runTrees } from './tree-world.js'
import { runSeed } from './world.js'

/** Seeds that once failed: files named by their number, in `test/seeds`, those of trees in `test/seeds/trees`. */
export function keptSeeds(...below: readonly 'trees'[]): number[] {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder)
  const kept = join(folder, 'test', 'seeds', ...below)
  return (existsSync(kept) ? readdirSync(kept) : [])
    .map(file => Number.parseInt(file, 10))
    .filter(Number.isInteger)
    .sort((a, b) => a - b)
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '20' },
      from: { type: 'string', default: '1' },
      seed: { type: 'string' },
      log: { type: 'boolean', default: false },
      trees: { type: 'boolean', default: false },
      'until-found': { type: 'boolean', default: false },
    },
  })
  const from = Number(values.seed ?? values.from)
  const count = values.seed === undefined ? Number(values.seeds) : 1
  if (!Number.isInteger(from) || !Number.isInteger(count) || count < 1) {
    throw new RangeError('expected whole numbers for --seeds, --from, --seed')
  }
  const run = values.trees ? runTrees : runSeed
  const kept = values.trees ? keptSeeds('trees') : keptSeeds()
  const fresh = Array.from({ length: count }, (_, i) => from + i)
  const seeds = values.seed === undefined ? [...new Set([...kept, ...fresh])] : fresh
  let failed = 0
  const begin = performance.now()
  for (const [i, seed] of seeds.entries()) {
    const outcome = await run(seed)
    if (outcome.violations.length > 0) {
      failed += 1
      console.log(
        `seed ${seed}: ${outcome.violations.length} violations; replay with npm run sim --${values.trees ? ' --trees' : ''} --seed ${seed} --log`,
      )
      for (const line of outcome.violations.slice(0, 10)) console.log(`  ${line}`)
      if (values['until-found']) break
    }
    if (values.log) console.log(outcome.tail.join('\n'))
    if ((i + 1) % (values.trees ? 100 : 20) === 0)
      console.log(`${i + 1} of ${seeds.length} seeds, ${((performance.now() - begin) / 1_000).toFixed(0)} s`)
  }
  console.log(`${seeds.length} seeds, ${failed} with violations`)
  console.log(
    `# { total: ${seeds.length}, pass: ${seeds.length - failed}${failed > 0 ? `, fail: ${failed}` : ''} }`,
  )
  process.exitCode = failed > 0 ? 1 : 0
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main()
