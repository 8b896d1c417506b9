import {existsSync, mkdirSync, readFileSync, writeFileSync} from 'node:fs'
import {isDeepStrictEqual} from 'node:util'

import {expect} from '@jest/globals'

import {
  type CloudConfig,
  loadCloud,
  type OpenStack,
  OpenStackError,
  type OpenStackFault,
  openStack,
} from '../../src/openstack/index.ts'
import {type Exchange, Recorder} from './recorder.ts'
import {closeSite, onOvn, openSite, type Site, testCloud} from './site.ts'

/*
 * What the real services answer is recorded in test/fixtures/contract (OS_SSH_RECORD=1 with OS_SSH_TEST_CLOUD=openstack
 * writes it); both clouds are held against it, the real one too, so that a new release shows as a difference.
 */

const folder = new URL('../fixtures/contract/', import.meta.url).pathname
const recording = process.env['OS_SSH_RECORD'] === '1' && testCloud === 'openstack'

/** Clouds by the accounts of clouds.yaml, all of them through one recorder. */
export class Contract {
  readonly site: Site
  readonly #recorder: Recorder
  readonly #clouds = new Map<string, OpenStack>()

  private constructor(site: Site, recorder: Recorder) {
    this.site = site
    this.#recorder = recorder
  }

  static async open(name: string): Promise<Contract> {
    return new Contract(await openSite(name, {asks: true}), await Recorder.start())
  }

  async close(): Promise<void> {
    for (const cloud of this.#clouds.values()) await cloud.close()
    await this.#recorder.close()
    await closeSite(this.site)
  }

  /** src/openstack as this account. @param change of its configuration; then it is nobody else's, so that it logs in anew */
  async as(account: string, change?: (config: CloudConfig) => Partial<CloudConfig>): Promise<OpenStack> {
    const known = this.#clouds.get(account)
    if (known && !change) return known
    const found = await loadCloud({cloud: account, env: {OS_CLIENT_CONFIG_FILE: this.site.clouds_yaml}})
    const config = {...found, proxy: {http_proxy: this.#recorder.url}}
    const cloud = openStack({...config, ...change?.(config)}, {retryDelay: 1})
    this.#clouds.set(change ? `${account} ${this.#clouds.size}` : account, cloud)
    return cloud
  }

  /** A call that is none of ours and so none of src/openstack's: what a test needs to be so. @param path below the endpoint's version */
  async raw<T>(
    account: string,
    service: 'identity' | 'compute' | 'network',
    method: string,
    path: string,
    body?: object,
  ) {
    const cloud = await this.as(account)
    const base = service === 'identity' ? cloud.config.auth.auth_url : await cloud.endpoint(service)
    const version = service === 'network' && !base?.endsWith('/v2.0') ? '/v2.0' : ''
    const answer = await fetch(`${base}${version}/${path}`, {
      method,
      headers: {'x-auth-token': (await cloud.identity.token()).id, 'content-type': 'application/json'},
      ...(body && {body: JSON.stringify(body)}),
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
    return (text === '' ? {} : JSON.parse(text)) as T
  }

  /** Everybody that tests ask as. */
  async people() {
    const [alice, bob] = [await this.as('tenant1'), await this.as('tenant2')]
    const [reader, service, admin] = [
      await this.as('reader'),
      await this.as('service'),
      await this.as('admin'),
    ]
    return {alice, bob, reader, service, admin}
  }

  server(name: string): string {
    const found = this.site.servers.find(server => server.name === name)
    if (found === undefined) throw new Error(`the cloud has no server ${name}`)
    return found.id
  }

  /**
   * Makes a call, and holds the last answer it got against the recorded one: status, media type, fields; of an error
   * every word.
   *
   * @param fault that the call must end with; none when it must succeed
   * @returns what the call gave
   */
  async holds<T>(name: string, call: () => Promise<T>, fault?: OpenStackFault): Promise<T> {
    this.#recorder.exchanges.length = 0
    const outcome = await call().then(
      value => ({value, fault: undefined}),
      (error: unknown) => {
        if (!(error instanceof OpenStackError)) throw error
        return {value: undefined as T, fault: error.fault}
      },
    )
    const exchange = this.#recorder.exchanges.at(-1)
    if (exchange === undefined) throw new Error('nothing was asked')
    if (outcome.fault !== fault)
      throw new Error(
        `${name} ended with ${outcome.fault ?? 'success'}, not ${fault ?? 'success'}: ${JSON.stringify(exchange).slice(0, 900)}`,
      )
    compare(name, exchange)
    return outcome.value
  }
}

function compare(name: string, exchange: Exchange): void {
  const have = neutral(exchange)
  // Where OVN answers otherwise than Neutron's agents do, that is recorded beside it.
  const [usual, own] = [`${folder}${name}.json`, `${folder}${name}.ovn.json`]
  if (recording) {
    mkdirSync(folder, {recursive: true})
    if (!onOvn || misfits(read(usual), have).length > 0)
      writeFileSync(
        onOvn ? own : usual,
        `${JSON.stringify({...have, body: brief(have.body)}, undefined, 1)}\n`,
      )
  }
  expect(misfits(read(onOvn && existsSync(own) ? own : usual), have)).toEqual([])
}

function read(file: string): Exchange {
  if (!existsSync(file))
    throw new Error(`${file} is not there: record it, OS_SSH_RECORD=1 with the real cloud`)
  return JSON.parse(readFileSync(file, 'utf8')) as Exchange
}

/** In what the answer is not as recorded. */
function misfits(want: Exchange, have: Exchange): string[] {
  const head = ({method, path, status, type}: Exchange) =>
    `${method} ${path.split('?')[0]}: ${status} ${type}`
  if (head(want) !== head(have)) return [`${head(have)}, not ${head(want)}`]
  // Neutron's 404 for a port on one's own network holds the port itself: that is no error document.
  if (want.status < 400 || 'port' in Object(want.body)) return differences(want.body, have.body)
  const [said, wanted] = [JSON.stringify(have.body), JSON.stringify(want.body)]
  return isDeepStrictEqual(have.body, want.body) ? [] : [`says ${said}, not ${wanted}`]
}

/** Of long listings the first two entries. */
function brief(body: unknown): unknown {
  if (typeof body !== 'object' || body === null) return body
  return Object.fromEntries(
    Object.entries(body).map(([key, value]) => [key, Array.isArray(value) ? value.slice(0, 2) : value]),
  )
}

const volatile: readonly [RegExp, (n: number) => string][] = [
  [
    /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g,
    n => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`,
  ],
  [/\b[0-9a-f]{32}\b/g, n => String(n).padStart(32, '0')],
  [/\bfa:16:3e(:[0-9a-f]{2}){3}\b/g, n => `fa:16:3e:00:00:${String(n).padStart(2, '0')}`],
  [/gAAAAA[\w=-]{20,}/g, n => `gAAAAA-token-${n}`],
  [/\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?/g, () => '2026-01-01T00:00:00'],
  [/http:\/\/(127\.0\.0\.1|localhost|10\.66\.0\.1):\d+/g, () => 'http://cloud'],
  [/\b172\.24\.\d+\.\d+\b/g, n => `172.24.0.${n}`],
  [/AAAA[\w+/=]{40,}/g, () => 'AAAAKEY'],
  [/\b([0-9a-f]{2}:){15}[0-9a-f]{2}\b/g, () => '00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff'],
]

/** The same exchange whoever made it: ids, times, keys and addresses by their order of appearance. */
function neutral(exchange: Exchange): Exchange {
  let text = JSON.stringify(exchange)
  for (const [pattern, name] of volatile) {
    const seen = new Map<string, string>()
    text = text.replace(pattern, found => {
      const known = seen.get(found) ?? name(seen.size + 1)
      seen.set(found, known)
      return known
    })
  }
  return JSON.parse(text)
}

/** Fields that only the implementation knows what for. */
const leaks = new Set(['standard_attr_id'])

/** Maps whose keys are names or free content: their keys are no fields. */
const free = /addresses$|configurations$|metadata$|vif_details$|profile$|\.quota$|resources_synced$/

/** What the recorded value has and this one lacks, and the other way round; of lists, any element stands for all. */
function differences(want: unknown, have: unknown, path = ''): string[] {
  if (want === null || have === null) return []
  if (Array.isArray(want) || Array.isArray(have)) {
    if (!Array.isArray(want) || !Array.isArray(have)) return [`${path} is ${kind(have)}, not ${kind(want)}`]
    if (want.length === 0 || have.length === 0) return []
    return differences(want[0], have[0], `${path}[]`)
  }
  if (typeof want !== 'object' || typeof have !== 'object')
    return kind(want) === kind(have) ? [] : [`${path} is ${kind(have)}, not ${kind(want)}`]
  if (free.test(path)) return []
  const [a, b] = [want as Record<string, unknown>, have as Record<string, unknown>]
  const keys = new Set([...Object.keys(a), ...Object.keys(b)])
  return [...keys].sort().flatMap(key => {
    if (leaks.has(key)) return []
    if (!(key in b)) return [`lacks ${path}.${key}`]
    if (!(key in a)) return [`adds ${path}.${key}`]
    return differences(a[key], b[key], `${path}.${key}`)
  })
}

const kind = (value: unknown) => (Array.isArray(value) ? 'array' : typeof value)
