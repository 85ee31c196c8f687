/**
 * The disk of one simulated machine, as a careful reader of POSIX must think of it. It outlives its node's lives.
 *
 *   file:    durable bytes  +  writes since the last `sync`      (read sees both)
 *   names:   durable names  +  changes since the last `syncFolder`
 *
 * A crash keeps a random prefix of the writes of each file, and may tear the last one it keeps at a 512-byte edge; it
 * keeps a random prefix of the changes of names. `sync` of a new file makes its name durable too, as every common file
 * system does. A `sync` that fails has thrown the pages away: later ones succeed and make nothing of that file durable
 * until it is written anew (what Linux did to databases in 2018). Folders are durable once made.
 */
import type { Disk } from '../base/runtime.js'
import type { SimNode } from './sim-node.js'
import type { SimRandom } from './sim-random.js'
import { toGrid } from './world.js'

const SECTOR_BYTES = 512
const OPERATION_MS_MAX = 2

export type DiskOperation = keyof Disk

interface File {
  durable: Buffer
  /** A write that truncates, or an append. */
  unsynced: { readonly truncate: boolean; readonly bytes: Buffer }[]
  /** A sync failed: nothing of it becomes durable any more. */
  doomed: boolean
}

interface NameChange {
  readonly folders: readonly string[]
  readonly created: string | undefined
  readonly apply: (names: Map<string, File>) => void
}

interface Watched {
  readonly node: SimNode
  readonly path: string
  readonly changed: () => void
}

const folderOf = (path: string): string => path.slice(0, Math.max(1, path.lastIndexOf('/')))

const errno = (code: string, what: string): Error => Object.assign(new Error(`${code}: ${what}`), { code })

function contentOf(file: File, writes = file.unsynced): Buffer {
  const from = writes.findLastIndex(write => write.truncate)
  const kept = from === -1 ? writes : writes.slice(from)
  return Buffer.concat([from === -1 ? file.durable : Buffer.alloc(0), ...kept.map(write => write.bytes)])
}

export class SimDisk {
  readonly #random: SimRandom
  readonly #folders = new Set<string>(['/'])
  readonly #failures: { readonly operation: DiskOperation; readonly code: string }[] = []
  #names = new Map<string, File>()
  #durableNames = new Map<string, File>()
  #changes: NameChange[] = []
  readonly #watches = new Set<Watched>()
  #operations = 0
  #armed: { readonly at: number; readonly fn: () => void } | undefined
  /** Sum of all files' bytes above which writes fail with `ENOSPC`. */
  capacityBytes = Infinity

  constructor(random: SimRandom) {
    this.#random = random
  }

  /** Another program of the machine writes a file, in a folder that it makes: durable at once. */
  put(path: string, text: string): void {
    this.#makeFolder(folderOf(path))
    this.#put(path, true, Buffer.from(text))
    this.#sync(path)
  }

  /** A node hears of every change of that file, until it ends it or is dead. */
  watch(node: SimNode, path: string, changed: () => void): () => void {
    const watch = { node, path, changed }
    this.#watches.add(watch)
    return () => this.#watches.delete(watch)
  }

  /** The next operation of that kind fails with that errno. */
  failNext(operation: DiskOperation, code = 'EIO'): void {
    this.#failures.push({ operation, code })
  }

  /** Runs `fn` right before the `nth` operation from now takes effect: where a machine may die. */
  beforeOperation(nth: number, fn: () => void): void {
    this.#armed = { at: this.#operations + nth, fn }
  }

  /** Another disk, empty and healthy, takes its place. */
  wipe(): void {
    this.#names = new Map()
    this.#durableNames = new Map()
    this.#changes = []
    this.#folders.clear()
    this.#folders.add('/')
    this.#failures.length = 0
    this.capacityBytes = Infinity
  }

  /** The power fails. */
  crash(): void {
    for (const file of new Set([...this.#durableNames.values(), ...this.#names.values()])) this.#lose(file)
    for (const change of this.#changes.slice(0, this.#random.below(this.#changes.length + 1))) {
      change.apply(this.#durableNames)
    }
    this.#changes = []
    this.#names = new Map(this.#durableNames)
  }

  /** The disk as one life of its node sees it: each operation takes time, and a dead life never hears its result. */
  of(node: SimNode, at: (delayMs: number, fn: () => void) => void): Disk {
    const run = <T>(operation: DiskOperation, path: string, act: () => T): Promise<T> =>
      new Promise((resolve, reject) => {
        if (!node.alive) return
        at(toGrid(this.#random.float() * OPERATION_MS_MAX), () => {
          if (!node.alive) return
          this.#reach()
          if (!node.alive) return
          const result = this.#attempt(operation, path, act)
          node.deliver('disk', `${operation} ${path}`, () =>
            result.ok ? resolve(result.value) : reject(result.error),
          )
        })
      })
    return {
      read: path => run('read', path, () => contentOf(this.#file(path))),
      write: (path, bytes) => run('write', path, () => this.#put(path, true, bytes)),
      append: (path, bytes) => run('append', path, () => this.#put(path, false, bytes)),
      sync: path => run('sync', path, () => this.#sync(path)),
      rename: (from, to) => run('rename', `${from} ${to}`, () => this.#rename(from, to)),
      remove: path => run('remove', path, () => this.#remove(path)),
      makeFolder: path => run('makeFolder', path, () => this.#makeFolder(path)),
      syncFolder: path => run('syncFolder', path, () => this.#syncFolder(path)),
      list: path => run('list', path, () => this.#list(path)),
    }
  }

  #reach(): void {
    this.#operations += 1
    const armed = this.#armed
    if (armed === undefined || this.#operations < armed.at) return
    this.#armed = undefined
    armed.fn()
  }

  #attempt<T>(
    operation: DiskOperation,
    path: string,
    act: () => T,
  ): { ok: true; value: T } | { ok: false; error: unknown } {
    const failure = this.#failures.findIndex(planned => planned.operation === operation)
    try {
      if (failure !== -1) this.#fail(operation, path, this.#failures.splice(failure, 1)[0]?.code ?? 'EIO')
      return { ok: true, value: act() }
    } catch (error) {
      return { ok: false, error }
    }
  }

  #fail(operation: DiskOperation, path: string, code: string): never {
    const file = this.#names.get(path)
    if (operation === 'sync' && file !== undefined) {
      this.#settle(file)
      file.doomed = true
    }
    throw errno(code, `${operation} ${path}`)
  }

  #file(path: string): File {
    const file = this.#names.get(path)
    if (file === undefined) throw errno('ENOENT', path)
    return file
  }

  #put(path: string, truncate: boolean, given: Uint8Array): void {
    const file = this.#names.get(path) ?? this.#create(path)
    if (truncate && file.doomed) Object.assign(file, { doomed: false, unsynced: [] })
    const usedBytes = [...this.#names.values()].reduce((sum, f) => sum + contentOf(f).length, 0)
    const freeBytes = this.capacityBytes - usedBytes + (truncate ? contentOf(file).length : 0)
    // As a real disk does: what fits is written, then it says no.
    const bytes = Buffer.from(given.subarray(0, Math.max(0, Math.min(given.length, freeBytes))))
    file.unsynced.push({ truncate, bytes })
    this.#touched([path])
    if (bytes.length < given.length) throw errno('ENOSPC', path)
  }

  #create(path: string): File {
    if (!this.#folders.has(folderOf(path))) throw errno('ENOENT', path)
    const file: File = { durable: Buffer.alloc(0), unsynced: [], doomed: false }
    this.#change([path], path, names => names.set(path, file))
    return file
  }

  #sync(path: string): void {
    const file = this.#file(path)
    if (file.doomed) return
    file.durable = contentOf(file)
    file.unsynced = []
    this.#changes = this.#changes.filter(change => {
      if (change.created !== path) return true
      change.apply(this.#durableNames)
      return false
    })
  }

  #rename(from: string, to: string): void {
    const file = this.#file(from)
    if (!this.#folders.has(folderOf(to))) throw errno('ENOENT', to)
    this.#change([from, to], undefined, names => {
      names.delete(from)
      names.set(to, file)
    })
  }

  #remove(path: string): void {
    this.#file(path)
    this.#change([path], undefined, names => names.delete(path))
  }

  #change(paths: readonly string[], created: string | undefined, apply: NameChange['apply']): void {
    apply(this.#names)
    this.#touched(paths)
    this.#changes.push({ folders: paths.map(folderOf), created, apply })
  }

  #touched(paths: readonly string[]): void {
    for (const watch of this.#watches) {
      const { node, path, changed } = watch
      if (!node.alive) this.#watches.delete(watch)
      else if (paths.includes(path)) {
        node.deliver('watch', path, () => {
          if (this.#watches.has(watch)) changed()
        })
      }
    }
  }

  #makeFolder(path: string): void {
    for (let folder = path; folder !== '/'; folder = folderOf(folder)) this.#folders.add(folder)
  }

  #syncFolder(path: string): void {
    if (!this.#folders.has(path)) throw errno('ENOENT', path)
    this.#changes = this.#changes.filter(change => {
      if (!change.folders.includes(path)) return true
      change.apply(this.#durableNames)
      return false
    })
  }

  #list(path: string): readonly string[] {
    if (!this.#folders.has(path)) throw errno('ENOENT', path)
    const prefix = path === '/' ? '/' : `${path}/`
    const names = [...this.#names.keys(), ...this.#folders].filter(
      name => name !== '/' && folderOf(name) === path && name.startsWith(prefix),
    )
    return names.map(name => name.slice(prefix.length)).sort()
  }

  /** Settles what a crash leaves of a file: a prefix of its writes, the last of them perhaps torn. */
  #lose(file: File): void {
    if (file.doomed) file.unsynced = []
    else this.#settle(file)
    file.doomed = false
    file.unsynced = []
  }

  /** Makes a random prefix of the writes durable; they stay readable until the crash. */
  #settle(file: File): void {
    const kept = file.unsynced.slice(0, this.#random.below(file.unsynced.length + 1))
    const last = kept.at(-1)
    const whole = contentOf(file, kept)
    const startBytes = whole.length - (last?.bytes.length ?? 0)
    const edges = Math.floor(whole.length / SECTOR_BYTES) - Math.ceil(startBytes / SECTOR_BYTES) + 1
    const torn = last !== undefined && edges > 0 && this.#random.chance(0.5)
    const edge =
      (Math.ceil(startBytes / SECTOR_BYTES) + this.#random.below(Math.max(1, edges))) * SECTOR_BYTES
    const read = contentOf(file)
    file.durable = torn ? whole.subarray(0, edge) : whole
    file.unsynced = [{ truncate: true, bytes: read }]
  }
}
