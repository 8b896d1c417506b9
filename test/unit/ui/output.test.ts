import {PassThrough} from 'node:stream'
import {text} from 'node:stream/consumers'

import {expect, test} from '@jest/globals'
import stringWidth from 'string-width'
import {parse} from 'yaml'

import {timeLeft} from '../../../src/names/brief.ts'
import {type Column, type OutputFlags, render, renderOne} from '../../../src/ui/output.ts'
import type {Screen} from '../../../src/ui/terminal.ts'

interface Row {
  id: string
  names: readonly string[]
  at: Date | null
}
const columns: readonly Column<Row>[] = [
  {name: 'id', title: 'ID', colour: () => 'green'},
  {name: 'names', title: 'Names'},
  {name: 'at', title: 'At'},
]
const rows: readonly Row[] = [
  {id: 'a', names: ['x', 'y'], at: new Date(0)},
  {id: 'b"', names: [], at: null},
]
const print = async (flags: OutputFlags, screen: Partial<Screen> = {}, data = rows) => {
  const stream = Object.assign(new PassThrough(), screen)
  await render(data, columns, flags, {screen: stream})
  stream.end()
  return text(stream)
}

test('a table looks like those of the OpenStack clients', async () => {
  expect(await print({format: 'table', column: ['Names', 'id']})).toBe(
    '+----+-------+\n| ID | Names |\n+----+-------+\n| a  | x, y  |\n| b" |       |\n+----+-------+\n',
  )
})

test('JSON and YAML keep types, CSV quotes, value is bare', async () => {
  const data = [
    {id: 'a', names: ['x', 'y'], at: '1970-01-01T00:00:00.000Z'},
    {id: 'b"', names: [], at: null},
  ]
  expect(JSON.parse(await print({format: 'json'}))).toEqual(data)
  expect(parse(await print({format: 'yaml'}))).toEqual(data)
  expect(await print({format: 'csv', column: ['id', 'names']})).toBe('id,names\na,"x, y"\n"b""",\n')
  expect(await print({format: 'value', column: ['ID']})).toBe('a\nb"\n')
})

test('no rows: nothing but an empty list where a program reads', async () => {
  expect(await print({format: 'table'}, {}, [])).toBe('')
  expect(await print({format: 'json'}, {}, [])).toBe('[]\n')
})

test('an unknown column is USAGE and names those there are', async () => {
  await expect(print({format: 'table', column: ['nope']})).rejects.toMatchObject({
    code: 'USAGE',
    suggestions: ['columns: id, names, at'],
  })
})

test('what a hostile VM is called reaches no terminal', async () => {
  const evil = [{id: '\u001b[31m\u009b\u202e\nx', names: [], at: null}]
  for (const format of ['table', 'csv', 'value', 'json']) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
    expect(await print({format}, {}, evil)).not.toMatch(/[\u001b\u009b\u202e]/)
  }
  expect(JSON.parse(await print({format: 'json', column: ['id']}, {}, evil))).toEqual([{id: evil[0]?.id}])
})

test('colours on a terminal only', async () => {
  const terminal = {isTTY: true, columns: 200}
  const before = {...process.env}
  delete process.env['NO_COLOR']
  process.env['TERM'] = 'xterm'
  try {
    expect(await print({format: 'table'}, terminal)).toContain('\u001b[32ma')
    expect(await print({format: 'table'})).not.toContain('\u001b')
    expect(await print({format: 'json'}, terminal)).not.toContain('\u001b')
    process.env['NO_COLOR'] = '1'
    expect(await print({format: 'table'}, terminal)).not.toContain('\u001b')
  } finally {
    process.env = before
  }
})

test('a narrow terminal gets fewer columns, cut sentences, and never a wrapped line', async () => {
  const wide: readonly Column<Row>[] = [
    {name: 'id', title: 'ID', brief: row => row.id.slice(0, 8)},
    {name: 'names', title: 'Names', shrink: true, drop: 1},
    {name: 'at', title: 'At'},
  ]
  const data = [
    {
      id: '3f2a7c1e-0000-4000-8000-000000000001',
      names: ['a long sentence about 漢字 and more'],
      at: new Date(0),
    },
  ]
  const at = async (width: number, flags: OutputFlags = {format: 'table'}) => {
    const screen = Object.assign(new PassThrough(), {isTTY: true, columns: width})
    await render(data, wide, flags, {screen})
    screen.end()
    return (await text(screen)).trimEnd().split('\n')
  }
  process.env['NO_COLOR'] = '1'
  expect((await at(90))[3]).toBe(
    '| 3f2a7c1e | a long sentence about 漢字 and more | 1970-01-01T00:00:00.000Z |',
  )
  expect((await at(58))[3]).toBe('| 3f2a7c1e | a long sentence… | 1970-01-01T00:00:00.000Z |')
  expect((await at(38))[3]).toBe('| 3f2a7c1e | a long sentence about … |')
  expect((await at(20))[3]).toBe('| 3f2a7c1e |')
  for (let width = 12; width < 120; width++)
    for (const line of await at(width)) expect(stringWidth(line)).toBeLessThanOrEqual(width)
  // What one asks for by name is there, and whole.
  expect((await at(20, {format: 'table', column: ['id', 'at']}))[3]).toBe(
    '| 3f2a7c1e-0000-4000-8000-000000000001 | 1970-01-01T00:00:00.000Z |',
  )
  delete process.env['NO_COLOR']
})

test('an empty listing says so to people, beside what programs read', async () => {
  const [screen, notes] = [new PassThrough(), new PassThrough()]
  await render([], columns, {format: 'table'}, {screen, notes, empty: 'You have no path.'})
  await render([], columns, {format: 'json'}, {screen, notes, empty: 'You have no path.'})
  screen.end()
  notes.end()
  expect([await text(screen), await text(notes)]).toEqual(['[]\n', 'You have no path.\n'])
})

test('a record that is wider than the terminal is lines, unbroken', async () => {
  const stream = Object.assign(new PassThrough(), {columns: 20})
  await renderOne({id: 'x'.repeat(40), names: [], at: null}, columns, {format: 'table'}, stream)
  stream.end()
  expect(await text(stream)).toBe(`id:    ${'x'.repeat(40)}\nnames:\nat:\n`)
})

test.each([
  [7 * 60 + 40, '7 h 40 min left'],
  [59, '59 min left'],
  [0.5, 'under a minute left'],
  [-1, 'over'],
  [3 * 1440 + 61, '3 d 1 h left'],
])('%d minutes are %j', (minutes, words) => {
  expect(timeLeft(new Date(minutes * 60_000).toISOString(), 0)).toBe(words)
})

test('one record is an object for programs and Field, Value for people', async () => {
  const stream = new PassThrough()
  await renderOne(rows[0] as Row, columns, {format: 'json', column: ['id']}, stream)
  await renderOne(rows[0] as Row, columns, {format: 'table', column: ['id']}, stream)
  stream.end()
  expect(await text(stream)).toBe(
    '{\n  "id": "a"\n}\n+-------+-------+\n| Field | Value |\n+-------+-------+\n| id    | a     |\n+-------+-------+\n',
  )
})

test('nothing that reorders a line gets into YAML or CSV as it is, and YAML reads it back', async () => {
  const data = [{id: 'web\u202egnp', names: ['\u200b', 'a: \u2066b'], at: null}]
  for (const format of ['yaml', 'csv', 'json', 'value'])
    expect(await print({format}, {}, data)).not.toMatch(/[\p{Cf}\p{Zl}\p{Zp}]/u)
  expect(parse(await print({format: 'yaml'}, {}, data))).toEqual(data)
})

test('a spreadsheet takes no cell of CSV for a formula, and a number stays one', async () => {
  const cells = async (id: string) =>
    (await print({format: 'csv', column: ['id']}, {}, [{id, names: [], at: null}])).slice(3)
  for (const formula of ['=1+2', '+cmd', '-2+3', '@SUM(A1)'])
    expect(await cells(formula)).toBe(`'${formula}\n`)
  expect(await cells('-1.5')).toBe('-1.5\n')
  expect(await cells('=HYPERLINK("x")')).toBe(`"'=HYPERLINK(""x"")"\n`)
})
