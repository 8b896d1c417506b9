import {randomUUID} from 'node:crypto'

import type {Server} from '../../openstack/index.ts'
import {OF_GATE} from '../marks.ts'
import type {MachineRow} from '../store/schema.ts'

/* What is made in the cloud is found again by what it is called: the id of the service is in it, so that two of them in one project do not meet. */

type Called = Pick<MachineRow, 'id' | 'name'>

const of = (serviceId: string) => `os-ssh-${serviceId}`

/** Of a machine's server and its port. */
export const machineName = (serviceId: string, {name}: Called) => `${of(serviceId)}-${name}`
/** Of all servers of a service, as Nova's listing takes it: a regular expression. */
export const anyMachine = (serviceId: string) => `^${of(serviceId)}-`
/** Of the security group, and the server group, that the machines of a service share. */
export const groupName = (serviceId: string) => `${of(serviceId)}-gates`

/** Of a machine's port and floating IP. */
export const machineDescription = (serviceId: string, {name}: Called) =>
  `${OF_GATE}${name} of service ${serviceId}`
/** Is this how a port or floating IP of any machine of this service is described? */
export const machineDescriptions = (serviceId: string) => {
  const end = ` of service ${serviceId}`
  return (description: string) => description.startsWith(OF_GATE) && description.endsWith(end)
}

/** Metadata of a server: ours is what says so. @param by who runs the service, for those who find it in their project */
export const machineMetadata = (serviceId: string, {id}: Called, by: string) => ({
  'os-ssh': serviceId,
  'os-ssh-gate': id,
  'os-ssh-by': by,
})

/** What a server's metadata says of the service that it is a gate of; undefined for any other server. */
export function metadataOf({metadata}: Pick<Server, 'metadata'>) {
  const {'os-ssh': service, 'os-ssh-gate': gate, 'os-ssh-by': by} = metadata
  return service === undefined || gate === undefined ? undefined : {service, gate, by}
}

/** Is this server a machine of this service? */
export const isMachine = (serviceId: string, server: Pick<Server, 'metadata'>) =>
  metadataOf(server)?.service === serviceId

/** Id and name that nobody has. */
export function newIdentity(): {readonly id: string; readonly name: string} {
  const id = randomUUID()
  return {id, name: `gate-${id.slice(0, 6)}`}
}
