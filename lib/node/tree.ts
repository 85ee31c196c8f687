/** The processes of a node as the tree in which they end together. Pure: it reads what each process says of itself. */
import { ActorProcess } from '../actor/actor-process.js'
import type { Actors } from '../actor/actors.js'
import type { ProcessBranch } from '../actor/api.js'
import { parentOf, statusOf } from '../actor/debugging.js'
import { Pid } from '../base/ids.js'
import type { Process } from '../process/process.js'
import { isSupervisor } from '../supervisor/child-spec.js'

/** A child as its supervisor knows it: where it stands among the others, and its id. */
interface Place {
  readonly index: number
  readonly id: string | undefined
}

type Grown = ProcessBranch & { readonly children: ProcessBranch[] }

export function treeOf(
  processes: readonly Process[],
  actors: Actors,
  namesOf: (pid: Pid) => readonly string[],
): readonly ProcessBranch[] {
  const places = new Map(processes.flatMap(process => [...placesIn(process)]))
  const grown = new Map(processes.map(process => [process.pid, branchOf(process)]))
  const roots: ProcessBranch[] = []
  for (const process of processes) {
    const parent = parentOf(process)
    const above = parent === undefined ? undefined : grown.get(parent)
    ;(above?.children ?? roots).push(grown.get(process.pid) as Grown)
  }
  // Those without a place stay behind the others, in order of their age.
  const indexOf = ({ pid }: ProcessBranch): number => places.get(pid)?.index ?? Number.MAX_SAFE_INTEGER
  for (const { children } of grown.values()) children.sort((a, b) => indexOf(a) - indexOf(b))
  return roots

  function branchOf(process: Process): Grown {
    const { pid, definition, names, mailbox } = actors.info(process)
    return {
      pid,
      id: places.get(pid)?.id,
      type: process instanceof ActorProcess && isSupervisor(process.kind.def) ? 'supervisor' : 'worker',
      definition,
      names: [...names, ...namesOf(pid)],
      status: statusOf(process),
      mailbox,
      children: [],
    }
  }
}

/** What a supervisor shows of its state is the list of its children, the newest first. */
function* placesIn(process: Process): Generator<readonly [Pid, Place]> {
  if (!(process instanceof ActorProcess) || !isSupervisor(process.kind.def)) return
  const shown = process.starter === undefined ? process.kind.shown(process.state) : undefined
  if (!Array.isArray(shown)) return
  for (const [i, child] of shown.entries()) {
    const { pid, id } = child as { pid?: unknown; id?: unknown }
    if (pid instanceof Pid)
      yield [pid, { index: shown.length - i, id: typeof id === 'string' ? id : undefined }]
  }
}
