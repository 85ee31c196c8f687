import { readFile } from 'node:fs/promises'
import { type ActorRef, type Context, defineActor, type Pid, TroupeError } from 'troupe'
import { coordinator, type Words } from './coordinator.js'
import { countWords } from './tokenize.js'

interface State {
  readonly coordinator: ActorRef<typeof coordinator>
  /** Slow enough for a person to watch. */
  readonly paceMs: number
  /** The coordinator that knows all of `told`. */
  book: Pid | undefined
  readonly told: Map<string, Words>
  readonly untold: Map<string, Words>
}

/**
 * Asks for a file, counts it, asks for the next. It keeps what it has counted: should the coordinator be restarted
 * elsewhere, with an empty book, everything is offered again.
 */
export const counter = defineActor('counter', {
  init: (args: { coordinator: string; paceMs: number }, ctx): State => {
    ctx.continue('work')
    return {
      coordinator: ctx.named(args.coordinator, coordinator), // follows the name wherever it goes
      paceMs: args.paceMs,
      book: undefined,
      told: new Map(),
      untold: new Map(),
    }
  },
  continue: (state, _value, ctx) => work(state, ctx),
  info: (state, _signal, ctx) => work(state, ctx),
})

async function work(state: State, ctx: Context): Promise<void> {
  const file = await ask(state, ctx.self)
  if (file !== undefined) state.untold.set(file, countWords(await readFile(file, 'utf8')))
  ctx.sendAfter(state.paceMs, ctx.self, 'work')
}

/** A file to count; undefined when there is none now, or no coordinator. */
async function ask(state: State, self: Pid): Promise<string | undefined> {
  const { book, untold, told } = state
  try {
    const answer = await state.coordinator.call('next', { counter: self, book, counted: untold })
    for (const [file, words] of untold) told.set(file, words)
    untold.clear()
    if (answer.book !== book) for (const [file, words] of told) untold.set(file, words)
    state.book = answer.book
    return answer.file
  } catch (error) {
    if (TroupeError.is(error)) return undefined // the coordinator, or its node, is gone: ask the next one
    throw error
  }
}
