// Two ways for a store to meet its end.
//
// runKilledAt() ends a program with SIGKILL as it enters its Nth call of one of
// the given system calls: every point between two file operations can be tried.
//
// Disk is a small ext4 volume whose power can be cut: snapshot() shows what a
// machine would find after losing power now, so only what was synced (fsync of
// the file, and of its directory for a new or renamed name) is sure to be there.
// Needs root and loop devices, inside a world (the mounts are private to it).
import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { insideWorld, scratch } from './world.mjs'

export const FILE_CALLS = [
  'write',
  'pwrite64',
  'writev',
  'pwritev',
  'fsync',
  'fdatasync',
  'ftruncate',
  'rename',
  'renameat',
  'renameat2',
  'unlink',
  'unlinkat',
  'link',
  'linkat',
  'openat',
]

// One thread-pool thread and no io_uring: strace counts calls thread by thread.
const NODE_ENV = { UV_THREADPOOL_SIZE: '1', UV_USE_IO_URING: '0' }

function strace(args, command, { timeoutMs = 30_000, ...options } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn('strace', ['-f', '-qq', ...args, ...command], {
      stdio: ['ignore', 'pipe', 'pipe'],
      ...options,
      env: { ...process.env, ...NODE_ENV, ...options.env },
    })
    let stdout = ''
    let stderr = ''
    child.stdout?.on('data', d => {
      stdout += d
    })
    child.stderr?.on('data', d => {
      stderr += d
    })
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
    child.once('error', e => {
      clearTimeout(timer)
      reject(e.code === 'ENOENT' ? new Error('netlab: strace not found') : e)
    })
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      resolve({ code, signal, stdout, stderr })
    })
  })
}

const paths = under => under.flatMap(p => ['-P', p])

/**
 * Counts how often a command makes each system call, per thread at most; with
 * `under` (exact paths) only calls on those files. The counts are the range for
 * runKilledAt().
 */
export async function countCalls(command, { calls = FILE_CALLS, under = [], ...options } = {}) {
  const file = join(scratch('trace'), 'trace')
  try {
    const result = await strace(
      ['-o', file, ...paths(under), '-e', `trace=${calls.join(',')}`],
      command,
      options,
    )
    const counts = new Map()
    for (const line of readFileSync(file, 'utf8').split('\n')) {
      const [, thread, call] = /^(\d+)\s+(\w+)\(/.exec(line) ?? []
      if (!call) continue
      const perThread = counts.get(call) ?? counts.set(call, new Map()).get(call)
      perThread.set(thread, (perThread.get(thread) ?? 0) + 1)
    }
    return {
      ...result,
      counts: Object.fromEntries([...counts].map(([call, t]) => [call, Math.max(...t.values())])),
    }
  } finally {
    rmSync(join(file, '..'), { recursive: true, force: true })
  }
}

/**
 * Runs a command that is killed on entering its nth `call` (on the files of
 * `under`, if given). With `error` (EIO, ENOSPC, …) that call fails instead.
 * `killed` says whether the point was reached.
 */
export async function runKilledAt(command, { call, n, error, under = [], ...options }) {
  if (!FILE_CALLS.includes(call))
    throw new Error(`netlab: no call ${call}; there are ${FILE_CALLS.join(', ')}`)
  const result = await strace(
    [
      '-o',
      '/dev/null',
      ...paths(under),
      '-e',
      `trace=${call}`,
      '-e',
      `inject=${call}:${error ? `error=${error}` : 'signal=SIGKILL'}:when=${n}`,
    ],
    command,
    options,
  )
  return { ...result, killed: result.signal === 'SIGKILL' || result.code === 137 }
}

export class Disk {
  #root
  #image
  #mounts = []
  #count = 0

  static create({ sizeMb = 64 } = {}) {
    if (!insideWorld()) throw new Error('netlab: not inside a world')
    const disk = new Disk()
    disk.#root = scratch('disk')
    disk.#image = join(disk.#root, 'image')
    try {
      execFileSync('truncate', ['-s', `${sizeMb}M`, disk.#image])
      execFileSync('mkfs.ext4', ['-q', disk.#image], { stdio: 'pipe' })
      // a long commit interval and no automatic flush on rename: nothing is
      // written for the program that the program did not ask to be written
      disk.dir = disk.#mount(disk.#image, 'live', 'loop,commit=600,noauto_da_alloc')
    } catch (e) {
      disk.destroy()
      throw new Error(
        `netlab: cannot make a disk (root, mkfs.ext4 and loop devices are needed): ${String(e.stderr ?? e.message).trim()}`,
      )
    }
    return disk
  }

  #mount(image, name, options) {
    const dir = join(this.#root, name)
    mkdirSync(dir)
    execFileSync('mount', ['-o', options, image, dir], { stdio: 'pipe' })
    this.#mounts.push(dir)
    return dir
  }

  /** What would be found after a power cut now: a directory with a writable copy. */
  snapshot() {
    const copy = join(this.#root, `snapshot-${++this.#count}`)
    execFileSync('cp', ['--sparse=always', this.#image, `${copy}.image`])
    return this.#mount(`${copy}.image`, `snapshot-${this.#count}`, 'loop')
  }

  /** Lets go of a snapshot. */
  drop(dir) {
    execFileSync('umount', [dir])
    this.#mounts = this.#mounts.filter(m => m !== dir)
    rmSync(`${dir}.image`, { force: true })
    rmSync(dir, { recursive: true, force: true })
  }

  destroy() {
    for (const dir of this.#mounts.reverse()) execFileSync('umount', ['-l', dir], { stdio: 'ignore' })
    this.#mounts = []
    if (this.#root) rmSync(this.#root, { recursive: true, force: true })
  }
}
