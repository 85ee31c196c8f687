import type { IdSpace } from '../base/id-space.js'
import type { Limits } from '../base/limits.js'

/** A class of ours whose instances cross nodes: what they are on the wire, and back. `type` is part of the protocol. */
export interface Extension<T extends object> {
  readonly type: number
  readonly is: (value: object) => value is T
  /** Plain data: strings, numbers, pids, refs, arrays. */
  readonly write: (value: T) => unknown
  /** Checks the shape of what came; throws `TroupeError` `ERR_PAYLOAD`. */
  readonly read: (data: unknown) => T
}

/** Between values and bytes, for one node. Every encoding is self-contained: one value, no state between calls. */
export interface Codec {
  /**
   * Encodes one value behind `reserve` free bytes; the buffer is the caller's. `where` names the value in errors
   * (`payload`). Throws `ERR_PAYLOAD` with `detail.path` for what may not cross, `ERR_TOO_LARGE` above `messageBytesMax`.
   */
  encode(value: unknown, reserve: number, where: string): Buffer
  /** Scans, then decodes, exactly one value. The result never shares memory with `buffer`. Throws `ERR_PAYLOAD`. */
  decode(buffer: Buffer, start: number, end: number): unknown
}

export interface CodecOptions {
  readonly limits: Pick<Limits, 'messageBytesMax' | 'depthMax' | 'valuesMax'>
  /** Interns the pids and refs that come in. */
  readonly ids: IdSpace
  readonly extensions?: readonly Extension<never>[]
}
