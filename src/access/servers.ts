import {OsSshError} from '../errors.ts'
import {OpenStackError} from '../openstack/index.ts'
import type {Server} from '../openstack/types.ts'
import type {Session} from './session.ts'
import {isUuid} from './words.ts'

/** The VMs that the user may see. @throws OpenStackError */
export function listServers(session: Session): Promise<readonly Server[]> {
  return session.during('waiting for Nova to list the VMs', session.cloud.compute.servers())
}

/**
 * A VM by its UUID, its name, or a unique start of its UUID (of at least four characters).
 * @throws OsSshError NOT_FOUND, also for another project's VM; AMBIGUOUS with the candidates
 */
export async function findServer(session: Session, word: string): Promise<Server> {
  if (isUuid(word)) {
    const server = await session.cloud.compute.server(word).catch(error => {
      if (error instanceof OpenStackError && error.fault === 'not-found') return undefined
      throw error
    })
    if (server) return server
    throw missing(word)
  }
  const servers = await listServers(session)
  const named = servers.filter(server => server.name === word)
  const prefix = /^[0-9a-f-]{4,}$/i.test(word)
    ? servers.filter(({id}) => id.startsWith(word.toLowerCase()))
    : []
  const found = named.length > 0 ? named : prefix
  const [first, ...others] = found
  if (!first) throw missing(word)
  if (others.length === 0) return first
  const list = found
    .map(({id, name, status}) => `${id}  ${name}  ${status}`)
    .sort()
    .join('\n')
  throw new OsSshError('AMBIGUOUS', `${found.length} VMs fit ${JSON.stringify(word)}:\n${list}`)
}

function missing(word: string): OsSshError {
  return new OsSshError('NOT_FOUND', `there is no VM ${JSON.stringify(word)} that you may see`)
}
