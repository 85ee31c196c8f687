/**
 * Pictures of growth for `docs/scale.md`: one SVG a question, both axes logarithmic, from the lines that `run.ts` wrote.
 *
 *   node .build/test/scale/plot.js RESULTS.jsonl FOLDER
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Growth } from './growth.js'

const WIDTH = 640
const HEIGHT = 360
const LEFT = 64
const BOTTOM = 44
const TOP = 36
const RIGHT = 170
const COLOURS = ['#2563eb', '#d97706', '#059669', '#dc2626'] as const

interface Curve {
  readonly label: string
  readonly points: readonly (readonly [x: number, y: number])[]
}

export interface Chart {
  readonly title: string
  readonly unit: string
  readonly curves: readonly Curve[]
}

/** The powers of ten around all of `values`. */
function decades(values: readonly number[]): number[] {
  const from = Math.floor(Math.log10(Math.min(...values)))
  const to = Math.max(from + 1, Math.ceil(Math.log10(Math.max(...values))))
  return Array.from({ length: to - from + 1 }, (_, i) => from + i)
}

export function svgOf({ title, unit, curves }: Chart): string {
  const points = curves.flatMap(curve => curve.points)
  const xs = decades(points.map(([x]) => x))
  const ys = decades(points.map(([, y]) => y))
  const scale = (value: number, ticks: readonly number[], from: number, to: number): string => {
    const share = (Math.log10(value) - ticks[0]!) / (ticks.at(-1)! - ticks[0]!)
    return (from + share * (to - from)).toFixed(1)
  }
  const x = (value: number): string => scale(value, xs, LEFT, WIDTH - RIGHT)
  const y = (value: number): string => scale(value, ys, HEIGHT - BOTTOM, TOP)
  const text = (at: string, words: string, more = ''): string => `<text ${at} ${more}>${words}</text>`
  const grid = [
    ...xs.map(power => {
      const at = x(10 ** power)
      return `<path d="M${at} ${TOP}V${HEIGHT - BOTTOM}"/>${text(`x="${at}" y="${HEIGHT - BOTTOM + 18}"`, short(10 ** power), 'text-anchor="middle"')}`
    }),
    ...ys.map(power => {
      const at = y(10 ** power)
      return `<path d="M${LEFT} ${at}H${WIDTH - RIGHT}"/>${text(`x="${LEFT - 8}" y="${at}"`, short(10 ** power), 'text-anchor="end" dy="4"')}`
    }),
  ]
  const lines = curves.map(({ label, points }, i) => {
    const colour = COLOURS[i % COLOURS.length]
    const path = points.map(([px, py], j) => `${j === 0 ? 'M' : 'L'}${x(px)} ${y(py)}`).join('')
    const dots = points.map(([px, py]) => `<circle cx="${x(px)}" cy="${y(py)}" r="3"/>`).join('')
    const legend = text(`x="${WIDTH - RIGHT + 12}" y="${TOP + 14 + i * 20}"`, label, 'stroke="none"')
    return `<g stroke="${colour}" fill="${colour}"><path d="${path}" fill="none" stroke-width="2"/>${dots}${legend}</g>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12" role="img" aria-label="${title} (${unit})">
<title>${title} (${unit})</title>
<rect width="100%" height="100%" fill="#fff"/>
${text(`x="${LEFT}" y="20"`, `${title} (${unit})`, 'font-size="14"')}
<g stroke="#e5e7eb" fill="#374151">${grid.join('').replaceAll('<text', '<text stroke="none"')}</g>
${text(`x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 8}"`, 'members', 'text-anchor="middle" fill="#374151"')}
${lines.join('\n')}
</svg>
`
}

const short = (n: number): string =>
  n >= 1e6 ? `${n / 1e6}M` : n >= 1e3 ? `${n / 1e3}k` : String(Number(n.toPrecision(2)))

/** What the page shows, by file name. */
export function charts(growth: readonly Growth[]): Readonly<Record<string, Chart>> {
  const curve = (label: string, of: (growth: Growth) => number): Curve => ({
    label,
    points: growth.flatMap(each => (of(each) > 0 ? [[each.size, of(each)] as const] : [])),
  })
  return {
    'detection.svg': {
      title: 'Until a change is known',
      unit: 'ms',
      curves: [
        curve('lost machine: last node', each => each.lostLastMs),
        curve('lost machine: first node', each => each.lostFirstMs),
        curve('changed record: last', each => each.updatedLastMs),
        curve('killed process: last', each => each.killedLastMs),
      ],
    },
    'bytes.svg': {
      title: 'Sent by each node at rest',
      unit: 'bytes a second',
      curves: [
        curve('heartbeats', each => each.heartbeatBytes),
        curve('whole lists', each => each.listBytes),
        curve('probes and gossip', each => each.membershipBytes),
      ],
    },
    'processor.svg': {
      title: 'Processor time of each node at rest',
      unit: 'ms a second',
      curves: [curve('membership', each => each.cpuMs)],
    },
  }
}

const [file, folder] = process.argv.slice(2)
if (file !== undefined && folder !== undefined) {
  const growth = readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as Growth)
    .sort((a, b) => a.size - b.size)
  for (const [name, chart] of Object.entries(charts(growth))) writeFileSync(join(folder, name), svgOf(chart))
}
