import {Flags} from '@oclif/core'

import {OsSshError} from '../errors.ts'
import {escapeCharacter, plain} from '../names/plain.ts'
import type {Head} from './table.ts'
import {type Colour, type Screen, wantsColour} from './terminal.ts'

/** One column of a listing, or one field of a record. */
export interface Column<Row> {
  /** snake_case: the key in JSON and YAML, and a name for `-c`. */
  readonly name: string
  /** What a table shows above it; also a name for `-c`. */
  readonly title: string
  /** Default: the row's property of that name. */
  readonly get?: (row: Row) => unknown
  /** Colour of a value on a terminal. */
  readonly colour?: (row: Row) => Colour | undefined
  /** How people read it in a listing; a program, and who asks for the column by -c, gets the value. */
  readonly brief?: (row: Row) => string
  /** How a table tells a value that is an object; a program gets the value. */
  readonly text?: (row: Row) => string
  readonly drop?: Head['drop']
  readonly shrink?: Head['shrink']
}

/** The flags of every command that lists or shows, as OpenStack users know them. */
export const outputFlags = {
  format: Flags.string({
    char: 'f',
    description: 'how to print',
    options: ['table', 'json', 'yaml', 'csv', 'value'],
    default: 'table',
  }),
  column: Flags.string({char: 'c', description: 'print only this column; may be repeated', multiple: true}),
}

/** `outputFlags` as oclif parses them. */
export interface OutputFlags {
  readonly format: string
  readonly column?: readonly string[] | undefined
}

/** Where a listing goes, and what is said to people when it is empty. */
export interface RenderOptions {
  readonly screen?: Screen
  readonly notes?: Screen
  readonly empty?: string
}

/** Prints rows as the flags ask. @throws OsSshError USAGE for a column that does not exist */
export async function render<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  flags: OutputFlags,
  {screen = process.stdout, notes = process.stderr, empty}: RenderOptions = {},
): Promise<void> {
  const chosen = choose(columns, flags.column)
  if (flags.format !== 'table') return write(screen, await encode(rows, chosen, flags.format))
  if (rows.length === 0) return empty === undefined ? undefined : write(notes, `${empty}\n`)
  const {table} = await import('./table.ts')
  const asked = (flags.column ?? []).length > 0
  const text = (row: Row, column: Column<Row>) =>
    column.brief && !asked ? plain(column.brief(row)) : shown(row, column)
  const cells = rows.map(row =>
    chosen.map(column => ({text: text(row, column), colour: column.colour?.(row)})),
  )
  // What was asked for by name is there, and whole.
  const heads = chosen.map(({title, drop, shrink}) => (asked ? {title, drop: 0} : {title, drop, shrink}))
  await write(screen, await table(heads, cells, {colour: wantsColour(screen), width: screen.columns}))
}

/** Prints one record: a table of Field and Value, or an object. @throws OsSshError USAGE for an unknown column */
export async function renderOne<Row>(
  row: Row,
  columns: readonly Column<Row>[],
  flags: OutputFlags,
  screen: Screen = process.stdout,
): Promise<void> {
  const chosen = choose(columns, flags.column)
  if (flags.format === 'json') return write(screen, json(record(row, chosen)))
  if (flags.format === 'yaml') return write(screen, await yaml(record(row, chosen)))
  if (flags.format === 'csv') return write(screen, csv([row], chosen))
  if (flags.format === 'value')
    return write(screen, chosen.map(column => `${cell(value(row, column))}\n`).join(''))
  const fields = chosen.map(column => ({
    name: column.name,
    text: shown(row, column),
    colour: column.colour?.(row),
  }))
  const {lines, table} = await import('./table.ts')
  const heads = ['Field', 'Value'].map(title => ({title, drop: 0}))
  const cells = fields.map(({name, text, colour}) => [
    {text: name, colour: undefined},
    {text, colour},
  ])
  const drawn = await table(heads, cells, {colour: wantsColour(screen), width: undefined})
  const {columns: room = Number.POSITIVE_INFINITY} = screen
  const wide = drawn.indexOf('\n') > room
  await write(screen, wide ? lines(fields.map(({name, text}) => [name, text])) : drawn)
}

function choose<Row>(
  columns: readonly Column<Row>[],
  wanted: readonly string[] = [],
): readonly Column<Row>[] {
  if (wanted.length === 0) return columns
  const named = (column: Column<Row>, name: string) =>
    [column.name, column.title].some(known => known.toLowerCase() === name.toLowerCase())
  const unknown = wanted.find(name => !columns.some(column => named(column, name)))
  if (unknown !== undefined) {
    const hint = `columns: ${columns.map(column => column.name).join(', ')}`
    throw new OsSshError('USAGE', `there is no column "${plain(unknown)}"`, {hint})
  }
  // The listing's order, whatever the order of -c: as cliff does for every OpenStack command.
  return columns.filter(column => wanted.some(name => named(column, name)))
}

function value<Row>(row: Row, column: Column<Row>): unknown {
  const found = column.get ? column.get(row) : (row as Record<string, unknown>)[column.name]
  return found instanceof Date ? found.toISOString() : (found ?? null)
}

/** As people read it, whole. */
const shown = <Row>(row: Row, column: Column<Row>) =>
  column.text ? plain(column.text(row)) : cell(value(row, column))

function cell(found: unknown): string {
  if (found === null) return ''
  if (Array.isArray(found)) return found.map(cell).join(', ')
  return plain(typeof found === 'object' ? JSON.stringify(found) : String(found))
}

async function encode<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  format: string,
): Promise<string> {
  if (format === 'json') return json(rows.map(row => record(row, columns)))
  if (format === 'yaml') return yaml(rows.map(row => record(row, columns)))
  if (format === 'csv') return csv(rows, columns)
  return rows.map(row => `${columns.map(column => cell(value(row, column))).join(' ')}\n`).join('')
}

function record<Row>(row: Row, columns: readonly Column<Row>[]): Record<string, unknown> {
  return Object.fromEntries(columns.map(column => [column.name, value(row, column)]))
}

/** JSON leaves C1 controls and reordering marks as they are; a terminal must not see them. */
function json(data: unknown): string {
  return `${JSON.stringify(data, null, 2).replace(UNSEEN, jsonEscape)}\n`
}

const UNSEEN = /[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]/gu

function jsonEscape(character: string): string {
  return character.split('').map(escapeCharacter).join('')
}

async function yaml(data: unknown): Promise<string> {
  const {Document, isScalar, visit} = await import('yaml')
  const document = new Document(data)
  visit(document, {
    Scalar(_, node) {
      // Only in double quotes YAML knows escapes.
      if (isScalar(node) && typeof node.value === 'string' && plain(node.value) !== node.value)
        node.type = 'QUOTE_DOUBLE'
    },
  })
  return document.toString().replace(UNSEEN, jsonEscape)
}

/** RFC 4180, with the column names above. */
function csv<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
  const quote = (text: string) => (/[",\s]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)
  // A spreadsheet would take it for a formula; a number is none.
  const inert = (text: string) =>
    /^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text
  const lines = [columns.map(column => column.name)]
  for (const row of rows) lines.push(columns.map(column => inert(cell(value(row, column)))))
  return lines.map(line => `${line.map(quote).join(',')}\n`).join('')
}

/** Waits until the text is out, so that a command may end right after. */
async function write(screen: Screen, text: string): Promise<void> {
  if (text === '') return
  await new Promise<void>((resolve, reject) =>
    screen.write(text, error => (error ? reject(error) : resolve())),
  )
}
