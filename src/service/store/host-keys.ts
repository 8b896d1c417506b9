import {type Actor, auditAct} from './audit.ts'
import {atomically, type Store} from './open.ts'
import type {HostKeysRow} from './schema.ts'

/** The newest rebuild of a VM, as its pin knows it. */
export type RebuildColumns = Pick<HostKeysRow, 'rebuild' | 'rebuilt_at' | 'rebuilt_by'>

/** The host keys that this VM is pinned to. */
export async function pin(db: Store, serverId: string): Promise<HostKeysRow | undefined> {
  const row = await db
    .selectFrom('host_keys')
    .selectAll()
    .where('server_id', '=', serverId)
    .executeTakeFirst()
  return row && {...row, keys: JSON.parse(row.keys) as string[]}
}

/** Pins a VM that has none; the first one counts. */
export async function addPin(db: Store, row: HostKeysRow): Promise<void> {
  await db
    .insertInto('host_keys')
    .values({...row, keys: JSON.stringify(row.keys)})
    .onConflict(conflict => conflict.column('server_id').doNothing())
    .execute()
}

/** Pins a VM to other keys, unless somebody has done so meanwhile. */
export async function replacePin(
  db: Store,
  old: Pick<HostKeysRow, 'server_id' | 'seen_at'>,
  {keys, ...columns}: Omit<HostKeysRow, 'server_id'>,
): Promise<void> {
  await db
    .updateTable('host_keys')
    .set({...columns, keys: JSON.stringify(keys)})
    .where('server_id', '=', old.server_id)
    .where('seen_at', '=', old.seen_at)
    .execute()
}

/** The VM was rebuilt and is known to have kept its keys. */
export async function notePin(db: Store, serverId: string, rebuild: RebuildColumns): Promise<void> {
  await db.updateTable('host_keys').set(rebuild).where('server_id', '=', serverId).execute()
}

/** Forgets the pin, where there is one. @param at epoch ms */
export async function dropPin(db: Store, server_id: string, who: Actor, at: number): Promise<void> {
  await atomically(db, async tx => {
    const {numDeletedRows} = await tx
      .deleteFrom('host_keys')
      .where('server_id', '=', server_id)
      .executeTakeFirstOrThrow()
    if (numDeletedRows > 0n) await auditAct(tx, 'forget-host-keys', who, {at, server_id})
  })
}
