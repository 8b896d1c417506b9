import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {homedir, tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, beforeAll, expect, it} from '@jest/globals'
import {Parser} from '@oclif/core'
import fc from 'fast-check'

import ServiceStart from '../../../commands/service/start.ts'
import {OsSshError} from '../../../src/errors.ts'
import {serviceConfig, settingsOf} from '../../../src/service/config/chosen.ts'
import {readServiceFile} from '../../../src/service/config/file.ts'
import {NUMBERS} from '../../../src/service/config/settings.ts'
import {gatesConfig} from '../../../src/service/deploy/config.ts'

/* What an operator writes into the file of --config, and what the service makes of it. */

const root = new URL('../../../', import.meta.url).pathname
const example = /```yaml\n([^`]*(?:`[^`]+`[^`]*)*)\n```/.exec(
  readFileSync(`${root}docs/service-config.md`, 'utf8'),
)?.[1]
const folder = mkdtempSync(join(tmpdir(), 'os-ssh-config-'))
const file = join(folder, 'service.yaml')
afterAll(() => rmSync(folder, {recursive: true}))

const read = (text: string) => {
  writeFileSync(file, text)
  return readServiceFile(file)
}

/** `LINE: sentence` of each fault. */
async function faults(text: string): Promise<string[]> {
  const error = await read(text).catch((error: unknown) => error)
  if (!(error instanceof OsSshError) || error.code !== 'CONFIG') throw error
  expect(error.suggestions).toEqual(['every key is described in docs/service-config.md'])
  return error.message.split('\n').map(line => {
    expect(line.slice(0, file.length + 1)).toBe(`${file}:`)
    return line.slice(file.length + 1)
  })
}

let said: Awaited<ReturnType<typeof read>>
beforeAll(async () => {
  said = await read(example ?? '')
})

it('the example of docs/service-config.md is read, has every key, and says what is usual', () => {
  const flags = Object.keys({...ServiceStart.flags, ...ServiceStart.baseFlags})
  const keys = flags.filter(name => name !== 'config' && name !== 'keychain')
  const settings = keys.map(name => Object.keys(settingsOf({[name]: 1}))[0])
  expect(Object.keys(said).sort()).toEqual([...settings, 'gates'].sort())
  const {gates, ...rest} = said
  for (const [key, {usual}] of Object.entries(NUMBERS))
    expect({[key]: usual}).toEqual({[key]: said[key as 'grace']})
  const {zones, image, flavor, network, external, address, ...usual} = gates ?? {}
  expect(gatesConfig({})).toEqual(usual)
  expect({zones, image, flavor, network, external, address}).toEqual({
    zones: ['az1', 'az2'],
    image: 'ubuntu-24.04',
    flavor: 'm1.small',
    network: 'gates',
    external: 'public',
    address: 'floating',
  })
  const nobody = serviceConfig({management_key: '/etc/os-ssh/gates'}, {})
  expect({
    ...nobody,
    state: '/var/lib/os-ssh',
    database: '/var/lib/os-ssh/service.db',
    osCloud: 'service',
  }).toEqual(serviceConfig({}, rest))
  expect(nobody.state).toBe(join(homedir(), '.local/state/os-ssh/service'))
})

it.each([
  ['an unknown key', 'grace: 1\ngrce: 5\n', ['2: there is no key "grce"; did you mean grace?']],
  ['nothing near', '\n\nhorse: 5', ['3: there is no key "horse"']],
  ['a flag’s spelling', 'max-life: 60', ['1: there is no key "max-life"; did you mean max_life?']],
  [
    'an unknown key of the section',
    'gates:\n  max: 2\n  per_zne: 2\n  constructor: 1',
    [
      '3: gates: there is no key "per_zne"; did you mean per_zone?',
      '4: gates: there is no key "constructor"',
    ],
  ],
  ['a word for a number', 'max_life: 5 h', ['1: max_life: "5 h" is not a whole number from 60']],
  ['a part of a number', 'grace: 1.5', ['1: grace: 1.5 is not a whole number from 0']],
  ['below the range', 'max_life: 59', ['1: max_life: 59 is not a whole number from 60']],
  [
    'above the range',
    'project_share: 50\nmax_paths: 10000',
    ['2: max_paths: 10000 is not a whole number from 1 to 9999'],
  ],
  ['yes', 'plain_http: yes', ['1: plain_http: "yes" is not true or false']],
  ['a number for a name', 'os_cloud: 5', ['1: os_cloud: 5 is not the name of a cloud of clouds.yaml']],
  [
    'no value',
    'state:\ngates:',
    ['1: state: nothing is not the path of a directory', '2: gates: nothing is not a mapping of settings'],
  ],
  ['an empty path', 'management_key: ""', ['1: management_key: "" is not the path of a private key']],
  ['where to listen', 'listen: everywhere', ['1: listen: "everywhere" is not HOST:PORT or unix:PATH']],
  [
    'an id',
    'admin_projects:\n  - good\n  - "two words"',
    ['3: admin_projects[1]: "two words" is not the id of a project'],
  ],
  ['one for a list', 'admin_projects: abc', ['1: admin_projects: "abc" is not a list of ids of projects']],
  [
    'a choice',
    'gates:\n  scope: shred\n  address: [floating]',
    [
      '2: gates.scope: "shred" is not one of project, shared; did you mean shared?',
      '3: gates.address: a list is not one of floating, direct, ipv6',
    ],
  ],
  [
    'ranges',
    'gates:\n  allow:\n    - 10.0.0.1/24\n    - 10.0.0.0/33\n    - ::/0\n    - 10.0.0.0\n    - 10/8\n    - fe80::%1/64',
    ['10.0.0.1/24', '10.0.0.0/33', '', '10.0.0.0', '10/8', 'fe80::%1/64'].flatMap((range, n) =>
      range
        ? [
            `${n + 3}: gates.allow[${n}]: "${range}" is not an address range such as 192.0.2.0/24 or "2001:db8::/32"`,
          ]
        : [],
    ),
  ],
  [
    'nobody',
    'gates: {allow: []}',
    ['1: gates.allow: an empty list is not a list of address ranges, at least one'],
  ],
  [
    'too many',
    `gates:\n  mirrors: [${Array(65).fill('a').join()}]`,
    ['2: gates.mirrors: more than 64 of them are too many'],
  ],
  [
    'mirrors',
    'gates:\n  mirrors: [mirror.lan, "10.1.2.3:3142", "[fd00::1]:80", "a:b", "a:0", "a:99999", http://a, "10.1.2.300", "fd00::1"]',
    ['a:b', 'a:0', 'a:99999', 'http://a', '10.1.2.300', 'fd00::1'].map(
      (one, n) => `2: gates.mirrors[${n + 3}]: "${one}" is not HOST, HOST:PORT or "[IPv6]:PORT"`,
    ),
  ],
  [
    'a name that is a number',
    'gates:\n  flavor: 1',
    ['2: gates.flavor: 1 is not a name or id: text, so with quotes around a number'],
  ],
  [
    'what does not agree',
    'gates:\n  zones: [a, b]\n  min: 3',
    [
      '3: gates.min: 3 in a zone are more than per_zone (2)',
      '3: gates.min: 6 gates in all zones are more than max (4)',
    ],
  ],
  ['a key twice', 'grace: 5\nresync: 5\ngrace: 6', ['3: this key is there already']],
  ['a list for all', '- grace', ['1: a list is not a mapping of settings']],
  ['a word for all', 'grace', ['1: "grace" is not a mapping of settings']],
  [
    'no YAML',
    'grace: [5\nresync: 5',
    ['2: Flow sequence in block collection must be sufficiently indented and end with a ]'],
  ],
  ['a tag', 'grace: !secret 5', ['1: Unresolved tag: !secret', '1: grace: "5" is not a whole number from 0']],
  ['no anchor', 'grace: *other', ['1: grace: nothing is not a whole number from 0']],
  [
    'itself',
    '&all\ngates:\n  allow: &a [*a, *all]',
    [
      '3: gates.allow[0]: a list is not an address range such as 192.0.2.0/24 or "2001:db8::/32"',
      '3: gates.allow[1]: a mapping is not an address range such as 192.0.2.0/24 or "2001:db8::/32"',
    ],
  ],
  [
    'what a terminal would act on',
    'listen: "\\e[2J"',
    ['1: listen: "\\\\u001b[2J" is not HOST:PORT or unix:PATH'],
  ],
])('%s', async (_, text, expected) => {
  expect(await faults(text)).toEqual(expected)
})

it('all at once, in the order of the lines', async () => {
  const lines = (await faults('survey: 0\ngates:\n  idle: long\n  max: -1\nhorse: 1\nsurvey: 5')).map(one =>
    one.slice(0, 2),
  )
  expect(lines).toEqual(['1:', '3:', '4:', '5:', '6:'])
})

it('an empty file says nothing; anchors may be used', async () => {
  expect(await read('')).toEqual({})
  expect(await read('# nothing')).toEqual({})
  expect(await read('grace: &n 5\nresync: *n')).toEqual({grace: 5, resync: 5})
})

it('paths are relative to the file; a URL, :memory: and a socket are none', async () => {
  expect(
    await read('state: state\nmanagement_key: ~/.ssh/gates\ndatabase: ../db\nlisten: unix:run/s'),
  ).toEqual({
    state: join(folder, 'state'),
    management_key: join(homedir(), '.ssh/gates'),
    database: join(tmpdir(), 'db'),
    listen: 'unix:run/s',
  })
  for (const database of ['postgres://a@b/c', ':memory:'])
    expect(await read(`database: "${database}"`)).toEqual({database})
})

it('a file that is not there', async () => {
  await expect(readServiceFile(join(folder, 'none'))).rejects.toMatchObject({
    code: 'CONFIG',
    exit: 64,
    message: expect.stringMatching(/none cannot be read: ENOENT/),
  })
})

it('flags overrule the file, and the file what is usual', async () => {
  const given = await read(
    'management_key: /file\ngrace: 1\nresync: 2\nplain_http: true\nadmin_projects: [a, b]\ngates: {max: 9}',
  )
  const flags = settingsOf({
    'management-key': undefined,
    grace: 7,
    'plain-http': false,
    'admin-project': ['c'],
    'project-share': 25,
  })
  expect(serviceConfig(flags, given)).toMatchObject({
    managementKey: '/file',
    grace: 7,
    resync: 2,
    survey: 20,
    plainHttp: false,
    adminProjects: ['c'],
    fairness: {perVm: 5, perUser: 500, share: 0.25},
    gates: {max: 9, perZone: 2, automatic: false},
  })
  expect(serviceConfig({}, given)).toMatchObject({plainHttp: true, adminProjects: ['a', 'b'], grace: 1})
})

it('variables overrule the file, and flags the variables', async () => {
  const given = await read('database: /file\nmanagement_key: /file\nstate: /file\nos_cloud: file')
  const chosen = async (...words: string[]) => {
    const {flags} = await Parser.parse(words, {flags: {...ServiceStart.baseFlags, ...ServiceStart.flags}})
    const {database, managementKey, state, osCloud} = serviceConfig(settingsOf(flags), given)
    return [database, managementKey, state, osCloud]
  }
  const names = ['OS_SSH_DATABASE', 'OS_SSH_MANAGEMENT_KEY', 'OS_SSH_SERVICE_STATE', 'OS_CLOUD']
  const before = names.map(name => process.env[name])
  try {
    for (const name of names) delete process.env[name]
    expect(await chosen()).toEqual(['/file', '/file', '/file', 'file'])
    for (const name of names) process.env[name] = 'env'
    expect(await chosen()).toEqual(['env', 'env', 'env', 'env'])
    const words = ['--database', 'flag', '--management-key', 'flag', '--state', 'flag', '--os-cloud', 'flag']
    expect(await chosen(...words)).toEqual(['flag', 'flag', 'flag', 'flag'])
  } finally {
    for (const [n, name] of names.entries())
      if (before[n] === undefined) delete process.env[name]
      else process.env[name] = before[n]
  }
})

it('a number off its range is refused as a flag, too', async () => {
  const parse = (...words: string[]) => Parser.parse(words, {flags: ServiceStart.flags})
  await expect(parse('--max-paths', '10000')).rejects.toThrow('less than or equal to 9999')
  await expect(parse('--max-life', '59')).rejects.toThrow('greater than or equal to 60')
})

it('without a management key it says where to say it', () => {
  expect(() => serviceConfig({}, {})).toThrow(
    expect.objectContaining({code: 'CONFIG', suggestions: [expect.stringContaining('management_key')]}),
  )
})

it('whatever the text is: it is read, or the faults are told', async () => {
  const key = fc.constantFrom(
    ...Object.keys(said),
    ...Object.keys(said.gates ?? {}),
    '__proto__',
    '<<',
    '? [a]',
  )
  const value = fc.oneof(
    fc.json(),
    fc.string({unit: 'grapheme'}),
    fc.constantFrom('*a', '&a [*a]', '!!map', '|\n x', '{gates: *a}'),
  )
  const line = fc
    .tuple(fc.constantFrom('', '  ', '- ', '&a '), key, value)
    .map(([start, key, value]) => `${start}${key}: ${value}`)
  const text = fc.oneof(
    fc.string({unit: 'grapheme'}),
    fc.array(line).map(lines => lines.join('\n')),
  )
  await fc.assert(
    fc.asyncProperty(text, async text => {
      const answer = await read(text).catch((error: unknown) => error)
      if (answer instanceof Error) expect(answer).toMatchObject({name: 'OsSshError', code: 'CONFIG'})
    }),
    {numRuns: 500},
  )
})
