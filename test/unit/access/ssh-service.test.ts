import {once} from 'node:events'
import {mkdtempSync, rmSync} from 'node:fs'
import {createServer, type RequestListener, type Server} from 'node:http'
import type {AddressInfo} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterEach, expect, test} from '@jest/globals'

import {sshServiceClient} from '../../../src/access/ssh-service.ts'

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
  return (path = '') =>
    sshServiceClient({endpoint: endpoint + path, token: async () => 'secret', timeout: 500})
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

test('no answer is no result', async () => {
  const client = await fake((_, response) => {
    response.writeHead(204).end()
  })
  await expect(client().request('DELETE', '/v1/paths/x')).resolves.toBeUndefined()
})
