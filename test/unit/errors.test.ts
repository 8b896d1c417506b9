import {readdirSync, readFileSync} from 'node:fs'

import {expect, test} from '@jest/globals'

import {catalogue} from '../../src/errors.ts'
import {expectGolden} from '../support/golden.ts'

const root = new URL('../../', import.meta.url).pathname
const sources = ['src', 'commands'].flatMap(folder =>
  readdirSync(`${root}${folder}`, {recursive: true, encoding: 'utf8'})
    .filter(file => file.endsWith('.ts') && file !== 'errors.ts')
    .map(file => ({file: `${folder}/${file}`, text: readFileSync(`${root}${folder}/${file}`, 'utf8')})),
)

test('the catalogue, as README’s table of exit codes has it', () => {
  const lines = Object.entries(catalogue).map(
    ([code, {exit, http, hint}]) => `${exit} ${http} ${code}: ${hint}\n`,
  )
  expectGolden('errors.txt', lines.join(''))
  const listed = new Set(
    [...readFileSync(`${root}README.md`, 'utf8').matchAll(/^\| (\d\d) \|/gm)].map(m => Number(m[1])),
  )
  expect([...new Set(Object.values(catalogue).map(one => one.exit))].sort()).toEqual([...listed].sort())
})

test('every code is somebody’s', () => {
  const unused = Object.keys(catalogue).filter(code => !sources.some(({text}) => text.includes(`'${code}'`)))
  expect(unused).toEqual([])
})

test('USAGE is about what was typed, or sent, and nothing else', () => {
  const count = ({text}: {text: string}) => text.match(/'USAGE'/g)?.length ?? 0
  const places = sources.filter(one => count(one) > 0).map(one => `${one.file} ${count(one)}\n`)
  expectGolden('usage.txt', places.sort().join(''))
})
