/**
 * `npm run build`: `dist/`, from nothing.
 *
 *   lib/**.ts ──▶ tsc, without comments ───▶ dist/**.js ──────────────────────────┐
 *          └────▶ rollup, types alone ─────▶ dist/{index,testing,shared}.d.ts ────┴─▶ biome, as tabs are small
 *
 * The two halves run at the same time. What both entries reach is declared once, in `shared.d.ts`, so that a class with
 * private members is the same type from either. docs/decisions/0013 has the why.
 */
import { spawn } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { rollup } from 'rollup'
import { dts } from 'rollup-plugin-dts'

const ROOT = join(import.meta.dirname, '..')
const ENTRIES = ['index', 'testing']
/** Said of types that an entry uses and does not export: typedoc.json lists them, and `npm run check` that list. */
const UNEXPORTED = /still references private shared type exports/

/** Runs a program of a development dependency; what it says is told only when it fails. */
function run(script, ...args) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(ROOT, 'node_modules', script), ...args], { cwd: ROOT })
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', text => (said += text))
    child.on('close', status =>
      status === 0 ? resolve() : reject(new Error(`${script} ${args.join(' ')}\n${said}`)),
    )
  })
}

async function bundleDeclarations() {
  const bundle = await rollup({
    input: Object.fromEntries(ENTRIES.map(entry => [entry, join(ROOT, `lib/${entry}.ts`)])),
    plugins: [dts({ tsconfig: join(ROOT, 'tsconfig.json') })],
    onwarn: ({ message }) => {
      if (!UNEXPORTED.test(message)) throw new Error(message)
    },
  })
  const { output } = await bundle.generate({
    entryFileNames: '[name].d.ts',
    chunkFileNames: 'shared.d.ts',
    minifyInternalExports: false,
  })
  await bundle.close()
  return output
}

/** The plugin forgets that a class was exported as a type alone: only what the module has at run time is a value. */
function exportTypesAsTypes(code, values) {
  return code.replace(/^export (?:type )?\{ (.*) \}(.*);$/gm, (_, list, from) => {
    const names = list.split(', ')
    const statement = (keyword, some) => (some.length > 0 ? `${keyword} { ${some.join(', ')} }${from};` : '')
    return [
      statement(
        'export',
        names.filter(name => values.has(name)),
      ),
      statement(
        'export type',
        names.filter(name => !values.has(name)),
      ),
    ].join('\n')
  })
}

rmSync(join(ROOT, 'dist'), { recursive: true, force: true })
const [declared, compiled] = await Promise.allSettled([
  bundleDeclarations(),
  run('typescript/bin/tsc', '-p', 'tsconfig.json', '--declaration', 'false', '--removeComments'),
])
const failed = [compiled, declared].filter(({ status }) => status === 'rejected')
if (failed.length > 0) {
  for (const { reason } of failed) console.error(reason.message)
  process.exit(1)
}
for (const { fileName, name, code, isEntry } of declared.value) {
  const values = isEntry && Object.keys(await import(pathToFileURL(join(ROOT, `dist/${name}.js`)).href))
  writeFileSync(join(ROOT, 'dist', fileName), values ? exportTypesAsTypes(code, new Set(values)) : code)
}
await run('@biomejs/biome/bin/biome', 'format', '--write', '--config-path=.ci/biome.dist.json', 'dist')
