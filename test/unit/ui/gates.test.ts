import {PassThrough} from 'node:stream'
import {text} from 'node:stream/consumers'

import {expect, it} from '@jest/globals'
import {parse} from 'yaml'

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

const other = {...plan, volume: 4, zone: 'az1', address: {kind: 'direct'}} as GatePlan

it('a plan is data for programs', async () => {
  const {image, flavor, network, address, quota, count} = plan
  const data = {image, flavor, volume: null, network, address, zone: null, count, quota}
  expect(JSON.parse(await shown(plan, planColumns))).toEqual(data)
  expect(parse(await shown(plan, planColumns, 'yaml'))).toEqual(data)
  expect(JSON.parse(await shown(other, planColumns))).toMatchObject({
    ...{volume: 4, zone: 'az1', address: {kind: 'direct'}},
  })
})

it('a plan is told in words to people, what is not limited without its limit', async () => {
  const table = await shown(plan, planColumns, 'table')
  expect(table).toMatch(/flavor +\| small +\|/)
  expect(table).toMatch(/address +\| floating of public +\|/)
  expect(table).toMatch(/quota +\| 2 instances \(3 of 10 used\), 2048 ram +\|/)
  expect(table).toMatch(/volume +\| +\|/)
  const others = await shown(other, planColumns, 'table')
  expect(others).toMatch(/volume +\| 4 GB +\|/)
  expect(others).toMatch(/address +\| direct +\|/)
})

it('what the cloud calls things is harmless on a terminal', async () => {
  const table = await shown(plan, planColumns, 'table')
  expect(table).not.toContain('\u001b')
  expect(table).toContain('debian\\u001b[2J')
  expect(await shown(gate, gateColumns, 'table')).toContain('Nova says: \\u202eno')
})

it('a gate is shown with what it is made of, one that was registered without', async () => {
  expect(JSON.parse(await shown(gate, gateDetails))).toMatchObject({
    ...{name: 'gate1', state: 'failed', serves: null, flavor: named('small'), address: plan.address},
  })
  const {plan: _, ...registered} = gate
  expect(JSON.parse(await shown(registered as Gate, gateDetails))).toMatchObject({
    flavor: null,
    address: null,
  })
  expect(await shown(gate, gateDetails, 'table')).toMatch(/address +\| floating of public +\|/)
  expect(await shown(registered as Gate, gateDetails, 'table')).toMatch(/address +\| +\|/)
})
