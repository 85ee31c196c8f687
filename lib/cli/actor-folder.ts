/**
 * `--actors FOLDER`: every module of the folder is imported, in order of file names, and every definition it exports
 * is hosted. TypeScript is imported only where this Node.js can, by itself or through a loader; a `.ts` beside the
 * `.js` it was compiled to is passed over.
 */
import type { AnyActor } from '../actor/define.js'
import { compareIds } from '../base/ids.js'
import type { Disk } from '../base/runtime.js'
import type { ModuleLoader } from '../runtime/module-loader.js'

export interface ActorFolder {
  readonly actors: readonly AnyActor[]
  /** Modules without a definition, for people: a file name and what it exports instead. */
  readonly warnings: readonly string[]
}

export interface FolderEdge {
  readonly disk: Pick<Disk, 'list'>
  readonly loader: ModuleLoader
  /** A path as it was typed, made absolute. */
  absolute(path: string): string
}

/** The folder or a module in it cannot be used. The message says which and what to do. */
export class ActorFolderError extends Error {}

const SCRIPTS = ['.js', '.mjs']
const TYPESCRIPT = ['.ts', '.mts']

export async function loadActors(edge: FolderEdge, folders: readonly string[]): Promise<ActorFolder> {
  const found = new Map<string, { def: AnyActor; file: string }>()
  const warnings: string[] = []
  for (const folder of folders) {
    for (const file of await modulesOf(edge, folder)) {
      const exports = await importModule(edge, file)
      const definitions = Object.values(exports).filter(isDefinition)
      if (definitions.length === 0)
        warnings.push(`${file} exports no actor definition; it exports ${named(exports)}`)
      for (const def of definitions) add(found, def, file)
    }
  }
  return { actors: [...found.values()].map(({ def }) => def), warnings }
}

async function modulesOf(edge: FolderEdge, folder: string): Promise<readonly string[]> {
  const files = await listFolder(edge, folder)
  const all = new Set(files)
  const isModule = (file: string): boolean => {
    const { name, ext } = split(file)
    if (SCRIPTS.includes(ext)) return true
    return TYPESCRIPT.includes(ext) && !name.endsWith('.d') && !all.has(name + ext.replace('ts', 'js'))
  }
  const modules = files.filter(isModule).sort(compareIds)
  if (modules.length === 0) throw new ActorFolderError(`--actors: ${folder} holds no .js, .mjs or .ts module`)
  return modules.map(file => `${folder.replace(/\/+$/, '')}/${file}`)
}

async function listFolder(edge: FolderEdge, folder: string): Promise<readonly string[]> {
  try {
    return await edge.disk.list(edge.absolute(folder))
  } catch (error) {
    throw new ActorFolderError(
      `--actors: expected a folder, got ${JSON.stringify(folder)} (${codeOf(error)})`,
      {
        cause: error,
      },
    )
  }
}

async function importModule(edge: FolderEdge, file: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    return await edge.loader.load(edge.absolute(file))
  } catch (error) {
    if (codeOf(error) === 'ERR_UNKNOWN_FILE_EXTENSION' && TYPESCRIPT.includes(split(file).ext)) {
      throw new ActorFolderError(
        `--actors: ${file} is TypeScript, which this Node.js does not run. Either compile it and give the folder of the .js files, or use a loader: NODE_OPTIONS='--import tsx' troupe start … (Node.js 22.18 and later need neither)`,
        { cause: error },
      )
    }
    const why = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
    throw new ActorFolderError(`--actors: ${file} could not be imported: ${why}`, { cause: error })
  }
}

function add(found: Map<string, { def: AnyActor; file: string }>, def: AnyActor, file: string): void {
  const known = found.get(def.name)
  if (known !== undefined && known.def !== def) {
    throw new ActorFolderError(
      `--actors: ${known.file} and ${file} both define an actor named ${JSON.stringify(def.name)}; a name decides what is spawned`,
    )
  }
  found.set(def.name, known ?? { def, file })
}

/** What `defineActor` returned, of whichever copy of troupe the module imports. */
const isDefinition = (value: unknown): value is AnyActor =>
  typeof value === 'object' &&
  value !== null &&
  'spec' in value &&
  typeof value.spec === 'object' &&
  'name' in value &&
  typeof value.name === 'string'

function split(file: string): { name: string; ext: string } {
  const dot = file.lastIndexOf('.')
  return dot > 0 ? { name: file.slice(0, dot), ext: file.slice(dot) } : { name: file, ext: '' }
}

const named = (exports: object): string => Object.keys(exports).sort().join(', ') || 'nothing'
const codeOf = (error: unknown): string | undefined =>
  typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : undefined
