import {randomUUID} from 'node:crypto'

import {OsSshError} from '../errors.ts'
import type {Server} from '../openstack/index.ts'
import type {PathRequest} from '../protocol/index.ts'
import {fingerprint, parsePublicKey} from '../ssh/keys.ts'
import type {Caller} from './caller.ts'
import {GateIsComing} from './deploy/coming.ts'
import {fail, revoke} from './endings.ts'
import {type GrantContext, giveWay} from './fairness.ts'
import {userFault} from './faults.ts'
import type {GrantLimits} from './limits.ts'
import {planNow, waits} from './placement.ts'
import {type Facts, type Nic, nicsOf, type Way, wayOf} from './planner/facts.ts'
import type {Plan} from './planner/plan.ts'
import {refuseBarred} from './store/bars.ts'
import {gate as gateById} from './store/gates.ts'
import {atomically, type Store} from './store/open.ts'
import {renewPath} from './store/path-steps.ts'
import {livePath, path as pathById} from './store/paths.ts'
import {Collision, keepFacts, type NewPath, placePath, requestPath} from './store/place.ts'
import type {PathRow} from './store/schema.ts'

/** The row of a path, and whether what the gate has of it is older. */
export interface Granted {
  readonly path: PathRow
  readonly renewed: boolean
}

/** Collisions with other grants that run at the same moment; each try plans anew. */
const TRIES = 12

/**
 * Writes the row of a path and finds its place, which the holder of its gate's lease then makes true. While there is no place it
 * waits for one (placement.ts). Renews the path that is there when it still fits. Checks the caller's right with the caller's
 * own token.
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
  const server = await visibleServer(caller, request.server_id)
  mayEnter(caller, server)
  const {id: user_id} = caller.token.user
  await refuseBarred(context, {user_id, server_id: server.id, project_id: server.tenant_id})
  const nics = await chosenNics(caller, server, request.network_id)
  const grant = new Grant(context, caller, request, server, nics, limits)
  for (let attempt = 1; ; attempt++) {
    try {
      return await grant.try()
    } catch (error) {
      if (!(error instanceof Collision)) throw error
      if (attempt === TRIES)
        throw new OsSshError('BUSY', 'too many ask for the same at this moment', {retryAfter: 2})
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

/** One request of one caller. */
class Grant {
  readonly #context: GrantContext
  readonly #caller: Caller
  readonly #server: Server
  readonly #limits: GrantLimits
  readonly #publicKey: string
  /** Asked life, ms. */
  readonly #life: number
  readonly #failed: boolean
  #facts: Facts
  #seen: Promise<Way | undefined> | undefined

  constructor(
    context: GrantContext,
    caller: Caller,
    request: PathRequest,
    server: Server,
    nics: readonly Nic[],
    limits: GrantLimits,
  ) {
    this.#context = context
    this.#caller = caller
    this.#server = server
    this.#limits = limits
    this.#publicKey = request.public_key.trim()
    this.#life = Math.min(request.life ?? limits.defaultLife, limits.maxLife) * 1000
    this.#failed = request.failed ?? false
    this.#facts = {nics, zone: server['OS-EXT-AZ:availability_zone'] || undefined}
  }

  /** @throws Collision when somebody else was first */
  async try(): Promise<Granted> {
    const {db, clock} = this.#context
    const {fairness} = this.#limits
    const now = clock()
    this.#seen = undefined
    const owner = {
      user_id: this.#caller.token.user.id,
      server_id: this.#server.id,
      fingerprint: fingerprint(this.#publicKey),
    }
    const there = await livePath(db, owner)
    if (there !== undefined) return this.#again(there, now)
    if (fairness !== undefined) await giveWay(this.#context, owner, fairness)
    const plan = await this.#plan()
    const path: NewPath = {
      ...owner,
      id: randomUUID(),
      user_name: this.#caller.token.user.name,
      project_id: this.#server.tenant_id,
      server_name: this.#server.name,
      public_key: this.#publicKey,
      created_at: now,
      expires_at: now + this.#life,
      certificate_until: now + Math.min(this.#life, this.#limits.certLife * 1000),
    }
    return {path: await this.#write(db, path, plan, now), renewed: false}
  }

  /** The plan; undefined while what it needs is under way. @throws OsSshError */
  #plan(): Promise<Plan | undefined> {
    return this.#planNow().catch(async error => {
      if (!waits(error)) throw error
      // Whoever places it later has nobody's token to look with.
      await this.#look()
      return undefined
    })
  }

  #planNow(): Promise<Plan> {
    const {nics, zone} = this.#facts
    const {tenant_id: project_id} = this.#server
    return planNow(this.#context, {nics, zone, project_id, look: () => this.#look()}, this.#limits)
  }

  /** The way to the VM as its user sees it; once a try. */
  #look(): Promise<Way | undefined> {
    this.#seen ??= wayOf(this.#caller.cloud, this.#facts.nics, this.#server.tenant_id).then(
      way => {
        this.#facts = {...this.#facts, way}
        return way
      },
      error => {
        throw userFault(error, 'the network of the VM cannot be read')
      },
    )
    return this.#seen
  }

  /** Request and place in one transaction; without a plan, what the user saw is kept for whoever finds one. */
  #write(db: Store, path: NewPath, plan: Plan | undefined, now: number): Promise<PathRow> {
    const {perVm = 0} = this.#limits.fairness ?? {}
    return atomically(db, async tx => {
      const row = await requestPath(tx, path, this.#facts, perVm, {source: this.#caller.source})
      if (plan !== undefined) return placePath(tx, plan, this.#limits, row, now)
      await keepFacts(tx, row.id, this.#facts, now)
      return row
    })
  }

  /** The user has a path to this VM by this key: it is renewed, or goes for one that fits. */
  async #again(there: PathRow, now: number): Promise<Granted> {
    const {db, gates} = this.#context
    if (there.state === 'requested') return {path: there, renewed: false}
    const {nics} = this.#facts
    if (!nics.some(nic => nic.network_id === there.network_id && nic.address === there.address)) {
      const why = {source: this.#caller.source, detail: 'the VM has another address now'}
      gates.wakeFor(await revoke(this.#context, {ids: [there.id]}, why))
      return this.try()
    }
    // By what its user says it may be down without anybody's having noticed.
    if (this.#failed && there.state === 'active') await this.#context.gates.check(there)
    if (await this.#isLost(there)) {
      await fail(this.#context, [there.id], LOST)
      return this.try()
    }
    return (await this.#renew(there, now)) ?? {path: (await pathById(db, there.id)) ?? there, renewed: false}
  }

  /** Is its gate down, and another one there for it, or on its way? Where there is none, it may be back before its user has given up. */
  async #isLost({gate_id}: PathRow): Promise<boolean> {
    if ((await gateById(this.#context.db, gate_id))?.state !== 'down') return false
    return this.#planNow().then(
      () => true,
      // One that is only looked after may be back, with its sessions: who says that it led nowhere waits for another one.
      error => error instanceof GateIsComing && (error.isAnother || this.#failed),
    )
  }

  /**
   * Moves the end of a path and of its certificate on. One whose certificate is in the first third of its life is fresh: the
   * same answer, and no work for the gate. Nothing lives longer than the longest life after it was made.
   */
  async #renew(path: PathRow, now: number): Promise<Granted | undefined> {
    const {certLife, maxLife} = this.#limits
    const until = Math.max(path.expires_at, Math.min(now + this.#life, path.created_at + maxLife * 1000))
    const certificate = Math.min(now + certLife * 1000, until)
    const certificateIsFresh = path.certificate_until - now > ((certificate - now) * 2) / 3
    if (path.state === 'pending' || (certificateIsFresh && until - path.expires_at < this.#life / 3))
      return {path, renewed: false}
    const times = {expires_at: until, certificate_until: certificate}
    const row = await renewPath(this.#context.db, path.id, times, now, {source: this.#caller.source})
    return row && {path: row, renewed: true}
  }
}

const LOST = new OsSshError('GATE_DOWN', 'its gate does not answer; another one takes it')
