import {setTimeout as sleep} from 'node:timers/promises'

import {OsSshError} from '../../errors.ts'
import {plain, shortened} from '../../names/plain.ts'
import {OpenStackError, type Server} from '../../openstack/index.ts'
import {generateKeyPair} from '../../ssh/keys.ts'
import type {ServiceContext} from '../context.ts'
import {cloudFault} from '../faults.ts'
import type {Gates} from '../gates/gates.ts'
import type {Actor} from '../store/audit.ts'
import {
  machines as allMachines,
  allowed,
  bootMachine,
  clearMachine,
  failMachine,
  keyMachine,
  machine as machineById,
  noteMachine,
  planMachine,
  removeMachine,
  runMachine,
} from '../store/machines.ts'
import type {MachineRow} from '../store/schema.ts'
import {choose} from './choice/choose.ts'
import {look} from './choice/look.ts'
import type {GatesConfig} from './config.ts'
import {AnotherHost, firstContact, LOGIN} from './first-contact.ts'
import {
  ensureAddress,
  ensureGroup,
  ensurePort,
  ensureServer,
  ensureServerGroup,
  removeGroups,
  removeObjects,
} from './objects.ts'
import {installPackages} from './packages/install.ts'
import {retireGate} from './retire-gate.ts'
import {userData} from './user-data.ts'

/** How often a machine that is under way is looked at, ms: as long as it may be ready at any moment, and later. */
const [POLL_MS, SLOW_MS, QUICK_MS] = [300, 2000, 20_000]
/** After a fault of the cloud, ms. */
const PAUSE_MS = 2000
/** How often it is tried to take away what was made for nobody. */
const REMOVALS = 30
/** So long the gate has to let go of its networks, ms, until its server goes all the same. */
const LETTING_GO_MS = 120_000
/** So long the group of the last gate is tried to be deleted, ms: somebody may have put something of theirs into it. */
const GROUPS_MS = 60_000
/** How much of the console's end is shown, characters. */
const CONSOLE = 400

/** What machines are made with. */
export interface Making {
  readonly context: ServiceContext
  readonly gates: Gates
  readonly config: GatesConfig
  /** Public key of the management key, `type base64`. */
  readonly managementKey: string
  /** As the audit names the service itself. */
  readonly self: Actor
}

/**
 * Moves one machine on, step by step, until there is nothing to do for it. It may be killed anywhere: each step begins with what
 * is there.
 *
 * @param isOurs whether it is this replica's to do
 */
export async function tend(making: Making, id: string, isOurs: () => Promise<boolean>): Promise<void> {
  const {context} = making
  while (!context.jobs.stopped && (await isOurs())) {
    const row = await machineById(context.db, id)
    const step = row && stepOf(row)
    if (row === undefined || step === undefined) return
    const pause = await step(making, row).catch(error => failed(making, row, error))
    if (pause > 0) await sleep(pause)
  }
}

/** Who may reach port 22 of the machines: what an operator has said last, else what is configured. */
export const accessOf = async ({context, config}: Making): Promise<readonly string[]> =>
  (await allowed(context.db)) ?? config.allow

/** The group of all machines, which admits those. @returns its id @throws OpenStackError */
export const groupOf = async (making: Making): Promise<string> =>
  ensureGroup(making.context, await accessOf(making))

/** A machine is made, healed or deleted, and one of these at a time. */
export const machineJob = ({id}: Pick<MachineRow, 'id'>) => `machine ${id}`

/** Is there anything to do for it? */
export const needsWork = (row: MachineRow) => stepOf(row) !== undefined

type Step = (making: Making, row: MachineRow) => Promise<number>

function stepOf(row: MachineRow): Step | undefined {
  if (row.state === 'wanted') return make
  if (row.state === 'booting') return boot
  if (row.state === 'deleting' || (row.state === 'failed' && row.cleared_at === null)) return clear
  return undefined
}

/** Faults that may be over in a moment; what else the cloud says it says again. */
const PASSING = new Set(['unreachable', 'server', 'unauthorized', 'conflict', 'not-found'])

/** A step that failed is tried again while there is time, unless it would fail again. @returns how long to wait, ms */
async function failed({context, config}: Making, row: MachineRow, error: unknown): Promise<number> {
  const {db, clock, log} = context
  if (error instanceof OsSshError && error.code === 'SERVICE_DOWN') throw error
  if (!(error instanceof OsSshError || error instanceof OpenStackError)) throw error
  const fault = cloudFault(error, 'the cloud refuses')
  if (row.state === 'deleting' || row.state === 'failed') {
    log.warn({err: error, gate: row.name}, 'a gate cannot be deleted yet')
    return PAUSE_MS
  }
  // Another replica, which took this one for dead, has moved it on: what was tried here was of before.
  if ((await machineById(db, row.id))?.next_key !== row.next_key) return POLL_MS
  const passes = await mayPass(context, row, error, config.boot)
  const late = clock() - row.since > config.bootTimeout * 1000
  if (passes && !late) {
    if (row.reason !== fault.message) await noteMachine(db, row.id, {reason: plain(fault.message)})
    return error instanceof OpenStackError ? PAUSE_MS : pause(context, row)
  }
  const why = late
    ? `it was not ready within ${config.bootTimeout} s: ${fault.message}${await consoleEnd(context, row)}`
    : fault.message
  log.warn({err: error, gate: row.name}, 'a gate could not be made')
  await failMachine(db, row.id, plain(why), clock())
  return 0
}

/** Until something is to be seen of a machine. */
const pause = ({clock}: ServiceContext, {since}: MachineRow) =>
  clock() - since < QUICK_MS ? POLL_MS : SLOW_MS

/** May it be another answer in a while? */
async function mayPass(
  {db}: ServiceContext,
  row: MachineRow,
  error: OsSshError | OpenStackError,
  boot: GatesConfig['boot'],
): Promise<boolean> {
  // What goes gives back what there is too little of.
  const isScarce = error instanceof OsSshError ? error.code === 'QUOTA' : error.fault === 'quota'
  if (isScarce) return (await allMachines(db)).some(one => one.state === 'deleting')
  if (error instanceof OpenStackError) return PASSING.has(error.fault)
  // cloud-init says its keys before it runs a script, and after it has taken those of its own words.
  if (error instanceof AnotherHost) return boot === 'script'
  // Until cloud-init has run, sshd may have the image's own key; and who has had this address may be there yet.
  if (error.code === 'HOST_KEY') return row.next_key === null
  return ['GATE_DOWN', 'BUSY'].includes(error.code)
}

/** What the console last said, for people. */
async function consoleEnd({cloud}: ServiceContext, {server_id}: MachineRow): Promise<string> {
  if (server_id === null) return ''
  const text = await cloud.compute.consoleLog(server_id, 40).catch(() => '')
  const lines = text.split('\n').flatMap(line => line.trim() || [])
  const end = plain(lines.join(' | ').slice(-CONSOLE))
  return end === ''
    ? '; its console shows nothing'
    : `; its console ends with: ${shortened(end, CONSOLE * 2)}`
}

/** Wanted: everything that it is made of, and the server in the end. */
async function make(making: Making, row: MachineRow): Promise<number> {
  const {context, config, managementKey} = making
  const {db, cloud, clock} = context
  // It was asked for with others, or takes the place of one of them: it alone is what the quota must have room for.
  const plan = row.plan ?? choose(await look(cloud, row.wish), {...row.wish, count: 1})
  if (row.plan === undefined) await planMachine(db, row.id, plan)
  // Always the same one, so that a server that was asked for twice answers to it.
  const hostKey = row.first_key ?? (await keyMachine(db, row.id, generateKeyPair(row.name).privateKey))
  // It was retired meanwhile.
  if (hostKey === undefined) return 0
  const group = await groupOf(making)
  const port = await ensurePort(context, row, plan, group)
  const host = await ensureAddress(context, row, plan, port)
  const together = (row.wish.count ?? 1) > 1 || (row.automatic && config.perZone > 1)
  const serverGroup = together ? await serverGroupOf(making, row) : undefined
  const data = userData({name: row.name, managementKey, hostKey, kind: config.boot})
  const server = await ensureServer(context, row, {plan, port: port.id, userData: data, serverGroup})
  if (!(await bootMachine(db, row.id, {server_id: server, host}, clock())))
    await removeTwin(making, row, server)
  return 0
}

/** Hosts apart are worth having, and no gate less is. */
async function serverGroupOf({context}: Making, {name}: MachineRow): Promise<string | undefined> {
  return ensureServerGroup(context).catch(error => {
    const isRefused =
      error instanceof OpenStackError && ['quota', 'forbidden', 'bad-request'].includes(error.fault)
    if (!isRefused) throw error
    context.log.warn({err: error, gate: name}, 'there is no server group')
    return undefined
  })
}

/** Another replica, which took this one for dead, was faster: its server is the machine, or nobody wants one any more. */
async function removeTwin({context}: Making, was: MachineRow, server: string): Promise<void> {
  const row = await machineById(context.db, was.id)
  if (row?.server_id != null && row.server_id !== server) await context.cloud.compute.deleteServer(server)
  if (row !== undefined) return
  for (let tries = 0; tries < REMOVALS && !(await removeObjects(context, was)); tries++) await sleep(PAUSE_MS)
}

/** Booting: until it is ACTIVE, answers, and has what a gate needs. */
async function boot(making: Making, row: MachineRow): Promise<number> {
  const {context, config, self} = making
  const {db, cloud, clock, log} = context
  const server = await cloud.compute.server(row.server_id ?? '').catch(error => {
    if (!(error instanceof OpenStackError) || error.fault !== 'not-found') throw error
    throw new OsSshError('CLOUD_REFUSED', 'its server was deleted while it booted')
  })
  if (server.status === 'ERROR')
    throw new OsSshError('CLOUD_REFUSED', `Nova says: ${plain(server.fault?.message ?? 'ERROR')}`)
  if (server.status !== 'ACTIVE') throw new OsSshError('BUSY', `its server is ${plain(server.status)}`)
  const host = row.host ?? ''
  const {hostKey, link} = await firstContact(context, row, host)
  await installPackages(context, link, row.name, config.mirrors).finally(() => link.close())
  const there = await runMachine(db, gateOf(row, server, {host, hostKey, now: clock()}), self)
  if (there) {
    log.info({gate: row.name}, 'a gate has booted')
    await making.gates.wake(row.id)
  }
  return 0
}

function gateOf(
  row: MachineRow,
  server: Server,
  {host, hostKey, now}: {host: string; hostKey: string; now: number},
) {
  return {
    ...{id: row.id, name: row.name, server_id: server.id, project_id: server.tenant_id},
    ...{scope: row.scope, serves: row.serves, zone: server['OS-EXT-AZ:availability_zone'] || row.zone},
    ...{host, port: 22, login: LOGIN, host_key: hostKey, keep_nics: [], created_at: now},
  }
}

/** On its way out: the gate first, which lets its networks go, then what it is made of. */
async function clear({context, gates, self}: Making, row: MachineRow): Promise<number> {
  const {db, clock} = context
  const age = clock() - row.since
  const isRetired = await retireGate(context, gates, row, self)
  if (!isRetired && age < LETTING_GO_MS) return pause(context, row)
  if (!(await removeObjects(context, row)) || !isRetired) return pause(context, row)
  // Before its row, by which what is left of it is known; and once more, when two were the last.
  if ((await isLast(context, row)) && !(await removeGroups(context)) && age < GROUPS_MS)
    return pause(context, row)
  if (row.state === 'failed') await clearMachine(db, row.id, clock())
  else await removeMachine(db, row.id)
  if (await isLast(context, row)) await removeGroups(context)
  return 0
}

async function isLast({db}: ServiceContext, {id}: MachineRow): Promise<boolean> {
  return (await allMachines(db)).every(one => one.id === id || one.cleared_at !== null)
}
