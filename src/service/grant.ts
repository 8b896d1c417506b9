import {randomUUID} from 'node:crypto'
import {setTimeout as sleep} from 'node:timers/promises'

import {OsSshError} from '../errors.ts'
import type {OpenStack, Server} from '../openstack/index.ts'
import type {PathRequest} from '../protocol/index.ts'
import {fingerprint, parsePublicKey} from '../ssh/keys.ts'
import type {Caller} from './caller.ts'
import {askerOf, type GrantContext, giveWay, makeRoom, spare} from './fairness.ts'
import {userFault} from './faults.ts'
import type {GrantLimits} from './limits.ts'
import {candidates, type Nic, nicsOf, outsideOf} from './planner/facts.ts'
import {type GateChoice, type Plan, planDirect, planNew, planReuse} from './planner/plan.ts'
import {attachments} from './store/attachments.ts'
import {refuseBarred} from './store/bars.ts'
import {gates as allGates, gateChoices} from './store/gates.ts'
import type {Store} from './store/open.ts'
import {endPaths, renewPath} from './store/path-steps.ts'
import {livePath} from './store/paths.ts'
import {Collision, placePath} from './store/place.ts'
import type {PathRow} from './store/schema.ts'

/** The row of a path, and whether what the gate has of it is older. */
export interface Granted {
  readonly path: PathRow
  readonly renewed: boolean
}

/** Collisions with other grants that run at the same moment; each try plans anew. */
const TRIES = 12
/** How long to wait for a gate that is letting go of the very network, ms: Nova and Neutron take some seconds. */
const LETTING_GO_MS = 15_000
const LETTING_GO_POLL_MS = 1000

/**
 * Writes the row of a path, which its gate's worker then makes true. Renews the one that is there when it still
 * fits. Checks the caller's right with the caller's own token.
 *
 * @throws OsSshError NOT_FOUND, DENIED, VM_OFF, VM_NO_ADDRESS, NO_GATE, GATE_FULL, …
 */
export async function grantPath(
  context: GrantContext,
  caller: Caller,
  request: PathRequest,
  limits: GrantLimits,
): Promise<Granted> {
  const key = parsePublicKey(request.public_key)
  if (key.type !== 'ssh-ed25519') throw new OsSshError('USAGE', 'the public key must be of type ssh-ed25519')
  const patient = context.clock() + LETTING_GO_MS
  for (;;) {
    try {
      return await grantNow(context, caller, request, limits)
    } catch (error) {
      if (!(error instanceof OsSshError) || error.code !== 'BUSY' || context.clock() > patient) throw error
      await sleep(LETTING_GO_POLL_MS)
    }
  }
}

/** By what is true of the VM now: after a wait it is read again. */
async function grantNow(
  context: GrantContext,
  caller: Caller,
  request: PathRequest,
  limits: GrantLimits,
): Promise<Granted> {
  const server = await visibleServer(caller, request.server_id)
  mayEnter(caller, server)
  const {id: user_id} = caller.token.user
  await refuseBarred(context, {user_id, server_id: server.id, project_id: server.tenant_id})
  const nics = await chosenNics(caller, server, request.network_id)
  for (let attempt = 1; ; attempt++) {
    try {
      return await tryGrant(context, caller, request, server, nics, limits)
    } catch (error) {
      if (attempt === TRIES || !isConflict(error)) throw error
    }
  }
}

/** The server as Nova shows it to the caller. @throws OsSshError NOT_FOUND, and what the cloud says */
export async function visibleServer(caller: Caller, id: string): Promise<Server> {
  return caller.cloud.compute.server(id).catch(error => {
    throw userFault(error, `there is no VM ${id} that you may see`)
  })
}

/**
 * Nova decides who sees a server; who may log in to it must be a member, which a reader is not.
 *
 * @throws OsSshError DENIED
 */
export function mayEnter({token: {roles, project}, admin}: Caller, server: Server): void {
  if (admin) return
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

/** The driver's errors not by `instanceof`: they may be of another realm. */
const isConflict = (error: unknown) =>
  error instanceof Collision ||
  /UNIQUE|unique|SQLITE_BUSY/.test(`${(error as {code?: string}).code} ${error}`)

async function tryGrant(
  context: GrantContext,
  caller: Caller,
  request: PathRequest,
  server: Server,
  nics: readonly Nic[],
  limits: GrantLimits,
): Promise<Granted> {
  const {db, clock} = context
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
      const renewed = await renew(db, caller, there, {now, life, limits})
      if (renewed !== undefined) return renewed
    } else
      await endPaths(db, {ids: [there.id]}, now, {
        action: 'revoke',
        source: caller.source,
        detail: 'the VM has another address now',
      })
  }
  if (limits.fairness !== undefined) await giveWay(context, owner, limits.fairness)
  const plan = await makePlan(context, caller.cloud, server.tenant_id, nics, limits)
  const path = {
    ...owner,
    id: randomUUID(),
    user_name: caller.token.user.name,
    project_id: server.tenant_id,
    server_name: server.name,
    network_id: plan.nic.network_id,
    route: plan.route,
    address: plan.nic.address,
    public_key: request.public_key.trim(),
    created_at: now,
    expires_at: now + life,
    certificate_until: now + Math.min(life, limits.certLife * 1000),
  }
  return {path: await placePath(db, plan, limits, path, {source: caller.source}), renewed: false}
}

interface Renewal {
  /** Epoch ms. */
  readonly now: number
  /** Asked life, ms. */
  readonly life: number
  readonly limits: GrantLimits
}

/**
 * Moves the end of a path and of its certificate on. One whose certificate is in the first third of its life is fresh: the
 * same answer, and no work for the gate. Nothing lives longer than the longest life after it was made.
 */
async function renew(
  db: Store,
  {source}: Caller,
  path: PathRow,
  {now, life, limits}: Renewal,
): Promise<Granted | undefined> {
  const until = Math.max(path.expires_at, Math.min(now + life, path.created_at + limits.maxLife * 1000))
  const certificate = Math.min(now + limits.certLife * 1000, until)
  const certificateIsFresh = path.certificate_until - now > ((certificate - now) * 2) / 3
  if (path.state === 'pending' || (certificateIsFresh && until - path.expires_at < life / 3))
    return {path, renewed: false}
  const times = {expires_at: until, certificate_until: certificate}
  const row = await renewPath(db, path.id, times, now, {source})
  return row && {path: row, renewed: true}
}

/** Plans by what is there, and makes room where the gates are full of what nobody uses. */
async function makePlan(
  context: GrantContext,
  cloud: OpenStack,
  projectId: string,
  nics: readonly Nic[],
  limits: GrantLimits,
): Promise<Plan> {
  const {db, clock} = context
  const gates = await gateChoices(db)
  const asker = askerOf(limits, projectId, clock())
  try {
    const reuse = planReuse(nics, gates, asker, limits)
    if (reuse !== undefined) return reuse
    const way = await newWay(cloud, nics, projectId).catch(error => {
      throw userFault(error, 'the network of the VM cannot be read')
    })
    if (way !== undefined) return planNew(way.nic, way.options, gates, asker, limits)
    const outside = await leadingOut(context, nics, gates)
    return planDirect(outside.nic, outside.gates, asker, limits)
  } catch (error) {
    if (!(error instanceof OsSshError) || error.code !== 'GATE_FULL') throw error
    throw (
      (await spare(context, gates, asker, limits)) ?? (await makeRoom(context, gates, asker, limits)) ?? error
    )
  }
}

/** The interface to go to, and the networks that a gate can be plugged into for it, if any. */
async function newWay(cloud: OpenStack, nics: readonly Nic[], projectId: string) {
  for (const nic of nics) {
    const options = await candidates(cloud, nic, projectId)
    if (options.length > 0) return {nic, options}
  }
  return undefined
}

/**
 * The interface that gates reach by their own way out, and those gates.
 *
 * @throws OsSshError VM_UNREACHABLE
 */
async function leadingOut({db, cloud}: GrantContext, nics: readonly Nic[], gates: readonly GateChoice[]) {
  const rows = await allGates(db)
  const plugged = new Set((await attachments(db)).flatMap(row => row.port_id ?? []))
  const outside = new Map(
    await Promise.all(rows.map(async row => [row.id, await outsideOf(cloud, row, plugged)] as const)),
  )
  for (const nic of nics) {
    const leading = gates.filter(gate => outside.get(gate.id)?.has(nic.network_id))
    if (leading.length > 0) return {nic, gates: leading}
  }
  throw new OsSshError(
    'VM_UNREACHABLE',
    'no gate can be plugged into a network of the VM, nor leads there by itself',
    {
      hint: 'ask the owner of its network to share it with your project, or the operator of the SSH service',
    },
  )
}
