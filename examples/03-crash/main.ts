/** A bug ends one process and nothing else: its caller is told why, its name is restarted, with its first state. */
import { createNode, defineActor, TroupeError } from 'troupe'

const divider = defineActor('divider', {
  init: (of: number) => ({ of, asked: 0 }),
  calls: {
    by: (state, n: number) => {
      state.asked += 1
      if (n === 0) throw new Error('division by zero')
      return state.of / n
    },
    asked: state => state.asked,
  },
})

await using node = await createNode({ name: 'desk', actors: [divider], logger: false })
const first = await node.spawn(divider, 100, { name: 'hundred', restart: 'permanent' })
const hundred = node.named('hundred', divider)

console.log('100 by 4:', await hundred.call('by', 4))
try {
  await hundred.call('by', 0)
} catch (error) {
  if (TroupeError.is(error, 'ERR_EXIT')) console.log('the caller is told:', String(error.detail['reason']))
}
console.log('asked since the restart:', await hundred.call('asked'))
console.log('another process:', String(hundred.pid) !== String(first.pid))
