/** Gates that the service deploys, heals and retires: the section `gates` of its configuration (docs/service-config.md). */
export interface GatesConfig {
  /** Whether gates are deployed, replaced and retired without being asked. */
  readonly automatic: boolean
  /** Never more gates made by this service: in all, in one zone, and of those that serve one project. */
  readonly max: number
  readonly perZone: number
  readonly perProject: number
  /** Gates kept in each zone that is listed, even idle. */
  readonly min: number
  /** Availability zones; undefined: whatever the cloud has. */
  readonly zones?: readonly string[]
  /** How long a gate above the minimum stays without a path, s. */
  readonly idle: number
  /** Whom gates serve that are deployed automatically. */
  readonly scope: 'project' | 'shared'
  /** Names or ids; undefined: the service chooses. `external` is the network of the floating IPs. */
  readonly image?: string
  readonly flavor?: string
  readonly network?: string
  readonly external?: string
  /** How gates are reached; undefined: the service chooses. */
  readonly address?: 'floating' | 'direct' | 'ipv6'
  /** What the image runs at its first boot: cloud-init's own words, or a script of the shell. */
  readonly boot: 'cloud-config' | 'script'
  /** CIDRs of those who may reach port 22 of the gates. */
  readonly allow: readonly string[]
  /** `HOST` or `HOST:PORT` inside private networks that package installation may reach. */
  readonly mirrors: readonly string[]
  /** How long a gate may take from its creation to its first answer, s. */
  readonly bootTimeout: number
  /** How long an ACTIVE gate may be without an answer before it is rebooted, s. */
  readonly silence: number
}

const USUAL: GatesConfig = {
  automatic: false,
  max: 4,
  perZone: 2,
  perProject: 1,
  min: 0,
  idle: 3600,
  scope: 'project',
  boot: 'cloud-config',
  allow: ['0.0.0.0/0', '::/0'],
  mirrors: [],
  bootTimeout: 300,
  silence: 120,
}

/** What is said of the gates, with what is usual for the rest. */
export const gatesConfig = (said: Partial<GatesConfig>): GatesConfig => ({...USUAL, ...said})
