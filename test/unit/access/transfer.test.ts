import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterEach, beforeEach, expect, it} from '@jest/globals'

import {OwnFake, PROJECT, SERVICE} from './own-fake.ts'

const {exportService, importForStart, importService} = await import('../../../src/access/transfer.ts')
const {newKeys} = await import('../../../src/embedded/keys.ts')
const {readMark, writeMark} = await import('../../../src/embedded/mark.ts')
const {databaseOf, settingsOf} = await import('../../../src/embedded/place.ts')
const {openStore} = await import('../../../src/service/store/open.ts')

/* A service that goes to another machine: what it takes along, who may open it, and what it never overwrites. */

let dir: string
let own: OwnFake
let file: string
const mark = {service: SERVICE, project: PROJECT}
const keys = newKeys()
/** Another machine, of this cloud's same user. */
function machine(name: string): OwnFake {
  mkdirSync(`${dir}/${name}/run`, {recursive: true, mode: 0o700})
  return new OwnFake(`${dir}/${name}`)
}
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'os-ssh-t-'))
  own = machine('a')
  file = `${dir}/export`
  await writeMark(own.place, mark)
  own.secrets.set('service:mine', JSON.stringify(keys))
  writeFileSync(settingsOf(own.place), 'gates:\n  max: 3\n')
  const db = await openStore(databaseOf(own.place))
  await db.destroy()
})
afterEach(() => rmSync(dir, {recursive: true}))

const secret = async () => 'correct horse'
const never = () => Promise.reject(new Error('asked'))
const files = (place: string) => (existsSync(place) ? readdirSync(place).sort() : [])

it('is its user’s alone, says nothing without its passphrase, and goes on elsewhere', async () => {
  const asked: boolean[] = []
  await exportService(own.session, file, async first => {
    asked.push(first)
    return secret()
  })
  expect(asked).toEqual([true])
  expect(statSync(file).mode & 0o777).toBe(0o600)
  const text = readFileSync(file, 'utf8')
  for (const word of [SERVICE, 'shop', 'PRIVATE', 'gates:']) expect(text).not.toContain(word)
  // It goes on here until the other one has taken over.
  expect(await readMark(own.place)).toEqual(mark)

  const other = machine('b')
  await importService(other.session, file, secret)
  expect(await readMark(other.place)).toEqual(mark)
  expect(JSON.parse(other.secrets.get('service:mine') ?? '')).toEqual(keys)
  expect(readFileSync(settingsOf(other.place), 'utf8')).toBe('gates:\n  max: 3\n')
  expect(other.requests).toEqual(['GET /v1/service?fresh=true', 'GET /v1/gates'])
  for (const name of ['init.json', 'service.db', 'service.yaml'])
    expect([name, statSync(`${other.place.state}/${name}`).mode & 0o777]).toEqual([name, 0o600])
  other.stop()
})

it('there is nothing to export where init was not done, and nobody is asked for a passphrase', async () => {
  rmSync(own.place.state, {recursive: true})
  await expect(exportService(own.session, file, never)).rejects.toMatchObject({
    ...{code: 'NOT_FOUND', message: 'there are no gates of your own in cloud mine'},
  })
  expect(existsSync(file)).toBe(false)
})

it('a file that is there is not written over', async () => {
  for (const text of ['', 'mine']) {
    writeFileSync(file, text)
    await expect(exportService(own.session, file, never)).rejects.toMatchObject({
      ...{code: 'USAGE', message: `${file} is there already`},
      suggestions: ['name another file, or remove it'],
    })
    expect(readFileSync(file, 'utf8')).toBe(text)
  }
})

it('keys that are lost are not exported', async () => {
  own.secrets.clear()
  await expect(exportService(own.session, file, never)).rejects.toMatchObject({code: 'CONFIG'})
  expect(existsSync(file)).toBe(false)
})

it('who has gates of their own already keeps them', async () => {
  const theirs = {...mark, service: '00000000-0000-4000-8000-00000000000c'}
  const other = machine('b')
  await writeMark(other.place, theirs)
  await expect(importService(other.session, file, never)).rejects.toMatchObject({
    ...{code: 'USAGE', message: 'cloud mine has gates of your own on this machine already'},
    suggestions: ['os-ssh destroy takes them away'],
  })
  expect(await readMark(other.place)).toEqual(theirs)
})

it('neither a wrong passphrase nor another project leaves anything here', async () => {
  await exportService(own.session, file, secret)
  const other = machine('b')
  await expect(importService(other.session, file, async () => 'wrong')).rejects.toMatchObject({
    ...{code: 'USAGE', message: 'the passphrase does not open this file, or it is damaged'},
  })
  for (const project of [{id: 'p2', name: 'bank'}, undefined]) {
    other.project = project
    await expect(importService(other.session, file, secret)).rejects.toMatchObject({
      code: 'CONFIG',
      message: `the gates of export are in project shop, and you are in ${project?.name ?? 'none'}`,
    })
  }
  await expect(importService(other.session, `${dir}/none`, never)).rejects.toMatchObject({
    ...{code: 'USAGE', message: expect.stringMatching(/none cannot be read: ENOENT/)},
  })
  expect([files(other.place.state), other.secrets.size, other.starts.length]).toEqual([[], 0, 0])
})

it('a server takes it where it has no service yet, and only there', async () => {
  await exportService(own.session, file, secret)
  const server = `${dir}/server`
  expect(await importForStart(server, file, secret)).toEqual({
    ...{config: `${server}/service.yaml`, project: 'shop'},
  })
  const before = readFileSync(`${server}/ca/user_ca`, 'utf8')
  await expect(importForStart(server, file, never)).rejects.toMatchObject({
    ...{code: 'USAGE', message: `${server} has a service already`},
  })
  expect(readFileSync(`${server}/ca/user_ca`, 'utf8')).toBe(before)
})
