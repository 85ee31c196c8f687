/** What a random world did and saw, in order: everything the checkers are given. */

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

export interface SessionEvent {
  readonly kind: 'up' | 'down'
  readonly atMs: number
  readonly creation: number
}

export interface Fault {
  readonly kind: string
  readonly atMs: number
  readonly nodes: readonly string[]
}

export class History {
  readonly sent = new Map<string, SentMessage[]>()
  readonly received = new Map<string, ReceivedMessage[]>()
  readonly watches = new Map<string, WatchRecord>()
  readonly links: LinkRecord[] = []
  readonly faults: Fault[] = []
  /** By node, then by peer; of the life that is up. */
  readonly sessions = new Map<string, SessionEvent[]>()
  /** What was wrong on the face of it. */
  readonly wrong: string[] = []
  /** Named processes that were born, by printed pid. */
  readonly named = new Map<string, string>()
  /** Calls that were made, and how many came to an end. */
  calls = 0
  answered = 0
  gaveUp = new Set<string>()

  sessionsOf(node: string, peer: string): SessionEvent[] {
    const key = `${node} ${peer}`
    const known = this.sessions.get(key) ?? []
    this.sessions.set(key, known)
    return known
  }

  /** A node begins a new life: what its last one had is history of nobody. */
  epochOf(node: string, peer: string): number {
    return node === peer ? 0 : this.sessionsOf(node, peer).length
  }
}
