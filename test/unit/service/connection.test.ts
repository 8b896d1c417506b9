import {once} from 'node:events'
import {type AddressInfo, type Server as NetServer, Socket} from 'node:net'

import {afterEach, expect, it, jest} from '@jest/globals'
import ssh2 from 'ssh2'

import {GateConnection} from '../../../src/service/gates/connection.ts'
import {generateKeyPair} from '../../../src/ssh/keys.ts'
import {eventually} from '../../support/run.ts'

/* A gate that somebody has taken over, as a real SSH server. */

const {Server} = ssh2
const [host, user] = [generateKeyPair('gate'), generateKeyPair('management')]
let server: InstanceType<typeof Server>
let link: GateConnection | undefined
const sockets: Socket[] = []
/** How often the open connection of this test has ended. */
let losses = {count: 0}
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy()
  link?.close()
  server.close()
})

async function gate(answer: (channel: ssh2.ServerChannel) => void, login = 'root'): Promise<GateConnection> {
  server = new Server({hostKeys: [host.privateKey]}, client => {
    client.on('error', () => undefined)
    client.on('authentication', auth => auth.accept())
    client.on('session', accept => {
      accept().on('exec', (acceptExec, _, {command}) => {
        const channel = acceptExec()
        channel.on('error', () => undefined)
        channel.stderr.write(command)
        answer(channel)
      })
    })
  }).listen(0, '127.0.0.1')
  // ssh2's types know no such event of the net.Server beneath.
  ;(server as unknown as {_srv: NetServer})._srv.on('connection', socket => sockets.push(socket))
  await once(server, 'listening')
  const {port} = server.address() as AddressInfo
  const hostKey = host.publicKey.split(' ').slice(0, 2).join(' ')
  const own = {count: 0}
  losses = own
  link = new GateConnection({host: '127.0.0.1', port, login, hostKey}, user.privateKey, () => own.count++)
  return link
}

const bye = (channel: ssh2.ServerChannel) => {
  channel.exit(0)
  channel.end()
}

it('gives what a script says, and where we came from to sudo', async () => {
  const {status, stderr} = await (await gate(bye, 'debian')).run('true')
  expect({status, stderr}).toEqual({
    status: 0,
    stderr: 'sudo -n env "SSH_CONNECTION=$SSH_CONNECTION" sh -s',
  })
})

it('asks root’s own shell for nothing but what it is given', async () => {
  expect((await (await gate(bye)).run('true')).stderr).toBe('sh -s')
})

it.each<[string, () => void, string]>([
  [
    'cuts it',
    () => {
      for (const socket of sockets) socket.destroy()
    },
    'the management connection to the gate was lost',
  ],
  ['closes it', () => link?.close(), 'the management connection to the gate was lost'],
])(
  'whoever %s: what waits for an answer is told, and that it was lost is said once',
  async (_, end, message) => {
    const begun = Promise.withResolvers<void>()
    const connection = await gate(() => begun.resolve())
    const answer = connection.run('sleep 1000')
    await begun.promise
    expect(losses.count).toBe(0)
    end()
    await expect(answer).rejects.toMatchObject({code: 'GATE_DOWN', message})
    await eventually(
      async () => losses.count,
      times => times > 0,
    )
    expect(losses.count).toBe(1)
  },
)

it('after a loss the next question takes a new connection', async () => {
  const connection = await gate(bye)
  await connection.run('true')
  for (const socket of sockets.splice(0)) socket.destroy()
  await eventually(
    async () => losses.count,
    times => times > 0,
  )
  expect((await connection.run('true')).status).toBe(0)
  expect([sockets.length, losses.count]).toEqual([1, 1])
})

it('no small write waits for an answer to the one before, from the first on', async () => {
  const told = jest.spyOn(Socket.prototype, 'setNoDelay')
  try {
    const connection = await gate(bye)
    const listening = (server as unknown as {_srv: NetServer})._srv
    const met = once(listening, 'connection').then(() => told.mock.calls.map(([noDelay]) => noDelay))
    await connection.run('true')
    expect(await met).toEqual([true])
  } finally {
    told.mockRestore()
  }
})

it('names another host key, and what to do when the gate was rebuilt', async () => {
  const {port} = await gate(bye).then(() => server.address() as AddressInfo)
  const other = generateKeyPair('other').publicKey.split(' ').slice(0, 2).join(' ')
  link = new GateConnection(
    {host: '127.0.0.1', port, login: 'root', hostKey: other},
    user.privateKey,
    () => undefined,
  )
  await expect(link.run('true')).rejects.toMatchObject({
    code: 'HOST_KEY',
    suggestions: [expect.stringContaining('os-ssh gate remove, os-ssh gate add')],
  })
})

it.each(['stdout', 'stderr'] as const)('listens to no endless %s', async where => {
  let sent = 0
  const chunk = Buffer.alloc(1 << 15, 'x')
  const connection = await gate(channel => {
    const out = where === 'stdout' ? channel : channel.stderr
    const more = () => {
      while (channel.writable && sent < 1 << 28) {
        sent += chunk.length
        if (!out.write(chunk)) return void out.once('drain', more)
      }
    }
    more()
  })
  const heard: string[] = []
  await expect(connection.run('true', line => heard.push(line))).rejects.toMatchObject({
    code: 'GATE_DOWN',
    message: 'the gate says more than 1048576 bytes',
  })
  // It was told to stop, and not only not listened to.
  expect(sent).toBeLessThan(1 << 24)
  expect(heard.join('').length).toBeLessThanOrEqual(1 << 21)
})

it('waits for a script as long as it is told to', async () => {
  const connection = await gate(() => undefined)
  await expect(connection.run('sleep 1000', undefined, 200)).rejects.toMatchObject({
    code: 'GATE_DOWN',
    message: 'the gate did not finish within 0.2 s',
  })
})

it('says that a gate forwards no port, or is lost before it has said so', async () => {
  const connection = await gate(bye)
  const refused = {code: 'GATE_DOWN', message: 'the gate forwards no port: Unable to bind to 127.0.0.1:0'}
  await expect(connection.forward(() => undefined)).rejects.toMatchObject(refused)
  for (const socket of sockets) socket.pause()
  const answer = connection.forward(() => undefined)
  await connection.run('true', undefined, 1).catch(() => undefined)
  await expect(answer).rejects.toMatchObject({
    code: 'GATE_DOWN',
    message: 'the gate forwards no port: the management connection was lost',
  })
})

it('closed while it connects, leaves nothing that keeps the service alive', async () => {
  const [set, clear] = [jest.spyOn(globalThis, 'setTimeout'), jest.spyOn(globalThis, 'clearTimeout')]
  let lost = 0
  await gate(bye)
  const {port} = server.address() as AddressInfo
  const hostKey = host.publicKey.split(' ').slice(0, 2).join(' ')
  const address = {host: '127.0.0.1', port, login: 'root', hostKey}
  const connection = new GateConnection(address, user.privateKey, () => lost++)
  const answer = connection.run('true')
  connection.close()
  await expect(answer).rejects.toThrow()
  // What was never open is not lost: who waits for it to come back asks again by itself.
  expect(lost).toBe(0)
  const minutes = set.mock.results.filter((_, n) => set.mock.calls[n]?.[1] === 60_000)
  const cleared = new Set<unknown>(clear.mock.calls.flat())
  expect(minutes.map(({value}) => cleared.has(value))).toEqual(minutes.map(() => true))
  jest.restoreAllMocks()
})

it('closed is closed: a round that goes on opens no other connection', async () => {
  const connection = await gate(bye)
  await connection.run('true')
  connection.close()
  await expect(connection.run('true')).rejects.toMatchObject({
    code: 'GATE_DOWN',
    message: 'the management connection to the gate is closed',
  })
})

it('closed in the middle of a script of a gate that has gone silent, it hangs up', async () => {
  const begun = Promise.withResolvers<void>()
  const connection = await gate(() => begun.resolve())
  const answer = connection.run('sleep 1000')
  await begun.promise
  // Nothing is read any more, neither the end of the script nor that of the connection.
  for (const socket of sockets) socket.pause()
  connection.close()
  await expect(answer).rejects.toMatchObject({message: 'the management connection to the gate was lost'})
})
