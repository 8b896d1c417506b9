/* What there is to choose from when a server is made: images and flavors of every sort that a chooser meets. */
import {randomUUID} from 'node:crypto'

import type {Cloud, Flavor, ImageRecord} from './state.ts'

const MB = 1024 ** 2

type Given = Partial<ImageRecord> & Pick<ImageRecord, 'name'>

/** The first one is what the tenants' servers are made from. All guests are Debian 12, whatever the image says. */
const images: readonly Given[] = [
  {
    name: 'debian-12',
    size: 330 * MB,
    properties: {os_distro: 'debian', os_version: '12', os_admin_user: 'debian'},
  },
  {
    name: 'ubuntu-24.04',
    size: 580 * MB,
    min_disk: 4,
    min_ram: 512,
    properties: {os_distro: 'ubuntu', os_version: '24.04', os_admin_user: 'ubuntu', architecture: 'x86_64'},
  },
  {
    name: 'ubuntu-24.04-arm64',
    created_at: '2026-02-01T00:00:00Z',
    size: 570 * MB,
    min_disk: 4,
    properties: {os_distro: 'ubuntu', os_version: '24.04', os_admin_user: 'ubuntu', architecture: 'aarch64'},
  },
  {
    name: 'ubuntu-22.04',
    created_at: '2024-01-01T00:00:00Z',
    status: 'deactivated',
    size: 640 * MB,
    properties: {os_distro: 'ubuntu', os_version: '22.04', os_admin_user: 'ubuntu', architecture: 'x86_64'},
  },
  {name: 'cirros', created_at: '2023-01-01T00:00:00Z', size: 20 * MB},
]

const flavors: readonly (Partial<Flavor> & Omit<Flavor, 'extra_specs'>)[] = [
  {id: '1', name: 'm1.tiny', vcpus: 1, ram: 64, disk: 1},
  {id: '2', name: 'm1.mini', vcpus: 1, ram: 512, disk: 5},
  {id: '3', name: 'm1.small', vcpus: 1, ram: 2048, disk: 20},
  {id: '4', name: 'v1.small', vcpus: 1, ram: 1024, disk: 0},
  {
    id: '5',
    name: 'g1.small',
    vcpus: 1,
    ram: 1024,
    disk: 10,
    extra_specs: {'pci_passthrough:alias': 'gpu:1'},
  },
]

/** Puts images and flavors into the cloud. @returns id of the image of the tenants' servers */
export function fillCatalogue(cloud: Cloud, owner: string): string {
  const ids = images.map(given => {
    const image: ImageRecord = {
      ...{
        id: randomUUID(),
        owner,
        created_at: '2026-01-01T00:00:00Z',
        status: 'active',
        visibility: 'public',
      },
      ...{disk_format: 'qcow2', min_disk: 0, min_ram: 0, size: 0, properties: {}},
      ...given,
    }
    cloud.images.set(image.id, image)
    return image.id
  })
  for (const flavor of flavors) cloud.flavors.set(flavor.id, {extra_specs: {}, ...flavor})
  return ids[0] ?? ''
}
