import {setTimeout as sleep} from 'node:timers/promises'

import {OsSshError} from '../errors.ts'
import {type OpenStack, OpenStackError} from '../openstack/index.ts'
import {groupName, isMachine, machineDescriptions} from '../service/deploy/names.ts'
import {portDescription} from '../service/marks.ts'

/** How long what is deleted may take to be gone, and how often it is looked, ms. */
const [GONE_MS, LOOK_MS] = [180_000, 1000]

/** Something in the cloud that a service has made. */
export interface Trace {
  readonly kind: 'server' | 'floating IP' | 'port' | 'security group' | 'server group'
  readonly id: string
  readonly name: string
}

/** In this order they go: a port is its server's, and a group its ports'. */
const ORDER: readonly Trace['kind'][] = ['server', 'floating IP', 'port', 'security group', 'server group']

type Cloud = Pick<OpenStack, 'identity' | 'compute' | 'network'>

/**
 * All that a service has made in the project of this account, as far as it is written on it; what others have added, such as a floating
 * IP of their own, is not.
 *
 * @throws OpenStackError
 */
export async function tracesOf(cloud: Cloud, service: string): Promise<readonly Trace[]> {
  const {compute, network, identity} = cloud
  const own = {project_id: (await identity.token()).project?.id ?? ''}
  const isOfMachine = machineDescriptions(service)
  const [servers, addresses, ports, groups, together] = await Promise.all([
    compute.servers(),
    network.floatingIps(own),
    network.ports(own),
    network.securityGroups({name: groupName(service), ...own}),
    compute.serverGroups(),
  ])
  const of = (kind: Trace['kind'], rows: readonly {readonly id: string; readonly name: string}[]) =>
    rows.map(({id, name}): Trace => ({kind, id, name}))
  return [
    ...of(
      'server',
      servers.filter(server => isMachine(service, server)),
    ),
    ...addresses
      .filter(({description}) => isOfMachine(description ?? ''))
      .map(({id, floating_ip_address}): Trace => ({kind: 'floating IP', id, name: floating_ip_address})),
    ...of(
      'port',
      ports.filter(
        ({description = ''}) => isOfMachine(description) || description === portDescription(service),
      ),
    ),
    ...of('security group', groups),
    ...of(
      'server group',
      together.filter(({name}) => name === groupName(service)),
    ),
  ]
}

const remove = ({
  compute,
  network,
}: Cloud): Readonly<Record<Trace['kind'], (id: string) => Promise<void>>> => ({
  server: id => compute.deleteServer(id),
  'floating IP': id => network.deleteFloatingIp(id),
  port: id => network.deletePort(id),
  'security group': id => network.deleteSecurityGroup(id),
  'server group': id => compute.deleteServerGroup(id),
})

/**
 * Takes all of it away, and waits until it is gone. May be killed anywhere, and called again.
 *
 * @param told how far it is
 * @throws OpenStackError; OsSshError BUSY for what does not go
 */
export async function removeTraces(
  cloud: Cloud,
  service: string,
  told: (line: string) => void,
): Promise<void> {
  const since = Date.now()
  for (let asked = new Set<string>(); ; await sleep(LOOK_MS)) {
    const left = await tracesOf(cloud, service)
    const kind = ORDER.find(one => left.some(trace => trace.kind === one))
    if (kind === undefined) return
    const now = left.filter(trace => trace.kind === kind)
    const [first] = now
    const seconds = Math.round((Date.now() - since) / 1000)
    if (seconds * 1000 > GONE_MS)
      throw new OsSshError('BUSY', `after ${seconds} s ${kind} ${first?.name} is not gone yet`, {
        hint: 'os-ssh destroy goes on',
      })
    if (asked.size > 0) told(`deleting ${kind} ${first?.name}, ${seconds} s …`)
    // A server that is being deleted needs not be told twice; a group that was in use may be free now.
    for (const trace of now.filter(one => kind !== 'server' || !asked.has(one.id)))
      await remove(cloud)[kind](trace.id).catch(passing)
    asked = new Set([...asked, ...now.map(({id}) => id)])
  }
}

/** What is gone already is what was wanted, and what is in use is asked again. */
function passing(error: unknown): void {
  if (error instanceof OpenStackError && ['not-found', 'conflict'].includes(error.fault)) return
  throw error
}
