import {shards} from './compare.ts'
import {occupied, type Quantities} from './measure.ts'
import {document, INK, label, round, SERIES, tag} from './svg.ts'

/*
 * The picture of a comparison: external addresses against the number of compute nodes, and against the number of
 * tenants, one line an alternative; solid at most, dashed when allocated lazily with VMs placed at random.
 */

interface Line {
  readonly name: string
  readonly colour: string
  readonly dash?: string
  readonly at: (q: Shape) => number
}

/** What the lines depend on; everything else is as it is in the cloud today. */
interface Shape {
  readonly nodes: number
  readonly routers: number
  readonly tenants: number
  readonly external_networks: number
  /** SNAT VMs a router, and all VMs a router, on average. */
  readonly snat_each: number
  readonly vms_each: number
  readonly portsPerVm: number
}

const [BLUE, RED, GREEN, PINK, ORANGE, SKY, GREY] = SERIES

const LAZY = '7 4'

const LINES: readonly Line[] = [
  {name: 'per (router, node), at most', colour: RED, at: s => s.nodes * s.routers},
  {
    name: 'per (router, node), lazily',
    colour: RED,
    dash: LAZY,
    at: s => s.routers * occupied(s.snat_each, s.nodes),
  },
  {name: 'a floating IP per VM', colour: ORANGE, at: s => s.routers * s.vms_each},
  {name: 'central SNAT (DVR), at most', colour: BLUE, at: s => s.routers + s.nodes * s.external_networks},
  {
    name: 'port ranges',
    colour: GREEN,
    at: s => s.routers * Math.max(1, shards([Math.ceil(s.snat_each)], s.portsPerVm)),
  },
  {name: 'edge NAT beyond (public)', colour: GREY, dash: '2 4', at: s => s.tenants},
  {name: 'per node, double NAT, at most', colour: PINK, at: s => s.nodes},
  {
    name: 'per node, double NAT, lazily',
    colour: SKY,
    dash: LAZY,
    at: s => occupied(s.snat_each * s.routers, s.nodes),
  },
]

const PANEL = {width: 400, height: 330, left: 74, gap: 84, top: 84}
const LEGEND = 236
const STEPS = 48

/** The picture as an SVG document. Without the number of nodes (needs admin) it says so instead. */
export function compareSvg(q: Quantities, portsPerVm: number): string {
  const width = PANEL.left + 2 * PANEL.width + PANEL.gap + LEGEND + 20
  const height = PANEL.top + PANEL.height + 96
  const title = 'External addresses that distributed SNAT costs'
  const now = shapeOf(q, portsPerVm)
  const head = label(PANEL.left, 36, title, {size: 17, weight: 'bold'})
  if (now === undefined) {
    const why = 'The number of compute nodes needs admin, or no router translates: nothing to draw.'
    return document(width, height, title, [head, label(PANEL.left, 70, why, {max: 120})])
  }
  const facts = `this cloud: ${now.nodes} compute nodes, ${now.tenants} tenants, ${now.routers} routers, ${q.snat_vms} VMs without floating IP`
  const scale = now.routers / Math.max(1, now.tenants)
  const byNodes = panel(0, 'compute nodes', now.nodes, now, nodes => ({...now, nodes}), q.pool_free)
  const byTenants = panel(
    1,
    'tenants',
    now.tenants,
    now,
    tenants => ({...now, tenants, routers: tenants * scale}),
    q.pool_free,
  )
  return document(width, height, title, [
    head,
    label(PANEL.left, 57, facts, {size: 12, fill: INK.faint, max: 120}),
    byNodes,
    byTenants,
    legend(width - LEGEND, PANEL.top + 14),
  ])
}

function shapeOf(q: Quantities, portsPerVm: number): Shape | undefined {
  if (q.nodes === null || q.nodes === 0 || q.routers === 0) return undefined
  return {
    nodes: q.nodes,
    routers: q.routers,
    tenants: q.tenants,
    external_networks: q.external_networks,
    snat_each: q.snat_vms / q.routers,
    vms_each: q.vms / q.routers,
    portsPerVm,
  }
}

function panel(
  index: number,
  axis: string,
  today: number,
  now: Shape,
  at: (x: number) => Shape,
  free: number | null,
): string {
  const x0 = PANEL.left + index * (PANEL.width + PANEL.gap)
  const most = niceMax(Math.max(10, today * 2))
  const xs = Array.from({length: STEPS + 1}, (_, i) => 1 + ((most - 1) * i) / STEPS)
  const top = Math.ceil(
    Math.log10(Math.max(10, ...LINES.map(line => line.at(at(most))), ...LINES.map(line => line.at(now)))),
  )
  const px = (x: number) => x0 + (x / most) * PANEL.width
  const py = (y: number) => PANEL.top + PANEL.height * (1 - Math.log10(Math.max(1, y)) / top)
  const curve = (line: Line) => {
    const d = xs.map((x, i) => `${i === 0 ? 'M' : 'L'}${round(px(x))} ${round(py(line.at(at(x))))}`).join(' ')
    const dash = line.dash ? {'stroke-dasharray': line.dash} : {}
    return tag('path', {d, fill: 'none', stroke: line.colour, 'stroke-width': 2.2, ...dash})
  }
  const dots = LINES.map(line =>
    tag('circle', {cx: px(today), cy: py(line.at(now)), r: 3.5, fill: line.colour}),
  )
  return [
    grid(x0, most, top, px, py),
    label(x0 + PANEL.width / 2, PANEL.top + PANEL.height + 42, `number of ${axis}`, {
      anchor: 'middle',
      size: 12,
    }),
    index === 0
      ? label(22, PANEL.top + PANEL.height / 2, 'external addresses', {
          anchor: 'middle',
          size: 12,
          rotate: -90,
        })
      : '',
    ...(free !== null && free > 0 && Math.log10(free) <= top ? [poolLine(x0, py(free))] : []),
    todayLine(px(today), today),
    ...LINES.map(curve),
    ...dots,
  ].join('\n')
}

function grid(
  x0: number,
  most: number,
  top: number,
  px: (x: number) => number,
  py: (y: number) => number,
): string {
  const frame = {
    x: x0,
    y: PANEL.top,
    width: PANEL.width,
    height: PANEL.height,
    fill: 'none',
    stroke: INK.line,
  }
  const rows = Array.from({length: top + 1}, (_, power) => 10 ** power).map(y =>
    [
      tag('line', {x1: x0, x2: x0 + PANEL.width, y1: py(y), y2: py(y), stroke: INK.bridge}),
      label(x0 - 8, py(y) + 4, y.toLocaleString('en-US'), {anchor: 'end', size: 10}),
    ].join('\n'),
  )
  const ticks = [0, 0.25, 0.5, 0.75, 1].map(part => Math.round(most * part))
  const columns = [...new Set(ticks)].map(x =>
    label(px(x), PANEL.top + PANEL.height + 18, x.toLocaleString('en-US'), {anchor: 'middle', size: 10}),
  )
  return [...rows, ...columns, tag('rect', frame)].join('\n')
}

function todayLine(x: number, today: number): string {
  return [
    tag('line', {
      x1: x,
      x2: x,
      y1: PANEL.top,
      y2: PANEL.top + PANEL.height,
      stroke: INK.faint,
      'stroke-dasharray': '2 3',
    }),
    label(x, PANEL.top - 7, `here: ${today.toLocaleString('en-US')}`, {
      anchor: 'middle',
      size: 10,
      fill: INK.faint,
    }),
  ].join('\n')
}

function poolLine(x0: number, y: number): string {
  return [
    tag('line', {x1: x0, x2: x0 + PANEL.width, y1: y, y2: y, stroke: INK.text, 'stroke-dasharray': '1 3'}),
    label(x0 + PANEL.width - 6, y - 4, 'free in the pool', {size: 10, anchor: 'end'}),
  ].join('\n')
}

function legend(x: number, y: number): string {
  return LINES.map((line, index) => {
    const at = y + index * 24
    const dash = line.dash ? {'stroke-dasharray': line.dash} : {}
    return [
      tag('line', {x1: x, x2: x + 30, y1: at, y2: at, stroke: line.colour, 'stroke-width': 2.5, ...dash}),
      label(x + 38, at + 4, line.name, {size: 11.5}),
    ].join('\n')
  }).join('\n')
}

/** 1, 2 or 5 times a power of ten, or 1.2, 1.6, 4, 8: not less than n, and divisible by four. */
function niceMax(n: number): number {
  const power = 10 ** Math.floor(Math.log10(n))
  const step = [1, 1.2, 1.6, 2, 4, 6, 8, 10].find(s => s * power >= n) ?? 10
  return Math.ceil((step * power) / 4) * 4
}
