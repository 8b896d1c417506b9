import {
  chownSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterEach, beforeEach, describe, expect, it} from '@jest/globals'

import {type CertificateAuthority, openCa} from '../../../src/service/ca/ca.ts'
import {bare} from '../../../src/service/ca/files.ts'
import {type Phase, type RotateOptions, rotateCa} from '../../../src/service/ca/rotate.ts'
import {fingerprint, generateKeyPair} from '../../../src/ssh/keys.ts'
import {decoded} from '../../support/certificate.ts'
import {expectGolden} from '../../support/golden.ts'

/* Both CAs, and how they are changed beside a service that runs. */

const HOUR = 3_600_000
let state: string
let directory: string
/** How far the service's clock is ahead of the file system's, ms. */
let ahead: number
let told: unknown[]
let service: CertificateAuthority

const log = {info: (what: unknown) => told.push(what), warn: (what: unknown) => told.push(what)} as never
const open = () => openCa(directory, {certLife: 3600, now: () => Date.now() + ahead, log})
const rotate = (phase?: Phase, more: Partial<RotateOptions> = {}) => rotateCa({state, phase, ...more})
const forced = (phase: Phase, more: Partial<RotateOptions> = {}) => rotate(phase, {force: true, ...more})
/** As the service sees it some seconds later. */
const later = () => {
  ahead += 5000
  return service
}
const keys = () => ({user: service.userCas.map(bare), host: service.hostCas.map(bare)})

const subject = generateKeyPair('somebody').publicKey
const path = {
  publicKey: subject,
  serial: 1,
  pathId: 'p',
  userName: 'alice',
  from: Date.now(),
  until: Date.now() + HOUR,
}
const signers = () =>
  [service.signPath(path), service.signGate('g', subject, Date.now())].map(one => decoded(one).ca)

beforeEach(async () => {
  state = mkdtempSync(join(tmpdir(), 'os-ssh-ca-'))
  directory = join(state, 'ca')
  ;[ahead, told] = [0, []]
  service = await open()
})
afterEach(() => rmSync(state, {recursive: true}))

it('makes both CAs once, for the service’s account alone', async () => {
  const modes = ['', 'user_ca', 'host_ca'].map(name => statSync(join(directory, name)).mode & 0o777)
  expect(modes).toEqual([0o700, 0o600, 0o600])
  expect(readFileSync(join(directory, 'user_ca.pub'), 'utf8')).toBe(`${service.userCas[0]}\n`)
  expect([(await open()).userCas, (await open()).hostCas]).toEqual([service.userCas, service.hostCas])
})

it('makes none where half of them is', async () => {
  await forced('begin')
  rmSync(join(directory, 'host_ca'))
  await expect(open()).rejects.toMatchObject({
    code: 'CONFIG',
    message: `${directory} has host_ca.next, but no host_ca`,
    suggestions: ['copy the whole directory, or restore it from its backup'],
  })
  writeFileSync(join(directory, 'user_ca'), 'x')
  await expect(rotate()).rejects.toMatchObject({
    code: 'CONFIG',
    message: expect.stringContaining('user_ca cannot'),
    suggestions: ['restore it from its backup, with mode 0600 and of the account of the service'],
  })
  rmSync(join(directory, 'user_ca'))
  await expect(rotate('begin')).rejects.toMatchObject({
    code: 'CONFIG',
    message: `there is no user_ca in ${directory}`,
    suggestions: [expect.stringMatching(/^is --state the directory of the service\?/)],
  })
})

describe('a rotation', () => {
  it('has old and new trusted side by side, and the service follows without a restart', async () => {
    const old = keys()
    await rotate('begin')
    later()
    const [user, host] = [keys().user[1] ?? '', keys().host[1] ?? '']
    expect(keys()).toEqual({user: [...old.user, user], host: [...old.host, host]})
    expect(new Set([...old.user, user, ...old.host, host, '']).size).toBe(5)
    expect(signers()).toEqual([...old.user, ...old.host])

    await forced('switch')
    later()
    expect(keys()).toEqual({user: [user, ...old.user], host: [host, ...old.host]})
    expect(signers()).toEqual([user, host])
    expect(readFileSync(join(directory, 'host_ca.pub'), 'utf8')).toBe(`${service.hostCas[0]}\n`)

    await forced('finish')
    later()
    expect(keys()).toEqual({user: [user], host: [host]})
    expect(signers()).toEqual([user, host])
    expect(readdirSync(directory).sort()).toEqual([
      ...['cert_life', 'host_ca', 'host_ca.pub', 'user_ca', 'user_ca.pub'],
    ])
    // Each phase once, by fingerprints.
    expect(told).toHaveLength(3)
    expect(told[2]).toEqual({user: [fingerprint(user)], host: [fingerprint(host)]})
  })

  it('of one CA leaves the other alone', async () => {
    const {host} = keys()
    await forced('begin', {type: 'user'})
    await forced('switch', {type: 'user'})
    later()
    expect(keys()).toEqual({user: [expect.any(String), expect.any(String)], host})
    const {rows} = await rotate()
    expect(rows.map(row => row.phase)).toEqual(['switch', 'none'])
  })

  it('that is rolled back before it signs leaves nothing', async () => {
    const before = keys()
    await rotate('begin')
    await rotate('rollback')
    later()
    expect(keys()).toEqual(before)
  })

  it('that is rolled back later has the old CA sign, and trusts the other until it is finished', async () => {
    const old = keys()
    await rotate('begin')
    later()
    const both = keys()
    await forced('switch')
    await rotate('rollback')
    later()
    expect(keys()).toEqual(both)
    expect(signers()).toEqual([...old.user, ...old.host])
    // Again changes nothing.
    await rotate('rollback')
    later()
    expect(keys()).toEqual(both)
    await expect(rotate('finish')).rejects.toMatchObject({code: 'BUSY'})
    await forced('finish')
    later()
    expect(keys()).toEqual(old)
  })

  it.each([
    [[], 'switch', 'user CA: no rotation has begun: --phase begin is the first'],
    [['begin'], 'finish', 'user CA: the next CA does not sign yet'],
    [['begin', 'switch'], 'begin', 'user CA: a rotation is under way: --phase finish ends it'],
    [['begin', 'switch', 'rollback'], 'begin', 'user CA: a rotation was rolled back'],
    [['begin', 'switch', 'rollback'], 'switch', 'user CA: the rotation was rolled back'],
  ] as [Phase[], Phase, string][])('after %j does not go on with %s', async (done, phase, words) => {
    for (const one of done) await forced(one)
    const before = readdirSync(directory)
    await expect(forced(phase)).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining(words),
      suggestions: ['how far it is: os-ssh service rotate-ca'],
    })
    expect(readdirSync(directory)).toEqual(before)
  })

  it('waits until everybody must have heard of the last phase', async () => {
    const began = Date.UTC(2001, 0, 1)
    const margin = 10 * 60_000
    const at = (role: string) => {
      for (const kind of ['user', 'host'])
        utimesSync(join(directory, `${kind}_ca.${role}`), began / 1000, began / 1000)
    }
    const soon = {now: began + margin + HOUR - 1000}
    const late = {now: began + margin + HOUR}
    const text: string[] = []
    const note = ({rows, next}: Awaited<ReturnType<typeof rotateCa>>) => {
      const shown = JSON.stringify(rows, undefined, 1).replace(/SHA256:[^"]+/g, 'SHA256:…')
      text.push(`${shown}\n${next.map(line => `${line.replaceAll(state, '/srv')}\n`).join('')}`)
    }
    note(await rotate())
    await rotate('begin')
    at('next')
    note(await rotate())
    await expect(rotate('switch', soon)).rejects.toMatchObject({
      code: 'BUSY',
      message: 'not all clients are sure to trust the next host CA before 2001-01-01T01:10:00Z',
    })
    await expect(rotate('switch', {type: 'user', now: began + margin - 1000})).rejects.toMatchObject({
      message: 'not all gates are sure to trust the next user CA before 2001-01-01T00:10:00Z',
    })
    note(await rotate('switch', {type: 'user', now: began + margin}))
    await rotate('switch', late)
    at('old')
    note(await rotate())
    await expect(rotate('finish', soon)).rejects.toMatchObject({
      code: 'BUSY',
      message: 'certificates of the other user CA live until 2001-01-01T01:10:00Z',
    })
    await rotate('finish', {type: 'host', now: began + margin})
    note(await rotate('finish', late))
    expectGolden('rotate-ca.txt', text.join('\n').replace(/20(?!01)[\dT:-]+Z/g, 'NOW'))
  })

  it('knows how long the certificates of this service live', async () => {
    await openCa(directory, {certLife: 120})
    await rotate('begin')
    const waits = (await rotate()).rows.map(row => Date.parse(row.until ?? '') - Date.parse(row.since ?? ''))
    expect(waits).toEqual([600_000, 720_000])
  })
})

describe('the service', () => {
  it('follows also when its clock was set back', async () => {
    await rotate('begin')
    ahead = -HOUR
    expect(service.userCas).toHaveLength(2)
  })

  it('takes nothing over that is still being written', async () => {
    ahead = -10_000
    service = await open()
    await rotate('begin')
    ahead = statSync(directory).ctimeMs + 500 - Date.now()
    expect(service.userCas).toHaveLength(1)
    later()
    expect(service.userCas).toHaveLength(2)
  })

  it('goes on with what it has when the files cannot be read, and says so once', async () => {
    const before = keys()
    const good = readFileSync(join(directory, 'user_ca'), 'utf8')
    writeFileSync(join(directory, 'user_ca'), good.slice(0, 100))
    later()
    expect(keys()).toEqual(before)
    later()
    expect(keys()).toEqual(before)
    expect(told).toEqual([{err: expect.objectContaining({code: 'CONFIG'})}])
    rmSync(join(directory, 'user_ca'))
    later()
    expect(keys()).toEqual(before)
    expect(told).toHaveLength(2)
    writeFileSync(join(directory, 'user_ca'), good)
    later()
    expect(keys()).toEqual(before)
  })

  const asRoot = process.getuid?.() === 0 ? it : it.skip
  asRoot('reads what root has rotated', async () => {
    chownSync(directory, 12_345, 12_345)
    await rotate('begin')
    expect(statSync(join(directory, 'host_ca.next'))).toMatchObject({uid: 12_345, gid: 12_345})
    expect(existsSync(join(directory, '.lock'))).toBe(false)
  })
})
