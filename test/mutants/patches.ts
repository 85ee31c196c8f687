/**
 * Bugs put in by hand, as patches of `lib`: what the suites must find, and go on finding. A patch is what `git diff`
 * prints, below a head of two lines:
 *
 *   bug: restarts of a group start the youngest first
 *   found by: node .build/test/sim/run.js --trees --seeds 1000 --until-found
 *
 * They are applied by their context alone, so that line numbers may drift, and without git, which a machine may lack.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface Mutant {
  readonly name: string
  readonly bug: string
  /** A command, in the root of a compiled tree, that ends with another status than 0 when it finds the bug. */
  readonly foundBy: readonly string[]
  readonly hunks: readonly Hunk[]
}

export interface Hunk {
  readonly file: string
  readonly before: string
  readonly after: string
}

export function rootFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder)
  return folder
}

export function mutants(root: string): Mutant[] {
  const folder = join(root, 'test', 'mutants')
  const files = readdirSync(folder).filter(file => file.endsWith('.patch'))
  return files.sort().map(file => parse(file.replace('.patch', ''), readFileSync(join(folder, file), 'utf8')))
}

export function parse(name: string, text: string): Mutant {
  const head = (key: string): string => {
    const value = new RegExp(`^${key}: (.+)$`, 'm').exec(text)?.[1]
    if (value === undefined) throw new TypeError(`${name}.patch: expected a line "${key}: …" at its head`)
    return value
  }
  const hunks: { file: string; before: string; after: string }[] = []
  let file = ''
  for (const line of text.split('\n')) {
    const hunk = hunks.at(-1)
    if (line.startsWith('+++ b/')) file = line.slice('+++ b/'.length)
    else if (line.startsWith('@@')) hunks.push({ file, before: '', after: '' })
    else if (hunk !== undefined && /^[-+ ]/.test(line) && !line.startsWith('--- ')) {
      if (!line.startsWith('+')) hunk.before += `${line.slice(1)}\n`
      if (!line.startsWith('-')) hunk.after += `${line.slice(1)}\n`
    }
  }
  if (hunks.length === 0) throw new TypeError(`${name}.patch: expected a diff`)
  return { name, bug: head('bug'), foundBy: head('found by').split(' '), hunks }
}

/** The files as they are with the bug, by their names. Throws when the patch does not apply. */
export function applied({ name, hunks }: Mutant, read: (file: string) => string): Map<string, string> {
  const files = new Map<string, string>()
  for (const { file, before, after } of hunks) {
    const text = files.get(file) ?? read(file)
    const parts = text.split(before)
    if (parts.length !== 2)
      throw new TypeError(
        `${name}.patch: expected its lines once in ${file}, found them ${parts.length - 1} times`,
      )
    files.set(file, parts.join(after))
  }
  return files
}
