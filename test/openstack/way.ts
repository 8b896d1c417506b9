import {readFileSync} from 'node:fs'

import {run} from '../../lab/run.ts'
import {dir, nodes} from './place.ts'
import {inNode} from './processes.ts'

/** Of the router that has the address: where it leads, and whether that answers. */
const router = (host: string) => `
for ns in $(ip netns | sed -n '/^qrouter-/s/ .*//p'); do
  ip -n "$ns" -br address | grep -qF '${host}/' || continue
  inside=$(ip netns exec "$ns" iptables-save -t nat | sed -n 's/.*-d ${host}.32 .*--to-destination //p' | head -n 1)
  echo "$ns has it and leads to $inside"
  ip -n "$ns" neighbour # as it is: the ping may mend it
  ip netns exec "$ns" ping -c 2 -W 1 "$inside" | grep received
done`

/** What a node's agent has said of late that is no everyday's. */
function trouble(node: string): string {
  const log = readFileSync(`${dir}/nodes/${node}/log/openvswitch-agent.log`, 'utf8').slice(-500_000)
  const lines = log.split('\n').filter(line => /ERROR|OVS is dead|restarted|resync|out of sync/.test(line))
  return `${node}: ${lines.slice(-3).join('\n').slice(0, 900) || 'no trouble'}`
}

/**
 * The way to a floating IP that leads nowhere, which is Neutron's doing or this machine's: told where a test fails by it, since
 * it does so once in dozens of clouds. Never rejects.
 */
export async function wayTo(host: string): Promise<string> {
  const parts = [
    run(['ip', 'neighbour', 'show', host]),
    inNode('network1', ['sh', '-c', router(host)]),
    ...nodes.map(async ({name}) => trouble(name)),
  ]
  const told = await Promise.allSettled(parts)
  return told.map(one => (one.status === 'fulfilled' ? one.value : String(one.reason)).trim()).join('\n')
}
