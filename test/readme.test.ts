/**
 * The README and the documents are true: its shell blocks are run in a fresh folder and print what it shows, snippets
 * compile, those of a document that are marked run, its set-up commands are where a newcomer's tool looks for them.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import ts from 'typescript'

function root(from = import.meta.dirname): string {
  return existsSync(join(from, 'package.json')) ? from : root(dirname(from))
}

// Some thirty processes are started, on a machine that may have other things to do.
t.setTimeout(180_000)

const ROOT = root()
const README = readFileSync(join(ROOT, 'README.md'), 'utf8')

interface Block {
  readonly language: string
  readonly text: string
  /** The comment on the line before: `run` for `<!-- run -->`. */
  readonly mark: string | undefined
}

const blocksOf = (page: string): readonly Block[] =>
  [...page.matchAll(/(?:^<!-- ([\w:]+) -->\n)?^```(\w*)\n([\s\S]*?)^```$/gm)].map(
    ([, mark, language, text]) => ({ mark, language: language!, text: text! }),
  )
const blocks = blocksOf(README)

t.test('the two set-up commands are marked, and one line each', async t => {
  const marked = (mark: string): string[] =>
    blocks.filter(block => block.mark === mark).map(block => block.text)
  t.strictSame(marked('setup:run'), ['npm ci --ignore-scripts && npm run demo\n'])
  t.strictSame(marked('setup:test'), ['npm ci --ignore-scripts && npm test\n'])
})

t.test('what is marked to be run prints what stands below it', async t => {
  const shells = blocks.flatMap((block, i) =>
    block.mark === 'run' ? [{ block, shown: blocks[i + 1]! }] : [],
  )
  t.equal(shells.length, 2, 'all of them')
  for (const [i, { block, shown }] of shells.entries()) {
    const said = await runShell(t, await onFreePorts(block.text))
    t.same(normal(said.output), normal(shown.text), `block ${i + 1} prints what is shown`)
    t.equal(said.status, 0, `block ${i + 1} ends with 0`)
  }
})

t.test('every snippet of README and documents compiles, and those that are marked run', async t => {
  const pages = ['README.md', ...readdirSync(join(ROOT, 'docs')).map(name => join('docs', name))]
  const snippets = pages.filter(page => page.endsWith('.md')).flatMap(writeSnippets)
  t.ok(snippets.length >= 12, 'there are snippets')
  const files = snippets.map(({ path }) => path)
  const program = ts.createProgram(files, compilerOptions())
  const wrong = ts.getPreEmitDiagnostics(program).map(diagnostic => {
    const text = ts.flattenDiagnosticMessageText(diagnostic.messageText, '\n')
    return `${diagnostic.file?.fileName}: ${text}`
  })
  t.strictSame(wrong, [])
  // Beside their sources, from where `troupe` is this package as it was built.
  for (const path of files) {
    program.emit(program.getSourceFile(path), (name, text) =>
      writeFileSync(join(dirname(path), basename(name)), text),
    )
  }
  const marked = snippets.filter(({ mark }) => mark === 'run')
  t.ok(marked.length >= 5, 'there are some to run')
  for (const { path } of marked) {
    const { status, stderr } = spawnSync(process.execPath, [path.replace(/ts$/, 'js')], { encoding: 'utf8' })
    t.strictSame({ status, stderr }, { status: 0, stderr: '' }, path.slice(ROOT.length))
  }
})

interface Snippet {
  readonly path: string
  readonly mark: string | undefined
}

function writeSnippets(page: string): readonly Snippet[] {
  const folder = join(ROOT, '.build', 'snippets', page)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  return blocksOf(readFileSync(join(ROOT, page), 'utf8'))
    .filter(({ language }) => language === 'ts')
    .map(({ text, mark }, i) => {
      const name = /^export (?:const|async function) (\w+)/m.exec(text)?.[1] ?? `snippet-${i + 1}`
      const path = join(folder, `${name}.ts`)
      // A snippet without imports or exports is a module all the same.
      writeFileSync(path, `${text}\nexport {}\n`)
      return { path, mark }
    })
}

function compilerOptions(): ts.CompilerOptions {
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), path => readFileSync(path, 'utf8')) as {
    config: { compilerOptions: object }
  }
  const options = { ...config.compilerOptions, rootDir: '.', declaration: false, declarationMap: false }
  return {
    ...ts.convertCompilerOptionsFromJson(options, ROOT).options,
    paths: {
      troupe: [join(ROOT, 'lib/index.ts')],
      'troupe/testing': [join(ROOT, 'lib/testing.ts')],
    },
    typeRoots: [join(ROOT, 'node_modules/@types')],
  }
}

/** Without what differs from run to run: pids and ports; and columns as wide as those happen to be. */
function normal(text: string): string[] {
  return text
    .replace(/<([a-z0-9_.-]+)\.[0-9a-f]{12}\.\d+>/g, '<$1.PID>')
    .replace(/127\.0\.0\.1:\d+/g, '127.0.0.1:PORT')
    .trimEnd()
    .split('\n')
    .map(line => line.trimEnd().replace(/ {2,}/g, '  '))
}

/** The same text with ports that are free on this machine. */
async function onFreePorts(text: string): Promise<string> {
  const shown = [...new Set(text.match(/\b700\d\b/g))]
  // The default of every command that names no port.
  const ports = await Promise.all(shown.map(() => freePort()))
  const [first] = ports
  return `export TROUPE_CONNECT=127.0.0.1:${first}\n${shown.reduce((all, port, i) => all.replaceAll(port, String(ports[i])), text)}`
}

function freePort(): Promise<number> {
  return new Promise(resolve => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}

/** A folder as a user has it after `npm install troupe`. */
function freshFolder(t: Test): { folder: string; bin: string } {
  const folder = mkdtempSync(join(tmpdir(), 'troupe-readme-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const bin = join(folder, 'node_modules', '.bin')
  mkdirSync(bin, { recursive: true })
  symlinkSync(ROOT, join(folder, 'node_modules', 'troupe'))
  writeFileSync(
    join(bin, 'troupe'),
    `#!/bin/sh\nexec '${process.execPath}' '${join(ROOT, 'dist/cli/main.js')}' "$@"\n`,
  )
  chmodSync(join(bin, 'troupe'), 0o755)
  return { folder, bin }
}

async function runShell(t: Test, script: string): Promise<{ output: string; status: number | null }> {
  const { folder, bin } = freshFolder(t)
  const shell = spawn('sh', ['-e', '-c', `exec 2>&1\n${script}`], {
    cwd: folder,
    env: {
      ...process.env,
      PATH: `${bin}:${process.env['PATH']}`,
      NODE_OPTIONS: '',
      TROUPE_SECRET: undefined,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  })
  t.teardown(() => killGroup(shell))
  let output = ''
  shell.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  const status = await new Promise<number | null>(resolve => shell.once('close', resolve))
  return { output, status }
}

/** The nodes that a block which failed half-way has left behind. */
function killGroup(shell: ChildProcess): void {
  try {
    process.kill(-shell.pid!, 'SIGKILL')
  } catch {
    // They ended by themselves.
  }
}
