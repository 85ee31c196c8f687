/** Refs on the wire: an address and the name of its definition. They arrive unbound. */
import { TroupeError } from '../base/errors.js'
import { Pid } from '../base/ids.js'
import type { Extension } from '../wire/codec.js'
import type { Actors } from './actors.js'
import { NamedRef, PinnedRef } from './refs.js'

/** Part of the protocol. */
export const PINNED = 80
export const NAMED = 81

export function refExtensions(actors: Actors): readonly Extension<never>[] {
  const pinned: Extension<PinnedRef> = {
    type: PINNED,
    is: (value): value is PinnedRef => value instanceof PinnedRef,
    write: ref => [ref.pid, ref.definition ?? null],
    read: data => {
      const [pid, defName] = pair(data)
      if (!(pid instanceof Pid)) throw malformed()
      return new PinnedRef(actors, pid, { defName })
    },
  }
  const named: Extension<NamedRef> = {
    type: NAMED,
    is: (value): value is NamedRef => value instanceof NamedRef && value.crosses,
    write: ref => [ref.name, ref.definition ?? null],
    read: data => {
      const [name, defName] = pair(data)
      if (typeof name !== 'string' || name === '') throw malformed()
      return new NamedRef(actors, name, { defName })
    },
  }
  return [pinned, named] as unknown as readonly Extension<never>[]
}

function pair(data: unknown): [address: unknown, defName: string | undefined] {
  if (!Array.isArray(data) || data.length !== 2) throw malformed()
  const [address, defName] = data as [unknown, unknown]
  if (defName !== null && typeof defName !== 'string') throw malformed()
  return [address, defName ?? undefined]
}

const malformed = (): TroupeError =>
  new TroupeError('ERR_PAYLOAD', 'a ref that is not a pair of address and definition')
