/** Between values and the text that people type and read. */
import { inspect } from 'node:util'

/** JSON if it parses, else the text itself. */
export function fromText(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return text
  }
}

/**
 * The nearest JSON of any value that may cross nodes: bigints and pids as strings, dates in ISO form, bytes in
 * base64, sets as arrays, maps as objects when every key is a string and else as arrays of pairs, NaN, infinities
 * and undefined as null.
 */
export function toJson(value: unknown): unknown {
  switch (typeof value) {
    case 'bigint':
      return value.toString()
    case 'number':
      return Number.isFinite(value) ? value : null
    case 'object':
      return value === null ? null : objectToJson(value)
    case 'string':
    case 'boolean':
      return value
    default:
      return null
  }
}

function objectToJson(value: object): unknown {
  if (value instanceof Error) return errorToJson(value)
  if (Buffer.isBuffer(value)) return value.toString('base64')
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as ArrayLike<unknown>, toJson)
  if (Array.isArray(value) || value instanceof Set) return Array.from(value, toJson)
  if (value instanceof Map) return mapToJson(value)
  if ('toJSON' in value && typeof value.toJSON === 'function') return value.toJSON() as unknown // dates, pids, refs
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, toJson(item)]))
}

function mapToJson(map: ReadonlyMap<unknown, unknown>): unknown {
  const entries = [...map].map(
    ([key, item]) => [typeof key === 'string' ? key : toJson(key), toJson(item)] as const,
  )
  return [...map.keys()].every(key => typeof key === 'string') ? Object.fromEntries(entries) : entries
}

export function errorToJson(error: Error): { code: string; message: string; detail: unknown } {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name
  return { code, message: error.message, detail: 'detail' in error ? toJson(error.detail) : {} }
}

export const jsonLine = (value: unknown): string => `${JSON.stringify(toJson(value))}\n`

/** For people: a string as it is, anything else as Node's console shows it. */
export function toText(value: unknown, colors: boolean): string {
  if (typeof value === 'string') return value
  return inspect(value, {
    colors,
    depth: 12,
    maxArrayLength: 1_000,
    maxStringLength: 100_000,
    breakLength: 100,
  })
}

/** Columns as wide as their widest cell, two spaces apart. An empty cell is shown as `-`. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, ...rows.map(row => row.map(cell => (cell === '' ? '-' : cell)))]
  const widths = head.map((_, column) => Math.max(...lines.map(line => line[column]?.length ?? 0)))
  const text = lines.map(line =>
    line
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
  return `${text.join('\n')}\n`
}
