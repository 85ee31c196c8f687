import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { defineActor, type Pid } from 'troupe'

export type Words = ReadonlyMap<string, number>

export interface Progress {
  readonly files: number
  readonly counted: ReadonlyMap<string, string>
  readonly handed: ReadonlyMap<string, string>
}

/** What a counter says each time: who it is, which coordinator it last spoke with, and what that one has not heard. */
export interface Ask {
  readonly counter: Pid
  readonly book: Pid | undefined
  readonly counted: ReadonlyMap<string, Words>
}

/**
 * Keeps the book: which file is waiting, handed to whom, counted by whom. A coordinator that is restarted elsewhere
 * begins with an empty book and lets every counter offer again what it has. Results are keyed by file, so one that
 * is offered twice, or counted twice, counts once.
 */
export const coordinator = defineActor('coordinator', {
  init: async (root: string) => {
    const entries = await readdir(root, { recursive: true, withFileTypes: true })
    const markdown = entries.filter(entry => entry.isFile() && /\.md$/i.test(entry.name))
    const files = markdown.map(entry => join(entry.parentPath, entry.name)).sort()
    return {
      files: files.length,
      waiting: new Set(files),
      handed: new Map<Pid, string>(),
      counted: new Map<string, { words: Words; by: Pid }>(),
    }
  },

  calls: {
    next(state, ask: Ask, ctx): { book: Pid; file?: string | undefined } {
      for (const [file, words] of ask.counted) {
        state.waiting.delete(file)
        state.counted.set(file, { words, by: ask.counter })
      }
      if (ask.book !== ctx.self) {
        ctx.monitor(ask.counter)
        return { book: ctx.self } // no work before it has offered what it has
      }
      takeBack(state, ask.counter) // it asks, so it has finished, or never heard of it
      const [file] = state.waiting
      if (file !== undefined) {
        state.waiting.delete(file)
        state.handed.set(ask.counter, file)
      }
      return { book: ctx.self, file }
    },

    /** Which node counted, or is counting, which file. */
    progress: (state): Progress => ({
      files: state.files,
      counted: new Map([...state.counted].map(([file, { by }]) => [file, by.node])),
      handed: new Map([...state.handed].map(([by, file]) => [file, by.node])),
    }),

    total(state) {
      const total = new Map<string, number>()
      for (const { words } of state.counted.values()) {
        for (const [word, n] of words) total.set(word, (total.get(word) ?? 0) + n)
      }
      return total
    },
  },

  info(state, signal) {
    if (signal.type === 'down' && signal.pid !== undefined) takeBack(state, signal.pid)
  },
})

interface Book {
  readonly waiting: Set<string>
  readonly handed: Map<Pid, string>
  readonly counted: ReadonlyMap<string, unknown>
}

function takeBack({ waiting, handed, counted }: Book, counter: Pid): void {
  const file = handed.get(counter)
  handed.delete(counter)
  if (file !== undefined && !counted.has(file)) waiting.add(file)
}
