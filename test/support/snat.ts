import {readFileSync} from 'node:fs'
import {Writable} from 'node:stream'

import {
  type AgentFact,
  type Facts,
  type FloatingIpFact,
  NO_FACTS,
  type PortFact,
  type RouterFact,
} from '../../src/snat/facts.ts'
import {type Heartbeat, heartbeatText} from '../../src/snat/heartbeat.ts'
import {inventory} from '../../src/snat/inventory.ts'
import {decided} from '../../src/snat/status.ts'
import {type WayOut, wayOut} from '../../src/snat/wayout.ts'

/** Answers recorded from a real Neutron (test/fixtures/snat), as facts. */
export function factsOf(name: 'zed-ovs' | 'zed-ovs-member' | 'zed-ovs-member-dvr' | 'zed-ovn'): Facts {
  const file = new URL(`../fixtures/snat/${name}.json`, import.meta.url)
  return {...NO_FACTS, ...(JSON.parse(readFileSync(file, 'utf8')) as Partial<Facts>)}
}

/** What `print` writes to a screen that is no terminal. */
export async function printed(print: (screen: Writable) => Promise<void>): Promise<string> {
  let text = ''
  const screen = new Writable({
    write(chunk, _encoding, done) {
      text += String(chunk)
      done()
    },
  })
  await print(screen)
  return text
}

/** A port that is the leg of local gateways on a node, and what the node's agent said in it. */
export interface Leg {
  readonly host: string
  /** Whose: a router, or the external network. */
  readonly of?: string
  readonly address?: string
  readonly subnet?: string
  /** When the agent said it, s before the facts; null: it has never said anything. */
  readonly ago?: number | null
  readonly said?: Partial<Heartbeat>
}

/** The facts with such legs, as of a time. */
export function withLegs(facts: Facts, ...legs: readonly Leg[]): Facts {
  const at = Date.parse('2026-11-29T06:30:00Z')
  const ports = legs.map(
    ({host, of = DVR, address = '172.24.4.99', subnet = PUBLIC_SUBNET, ago = 20, said}) => ({
      id: `leg-${of}-${host}`,
      device_id: of,
      device_owner: 'network:local_snat',
      fixed_ips: [{subnet_id: subnet, ip_address: address}],
      status: 'ACTIVE',
      'binding:host_id': host,
      description: ago === null ? '' : heartbeatText({...QUIET, at: at - ago * 1000, ...said}),
    }),
  )
  return {...facts, at, ports: [...facts.ports, ...ports]}
}

const QUIET = {sharing: 'per-router', local: 1, exceptions: [], more: 0} as const

/** The external network of the recorded cloud, its subnet, and one of a tenant. */
export const PUBLIC = '4476ba76-afc0-44ce-87e5-064fb7c6305f'
export const PUBLIC_SUBNET = '4a43eb1c-8c70-4344-8f10-d7426f94bc3f'
export const TENANT_SUBNET = 'd2a97e54-dda6-4d16-929f-2226f913fd6a'

export const LEGACY = '5a6ad93d-831c-4f8f-a510-4249ad88d307'
export const DVR = '763aa638-b31f-4737-8370-8c326a2a08a9'
/** VMs behind the DVR router: without and with a floating IP, without one on compute2; and one behind the legacy router. */
export const VM_CENTRAL = 'f7f6041e-0000-4000-8000-0000000000a1'
export const VM_FIP = 'f7f6041e-0000-4000-8000-0000000000a2'
export const VM_OTHER = 'f7f6041e-0000-4000-8000-0000000000b1'
export const VM_LEGACY = 'c8b90de7-6aad-4a2e-a357-f8d7c8b88ef6'

/** The facts with a router, or the ports of a VM, changed. */
export const withRouter = (facts: Facts, id: string, change: Partial<RouterFact>): Facts => ({
  ...facts,
  routers: facts.routers.map(router => (router.id === id ? {...router, ...change} : router)),
})
export const withPort = (facts: Facts, vm: string, change: Partial<PortFact>): Facts => ({
  ...facts,
  ports: facts.ports.map(port => (port.device_id === vm ? {...port, ...change} : port)),
})

/** The facts with another mode of a host's L3 agent; undefined: it has none. */
export const withAgentMode = (facts: Facts, host: string, agent_mode: string | undefined): Facts => ({
  ...facts,
  agents: facts.agents.flatMap((agent): AgentFact[] => {
    if (agent.host !== host || agent.agent_type !== 'L3 agent') return [agent]
    return agent_mode === undefined ? [] : [{...agent, configurations: {agent_mode}}]
  }),
})

/** The one floating IP of recorded facts, changed. */
export const withFip = (facts: Facts, change: Partial<FloatingIpFact>): Facts => ({
  ...facts,
  floatingIps: [{...(factsOf('zed-ovs').floatingIps[0] as FloatingIpFact), ...change}],
})

/** The way out of a VM by a router. */
export function way(facts: Facts, router: string, vm: string): WayOut {
  const inv = inventory(facts)
  const view = inv.routers.get(router)
  const port = facts.ports.find(one => one.device_id === vm)
  if (!view || !port) throw new Error('fixture')
  return wayOut(inv, view, port, decided(inv, view).verdict)
}
