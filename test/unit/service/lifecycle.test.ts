import {readFileSync} from 'node:fs'

import {describe, expect, it} from '@jest/globals'
import fc from 'fast-check'
import {type KyselyPlugin, sql} from 'kysely'

import type {Nic} from '../../../src/service/planner/facts.ts'
import type {Plan} from '../../../src/service/planner/plan.ts'
import {
  loseAttachment,
  plugAttachment,
  readyAttachments,
  removeAttachment,
  retireAll,
  retireEarly,
  retireIdle,
} from '../../../src/service/store/attachment-steps.ts'
import {attachments} from '../../../src/service/store/attachments.ts'
import {auditPage} from '../../../src/service/store/audit.ts'
import {addGate, gate, gateDown, gates, gateUp, removeGate} from '../../../src/service/store/gates.ts'
import {holdings} from '../../../src/service/store/holdings.ts'
import {LIVE, lifecycle, NONE} from '../../../src/service/store/lifecycle.ts'
import {
  bootMachine,
  clearMachine,
  failMachine,
  forgetMachines,
  machines,
  removeMachine,
  replaceMachine,
  retireMachine,
  runMachine,
  wantMachines,
} from '../../../src/service/store/machines.ts'
import {atomically, type Store} from '../../../src/service/store/open.ts'
import {
  acknowledgePaths,
  activatePaths,
  cutPaths,
  endPaths,
  failPaths,
  prune,
  releasePaths,
  renewPath,
} from '../../../src/service/store/path-steps.ts'
import {changedPaths, path, requestedPaths, restedPaths} from '../../../src/service/store/paths.ts'
import {keepFacts, placePath, requestPath} from '../../../src/service/store/place.ts'
import {type Dialect, dialects} from '../../support/stores.ts'

/* Whatever happens in whatever order, and wherever it is cut off: no state changes but by a step of the table. */

type Kind = keyof typeof lifecycle
const tables: Record<Kind, string> = {
  path: 'paths',
  attachment: 'attachments',
  gate: 'gates',
  machine: 'machines',
}
const steps = (kind: Kind): [string, string, string][] =>
  Object.entries<{from: readonly string[]; to: string}>(lifecycle[kind]).flatMap(([name, {from, to}]) =>
    from.map((one): [string, string, string] => [name, one, to]),
  )
const pairs = (kind: Kind) => steps(kind).map(([, from, to]) => `${kind} ${from} -> ${to}`)
const allowed = new Set((Object.keys(lifecycle) as Kind[]).flatMap(pairs))

const run = (db: Store, text: string) => sql.raw(text).execute(db)
const insert = (kind: string, was: string, now: string) =>
  `insert into seen values ('${kind} ' || ${was} || ' -> ' || ${now});`

/** Writes every change of a state down as the database sees it, statement by statement. */
async function watch(db: Store, dialect: Dialect['name']): Promise<void> {
  await run(db, 'drop table if exists seen')
  await run(db, 'create table seen (step text)')
  for (const [kind, table] of Object.entries(tables))
    for (const [event, was, now] of [
      ['insert', `'${NONE}'`, 'new.state'],
      ['delete', 'old.state', `'${NONE}'`],
      ['update', 'old.state', 'new.state'],
    ] as const) {
      const name = `seen_${table}_${event}`
      const changed = event === 'update' ? 'when (old.state <> new.state)' : ''
      const body = insert(kind, was, now)
      if (dialect === 'SQLite') {
        await run(db, `create trigger ${name} after ${event} on ${table} ${changed} begin ${body} end`)
        continue
      }
      await run(
        db,
        `create or replace function ${name}() returns trigger language plpgsql as $$ begin ${body} return null; end $$`,
      )
      await run(
        db,
        `create or replace trigger ${name} after ${event} on ${table} for each row ${changed} execute function ${name}()`,
      )
    }
}

/** Steps that were seen since the last call. */
async function taken(db: Store): Promise<string[]> {
  const {rows} = await sql<{step: string}>`delete from seen returning step`.execute(db)
  return rows.map(row => row.step)
}

class Crash extends Error {}

/** The same database, which is cut off before the statement of that number. */
function dying(db: Store, at: number): Store {
  let left = at
  const plugin: KyselyPlugin = {
    transformQuery({node}) {
      if (left-- === 0) throw new Crash()
      return node
    },
    transformResult: async ({result}) => result,
  }
  return db.withPlugin(plugin)
}

const who = {id: 'o', name: 'operator', project_id: 'infra'}
const limits = {maxLife: 9, defaultLife: 9, certLife: 9, attachments: 9, paths: 50}
const id = (kind: string, n: number) => `${kind}${n}`

function plan(n: number, reuse: string | undefined): Plan {
  const nic = {network_id: id('n', n), address: `10.0.0.${n}`, groups: ['sg']}
  const create = {network_id: nic.network_id, project_id: 't', mtu: 1450, vms: 1, reach: []}
  const attachment = reuse === undefined ? {create} : {reuse}
  return {gate_id: id('g', n % 2), route: 'attached', nic, attachment} as unknown as Plan
}

/** What is older may have lost its audit. */
let pruned = 0

async function somePath(db: Store, n: number): Promise<string> {
  const rows = await db.selectFrom('paths').select('id').orderBy('serial').execute()
  return rows[n % rows.length]?.id ?? ''
}

/** What may be asked of the store at any time, by a number that says of what. */
const operations: Record<string, (db: Store, n: number, now: number) => Promise<unknown>> = {
  addGate: (db, n, now) =>
    addGate(
      db,
      {
        ...{id: id('g', n % 2), name: id('gate', n % 2), server_id: id('s', n % 2), project_id: 'infra'},
        ...{
          scope: 'shared',
          host: 'h',
          port: 22,
          login: 'root',
          host_key: 'k',
          keep_nics: [],
          created_at: now,
        },
      },
      who,
    ),
  want: (db, n, now) =>
    wantMachines(
      db,
      [
        {
          ...{id: id('m', n % 2), name: id('machine', n % 2), scope: 'shared', serves: null, zone: null},
          ...{wish: {}, automatic: true, created_at: now},
        },
      ],
      () => undefined,
      who,
    ),
  boot: (db, n, now) => bootMachine(db, id('m', n % 2), {server_id: id('ms', n % 2), host: null}, now),
  run: (db, n, now) =>
    runMachine(
      db,
      {
        ...{id: id('m', n % 2), name: id('machine', n % 2), server_id: id('ms', n % 2), project_id: 'infra'},
        ...{
          scope: 'shared',
          host: 'h',
          port: 22,
          login: 'root',
          host_key: 'k',
          keep_nics: [],
          created_at: now,
        },
      },
      who,
    ),
  failMachine: (db, n, now) => failMachine(db, id('m', n % 2), 'why', now),
  retireMachine: (db, n, now) =>
    retireMachine(db, {id: id('m', n % 2), name: 'machine', server_id: null}, 'gate-delete', who, now),
  async removeMachine(db, n, now) {
    // As it is done: the gate first.
    const machine = id('m', n % 2)
    await retireAll(db, machine)
    if (await removeGate(db, {id: machine, name: 'machine'}, who, now)) await removeMachine(db, machine)
    else if ((await gate(db, machine)) === undefined) await removeMachine(db, machine)
  },
  clearMachine: (db, n, now) => clearMachine(db, id('m', n % 2), now),
  async forgetMachines(db, n, now) {
    await clearMachine(db, id('m', n % 2), now)
    await forgetMachines(db, now - n)
  },
  async replace(db, n, now) {
    const row = (await machines(db))[n % 2]
    const fresh = {id: id('m', n % 2), name: id('machine', n % 2)}
    if (row) await replaceMachine(db, row, fresh, who, now, 'gone')
  },
  gateUp: (db, n) => gateUp(db, id('g', n % 2)),
  gateDown: (db, n) => gateDown(db, id('g', n % 2), `reason ${n}`),
  removeGate: (db, n, now) => removeGate(db, {id: id('g', n % 2), name: id('gate', n % 2)}, who, now),
  async grant(db, n, now) {
    const there = (await attachments(db, {gate_id: id('g', n % 2)}))[n % 3]
    const whose = {
      id: id('p', now),
      user_id: id('u', n),
      user_name: 'alice',
      project_id: 't',
      fingerprint: 'f',
    }
    const vm = {server_id: 'vm', server_name: 'vm'}
    const times = {created_at: now, expires_at: now + 9, certificate_until: now + 9}
    const path = {...whose, ...vm, ...times, public_key: 'k'}
    const planned = plan(n, there?.id)
    const facts = {nics: [planned.nic]}
    await atomically(db, async tx => {
      const row = await requestPath(tx, path, facts, n % 3, {source: '192.0.2.1'})
      if (n % 2 === 0) await placePath(tx, planned, limits, row, now)
      else await keepFacts(tx, row.id, facts, now)
    })
  },
  async place(db, n, now) {
    for (const {path, facts} of await requestedPaths(db))
      await placePath(db, {...plan(n, undefined), nic: facts.nics[0] as Nic}, limits, path, now)
  },
  renew: async (db, n, now) =>
    renewPath(db, await somePath(db, n), {expires_at: now + 9, certificate_until: now + 9}, now, {}),
  activate: async (db, n) => activatePaths(db, [await somePath(db, n)]),
  end: (db, n, now) => endPaths(db, {of: {user_id: id('u', n)}}, now, {action: 'revoke'}),
  expire: (db, _, now) => endPaths(db, {expiredBy: now}, now, {action: 'expire'}),
  fail: async (db, n, now) => failPaths(db, [await somePath(db, n)], {code: 'VM_OFF', message: 'off'}, now),
  cut: async (db, n, now) => cutPaths(db, [await somePath(db, n), await somePath(db, n + 1)], now),
  async release(db, n, now) {
    const rested = await restedPaths(db, id('g', n % 2), now - 1)
    await releasePaths(
      db,
      id('g', n % 2),
      rested.map(path => path.id),
    )
  },
  async acknowledge(db, n, now) {
    const changed = await changedPaths(db, id('g', n % 2))
    await acknowledgePaths(db, changed, now)
    for (const {id: one, version} of changed) expect((await path(db, one))?.applied).toBe(version)
  },
  async plug(db, n, now) {
    const row = (await attachments(db))[n % 3]
    const groups = n % 4 === 0 ? [] : ['sg', 'own']
    const port = {port_id: 'p', mac: 'm', addresses: [], own: ['own'], groups, wired_at: now}
    if (row) await plugAttachment(db, row.id, port)
  },
  ready: async (db, n) =>
    readyAttachments(
      db,
      (await attachments(db)).slice(n % 3).map(row => row.id),
    ),
  async lose(db, n) {
    const row = (await attachments(db))[n % 3]
    if (row) await loseAttachment(db, row, n % 2 === 0)
  },
  prune(db, n, now) {
    pruned = Math.max(pruned, now - n)
    return prune(db, now - n)
  },
  retire: (db, n, now) => retireIdle(db, now, n),
  retireEarly: async (db, n) => retireEarly(db, (await attachments(db))[n % 3]?.id ?? ''),
  retireAll: (db, n) => retireAll(db, id('g', n % 2)),
  async remove(db, n) {
    await removeAttachment(db, (await attachments(db))[n % 3]?.id ?? '')
  },
}

const operation = fc.record({
  what: fc.constantFrom(...Object.keys(operations), 'grant', 'place', 'plug', 'ready', 'want', 'boot'),
  n: fc.nat(7),
  /** Before which of its statements it is cut off; most are not. */
  crash: fc.oneof({weight: 3, arbitrary: fc.constant(99)}, fc.nat(9)),
})

/** Each path has been granted once, and ended once if it is over; nothing else says so. */
async function audited(db: Store): Promise<void> {
  const told = Map.groupBy(await auditPage(db, {limit: 10_000, denials: false}), row => row.path_id)
  for (const path of await db.selectFrom('paths').select(['id', 'state', 'created_at']).execute()) {
    if (path.created_at < pruned) continue
    const actions = (told.get(path.id) ?? []).map(row => row.action).filter(action => action !== 'renew')
    const over = (LIVE as readonly string[]).includes(path.state) ? 0 : 1
    expect([path, actions]).toEqual([path, expect.arrayContaining(['grant'])])
    expect([path, actions.length]).toEqual([path, 1 + over])
  }
}

/** What is counted as it is given is what there is. */
async function counted(db: Store): Promise<void> {
  const {rows} = await sql<{gate_id: string; n: number}>`select gate_id, count(*) as n from paths
    where state not in ('released', 'requested') group by gate_id`.execute(db)
  const told = [...(await holdings(db))].map(([gate_id, {all, byProject}]) => {
    expect([...byProject.values()].reduce((sum, n) => sum + n, 0)).toBe(all)
    return {gate_id, n: all}
  })
  const sorted = (some: typeof told) => some.map(row => `${row.gate_id} ${row.n}`).sort()
  expect(sorted(told)).toEqual(sorted(rows))
}

describe.each(dialects)('on $name', ({name, open}) => {
  it('never takes a step that is not in the table, nor one without its audit', async () => {
    const all = new Set<string>()
    await fc.assert(
      fc.asyncProperty(fc.array(operation, {minLength: 10, maxLength: 120, size: 'max'}), async list => {
        const db = await open()
        pruned = 0
        try {
          await watch(db, name)
          for (const n of [0, 1]) await operations['addGate']?.(db, n, 0)
          // What an operation refuses is its own business here.
          for (const [now, {what, n, crash}] of list.entries())
            await operations[what]?.(dying(db, crash), n, now).catch(() => undefined)
          for (const step of await taken(db)) {
            all.add(step)
            expect([...allowed]).toContain(step)
          }
          await audited(db)
          await counted(db)
        } finally {
          await db.destroy()
        }
      }),
      {numRuns: name === 'SQLite' ? 100 : 50, seed: 12, endOnFailure: true},
    )
    // The operations above really went everywhere.
    expect([...all].sort()).toEqual([...allowed].sort())
  }, 60_000)

  it('ends any number at once', async () => {
    const db = await open()
    const rows = Array.from(
      {length: 7000},
      (_, n) => `('p${n}', 'active', 'u${n}', 'alice', 't', 's', 's', 'n', 'attached',
      '10.0.0.1', 'g', 'a', 'alias${n}', 'osp${n}', 'k', 'f', 0, 1, 1)`,
    )
    await run(
      db,
      `insert into paths (id, state, user_id, user_name, project_id, server_id, server_name, network_id, route, address, gate_id,
        attachment_id, alias, login, public_key, fingerprint, created_at, expires_at, certificate_until) values ${rows.join(', ')}`,
    )
    expect(await endPaths(db, {expiredBy: 2}, 2, {action: 'expire'})).toHaveLength(7000)
    expect(await auditPage(db, {limit: 9000, denials: false})).toHaveLength(7000)
    await db.destroy()
  })

  it('a crash between a change and its audit leaves neither', async () => {
    const db = await open()
    await operations['addGate']?.(db, 0, 0)
    await operations['grant']?.(db, 0, 1)
    const states = async () => (await db.selectFrom('paths').select('state').execute()).map(row => row.state)
    await expect(endPaths(dying(db, 1), {}, 2, {action: 'revoke'})).rejects.toThrow(Crash)
    expect(await states()).toEqual(['pending'])
    await endPaths(db, {}, 2, {action: 'revoke', source: '192.0.2.9', detail: 'why'})
    expect(await states()).toEqual(['ended'])
    expect((await auditPage(db, {limit: 9, denials: false})).map(row => [row.action, row.source])).toEqual([
      ['revoke', '192.0.2.9'],
      ['grant', '192.0.2.1'],
      ['gate-add', null],
    ])
    expect(await gates(db)).toHaveLength(1)
    await db.destroy()
  })
})

it('the diagrams of docs/architecture.md are the table', () => {
  const doc = readFileSync(new URL('../../../docs/architecture.md', import.meta.url), 'utf8')
  for (const kind of Object.keys(lifecycle) as Kind[]) {
    const [, diagram = ''] =
      new RegExp(
        `^### The life of an? ${kind}$[\\s\\S]*?^\`\`\`mermaid\\nstateDiagram-v2\\n([\\s\\S]*?)^\`\`\``,
        'm',
      ).exec(doc) ?? []
    const drawn = [...diagram.matchAll(/^ +(\S+) --> (\S+): (.+)$/gm)].map(
      ([, from = '', to = '', name = '']) =>
        `${name}: ${from.replace('[*]', NONE)} -> ${to.replace('[*]', NONE)}`,
    )
    const table = steps(kind).map(([name, from, to]) => `${name}: ${from} -> ${to}`)
    expect(drawn.sort()).toEqual(table.sort())
  }
})
