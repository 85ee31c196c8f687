/** I18: when nothing is wrong any more, every call has come to an end, and whatever is tried anew works, everywhere. */
import type { ActorRef, Node } from '../../lib/actor/api.js'
import { isAlive } from './homes.js'
import type { talkerOf } from './talker.js'
import type { Checked } from './world.js'

const ANSWERED_MS = 10_000

type Talker = ReturnType<typeof talkerOf>

export async function checkLiveness({ mesh, history }: Checked, def: Talker): Promise<string[]> {
  const open = history.calls.filter(({ ended, caller }) => !ended && isAlive(mesh, caller))
  const wrong = open.map(({ caller, atMs }) => `I18: a call of ${caller}, at ${atMs} ms, has no end`)
  const tried = async (what: string, promise: Promise<unknown>): Promise<void> => {
    await promise.catch(error => wrong.push(`I18: ${what}: ${error}`))
  }
  const spawned = (node: Node): Promise<ActorRef<Talker>> =>
    node.spawn(def, `alive-${node.name}`, { name: `alive-${node.name}` })
  const { nodes } = mesh
  await inTime(nodes.map(node => tried(`a name asked for on ${node.name}`, spawned(node))))
  const asked = nodes.flatMap(from =>
    nodes.map(to => {
      const call = from.named(`alive-${to.name}`, def).call('echo', 1)
      return tried(`a call from ${from.name} to ${to.name}`, call)
    }),
  )
  await inTime(asked)
  return wrong

  async function inTime(promises: readonly Promise<void>[]): Promise<void> {
    const all = mesh.run(Promise.all(promises), { limitMs: ANSWERED_MS })
    await all.catch(error => wrong.push(`I18: new calls: ${(error as Error).message.split('\n')[0]}`))
  }
}
