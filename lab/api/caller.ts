import type {FastifyRequest} from 'fastify'

import {unauthorized} from '../fault.ts'
import type {Cloud, Project, RoleName, TokenRecord, User} from '../state.ts'

/** Who sends a request, by its token. */
export interface Caller {
  readonly token: TokenRecord
  readonly user: User
  readonly project: Project | undefined
  /** Id of the project, empty when unscoped. */
  readonly projectId: string
  /** Role admin: sees and may do everything. */
  readonly admin: boolean
  /** To Neutron: sees all networks, ports and groups, and may update ports of others. */
  readonly advsvc: boolean
  /** May change things in the own project. */
  readonly member: boolean
}

const implied: Readonly<Record<RoleName, readonly RoleName[]>> = {
  admin: ['admin', 'reader', 'member'],
  member: ['reader', 'member'],
  reader: ['reader'],
  advsvc: ['advsvc'],
}

/** Roles of a user in a project, the implied ones included. */
export function rolesOf(cloud: Cloud, userId: string, projectId: string): RoleName[] {
  const found = cloud.assignments.filter(given => given.user_id === userId && given.project_id === projectId)
  return [...new Set(found.flatMap(given => implied[given.role]))]
}

/** The token record, unless it is unknown, expired or revoked. */
export function validToken(cloud: Cloud, id: string | undefined): TokenRecord | undefined {
  const token = cloud.tokens.get(id ?? '')
  return token && token.expires_at.getTime() > Date.now() ? token : undefined
}

/** One header as a string. */
export function header(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name]
  return Array.isArray(value) ? value[0] : value
}

/** @throws ApiFault 401 without a valid X-Auth-Token */
export function callerOf(cloud: Cloud, request: FastifyRequest): Caller {
  const token = validToken(cloud, header(request, 'x-auth-token'))
  const user = cloud.users.get(token?.user_id ?? '')
  if (!token || !user) throw unauthorized()
  return {
    token,
    user,
    project: cloud.projects.get(token.project_id ?? ''),
    projectId: token.project_id ?? '',
    admin: token.roles.includes('admin'),
    advsvc: token.roles.includes('advsvc'),
    member: token.roles.includes('member'),
  }
}
