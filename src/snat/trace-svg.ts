import type {Hop} from './path.ts'
import {document, INK, label, round, tag} from './svg.ts'
import {NOT_LOCAL, type Trace} from './trace.ts'

/*
 * The picture of a trace, drawn as networking papers draw it: hosts as big boxes, in each the integration bridge in
 * the middle, namespaces beside it, tunnel and external bridges below, the outside as a bar under all, and the path
 * as one line. The VM's host has its bridges on the right and the gateway host on the left, so that tunnels are short.
 */

const COLUMN = 196
const BOX = 168
const SMALL = 64
/** Where the path runs in a box: under its words. */
const LANE = 48
const MARGIN = 28
const TOP = 96
const ROWS = [40, 130, 220, 310] as const
const HOST = {width: 2 * COLUMN + 24, height: 394, gap: 72}
/** How far apart the way into a box and the way back out of it are. */
const TURN = 7

interface Spot {
  readonly x: number
  readonly y: number
  readonly tall: boolean
  readonly hop: Hop
  readonly numbers: number[]
}

type Point = readonly [x: number, y: number]

/** The picture of a trace as an SVG document. */
export function traceSvg(trace: Trace): string {
  const hosts = [...new Set(trace.hops.flatMap(hop => hop.host ?? []))]
  const width = 2 * MARGIN + Math.max(2, hosts.length) * (HOST.width + HOST.gap) - HOST.gap
  const barY = TOP + HOST.height + 40
  const spots = placeAll(trace.hops, hosts, barY)
  const legendY = barY + 78
  const height = legendY + trace.hops.length * 18 + 24
  const title = `${trace.vm} to ${trace.to ?? 'the outside'}`
  return document(width, height, title, [
    label(MARGIN, 34, title, {size: 17, weight: 'bold', max: 70}),
    label(MARGIN, 55, subtitle(trace), {fill: INK.faint, size: 12, max: 130}),
    ...detour(trace),
    ...hosts.map((host, index) => hostBox(host, index)),
    ...bypassed(trace, hosts),
    ...(trace.hops.length > 1 ? [bar(trace, width, barY)] : []),
    ...[...spots.values()].map(box),
    ...fabric(trace.hops, spots),
    path(trace.hops, spots, barY),
    ...[...spots.values()].map(badges),
    ...trace.hops.map((hop, index) => legend(hop, index, legendY + index * 18)),
  ])
}

function subtitle({router, mode, why}: Trace): string {
  return router === null ? why : `router ${router} · ${mode} · ${why}`
}

/** Why it is not the shorter way, where there is one. */
function detour({notes}: Trace): string[] {
  const why = notes.filter(note => note.startsWith(NOT_LOCAL))
  return why.map(note => label(MARGIN, 74, note, {fill: INK.faint, size: 12, max: 130}))
}

function hostX(index: number): number {
  return MARGIN + index * (HOST.width + HOST.gap)
}

function hostBox(host: string, index: number): string {
  const x = hostX(index)
  const name = host === '?' ? 'host not visible (needs admin)' : host
  return [
    tag('rect', {
      x,
      y: TOP,
      width: HOST.width,
      height: HOST.height,
      rx: 8,
      fill: INK.host,
      stroke: INK.hostEdge,
    }),
    label(index === 0 ? x + 14 : x + HOST.width - 14, TOP + 22, name, {
      weight: 'bold',
      size: 13,
      max: 36,
      anchor: index === 0 ? 'start' : 'end',
    }),
  ].join('\n')
}

/** The gateway host that the path does not need: what the picture of a bypass is about. */
function bypassed({gateway_host: gateway, kind}: Trace, hosts: readonly string[]): string[] {
  if (hosts.length !== 1 || gateway === null || hosts[0] === gateway || !kind.endsWith('-local')) return []
  const x = hostX(1)
  const frame = {x, y: TOP, width: HOST.width, height: HOST.height, rx: 8, fill: 'none', stroke: INK.line}
  const middle = x + HOST.width / 2
  return [
    tag('rect', {...frame, 'stroke-dasharray': '4 4'}),
    label(x + HOST.width - 14, TOP + 22, gateway, {
      weight: 'bold',
      size: 13,
      max: 36,
      anchor: 'end',
      fill: INK.faint,
    }),
    label(middle, TOP + HOST.height / 2, 'gateway host of the router:', {
      anchor: 'middle',
      fill: INK.faint,
      size: 12,
    }),
    label(middle, TOP + HOST.height / 2 + 18, 'not on this path', {
      anchor: 'middle',
      fill: INK.faint,
      size: 12,
    }),
  ]
}

function bar(trace: Trace, width: number, y: number): string {
  const last = trace.hops.at(-1)
  const text = last?.name ?? 'outside'
  const seen = last?.address ? `sees ${last.address}` : ''
  return [
    tag('rect', {
      x: MARGIN,
      y,
      width: width - 2 * MARGIN,
      height: 40,
      rx: 20,
      fill: INK.outside,
      stroke: INK.hostEdge,
    }),
    label(MARGIN + 24, y + 25, `external network ${text}`, {size: 13, weight: 'bold', max: 60}),
    label(width - MARGIN - 24, y + 25, seen, {size: 12, anchor: 'end', mono: true}),
  ].join('\n')
}

const keyOf = (hop: Hop) => `${hop.host} ${hop.name}`

/** Where each thing is drawn; one that is passed twice is drawn once and carries both numbers. */
function placeAll(hops: readonly Hop[], hosts: readonly string[], barY: number): Map<string, Spot> {
  const spots = new Map<string, Spot>()
  hops.forEach((hop, index) => {
    const known = spots.get(keyOf(hop))
    if (known) known.numbers.push(index + 1)
    else if (hop.host !== null) spots.set(keyOf(hop), spotOf(hop, hosts.indexOf(hop.host), spots, index + 1))
  })
  const last = hops.at(-1)
  const out = hops.map(hop => spots.get(keyOf(hop))).findLast(spot => spot !== undefined)
  if (last?.host === null && out) {
    spots.set(keyOf(last), {x: out.x, y: barY + 20, tall: false, hop: last, numbers: [hops.length]})
  }
  return spots
}

function spotOf(hop: Hop, host: number, spots: ReadonlyMap<string, Spot>, number: number): Spot {
  const bridges = host === 0 ? 1 : 0
  const beside = 1 - bridges
  const x = (column: number) => hostX(host) + 12 + column * COLUMN + COLUMN / 2
  const at = (column: number, row: number, tall = false): Spot => ({
    x: x(column),
    y: TOP + (ROWS[row] ?? 0) + LANE,
    tall,
    hop,
    numbers: [number],
  })
  if (hop.kind === 'vm') return at(bridges, 0)
  if (hop.kind === 'pipeline' || hop.name === 'br-int') return at(bridges, 1, true)
  if (hop.kind === 'namespace') {
    const first = [...spots.values()].some(s => s.hop.kind === 'namespace' && s.hop.host === hop.host)
    return at(beside, first || host > 0 ? 2 : 1)
  }
  return /tunnel|VLAN|FLAT/.test(hop.does) ? at(bridges, 3) : at(beside, 3)
}

const FILL: Readonly<Record<Hop['kind'], string>> = {
  vm: INK.vm,
  bridge: INK.bridge,
  namespace: INK.namespace,
  pipeline: INK.pipeline,
  outside: INK.outside,
}

function box({x, y, tall, hop}: Spot): string {
  if (hop.host === null) return ''
  const height = tall ? SMALL + (ROWS[2] - ROWS[1]) : SMALL
  const top = y - LANE
  const [name, detail] = words(hop)
  const first = tall ? top + height / 2 - 2 : top + (detail ? 19 : 24)
  const shape = {x: x - BOX / 2, y: top, width: BOX, height, fill: FILL[hop.kind], stroke: INK.line}
  const dashed = hop.kind === 'namespace' ? {'stroke-dasharray': '5 3'} : {}
  // The line of the path runs down the middle of a tall box: its words stand at the side.
  const left = x - BOX / 2 + 10
  return [
    tag('rect', {...shape, rx: hop.kind === 'vm' ? 12 : 4, ...dashed}),
    label(left, first, name, {size: 12, weight: 'bold', max: 22}),
    detail ? label(left, first + 15, detail, {size: 10, mono: true, max: 27}) : '',
  ].join('\n')
}

function words(hop: Hop): readonly [name: string, detail: string] {
  const [, prefix, id] = hop.name.match(/^(qrouter|snat|fip|lsnat)-([0-9a-f]{8})/) ?? []
  const name = prefix ? `${prefix}-${id}…` : hop.name
  return [name, hop.address ?? hop.device ?? '']
}

/** The wires between the hosts, under the path: what carries it is part of the picture. */
function fabric(hops: readonly Hop[], spots: ReadonlyMap<string, Spot>): string[] {
  return hops.flatMap((hop, index) => {
    const next = hops[index + 1]
    const [a, b] = [spots.get(keyOf(hop)), next && spots.get(keyOf(next))]
    if (!a || !b || !next || next.host === null || hop.host === next.host) return []
    const how = /^(\S+ (?:tunnel|to))/.exec(hop.does.replace('tunnel to', 'tunnel'))?.[1] ?? 'tunnel'
    const y = a.tall ? a.y + (ROWS[2] - ROWS[1]) : a.y
    const middle = (a.x + b.x) / 2
    const text = hop.kind === 'pipeline' ? 'Geneve' : how.replace(/ (tunnel|to)$/, '')
    return [label(middle, y - 12, text, {anchor: 'middle', size: 11, fill: INK.faint, max: 14})]
  })
}

function path(hops: readonly Hop[], spots: ReadonlyMap<string, Spot>, barY: number): string {
  const points: Point[] = []
  const go = (x: number, y: number) => {
    const last = points.at(-1)
    if (last && last[0] !== x && last[1] !== y) points.push([last[0], y])
    points.push([x, y])
  }
  hops.forEach((hop, index) => {
    const spot = spots.get(keyOf(hop))
    if (spot && hop.host === null) go(points.at(-1)?.[0] ?? spot.x, barY)
    else if (spot) for (const y of levels(spot, hops, index, spots)) go(laneOf(spot), y)
  })
  if (points.length < 2) return ''
  const d = points.map(([x, y], i) => `${i === 0 ? 'M' : 'L'}${round(x)} ${round(y)}`).join(' ')
  const line = {fill: 'none', 'stroke-linejoin': 'round', 'stroke-linecap': 'round'}
  const last = points.at(-1) ?? [0, 0]
  const head = `${last[0] - 7},${last[1] - 12} ${last[0] + 7},${last[1] - 12} ${last[0]},${last[1] + 2}`
  return [
    tag('path', {d, ...line, stroke: '#ffffff', 'stroke-width': 7}),
    tag('path', {d, ...line, stroke: INK.path, 'stroke-width': 3}),
    tag('polygon', {points: head, fill: INK.path}),
  ].join('\n')
}

/** The path keeps to the right of every box, clear of the words in it. */
function laneOf({x}: Spot): number {
  return x + BOX / 2 - 22
}

/** At which heights the path is in a box: at its neighbour's for a tall one, at two for one that it leaves as it came. */
function levels(
  spot: Spot,
  hops: readonly Hop[],
  index: number,
  spots: ReadonlyMap<string, Spot>,
): readonly number[] {
  const before = hops[index - 1]
  const after = hops[index + 1]
  const turns = (i: number) => {
    const [a, b] = [hops[i - 1], hops[i + 1]]
    return a !== undefined && b !== undefined && keyOf(a) === keyOf(b) && hops[i]?.kind === 'namespace'
  }
  if (turns(index)) return [spot.y - TURN, spot.y + TURN]
  if (!spot.tall) return [spot.y]
  const levelOf = (hop: Hop | undefined, i: number, side: number) =>
    hop?.kind === 'namespace' ? [(spots.get(keyOf(hop))?.y ?? spot.y) + (turns(i) ? side * TURN : 0)] : []
  const found = [...levelOf(before, index - 1, 1), ...levelOf(after, index + 1, -1)]
  if (found.length > 0) return found
  // A pipeline: straight across to the next host's, on the lower level.
  return [spot.y + (ROWS[2] - ROWS[1])]
}

function badges({x, y, tall, hop, numbers}: Spot): string {
  if (hop.host === null) return ''
  const top = y - LANE
  return numbers
    .map((number, index) => badge(x - BOX / 2 + index * 22 + (tall ? 14 : 14), top, number))
    .join('\n')
}

function badge(x: number, y: number, number: number): string {
  return [
    tag('circle', {cx: x, cy: y, r: 9, fill: INK.path, stroke: '#ffffff', 'stroke-width': 1.5}),
    label(x, y + 3.5, String(number), {size: 10, anchor: 'middle', fill: '#ffffff', weight: 'bold'}),
  ].join('\n')
}

function legend(hop: Hop, index: number, y: number): string {
  const where = hop.host === null ? '' : hop.host === '?' ? '' : `${hop.host}: `
  const device = hop.device ? ` (${hop.device})` : ''
  const [name] = words(hop)
  return [
    badge(MARGIN + 10, y - 4, index + 1),
    label(MARGIN + 28, y, `${where}${name}${device} — ${hop.does}`, {size: 11, max: 150}),
  ].join('\n')
}
