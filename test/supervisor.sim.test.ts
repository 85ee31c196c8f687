/** Random supervision trees on virtual time, and the bugs that they must find. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { InitContext } from '../lib/actor/api.js'
import { defineActor } from '../lib/actor/define.js'
import { child } from '../lib/supervisor/child-spec.js'
import { startSupervisor } from '../lib/supervisor/supervisor.js'
import { createTestMesh } from '../lib/testing.js'
import { applied, mutants, parse, rootFolder } from './mutants/patches.js'
import { keptSeeds } from './sim/run.js'
import { runTrees } from './sim/tree-world.js'

t.setTimeout(300_000)

t.test('trees that once broke a law keep it', async t => {
  for (const seed of keptSeeds('trees')) t.strictSame((await runTrees(seed)).violations, [], `seed ${seed}`)
})

t.test('a hundred and fifty random trees break no law, and twenty run twice are the same run', async t => {
  for (let seed = 5_001; seed <= 5_150; seed++) {
    const first = await runTrees(seed)
    if (first.violations.length > 0) t.strictSame(first.violations, [], `seed ${seed}`)
    if (seed > 5_020) continue
    const again = await runTrees(seed)
    t.strictSame([again.hash, again.events], [first.hash, first.events], `seed ${seed}, twice`)
  }
})

const patient = defineActor('patient', {
  init: (_: undefined, ctx: InitContext) => {
    ctx.trapExit(true)
    return {}
  },
  terminate: () => new Promise<void>(() => {}),
})

t.test('a supervisor that finds no room to wait for its children does not count as waiting', async t => {
  const init = (_: undefined, ctx: InitContext) => ({ was: ctx.trapExit(true) })
  const plain = defineActor('plain', { init }) // ends in its own turn, not at once
  const mesh = await createTestMesh({ nodes: 1, seed: 1, options: { limits: { processesMax: 20 } } })
  const node = mesh.node('a')
  const tree = await mesh.run(startSupervisor(node, { children: [child(plain)] }))
  for (let left = 20 - node.processes().length; left > 0; left--) await mesh.run(node.spawn(plain))
  node.exit(tree.pid, 'shutdown')
  await mesh.advance(3_000)
  t.equal(node.stats().counters['supervisor.stopping'] ?? 0, 0)
  await mesh.stop()
})

t.test('a supervisor that waits for a child to stop has not escaped the simulation', async t => {
  const mesh = await createTestMesh({ nodes: 1, seed: 1 })
  const tree = await mesh.run(
    startSupervisor(mesh.node('a'), { children: [child(patient, { shutdownMs: 4_000 })] }),
  )
  mesh.node('a').exit(tree.pid, 'shutdown') // nobody waits for the answer
  await mesh.advance(3_000)
  t.equal(mesh.node('a').stats().counters['supervisor.stopping'], 1)
  await mesh.advance(2_000)
  t.match(mesh.node('a').stats().counters, { 'supervisor.stopping': 0, 'process.alive': 0 })
  await mesh.stop()
})

t.test('every bug that is kept as a patch can still be put in', async t => {
  const root = rootFolder()
  const git = spawnSync('git', ['rev-parse', '--is-inside-work-tree'], { cwd: root }).status === 0
  const all = mutants(root)
  for (const mutant of all) {
    const files = applied(mutant, file => readFileSync(join(root, file), 'utf8'))
    t.ok(files.size > 0, `${mutant.name}: ${mutant.bug}`)
    if (!git) continue
    const check = spawnSync('git', ['apply', '--check', join('test', 'mutants', `${mutant.name}.patch`)], {
      cwd: root,
      encoding: 'utf8',
    })
    t.equal(check.stderr, '', `${mutant.name}, by git`)
  }
  if (!git) t.comment('no git checkout here: held against the files alone')
  t.ok(all.length >= 12, `${all.length} mutants`)
})

t.test('a patch that does not apply, or says not what finds it, is refused by name', async t => {
  const diff = '--- a/lib/x.ts\n+++ b/lib/x.ts\n@@ -1 +1 @@\n-a\n+b\n'
  const patch = parse('p', `bug: b for a\nfound by: node x.js --seeds 5\n\n${diff}`)
  t.strictSame(patch.foundBy, ['node', 'x.js', '--seeds', '5'])
  t.strictSame([...applied(patch, () => 'x\na\ny\n')], [['lib/x.ts', 'x\nb\ny\n']])
  t.throws(
    () => applied(patch, () => 'x\n'),
    /p.patch: expected its lines once in lib\/x.ts, found them 0 times/,
  )
  t.throws(() => applied(patch, () => 'a\na\n'), /found them 2 times/)
  t.throws(() => parse('p', diff), /p.patch: expected a line "bug: …" at its head/)
  t.throws(() => parse('p', 'bug: b\nfound by: x\n'), /p.patch: expected a diff/)
})
