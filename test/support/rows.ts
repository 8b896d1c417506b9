import type {Store} from '../../src/service/store/open.ts'
import type {AttachmentRow, GateRow, PathTable} from '../../src/service/store/schema.ts'

/* Rows of the service's database for unit tests: one gate `g`, its attachment `a`, a path `path` on it; say what matters. */

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
    keep_nics: '[]',
    state: 'ready',
    reason: null,
  } as const
  await db
    .insertInto('gates')
    .values({...usual, ...address, created_at: 0, ...given})
    .execute()
}

export async function attachmentRow(db: Store, given: Partial<AttachmentRow> = {}): Promise<void> {
  const usual = {
    id: 'a',
    gate_id: 'g',
    slot: 0,
    network_id: 'n1',
    project_id: 't',
    mtu: 1450,
    reach: '[]',
  } as const
  const port = {
    port_id: null,
    mac: null,
    addresses: '[]',
    groups: '[]',
    own_groups: null,
    state: 'wanted',
    wired_at: null,
  } as const
  await db
    .insertInto('attachments')
    .values({...usual, ...port, idle_since: null, created_at: 0, ...given})
    .execute()
}

export async function pathRow(db: Store, given: Partial<Omit<PathTable, 'serial'>> = {}): Promise<void> {
  const who = {id: 'path', state: 'pending', user_id: 'u', user_name: 'alice', project_id: 't'} as const
  const vm = {
    server_id: 's1',
    server_name: 'web',
    network_id: 'n1',
    route: 'attached',
    address: '10.0.0.5',
  } as const
  const place = {gate_id: 'g', attachment_id: 'a', alias: '100.64.0.16', login: 'osp0000', groups: '[]'}
  const times = {
    created_at: 0,
    expires_at: 9e12,
    certificate_until: 9e12,
    ended_at: null,
    killed_at: null,
    released_at: null,
  }
  await db
    .insertInto('paths')
    .values({...who, ...vm, ...place, ...times, public_key: 'k', fingerprint: 'f', error: null, ...given})
    .execute()
}
