import {plain, shortened} from '../names/plain.ts'
import type {OpenStack} from '../openstack/index.ts'
import {metadataOf} from '../service/deploy/names.ts'

/** A service of somebody else that has gates in this project. */
export interface OtherService {
  readonly id: string
  /** Who runs it, and where, as it says itself. */
  readonly by: string
  /** Its gates' servers, by name. */
  readonly servers: readonly string[]
  /** When the first of them was made, RFC 3339. */
  readonly since: string
}

/** The services that have gates in the project of this account. @param own id of one that is left out @throws OpenStackError */
export async function otherServices(
  {compute}: Pick<OpenStack, 'compute'>,
  own?: string,
): Promise<readonly OtherService[]> {
  const gates = (await compute.servers()).flatMap(server => {
    const said = metadataOf(server)
    return said === undefined || said.service === own ? [] : {...said, name: server.name, at: server.created}
  })
  return [...Map.groupBy(gates, gate => gate.service)].map(([id, some]) => ({
    id,
    by: shortened(plain(some[0]?.by ?? ''), 100) || 'somebody',
    servers: some.map(({name}) => plain(name)),
    since: some.map(({at}) => at).sort()[0] ?? '',
  }))
}

/** Were two begun at once, the one whose first gate is older stays; both see that alike. */
export const comesFirst = (
  one: Pick<OtherService, 'id' | 'since'>,
  other: Pick<OtherService, 'id' | 'since'>,
) => one.since < other.since || (one.since === other.since && one.id < other.id)
