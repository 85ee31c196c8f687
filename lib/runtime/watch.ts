import { watchFile as pollFile, unwatchFile, watch } from 'node:fs'
import { basename, dirname } from 'node:path'

const POLL_MS = 1_000

/**
 * The folder is watched, not the file: writers that are careful replace it, and a watch on the old one would never tell.
 * Kubernetes replaces the folder behind a mounted file by renaming `..data`. Where the system cannot watch (no folder
 * yet, no watches left, some network drives) the file is looked at once a second.
 */
export function watchPath(path: string, changed: () => void): () => void {
  const name = basename(path)
  const poll = (): void => void pollFile(path, { persistent: false, interval: POLL_MS }, changed)
  const end = (): void => unwatchFile(path, changed)
  try {
    const watcher = watch(dirname(path), { persistent: false }, (_event, about) => {
      if (about === null || about === name || about.startsWith('..')) changed()
    })
    watcher.on('error', () => {
      watcher.close()
      poll()
    })
    return () => {
      watcher.close()
      end()
    }
  } catch {
    poll()
    return end
  }
}
