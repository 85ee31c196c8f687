/**
 * Names that are kept by somebody else than the table of names: the one thing this room knows of registries. A process
 * can be started under one and found by it, on the node where that is done; what it means is the subclass's affair.
 */
import { show } from '../base/errors.js'
import type { Process } from '../process/process.js'
import type { Actors } from './actors.js'
import type { Via, ViaName } from './api.js'

export abstract class Address implements ViaName {
  declare readonly '~name': true
  /** As it is shown. */
  abstract readonly via: string
  /** Who holds it on that node now. */
  abstract holder(actors: Actors): Process | undefined
  /**
   * Gives it to a process that has not begun, as one of its belongings. Throws `ERR_ALREADY_STARTED` with the holder's
   * pid, or what else keeps it from being given.
   */
  abstract claim(actors: Actors, process: Process): void

  toString(): string {
    return this.via
  }
}

/** How a name stands in a message: a string in quotes. */
export const shownName = (name: string | Via): string => (typeof name === 'string' ? show(name) : name.via)
