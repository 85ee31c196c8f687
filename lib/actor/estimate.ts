/** How much memory a value holds: what V8 needs for it, roughly, without running any of its code. */

/** Values that are looked at; what is behind them is not counted. */
export const COUNTED_MAX = 10_000
const OBJECT_BYTES = 24
const SLOT_BYTES = 8
const ENTRY_BYTES = 40
const VIEW_BYTES = 100

/** Bytes of all of these together. What is reached twice counts once. */
export function estimateBytes(values: readonly unknown[]): number {
  const seen = new Set<object>()
  const stack = [...values]
  let bytes = 0
  for (let left = COUNTED_MAX; left > 0 && stack.length > 0; left--) {
    const value = stack.pop()
    if (typeof value === 'string') bytes += 16 + value.length
    else if (typeof value === 'bigint') bytes += OBJECT_BYTES
    else if (typeof value === 'object' && value !== null && !seen.has(value)) {
      seen.add(value)
      bytes += sizeOf(value, part => stack.length < 2 * COUNTED_MAX && stack.push(part))
    }
  }
  return bytes
}

/** The object without what it refers to, which is given to `refers`. */
function sizeOf(value: object, refers: (part: unknown) => void): number {
  try {
    if (ArrayBuffer.isView(value)) return VIEW_BYTES + value.byteLength
    if (value instanceof Map || value instanceof Set) {
      value.forEach((part, key) => {
        refers(key)
        if (part !== key) refers(part)
      })
      return OBJECT_BYTES + ENTRY_BYTES * value.size
    }
    const keys = Object.keys(value)
    for (const key of keys.slice(0, COUNTED_MAX)) refers(Object.getOwnPropertyDescriptor(value, key)?.value)
    return OBJECT_BYTES + SLOT_BYTES * keys.length
  } catch {
    return OBJECT_BYTES // a proxy that refuses
  }
}
