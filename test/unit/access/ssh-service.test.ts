import {once} from 'node:events'
import {mkdtempSync, rmSync} from 'node:fs'
import {createServer, type RequestListener, type Server} from 'node:http'
import {createServer as createHttps} from 'node:https'
import type {AddressInfo} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterEach, expect, test} from '@jest/globals'

import {type SshServiceOptions, sshServiceClient} from '../../../src/access/ssh-service.ts'
import {selfSigned} from '../../support/tls.ts'

let server: Server | undefined
afterEach(() => {
  server?.closeAllConnections()
  server?.close()
})

async function fake(listener: RequestListener, socket?: string) {
  server = createServer(listener)
  if (socket) server.listen(socket)
  else server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const endpoint = socket ? `unix:${socket}` : `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return (path = '', timeout = 500) =>
    sshServiceClient({endpoint: endpoint + path, token: async () => 'secret', timeout})
}

test.each(['', '/', '/v1', '/v1/'])('sends the token and JSON; an endpoint may end in %j', async end => {
  const client = await fake((request, response) => {
    const {method, url, headers} = request
    response.end(JSON.stringify({method, url, token: headers['x-auth-token'], type: headers['content-type']}))
  })
  await expect(client(end).request('POST', '/v1/paths', {})).resolves.toEqual({
    method: 'POST',
    url: '/v1/paths',
    token: 'secret',
    type: 'application/json',
  })
})

test('speaks through a Unix socket', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'os-ssh-unix-'))
  const client = await fake((request, response) => response.end(JSON.stringify(request.url)), join(dir, 's'))
  await expect(client().request('GET', '/v1/paths')).resolves.toBe('/v1/paths')
  rmSync(dir, {recursive: true})
})

test.each([
  [
    409,
    {code: 'VM_OFF', detail: 'the VM is off', hint: 'start it'},
    {code: 'VM_OFF', message: 'the VM is off', suggestions: ['start it']},
  ],
  [401, {detail: 'who?'}, {code: 'NOT_LOGGED_IN'}],
  [403, {code: 'constructor', detail: 'no'}, {code: 'DENIED', message: 'no'}],
  [404, {title: 'Not Found'}, {code: 'NOT_FOUND'}],
  [503, {}, {code: 'BUSY'}],
  [429, {title: 'Too Many'}, {code: 'BUSY', message: 'Too Many'}],
  [409, {code: 'VM_OFF', detail: 'off', request_id: 'req-1'}, {code: 'VM_OFF', message: 'off'}],
  [500, {code: 'BUG', detail: 'oops', request_id: 'req-1'}, {code: 'BUG', message: 'oops (request req-1)'}],
  [500, 'not a problem', {code: 'SERVICE_DOWN'}],
])('status %i with %j', async (status, body, fault) => {
  const client = await fake((_, response) => {
    response.writeHead(status).end(JSON.stringify(body))
  })
  await expect(client().request('GET', '/v1/paths')).rejects.toMatchObject(fault)
})

test('a page of a proxy, a cut connection and silence are SERVICE_DOWN', async () => {
  for (const listener of [
    (_, response) => response.end('<html>'),
    (_, response) => response.destroy(),
    () => {},
  ] satisfies RequestListener[]) {
    const client = await fake(listener)
    await expect(client().request('GET', '/v1/paths')).rejects.toMatchObject({code: 'SERVICE_DOWN', exit: 69})
    server?.closeAllConnections()
    server?.close()
  }
})

test('a 404 of somebody who does not speak JSON is no VM that is missing', async () => {
  const client = await fake((_, response) => {
    response.writeHead(404).end('<html>')
  })
  await expect(client().request('GET', '/v1/paths')).rejects.toMatchObject({
    code: 'SERVICE_DOWN',
    message: expect.stringMatching(/answered nonsense: HTTP status 404$/),
  })
})

test('an answer without an end is not read to it', async () => {
  let written = 0
  const client = await fake((_, response) => {
    const more = () => {
      while (!response.destroyed && response.write('x'.repeat(1024 * 1024))) written++
    }
    response.on('drain', more)
    more()
  })
  await expect(client('', 20_000).request('GET', '/v1/paths')).rejects.toMatchObject({
    code: 'SERVICE_DOWN',
    message: expect.stringMatching(/does not answer: its answer is too long$/),
  })
  expect(written).toBeLessThan(64)
})

test('a redirection takes the token nowhere', async () => {
  let others = 0
  const other = createServer(() => others++).listen(0, '127.0.0.1')
  await once(other, 'listening')
  const location = `http://127.0.0.1:${(other.address() as AddressInfo).port}/v1/paths`
  const client = await fake((_, response) => {
    response.writeHead(307, {location}).end()
  })
  await expect(client().request('GET', '/v1/paths')).rejects.toMatchObject({code: 'SERVICE_DOWN'})
  other.close()
  expect(others).toBe(0)
})

test('an authority that nobody vouches for gets no token, unless cacert or verify: false says so', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'os-ssh-tls-'))
  const {tls, cert: cacert} = selfSigned(dir, 'IP:127.0.0.1')
  const tokens: unknown[] = []
  server = createHttps(tls, (request, response) => {
    tokens.push(request.headers['x-auth-token'])
    response.end('{}')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const {port} = server.address() as AddressInfo
  const ask = (options: Partial<SshServiceOptions>) =>
    sshServiceClient({
      endpoint: `https://127.0.0.1:${port}`,
      token: async () => 'secret',
      ...options,
    }).request('GET', '/v1/service')
  for (const verify of [undefined, true])
    await expect(ask({verify})).rejects.toMatchObject({
      code: 'SERVICE_DOWN',
      message: `the SSH service at https://127.0.0.1:${port} does not answer: its certificate is of an authority that is not known here: cacert in clouds.yaml, or NODE_EXTRA_CA_CERTS`,
    })
  // The authority is known, and not for this name.
  await expect(ask({cacert, endpoint: `https://localhost:${port}`})).rejects.toMatchObject({
    ...{code: 'SERVICE_DOWN', message: expect.stringMatching(/its certificate is for another name$/)},
  })
  expect(tokens).toEqual([])
  expect([await ask({cacert}), await ask({verify: false})]).toEqual([{}, {}])
  expect(tokens).toEqual(['secret', 'secret'])
  rmSync(dir, {recursive: true})
})

test.each(['ftp://host', 'host:8775', 'unix', ''])('the address %j is none', async endpoint => {
  const client = sshServiceClient({endpoint, token: async () => 'secret'})
  await expect(client.request('GET', '/v1/paths')).rejects.toMatchObject({
    code: 'CONFIG',
    message: `the SSH service's address is neither a URL nor unix:PATH: ${endpoint}`,
  })
})

test('no answer is no result', async () => {
  const client = await fake((_, response) => {
    response.writeHead(204).end()
  })
  await expect(client().request('DELETE', '/v1/paths/x')).resolves.toBeUndefined()
})
