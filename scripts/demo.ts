import {spawnSync} from 'node:child_process'
import {copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'

import {parse, stringify} from 'yaml'

import type {LabInfo} from '../lab/index.ts'
import {startDaemon, until} from '../src/system/daemon.ts'
import {isAlive} from '../src/system/process.ts'

/* Runs inside the namespace that scripts/demo has made. Everything below is what a user would type. */

const KEEP = '/run/os-ssh-demo.keep'
const root = new URL('..', import.meta.url).pathname
const osSsh = `${root}bin/run.js`

interface Stage {
  readonly home: string
  readonly env: NodeJS.ProcessEnv
}

const bold = (text: string) => (process.stdout.isTTY ? `\x1b[1m${text}\x1b[0m` : text)
const say = (text: string) => process.stdout.write(`\n${text}\n`)
const shown = (words: readonly string[]) =>
  words.map(w => (/^[\w./:=@%+-]+$/.test(w) ? w : `'${w}'`)).join(' ')

/** Shows a command, runs it, shows what it printed, and fails the demo when it fails. */
function run(
  {home, env}: Stage,
  words: readonly string[],
  extra: NodeJS.ProcessEnv = {},
  into?: string,
): string {
  const settings = Object.entries(extra).map(([name, value]) => `${name}=${value}`)
  const target = into === undefined ? '' : ` > ${into.replace(home, '~')}`
  say(bold(`$ ${shown([...settings, ...words]).replaceAll(home, '~')}${target}`))
  const [command = '', ...args] = words
  const program = command === 'os-ssh' ? [process.execPath, [osSsh, ...args]] : [command, args]
  const {status, stdout, error} = spawnSync(program[0] as string, program[1] as string[], {
    env: {...env, ...extra},
    cwd: command === 'npm' ? root : home,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (into === undefined) process.stdout.write(stdout ?? '')
  else writeFileSync(into, stdout, {mode: 0o600})
  if (status !== 0) throw new Error(`${words.join(' ')} ended with ${status ?? error}`)
  return stdout
}

function stage(): Stage {
  const home = mkdtempSync('/tmp/os-ssh-demo-')
  mkdirSync(`${home}/.ssh`, {mode: 0o700})
  mkdirSync(`${home}/run`, {mode: 0o700})
  const {PATH, TERM, LANG} = process.env
  const env = {PATH, TERM, LANG, HOME: home, XDG_RUNTIME_DIR: `${home}/run`, OS_SSH_LAB_STATE: `${home}/lab`}
  return {home, env: {...env, OS_SSH_KEYCHAIN: 'agent'}}
}

function cloud(where: Stage): {stage: Stage; lab: LabInfo} {
  run(where, ['npm', 'run', '--silent', 'lab', '--', 'up', '--name', 'demo'])
  const lab = JSON.parse(readFileSync(`${where.home}/lab/demo/lab.json`, 'utf8')) as LabInfo
  for (const [name, key] of Object.entries(lab.user_keys)) {
    copyFileSync(key, `${where.home}/.ssh/id_${name}`)
    copyFileSync(`${key}.pub`, `${where.home}/.ssh/id_${name}.pub`)
  }
  return {stage: {home: where.home, env: {...where.env, OS_CLIENT_CONFIG_FILE: lab.clouds_yaml}}, lab}
}

async function service({home, env}: Stage, lab: LabInfo): Promise<number> {
  const listen = new URL(lab.ssh_endpoint).host
  const words = [
    'service',
    'start',
    '--os-cloud',
    'service',
    '--state',
    `${home}/service`,
    '--listen',
    listen,
  ]
  words.push('--management-key', lab.management_key)
  say(bold(`$ os-ssh ${shown(words).replaceAll(home, '~')} &`))
  const log = `${home}/service.log`
  const pid = startDaemon([process.execPath, osSsh, ...words], log, env)
  const healthy = () =>
    fetch(`http://${listen}/healthz`).then(
      answer => answer.ok,
      () => !isAlive(pid),
    )
  if ((await until(healthy, 10_000, 100)) && isAlive(pid)) return pid
  throw new Error(`the service did not start:\n${readFileSync(log, 'utf8')}`)
}

/** A member who has an entry in clouds.yaml and nothing else: the catalog, in a region that there is not, names no service. */
function member(where: Stage, lab: LabInfo): void {
  const {home} = where
  say('── a member with an entry in clouds.yaml, and nothing else: no operator, no service, no gate')
  const clouds = parse(readFileSync(lab.clouds_yaml, 'utf8')).clouds
  const file = `${home}/clouds.yaml`
  writeFileSync(file, stringify({clouds: {mycloud: {...clouds.tenant1, ssh_region_name: 'none'}}}), {
    mode: 0o600,
  })
  const as = {OS_CLOUD: 'mycloud'}
  const alone = {home, env: {...where.env, OS_CLIENT_CONFIG_FILE: file}}
  run(alone, ['os-ssh', 'init', '--yes'], as)
  const config = `${home}/mycloud.config`
  run(alone, ['os-ssh', 'config', '--all'], as, config)
  for (const name of ['t1-web', 't1-db']) run(alone, ['ssh', '-F', config, name, 'uname', '-n'])
  run(alone, ['os-ssh', 'status'], as)
  run(alone, ['os-ssh', 'destroy', '--yes'], as)
}

/** What one tenant sees: a VM behind a router, one that no router reaches, and no address of either. */
function tenant(where: Stage, lab: LabInfo, name: string, login: string): void {
  const as = {OS_CLOUD: name}
  say(`── ${name}: its networks are 10.0.0.0/24 (behind a router) and 10.0.1.0/24 (no router reaches it)`)
  run(where, ['os-ssh', 'list'], as)
  const vm = (suffix: string) => {
    const found = lab.servers.find(server => server.name === `${login}-${suffix}`)
    if (!found) throw new Error(`the lab has no ${login}-${suffix}`)
    return found.id
  }
  for (const id of [vm('web'), vm('db')]) run(where, ['os-ssh', 'connect', id, '--', 'hostname'], as)
  const config = `${where.home}/${name}.config`
  run(where, ['os-ssh', 'config', '--all'], as, config)
  for (const id of [vm('web'), vm('db')]) run(where, ['ssh', '-F', config, id, 'uname', '-n'])
  run(where, ['os-ssh', 'paths', 'list'], as)
}

function end({home, env}: Stage, service?: number): void {
  if (service !== undefined && isAlive(service)) process.kill(service)
  const quietly = (words: string[], extra = {}) =>
    spawnSync(process.execPath, [osSsh, ...words], {env: {...env, ...extra}, stdio: 'ignore'})
  for (const cloud of ['mycloud', 'tenant1', 'tenant2', 'service']) quietly(['logout'], {OS_CLOUD: cloud})
  spawnSync(`${root}scripts/lab`, ['down', '--name', 'demo'], {env, stdio: 'ignore'})
  rmSync(home, {recursive: true, force: true})
  rmSync(KEEP, {force: true})
}

function howToGoOn({home}: Stage): void {
  const variables = [
    'HOME',
    'XDG_RUNTIME_DIR',
    'OS_SSH_LAB_STATE',
    'OS_CLIENT_CONFIG_FILE',
    'OS_SSH_KEYCHAIN',
  ]
  writeFileSync(
    `${home}/env`,
    variables.map(name => `export ${name}='${kept?.env[name]}'\n`).join('') +
      `export OS_CLOUD=tenant1 PATH='${root}node_modules/.bin:${root}bin':"$PATH"\ncd ~\n`,
  )
  say(`The cloud and the service go on running. To look around (os-ssh is bin/run.js there):
  ip netns exec os-ssh-demo sh -c '. ${home}/env; exec bash --norc'
  $ run.js list
  $ run.js connect t1-db
To end it: npm run demo -- --down`)
}

let kept: Stage | undefined
const options = process.argv.slice(2)
if (options.includes('--down')) {
  const old = JSON.parse(readFileSync(KEEP, 'utf8')) as Stage & {pid: number}
  end(old, old.pid)
  process.exit()
}
let where = stage()
let daemon: number | undefined
try {
  const started = performance.now()
  const {stage: ready, lab} = cloud(where)
  where = ready
  member(where, lab)
  say('── and where an operator runs the service, for every project')
  daemon = await service(where, lab)
  const [gate] = lab.gates
  if (!gate) throw new Error('the lab has no gate')
  run(
    where,
    ['os-ssh', 'gate', 'add', 'gate1', '--server', gate.server_id, '--host', gate.host, '--shared'],
    {OS_CLOUD: 'service'},
  )
  tenant(where, lab, 'tenant1', 't1')
  tenant(where, lab, 'tenant2', 't2')
  say(
    `Done in ${((performance.now() - started) / 1000).toFixed(1)} s. Both tenants use the same addresses; one gate served them all.`,
  )
  if (options.includes('--keep')) {
    kept = where
    howToGoOn(where)
    writeFileSync(KEEP, JSON.stringify({...where, pid: daemon}))
  } else say('To keep the cloud running and go on by hand: npm run demo -- --keep')
} finally {
  if (kept === undefined) end(where, daemon)
}
process.exit()
