import {mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, beforeAll, beforeEach, describe, expect, it, jest} from '@jest/globals'

import {forgetPath, freshPath, keptPaths, pathFiles, readPath} from '../../../src/access/path-files.ts'
import {writePath} from '../../../src/access/write-path.ts'
import type {PathGrant} from '../../../src/protocol/index.ts'
import {ensureAgent, stopAgent} from '../../../src/ssh/agent.ts'
import {generateKeyPair} from '../../../src/ssh/keys.ts'

/* Until when a path that is written down is used, and when its service is asked. */

const VM = '3f2a7c1e-0000-4000-8000-000000000001'
const home = mkdtempSync(join(tmpdir(), 'os-ssh-files-'))
const directory = join(home, 'run')
const known = `${home}/.ssh/os-ssh/known_hosts`
const was = process.env['HOME']
const NOW = 1_800_000_000

beforeAll(async () => {
  process.env['HOME'] = home
  mkdirSync(directory, {mode: 0o700})
  mkdirSync(`${home}/.ssh/os-ssh`, {recursive: true, mode: 0o700})
  await (await ensureAgent(directory)).add(generateKeyPair('k').privateKey, 600)
  jest.spyOn(Date, 'now').mockImplementation(() => NOW * 1000)
})
afterAll(async () => {
  jest.restoreAllMocks()
  process.env['HOME'] = was
  await stopAgent(directory)
  rmSync(home, {recursive: true})
})
beforeEach(() => writeFileSync(known, `${VM} ssh-ed25519 AAAA\n`))

const state = (text: string) => writeFileSync(pathFiles(directory, VM).state, text)

describe('fresh is', () => {
  it.each([
    ['one that is young', `${NOW + 1} 100.64.0.16 22 gate ${NOW + 9} id 1\n`, true],
    ['one of an older os-ssh', `${NOW + 1} 100.64.0.16 22 gate ${NOW + 9} id\n`, true],
    ['none whose time is over this second', `${NOW} 100.64.0.16 22 gate ${NOW + 9} id 1\n`, false],
    ['none that says no time', `soon 100.64.0.16 22 gate ${NOW + 9} id 1\n`, false],
    ['none that says no end', `${NOW + 1} 100.64.0.16 22 gate never id 1\n`, false],
    ['none that was cut short', `${NOW + 1} 100.64.0.16 22 gate ${NOW + 9}\n`, false],
    ['nothing', '', false],
  ])('%s', async (_, text, is) => {
    state(text)
    expect((await freshPath(directory, VM))?.alias).toBe(is ? '100.64.0.16' : undefined)
  })

  it('none to a VM whose host key is not pinned: ssh would not believe it', async () => {
    state(`${NOW + 1} 100.64.0.16 22 gate ${NOW + 9} id 1\n`)
    writeFileSync(known, `${VM.replace('1', '2')} ssh-ed25519 AAAA\n`)
    expect(await freshPath(directory, VM)).toBeUndefined()
  })
})

describe('written down', () => {
  const ca = generateKeyPair('ca').publicKey
  const grant = (seconds: number, more: Partial<PathGrant> = {}) =>
    ({
      ...{id: 'path-1', server_id: VM, alias: '100.64.0.7', port: 22, login: 'osp1', certificate: 'cert'},
      ...{gate: {id: 'gate-1', name: 'gate1', host: '192.0.2.7', port: 22}, host_ca: ca, host_keys: []},
      expires_at: new Date((NOW + 100 * seconds) * 1000).toISOString(),
      certificate_until: new Date((NOW + seconds) * 1000).toISOString(),
      ...more,
    }) as unknown as PathGrant
  const key = (until: number) => ({publicKey: 'ssh-ed25519 AAAA me', until: NOW + until})

  it.each([
    ['two thirds of its certificate’s life', 3600, 86_400, 2400],
    ['a minute before the agent forgets the key', 3600, 1200, 1140],
    ['not at all with a key that is gone', 3600, 30, -30],
  ])('it is used for %s', async (_, certificate, agent, seconds) => {
    const path = await writePath(directory, grant(certificate), key(agent))
    expect([path.until - NOW, path.expires - NOW]).toEqual([seconds, certificate])
    expect(await readPath(directory, VM)).toEqual(path)
    expect((await freshPath(directory, VM)) !== undefined).toBe(seconds > 0)
  })

  it.each([
    [true, 2400],
    [false, -NOW],
  ])(
    'of a VM that was rebuilt the keys are asked for until they were seen: %s',
    async (keys_seen, seconds) => {
      const rebuild = {request_id: 'req-1', at: '2026-11-24T12:00:00Z', user_id: 'u', keys_seen}
      const path = await writePath(directory, grant(3600, {rebuild}), key(86_400))
      expect(path.until - NOW).toBe(seconds)
    },
  )

  it('its gate is believed by its authority for its own name alone, and takes one key to one path', async () => {
    await writePath(directory, grant(3600), key(86_400))
    const files = pathFiles(directory, VM)
    expect(readFileSync(files.knownHosts, 'utf8')).toBe(`@cert-authority gate-1 ${ca}\n`)
    const config = readFileSync(files.config, 'utf8')
    for (const line of [
      ...[
        'StrictHostKeyChecking yes',
        'GlobalKnownHostsFile none',
        'UpdateHostKeys no',
        'IdentitiesOnly yes',
      ],
      ...['BatchMode yes', 'ForwardAgent no', 'ForwardX11 no', 'HostKeyAlias gate-1'],
      ...[`UserKnownHostsFile "${files.knownHosts}"`, `CertificateFile "${files.certificate}"`],
      ...[`IdentityFile "${files.publicKey}"`, `IdentityAgent "${directory}/agent"`],
    ])
      expect(config).toContain(`\n  ${line}\n`)
  })

  it('what is forgotten is gone, and the lock of who is getting it stays', async () => {
    await writePath(directory, grant(3600), key(86_400))
    const {lock} = pathFiles(directory, VM)
    writeFileSync(lock, 'held')
    expect(await keptPaths(directory)).toEqual([VM])
    await forgetPath(directory, VM)
    expect([await keptPaths(directory), await readPath(directory, VM)]).toEqual([[], undefined])
    expect(readFileSync(lock, 'utf8')).toBe('held')
    expect(await keptPaths(join(home, 'none'))).toEqual([])
  })
})
