import type {Inventory, RouterView} from '../snat/inventory.ts'
import {isCentralHere, settingReason} from '../snat/local.ts'
import {externalNetwork, gatewaysOf, isLocalFipHost, subnetsOf} from '../snat/observe.ts'
import type {Reason} from '../snat/reasons.ts'
import {type Decided, decided} from '../snat/status.ts'

/** What keeps a whole router central; undefined when nothing does. The first that holds, the most telling first. */
export function routerReason(inv: Inventory, view: RouterView): Reason | undefined {
  const about = decided(inv, view)
  return whole(inv, about) ?? detail(inv, about)
}

/** What it is. */
function whole({facts}: Inventory, {view, seen, verdict}: Decided): Reason | undefined {
  if (seen.gateways === 0) return 'no-gateway'
  if (verdict.carrier === 'custom') return 'custom'
  if (seen.backend === 'ovn') return 'ovn'
  if (seen.gateways > 1) return 'multihomed'
  if (seen.distributed === null || facts.gaps.some(gap => gap.listing === 'ports')) return 'unknown'
  if (!seen.distributed) return seen.ha || view.ha.length > 0 ? 'central-ha' : 'not-distributed'
  return undefined
}

/** How it is set. */
function detail(inv: Inventory, {view, seen}: Decided): Reason | undefined {
  if (seen.enable_snat === false) return 'no-snat'
  if (seen.same_scope === 'all') return 'no-nat'
  if (!subnetsOf(inv, view).some(subnet => subnet.ip_version === 4)) return 'ipv6-only'
  return settingReason(inv, view)
}

/** What keeps one node of a router central that is eligible itself. */
export function nodeReason(inv: Inventory, view: RouterView, host: string): Reason | undefined {
  if (!inv.l3Agents.has(host)) return 'no-agent'
  // `dvr_no_external` among them: it has no way out for floating IPs either.
  if (!isLocalFipHost(inv, host)) return 'no-external-leg'
  return isCentralHere(inv, view, host) ? 'central-here' : undefined
}

/** The external network that an eligible router leads to. @throws Error when it has none */
export function externalOf(view: RouterView): string {
  const network = externalNetwork(view)
  if (network === undefined || gatewaysOf(view).length !== 1)
    throw new Error(`${view.router.id} has not one external gateway`)
  return network
}
