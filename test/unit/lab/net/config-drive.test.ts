import {expect, it} from '@jest/globals'

import {configDrive, diskLimit} from '../../../../lab/net/config-drive.ts'
import {createServer} from '../../../../lab/ops/servers.ts'
import {emptyCloud} from '../../../../lab/state.ts'

const ids = {tenant_id: 'p', user_id: 'u', image_id: 'i', flavor_id: '1'}
const userData = '#cloud-config\nhostname: größer\n'
const drive = (more: object, public_key = 'ssh-ed25519 AAAA alice\n') => {
  const cloud = emptyCloud('c')
  cloud.keypairs.set('u/mine', {name: 'mine', user_id: 'u', public_key, fingerprint: '', created_at: ''})
  const user_data = Buffer.from(userData).toString('base64')
  const server = createServer(cloud, {name: 'My Gate', ...ids, user_data, ...more}, () => [])
  const files = configDrive(server)
  return {server, files, metadata: JSON.parse(String(files.get('openstack/latest/meta_data.json')))}
}

it('has Nova’s metadata and the user data as it was given', () => {
  const {server, files, metadata} = drive({key_name: 'mine', metadata: {role: 'gate'}})
  expect(metadata).toEqual({
    uuid: server.id,
    name: 'My Gate',
    hostname: 'my-gate.novalocal',
    launch_index: 0,
    availability_zone: 'nova',
    project_id: 'p',
    public_keys: {mine: 'ssh-ed25519 AAAA alice\n'},
    keys: [{name: 'mine', type: 'ssh', data: 'ssh-ed25519 AAAA alice\n'}],
    meta: {role: 'gate'},
  })
  expect(String(files.get('openstack/latest/user_data'))).toBe(userData)
  expect([...files.keys()]).toHaveLength(2)
})

it('has no keys, metadata or user data where the server has none', () => {
  const {files, metadata} = drive({user_data: null})
  expect(Object.keys(metadata)).toEqual([
    'uuid',
    'name',
    'hostname',
    'launch_index',
    'availability_zone',
    'project_id',
  ])
  expect([...files.keys()]).toEqual(['openstack/latest/meta_data.json'])
})

it('limits the disk to whole MiB, where the metadata says so', () => {
  expect(diskLimit({})).toBeUndefined()
  expect(diskLimit({'lab:disk_mb': '8'})).toBe(8)
  expect(diskLimit({'lab:disk_mb': '0'})).toBe(0)
  for (const bad of ['', '-1', '1.5', '8m', '1 0', '$(id)'])
    expect(() => diskLimit({'lab:disk_mb': bad})).toThrow(`lab:disk_mb ${JSON.stringify(bad)}`)
})
