/** The exact types of tasks and agents: compiled, never run. See `define.types.ts`. */
import type { Node, Speaker } from '../lib/actor/api.js'
import {
  Agent,
  type AgentOf,
  defineAgent,
  Task,
  type TaskResult,
  type TaskSupervisorRef,
  type ZippedResult,
} from '../lib/index.js'
import type { Sent } from '../lib/process/mail.js'

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
declare function exactly<A, B>(same: Same<A, B>): void
declare const node: Node
declare const tasks: TaskSupervisorRef

export async function ofTasks(): Promise<void> {
  const task = Task.async(node, async self => {
    exactly<typeof self, Speaker>(true)
    return 7
  })
  exactly<typeof task, Task<number>>(true)
  const text = Task.async(node, () => 'x')
  const value = await task.await({ timeoutMs: 5 })
  exactly<typeof value, number>(true)
  const yielded = await task.yield()
  exactly<typeof yielded, TaskResult<number> | undefined>(true)
  if (yielded !== undefined && 'ok' in yielded) exactly<typeof yielded.ok, number>(true)
  const all = await Task.awaitMany([task, text])
  exactly<typeof all, [number, string]>(true)
  const some = await Task.yieldMany([task, text], { limit: 1 })
  exactly<typeof some, [TaskResult<number> | undefined, TaskResult<string> | undefined]>(true)
  const list = await Task.awaitMany([1, 2].map(n => Task.async(node, () => n)))
  exactly<typeof list, number[]>(true)
  const supervised = await tasks.asyncNolink(node, () => 7n)
  exactly<typeof supervised, Task<bigint>>(true)
}

export async function ofStreams(): Promise<void> {
  const lengths = Task.asyncStream(node, ['a'], async (name, self) => {
    exactly<typeof name, string>(true)
    exactly<typeof self, Speaker>(true)
    return name.length
  })
  exactly<typeof lengths, AsyncIterable<TaskResult<number>>>(true)
  const zipped = tasks.asyncStreamNolink(node, [1], n => n > 0, { zipInputOnExit: true })
  exactly<typeof zipped, AsyncIterable<ZippedResult<number, boolean>>>(true)
}

interface Cart {
  readonly items: readonly string[]
}
const cart = defineAgent('cart', (owner: string): Cart => ({ items: [owner] }), {
  functions: {
    put: (state, item: string) => {
      exactly<typeof state, Cart>(true)
      return { items: [...state.items, item] }
    },
    take: async (state, n: number): Promise<[string | undefined, Cart]> => [state.items[n], state],
    count: state => state.items.length,
  },
})

export async function ofAgents(): Promise<void> {
  const ref = await node.spawn(cart, 'ann')
  const agent = Agent.of(ref)
  exactly<typeof agent, AgentOf<typeof cart>>(true)
  const count = await agent.get('count')
  exactly<typeof count, number>(true)
  const first = await agent.get(state => {
    exactly<typeof state, Cart>(true)
    return state.items[0]
  })
  exactly<typeof first, string | undefined>(true)
  exactly<Awaited<ReturnType<typeof agent.get<'count'>>>, number>(true)
  const taken = await agent.getAndUpdate('take', 1, { timeoutMs: 5 })
  exactly<typeof taken, string | undefined>(true)
  const both = await agent.getAndUpdate(state => [state.items.length, state])
  exactly<typeof both, number>(true)
  await agent.update('put', 'x')
  const sent = agent.cast('put', 'x')
  exactly<typeof sent, Sent>(true)
}

export async function refused(): Promise<void> {
  const agent = Agent.of(await node.spawn(cart, 'ann'))
  // @ts-expect-error arguments of another type
  await node.spawn(cart, 7)
  // @ts-expect-error an unknown function
  await agent.get('steal')
  // @ts-expect-error an argument left out
  await agent.update('put')
  // @ts-expect-error an argument of another type
  agent.cast('put', 7)
  // @ts-expect-error a function whose result is no state
  await agent.update('count')
  // @ts-expect-error a function whose result is no pair
  await agent.getAndUpdate('put', 'x')
  // @ts-expect-error a closure whose result is no state
  await agent.update(() => 7)
  // @ts-expect-error a closure whose result is no pair
  await agent.getAndUpdate(state => state)
  // @ts-expect-error an agent has no calls of its own
  await agent.ref.call('get', 7)
  // @ts-expect-error what is no task
  await Task.awaitMany([7])
  // @ts-expect-error an unknown option
  Task.asyncStream(node, [1], n => n, { concurrency: 5 })
  // @ts-expect-error supervised tasks with an owner run once
  await tasks.async(node, () => 7, { restart: 'permanent' })
  // @ts-expect-error a task of something else
  const wrong: Task<string> = Task.async(node, () => 7)
  return void wrong
}
