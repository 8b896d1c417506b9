import {createHash} from 'node:crypto'

import type {AppCredential, Cloud, Project, RoleName, TokenRecord, User} from '../state.ts'

export const domain = {id: 'default', name: 'Default'}
const digest = (text: string) => createHash('md5').update(text).digest('hex')

/** A role's id: stable, from its name. */
export function roleId(name: RoleName): string {
  return digest(`role ${name}`)
}

/** The catalog as Keystone writes it; every service has its three interfaces at one place. */
export function catalogView(cloud: Cloud): unknown[] {
  const services = [
    ['identity', 'keystone', `${cloud.url}/identity/v3`],
    ['compute', 'nova', `${cloud.url}/compute/v2.1`],
    ['network', 'neutron', `${cloud.url}/network`],
    ['image', 'glance', `${cloud.url}/image`],
    ['ssh', 'os-ssh', cloud.ssh_endpoint],
  ] as const
  return services
    .filter(([, , url]) => url !== '')
    .map(([type, name, url]) => ({
      endpoints: ['public', 'internal', 'admin'].map(kind => ({
        id: digest(`${type} ${kind}`),
        interface: kind,
        region_id: cloud.region,
        url,
        region: cloud.region,
      })),
      id: digest(type),
      type,
      name,
    }))
}

function time(date: Date): string {
  return `${date.toISOString().slice(0, 19)}.000000Z`
}

/** The token document, as issued and as validated. */
export function tokenView(cloud: Cloud, token: TokenRecord, withCatalog = true): object {
  const user = cloud.users.get(token.user_id)
  const project = cloud.projects.get(token.project_id ?? '')
  const scope = project && {
    project: {domain, id: project.id, name: project.name},
    is_domain: false,
    roles: token.roles.map(name => ({id: roleId(name), name})),
    ...(withCatalog ? {catalog: catalogView(cloud)} : {}),
  }
  return {
    token: {
      methods: token.methods,
      user: {domain, id: token.user_id, name: user?.name, password_expires_at: null},
      audit_ids: [token.audit_id],
      expires_at: time(token.expires_at),
      issued_at: time(token.issued_at),
      ...scope,
      ...(token.app_credential_id
        ? {
            application_credential: {
              id: token.app_credential_id,
              name: cloud.app_credentials.get(token.app_credential_id)?.name,
              restricted: true,
            },
          }
        : {}),
    },
  }
}

export function projectView(cloud: Cloud, project: Project): object {
  return {
    id: project.id,
    name: project.name,
    domain_id: domain.id,
    description: '',
    enabled: true,
    parent_id: domain.id,
    is_domain: false,
    tags: [],
    options: {},
    links: {self: `${cloud.url}/identity/v3/projects/${project.id}`},
  }
}

export function userView(cloud: Cloud, user: User): object {
  return {
    id: user.id,
    name: user.name,
    domain_id: domain.id,
    enabled: true,
    default_project_id: user.default_project_id,
    password_expires_at: null,
    options: {},
    links: {self: `${cloud.url}/identity/v3/users/${user.id}`},
  }
}

/** Without the secret, which is shown once. */
export function appCredentialView(cloud: Cloud, record: AppCredential): object {
  return {
    id: record.id,
    name: record.name,
    description: record.description,
    user_id: record.user_id,
    project_id: record.project_id,
    system: null,
    expires_at: record.expires_at,
    unrestricted: false,
    roles: record.roles.map(roleView),
    links: {self: `${cloud.url}/identity/v3/application_credentials/${record.id}`},
  }
}

export function roleView(name: RoleName): object {
  return {id: roleId(name), name, domain_id: null, description: null, options: {immutable: true}}
}

/** The version document of GET /identity/v3. */
export function versionView(cloud: Cloud): object {
  return {
    id: 'v3.14',
    status: 'stable',
    updated: '2020-04-07T00:00:00Z',
    links: [{rel: 'self', href: `${cloud.url}/identity/v3/`}],
    'media-types': [{base: 'application/json', type: 'application/vnd.openstack.identity-v3+json'}],
  }
}
