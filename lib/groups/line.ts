/**
 * What leaves for one peer. While its queue is busy, it waits here; what is more than a few increments is not worth
 * keeping: they go, and the peer is told how far we are once there is room, so that it asks for the state instead.
 */
import { type OutFrame, outFrame, type Session } from '../mesh/mesh.js'
import { FrameType, HEADER_BYTES } from '../wire/frame.js'

/** All groups of one session are one ordered stream. A process's stream of the same number only shares its order. */
const PAIR = 0x67726f75

interface Waiting {
  readonly body: Buffer
  /** Undefined for an increment. */
  readonly topic: string | undefined
}

export class Line {
  readonly session: Session
  readonly #incrementsMax: number
  readonly #caughtUp: () => void
  #waiting: Waiting[] = []
  #increments = 0
  #busy = false
  #behind = false
  dropped = 0

  /** `caughtUp`: everything has left, and increments were dropped. */
  constructor(session: Session, incrementsMax: number, caughtUp: () => void) {
    this.session = session
    this.#incrementsMax = incrementsMax
    this.#caughtUp = caughtUp
  }

  /**
   * `body` may be on its way to others, too. Of what waits on one `topic` only the latest is worth sending, so that no peer
   * can make us keep more than that; without a topic it is an increment.
   */
  send(bodies: readonly Buffer[], topic: string | undefined): void {
    if (topic !== undefined && this.#waiting.length > 0)
      this.#waiting = this.#waiting.filter(one => one.topic !== topic)
    for (const body of bodies) {
      if (!this.#busy) {
        this.#write(body)
        continue
      }
      this.#waiting.push({ body, topic })
      if (topic === undefined) this.#increments += 1
    }
    if (this.#increments > this.#incrementsMax) this.#drop()
  }

  #drop(): void {
    this.dropped += this.#increments
    this.#increments = 0
    this.#behind = true
    this.#waiting = this.#waiting.filter(one => one.topic !== undefined)
  }

  #write(body: Buffer): void {
    if (this.session.send(frameOf(body)) !== 'busy') return
    this.#busy = true
    this.session.onDrained(() => this.#drained())
  }

  #drained(): void {
    this.#busy = false
    if (!this.session.open) return
    const waiting = this.#waiting
    let i = 0
    for (; i < waiting.length && !this.#busy; i++) {
      const { body, topic } = waiting[i] as Waiting
      if (topic === undefined) this.#increments -= 1
      this.#write(body)
    }
    this.#waiting = waiting.slice(i)
    if (this.#waiting.length > 0 || !this.#behind) return
    this.#behind = false
    this.#caughtUp()
  }
}

const frameOf = (body: Buffer): OutFrame =>
  outFrame(FrameType.groups, 0, PAIR, Buffer.allocUnsafe(HEADER_BYTES), body, false)
