/** Where a printed pid lives, for checkers: they hold pids of many nodes. */
import type { TestMesh } from '../../lib/sim/test-mesh.js'

const PID = /^<(.*)\.([0-9a-f]{12})\.(\d+)>$/

export const nodeOf = (pid: string): string => PID.exec(pid)?.[1] as string

export const creationOf = (pid: string): number => Number.parseInt(PID.exec(pid)?.[2] as string, 16)

/** Undefined when that life of its node is over. */
export function homeOf(mesh: TestMesh, pid: string): { readonly alive: boolean } | undefined {
  const [, name, creation] = PID.exec(pid) as unknown as [string, string, string]
  const node = mesh.nodes.find(up => up.name === name)
  if (node === undefined || node.self.creation !== Number.parseInt(creation, 16)) return undefined
  return { alive: node.processes().some(process => `${process.pid}` === pid) }
}

export const isAlive = (mesh: TestMesh, pid: string): boolean => homeOf(mesh, pid)?.alive === true
