import {randomUUID} from 'node:crypto'
import {setTimeout as sleep} from 'node:timers/promises'

import {OsSshError} from '../errors.ts'
import type {OpenStack, Server, Token} from '../openstack/index.ts'
import type {PathRequest} from '../protocol/index.ts'
import {hostKeysFromConsole} from '../ssh/console.ts'
import {fingerprint, parsePublicKey} from '../ssh/keys.ts'
import {audit} from './audit.ts'
import type {ServiceContext} from './context.ts'
import {userFault} from './faults.ts'
import {freeAlias, freeLogin, MAX_SLOTS} from './gates/addresses.ts'
import {candidates, type Nic, nicsOf} from './planner/facts.ts'
import {type Limits, type Plan, planNew, planReuse} from './planner/plan.ts'
import {gateChoices} from './store/gates.ts'
import type {Store} from './store/open.ts'
import {endPaths, heldOnGate, livePath} from './store/paths.ts'
import type {PathRow} from './store/schema.ts'

/** Who asks, with what the cloud says about them. */
export interface Caller {
  readonly token: Token
  /** The cloud through the caller's own eyes. */
  readonly cloud: OpenStack
  readonly source: string
}

export interface GrantLimits extends Limits {
  /** Longest life of a path, s. */
  readonly maxLife: number
  /** Life when none is asked for, s. */
  readonly defaultLife: number
}

type Context = Pick<ServiceContext, 'db' | 'clock' | 'log'>

/** Collisions with other grants that run at the same moment; each try plans anew. */
const TRIES = 5
/** How long to wait for a gate that is letting go of the very network, ms: Nova and Neutron take some seconds. */
const LETTING_GO_MS = 15_000
const LETTING_GO_POLL_MS = 1000

/**
 * Writes the wish of a path: the row that the reconciler then makes true. Renews the one that is there when it still
 * fits. Checks the caller's right with the caller's own token.
 *
 * @throws OsSshError NOT_FOUND, DENIED, VM_OFF, VM_NO_ADDRESS, NO_GATE, GATE_FULL, …
 */
export async function wish(
  context: Context,
  caller: Caller,
  request: PathRequest,
  limits: GrantLimits,
): Promise<PathRow> {
  const key = parsePublicKey(request.public_key)
  if (key.type !== 'ssh-ed25519') throw new OsSshError('USAGE', 'the public key must be of type ssh-ed25519')
  const patient = Date.now() + LETTING_GO_MS
  for (;;) {
    try {
      return await wishNow(context, caller, request, limits)
    } catch (error) {
      if (!(error instanceof OsSshError) || error.code !== 'BUSY' || Date.now() > patient) throw error
      await sleep(LETTING_GO_POLL_MS)
    }
  }
}

/** By what is true of the VM now: after a wait it is read again. */
async function wishNow(
  context: Context,
  caller: Caller,
  request: PathRequest,
  limits: GrantLimits,
): Promise<PathRow> {
  const server = await visibleServer(caller, request.server_id)
  mayEnter(caller.token, server)
  const nics = await chosenNics(caller, server, request.network_id)
  for (let attempt = 1; ; attempt++) {
    try {
      return await tryWish(context, caller, request, server, nics, limits)
    } catch (error) {
      if (attempt === TRIES || !isConflict(error)) throw error
    }
  }
}

async function visibleServer(caller: Caller, id: string): Promise<Server> {
  return caller.cloud.compute.server(id).catch(error => {
    throw userFault(error, `there is no VM ${id} that you may see`)
  })
}

/** Nova decides who sees a server; who may log in to it must be a member, which a reader is not. */
function mayEnter({roles, project}: Token, server: Server): void {
  if (roles.includes('admin')) return
  if (project?.id === server.tenant_id && roles.includes('member')) return
  throw new OsSshError('DENIED', 'your roles let you see this VM, but not log in to it')
}

async function chosenNics({cloud}: Caller, server: Server, networkId?: string): Promise<Nic[]> {
  const nics = await nicsOf(cloud, server).catch(error => {
    throw userFault(error, 'the network of the VM cannot be read')
  })
  if (networkId === undefined) return nics
  const chosen = nics.filter(nic => nic.network_id === networkId)
  if (chosen.length === 0) throw new OsSshError('NOT_FOUND', 'the VM has no address on that network')
  return chosen
}

/** Not by `instanceof`: the driver's errors may be of another realm. */
const isConflict = (error: unknown) =>
  /UNIQUE|unique|SQLITE_BUSY|attachment went away/.test(`${(error as {code?: string}).code} ${error}`)

async function tryWish(
  {db, clock}: Context,
  caller: Caller,
  request: PathRequest,
  server: Server,
  nics: readonly Nic[],
  limits: GrantLimits,
): Promise<PathRow> {
  const now = clock()
  const life = Math.min(request.life ?? limits.defaultLife, limits.maxLife) * 1000
  const owner = {
    user_id: caller.token.user.id,
    server_id: server.id,
    fingerprint: fingerprint(request.public_key),
  }
  const there = await livePath(db, owner)
  if (there !== undefined) {
    if (nics.some(nic => nic.network_id === there.network_id && nic.address === there.address)) {
      const renewed = await renew(db, there, now, life)
      if (renewed !== undefined) return renewed
    } else await endPaths(db, {ids: [there.id]}, now)
  }
  const plan = await makePlan(db, caller.cloud, server.tenant_id, nics, limits)
  const row = await insert(db, plan, limits, {
    ...owner,
    id: randomUUID(),
    state: 'pending',
    user_name: caller.token.user.name,
    project_id: server.tenant_id,
    server_name: server.name,
    network_id: plan.nic.network_id,
    route: plan.route,
    address: plan.nic.address,
    groups: JSON.stringify(plan.nic.groups),
    public_key: request.public_key.trim(),
    created_at: now,
    expires_at: now + life,
  })
  await audit(db, {action: 'grant', path: row, at: now, source: caller.source})
  return row
}

/** A path in the first third of its life is fresh: the same answer, and no work for the gate. */
async function renew(db: Store, path: PathRow, now: number, life: number): Promise<PathRow | undefined> {
  if (path.state === 'pending' || path.expires_at - now > (life * 2) / 3) return path
  const row = await db
    .updateTable('paths')
    .set({expires_at: now + life})
    .where('id', '=', path.id)
    .where('state', '=', 'active')
    .returningAll()
    .executeTakeFirst()
  if (row !== undefined) await audit(db, {action: 'renew', path: row, at: now})
  return row
}

async function makePlan(
  db: Store,
  cloud: OpenStack,
  projectId: string,
  nics: readonly Nic[],
  limits: Limits,
): Promise<Plan> {
  const gates = await gateChoices(db)
  const reuse = planReuse(nics, gates, projectId, limits)
  if (reuse !== undefined) return reuse
  const [nic] = nics as [Nic, ...Nic[]]
  const options = await candidates(cloud, nic.network_id).catch(error => {
    throw userFault(error, 'the network of the VM cannot be read')
  })
  return planNew(nic, options, gates, projectId, limits)
}

type NewPath = Omit<
  PathRow,
  | 'serial'
  | 'gate_id'
  | 'attachment_id'
  | 'alias'
  | 'login'
  | 'ended_at'
  | 'killed_at'
  | 'released_at'
  | 'error'
>

/** Attachment and path in one transaction: either both are wished for or neither. */
function insert(db: Store, plan: Plan, limits: Limits, path: NewPath): Promise<PathRow> {
  return db.transaction().execute(async tx => {
    const attachment =
      'reuse' in plan.attachment
        ? await tx
            .updateTable('attachments')
            .set({idle_since: null})
            .where('id', '=', plan.attachment.reuse)
            .where('state', '!=', 'removing')
            .returningAll()
            .executeTakeFirst()
        : await newAttachment(tx, plan.gate_id, plan.attachment.create, path.created_at)
    if (attachment === undefined) throw new Error('attachment went away')
    const held = await heldOnGate(tx, plan.gate_id)
    const family = path.address.includes(':') ? 6 : 4
    return tx
      .insertInto('paths')
      .values({
        ...path,
        gate_id: plan.gate_id,
        attachment_id: attachment.id,
        alias: freeAlias(attachment.slot, family, held.aliases),
        login: freeLogin(held.logins, limits.paths),
        ended_at: null,
        killed_at: null,
        released_at: null,
        error: null,
      })
      .returningAll()
      .executeTakeFirstOrThrow()
  })
}

async function newAttachment(
  tx: Store,
  gateId: string,
  network: Extract<Plan['attachment'], {create: unknown}>['create'],
  now: number,
) {
  const taken = await tx.selectFrom('attachments').select('slot').where('gate_id', '=', gateId).execute()
  const slots = new Set(taken.map(row => row.slot))
  const slot = Array.from({length: MAX_SLOTS}, (_, n) => n).find(n => !slots.has(n))
  if (slot === undefined) throw new OsSshError('GATE_FULL', 'the gate has no room for another network')
  return tx
    .insertInto('attachments')
    .values({
      id: randomUUID(),
      gate_id: gateId,
      slot,
      network_id: network.network_id,
      project_id: network.project_id,
      mtu: network.mtu,
      reach: JSON.stringify(network.reach),
      port_id: null,
      mac: null,
      addresses: '[]',
      groups: '[]',
      state: 'wanted',
      own_groups: null,
      wired_at: null,
      idle_since: null,
      created_at: now,
    })
    .returningAll()
    .executeTakeFirstOrThrow()
}

/**
 * Host keys of the VM from its console log, remembered at the first sight: the log is written by the guest and rotates
 * (PEERS 6). A VM that shows other keys later must be forgotten on purpose.
 */
export async function hostKeys(
  {db, clock, log}: Context,
  cloud: OpenStack,
  serverId: string,
): Promise<string[]> {
  const known = await db
    .selectFrom('host_keys')
    .select('keys')
    .where('server_id', '=', serverId)
    .executeTakeFirst()
  if (known !== undefined) return JSON.parse(known.keys) as string[]
  const keys = await cloud.compute
    .consoleLog(serverId)
    .then(hostKeysFromConsole)
    .catch(err => {
      log.info({err, serverId}, 'no console log')
      return []
    })
  if (keys.length === 0) return []
  await db
    .insertInto('host_keys')
    .values({server_id: serverId, keys: JSON.stringify(keys), seen_at: clock()})
    .onConflict(conflict => conflict.column('server_id').doNothing())
    .execute()
  return keys
}
