import {randomBytes, timingSafeEqual} from 'node:crypto'

import {keystoneFault, unauthorized} from '../fault.ts'
import type {AppCredential, Cloud, Project, RoleName, TokenRecord, User} from '../state.ts'
import {rolesOf, validToken} from './caller.ts'

interface Named {
  readonly id?: string
  readonly name?: string
  readonly domain?: {readonly id?: string; readonly name?: string}
}

/** Body of POST /v3/auth/tokens, as far as it is looked at. */
export interface AuthBody {
  readonly auth?: {
    readonly identity?: {
      readonly methods?: readonly string[]
      readonly password?: {readonly user?: Named & {readonly password?: string}}
      readonly token?: {readonly id?: string}
      readonly application_credential?: Named & {readonly secret?: string; readonly user?: Named}
    }
    readonly scope?:
      | 'unscoped'
      | {readonly project?: Named; readonly domain?: Named; readonly system?: unknown}
  }
}

function same(given: string | undefined, secret: string): boolean {
  const [a, b] = [Buffer.from(given ?? ''), Buffer.from(secret)]
  return a.length === b.length && timingSafeEqual(a, b)
}

function inDefault(domain: Named['domain']): boolean {
  return domain === undefined || domain.id === 'default' || domain.name === 'Default'
}

function find<T extends {readonly id: string; readonly name: string}>(
  all: Map<string, T>,
  by: Named | undefined,
): T | undefined {
  if (by?.id !== undefined) return all.get(by.id)
  if (by?.name === undefined || !inDefault(by.domain)) return undefined
  return [...all.values()].find(record => record.name === by.name)
}

interface Proof {
  readonly user: User
  readonly methods: readonly string[]
  readonly credential?: AppCredential
  readonly from?: TokenRecord
}

function prove(cloud: Cloud, body: AuthBody): Proof {
  const identity = body.auth?.identity
  const methods = identity?.methods
  if (!Array.isArray(methods) || methods.length !== 1)
    throw keystoneFault(400, "'methods' is a required property")
  if (methods[0] === 'password') {
    const user = find(cloud.users, identity?.password?.user)
    if (!user || !same(identity?.password?.user?.password, user.password)) throw unauthorized()
    return {user, methods}
  }
  if (methods[0] === 'token') {
    const from = validToken(cloud, identity?.token?.id)
    const user = cloud.users.get(from?.user_id ?? '')
    if (!from || !user || from.app_credential_id) throw unauthorized()
    return {user, methods: [...new Set(['token', ...from.methods])], from}
  }
  if (methods[0] === 'application_credential') return proveCredential(cloud, identity?.application_credential)
  throw unauthorized()
}

function proveCredential(cloud: Cloud, given: (Named & {secret?: string; user?: Named}) | undefined): Proof {
  const owner = find(cloud.users, given?.user)
  const credential = given?.id
    ? cloud.app_credentials.get(given.id)
    : [...cloud.app_credentials.values()].find(one => one.name === given?.name && one.user_id === owner?.id)
  const user = cloud.users.get(credential?.user_id ?? '')
  if (!credential || !user || !same(given?.secret, credential.secret)) throw unauthorized()
  if (credential.expires_at !== null && Date.parse(credential.expires_at) <= Date.now()) throw unauthorized()
  return {user, methods: ['application_credential'], credential}
}

function scopeOf(
  cloud: Cloud,
  body: AuthBody,
  proof: Proof,
): {project: Project | undefined; roles: RoleName[]} {
  const scope = body.auth?.scope
  if (proof.credential) {
    const project = cloud.projects.get(proof.credential.project_id)
    const now = rolesOf(cloud, proof.user.id, proof.credential.project_id)
    return {project, roles: now.filter(role => proof.credential?.roles.includes(role))}
  }
  if (scope === 'unscoped') return {project: undefined, roles: []}
  const asked = scope?.project ? find(cloud.projects, scope.project) : undefined
  if (scope !== undefined && !asked) throw unauthorized() // also domain and system scopes: nobody has a role there
  const project = asked ?? cloud.projects.get(proof.user.default_project_id ?? '')
  const roles = project ? rolesOf(cloud, proof.user.id, project.id) : []
  if (asked && roles.length === 0) throw unauthorized()
  return roles.length === 0 ? {project: undefined, roles} : {project, roles}
}

/** Issues a token. @throws ApiFault 400, 401: every wrong user, password, project or role looks the same */
export function issueToken(cloud: Cloud, body: AuthBody): TokenRecord {
  const proof = prove(cloud, body)
  const {project, roles} = scopeOf(cloud, body, proof)
  const issued = new Date(Math.floor(Date.now() / 1000) * 1000)
  const expires = proof.from?.expires_at ?? new Date(issued.getTime() + cloud.token_life * 1000)
  const token: TokenRecord = {
    id: `gAAAAAB${randomBytes(132).toString('base64url')}`,
    user_id: proof.user.id,
    project_id: project?.id ?? null,
    roles,
    methods: proof.methods,
    issued_at: issued,
    expires_at: expires,
    audit_id: randomBytes(16).toString('base64url'),
    app_credential_id: proof.credential?.id ?? null,
  }
  cloud.tokens.set(token.id, token)
  return token
}
