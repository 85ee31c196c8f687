// A small node for the selftest: echoes TCP on 7000, counts UDP on 7001, and
// does what its parent asks over IPC, one {id, op, …} message at a time.
import dgram from 'node:dgram'
import net from 'node:net'

const links = new Map() // peer address → socket we opened
const udp = dgram.createSocket('udp4')
let inbound = [] // UDP payloads (numbers) in arrival order
let accepted = 0

const server = net.createServer(socket => {
  accepted++
  socket.on('error', () => {}).on('data', d => socket.write(d))
})

const once = (socket, ms) =>
  new Promise(resolve => {
    const timer = setTimeout(() => done('silence'), ms)
    const onData = _d => done('data')
    const onEnd = () => done('end')
    const onError = e => done(e.code)
    function done(what) {
      clearTimeout(timer)
      socket.off('data', onData).off('end', onEnd).off('error', onError)
      resolve(what)
    }
    socket.once('data', onData).once('end', onEnd).once('error', onError)
  })

const ops = {
  async connect({ to, ms = 1000 }) {
    const started = performance.now()
    const socket = net.connect({ host: to, port: 7000, noDelay: true })
    socket.on('error', () => {})
    const result = await new Promise(resolve => {
      const timer = setTimeout(() => resolve('silence'), ms)
      socket.once('connect', () => {
        clearTimeout(timer)
        resolve('connected')
      })
      socket.once('error', e => {
        clearTimeout(timer)
        resolve(e.code)
      })
    })
    if (result === 'connected') links.set(to, socket)
    else socket.destroy()
    return { result, ms: performance.now() - started }
  },
  async ping({ to, ms = 1000 }) {
    const started = performance.now()
    const socket = links.get(to)
    const answer = once(socket, ms)
    socket.write('x')
    return { result: await answer, ms: performance.now() - started }
  },
  async wait({ to, ms = 1000 }) {
    return { result: await once(links.get(to), ms) }
  },
  async bulk({ to, bytes }) {
    const started = performance.now()
    const socket = links.get(to)
    let back = 0
    await new Promise((resolve, reject) => {
      socket
        .on('data', d => {
          back += d.length
          if (back >= bytes) resolve()
        })
        .once('error', reject)
      socket.write(Buffer.alloc(bytes))
    })
    socket.removeAllListeners('data')
    return { back, ms: performance.now() - started }
  },
  async datagrams({ to, count }) {
    for (let i = 0; i < count; i++) {
      udp.send(String(i), 7001, to)
      if (i % 20 === 19) await new Promise(resolve => setTimeout(resolve, 1))
    }
  },
  async received({ clear = false }) {
    const got = inbound
    if (clear) inbound = []
    return { got, accepted }
  },
  async clock() {
    return { wall: Date.now(), instance: new Date() instanceof Date, monotonic: performance.now() }
  },
}

process.on('message', async ({ id, op, ...args }) => {
  try {
    process.send({ id, ...(await ops[op](args)) })
  } catch (e) {
    process.send({ id, error: String(e) })
  }
})
process.on('disconnect', () => process.exit())
udp.on('message', m => inbound.push(Number(m)))
server.listen(7000, '0.0.0.0', () => udp.bind(7001, () => process.send({ ready: true })))
