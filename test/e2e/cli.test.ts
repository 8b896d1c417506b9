import {readFileSync, statSync, writeFileSync} from 'node:fs'

import {afterAll, beforeAll, describe, expect, it, jest} from '@jest/globals'

import {run} from '../support/run.ts'
import {World} from '../support/world.ts'

/* os-ssh as its users run it: the built program, the system's OpenSSH, the lab's VMs. */

jest.setTimeout(180_000)

let world: World
let config: string
beforeAll(async () => {
  world = await World.open('e2e-cli')
  config = `${world.home}/config`
  const {stdout} = await world.cli('tenant1', ['config', '--all'])
  writeFileSync(config, stdout, {mode: 0o600})
})
afterAll(() => world?.close())

const ssh = (...args: string[]) => run('ssh', ['-F', config, ...args], {env: world.env, timeout: 40_000})
const tool = (command: string, ...args: string[]) => run(command, args, {env: world.env, timeout: 40_000})

describe('list', () => {
  it('shows what the user may see and nothing else', async () => {
    const {stdout} = await world.cli('tenant2', ['list', '-f', 'json'])
    expect(
      JSON.parse(stdout)
        .map((vm: {name: string}) => vm.name)
        .sort(),
    ).toEqual(['t2-db', 't2-web'])
  })

  it('prints single columns as values', async () => {
    const {stdout} = await world.cli('tenant2', ['list', '-f', 'value', '-c', 'Name'])
    expect(stdout.trim().split('\n').sort()).toEqual(['t2-db', 't2-web'])
  })
})

describe('connect', () => {
  it.each([
    ['UUID', () => world.server('t1-web')],
    ['prefix', () => world.server('t1-web').slice(0, 8)],
    ['name', () => 't1-web'],
  ])('takes a %s', async (_, vm) => {
    expect(await world.cli('tenant1', ['connect', vm(), '--', 'uname', '-n'])).toMatchObject({
      status: 0,
      stdout: 't1-web\n',
    })
  })

  it('passes the remote exit status, standard input and ssh’s own options', async () => {
    expect((await world.cli('tenant1', ['connect', 't1-db', '--', 'exit', '42'])).status).toBe(42)
    const piped = await world.cli('tenant1', ['connect', 't1-db', '-o', 'LogLevel=ERROR', '--', 'cat'], {
      input: 'in and out',
    })
    expect(piped.stdout).toBe('in and out')
  })

  it('reaches the same address in each tenant’s own network', async () => {
    const [one, two] = await Promise.all([
      world.cli('tenant1', ['connect', 't1-db', '--', 'uname', '-n']),
      world.cli('tenant2', ['connect', 't2-db', '--', 'uname', '-n']),
    ])
    expect([one.stdout, two.stdout]).toEqual(['t1-db\n', 't2-db\n'])
  })
})

describe('config', () => {
  it('serves ssh, scp, sftp and rsync', async () => {
    const vm = world.server('t1-db')
    expect(await ssh(vm, 'uname', '-n')).toMatchObject({status: 0, stdout: 't1-db\n'})
    writeFileSync(`${world.home}/file`, 'content')
    expect(await tool('scp', '-q', '-F', config, `${world.home}/file`, `${vm}:copy`)).toMatchObject({
      status: 0,
    })
    expect((await ssh('t1-db', 'cat', 'copy')).stdout).toBe('content')
    const batch = await run('sftp', ['-q', '-F', config, '-b', '-', vm], {env: world.env, input: 'ls copy\n'})
    expect(batch.stdout).toContain('copy')
    const mirrored = await tool('rsync', '-e', `ssh -F ${config}`, `${vm}:copy`, `${world.home}/back`)
    // The VM has rsync because it shares this machine's /usr.
    expect(mirrored).toMatchObject({status: 0})
    expect(readFileSync(`${world.home}/back`, 'utf8')).toBe('content')
  })

  it('asks nothing and writes nothing into the user’s known_hosts', async () => {
    await ssh('t1-web', 'true')
    expect(() => statSync(`${world.home}/.ssh/known_hosts`)).toThrow()
  })

  it('is the same every time, and harmless twice in one file and after anything', async () => {
    const again = await world.cli('tenant1', ['config', '--all'])
    const once = readFileSync(config, 'utf8')
    expect(again.stdout).toBe(once)
    const twice = `${world.home}/twice`
    writeFileSync(twice, `Host foreign\n    User nobody\n${once}${once}`, {mode: 0o600})
    const {stdout} = await run('ssh', ['-F', twice, world.server('t1-web'), 'uname', '-n'], {env: world.env})
    expect(stdout).toBe('t1-web\n')
    expect((await run('ssh', ['-G', '-F', twice, 'foreign'], {env: world.env})).stdout).toContain(
      'user nobody',
    )
  })

  it('starts one renewal for ten ssh at once', async () => {
    await world.cli('tenant1', ['paths', 'revoke', world.server('t1-app')])
    const before = (await world.paths('tenant1')).length
    const answers = await Promise.all(Array.from({length: 10}, () => ssh('t1-app', 'uname', '-n')))
    expect(answers.map(answer => answer.stdout)).toEqual(Array(10).fill('t1-app\n'))
    expect((await world.paths('tenant1')).length).toBe(before + 1)
  })

  it('goes on by itself after a revocation', async () => {
    await ssh('t1-web', 'true')
    expect((await world.cli('tenant1', ['paths', 'revoke', 't1-web'])).status).toBe(0)
    expect(await ssh('t1-web', 'uname', '-n')).toMatchObject({stdout: 't1-web\n'})
  })
})

describe('what cannot work ends with its own status and sentence', () => {
  it.each([
    ['an unknown VM', 66, ['connect', 'no-such-vm', '--', 'true']],
    ['a VM of another project', 66, ['connect', () => world.server('t2-web'), '--', 'true']],
    ['a VM that is off', 75, ['connect', 't1-off', '--', 'true']],
    ['a VM without an address', 75, ['connect', 't1-bare', '--', 'true']],
    ['an unknown flag', 64, ['list', '--no-such-flag']],
    ['an unknown column', 64, ['list', '-c', 'nothing']],
  ] as [string, number, (string | (() => string))[]][])('%s', async (_, status, words) => {
    const result = await world.cli(
      'tenant1',
      words.map(word => (typeof word === 'string' ? word : word())),
    )
    expect(result).toMatchObject({status, stderr: expect.stringMatching(/^error: .+/m)})
    expect(result.stderr).not.toMatch(/\n\s+at /)
  })

  it('another project’s VM looks exactly like one that does not exist', async () => {
    const foreign = await world.cli('tenant1', ['connect', world.server('t2-web'), '--', 'true'])
    const unknown = await world.cli('tenant1', [
      'connect',
      '00000000-0000-4000-8000-000000000000',
      '--',
      'true',
    ])
    const neutral = (text: string) => text.replace(/[0-9a-f-]{36}/g, 'ID')
    expect(neutral(foreign.stderr)).toBe(neutral(unknown.stderr))
  })

  it('a reader', async () => {
    expect(await world.cli('reader', ['connect', 't1-web', '--', 'true'])).toMatchObject({status: 77})
  })

  it('a wrong password, and a cloud that does not exist', async () => {
    const wrong = await world.cli('tenant1', ['list'], {env: {OS_PASSWORD: 'wrong', OS_CLOUD: 'nowhere'}})
    expect(wrong.status).toBe(64)
    const broken = `${world.home}/broken.yaml`
    writeFileSync(broken, 'clouds:\n  a:\n    auth: {auth_url: [\n')
    const malformed = await world.cli('a', ['list'], {env: {OS_CLIENT_CONFIG_FILE: broken}})
    expect(malformed).toMatchObject({
      status: 64,
      stderr: expect.stringMatching(/broken\.yaml.*(line|:)\s*\d/s),
    })
  })

  it('a service that is down', async () => {
    await world.cli('tenant1', ['logout'])
    const down = await world.cli('tenant1', ['connect', 't1-web', '--', 'true'], {
      env: {OS_SSH_ENDPOINT: 'http://127.0.0.1:1'},
    })
    expect(down).toMatchObject({status: 69, stderr: expect.stringContaining('error: ')})
  })
})

describe('a path that does not work any more', () => {
  /** Ends it behind this machine's back. */
  const revokeElsewhere = async () => {
    for (const path of await world.paths('tenant1'))
      await world.api('tenant1', 'DELETE', `/v1/paths/${path.id}`)
  }

  it('is asked for again, and standard input gets through whole', async () => {
    const vm = world.server('t1-web')
    expect((await ssh(vm, 'true')).status).toBe(0)
    await revokeElsewhere()
    const {status, stdout, stderr} = await run('ssh', ['-F', config, vm, 'cat'], {
      env: world.env,
      input: 'all of it',
      timeout: 60_000,
    })
    expect({status, stdout, stderr}).toEqual({status: 0, stdout: 'all of it', stderr: ''})
  })

  it('or says in one line why there is none', async () => {
    const vm = world.server('t1-web')
    expect((await ssh(vm, 'true')).status).toBe(0)
    await revokeElsewhere()
    await world.stopService()
    const {status, stderr} = await ssh(vm, 'true')
    await world.startService('service')
    expect(status).toBe(255)
    expect(stderr).toMatch(
      /^error: the SSH service at \S+ does not answer: .*\nhint: {2}.*\n(kex_exchange_identification: .*\r?\n)?Connection closed by UNKNOWN port 65535\r?\n$/,
    )
  })
})
