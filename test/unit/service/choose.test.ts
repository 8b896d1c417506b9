import {describe, expect, it} from '@jest/globals'

import type {Flavor, Image} from '../../../src/openstack/index.ts'
import {choose} from '../../../src/service/deploy/choice/choose.ts'
import type {Wish} from '../../../src/service/deploy/choice/plan.ts'
import type {Seen} from '../../../src/service/deploy/choice/seen.ts'
import {external, fault, flavor, GiB, image, network, quota, seen} from '../../support/seen.ts'

it('a plan is data', () => {
  expect(choose(seen(), {})).toEqual({
    image: {id: 'ubuntu', name: 'ubuntu'},
    flavor: {id: 'small', name: 'small'},
    network: {id: 'net', name: 'net'},
    subnet: 'sub',
    address: {kind: 'floating', network: {id: 'public', name: 'public'}},
    count: 1,
    quota: [
      {resource: 'instances', needs: 1, used: 0, limit: 10},
      {resource: 'cores', needs: 1, used: 0, limit: 20},
      {resource: 'ram', needs: 1024, used: 0, limit: 51_200},
      {resource: 'port', needs: 1, used: 1, limit: 500},
      {resource: 'floatingip', needs: 1, used: 1, limit: 50},
      {resource: 'security_group', needs: 1, used: 1, limit: 10},
    ],
  })
})

describe('the image', () => {
  const of = (images: Image[], word?: string) =>
    choose(seen({images}), {flavor: 'small', ...(word && {image: word})}).image.id
  const plainly = {os_distro: undefined, os_version: undefined} as unknown as Partial<Image>

  it.each<[string, Image[]]>([
    ['Ubuntu before Debian', [image('b', {os_distro: 'debian', os_version: '99'}), image('best')]],
    ['its newest release, by number', [image('b', {os_version: '9.10'}), image('best')]],
    ['its newest build', [image('b'), image('best', {created_at: '2026-02-01T00:00:00Z'})]],
    [
      'a number before a code name',
      [image('b', {os_version: 'noble'}), image('best', {os_version: '20.04'})],
    ],
    [
      'public before its own',
      [image('b', {visibility: 'private', owner: 'infra', os_version: '26.04'}), image('best')],
    ],
    [
      'its own before a shared one',
      [
        image('b', {visibility: 'shared', os_version: '26.04'}),
        image('best', {visibility: 'private', owner: 'infra'}),
      ],
    ],
    [
      'never a stranger’s, open to everybody',
      [image('b', {visibility: 'community', os_version: '26.04'}), image('best')],
    ],
    ['its own, open to everybody', [image('best', {visibility: 'community', owner: 'infra'})]],
    [
      'never a snapshot of a server',
      [image('b', {image_type: 'snapshot', os_version: '26.04'}), image('best')],
    ],
    ['never an installer', [image('b', {disk_format: 'iso', os_version: '26.04'}), image('best')]],
    [
      'never another machine’s',
      [image('b', {architecture: 'aarch64'}), image('best', {architecture: 'x86_64', os_version: '20.04'})],
    ],
    [
      'never another machine’s, by its name',
      [image('b', {name: 'ubuntu-24.04-arm64'}), image('best', {os_version: '20.04'})],
    ],
    [
      'never one without cloud-init',
      [
        image('b', {os_distro: 'debian', name: 'debian-12-nocloud-amd64'}),
        image('best', {os_distro: 'debian', os_version: '11'}),
      ],
    ],
    ['never one that is not there yet', [image('b', {status: 'queued', os_version: '26.04'}), image('best')]],
    [
      'a property before a name',
      [image('b', {...plainly, name: 'Ubuntu 26.04'}), image('best', {os_distro: 'debian'})],
    ],
    [
      'by the name, its release too',
      [
        image('b', {...plainly, name: 'Ubuntu 22.04 LTS'}),
        image('best', {...plainly, name: 'ubuntu-24.04-server-cloudimg-amd64'}),
      ],
    ],
    [
      'Debian’s by the name',
      [
        image('b', {...plainly, name: 'cirros'}),
        image('best', {...plainly, name: 'debian-12-genericcloud-amd64'}),
      ],
    ],
  ])('%s', (_, images) => {
    expect(of(images)).toBe('best')
  })

  it('is no stranger’s, were it the only one', () => {
    expect(fault(seen({images: [image('b', {visibility: 'community'})]})).code).toBe('NO_GATE')
  })

  it('is any that is named, a stranger’s only by its id', () => {
    const odd = image('odd', {name: 'my own', os_distro: 'fedora', architecture: 'aarch64'})
    const strange = image('strange', {visibility: 'community', name: 'ubuntu'})
    const all = [image('ubuntu', {name: 'ubuntu'}), odd, strange]
    expect(of(all, 'my own')).toBe('odd')
    expect(of(all, 'ubuntu')).toBe('ubuntu')
    expect(of(all, 'strange')).toBe('strange')
    expect(fault(seen({images: [image('other'), strange]}), {image: 'ubuntu'})).toMatchObject({code: 'USAGE'})
  })
})

describe('the flavor', () => {
  const of = (flavors: Flavor[], change: Partial<Seen> = {}) => choose(seen({flavors, ...change}), {})

  it.each<[string, Flavor[]]>([
    ['the least RAM', [flavor('b', {ram: 2048}), flavor('best', {vcpus: 4})]],
    ['then the fewest vCPUs', [flavor('b', {vcpus: 2}), flavor('best', {disk: 100})]],
    ['then the smallest disk', [flavor('b', {disk: 20}), flavor('best')]],
    ['then the name', [flavor('2', {name: 'm1.b'}), flavor('best', {name: 'm1.a'})]],
    ['enough RAM', [flavor('b', {ram: 512}), flavor('best')]],
    ['room for the image', [flavor('b', {disk: 1}), flavor('best')]],
    ['one with a disk among equals', [flavor('b', {disk: 0}), flavor('best')]],
    ['no disabled one', [flavor('b', {'OS-FLV-DISABLED:disabled': true}), flavor('best', {ram: 4096})]],
  ])('%s', (_, flavors) => {
    expect(of(flavors).flavor.id).toBe('best')
  })

  it.each([
    {'pci_passthrough:alias': 'a100:1'},
    {'resources:VGPU': '1'},
    {'resources1:VGPU': '1'},
    {'resources_GPU:CUSTOM_A100': '1'},
    {'resources:CUSTOM_BAREMETAL': '1', 'resources:VCPU': '0'},
    {'trait:CUSTOM_GPU_HOST': 'required'},
    {'trait:HW_GPU_API_VULKAN': 'required'},
    {'accel:device_profile': 'fpga'},
  ])('%j takes what others need', extra_specs => {
    expect(of([flavor('b', {extra_specs}), flavor('best', {ram: 4096})]).flavor.id).toBe('best')
  })

  it.each([
    {'hw:cpu_policy': 'shared'},
    {'aggregate_instance_extra_specs:ssd': 'true'},
    {'trait:STORAGE_DISK_SSD': 'required'},
    {'trait:CUSTOM_GPU_HOST': 'forbidden'},
    {'resources:DISK_GB': '0'},
  ])('%j is ordinary', extra_specs => {
    expect(of([flavor('best', {extra_specs}), flavor('b', {ram: 4096})]).flavor.id).toBe('best')
  })

  it('is less for Debian, and what the image says', () => {
    const two = [flavor('small', {ram: 512}), flavor('large', {ram: 8192})]
    const debian = (change: Partial<Image> = {}) => ({images: [image('d', {os_distro: 'debian', ...change})]})
    expect(of(two, debian()).flavor.id).toBe('small')
    expect(of(two, debian({min_ram: 4096})).flavor.id).toBe('large')
    expect(of([flavor('b'), flavor('best', {disk: 40})], debian({min_disk: 30})).flavor.id).toBe('best')
  })

  it('without a disk boots from a volume, where there are volumes', () => {
    const none = [flavor('diskless', {disk: 0})]
    expect(of(none)).toMatchObject({flavor: {id: 'diskless'}, volume: 3})
    expect(of(none, {images: [image('i', {min_disk: 8})]}).volume).toBe(8)
    expect(of(none, {images: [image('i', {virtual_size: 5 * GiB + 1})]}).volume).toBe(6)
    expect(of([flavor('b')]).volume).toBeUndefined()
    expect(fault(seen({flavors: none, volumes: false})).code).toBe('NO_GATE')
  })

  it('is any that is named and that Nova takes', () => {
    const tiny = seen({flavors: [flavor('1', {name: 'tiny', ram: 64}), flavor('big')]})
    expect(choose(tiny, {flavor: 'tiny'}).flavor).toEqual({id: '1', name: 'tiny'})
  })
})

describe('the zone and the number', () => {
  it('are as they were wished', () => {
    expect(choose(seen({zones: ['east', 'west']}), {zone: 'west', count: 2})).toMatchObject({
      zone: 'west',
      count: 2,
    })
    expect(choose(seen(), {})).not.toHaveProperty('zone')
  })

  it('multiply what it takes, and want a server group', () => {
    const {quota: rows} = choose(seen(), {count: 3, address: 'floating'})
    expect(Object.fromEntries(rows.map(({resource, needs}) => [resource, needs]))).toEqual({
      instances: 3,
      cores: 3,
      ram: 3072,
      server_groups: 1,
      port: 3,
      floatingip: 3,
      security_group: 1,
    })
  })
})

describe('the quota', () => {
  it('without a limit is enough, and unknown is not too little', () => {
    const endless = {...seen().limits, maxTotalInstances: -1, totalInstancesUsed: 4000}
    const {quota: rows} = choose(seen({limits: endless, quotas: {port: quota(-1, 9000)}}), {})
    expect(rows).toContainEqual({resource: 'instances', needs: 1, used: 4000, limit: -1})
    expect(rows.map(row => row.resource)).toEqual(['instances', 'cores', 'ram', 'port'])
  })

  it('of floating IPs does not matter to who takes none', () => {
    const none = {quotas: {floatingip: quota(0, 0)}, networks: [external('public')]}
    expect(choose(seen(none), {address: 'direct'}).address.kind).toBe('direct')
  })
})

describe('what does not fit is a sentence', () => {
  const many = Array.from({length: 10}, (_, n) => image(`i${n}`, {os_distro: 'fedora', name: `fedora-${n}`}))
  const evil = image('e', {os_distro: 'fedora', name: 'a\u001b[2Jb'})

  it.each<[string, Partial<Seen>, Wish, string, string]>([
    [
      'no image',
      {images: many},
      {},
      'NO_GATE',
      'no image is one of Ubuntu or Debian for x86_64; there are: fedora-0, fedora-1, fedora-2, fedora-3, fedora-4, fedora-5, fedora-6, fedora-7 and 2 more',
    ],
    [
      'no image at all',
      {images: []},
      {},
      'NO_GATE',
      'no image is one of Ubuntu or Debian for x86_64; there are: none',
    ],
    [
      'an image named after an escape',
      {images: [evil]},
      {image: 'x\u001b'},
      'USAGE',
      'there is no image "x\\\\u001b"; there are: a\\u001b[2Jb',
    ],
    ['an unknown flavor', {}, {flavor: 'm1.tiny'}, 'USAGE', 'there is no flavor "m1.tiny"; there are: small'],
    [
      'a name of two',
      {images: [image('1', {name: 'u'}), image('2', {name: 'u'})]},
      {image: 'u'},
      'AMBIGUOUS',
      '2 of the images are named "u": 1, 2',
    ],
    [
      'no flavor',
      {flavors: [flavor('tiny', {ram: 64})]},
      {},
      'NO_GATE',
      'no flavor without special devices has a vCPU, 1024 MB of RAM and 2 GB of disk for the image "ubuntu"; there are: tiny',
    ],
    [
      'a flavor with too little RAM',
      {images: [image('ubuntu', {min_ram: 2048})]},
      {flavor: 'small'},
      'NO_GATE',
      'the flavor "small" has 1024 MB of RAM, and the image "ubuntu" wants 2048',
    ],
    [
      'a flavor with too small a disk',
      {images: [image('ubuntu', {min_disk: 20})]},
      {flavor: 'small'},
      'NO_GATE',
      'the flavor "small" has 10 GB of disk, and the image "ubuntu" wants 20',
    ],
    [
      'a flavor without a disk, and no volumes',
      {flavors: [flavor('small', {disk: 0})], volumes: false},
      {flavor: 'small'},
      'NO_GATE',
      'the flavor "small" has no disk, and the cloud has no volumes',
    ],
    [
      'an unknown network',
      {},
      {network: 'nat'},
      'USAGE',
      'there is no network "nat"; there are: net, public',
    ],
    [
      'an unknown external network',
      {},
      {external: 'net'},
      'USAGE',
      'there is no external network "net"; there are: public',
    ],
    ['an unknown zone', {}, {zone: 'mars'}, 'USAGE', 'there is no availability zone "mars"; there are: nova'],
    ['no gates', {}, {count: 0}, 'USAGE', '0 is no number of gates'],
    [
      'two addresses',
      {},
      {external: 'public', address: 'direct'},
      'USAGE',
      'an external network is for a floating IP, and another address is asked for',
    ],
    [
      'no network',
      {networks: [network('net')], routers: []},
      {},
      'NO_GATE',
      'there is no network for a gate: no router of the project has a way out, and none is shared or external',
    ],
    [
      'a network that nothing leads to',
      {routers: []},
      {network: 'net'},
      'NO_GATE',
      'nothing leads to the network "net": no router of the project with a way out is its gateway, and it is neither shared nor external',
    ],
    [
      'no router for a floating IP',
      {routers: []},
      {address: 'floating'},
      'NO_GATE',
      'a floating IP needs a router of the project with a way out, and there is none on any network',
    ],
    [
      'no router to the one that is named',
      {networks: [network('net'), external('public'), external('other')]},
      {external: 'other', network: 'net'},
      'NO_GATE',
      'no router of the project leads from the network "net" to "other", so that a floating IP could',
    ],
    ['no IPv6', {}, {address: 'ipv6'}, 'NO_GATE', 'there is no IPv6 subnet with a way out on any network'],
    [
      'no IPv4',
      {subnets: [], networks: [network('net')]},
      {address: 'direct', network: 'net'},
      'NO_GATE',
      'there is no IPv4 subnet on the network "net"',
    ],
    [
      'floating IPs used up',
      {quotas: {floatingip: quota(50, 50)}},
      {},
      'QUOTA',
      '1 floating IP too few: 50 of 50 are used',
    ],
    [
      'what is reserved is used',
      {quotas: {port: quota(500, 400, 99)}},
      {count: 3},
      'QUOTA',
      '2 ports too few: 499 of 500 are used',
    ],
    [
      'several used up',
      {limits: {...seen().limits, totalRAMUsed: 51_200, totalInstancesUsed: 10}},
      {},
      'QUOTA',
      '1 server too few: 10 of 10 are used; 1024 MB of RAM too few: 51200 of 51200 are used',
    ],
    [
      'no server group left',
      {limits: {...seen().limits, maxServerGroups: 1, totalServerGroupsUsed: 1}},
      {count: 2},
      'QUOTA',
      '1 server group too few: 1 of 1 are used',
    ],
  ])('%s', (_, change, wish, code, message) => {
    expect(fault(seen(change), wish)).toMatchObject({code, message})
  })

  it('that guesses what was meant', () => {
    expect(fault(seen(), {image: 'ubunt'}).suggestions).toEqual(['did you mean "ubuntu"?'])
  })
})
