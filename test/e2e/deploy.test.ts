import {writeFileSync} from 'node:fs'

import {afterAll, beforeAll, describe, expect, it, jest} from '@jest/globals'

import type {Gate, GatePlan} from '../../src/protocol/index.ts'
import {World} from '../support/world.ts'

/* Gates that the service makes itself, by an operator's word. */

jest.setTimeout(300_000)

let world: World
beforeAll(async () => {
  world = await World.open('e2e-deploy', {gate: 'none'})
}, 180_000)
afterAll(() => world?.close())

const gate = (...words: string[]) => world.cli('service', ['gate', ...words], {timeout: 240_000})
const gates = async () => JSON.parse((await gate('list', '-f', 'json')).stdout) as Gate[]

describe('an operator', () => {
  it('is told what would be made, and nothing is', async () => {
    const {stdout, stderr, status} = await gate('deploy', '--dry-run', '-f', 'json')
    expect([status, stderr]).toEqual([0, ''])
    expect(JSON.parse(stdout)).toMatchObject({network: 'gates', address: 'floating of public', count: 1})
    expect(await gates()).toEqual([])
  })

  it('has one made, and a user comes through it', async () => {
    const {stdout, stderr, status} = await gate('deploy', '--shared', '-f', 'json')
    expect([status, stderr]).toEqual([0, ''])
    expect(JSON.parse(stdout)).toMatchObject([{state: 'ready'}])
    const ssh = await world.cli('tenant1', ['connect', 't1-web', '--', 'uname', '-n'])
    expect([ssh.stderr, ssh.stdout]).toEqual(['', 't1-web\n'])
  })
})
