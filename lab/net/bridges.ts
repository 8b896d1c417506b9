import {attempt, ipBatch, run, sysctl} from '../../src/system/commands.ts'
import {netnsName} from '../paths.ts'
import type {Cloud, NetworkRecord, PortRecord} from '../state.ts'

/** Name of the bridge's end of a port's veth pair. */
export function tapName(port: {readonly id: string}): string {
  return `p${port.id.replaceAll('-', '').slice(0, 12)}`
}

/** Name of the host's leg into a lab's external network; `index` as in 172.24.INDEX.0/24. */
export function hostLeg(index: number): string {
  return `oslab-ext${index}`
}

/**
 * Tenant networks: each a bridge in a network namespace of its own, so that equal addresses of two tenants never
 * meet. Made when the first port is plugged.
 */
export function createBridges(cloud: Cloud, lab: string, index: number) {
  const made = new Map<string, Promise<string>>()

  async function make(network: NetworkRecord): Promise<string> {
    const netns = netnsName(lab, 'net', network.id)
    await run(['ip', 'netns', 'add', netns])
    // the bridge itself takes part in nothing: no addresses, no neighbour discovery of its own
    await sysctl(netns, {'net.ipv6.conf.all.disable_ipv6': 1, 'net.ipv6.conf.default.disable_ipv6': 1})
    const lines = [
      `link add br0 type bridge forward_delay 0 mcast_snooping 0`,
      `link set br0 mtu ${network.mtu}`,
      'link set br0 up',
    ]
    await ipBatch(netns, lines)
    if (network['router:external']) await hostLegInto(netns, network)
    return netns
  }

  /** The host's way to the external network: its gateway address on a veth in the namespace that the lab was started in. */
  async function hostLegInto(netns: string, network: NetworkRecord): Promise<void> {
    const leg = hostLeg(index)
    const subnet = cloud.subnets.get(network.subnets[0] ?? '')
    await ipBatch(undefined, [
      `link add ${leg} type veth peer name host netns ${netns}`,
      `addr add ${subnet?.gateway_ip}/${subnet?.cidr.split('/')[1]} dev ${leg}`,
      `link set ${leg} up`,
    ])
    await ipBatch(netns, ['link set host master br0', 'link set host up'])
  }

  /** The network's namespace, made at the first call. */
  function ensure(networkId: string): Promise<string> {
    const known = made.get(networkId)
    if (known !== undefined) return known
    const network = cloud.networks.get(networkId)
    if (!network) return Promise.reject(new Error(`network ${networkId} is gone`))
    const making = make(network)
    made.set(networkId, making)
    return making
  }

  return {
    ensure,
    /** Joins a namespace to the port's network by a veth pair; the new device is down. */
    async connect(port: PortRecord, netns: string, device: string): Promise<void> {
      const network = cloud.networks.get(port.network_id)
      const bridge = await ensure(port.network_id)
      const tap = tapName(port)
      const mtu = network?.mtu ?? 1450
      await ipBatch(bridge, [
        `link add ${tap} mtu ${mtu} type veth peer name ${device} netns ${netns} address ${port.mac_address} mtu ${mtu}`,
        `link set ${tap} master br0`,
        `link set ${tap} up`,
      ])
    },
    /** Removes the pair by the bridge's end: the other end goes too, wherever it was moved. */
    async disconnect(port: PortRecord): Promise<void> {
      const bridge = await made.get(port.network_id)
      if (bridge) await attempt(['ip', '-n', bridge, 'link', 'del', tapName(port)])
    },
    async remove(networkId: string): Promise<void> {
      const bridge = await made.get(networkId)
      made.delete(networkId)
      if (bridge) await attempt(['ip', 'netns', 'del', bridge])
    },
    /** The namespace if it was made. */
    made: (networkId: string) => made.get(networkId),
  }
}

export type Bridges = ReturnType<typeof createBridges>
