import {createHash} from 'node:crypto'
import {existsSync, mkdirSync, readFileSync, renameSync} from 'node:fs'
import {setTimeout as sleep} from 'node:timers/promises'

import {attempt, run} from '../../src/system/commands.ts'
import {db, password} from './configs.ts'
import {api, dir, here, mgmt, template} from './place.ts'
import {command, start, until} from './processes.ts'

const names = ['keystone', 'nova_api', 'nova', 'nova_cell0', 'placement', 'glance', 'neutron']
const config = (file: string) => ['--config-file', `${dir}/etc/${file}`]
const sql = (text: string) => ['mariadb', `--socket=${dir}/mysql.sock`, '-uroot', '-N', '-e', text]

async function startMariadb(): Promise<number> {
  const pid = start('mariadb', ['mariadbd', `--defaults-file=${dir}/etc/my.cnf`])
  await until('MariaDB', () => attempt(sql('select 1')))
  return pid
}

/** Starts MariaDB with the databases and Keystone's keys of the template, which is made first if there is none. */
export async function databases(say: (line: string) => void): Promise<void> {
  const file = template(recipe())
  if (!existsSync(file)) {
    say('making the databases (kept for the next time)')
    await makeTemplate(file)
  } else await run(['tar', '-C', dir, '-xf', file])
  await startMariadb()
}

/** Changes when what goes into the template may have: its passwords, addresses and tables. */
function recipe(): string {
  const hash = createHash('sha256')
  for (const source of ['databases.ts', 'configs.ts', 'place.ts'])
    hash.update(readFileSync(`${here}${source}`))
  return hash.digest('hex').slice(0, 8)
}

async function makeTemplate(file: string): Promise<void> {
  await command([
    'mariadb-install-db',
    `--defaults-file=${dir}/etc/my.cnf`,
    '--user=root',
    '--skip-test-db',
    '--auth-root-authentication-method=normal',
  ])
  const pid = await startMariadb()
  for (const name of names)
    await run(
      sql(
        `create database ${name}; grant all on ${name}.* to openstack@localhost identified by '${password}'`,
      ),
    )
  await Promise.all([migrateNeutron(), migrateOthers()])
  await bootstrapKeystone()
  process.kill(pid, 'SIGTERM')
  // A daemon of ours is our child: it leaves a zombie, which is no running server, so ask for its socket.
  await until(
    'MariaDB to stop',
    async () => !(await attempt(sql('select 1'))) && !existsSync(`${dir}/mysql.pid`),
  )
  await sleep(200)
  await run(['tar', '-C', dir, '-cf', `${file}.new`, 'mysql', 'keystone-fernet', 'keystone-credential'])
  renameSync(`${file}.new`, file)
}

const migrateNeutron = () =>
  command(['neutron-db-manage', ...config('neutron.conf'), ...config('ml2.ini'), 'upgrade', 'heads'])

async function migrateOthers(): Promise<void> {
  const nova = ['nova-manage', ...config('nova.conf')]
  await command(['keystone-manage', ...config('keystone/keystone.conf'), 'db_sync'])
  await command(['glance-manage', ...config('glance-api.conf'), 'db_sync'])
  await command(['placement-manage', ...config('placement/placement.conf'), 'db', 'sync'])
  await command([...nova, 'api_db', 'sync'])
  await command([...nova, 'cell_v2', 'map_cell0', '--database_connection', db('nova_cell0')])
  await command([...nova, 'db', 'sync'])
  await command([...nova, 'cell_v2', 'create_cell', '--name', 'cell1'])
}

async function bootstrapKeystone(): Promise<void> {
  const keystone = ['keystone-manage', ...config('keystone/keystone.conf')]
  for (const folder of ['keystone-fernet', 'keystone-credential'])
    mkdirSync(`${dir}/${folder}`, {recursive: true, mode: 0o700})
  const root = ['--keystone-user', 'root', '--keystone-group', 'root']
  await command([...keystone, 'fernet_setup', ...root])
  await command([...keystone, 'credential_setup', ...root])
  await command([
    ...keystone,
    'bootstrap',
    '--bootstrap-password',
    password,
    '--bootstrap-region-id',
    'RegionOne',
    '--bootstrap-public-url',
    api('identity'),
    '--bootstrap-internal-url',
    api('identity', mgmt),
    '--bootstrap-admin-url',
    api('identity', mgmt),
  ])
}
