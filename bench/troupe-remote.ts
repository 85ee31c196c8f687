/**
 * The same work as `bound-remote.ts` between two nodes in two processes: an actor that counts what it is told, and
 * that answers with what it was asked. Its answer is checked: a fast wrong one is no result.
 *
 *   node troupe-remote.js WORKLOAD BYTES CONCURRENCY      prints {"rate": …, "p50": µs, "p99": µs}
 */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { type ActorRef, createNode, defineActor, type Node } from '../lib/index.js'

interface Body {
  op: string
  id: number
  data: string | Buffer
}

const echo = defineActor('echo', {
  init: () => ({ count: 0, bytes: 0 }),
  calls: {
    echo: (_state, body: Body) => body,
    bytes: (_state, bytes: Buffer) => bytes,
    told: state => {
      const { count, bytes } = state
      state.count = 0
      state.bytes = 0
      return { count, bytes }
    },
  },
  casts: {
    object(state, body: Body) {
      state.count += 1
      state.bytes += body.data.length
    },
    bytes(state, bytes: Buffer) {
      state.count += 1
      state.bytes += bytes.length
    },
  },
})

const tick = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

async function send(
  node: Node,
  ref: ActorRef<typeof echo>,
  raw: boolean,
  bytes: number,
  count: number,
): Promise<void> {
  const data = raw ? Buffer.alloc(bytes, 120) : 'x'.repeat(bytes)
  for (let i = 0; i < count; ) {
    let sent: string = 'ok'
    for (let j = 0; j < 256 && i < count && sent === 'ok'; j++, i++) {
      sent = raw ? ref.cast('bytes', data as Buffer) : ref.cast('object', { op: 'echo', id: i, data })
    }
    if (sent === 'full') throw new Error('a message was refused')
    if (sent === 'busy') await node.drained(ref.pid, { timeoutMs: 60_000 })
    await tick()
  }
  const told = await ref.call('told', undefined, { timeoutMs: 60_000 })
  if (told.count !== count || told.bytes !== count * bytes) throw new Error(`told ${JSON.stringify(told)}`)
}

async function call(
  ref: ActorRef<typeof echo>,
  raw: boolean,
  bytes: number,
  count: number,
  concurrency: number,
  latencies: number[] | undefined,
): Promise<void> {
  const data = raw ? Buffer.alloc(bytes, 120) : 'x'.repeat(bytes)
  let left = count
  let wrong = 0
  const worker = async (): Promise<void> => {
    while (left-- > 0) {
      const begin = latencies === undefined ? 0 : performance.now()
      if (raw) {
        const answer = await ref.call('bytes', data as Buffer)
        if (answer.length !== bytes) wrong += 1
      } else {
        const answer = await ref.call('echo', { op: 'echo', id: left, data })
        if (answer.data.length !== bytes) wrong += 1
      }
      latencies?.push((performance.now() - begin) * 1_000)
    }
  }
  await Promise.all(Array.from({ length: Math.min(concurrency, count) }, worker))
  if (wrong > 0) throw new Error(`${wrong} wrong answers`)
}

function messages(sends: boolean, bytes: number, concurrency: number): number {
  if (sends) return bytes > 100_000 ? 500 : bytes > 10_000 ? 20_000 : 400_000
  return bytes > 100_000 ? 400 : concurrency === 1 || bytes > 10_000 ? 20_000 : 150_000
}

async function measure(workload: string, bytes: number, concurrency: number): Promise<object> {
  const child = fork(fileURLToPath(import.meta.url), [workload, String(bytes), String(concurrency), 'serve'])
  const seed = await new Promise<string>(resolve => child.once('message', resolve as (seed: unknown) => void))
  const node = await createNode({ name: 'a', seeds: [seed], actors: [echo] })
  const ref = await node.spawn(echo, undefined, { on: 'b' })
  const raw = workload.endsWith('bytes')
  const sends = workload.startsWith('send')
  const count = messages(sends, bytes, concurrency)
  const latencies: number[] | undefined = concurrency === 1 && !sends ? [] : undefined
  const run = (n: number, l?: number[]): Promise<void> =>
    sends ? send(node, ref, raw, bytes, n) : call(ref, raw, bytes, n, concurrency, l)
  await run(Math.floor(count / 10))
  await run(Math.floor(count / 10))
  const begin = performance.now()
  await run(count)
  const rate = (count / (performance.now() - begin)) * 1_000
  if (latencies !== undefined) await run(2_000, latencies)
  await node.stop()
  child.disconnect()
  const sorted = latencies?.sort((x, y) => x - y)
  const at = (p: number): number | undefined => sorted?.[Math.floor(sorted.length * p)]
  return { rate, p50: at(0.5), p99: at(0.99) }
}

const [workload = '', bytes = '64', concurrency = '1', role] = process.argv.slice(2)
if (role === 'serve') {
  const node = await createNode({ name: 'b', listen: '127.0.0.1:0', actors: [echo] })
  process.send?.(`127.0.0.1:${node.address?.port}`)
  process.on('disconnect', () => process.exit(0))
} else {
  console.log(JSON.stringify(await measure(workload, Number(bytes), Number(concurrency))))
  process.exit(0)
}
