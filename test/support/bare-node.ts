import type { Node } from '../../lib/actor/api.js'
import { createNode } from '../../lib/index.js'
import type { NodeOptions } from '../../lib/node/options.js'
import { createRealRuntime } from '../../lib/runtime/real-runtime.js'
import { SimClock } from '../../lib/sim/sim-clock.js'

/** A node without sockets whose clock stands still until the test moves it. Stopped when the test ends. */
export async function bareNode(
  t: { teardown(fn: () => Promise<void>): unknown },
  options: NodeOptions = {},
): Promise<{ readonly node: Node; readonly clock: SimClock }> {
  const clock = new SimClock()
  const node = await createNode({
    name: 'a',
    logger: false,
    runtime: { ...createRealRuntime(), clock },
    ...options,
  })
  t.teardown(async () => {
    const stopped = node.stop({ drainMs: 0 })
    clock.advance(60_000)
    await stopped
  })
  return { node, clock }
}
