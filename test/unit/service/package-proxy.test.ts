import {once} from 'node:events'
import {createServer as createHttpServer, type IncomingMessage} from 'node:http'
import {type AddressInfo, createServer, type Server} from 'node:net'
import {type Duplex, duplexPair} from 'node:stream'

import {afterEach, beforeEach, expect, it} from '@jest/globals'

import {PackageProxy} from '../../../src/service/deploy/packages/proxy.ts'
import {eventually} from '../../support/run.ts'

/* What a gate may reach through the service while its packages are installed. A gate may be somebody else's already. */

let asked: IncomingMessage[]
let connections: number
let mirror: Server
let port: number
let proxy: PackageProxy | undefined
beforeEach(async () => {
  asked = []
  connections = 0
  mirror = createHttpServer({keepAlive: false} as object, (request, response) => {
    asked.push(request)
    if (request.url === '/silent') return
    if (request.url === '/stuck') return void response.writeHead(200, {'content-length': 100}).write('a')
    response.setHeader('x-hop', 'secret').setHeader('connection', 'close, x-hop')
    response.end(`${request.method} ${request.url}`)
  })
  mirror.on('connection', () => connections++)
  mirror.listen(0, '127.0.0.1')
  await once(mirror, 'listening')
  port = (mirror.address() as AddressInfo).port
})
afterEach(() => {
  proxy?.close()
  proxy = undefined
  mirror.close()
})

type Options = ConstructorParameters<typeof PackageProxy>[0]

/** The gate's end of a new channel. */
function channel(options: Partial<Options> = {}): Duplex {
  proxy ??= new PackageProxy({
    mirrors: [`127.0.0.1:${port}`],
    lookup: async () => {
      throw new Error('nobody asks')
    },
    ...options,
  })
  const [ours, theirs] = duplexPair()
  proxy.serve(ours)
  return theirs.on('error', () => undefined)
}

/** All that is said to it until the end. */
async function heard(end: Duplex): Promise<string> {
  let text = ''
  end.setEncoding('latin1').on('data', chunk => {
    text += chunk
  })
  await Promise.race([once(end, 'end'), once(end, 'close')])
  return text
}

function ask(line: string, options: Partial<Options> = {}, headers = ''): Promise<string> {
  const end = channel(options)
  end.write(`${line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${headers}\r\n`)
  return heard(end)
}

const status = (answer: string) => answer.split('\r\n')[0]?.replace('HTTP/1.1 ', '')

it('gets from a mirror, without what was for its neighbour only', async () => {
  const url = `http://127.0.0.1:${port}/a%2fb?c=d`
  const answer = await ask(
    `GET ${url}`,
    {},
    'proxy-authorization: Basic x\r\nx-mine: 1\r\nrange: bytes=0-\r\n',
  )
  expect(status(answer)).toBe('200 OK')
  expect(answer).toMatch(/\r\n\r\nGET \/a%2fb\?c=d$/)
  expect(answer).not.toMatch(/x-hop/i)
  expect(asked[0]?.headers).toMatchObject({host: `127.0.0.1:${port}`, range: 'bytes=0-', 'x-mine': '1'})
  expect(asked[0]?.headers).not.toHaveProperty('proxy-authorization')
  expect(await ask(`HEAD ${url}`)).toMatch(/^HTTP\/1.1 200 OK\r\n(\S+: .*\r\n)+\r\n$/)
})

it('answers several requests that were sent ahead in their order', async () => {
  const end = channel()
  const lines = ['a', 'b', 'c'].map(
    name => `GET http://127.0.0.1:${port}/${name} HTTP/1.1\r\nhost: x\r\n\r\n`,
  )
  end.write(lines.slice(0, 2).join(''))
  end.write(lines[2]?.replace('host: x', 'host: x\r\nconnection: close'))
  expect([...(await heard(end)).matchAll(/GET \/(.)/g)].map(([, name]) => name)).toEqual(['a', 'b', 'c'])
})

it('sends no body on', async () => {
  const url = `http://127.0.0.1:${port}/`
  expect(status(await ask(`GET ${url}`, {}, 'content-length: 5\r\n\r\nhello'))).toBe('200 OK')
  expect(asked.map(({headers}) => headers['content-length'] ?? headers['transfer-encoding'])).toEqual([
    undefined,
  ])
})

it('tunnels to a mirror', async () => {
  const end = channel()
  end.write(`CONNECT 127.0.0.1:${port} HTTP/1.1\r\nhost: x\r\n\r\n`)
  end.write('GET /inner HTTP/1.1\r\nhost: y\r\nconnection: close\r\n\r\n')
  const answer = await heard(end)
  expect(answer).toMatch(
    /^HTTP\/1.1 200 Connection established\r\n\r\nHTTP\/1.1 200 OK\r\n(\S+: .*\r\n)+\r\nGET \/inner$/,
  )
})

it('goes to the address that it has judged, and asks no second time', async () => {
  const names: string[] = []
  const lookup = async (name: string) => {
    names.push(name)
    return names.length === 1 ? ['127.0.0.1'] : ['127.0.0.9']
  }
  const answer = await ask(`GET http://Mirror.LAN.:${port}/x`, {mirrors: [`mirror.lan:${port}`], lookup})
  expect(status(answer)).toBe('200 OK')
  expect(names).toEqual(['mirror.lan'])
})

it.each([
  '127.0.0.1',
  '127.9.9.9',
  '10.0.0.1',
  '172.16.0.1',
  '192.168.1.1',
  '169.254.169.254',
  '100.64.0.1',
  '0.0.0.0',
  '0.1.2.3',
  '224.0.0.1',
  '255.255.255.255',
  '240.0.0.1',
  '192.0.0.8',
  '198.18.0.1',
  '::1',
  '::',
  '::7f00:1',
  'fe80::1',
  'fd00:ec2::254',
  'fc00::1',
  'ff02::1',
  '::ffff:10.0.0.1',
  '64:ff9b::a00:1',
  '2002:a00:1::',
  'fec0::1',
  '4000::1',
  '2001:db8::1',
  'no address',
])('%s is refused, written as it is and behind a name', async address => {
  const lookup = async () => [address]
  const name = await ask('GET http://deb.example/x', {lookup})
  expect(status(name)).toBe('403 deb.example is neither public nor a mirror of the configuration')
  expect(status(await ask('CONNECT deb.example:443', {lookup}))).toMatch(/^403 deb.example is neither/)
  if (address === 'no address') return
  const host = address.includes(':') ? `[${address}]` : address
  expect(status(await ask(`GET http://${host}/x`))).toMatch(/^403 \S+ is neither public/)
  expect(status(await ask(`CONNECT ${host}:443`))).toMatch(/^403 \S+ is neither public/)
})

it.each([
  'http://0x7f000001/',
  'http://2130706433/',
  'http://127.1/',
  'http://0177.0.0.1/',
  'http://[::ffff:7f00:1]/',
])('%s is loopback by another spelling', async url => {
  expect(status(await ask(`GET ${url}`))).toMatch(/^403 \S+ is neither public/)
})

it('a name with one public and one private address is refused', async () => {
  const lookup = async () => ['1.1.1.1', '10.0.0.1']
  expect(status(await ask('GET http://deb.example/', {lookup}))).toMatch(/^403 deb.example is neither/)
})

it.each([
  ['GET http://1.1.1.1:8080/', '1.1.1.1:8080 is neither port 80 nor a mirror of the configuration'],
  ['GET http://1.1.1.1:443/', '1.1.1.1:443 is neither port 80 nor a mirror of the configuration'],
  ['CONNECT 1.1.1.1:80', '1.1.1.1:80 is neither port 443 nor a mirror of the configuration'],
  ['CONNECT 1.1.1.1:22', '1.1.1.1:22 is neither port 443 nor a mirror of the configuration'],
  ['CONNECT 1.1.1.1', 'CONNECT is asked for HOST:PORT'],
  ['CONNECT a@1.1.1.1:443', 'CONNECT is asked for HOST:PORT'],
  ['CONNECT 1.1.1.1:443/x', 'CONNECT is asked for HOST:PORT'],
  ['CONNECT 1.1.1.1:99999', 'CONNECT is asked for HOST:PORT'],
  ['POST http://1.1.1.1/', 'POST is none of GET, HEAD and CONNECT'],
  ['PUT http://1.1.1.1/', 'PUT is none of GET, HEAD and CONNECT'],
  ['GET /', 'this is a proxy: it is asked for http://HOST/PATH'],
  ['GET https://1.1.1.1/', 'this is a proxy: it is asked for http://HOST/PATH'],
  ['GET ftp://1.1.1.1/', 'this is a proxy: it is asked for http://HOST/PATH'],
  ['GET http://a:b@1.1.1.1/', 'this is a proxy: it is asked for http://HOST/PATH'],
])('%s is refused', async (line, sentence) => {
  const answer = await ask(line)
  expect(status(answer)).toBe(`403 ${sentence}`)
  expect(answer.endsWith(`\r\n\r\n${sentence}\n`)).toBe(true)
})

it('a mirror is its host and its port, exactly', async () => {
  const mirrors = [`127.0.0.1:${port}`, '10.0.0.1', 'a.lan']
  expect(status(await ask(`GET http://127.0.0.1:${port + 1}/`, {mirrors}))).toMatch(/^403/)
  expect(status(await ask(`GET http://127.0.0.2:${port}/`, {mirrors}))).toMatch(/^403/)
  expect(status(await ask('GET http://10.0.0.1:8080/', {mirrors}))).toMatch(/^403/)
  expect(status(await ask('CONNECT 10.0.0.1:80', {mirrors}))).toMatch(/^403/)
  expect(status(await ask('GET http://b.a.lan/', {mirrors}))).toBe('502 b.a.lan has no address')
})

it('says when it does not get there', async () => {
  const closed = createServer().listen(0, '127.0.0.1')
  await once(closed, 'listening')
  const free = (closed.address() as AddressInfo).port
  closed.close()
  const mirrors = [`127.0.0.1:${free}`]
  const sentence = '502 the service does not reach it (ECONNREFUSED)'
  expect(status(await ask(`GET http://127.0.0.1:${free}/`, {mirrors}))).toBe(sentence)
  expect(status(await ask(`CONNECT 127.0.0.1:${free}`))).toBe(sentence)
})

it('takes no long headers', async () => {
  expect(status(await ask(`GET http://127.0.0.1:${port}/`, {}, `x: ${'y'.repeat(9000)}\r\n`))).toMatch(/^431/)
})

it('no more than sixteen channels at once, and a seventeenth when one has ended', async () => {
  const [first] = Array.from({length: 16}, () => channel())
  expect(status(await heard(channel()))).toBe('503 no more than 16 connections at once')
  first?.end()
  await heard(first as Duplex)
  expect(status(await ask(`GET http://127.0.0.1:${port}/`))).toBe('200 OK')
})

it('opens one connection a channel, however many requests were sent ahead', async () => {
  const end = channel()
  end.write(`GET http://127.0.0.1:${port}/stuck HTTP/1.1\r\nhost: x\r\n\r\n`.repeat(3))
  await once(end, 'data')
  // Whatever else it had asked for is accepted before this one.
  expect(status(await ask(`GET http://127.0.0.1:${port}/`))).toBe('200 OK')
  expect(connections).toBe(2)
})

it('no more than sixteen requests ahead', async () => {
  const end = channel()
  end.write(`GET http://127.0.0.1:${port}/stuck HTTP/1.1\r\nhost: x\r\n\r\n`.repeat(17))
  await heard(end)
  expect(asked.length).toBeLessThanOrEqual(1)
})

it.each([
  ['that says nothing', ''],
  ['that does not finish its request', 'GET http'],
  ['whose mirror does not go on', 'GET http://127.0.0.1:PORT/stuck HTTP/1.1\r\nhost: x\r\n\r\n'],
  ['whose tunnel is silent', 'CONNECT 127.0.0.1:PORT HTTP/1.1\r\nhost: x\r\n\r\n'],
])('ends a channel %s', async (_, text) => {
  const begun = Date.now()
  const end = channel({idle: 200})
  end.write(text.replace('PORT', String(port)))
  await heard(end)
  expect(Date.now() - begun).toBeGreaterThanOrEqual(190)
})

it('closed, it ends all that it has opened, and takes nothing more', async () => {
  const [getting, waiting, tunnel, idle] = [channel(), channel(), channel(), channel()]
  waiting.write(`GET http://127.0.0.1:${port}/silent HTTP/1.1\r\nhost: x\r\n\r\n`)
  await eventually(
    async () => asked.length,
    count => count === 1,
  )
  getting.write(`GET http://127.0.0.1:${port}/stuck HTTP/1.1\r\nhost: x\r\n\r\n`)
  tunnel.write(`CONNECT 127.0.0.1:${port} HTTP/1.1\r\nhost: x\r\n\r\n`)
  await Promise.all([once(getting, 'data'), once(tunnel, 'data')])
  expect(connections).toBe(3)
  const ends = [getting, waiting, tunnel, idle].map(heard)
  proxy?.close()
  await Promise.all(ends)
  await heard(channel())
  const left = () => new Promise<number>(resolve => mirror.getConnections((_, count) => resolve(count)))
  expect(await eventually(left, count => count === 0)).toBe(0)
})
