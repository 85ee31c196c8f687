/**
 * What happened in random supervision trees, as the children and the log of the simulation tell it, held against I5
 * while it happens:
 *
 *   twice        no place has two lives under one supervisor
 *   start order  one start at a time, in order; in a group nobody starts while a younger one lives
 *   stop order   nobody is told to stop while a younger sibling lives
 *   restarts     as many as the intensities allow, and not one less; see `checkRestarts`
 *   kinds        no temporary child is restarted, and no transient one that ended cleanly
 *   ends         who is told to stop is gone in time, and no supervisor ends for no reason
 *   orphans      no supervisor ends before its children, and none that was killed is outlived by them for long
 *   names        nobody is told of the end of a process that still has its name
 *
 * Every definition of a tree is wrapped: so a supervisor is seen when it is told of an end, at the moment at which it
 * decides.
 */
import { ActorProcess } from '../../lib/actor/actor-process.js'
import type { Signal } from '../../lib/actor/api.js'
import { ActorContext } from '../../lib/actor/context.js'
import { type AnyActor, specOf } from '../../lib/actor/define.js'
import { processSpeaker } from '../../lib/actor/speaker.js'
import { Pid, samePid } from '../../lib/base/ids.js'
import { type ExitReason, isCleanExit } from '../../lib/base/reasons.js'
import type { SimRandom } from '../../lib/sim/sim-random.js'
import type { Simulation } from '../../lib/sim/simulation.js'
import { type ChildInfo, childrenOf } from '../../lib/supervisor/tree.js'
import { isGroup, isLeaf, isStatic, nameOf, type Plan } from './tree-plan.js'

/** How long the children of a supervisor that was killed may take to end. */
const ORPHAN_MS = 2_000
/** Clocks of nodes run up to a hundredth slower. */
const LATE = 1.02

/** One process at a place. */
export interface Life {
  readonly plan: Plan
  readonly pid: Pid
  readonly process: ActorProcess
  readonly parent: Life | undefined
  phase: 'starting' | 'up' | 'failed' | 'dead'
  /** Its start was asked for by name. */
  readonly asked: boolean
  wasUp: boolean
  ignored: boolean
  endedMs: number
  reason: string
  /** Of a supervisor: its children, what it decided, and why it has to end, if it has to. */
  readonly lives: Life[]
  readonly decisions: Decision[]
  mustEnd: string | undefined
  /** When its supervisor told it to stop; and whether anybody else may have ended it. */
  toldMs: number
  mayEnd: boolean
  /** Whose end it deals with, to start it again. */
  restarts: Plan | undefined
  /** Undefined for parts of an application, and the application: how they decide is not seen. */
  readonly nowMs: (() => number) | undefined
}

export type Decision =
  | {
      readonly what: 'end'
      readonly plan: Plan
      readonly restarts: boolean
      readonly atMs: number
      gaveUp: boolean
    }
  /** A report of the supervisor; its text comes a little later. */
  | { readonly what: 'report'; readonly atMs: number; text: string | undefined }

type Named = { whereis(name: string): { readonly pid: Pid } | undefined }

export class TreeBook {
  readonly wrong: string[] = []
  /** By printed pid, in order of birth. */
  readonly lives = new Map<string, Life>()
  /** Places whose start or end somebody has asked for, with how many of these are not answered. */
  readonly #asked = new Map<string, number>()
  /** Places that were told to rest, by supervisor. */
  readonly #resting = new Set<string>()
  readonly #random: SimRandom
  readonly #simulation: Simulation
  readonly #node: (name: string) => Named | undefined
  /** No start fails any more. */
  calm = false

  constructor(random: SimRandom, simulation: Simulation, node: (name: string) => Named | undefined) {
    this.#random = random
    this.#simulation = simulation
    this.#node = node
    simulation.log.listener = (_atMs, at, kind, ids) => this.#logged(at, kind, ids)
  }

  alive(): Life[] {
    return [...this.lives.values()].filter(isAlive)
  }

  /** `def` as it is, and what becomes of it is written down. */
  readonly watch = (plan: Plan, def: AnyActor): AnyActor => {
    const spec = specOf('watch', def)
    const watched: AnyActor = Object.freeze({
      ...def,
      spec: {
        ...spec,
        init: (args: never, ctx: never) => this.#init(plan, ctx, () => spec.init(args, ctx)),
        ...(isLeaf(plan) && {
          terminate: async () => plan.terminateMs > 0 && (await this.#wait(plan.terminateMs)),
        }),
        ...(!isLeaf(plan) && {
          info: (tree: never, signal: Signal, ctx: ActorContext) =>
            this.#told(tree, signal, ctx, () => spec.info?.(tree, signal, ctx as never)),
        }),
      },
    })
    return watched
  }

  /** Somebody asks for the start or the end of the child at `path`; call what is returned with the answer. */
  asks(supervisor: Life, path: string): (rests: boolean) => void {
    this.#asked.set(path, (this.#asked.get(path) ?? 0) + 1)
    return rests => {
      this.#asked.set(path, (this.#asked.get(path) ?? 0) - 1)
      const runs = supervisor.lives.some(life => life.plan.path === path && isAlive(life))
      if (rests && !runs) this.#resting.add(`${supervisor.pid} ${path}`)
    }
  }

  /** The text of the next report of a supervisor. */
  reported(pid: Pid, reason: ExitReason): void {
    const next = this.lives.get(`${pid}`)?.decisions.find(isUnread)
    if (next !== undefined && reason instanceof Error) next.text = reason.message
  }

  // ---- lives ----

  #init(plan: Plan, ctx: ActorContext, init: () => unknown): unknown {
    const inside = processSpeaker(ctx as never)
    const life = this.#begin(plan, ActorContext.processOf(ctx), () => inside.nowMs)
    try {
      const state = isLeaf(plan) ? this.#initLeaf(life, ctx, init) : init()
      if (!(state instanceof Promise)) return this.#began(life, state)
      return state.then(
        kept => this.#began(life, kept),
        error => this.#failed(life, error),
      )
    } catch (error) {
      return this.#failed(life, error)
    }
  }

  #initLeaf(life: Life, ctx: ActorContext, init: () => unknown): unknown {
    const { plan } = life
    ctx.trapExit(plan.traps)
    if (!this.calm && this.#random.chance(plan.ignoring)) {
      life.ignored = true
      return ctx.ignore()
    }
    if (!this.calm && this.#random.chance(plan.failing)) throw new Error('no start')
    return plan.initMs === 0 ? init() : this.#wait(plan.initMs).then(init)
  }

  #begin(plan: Plan, process: ActorProcess, nowMs: Life['nowMs']): Life {
    const { pid } = process
    const parent = plan.parent === undefined ? undefined : this.#meet(plan.parent, process)
    const life: Life = {
      plan,
      pid,
      process,
      parent,
      phase: nowMs === undefined ? 'up' : 'starting',
      asked: (this.#asked.get(plan.path) ?? 0) > 0,
      wasUp: false,
      ignored: false,
      endedMs: Number.NaN,
      reason: '',
      lives: [],
      decisions: [],
      mustEnd: undefined,
      toldMs: Number.NaN,
      mayEnd: false,
      restarts: undefined,
      nowMs,
    }
    if (parent !== undefined) this.#checkStart(life, parent)
    this.lives.set(`${pid}`, life)
    parent?.lives.push(life)
    if (parent !== undefined) this.#resting.delete(`${parent.pid} ${plan.path}`)
    this.#simulation.log.record(this.#simulation.nowMs, pid.node, 'begin', `${pid} ${plan.path}`)
    return life
  }

  /** Who keeps `child`. A part of an application is met when its first child begins. */
  #meet(plan: Plan, child: ActorProcess): Life | undefined {
    const { parent } = child
    const known = parent === undefined ? undefined : this.lives.get(`${parent}`)
    if (known !== undefined || parent === undefined) return known
    const process = child.kind.actors.table.find(parent)
    return process instanceof ActorProcess ? this.#begin(plan, process, undefined) : undefined
  }

  #began(life: Life, state: unknown): unknown {
    if (life.phase === 'dead') return state
    const runs = typeof state === 'object' && state !== null && !life.ignored
    life.phase = runs ? 'up' : 'failed'
    life.wasUp = runs
    return state
  }

  #failed(life: Life, error: unknown): never {
    if (life.phase !== 'dead') life.phase = 'failed'
    throw error
  }

  #wait(ms: number): Promise<void> {
    return new Promise(resolve => this.#simulation.after(ms, resolve))
  }

  // ---- rules that hold at every moment ----

  #fault(rule: string, life: Life, what: string): void {
    this.wrong.push(`${rule}: ${what} (${life.plan.path} ${life.pid}, ${this.#simulation.nowMs} ms)`)
  }

  #checkStart(life: Life, parent: Life): void {
    const { plan } = life
    if (!isAlive(parent)) this.#fault('I5 orphans', life, 'begins under a supervisor that is dead')
    const siblings = parent.lives.filter(isAlive)
    for (const other of siblings) {
      if (other.plan.path === plan.path) this.#fault('I5 twice', life, `begins while ${other.pid} lives`)
      if (other.phase === 'starting')
        this.#fault('I5 start order', life, `begins while ${other.plan.id} starts`)
      const inOrder = isGroup(parent.plan) || (!isDynamic(parent.plan) && parent.phase === 'starting')
      if (inOrder && !life.asked && other.plan.place > plan.place)
        this.#fault('I5 start order', life, `begins while ${other.plan.id}, which is younger, lives`)
    }
    const before = parent.lives.findLast(other => other.plan.path === plan.path)
    if (before === undefined || life.asked) return
    if (plan.restart === 'temporary') this.#fault('I5 kinds', life, 'is temporary and begins again')
    if (plan.restart === 'transient' && !isGroup(parent.plan) && before.wasUp && isClean(before.reason))
      this.#fault('I5 kinds', life, `is transient and begins again after ${before.reason}`)
  }

  #logged(at: string, kind: string, ids: string): void {
    const [pid = '', second = '', third = ''] = ids.split(' ')
    if (kind === 'died') this.#died(pid, ids.slice(pid.length + 1))
    else if (kind === 'crash' && ids.endsWith(' error')) this.#reports(pid)
    else if (second === 'of' && (kind === 'exit' || kind === 'down')) {
      this.#checkName(at, third)
      if (kind === 'exit') this.#checkStop(pid, third)
    }
  }

  #died(pid: string, reason: string): void {
    const life = this.lives.get(pid)
    if (life === undefined) return
    const { parent } = life
    life.phase = 'dead'
    life.endedMs = this.#simulation.nowMs
    life.reason = reason
    const left = life.lives.filter(isAlive)
    if (left.length > 0 && reason !== 'killed')
      this.#fault('I5 orphans', life, `ends with ${reason} while ${left[0]?.plan.id} lives`)
    if (!isLeaf(life.plan) && life.wasUp && reason === 'shutdown') this.#checkEnd(life)
    const { shutdownMs } = life.plan
    const deadlineMs = typeof shutdownMs === 'number' ? life.toldMs + shutdownMs * LATE : Number.NaN
    if (parent?.phase !== 'dead' && life.endedMs > deadlineMs)
      this.#fault('I5 ends', life, `takes ${life.endedMs - life.toldMs} of ${shutdownMs} ms to stop`)
    if (parent?.phase === 'dead' && life.endedMs > parent.endedMs + ORPHAN_MS)
      this.#fault('I5 orphans', life, `outlives its supervisor by ${life.endedMs - parent.endedMs} ms`)
  }

  /** A supervisor ends with `'shutdown'` when it is told to, or because of its children. */
  #checkEnd(life: Life): void {
    const { nowMs, mustEnd, mayEnd, toldMs, decisions } = life
    const gaveUp = decisions.at(-1)?.what === 'report'
    if (nowMs !== undefined && mustEnd === undefined && !mayEnd && Number.isNaN(toldMs) && !gaveUp)
      this.#fault('I5 ends', life, 'ends for no reason')
  }

  /** A notice of the end of `of` is about to be put into a mailbox of the node `at`. */
  #checkName(at: string, of: string): void {
    const life = this.lives.get(of)
    const name = life === undefined ? undefined : nameOf(life.plan)
    if (life === undefined || name === undefined || isAlive(life)) return
    const holder = this.#node(at)?.whereis(name)?.pid
    if (holder !== undefined && samePid(holder, life.pid))
      this.#fault('I5 names', life, `still has its name on ${at} when its end is told`)
  }

  /** A child that traps exits is told to stop. */
  #checkStop(pid: string, from: string): void {
    const life = this.lives.get(pid)
    const parent = life?.parent
    if (life === undefined || parent === undefined || `${parent.pid}` !== from) return
    if (isAlive(parent)) life.toldMs = this.#simulation.nowMs
    if (!isAlive(parent) || isDynamic(parent.plan) || (this.#asked.get(life.plan.path) ?? 0) > 0) return
    const { restarts } = parent
    const others =
      parent.plan.kind === 'one_for_all' || (isGroup(parent.plan) && life.plan.place > (restarts?.place ?? 0))
    if (restarts !== undefined && !others)
      this.#fault('I5 stop order', life, `is told to stop, and ${restarts.id} is restarted`)
    for (const other of parent.lives) {
      if (isAlive(other) && other.plan.place > life.plan.place)
        this.#fault('I5 stop order', life, `is told to stop while ${other.plan.id}, which is younger, lives`)
    }
  }

  // ---- what supervisors decide ----

  #told(tree: unknown, signal: Signal, ctx: ActorContext, info: () => unknown): unknown {
    const life = this.lives.get(`${ctx.self}`)
    const children = childrenOf(tree) ?? []
    const known =
      signal.type === 'down'
        ? children.find(
            ({ pid }) => pid instanceof Pid && signal.pid !== undefined && samePid(pid, signal.pid),
          )
        : undefined
    const child = known?.pid === undefined ? undefined : this.lives.get(`${known.pid}`)
    if (life?.nowMs === undefined || child === undefined || signal.type !== 'down') return info()
    const { plan } = child
    const clean = isCleanExit(signal.reason)
    const restarts = plan.restart === 'permanent' || (plan.restart === 'transient' && !clean)
    const decision: Decision = { what: 'end', plan, restarts, atMs: life.nowMs(), gaveUp: false }
    life.decisions.push(decision)
    if (!restarts && (plan.restart === 'temporary' || clean)) this.#endsWith(life, child, children)
    const before = life.decisions.length
    const going = info()
    decision.gaveUp = life.decisions.length > before
    if (decision.gaveUp) life.mustEnd = 'gave up'
    if (!restarts || decision.gaveUp || !(going instanceof Promise)) return going
    life.restarts = plan
    return going.finally(() => {
      life.restarts = undefined
    })
  }

  #endsWith(supervisor: Life, child: Life, children: readonly ChildInfo<unknown>[]): void {
    const { autoShutdown, children: plans } = supervisor.plan
    if (!child.plan.significant || autoShutdown === 'never') return
    const counts = children.filter(
      ({ id, pid }) =>
        pid !== undefined && id !== child.plan.id && plans.find(plan => plan.id === id)?.significant === true,
    )
    if (autoShutdown === 'any_significant' || counts.length === 0)
      supervisor.mustEnd = 'a significant child ended'
  }

  #reports(pid: string): void {
    const life = this.lives.get(pid)
    if (life?.nowMs === undefined || isLeaf(life.plan)) return
    life.decisions.push({ what: 'report', atMs: life.nowMs(), text: undefined })
  }

  // ---- at rest ----

  /** What must hold when nothing has happened for a while. */
  checkRest(): void {
    for (const life of this.lives.values()) {
      if (!isLeaf(life.plan)) checkRestarts(life, (rule, what) => this.#fault(rule, life, what))
      if (!isAlive(life)) continue
      if (life.parent?.phase === 'dead') this.#fault('I5 orphans', life, 'lives, and its supervisor does not')
      if (life.mustEnd !== undefined) this.#fault('I5 restarts', life, `lives, though ${life.mustEnd}`)
      if (!isLeaf(life.plan)) this.#checkFamily(life)
    }
  }

  #checkFamily(supervisor: Life): void {
    const { plan, lives } = supervisor
    const infos = childrenOf(supervisor.process.state) ?? []
    const rests = (path: string): boolean => this.#resting.has(`${supervisor.pid} ${path}`)
    const unfinished = isGroup(plan) && lives.some(life => rests(life.plan.path))
    for (const life of lives.filter(isAlive)) {
      if (!infos.some(({ pid }) => pid instanceof Pid && samePid(pid, life.pid)))
        this.#fault('I5 kinds', life, 'lives, and its supervisor does not know it')
    }
    for (const { id, pid } of infos) {
      const path = `${plan.path}/${id}`
      const last = lives.findLast(life => life.plan.path === path)
      if (pid instanceof Pid && this.lives.get(`${pid}`)?.phase !== 'up')
        this.#fault('I5 kinds', supervisor, `keeps ${id}, which does not run`)
      if (pid === 'restarting') this.#fault('I5 kinds', supervisor, `still restarts ${id}`)
      if (pid !== undefined || unfinished || rests(path) || last === undefined || mayRest(last)) continue
      this.#fault('I5 kinds', last, `ended with ${last.reason} and was not started again`)
    }
  }
}

export const isAlive = ({ phase }: Life): boolean => phase !== 'dead'

const isDynamic = (plan: Plan): boolean => !isStatic(plan) && plan.kind !== 'partition'

const isClean = (reason: string): boolean => ['normal', 'shutdown', '{ shutdown }'].includes(reason)

const mayRest = ({ plan, ignored, asked, wasUp, reason }: Life): boolean =>
  ignored || (asked && !wasUp) || (plan.restart === 'transient' && isClean(reason))

const isUnread = (decision: Decision): decision is Decision & { what: 'report' } =>
  decision.what === 'report' && decision.text === undefined

/** Every restart that was decided or refused, counted anew. */
function checkRestarts({ plan, lives, decisions }: Life, fault: (rule: string, what: string) => void): void {
  const histories = new Map<string, number[]>()
  const left = (key: string, { restarts, withinMs }: { restarts: number; withinMs: number }, nowMs: number) =>
    restarts - (histories.get(key) ?? []).filter(atMs => nowMs - atMs <= withinMs).length
  const bears = (child: Plan, nowMs: number): boolean => {
    const own = child.own === undefined ? 1 : left(child.path, child.own, nowMs)
    if (left('', plan.intensity, nowMs) <= 0 || own <= 0) return false
    for (const key of ['', child.path]) histories.set(key, [...(histories.get(key) ?? []), nowMs])
    return true
  }
  for (let i = 0; i < decisions.length; i++) {
    const decision = decisions[i] as Decision
    const next = decisions[i + 1]
    const gaveUp = next?.what === 'report' && / gave up on /.test(next.text ?? '')
    const failed = decision.what === 'end' ? undefined : failedIn(decision.text ?? '', plan, lives)
    const child = decision.what === 'end' && decision.restarts ? decision.plan : failed
    if (child === undefined) continue
    const borne = bears(child, decision.atMs)
    if (borne && gaveUp) fault('I5 restarts', `gave up on ${child.id} too early, at ${decision.atMs}`)
    if (!borne && !gaveUp) fault('I5 restarts', `restarts ${child.id} once too often, at ${decision.atMs}`)
  }
}

/** Which child the report says did not start again. */
function failedIn(text: string, plan: Plan, lives: readonly Life[]): Plan | undefined {
  const [, id, pid] = / child (?:"?(\d+)"?|\S+ (<\S+>)) did not start again/.exec(text) ?? []
  if (id !== undefined) return lives.find(life => life.plan.id === id)?.plan ?? plan.children[Number(id)]
  return pid === undefined ? undefined : lives.find(life => `${life.pid}` === pid)?.plan
}
