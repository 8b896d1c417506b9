import {isIP} from 'node:net'

import type {RouterAgent} from '../openstack/index.ts'
import {type AlternativeRow, compare} from './compare.ts'
import {gather, isPartial, optional, type SnatCloud} from './facts.ts'
import {type Growth, grow, measure, type Quantities} from './measure.ts'
import {pick} from './pick.ts'
import {type Detail, show} from './show.ts'
import {type Status, type StatusFilter, status} from './status.ts'
import {type Trace, trace} from './trace.ts'

/*
 * One function a command: reads the listings, asks the few extra questions that the command is allowed, and hands
 * the facts to the pure part. `partial` says that a listing failed: the answer is printed, the exit status tells.
 */

/** An answer, and whether a listing that it rests on failed. */
export interface Read<T> {
  readonly answer: T
  readonly partial: boolean
}

/**
 * `snat status`: all routers, or the named ones.
 * @throws OpenStackError, OsSshError NOT_FOUND and AMBIGUOUS
 */
export async function readStatus(
  {network, at}: SnatCloud,
  words: readonly string[],
  filter: Omit<StatusFilter, 'ids'>,
): Promise<Read<Status>> {
  const facts = await gather(network, {at})
  const ids =
    words.length > 0 ? {ids: new Set(words.map(word => pick('router', word, facts.routers).id))} : {}
  return {answer: status(facts, {...filter, ...ids}), partial: isPartial(facts)}
}

/**
 * `snat show`: one router; one more call for the states of its HA replicas, one for the names of its VMs.
 * @throws OpenStackError, OsSshError NOT_FOUND and AMBIGUOUS
 */
export async function readDetail(cloud: SnatCloud, word: string): Promise<Read<Detail>> {
  const facts = await gather(cloud.network, {availabilities: true, at: cloud.at})
  const router = pick('router', word, facts.routers)
  const first = show(facts, router.id)
  const [agents, names] = await Promise.all([
    first.seen.ha === true && first.seen.backend === 'ovs' ? haStates(cloud, router.id) : undefined,
    first.vms.length > 0 ? serverNames(cloud, {project_id: router.project_id}) : undefined,
  ])
  const answer = show(facts, router.id, {...(agents && {agents}), ...(names && {names})})
  return {answer, partial: isPartial(facts)}
}

/**
 * `snat trace`: the VM by UUID, address or name; only a name costs a call of Nova's.
 * @throws OpenStackError, OsSshError NOT_FOUND, AMBIGUOUS and USAGE
 */
export async function readTrace(cloud: SnatCloud, word: string, to?: string): Promise<Read<Trace>> {
  const [facts, servers] = await Promise.all([
    gather(cloud.network, {at: cloud.at}),
    isIP(word) ? [] : named(cloud, word),
  ])
  const known = servers.length === 0 || facts.ports.some(port => port.device_id === word)
  const server = known ? {id: word, name: ''} : pick('VM', word, servers)
  const answer = trace(facts, server.id, {name: server.name, ...(to !== undefined && {to})})
  return {answer, partial: isPartial(facts)}
}

export interface Comparison {
  readonly now: Quantities
  /** After the growth that was asked for; the rows are of these. */
  readonly then: Quantities
  readonly rows: readonly AlternativeRow[]
}

export interface CompareOptions {
  readonly router?: string | undefined
  readonly portsPerVm?: number | undefined
  /** What the cloud grows by: parseGrowth. */
  readonly growth?: Growth | undefined
}

/**
 * `snat compare`: the alternatives with this cloud's figures.
 * @throws OpenStackError, OsSshError NOT_FOUND and AMBIGUOUS
 */
export async function readComparison(
  {network, at}: SnatCloud,
  options: CompareOptions,
): Promise<Read<Comparison>> {
  const facts = await gather(network, {availabilities: true, at})
  const now = measure(
    facts,
    options.router === undefined ? undefined : pick('router', options.router, facts.routers).id,
  )
  const then = options.growth ? grow(now, options.growth) : now
  return {answer: {now, then, rows: compare(then, options.portsPerVm)}, partial: isPartial(facts)}
}

/** The one call a router that is allowed, for HA routers in `snat show`: two actives are visible only there. */
async function haStates({network}: SnatCloud, id: string): Promise<readonly RouterAgent[] | undefined> {
  return optional(network.routerAgents(id))
}

async function serverNames(
  {compute}: SnatCloud,
  filter: {project_id: string},
): Promise<ReadonlyMap<string, string> | undefined> {
  const all = await optional(compute.servers({all_tenants: true, ...filter}))
  const servers = all ?? (await optional(compute.servers()))
  return servers && new Map(servers.map(server => [server.id, server.name]))
}

/** Servers of a name: of all projects for an admin, of one's own for a member. Nova's filter is a regular expression. */
async function named({compute}: SnatCloud, word: string): Promise<readonly {id: string; name: string}[]> {
  const name = `^${word.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')}$`
  const all = await optional(compute.servers({all_tenants: true, name}))
  return (all ?? (await optional(compute.servers({name}))) ?? []).filter(server => server.name === word)
}
