import { type ChildProcess, fork } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Question } from './node.js'

interface Answer {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

interface Said {
  readonly id?: number
  readonly value?: unknown
  readonly error?: string
  readonly event?: string
}

/** A node in a process of its own, as the driver sees it: it can be asked, it tells, and it can be killed. */
export class Child {
  readonly name: string
  /** What it tells: `ready`, `name`, `down`. */
  readonly told = new EventEmitter()
  readonly #process: ChildProcess
  readonly #waiting = new Map<number, Answer>()
  #id = 0

  constructor(name: string, seed: string | undefined, secret: string) {
    this.name = name
    this.#process = fork(
      fileURLToPath(new URL('./node.js', import.meta.url)),
      seed === undefined ? [name] : [name, seed],
      {
        env: { ...process.env, NODE_OPTIONS: '', TROUPE_SECRET: secret },
        serialization: 'advanced',
      },
    )
    this.#process.on('message', said => this.#hear(said as Said))
    this.#process.on('exit', () => this.#gone())
  }

  ask<T>(question: Question): Promise<T> {
    const id = ++this.#id
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(id, { resolve: value => resolve(value as T), reject })
      this.#process.send({ id, question }, error => error && reject(error))
    })
  }

  /** As a power cut would: no goodbye. */
  kill(): void {
    this.#process.kill('SIGKILL')
  }

  #hear(said: Said): void {
    if (said.event !== undefined) {
      this.told.emit(said.event, said)
      return
    }
    const answer = this.#waiting.get(said.id!)
    this.#waiting.delete(said.id!)
    if (said.error === undefined) answer?.resolve(said.value)
    else answer?.reject(new Error(said.error))
  }

  #gone(): void {
    for (const answer of this.#waiting.values()) answer.reject(new Error(`${this.name} is gone`))
    this.#waiting.clear()
  }
}
