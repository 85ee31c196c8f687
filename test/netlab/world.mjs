// A "world" is a private set of kernel namespaces (network, mount, process ids).
// Everything a lab creates lives inside one, so the host's network is never
// touched and nothing can be left behind: when the world's first process ends,
// for whatever reason, the kernel ends every process and removes every address.
import { spawn, spawnSync } from 'node:child_process'
import { accessSync, constants, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const insideWorld = () => process.env.NETLAB_WORLD === '1'

// First process of a world: private mounts, loopback, then the command.
// The shell stays as process 1 so that orphans are reaped and Ctrl-C works.
const INIT = `
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 netlab /run
mkdir -p /run/netns /run/netlab
ip link set lo up
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter
echo 0 > /proc/sys/net/ipv4/conf/default/rp_filter
trap 'exit 143' TERM; trap 'exit 130' INT
set +e
"$@" <&0 &
pid=$!
wait "$pid"
exit $?
`

const has = (cmd, args) => {
  const r = spawnSync(cmd, args, { encoding: 'utf8' })
  return !r.error && r.status === 0
}

function unshareArgs() {
  const user = process.getuid() === 0 ? [] : ['--user', '--map-root-user']
  return [
    '--pdeathsig',
    'KILL',
    'unshare',
    ...user,
    '--net',
    '--mount',
    '--pid',
    '--fork',
    '--mount-proc',
    '--kill-child=KILL',
  ]
}

/** What this machine can do. `ok` is whether a world can be entered at all. */
export function check() {
  const problems = []
  if (process.platform !== 'linux')
    problems.push(`network namespaces need Linux; this is ${process.platform}`)
  else {
    if (!has('ip', ['-V'])) problems.push('`ip` not found: install iproute2')
    if (!has('unshare', ['--version'])) problems.push('`unshare` not found: install util-linux')
    if (!has('setpriv', ['--version'])) problems.push('`setpriv` not found: install util-linux')
  }
  if (!problems.length && !insideWorld()) {
    const r = spawnSync(
      'setpriv',
      [...unshareArgs(), 'sh', '-c', INIT, 'netlab', 'ip', 'netns', 'add', 'probe'],
      { encoding: 'utf8', timeout: 10_000 },
    )
    if (r.status !== 0) {
      const who =
        process.getuid() === 0
          ? 'although you are root (a container without CAP_SYS_ADMIN and CAP_NET_ADMIN?)'
          : 'and you are not root: run as root, or allow unprivileged user namespaces'
      problems.push(`cannot create namespaces, ${who}: ${(r.stderr || String(r.error ?? r.signal)).trim()}`)
    }
  }
  let tun = true
  try {
    accessSync('/dev/net/tun', constants.R_OK | constants.W_OK)
  } catch {
    tun = false
  }
  const python = has('python3', ['-c', 'import fcntl, heapq, select'])
  return {
    ok: problems.length === 0,
    problems,
    root: process.getuid?.() === 0,
    shape: tun && python,
    shapeProblem: !tun
      ? '/dev/net/tun is missing or not readable and writable'
      : !python
        ? 'python3 not found'
        : null,
    reset: has('ss', ['-V']),
  }
}

/**
 * Makes sure the calling script runs inside a world of its own. Call it first
 * thing in a test file: outside a world it runs the same script again inside
 * one and exits with its status, so the code after the call runs only inside.
 * Where no world can be made it returns the reason, for the caller to skip on;
 * with NETLAB_REQUIRED=1 (set it in CI) it throws instead.
 * @returns {string|undefined} why there is no world
 */
export function enterWorld({ timeoutMs = 600_000 } = {}) {
  if (insideWorld()) return undefined
  const c = check()
  if (!c.ok) {
    const why = `netlab: ${c.problems.join('; ')}`
    if (process.env.NETLAB_REQUIRED === '1') throw new Error(why)
    return why
  }
  const r = spawnSync(
    'setpriv',
    worldCommand([process.execPath, ...process.execArgv, ...process.argv.slice(1)]),
    { stdio: 'inherit', timeout: timeoutMs, killSignal: 'SIGKILL', env: worldEnv() },
  )
  if (r.error?.code === 'ETIMEDOUT') {
    process.stderr.write(`netlab: ended after ${timeoutMs} ms (timeoutMs)\n`)
    process.exit(124)
  }
  if (r.error) throw r.error
  process.exit(r.status ?? 137)
}

/** Runs a command in a new world; resolves to its exit status (124: timed out). */
export function runInWorld(command, { timeoutMs = 600_000 } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn('setpriv', worldCommand(command), { stdio: 'inherit', env: worldEnv() })
    let late = false
    const timer = setTimeout(() => {
      late = true
      child.kill('SIGKILL')
    }, timeoutMs)
    const stop = () => child.kill('SIGKILL')
    process.once('SIGINT', stop).once('SIGTERM', stop)
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      clearTimeout(timer)
      process.off('SIGINT', stop).off('SIGTERM', stop)
      resolve(late ? 124 : (code ?? (signal === 'SIGINT' ? 130 : 137)))
    })
  })
}

const worldCommand = command => [...unshareArgs(), 'sh', '-c', INIT, 'netlab', ...command]
const worldEnv = () => ({ ...process.env, NETLAB_WORLD: '1' })

/** A new directory that goes when the world does (outside a world: the caller's to remove). */
export const scratch = name => mkdtempSync(join(insideWorld() ? '/run/netlab' : tmpdir(), `netlab-${name}-`))

export const here = name => fileURLToPath(new URL(name, import.meta.url))
