import type {Colour} from './terminal.ts'

export interface Cell {
  readonly text: string
  readonly colour: Colour | undefined
}

export interface TableOptions {
  readonly colour: boolean
  /** Columns of the terminal; undefined when it is not one. */
  readonly width: number | undefined
}

/** The border of OpenStack's own clients. */
const chars = {
  top: '-',
  'top-mid': '+',
  'top-left': '+',
  'top-right': '+',
  bottom: '-',
  'bottom-mid': '+',
  'bottom-left': '+',
  'bottom-right': '+',
  left: '|',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '|',
  'right-mid': '',
  middle: '|',
}

/** A column's title, and what becomes of the column on a terminal that is too narrow for all. */
export interface Head {
  readonly title: string
  /** The highest goes first; 0 stays. Default: the column's place from the left, so that the first one stays. */
  readonly drop?: number | undefined
  /** Its cells may be cut: they are sentences, and nothing that one copies. */
  readonly shrink?: boolean | undefined
}

/** What is left of a cell that is cut, columns of the terminal. */
const LEAST = 16

/**
 * Rows as a bordered table. On a terminal too narrow for it columns are left out, never wrapped: a UUID that is broken over two
 * lines cannot be copied.
 */
export async function table(
  heads: readonly Head[],
  rows: readonly (readonly Cell[])[],
  {colour, width}: TableOptions,
): Promise<string> {
  if (rows.length === 0) return ''
  const paint = colour ? await painter() : (cell: Cell) => cell.text
  const {default: Table} = await import('cli-table3')
  const {default: widthOf} = await import('string-width')
  const measured = heads.map((head, index) => {
    const texts = [head.title, ...rows.map(row => row[index]?.text ?? '')]
    return {
      ...head,
      index,
      drop: head.drop ?? index,
      width: texts.reduce((most, text) => Math.max(most, widthOf(text)), 0),
    }
  })
  const fitting = narrowed(measured, width ?? Number.POSITIVE_INFINITY)
  const drawn = new Table({chars, style: {head: [], border: [], compact: true}})
  drawn.push(fitting.map(head => head.title))
  for (const row of rows)
    drawn.push(
      fitting.map(({index, width: room}) => {
        const {text = '', colour: hue} = row[index] ?? {}
        return paint({text: cut(text, room, widthOf), colour: hue})
      }),
    )
  const lines = drawn.toString().split('\n')
  // cli-table3 draws either no rule or one between all rows: the one under the titles is the first line again.
  lines.splice(2, 0, lines[0] ?? '')
  return `${lines.join('\n')}\n`
}

interface Measured {
  readonly shrink?: boolean | undefined
  readonly drop: number
  readonly width: number
}

/** The columns that fit, with the width that each gets. With its borders a table is 3 wider a column, and 1 more. */
function narrowed<Column extends Measured>(columns: readonly Column[], width: number): Column[] {
  const least = ({shrink, width: own}: Measured) => (shrink ? Math.min(own, LEAST) : own)
  const room = (some: readonly Measured[]) => width - some.reduce((sum, one) => sum + least(one) + 3, 1)
  let kept = [...columns]
  while (room(kept) < 0) {
    const first = kept.filter(one => one.drop > 0).sort((a, b) => b.drop - a.drop)[0]
    if (first === undefined) break
    kept = kept.filter(one => one !== first)
  }
  let spare = Math.max(0, room(kept))
  return kept.map(one => {
    const more = Math.min(spare, one.width - least(one))
    spare -= more
    return {...one, width: least(one) + more}
  })
}

function cut(text: string, room: number, widthOf: (text: string) => number): string {
  if (widthOf(text) <= room) return text
  let short = ''
  for (const letter of text) {
    if (widthOf(short + letter) > room - 1) break
    short += letter
  }
  return `${short}…`
}

/** A record on a terminal too narrow for its table: a line each, unbroken. */
export function lines(fields: readonly (readonly [string, string])[]): string {
  const widest = Math.max(...fields.map(([name]) => name.length))
  return fields
    .map(([name, text]) => `${`${name}:`.padEnd(widest + 1)} ${text}`.trimEnd())
    .join('\n')
    .concat('\n')
}

async function painter(): Promise<(cell: Cell) => string> {
  const {Chalk} = await import('chalk')
  const chalk = new Chalk({level: 1})
  return ({text, colour}) => (colour ? chalk[colour](text) : text)
}
