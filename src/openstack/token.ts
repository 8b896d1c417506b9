import {type Call, json, nonsense} from './failure.ts'
import {isRecord, record} from './merge.ts'
import type {HttpAnswer} from './transport.ts'
import type {CatalogEntry, Ref, Token} from './types.ts'

/** What may stand in an X-Auth-Token header: Fernet and JWS tokens, old UUIDs and hashes. */
export const tokenPattern = /^[\w.~+/=:-]{1,8192}$/

/**
 * The token of an answer of /v3/auth/tokens.
 *
 * @param id when it is known already (a validation); else X-Subject-Token
 * @throws OpenStackError `server` when it is not what Keystone promises
 */
export function parseToken(call: Call, answer: HttpAnswer, id?: string): {token: Token; issued: Date} {
  const fail = (what: string) => nonsense(call, what, answer)
  const secret = id ?? answer.headers['x-subject-token']
  if (typeof secret !== 'string' || !tokenPattern.test(secret)) throw fail('no token in X-Subject-Token')
  const token = record(record(json(call, answer))['token'])
  const expires = new Date(String(token['expires_at']))
  if (Number.isNaN(expires.getTime())) throw fail('the token has no expires_at')
  const issued = new Date(String(token['issued_at'] ?? ''))
  const user = named(token['user'])
  if (!user) throw fail('the token has no user')
  const project = named(token['project'])
  const roles = Array.isArray(token['roles'])
    ? token['roles'].map(role => String(record(role)['name'] ?? ''))
    : []
  return {
    token: {
      id: secret,
      expires_at: expires,
      user,
      ...(project && {project}),
      ...(record(token['system'])['all'] === true && {system: true}),
      roles,
      catalog: catalog(token['catalog']),
    },
    issued: Number.isNaN(issued.getTime()) ? new Date() : issued,
  }
}

function named(value: unknown): (Ref & {domain: Ref}) | undefined {
  const ref = reference(value)
  return ref && isRecord(value)
    ? {...ref, domain: reference(value['domain']) ?? {id: '', name: ''}}
    : undefined
}

function reference(value: unknown): Ref | undefined {
  if (!isRecord(value) || typeof value['id'] !== 'string' || !/^[\w.@:-]{1,255}$/.test(value['id']))
    return undefined
  return {id: value['id'], name: String(value['name'] ?? '')}
}

function catalog(value: unknown): CatalogEntry[] {
  if (!Array.isArray(value)) return []
  return value.filter(isRecord).map(entry => ({
    type: String(entry['type'] ?? ''),
    name: String(entry['name'] ?? ''),
    endpoints: (Array.isArray(entry['endpoints']) ? entry['endpoints'] : [])
      .filter(isRecord)
      .flatMap(endpoint => {
        const region = endpoint['region'] ?? endpoint['region_id']
        const {url} = endpoint
        if (typeof url !== 'string' || !URL.canParse(url)) return []
        return [{interface: String(endpoint['interface']), url, ...(typeof region === 'string' && {region})}]
      }),
  }))
}
