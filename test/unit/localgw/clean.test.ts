import {beforeEach, expect, it, jest} from '@jest/globals'

import type {Plugged, Seen} from '../../../src/localgw/agent/node.ts'
import {localRefresh} from '../../../src/localgw/render.ts'
import {idOf} from '../../support/localgw.ts'

/* The order in which a node is cleaned: every step before its time would let packets out untranslated. */

const told: string[] = []
let seen: Seen
let plugs: Plugged[]
/** Local connections, each time that they are counted. */
let flows: number[]
const short = (id: string) => id.slice(0, 8)
jest.unstable_mockModule('../../../src/localgw/agent/visitor.ts', () => ({
  Visitor: class {
    async visit(errands: [string, string][]) {
      for (const [namespace, text] of errands)
        told.push(`${namespace.slice(0, 16)} ${text === localRefresh({locals: []}) ? 'has none' : text}`)
      return []
    }
    close() {
      told.push('closed')
    }
  },
}))
jest.unstable_mockModule('../../../src/localgw/agent/node.ts', () => ({
  look: async () => seen,
  plugged: async () => plugs,
  localFlows: async () => flows.shift() ?? 0,
  dropLink: async (router: string) => void told.push(`no link of ${short(router)}`),
  dropLeg: async (id: string) => void told.push(`no leg ${short(id)}`),
  dropRules: async (_: unknown, router: string) => void told.push(`no rules of ${short(router)}`),
}))
/** Time passes only here. */
let now = 0
jest.spyOn(Date, 'now').mockImplementation(() => now)
jest.unstable_mockModule('node:timers/promises', () => ({
  setTimeout: async (ms: number) => {
    now += ms
    told.push(`waited ${ms / 1000} s`)
  },
}))
const {clean} = await import('../../../src/localgw/agent/clean.ts')

const [R0, R1, LEG] = [idOf('router', 0), idOf('router', 1), idOf('leg', 0)]
const asked: unknown[] = []
const network = {
  ports: async (filter: unknown) => {
    asked.push(filter)
    return [{id: idOf('port', 0), fixed_ips: [{ip_address: '172.24.4.50'}]}]
  },
  deletePort: async (id: string) => void told.push(`no port ${short(id)}`),
} as never

beforeEach(() => {
  told.length = 0
  asked.length = 0
  plugs = []
  flows = []
  const ours = {devices: ['qr-1', `lq-${R0.slice(0, 11)}`], hasTable: true}
  seen = {
    routers: new Map([
      [R0, ours],
      [R1, {devices: ['qr-1'], hasTable: false}],
    ]),
    legs: new Map([[LEG, {devices: ['lo'], hasTable: true}]]),
    strays: [],
  }
})

it('nobody is local first, the rules go after links and legs, and the address last; other routers are not touched', async () => {
  const said: string[] = []
  await clean(network, 'compute1', 0, line => said.push(line))
  expect(told).toEqual([
    ...[`qrouter-${short(R0)} has none`, `no link of ${short(R0)}`, `no leg ${short(LEG)}`],
    ...[`no rules of ${short(R0)}`, `no port ${short(idOf('port', 0))}`, 'closed'],
  ])
  expect(asked).toEqual([{device_owner: 'network:local_snat', 'binding:host_id': 'compute1'}])
  expect(said).toEqual([
    'new connections are central, behind 1 router',
    `removed local gateway ${LEG}`,
    'gave back 172.24.4.50',
  ])
})

it('what is connected may end by itself, and what does not is told to before the rules go', async () => {
  flows = [2, 1, 1, 1, 1]
  const said: string[] = []
  await clean(network, 'compute1', 2, line => said.push(line))
  expect(said).toContain('still local, and ended now: 1 connection')
  const rest = told.filter(line => line.startsWith('waited'))
  expect(rest).toEqual(['waited 1 s', 'waited 1 s', 'waited 10 s'])
  expect(told.indexOf('waited 1 s')).toBeGreaterThan(told.indexOf(`qrouter-${short(R0)} has none`))
  expect(told.lastIndexOf('waited 1 s')).toBeLessThan(told.indexOf(`no link of ${short(R0)}`))
  expect(told.indexOf('waited 10 s')).toBeGreaterThan(told.indexOf(`no leg ${short(LEG)}`))
  expect(told.indexOf('waited 10 s')).toBeLessThan(told.indexOf(`no rules of ${short(R0)}`))
})

it('nobody waits for connections that have ended', async () => {
  flows = [2, 0, 0]
  await clean(network, 'compute1', 60, () => undefined)
  expect(told.filter(line => line.startsWith('waited'))).toEqual(['waited 1 s'])
})

it('legs that only OVS knows go, too', async () => {
  plugs = [{device: 'lg-x', gateway: R1, port: idOf('port', 1)}]
  seen = {routers: new Map(), legs: new Map(), strays: []}
  await clean(network, 'compute1', 0, () => undefined)
  expect(told).toEqual([`no leg ${short(R1)}`, `no port ${short(idOf('port', 0))}`, 'closed'])
})
