import {existsSync} from 'node:fs'
import {readdir, readFile} from 'node:fs/promises'

import {isUuid} from '../../names/uuid.ts'
import {announce, attempt, ipBatch, run, sysctl} from '../../system/commands.ts'
import {until} from '../../system/daemon.ts'
import type {LegPort, LocalGateway, Member} from '../desired.ts'
import {BIT, legDevice, memberDevice, namespaceOf, routerDevice, routerNamespace, TABLE} from '../names.ts'
import {LEG_SETTINGS, legRules, legWays, ROUTER_RULE, routerRules, routerWays, type Ways} from '../render.ts'
import type {Visitor} from './visitor.ts'

/*
 * What is there on this node, and how it becomes what it shall be. Every function may be called at any time and be killed anywhere: it
 * looks first, and the next call goes on.
 */

/** The integration bridge of Neutron's OVS agent. */
const BRIDGE = 'br-int'
/** How long a device that OVS makes may take, while the others wait, and how often we look, ms. */
const [PLUG_PATIENCE, LOOK] = [3000, 50]

/** A namespace: its links, and whether our table is in it. */
export interface Space {
  readonly devices: readonly string[]
  readonly hasTable: boolean
}

/** What was found by looking. */
export interface Seen {
  /** By router. */
  readonly routers: ReadonlyMap<string, Space>
  /** By local gateway. */
  readonly legs: ReadonlyMap<string, Space>
  /** Links of ours outside of their namespaces: just made by OVS, or made anew when ovs-vswitchd was restarted. */
  readonly strays: readonly string[]
}

/** @throws OsSshError LOCAL_TOOL */
export async function look(visitor: Visitor): Promise<Seen> {
  const [names, links] = await Promise.all([readdir('/run/netns').catch((): string[] => []), ownLinks()])
  const ours = names.flatMap(name => {
    const [, kind, id] = /^(qrouter|lsnat)-(.*)$/.exec(name) ?? []
    return kind !== undefined && id !== undefined && isUuid(id) ? [{name, kind, id}] : []
  })
  const visits = await visitor.visit(ours.map(({name}) => [name, 'list tables ip']))
  const [routers, legs] = [new Map<string, Space>(), new Map<string, Space>()]
  for (const [index, {kind, id}] of ours.entries()) {
    const {devices, output = ''} = visits[index] ?? {}
    // Gone since.
    if (devices === undefined) continue
    const space = {devices, hasTable: output.split('\n').includes(`table ip ${TABLE}`)}
    if (kind === 'qrouter') routers.set(id, space)
    else legs.set(id, space)
  }
  return {routers, legs, strays: links.filter(link => link.startsWith('lg-'))}
}

/** Links of the node's own namespace: /sys shows those of whoever has mounted it. */
async function ownLinks(): Promise<string[]> {
  const lines = (await readFile('/proc/self/net/dev', 'utf8')).split('\n')
  return lines.flatMap(line => /^\s*([^:]+):/.exec(line)?.[1] ?? [])
}

/** An OVS interface of ours. */
export interface Plugged {
  readonly device: string
  /** UUID of the local gateway, and of the Neutron port. */
  readonly gateway: string
  readonly port: string
}

/** Legs as OVS knows them, whatever has become of their namespaces. @throws CommandError */
export async function plugged(): Promise<readonly Plugged[]> {
  const columns = '--columns=name,external_ids'
  const text = await run(['ovs-vsctl', '--format=json', columns, 'find', 'Interface', 'type=internal'])
  const {data} = JSON.parse(text) as {data: [string, [string, [string, string][]]][]}
  return data.flatMap(([device, [, pairs]]) => {
    const ids = new Map(pairs)
    const [gateway, port] = [ids.get(MARK), ids.get('iface-id')]
    return gateway !== undefined && port !== undefined && isUuid(gateway) ? [{device, gateway, port}] : []
  })
}

/** In OVS' external_ids: which local gateway an interface is the leg of. */
const MARK = 'os-ssh-lsnat'

/**
 * Makes the leg of a local gateway what it shall be; its members' links are there already.
 * @param isKnown its rules are what they shall be: loaded again they would count from zero
 * @throws CommandError, OsSshError; Error with what nft says
 */
export async function applyLeg(
  visitor: Visitor,
  seen: Seen,
  gateway: LocalGateway,
  isKnown: boolean,
): Promise<void> {
  const {id, port} = gateway
  const [namespace, device] = [namespaceOf(id), legDevice(id)]
  // The guard is there before anything can leave.
  if (!isKnown || !seen.legs.get(id)?.hasTable) await load(visitor, namespace, legRules(gateway))
  const isIn = seen.legs.get(id)?.devices.includes(device) ?? false
  if (!isIn || seen.strays.includes(device)) await plug(namespace, device, port, id, isIn)
  await applyWays(namespace, [`link set ${device} up`], legWays(gateway))
  if (!isIn) announce(namespace, device, port.address)
}

/** Makes the namespace of a local gateway, into which its members' links lead. @throws CommandError */
export async function applyNamespace(id: string, seen: Seen): Promise<void> {
  const namespace = namespaceOf(id)
  if (!seen.legs.has(id) && !existsSync(`/run/netns/${namespace}`))
    await run(['ip', 'netns', 'add', namespace])
  await sysctl(namespace, Object.fromEntries(LEG_SETTINGS.map(line => line.split('=') as [string, string])))
  await ipBatch(namespace, ['link set lo up'])
}

async function plug(
  namespace: string,
  device: string,
  port: LegPort,
  id: string,
  isIn: boolean,
): Promise<void> {
  // Skipped by neutron-ovs-cleanup; bound by the OVS agent as any port is.
  const ids = {
    'iface-id': port.id,
    'iface-status': 'active',
    'attached-mac': port.mac,
    [MARK]: id,
    skip_cleanup: 'true',
  }
  const words = Object.entries(ids).map(([key, value]) => `external_ids:${key}="${value}"`)
  const about = ['set', 'Interface', device, 'type=internal', ...words]
  await run(['ovs-vsctl', '--may-exist', 'add-port', BRIDGE, device, '--', ...about])
  if ((await until(async () => (await ownLinks()).includes(device), PLUG_PATIENCE, LOOK)) === undefined)
    throw new Error(`OVS has not made ${device}`)
  // The one that is in there is without a carrier since OVS made another.
  if (isIn) await attempt(['ip', '-n', namespace, 'link', 'delete', device])
  await ipBatch(undefined, [
    `link set ${device} down address ${port.mac}`,
    `link set ${device} netns ${namespace}`,
  ])
}

/** Joins a router to its local gateway. Who is local in it is part of the rules. @throws as applyLeg */
export async function applyMember(
  visitor: Visitor,
  seen: Seen,
  {id}: LocalGateway,
  member: Member,
): Promise<void> {
  const {router, mtu} = member
  const [namespace, leg] = [routerNamespace(router), namespaceOf(id)]
  const [outer, inner] = [routerDevice(router), memberDevice(router)]
  const hasOuter = seen.routers.get(router)?.devices.includes(outer) ?? false
  const hasInner = seen.legs.get(id)?.devices.includes(inner) ?? false
  if (hasOuter && !hasInner) await attempt(['ip', '-n', namespace, 'link', 'delete', outer])
  if (hasInner && !hasOuter) await attempt(['ip', '-n', leg, 'link', 'delete', inner])
  if (!hasOuter || !hasInner)
    await ipBatch(namespace, [
      `link add ${outer} mtu ${mtu} type veth peer name ${inner} mtu ${mtu} netns ${leg}`,
    ])
  await ipBatch(leg, [`link set ${inner} mtu ${mtu} up`])
  await load(visitor, namespace, routerRules(member))
  await applyWays(namespace, [`link set ${outer} mtu ${mtu} up`], routerWays(member))
}

/** @throws Error with what nft says */
async function load(visitor: Visitor, namespace: string, text: string): Promise<void> {
  const [visit] = await visitor.visit([[namespace, text]])
  if (visit?.error !== undefined) throw new Error(`nft in ${namespace}: ${visit.error.trim()}`)
}

/** Rules have no `replace`: those that are missing are added, those of ours that are too many deleted. A priority says all about one. */
async function applyWays(namespace: string, before: readonly string[], ways: Ways): Promise<void> {
  const wanted = new Map(ways.rules.map(rule => [Number(rule.split(' ')[1]), rule]))
  const listed = JSON.parse(await run(['ip', '-n', namespace, '-j', 'rule', 'show'])) as {priority: number}[]
  const there = listed.map(rule => rule.priority)
  // The namespace of a leg has no rules but ours and the kernel's.
  const extra = namespace.startsWith('lsnat-')
    ? there.filter(priority => priority > 0 && priority < 32_766 && !wanted.has(priority))
    : []
  await ipBatch(namespace, [
    ...before,
    ...ways.addresses.map(address => `address replace ${address}`),
    ...ways.routes.map(route => `route replace ${route}`),
    ...extra.map(priority => `rule delete priority ${priority}`),
    ...[...wanted].flatMap(([priority, rule]) => (there.includes(priority) ? [] : [`rule add ${rule}`])),
  ])
}

/** Takes a router's link away: what is left of its flows ends, by the rules that stay. */
export async function dropLink(router: string): Promise<void> {
  await attempt(['ip', '-n', routerNamespace(router), 'link', 'delete', routerDevice(router)])
}

/** Takes a local gateway's leg and namespace away. @throws CommandError when OVS does not answer */
export async function dropLeg(id: string): Promise<void> {
  await run(['ovs-vsctl', '--if-exists', 'del-port', BRIDGE, legDevice(id)])
  await attempt(['ip', 'netns', 'delete', namespaceOf(id)])
}

/** The last of a router: nothing of ours decides there any more. */
export async function dropRules(visitor: Visitor, router: string): Promise<void> {
  const namespace = routerNamespace(router)
  await attempt(['ip', '-n', namespace, 'rule', 'delete', ...ROUTER_RULE.split(' ')])
  await visitor.visit([[namespace, `table ip ${TABLE}\ndelete table ip ${TABLE}\n`]])
}

/** Flows of a router that still leave locally, by the mark that conntrack keeps. */
export async function localFlows(router: string): Promise<number> {
  const inside = ['nsenter', `--net=/run/netns/${routerNamespace(router)}`]
  const listed = await run([...inside, 'conntrack', '-L', '-m', `${BIT}/${BIT}`]).catch(() => '')
  return listed.split('\n').filter(line => line !== '').length
}

/** Whether the external network's router answers from the leg, within a second. */
export async function answers({id, port}: Pick<LocalGateway, 'id' | 'port'>): Promise<boolean> {
  const inside = ['nsenter', `--net=/run/netns/${namespaceOf(id)}`]
  return attempt([...inside, 'arping', '-q', '-c', '1', '-w', '1', '-I', legDevice(id), port.gateway])
}
