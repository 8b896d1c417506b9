import {spawn} from 'node:child_process'
import {once} from 'node:events'

import type {LocalGateway, Member} from '../../src/localgw/desired.ts'
import {legDevice, memberDevice, namespaceOf, routerDevice, routerNamespace} from '../../src/localgw/names.ts'
import {
  LEG_SETTINGS,
  legRules,
  legWays,
  localRefresh,
  routerRules,
  routerWays,
  type Ways,
} from '../../src/localgw/render.ts'
import {Flow, startEcho} from './flows.ts'
import {run} from './run.ts'

/*
 * One node with DVR routers of two tenants who have the same addresses, and what is around it, made of namespaces as Neutron makes
 * them: a VM, the router's namespace with its redirect to the central SNAT, that one, and the outside. The local gateway's rules are ours.
 */

const SUBNET = '10.20.0'
/** A tenant's VM, its gateway in the router's namespace, and its router's port in the SNAT namespace. */
export const [VM, GATEWAY, CSNAT] = [`${SUBNET}.11`, `${SUBNET}.1`, `${SUBNET}.90`]
export const OUTSIDE = '172.24.4.1'
export const LOCAL = '172.24.4.50'
/** Of tenant number 1 and 2. */
export const central = (tenant: number) => `172.24.4.${60 + tenant}`
export const MTU = 1450

const routers = ['aaaaaaaa-0000-4000-8000-000000000001', 'bbbbbbbb-0000-4000-8000-000000000002'] as const

export class LocalGatewaySite {
  readonly gateway: LocalGateway = {
    id: 'cccccccc-0000-4000-8000-000000000003',
    port: {
      id: 'dddddddd-0000-4000-8000-000000000004',
      mac: 'fa:16:3e:00:00:01',
      address: LOCAL,
      prefix: 24,
      gateway: OUTSIDE,
    },
    members: routers.map((router, index) => ({
      router,
      number: index + 1,
      mtu: MTU,
      locals: [],
      keeps: [],
      central: [CSNAT],
    })),
  }
  readonly #children: {kill(): unknown}[] = []

  member(tenant: number): Member {
    const found = this.gateway.members[tenant - 1]
    if (!found) throw new Error(`there is no tenant ${tenant}`)
    return found
  }

  /** The cloud as it is without us: everything is central. */
  async open(): Promise<void> {
    await this.#ip('netns add lgo-outside')
    await this.#in(
      'lgo-outside',
      `link add br0 type bridge`,
      'link set br0 up',
      `address add ${OUTSIDE}/24 dev br0`,
    )
    for (const [index, router] of routers.entries()) await this.#tenant(index + 1, routerNamespace(router))
    const echo = await startEcho(['ip', 'netns', 'exec', 'lgo-outside'])
    this.#children.push(echo)
  }

  /** Counts from here on what comes out of the leg with a private source. */
  async listen(): Promise<void> {
    const hook = 'type filter hook ingress device "lg" priority 0'
    const count = 'ip saddr { 10.0.0.0/8, 169.254.0.0/16 } counter'
    await this.nft('lgo-outside', `table netdev heard {\nchain arriving {\n${hook}\n${count}\n}\n}\n`)
  }

  /** Packets of a private source that the outside has got by the leg. */
  async heard(): Promise<number> {
    return Number(/packets (\d+)/.exec(await this.exec('lgo-outside', 'nft', 'list', 'ruleset'))?.[1])
  }

  async close(): Promise<void> {
    for (const child of this.#children) child.kill()
    const {stdout} = await run('ip', ['netns', 'list'])
    for (const [name = ''] of stdout.split('\n').map(line => line.split(' ')))
      if (/^lgo-/.test(name) || this.#ours().includes(name)) await run('ip', ['netns', 'delete', name])
  }
  #ours = () => [...routers.map(routerNamespace), namespaceOf(this.gateway.id)]

  async #tenant(n: number, router: string): Promise<void> {
    const [vm, snat, lan] = [`lgo-vm${n}`, `lgo-snat${n}`, `lgo-lan${n}`]
    for (const name of [vm, snat, lan, router]) await this.#ip(`netns add ${name}`)
    await this.#in(lan, 'link add br0 type bridge', 'link set br0 up')
    const plug = async (inside: string, device: string, address: string, bridge = lan, port = inside) => {
      await this.#in(
        bridge,
        `link add ${port} mtu ${MTU} type veth peer name ${device} mtu ${MTU} netns ${inside}`,
      )
      await this.#in(bridge, `link set ${port} master br0`, `link set ${port} up`)
      await this.#in(
        inside,
        'link set lo up',
        `link set ${device} up`,
        `address add ${address}/24 dev ${device}`,
      )
    }
    await plug(vm, 'eth0', VM)
    await this.exec(router, 'sysctl', '-qw', 'net.ipv4.conf.default.send_redirects=0')
    await plug(router, 'qr-1', GATEWAY, lan, 'qr')
    await plug(snat, 'sg-1', CSNAT)
    await plug(snat, 'qg-1', central(n), 'lgo-outside', `qg${n}`)
    await this.#in(vm, `route add default via ${GATEWAY}`)
    await this.#in(snat, `route add default via ${OUTSIDE}`)
    // As neutron-l3-agent: a rule a subnet, its priority the subnet itself.
    await this.#in(router, `route add default via ${CSNAT} dev qr-1 table 169082881`)
    await this.#in(router, `rule add priority 169082881 from ${SUBNET}.0/24 lookup 169082881`)
    // As neutron-l3-agent too: otherwise the router tells the VM the short way to the SNAT namespace.
    const settings = ['ip_forward=1', 'conf.all.rp_filter=0', 'conf.all.send_redirects=0']
    for (const name of [router, snat])
      await this.exec(name, 'sysctl', '-qw', ...settings.map(one => `net.ipv4.${one}`))
    const rule = `oifname "qg-1" snat to ${central(n)}`
    await this.nft(
      snat,
      `table ip nat {\nchain out {\ntype nat hook postrouting priority srcnat\n${rule}\n}\n}\n`,
    )
  }

  /** The local gateway as rendered, with no VM in it. */
  async build(): Promise<void> {
    const {gateway} = this
    const [inside, device] = [namespaceOf(gateway.id), legDevice(gateway.id)]
    await this.#ip(`netns add ${inside}`)
    await this.exec(inside, 'sysctl', '-qw', ...LEG_SETTINGS)
    await this.nft(inside, legRules(gateway))
    await this.#in('lgo-outside', `link add lg type veth peer name ${device} netns ${inside}`)
    await this.#in('lgo-outside', 'link set lg master br0', 'link set lg up')
    await this.#in(inside, 'link set lo up', `link set ${device} up`)
    for (const {router, mtu} of gateway.members) {
      const [ours, theirs] = [routerDevice(router), memberDevice(router)]
      await this.#in(
        routerNamespace(router),
        `link add ${ours} mtu ${mtu} type veth peer name ${theirs} mtu ${mtu} netns ${inside}`,
        `link set ${ours} up`,
      )
      await this.#in(inside, `link set ${theirs} up`)
    }
    await this.#ways(inside, legWays(gateway))
    for (const member of gateway.members) {
      const space = routerNamespace(member.router)
      await this.nft(space, routerRules(member))
      await this.#ways(space, routerWays(member))
    }
  }

  /** Says which VMs are local. */
  async local(tenant: number, ...locals: string[]): Promise<void> {
    await this.nft(routerNamespace(this.member(tenant).router), localRefresh({locals}))
  }

  async nft(space: string, rules: string): Promise<void> {
    await need(run('ip', ['netns', 'exec', space, 'nft', '-f', '-'], {input: rules}), rules)
  }

  async exec(space: string, ...words: string[]): Promise<string> {
    return need(run('ip', ['netns', 'exec', space, ...words]), words.join(' '))
  }

  /** Packets that the guard has stopped. */
  async leaked(): Promise<number> {
    const text = await this.exec(
      namespaceOf(this.gateway.id),
      'nft',
      'list',
      'counter',
      'ip',
      'os-ssh-lsnat',
      'leaked',
    )
    return Number(/packets (\d+)/.exec(text)?.[1])
  }

  /** A VM's flow that stays open. */
  flow(tenant: number, protocol: 'udp' | 'tcp'): Flow {
    const flow = new Flow(['ip', 'netns', 'exec', `lgo-vm${tenant}`], protocol, OUTSIDE)
    this.#children.push(flow)
    return flow
  }

  /** A python program outside, until the end. */
  async outside(program: string): Promise<void> {
    const child = spawn('ip', ['netns', 'exec', 'lgo-outside', 'python3', '-uc', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.#children.push(child)
    await once(child.stdout, 'data')
  }

  #ip = (...lines: string[]) =>
    need(run('ip', ['-batch', '-'], {input: `${lines.join('\n')}\n`}), lines.join('; '))
  #in = (space: string, ...lines: string[]) =>
    need(
      run('ip', ['-n', space, '-batch', '-'], {input: `${lines.join('\n')}\n`}),
      `${space}: ${lines.join('; ')}`,
    )
  #ways = (space: string, {addresses, routes, rules}: Ways) =>
    this.#in(
      space,
      ...addresses.map(one => `address add ${one}`),
      ...routes.map(one => `route add ${one}`),
      ...rules.map(one => `rule add ${one}`),
    )
}

async function need(running: ReturnType<typeof run>, what: string): Promise<string> {
  const {status, stdout, stderr} = await running
  if (status !== 0) throw new Error(`${what}: ${status} ${stderr}`)
  return stdout
}
