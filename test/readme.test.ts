/**
 * The README and the documents are true: its shell blocks are run in a fresh folder and print what it shows, snippets
 * compile, those of a document that are marked run, its set-up commands are where a newcomer's tool looks for them.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { blocksOf, compile, normal, root, runSnippets, writeSnippets } from './support/snippets.js'

// Some thirty processes are started, on a machine that may have other things to do.
t.setTimeout(180_000)

const ROOT = root()
const README = readFileSync(join(ROOT, 'README.md'), 'utf8')

const blocks = blocksOf(README)

t.test('the two set-up commands are marked, and one line each', async t => {
  const marked = (mark: string): string[] =>
    blocks.filter(block => block.mark === mark).map(block => block.text)
  t.strictSame(marked('setup:run'), ['npm ci --ignore-scripts && npm run demo\n'])
  t.strictSame(marked('setup:test'), ['npm ci --ignore-scripts && npm test\n'])
})

t.test('what is marked to be run prints what stands below it', async t => {
  const shells = blocks.filter(({ language, mark }) => language === 'sh' && mark === 'run')
  t.equal(shells.length, 2, 'all of them')
  for (const [i, { text, below = '' }] of shells.entries()) {
    const said = await runShell(t, await onFreePorts(text))
    t.same(normal(said.output), normal(below), `block ${i + 1} prints what is shown`)
    t.equal(said.status, 0, `block ${i + 1} ends with 0`)
  }
})

t.test('every snippet of every document compiles, and those that are marked run', async t => {
  const snippets = writeSnippets()
  t.ok(snippets.length >= 50, `there are ${snippets.length}`)
  t.strictSame(compile(snippets), [], 'tsc has nothing against them')

  const marked = snippets.filter(({ mark }) => mark === 'run')
  t.ok(marked.length >= 20, `there are ${marked.length} to run`)
  for (const [{ at, shown }, { output, error, left }] of runSnippets(marked)) {
    t.equal(error, undefined, `${at} ends well`)
    t.strictSame(normal(output), normal(shown), `${at} prints what stands below it`)
    t.strictSame(left, [], `${at} leaves nothing behind`)
  }
})

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
