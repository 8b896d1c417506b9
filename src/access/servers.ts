import {find, missing, type Naming} from '../names/find.ts'
import {isUuid} from '../names/uuid.ts'
import {OpenStackError} from '../openstack/index.ts'
import type {Server} from '../openstack/types.ts'
import type {Session} from './session.ts'

/** The VMs that the user may see. @throws OpenStackError */
export function listServers(session: Session): Promise<readonly Server[]> {
  return session.during('waiting for Nova to list the VMs', session.cloud.compute.servers())
}

/** All addresses of a VM, floating ones too. */
export const addressesOf = ({addresses}: Server): string[] =>
  Object.values(addresses ?? {}).flatMap(list => list.map(({addr}) => addr))

/**
 * A VM by its UUID, its name, `name.project`, a unique start of its UUID (of at least four characters), or an address.
 * @throws OsSshError NOT_FOUND, also for another project's VM; AMBIGUOUS with the candidates
 */
export async function findServer(session: Session, word: string): Promise<Server> {
  const uuid = word.toLowerCase()
  if (isUuid(uuid)) {
    const server = await session.cloud.compute.server(uuid).catch(error => {
      if (error instanceof OpenStackError && error.fault === 'not-found') return undefined
      throw error
    })
    if (server) return server
    throw missing(word, [], naming(undefined))
  }
  const [servers, {project}] = [await listServers(session), await session.token()]
  return find(word, servers, naming(project?.name))
}

const naming = (project: string | undefined): Naming<Server> => ({
  kind: 'VM',
  ids: ({id}) => [id],
  names: ({name}) => [name, ...(project === undefined ? [] : [`${name}.${project}`])],
  others: addressesOf,
  line: ({id, name, status}) => `${id}  ${name}  ${status}`,
  hint: 'list what you may see: os-ssh list',
})
