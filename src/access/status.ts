import {socketOf} from '../embedded/place.ts'
import type {Gate, ServiceStatus} from '../protocol/index.ts'
import {listGates} from './gates.ts'
import {ownPlace} from './own-service.ts'
import type {Session} from './session.ts'

/** The SSH service as its user sees it. */
export interface Status {
  readonly service: ServiceStatus & {readonly endpoint: string; readonly kind: 'own' | 'shared'}
  readonly gates: readonly Gate[]
}

/** Where the service is and how its gates are; one's own is started for that. @throws OsSshError */
export async function serviceStatus(session: Session): Promise<Status> {
  const service = await session.service()
  const [told, gates] = await Promise.all([
    service.request<ServiceStatus>('GET', '/v1/service?fresh=true'),
    listGates(session),
  ])
  const {endpoint} = service
  const kind = endpoint === `unix:${socketOf(ownPlace(session))}` ? 'own' : 'shared'
  return {service: {...told, endpoint, kind}, gates}
}
