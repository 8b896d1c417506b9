import {describe, expect, it} from '@jest/globals'

import {HOP_TABLE, traceSummary} from '../../../src/snat/parts.ts'
import {trace} from '../../../src/snat/trace.ts'
import {traceSvg} from '../../../src/snat/trace-svg.ts'
import {render} from '../../../src/ui/output.ts'
import {expectGolden} from '../../support/golden.ts'
import {factsOf, PUBLIC, printed, VM_CENTRAL, VM_FIP, VM_LEGACY, withLegs} from '../../support/snat.ts'

const ovs = factsOf('zed-ovs')
const OVN_VM = '45a09755-2909-4bed-8bdb-bb20c8cd43b1'

describe('the way out', () => {
  it.each([
    ['dvr-central', ovs, VM_CENTRAL],
    ['dvr-fip', ovs, VM_FIP],
    ['legacy', ovs, VM_LEGACY],
    ['ovn', factsOf('zed-ovn'), OVN_VM],
    ['member', factsOf('zed-ovs-member'), VM_LEGACY],
    ['local', withLegs(ovs, {host: 'compute1'}), VM_CENTRAL],
    ['local-shared', withLegs(ovs, {host: 'compute1', of: PUBLIC, said: {sharing: 'per-node'}}), VM_CENTRAL],
    ['local-silent', withLegs(ovs, {host: 'compute1', ago: 420}), VM_CENTRAL],
  ] as const)('%s, as text and as a picture', async (name, facts, vm) => {
    const answer = trace(facts, vm, {name: 'web1'})
    const hops = await printed(screen => render(answer.hops, HOP_TABLE, {format: 'table'}, {screen}))
    const notes = answer.notes.filter(note => note.includes('local gateway')).map(note => `note: ${note}\n`)
    expectGolden(`snat/trace-${name}.txt`, `${traceSummary(answer).join('\n')}\n${hops}${notes.join('')}`)
    expectGolden(`snat/trace-${name}.svg`, traceSvg(answer))
  })

  it('crosses no host when the VM is on the gateway host', () => {
    const ports = ovs.ports.map(p => (p.device_id === VM_LEGACY ? {...p, 'binding:host_id': 'network1'} : p))
    expect(trace({...ovs, ports}, VM_LEGACY).inter_host_hops).toBe(0)
  })
})

describe('destinations', () => {
  it('a subnet of the same router is never translated', () => {
    const answer = trace(ovs, VM_CENTRAL, {to: '10.0.2.7'})
    expect([answer.kind, answer.source_ip]).toEqual(['inside', '10.0.1.101'])
    expect(answer.why).toContain('t2-b')
  })

  it('an extra route to a host inside wins over the gateway', () => {
    const routers = ovs.routers.map(r => ({
      ...r,
      routes: [{destination: '192.0.2.0/24', nexthop: '10.0.1.200'}],
    }))
    expect(trace({...ovs, routers}, VM_CENTRAL, {to: '192.0.2.9'}).kind).toBe('inside')
    expect(trace({...ovs, routers}, VM_CENTRAL, {to: '198.51.100.9'}).kind).toBe('snat')
  })

  it.each(['nonsense', '', '300.1.1.1', '10.0.0.0/8', '12'])('"%s" is a wrong command line', to => {
    expect(() => trace(ovs, VM_CENTRAL, {to})).toThrow(
      expect.objectContaining({code: 'USAGE'}) as unknown as Error,
    )
  })
})

describe('VMs', () => {
  it('are found by floating and by fixed address', () => {
    expect(trace(ovs, '172.24.4.172').vm_id).toBe(VM_FIP)
    expect(trace(ovs, '10.0.2.80').vm_id).toBe(VM_LEGACY)
  })

  it('of overlapping tenants are ambiguous by address', () => {
    const ports = ovs.ports.map(p =>
      p.device_id === VM_LEGACY ? {...p, fixed_ips: [{subnet_id: 'x', ip_address: '10.0.1.101'}]} : p,
    )
    expect(() => trace({...ovs, ports}, '10.0.1.101')).toThrow(
      expect.objectContaining({code: 'AMBIGUOUS'}) as unknown as Error,
    )
  })

  it('on a network without router have no way out, and that is no error', () => {
    const ports = ovs.ports.map(p =>
      p.device_id === VM_LEGACY ? {...p, fixed_ips: [{subnet_id: 'x', ip_address: '10.9.9.9'}]} : p,
    )
    const answer = trace({...ovs, ports}, VM_LEGACY)
    expect([answer.kind, answer.router_id, answer.hops]).toEqual(['none', null, []])
    expect(traceSvg(answer)).toContain('no router')
  })
})
