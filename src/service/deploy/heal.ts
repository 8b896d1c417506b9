import {randomUUID} from 'node:crypto'

import {OpenStackError, type Server} from '../../openstack/index.ts'
import {gates as allGates, gateDown, moveGate} from '../store/gates.ts'
import {
  machines as allMachines,
  allowed,
  machine as machineById,
  noteMachine,
  replaceMachine,
} from '../store/machines.ts'
import type {GateRow, MachineRow} from '../store/schema.ts'
import {type Making, machineJob} from './machine.ts'
import {anyMachine, newName} from './names.ts'
import {ensureAddress, ensureGroup, ensurePort, findPort, isOurs} from './objects.ts'
import {care} from './policy.ts'

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
  const own = (await cloud.identity.token()).project?.id ?? ''
  const gates = new Map((await allGates(db)).map(gate => [gate.id, gate]))
  const pairs = (await allMachines(db)).flatMap((machine): Pair[] => {
    const gate = gates.get(machine.id)
    // What another project has is not ours to see: an account that has moved finds nothing gone.
    return machine.state === 'running' && gate?.project_id === own ? [{machine, gate}] : []
  })
  if (pairs.length === 0) return
  const servers = await cloud.compute.servers({name: anyMachine(serviceId)})
  const group = once(async () => ensureGroup(context, (await allowed(db)) ?? making.config.allow))
  for (const pair of pairs) {
    const server = servers.find(one => isOurs(one, serviceId, pair.machine))
    const others = [...gates.values()].some(gate => gate.id !== pair.gate.id && gate.state === 'ready')
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
  othersAnswer: boolean,
  group: (() => Promise<string>) | undefined,
): Promise<void> {
  const {context, config} = making
  const {db, cloud, clock, log} = context
  const now = clock()
  // What a listing has missed is asked for by itself, before anything is replaced for it.
  const server = listed ?? (await serverOf(making, gate))
  const seen = {machine, isDown: gate.state === 'down', status: server?.status}
  const what = care(seen, othersAnswer, {now, silence: config.silence * 1000})
  if (what.do === 'replace') return replace(making, {machine, gate}, what.why)
  if (group !== undefined && !(await mend(making, {machine, gate}, await group())))
    return replace(making, {machine, gate}, 'its port is gone')
  if (what.do === 'wait' && machine.reason !== what.why) {
    log.warn({gate: gate.name, why: what.why}, 'a gate needs an operator')
    await noteMachine(db, machine.id, {reason: what.why})
  }
  if (what.do === 'silent') await noteMachine(db, machine.id, {silent_since: now})
  if (what.do === 'heard')
    await noteMachine(db, machine.id, {silent_since: null, rebooted_at: null, reason: null})
  if (what.do === 'start' || what.do === 'reboot') {
    log.warn({gate: gate.name}, what.do === 'start' ? 'a gate was stopped: started' : 'a gate is rebooted')
    // First, so that a kill reboots it once.
    await noteMachine(db, machine.id, {rebooted_at: now})
    if (what.do === 'start') await cloud.compute.startServer(gate.server_id)
    else await cloud.compute.rebootServer(gate.server_id, 'HARD')
  }
}

async function serverOf({context: {cloud}}: Making, {server_id}: GateRow): Promise<Server | undefined> {
  return cloud.compute.server(server_id).catch(error => {
    if (error instanceof OpenStackError && error.fault === 'not-found') return undefined
    throw error
  })
}

/** Paths go for others when they are asked for again; the new one is booted meanwhile. */
async function replace({context, self}: Making, {machine, gate}: Pair, why: string): Promise<void> {
  const {db, clock, log} = context
  log.warn({gate: gate.name, why}, 'a gate is replaced')
  const id = randomUUID()
  // Nobody waits for its answer any more.
  await gateDown(db, gate.id, why)
  await replaceMachine(db, machine, {id, name: newName(id)}, self, clock(), why)
}

/** Port, group and address are as they shall be again. @returns false when the port is gone, which no server gets back by itself */
async function mend({context}: Making, {machine, gate}: Pair, group: string): Promise<boolean> {
  if (machine.plan === undefined) return true
  const there = await findPort(context, machine)
  if (there === undefined || there.device_id !== gate.server_id) return false
  const port = await ensurePort(context, machine, machine.plan, group)
  const host = await ensureAddress(context, machine, machine.plan, port)
  if (host === gate.host) return true
  context.log.warn({gate: gate.name, host}, 'a gate has another address')
  await noteMachine(context.db, machine.id, {host})
  await moveGate(context.db, gate.id, host)
  return true
}
