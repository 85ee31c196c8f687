/**
 * Hostile bytes against live nodes. The victim and a healthy peer run in processes of their own; the attacker is this
 * one, and speaks raw TCP.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { writeGreeting } from '../lib/mesh/handshake.js'
import type { Role } from '../lib/mesh/mesh.js'
import { SimRandom } from '../lib/sim/sim-random.js'
import { encodeFrame, FrameType } from '../lib/wire/frame.js'
import { Arsenal, type Shot } from './support/arsenal.js'
import { approach, type Disguise, Foe, greetingOf, Stranger, whole } from './support/foe.js'

// Longer than tap's own half minute for a file.
t.setTimeout(300_000)

const SECRET = 'a secret that the attacker got hold of'
const MIB = 1_048_576
const SEED = Number(process.env['TROUPE_SEED'] ?? 1)
const FRAMES = Number(process.env['TROUPE_FRAMES'] ?? 100_000)

interface Report {
  readonly counters: Readonly<Record<string, number>>
  readonly downs: readonly string[]
  readonly problems: readonly string[]
  readonly members: readonly string[]
  readonly polluted: boolean
}

class Program {
  readonly child: ChildProcess
  readonly #waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>()
  /** Settles when the process ends, whyever. */
  readonly exited: Promise<string>
  #output = ''
  #last = 0

  private constructor(child: ChildProcess) {
    this.child = child
    child.stderr?.on('data', chunk => {
      this.#output = (this.#output + chunk).slice(-4_000)
    })
    child.on('message', ({ id, value, error }: { id: number; value?: unknown; error?: string }) => {
      const waiting = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (error === undefined) waiting?.resolve(value as never)
      else waiting?.reject(new Error(error))
    })
    this.exited = new Promise(resolve => {
      child.on('exit', (code, signal) => {
        const how = `it exited with ${signal ?? code}: ${this.#output}`
        resolve(how)
        for (const { reject } of this.#waiting.values()) reject(new Error(how))
      })
    })
  }

  static async start(name: string, seeds: readonly string[], secret = SECRET) {
    const child = fork(join(import.meta.dirname, 'support/hostile-node.js'), [], {
      execArgv: ['--expose-gc'],
      env: { ...process.env, NODE_OPTIONS: '' },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    const program = new Program(child)
    await program.#answer(0)
    const { port } = await program.ask<{ port: number }>('start', { name, seeds, secret })
    return { program, port, address: `127.0.0.1:${port}` }
  }

  ask<R>(op: string, args: object = {}): Promise<R> {
    const id = ++this.#last
    const answer = this.#answer<R>(id)
    this.child.send({ id, op, ...args })
    return answer
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null) return
    await this.ask('stop')
    this.child.disconnect()
    await this.exited
  }

  #answer<R>(id: number): Promise<R> {
    return new Promise<R>((resolve, reject) => this.#waiting.set(id, { resolve, reject }))
  }
}

const percentile = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN

/** What became of the shots. */
class Tally {
  readonly fates = new Map<string, { kept: number; closed: number }>()
  readonly owed = new Map<string, number>()
  readonly unpunished: string[] = []
  mutated = 0
  fired = 0

  add(shot: Shot, fate: 'kept' | 'closed'): void {
    this.fired += 1
    if (shot.kind.includes('mutated')) this.mutated += 1
    const fates = this.fates.get(shot.kind) ?? { kept: 0, closed: 0 }
    fates[fate] += 1
    this.fates.set(shot.kind, fates)
    const { expect } = shot
    if (expect === undefined) return
    if ('closes' in expect) {
      if (fate === 'kept' && this.unpunished.length < 20)
        this.unpunished.push(`${shot.kind} was kept: ${shot.bytes.toString('hex', 0, 80)}`)
    } else if (fate === 'closed') {
      if (this.unpunished.length < 20)
        this.unpunished.push(`${shot.kind} closed: ${shot.bytes.toString('hex', 0, 80)}`)
    } else this.owed.set(expect.counts, (this.owed.get(expect.counts) ?? 0) + 1)
  }
}

t.test('100,000 malformed frames neither end, slow nor swell a node', async t => {
  const victim = await Program.start('victim', [])
  const peer = await Program.start('peer', [victim.address])
  t.teardown(() => Promise.all([victim.program.stop(), peer.program.stop()]))
  let died: string | undefined
  void victim.program.exited.then(how => {
    died = how
  })

  await peer.program.ask('ping', { on: 'victim' })
  const before = await victim.program.ask<Report>('report')
  const tally = new Tally()
  const random = new SimRandom(SEED)
  let left = FRAMES
  const next = (): boolean => died === undefined && left-- > 0

  /** A quarter of them: as many as there are lanes for it among all. */
  let early = FRAMES / 4
  const stranger = async (lane: number): Promise<void> => {
    const arsenal = new Arsenal(random.fork(`early ${lane}`))
    const nonces = random.fork(`nonces ${lane}`)
    const from = `127.0.1.${lane + 1}`
    while (early-- > 0 && next()) {
      const disguise: Disguise = {
        port: victim.port,
        from,
        secret: SECRET,
        id: `early-${lane}`,
        nonce: nonces.bytes(32),
      }
      const guest = new Stranger(victim.port, from)
      const hello = encodeFrame(FrameType.hello, 0, writeGreeting(greetingOf(disguise)))
      const challenged = nonces.chance(0.3)
      const proof = challenged ? await approach(guest, disguise) : undefined
      const valid = typeof proof === 'object' ? encodeFrame(FrameType.proof, 0, proof) : hello
      const shot = arsenal.early([valid])
      const heard = guest.hear(() => true)
      guest.say(whole(shot.bytes, 4_096).bytes)
      if (shot.bytes.length === 0) guest.leave()
      tally.add(shot, (await heard) === undefined ? 'closed' : 'kept')
      guest.leave()
      await guest.closed
    }
  }

  let prey = 1
  const member = async (lane: number, role: Role): Promise<void> => {
    const arsenal = new Arsenal(random.fork(`${role} ${lane}`))
    const nonces = random.fork(`nonces ${role} ${lane}`)
    let epoch = 0
    let foe: Foe | undefined
    let refusals = 0
    while (next()) {
      while (foe === undefined || foe.stranger.over) {
        const disguise = {
          port: victim.port,
          from: `127.0.2.${lane + 1}`,
          secret: SECRET,
          role,
          id: `evil-${lane}`,
        }
        const met = await Foe.infiltrate({ ...disguise, epoch, nonce: nonces.bytes(32) })
        if (typeof met === 'string') {
          refusals += 1
          if (died !== undefined) return
          if (refusals > 200) throw new Error(`${role} ${lane} was refused again and again: ${met}`)
          continue
        }
        foe = met
        epoch = Math.max(epoch, met.epoch)
      }
      arsenal.aim(prey)
      const shot = arsenal.next(role, foe.sequence)
      const { bytes, frames } = whole(shot.bytes, 131_072)
      tally.add(shot, await foe.shoot(bytes, frames))
    }
    foe?.stranger.leave()
  }

  let hunting = true
  const peakRss = 0
  const hunt = async (): Promise<void> => {
    while (hunting && died === undefined) prey = await victim.program.ask<number>('prey')
  }
  prey = await victim.program.ask<number>('prey')
  const base = await victim.program.ask<NodeJS.MemoryUsage>('rss')
  await peer.program.ask('pinged')
  await peer.program.ask('ping', { on: 'victim' })
  const startMs = performance.now()
  const hunted = hunt()
  await Promise.all([
    ...[0, 1, 2, 3].map(stranger),
    ...[0, 1, 2, 3].map(lane => member(lane, 'member')),
    ...[4, 5].map(lane => member(lane, 'client')),
  ])
  const tookMs = performance.now() - startMs
  hunting = false
  await hunted
  t.equal(died, undefined, 'the victim lives')

  const { latencies, failures } = await peer.program.ask<{ latencies: number[]; failures: string[] }>(
    'pinged',
  )
  const sorted = latencies.sort((a, b) => a - b)
  const [p50, p99, worst] = [percentile(sorted, 0.5), percentile(sorted, 0.99), sorted.at(-1)]
  const after = await victim.program.ask<Report>('report')
  const spent = await victim.program.ask<NodeJS.MemoryUsage>('rss')
  t.comment(`${tally.fired} frames, ${tally.mutated} mutated, in ${Math.round(tookMs)} ms`)
  t.comment(
    `pings ${sorted.length}: p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, worst ${worst?.toFixed(1)} ms`,
  )
  const mib = (bytes: number): string => `${(bytes / MIB).toFixed(1)} MiB`
  t.comment(`RSS ${mib(base.rss)} before, ${mib(spent.rss)} after; heap ${mib(base.heapUsed)}, ${mib(spent.heapUsed)}`)
  t.comment(`external ${mib(base.external)}, ${mib(spent.external)}`)
  if (process.env['TROUPE_VERBOSE'] !== undefined) {
    for (const [kind, fates] of [...tally.fates].sort()) t.comment(`${kind}: ${JSON.stringify(fates)}`)
    t.comment(JSON.stringify(after.counters))
  }

  t.equal(tally.fired, FRAMES)
  t.ok(tally.mutated >= FRAMES / 3, `${tally.mutated} mutated`)
  t.strictSame(tally.unpunished, [], 'what must close closes, what may stay stays')
  const grown = [...tally.owed].filter(([counter, owed]) => {
    return (after.counters[counter] ?? 0) - (before.counters[counter] ?? 0) < owed
  })
  t.strictSame(grown, [], 'what may stay is counted')
  t.strictSame(after.problems, [], 'nothing was thrown that nobody caught, and no listener failed')
  t.equal(after.polluted, false)
  t.strictSame(failures, [], 'every ping came back')
  t.strictSame(
    after.downs.filter(line => line.endsWith(' peer')),
    [],
    'the healthy peer was never doubted',
  )
  t.ok(spent.rss <= base.rss + 64 * MIB, `RSS ${mib(spent.rss)} after ${mib(base.rss)}`)
  t.ok(p99 < 50, `p99 ${p99} ms`)

  const late = await Program.start('late', [victim.address])
  t.teardown(() => late.program.stop())
  const { members } = await late.program.ask<Report>('report')
  t.ok(members.includes('victim alive') && members.includes('peer alive'), `a new node joins: ${members}`)
  const [onPeer, onLate] = await Promise.all([
    peer.program.ask<Report>('report'),
    victim.program.ask<Report>('report'),
  ])
  t.ok(onLate.members.includes('late alive'))
  t.strictSame(onPeer.problems, [])
  t.strictSame(
    onPeer.downs.filter(line => line.endsWith(' victim')),
    [],
  )
})
