import {expect, test} from '@jest/globals'

import {isAlive, run} from '../../../src/system/process.ts'

test('a program that is not installed is the machine’s fault, with what to install', async () => {
  await expect(run('os-ssh-no-such-program', [])).rejects.toMatchObject({
    code: 'LOCAL_TOOL',
    exit: 69,
    message: 'os-ssh-no-such-program is not installed, or cannot be started',
    suggestions: ['install the OpenSSH client: apt-get install openssh-client'],
  })
})

test.each([
  ['its status is its own', 'exit 7', 7],
  ['one that is killed has failed', 'kill -9 $$', 1],
  ['one that takes too long is ended, and late', 'sleep 60', 124],
])('%s', async (_, script, status) => {
  expect(await run('sh', ['-c', script], {timeout: 5000 - 4000 * Number(status === 124)})).toMatchObject({
    ...{status, stdout: '', stderr: ''},
  })
})

test('a program gets its words, its input and its variables, and nothing goes through a shell', async () => {
  const words = ['-c', 'printf "%s|" "$@"; cat; echo "$A" >&2', 'sh', '$(id)', 'a b', '']
  expect(await run('sh', words, {input: 'in', env: {PATH: process.env['PATH'], A: 'b'}})).toEqual({
    ...{status: 0, stdout: '$(id)|a b||in', stderr: 'b\n'},
  })
})

test.each([0, -1, 1.5, Number.NaN])(
  '%s is no process: a signal to it would go to a group, or to all',
  pid => {
    expect(isAlive(pid)).toBe(false)
  },
)
