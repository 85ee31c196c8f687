/** One node, one actor: what it remembers, how it is asked and told, and what a wrong question gets. */
import { createNode, defineActor, TroupeError } from 'troupe'

const till = defineActor('till', {
  init: (float: number) => ({ cash: float }),
  calls: {
    pay: (state, amount: number) => (state.cash += amount),
    balance: state => state.cash,
  },
  casts: {
    empty: state => {
      state.cash = 0
    },
  },
})

await using node = await createNode({ name: 'shop' })
const front = await node.spawn(till, 20)

console.log('after paying 5:', await front.call('pay', 5))
front.cast('empty') // no answer; but what one sender says arrives in order
console.log('after emptying:', await front.call('balance'))

await front.stop()
try {
  await front.call('balance')
} catch (error) {
  if (TroupeError.is(error, 'ERR_NOPROC')) console.log('stopped, so nobody answers:', error.code)
}
