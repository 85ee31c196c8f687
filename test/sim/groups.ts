/** I15 for groups: at rest all nodes list the same members, in the same order, and each of them is alive. */
import type { Checked } from './world.js'

/** `scope` is open on every node. */
export function checkGroups({ mesh }: Pick<Checked, 'mesh'>, scope = 'default'): string[] {
  const alive = new Set(mesh.nodes.flatMap(node => node.processes().map(({ pid }) => `${pid}`)))
  const views = mesh.nodes.map(node => {
    const groups = node.groups(scope)
    return [node.name, groups.groups().map(group => [group, groups.present(group)] as const)] as const
  })
  const shown = views.map(([name, view]) => [name, JSON.stringify(view)] as const)
  const [first] = shown
  const wrong = shown
    .filter(([, view]) => view !== first?.[1])
    .map(([name, view]) => `I15: ${name} lists ${view}; ${first?.[0]} lists ${first?.[1]}`)
  for (const [name, view] of views) {
    for (const [group, present] of view) {
      for (const { pid } of present)
        if (!alive.has(`${pid}`)) wrong.push(`I15: ${name} lists ${pid} in ${group}, which is dead`)
    }
  }
  return wrong
}
