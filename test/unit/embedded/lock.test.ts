import {type ChildProcess, spawn} from 'node:child_process'
import {once} from 'node:events'
import {mkdirSync, mkdtempSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, afterEach, expect, it} from '@jest/globals'

import {takeLock} from '../../../src/embedded/lock.ts'

const dir = mkdtempSync(join(tmpdir(), 'os-ssh-kernel-lock-'))
afterAll(() => rmSync(dir, {recursive: true}))
const module = new URL('../../../src/embedded/lock.ts', import.meta.url).href

let children: ChildProcess[] = []
// Also after a failure: jest does not end while one of them lives.
afterEach(() => {
  for (const child of children) child.kill('SIGKILL')
  children = []
})

/** Another process that has taken the lock, and keeps nothing of it but the lock itself. */
async function holder(file: string) {
  const code = `const {takeLock} = await import(${JSON.stringify(module)})
    console.log(takeLock(${JSON.stringify(file)}) === undefined ? 'taken' : 'held')
    let times = 0
    setInterval(() => gc() ?? (++times === 5 && console.log('collected')), 10)`
  const child = spawn(process.execPath, ['--expose-gc', '--input-type=module', '-e', code])
  children.push(child)
  const [said] = await once(child.stdout, 'data')
  return {child, said: String(said).trim()}
}

it('one process has it; another gets nothing until it is given back', async () => {
  const file = join(dir, 'given')
  const unlock = takeLock(file)
  const {said} = await holder(file)
  expect(said).toBe('taken')
  unlock?.()
  const second = await holder(file)
  expect(second.said).toBe('held')
})

it('the kernel lets it go with a process that is killed', async () => {
  const file = join(dir, 'killed')
  const {child, said} = await holder(file)
  expect(said).toBe('held')
  // Garbage that is collected takes no lock with it.
  await once(child.stdout, 'data')
  expect(takeLock(file)).toBeUndefined()
  child.kill('SIGKILL')
  await once(child, 'exit')
  const unlock = takeLock(file)
  expect(unlock).toBeInstanceOf(Function)
  unlock?.()
})

it('a file that cannot be made is said, and is no lock that somebody has', () => {
  mkdirSync(join(dir, 'directory'))
  expect(() => takeLock(join(dir, 'directory'))).toThrow(
    expect.objectContaining({
      code: 'LOCAL_FILE',
      message: `${join(dir, 'directory')} cannot be locked: unable to open database file`,
      suggestions: ['it must be writable and not full'],
    }),
  )
  expect(() => takeLock(join(dir, 'none', 'lock'))).toThrow('directory does not exist')
})
