import {OsSshError} from '../../errors.ts'
import {plain} from '../../names/plain.ts'
import type {Server} from '../../openstack/index.ts'
import {ownProject} from '../account.ts'
import type {ServiceContext} from '../context.ts'
import {cloudFault, gone} from '../faults.ts'
import {gates as allGates, gateDown, moveGate} from '../store/gates.ts'
import {
  machines as allMachines,
  machine as machineById,
  noteMachine,
  replaceMachine,
} from '../store/machines.ts'
import type {GateRow, MachineRow} from '../store/schema.ts'
import {letsIn} from './first-contact.ts'
import {groupOf, type Making, machineJob} from './machine.ts'
import {anyMachine, newIdentity} from './names.ts'
import {ensureAddress, findPort, inGroup, isOurs} from './objects.ts'
import {type Care, care, MUTE, SPARE} from './policy.ts'

/** A running machine and the gate that it is. */
interface Pair {
  readonly machine: MachineRow
  readonly gate: GateRow
}

/**
 * Looks what has become of the machines that are gates, and does what is to be done (policy.ts).
 *
 * @param whole whether ports, groups and addresses are looked at, too, where nothing seems to be wrong
 * @throws OpenStackError
 */
export async function heal(making: Making, whole: boolean): Promise<void> {
  const {context} = making
  const {db, cloud, serviceId, log} = context
  const own = await ownProject(cloud)
  const gates = new Map((await allGates(db)).map(gate => [gate.id, gate]))
  await noteSilence(context, gates)
  const pairs = (await allMachines(db)).flatMap((machine): Pair[] => {
    const gate = gates.get(machine.id)
    // What another project has is not ours to see: an account that has moved finds nothing gone.
    return machine.state === 'running' && gate?.project_id === own ? [{machine, gate}] : []
  })
  if (pairs.length === 0) return
  const servers = await cloud.compute.servers({name: anyMachine(serviceId)})
  const group = once(() => groupOf(making))
  for (const pair of pairs) {
    const server = servers.find(one => isOurs(one, serviceId, pair.machine))
    const others = [...gates.values()].filter(gate => gate.id !== pair.gate.id && gate.state === 'ready')
    const mending = whole || pair.gate.state === 'down' ? group : undefined
    const {machine} = pair
    // Never while it is made or deleted.
    await context.jobs.alone(machineJob(machine), async () => {
      const now = await machineById(db, machine.id)
      if (now?.state !== 'running') return
      await healOne(making, {...pair, machine: now}, server, others, mending).catch(err =>
        log.warn({err, gate: pair.gate.name}, 'a gate could not be looked after'),
      )
    })
  }
}

const once = <T>(task: () => Promise<T>) => {
  let result: Promise<T> | undefined
  return () => (result ??= task())
}

async function healOne(
  making: Making,
  {machine, gate}: Pair,
  listed: Server | undefined,
  others: readonly GateRow[],
  group: (() => Promise<string>) | undefined,
): Promise<void> {
  const {context, config} = making
  const {db, cloud, clock, log} = context
  const now = clock()
  // What a listing has missed is asked for by itself, before anything is replaced for it.
  const server = listed ?? (await cloud.compute.server(gate.server_id).catch(gone))
  const isDown = gate.state === 'down'
  const isRebuilt = isDown && server?.status === 'ACTIVE' && (await wasRebuilt(making, gate))
  const seen = {machine, isDown, status: server?.status, isRebuilt}
  const times = {now, silence: config.silence * 1000}
  const what = care(seen, await answers(making, gate, others, care(seen, true, times)), times)
  if (what.do === 'replace') return replace(making, {machine, gate}, what.why)
  const fault = group && (await mend(making, {machine, gate}, group))
  if (fault === PORT_IS_GONE && isDown) return replace(making, {machine, gate}, fault)
  if (fault !== undefined && !isDown) log.warn({gate: gate.name, why: fault}, 'a gate could not be mended')
  const why = what.do === 'wait' ? what.why : isDown ? fault : undefined
  if (why !== undefined && machine.reason !== why && machine.reason !== SPARE) {
    log.warn({gate: gate.name, why}, 'a gate needs an operator')
    await noteMachine(db, machine.id, {reason: why})
  }
  if (what.do === 'heard') {
    const reason = machine.reason === SPARE ? SPARE : null
    await noteMachine(db, machine.id, {silent_since: null, rebooted_at: null, reason})
  }
  if (what.do === 'start' || what.do === 'reboot') {
    log.warn({gate: gate.name}, what.do === 'start' ? 'a gate was stopped: started' : 'a gate is rebooted')
    // First, so that a kill reboots it once.
    await noteMachine(db, machine.id, {rebooted_at: now})
    if (what.do === 'start') await cloud.compute.startServer(gate.server_id)
    else await cloud.compute.rebootServer(gate.server_id, 'HARD')
  }
}

/** From now on a gate that is down is known to be: before the cloud is asked for anything, which may fail. */
async function noteSilence({db, clock}: ServiceContext, gates: ReadonlyMap<string, GateRow>): Promise<void> {
  for (const {id, state, silent_since} of await allMachines(db))
    if (state === 'running' && silent_since === null && gates.get(id)?.state === 'down')
      await noteMachine(db, id, {silent_since: clock()})
}

/**
 * Before anything is done to a silent gate for its silence, this replica looks for itself: who calls it down may be another one, whose way
 * out is broken.
 *
 * @param what would be done if others answer
 * @returns whether another gate answers us
 * @throws OsSshError BUSY when the gate itself does
 */
async function answers(
  {context}: Making,
  gate: GateRow,
  others: readonly GateRow[],
  what: Care,
): Promise<boolean> {
  const bySilence = what.do === 'reboot' || (what.do === 'replace' && what.why === MUTE)
  if (!bySilence) return true
  const hears = ({host, host_key}: GateRow) => letsIn(context, host, host_key).catch(() => false)
  if (await hears(gate)) throw new OsSshError('BUSY', 'the gate answers this replica of the service')
  for (const other of others) if (await hears(other)) return true
  return false
}

/** Actions that give a server another disk (nova/compute/instance_actions.py). */
const NEW_DISK: readonly string[] = ['rebuild', 'evacuate']

/**
 * Somebody has had it rebuilt, and who answers there has another host key: it is no gate any more, and does not become one again. A
 * key alone, without Nova's word, is no reason: that may be anybody on the way.
 */
async function wasRebuilt({context}: Making, {server_id, name, host, host_key}: GateRow): Promise<boolean> {
  const {cloud, log} = context
  const actions = await cloud.compute.instanceActions(server_id).catch(err => {
    log.info({err, gate: name}, 'no instance actions')
    return []
  })
  if (!actions.some(({action}) => NEW_DISK.includes(action))) return false
  return !(await letsIn(context, host, host_key).catch(() => true))
}

/** Paths go for others when they are asked for again; the new one is booted meanwhile. */
async function replace({context, self}: Making, {machine, gate}: Pair, why: string): Promise<void> {
  const {db, clock, log} = context
  log.warn({gate: gate.name, why}, 'a gate is replaced')
  // Nobody waits for its answer any more.
  await gateDown(db, gate.id, why)
  await replaceMachine(db, machine, newIdentity(), self, clock(), why)
}

/** No server gets another one by itself. */
const PORT_IS_GONE = 'its port is gone'

/** Port, group and address are as they shall be again. @returns why not, where they are not: that keeps nothing else from being done */
async function mend(
  {context}: Making,
  {machine, gate}: Pair,
  group: () => Promise<string>,
): Promise<string | undefined> {
  if (machine.plan === undefined) return undefined
  try {
    const there = await findPort(context, machine)
    if (there === undefined || there.device_id !== gate.server_id) return PORT_IS_GONE
    const port = await inGroup(context, there, await group())
    const host = await ensureAddress(context, machine, machine.plan, port)
    if (host === gate.host) return undefined
    context.log.warn({gate: gate.name, host}, 'a gate has another address')
    await noteMachine(context.db, machine.id, {host})
    await moveGate(context.db, gate.id, host)
    return undefined
  } catch (error) {
    return plain(cloudFault(error, 'its port or address cannot be mended').message)
  }
}
