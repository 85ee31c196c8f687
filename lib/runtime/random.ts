import { randomBytes } from 'node:crypto'
import type { Random } from '../base/runtime.js'

const POOL_BYTES = 4_096
const FLOAT_BYTES = 8

/** Draws from the operating system, a pool at a time: one system call per 512 floats. */
export class RealRandom implements Random {
  #pool: Buffer = Buffer.alloc(0)
  #used = 0

  /** 53 bits: every multiple of 2⁻⁵³ in [0, 1) is equally likely. */
  float(): number {
    const at = this.#take(FLOAT_BYTES)
    return ((this.#pool.readUInt32LE(at) >>> 5) * 2 ** 26 + (this.#pool.readUInt32LE(at + 4) >>> 6)) / 2 ** 53
  }

  bytes(length: number): Uint8Array {
    return new Uint8Array(randomBytes(length))
  }

  /** Unpredictable draws cannot shift each other, so one stream serves every use. */
  fork(): Random {
    return this
  }

  #take(length: number): number {
    if (this.#used + length > this.#pool.length) {
      this.#pool = randomBytes(POOL_BYTES)
      this.#used = 0
    }
    this.#used += length
    return this.#used - length
  }
}
