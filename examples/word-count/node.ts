/** One of the three nodes: an operating-system process of its own, told by the driver what to do. */
import { createNode } from 'troupe'
import { coordinator } from './coordinator.js'
import { counter } from './counter.js'

/** Which counters to have: as the ring places them, but so that the node to be killed later fits its part. */
export type Victim = 'coordinator' | 'counter' | 'both'
export type Question =
  | { readonly ask: 'begin'; readonly root: string; readonly victim: Victim; readonly paceMs: number }
  | { readonly ask: 'members' | 'progress' | 'total' | 'stop' }

const [name, seed] = process.argv.slice(2)
const node = await createNode({
  name: name!,
  listen: '127.0.0.1:0',
  seeds: seed === undefined ? [] : [seed],
  secret: process.env['TROUPE_SECRET']!,
  actors: [coordinator, counter],
})
const book = node.named('coordinator', coordinator)

async function begin({ root, victim, paceMs }: Question & { ask: 'begin' }): Promise<Map<string, string>> {
  const permanent = { on: 'ring', restart: 'permanent' } as const
  const home = (await node.spawn(coordinator, root, { ...permanent, name: 'coordinator' })).pid.node
  const placed = new Map<string, string>([['coordinator', home]])
  for (let i = 1; placed.size < 4; i++) {
    const name = `counter-${i}`
    const { pid } = await node.spawn(counter, { coordinator: 'coordinator', paceMs }, { ...permanent, name })
    const fits = (pid.node === home) === (victim === 'both' && placed.size === 1)
    if (fits) placed.set(name, pid.node)
    else await node.terminate(name)
  }
  return placed
}

function answer(question: Question): unknown {
  switch (question.ask) {
    case 'begin':
      return begin(question)
    case 'members':
      return node.members().members.map(member => member.name)
    case 'progress':
      return book.call('progress')
    case 'total':
      return book.call('total')
    case 'stop':
      return node.stop()
  }
}

const tell = (message: object): boolean => process.send!(message)
process.on('message', async ({ id, question }: { id: number; question: Question }) => {
  try {
    tell({ id, value: await answer(question) })
  } catch (error) {
    tell({ id, error: String(error) })
  }
  if (question.ask === 'stop') process.disconnect()
})
node.on('member:down', ({ member, reason }) => tell({ event: 'down', node: member.name, reason }))
node.on('name:registered', ({ name, pid }) => tell({ event: 'name', name, node: pid.node }))
tell({ event: 'ready', address: `${node.address!.host}:${node.address!.port}` })
