import {expect, test} from '@jest/globals'

import {removeGate} from '../../../src/access/gates.ts'
import type {Session} from '../../../src/access/session.ts'
import type {Gate} from '../../../src/protocol/index.ts'

const id = '3f2a7c1e-0000-4000-8000-000000000001'
const gates = [
  {id, name: 'gate1', paths: 3, attachments: 2},
  {id: id.replace('3f', '4f'), name: 'gate11', paths: 0, attachments: 0},
] as Gate[]

function fake(there = gates) {
  const requests: string[] = []
  const request = async (method: string, path: string) => {
    requests.push(`${method} ${path}`)
    if (method === 'DELETE') there = there.filter(gate => !path.endsWith(gate.id))
    return {gates: there}
  }
  return {requests, session: {service: async () => ({endpoint: 'fake', request})} as unknown as Session}
}

test('a gate is removed by its whole name or UUID, and only by somebody who is sure', async () => {
  const {requests, session} = fake()
  await expect(removeGate(session, 'gate1', {sure: false})).rejects.toMatchObject({
    code: 'USAGE',
    message: 'this cuts 3 paths through gate1 and takes its 2 networks away',
    suggestions: [`if that is meant: os-ssh gate remove ${id} --yes`],
  })
  for (const slip of ['gate', id.slice(0, 8), '3f2a'])
    await expect(removeGate(session, slip, {sure: true})).rejects.toMatchObject({code: 'NOT_FOUND'})
  expect(requests.filter(one => one.startsWith('DELETE'))).toEqual([])
  expect(await removeGate(session, id, {sure: true})).toMatchObject({name: 'gate1'})
  expect(requests.filter(one => one.startsWith('DELETE'))).toEqual([`DELETE /v1/gates/${id}`])
})

test('one that the service has made is not taken out like this: its machine would stay', async () => {
  const {requests, session} = fake([{...gates[0], deployed: true} as Gate])
  await expect(removeGate(session, 'gate1', {sure: true})).rejects.toMatchObject({
    code: 'USAGE',
    message: 'gate1 was made by the service',
    suggestions: [`os-ssh gate delete ${id} deletes it, with all that it is made of`],
  })
  expect(requests).toEqual(['GET /v1/gates'])
})
