import {keystone} from './auth.ts'
import type {Identity} from './calls.ts'
import type {Client} from './client.ts'
import {OpenStackError} from './errors.ts'
import {pageOf} from './paging.ts'
import {checked, id, text} from './shape.ts'
import {parseToken, tokenPattern} from './token.ts'
import type {Ref, Token} from './types.ts'

/** Keystone v3, at auth_url (the catalog's own entry often points to where users cannot reach it). */
export function identityOf(client: Client): Identity {
  const at = (method: string, ...path: string[]) => ({
    service: 'identity',
    method,
    url: keystone(client.config, ...path),
  })
  return {
    token: () => client.token(),
    async validate(token: string): Promise<Token> {
      if (!tokenPattern.test(token))
        throw new OpenStackError('unauthorized', 'that is not a token', {service: 'identity', status: 401})
      const request = at('GET', 'auth', 'tokens')
      try {
        const answer = await client.send({
          ...request,
          headers: {'x-auth-token': token, 'x-subject-token': token},
        })
        return parseToken(request, answer, token).token
      } catch (error) {
        // A token that died between the two looks at it: not found as the subject, valid as the caller.
        if (error instanceof OpenStackError && error.fault === 'not-found') {
          throw new OpenStackError('unauthorized', error.message, {...error, cause: error})
        }
        throw error
      }
    },
    renew() {
      if (client.held) client.forget(client.held)
    },
    adopt(token) {
      client.adopt(token)
    },
    get until() {
      return client.until
    },
    async revoke(): Promise<void> {
      const token = client.held
      if (!token) return
      client.forget(token)
      const headers = {'x-auth-token': token.id, 'x-subject-token': token.id}
      // 401 and 404: it was not valid any more, which is what was asked for.
      await client.send({...at('DELETE', 'auth', 'tokens'), headers, accept: [401, 404]})
    },
    async projects(): Promise<readonly Ref[]> {
      const request = at('GET', 'auth', 'projects')
      const {entries} = pageOf(request, await client.request(request), 'projects')
      return entries.map(entry => checked<Ref>('identity', 'project', entry, {id, name: text}))
    },
  }
}
