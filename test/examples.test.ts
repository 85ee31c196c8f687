/** Every example runs alone and prints what it says; the main demo loses a node and still counts right. */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { plainCount } from '../examples/word-count/plain.js'
import { countWords } from '../examples/word-count/tokenize.js'

function root(from = import.meta.dirname): string {
  return existsSync(join(from, 'package.json')) ? from : root(dirname(from))
}

// The demo alone takes three times some seconds.
t.setTimeout(180_000)

const ROOT = root()
const BUILT = join(ROOT, '.build', 'examples')

t.test('the small examples print what stands beside them', async t => {
  const names = readdirSync(join(ROOT, 'examples')).filter(name => /^\d\d-/.test(name))
  t.ok(names.length >= 5, 'they are found')
  for (const name of names) {
    const { output, status } = await run([join(BUILT, name, 'main.js')])
    const folder = join(ROOT, 'examples', name)
    const sources = readdirSync(folder).filter(file => file.endsWith('.ts'))
    const lines = sources.map(file => readFileSync(join(folder, file), 'utf8').split('\n').length)
    t.equal(output, readFileSync(join(folder, 'expected.txt'), 'utf8'), name)
    t.equal(status, 0, `${name} ends with 0`)
    t.ok(Math.max(...lines) <= 61, `every file of ${name} is short`)
    t.ok(lines.reduce((all, count) => all + count) <= 150, `${name} is`)
  }
})

t.test('words are counted in lower case, with their letters and digits', async t => {
  t.strictSame(
    [...countWords('The cat, the Kätzchen; x2 and 2x.')],
    [
      ['the', 2],
      ['cat', 1],
      ['kätzchen', 1],
      ['x2', 1],
      ['and', 1],
      ['x', 1],
    ],
  )
})

t.test(
  'the main demo: names come back and nothing is lost or counted twice, whichever node dies',
  async t => {
    const folder = t.testdir()
    const texts = Array.from({ length: 60 }, (_, i) => `# File ${i}\n${'alpha beta '.repeat(i)}`)
    mkdirSync(join(folder, 'deeper'))
    for (const [i, text] of texts.entries())
      writeFileSync(join(folder, i % 2 ? 'deeper' : '', `${i}.md`), text)
    t.equal(plainCount(folder).get('alpha'), (59 * 60) / 2, 'the plain count counts')

    const demo = join(BUILT, 'word-count', 'demo.js')
    const { output, status } = await run([demo, '--root', folder, '--pace', '60', '--repeat', '3'])
    t.equal(status, 0, output)
    t.match(output, /3 of 3 recovered; all names back after \d+ ms/)
    const latest = Number(/all names back after (\d+) ms/.exec(output)?.[1])
    t.ok(latest < 2_000, `names are back in under 2 s: ${latest} ms`)
  },
)

function run(args: readonly string[]): Promise<{ output: string; status: number | null }> {
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    env: { ...process.env, NODE_OPTIONS: '' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  return new Promise(resolve => child.once('close', status => resolve({ output, status })))
}
