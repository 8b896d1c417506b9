import {setTimeout as sleep} from 'node:timers/promises'

import {counted} from '../../names/counted.ts'
import {LOCAL_SNAT} from '../../snat/facts.ts'
import {until} from '../../system/daemon.ts'
import {hasRouterDevice, routerNamespace} from '../names.ts'
import {localRefresh} from '../render.ts'
import {dropLeg, dropLink, dropRules, localFlows, look, plugged} from './node.ts'
import {dropPort} from './ports.ts'
import type {NodeCloud} from './survey.ts'
import {Visitor} from './visitor.ts'

/** How long what is left of local flows is told to end before its rules go, ms: a client sends again within it. */
const LAST_WORDS = 10_000

/**
 * Takes away every trace of local gateways on a node, in the order that lets no packet out untranslated: what begins is central first;
 * what is local ends by itself, within `grace` s; the ways go, and the rules last, which tell the rest to end.
 *
 * @param tell is told what is done
 * @throws OpenStackError, CommandError, OsSshError; called again it goes on
 */
export async function clean(
  network: NodeCloud,
  host: string,
  grace: number,
  tell: (line: string) => void,
): Promise<void> {
  const visitor = new Visitor()
  try {
    const [seen, plugs] = await Promise.all([look(visitor), plugged()])
    const routers = [...seen.routers].filter(
      ([, {hasTable, devices}]) => hasTable || hasRouterDevice(devices),
    )
    const ids = routers.map(([id]) => id)
    await visitor.visit(
      routers.flatMap(([id, {hasTable}]) =>
        hasTable ? [[routerNamespace(id), localRefresh({locals: []})]] : [],
      ),
    )
    if (ids.length > 0) tell(`new connections are central, behind ${counted(ids.length, 'router')}`)
    const flows = async () => (await Promise.all(ids.map(localFlows))).reduce((sum, count) => sum + count, 0)
    await until(async () => (await flows()) === 0, grace * 1000, 1000)
    const left = await flows()
    if (left > 0) tell(`still local, and ended now: ${counted(left, 'connection')}`)
    for (const [id, {devices}] of routers) if (hasRouterDevice(devices)) await dropLink(id)
    const legs = new Set([...seen.legs.keys(), ...plugs.map(plug => plug.gateway)])
    for (const id of legs) {
      await dropLeg(id)
      tell(`removed local gateway ${id}`)
    }
    if (left > 0) await sleep(LAST_WORDS)
    for (const id of ids) await dropRules(visitor, id)
    for (const port of await network.ports({device_owner: LOCAL_SNAT, 'binding:host_id': host})) {
      await dropPort(network, port.id)
      tell(`gave back ${port.fixed_ips.map(ip => ip.ip_address).join(', ')}`)
    }
  } finally {
    visitor.close()
  }
}
