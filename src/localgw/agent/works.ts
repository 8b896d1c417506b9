import type {Logger} from 'pino'

import type {Reason} from '../../snat/reasons.ts'
import type {Desire} from '../desire.ts'
import type {LocalGateway, Member} from '../desired.ts'
import {hasRouterDevice, routerNamespace} from '../names.ts'
import {localRefresh} from '../render.ts'
import {Leg} from './leg.ts'
import {
  applyLeg,
  applyMember,
  applyNamespace,
  dropLeg,
  dropLink,
  dropRules,
  plugged,
  type Seen,
} from './node.ts'
import {addressFor} from './ports.ts'
import type {NodeCloud} from './survey.ts'
import type {Visitor} from './visitor.ts'

export interface WorksOptions {
  readonly network: NodeCloud
  /** The node, as Neutron's agents call it. */
  readonly host: string
  readonly log: Logger
  /** How long the way of a router without VMs stays, s. */
  readonly grace: number
  readonly visitor: Visitor
}

/** How long a router's rules stay after its way, so that what is left of its flows does not go out by the central one, ms. */
const RULES_STAY = 300_000
/** Until an address that was refused is asked for again, ms. */
const RETRY = 60_000

/** The local gateways of a node in the making, round by round. What is there is found by looking; `told` only spares telling it again. */
export class Works {
  readonly legs = new Map<string, Leg>()
  readonly #options: WorksOptions
  /** Routers that we are out of, and when their rules go, ms. */
  readonly #leaving = new Map<string, number>()
  #central: ReadonlyMap<string, Reason> = new Map()
  #turn = 0
  /** Whether it has looked what OVS has. */
  #knowsPlugs = false

  constructor(options: WorksOptions) {
    this.#options = options
  }

  /** All members, those that are on their way out included; local are those that may be. */
  get members(): readonly Member[] {
    return [...this.legs.values()].flatMap(leg => leg.gateway?.members ?? [])
  }

  /**
   * Makes what is there what it shall be. A fault in one local gateway does not keep the others waiting.
   * @param alive is called now and then @returns whether another round should follow at once
   * @throws OsSshError, CommandError when nothing can be done at all
   */
  async round(desire: Desire, seen: Seen, alive: () => void): Promise<boolean> {
    this.#adopt(desire, seen)
    await this.#strangers(seen)
    const all = this.members.map(member => member.router)
    // One a round is told whatever we believe: somebody may have taken a rule or a route away.
    const suspect = all[this.#turn++ % Math.max(1, all.length)]
    let again = false
    for (const leg of [...this.legs.values()]) {
      alive()
      const made = this.#make(leg, seen, suspect)
      again =
        (await made.catch(error => this.#options.log.error({err: error, leg: leg.id}, 'not made'))) || again
    }
    return again
  }

  #adopt({gateways, central}: Desire, seen: Seen): void {
    const later = Date.now() + this.#options.grace * 1000
    this.#central = central
    // One that may not be local any more ends at once: it would leave by an address that it was not given.
    const until = (router: string) => (central.has(router) || !seen.routers.has(router) ? 0 : later)
    const wanted = new Set(gateways.map(gateway => gateway.id))
    const owners = new Set(gateways.flatMap(({members}) => members.map(member => member.router)))
    for (const gateway of gateways) {
      const leg = this.legs.get(gateway.id) ?? new Leg(gateway.id, gateway.network)
      this.legs.set(gateway.id, leg)
      leg.want(gateway, until)
      for (const router of leg.members.keys()) this.#leaving.delete(router)
    }
    for (const leg of this.legs.values()) {
      if (!wanted.has(leg.id))
        leg.want({id: leg.id, network: leg.network, port: leg.port, members: []}, until)
      // Who has moved to another leg is not on its way out of this one.
      for (const router of leg.draining.keys()) if (owners.has(router)) leg.gives(router)
    }
  }

  /** What an agent before this one has left, and what is over. */
  async #strangers(seen: Seen): Promise<void> {
    const ours = new Set(this.members.map(member => member.router))
    for (const [router, {devices, hasTable}] of seen.routers) {
      if (ours.has(router)) continue
      if (hasRouterDevice(devices)) await this.#leave(router)
      else if (hasTable && !this.#leaving.has(router)) this.#leaving.set(router, Date.now() + RULES_STAY)
    }
    const plugs = this.#knowsPlugs ? [] : await plugged()
    const there = new Set([...seen.legs.keys(), ...plugs.map(plug => plug.gateway)])
    for (const id of there) if (!this.legs.has(id)) await dropLeg(id)
    // Of another port than it shall be: made anew.
    for (const {gateway, port} of plugs)
      if (this.legs.has(gateway) && this.legs.get(gateway)?.port?.id !== port) await dropLeg(gateway)
    this.#knowsPlugs = true
    for (const [router, at] of this.#leaving) {
      if (at > Date.now()) continue
      this.#leaving.delete(router)
      await dropRules(this.#options.visitor, router)
    }
  }

  async #leave(router: string): Promise<void> {
    await this.#options.visitor.visit([[routerNamespace(router), localRefresh({locals: []})]])
    await dropLink(router)
    this.#leaving.set(router, Date.now() + RULES_STAY)
    this.#options.log.info({router, reason: this.#central.get(router)}, 'its way is central')
  }

  async #make(leg: Leg, seen: Seen, suspect: string | undefined): Promise<boolean> {
    for (const [router, {until}] of leg.draining) {
      // With its namespace all of ours in it went, and what was connected: there is nothing to wait for.
      if (until > Date.now() && seen.routers.has(router)) continue
      await this.#leave(router)
      leg.draining.delete(router)
      leg.told.delete(router)
    }
    if (leg.members.size + leg.draining.size === 0) {
      await dropLeg(leg.id)
      this.legs.delete(leg.id)
      return false
    }
    if (leg.isStale) {
      await dropLeg(leg.id)
      leg.isStale = false
      return true
    }
    if (leg.port === undefined) return this.#takeAddress(leg)
    const {gateway} = leg
    if (gateway === undefined) return false
    // Of a router without a namespace there is nothing to join the leg to, and what names its link would fail for all.
    const members = gateway.members.filter(({router}) => seen.routers.has(router))
    for (const router of leg.told.keys()) if (!seen.routers.has(router)) leg.told.delete(router)
    await this.#tell(leg, {...gateway, members}, seen, suspect)
    return false
  }

  /** Tells the kernel what is new, not there, or suspect. Whoever is new is local after all else is there: by the next refresh. */
  async #tell(leg: Leg, gateway: LocalGateway, seen: Seen, suspect: string | undefined): Promise<void> {
    const {log, visitor} = this.#options
    if (!seen.legs.has(leg.id)) await applyNamespace(leg.id, seen)
    const news = new Map<string, string>()
    for (const member of gateway.members) {
      const {router} = member
      const key = JSON.stringify({...member, locals: []})
      const isThere = leg.told.has(router) && leg.hasMember(seen, router)
      if (isThere && leg.told.get(router) === key && router !== suspect) continue
      if (!isThere) leg.told.delete(router)
      await applyMember(visitor, seen, gateway, isThere ? member : {...member, locals: []})
      news.set(router, key)
    }
    await this.#tellLeg(
      leg,
      gateway,
      seen,
      gateway.members.some(({router}) => router === suspect),
    )
    for (const [router, key] of news) {
      if (!leg.told.has(router)) log.info({router, leg: leg.id}, 'its local way is made')
      leg.told.set(router, key)
    }
  }

  async #tellLeg(leg: Leg, gateway: LocalGateway, seen: Seen, isSuspect: boolean): Promise<void> {
    const members = gateway.members.map(({router, number}) => [router, number])
    const about = JSON.stringify({...gateway, members})
    const isWhole = leg.isWhole(seen)
    if (leg.toldLeg === about && isWhole && !isSuspect) return
    // Whoever has answered a leg that is gone has not answered this one.
    if (!isWhole) leg.unproven()
    await applyLeg(this.#options.visitor, seen, gateway, leg.toldLeg === about)
    leg.toldLeg = about
    if (!isWhole) this.#options.log.info({leg: leg.id, address: gateway.port.address}, 'its leg is there')
  }

  async #takeAddress(leg: Leg): Promise<boolean> {
    if (leg.retryAt > Date.now()) return false
    const {network, host, log} = this.#options
    try {
      await addressFor(network, host, leg.id, leg.network)
      return true
    } catch (error) {
      leg.retryAt = Date.now() + RETRY
      log.warn({err: error, leg: leg.id}, 'no address: its VMs stay central')
      return false
    }
  }
}
