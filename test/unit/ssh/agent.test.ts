import {execFileSync} from 'node:child_process'
import {existsSync, lstatSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, expect, test} from '@jest/globals'

import {agentSocket, ensureAgent, stopAgent} from '../../../src/ssh/agent.ts'
import {generateKeyPair} from '../../../src/ssh/keys.ts'
import {isAlive} from '../../../src/system/process.ts'
import {eventually} from '../../support/run.ts'

const dir = mkdtempSync(join(tmpdir(), 'os-ssh-agent-'))
afterAll(async () => {
  await stopAgent(dir)
  rmSync(dir, {recursive: true})
})

test('ten callers share one agent, which takes a key from memory; stopped, it is gone', async () => {
  const agents = await Promise.all(Array.from({length: 10}, () => ensureAgent(dir)))
  const pair = generateKeyPair('me')
  await agents[0]?.add(pair.privateKey, 60)
  for (const agent of agents) {
    expect(await agent.keys()).toEqual([pair.publicKey.replace(/ me$/, '')])
  }
  await stopAgent(dir)
  // A socket that nobody answers on is what a killed agent leaves.
  writeFileSync(agentSocket(dir), '')
  expect(await (await ensureAgent(dir)).keys()).toEqual([])
}, 20_000)

test('a socket path that no system takes is said to be too long', async () => {
  await expect(ensureAgent(join(dir, 'x'.repeat(100)))).rejects.toMatchObject({code: 'CONFIG'})
})

test('it forgets a key when its life is over, and until then signs without asking anybody', async () => {
  const agent = await ensureAgent(dir)
  const [short, long] = [generateKeyPair('short'), generateKeyPair('long')]
  await agent.add(long.privateKey, 600)
  await agent.add(short.privateKey, 0.5)
  const file = join(dir, 'long.pub')
  writeFileSync(file, long.publicKey)
  const env = {PATH: process.env['PATH'], SSH_AUTH_SOCK: agent.socket}
  expect(
    execFileSync('ssh-keygen', ['-q', '-Y', 'sign', '-n', 'test', '-f', file], {
      ...{input: 'text', encoding: 'utf8', env, stdio: ['pipe', 'pipe', 'ignore']},
    }),
  ).toMatch(/^-----BEGIN SSH SIGNATURE-----\n/)
  const left = await eventually(
    () => agent.keys(),
    keys => keys.length < 2,
    4000,
  )
  expect(left).toEqual([long.publicKey.replace(/ long$/, '')])
})

test('its socket is its user’s alone, and stopping it ends its process', async () => {
  const {socket} = await ensureAgent(dir)
  expect(lstatSync(socket).mode & 0o777).toBe(0o600)
  const pid = Number(readFileSync(join(dir, 'agent.pid'), 'utf8'))
  expect(isAlive(pid)).toBe(true)
  await stopAgent(dir)
  const lives = async () => isAlive(pid)
  expect(await eventually(lives, one => !one, 5000)).toBe(false)
  expect(['agent', 'agent.pid'].filter(name => existsSync(join(dir, name)))).toEqual([])
})

test('a pid that was written down is nobody’s agent unless its socket answers', async () => {
  writeFileSync(join(dir, 'agent.pid'), String(process.pid))
  await stopAgent(dir)
  expect(existsSync(join(dir, 'agent.pid'))).toBe(false)
})

test('what it does not take as a key is no secret that was kept', async () => {
  await expect((await ensureAgent(dir)).add('no key', 60)).rejects.toMatchObject({
    code: 'BUG',
    message: expect.stringMatching(/^ssh-add did not take the key: ./),
  })
})
