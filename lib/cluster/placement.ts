import { show, TroupeError } from '../base/errors.js'
import { isNodeId, type NodeId } from '../base/ids.js'
import type { Member } from '../base/member.js'

/** Where a process is to live, as data that can cross nodes; a function is applied once, at the spawn. */
export type Placement =
  | { readonly kind: 'local' }
  | { readonly kind: 'node'; readonly node: NodeId }
  | { readonly kind: 'ring' }
  | { readonly kind: 'tag'; readonly tag: string }

export type OnOption =
  | string
  | { readonly tag: string }
  | ((members: readonly Member[], name: string | undefined) => Member)
  | undefined

/** Reads `on`. Throws `TypeError` for what is no place. */
export function parsePlacement(
  on: OnOption,
  members: readonly Member[],
  name: string | undefined,
): Placement {
  if (on === undefined || on === 'local') return { kind: 'local' }
  if (on === 'ring') {
    if (name === undefined)
      throw new TypeError("spawn: on: 'ring' needs a name, whose slot decides the node; got none")
    return { kind: 'ring' }
  }
  if (typeof on === 'string' && isNodeId(on) && on !== 'worker') return { kind: 'node', node: on }
  if (typeof on === 'object' && on !== null && typeof on.tag === 'string') return { kind: 'tag', tag: on.tag }
  if (typeof on === 'function') {
    const chosen: unknown = on(members, name)
    const known = members.find(member => member.name === (chosen as Member | undefined)?.name)
    if (known === undefined) {
      throw new TypeError(
        `spawn: on: expected the function to return one of the members it was given, got ${show(chosen)}`,
      )
    }
    return { kind: 'node', node: known.name }
  }
  throw new TypeError(
    `spawn: on: expected a node's name, 'ring', 'local', { tag } or a function of the members, got ${show(on)}`,
  )
}

/** What a choice of node depends on. */
export interface Cluster {
  readonly self: NodeId
  /** Alive and suspect members, sorted, this node included. */
  readonly members: readonly Member[]
  /** The preferred owner of the slot of `name`, in this view. */
  ownerOf(name: string): NodeId
  /** Uniform in [0, 1). */
  float(): number
}

/** The node for a placement now; undefined when nobody qualifies (`on: 'b'` without b, a tag that nobody has). */
export function choose(placement: Placement, name: string | undefined, cluster: Cluster): NodeId | undefined {
  const alive = cluster.members.filter(member => member.state === 'alive')
  switch (placement.kind) {
    case 'local':
      return cluster.self
    case 'node':
      return cluster.members.some(member => member.name === placement.node) ? placement.node : undefined
    case 'ring':
      return cluster.ownerOf(name ?? '')
    case 'tag': {
      const tagged = alive.filter(member => member.tags.includes(placement.tag))
      return tagged[Math.floor(cluster.float() * tagged.length)]?.name
    }
    default:
      return placement satisfies never
  }
}

/** The error for a placement that nobody satisfies. */
export function nowhere(placement: Placement, members: readonly Member[]): TroupeError {
  const names = members.map(member => member.name)
  if (placement.kind === 'tag') {
    return new TroupeError('ERR_UNAVAILABLE', `spawn: no member has the tag ${show(placement.tag)}`, {
      tag: placement.tag,
      members: names,
    })
  }
  const node = placement.kind === 'node' ? placement.node : undefined
  return new TroupeError(
    'ERR_NOCONNECTION',
    `spawn: no member ${show(node)}; there are ${names.join(', ')}`,
    {
      node,
      members: names,
    },
  )
}
