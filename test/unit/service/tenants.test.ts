import {expect, it} from '@jest/globals'
import fc from 'fast-check'
import ipaddr from 'ipaddr.js'

import type {Network, OpenStack, Port, Router, Subnet} from '../../../src/openstack/index.ts'
import {candidates, type Nic} from '../../../src/service/planner/facts.ts'
import {
  type AttachmentChoice,
  type GateChoice,
  planNew,
  planReuse,
} from '../../../src/service/planner/plan.ts'
import {contains, overlap} from '../../../src/service/planner/prefix.ts'

/*
 * Any topology of several projects, asked for in any order: no plan leads a packet of one project through a router, a network
 * or a group of another. What the kernel would do with the rows is worked out here by itself: the longest prefix wins.
 */

interface Cloud {
  readonly networks: readonly Network[]
  readonly subnets: readonly Subnet[]
  readonly routers: readonly Router[]
  readonly ports: readonly Port[]
}

interface Vm {
  readonly project_id: string
  readonly nic: Nic
  /** Asked for by an admin, who sees everything. */
  readonly byAdmin: boolean
}

const PROJECTS = ['p1', 'p2']
const PREFIXES = ['10.0.0.0/16', '10.0.0.0/24', '10.0.0.0/25', '10.0.0.128/25', '10.0.1.0/24', '10.1.0.0/24']
const LIMITS = {attachments: 100, paths: 1000}

/** The n-th host of a prefix. */
function host(cidr: string, n: number): string {
  const bytes = ipaddr.parse(cidr.split('/')[0] ?? '').toByteArray()
  return [...bytes.slice(0, 3), (bytes[3] ?? 0) + 1 + n].join('.')
}

type Sharing = 'none' | 'all' | 'other'

const networkOf = (n: number) =>
  fc.record({
    project_id: fc.constantFrom(...PROJECTS),
    /** With nobody, with all, or with the other project alone: the owner then sees no `shared`. */
    shared: fc.constantFrom<Sharing>('none', 'none', 'all', 'other'),
    cidrs: fc.oneof(
      fc.constant<string[]>([`10.1${n}.0.0/24`]),
      fc.uniqueArray(fc.constantFrom(...PREFIXES), {minLength: 1, maxLength: 2}),
    ),
  })

const topology = fc
  .record({
    networks: fc.tuple(networkOf(0), networkOf(1), networkOf(2), networkOf(3)),
    routers: fc.array(
      fc.record({
        project_id: fc.constantFrom(...PROJECTS),
        /** Whose the interfaces' ports are: their maker's. */
        maker: fc.constantFrom(...PROJECTS),
        legs: fc.uniqueArray(fc.nat(3), {minLength: 2, maxLength: 4}),
      }),
      {minLength: 1, maxLength: 3},
    ),
    vms: fc.array(
      fc.record({
        project_id: fc.constantFrom('owner', ...PROJECTS),
        network: fc.nat(3),
        subnet: fc.nat(1),
        byAdmin: fc.nat(3).map(n => n === 0),
      }),
      {minLength: 3, maxLength: 8},
    ),
  })
  .map(build)

interface Drawn {
  networks: {project_id: string; shared: Sharing; cidrs: string[]}[]
  routers: {project_id: string; maker: string; legs: number[]}[]
  vms: {project_id: string; network: number; subnet: number; byAdmin: boolean}[]
}

/** What was drawn as a cloud: only what Neutron would let be made. */
function build(drawn: Drawn): {cloud: Cloud; vms: Vm[]} {
  const networks = drawn.networks.map(
    ({project_id, shared}, n) =>
      ({
        id: `n${n}`,
        project_id,
        sharing: shared,
        shared: shared === 'all',
        mtu: 1450,
        'router:external': false,
      }) as unknown as Network,
  )
  const subnets = drawn.networks.flatMap(({cidrs, project_id}, n) =>
    cidrs
      .filter((cidr, at) => !cidrs.slice(0, at).some(other => overlap(other, cidr)))
      .map(
        (cidr, at) =>
          ({id: `n${n}s${at}`, network_id: `n${n}`, project_id, cidr, ip_version: 4}) as unknown as Subnet,
      ),
  )
  const on = (network: number) => subnets.filter(subnet => subnet.network_id === `n${network}`)
  const sees = (project: string, network: number) =>
    networks[network] !== undefined &&
    (networks[network].project_id === project || drawn.networks[network]?.shared !== 'none')
  const legs = drawn.routers.flatMap(({project_id, maker, legs: into}, r) =>
    into
      .filter(network => sees(project_id, network))
      .map(network => {
        const [subnet] = on(network)
        return {
          id: `r${r}n${network}`,
          network_id: `n${network}`,
          project_id: maker,
          device_id: `r${r}`,
          device_owner: 'network:router_interface',
          fixed_ips: [{subnet_id: subnet?.id, ip_address: host(subnet?.cidr ?? '', r)}],
        } as unknown as Port
      }),
  )
  const vms = drawn.vms
    .map(vm => ({...vm, project_id: vm.project_id.replace('owner', networks[vm.network]?.project_id ?? '')}))
    .filter(vm => sees(vm.project_id, vm.network))
    .map(({project_id, network, subnet, byAdmin}, n) => {
      const cidr = (on(network)[subnet] ?? on(network)[0])?.cidr ?? ''
      const nic = {network_id: `n${network}`, address: host(cidr, 50 + n), groups: [`${project_id}-default`]}
      return {project_id, nic, byAdmin}
    })
  const routers = drawn.routers.map(({project_id}, r) => ({id: `r${r}`, project_id}) as unknown as Router)
  return {cloud: {networks, subnets, routers, ports: legs}, vms}
}

type Asked = Readonly<Record<string, string | readonly string[]>>
const fits = (asked: Asked, one: object) =>
  Object.entries(asked).every(
    ([key, wanted]) =>
      key === 'fields' || [wanted].flat().includes((one as Record<string, string>)[key] ?? ''),
  )

/** The cloud as members of a project see it: their own, what is shared, and all ports on their own networks. */
function seenBy({networks, subnets, routers, ports}: Cloud, project: string, admin: boolean): OpenStack {
  const own = (one: {project_id: string}) => admin || one.project_id === project
  const sharing = (network: Network) => (network as unknown as {sharing: Sharing}).sharing
  const visible = networks
    .filter(network => own(network) || sharing(network) !== 'none')
    .map(network => ({...network, shared: network.shared || (!own(network) && sharing(network) === 'other')}))
  const isVisible = (id: string) => visible.some(network => network.id === id)
  const listed = (all: readonly object[]) => async (asked: Asked) => all.filter(one => fits(asked, one))
  return {
    network: {
      networks: listed(visible),
      subnets: listed(subnets.filter(subnet => isVisible(subnet.network_id))),
      routers: listed(routers.filter(own)),
      ports: listed(ports.filter(port => own(port) || visible.some(n => n.id === port.network_id && own(n)))),
    },
  } as unknown as OpenStack
}

/** Plans for each VM in turn, and keeps the attachments as the service's rows would. */
async function ask(cloud: Cloud, vm: Vm, attachments: AttachmentChoice[]): Promise<string> {
  const gate: GateChoice = {
    id: 'g',
    project_id: 'infra',
    scope: 'shared',
    state: 'ready',
    paths: 0,
    held: new Map(),
    attachments,
  }
  const {project_id, nic} = vm
  const seen = seenBy(cloud, project_id, vm.byAdmin)
  const plan =
    planReuse([nic], [gate], {project_id}, LIMITS) ??
    planNew(nic, await candidates(seen, nic, project_id), [gate], {project_id}, LIMITS)
  if ('create' in plan.attachment) {
    const {network_id, project_id: owner, reach} = plan.attachment.create
    const id = `a${attachments.length}`
    attachments.push({id, network_id, project_id: owner, reach, removing: false, idle_since: null})
    return id
  }
  if ('direct' in plan.attachment) throw new Error('these VMs are on tenants’ networks')
  const {reuse, reach} = plan.attachment
  const at = attachments.findIndex(one => one.id === reuse)
  if (reach) attachments[at] = {...(attachments[at] as AttachmentChoice), reach: reach.now}
  return reuse
}

/** Where a packet to the VM goes from the attachment. */
function expectOwnWay({networks, routers, ports}: Cloud, vm: Vm, attachment: AttachmentChoice): void {
  const [way] = attachment.reach
    .filter(one => contains(one.cidr, vm.nic.address))
    .sort((a, b) => Number(b.cidr.split('/')[1]) - Number(a.cidr.split('/')[1]))
  expect(way?.network_id).toBe(vm.nic.network_id)
  const own = (id: string | undefined) =>
    networks.find(network => network.id === id && network.project_id === vm.project_id && !network.shared)
  if (way?.via == null) {
    expect(attachment.network_id).toBe(vm.nic.network_id)
    return
  }
  const leg = ports.find(
    port => port.network_id === attachment.network_id && port.fixed_ips[0]?.ip_address === way.via,
  )
  expect(routers.find(router => router.id === leg?.device_id)?.project_id).toBe(vm.project_id)
  expect(own(attachment.network_id)).toBeTruthy()
  expect(own(vm.nic.network_id)).toBeTruthy()
  // By this the gate's port joins the VM's groups (store/attachments.ts).
  expect(attachment.project_id).toBe(vm.project_id)
}

it('keeps the projects of any topology apart, in any order', async () => {
  let routed = 0
  await fc.assert(
    fc.asyncProperty(topology, async ({cloud, vms}) => {
      const attachments: AttachmentChoice[] = []
      const made: [Vm, string][] = []
      for (const vm of vms) {
        made.push([vm, await ask(cloud, vm, attachments)])
        // The earlier paths, too: a later one may have widened what their attachment reaches.
        for (const [earlier, id] of made)
          expectOwnWay(cloud, earlier, attachments.find(one => one.id === id) as AttachmentChoice)
      }
      routed += made.filter(
        ([vm, id]) => attachments.find(one => one.id === id)?.network_id !== vm.nic.network_id,
      ).length
    }),
    {numRuns: 1000},
  )
  // It proves nothing when nobody goes through a router.
  expect(routed).toBeGreaterThan(20)
})
