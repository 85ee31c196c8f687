/**
 * Puts each bug of this folder into a copy of the tree, compiles the files that it is in, and runs what must find it.
 *
 *   npm run mutants [-- NAME …]      a table; exit status 1 when a patch does not apply or a bug is not found
 *
 * A bug may make what runs it hang or grow. So each runs in a process group of its own, which is killed with all its
 * children when it is over, when its time is up, and when this process ends, however it ends.
 */
import { spawn } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import ts from 'typescript'
import { applied, type Mutant, mutants, rootFolder } from './patches.js'

const RUN_MS_MAX = 15 * 60_000
/** What findings are read from. */
const TEXT_MAX = 1_000_000

interface Finding {
  readonly applied: boolean
  readonly found: boolean
  readonly at: string
  readonly rule: string
}

/** As the folder is compiled, so that a run finds the mutant where it would find the original. */
function compile(file: string, text: string, folder: string): void {
  const { outputText, diagnostics = [] } = ts.transpileModule(text, {
    fileName: file,
    reportDiagnostics: true,
    compilerOptions: {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.ESNext,
      verbatimModuleSyntax: true,
    },
  })
  const [wrong] = diagnostics
  if (wrong !== undefined) throw new SyntaxError(ts.flattenDiagnosticMessageText(wrong.messageText, ' '))
  const target = join(folder, '.build', file.replace(/\.ts$/, '.js'))
  mkdirSync(dirname(target), { recursive: true })
  writeFileSync(target, outputText)
}

async function tried(mutant: Mutant, root: string, folder: string): Promise<Finding> {
  const read = (file: string): string => readFileSync(join(root, file), 'utf8')
  const changed: string[] = []
  try {
    for (const [file, text] of applied(mutant, read)) {
      changed.push(file)
      compile(file, text, folder)
    }
  } catch (error) {
    return { applied: false, found: false, at: '', rule: (error as Error).message }
  }
  const { status, text } = await run(mutant.foundBy, folder)
  for (const file of changed) {
    const script = join('.build', file.replace(/\.ts$/, '.js'))
    cpSync(join(root, script), join(folder, script))
  }
  return { applied: true, ...findingIn(status, text) }
}

const groups = new Set<number>()

function killGroup(pid: number): void {
  groups.delete(pid)
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // They have all ended by themselves.
  }
}

function run(
  [command = '', ...args]: readonly string[],
  cwd: string,
): Promise<{ status: number | null; text: string }> {
  return new Promise(resolve => {
    const program = command === 'node' ? process.execPath : command
    const child = spawn(program, args, { cwd, detached: true, stdio: ['ignore', 'pipe', 'ignore'] })
    let text = ''
    const pid = child.pid
    const end = (status: number | null): void => {
      clearTimeout(timer)
      if (pid !== undefined) killGroup(pid)
      resolve({ status, text })
    }
    const timer = setTimeout(() => {
      text += `\nno end within ${RUN_MS_MAX / 60_000} minutes`
      end(null)
    }, RUN_MS_MAX)
    if (pid !== undefined) groups.add(pid)
    child.stdout.setEncoding('utf8')
    child.stdout.on('data', (chunk: string) => {
      if (text.length < TEXT_MAX) text += chunk
    })
    child.on('error', error => {
      text += error.message
      end(null)
    })
    child.on('close', end)
  })
}

/** Where and by which rule: of a run by seeds its first, of a test the first that failed. */
function findingIn(status: number | null, text: string): Omit<Finding, 'applied'> {
  const [, seed, rule] = /^seed (\d+):.*\n\s*(.*)$/m.exec(text) ?? []
  const test = /^\s*not ok \d+ - (.*)$/m.exec(text)?.[1]
  const found = status !== 0 && status !== null && (seed !== undefined || test !== undefined)
  if (!found) return { found, at: '', rule: status === 0 ? 'not found' : text.trim().slice(-200) }
  return {
    found,
    at: seed === undefined ? 'a test' : `seed ${seed}`,
    rule: (rule ?? test ?? '').replace(/( \(|, at | at \d).*/, '').slice(0, 100),
  }
}

const root = rootFolder()
const wanted = process.argv.slice(2)
const all = mutants(root).filter(({ name }) => wanted.length === 0 || wanted.includes(name))
const folder = mkdtempSync(join(tmpdir(), 'troupe-mutants-'))
process.once('exit', () => {
  for (const pid of [...groups]) killGroup(pid)
  rmSync(folder, { recursive: true, force: true })
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130))

for (const name of ['.build', 'test', 'package.json'])
  cpSync(join(root, name), join(folder, name), { recursive: true })
symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
console.log('| mutant | applied | found by | in | law |\n| --- | --- | --- | --- | --- |')
let missed = 0
for (const mutant of all) {
  const begin = performance.now()
  const finding = await tried(mutant, root, folder)
  const seconds = ((performance.now() - begin) / 1_000).toFixed(0)
  if (!finding.found) missed += 1
  console.log(
    `| ${mutant.name} | ${finding.applied ? 'yes' : '**no**'} | ${finding.found ? finding.at : '**not found**'} | ${seconds} s | ${finding.rule} |`,
  )
}
console.log(
  `# { total: ${all.length}, pass: ${all.length - missed}${missed > 0 ? `, fail: ${missed}` : ''} }`,
)
process.exitCode = missed > 0 || all.length === 0 ? 1 : 0
