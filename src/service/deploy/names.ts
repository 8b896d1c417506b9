import {randomUUID} from 'node:crypto'

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
/** Metadata of a server: ours is what says so. */
export const machineMetadata = (serviceId: string, {id}: Called) => ({
  'os-ssh': serviceId,
  'os-ssh-gate': id,
})

/** Id and name that nobody has. */
export function newIdentity(): {readonly id: string; readonly name: string} {
  const id = randomUUID()
  return {id, name: `gate-${id.slice(0, 6)}`}
}
