import {OsSshError} from '../../../errors.ts'
import type {Image} from '../../../openstack/index.ts'
import {first, type Key, listed, named} from './named.ts'
import type {Seen} from './seen.ts'

/** Those that a gate is known to work on, best first: Ubuntu brings nftables along, Debian's cloud images do not. */
const distributions = ['ubuntu', 'debian'] as const
type Distribution = (typeof distributions)[number]

const architecture = 'x86_64'

/** Formats that boot no cloud image: installers, kernels and their RAM disks. */
const others = ['iso', 'aki', 'ari', 'ami']

/** In a name: without cloud-init, for people, made for something else, or for another machine. */
const unfit =
  /(^|[^a-z])(nocloud|netboot|installer|live|desktop|amphora|octavia|k8s|kube\w*|gpu|arm64|aarch64|ppc64\w*|s390x|riscv64)([^a-z]|$)/i

const GiB = 2 ** 30

interface Needs {
  /** MB */
  readonly ram: number
  /** GB */
  readonly disk: number
}

/**
 * The image to boot a gate from. Without a word: active, Ubuntu before Debian, public before the project's own before those
 * that were shared with it, the newest release, the newest build; where no image has its distribution as a property, by names.
 * Never a snapshot of a server, which has the properties of the image it was made from. Never one that some other project has
 * opened to everybody (`community`), nor one of those by its name: gates see whose paths they are, and anybody can make one.
 *
 * @throws OsSshError USAGE, AMBIGUOUS; NO_GATE with the candidates
 */
export function chooseImage({images, project}: Seen, word?: string): Image {
  const active = images.filter(image => image.status === 'active')
  const trusted = active.filter(image => image.visibility !== 'community' || image.owner === project)
  if (word !== undefined) return active.find(image => image.id === word) ?? named('image', word, trusted)
  const fitting = trusted.filter(fits)
  const found = first(fitting, image => order(image, project))
  if (found) return found
  throw new OsSshError(
    'NO_GATE',
    `no image is one of Ubuntu or Debian for ${architecture}; there are: ${listed(trusted)}`,
    {hint: 'name one: --image'},
  )
}

/** What an image needs of a flavor; the disk as far as Glance knows it. */
export function needsOf(image: Image): Needs {
  const bytes = image.virtual_size ?? image.size ?? 0
  return {
    ram: Math.max(distributionOf(image) === 'debian' ? 512 : 1024, image.min_ram),
    disk: Math.max(image.min_disk, Math.ceil(bytes / GiB)),
  }
}

function fits(image: Image): boolean {
  return (
    distributionOf(image) !== undefined &&
    image.image_type !== 'snapshot' &&
    !others.includes(image.disk_format ?? '') &&
    (image.architecture ?? architecture) === architecture &&
    !unfit.test(image.name ?? '')
  )
}

/** By the property; only where there is none by the name. */
function distributionOf(image: Image): Distribution | undefined {
  const said = image.os_distro?.toLowerCase()
  return distributions.find(one => (said ? said === one : image.name?.toLowerCase().includes(one)))
}

const visibilities = ['public', 'own', 'shared'] as const

function order(image: Image, project: string): Key {
  const whose = image.visibility === 'public' ? 'public' : image.owner === project ? 'own' : 'shared'
  const distribution = distributionOf(image)
  const version = versionOf(image)
  return [
    image.os_distro ? 0 : 1,
    visibilities.indexOf(whose),
    distribution === undefined ? distributions.length : distributions.indexOf(distribution),
    -(version[0] ?? 0),
    -(version[1] ?? 0),
    -Date.parse(image.created_at),
    image.id,
  ]
}

/** `24.04` as numbers; of the name where no property tells. Empty for a code name. */
function versionOf(image: Image): number[] {
  const said = image.os_version ?? /(?:ubuntu|debian)[ _-]*v?(\d+(?:\.\d+)?)/i.exec(image.name ?? '')?.[1]
  const numbers = /^\d+(\.\d+)?/.exec(said ?? '')?.[0]
  return numbers === undefined ? [] : numbers.split('.').map(Number)
}
