import {readFile} from 'node:fs/promises'

import {OsSshError} from '../errors.ts'
import {
  checkedRows,
  isRecord,
  OpenStackError,
  type OpenStackFault,
  type RouterAgent,
  type Server,
} from '../openstack/index.ts'
import {
  type Facts,
  type Gap,
  gather,
  type ListingName,
  NO_FACTS,
  optional,
  type PortFact,
  type SnatCloud,
  withHeartbeats,
} from './facts.ts'

/** Everything that the commands ever ask, as it was answered: what `--record` writes and `--facts` reads. */
export interface Recording extends Facts {
  readonly servers: readonly Pick<Server, 'id' | 'name'>[]
  /** By router: only of routers with HA replicas. */
  readonly router_agents: Readonly<Record<string, readonly RouterAgent[]>>
}

/** The states of HA replicas cost a call a router, so of so many routers only. */
const MAX_HA_ROUTERS = 200

/**
 * Asks the cloud everything at once: the listings, names of VMs, and states of HA replicas (a call each, 200 at most).
 * @throws OpenStackError
 */
export async function record(cloud: SnatCloud): Promise<Recording> {
  const named = ({id, name}: Server) => ({id, name})
  const [facts, all] = await Promise.all([
    gather(cloud.network, {availabilities: true, at: cloud.at}),
    optional(cloud.compute.servers({all_tenants: true})),
  ])
  const states: [string, readonly RouterAgent[]][] = []
  for (const {id} of facts.routers.filter(router => router.ha === true).slice(0, MAX_HA_ROUTERS)) {
    const agents = await optional(cloud.network.routerAgents(id))
    if (agents) states.push([id, agents])
  }
  const servers = all ?? (await optional(cloud.compute.servers())) ?? []
  return {...facts, servers: servers.map(named), router_agents: Object.fromEntries(states)}
}

const faults: Readonly<Record<Gap['why'], OpenStackFault>> = {
  missing: 'not-found',
  forbidden: 'forbidden',
  failed: 'server',
}

/** A cloud that answers what was recorded, gaps too. */
export function recordedCloud(recording: Recording): SnatCloud {
  const {gaps, servers, router_agents} = recording
  const listing = (name: ListingName) => async () => {
    const gap = gaps.find(one => one.listing === name)
    if (gap) throw new OpenStackError(faults[gap.why], gap.message)
    return [...recording[name]] as never[]
  }
  return {
    at: recording.at,
    network: {
      routers: listing('routers'),
      ports: listing('ports'),
      agents: listing('agents'),
      floatingIps: listing('floatingIps'),
      networks: listing('networks'),
      subnets: listing('subnets'),
      subnetPools: listing('subnetPools'),
      logs: listing('logs'),
      ipAvailabilities: listing('availabilities'),
      extensions: listing('extensions'),
      async routerAgents(id) {
        const some = Object.hasOwn(router_agents, id) ? router_agents[id] : undefined
        if (some === undefined) throw new OpenStackError('not-found', 'its agents were not recorded')
        return [...some]
      },
    },
    compute: {servers: async () => [...servers] as Server[]},
  }
}

/** The file's text: a line a row, so that one can read it and take out what is nobody's business. */
export function recordingText(recording: Recording): string {
  const rows = (value: readonly unknown[]) =>
    value.length === 0 ? '[]' : `[\n${value.map(row => `  ${JSON.stringify(row)}`).join(',\n')}\n]`
  const parts = Object.entries(recording).map(([key, value]) => {
    const text = Array.isArray(value) ? rows(value) : JSON.stringify(value)
    return `${JSON.stringify(key)}: ${text}`
  })
  return `{\n${parts.join(',\n')}\n}\n`
}

const rowKinds = {
  extensions: 'extension',
  routers: 'router',
  ports: 'port',
  agents: 'agent',
  floatingIps: 'floatingip',
  networks: 'network',
  subnets: 'subnet',
  availabilities: 'availability',
  subnetPools: 'subnetpool',
  logs: 'log',
} as const satisfies Record<ListingName, string>

/** Reads the recording in a file. @throws OsSshError CONFIG */
export async function readRecording(file: string): Promise<Recording> {
  const text = await readFile(file, 'utf8').catch(cause => {
    throw new OsSshError('CONFIG', `the recording cannot be read: ${(cause as Error).message}`, {cause})
  })
  return parseRecording(text, file)
}

/**
 * Takes such a text apart. It may come from a stranger: its rows are held against the same rules as Neutron's answers.
 * @param file its name, for messages @throws OsSshError CONFIG
 */
export function parseRecording(text: string, file: string): Recording {
  const unusable = (why: string, cause?: unknown) =>
    new OsSshError('CONFIG', `${file} is no recording of os-ssh snat: ${why}`, {
      hint: 'make one: os-ssh snat status --record FILE',
      cause,
    })
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw unusable('it is not JSON', cause)
  }
  if (!isRecord(value) || !Array.isArray(value['routers'])) throw unusable('it has no list of routers')
  const list = (key: string) => {
    const rows = (value as Record<string, unknown>)[key] ?? []
    if (Array.isArray(rows) && rows.every(isRecord)) return rows
    throw unusable(`${key} is not a list of objects`)
  }
  const agents = value['router_agents'] ?? {}
  if (!isRecord(agents)) throw unusable('router_agents is not an object')
  try {
    const listings = Object.entries(rowKinds).map(([key, kind]) => [key, checkedRows(kind, list(key))])
    const rows = Object.fromEntries(listings) as Omit<Facts, 'gaps' | 'at'>
    return {
      ...NO_FACTS,
      ...rows,
      // Recordings of old have no time, and no heartbeats either.
      at: Number.isSafeInteger(value['at']) ? (value['at'] as number) : NO_FACTS.at,
      ports: withHeartbeats(rows.ports as readonly PortFact[]),
      gaps: list('gaps').filter(isGap),
      servers: checkedRows('server', list('servers')),
      router_agents: Object.fromEntries(
        Object.entries(agents).map(([id, some]) => {
          if (!Array.isArray(some) || !some.every(isRecord)) throw unusable('router_agents is damaged')
          return [id, checkedRows<RouterAgent>('agent', some)]
        }),
      ),
    }
  } catch (error) {
    throw error instanceof OpenStackError ? unusable(error.message, error) : error
  }
}

const isGap = (value: Readonly<Record<string, unknown>>): value is Readonly<Record<string, unknown>> & Gap =>
  Object.hasOwn(rowKinds, String(value['listing'])) &&
  Object.hasOwn(faults, String(value['why'])) &&
  typeof value['message'] === 'string'
