/**
 * What others may call here, and what of it runs: the host's half of a procedure call. Every call is a process of its own,
 * so that it crashes alone, is listed, and can be ended by a signal.
 *
 *   PROCEDURE ─▶ in the list? ─▶ room? ─▶ process ─▶ its function ── returns ─▶ REPLY value     ─▶ dead, 'normal'
 *                  │ no: undef     │ no: busy          │ throws, exits ─▶ REPLY error, throw, exit ─▶ dead, with the reason
 *                  ▼               ▼                   └ a signal ends it ─▶ dead ─▶ REPLY signal
 *
 * Whoever called is told how it failed, so no report is made of it here; of a cast, and of a call whose caller is known to
 * be gone, one is. A caller that died, or was lost, ends nothing: only its AbortSignal does, by procedureAbort.
 */
import type { Actors } from '../actor/actors.js'
import type { Self } from '../actor/api.js'
import { FunctionProcess, Unwind } from '../actor/function-process.js'
import type { AnyProcedure, RpcFailure } from '../actor/procedure.js'
import { show, TroupeError } from '../base/errors.js'
import { compareIds, type Pid } from '../base/ids.js'
import { type ExitReason, thrownReason } from '../base/reasons.js'
import { Encoded, type Request } from '../process/mail.js'

/** Answered by every node that runs, without a process: what `ping` asks. */
export const PING = '$ping'

/** What runs procedures for other nodes. */
export interface ProcedureHost {
  /**
   * Starts one. `ask` makes the request that is to be answered, in the stream of the process with that serial (0: there
   * is none); without it nobody waits. `ended`: the process is dead. Undefined: it was refused, and whoever asked told.
   */
  run(
    name: string,
    input: unknown,
    ask: ((callee: number) => Request) | undefined,
    ended: (() => void) | undefined,
  ): Pid | undefined
  /** The caller wants it no more. */
  abort(caller: Pid, pid: Pid): void
}

export class Procedures implements ProcedureHost {
  readonly #actors: Actors
  readonly #listed: ReadonlyMap<string, AnyProcedure>
  readonly #counts = { calls: 0, casts: 0, refused: 0, aborted: 0 }
  #running = 0
  #stopping = false

  constructor(actors: Actors, listed: ReadonlyMap<string, AnyProcedure>) {
    this.#actors = actors
    this.#listed = listed
  }

  get running(): number {
    return this.#running
  }

  /** No new ones. What a stop ends from here on is, to its caller, the loss of this node. */
  stopping(): void {
    this.#stopping = true
  }

  run(
    name: string,
    input: unknown,
    ask: ((callee: number) => Request) | undefined,
    ended: (() => void) | undefined,
  ): Pid | undefined {
    if (name === PING) {
      ask?.(0).reply(true)
      return undefined
    }
    const procedure = this.#listed.get(name)
    const refusal = procedure === undefined ? this.#unknown(name) : this.#full(name)
    if (procedure === undefined || refusal !== undefined) return this.#refuse(name, input, ask, refusal)
    const { table } = this.#actors
    const pid = table.ids.newPid()
    const run = { procedure, input, request: ask?.(pid.serial), node: table.ids.node }
    const over = (): void => {
      this.#running -= 1
      ended?.()
    }
    const process = new Running(pid, this.#actors, run, { over, stopping: () => this.#stopping })
    table.add(process)
    this.#running += 1
    this.#counts[ask === undefined ? 'casts' : 'calls'] += 1
    table.start(process)
    return pid
  }

  abort(caller: Pid, pid: Pid): void {
    this.#counts.aborted += 1
    this.#actors.table.exit(caller, pid, 'shutdown')
  }

  stats(): Readonly<Record<string, number>> {
    return { ...this.#counts, running: this.#running }
  }

  #refuse(
    name: string,
    input: unknown,
    ask: ((callee: number) => Request) | undefined,
    refusal: TroupeError | undefined,
  ): undefined {
    this.#counts.refused += 1
    const { table } = this.#actors
    if (refusal === undefined) return
    if (ask === undefined) table.deadLetter({ name, node: table.ids.node }, input, refusal.message)
    else ask(0).fail(refusal)
  }

  #unknown(procedure: string): TroupeError {
    const { node } = this.#actors.table.ids
    const known = [...this.#listed.keys()].sort(compareIds)
    const list = known.map(show).join(', ') || 'none'
    const text = `${node} has no procedure ${show(procedure)}; it has ${list}`
    return new TroupeError('ERR_UNKNOWN_ACTOR', text, {
      ...{ kind: 'undef' satisfies RpcFailure, reason: 'undef', procedure, node, known },
    })
  }

  /** Why there is no room for one more. */
  #full(procedure: string): TroupeError | undefined {
    const { ids, limits, size } = this.#actors.table
    const { node } = ids
    if (this.#stopping) {
      return new TroupeError('ERR_STOPPED', `rpc ${procedure}: the node ${node} is stopping`, { node })
    }
    const limit =
      this.#running >= limits.proceduresMax
        ? 'proceduresMax'
        : size >= limits.processesMax
          ? 'processesMax'
          : undefined
    if (limit === undefined) return undefined
    return new TroupeError('ERR_BUSY', `rpc ${procedure}: ${node} runs as many as it may`, { node, limit })
  }
}

interface Run {
  readonly procedure: AnyProcedure
  /** May be `Encoded`: opened in this process's own turn. */
  readonly input: unknown
  readonly request: Request | undefined
  readonly node: string
}

interface Over {
  readonly over: () => void
  /** Its node is. */
  readonly stopping: () => boolean
}

/** A process that runs one procedure. */
class Running extends FunctionProcess {
  readonly #run: Run
  readonly #host: Over
  #told = false

  constructor(pid: Pid, actors: Actors, run: Run, host: Over) {
    super(pid, actors, self => this.#work(self), `rpc:${run.procedure.name}`)
    this.#run = run
    this.#host = host
  }

  override ended(reason: ExitReason): void {
    super.ended(reason)
    const { request, node } = this.#run
    if (request?.settled === false) {
      request.fail(this.#host.stopping() ? stoppedError(request.tag, node) : this.#failed('signal', reason))
    }
    this.#host.over()
  }

  protected override told(): boolean {
    return this.#told
  }

  async #work(self: Self): Promise<void> {
    const { procedure, request } = this.#run
    const input = this.#input()
    if (input === undefined) return
    let value: unknown
    try {
      value = await procedure.fn(input.value as never, self)
    } catch (thrown) {
      this.#fail(...failureOf(thrown))
      throw thrown
    }
    if (this.dead || request === undefined) return
    try {
      request.reply(value)
    } catch (error) {
      const reason = {
        bad_return_value: show(value),
        why: error instanceof Error ? error.message : show(error),
      }
      this.#fail('error', reason)
      self.exit(reason)
    }
  }

  #input(): { readonly value: unknown } | undefined {
    const { input, request } = this.#run
    try {
      return { value: input instanceof Encoded ? input.open() : input }
    } catch (error) {
      const why = TroupeError.is(error) ? error : new TroupeError('ERR_PAYLOAD', show(error))
      if (request === undefined)
        this.actors.table.deadLetter(this.pid, undefined, 'bytes that could not be decoded')
      else request.fail(why)
      return undefined
    }
  }

  #fail(kind: RpcFailure, reason: ExitReason): void {
    const { request } = this.#run
    if (this.dead || request === undefined || request.settled) return
    request.fail(this.#failed(kind, reason))
    this.#told = true
  }

  #failed(kind: RpcFailure, reason: ExitReason): TroupeError {
    const { procedure, node } = this.#run
    const text = `rpc ${procedure.name} on ${node} ${HOW[kind]}: ${show(reason)}`
    return new TroupeError('ERR_EXIT', text, { kind, reason, procedure: procedure.name, node, pid: this.pid })
  }
}

const HOW: Readonly<Record<RpcFailure, string>> = {
  error: 'failed',
  throw: 'threw',
  exit: 'exited',
  signal: 'was ended',
  undef: 'is not there',
}

function failureOf(thrown: unknown): [RpcFailure, ExitReason] {
  if (thrown instanceof Unwind) return ['exit', thrown.reason]
  return thrown instanceof Error ? ['error', thrownReason(thrown)] : ['throw', thrown]
}

const stoppedError = (procedure: string, node: string): TroupeError =>
  new TroupeError('ERR_NOCONNECTION', `rpc ${procedure}: the node ${node} stopped before it was done`, {
    ...{ procedure, node, outcome: 'unknown' },
  })
