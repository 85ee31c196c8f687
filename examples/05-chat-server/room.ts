/** Rooms: one process each, found by their titles. Who is present is known by monitors, so that nobody stays by mistake. */
import {
  child,
  defineActor,
  defineRegistry,
  dynamicSupervisor,
  dynamicSupervisorOf,
  type Node,
  type Pid,
  type Speaker,
  via,
} from 'troupe'

export const rooms = defineRegistry<string>('rooms', { keys: 'unique' })
export const hall = dynamicSupervisor()

export const room = defineActor('room', {
  init: (title: string) => ({ title, present: new Map<Pid, string>() }),
  calls: {
    join(state, nick: string, ctx) {
      ctx.monitor(ctx.from.pid)
      state.present.set(ctx.from.pid, nick)
      tell(ctx, state, `${nick} is here`)
      return ctx.self
    },
    say(state, text: string, ctx) {
      if (text === '/crash') throw new Error('every program has a bug')
      tell(ctx, state, `${state.present.get(ctx.from.pid)}: ${text}`)
    },
    who: state => [...state.present.values()],
  },
  info(state, signal, ctx) {
    if (signal.type !== 'down' || signal.pid === undefined) return
    const nick = state.present.get(signal.pid)
    if (state.present.delete(signal.pid)) tell(ctx, state, `${nick} is gone`)
  },
})

function tell(ctx: Speaker, { title, present }: { title: string; present: Map<Pid, string> }, text: string) {
  for (const pid of present.keys()) ctx.send(pid, `[${title}] ${text}`)
}

export const openRoom = (node: Node, title: string) =>
  dynamicSupervisorOf(node.named('hall', hall)).startChild(
    child(room, { args: title, name: via(rooms, title) }),
  )
