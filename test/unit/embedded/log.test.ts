import {execFileSync} from 'node:child_process'
import {existsSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, statSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, beforeEach, expect, it} from '@jest/globals'

import {LogFile} from '../../../src/embedded/log.ts'

const dir = mkdtempSync(join(tmpdir(), 'os-ssh-log-'))
afterAll(() => rmSync(dir, {recursive: true}))

const module = new URL('../../../src/embedded/log.ts', import.meta.url).href
let file: string
let n = 0
beforeEach(() => {
  file = join(dir, `${++n}.log`)
})

const MEGABYTE = 1024 * 1024
const line = (text: string, bytes = 1024) => `${text.padEnd(bytes - 1, '.')}\n`

it('is its user’s alone, and goes on where an earlier process ended', () => {
  new LogFile(file).write('one\n')
  new LogFile(file).write('two\n')
  expect(readFileSync(file, 'utf8')).toBe('one\ntwo\n')
  expect(statSync(file).mode & 0o777).toBe(0o600)
})

it('a full one is put aside, and the one that was aside is forgotten', () => {
  const log = new LogFile(file)
  for (const text of ['first', 'second'])
    for (let bytes = 0; bytes < MEGABYTE; bytes += 1024) log.write(line(text))
  log.write('third\n')
  expect(readFileSync(`${file}.1`, 'utf8')).toMatch(/^second/)
  expect(statSync(`${file}.1`)).toMatchObject({size: MEGABYTE})
  expect(statSync(`${file}.1`).mode & 0o777).toBe(0o600)
  expect(readFileSync(file, 'utf8')).toBe('third\n')
})

it('what an earlier process wrote counts', () => {
  new LogFile(file).write(line('long', MEGABYTE - 10))
  new LogFile(file).write(line('more', 20))
  expect(existsSync(file)).toBe(false)
  expect(statSync(`${file}.1`).size).toBe(MEGABYTE + 10)
})

it('a disk that takes nothing stops nobody', () => {
  const log = new LogFile('/dev/full')
  expect(() => log.write('lost\n')).not.toThrow()
})

it('begins when it can be written again', () => {
  mkdirSync(file)
  const log = new LogFile(file)
  log.write('lost\n')
  rmdirSync(file)
  log.write('kept\n')
  expect(readFileSync(file, 'utf8')).toBe('kept\n')
})

it('a line that was torn by a full disk spoils no other one', () => {
  // The kernel takes a part of what goes beyond the limit, as a disk that fills up; Node has no call that sets it.
  const code = `import {LogFile} from ${JSON.stringify(module)}
    import {execFileSync} from 'node:child_process'
    process.on('SIGXFSZ', () => {})
    const limit = size => execFileSync('prlimit', ['--pid', String(process.pid), '--fsize=' + size + ':'])
    const log = new LogFile(${JSON.stringify(file)})
    limit(10)
    for (const text of ['first', 'second', 'third']) log.write(text + '\\n')
    limit('unlimited')
    log.write('fourth\\n')`
  execFileSync(process.execPath, ['--input-type=module', '-e', code])
  expect(readFileSync(file, 'utf8')).toBe('first\nseco\nfourth\n')
})
