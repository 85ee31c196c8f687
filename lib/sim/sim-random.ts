import type { Random } from '../base/runtime.js'

/**
 * sfc32, seeded by hashing a text: small, fast, and 128 bits of state, so that streams do not run into each other.
 * A fork is named by its path from the root, and the n-th fork for one use by n, so further draws or forks elsewhere
 * change nothing.
 */
export class SimRandom implements Random {
  readonly #path: string
  readonly #forks = new Map<string, number>()
  #a: number
  #b: number
  #c: number
  #counter = 1

  constructor(seed: number | string) {
    this.#path = String(seed)
    this.#a = hash32(this.#path, 0x9e3779b9)
    this.#b = hash32(this.#path, 0x243f6a88)
    this.#c = hash32(this.#path, 0xb7e15162)
    for (let i = 0; i < 12; i++) this.uint32()
  }

  uint32(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0
    return sum >>> 0
  }

  float(): number {
    return ((this.uint32() >>> 5) * 2 ** 26 + (this.uint32() >>> 6)) / 2 ** 53
  }

  /** A whole number from 0 to `below` - 1. */
  below(below: number): number {
    return Math.floor(this.float() * below)
  }

  /** True with probability `rate`. Draws nothing at 0, so that an unused fault changes no run. */
  chance(rate: number): boolean {
    return rate > 0 && this.float() < rate
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.uint32() & 0xff)
  }

  fork(use: string): SimRandom {
    const nth = this.#forks.get(use) ?? 0
    this.#forks.set(use, nth + 1)
    return new SimRandom(`${this.#path}/${use}#${nth}`)
  }
}

/** FNV-1a over UTF-16 units, with murmur's last mixing. */
function hash32(text: string, basis: number): number {
  let h = basis
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}
