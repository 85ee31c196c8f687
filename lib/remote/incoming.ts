/**
 * Frames that come in: checks the prefix, looks the process up, and applies the signal through `Local`. Whatever is
 * malformed throws `ERR_FRAME` before anything was changed.
 */
import { TroupeError } from '../base/errors.js'
import type { Pid } from '../base/ids.js'
import { Cast, type Encoded, type NameOnNode, type Request } from '../process/mail.js'
import { Flag, FrameType, readU16 } from '../wire/frame.js'
import type { Asks } from './asks.js'
import { Body, RemoteRequest } from './body.js'
import type { Hosts } from './hosts.js'
import { after, exactly, malformed, need, readText, readU48, TagReader, textEnd } from './layout.js'
import type { Peer, Shared } from './peer.js'
import type { ProcedureHost } from './procedures.js'

export type DeadLetter = (to: Pid | NameOnNode, message: unknown, why: 'noproc' | 'noconnection') => void

/** Chunks that bodies may keep in memory by waiting in them: of 64 KiB at most each. */
const CHUNKS_MAX = 16

/** The bytes of one body. */
interface Bytes {
  readonly buffer: Buffer
  readonly end: number
  readonly raw: boolean
}

export class Incoming {
  readonly #shared: Shared
  readonly #hosts: Hosts
  readonly #asks: Asks
  readonly #procedures: ProcedureHost
  readonly #deadLetter: DeadLetter
  readonly #tags = new TagReader()
  /** Bodies that may still wait in the chunk they came in, by chunk. */
  #fresh: Body[] = []
  #chunk: Buffer | undefined
  #chunks = 0

  constructor(shared: Shared, hosts: Hosts, asks: Asks, procedures: ProcedureHost, deadLetter: DeadLetter) {
    this.#shared = shared
    this.#hosts = hosts
    this.#asks = asks
    this.#procedures = procedures
    this.#deadLetter = deadLetter
  }

  frame(peer: Peer, type: number, flags: number, buffer: Buffer, start: number, end: number): void {
    const raw = (flags & Flag.raw) !== 0
    switch (type) {
      case FrameType.message:
        need(after(start, 1), end)
        this.#message(readU48(buffer, start), this.#body(raw, buffer, after(start, 1), end))
        return
      case FrameType.toMany:
        this.#toMany({ buffer, end, raw }, start)
        return
      case FrameType.cast:
        need(after(start, 1), end)
        this.#cast(readU48(buffer, start), raw, buffer, after(start, 1), end)
        return
      case FrameType.request:
        need(after(start, 3), end)
        this.#request(peer, raw, buffer, start, end)
        return
      case FrameType.reply:
        this.#reply(peer, raw, buffer, start, end)
        return
      case FrameType.named:
        this.#named(peer, { buffer, end, raw }, start)
        return
      case FrameType.procedure:
        this.#procedure(peer, { buffer, end, raw }, start)
        return
      default:
        this.#shared.counts.signalsIn += 1
        this.#signal(peer, type, { buffer, end, raw }, start)
        return
    }
  }

  #body(raw: boolean, buffer: Buffer, start: number, end: number): Body {
    const body = new Body(this.#shared.codec, raw, buffer, start, end)
    if (body.pins) this.#keep(body, buffer)
    return body
  }

  /** Nearly every body is opened before the next chunk comes, so none is copied until several have come. */
  #keep(body: Body, chunk: Buffer): void {
    if (chunk !== this.#chunk) {
      if (this.#chunks === CHUNKS_MAX) this.#unpin()
      this.#chunk = chunk
      this.#chunks += 1
    }
    this.#fresh.push(body)
  }

  #unpin(): void {
    const fresh = this.#fresh
    this.#fresh = []
    this.#chunks = 0
    this.#chunk = undefined
    let from = 0
    while (from < fresh.length) from = unpinChunk(fresh, from)
  }

  #message(to: number, body: Body): void {
    this.#shared.counts.messagesIn += 1
    if (this.#shared.local.deliver(to, body) === 'noproc') this.#lost(to, body)
  }

  #toMany({ buffer, end, raw }: Bytes, start: number): void {
    need(start + 2, end)
    const count = readU16(buffer, start)
    const payload = after(start + 2, count)
    need(payload, end)
    for (let at = start + 2; at < payload; at = after(at, 1)) {
      this.#message(readU48(buffer, at), this.#body(raw, buffer, payload, end))
    }
  }

  #cast(to: number, raw: boolean, buffer: Buffer, at: number, end: number): void {
    const next = textEnd(buffer, at, end)
    const tag = this.#tags.read(buffer, at, next)
    const body = this.#body(raw, buffer, next, end)
    this.#shared.counts.messagesIn += 1
    if (this.#shared.local.deliver(to, new Cast(tag, body)) === 'noproc') this.#lost(to, body)
  }

  #request(peer: Peer, raw: boolean, buffer: Buffer, start: number, end: number): void {
    const caller = readU48(buffer, start)
    const to = readU48(buffer, after(start, 1))
    this.#ask(peer, caller, to, readU48(buffer, after(start, 2)), raw, buffer, after(start, 3), end)
  }

  #ask(
    peer: Peer,
    caller: number,
    to: number,
    id: number,
    raw: boolean,
    buffer: Buffer,
    at: number,
    end: number,
  ): void {
    const next = textEnd(buffer, at, end)
    const tag = this.#tags.read(buffer, at, next)
    const body = this.#body(raw, buffer, next, end)
    const request = new RemoteRequest(peer, id, peer.pid(caller), to, tag, body)
    this.#shared.counts.requestsIn += 1
    const delivered = this.#shared.local.deliver(to, request)
    if (delivered === 'noproc') this.#fail(request, 'ERR_NOPROC', `call ${tag}: no such process`, to)
    else if (delivered === 'full')
      this.#fail(request, 'ERR_MAILBOX_FULL', `call ${tag}: its mailbox is full`, to)
  }

  #fail(request: Request, code: 'ERR_NOPROC' | 'ERR_MAILBOX_FULL', text: string, to: number): void {
    request.fail(new TroupeError(code, text, { pid: this.#pid(to), tag: request.tag }))
  }

  /** A serial of this life, which nobody may have. */
  #pid(serial: number): Pid {
    return this.#shared.ids.pid(this.#shared.ids.node, this.#shared.ids.creation, serial)
  }

  #lost(to: number | string, message: Encoded): void {
    this.#shared.counts.deadLetters += 1
    const target = typeof to === 'number' ? this.#pid(to) : { name: to, node: this.#shared.ids.node }
    this.#deadLetter(target, message, 'noproc')
  }

  #reply(peer: Peer, raw: boolean, buffer: Buffer, start: number, end: number): void {
    const at = after(start, 1) + 1
    need(at, end)
    const failed = flag(buffer, at - 1)
    const request = peer.takePending(readU48(buffer, start))
    if (request === undefined) {
      this.#shared.counts.repliesLate += 1
    } else if (failed) {
      request.fail(this.#shared.reasons.decodeError(buffer, at, end))
    } else {
      // Opened at once, so that it pins nothing.
      request.reply(new Body(this.#shared.codec, raw, buffer, at, end))
    }
  }

  /** A name is resolved once, here, so that what follows is in the one stream of its holder. */
  #named(peer: Peer, bytes: Bytes, start: number): void {
    const { buffer, end, raw } = bytes
    const next = textEnd(buffer, start + 1, end)
    const name = readText(buffer, start + 1, next)
    const to = this.#shared.local.find(name)?.serial
    switch (buffer[start]) {
      case FrameType.message: {
        const body = this.#body(raw, buffer, next, end)
        to === undefined ? this.#lost(name, body) : this.#message(to, body)
        return
      }
      case FrameType.cast:
        if (to !== undefined) {
          this.#cast(to, raw, buffer, next, end)
          return
        }
        this.#lost(name, this.#body(raw, buffer, textEnd(buffer, next, end), end))
        return
      case FrameType.request: {
        need(after(next, 2), end)
        const id = readU48(buffer, after(next, 1))
        if (to !== undefined) {
          this.#ask(peer, readU48(buffer, next), to, id, raw, buffer, after(next, 2), end)
          return
        }
        textEnd(buffer, after(next, 2), end)
        const target = { name, node: this.#shared.ids.node }
        peer.refuse(0, id, new TroupeError('ERR_NOPROC', `nobody is called "${name}" there`, target))
        return
      }
      case FrameType.monitor:
        exactly(after(next, 2), end)
        this.#monitor(peer, readU48(buffer, next), to, readU48(buffer, after(next, 1)))
        return
      default:
        throw malformed()
    }
  }

  #signal(peer: Peer, type: number, bytes: Bytes, at: number): void {
    const { buffer, end } = bytes
    const { local, reasons } = this.#shared
    switch (type) {
      case FrameType.link:
        exactly(after(at, 3), end)
        this.#link(peer, readU48(buffer, at), readU48(buffer, after(at, 1)), readU48(buffer, after(at, 2)))
        return
      case FrameType.unlink: {
        exactly(after(at, 4), end)
        const [from, to, sent, received] = numbers(buffer, at)
        if (peer.links.unlinked(to, from, sent, received) !== undefined) local.unlinkFrom(peer.pid(from), to)
        return
      }
      case FrameType.exit: {
        need(after(at, 2), end)
        const reason = reasons.decode(buffer, after(at, 2), end)
        local.exitFrom(peer.pid(readU48(buffer, at)), readU48(buffer, after(at, 1)), reason)
        return
      }
      case FrameType.exitLink: {
        need(after(at, 4), end)
        const [from, to, sent, received] = numbers(buffer, at)
        const link = peer.links.broken(to, from, sent, received)
        if (link !== undefined) local.linkExit(link.peer, to, reasons.decode(buffer, after(at, 4), end))
        return
      }
      case FrameType.monitor:
        exactly(after(at, 3), end)
        this.#monitor(peer, readU48(buffer, at), readU48(buffer, after(at, 1)), readU48(buffer, after(at, 2)))
        return
      case FrameType.demonitor: {
        exactly(after(at, 1), end)
        const counter = readU48(buffer, at)
        const watched = peer.watched.get(counter)
        if (watched === undefined) return
        peer.watched.delete(counter)
        local.demonitorFrom(watched.watcher, watched.ref)
        return
      }
      case FrameType.down: {
        need(after(at, 2), end)
        const [counter, serial] = [readU48(buffer, at), readU48(buffer, after(at, 1))]
        const watch = peer.watches.get(counter)
        if (watch === undefined) return
        peer.watches.delete(counter)
        const pid = serial === 0 ? undefined : peer.pid(serial)
        local.down(watch.watcher.serial, watch.ref, pid, reasons.decode(buffer, after(at, 2), end))
        return
      }
      case FrameType.procedureAbort: {
        exactly(after(at, 2), end)
        const pid = peer.procedures.get(readU48(buffer, after(at, 1)))
        if (pid !== undefined) this.#procedures.abort(peer.pid(readU48(buffer, at)), pid)
        return
      }
      case FrameType.spawn:
        this.#spawn(peer, bytes, at)
        return
      case FrameType.spawned:
        this.#spawned(peer, bytes, at)
        return
      case FrameType.spawnKeep:
        exactly(after(at, 1) + 1, end)
        this.#hosts.settle(peer, readU48(buffer, at), flag(buffer, after(at, 1)))
        return
      default:
        throw malformed()
    }
  }

  #link(peer: Peer, from: number, to: number, id: number): void {
    if (id === 0) throw malformed()
    const pid = peer.pid(from)
    const local = this.#shared.local.find(to)
    const crowded = this.#crowded(peer)
    if (local !== undefined && !crowded && this.#shared.local.linkFrom(pid, to)) {
      peer.links.received(local, pid, id)
      return
    }
    peer.exitLink({ sent: 0, received: id }, to, from, crowded ? 'system_limit' : 'noproc')
  }

  #monitor(peer: Peer, from: number, to: number | undefined, counter: number): void {
    if (peer.watched.has(counter)) throw malformed()
    const [watcher, ref, crowded] = [peer.pid(from), peer.ref(counter), this.#crowded(peer)]
    if (to !== undefined && !crowded && this.#shared.local.monitorFrom(watcher, ref, to)) {
      peer.watched.set(counter, { watcher, ref, serial: to })
    } else {
      peer.down(counter, to ?? 0, crowded ? 'system_limit' : 'noproc')
    }
  }

  #crowded(peer: Peer): boolean {
    if (peer.crowded) this.#shared.counts.entriesRefused += 1
    return peer.crowded
  }

  #procedure(peer: Peer, { buffer, end, raw }: Bytes, at: number): void {
    const name = after(at, 2)
    const input = textEnd(buffer, name, end)
    const [caller, id] = [readU48(buffer, at), readU48(buffer, after(at, 1))]
    if (peer.procedures.has(id)) throw malformed()
    const tag = this.#tags.read(buffer, name, input)
    const body = this.#body(raw, buffer, input, end)
    if (id === 0) {
      this.#shared.counts.messagesIn += 1
      this.#procedures.run(tag, body, undefined, undefined)
      return
    }
    this.#shared.counts.requestsIn += 1
    const ask = (callee: number): Request => new RemoteRequest(peer, id, peer.pid(caller), callee, tag, body)
    const pid = this.#procedures.run(tag, body, ask, () => void peer.procedures.delete(id))
    if (pid !== undefined) peer.procedures.set(id, pid)
  }

  #spawn(peer: Peer, { buffer, end, raw }: Bytes, at: number): void {
    const name = after(at, 4)
    const length = textEnd(buffer, name, end)
    need(length + 4, end)
    const options = length + 4
    const args = options + buffer.readUInt32LE(length)
    need(args, end)
    const [parent, id, link, counter] = numbers(buffer, at)
    if (this.#hosts.has(peer, id) || (counter !== 0 && peer.watched.has(counter))) throw malformed()
    this.#shared.counts.spawnsIn += 1
    this.#hosts.spawn(peer, {
      ...{ id, link, parent: peer.pid(parent), monitor: counter === 0 ? undefined : peer.ref(counter) },
      definition: readText(buffer, name, length),
      options: this.#shared.reasons.decode(buffer, options, args),
      args: this.#body(raw, buffer, args, end),
    })
  }

  #spawned(peer: Peer, { buffer, end }: Bytes, start: number): void {
    const at = after(start, 1) + 1
    need(at, end)
    const id = readU48(buffer, start)
    if (flag(buffer, at - 1)) {
      this.#asks.failed(peer, id, this.#shared.reasons.decodeError(buffer, at, end))
      return
    }
    exactly(after(at, 1), end)
    this.#asks.spawned(peer, id, readU48(buffer, at))
  }
}

function numbers(buffer: Buffer, at: number): [number, number, number, number] {
  return [
    readU48(buffer, at),
    readU48(buffer, after(at, 1)),
    readU48(buffer, after(at, 2)),
    readU48(buffer, after(at, 3)),
  ]
}

function flag(buffer: Buffer, at: number): boolean {
  const value = buffer[at]
  if (value !== 0 && value !== 1) throw malformed()
  return value === 1
}

/**
 * The bodies from `from` on that came in one chunk. Those that wait are copied out of it, unless together they are most
 * of what it holds: then it is theirs anyway. Returns where the next chunk begins.
 */
function unpinChunk(bodies: readonly Body[], from: number): number {
  const chunk = bodies[from]!.chunk
  let waitingBytes = 0
  let to = from
  for (; to < bodies.length && bodies[to]!.chunk === chunk; to++) waitingBytes += bodies[to]!.waitingBytes
  if (waitingBytes * 4 < chunk.length) for (let i = from; i < to; i++) bodies[i]!.unpin()
  return to
}
