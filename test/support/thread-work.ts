/** What tests run in threads. */
export const add = (a: number, b: number): number => a + b

/** Tells that it runs, and computes for ever. */
export function spin(flag: Int32Array): never {
  Atomics.store(flag, 0, 1)
  for (;;) Atomics.add(flag, 1, 1)
}

export function fail(): never {
  throw new RangeError('too far')
}

/** Returns, and leaves something running. */
export const linger = (): void => void setInterval(() => {}, 1_000)

/** Throws where nobody catches. */
export function crash(): Promise<never> {
  setImmediate(fail)
  return new Promise(() => {})
}

export const uncloneable = (): unknown => () => 1
export const constant = 5
