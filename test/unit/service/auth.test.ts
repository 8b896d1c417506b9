import {expect, it} from '@jest/globals'
import type {FastifyRequest} from 'fastify'

import {type CloudConfig, type OpenStack, openStack, type Token} from '../../../src/openstack/index.ts'
import {authenticator, isOperator} from '../../../src/service/api/auth.ts'

/* Who is an operator: the words of the token count, not the name of the role alone. */

const project = (id: string) => ({project: {id, name: id}}) as unknown as Partial<Token>
const service = {identity: {token: async () => project('infra')}} as unknown as OpenStack

async function ask(token: Partial<Token>): Promise<{operator: boolean; admin: boolean}> {
  const expires_at = new Date(Date.now() + 3_600_000)
  const whole = {id: 'x'.repeat(20), user: {id: 'u', name: 'u'}, catalog: [], expires_at, ...token}
  const cloud = openStack({name: 'c', auth: {auth_url: 'http://127.0.0.1:1'}} as unknown as CloudConfig)
  Object.assign(cloud, {identity: {validate: async () => whole}})
  const headers = {'x-auth-token': 'x'.repeat(20)}
  const caller = await authenticator(cloud, Date.now, ['ops'])({
    headers,
    ip: '::1',
  } as unknown as FastifyRequest)
  return {operator: await isOperator(caller, service), admin: caller.admin}
}

it.each([
  ['an admin of the whole system', {roles: ['admin'], system: true}, true, true],
  ['an admin of a project that the operator named', {roles: ['admin'], ...project('ops')}, true, true],
  ['an admin of a domain', {roles: ['admin']}, false, false],
  ['an admin of any other project', {roles: ['admin', 'member'], ...project('theirs')}, false, false],
  ['a member of the service’s project', {roles: ['member'], ...project('infra')}, true, false],
  ['a reader of the service’s project', {roles: ['reader'], ...project('infra')}, false, false],
  ['a member of a project that the operator named', {roles: ['member'], ...project('ops')}, false, false],
] as [string, Partial<Token>, boolean, boolean][])('%s', async (_, token, operator, admin) => {
  expect(await ask(token)).toEqual({operator, admin})
})
