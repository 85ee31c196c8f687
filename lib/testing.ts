/** For tests of your own: time that moves when told, chance by seed, and whole clusters in one process. */
export type { EventLog } from './sim/event-log.js'
export { SimClock } from './sim/sim-clock.js'
export { SimDisk } from './sim/sim-disk.js'
export { type LinkOptions, SimNetwork } from './sim/sim-network.js'
export { SimRandom } from './sim/sim-random.js'
export { Simulation, type SimulationOptions } from './sim/simulation.js'
export { createTestMesh, type TestMesh, type TestMeshOptions } from './sim/test-mesh.js'
