import {readFileSync} from 'node:fs'

import {ipBatch, run} from '../../src/system/commands.ts'
import {type Backend, dir, external, here, mgmt, type Node, nodes} from './place.ts'
import {childOf, start, until} from './processes.ts'

/** Every device of the cloud in its namespace begins so. */
const prefix = 'oscloud'

const bridges = {mgmt: `${mgmt}/24`, tun: undefined, ext: `${external.gateway}/24`} as const

/** OVS takes packets from these legs by AF_PACKET and expects whole ones with their checksum. */
const noOffload = (device: string) => [
  'ethtool',
  '-K',
  device,
  'tx',
  'off',
  'tso',
  'off',
  'gso',
  'off',
  'gro',
  'off',
]

/** Three wires of the data centre: management, tunnels, and the external network that the workstation is on too. */
export async function wires(): Promise<void> {
  const devices = readFileSync('/proc/net/dev', 'utf8')
  if (devices.includes(`${prefix}-mgmt`)) return
  for (const [kind, address] of Object.entries(bridges)) {
    const name = `${prefix}-${kind}`
    await ipBatch(undefined, [
      `link add ${name} type bridge`,
      `link set ${name} up`,
      ...(address === undefined ? [] : [`address add ${address} dev ${name}`]),
    ])
    await run(noOffload(name))
  }
}

/** Starts a node and plugs its three legs in. */
export async function startNode(node: Node, backend: Backend): Promise<void> {
  const unshare = [
    'unshare',
    '-m',
    '-n',
    '-u',
    '-p',
    '-f',
    '--kill-child',
    '--mount-proc',
    '--propagation',
    'private',
  ]
  const words = [dir, node.name, String(node.id), node.l3, node.compute ? 'yes' : 'no', backend]
  const outer = start(node.name, [...unshare, 'sh', `${here}node-init`, ...words])
  await until(`the first process of ${node.name}`, () => childOf(outer) !== undefined, 30)
  const init = String(childOf(outer))
  for (const kind of Object.keys(bridges)) {
    const [leg, inside] = [`${prefix}${node.id}${kind}`, `${kind}0`]
    await ipBatch(undefined, [
      `link add ${leg} type veth peer name ${inside} netns ${init}`,
      `link set ${leg} master ${prefix}-${kind} up`,
    ])
    await run(noOffload(leg))
    await run(['nsenter', '-t', init, '-n', '--', ...noOffload(inside)])
  }
}

export const startNodes = (backend: Backend) => Promise.all(nodes.map(node => startNode(node, backend)))
