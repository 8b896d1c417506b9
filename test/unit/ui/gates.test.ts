import {PassThrough} from 'node:stream'
import {text} from 'node:stream/consumers'

import {expect, it} from '@jest/globals'

import type {Gate, GatePlan} from '../../../src/protocol/index.ts'
import {gateColumns, gateDetails, planColumns} from '../../../src/ui/gates.ts'
import {renderOne} from '../../../src/ui/output.ts'

const named = (name: string) => ({id: name, name})
const plan: GatePlan = {
  ...{image: named('debian\u001b[2J'), flavor: named('small'), network: named('net'), count: 2},
  address: {kind: 'floating', network: named('public')},
  quota: [
    {resource: 'instances', needs: 2, used: 3, limit: 10},
    {resource: 'ram', needs: 2048, used: 0, limit: -1},
  ],
}
const gate: Gate = {
  ...{
    id: '3f2a7c1e-0000-4000-8000-000000000001',
    name: 'gate1',
    server_id: 's',
    project_id: 'infra',
    port: 22,
  },
  ...{
    scope: 'shared',
    host: '192.0.2.1',
    state: 'failed',
    reason: 'Nova says: \u202eno',
    attachments: 0,
    paths: 0,
  },
  ...{deployed: true, created_at: '2026-11-25T00:00:00.000Z', plan},
}
async function shown<T>(
  row: T,
  columns: Parameters<typeof renderOne<T>>[1],
  format = 'json',
): Promise<string> {
  const stream = new PassThrough()
  await renderOne(row, columns, {format} as never, stream)
  stream.end()
  return text(stream)
}

it('a plan is told in words, what is not limited without its limit', async () => {
  expect(JSON.parse(await shown(plan, planColumns))).toEqual({
    ...{image: plan.image.name, flavor: 'small', volume: null, network: 'net', zone: null, count: 2},
    ...{address: 'floating of public', quota: ['2 instances (3 of 10 used)', '2048 ram']},
  })
  const other = {...plan, volume: 4, zone: 'az1', address: {kind: 'direct'}} as GatePlan
  expect(JSON.parse(await shown(other, planColumns))).toMatchObject({
    ...{volume: '4 GB', zone: 'az1', address: 'direct'},
  })
})

it('what the cloud calls things is harmless on a terminal', async () => {
  const table = await shown(plan, planColumns, 'table')
  expect(table).not.toContain('\u001b')
  expect(table).toContain('debian\\u001b[2J')
  expect(await shown(gate, gateColumns, 'table')).toContain('Nova says: \\u202eno')
})

it('a gate is shown with what it is made of, one that was registered without', async () => {
  expect(JSON.parse(await shown(gate, gateDetails))).toMatchObject({
    ...{name: 'gate1', state: 'failed', serves: null, flavor: 'small', address: 'floating of public'},
  })
  const {plan: _, ...registered} = gate
  expect(JSON.parse(await shown(registered as Gate, gateDetails))).toMatchObject({
    flavor: null,
    address: null,
  })
})
