/** A name on one node, used from another as if it were here; and what a watcher is told when its node leaves. */
import { createNode, defineActor } from 'troupe'

const greeter = defineActor('greeter', {
  init: (greeting: string, ctx) => ({ greeting, home: ctx.node.name }),
  calls: { greet: (state, name: string) => `${state.greeting}, ${name}! (from ${state.home})` },
})

const b = await createNode({ name: 'b', listen: '127.0.0.1:0', secret: 'x'.repeat(32), actors: [greeter] })
const seeds = [`127.0.0.1:${b.address!.port}`]
await using a = await createNode({ name: 'a', seeds, secret: 'x'.repeat(32), actors: [greeter] })

await a.spawn(greeter, 'Good evening', { name: 'door', on: 'b' })
const door = a.named('door', greeter)
console.log(await door.call('greet', 'Ada'))

const told = new Promise(resolve => {
  a.run(async self => {
    self.monitor(door.pid)
    const down = (await self.receive()) as { type: string; reason: unknown }
    resolve(`${down.type}: ${String(down.reason)}`)
  })
})
await b.stop()
console.log(await told)
