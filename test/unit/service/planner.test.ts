import {describe, expect, it} from '@jest/globals'
import fc from 'fast-check'

import type {Candidate, Nic} from '../../../src/service/planner/facts.ts'
import {type GateChoice, planDirect, planNew, planReuse} from '../../../src/service/planner/plan.ts'

const t1 = {project_id: 't1'}
const limits = {attachments: 2, paths: 10}
const nic = (network_id: string, address = '10.0.0.10'): Nic => ({network_id, address, groups: []})
const gate = (change: Partial<GateChoice> = {}): GateChoice => ({
  id: 'g1',
  project_id: 'infra',
  scope: 'shared',
  state: 'ready',
  paths: 0,
  held: new Map(),
  attachments: [],
  ...change,
})
const attachment = (network_id: string, ...beyond: string[]) => ({
  id: `on-${network_id}`,
  network_id,
  project_id: 't1',
  removing: false,
  idle_since: null,
  reach: [network_id, ...beyond].map((id, n) => ({
    network_id: id,
    cidr: n === 0 ? '10.0.0.0/24' : `10.0.${n}.0/24`,
    via: n === 0 ? null : '10.0.0.1',
  })),
})
const candidate = (network_id: string, vms: number): Candidate => ({
  network_id,
  project_id: 't1',
  mtu: 1450,
  vms,
  reach: [{network_id, cidr: '10.0.0.0/24', via: null}],
})

describe('planReuse', () => {
  it('reuses an attachment on the VM’s own network', () => {
    const plan = planReuse([nic('a')], [gate({attachments: [attachment('a')]})], t1, limits)
    expect(plan).toMatchObject({route: 'attached', attachment: {reuse: 'on-a'}})
  })

  it('goes through a router that an attachment reaches', () => {
    const plan = planReuse([nic('b', '10.0.1.10')], [gate({attachments: [attachment('a', 'b')]})], t1, limits)
    expect(plan).toMatchObject({route: 'routed', attachment: {reuse: 'on-a'}})
  })

  it('prefers no router hop, on whichever interface of the VM', () => {
    const plan = planReuse(
      [nic('b', '10.0.1.10'), nic('c')],
      [gate({attachments: [attachment('a', 'b'), attachment('c')]})],
      t1,
      limits,
    )
    expect(plan).toMatchObject({route: 'attached', nic: {network_id: 'c'}})
  })

  it('does not go through another project’s router, whoever asked first', () => {
    const theirs = [gate({attachments: [{...attachment('a', 'b'), project_id: 't2'}]})]
    expect(planReuse([nic('b', '10.0.1.10')], theirs, t1, limits)).toBeUndefined()
    expect(planReuse([nic('a')], theirs, t1, limits)).toMatchObject({route: 'attached'})
  })

  it('does not use an attachment for an address that it does not reach', () => {
    const there = [gate({attachments: [attachment('a')]})]
    expect(planReuse([nic('a', '10.9.0.10')], there, t1, limits)).toBeUndefined()
  })

  it('lets no project above its share', () => {
    const held = gate({paths: 5, held: new Map([['t1', 5]]), attachments: [attachment('a')]})
    expect(() => planReuse([nic('a')], [held], {project_id: 't1', share: 5}, limits)).toThrow(
      expect.objectContaining({code: 'RATE_LIMITED', retryAfter: 30}),
    )
    expect(planReuse([nic('a')], [held], {project_id: 't2', share: 5}, limits)).toBeTruthy()
  })

  it('does not use what is being removed', () => {
    const leaving = {...attachment('a'), removing: true}
    expect(planReuse([nic('a')], [gate({attachments: [leaving]})], t1, limits)).toBeUndefined()
  })

  it('never uses a project gate of another project', () => {
    const foreign = gate({scope: 'project', project_id: 't2', attachments: [attachment('a')]})
    expect(() => planReuse([nic('a')], [foreign], t1, limits)).toThrow('no gate serves')
  })

  it('does not take the row’s word for it that another network is on the link', () => {
    const [reach] = attachment('b').reach
    const odd = gate({attachments: [{...attachment('a'), reach: reach ? [reach] : []}]})
    expect(planReuse([nic('b')], [odd], t1, limits)).toBeUndefined()
  })

  it.each([
    ['NO_GATE', 'no gate serves the project of this VM', []],
    ['GATE_DOWN', 'the gate of this project does not answer', [gate({state: 'down'})]],
    ['GATE_FULL', 'every gate of this project has its full number of paths', [gate({paths: 10})]],
  ] as const)('says %s: %s', (code, message, gates) => {
    expect(() => planReuse([nic('a')], gates, t1, limits)).toThrow(expect.objectContaining({code, message}))
  })
})

describe('planNew', () => {
  it('plugs into the network that serves most VMs', () => {
    const plan = planNew(nic('a'), [candidate('a', 1), candidate('b', 3)], [gate()], t1, limits)
    expect(plan).toMatchObject({route: 'routed', attachment: {create: {network_id: 'b'}}})
  })

  it('plugs into the VM’s own among equals', () => {
    const plan = planNew(nic('b'), [candidate('a', 1), candidate('b', 1)], [gate()], t1, limits)
    expect(plan).toMatchObject({route: 'attached', attachment: {create: {network_id: 'b'}}})
  })

  it('widens what an attachment reaches by a subnet that is new', () => {
    const there = gate({attachments: [attachment('a', 'b')]})
    const [known] = candidate('a', 1).reach
    const second = {network_id: 'a', cidr: '10.9.0.0/24', via: null}
    const option = {...candidate('a', 1), reach: [...(known ? [known] : []), second]}
    const plan = (project_id: string) =>
      planNew(nic('a', '10.9.0.10'), [option], [there], {project_id}, limits)
    const [, beyond] = there.attachments[0]?.reach ?? []
    for (const asker of ['t1', 't2'])
      expect(plan(asker).attachment).toEqual({
        reuse: 'on-a',
        reach: {was: [known, beyond], now: [known, second, beyond]},
      })
  })

  it('takes the same one of equals, in whatever order they come', () => {
    const options = [candidate('b', 1), candidate('c', 1)]
    for (const order of [options, options.toReversed()])
      expect(planNew(nic('a'), order, [gate()], t1, limits)).toMatchObject({
        attachment: {create: {network_id: 'b'}},
      })
  })

  it.each([
    ['the network’s own project has', 't1', true],
    ['another project has, which may see routers of its own there,', 't2', false],
  ])('an attachment leads where a router of %s leads', (_, project_id, is) => {
    const there = gate({attachments: [attachment('a')]})
    const way = {network_id: 'b', cidr: '10.0.1.0/24', via: '10.0.0.1'}
    const option = {...candidate('a', 1), reach: [...candidate('a', 1).reach, way]}
    const plan = () => planNew(nic('b', '10.0.1.10'), [option], [there], {project_id}, limits)
    if (is)
      expect(plan()).toMatchObject({route: 'routed', attachment: {reuse: 'on-a', reach: {now: option.reach}}})
    else expect(plan).toThrow(expect.objectContaining({code: 'BUSY'}))
  })

  it('takes no network that the gate is letting go of: another one, or none for the moment', () => {
    const there = [gate({attachments: [{...attachment('a'), removing: true}]})]
    expect(() => planNew(nic('a'), [candidate('a', 1)], there, t1, limits)).toThrow(
      expect.objectContaining({
        code: 'BUSY',
        message: 'the gate is just letting go of this network',
        suggestions: ['try again in a few seconds'],
      }),
    )
    const other = planNew(nic('a'), [candidate('a', 2), candidate('b', 1)], there, t1, limits)
    expect(other).toMatchObject({route: 'routed', attachment: {create: {network_id: 'b'}}})
  })

  it('says that all gates have their interfaces in use, whatever the project’s share is', () => {
    const full = gate({attachments: [attachment('x'), attachment('y')]})
    for (const asker of [t1, {...t1, networks: 9}, {...t1, networks: 1}])
      expect(() => planNew(nic('a'), [candidate('a', 1)], [full], asker, limits)).toThrow(
        expect.objectContaining({
          code: 'GATE_FULL',
          message: 'every gate of this project has all its interfaces in use',
        }),
      )
  })

  describe('of a gate’s interfaces a project has its share,', () => {
    const theirs = {...attachment('y'), project_id: 't2'}
    const used = gate({attachments: [attachment('x'), theirs]})
    const room = {...limits, attachments: 4}
    const plan = (networks: number, gates = [used]) =>
      planNew(nic('a'), [candidate('a', 1)], gates, {...t1, networks}, room)

    it('counted by its own networks', () => {
      expect(plan(2)).toMatchObject({gate_id: 'g1', attachment: {create: {network_id: 'a'}}})
    })

    it('and no more', () => {
      expect(() => plan(1)).toThrow(
        expect.objectContaining({
          code: 'RATE_LIMITED',
          message: 'this project has its share of the gate’s networks, and others wait',
          retryAfter: 30,
        }),
      )
    })

    it('but on another gate', () => {
      expect(plan(1, [used, gate({id: 'g2', paths: 5, attachments: [theirs]})])).toMatchObject({
        gate_id: 'g2',
      })
    })
  })
})

describe('a VM on an external network', () => {
  it('is reached by the gate’s own way out, by the rules of every other', () => {
    const plan = planDirect(nic('ext'), [gate({})], t1, limits)
    expect(plan).toMatchObject({route: 'direct', attachment: {direct: true}})
    const code = (some: GateChoice[]) => () => planDirect(nic('ext'), some, t1, limits)
    expect(code([])).toThrow(expect.objectContaining({code: 'NO_GATE'}))
    expect(code([gate({state: 'down'})])).toThrow(expect.objectContaining({code: 'GATE_DOWN'}))
    expect(code([gate({paths: limits.paths})])).toThrow(expect.objectContaining({code: 'GATE_FULL'}))
  })
})

describe('any cloud', () => {
  const network = fc.constantFrom('a', 'b', 'c', 'd')
  const project = fc.constantFrom('t1', 't2', 'infra')
  const gates = fc.array(
    fc.record({
      id: fc.uuid(),
      project_id: project,
      scope: fc.constantFrom('project' as const, 'shared' as const),
      state: fc.constantFrom('new' as const, 'ready' as const, 'down' as const),
      paths: fc.nat(12),
      held: fc.constant(new Map<string, number>()),
      attachments: fc.uniqueArray(network, {maxLength: 3}).map(ids => ids.map(id => attachment(id))),
    }),
    {maxLength: 4},
  )

  it('gives a gate that may, can and lives, or a reason', () => {
    fc.assert(
      fc.property(
        gates,
        project,
        fc.uniqueArray(network, {minLength: 1, maxLength: 2}),
        (choices, owner, networks) => {
          const nics = networks.map(id => nic(id))
          try {
            const plan =
              planReuse(nics, choices, {project_id: owner}, limits) ??
              planNew(
                nics[0] as Nic,
                networks.map(id => candidate(id, 1)),
                choices,
                {project_id: owner},
                limits,
              )
            const chosen = choices.find(choice => choice.id === plan.gate_id)
            expect(chosen && (chosen.scope === 'shared' || chosen.project_id === owner)).toBe(true)
            expect(chosen?.state).not.toBe('down')
            expect(chosen?.paths).toBeLessThan(limits.paths)
          } catch (error) {
            expect(error).toHaveProperty(
              'code',
              expect.stringMatching(/^(NO_GATE|GATE_DOWN|GATE_FULL|BUSY)$/),
            )
          }
        },
      ),
    )
  })
})
