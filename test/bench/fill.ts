import {randomUUID} from 'node:crypto'

import {openStore, type Store} from '../../src/service/store/open.ts'
import {activatePaths} from '../../src/service/store/path-steps.ts'
import {livePaths} from '../../src/service/store/paths.ts'
import {type NewPath, placePath, requestPath} from '../../src/service/store/place.ts'
import type {PathRow} from '../../src/service/store/schema.ts'
import {fingerprint, generateKeyPair} from '../../src/ssh/keys.ts'
import {eventually} from '../support/run.ts'
import type {World} from '../support/world.ts'

/** Accounts of a gate, as its logins have four digits; one less is what --max-paths takes. */
export const ALL_ACCOUNTS = 9999
/** A service that takes them. */
export const UNLIMITED = [
  ...['--paths-per-vm', '0', '--paths-per-user', '0', '--project-share', '0'],
  ...['--max-paths', String(ALL_ACCOUNTS)],
]
/** User and VM, each on a network of its own, since one has 4,000 aliases: a path to each, and there are samples. */
export const targets = [
  ['tenant1', 't1-web'],
  ['tenant1', 't1-db'],
  ['tenant2', 't2-db'],
] as const
/** No row is to end while it is measured, s. */
const LIFE_S = 3 * 3600
/** So long thousands of paths may take until the gate has them, ms. */
const THERE_MS = 600_000

/** Paths that become active at a time. */
const CHUNK = 1000

/**
 * Paths until there are so many, written as a grant writes them and not asked for one by one: with new keys, otherwise like
 * those that are there, in turn, on the attachments that stand. The service is stopped meanwhile; at the end it runs again
 * and the gate has them all.
 */
export async function fill(world: World, count: number): Promise<void> {
  await world.stopService()
  // --state of the world's service.
  const db = await openStore(`${world.home}/service/service.db`)
  try {
    await place(db, count)
  } finally {
    await db.destroy()
  }
  await world.startService('service')
  await untilThere(world, count)
}

/** Waits until the gate has the principals of so many paths. @throws Error when it does not get them */
export async function untilThere(world: World, count: number): Promise<void> {
  const onGate = async () =>
    Number((await world.onGate('ls /etc/os-ssh/principals 2>/dev/null | wc -l')).stdout)
  const there = await eventually(onGate, n => n >= count, THERE_MS)
  if (there < count) throw new Error(`${there} of ${count} paths on the gate`)
}

/** One transaction: a commit waits for the disk. */
async function place(db: Store, count: number): Promise<void> {
  const there = await livePaths(db)
  const samples = [...new Map(there.map(path => [path.attachment_id, path])).values()]
  if (samples.length === 0) throw new Error('no path to make others like')
  const groups = await groupsOf(db)
  const limits = {
    attachments: 24,
    paths: ALL_ACCOUNTS,
    maxLife: LIFE_S,
    defaultLife: LIFE_S,
    certLife: LIFE_S,
  }
  await db.transaction().execute(async tx => {
    const ids: string[] = []
    for (let n = there.length; n < count; n++) {
      const sample = samples[n % samples.length] as PathRow
      const {gate_id, attachment_id, route, network_id, address} = sample
      const nic = {network_id, address, groups: groups.get(sample.id) ?? []}
      const plan = {gate_id, route, nic, attachment: {reuse: attachment_id}}
      const path = await requestPath(tx, like(sample), {nics: [nic]}, 0, {detail: 'bench'})
      ids.push((await placePath(tx, plan, limits, path, path.created_at)).id)
    }
    // Their VMs have answered when the samples were granted; thousands of probes at once are another thing to measure.
    for (let n = 0; n < ids.length; n += CHUNK) await activatePaths(tx, ids.slice(n, n + CHUNK))
  })
}

/** Another path to the same VM, by the same user. */
function like(sample: PathRow): NewPath {
  const {user_id, user_name, project_id, server_id, server_name} = sample
  const {publicKey: public_key} = generateKeyPair('fill')
  const now = Date.now()
  return {
    ...{id: randomUUID(), user_id, user_name, project_id, server_id, server_name},
    ...{public_key, fingerprint: fingerprint(public_key)},
    ...{created_at: now, expires_at: now + LIFE_S * 1000, certificate_until: now + LIFE_S * 1000},
  }
}

/** Security groups of each path. */
async function groupsOf(db: Store): Promise<ReadonlyMap<string, readonly string[]>> {
  const rows = await db.selectFrom('path_groups').selectAll().execute()
  const byPath = Map.groupBy(rows, row => row.path_id)
  return new Map([...byPath].map(([id, of]) => [id, of.map(row => row.group_id)]))
}
