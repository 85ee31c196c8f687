/**
 * In which order named parts start: those that a part is `after` come before it, and what is left open is as written.
 * Throws `TypeError` for a name that nobody has, and for a circle, which it spells out.
 */
import { show } from '../base/errors.js'

export function startOrder(
  where: string,
  after: Readonly<Record<string, readonly string[]>>,
): readonly string[] {
  const order = new Set<string>()
  const path: string[] = []
  const visit = (name: string): void => {
    if (order.has(name)) return
    if (path.includes(name)) {
      const circle = [...path.slice(path.indexOf(name)), name].map(show).join(' after ')
      throw new TypeError(`${where}: expected parts that can start one after the other, got ${circle}`)
    }
    path.push(name)
    for (const needed of after[name] ?? []) {
      if (!Object.hasOwn(after, needed)) {
        const known = Object.keys(after).map(show).join(', ')
        throw new TypeError(`${where}.${name}: after: expected one of ${known}, got ${show(needed)}`)
      }
      visit(needed)
    }
    path.pop()
    order.add(name)
  }
  for (const name of Object.keys(after)) visit(name)
  return [...order]
}
