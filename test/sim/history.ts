/** What a random world did and saw, in order: everything the checkers are given. */
import type { Node } from '../../lib/actor/api.js'
import type { Way } from './faults.js'

/** One direction between two processes, by printed pids. */
export const pairOf = (from: string, to: string): string => `${from}→${to}`

export interface SentMessage {
  readonly seq: number
  readonly atMs: number
  readonly refused: boolean
}

export interface ReceivedMessage {
  readonly seq: number
  readonly atMs: number
  /** Which session of the receiver's node with the sender's it came in: 0 on one node. */
  readonly epoch: number
}

export interface WatchRecord {
  readonly watcher: string
  readonly watched: string
  readonly atMs: number
  readonly downs: { readonly atMs: number; readonly reason: unknown }[]
  endedMs: number | undefined
  downsAfterEnd: number
}

export interface LinkRecord {
  readonly sides: readonly [string, string]
  readonly atMs: number
  readonly exits: readonly [{ atMs: number; reason: unknown }[], { atMs: number; reason: unknown }[]]
  /** Which side ended it by `unlink`. */
  unlinkedBy: 0 | 1 | undefined
  exitsAfterUnlink: number
}

export interface CallRecord {
  readonly caller: string
  readonly atMs: number
  /** Answered, refused or timed out. */
  ended: boolean
}

export interface SessionEvent {
  readonly kind: 'up' | 'down'
  readonly atMs: number
  readonly creation: number
}

/** One node suspected another, or gave it up. */
export interface Verdict {
  readonly kind: 'suspected' | 'gave up'
  readonly node: string
  readonly about: string
  readonly atMs: number
  readonly reason: string
}

/** Something that went wrong by plan, and where: on ways between nodes, or wherever the nodes are that it names. */
export interface FaultRecord {
  readonly kind: string
  readonly fromMs: number
  toMs: number
  readonly ways: readonly Way[]
  readonly nodes: readonly string[]
}

export class History {
  readonly sent = new Map<string, SentMessage[]>()
  readonly received = new Map<string, ReceivedMessage[]>()
  readonly watches = new Map<string, WatchRecord>()
  readonly links: LinkRecord[] = []
  readonly faults: FaultRecord[] = []
  readonly verdicts: Verdict[] = []
  /** By life of a node, as `name creation`: the incarnation that it had at its end. */
  readonly lastIncarnations = new Map<string, number>()
  /** By node, then by peer; of the life that is up. */
  readonly sessions = new Map<string, SessionEvent[]>()
  /** What was wrong on the face of it. */
  readonly wrong: string[] = []
  /** Named processes that were born, by printed pid. */
  readonly named = new Map<string, string>()
  readonly calls: CallRecord[] = []
  /** How often each node was started. */
  readonly lives = new Map<string, number>()
  /** What members say of each other may be lost: then helpers may be of no help. */
  lossy = false

  sessionsOf(node: string, peer: string): SessionEvent[] {
    const key = `${node} ${peer}`
    const known = this.sessions.get(key) ?? []
    this.sessions.set(key, known)
    return known
  }

  /** A node begins a new life: sessions of its last one are history of nobody. */
  bornAgain(name: string, names: readonly string[]): void {
    this.lives.set(name, (this.lives.get(name) ?? 0) + 1)
    for (const peer of names) this.sessions.delete(`${name} ${peer}`)
  }

  /** Its life is about to end. */
  ended(node: Node): void {
    this.lastIncarnations.set(`${node.name} ${node.self.creation}`, incarnationOf(node))
  }

  /** A node could not be started. */
  refused(name: string, error: unknown): void {
    if ((error as { code?: unknown }).code === undefined)
      this.wrong.push(`I17: ${name} did not start: ${error}`)
  }

  /** Whether something was wrong at a node, or between two, in that time. */
  troubled(fromMs: number, toMs: number, ...names: readonly string[]): boolean {
    return this.faults.some(
      fault =>
        fault.fromMs <= toMs &&
        fault.toMs >= fromMs &&
        (fault.nodes.some(name => names.includes(name)) ||
          fault.ways.some(([a, b]) => names.includes(a) && names.includes(b))),
    )
  }

  /** Whether a third node was within reach of one of the two alone: then it may have decided for either. */
  besides(fromMs: number, toMs: number, a: string, b: string): boolean {
    const all = new Set(this.faults.flatMap(({ ways }) => ways.flat()))
    return [...all].some(
      name =>
        name !== a &&
        name !== b &&
        this.troubled(fromMs, toMs, name, a) !== this.troubled(fromMs, toMs, name, b),
    )
  }

  /** Which session of the one with the other it is, counted from the one's start. */
  epochOf(node: string, peer: string): number {
    return node === peer ? 0 : this.sessionsOf(node, peer).length
  }
}

export const incarnationOf = (node: Node): number =>
  node.members().members.find(({ name }) => name === node.name)?.incarnation ?? 0
