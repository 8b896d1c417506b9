import {execFileSync, spawnSync} from 'node:child_process'
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, expect, test} from '@jest/globals'
import fc from 'fast-check'

import {isHostName, patterns, renderConfig} from '../../../src/ssh/config.ts'
import {configPath, proxyCommand} from '../../../src/ssh/quote.ts'
import {anyText} from '../../support/any-text.ts'

const dir = mkdtempSync(join(tmpdir(), 'os-ssh-config-'))
afterAll(() => rmSync(dir, {recursive: true}))
const uuid = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`
const host = (n: number, name: string) => ({
  id: uuid(n),
  name,
  project: 'demo',
  user: 'debian',
  proxyCommand: proxyCommand(['/opt/os-ssh/bin/proxy', 'lab', uuid(n)]),
})
const resolve = (text: string, target: string) => {
  const file = join(dir, 'config')
  writeFileSync(file, text)
  return execFileSync('ssh', ['-G', '-F', file, target], {encoding: 'utf8', stdio: 'pipe'}).split('\n')
}

test('ssh itself resolves UUID, name and NAME.PROJECT to the same VM', () => {
  const text = renderConfig([host(2, 'db'), host(1, 'web')], '"/k n/known"')
  expect(text.startsWith(`Host ${uuid(1)} web web.demo\n`)).toBe(true)
  for (const target of [uuid(1), 'web', 'web.demo']) {
    expect(resolve(text, target)).toEqual(
      expect.arrayContaining([
        `hostkeyalias ${uuid(1)}`,
        'user debian',
        'stricthostkeychecking true',
        'userknownhostsfile /k n/known',
        `proxycommand "/opt/os-ssh/bin/proxy" lab ${uuid(1)}`,
      ]),
    )
  }
})

test('appended to a file that ends in a block, also twice, it changes nothing for others', () => {
  const text = renderConfig([host(1, 'web')], '"/k"')
  const mine = 'Host mine\n  User me\n'
  const resolved = resolve(mine + text, 'web')
  expect(resolve(mine + text + text, 'web')).toEqual(resolved)
  expect(resolved).toContain('user debian')
  expect(resolve(mine + text + text, 'mine')).toContain('user me')
  expect(resolve(mine + text, 'elsewhere').join('\n')).not.toMatch(/proxycommand/)
})

test('the order in which the cloud lists does not matter', () => {
  const hosts = [host(1, 'a'), host(2, 'b'), host(3, 'c')]
  expect(renderConfig(hosts.toReversed(), '"/k"')).toBe(renderConfig(hosts, '"/k"'))
})

test.each([
  '$(reboot)',
  'a\nHost *',
  'a\rb',
  '*',
  'web?',
  '!web',
  'two words',
  '"quoted"',
  "it's",
  '-oProxyCommand=id',
  'tür',
  'a\u0000b',
  'x'.repeat(256),
  '',
  'a,b',
  '#a',
  'a=b',
  '%h',
])('a VM called %j gets its UUID only', name => {
  expect(patterns([host(1, name)]).get(uuid(1))).toEqual([uuid(1)])
})

test.each(['localhost', 'LocalHost', 'all', 'NONE', uuid(9), uuid(9).toUpperCase()])(
  'a VM called %s does not get this as its bare name',
  name => {
    expect(patterns([host(1, name)]).get(uuid(1))).toEqual([uuid(1), `${name}.demo`])
  },
)

test('a name that means something else to its user already stays what it is, the other one is the VM’s', () => {
  const taken = (...names: string[]) => patterns([host(1, 'web')], name => names.includes(name)).get(uuid(1))
  expect(taken('web')).toEqual([uuid(1), 'web.demo'])
  expect(taken('web.demo')).toEqual([uuid(1), 'web'])
  expect(taken('web', 'web.demo', uuid(1))).toEqual([uuid(1)])
  expect(renderConfig([host(1, 'web')], '"/k"', name => name === 'web')).toMatch(
    new RegExp(`^Host ${uuid(1)} web\\.demo\\n`),
  )
})

test('a VM called like a public host never takes its connections', () => {
  expect(patterns([host(1, 'github.com')]).get(uuid(1))).toEqual([uuid(1), 'github.com.demo'])
})

test('a name that two VMs share is nobody’s, whatever its case', () => {
  const named = patterns([host(1, 'web'), host(2, 'WEB'), host(3, 'db')])
  expect([...named.values()]).toEqual([[uuid(1)], [uuid(2)], [uuid(3), 'db', 'db.demo']])
})

test('no name can ever leave its place on the Host line', () => {
  fc.assert(
    fc.property(anyText, name => {
      if (isHostName(name)) expect(name).toMatch(/^\w[\w-]*$/)
      const lines = renderConfig([host(1, name)], '"/k"').split('\n')
      expect(lines.filter(line => /^\S/.test(line))).toHaveLength(1)
    }),
  )
})

test('ssh reads an odd path back as it was', () => {
  const path = '/home/a b/100%/$x/key'
  const text = `Host x\n  IdentityFile ${configPath(path)}\n`
  expect(resolve(text, 'x')).toContain(`identityfile ${path.replace('%', '%%')}`)
})

test.each(['/a"b', '/a\nb', '/a\\b', '/${HOME}/x', '$HOME'])('the path %j is refused', path => {
  expect(() => configPath(path)).toThrow(expect.objectContaining({code: 'CONFIG'}))
})

/** What ssh itself makes of an ssh_config, with which it gets nowhere. */
const tried = (text: string, ...options: string[]) => {
  const file = join(dir, 'config')
  writeFileSync(file, text)
  return spawnSync('ssh', ['-F', file, '-o', 'BatchMode=yes', ...options, 'x'], {encoding: 'utf8'})
}

test('ssh starts the very words that were meant as a ProxyCommand', () => {
  const [program, said] = [join(dir, 'a 100%h $x'), join(dir, 'said')]
  writeFileSync(program, `#!/bin/sh\nprintf '%s\\n' "$@" >'${said}'\n`, {mode: 0o700})
  const words = ['a b', '$(id)', '`id`', '"', '\\', "'", '%h', '100%', '%%', '*', ';id', '-n']
  tried(`Host x\n  HostName h.invalid\n  ProxyCommand ${proxyCommand([program, ...words])}\n`)
  expect(readFileSync(said, 'utf8')).toBe(`${words.join('\n')}\n`)
  expect(() => proxyCommand(['/bin/x', 'a\nb'])).toThrow(
    expect.objectContaining({code: 'CONFIG', message: String.raw`ssh_config cannot hold "a\nb"`}),
  )
})

test('ssh opens the very path that was meant, where it expands tokens', () => {
  const path = join(dir, '100%h %C')
  const {status, stderr} = tried(`Host x\n  ControlPath ${configPath(path)}\n`, '-O', 'check')
  expect([status, stderr.trim()]).toEqual([255, `Control socket connect(${path}): No such file or directory`])
})
