import {afterAll, beforeAll, beforeEach, describe, expect, it} from '@jest/globals'

import {OsSshError} from '../../../src/errors.ts'
import {OpenStackError} from '../../../src/openstack/index.ts'
import type {GateAddress} from '../../../src/service/gates/connection.ts'
import {gates as allGates} from '../../../src/service/store/gates.ts'
import {machines as allMachines, retireMachine} from '../../../src/service/store/machines.ts'
import {openStore, type Store} from '../../../src/service/store/open.ts'
import {generateKeyPair} from '../../../src/ssh/keys.ts'
import {EPOCH, FakeCloud, type FakeServer, notFound, PUBLIC} from '../../support/fake-cloud.ts'
import type {FakeHost} from '../../support/fake-host.ts'
import {emptied, isOurs, operator, replica, rowOf, wanted} from '../../support/fleet.ts'

const {tend} = await import('../../../src/service/deploy/machine.ts')

/* What may go wrong while a gate is made, and that nothing of it is left then. */

let db: Store
let cloud: FakeCloud
beforeAll(async () => {
  db = await openStore(':memory:')
})
afterAll(() => db.destroy())
beforeEach(async () => {
  await emptied(db)
  cloud = new FakeCloud()
})

const make = async (given: Parameters<typeof wanted>[2] = {}, config: Parameters<typeof replica>[2] = {}) => {
  const id = await wanted(cloud, db, given)
  await tend(replica(cloud, db, config), id, isOurs)
  return id
}
const isNothingLeft = () =>
  expect([cloud.alive(), cloud.ports, cloud.floating, cloud.groups, cloud.serverGroups].flat()).toEqual([])
/** It has failed for this, and has left nothing. */
async function failed(id: string, reason: unknown): Promise<void> {
  expect(await rowOf(db, id)).toMatchObject({
    ...{state: 'failed', reason, first_key: null, next_key: null},
    cleared_at: expect.any(Number),
  })
  isNothingLeft()
  expect(await allGates(db)).toEqual([])
}
/** Instead of the first such call. */
function instead(call: string, error: Error): void {
  let once = false
  cloud.cut = (_, name) => {
    if (name !== call || once) return undefined
    once = true
    return error
  }
}
const always = (call: string, error: Error) => {
  cloud.cut = (_, name) => (name === call ? error : undefined)
}
const block = (key: string) =>
  `-----BEGIN SSH HOST KEY KEYS-----\n${key} root@gate\n-----END SSH HOST KEY KEYS-----\n`

describe('the cloud', () => {
  it('has no image: a sentence before anything is made', async () => {
    Object.assign(cloud.facts, {images: []})
    const id = await make()
    await failed(id, expect.stringContaining('image'))
    expect(cloud.calls.filter(call => /create/.test(call))).toEqual([])
  })

  it('runs out of quota in the middle', async () => {
    const words = 'Quota exceeded for instances: Requested 1, but already used 10 of 10 instances'
    instead('createServer', new OpenStackError('quota', words, {status: 403}))
    const id = await make()
    expect(cloud.calls).toEqual(expect.arrayContaining(['createPort', 'createFloatingIp', 'deletePort']))
    await failed(id, `the cloud refuses: ${words}`)
  })

  it.each(['conflict', 'bad-request'] as const)('has no floating IP (%s)', async fault => {
    const words = `No more IP addresses available on network ${PUBLIC}.`
    always('createFloatingIp', new OpenStackError(fault, words))
    const id = await make()
    await failed(id, expect.stringContaining(words))
    expect(cloud.now - EPOCH).toBeLessThan(310_000)
    expect((await rowOf(db, id)).reason).not.toContain('console')
  })

  it('calls the server ERROR: Nova’s own words, harmless', async () => {
    cloud.booted = server =>
      Object.assign(server, {forced: 'ERROR', fault: {message: 'No valid host was \u001b[31mfound.'}})
    const id = await make()
    await failed(id, 'Nova says: No valid host was \\u001b[31mfound.')
    expect(cloud.now - EPOCH).toBeLessThan(10_000)
  })

  it('deletes the server while it boots', async () => {
    cloud.booted = server => {
      server.gone = cloud.now + 700
    }
    await failed(await make(), 'its server was deleted while it booted')
  })

  it.each(['unauthorized', 'server', 'unreachable', 'not-found', 'conflict'] as const)(
    'answers %s once: it goes on',
    async fault => {
      instead('createPort', new OpenStackError(fault, 'not now'))
      const id = await make()
      expect(await rowOf(db, id)).toMatchObject({state: 'running', reason: null})
      expect(cloud.ports).toHaveLength(1)
    },
  )

  it.each(['forbidden', 'bad-request', 'quota'] as const)('answers %s: it would again', async fault => {
    always('createPort', new OpenStackError(fault, 'never'))
    await failed(await make(), 'the cloud refuses: never')
    expect(cloud.calls.filter(call => call === 'createPort')).toHaveLength(1)
  })

  it('takes the token back during the boot', async () => {
    instead(
      'server',
      new OpenStackError('unauthorized', 'The request you have made requires authentication.'),
    )
    expect(await rowOf(db, await make())).toMatchObject({state: 'running', reason: null})
  })

  it('refuses to delete once: it is asked again', async () => {
    const id = await make()
    await retireMachine(db, await rowOf(db, id), 'gate-delete', operator, cloud.now)
    instead('deleteServer', new OpenStackError('forbidden', 'locked'))
    await tend(replica(cloud, db), id, isOurs)
    expect(await allMachines(db)).toEqual([])
    isNothingLeft()
  })
})

describe('the host', () => {
  const boots = (what: (host: FakeHost, server: FakeServer) => void) => {
    cloud.booted = (server, host) => what(host, server)
  }

  it.each([
    ['', 'nothing answers; its console shows nothing'],
    [
      '[    1.0] Kernel panic\r\n\u001b[2Jlogin: \u202e',
      'nothing answers; its console ends with: [    1.0] Kernel panic | \\u001b[2Jlogin: \\u202e',
    ],
  ])('never answers, its console says %j', async (said, told) => {
    boots(host => Object.assign(host, {isSilent: true, console: said}))
    const id = await make({}, {bootTimeout: 60})
    await failed(id, `it was not ready within 60 s: ${told}`)
    expect(cloud.now - EPOCH).toBeGreaterThan(60_000)
    expect(cloud.now - EPOCH).toBeLessThan(66_000)
  })

  it('the end of a long console is shown', async () => {
    boots(host => Object.assign(host, {isSilent: true, console: `${'x'.repeat(5000)} the end`}))
    const {reason} = await rowOf(db, await make())
    expect(reason).toMatch(/x the end$/)
    expect(reason?.length).toBeLessThan(500)
  })

  it('has another key by its console: nothing is run on it', async () => {
    const other = generateKeyPair('x').publicKey.split(' ').slice(0, 2).join(' ')
    let host: FakeHost | undefined
    boots(one => {
      host = Object.assign(one, {console: block(other)})
    })
    await failed(await make(), 'the console of the gate shows another host key than it was booted with')
    expect(new Set(host?.ran)).toEqual(new Set(['nothing']))
  })

  it('has another key when it is met: nothing is run on it', async () => {
    const other = generateKeyPair('x').publicKey.split(' ').slice(0, 2).join(' ')
    let host: FakeHost | undefined
    boots(one => {
      host = Object.assign(one, {key: other})
    })
    const why = 'it was not ready within 300 s: the gate shows another host key'
    await failed(await make(), expect.stringContaining(why))
    expect(host?.ran).toEqual([])
  })

  it('has the image’s own key until cloud-init has run', async () => {
    let met = 0
    boots(host => {
      const meet = host.meet.bind(host)
      host.meet = key => {
        if (met++ < 5) throw new OsSshError('HOST_KEY', 'the gate shows another host key')
        meet(key)
      }
    })
    expect(await rowOf(db, await make())).toMatchObject({state: 'running', reason: null})
  })

  it('has its key by its console, or nobody may read that', async () => {
    boots(host => Object.assign(host, {console: block(host.key)}))
    expect(await rowOf(db, await make())).toMatchObject({state: 'running'})
    always('consoleLog', new OpenStackError('forbidden', 'no'))
    const id = 'ffffffff-0000-4000-8000-000000000000'
    await make({id})
    expect(await rowOf(db, id)).toMatchObject({state: 'running'})
  })

  it('is a gate from the moment on that it has its own key, and is woken', async () => {
    const id = await wanted(cloud, db)
    const service = replica(cloud, db)
    await tend(service, id, isOurs)
    expect(service.woken).toEqual([id])
    const [host] = cloud.hosts.values()
    expect(host?.ran).toEqual(['nothing', 'new-host-key', 'take-host-key', 'nothing', 'has-packages'])
  })

  it('starts its sshd anew with the key that it has made: asked until it is back, while Nova is not', async () => {
    let refused = 0
    cloud.cut = (_, call) => {
      const [host] = cloud.hosts.values()
      const isAway = call === 'run nothing' && host?.ran.includes('take-host-key') && refused++ < 5
      return isAway ? new OsSshError('GATE_DOWN', 'connection refused') : undefined
    }
    expect(await rowOf(db, await make())).toMatchObject({state: 'running', reason: null})
    expect(cloud.calls.slice(cloud.calls.indexOf('run take-host-key') + 1)).toEqual([
      ...Array.from({length: 6}, () => 'run nothing'),
      'run has-packages',
    ])
  })

  it.each([
    ['has all', 2, undefined],
    ['gets no packages, and is asked once more', 3, 'run has-packages'],
  ])('that %s has %i connections, which are closed', async (_, count, wrong) => {
    if (wrong !== undefined) always(wrong, new OsSshError('CLOUD_REFUSED', 'no'))
    cloud.booted = server => {
      // As if it answered at once: each try before is a connection of its own.
      Object.assign(server, {made: server.made - 60_000})
    }
    const id = await wanted(cloud, db)
    const service = replica(cloud, db)
    let [opened, closed] = [0, 0]
    const connect = (address: GateAddress) => {
      opened++
      return Object.assign(cloud.connect(address), {close: () => closed++})
    }
    Object.assign(service.context, {connect})
    await tend(service, id, isOurs)
    expect((await rowOf(db, id)).state).toBe(wrong === undefined ? 'running' : 'failed')
    expect([opened, closed]).toEqual([count, count])
  })

  it('is deleted by an operator while it boots: it is no gate, and goes', async () => {
    const id = await wanted(cloud, db)
    cloud.cut = async (_, call) => {
      if (call === 'run has-packages')
        await retireMachine(db, await rowOf(db, id), 'gate-delete', operator, cloud.now)
      return undefined
    }
    const service = replica(cloud, db)
    await tend(service, id, isOurs)
    expect(service.woken).toEqual([])
    expect(await allMachines(db)).toEqual([])
    expect(await allGates(db)).toEqual([])
    isNothingLeft()
  })
})

describe('the service', () => {
  /* What is late counts from the step before, and is found out when a step fails. */
  it.each([
    ['ahead', 3_600_000],
    ['behind', -3_600_000],
  ] as const)('jumps an hour %s while the server is built: it is a gate all the same', async (_, jump) => {
    cloud.booted = () => {
      cloud.skew = jump
    }
    expect((await rowOf(db, await make())).state).toBe('running')
  })

  it('jumps an hour when the gate is ready: it is one', async () => {
    cloud.cut = (_, call) => {
      if (call === 'run new-host-key' && cloud.at(cloud.floating[0]?.floating_ip_address ?? ''))
        cloud.skew = 3_600_000
      return undefined
    }
    expect((await rowOf(db, await make())).state).toBe('running')
  })

  it('does nothing for a machine that is another replica’s, or when it stops', async () => {
    const id = await wanted(cloud, db)
    await tend(replica(cloud, db), id, async () => false)
    const stopped = replica(cloud, db)
    Object.assign(stopped.context.jobs, {stopped: true})
    await tend(stopped, id, isOurs)
    expect(cloud.calls).toEqual([])
  })

  it('has no database: the gate is not at fault', async () => {
    always('createPort', new OsSshError('SERVICE_DOWN', 'the database does not answer'))
    const id = await wanted(cloud, db)
    await expect(tend(replica(cloud, db), id, isOurs)).rejects.toMatchObject({code: 'SERVICE_DOWN'})
    expect((await rowOf(db, id)).state).toBe('wanted')
  })

  it('a mistake of its own is no fault of the gate: it is not deleted for it', async () => {
    always('createServer', new TypeError('undefined is not a function'))
    const id = await wanted(cloud, db)
    await expect(tend(replica(cloud, db), id, isOurs)).rejects.toThrow('undefined is not a function')
    expect((await rowOf(db, id)).state).toBe('wanted')
    expect(cloud.ports).toHaveLength(1)
  })
})

it('a server that Nova does not know any more when it is to be deleted is deleted', async () => {
  const id = await make()
  await retireMachine(db, await rowOf(db, id), 'gate-delete', operator, cloud.now)
  cloud.cut = (_, call) => {
    if (call !== 'deleteServer') return undefined
    for (const server of cloud.servers) server.gone = cloud.now
    return notFound('Instance could not be found')
  }
  await tend(replica(cloud, db), id, isOurs)
  expect(await allMachines(db)).toEqual([])
  isNothingLeft()
})
