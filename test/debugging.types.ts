/** What the types of debugging and of the workbench promise: compiled, never run, as `define.types.ts`. */
import type {
  Debug,
  Node,
  Overrun,
  Pid,
  ProcessBranch,
  ProcessDetails,
  Trace,
  TraceEvent,
} from '../lib/index.js'
import { createProbe, createTestNode, type Probe, type TestMesh } from '../lib/testing.js'

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
declare function exactly<A, B>(same: Same<A, B>): void

export async function debugging(node: Node, debug: Debug, pid: Pid): Promise<void> {
  exactly<typeof node.debug, Debug>(true)
  exactly<ReturnType<Debug['getState']>, Promise<unknown>>(true)
  exactly<ReturnType<Debug['info']>, ProcessDetails | undefined>(true)
  exactly<ReturnType<Debug['trace']>, Trace>(true)
  for await (const event of debug.trace(pid)) exactly<typeof event, TraceEvent>(true)
  await debug.replaceState(pid, (state: { value: number }) => ({ value: state.value + 1 }))
  await debug.replaceState('name', (state: { value: number }) => void (state.value += 1))
  await debug.replaceState({ pid }, { value: 1 })
  // @ts-expect-error: a state is an object
  await debug.replaceState(pid, 5)
  // @ts-expect-error: nor does a function make another one
  await debug.replaceState(pid, () => 5)
  // @ts-expect-error: a change is synchronous
  await debug.replaceState(pid, async () => {})
  // @ts-expect-error: unknown option
  await debug.getState(pid, { row: true })
  node.on('process:overrun', event => exactly<typeof event, Overrun>(true))
  exactly<ReturnType<Node['tree']>, readonly ProcessBranch[]>(true)
}

export async function workbench(node: Node, mesh: TestMesh): Promise<void> {
  const world = await createTestNode({ serializeLocal: true, watchdogMs: false, seed: 3 })
  exactly<Awaited<ReturnType<typeof world.probe>>, Probe>(true)
  exactly<Awaited<ReturnType<typeof mesh.probe>>, Probe>(true)
  const probe = await createProbe(node, { timeoutMs: 5 })
  const any = await probe.expect({ type: 'paid' })
  exactly<typeof any, unknown>(true)
  const paid = await probe.expect<{ amount: number }>({ type: 'paid' }, { timeoutMs: 1 })
  exactly<typeof paid.amount, number>(true)
  exactly<
    typeof world.run<string>,
    (promise: Promise<string>, options?: { readonly limitMs?: number | undefined }) => Promise<string>
  >(true)
  // @ts-expect-error: its clock and its seeds are its own
  await createTestNode({ seeds: [] })
}
