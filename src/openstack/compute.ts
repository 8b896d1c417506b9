import {Adapter} from './adapter.ts'
import type {Client} from './client.ts'
import type {Settings} from './merge.ts'
import {address, checked, id, listOf, mac, mapOf, object, orNull, type Rules, text} from './shape.ts'
import type {Compute, InstanceAction, InterfaceAttachment, KeyPair, Server} from './types.ts'

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
}
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
  return {
    async servers(filter) {
      return (await nova.list(['servers', 'detail'], 'servers', filter)).map(asServer)
    },
    server: async serverId => asServer(await nova.show('GET', ['servers', serverId], 'server')),
    async createServer(body) {
      return checked<{id: string}>(
        'compute',
        'server',
        await nova.show('POST', ['servers'], 'server', {body: {server: body}}),
        {id},
      )
    },
    async deleteServer(serverId) {
      await nova.call('DELETE', ['servers', serverId])
    },
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
  }
}

/** Catalogs still have /v2, and the project's ID behind the version; what has no version is the root. */
function versioned(pathname: string): string {
  if (/\/v2\.1(\/|$)/.test(pathname)) return pathname
  return /\/v2(\/|$)/.test(pathname) ? pathname.replace(/\/v2(\/|$)/, '/v2.1$1') : `${pathname}/v2.1`
}

/** Asks for the best at once, without looking first; a cloud that is older says what it has, and gets that. */
function microversion(client: Client) {
  const configured = client.config.services?.['compute']?.microversion
  return {
    headers() {
      const version = configured ?? client.microversion('compute') ?? `2.${best}`
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
