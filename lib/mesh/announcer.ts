/**
 * Tells the listeners of the mesh, through one queue that is worked off from the loop, or right before a frame is
 * handed over: so a session is announced before its first frame, and nothing of it comes after its end.
 */
import { show } from '../base/errors.js'
import type { Ground } from './ground.js'
import type { Link } from './link.js'
import type { MeshListener } from './mesh.js'

export class Announcer {
  readonly #ground: Ground
  readonly #listeners: readonly MeshListener[]
  readonly #byType: (MeshListener | undefined)[] = new Array(256)
  #events: (() => void)[] = []
  #telling = false

  constructor(ground: Ground, listeners: readonly MeshListener[]) {
    this.#ground = ground
    this.#listeners = listeners
    for (const listener of listeners) this.#register(listener)
  }

  tell(fn: (listener: MeshListener) => void): void {
    this.say(() => {
      for (const listener of this.#listeners) this.#call(listener, fn)
    })
  }

  /** Runs `event` in its turn. */
  say(event: () => void): void {
    this.#events.push(event)
    if (this.#events.length === 1 && !this.#telling) this.#ground.runtime.loop.soon(() => this.#work())
  }

  frame(link: Link, type: number, flags: number, buffer: Buffer, start: number, end: number): void {
    if (this.#events.length > 0) this.#work()
    const listener = this.#byType[type]
    if (listener === undefined) this.#ground.notes.count('unknownType')
    else listener.frame?.(link, type, flags, buffer, start, end)
  }

  #register(listener: MeshListener): void {
    for (const type of listener.types ?? []) {
      if (this.#byType[type] !== undefined) {
        throw new TypeError(`createMesh: expected one listener per type, got two for ${type}`)
      }
      this.#byType[type] = listener
    }
  }

  #call(listener: MeshListener, fn: (listener: MeshListener) => void): void {
    const { notes, self } = this.#ground
    try {
      fn(listener)
    } catch (error) {
      notes.count('listenerErrors')
      notes.log.error(`${self}: a listener of the mesh failed: ${show(error)}`, { error })
    }
  }

  #work(): void {
    if (this.#telling) return
    this.#telling = true
    for (let i = 0; i < this.#events.length; i++) this.#events[i]!()
    this.#events = []
    this.#telling = false
  }
}
