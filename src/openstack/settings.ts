import {homedir} from 'node:os'
import {join} from 'node:path'

import type {Found} from './clouds-files.ts'
import type {
  AuthSettings,
  AuthType,
  CloudConfig,
  Interface,
  ProxySettings,
  ServiceSettings,
} from './config.ts'
import {OpenStackError} from './errors.ts'
import {authMerge, isRecord, record, type Settings} from './merge.ts'
import {networkTraits} from './network-traits.ts'

/**
 * From settings as people write them (older names, OS_* variables, regions with values of their own) to a CloudConfig.
 *
 * @throws OpenStackError `config`
 */
export function normalized(found: Found, env: NodeJS.ProcessEnv): CloudConfig {
  const fail: Fail = (sentence, ...path) => {
    const line = found.lineOf?.(...path)
    const where =
      found.source && `${found.source}${line ? `, line ${line}` : ''}, cloud ${JSON.stringify(found.name)}`
    return new OpenStackError('config', `${where ?? 'OS_* variables'}: ${sentence}`)
  }
  const whole = authMerge(authMerge({}, found.profile), found.settings)
  const {region, values} = chooseRegion(whole, env['OS_REGION_NAME'], fail)
  const settings = fold(authMerge(whole, values))
  const given = fillSecrets(settings, env)
  const auth = authSettings(given, region, fail)
  const authType = chooseAuthType(settings, auth, fail)
  const preferred = env['OS_INTERFACE'] || env['OS_ENDPOINT_TYPE'] || settings['interface']
  const cert = path(settings['cert'], env)
  const key = path(settings['key'], env)
  const cacert = path(settings['cacert'], env)
  const networks = networkTraits(settings['networks'], fail)
  const timeout = seconds(settings['api_timeout'] ?? settings['timeout'], fail)
  const verify =
    !truthy(settings['insecure']) && (settings['verify'] === undefined || !falsy(settings['verify']))
  return {
    name: found.name,
    auth_type: authType,
    auth,
    verify,
    interface: interfaces(preferred ?? 'public', fail),
    services: serviceSettings(settings, fail),
    proxy: proxies(env),
    ...(region && {region}),
    ...(cacert && {cacert}),
    ...(cert && {cert}),
    ...(key && {key}),
    ...(timeout && {timeout}),
    ...(networks.length > 0 && {networks}),
    ...(found.source && {source: found.source}),
  }
}

/** @param path of the setting that is wrong, within the cloud */
type Fail = (sentence: string, ...path: string[]) => OpenStackError

/** Keys in snake_case (`auth-url` is an old way to write it); endpoint_type is the old name of interface. */
function fold(settings: Settings): Settings {
  const entries = Object.entries(settings).map(([key, value]) => {
    const name = key.replaceAll('-', '_').replace(/endpoint_type$/, 'interface')
    return [name, name === 'auth' ? fold(record(value)) : value] as const
  })
  return Object.fromEntries(entries)
}

function chooseRegion(settings: Settings, wanted: string | undefined, fail: Fail) {
  const raw = settings['regions'] ?? settings['region_name'] ?? settings['region-name']
  const list = Array.isArray(raw)
    ? raw
    : typeof raw === 'string'
      ? raw.split(',').map(name => name.trim())
      : []
  const regions = list.map(entry => {
    if (isRecord(entry) && typeof entry['name'] === 'string')
      return {name: entry['name'], values: record(entry['values'])}
    if (typeof entry === 'string') return {name: entry, values: {}}
    throw fail('an entry of regions needs a name', 'regions')
  })
  const region = wanted ? regions.find(({name}) => name === wanted) : regions[0]
  // A single region is the user's default, not the list of those that exist: OS_REGION_NAME may name another.
  if (wanted && !region && regions.length > 1) {
    throw fail(
      `there is no region ${JSON.stringify(wanted)}; it has: ${regions.map(({name}) => name).join(', ')}`,
    )
  }
  return {region: region?.name ?? wanted ?? '', values: region?.values ?? {}}
}

/** Today's name of each setting, and what it was called before; of several, the last one counts (openstacksdk). */
const formerly: Readonly<Record<string, readonly string[]>> = {
  auth_url: ['auth_url'],
  username: ['user_name', 'username'],
  user_id: ['user_id'],
  password: ['password'],
  passcode: ['passcode'],
  token: ['auth_token', 'token'],
  application_credential_id: ['application_credential_id'],
  application_credential_name: ['application_credential_name'],
  application_credential_secret: ['application_credential_secret'],
  project_id: ['tenant_id', 'project_id'],
  project_name: ['tenant_name', 'project_name'],
  user_domain_id: ['user_domain_id'],
  user_domain_name: ['user_domain_name'],
  project_domain_id: ['project_domain_id'],
  project_domain_name: ['project_domain_name'],
  domain_id: ['domain_id'],
  domain_name: ['domain_name'],
  default_domain_id: ['default_domain', 'default_domain_id'],
  default_domain_name: ['default_domain_name'],
  system_scope: ['system_scope'],
}

/** Settings with a secret that the file leaves out and a variable gives; never another cloud's user or project. */
function fillSecrets(settings: Settings, env: NodeJS.ProcessEnv): Settings {
  const auth = {...record(settings['auth'])}
  const secrets = {
    password: 'OS_PASSWORD',
    passcode: 'OS_PASSCODE',
    application_credential_secret: 'OS_APPLICATION_CREDENTIAL_SECRET',
  }
  for (const [key, variable] of Object.entries(secrets)) {
    if (auth[key] === undefined && settings[key] === undefined && env[variable]) auth[key] = env[variable]
  }
  return {...settings, auth}
}

function authSettings(settings: Settings, region: string, fail: Fail): AuthSettings {
  const inner = record(settings['auth'])
  const auth: Record<string, string> = {}
  for (const [name, names] of Object.entries(formerly)) {
    for (const alias of names) {
      // A name outside of `auth` counts as well (OS_* variables land there); inside wins.
      const value = inner[alias] ?? settings[alias]
      if (value === undefined || value === null || value === '') continue
      if (isRecord(value) || Array.isArray(value)) throw fail(`auth.${alias} is not a text`, 'auth', alias)
      auth[name] = String(value)
    }
  }
  shareDomain(auth)
  const url = auth['auth_url']?.replaceAll('{region_name}', region)
  if (!url) throw fail('auth_url is missing', 'auth')
  if (!isHttpUrl(url))
    throw fail(`auth_url is not an http(s) URL: ${JSON.stringify(url)}`, 'auth', 'auth_url')
  const methods = inner['auth_methods'] ?? settings['auth_methods']
  const list = typeof methods === 'string' ? methods.split(',').map(method => method.trim()) : methods
  return {...auth, auth_url: url, ...(Array.isArray(list) && {auth_methods: list.map(String)})}
}

/** With a project, domain_* stands for the user's and the project's domain alike; without, it is the scope. */
function shareDomain(auth: Record<string, string>): void {
  if (!auth['project_id'] && !auth['project_name']) return
  for (const kind of ['id', 'name']) {
    const domain = auth[`domain_${kind}`]
    delete auth[`domain_${kind}`]
    if (!domain) continue
    auth[`user_domain_${kind}`] ??= domain
    auth[`project_domain_${kind}`] ??= domain
  }
}

const authTypes: Readonly<Record<string, AuthType>> = {
  password: 'password',
  v3password: 'password',
  token: 'token',
  v3token: 'token',
  v3applicationcredential: 'application_credential',
  v3totp: 'totp',
  v3multifactor: 'multifactor',
}

function chooseAuthType(settings: Settings, auth: AuthSettings, fail: Fail): AuthType {
  const named = settings['auth_type'] ?? settings['auth_plugin']
  if (named !== undefined && named !== null && named !== '') {
    const type = authTypes[String(named)]
    if (!type)
      throw fail(
        `auth_type ${JSON.stringify(named)} is not supported; known: ${Object.keys(authTypes).join(', ')}`,
        'auth_type',
      )
    return type
  }
  if (auth.application_credential_secret) return 'application_credential'
  return auth.token && !auth.password ? 'token' : 'password'
}

function interfaces(value: unknown, fail: Fail): Interface[] {
  const names = (Array.isArray(value) ? value : [value]).map(name => String(name).replace(/URL$/, ''))
  for (const name of names) {
    if (!['public', 'internal', 'admin'].includes(name)) {
      throw fail(`interface ${JSON.stringify(name)} is none of public, internal, admin`, 'interface')
    }
  }
  return names as Interface[]
}

function serviceSettings(settings: Settings, fail: Fail): Record<string, ServiceSettings> {
  const services: Record<string, ServiceSettings> = {}
  for (const [key, value] of Object.entries(settings)) {
    const [, type, what] =
      /^([a-z0-9_]+?)_(endpoint_override|interface|region_name|default_microversion)$/.exec(key) ?? []
    if (!type || !what || value === null || value === '') continue
    const text = String(value)
    let setting: ServiceSettings
    if (what === 'endpoint_override') {
      if (!isHttpUrl(text)) throw fail(`${key} is not an http(s) URL: ${JSON.stringify(text)}`, key)
      setting = {endpoint: text}
    } else if (what === 'interface') setting = {interface: interfaces(value, fail)}
    else if (what === 'region_name') setting = {region: text}
    else if (/^\d+\.\d+$/.test(text)) setting = {microversion: text}
    else throw fail(`${key} is not a version such as 2.60: ${JSON.stringify(text)}`, key)
    services[type] = {...services[type], ...setting}
  }
  return services
}

function proxies(env: NodeJS.ProcessEnv): ProxySettings {
  const http = proxy(env, 'http_proxy')
  const https = proxy(env, 'https_proxy')
  const none = env['no_proxy'] || env['NO_PROXY']
  return {...(http && {http_proxy: http}), ...(https && {https_proxy: https}), ...(none && {no_proxy: none})}
}

/** As curl and requests read it: `host:port` is http. What is no http proxy (socks5://) is left out, as Node leaves it. */
function proxy(env: NodeJS.ProcessEnv, name: string): string | undefined {
  const value = env[name] || env[name.toUpperCase()]
  if (!value) return undefined
  const url = /^[a-z0-9+]+:\/\//i.test(value) ? value : `http://${value}`
  return isHttpUrl(url) ? url : undefined
}

/** clouds.yaml and openstacksdk count in seconds. */
function seconds(value: unknown, fail: Fail): number | undefined {
  if (value === undefined || value === null || value === '') return undefined
  const number = Number(value)
  if (!(number > 0))
    throw fail(`api_timeout is not a number of seconds: ${JSON.stringify(value)}`, 'api_timeout')
  return number * 1000
}

function path(value: unknown, env: NodeJS.ProcessEnv): string | undefined {
  if (typeof value !== 'string' || value === '') return undefined
  return value === '~' || value.startsWith('~/') ? join(env['HOME'] || homedir(), value.slice(1)) : value
}

function isHttpUrl(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)
}

const truthy = (value: unknown) => /^(true|yes|on|1)$/i.test(String(value ?? ''))
const falsy = (value: unknown) => /^(false|no|off|0)$/i.test(String(value ?? ''))
