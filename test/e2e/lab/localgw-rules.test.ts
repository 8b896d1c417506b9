import {afterAll, beforeAll, beforeEach, describe, expect, it, jest} from '@jest/globals'

import {namespaceOf, ROUTES, routerNamespace, TABLE} from '../../../src/localgw/names.ts'
import {legRules, routerRules, routerWays} from '../../../src/localgw/render.ts'
import {ECHO} from '../../support/flows.ts'
import {central, LOCAL, LocalGatewaySite, OUTSIDE, VM} from '../../support/localgw-site.ts'
import {needOwnNetns} from '../../support/netns.ts'
import {run} from '../../support/run.ts'

/* The rules of a local gateway on a real kernel: what goes which way, and that nothing leaves untranslated. */

jest.setTimeout(60_000)

const site = new LocalGatewaySite()
beforeAll(async () => {
  needOwnNetns()
  await site.open()
  await site.build()
  await site.listen()
})
afterAll(() => site.close())
beforeEach(async () => {
  for (const tenant of tenants) await site.local(tenant)
})

const protocols = ['udp', 'tcp'] as const
const tenants = [1, 2] as const
const leg = namespaceOf(site.gateway.id)
const space = routerNamespace(site.member(1).router)
/** What a flow that begins now is seen as outside. */
const once = (tenant: number, protocol: 'udp' | 'tcp') => {
  const flow = site.flow(tenant, protocol)
  return flow.ask().finally(flow.kill)
}

describe.each(protocols)('%s', protocol => {
  it('a VM that is not in the set is central', async () => {
    for (const tenant of tenants) expect(await once(tenant, protocol)).toBe(central(tenant))
  })

  it('VMs of two tenants with the same address are local at the same time', async () => {
    for (const tenant of tenants) await site.local(tenant, VM)
    const flows = tenants.map(tenant => site.flow(tenant, protocol))
    for (let n = 0; n < 3; n++)
      expect(await Promise.all(flows.map(flow => flow.ask()))).toEqual([LOCAL, LOCAL])
  })

  it('what goes one way stays there, and what begins goes the new one', async () => {
    const before = site.flow(1, protocol)
    expect(await before.ask()).toBe(central(1))
    await site.local(1, VM)
    const during = site.flow(1, protocol)
    expect([await before.ask(), await during.ask()]).toEqual([central(1), LOCAL])
    await site.local(1)
    expect([await before.ask(), await during.ask(), await once(1, protocol)]).toEqual([
      ...[central(1), LOCAL],
      central(1),
    ])
  })

  it('without the route what begins is central at once, and what was local ends', async () => {
    await site.local(1, VM)
    const flow = site.flow(1, protocol)
    expect(await flow.ask()).toBe(LOCAL)
    await site.exec(space, 'ip', 'route', 'flush', 'table', String(ROUTES))
    try {
      expect(await once(1, protocol)).toBe(central(1))
      expect(await flow.ask()).toBe(protocol === 'tcp' ? 'ConnectionResetError' : 'TimeoutError')
    } finally {
      const [way = ''] = routerWays(site.member(1)).routes
      await site.exec(space, 'ip', 'route', 'add', ...way.split(' '))
    }
  })
})

it('the rules may be loaded again under a flow', async () => {
  await site.local(1, VM)
  const flow = site.flow(1, 'tcp')
  expect(await flow.ask()).toBe(LOCAL)
  await site.nft(leg, legRules(site.gateway))
  await site.nft(space, routerRules({...site.member(1), locals: [VM]}))
  expect([await flow.ask(), await once(1, 'tcp')]).toEqual([LOCAL, LOCAL])
})

it('what a port forwarding leads to answers by the central way', async () => {
  const keeps = [{address: VM, protocol: 'udp', ports: [5000, 5010]}] as const
  await site.nft(space, routerRules({...site.member(1), locals: [VM], keeps}))
  const from = async (port: number) => {
    const program = `import socket; s=socket.socket(type=socket.SOCK_DGRAM); s.settimeout(5); s.bind(('', ${port}))
s.sendto(b'x', ('${OUTSIDE}', ${ECHO})); print(s.recv(99).decode())`
    return (await site.exec('lgo-vm1', 'python3', '-c', program)).trim()
  }
  expect([await from(5000), await from(5010), await from(5011)]).toEqual([central(1), central(1), LOCAL])
})

describe('without the translation', () => {
  beforeEach(async () => {
    await site.local(1, VM)
    await site.nft(leg, `flush chain ip ${TABLE} nat\n`)
  })

  it('the guard lets nothing out, and counts it', async () => {
    expect(await once(1, 'udp')).toBe('TimeoutError')
    expect([await site.leaked(), await site.heard()]).toEqual([1, 0])
  })

  it('and without the guard it leaks: the test can fail', async () => {
    await site.nft(leg, `flush chain ip ${TABLE} guard\n`)
    expect(await once(1, 'udp')).toBe('TimeoutError')
    expect(await site.heard()).toBe(1)
  })

  afterAll(() => site.nft(leg, legRules(site.gateway)))
})

it('an error of the leg reaches the VM that it is for, of two with the same address', async () => {
  for (const tenant of tenants) {
    await site.local(tenant, VM)
    const words = ['netns', 'exec', `lgo-vm${tenant}`, 'ping', '-c1', '-W2', '-t2', '-n', OUTSIDE]
    const {stdout} = await run('ip', words)
    expect(stdout).toContain(`From 169.254.0.${2 * tenant + 1} icmp_seq=1 Time to live exceeded`)
  }
})
