import {mkdirSync, readFileSync, writeFileSync} from 'node:fs'
import {dirname} from 'node:path'

import {expect} from '@jest/globals'

const root = new URL('../fixtures/golden/', import.meta.url).pathname

/** Compares with a golden file; `UPDATE_GOLDEN=1` writes it, for a reviewer to read in the diff. */
export function expectGolden(name: string, text: string): void {
  const file = `${root}${name}`
  if (process.env['UPDATE_GOLDEN'] === '1') {
    mkdirSync(dirname(file), {recursive: true})
    writeFileSync(file, text)
  }
  expect(text).toBe(readFileSync(file, 'utf8'))
}
