import {afterEach, beforeEach, describe, expect, it} from '@jest/globals'
import {pino} from 'pino'

import {
  type OpenStack,
  OpenStackError,
  type Port,
  type Server,
  type Token,
} from '../../../src/openstack/index.ts'
import type {Caller} from '../../../src/service/caller.ts'
import {GateIsComing} from '../../../src/service/deploy/coming.ts'
import {revokeBarred} from '../../../src/service/endings.ts'
import {PathEvents} from '../../../src/service/events.ts'
import {grantPath} from '../../../src/service/grant.ts'
import {placeWaiting} from '../../../src/service/placement.ts'
import {bar} from '../../../src/service/store/bars.ts'
import {gateDown} from '../../../src/service/store/gates.ts'
import type {Store} from '../../../src/service/store/open.ts'
import {cutPaths, endPaths, releasePaths} from '../../../src/service/store/path-steps.ts'
import {path as pathById, restedPaths} from '../../../src/service/store/paths.ts'
import {generateKeyPair} from '../../../src/ssh/keys.ts'
import {attachmentRow, gateRow, pathRow} from '../../support/rows.ts'
import {eventually} from '../../support/run.ts'
import {dialects} from '../../support/stores.ts'

/* The decisions of a grant against a real database; the cloud is a few answers. The real cloud's part is in e2e. */

const limits = {maxLife: 3600, defaultLife: 1800, certLife: 600, attachments: 2, paths: 3}
const key = generateKeyPair('alice').publicKey
const server = {id: 's1', name: 'web', status: 'ACTIVE', tenant_id: 't1'} as Server
const port = {
  id: 'p1',
  network_id: 'n1',
  project_id: 't1',
  device_id: 's1',
  device_owner: 'compute:nova',
  security_groups: ['sg1'],
  fixed_ips: [{subnet_id: 'sub1', ip_address: '10.0.0.10'}],
} as unknown as Port

interface Answers {
  server?: Server
  ports?: Port[]
}

function cloud({server: vm = server, ports = [port]}: Answers = {}): OpenStack {
  return {
    compute: {
      server: async (id: string) => {
        if (id !== vm.id) throw new OpenStackError('not-found', 'Instance could not be found', {status: 404})
        return vm
      },
    },
    network: {
      ports: async (filter: {device_owner?: unknown}) => (filter.device_owner === undefined ? ports : []),
      networks: async () => [{id: 'n1', project_id: 't1', mtu: 1450, 'router:external': false}],
      routers: async () => [],
      subnets: async () => [{id: 'sub1', network_id: 'n1', cidr: '10.0.0.0/24', ip_version: 4}],
    },
  } as unknown as OpenStack
}

const token = (change: Partial<Token> = {}): Token =>
  ({
    user: {id: 'u1', name: 'alice'},
    project: {id: 't1', name: 'tenant1'},
    roles: ['member', 'reader'],
    ...change,
  }) as Token
const caller = (answers: Answers = {}, change: Partial<Token> = {}): Caller => ({
  token: token(change),
  cloud: cloud(answers),
  source: '127.0.0.1',
  admin: false,
})

let db: Store
let now = 1_000_000_000
let busy: Set<string> | undefined
const context = () => ({
  cloud: cloud({}),
  db,
  clock: () => now,
  log: pino({level: 'silent'}),
  events: new PathEvents(),
  fleet: {ask: async () => undefined, zoneFor: (zone?: string) => zone ?? null},
  gates: {sessions: async () => busy, wakeFor: () => undefined, check: async () => undefined},
})
const release = async (rested: number) =>
  releasePaths(
    db,
    'g1',
    (await restedPaths(db, 'g1', rested)).map(path => path.id),
  )
const ask = async (who: Caller, change: object = {}, more: object = {}) =>
  (await grantPath(context(), who, {server_id: 's1', public_key: key, ...change}, {...limits, ...more})).path

describe.each(dialects)('on $name', ({open}) => {
  beforeEach(async () => {
    busy = new Set()
    db = await open()
    await gateRow(db, {id: 'g1', server_id: 'gs', host: '192.0.2.1', host_key: 'ssh-ed25519 AAAA'})
  })
  afterEach(() => db.destroy())

  describe('grantPath', () => {
    it('writes an attachment and a path at once', async () => {
      const path = await ask(caller())
      expect(path).toMatchObject({
        state: 'pending',
        route: 'attached',
        alias: '100.64.0.16',
        login: 'osp0000',
        address: '10.0.0.10',
      })
      expect(await db.selectFrom('attachments').selectAll().execute()).toMatchObject([
        {network_id: 'n1', state: 'wanted', slot: 0},
      ])
      expect(await db.selectFrom('audit').select('action').execute()).toEqual([{action: 'grant'}])
    })

    it('answers the same path again, and another user with another one on the same attachment', async () => {
      const [first, again] = [await ask(caller()), await ask(caller())]
      const other = await ask(caller({}, {user: {id: 'u2', name: 'eve'} as Token['user']}))
      expect(again.id).toBe(first.id)
      expect(other).toMatchObject({
        attachment_id: first.attachment_id,
        alias: '100.64.0.17',
        login: 'osp0001',
      })
    })

    it('gives ten simultaneous requests one path', async () => {
      const paths = await Promise.all(Array.from({length: 10}, () => ask(caller())))
      expect(new Set(paths.map(path => path.id)).size).toBe(1)
    })

    it('waits for a gate that is being made, with what its user saw', async () => {
      await db.deleteFrom('gates').execute()
      const fleet = {
        ...context().fleet,
        ask: async () => {
          throw new GateIsComing('a gate is being booted, 3 s', true)
        },
      }
      const {path} = await grantPath(
        {...context(), fleet},
        caller(),
        {server_id: 's1', public_key: key},
        limits,
      )
      expect(path.state).toBe('requested')
      await placeWaiting({...context(), fleet}, limits)
      expect((await pathById(db, path.id))?.state).toBe('requested')
      await gateRow(db, {id: 'g1', server_id: 'gs', host: '192.0.2.1', host_key: 'ssh-ed25519 AAAA'})
      await placeWaiting({...context(), cloud: {} as OpenStack}, limits)
      expect(await pathById(db, path.id)).toMatchObject({state: 'pending', network_id: 'n1', gate_id: 'g1'})
    })

    it('waits for a gate that is letting go of the very network', async () => {
      const first = await ask(caller())
      await endPaths(db, {ids: [first.id]}, now, {action: 'expire'})
      await db.updateTable('attachments').set({state: 'removing'}).execute()
      const again = await ask(caller())
      expect(again).toMatchObject({state: 'requested', gate_id: '', alias: '', login: ''})
      expect((await ask(caller())).id).toBe(again.id)
      await placeWaiting(context(), limits)
      expect((await pathById(db, again.id))?.state).toBe('requested')
      await db.deleteFrom('attachments').execute()
      // Whoever places it has what its user saw, and needs nobody's token.
      await placeWaiting({...context(), cloud: {} as OpenStack}, limits)
      expect(await pathById(db, again.id)).toMatchObject({state: 'pending', network_id: 'n1', gate_id: 'g1'})
    })

    it('says so when the gate does not let go in 15 s, and leaves nothing on it', async () => {
      const first = await ask(caller())
      await endPaths(db, {ids: [first.id]}, now, {action: 'expire'})
      await db.updateTable('attachments').set({state: 'removing'}).execute()
      const again = await ask(caller())
      now += 15_001
      await placeWaiting(context(), limits)
      expect(await pathById(db, again.id)).toMatchObject({state: 'released', error: {code: 'BUSY'}})
    })

    it('goes by another gate when its own is down, and stays where there is none', async () => {
      const first = await ask(caller())
      await db.updateTable('paths').set({state: 'active'}).execute()
      await gateDown(db, 'g1', 'dead')
      expect((await ask(caller())).id).toBe(first.id)
      await gateRow(db, {id: 'g2', name: 'gate2', server_id: 'gs2'})
      const other = await ask(caller())
      expect(other).toMatchObject({state: 'pending', gate_id: 'g2'})
      expect(await pathById(db, first.id)).toMatchObject({state: 'failed', error: {code: 'GATE_DOWN'}})
    })

    it('renews when a third of the certificate’s life is gone, not before', async () => {
      const first = await ask(caller())
      expect(first).toMatchObject({expires_at: now + 1_800_000, certificate_until: now + 600_000})
      await db.updateTable('paths').set({state: 'active'}).execute()
      now += 190_000
      expect(await ask(caller())).toEqual({...first, state: 'active'})
      now += 20_000
      expect(await ask(caller())).toMatchObject({
        expires_at: now + 1_800_000,
        certificate_until: now + 600_000,
      })
      expect(await db.selectFrom('audit').select(['action', 'source']).orderBy('id').execute()).toEqual([
        {action: 'grant', source: '127.0.0.1'},
        {action: 'renew', source: '127.0.0.1'},
      ])
    })

    it('renews no further than the longest life after it was made', async () => {
      const {created_at} = await ask(caller())
      await db.updateTable('paths').set({state: 'active'}).execute()
      const ends = []
      for (let n = 0; n < 8; n++) {
        now += 400_000
        ends.push((await ask(caller())).expires_at - created_at)
      }
      expect(ends.at(-1)).toBe(3_600_000)
      const last = await ask(caller())
      expect(last.certificate_until).toBe(last.expires_at)
    })

    it('shortens a life that is too long', async () => {
      expect((await ask(caller(), {life: 999_999})).expires_at).toBe(now + 3_600_000)
    })

    it('makes a new path when the VM has got another address', async () => {
      const first = await ask(caller())
      const moved = {...port, fixed_ips: [{subnet_id: 'sub1', ip_address: '10.0.0.99'}]}
      const second = await ask(caller({ports: [moved]}))
      expect(second.id).not.toBe(first.id)
      expect(second.alias).not.toBe(first.alias)
      expect(
        await db.selectFrom('paths').select(['id', 'state']).where('id', '=', first.id).execute(),
      ).toEqual([{id: first.id, state: 'ended'}])
    })

    it('gives alias and account to nobody else before the quarantine is over', async () => {
      const first = await ask(caller())
      await endPaths(db, {ids: [first.id]}, now, {action: 'expire'})
      expect(await ask(caller())).toMatchObject({alias: '100.64.0.17', login: 'osp0001'})
      await cutPaths(db, [first.id], now)
      await release(now - 1)
      expect(await ask(caller({}, {user: {id: 'u2', name: 'b'} as Token['user']}))).toMatchObject({
        login: 'osp0002',
      })
      await release(now)
      expect(await ask(caller({}, {user: {id: 'u3', name: 'c'} as Token['user']}))).toMatchObject({
        login: 'osp0000',
      })
    })

    it('plans anew when another request has widened the attachment meanwhile', async () => {
      const link = {network_id: 'n1', cidr: '192.0.2.0/24', via: null}
      const beyond = {network_id: 'n2', cidr: '10.2.0.0/24', via: '192.0.2.1'}
      await attachmentRow(db, {
        id: 'there',
        gate_id: 'g1',
        network_id: 'n1',
        project_id: 't1',
        reach: [link],
      })
      const who = caller()
      const subnets = who.cloud.network.subnets
      let asked = 0
      who.cloud.network.subnets = async filter => {
        // Between the plan and its transaction.
        if (asked++ === 0)
          await db
            .updateTable('attachments')
            .set({reach: JSON.stringify([link, beyond])})
            .execute()
        return subnets(filter)
      }
      expect(await ask(who)).toMatchObject({attachment_id: 'there'})
      const {reach} = await db.selectFrom('attachments').select('reach').executeTakeFirstOrThrow()
      expect(JSON.parse(reach).map((one: {cidr: string}) => one.cidr)).toEqual(['10.0.0.0/24', '10.2.0.0/24'])
      expect(asked).toBe(2)
    })

    it('gives a new network no alias that still rests, though it takes the same slot', async () => {
      const first = await ask(caller())
      await endPaths(db, {ids: [first.id]}, now, {action: 'expire'})
      await db.deleteFrom('attachments').execute()
      expect((await ask(caller())).alias).toBe('100.64.0.17')
    })

    describe('what one user or project may take', () => {
      const fairness = () => ({perVm: 2, perUser: 0, share: 0, waiting: new Map<string, number>()})
      const roomy = {paths: 50}
      /** A path that its user has had the time to use. */
      const withKey = async (given = fairness()) => {
        const path = await ask(
          caller(),
          {public_key: generateKeyPair('x').publicKey},
          {...roomy, fairness: given},
        )
        await db.updateTable('paths').set({state: 'active'}).where('id', '=', path.id).execute()
        now += 15_000
        return path
      }
      const states = async () =>
        (await db.selectFrom('paths').select('state').orderBy('serial').execute()).map(row => row.state)

      it('the user’s oldest path to that VM without a session gives way', async () => {
        const first = await withKey()
        await withKey()
        busy = new Set([first.login])
        await withKey()
        expect(await states()).toEqual(['active', 'ended', 'active'])
        const [revoked] = await db.selectFrom('audit').selectAll().where('action', '=', 'revoke').execute()
        expect(revoked).toMatchObject({detail: 'gave way to a newer one of the same user'})
      })

      it('none that has a session does', async () => {
        busy = new Set([(await withKey()).login, (await withKey()).login])
        await expect(withKey()).rejects.toMatchObject({code: 'RATE_LIMITED', retryAfter: 30})
        expect(await states()).toEqual(['active', 'active'])
      })

      it('none does when the gate does not say who is connected', async () => {
        await withKey()
        await withKey()
        busy = undefined
        await expect(withKey()).rejects.toMatchObject({code: 'RATE_LIMITED'})
      })

      it('holds when many come at once, and none cuts what another has only just got', async () => {
        const answers = await Promise.allSettled(
          Array.from({length: 6}, () =>
            ask(caller(), {public_key: generateKeyPair('x').publicKey}, {...roomy, fairness: fairness()}),
          ),
        )
        expect(answers.filter(answer => answer.status === 'fulfilled')).toHaveLength(2)
        expect(await states()).toEqual(['pending', 'pending'])
      })

      it('a stream of new keys ends when too many accounts rest', async () => {
        for (let n = 0; n < 10; n++) await withKey()
        await expect(withKey()).rejects.toMatchObject({code: 'RATE_LIMITED', retryAfter: 40})
      })

      it('a user has so many paths, and another user is not concerned', async () => {
        const few = {...fairness(), perVm: 0, perUser: 2}
        await withKey(few)
        await withKey(few)
        await expect(withKey(few)).rejects.toMatchObject({code: 'RATE_LIMITED'})
        const bob = caller({}, {user: {id: 'u2', name: 'bob'} as Token['user']})
        await expect(ask(bob, {}, {...roomy, fairness: few})).resolves.toBeTruthy()
      })

      /** A full gate of another project's paths, all old. */
      const crowd = async (count: number) => {
        await attachmentRow(db, {
          id: 'theirs',
          gate_id: 'g1',
          slot: 9,
          network_id: 'far',
          project_id: 't2',
          state: 'ready',
        })
        for (let n = 0; n < count; n++)
          await pathRow(db, {
            id: `t2-${n}`,
            state: 'active',
            user_id: `u${n}`,
            project_id: 't2',
            gate_id: 'g1',
            attachment_id: 'theirs',
            alias: `100.64.144.${n}`,
            login: `osp000${n}`,
          })
      }

      it('a project above its share makes room for one that waits, and gets no more meanwhile', async () => {
        const half = {perVm: 0, perUser: 0, share: 0.5, waiting: new Map<string, number>()}
        const ask4 = (who: Caller) => ask(who, {}, {paths: 4, fairness: half})
        await crowd(4)
        busy = new Set(['osp0000'])
        await expect(ask4(caller())).rejects.toMatchObject({code: 'RATE_LIMITED', retryAfter: 40})
        expect(await states()).toEqual(['active', 'ended', 'ended', 'active'])
        // Whoever asks again and again makes no more room than that.
        await expect(ask4(caller())).rejects.toMatchObject({code: 'RATE_LIMITED', retryAfter: 40})
        expect(await states()).toEqual(['active', 'ended', 'ended', 'active'])
        await db.updateTable('paths').set({state: 'cut', cut_at: now}).where('state', '=', 'ended').execute()
        await release(now)
        const bob = caller(
          {server: {...server, tenant_id: 't2'}},
          {project: {id: 't2', name: 't2'} as NonNullable<Token['project']>},
        )
        await expect(ask4(bob)).rejects.toMatchObject({code: 'RATE_LIMITED', retryAfter: 30})
        await expect(ask4(caller())).resolves.toMatchObject({project_id: 't1'})
      })

      it('a project with most of the interfaces lets go of a network without a session', async () => {
        const share = {perVm: 0, perUser: 0, share: 0.5, waiting: new Map<string, number>()}
        for (const n of [0, 1]) {
          const place = {gate_id: 'g1', attachment_id: `theirs${n}`}
          await attachmentRow(db, {
            id: `theirs${n}`,
            gate_id: 'g1',
            slot: n,
            network_id: `far${n}`,
            project_id: 't2',
            state: 'ready',
          })
          await pathRow(db, {
            ...place,
            id: `t2-${n}`,
            state: 'active',
            user_id: `u${n}`,
            project_id: 't2',
            network_id: `far${n}`,
            alias: `100.64.0.${n}`,
            login: `osp000${n}`,
          })
        }
        busy = new Set(['osp0000'])
        await expect(ask(caller(), {}, {paths: 50, fairness: share})).rejects.toMatchObject({
          code: 'RATE_LIMITED',
          retryAfter: 40,
        })
        expect(await states()).toEqual(['active', 'ended'])
      })

      it('the network that is idle for longest gives way on a gate without a free interface', async () => {
        const idle = {gate_id: 'g1', project_id: 't2', state: 'ready'} as const
        await attachmentRow(db, {...idle, id: 'long', slot: 1, network_id: 'x', idle_since: 1})
        await attachmentRow(db, {...idle, id: 'short', slot: 2, network_id: 'y', idle_since: 2})
        const asked = ask(caller())
        await eventually(
          () => db.selectFrom('attachments').select('id').where('state', '=', 'removing').execute(),
          rows => rows.length > 0,
        )
        expect(await db.selectFrom('attachments').select(['id', 'state']).orderBy('slot').execute()).toEqual([
          {id: 'long', state: 'removing'},
          {id: 'short', state: 'ready'},
        ])
        await db.deleteFrom('attachments').where('id', '=', 'long').execute()
        expect(await asked).toMatchObject({network_id: 'n1'})
      })
    })

    describe('what an operator has revoked', () => {
      it.each([
        ['the user', {user_id: 'u1'}],
        ['the VM', {server_id: 's1'}],
        ['the project', {project_id: 't1'}],
      ])('bars %s for a minute, and ends what came through', async (_, which) => {
        await bar(db, which, now)
        await expect(ask(caller())).rejects.toMatchObject({
          code: 'DENIED',
          suggestions: [expect.stringContaining('in 60 s')],
        })
        await attachmentRow(db, {gate_id: 'g1'})
        await pathRow(db, {user_id: 'u1', project_id: 't1', gate_id: 'g1'})
        await pathRow(db, {
          id: 'other',
          user_id: 'u2',
          server_id: 's2',
          project_id: 't2',
          gate_id: 'g1',
          alias: '100.64.0.17',
          login: 'osp0001',
        })
        expect((await revokeBarred(context(), {detail: 'x'})).map(path => path.id)).toEqual(['path'])
        await db.deleteFrom('paths').execute()
        await db.deleteFrom('attachments').execute()
        now += 60_000
        await expect(ask(caller())).resolves.toBeTruthy()
      })
    })

    it.each([
      ['NOT_FOUND', 'unknown VM', caller({server: {...server, id: 'other'}})],
      ['DENIED', 'reader', caller({}, {roles: ['reader']})],
      [
        'DENIED',
        'member of another project',
        caller({}, {project: {id: 't2', name: 't2'} as NonNullable<Token['project']>}),
      ],
      ['VM_OFF', 'shut off', caller({server: {...server, status: 'SHUTOFF'}})],
      ['VM_NO_ADDRESS', 'no interface', caller({ports: []})],
    ])('says %s for %s', async (code, _, who) => {
      await expect(ask(who)).rejects.toMatchObject({code})
      expect(await db.selectFrom('paths').selectAll().execute()).toEqual([])
      expect(await db.selectFrom('attachments').selectAll().execute()).toEqual([])
    })

    const foreign = (roles: string[]) =>
      caller({}, {roles, project: {id: 'x', name: 'x'} as NonNullable<Token['project']>})

    it('lets an admin in everywhere', async () => {
      await expect(ask({...foreign(['admin']), admin: true})).resolves.toBeTruthy()
    })

    it('but not whoever is admin of some domain’s project', async () => {
      await expect(ask(foreign(['admin', 'member']))).rejects.toMatchObject({code: 'DENIED'})
    })
  })
})
