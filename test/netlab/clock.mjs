// Preloaded (node --import) into processes whose wall clock a lab may move.
// Shifts Date by the milliseconds written in the file NETLAB_CLOCK names.
// Monotonic time (performance.now, process.hrtime, timers) is left alone, as
// setting the wall clock of a real machine leaves it alone.
import { readFileSync } from 'node:fs'

const file = process.env.NETLAB_CLOCK
if (file) {
  const RealDate = Date
  let offset = 0
  const look = () => {
    try {
      offset = Number(readFileSync(file, 'utf8')) || 0
    } catch {
      /* no file: keep the last offset */
    }
  }
  look()
  setInterval(look, 20).unref()
  const now = () => RealDate.now() + offset
  const ShiftedDate = new Proxy(RealDate, {
    construct: (target, args, newTarget) =>
      Reflect.construct(target, args.length ? args : [now()], newTarget === ShiftedDate ? target : newTarget),
    apply: () => new RealDate(now()).toString(),
    get: (target, key) => (key === 'now' ? now : Reflect.get(target, key)),
  })
  RealDate.prototype.constructor = ShiftedDate
  globalThis.Date = ShiftedDate
}
