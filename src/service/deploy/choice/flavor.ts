import {OsSshError} from '../../../errors.ts'
import type {Flavor, Image} from '../../../openstack/index.ts'
import {needsOf} from './image.ts'
import {called, first, listed, named} from './named.ts'
import type {Seen} from './seen.ts'

/** GB that a volume to boot from has at least: room for packages and logs. */
const VOLUME_GB = 3

interface FlavorChoice {
  readonly flavor: Flavor
  /** GB of the volume to boot from, where the flavor has no disk. */
  readonly volume?: number
}

/**
 * The smallest flavor that has a vCPU, the memory and the disk that the image wants, and is no machine of metal nor one with a
 * device: by RAM, vCPUs, disk and name; among equals one with a disk of its own, because a volume is one thing more to be
 * made, paid and cleared away. One that is named has to have what Nova demands only.
 *
 * @throws OsSshError USAGE, AMBIGUOUS; NO_GATE with the candidates
 */
export function chooseFlavor({flavors, volumes}: Seen, image: Image, word?: string): FlavorChoice {
  const needs = needsOf(image)
  const volume = Math.max(needs.disk, VOLUME_GB)
  const choice = (flavor: Flavor) => (flavor.disk === 0 ? {flavor, volume} : {flavor})
  const holds = ({disk}: Flavor) => (disk === 0 ? volumes : disk >= needs.disk)
  if (word !== undefined) {
    const flavor = named('flavor', word, flavors)
    if (flavor.ram >= image.min_ram && holds(flavor)) return choice(flavor)
    throw new OsSshError('NO_GATE', tooSmall(flavor, image, needs.disk), {
      hint: 'name a larger one: --flavor',
    })
  }
  const open = flavors.filter(flavor => flavor['OS-FLV-DISABLED:disabled'] !== true)
  const fitting = open.filter(
    flavor => flavor.vcpus >= 1 && flavor.ram >= needs.ram && holds(flavor) && !special(flavor),
  )
  const found = first(fitting, ({ram, vcpus, disk, name, id}) => [
    ram,
    vcpus,
    disk === 0 ? 1 : 0,
    disk,
    name,
    id,
  ])
  if (found) return choice(found)
  throw new OsSshError(
    'NO_GATE',
    `no flavor without special devices has a vCPU, ${needs.ram} MB of RAM and ${needs.disk} GB of disk for the image ${called(image)}; there are: ${listed(open)}`,
    {hint: 'name one: --flavor'},
  )
}

function tooSmall(flavor: Flavor, image: Image, disk: number): string {
  if (flavor.ram < image.min_ram)
    return `the flavor ${called(flavor)} has ${flavor.ram} MB of RAM, and the image ${called(image)} wants ${image.min_ram}`
  if (flavor.disk > 0)
    return `the flavor ${called(flavor)} has ${flavor.disk} GB of disk, and the image ${called(image)} wants ${disk}`
  return `the flavor ${called(flavor)} has no disk, and the cloud has no volumes`
}

/** Traits that ordinary hosts have, and that take nothing from anybody. */
const ordinary = /^(COMPUTE_|HW_CPU_X86_|STORAGE_DISK_)/

/** Does it take a GPU or another device, a machine of its own, or a host with something that we do not know? */
function special({extra_specs}: Flavor): boolean {
  return Object.entries(extra_specs ?? {}).some(([key, value]) => {
    if (/^(pci_passthrough:|accel:device_profile$)/.test(key)) return true
    const [, resource] = /^resources[^:]*:(.*)$/.exec(key) ?? []
    // Bare metal (Ironic) is CUSTOM_… too.
    if (resource !== undefined) return /^(CUSTOM_|VGPU|PGPU|FPGA|PCI_DEVICE|SRIOV_)/.test(resource)
    const [, trait] = /^trait[^:]*:(.*)$/.exec(key) ?? []
    return trait !== undefined && value === 'required' && !ordinary.test(trait)
  })
}
