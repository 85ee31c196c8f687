/**
 * Puts each bug of this folder into a copy of the tree, compiles it, and runs what must find it.
 *
 *   npm run mutants [-- NAME …]      a table; exit status 1 when a patch does not apply or a bug is not found
 */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { applied, type Mutant, mutants, rootFolder } from './patches.js'

const RUN_MS_MAX = 15 * 60_000
const COPIED = [
  'lib',
  'test',
  'bench',
  'examples',
  'package.json',
  'tsconfig.json',
  'tsconfig.test.json',
  '.build',
]

interface Finding {
  readonly found: boolean
  readonly at: string
  readonly rule: string
}

function tried(mutant: Mutant, folder: string): Finding {
  const read = (file: string): string => readFileSync(join(folder, file), 'utf8')
  const original = new Map<string, string>()
  try {
    for (const [file, text] of applied(mutant, read)) {
      original.set(file, read(file))
      writeFileSync(join(folder, file), text)
    }
    const tsc = ['node', join('node_modules', 'typescript', 'bin', 'tsc'), '-p', 'tsconfig.test.json']
    const compiled = run(tsc, folder)
    if (compiled.status !== 0) return { found: false, at: '', rule: `does not compile: ${compiled.text}` }
    return findingIn(run(mutant.foundBy, folder))
  } catch (error) {
    return { found: false, at: '', rule: (error as Error).message }
  } finally {
    for (const [file, text] of original) writeFileSync(join(folder, file), text)
  }
}

function run(
  [command = '', ...args]: readonly string[],
  cwd: string,
): { status: number | null; text: string } {
  const program = command === 'node' ? process.execPath : command
  const { status, stdout, error } = spawnSync(program, args, { cwd, timeout: RUN_MS_MAX, encoding: 'utf8' })
  return { status, text: error === undefined ? stdout : `${stdout}\n${error.message}` }
}

/** Where and by which rule: of a run by seeds its first, of a test the first that failed. */
function findingIn({ status, text }: { status: number | null; text: string }): Finding {
  const [, seed, rule] = /^seed (\d+):.*\n\s*(.*)$/m.exec(text) ?? []
  const test = /^\s*not ok \d+ - (.*)$/m.exec(text)?.[1]
  const found = status !== 0 && status !== null && (seed !== undefined || test !== undefined)
  if (!found) return { found, at: '', rule: status === 0 ? 'not found' : text.trim().slice(-200) }
  return {
    found,
    at: seed === undefined ? 'a test' : `seed ${seed}`,
    rule: (rule ?? test ?? '').replace(/( \(|, at ).*/, ''),
  }
}

const root = rootFolder()
const wanted = process.argv.slice(2)
const all = mutants(root).filter(({ name }) => wanted.length === 0 || wanted.includes(name))
const folder = mkdtempSync(join(tmpdir(), 'troupe-mutants-'))
let missed = 0
try {
  for (const name of COPIED) cpSync(join(root, name), join(folder, name), { recursive: true })
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  console.log('| mutant | found at | by |\n| --- | --- | --- |')
  for (const mutant of all) {
    const { found, at, rule } = tried(mutant, folder)
    if (!found) missed += 1
    console.log(`| ${mutant.name} | ${found ? at : '**not found**'} | ${rule} |`)
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
console.log(
  `# { total: ${all.length}, pass: ${all.length - missed}${missed > 0 ? `, fail: ${missed}` : ''} }`,
)
process.exitCode = missed > 0 || all.length === 0 ? 1 : 0
