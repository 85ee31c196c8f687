// A lab: nodes, each a network namespace with an address of its own, joined by
// a router in the world's own namespace. Faults are per direction between two
// nodes. A cut is a routing-policy rule (kernel only); a shaped link takes the
// detour through shaper.py. See README.md.
import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { check, enterWorld, here, insideWorld } from './world.mjs'

export { check, enterWorld, insideWorld }

const SHAPES = ['delay', 'jitter', 'loss', 'duplicate', 'reorder', 'rate', 'limit']
const LOCKS = '/run/netlab' // in the world's own /run
const OUTPUT_KEPT = 64 * 1024 // per node

function ip(lines) {
  try {
    execFileSync('ip', ['-batch', '-'], { input: `${lines.join('\n')}\n`, stdio: ['pipe', 'pipe', 'pipe'] })
  } catch (e) {
    throw new Error(`netlab: ip failed: ${String(e.stderr).trim()}\n${lines.join('\n')}`)
  }
}

export class Lab {
  #index
  #nodes = new Map()
  #links = new Map()
  #rules = new Map()
  #pref
  #shaper
  #seed
  #dir
  #pauses = new Set()
  #destroyed = false

  /**
   * @param {object} options
   * @param {number|string[]} options.nodes how many (named n1, n2, …) or their names
   * @param {number|string} [options.seed] seeds loss, jitter and the like
   * @returns {Promise<Lab>}
   */
  static async create({ nodes, seed = 1 } = {}) {
    if (!insideWorld())
      throw new Error(
        'netlab: not inside a world: call enterWorld() first, or run through `netlab enter -- …`',
      )
    const names =
      typeof nodes === 'number' ? Array.from({ length: nodes }, (_, i) => `n${i + 1}`) : [...(nodes ?? [])]
    if (names.length < 1 || names.length > 200)
      throw new RangeError(`netlab: nodes must be 1 to 200, not ${names.length}`)
    if (new Set(names).size !== names.length) throw new Error('netlab: node names must differ')
    for (const name of names) {
      if (!/^[a-zA-Z0-9][\w.-]{0,31}$/.test(name))
        throw new Error(`netlab: not a node name: ${JSON.stringify(name)}`)
    }
    const lab = new Lab()
    lab.#seed = seed
    lab.#claim()
    try {
      lab.#build(names)
    } catch (e) {
      await lab.destroy()
      throw e
    }
    return lab
  }

  // Several labs may stand in one world; each claims its own index, and with it
  // its own subnet, device names, rule preferences and routing table.
  #claim() {
    for (let i = 0; i < 200; i++) {
      const dir = join(LOCKS, String(i))
      try {
        mkdirSync(dir)
      } catch (e) {
        if (e.code === 'EEXIST') continue
        throw e
      }
      this.#index = i
      this.#pref = 1000 + i * 100
      this.#dir = dir
      return
    }
    throw new Error('netlab: 200 labs stand in this world already')
  }

  #build(names) {
    const k = this.#index
    const gateway = `10.77.${k}.254`
    const lines = []
    names.forEach((name, i) => {
      const node = {
        name,
        address: `10.77.${k}.${i + 1}`,
        ns: `nl${k}.${name}`,
        port: `nl${k}.${i + 1}`,
        processes: new Set(),
        crashed: false,
        output: '',
      }
      this.#nodes.set(name, node)
      lines.push(
        `netns add ${node.ns}`,
        `link add ${node.port} type veth peer name eth0 netns ${node.ns}`,
        `addr add ${gateway}/32 dev ${node.port}`,
        `link set ${node.port} up`,
        `route add ${node.address}/32 dev ${node.port}`,
      )
    })
    ip(lines)
    for (const { ns, address } of this.#nodes.values()) {
      execFileSync('ip', ['-n', ns, '-batch', '-'], {
        input: `${[
          `link set lo up`,
          `addr add ${address}/32 dev eth0`,
          `link set eth0 up`,
          `route add default via ${gateway} dev eth0 onlink`,
        ].join('\n')}\n`,
      })
    }
  }

  get nodes() {
    return [...this.#nodes.keys()]
  }
  /** The lab's own address, reachable from every node whatever is cut. */
  get controllerAddress() {
    return `10.77.${this.#index}.254`
  }
  address(name) {
    return this.#node(name).address
  }

  #node(name) {
    if (this.#destroyed) throw new Error('netlab: the lab was destroyed')
    const node = this.#nodes.get(name)
    if (!node) throw new Error(`netlab: no node ${JSON.stringify(name)}; there are ${this.nodes.join(', ')}`)
    return node
  }

  // ---- processes ----------------------------------------------------------

  /**
   * Starts a command in a node's namespace; returns the ChildProcess. Its
   * environment has NETLAB_NODE, NETLAB_ADDRESS and NETLAB_NODES (name=address,…).
   * Options are child_process.spawn's; stdio may hold 'ipc'. What it writes to
   * pipes is read in any case (a full pipe would stop it); see output().
   */
  spawn(name, command, args = [], options = {}) {
    const node = this.#node(name)
    if (node.crashed) throw new Error(`netlab: ${name} is crashed; restore() it first`)
    const child = spawn('ip', ['netns', 'exec', node.ns, command, ...args], {
      ...options,
      env: {
        ...process.env,
        ...options.env,
        NETLAB_NODE: name,
        NETLAB_ADDRESS: node.address,
        NETLAB_NODES: [...this.#nodes.values()].map(n => `${n.name}=${n.address}`).join(','),
      },
    })
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', chunk => {
        node.output = (node.output + chunk).slice(-OUTPUT_KEPT)
      })
    }
    node.processes.add(child)
    child.once('exit', () => node.processes.delete(child))
    child.once('error', () => node.processes.delete(child))
    return child
  }

  /** spawn() of a Node script, with an IPC channel and a wall clock that skew() can move. */
  fork(name, script, args = [], options = {}) {
    const { execArgv = [], ...rest } = options
    return this.spawn(
      name,
      process.execPath,
      [...execArgv, '--import', pathToFileURL(here('clock.mjs')).href, script, ...args],
      {
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
        ...rest,
        env: { ...rest.env, NETLAB_CLOCK: this.#clockFile(name) },
      },
    )
  }

  /** The last that a node's processes wrote to their standard output and error: what to print when a test fails. */
  output(name) {
    return this.#node(name).output
  }

  #clockFile(name) {
    return join(this.#dir, `clock-${name}`)
  }

  /** Sets a node's wall clock off by so many milliseconds, for processes begun with fork(); seen within 20 ms or so. */
  skew(name, milliseconds) {
    writeFileSync(this.#clockFile(this.#node(name).name), String(milliseconds))
  }

  /** Stops (SIGSTOP) all of a node's processes, as a long collection or a stalled machine would. */
  pause(name) {
    this.#signal(name, 'SIGSTOP')
  }
  resume(name) {
    this.#signal(name, 'SIGCONT')
  }

  /** Lets a node run only this share of the time, in 50 ms turns, until the returned function is called. */
  throttle(name, share, { period = 50 } = {}) {
    if (!(share > 0 && share < 1)) throw new RangeError('netlab: share must be between 0 and 1')
    this.#node(name)
    const stop = new AbortController()
    const loop = (async () => {
      while (!stop.signal.aborted) {
        this.pause(name)
        await sleep(period * (1 - share))
        this.resume(name)
        await sleep(period * share)
      }
    })()
    const end = () => {
      stop.abort()
      this.#pauses.delete(end)
      return loop
    }
    this.#pauses.add(end)
    return end
  }

  /** Kills a node's processes (SIGKILL). The kernel closes their sockets, so peers soon see the connections end. */
  async kill(name) {
    const node = this.#node(name)
    await Promise.all([...node.processes].map(child => ended(child, 'SIGKILL')))
  }

  /** As a power cut: peers see nothing at all, no FIN and no RST. The node stays off until restore(). */
  async crash(name) {
    const node = this.#node(name)
    if (node.crashed) return
    node.crashed = true
    this.#sync()
    await this.kill(name)
    this.#destroySockets(node)
  }

  /** Brings a crashed node's machine back, with nothing running on it: peers' old connections are answered with RST. */
  restore(name) {
    this.#node(name).crashed = false
    this.#sync()
  }

  #signal(name, signal) {
    for (const child of this.#node(name).processes) child.kill(signal)
  }

  // ---- links --------------------------------------------------------------

  /**
   * Cuts a pair of nodes; established connections fall silent too. With
   * oneWay, only packets from a to b vanish. With reject, the sender is told
   * (EHOSTUNREACH) instead of hearing nothing.
   */
  cut(a, b, { oneWay = false, reject = false } = {}) {
    this.#change(a, b, oneWay, link => {
      link.cut = reject ? 'prohibit' : 'blackhole'
    })
    this.#sync()
  }

  /** Undoes cut() for a pair. */
  uncut(a, b, { oneWay = false } = {}) {
    this.#change(a, b, oneWay, link => {
      link.cut = null
    })
    this.#sync()
  }

  /** Cuts every pair that spans two of the groups. Nodes in no group form one more. */
  partition(groups, options = {}) {
    const rest = this.nodes.filter(n => !groups.flat().includes(n))
    const all = rest.length ? [...groups, rest] : groups
    for (const [i, from] of all.entries()) {
      const others = all.slice(i + 1).flat()
      for (const a of from) {
        for (const b of others) {
          this.#change(a, b, false, link => {
            link.cut = options.reject ? 'prohibit' : 'blackhole'
          })
        }
      }
    }
    this.#sync()
  }

  /** Cuts a node off from all others. */
  isolate(name, options) {
    this.partition([[name]], options)
  }

  /**
   * Shapes a link: delay and jitter in ms, loss, duplicate and reorder as
   * probabilities, rate in bits a second, limit in bytes queued at that rate.
   * Each direction has the whole shape, so a delay of 100 makes a round trip of
   * 200. An empty shape clears it. Resolves once the shape holds.
   */
  async shape(a, b, shape, { oneWay = false } = {}) {
    for (const key of Object.keys(shape)) {
      if (!SHAPES.includes(key))
        throw new Error(`netlab: no shape ${JSON.stringify(key)}; there are ${SHAPES.join(', ')}`)
      if (!(shape[key] >= 0)) throw new RangeError(`netlab: ${key} must be 0 or more`)
    }
    for (const key of ['loss', 'duplicate', 'reorder'])
      if (shape[key] > 1) throw new RangeError(`netlab: ${key} is a probability, 0 to 1`)
    this.#change(a, b, oneWay, link => {
      link.shape = Object.keys(shape).length ? { ...shape } : null
    })
    await this.#shapeSync()
  }

  /** shape() for every pair of nodes. */
  async shapeAll(shape) {
    const names = this.nodes
    if (names.length < 2) return
    for (const a of names)
      for (const b of names)
        if (a !== b) this.#link(a, b).shape = Object.keys(shape).length ? { ...shape } : null
    await this.shape(names[0], names[1], shape)
  }

  /**
   * Breaks the established TCP connections between two nodes with RST, both ends
   * told. Returns how many there were; throws where the kernel left one standing
   * (built without CONFIG_INET_DIAG_DESTROY, `ss -K` says nothing and does nothing).
   */
  reset(a, b) {
    const before = this.#established(a, b)
    // By their ports: when the second end is told, the nodes may have connected again.
    for (const line of before) {
      const [here, there] = line.split(' ')
      this.#ss(a, '-K', 'state', 'connected', 'src', here, 'dst', there)
      this.#ss(b, '-K', 'state', 'connected', 'src', there, 'dst', here)
    }
    const standing = this.#established(a, b).filter(line => before.includes(line))
    if (standing.length)
      throw new Error(`netlab: this kernel cannot reset connections; standing: ${standing.join('; ')}`)
    return before.length
  }

  #established(a, b) {
    return this.#ss(a, 'state', 'established', 'dst', this.#node(b).address)
      .split('\n')
      .filter(Boolean)
      .map(line => line.trim().split(/\s+/).slice(2, 4).join(' '))
  }

  #ss(name, ...args) {
    return execFileSync('ip', ['netns', 'exec', this.#node(name).ns, 'ss', '-H', '-t', '-n', ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
  }

  /** Undoes every cut and shape (not crashes or pauses). */
  async heal() {
    for (const link of this.#links.values()) {
      link.cut = null
      link.shape = null
    }
    await this.#shapeSync()
  }

  /** What the shaper has done, per "from>to": seen, lost, duplicated, reordered, overflowed. */
  async stats() {
    if (!this.#shaper) return {}
    const names = new Map([...this.#nodes.values()].map(n => [n.address, n.name]))
    const { stats } = await this.#shaper.send({})
    return Object.fromEntries(
      Object.entries(stats).map(([pair, s]) => [
        pair
          .split('>')
          .map(x => names.get(x))
          .join('>'),
        s,
      ]),
    )
  }

  #link(a, b) {
    this.#node(a)
    this.#node(b)
    if (a === b) throw new Error(`netlab: a link joins two nodes, not ${a} to itself`)
    const key = `${a}>${b}`
    if (!this.#links.has(key)) this.#links.set(key, { a, b, cut: null, shape: null })
    return this.#links.get(key)
  }

  #change(a, b, oneWay, edit) {
    edit(this.#link(a, b))
    if (!oneWay) edit(this.#link(b, a))
  }

  async #shapeSync() {
    const shaped = [...this.#links.values()].filter(l => l.shape)
    if (shaped.length && !this.#shaper) this.#shaper = await this.#startShaper()
    if (this.#shaper) {
      const rules = Object.fromEntries(
        [...this.#links.values()].map(l => [`${this.address(l.a)}>${this.address(l.b)}`, l.shape ?? {}]),
      )
      await this.#shaper.send({ rules })
    }
    this.#sync()
  }

  // Brings the kernel's rules to what the links say, in one batch. Additions
  // come first, so nothing leaks between an old rule's end and a new one's start.
  #sync() {
    const want = new Map()
    for (const { a, b, cut, shape } of this.#links.values()) {
      const from = this.#nodes.get(a)
      const to = this.#nodes.get(b)
      const pair = `from ${from.address} to ${to.address}`
      if (cut) want.set(`${pair} ${cut}`, 10)
      else if (shape) want.set(`${pair} iif ${from.port} lookup ${this.#table}`, 20)
    }
    for (const node of this.#nodes.values()) {
      if (!node.crashed) continue
      want.set(`from ${node.address} blackhole`, 0)
      want.set(`to ${node.address} blackhole`, 0)
    }
    const lines = []
    for (const [rule, offset] of want)
      if (!this.#rules.has(rule)) lines.push(`rule add pref ${this.#pref + offset} ${rule}`)
    for (const [rule, offset] of this.#rules)
      if (!want.has(rule)) lines.push(`rule del pref ${this.#pref + offset} ${rule}`)
    if (lines.length) ip(lines)
    this.#rules = want
  }

  get #table() {
    return 7000 + this.#index
  }

  async #startShaper() {
    const c = check()
    if (!c.shape) throw new Error(`netlab: cannot shape links: ${c.shapeProblem}`)
    const device = `nl${this.#index}.shape`
    const child = spawn('python3', [here('shaper.py'), device, String(this.#seed)], {
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    let errors = ''
    child.stderr.on('data', d => {
      errors += d
    })
    const waiting = new Map()
    const fail = () => {
      const e = new Error(`netlab: the shaper ended${errors ? `: ${errors.trim()}` : ''}`)
      for (const { reject } of waiting.values()) reject(e)
      waiting.clear()
    }
    child.once('exit', fail).once('error', fail)
    child.stdin.on('error', () => {})
    createInterface({ input: child.stdout }).on('line', line => {
      const answer = JSON.parse(line)
      waiting.get(answer.id)?.resolve(answer)
      waiting.delete(answer.id)
    })
    const answered = id =>
      new Promise((resolve, reject) => {
        if (child.exitCode !== null || child.signalCode !== null)
          return reject(new Error('netlab: the shaper has ended'))
        waiting.set(id, { resolve, reject })
      })
    await answered(0)
    ip([`link set ${device} up txqueuelen 10000`, `route add default dev ${device} table ${this.#table}`])
    child.unref()
    child.stdin.unref()
    child.stdout.unref()
    child.stderr.unref()
    let id = 0
    return {
      child,
      send: message => {
        const done = answered(++id)
        child.stdin.write(`${JSON.stringify({ ...message, id })}\n`)
        child.stdout.ref()
        return done.finally(() => child.stdout.unref())
      },
    }
  }

  #destroySockets(node) {
    try {
      execFileSync('ip', ['netns', 'exec', node.ns, 'ss', '-K', '-a', '-t'], { stdio: 'ignore' })
    } catch {
      /* ss missing: orphans time out */
    }
  }

  /** Kills what runs and removes everything. Safe to call more than once. */
  async destroy() {
    if (this.#destroyed) return
    for (const end of [...this.#pauses]) await end()
    for (const name of this.#nodes.keys()) await this.kill(name)
    this.#destroyed = true
    if (this.#shaper) await ended(this.#shaper.child, 'SIGKILL')
    const lines = [...this.#rules].map(([rule, offset]) => `rule del pref ${this.#pref + offset} ${rule}`)
    for (const { port, ns } of this.#nodes.values()) lines.push(`link del ${port}`, `netns del ${ns}`)
    remove(lines)
    rmSync(this.#dir, { recursive: true, force: true })
  }
}

// Removal goes on past what is already gone.
function remove(lines) {
  try {
    execFileSync('ip', ['-force', '-batch', '-'], {
      input: `${lines.join('\n')}\n`,
      stdio: ['pipe', 'ignore', 'ignore'],
    })
  } catch {
    /* -force reports at the end that some were gone */
  }
}

function ended(child, signal) {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return undefined
  return new Promise(resolve => {
    child.ref()
    child.once('exit', resolve)
    child.kill(signal)
  })
}
