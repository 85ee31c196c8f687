import { resolve } from 'node:path'

/** The operating-system process as a command sees it: what it was given, where it prints, how it ends. */
export interface Terminal {
  /** The words after the command's own name. */
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  /** A path as it was typed, made absolute. */
  absolute(path: string): string
  /** Whether people read the standard output, in colours. */
  readonly colors: boolean
  /** Prints to standard output. */
  out(text: string): void
  /** Prints to standard error. */
  err(text: string): void
  /** The exit status, once nothing is left to do. */
  setExitCode(code: number): void
  /** Ends now. */
  exit(code: number): void
  /** Calls `fn` for every SIGINT and SIGTERM, instead of ending. Returns a function that restores the default. */
  onSignal(fn: (signal: 'SIGINT' | 'SIGTERM') => void): () => void
}

const SIGNALS = ['SIGINT', 'SIGTERM'] as const

export function createTerminal(): Terminal {
  const { stdout, stderr } = process
  // `troupe ps | head` closes the pipe early: that is no failure of ours.
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
    throw error
  })
  return {
    argv: process.argv.slice(2),
    env: process.env,
    absolute: path => resolve(path),
    colors: stdout.isTTY === true && process.env['NO_COLOR'] === undefined,
    out: text => void stdout.write(text),
    err: text => void stderr.write(text),
    setExitCode: code => {
      process.exitCode = code
    },
    exit: code => process.exit(code),
    onSignal: fn => {
      for (const signal of SIGNALS) process.on(signal, fn)
      return () => {
        for (const signal of SIGNALS) process.off(signal, fn)
      }
    },
  }
}
