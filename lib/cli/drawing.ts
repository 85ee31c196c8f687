/** The tree of processes as lines of text. Pure. */
import type { ClientBranch } from '../node/client-protocol.js'

/**
 * ```
 * supervisor <a.9f3c2b7a01de.12>
 * ├─ cache: counter <a.9f3c2b7a01de.13> "visits"
 * └─ inner: supervisor <a.9f3c2b7a01de.14>
 *    └─ counter <a.9f3c2b7a01de.15>, waiting, 17 in the mailbox
 * ```
 *
 * `rows` come branch by branch. They are drawn from the last to the first: whether a line goes on below is known then.
 */
export function drawing(rows: readonly ClientBranch[]): string {
  const lines: string[] = []
  /** By depth: whether there is a further branch below the same one. */
  const more: boolean[] = []
  for (const row of rows.toReversed()) {
    more.length = row.depth + 1
    const stems = Array.from({ length: row.depth - 1 }, (_, i) => (more[i + 1] ? '│  ' : '   '))
    const twig = row.depth === 0 ? '' : more[row.depth] ? '├─ ' : '└─ '
    lines.push(`${stems.join('')}${twig}${textOf(row)}\n`)
    more[row.depth] = true
  }
  return lines.reverse().join('') || 'no processes\n'
}

function textOf({ id, definition, pid, names, status, mailbox }: ClientBranch): string {
  const what = definition ?? 'function'
  const facts = [
    [
      id === undefined || id === what ? what : `${id}: ${what}`,
      pid,
      ...names.map(name => JSON.stringify(name)),
    ].join(' '),
  ]
  if (status !== 'idle') facts.push(status)
  if (mailbox > 0) facts.push(`${mailbox} in the mailbox`)
  return facts.join(', ')
}
