import {mkdtempSync, readdirSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, expect, test} from '@jest/globals'

import {withLock} from '../../../src/system/lock.ts'
import {startTime} from '../../../src/system/process.ts'

const dir = mkdtempSync(join(tmpdir(), 'os-ssh-lock-'))
afterAll(() => rmSync(dir, {recursive: true}))

test('twenty callers enter one after the other', async () => {
  let [inside, most] = [0, 0]
  const work = async () => {
    most = Math.max(most, ++inside)
    await new Promise(resolve => setImmediate(resolve))
    inside--
  }
  await Promise.all(Array.from({length: 20}, () => withLock(join(dir, 'lock'), work)))
  expect(most).toBe(1)
  expect(readdirSync(dir).filter(name => name.startsWith('lock'))).toEqual([])
})

test('the lock of a dead process is taken over, that of a living one is not', async () => {
  const lock = join(dir, 'stale')
  // Larger than any pid (kernel's pid_max is at most 2^22).
  writeFileSync(lock, '99999999')
  await expect(withLock(lock, async () => 'in')).resolves.toBe('in')
  writeFileSync(lock, `${process.ppid} ${startTime(process.ppid)}`)
  await expect(withLock(lock, async () => 'in', 60)).rejects.toMatchObject({code: 'BUSY'})
})

test('the lock is given back when the work fails', async () => {
  const lock = join(dir, 'failing')
  await expect(withLock(lock, () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  await expect(withLock(lock, async () => 'in')).resolves.toBe('in')
})

test('a lock that survived a reboot is not taken for that of a process which has its pid now', async () => {
  const lock = join(dir, 'reused')
  writeFileSync(lock, `${process.ppid} 0badb007-4711`)
  await expect(withLock(lock, async () => 'in')).resolves.toBe('in')
  // As older versions wrote it, and where nothing tells when a process began.
  writeFileSync(lock, String(process.ppid))
  await expect(withLock(lock, async () => 'in', 60)).rejects.toMatchObject({code: 'BUSY'})
})

test('a process is known by its pid and its start', () => {
  expect(startTime(process.pid)).toBe(startTime(process.pid))
  // Not the parent, which may have begun within the same tick of 10 ms.
  expect(startTime(process.pid)).not.toBe(startTime(1))
  expect(startTime(99_999_999)).toBe(undefined)
})
