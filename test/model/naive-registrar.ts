/**
 * The protocol one writes first: the preferred owner of a name asks all members for their holdings, then grants;
 * requests carry the caller's view, and only one with the owner's own view is served. It gives two live holders when a
 * node joins, without any partition: asking does not stop the earlier owner, and views are no shared history. Here so
 * that the checker is seen to find what it is for.
 */
import { seeded, shuffled } from './slot-world.js'

type Message =
  | { readonly type: 'register'; readonly view: string }
  | { readonly type: 'query' | 'entry-ack' | 'retry' | 'granted' | 'refused' }
  | { readonly type: 'holding' | 'entry'; readonly holder: number | undefined }

interface Node {
  readonly view: Set<number>
  state: 'idle' | 'asking' | 'granted' | 'refused'
  holder: number | undefined
  /** Undefined until somebody asked it to be the owner. */
  queue: number[] | undefined
  need: Set<number>
  /** The caller being served. */
  serving: number | undefined
}

const NODES = [0, 1, 2, 3]
const STEPS_MAX = 2_000

export function runNaive(seed: number): readonly string[] {
  const random = seeded(seed)
  const order = shuffled([...NODES], random)
  const links = new Map<string, { from: number; to: number; queue: Message[] }>()
  const violations: string[] = []
  const nodes: Node[] = NODES.map(i => ({
    view: new Set(i === 3 ? NODES : [0, 1, 2]),
    state: 'idle',
    holder: undefined,
    queue: undefined,
    need: new Set(),
    serving: undefined,
  }))
  const retries: number[] = []
  const at = (i: number): Node => nodes[i]!
  const others = (i: number): number[] => [...at(i).view].filter(x => x !== i)
  const viewOf = (i: number): string => [...at(i).view].sort().join()
  const preferred = (i: number): number => order.find(x => at(i).view.has(x))!

  const send = (from: number, to: number, message: Message): void => {
    if (from === to) {
      receive(from, to, message)
      return
    }
    const id = `${from}>${to}`
    const link = links.get(id) ?? { from, to, queue: [] }
    links.set(id, link)
    link.queue.push(message)
  }
  const register = (i: number): void => {
    at(i).state = 'asking'
    send(i, preferred(i), { type: 'register', view: viewOf(i) })
  }
  const serve = (i: number): void => {
    const node = at(i)
    while (node.queue !== undefined && node.need.size === 0 && node.serving === undefined) {
      const caller = node.queue.shift()
      if (caller === undefined) return
      if (node.holder !== undefined && node.holder !== caller) {
        send(i, caller, { type: 'refused' })
        continue
      }
      node.holder = node.serving = caller
      node.need = new Set(others(i))
      for (const x of node.need) send(i, x, { type: 'entry', holder: caller })
      served(i)
    }
  }
  const served = (i: number): void => {
    const node = at(i)
    if (node.need.size > 0 || node.serving === undefined) return
    send(i, node.serving, { type: 'granted' })
    node.serving = undefined
  }
  const onRegister = (from: number, i: number, view: string): void => {
    const node = at(i)
    if (preferred(i) !== i || view !== viewOf(i)) {
      send(i, from, { type: 'retry' })
      return
    }
    if (node.queue === undefined) {
      node.queue = []
      node.need = new Set(others(i))
      for (const x of node.need) send(i, x, { type: 'query' })
    }
    node.queue.push(from)
    serve(i)
  }
  const onGranted = (i: number): void => {
    if (at(i).state !== 'asking') return
    at(i).state = 'granted'
    const holders = NODES.filter(x => at(x).state === 'granted')
    if (holders.length > 1) violations.push(`two holders ${holders.join(', ')}`)
  }
  const receive = (from: number, i: number, message: Message): void => {
    const node = at(i)
    switch (message.type) {
      case 'register':
        onRegister(from, i, message.view)
        return
      case 'query':
        send(i, from, { type: 'holding', holder: node.state === 'granted' ? i : undefined })
        return
      case 'holding':
        node.holder ??= message.holder
        node.need.delete(from)
        serve(i)
        return
      case 'entry':
        node.holder = message.holder
        send(i, from, { type: 'entry-ack' })
        return
      case 'entry-ack':
        node.need.delete(from)
        served(i)
        serve(i)
        return
      case 'granted':
        onGranted(i)
        return
      case 'refused':
        if (node.state === 'asking') node.state = 'refused'
        return
      case 'retry':
        if (node.state === 'asking') retries.push(i)
    }
  }

  const script: (() => void)[] = [0, 1, 2].map(i => () => void at(i).view.add(3))
  for (const i of random() < 0.5 ? [0, 1, 3] : [0, 1]) script.push(() => register(i))
  for (let step = 0; step < STEPS_MAX && violations.length === 0; step++) {
    const busy = [...links.values()].filter(link => link.queue.length > 0)
    const choices = busy.length + (script.length > 0 ? 1 : 0) + (retries.length > 0 ? 1 : 0)
    if (choices === 0) break
    const pick = Math.floor(random() * choices)
    const link = busy[pick]
    if (link !== undefined) receive(link.from, link.to, link.queue.shift()!)
    else if (pick === busy.length && script.length > 0)
      script.splice(Math.floor(random() * script.length), 1)[0]!()
    else register(retries.shift()!)
  }
  return violations
}
