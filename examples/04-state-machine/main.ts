/** A coin-operated turnstile: states, a call that is postponed, a state timeout, and its picture. */
import { createNode, defineMachine, go, postpone, stay, toMermaid } from 'troupe'

const turnstile = defineMachine('turnstile', {
  init: (price: number) => ({ price, paid: 0, passed: 0 }),
  initial: 'locked',
  states: {
    locked: {
      enter: data => {
        data.paid = 0
      },
      calls: {
        coin: {
          to: 'open',
          do: (data, cents: number) => {
            data.paid += cents
            const missing = data.price - data.paid
            return missing > 0 ? stay({ reply: missing }) : go('open', { reply: 0, stateTimeout: 100 })
          },
        },
        pass: postpone, // whoever pushes now is let through when the price is paid
      },
    },
    open: {
      calls: {
        coin: postpone,
        pass: {
          to: 'locked',
          do: data => go('locked', { data: { ...data, passed: data.passed + 1 }, reply: 'welcome' }),
        },
      },
      stateTimeout: 'locked',
    },
  },
  any: {
    calls: { report: (data, _, ctx) => stay({ reply: `${ctx.state}, ${data.passed} passed` }) },
  },
})

await using node = await createNode({ name: 'station', actors: [turnstile] })
const gate = await node.spawn(turnstile, 150)

const pushing = gate.call('pass')
console.log('missing after 1.00:', await gate.call('coin', 100))
console.log('missing after 1.50:', await gate.call('coin', 50))
console.log('the one who pushed early:', await pushing)
console.log(await gate.call('report'))

console.log('missing after 2.00:', await gate.call('coin', 200))
console.log('paid by the next, once nobody came:', await gate.call('coin', 100), 'missing')
console.log(await gate.call('report'))
console.log(toMermaid(turnstile))
