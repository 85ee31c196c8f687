/** Arrays, plain objects, maps and sets nested deeper than this are left as they are. */
const DEPTH_MAX = 64

/**
 * Freezes plain data in place, so that a receiver that changes what it was sent fails in tests. What is not plain data
 * (buffers, pids, instances of classes) is left alone: freezing it could break its owner.
 */
export function freeze(value: unknown): unknown {
  freezeTo(value, DEPTH_MAX)
  return value
}

function freezeTo(value: unknown, depth: number): void {
  if (typeof value !== 'object' || value === null || depth === 0 || Object.isFrozen(value)) return
  const prototype = Object.getPrototypeOf(value)
  if (!Array.isArray(value) && prototype !== Object.prototype && prototype !== null) return
  Object.freeze(value)
  for (const part of Object.values(value)) freezeTo(part, depth - 1)
}
