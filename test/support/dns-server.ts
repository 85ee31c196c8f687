/** A DNS server on loopback that answers A, AAAA and SRV from a table which tests may change at any time. */
import { createSocket, type RemoteInfo } from 'node:dgram'
import { once } from 'node:events'
import { isIPv6 } from 'node:net'

interface Zone {
  readonly addresses?: readonly string[]
  readonly services?: readonly { readonly host: string; readonly port: number }[]
}

const TYPES = { A: 1, AAAA: 28, SRV: 33 } as const
const NXDOMAIN = 3
const SERVFAIL = 2

export class DnsServer {
  /** As `servers` takes it. */
  readonly address: string
  readonly zones = new Map<string, Zone | 'SERVFAIL' | 'silence'>()
  /** Names that were asked for, with their types, in order. */
  readonly questions: string[] = []
  #waiting: { readonly left: number; readonly done: () => void } | undefined
  readonly #socket: ReturnType<typeof createSocket>

  static async start(): Promise<DnsServer> {
    const socket = createSocket('udp4')
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
    return new DnsServer(socket)
  }

  constructor(socket: ReturnType<typeof createSocket>) {
    this.#socket = socket
    this.address = `127.0.0.1:${socket.address().port}`
    socket.on('message', (question, from) => this.#answer(question, from))
  }

  stop(): Promise<void> {
    return new Promise(resolve => this.#socket.close(() => resolve()))
  }

  /** Resolves when so many further questions were asked. */
  further(questions: number): Promise<void> {
    return new Promise(done => {
      this.#waiting = { left: questions, done }
    })
  }

  #answer(question: Buffer, from: RemoteInfo): void {
    const { name, end } = readName(question, 12)
    const type = question.readUInt16BE(end)
    this.questions.push(`${name} ${Object.entries(TYPES).find(([, n]) => n === type)?.[0] ?? type}`)
    if (this.#waiting !== undefined) this.#waiting = { ...this.#waiting, left: this.#waiting.left - 1 }
    if (this.#waiting?.left === 0) this.#waiting.done()
    const zone = this.zones.get(name)
    if (zone === 'silence') return
    const records = zone === undefined || zone === 'SERVFAIL' ? [] : recordsOf(zone, type)
    const code = zone === 'SERVFAIL' ? SERVFAIL : zone === undefined ? NXDOMAIN : 0
    const head = Buffer.alloc(12)
    question.copy(head, 0, 0, 2)
    head.writeUInt16BE(0x8580 | code, 2) // response, authoritative, recursion wanted and available
    head.writeUInt16BE(1, 4)
    head.writeUInt16BE(records.length, 6)
    this.#socket.send(
      Buffer.concat([head, question.subarray(12, end + 4), ...records.map(data => record(type, data))]),
      from.port,
      from.address,
    )
  }
}

function recordsOf({ addresses = [], services = [] }: Zone, type: number): readonly Buffer[] {
  if (type === TYPES.A)
    return addresses.filter(a => !isIPv6(a)).map(a => Buffer.from(a.split('.').map(Number)))
  if (type === TYPES.AAAA) return addresses.filter(isIPv6).map(bytesOfV6)
  return type === TYPES.SRV ? services.map(({ host, port }) => serviceData(host, port)) : []
}

/** The name is a pointer to the question's. */
function record(type: number, data: Buffer): Buffer {
  const head = Buffer.alloc(12)
  head.writeUInt16BE(0xc00c, 0)
  head.writeUInt16BE(type, 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt32BE(1, 6) // seconds that it may be kept
  head.writeUInt16BE(data.length, 10)
  return Buffer.concat([head, data])
}

function serviceData(host: string, port: number): Buffer {
  const head = Buffer.alloc(6) // priority 0, weight 0
  head.writeUInt16BE(port, 4)
  return Buffer.concat([head, nameBytes(host)])
}

const nameBytes = (name: string): Buffer =>
  Buffer.concat([
    ...name.split('.').map(label => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)])),
    Buffer.from([0]),
  ])

function bytesOfV6(text: string): Buffer {
  const [left = '', right] = text.split('::')
  const groups = (part: string): number[] =>
    part === '' ? [] : part.split(':').map(g => Number.parseInt(g, 16))
  const before = groups(left)
  const after = right === undefined ? [] : groups(right)
  const all = [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after]
  return Buffer.from(all.flatMap(g => [g >> 8, g & 0xff]))
}

function readName(bytes: Buffer, start: number): { readonly name: string; readonly end: number } {
  const labels: string[] = []
  let at = start
  for (let length = bytes[at]!; length > 0; length = bytes[at]!) {
    labels.push(bytes.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  return { name: labels.join('.').toLowerCase(), end: at + 1 }
}
