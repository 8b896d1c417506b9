import type {ExceptionState} from '../../snat/heartbeat.ts'
import type {Wanted} from '../desire.ts'
import type {LegPort, LocalGateway, Member} from '../desired.ts'
import {legDevice, memberDevice, routerDevice} from '../names.ts'
import type {Seen} from './node.ts'

/** What a router of a node is in; `local` alone is no exception: src/snat/heartbeat.ts */
export type State = 'local' | ExceptionState

/** So many answers in a row until a leg that had failed is used again. */
const GOOD = 3

/** A router that has no VM here any more, and when its local way goes, ms. */
interface Draining {
  readonly member: Member
  readonly until: number
}

/** A local gateway of this node, and how far it is. In memory only: what counts is found again by looking. */
export class Leg {
  readonly id: string
  network: string
  port: LegPort | undefined
  /** By router. */
  members = new Map<string, Member>()
  readonly draining = new Map<string, Draining>()
  /** What the kernel was told last of each router, and of the leg. */
  readonly told = new Map<string, string>()
  toldLeg: string | undefined
  /** What OVS has is another port: it goes before this one comes. */
  isStale = false
  /** Whether the external network's router answers; `had`: it has done so before. */
  isUp = false
  #had = false
  #good = 0
  /** How often it had to fall back. */
  fallbacks = 0
  /** When an address may be asked for again, ms. */
  retryAt = 0

  constructor(id: string, network: string) {
    this.id = id
    this.network = network
  }

  /** @param until when the way of a router goes that is not wanted any more, ms; a time that is past: at once */
  want({network, port, members}: Wanted, until: (router: string) => number): void {
    this.network = network
    if (port?.id !== this.port?.id) {
      this.isStale ||= this.port !== undefined
      this.forget()
    }
    this.port = port
    const wanted = new Map(members.map(member => [member.router, member]))
    for (const [router, member] of this.members)
      if (!wanted.has(router))
        this.draining.set(router, {member: {...member, locals: []}, until: until(router)})
    for (const router of wanted.keys()) this.draining.delete(router)
    this.members = wanted
  }

  /** A router is another leg's now. */
  gives(router: string): void {
    this.draining.delete(router)
    this.told.delete(router)
  }

  /** What is there is not what we had made. */
  forget(): void {
    this.told.clear()
    this.toldLeg = undefined
    this.unproven()
  }

  /** Nobody has answered this leg yet. */
  unproven(): void {
    this.isUp = false
    this.#had = false
    this.#good = 0
  }

  /** @returns whether that makes a difference */
  heard(answers: boolean): boolean {
    const before = this.isUp
    this.#good = answers ? this.#good + 1 : 0
    if (!answers) this.isUp = false
    else if (!this.#had || this.#good >= GOOD) this.isUp = true
    this.#had ||= this.isUp
    if (before && !this.isUp) this.fallbacks++
    return before !== this.isUp
  }

  /** The whole of it; undefined without an address. Nobody is local who may not be. */
  get gateway(): LocalGateway | undefined {
    const {id, port} = this
    const members = [...this.members.values()].map(member => (this.isUp ? member : {...member, locals: []}))
    const all = [...members, ...[...this.draining.values()].map(one => one.member)]
    return port && {id, port, members: all.sort((a, b) => a.number - b.number)}
  }

  states(): [router: string, State][] {
    const state: State =
      this.port === undefined ? 'no-address' : this.isUp ? 'local' : this.#had ? 'fallback' : 'probing'
    // The L3 agent has not made its namespace yet, or we its rules.
    const waits = (router: string) => state === 'local' && !this.told.has(router)
    return [
      ...[...this.members.keys()].map((router): [string, State] => [
        router,
        waits(router) ? 'waiting' : state,
      ]),
      ...[...this.draining.keys()].map((router): [string, State] => [router, 'draining']),
    ]
  }

  /** Whether all its links are where they belong. */
  isWhole(seen: Seen): boolean {
    const {devices = [], hasTable = false} = seen.legs.get(this.id) ?? {}
    return hasTable && devices.includes(legDevice(this.id)) && !seen.strays.includes(legDevice(this.id))
  }

  /** Whether a router's link and table are there. */
  hasMember(seen: Seen, router: string): boolean {
    const {devices = [], hasTable = false} = seen.routers.get(router) ?? {}
    const inner = seen.legs.get(this.id)?.devices ?? []
    return hasTable && devices.includes(routerDevice(router)) && inner.includes(memberDevice(router))
  }
}
