import {afterAll, afterEach, beforeAll, describe, expect, it, jest} from '@jest/globals'

import {later} from '../../support/evidence.ts'
import {FleetView} from '../../support/fleet-view.ts'
import {LabFaults} from '../../support/lab-faults.ts'
import {eventually, type Result} from '../../support/run.ts'
import {Wall} from '../../support/wall.ts'
import {World} from '../../support/world.ts'

/* A gate that an operator asks for and that does not come to be: a sentence, an exit status, and nothing left behind. */

jest.setTimeout(300_000)

let world: World
let lab: LabFaults
let fleet: FleetView
beforeAll(async () => {
  const gates = {boot_timeout: 60, max: 2}
  world = await World.open('e2e-gate-faults', {gate: 'none', gates})
  lab = new LabFaults(world)
  fleet = await FleetView.open(world)
}, 180_000)
afterAll(() => world?.close())
afterEach(() => lab.clear())

/** What the image of `GET /v2/images` has beside. */
const IMAGE = {
  ...{owner: 'x', min_ram: 0, min_disk: 0, size: 1, disk_format: 'qcow2', container_format: 'bare'},
  ...{created_at: '2026-01-01T00:00:00Z', updated_at: '2026-01-01T00:00:00Z', tags: [], protected: false},
}
const VM_ID = '00000000-0000-4000-8000-000000000001'

const deploy = (...words: string[]) => fleet.cli('deploy', '--shared', ...words)

/** What a command that fails prints, to the end: its progress may come before. A request's id is for whoever reads logs. */
function failure({stdout, stderr, status}: Result): readonly [status: number | null, error: string] {
  const lines = stderr.trimEnd().split('\n')
  const error = lines.findLast(line => line.startsWith('error: ')) ?? stderr
  return [stdout === '' ? status : -1, error.replace(/^error: /, '').replace(/ \(request req-[\w-]+\)$/, '')]
}

describe('nothing is made', () => {
  const answer = async (...words: string[]) => failure(await deploy(...words))
  afterEach(async () => {
    expect(await fleet.left(0)).toEqual([])
    expect(await fleet.all()).toEqual([])
  })

  it('when quotas are used up', async () => {
    await Promise.all([fleet.quota('instances', 1), fleet.quota('floatingip', 0)])
    try {
      const short = '1 server too few: 1 of 1 are used; 1 floating IP too few: 0 of 0 are used'
      expect(await answer()).toEqual([75, short])
      expect(await answer('--dry-run')).toEqual([75, short])
    } finally {
      await Promise.all([fleet.quota('instances', 50), fleet.quota('floatingip', 50)])
    }
  })

  it('when there is no image', async () => {
    const there = 'cirros, debian-12, ubuntu-24.04, ubuntu-24.04-arm64'
    expect(await answer('--image', 'nope')).toEqual([64, `there is no image "nope"; there are: ${there}`])
    const images = [{id: VM_ID, name: 'cirros', status: 'active', visibility: 'public', ...IMAGE}]
    await lab.put({match: 'GET /image/v2/images', status: 200, body: {images}})
    expect(await answer()).toEqual([75, 'no image is one of Ubuntu or Debian for x86_64; there are: cirros'])
  })

  it('when there is no flavor', async () => {
    const there = 'g1.small, m1.mini, m1.small, m1.tiny, v1.small'
    expect(await answer('--flavor', 'nope')).toEqual([64, `there is no flavor "nope"; there are: ${there}`])
    expect(await answer('--flavor', 'm1.tiny')).toEqual([
      75,
      'the flavor "m1.tiny" has 64 MB of RAM, and the image "ubuntu-24.04" wants 512',
    ])
    await lab.put({match: 'GET /compute/v2.1/flavors/detail', status: 200, body: {flavors: []}})
    expect(await answer()).toEqual([
      75,
      'no flavor without special devices has a vCPU, 1024 MB of RAM and 4 GB of disk for the image "ubuntu-24.04"; there are: none',
    ])
  })

  it('when there is no external network', async () => {
    expect(await answer('--external', 'nope')).toEqual([
      64,
      'there is no external network "nope"; there are: public',
    ])
    await lab.put({match: 'GET /network/v2.0/routers', status: 200, body: {routers: []}})
    expect(await answer('--external', 'public')).toEqual([
      75,
      'no router of the project leads from any network to "public", so that a floating IP could',
    ])
    await lab.put({match: 'GET /network/v2.0/networks', status: 200, body: {networks: []}})
    expect(await answer()).toEqual([
      75,
      'there is no network for a gate: no router of the project has a way out, and none is shared or external',
    ])
  })

  it('when there would be more than there may be', async () => {
    expect(await answer('--count', '3')).toEqual([64, 'this service makes 2 gates at most'])
    expect(await answer('--count', '3', '--dry-run')).toEqual([64, 'this service makes 2 gates at most'])
  })

  it('for somebody who is no operator, which is written down', async () => {
    const refused = await world.cli('tenant1', ['gate', 'deploy'])
    expect(failure(refused)).toEqual([77, 'this is for operators of the SSH service'])
    type Audit = {audit: {action: string; user_name: string; detail: string}[]}
    const {audit} = await world.api<Audit>('service', 'GET', '/v1/audit?denials=true')
    expect(audit[0]).toMatchObject({
      ...{action: 'deny', user_name: 'alice', detail: 'DENIED POST /v1/gates/deploy'},
    })
  })
})

describe('what was made goes', () => {
  /** What the operator is told when it does not come to be. */
  async function answer(...words: string[]): Promise<readonly [number | null, string]> {
    const [status, error] = failure(await deploy(...words))
    return [status, error.replace(/^gate-[0-9a-f]{6} /, '')]
  }
  afterEach(async () => {
    expect(await fleet.left()).toEqual([])
    // It is shown for an hour, with why.
    expect((await fleet.all()).at(-1)).toMatchObject({state: 'failed', reason: expect.any(String)})
  })

  it.each([
    [
      'instances',
      1,
      50,
      'Nova answered 403: Quota exceeded for instances: Requested 1, but already used 1 of 1 instances',
    ],
    ['floatingip', 0, 50, "Neutron answered 409: Quota exceeded for resources: ['floatingip']."],
  ] as const)('when the quota of %s is used up in the middle', async (what, none, usual, sentence) => {
    // Until it is lowered the port, of which there is enough, is not made.
    await lab.put({match: 'POST /network/v2.0/ports', delay_ms: 6000, times: 1})
    const answered = answer()
    try {
      expect(
        await eventually(
          () => fleet.live(),
          gates => gates.length === 1,
        ),
      ).toHaveLength(1)
      await fleet.quota(what, none)
      expect(await answered).toEqual([75, `could not be made: the cloud refuses: ${sentence}`])
    } finally {
      await fleet.quota(what, usual)
    }
  })

  it('when the pool of floating IPs is empty', async () => {
    const message = 'No more IP addresses available on network 1f0b5a3e-1111-4111-8111-111111111111.'
    const type = 'IpAddressGenerationFailure'
    const body = {NeutronError: {type, message, detail: ''}}
    await lab.put({match: 'POST /network/v2.0/floatingips', status: 409, body})
    const since = Date.now()
    expect(await answer()).toEqual([
      75,
      `could not be made: the cloud refuses: Neutron answered 409: ${message}`,
    ])
    // Such a pool has no other address in a minute.
    expect(Date.now() - since).toBeLessThan(50_000)
  })

  it('when Nova finds no host, with its words', async () => {
    await lab.put({match: 'POST /compute/v2.1/servers', effect: 'no-host', times: 1})
    expect(await answer()).toEqual([
      75,
      'could not be made: Nova says: No valid host was found. There are not enough hosts available.',
    ])
  })

  it('when its boot data does not arrive: a host with another key is not talked to', async () => {
    await lab.put({match: 'POST /compute/v2.1/servers', effect: 'no-user-data', times: 1})
    expect(await answer()).toEqual([
      75,
      'could not be made: the console of the gate shows another host key than it was booted with',
    ])
  })

  later(() => {
    it('when somebody else answers at its address, and nothing is run there', async () => {
      const stranger = world.site.gates[0]?.host ?? ''
      const logins = async () => (await world.onGate('grep -c Accepted /var/log/sshd.log')).stdout.trim()
      const before = Number(await logins())
      const wall = Wall.divert([world.site.external_cidr], stranger)
      try {
        const sentence = expect.stringMatching(
          /^could not be made: it was not ready within 60 s: the host key of the gate at 172\.24\.[\d.]+ is not the pinned one; its console ends with: /,
        )
        expect(await answer()).toEqual([75, sentence])
      } finally {
        wall.open()
      }
      // Ours, that asked before, and this one.
      expect(Number(await logins())).toBe(before + 1)
    })
  })

  later(() => {
    it('when it never answers: how its console ends is told', async () => {
      await lab.put({match: 'POST /compute/v2.1/servers', effect: 'deaf', times: 1})
      const wall = Wall.block(world.site.external_cidr)
      try {
        // Two at once, because it takes a minute: one boots, and is not reached; the other one does not even boot.
        const both = await Promise.all([answer(), answer()])
        expect(both.map(([status]) => status)).toEqual([75, 75])
        const sentences = both.map(([, error]) => error.replaceAll(/172\.24\.[\d.]+\d/g, 'HOST'))
        const late =
          'could not be made: it was not ready within 60 s: no management connection to the gate at HOST: Timed out while waiting for handshake'
        expect(sentences.sort()).toEqual([
          expect.stringMatching(new RegExp(`^${late}; its console ends with: .* login:$`)),
          `${late}; its console shows nothing`,
        ])
      } finally {
        wall.open()
      }
    })
  })
})

describe('a gate comes to be', () => {
  afterEach(async () => {
    expect(await fleet.clear()).toEqual([])
  })

  it('without a word on its console', async () => {
    await lab.put({match: 'POST /compute/v2.1/servers/*/action', effect: 'no-console'})
    expect(await fleet.deploy()).toMatchObject({state: 'ready'})
  })

  it('beside a server of that name that is not ours, which stays', async () => {
    await lab.put({match: 'POST /network/v2.0/ports', delay_ms: 6000, times: 1})
    const answered = fleet.deploy()
    const cloud = await world.cloud('service')
    const [gate] = await eventually(
      () => fleet.live(),
      gates => gates.length === 1,
    )
    const groups = await eventually(
      () => cloud.network.securityGroups(),
      all => all.some(({name}) => /^os-ssh-.*-gates$/.test(name)),
    )
    const [, service] = groups.map(({name}) => /^os-ssh-(.*)-gates$/.exec(name)).find(Boolean) ?? []
    const image = (await cloud.image.images({name: 'debian-12'}))[0]?.id
    const name = `os-ssh-${service}-${gate?.name}`
    const stranger = await cloud.compute.createServer({name, imageRef: image, flavorRef: '1', networks: []})
    try {
      const {server_id} = await answered
      expect(server_id).not.toBe(stranger.id)
      expect(await cloud.compute.servers({name: `^${name}$`})).toHaveLength(2)
      expect(await fleet.cli('delete', gate?.id ?? '', '--yes')).toMatchObject({status: 0})
      expect(await fleet.left(0)).toEqual([`server ${name} ${stranger.id}`])
    } finally {
      await cloud.compute.deleteServer(stranger.id)
    }
  })

  it('and admits from where it was said, and nobody else', async () => {
    const reached = async (host: string) =>
      (await world.onGate(`timeout 5 bash -c 'exec 3<>/dev/tcp/${host}/22; head -c 4 <&3'`)).stdout
    const {host} = await fleet.deploy()
    const usual = await fleet.cli('allow')
    expect(usual).toMatchObject({status: 0, stdout: '0.0.0.0/0\n::/0\n'})
    expect(await reached(host)).toBe('SSH-')

    const us = world.site.external_cidr.replace(/0\/24$/, '1/32')
    expect(await fleet.cli('allow', us, '2001:db8::/32')).toMatchObject({
      ...{status: 0, stdout: `${us}\n2001:db8::/32\n`},
    })
    expect(
      await eventually(
        () => reached(host),
        said => said === '',
      ),
    ).toBe('')
    expect(await fleet.one()).toMatchObject({state: 'ready'})
    // Whoever comes after it is the same.
    expect(await fleet.clear()).toEqual([])
    const next = await fleet.deploy()
    expect(await reached(next.host)).toBe('')

    for (const wrong of ['10.0.0.1/24', '10.0.0.0/33', '2001:db8::1/32', '10.0.0.0', 'all'])
      expect(failure(await fleet.cli('allow', us, wrong))).toEqual([
        64,
        `${wrong} is not an address range such as 192.0.2.0/24`,
      ])
    expect(await fleet.cli('allow')).toMatchObject({stdout: `${us}\n2001:db8::/32\n`})
    expect(failure(await world.cli('tenant1', ['gate', 'allow', '0.0.0.0/0']))).toEqual([
      77,
      'this is for operators of the SSH service',
    ])
    expect(await fleet.cli('allow', '0.0.0.0/0', '::/0')).toMatchObject({status: 0})
    expect(
      await eventually(
        () => reached(next.host),
        said => said !== '',
      ),
    ).toBe('SSH-')
  })
  it('when all tokens expire meanwhile, the service’s too', async () => {
    await world.api('service', 'POST', '/v1/gates/deploy', {scope: 'shared'}, 202)
    expect(await fleet.until(({state}) => state === 'booting')).toMatchObject({state: 'booting'})
    await lab.expire()
    expect(await fleet.until(({state}) => state === 'ready')).toMatchObject({state: 'ready'})
  })
})
