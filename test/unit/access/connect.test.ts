import {mkdirSync, mkdtempSync, rmSync, symlinkSync, unlinkSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, beforeAll, beforeEach, describe, expect, it} from '@jest/globals'

import {connect} from '../../../src/access/connect.ts'
import {configHosts} from '../../../src/access/hosts.ts'
import {pathFiles} from '../../../src/access/path-files.ts'
import type {Session} from '../../../src/access/session.ts'
import type {KeychainKind} from '../../../src/keychain/keychain.ts'
import {ensureAgent, stopAgent} from '../../../src/ssh/agent.ts'
import {generateKeyPair, md5Fingerprint} from '../../../src/ssh/keys.ts'
import {packageRoot, runtimeDirectory} from '../../../src/system/directories.ts'

/* What ssh is started with, and what stands in its configuration; the cloud is asked only when it must be. */

const VM = '3f2a7c1e-0000-4000-8000-000000000001'
const home = mkdtempSync(join(tmpdir(), 'os-ssh-c-'))
const env = {HOME: home, XDG_RUNTIME_DIR: `${home}/run`, OS_CLIENT_CONFIG_FILE: `${home}/none.yaml`}
const was = {...process.env}
const later = Math.floor(Date.now() / 1000) + 3600
let directory: string
let files: ReturnType<typeof pathFiles>

beforeAll(async () => {
  process.env['HOME'] = home
  for (const made of ['run', '.ssh', '.ssh/os-ssh']) mkdirSync(join(home, made), {mode: 0o700})
  directory = await runtimeDirectory('lab', env)
  files = pathFiles(directory, VM)
  await (await ensureAgent(directory)).add(generateKeyPair('k').privateKey, 600)
})
afterAll(async () => {
  await stopAgent(directory)
  process.env = was
  rmSync(home, {recursive: true})
})
beforeEach(() => {
  writeFileSync(`${home}/.ssh/os-ssh/known_hosts`, `${VM} ssh-ed25519 AAAA\n`)
  writeFileSync(files.state, `${later} 100.64.0.16 22 gate ${later} path 1\n`)
  writeFileSync(files.connect, `Host ${VM}\n`)
})

describe('connect', () => {
  it('no word of a command is an option of ssh, and no option is a command', async () => {
    const options = {cloud: 'lab', env, vm: VM}
    expect(await connect(options)).toEqual(['-F', files.connect, '--', VM])
    expect(
      await connect({...options, sshOptions: ['-v', '-L', '1:a:1'], command: ['-oProxyCommand=id', 'x']}),
    ).toEqual(['-F', files.connect, '-v', '-L', '1:a:1', '--', VM, '-oProxyCommand=id', 'x'])
  })

  /** The cloud is not even configured: to ask it is a fault. */
  const asks = (options: Partial<Parameters<typeof connect>[0]> = {}) =>
    expect(connect({cloud: 'lab', env, vm: VM, ...options})).rejects.toMatchObject({code: 'CLOUDS_YAML'})

  it('a name, another cloud, a path that is old and one that is not there are asked for', async () => {
    await asks({vm: 'web'})
    await asks({vm: VM.toUpperCase()})
    await asks({cloud: 'other'})
    await asks({cloud: undefined})
    writeFileSync(files.state, `1 100.64.0.16 22 gate ${later} path 1\n`)
    await asks()
    unlinkSync(files.state)
    await asks()
  })

  it('so is one without a configuration of its VM, or whose host key is not pinned', async () => {
    unlinkSync(files.connect)
    await asks()
    writeFileSync(files.connect, '')
    writeFileSync(`${home}/.ssh/os-ssh/known_hosts`, '')
    await asks()
  })
})

describe('the hosts of a configuration', () => {
  const [mine, agents] = [generateKeyPair('mine'), generateKeyPair('agents')]
  const session = (kind: KeychainKind, refused = false) => {
    const list = <T>(all: T) => (refused ? Promise.reject(new Error('no')) : Promise.resolve(all))
    const pairs = [
      {name: 'one', fingerprint: md5Fingerprint(mine.publicKey)},
      {name: 'two', fingerprint: `MD5:${md5Fingerprint(agents.publicKey)}`},
    ]
    const images = [
      {id: 'i', os_distro: 'ubuntu'},
      {id: 'j', os_admin_user: 'root\n  ProxyCommand id'},
    ]
    return {
      ...{name: 'lab', keychain: {kind}, token: async () => ({project: {id: 'p', name: 'shop'}})},
      cloud: {image: {images: () => list(images)}, compute: {keyPairs: () => list(pairs)}},
    } as unknown as Session
  }
  const vm = (more: object) => ({id: VM, name: 'web', ...more}) as never
  const hosts = (of: Session, more: object = {}) => configHosts(of, [vm(more)])

  it('name who to log in as, and the key that is here', async () => {
    writeFileSync(`${home}/.ssh/id_mine.pub`, mine.publicKey)
    writeFileSync(`${home}/.ssh/id_mine`, mine.privateKey, {mode: 0o600})
    writeFileSync(`${home}/.ssh/agents.pub`, agents.publicKey)
    writeFileSync(`${home}/.ssh/x-cert.pub`, agents.publicKey)
    writeFileSync(`${home}/.ssh/a.pub`, 'no key')
    symlinkSync('nowhere', `${home}/.ssh/b.pub`)
    const of = async (key_name: string, image: string) => {
      const [host] = await hosts(session('file'), {key_name, image: {id: image}})
      return [host?.user, host?.identityFile, host?.project]
    }
    expect(await of('one', 'i')).toEqual(['ubuntu', `"${home}/.ssh/id_mine"`, 'shop'])
    // Its private half is not here: the public one chooses it in the user's agent.
    expect(await of('two', 'k')).toEqual([undefined, `"${home}/.ssh/agents.pub"`, 'shop'])
    expect(await of('three', 'j')).toEqual([undefined, undefined, 'shop'])
  })

  it.each([
    ['system', ''],
    ['file', ' file'],
    ['agent', ' agent'],
  ] as const)('say where the keychain %s is, as editors have no variables of a shell', async (kind, word) => {
    const [host] = await hosts(session(kind))
    expect(host?.proxyCommand).toBe(`"${packageRoot()}/bin/proxy" lab ${VM}${word}`)
  })

  it('are there for who may read neither images nor keys', async () => {
    expect(await hosts(session('system', true), {key_name: 'one', image: {id: 'i'}})).toMatchObject([
      {id: VM, user: undefined, identityFile: undefined},
    ])
  })
})
