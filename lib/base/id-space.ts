/**
 * The pids and refs of one node's life: makes its own, and interns those of others so that one process is one object.
 * Foreign pids are remembered up to a limit, oldest forgotten first; own pids are found through the process table.
 */
import { type NodeId, Pid, Ref } from './ids.js'

export class IdSpace {
  readonly node: NodeId
  readonly creation: number
  /** Finds the pid object of a live local process; set by the process table. */
  own: (serial: number) => Pid | undefined = () => undefined
  readonly #foreign = new Map<string, Pid>()
  readonly #max: number
  #serial = 0
  #counter = 0

  constructor(node: NodeId, creation: number, max: number) {
    this.node = node
    this.creation = creation
    this.#max = max
  }

  /** Serials start at 1 and are never reused within a creation. */
  newPid(): Pid {
    this.#serial += 1
    return new Pid(this.node, this.creation, this.#serial)
  }

  newRef(): Ref {
    this.#counter += 1
    return new Ref(this.node, this.creation, this.#counter)
  }

  isOwn(pid: { readonly node: string; readonly creation: number }): boolean {
    return pid.node === this.node && pid.creation === this.creation
  }

  /** The one object for that process on this node. */
  pid(node: NodeId, creation: number, serial: number): Pid {
    if (node === this.node && creation === this.creation) {
      return this.own(serial) ?? this.#remember(node, creation, serial)
    }
    return this.#remember(node, creation, serial)
  }

  get interned(): number {
    return this.#foreign.size
  }

  #remember(node: NodeId, creation: number, serial: number): Pid {
    const key = `${node} ${creation} ${serial}`
    const known = this.#foreign.get(key)
    if (known !== undefined) return known
    if (this.#foreign.size >= this.#max) this.#foreign.delete(this.#foreign.keys().next().value as string)
    const pid = new Pid(node, creation, serial)
    this.#foreign.set(key, pid)
    return pid
  }

  /** Refs are compared by value (`sameRef`); only their creation is shared work. */
  ref(node: NodeId, creation: number, counter: number): Ref {
    return new Ref(node, creation, counter)
  }
}
