// Random fault schedules that a seed repeats. nemesis() only makes the plan, a
// list of { at, op, … } with every fault paired with its end; play() carries it
// out against a lab. Print the seed of a failing run: it is the way back to it.

/** mulberry32: a small generator, good enough to choose faults. */
export function random(seed) {
  let a = seed >>> 0
  return () => {
    a = (a + 0x6d2b79f5) >>> 0
    let t = Math.imul(a ^ (a >>> 15), a | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

export const KINDS = ['cut', 'oneWay', 'partition', 'pause', 'kill', 'crash', 'shape', 'reset', 'skew']

/**
 * @param {object} options
 * @param {number} options.seed
 * @param {string[]} options.nodes
 * @param {number} [options.durationMs] every fault has ended by then
 * @param {number} [options.meanGapMs] mean time between two faults' starts
 * @param {number} [options.meanFaultMs] mean time a fault lasts
 * @param {string[]} [options.kinds] which faults; see KINDS
 * @param {number} [options.maxDown] how many nodes may be killed or crashed at once
 */
export function nemesis({
  seed,
  nodes,
  durationMs = 10_000,
  meanGapMs = 1000,
  meanFaultMs = 1500,
  kinds = KINDS,
  maxDown = Math.floor((nodes.length - 1) / 2),
}) {
  const next = random(seed)
  const pick = list => list[Math.floor(next() * list.length)]
  const wait = mean => Math.round(-Math.log(1 - next()) * mean)
  const pair = () => {
    const a = pick(nodes)
    return [a, pick(nodes.filter(n => n !== a))]
  }
  const steps = []
  const until = new Map() // node or link → when it is free of a fault of its own kind
  const busy = (key, at) => (until.get(key) ?? -1) >= at
  let n = 0
  for (let at = wait(meanGapMs); at < durationMs; at += wait(meanGapMs)) {
    const end = Math.min(durationMs, at + 50 + wait(meanFaultMs))
    const kind = pick(kinds)
    const id = ++n
    const add = (start, stop) => steps.push({ at, id, ...start }, { at: end, id, ...stop })
    if (kind === 'cut' || kind === 'oneWay') {
      const [a, b] = pair()
      add({ op: 'cut', a, b, oneWay: kind === 'oneWay' }, { op: 'uncut', a, b, oneWay: kind === 'oneWay' })
    } else if (kind === 'partition') {
      const group = nodes.filter(() => next() < 0.5)
      if (group.length && group.length < nodes.length)
        add({ op: 'partition', group }, { op: 'unpartition', group })
    } else if (kind === 'shape') {
      const [a, b] = pair().sort()
      if (busy(`${a} ${b}`, at)) continue
      until.set(`${a} ${b}`, end)
      const shape = pick([
        { delay: 100, jitter: 50 },
        { delay: 400 },
        { loss: 0.05 },
        { loss: 0.2 },
        { delay: 20, reorder: 0.1 },
        { rate: 256_000 },
      ])
      add({ op: 'shape', a, b, shape }, { op: 'shape', a, b, shape: {} })
    } else if (kind === 'reset') {
      const [a, b] = pair()
      steps.push({ at, id, op: 'reset', a, b })
    } else if (kind === 'skew') {
      const node = pick(nodes)
      if (busy(`clock ${node}`, at)) continue
      until.set(`clock ${node}`, end)
      add({ op: 'skew', node, ms: pick([-3_600_000, -5000, 5000, 3_600_000]) }, { op: 'skew', node, ms: 0 })
    } else {
      const node = pick(nodes)
      const down = nodes.filter(other => busy(other, at)).length
      if (busy(node, at) || (kind !== 'pause' && down >= maxDown)) continue
      until.set(node, end)
      add({ op: kind, node }, { op: { pause: 'resume', kill: 'restart', crash: 'restart' }[kind], node })
    }
  }
  return steps.sort((x, y) => x.at - y.at || x.id - y.id)
}

/**
 * Carries a plan out. `restart(name)` is to start the node's program again
 * after a kill or crash; `before(step)` is told of each step that is about to be
 * done, `log(step)` of each that was. Resolves, all healed, to the steps with the
 * time (ms) at which each was really done.
 */
export async function play(lab, plan, { restart, before = () => {}, log = () => {}, signal } = {}) {
  const started = performance.now()
  const done = []
  const cuts = new Map() // several faults may cut the same pair: count them
  const hold = (a, b, change) => {
    const key = `${a}>${b}`
    const count = (cuts.get(key) ?? 0) + change
    cuts.set(key, count)
    if (count === 1 && change === 1) lab.cut(a, b, { oneWay: true })
    if (count === 0) lab.uncut(a, b, { oneWay: true })
  }
  const split = (group, change) => {
    for (const a of group)
      for (const b of lab.nodes)
        if (!group.includes(b)) {
          hold(a, b, change)
          hold(b, a, change)
        }
  }
  for (const step of plan) {
    const rest = step.at - (performance.now() - started)
    if (rest > 0) await new Promise(resolve => setTimeout(resolve, rest))
    if (signal?.aborted) break
    before(step)
    switch (step.op) {
      case 'cut':
      case 'uncut': {
        const change = step.op === 'cut' ? 1 : -1
        hold(step.a, step.b, change)
        if (!step.oneWay) hold(step.b, step.a, change)
        break
      }
      case 'partition':
        split(step.group, 1)
        break
      case 'unpartition':
        split(step.group, -1)
        break
      case 'shape':
        await lab.shape(step.a, step.b, step.shape)
        break
      case 'reset':
        lab.reset(step.a, step.b)
        break
      case 'skew':
        lab.skew(step.node, step.ms)
        break
      case 'pause':
        lab.pause(step.node)
        break
      case 'resume':
        lab.resume(step.node)
        break
      case 'kill':
        await lab.kill(step.node)
        break
      case 'crash':
        await lab.crash(step.node)
        break
      case 'restart':
        lab.restore(step.node)
        await restart?.(step.node)
        break
      default:
        throw new Error(`netlab: no step ${step.op}`)
    }
    const entry = { ...step, doneAt: Math.round(performance.now() - started) }
    done.push(entry)
    log(entry)
  }
  await lab.heal()
  return done
}
