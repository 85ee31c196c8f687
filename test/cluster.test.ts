import HashRing from 'hashring'
import t from 'tap'
import { type NodeId, parseNodeId } from '../lib/base/ids.js'
import type { Member, MemberState } from '../lib/base/member.js'
import { choose, nowhere, type Placement, parsePlacement } from '../lib/cluster/placement.js'
import { slotRing } from '../lib/cluster/ring.js'

const SLOTS = 4_096
const slotOwners = slotRing(SLOTS)
const ids = (...names: string[]): NodeId[] => names.map(parseNodeId)

function member(name: string, options: { tags?: string[]; state?: MemberState } = {}): Member {
  return {
    name: parseNodeId(name),
    address: { host: '127.0.0.1', port: 7_000 },
    creation: 1,
    incarnation: 0,
    state: options.state ?? 'alive',
    version: 1,
    tags: options.tags ?? [],
    meta: {},
    host: 'h',
    voter: true,
  }
}

t.test('ring', async t => {
  t.test(
    'nodes with the same members agree on every owner, whatever order and however often they name them',
    async t => {
      const owners = slotOwners(ids('a', 'b', 'c'))
      t.strictSame(slotOwners(ids('c', 'a', 'b', 'a')), owners)
      t.equal(owners.length, SLOTS)
      t.strictSame([...new Set(owners)].sort(), ['a', 'b', 'c'])
    },
  )

  t.test('the owner of a slot is who hashring itself gives for its key', async t => {
    for (const members of [ids('a', 'b'), ids('a', 'b', 'c', 'd', 'e', 'f', 'g'), ids('x-1', 'y.2')]) {
      const ring = new HashRing([...members], 'md5', { 'max cache size': 1 })
      t.strictSame(
        slotOwners(members),
        Array.from({ length: SLOTS }, (_, slot) => ring.get(`k:${slot}`)),
      )
    }
  })

  t.test('one node owns everything, and no node owns nothing', async t => {
    t.strictSame([...new Set(slotOwners(ids('only')))], ['only'])
    t.strictSame(slotOwners([]), [])
  })

  t.test(
    'a node that joins takes slots and moves none between the others; one that leaves gives only its own',
    async t => {
      const three = slotOwners(ids('a', 'b', 'c'))
      const four = slotOwners(ids('a', 'b', 'c', 'd'))
      const moved = four.filter((owner, slot) => owner !== three[slot])
      t.strictSame([...new Set(moved)], ['d'])
      const share = moved.length / SLOTS
      t.ok(share > 0.12 && share < 0.4, `a quarter is ideal: ${share}`)
    },
  )

  t.test('every node of ten gets between half and double its share', async t => {
    const counts = new Map<string, number>()
    const ten = Array.from({ length: 10 }, (_, i) => parseNodeId(`node-${i}`))
    for (const owner of slotOwners(ten)) counts.set(owner, (counts.get(owner) ?? 0) + 1)
    t.equal(counts.size, 10)
    for (const [name, count] of counts) {
      t.ok(count > SLOTS / 20 && count < SLOTS / 5, `${name} has ${count} of ${SLOTS}`)
    }
  })

  t.test('names of object members do not leak from one ring into another', async t => {
    const before = Object.keys(Object)
    slotOwners(ids('constructor', 'tostring'))
    t.strictSame([...new Set(slotOwners(ids('x', 'y')))].sort(), ['x', 'y'])
    t.strictSame(Object.keys(Object), before)
  })
})

t.test('placement', async t => {
  const members = [
    member('a'),
    member('b', { tags: ['gpu'] }),
    member('c', { tags: ['gpu'], state: 'suspect' }),
  ]
  const cluster = { self: parseNodeId('a'), members, ownerOf: () => parseNodeId('b'), float: () => 0.99 }

  t.test('on says where: a node, the ring, a tag, here', async t => {
    const places: [Parameters<typeof parsePlacement>[0], Placement, string | undefined][] = [
      [undefined, { kind: 'local' }, 'a'],
      ['local', { kind: 'local' }, 'a'],
      ['b', { kind: 'node', node: parseNodeId('b') }, 'b'],
      ['c', { kind: 'node', node: parseNodeId('c') }, 'c'],
      ['z', { kind: 'node', node: parseNodeId('z') }, undefined],
      ['ring', { kind: 'ring' }, 'b'],
      [{ tag: 'gpu' }, { kind: 'tag', tag: 'gpu' }, 'b'],
      [{ tag: 'none' }, { kind: 'tag', tag: 'none' }, undefined],
      [(all: readonly Member[]) => all[1]!, { kind: 'node', node: parseNodeId('b') }, 'b'],
    ]
    for (const [on, placement, node] of places) {
      t.strictSame(parsePlacement(on, members, 'n'), placement)
      t.equal(choose(placement, 'n', cluster), node, JSON.stringify(placement))
    }
  })

  t.test('a suspect is not chosen by tag', async t => {
    const suspects = { ...cluster, members: [member('a'), member('c', { tags: ['gpu'], state: 'suspect' })] }
    t.equal(choose({ kind: 'tag', tag: 'gpu' }, 'n', suspects), undefined)
  })

  t.test('what is no place is refused with what was expected and what came', async t => {
    t.throws(() => parsePlacement(7 as never, members, 'n'), /on: expected a node's name, .* got 7/)
    t.throws(() => parsePlacement('UPPER', members, 'n'), /got "UPPER"/)
    t.throws(() => parsePlacement('worker', members, 'n'), /got "worker"/)
    t.throws(() => parsePlacement('ring', members, undefined), /'ring' needs a name/)
    t.throws(() => parsePlacement(() => member('nobody'), members, 'n'), /one of the members it was given/)
    t.throws(() => parsePlacement((() => undefined) as never, members, 'n'), /got undefined/)
  })

  t.test('a place that nobody fills says who is there', async t => {
    t.match(nowhere({ kind: 'tag', tag: 'tpu' }, members), {
      code: 'ERR_UNAVAILABLE',
      detail: { members: ['a', 'b', 'c'] },
    })
    t.match(nowhere({ kind: 'node', node: parseNodeId('z') }, members), {
      code: 'ERR_NOCONNECTION',
      detail: { node: 'z' },
    })
  })
})
