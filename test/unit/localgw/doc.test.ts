import {readFileSync} from 'node:fs'

import {describe, expect, it, test} from '@jest/globals'

import type {NodeCloud} from '../../../src/localgw/agent/survey.ts'
import {
  BIT,
  BY_MARK,
  legDevice,
  MAX_MEMBERS,
  memberDevice,
  namespaceOf,
  PRIORITY,
  pairOf,
  ROUTES,
  routerDevice,
  TABLE,
} from '../../../src/localgw/names.ts'
import {LOCAL_TIMEOUT, legRules, routerRules} from '../../../src/localgw/render.ts'
import {REASONS} from '../../../src/snat/reasons.ts'
import {trace} from '../../../src/snat/trace.ts'
import {traceSvg} from '../../../src/snat/trace-svg.ts'
import {documented} from '../../openstack/asked.ts'
import {expectGolden} from '../../support/golden.ts'
import {DVR, factsOf, PUBLIC, VM_CENTRAL, withLegs} from '../../support/snat.ts'

/* docs/local-gateway.md, held against what it tells of. */

const root = new URL('../../../', import.meta.url).pathname
const read = (file: string) => readFileSync(`${root}${file}`, 'utf8')
const doc = read('docs/local-gateway.md')
const ovs = factsOf('zed-ovs')

test('the pictures are what os-ssh snat trace --svg draws', () => {
  const own = withLegs(ovs, {host: 'compute1'})
  const shared = withLegs(ovs, {host: 'compute1', of: PUBLIC, said: {sharing: 'per-node'}})
  for (const [mode, facts] of Object.entries({'per-router': own, 'per-node': shared})) {
    const name = `pictures/local-gateway-${mode}.svg`
    expect(doc).toContain(`](${name})`)
    expectGolden(`../../../docs/${name}`, traceSvg(trace(facts, VM_CENTRAL, {name: 'web1'})))
  }
})

test('the reasons are those of the code', () => {
  const rows = [...doc.matchAll(/^\| `([a-z0-9-]+)` \| (.*) \|$/gm)].map(([, reason, why]) => [reason, why])
  expect(Object.fromEntries(rows)).toMatchObject(REASONS)
  const [, section = ''] = doc.split('\n## Who stays central')
  const listed = [...(section.split('\n## ')[0] ?? '').matchAll(/^\| `(\S+)` \|/gm)].map(([, word]) => word)
  expect(listed.sort()).toEqual(Object.keys(REASONS).sort())
})

test('the calls are those that the agent can make', () => {
  const calls = {
    routers: 'GET /v2.0/routers',
    ports: 'GET /v2.0/ports',
    agents: 'GET /v2.0/agents',
    floatingIps: 'GET /v2.0/floatingips',
    networks: 'GET /v2.0/networks',
    subnets: 'GET /v2.0/subnets',
    subnetPools: 'GET /v2.0/subnetpools',
    logs: 'GET /v2.0/log/logs',
    createPort: 'POST /v2.0/ports',
    updatePort: 'PUT /v2.0/ports/PORT',
    deletePort: 'DELETE /v2.0/ports/PORT',
  } satisfies Record<keyof NodeCloud, string>
  expect(documented('## Exactly these calls', 'Neutron', 'local-gateway')).toEqual(
    Object.values(calls).sort(),
  )
})

describe('the names and numbers on a node are those of the code', () => {
  it.each([
    `L=${namespaceOf(DVR).replace(DVR, '$R')} `,
    `dev ${routerDevice(DVR)}`,
    `dev ${memberDevice(DVR)}`,
    `-I ${legDevice(DVR)}`,
    `${PRIORITY}: from all fwmark ${BIT}/${BIT} lookup ${ROUTES}`,
    `conntrack -L -m ${BIT}/${BIT}`,
    `${BY_MARK + 1}: from all fwmark 0x1 iif lg-… lookup ${ROUTES + 1}`,
    `default via ${pairOf(1)[1]} dev lq-`,
    `default via ${pairOf(1)[0]} dev ls-`,
    `central within ${LOCAL_TIMEOUT} s`,
    `at most ${MAX_MEMBERS.toLocaleString('en')} routers`,
  ])('%s', words => expect(doc).toContain(words))

  it('and so are its sets, chains and counters', () => {
    const member = {router: DVR, number: 1, mtu: 1450, locals: [], keeps: [], central: []}
    const port = {id: DVR, mac: '', address: '192.0.2.9', prefix: 24, gateway: '192.0.2.1'}
    const rules = {r: routerRules(member), l: legRules({id: DVR, port, members: [member]})}
    const named = [...doc.matchAll(/\b([rl]) nft list (set|chain|counter) ip (\S+) (\w+)/g)]
    expect(named.length).toBeGreaterThan(4)
    for (const [, where, kind, table, name] of named) {
      expect(table).toBe(TABLE)
      expect(rules[where as 'r' | 'l']).toMatch(new RegExp(`^ +${kind} ${name} \\{`, 'm'))
    }
  })
})

test('the unit of systemd starts the agent with flags that it has, and the document knows its files', () => {
  const unit = read('samples/os-ssh-lsnat.service')
  const [, id = '', flags = ''] = /^ExecStart=\/usr\/bin\/os-ssh (snat agent) (.*)$/m.exec(unit) ?? []
  const command = JSON.parse(read('.oclif.manifest.json')).commands[id.replace(' ', ':')]
  const env = /^```sh\n(.*?)^```$/ms.exec(doc)?.[1] ?? ''
  for (const [, flag] of `${flags} ${env}`.matchAll(/--([a-z-]+)/g))
    expect(command.flags).toHaveProperty(flag ?? '')
  for (const [, name] of flags.matchAll(/\$\{?([A-Z]+)/g)) expect(env).toMatch(new RegExp(`^${name}=`, 'm'))
  const file = /^EnvironmentFile=(.*)$/m.exec(unit)?.[1] ?? '?'
  expect(doc).toContain(`\`${file}\``)
})

test('every link leads somewhere', () => {
  for (const [, target = ''] of doc.matchAll(/\]\(([^)#]+)[^)]*\)/g))
    expect(read(`docs/${target}`)).not.toBe('')
  for (const file of ['README.md', 'docs/snat.md']) expect(read(file)).toContain('local-gateway.md)')
})
