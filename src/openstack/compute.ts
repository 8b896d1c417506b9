import {Adapter} from './adapter.ts'
import type {Compute} from './calls.ts'
import type {Client} from './client.ts'
import type {Settings} from './merge.ts'
import {
  address,
  boolean,
  checked,
  chosenId,
  count,
  id,
  listOf,
  mac,
  mapOf,
  number,
  object,
  orNull,
  type Rules,
  text,
  time,
} from './shape.ts'
import type {Flavor, InstanceAction, InterfaceAttachment, KeyPair, Server, ServerGroup} from './types.ts'

/**
 * What we ask for where the cloud has it (Rocky and newer do, nearly): tags and networks 'auto' at boot, paged key
 * pairs. Above 2.68 servers of a broken cell are listed as stubs without addresses.
 */
const best = 67

const fixedIps = listOf(object({subnet_id: id, ip_address: address}))
const serverRules: Rules = {
  id,
  name: text,
  status: text,
  tenant_id: id,
  user_id: id,
  key_name: orNull(text),
  image: orNull(object({id})),
  addresses: mapOf(listOf(object({addr: address, 'OS-EXT-IPS-MAC:mac_addr': mac}))),
  metadata: mapOf(text),
  created: time,
  fault: object({message: text}),
  'OS-EXT-AZ:availability_zone': text,
}
const flavorRules: Rules = {
  id: chosenId,
  name: text,
  vcpus: count,
  ram: count,
  disk: count,
  'OS-FLV-DISABLED:disabled': boolean,
  extra_specs: mapOf(text),
}
const groupRules: Rules = {id, name: text, policy: text, members: listOf(id)}
const actionRules: Rules = {
  action: text,
  request_id: id,
  start_time: value => typeof value === 'string' && !Number.isNaN(Date.parse(`${value}Z`)),
  user_id: orNull(id),
}
const attachmentRules: Rules = {port_id: id, net_id: id, mac_addr: mac, fixed_ips: orNull(fixedIps)}

/** Nova 2.1. */
export function computeOf(client: Client): Compute {
  const nova = new Adapter(client, {type: 'compute', versioned, ...microversion(client)})
  const act = async (serverId: string, body: Settings) => {
    await nova.call('POST', ['servers', serverId, 'action'], {body})
  }
  return {
    async servers(filter) {
      return (await nova.list(['servers', 'detail'], 'servers', filter)).map(asServer)
    },
    server: async serverId => asServer(await nova.show('GET', ['servers', serverId], 'server')),
    async createServer(server, hints) {
      const body = {server, ...(hints && {'os:scheduler_hints': hints})}
      return checked<{id: string}>(
        'compute',
        'server',
        await nova.show('POST', ['servers'], 'server', {body}),
        {id},
      )
    },
    async deleteServer(serverId) {
      await nova.call('DELETE', ['servers', serverId])
    },
    startServer: serverId => act(serverId, {'os-start': null}),
    stopServer: serverId => act(serverId, {'os-stop': null}),
    rebootServer: (serverId, how) => act(serverId, {reboot: {type: how}}),
    async interfaces(serverId) {
      return (await nova.list(['servers', serverId, 'os-interface'], 'interfaceAttachments')).map(
        asAttachment,
      )
    },
    async attachPort(serverId, portId) {
      const body = {interfaceAttachment: {port_id: portId}}
      return asAttachment(
        await nova.show('POST', ['servers', serverId, 'os-interface'], 'interfaceAttachment', {body}),
      )
    },
    async detachPort(serverId, portId) {
      await nova.call('DELETE', ['servers', serverId, 'os-interface', portId])
    },
    async instanceActions(serverId) {
      const entries = await nova.list(['servers', serverId, 'os-instance-actions'], 'instanceActions')
      return entries.map(entry => checked<InstanceAction>('compute', 'instance action', entry, actionRules))
    },
    async consoleLog(serverId, lines) {
      const body = {'os-getConsoleOutput': lines === undefined ? {} : {length: lines}}
      // A POST only in name: it changes nothing.
      const answer = await nova.call('POST', ['servers', serverId, 'action'], {body, idempotent: true})
      return typeof answer?.['output'] === 'string' ? answer['output'] : ''
    },
    async keyPairs() {
      const entries = await nova.list(['os-keypairs'], 'keypairs')
      return entries.map(entry => asKeyPair((entry['keypair'] ?? {}) as Settings))
    },
    keyPair: async name => asKeyPair(await nova.show('GET', ['os-keypairs', name], 'keypair')),
    ...placing(nova, client),
  }
}

/** What a server can be made of, where, and beside whom. */
function placing(
  nova: Adapter,
  client: Client,
): Pick<
  Compute,
  'flavors' | 'limits' | 'availabilityZones' | 'serverGroups' | 'createServerGroup' | 'deleteServerGroup'
> {
  return {
    async flavors(filter) {
      const entries = await nova.list(['flavors', 'detail'], 'flavors', filter)
      return entries.map(entry => checked<Flavor>('compute', 'flavor', entry, flavorRules))
    },
    async limits() {
      const limits = await nova.show('GET', ['limits'], 'limits')
      const rules = {absolute: mapOf(number)}
      return checked<{absolute: Record<string, number>}>(
        'compute',
        'limits',
        {absolute: limits['absolute'] ?? null},
        rules,
      ).absolute
    },
    async availabilityZones() {
      const rules = {zoneName: text, zoneState: object({available: boolean})}
      const entries = await nova.list(['os-availability-zone'], 'availabilityZoneInfo')
      return entries
        .map(entry =>
          checked<{zoneName: string; zoneState: {available: boolean}}>('compute', 'zone', entry, rules),
        )
        .filter(zone => zone.zoneState.available)
        .map(zone => zone.zoneName)
    },
    async serverGroups() {
      return (await nova.list(['os-server-groups'], 'server_groups')).map(asServerGroup)
    },
    async createServerGroup(group) {
      const {policy, ...rest} = group
      // What a cloud that is older than 2.64 has agreed to, when groups were listed first: so they are found again.
      const listed = Number(microversionOf(client).split('.')[1]) < 64
      const body = {server_group: listed ? {...rest, policies: [policy]} : group}
      return asServerGroup(await nova.show('POST', ['os-server-groups'], 'server_group', {body}))
    },
    async deleteServerGroup(groupId) {
      await nova.call('DELETE', ['os-server-groups', groupId])
    },
  }
}

/** Catalogs still have /v2, and the project's ID behind the version; what has no version is the root. */
function versioned(pathname: string): string {
  if (/\/v2\.1(\/|$)/.test(pathname)) return pathname
  return /\/v2(\/|$)/.test(pathname) ? pathname.replace(/\/v2(\/|$)/, '/v2.1$1') : `${pathname}/v2.1`
}

const microversionOf = (client: Client) =>
  client.config.services?.['compute']?.microversion ?? client.microversion('compute') ?? `2.${best}`

/** Asks for the best at once, without looking first; a cloud that is older says what it has, and gets that. */
function microversion(client: Client) {
  return {
    headers() {
      const version = microversionOf(client)
      return {'openstack-api-version': `compute ${version}`, 'x-openstack-nova-api-version': version}
    },
    refused({body}: {body: string}) {
      const newest = /maximum is 2\.(\d+)/i.exec(body)?.[1]
      client.agree('compute', `2.${newest === undefined ? 1 : Math.min(best, Number(newest))}`)
    },
  }
}

function asServer(server: Settings): Server {
  // Booted from a volume: an empty text. Without a key pair: absent in some releases.
  const {image} = server
  const whole = {
    ...server,
    ...('image' in server && {image: image || null}),
    ...('status' in server && {key_name: server['key_name'] ?? null}),
  }
  return checked('compute', 'server', whole, serverRules)
}

/** Before 2.64 it has a list of policies, always of one. */
function asServerGroup(group: Settings): ServerGroup {
  const {policies} = group
  const policy = Array.isArray(policies) ? policies[0] : undefined
  return checked('compute', 'server group', {...(policy && {policy}), ...group}, groupRules)
}

function asAttachment(attachment: Settings): InterfaceAttachment {
  return checked(
    'compute',
    'interface',
    {...attachment, fixed_ips: attachment['fixed_ips'] ?? []},
    attachmentRules,
  )
}

function asKeyPair(pair: Settings): KeyPair {
  return checked('compute', 'key pair', pair, {name: text, public_key: text, fingerprint: text})
}
