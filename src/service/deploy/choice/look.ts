import {OsSshError} from '../../../errors.ts'
import {isUuid} from '../../../names/uuid.ts'
import {type OpenStack, OpenStackError, type OpenStackFault} from '../../../openstack/index.ts'
import {ROUTER_INTERFACES} from '../../planner/facts.ts'
import type {Wish} from './plan.ts'
import type {Seen, SeenNetwork} from './seen.ts'

/**
 * Gathers what a gate is chosen by, with the rights of a member and nothing more.
 *
 * @param wish an image that it names by id may be one that no listing shows (of the community, hidden)
 * @throws OsSshError CONFIG where the account has no project; OpenStackError
 */
export async function look(cloud: OpenStack, wish: Pick<Wish, 'image'> = {}): Promise<Seen> {
  const {project, catalog} = await cloud.identity.token()
  if (project === undefined)
    throw new OsSshError('CONFIG', 'the account of the service is in no project, and a gate needs one')
  const {compute, network, image} = cloud
  const own = {project_id: project.id}
  const [images, named, flavors, limits, quotas, places, routers, legs, zones] = await Promise.all([
    image.images({status: 'active', limit: 1000}),
    wish.image !== undefined && isUuid(wish.image)
      ? unless(['not-found'], image.image(wish.image))
      : undefined,
    compute.flavors(),
    compute.limits(),
    // Some back ends keep no count.
    unless(['not-found', 'forbidden'], network.quotas(project.id)),
    placesOf(cloud, project.id),
    network.routers(own),
    network.ports({...own, device_owner: ROUTER_INTERFACES, fields: ['id', 'device_id', 'fixed_ips']}),
    compute.availabilityZones(),
  ])
  return {
    project: project.id,
    images: unique([...images, ...(named ? [named] : [])]),
    flavors,
    volumes: catalog.some(({type}) => /^(volume(v[23])?|block-(storage|store))$/.test(type)),
    limits,
    quotas: quotas ?? {},
    ...places,
    routers,
    legs,
    zones,
    traits: cloud.config.networks ?? [],
  }
}

/** Networks that are the project's own or meant for it, and the subnets of them that it sees. */
async function placesOf(
  {network}: OpenStack,
  project_id: string,
): Promise<Pick<Seen, 'networks' | 'subnets'>> {
  const lists: readonly (readonly SeenNetwork[])[] = await Promise.all([
    network.networks({project_id}),
    network.networks({shared: true}),
    // Members may ask for them, and do not see that they are (policy get_network:router:external).
    network
      .networks({'router:external': true})
      .then(all => all.map(one => ({...one, 'router:external': true}))),
  ])
  const networks = unique(lists.flat())
  if (networks.length === 0) return {networks, subnets: []}
  const subnets = await network.subnets({
    network_id: networks.map(one => one.id),
    fields: ['id', 'name', 'network_id', 'project_id', 'ip_version', 'cidr', 'gateway_ip'],
  })
  return {networks, subnets}
}

async function unless<T>(faults: readonly OpenStackFault[], answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof OpenStackError && faults.includes(error.fault)) return undefined
    throw error
  }
}

const unique = <T extends {readonly id: string}>(things: readonly T[]): T[] => [
  ...new Map(things.map(thing => [thing.id, thing])).values(),
]
