/** A definition as a picture: `stateDiagram-v2` of Mermaid, which GitHub and many editors draw. */
import type { AnyActor } from '../actor/define.js'
import { show } from '../base/errors.js'
import { kMachine, type Machine } from './machine.js'
import type { Plan, Route, StatePlan } from './plan.js'
import { postpone } from './results.js'

/**
 * The states of a machine and the ways between them, as text for Mermaid (`stateDiagram-v2`), in the order of the
 * definition. A way is drawn where the definition says where it leads: `push: 'open'`, or `{ to: ['open'], do }`. Events
 * whose handlers decide alone are listed in a note; those of `any` are drawn from each state that has none of its own.
 *
 * Throws `TypeError` for what `defineMachine` did not return.
 */
export function toMermaid(definition: AnyActor): string {
  const plan = (definition as Partial<Machine> | undefined)?.[kMachine]
  if (plan === undefined) {
    throw new TypeError(`toMermaid: expected what defineMachine returned, got ${show(definition)}`)
  }
  const states = [...plan.states.keys()]
  const ids = new Map(states.map((state, i) => [state, isPlain(state) ? state : `s${i + 1}`]))
  const id = (state: string): string => ids.get(state) ?? state
  return [
    'stateDiagram-v2',
    ...states.filter(state => id(state) !== state).map(state => `  state "${text(state)}" as ${id(state)}`),
    ...(plan.initial.to ?? []).map(state => `  [*] --> ${id(state)}`),
    ...[...plan.states].flatMap(([state, of]) => drawn(id, state, routesOf(plan, of))),
    '',
  ].join('\n')
}

const routesOf = (plan: Plan, state: StatePlan): readonly (readonly [string, Route])[] => [
  ...state.routes,
  ...[...plan.any.routes].filter(([key]) => !state.routes.has(key)),
]

function drawn(
  id: (state: string) => string,
  state: string,
  routes: readonly (readonly [string, Route])[],
): readonly string[] {
  const ways = routes.flatMap(([key, { to }]) =>
    (to ?? []).map(target => `  ${id(state)} --> ${id(target)} : ${label(key)}`),
  )
  const open = routes
    .filter(([, { to, run }]) => to === undefined && run !== postpone)
    .map(([key]) => label(key))
  if (open.length > 0) ways.push(`  note right of ${id(state)} : decides itself: ${open.join(', ')}`)
  return ways
}

/** Calls and casts go by their tag, all else by its kind as well. */
const label = (key: string): string => text(key.replace(/^(call|cast) /, ''))

/** What Mermaid takes as it is: no word of its own, nothing that ends a line or a label. */
const isPlain = (state: string): boolean =>
  /^[A-Za-z]\w*$/.test(state) &&
  !/^(s\d+|end|state|note|direction|class|classDef|style|default|root)$/i.test(state)

const text = (value: string): string =>
  value.replace(/[^\p{L}\p{N} _./-]/gu, char => `#${char.codePointAt(0)};`)
