import {existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterEach, beforeEach, describe, expect, it} from '@jest/globals'

import type {InitWish} from '../../../src/access/init.ts'
import {counts, gateOf} from '../../support/own-gates.ts'
import {gate, OwnFake, PROJECT, SERVICE, THEIRS} from './own-fake.ts'

const {abandon, beginInit, carryOut} = await import('../../../src/access/init.ts')
const {readMark, writeMark} = await import('../../../src/embedded/mark.ts')
const {settingsOf} = await import('../../../src/embedded/place.ts')

/* What init begins, what it makes and when it makes nothing: the cloud is one in memory, the service a few answers. */

let home: string
let own: OwnFake
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'os-ssh-i-'))
  mkdirSync(`${home}/run`, {mode: 0o700})
  own = new OwnFake(home)
})
afterEach(() => {
  own.stop()
  rmSync(home, {recursive: true})
})

const wish: InitWish = {
  ...{image: undefined, flavor: undefined, network: undefined, external: undefined},
  ...{gates: 2, allow: undefined, beside: false},
}
const mark = {service: SERVICE, project: PROJECT}
const asked = (start: string) => own.requests.filter(one => one.startsWith(start))
const deploys = () => asked('POST /v1/gates/deploy').map(one => JSON.parse(one.slice(one.indexOf('{'))))
/** There is nothing of it on this machine. */
const untouched = () => ({
  ...{state: existsSync(own.place.state), keys: own.secrets.size, runs: own.runs},
})
const NOTHING = {state: false, keys: 0, runs: false}

describe('begin', () => {
  it('starts the service with new keys, and makes nothing: there is a plan, and no mark', async () => {
    const {plan, there, status} = await beginInit(own.session, {...wish, flavor: 'small', network: 'net'})
    expect({plan, there, id: status.id}).toEqual({plan: {count: 2}, there: [], id: SERVICE})
    expect(deploys()).toEqual([{scope: 'project', flavor: 'small', network: 'net', count: 2, dry_run: true}])
    expect(await readMark(own.place)).toBeUndefined()
    expect([...own.secrets.keys()]).toEqual(['service:mine'])
    expect(own.starts.map(({handover}) => handover.keys)).toEqual([
      JSON.parse(own.secrets.get('service:mine') ?? ''),
    ])
    expect(counts(own.cloud)).toEqual([0, 0, 0, 0, 0])
  })

  it('writes what later gates shall be, for its user alone', async () => {
    await beginInit(own.session, {...wish, gates: 6, image: 'debian: 12', allow: ['192.0.2.0/24']})
    expect(readFileSync(settingsOf(own.place), 'utf8')).toBe(
      [
        '# Of os-ssh init. What may stand here: docs/service-config.md',
        'gates:',
        ...['automatic: true', 'max: 6', 'per_zone: 6', 'per_project: 6', 'image: "debian: 12"'].map(
          line => `  ${line}`,
        ),
        ...['  allow: ["192.0.2.0/24"]', ''],
      ].join('\n'),
    )
    expect(statSync(settingsOf(own.place)).mode & 0o777).toBe(0o600)
  })

  it('hands no secret over but through the pipe, and no variable of its user’s', async () => {
    process.env['OS_PASSWORD'] = 'typed'
    await beginInit(own.session, wish)
    delete process.env['OS_PASSWORD']
    const [{argv, env, handover} = {argv: [], env: {}, handover: undefined}] = own.starts
    expect(Object.keys(env).sort()).toEqual(['HOME', 'NODE_EXTRA_CA_CERTS', 'PATH', 'TZ'])
    for (const secret of ['typed', 'gAAAA', 'PRIVATE KEY', handover?.keys.host_ca])
      expect(JSON.stringify([argv, env])).not.toContain(secret)
    expect(handover).toMatchObject({token: {id: 'gAAAA'}, idle: 60, cloud: {auth: {password: 'typed'}}})
  })

  it('what is gone or going counts for nothing, what is there for one each', async () => {
    own.gates = [gate('a'), gate('b', {state: 'failed'}), gate('c', {state: 'deleting'})]
    expect(await beginInit(own.session, wish)).toMatchObject({plan: {count: 1}, there: [{name: 'a'}]})
    own.gates.push(gate('d', {state: 'down'}))
    expect((await beginInit(own.session, wish)).plan).toBeUndefined()
  })

  it.each(['10.0.0.1/24', 'auto,::/0', 'everybody', '', '192.0.2.0/24\u001b[2J'])(
    'is not begun with --allow-from %j',
    async prefix => {
      const allow = ['192.0.2.0/24', prefix]
      await expect(beginInit(own.session, {...wish, allow})).rejects.toMatchObject({
        code: 'USAGE',
        message: `--allow-from ${prefix.replace('\u001b', '\\u001b')} is not an address range such as 192.0.2.0/24`,
        suggestions: ['or auto, alone: this machine’s own address, as a gate sees it'],
      })
      // Auto is alone, or it is a wrong one.
      await expect(beginInit(own.session, {...wish, allow: ['auto', '::/0']})).rejects.toMatchObject({
        code: 'USAGE',
      })
      expect(untouched()).toEqual(NOTHING)
    },
  )

  it('is not begun where there is a service already', async () => {
    own.endpoint = 'https://ssh.example'
    await expect(beginInit(own.session, wish)).rejects.toMatchObject({
      ...{code: 'USAGE', message: 'cloud mine has an SSH service already: https://ssh.example'},
    })
    expect(untouched()).toEqual(NOTHING)
  })

  it('is not begun without a project', async () => {
    own.project = undefined
    await expect(beginInit(own.session, wish)).rejects.toMatchObject({
      ...{code: 'CONFIG', message: 'you are in no project: gates are made in one'},
    })
    expect(untouched()).toEqual(NOTHING)
  })

  it('is not begun beside somebody else’s gates, unless that is meant; nothing of it stays', async () => {
    gateOf(own.cloud, THEIRS, 'gate-7', 'bob on two').created = '2026-01-01T00:00:00Z'
    await expect(beginInit(own.session, wish)).rejects.toMatchObject({
      code: 'CONFIG',
      message: 'this project has gates already: gate-7, of bob on two since 2026-01-01T00:00:00Z',
      suggestions: [
        'ask bob where their service answers (OS_SSH_ENDPOINT), or for the file of os-ssh service export; gates of your own beside ' +
          `them: os-ssh init --beside; are they left over: os-ssh destroy --service ${THEIRS}`,
      ],
    })
    expect(untouched()).toEqual(NOTHING)
    expect(counts(own.cloud)).toEqual([1, 1, 2, 1, 1])
    expect((await beginInit(own.session, {...wish, beside: true})).plan).toEqual({count: 2})
  })

  it('somebody else’s gates are no reason to forget one’s own', async () => {
    await writeMark(own.place, mark)
    own.secrets.set('service:mine', JSON.stringify((await import('../../../src/embedded/keys.ts')).newKeys()))
    gateOf(own.cloud, SERVICE, 'gate-1')
    gateOf(own.cloud, THEIRS, 'gate-7')
    await expect(beginInit(own.session, wish)).rejects.toMatchObject({code: 'CONFIG'})
    expect(await readMark(own.place)).toEqual(mark)
    expect(own.secrets.size).toBe(1)
  })
})

it('who says no leaves nothing behind; gates that there are stay', async () => {
  await beginInit(own.session, wish)
  await abandon(own.session)
  expect(untouched()).toEqual(NOTHING)
  await carryOut(own.session, await beginInit(own.session, wish))
  await abandon(own.session)
  expect(untouched()).toEqual({state: true, keys: 1, runs: true})
})

describe('carry out', () => {
  it('writes down whose gates these are before any is made, and waits for them', async () => {
    const beginning = await beginInit(own.session, wish)
    const marks: unknown[] = []
    own.before = async (_, path) => {
      if (path === '/v1/gates/deploy') marks.push(await readMark(own.place))
      return undefined
    }
    const gates = await carryOut(own.session, beginning)
    expect(gates.map(({name, state}) => [name, state])).toEqual([
      ['made-0', 'ready'],
      ['made-1', 'ready'],
    ])
    expect(marks).toEqual([mark])
    expect(deploys().at(-1)).toEqual({scope: 'project', count: 2})
    // Nobody has said who may reach them.
    expect(asked('PUT')).toEqual([])
  })

  it('makes only what another one has not made meanwhile', async () => {
    const beginning = await beginInit(own.session, wish)
    own.gates = [gate('a'), gate('b', {deployed: false})]
    expect((await carryOut(own.session, beginning)).map(({name}) => name)).toEqual(['a', 'b'])
    expect(deploys()).toHaveLength(1)
  })

  it('says who may reach them, as it was wished', async () => {
    await carryOut(own.session, await beginInit(own.session, {...wish, allow: ['auto']}))
    expect(asked('PUT')).toEqual(['PUT /v1/gates/access {"allow":["auto"]}'])
    expect(readFileSync(settingsOf(own.place), 'utf8')).not.toContain('allow')
  })

  it('of two that have begun at once the later one takes its own away, and nothing else', async () => {
    const beginning = await beginInit(own.session, wish)
    gateOf(own.cloud, SERVICE, 'gate-1').created = '2026-01-02T00:00:00Z'
    gateOf(own.cloud, THEIRS, 'gate-7', 'bob on two').created = '2026-01-01T00:00:00Z'
    await expect(carryOut(own.session, beginning)).rejects.toMatchObject({
      ...{code: 'CONFIG', message: expect.stringMatching(/^this project has gates already: gate-7, of bob/)},
    })
    expect(own.cloud.alive().map(({name}) => name)).toEqual(['gate-7'])
    expect(counts(own.cloud)).toEqual([1, 1, 2, 1, 1])
    expect(untouched()).toEqual(NOTHING)
  })

  it.each([
    ['the first one stays', false, '2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z'],
    ['who has meant it stays', true, '2026-01-02T00:00:00Z', '2026-01-01T00:00:00Z'],
  ])('%s', async (_, beside, ours, theirs) => {
    const beginning = await beginInit(own.session, {...wish, beside})
    gateOf(own.cloud, SERVICE, 'gate-1').created = ours
    gateOf(own.cloud, THEIRS, 'gate-7').created = theirs
    await carryOut(own.session, beginning)
    expect(own.cloud.alive()).toHaveLength(2)
    expect(await readMark(own.place)).toEqual(mark)
  })
})
