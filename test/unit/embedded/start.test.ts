import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {chownSync, lstatSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {createServer, type Server} from 'node:http'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterEach, expect, it} from '@jest/globals'
import fc from 'fast-check'

import {socketOf} from '../../../src/embedded/place.ts'
import {ensureService, isOlder, leaveAt, versionAt} from '../../../src/embedded/start.ts'

/* What a client finds at the socket, and what it makes of it. */

let place: {state: string; run: string}
let servers: Server[] = []
afterEach(async () => {
  for (const server of servers) await new Promise(done => server.close(done))
  servers = []
  if (place) rmSync(place.run, {recursive: true, force: true})
})

function anyPlace() {
  const run = mkdtempSync(join(tmpdir(), 'os-ssh-start-'))
  place = {run, state: join(run, 'state')}
  return place
}

/** Something that answers everything with this text. */
async function answering(text: string, file = socketOf(anyPlace())): Promise<void> {
  const server = createServer((_, response) => response.end(text))
  servers.push(server)
  await new Promise<void>(done => server.listen(file, done))
}

const never = () => Promise.reject(new Error('nothing should be started'))

it.each([
  ['0.1.0', '0.2.0', true],
  ['0.9.9', '0.10.0', true],
  ['1.0.0', '0.99.99', false],
  ['1.2.3', '1.2.3', false],
  ['1.2', '1.2.0', false],
  ['nonsense', '0.0.1', true],
  ['', '0.0.1', true],
  ['1.2.3-rc.1', '1.2.3', false],
])('%j is older than %j: %j', (a, b, older) => {
  expect(isOlder(a, b)).toBe(older)
})

it('of two versions one is older, or they are the same', () => {
  const version = fc.tuple(fc.nat(30), fc.nat(30), fc.nat(30))
  fc.assert(
    fc.property(version, version, (a, b) => {
      const [one, other] = [a.join('.'), b.join('.')]
      const older = [isOlder(one, other), isOlder(other, one)]
      expect(older.filter(Boolean)).toHaveLength(one === other ? 0 : 1)
    }),
  )
})

it('nobody answers where there is no socket, or one that a killed process left', async () => {
  expect(await versionAt(anyPlace())).toBeUndefined()
  expect(await leaveAt(place)).toBe(false)
  const code = `require('net').createServer().listen(${JSON.stringify(socketOf(place))}, () => console.log())`
  const child = spawn(process.execPath, ['-e', code])
  await once(child.stdout, 'data')
  child.kill('SIGKILL')
  await once(child, 'exit')
  expect(lstatSync(socketOf(place)).isSocket()).toBe(true)
  expect(await versionAt(place)).toBeUndefined()
  expect(await leaveAt(place)).toBe(false)
})

it('one of this version, or of a newer one, is used as it is', async () => {
  await answering('{"version": "0.2.0"}')
  expect(await versionAt(place)).toBe('0.2.0')
  await ensureService(place, '0.2.0', never)
  await ensureService(place, '0.1.9', never)
})

it('what answers otherwise is no service of ours', async () => {
  await answering('hello')
  await expect(ensureService(place, '0.2.0', never)).rejects.toMatchObject({
    code: 'SERVICE_DOWN',
    message: `what answers at ${socketOf(place)} is no service of os-ssh`,
  })
})

const squatted = {
  code: 'DENIED',
  suggestions: ['somebody has put it there: look who, and remove it'],
}

it('a file in the place of the socket is nobody’s service', async () => {
  writeFileSync(socketOf(anyPlace()), '')
  await expect(ensureService(place, '0.2.0', never)).rejects.toMatchObject({
    ...squatted,
    message: `${socketOf(place)} is not a socket of yours`,
  })
})

// Only root can give a socket to somebody.
const asRoot = process.getuid?.() === 0 ? it : it.skip
asRoot('a socket of another user gets no token, and no order to leave', async () => {
  await answering('{"version": "9.9.9"}')
  chownSync(socketOf(place), 65534, 65534)
  const denied = {...squatted, message: `${socketOf(place)} is not a socket of yours`}
  await expect(ensureService(place, '0.2.0', never)).rejects.toMatchObject(denied)
  await expect(leaveAt(place)).rejects.toMatchObject(denied)
})
