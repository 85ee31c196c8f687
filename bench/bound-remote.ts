/**
 * What two Node.js processes can do over loopback with nothing in between: a fixed 18-byte header, bodies in
 * MessagePack or raw bytes, one slab and one write per turn. No processes, links, credit, checks or handshake. The
 * number that `remote-*` is compared with, run in the same minute on the same machine.
 *
 *   0          4     5      6        10         14         18
 *   | len u32 | kind | flags | to u32 | from u32 | ref u32 | body           len counts what follows it
 *
 *   node bound-remote.js WORKLOAD BYTES CONCURRENCY      prints {"rate": messages or round trips per second}
 */
import { fork } from 'node:child_process'
import { connect, createServer, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { Packr } from 'msgpackr'

/** How each bound encodes, when it flushes, and whether a call makes a promise. */
const WORKLOADS = {
  'send-object': { raw: false, flush: 'micro', answer: 'count' },
  'send-bytes': { raw: true, flush: 'micro', answer: 'count' },
  'call-object': { raw: false, flush: 'tick', answer: 'promise' },
  'call-bytes': { raw: true, flush: 'tick', answer: 'callback' },
} as const
type Workload = (typeof WORKLOADS)[keyof typeof WORKLOADS]

const HEADER = 18
const SLAB_BYTES = 65_536
const RESERVE_START_SPACE = 2_048
const KIND = { send: 1, reply: 2, expect: 9 }

interface Body {
  op: string
  id: number
  data: string | Buffer
}

interface Message {
  kind: number
  to: number
  from: number
  ref: number
  body: Body
}

const packr = new Packr({ useRecords: false })

function writeU32(b: Buffer, at: number, n: number): void {
  b[at] = n
  b[at + 1] = n >>> 8
  b[at + 2] = n >>> 16
  b[at + 3] = n >>> 24
}

const readU32 = (b: Buffer, at: number): number =>
  (b[at]! | (b[at + 1]! << 8) | (b[at + 2]! << 16) | (b[at + 3]! << 24)) >>> 0

function writeHeader(b: Buffer, length: number, message: Message): void {
  writeU32(b, 0, length)
  b[4] = message.kind
  b[5] = 0
  writeU32(b, 6, message.to)
  writeU32(b, 10, message.from)
  writeU32(b, 14, message.ref)
}

function encode(raw: boolean, message: Message): Buffer[] {
  if (raw) {
    const data = message.body.data as Buffer
    const header = Buffer.allocUnsafe(HEADER)
    writeHeader(header, HEADER - 4 + data.length, message)
    return [header, data]
  }
  const frame = packr.pack(message.body, RESERVE_START_SPACE | HEADER)
  writeHeader(frame, frame.length - 4, message)
  return [frame]
}

function decode(raw: boolean, b: Buffer, start: number, end: number): Message {
  const bytes = b.subarray(start + 14, end)
  return {
    kind: b[start]!,
    to: readU32(b, start + 2),
    from: readU32(b, start + 6),
    ref: readU32(b, start + 10),
    body: raw ? { op: 'echo', id: 0, data: bytes } : (packr.unpack(bytes) as Body),
  }
}

/** Copies small frames into a slab that is handed to the socket once per turn; large ones go as they are. */
class Writer {
  readonly #socket: Socket
  readonly #schedule: (fn: () => void) => void
  #slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
  #start = 0
  #end = 0
  #scheduled = false
  readonly #onTurnEnd = (): void => {
    this.#scheduled = false
    this.#flush()
  }

  constructor(socket: Socket, flush: 'micro' | 'tick') {
    this.#socket = socket
    this.#schedule = flush === 'micro' ? queueMicrotask : process.nextTick
  }

  write(frame: Buffer): void {
    if (frame.length > SLAB_BYTES >> 1) {
      this.#flush()
      this.#socket.write(frame)
      return
    }
    if (this.#end + frame.length > SLAB_BYTES) {
      this.#flush()
      this.#renew()
    }
    if (frame.length < 48) for (let i = 0; i < frame.length; i++) this.#slab[this.#end + i] = frame[i]!
    else this.#slab.set(frame, this.#end)
    this.#end += frame.length
    if (this.#scheduled) return
    this.#scheduled = true
    this.#schedule(this.#onTurnEnd)
  }

  #flush(): void {
    if (this.#end > this.#start) {
      this.#socket.write(this.#slab.subarray(this.#start, this.#end))
      this.#start = this.#end
    }
    if (SLAB_BYTES - this.#end < 4_096) this.#renew()
  }

  #renew(): void {
    this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
    this.#start = 0
    this.#end = 0
  }
}

/** Cuts length-prefixed frames out of chunks; a frame in parts is gathered and joined once. */
function readFrames(socket: Socket, onFrame: (b: Buffer, start: number, end: number) => void): void {
  let parts: Buffer[] = []
  let have = 0
  let want = 0
  socket.on('data', (chunk: Buffer) => {
    let bytes = chunk
    if (have > 0) {
      parts.push(chunk)
      have += chunk.length
      if (have < want) return
      bytes = Buffer.concat(parts, have)
      parts = []
      have = 0
    }
    let at = 0
    while (bytes.length - at >= 4) {
      const length = readU32(bytes, at)
      want = length + 4
      if (bytes.length - at < want) break
      onFrame(bytes, at + 4, at + want)
      at += want
    }
    if (at < bytes.length) {
      if (bytes.length - at < 4) want = 4
      parts = [bytes.subarray(at)]
      have = bytes.length - at
    }
  })
}

function serve(workload: Workload): void {
  const server = createServer(socket => {
    socket.setNoDelay(true)
    const writer = new Writer(socket, workload.flush)
    let expected = 0
    let got = 0
    readFrames(socket, (b, start, end) => {
      const message = decode(workload.raw, b, start, end)
      if (message.kind === KIND.expect) {
        expected = message.ref
        got = 0
        return
      }
      got += 1
      if (workload.answer === 'count') {
        if (got === expected) socket.write('D')
        return
      }
      const reply = {
        kind: KIND.reply,
        to: message.from,
        from: message.to,
        ref: message.ref,
        body: message.body,
      }
      for (const part of encode(workload.raw, reply)) writer.write(part)
    })
  })
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as { port: number }).port))
  process.on('disconnect', () => process.exit(0))
}

async function measure(
  name: string,
  workload: Workload,
  bytes: number,
  concurrency: number,
): Promise<number> {
  const child = fork(fileURLToPath(import.meta.url), [name, String(bytes), String(concurrency), 'serve'])
  const port = await new Promise<number>(resolve => child.once('message', resolve as (port: unknown) => void))
  const socket = connect(port, '127.0.0.1')
  socket.setNoDelay(true)
  await new Promise<void>(resolve => socket.once('connect', resolve))
  const writer = new Writer(socket, workload.flush)
  const data = workload.raw ? Buffer.alloc(bytes, 120) : 'x'.repeat(bytes)
  const send = (kind: number, ref: number): void => {
    for (const part of encode(workload.raw, {
      kind,
      to: 17,
      from: 21,
      ref,
      body: { op: 'echo', id: ref, data },
    })) {
      writer.write(part)
    }
  }
  const count = messages(workload, bytes, concurrency)
  const run = workload.answer === 'count' ? sender(socket, send) : caller(workload, socket, send, concurrency)
  await run(Math.floor(count / 10))
  await run(Math.floor(count / 10))
  const begin = performance.now()
  await run(count)
  const rate = (count / (performance.now() - begin)) * 1_000
  socket.destroy()
  child.disconnect()
  return rate
}

function messages(workload: Workload, bytes: number, concurrency: number): number {
  if (workload.answer === 'count') return bytes > 100_000 ? 500 : bytes > 10_000 ? 20_000 : 400_000
  return bytes > 100_000 ? 400 : concurrency === 1 || bytes > 10_000 ? 20_000 : 150_000
}

function sender(socket: Socket, send: (kind: number, ref: number) => void): (count: number) => Promise<void> {
  return async count => {
    const done = new Promise<void>(resolve => socket.once('data', () => resolve()))
    send(KIND.expect, count)
    for (let i = 0; i < count; ) {
      for (let j = 0; j < 256 && i < count; j++, i++) send(KIND.send, i)
      await new Promise<void>(resolve => setImmediate(resolve))
      if (socket.writableLength > 1 << 20) await new Promise<void>(resolve => socket.once('drain', resolve))
    }
    await done
  }
}

function caller(
  workload: Workload,
  socket: Socket,
  send: (kind: number, ref: number) => void,
  concurrency: number,
): (count: number) => Promise<void> {
  const pending = new Map<number, (body: Body) => void>()
  let ref = 0
  let onReply = (_message: Message): void => {}
  readFrames(socket, (b, start, end) => onReply(decode(workload.raw, b, start, end)))
  if (workload.answer === 'promise') {
    onReply = message => {
      const settle = pending.get(message.ref)!
      pending.delete(message.ref)
      settle(message.body)
    }
    const call = (): Promise<Body> =>
      new Promise(resolve => {
        ref += 1
        pending.set(ref, resolve)
        send(KIND.send, ref)
      })
    return async count => {
      let left = count
      const worker = async (): Promise<void> => {
        while (left-- > 0) await call()
      }
      await Promise.all(Array.from({ length: Math.min(concurrency, count) }, worker))
    }
  }
  return count =>
    new Promise(resolve => {
      let out = Math.min(concurrency, count)
      let left = count - out
      onReply = () => {
        if (left > 0) {
          left -= 1
          ref += 1
          send(KIND.send, ref)
        } else if (--out === 0) resolve()
      }
      for (let i = out; i > 0; i--) {
        ref += 1
        send(KIND.send, ref)
      }
    })
}

const [name = '', bytes = '64', concurrency = '1', role] = process.argv.slice(2)
const workload = (WORKLOADS as Record<string, Workload>)[name]
if (workload === undefined)
  throw new TypeError(`expected one of ${Object.keys(WORKLOADS).join(', ')}, got ${name}`)
if (role === 'serve') serve(workload)
else {
  const rate = await measure(name, workload, Number(bytes), Number(concurrency))
  console.log(JSON.stringify({ rate }))
  process.exit(0)
}
