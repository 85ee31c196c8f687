import type { Runtime } from '../base/runtime.js'
import type { Terminal } from '../runtime/terminal.js'
import { UsageError } from './flags.js'

const SECRET_BYTES_MIN = 32

interface SecretDesk {
  readonly terminal: Pick<Terminal, 'env' | 'absolute'>
  readonly runtime: Pick<Runtime, 'disk'>
}

/**
 * The shared secret: what the file holds, without the line end, else `TROUPE_SECRET`, else none. Never a word of the
 * command line, which every user of the machine can read, and never part of an error. Throws `UsageError`.
 */
export async function readSecret(desk: SecretDesk, file: string | undefined): Promise<string | undefined> {
  const where = file === undefined ? 'TROUPE_SECRET' : '--secret-file'
  const secret = file === undefined ? desk.terminal.env['TROUPE_SECRET'] : await contents(desk, file)
  if (secret === undefined) return undefined
  const bytes = Buffer.byteLength(secret)
  if (bytes >= SECRET_BYTES_MIN) return secret
  const how = 'make one with: openssl rand -hex 32'
  throw new UsageError(
    `${where}: expected a secret of at least ${SECRET_BYTES_MIN} bytes, got ${bytes}; ${how}`,
  )
}

async function contents(desk: SecretDesk, file: string): Promise<string> {
  try {
    return (await desk.runtime.disk.read(desk.terminal.absolute(file))).toString('utf8').replace(/\r?\n$/, '')
  } catch (error) {
    const { code } = error as { code?: string }
    throw new UsageError(
      `--secret-file: expected a file that can be read, got ${JSON.stringify(file)} (${code ?? String(error)})`,
    )
  }
}
