import {shortened} from '../names/plain.ts'

/*
 * The few shapes that the pictures are made of: plain SVG 1.1, no script, no style sheet, no outside font, so that a
 * file can be put into a paper as it is. All text that comes from the cloud goes through `xml()`.
 */

/** The colours of a figure: dark on white, and readable when printed in grey. Okabe and Ito's palette for the lines. */
export const INK = {
  text: '#1a1a1a',
  faint: '#6b7280',
  line: '#9ca3af',
  host: '#f8fafc',
  hostEdge: '#94a3b8',
  path: '#c2410c',
  vm: '#dbeafe',
  bridge: '#e5e7eb',
  namespace: '#dcfce7',
  pipeline: '#ede9fe',
  outside: '#fef3c7',
} as const

export const SERIES = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#555555'] as const

export const FONT = 'Helvetica, Arial, "DejaVu Sans", sans-serif'
export const MONO = '"DejaVu Sans Mono", Menlo, Consolas, monospace'

/** Text for XML: no markup, no character that XML 1.0 forbids. */
export function xml(text: string, max = 255): string {
  return shortened(text, max)
    .replace(/[\ufffe\uffff]/g, '\ufffd')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}

type Attributes = Readonly<Record<string, string | number>>

/** An element with its attributes, and text or elements inside. */
export function tag(name: string, attributes: Attributes, inside = ''): string {
  const pairs = Object.entries(attributes).map(
    ([key, value]) =>
      ` ${key}="${typeof value === 'number' ? round(value) : xml(value, Number.POSITIVE_INFINITY)}"`,
  )
  return inside === '' ? `<${name}${pairs.join('')}/>` : `<${name}${pairs.join('')}>${inside}</${name}>`
}

/** Two decimals: enough on paper, and the same on every machine. */
export function round(value: number): number {
  return Math.round(value * 100) / 100
}

export interface TextStyle {
  readonly size?: number
  readonly anchor?: 'start' | 'middle' | 'end'
  readonly fill?: string
  readonly weight?: 'bold'
  readonly mono?: true
  readonly max?: number
  readonly rotate?: number
}

/** A line of text at its baseline. */
export function label(x: number, y: number, text: string, style: TextStyle = {}): string {
  const {size = 11, anchor = 'start', fill = INK.text, weight, mono, max = 80, rotate} = style
  return tag(
    'text',
    {
      x,
      y,
      'font-size': size,
      'text-anchor': anchor,
      fill,
      ...(weight && {'font-weight': weight}),
      ...(mono && {'font-family': MONO}),
      ...(rotate !== undefined && {transform: `rotate(${rotate} ${round(x)} ${round(y)})`}),
    },
    xml(text, max),
  )
}

/** The file: white ground, one font, a title for those who cannot see it. */
export function document(width: number, height: number, title: string, body: readonly string[]): string {
  const open = `<svg xmlns="http://www.w3.org/2000/svg" width="${round(width)}" height="${round(height)}" viewBox="0 0 ${round(width)} ${round(height)}" role="img" font-family="${xml(FONT)}">`
  const ground = tag('rect', {width, height, fill: '#ffffff'})
  return [open, `<title>${xml(title)}</title>`, ground, ...body, '</svg>', ''].join('\n')
}
