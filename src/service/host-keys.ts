import type {InstanceAction, OpenStack} from '../openstack/index.ts'
import type {Rebuild} from '../protocol/index.ts'
import {hostKeysFromConsole} from '../ssh/console.ts'
import type {ServiceContext} from './context.ts'
import {addPin, notePin, pin, type RebuildColumns, replacePin} from './store/host-keys.ts'
import type {HostKeysRow} from './store/schema.ts'

type Context = Pick<ServiceContext, 'db' | 'clock' | 'log'>

/** Host keys of a VM, and what is known of how they came to be. */
export interface KnownKeys {
  readonly keys: readonly string[]
  /** The newest rebuild or evacuation, when there was one. */
  readonly rebuild?: Rebuild
}

/**
 * Host keys of the VM from its console log, pinned at the first sight: the log is written by the guest and rotates. They are
 * learned anew only after a rebuild or an evacuation, which the guest cannot make up, and then as soon as the console shows
 * others; a VM that shows other keys without one must be forgotten on purpose.
 *
 * @param cloud as the user sees it
 */
export async function hostKeys(context: Context, cloud: OpenStack, serverId: string): Promise<KnownKeys> {
  const [row, newest] = await Promise.all([
    pin(context.db, serverId),
    newestRebuild(context, cloud, serverId),
  ])
  if (row === undefined) return learn(context, cloud, serverId, newest)
  if (newest === undefined || row.rebuild === newest.request_id) return known(row)
  // A pin of before we asked for rebuilds, and younger than this one.
  if (row.rebuild === null && newest.at < row.seen_at) return known(row)
  const keys = await consoleKeys(context, cloud, serverId)
  if (keys.length === 0 || same(keys, row.keys)) {
    if (context.clock() - newest.at < LEARNING_MS) return {keys: row.keys, rebuild: view(newest, false)}
    // It kept its disk, or prints none: what is printed from now on is the guest's own idea.
    const kept = {...row, ...columns(newest)}
    await notePin(context.db, serverId, columns(newest))
    return known(kept)
  }
  await replacePin(context.db, row, {...columns(newest), keys, seen_at: context.clock()})
  return {keys, rebuild: view(newest, true)}
}

/** The pin alone, for those who look. */
export async function pinnedHostKeys({db}: Pick<Context, 'db'>, serverId: string): Promise<KnownKeys> {
  const row = await pin(db, serverId)
  return row === undefined ? {keys: []} : known(row)
}

function known(row: HostKeysRow): KnownKeys {
  const {keys, rebuild, rebuilt_at, rebuilt_by} = row
  if (rebuild === null) return {keys}
  return {keys, rebuild: view({request_id: rebuild, at: rebuilt_at ?? 0, user_id: rebuilt_by ?? ''}, true)}
}

async function learn(
  context: Context,
  cloud: OpenStack,
  serverId: string,
  newest: Happened | undefined,
): Promise<KnownKeys> {
  const keys = await consoleKeys(context, cloud, serverId)
  if (keys.length > 0)
    await addPin(context.db, {
      server_id: serverId,
      keys,
      seen_at: context.clock(),
      ...(newest === undefined ? {rebuild: null, rebuilt_at: null, rebuilt_by: null} : columns(newest)),
    })
  return {keys, ...(newest && keys.length > 0 && {rebuild: view(newest, true)})}
}

async function consoleKeys({log}: Context, cloud: OpenStack, serverId: string): Promise<string[]> {
  try {
    return hostKeysFromConsole(await cloud.compute.consoleLog(serverId))
  } catch (err) {
    log.info({err, serverId}, 'no console log')
    return []
  }
}

/** So long after a rebuild other keys are learned, ms: a first boot takes minutes. */
const LEARNING_MS = 15 * 60_000

interface Happened {
  readonly request_id: string
  /** Epoch ms. */
  readonly at: number
  readonly user_id: string
}

/** Actions that give a server another disk, and so other host keys (nova/compute/instance_actions.py). */
const NEW_DISK: readonly InstanceAction['action'][] = ['rebuild', 'evacuate']

async function newestRebuild(
  {log}: Context,
  cloud: OpenStack,
  serverId: string,
): Promise<Happened | undefined> {
  try {
    const actions = (await cloud.compute.instanceActions(serverId)).filter(one =>
      NEW_DISK.includes(one.action),
    )
    return actions
      .map(one => ({
        request_id: one.request_id,
        at: Date.parse(`${one.start_time}Z`),
        user_id: one.user_id ?? '',
      }))
      .sort((a, b) => b.at - a.at)[0]
  } catch (err) {
    log.info({err, serverId}, 'no instance actions')
    return undefined
  }
}

const columns = ({request_id, at, user_id}: Happened): RebuildColumns => ({
  rebuild: request_id,
  rebuilt_at: at,
  rebuilt_by: user_id,
})

const view = ({request_id, at, user_id}: Happened, keys_seen: boolean): Rebuild => ({
  request_id,
  at: new Date(at).toISOString(),
  user_id,
  keys_seen,
})

const same = (a: readonly string[], b: readonly string[]) =>
  a.length === b.length && a.every(key => b.includes(key))
