import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {createServer as createHttp, type Server} from 'node:http'
import {createServer as createHttps} from 'node:https'
import {type AddressInfo, connect} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import type {TLSSocket} from 'node:tls'

import {afterAll, afterEach, beforeAll, expect, test} from '@jest/globals'

import {type CloudConfig, openStack} from '../../../src/openstack/index.ts'
import {selfSigned} from '../../support/tls.ts'
import {issue} from './fake.ts'

let dir: string
let keystone: Server
let proxy: Server
/** What went through the proxy. */
let tunnelled: string[] = []
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'tls-'))
  const {tls} = selfSigned(dir, 'IP:127.0.0.1,DNS:keystone.invalid')
  keystone = createHttps(tls, (_, response) => {
    const {headers, body} = issue('http://127.0.0.1:1', 'over-tls')
    response.writeHead(201, headers).end(JSON.stringify(body))
  })
  proxy = createHttp((request, response) => {
    tunnelled.push(request.url ?? '')
    const {headers, body} = issue('http://127.0.0.1:1', 'by-proxy')
    response.writeHead(201, headers).end(JSON.stringify(body))
  })
  proxy.on('connect', (request, client) => {
    tunnelled.push(request.url ?? '')
    const upstream = connect((keystone.address() as AddressInfo).port, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 OK\r\n\r\n')
      upstream.pipe(client).pipe(upstream)
    })
    upstream.on('error', () => client.destroy())
    client.on('error', () => upstream.destroy())
  })
  for (const server of [keystone, proxy]) await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
})
afterEach(() => {
  tunnelled = []
})
afterAll(async () => {
  for (const server of [keystone, proxy]) {
    server.closeAllConnections()
    await new Promise(done => server.close(done))
  }
  rmSync(dir, {recursive: true})
})

const portOf = (server: Server) => (server.address() as AddressInfo).port

async function tokenId(host: string, config: Partial<CloudConfig>): Promise<string> {
  const auth = {auth_url: `${host}/v3`, username: 'alice', password: 'secret'}
  const cloud = openStack({name: 'tls', auth, ...config}, {retryDelay: 1, timeout: 5000})
  try {
    return (await cloud.identity.token()).id
  } finally {
    await cloud.close()
  }
}

test('an authority that nobody vouches for is refused, with cacert or verify: false it is not', async () => {
  const host = `https://127.0.0.1:${portOf(keystone)}`
  await expect(tokenId(host, {})).rejects.toMatchObject({
    fault: 'unreachable',
    message: expect.stringContaining('of an authority that is not known here'),
  })
  expect(await tokenId(host, {cacert: join(dir, 'server.pem')})).toBe('over-tls')
  expect(await tokenId(host, {verify: false})).toBe('over-tls')
})

test('cacert covers the authority, not the name', async () => {
  const host = `https://localhost:${portOf(keystone)}`
  await expect(tokenId(host, {cacert: join(dir, 'server.pem')})).rejects.toMatchObject({fault: 'unreachable'})
})

test('a cacert that cannot be read is a config fault', async () => {
  const host = `https://127.0.0.1:${portOf(keystone)}`
  await expect(tokenId(host, {cacert: join(dir, 'none.pem')})).rejects.toMatchObject({
    fault: 'config',
    message: expect.stringContaining('none.pem'),
  })
})

test('HTTPS goes through the proxy in a tunnel, still verified end to end', async () => {
  const settings = {https_proxy: `http://127.0.0.1:${portOf(proxy)}`}
  expect(
    await tokenId('https://keystone.invalid:443', {proxy: settings, cacert: join(dir, 'server.pem')}),
  ).toBe('over-tls')
  expect(tunnelled).toEqual(['keystone.invalid:443'])
  await expect(
    tokenId('https://other.invalid', {proxy: settings, cacert: join(dir, 'server.pem')}),
  ).rejects.toMatchObject({fault: 'unreachable'})
})

test('HTTP goes through the proxy, what no_proxy names does not', async () => {
  const settings = {http_proxy: `http://user:hidden@127.0.0.1:${portOf(proxy)}`}
  expect(await tokenId('http://keystone.invalid:5000', {proxy: settings})).toBe('by-proxy')
  expect(tunnelled).toEqual(['http://keystone.invalid:5000/v3/auth/tokens'])
  const error = await tokenId('http://keystone.invalid:5000', {
    proxy: {...settings, no_proxy: '.invalid'},
  }).catch(caught => caught)
  expect(error).toMatchObject({fault: 'unreachable'})
  expect(error.message).not.toContain('hidden')
  expect(tunnelled).toHaveLength(1)
})

test('a proxy that is down names no password of its own', async () => {
  const settings = {https_proxy: 'http://user:hidden@127.0.0.1:1'}
  const error = await tokenId('https://keystone.invalid', {proxy: settings}).catch(caught => caught)
  expect(error).toMatchObject({fault: 'unreachable'})
  expect(error.message).not.toContain('hidden')
})

test('a client certificate is shown, its key from a file of its own or the same one', async () => {
  const alice = selfSigned(dir, 'DNS:alice', 'alice')
  const both = join(dir, 'both.pem')
  writeFileSync(both, readFileSync(alice.key, 'utf8') + readFileSync(alice.cert, 'utf8'))
  const shown: unknown[] = []
  const {tls, cert: cacert} = selfSigned(dir, 'IP:127.0.0.1', 'mutual')
  const ask = {requestCert: true, rejectUnauthorized: true, ca: alice.tls.cert}
  const mutual = createHttps({...tls, ...ask}, (request, response) => {
    shown.push((request.socket as TLSSocket).getPeerCertificate().subject.CN)
    const {headers, body} = issue('http://127.0.0.1:1', 'known')
    response.writeHead(201, headers).end(JSON.stringify(body))
  })
  await new Promise<void>(done => mutual.listen(0, '127.0.0.1', done))
  try {
    const host = `https://127.0.0.1:${portOf(mutual)}`
    expect(await tokenId(host, {cacert, cert: alice.cert, key: alice.key})).toBe('known')
    expect(await tokenId(host, {cacert, cert: both})).toBe('known')
    await expect(tokenId(host, {cacert})).rejects.toMatchObject({fault: 'unreachable'})
    expect(shown).toEqual(['alice', 'alice'])
  } finally {
    mutual.closeAllConnections()
    await new Promise(done => mutual.close(done))
  }
})
