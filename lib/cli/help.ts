/** What `troupe --help` and `troupe COMMAND --help` print, from the table of commands. Pure. */
import type { Command } from './commands.js'
import type { Flag, Flags } from './flags.js'
import { table } from './values.js'

const WIDTH = 88

export const EXIT_CODES: readonly (readonly [code: number, meaning: string])[] = [
  [0, 'done'],
  [1, 'the operation was refused or failed'],
  [2, 'the command line is wrong'],
  [3, 'no node was reached: nobody listens, the secret is wrong, or the connection was lost'],
  [4, 'no answer in time; what was asked for may still happen'],
]

export function help(commands: readonly Command[]): string {
  return `${[
    'troupe: named processes over a mesh of Node.js nodes',
    'usage: troupe COMMAND [ARGUMENTS] [FLAGS]',
    section(
      'commands',
      commands.map(({ name, words, summary }) => [[name, ...words].join(' '), summary]),
    ),
    section('try', [
      ['troupe start --name a --actors ./actors', 'in one terminal'],
      ['troupe spawn counter 0 --name visits', 'in another'],
      ['troupe call visits add 5', ''],
    ]),
    section('environment', [
      ['TROUPE_CONNECT', 'the node that commands ask, HOST:PORT'],
      ['TROUPE_SECRET', 'the shared secret, at least 32 bytes'],
    ]),
    section(
      'exit status',
      EXIT_CODES.map(([code, meaning]) => [String(code), meaning]),
    ),
    '`troupe COMMAND --help` says more about each.',
  ].join('\n\n')}\n`
}

export function helpOf({ name, words, flags, summary, about, examples }: Command): string {
  return `${[
    `troupe ${name}: ${summary}`,
    `usage: troupe ${[name, ...words].join(' ')} [FLAGS]`,
    wrap(about),
    section('flags', flagRows(flags)),
    `examples:\n${examples.map(example => `  ${example}`).join('\n')}`,
    section(
      'exit status',
      EXIT_CODES.map(([code, meaning]) => [String(code), meaning]),
    ),
  ].join('\n\n')}\n`
}

const flagRows = (flags: Flags): (readonly [string, string])[] => [
  ...Object.entries(flags).map(([name, flag]) => [flagText(name, flag), flag.help] as const),
  ['--help', 'print this'],
]

const flagText = (name: string, { value }: Flag<unknown>): string =>
  value === undefined ? `--${name}` : `--${name} ${value}`

function section(title: string, rows: readonly (readonly [string, string])[]): string {
  const lines = table(
    ['', ''],
    rows.map(([left, right]) => [left, right || ' ']),
  )
    .split('\n')
    .slice(1, -1)
  return `${title}:\n${lines.map(line => `  ${line}`).join('\n')}`
}

function wrap(text: string): string {
  const lines: string[] = ['']
  for (const word of text.split(' ')) {
    const line = lines[lines.length - 1]!
    if (line.length + word.length >= WIDTH) lines.push(word)
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`
  }
  return lines.join('\n')
}
