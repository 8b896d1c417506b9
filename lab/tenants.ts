/* Who lives in our clouds: the lab and the real OpenStack (test/openstack) are both filled from here, so that one suite fits both. */

import {generateKeyPair, type KeyPairText} from '../src/ssh/keys.ts'

/** clouds.yaml entry -> user, project, roles there. An account of the SSH service gets one more role: docs/service-account.md. */
export const accounts = {
  admin: ['admin', 'admin', ['admin']],
  tenant1: ['alice', 'tenant1', ['member']],
  tenant2: ['bob', 'tenant2', ['member']],
  reader: ['carol', 'tenant1', ['reader']],
  service: ['svc', 'infra', ['member']],
  'service-member': ['svc-t1', 'tenant1', ['member']],
} as const satisfies Record<string, readonly [string, string, readonly string[]]>

export type Account = keyof typeof accounts

/** The Nova key pair of each account that boots VMs: its name, and whose key it is. Gates admit the management key. */
export const keyPairs = {
  tenant1: 'alice',
  tenant2: 'bob',
  service: 'management',
  'service-member': 'management',
} as const satisfies Partial<Record<Account, string>>

export type KeyName = (typeof keyPairs)[keyof typeof keyPairs]
/** New keys for all of them. */
export function newKeys(): Readonly<Record<KeyName, KeyPairText>> {
  return {
    management: generateKeyPair('management'),
    alice: generateKeyPair('alice'),
    bob: generateKeyPair('bob'),
  }
}

export type Tenant = 'tenant1' | 'tenant2'

/** Both tenants' networks, with equal prefixes on purpose. */
export const networks: readonly {readonly owner: Tenant; readonly name: string; readonly cidr: string}[] = [
  {owner: 'tenant1', name: 't1-net', cidr: '10.0.0.0/24'},
  {owner: 'tenant1', name: 't1-net2', cidr: '10.0.2.0/24'},
  {owner: 'tenant1', name: 't1-iso', cidr: '10.0.1.0/24'},
  {owner: 'tenant1', name: 't1-v6', cidr: 'fd00:10::/64'},
  {owner: 'tenant2', name: 't2-net', cidr: '10.0.0.0/24'},
  {owner: 'tenant2', name: 't2-iso', cidr: '10.0.1.0/24'},
]

/** Their routers to the external network; `distributed` where the cloud can do both. */
export const routers: readonly {
  readonly owner: Tenant
  readonly name: string
  readonly distributed: boolean
  readonly networks: readonly string[]
}[] = [
  {owner: 'tenant1', name: 't1-router', distributed: false, networks: ['t1-net', 't1-net2']},
  {owner: 'tenant2', name: 't2-router', distributed: true, networks: ['t2-net']},
]

/** Networks of those who run gates, behind a router to the external network; `address` is a gate's on the real cloud. */
export const gateNetworks = {
  service: {name: 'gates', cidr: '10.9.0.0/24', address: '10.9.0.21', router: 'infra-router'},
  'service-member': {name: 't1-gates', cidr: '10.0.5.0/24', address: '10.0.5.22', router: 't1-router'},
} as const

/** Network and fixed address of an interface. */
export type Nic = readonly [network: string, address: string]

/** Their VMs: in the security group `open` unless it says `default`. */
export const servers: readonly {
  readonly owner: Tenant
  readonly name: string
  readonly nics: readonly Nic[]
  readonly group?: 'default'
  readonly off?: true
}[] = [
  {owner: 'tenant1', name: 't1-web', nics: [['t1-net', '10.0.0.10']]},
  {owner: 'tenant1', name: 't1-app', nics: [['t1-net2', '10.0.2.10']]},
  {owner: 'tenant1', name: 't1-db', nics: [['t1-iso', '10.0.1.10']]},
  {owner: 'tenant1', name: 't1-six', nics: [['t1-v6', 'fd00:10::10']]},
  {owner: 'tenant1', name: 't1-default', nics: [['t1-iso', '10.0.1.12']], group: 'default'},
  {owner: 'tenant1', name: 't1-default2', nics: [['t1-net2', '10.0.2.12']], group: 'default'},
  {owner: 'tenant1', name: 't1-off', nics: [['t1-net', '10.0.0.11']], off: true},
  {owner: 'tenant1', name: 't1-bare', nics: []},
  {owner: 'tenant2', name: 't2-web', nics: [['t2-net', '10.0.0.10']]},
  {owner: 'tenant2', name: 't2-db', nics: [['t2-iso', '10.0.1.10']]},
]

/** Gates, whose servers belong to the account, and the last number of their external address. */
export const gates = [
  {account: 'service', name: 'gate1', last: 21},
  {account: 'service-member', name: 'gate-t1', last: 22},
] as const satisfies readonly {account: Account; name: string; last: number}[]

/** Boot data of a gate: cloud-init lets root in by key. */
export const rootLogin = Buffer.from('#cloud-config\ndisable_root: false\n').toString('base64')

/** clouds.yaml with an entry an account. JSON is YAML too: nothing needs quoting by hand. */
export function cloudsYaml(
  auth_url: string,
  region_name: string,
  password: (user: string) => string | undefined,
): string {
  const domains = {user_domain_name: 'Default', project_domain_name: 'Default'}
  const clouds = Object.entries(accounts).map(([entry, [username, project_name]]) => {
    const auth = {auth_url, username, password: password(username), project_name, ...domains}
    return [entry, {auth, region_name, identity_api_version: '3'}]
  })
  return `${JSON.stringify({clouds: Object.fromEntries(clouds)}, undefined, 2)}\n`
}
