import {existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, beforeEach, expect, it} from '@jest/globals'

import {startDaemon, until} from '../../../src/system/daemon.ts'
import {isAlive, processStatus} from '../../../src/system/process.ts'
import {eventually} from '../../support/run.ts'

const dir = mkdtempSync(join(tmpdir(), 'os-ssh-daemon-'))
afterAll(() => rmSync(dir, {recursive: true}))
let log: string
let n = 0
beforeEach(() => {
  log = join(dir, `${++n}.log`)
})
const said = (lines: number) =>
  eventually(
    async () => (existsSync(log) ? readFileSync(log, 'utf8').split('\n') : []),
    all => all.length > lines,
  )
const sh = (script: string) => ['/bin/sh', '-c', script]

it('sees no variable but those that it is given, reads what it is told, and stands in /', async () => {
  process.env['OS_PASSWORD'] = 'secret'
  const script =
    'cat; echo; /usr/bin/env | grep -v -e ^_= -e ^SHLVL= -e ^PWD= -e ^OLDPWD=; pwd -P; echo err >&2'
  startDaemon(sh(script), log, {A: 'b'}, 'typed\nin')
  delete process.env['OS_PASSWORD']
  expect(await said(5)).toEqual(['typed', 'in', 'A=b', '/', 'err', ''])
  expect(statSync(log).mode & 0o777).toBe(0o600)
})

it('has a session of its own: it outlives the terminal and its keys', async () => {
  const pid = startDaemon(sh('echo up; exec sleep 60'), log, {PATH: process.env['PATH']})
  try {
    await said(1)
    // Fields of proc_pid_stat(5): state, ppid, pgrp, session.
    const [, , group, session] = processStatus(pid)
    expect([group, session]).toEqual([String(pid), String(pid)])
  } finally {
    process.kill(pid)
  }
  expect(
    await eventually(
      async () => isAlive(pid),
      alive => !alive,
    ),
  ).toBe(false)
})

it('adds to its log, and reads nothing when it is told nothing', async () => {
  writeFileSync(log, 'before\n')
  startDaemon(sh('cat; echo after'), log, {PATH: process.env['PATH']})
  expect(await said(2)).toEqual(['before', 'after', ''])
})

it('one that cannot be started is no fault of who starts it', async () => {
  expect(startDaemon([join(dir, 'none')], log, {}, 'input')).toBe(0)
  expect(readFileSync(log, 'utf8')).toBe('')
})

it('asks until there is an answer, and no longer than it is worth', async () => {
  const answers = [undefined, false, '', 'yes', 'no']
  expect(await until(() => answers.shift(), 5000, 1)).toBe('yes')
  expect(answers).toEqual(['no'])
  let asked = 0
  expect(await until(() => void asked++, 20, 1)).toBeUndefined()
  expect(asked).toBeGreaterThan(0)
  await expect(until(() => Promise.reject(new Error('no')), 5000, 1)).rejects.toThrow('no')
})
