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

await new Promise<void>(done => {
  a.run(async self => {
    const door = self.named('door', greeter)
    self.monitor(door.pid)
    console.log(await self.call(door, 'greet', 'Ada'))
    await b.stop()
    const down = (await self.receive()) as { type: string; reason: unknown }
    console.log(`${down.type}: ${String(down.reason)}`)
    done()
  })
})
