import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {dirname, join} from 'node:path'

import {afterEach, beforeEach, describe, expect, test} from '@jest/globals'

import {searchPath} from '../../../src/openstack/clouds-files.ts'
import {loadCloud} from '../../../src/openstack/index.ts'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'clouds-'))
})
afterEach(() => rm(dir, {recursive: true}))

async function write(name: string, text: string): Promise<string> {
  const path = join(dir, name)
  await mkdir(dirname(path), {recursive: true})
  await writeFile(path, text)
  return path
}

const load = (cloud?: string, env: NodeJS.ProcessEnv = {}) =>
  loadCloud({
    ...(cloud !== undefined && {cloud}),
    env: {HOME: join(dir, 'home'), ...env},
    cwd: join(dir, 'cwd'),
  })

const two = `
clouds:
  one:
    auth: {auth_url: 'https://one.example:5000/v3', username: alice, project_name: p, user_domain_name: D, password: plain}
    region_name: R1
  two:
    auth: {auth_url: 'https://two.example', application_credential_id: ac}
    auth_type: v3applicationcredential
    interface: internalURL
    cacert: ~/ca.pem
    api_timeout: 5
    compute_endpoint_override: https://nova.example/v2.1
    compute_default_microversion: '2.60'
`

describe('which file and cloud', () => {
  test('the first clouds.yaml counts alone: cwd, XDG_CONFIG_HOME, ~/.config; a named file before all', async () => {
    const of = (url: string) => `clouds: {c: {auth: {auth_url: 'http://${url}.example'}}}`
    const url = async (env = {}) => (await load('c', env)).auth.auth_url
    await write('home/.config/openstack/clouds.yml', of('home'))
    expect(await url()).toBe('http://home.example')
    await write(
      'xdg/openstack/clouds.json',
      JSON.stringify({clouds: {c: {auth: {auth_url: 'http://xdg.example'}}}}),
    )
    expect(await url({XDG_CONFIG_HOME: join(dir, 'xdg')})).toBe('http://xdg.example')
    await write('cwd/clouds.yaml', of('cwd'))
    expect(await url({XDG_CONFIG_HOME: join(dir, 'xdg')})).toBe('http://cwd.example')
    const named = await write('my.yaml', of('named'))
    expect(await url({OS_CLIENT_CONFIG_FILE: named})).toBe('http://named.example')
    await expect(load('c', {OS_CLIENT_CONFIG_FILE: '/nowhere.yaml'})).rejects.toMatchObject({
      fault: 'config',
      message: expect.stringContaining('OS_CLIENT_CONFIG_FILE names /nowhere.yaml'),
    })
  })

  test('macOS and Windows look into their own places too', () => {
    expect(searchPath({HOME: '/Users/a'}, '/w', 'darwin')).toContain(
      '/Users/a/Library/Application Support/openstack',
    )
    expect(searchPath({HOME: '/h', LOCALAPPDATA: '/l'}, '/w', 'win32')).toContain('/l/OpenStack/openstack')
  })

  test('an unknown cloud lists those there are; none chosen of several as well', async () => {
    const path = await write('cwd/clouds.yaml', two)
    await expect(load('three')).rejects.toMatchObject({
      message: `there is no cloud "three"; ${path} has: "one", "two"`,
    })
    await expect(load()).rejects.toMatchObject({message: `no cloud was chosen; ${path} has: "one", "two"`})
    expect((await load(undefined, {OS_CLOUD: 'one'})).name).toBe('one')
    expect((await load('two', {OS_CLOUD: 'one'})).name).toBe('two')
  })

  test('no file and no variables says where it looked; the only cloud needs no choice', async () => {
    await expect(load()).rejects.toMatchObject({
      fault: 'no-cloud',
      message: expect.stringContaining(join(dir, 'cwd')),
    })
    await write('cwd/clouds.yaml', "clouds: {only: {auth: {auth_url: 'http://a.example'}}}")
    expect((await load()).name).toBe('only')
  })
})

describe('settings', () => {
  test('of a cloud', async () => {
    const source = await write('cwd/clouds.yaml', two)
    await write(
      'cwd/secure.yaml',
      'clouds: {two: {auth: {application_credential_secret: s}}, one: {auth: {password: 1234}}}',
    )
    expect(await load('two')).toEqual({
      name: 'two',
      auth_type: 'application_credential',
      auth: {
        auth_url: 'https://two.example',
        application_credential_id: 'ac',
        application_credential_secret: 's',
      },
      verify: true,
      interface: ['internal'],
      services: {compute: {endpoint: 'https://nova.example/v2.1', microversion: '2.60'}},
      proxy: {},
      cacert: join(dir, 'home/ca.pem'),
      timeout: 5000,
      source,
    })
    const one = await load('one', {
      https_proxy: 'http://proxy:3128',
      NO_PROXY: 'x',
      OS_REGION_NAME: 'R2',
      OS_PASSWORD: 'unused',
    })
    expect(one).toMatchObject({
      auth_type: 'password',
      region: 'R2',
      auth: {password: '1234', username: 'alice', user_domain_name: 'D'},
    })
    expect(one.proxy).toEqual({https_proxy: 'http://proxy:3128', no_proxy: 'x'})
  })

  test('OS_* variables alone; their older names; domain_id stands for both domains', async () => {
    const cloud = await load(undefined, {
      OS_AUTH_URL: 'http://k.example/v3',
      OS_USERNAME: 'u',
      OS_PASSWORD: 'p',
      OS_TENANT_NAME: 'old',
      OS_PROJECT_NAME: 'new',
      OS_DOMAIN_ID: 'd1',
      OS_USER_DOMAIN_ID: 'd2',
      OS_INTERFACE: 'admin',
      OS_INSECURE: 'true',
      OS_SSH_ENDPOINT: 'http://ours',
      OS_IDENTITY_API_VERSION: '3',
    })
    expect(cloud).toMatchObject({name: 'envvars', verify: false, interface: ['admin'], services: {}})
    expect(cloud.auth).toEqual({
      auth_url: 'http://k.example/v3',
      username: 'u',
      password: 'p',
      project_name: 'new',
      user_domain_id: 'd2',
      project_domain_id: 'd1',
    })
  })

  test('a chosen cloud takes from OS_* only the secret it lacks, never user or address', async () => {
    await write('cwd/clouds.yaml', "clouds: {c: {auth: {auth_url: 'http://a.example', username: u}}}")
    const env = {OS_AUTH_URL: 'http://evil.example', OS_USERNAME: 'v', OS_PASSWORD: 'p'}
    expect((await load('c', env)).auth).toEqual({auth_url: 'http://a.example', username: 'u', password: 'p'})
    expect((await load(undefined, env)).name).toBe('envvars')
  })

  test.each([
    [{OS_TOKEN: 't'}, 'token'],
    [{OS_APPLICATION_CREDENTIAL_ID: 'i', OS_APPLICATION_CREDENTIAL_SECRET: 's'}, 'application_credential'],
    [{OS_AUTH_TYPE: 'v3token', OS_TOKEN: 't', OS_PASSWORD: 'p'}, 'token'],
    [{OS_AUTH_TYPE: 'v3multifactor', OS_AUTH_METHODS: 'v3password,v3totp'}, 'multifactor'],
    [{OS_AUTH_TYPE: 'v3totp'}, 'totp'],
    [{}, 'password'],
  ])('%j is %s', async (env, type) => {
    expect((await load(undefined, {OS_AUTH_URL: 'http://k.example', ...env})).auth_type).toBe(type)
  })

  test('regions with values, anchors and merges, yes and no, profiles of clouds-public.yaml', async () => {
    await write(
      'cwd/clouds-public.yaml',
      "public-clouds: {acme: {auth: {auth_url: 'https://{region_name}.acme.example'}, interface: internal}}",
    )
    await write(
      'cwd/clouds.yaml',
      `
x: &base
  profile: acme
  verify: no
clouds:
  c:
    <<: *base
    regions:
      - name: a
      - name: b
        values: {auth: {project_id: pb}, interface: admin}
    auth: {username: u, project_id: p}
`,
    )
    expect(await load('c')).toMatchObject({
      region: 'a',
      verify: false,
      interface: ['internal'],
      auth: {auth_url: 'https://a.acme.example', project_id: 'p'},
    })
    expect(await load('c', {OS_REGION_NAME: 'b'})).toMatchObject({
      region: 'b',
      interface: ['admin'],
      auth: {project_id: 'pb', username: 'u'},
    })
    await expect(load('c', {OS_REGION_NAME: 'z'})).rejects.toMatchObject({
      message: expect.stringContaining('it has: a, b'),
    })
  })
})

test('traits of networks, under the names of openstacksdk', async () => {
  await write(
    'cwd/clouds.yaml',
    `clouds:
  c:
    auth: {auth_url: 'http://a'}
    networks:
    - {name: public, routes_externally: true, routes_ipv6_externally: false}
    - {name: private, nat_destination: 'True', default_interface: true}
`,
  )
  const none = {routes_ipv4_externally: false, routes_ipv6_externally: false, nat_destination: false}
  expect((await load('c')).networks).toEqual([
    {...none, name: 'public', routes_ipv4_externally: true, default_interface: false},
    {...none, name: 'private', nat_destination: true, default_interface: true},
  ])
})

describe('a file that is wrong is named with the line', () => {
  test.each([
    [
      'networks are a mapping',
      'clouds:\n  c:\n    auth: {auth_url: "http://a"}\n    networks: {a: {}}\n',
      /line 4, cloud "c": networks is not a list/,
    ],
    [
      'a network without a name',
      'clouds:\n  c:\n    auth: {auth_url: "http://a"}\n    networks: [{id: a}]\n',
      /line 4, cloud "c": an entry of networks needs a name/,
    ],
    [
      'a bracket left open',
      'clouds:\n  a: {auth: {auth_url: x\n  b: 1\n',
      /clouds\.yaml, line [234], column \d+: /,
    ],
    ['a tab', 'clouds:\n\ta: 1\n', /clouds\.yaml, line 2, column 1: /],
    ['a list at the top', '- a\n', /line 1: a mapping/],
    ['clouds is a text', '\nclouds: abc\n', /line 2: "clouds" is not a mapping/],
    ['the cloud is a text', 'clouds:\n  b: {}\n  c: abc\n', /line 3: cloud "c" is not a mapping/],
    [
      'no auth_url',
      'clouds:\n  c:\n    auth:\n      username: u\n',
      /line 4, cloud "c": auth_url is missing/,
    ],
    [
      'auth_url is none',
      'clouds:\n  c:\n    auth:\n      auth_url: ftp://x\n',
      /line 4, cloud "c": auth_url is not an http\(s\) URL/,
    ],
    [
      'unknown auth_type',
      'clouds:\n  c:\n    auth: {auth_url: "http://a"}\n    auth_type: v3kerberos\n',
      /line 4, .*"v3kerberos" is not supported; known: password/,
    ],
    [
      'unknown interface',
      'clouds:\n  c:\n    auth: {auth_url: "http://a"}\n\n    interface: pubic\n',
      /line 5, .*"pubic" is none of public/,
    ],
  ])('%s', async (_, text, message) => {
    await write('cwd/clouds.yaml', text)
    const error = await load('c').catch(caught => caught)
    expect(error).toMatchObject({name: 'OpenStackError', fault: 'config'})
    expect(error.message).toMatch(message)
    expect(error.message).toContain(join(dir, 'cwd', 'clouds.yaml'))
  })

  test('a bomb of aliases is refused', async () => {
    const rows = Array.from(
      {length: 9},
      (_, n) => `k${n + 1}: &k${n + 1} [${Array(9).fill(`*k${n}`).join(', ')}]`,
    )
    await write('cwd/clouds.yaml', `k0: &k0 [x, x]\n${rows.join('\n')}\nclouds: {}\n`)
    await expect(load('c')).rejects.toMatchObject({fault: 'config'})
  })
})
