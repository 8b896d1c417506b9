import {copyFileSync, mkdirSync, readFileSync, writeFileSync} from 'node:fs'
import {dirname} from 'node:path'

import {Eta} from 'eta'

import {api, type Backend, dir, here, mgmt, nodes, ports} from './place.ts'

/** Password of every service account and of RabbitMQ: nothing but this machine's namespace reaches them. */
export const password = 'openstack'

/** Address of a service's database, as SQLAlchemy reads it. */
export const db = (name: string) =>
  `mysql+pymysql://openstack:${password}@localhost/${name}?unix_socket=${dir}/mysql.sock&charset=utf8mb4`

/** How a service authenticates: keystoneauth's settings. */
const auth = (user: string) =>
  [
    `auth_url = ${api('identity', mgmt)}`,
    `www_authenticate_uri = ${api('identity')}`,
    'auth_type = password',
    'project_domain_name = Default',
    'user_domain_name = Default',
    'project_name = service',
    `username = ${user}`,
    `password = ${password}`,
    'region_name = RegionOne',
    // 300 s by default, for which a revoked token goes on working; tests do not wait so long.
    'token_cache_time = 5',
  ].join('\n')

/** Writes every configuration file, whole, under etc/ of the state. */
export function writeConfigs(backend: Backend): void {
  const eta = new Eta({autoEscape: false, autoTrim: false})
  const common = {
    dir,
    mgmt,
    password,
    db,
    auth,
    ovn: backend === 'ovn',
    rabbit: `rabbit://openstack:${password}@${mgmt}:5672/`,
  }
  mkdirSync(`${dir}/etc`, {recursive: true})
  const write = (file: string, source: string, more: object = {}) => {
    const target = `${dir}/etc/${file}`
    mkdirSync(dirname(target), {recursive: true})
    const text = readFileSync(`${here}config/${source}.eta`, 'utf8')
    writeFileSync(target, eta.renderString(text, {...common, ...more}))
  }
  // Neutron goes on reading it, so it must not change under it with the checkout.
  copyFileSync(`${here}../../docs/policy/neutron.yaml`, `${dir}/etc/policy.yaml`)
  for (const file of ['my.cnf', 'rabbitmq.conf', 'glance-api.conf', 'nova.conf', 'neutron.conf', 'ml2.ini'])
    write(file, file)
  // These two are found by their folder.
  write('keystone/keystone.conf', 'keystone.conf')
  write('placement/placement.conf', 'placement.conf')
  write('keystone/uwsgi.ini', 'uwsgi.ini', {
    port: ports.identity,
    wsgi: '/usr/bin/keystone-wsgi-public',
    env: `OS_KEYSTONE_CONFIG_DIR=${dir}/etc/keystone`,
  })
  write('placement/uwsgi.ini', 'uwsgi.ini', {
    port: ports.placement,
    wsgi: '/usr/bin/placement-api',
    env: `OS_PLACEMENT_CONFIG_DIR=${dir}/etc/placement`,
  })
  write('l3.ini', 'l3.ini')
  for (const node of nodes) {
    write(`${node.name}/agent.ini`, 'agent.ini', {node})
    write(`${node.name}/compute.ini`, 'compute.ini', {node})
  }
  for (const folder of ['lock', 'log', 'nova/instances', 'neutron', 'glance/staging', 'glance/tasks'])
    mkdirSync(`${dir}/${folder}`, {recursive: true})
}
