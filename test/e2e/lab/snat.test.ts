import {type ChildProcess, spawn} from 'node:child_process'
import {mkdtempSync, readFileSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {createInterface} from 'node:readline'
import {fileURLToPath} from 'node:url'

import {afterAll, afterEach, beforeAll, describe, expect, it} from '@jest/globals'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const clouds: ChildProcess[] = []
let home = ''

beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'snat-'))
})
afterEach(() => {
  for (const cloud of clouds.splice(0)) cloud.stdin?.end()
})
afterAll(() => rmSync(home, {recursive: true}))

/** The benchmark's cloud, small, with one listing broken on request; gives its address. */
async function cloud(broken = ''): Promise<string> {
  const script = join(root, 'test/bench/snat-10k-cloud.ts')
  const child = spawn(process.execPath, [script, '12', '90', broken], {stdio: ['pipe', 'pipe', 'inherit']})
  clouds.push(child)
  return new Promise(resolve => createInterface({input: child.stdout}).once('line', resolve))
}

async function snat(url: string, ...words: string[]) {
  const env = {
    PATH: process.env['PATH'],
    HOME: home,
    XDG_RUNTIME_DIR: home,
    OS_AUTH_URL: `${url}/v3`,
    OS_USERNAME: 'admin',
    OS_PASSWORD: 'x',
    OS_PROJECT_NAME: 'admin',
    OS_USER_DOMAIN_NAME: 'Default',
    OS_PROJECT_DOMAIN_NAME: 'Default',
  }
  const child = spawn(process.execPath, [join(root, 'bin/dev.js'), 'snat', ...words], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', chunk => {
    stdout += String(chunk)
  })
  child.stderr.on('data', chunk => {
    stderr += String(chunk)
  })
  const exit = await new Promise(resolve => child.once('close', resolve))
  return {stdout, stderr, exit}
}

describe('os-ssh snat against an API', () => {
  it('lists every router as JSON and ends with 0', async () => {
    const {stdout, exit} = await snat(await cloud(), 'status', '-f', 'json')
    expect(exit).toBe(0)
    const modes = (JSON.parse(stdout) as {mode: string}[]).map(row => row.mode)
    expect(Object.groupBy(modes, mode => mode)).toMatchObject({
      'central-legacy': {length: 3},
      'central-ha': {length: 3},
      'dvr-central': {length: 3},
      'dvr-ha': {length: 3},
    })
  })

  it('gives what it has when a listing answers 503, says so, and ends with 69', async () => {
    const {stdout, stderr, exit} = await snat(await cloud('floatingips'), 'status', '-f', 'value', '-c', 'id')
    expect(stdout.trim().split('\n')).toHaveLength(12)
    expect(stderr).toMatch(/note: floatingIps: failed/)
    expect(exit).toBe(69)
  }, 60_000)

  it('takes 403 on a listing as a matter of roles: no failure', async () => {
    const {stderr, exit} = await snat(await cloud('agents:403'), 'status', '-f', 'value', '-c', 'id')
    expect(stderr).toMatch(/note: agents: needs admin/)
    expect(exit).toBe(0)
  })

  it('ends with 66 for a router that is not there, and 64 for nonsense', async () => {
    const url = await cloud()
    expect((await snat(url, 'show', 'nope')).exit).toBe(66)
    expect((await snat(url, 'compare', '--growth', 'nonsense')).exit).toBe(64)
  })

  it('draws what it compares', async () => {
    const file = join(home, 'compare.svg')
    expect((await snat(await cloud(), 'compare', '--svg', file)).exit).toBe(0)
    expect(readFileSync(file, 'utf8')).toMatch(/^<svg.*number of compute nodes.*<\/svg>\n$/s)
  })
})
