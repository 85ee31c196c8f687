/** Types of child specs and supervisors: compiled, never run. Each `@ts-expect-error` is a test of its own. */
import {
  type ActorRef,
  type ChildInfo,
  type ChildSpec,
  child,
  type DynamicSupervisorRef,
  defineActor,
  dynamicSupervisor,
  dynamicSupervisorOf,
  type Node,
  type Pid,
  partitionSupervisor,
  partitionsOf,
  type SupervisorSpec,
  startApplication,
  startDynamicSupervisor,
  startPartitionSupervisor,
  startSupervisor,
  supervisor,
  supervisorOf,
} from '../lib/index.js'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const exactly = <A, B>(_: Equal<A, B>): void => {}

declare const node: Node

const hall = defineActor('hall', {
  init: (args: { rows: number }) => ({ rows: args.rows }),
  calls: { rows: state => state.rows },
})
const bare = defineActor('bare', { init: () => ({}) })
const lenient = defineActor('lenient', { init: (start?: number) => ({ start }) })
const job = defineActor('job', { init: ([pool, n]: readonly [pool: string, n: number]) => ({ pool, n }) })

export function specsAreHeldAgainstTheirActors(): SupervisorSpec {
  exactly<ReturnType<typeof child<typeof hall>>, ChildSpec<typeof hall, readonly []>>(true)
  child(bare)
  child(bare, { id: 'b', restart: 'transient', significant: true, intensity: { restarts: 1, withinMs: 5 } })
  child(lenient)
  child(lenient, { args: 5 })
  // @ts-expect-error a hall has rows
  child(hall)
  // @ts-expect-error and they are a number
  child(hall, { args: { rows: '5' } })
  // @ts-expect-error nothing takes these arguments
  child(bare, { args: 5 })
  // @ts-expect-error an unknown restart
  child(bare, { restart: 'always' })
  // @ts-expect-error an unknown option
  child(bare, { identity: 'b' })
  // @ts-expect-error no definition
  child({})
  // @ts-expect-error an unknown strategy
  supervisor({ strategy: 'all', children: [] })
  // @ts-expect-error a definition is no spec
  supervisor({ children: [bare] })
  return { children: [child(hall, { args: { rows: 5 } }), child(supervisor({ children: [child(bare)] }))] }
}

export async function whatWasStartedIsTyped(): Promise<void> {
  const tree = await startSupervisor(node, specsAreHeldAgainstTheirActors())
  const one = await tree.startChild(child(hall, { args: { rows: 5 } }))
  exactly<typeof one, ActorRef<typeof hall>>(true)
  exactly<Awaited<ReturnType<typeof tree.whichChildren>>, readonly ChildInfo[]>(true)
  exactly<ChildInfo['id'], string>(true)
  const terminated = await tree.terminateChild('a')
  if (!terminated.ok) exactly<typeof terminated.why, 'not_found'>(true)
  const restarted = await tree.restartChild('a')
  if (restarted.ok) exactly<typeof restarted.pid, Pid | undefined>(true)
  else exactly<typeof restarted.why, 'running' | 'restarting' | 'not_found'>(true)
  // @ts-expect-error children of a static supervisor are known by id
  await tree.terminateChild(one.pid)
  const tools = supervisor({ children: [] })
  supervisorOf(node.named('tools', tools))
  // @ts-expect-error a ref to something else
  supervisorOf(node.named('hall', hall))
}

export async function dynamicChildrenAreTyped(): Promise<void> {
  const rooms = await startDynamicSupervisor(node)
  exactly<typeof rooms, DynamicSupervisorRef<readonly []>>(true)
  const room = await rooms.startChild(child(hall, { args: { rows: 5 } }))
  exactly<typeof room, ActorRef<typeof hall>>(true)
  exactly<Awaited<ReturnType<typeof rooms.whichChildren>>, readonly ChildInfo<undefined>[]>(true)
  // @ts-expect-error children of a dynamic supervisor have no ids
  await rooms.terminateChild('hall')
  // @ts-expect-error nor can they be restarted by hand
  await rooms.restartChild(room.pid)
  const pool = await startDynamicSupervisor(node, { extraArguments: ['pool'] })
  const started = await pool.startChild(child<typeof job, [string]>(job, { args: [1] }))
  exactly<typeof started, ActorRef<typeof job>>(true)
  // @ts-expect-error the pool is put in front by the supervisor
  await pool.startChild(child(job, { args: ['pool', 1] }))
  // @ts-expect-error and what is left is a number
  child<typeof job, [string]>(job, { args: ['1'] })
  // @ts-expect-error a supervisor that puts nothing in front
  await rooms.startChild(child<typeof job, [string]>(job, { args: [1] }))
  const inner = dynamicSupervisor({ extraArguments: ['pool'] })
  dynamicSupervisorOf(node.named('inner', inner))
  // @ts-expect-error a static one
  dynamicSupervisorOf(node.named('tools', supervisor({ children: [] })))
}

export async function partitionsAreTyped(): Promise<void> {
  const spec = { name: 'halls', child: (rows: number) => child(hall, { args: { rows } }) }
  const halls = await startPartitionSupervisor(node, spec)
  exactly<ReturnType<typeof halls.for>, ActorRef<typeof hall>>(true)
  exactly<Awaited<ReturnType<typeof halls.whichChildren>>, readonly ChildInfo<number>[]>(true)
  const found = await partitionsOf(node, 'halls', partitionSupervisor(spec))
  const rows: number = await found.for('x').call('rows')
  // @ts-expect-error no key
  halls.for({})
  // @ts-expect-error no name
  await startPartitionSupervisor(node, { child: child(bare) })
  return void rows
}

export async function partsAreNamed(): Promise<void> {
  const shop = await startApplication(node, {
    parts: { web: { after: ['db'], children: [child(bare)] }, db: { children: [] } },
  })
  await shop.stop('normal', { timeoutMs: 5 })
  // @ts-expect-error there is no such part
  await startApplication(node, { parts: { web: { after: ['db'], children: [] } } })
  // @ts-expect-error a part has children
  await startApplication(node, { parts: { web: {} } })
}
