/** Refs inside replies: a client can do nothing with them but show them, as a node would. */
import { NAMED, PINNED } from '../actor/ref-extensions.js'
import { show } from '../base/errors.js'
import type { Extension } from '../wire/codec.js'

const kInspect = Symbol.for('nodejs.util.inspect.custom')

class ShownRef {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  toJSON(): string {
    return this.#text
  }

  [kInspect](): string {
    return this.#text
  }
}

export const shownRefs = (): readonly Extension<never>[] => [
  shown(PINNED, (pid, definition) => `${definition} ${String(pid)}`),
  shown(NAMED, (name, definition) => `${definition} ${show(name)}`),
]

const shown = (type: number, text: (address: unknown, definition: string) => string): Extension<never> => ({
  type,
  is: (_value): _value is never => false,
  write: () => null,
  read: data => new ShownRef(Array.isArray(data) ? text(data[0], String(data[1] ?? 'ref')) : 'ref') as never,
})
