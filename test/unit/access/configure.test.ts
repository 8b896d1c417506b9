import {existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, afterEach, beforeEach, describe, expect, it} from '@jest/globals'

import {applyChanges, configText, planRemove, planWrite, showChanges} from '../../../src/access/configure.ts'
import type {Session} from '../../../src/access/session.ts'
import {type ErrorCode, OsSshError} from '../../../src/errors.ts'
import {OpenStackError} from '../../../src/openstack/errors.ts'
import {stopAgent} from '../../../src/ssh/agent.ts'
import {signUserCertificate} from '../../../src/ssh/certificate.ts'
import {generateKeyPair} from '../../../src/ssh/keys.ts'

/* The ssh_config that a user gets: of which VMs, with or without paths, and what becomes of one that cannot be reached. */

const uuid = (n: number) => `3f2a7c1e-0000-4000-8000-00000000000${n}`
const home = mkdtempSync(join(tmpdir(), 'os-ssh-conf-'))
const directory = `${home}/run`
const was = {...process.env}
const [ca, host] = [generateKeyPair('ca'), generateKeyPair('vm').publicKey]
const HOUR = 3_600_000
const end = new Date(Math.floor(Date.now() / 1000) * 1000 + HOUR)

let servers: {id: string; name: string}[]
/** What the service says of a VM instead of granting a path. */
let faults: Map<string, ErrorCode>
let said: string[]
let lives: unknown[]
let hasKeychain: boolean

const request = async (
  _: string,
  __: string,
  body: {server_id: string; public_key: string; life: number},
) => {
  const {server_id: id, public_key, life} = body
  lives.push(life)
  const code = faults.get(id)
  if (code !== undefined) throw new OsSshError(code, 'said', {hint: 'do that'})
  const until = new Date(end.getTime() + HOUR * Number(id.at(-1)))
  const valid = {validAfter: new Date(0), validBefore: until}
  const signed = {
    caPrivateKey: ca.privateKey,
    publicKey: public_key,
    serial: 1n,
    keyId: 'k',
    principals: ['p'],
  }
  return {
    ...{id: `path-${id.at(-1)}`, state: 'active', server_id: id, alias: `100.64.0.${id.at(-1)}`, port: 22},
    ...{login: 'osp1', expires_at: until.toISOString(), certificate_until: until.toISOString()},
    gate: {id: 'gate-1', name: 'g', host: '192.0.2.7', port: 22},
    ...{certificate: signUserCertificate({...signed, ...valid}), host_ca: ca.publicKey, host_keys: [host]},
  }
}
const session = {
  ...{name: 'lab', directory, keychain: {kind: 'agent'}, progress: () => undefined},
  say: (line: string) => said.push(line),
  during: <T>(_: string, work: Promise<T>) => work,
  token: async () => ({user: {id: 'u', name: 'alice'}, project: {id: 'p', name: 'shop'}}),
  needKeychain() {
    if (!hasKeychain) throw new OsSshError('NO_KEYCHAIN', 'none')
  },
  service: async () => ({endpoint: 'fake', request}),
  cloud: {
    image: {images: async () => []},
    compute: {
      servers: async () => servers,
      async server(id: string) {
        const found = servers.find(one => one.id === id)
        if (found === undefined) throw new OpenStackError('not-found', 'no')
        return found
      },
    },
  },
} as unknown as Session

beforeEach(() => {
  process.env['HOME'] = home
  process.env['XDG_STATE_HOME'] = `${home}/state`
  for (const made of [directory, `${home}/.ssh`]) mkdirSync(made, {mode: 0o700})
  servers = [1, 2].map(n => ({id: uuid(n), name: `vm${n}`}))
  ;[faults, said, lives, hasKeychain] = [new Map(), [], [], true]
})
afterEach(async () => {
  await stopAgent(directory)
  process.env = {...was}
  for (const made of [directory, `${home}/.ssh`]) rmSync(made, {recursive: true})
})
afterAll(() => rmSync(home, {recursive: true}))

const hosts = (text: string) => [...text.matchAll(/^Host (.*)$/gm)].map(([, names]) => names)
const whole = (n: number) => `${uuid(n)} vm${n} vm${n}.shop`

describe('the text', () => {
  it('has all VMs, or those that are named, and makes no path', async () => {
    expect(hosts(await configText(session, {vms: []}))).toEqual([whole(1), whole(2)])
    expect(hosts(await configText(session, {vms: ['vm2', uuid(2), 'VM2']}))).toEqual([whole(2)])
    expect([lives, said]).toEqual([[], []])
    // And bin/proxy knows by which Node.
    expect(readFileSync(`${home}/state/os-ssh/node`, 'utf8')).toBe(`${process.execPath}\n`)
  })

  it('of no VM is none', async () => {
    servers = []
    await expect(configText(session, {vms: []})).rejects.toMatchObject({
      ...{code: 'NOT_FOUND', message: 'you see no VM in this project'},
    })
  })

  it('leaves a name to its user who has it already, and says so', async () => {
    writeFileSync(`${home}/.ssh/config`, '# mine\nHost vm1\n  HostName 192.0.2.1\n')
    expect(hosts(await configText(session, {vms: ['vm1']}))).toEqual([`${uuid(1)} vm1.shop`])
    expect(said).toEqual([`vm1 stays what it is in ${home}/.ssh/config, line 2: that VM is ${uuid(1)} here`])
  })
})

describe('with paths in it', () => {
  const fixed = (...vms: string[]) => configText(session, {vms, static: true})

  it('is asked for as long a life as there is, and says when the first one ends', async () => {
    const text = await fixed()
    expect(hosts(text)).toEqual([`gate-1-${uuid(1)}`, `gate-1-${uuid(2)}`, whole(1), whole(2)])
    expect(text).toContain(`\n  ProxyJump gate-1-${uuid(2)}\n`)
    expect(text).not.toContain('ProxyCommand')
    expect(lives).toEqual([2_592_000, 2_592_000])
    const first = new Date(end.getTime() + HOUR).toISOString()
    expect(said.at(-1)).toBe(`nothing renews these paths: their certificates are good until ${first}`)
  })

  it('one that cannot be reached is left out, unless it was named', async () => {
    faults.set(uuid(1), 'VM_OFF')
    expect(hosts(await fixed())).toEqual([`gate-1-${uuid(2)}`, whole(2)])
    expect(said[1]).toBe(`left out: vm1 (${uuid(1)}): said`)
    for (const word of [uuid(1), 'vm1'])
      await expect(fixed('vm2', word)).rejects.toMatchObject({
        ...{code: 'VM_OFF', message: `vm1 (${uuid(1)}): said`, suggestions: ['do that']},
      })
  })

  it('what says something of all of them is the end', async () => {
    for (const code of ['SERVICE_DOWN', 'NO_GATE', 'NOT_LOGGED_IN'] as const) {
      faults.set(uuid(1), code)
      await expect(fixed()).rejects.toMatchObject({code, message: `vm1 (${uuid(1)}): said`})
    }
    expect(lives).toHaveLength(3)
  })

  it('of none that can be reached is none: the first fault is said', async () => {
    faults = new Map([
      [uuid(1), 'VM_OFF'],
      [uuid(2), 'DENIED'],
    ])
    await expect(fixed()).rejects.toMatchObject({code: 'VM_OFF', message: `vm1 (${uuid(1)}): said`})
  })
})

describe('written', () => {
  it('is what no keychain would make an empty promise, and then nothing is looked at', async () => {
    hasKeychain = false
    servers = []
    await expect(planWrite(session, {vms: []})).rejects.toMatchObject({code: 'NO_KEYCHAIN'})
  })

  it('VMs that are named join those that are there, as long as they are seen, and all of it goes again', async () => {
    await applyChanges(await planWrite(session, {vms: ['vm1']}))
    const changes = await planWrite(session, {vms: ['vm2']})
    expect(await showChanges(changes)).toContain(`\n+Host ${whole(2)}\n`)
    await applyChanges(changes)
    const file = `${home}/.ssh/os-ssh/config`
    expect(hosts(readFileSync(file, 'utf8'))).toEqual([whole(1), whole(2)])
    servers = servers.slice(1)
    await applyChanges(await planWrite(session, {vms: ['vm2']}))
    expect(hosts(readFileSync(file, 'utf8'))).toEqual([whole(2)])
    await applyChanges(await planRemove(session))
    expect([existsSync(file), readFileSync(`${home}/.ssh/config`, 'utf8')]).toEqual([false, ''])
  })
})
