import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir, userInfo} from 'node:os'
import {join} from 'node:path'

import {afterAll, afterEach, expect, test} from '@jest/globals'

import {ensureAgent, stopAgent} from '../../../src/ssh/agent.ts'
import {fingerprint, generateKeyPair, type KeyPairText} from '../../../src/ssh/keys.ts'
import {pinnedKeys} from '../../../src/ssh/known-hosts.ts'
import {learnHostKey} from '../../../src/ssh/trust.ts'
import {eventually} from '../../support/run.ts'
import {Sshd} from '../../support/sshd.ts'

const dir = mkdtempSync(join(tmpdir(), 'os-ssh-trust-'))
const before = {...process.env}
process.env['HOME'] = dir
afterAll(async () => {
  process.env = before
  await stopAgent(dir)
  rmSync(dir, {recursive: true})
})
const write = (name: string, text: string) => {
  writeFileSync(join(dir, name), text, {mode: 0o600})
  return join(dir, name)
}

let sshd: Sshd
afterEach(() => sshd.stop())

/** A gate and the VM behind it, which are one sshd. */
async function gate(host: KeyPairText) {
  const user = generateKeyPair('user')
  const config = [
    `HostKey ${write('host', host.privateKey)}`,
    `AuthorizedKeysFile ${write('authorized', user.publicKey)}`,
    'StrictModes no',
    'UsePAM no',
    'PidFile none',
  ]
  sshd = await Sshd.start(write('sshd_config', config.join('\n')))
  const hop = [
    'Host gate-1',
    'HostName 127.0.0.1',
    `Port ${sshd.port}`,
    `User ${userInfo().username}`,
    `IdentityFile ${write('id', user.privateKey)}`,
    'HostKeyAlias gate-1',
    `UserKnownHostsFile ${write('known', `gate-1 ${host.publicKey}`)}`,
  ]
  return {
    config: write('gate.conf', hop.join('\n')),
    alias: '127.0.0.1',
    port: sshd.port,
    gate: 'gate-1',
    user,
  }
}

test('the key of a real sshd is pinned without logging in; one that is away pins nothing', async () => {
  const host = generateKeyPair('host')
  const {user, ...way} = await gate(host)
  // A key of the user's own.
  const agent = await ensureAgent(dir)
  await agent.add(user.privateKey, 600)
  process.env['SSH_AUTH_SOCK'] = agent.socket
  expect(await learnHostKey('vm-2', {...way, port: 1})).toBeUndefined()
  expect(await learnHostKey('vm-1', way)).toBe(fingerprint(host.publicKey))
  expect(await pinnedKeys('vm-1')).toEqual([host.publicKey.replace(/ host$/, '')])
  expect(await pinnedKeys('vm-2')).toEqual([])
  // The gate has let its user in, twice; the VM, which would take the same key, was shown none.
  const letIn = async () => sshd.said.match(/Accepted publickey for \w+/g) ?? []
  const accepted = `Accepted publickey for ${userInfo().username}`
  expect(await eventually(letIn, said => said.length > 1)).toEqual([accepted, accepted])
  expect(sshd.said).not.toMatch(/publickey for nobody|'nobody' authorized keys/)
}, 30_000)
