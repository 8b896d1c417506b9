import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, expect, test} from '@jest/globals'

import {agentSocket, ensureAgent, stopAgent} from '../../../src/ssh/agent.ts'
import {generateKeyPair} from '../../../src/ssh/keys.ts'

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
