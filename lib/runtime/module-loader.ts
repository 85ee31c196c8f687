import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

/** Imports code that a user named by its path. */
export interface ModuleLoader {
  /** The module's exports by name. Rejects with what the import failed with. */
  load(path: string): Promise<Readonly<Record<string, unknown>>>
}

export const moduleLoader: ModuleLoader = Object.freeze({
  load: async (path: string) => (await import(pathToFileURL(path).href)) as Record<string, unknown>,
})

/** The version of the package that this file belongs to. */
export function packageVersion(): string {
  const { version } = createRequire(import.meta.url)('troupe/package.json') as { version: string }
  return version
}
