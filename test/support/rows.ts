import {takeOne} from '../../src/service/store/holdings.ts'
import type {Store} from '../../src/service/store/open.ts'
import type {AttachmentRow, GateRow, MachineTable, PathRow} from '../../src/service/store/schema.ts'

/* Rows of the service's database for unit tests: one gate `g`, its attachment `a`, a path `path` on it, a machine `m`; say what matters. */

export async function gateRow(db: Store, given: Partial<GateRow> = {}): Promise<void> {
  const usual = {
    id: 'g',
    name: 'gate1',
    server_id: 'gate-server',
    project_id: 'infra',
    scope: 'shared',
  } as const
  const address = {
    host: 'h',
    port: 22,
    login: 'root',
    host_key: 'k',
    state: 'ready',
    reason: null,
    clock_skew: 0,
  } as const
  const {keep_nics = [], ...rest} = given
  await db
    .insertInto('gates')
    .values({...usual, ...address, keep_nics: JSON.stringify(keep_nics), created_at: 0, ...rest})
    .execute()
}

/** @param given.groups that its port is in: the gate project's own, and others */
export async function attachmentRow(
  db: Store,
  given: Partial<AttachmentRow> & {readonly groups?: Readonly<Record<string, 'own' | 'vm'>>} = {},
): Promise<void> {
  const {reach = [], addresses = [], groups = {}, ...rest} = given
  const usual = {id: 'a', gate_id: 'g', slot: 0, network_id: 'n1', project_id: 't', mtu: 1450} as const
  const port = {port_id: null, mac: null, state: 'wanted', wired_at: null, idle_since: null} as const
  const lists = {reach: JSON.stringify(reach), addresses: JSON.stringify(addresses)}
  await db
    .insertInto('attachments')
    .values({...usual, ...port, ...lists, created_at: 0, ...rest})
    .execute()
  await groupRows(db, groups, given.id)
}

/** The groups that an attachment's port is in are these and no others. */
export async function groupRows(
  db: Store,
  groups: Readonly<Record<string, 'own' | 'vm'>>,
  attachment_id = 'a',
): Promise<void> {
  await db.deleteFrom('attachment_groups').where('attachment_id', '=', attachment_id).execute()
  for (const [group_id, whose] of Object.entries(groups))
    await db
      .insertInto('attachment_groups')
      .values({attachment_id, group_id, own: Number(whose === 'own')})
      .execute()
}

/** @param given.groups that the attachment's port must be in for it */
export async function pathRow(
  db: Store,
  given: Partial<Omit<PathRow, 'serial'>> & {readonly groups?: readonly string[]} = {},
): Promise<void> {
  const {groups = [], error, ...rest} = given
  const who = {id: 'path', state: 'pending', user_id: 'u', user_name: 'alice', project_id: 't'} as const
  const vm = {
    server_id: 's1',
    server_name: 'web',
    network_id: 'n1',
    route: 'attached',
    address: '10.0.0.5',
  } as const
  const place = {gate_id: 'g', attachment_id: 'a', alias: '100.64.0.16', login: 'osp0000'}
  const times = {created_at: 0, expires_at: 9e12, certificate_until: 9e12, ended_at: null, cut_at: null}
  const said = {error: error === undefined ? null : JSON.stringify(error)}
  const row = {...who, ...vm, ...place, ...times, public_key: 'k', fingerprint: 'f', ...said, ...rest}
  await db.insertInto('paths').values(row).execute()
  for (const group_id of groups)
    await db.insertInto('path_groups').values({path_id: row.id, group_id}).execute()
  if (row.state !== 'released') await takeOne(db, row.gate_id, row.project_id)
}

export async function machineRow(db: Store, given: Partial<MachineTable> = {}): Promise<void> {
  const who = {id: 'm', name: 'gate-m', state: 'running', scope: 'project', serves: null, zone: null} as const
  const what = {wish: '{}', plan: null, automatic: 0, first_key: null, next_key: null, reason: null} as const
  const server = {server_id: null, host: null, created_at: 0, since: 0} as const
  const times = {silent_since: null, rebooted_at: null, idle_since: null, cleared_at: null} as const
  await db
    .insertInto('machines')
    .values({...who, ...what, ...server, ...times, ...given})
    .execute()
}
