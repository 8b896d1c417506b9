import {afterAll, afterEach, beforeAll, expect, it, jest} from '@jest/globals'

import {LabFaults} from '../../support/lab-faults.ts'
import {eventually} from '../../support/run.ts'
import {World} from '../../support/world.ts'

/* Faults that only the lab can put into a cloud's API, during a grant: a clear answer, and nothing left behind. */

jest.setTimeout(180_000)

let world: World
let lab: LabFaults
beforeAll(async () => {
  world = await World.open('e2e-lab-faults', {flags: ['--grace', '1']})
  lab = new LabFaults(world)
})
afterAll(() => world?.close())
afterEach(() => lab.clear())

const ask = () => world.refusal('tenant1', world.server('t1-db'))
const portsLeft = async () =>
  (await (await world.cloud('admin')).network.ports()).filter(port => port.name.startsWith('os-ssh-')).length

async function giveBack(): Promise<void> {
  await world.endPaths('tenant1')
  await eventually(portsLeft, count => count === 0)
}

it.each([
  [
    'the quota of ports is used up',
    'QUOTA',
    {
      match: 'POST /network/v2.0/ports',
      status: 409,
      times: 1,
      body: {
        NeutronError: {type: 'OverQuota', message: "Quota exceeded for resources: ['port'].", detail: ''},
      },
    },
  ],
  [
    'Neutron refuses the port',
    'CLOUD_REFUSED',
    {
      match: 'POST /network/v2.0/ports',
      status: 403,
      times: 2, // it is asked again with a new token
      body: {NeutronError: {type: 'PolicyNotAuthorized', message: 'disallowed by policy', detail: ''}},
    },
  ],
  [
    'Nova breaks while attaching',
    'CLOUD_DOWN',
    {match: 'POST /compute/v2.1/servers/*/os-interface', status: 500, times: 1},
  ],
])('%s', async (_, code, wanted) => {
  await giveBack()
  await lab.put(wanted)
  const problem = await ask()
  expect(problem).toMatchObject({code, detail: expect.stringContaining('could not be plugged')})
  expect(await eventually(portsLeft, count => count === 0)).toBe(0)
  expect((await world.grant('tenant1', 't1-db')).state).toBe('active')
})

it('the answer to the port’s creation is lost', async () => {
  await giveBack()
  await lab.put({match: 'POST /network/v2.0/ports', effect: 'after', times: 1})
  await ask()
  expect(await eventually(portsLeft, count => count <= 1)).toBeLessThanOrEqual(1)
  const {id} = await world.grant('tenant1', 't1-db')
  await world.api('tenant1', 'DELETE', `/v1/paths/${id}`, undefined, 204)
  expect(await eventually(portsLeft, count => count === 0)).toBe(0)
})

it('an interface that Nova calls attached and that never appears', async () => {
  await giveBack()
  await lab.put({match: 'POST /compute/v2.1/servers/*/os-interface', effect: 'no-nic', times: 1})
  expect(await ask()).toMatchObject({code: 'NIC_MISSING'})
  expect(await eventually(portsLeft, count => count === 0)).toBe(0)
  expect((await world.grant('tenant1', 't1-db')).state).toBe('active')
})

it('tokens that have expired, the service’s own too', async () => {
  const old = (await (await world.cloud('tenant1')).identity.token()).id
  await lab.expire()
  const answer = await fetch(`${world.site.ssh_endpoint}/v1/paths`, {headers: {'x-auth-token': old}})
  expect(answer.status).toBe(401)
  await giveBack()
  expect((await world.grant('tenant1', 't1-db')).state).toBe('active')
})
