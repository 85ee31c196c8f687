/**
 * The snippets of all documents, as programs: every ```ts block of the pages, of the rooms' READMEs and of doc comments.
 *
 *   page ──▶ block ──▶ .build/snippets/PAGE/EDITION/NAME.ts ──▶ one program of tsc, against dist ──▶ one process of node
 *
 * A block is named by its first line (`// lot.ts`) or by its first export, so that later blocks of its page import it.
 * One that takes the name of an earlier block begins a new edition, with a copy of all that is named so far: a page may
 * grow its program file by file, and each block is compiled against what stands above it.
 *
 * `<!-- run -->` before a block has it run; what it prints, on both streams, stands in the plain block right below it,
 * and nothing if there is none. Blocks of doc comments are excerpts: names of the package are imported for them, and
 * `declare` lines are theirs to write.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import ts from 'typescript'

export interface Block {
  readonly language: string
  readonly text: string
  /** The comment on the line before: `run` for `<!-- run -->`. */
  readonly mark: string | undefined
  /** What stands right below, when that is a plain block. */
  readonly below: string | undefined
  readonly line: number
}

export interface Snippet {
  readonly path: string
  /** Page and line, for people. */
  readonly at: string
  readonly mark: string | undefined
  readonly shown: string
}

export function root(from = import.meta.dirname): string {
  return existsSync(join(from, 'package.json')) ? from : root(dirname(from))
}

const ROOT = root()
const BLOCK = /(?:^<!-- ([\w:]+) -->\n)?^```(\w*)\n([\s\S]*?)^```$(?=\n*(?:^```\n([\s\S]*?)^```$)?)/gm

export const blocksOf = (page: string): readonly Block[] =>
  [...page.matchAll(BLOCK)].map(({ 1: mark, 2: language, 3: text, 4: below, index }) => ({
    mark,
    language: language!,
    text: text!,
    below,
    line: page.slice(0, index).split('\n').length,
  }))

/** Writes every snippet of the repository where it can be compiled. */
export function writeSnippets(): readonly Snippet[] {
  const folder = join(ROOT, '.build', 'snippets')
  rmSync(folder, { recursive: true, force: true })
  return pages().flatMap(page => {
    const text = readFileSync(join(ROOT, page), 'utf8')
    const blocks = page.endsWith('.md') ? blocksOf(text) : blocksOf(commentsOf(text)).map(excerpt)
    return writePage(
      join(folder, page),
      page,
      blocks.filter(({ language }) => language === 'ts'),
    )
  })
}

function pages(): readonly string[] {
  const under = (folder: string): readonly string[] =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map(name => join(folder, name))
  return [...readdirSync(ROOT), ...under('docs'), ...under('lib'), ...under('bench'), ...under('examples')]
    .filter(name => name.endsWith('.md') || (name.startsWith('lib/') && name.endsWith('.ts')))
    .filter(name => !name.startsWith('docs/api/'))
    .sort()
}

/** Doc comments alone, on the lines where they stand. */
const commentsOf = (source: string): string =>
  source.replace(/^.*$/gm, line => /^ *\* ?(.*)$/.exec(line)?.[1] ?? '')

function writePage(folder: string, page: string, blocks: readonly Block[]): Snippet[] {
  const named = new Map<string, string>()
  let edition = 1
  return blocks.map(({ text, mark, below = '', line }) => {
    const given =
      /^\/\/ ([\w-]+)\.ts\n/.exec(text) ?? /^export (?:const|(?:async )?function) (\w+)/m.exec(text)
    if (given !== null && named.has(given[1]!)) {
      edition += 1
      for (const [name, known] of named) write(join(folder, `${edition}`, `${name}.ts`), known)
    }
    if (given !== null) named.set(given[1]!, text)
    const path = join(folder, `${edition}`, `${given?.[1] ?? `line-${line}`}.ts`)
    // A snippet without imports or exports is a module all the same.
    write(path, `${text}\nexport {}\n`)
    return { path, at: `${page}:${line}`, mark, shown: below }
  })
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}

/** With imports of what it names of the package. */
function excerpt(block: Block): Block {
  const words = new Set(block.text.match(/\w+/g))
  const imports = ['index', 'testing'].map(door => {
    const names = exportsOf(door).filter(name => words.has(name.replace('type ', '')))
    return `import { ${names.join(', ')} } from 'troupe${door === 'index' ? '' : `/${door}`}'`
  })
  return { ...block, text: `${imports.join('; ')}; ${block.text}` }
}

/** What a module exports, each as it is imported: types are marked. */
const exportsOf = (door: string): readonly string[] =>
  [...readFileSync(join(ROOT, 'lib', `${door}.ts`), 'utf8').matchAll(/^export (type )?{([^}]*)}/gm)].flatMap(
    ([, type = '', names]) =>
      names!
        .split(',')
        .map(name => name.trim())
        .filter(name => name !== '')
        .map(name => `${type}${name}`),
  )

/** What tsc has against them; where it has nothing they stand beside their sources as JavaScript. */
export function compile(snippets: readonly Snippet[]): readonly string[] {
  const program = ts.createProgram(
    snippets.map(({ path }) => path),
    compilerOptions(),
  )
  const wrong = ts.getPreEmitDiagnostics(program).map(({ file, start, messageText }) => {
    const line = file === undefined ? '' : `:${file.getLineAndCharacterOfPosition(start ?? 0).line + 1}`
    return `${file?.fileName.slice(ROOT.length + 1)}${line}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`
  })
  if (wrong.length === 0) {
    program.emit(undefined, (name, text) => writeFileSync(name, text))
  }
  return wrong
}

/** As a user's, against the package as it was built; declarations too, so that whatever is inferred can be named. */
function compilerOptions(): ts.CompilerOptions {
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), path => readFileSync(path, 'utf8')) as {
    config: { compilerOptions: object }
  }
  const { outDir: _, ...options } = { ...config.compilerOptions, rootDir: '.', declarationMap: false } as {
    outDir?: string
  }
  return ts.convertCompilerOptionsFromJson(options, ROOT).options
}

export interface Ran {
  readonly output: string
  readonly error: string | undefined
  /** What keeps the process alive now and did not before. */
  readonly left: readonly string[]
}

/** Runs them one after the other, in one process. */
export function runSnippets(snippets: readonly Snippet[]): ReadonlyMap<Snippet, Ran> {
  const paths = snippets.map(({ path }) => path.replace(/ts$/, 'js'))
  const runner = join(import.meta.dirname, 'snippet-runner.js')
  const { stdout, stderr, status } = spawnSync(process.execPath, [runner, ...paths], {
    encoding: 'utf8',
    timeout: 60_000,
    env: { ...process.env, NODE_OPTIONS: '' },
  })
  const ran = stdout
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as Ran)
  return new Map(
    snippets.map((snippet, i) => [
      snippet,
      ran[i] ?? { output: stderr, error: `the process ended with ${status} here or before`, left: [] },
    ]),
  )
}

/** Without what differs from run to run: pids, ports, stacks; and columns as wide as those happen to be. */
export function normal(text: string): readonly string[] {
  return text
    .replace(/<([a-z0-9_.-]+)\.[0-9a-f]{12}\.\d+>/g, '<$1.PID>')
    .replace(/127\.0\.0\.1:\d+/g, '127.0.0.1:PORT')
    .trimEnd()
    .split('\n')
    .filter(line => !/^(?:troupe \S+ \w+:)?\s+at /.test(line))
    .map(line => line.trimEnd().replace(/ {2,}/g, '  '))
}
