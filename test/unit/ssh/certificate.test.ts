import {execFileSync} from 'node:child_process'
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir, userInfo} from 'node:os'
import {join} from 'node:path'

import {afterAll, describe, expect, test} from '@jest/globals'

import {signHostCertificate, signUserCertificate} from '../../../src/ssh/certificate.ts'
import {generateKeyPair} from '../../../src/ssh/keys.ts'
import {decoded} from '../../support/certificate.ts'
import {run} from '../../support/run.ts'
import {Sshd} from '../../support/sshd.ts'

const dir = mkdtempSync(join(tmpdir(), 'os-ssh-cert-'))
afterAll(() => rmSync(dir, {recursive: true}))
const write = (name: string, text: string) => {
  writeFileSync(join(dir, name), `${text.trim()}\n`, {mode: 0o600})
  return join(dir, name)
}
const inspect = (line: string) =>
  execFileSync('ssh-keygen', ['-L', '-f', '-'], {input: `${line}\n`, encoding: 'utf8', env: {TZ: 'UTC'}})

const ca = generateKeyPair('ca')
const user = generateKeyPair('user')
const base = {
  caPrivateKey: ca.privateKey,
  publicKey: user.publicKey,
  serial: 2n ** 63n,
  keyId: 'path-1 alice',
  principals: ['path-1'],
  validAfter: new Date('2026-01-01T00:00:00Z'),
  validBefore: new Date('2026-01-01T08:00:00Z'),
}

describe('ssh-keygen -L', () => {
  test('reads a user certificate as it was meant', () => {
    const text = inspect(signUserCertificate({...base, sourceAddress: '192.0.2.0/24'}))
    expect(text).toMatch(/Type: ssh-ed25519-cert-v01@openssh.com user certificate/)
    expect(text).toMatch(/Key ID: "path-1 alice"\n\s+Serial: 9223372036854775808/)
    expect(text).toMatch(/Valid: from 2026-01-01T00:00:00 to 2026-01-01T08:00:00/)
    expect(text).toMatch(/Principals: \n\s+path-1\n\s+Critical Options: \n\s+source-address 192.0.2.0\/24/)
    expect(text).toMatch(/Extensions: \n\s+permit-port-forwarding\n*$/)
  })

  test('reads a host certificate without options', () => {
    const text = inspect(signHostCertificate({...base, principals: ['gate-1', 'gate-2']}))
    expect(text).toMatch(/host certificate/)
    expect(text).toMatch(
      /Principals: \n\s+gate-1\n\s+gate-2\n\s+Critical Options: \(none\)\n\s+Extensions: \(none\)/,
    )
  })

  test.each(['rsa', 'ecdsa'])('reads a certificate for a %s key', type => {
    const file = join(dir, type)
    execFileSync('ssh-keygen', ['-q', '-t', type, '-N', '', '-f', file])
    const line = signHostCertificate({...base, publicKey: readFileSync(`${file}.pub`, 'utf8')})
    expect(inspect(line)).toContain('Signing CA: ED25519')
  })
})

test('extensions stand in the order that OpenSSH wants, whatever order they come in', () => {
  const extensions = ['permit-pty', 'no-touch-required', 'permit-port-forwarding']
  expect(inspect(signUserCertificate({...base, extensions}))).toMatch(
    /Extensions: \n\s+no-touch-required\n\s+permit-port-forwarding\n\s+permit-pty\n*$/,
  )
})

test('what a key id has in it beside the letters of a line stays in the log, and leaves no comment', () => {
  const line = signUserCertificate({...base, keyId: 'path 1\nalice'})
  expect(line.split(' ')[2]).toBe('path_1_alice')
  expect(line).not.toContain('\n')
})

test('a host’s certificate is the same whenever it is asked for, a user’s never', () => {
  const host = () => signHostCertificate({...base, principals: ['gate-1']})
  expect(host()).toBe(host())
  expect(host()).not.toBe(signHostCertificate({...base, principals: ['gate-2']}))
  expect(signUserCertificate(base)).not.toBe(signUserCertificate(base))
})

test('a certificate for everybody is never signed', () => {
  for (const principals of [[], ['']]) {
    expect(() => signUserCertificate({...base, principals})).toThrow(/at least one principal/)
  }
})

test('options are in the order of their names, as sshd wants them, and are no critical ones', () => {
  const extensions = ['permit-pty', 'permit-X11-forwarding', 'permit-port-forwarding']
  const {critical, extensions: signed} = decoded(signUserCertificate({...base, extensions}))
  expect(critical).toEqual([])
  expect(signed).toEqual(['permit-X11-forwarding', '', 'permit-port-forwarding', '', 'permit-pty', ''])
})

test('a real sshd lets the user in and a real ssh trusts the host, by certificates alone', async () => {
  const host = generateKeyPair('host')
  const now = Date.now()
  const life = {validAfter: new Date(now - 60_000), validBefore: new Date(now + 600_000)}
  const key = write('id', user.privateKey)
  const hostKey = write('host', host.privateKey)
  const ours = {...base, ...life}
  const files = {
    ca: write('ca.pub', ca.publicKey),
    hostCert: write(
      'host-cert.pub',
      signHostCertificate({...ours, publicKey: host.publicKey, principals: ['gate-1']}),
    ),
    userCert: write('id-cert.pub', signUserCertificate({...ours, extensions: ['permit-pty']})),
    wrongCert: write('wrong-cert.pub', signUserCertificate({...ours, principals: ['path-2']})),
    oldCert: write('old-cert.pub', signUserCertificate({...ours, validBefore: new Date(now - 1000)})),
    earlyCert: write('early-cert.pub', signUserCertificate({...ours, validAfter: new Date(now + 300_000)})),
    principals: write('principals', 'path-1'),
    known: write('known', `@cert-authority gate-1 ${ca.publicKey}`),
  }
  const config = write(
    'sshd_config',
    `HostKey ${hostKey}
HostCertificate ${files.hostCert}
TrustedUserCAKeys ${files.ca}
AuthorizedPrincipalsFile ${files.principals}
AuthorizedKeysFile none
StrictModes no
UsePAM no
PidFile none`,
  )
  const sshd = await Sshd.start(config)
  try {
    const login = (certificate: string) =>
      run(
        'ssh',
        ['-F', 'none', '-p', String(sshd.port), '-i', key, '-o', `CertificateFile=${certificate}`]
          .concat(
            '-o',
            'HostKeyAlias=gate-1',
            '-o',
            `UserKnownHostsFile=${files.known}`,
            '-o',
            'BatchMode=yes',
          )
          .concat('-o', 'IdentitiesOnly=yes', '-o', 'StrictHostKeyChecking=yes', '-l', userInfo().username)
          .concat('127.0.0.1', 'echo', 'in'),
        {env: {PATH: process.env['PATH']}},
      )
    expect(await login(files.userCert)).toMatchObject({status: 0, stdout: 'in\n'})
    // Beside the key lies id-cert.pub, which ssh would also offer: away with it.
    rmSync(files.userCert)
    for (const certificate of [files.wrongCert, files.oldCert, files.earlyCert])
      expect(await login(certificate)).toMatchObject({
        ...{status: 255, stdout: '', stderr: expect.stringContaining('Permission denied')},
      })
  } finally {
    await sshd.stop()
  }
})
