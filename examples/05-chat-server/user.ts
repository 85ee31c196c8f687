/** Users: one process each, in any number of rooms. A room that crashed is entered again as soon as it is back. */
import { type Context, defineActor, dynamicSupervisorOf, type Pid, via } from 'troupe'
import { hall, room, rooms } from './room.js'

interface User {
  nick: string
  rooms: Map<Pid, string>
}

export const user = defineActor('user', {
  init: (nick: string): User => ({ nick, rooms: new Map() }),
  calls: {
    join: (state, title: string, ctx) => enter(state, title, ctx),
    /** Whether it was heard. */
    say: (_, { to, text }: { to: string; text: string }, ctx) =>
      ctx
        .named(via(rooms, to), room)
        .call('say', text)
        .then(
          () => true,
          () => false,
        ),
    rooms: state => [...state.rooms.values()],
  },
  async info(state, signal, ctx) {
    if (signal.type === 'message') console.log(`${state.nick} reads ${signal.message}`)
    if (signal.type !== 'down' || signal.pid === undefined) return
    const title = state.rooms.get(signal.pid) as string
    state.rooms.delete(signal.pid)
    await dynamicSupervisorOf(ctx.named('hall', hall)).countChildren() // answers when the room runs again
    await enter(state, title, ctx)
  },
})

async function enter(state: User, title: string, ctx: Context): Promise<void> {
  const pid = await ctx.named(via(rooms, title), room).call('join', state.nick)
  ctx.monitor(pid)
  state.rooms.set(pid, title)
}
