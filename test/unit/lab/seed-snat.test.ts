import {expect, it} from '@jest/globals'

import {seed} from '../../../src/lab/seed/snat.ts'
import {emptyCloud} from '../../../src/lab/state.ts'
import {type Facts, NO_FACTS} from '../../../src/snat/facts.ts'
import {MODES} from '../../../src/snat/modes.ts'
import {show} from '../../../src/snat/show.ts'
import {status} from '../../../src/snat/status.ts'

it('the lab’s paper routers show every mode that an admin can see, and every flag', async () => {
  const cloud = emptyCloud('paper')
  await seed(cloud)
  const facts: Facts = {
    ...NO_FACTS,
    routers: [...cloud.routers.values()] as unknown as Facts['routers'],
    ports: [...cloud.ports.values()],
    agents: [...cloud.agents.values()],
    floatingIps: [...cloud.floatingips.values()] as unknown as Facts['floatingIps'],
    networks: [...cloud.networks.values()],
    subnets: [...cloud.subnets.values()],
    subnetPools: [...cloud.subnetpools.values()],
  }
  const {rows} = status(facts)
  expect(new Set(rows.map(row => row.mode))).toEqual(new Set(MODES.filter(mode => mode !== 'unknown')))
  const flags = rows.flatMap(row => row.flags)
  expect(flags).toEqual(expect.arrayContaining(['stale', 'unbound', 'single-replica']))
  const split = rows.find(row => row.router === 'paper-ha-split')?.id ?? ''
  const agents = (cloud.router_agents.get(split) ?? []).map(({agent_id, ha_state}) => ({
    ...cloud.agents.get(agent_id),
    ha_state,
  }))
  expect(show(facts, split, {agents: agents as never}).router.flags).toEqual(['two-actives'])
  const ways = Object.fromEntries(
    rows.map(row => [row.router, [row.vms_central, row.vms_bypass, row.vms_unknown]]),
  )
  expect(ways).toMatchObject({
    'paper-dvr': [2, 1, 0],
    'paper-dvr-central-fip': [1, 0, 0],
    'paper-local-gateway': [1, 1, 0],
    'paper-ovn-fip': [0, 1, 0],
    'paper-legacy': [2, 0, 0],
  })
})
