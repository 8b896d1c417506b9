import {chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, expect, it} from '@jest/globals'

import {newKeys, parseKeys} from '../../../src/embedded/keys.ts'
import {forget, readMark, writeMark} from '../../../src/embedded/mark.ts'
import {markOf, placeOf, socketOf} from '../../../src/embedded/place.ts'

/* Where a service of one's own lives, and what it finds there again. */

const dir = mkdtempSync(join(tmpdir(), 'os-ssh-place-'))
afterAll(() => rmSync(dir, {recursive: true}))
const place = {state: join(dir, 'state', 'mine'), run: dir}

it('lies in the state directory, under the name of the cloud', () => {
  const env = {HOME: '/home/alice'}
  expect(placeOf('mine', '/run/user/1/os-ssh/mine', env)).toEqual({
    state: '/home/alice/.local/state/os-ssh/embedded/mine',
    run: '/run/user/1/os-ssh/mine',
  })
  expect(placeOf('a/../b', '/run', env).state).toMatch(/embedded\/x-[0-9a-f]{16}$/)
})

it('a socket path that some system does not take is refused, the longest that all take is not', () => {
  const run = `/${'r'.repeat(103 - '//service.sock'.length)}`
  expect(Buffer.byteLength(socketOf(placeOf('mine', run)))).toBe(103)
  expect(() => placeOf('mine', `${run}r`)).toThrow(
    expect.objectContaining({
      code: 'CONFIG',
      message: `the path of the service's socket is too long: ${run}r/service.sock`,
      suggestions: ['set XDG_RUNTIME_DIR to a shorter directory'],
    }),
  )
})

it('keys are read as they were kept', () => {
  const keys = newKeys()
  expect(parseKeys(JSON.stringify(keys))).toEqual(keys)
})

it.each([
  ['nothing', ''],
  ['no JSON', '{"management":'],
  ['null', 'null'],
  ['one key that is missing', JSON.stringify({...newKeys(), host_ca: undefined})],
  ['one key that is none', JSON.stringify({...newKeys(), user_ca: 'ssh-ed25519 AAAA'})],
])('damaged keys are said to be, and never shown: %s', (_, text) => {
  expect(() => parseKeys(text)).toThrow(
    expect.objectContaining({
      code: 'CONFIG',
      message: 'the keys of the gates in the keychain are damaged',
      suggestions: ['os-ssh destroy takes away what they manage; then os-ssh init'],
    }),
  )
})

const mark = {service: '00000000-0000-4000-8000-000000000001', project: {id: 'p', name: 'tenant1'}}

it('what init has said is found again, by its user alone, until it is forgotten', async () => {
  expect(await readMark(place)).toBeUndefined()
  await writeMark(place, mark)
  await writeMark(place, {...mark, ending: true})
  expect(await readMark(place)).toEqual({...mark, ending: true})
  expect(statSync(markOf(place)).mode & 0o777).toBe(0o600)
  expect(statSync(place.state).mode & 0o777).toBe(0o700)
  chmodSync(markOf(place), 0o644)
  await writeMark(place, mark)
  expect(statSync(markOf(place)).mode & 0o777).toBe(0o600)
  await forget(place)
  expect(await readMark(place)).toBeUndefined()
})

it.each([
  '',
  'null',
  '{"service":',
  '{"service": "nonsense", "project": {"id": "p"}}',
  JSON.stringify({service: mark.service}),
  JSON.stringify({...mark, project: {id: 7}}),
])('a mark that is damaged is named, and left as it is: %j', async text => {
  await writeMark(place, mark)
  writeFileSync(markOf(place), text)
  await expect(readMark(place)).rejects.toMatchObject({
    code: 'CONFIG',
    message: `${markOf(place)} is damaged`,
    suggestions: ['remove it, and os-ssh init goes on from what there is'],
  })
  expect(readFileSync(markOf(place), 'utf8')).toBe(text)
})
