import { appendFile, mkdir, open, readdir, readFile, rename, unlink, writeFile } from 'node:fs/promises'
import type { Disk } from '../base/runtime.js'

/** Node's file system. Every rejection is Node's own error, which carries its errno in `code`. */
export class RealDisk implements Disk {
  read(path: string): Promise<Buffer> {
    return readFile(path)
  }

  write(path: string, bytes: Uint8Array): Promise<void> {
    return writeFile(path, bytes)
  }

  append(path: string, bytes: Uint8Array): Promise<void> {
    return appendFile(path, bytes)
  }

  /** A handle of our own will do: fsync is about the file's pages, not about who wrote them. */
  sync(path: string): Promise<void> {
    return fsync(path, 'r+')
  }

  rename(from: string, to: string): Promise<void> {
    return rename(from, to)
  }

  remove(path: string): Promise<void> {
    return unlink(path)
  }

  async makeFolder(path: string): Promise<void> {
    await mkdir(path, { recursive: true })
  }

  async syncFolder(path: string): Promise<void> {
    // Windows opens no folder for this, and its journal keeps the order of renames without being asked.
    if (process.platform !== 'win32') await fsync(path, 'r')
  }

  /** Sorted, because the order of the file system is chance. */
  async list(path: string): Promise<readonly string[]> {
    return (await readdir(path)).sort()
  }
}

async function fsync(path: string, flags: string): Promise<void> {
  const handle = await open(path, flags)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
