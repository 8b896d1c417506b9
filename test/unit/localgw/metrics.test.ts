import {expect, it} from '@jest/globals'

import {Leg} from '../../../src/localgw/agent/leg.ts'
import {count, metricsText} from '../../../src/localgw/agent/metrics.ts'
import type {Visitor} from '../../../src/localgw/agent/visitor.ts'
import {namespaceOf} from '../../../src/localgw/names.ts'
import {EXTERNAL, idOf, memberWith, outside} from '../../support/localgw.ts'

const port = {
  id: idOf('leg', 0),
  mac: 'fa:16:3e:00:00:01',
  address: outside(0, 50),
  prefix: 24,
  gateway: outside(0),
}
const leg = (n: number, has = true) => {
  const made = new Leg(idOf('router', n), EXTERNAL[0])
  made.want(
    {id: made.id, network: EXTERNAL[0], port: has ? port : undefined, members: [memberWith(n)]},
    () => 0,
  )
  made.told.set(made.id, 'its rules')
  return made
}

it('routers by state, addresses, flows, fallbacks, and what the guard has caught', () => {
  const [local, fallen, none] = [leg(0), leg(1), leg(2, false)]
  local.heard(true)
  for (const answer of [true, false, true, true, true, false]) fallen.heard(answer)
  const counts = [
    {id: local.id, flows: 40, leaked: 0},
    {id: fallen.id, flows: 2, leaked: 3},
  ]
  expect(metricsText([local, fallen, none], counts, 1_795_938_000_500)).toBe(`\
# HELP os_ssh_lsnat_routers Routers of this node that could leave locally, by what they are in.
# TYPE os_ssh_lsnat_routers gauge
os_ssh_lsnat_routers{state="local"} 1
os_ssh_lsnat_routers{state="probing"} 0
os_ssh_lsnat_routers{state="fallback"} 1
os_ssh_lsnat_routers{state="draining"} 0
os_ssh_lsnat_routers{state="waiting"} 0
os_ssh_lsnat_routers{state="no-address"} 1
# HELP os_ssh_lsnat_addresses External addresses taken.
# TYPE os_ssh_lsnat_addresses gauge
os_ssh_lsnat_addresses 2
# HELP os_ssh_lsnat_flows Connections that leave locally.
# TYPE os_ssh_lsnat_flows gauge
os_ssh_lsnat_flows 42
# HELP os_ssh_lsnat_fallbacks_total Times that a leg’s gateway fell silent.
# TYPE os_ssh_lsnat_fallbacks_total counter
os_ssh_lsnat_fallbacks_total 2
# HELP os_ssh_lsnat_leaks_caught_total Packets dropped that were not translated.
# TYPE os_ssh_lsnat_leaks_caught_total counter
os_ssh_lsnat_leaks_caught_total 3
# HELP os_ssh_lsnat_at_seconds When this was written.
# TYPE os_ssh_lsnat_at_seconds gauge
os_ssh_lsnat_at_seconds 1795938000
`)
})

it('is counted in each leg’s namespace, and one that is gone counts nothing', async () => {
  const asked: unknown[] = []
  const visitor = {
    visit: async (errands: unknown[]) => {
      asked.push(...errands)
      return [
        {devices: ['lo'], flows: 7, output: 'counter leaked {\n\t\tpackets 12 bytes 720\n\t}'},
        {error: 'no such'},
      ]
    },
  } as unknown as Visitor
  const [one, other] = [leg(0), leg(1)]
  expect(await count(visitor, [one, other])).toEqual([
    {id: one.id, flows: 7, leaked: 12},
    {id: other.id, flows: 0, leaked: 0},
  ])
  expect(asked).toEqual([one, other].map(({id}) => [namespaceOf(id), 'list counter ip os-ssh-lsnat leaked']))
})
