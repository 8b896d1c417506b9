import {createHash} from 'node:crypto'

import type {FastifyRequest} from 'fastify'

import {OsSshError} from '../../errors.ts'
import {type OpenStack, type Token, withToken} from '../../openstack/index.ts'
import {userFault} from '../faults.ts'
import type {Caller} from '../grant.ts'

/** A validated token is believed this long, ms: what a revocation in Keystone may take to reach us. */
const BELIEVE_MS = 30_000
const MAX_CACHED = 10_000

export type Authenticate = (request: FastifyRequest) => Promise<Caller>

/** Makes callers out of requests: their token, validated with itself, and the cloud as they see it. */
export function authenticator(cloud: OpenStack, clock: () => number): Authenticate {
  const cache = new Map<string, {token: Token; until: number}>()
  return async request => {
    const secret = request.headers['x-auth-token']
    if (typeof secret !== 'string' || !/^[\x21-\x7e]{16,8192}$/.test(secret))
      throw new OsSshError('NOT_LOGGED_IN', 'this needs a Keystone token in X-Auth-Token')
    const key = createHash('sha256').update(secret).digest('base64')
    const now = clock()
    let entry = cache.get(key)
    if (entry === undefined || entry.until <= now) {
      const token = await cloud.identity.validate(secret).catch(error => {
        throw userFault(error, 'the token is not known')
      })
      entry = {token, until: Math.min(now + BELIEVE_MS, token.expires_at.getTime())}
      cache.delete(key)
      cache.set(key, entry)
      const oldest = cache.keys().next()
      if (cache.size > MAX_CACHED && !oldest.done) cache.delete(oldest.value)
    }
    return {token: entry.token, cloud: withToken(cloud, entry.token), source: request.ip}
  }
}

/** Admins everywhere; members of the project that runs the service, since it is theirs. */
export async function isOperator({token}: Caller, service: OpenStack): Promise<boolean> {
  if (token.roles.includes('admin')) return true
  const own = await service.identity.token()
  return token.roles.includes('member') && token.project !== undefined && token.project.id === own.project?.id
}
