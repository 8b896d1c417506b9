import {expect, test} from '@jest/globals'

import {run} from '../../../src/system/process.ts'

test('a program that is not installed is the machine’s fault, with what to install', async () => {
  await expect(run('os-ssh-no-such-program', [])).rejects.toMatchObject({
    code: 'LOCAL_TOOL',
    exit: 69,
    message: 'os-ssh-no-such-program is not installed, or cannot be started',
    suggestions: ['install the OpenSSH client: apt-get install openssh-client'],
  })
})
