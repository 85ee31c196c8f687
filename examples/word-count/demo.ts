/**
 * Three nodes in three processes count the words of every Markdown file under node_modules. Half-way one node is
 * killed. The names it held come back on the others, what it alone knew is counted again, and the total is compared
 * with a plain count. `--repeat 20` does it twenty times, with another victim each time.
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Child } from './child.js'
import type { Progress } from './coordinator.js'
import type { Victim } from './node.js'
import { plainCount } from './plain.js'

const VICTIMS: readonly Victim[] = ['both', 'coordinator', 'counter']
const DEADLINE_MS = 50_000

const { values } = parseArgs({
  options: {
    repeat: { type: 'string', default: '1' },
    root: { type: 'string', default: 'node_modules' },
    pace: { type: 'string', default: '12' },
  },
})
const root = resolve(values.root)
const repeat = Number(values.repeat)
const plain = plainCount(root)
const slowest: number[] = []
for (let i = 0; i < repeat; i++) {
  if (repeat > 1) console.log(`\nround ${i + 1} of ${repeat}`)
  slowest.push(await round(VICTIMS[i % VICTIMS.length]!))
}
if (repeat > 1) {
  console.log(
    `\n${repeat} of ${repeat} recovered; all names back after ${Math.max(...slowest)} ms at the latest`,
  )
}

/** Throws unless the names came back and the counts are equal. Returns after how many ms the last name was back. */
async function round(role: Victim): Promise<number> {
  const startedAt = performance.now()
  const say = (text: string): void => console.log(`${String(msSince(startedAt)).padStart(6)} ms  ${text}`)
  const nodes = await startThree()
  try {
    say('a, b and c are members of one cluster')
    const placed = await nodes[0]!.ask<Map<string, string>>({
      ask: 'begin',
      root,
      victim: role,
      paceMs: Number(values.pace),
    })
    say(`placed by the ring: ${[...placed].map(([name, node]) => `${name} on ${node}`).join(', ')}`)

    const doomed = placed.get(role === 'counter' ? [...placed.keys()][1]! : 'coordinator')!
    const victim = nodes.find(node => node.name === doomed)!
    const survivors = nodes.filter(node => node !== victim)
    const witness = survivors[0]!
    const lostNames = [...placed.keys()].filter(name => placed.get(name) === doomed)
    const lostWith = ({ counted, handed }: Progress): string[] => [
      ...[...counted].filter(([, node]) => node === doomed && role === 'both').map(([file]) => file),
      ...[...handed].filter(([, node]) => node === doomed || role !== 'counter').map(([file]) => file),
    ]

    const before = await reach(witness, 0.4, say, progress => lostWith(progress).length > 0)
    const lost = lostWith(before)
    const killedAt = performance.now()
    const back = Promise.all(lostNames.map(name => untilBack(witness, name, doomed)))
    victim.kill()
    const share = Math.round((100 * before.counted.size) / before.files)
    if (share > 60) throw new Error(`${share} % were counted before a node could be killed: give more --pace`)
    say(
      `${doomed} killed at ${share} %: lost are ${lostNames.join(', ')} and ${lost.length} files begun or counted`,
    )

    for (const { name, node, atMs } of await withDeadline(back, `the names ${lostNames} did not come back`)) {
      say(`${name} is back on ${node}, after ${Math.round(atMs - killedAt)} ms`)
    }
    const backMs = Math.round(Math.max(...(await back).map(({ atMs }) => atMs)) - killedAt)
    const after = await reach(witness, 1, say)
    const again = lost.filter(file => after.counted.has(file) && after.counted.get(file) !== doomed)
    say(
      `all ${after.files} files are counted; of the ${lost.length} lost ones ${again.length} were counted again`,
    )
    compare(await witness.ask<Map<string, number>>({ ask: 'total' }), say)
    await Promise.all(survivors.map(node => node.ask({ ask: 'stop' })))
    return backMs
  } finally {
    for (const node of nodes) node.kill()
  }
}

async function startThree(): Promise<readonly Child[]> {
  const secret = randomBytes(32).toString('hex')
  const first = new Child('a', undefined, secret)
  const [{ address }] = (await once(first.told, 'ready')) as [{ address: string }]
  const others = ['b', 'c'].map(name => new Child(name, address, secret))
  await Promise.all(others.map(node => once(node.told, 'ready')))
  const nodes = [first, ...others]
  for (const node of nodes) {
    await until(
      `${node.name} sees three members`,
      async () => (await node.ask<string[]>({ ask: 'members' })).length === 3,
    )
  }
  return nodes
}

/** Waits until that share of all files is counted, with a line for every tenth. */
async function reach(
  witness: Child,
  share: number,
  say: (text: string) => void,
  holds: (progress: Progress) => boolean = () => true,
): Promise<Progress> {
  let tenths = 0
  return until(`${share * 100} % of the files`, async () => {
    const progress = await witness.ask<Progress>({ ask: 'progress' })
    const now = Math.floor((10 * progress.counted.size) / progress.files)
    if (now > tenths) say(`${now * 10} % of ${progress.files} files`)
    tenths = Math.max(tenths, now)
    return progress.counted.size >= share * progress.files && holds(progress) && progress
  })
}

function untilBack(
  witness: Child,
  lost: string,
  doomed: string,
): Promise<{ name: string; node: string; atMs: number }> {
  return new Promise(resolve => {
    witness.told.on('name', ({ name, node }: { name: string; node: string }) => {
      if (name === lost && node !== doomed) resolve({ name, node, atMs: performance.now() })
    })
  })
}

/** Asks again and again: a question can fail while the coordinator is between two nodes. */
async function until<T>(what: string, attempt: () => Promise<T | false>): Promise<T> {
  const deadlineAt = performance.now() + DEADLINE_MS
  let failure: unknown
  while (performance.now() < deadlineAt) {
    const result = await attempt().catch((error: unknown) => {
      failure = error
      return false as const
    })
    if (result !== false) return result
    await sleep(30)
  }
  throw new Error(`not reached in ${DEADLINE_MS} ms: ${what}`, { cause: failure })
}

function withDeadline<T>(promise: Promise<T>, otherwise: string): Promise<T> {
  const late = sleep(DEADLINE_MS, undefined, { ref: false }).then(() => {
    throw new Error(otherwise)
  })
  return Promise.race([promise, late])
}

function compare(total: ReadonlyMap<string, number>, say: (text: string) => void): void {
  const different = [...new Set([...total.keys(), ...plain.keys()])].filter(
    word => total.get(word) !== plain.get(word),
  )
  const sum = [...total.values()].reduce((a, b) => a + b, 0)
  if (different.length > 0)
    throw new Error(`counts differ for ${different.length} words, e.g. ${different[0]}`)
  say(`${sum} words, ${total.size} different: the same as a plain count in one process`)
  const top = [...total].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1)).slice(0, 10)
  console.log(`  ${top.map(([word, n]) => `${word} ${n}`).join(', ')}`)
}

function msSince(startMs: number): number {
  return Math.round(performance.now() - startMs)
}
