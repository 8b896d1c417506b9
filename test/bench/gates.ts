import {connect} from 'node:net'
import {setTimeout as sleep} from 'node:timers/promises'

import {rootLogin} from '../../lab/tenants.ts'
import type {OpenStack} from '../../src/openstack/index.ts'
import type {Gate} from '../../src/protocol/index.ts'
import {eventually} from '../support/run.ts'
import {root, World} from '../support/world.ts'
import {forgetWay, unlessGone} from './attach.ts'
import {type Bench, type Measured, measured, median, timed} from './measure.ts'

/** A gate takes seconds to minutes. */
const [MIN_RUNS, MAX_RUNS] = [3, 5]
const [POLL_MS, GONE_MS] = [100, 120_000]
const VM = 't1-web'

/**
 * `deploy`: from `gate deploy` until a user's first `ssh VM true` through it has ended, against what the same cloud takes from POST
 * /servers until that guest's sshd answers. `heal`: the gate was deleted by Nova, until the next `ssh VM true` has ended; nothing of
 * the client's is connected to it any more.
 */
export const gates: Bench = {
  names: ['gates'],
  async run(_, runs) {
    const world = await World.open('bench-gates', {
      gate: 'none',
      gates: {automatic: true, scope: 'shared', per_zone: 1},
    })
    const rounds = Math.max(MIN_RUNS, Math.min(MAX_RUNS, runs))
    try {
      return [await deploys(world, rounds), await heals(world, rounds)]
    } finally {
      for (const {id} of await gatesOf(world)) await deleteGate(world, id)
      await world.close()
    }
  },
}

const osSsh = (world: World, cloud: string, ...words: string[]) =>
  timed(process.execPath, [`${root}bin/run.js`, ...words], {...world.env, OS_CLOUD: cloud})

const gatesOf = async (world: World) =>
  (await world.api<{gates: Gate[]}>('service', 'GET', '/v1/gates')).gates

async function deleteGate(world: World, id: string): Promise<void> {
  await world.api('service', 'DELETE', `/v1/gates/${id}`, undefined, 202)
  const left = await eventually(
    () => gatesOf(world),
    all => all.every(gate => gate.id !== id),
    GONE_MS,
  )
  if (left.some(gate => gate.id === id)) throw new Error('the gate is not gone')
}

async function deploys(world: World, runs: number): Promise<Measured> {
  const [ours, base, ready]: [number[], number[], number[]] = [[], [], []]
  // The first of each logs in.
  for (let n = -1; n < runs; n++) {
    const made = osSsh(world, 'service', 'gate', 'deploy', '--shared', '-f', 'json')
    const took = made + osSsh(world, 'tenant1', 'connect', VM, '--', 'true')
    const [gate] = await gatesOf(world)
    await forgetWay(world, VM)
    await deleteGate(world, gate?.id ?? '')
    const cloud = await bootByHand(await world.cloud('service'))
    if (n < 0) continue
    ours.push(took)
    ready.push(made)
    base.push(cloud)
  }
  return {...measured('deploy', 'ms', ours, base), ready_ms: Math.round(median(ready))}
}

async function heals(world: World, runs: number): Promise<Measured> {
  const cloud = await world.cloud('service')
  const took: number[] = []
  osSsh(world, 'tenant1', 'connect', VM, '--', 'true')
  for (let n = 0; n < runs; n++) {
    const [gate] = await gatesOf(world)
    await forgetWay(world, VM)
    await cloud.compute.deleteServer(gate?.server_id ?? '')
    const begun = performance.now()
    osSsh(world, 'tenant1', 'connect', VM, '--', 'true')
    took.push((performance.now() - begun) / 1000)
    await eventually(
      () => gatesOf(world),
      all => all.length === 1,
      GONE_MS,
    )
  }
  return measured('heal', 's', took)
}

/** The cloud's own work: a server with a port and a floating IP, until its sshd answers. @returns ms from POST /servers */
export async function bootByHand(cloud: OpenStack): Promise<number> {
  const project_id = (await cloud.identity.token()).project?.id ?? ''
  const [[network], [external], groups, [image]] = await Promise.all([
    cloud.network.networks({name: 'gates', project_id}),
    cloud.network.networks({name: 'public'}),
    cloud.network.securityGroups({project_id, name: 'open'}),
    cloud.image.images({name: 'debian-12'}),
  ])
  const security_groups = groups.map(group => group.id)
  const name = 'os-ssh-bench'
  const port = await cloud.network.createPort({network_id: network?.id ?? '', name, security_groups})
  const floating = await cloud.network.createFloatingIp({
    ...{floating_network_id: external?.id ?? '', port_id: port.id, description: name},
  })
  let server = ''
  try {
    const begun = performance.now()
    const boot = {name, imageRef: image?.id, flavorRef: '1', user_data: rootLogin, config_drive: true}
    server = (await cloud.compute.createServer({...boot, networks: [{port: port.id}]})).id
    while (!(await answers(floating.floating_ip_address ?? ''))) await sleep(POLL_MS)
    return performance.now() - begun
  } finally {
    if (server !== '') await cloud.compute.deleteServer(server).catch(unlessGone)
    const gone = () =>
      cloud.compute.server(server).then(
        () => false,
        () => true,
      )
    await eventually(gone, Boolean, GONE_MS)
    await cloud.network.deleteFloatingIp(floating.id)
    await cloud.network.deletePort(port.id).catch(unlessGone)
  }
}

/** Says an sshd its name there? */
function answers(host: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({host, port: 22, timeout: 1000})
    const end = (said: boolean) => {
      socket.destroy()
      resolve(said)
    }
    socket.once('data', data => end(data.toString().startsWith('SSH-')))
    for (const event of ['error', 'timeout', 'close']) socket.once(event, () => end(false))
  })
}
