import {readdirSync, readFileSync} from 'node:fs'
import {dirname, join, relative} from 'node:path'

import {expect, test} from '@jest/globals'

const root = new URL('../../', import.meta.url).pathname
const doc = readFileSync(`${root}docs/architecture.md`, 'utf8')

/** The room that a file is in: a folder of src/, or one of the repository's; a file of src/ itself is none. */
const roomOf = (file: string) => /^src\/(\w+)\//.exec(file)?.[1] ?? /^(commands|lab)\//.exec(file)?.[1]

/** `from --> to` of every import of another room, types and lazy ones included. */
function imports(): Set<string> {
  const found = new Set<string>()
  for (const folder of ['src', 'commands', 'lab'])
    for (const name of readdirSync(root + folder, {recursive: true, encoding: 'utf8'})) {
      if (!name.endsWith('.ts')) continue
      const file = join(folder, name)
      for (const [, specifier = ''] of readFileSync(root + file, 'utf8').matchAll(
        /(?:from|import\()\s*'(\.[^']+)'/g,
      )) {
        const target = relative(root, join(root, dirname(file), specifier))
        const [from, to] = [roomOf(file), roomOf(target)]
        if (from !== undefined && to !== undefined && from !== to) found.add(`${from} --> ${to}`)
      }
    }
  return found
}

test('the picture of the rooms is what the imports say', () => {
  const drawn = [...doc.matchAll(/^ +(\w+) --> ([\w &]+)$/gm)].flatMap(([, from, to = '']) =>
    to.split(' & ').map(one => `${from} --> ${one}`),
  )
  expect(drawn.sort()).toEqual([...imports()].sort())
})

test('nobody imports node:http, which brings undici along; its types cost nothing', () => {
  const wrong = ['src', 'commands', 'bin'].flatMap(folder =>
    readdirSync(root + folder, {recursive: true, encoding: 'utf8'})
      .filter(name => /\.[jt]s$/.test(name))
      .map(name => join(folder, name))
      .filter(file =>
        /^(?!import type).*(from|import\()\s*'(node:)?http'/m.test(readFileSync(root + file, 'utf8')),
      ),
  )
  expect(wrong).toEqual([])
})

test('only the store speaks SQL', () => {
  const words = /\.(selectFrom|insertInto|updateTable|deleteFrom|transaction)\(|from 'kysely/
  const speaking = readdirSync(`${root}src`, {recursive: true, encoding: 'utf8'})
    .filter(name => name.endsWith('.ts') && !name.startsWith('service/store/'))
    .filter(name => words.test(readFileSync(`${root}src/${name}`, 'utf8')))
  expect(speaking).toEqual([])
})

test('every room has its line, and nothing else has one', () => {
  const listed = [...doc.matchAll(/^\| `(?:src\/)?(\w+)\/` \|/gm)].map(([, name]) => name)
  const rooms = readdirSync(`${root}src`, {withFileTypes: true}).filter(entry => entry.isDirectory())
  const others = ['bin', 'commands', 'templates', 'samples', 'lab', 'test']
  expect(listed.sort()).toEqual([...rooms.map(entry => entry.name), ...others].sort())
})

test('paths that it names are there', () => {
  const named = [...doc.matchAll(/`((?:src|test|lab|templates|commands|bin)\/[\w./-]*)`/g)].map(
    m => m[1] ?? '',
  )
  const missing = named.filter(path => {
    try {
      readFileSync(root + path)
      return false
    } catch (error) {
      return (error as NodeJS.ErrnoException).code !== 'EISDIR'
    }
  })
  expect(missing).toEqual([])
})
