/**
 * Time as far as this node was awake for it. Pure.
 *
 *   real    |-----|-----|-----------------------|-----|      a tick that comes late tells how long we slept:
 *   awake   |-----|-----|-----|-----|-----|                  that time is taken out, as if it had not been
 *
 * A node whose loop stood still, or whose process was stopped, heard nobody: that says nothing of the others. After a
 * sleep it is patient for one heartbeat more, in which what waited in the sockets is read.
 */
export class Wakefulness {
  readonly #tickMs: number
  readonly #patienceMs: number
  #asleepMs = 0
  #lastMs: number | undefined
  #patientUntilMs = Number.NEGATIVE_INFINITY

  constructor(tickMs: number, patienceMs: number) {
    this.#tickMs = tickMs
    this.#patienceMs = patienceMs
  }

  /** Before the tick that will tell of it, a sleep shows as time that does not go on. */
  at(nowMs: number): number {
    const awakeMs = nowMs - this.#asleepMs
    return this.#lastMs === undefined ? awakeMs : Math.min(awakeMs, this.#lastMs + 2 * this.#tickMs)
  }

  /** How long this node slept since the last tick; 0 when it did not. */
  tick(nowMs: number): number {
    const awakeMs = nowMs - this.#asleepMs
    const lateMs = awakeMs - (this.#lastMs ?? awakeMs) - this.#tickMs
    const sleptMs = lateMs > this.#tickMs ? lateMs : 0
    this.#asleepMs += sleptMs
    this.#lastMs = awakeMs - sleptMs
    if (sleptMs > 0) this.#patientUntilMs = this.#lastMs + this.#patienceMs
    return sleptMs
  }

  /** True while nobody should be judged yet, at that moment of awake time. */
  patient(awakeMs: number): boolean {
    return awakeMs < this.#patientUntilMs
  }
}
