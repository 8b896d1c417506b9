import {execFileSync, spawnSync} from 'node:child_process'
import {chmodSync, cpSync, mkdirSync, readFileSync, writeFileSync} from 'node:fs'
import {createServer} from 'node:net'

import {afterAll, beforeAll, expect, it, jest} from '@jest/globals'
import {parse} from 'yaml'

import {stopAgent} from '../../../src/ssh/agent.ts'
import {Terminal} from '../../support/terminal.ts'
import {difference, steps} from '../../support/transcript.ts'
import {root, World} from '../../support/world.ts'

/* The first hour of a new user, from an empty HOME through each slip to a prompt, as they see it: first-hour.txt. */

jest.setTimeout(180_000)

const text = readFileSync(new URL('first-hour.txt', import.meta.url), 'utf8')
let world: World
let terminal: Terminal
let home: string
/** A service that accepts and says nothing. */
const mute = createServer(() => undefined)
const values: Record<string, string> = {}

beforeAll(async () => {
  world = await World.open('e2e-first-hour')
  home = `${world.home}/newcomer`
  mkdirSync(`${home}/.ssh`, {recursive: true, mode: 0o700})
  mkdirSync(`${home}/run`, {mode: 0o700})
  mkdirSync(`${home}/bin`)
  writeFileSync(`${home}/bin/os-ssh`, `#!/bin/sh\nexec '${process.execPath}' '${root}bin/run.js' "$@"\n`)
  chmodSync(`${home}/bin/os-ssh`, 0o755)
  cpSync(`${world.home}/.ssh/id_alice`, `${home}/.ssh/id_ed25519`)
  cpSync(`${world.home}/.ssh/id_alice.pub`, `${home}/.ssh/id_ed25519.pub`)
  // As a disk is that was mounted read-only after a fault, and one that is full.
  for (const [name, options] of [
    ['broken', 'ro,size=64k'],
    ['full', 'size=4k'],
  ] as const) {
    mkdirSync(`${home}/${name}`)
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', `${home}/${name}`])
  }
  writeFileSync(`${home}/full/everything`, 'x'.repeat(4096))
  const {clouds} = parse(readFileSync(world.site.clouds_yaml, 'utf8'))
  const {password, ...auth} = clouds.tenant1.auth
  mkdirSync(`${home}/etc`)
  writeFileSync(`${home}/etc/clouds.yaml`, JSON.stringify({clouds: {shop: {...clouds.tenant1, auth}}}))
  await new Promise<void>(done => mute.listen(0, '127.0.0.1', done))
  const address = mute.address()
  Object.assign(values, {
    password,
    home,
    service: new URL(world.site.ssh_endpoint).host,
    keystone: new URL(auth.auth_url).host,
    mute: typeof address === 'object' ? String(address?.port) : '',
  })
  for (const {name, id} of world.site.servers)
    Object.assign(values, {[name]: id, [`${name}-short`]: id.slice(0, 8)})
  const env = {PATH: `${home}/bin:${process.env['PATH']}`, HOME: home, XDG_RUNTIME_DIR: `${home}/run`}
  terminal = await Terminal.open(`os-ssh-hour-${process.pid}`, env, home)
})
afterAll(async () => {
  await terminal?.close()
  mute.close()
  await stopAgent(`${home}/run/os-ssh/shop`).catch(() => undefined)
  for (const name of ['broken', 'full']) spawnSync('umount', [`${home}/${name}`])
  await world?.close()
})

it.each(steps(text, {}).map(({line, command}, index) => [`line ${line}: ${command}`, index]))(
  '%s',
  async (_, index) => {
    const step = steps(text, values)[Number(index)]
    if (step === undefined) throw new Error('the file has changed')
    const shown = await terminal.run(step.command, step.answers)
    expect(difference(step.expected, shown.lines)).toBeUndefined()
    expect(shown.status).toBe(step.status)
  },
)

/** README's examples with the lab's names. */
const NAMES = [
  ['web1', 't1-web'],
  ['mycloud', 'shop'],
  ['ubuntu', 'debian'],
  ['7f3c…-uuid', '{t1-web}'],
  [/^ssh /, 'ssh -F .ssh/config '],
] as const
const everyday =
  /## Everyday use\n\n```console\n(.*?)```/s.exec(readFileSync(`${root}README.md`, 'utf8'))?.[1] ?? ''
const commands = everyday.split('\n').flatMap(line => /^\$ (.*?)(?: {2,}#.*)?$/.exec(line)?.[1] ?? [])

it('README’s everyday use has what is tried below', () => expect(commands.length).toBeGreaterThan(10))

it.each(commands)('README: %s', async command => {
  const typed = NAMES.reduce<string>((text, [from, to]) => text.replace(from, to), command)
  const meant = typed.replace(/\{([\w-]+)\}/, (_, name) => values[name] ?? '')
  // Some end in the VM's own shell.
  const answers = /^ssh |connect t1-web$/.test(meant) ? [{question: '@t1-web:~$', answer: 'exit'}] : []
  const {status, lines} = await terminal.run(meant, answers)
  expect({status, lines}).toMatchObject({status: 0})
})
