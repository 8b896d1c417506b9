import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterEach, beforeEach, describe, expect, it} from '@jest/globals'

import {type CertificateAuthority, memoryCa, openCa, principal} from '../../../src/service/ca/ca.ts'
import {bare} from '../../../src/service/ca/files.ts'
import {rotateCa} from '../../../src/service/ca/rotate.ts'
import {generateKeyPair} from '../../../src/ssh/keys.ts'
import {decoded} from '../../support/certificate.ts'

/* What a certificate says, to its last byte, and who may read the keys that sign it. */

const DAY = 86_400_000
const NOW = Date.UTC(2026, 10, 29, 12)
const subject = generateKeyPair('somebody').publicKey
let state: string
let directory: string
beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), 'os-ssh-ca-signs-'))
  directory = join(state, 'ca')
})
afterEach(() => rmSync(state, {recursive: true}))

const [user, host] = [generateKeyPair('user_ca'), generateKeyPair('host_ca')]
const kinds: [string, () => Promise<CertificateAuthority>][] = [
  ['of the state directory', () => openCa(directory)],
  ['that somebody else keeps', async () => memoryCa({user_ca: user.privateKey, host_ca: host.privateKey})],
]

describe.each(kinds)('the CAs %s', (_, open) => {
  it('sign for a user one account of one path, for its time, and port forwarding alone', async () => {
    const ca = await open()
    const path = {
      publicKey: subject,
      serial: 7,
      pathId: 'b5',
      userName: 'alice',
      from: NOW,
      until: NOW + 1000,
    }
    expect(decoded(ca.signPath(path))).toEqual({
      ...{type: 'ssh-ed25519-cert-v01@openssh.com', kind: 1, serial: 7n},
      ...{id: 'alice path-b5', principals: ['path-b5']},
      // Clocks differ: it begins a minute earlier. It ends when the path's certificate does, and not a second later.
      ...{from: NOW - 60_000, until: NOW + 1000},
      ...{critical: [], extensions: ['permit-port-forwarding', ''], reserved: ''},
      ...{key: bare(subject), ca: bare(ca.userCas[0] ?? '')},
    })
    expect(principal('b5')).toBe('path-b5')
  })

  it('sign for a gate its id alone, and nothing that a user may', async () => {
    const ca = await open()
    const window = Math.floor(NOW / (30 * DAY)) * 30 * DAY
    expect(decoded(ca.signGate('g-1', subject, NOW))).toEqual({
      ...{type: 'ssh-ed25519-cert-v01@openssh.com', kind: 2, serial: 0n},
      ...{id: 'gate g-1', principals: ['g-1'], from: window - DAY, until: window + 90 * DAY},
      ...{critical: [], extensions: [], reserved: ''},
      ...{key: bare(subject), ca: bare(ca.hostCas[0] ?? '')},
    })
    expect(ca.hostCas).not.toEqual(ca.userCas)
  })

  it('sign the same for a gate for 30 days, and each is good for two months more', async () => {
    const ca = await open()
    const begin = Math.floor(NOW / (30 * DAY)) * 30 * DAY
    const at = (time: number) => ca.signGate('g', subject, time)
    expect(at(begin + 30 * DAY - 1)).toBe(at(begin))
    expect(at(begin + 30 * DAY)).not.toBe(at(begin))
    for (const time of [begin, begin + 30 * DAY - 1]) {
      const {from, until} = decoded(at(time))
      expect([from <= time - DAY, until - time >= 60 * DAY]).toEqual([true, true])
    }
  })
})

it('of two keys that somebody keeps each is used for its own', () => {
  const {userCas, hostCas} = memoryCa({user_ca: user.privateKey, host_ca: host.privateKey})
  expect([userCas, hostCas]).toEqual([[user.publicKey], [host.publicKey]])
})

it('what a user’s name holds reaches the log of sshd as it is, and the line as one word', async () => {
  const path = {publicKey: subject, serial: 1, pathId: 'p', userName: 'Zoë\nx y', from: NOW, until: NOW}
  const line = (await openCa(directory)).signPath(path)
  expect(decoded(line).id).toBe('Zoë\nx y path-p')
  expect(line.split(' ').slice(2)).toEqual(['Zo__x_y_path-p'])
})

describe('the keys', () => {
  const modes = () =>
    Object.fromEntries(
      readdirSync(directory).map(name => [name, statSync(join(directory, name)).mode & 0o777]),
    )
  const owners = [
    'cert_life',
    'host_ca',
    'host_ca.next',
    'host_ca.pub',
    'user_ca',
    'user_ca.next',
    'user_ca.pub',
  ]

  it('are their owner’s alone, whatever the mask and whatever lay there', async () => {
    mkdirSync(directory, {mode: 0o755})
    chmodSync(directory, 0o755)
    // Left behind by one that was killed, or laid there by somebody who wants to read it.
    for (const name of ['user_ca.new', 'user_ca.next.new']) {
      writeFileSync(join(directory, name), '')
      chmodSync(join(directory, name), 0o644)
    }
    const before = process.umask(0)
    try {
      await openCa(directory, {certLife: 60})
      await rotateCa({state, phase: 'begin'})
    } finally {
      process.umask(before)
    }
    expect(statSync(directory).mode & 0o777).toBe(0o700)
    expect(modes()).toEqual(Object.fromEntries(owners.map(name => [name, 0o600])))
  })

  it.each(['begin', 'switch', 'rollback', 'finish'] as const)('are so after %s', async phase => {
    await openCa(directory, {certLife: 60})
    const before = {
      begin: [],
      switch: ['begin'],
      rollback: ['begin', 'switch'],
      finish: ['begin', 'switch'],
    } as const
    for (const one of [...before[phase], phase]) await rotateCa({state, phase: one, force: true})
    expect([...new Set(Object.values(modes()))]).toEqual([0o600])
  })

  it('are made once by however many rotate them at a time', async () => {
    await openCa(directory)
    const all = await Promise.all(Array.from({length: 4}, () => rotateCa({state, phase: 'begin'})))
    const next = (await rotateCa({state})).rows.map(row => row.trusts)
    expect(all.map(({rows}) => rows.map(row => row.trusts))).toEqual(all.map(() => next))
  })

  it.each(['', 'x\n', '0\n', '-5\n', 'Infinity\n'])(
    'wait for certificates of an hour where %j is all that is said of their life',
    async text => {
      await openCa(directory)
      writeFileSync(join(directory, 'cert_life'), text)
      await rotateCa({state, phase: 'begin', type: 'host'})
      const [, row] = (await rotateCa({state})).rows
      expect(Date.parse(row?.until ?? '') - Date.parse(row?.since ?? '')).toBe(3_600_000 + 600_000)
    },
  )

  it('say in a gate’s file which they are, and of which day', async () => {
    await openCa(directory)
    const day = () => `os-ssh user_ca ${new Date().toISOString().slice(0, 10)}`
    const before = day()
    await rotateCa({state, phase: 'begin'})
    await rotateCa({state, phase: 'switch', force: true})
    const comment = readFileSync(join(directory, 'user_ca.pub'), 'utf8').trim().split(' ').slice(2).join(' ')
    expect([before, day()]).toContain(comment)
  })
})
