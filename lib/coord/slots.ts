/**
 * The door of `coord/`: the slot machine of this node on its mesh, with a clock.
 *
 *   Mesh ──▶ memberUp, sessionUp, frames ──▶ SlotMachine ──▶ effects, queued ──▶ Holder, promises
 *                                                │
 *                                                └──▶ outboxes, one per session ──▶ at the turn's end: Session.sendSlot
 *
 * The machine's effects are carried out when its event is over, so that a holder may turn to the machine again. What
 * one turn has to say to a peer leaves as batches in frames of at most 64 KiB; a release leaves at once, because the
 * exits and downs of the same death are about to be sent, and the name must be free before them.
 */
import { TroupeError } from '../base/errors.js'
import type { NodeId } from '../base/ids.js'
import type { Member } from '../base/member.js'
import type { Runtime, Timer } from '../base/runtime.js'
import type { MeshListener, Session } from '../mesh/mesh.js'
import { FrameType } from '../wire/frame.js'
import type { NewAsk } from './callers.js'
import { type Entry, type Life, type Owner, ownerOf, sameLife } from './slot-data.js'
import { SlotMachine } from './slot-machine.js'
import type { SlotMessage } from './slot-messages.js'
import type { Answer, Resolver, SlotLimits, SlotQuorum, SlotTimes } from './slot-state.js'
import { BATCH_MAX, decodeBatch, encodeBatch } from './slot-wire.js'

/** Who owns things here. Called one at a time, never in the midst of an event of the machine. */
export interface Holder {
  /** An owner here lost the key. `ends`: it is to end; else it is only told. */
  lost(entry: Entry, winner: Owner | undefined, ends: boolean): void
  /** The table of this node changed; `entry` undefined: the key is free. */
  changed(key: string, entry: Entry | undefined): void
  /** This node is the registrar of a key whose home is gone: a new owner is to be made, and to `replace` it. */
  revive(entry: Entry): void
}

export interface SlotsOptions {
  readonly runtime: Pick<Runtime, 'clock' | 'loop' | 'random'>
  readonly self: Life
  readonly slots: number
  readonly resolver: Resolver
  readonly limits: SlotLimits
  readonly quorum: SlotQuorum
  readonly holder: Holder
  /** The preferred owner of each slot, for these members. */
  readonly ownersOf: (members: readonly NodeId[]) => readonly NodeId[]
  /** Alive and suspect members, this node included. */
  readonly members: () => readonly Member[]
  readonly times?: Partial<SlotTimes> | undefined
}

export const SLOT_TIMES: SlotTimes = { stableMs: 1_000, learnMs: 10_000, retryMs: 50, retryMaxMs: 1_000 }

/** What fits a frame of the slot lane. */
const PART_BYTES_MAX = 60 * 1_024
/** A batch is cut when it holds this much, so that few need more than one frame. */
const BATCH_BYTES = 32 * 1_024
/** Joined again at the other end: some entries with the largest values there are. */
const JOINED_BYTES_MAX = 8 * 1_048_576
const LAST = 1
const MORE = 0

interface Line {
  readonly session: Session
  readonly outbox: SlotMessage[]
  /** Parts of a batch that is not whole yet. */
  readonly parts: Buffer[]
  partBytes: number
}

export class Slots implements MeshListener {
  readonly types: readonly number[] = [FrameType.slot]
  readonly #options: SlotsOptions
  readonly #machine: SlotMachine
  readonly #random: Runtime['random']
  /** Open sessions with members, by node. */
  readonly #lines = new Map<NodeId, Line>()
  readonly #asked = new Map<number, (answer: Answer) => void>()
  readonly #effects: (() => void)[] = []
  #running = false
  #flushing = false
  #ringing = false
  #started = false
  #stopped = false
  #wake: { readonly at: number; readonly timer: Timer } | undefined

  constructor(options: SlotsOptions) {
    this.#options = options
    this.#random = options.runtime.random.fork('slots')
    const { holder } = options
    const later = (effect: () => void): void => void this.#effects.push(effect)
    this.#machine = new SlotMachine({
      self: options.self,
      slots: options.slots,
      resolver: options.resolver,
      times: { ...SLOT_TIMES, ...options.times },
      limits: options.limits,
      quorum: options.quorum,
      random: () => this.#random.float(),
      effects: {
        send: (to, message) => this.#post(to, message),
        answer: (id, answer) => later(() => this.#answered(id, answer)),
        lost: (entry, winner, ends) => later(() => holder.lost(entry, winner, ends)),
        changed: (key, entry) => later(() => holder.changed(key, entry)),
        revive: entry => later(() => holder.revive(entry)),
      },
    })
  }

  /** The mesh has joined, or is alone: from here on this node takes slots, and requests that waited are sent. */
  start(): void {
    this.#started = true
    this.#event(now => this.#machine.ring(now, this.#owners()))
    this.#event(now => this.#machine.start(now))
  }

  /** No timer fires and no effect happens any more. */
  stop(): void {
    this.#stopped = true
    this.#wake?.timer.clear()
    this.#wake = undefined
  }

  /** This side has lost its quorum, or has it again. */
  quorumChanged(): void {
    this.#event(now => this.#machine.quorumChanged(now))
  }

  /** Asks the registrar of the key's slot. Never rejects; a request that nobody decided in time is `'unavailable'`. */
  ask(ask: NewAsk): Promise<Answer> {
    return new Promise(resolve => {
      if (this.#stopped) return resolve({ ok: false, why: 'unavailable', owner: undefined })
      this.#event(now => this.#asked.set(this.#machine.ask(now, ask), resolve))
    })
  }

  /** An owner here ended. `keep`: the keys whose records stay, for this node to `replace`. */
  ended(serial: number, keep: (key: string) => boolean): void {
    this.#event(now => this.#machine.ended(now, serial, keep))
  }

  /** An owner here gives one key up. */
  release(key: string, serial: number | undefined): void {
    this.#event(now => this.#machine.release(now, key, serial, false))
  }

  /** The table's entry, between owners too. */
  entry(key: string): Entry | undefined {
    return this.#machine.entry(key)
  }

  /** What this node holds under that key. */
  holding(key: string): Entry | undefined {
    return this.#machine.holding(key)
  }

  entries(): readonly Entry[] {
    return this.#machine.entries()
  }

  /** The home of that entry is gone. */
  isOrphan(entry: Entry): boolean {
    return (
      ownerOf(entry) !== undefined &&
      this.#machine.entry(entry.key) === entry &&
      this.#machine.owner(entry.key) === undefined
    )
  }

  /** Slots in which nothing can be asked for now: nobody is known to decide. */
  closed(): number {
    return this.#machine.closed()
  }

  /** That entry's owner ended, and its home, which is about to go, makes no other. */
  isLeftBehind(entry: Entry): boolean {
    return entry.serial === undefined && this.#machine.isLeaving(entry.home)
  }

  stats(): Readonly<Record<string, number>> {
    return this.#machine.stats()
  }

  // ---- the mesh ----

  sessionUp(session: Session): void {
    if (session.role !== 'member') return
    this.#lines.set(session.peer, { session, outbox: [], parts: [], partBytes: 0 })
    this.#event(now => this.#machine.sessionUp(now, lifeOf(session)))
  }

  sessionDown(session: Session): void {
    if (this.#lines.get(session.peer)?.session !== session) return
    this.#lines.delete(session.peer)
    this.#event(now => this.#machine.sessionDown(now, lifeOf(session)))
  }

  frame(session: Session, _type: number, _flags: number, buffer: Buffer, start: number, end: number): void {
    const line = this.#lines.get(session.peer)
    if (session.role !== 'member' || line?.session !== session) {
      throw new TroupeError('ERR_FRAME', `${session.peer} is no member and sent slot messages`)
    }
    const whole = join(line, buffer, start, end)
    if (whole === undefined) return
    for (const message of decodeBatch(whole.buffer, whole.start, whole.end)) {
      this.#event(now => this.#machine.receive(now, lifeOf(session), message))
    }
  }

  memberUp(member: Member): void {
    this.#event(now => this.#machine.memberUp(now, lifeOfMember(member)))
    this.#ring()
  }

  memberSuspect(member: Member): void {
    this.#event(now => this.#machine.memberSuspect(now, lifeOfMember(member)))
  }

  memberAlive(member: Member): void {
    this.#event(now => this.#machine.memberAlive(now, lifeOfMember(member)))
  }

  memberUpdated(member: Member): void {
    if (member.state !== 'leaving') return
    this.#event(now => this.#machine.memberLeaving(now, lifeOfMember(member)))
    this.#ring()
  }

  memberDown(member: Member): void {
    this.#event(now => this.#machine.memberDown(now, lifeOfMember(member)))
    this.#ring()
  }

  // ---- inside ----

  /** Who leaves owns nothing any more, unless all do. */
  #owners(): readonly NodeId[] {
    const members = this.#options.members()
    const staying = members.filter(member => !this.#machine.isLeaving(lifeOfMember(member)))
    return this.#options.ownersOf((staying.length > 0 ? staying : members).map(member => member.name))
  }

  /** Computing a ring takes milliseconds: once for all changes of a turn. */
  #ring(): void {
    if (this.#ringing || !this.#started) return
    this.#ringing = true
    this.#options.runtime.loop.later(() => {
      this.#ringing = false
      this.#event(now => this.#machine.ring(now, this.#owners()))
    })
  }

  #event(run: (now: number) => void): void {
    if (this.#stopped) return
    run(this.#options.runtime.clock.now())
    this.#carryOut()
    this.#setWake()
  }

  /** One at a time, in order; an effect that turns to the machine adds to the same queue. */
  #carryOut(): void {
    if (this.#running) return
    this.#running = true
    try {
      for (let effect = this.#effects.shift(); effect !== undefined; effect = this.#effects.shift()) effect()
    } finally {
      this.#running = false
    }
  }

  #setWake(): void {
    const at = this.#machine.wakeAt()
    if (at === undefined || (this.#wake !== undefined && this.#wake.at <= at)) return
    this.#wake?.timer.clear()
    const { clock } = this.#options.runtime
    const timer = clock.after(Math.max(0, at - clock.now()), () => {
      this.#wake = undefined
      this.#event(now => this.#machine.tick(now))
    })
    this.#wake = { at, timer }
  }

  #answered(id: number, answer: Answer): void {
    const resolve = this.#asked.get(id)
    this.#asked.delete(id)
    resolve?.(answer)
  }

  #post(to: Life, message: SlotMessage): void {
    const line = this.#lines.get(to.node)
    if (line === undefined || !sameLife(lifeOf(line.session), to)) return
    line.outbox.push(message)
    if (message.type === 'release') return this.#flush(line)
    if (this.#flushing) return
    this.#flushing = true
    this.#options.runtime.loop.turnEnd(() => {
      this.#flushing = false
      for (const each of this.#lines.values()) this.#flush(each)
    })
  }

  #flush(line: Line): void {
    const { outbox } = line
    while (outbox.length > 0) this.#send(line.session, outbox.splice(0, batchLength(outbox)))
  }

  #send(session: Session, messages: readonly SlotMessage[]): void {
    const encoded = encodeBatch(messages, 1)
    if (encoded.length <= PART_BYTES_MAX) {
      encoded[0] = LAST
      session.sendSlot(FrameType.slot, encoded)
      return
    }
    for (let at = 1; at < encoded.length; at += PART_BYTES_MAX) {
      const part = encoded.subarray(at, at + PART_BYTES_MAX)
      const body = Buffer.allocUnsafe(1 + part.length)
      body[0] = at + PART_BYTES_MAX >= encoded.length ? LAST : MORE
      body.set(part, 1)
      session.sendSlot(FrameType.slot, body)
    }
  }
}

const lifeOf = (session: Session): Life => ({ node: session.peer, creation: session.creation })
const lifeOfMember = (member: Member): Life => ({ node: member.name, creation: member.creation })

/** How many messages of the front fit one batch. Only values have a size worth estimating. */
function batchLength(outbox: readonly SlotMessage[]): number {
  let bytes = 0
  let count = 0
  for (const message of outbox) {
    bytes += sizeOf(message)
    if (count > 0 && (bytes > BATCH_BYTES || count >= BATCH_MAX)) break
    count += 1
  }
  return count
}

function sizeOf(message: SlotMessage): number {
  switch (message.type) {
    case 'seal':
      return 4
    case 'sealed':
    case 'digest':
      return 16 + message.entries.reduce((sum, entry) => sum + entryBytes(entry), 0)
    case 'accept':
      return 32 + (message.entry === undefined ? 0 : entryBytes(message.entry))
    case 'ask':
      return 64 + valueBytes(message.value)
    default:
      return 64
  }
}

const entryBytes = (entry: Entry): number => 96 + entry.key.length + valueBytes(entry.value)

/** A rough count: values are small objects of which one field may be a buffer. */
function valueBytes(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  return Object.values(value).reduce(
    (sum: number, part) => sum + (Buffer.isBuffer(part) ? part.length : 16),
    0,
  )
}

interface Whole {
  readonly buffer: Buffer
  readonly start: number
  readonly end: number
}

function join(line: Line, buffer: Buffer, start: number, end: number): Whole | undefined {
  const mark = start < end ? buffer[start] : undefined
  if (mark !== LAST && mark !== MORE) throw new TroupeError('ERR_FRAME', 'a slot frame without its mark')
  if (mark === LAST && line.parts.length === 0) return { buffer, start: start + 1, end }
  line.parts.push(buffer.subarray(start + 1, end))
  line.partBytes += end - start - 1
  if (line.partBytes > JOINED_BYTES_MAX) throw new TroupeError('ERR_FRAME', 'a slot batch without end')
  if (mark === MORE) return undefined
  const whole = Buffer.concat(line.parts.splice(0))
  line.partBytes = 0
  return { buffer: whole, start: 0, end: whole.length }
}
