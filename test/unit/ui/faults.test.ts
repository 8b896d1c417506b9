import {PassThrough} from 'node:stream'
import {text} from 'node:stream/consumers'

import {expect, test} from '@jest/globals'

import {translate} from '../../../src/access/faults.ts'
import {OsSshError} from '../../../src/errors.ts'
import {OpenStackError} from '../../../src/openstack/errors.ts'
import {printFault, report} from '../../../src/ui/faults.ts'

const print = async (error: unknown, json = false) => {
  const stream = new PassThrough()
  await printFault(report(error), json, stream)
  stream.end()
  return text(stream)
}

test('a fault is a sentence and what to do next; hostile text in it is harmless', async () => {
  expect(await print(new OsSshError('VM_OFF', 'the VM \u001b[2J is off\nreally', {hint: 'start it'}))).toBe(
    'error: the VM \\u001b[2J is off\n       really\nhint:  start it\n',
  )
})

test('a hint is as harmless as the sentence, and a line of its own', async () => {
  const fault = new OsSshError('VM_OFF', 'off', {hint: 'start \u001b]0;x\u0007it\nnow'})
  expect(await print(fault)).toBe('error: off\nhint:  start \\u001b]0;x\\u0007it\\u000anow\n')
})

test('a bug shows its stack to nobody who has not asked for it', () => {
  const bug = new TypeError('x is not a function')
  const before = process.env['DEBUG']
  delete process.env['DEBUG']
  expect(report(bug).message).toBe('TypeError: x is not a function')
  process.env['DEBUG'] = '1'
  expect(report(bug).message).toBe(`TypeError: ${bug.stack}`)
  if (before === undefined) delete process.env['DEBUG']
  else process.env['DEBUG'] = before
})

test('a wrong command line is USAGE, in its own words without oclif’s advice', () => {
  const wrong = Object.assign(new Error('Nonexistent flag: --x\n\nSee more help with --help'), {
    oclif: {exit: 2},
  })
  expect(report(wrong)).toMatchObject({code: 'USAGE', message: 'Nonexistent flag: --x', exit: 64})
})

test('for programs it is one JSON object with a stable code', async () => {
  expect(JSON.parse(await print(new OsSshError('AMBIGUOUS', 'two'), true))).toEqual({
    error: {code: 'AMBIGUOUS', message: 'two', hint: expect.any(String), exit: 65},
  })
})

test('what nobody expected is our bug', () => {
  expect(report(new TypeError('x is not a function'))).toMatchObject({code: 'BUG', exit: 70})
  expect(report('thrown text')).toMatchObject({code: 'BUG', message: 'thrown text'})
})

test('Ctrl-C at a prompt is 130', () => {
  expect(report(Object.assign(new Error('x'), {name: 'ExitPromptError'})).exit).toBe(130)
})

test.each([
  ['EROFS', 'the file system is read-only'],
  ['ENOSPC', 'no space is left on the device'],
  ['EACCES', 'permission denied'],
])('what the machine refuses is no bug of ours: %s', (code, why) => {
  const error = Object.assign(new Error(code), {code, syscall: 'open', path: '/home/me/.ssh/config'})
  expect(report(translate(error))).toMatchObject({
    code: 'LOCAL_FILE',
    exit: 73,
    message: `/home/me/.ssh/config: ${why} (open)`,
  })
  // Of a socket, or without a place, it is somebody else's to explain.
  expect(report(translate({...error, code, syscall: 'connect', path: '/x'})).code).toBe('BUG')
})

test.each([
  ['no-secret', 78],
  ['refused', 78],
  ['unauthorized', 78],
  ['forbidden', 77],
  ['not-found', 66],
  ['unreachable', 69],
  ['quota', 75],
  ['config', 64],
] as const)('the cloud’s %s ends with %i', (fault, exit) => {
  expect(report(translate(new OpenStackError(fault, 'said')))).toMatchObject({exit, message: 'said'})
})
