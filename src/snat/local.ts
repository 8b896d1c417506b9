import type {PortFact} from './facts.ts'
import {type ExceptionState, HEARTBEAT_LIFE, type Heartbeat} from './heartbeat.ts'
import {backendOf, type Inventory, type RouterView, setting} from './inventory.ts'
import {legOn} from './legs.ts'
import {REASONS, type Reason} from './reasons.ts'

/** local: new flows leave by the node itself. silent: its agent is not heard of. central: something keeps them central. Else what the agent says. */
export type LocalState = 'local' | ExceptionState | 'silent' | 'central'

/** What is known of a router's local gateway on one node. */
export interface Local {
  readonly state: LocalState
  readonly why: string
  readonly leg: PortFact | undefined
  /** What the node's agent said last. */
  readonly heartbeat: Heartbeat | undefined
}

const SAYS: Readonly<Record<ExceptionState, string>> = {
  probing: 'its agent tries the way out: until that answers, new flows are central',
  fallback: 'its agent has found the way out not working: new flows are central',
  draining: 'its agent takes it away: old flows end, new ones are central',
  waiting: 'its agent waits for what the router lacks on the node',
  'no-address': 'its agent got no external address for it',
}

/**
 * Whether a router leaves by its local gateway on a node: a bound leg alone does not tell, its agent must have said so lately.
 * Undefined when there is no leg, and nobody says that there should be.
 */
export function localOn(inv: Inventory, view: RouterView, host: string): Local | undefined {
  const heartbeat = inv.legs.heartbeats.get(host)
  const leg = legOn(inv.legs, view.router, host)
  const silence = silenceOf(inv, host)
  if (silence !== undefined)
    return leg && {state: 'silent', why: `${silence}: its flows are taken for central`, leg, heartbeat}
  const named = heartbeat?.exceptions.find(one => view.router.id.startsWith(one.router))
  if (named) return {state: named.state, why: SAYS[named.state], leg, heartbeat}
  if (leg === undefined || heartbeat === undefined) return undefined
  const [state, why] = unnamed(inv, view, host, heartbeat)
  return {state, why, leg, heartbeat}
}

/** What holds when the agent, which is alive, does not name the router as one that stays central. */
function unnamed(inv: Inventory, view: RouterView, host: string, {local, more}: Heartbeat) {
  const kept = keptCentral(inv, view) ?? keptOn(inv, view, host)
  if (kept !== undefined) return ['central', kept] as const
  if (local === 0) return ['central', 'its agent says that no router leaves from the node now'] as const
  const others =
    more === 0 ? '' : ` (its agent has ${more} more routers that do not leave there than it names)`
  return ['local', `a local gateway is active on its host${others}`] as const
}

/** Why nothing is known of a node's local gateways now; undefined when its agent was heard of lately. */
export function silenceOf({facts, legs}: Inventory, host: string): string | undefined {
  const said = legs.heartbeats.get(host)
  if (said === undefined) return `nothing is heard of an agent of local gateways on ${host}`
  const age = facts.at - said.at
  if (Math.abs(age) < HEARTBEAT_LIFE) return undefined
  const minutes = Math.floor(Math.abs(age) / 60_000)
  return age > 0
    ? `the agent of local gateways on ${host} was heard of ${minutes} min ago`
    : `the clock of ${host} is ${minutes} min ahead`
}

/** Why a router that leads outside stays central on every node; src/localgw/eligible.ts decides it for the agent. */
function keptCentral(inv: Inventory, view: RouterView): string | undefined {
  const {external_gateway_info: gateway, external_gateways: many, flavor_id, distributed} = view.router
  if (!gateway) return REASONS['no-gateway']
  if (flavor_id) return REASONS.custom
  if (backendOf(inv, view) === 'ovn') return REASONS.ovn
  if ((many?.length ?? 0) > 1) return REASONS.multihomed
  if (distributed === false) return REASONS['not-distributed']
  if (gateway.enable_snat === false) return REASONS['no-snat']
  const reason = settingReason(inv, view)
  return reason && REASONS[reason]
}

/** What is set of a router, or made for it, that holds in its SNAT namespace only. */
export function settingReason(inv: Inventory, {router}: RouterView): Reason | undefined {
  const {external_gateway_info: gateway, routes, conntrack_helpers: helpers} = router
  if (gateway?.qos_policy_id) return 'qos'
  if (helpers && helpers.length > 0) return 'conntrack-helper'
  if (inv.logged.has(router.id)) return 'snat-log'
  if (routes?.some(route => /\/0$/.test(route.destination))) return 'own-default-route'
  return undefined
}

/** Why one node of a router stays central. */
export const keptOn = (inv: Inventory, view: RouterView, host: string): string | undefined =>
  isCentralHere(inv, view, host) ? REASONS['central-here'] : undefined

/** Whether a router's central SNAT is on this node. */
export function isCentralHere(inv: Inventory, view: RouterView, host: string): boolean {
  const isGateway = [...view.gateways, ...view.csnat].some(port => port['binding:host_id'] === host)
  return isGateway && setting(inv.l3Agents.get(host), 'agent_mode') === 'dvr_snat'
}
