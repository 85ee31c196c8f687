/**
 * Brings the faults of a plan over a cluster, each at its time, and takes them back at theirs, or all at once when the
 * weather clears. Faults overlap: a way is cut while any of them cuts it, a node stopped while any stops it.
 *
 * What was in force, where, and when stands in the history: nothing else may be the cause of a loss.
 */
import type { LinkOptions } from '../../lib/sim/sim-network.js'
import type { TestMesh } from '../../lib/sim/test-mesh.js'
import { type Effect, type Fault, faultText, type Way } from './faults.js'
import type { FaultRecord, History } from './history.js'

/** How links are when nothing is wrong with them. */
const FAIR: Required<LinkOptions> = {
  delayMsMin: 0.5,
  delayMsMax: 2,
  bytesPerMs: 100_000,
  windowBytes: 64 * 1_024,
  resetRate: 0,
  spikeRate: 0,
  spikeMs: 500,
  readMs: 0,
}
const BOOT_AGAIN_MS = 1_000
/** A throttled node runs for one part of this many. */
const THROTTLE = 10

export class Weather {
  readonly #mesh: TestMesh
  readonly #history: History
  readonly #names: readonly string[]
  /** Taken back by the fault's end, or when all is. */
  readonly #inForce = new Set<() => void>()
  readonly #cuts = new Map<string, number>()
  readonly #links = new Map<string, Set<LinkOptions>>()
  readonly #stops = new Map<string, number>()
  readonly #started = new Set<string>()
  readonly #down = new Set<string>()
  #clear = false
  #frozen = false

  constructor(mesh: TestMesh, history: History, names: readonly string[]) {
    this.#mesh = mesh
    this.#history = history
    this.#names = names
  }

  /** Neither stopped nor on its way down. */
  isWell(name: string): boolean {
    return !this.#isStopped(name) && !this.#down.has(name)
  }

  isDown(name: string): boolean {
    return this.#down.has(name)
  }

  /** Nothing begins or ends any more: it stays as it is. */
  freeze(): void {
    this.#clear = true
    this.#frozen = true
    this.#inForce.clear()
  }

  kill(name: string): void {
    if (this.#started.has(name)) this.#end(name, 'kill')
  }

  plan(faults: readonly Fault[]): void {
    for (const fault of faults) {
      this.#mesh.simulation.after(fault.atMs, () => {
        if (!this.#clear) this.#strike(fault)
      })
    }
  }

  /** All is well from now on: what was cut is whole, what was stopped goes on, and all but `lost` are started. */
  clear(lost: ReadonlySet<string>): void {
    this.#clear = true
    for (const end of [...this.#inForce]) end()
    this.#mesh.simulation.calm()
    this.#mesh.network.heal()
    for (const name of this.#names) if (this.#down.has(name) && !lost.has(name)) this.boot(name)
    this.#note('clear', [], this.#names)
  }

  /** Starts a node, again and again until it is let in, as a service manager would. */
  boot(name: string): void {
    if (this.#frozen) return
    this.#down.delete(name)
    this.#started.add(name)
    if (this.#mesh.nodes.some(node => node.name === name)) return
    const record = this.#note('boot', [], [name])
    this.#history.bornAgain(name, this.#names)
    this.#mesh.boot(name).then(
      () => this.#over(record),
      error => {
        this.#over(record)
        this.#bootAgain(name, error)
      },
    )
  }

  #bootAgain(name: string, error: unknown): void {
    const { simulation } = this.#mesh
    if (this.#down.has(name) || this.#frozen) return
    this.#mesh.log.record(simulation.nowMs, name, 'refused', (error as { code?: string }).code ?? `${error}`)
    this.#history.refused(name, error)
    this.#mesh.kill(name)
    simulation.after(BOOT_AGAIN_MS, () => this.boot(name))
  }

  #strike(fault: Fault): void {
    const { simulation, log } = this.#mesh
    log.record(simulation.nowMs, '', 'fault', faultText(fault))
    const { ways, nodes } = placesOf(fault.effect)
    const record = this.#note(fault.kind, ways, nodes)
    const absent = nodes.some(name => !this.#started.has(name))
    const undo = absent ? () => {} : this.#effect(fault.effect)
    const end = (): void => {
      if (!this.#inForce.delete(end)) return
      log.record(simulation.nowMs, '', 'over', fault.kind)
      undo()
      this.#over(record)
    }
    this.#inForce.add(end)
    simulation.after(fault.lastsMs, end)
  }

  #effect(effect: Effect): () => void {
    switch (effect.do) {
      case 'cut':
        return effect.flapMs === undefined
          ? this.#cutAll(effect.ways)
          : this.#flap(effect.flapMs, effect.flapMs, () => this.#cutAll(effect.ways))
      case 'link':
        return this.#bend(effect.ways, effect.options)
      case 'reset':
      case 'hang':
        for (const [a, b] of effect.ways) this.#mesh.network[effect.do](a, b)
        return () => {}
      case 'pause': {
        const { node, everyMs } = effect
        if (everyMs === undefined) return this.#stop(node)
        return this.#flap(everyMs * (1 - 1 / THROTTLE), everyMs / THROTTLE, () => this.#stop(node))
      }
      case 'fell':
        return this.#fell(effect.node, effect.how, effect.disk)
      case 'jump':
        this.#mesh.simulation.node(effect.node).jumpWall(effect.ms)
        return () => {}
      case 'disk':
        return this.#spoil(effect.node, effect.how, effect.nth)
    }
  }

  /** In force for `onMs`, not for `offMs`, and so on. */
  #flap(onMs: number, offMs: number, begin: () => () => void): () => void {
    let undo: (() => void) | undefined
    let over = false
    const turn = (): void => {
      if (over) return
      if (undo === undefined) undo = begin()
      else {
        undo()
        undo = undefined
      }
      this.#mesh.simulation.after(undo === undefined ? offMs : onMs, turn)
    }
    turn()
    return () => {
      over = true
      undo?.()
    }
  }

  #cutAll(ways: readonly Way[]): () => void {
    for (const [from, to] of ways) {
      if (count(this.#cuts, `${from}>${to}`, 1) === 1) this.#mesh.network.cutOneWay(from, to)
    }
    return () => {
      for (const [from, to] of ways) {
        if (count(this.#cuts, `${from}>${to}`, -1) === 0) this.#mesh.network.healOneWay(from, to)
      }
    }
  }

  #bend(ways: readonly Way[], options: LinkOptions): () => void {
    const apply = (from: string, to: string): void => {
      const bent = [...(this.#links.get(`${from}>${to}`) ?? [])]
      this.#mesh.network.link(from, to, Object.assign({}, FAIR, ...bent))
    }
    for (const [from, to] of ways) {
      const all = this.#links.get(`${from}>${to}`) ?? new Set()
      this.#links.set(`${from}>${to}`, all.add(options))
      apply(from, to)
    }
    return () => {
      for (const [from, to] of ways) {
        this.#links.get(`${from}>${to}`)?.delete(options)
        apply(from, to)
      }
    }
  }

  #isStopped(name: string): boolean {
    return (this.#stops.get(name) ?? 0) > 0
  }

  #stop(name: string): () => void {
    if (count(this.#stops, name, 1) === 1) this.#mesh.pause(name)
    return () => {
      if (count(this.#stops, name, -1) === 0) this.#mesh.resume(name)
    }
  }

  #fell(name: string, how: 'kill' | 'crash' | 'leave', disk: 'kept' | 'lost'): () => void {
    const node = this.#mesh.nodes.find(up => up.name === name)
    // It is on its way up or down already; and one that is stopped cannot say goodbye.
    if (node === undefined || this.#down.has(name) || (how === 'leave' && this.#isStopped(name)))
      return () => {}
    this.#down.add(name)
    if (how === 'leave') this.#leave(node)
    else this.#end(name, how)
    return () => {
      if (!this.#down.has(name)) return
      if (how === 'leave') this.#end(name, 'kill')
      if (disk === 'lost') this.#mesh.simulation.wipe(name)
      if (!this.#clear) this.boot(name)
    }
  }

  #leave(node: { readonly name: string; stop(options: { drainMs: number }): Promise<void> }): void {
    const { name } = node
    const stopped = (): void => {
      const { holds } = this.#mesh.simulation.node(name)
      if (holds > 0) this.#history.wrong.push(`I17: ${name} has stopped and keeps ${holds} holds`)
      if (this.#down.has(name)) this.#end(name, 'kill')
    }
    node.stop({ drainMs: 0 }).then(stopped, error => this.#history.wrong.push(`I17: ${name}: ${error}`))
  }

  #end(name: string, how: 'kill' | 'crash'): void {
    const node = this.#mesh.nodes.find(up => up.name === name)
    if (node !== undefined) this.#history.ended(node)
    this.#mesh[how](name)
  }

  #spoil(name: string, how: 'full' | 'sync fails' | 'crash at write', nth: number): () => void {
    const disk = this.#mesh.simulation.disk(name)
    if (how === 'full') {
      disk.capacityBytes = 0
      return () => {
        disk.capacityBytes = Number.POSITIVE_INFINITY
      }
    }
    if (how === 'sync fails') {
      disk.failNext('sync')
      return () => {}
    }
    let undo = (): void => {}
    disk.beforeOperation(nth, () => {
      if (!this.#clear) undo = this.#fell(name, 'crash', 'kept')
    })
    return () => undo()
  }

  #note(kind: string, ways: readonly Way[], nodes: readonly string[]): FaultRecord {
    const { nowMs } = this.#mesh.simulation
    const record: FaultRecord = { kind, fromMs: nowMs, toMs: Number.POSITIVE_INFINITY, ways, nodes }
    if (kind === 'clear') record.toMs = nowMs
    this.#history.faults.push(record)
    return record
  }

  #over(record: FaultRecord): void {
    record.toMs = this.#mesh.simulation.nowMs
  }
}

function count(counts: Map<string, number>, key: string, by: 1 | -1): number {
  const now = (counts.get(key) ?? 0) + by
  counts.set(key, now)
  return now
}

/** Where an effect may be felt: on ways alone, or wherever these nodes are. */
function placesOf(effect: Effect): { readonly ways: readonly Way[]; readonly nodes: readonly string[] } {
  return 'ways' in effect ? { ways: effect.ways, nodes: [] } : { ways: [], nodes: [effect.node] }
}
