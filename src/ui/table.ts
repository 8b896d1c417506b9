import {stripVTControlCharacters} from 'node:util'

import type {Colour} from './output.ts'

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

/**
 * Rows as a bordered table; on a terminal too narrow for it, as one block of `title: value` lines a row, because a
 * UUID that is broken over two lines cannot be copied.
 */
export async function table(
  titles: readonly string[],
  rows: readonly Cell[][],
  options: TableOptions,
): Promise<string> {
  const paint = options.colour ? await painter() : (cell: Cell) => cell.text
  if (rows.length === 0) return ''
  const {default: Table} = await import('cli-table3')
  const body = rows.map(row => row.map(paint))
  const drawn = new Table({chars, style: {head: [], border: [], compact: true}})
  drawn.push([...titles], ...body)
  const lines = drawn.toString().split('\n')
  // cli-table3 draws either no rule or one between all rows: the one under the titles is the first line again.
  lines.splice(2, 0, lines[0] ?? '')
  const width = stripVTControlCharacters(lines[0] ?? '').length
  return options.width && width > options.width ? blocks(titles, body) : `${lines.join('\n')}\n`
}

function blocks(titles: readonly string[], rows: readonly string[][]): string {
  const widest = Math.max(...titles.map(title => title.length))
  const line = (text: string, index: number) => `${`${titles[index]}:`.padEnd(widest + 1)} ${text}`.trimEnd()
  return `${rows.map(row => row.map(line).join('\n')).join('\n\n')}\n`
}

async function painter(): Promise<(cell: Cell) => string> {
  const {Chalk} = await import('chalk')
  const chalk = new Chalk({level: 1})
  return ({text, colour}) => (colour ? chalk[colour](text) : text)
}
