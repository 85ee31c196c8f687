import createDebug from 'debug'

/** A line for developers, with `debug`'s format: `%s`, `%d`, `%o`. Costs next to nothing while nobody asked for it. */
export type Trace = (format: string, ...values: readonly unknown[]) => void

/** Lines under `troupe:AREA`, shown when the environment's DEBUG names it: `DEBUG=troupe:*`. */
export const trace = (area: 'mesh' | 'names' | 'process'): Trace => createDebug(`troupe:${area}`)
