import {afterEach, beforeEach, describe, expect, it} from '@jest/globals'
import {pino} from 'pino'

import type {InstanceAction, OpenStack} from '../../../src/openstack/index.ts'
import {hostKeys, pinnedHostKeys} from '../../../src/service/host-keys.ts'
import {auditPage} from '../../../src/service/store/audit.ts'
import {dropPin} from '../../../src/service/store/host-keys.ts'
import type {Store} from '../../../src/service/store/open.ts'
import {generateKeyPair} from '../../../src/ssh/keys.ts'
import {dialects} from '../../support/stores.ts'

/* What is believed of a VM's host keys: its console once, and again after a rebuild. */

const [KEY, OTHER] = ['a', 'b'].map(name => generateKeyPair(name).publicKey.split(' ').slice(0, 2).join(' '))
const block = (key = '') =>
  key === '' ? '' : `-----BEGIN SSH HOST KEY KEYS-----\r\n${key}\r\n-----END SSH HOST KEY KEYS-----\r\n`
const rebuild = (n: number, action = 'rebuild'): InstanceAction => ({
  action,
  request_id: `req-${n}`,
  start_time: `2026-11-24T10:00:0${n}.000000`,
  user_id: 'u9',
})

let db: Store
let now = Date.UTC(2026, 10, 24, 9)
describe.each(dialects)('on $name', ({open}) => {
  beforeEach(async () => {
    db = await open()
    now = Date.UTC(2026, 10, 24, 9)
  })
  afterEach(() => db.destroy())

  const context = () => ({db, clock: () => now, log: pino({level: 'silent'})})
  const look = (key: string | undefined, ...actions: InstanceAction[]) =>
    hostKeys(
      context(),
      {
        compute: {consoleLog: async () => block(key), instanceActions: async () => actions},
      } as unknown as OpenStack,
      's1',
    )

  it('pins what it saw first, whatever the guest prints later', async () => {
    expect(await look(KEY, rebuild(1, 'create'))).toEqual({keys: [KEY]})
    expect(await look(OTHER, rebuild(1, 'create'), rebuild(2, 'reboot'))).toEqual({keys: [KEY]})
  })

  it('pins nothing when the console shows nothing', async () => {
    expect(await look('')).toEqual({keys: []})
    expect(await look(KEY)).toEqual({keys: [KEY]})
  })

  it.each(['rebuild', 'evacuate'])(
    'learns anew after a %s, once, and says who asked for it',
    async action => {
      await look(KEY)
      now += 3_600_000 + 60_000
      const after = {keys: [OTHER], rebuild: expect.objectContaining({user_id: 'u9', keys_seen: true})}
      expect(await look(OTHER, rebuild(1, action))).toEqual(after)
      expect(await look(KEY, rebuild(1, action))).toEqual(after)
      expect(await pinnedHostKeys(context(), 's1')).toEqual(after)
    },
  )

  it('keeps the old keys until the console shows others', async () => {
    await look(KEY)
    const waiting = {keys: [KEY], rebuild: expect.objectContaining({request_id: 'req-1', keys_seen: false})}
    expect(await look('', rebuild(1))).toEqual(waiting)
    expect(await look(KEY, rebuild(1))).toEqual(waiting)
    expect(await look(OTHER, rebuild(1))).toMatchObject({keys: [OTHER], rebuild: {keys_seen: true}})
  })

  it('stops waiting for other keys after a while: what the guest prints then is its own idea', async () => {
    await look(KEY)
    now = Date.parse('2026-11-24T10:00:01Z') + 15 * 60_000
    expect(await look(KEY, rebuild(1))).toMatchObject({
      keys: [KEY],
      rebuild: {request_id: 'req-1', keys_seen: true},
    })
    expect(await look(OTHER, rebuild(1))).toMatchObject({keys: [KEY]})
  })

  it('says nothing of a rebuild where nothing was ever pinned', async () => {
    expect(await look('', rebuild(1))).toEqual({keys: []})
  })

  it('knows each rebuild: the next one is another', async () => {
    await look(KEY)
    await look(OTHER, rebuild(1))
    expect(await look(KEY, rebuild(2), rebuild(1))).toMatchObject({
      keys: [KEY],
      rebuild: {request_id: 'req-2'},
    })
  })

  it('a rebuild of before the first sight reopens nothing', async () => {
    await look(KEY, rebuild(1))
    expect(await look(OTHER, rebuild(1))).toMatchObject({keys: [KEY], rebuild: {keys_seen: true}})
  })

  it('a cloud that does not tell its actions reopens nothing', async () => {
    await look(KEY)
    const silent = {
      compute: {
        consoleLog: async () => block(OTHER),
        instanceActions: async () => {
          throw new Error('403')
        },
      },
    }
    expect(await hostKeys(context(), silent as unknown as OpenStack, 's1')).toEqual({keys: [KEY]})
  })

  it('forgets on purpose', async () => {
    await look(KEY)
    const who = {id: 'u', name: 'alice', project_id: 't', source: '192.0.2.7'}
    for (const server of ['s1', 'unknown']) await dropPin(db, server, who, 4711)
    expect(await look(OTHER)).toEqual({keys: [OTHER]})
    // What was not there was not forgotten.
    expect(await auditPage(db, {limit: 9, denials: false})).toMatchObject([
      {action: 'forget-host-keys', server_id: 's1', user_name: 'alice', source: '192.0.2.7', at: 4711},
    ])
  })
})
