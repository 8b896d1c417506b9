import {randomUUID} from 'node:crypto'

import type {FastifyRequest} from 'fastify'

import {novaFault} from '../fault.ts'
import {checkComputeQuota} from '../ops/compute-quota.ts'
import {zoneNames} from '../ops/hosts.ts'
import {groupForBoot} from '../ops/server-groups.ts'
import {bootDeaf, bootServer, createServer, novaPort} from '../ops/servers.ts'
import type {Cloud, Flavor, ImageRecord, PortRecord, RootVolume} from '../state.ts'
import type {Caller} from './caller.ts'
import {faultOf} from './faults.ts'
import type {NovaContext} from './nova-context.ts'
import {microversion, serverLinks} from './nova-view.ts'

interface BlockDevice {
  source_type?: string
  destination_type?: string
  uuid?: string
  boot_index?: number | string | null
  volume_size?: number | string
  delete_on_termination?: boolean
}

interface Asked {
  name: string
  flavorRef: string
  imageRef?: string
  key_name?: string
  user_data?: string
  config_drive?: boolean | string
  availability_zone?: string
  metadata?: Record<string, string>
  networks?: 'none' | 'auto' | {uuid?: string; port?: string; fixed_ip?: string}[]
  security_groups?: {name: string}[]
  block_device_mapping_v2?: BlockDevice[]
}

interface BootBody {
  server?: Partial<Asked>
  'os:scheduler_hints'?: {group?: string}
  'OS-SCH-HNT:scheduler_hints'?: {group?: string}
}

/** Where the root disk comes from. */
interface Root {
  readonly image: ImageRecord
  readonly volume: RootVolume | null
}

const GIB = 1024 ** 3
/** User data that ask for nothing. */
const NOTHING = Buffer.from('#cloud-config\n{}\n').toString('base64')

function groupIds(cloud: Cloud, who: Caller, names: readonly string[] | undefined): string[] | undefined {
  return names?.map(name => {
    const groups = [...cloud.security_groups.values()].filter(group => group.project_id === who.projectId)
    const group = groups.find(candidate => candidate.id === name || candidate.name === name)
    if (!group) throw novaFault(400, `Unable to find security_group with name or id '${name}'`)
    return group.id
  })
}

/** Ports for a boot, all looked at before any is made. @throws ApiFault 400, 403, 409 */
function bootPorts({cloud}: NovaContext, who: Caller, asked: Asked): () => PortRecord[] {
  const groups = groupIds(
    cloud,
    who,
    asked.security_groups?.map(group => group.name),
  )
  const wanted = Array.isArray(asked.networks) ? asked.networks : []
  const makers = wanted.map(want => {
    if (want.port !== undefined) {
      const port = givenPort(cloud, who, want.port)
      return () => port
    }
    const network = cloud.networks.get(want.uuid ?? '')
    const own = network && (network.project_id === who.projectId || network.shared || who.admin)
    if (network?.['router:external'] && !own) {
      throw novaFault(403, `It is not allowed to create an interface on external network ${network.id}`)
    }
    if (!own) throw novaFault(400, `Network ${want.uuid} could not be found.`)
    if (network.subnets.length === 0)
      throw novaFault(400, `Network ${network.id} requires a subnet in order to boot instances on.`)
    const fixed = want.fixed_ip === undefined ? {} : {fixed_ips: [{ip_address: want.fixed_ip}]}
    const more = {network_id: network.id, ...fixed, ...(groups ? {security_groups: groups} : {})}
    return () => novaPort(cloud, {tenant_id: who.projectId}, more)
  })
  return () => makers.map(make => make())
}

function givenPort(cloud: Cloud, who: Caller, id: string): PortRecord {
  const port = cloud.ports.get(id)
  if (!port || (port.project_id !== who.projectId && !who.admin))
    throw novaFault(400, `Port id ${id} could not be found.`)
  if (port.project_id !== who.projectId) throw novaFault(400, `Port ${id} not usable for instance.`)
  if (port.device_id !== '') throw novaFault(409, `Port ${id} is still in use.`)
  if (port.fixed_ips.length === 0) throw novaFault(400, `Port ${id} requires a FixedIP in order to be used.`)
  return port
}

/** As Nova's schema has it: base64, at most 65,535 characters of it. @throws ApiFault 400 */
export function checkUserData(text: string | null | undefined): void {
  if (text === undefined || text === null) return
  const refuse = (why: string) => {
    throw novaFault(400, `Invalid input for field/attribute user_data. Value: ${text}. ${why}`)
  }
  if (typeof text !== 'string') refuse(`${JSON.stringify(text)} is not of type 'string'`)
  if (text.length > 65_535) refuse(`'${text}' is too long`)
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text.replace(/\s/g, '')))
    refuse(`'${text}' is not a 'base64'`)
}

/** @throws ApiFault 400 */
export function checkMetadata(metadata: Record<string, unknown> | undefined): void {
  if (Object.keys(metadata ?? {}).length > 128)
    throw novaFault(403, 'Maximum number of metadata items exceeds 128')
  for (const [key, value] of Object.entries(metadata ?? {})) {
    if (typeof value !== 'string')
      throw novaFault(
        400,
        `Invalid input for field/attribute ${key}. Value: ${JSON.stringify(value)}. ${JSON.stringify(value)} is not of type 'string'`,
      )
    if (value.length > 255)
      throw novaFault(
        400,
        `Invalid input for field/attribute ${key}. Value: ${value}. '${value}' is too long`,
      )
  }
}

function checkShape(body: BootBody | undefined, minor: number): Asked {
  const asked = body?.server
  for (const key of ['name', 'flavorRef', ...(minor >= 37 ? (['networks'] as const) : [])] as const) {
    if (asked?.[key] === undefined) {
      throw novaFault(
        400,
        `Invalid input for field/attribute server. Value: ${JSON.stringify(asked)}. '${key}' is a required property`,
      )
    }
  }
  const {name, flavorRef} = asked ?? {}
  if (typeof name !== 'string' || name.length > 255 || name.trim() === '') {
    throw novaFault(400, `Invalid input for field/attribute name. Value: ${name}.`)
  }
  checkUserData(asked?.user_data)
  checkMetadata(asked?.metadata)
  return {...asked, name, flavorRef: String(flavorRef)}
}

/** Is it there, and to be seen by the caller? @throws ApiFault 400 */
export function imageFor(cloud: Cloud, who: Caller, id: string | undefined, missing: string): ImageRecord {
  if (!/^[0-9a-f-]{36}$/.test(id ?? '')) throw novaFault(400, 'Invalid imageRef provided.')
  const image = cloud.images.get(id ?? '')
  const seen = image && (image.visibility !== 'private' || image.owner === who.projectId || who.admin)
  if (!seen) throw novaFault(400, missing)
  if (image.status !== 'active') throw novaFault(400, `Image ${image.id} is not active.`)
  return image
}

/** The root disk: of the image itself, or a volume that is made from it. @throws ApiFault 400 */
function rootOf(cloud: Cloud, who: Caller, asked: Asked): Root {
  const missing = 'Can not find requested image'
  const root = asked.block_device_mapping_v2?.find(one => String(one.boot_index ?? '') === '0')
  if (asked.block_device_mapping_v2?.length && !root && !asked.imageRef)
    throw novaFault(
      400,
      'Block Device Mapping is Invalid: Boot sequence for the instance and image/block device mapping combination is not valid.',
    )
  if (!root || root.destination_type === 'local') {
    if (!asked.imageRef) throw novaFault(400, 'Missing imageRef attribute')
    return {image: imageFor(cloud, who, asked.imageRef, missing), volume: null}
  }
  if (root.source_type !== 'image')
    throw novaFault(400, `Block Device Mapping is Invalid: failed to get volume ${root.uuid}.`)
  const size = Number(root.volume_size ?? 0)
  if (!Number.isInteger(size) || size < 0)
    throw novaFault(400, 'Block Device Mapping is Invalid: Invalid volume_size.')
  if (size === 0)
    throw novaFault(400, "Images with destination_type 'volume' need to have a non-zero size specified")
  const image = imageFor(cloud, who, root.uuid, missing)
  return {
    image,
    volume: {id: randomUUID(), size, delete_on_termination: root.delete_on_termination === true},
  }
}

/** nova/compute/api.py, _validate_flavor_image_nostatus. @throws ApiFault 400, 403 */
export function checkFit(flavor: Flavor, {image, volume}: Root): void {
  const least = image.min_disk * GIB
  if (flavor.ram < image.min_ram) throw novaFault(400, "Flavor's memory is too small for requested image.")
  if (volume) {
    if (least > volume.size * GIB)
      throw novaFault(
        400,
        `Volume is smaller than the minimum size specified in image metadata. Volume size is ${volume.size * GIB} bytes, minimum size is ${least} bytes.`,
      )
    return
  }
  const disk = flavor.disk * GIB
  if (disk === 0) throw novaFault(403, 'Only volume-backed servers are allowed for flavors with zero disk.')
  if (image.size > disk)
    throw novaFault(
      400,
      `Flavor's disk is too small for requested image. Flavor disk is ${disk} bytes, image is ${image.size} bytes.`,
    )
  if (least > disk)
    throw novaFault(
      400,
      `Flavor's disk is smaller than the minimum size specified in image metadata. Flavor disk is ${disk} bytes, minimum size is ${least} bytes.`,
    )
}

/** POST /servers: looks at everything, in Nova's order, and lets the guest boot. @throws ApiFault 400, 403, 409 */
export function boot(nova: NovaContext, request: FastifyRequest): object {
  const {cloud, fabric} = nova
  const who = nova.writer(request, 'servers:create')
  const body = request.body as BootBody
  const asked = checkShape(body, microversion(request))
  const flavor = cloud.flavors.get(asked.flavorRef)
  if (!flavor) throw novaFault(400, `Flavor ${asked.flavorRef} could not be found.`)
  if (asked.availability_zone && !zoneNames.includes(asked.availability_zone))
    throw novaFault(400, 'The requested availability zone is not available')
  const root = rootOf(cloud, who, asked)
  checkFit(flavor, root)
  const makePorts = bootPorts(nova, who, asked)
  checkComputeQuota(cloud, who.projectId, flavor)
  const hint = (body['os:scheduler_hints'] ?? body['OS-SCH-HNT:scheduler_hints'])?.group
  const effect = faultOf(request)?.effect
  const names = asked.security_groups?.map(group => group.name)
  const server = createServer(
    cloud,
    {
      name: asked.name.trim(),
      tenant_id: who.projectId,
      user_id: who.user.id,
      image_id: root.image.id,
      flavor_id: flavor.id,
      key_name: asked.key_name ?? null,
      user_data: effect === 'no-user-data' ? NOTHING : (asked.user_data ?? null),
      config_drive: /^(true|1)$/i.test(String(asked.config_drive ?? '')),
      metadata: asked.metadata ?? {},
      root_volume: root.volume,
      availability_zone: asked.availability_zone ?? null,
      group: hint === undefined ? undefined : groupForBoot(cloud, who.projectId, hint),
      noHost: effect === 'no-host',
      ...(names ? {security_groups: names} : {}),
    },
    makePorts,
  )
  if (effect === 'deaf') bootDeaf(server)
  void bootServer(cloud, fabric, server).catch(error =>
    process.stderr.write(`boot ${server.id}: ${error.message}\n`),
  )
  return {
    server: {
      id: server.id,
      links: serverLinks(cloud, server.id),
      'OS-DCF:diskConfig': 'MANUAL',
      security_groups: server.security_groups.map(name => ({name})),
      adminPass: 'notInUseHere',
    },
  }
}
