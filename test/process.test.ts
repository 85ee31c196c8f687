import t from 'tap'
import { IdSpace } from '../lib/base/id-space.js'
import { parseNodeId } from '../lib/base/ids.js'
import { Process } from '../lib/process/process.js'
import { ProcessIndex } from '../lib/process/process-index.js'

class Mute extends Process {
  begin(): undefined {}
  receive(): undefined {}
  ended(): void {}
}

t.test('the index finds every live process and nobody else, whatever came and went', async t => {
  const ids = new IdSpace(parseNodeId('a'), 1, 10)
  const index = new ProcessIndex()
  const alive = new Map<number, Process>()
  const dead: Process[] = []
  const wrong: string[] = []
  for (let i = 0; i < 3_000; i++) {
    const process = new Mute(ids.newPid())
    index.add(process)
    alive.set(process.pid.serial, process)
    // Grows to 1,000, shrinks to some 100 survivors that are far apart, and grows again around them.
    if (i % 1_000 !== 999) continue
    for (const [serial, known] of alive) {
      if (serial % 10 === 0) continue
      alive.delete(serial)
      dead.push(known)
      index.remove(serial)
    }
    for (const [serial, known] of alive) {
      if (index.get(serial) !== known) wrong.push(`lost ${serial}`)
      const seen = index.glance(known.pid)
      if (seen !== undefined && seen !== known) wrong.push(`taken for another: ${serial}`)
    }
    for (const { pid } of dead) {
      if (index.get(pid.serial) !== undefined || index.glance(pid) !== undefined) wrong.push(`kept ${pid}`)
    }
  }
  t.strictSame(wrong, [])
  t.equal(index.size, 300)
  t.strictSame(
    [...index.all()].map(process => process.pid.serial),
    [...alive.keys()],
    'in the order in which they were made',
  )
  const stranger = new IdSpace(parseNodeId('b'), 1, 10).pid(parseNodeId('b'), 1, 10)
  t.equal(index.glance(stranger), undefined, 'the pid of another node with the serial of a live process')
})
