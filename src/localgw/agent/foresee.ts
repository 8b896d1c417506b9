import {REASONS} from '../../snat/reasons.ts'
import type {Desire} from '../desire.ts'
import {hasRouterDevice, legDevice, memberDevice} from '../names.ts'
import type {Seen} from './node.ts'

/** What a round would do, in sentences; none when all is as it shall be. Pure. */
export function foresee({gateways, central, spare}: Desire, seen: Seen): string[] {
  const made = gateways.flatMap(({id, network, port, members}) => {
    const {devices = [], hasTable = false} = seen.legs.get(id) ?? {}
    return [
      ...(port === undefined ? [`take an address of network ${network} for local gateway ${id}`] : []),
      ...(hasTable && devices.includes(legDevice(id))
        ? []
        : [`make local gateway ${id}${port ? `, ${port.address}` : ''}`]),
      ...members.flatMap(({router, locals}) =>
        devices.includes(memberDevice(router)) && seen.routers.get(router)?.hasTable
          ? []
          : [`let ${locals.join(', ')} of router ${router} leave by it`],
      ),
    ]
  })
  const wanted = new Set(gateways.map(gateway => gateway.id))
  const members = new Set(gateways.flatMap(gateway => gateway.members.map(member => member.router)))
  const gone = [...seen.routers].flatMap(([router, {devices}]) =>
    hasRouterDevice(devices) && !members.has(router) ? [`let router ${router} leave centrally`] : [],
  )
  const removed = [...seen.legs.keys()].flatMap(id => (wanted.has(id) ? [] : [`remove local gateway ${id}`]))
  return [
    ...made,
    ...gone,
    ...removed,
    ...spare.map(id => `give back the address of port ${id}`),
    ...[...central].map(([router, reason]) => `leave router ${router} central: ${REASONS[reason]}`),
  ]
}
