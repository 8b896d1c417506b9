import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir, userInfo} from 'node:os'
import {join} from 'node:path'

import {afterAll, expect, test} from '@jest/globals'

import {fingerprint, generateKeyPair} from '../../../src/ssh/keys.ts'
import {pinnedKeys} from '../../../src/ssh/known-hosts.ts'
import {learnHostKey} from '../../../src/ssh/trust.ts'
import {startSshd} from '../../support/sshd.ts'

const dir = mkdtempSync(join(tmpdir(), 'os-ssh-trust-'))
const before = process.env['HOME']
process.env['HOME'] = dir
afterAll(() => {
  process.env['HOME'] = before
  rmSync(dir, {recursive: true})
})
const write = (name: string, text: string) => {
  writeFileSync(join(dir, name), text, {mode: 0o600})
  return join(dir, name)
}

test('the key of a real sshd is pinned without logging in; one that is away pins nothing', async () => {
  const [host, user] = [generateKeyPair('host'), generateKeyPair('user')]
  // One sshd is the gate and the VM behind it.
  const config = write(
    'sshd_config',
    [
      `HostKey ${write('host', host.privateKey)}`,
      `AuthorizedKeysFile ${write('authorized', user.publicKey)}`,
      'StrictModes no',
      'UsePAM no',
      'PidFile none',
    ].join('\n'),
  )
  const {port, stop} = await startSshd(config)
  const gate = [
    'Host gate-1',
    'HostName 127.0.0.1',
    `Port ${port}`,
    `User ${userInfo().username}`,
    `IdentityFile ${write('id', user.privateKey)}`,
    'HostKeyAlias gate-1',
    `UserKnownHostsFile ${write('known', `gate-1 ${host.publicKey}`)}`,
  ].join('\n')
  try {
    const way = {config: write('gate.conf', gate), alias: '127.0.0.1', port, gate: 'gate-1'}
    expect(await learnHostKey('vm-2', {...way, port: 1})).toBeUndefined()
    expect(await learnHostKey('vm-1', way)).toBe(fingerprint(host.publicKey))
    expect(await pinnedKeys('vm-1')).toEqual([host.publicKey.replace(/ host$/, '')])
    expect(await pinnedKeys('vm-2')).toEqual([])
  } finally {
    await stop()
  }
}, 30_000)
