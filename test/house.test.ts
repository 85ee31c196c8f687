/**
 * The walls of the house, read from the sources with TypeScript's own parser: which room may import which, what only
 * the edge may name, and what no file may do.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import t from 'tap'
import ts from 'typescript'

function root(from = import.meta.dirname): string {
  return existsSync(join(from, 'package.json')) ? from : root(dirname(from))
}

/** A room imports from rooms of lower rank only. */
const RANKS: Readonly<Record<string, number>> = {
  base: 0,
  runtime: 1,
  wire: 1,
  crdt: 1,
  store: 1,
  process: 1,
  mesh: 2,
  actor: 2,
  coord: 3,
  replica: 3,
  supervisor: 3,
  registry: 3,
  machine: 3,
  remote: 4,
  task: 4,
  cluster: 5,
  groups: 5,
  services: 6,
  observer: 6,
  node: 7,
  sim: 8,
  cli: 8,
}

/** Values of the outside world that only `runtime/` may name. */
const AMBIENT = new Set(
  [
    'performance process setTimeout setInterval setImmediate clearTimeout clearInterval clearImmediate queueMicrotask',
    'MessageChannel MessagePort BroadcastChannel Worker WeakRef FinalizationRegistry fetch WebSocket EventSource crypto',
    'console navigator globalThis global eval Function require module __dirname __filename Intl Atomics',
  ].flatMap(line => line.split(' ')),
)
/** Members that only `runtime/` may name, as the object (or `*`) and the member. */
const AMBIENT_MEMBERS: readonly (readonly [string, string])[] = [
  ['Math', 'random'],
  ['Date', 'now'],
  ['AbortSignal', 'timeout'],
  ['*', 'localeCompare'],
  ['*', 'toLocaleString'],
  ['*', 'toLocaleLowerCase'],
  ['*', 'toLocaleUpperCase'],
]
/** Modules that any room may import: they compute and touch nothing. */
const PURE_MODULES: Readonly<Record<string, readonly string[] | 'all'>> = {
  'node:crypto': ['createHash', 'createHmac', 'timingSafeEqual'],
  'node:util': 'all',
  'node:async_hooks': ['AsyncLocalStorage'],
  'node:path': ['basename', 'dirname', 'extname', 'isAbsolute', 'join', 'parse', 'relative'], // resolve() asks for the folder
  'node:url': ['fileURLToPath', 'pathToFileURL'],
  'node:buffer': 'all',
}
const PACKAGES = ['debug', 'eventemitter3', 'hashring', 'msgpackr']

const ROOT = root()
const LIB = join(ROOT, 'lib')

interface Source {
  /** As in `mesh/session.ts`, from `lib/`. */
  readonly path: string
  /** Undefined for the entries. */
  readonly room: string | undefined
  readonly text: string
  readonly tree: ts.SourceFile
}

function sourceOf(path: string, text: string): Source {
  const room = path.includes('/') ? path.split('/')[0] : undefined
  return { path, room, text, tree: ts.createSourceFile(path, text, ts.ScriptTarget.ES2023, true) }
}

const sources: readonly Source[] = readdirSync(LIB, { recursive: true, encoding: 'utf8' })
  .filter(path => path.endsWith('.ts'))
  .sort()
  .map(path => sourceOf(path, readFileSync(join(LIB, path), 'utf8')))
const rooms = readdirSync(LIB, { withFileTypes: true })
  .filter(entry => entry.isDirectory())
  .map(entry => entry.name)
  .sort()

function* nodes(of: ts.Node): Generator<ts.Node> {
  yield of
  const children: ts.Node[] = []
  ts.forEachChild(of, child => void children.push(child))
  for (const child of children) yield* nodes(child)
}

const at = (source: Source, node: ts.Node): string =>
  `${source.path}:${source.tree.getLineAndCharacterOfPosition(node.getStart()).line + 1}`

/** Every module that a file names, in imports, re-exports, `import()` and import types. */
function* imports(
  source: Source,
): Generator<{ readonly node: ts.Node; readonly from: string; readonly names: readonly string[] }> {
  for (const node of nodes(source.tree)) {
    if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
      const bindings = node.importClause?.namedBindings
      const names =
        bindings && ts.isNamedImports(bindings)
          ? bindings.elements.map(e => (e.propertyName ?? e.name).text)
          : ['*']
      yield { node, from: node.moduleSpecifier.text, names }
    } else if (
      ts.isExportDeclaration(node) &&
      node.moduleSpecifier &&
      ts.isStringLiteral(node.moduleSpecifier)
    ) {
      yield { node, from: node.moduleSpecifier.text, names: ['*'] }
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [to] = node.arguments
      yield { node, from: to && ts.isStringLiteral(to) ? to.text : '(computed)', names: ['*'] }
    } else if (
      ts.isImportTypeNode(node) &&
      ts.isLiteralTypeNode(node.argument) &&
      ts.isStringLiteral(node.argument.literal)
    ) {
      yield { node, from: node.argument.literal.text, names: ['*'] }
    }
  }
}

/** Why this file may not import that, or undefined. */
function refusal(source: Source, from: string, names: readonly string[]): string | undefined {
  if (from.startsWith('.')) {
    const target = relative(LIB, join(LIB, dirname(source.path), from)).split('/')[0]!
    if (source.room === undefined || target === source.room) return undefined
    const [own, other] = [RANKS[source.room], RANKS[target]]
    if (own === undefined) return `${source.room} has no rank`
    if (other === undefined) return `${target} is no room`
    return other < own ? undefined : `${source.room} (rank ${own}) is not above ${target} (rank ${other})`
  }
  if (source.room === 'runtime' || PACKAGES.includes(from)) return undefined
  const allowed = PURE_MODULES[from]
  if (allowed === undefined) return `${from} is for runtime/ only`
  const others = allowed === 'all' ? [] : names.filter(name => !allowed.includes(name))
  return others.length === 0 ? undefined : `of ${from} only ${allowed} are pure, not ${others}`
}

const nameOf = (node: ts.Node): unknown => ('name' in node ? node.name : undefined)

/** True where the identifier reads a variable: not a name of a property, a declaration or a type. */
function isRead(node: ts.Identifier): boolean {
  const { parent } = node
  if (ts.isShorthandPropertyAssignment(parent)) return true
  if (ts.isQualifiedName(parent) || ts.isTypeReferenceNode(parent) || ts.isTypeQueryNode(parent)) return false
  if (ts.isImportSpecifier(parent) || ts.isExportSpecifier(parent)) return false
  return nameOf(parent) !== node && !(ts.isBindingElement(parent) && parent.propertyName === node)
}

/** Where a name that this node declares as a variable can be seen; undefined for what declares none. */
function scopeOf(node: ts.Node): ts.Node | undefined {
  if (ts.isParameter(node) || ts.isFunctionDeclaration(node) || ts.isClassDeclaration(node))
    return node.parent
  if (ts.isImportSpecifier(node) || ts.isImportClause(node) || ts.isNamespaceImport(node))
    return node.getSourceFile()
  if (ts.isVariableDeclaration(node))
    return ts.findAncestor(node.parent.parent, n => !ts.isVariableStatement(n))
  if (ts.isBindingElement(node)) return scopeOf(node.parent.parent)
  return undefined
}

/** True when the file itself declares the variable that is read: `process` may be a parameter. */
function isOwn(read: ts.Identifier, tree: ts.SourceFile): boolean {
  for (const node of nodes(tree)) {
    const name = nameOf(node) as ts.Node | undefined
    if (name === undefined || !ts.isIdentifier(name) || name.text !== read.text) continue
    const scope = scopeOf(node)
    if (scope !== undefined && ts.findAncestor(read, n => n === scope)) return true
  }
  return false
}

function* ambient(source: Source): Generator<string> {
  for (const node of nodes(source.tree)) {
    if (ts.isPropertyAccessExpression(node)) {
      const object = ts.isIdentifier(node.expression) ? node.expression.text : ''
      for (const [of, member] of AMBIENT_MEMBERS) {
        if (node.name.text === member && (of === '*' || of === object))
          yield `${at(source, node)} names ${of}.${member}`
      }
    } else if (ts.isIdentifier(node) && AMBIENT.has(node.text) && isRead(node) && !isOwn(node, source.tree)) {
      yield `${at(source, node)} names ${node.text}`
    } else if (ts.isNewExpression(node) && node.expression.getText() === 'Date' && !node.arguments?.length) {
      yield `${at(source, node)} reads the wall clock`
    } else if (ts.isCallExpression(node) && node.expression.getText() === 'Date') {
      yield `${at(source, node)} reads the wall clock`
    } else if (ts.isMetaProperty(node) && node.keywordToken === ts.SyntaxKind.ImportKeyword) {
      yield `${at(source, node)} names import.meta`
    }
  }
}

/** `let` and `var` of a module, and default exports, awaits at the top, `any`, and what `export *` hides. */
function* manners(source: Source): Generator<string> {
  for (const statement of source.tree.statements) {
    if (ts.isVariableStatement(statement) && (statement.declarationList.flags & ts.NodeFlags.Const) === 0) {
      yield `${at(source, statement)} is state of the module`
    }
    if (ts.isExportAssignment(statement)) yield `${at(source, statement)} is a default export`
    if (
      ts.canHaveModifiers(statement) &&
      ts.getModifiers(statement)?.some(m => m.kind === ts.SyntaxKind.DefaultKeyword)
    ) {
      yield `${at(source, statement)} is a default export`
    }
    for (const node of nodesOutsideFunctions(statement)) {
      if (ts.isAwaitExpression(node) || (ts.isForOfStatement(node) && node.awaitModifier))
        yield `${at(source, node)} awaits at the top`
    }
  }
  for (const node of nodes(source.tree)) {
    if (node.kind === ts.SyntaxKind.AnyKeyword && source.path !== 'actor/define.ts')
      yield `${at(source, node)} says any`
    if (ts.isEnumDeclaration(node) || ts.isModuleDeclaration(node))
      yield `${at(source, node)} is an enum or a namespace`
  }
}

function* nodesOutsideFunctions(of: ts.Node): Generator<ts.Node> {
  if (ts.isFunctionLike(of) || ts.isClassLike(of)) return
  yield of
  const children: ts.Node[] = []
  ts.forEachChild(of, child => void children.push(child))
  for (const child of children) yield* nodesOutsideFunctions(child)
}

const isEntry = (source: Source): boolean => source.room === undefined

t.test('a room imports from lower rooms, and from the outside only what computes', async t => {
  const found = sources.flatMap(source =>
    [...imports(source)].flatMap(({ node, from, names }) => {
      const why = refusal(source, from, names)
      return why === undefined ? [] : [`${at(source, node)}: ${why}`]
    }),
  )
  t.strictSame(found, [], 'no arrow points up')
})

t.test('only runtime/ names a clock, chance, the loop, the network, the disk or the process', async t => {
  t.strictSame(
    sources.filter(source => source.room !== 'runtime').flatMap(source => [...ambient(source)]),
    [],
    'nothing ambient',
  )
})

t.test('no module has state, a default export, a top-level await, an enum, or `any`', async t => {
  t.strictSame(
    sources.flatMap(source => [...manners(source)]),
    [],
    'well-mannered',
  )
})

t.test('the walls can be seen to stand: each offence is found', async t => {
  const offences = (path: string, text: string): number => {
    const source = sourceOf(path, text)
    const refused = [...imports(source)].filter(
      ({ from, names }) => refusal(source, from, names) !== undefined,
    )
    return refused.length + [...ambient(source)].length + [...manners(source)].length
  }
  const guilty = [
    `import { x } from '../node/node.js'`,
    `import type { x } from '../actor/api.js'`,
    `export * from '../cluster/cluster.js'`,
    `type X = import('../node/node.js').X`,
    `const x = () => import('../node/node.js')`,
    `import { x } from '../nowhere/x.js'`,
    `import net from 'node:net'`,
    `import { readFileSync } from 'node:fs'`,
    `import { randomBytes } from 'node:crypto'`,
    `import * as crypto from 'node:crypto'`,
    `import lodash from 'lodash'`,
    `const at = Date.now()`,
    `const at = new Date()`,
    `const at = Date()`,
    `const f = () => performance.now()`,
    `const f = () => setTimeout(f, 1)`,
    `const f = () => queueMicrotask(f)`,
    `const f = { pid: process.pid }`,
    `const n = Math.random()`,
    `const w = new WeakRef({})`,
    `const s = AbortSignal.timeout(5)`,
    `const c = 'a'.localeCompare('b')`,
    `const f = globalThis.fetch`,
    `const u = import.meta.url`,
    `const f = (process: number) => process; const pid = process.pid`,
    `class C { fetch() { return fetch } }`,
    `const o = { performance }`,
    `let state = 0`,
    `var state = 0`,
    `export default 1`,
    `export default function f() {}`,
    `await x()`,
    `for await (const y of x) y()`,
    `const x: any = 1`,
    `enum E { A }`,
    `namespace N { const x = 1 }`,
  ]
  for (const text of guilty) t.equal(offences('mesh/x.ts', text), 1, text)
  const innocent = [
    `import { x } from '../base/ids.js'; import type { y } from './y.js'`,
    `import { createHash } from 'node:crypto'; import { inspect } from 'node:util'; import debug from 'debug'`,
    `const isDate = (x: unknown) => x instanceof Date && new Date(5) < x`,
    `function f(process: { now(): number }) { return process.now() }`,
    `const { process: p } = { process: 1 }; for (const [process] of [[p]]) process()`,
    `const o = { setTimeout: 1, process: 2 }; const p = o.process`,
    `interface I { performance: number; fetch(): void }`,
    `class C { fetch(): void {} }`,
    `const f = async () => { let n = 0; await n; n++ }`,
  ]
  for (const text of innocent) t.equal(offences('mesh/x.ts', text), 0, text)
  t.equal(offences('actor/define.ts', 'type X = any'), 0, 'any in its one place')
  t.equal(offences('runtime/clock.ts', `import net from 'node:net'`), 0, 'the edge may reach out')
})

t.test('the entries only pass on what the rooms export', async t => {
  const own = sources.filter(isEntry)
  t.strictSame(
    own.map(source => source.path),
    ['index.ts', 'testing.ts'],
    'the entries',
  )
  for (const source of own) {
    const other = source.tree.statements.filter(
      s => !(ts.isExportDeclaration(s) && s.moduleSpecifier && s.exportClause),
    )
    t.strictSame(
      other.map(node => at(source, node)),
      [],
      `${source.path} holds nothing but named re-exports`,
    )
  }
})

t.test('every room has its rank, its README and kebab-case nouns for file names', async t => {
  t.strictSame(
    rooms.filter(room => RANKS[room] === undefined),
    [],
    'ranked',
  )
  t.strictSame(
    rooms.filter(room => !existsSync(join(LIB, room, 'README.md'))),
    [],
    'described',
  )
  const name = /^([a-z0-9]+-)*[a-z0-9]+\.ts$/
  const vague = /^(utils?|helpers?|common|types?|misc|shared|index)\.ts$/
  const files = sources.filter(source => !isEntry(source)).map(source => source.path)
  t.strictSame(
    files.filter(path => !name.test(path.split('/').at(-1)!) || vague.test(path.split('/').at(-1)!)),
    [],
    'named',
  )
})

t.test('a file above 500 lines says at its head why it is one thing', async t => {
  const long = sources.filter(source => source.text.split('\n').length > 500)
  t.strictSame(
    long.filter(source => !/^(#!.*\n)?\/\*\*/.test(source.text)).map(source => source.path),
    [],
  )
})

t.test('every limit is used by somebody', async t => {
  const limits = sources.find(source => source.path === 'base/limits.ts')!
  const names = [...nodes(limits.tree)].flatMap(node => {
    if (ts.isPropertySignature(node)) return [node.name.getText()]
    return ts.isVariableStatement(node) && ts.getModifiers(node)
      ? [node.declarationList.declarations[0]!.name.getText()]
      : []
  })
  const used = new Set<string>()
  for (const source of sources) {
    if (source === limits) continue
    for (const node of nodes(source.tree)) if (ts.isIdentifier(node)) used.add(node.text)
  }
  t.ok(names.length > 20, `${names.length} limits`)
  t.strictSame(
    names.filter(name => !used.has(name)),
    [],
    'none is a dead letter',
  )
})
