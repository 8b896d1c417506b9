import {randomBytes} from 'node:crypto'

import type {FastifyInstance, FastifyRequest} from 'fastify'

import {keystoneFault, keystoneForbidden} from '../fault.ts'
import {hexId} from '../make.ts'
import type {AppCredential, Cloud, RoleName} from '../state.ts'
import {type Caller, callerOf, header, rolesOf, validToken} from './caller.ts'
import {type AuthBody, issueToken} from './keystone-tokens.ts'
import {
  appCredentialView,
  catalogView,
  domain,
  projectView,
  roleView,
  tokenView,
  userView,
  versionView,
} from './keystone-view.ts'

type Params = Record<string, string>
const links = (self: string) => ({next: null, self, previous: null})

/** Keystone v3 under /identity. */
export function keystone(app: FastifyInstance, cloud: Cloud): void {
  const base = () => `${cloud.url}/identity/v3`
  const caller = (request: FastifyRequest) => callerOf(cloud, request)
  app.get('/identity', (_, reply) =>
    reply
      .code(300)
      .header('location', `${base()}/`)
      .send({versions: {values: [versionView(cloud)]}}),
  )
  app.get('/identity/v3', () => ({version: versionView(cloud)}))
  tokens(app, cloud)
  app.get('/identity/v3/auth/catalog', request => {
    caller(request)
    return {catalog: catalogView(cloud), links: links(`${base()}/auth/catalog`)}
  })
  const own = (who: Caller) =>
    [...cloud.projects.values()].filter(project => rolesOf(cloud, who.user.id, project.id).length > 0)
  app.get('/identity/v3/auth/projects', request => {
    const projects = own(caller(request)).map(project => projectView(cloud, project))
    return {projects, links: links(`${base()}/auth/projects`)}
  })
  app.get<{Params: Params}>('/identity/v3/users/:id/projects', request => {
    const who = caller(request)
    if (request.params['id'] !== who.user.id && !who.admin)
      throw keystoneForbidden('identity:list_user_projects')
    const projects = own(who).map(project => projectView(cloud, project))
    return {projects, links: links(`${base()}/users/${request.params['id']}/projects`)}
  })
  records(app, cloud)
  credentials(app, cloud)
}

function tokens(app: FastifyInstance, cloud: Cloud): void {
  const path = '/identity/v3/auth/tokens'
  app.post<{Body: AuthBody; Querystring: Params}>(path, (request, reply) => {
    const token = issueToken(cloud, request.body ?? {})
    return reply
      .code(201)
      .header('x-subject-token', token.id)
      .send(tokenView(cloud, token, !('nocatalog' in request.query)))
  })
  /** Anyone may look at, and revoke, the token in hand; others' only an admin. */
  const subject = (request: FastifyRequest, action: string) => {
    const who = callerOf(cloud, request)
    const id = header(request, 'x-subject-token') ?? ''
    if (id !== who.token.id && !who.admin) {
      // Keystone looks the token up for its policy first: an unknown one is 404 to everybody
      if (!cloud.tokens.has(id)) throw keystoneFault(404, 'Could not recognize Fernet token')
      throw keystoneForbidden(`identity:${action}`)
    }
    const token = validToken(cloud, id)
    if (!token)
      throw keystoneFault(
        404,
        cloud.tokens.has(id) ? 'Failed to validate token' : 'Could not recognize Fernet token',
      )
    return token
  }
  app.get<{Querystring: Params}>(path, (request, reply) => {
    const token = subject(request, 'validate_token')
    return reply
      .header('x-subject-token', token.id)
      .send(tokenView(cloud, token, !('nocatalog' in request.query)))
  })
  app.delete(path, (request, reply) => {
    subject(request, 'revoke_token').expires_at = new Date(0)
    return reply.code(204).send()
  })
}

function records(app: FastifyInstance, cloud: Cloud): void {
  const caller = (request: FastifyRequest) => callerOf(cloud, request)
  const path = (rest: string) => `/identity/v3/${rest}`
  const named = (request: FastifyRequest, record: {name: string}) => {
    const {name} = request.query as Params
    return name === undefined || record.name === name
  }
  app.get(path('projects'), request => {
    if (!caller(request).admin) throw keystoneForbidden('identity:list_projects')
    const found = [...cloud.projects.values()].filter(project => named(request, project))
    return {
      projects: found.map(project => projectView(cloud, project)),
      links: links(`${cloud.url}/identity/v3/projects`),
    }
  })
  app.get<{Params: Params}>(path('projects/:id'), request => {
    const who = caller(request)
    const project = cloud.projects.get(request.params['id'] ?? '')
    if (!project) {
      if (!who.admin) throw keystoneForbidden('identity:get_project')
      throw keystoneFault(404, `Could not find project: ${request.params['id']}.`)
    }
    if (!who.admin && who.projectId !== project.id) throw keystoneForbidden('identity:get_project')
    return {project: projectView(cloud, project)}
  })
  app.get(path('users'), request => {
    if (!caller(request).admin) throw keystoneForbidden('identity:list_users')
    const found = [...cloud.users.values()].filter(user => named(request, user))
    return {users: found.map(user => userView(cloud, user)), links: links(`${cloud.url}/identity/v3/users`)}
  })
  app.get<{Params: Params}>(path('users/:id'), request => {
    const who = caller(request)
    const user = cloud.users.get(request.params['id'] ?? '')
    if (!who.admin && user?.id !== who.user.id) throw keystoneForbidden('identity:get_user')
    if (!user) throw keystoneFault(404, `Could not find user: ${request.params['id']}.`)
    return {user: userView(cloud, user)}
  })
  app.get(path('roles'), request => {
    if (!caller(request).admin) throw keystoneForbidden('identity:list_roles')
    return {
      roles: (['admin', 'member', 'reader'] as const).map(roleView),
      links: links(`${cloud.url}/identity/v3/roles`),
    }
  })
  const theDomain = {
    ...domain,
    description: 'The default domain',
    enabled: true,
    options: {},
    tags: [],
    links: {},
  }
  app.get(path('domains'), request => {
    if (!caller(request).admin) throw keystoneForbidden('identity:list_domains')
    return {domains: [theDomain], links: links(`${cloud.url}/identity/v3/domains`)}
  })
  app.get<{Params: Params}>(path('domains/:id'), request => {
    caller(request)
    if (request.params['id'] !== domain.id)
      throw keystoneFault(404, `Could not find domain: ${request.params['id']}.`)
    return {domain: theDomain}
  })
}

interface CredentialBody {
  application_credential?: {
    name?: string
    secret?: string
    description?: string
    expires_at?: string
    roles?: {id?: string; name?: RoleName}[]
  }
}

function credentials(app: FastifyInstance, cloud: Cloud): void {
  const path = '/identity/v3/users/:user/application_credentials'
  const owner = (request: FastifyRequest, action: string) => {
    const who = callerOf(cloud, request)
    if ((request.params as Params)['user'] !== who.user.id) throw keystoneForbidden(`identity:${action}`)
    return who
  }
  const find = (request: FastifyRequest, who: Caller): AppCredential => {
    const id = (request.params as Params)['id'] ?? ''
    const record = cloud.app_credentials.get(id)
    if (record?.user_id !== who.user.id)
      throw keystoneFault(404, `Could not find Application Credential: ${id}.`)
    return record
  }
  app.post<{Body: CredentialBody; Params: Params}>(path, (request, reply) => {
    const who = owner(request, 'create_application_credential')
    if (who.token.app_credential_id) throw keystoneForbidden('identity:create_application_credential')
    const asked = request.body?.application_credential
    if (!asked?.name || !who.project) throw keystoneFault(400, "'name' is a required property")
    if (
      [...cloud.app_credentials.values()].some(one => one.user_id === who.user.id && one.name === asked.name)
    ) {
      throw keystoneFault(
        409,
        `Conflict occurred attempting to store application_credential - Duplicate entry found with name ${asked.name}.`,
      )
    }
    const roles = asked.roles?.map(role => role.name ?? 'reader') ?? who.token.roles
    if (roles.some(role => !who.token.roles.includes(role)))
      throw keystoneFault(400, 'Invalid application credential: the user lacks a role.')
    const record: AppCredential = {
      id: hexId(),
      name: asked.name,
      secret: asked.secret ?? randomBytes(64).toString('base64url'),
      user_id: who.user.id,
      project_id: who.project.id,
      roles,
      description: asked.description ?? null,
      expires_at: asked.expires_at ?? null,
    }
    cloud.app_credentials.set(record.id, record)
    const view = {...appCredentialView(cloud, record), secret: record.secret}
    return reply.code(201).send({application_credential: view})
  })
  app.get(path, request => {
    const who = owner(request, 'list_application_credentials')
    const own = [...cloud.app_credentials.values()].filter(record => record.user_id === who.user.id)
    return {
      application_credentials: own.map(record => appCredentialView(cloud, record)),
      links: links(cloud.url + request.url),
    }
  })
  app.get(`${path}/:id`, request => {
    const who = owner(request, 'get_application_credential')
    return {application_credential: appCredentialView(cloud, find(request, who))}
  })
  app.delete(`${path}/:id`, (request, reply) => {
    const who = owner(request, 'delete_application_credential')
    const record = find(request, who)
    cloud.app_credentials.delete(record.id)
    for (const token of cloud.tokens.values()) {
      if (token.app_credential_id === record.id) token.expires_at = new Date(0)
    }
    return reply.code(204).send()
  })
}
