import {existsSync, mkdirSync, readFileSync, rmSync} from 'node:fs'

import {attempt} from '../../src/system/commands.ts'
import {writeConfigs} from './configs.ts'
import {databases} from './databases.ts'
import {startNodes, wires} from './fabric.ts'
import {catalog, hardware, people, whenAgentsLive} from './identity.ts'
import {api, type Backend, dir, mgmt, netns} from './place.ts'
import {command, daemons, killAll, listening, size, start, until} from './processes.ts'
import {Rest} from './rest.ts'
import {type Site, topology} from './topology.ts'

type Say = (line: string) => void

/** The cloud that is up, if one is. */
export function site(): Site | undefined {
  const file = `${dir}/site.json`
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Site) : undefined
}

/**
 * Starts the whole cloud, from nothing but the template of its databases, and returns when its machines answer. Runs in
 * the cloud's network namespace. A cloud that is up already is left as it is; the ruins of one are cleared first.
 */
export async function up(backend: Backend, say: Say): Promise<Site> {
  const there = site()
  if (there?.backend === backend && daemons().every(one => one.alive)) return there
  await down({keepNetns: true})
  mkdirSync(dir, {recursive: true, mode: 0o700})
  writeConfigs(backend)
  await wires()
  startRabbit()
  await databases(say)
  start('keystone', ['uwsgi', '--ini', `${dir}/etc/keystone/uwsgi.ini`])
  start('placement', ['uwsgi', '--ini', `${dir}/etc/placement/uwsgi.ini`])
  if (backend === 'ovn') await startOvn()
  await until('Keystone', () => answers(api('identity')))
  say('Keystone is up')
  await people(backend)
  await catalog()
  await startServices()
  await startNodes(backend)
  for (const service of ['network', 'compute', 'image'] as const)
    await until(service, () => answers(`${api(service)}/`))
  say('the APIs are up')
  await hardware()
  await whenAgentsLive(backend)
  say('the agents are alive; making tenants and machines')
  return topology(backend)
}

const answers = async (url: string) => (await fetch(url).catch(() => undefined)) !== undefined

/** Starts RabbitMQ; also after a test has stopped it. */
export function startRabbit(): void {
  const home = `${dir}/rabbit`
  for (const folder of ['mnesia', 'log', 'home']) mkdirSync(`${home}/${folder}`, {recursive: true})
  start('rabbitmq', ['/usr/lib/rabbitmq/bin/rabbitmq-server'], rabbitEnvironment())
}

function rabbitEnvironment(): NodeJS.ProcessEnv {
  const home = `${dir}/rabbit`
  return {
    HOME: `${home}/home`,
    RABBITMQ_NODENAME: 'openstack@localhost',
    RABBITMQ_CONFIG_FILE: `${dir}/etc/rabbitmq`,
    RABBITMQ_MNESIA_BASE: `${home}/mnesia`,
    RABBITMQ_LOG_BASE: `${home}/log`,
    RABBITMQ_ENABLED_PLUGINS_FILE: `${home}/plugins`,
    RABBITMQ_PID_FILE: `${home}/pid`,
    RABBITMQ_CONF_ENV_FILE: '/dev/null',
    ERL_EPMD_ADDRESS: '127.0.0.1',
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none',
  }
}

const config = (file: string) => ['--config-file', `${dir}/etc/${file}`]

/** Starts Neutron's server; also after a test has stopped it. */
export function startNeutron(): void {
  const files = [...config('neutron.conf'), ...config('ml2.ini')]
  start('neutron', ['neutron-server', ...files, '--log-file', `${dir}/log/neutron-server.log`])
}

async function startServices(): Promise<void> {
  start('glance', ['glance-api', ...config('glance-api.conf')])
  startNeutron()
  await until('RabbitMQ', () => listening(5672))
  for (const name of ['nova-conductor', 'nova-scheduler', 'nova-api'])
    start(name, [name, ...config('nova.conf')])
}

async function startOvn(): Promise<void> {
  const home = `${dir}/ovn`
  mkdirSync(home, {recursive: true})
  for (const [db, port, schema] of [
    ['nb', 6641, 'ovn-nb'],
    ['sb', 6642, 'ovn-sb'],
  ] as const) {
    await command(['ovsdb-tool', 'create', `${home}/${db}.db`, `/usr/share/ovn/${schema}.ovsschema`])
    start(`ovn-${db}`, [
      'ovsdb-server',
      `${home}/${db}.db`,
      `--remote=punix:${home}/${db}.sock`,
      `--remote=ptcp:${port}:${mgmt}`,
      `--unixctl=${home}/${db}.ctl`,
      '-vconsole:off',
      `--log-file=${dir}/log/ovsdb-${db}.log`,
    ])
    await until(`the ${db} database`, () => existsSync(`${home}/${db}.sock`))
  }
  await command(['ovn-nbctl', `--db=unix:${home}/nb.sock`, '--no-wait', 'init'])
  await command(['ovn-sbctl', `--db=unix:${home}/sb.sock`, 'init'])
  start('ovn-northd', [
    'ovn-northd',
    `--ovnnb-db=unix:${home}/nb.sock`,
    `--ovnsb-db=unix:${home}/sb.sock`,
    `--unixctl=${home}/northd.ctl`,
    '-vconsole:off',
    `--log-file=${dir}/log/ovn-northd.log`,
  ])
}

/** Ends every process, namespace and file of the cloud; the template stays. @returns whether there was anything */
export async function down({keepNetns = false} = {}): Promise<boolean> {
  const killed = await killAll()
  const unlinked = !keepNetns && (await attempt(['ip', 'netns', 'delete', netns]))
  const had = existsSync(dir)
  rmSync(dir, {recursive: true, force: true})
  return killed || unlinked || had
}

export interface Status {
  readonly state: 'up' | 'down' | 'broken'
  readonly backend?: Backend
  readonly dead: readonly string[]
  readonly processes: number
  /** PSS, MiB. */
  readonly memory: number
  readonly agents: readonly string[]
  readonly servers: readonly string[]
}

/** What runs, how much memory it takes, and what the APIs say of it. Runs in the cloud's network namespace. */
export async function status(): Promise<Status> {
  const [there, all, {processes, memory}] = [site(), daemons(), await size()]
  const dead = all.filter(one => !one.alive).map(one => one.name)
  const nothing = {dead, processes, memory: Math.round(memory / 2 ** 20), agents: [], servers: []}
  if (all.length === 0) return {...nothing, state: 'down'}
  if (there === undefined || dead.length > 0) return {...nothing, state: 'broken'}
  const admin = await Rest.login('admin')
  const {agents} = await admin.neutron('GET', 'agents')
  const {servers} = await admin.nova('GET', 'servers/detail?all_tenants=1')
  return {
    ...nothing,
    state: 'up',
    backend: there.backend,
    agents: agents.map(
      (a: {agent_type: string; host: string; alive: boolean}) =>
        `${a.agent_type} on ${a.host}: ${a.alive ? 'alive' : 'dead'}`,
    ),
    servers: servers.map(
      (s: Record<string, string>) => `${s['name']} on ${s['OS-EXT-SRV-ATTR:host']}: ${s['status']}`,
    ),
  }
}
