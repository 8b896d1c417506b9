import {describe, expect, it} from '@jest/globals'

import {type Networking, OpenStackError, type OpenStackFault} from '../../../src/openstack/index.ts'
import {type Facts, gather, isPartial} from '../../../src/snat/facts.ts'
import {mask} from '../../../src/snat/mask.ts'
import {readDetail, readStatus, readTrace} from '../../../src/snat/read.ts'
import {parseRecording, recordingText} from '../../../src/snat/recording.ts'
import {status} from '../../../src/snat/status.ts'
import {DVR, factsOf, LEGACY, VM_FIP, withLegs} from '../../support/snat.ts'

const recorded = factsOf('zed-ovs')
const NAMES = {
  extensions: 'extensions',
  routers: 'routers',
  ports: 'ports',
  agents: 'agents',
  floatingIps: 'floatingIps',
  networks: 'networks',
  subnets: 'subnets',
  ipAvailabilities: 'availabilities',
  subnetPools: 'subnetPools',
  logs: 'logs',
} as const
type Call = keyof typeof NAMES

/** A Neutron that answers what was recorded, counts, and fails where it is told to. */
function neutron(faults: Partial<Record<Call | 'routerAgents', OpenStackFault>> = {}, facts = recorded) {
  const calls: string[] = []
  const answer = (call: Call | 'routerAgents', rows: readonly unknown[]) => async () => {
    calls.push(call)
    const fault = faults[call]
    if (fault) throw new OpenStackError(fault, `${call} says ${fault}`)
    return rows
  }
  const entries = Object.entries(NAMES).map(([call, key]) => [call, answer(call as Call, facts[key])])
  const network = {
    ...Object.fromEntries(entries),
    routerAgents: answer('routerAgents', facts.agents),
  } as unknown as Networking
  const compute = {servers: async () => [{id: VM_FIP, name: 'web'}]} as never
  return {cloud: {network, compute}, network, calls}
}

describe('gather', () => {
  it('takes at most ten list calls, whatever is asked, and none a router', async () => {
    const extensions = [...recorded.extensions, {alias: 'logging'}]
    const pooled = {...recorded, extensions, subnets: recorded.subnets.map(s => ({...s, subnetpool_id: 'p'}))}
    const {network, calls} = neutron({}, pooled)
    await gather(network, {availabilities: true})
    expect(calls.sort()).toEqual(Object.keys(NAMES).sort())
  })

  it('leaves out subnet pools when no subnet comes from one, free addresses when nobody wants them, and logs where nobody writes any', async () => {
    const {network, calls} = neutron()
    await gather(network)
    expect(calls).not.toContain('subnetPools')
    expect(calls).not.toContain('ipAvailabilities')
    expect(calls).not.toContain('logs')
  })

  it.each([
    ['agents', 'not-found', 'missing'],
    ['agents', 'forbidden', 'forbidden'],
    ['ports', 'server', 'failed'],
    ['floatingIps', 'unreachable', 'failed'],
    ['networks', 'forbidden', 'forbidden'],
    ['subnets', 'server', 'failed'],
    ['extensions', 'not-found', 'missing'],
    ['ipAvailabilities', 'not-found', 'missing'],
  ] as const)('%s: %s leaves a gap (%s), and every router is still listed', async (call, fault, why) => {
    const facts = await gather(neutron({[call]: fault}).network, {availabilities: true})
    expect(facts.gaps).toEqual([expect.objectContaining({listing: NAMES[call], why})])
    expect(isPartial(facts)).toBe(why === 'failed')
    const answer = status(facts)
    expect(answer.rows).toHaveLength(4)
    expect(answer.notes.join()).toContain(NAMES[call])
  })

  it.each([
    ['routers', 'server'],
    ['routers', 'forbidden'],
    ['ports', 'unauthorized'],
  ] as const)('%s: %s ends it', async (call, fault) => {
    await expect(gather(neutron({[call]: fault}).network)).rejects.toMatchObject({fault})
  })

  it('survives a cloud where nothing but the routers answers', async () => {
    const all = Object.fromEntries(
      Object.keys(NAMES)
        .filter(n => n !== 'routers')
        .map(n => [n, 'server' as const]),
    )
    const facts = await gather(neutron(all).network, {availabilities: true})
    const {rows} = status(facts)
    expect(rows.map(row => row.flags)).toEqual([[], [], [], []])
    // What a failed listing would have shown is not known; it is not zero.
    expect(rows.every(row => row.spof === null || row.mode === 'no-gateway')).toBe(true)
  })
})

describe('descriptions of ports', () => {
  it('are dropped but for heartbeats, and only those are masked as they are', async () => {
    const facts = withLegs(recorded, {host: 'compute1'}, {host: 'compute2', ago: null})
    const [leg] = facts.ports.filter(port => port.description)
    const ports = [
      ...facts.ports,
      {...leg, id: 'other', device_owner: 'compute:nova'},
      {...leg, id: 'word', description: 'rack 5 of acme'},
    ]
    const gathered = await gather(neutron({}, {...facts, ports} as Facts).network, {at: 7})
    expect(gathered.at).toBe(7)
    const said = (all: Facts['ports']) => all.flatMap(port => port.description || [])
    expect(said(gathered.ports)).toEqual([leg?.description])
    const recording = {...gathered, ports: ports as Facts['ports'], servers: [], router_agents: {}}
    expect(said(mask(recording).ports)).toHaveLength(2)
    expect(said(parseRecording(recordingText(mask(recording)), 'x').ports)).toEqual([leg?.description])
  })

  it('are of now when the cloud itself is asked', async () => {
    const before = Date.now()
    const {at} = await gather(neutron().network)
    expect(at).toBeGreaterThanOrEqual(before)
    expect(at).toBeLessThanOrEqual(Date.now())
  })
})

describe('listings that change between two calls', () => {
  it('leave out the ports of a router that is gone, and say so', async () => {
    const {network} = neutron({}, {...recorded, routers: recorded.routers.filter(r => r.id !== LEGACY)})
    const {rows, notes} = status(await gather(network))
    expect(rows.map(r => r.router)).not.toContain('t1-legacy')
    expect(notes.join()).toMatch(/3 router ports left out/)
  })

  it('flag a router whose gateway port is gone', async () => {
    const ports = recorded.ports.filter(p => p.device_owner !== 'network:router_gateway')
    const {rows} = status(await gather(neutron({}, {...recorded, ports}).network))
    expect(rows.find(r => r.id === LEGACY)?.flags).toEqual(['no-gateway-port'])
  })
})

describe('the commands’ readers', () => {
  it('name the routers that are wanted by name, UUID or the start of one', async () => {
    const read = (word: string) => readStatus(neutron().cloud, [word], {})
    for (const word of ['t2-dvr', DVR, DVR.slice(0, 8)]) {
      expect((await read(word)).answer.rows.map(r => r.id)).toEqual([DVR])
    }
    await expect(read('nope')).rejects.toMatchObject({code: 'NOT_FOUND'})
    await expect(read('')).rejects.toMatchObject({code: 'USAGE'})
  })

  it('say AMBIGUOUS, with the candidates', async () => {
    const twins = {...recorded, routers: recorded.routers.map(r => ({...r, name: 'same'}))}
    const {cloud} = neutron({}, twins)
    await expect(readStatus(cloud, ['same'], {})).rejects.toMatchObject({
      code: 'AMBIGUOUS',
      message: expect.stringContaining(LEGACY),
    })
  })

  it('ask for HA states only for an HA router, and go on without them', async () => {
    const plain = neutron()
    await readDetail(plain.cloud, 't1-legacy')
    expect(plain.calls).not.toContain('routerAgents')
    const ha = {...recorded, routers: recorded.routers.map(r => (r.id === LEGACY ? {...r, ha: true} : r))}
    const asked = neutron({routerAgents: 'forbidden'}, ha)
    const {answer} = await readDetail(asked.cloud, 't1-legacy')
    expect(asked.calls).toContain('routerAgents')
    expect(answer.router.mode).toBe('central-ha')
  })

  it('find a VM by name, through Nova', async () => {
    const {answer, partial} = await readTrace(neutron().cloud, 'web')
    expect([answer.vm_id, answer.vm, partial]).toEqual([VM_FIP, 'web', false])
    await expect(readTrace(neutron().cloud, 'nobody')).rejects.toMatchObject({code: 'NOT_FOUND'})
  })

  it('tell a partial answer', async () => {
    expect((await readStatus(neutron({floatingIps: 'server'}).cloud, [], {})).partial).toBe(true)
    expect((await readStatus(neutron({floatingIps: 'forbidden'}).cloud, [], {})).partial).toBe(false)
  })
})
