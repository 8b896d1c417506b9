import {spawnSync} from 'node:child_process'
import {setTimeout as sleep} from 'node:timers/promises'

import {forgetPath, pathFiles, readPath} from '../../src/access/path-files.ts'
import {type OpenStack, OpenStackError} from '../../src/openstack/index.ts'
import {attachments} from '../../src/service/store/attachments.ts'
import {openStore} from '../../src/service/store/open.ts'
import {eventually} from '../support/run.ts'
import {testCloud} from '../support/site.ts'
import {root, World} from '../support/world.ts'
import {type Bench, type Measured, measured, median, timed} from './measure.ts'

/** A machine of Nova's takes seconds to plug in and out. */
const MAX_RUNS = 6
const MIN_RUNS = 4
const POLL_MS = 100
const GONE_MS = 60_000
/** On a network that no router reaches, so that the gate must be plugged into it. */
const VM = 't1-db'

/**
 * The very first session to a VM of a network that no gate is plugged into, with nothing cached but the token, against what
 * the cloud itself takes to plug a port of that network into that gate. Says something on real services only.
 */
export const attach: Bench = {
  names: ['attach-real'],
  async run(_, runs) {
    if (testCloud !== 'openstack') throw new Error('attach-real is for OS_SSH_TEST_CLOUD=openstack')
    // As it is: what others left in the gates is in nobody's way, and their reboot is not for a benchmark to ask for.
    const world = await World.open('bench-attach', {flags: ['--grace', '0'], asIs: true})
    try {
      return [await pairs(world, Math.max(MIN_RUNS, Math.min(MAX_RUNS, runs)))]
    } finally {
      await tidy(world).finally(() => world.close())
    }
  },
}

async function pairs(world: World, runs: number): Promise<Measured> {
  const [ours, base]: [number[], number[]] = [[], []]
  const parts: (Parts & ByHand)[] = []
  const operator = await world.cloud('service')
  const network = (await (await world.cloud('tenant1')).network.networks({name: 't1-iso'}))[0]?.id ?? ''
  // The first of each logs in, and finds out which versions the APIs have.
  for (let n = -1; n < runs; n++) {
    const one = await connect(world)
    await tidy(world)
    const other = await plugByHand(operator, network, world.site.gates[0]?.server_id ?? '')
    if (n < 0) continue
    ours.push(one.took)
    base.push(other.all)
    parts.push({...one, ...other})
  }
  const part = (name: keyof (Parts & ByHand)) => Math.round(median(parts.map(one => one[name])))
  return {
    ...measured('attach-real', 'ms', ours, base),
    ...{planned_ms: part('planned'), active_ms: part('active'), over_active_ms: part('rest')},
    ...{cloud_port_ms: part('made'), cloud_plugged_ms: part('plugged')},
  }
}

/**
 * ms from the start: until the service has written what it wants, until it believed the port ACTIVE (after 10 s it goes on
 * without); and what came after.
 */
interface Parts {
  readonly took: number
  readonly planned: number
  readonly active: number
  readonly rest: number
}

async function connect(world: World): Promise<Parts> {
  const words = [`${root}bin/run.js`, 'connect', world.server(VM), '--', 'true']
  const begun = Date.now()
  const took = timed(process.execPath, words, {...world.env, OS_CLOUD: 'tenant1'})
  const db = await openStore(`${world.home}/service/service.db`)
  try {
    const [row, ...others] = await attachments(db)
    if (row === undefined || others.length > 0) throw new Error('this was to be the only attachment')
    const active = (row.wired_at ?? Number.NaN) - begun
    return {took, planned: row.created_at - begun, active, rest: took - active}
  } finally {
    await db.destroy()
  }
}

/** Nothing of the path is left: in the cloud, at the service and in the client, but the token. */
async function tidy(world: World): Promise<void> {
  await forgetWay(world, VM)
  await world.endPaths('tenant1')
  const left = await eventually(
    () => world.attachments(),
    rows => rows.length === 0,
    GONE_MS,
  )
  if (left.length > 0) throw new Error('the service has not taken its port out')
}

/** Alice's client knows nothing of her way to that VM any more, and has no connection to a gate for it. */
export async function forgetWay(world: World, name: string): Promise<void> {
  const [directory, vm] = [`${world.home}/run/os-ssh/tenant1`, world.server(name)]
  const hop = await readPath(directory, vm)
  const env = {...world.env, OS_CLOUD: 'tenant1'}
  if (hop !== undefined)
    spawnSync('ssh', ['-F', pathFiles(directory, vm).config, '-O', 'exit', hop.gate], {env, stdio: 'ignore'})
  await world.cli('tenant1', ['hostkeys', vm, '--forget'])
  await forgetPath(directory, vm)
}

/** ms from the start: until the port is there, until Nova says that it is plugged in, until Neutron calls it ACTIVE. */
interface ByHand {
  readonly made: number
  readonly plugged: number
  readonly all: number
}

/** The cloud's own work, by plain calls: a port of this network is made and plugged into that gate. */
async function plugByHand(cloud: OpenStack, network_id: string, gate: string): Promise<ByHand> {
  const begun = performance.now()
  const since = () => performance.now() - begun
  // By such a name the cloud's own reset finds it when this is killed.
  const {id} = await cloud.network.createPort({network_id, name: 'os-ssh-bench'})
  const made = since()
  try {
    await cloud.compute.attachPort(gate, id)
    const plugged = since()
    await untilPort(cloud, id, port => port?.status === 'ACTIVE')
    return {made, plugged, all: since()}
  } finally {
    await cloud.compute.detachPort(gate, id).catch(unlessGone)
    await untilPort(cloud, id, port => !port?.device_id)
    await cloud.network.deletePort(id).catch(unlessGone)
  }
}

type Look = Awaited<ReturnType<OpenStack['network']['port']>> | undefined

/** @throws Error when it does not come to that */
async function untilPort(cloud: OpenStack, id: string, good: (port: Look) => boolean): Promise<void> {
  for (const end = Date.now() + GONE_MS; ; await sleep(POLL_MS)) {
    if (good(await cloud.network.port(id).catch(unlessGone))) return
    if (Date.now() > end) throw new Error(`port ${id} does not become what it should`)
  }
}

export function unlessGone(error: unknown): undefined {
  if (error instanceof OpenStackError && error.fault === 'not-found') return undefined
  throw error
}
