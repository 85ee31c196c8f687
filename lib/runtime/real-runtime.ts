/** The door: everything a node needs from Node.js, in one value. */
import type { Runtime } from '../base/runtime.js'
import { RealClock } from './clock.js'
import { RealDisk } from './disk.js'
import { RealHost } from './host.js'
import { RealLoop } from './loop.js'
import { RealRandom } from './random.js'
import { RealResolver } from './resolver.js'
import { TcpTransport } from './tcp-transport.js'
import { watchPath } from './watch.js'

/** Opens no handle by itself, and needs no closing. */
export function createRealRuntime(): Runtime {
  const clock = new RealClock()
  const host = new RealHost()
  return {
    clock,
    random: new RealRandom(),
    loop: new RealLoop(),
    transport: new TcpTransport(clock, line => host.warn(line)),
    resolver: new RealResolver(),
    disk: new RealDisk(),
    watch: watchPath,
    host,
  }
}
