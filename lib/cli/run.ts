/** One run of `troupe`: from the words to the exit status. Everything it touches comes in through `Desk`. */

import { show } from '../base/errors.js'
import { ConnectionError } from './client.js'
import { COMMANDS, type Desk } from './commands.js'
import { UsageError } from './flags.js'
import { help, helpOf } from './help.js'
import { errorToJson } from './values.js'

export async function run(desk: Desk, version: string): Promise<number> {
  const { argv, out } = desk.terminal
  const [first, ...rest] = argv
  if (first === '--version' || first === '-v') {
    out(`${version}\n`)
    return 0
  }
  if (first === undefined || first === '--help' || first === '-h' || first === 'help') {
    const about = COMMANDS.find(({ name }) => name === rest[0])
    out(about === undefined ? help(COMMANDS) : helpOf(about))
    return first === undefined ? 2 : 0
  }
  const command = COMMANDS.find(({ name }) => name === first)
  if (command !== undefined && wantsHelp(rest)) {
    out(helpOf(command))
    return 0
  }
  try {
    if (command === undefined) {
      const known = COMMANDS.map(({ name }) => name).join(', ')
      throw new UsageError(`unknown command ${JSON.stringify(first)}; expected one of ${known}`)
    }
    await command.run(desk, rest)
    return 0
  } catch (error) {
    return report(desk, command?.name, error)
  }
}

/** Before a `--`, after which everything is a word. */
function wantsHelp(words: readonly string[]): boolean {
  const end = words.indexOf('--')
  return words.slice(0, end < 0 ? words.length : end).some(word => word === '--help' || word === '-h')
}

function report({ terminal }: Desk, command: string | undefined, error: unknown): number {
  const failure = error instanceof Error ? error : new Error(String(error))
  const status = statusOf(failure)
  if (terminal.argv.includes('--json')) {
    terminal.err(`${JSON.stringify({ error: errorToJson(failure) })}\n`)
    return status
  }
  const { code } = errorToJson(failure)
  const because = reasonOf(failure)
  terminal.err(`troupe: ${failure.message}${because}${code.startsWith('ERR_') ? ` (${code})` : ''}\n`)
  if (failure instanceof UsageError)
    terminal.err(`try: troupe ${command === undefined ? '' : `${command} `}--help\n`)
  return status
}

/** Why a process ended, or did not start: the one detail that its message may leave out. */
function reasonOf(error: Error): string {
  const { reason } = ('detail' in error ? error.detail : {}) as { reason?: unknown }
  if (reason === undefined) return ''
  const text = reason instanceof Error ? `${reason.name}: ${reason.message}` : show(reason)
  return error.message.includes(text) ? '' : `, because of ${text}`
}

function statusOf(error: Error): number {
  if (error instanceof UsageError) return 2
  if (error instanceof ConnectionError) return 3
  const { code } = errorToJson(error)
  if (code === 'TypeError' || code === 'RangeError') return 2
  return code === 'ERR_TIMEOUT' ? 4 : 1
}
