/**
 * The package as others get it: what it holds, what it exports, and that a TypeScript project and a CommonJS file can
 * use it. Needs `dist/`, which `npm test` builds first. `SNAPSHOT=1` writes the snapshots anew.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import ts from 'typescript'

function root(from = import.meta.dirname): string {
  return existsSync(join(from, 'package.json')) ? from : root(dirname(from))
}

const ROOT = root()
const DEPENDENCIES = ['debug', 'eventemitter3', 'hashring', 'msgpackr']
const UNPACKED_BYTES_MAX = 1_000_000
/** The runner's own hooks stay out of the programs that are started here. */
const ENV = { ...process.env, NODE_OPTIONS: '', npm_config_loglevel: 'error' }

const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  readonly exports: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>
  readonly dependencies: Readonly<Record<string, string>>
  readonly scripts: Readonly<Record<string, string>>
}
const entries = Object.keys(manifest.exports).filter(entry => entry !== './package.json')
const specifier = (entry: string): string => `troupe${entry.slice(1)}`

/** What was seen last time; with SNAPSHOT=1 what is seen now. */
function snapshot(name: string, seen: string): string {
  const file = join(ROOT, 'test/snapshots', name)
  if (process.env['SNAPSHOT'] === '1') {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, seen)
  }
  return readFileSync(file, 'utf8')
}

interface Packed {
  readonly filename: string
  readonly unpackedSize: number
  readonly files: readonly { readonly path: string }[]
}

/** Packs into `folder`, as publishing would, from the `dist/` that stands. */
function pack(folder: string): Packed {
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder]
  const [packed] = JSON.parse(
    execFileSync('npm', args, { cwd: ROOT, encoding: 'utf8', env: ENV }),
  ) as Packed[]
  return packed!
}

/** A folder whose `node_modules` holds the packed package, its four dependencies and nothing else of ours. */
const consumer = mkdtempSync(join(tmpdir(), 'troupe-consumer-'))
t.teardown(() => rmSync(consumer, { recursive: true, force: true }))
const packed = pack(consumer)
const modules = join(consumer, 'node_modules')
mkdirSync(join(modules, 'troupe'), { recursive: true })
execFileSync('tar', [
  'xzf',
  join(consumer, packed.filename),
  '-C',
  join(modules, 'troupe'),
  '--strip-components=1',
])
for (const name of [...DEPENDENCIES, '@types/node', 'undici-types']) {
  mkdirSync(dirname(join(modules, name)), { recursive: true })
  symlinkSync(join(ROOT, 'node_modules', name), join(modules, name))
}

t.test('the packed files are those of the snapshot, and few', async t => {
  const paths = packed.files.map(file => file.path).sort()
  t.equal(`${paths.join('\n')}\n`, snapshot('pack.txt', `${paths.join('\n')}\n`), 'test/snapshots/pack.txt')
  const strange = paths.filter(
    path => !/^dist\/|^(README\.md|LICENSE|CHANGELOG\.md|package\.json)$/.test(path),
  )
  t.strictSame(strange, [], 'nothing else')
  t.ok(
    packed.unpackedSize <= UNPACKED_BYTES_MAX,
    `${packed.unpackedSize} bytes unpacked, of ${UNPACKED_BYTES_MAX}`,
  )
})

t.test('every source has its compiled form in the package, and nothing else is compiled', async t => {
  const sources = readdirSync(join(ROOT, 'lib'), { recursive: true, encoding: 'utf8' })
    .filter(path => path.endsWith('.ts'))
    .map(path => path.slice(0, -3))
  const compiled = packed.files
    .map(file => file.path)
    .filter(path => /^dist\/.*\.js$/.test(path))
    .map(path => path.slice(5, -3))
  t.strictSame(compiled.sort(), sources.sort(), 'run `npm run build` after a source was renamed')
})

t.test('there are four runtime dependencies and no install scripts', async t => {
  t.strictSame(Object.keys(manifest.dependencies).sort(), DEPENDENCIES, 'dependencies')
  const onInstall = Object.keys(manifest.scripts).filter(name =>
    /^(pre|post)?(install|uninstall)$|^prepare$/.test(name),
  )
  t.strictSame(onInstall, [], 'scripts')
})

/** The exports of a module, as a type checker sees them: whether they exist at run time, and may be used as if. */
interface Seen {
  readonly name: string
  readonly value: boolean
  readonly asValue: boolean
}

/** What each of `files` exports. A class that is exported by `export type` is a value, and may not be used as one. */
function exportsOf(files: readonly string[]): readonly (readonly Seen[])[] {
  const program = ts.createProgram(files, {
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    noEmit: true,
  })
  const checker = program.getTypeChecker()
  return files.map(file => {
    const module = checker.getSymbolAtLocation(program.getSourceFile(file)!)!
    return checker.getExportsOfModule(module).map(symbol => {
      const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol
      const value = (target.flags & ts.SymbolFlags.Value) !== 0
      const typeOnly = symbol.declarations!.some(ts.isPartOfTypeOnlyImportOrExportDeclaration)
      return { name: symbol.name, value, asValue: value && !typeOnly }
    })
  })
}

/** `troupe value createNode`, one a line, of what each entry exports. */
function listed(seen: readonly (readonly Seen[])[]): string {
  const lines = seen.flatMap((names, i) =>
    names.map(({ name, value }) => `${specifier(entries[i]!)} ${value ? 'value' : 'type'} ${name}`),
  )
  return `${lines.sort().join('\n')}\n`
}

const exported = listed(
  exportsOf(entries.map(entry => join(ROOT, 'lib', entry === '.' ? 'index.ts' : `${entry.slice(2)}.ts`))),
)

t.test('every exported name is that of the snapshot', async t => {
  t.equal(exported, snapshot('exports.txt', exported), 'test/snapshots/exports.txt')
})

t.test('the declarations are one file an entry and one shared, and promise what is there', async t => {
  const declarations = packed.files.map(file => file.path).filter(path => /\.d\.ts$|\.map$/.test(path))
  t.strictSame(declarations.sort(), ['dist/index.d.ts', 'dist/shared.d.ts', 'dist/testing.d.ts'])
  const targets = entries.map(entry => manifest.exports[entry] as { types: string; default: string })
  const seen = exportsOf(targets.map(({ types }) => join(modules, 'troupe', types)))
  t.equal(listed(seen), exported, 'the names that the sources export')
  for (const [i, entry] of entries.entries()) {
    const module = await import(pathToFileURL(join(modules, 'troupe', targets[i]!.default)).href)
    t.strictSame(
      seen[i]!.filter(({ asValue }) => asValue)
        .map(({ name }) => name)
        .sort(),
      Object.keys(module).sort(),
      `values of ${specifier(entry)}`,
    )
  }
})

t.test('every entry can be required from a CommonJS file', async t => {
  const script = join(consumer, 'require.cjs')
  const wanted = entries.map(entry => `require(${JSON.stringify(specifier(entry))})`)
  writeFileSync(
    script,
    `console.log(JSON.stringify([${wanted.join(', ')}].map(entry => Object.keys(entry).length > 0)))\n`,
  )
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--no-warnings', script], {
    encoding: 'utf8',
    env: ENV,
  })
  t.strictSame(
    { stdout: stdout.trim(), stderr, status },
    { stdout: JSON.stringify(entries.map(() => true)), stderr: '', status: 0 },
  )
})

t.test('importing the package does nothing that can be seen', async t => {
  const script = join(consumer, 'import.mjs')
  writeFileSync(
    script,
    `${entries.map(entry => `import '${specifier(entry)}'`).join('\n')}\nconsole.log(process.getActiveResourcesInfo().filter(r => /Time|Immediate|TCP|UDP|Message|Worker|Signal/.test(r)).join())\n`,
  )
  const { stdout, stderr, status } = spawnSync(process.execPath, [script], { encoding: 'utf8', env: ENV })
  t.strictSame(
    { stdout, stderr, status },
    { stdout: '\n', stderr: '', status: 0 },
    'no timer, no socket, no warning',
  )
})

const PROGRAM = `
import { createNode, defineActor, TroupeError, type ActorRef, type Node, type Pid } from 'troupe'
import * as testing from 'troupe/testing'

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const exactly = <A, B>(_: Same<A, B>): void => {}

export const counter = defineActor('counter', {
  init: (start: number) => ({ value: start }),
  calls: {
    add: (state, by: number) => {
      exactly<typeof state, { value: number }>(true)
      return (state.value += by)
    },
    get: state => state.value,
    slow: async (state, p: { key: string }) => ({ key: p.key, value: state.value }),
    later: (_state, _p: string, ctx) => ctx.later<{ done: boolean }>(),
  },
  casts: { reset: state => { state.value = 0 } },
  info: (state, signal) => { if (signal.type === 'down') exactly<typeof signal.pid, Pid | undefined>(true) },
})

export async function main(): Promise<void> {
  const node = await createNode({ name: 'a', actors: [counter] })
  exactly<typeof node, Node>(true)
  const ref = await node.spawn(counter, 0, { name: 'visits' })
  exactly<typeof ref, ActorRef<typeof counter>>(true)
  const added = await ref.call('add', 5)
  exactly<typeof added, number>(true)
  const slow = await ref.call('slow', { key: 'k' }, { timeoutMs: 5 })
  exactly<typeof slow, { key: string; value: number }>(true)
  const later = await ref.call('later', 'x')
  exactly<typeof later, { done: boolean }>(true)
  const again = node.whereis('visits', counter)
  exactly<typeof again, ActorRef<typeof counter> | undefined>(true)
  const always = node.named('visits', counter)
  exactly<typeof always, ActorRef<typeof counter>>(true)
  node.on('nodedown', event => exactly<typeof event.node extends string ? true : false, true>(true))
  try {
    await always.call('get')
  } catch (error) {
    if (TroupeError.is(error, 'ERR_NOPROC')) exactly<typeof error.code, 'ERR_NOPROC'>(true)
  }
  // @ts-expect-error a payload of another type
  await ref.call('add', '5')
  // @ts-expect-error a tag that does not exist
  await ref.call('nope')
  // @ts-expect-error an option that does not exist
  await createNode({ nmae: 'a' })
  await using other = await createNode({})
  exactly<typeof other, Node>(true)
  const probe = await testing.createProbe(other)
  exactly<typeof probe.pid, Pid>(true)
}
`

t.test('a TypeScript project compiles against the package with everything inferred', async t => {
  writeFileSync(join(consumer, 'package.json'), '{ "type": "module", "private": true }\n')
  writeFileSync(join(consumer, 'program.ts'), PROGRAM)
  for (const skipLibCheck of [true, false]) {
    const compilerOptions = {
      target: 'es2022',
      lib: ['es2022', 'esnext.disposable'],
      module: 'nodenext',
      strict: true,
      exactOptionalPropertyTypes: true,
      declaration: true,
      noEmit: true,
      skipLibCheck,
      types: ['node'],
    }
    writeFileSync(join(consumer, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['program.ts'] }))
    const { stdout, status } = spawnSync(
      process.execPath,
      [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', consumer],
      { encoding: 'utf8', env: ENV },
    )
    t.strictSame({ stdout, status }, { stdout: '', status: 0 }, `skipLibCheck ${skipLibCheck}`)
  }
})

t.test('the linter lets no promise float, own or imported', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'troupe-lint-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  copyFileSync(join(ROOT, 'biome.json'), join(folder, 'biome.json'))
  writeFileSync(join(folder, 'later.ts'), 'export async function later(): Promise<void> {}\n')
  const lines = ['later()', 'own()', 'void own()'].map(line => `  ${line}\n`).join('')
  writeFileSync(
    join(folder, 'floating.ts'),
    `import { later } from './later.js'\n\nasync function own(): Promise<void> {}\n\nexport function f(): void {\n${lines}}\n`,
  )
  const biome = join(ROOT, 'node_modules/@biomejs/biome/bin/biome')
  const { stdout, status } = spawnSync(process.execPath, [biome, 'ci', '--reporter=github', '.'], {
    cwd: folder,
    encoding: 'utf8',
    env: ENV,
  })
  const refused = stdout
    .split('\n')
    .filter(line => line.includes('noFloatingPromises') && line.startsWith('::error'))
  t.strictSame(
    [refused.map(line => /line=(\d+)/.exec(line)?.[1]), status],
    [['6', '7'], 1],
    'the first two are refused',
  )
})
